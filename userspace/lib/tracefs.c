// SPDX-License-Identifier: GPL-2.0-only
/* Finding tracefs, making an instance in it, and leaving nothing behind. */
#include "lib/tracefs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/error.h"

#define ROOT		"/sys/kernel/tracing"
#define INSTANCES	ROOT "/instances"
#define EVENTS		ROOT "/events/thv"

static int explain(const char *path)
{
	if (errno == EACCES || errno == EPERM)
		return error_set("%s: permission denied: the kernel's tracing is root's; run `sudo thv trace`, or let a group have it: mount -o remount,gid=GROUP,mode=770 " ROOT,
				 path);
	return error_errno("%s", path);
}

static int mounted(void)
{
	if (!access(INSTANCES, F_OK))
		return 0;
	if (errno != ENOENT)
		return explain(ROOT);
	if (access(ROOT, F_OK))
		return error_set("this kernel has no tracing (CONFIG_TRACING): thv trace cannot work here");
	if (mount("tracefs", ROOT, "tracefs", 0, NULL))
		return error_set("tracefs is not mounted, and cannot be: %s; as root: mount -t tracefs none " ROOT,
				 strerror(errno));
	fprintf(stderr, "thv trace: tracefs was not mounted; it is now, on " ROOT "\n");
	return 0;
}

/* What a killed `thv trace` has left */
static void sweep(void)
{
	DIR *directory = opendir(INSTANCES);
	struct dirent *entry;
	char path[300];
	int pid;

	while (directory && (entry = readdir(directory))) {
		if (sscanf(entry->d_name, "thv-%d", &pid) != 1 || !kill(pid, 0) || errno != ESRCH)
			continue;
		snprintf(path, sizeof(path), INSTANCES "/%s", entry->d_name);
		rmdir(path);
	}
	if (directory)
		closedir(directory);
}

int tracefs_create(struct tracefs *tracefs)
{
	*tracefs = (struct tracefs){ .pipe = -1 };
	if (mounted())
		return -1;
	sweep();
	snprintf(tracefs->path, sizeof(tracefs->path), INSTANCES "/thv-%d", getpid());
	if (mkdir(tracefs->path, 0700)) {
		explain(tracefs->path);
		tracefs->path[0] = 0;
		return -1;
	}
	return 0;
}

int tracefs_write(const struct tracefs *tracefs, const char *file, const char *text)
{
	char path[400];
	int fd, result = 0;

	snprintf(path, sizeof(path), "%s/%s", tracefs->path, file);
	fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	if (fd < 0)
		return explain(path);
	if (write(fd, text, strlen(text)) < 0)
		result = error_errno("%s: writing \"%s\"", path, text);
	close(fd);
	return result;
}

static bool means(const char *word, const char *event)
{
	size_t length = strlen(word);

	return !strcmp(word, "all") ||
	       (!strncmp(event, word, length) && (!event[length] || event[length] == '_'));
}

/* "a, b, c", for who asked for another */
static int no_such_event(const char *word, DIR *directory)
{
	char list[512] = "";
	struct dirent *entry;
	size_t length = 0;

	rewinddir(directory);
	while ((entry = readdir(directory)) && length < sizeof(list) - 1)
		if (!strncmp(entry->d_name, "thv_", 4))
			length += snprintf(list + length, sizeof(list) - length, "%s%s",
					   length ? ", " : "", entry->d_name + 4);
	return error_set("--events %s: no such event; there are: %s", word, list);
}

int tracefs_enable(const struct tracefs *tracefs, const char *word)
{
	DIR *directory = opendir(EVENTS);
	struct dirent *entry;
	int found = 0, result = 0;
	char file[300];

	if (!directory)
		return error_set(EVENTS ": the loaded thv module has no tracepoints; install module and thv from one build");
	while (!result && (entry = readdir(directory))) {
		if (strncmp(entry->d_name, "thv_", 4) || !means(word, entry->d_name + 4))
			continue;
		snprintf(file, sizeof(file), "events/thv/%s/enable", entry->d_name);
		result = tracefs_write(tracefs, file, "1");
		found++;
	}
	if (!result && !found)
		result = no_such_event(word, directory);
	closedir(directory);
	return result;
}

int tracefs_open_pipe(struct tracefs *tracefs)
{
	char path[100];

	snprintf(path, sizeof(path), "%s/trace_pipe", tracefs->path);
	tracefs->pipe = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	return tracefs->pipe < 0 ? explain(path) : 0;
}

/* per_cpu/cpuN/stats: what the writer wrote over, and what it dropped */
static u64 lost_on(const char *path)
{
	FILE *file = fopen(path, "re");
	unsigned long long number;
	char line[128];
	u64 lost = 0;

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "overrun: %llu", &number) == 1 ||
		    sscanf(line, "dropped events: %llu", &number) == 1)
			lost += number;
	if (file)
		fclose(file);
	return lost;
}

u64 tracefs_lost(const struct tracefs *tracefs)
{
	long cpus = sysconf(_SC_NPROCESSORS_CONF), cpu;
	char path[128];
	u64 lost = 0;

	for (cpu = 0; cpu < cpus; cpu++) {
		snprintf(path, sizeof(path), "%s/per_cpu/cpu%ld/stats", tracefs->path, cpu);
		lost += lost_on(path);
	}
	return lost;
}

void tracefs_destroy(struct tracefs *tracefs)
{
	if (tracefs->pipe >= 0)
		close(tracefs->pipe);
	tracefs->pipe = -1;
	if (tracefs->path[0] && rmdir(tracefs->path))
		fprintf(stderr, "thv trace: %s is left behind: %s; remove it with rmdir\n",
			tracefs->path, strerror(errno));
	tracefs->path[0] = 0;
}
