// SPDX-License-Identifier: GPL-2.0-only
/*
 * The second level itself: pages of every size, cut when a dirty log wants them small and put
 * together again after; what the guest wrote and used, by the processor's log, by its flags, or by
 * permission, with the same answers; memory that holds no code.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include "kselftest_harness.h"
#include "lib/vm.h"
#include "guests/memory.h"

GUEST(memory);

#define GPA		(1ULL << 24)
#define PAGES		1024UL		/* two large pages, and more than a log of the processor's holds */
#define SIZE		(PAGES * PAGE)
#define HUGE		(2UL << 20)
#define GBYTE		(1UL << 30)
#define SLOT		1

FIXTURE(ept) {
	struct vm *vm;
	struct vcpu *vcpu;
	u8 *mem;
	bool accessed;		/* the tables have flags */
	bool around;		/* ... and pages come with their neighbours */
	bool pml;
	bool large;
};

FIXTURE_VARIANT(ept) {
	u32 flags;
};

FIXTURE_VARIANT_ADD(ept, all) {
	.flags = 0,
};

FIXTURE_VARIANT_ADD(ept, no_pml) {
	.flags = THV_VM_NO_PML,
};

FIXTURE_VARIANT_ADD(ept, no_flags) {
	.flags = THV_VM_NO_EPT_AD,
};

FIXTURE_VARIANT_ADD(ept, no_fault_around) {
	.flags = THV_VM_NO_FAULT_AROUND,
};

static bool write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");
	bool written = file && fputs(text, file) >= 0;

	return file && !fclose(file) && written;
}

