// SPDX-License-Identifier: GPL-2.0-only
// sources: module/paging/table.c module/paging/ept.c module/paging/ept_check.c module/paging/flush_ledger.c
// flags: -DTHV_DEBUG=1 -Wno-missing-field-initializers
/*
 * The tables that hardware walks, without the hardware: what is mapped, cut, put together and taken out
 * is held against a plain array; EPT's rules, one by one; and that nothing is let go before the
 * flush, of which the tables' owner here keeps the books as flush.c does.
 */
#include <errno.h>
#include <string.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <asm/vmx.h>
#include "paging/ept.h"
#include "tap.h"

#define FRAMES_2M	512ULL
#define FRAMES_1G	(512 * FRAMES_2M)
#define RW		(THV_ACCESS_READ | THV_ACCESS_WRITE)
#define RWX		(RW | THV_ACCESS_EXECUTE)

static const struct thv_ept_rules rules = {
	.phys_bits = 48, .features = THV_FEATURE_EPT_2M | THV_FEATURE_EPT_1G,
};

/* ---- an owner with one vCPU, which is in the guest ---- */

static struct thv_tables tables;
static struct thv_flush_vcpu vcpu;
static unsigned int flushes, violations, restricted, removed, dirty;
static bool forget_flushes;

static void on_removed(struct thv_tables *t, const struct thv_gather *gather, u64 gfn,
		       unsigned int level, u64 old)
{
	removed++;
	dirty += (old & t->format->dirty) && !gather->forget_dirty;
}

static void on_restricted(struct thv_tables *t, u64 gfn, unsigned int level)
{
	restricted++;
}

static void on_flush(struct thv_tables *t)
{
	flushes++;
	if (forget_flushes)
		return;
	thv_flush_exit(&vcpu);
	thv_flush_done(&vcpu, 0, thv_flush_begin(&t->flushes));
	thv_flush_enter(&t->flushes, &vcpu, 0);
}

static void on_released(struct thv_tables *t)
{
	violations += thv_flush_may_hold(&t->flushes, &vcpu);
	thv_flush_released(&t->flushes);
}

static const struct thv_tables_owner owner = {
	.removed = on_removed,
	.restricted = on_restricted,
	.flush = on_flush,
	.released = on_released,
};

static void start(u64 features)
{
	flushes = violations = restricted = removed = dirty = 0;
	forget_flushes = false;
	if (thv_tables_init(&tables, thv_ept_format(features), &owner))
		abort();
	thv_flush_vcpu_init(&vcpu);
	thv_flush_done(&vcpu, 0, thv_flush_begin(&tables.flushes));
	thv_flush_enter(&tables.flushes, &vcpu, 0);
}

static void fill(void)
{
	u64 *page;

	while ((page = thv_table_alloc()) && thv_tables_spare(&tables, page))
		;
	free_page((unsigned long)page);
}

static void zap(u64 first, u64 last)
{
	struct thv_gather gather;

	thv_gather_init(&gather);
	thv_table_zap(&tables, &gather, first, last);
	thv_gather_finish(&tables, &gather);
}

/* The tree is well-formed, nothing was let go early; and then it goes */
static void finish(const char *what)
{
	const char *why = thv_ept_check_tree(&tables, &rules);

	tap_ok(!why, "%s: the tree is well-formed%s%s", what, why ? ", but: " : "", why ?: "");
	tap_is(violations, 0, "%s: nothing is let go before the flush", what);
	zap(0, FRAMES_1G * 512 * 512);
	tap_is(tables.nr, 0, "%s: no table is left", what);
	tap_is(tables.mapped, 0, "%s: no page is left", what);
	thv_tables_destroy(&tables);
}

/* Of host memory: frame gfn is at gfn + 1 GiB */
static u64 leaf(u64 gfn, unsigned int level, u32 access)
{
	return (gfn + FRAMES_1G) << 12 | tables.format->leaf(level, access);
}

static void map(u64 gfn, unsigned int level, u32 access)
{
	fill();
	if (thv_table_map(&tables, gfn, level, leaf(gfn, level, access)))
		abort();
}

static unsigned int level_at(u64 gfn)
{
	unsigned int level;

	return thv_table_find(&tables, gfn, &level) ? level : 0;
}

static u64 entry_at(u64 gfn)
{
	unsigned int level;

	return thv_table_lookup(&tables, gfn, &level);
}

