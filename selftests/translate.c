// SPDX-License-Identifier: GPL-2.0-only
/*
 * THV_TRANSLATE: a guest-linear address followed through the guest's tables and the second level,
 * entry by entry, as the processor would, and without leaving a trace.
 */
#include "kselftest_harness.h"
#include "lib/vm.h"
#include "guests/access.h"

GUEST(access);

#define P	1
#define RW	2
#define US	4
#define NX	BIT(63)

FIXTURE(translate) {
	struct vm *vm;
	struct vcpu *vcpu;
	u64 *pt;	/* of the first 2 MiB */
	struct thv_translate t;
};

FIXTURE_SETUP(translate)
{
	self->vm = vm_create(access);
	self->vcpu = self->vm->vcpu;
	self->pt = vm_at(self->vm, GUEST_PT, u64);
}

FIXTURE_TEARDOWN(translate)
{
	vm_close(self->vm);
}

static u32 translate(FIXTURE_DATA(translate) *self, u64 gla, u32 access)
{
	self->t = (struct thv_translate){ .gla = gla, .access = access };
	must(thv_ioctl(self->vcpu->fd, THV_TRANSLATE, &self->t));
	return self->t.result;
}

#define READ	THV_ACCESS_READ
#define WRITE	THV_ACCESS_WRITE
#define EXECUTE	THV_ACCESS_EXECUTE
#define USER	THV_ACCESS_USER

TEST_F(translate, tells_each_level_of_the_guests_tables)
{
	static const u64 tables[] = { GUEST_PML4, GUEST_PDPT, GUEST_PD0, GUEST_PT };
	struct thv_translate *t = &self->t;
	u64 gla = GUEST_DATA + 0x123;
	int i;

	guest_call(self->vcpu, guest_access_load64, GUEST_DATA);
	EXPECT_EQ(THV_TRANSLATE_OK, translate(self, gla, READ));
	EXPECT_EQ(gla, t->gpa);
	EXPECT_EQ((uintptr_t)self->vm->mem + gla, t->hva);
	EXPECT_EQ(4096, t->page_size);
	EXPECT_EQ(READ | WRITE | EXECUTE | USER, t->permissions);
	EXPECT_EQ(0, t->error_code);
	ASSERT_EQ(4, t->levels);
	for (i = 0; i < 4; i++) {
		u64 index = i == 3 ? GUEST_DATA / PAGE : 0;

		EXPECT_EQ(4 - i, t->level[i].level);
		EXPECT_EQ(tables[i] + 8 * index, t->level[i].address);
		EXPECT_EQ(*vm_at(self->vm, tables[i] + 8 * index, u64), t->level[i].entry);
		EXPECT_EQ(THV_LEVEL_PRESENT | (i == 3 ? THV_LEVEL_LEAF : 0), t->level[i].flags);
	}
}

TEST_F(translate, tells_each_level_of_the_second_level)
{
	struct thv_translate *t = &self->t;
	u32 i;

	guest_call(self->vcpu, guest_access_load64, GUEST_DATA);
	EXPECT_EQ(THV_TRANSLATE_OK, translate(self, GUEST_DATA, READ));
	ASSERT_LE(3, t->second_levels);
	ASSERT_GE(5, t->second_levels);
	for (i = 0; i < t->second_levels; i++) {
		EXPECT_NE(0, t->second[i].flags & THV_LEVEL_PRESENT);
		EXPECT_EQ(i + 1 == t->second_levels, !!(t->second[i].flags & THV_LEVEL_LEAF));
		EXPECT_EQ(0, t->second[i].flags & THV_LEVEL_RESERVED);
		if (i)
			EXPECT_EQ(t->second[i - 1].level - 1, t->second[i].level);
	}
}

TEST_F(translate, tells_large_pages)
{
	EXPECT_EQ(THV_TRANSLATE_OK, translate(self, 0x200123, READ) == THV_TRANSLATE_NOT_MAPPED ?
		  THV_TRANSLATE_OK : self->t.result);
	EXPECT_EQ(0x200123, self->t.gpa);
	EXPECT_EQ(2 << 20, self->t.page_size);
	EXPECT_EQ(3, self->t.levels);
	EXPECT_EQ(THV_LEVEL_PRESENT | THV_LEVEL_LEAF, self->t.level[2].flags);
}

TEST_F(translate, tells_whether_the_host_has_given_the_page)
{
	u64 gla = GUEST_DATA + 0x50000;

	EXPECT_EQ(THV_TRANSLATE_NOT_MAPPED, translate(self, gla, READ));
	EXPECT_EQ(gla, self->t.gpa);
	EXPECT_EQ((uintptr_t)self->vm->mem + gla, self->t.hva);
	guest_call(self->vcpu, guest_access_load64, gla);
	EXPECT_EQ(THV_TRANSLATE_OK, translate(self, gla, READ));
	madvise(self->vm->mem + gla, PAGE, MADV_DONTNEED);
	EXPECT_EQ(THV_TRANSLATE_NOT_MAPPED, translate(self, gla, READ));
	munmap(self->vm->mem + gla, PAGE);
	EXPECT_EQ(THV_TRANSLATE_HOST_FAULT, translate(self, gla, READ));
	EXPECT_EQ(gla, self->t.gpa);
}

