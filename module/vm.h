/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A VM: what its descriptors share. See vm.c for its life.
 *
 * Locks, outermost first (Documentation/locking.rst):
 *   vm->lock		mutex: vCPU creation, irqfd and ioeventfd lists
 *   vcpu->busy		mutex: THV_RUN and the state ioctls of one vCPU, only tried
 *   vcpu->lock		mutex: the state of one vCPU
 *   vm->slots_lock	mutex: writers of the slot table (readers: vm->slots_srcu)
 *   vm->mmu_lock	rwlock: the second-level tables; notifiers take it, so no sleeping under it
 */
#ifndef THV_VM_H
#define THV_VM_H

#include <linux/kref.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/srcu.h>
#include <linux/types.h>
#include <linux/uidgid.h>
#include <linux/wait.h>
#include "../uapi/thv.h"
#include "memory.h"

struct thv_vcpu;

struct thv_vm {
	struct kref ref;		/* descriptors of it and its vCPUs */
	struct kref number;		/* keeps id and struct: all of ref, control descriptors */
	u32 id;
	kuid_t owner;
	struct mm_struct *mm;		/* of the creator; kept from being freed, may be empty */
	char name[THV_NAME_LEN];
	u32 flags;			/* THV_VM_* */
	u32 paging;			/* enum thv_paging, resolved */
	u64 features;			/* THV_FEATURE_* in use */

	struct mutex lock;		/* see above */
	u32 state;			/* enum thv_vm_state; written by cmpxchg, read anywhere */
	atomic_t running;		/* vCPUs between thv_vm_run_begin() and _end() */
	wait_queue_head_t state_wait;	/* for changes of these two */
	u32 nr_vcpus;			/* vcpus[] in use; written under lock */
	struct thv_vcpu *vcpus[THV_MAX_VCPUS];	/* by id; set once, published with release */

	struct thv_memory_map memory;	/* memory.h */
	struct thv_eventfds *eventfds;	/* eventfd.c's own */

	/* paravirtual clock: hypercall.c */
	u64 tsc_offset;			/* the guest's TSC from the host's; msr.c */
	u64 wall_clock_gpa;
};

static inline struct thv_vcpu *thv_vm_vcpu(struct thv_vm *vm, u32 id)
{
	/* pairs with the release of whoever created it */
	return id < THV_MAX_VCPUS ? smp_load_acquire(&vm->vcpus[id]) : NULL;
}

/* The first vCPU from *@id on; *@id becomes its id. NULL: there is none */
static inline struct thv_vcpu *thv_vm_vcpu_from(struct thv_vm *vm, unsigned int *id)
{
	struct thv_vcpu *vcpu;

	for (; *id < THV_MAX_VCPUS; ++*id) {
		vcpu = thv_vm_vcpu(vm, *id);
		if (vcpu)
			return vcpu;
	}
	return NULL;
}

#define thv_for_each_vcpu(i, vcpu, vm) \
	for ((i) = 0; ((vcpu) = thv_vm_vcpu_from(vm, &(i))); (i)++)

/* vm.c */
struct file *thv_vm_create(struct thv_create_vm *args);	/* ioctl.c makes it a descriptor */
struct file *thv_vm_open(const struct thv_open_vm *args);
void thv_vm_get(struct thv_vm *vm);
void thv_vm_put(struct thv_vm *vm);
/* Is the caller the process the VM belongs to, and is the VM alive? 0 or -EIO. */
int thv_vm_check(const struct thv_vm *vm);
/* An inconsistency of our own: DEAD from now on, one WARN with @why. Any context. */
void thv_vm_kill(struct thv_vm *vm, const char *why);
/*
 * A vCPU's thread runs between these two, and THV_CONTROL waits for it to stop doing so. begin
 * waits while the VM is PAUSED: 0, go on; -EINTR, a signal; -ESHUTDOWN, STOPPED; -EIO, DEAD. On
 * THV_REQ_STATE: end, then begin again. Nothing is loaded and nothing locked but vcpu->busy.
 */
int thv_vm_run_begin(struct thv_vm *vm);
void thv_vm_run_end(struct thv_vm *vm);
/* The machine goes down: every VM is STOPPED, and (but for a hung one) has left the processors. */
void thv_vm_stop_all(void);
static inline u32 thv_vm_state(const struct thv_vm *vm) { return READ_ONCE(vm->state); }

#endif
