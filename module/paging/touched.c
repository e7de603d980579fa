// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the guest has touched: accessed and dirty, gathered from the tables' flags, from faults
 * where there are no flags, and from the module's own writes; told to the host, whose
 * page reclaim lives on it, and to the launcher (THV_GET_DIRTY, THV_GET_ACCESSED).
 *
 * A slot's bitmaps are where it all comes together, each made when somebody wants it. Tables are
 * asked under mmu_lock. A bitmap stays while one has slots_lock, mmu_lock, or slots_srcu for
 * reading; its bits are set and taken atomically.
 */
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/swap.h>
#include <linux/uaccess.h>
#include "../vcpu.h"
#include "flush.h"
#include "shadow.h"
#include "touched.h"

static struct thv_vm *vm_of(struct thv_tables *tables)
{
	return container_of(tables, struct thv_vm, memory.tables);
}

static const struct thv_slot *slot_of(struct thv_tables *tables, u64 gfn)
{
	return thv_slots_find(thv_memory_slots(&vm_of(tables)->memory), gfn);
}

/**
 * thv_touched_bitmap() - A bitmap for a slot, charged to the caller's memory cgroup.
 * @pages: the slot's.
 *
 * Context: may sleep.
 * Return: it, all clear, to be kvfree()d; or NULL.
 */
unsigned long *thv_touched_bitmap(u64 pages)
{
	return kvcalloc(BITS_TO_LONGS(pages), sizeof(long), GFP_KERNEL_ACCOUNT);
}

/**
 * thv_touched_record() - Note a page.
 * @bitmap: a slot's, or NULL: nobody wants to know.
 * @first: the page, counted from the slot's start.
 * @level: its size.
 */
void thv_touched_record(unsigned long *bitmap, u64 first, unsigned int level)
{
	u64 i;

	if (!bitmap)
		return;
	/* Atomic: thv_write_guest() sets bits without mmu_lock */
	for (i = 0; i < thv_table_frames(level); i++)
		set_bit(first + i, bitmap);
}

/**
 * thv_touched_log() - Pages that the processor says were written.
 * @vm: whose.
 * @gpas: where they are.
 * @count: how many.
 *
 * Context: interrupts may be off.
 */
void thv_touched_log(struct thv_vm *vm, const u64 *gpas, unsigned int count)
{
	struct thv_memory_map *map = &vm->memory;
	int idx = srcu_read_lock(&map->slots_srcu);
	const struct thv_slots *slots = thv_memory_slots(map);
	unsigned int i;

	for (i = 0; i < count; i++) {
		u64 gfn = gpas[i] >> PAGE_SHIFT;
		const struct thv_slot *slot = thv_slots_find(slots, gfn);

		if (slot)
			thv_touched_record(slot->dirty, gfn - slot->gfn, 1);
	}
	srcu_read_unlock(&map->slots_srcu, idx);
}

/*
 * A page that is mapped may be told about without holding a reference: the notifier would
 * have had to take it out, under the lock we hold, before the host could free it.
 */
static void tell_host_accessed(const struct thv_tables *tables, u64 entry)
{
	struct page *page = pfn_to_page((entry & tables->format->address) >> PAGE_SHIFT);

	if (!PageReserved(page))	/* the zero page is on no list */
		mark_page_accessed(page);
}

/**
 * thv_touched_used() - Has a page been used since it was mapped, or last asked?
 * @tables: the second level.
 * @entry: the page's.
 *
 * Without flags in the tables one that is not parked has.
 */
bool thv_touched_used(const struct thv_tables *tables, u64 entry)
{
	if (!tables->format->accessed)
		return !(entry & THV_ENTRY_PARKED);
	return entry & tables->format->accessed;
}

/* thv_tables_owner.removed. Dirty needs no telling: map.c did when it mapped it writable. */
static void page_removed(struct thv_tables *tables, const struct thv_gather *gather,
			 u64 gfn, unsigned int level, u64 old)
{
	const struct thv_slot *slot = slot_of(tables, gfn);

	if (!slot || (old & THV_ENTRY_PRIVATE))
		return;
	if (thv_touched_used(tables, old)) {
		thv_touched_record(slot->accessed, gfn - slot->gfn, level);
		tell_host_accessed(tables, old);
	}
	if ((old & tables->format->dirty) && !gather->forget_dirty)
		thv_touched_record(slot->dirty, gfn - slot->gfn, level);
}

