/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Native stand-in: assertions. A warning is told on stderr and counted, so that a
 * test can demand that there was one, or none.
 */
#ifndef _NATIVE_LINUX_BUG_H
#define _NATIVE_LINUX_BUG_H

#include <stdio.h>
#include <stdlib.h>
#include <linux/build_bug.h>
#include <linux/compiler.h>

/* Weak, so that each object may bring it and the program has one */
__weak unsigned int native_warnings;

#define native_warn(condition, ...) ({					\
	int __warn = !!(condition);					\
	if (unlikely(__warn)) {						\
		native_warnings++;					\
		fprintf(stderr, "WARNING: %s:%d: ", __FILE__, __LINE__); \
		fprintf(stderr, __VA_ARGS__);				\
	}								\
	unlikely(__warn); })
#define native_warn_once(condition, ...) ({				\
	static int __told;						\
	int __once = !!(condition);					\
	if (unlikely(__once && !__told)) {				\
		__told = 1;						\
		native_warn(1, __VA_ARGS__);				\
	}								\
	unlikely(__once); })

#define WARN(condition, ...)		native_warn(condition, __VA_ARGS__)
#define WARN_ONCE(condition, ...)	native_warn_once(condition, __VA_ARGS__)
#define WARN_ON(condition)		native_warn(condition, "%s\n", #condition)
#define WARN_ON_ONCE(condition)		native_warn_once(condition, "%s\n", #condition)
#define BUG_ON(condition)		do { if (WARN_ON(condition)) abort(); } while (0)
#define BUG()				BUG_ON(1)

#endif
