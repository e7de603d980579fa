// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "vm.h"
#include "tracing.h"


static char instance[64];

bool tracing_possible(void)
{
	return !access(TRACEFS "/events/thv", F_OK);
}

void tracing_begin(void)
{
	snprintf(instance, sizeof(instance), TRACEFS "/instances/thv-selftest-%d", getpid());
	if (mkdir(instance, 0700))
		fail("%s: %s", instance, strerror(errno));
}

void tracing_put(const char *file, const char *text)
{
	char path[160];
	int fd, written;

	snprintf(path, sizeof(path), "%s/%s", instance, file);
	fd = open(path, O_WRONLY | O_TRUNC);
	if (fd < 0)
		fail("%s: %s", path, strerror(errno));
	written = write(fd, text, strlen(text));
	close(fd);
	if (written < 0)
		fail("%s: \"%s\": %s", path, text, strerror(errno));
}

const char *tracing_lines(void)
{
	static char text[1 << 20];
	char path[160];
	size_t size;
	FILE *file;

	snprintf(path, sizeof(path), "%s/trace", instance);
	file = fopen(path, "r");
	if (!file)
		fail("%s: %s", path, strerror(errno));
	size = fread(text, 1, sizeof(text) - 1, file);
	while (size && text[size - 1] != '\n')	/* what does not fit ends with a whole line */
		size--;
	text[size] = 0;
	fclose(file);
	return text;
}

void tracing_end(void)
{
	tracing_put("events/thv/enable", "0");
	rmdir(instance);
}
