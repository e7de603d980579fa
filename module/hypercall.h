/* SPDX-License-Identifier: GPL-2.0-only */
/* The paravirtual interface: feature leaves, clock, hypercalls; see hypercall.c. */
#ifndef THV_HYPERCALL_H
#define THV_HYPERCALL_H

#include <linux/types.h>
#include "msr.h"

struct thv_vcpu;

/* CPUID's leaves for hypervisors: thv_pv_cpuid() answers them */
static inline bool thv_pv_leaf(u32 leaf)
{
	return leaf >> 28 == 4;
}

/* RAX; RBX, RCX, RDX, RSI; 32 bits of each outside 64-bit mode. The result is for RAX. */
u64 thv_hypercall(struct thv_vcpu *vcpu, u32 cpl, u64 nr, u64 a0, u64 a1, u64 a2, u64 a3);
void thv_pv_cpuid(u32 leaf, u32 *eax, u32 *ebx, u32 *ecx, u32 *edx);	/* leaves 0x40000000... */
int thv_pv_clock_read(struct thv_vcpu *vcpu, u32 index, u64 *value, enum thv_msr_by by);
/* 0 or -EINVAL; requests THV_REQ_CLOCK. */
int thv_pv_clock_write(struct thv_vcpu *vcpu, u32 index, u64 value, enum thv_msr_by by);
void thv_pv_clock_update(struct thv_vcpu *vcpu);	/* on THV_REQ_CLOCK; may sleep */
void thv_pv_reset(struct thv_vcpu *vcpu);

#endif
