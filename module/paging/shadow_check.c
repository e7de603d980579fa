// SPDX-License-Identifier: GPL-2.0-only
/*
 * The shadow tables held against what they are made of: in a debug build, after each fault and each flush.
 * What shadow.h promises is stated here once more, entry by entry, without a look at how it is kept.
 *
 * Not checked is whether an entry is what the guest's table says now: out of step it need not be, and in
 * step the launcher may have written the table past us, which is its guest's business.
 */
#include <linux/io.h>
#include <linux/mm.h>
#include "../debug.h"
#include "../vcpu.h"
#include "shadow.h"

static u64 frame_of(const struct thv_shadow_table *table, u32 index)
{
	return table->role.direct ? table->gfn + index :
	       (table->guest[index] & GENMASK_ULL(51, 12)) >> PAGE_SHIFT;
}

/* A page: the frame that the map has there, nothing that the map forbids, no write to a table in step */
static bool page_holds(struct thv_vm *vm, const struct thv_shadow_table *table, u32 index)
{
	const struct thv_tables *map = &vm->memory.tables;
	u64 entry = READ_ONCE(table->entries[index]), gfn = frame_of(table, index), leaf;
	unsigned int level;

	leaf = thv_table_lookup(map, gfn, &level);
	if (!leaf || !(entry & _PAGE_PRESENT))
		return false;
	leaf += (gfn & (thv_table_frames(level) - 1)) << PAGE_SHIFT;
	if ((entry & PTE_PFN_MASK) != (leaf & map->format->address))
		return false;
	if (!(entry & _PAGE_NX) && !(leaf & map->format->executable))
		return false;
	if (!(entry & _PAGE_RW))
		return true;
	return (leaf & map->format->writable) && !thv_shadow_in_step(vm->memory.shadow, gfn);
}

static bool same_mode(union thv_shadow_role a, union thv_shadow_role b)
{
	return a.format == b.format && a.wp == b.wp && a.nx == b.nx && a.smep == b.smep;
}

/* A table: one of ours, a level below, seen in the same mode, that permits no more than this one */
static bool link_holds(const struct thv_shadow_table *table, u32 index)
{
	const struct thv_shadow_table *child = thv_shadow_child(table->entries[index]);

	if (!child || virt_to_phys(child->entries) != (table->entries[index] & PTE_PFN_MASK))
		return false;
	return child->role.level + 1 == table->role.level && same_mode(child->role, table->role) &&
	       !(child->role.access & ~table->role.access);
}

static bool entry_holds(struct thv_vm *vm, const struct thv_shadow_table *table, u32 index)
{
	return table->role.level == 1 ? page_holds(vm, table, index) : link_holds(table, index);
}

static bool table_holds(struct thv_vm *vm, const struct thv_shadow_table *table)
{
	u32 i;

	for (i = 0; i < THV_TABLE_ENTRIES; i++) {
		if (!table->entries[i] != !test_bit(i, table->in_use))
			return false;
		if (table->entries[i] && !entry_holds(vm, table, i))
			return false;
	}
	return true;
}

/**
 * thv_shadow_check() - Does the table used last hold what shadow.h promises? Else the VM is dead.
 * @vm: the VM.
 *
 * A VM has thousands of them, and guests fault and flush often; each is the last one at some time.
 *
 * Context: mmu_lock held for writing. In an ordinary build nothing.
 */
void thv_shadow_check(struct thv_vm *vm)
{
	const struct thv_shadow *shadow = vm->memory.shadow;

	if (THV_DEBUG && !list_empty(&shadow->tables))
		thv_assert(vm, table_holds(vm, list_last_entry(&shadow->tables, struct thv_shadow_table, lru)));
}
