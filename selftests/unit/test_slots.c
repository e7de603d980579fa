// SPDX-License-Identifier: GPL-2.0-only
// sources: module/slots.c
/*
 * Slot arithmetic against a model that cannot wrap: 100,000 requests, made of numbers from
 * around every boundary there is, each answered by module/slots.c and by the model here, which
 * works on bytes in 128 bits and keeps its slots in no order at all.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "slots.h"
#include "tap.h"

#define TUPLES		100000
#define PHYS_BITS	46
#define USER_END	0x7ffffffff000ULL
#define APIC_PAGE	0xfee00000ULL
#define OTHER_PAGE	0xfffbc000ULL

static const struct thv_slot_limits limits = {
	.phys_bits = PHYS_BITS,
	.user_end = USER_END,
	.nr_reserved = 2,
	.reserved = { APIC_PAGE >> 12, OTHER_PAGE >> 12 },
};

/* ---- the model ---- */

struct model {
	bool there;
	__uint128_t gpa, size, hva;
	u32 flags;
};

static struct model model[THV_MAX_SLOTS];

static bool apart(__uint128_t a, __uint128_t a_size, __uint128_t b, __uint128_t b_size)
{
	return a + a_size <= b || b + b_size <= a;
}

static bool model_collides(u32 except, __uint128_t gpa, __uint128_t size)
{
	u32 i;

	for (i = 0; i < THV_MAX_SLOTS; i++)
		if (i != except && model[i].there && !apart(gpa, size, model[i].gpa, model[i].size))
			return true;
	return !apart(gpa, size, APIC_PAGE, 4096) || !apart(gpa, size, OTHER_PAGE, 4096);
}

/* What the uapi says of THV_SET_MEMORY: 0 and the model has changed, or the errno */
static int model_set(const struct thv_memory *m)
{
	__uint128_t gpa = m->gpa, size = m->size, hva = m->hva;
	struct model *slot;

	if (m->slot >= 64 || m->flags > 7 || m->reserved[0] || m->reserved[1])
		return -EINVAL;
	if (gpa % 4096 || size % 4096 || hva % 4096 || size > (__uint128_t)8 << 40)
		return -EINVAL;
	if (gpa + size > (__uint128_t)1 << PHYS_BITS || hva + size > USER_END)
		return -EINVAL;
	slot = &model[m->slot];
	if (!size) {
		if (!slot->there)
			return -EINVAL;
		slot->there = false;
		return 0;
	}
	if (slot->there && (slot->size != size || slot->hva != hva))
		return -EINVAL;
	if (model_collides(m->slot, gpa, size))
		return -EEXIST;
	*slot = (struct model){ true, gpa, size, hva, m->flags };
	return 0;
}

static int model_find(__uint128_t address)
{
	u32 i;

	for (i = 0; i < THV_MAX_SLOTS; i++)
		if (model[i].there && !apart(address, 1, model[i].gpa, model[i].size))
			return i;
	return -1;
}

/* ---- requests ---- */

static u64 state = 88172645463325252ULL;

static u64 number(u64 below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state % below;
}

/* A step off: mostly whole pages, sometimes not */
static u64 near(u64 value)
{
	static const s64 by[] = {
		0, 0, 0, 0, 0, 0, 4096, -4096, 4096, -4096, 8192, 1 << 21, -(1 << 21), 1, -1, 4095,
	};

	return value + by[number(16)];
}

static u64 some_address(void)
{
	static const u64 marks[] = {
		0, 0x100000, APIC_PAGE, OTHER_PAGE, 1ULL << 32, 1ULL << PHYS_BITS, USER_END,
		1ULL << 47, 1ULL << 52, 1ULL << 63, ~0ULL << 12, 0x40000000, 0x80000000,
	};
	const struct model *slot = &model[number(THV_MAX_SLOTS)];

	switch (number(4)) {
	case 0:
		return near(marks[number(13)]);
	case 1:
		return near(slot->gpa);
	case 2:
		return near(slot->gpa + slot->size);
	default:
		return number(1 << 24) << 12;
	}
}

