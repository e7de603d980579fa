// SPDX-License-Identifier: GPL-2.0-only
/*
 * At each access to device memory the instruction has to be found that made it, and its address is a
 * linear one. The module would tell where that leads (THV_TRANSLATE), for the price of a system call
 * each time. But the guest's tables lie in memory that the launcher has before its eyes, and the
 * module's walker is one file that runs here as well.
 *
 * Only looked at: where a flag of an entry is still to be set, or the answer is a fault, the module does
 * that, which knows of logs and shadow tables.
 *
 * A driver that writes to its device does so from the same place again and again. So the last way is kept, with
 * its entries as they were: if the mode is the same, and each entry still says what it said, it leads to where it
 * led. The entries are read each time; what is saved is to find out what they mean.
 */
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/string.h>
#include <asm/processor-flags.h>

#include "module/paging/walk.h"
#include "vmm/translate.h"

static int leave_it_to_the_module(void *opaque, u64 gpa, u64 old, u64 new, unsigned int size)
{
	(void)opaque, (void)gpa, (void)old, (void)new, (void)size;
	return -EPERM;
}

static bool same_mode(const struct translate_last *last, const struct thv_exit_context *now, u64 ac)
{
	const struct thv_exit_context *then = &last->context;

	return then->cr3 == now->cr3 && then->cr0 == now->cr0 && then->cr4 == now->cr4 &&
	       then->efer == now->efer && last->ac == ac &&
	       !memcmp(then->pdptr, now->pdptr, sizeof(now->pdptr));
}

static bool unchanged(const struct translate_memory *memory, const struct translate_last *last)
{
	unsigned int size = last->context.cr4 & X86_CR4_PAE ? 8 : 4;
	u32 i;

	for (i = 0; i < last->levels; i++) {
		u64 entry;

		if (memory->read(memory->opaque, last->level[i].address, &entry, size) ||
		    entry != last->level[i].entry)
			return false;
	}
	return true;
}

#define PAGE_BITS	0xfffULL

static bool leads_there_still(const struct thv_run *run, const struct translate_memory *memory,
			      const struct translate_last *last, u64 gla, u32 access)
{
	return last->levels && !((last->gla ^ gla) & ~PAGE_BITS) && last->access == access &&
	       same_mode(last, &run->context, run->regs.rflags & X86_EFLAGS_AC) &&
	       unchanged(memory, last);
}

/* PDPTEs that the processor holds belong to the mode */
static void keep(const struct thv_run *run, const struct thv_guest_paging *paging,
		 const struct thv_walk *walk, u64 gla, u32 access, struct translate_last *last)
{
	u32 i, first = thv_is_pae_paging(paging);

	last->context = run->context;
	last->ac = run->regs.rflags & X86_EFLAGS_AC;
	last->gla = gla;
	last->gpa = walk->gpa;
	last->access = access;
	last->levels = 0;
	for (i = first; i < walk->levels; i++, last->levels++) {
		last->level[last->levels].address = walk->level[i].address;
		last->level[last->levels].entry = walk->level[i].entry;
	}
}

/* Whether there are pages of 1 GiB need not be known: if there are, the module knows */
static bool find(const struct thv_run *run, const struct translate_memory *memory,
		 struct translate_last *last, u64 gla, u32 access)
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
	keep(run, &paging, &walk, gla, access, last);
	return true;
}

bool translate_here(const struct thv_run *run, const struct translate_memory *memory,
		    struct translate_last *last, __u64 gla, __u32 access, __u64 *gpa)
{
	if (!leads_there_still(run, memory, last, gla, access) &&
	    !find(run, memory, last, gla, access))
		return false;
	*gpa = (last->gpa & ~PAGE_BITS) | (gla & PAGE_BITS);
	return true;
}
