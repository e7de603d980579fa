// SPDX-License-Identifier: GPL-2.0-only
/*
 * Slot arithmetic; see slots.h. All of THV_SET_MEMORY's refusals are here, on plain numbers,
 * before anything is allocated or changed.
 *
 * The one rule that keeps it safe: a sum is only formed after both addends have been bounded,
 * so that it cannot wrap. Sizes are compared with the room that is left (end - start), never
 * start + size with end.
 *
 * No locks: who changes a table owns it, who reads one is promised by memory.c that it stays.
 */
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/string.h>
#include "slots.h"

static bool page_aligned(u64 value)
{
	return !(value & (THV_PAGE_SIZE - 1));
}

/* Does [start, start + size) lie below @end? */
static bool within(u64 start, u64 size, u64 end)
{
	return size <= end && start <= end - size;
}

static int check_args(const struct thv_memory *args, const struct thv_slot_limits *limits)
{
	if (args->slot >= THV_MAX_SLOTS)
		return -EINVAL;
	if (args->flags & ~(THV_MEMORY_READONLY | THV_MEMORY_LOG_DIRTY | THV_MEMORY_NOEXEC))
		return -EINVAL;
	if (args->reserved[0] || args->reserved[1])
		return -EINVAL;
	if (!page_aligned(args->gpa) || !page_aligned(args->size) || !page_aligned(args->hva))
		return -EINVAL;
	if (args->size >> THV_PAGE_SHIFT > THV_SLOT_MAX_PAGES)
		return -EINVAL;
	if (!within(args->gpa, args->size, 1ULL << limits->phys_bits))
		return -EINVAL;
	if (!within(args->hva, args->size, limits->user_end))
		return -EINVAL;
	return 0;
}

/* Both ranges have been bounded: neither sum wraps */
static bool overlap(u64 a, u64 a_pages, u64 b, u64 b_pages)
{
	return a < b + b_pages && b < a + a_pages;
}

/**
 * thv_slots_touch() - Is any of a range of guest frames in a slot?
 * @slots: the table.
 * @gfn: first frame, bounded by the physical-address width.
 * @pages: how many.
 * @except: index of a slot that does not count, -1 for none.
 */
bool thv_slots_touch(const struct thv_slots *slots, u64 gfn, u64 pages, int except)
{
	int i;

	for (i = 0; i < (int)slots->nr; i++)
		if (i != except &&
		    overlap(gfn, pages, slots->slot[i].gfn, slots->slot[i].pages))
			return true;
	return false;
}

static bool touches_reserved(const struct thv_slot_limits *limits, u64 gfn, u64 pages)
{
	u32 i;

	for (i = 0; i < limits->nr_reserved; i++)
		if (overlap(gfn, pages, limits->reserved[i], 1))
			return true;
	return false;
}

static int plan_change(const struct thv_slots *slots, struct thv_slot_plan *plan)
{
	const struct thv_slot *old = &slots->slot[plan->old], *new = &plan->slot;

	if (new->pages != old->pages || new->hva != old->hva)
		return -EINVAL;
	if (new->gfn != old->gfn)
		plan->change = THV_SLOT_MOVE;
	else if (new->flags != old->flags)
		plan->change = THV_SLOT_FLAGS;
	else
		plan->change = THV_SLOT_SAME;
	return 0;
}

/**
 * thv_slots_plan() - What a THV_SET_MEMORY comes down to, or why it cannot be.
 * @slots: the table as it is.
 * @args: the request.
 * @limits: what a slot may not leave or touch.
 * @plan: out.
 *
 * Return: 0, or the errno that struct thv_memory documents; nothing is changed either way.
 */