const struct thv_tables_owner thv_memory_owner = {
	.removed = page_removed,
	.restricted = thv_shadow_restricted,
	.flush = thv_flush_all,
	.released = thv_flush_check,
};

/**
 * thv_touched_take() - Has a page been used since it was last asked? Note it if so.
 * @tables: the second level, locked for writing.
 * @gather: the caller finishes it.
 * @entry: the page's.
 * @gfn: its first frame.
 * @level: its size.
 *
 * Without flags in the tables the page is parked: its next use is a fault, which brings it back.
 */
bool thv_touched_take(struct thv_tables *tables, struct thv_gather *gather, u64 *entry,
		      u64 gfn, unsigned int level)
{
	const struct thv_slot *slot = slot_of(tables, gfn);
	u64 accessed = tables->format->accessed;

	if (!(accessed ? thv_table_clear(tables, gather, entry, gfn, level, accessed) :
			 thv_table_park(tables, gather, entry, gfn, level)))
		return false;
	thv_touched_record(slot->accessed, gfn - slot->gfn, level);
	return true;
}

/* ---- THV_GET_DIRTY, THV_GET_ACCESSED ---- */

#define HARVEST_FRAMES	(PAGE_SIZE * BITS_PER_BYTE)

/* Written since last asked? Without flags in the tables, map.c noted the first write. */
static void harvest_dirty(struct thv_tables *tables, struct thv_gather *gather, u64 *entry,
			  u64 gfn, unsigned int level, void *arg)
{
	const struct thv_slot *slot = arg;

	if (!tables->format->dirty)
		thv_table_clear(tables, gather, entry, gfn, level, tables->format->writable);
	else if (thv_table_clear(tables, gather, entry, gfn, level, tables->format->dirty))
		thv_touched_record(slot->dirty, gfn - slot->gfn, level);
}

static void harvest_accessed(struct thv_tables *tables, struct thv_gather *gather, u64 *entry,
			     u64 gfn, unsigned int level, void *arg)
{
	u64 old = READ_ONCE(*entry);

	if (thv_touched_take(tables, gather, entry, gfn, level))
		tell_host_accessed(tables, old);
}

/* A large page has no log (map.c); one that is not mapped has no flag. */
static void clear_dirty(struct thv_tables *tables, struct thv_gather *gather, u64 gfn)
{
	unsigned int level;
	u64 *entry = thv_table_find(tables, gfn, &level);

	if (entry)
		thv_table_clear(tables, gather, entry, gfn, level, tables->format->dirty);
}

/*
 * With the processor's log there is no need to look at every page. All of it that was there when the
 * launcher asked is in the bitmap; the flags of those pages are cleared, and the next write is logged
 * again. A page whose flag is set and that is not in the bitmap yet is still in a vCPU's log, for
 * the next time.
 */
static void harvest_logged(struct thv_tables *tables, struct thv_gather *gather, u64 gfn,
			   const unsigned long *out, u64 frames)
{
	unsigned long bit;

	for_each_set_bit(bit, out, frames)
		clear_dirty(tables, gather, gfn + bit);
}

/*
 * Take the bits of some frames: what the tables know goes into the bitmap first, which has
 * more from zapped pages and from our own writes. The flush comes before the caller shows them to
 * anybody: a write through a translation that still says "dirty" is in memory by then, and a
 * later one sets the flag (or faults) again.
 */
static void harvest(struct thv_memory_map *map, const struct thv_slot *slot,
		    unsigned long *bitmap, u64 at, u64 frames, thv_leaf_fn fn, unsigned long *out)
{
	u64 i, word = at / BITS_PER_LONG;
	struct thv_gather gather;

	thv_gather_init(&gather);
	write_lock(&map->mmu_lock);
	if (fn)
		thv_table_each(&map->tables, &gather, slot->gfn + at, slot->gfn + at + frames, fn,
			       (void *)slot);
	for (i = 0; i < BITS_TO_LONGS(frames); i++)
		out[i] = xchg(&bitmap[word + i], 0);
	if (!fn)
		harvest_logged(&map->tables, &gather, slot->gfn + at, out, frames);
	thv_gather_finish(&map->tables, &gather);
	write_unlock(&map->mmu_lock);
}

/* NULL: by the processor's log, which the vCPUs empty when they leave the guest */
static thv_leaf_fn dirty_by(struct thv_vm *vm)
{
	if (!(vm->features & THV_FEATURE_PML))
		return harvest_dirty;
	thv_vm_request_all(vm, THV_REQ_DRAIN_LOG);
	return NULL;
}

