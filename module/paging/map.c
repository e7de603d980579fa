// SPDX-License-Identifier: GPL-2.0-only
/*
 * A page that the host gave is put into the second level: how large, what it permits, and which of its
 * neighbours come with it.
 *
 * Locks: mmu_lock is taken for the moment of mapping. The protocol with the MMU notifier is told at the
 * top of notifier.c.
 */
#include <linux/cpu.h>
#include <linux/io.h>
#include <linux/mm.h>
#include "../debug.h"
#include "../vcpu.h"
#include "host.h"
#include "map.h"

/*
 * On some processors a large page that code is fetched from can be made to hang the machine, by a
 * guest that changes the page's size under its own feet (CVE-2018-12207). There, large pages
 * are not executable; the first fetch from one splits it, and it stays split until the host
 * takes it back.
 */
bool thv_large_pages_hold_no_code(void)
{
	return boot_cpu_has_bug(X86_BUG_ITLB_MULTIHIT) && !cpu_mitigations_off();
}

/* Is an invalidation under way of anything in these user addresses? */
static bool invalidating(const struct thv_memory_map *map, u64 start, u64 end)
{
	return map->invalidating && start < map->invalid_end && map->invalid_start < end;
}

/* Is a page of this size around @gfn the slot's in whole, and at an address that fits? */
static bool fits(struct thv_vm *vm, const struct thv_slot *slot, u64 gfn, unsigned int level)
{
	u64 frames = thv_table_frames(level), first = gfn & ~(frames - 1);
	u64 hva = thv_slot_hva(slot, first);

	return first >= slot->gfn && first + frames <= slot->gfn + slot->pages &&
	       !(hva & ((frames << PAGE_SHIFT) - 1)) &&
	       !invalidating(&vm->memory, hva, hva + (frames << PAGE_SHIFT));
}

/*
 * Only a compound page can be mapped by a large entry of the host's: others need no look at its table.
 * Small pages in the way of a large one give way (thv_table_map()), but not where large ones hold no
 * code: there are small ones for that, and both would be made in turns.
 */
static unsigned int level_for(struct thv_vm *vm, const struct thv_slot *slot, u64 gfn,
			      struct page *page, u32 access)
{
	unsigned int level = thv_memory_largest(vm);

	if (level == 1 || !PageCompound(page) || (slot->flags & THV_MEMORY_LOG_DIRTY) ||
	    ((access & THV_ACCESS_EXECUTE) && thv_large_pages_hold_no_code()))
		return 1;
	level = min(level, thv_host_level(vm->mm, thv_slot_hva(slot, gfn)));
	while (level > 1 &&
	       (!fits(vm, slot, gfn, level) ||
		(thv_large_pages_hold_no_code() &&
		 !thv_table_room(&vm->memory.tables, gfn, level))))
		level--;
	return level;
}

/* Has the host, or who changes slots, been at it since @seq was noted? */
static bool stale(const struct thv_memory_map *map, u64 hva, unsigned long seq)
{
	lockdep_assert_held_write(&map->mmu_lock);
	return map->seq != seq || invalidating(map, hva, hva + 1);
}

/* What the mapping may permit, which can be more than was asked for. */
static u32 permitted(struct thv_memory_map *map, const struct thv_slot *slot,
		     const struct thv_host_page *got, unsigned int level, bool write)
{
	bool log_by_fault = (slot->flags & THV_MEMORY_LOG_DIRTY) && !map->tables.format->dirty;
	u32 access = THV_ACCESS_READ;

	if (!(slot->flags & THV_MEMORY_NOEXEC) && (level == 1 || !thv_large_pages_hold_no_code()))
		access |= THV_ACCESS_EXECUTE;
	if (got->writable && (write || !log_by_fault))
		access |= THV_ACCESS_WRITE;
	return access;
}

/* The entry, without the address. Where nobody logs, the processor need not find out that it is written. */
static u64 leaf_for(const struct thv_table_format *format, const struct thv_slot *slot,
		    unsigned int level, u32 allow)
{
	u64 leaf = format->leaf(level, allow);

	if ((allow & THV_ACCESS_WRITE) && !slot->dirty)
		leaf |= format->dirty;
	return leaf;
}

/* Under mmu_lock, with @got not stale. The level it was mapped at, or -EAGAIN. */
static int map_page(struct thv_vcpu *vcpu, const struct thv_slot *slot, u64 gfn,
		    const struct thv_host_page *got, u32 access)
{
	struct thv_memory_map *map = &vcpu->vm->memory;
	const struct thv_table_format *format = map->tables.format;
	unsigned int level = level_for(vcpu->vm, slot, gfn, got->page, access);
	u64 inside = gfn & (thv_table_frames(level) - 1);
	u32 allow = permitted(map, slot, got, level, access & THV_ACCESS_WRITE);
	u64 address = page_to_phys(got->page) - (inside << PAGE_SHIFT);
	int err;

	err = thv_table_map(&map->tables, gfn - inside, level,
			    address | leaf_for(format, slot, level, allow));
	if (err)
		return err;
	if (allow & THV_ACCESS_WRITE)
		thv_host_tell_dirty(got->page);
	if ((access & THV_ACCESS_WRITE) && slot->dirty && !format->dirty)
		set_bit(gfn - slot->gfn, slot->dirty);
	thv_count(vcpu, faults_mapped);
	if (level > 1)
		thv_count(vcpu, faults_huge);
	return level;
}

