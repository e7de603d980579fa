// SPDX-License-Identifier: GPL-2.0-only
/*
 * Shadow tables follow the guest's: at each flush of the guest's own, those out of step are compared
 * with what they were made of. And a vCPU's roots, which are what it has loaded into CR3.
 *
 * The guest's tables are read through the VM's map of its memory, not through the launcher's
 * addresses: what is mapped is there, and nothing has to be waited for. A table that is not mapped any
 * more (the host has swapped it out, say) has its shadow freed.
 */
#include <linux/io.h>
#include <linux/mm.h>
#include <asm/msr-index.h>
#include <asm/processor-flags.h>
#include "../vcpu.h"
#include "shadow.h"

/* ---- the guest's entries ---- */

/* Which of the guest's entries stands behind one of ours */
static u32 guest_index(union thv_shadow_role role, u32 index)
{
	if (!thv_shadow_is_32(role))
		return index;
	/* 1024 a table: of a lowest table a half is ours; above, two of ours are one of 4 MiB */
	if (role.level == 1)
		return role.quadrant * THV_TABLE_ENTRIES + index;
	return (role.quadrant * THV_TABLE_ENTRIES + index) / 2;
}

static const void *guest_table(struct thv_vm *vm, u64 gfn)
{
	unsigned int level;
	u64 leaf = thv_table_lookup(&vm->memory.tables, gfn, &level);
	u64 frame = gfn & (thv_table_frames(level) - 1);

	if (!leaf)
		return NULL;
	return phys_to_virt((leaf & vm->memory.tables.format->address) + (frame << PAGE_SHIFT));
}

static u64 guest_entry(const void *page, union thv_shadow_role role, u32 index)
{
	index = guest_index(role, index);
	if (thv_shadow_is_32(role))
		return READ_ONCE(((const u32 *)page)[index]);
	return READ_ONCE(((const u64 *)page)[index]);
}

/**
 * thv_shadow_entry() - What the guest's table says now.
 * @vm: the VM.
 * @table: a shadow of it; not direct.
 * @index: the entry, as the shadow counts them.
 * @entry: out.
 *
 * Return: false: the table is not mapped.
 */
bool thv_shadow_entry(struct thv_vm *vm, const struct thv_shadow_table *table, u32 index, u64 *entry)
{
	const void *page = guest_table(vm, table->gfn);

	if (!page)
		return false;
	*entry = guest_entry(page, table->role, index);
	return true;
}

/* ---- in step ---- */

/* Drop what the guest has changed; was there anything? All of it, if the table cannot be read. */
static bool compare(struct thv_vm *vm, struct thv_shadow_table *table)
{
	const void *page = guest_table(vm, table->gfn);
	bool changed = !page;
	u32 i;

	thv_shadow_each_entry(i, table) {
		if (page && table->guest[i] == guest_entry(page, table->role, i))
			continue;
		thv_shadow_drop(vm->memory.shadow, table, i);
		changed = true;
	}
	return changed;
}

/**
 * thv_shadow_compare() - Drop what is outdated in all tables out of step.
 * @vm: the VM.
 *
 * For when a table is found that nothing led to any more, or something else: the guest may have
 * taken it down, and another one up in the same frame, without a flush of addresses that no
 * processor had in use. What is below it may be as old.
 */
void thv_shadow_compare(struct thv_vm *vm)
{
	struct thv_shadow_table *table;

	list_for_each_entry(table, &vm->memory.shadow->unsync, unsync)
		compare(vm, table);
}

/*
 * Those that were not written since the last flush go into step: first nobody may write them, on any
 * processor, and then they are compared once more.
 */