TEST_F(translate, tells_what_is_no_memory)
{
	EXPECT_EQ(THV_TRANSLATE_NO_SLOT, translate(self, GUEST_HOLE + 5, READ));
	EXPECT_EQ(GUEST_HOLE + 5, self->t.gpa);
	EXPECT_EQ(0, self->t.hva);
	EXPECT_EQ(2 << 20, self->t.page_size);
}

TEST_F(translate, tells_the_error_code_the_guest_would_get)
{
	u64 gla = 0x1ff123;
	u64 *pte = &self->pt[0x1ff];

	*pte = 0;
	EXPECT_EQ(THV_TRANSLATE_GUEST_FAULT, translate(self, gla, READ));
	EXPECT_EQ(0, self->t.error_code);
	EXPECT_EQ(4, self->t.levels);
	EXPECT_EQ(0, self->t.level[3].flags);
	EXPECT_EQ(THV_TRANSLATE_GUEST_FAULT, translate(self, gla, WRITE));
	EXPECT_EQ(2, self->t.error_code);
	EXPECT_EQ(THV_TRANSLATE_GUEST_FAULT, translate(self, gla, READ | USER));
	EXPECT_EQ(4, self->t.error_code);
	*pte = 0x1ff000 | P | US;
	EXPECT_EQ(THV_TRANSLATE_GUEST_FAULT, translate(self, gla, WRITE));
	EXPECT_EQ(3, self->t.error_code);
	EXPECT_EQ(THV_TRANSLATE_GUEST_FAULT, translate(self, gla, WRITE | USER));
	EXPECT_EQ(7, self->t.error_code);
	EXPECT_NE(THV_TRANSLATE_GUEST_FAULT, translate(self, gla, READ | USER));
	*pte = 0x1ff000 | P | RW;
	EXPECT_EQ(THV_TRANSLATE_GUEST_FAULT, translate(self, gla, READ | USER));
	EXPECT_EQ(5, self->t.error_code);
	EXPECT_NE(THV_TRANSLATE_GUEST_FAULT, translate(self, gla, READ | USER | THV_ACCESS_IMPLICIT))
		TH_LOG("descriptor tables are read as the supervisor");
	*pte = 0x1ff000 | P | BIT(51);
	EXPECT_EQ(THV_TRANSLATE_GUEST_FAULT, translate(self, gla, READ));
	EXPECT_EQ(9, self->t.error_code);
	EXPECT_NE(0, self->t.level[3].flags & THV_LEVEL_RESERVED);
}

TEST_F(translate, follows_the_control_registers)
{
	struct thv_sregs sregs;
	u64 gla = 0x1ff123;

	self->pt[0x1ff] = 0x1ff000 | P | US | NX;
	/* Without EFER.NXE the bit is reserved */
	EXPECT_EQ(THV_TRANSLATE_GUEST_FAULT, translate(self, gla, READ));
	EXPECT_EQ(9, self->t.error_code);
	must_get(self->vcpu, THV_STATE_SREGS, &sregs);
	sregs.efer |= BIT(11);
	must_set(self->vcpu, THV_STATE_SREGS, &sregs);
	EXPECT_NE(THV_TRANSLATE_GUEST_FAULT, translate(self, gla, READ));
	EXPECT_EQ(READ | USER, self->t.permissions);
	EXPECT_EQ(THV_TRANSLATE_GUEST_FAULT, translate(self, gla, EXECUTE));
	EXPECT_EQ(0x11, self->t.error_code);
	/* Without CR0.WP the supervisor writes where it may only read */
	EXPECT_EQ(THV_TRANSLATE_GUEST_FAULT, translate(self, gla, WRITE));
	sregs.cr0 &= ~BIT(16);
	must_set(self->vcpu, THV_STATE_SREGS, &sregs);
	EXPECT_NE(THV_TRANSLATE_GUEST_FAULT, translate(self, gla, WRITE));
	EXPECT_EQ(THV_TRANSLATE_GUEST_FAULT, translate(self, gla, WRITE | USER));
}

TEST_F(translate, refuses_addresses_that_are_none)
{
	EXPECT_EQ(THV_TRANSLATE_NON_CANONICAL, translate(self, 0x0000800000000000, READ));
	EXPECT_EQ(THV_TRANSLATE_NON_CANONICAL, translate(self, 0xffff7fffffffffff, READ));
	EXPECT_EQ(THV_TRANSLATE_NON_CANONICAL, translate(self, 0x8000000000000000, READ));
	EXPECT_EQ(THV_TRANSLATE_GUEST_FAULT, translate(self, 0xffff800000000000, READ));
	EXPECT_EQ(1, self->t.levels);
}

