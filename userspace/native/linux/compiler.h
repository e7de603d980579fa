/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Native stand-in: the kernel's attribute and access macros.
 *
 * This directory lets files of module/ that need no kernel (walkers, register
 * models, slot arithmetic) compile as ordinary programs, so that unit tests and
 * fuzzers run the very file the kernel runs. Each header offers what those files
 * use of its namesake, no more; add what is missing where the kernel has it.
 */
#ifndef _NATIVE_LINUX_COMPILER_H
#define _NATIVE_LINUX_COMPILER_H

#include <stddef.h>

#define __user
#define __kernel
#define __iomem
#define __percpu
#define __rcu
#define __force
#define __bitwise
#define __init
#define __exit
#define __read_mostly
#define __ro_after_init
#define __must_hold(lock)
#define __acquires(lock)
#define __releases(lock)

#define __packed	__attribute__((__packed__))
#define __aligned(n)	__attribute__((__aligned__(n)))
#define __used		__attribute__((__used__))
#define __maybe_unused	__attribute__((__unused__))
#define __must_check	__attribute__((__warn_unused_result__))
#define __weak		__attribute__((__weak__))
#define __pure		__attribute__((__pure__))
#define __printf(f, a)	__attribute__((__format__(printf, f, a)))
#define __cold		__attribute__((__cold__))
#define noinline	__attribute__((__noinline__))
#define noinstr		noinline
#define fallthrough	__attribute__((__fallthrough__))

#undef __always_inline
#define __always_inline	inline __attribute__((__always_inline__))

#define likely(x)	__builtin_expect(!!(x), 1)
#define unlikely(x)	__builtin_expect(!!(x), 0)
#define barrier()	__asm__ __volatile__("" : : : "memory")
#define unreachable()	__builtin_unreachable()

#define READ_ONCE(x)		(*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, value)	(*(volatile __typeof__(x) *)&(x) = (value))

#endif
