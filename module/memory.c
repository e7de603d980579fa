// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guest-physical memory: the slots, and what the module itself puts beside them. A slot says
 * which guest frames are which user memory; what of that is mapped, paging/ decides: map.c
 * maps, notifier.c takes back, touched.c keeps the books.
 *
 * The slots are one table, replaced as a whole at each change, so that a reader sees the old
 * one or the new one.
 *
 * Locks, outermost first: slots_lock (mutex, who changes slots), the host's mmap_lock and all of
 * mm/, mmu_lock (never with interrupts off: the flush under it sends IPIs and waits).
 * slots_srcu is held for reading while user memory is touched through a slot, so that
 * THV_SET_MEMORY returns only when nobody uses the old slots any more; it is not held while a fault
 * waits for the host.
 */
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <asm/apicdef.h>
#include <asm/processor.h>
#include <asm/vmx.h>
#include "debug.h"
#include "paging/ept.h"
#include "paging/shadow.h"
#include "paging/touched.h"
#include "trace.h"
#include "vcpu.h"

/* Frames worked on without giving others the lock: 1 GiB */
#define CHUNK	BIT_ULL(18)

/* ---- life ---- */

/**
 * thv_memory_copy_slots() - The slots, to change and thv_memory_publish().
 * @map: with slots_lock held.
 *
 * Context: may sleep.
 * Return: the copy, or NULL.
 */
struct thv_slots *thv_memory_copy_slots(struct thv_memory_map *map)
{
	return kmemdup(thv_memory_slots(map), sizeof(struct thv_slots), GFP_KERNEL_ACCOUNT);
}

static int init_tables(struct thv_vm *vm)
{
	struct thv_memory_map *map = &vm->memory;
	struct thv_slots *slots = kzalloc(sizeof(*slots), GFP_KERNEL_ACCOUNT);
	int err;

	if (!slots)
		return -ENOMEM;
	err = thv_tables_init(&map->tables, thv_ept_format(vm->features), &thv_memory_owner);
	if (err)
		kfree(slots);
	else
		RCU_INIT_POINTER(map->slots, slots);
	return err;
}

static void destroy_tables(struct thv_memory_map *map)
{
	thv_tables_destroy(&map->tables);
	kfree(rcu_dereference_protected(map->slots, true));
}

/**
 * thv_memory_init() - Give a new VM an empty guest-physical address space.
 * @vm: the VM; @vm->mm is the caller's address space, @vm->features are settled.
 *
 * Context: may sleep.
 * Return: 0, -ENOMEM, or -EINTR (a fatal signal).
 */
int thv_memory_init(struct thv_vm *vm)
{
	struct thv_memory_map *map = &vm->memory;
	int err;

	mutex_init(&map->slots_lock);
	rwlock_init(&map->mmu_lock);
	init_waitqueue_head(&map->settled);
	map->limits = (struct thv_slot_limits){
		.phys_bits = min_t(u32, thv_caps.phys_bits, 48),	/* four levels */
		.user_end = TASK_SIZE_MAX,
		.nr_reserved = 1,
		.reserved = { APIC_DEFAULT_PHYS_BASE >> PAGE_SHIFT },
	};
	map->notifier.ops = &thv_memory_notifier_ops;

	err = init_srcu_struct(&map->slots_srcu);
	if (err)
		return err;
	err = init_tables(vm);
	if (err)
		goto no_tables;
	err = thv_shadow_init(vm);
	if (err)
		goto no_shadow;
	err = mmu_notifier_register(&map->notifier, current->mm);
	if (err)
		goto no_notifier;
	return 0;

no_notifier:
	thv_shadow_exit(vm);
no_shadow:
	destroy_tables(map);
no_tables:
	cleanup_srcu_struct(&map->slots_srcu);
	return err;
}

static void free_bitmaps(const struct thv_slots *slots)
{
	u32 i;

	for (i = 0; i < slots->nr; i++) {
		kvfree(slots->slot[i].dirty);
		kvfree(slots->slot[i].accessed);
	}
}

