/* SPDX-License-Identifier: GPL-2.0-only */
/* A debugger of the guest (THV_DEBUG_GUEST); see debugger.c. */
#ifndef THV_DEBUGGER_H
#define THV_DEBUGGER_H

#include <linux/jump_label_ratelimit.h>
#include "vcpu.h"

/* How many vCPUs have one: while that is none, what is asked below costs a NOP. */
extern struct static_key_false_deferred thv_debuggers;

static inline bool thv_debugged(const struct thv_vcpu *vcpu)
{
	return static_branch_unlikely(&thv_debuggers.key) && vcpu->debugger.flags;
}

/* Is there a step to be taken, on a processor without the monitor trap flag? See vmx/step.c. */
static inline bool thv_steps_by_window(const struct thv_vcpu *vcpu)
{
	return thv_debugged(vcpu) && (vcpu->debugger.flags & THV_DEBUG_STEP) &&
	       !(vcpu->vm->features & THV_FEATURE_MONITOR_TRAP);
}

/* Are interrupts and NMIs kept from the guest, for that it takes one step? */
static inline bool thv_debugger_holds_interrupts(const struct thv_vcpu *vcpu)
{
	return thv_debugged(vcpu) && (vcpu->debugger.flags & THV_DEBUG_STEP);
}

/*
 * An instruction has been carried out for the guest: if that was the step, the vCPU stops before
 * the next entry.
 */
static inline void thv_debugger_completed(struct thv_vcpu *vcpu)
{
	if (thv_debugged(vcpu) && (vcpu->debugger.flags & THV_DEBUG_STEP))
		set_bit(THV_REQ_STEPPED, &vcpu->requests);
}

/* Exits, neutrally described. Each answers whose it is: USER, the debugger's. */
enum thv_next thv_debugger_breakpoint(struct thv_vcpu *vcpu, u32 length);	/* INT3 */
enum thv_next thv_debugger_db(struct thv_vcpu *vcpu, u64 dr6_bits);		/* #DB */
enum thv_next thv_debugger_stepped(struct thv_vcpu *vcpu);

void thv_dr7_changed(struct thv_vcpu *vcpu);	/* vcpu->dr7 was written */
const u64 *thv_dr_in_force(const struct thv_vcpu *vcpu);
long thv_debugger_set(struct thv_vcpu *vcpu, const struct thv_debug_guest *args);
void thv_debugger_forget(struct thv_vcpu *vcpu);	/* the vCPU goes */
void thv_debugger_exit(void);				/* the module goes */

#endif
