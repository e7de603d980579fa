/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A VM: what its descriptors share. See vm.c for its life.
 *
 * Locks, outermost first (Documentation/locking.rst):
 *   vm->lock		mutex: vCPU creation, irqfd and ioeventfd lists
 *   vcpu->busy		mutex: THV_RUN and the state ioctls of one vCPU, only tried
 *   vcpu->lock		mutex: the state of one vCPU
 *   vm->state_lock	mutex: changes of the state, in step with what listeners are told
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
#include <linux/workqueue.h>
#include "../uapi/thv.h"
#include "../uapi/thv_netlink.h"
#include "ledger.h"
#include "memory.h"
#include "stats.h"

struct thv_vcpu;
struct pid;

/**
 * struct thv_why - why something happened to a VM.
 * @cause: enum thv_cause.
 * @vcpu: whose terminal exit it was, for THV_CAUSE_SHUTDOWN and _MACHINE_CHECK.
 * @by: who did it, for THV_CAUSE_LAUNCHER and _CONTROL.
 */
struct thv_why {
	u32 cause;
	u32 vcpu;
	kuid_t by;
};

struct thv_vm {
	struct kref ref;		/* descriptors of it and its vCPUs */
	struct kref number;		/* keeps id and struct: all of ref, control descriptors */
	u32 id;
	kuid_t owner;
	u64 net;			/* cookie of the network namespace that sees it */
	struct pid *creator;
	struct mm_struct *mm;		/* of the creator; kept from being freed, may be empty */
	char name[THV_NAME_LEN];
	u32 flags;			/* THV_VM_* */
	u32 paging;			/* enum thv_paging, resolved */
	u64 features;			/* THV_FEATURE_* in use */

	struct mutex lock;		/* see above */
	u32 state;			/* enum thv_vm_state; written by cmpxchg, read anywhere */
	struct mutex state_lock;	/* see above; not for thv_vm_kill() */
	bool known;			/* listeners have been told that it is there */
	bool started;			/* ... and that it runs; under state_lock */
	struct thv_why end;		/* what ended it first; under state_lock */
	const char *why;		/* ... or of which inconsistency it died; set once */
	struct work_struct tell_death;
	atomic_t running;		/* vCPUs between thv_vm_run_begin() and _end() */
	wait_queue_head_t state_wait;	/* for changes of these two */
	u32 last_helped;		/* vCPU id: spin.c */
	u32 nr_vcpus;			/* vcpus[] in use; written under lock */
	struct thv_vcpu *vcpus[THV_MAX_VCPUS];	/* by id; set once, published with release */

	struct thv_memory_map memory;	/* memory.h */
	struct page *apic_access;	/* the backend's, in its tables; freed after them. Or NULL */
	struct thv_eventfds *eventfds;	/* eventfd.c's own */

	struct thv_ledger_keepers ledger;	/* ledger.h */

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
/* A VM that is in use, with a reference: by its number; the first from a number on. NULL: none. */
struct thv_vm *thv_vm_by_id(u32 id);
struct thv_vm *thv_vm_from(unsigned long id);
/* The counters, summed over its vCPUs */
void thv_vm_counters(struct thv_vm *vm, u64 counter[THV_STATS]);
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
/* The vCPU's thread: its first THV_RUN; its terminal exit, each time that is reported. May sleep. */
void thv_vm_vcpu_started(struct thv_vcpu *vcpu);
void thv_vm_vcpu_ended(struct thv_vcpu *vcpu);
/* What has ended it, if anything. May sleep. */
struct thv_why thv_vm_end(struct thv_vm *vm);
/* The machine goes down: every VM is STOPPED, and (but for a hung one) has left the processors. */
void thv_vm_stop_all(void);
static inline u32 thv_vm_state(const struct thv_vm *vm) { return READ_ONCE(vm->state); }

#endif