static void into_step(struct thv_vm *vm, struct list_head *quiet)
{
	struct thv_shadow *shadow = vm->memory.shadow;
	struct thv_shadow_table *table, *next;
	bool writable = false;

	if (list_empty(quiet))
		return;
	list_for_each_entry(table, quiet, unsync)
		writable |= thv_shadow_protect(shadow, table->gfn);
	if (writable || shadow->unflushed) {
		vm->memory.tables.owner->flush(&vm->memory.tables);
		shadow->unflushed = false;
	}
	list_for_each_entry_safe(table, next, quiet, unsync) {
		list_del_init(&table->unsync);
		table->quiet = 0;
		compare(vm, table);
	}
}

/*
 * All that are out of step. One that is left with nothing, and is no root, goes: the guest may long
 * use the frame for something else.
 */
static void sync(struct thv_vm *vm)
{
	struct thv_shadow *shadow = vm->memory.shadow;
	struct thv_shadow_table *table, *next;
	struct thv_gather gather;
	LIST_HEAD(quiet);

	thv_gather_init(&gather);
	list_for_each_entry_safe(table, next, &shadow->unsync, unsync) {
		bool changed = compare(vm, table);

		if (thv_shadow_is_empty(table) && !table->roots)
			thv_shadow_free(shadow, &gather, table);
		else if (!changed)
			list_move(&table->unsync, &quiet);
	}
	into_step(vm, &quiet);
	thv_gather_finish(&vm->memory.tables, &gather);
}

/**
 * thv_shadow_flush() - The guest has flushed its translations: all of them.
 * @vcpu: whose.
 */
void thv_shadow_flush(struct thv_vcpu *vcpu)
{
	struct thv_memory_map *map = &vcpu->vm->memory;

	write_lock(&map->mmu_lock);
	sync(vcpu->vm);
	thv_shadow_check(vcpu->vm);
	write_unlock(&map->mmu_lock);
	thv_count(vcpu, shadow_syncs);
	thv_backend->flush(vcpu, THV_FLUSH_LINEAR);
}

/**
 * thv_shadow_distrust() - The launcher gives the vCPU other registers.
 * @vcpu: whose.
 *
 * Then it may have written tables as well, past us: all are out of step until they have been compared,
 * at the flush that follows.
 */
void thv_shadow_distrust(struct thv_vcpu *vcpu)
{
	struct thv_memory_map *map = &vcpu->vm->memory;
	struct thv_shadow_table *table;

	write_lock(&map->mmu_lock);
	list_for_each_entry(table, &map->shadow->tables, lru)
		thv_shadow_out_of_step(map->shadow, table);
	write_unlock(&map->mmu_lock);
}

/* The way of an address through the tables, down to @level; NULL: it does not get there. */
static struct thv_shadow_table *table_at(struct thv_vcpu *vcpu, u64 gla, u32 level)
{
	struct thv_shadow_vcpu *shadow = &vcpu->shadow;
	struct thv_shadow_table *table = shadow->root[thv_shadow_root(shadow, gla)];

	while (table && table->role.level > level) {
		u64 entry = table->entries[thv_shadow_index(gla, table->role.level)];

		table = entry ? thv_shadow_child(entry) : NULL;
	}
	return table;
}

/* So often compared for nothing, a table is better kept from being written */
#define QUIET	16

/* Those above the lowest: has any of them changed? */
static bool sync_upper(struct thv_vm *vm)
{
	struct thv_shadow_table *table, *next;
	bool any = false, changed;
	LIST_HEAD(quiet);

	list_for_each_entry_safe(table, next, &vm->memory.shadow->unsync, unsync) {
		if (table->role.level == 1)
			continue;
		changed = compare(vm, table);
		any |= changed;
		table->quiet = changed ? 0 : table->quiet + 1;
		if (table->quiet >= QUIET)
			list_move(&table->unsync, &quiet);
	}
	into_step(vm, &quiet);
	return any;
}

/*
 * The entry of one page. All that INVLPG drops beside it is what the processor caches of upper
 * levels (SDM 4.10.4.1), hence those are compared whole. true: some of them have changed, and that
 * may be about other addresses.
 */