/* ---- its neighbours: fault-around ---- */

#define AROUND	16U	/* a power of two; the host, too, takes 64 KiB around a fault in a file */

/*
 * Pages that the host has at hand are mapped before the guest asks: most of what a fault takes is to come
 * here. Nobody may see by it that they were. Hence:
 *
 *  - only where the processor has accessed flags. They are clear until the guest uses the page; elsewhere
 *    to be mapped is to be used;
 *  - writable only what the host would write out in any case, as what is writable counts as written;
 *  - nothing is asked of the host that could change its table.
 *
 * With mmu_lock held, and no invalidation under way, what the host's table says is right: who
 * changes it has to come by the notifier first.
 */
static unsigned int map_run(struct thv_vcpu *vcpu, const struct thv_slot *slot, u64 gfn, u64 *entry,
			    unsigned int count)
{
	bool may_write = !(slot->flags & THV_MEMORY_READONLY), writable;
	struct thv_memory_map *map = &vcpu->vm->memory;
	struct page *pages[AROUND];
	unsigned int i;

	count = thv_host_have(thv_slot_hva(slot, gfn), count, false, may_write, pages, &writable);
	for (i = 0; i < count; i++) {
		const struct thv_host_page got = {
			.page = pages[i], .writable = writable && thv_host_writes_out(pages[i]),
		};
		u32 allow = permitted(map, slot, &got, 1, true);

		thv_table_add(&map->tables, &entry[i],
			      page_to_phys(got.page) | leaf_for(map->tables.format, slot, 1, allow));
		if (allow & THV_ACCESS_WRITE)
			thv_host_tell_dirty(got.page);
		if (THV_DEBUG)
			thv_memory_check(vcpu->vm, gfn + i);
		put_page(got.page);
	}
	vcpu->stats[THV_STAT_faults_around] += count;
	return count;
}

/* Runs of pages that are in the host's table and not in ours, near @gfn, which has just been mapped small */
static void map_around(struct thv_vcpu *vcpu, const struct thv_slot *slot, u64 gfn)
{
	u64 first = max(round_down(gfn, AROUND), slot->gfn);
	u64 end = min(round_down(gfn, AROUND) + AROUND, slot->gfn + slot->pages);
	u64 hva = thv_slot_hva(slot, first);
	struct thv_memory_map *map = &vcpu->vm->memory;
	unsigned int from, to, level, n, count = end - first;
	unsigned long wanted;
	u64 *entries;

	if (invalidating(map, hva, hva + count * PAGE_SIZE))
		return;
	entries = thv_table_find(&map->tables, gfn, &level) - (gfn - first);
	wanted = thv_table_vacant(&map->tables, entries, count);
	wanted &= thv_host_present(vcpu->vm->mm, hva, count);
	for_each_set_bitrange(from, to, &wanted, count) {
		do {
			n = map_run(vcpu, slot, first + from, &entries[from], to - from);
			from += n;
		} while (n && from < to);
	}
}

/*
 * A page that the host had to find first has hardly any neighbours that it had already. Not to look for them
 * leaves the first touch of fresh memory as quick as it was.
 */
static bool looks_around(const struct thv_vm *vm, const struct thv_host_page *got, unsigned int level)
{
	return level == 1 && got->there && vm->memory.tables.format->accessed &&
	       !(vm->flags & THV_VM_NO_FAULT_AROUND);
}

/**
 * thv_map() - Put a page into the second level.
 * @vcpu: whose fault it was.
 * @slot: a copy of the frame's slot.
 * @gfn: the frame.
 * @got: what the host gave for it. The caller keeps its reference, and puts it: the page is not pinned,
 *	the notifier is what keeps the mapping right.
 * @access: THV_ACCESS_* of the fault.
 * @seq: map->seq, from before the slot was copied and the host asked.
 *
 * Its neighbours may be mapped with it, if the host has them at hand.
 *
 * Return: the level it is mapped at; -EAGAIN: the host, or who changes slots, has been at it since
 * @seq, or there are too few pages for tables (thv_memory_fill()).
 */
int thv_map(struct thv_vcpu *vcpu, const struct thv_slot *slot, u64 gfn,
	    const struct thv_host_page *got, u32 access, unsigned long seq)
{
	struct thv_memory_map *map = &vcpu->vm->memory;
	int level = -EAGAIN;

	write_lock(&map->mmu_lock);
	if (!stale(map, thv_slot_hva(slot, gfn), seq) && thv_tables_ready(&map->tables))
		level = map_page(vcpu, slot, gfn, got, access);
	if (THV_DEBUG)
		thv_memory_check(vcpu->vm, gfn);
	if (level > 0 && looks_around(vcpu->vm, got, level))
		map_around(vcpu, slot, gfn);
	write_unlock(&map->mmu_lock);
	return level;
}
