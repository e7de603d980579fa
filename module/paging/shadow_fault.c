// SPDX-License-Identifier: GPL-2.0-only
/*
 * A page fault under shadow paging. The guest's tables are walked as its processor would: either the
 * fault is the guest's own, and it gets it; or the translation is right, and is put into the shadow
 * tables. Called by the vCPU's thread.
 *
 * Between the walk, which may sleep, and the shadow, which is made under mmu_lock, everything may
 * change. What has been read from a table out of step may be outdated anyway, until the guest flushes.
 * A table in step cannot be written by the guest, so that under the lock its entry is looked at once
 * more. And the frame is that of the VM's map, which the notifier keeps right.
 */
#include <linux/mm.h>
#include <linux/uaccess.h>
#include <asm/cpufeatures.h>
#include <asm/processor-flags.h>
#include "../cpuid.h"
#include "../trace.h"
#include "../vcpu.h"
#include "shadow.h"
#include "walk.h"

/* Bits of a page-fault error code that an access is made of (SDM 4.7) */
#define ERROR_WRITE	THV_PF_WRITE
#define ERROR_USER	THV_PF_USER
#define ERROR_FETCH	THV_PF_FETCH

/* One fault on its way through this file */
struct request {
	struct thv_vcpu *vcpu;
	u64 gla;
	u32 access;
	struct thv_guest_paging paging;
	struct thv_walk walk;
	struct thv_fault second;	/* what the VM's map of its memory is asked for */
	bool was_there;			/* and so was the entry: nothing had to be put in */
};

static void ask_for_page(struct request *request)
{
	request->second = (struct thv_fault){
		.gpa = request->walk.gpa,
		.gla = request->gla,
		.gla_valid = true,
		.access = request->access &
			  (THV_ACCESS_READ | THV_ACCESS_WRITE | THV_ACCESS_EXECUTE),
	};
}

static void ask_for_table(struct request *request, u64 gpa, u32 access)
{
	request->second = (struct thv_fault){
		.gpa = gpa,
		.gla = request->gla,
		.gla_valid = true,
		.access = access,
		.table = true,
	};
}

/* ---- the guest's tables ---- */

static int read_entry(void *opaque, u64 gpa, u64 *entry, unsigned int size)
{
	return thv_load_guest(opaque, gpa, entry, size);
}

static int update_entry(void *opaque, u64 gpa, u64 old, u64 new, unsigned int size)
{
	return thv_cmpxchg_guest(opaque, gpa, old, new, size);
}

/* Of these bits all belong to the module while it shadows (cr.c): what the vCPU has is current. */
static void get_paging(struct thv_vcpu *vcpu, struct thv_guest_paging *paging)
{
	thv_backend->read_regs(vcpu);
	*paging = (struct thv_guest_paging){
		.cr0 = vcpu->cr0,
		.cr3 = vcpu->shadow.cr3,
		.cr4 = vcpu->cr4,
		.efer = vcpu->efer,
		.rflags = vcpu->regs.rflags,
		.phys_bits = thv_guest_phys_bits(),
		.gbyte_pages = thv_guest_has(X86_FEATURE_GBPAGES),
	};
	memcpy(paging->pdptr, vcpu->shadow.pdptr, sizeof(paging->pdptr));
}

/* What was tried. An access to a system table from CPL 3 has the user bit clear. */
static u32 access_of(u32 error, u32 cpl)
{
	u32 access = error & ERROR_FETCH ? THV_ACCESS_EXECUTE :
		     error & ERROR_WRITE ? THV_ACCESS_WRITE : THV_ACCESS_READ;

	if (error & ERROR_USER)
		access |= THV_ACCESS_USER;
	else if (cpl == 3)
		access |= THV_ACCESS_IMPLICIT;
	return access;
}

/* The guest's entry of a level; NULL: the walk ended above, at a large page (or did not begin) */
static const struct thv_translate_level *entry_at(const struct thv_walk *walk, u32 level)
{
	u32 i = walk->level[0].level - level;	/* from the top; none is below 0, none of nothing */

	return i < walk->levels ? &walk->level[i] : NULL;
}

/* ---- what an entry shall be ---- */

#define ROLE_ACCESS	(THV_ACCESS_WRITE | THV_ACCESS_EXECUTE | THV_ACCESS_USER)

