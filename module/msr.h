/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The MSRs a guest may touch: one table (msr.c). What is not in it faults and is counted.
 */
#ifndef THV_MSR_H
#define THV_MSR_H

#include <linux/types.h>
#include "../uapi/thv.h"

struct thv_vcpu;
struct thv_vm;

/* Values that no hardware keeps for us, by the name of the MSR. */
struct thv_msrs_soft {
	u64 tsc_adjust;
	u64 spec_ctrl;		/* the backend loads it for the guest's time */
	u64 misc_enable;
	u64 mcg_status;
	u64 mtrr_def_type;
	u64 mtrr_fixed[11];
	u64 mtrr_var[16];
	bool wall_clock_due;	/* hypercall.c: THV_REQ_CLOCK will write it */
};

enum thv_msr_by {
	THV_MSR_GUEST,		/* RDMSR and WRMSR: failure is #GP */
	THV_MSR_HOST,		/* THV_GET_STATE and THV_SET_STATE */
};

int thv_msr_init(void);		/* once, by thv_cpuid_init() */

/* 0, or -EINVAL: no such MSR, or an impossible value. The vCPU is loaded. Neither sleeps. */
int thv_msr_read(struct thv_vcpu *vcpu, u32 index, u64 *value, enum thv_msr_by by);
int thv_msr_write(struct thv_vcpu *vcpu, u32 index, u64 value, enum thv_msr_by by);
void thv_msr_reset(struct thv_vcpu *vcpu);	/* values at power-up of those that are kept here */

/*
 * Which MSRs a guest may access without an exit: calls @allow for each with read and write.
 * The backend builds its bitmap from this and from nothing else. (x2APIC registers are the
 * backend's business; they follow vcpu->lapic.)
 */
void thv_msr_direct(void (*allow)(void *arg, u32 index, bool read, bool write), void *arg);

/*
 * The time-stamp counter. A VM has one, vm->tsc_offset from the host's, and a vCPU's own
 * departs from it by its IA32_TSC_ADJUST only; so vCPUs agree, however their states are set.
 */
void thv_tsc_vm_init(struct thv_vm *vm);	/* a new VM's counter starts at 0 */
void thv_tsc_follow(struct thv_vcpu *vcpu);	/* after a change of one of the two */
void thv_tsc_get(struct thv_vcpu *vcpu, struct thv_tsc *state);
int thv_tsc_set(struct thv_vcpu *vcpu, const struct thv_tsc *state);

#endif
