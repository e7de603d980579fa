/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The tables that hardware walks for us: radix trees of 512 64-bit entries a page, whatever
 * the bits mean. A format says what they mean, one engine (table.c) does the rest.
 *
 * Lock: the owner's, for writing, around every call but thv_table_trace() (for reading) and
 * thv_tables_fill() (not at all). With it held we alone change what an entry says; the
 * processor still sets accessed and dirty flags at any moment, so every change of a present
 * entry is one whole-word xchg or cmpxchg, and never a read followed by a write.
 */
#ifndef THV_PAGING_TABLE_H
#define THV_PAGING_TABLE_H

#include <linux/bits.h>
#include <linux/list.h>
#include <linux/types.h>
#include "../../uapi/thv.h"
#include "flush_ledger.h"

#define THV_TABLE_BITS		9	/* of a frame number that index one level */
#define THV_TABLE_ENTRIES	BIT(THV_TABLE_BITS)
#define THV_TABLE_SPARES	8	/* table pages allocated ahead of the lock */

/*
 * Bits that EPT and NPT entries leave to software. PRIVATE: a page of the module's own, not of a slot.
 * PARKED: where the processor has no accessed flags, a page that may not be used until the next use has
 * been noted: its permissions are kept in SAVED (bits 2:0, from 54 on).
 */
#define THV_ENTRY_PRIVATE	BIT_ULL(52)
#define THV_ENTRY_PARKED	BIT_ULL(53)
#define THV_ENTRY_SAVED		54

/**
 * struct thv_table_format - what the bits of an entry mean.
 * @levels: of the walk; the root is at this level, 4 KiB pages at level 1.
 * @present: an entry with none of these bits set stands for nothing.
 * @permissions: ... translates nothing; within bits 2:0.
 * @writable: the page may be written.
 * @executable: ... be executed.
 * @large: an entry above level 1 is a page, not a table.
 * @accessed: set by the processor on use; 0: it does not.
 * @dirty: set by the processor on a write; 0: it does not.
 * @address: the bits that hold a physical address.
 * @table: what, beside the address, makes an entry that points to a table.
 * @leaf: what, beside the address, makes a page at @level with THV_ACCESS_* @access.
 */
struct thv_table_format {
	unsigned int levels;
	u64 present;
	u64 permissions;
	u64 writable;
	u64 executable;
	u64 large;
	u64 accessed;
	u64 dirty;
	u64 address;
	u64 table;
	u64 (*leaf)(unsigned int level, u32 access);
};

struct thv_tables;

/**
 * struct thv_resize - a page on its way into pieces, or pieces into a page.
 * @entry: which is empty until the flush.
 * @table: the pieces.
 * @page: 0: split; else merge: the page, without accessed and dirty flags.
 */
struct thv_resize {
	u64 *entry;
	u64 *table;
	u64 page;
};

/**
 * struct thv_gather - what an operation took out, until it is safe to let go.
 * @tables: table pages that nothing points to any more, but a processor may still hold.
 * @flush: translations were removed or restricted: flush before anything is reused.
 * @removed: so says who did it; that @flush says so too, the flush ledger checks.
 * @forget_dirty: a dirty flag found on the way out does not count.
 * @nr_resizes: entries of @resize in use.
 * @resize: put in after the flush.
 */
struct thv_gather {
	struct list_head tables;
	bool flush;
	bool removed;
	bool forget_dirty;
	unsigned int nr_resizes;
	struct thv_resize resize[THV_TABLE_SPARES];
};

/**
 * struct thv_tables_owner - what the engine needs of whom the tables belong to.
 * @removed: the page @old, at @level from @gfn on, has been taken out, with its flags.
 * @restricted: the page at @level from @gfn on permits less than it did, or nothing.
 * @flush: return when no processor uses a translation that is not in the tables any more.
 * @released: what was taken out is let go now; debug builds ask whether that is right.
 *
 * All are called with the owner's lock held, from where nothing may sleep.
 */
struct thv_tables_owner {
	void (*removed)(struct thv_tables *tables, const struct thv_gather *gather,
			u64 gfn, unsigned int level, u64 old);
	void (*restricted)(struct thv_tables *tables, u64 gfn, unsigned int level);
	void (*flush)(struct thv_tables *tables);
	void (*released)(struct thv_tables *tables);
};

