/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The exit ledger: what each reason to leave the guest has cost, in time (ledger.c).
 *
 * While nobody keeps one, all that is left of it on the way of a vCPU are nops: the static branch
 * below, which the first keeper turns on.
 */
#ifndef THV_LEDGER_H
#define THV_LEDGER_H

#include <linux/jump_label_ratelimit.h>
#include <linux/list.h>
#include <linux/types.h>
#include "../uapi/thv.h"

struct file;
struct thv_vcpu;
struct thv_vm;

/* Who wants a VM's ledger: one entry a descriptor. @list is guarded by vm->lock. */
struct thv_ledger_keepers {
	struct list_head list;
	u32 count;		/* read without the lock by the vCPUs' threads */
	u32 epoch;		/* how often the count has risen from 0 */
};

/* Rate-limited: patching code costs all CPUs something, and the callers are ordinary users. */
extern struct static_key_false_deferred thv_ledger_on;

#define thv_ledger_active() static_branch_unlikely(&thv_ledger_on.key)

int thv_ledger_keep(struct thv_vm *vm, const struct file *file);
void thv_ledger_release(struct thv_vm *vm, const struct file *file);
void thv_ledger_init(struct thv_vm *vm);
int thv_ledger_vcpu_create(struct thv_vcpu *vcpu);	/* vm->lock held */
void thv_ledger_vcpu_destroy(struct thv_vcpu *vcpu);
long thv_ledger_get(struct thv_vm *vm, struct thv_get_ledger *args);
void thv_ledger_exit_module(void);

/* The vCPU's thread. Each says which part of time begins now; never sleeps. */
void __thv_ledger_entry(struct thv_vcpu *vcpu);
void __thv_ledger_exit(struct thv_vcpu *vcpu);
void __thv_ledger_run(struct thv_vcpu *vcpu);
void __thv_ledger_return(struct thv_vcpu *vcpu);
void __thv_ledger_sleep(struct thv_vcpu *vcpu);
void __thv_ledger_wake(struct thv_vcpu *vcpu);

#define THV_LEDGER_HOOK(name)							\
static __always_inline void thv_ledger_##name(struct thv_vcpu *vcpu)		\
{										\
	if (thv_ledger_active())						\
		__thv_ledger_##name(vcpu);					\
}

THV_LEDGER_HOOK(entry)		/* the guest's: it is about to be entered */
THV_LEDGER_HOOK(exit)		/* the kernel's: the guest has been left */
THV_LEDGER_HOOK(run)		/* the kernel's: THV_RUN begins */
THV_LEDGER_HOOK(return)		/* the launcher's: THV_RUN ends */
THV_LEDGER_HOOK(sleep)		/* nobody's: halted or paused */
THV_LEDGER_HOOK(wake)		/* the kernel's again */

#endif
