/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Looking into a running VM from another process: the control descriptor's ioctls that need a
 * vCPU or guest memory. inspect.c tells how a running vCPU is handed over.
 */
#ifndef THV_INSPECT_H
#define THV_INSPECT_H

#include <linux/mutex.h>
#include <linux/types.h>

struct thv_explain;
struct thv_vcpu;

/**
 * struct thv_inspect - of a vCPU: who looks at it.
 * @turn: the inspector whose turn it is; the others wait here.
 * @started: inspectors that have asked for the vCPU; changed under @turn.
 * @finished: ... and need it no more. One less than @started while somebody looks.
 * @since: ns; when the one who looks got the vCPU. This and the next: under vcpu->lock.
 * @held: ns; for how long the last one had it.
 * @not_before: ns; when the next one may ask.
 */
struct thv_inspect {
	struct mutex turn;	/* one inspector at a time */
	u32 started;
	u32 finished;
	u64 since;
	u64 held;
	u64 not_before;
};

/* The vCPU's thread: whom it steps aside for, is that one done, and then some time of its own. */
u32 thv_inspect_last(const struct thv_vcpu *vcpu);
bool thv_inspect_over(const struct thv_vcpu *vcpu, u32 last);
void thv_inspect_pause(struct thv_vcpu *vcpu);

/* ioctls of control descriptors; @vm is a struct thv_vm, with a reference */
long thv_inspect_nmi(void *vm, void *args);
long thv_inspect_state(void *vm, void *args);
long thv_inspect_translate(void *vm, void *args);
long thv_inspect_memory(void *vm, void *args);
long thv_inspect_fields(void *vm, void *args);
long thv_inspect_explain(void *vm, void *args);

/* ... and this is of vCPU descriptors, too: @ask is the backend's explain() where it may be called */
long thv_explain(struct thv_vcpu *vcpu, struct thv_explain *args,
		 int (*ask)(struct thv_vcpu *vcpu, char *text, size_t size, bool all));

#endif
