// SPDX-License-Identifier: GPL-2.0-only
/*
 * At each access to device memory the instruction has to be found that made it, and its address is a
 * linear one. The module would tell where that leads (THV_TRANSLATE), for the price of a system call
 * each time. But the guest's tables lie in memory that the launcher has before its eyes, and the
 * module's walker is one file that runs here as well.
 *
 * Only looked at: where a flag of an entry is still to be set, or the answer is a fault, the module does
 * that, which knows of logs and shadow tables.
 */
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/string.h>

#include "module/paging/walk.h"
#include "vmm/translate.h"

static int leave_it_to_the_module(void *opaque, u64 gpa, u64 old, u64 new, unsigned int size)
{
	(void)opaque, (void)gpa, (void)old, (void)new, (void)size;
	return -EPERM;
}

/* Whether there are pages of 1 GiB need not be known: if there are, the module knows */
bool translate_here(const struct thv_run *run, const struct translate_memory *memory, __u64 gla,
		    __u32 access, __u64 *gpa)
{
	const struct thv_exit_context *context = &run->context;
	struct thv_guest_paging paging = {
		.cr0 = context->cr0,
		.cr3 = context->cr3,
		.cr4 = context->cr4,
		.efer = context->efer,
		.rflags = run->regs.rflags,
		.phys_bits = memory->phys_bits,
	};
	const struct thv_walk_memory entries = { memory->read, leave_it_to_the_module, memory->opaque };
	struct thv_walk walk;

	memcpy(paging.pdptr, context->pdptr, sizeof(paging.pdptr));
	if (thv_walk(&paging, &entries, gla, access, &walk) != THV_WALK_OK)
		return false;
	*gpa = walk.gpa;
	return true;
}