TEST_F(translate, leaves_no_trace)
{
	u64 before;

	self->pt[0x1ff] = 0x1ff000 | P | RW | US;
	before = self->pt[0x1ff];
	translate(self, 0x1ff000, WRITE);
	EXPECT_EQ(before, self->pt[0x1ff]) TH_LOG("accessed or dirty was set");
	translate(self, 0x1ff000, READ);
	EXPECT_EQ(before, self->pt[0x1ff]);
}

TEST_F(translate, agrees_with_the_guest)
{
	static const u64 entries[] = {
		0, P, P | RW, P | US, P | RW | US, P | RW | BIT(51), P | BIT(7),
	};
	unsigned int i;

	/* The guest's own access, and the error code it gets, are the measure */
	for (i = 0; i < ARRAY_SIZE(entries); i++) {
		u64 entry = entries[i] ? entries[i] | 0x1fe000 : 0;
		struct guest_record *record = self->vm->record;
		struct thv_sregs sregs;
		u32 result;

		self->pt[0x1ff] = entry;
		must_get(self->vcpu, THV_STATE_SREGS, &sregs);
		must_set(self->vcpu, THV_STATE_SREGS, &sregs);
		result = translate(self, 0x1ff000, WRITE);
		record->count = 0;
		record->hook[14] = GUEST_DONE;
		guest_start(self->vcpu, guest_access_store64, 0x1ff000, i);
		run_until(self->vcpu, THV_EXIT_IO);
		EXPECT_EQ(result == THV_TRANSLATE_GUEST_FAULT, record->count == 1)
			TH_LOG("entry %#llx", entry);
		if (record->count)
			EXPECT_EQ(self->t.error_code, record->error) TH_LOG("entry %#llx", entry);
	}
}

/* ---- other formats ---- */

TEST_F(translate, unpaged_addresses_are_themselves)
{
	vcpu_mode32(self->vcpu, 0x123000, 0, false);
	translate(self, GUEST_DATA + 5, READ);
	EXPECT_EQ(GUEST_DATA + 5, self->t.gpa);
	EXPECT_EQ(0, self->t.levels);
	EXPECT_EQ(THV_TRANSLATE_NO_SLOT, translate(self, 0xfffffff0, READ));
	EXPECT_EQ(0xfffffff0, self->t.gpa);
}

TEST_F(translate, follows_32_bit_tables)
{
	vcpu_mode32(self->vcpu, GUEST_PD32, BIT(4), true);
	vm_at(self->vm, GUEST_PT32, u32)[0x1ff] = GUEST_DATA | P;
	EXPECT_NE(THV_TRANSLATE_GUEST_FAULT, translate(self, 0x1ff123, READ));
	EXPECT_EQ(GUEST_DATA + 0x123, self->t.gpa);
	EXPECT_EQ(2, self->t.levels);
	EXPECT_EQ(GUEST_PD32, self->t.level[0].address);
	EXPECT_EQ(GUEST_PT32 + 4 * 0x1ff, self->t.level[1].address);
	EXPECT_EQ(GUEST_DATA | P, self->t.level[1].entry);
	EXPECT_EQ(THV_TRANSLATE_NO_SLOT, translate(self, GUEST_HOLE, READ));
	EXPECT_EQ(4 << 20, self->t.page_size);
	EXPECT_EQ(1, self->t.levels);
}

TEST_F(translate, follows_pae_tables)
{
	vcpu_mode32(self->vcpu, GUEST_PDPT_PAE, BIT(5), true);
	self->pt[0x1ff] = GUEST_DATA | P | RW;
	EXPECT_NE(THV_TRANSLATE_GUEST_FAULT, translate(self, 0x1ff123, WRITE));
	EXPECT_EQ(GUEST_DATA + 0x123, self->t.gpa);
	EXPECT_EQ(THV_TRANSLATE_NO_SLOT, translate(self, GUEST_HOLE, READ));
	EXPECT_EQ(2 << 20, self->t.page_size);
	/* The second entry of four is not present */
	EXPECT_EQ(THV_TRANSLATE_GUEST_FAULT, translate(self, 0x40000000, READ));
	EXPECT_EQ(0, self->t.error_code);
}

TEST_F(translate, refuses_unknown_accesses)
{
	struct thv_translate t = { .access = BIT(5) };
	int result = thv_ioctl(self->vcpu->fd, THV_TRANSLATE, &t);

	EXPECT_EQ(-EINVAL, result);
	t = (struct thv_translate){ .access = BIT(31) | READ };
	EXPECT_EQ(-EINVAL, thv_ioctl(self->vcpu->fd, THV_TRANSLATE, &t));
}

THV_TEST_MAIN
