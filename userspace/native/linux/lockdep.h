/* SPDX-License-Identifier: GPL-2.0-only */
/* Native stand-in: tests have one thread, so every lock is held. */
#ifndef _NATIVE_LINUX_LOCKDEP_H
#define _NATIVE_LINUX_LOCKDEP_H

#define lockdep_assert_held(lock)		((void)(lock))
#define lockdep_assert_held_write(lock)		((void)(lock))
#define lockdep_assert_held_read(lock)		((void)(lock))
#define lockdep_assert_irqs_disabled()		do { } while (0)
#define lockdep_assert_preemption_disabled()	do { } while (0)

#endif