static u64 frame_at(u64 gfn)
{
	unsigned int level;
	u64 entry = thv_table_lookup(&tables, gfn, &level);

	return entry ? ((entry & THV_EPT_ADDRESS) >> 12) + (gfn & (thv_table_frames(level) - 1)) : 0;
}

/* ---- sizes ---- */

static void test_sizes(void)
{
	start(THV_FEATURE_EPT_AD);
	map(5, 1, RWX);
	map(FRAMES_2M, 2, RWX);
	map(FRAMES_1G, 3, RWX);
	tap_is(level_at(5), 1, "a page of 4 KiB");
	tap_is(level_at(FRAMES_2M + 77), 2, "... of 2 MiB");
	tap_is(level_at(2 * FRAMES_1G - 1), 3, "... of 1 GiB");
	tap_is(frame_at(2 * FRAMES_1G - 1), 3 * FRAMES_1G - 1, "... to its last frame");
	tap_is(tables.mapped, 1 + FRAMES_2M + FRAMES_1G, "all are counted");
	tap_is(flushes, 0, "to add takes no flush");
	finish("three sizes");
}

/* Parked is not vacant */
static void test_neighbours(void)
{
	struct thv_gather gather;
	unsigned int level;
	u64 *entries;

	start(0);
	map(19, 1, RW);
	map(21, 1, RWX);
	entries = thv_table_find(&tables, 19, &level) - 3;
	thv_gather_init(&gather);
	thv_table_park(&tables, &gather, &entries[5], 21, 1);
	thv_gather_finish(&tables, &gather);
	tap_is(thv_table_vacant(&tables, entries, 16), 0xffff & ~(1UL << 3 | 1UL << 5), "what is vacant beside a page");
	tap_is(thv_table_vacant(&tables, entries, 4), 7, "... of four");
	flushes = 0;
	thv_table_add(&tables, &entries[4], leaf(20, 1, RW));
	tap_is(frame_at(20), 20 + FRAMES_1G, "a neighbour is there");
	tap_is(thv_table_vacant(&tables, entries, 8), 0xff & ~(7UL << 3), "... and no vacancy any more");
	tap_is(tables.mapped, 3, "it is counted");
	tap_is(flushes, 0, "to add it takes no flush");
	finish("neighbours");
}

static void test_small_in_large(void)
{
	u64 i;

	start(THV_FEATURE_EPT_AD);
	map(FRAMES_1G, 3, RW);
	map(FRAMES_1G + 1000, 1, RWX);
	tap_is(level_at(FRAMES_1G + 1000), 1, "a small page within one of 1 GiB");
	tap_is(level_at(FRAMES_1G), 2, "... of which the rest stays, in pages of 2 MiB");
	tap_is(level_at(FRAMES_1G + 1001), 1, "... and of 4 KiB");
	tap_ok(entry_at(FRAMES_1G + 1000) & VMX_EPT_EXECUTABLE_MASK, "it permits what it was given");
	tap_ok(!(entry_at(FRAMES_1G + 1001) & VMX_EPT_EXECUTABLE_MASK), "... and others what they did");
	for (i = 0; i < FRAMES_1G; i += 37)
		tap_check(frame_at(FRAMES_1G + i) == 2 * FRAMES_1G + i, "frame %llu", i);
	tap_ok(tap_held(), "every frame is where it was");
	tap_is(tables.splits, 2, "two pages were split");
	tap_is(flushes, 2, "... with a flush each, between the two sizes");
	tap_is(removed, 0, "... and nothing taken out");
	tap_is(tables.mapped, FRAMES_1G, "as much is mapped as before");
	finish("small in large");
}

static void test_other_memory_in_large(void)
{
	start(THV_FEATURE_EPT_AD);
	map(0, 2, RW);
	fill();
	thv_table_map(&tables, 7, 1, leaf(FRAMES_1G, 1, RW));
	tap_is(level_at(7), 1, "a small page that is not part of the large one");
	tap_is(level_at(8), 0, "... takes its place, and the rest is gone");
	tap_is(removed, 1, "... as its owner is told");
	finish("other memory in large");
}