/* Forbidden above is forbidden below. */
static u32 combine(u32 access, u64 entry)
{
	if (!(entry & _PAGE_RW))
		access &= ~THV_ACCESS_WRITE;
	if (!(entry & _PAGE_USER))
		access &= ~THV_ACCESS_USER;
	if (entry & _PAGE_NX)
		access &= ~THV_ACCESS_EXECUTE;
	return access;
}

/* What all entries together permit without being asked again: the first write has to set the dirty flag */
static u32 permitted(const struct thv_walk *walk)
{
	u32 access = walk->permissions & ROLE_ACCESS;

	if (walk->levels && !(walk->level[walk->levels - 1].entry & _PAGE_DIRTY))
		access &= ~THV_ACCESS_WRITE;
	return access;
}

/* The table that an entry leads to, and the guest's entry that it is made of */
struct want {
	u64 gfn;
	union thv_shadow_role role;
	u64 guest;
};

/* A part of a large page, or of unpaged memory: as much as one entry of @table stands for */
static void want_direct(const struct request *request, const struct thv_shadow_table *table,
			struct want *want)
{
	want->role.direct = 1;
	want->role.access = permitted(&request->walk);
	want->gfn = (request->walk.gpa >> PAGE_SHIFT) & ~(thv_table_frames(table->role.level) - 1);
}

static void want_table(const struct request *request, const struct thv_shadow_table *table,
		       struct want *want)
{
	const struct thv_translate_level *at = entry_at(&request->walk, table->role.level);

	*want = (struct want){ .role = table->role };
	want->role.level--;
	want->role.quadrant = 0;
	if (table->role.direct)
		return want_direct(request, table, want);
	want->guest = at->entry;
	if (at->flags & THV_LEVEL_LEAF)
		return want_direct(request, table, want);
	want->role.access = combine(table->role.access, at->entry);
	if (thv_shadow_is_32(table->role))
		want->role.quadrant = thv_shadow_index(request->gla, 2) & 1;
	want->gfn = (at->entry & GENMASK_ULL(51, 12)) >> PAGE_SHIFT;
}

/*
 * With CR0.WP = 0 the guest's supervisor writes where its tables say read-only, and its user must not.
 * Ours has WP = 1, always. So such a page is the supervisor's alone after that write; when the user
 * reads it, it faults and is read-only again. It must not become code for a supervisor that SMEP
 * would have kept from a user's page.
 */
static u64 written_through(const struct request *request, u64 entry)
{
	entry = (entry & ~_PAGE_USER) | _PAGE_RW;
	return request->paging.cr4 & X86_CR4_SMEP ? entry | _PAGE_NX : entry;
}

/* What the guest permits, and the map; and a table in step is not written unseen. */
static u64 page_entry(const struct request *request, u64 leaf, u64 gfn)
{
	const struct thv_table_format *format = request->vcpu->vm->memory.tables.format;
	u64 entry = (leaf & format->address) | _PAGE_PRESENT | _PAGE_ACCESSED | _PAGE_DIRTY;
	bool writable = (leaf & format->writable) &&
			!thv_shadow_in_step(request->vcpu->vm->memory.shadow, gfn);
	u32 allow = permitted(&request->walk);

	if (!(allow & THV_ACCESS_EXECUTE) || !(leaf & format->executable))
		entry |= _PAGE_NX;
	if (allow & THV_ACCESS_USER)
		entry |= _PAGE_USER;
	if (!writable)
		return entry;
	if ((request->access & THV_ACCESS_WRITE) && !(allow & THV_ACCESS_WRITE))
		return written_through(request, entry);
	return allow & THV_ACCESS_WRITE ? entry | _PAGE_RW : entry;
}

/* ---- down the shadow tables, under mmu_lock ---- */

/*
 * Does what the walk went by still stand in the guest's table? The table has to be mapped to be read,
 * now and at the guest's flushes; one that the launcher made may not have been touched yet.
 */
static int confirm(struct request *request, struct thv_shadow_table *table, u32 index, u64 guest)
{
	u64 now;

	if (table->role.direct)
		return 0;
	if (!thv_shadow_entry(request->vcpu->vm, table, index, &now)) {
		ask_for_table(request, table->gfn << PAGE_SHIFT, THV_ACCESS_READ);
		return -ENOENT;
	}
	return now == guest ? 0 : -EAGAIN;
}

/* A new root or table; a fault brought spares, but others may have taken them */
static struct thv_shadow_table *find_or_make(struct request *request, u64 gfn,
					     union thv_shadow_role role)
{
	struct thv_shadow *shadow = request->vcpu->vm->memory.shadow;
	struct thv_shadow_table *table = thv_shadow_find(shadow, gfn, role);