/**
 * thv_memory_destroy() - The end of it.
 * @vm: the VM. No vCPU can run any more, and @vm->mm is still mmgrab()bed; whether it lives, and
 *	whose process we are in, does not matter.
 *
 * Context: may sleep.
 */
void thv_memory_destroy(struct thv_vm *vm)
{
	struct thv_memory_map *map = &vm->memory;
	struct thv_gather gather;

	mmu_notifier_unregister(&map->notifier, vm->mm);

	thv_gather_init(&gather);
	write_lock(&map->mmu_lock);
	thv_table_zap(&map->tables, &gather, 0, thv_table_frames(map->tables.format->levels + 1));
	/* There is nobody to flush: a vCPU that later gets this root flushes when first loaded */
	gather.flush = false;
	thv_gather_finish(&map->tables, &gather);
	write_unlock(&map->mmu_lock);

	thv_shadow_exit(vm);
	free_bitmaps(rcu_dereference_protected(map->slots, true));
	destroy_tables(map);
	cleanup_srcu_struct(&map->slots_srcu);
}

/**
 * thv_memory_root() - Where the hardware's walk begins.
 * @vm: the VM.
 *
 * Return: the root table's host-physical address; it never changes.
 */
u64 thv_memory_root(struct thv_vm *vm)
{
	return virt_to_phys(vm->memory.tables.root);
}

/**
 * thv_memory_ept_pointer() - The EPT pointer of a VM (SDM 25.6.11).
 * @vm: the VM.
 *
 * Write-back, like all we map; a walk of four levels; flags if the format has them.
 */
u64 thv_memory_ept_pointer(struct thv_vm *vm)
{
	u64 pointer = thv_memory_root(vm) | VMX_EPTP_MT_WB | VMX_EPTP_PWL_4;

	if (vm->memory.tables.format->accessed)
		pointer |= VMX_EPTP_AD_ENABLE_BIT;
	return pointer;
}

/**
 * thv_memory_check() - Debug builds: kill the VM if its tables are not what they should be.
 * @vm: the VM; mmu_lock is held.
 * @gfn: the frame that was changed; THV_ALL_FRAMES: look at all.
 */
void thv_memory_check(struct thv_vm *vm, u64 gfn)
{
	const struct thv_ept_rules rules = {
		.phys_bits = boot_cpu_data.x86_phys_bits, .features = thv_caps.offered,
	};
	const char *why;

	if (gfn == THV_ALL_FRAMES)
		why = thv_ept_check_tree(&vm->memory.tables, &rules);
	else
		why = thv_ept_check_path(&vm->memory.tables, &rules, gfn);
	if (why)
		thv_vm_kill(vm, why);
}

/* Have @count table pages ready, at most THV_TABLE_SPARES. 0 or -ENOMEM. */
static int fill_to(struct thv_memory_map *map, unsigned int count)
{
	while (READ_ONCE(map->tables.nr_spares) < count) {
		u64 *page = thv_table_alloc();
		bool kept;

		if (!page)
			return -ENOMEM;
		write_lock(&map->mmu_lock);
		kept = thv_tables_spare(&map->tables, page);
		write_unlock(&map->mmu_lock);
		if (!kept)
			free_page((unsigned long)page);
	}
	return 0;
}

/**
 * thv_memory_fill() - Have table pages ready for one mapping.
 * @map: the VM's memory.
 *
 * Others may use them up before the caller has the lock: there, thv_tables_ready() tells.
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int thv_memory_fill(struct thv_memory_map *map)
{
	return fill_to(map, map->tables.format->levels - 1);
}

/* ---- THV_SET_MEMORY ---- */

/**
 * thv_memory_publish() - Replace the slots.
 * @map: with slots_lock held.
 * @new: from thv_memory_copy_slots(); the old ones are freed, their bitmaps not.
 *
 * Faults that looked at the old slots find themselves outdated, and look again; readers who
 * use user memory by them have finished when this returns.
 *
 * Context: may sleep.
 */
