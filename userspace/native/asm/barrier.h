/* SPDX-License-Identifier: GPL-2.0-only */
/* Native stand-in: barriers. */
#ifndef _NATIVE_ASM_BARRIER_H
#define _NATIVE_ASM_BARRIER_H

#include <linux/compiler.h>

#define smp_mb()	__atomic_thread_fence(__ATOMIC_SEQ_CST)
#define smp_rmb()	__atomic_thread_fence(__ATOMIC_ACQUIRE)
#define smp_wmb()	__atomic_thread_fence(__ATOMIC_RELEASE)
#define smp_mb__before_atomic()	barrier()
#define smp_mb__after_atomic()	barrier()

#define smp_load_acquire(p)		__atomic_load_n(p, __ATOMIC_ACQUIRE)
#define smp_store_release(p, value)	__atomic_store_n(p, value, __ATOMIC_RELEASE)
#define smp_store_mb(x, value)		__atomic_store_n(&(x), value, __ATOMIC_SEQ_CST)

#endif
