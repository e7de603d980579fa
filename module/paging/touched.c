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

/*
 * thv_tables_owner.removed. Dirty needs no telling: fault.c did when it mapped it writable. Nor does
 * accessed where there is no flag: asking the host for the page said so.
 */
static void page_removed(struct thv_tables *tables, const struct thv_gather *gather,
			 u64 gfn, unsigned int level, u64 old)
{
	const struct thv_slot *slot = slot_of(tables, gfn);
	bool flagged = old & tables->format->accessed;

	if (!slot || (old & THV_ENTRY_PRIVATE))
		return;
	if (flagged || !tables->format->accessed)
		thv_touched_record(slot->accessed, gfn - slot->gfn, level);
	if (flagged)
		tell_host_accessed(tables, old);
	if ((old & tables->format->dirty) && !gather->forget_dirty)
		thv_touched_record(slot->dirty, gfn - slot->gfn, level);
}

static void flush_all(struct thv_tables *tables)
{
	thv_vm_request_all(vm_of(tables), THV_REQ_FLUSH_SECOND);
}

const struct thv_tables_owner thv_memory_owner = {
	.removed = page_removed,
	.restricted = thv_shadow_restricted,
	.flush = flush_all,
};

/**
 * thv_touched_take() - Has a page been used since it was last asked? Note it if so.
 * @tables: the second level, locked for writing.
 * @gather: the caller finishes it.
 * @entry: the page's.
 * @gfn: its first frame.
 * @level: its size.
 *
 * Without flags in the tables, being mapped is having been used; and to be asked again, the
 * page must be unmapped.
 */
bool thv_touched_take(struct thv_tables *tables, struct thv_gather *gather, u64 *entry,
		      u64 gfn, unsigned int level)
{
	const struct thv_slot *slot = slot_of(tables, gfn);

	if (tables->format->accessed) {
		if (!thv_table_clear(tables, gather, entry, gfn, level, tables->format->accessed))
			return false;
	} else {
		thv_table_remove(tables, gather, entry, gfn, level);
	}
	thv_touched_record(slot->accessed, gfn - slot->gfn, level);
	return true;
}

/* ---- THV_GET_DIRTY, THV_GET_ACCESSED ---- */

#define HARVEST_FRAMES	(PAGE_SIZE * BITS_PER_BYTE)

/* Written since last asked? Without flags in the tables, fault.c noted the first write. */
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
	thv_table_each(&map->tables, &gather, slot->gfn + at, slot->gfn + at + frames, fn,
		       (void *)slot);
	for (i = 0; i < BITS_TO_LONGS(frames); i++)
		out[i] = xchg(&bitmap[word + i], 0);
	thv_gather_finish(&map->tables, &gather);
	write_unlock(&map->mmu_lock);
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
		err = slot->dirty ? harvest_slot(vm, slot, slot->dirty, harvest_dirty, args) :
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
