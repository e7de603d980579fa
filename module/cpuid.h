/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the guest is told it has (cpuid.c), and what follows from it: which bits of CR4, EFER and
 * XCR0 it may set, which MSRs there are. One table; nothing is offered that would fault.
 */
#ifndef THV_CPUID_H
#define THV_CPUID_H

#include <linux/types.h>
#include "modes.h"		/* thv_cr0_check() and its like */
#include "../uapi/thv.h"

struct cpuid_regs;
struct thv_vcpu;

/* Once, after the backend's probe filled thv_caps: decides what is offered. 0 or -EOPNOTSUPP. */
int thv_cpuid_init(void);
/*
 * CPUID as @vcpu sees it now (OSXSAVE, APIC id, XSAVE sizes follow its state); NULL: vCPU 0 of a
 * new VM.
 */
void thv_cpuid(const struct thv_vcpu *vcpu, u32 leaf, u32 subleaf, struct cpuid_regs *regs);
/* The same, if it is what every vCPU sees at all times; else NULL */
const struct cpuid_regs *thv_cpuid_fixed(u32 leaf, u32 subleaf);
/* Is a feature offered? @feature: X86_FEATURE_*, of a word that CPUID has (not Linux's own). */
bool thv_guest_has(unsigned int feature);

u64 thv_cr4_allowed(void);	/* bits a guest may set in CR4 */
u64 thv_efer_allowed(void);	/* ... in IA32_EFER; and LMA, which only the processor sets */
u64 thv_xcr0_allowed(void);
u64 thv_xss_allowed(void);
u64 thv_spec_ctrl_allowed(void);	/* ... in IA32_SPEC_CTRL */
u32 thv_guest_phys_bits(void);	/* MAXPHYADDR as told */
u32 thv_guest_tsc_khz(void);	/* rate of the time-stamp counter; never changes once told */
bool thv_guest_tsc_stable(void);	/* it is invariant and the same on all CPUs */

#endif