static bool sync_page(struct thv_vcpu *vcpu, u64 gla)
{
	struct thv_shadow *shadow = vcpu->vm->memory.shadow;
	bool others = sync_upper(vcpu->vm);
	struct thv_shadow_table *table;
	u32 index = thv_shadow_index(gla, 1);
	u64 entry;

	table = table_at(vcpu, gla, 1);
	if (!table || list_empty(&table->unsync) || !table->entries[index])
		return others;
	if (!thv_shadow_entry(vcpu->vm, table, index, &entry) || entry != table->guest[index])
		thv_shadow_drop(shadow, table, index);
	return others;
}

/**
 * thv_shadow_flush_page() - INVLPG.
 * @vcpu: whose.
 * @gla: the address.
 *
 * In tables out of step only what the instruction is about is compared: a guest that unmaps many
 * pages does this for each.
 */
void thv_shadow_flush_page(struct thv_vcpu *vcpu, u64 gla)
{
	struct thv_memory_map *map = &vcpu->vm->memory;
	bool others;

	write_lock(&map->mmu_lock);
	others = sync_page(vcpu, gla);
	write_unlock(&map->mmu_lock);
	if (others)
		thv_backend->flush(vcpu, THV_FLUSH_LINEAR);
	else
		thv_backend->flush_page(vcpu, gla);
}

/* ---- roots ---- */

/**
 * thv_shadow_root_role() - What a root of a vCPU shadows.
 * @vcpu: whose.
 * @which: of the roots.
 * @role: out.
 * @gfn: out.
 *
 * Return: false: nothing: its PDPTE is not present.
 */
bool thv_shadow_root_role(const struct thv_vcpu *vcpu, u32 which, union thv_shadow_role *role,
			  u64 *gfn)
{
	const struct thv_shadow_vcpu *shadow = &vcpu->shadow;

	*role = shadow->mode;
	role->access = THV_ACCESS_WRITE | THV_ACCESS_EXECUTE | THV_ACCESS_USER;
	role->level = thv_shadow_is_long(shadow) ? 4 : 2;
	*gfn = (shadow->cr3 & GENMASK_ULL(51, 12)) >> PAGE_SHIFT;
	if (role->format == THV_SHADOW_UNPAGED) {
		role->direct = 1;
		*gfn = which * thv_table_frames(3);
	} else if (role->format == THV_SHADOW_PAE) {
		*gfn = (shadow->pdptr[which] & GENMASK_ULL(51, 12)) >> PAGE_SHIFT;
		return shadow->pdptr[which] & 1;
	} else if (role->format != THV_SHADOW_LONG) {
		role->quadrant = which;
	}
	return true;
}

/**
 * thv_shadow_set_root() - A vCPU has this root from now on.
 * @vcpu: whose.
 * @which: of the roots.
 * @table: the root.
 *
 * Several are told to the processor by PDPTEs, which it loads at each VM entry (SDM 27.3.2.4).
 */
void thv_shadow_set_root(struct thv_vcpu *vcpu, u32 which, struct thv_shadow_table *table)
{
	struct thv_shadow_vcpu *shadow = &vcpu->shadow;
	u64 address = virt_to_phys(table->entries);

	shadow->root[which] = table;
	table->roots++;
	if (thv_shadow_is_long(shadow))
		thv_backend->set_root(vcpu, address);
	else
		shadow->top[which] = address | _PAGE_PRESENT;
}

static void put_roots(struct thv_shadow_vcpu *shadow)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(shadow->root); i++) {
		if (shadow->root[i])
			shadow->root[i]->roots--;
		shadow->root[i] = NULL;
		shadow->top[i] = 0;
	}
}

static enum thv_shadow_format format_of(const struct thv_vcpu *vcpu)
{
	if (!(vcpu->cr0 & X86_CR0_PG))
		return THV_SHADOW_UNPAGED;
	if (vcpu->efer & EFER_LMA)
		return THV_SHADOW_LONG;
	if (vcpu->cr4 & X86_CR4_PAE)
		return THV_SHADOW_PAE;
	return vcpu->cr4 & X86_CR4_PSE ? THV_SHADOW_32_PSE : THV_SHADOW_32;
}

