// SPDX-License-Identifier: GPL-2.0-only
// sources: module/paging/walk.c selftests/lib/paging_rules.c
/*
 * The permission matrix, natively: the guest page walker against the rules of lib/paging_rules.c, over
 * entries, modes and accesses. selftests/permissions.c asks processors the same.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <linux/kernel.h>
#include <asm/msr-index.h>
#include <asm/processor-flags.h>
#include "paging/walk.h"
#include "selftests/lib/paging_rules.h"
#include "tap.h"

#define GLA_64	0x0000710203407123ULL	/* of levels 1 to 5 each another index */
#define GLA_32	0xc0807123ULL
#define PHYS	46			/* MAXPHYADDR, if that is not the question */

/* ---- modes ---- */

struct mode {
	const char *name;
	unsigned int levels, leaf;	/* the page is at level leaf */
	bool pse, gbyte;
};

static const struct mode modes[] = {
	{ "32-bit 4K", 2, 1, false, false },
	{ "32-bit 4K, PSE", 2, 1, true, false },
	{ "32-bit 4M", 2, 2, true, false },
	{ "PAE 4K", 3, 1, true, false },
	{ "PAE 2M", 3, 2, false, false },
	{ "4-level 4K", 4, 1, false, false },
	{ "4-level 2M", 4, 2, false, false },
	{ "4-level 1G", 4, 3, false, true },
	{ "5-level 4K", 5, 1, false, false },
	{ "5-level 2M", 5, 2, false, true },
	{ "5-level 1G", 5, 3, false, true },
};

static bool is_32(const struct mode *mode)
{
	return mode->levels == 2;
}

static bool is_held(const struct mode *mode, unsigned int level)
{
	return mode->levels == 3 && level == 3;		/* a PDPTE: in a register */
}

/* Level n's table is the frame of this number */
static u64 table_at(const struct mode *mode, unsigned int level)
{
	return (mode->levels - level + 1) << 12;
}

/* All allowed, nothing used: the page at 1 GiB */
static void generous(const struct mode *mode, struct rules_question *q)
{
	unsigned int level;

	*q = (struct rules_question){
		.levels = mode->levels, .pse = mode->pse, .gbyte = mode->gbyte, .phys_bits = PHYS,
	};
	for (level = mode->levels; level >= mode->leaf; level--) {
		q->entry[level] = ENTRY_P | ENTRY_RW | ENTRY_US;
		if (is_held(mode, level))
			q->entry[level] = ENTRY_P;
		if (level > mode->leaf)
			q->entry[level] |= table_at(mode, level - 1);
	}
	q->entry[mode->leaf] |= 0x40000000 | (mode->leaf > 1 ? ENTRY_PS : 0);
}

/* ---- the walker's side ---- */

static unsigned int level_at(const struct rules_question *q, u64 gpa)
{
	return q->levels + 1 - (gpa >> 12);
}

static int read_entry(void *opaque, u64 gpa, u64 *value, unsigned int size)
{
	const struct rules_question *q = opaque;
	unsigned int level = level_at(q, gpa);

	if (level < 1 || level > q->levels || size != (q->levels == 2 ? 4 : 8))
		return -EFAULT;
	*value = q->entry[level];
	return 0;
}

static int update_entry(void *opaque, u64 gpa, u64 old, u64 new, unsigned int size)
{
	struct rules_question *q = opaque;
	unsigned int level = level_at(q, gpa);

	if (q->entry[level] != old)
		return -EAGAIN;
	q->entry[level] = new;
	return 0;
}

static struct thv_guest_paging paging_of(const struct rules_question *q)
{
	struct thv_guest_paging paging = {
		.cr0 = X86_CR0_PG | X86_CR0_PE | (q->wp ? X86_CR0_WP : 0),
		.cr3 = 0x1000,
		.cr4 = (q->pse ? X86_CR4_PSE : 0) | (q->levels > 2 ? X86_CR4_PAE : 0) |
		       (q->levels == 5 ? X86_CR4_LA57 : 0) | (q->smep ? X86_CR4_SMEP : 0) |
		       (q->smap ? X86_CR4_SMAP : 0),
		.efer = (q->levels > 3 ? EFER_LMA : 0) | (q->nxe ? EFER_NX : 0),
		.rflags = q->ac ? X86_EFLAGS_AC : 0,
		.phys_bits = q->phys_bits,
		.gbyte_pages = q->gbyte,
	};
	unsigned int i;

	for (i = 0; i < 4; i++)
		paging.pdptr[i] = q->entry[3];
	return paging;
}

static u32 access_of(const struct rules_question *q)
{
	static const u32 kind[] = { THV_ACCESS_READ, THV_ACCESS_WRITE, THV_ACCESS_EXECUTE };
	static const u32 by[] = { THV_ACCESS_USER, 0, THV_ACCESS_USER | THV_ACCESS_IMPLICIT };

	return kind[q->kind] | by[q->by];
}

static u32 permissions_of(const struct rules_answer *answer)
{
	return THV_ACCESS_READ | (answer->user ? THV_ACCESS_USER : 0) |
	       (answer->writable ? THV_ACCESS_WRITE : 0) | (answer->xd ? 0 : THV_ACCESS_EXECUTE);
}