void thv_memory_publish(struct thv_memory_map *map, struct thv_slots *new)
{
	struct thv_slots *old;

	lockdep_assert_held(&map->slots_lock);
	write_lock(&map->mmu_lock);
	old = rcu_replace_pointer(map->slots, new, lockdep_is_held(&map->mmu_lock));
	thv_memory_outdate(map);
	write_unlock(&map->mmu_lock);
	synchronize_srcu_expedited(&map->slots_srcu);
	kfree(old);
}

/* Zap all that is mapped of a slot, and let others in between. */
static void zap_slot(struct thv_vm *vm, const struct thv_slot *slot)
{
	struct thv_memory_map *map = &vm->memory;
	u64 first, last, end = slot->gfn + slot->pages;

	for (first = slot->gfn; first < end; first = last) {
		struct thv_gather gather;

		last = min(first + CHUNK, end);
		thv_gather_init(&gather);
		write_lock(&map->mmu_lock);
		thv_table_zap(&map->tables, &gather, first, last);
		thv_gather_finish(&map->tables, &gather);
		if (THV_DEBUG)
			thv_memory_check(vm, THV_ALL_FRAMES);
		write_unlock(&map->mmu_lock);
		cond_resched();
	}
}

/* Give @slot, which shall replace @old (or nothing), the bitmaps it is to have. */
static int prepare_bitmaps(struct thv_slot *slot, const struct thv_slot *old)
{
	slot->accessed = old ? old->accessed : NULL;
	slot->dirty = NULL;
	if (!(slot->flags & THV_MEMORY_LOG_DIRTY))
		return 0;
	slot->dirty = old && old->dirty ? old->dirty : thv_touched_bitmap(slot->pages);
	return slot->dirty ? 0 : -ENOMEM;
}

static int add_slot(struct thv_vm *vm, struct thv_slot_plan *plan)
{
	struct thv_memory_map *map = &vm->memory;
	struct thv_slots *new = thv_memory_copy_slots(map);
	int err = new ? prepare_bitmaps(&plan->slot, NULL) : -ENOMEM;

	if (err) {
		kfree(new);
		return err;
	}
	thv_slots_insert(new, &plan->slot);
	thv_memory_publish(map, new);
	return 0;
}

/*
 * Out with the slot, and in again elsewhere if it moves. In between it is dying: nothing new
 * is mapped by it, and the guest waits; but the notifier still finds what is mapped.
 */
static int take_out(struct thv_vm *vm, struct thv_slot_plan *plan, const struct thv_slot *again)
{
	struct thv_memory_map *map = &vm->memory;
	struct thv_slots *dying = thv_memory_copy_slots(map), *new = thv_memory_copy_slots(map);

	if (!dying || !new) {
		kfree(dying);
		kfree(new);
		return -ENOMEM;
	}
	dying->slot[plan->old].flags |= THV_SLOT_DYING;
	thv_memory_publish(map, dying);
	zap_slot(vm, &new->slot[plan->old]);
	thv_slots_remove(new, plan->old);
	if (again)
		thv_slots_insert(new, again);
	thv_memory_publish(map, new);
	return 0;
}

static int delete_slot(struct thv_vm *vm, struct thv_slot_plan *plan)
{
	struct thv_slot old = thv_memory_slots(&vm->memory)->slot[plan->old];
	int err = take_out(vm, plan, NULL);

	if (err)
		return err;
	kvfree(old.dirty);
	kvfree(old.accessed);
	return 0;
}

static int move_slot(struct thv_vm *vm, struct thv_slot_plan *plan)
{
	struct thv_slot old = thv_memory_slots(&vm->memory)->slot[plan->old];
	int err = prepare_bitmaps(&plan->slot, &old);

	if (!err)
		err = take_out(vm, plan, &plan->slot);
	/* Of the two the one that is not in use now; often they are the same */
	if (old.dirty != plan->slot.dirty)
		kvfree(err ? plan->slot.dirty : old.dirty);
	return err;
}

