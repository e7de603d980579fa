// SPDX-License-Identifier: GPL-2.0-only
/*
 * THV_TRANSLATE: a linear address through the guest's tables and then the second level, each
 * entry shown on the way; and the guest's PDPTEs. Looks and changes nothing.
 *
 * Called by the thread that holds vcpu->lock: the launcher's, or one that looks from outside, for
 * which memory is read another way (peek.c). Tables are read under mmu_lock.
 */
#include <linux/capability.h>
#include <linux/mm.h>
#include <linux/uaccess.h>
#include <asm/cpufeatures.h>
#include "../cpuid.h"
#include "../vcpu.h"
#include "ept.h"
#include "walk.h"

static int read_entry(void *opaque, u64 gpa, u64 *entry, unsigned int size)
{
	return thv_load_guest(opaque, gpa, entry, size);
}

static int peek_entry(void *opaque, u64 gpa, u64 *entry, unsigned int size)
{
	*entry = 0;
	return thv_peek_guest(opaque, gpa, entry, size);
}

static void get_paging(struct thv_vcpu *vcpu, struct thv_guest_paging *paging)
{
	struct thv_sregs sregs = {};

	thv_backend->get_sregs(vcpu, &sregs);
	thv_backend->read_regs(vcpu);
	*paging = (struct thv_guest_paging){
		.cr0 = sregs.cr0,
		.cr3 = sregs.cr3,
		.cr4 = sregs.cr4,
		.efer = sregs.efer,
		.rflags = vcpu->regs.rflags,
		.phys_bits = thv_guest_phys_bits(),
		.gbyte_pages = thv_guest_has(X86_FEATURE_GBPAGES),
	};
	memcpy(paging->pdptr, sregs.pdptr, sizeof(paging->pdptr));
}

/* Is there a byte? The answer may be old when it arrives; it is for people. */
static bool readable(struct thv_vm *vm, const struct thv_translate *args, bool peek)
{
	u8 byte;

	if (peek)
		return !thv_peek_guest(vm, args->gpa, &byte, 1);
	return !copy_from_user(&byte, u64_to_user_ptr(args->hva), 1);
}

/* Where host memory lies, to those who may know it */
static void hide(struct thv_translate_level *level, u32 levels, u64 address)
{
	u32 i;

	for (i = 0; i < levels; i++) {
		level[i].address = 0;
		level[i].entry &= ~address;
	}
}

/* What the processor walks under shadow paging. A guest-physical address has no place there. */
static void show_shadow(struct thv_vcpu *vcpu, struct thv_translate *args)
{
	struct thv_memory_map *map = &vcpu->vm->memory;

	args->paging = vcpu->vm->paging;
	if (!map->shadow || (args->access & THV_ACCESS_PHYSICAL))
		return;
	read_lock(&map->mmu_lock);
	args->shadow_levels = thv_shadow_trace(vcpu, args->gla, args->shadow);
	read_unlock(&map->mmu_lock);
	if (!capable(CAP_SYS_ADMIN))
		hide(args->shadow, args->shadow_levels, PTE_PFN_MASK);
}

/*
 * The second level's part. Where host memory lies physically is not for everybody to know
 * (as with /proc/PID/pagemap): without the capability, addresses read 0.
 */
static bool show_second(struct thv_vm *vm, struct thv_translate *args)
{
	struct thv_memory_map *map = &vm->memory;
	bool mapped;

	if (args->gpa >> map->limits.phys_bits)
		return false;
	read_lock(&map->mmu_lock);
	args->second_levels = thv_table_trace(&map->tables, args->gpa >> PAGE_SHIFT, args->second);
	read_unlock(&map->mmu_lock);

	/* One that is parked is not: the next touch is a fault */
	mapped = args->second[args->second_levels - 1].flags & THV_LEVEL_PRESENT;
	if (!capable(CAP_SYS_ADMIN))
		hide(args->second, args->second_levels, map->tables.format->address);
	return mapped;
}

static bool find_hva(struct thv_vm *vm, struct thv_translate *args)
{
	struct thv_memory_map *map = &vm->memory;
	const struct thv_slot *slot;
	int idx;

	idx = srcu_read_lock(&map->slots_srcu);
	slot = thv_slots_find(thv_memory_slots(map), args->gpa >> PAGE_SHIFT);
	if (slot)
		args->hva = thv_slot_hva(slot, args->gpa >> PAGE_SHIFT) +
			    offset_in_page(args->gpa);
	srcu_read_unlock(&map->slots_srcu, idx);
	return slot;
}

static u32 second_result(struct thv_vm *vm, struct thv_translate *args, bool peek)
{
	bool mapped = show_second(vm, args);

	if (!find_hva(vm, args))
		return THV_TRANSLATE_NO_SLOT;
	if (mapped)
		return THV_TRANSLATE_OK;
	return readable(vm, args, peek) ? THV_TRANSLATE_NOT_MAPPED : THV_TRANSLATE_HOST_FAULT;
}

