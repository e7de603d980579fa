// SPDX-License-Identifier: GPL-2.0-only
// sources: module/paging/walk.c
/*
 * The guest page walker: where its walks lead, and how it goes about them. What it permits is
 * test_permissions.c's.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <linux/kernel.h>
#include <asm/msr-index.h>
#include <asm/processor-flags.h>
#include "paging/walk.h"
#include "tap.h"

#define ROOT	0x1000ULL

/* ---- guest memory: the entries of one translation ---- */

static struct entry {
	u64 gpa;
	u64 value;
	unsigned int size;
} memory[THV_WALK_LEVELS];
static unsigned int entries;

static int read_memory(void *opaque, u64 gpa, u64 *value, unsigned int size)
{
	unsigned int i;

	for (i = 0; i < entries; i++)
		if (memory[i].gpa == gpa && memory[i].size == size) {
			*value = memory[i].value;
			return 0;
		}
	return -1;
}

static const struct thv_walk_memory guest = { .read = read_memory };

/* A guest that rewrites an entry between the read and the update: this one, by its place; -1: none */
static int rewritten = -1;

/* What every update answers; 0: it is carried out */
static int refusal;

static int update_memory(void *opaque, u64 gpa, u64 old, u64 new, unsigned int size)
{
	unsigned int i;

	if (refusal)
		return refusal;
	for (i = 0; i < entries; i++)
		if (memory[i].gpa == gpa && memory[i].size == size)
			break;
	if (i == entries)
		return -EFAULT;
	if ((int)i == rewritten)
		memory[i].value ^= 1ULL << 9;	/* ignored by the processor, but another entry */
	if (memory[i].value != old)
		return -EAGAIN;
	memory[i].value = new;
	return 0;
}

static const struct thv_walk_memory written_guest = { .read = read_memory, .update = update_memory };

/* ---- modes ---- */

struct mode {
	const char *name;
	u64 cr4, efer;
	bool gbyte;
	unsigned int levels, leaf;	/* the page is at level leaf */
	u64 gla;
};

static const struct mode modes[] = {
	{ "32-bit 4K", 0, 0, false, 2, 1, 0xc0a01234 },
	{ "32-bit 4K, PSE", X86_CR4_PSE, 0, false, 2, 1, 0xffbfe678 },
	{ "32-bit 4M", X86_CR4_PSE, 0, false, 2, 2, 0xc0a01234 },
	{ "PAE 4K", X86_CR4_PAE, 0, false, 3, 1, 0xc0a01234 },
	{ "PAE 2M", X86_CR4_PAE, 0, false, 3, 2, 0x40a01234 },
	{ "4-level 4K", X86_CR4_PAE, EFER_LMA, false, 4, 1, 0xffff8880c0a01234 },
	{ "4-level 2M", X86_CR4_PAE, EFER_LMA, false, 4, 2, 0x00007f80c0a01234 },
	{ "4-level 1G", X86_CR4_PAE, EFER_LMA, true, 4, 3, 0xffff888140a01234 },
	{ "5-level 4K", X86_CR4_PAE | X86_CR4_LA57, EFER_LMA, false, 5, 1, 0xff118880c0a01234 },
	{ "5-level 2M", X86_CR4_PAE | X86_CR4_LA57, EFER_LMA, true, 5, 2, 0x00f08880c0a01234 },
	{ "5-level 1G", X86_CR4_PAE | X86_CR4_LA57, EFER_LMA, true, 5, 3, 0x00f08880c0a01234 },
};

static bool is_pae(const struct mode *mode)
{
	return mode->levels == 3;
}

static bool is_32(const struct mode *mode)
{
	return mode->levels == 2;
}

static u64 page_size(const struct mode *mode, unsigned int level)
{
	if (is_32(mode))
		return level == 1 ? 4096 : 4 << 20;
	return level == 1 ? 4096 : level == 2 ? 2 << 20 : level == 3 ? 1 << 30 : 0;
}

/* Index of level @level's table, by division */
static u64 index_at(const struct mode *mode, unsigned int level)
{
	u64 index = mode->gla / 4096, per = is_32(mode) ? 1024 : 512;

	while (--level)
		index /= per;
	return index % per;
}