	if (table) {
		if (!role.direct)
			thv_shadow_compare(request->vcpu->vm);
		return table;
	}
	table = thv_shadow_make(shadow, gfn, role);
	if (table)
		thv_count(request->vcpu, shadow_tables);
	return table;
}

static int root(struct request *request, struct thv_shadow_table **table)
{
	struct thv_shadow_vcpu *shadow = &request->vcpu->shadow;
	u32 which = thv_shadow_root(shadow, request->gla);
	union thv_shadow_role role;
	u64 gfn;

	*table = shadow->root[which];
	if (*table)
		return 0;
	if (!thv_shadow_root_role(request->vcpu, which, &role, &gfn))
		return -EAGAIN;
	*table = find_or_make(request, gfn, role);
	if (!*table)
		return -EAGAIN;
	thv_shadow_set_root(request->vcpu, which, *table);
	return 0;
}

/*
 * Is what the entry leads to still right? It was made of this entry of the guest's and of the
 * table's role, and both are what they were. It may be outdated, as in a TLB: until the guest flushes.
 */
static bool is_current(const struct request *request, const struct thv_shadow_table *table, u32 index)
{
	return table->entries[index] && !table->role.direct &&
	       table->guest[index] == entry_at(&request->walk, table->role.level)->entry;
}

/* From @table to the one below on the way; made and linked if it is not there, or another one. */
static int descend(struct request *request, struct thv_shadow_table **table)
{
	struct thv_shadow *shadow = request->vcpu->vm->memory.shadow;
	u32 index = thv_shadow_index(request->gla, (*table)->role.level);
	u64 entry = (*table)->entries[index];
	struct thv_shadow_table *child;
	struct want want;
	int err;

	if (is_current(request, *table, index)) {
		*table = thv_shadow_child(entry);
		return 0;
	}
	want_table(request, *table, &want);
	child = entry ? thv_shadow_child(entry) : NULL;
	if (child && (child->gfn != want.gfn || child->role.word != want.role.word))
		child = NULL;
	err = confirm(request, *table, index, want.guest);
	if (err)
		return err;
	if (!child) {
		child = find_or_make(request, want.gfn, want.role);
		if (!child)
			return -EAGAIN;
		thv_shadow_link(shadow, *table, index, want.guest, child);
	}
	(*table)->guest[index] = want.guest;
	*table = child;
	return 0;
}

/* The page itself. What was there gives way: the fault has dropped it from this processor's TLB. */
static int map(struct request *request, struct thv_shadow_table *table, u64 leaf)
{
	const struct thv_translate_level *at = entry_at(&request->walk, 1);
	struct thv_shadow *shadow = request->vcpu->vm->memory.shadow;
	u32 index = thv_shadow_index(request->gla, 1);
	u64 gfn = request->walk.gpa >> PAGE_SHIFT;
	u64 guest = table->role.direct ? 0 : at->entry;
	int err = confirm(request, table, index, guest);
	u64 entry;

	if (err)
		return err;
	if (request->access & THV_ACCESS_WRITE && thv_shadow_in_step(shadow, gfn)) {
		thv_shadow_unsync(shadow, gfn);
		thv_count(request->vcpu, shadow_writes);
	}
	entry = page_entry(request, leaf, gfn);
	request->was_there = table->entries[index] == entry;
	thv_shadow_set(shadow, table, index, guest, entry);
	return 0;
}

/* Does the VM's map have the page, with what the access needs? */
static int find_page(struct request *request, u64 *leaf)
{
	const struct thv_tables *tables = &request->vcpu->vm->memory.tables;
	u64 gfn = request->walk.gpa >> PAGE_SHIFT;
	unsigned int level;

	*leaf = thv_table_lookup(tables, gfn, &level);
	if (!*leaf || (*leaf & THV_ENTRY_PARKED))
		return -ENOENT;
	if ((request->access & THV_ACCESS_WRITE) && !(*leaf & tables->format->writable))
		return -ENOENT;
	if ((request->access & THV_ACCESS_EXECUTE) && !(*leaf & tables->format->executable))
		return -ENOENT;
	*leaf += (gfn & (thv_table_frames(level) - 1)) << PAGE_SHIFT;
	return 0;
}