static unsigned long asked;

/* The same question to both */
static void ask(const struct mode *mode, const struct rules_question *q)
{
	struct rules_question tables = *q;
	const struct thv_guest_paging paging = paging_of(q);
	const struct thv_walk_memory memory = { read_entry, update_entry, &tables };
	struct rules_answer answer;
	struct thv_walk walk;
	enum thv_walk_result result;

	asked++;
	rules_ask(q, &answer);
	result = thv_walk(&paging, &memory, q->levels > 3 ? GLA_64 : GLA_32, access_of(q), &walk);
	tap_check(result == (answer.fault ? THV_WALK_FAULT : THV_WALK_OK) &&
		  walk.error_code == answer.error_code &&
		  walk.levels == q->levels - answer.last + 1 &&
		  !memcmp(tables.entry, answer.entry, sizeof(answer.entry)) &&
		  (answer.fault || walk.permissions == permissions_of(&answer)),
		  "%s: kind %u by %u wp %d smep %d smap %d nxe %d ac %d, entries %#llx %#llx %#llx %#llx %#llx: %u, error %#x; should be %s, %#x",
		  mode->name, q->kind, q->by, q->wp, q->smep, q->smap, q->nxe, q->ac,
		  q->entry[5], q->entry[4], q->entry[3], q->entry[2],
		  q->entry[1], result, walk.error_code, answer.fault ? "a fault" : "none",
		  answer.error_code);
}

/* Each access, by each, in each mode: WP, SMEP, SMAP, AC, NXE */
static void ask_all_ways(const struct mode *mode, struct rules_question *q)
{
	unsigned int controls, way;

	for (controls = 0; controls < 32; controls++) {
		q->wp = controls & 1;
		q->smep = controls & 2;
		q->smap = controls & 4;
		q->ac = controls & 8;
		q->nxe = controls & 16;
		for (way = 0; way < 9; way++) {
			q->kind = way / 3;
			q->by = way % 3;
			ask(mode, q);
		}
	}
}

/* ---- the matrix ---- */

static u64 rights(const struct mode *mode, unsigned int level)
{
	if (is_held(mode, level))
		return 0;
	return ENTRY_RW | ENTRY_US | (is_32(mode) ? 0 : ENTRY_XD);
}

/* All of P, A, D, and one that is reserved there */
static u64 states(const struct mode *mode, unsigned int level)
{
	u64 reserved = !is_32(mode) ? BIT_ULL(PHYS) : level == 2 && mode->leaf == 2 ? BIT_ULL(21) : 0;

	return ENTRY_P | (is_held(mode, level) ? 0 : ENTRY_A | ENTRY_D | reserved);
}

/* What all levels permit, in every combination */
static void test_rights(const struct mode *mode)
{
	unsigned int choice, used, level;
	struct rules_question q;

	for (choice = 0; ; choice++) {
		generous(mode, &q);
		for (level = mode->leaf, used = 0; level <= mode->levels; level++)
			used += rules_choose(&q.entry[level], rights(mode, level), choice >> used);
		if (choice >> used)
			break;
		ask_all_ways(mode, &q);
	}
	tap_ok(tap_held(), "%s: what each level permits", mode->name);
}

/* The page's entry with every flag, under one with every flag */
static void test_states(const struct mode *mode)
{
	unsigned int choice, used, level;
	struct rules_question q;

	for (level = mode->leaf + 1; level <= mode->levels; level++)
		for (choice = 0; ; choice++) {
			generous(mode, &q);
			used = rules_choose(&q.entry[mode->leaf], states(mode, mode->leaf) |
				      rights(mode, mode->leaf), choice);
			used += rules_choose(&q.entry[level], states(mode, level), choice >> used);
			if (choice >> used)
				break;
			ask_all_ways(mode, &q);
		}
	tap_ok(tap_held(), "%s: present, accessed, dirty and reserved", mode->name);
}

/* Each bit of each entry, for each width of addresses; those that are reserved and those that are not */
static void test_each_bit(const struct mode *mode)
{
	static const unsigned int widths[] = { 32, 36, 39, 40, 46, 52 };
	unsigned int level, bit, way;
	struct rules_question q;

	for (level = mode->leaf; level <= mode->levels; level++)
		for (bit = 0; bit < (is_32(mode) ? 32 : 64) && !is_held(mode, level); bit++)
			for (way = 0; way < 4 * ARRAY_SIZE(widths); way++) {
				generous(mode, &q);
				/* What leads to another table is another question */
				if (level > mode->leaf ? bit >= 12 && bit < widths[way / 4] :
				    level > 1 && bit == 7)
					continue;
				q.entry[level] ^= BIT_ULL(bit);
				q.phys_bits = widths[way / 4];
				q.nxe = way & 1;
				q.kind = way & 2 ? RULES_WRITE : RULES_READ;
				ask(mode, &q);
			}
	tap_ok(tap_held(), "%s: each bit by itself", mode->name);
}