/*
 * Flags newly set forbid what is mapped. A log wants small pages: those that are large are cut, of which
 * each takes a table that was allocated before. When there is none left the visit ends early, and goes
 * on from there with new ones; when there is none to be had, the page goes, and the guest fetches it
 * again piece by piece.
 */
struct restriction {
	u32 set;		/* THV_MEMORY_* */
	bool no_tables;
	bool stopped;
	u64 next;		/* the frame to go on from, then */
};

static u64 forbidden(const struct thv_table_format *format, u32 set)
{
	return (set & THV_MEMORY_LOG_DIRTY ? format->dirty ?: format->writable : 0) |
	       (set & THV_MEMORY_READONLY ? format->writable : 0) |
	       (set & THV_MEMORY_NOEXEC ? format->executable : 0);
}

static void restrict_leaf(struct thv_tables *tables, struct thv_gather *gather, u64 *entry,
			  u64 gfn, unsigned int level, void *arg)
{
	struct restriction *restriction = arg;
	u64 bits = forbidden(tables->format, restriction->set);

	if (restriction->stopped)
		return;
	restriction->next = gfn;
	if (level == 1 || !(restriction->set & THV_MEMORY_LOG_DIRTY))
		thv_table_clear(tables, gather, entry, gfn, level, bits);
	else if (thv_table_split(tables, gather, entry, gfn, level, bits))
		restriction->stopped = level > 2;	/* for the pieces */
	else if (restriction->no_tables)
		thv_table_remove(tables, gather, entry, gfn, level);
	else
		restriction->stopped = true;		/* for more tables */
}

static void restrict_slot(struct thv_vm *vm, const struct thv_slot *slot, u32 set)
{
	struct restriction restriction = { .set = set };
	struct thv_memory_map *map = &vm->memory;
	u64 first, last, end = slot->gfn + slot->pages;

	for (first = slot->gfn; first < end; first = restriction.stopped ? restriction.next : last) {
		struct thv_gather gather;

		if (restriction.stopped)
			restriction.no_tables = fill_to(map, THV_TABLE_SPARES);
		restriction.stopped = false;
		last = min(first + CHUNK, end);
		thv_gather_init(&gather);
		gather.forget_dirty = true;	/* a log starts: earlier writes are no news */
		write_lock(&map->mmu_lock);
		thv_table_each(&map->tables, &gather, first, last, restrict_leaf, &restriction);
		thv_gather_finish(&map->tables, &gather);
		if (THV_DEBUG)
			thv_memory_check(vm, THV_ALL_FRAMES);
		write_unlock(&map->mmu_lock);
		cond_resched();
	}
}

/* The largest pages that a VM's tables may have, by level */
unsigned int thv_memory_largest(const struct thv_vm *vm)
{
	if (!(vm->features & THV_FEATURE_EPT_2M))
		return 1;
	return vm->features & THV_FEATURE_EPT_1G ? 3 : 2;
}

/* As many as one flush is good for; the frame from which to go on */
static u64 merge_some(struct thv_tables *tables, u64 gfn, u64 end, unsigned int level)
{
	u64 frames = thv_table_frames(level), last = min(end, gfn + CHUNK);
	struct thv_gather gather;

	thv_gather_init(&gather);
	for (; gfn + frames <= last && gather.nr_resizes < THV_TABLE_SPARES; gfn += frames)
		thv_table_merge(tables, &gather, gfn, level);
	thv_gather_finish(tables, &gather);
	return gfn;
}

/*
 * A log has ended: what it had cut may be large again. Where pieces are missing, or are scattered, the
 * next fault there does it, if the host has a large page (map.c).
 */
static void merge_slot(struct thv_vm *vm, const struct thv_slot *slot)
{
	struct thv_memory_map *map = &vm->memory;
	u64 gfn, frames, end = slot->gfn + slot->pages;
	unsigned int level;

	for (level = 2; level <= thv_memory_largest(vm); level++) {
		frames = thv_table_frames(level);
		for (gfn = ALIGN(slot->gfn, frames); gfn + frames <= end; ) {
			write_lock(&map->mmu_lock);
			gfn = merge_some(&map->tables, gfn, end, level);
			if (THV_DEBUG)
				thv_memory_check(vm, THV_ALL_FRAMES);
			write_unlock(&map->mmu_lock);
			cond_resched();
		}
	}
}

