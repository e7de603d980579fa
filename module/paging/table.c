// SPDX-License-Identifier: GPL-2.0-only
/*
 * The engine for tables that hardware walks: grow, map, visit, zap. See table.h for the lock.
 *
 * The rule that everything here serves (SDM 29.4.3): a processor may go on using what it has
 * cached of an entry, page or table, until it is told to forget. So nothing that has been
 * taken out is reused at once: it is gathered, then the owner flushes, then it is freed.
 * Adding needs no flush: an entry that is not present is never cached, and the violation that
 * brought us here has dropped what the processor knew of that address (SDM 29.4.3.1).
 */
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/mm.h>
#include "table.h"

static unsigned int index_of(u64 gfn, unsigned int level)
{
	return (gfn >> ((level - 1) * THV_TABLE_BITS)) & (THV_TABLE_ENTRIES - 1);
}

static u64 *table_of(const struct thv_tables *tables, u64 entry)
{
	return phys_to_virt(entry & tables->format->address);
}

/**
 * thv_table_alloc() - A cleared table page, charged to the caller's memory cgroup.
 *
 * Context: may sleep.
 * Return: the page, or NULL.
 */
u64 *thv_table_alloc(void)
{
	return (u64 *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
}

/**
 * thv_tables_init() - An empty tree.
 * @tables: what to make.
 * @format: what its entries mean.
 * @owner: whom to tell and who flushes.
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int thv_tables_init(struct thv_tables *tables, const struct thv_table_format *format,
		    const struct thv_tables_owner *owner)
{
	*tables = (struct thv_tables){ .format = format, .owner = owner };
	tables->root = thv_table_alloc();
	return tables->root ? 0 : -ENOMEM;
}

/**
 * thv_tables_destroy() - Free a tree that no processor uses any more.
 * @tables: the tree, emptied; may be one that thv_tables_init() failed to make.
 */
void thv_tables_destroy(struct thv_tables *tables)
{
	WARN_ON_ONCE(tables->nr);
	while (tables->nr_spares)
		free_page((unsigned long)tables->spare[--tables->nr_spares]);
	free_page((unsigned long)tables->root);
	tables->root = NULL;
}

/**
 * thv_tables_spare() - Put a page aside to grow with.
 * @tables: the tree.
 * @page: from thv_table_alloc().
 *
 * Return: false: there are enough, @page is still the caller's.
 */
bool thv_tables_spare(struct thv_tables *tables, u64 *page)
{
	if (tables->nr_spares == THV_TABLE_SPARES)
		return false;
	tables->spare[tables->nr_spares++] = page;
	return true;
}

/* Are there pages for any one thv_table_map()? It makes a table on each level but the root's. */
bool thv_tables_ready(const struct thv_tables *tables)
{
	return READ_ONCE(tables->nr_spares) >= tables->format->levels - 1;
}

void thv_gather_init(struct thv_gather *gather)
{
	*gather = (struct thv_gather){ .tables = LIST_HEAD_INIT(gather->tables) };
}

/**
 * thv_gather_finish() - Flush what was removed; then, and only then, free the tables.
 * @tables: the tree.
 * @gather: of the operations before; empty afterwards.
 *
 * Context: the lock is still held, so that nobody who finds the entry gone, and draws
 * conclusions from it, is earlier than the flush.
 */
void thv_gather_finish(struct thv_tables *tables, struct thv_gather *gather)
{
	struct page *page, *next;

	if (gather->flush)
		tables->owner->flush(tables);
	gather->flush = false;
	list_for_each_entry_safe(page, next, &gather->tables, lru) {
		list_del(&page->lru);
		__free_page(page);
	}
}

/* Take out what @entry holds; nobody may reuse it before the flush. */
static u64 take(struct thv_gather *gather, u64 *entry)
{
	gather->flush = true;
	return xchg(entry, 0);
}

/* A page comes or goes: whoever reads the sum has no lock */
static void account(struct thv_tables *tables, u64 entry, long frames)
{
	if (!(entry & THV_ENTRY_PRIVATE))
		WRITE_ONCE(tables->mapped, tables->mapped + frames);
}

/**
 * thv_table_remove() - Take a page out and tell the owner.
 * @tables: the tree.
 * @gather: is told to flush.
 * @entry: the page's entry.
 * @gfn: its first frame.
 * @level: where it is.
 */
void thv_table_remove(struct thv_tables *tables, struct thv_gather *gather, u64 *entry,
		      u64 gfn, unsigned int level)
{
	u64 old = take(gather, entry);

	account(tables, old, -(long)thv_table_frames(level));
	tables->owner->restricted(tables, gfn, level);
	tables->owner->removed(tables, gather, gfn, level, old);
}

/**
 * thv_table_clear() - Clear bits of a page's entry.
 * @tables: the tree.
 * @gather: is told to flush if there was something to clear.
 * @entry: the entry.
 * @gfn: its first frame.
 * @level: where it is.
 * @bits: flags or permissions; not all of what makes it present.
 *
 * Return: were any of @bits set?
 */
bool thv_table_clear(struct thv_tables *tables, struct thv_gather *gather, u64 *entry,
		     u64 gfn, unsigned int level, u64 bits)
{
	u64 old = READ_ONCE(*entry);

	do {
		if (!(old & bits))
			return false;
	} while (!try_cmpxchg64(entry, &old, old & ~bits));
	tables->owner->restricted(tables, gfn, level);
	gather->flush = true;
	return true;
}

/* One visit of a range of frames */
struct visit {
	struct thv_tables *tables;
	struct thv_gather *gather;
	u64 first, last;
	thv_leaf_fn leaf;
	void *arg;
	bool prune;
};

static bool is_empty(const struct thv_tables *tables, const u64 *table)
{
	unsigned int i;

	for (i = 0; i < THV_TABLE_ENTRIES; i++)
		if (table[i] & tables->format->present)
			return false;
	return true;
}

/*
 * Empty tables go, so that a slot which wanders through the address space leaves no trail.
 * A table in use is recognised by its first entry in use: the scan is usually short.
 */
static void prune(struct visit *visit, u64 *entry)
{
	u64 *table = table_of(visit->tables, READ_ONCE(*entry));

	if (!is_empty(visit->tables, table))
		return;
	take(visit->gather, entry);
	list_add(&virt_to_page(table)->lru, &visit->gather->tables);
	visit->tables->nr--;
}

/* Depth first, at most as deep as the format has levels */
static void visit_table(struct visit *visit, u64 *table, u64 base, unsigned int level)
{
	const struct thv_table_format *format = visit->tables->format;
	u64 frames = thv_table_frames(level);
	unsigned int i = base < visit->first ? (visit->first - base) / frames : 0;

	for (; i < THV_TABLE_ENTRIES && base + i * frames < visit->last; i++) {
		u64 entry = READ_ONCE(table[i]), gfn = base + i * frames;

		if (!(entry & format->present))
			continue;
		if (thv_table_is_leaf(format, entry, level)) {
			visit->leaf(visit->tables, visit->gather, &table[i], gfn, level,
				    visit->arg);
			continue;
		}
		visit_table(visit, table_of(visit->tables, entry), gfn, level - 1);
		if (visit->prune)
			prune(visit, &table[i]);
	}
}

/**
 * thv_table_each() - Visit each page in a range of frames.
 * @tables: the tree.
 * @gather: handed on; the caller finishes it.
 * @first: first frame.
 * @last: the frame after the last.
 * @fn: what to do.
 * @arg: for @fn.
 */
void thv_table_each(struct thv_tables *tables, struct thv_gather *gather, u64 first, u64 last,
		    thv_leaf_fn fn, void *arg)
{
	struct visit visit = {
		.tables = tables, .gather = gather,
		.first = first, .last = last, .leaf = fn, .arg = arg,
	};

	visit_table(&visit, tables->root, 0, tables->format->levels);
}

static void zap_leaf(struct thv_tables *tables, struct thv_gather *gather, u64 *entry, u64 gfn,
		     unsigned int level, void *arg)
{
	thv_table_remove(tables, gather, entry, gfn, level);
}

/**
 * thv_table_zap() - Take out each page that touches a range of frames, and tables left empty.
 * @tables: the tree.
 * @gather: the caller finishes it.
 * @first: first frame.
 * @last: the frame after the last.
 */
void thv_table_zap(struct thv_tables *tables, struct thv_gather *gather, u64 first, u64 last)
{
	struct visit visit = {
		.tables = tables, .gather = gather,
		.first = first, .last = last, .leaf = zap_leaf, .prune = true,
	};

	visit_table(&visit, tables->root, 0, tables->format->levels);
}

/* The table below @entry, made if it is not there. NULL: no spare page is left. */
static u64 *descend(struct thv_tables *tables, u64 *entry)
{
	u64 old = READ_ONCE(*entry);
	u64 *table;

	if (old & tables->format->present)
		return table_of(tables, old);
	if (!tables->nr_spares)
		return NULL;
	table = tables->spare[--tables->nr_spares];
	tables->nr++;
	/* The processor may walk into it at once: it must be seen cleared */
	smp_store_release(entry, virt_to_phys(table) | tables->format->table);
	return table;
}

/*
 * A large page in the way of a small one. Out, flush, and only then the table: never may two
 * processors hold the same address by two sizes at a time (for a fetch, some then raise a
 * machine check: the errata behind CVE-2018-12207). The other 511 pages fault in again.
 */
static void split(struct thv_tables *tables, u64 *entry, u64 gfn, unsigned int level)
{
	struct thv_gather gather;

	thv_gather_init(&gather);
	thv_table_remove(tables, &gather, entry, gfn & ~(thv_table_frames(level) - 1), level);
	thv_gather_finish(tables, &gather);
}

static void set_leaf(struct thv_tables *tables, u64 *entry, u64 gfn, unsigned int level, u64 leaf)
{
	u64 old = READ_ONCE(*entry);

	/*
	 * Same page: what it permitted it still permits (a restriction would have been made at
	 * once, by thv_table_clear()), and its flags stay. Nothing is restricted: no flush.
	 */
	while ((old & tables->format->present) && !((old ^ leaf) & tables->format->address))
		if (try_cmpxchg64(entry, &old, old | leaf))
			return;
	/* Another page, which nobody has told us is gone. As with sizes: never both at a time. */
	if (old & tables->format->present)
		split(tables, entry, gfn, level);
	account(tables, leaf, thv_table_frames(level));
	WRITE_ONCE(*entry, leaf);
}

/**
 * thv_table_room() - Can a page of this size be put here without taking a table out?
 * @tables: the tree.
 * @gfn: a frame of it.
 * @level: its size.
 */
bool thv_table_room(const struct thv_tables *tables, u64 gfn, unsigned int level)
{
	const struct thv_table_format *format = tables->format;
	const u64 *table = tables->root;
	unsigned int at;

	for (at = format->levels; at >= level; at--) {
		u64 entry = READ_ONCE(table[index_of(gfn, at)]);

		if (!(entry & format->present) || thv_table_is_leaf(format, entry, at))
			return true;
		table = table_of(tables, entry);
	}
	return false;
}

/**
 * thv_table_map() - Put a page in.
 * @tables: the tree, with thv_tables_ready().
 * @gfn: its first frame.
 * @level: its size; thv_table_room() said yes.
 * @leaf: the entry: address and the format's bits.
 *
 * A larger page in the way makes room, after a flush.
 *
 * Return: 0; -ENOMEM if a spare page was missing.
 */
int thv_table_map(struct thv_tables *tables, u64 gfn, unsigned int level, u64 leaf)
{
	const struct thv_table_format *format = tables->format;
	u64 *table = tables->root;
	unsigned int at;

	for (at = format->levels; at > level; at--) {
		u64 *entry = &table[index_of(gfn, at)];
		u64 old = READ_ONCE(*entry);

		if ((old & format->present) && thv_table_is_leaf(format, old, at))
			split(tables, entry, gfn, at);
		table = descend(tables, entry);
		if (!table)
			return -ENOMEM;
	}
	set_leaf(tables, &table[index_of(gfn, level)], gfn, level, leaf);
	return 0;
}

/**
 * thv_table_lookup() - The page that a frame is in.
 * @tables: the tree.
 * @gfn: the frame.
 * @level: out: its size; set in any case.
 *
 * Return: its entry; 0: there is none.
 */
u64 thv_table_lookup(const struct thv_tables *tables, u64 gfn, unsigned int *level)
{
	const struct thv_table_format *format = tables->format;
	const u64 *table = tables->root;

	for (*level = format->levels; ; --*level) {
		u64 entry = READ_ONCE(table[index_of(gfn, *level)]);

		if (!(entry & format->present))
			return 0;
		if (thv_table_is_leaf(format, entry, *level))
			return entry;
		table = table_of(tables, entry);
	}
}

/**
 * thv_table_trace() - The entries on the way to a frame.
 * @tables: the tree.
 * @gfn: the frame.
 * @out: room for as many as the format has levels; root first.
 *
 * Return: how many; the last is a page, or not present.
 */
u32 thv_table_trace(const struct thv_tables *tables, u64 gfn, struct thv_translate_level *out)
{
	const struct thv_table_format *format = tables->format;
	const u64 *table = tables->root;
	unsigned int level;
	u32 n = 0;

	for (level = format->levels; level; level--) {
		const u64 *at = &table[index_of(gfn, level)];
		u64 entry = READ_ONCE(*at);

		out[n] = (struct thv_translate_level){
			.address = virt_to_phys((void *)at), .entry = entry, .level = level,
		};
		if (!(entry & format->present))
			return n + 1;
		out[n].flags = THV_LEVEL_PRESENT;
		if (thv_table_is_leaf(format, entry, level)) {
			out[n].flags |= THV_LEVEL_LEAF;
			return n + 1;
		}
		table = table_of(tables, entry);
		n++;
	}
	return n;
}
