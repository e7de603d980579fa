// SPDX-License-Identifier: GPL-2.0-only
/*
 * A storm: four threads of the host change guest memory, each in its own way and its own pages, while
 * the guest goes round and round in all of them. Each page holds a stamp; when a thread has
 * changed its pages it stamps them anew and publishes the stamps, and from then on the guest must
 * read nothing else (guests/host.S, storm). It must also write nowhere else: what it
 * writes into a page is looked for in the page (threats 21 and 22).
 *
 * What makes it able to fail, also in an emulator that flushes its TLB at each entry: a thread changes
 * its pages only once the guest has used them all, so that they are mapped then; and the guest
 * goes on using them while they are being changed, so that it faults in the middle of it. Where CPUs
 * take turns every few instructions (two of them), such a fault falls between the
 * notifier's call and the host's change of its own table within a few rounds.
 *
 * And a guest that rewrites its page table while the host works on the table and what it points to.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include "kselftest_harness.h"
#include "lib/host.h"
#include "guests/host.h"

GUEST(host);

#define CONTROL		GUEST_DATA	/* two words for each page */
#define GPA		(1ULL << 24)
#define THREADS		4
#define OWN		64		/* pages of each thread */
#define PAGES		(THREADS * OWN)

struct control {
	volatile u64 published;
	volatile u64 seen;
};

/* In a page */
struct stamped {
	volatile u64 stamp;
	volatile u64 echo;	/* the guest's */
	volatile u64 beats;	/* how often the guest has written */
};

static u8 *mem;
static struct control *control;
static bool swap;
static unsigned int rounds;
static atomic_ulong lost, disobeyed, stuck, done;

/* How many rounds each thread makes: THV_TEST_ROUNDS */
static unsigned int rounds_wanted(void)
{
	const char *text = getenv("THV_TEST_ROUNDS");

	return text && atoi(text) ? atoi(text) : 40;
}

static struct stamped *page_at(unsigned int page)
{
	return (struct stamped *)(mem + page * PAGE);
}

static u64 stamp_of(u64 round, unsigned int page, bool writable)
{
	return round << 16 | page << 1 | writable;
}

static void unpublish(unsigned int first)
{
	unsigned int i;

	for (i = first; i < first + OWN; i++)
		control[i].published = 0;
}

/* The stamps are written first, then published; and then the guest must find them */
static void publish(unsigned int first, u64 round, bool writable, bool alike)
{
	unsigned int i;

	for (i = first; i < first + OWN; i++)
		page_at(i)->stamp = stamp_of(round, alike ? first : i, writable);
	for (i = first; i < first + OWN; i++)
		control[i].published = page_at(i)->stamp;
}

/* Once the guest has seen a stamp, what it wrote before it said so is in the page, or lost */
static bool guest_has_used(unsigned int first)
{
	unsigned int i;
	u64 stamp;

	for (i = first; i < first + OWN && !stuck; i++) {
		stamp = control[i].published;
		if (!host_wait(&control[i].seen, stamp)) {
			fprintf(stderr, "# page %u: published %#llx, seen %#llx, in it %#llx\n", i, stamp,
				control[i].seen, page_at(i)->stamp);
			stuck++;
			return false;
		}
		if ((stamp & 1) && page_at(i)->echo != stamp)
			lost++;
	}
	return !stuck;
}

/* ---- what the threads do to their pages, which the guest is using ---- */

static void drop(unsigned int first, u64 round)
{
	u8 *at = mem + first * PAGE;

	/* Out to swap, and the guest brings back what it can meanwhile: the stamps stay what they are */
	if (swap && !(round % 4)) {
		host_page_out(at, OWN * PAGE);
		usleep(500);
		guest_has_used(first);
	}
	unpublish(first);
	/* All at once, or in pieces */
	if (round & 1) {
		madvise(at, OWN * PAGE, MADV_DONTNEED);
	} else {
		madvise(at, 3 * PAGE, MADV_DONTNEED);
		madvise(at + 3 * PAGE, (OWN - 3) * PAGE, MADV_DONTNEED);
	}
	publish(first, round, true, false);
}

