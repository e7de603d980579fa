/* SPDX-License-Identifier: GPL-2.0-only */
/* Native stand-in: sums that tell when they do not fit. */
#ifndef _NATIVE_LINUX_OVERFLOW_H
#define _NATIVE_LINUX_OVERFLOW_H

#include <linux/limits.h>
#include <linux/types.h>

#define check_add_overflow(a, b, sum)		__builtin_add_overflow(a, b, sum)
#define check_sub_overflow(a, b, difference)	__builtin_sub_overflow(a, b, difference)
#define check_mul_overflow(a, b, product)	__builtin_mul_overflow(a, b, product)
#define struct_size(p, member, n)	(sizeof(*(p)) + sizeof(*(p)->member) * (size_t)(n))

#endif