/* The launcher could not be told: what it was not told is still to be told. */
static void give_back(unsigned long *bitmap, u64 at, u64 frames, const unsigned long *out)
{
	unsigned long bit;

	for_each_set_bit(bit, out, frames)
		set_bit(at + bit, bitmap);
}

static int harvest_slot(struct thv_vm *vm, const struct thv_slot *slot, unsigned long *bitmap,
			thv_leaf_fn fn, struct thv_bitmap *args)
{
	unsigned long *out = (unsigned long *)__get_free_page(GFP_KERNEL_ACCOUNT);
	u8 __user *user = u64_to_user_ptr(args->bitmap);
	int err = 0;
	u64 at;

	if (!out)
		return -ENOMEM;
	args->count = 0;
	for (at = 0; at < slot->pages && !err; at += HARVEST_FRAMES) {
		u64 frames = min_t(u64, slot->pages - at, HARVEST_FRAMES);

		harvest(&vm->memory, slot, bitmap, at, frames, fn, out);
		args->count += bitmap_weight(out, frames);
		if (copy_to_user(user + at / 8, out, BITS_TO_LONGS(frames) * sizeof(long)))
			err = -EFAULT;
		if (err)
			give_back(bitmap, at, frames, out);
		else if (fatal_signal_pending(current))
			err = -EINTR;
		cond_resched();
	}
	free_page((unsigned long)out);
	return err;
}

/* With slots_lock held: the slot a bitmap is asked of. */
static int bitmap_slot(struct thv_memory_map *map, const struct thv_bitmap *args)
{
	const struct thv_slots *slots = thv_memory_slots(map);
	int index = thv_slots_index(slots, args->slot);

	if (args->flags)
		return -EINVAL;
	if (index < 0)
		return -ENOENT;
	if (args->size < thv_slot_bitmap_size(&slots->slot[index]))
		return -EINVAL;
	return index;
}

/**
 * thv_memory_get_dirty() - THV_GET_DIRTY.
 * @vm: the VM.
 * @args: see the uapi; @args->count is filled in.
 *
 * Context: may sleep.
 * Return: 0, -ENOMEM, -EFAULT (some bits may have been handed out), or what the uapi says.
 */
int thv_memory_get_dirty(struct thv_vm *vm, struct thv_bitmap *args)
{
	struct thv_memory_map *map = &vm->memory;
	const struct thv_slot *slot;
	int err;

	mutex_lock(&map->slots_lock);
	err = bitmap_slot(map, args);
	if (err >= 0) {
		slot = &thv_memory_slots(map)->slot[err];
		err = slot->dirty ? harvest_slot(vm, slot, slot->dirty, dirty_by(vm), args) :
				    -EINVAL;
	}
	mutex_unlock(&map->slots_lock);
	return err;
}

/* The first question about a slot makes its bitmap; until then the tables' flags are all. */
static int want_accessed(struct thv_memory_map *map, int index)
{
	struct thv_slots *new;

	if (thv_memory_slots(map)->slot[index].accessed)
		return 0;
	new = thv_memory_copy_slots(map);
	if (!new)
		return -ENOMEM;
	new->slot[index].accessed = thv_touched_bitmap(new->slot[index].pages);
	if (!new->slot[index].accessed) {
		kfree(new);
		return -ENOMEM;
	}
	thv_memory_publish(map, new);
	return 0;
}

/**
 * thv_memory_get_accessed() - THV_GET_ACCESSED.
 * @vm: the VM.
 * @args: see the uapi; @args->count is filled in.
 *
 * Context: may sleep.
 * Return: 0, -ENOMEM, -EFAULT (some bits may have been handed out), or what the uapi says.
 */
int thv_memory_get_accessed(struct thv_vm *vm, struct thv_bitmap *args)
{
	struct thv_memory_map *map = &vm->memory;
	const struct thv_slot *slot;
	int index, err;

	mutex_lock(&map->slots_lock);
	index = bitmap_slot(map, args);
	err = index < 0 ? index : want_accessed(map, index);
	if (!err) {
		slot = &thv_memory_slots(map)->slot[index];
		err = harvest_slot(vm, slot, slot->accessed, harvest_accessed, args);
	}
	mutex_unlock(&map->slots_lock);
	return err;
}