int thv_slots_plan(const struct thv_slots *slots, const struct thv_memory *args,
		   const struct thv_slot_limits *limits, struct thv_slot_plan *plan)
{
	int old, err = check_args(args, limits);

	if (err)
		return err;
	old = thv_slots_index(slots, args->slot);
	if (!args->size && old < 0)
		return -EINVAL;

	*plan = (struct thv_slot_plan){
		.change = args->size ? THV_SLOT_ADD : THV_SLOT_DELETE,
		.old = old < 0 ? 0 : old,
		.slot = {
			.id = args->slot,
			.flags = args->flags,
			.gfn = args->gpa >> THV_PAGE_SHIFT,
			.pages = args->size >> THV_PAGE_SHIFT,
			.hva = args->hva,
		},
	};
	if (!args->size)
		return 0;
	if (old >= 0)
		err = plan_change(slots, plan);
	if (err)
		return err;
	if (thv_slots_touch(slots, plan->slot.gfn, plan->slot.pages, old) ||
	    touches_reserved(limits, plan->slot.gfn, plan->slot.pages))
		return -EEXIST;
	return 0;
}

/* Index of the first slot that starts above @gfn */
static u32 first_above(const struct thv_slots *slots, u64 gfn)
{
	u32 low = 0, high = slots->nr;

	while (low < high) {
		u32 middle = low + (high - low) / 2;

		if (slots->slot[middle].gfn <= gfn)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/**
 * thv_slots_find() - The slot a guest frame is in.
 * @slots: the table.
 * @gfn: any number.
 *
 * Return: the slot, or NULL: @gfn is not memory.
 */
const struct thv_slot *thv_slots_find(const struct thv_slots *slots, u64 gfn)
{
	u32 above = first_above(slots, gfn);
	const struct thv_slot *slot;

	if (!above)
		return NULL;
	slot = &slots->slot[above - 1];
	return gfn - slot->gfn < slot->pages ? slot : NULL;
}

/**
 * thv_slots_index() - Where a slot stands.
 * @slots: the table.
 * @id: the launcher's number of the slot.
 *
 * Return: its index, or -1: there is none.
 */
int thv_slots_index(const struct thv_slots *slots, u32 id)
{
	int i;

	for (i = 0; i < (int)slots->nr; i++)
		if (slots->slot[i].id == id)
			return i;
	return -1;
}

/**
 * thv_slots_remove() - Take a slot out.
 * @slots: the table.
 * @index: which; below @slots->nr.
 */
void thv_slots_remove(struct thv_slots *slots, u32 index)
{
	slots->nr--;
	memmove(&slots->slot[index], &slots->slot[index + 1],
		(slots->nr - index) * sizeof(slots->slot[0]));
}

/**
 * thv_slots_insert() - Put a slot in where its frame belongs.
 * @slots: the table; as ids are below THV_MAX_SLOTS and differ, there is room.
 * @slot: a slot that thv_slots_plan() has accepted.
 */
void thv_slots_insert(struct thv_slots *slots, const struct thv_slot *slot)
{
	u32 index = first_above(slots, slot->gfn);

	memmove(&slots->slot[index + 1], &slots->slot[index],
		(slots->nr - index) * sizeof(slots->slot[0]));
	slots->slot[index] = *slot;
	slots->nr++;
}

/**
 * thv_slot_hva_range() - The guest frames of a slot whose memory lies in a user range.
 * @slot: the slot.
 * @start: first byte of the range; need not be aligned.
 * @end: first byte after it.
 * @first: out; first frame.
 * @last: out; the frame after the last.
 *
 * Return: false: the range has nothing of the slot.
 */
bool thv_slot_hva_range(const struct thv_slot *slot, u64 start, u64 end, u64 *first, u64 *last)
{
	u64 slot_end = slot->hva + (slot->pages << THV_PAGE_SHIFT);

	start = max(start, slot->hva);
	end = min(end, slot_end);
	if (start >= end)
		return false;
	*first = slot->gfn + ((start - slot->hva) >> THV_PAGE_SHIFT);
	*last = slot->gfn + ((end - 1 - slot->hva) >> THV_PAGE_SHIFT) + 1;
	return true;
}