static u64 some_size(u64 gpa)
{
	static const u64 sizes[] = {
		4096, 8192, 1 << 20, 1 << 21, 1 << 30, 8ULL << 40, 1ULL << 63, ~0ULL << 12,
	};

	switch (number(4)) {
	case 0:
		return near(sizes[number(8)]);
	case 1:
		return near((1ULL << PHYS_BITS) - gpa);
	case 2:
		return near(model[number(THV_MAX_SLOTS)].gpa - gpa);
	default:
		return number(64) << 12;
	}
}

static u64 some_hva(u64 size)
{
	switch (number(8)) {
	case 0:
		return near(USER_END - size);
	case 1:
		return near(0 - size);
	case 2:
		return near(~0ULL << 12);
	default:
		return number(1ULL << 34) << 12;
	}
}

/* Half the time about a slot that is there, most of it right, so that changes succeed as well */
static void request(struct thv_memory *m)
{
	const struct model *slot;

	memset(m, 0, sizeof(*m));
	m->slot = number(50) ? number(THV_MAX_SLOTS) : near(THV_MAX_SLOTS);
	m->flags = number(20) ? number(8) : number(2) << 31 | number(16);
	m->gpa = some_address();
	m->size = some_size(m->gpa);
	m->hva = some_hva(m->size);
	m->reserved[0] = !number(200);
	m->reserved[1] = !number(200);
	slot = &model[m->slot % THV_MAX_SLOTS];
	if (!slot->there || number(4) == 0)
		return;
	m->size = number(3) ? slot->size : number(2) ? 0 : near(slot->size);
	m->hva = slot->hva;
	m->gpa = number(3) ? m->gpa : slot->gpa;
	if (!m->size)
		m->gpa &= 0xffffff000;
}

/* ---- the code under test, carried out as memory.c does ---- */

static int slots_set(struct thv_slots *slots, const struct thv_memory *m)
{
	struct thv_slot_plan plan;
	int err = thv_slots_plan(slots, m, &limits, &plan);

	if (err)
		return err;
	switch (plan.change) {
	case THV_SLOT_SAME:
		break;
	case THV_SLOT_FLAGS:
		slots->slot[plan.old] = plan.slot;
		break;
	case THV_SLOT_DELETE:
		thv_slots_remove(slots, plan.old);
		break;
	case THV_SLOT_MOVE:
		thv_slots_remove(slots, plan.old);
		thv_slots_insert(slots, &plan.slot);
		break;
	case THV_SLOT_ADD:
		thv_slots_insert(slots, &plan.slot);
		break;
	}
	return 0;
}

static void check_find(const struct thv_slots *slots, u64 gpa)
{
	const struct thv_slot *slot = thv_slots_find(slots, gpa >> 12);
	int id = model_find(gpa);

	if (!tap_check(slot ? (int)slot->id == id : id < 0, "%#llx: slot %d, not %d",
		       (unsigned long long)gpa, slot ? (int)slot->id : -1, id) || !slot)
		return;
	tap_check(thv_slot_hva(slot, gpa >> 12) ==
		  (u64)(model[id].hva + (gpa - model[id].gpa) / 4096 * 4096),
		  "hva of %#llx", (unsigned long long)gpa);
}

static void check_table(const struct thv_slots *slots)
{
	u32 i, there = 0;

	for (i = 0; i < THV_MAX_SLOTS; i++) {
		int index = thv_slots_index(slots, i);
		const struct model *m = &model[i];
		bool found = index >= 0;

		there += m->there;
		if (!tap_check(m->there == found, "slot %u is there or not", i) || !m->there)
			continue;
		tap_check(slots->slot[index].flags == m->flags, "flags of slot %u", i);
		check_find(slots, m->gpa);
		check_find(slots, m->gpa + m->size - 1);
		check_find(slots, m->gpa + m->size);
		check_find(slots, m->gpa - 4096);
	}
	tap_check(slots->nr == there, "%u slots, not %u", slots->nr, there);
	for (i = 1; i < slots->nr; i++)
		tap_check(slots->slot[i - 1].gfn + slots->slot[i - 1].pages <= slots->slot[i].gfn,
			  "slot at index %u in order", i);
}

