/* SPDX-License-Identifier: GPL-2.0-only */
/* Native stand-in: checks the compiler makes. */
#ifndef _NATIVE_LINUX_BUILD_BUG_H
#define _NATIVE_LINUX_BUILD_BUG_H

#include <assert.h>

#undef static_assert
#define static_assert(condition, ...)	_Static_assert(condition, "" __VA_ARGS__)
#define BUILD_BUG_ON_MSG(condition, text) \
	do { extern void __build_bug(void) __attribute__((__error__(text)));	\
		if (condition) __build_bug(); } while (0)
#define BUILD_BUG_ON(condition)		((void)sizeof(char[1 - 2 * !!(condition)]))
#define BUILD_BUG_ON_ZERO(condition)	((int)(sizeof(char[1 - 2 * !!(condition)]) - 1))
#define BUILD_BUG()			BUILD_BUG_ON_MSG(1, "BUILD_BUG")

#endif
