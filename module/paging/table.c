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
#include <linux/atomic.h>
#include <linux/bug.h>
#include <linux/errno.h>
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
	thv_flush_vm_init(&tables->flushes);
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

/* The flush has been: nobody uses the old size any more, nor sets flags in the pieces. */
static void put_in_resized(struct thv_tables *tables, struct thv_gather *gather,
			   const struct thv_resize *resize)
{
	const struct thv_table_format *format = tables->format;
	u64 entry = resize->page;
	unsigned int i;

	if (!resize->page) {
		/* Whole when the processor finds it */
		smp_store_release(resize->entry, virt_to_phys(resize->table) | format->table);
		return;
	}
	for (i = 0; i < THV_TABLE_ENTRIES; i++)
		entry |= resize->table[i] & (format->accessed | format->dirty);
	WRITE_ONCE(*resize->entry, entry);
	list_add(&virt_to_page(resize->table)->lru, &gather->tables);
	tables->nr--;
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

	if (THV_DEBUG && (gather->removed || !list_empty(&gather->tables)))
		thv_flush_removed(&tables->flushes);
	if (gather->flush)
		tables->owner->flush(tables);
	if (THV_DEBUG)
		tables->owner->released(tables);
	gather->flush = false;
	gather->removed = false;
	while (gather->nr_resizes)
		put_in_resized(tables, gather, &gather->resize[--gather->nr_resizes]);
	list_for_each_entry_safe(page, next, &gather->tables, lru) {
		list_del(&page->lru);
		__free_page(page);
	}
}

