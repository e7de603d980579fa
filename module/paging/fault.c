// SPDX-License-Identifier: GPL-2.0-only
/*
 * A second-level fault: the guest touched a guest-physical address for which there is no
 * translation, or one that does not permit it. Either it is memory, and the host is asked for the
 * page; or it is not, and the launcher is asked to act the device. Called by the vCPU's
 * thread, which is the launcher's: the address space at hand is the right one.
 *
 * Locks: none held on entry; mmu_lock taken for the moment of mapping (map.c). The protocol with the
 * MMU notifier is told at the top of notifier.c.
 */
#include <linux/mm.h>
#include "../debug.h"
#include "../eventfd.h"
#include "../trace.h"
#include "../vcpu.h"
#include "map.h"

/* ---- not memory: the launcher's turn ---- */

static enum thv_next mmio_exit(struct thv_vcpu *vcpu, const struct thv_fault *fault, u32 flags)
{
	struct thv_run *run = vcpu->run;

	/* Delivering an event touched it: there is no instruction that could be carried out */
	if (vcpu->events.reinject.valid) {
		trace_thv_page_fault(vcpu, fault, THV_FAULT_UNSUPPORTED);
		return thv_exit_unsupported(vcpu, THV_UNSUPPORTED_EVENT_MMIO, 0,
					    fault->gpa, fault->gla);
	}
	thv_count(vcpu, mmio);
	trace_thv_page_fault(vcpu, fault, THV_FAULT_MMIO);
	if (fault->gla_valid)
		flags |= THV_MMIO_GLA;
	if (fault->table)
		flags |= THV_MMIO_TABLE;
	trace_thv_mmio(vcpu, fault->gpa, fault->gla_valid ? fault->gla : 0, fault->access, flags);
	thv_backend->get_context(vcpu, &run->context);
	run->exit = THV_EXIT_MMIO;
	run->mmio = (struct thv_exit_mmio){
		.gpa = fault->gpa,
		.gla = fault->gla_valid ? fault->gla : 0,
		.access = fault->access,
		.flags = flags,
	};
	return THV_NEXT_USER;
}

static bool rings_doorbell(struct thv_vcpu *vcpu, const struct thv_fault *fault)
{
	if (!(fault->access & THV_ACCESS_WRITE) || fault->table || vcpu->events.reinject.valid)
		return false;
	/*
	 * If the length turns out to be unknown, the launcher carries the write out and rings
	 * again: a doorbell says "look", and to look once too often does no harm.
	 */
	if (!thv_doorbell_mmio(vcpu->vm, fault->gpa) || !thv_skip_instruction(vcpu))
		return false;
	thv_count(vcpu, doorbells);
	trace_thv_page_fault(vcpu, fault, THV_FAULT_DOORBELL);
	return true;
}

static enum thv_next not_memory(struct thv_vcpu *vcpu, const struct thv_fault *fault)
{
	if (fault->access & THV_ACCESS_EXECUTE) {
		trace_thv_page_fault(vcpu, fault, THV_FAULT_UNSUPPORTED);
		return thv_exit_unsupported(vcpu, THV_UNSUPPORTED_FETCH, 0,
					    fault->gpa, fault->gla);
	}
	if (rings_doorbell(vcpu, fault))
		return THV_NEXT_RESUME;
	return mmio_exit(vcpu, fault, 0);
}

/* ---- memory: ask the host, then map ---- */

/* The page is in the table, at this level; or -EAGAIN, or the host has said no. */
static int resolve(struct thv_vcpu *vcpu, const struct thv_slot *slot, u64 gfn, u32 access,
		   unsigned long seq)
{
	bool may_write = !(slot->flags & THV_MEMORY_READONLY);
	u64 hva = thv_slot_hva(slot, gfn);
	struct thv_host_page got;
	int err;

	err = thv_host_ask(hva, access & THV_ACCESS_WRITE, may_write, &got);
	if (err)
		return err;
	err = thv_memory_fill(&vcpu->vm->memory);
	if (!err)
		err = thv_map(vcpu, slot, gfn, &got, access, seq);
	/* Not pinned: from here on the notifier is what keeps the mapping right */
	put_page(got.page);
	return err;
}

/*
 * Where the processor has no accessed flags, a page that was asked about is parked (touched.c): it is
 * there, and this is its next use. The notifier has kept it right meanwhile.
 */
static bool was_parked(struct thv_vcpu *vcpu, u64 gfn, u32 access)
{
	struct thv_memory_map *map = &vcpu->vm->memory;
	const struct thv_table_format *format = map->tables.format;
	u64 needs = (access & THV_ACCESS_WRITE ? format->writable : 0) |
		    (access & THV_ACCESS_EXECUTE ? format->executable : 0);
	unsigned int level;

	if (format->accessed)
		return false;
	write_lock(&map->mmu_lock);
	level = thv_table_unpark(&map->tables, gfn, needs);
	if (THV_DEBUG && level)
		thv_memory_check(vcpu->vm, gfn);
	write_unlock(&map->mmu_lock);
	if (level)
		thv_count(vcpu, faults_unparked);
	return level;
}

