/* SPDX-License-Identifier: GPL-2.0-only */
/* Native stand-in: rounding. */
#ifndef _NATIVE_LINUX_MATH_H
#define _NATIVE_LINUX_MATH_H

#define round_up(x, y)		((((x) - 1) | ((__typeof__(x))(y) - 1)) + 1)
#define round_down(x, y)	((x) & ~((__typeof__(x))(y) - 1))
#define DIV_ROUND_UP(n, d)	(((n) + (d) - 1) / (d))
#define DIV_ROUND_UP_ULL(n, d)	DIV_ROUND_UP((unsigned long long)(n), d)
#define roundup(x, y)		(DIV_ROUND_UP(x, y) * (y))
#define rounddown(x, y)		((x) - (x) % (y))
#define abs_diff(a, b)		((a) > (b) ? (a) - (b) : (b) - (a))

#endif
