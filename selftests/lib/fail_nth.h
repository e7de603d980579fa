/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Making the kernel fail: the n-th allocation, or copy from or to user space, that a thread comes to
 * (/proc/thread-self/fail-nth, Documentation/fault-injection/). A host kernel built for it has that:
 * see scripts/debug-kernel.
 */
#ifndef THV_SELFTEST_FAIL_NTH_H
#define THV_SELFTEST_FAIL_NTH_H

#include <stdbool.h>

/* Is it there? Then, for the whole machine, no kind of allocation is spared any more. */
bool fail_nth_possible(void);

/* Each thread for itself, so each test: they are processes of their own. close(fail_nth_fd) ends it. */
void fail_nth_open(void);
extern int fail_nth_fd;

/* From here on the @nth place fails; 0: none */
void fail_nth_arm(unsigned int nth);

/* No more. How many places the next failure was off: 0, there has been one. */
unsigned int fail_nth_disarm(void);

/* Is the result an error that says that something could not be had? Netlink calls it ENOBUFS. */
bool fail_nth_is_want(int result);

/* Skipped where nothing can be made to fail */
#define FAIL_NTH_MAIN								\
	THV_TEST_MAIN_WITH(							\
		if (!fail_nth_possible())					\
			ksft_exit_skip("this kernel does not inject failures, or this is not root\n"))

#endif
