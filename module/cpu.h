/* SPDX-License-Identifier: GPL-2.0-only */
/* Root mode on every CPU that is on line, for as long as the module is loaded; see cpu.c. */
#ifndef THV_CPU_H
#define THV_CPU_H

#include <linux/percpu.h>

int thv_cpu_init(void);		/* all CPUs or none; prints why not */
void thv_cpu_exit(void);
void thv_cpu_shutdown(void);	/* the machine goes down: all CPUs out, and none comes in again */

DECLARE_PER_CPU(bool, thv_cpu_on);

/*
 * May this CPU enter a guest? Preemption off; the answer holds as long as interrupts are
 * off too. It is no only after thv_cpu_shutdown(), or where a resume from suspend failed.
 */
static inline bool thv_cpu_is_on(void)
{
	return this_cpu_read(thv_cpu_on);
}

#endif
