// SPDX-License-Identifier: GPL-2.0-only
/*
 * The MMU notifier: the host says what it does to the launcher's memory, and the second level
 * follows.
 *
 * No page of the guest's is pinned. fault.c asks the host for a page when the guest first needs
 * it, and maps it; when the host wants it back (to swap, merge, migrate or unmap it) it says
 * so here, and the mapping is gone, and flushed, before we return. The host's page
 * table stays the one authority on where guest memory is.
 *
 * The race in that (KVM's CVE-2022-45869 was of its kind): a fault asks the host, an invalidation
 * passes, and then the fault maps what is stale. Hence @seq and @invalidating, under mmu_lock:
 *
 *	fault					notifier
 *	note seq				start: invalidating++, zap, flush
 *	ask the host for the page		(the host changes its table)
 *	under mmu_lock: is an invalidation	end: seq++, invalidating--
 *	  under way, or seq another? again
 *
 * Whichever way they meet, the fault either maps before the zap, and is zapped, or sees that it
 * must ask again. A change of the slots counts as an invalidation of everything.
 *
 * Called by mm/ with its locks held, some of them spinlocks: nothing here sleeps. Takes
 * mmu_lock, under which the slots stay as they are.
 */
#include <linux/mm.h>
#include "../trace.h"
#include "../vcpu.h"
#include "touched.h"

static struct thv_memory_map *map_of(struct mmu_notifier *notifier)
{
	return container_of(notifier, struct thv_memory_map, notifier);
}

static const struct thv_vm *vm_of(const struct thv_memory_map *map)
{
	return container_of(map, struct thv_vm, memory);
}

/* Visit (or without @fn: zap) all that is mapped of a range of user addresses. */
static void each_user(struct thv_memory_map *map, struct thv_gather *gather, u64 start, u64 end,
		      thv_leaf_fn fn, void *arg)
{
	const struct thv_slots *slots = thv_memory_slots(map);
	u64 first, last;
	u32 i;

	for (i = 0; i < slots->nr; i++) {
		if (!thv_slot_hva_range(&slots->slot[i], start, end, &first, &last))
			continue;
		if (fn)
			thv_table_each(&map->tables, gather, first, last, fn, arg);
		else
			thv_table_zap(&map->tables, gather, first, last);
	}
}

static void zap_user(struct thv_memory_map *map, u64 start, u64 end)
{
	struct thv_gather gather;

	thv_gather_init(&gather);
	each_user(map, &gather, start, end, NULL, NULL);
	thv_gather_finish(&map->tables, &gather);
}

static void begin_invalidation(struct thv_memory_map *map, unsigned long start, unsigned long end)
{
	if (!map->invalidating++) {
		map->invalid_start = start;
		map->invalid_end = end;
		return;
	}
	map->invalid_start = min(map->invalid_start, start);
	map->invalid_end = max(map->invalid_end, end);
}

static int invalidate_start(struct mmu_notifier *notifier, const struct mmu_notifier_range *range)
{
	struct thv_memory_map *map = map_of(notifier);

	trace_thv_notifier(vm_of(map), THV_NOTICE_INVALIDATE, range->start, range->end, false);
	write_lock(&map->mmu_lock);
	begin_invalidation(map, range->start, range->end);
	zap_user(map, range->start, range->end);
	write_unlock(&map->mmu_lock);
	return 0;	/* nothing here sleeps: fit for callers that may not block, too */
}

static void invalidate_end(struct mmu_notifier *notifier, const struct mmu_notifier_range *range)
{
	struct thv_memory_map *map = map_of(notifier);
	bool settled;

	write_lock(&map->mmu_lock);
	thv_memory_outdate(map);
	settled = !--map->invalidating;
	write_unlock(&map->mmu_lock);
	if (settled && wq_has_sleeper(&map->settled))
		wake_up_all(&map->settled);
	trace_thv_notifier(vm_of(map), THV_NOTICE_INVALIDATED, range->start, range->end, false);
}

static void age_leaf(struct thv_tables *tables, struct thv_gather *gather, u64 *entry, u64 gfn,
		     unsigned int level, void *arg)
{
	bool *young = arg;

	if (thv_touched_take(tables, gather, entry, gfn, level))
		*young = true;
}

static int age(struct mmu_notifier *notifier, unsigned long start, unsigned long end, bool flush)
{
	struct thv_memory_map *map = map_of(notifier);
	struct thv_gather gather;
	bool young = false;

	thv_gather_init(&gather);
	write_lock(&map->mmu_lock);
	each_user(map, &gather, start, end, age_leaf, &young);
	/* Only a flag was cleared: a late flush makes the page look idle, no more */
	if (!flush && map->tables.format->accessed)
		gather.flush = false;
	thv_gather_finish(&map->tables, &gather);
	write_unlock(&map->mmu_lock);
	trace_thv_notifier(vm_of(map), THV_NOTICE_AGE, start, end, young);
	return young;
}

static int clear_flush_young(struct mmu_notifier *notifier, struct mm_struct *mm,
			     unsigned long start, unsigned long end)
{
	return age(notifier, start, end, true);
}

static int clear_young(struct mmu_notifier *notifier, struct mm_struct *mm,
		       unsigned long start, unsigned long end)
{
	return age(notifier, start, end, false);
}

static void look_young(struct thv_tables *tables, struct thv_gather *gather, u64 *entry, u64 gfn,
		       unsigned int level, void *arg)
{
	bool *young = arg;

	if (thv_touched_used(tables, READ_ONCE(*entry)))
		*young = true;
}

static int test_young(struct mmu_notifier *notifier, struct mm_struct *mm, unsigned long address)
{
	struct thv_memory_map *map = map_of(notifier);
	bool young = false;

	read_lock(&map->mmu_lock);
	each_user(map, NULL, address, address + 1, look_young, &young);
	read_unlock(&map->mmu_lock);
	trace_thv_notifier(vm_of(map), THV_NOTICE_TEST, address, address + 1, young);
	return young;
}

/* The address space goes, perhaps long before the VM: others may hold its descriptors. */
static void release(struct mmu_notifier *notifier, struct mm_struct *mm)
{
	struct thv_memory_map *map = map_of(notifier);

	trace_thv_notifier(vm_of(map), THV_NOTICE_RELEASE, 0, ULONG_MAX, false);
	write_lock(&map->mmu_lock);
	zap_user(map, 0, ULONG_MAX);
	write_unlock(&map->mmu_lock);
}

const struct mmu_notifier_ops thv_memory_notifier_ops = {
	.release = release,
	.clear_flush_young = clear_flush_young,
	.clear_young = clear_young,
	.test_young = test_young,
	.invalidate_range_start = invalidate_start,
	.invalidate_range_end = invalidate_end,
};
