// SPDX-License-Identifier: GPL-2.0-only
/*
 * From the tables to the processors: what was taken out is forgotten everywhere before it is let
 * go. In debug builds the flush ledger (flush_ledger.h) follows, and a VM that it finds in the wrong is
 * dead.
 *
 * Locks: mmu_lock, for writing, around the owner's part; the vCPU's part is its thread's, interrupts
 * off.
 */
#include "../vcpu.h"
#include "flush.h"

static struct thv_vm *vm_of(struct thv_tables *tables)
{
	return container_of(tables, struct thv_vm, memory.tables);
}

/* thv_tables_owner.flush */
void thv_flush_all(struct thv_tables *tables)
{
	thv_vm_request_all(vm_of(tables), THV_REQ_FLUSH_SECOND);
}

/* thv_tables_owner.released */
void thv_flush_check(struct thv_tables *tables)
{
	struct thv_vm *vm = vm_of(tables);
	struct thv_vcpu *vcpu;
	unsigned int i;

	thv_for_each_vcpu(i, vcpu, vm)
		if (thv_flush_may_hold(&tables->flushes, &vcpu->flushes))
			thv_vm_kill(vm, "memory was let go that a vCPU in the guest may still use");
	thv_flush_released(&tables->flushes);
}

/* Directly before an entry, and directly after the exit */
void thv_flush_entering(struct thv_vcpu *vcpu)
{
	if (!thv_flush_enter(&vcpu->vm->memory.tables.flushes, &vcpu->flushes, vcpu->cpu))
		thv_vm_kill(vcpu->vm, "a vCPU goes into the guest without a flush that was due");
}

void thv_flush_left(struct thv_vcpu *vcpu)
{
	thv_flush_exit(&vcpu->flushes);
}
