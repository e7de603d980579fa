/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Slot arithmetic: which guest frames are memory, and where that memory is in the
 * launcher's address space. Pure: nothing here allocates, locks or knows the kernel, so the
 * same file is tested natively (selftests/unit/test_slots.c). memory.c gives it life.
 */
#ifndef THV_SLOTS_H
#define THV_SLOTS_H

#include <linux/bits.h>
#include <linux/types.h>
#include "../uapi/thv.h"

#define THV_PAGE_SHIFT		12
#define THV_PAGE_SIZE		BIT_ULL(THV_PAGE_SHIFT)
/* A slot's bitmap is one allocation and is indexed by int: 8 TiB a slot, 256 MiB a bitmap */
#define THV_SLOT_MAX_PAGES	BIT_ULL(31)
/* Ours, beside THV_MEMORY_*: on its way out. Nothing new is mapped; the notifier still sees it */
#define THV_SLOT_DYING		BIT(31)
#define THV_MAX_RESERVED	4

/**
 * struct thv_slot - a run of guest frames backed by user memory.
 * @id: the launcher's number for it.
 * @flags: THV_MEMORY_*, THV_SLOT_DYING.
 * @gfn: first guest frame.
 * @pages: how many.
 * @hva: user address of the first.
 * @dirty: with THV_MEMORY_LOG_DIRTY: a bit a page.
 * @accessed: once somebody asked: a bit a page.
 */
struct thv_slot {
	u32 id;
	u32 flags;
	u64 gfn;
	u64 pages;
	u64 hva;
	unsigned long *dirty;
	unsigned long *accessed;
};

/**
 * struct thv_slots - all slots of a VM, ascending by @gfn, none overlapping another.
 * @nr: entries of @slot in use.
 * @slot: the slots.
 */
struct thv_slots {
	u32 nr;
	struct thv_slot slot[THV_MAX_SLOTS];
};

/**
 * struct thv_slot_limits - what a slot may not leave or touch.
 * @phys_bits: width of a guest-physical address.
 * @user_end: first address that is not user memory.
 * @nr_reserved: entries of @reserved in use.
 * @reserved: guest frames that belong to the module.
 */
struct thv_slot_limits {
	u32 phys_bits;
	u32 nr_reserved;
	u64 user_end;
	u64 reserved[THV_MAX_RESERVED];
};

enum thv_slot_change {
	THV_SLOT_SAME,		/* nothing changes */
	THV_SLOT_ADD,
	THV_SLOT_DELETE,
	THV_SLOT_MOVE,		/* perhaps with new flags */
	THV_SLOT_FLAGS,
};

/**
 * struct thv_slot_plan - what a THV_SET_MEMORY comes down to.
 * @change: the kind.
 * @old: index of the slot it is about, unless THV_SLOT_ADD.
 * @slot: the slot as it shall be, without bitmaps, unless THV_SLOT_DELETE.
 */
struct thv_slot_plan {
	enum thv_slot_change change;
	u32 old;
	struct thv_slot slot;
};

int thv_slots_plan(const struct thv_slots *slots, const struct thv_memory *args,
		   const struct thv_slot_limits *limits, struct thv_slot_plan *plan);
const struct thv_slot *thv_slots_find(const struct thv_slots *slots, u64 gfn);
int thv_slots_index(const struct thv_slots *slots, u32 id);
bool thv_slots_touch(const struct thv_slots *slots, u64 gfn, u64 pages, int except);
void thv_slots_remove(struct thv_slots *slots, u32 index);
void thv_slots_insert(struct thv_slots *slots, const struct thv_slot *slot);
bool thv_slot_hva_range(const struct thv_slot *slot, u64 start, u64 end, u64 *first, u64 *last);

static inline u64 thv_slot_hva(const struct thv_slot *slot, u64 gfn)
{
	return slot->hva + ((gfn - slot->gfn) << THV_PAGE_SHIFT);
}

/* Bytes of a slot's bitmap as THV_GET_DIRTY hands it out: whole 64-bit words */
static inline u64 thv_slot_bitmap_size(const struct thv_slot *slot)
{
	return (slot->pages + 63) / 64 * 8;
}

#endif
