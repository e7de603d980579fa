// SPDX-License-Identifier: GPL-2.0-only
/*
 * Shadow tables: made, found, linked, and taken apart again. What they are is told in shadow.h; who
 * fills them, in shadow_fault.c; how they follow the guest's, in shadow_sync.c.
 */
#include <linux/hash.h>
#include <linux/io.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include "../vcpu.h"
#include "shadow.h"

/* Tables that may stand for a VM: some, and more the more memory it has (one a 256 KiB) */
#define LEAST_TABLES	128
#define FRAMES_A_TABLE	64

static struct thv_shadow *shadow_of(struct thv_vm *vm)
{
	return vm->memory.shadow;
}

/* ---- chains ---- */

static struct thv_shadow_table *table_of(const u64 *entry)
{
	return (struct thv_shadow_table *)page_private(virt_to_page(entry));
}

static u32 index_of(const struct thv_shadow_table *table, const u64 *entry)
{
	return entry - table->entries;
}

static u64 **next_of(u64 *entry)
{
	struct thv_shadow_table *table = table_of(entry);

	return &table->next[index_of(table, entry)];
}

static void chain_add(u64 **head, u64 *entry)
{
	*next_of(entry) = *head;
	*head = entry;
}

static void chain_del(u64 **head, u64 *entry)
{
	while (*head != entry) {
		if (WARN_ON_ONCE(!*head))
			return;
		head = next_of(*head);
	}
	*head = *next_of(entry);
}

/* Several frames share a chain: who walks it compares frame_of() */
static u64 **frame_chain(struct thv_shadow *shadow, u64 gfn)
{
	return &shadow->frames[hash_64(gfn, ilog2(THV_SHADOW_FRAMES))];
}

/* The guest frame that an entry of a lowest table maps */
static u64 frame_of(const struct thv_shadow_table *table, u32 index)
{
	if (table->role.direct)
		return table->gfn + index;
	return (table->guest[index] & GENMASK_ULL(51, 12)) >> PAGE_SHIFT;
}

struct thv_shadow_table *thv_shadow_child(u64 entry)
{
	return table_of(phys_to_virt(entry & PTE_PFN_MASK));
}

/* Of @entry, which is (to be) in this place, made of the guest's that is noted there */
static u64 **chain_of(struct thv_shadow *shadow, struct thv_shadow_table *table, u32 index, u64 entry)
{
	if (table->role.level == 1)
		return frame_chain(shadow, frame_of(table, index));
	return &thv_shadow_child(entry)->parents;
}

/* ---- entries ---- */

/**
 * thv_shadow_drop() - Take an entry out.
 * @shadow: the VM's.
 * @table: the table.
 * @index: the entry; may be empty.
 */
void thv_shadow_drop(struct thv_shadow *shadow, struct thv_shadow_table *table, u32 index)
{
	u64 entry = table->entries[index];

	if (!entry)
		return;
	chain_del(chain_of(shadow, table, index, entry), &table->entries[index]);
	WRITE_ONCE(table->entries[index], 0);
	table->guest[index] = 0;
	__clear_bit(index, table->in_use);
	shadow->unflushed = true;
}

/**
 * thv_shadow_set() - Put an entry in.
 * @shadow: the VM's.
 * @table: the table.
 * @index: where; what was there gives way.
 * @guest: the guest's entry it is made of; 0 if direct.
 * @entry: what the processor shall find.
 */
void thv_shadow_set(struct thv_shadow *shadow, struct thv_shadow_table *table, u32 index,
		    u64 guest, u64 entry)
{
	thv_shadow_drop(shadow, table, index);
	table->guest[index] = guest;
	chain_add(chain_of(shadow, table, index, entry), &table->entries[index]);
	__set_bit(index, table->in_use);
	/* The processor may walk into what it points to at once */
	smp_store_release(&table->entries[index], entry);
}

/**
 * thv_shadow_link() - Point an entry at a table.
 * @shadow: the VM's.
 * @table: above level 1.
 * @index: the entry.
 * @guest: the guest's entry that says so; 0 if direct.
 * @child: the table.
 *
 * It permits everything: what the guest's entry forbids is in the child's role, and so in
 * the pages below.
 */
void thv_shadow_link(struct thv_shadow *shadow, struct thv_shadow_table *table, u32 index,
		     u64 guest, struct thv_shadow_table *child)
{
	thv_shadow_set(shadow, table, index, guest,
		       virt_to_phys(child->entries) |
		       _PAGE_PRESENT | _PAGE_RW | _PAGE_USER | _PAGE_ACCESSED);
}

/* ---- tables ---- */

static struct hlist_head *hash_chain(struct thv_shadow *shadow, u64 gfn)
{
	return &shadow->hash[hash_64(gfn, ilog2(THV_SHADOW_HASH))];
}

/**
 * thv_shadow_find() - Is there a shadow of this?
 * @shadow: the VM's.
 * @gfn: the frame.
 * @role: how it is seen.
 *
 * Return: the table, which now counts as just used; or NULL.
 */