/* 0; -ENOENT, the map lacks request->second; -EAGAIN, something changed: the guest may fault again */
static int install(struct request *request)
{
	struct thv_memory_map *memory = &request->vcpu->vm->memory;
	struct thv_shadow_table *table;
	u64 leaf;
	int err;

	write_lock(&memory->mmu_lock);
	err = find_page(request, &leaf) ?: root(request, &table);
	while (!err && table->role.level > 1)
		err = descend(request, &table);
	if (!err)
		err = map(request, table, leaf);
	thv_shadow_check(request->vcpu->vm);
	write_unlock(&memory->mmu_lock);
	return err;
}

/* ---- accesses of the processor's own ---- */

/*
 * At CPL 3 a supervisor's access is the processor's, to a descriptor table. Below, its error code is
 * that of the guest's accesses; but under SMAP it is refused a user's page whatever RFLAGS.AC says
 * (SDM 4.6.1). What gives it away is that it faults although nothing is missing, exit after exit. Once
 * is no proof: another vCPU may just have put in what was missing.
 */
#define PROOF	3

static void note_in_vain(const struct request *request)
{
	struct thv_shadow_vcpu *shadow = &request->vcpu->shadow;
	u64 exits = request->vcpu->stats[THV_STAT_exits];

	if (!request->was_there)
		return;
	shadow->in_vain = shadow->in_vain_exit + 1 == exits ? shadow->in_vain + 1 : 1;
	shadow->in_vain_exit = exits;
}

static bool is_proven(struct thv_vcpu *vcpu)
{
	struct thv_shadow_vcpu *shadow = &vcpu->shadow;

	if (shadow->in_vain < PROOF || shadow->in_vain_exit + 1 != vcpu->stats[THV_STAT_exits])
		return false;
	shadow->in_vain = 0;
	return true;
}

/* ---- the fault ---- */

/*
 * The translation is right. What the VM's map lacks is fetched, and then there is one more try; if
 * that is not enough the guest faults again, and signals get their chance.
 */
static enum thv_next put_in(struct request *request)
{
	enum thv_next next = THV_NEXT_RESUME;
	int err;

	ask_for_page(request);
	err = thv_shadow_fill(request->vcpu->vm);
	if (err)
		return thv_memory_no_page(request->vcpu, &request->second, err);
	err = install(request);
	note_in_vain(request);
	if (err == -ENOENT) {
		next = thv_memory_fault(request->vcpu, &request->second);
		if (next == THV_NEXT_RESUME)
			install(request);
	}
	return next;
}

static enum thv_next guest_fault(struct request *request)
{
	thv_count(request->vcpu, faults_guest);
	thv_raise_pf(request->vcpu, request->gla, request->walk.error_code);
	return THV_NEXT_RESUME;
}

/**
 * thv_shadow_fault() - Answer a page fault under shadow paging.
 * @vcpu: whose; loaded, and this is its thread.
 * @gla: the address.
 * @error: the processor's error code.
 * @cpl: the guest's privilege level.
 *
 * Context: may sleep.
 * Return: resume (mapped, or the guest's own fault, or try again), or to user with @vcpu->run filled
 * in.
 */
enum thv_next thv_shadow_fault(struct thv_vcpu *vcpu, u64 gla, u32 error, u32 cpl)
{
	struct thv_walk_memory memory = {
		.read = read_entry, .update = update_entry, .opaque = vcpu->vm,
	};
	struct request request = { .vcpu = vcpu, .gla = gla, .access = access_of(error, cpl) };

	thv_count(vcpu, shadow_faults);
	if (!(error & (ERROR_USER | ERROR_FETCH)) && is_proven(vcpu))
		request.access |= THV_ACCESS_IMPLICIT;
	get_paging(vcpu, &request.paging);
	switch (thv_walk(&request.paging, &memory, gla, request.access, &request.walk)) {
	case THV_WALK_OK:
		return put_in(&request);
	case THV_WALK_FAULT:
		return guest_fault(&request);
	case THV_WALK_NO_TABLE:
		ask_for_table(&request, request.walk.gpa, THV_ACCESS_READ);
		return thv_memory_fault(vcpu, &request.second);
	case THV_WALK_NO_FLAGS:		/* the host may permit it, or the launcher is told */
		ask_for_table(&request, request.walk.gpa, THV_ACCESS_WRITE);
		return thv_memory_fault(vcpu, &request.second);
	default:
		return THV_NEXT_RESUME;
	}
}
