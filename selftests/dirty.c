// SPDX-License-Identifier: GPL-2.0-only
/*
 * The dirty log and the accessed bitmap against a second set of books, which the test keeps: each
 * page that a guest's access touches, and no other; for accesses of every size and
 * alignment, on memory that the host maps in small pages, in huge pages, and takes back meanwhile.
 */
#include <stdatomic.h>
#include "kselftest_harness.h"
#include "lib/host.h"
#include "guests/host.h"

GUEST(host);

#define GPA		(1ULL << 24)
#define SIZE		(2 * HUGE)
#define PAGES		(SIZE / PAGE)
#define WORDS		(PAGES / 64)
#define ACCESSES	200

struct access {
	u64 address;
	u64 size;
};

struct books {
	u64 word[WORDS];
};

FIXTURE(dirty) {
	struct vm *vm;
	struct vcpu *vcpu;
	u8 *mem;
	bool huge;
};

FIXTURE_VARIANT(dirty) {
	u32 flags;
	bool huge;
};

FIXTURE_VARIANT_ADD(dirty, small) {
	.flags = THV_VM_NO_HUGE,
};

FIXTURE_VARIANT_ADD(dirty, huge) {
	.huge = true,
};

FIXTURE_SETUP(dirty)
{
	self->vm = vm_create_with(host, .flags = variant->flags);
	self->vcpu = self->vm->vcpu;
	self->mem = host_map_aligned(SIZE);
	if (variant->huge) {
		REQUIRE(host_huge_on_advice(), "the host has no transparent huge pages");
		ASSERT_EQ(0, madvise(self->mem, SIZE, MADV_HUGEPAGE));
	} else {
		madvise(self->mem, SIZE, MADV_NOHUGEPAGE);
	}
	self->huge = variant->huge && thv_offers(THV_FEATURE_EPT_2M);
	ASSERT_EQ(0, vm_set_memory(self->vm, 1, 0, GPA, SIZE, self->mem));
}

FIXTURE_TEARDOWN(dirty)
{
	vm_close(self->vm);
}

/* ---- the test's own books ---- */

static void note(struct books *books, u64 offset, u64 size, u64 unit)
{
	u64 page, end = offset + size;

	for (page = offset / unit * unit / PAGE; page < (end + unit - 1) / unit * unit / PAGE; page++)
		books->word[page / 64] |= BIT(page % 64);
}

static u64 count(const struct books *books)
{
	unsigned int i;
	u64 n = 0;

	for (i = 0; i < WORDS; i++)
		n += __builtin_popcountll(books->word[i]);
	return n;
}

static void ask(struct vm *vm, unsigned long cmd, struct books *told)
{
	struct thv_bitmap args = {
		.slot = 1, .bitmap = (uintptr_t)told->word, .size = sizeof(told->word),
	};

	memset(told, 0xa5, sizeof(*told));
	must(thv_ioctl(vm->fd, cmd, &args));
	if (args.count != count(told))
		fail("%llu bits, but the count says %llu", count(told), args.count);
}

static void log_dirty(FIXTURE_DATA(dirty) *self, bool on)
{
	must(vm_set_memory(self->vm, 1, on ? THV_MEMORY_LOG_DIRTY : 0, GPA, SIZE, self->mem));
}

/* Says which page differs first, and how */
static bool same(const struct books *told, const struct books *books, const char *when)
{
	unsigned int page;

	for (page = 0; page < PAGES; page++) {
		u64 bit = BIT(page % 64);

		if ((told->word[page / 64] ^ books->word[page / 64]) & bit) {
			fprintf(stderr, "# %s: page %u %s\n", when, page,
				books->word[page / 64] & bit ? "is missing" : "should not be there");
			return false;
		}
	}
	return true;
}

/* ---- accesses ---- */

/* Of every size and alignment; each third near the end of a page, so that many cross it */
static void choose(struct access *list, unsigned int n, u64 within)
{
	static const u64 sizes[] = { 1, 2, 4, 8, 16, 3, 100, 4096, 9000 };
	unsigned int i;

	for (i = 0; i < n; i++) {
		u64 size = sizes[host_random() % (i % 8 ? 5 : 9)];
		u64 offset = host_random() % (within - 2 * 9000);

		if (i % 3 == 0)
			offset = (offset | (PAGE - 1)) - host_random() % size;
		list[i] = (struct access){ offset, size };
	}
}

/* The list goes into guest memory, at GUEST_DATA, with addresses as the guest sees them */
static void carry_out(FIXTURE_DATA(dirty) *self, u64 function, const struct access *list,
		      unsigned int n)
{
	struct access *there = vm_at(self->vm, GUEST_DATA, struct access);
	unsigned int i;

	for (i = 0; i < n; i++)
		there[i] = (struct access){ GPA + list[i].address, list[i].size };
	guest_call(self->vcpu, function, GUEST_DATA, n);
}

