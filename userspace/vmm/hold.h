/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Holding vCPUs: between two THV_RUN their threads wait until they are let go. What a
 * held vCPU is in the kernel is all of it: its exits have been dealt with, and the
 * registers have been handed over.
 */
#ifndef THV_VMM_HOLD_H
#define THV_VMM_HOLD_H

#include <pthread.h>

#include "lib/types.h"

struct machine;
struct vcpu;

struct hold {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	u32 held;		/* vCPUs that wait */
	int all;		/* eventfd: now all do */
};

int hold_create(struct hold *hold);
void hold_destroy(struct hold *hold);

/* Any thread: every vCPU is to wait. Returns at once; hold->all tells when they do. */
void hold_all(struct machine *machine);
/* While all wait: let those go for which go[id] is true */
void hold_release(struct machine *machine, const bool *go);
/* ... that wait because the machine has ended */
void hold_wake(struct machine *machine);

/* The vCPU's thread: wait as long as it is told to */
void hold_here(struct vcpu *vcpu);

#endif
