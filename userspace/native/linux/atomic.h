/* SPDX-License-Identifier: GPL-2.0-only */
/* Native stand-in: atomic integers, over the compiler's. */
#ifndef _NATIVE_LINUX_ATOMIC_H
#define _NATIVE_LINUX_ATOMIC_H

#include <asm/barrier.h>
#include <linux/bitops.h>

#define ATOMIC_INIT(value)	{ (value) }
#define ATOMIC64_INIT(value)	{ (value) }

/* The one set of operations serves atomic_t and atomic64_t: each acts on the counter's own type */
#define atomic_read(a)			__atomic_load_n(&(a)->counter, __ATOMIC_RELAXED)
#define atomic_set(a, value)		__atomic_store_n(&(a)->counter, value, __ATOMIC_RELAXED)
#define atomic_set_release(a, value)	__atomic_store_n(&(a)->counter, value, __ATOMIC_RELEASE)
#define atomic_read_acquire(a)		__atomic_load_n(&(a)->counter, __ATOMIC_ACQUIRE)
#define atomic_add_return(value, a)	__atomic_add_fetch(&(a)->counter, value, __ATOMIC_SEQ_CST)
#define atomic_sub_return(value, a)	__atomic_sub_fetch(&(a)->counter, value, __ATOMIC_SEQ_CST)
#define atomic_fetch_add(value, a)	__atomic_fetch_add(&(a)->counter, value, __ATOMIC_SEQ_CST)
#define atomic_fetch_or(value, a)	__atomic_fetch_or(&(a)->counter, value, __ATOMIC_SEQ_CST)
#define atomic_fetch_and(value, a)	__atomic_fetch_and(&(a)->counter, value, __ATOMIC_SEQ_CST)
#define atomic_xchg(a, value)		__atomic_exchange_n(&(a)->counter, value, __ATOMIC_SEQ_CST)
#define atomic_cmpxchg(a, old, new)	cmpxchg(&(a)->counter, old, new)
#define atomic_add(value, a)		((void)atomic_add_return(value, a))
#define atomic_sub(value, a)		((void)atomic_sub_return(value, a))
#define atomic_or(value, a)		((void)atomic_fetch_or(value, a))
#define atomic_and(value, a)		((void)atomic_fetch_and(value, a))
#define atomic_andnot(value, a)		((void)atomic_fetch_and(~(value), a))
#define atomic_inc_return(a)		atomic_add_return(1, a)
#define atomic_dec_return(a)		atomic_sub_return(1, a)
#define atomic_inc(a)			atomic_add(1, a)
#define atomic_dec(a)			atomic_sub(1, a)
#define atomic_inc_and_test(a)		(atomic_inc_return(a) == 0)
#define atomic_dec_and_test(a)		(atomic_dec_return(a) == 0)

#define atomic64_read		atomic_read
#define atomic64_set		atomic_set
#define atomic64_add_return	atomic_add_return
#define atomic64_inc_return	atomic_inc_return
#define atomic64_add		atomic_add
#define atomic64_sub		atomic_sub
#define atomic64_inc		atomic_inc
#define atomic64_dec		atomic_dec
#define atomic64_or		atomic_or
#define atomic64_and		atomic_and
#define atomic64_xchg		atomic_xchg
#define atomic64_cmpxchg	atomic_cmpxchg

#define xchg(p, value)		__atomic_exchange_n(p, value, __ATOMIC_SEQ_CST)
#define cmpxchg(p, old, new) ({						\
	__typeof__(*(p)) __cmpxchg_old = (old);				\
	__atomic_compare_exchange_n(p, &__cmpxchg_old, new, 0,		\
				    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
	__cmpxchg_old; })
#define try_cmpxchg(p, old, new) \
	__atomic_compare_exchange_n(p, old, new, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)
#define cmpxchg64		cmpxchg
#define try_cmpxchg64		try_cmpxchg

#endif