static struct thv_guest_paging paging_of(const struct mode *mode)
{
	return (struct thv_guest_paging){
		.cr0 = X86_CR0_PG | X86_CR0_PE,
		.cr3 = ROOT,
		.cr4 = mode->cr4,
		.efer = mode->efer,
		.phys_bits = 46,
		.gbyte_pages = mode->gbyte,
	};
}

/*
 * Tables at 0x1000, 0x2000, ... from the root down, all of it allowed; the page at 0x40000000.
 * PAE's level 3 is in the registers.
 */
static void build(const struct mode *mode, struct thv_guest_paging *paging)
{
	unsigned int level, size = is_32(mode) ? 4 : 8;
	u64 table = ROOT;

	entries = 0;
	memset(paging->pdptr, 0, sizeof(paging->pdptr));
	for (level = mode->levels; level >= mode->leaf; level--) {
		struct entry *e = &memory[entries++];
		bool leaf = level == mode->leaf, held = is_pae(mode) && level == 3;

		e->size = size;
		e->gpa = table + index_at(mode, level) * size;
		e->value = (leaf ? 0x40000000 : table + 4096) | (held ? 1 : 7);
		if (leaf && level > 1)
			e->value |= 0x80;
		if (held)
			paging->pdptr[index_at(mode, 3)] = e->value;
		table += 4096;
	}
}

/* The entry at @level, for changing; PAE's level 3 is copied by the caller */
static struct entry *entry_at(const struct mode *mode, unsigned int level)
{
	return &memory[mode->levels - level];
}

/* ---- where a translation leads ---- */

static void test_translation(void)
{
	struct thv_guest_paging paging;
	struct thv_walk walk;
	unsigned int i, level;

	for (i = 0; i < ARRAY_SIZE(modes); i++) {
		const struct mode *mode = &modes[i];
		u64 size = page_size(mode, mode->leaf);
		bool ok;

		paging = paging_of(mode);
		build(mode, &paging);
		ok = thv_walk(&paging, &guest, mode->gla, THV_ACCESS_READ, &walk) == THV_WALK_OK &&
		     walk.gpa == 0x40000000 + mode->gla % size && walk.page_size == size &&
		     walk.permissions == (THV_ACCESS_READ | THV_ACCESS_WRITE | THV_ACCESS_EXECUTE |
					  THV_ACCESS_USER) &&
		     walk.levels == mode->levels - mode->leaf + 1;
		for (level = mode->levels; ok && level >= mode->leaf; level--) {
			const struct thv_translate_level *at = &walk.level[mode->levels - level];
			const struct entry *e = entry_at(mode, level);

			ok = at->level == level && at->entry == e->value && at->address == e->gpa &&
			     at->flags == (THV_LEVEL_PRESENT |
					   (level == mode->leaf ? THV_LEVEL_LEAF : 0));
		}
		tap_ok(ok, "%s: address, size and levels", mode->name);
	}
}

static void test_not_present(void)
{
	struct thv_guest_paging paging;
	struct thv_walk walk;
	unsigned int i, level;

	for (i = 0; i < ARRAY_SIZE(modes); i++)
		for (level = modes[i].levels; level >= modes[i].leaf; level--) {
			paging = paging_of(&modes[i]);
			build(&modes[i], &paging);
			entry_at(&modes[i], level)->value = ~1ULL;	/* no bit counts but P */
			if (is_pae(&modes[i]) && level == 3)
				paging.pdptr[index_at(&modes[i], 3)] = ~1ULL;
			tap_check(thv_walk(&paging, &guest, modes[i].gla, THV_ACCESS_WRITE |
					   THV_ACCESS_USER, &walk) == THV_WALK_FAULT &&
				  walk.error_code == 6 &&
				  walk.levels == modes[i].levels - level + 1,
				  "%s, level %u", modes[i].name, level);
		}
	tap_ok(tap_held(), "an entry that is not present is a fault, at any level");
}