static enum thv_next memory_fault_exit(struct thv_vcpu *vcpu, const struct thv_fault *fault,
				       const struct thv_slot *slot, int err)
{
	struct thv_run *run = vcpu->run;

	trace_thv_page_fault(vcpu, fault, THV_FAULT_MEMORY);
	run->exit = THV_EXIT_MEMORY_FAULT;
	run->memory_fault = (struct thv_exit_memory_fault){
		.gpa = fault->gpa,
		.hva = thv_slot_hva(slot, fault->gpa >> PAGE_SHIFT) + offset_in_page(fault->gpa),
		.access = fault->access,
		.error = -err,
	};
	return THV_NEXT_USER;
}

/*
 * A copy: a fault may wait for the host a long time (a userfaultfd's owner, say), and nobody
 * who changes slots shall wait with it. @seq tells whether it is still good.
 */
static bool copy_slot(struct thv_memory_map *map, u64 gfn, struct thv_slot *slot)
{
	int idx = srcu_read_lock(&map->slots_srcu);
	const struct thv_slot *found = thv_slots_find(thv_memory_slots(map), gfn);

	if (found)
		*slot = *found;
	srcu_read_unlock(&map->slots_srcu, idx);
	return found;
}

/**
 * thv_memory_no_page() - An access that would be right finds no page.
 * @vcpu: whose.
 * @fault: what it was about.
 * @err: why: -ENOMEM.
 *
 * Return: to user, with @vcpu->run filled in.
 */
enum thv_next thv_memory_no_page(struct thv_vcpu *vcpu, const struct thv_fault *fault, int err)
{
	struct thv_slot slot;

	if (!copy_slot(&vcpu->vm->memory, fault->gpa >> PAGE_SHIFT, &slot))
		slot = (struct thv_slot){ .gfn = fault->gpa >> PAGE_SHIFT };
	return memory_fault_exit(vcpu, fault, &slot, err);
}

/*
 * A thread of the host's is between its two calls of the notifier. Perhaps it has just lost its CPU,
 * to us: right before the second call the kernel looks whether somebody else should run. To ask
 * again and again would only keep it from its end. So wait for that; but not longer than a
 * jiffy, as others may have begun by then.
 */
static void let_host_finish(struct thv_memory_map *map)
{
	wait_event_interruptible_timeout(map->settled, !READ_ONCE(map->invalidating), 1);
	cond_resched();
}

static void count_by_kind(struct thv_vcpu *vcpu, u32 access)
{
	thv_count(vcpu, faults);
	if (access & THV_ACCESS_EXECUTE)
		thv_count(vcpu, faults_fetch);
	else if (access & THV_ACCESS_WRITE)
		thv_count(vcpu, faults_write);
	else
		thv_count(vcpu, faults_read);
}

/**
 * thv_memory_quick() - What can be done about a second-level fault with interrupts off: ring a doorbell.
 * @vcpu: whose; loaded, and this is its thread.
 * @fault: what it is about.
 *
 * Return: true, it has been, and the guest may go on; false, nothing has been done.
 */
bool thv_memory_quick(struct thv_vcpu *vcpu, const struct thv_fault *fault)
{
	struct thv_memory_map *map = &vcpu->vm->memory;
	int idx = srcu_read_lock(&map->slots_srcu);
	bool memory;

	memory = thv_slots_find(thv_memory_slots(map), fault->gpa >> PAGE_SHIFT);
	srcu_read_unlock(&map->slots_srcu, idx);
	if (memory || !rings_doorbell(vcpu, fault))
		return false;
	count_by_kind(vcpu, fault->access);
	return true;
}

/**
 * thv_memory_fault() - Answer a second-level fault.
 * @vcpu: whose; loaded, and this is its thread.
 * @fault: what it was about.
 *
 * Context: may sleep.
 * Return: resume (mapped, a doorbell rung, or simply try again: the run loop looks at signals), or
 * to user with @vcpu->run filled in.
 */
enum thv_next thv_memory_fault(struct thv_vcpu *vcpu, const struct thv_fault *fault)
{
	struct thv_memory_map *map = &vcpu->vm->memory;
	unsigned long seq = smp_load_acquire(&map->seq);	/* before the slot is looked at */
	u64 gfn = fault->gpa >> PAGE_SHIFT;
	struct thv_slot slot;
	int err;

	count_by_kind(vcpu, fault->access);
	if (!copy_slot(map, gfn, &slot))
		return not_memory(vcpu, fault);
	if ((fault->access & THV_ACCESS_WRITE) && (slot.flags & THV_MEMORY_READONLY))
		return mmio_exit(vcpu, fault, THV_MMIO_READONLY);
	if ((fault->access & THV_ACCESS_EXECUTE) && (slot.flags & THV_MEMORY_NOEXEC))
		return memory_fault_exit(vcpu, fault, &slot, -EACCES);

	if (was_parked(vcpu, gfn, fault->access)) {
		trace_thv_page_fault(vcpu, fault, THV_FAULT_UNPARKED);
		return THV_NEXT_RESUME;
	}
	err = slot.flags & THV_SLOT_DYING ? -EAGAIN :
	      resolve(vcpu, &slot, gfn, fault->access, seq);
	if (err > 0) {
		trace_thv_page_fault(vcpu, fault, err);
		return THV_NEXT_RESUME;
	}
	if (err != -EAGAIN && err != -EINTR) {
		thv_count(vcpu, faults_refused);
		return memory_fault_exit(vcpu, fault, &slot, err);
	}
	trace_thv_page_fault(vcpu, fault, THV_FAULT_RETRY);
	if (err == -EAGAIN) {
		thv_count(vcpu, faults_retried);
		let_host_finish(map);
	}
	return THV_NEXT_RESUME;
}