/* Take out what @entry holds; nobody may reuse it before the flush. */
static u64 take(struct thv_gather *gather, u64 *entry)
{
	gather->flush = true;
	gather->removed = true;
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

/* Flags and permissions are taken from a parked page where it has them */
static u64 clear_from(const struct thv_table_format *format, u64 entry, u64 bits)
{
	if (!(entry & THV_ENTRY_PARKED))
		return bits;
	return bits | (bits & format->permissions) << THV_ENTRY_SAVED;
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
	u64 clear, old = READ_ONCE(*entry);

	do {
		clear = clear_from(tables->format, old, bits);
		if (!(old & clear))
			return false;
	} while (!try_cmpxchg64(entry, &old, old & ~clear));
	tables->owner->restricted(tables, gfn, level);
	gather->flush = true;
	/* A flag that is late to be set does no harm to who does not ask for the flush */
	gather->removed |= bits & ~tables->format->accessed;
	return true;
}

/* ---- parked pages ---- */

static u64 parked(const struct thv_table_format *format, u64 entry)
{
	return (entry & ~format->permissions) | THV_ENTRY_PARKED |
	       (entry & format->permissions) << THV_ENTRY_SAVED;
}

static u64 unparked(const struct thv_table_format *format, u64 entry)
{
	u64 saved = entry >> THV_ENTRY_SAVED & format->permissions;

	if (!(entry & THV_ENTRY_PARKED))
		return entry;
	return (entry & ~(THV_ENTRY_PARKED | format->permissions << THV_ENTRY_SAVED)) | saved;
}

/**
 * thv_table_park() - Keep a page, and have its next use noticed.
 * @tables: the tree, of a format without accessed flags.
 * @gather: is told to flush.
 * @entry: the page's entry.
 * @gfn: its first frame.
 * @level: where it is.
 *
 * Return: false: it is parked already.
 */
bool thv_table_park(struct thv_tables *tables, struct thv_gather *gather, u64 *entry,
		    u64 gfn, unsigned int level)
{
	u64 old = READ_ONCE(*entry);

	do {
		if (old & THV_ENTRY_PARKED)
			return false;
	} while (!try_cmpxchg64(entry, &old, parked(tables->format, old)));
	tables->owner->restricted(tables, gfn, level);
	gather->flush = true;
	gather->removed = true;
	return true;
}

/**
 * thv_table_unpark() - A page is used again.
 * @tables: the tree.
 * @gfn: a frame of it.
 * @needs: permissions that the use takes, as the format has them.
 *
 * What becomes present was not cached: no flush (SDM 29.4.3.1).
 *
 * Return: its level; 0: there is no parked page, or it does not permit that.
 */
unsigned int thv_table_unpark(struct thv_tables *tables, u64 gfn, u64 needs)
{
	unsigned int level;
	u64 *entry = thv_table_find(tables, gfn, &level);
	u64 old = entry ? READ_ONCE(*entry) : 0;

	if (!(old & THV_ENTRY_PARKED) || needs & ~unparked(tables->format, old))
		return 0;
	WRITE_ONCE(*entry, unparked(tables->format, old));
	return level;
}

/* ---- visits ---- */

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

/* ---- sizes ---- */

/*
 * A change of size goes through nothing: out with the old, flush, and only then the new. Never may two
 * processors hold the same address by two sizes at a time: which one an access uses is
 * undefined (SDM 4.10.2.4 says so of guest tables), so that a permission taken from a piece would be
 * ignored; and for a fetch some raise a machine check (the errata behind CVE-2018-12207). Who
 * faults meanwhile waits for the lock.
 */
static u64 resize(struct thv_gather *gather, u64 *entry, u64 *table, u64 page)
{
	gather->resize[gather->nr_resizes++] = (struct thv_resize){ entry, table, page };
	return take(gather, entry);
}

static bool has_room(const struct thv_gather *gather)
{
	return gather->nr_resizes < ARRAY_SIZE(gather->resize);
}

/**
 * thv_table_split() - Cut a large page into 512, of which each permits what it did.
 * @tables: the tree.
 * @gather: who finishes it makes it so; until then there is nothing.
 * @entry: the page's entry.
 * @gfn: its first frame.
 * @level: where it is; above 1.
 * @clear: flags and permissions that the pieces don't have.
 *
 * Return: false: no spare table, or no room in @gather; nothing has changed.
 */
bool thv_table_split(struct thv_tables *tables, struct thv_gather *gather, u64 *entry,
		     u64 gfn, unsigned int level, u64 clear)
{
	u64 size = thv_table_frames(level - 1) << PAGE_SHIFT;
	u64 *table, piece;
	unsigned int i;

	if (!tables->nr_spares || !has_room(gather))
		return false;
	table = tables->spare[--tables->nr_spares];
	tables->nr++;
	tables->splits++;
	/* With the flags that it had at the last: the processor may just have set one */
	piece = resize(gather, entry, table, 0);
	piece &= ~clear_from(tables->format, piece, clear);
	if (level == 2)
		piece &= ~tables->format->large;
	for (i = 0; i < THV_TABLE_ENTRIES; i++)
		table[i] = piece + i * size;
	if (clear)
		tables->owner->restricted(tables, gfn, level);
	return true;
}

/*
 * Do 512 pieces make one page: all there, one after the other, from an address that is right? What one
 * does not permit, the page does not. 0: they don't.
 */
static u64 sum_of(const struct thv_tables *tables, const u64 *table, unsigned int level)
{
	const struct thv_table_format *format = tables->format;
	u64 size = thv_table_frames(level - 1) << PAGE_SHIFT;
	u64 flags = format->accessed | format->dirty;
	u64 first = READ_ONCE(table[0]) & ~flags, page = first;
	unsigned int i;

	if ((page & format->address) & (size * THV_TABLE_ENTRIES - 1))
		return 0;
	for (i = 0; i < THV_TABLE_ENTRIES; i++) {
		u64 piece = READ_ONCE(table[i]) & ~flags;

		if (!(piece & format->permissions) ||
		    !thv_table_is_leaf(format, piece, level - 1) ||
		    (piece & ~format->permissions) != (first & ~format->permissions) + i * size)
			return 0;
		page &= piece | ~format->permissions;
	}
	return page & format->permissions ? page | format->large : 0;
}

/**
 * thv_table_merge() - Put pieces together, if they are a page.
 * @tables: the tree.
 * @gather: who finishes it makes it so; until then there is nothing.
 * @gfn: the first frame.
 * @level: of the page.
 *
 * Whether the host maps it by one entry does not matter: what it takes back of it takes it all out.
 *
 * Return: were they? Not either if there is no room in @gather.
 */
bool thv_table_merge(struct thv_tables *tables, struct thv_gather *gather, u64 gfn,
		     unsigned int level)
{
	const struct thv_table_format *format = tables->format;
	u64 entry, page, *at = tables->root, *table;
	unsigned int i = format->levels;

	for (;; i--) {
		at = &at[index_of(gfn, i)];
		entry = READ_ONCE(*at);
		if (!(entry & format->present) || thv_table_is_leaf(format, entry, i))
			return false;
		table = table_of(tables, entry);
		if (i == level)
			break;
		at = table;
	}
	page = sum_of(tables, table, level);
	if (!page || !has_room(gather))
		return false;
	resize(gather, at, table, page);
	tables->merges++;
	tables->owner->restricted(tables, gfn, level);
	return true;
}

/* A page of another size, or another page, is in the way, and nobody has told us that it is gone. */
static void displace(struct thv_tables *tables, u64 *entry, u64 gfn, unsigned int level)
{
	struct thv_gather gather;

	thv_gather_init(&gather);
	thv_table_remove(tables, &gather, entry, gfn & ~(thv_table_frames(level) - 1), level);
	thv_gather_finish(tables, &gather);
}

/* A large page in the way of a small one, @leaf: if that is a part of it the others stay. */
static void make_way(struct thv_tables *tables, u64 *entry, u64 gfn, unsigned int level, u64 leaf)
{
	u64 frames = thv_table_frames(level), address = tables->format->address;
	u64 part = (READ_ONCE(*entry) & address) + ((gfn & (frames - 1)) << PAGE_SHIFT);
	struct thv_gather gather;

	thv_gather_init(&gather);
	if (part != (leaf & address) ||
	    !thv_table_split(tables, &gather, entry, gfn & ~(frames - 1), level, 0))
		return displace(tables, entry, gfn, level);
	thv_gather_finish(tables, &gather);
}

/* Small pages in the way of a large one: all go, and their table. */
static void clear_away(struct thv_tables *tables, u64 *entry, u64 gfn, unsigned int level)
{
	struct thv_gather gather;
	struct visit visit = {
		.tables = tables, .gather = &gather, .leaf = zap_leaf, .prune = true,
		.first = gfn, .last = gfn + thv_table_frames(level),
	};

	thv_gather_init(&gather);
	visit_table(&visit, table_of(tables, READ_ONCE(*entry)), gfn, level - 1);
	prune(&visit, entry);
	thv_gather_finish(tables, &gather);
	tables->merges++;
}

static void set_leaf(struct thv_tables *tables, u64 *entry, u64 gfn, unsigned int level, u64 leaf)
{
	const struct thv_table_format *format = tables->format;
	u64 old = READ_ONCE(*entry);

	if ((old & format->present) && !thv_table_is_leaf(format, old, level)) {
		clear_away(tables, entry, gfn, level);
		old = 0;
	}
	/*
	 * Same page: what it permitted it still permits (a restriction would have been made at
	 * once, by thv_table_clear()), and its flags stay. Nothing is restricted: no flush.
	 */
	while ((old & format->present) && !((old ^ leaf) & format->address))
		if (try_cmpxchg64(entry, &old, unparked(format, old) | leaf))
			return;
	if (old & format->present)
		displace(tables, entry, gfn, level);
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
 * @level: its size.
 * @leaf: the entry: address and the format's bits.
 *
 * What is in the way by another size makes room, after a flush.
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
			make_way(tables, entry, gfn, at, leaf);
		table = descend(tables, entry);
		if (!table)
			return -ENOMEM;
	}
	set_leaf(tables, &table[index_of(gfn, level)], gfn, level, leaf);
	return 0;
}