static void test_no_table(void)
{
	struct thv_guest_paging paging;
	struct thv_walk walk;
	unsigned int i, level;

	for (i = 0; i < ARRAY_SIZE(modes); i++)
		for (level = modes[i].levels; level >= modes[i].leaf; level--) {
			u64 where;

			if (is_pae(&modes[i]) && level == 3)
				continue;
			paging = paging_of(&modes[i]);
			build(&modes[i], &paging);
			where = entry_at(&modes[i], level)->gpa;
			entry_at(&modes[i], level)->gpa = ~0ULL;
			tap_check(thv_walk(&paging, &guest, modes[i].gla, THV_ACCESS_READ,
					   &walk) == THV_WALK_NO_TABLE && walk.gpa == where,
				  "%s, level %u", modes[i].name, level);
		}
	tap_ok(tap_held(), "a table where no memory is, is told with its address");
}

/* ---- order ---- */

static void test_reserved_before_permission(void)
{
	const struct mode *mode = &modes[5];
	struct thv_guest_paging paging = paging_of(mode);
	struct thv_walk walk;

	build(mode, &paging);
	entry_at(mode, 4)->value &= ~4ULL;
	entry_at(mode, 2)->value |= 1ULL << 50;
	tap_ok(thv_walk(&paging, &guest, mode->gla, THV_ACCESS_READ | THV_ACCESS_USER,
			&walk) == THV_WALK_FAULT && walk.error_code == 0xd,
	       "a reserved bit is told before a missing permission");
	entry_at(mode, 3)->value = 0;
	tap_ok(thv_walk(&paging, &guest, mode->gla, THV_ACCESS_READ | THV_ACCESS_USER,
			&walk) == THV_WALK_FAULT && walk.error_code == 4,
	       "an entry above that is not present is told before either");
}

/* An entry that changed meanwhile gets no flag, and the walk counts for nothing */
static void test_rewritten(void)
{
	struct thv_walk walk;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(modes); i++) {
		struct thv_guest_paging paging = paging_of(&modes[i]);

		build(&modes[i], &paging);
		memory[entries - 1].value &= ~0x60ULL;
		rewritten = entries - 1;
		tap_check(thv_walk(&paging, &written_guest, modes[i].gla, THV_ACCESS_WRITE, &walk) ==
			  THV_WALK_CHANGED && !(memory[entries - 1].value & 0x60),
			  "%s: the page's entry changed", modes[i].name);
		rewritten = -1;
	}
	tap_ok(tap_held(), "an entry that the guest rewrites during the walk gets no flag");
}

/* ROM keeps its flags, and the walk is as good; memory that cannot be written now makes the walk wait */
static void test_refused(void)
{
	struct thv_walk walk;
	unsigned int i, k;

	for (i = 0; i < ARRAY_SIZE(modes); i++) {
		struct thv_guest_paging paging = paging_of(&modes[i]);

		build(&modes[i], &paging);
		for (k = 0; k < entries; k++)
			memory[k].value |= 0x60;
		memory[entries - 1].value &= ~0x60ULL;
		refusal = -EROFS;
		tap_check(thv_walk(&paging, &written_guest, modes[i].gla, THV_ACCESS_WRITE, &walk) ==
			  THV_WALK_OK, "%s: the page's entry in ROM", modes[i].name);
		refusal = -EFAULT;
		tap_check(thv_walk(&paging, &written_guest, modes[i].gla, THV_ACCESS_WRITE, &walk) ==
			  THV_WALK_NO_FLAGS && walk.gpa == memory[entries - 1].gpa,
			  "%s: the page's entry, not to be written", modes[i].name);
		refusal = 0;
	}
	tap_ok(tap_held(), "flags that cannot be set are forgone in ROM only");
}

/* ---- PAE's registers: SDM table 4-8 ---- */

static void test_pdptr(void)
{
	unsigned int bit, width;

	for (width = 32; width <= 52; width++)
		for (bit = 1; bit < 64; bit++) {
			bool bad = (bit >= 1 && bit <= 2) || (bit >= 5 && bit <= 8) || bit >= width;

			tap_check(thv_pdptr_valid(1 | 1ULL << bit, width) == !bad,
				  "bit %u of %u", bit, width);
			tap_check(thv_pdptr_valid(1ULL << bit, width), "not present, %u", bit);
		}
	tap_ok(tap_held(), "a PDPTE is refused for its reserved bits, if present");
}

