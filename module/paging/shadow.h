/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Shadow paging: translation on a processor (or for a VM) without a second level. The tables that
 * the processor walks are not the guest's but ours: each leads from a guest-linear address straight
 * to the host's frame, made of what the guest's table says and what the VM's map of its memory
 * (struct thv_tables, here used by software only) says.
 *
 * A shadow table stands for one table of the guest's, seen in one mode and with what the levels above
 * it permit (its role), and is kept for as long as it may be of use again: a guest that goes back to
 * an address space finds it as it left it. It is in one of two states:
 *
 *	in step		the guest cannot write its table: whatever maps that frame does so read-only. An
 *			entry here is what the guest's entry says.
 *	out of step	the guest may write it. An entry is what the guest's said when it was made, and
 *			may be outdated, as a TLB may be (SDM 4.10.2.3): for as long as the guest has not
 *			flushed. When it flushes (MOV to CR3, INVLPG, ...) shadow_sync.c compares.
 *
 * The first write to a table in step is a fault that puts it out of step. A table that was not
 * written between two flushes is in step again after the second. Out of step is right at any
 * time, in step is what makes flushes cheap.
 *
 * Each entry is on one chain: an entry of a lowest table on that of the guest frame it maps, so that
 * what takes the frame away finds it; any other on that of the table it points to.
 *
 * Lock: vm->memory.mmu_lock, for writing, around all but the _init(), _exit() and _fill() functions.
 */
#ifndef THV_PAGING_SHADOW_H
#define THV_PAGING_SHADOW_H

#include <linux/bitmap.h>
#include <linux/list.h>
#include <linux/types.h>
#include "table.h"

struct thv_vcpu;
struct thv_vm;

#define THV_SHADOW_HASH		1024	/* chains of tables by frame */
#define THV_SHADOW_FRAMES	16384	/* chains of entries by frame: see frame_chain() */
#define THV_SHADOW_NEEDS	4	/* tables that one fault can make: one a level */

/* How the guest's tables are read, as far as a shadow made by one is wrong by another */
enum thv_shadow_format {
	THV_SHADOW_UNPAGED,		/* there are none: linear is guest-physical */
	THV_SHADOW_32,
	THV_SHADOW_32_PSE,
	THV_SHADOW_PAE,
	THV_SHADOW_LONG,
};

/**
 * union thv_shadow_role - what else than the frame makes two shadow tables the same.
 * @level: of the table that the processor walks; 1 is the lowest.
 * @format: enum thv_shadow_format.
 * @direct: it shadows no table but a run of frames: a part of a large page, or unpaged memory.
 * @quadrant: a 32-bit table has 1024 entries, ours 512: which half (or, at level 2, quarter).
 * @access: the write, execute and user bits of THV_ACCESS_* that the levels above permit.
 * @wp: CR0.WP; @nx: EFER.NXE; @smep: CR4.SMEP, where it matters.
 */
union thv_shadow_role {
	struct {
		u32 level : 3;
		u32 format : 3;
		u32 direct : 1;
		u32 quadrant : 2;
		u32 wp : 1;
		u32 nx : 1;
		u32 smep : 1;
		u32 access : 4;
	};
	u32 word;
};

/**
 * struct thv_shadow_table - one table.
 * @hash: with others whose @gfn hashes alike.
 * @lru: in thv_shadow.tables, or among the spares.
 * @unsync: in thv_shadow.unsync while it is out of step, else empty.
 * @quiet: how often it was compared since, for one page, and had not changed.
 * @gfn: of the guest's table; of the first frame if direct.
 * @role: see there.
 * @roots: vCPUs that have it as a root: it stays.
 * @in_use: its entries that are.
 * @parents: chain of the entries that point to it.
 * @entries: what the processor walks; a page, whose private field leads back here.
 * @guest: the guest's entry that each was made of.
 * @next: the rest of the chain each is on.
 */
struct thv_shadow_table {
	struct hlist_node hash;
	struct list_head lru;
	struct list_head unsync;
	u64 gfn;
	union thv_shadow_role role;
	u32 roots;
	u32 quiet;
	DECLARE_BITMAP(in_use, THV_TABLE_ENTRIES);
	u64 *parents;
	u64 *entries;
	u64 *guest;
	u64 **next;
};

/**
 * struct thv_shadow - a VM's shadow tables.
 * @hash: all tables by frame.
 * @tables: all of them, the one used longest ago first.
 * @unsync: those out of step.
 * @spares: made ahead of the lock.
 * @nr: of @tables.
 * @nr_spares: of @spares.
 * @unflushed: a vCPU may hold a translation that is in no table any more.
 * @frames: chains of lowest-level entries.
 */
struct thv_shadow {
	struct hlist_head hash[THV_SHADOW_HASH];
	struct list_head tables;
	struct list_head unsync;
	struct list_head spares;
	u32 nr;
	u32 nr_spares;
	bool unflushed;
	u64 *frames[THV_SHADOW_FRAMES];
};