static void test_large_over_small(void)
{
	start(THV_FEATURE_EPT_AD);
	map(0, 1, RW);
	map(9, 1, RW);
	map(FRAMES_2M, 1, RW);
	map(0, 2, RW);
	tap_is(level_at(9), 2, "a large page takes the place of small ones");
	tap_is(level_at(FRAMES_2M), 1, "... but not of its neighbours");
	tap_is(removed, 2, "... as their owner is told");
	tap_is(tables.nr, 3, "their table is gone");
	finish("large over small");
}

static void split_leaf(struct thv_tables *t, struct thv_gather *gather, u64 *entry, u64 gfn,
		       unsigned int level, void *arg)
{
	if (level > 1)
		thv_table_split(t, gather, entry, gfn, level, *(u64 *)arg);
}

static void split_all(u64 first, u64 last, u64 clear)
{
	struct thv_gather gather;

	fill();
	thv_gather_init(&gather);
	thv_table_each(&tables, &gather, first, last, split_leaf, &clear);
	thv_gather_finish(&tables, &gather);
}

static bool merge(u64 gfn, unsigned int level)
{
	struct thv_gather gather;
	bool merged;

	thv_gather_init(&gather);
	merged = thv_table_merge(&tables, &gather, gfn, level);
	thv_gather_finish(&tables, &gather);
	return merged;
}

static void test_split_and_merge(void)
{
	unsigned int level;
	u64 i;

	start(THV_FEATURE_EPT_AD);
	for (i = 0; i < 10; i++)
		map(i * FRAMES_2M, 2, RWX);
	*thv_table_find(&tables, 0, &level) |= VMX_EPT_DIRTY_BIT | VMX_EPT_ACCESS_BIT;
	split_all(0, 10 * FRAMES_2M, VMX_EPT_DIRTY_BIT);
	tap_is(level_at(0), 1, "large pages are split");
	tap_is(level_at(7 * FRAMES_2M), 1, "... as many as there are tables for");
	tap_is(level_at(8 * FRAMES_2M), 2, "... and not more");
	tap_is(flushes, 1, "... with one flush for all");
	tap_is(entry_at(3) & (VMX_EPT_DIRTY_BIT | VMX_EPT_ACCESS_BIT), VMX_EPT_ACCESS_BIT,
	       "pieces have its flags, but for one that is cleared");
	*thv_table_find(&tables, 3, &level) |= VMX_EPT_DIRTY_BIT;
	tap_ok(merge(0, 2), "pieces are put together again");
	tap_is(level_at(3), 2, "... to a large page");
	tap_is(frame_at(511), FRAMES_1G + 511, "... with its frames");
	tap_ok(entry_at(0) & VMX_EPT_DIRTY_BIT, "... and dirty, because a piece was");
	tap_ok(entry_at(0) & VMX_EPT_EXECUTABLE_MASK, "... and permits what they did");
	tap_ok(!merge(0, 2), "a large page is no pieces");
	tap_ok(!merge(100 * FRAMES_2M, 2), "nothing is no pieces");
	tap_is(removed, 0, "nothing was taken out");
	finish("split and merge");
}

static void test_not_to_merge(void)
{
	struct thv_gather gather;
	unsigned int level;
	u64 i;

	start(THV_FEATURE_EPT_AD);
	for (i = 0; i < FRAMES_2M; i++)
		map(i, 1, i == 4 ? THV_ACCESS_READ : RW);
	zap(9, 10);
	tap_ok(!merge(0, 2), "with one missing they are no page");
	fill();
	thv_table_map(&tables, 9, 1, leaf(10, 1, RW));
	tap_ok(!merge(0, 2), "... with one from elsewhere neither");
	zap(9, 10);
	map(9, 1, RW);
	tap_ok(merge(0, 2), "all there, one after the other: they are");
	tap_ok(!(entry_at(0) & VMX_EPT_WRITABLE_MASK), "... of what all permit");
	thv_gather_init(&gather);
	thv_table_clear(&tables, &gather, thv_table_find(&tables, 0, &level), 0, 2,
			VMX_EPT_EXECUTABLE_MASK);
	thv_gather_finish(&tables, &gather);
	finish("not to merge");

	start(THV_FEATURE_EPT_AD);
	for (i = 0; i < FRAMES_2M; i++) {
		fill();
		thv_table_map(&tables, i, 1, leaf(i + 1, 1, RW));
	}
	tap_ok(!merge(0, 2), "from an address that is not a large page's they are none");
	finish("misaligned");
}

