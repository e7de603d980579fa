/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Guest-physical memory: slots over the creator's user memory, and the second-level tables
 * that follow them. memory.c owns the slots and the MMU notifier, paging/ the tables.
 */
#ifndef THV_MEMORY_H
#define THV_MEMORY_H

#include <linux/types.h>
#include "backend.h"

struct thv_vm;
struct thv_vcpu;

#include "memory_types.h"	/* struct thv_memory_map: the insides */

/**
 * struct thv_fault - a second-level fault, from the backend.
 * @gpa: what was accessed.
 * @gla: the linear address; valid if @gla_valid.
 * @access: THV_ACCESS_READ|WRITE|EXECUTE.
 * @present: the second level had a translation, its permissions refused.
 * @table: the access was the guest's own page walk.
 */
struct thv_fault {
	u64 gpa;
	u64 gla;
	u32 access;
	bool gla_valid, present, table;
};

/* What became of it, for who watches */
enum thv_fault_outcome {
	THV_FAULT_MAPPED = 1,	/* 1 to 3: the level of the page */
	THV_FAULT_HUGE = 2,
	THV_FAULT_GBYTE = 3,
	THV_FAULT_UNPARKED,	/* it was there, and its next use is noted now */
	THV_FAULT_MMIO,		/* it is not memory: the launcher acts the device */
	THV_FAULT_DOORBELL,
	THV_FAULT_MEMORY,	/* the host does not give the page */
	THV_FAULT_RETRY,	/* the host was changing it */
	THV_FAULT_UNSUPPORTED,
};

/* What the MMU notifier hears */
enum thv_notice {
	THV_NOTICE_INVALIDATE,	/* the host begins to change its table */
	THV_NOTICE_INVALIDATED,	/* it has */
	THV_NOTICE_AGE,		/* has the guest used it? and forget that */
	THV_NOTICE_TEST,	/* ... only asked */
	THV_NOTICE_RELEASE,	/* the launcher's address space goes */
};

/*
 * Answers a fault: maps a page, rings a doorbell, or fills vcpu->run (MMIO, MEMORY_FAULT,
 * UNSUPPORTED). May sleep.
 */
enum thv_next thv_memory_fault(struct thv_vcpu *vcpu, const struct thv_fault *fault);
/* The same, as far as it can be done with interrupts off; false: nothing has been done */
bool thv_memory_quick(struct thv_vcpu *vcpu, const struct thv_fault *fault);

/* There is no page for an access, by no fault of the guest's: fills vcpu->run (MEMORY_FAULT). */
enum thv_next thv_memory_no_page(struct thv_vcpu *vcpu, const struct thv_fault *fault, int err);

int thv_memory_init(struct thv_vm *vm);		/* also registers the MMU notifier on current->mm */
void thv_memory_destroy(struct thv_vm *vm);
int thv_memory_set(struct thv_vm *vm, const struct thv_memory *args);
int thv_memory_get_dirty(struct thv_vm *vm, struct thv_bitmap *args);
int thv_memory_get_accessed(struct thv_vm *vm, struct thv_bitmap *args);
unsigned int thv_memory_largest(const struct thv_vm *vm);	/* level of the largest pages */
u64 thv_memory_root(struct thv_vm *vm);		/* host-physical: the second level's root table */
u64 thv_memory_ept_pointer(struct thv_vm *vm);	/* ... as an EPT pointer (SDM 25.6.11) */

/*
 * A page of the module's own in guest-physical space (the APIC-access page, the identity page
 * table): mapped at once and for the VM's life, invisible to slots (overlap is -EEXIST).
 * @writable as in the tables.
 */
int thv_memory_map_private(struct thv_vm *vm, u64 gpa, struct page *page, bool writable);

/*
 * Guest memory as the module reads and writes it: through the user mapping, marks dirty; may
 * sleep. 0 or -EFAULT.
 */
int thv_read_guest(struct thv_vm *vm, u64 gpa, void *data, size_t len);
int thv_write_guest(struct thv_vm *vm, u64 gpa, const void *data, size_t len);

/*
 * An entry of the guest's tables, in one step. The second changes it: -EAGAIN, it is not @old; -EROFS.
 */
int thv_load_guest(struct thv_vm *vm, u64 gpa, u64 *entry, unsigned int size);
int thv_cmpxchg_guest(struct thv_vm *vm, u64 gpa, u64 old, u64 new, unsigned int size);

/*
 * ... and for somebody who only looks, from any process that has done mmget_not_zero(vm->mm):
 * peek.c. 0, -ENXIO or -EINTR.
 */
int thv_peek_guest(struct thv_vm *vm, u64 gpa, void *data, size_t len);

/* THV_TRANSLATE; paging/translate.c. The vCPU is loaded and does not run. */
int thv_translate(struct thv_vcpu *vcpu, struct thv_translate *args);
/* ... with memory as thv_peek_guest() reads it */
int thv_translate_peek(struct thv_vcpu *vcpu, struct thv_translate *args);

/* Load PDPTEs from guest memory for PAE paging; false: a reserved bit is set (#GP). SDM 4.4.1. */
bool thv_load_pdptrs(struct thv_vcpu *vcpu, u64 cr3, u64 pdptr[4]);

#endif