/**
 * struct thv_shadow_vcpu - a vCPU's part.
 * @cr3: what the guest has in CR3.
 * @pdptr: with PAE paging: its PDPTEs, as loaded.
 * @root: the tables it uses: one, or with 32-bit and PAE paging and without paging one a GiB.
 * @top: a page below 4 GiB. With several roots: their PDPTEs; with one: empty, for as long as that
 *	one is not there yet.
 * @mode: of the role of all its tables: format, wp, nx, smep.
 * @in_vain: faults in a row, with no other exit between, for which nothing was missing.
 * @in_vain_exit: which exit (THV_STAT_exits) was the last of them.
 */
struct thv_shadow_vcpu {
	u64 cr3;
	u64 pdptr[4];
	struct thv_shadow_table *root[4];
	u64 *top;
	union thv_shadow_role mode;
	u32 in_vain;
	u64 in_vain_exit;
};

/* shadow.c: the tables */
int thv_shadow_init(struct thv_vm *vm);
void thv_shadow_exit(struct thv_vm *vm);
int thv_shadow_fill(struct thv_vm *vm);
void thv_shadow_restricted(struct thv_tables *tables, u64 gfn, unsigned int level);
struct thv_shadow_table *thv_shadow_find(struct thv_shadow *shadow, u64 gfn,
					 union thv_shadow_role role);
struct thv_shadow_table *thv_shadow_make(struct thv_shadow *shadow, u64 gfn,
					 union thv_shadow_role role);
void thv_shadow_free(struct thv_shadow *shadow, struct thv_gather *gather,
		     struct thv_shadow_table *table);
void thv_shadow_link(struct thv_shadow *shadow, struct thv_shadow_table *table, u32 index,
		     u64 guest, struct thv_shadow_table *child);
void thv_shadow_set(struct thv_shadow *shadow, struct thv_shadow_table *table, u32 index,
		    u64 guest, u64 entry);
void thv_shadow_drop(struct thv_shadow *shadow, struct thv_shadow_table *table, u32 index);
bool thv_shadow_protect(struct thv_shadow *shadow, u64 gfn);
bool thv_shadow_in_step(struct thv_shadow *shadow, u64 gfn);
void thv_shadow_unsync(struct thv_shadow *shadow, u64 gfn);
struct thv_shadow_table *thv_shadow_child(u64 entry);

/* shadow_fault.c */
enum thv_next thv_shadow_fault(struct thv_vcpu *vcpu, u64 gla, u32 error, u32 cpl);

/* shadow_sync.c: the vCPU's thread, loaded, no lock held */
int thv_shadow_vcpu_init(struct thv_vcpu *vcpu);
void thv_shadow_vcpu_exit(struct thv_vcpu *vcpu);
void thv_shadow_load(struct thv_vcpu *vcpu);
void thv_shadow_flush(struct thv_vcpu *vcpu);
void thv_shadow_distrust(struct thv_vcpu *vcpu);
void thv_shadow_flush_page(struct thv_vcpu *vcpu, u64 gla);
void thv_shadow_compare(struct thv_vm *vm);
bool thv_shadow_entry(struct thv_vm *vm, const struct thv_shadow_table *table, u32 index,
		      u64 *entry);
bool thv_shadow_root_role(const struct thv_vcpu *vcpu, u32 which, union thv_shadow_role *role,
			  u64 *gfn);
void thv_shadow_set_root(struct thv_vcpu *vcpu, u32 which, struct thv_shadow_table *table);
u32 thv_shadow_trace(struct thv_vcpu *vcpu, u64 gla, struct thv_translate_level *out);

/* Of @table, by @index */
#define thv_shadow_each_entry(index, table) \
	for_each_set_bit(index, (table)->in_use, THV_TABLE_ENTRIES)

static inline bool thv_shadow_is_empty(const struct thv_shadow_table *table)
{
	return bitmap_empty(table->in_use, THV_TABLE_ENTRIES);
}

/* Does the guest have this table, and must not write it unseen? */
static inline bool thv_shadow_is_in_step(const struct thv_shadow_table *table)
{
	return !table->role.direct && list_empty(&table->unsync);
}

static inline void thv_shadow_out_of_step(struct thv_shadow *shadow, struct thv_shadow_table *table)
{
	if (thv_shadow_is_in_step(table))
		list_add_tail(&table->unsync, &shadow->unsync);
}

/* shadow_check.c */
void thv_shadow_check(struct thv_vm *vm);

static inline u32 thv_shadow_index(u64 gla, unsigned int level)
{
	return (gla >> (12 + (level - 1) * THV_TABLE_BITS)) & (THV_TABLE_ENTRIES - 1);
}

static inline bool thv_shadow_is_long(const struct thv_shadow_vcpu *shadow)
{
	return shadow->mode.format == THV_SHADOW_LONG;
}

/* Which root an address begins at */
static inline u32 thv_shadow_root(const struct thv_shadow_vcpu *shadow, u64 gla)
{
	return thv_shadow_is_long(shadow) ? 0 : (gla >> 30) & 3;
}

/* Entries of the guest's that are 4 bytes; of such a table ours is a half or a quarter */
static inline bool thv_shadow_is_32(union thv_shadow_role role)
{
	return role.format == THV_SHADOW_32 || role.format == THV_SHADOW_32_PSE;
}

#endif