struct thv_shadow_table *thv_shadow_find(struct thv_shadow *shadow, u64 gfn,
					 union thv_shadow_role role)
{
	struct thv_shadow_table *table;

	hlist_for_each_entry(table, hash_chain(shadow, gfn), hash) {
		if (table->gfn != gfn || table->role.word != role.word)
			continue;
		list_move_tail(&table->lru, &shadow->tables);
		return table;
	}
	return NULL;
}

/**
 * thv_shadow_make() - Take a spare for this.
 * @shadow: the VM's.
 * @gfn: the frame.
 * @role: how it is seen.
 *
 * A table begins out of step: the guest goes on filling its own without a fault for each entry.
 *
 * Return: the table, empty; NULL: there is no spare.
 */
struct thv_shadow_table *thv_shadow_make(struct thv_shadow *shadow, u64 gfn,
					 union thv_shadow_role role)
{
	struct thv_shadow_table *table;

	table = list_first_entry_or_null(&shadow->spares, struct thv_shadow_table, lru);
	if (!table)
		return NULL;
	shadow->nr_spares--;
	shadow->nr++;
	table->gfn = gfn;
	table->role = role;
	hlist_add_head(&table->hash, hash_chain(shadow, gfn));
	list_move_tail(&table->lru, &shadow->tables);
	if (!role.direct)
		list_add_tail(&table->unsync, &shadow->unsync);
	return table;
}

/* Its pages; the one that a processor may still be walking through is @gather's, if there is one. */
static void release_pages_of(struct thv_shadow_table *table, struct thv_gather *gather)
{
	struct page *entries = virt_to_page(table->entries);

	set_page_private(entries, 0);
	if (gather)
		list_add(&entries->lru, &gather->tables);
	else
		__free_page(entries);
	free_page((unsigned long)table->guest);
	free_page((unsigned long)table->next);
	kfree(table);
}

/**
 * thv_shadow_free() - The end of a table.
 * @shadow: the VM's.
 * @gather: is told to flush, and then frees what the processor may have walked.
 * @table: no root.
 */
void thv_shadow_free(struct thv_shadow *shadow, struct thv_gather *gather,
		     struct thv_shadow_table *table)
{
	u32 i;

	thv_shadow_each_entry(i, table)
		thv_shadow_drop(shadow, table, i);
	while (table->parents) {
		struct thv_shadow_table *parent = table_of(table->parents);

		thv_shadow_drop(shadow, parent, index_of(parent, table->parents));
	}
	hlist_del(&table->hash);
	list_del(&table->lru);
	list_del(&table->unsync);
	shadow->nr--;
	gather->flush = true;
	release_pages_of(table, gather);
}

static struct thv_shadow_table *alloc_table(void)
{
	struct thv_shadow_table *table = kzalloc(sizeof(*table), GFP_KERNEL_ACCOUNT);

	if (!table)
		return NULL;
	INIT_LIST_HEAD(&table->unsync);
	table->entries = thv_table_alloc();
	table->guest = thv_table_alloc();
	table->next = (u64 **)thv_table_alloc();
	if (table->entries && table->guest && table->next) {
		set_page_private(virt_to_page(table->entries), (unsigned long)table);
		return table;
	}
	free_page((unsigned long)table->entries);
	free_page((unsigned long)table->guest);
	free_page((unsigned long)table->next);
	kfree(table);
	return NULL;
}

/* ---- whole frames ---- */

/*
 * Visit the entries that map a frame, of which @fn may drop the one it is given. One of several
 * may be dropped: the next is looked up before.
 */
static bool each_of_frame(struct thv_shadow *shadow, u64 gfn,
			  bool (*fn)(struct thv_shadow *shadow, u64 *entry))
{
	u64 *entry = *frame_chain(shadow, gfn), *next;
	bool any = false;

	for (; entry; entry = next) {
		struct thv_shadow_table *table = table_of(entry);

		next = *next_of(entry);
		if (frame_of(table, index_of(table, entry)) == gfn)
			any |= fn(shadow, entry);
	}
	return any;
}

static bool forbid_write(struct thv_shadow *shadow, u64 *entry)
{
	u64 old = READ_ONCE(*entry);

	if (!(old & _PAGE_RW))
		return false;
	WRITE_ONCE(*entry, old & ~_PAGE_RW);
	return true;
}

static bool drop_entry(struct thv_shadow *shadow, u64 *entry)
{
	struct thv_shadow_table *table = table_of(entry);

	thv_shadow_drop(shadow, table, index_of(table, entry));
	return true;
}

/**
 * thv_shadow_protect() - Whatever maps a frame may only read it.
 * @shadow: the VM's.
 * @gfn: the frame.
 *
 * Return: was there something to take back? Then only a flush makes it so.
 */
bool thv_shadow_protect(struct thv_shadow *shadow, u64 gfn)
{
	return each_of_frame(shadow, gfn, forbid_write);
}

