/* SPDX-License-Identifier: GPL-2.0-only */
/* The state behind memory.h: memory.c's and paging/'s alone. */
#ifndef THV_MEMORY_TYPES_H
#define THV_MEMORY_TYPES_H

#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/srcu.h>
#include <linux/wait.h>
#include "paging/shadow.h"
#include "paging/table.h"
#include "slots.h"

/**
 * struct thv_memory_map - a VM's guest-physical memory.
 * @slots_lock: who changes @slots, or uses a slot's bitmaps as the launcher asked.
 * @slots_srcu: who reads @slots and then touches user memory.
 * @slots: published under both locks; replaced as a whole, never changed in place.
 * @limits: what slots may not leave or touch; under @slots_lock.
 * @mmu_lock: the tables, and all below. Innermost; nobody takes it with interrupts off.
 * @tables: the second level: what the processor walks, or, with shadow paging, what @shadow is made of.
 * @shadow: paging/shadow.h's; NULL: the processor has a second level.
 * @notifier: the host tells us here what it does to the launcher's memory.
 * @seq: goes up when a frame found earlier may no longer be the right one.
 * @invalidating: invalidations under way (started, not ended).
 * @invalid_start: of the user addresses they are about, taken together; valid while there
 *	are any.
 * @invalid_end: the first address after them.
 * @settled: woken when the last of them has ended.
 */
struct thv_memory_map {
	struct mutex slots_lock;	/* outermost */
	struct srcu_struct slots_srcu;
	struct thv_slots __rcu *slots;
	struct thv_slot_limits limits;

	rwlock_t mmu_lock;
	struct thv_tables tables;
	struct thv_shadow *shadow;
	struct mmu_notifier notifier;
	unsigned long seq;
	unsigned int invalidating;
	unsigned long invalid_start;
	unsigned long invalid_end;
	wait_queue_head_t settled;
};

/* The slots as they are now, to who holds one of the two locks or reads under slots_srcu */
static inline const struct thv_slots *thv_memory_slots(struct thv_memory_map *map)
{
	return srcu_dereference_check(map->slots, &map->slots_srcu,
				      lockdep_is_held(&map->slots_lock) ||
				      lockdep_is_held(&map->mmu_lock));
}

/* Under mmu_lock: who found a frame before now must look again. */
static inline void thv_memory_outdate(struct thv_memory_map *map)
{
	lockdep_assert_held_write(&map->mmu_lock);
	/* Pairs with thv_memory_fault(): who sees the new number sees the slots that go with it */
	smp_store_release(&map->seq, map->seq + 1);
}

extern const struct mmu_notifier_ops thv_memory_notifier_ops;

#define THV_ALL_FRAMES	(~0ULL)

void thv_memory_check(struct thv_vm *vm, u64 gfn);
bool thv_large_pages_hold_no_code(void);
int thv_memory_fill(struct thv_memory_map *map);
struct thv_slots *thv_memory_copy_slots(struct thv_memory_map *map);
void thv_memory_publish(struct thv_memory_map *map, struct thv_slots *new);

#endif