static int change_flags(struct thv_vm *vm, struct thv_slot_plan *plan)
{
	struct thv_memory_map *map = &vm->memory;
	struct thv_slot old = thv_memory_slots(map)->slot[plan->old];
	struct thv_slots *new = thv_memory_copy_slots(map);
	u32 set = plan->slot.flags & ~old.flags, cleared = old.flags & ~plan->slot.flags;
	int err = new ? prepare_bitmaps(&plan->slot, &old) : -ENOMEM;

	if (err) {
		kfree(new);
		return err;
	}
	new->slot[plan->old] = plan->slot;
	thv_memory_publish(map, new);
	if (set)
		restrict_slot(vm, &plan->slot, set);
	if (cleared & THV_MEMORY_LOG_DIRTY) {
		/* Pieces that hold code must not become a page that holds none */
		if (thv_large_pages_hold_no_code())
			zap_slot(vm, &plan->slot);
		else
			merge_slot(vm, &plan->slot);
		kvfree(old.dirty);
	}
	return 0;
}

static int no_change(struct thv_vm *vm, struct thv_slot_plan *plan)
{
	return 0;
}

/**
 * thv_memory_set() - THV_SET_MEMORY.
 * @vm: the VM.
 * @args: see the uapi.
 *
 * Context: may sleep. When it returns, nothing uses what was taken away.
 * Return: 0, -ENOMEM, or what the uapi says.
 */
int thv_memory_set(struct thv_vm *vm, const struct thv_memory *args)
{
	static int (*const carry_out[])(struct thv_vm *vm, struct thv_slot_plan *plan) = {
		[THV_SLOT_SAME]		= no_change,
		[THV_SLOT_ADD]		= add_slot,
		[THV_SLOT_DELETE]	= delete_slot,
		[THV_SLOT_MOVE]		= move_slot,
		[THV_SLOT_FLAGS]	= change_flags,
	};
	struct thv_memory_map *map = &vm->memory;
	struct thv_slot_plan plan;
	int err;

	mutex_lock(&map->slots_lock);
	err = thv_slots_plan(thv_memory_slots(map), args, &map->limits, &plan);
	if (!err) {
		err = carry_out[plan.change](vm, &plan);
		trace_thv_slot(vm, plan.change, args, err);
	}
	mutex_unlock(&map->slots_lock);
	return err;
}

/* ---- pages of our own ---- */

static int reserve(struct thv_memory_map *map, u64 gfn)
{
	struct thv_slot_limits *limits = &map->limits;
	u32 i;

	for (i = 0; i < limits->nr_reserved; i++)
		if (limits->reserved[i] == gfn)
			return 0;
	if (thv_slots_touch(thv_memory_slots(map), gfn, 1, -1))
		return -EEXIST;
	if (limits->nr_reserved == THV_MAX_RESERVED)
		return -ENOSPC;
	limits->reserved[limits->nr_reserved++] = gfn;
	return 0;
}

static int map_private(struct thv_memory_map *map, u64 gfn, u64 leaf)
{
	int err = thv_memory_fill(map);

	if (err)
		return err;
	write_lock(&map->mmu_lock);
	err = thv_tables_ready(&map->tables) ? thv_table_map(&map->tables, gfn, 1, leaf) : -EAGAIN;
	write_unlock(&map->mmu_lock);
	return err;
}

/**
 * thv_memory_map_private() - Show the guest a page of the module's own.
 * @vm: the VM.
 * @gpa: where; stays closed to slots for the VM's life.
 * @page: the caller's, at least until thv_memory_destroy().
 * @writable: may the guest write it? (With accessed and dirty flags in use, a page of guest
 *	tables must be: the walk itself counts as a write, SDM 29.3.5.)
 *
 * Context: may sleep; takes slots_lock.
 * Return: 0; -EEXIST, a slot is there; -ENOSPC, too many such pages; -ENOMEM.
 */
