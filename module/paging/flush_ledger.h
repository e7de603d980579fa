/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The flush ledger, of debug builds: who may still hold which translation, as the module's own
 * doings tell it. On a machine that forgives a missing flush (an emulator that drops the TLB at
 * each entry) it is the ledger that does not.
 *
 * Two rules are checked.
 *
 *	What was taken out of a VM's tables, and table pages that nothing points to any more, are
 *	numbered. They are let go (the host may use the frame for something else) only
 *	when no vCPU is in the guest that may still hold them; and no vCPU goes in before
 *	it has forgotten, on that CPU, all that was let go.
 *
 *	A tag has one owner at a time. Its owner goes in on a CPU only if that CPU has
 *	forgotten what an earlier owner left there under the same tag.
 *
 * "Has forgotten" is: has executed an instruction that the manual says covers it. Which does, the
 * backend knows (vmx/tlb.c), and tells. Here is no more than bookkeeping, fit to be tested natively.
 */
#ifndef THV_PAGING_FLUSH_LEDGER_H
#define THV_PAGING_FLUSH_LEDGER_H

#include <linux/types.h>
#include "../debug.h"

/**
 * struct thv_flush_vm - a VM's page of the ledger.
 * @removed: the number of what was last taken out of the tables; begins at 1, with what the frames
 *	of its tables were to somebody else.
 * @released: ... of what was last let go.
 */
struct thv_flush_vm {
	u64 removed;
	u64 released;
};

/**
 * struct thv_flush_vcpu - a vCPU's.
 * @cpu: where its translations have been flushed, by itself; -1: nowhere yet.
 * @forgotten: up to which number they were, then; all of it before @cpu is another one.
 * @inside: 0: not in the guest; else it went in with @inside - 1 forgotten.
 */
struct thv_flush_vcpu {
	int cpu;
	u64 forgotten;
	u64 inside;
};

/**
 * struct thv_flush_tags - the tags.
 * @tags: how many there are, from 1 on.
 * @cpus: CPUs there may be.
 * @next: number of the next owner.
 * @owner: of each; 0: nobody's.
 * @held: by CPU, then by tag: whose translations may be there; 0: nobody's.
 */
struct thv_flush_tags {
	u32 tags;
	u32 cpus;
	atomic_t next;
	u32 *owner;
	u32 *held;
};

void thv_flush_vm_init(struct thv_flush_vm *vm);
void thv_flush_removed(struct thv_flush_vm *vm);
void thv_flush_released(struct thv_flush_vm *vm);
bool thv_flush_may_hold(const struct thv_flush_vm *vm, const struct thv_flush_vcpu *vcpu);

void thv_flush_vcpu_init(struct thv_flush_vcpu *vcpu);
u64 thv_flush_begin(const struct thv_flush_vm *vm);
void thv_flush_done(struct thv_flush_vcpu *vcpu, int cpu, u64 number);
bool thv_flush_enter(const struct thv_flush_vm *vm, struct thv_flush_vcpu *vcpu, int cpu);
void thv_flush_exit(struct thv_flush_vcpu *vcpu);

u32 thv_flush_tag_taken(struct thv_flush_tags *tags, u32 tag);
bool thv_flush_tag_given_back(struct thv_flush_tags *tags, u32 tag, u32 owner);
void thv_flush_tag_forgotten(struct thv_flush_tags *tags, int cpu, u32 tag);
void thv_flush_tags_forgotten(struct thv_flush_tags *tags, int cpu);
bool thv_flush_tag_enter(struct thv_flush_tags *tags, int cpu, u32 tag, u32 owner);

#endif