static union thv_shadow_role mode_of(const struct thv_vcpu *vcpu)
{
	union thv_shadow_role mode = { .format = format_of(vcpu) };

	if (mode.format == THV_SHADOW_UNPAGED)
		return mode;
	mode.wp = !!(vcpu->cr0 & X86_CR0_WP);
	mode.nx = !!(vcpu->efer & EFER_NX);
	mode.smep = !mode.wp && (vcpu->cr4 & X86_CR4_SMEP);
	return mode;
}

/**
 * thv_shadow_load() - CR3, or what it means, has changed.
 * @vcpu: whose; its cr0, cr4, efer and shadow.cr3 are what they shall be.
 *
 * Roots that are there are used at once, the others are made when the guest first faults: making
 * them can fail, and this cannot.
 */
void thv_shadow_load(struct thv_vcpu *vcpu)
{
	struct thv_memory_map *map = &vcpu->vm->memory;
	struct thv_shadow_vcpu *shadow = &vcpu->shadow;
	u32 which;

	write_lock(&map->mmu_lock);
	put_roots(shadow);
	shadow->mode = mode_of(vcpu);
	thv_backend->set_root(vcpu, virt_to_phys(shadow->top));
	for (which = 0; which < (thv_shadow_is_long(shadow) ? 1 : 4); which++) {
		struct thv_shadow_table *table = NULL;
		union thv_shadow_role role;
		u64 gfn;

		if (thv_shadow_root_role(vcpu, which, &role, &gfn))
			table = thv_shadow_find(map->shadow, gfn, role);
		if (table)
			thv_shadow_set_root(vcpu, which, table);
	}
	write_unlock(&map->mmu_lock);
}

/* ---- a vCPU's part ---- */

/* Outside long mode CR3 has 32 bits: the page lies below 4 GiB. */
int thv_shadow_vcpu_init(struct thv_vcpu *vcpu)
{
	if (vcpu->vm->paging != THV_PAGING_SHADOW)
		return 0;
	vcpu->shadow.top = (u64 *)get_zeroed_page(GFP_KERNEL_ACCOUNT | GFP_DMA32);
	return vcpu->shadow.top ? 0 : -ENOMEM;
}

void thv_shadow_vcpu_exit(struct thv_vcpu *vcpu)
{
	struct thv_memory_map *map = &vcpu->vm->memory;

	if (!vcpu->shadow.top)
		return;
	/* When the whole VM goes its memory goes first, and the roots with it */
	if (map->shadow) {
		write_lock(&map->mmu_lock);
		put_roots(&vcpu->shadow);
		write_unlock(&map->mmu_lock);
	}
	free_page((unsigned long)vcpu->shadow.top);
	vcpu->shadow.top = NULL;
}

/* ---- for who looks ---- */

/**
 * thv_shadow_trace() - The entries on the way of an address.
 * @vcpu: whose.
 * @gla: the address.
 * @out: room for four; from the top.
 *
 * Context: mmu_lock is held, at least for reading.
 * Return: how many; the last is a page, or not present.
 */
u32 thv_shadow_trace(struct thv_vcpu *vcpu, u64 gla, struct thv_translate_level *out)
{
	struct thv_shadow_table *table = table_at(vcpu, gla, 4);
	u32 n = 0;

	while (table) {
		u64 *at = &table->entries[thv_shadow_index(gla, table->role.level)];
		u64 entry = READ_ONCE(*at);

		out[n] = (struct thv_translate_level){
			.address = virt_to_phys(at), .entry = entry, .level = table->role.level,
			.flags = entry ? THV_LEVEL_PRESENT : 0,
		};
		if (entry && table->role.level == 1)
			out[n].flags |= THV_LEVEL_LEAF;
		table = entry && table->role.level > 1 ? thv_shadow_child(entry) : NULL;
		n++;
	}
	return n;
}
