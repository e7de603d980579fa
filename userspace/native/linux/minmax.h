/* SPDX-License-Identifier: GPL-2.0-only */
/* Native stand-in: smaller, larger, between. Each argument is evaluated once. */
#ifndef _NATIVE_LINUX_MINMAX_H
#define _NATIVE_LINUX_MINMAX_H

#undef min
#undef max

#define min(a, b) ({							\
	__auto_type __min_a = (a);					\
	__auto_type __min_b = (b);					\
	__min_a < __min_b ? __min_a : __min_b; })
#define max(a, b) ({							\
	__auto_type __max_a = (a);					\
	__auto_type __max_b = (b);					\
	__max_a > __max_b ? __max_a : __max_b; })

#define min_t(type, a, b)	({ type __mt_a = (a), __mt_b = (b); min(__mt_a, __mt_b); })
#define max_t(type, a, b)	({ type __mt_a = (a), __mt_b = (b); max(__mt_a, __mt_b); })
#define min3(a, b, c)		({ __auto_type __m3_c = (c); min(min(a, b), __m3_c); })
#define max3(a, b, c)		({ __auto_type __m3_c = (c); max(max(a, b), __m3_c); })
#define clamp(v, low, high)	({ __auto_type __c_h = (high); min(max(v, low), __c_h); })
#define clamp_t(type, v, low, high) \
	({ type __ct_h = (high); min_t(type, max_t(type, v, low), __ct_h); })
#define clamp_val(v, low, high)	clamp_t(__typeof__(v), v, low, high)
#define swap(a, b) \
	do { __auto_type __swap_a = (a); (a) = (b); (b) = __swap_a; } while (0)

#endif