static u8 *map_aligned(size_t size, size_t alignment)
{
	u8 *p = mmap(NULL, size + alignment, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		fail("mmap of %zu bytes: %s", size, strerror(errno));
	return (u8 *)(((uintptr_t)p + alignment - 1) & ~(alignment - 1));
}

static u64 features(struct vm *vm)
{
	struct thv_vm_stats stats = {};

	must(thv_ioctl(vm->fd, THV_GET_STATS, &stats));
	return stats.features;
}

/* Tests of sizes ask the host for huge pages; to others it shall not give any of its own accord */
FIXTURE_SETUP(ept)
{
	u64 used;

	self->vm = vm_create_with(memory, .flags = variant->flags);
	self->vcpu = self->vm->vcpu;
	used = features(self->vm);
	self->accessed = used & THV_FEATURE_EPT_AD;
	self->around = self->accessed && !(variant->flags & THV_VM_NO_FAULT_AROUND);
	self->pml = used & THV_FEATURE_PML;
	self->large = used & THV_FEATURE_EPT_2M;
	self->mem = map_aligned(SIZE, HUGE);
	madvise(self->mem, SIZE, MADV_NOHUGEPAGE);
	ASSERT_EQ(0, vm_set_memory(self->vm, SLOT, 0, GPA, SIZE, self->mem));
	guest_call(self->vcpu, guest_memory_load, GUEST_DATA);
}

FIXTURE_TEARDOWN(ept)
{
	vm_close(self->vm);
}

static bool ask_for_huge(FIXTURE_DATA(ept) *self)
{
	return self->large && write_file("/sys/kernel/mm/transparent_hugepage/enabled", "madvise") &&
	       !madvise(self->mem, SIZE, MADV_HUGEPAGE);
}

#define REQUIRE_HUGE							\
	do {								\
		REQUIRE(self->large, "this VM has no large pages");	\
		REQUIRE(ask_for_huge(self), "the host gives no huge pages"); \
	} while (0)

static void set_flags(FIXTURE_DATA(ept) *self, u32 flags)
{
	must(vm_set_memory(self->vm, SLOT, flags, GPA, SIZE, self->mem));
}

static void fill(FIXTURE_DATA(ept) *self, u64 first, u64 count)
{
	guest_call(self->vcpu, guest_memory_fill, GPA + first * PAGE, PAGE, count, 1);
}

static void touch(FIXTURE_DATA(ept) *self, u64 first, u64 count)
{
	guest_call(self->vcpu, guest_memory_touch, GPA + first * PAGE, PAGE, count);
}

static u64 counter(FIXTURE_DATA(ept) *self, unsigned int which)
{
	return vm_counter(self->vm, which);
}

#define COUNTER(name) counter(self, THV_STAT_##name)

static u32 level_of(FIXTURE_DATA(ept) *self, u64 page)
{
	return vcpu_page_level(self->vcpu, GPA + page * PAGE);
}

/* ---- bitmaps ---- */

struct bits {
	u64 word[PAGES / 64];
};

static u64 take(FIXTURE_DATA(ept) *self, unsigned long which, struct bits *bits)
{
	struct thv_bitmap args = {
		.slot = SLOT, .bitmap = (uintptr_t)bits->word, .size = sizeof(bits->word),
	};

	must(thv_ioctl(self->vm->fd, which, &args));
	return args.count;
}

static void expect(struct bits *bits, u64 page)
{
	bits->word[page / 64] |= BIT(page % 64);
}

static u64 seed = 88172645463325252ULL;

static u64 random64(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

TEST_F(ept, tells_what_was_written_and_nothing_else)
{
	unsigned int round, i;

	fill(self, 0, PAGES / 2);		/* before the log: no news */
	set_flags(self, THV_MEMORY_LOG_DIRTY);
	for (round = 0; round < 20; round++) {
		struct bits expected = {}, bits;

		for (i = 0; i < 40; i++) {
			u64 page = random64() % PAGES;

			if (i % 4) {
				fill(self, page, 1);
				expect(&expected, page);
			} else {
				touch(self, page, 1);
			}
		}
		take(self, THV_GET_DIRTY, &bits);
		for (i = 0; i < ARRAY_SIZE(bits.word); i++)
			ASSERT_EQ(expected.word[i], bits.word[i]) TH_LOG("round %u, word %u", round, i);
	}
	EXPECT_EQ(self->pml, COUNTER(pml_pages) != 0);
}

TEST_F(ept, tells_of_more_pages_than_the_processors_log_holds)
{
	struct bits bits;

	set_flags(self, THV_MEMORY_LOG_DIRTY);
	touch(self, 0, PAGES);
	fill(self, 3, 700);
	EXPECT_EQ(700, take(self, THV_GET_DIRTY, &bits));
	EXPECT_EQ(0, take(self, THV_GET_DIRTY, &bits));
	fill(self, 0, PAGES);
	EXPECT_EQ(PAGES, take(self, THV_GET_DIRTY, &bits));
	if (self->pml) {
		EXPECT_LE(700 + PAGES, COUNTER(pml_pages));
		EXPECT_LE(3, COUNTER(pml_drains));
	} else {
		EXPECT_EQ(0, COUNTER(pml_drains));
	}
}

TEST_F(ept, tells_of_what_the_host_takes_back_while_it_logs)
{
	struct bits bits;

	set_flags(self, THV_MEMORY_LOG_DIRTY);
	fill(self, 0, 10);
	ASSERT_EQ(0, madvise(self->mem, 10 * PAGE, MADV_DONTNEED));
	EXPECT_EQ(10, take(self, THV_GET_DIRTY, &bits));
	touch(self, 0, 10);
	EXPECT_EQ(0, take(self, THV_GET_DIRTY, &bits));
}

struct runner {
	struct vcpu *vcpu;
	u64 rounds;
};

static void *churn(void *arg)
{
	struct runner *runner = arg;

	runner->rounds = guest_finish(runner->vcpu);
	return NULL;
}

/* A guest that writes all the time: what it wrote after the last question is told by the next */
TEST_F(ept, tells_of_a_guest_that_runs)
{
	struct runner runner = { .vcpu = self->vcpu };
	struct bits bits;
	pthread_t thread;
	unsigned int i;

	set_flags(self, THV_MEMORY_LOG_DIRTY);
	guest_start(self->vcpu, guest_memory_churn, GPA, 64);
	ASSERT_EQ(0, pthread_create(&thread, NULL, churn, &runner));
	for (i = 0; i < 20; i++) {
		usleep(5000);
		EXPECT_GE(64, take(self, THV_GET_DIRTY, &bits));
	}
	/* Another log, from the beginning, under the running guest */
	set_flags(self, 0);
	set_flags(self, THV_MEMORY_LOG_DIRTY);
	usleep(20000);
	self->vm->record->shared = 1;
	pthread_join(thread, NULL);
	EXPECT_EQ(64, take(self, THV_GET_DIRTY, &bits));
	EXPECT_EQ(~0ULL, bits.word[0]);
	EXPECT_EQ(0, take(self, THV_GET_DIRTY, &bits));
}

TEST_F(ept, tells_what_was_used_and_keeps_it)
{
	struct bits bits;
	u64 mapped, unparked;

	take(self, THV_GET_ACCESSED, &bits);
	fill(self, 0, 10);
	EXPECT_EQ(10, take(self, THV_GET_ACCESSED, &bits));
	EXPECT_EQ(0, take(self, THV_GET_ACCESSED, &bits));
	mapped = COUNTER(faults_mapped);
	unparked = COUNTER(faults_unparked);
	touch(self, 4, 3);
	fill(self, 8, 1);
	EXPECT_EQ(mapped, COUNTER(faults_mapped)) TH_LOG("the page was fetched again");
	if (!self->accessed)
		EXPECT_LE(unparked + 4, COUNTER(faults_unparked));
	EXPECT_EQ(4, take(self, THV_GET_ACCESSED, &bits));
	EXPECT_EQ(BIT(4) | BIT(5) | BIT(6) | BIT(8), bits.word[0]);
}

TEST_F(ept, lets_go_of_a_page_that_waits_for_its_next_use)
{
	struct bits bits;

	take(self, THV_GET_ACCESSED, &bits);
	fill(self, 0, 4);
	take(self, THV_GET_ACCESSED, &bits);
	ASSERT_EQ(0, madvise(self->mem + PAGE, PAGE, MADV_DONTNEED));
	EXPECT_EQ(0, guest_call(self->vcpu, guest_memory_load, GPA + PAGE));
	EXPECT_EQ(3, guest_call(self->vcpu, guest_memory_load, GPA + 2 * PAGE));
	ASSERT_EQ(0, mprotect(self->mem + 3 * PAGE, PAGE, PROT_READ));
	guest_start(self->vcpu, guest_memory_store, GPA + 3 * PAGE, 1);
	run_until(self->vcpu, THV_EXIT_MEMORY_FAULT);
}

TEST_F(ept, does_not_forget_a_write_to_a_page_that_was_asked_about)
{
	struct bits bits;

	set_flags(self, THV_MEMORY_LOG_DIRTY);
	take(self, THV_GET_ACCESSED, &bits);
	fill(self, 0, 3);
	EXPECT_EQ(3, take(self, THV_GET_ACCESSED, &bits));
	EXPECT_EQ(3, take(self, THV_GET_DIRTY, &bits));
	fill(self, 1, 1);
	EXPECT_EQ(1, take(self, THV_GET_DIRTY, &bits)) TH_LOG("the second write is lost");
	EXPECT_EQ(BIT(1), bits.word[0]);
}

/* ---- neighbours ---- */

#define AROUND 16	/* pages that may come with one of them */

/* The host gets pages by writing to them */
static void host_fill(FIXTURE_DATA(ept) *self, u64 first, u64 count)
{
	u64 page;

	for (page = first; page < first + count; page++)
		*(u64 *)(self->mem + page * PAGE) = page + 1;
}

TEST_F(ept, maps_what_the_host_has_beside_a_page)
{
	u64 mapped = COUNTER(faults_mapped), around = COUNTER(faults_around);

	host_fill(self, 0, 5);
	host_fill(self, 6, 2 * AROUND - 6);
	touch(self, 3, 1);
	EXPECT_EQ(mapped + 1, COUNTER(faults_mapped));
	EXPECT_EQ(around + (self->around ? AROUND - 2 : 0), COUNTER(faults_around)) TH_LOG("all but 3 and 5");
	EXPECT_EQ(5, guest_call(self->vcpu, guest_memory_load, GPA + 4 * PAGE));
	touch(self, 0, 5);
	fill(self, 6, AROUND - 6);
	EXPECT_EQ(mapped + (self->around ? 1 : AROUND - 1), COUNTER(faults_mapped));
	mapped = COUNTER(faults_mapped);
	around = COUNTER(faults_around);
	touch(self, 5, 1);
	EXPECT_EQ(mapped + 1, COUNTER(faults_mapped)) TH_LOG("the host had not been asked for it");
	EXPECT_EQ(around, COUNTER(faults_around));
	touch(self, AROUND, 1);
	EXPECT_EQ(mapped + 2, COUNTER(faults_mapped));
	EXPECT_EQ(around + (self->around ? AROUND - 1 : 0), COUNTER(faults_around));
}

TEST_F(ept, maps_no_neighbour_beyond_the_slot)
{
	u64 gpa = GPA + SIZE + 5 * PAGE, around = COUNTER(faults_around);

	host_fill(self, 0, PAGES);		/* of the slot's three the last is in the host's next table */
	ASSERT_EQ(0, vm_set_memory(self->vm, 2, 0, gpa, 3 * PAGE, self->mem + 510 * PAGE));
	EXPECT_EQ(512, guest_call(self->vcpu, guest_memory_load, gpa + PAGE));
	EXPECT_EQ(around + (self->around ? 2 : 0), COUNTER(faults_around));
	EXPECT_EQ(511, guest_call(self->vcpu, guest_memory_load, gpa));
	EXPECT_EQ(513, guest_call(self->vcpu, guest_memory_load, gpa + 2 * PAGE));
	guest_start(self->vcpu, guest_memory_load, gpa + 3 * PAGE);
	run_until(self->vcpu, THV_EXIT_MMIO);
	EXPECT_EQ(gpa + 3 * PAGE, self->vcpu->run->mmio.gpa);
}

TEST_F(ept, does_not_call_a_neighbour_used_or_written)
{
	struct bits bits;

	host_fill(self, 0, AROUND);
	set_flags(self, THV_MEMORY_LOG_DIRTY);
	take(self, THV_GET_ACCESSED, &bits);
	touch(self, 3, 1);
	EXPECT_EQ(1, take(self, THV_GET_ACCESSED, &bits));
	EXPECT_EQ(BIT(3), bits.word[0]);
	EXPECT_EQ(0, take(self, THV_GET_DIRTY, &bits));
	fill(self, 4, 1);
	EXPECT_EQ(1, take(self, THV_GET_ACCESSED, &bits));
	EXPECT_EQ(BIT(4), bits.word[0]);
	EXPECT_EQ(1, take(self, THV_GET_DIRTY, &bits));
	EXPECT_EQ(BIT(4), bits.word[0]);
}

TEST_F(ept, takes_a_neighbour_back)
{
	host_fill(self, 0, AROUND);
	touch(self, 3, 1);
	ASSERT_EQ(0, madvise(self->mem + 4 * PAGE, PAGE, MADV_DONTNEED));
	EXPECT_EQ(0, guest_call(self->vcpu, guest_memory_load, GPA + 4 * PAGE));
	ASSERT_EQ(0, mprotect(self->mem + 5 * PAGE, PAGE, PROT_READ));
	EXPECT_EQ(6, guest_call(self->vcpu, guest_memory_load, GPA + 5 * PAGE));
	guest_start(self->vcpu, guest_memory_store, GPA + 5 * PAGE, 1);
	run_until(self->vcpu, THV_EXIT_MEMORY_FAULT);
}

/* What the launcher has freed the host throws away, unless it was written: that is found out by a fault */
TEST_F(ept, lets_the_host_know_of_a_write_to_a_neighbour)
{
	u64 pages = 64, writes;		/* so many that the host does not put off to note that they are free */

	host_fill(self, 0, pages);
	ASSERT_EQ(0, madvise(self->mem, pages * PAGE, MADV_FREE));
	touch(self, 3, 1);
	touch(self, 8, 1);
	writes = COUNTER(faults_write);
	fill(self, 8, 1);
	EXPECT_EQ(writes + self->around, COUNTER(faults_write));
	ASSERT_EQ(0, madvise(self->mem, pages * PAGE, MADV_PAGEOUT));
	EXPECT_EQ(1, *(u64 *)(self->mem + 8 * PAGE)) TH_LOG("what the guest wrote is lost");
}

/* ---- sizes ---- */

TEST_F(ept, cuts_large_pages_for_a_log_and_puts_them_together_after)
{
	u64 splits, merges, tables, faults;
	struct bits bits;

	REQUIRE_HUGE;
	fill(self, 0, PAGES);
	REQUIRE(level_of(self, 0) == 2, "the host gave none");
	splits = COUNTER(splits);
	merges = COUNTER(merges);
	tables = COUNTER(tables);
	set_flags(self, THV_MEMORY_LOG_DIRTY);
	EXPECT_EQ(splits + 2, COUNTER(splits));
	EXPECT_EQ(tables + 2, COUNTER(tables));
	EXPECT_EQ(1, level_of(self, 0));
	EXPECT_EQ(1, level_of(self, PAGES - 1));
	faults = COUNTER(faults);
	touch(self, 0, PAGES);
	EXPECT_EQ(faults, COUNTER(faults)) TH_LOG("what was mapped is not any more");
	fill(self, 77, 1);
	fill(self, 600, 2);
	if (self->accessed)
		EXPECT_EQ(faults, COUNTER(faults)) TH_LOG("a write was found out by a fault");
	EXPECT_EQ(3, take(self, THV_GET_DIRTY, &bits));
	EXPECT_EQ(BIT(77 % 64), bits.word[77 / 64]);
	set_flags(self, 0);
	EXPECT_EQ(merges + 2, COUNTER(merges));
	EXPECT_EQ(tables, COUNTER(tables));
	EXPECT_EQ(2, level_of(self, 77));
	EXPECT_EQ(2, level_of(self, 600));
	fill(self, 0, PAGES);
	EXPECT_EQ(PAGES, guest_call(self->vcpu, guest_memory_load, GPA + (PAGES - 1) * PAGE));
	EXPECT_EQ(512, *(u64 *)(self->mem + 511 * PAGE));
}

TEST_F(ept, makes_small_pages_large_when_the_guest_comes_by_again)
{
	u64 merges;

	REQUIRE_HUGE;
	self->mem[0] = 1;			/* the host's huge page */
	set_flags(self, THV_MEMORY_LOG_DIRTY);
	fill(self, 0, 100);
	EXPECT_EQ(1, level_of(self, 5));
	set_flags(self, 0);
	EXPECT_EQ(1, level_of(self, 5)) TH_LOG("412 pages were missing");
	merges = COUNTER(merges);
	fill(self, 100, 1);
	REQUIRE(COUNTER(faults_huge), "the host gave no huge page");
	EXPECT_EQ(merges + 1, COUNTER(merges));
	EXPECT_EQ(2, level_of(self, 5));
	EXPECT_EQ(6, guest_call(self->vcpu, guest_memory_load, GPA + 5 * PAGE));
}

TEST_F(ept, takes_a_write_back_from_a_large_page)
{
	REQUIRE_HUGE;
	fill(self, 0, PAGES);
	set_flags(self, THV_MEMORY_READONLY);
	guest_start(self->vcpu, guest_memory_store, GPA + 9 * PAGE, 5);
	run_until(self->vcpu, THV_EXIT_MMIO);
	EXPECT_EQ(THV_MMIO_READONLY, self->vcpu->run->mmio.flags & THV_MMIO_READONLY);
	set_flags(self, 0);
	guest_finish(self->vcpu);
	EXPECT_EQ(5, *(u64 *)(self->mem + 9 * PAGE));
}

TEST_F(ept, maps_a_gbyte_by_one_entry)
{
	u64 gpa = 8 * GBYTE, huge;
	u8 *mem;

	REQUIRE(features(self->vm) & THV_FEATURE_EPT_1G, "this VM has no pages of 1 GiB");
	write_file("/sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages", "1");
	mem = mmap(NULL, GBYTE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | 30 << 26, -1, 0);
	REQUIRE(mem != MAP_FAILED, "the host has no huge page of 1 GiB");
	ASSERT_EQ(0, vm_set_memory(self->vm, 2, 0, gpa, GBYTE, mem));
	/* The guest's second GiB is there */
	vm_at(self->vm, GUEST_PDPT, u64)[1] = gpa | 0x83;
	huge = COUNTER(faults_huge);
	guest_call(self->vcpu, guest_memory_store, GBYTE + 12345 * PAGE, 7);
	EXPECT_EQ(7, *(u64 *)(mem + 12345 * PAGE));
	EXPECT_EQ(huge + 1, COUNTER(faults_huge));
	ASSERT_EQ(0, vm_set_memory(self->vm, 2, THV_MEMORY_LOG_DIRTY, gpa, GBYTE, mem));
	EXPECT_EQ(513, COUNTER(splits));
	ASSERT_EQ(0, vm_set_memory(self->vm, 2, 0, gpa, GBYTE, mem));
	EXPECT_EQ(513, COUNTER(merges));
	EXPECT_EQ(7, guest_call(self->vcpu, guest_memory_load, GBYTE + 12345 * PAGE));
}

/* ---- no code ---- */

TEST_F(ept, holds_no_code_where_the_slot_says_so)
{
	const struct thv_exit_memory_fault *fault = &self->vcpu->run->memory_fault;

	self->mem[0] = 0xc3;		/* ret */
	self->mem[PAGE] = 0xc3;
	guest_call(self->vcpu, GPA);
	set_flags(self, THV_MEMORY_NOEXEC);
	EXPECT_EQ(0xc3, guest_call(self->vcpu, guest_memory_load, GPA));
	guest_start(self->vcpu, GPA);
	run_until(self->vcpu, THV_EXIT_MEMORY_FAULT);
	EXPECT_EQ(EACCES, fault->error);
	EXPECT_EQ(THV_ACCESS_EXECUTE, fault->access & THV_ACCESS_EXECUTE);
	EXPECT_EQ(GPA, fault->gpa);
	EXPECT_EQ((uintptr_t)self->mem, fault->hva);
	run_until(self->vcpu, THV_EXIT_MEMORY_FAULT);
	set_flags(self, 0);
	guest_finish(self->vcpu);
	set_flags(self, THV_MEMORY_NOEXEC | THV_MEMORY_LOG_DIRTY);
	fill(self, 2, 1);
	guest_start(self->vcpu, GPA + PAGE);
	run_until(self->vcpu, THV_EXIT_MEMORY_FAULT);
	EXPECT_EQ(GPA + PAGE, fault->gpa);
}

THV_TEST_MAIN