static void show_walk(const struct thv_walk *walk, struct thv_translate *args)
{
	args->gpa = walk->gpa;
	args->error_code = walk->error_code;
	args->permissions = walk->permissions;
	args->page_size = walk->page_size;
	args->levels = walk->levels;
	memcpy(args->level, walk->level, sizeof(args->level));
}

static void show_paging(const struct thv_guest_paging *paging, struct thv_translate *args)
{
	args->cr0 = paging->cr0;
	args->cr3 = paging->cr3;
	args->cr4 = paging->cr4;
	args->efer = paging->efer;
	args->rflags = paging->rflags;
	args->phys_bits = paging->phys_bits;
}

/* The address is guest-physical already. */
static enum thv_walk_result no_walk(u64 gpa, struct thv_walk *walk)
{
	*walk = (struct thv_walk){
		.gpa = gpa,
		.permissions = THV_ACCESS_READ | THV_ACCESS_WRITE | THV_ACCESS_EXECUTE |
			       THV_ACCESS_USER,
	};
	return THV_WALK_OK;
}

static int follow(struct thv_vcpu *vcpu, struct thv_translate *args, bool peek)
{
	struct thv_walk_memory memory = {
		.read = peek ? peek_entry : read_entry, .opaque = vcpu->vm,
	};
	struct thv_guest_paging paging;
	enum thv_walk_result result;
	struct thv_walk walk;

	if ((args->access & ~(THV_ACCESS_READ | THV_ACCESS_WRITE | THV_ACCESS_EXECUTE |
			      THV_ACCESS_USER | THV_ACCESS_IMPLICIT | THV_ACCESS_PHYSICAL)) ||
	    args->reserved)
		return -EINVAL;
	*args = (struct thv_translate){ .gla = args->gla, .access = args->access };

	get_paging(vcpu, &paging);
	show_paging(&paging, args);
	if (args->access & THV_ACCESS_PHYSICAL)
		result = no_walk(args->gla, &walk);
	else
		result = thv_walk(&paging, &memory, args->gla, args->access, &walk);
	show_walk(&walk, args);
	show_shadow(vcpu, args);
	if (result == THV_WALK_FAULT)
		args->result = THV_TRANSLATE_GUEST_FAULT;
	else if (result == THV_WALK_NON_CANONICAL)
		args->result = THV_TRANSLATE_NON_CANONICAL;
	else
		args->result = second_result(vcpu->vm, args, peek);
	/* A table that is in a slot, and yet could not be read */
	if (result == THV_WALK_NO_TABLE && args->result != THV_TRANSLATE_NO_SLOT)
		args->result = THV_TRANSLATE_HOST_FAULT;
	return 0;
}

/**
 * thv_translate() - THV_TRANSLATE.
 * @vcpu: the vCPU, loaded, not running; it is the caller's process's.
 * @args: see the uapi. For a table that is not memory: NO_SLOT with the entry's @gpa.
 *
 * Context: may sleep.
 * Return: 0, or -EINVAL: an unknown access, or a reserved field is not 0.
 */
int thv_translate(struct thv_vcpu *vcpu, struct thv_translate *args)
{
	return follow(vcpu, args, false);
}

/**
 * thv_translate_peek() - THV_INSPECT_TRANSLATE.
 * @vcpu: the vCPU, loaded, not running; the caller keeps its address space alive.
 * @args: as for thv_translate().
 *
 * Context: may sleep, any process.
 * Return: likewise.
 */
int thv_translate_peek(struct thv_vcpu *vcpu, struct thv_translate *args)
{
	return follow(vcpu, args, true);
}

/**
 * thv_load_pdptrs() - Load the PDPTEs as a MOV to CR3 does with PAE paging (SDM 4.4.1).
 * @vcpu: the vCPU.
 * @cr3: where they are.
 * @pdptr: out; written only on success.
 *
 * Context: may sleep.
 * Return: false: a reserved bit is set, or there is no memory (which reads as all ones, and
 * has reserved bits set): the instruction is a #GP.
 */
bool thv_load_pdptrs(struct thv_vcpu *vcpu, u64 cr3, u64 pdptr[4])
{
	u64 loaded[4];
	int i;

	if (thv_read_guest(vcpu->vm, cr3 & GENMASK_ULL(31, 5), loaded, sizeof(loaded)))
		return false;
	for (i = 0; i < 4; i++)
		if (!thv_pdptr_valid(loaded[i], thv_guest_phys_bits()))
			return false;
	memcpy(pdptr, loaded, sizeof(loaded));
	return true;
}