/**
 * thv_table_vacant() - Which of a few entries of one table stand for nothing?
 * @tables: the tree.
 * @entries: the first.
 * @count: how many; at most as a long has bits.
 *
 * Return: a bit for each.
 */
unsigned long thv_table_vacant(const struct thv_tables *tables, const u64 *entries,
			       unsigned int count)
{
	unsigned long vacant = 0;
	unsigned int i;

	for (i = 0; i < count; i++)
		if (!(READ_ONCE(entries[i]) & tables->format->present))
			vacant |= BIT(i);
	return vacant;
}

/**
 * thv_table_add() - Put a small page in where there is nothing.
 * @tables: the tree.
 * @entry: a vacant one, in a table of small pages.
 * @leaf: what becomes of it.
 */
void thv_table_add(struct thv_tables *tables, u64 *entry, u64 leaf)
{
	account(tables, leaf, 1);
	WRITE_ONCE(*entry, leaf);
}

/**
 * thv_table_find() - Where the page that a frame is in has its entry.
 * @tables: the tree.
 * @gfn: the frame.
 * @level: out: its size; set in any case.
 *
 * Return: the entry; NULL: there is none.
 */
u64 *thv_table_find(const struct thv_tables *tables, u64 gfn, unsigned int *level)
{
	const struct thv_table_format *format = tables->format;
	u64 *table = tables->root;

	for (*level = format->levels; ; --*level) {
		u64 *at = &table[index_of(gfn, *level)];
		u64 entry = READ_ONCE(*at);

		if (!(entry & format->present))
			return NULL;
		if (thv_table_is_leaf(format, entry, *level))
			return at;
		table = table_of(tables, entry);
	}
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
	const u64 *at = thv_table_find(tables, gfn, level);

	return at ? READ_ONCE(*at) : 0;
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
		if (entry & format->permissions)
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
