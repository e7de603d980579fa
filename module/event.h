/* SPDX-License-Identifier: GPL-2.0-only */
/* What is pending for a guest and when it can be taken; see event.c. */
#ifndef THV_EVENT_H
#define THV_EVENT_H

#include "trace.h"
#include "vcpu.h"

/* Before an entry, interrupts on: take in what other threads sent (INIT, SIPI, NMI). */
void thv_events_collect(struct thv_vcpu *vcpu);
/* Before an entry, interrupts off: choose what to inject and which windows to ask for. */
void thv_events_inject(struct thv_vcpu *vcpu);
/* Is the launcher to ask an 8259 for the vector of an interrupt? Then run->exit says so. */
bool thv_events_acknowledge(struct thv_vcpu *vcpu);
/* Is there a reason for a halted vCPU to go on? Any context that may look at the vCPU. */
bool thv_events_wake(struct thv_vcpu *vcpu);
void thv_events_reset(struct thv_vcpu *vcpu);
void thv_events_get(struct thv_vcpu *vcpu, struct thv_event_state *state);
int thv_events_set(struct thv_vcpu *vcpu, const struct thv_event_state *state);

/* The vCPU's thread: it runs, halts or waits for a start-up IPI from now on. */
static inline void thv_set_mp_state(struct thv_vcpu *vcpu, u32 state)
{
	trace_thv_state_vcpu(vcpu, vcpu->mp_state, state);
	vcpu->mp_state = state;
}

#endif
