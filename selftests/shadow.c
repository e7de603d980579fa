// SPDX-License-Identifier: GPL-2.0-only
/*
 * Shadow paging's own affairs: how many tables it makes for those of the guest, and that it makes room
 * for more than there may be. That the guest gets the right answers is what all other tests are
 * about, when they run with THV_TEST_PAGING=shadow; here each VM is shadowed, whatever that says.
 */
#include <stdlib.h>
#include "kselftest_harness.h"
#include "lib/host.h"
#include "guests/host.h"

GUEST(host);

/* A window of the guest's with a page table for each 2 MiB; word n of it is in a page of its own */
#define WINDOW		(1ULL << 39)
#define STEP		((2ULL << 20) + 8)
#define GPA		(1ULL << 24)	/* the tables: PDPT, page directory, page tables */
#define MANY		400		/* page tables: far more than stand for a VM of 6 MiB */
#define FEW		50		/* far less */
#define FITTING		120		/* all that fits in */
#define OWN_PAGES	3		/* that a table of ours takes, for one of the guest's */
#define DATA_PAGES	64
#define PRESENT		0x67ULL		/* writable, user, accessed, dirty */

FIXTURE(shadow) {
	struct vm *vm;
	struct vcpu *vcpu;
	u64 *tables;
};

static u64 *data_of(struct vm *vm, unsigned int n)
{
	return vm_at(vm, GUEST_DATA + n % DATA_PAGES * PAGE, u64) + n;
}

FIXTURE_SETUP(shadow)
{
	unsigned int i;
	u64 *pd, *pt;

	ASSERT_EQ(0, setenv("THV_TEST_PAGING", "shadow", 1));
	self->vm = vm_create(host);
	self->vcpu = self->vm->vcpu;
	self->tables = (u64 *)host_map_aligned(HUGE);
	ASSERT_EQ(0, vm_set_memory(self->vm, 1, 0, GPA, HUGE, self->tables));
	pd = self->tables + 512;
	pt = pd + 512;
	vm_at(self->vm, GUEST_PML4, u64)[1] = GPA | PRESENT;
	self->tables[0] = (GPA + PAGE) | PRESENT;
	for (i = 0; i < MANY; i++) {
		pd[i] = (GPA + (2 + i) * PAGE) | PRESENT;
		pt[i * 512] = (GUEST_DATA + i % DATA_PAGES * PAGE) | PRESENT;
	}
}

FIXTURE_TEARDOWN(shadow)
{
	munmap(self->tables, HUGE);
	vm_close(self->vm);
}

static u64 tables_made(struct vm *vm)
{
	return vm_counter(vm, THV_STAT_shadow_tables);
}

/* The guest writes a word through each of @tables page tables, and reads them all: each where it belongs? */
static void use(struct __test_metadata *_metadata, FIXTURE_DATA(shadow) *self, unsigned int tables,
		u64 value)
{
	unsigned int i;

	guest_call(self->vcpu, guest_host_fill, WINDOW, STEP, tables, value);
	for (i = 0; i < tables; i++)
		ASSERT_EQ(value + i, *data_of(self->vm, i)) TH_LOG("word %u", i);
	EXPECT_EQ(0, guest_call(self->vcpu, guest_host_check, WINDOW, STEP, tables, value));
}

TEST_F(shadow, a_table_is_made_once_and_kept)
{
	u64 before = tables_made(self->vm), made;

	use(_metadata, self, FEW, 1000);
	made = tables_made(self->vm);
	EXPECT_LE(before + FEW, made);
	use(_metadata, self, FEW, 2000);
	EXPECT_EQ(made, tables_made(self->vm));
}

TEST_F(shadow, the_oldest_make_room_for_more_than_there_may_be)
{
	u64 before = tables_made(self->vm), made;

	use(_metadata, self, MANY, 1000);
	made = tables_made(self->vm);
	EXPECT_LE(before + MANY, made);
	/* Each round through more than there may be finds each gone again */
	use(_metadata, self, MANY, 2000);
	EXPECT_LE(made + MANY, tables_made(self->vm));
	/* And who is content with few has them for good */
	use(_metadata, self, FEW, 3000);
	made = tables_made(self->vm);
	use(_metadata, self, FEW, 4000);
	EXPECT_EQ(made, tables_made(self->vm));
}

TEST_F(shadow, what_the_host_takes_is_mapped_by_no_table)
{
	use(_metadata, self, MANY, 1000);
	ASSERT_EQ(0, madvise(vm_at(self->vm, GUEST_DATA, u8), DATA_PAGES * PAGE, MADV_DONTNEED));
	EXPECT_EQ(0, guest_call(self->vcpu, guest_host_touch, WINDOW, STEP, MANY));
	use(_metadata, self, MANY, 2000);
}

/* The kernel charges in batches of 64 pages for each of its CPUs, so this is how far off it may be */
static long charged(void)
{
	return host_read(HOST_CGROUP "/memory.current") / PAGE;
}

TEST_F(shadow, tables_are_charged_to_who_runs_the_guest_and_are_bounded)
{
	long slack = 64 * sysconf(_SC_NPROCESSORS_ONLN), before;

	memset(vm_at(self->vm, GUEST_DATA, u8), 0, DATA_PAGES * PAGE);	/* these shall not count */
	REQUIRE(host_enter_cgroup(256UL << 20), "there is no memory controller");
	before = charged();
	EXPECT_LE(0, before);
	use(_metadata, self, FITTING, 1000);
	EXPECT_LE(before + FITTING * OWN_PAGES - slack, charged());
	use(_metadata, self, MANY, 2000);
	EXPECT_GE(before + MANY / 2 * OWN_PAGES + slack, charged()) TH_LOG("the tables are not bounded");
	vm_close(self->vm);
	EXPECT_GE(before + slack, charged()) TH_LOG("they outlive their VM");
	host_leave_cgroup();
	self->vm = vm_create(host);	/* for the end of the test to close */
}

THV_TEST_MAIN