static void note_all(struct books *books, const struct access *list, unsigned int n, u64 unit)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		note(books, list[i].address, list[i].size, unit);
}

TEST_F(dirty, pages_are_exactly_those_the_guest_wrote)
{
	struct access list[ACCESSES];
	struct books told, books;
	unsigned int round;

	guest_call(self->vcpu, guest_host_fill, GPA, PAGE, PAGES, 1);
	log_dirty(self, true);
	for (round = 0; round < 8; round++) {
		/* All over, and in a few pages only: others stay as they were */
		choose(list, ACCESSES, round & 1 ? SIZE / 16 : SIZE);
		memset(&books, 0, sizeof(books));
		note_all(&books, list, ACCESSES, PAGE);
		carry_out(self, guest_host_scatter, list, ACCESSES);
		ask(self->vm, THV_GET_DIRTY, &told);
		ASSERT_TRUE(same(&told, &books, "after random writes"));
		/* Reads, then, and the launcher's own writes: not a bit */
		memset(&books, 0, sizeof(books));
		carry_out(self, guest_host_gather, list, ACCESSES);
		memset(self->mem + list[0].address, round, 64);
		ask(self->vm, THV_GET_DIRTY, &told);
		ASSERT_TRUE(same(&told, &books, "after reads, and writes of the launcher's"));
	}
}

/* What the host does to a page between the write and the question does not make it clean */
TEST_F(dirty, pages_stay_so_when_the_host_takes_them)
{
	struct access list[ACCESSES];
	struct books told, books = {};
	bool swap = host_swap();

	guest_call(self->vcpu, guest_host_fill, GPA, PAGE, PAGES, 1);
	log_dirty(self, true);
	choose(list, ACCESSES, SIZE);
	note_all(&books, list, ACCESSES, PAGE);
	carry_out(self, guest_host_scatter, list, ACCESSES);
	ASSERT_EQ(0, mprotect(self->mem, SIZE / 4, PROT_READ));
	ASSERT_EQ(0, mprotect(self->mem, SIZE / 4, PROT_READ | PROT_WRITE));
	if (swap)
		madvise(self->mem + SIZE / 4, SIZE / 4, MADV_PAGEOUT);
	ASSERT_EQ(0, madvise(self->mem + SIZE / 2, SIZE / 4, MADV_DONTNEED));
	ask(self->vm, THV_GET_DIRTY, &told);
	ASSERT_TRUE(same(&told, &books, "after the host took the pages"));
	/* And reading them in again is not writing them */
	guest_call(self->vcpu, guest_host_touch, GPA, PAGE, PAGES);
	memset(&books, 0, sizeof(books));
	ask(self->vm, THV_GET_DIRTY, &told);
	ASSERT_TRUE(same(&told, &books, "after the pages were read in again"));
}

/* All of the memory is mapped in pages of this level */
static bool is_mapped_by(FIXTURE_DATA(dirty) *self, u32 level)
{
	u64 at;

	for (at = 0; at < SIZE; at += HUGE)
		if (vcpu_page_level(self->vcpu, GPA + at) != level)
			return false;
	return true;
}

/* The log is of small pages, and begins with nothing; without it, what is huge is mapped so again */
TEST_F(dirty, logging_takes_huge_pages_apart_and_puts_them_together_again)
{
	struct access list[ACCESSES];
	struct books told, books;
	unsigned int round;

	REQUIRE(variant->huge, "the memory is small");
	for (round = 0; round < 3; round++) {
		guest_call(self->vcpu, guest_host_fill, GPA, PAGE, PAGES, round);
		ASSERT_TRUE(host_is_huge(self->mem));
		EXPECT_TRUE(is_mapped_by(self, self->huge ? 2 : 1));
		log_dirty(self, true);
		choose(list, ACCESSES, SIZE);
		memset(&books, 0, sizeof(books));
		note_all(&books, list, ACCESSES, PAGE);
		carry_out(self, guest_host_scatter, list, ACCESSES);
		ask(self->vm, THV_GET_DIRTY, &told);
		ASSERT_TRUE(same(&told, &books, "on huge memory"));
		log_dirty(self, false);
	}
}

/* ---- while the guest goes on writing ---- */

static atomic_bool stop;