static void test_mode_names(void)
{
	struct thv_guest_paging paging;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(modes); i++) {
		paging = paging_of(&modes[i]);
		tap_check(thv_is_pae_paging(&paging) == is_pae(&modes[i]), "%s", modes[i].name);
		paging.cr0 = X86_CR0_PE;
		tap_check(!thv_is_pae_paging(&paging), "%s, unpaged", modes[i].name);
	}
	tap_ok(tap_held(), "PAE paging is known from the others");
}

/* ---- addresses ---- */

static void test_pse36(void)
{
	const struct mode *mode = &modes[2];
	struct thv_guest_paging paging = paging_of(mode);
	struct thv_walk walk;

	paging.phys_bits = 40;
	build(mode, &paging);
	entry_at(mode, 2)->value |= 0xabU << 13;
	thv_walk(&paging, &guest, mode->gla, THV_ACCESS_READ, &walk);
	tap_is(walk.gpa, 0xab40000000 | (mode->gla & 0x3fffff),
	       "bits 20:13 of a 4 MiB page are address bits 39:32");
}

static void test_cr3(void)
{
	const struct mode *mode = &modes[5];
	struct thv_guest_paging paging = paging_of(mode);
	struct thv_walk walk;

	build(mode, &paging);
	paging.cr3 |= 0xfff | 1ULL << 63 | 1ULL << 61;
	tap_is(thv_walk(&paging, &guest, mode->gla, THV_ACCESS_READ, &walk), THV_WALK_OK,
	       "PCID, LAM and flags in CR3 are no address");

	paging = paging_of(&modes[3]);
	paging.cr3 = 0x1fe0;	/* PDPTEs need only 32 bytes of alignment */
	build(&modes[3], &paging);
	thv_walk(&paging, &guest, modes[3].gla, THV_ACCESS_READ, &walk);
	tap_is(walk.level[0].address, 0x1fe0 + 8 * index_at(&modes[3], 3),
	       "where a PDPTE was loaded from is told");
}

static void check_canonical(u64 cr4, u64 gla, bool is)
{
	const struct mode *mode = &modes[cr4 ? 8 : 5];
	struct thv_guest_paging paging = paging_of(mode);
	struct thv_walk walk;

	entries = 0;
	tap_check((thv_walk(&paging, &guest, gla, THV_ACCESS_READ, &walk) ==
		   THV_WALK_NON_CANONICAL) == !is, "%#llx", (unsigned long long)gla);
}

static void test_canonical(void)
{
	unsigned int width, bit;

	for (width = 48; width <= 57; width += 9)
		for (bit = width - 1; bit < 64; bit++) {
			check_canonical(width - 48, (1ULL << (width - 1)) - 1, true);
			check_canonical(width - 48, ~0ULL << (width - 1), true);
			check_canonical(width - 48, 1ULL << bit, false);
			check_canonical(width - 48, ~(1ULL << bit), false);
		}
	tap_ok(tap_held(), "only canonical addresses are addresses");
}

static void test_unpaged(void)
{
	struct thv_guest_paging paging = { .cr0 = X86_CR0_PE, .phys_bits = 36 };
	struct thv_walk walk;

	tap_ok(thv_walk(&paging, &guest, 0xfedcba98, THV_ACCESS_WRITE | THV_ACCESS_USER, &walk) ==
	       THV_WALK_OK && walk.gpa == 0xfedcba98 && !walk.levels,
	       "without paging an address is its own translation");
	tap_is(thv_walk(&paging, &guest, 1ULL << 32, THV_ACCESS_READ, &walk),
	       THV_WALK_NON_CANONICAL, "outside long mode an address has 32 bits");
}

int main(void)
{
	test_translation();
	test_not_present();
	test_no_table();
	test_reserved_before_permission();
	test_rewritten();
	test_refused();
	test_pdptr();
	test_mode_names();
	test_pse36();
	test_cr3();
	test_canonical();
	test_unpaged();
	return tap_done();
}
