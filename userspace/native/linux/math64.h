/* SPDX-License-Identifier: GPL-2.0-only */
/* Native stand-in: division and multiplication wider than C's. */
#ifndef _NATIVE_LINUX_MATH64_H
#define _NATIVE_LINUX_MATH64_H

#include <linux/types.h>

static inline u64 div64_u64(u64 n, u64 d)
{
	return n / d;
}

static inline u64 div_u64(u64 n, u32 d)
{
	return n / d;
}

static inline u64 div64_u64_rem(u64 n, u64 d, u64 *remainder)
{
	*remainder = n % d;
	return n / d;
}

static inline u64 div_u64_rem(u64 n, u32 d, u32 *remainder)
{
	*remainder = n % d;
	return n / d;
}

static inline s64 div64_s64(s64 n, s64 d)
{
	return n / d;
}

static inline u64 mul_u32_u32(u32 a, u32 b)
{
	return (u64)a * b;
}

static inline u64 mul_u64_u32_shr(u64 a, u32 b, unsigned int shift)
{
	return (u64)(((unsigned __int128)a * b) >> shift);
}

static inline u64 mul_u64_u64_shr(u64 a, u64 b, unsigned int shift)
{
	return (u64)(((unsigned __int128)a * b) >> shift);
}

static inline u64 mul_u64_u32_div(u64 a, u32 b, u32 d)
{
	return (u64)((unsigned __int128)a * b / d);
}

static inline u64 mul_u64_u64_div_u64(u64 a, u64 b, u64 d)
{
	return (u64)((unsigned __int128)a * b / d);
}

#define do_div(n, d) ({							\
	u32 __do_div = (n) % (d);					\
	(n) /= (d);							\
	__do_div; })

#endif