int thv_memory_map_private(struct thv_vm *vm, u64 gpa, struct page *page, bool writable)
{
	u32 access = THV_ACCESS_READ | (writable ? THV_ACCESS_WRITE : 0);
	struct thv_memory_map *map = &vm->memory;
	u64 leaf = page_to_phys(page) | map->tables.format->leaf(1, access) | THV_ENTRY_PRIVATE;
	int err;

	mutex_lock(&map->slots_lock);
	err = reserve(map, gpa >> PAGE_SHIFT);
	if (!err) {
		do {
			err = map_private(map, gpa >> PAGE_SHIFT, leaf);
		} while (err == -EAGAIN);
	}
	mutex_unlock(&map->slots_lock);
	return err;
}

/* ---- guest memory as the module uses it ---- */

static int read_piece(const struct thv_slot *slot, u64 gpa, void *data, size_t len)
{
	u64 hva = thv_slot_hva(slot, gpa >> PAGE_SHIFT) + offset_in_page(gpa);

	return copy_from_user(data, u64_to_user_ptr(hva), len) ? -EFAULT : 0;
}

/* The bit comes after the write: whoever takes the bit in between finds another one later */
static int write_piece(const struct thv_slot *slot, u64 gpa, void *data, size_t len)
{
	u64 hva = thv_slot_hva(slot, gpa >> PAGE_SHIFT) + offset_in_page(gpa);
	u64 page;
	int err;

	if (slot->flags & THV_MEMORY_READONLY)
		return -EFAULT;
	err = copy_to_user(u64_to_user_ptr(hva), data, len) ? -EFAULT : 0;
	for (page = gpa >> PAGE_SHIFT; page <= (gpa + len - 1) >> PAGE_SHIFT; page++)
		thv_touched_record(slot->dirty, page - slot->gfn, 1);
	return err;
}

/* An entry of a table, aligned, and so never in two pieces */
struct exchange {
	u64 old, new;
};

static int try_exchange(void __user *at, const struct exchange *exchange, size_t len)
{
	u64 old64 = exchange->old;
	u32 old32 = exchange->old;

	if (len == sizeof(u64))
		return __try_cmpxchg_user((u64 __user *)at, &old64, exchange->new, no_u64);
	return __try_cmpxchg_user((u32 __user *)at, &old32, (u32)exchange->new, no_u32);
}

static int exchange_piece(const struct thv_slot *slot, u64 gpa, void *data, size_t len)
{
	u64 hva = thv_slot_hva(slot, gpa >> PAGE_SHIFT) + offset_in_page(gpa);
	int failed;

	if (slot->flags & THV_MEMORY_READONLY)
		return -EROFS;
	if (!access_ok(u64_to_user_ptr(hva), len))
		return -EFAULT;
	failed = try_exchange(u64_to_user_ptr(hva), data, len);
	if (failed)
		return failed < 0 ? failed : -EAGAIN;
	thv_touched_record(slot->dirty, (gpa >> PAGE_SHIFT) - slot->gfn, 1);
	return 0;
}

typedef int (*piece_fn)(const struct thv_slot *slot, u64 gpa, void *data, size_t len);

/* A range may run on from one slot into the next. */
static int each_piece(struct thv_vm *vm, u64 gpa, void *data, size_t len, piece_fn fn)
{
	struct thv_memory_map *map = &vm->memory;
	const struct thv_slot *slot;
	int idx, err = 0;
	size_t n;

	if (WARN_ON_ONCE(current->mm != vm->mm) || gpa + len < gpa)
		return -EFAULT;
	idx = srcu_read_lock(&map->slots_srcu);
	for (; len && !err; gpa += n, data += n, len -= n) {
		slot = thv_slots_find(thv_memory_slots(map), gpa >> PAGE_SHIFT);
		if (!slot) {
			err = -EFAULT;
			break;
		}
		n = min_t(u64, len, ((slot->gfn + slot->pages) << PAGE_SHIFT) - gpa);
		err = fn(slot, gpa, data, n);
	}
	srcu_read_unlock(&map->slots_srcu, idx);
	return err;
}