static void replace(unsigned int first, u64 round)
{
	u8 *at = mem + first * PAGE;

	unpublish(first);
	/* Away and another in its place, or mapped over: there is a hole for a moment, or none */
	if (round & 1)
		munmap(at, OWN * PAGE);
	host_map_at(at, OWN * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		    0);
	publish(first, round, true, false);
}

/*
 * From when mprotect() returns the guest writes no more: what it writes all the time stands still.
 * (It waits at the first such page: what it meant to do there it does afterwards.)
 */
static void protect(unsigned int first, u64 round)
{
	u8 *at = mem + first * PAGE;
	u64 beats[OWN];
	unsigned int i;

	mprotect(at, OWN * PAGE, round & 1 ? PROT_READ : PROT_NONE);
	mprotect(at, OWN * PAGE, PROT_READ);
	for (i = 0; i < OWN; i++)
		beats[i] = page_at(first + i)->beats;
	usleep(300);
	for (i = 0; i < OWN; i++)
		disobeyed += page_at(first + i)->beats != beats[i];
	mprotect(at, OWN * PAGE, PROT_READ | PROT_WRITE);
	unpublish(first);
	publish(first, round, true, false);
}

/* All alike, so that ksmd makes one frame of them; the next stamps take them apart again */
static void merge(unsigned int first, u64 round)
{
	unsigned int i;

	for (i = 0; i < 20 && host_pfn(page_at(first)) != host_pfn(page_at(first + 1)); i++)
		usleep(1000);
	guest_has_used(first);
	unpublish(first);
	publish(first, round, false, true);
}

struct worker {
	void (*change)(unsigned int first, u64 round);
	bool writable, alike;
	unsigned int first;
	pthread_t thread;
};

static void *work(void *arg)
{
	struct worker *worker = arg;
	u64 round = 1;

	publish(worker->first, round, worker->writable, worker->alike);
	while (guest_has_used(worker->first) && round++ < rounds)
		worker->change(worker->first, round);
	done++;
	return NULL;
}

FIXTURE(storm) {
	struct vm *vm;
	struct vcpu *vcpu;
};

FIXTURE_VARIANT(storm) {
	u32 flags;
};

FIXTURE_VARIANT_ADD(storm, plain) {
	.flags = 0,
};

FIXTURE_VARIANT_ADD(storm, small_untagged) {
	.flags = THV_VM_NO_HUGE | THV_VM_NO_VPID,
};

FIXTURE_SETUP(storm)
{
	self->vm = vm_create_with(host, .flags = variant->flags);
	self->vcpu = self->vm->vcpu;
	rounds = rounds_wanted();
	swap = host_swap();
	mem = host_map_aligned(PAGES * PAGE);
	control = vm_at(self->vm, CONTROL, struct control);
	memset(control, 0, PAGES * sizeof(*control));
	ASSERT_EQ(0, vm_set_memory(self->vm, 1, 0, GPA, PAGES * PAGE, mem));
}

FIXTURE_TEARDOWN(storm)
{
	host_ksm(false);
	vm_close(self->vm);
}

/*
 * Runs them all, under a guest, and reports; the guest waits at a page that is protected or not
 * there, and goes on when it is
 */
static u64 run_storm(struct vcpu *vcpu, struct worker *workers, unsigned int n)
{
	struct host_runner runner = { .vcpu = vcpu };
	unsigned int i;
	u64 stale;

	guest_start(vcpu, guest_host_storm, CONTROL, GPA, PAGES);
	host_run(&runner);
	for (i = 0; i < n; i++)
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]))
			fail("pthread_create: %s", strerror(errno));
	for (i = 0; i < n; i++)
		pthread_join(workers[i].thread, NULL);
	vcpu->vm->record->shared = 1;
	stale = host_join(&runner);
	fprintf(stderr, "# %u rounds: %llu faults, %llu of them asked again, %llu waited\n", rounds,
		vm_counter(vcpu->vm, THV_STAT_faults), vm_counter(vcpu->vm, THV_STAT_faults_retried),
		runner.faults);
	return stale;
}