/**
 * thv_shadow_in_step() - Is a frame a table of the guest's that must not be written unseen?
 * @shadow: the VM's.
 * @gfn: the frame.
 */
bool thv_shadow_in_step(struct thv_shadow *shadow, u64 gfn)
{
	struct thv_shadow_table *table;

	hlist_for_each_entry(table, hash_chain(shadow, gfn), hash)
		if (table->gfn == gfn && thv_shadow_is_in_step(table))
			return true;
	return false;
}

/**
 * thv_shadow_unsync() - A frame is or will be written: its shadows are out of step.
 * @shadow: the VM's.
 * @gfn: the frame.
 */
void thv_shadow_unsync(struct thv_shadow *shadow, u64 gfn)
{
	struct thv_shadow_table *table;

	hlist_for_each_entry(table, hash_chain(shadow, gfn), hash)
		if (table->gfn == gfn)
			thv_shadow_out_of_step(shadow, table);
}

/**
 * thv_shadow_restricted() - The VM's map permits less of some frames than it did.
 * @tables: the map.
 * @gfn: the first frame.
 * @level: of the page: how many.
 *
 * What was made of it goes; the guest faults and gets what there is now. A frame that is a table
 * may have another content when it comes back.
 *
 * Context: who took it out flushes.
 */
void thv_shadow_restricted(struct thv_tables *tables, u64 gfn, unsigned int level)
{
	struct thv_shadow *shadow = container_of(tables, struct thv_memory_map, tables)->shadow;
	u64 end = gfn + thv_table_frames(level);

	if (!shadow)
		return;
	for (; gfn < end; gfn++) {
		each_of_frame(shadow, gfn, drop_entry);
		thv_shadow_unsync(shadow, gfn);
	}
}

/* ---- life ---- */

int thv_shadow_init(struct thv_vm *vm)
{
	struct thv_shadow *shadow;

	if (vm->paging != THV_PAGING_SHADOW)
		return 0;
	shadow = kvzalloc(sizeof(*shadow), GFP_KERNEL_ACCOUNT);
	if (!shadow)
		return -ENOMEM;
	INIT_LIST_HEAD(&shadow->tables);
	INIT_LIST_HEAD(&shadow->unsync);
	INIT_LIST_HEAD(&shadow->spares);
	vm->memory.shadow = shadow;
	return 0;
}

/* No vCPU runs any more, and nobody else knows the VM. */
void thv_shadow_exit(struct thv_vm *vm)
{
	struct thv_shadow *shadow = shadow_of(vm);
	struct thv_shadow_table *table, *next;

	if (!shadow)
		return;
	list_for_each_entry_safe(table, next, &shadow->tables, lru)
		release_pages_of(table, NULL);
	list_for_each_entry_safe(table, next, &shadow->spares, lru)
		release_pages_of(table, NULL);
	kvfree(shadow);
	vm->memory.shadow = NULL;
}

static u32 limit_of(struct thv_memory_map *map)
{
	const struct thv_slots *slots = thv_memory_slots(map);
	u64 pages = 0;
	u32 i;

	for (i = 0; i < slots->nr; i++)
		pages += slots->slot[i].pages;
	return LEAST_TABLES + min_t(u64, pages / FRAMES_A_TABLE, U32_MAX / 2);
}

/* Room for one fault's tables; a sixteenth at a time, that the flush be worth it */
static void make_room(struct thv_vm *vm)
{
	struct thv_shadow *shadow = shadow_of(vm);
	struct thv_shadow_table *table, *next;
	struct thv_gather gather;
	u32 limit = limit_of(&vm->memory);
	u32 goal = limit - max_t(u32, limit / 16, THV_SHADOW_NEEDS);

	if (shadow->nr + THV_SHADOW_NEEDS <= limit)
		return;
	thv_gather_init(&gather);
	list_for_each_entry_safe(table, next, &shadow->tables, lru) {
		if (shadow->nr <= goal)
			break;
		if (!table->roots)
			thv_shadow_free(shadow, &gather, table);
	}
	thv_gather_finish(&vm->memory.tables, &gather);
}

/**
 * thv_shadow_fill() - Have tables ready for one fault, and room for them.
 * @vm: the VM.
 *
 * Context: may sleep, no lock held. Others may use them up before the caller has the lock.
 * Return: 0 or -ENOMEM.
 */
int thv_shadow_fill(struct thv_vm *vm)
{
	struct thv_memory_map *map = &vm->memory;
	struct thv_shadow *shadow = map->shadow;

	if (READ_ONCE(shadow->nr_spares) >= THV_SHADOW_NEEDS)
		return 0;
	do {
		struct thv_shadow_table *table = alloc_table();

		if (!table)
			return -ENOMEM;
		write_lock(&map->mmu_lock);
		make_room(vm);
		list_add(&table->lru, &shadow->spares);
		shadow->nr_spares++;
		write_unlock(&map->mmu_lock);
	} while (READ_ONCE(shadow->nr_spares) < THV_SHADOW_NEEDS);
	return 0;
}