static void *unsettle(void *arg)
{
	u8 *mem = arg;
	unsigned int i;

	/* The test itself reads all the time */
	for (i = 0; !stop; i++) {
		u8 *at = mem + host_random() % (SIZE - 8 * PAGE) / PAGE * PAGE;

		mprotect(at, 8 * PAGE, PROT_READ);
		mprotect(at, 8 * PAGE, PROT_READ | PROT_WRITE);
		if (i % 16 == 0)
			madvise(at, 8 * PAGE, MADV_PAGEOUT);
		usleep(500);
	}
	return arg;
}

/*
 * What a log is for: a copy, brought up to date page by page while the guest writes. A bit that is
 * lost is a page that differs in the end.
 */
static u64 copy_while_it_runs(FIXTURE_DATA(dirty) *self, bool unsettled)
{
	struct host_runner runner = { .vcpu = self->vcpu };
	u8 *copy = host_map(SIZE);
	struct books told;
	u64 differ = 0, copied = 0;
	unsigned int i, page;
	pthread_t thread;

	log_dirty(self, true);
	memcpy(copy, self->mem, SIZE);
	guest_start(self->vcpu, guest_host_mutate, GPA, SIZE / 2 - 1, 7);
	host_run(&runner);
	if (unsettled && pthread_create(&thread, NULL, unsettle, self->mem))
		fail("pthread_create: %s", strerror(errno));
	for (i = 0; i < 25; i++) {
		if (i == 24) {
			stop = true;
			if (unsettled)
				pthread_join(thread, NULL);
			self->vm->record->shared = 1;
			fprintf(stderr, "# %llu writes\n", host_join(&runner));
		}
		ask(self->vm, THV_GET_DIRTY, &told);
		copied += count(&told);
		for (page = 0; page < PAGES; page++)
			if (told.word[page / 64] & BIT(page % 64))
				memcpy(copy + page * PAGE, self->mem + page * PAGE, PAGE);
		usleep(1000);
	}
	for (page = 0; page < PAGES; page++)
		differ += !!memcmp(copy + page * PAGE, self->mem + page * PAGE, PAGE);
	fprintf(stderr, "# %llu pages were copied\n", copied);
	munmap(copy, SIZE);
	return differ;
}

TEST_F(dirty, log_makes_a_copy_while_the_guest_runs)
{
	guest_call(self->vcpu, guest_host_fill, GPA, PAGE, PAGES, 1);
	EXPECT_EQ(0, copy_while_it_runs(self, false));
}

TEST_F(dirty, log_makes_a_copy_while_the_host_takes_pages)
{
	host_swap();
	guest_call(self->vcpu, guest_host_fill, GPA, PAGE, PAGES, 1);
	EXPECT_EQ(0, copy_while_it_runs(self, true));
}

/* ---- accessed ---- */

TEST_F(dirty, accessed_pages_are_exactly_those_the_guest_used)
{
	struct access list[ACCESSES];
	struct books told, books;
	unsigned int round, n;

	guest_call(self->vcpu, guest_host_fill, GPA, PAGE, PAGES, 1);
	ask(self->vm, THV_GET_ACCESSED, &told);
	for (round = 0; round < 8; round++) {
		/* A huge page is used as a whole, whichever byte of it was */
		n = self->huge ? 3 : ACCESSES;
		choose(list, n, round & 1 ? SIZE / 16 : SIZE);
		memset(&books, 0, sizeof(books));
		note_all(&books, list, n, self->huge ? HUGE : PAGE);
		carry_out(self, round & 2 ? guest_host_gather : guest_host_scatter, list, n);
		ask(self->vm, THV_GET_ACCESSED, &told);
		ASSERT_TRUE(same(&told, &books, "after random accesses"));
		memset(&books, 0, sizeof(books));
		memset(self->mem, round, 64);
		ask(self->vm, THV_GET_ACCESSED, &told);
		ASSERT_TRUE(same(&told, &books, "after an access of the launcher's"));
	}
}

TEST_F(dirty, accessed_pages_stay_so_when_the_host_takes_them)
{
	struct access list[ACCESSES];
	struct books told, books = {};

	REQUIRE(!variant->huge, "the pages are huge");
	guest_call(self->vcpu, guest_host_fill, GPA, PAGE, PAGES, 1);
	ask(self->vm, THV_GET_ACCESSED, &told);
	choose(list, ACCESSES, SIZE);
	note_all(&books, list, ACCESSES, PAGE);
	carry_out(self, guest_host_gather, list, ACCESSES);
	ASSERT_EQ(0, madvise(self->mem, SIZE / 2, MADV_DONTNEED));
	ask(self->vm, THV_GET_ACCESSED, &told);
	ASSERT_TRUE(same(&told, &books, "after the host took the pages"));
}

THV_TEST_MAIN