/* ---- a guest that rewrites an entry while it is walked ---- */

#define GENERATIONS	200000

/*
 * Another thread puts one entry after the other into the place, each with an address of its own, and
 * looks at what it takes out.
 */
static struct race {
	u64 entry[2];		/* of the page, by size: 8 and 4 bytes */
	u64 upper;
	unsigned int size;
	bool lost;		/* an entry came back that was never put in */
	bool walking, over;
	u8 claimed[GENERATIONS];	/* the walker says it used that one */
	u8 seen[GENERATIONS];		/* the flags it had when it was taken out */
} race;

static u64 generation(unsigned int n)
{
	return (u64)(n + 2) << 12 | ENTRY_P | ENTRY_RW | ENTRY_US;
}

static u64 exchange(u64 value)
{
	if (race.size == 8)
		return __atomic_exchange_n(&race.entry[0], value, __ATOMIC_SEQ_CST);
	return __atomic_exchange_n((u32 *)&race.entry[1], (u32)value, __ATOMIC_SEQ_CST);
}

/* Where two threads share one CPU, or a busy machine: neither may be through before the other has begun */
static void let_walk(unsigned int n)
{
	while (!__atomic_load_n(&race.walking, __ATOMIC_SEQ_CST))
		sched_yield();
	if (n % 1024 == 0)
		sched_yield();
}

static void *rewrite(void *unused)
{
	unsigned int n;
	u64 old;

	for (n = 1; n < GENERATIONS; n++) {
		let_walk(n);
		old = exchange(generation(n));
		if ((old & ~(ENTRY_A | ENTRY_D)) != generation(n - 1))
			race.lost = true;
		race.seen[n - 1] = old & (ENTRY_A | ENTRY_D);
	}
	__atomic_store_n(&race.over, true, __ATOMIC_SEQ_CST);
	return NULL;
}

static void *place_of(u64 gpa)
{
	if (gpa >> 12 == 1)
		return &race.upper;
	return race.size == 8 ? &race.entry[0] : &race.entry[1];
}

static int read_raced(void *opaque, u64 gpa, u64 *value, unsigned int size)
{
	void *at = place_of(gpa);

	*value = size == 8 ? __atomic_load_n((u64 *)at, __ATOMIC_SEQ_CST) :
			     __atomic_load_n((u32 *)at, __ATOMIC_SEQ_CST);
	return 0;
}

static int update_raced(void *opaque, u64 gpa, u64 old, u64 new, unsigned int size)
{
	u32 old32 = old;
	bool done = size == 8 ?
		__atomic_compare_exchange_n((u64 *)place_of(gpa), &old, new, false,
					    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST) :
		__atomic_compare_exchange_n((u32 *)place_of(gpa), &old32, (u32)new, false,
					    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);

	return done ? 0 : -EAGAIN;
}

static bool walk_raced(const struct thv_guest_paging *paging, u32 access)
{
	const struct thv_walk_memory memory = { read_raced, update_raced, NULL };
	struct thv_walk walk;

	if (thv_walk(paging, &memory, 0x123, access, &walk) != THV_WALK_OK)
		return false;
	race.claimed[(walk.gpa >> 12) - 2] |= access & THV_ACCESS_WRITE ? ENTRY_A | ENTRY_D : ENTRY_A;
	return true;
}

static void test_race(unsigned int size)
{
	struct thv_guest_paging paging = {
		.cr0 = X86_CR0_PG | X86_CR0_PE, .cr3 = 0x1000, .phys_bits = PHYS,
		.cr4 = size == 8 ? X86_CR4_PAE : 0, .pdptr = { 0x1001 },
	};
	unsigned int n, walks = 0, broken = 0;
	pthread_t thread;

	memset(&race, 0, sizeof(race));
	race.size = size;
	race.upper = 0x2000 | ENTRY_P | ENTRY_RW | ENTRY_US;
	exchange(generation(0));
	if (pthread_create(&thread, NULL, rewrite, NULL))
		abort();
	while (!__atomic_load_n(&race.over, __ATOMIC_SEQ_CST)) {
		walks += walk_raced(&paging, walks & 1 ? THV_ACCESS_WRITE : THV_ACCESS_READ);
		if (walks)
			__atomic_store_n(&race.walking, true, __ATOMIC_SEQ_CST);
	}
	pthread_join(thread, NULL);
	race.seen[GENERATIONS - 1] = exchange(0) & (ENTRY_A | ENTRY_D);
	for (n = 0; n < GENERATIONS; n++)
		broken += (race.seen[n] & race.claimed[n]) != race.claimed[n] ||
			  (race.seen[n] && !race.claimed[n]);
	tap_ok(walks && !race.lost,
	       "%u-byte entries: none that the guest puts in is lost to an update", size);
	tap_ok(walks && !broken,
	       "%u-byte entries: those have flags that a walk went by, and no others", size);
}

int main(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(modes); i++) {
		test_rights(&modes[i]);
		test_states(&modes[i]);
		test_each_bit(&modes[i]);
	}
	printf("# %lu questions\n", asked);
	test_race(8);
	test_race(4);
	return tap_done();
}