/**
 * struct thv_tables - one tree.
 * @format: what its entries mean.
 * @owner: see there.
 * @root: its top table.
 * @nr: table pages in the tree, for the leak check at the end.
 * @flushes: its page of the flush ledger.
 * @splits: large pages cut into pieces, so far.
 * @merges: ... put together.
 * @mapped: frames of slots that the pages in the tree stand for; readers need no lock.
 * @nr_spares: entries of @spare in use.
 * @spare: cleared pages to grow with; nothing can be allocated under the lock.
 */
struct thv_tables {
	const struct thv_table_format *format;
	const struct thv_tables_owner *owner;
	u64 *root;
	unsigned long nr;
	struct thv_flush_vm flushes;
	unsigned long splits;
	unsigned long merges;
	unsigned long mapped;
	unsigned int nr_spares;
	u64 *spare[THV_TABLE_SPARES];
};

/**
 * typedef thv_leaf_fn - called for each page of a range.
 * @tables: the tree.
 * @gather: what is to be flushed and freed afterwards.
 * @entry: the page's entry, present when last looked at.
 * @gfn: its first frame; a large page may begin before the range and end after it.
 * @level: 1 for 4 KiB.
 * @arg: the caller's.
 */
typedef void (*thv_leaf_fn)(struct thv_tables *tables, struct thv_gather *gather, u64 *entry,
			    u64 gfn, unsigned int level, void *arg);

int thv_tables_init(struct thv_tables *tables, const struct thv_table_format *format,
		    const struct thv_tables_owner *owner);
void thv_tables_destroy(struct thv_tables *tables);
u64 *thv_table_alloc(void);
bool thv_tables_spare(struct thv_tables *tables, u64 *page);
bool thv_tables_ready(const struct thv_tables *tables);

bool thv_table_room(const struct thv_tables *tables, u64 gfn, unsigned int level);
int thv_table_map(struct thv_tables *tables, u64 gfn, unsigned int level, u64 leaf);
unsigned long thv_table_vacant(const struct thv_tables *tables, const u64 *entries,
			       unsigned int count);
void thv_table_add(struct thv_tables *tables, u64 *entry, u64 leaf);
void thv_table_each(struct thv_tables *tables, struct thv_gather *gather, u64 first, u64 last,
		    thv_leaf_fn fn, void *arg);
void thv_table_zap(struct thv_tables *tables, struct thv_gather *gather, u64 first, u64 last);
void thv_table_remove(struct thv_tables *tables, struct thv_gather *gather, u64 *entry,
		      u64 gfn, unsigned int level);
bool thv_table_clear(struct thv_tables *tables, struct thv_gather *gather, u64 *entry,
		     u64 gfn, unsigned int level, u64 bits);
bool thv_table_split(struct thv_tables *tables, struct thv_gather *gather, u64 *entry,
		     u64 gfn, unsigned int level, u64 clear);
bool thv_table_merge(struct thv_tables *tables, struct thv_gather *gather, u64 gfn,
		     unsigned int level);
bool thv_table_park(struct thv_tables *tables, struct thv_gather *gather, u64 *entry,
		    u64 gfn, unsigned int level);
unsigned int thv_table_unpark(struct thv_tables *tables, u64 gfn, u64 needs);
u64 *thv_table_find(const struct thv_tables *tables, u64 gfn, unsigned int *level);
u64 thv_table_lookup(const struct thv_tables *tables, u64 gfn, unsigned int *level);
u32 thv_table_trace(const struct thv_tables *tables, u64 gfn, struct thv_translate_level *out);

void thv_gather_init(struct thv_gather *gather);
void thv_gather_finish(struct thv_tables *tables, struct thv_gather *gather);

/* Frames that one entry at @level stands for */
static inline u64 thv_table_frames(unsigned int level)
{
	return 1ULL << ((level - 1) * THV_TABLE_BITS);
}

static inline bool thv_table_is_leaf(const struct thv_table_format *format, u64 entry,
				     unsigned int level)
{
	return level == 1 || (entry & format->large);
}

#endif
