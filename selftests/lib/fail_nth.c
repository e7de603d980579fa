// SPDX-License-Identifier: GPL-2.0-only
/* fail_nth.h: the kernel's files behind it. */
#include <stdio.h>
#include <stdlib.h>
#include "fail_nth.h"
#include "vm.h"

#define FAIL_NTH	"/proc/thread-self/fail-nth"

int fail_nth_fd = -1;

static bool write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return written;
}

void fail_nth_open(void)
{
	fail_nth_fd = open(FAIL_NTH, O_RDWR | O_CLOEXEC);
	if (fail_nth_fd < 0)
		fail(FAIL_NTH ": %s", strerror(errno));
}

/* Allocations that may wait, and those of single pages, are spared unless one says otherwise. */
static bool spare_none(void)
{
	static const char * const settings[][2] = {
		{ "failslab/ignore-gfp-wait", "N" }, { "fail_page_alloc/ignore-gfp-wait", "N" },
		{ "fail_page_alloc/ignore-gfp-highmem", "N" }, { "fail_page_alloc/min-order", "0" },
		{ "failslab/verbose", "0" }, { "fail_page_alloc/verbose", "0" },
		{ "fail_usercopy/verbose", "0" },
	};
	char path[100];
	unsigned int i;

	for (i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
		snprintf(path, sizeof(path), "/sys/kernel/debug/%s", settings[i][0]);
		if (!write_text(path, settings[i][1]))
			return false;
	}
	return true;
}

void fail_nth_arm(unsigned int nth)
{
	char text[16];
	int size = snprintf(text, sizeof(text), "%u", nth);

	if (pwrite(fail_nth_fd, text, size, 0) != size)
		fail("fail-nth: %s", strerror(errno));
}

/* To read it is a copy to user space and may itself be the place that fails: then there has been none before. */
unsigned int fail_nth_disarm(void)
{
	char text[16] = "";
	unsigned int left = pread(fail_nth_fd, text, sizeof(text) - 1, 0) > 0 ? atoi(text) : 1;

	while (pwrite(fail_nth_fd, "0", 1, 0) != 1)
		;
	return left;
}

bool fail_nth_is_want(int result)
{
	return result == -ENOMEM || result == -EFAULT || result == -ENOBUFS;
}

bool fail_nth_possible(void)
{
	return !access(FAIL_NTH, W_OK) && spare_none();
}