/**
 * thv_read_guest() - Read guest memory.
 * @vm: the VM; it is the caller's process's.
 * @gpa: from where; any alignment, may cross slots.
 * @data: to where.
 * @len: bytes.
 *
 * Context: may sleep (and wait for a page of the launcher's).
 * Return: 0, or -EFAULT: not all of it is readable memory.
 */
int thv_read_guest(struct thv_vm *vm, u64 gpa, void *data, size_t len)
{
	return each_piece(vm, gpa, data, len, read_piece);
}

static int load(const struct thv_slot *slot, u64 gpa, u64 *entry, unsigned int size)
{
	u64 hva = thv_slot_hva(slot, gpa >> PAGE_SHIFT) + offset_in_page(gpa);

	if (size == sizeof(u64))
		return get_user(*entry, (u64 __user *)u64_to_user_ptr(hva));
	return get_user(*entry, (u32 __user *)u64_to_user_ptr(hva));
}

/**
 * thv_load_guest() - Read an entry of a guest's table, at once.
 * @vm: the VM; it is the caller's process's.
 * @gpa: from where; aligned to @size, and so never in two slots.
 * @entry: out.
 * @size: 4 or 8 bytes.
 *
 * Context: may sleep (and wait for a page of the launcher's).
 * Return: 0, or -EFAULT: it is not readable memory.
 */
int thv_load_guest(struct thv_vm *vm, u64 gpa, u64 *entry, unsigned int size)
{
	struct thv_memory_map *map = &vm->memory;
	const struct thv_slot *slot;
	int idx, err = -EFAULT;

	if (WARN_ON_ONCE(current->mm != vm->mm))
		return -EFAULT;
	idx = srcu_read_lock(&map->slots_srcu);
	slot = thv_slots_find(thv_memory_slots(map), gpa >> PAGE_SHIFT);
	if (slot)
		err = load(slot, gpa, entry, size);
	srcu_read_unlock(&map->slots_srcu, idx);
	return err;
}

/* The guest cannot have seen it: its own writes to a table that is shadowed fault, ours do not */
static void note_written(struct thv_memory_map *map, u64 first, u64 last)
{
	write_lock(&map->mmu_lock);
	for (; first <= last; first++)
		thv_shadow_unsync(map->shadow, first);
	write_unlock(&map->mmu_lock);
}

/**
 * thv_write_guest() - Write guest memory; it counts as dirty.
 * @vm: the VM; it is the caller's process's.
 * @gpa: to where; any alignment, may cross slots.
 * @data: from where.
 * @len: bytes.
 *
 * Context: may sleep (and wait for a page of the launcher's).
 * Return: 0, or -EFAULT: not all of it is writable memory; some may have been written.
 */
int thv_write_guest(struct thv_vm *vm, u64 gpa, const void *data, size_t len)
{
	int err = each_piece(vm, gpa, (void *)data, len, write_piece);

	if (vm->memory.shadow)
		note_written(&vm->memory, gpa >> PAGE_SHIFT, (gpa + len - 1) >> PAGE_SHIFT);
	return err;
}

/**
 * thv_cmpxchg_guest() - Change an entry of a guest's table, unless somebody else has.
 * @vm: the VM; it is the caller's process's.
 * @gpa: where; aligned to @size.
 * @old: what it must be.
 * @new: what it shall be.
 * @size: 4 or 8 bytes.
 *
 * Context: may sleep (and wait for a page of the launcher's).
 * Return: 0; -EAGAIN, it is not @old; -EROFS, the slot is only read; -EFAULT, it is not memory that
 * the launcher can write.
 */
int thv_cmpxchg_guest(struct thv_vm *vm, u64 gpa, u64 old, u64 new, unsigned int size)
{
	struct exchange exchange = { .old = old, .new = new };

	return each_piece(vm, gpa, &exchange, size, exchange_piece);
}
