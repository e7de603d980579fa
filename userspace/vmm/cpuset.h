/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * --cpuset: which of the host's CPUs the vCPUs run on. vCPU n has the n-th of the list
 * for itself; where there are more vCPUs than CPUs in it, the list begins again.
 */
#ifndef THV_VMM_CPUSET_H
#define THV_VMM_CPUSET_H

#include "lib/options.h"

#define CPUSET_CPUS	1024	/* as in the C library's cpu_set_t */

struct cpuset {
	u32 count;		/* 0: any */
	u16 cpu[CPUSET_CPUS];
};

/* "0-1,3": each CPU once, and one that this process may run on; struct cpuset */
option_parser option_cpuset;

/* The CPU of the vCPU; -1: any */
int cpuset_cpu(const struct cpuset *cpuset, u32 vcpu);

#endif