static void test_against_model(void)
{
	unsigned int accepted = 0, invalid = 0, exists = 0, i;
	static struct thv_slots slots;

	for (i = 0; i < TUPLES; i++) {
		struct thv_memory m;
		int got, expected;

		request(&m);
		got = slots_set(&slots, &m);
		expected = model_set(&m);
		tap_check(got == expected,
			  "slot %u flags %#x gpa %#llx size %#llx hva %#llx: %d, not %d", m.slot,
			  m.flags, m.gpa, m.size, m.hva, got, expected);
		accepted += !expected;
		invalid += expected == -EINVAL;
		exists += expected == -EEXIST;
		if (!expected || i % 64 == 0)
			check_table(&slots);
		check_find(&slots, some_address());
	}
	tap_ok(tap_held(), "%u requests are answered as the model answers them", TUPLES);
	tap_ok(accepted > 5000 && invalid > 5000 && exists > 2000,
	       "of them enough are accepted (%u), invalid (%u) and in the way (%u)",
	       accepted, invalid, exists);
}

/* ---- user ranges, as the MMU notifier asks ---- */

static void check_hva_range(const struct thv_slot *slot, u64 start, u64 end)
{
	u64 first = 0, last = 0, page, low = 0, high = 0;
	bool got = thv_slot_hva_range(slot, start, end, &first, &last);

	for (page = slot->pages; start < end && page--;)
		if (!apart(slot->hva + page * 4096, 4096, start, end - start)) {
			low = slot->gfn + page;
			high = high ? high : low + 1;
		}
	tap_check(got ? first == low && last == high : !high,
		  "[%#llx, %#llx): frames %#llx to %#llx", (unsigned long long)start,
		  (unsigned long long)end, (unsigned long long)first, (unsigned long long)last);
}

static void test_hva_range(void)
{
	const struct thv_slot slot = { .gfn = 0x100, .pages = 16, .hva = 0x700000000000 };
	u64 start, end;

	for (start = slot.hva - 9000; start < slot.hva + 17 * 4096; start += 911)
		for (end = start; end < slot.hva + 18 * 4096; end += 1237)
			check_hva_range(&slot, start, end);
	for (start = slot.hva - 4096; start < slot.hva + 17 * 4096; start += 4096)
		for (end = start; end < slot.hva + 18 * 4096; end += 4096)
			check_hva_range(&slot, start, end);
	check_hva_range(&slot, 0, ~0ULL);
	tap_ok(tap_held(), "a user range finds exactly the frames it touches");
}

static void test_bitmap_size(void)
{
	struct thv_slot slot = { .pages = 1 };

	tap_is(thv_slot_bitmap_size(&slot), 8, "one page needs one word");
	slot.pages = 64;
	tap_is(thv_slot_bitmap_size(&slot), 8, "64 pages need one word");
	slot.pages = 65;
	tap_is(thv_slot_bitmap_size(&slot), 16, "65 pages need two");
	slot.pages = THV_SLOT_MAX_PAGES;
	tap_is(thv_slot_bitmap_size(&slot), 256 << 20, "the largest slot's bitmap is 256 MiB");
}

static void test_full(void)
{
	static struct thv_slots slots;
	struct thv_memory m = { .size = 4096, .hva = 4096 };

	for (m.slot = 0; m.slot < THV_MAX_SLOTS; m.slot++) {
		m.gpa = (u64)(THV_MAX_SLOTS - m.slot) * 4096;	/* each before all others */
		tap_check(!slots_set(&slots, &m), "slot %u", m.slot);
	}
	tap_ok(tap_held() && slots.nr == THV_MAX_SLOTS, "all slots can be in use");
	m.slot = 0;
	m.gpa = 1 << 20;
	tap_ok(!slots_set(&slots, &m), "one can be moved when all are in use");
}

int main(void)
{
	test_against_model();
	test_hva_range();
	test_bitmap_size();
	test_full();
	return tap_done();
}