TEST_F(storm, no_stale_stamp_is_read_and_no_write_is_lost)
{
	struct worker workers[THREADS] = {
		{ .change = drop, .writable = true, .first = 0 },
		{ .change = replace, .writable = true, .first = OWN },
		{ .change = protect, .writable = true, .first = 2 * OWN },
		{ .change = merge, .alike = true, .first = 3 * OWN },
	};
	u64 stale;

	if (host_ksm(true))
		madvise(mem + 3 * OWN * PAGE, OWN * PAGE, MADV_MERGEABLE);
	stale = run_storm(self->vcpu, workers, THREADS);
	EXPECT_EQ(0, stale) TH_LOG("stale stamps were read");
	EXPECT_EQ(0, lost) TH_LOG("writes went elsewhere");
	EXPECT_EQ(0, disobeyed) TH_LOG("pages were written that the host had protected");
	EXPECT_EQ(0, stuck);
	EXPECT_EQ(THREADS, done);
}

/*
 * The narrowest moment: the host has announced a change and not yet made it, and the guest faults. The
 * more pages it takes at a time, the longer the moment is; all threads do the same.
 */
TEST_F(storm, a_fault_in_the_middle_of_a_change_finds_the_new_page)
{
	struct worker workers[THREADS];
	unsigned int i;

	for (i = 0; i < THREADS; i++)
		workers[i] = (struct worker){ .change = drop, .writable = true, .first = i * OWN };
	swap = false;
	EXPECT_EQ(0, run_storm(self->vcpu, workers, THREADS)) TH_LOG("stale stamps were read");
	EXPECT_EQ(0, lost) TH_LOG("writes went elsewhere");
	EXPECT_EQ(0, stuck);
}

/* ---- a guest that rewrites its page table meanwhile ---- */

#define WINDOW		0x1f0000ULL	/* in the first 2 MiB: 4-KiB pages, by GUEST_PT */
#define ENTRY		(GUEST_PT + (WINDOW >> 12) * 8)
#define TABLE_PAGES	16

static atomic_bool stop;

/* None of this changes what is in the memory */
static void shake(u8 *at, size_t size, unsigned int i)
{
	switch (i % 4) {
	case 0:
		mprotect(at, size, PROT_READ);
		mprotect(at, size, PROT_READ | PROT_WRITE);
		break;
	case 1:
		mprotect(at, size, PROT_NONE);
		mprotect(at, size, PROT_READ | PROT_WRITE);
		break;
	case 2:
		if (swap)
			madvise(at, size, MADV_PAGEOUT);
		break;
	case 3:
		host_write("/proc/sys/vm/compact_memory", "1");
		break;
	}
	usleep(200);
}

static void *shake_table(void *vm)
{
	unsigned int i;

	for (i = 0; !stop; i++)
		shake(((struct vm *)vm)->mem + GUEST_PT, PAGE, i % 3);
	return vm;
}

static void *shake_pages(void *vm)
{
	unsigned int i;

	for (i = 0; !stop; i++)
		shake(mem + i % 4 * 4 * PAGE, 4 * PAGE, i);
	return vm;
}

TEST_F(storm, a_guest_rewrites_its_table_while_the_host_works_on_it)
{
	struct host_runner runner = { .vcpu = self->vcpu };
	pthread_t table, pages;
	u64 i, visits = 0;

	for (i = 0; i < TABLE_PAGES; i++)
		*host_word(mem, i) = i;
	guest_start(self->vcpu, guest_host_rewrite, ENTRY, WINDOW, GPA, TABLE_PAGES);
	host_run(&runner);
	ASSERT_EQ(0, pthread_create(&table, NULL, shake_table, self->vm));
	ASSERT_EQ(0, pthread_create(&pages, NULL, shake_pages, self->vm));
	usleep(rounds * 20000);
	stop = true;
	pthread_join(table, NULL);
	pthread_join(pages, NULL);
	self->vm->record->shared = 1;
	EXPECT_EQ(0, host_join(&runner)) TH_LOG("another page was there, or flags were not");
	for (i = 0; i < TABLE_PAGES; i++)
		visits += host_word(mem, i)[1];
	EXPECT_LT(TABLE_PAGES, visits);
	EXPECT_EQ(*(u64 *)self->vm->record->log, visits) TH_LOG("writes went elsewhere");
	TH_LOG("%llu visits, %llu faults, %llu waited", visits,
	       vm_counter(self->vm, THV_STAT_faults), runner.faults);
}

THV_TEST_MAIN
