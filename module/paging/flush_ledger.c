// SPDX-License-Identifier: GPL-2.0-only
/*
 * The flush ledger: see flush_ledger.h for what it is. Called in debug builds only.
 *
 * Locks: a VM's page is written under mmu_lock; a vCPU's by its own thread. Who looks at
 * another's (thv_flush_may_hold()) has asked for a flush before, and waited until no vCPU is in the
 * guest that has not heard of it (thv_vm_request_all()): what it reads is from then or later.
 * Tags: each is written by its owner, on the CPU it is about, or when it is nobody's.
 */
#include <linux/atomic.h>
#include <linux/compiler.h>
#include <linux/string.h>
#include "flush_ledger.h"

/* ---- translations of a VM ---- */

void thv_flush_vm_init(struct thv_flush_vm *vm)
{
	*vm = (struct thv_flush_vm){ .removed = 1, .released = 1 };
}

/**
 * thv_flush_removed() - Something is out of the tables that a processor may have cached.
 * @vm: whose tables.
 *
 * After it has been taken out, not before: a flush that comes in between forgets it and does not know.
 * That one more flush is asked for then, does no harm; the other way round one would be missed.
 */
void thv_flush_removed(struct thv_flush_vm *vm)
{
	WRITE_ONCE(vm->removed, vm->removed + 1);
}

/* All that is out may be reused from now on. */
void thv_flush_released(struct thv_flush_vm *vm)
{
	WRITE_ONCE(vm->released, vm->removed);
}

/**
 * thv_flush_may_hold() - Is a vCPU in the guest with what is out of the tables?
 * @vm: its VM.
 * @vcpu: the vCPU.
 */
bool thv_flush_may_hold(const struct thv_flush_vm *vm, const struct thv_flush_vcpu *vcpu)
{
	u64 inside = READ_ONCE(vcpu->inside);

	return inside && inside - 1 < vm->removed;
}

void thv_flush_vcpu_init(struct thv_flush_vcpu *vcpu)
{
	*vcpu = (struct thv_flush_vcpu){ .cpu = -1 };
}

/* What a flush that begins now is sure to cover: the number for thv_flush_done(). */
u64 thv_flush_begin(const struct thv_flush_vm *vm)
{
	return READ_ONCE(vm->removed);
}

/**
 * thv_flush_done() - A CPU has forgotten all that the vCPU could use of its VM's tables.
 * @vcpu: loaded there.
 * @cpu: the CPU.
 * @number: of thv_flush_begin(), from before the instruction.
 */
void thv_flush_done(struct thv_flush_vcpu *vcpu, int cpu, u64 number)
{
	vcpu->cpu = cpu;
	vcpu->forgotten = number;
}

/**
 * thv_flush_enter() - A vCPU goes into the guest.
 * @vm: its VM.
 * @vcpu: the vCPU.
 * @cpu: where.
 *
 * Return: false: it must not, for this CPU may hold what has been let go.
 */
bool thv_flush_enter(const struct thv_flush_vm *vm, struct thv_flush_vcpu *vcpu, int cpu)
{
	WRITE_ONCE(vcpu->inside, vcpu->forgotten + 1);
	return vcpu->cpu == cpu && vcpu->forgotten >= READ_ONCE(vm->released);
}

void thv_flush_exit(struct thv_flush_vcpu *vcpu)
{
	WRITE_ONCE(vcpu->inside, 0);
}

/* ---- tags ---- */

static u32 *held(struct thv_flush_tags *tags, int cpu, u32 tag)
{
	return &tags->held[(size_t)cpu * tags->tags + tag - 1];
}

/**
 * thv_flush_tag_taken() - A tag is a new vCPU's.
 * @tags: the tags.
 * @tag: which.
 *
 * Return: the owner's number; 0: it is another's already.
 */
u32 thv_flush_tag_taken(struct thv_flush_tags *tags, u32 tag)
{
	u32 owner = atomic_inc_return(&tags->next);

	if (tags->owner[tag - 1])
		return 0;
	tags->owner[tag - 1] = owner;
	return owner;
}

/* Its vCPU is gone, and can go nowhere any more. false: it was not its. */
bool thv_flush_tag_given_back(struct thv_flush_tags *tags, u32 tag, u32 owner)
{
	bool was = tags->owner[tag - 1] == owner;

	tags->owner[tag - 1] = 0;
	return was;
}

/* A CPU has forgotten what it held under a tag, whosever it was. */
void thv_flush_tag_forgotten(struct thv_flush_tags *tags, int cpu, u32 tag)
{
	*held(tags, cpu, tag) = 0;
}

/* ... and under all. */
void thv_flush_tags_forgotten(struct thv_flush_tags *tags, int cpu)
{
	memset(held(tags, cpu, 1), 0, tags->tags * sizeof(u32));
}

/**
 * thv_flush_tag_enter() - A vCPU goes into the guest with a tag.
 * @tags: the tags.
 * @cpu: where.
 * @tag: which.
 * @owner: its number.
 *
 * Return: false: it must not: the tag is another's, or this CPU may hold what another left.
 */
bool thv_flush_tag_enter(struct thv_flush_tags *tags, int cpu, u32 tag, u32 owner)
{
	u32 *here = held(tags, cpu, tag);
	bool good = tags->owner[tag - 1] == owner && (!*here || *here == owner);

	*here = owner;
	return good;
}