static void test_merge_gbyte(void)
{
	u64 i;

	start(THV_FEATURE_EPT_AD);
	for (i = 0; i < 512; i++)
		map(FRAMES_1G + i * FRAMES_2M, 2, RWX);
	tap_ok(merge(FRAMES_1G, 3), "512 pages of 2 MiB make one of 1 GiB");
	tap_is(level_at(FRAMES_1G + 12345), 3, "... at level 3");
	tap_is(frame_at(FRAMES_1G + 12345), 2 * FRAMES_1G + 12345, "... with its frames");
	split_all(FRAMES_1G, FRAMES_1G + 1, 0);
	tap_is(level_at(FRAMES_1G), 2, "and it comes apart into those");
	finish("1 GiB");
}

/* ---- parked pages ---- */

static void test_parked(void)
{
	struct thv_gather gather;
	unsigned int level;
	u64 *entry;

	start(0);
	map(0, 2, RW);
	entry = thv_table_find(&tables, 0, &level);
	thv_gather_init(&gather);
	tap_ok(thv_table_park(&tables, &gather, entry, 0, 2), "a page is parked");
	tap_ok(!thv_table_park(&tables, &gather, entry, 0, 2), "... once");
	thv_gather_finish(&tables, &gather);
	tap_is(flushes, 1, "... with a flush");
	tap_is(*entry & VMX_EPT_RWX_MASK, 0, "... the processor cannot use it");
	tap_is(tables.mapped, FRAMES_2M, "... and it is still there");
	tap_is(thv_table_unpark(&tables, 3, VMX_EPT_EXECUTABLE_MASK), 0,
	       "a use that it does not permit does not bring it back");
	tap_is(thv_table_unpark(&tables, 3, VMX_EPT_WRITABLE_MASK), 2, "... one that it does, does");
	tap_is(*entry, leaf(0, 2, RW), "... as it was");
	tap_is(thv_table_unpark(&tables, 3, VMX_EPT_READABLE_MASK), 0, "it is not parked any more");

	thv_gather_init(&gather);
	thv_table_park(&tables, &gather, entry, 0, 2);
	tap_ok(thv_table_clear(&tables, &gather, entry, 0, 2, VMX_EPT_WRITABLE_MASK),
	       "a permission can be taken from a parked page");
	thv_gather_finish(&tables, &gather);
	tap_is(thv_table_unpark(&tables, 3, VMX_EPT_WRITABLE_MASK), 0, "... and is gone");
	split_all(0, FRAMES_2M, 0);
	tap_is(level_at(3), 1, "a parked page can be split");
	tap_is(thv_table_unpark(&tables, 3, VMX_EPT_READABLE_MASK), 1, "... and a piece comes back");
	tap_is(frame_at(3), FRAMES_1G + 3, "... with its frame");
	map(4, 1, RW);
	tap_is(entry_at(4), leaf(4, 1, RW), "to map it again brings it back, too");
	finish("parked");
}

/* ---- the ledger sees what is left out ---- */

static void test_forgotten_flush(void)
{
	struct thv_gather gather;

	start(THV_FEATURE_EPT_AD);
	map(0, 1, RW);
	forget_flushes = true;
	zap(0, 1);
	tap_is(violations, 1, "a flush that does not reach a vCPU is found out");
	forget_flushes = false;
	map(0, 1, RW);
	thv_gather_init(&gather);
	thv_table_zap(&tables, &gather, 0, 1);
	gather.flush = false;
	thv_gather_finish(&tables, &gather);
	tap_is(violations, 2, "... and one that nobody asks for");
	violations = 0;
	on_flush(&tables);
	finish("forgotten flush");
}

/* ---- EPT's rules, a case each (SDM 29.3.3.1) ---- */

#define WB		(THV_EPT_WRITE_BACK << VMX_EPT_MT_EPTE_SHIFT)
#define R		VMX_EPT_READABLE_MASK
#define W		VMX_EPT_WRITABLE_MASK
#define X		VMX_EPT_EXECUTABLE_MASK
#define LARGE		THV_EPT_LARGE

static const struct {
	const char *what;
	unsigned int level;
	u64 entry;
	bool wrong;
	u64 features;		/* beside those of rules */
	u64 not;		/* ... without these */
} cases[] = {
	{ "nothing", 1, 0, false },
	{ "what is not present may be anything", 2, ~0ULL & ~VMX_EPT_RWX_MASK, false },
	{ "a page", 1, R | W | X | WB | 0x1000, false },
	{ "a read-only page", 1, R | WB | 0x1000, false },
	{ "a table of level 4", 4, R | W | X | 0x1000, false },
	{ "a table of level 3", 3, R | W | X | 0x1000, false },
	{ "a table of level 2", 2, R | W | X | 0x1000, false },
	{ "a page of 2 MiB", 2, R | WB | LARGE | 0x200000, false },
	{ "a page of 1 GiB", 3, R | WB | LARGE | 0x40000000, false },
	{ "write-only", 1, W | WB, true },
	{ "write and execute", 1, W | X | WB, true },
	{ "a table that is write-only", 3, W | 0x1000, true },
	{ "execute-only, where that is not offered", 1, X | WB, true },
	{ "execute-only, where it is", 1, X | WB, false, THV_FEATURE_EPT_EXECUTE_ONLY },
	{ "an address bit above the processor's", 1, R | WB | BIT_ULL(48), true },
	{ "the highest address bit", 1, R | WB | BIT_ULL(51), true },
	{ "the highest the processor has", 1, R | WB | BIT_ULL(47), false },
	{ "a table beyond the address width", 4, R | BIT_ULL(50), true },
	{ "bit 7 at level 4", 4, R | LARGE | 0x1000, true },
	{ "bit 3 at level 4", 4, R | BIT_ULL(3) | 0x1000, true },
	{ "bit 3 in what points to a table", 3, R | BIT_ULL(3) | 0x1000, true },
	{ "bit 6 in what points to a table", 2, R | BIT_ULL(6) | 0x1000, true },
	{ "2 MiB, misaligned", 2, R | WB | LARGE | 0x1000, true },
	{ "1 GiB, misaligned", 3, R | WB | LARGE | 0x200000, true },
	{ "2 MiB where they are not offered", 2, R | WB | LARGE, true, .not = THV_FEATURE_EPT_2M },
	{ "1 GiB where they are not offered", 3, R | WB | LARGE, true, .not = THV_FEATURE_EPT_1G },
	{ "memory type 2", 1, R | 2 << VMX_EPT_MT_EPTE_SHIFT, true },
	{ "memory type 3", 1, R | 3 << VMX_EPT_MT_EPTE_SHIFT, true },
	{ "memory type 7", 2, R | LARGE | 7 << VMX_EPT_MT_EPTE_SHIFT, true },
	{ "uncached, which is none of ours", 1, R, true },
	{ "ignored bits", 1, R | WB | BIT_ULL(7) | BIT_ULL(10) | GENMASK_ULL(62, 52), false },
};

static void test_rules(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct thv_ept_rules with = rules;

		with.features = (rules.features | cases[i].features) & ~cases[i].not;
		tap_is(!!thv_ept_misconfigured(&with, cases[i].entry, cases[i].level),
		       cases[i].wrong, "%s: %s", cases[i].what,
		       cases[i].wrong ? "is a misconfiguration" : "is right");
	}
}

static void test_tree_is_looked_at(void)
{
	unsigned int level;
	u64 *entry;

	start(THV_FEATURE_EPT_AD);
	map(FRAMES_1G + 5, 1, RW);
	tap_ok(!thv_ept_check_path(&tables, &rules, FRAMES_1G + 5), "the way to a page is right");
	entry = thv_table_find(&tables, FRAMES_1G + 5, &level);
	*entry &= ~R;
	tap_ok(thv_ept_check_path(&tables, &rules, FRAMES_1G + 5), "... and wrong with a wrong entry");
	tap_ok(thv_ept_check_tree(&tables, &rules), "... which is found in the tree, too");
	*entry |= R;
	tables.mapped++;
	tap_ok(thv_ept_check_tree(&tables, &rules), "a page too many in the books is noticed");
	tables.mapped--;
	tables.nr++;
	tap_ok(thv_ept_check_tree(&tables, &rules), "... and a table");
	tables.nr--;
	finish("looked at");
}

int main(void)
{
	test_sizes();
	test_neighbours();
	test_small_in_large();
	test_other_memory_in_large();
	test_large_over_small();
	test_split_and_merge();
	test_not_to_merge();
	test_merge_gbyte();
	test_parked();
	test_forgotten_flush();
	test_rules();
	test_tree_is_looked_at();
	return tap_done();
}
