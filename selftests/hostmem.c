// SPDX-License-Identifier: GPL-2.0-only
/*
 * All that the host's memory management may do to guest memory: swap it out, merge it, punch holes,
 * move it to other addresses and other frames, protect it, make it huge and small, truncate
 * it, poison it, leave it to user space, or never have owned it. memory.c has the first of each; here
 * it is what a guest finds afterwards, page by page, and what the counters say.
 */
#include <linux/userfaultfd.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include "kselftest_harness.h"
#include "lib/host.h"
#include "guests/host.h"

GUEST(host);

#define GPA		(1ULL << 24)
#define PAGES		64
#define SIZE		(PAGES * PAGE)

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif
#ifndef MADV_SOFT_OFFLINE
#define MADV_SOFT_OFFLINE 101
#endif

FIXTURE(hostmem) {
	struct vm *vm;
	struct vcpu *vcpu;
	u8 *mem;	/* slot 1, at GPA */
	int fd;		/* of the file it is, or -1 */
};

FIXTURE_VARIANT(hostmem) {
	bool shared;
};

FIXTURE_VARIANT_ADD(hostmem, anonymous) {
	.shared = false,
};

FIXTURE_VARIANT_ADD(hostmem, file) {
	.shared = true,
};

FIXTURE_SETUP(hostmem)
{
	self->vm = vm_create(host);
	self->vcpu = self->vm->vcpu;
	self->mem = host_map_aligned(2 * HUGE);
	self->fd = -1;
	if (variant->shared) {
		self->fd = host_memfd(2 * HUGE);
		host_map_at(self->mem, 2 * HUGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
			    self->fd, 0);
	}
	ASSERT_EQ(0, madvise(self->mem, 2 * HUGE, MADV_NOHUGEPAGE));
	ASSERT_EQ(0, vm_set_memory(self->vm, 1, 0, GPA, 2 * HUGE, self->mem));
}

FIXTURE_TEARDOWN(hostmem)
{
	vm_close(self->vm);
}

static u64 load(struct vcpu *vcpu, u64 gpa)
{
	return guest_call(vcpu, guest_host_load, gpa);
}

static void store(struct vcpu *vcpu, u64 gpa, u64 value)
{
	guest_call(vcpu, guest_host_store, gpa, value);
}

/* Stamps: value, value + 1, ... in the first word of each page */
static void fill(struct vcpu *vcpu, u64 gpa, unsigned long pages, u64 value)
{
	guest_call(vcpu, guest_host_fill, gpa, PAGE, pages, value);
}

static u64 wrong(struct vcpu *vcpu, u64 gpa, unsigned long pages, u64 value)
{
	return guest_call(vcpu, guest_host_check, gpa, PAGE, pages, value);
}

static u64 wrong_for_host(u8 *mem, unsigned long pages, u64 value)
{
	unsigned long i;
	u64 count = 0;

	for (i = 0; i < pages; i++)
		count += *host_word(mem, i) != value + i;
	return count;
}

/* ---- swap ---- */

/* What the guest wrote is written out (it counts as dirty), and comes back when touched */
TEST_F(hostmem, swapped_out_comes_back_as_it_was)
{
	u64 round, faults;

	REQUIRE(host_swap(), "the host can have no swap");
	for (round = 1; round < 4; round++) {
		fill(self->vcpu, GPA, PAGES, round * 1000);
		EXPECT_EQ(0, host_page_out(self->mem, SIZE)) TH_LOG("round %llu", round);
		faults = vm_mapped(self->vm);
		EXPECT_EQ(0, wrong(self->vcpu, GPA, PAGES, round * 1000));
		EXPECT_EQ(faults + PAGES, vm_mapped(self->vm));
		EXPECT_EQ(0, wrong_for_host(self->mem, PAGES, round * 1000));
	}
}

/* Read in again, and only read, then written: the writing is what the host must not forget */
TEST_F(hostmem, written_after_it_was_read_back_is_written_out_again)
{
	REQUIRE(host_swap(), "the host can have no swap");
	fill(self->vcpu, GPA, PAGES, 1000);
	EXPECT_EQ(0, host_page_out(self->mem, SIZE));
	EXPECT_EQ(0, wrong(self->vcpu, GPA, PAGES, 1000));
	fill(self->vcpu, GPA, PAGES, 2000);
	EXPECT_EQ(0, host_page_out(self->mem, SIZE));
	EXPECT_EQ(0, wrong_for_host(self->mem, PAGES, 2000));
	EXPECT_EQ(0, wrong(self->vcpu, GPA, PAGES, 2000));
}

TEST_F(hostmem, swapped_out_by_the_page_leaves_the_others_mapped)
{
	unsigned int i;
	u64 faults;

	REQUIRE(host_swap(), "the host can have no swap");
	fill(self->vcpu, GPA, PAGES, 1000);
	for (i = 1; i < PAGES; i += 2)
		EXPECT_EQ(0, host_page_out(self->mem + i * PAGE, PAGE));
	EXPECT_EQ(PAGES / 2, host_resident(self->mem, SIZE));
	faults = vm_mapped(self->vm);
	EXPECT_EQ(0, wrong(self->vcpu, GPA, PAGES, 1000));
	EXPECT_EQ(faults + PAGES / 2, vm_mapped(self->vm));
}

/* ---- merged ---- */

TEST_F(hostmem, merged_is_one_frame_until_it_is_written)
{
	u64 *first = host_word(self->mem, 0);
	unsigned int i;
	u64 faults;

	REQUIRE(!variant->shared, "files are not merged");
	REQUIRE(host_ksm_shared() >= 0 && host_ksm(true), "the host has no KSM");
	fill(self->vcpu, GPA, PAGES, 5);
	for (i = 0; i < PAGES; i++)
		*host_word(self->mem, i) = 0x4b534d;
	EXPECT_EQ(PAGES * 0x4b534dULL, guest_call(self->vcpu, guest_host_touch, GPA, PAGE, PAGES));
	ASSERT_EQ(0, madvise(self->mem, SIZE, MADV_MERGEABLE));
	for (i = 0; i < 500 && host_pfn(first) != host_pfn(host_word(self->mem, PAGES - 1)); i++)
		usleep(10000);
	EXPECT_EQ(host_pfn(first), host_pfn(host_word(self->mem, PAGES - 1)));
	EXPECT_EQ(PAGES * 0x4b534dULL, guest_call(self->vcpu, guest_host_touch, GPA, PAGE, PAGES));
	EXPECT_EQ(host_pfn(first), host_pfn(host_word(self->mem, PAGES - 1)))
		TH_LOG("reading takes merged pages apart");
	/* Each write is a fault of its own, and changes one page */
	EXPECT_TRUE(host_ksm_pause());
	faults = vm_mapped(self->vm);
	fill(self->vcpu, GPA, PAGES / 2, 100);
	EXPECT_EQ(faults + PAGES / 2, vm_mapped(self->vm));
	EXPECT_EQ(0, wrong_for_host(self->mem, PAGES / 2, 100));
	for (i = PAGES / 2; i < PAGES; i++)
		EXPECT_EQ(0x4b534d, load(self->vcpu, GPA + i * PAGE));
	EXPECT_TRUE(host_ksm(false));
	EXPECT_EQ(0, wrong(self->vcpu, GPA, PAGES / 2, 100));
}

/* ---- holes ---- */

TEST_F(hostmem, punched_reads_as_zero_and_leaves_its_neighbours)
{
	u64 round;

	for (round = 1; round < 4; round++) {
		fill(self->vcpu, GPA, PAGES, round * 1000);
		ASSERT_EQ(0, variant->shared ?
			     fallocate(self->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				       8 * PAGE, 16 * PAGE) :
			     madvise(self->mem + 8 * PAGE, 16 * PAGE, MADV_DONTNEED));
		EXPECT_EQ(0, host_resident(self->mem + 8 * PAGE, 16 * PAGE));
		EXPECT_EQ(0, guest_call(self->vcpu, guest_host_touch, GPA + 8 * PAGE, PAGE, 16));
		EXPECT_EQ(0, wrong(self->vcpu, GPA, 8, round * 1000));
		EXPECT_EQ(0, wrong(self->vcpu, GPA + 24 * PAGE, PAGES - 24, round * 1000 + 24));
	}
}

/* The file keeps what MADV_DONTNEED takes out of the launcher's table only */
TEST_F(hostmem, dropped_from_the_table_is_still_in_the_file)
{
	u64 faults;

	REQUIRE(variant->shared, "there is no file");
	fill(self->vcpu, GPA, PAGES, 1000);
	ASSERT_EQ(0, madvise(self->mem, SIZE, MADV_DONTNEED));
	faults = vm_mapped(self->vm);
	EXPECT_EQ(0, wrong(self->vcpu, GPA, PAGES, 1000));
	EXPECT_EQ(faults + PAGES, vm_mapped(self->vm));
}

/* ---- moved in the address space ---- */

TEST_F(hostmem, moved_away_and_back_is_the_same)
{
	u8 *elsewhere = host_map(SIZE);

	fill(self->vcpu, GPA, PAGES, 1000);
	ASSERT_EQ(elsewhere, mremap(self->mem, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, elsewhere));
	guest_start(self->vcpu, guest_host_check, GPA, PAGE, PAGES, 1000);
	run_until(self->vcpu, THV_EXIT_MEMORY_FAULT);
	*host_word(elsewhere, 3) = 7;
	ASSERT_EQ(self->mem, mremap(elsewhere, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, self->mem));
	EXPECT_EQ(1, guest_finish(self->vcpu)) TH_LOG("page 3 alone was written meanwhile");
}

TEST_F(hostmem, two_pieces_that_change_places_do_so_for_the_guest)
{
	u8 *a = self->mem, *b = self->mem + SIZE / 2, *c = host_map(SIZE / 2);
	int flags = MREMAP_MAYMOVE | MREMAP_FIXED;

	fill(self->vcpu, GPA, PAGES, 1000);
	ASSERT_EQ(c, mremap(a, SIZE / 2, SIZE / 2, flags, c));
	ASSERT_EQ(a, mremap(b, SIZE / 2, SIZE / 2, flags, a));
	ASSERT_EQ(b, mremap(c, SIZE / 2, SIZE / 2, flags, b));
	EXPECT_EQ(0, wrong(self->vcpu, GPA, PAGES / 2, 1000 + PAGES / 2));
	EXPECT_EQ(0, wrong(self->vcpu, GPA + SIZE / 2, PAGES / 2, 1000));
}

/* ---- protected ---- */

TEST_F(hostmem, without_any_access_is_a_fault_and_goes_on_where_it_stopped)
{
	fill(self->vcpu, GPA, PAGES, 1000);
	ASSERT_EQ(0, mprotect(self->mem + 9 * PAGE, PAGE, PROT_NONE));
	guest_start(self->vcpu, guest_host_check, GPA, PAGE, PAGES, 1000);
	run_until(self->vcpu, THV_EXIT_MEMORY_FAULT);
	EXPECT_EQ(GPA + 9 * PAGE, self->vcpu->run->memory_fault.gpa);
	EXPECT_EQ((uintptr_t)self->mem + 9 * PAGE, self->vcpu->run->memory_fault.hva);
	EXPECT_EQ(EFAULT, self->vcpu->run->memory_fault.error);
	EXPECT_EQ(THV_ACCESS_READ, self->vcpu->run->memory_fault.access & 7);
	ASSERT_EQ(0, mprotect(self->mem + 9 * PAGE, PAGE, PROT_READ | PROT_WRITE));
	EXPECT_EQ(0, guest_finish(self->vcpu));
}

TEST_F(hostmem, read_only_is_read_and_its_write_waits)
{
	u64 refused;

	fill(self->vcpu, GPA, PAGES, 1000);
	ASSERT_EQ(0, mprotect(self->mem, SIZE, PROT_READ));
	EXPECT_EQ(0, wrong(self->vcpu, GPA, PAGES, 1000));
	refused = vm_counter(self->vm, THV_STAT_faults_refused);
	guest_start(self->vcpu, guest_host_fill, GPA, PAGE, PAGES, 2000);
	run_until(self->vcpu, THV_EXIT_MEMORY_FAULT);
	EXPECT_EQ(refused + 1, vm_counter(self->vm, THV_STAT_faults_refused));
	EXPECT_EQ(0, wrong_for_host(self->mem, PAGES, 1000));
	ASSERT_EQ(0, mprotect(self->mem, SIZE, PROT_READ | PROT_WRITE));
	guest_finish(self->vcpu);
	EXPECT_EQ(0, wrong_for_host(self->mem, PAGES, 2000));
}

/* Write permission that comes back is found at the next write, although the page was never unmapped */
TEST_F(hostmem, protected_and_back_a_hundred_times)
{
	unsigned int i;

	for (i = 0; i < 100; i++) {
		u8 *at = self->mem + i % 8 * PAGE;

		store(self->vcpu, GPA + i % 8 * PAGE, i);
		ASSERT_EQ(0, mprotect(at, PAGE, i & 1 ? PROT_NONE : PROT_READ));
		ASSERT_EQ(0, mprotect(at, PAGE, PROT_READ | PROT_WRITE));
		ASSERT_EQ(i, load(self->vcpu, GPA + i % 8 * PAGE));
	}
}

/* A file that was opened for reading: no permission will ever come */
TEST_F(hostmem, of_a_file_that_is_only_read_is_only_read)
{
	char path[64];
	int fd;

	REQUIRE(variant->shared, "there is no file");
	fill(self->vcpu, GPA, PAGES, 1000);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", self->fd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	host_map_at(self->mem, SIZE, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0);
	EXPECT_EQ(-1, mprotect(self->mem, SIZE, PROT_READ | PROT_WRITE));
	EXPECT_EQ(0, wrong(self->vcpu, GPA, PAGES, 1000));
	guest_start(self->vcpu, guest_host_store, GPA, 1);
	run_until(self->vcpu, THV_EXIT_MEMORY_FAULT);
	EXPECT_EQ(EFAULT, self->vcpu->run->memory_fault.error);
	EXPECT_EQ(1000, host_pread(self->fd, 0));
}

/* ---- huge ---- */

/* Not while somebody else (a list that is not worked off yet) holds one of the pages */
static bool collapse(u8 *mem)
{
	unsigned int i;

	for (i = 0; i < 20; i++) {
		if (!madvise(mem, HUGE, MADV_COLLAPSE))
			return true;
		if (errno != EAGAIN && errno != EBUSY)
			return false;
		usleep(5000);
	}
	return false;
}

/* Small pages that the host makes into a huge one, and back, with all that is in them */
TEST_F(hostmem, made_huge_and_small_again_is_the_same)
{
	bool maps_huge = thv_offers(THV_FEATURE_EPT_2M);
	u64 huge;

	REQUIRE(!variant->shared, "memfds are huge only where the mount says so");
	REQUIRE(host_huge_on_advice(), "the host has no transparent huge pages");
	fill(self->vcpu, GPA, HUGE / PAGE, 1000);
	huge = vm_counter(self->vm, THV_STAT_faults_huge);
	ASSERT_EQ(0, madvise(self->mem, 2 * HUGE, MADV_HUGEPAGE));
	REQUIRE(collapse(self->mem), "MADV_COLLAPSE: %s", strerror(errno));
	ASSERT_TRUE(host_is_huge(self->mem));
	EXPECT_EQ(0, wrong(self->vcpu, GPA, HUGE / PAGE, 1000));
	EXPECT_EQ(huge + maps_huge, vm_counter(self->vm, THV_STAT_faults_huge));
	/* A piece of it is protected: the host's mapping becomes small */
	ASSERT_EQ(0, mprotect(self->mem + 8 * PAGE, PAGE, PROT_READ));
	EXPECT_EQ(0, wrong(self->vcpu, GPA, HUGE / PAGE, 1000));
	EXPECT_EQ(huge + maps_huge, vm_counter(self->vm, THV_STAT_faults_huge));
	ASSERT_EQ(0, mprotect(self->mem + 8 * PAGE, PAGE, PROT_READ | PROT_WRITE));
	fill(self->vcpu, GPA, HUGE / PAGE, 2000);
	EXPECT_EQ(0, wrong_for_host(self->mem, HUGE / PAGE, 2000));
	ASSERT_TRUE(collapse(self->mem));
	EXPECT_EQ(0, wrong(self->vcpu, GPA, HUGE / PAGE, 2000));
}

TEST_F(hostmem, huge_is_swapped_out_whole)
{
	REQUIRE(!variant->shared, "memfds are huge only where the mount says so");
	REQUIRE(host_huge_on_advice() && host_swap(), "the host has no huge pages, or no swap");
	ASSERT_EQ(0, madvise(self->mem, 2 * HUGE, MADV_HUGEPAGE));
	fill(self->vcpu, GPA, HUGE / PAGE, 1000);
	ASSERT_TRUE(host_is_huge(self->mem));
	EXPECT_EQ(0, host_page_out(self->mem, HUGE));
	EXPECT_EQ(0, wrong(self->vcpu, GPA, HUGE / PAGE, 1000));
	EXPECT_EQ(0, wrong_for_host(self->mem, HUGE / PAGE, 1000));
}

/* ---- moved between frames ---- */

/* MADV_SOFT_OFFLINE: what is in the frame goes to another one, and it is never used again */
TEST_F(hostmem, moved_to_another_frame_is_the_same)
{
	u64 before[4];
	unsigned int i;

	fill(self->vcpu, GPA, PAGES, 1000);
	for (i = 0; i < 4; i++) {
		before[i] = host_pfn(self->mem + i * PAGE);
		REQUIRE(!madvise(self->mem + i * PAGE, PAGE, MADV_SOFT_OFFLINE),
			"MADV_SOFT_OFFLINE: %s", strerror(errno));
	}
	EXPECT_EQ(0, wrong(self->vcpu, GPA, PAGES, 1000));
	for (i = 0; i < 4; i++)
		EXPECT_NE(before[i], host_pfn(self->mem + i * PAGE));
	fill(self->vcpu, GPA, PAGES, 2000);
	EXPECT_EQ(0, wrong_for_host(self->mem, PAGES, 2000));
}

static atomic_bool stop;

static void *compact(void *arg)
{
	while (!stop) {
		host_write("/proc/sys/vm/compact_memory", "1");
		usleep(1000);
	}
	return arg;
}

/* Compaction moves whatever is in its way; that it was ours, only chance can bring about */
TEST_F(hostmem, is_the_same_while_the_host_compacts)
{
	u8 *gap = host_map(16 << 20);
	pthread_t thread;
	u64 round, i, moved = 0, was[PAGES];

	REQUIRE(host_write("/proc/sys/vm/compact_memory", "1"), "the host does not compact");
	/* Pages of ours, with free ones in between: they are in the way */
	for (i = 0; i < PAGES; i++) {
		memset(gap + i * 64 * PAGE, 1, 64 * PAGE);
		fill(self->vcpu, GPA + i * PAGE, 1, 1000 + i);
		was[i] = host_pfn(self->mem + i * PAGE);
	}
	munmap(gap, 16 << 20);
	ASSERT_EQ(0, pthread_create(&thread, NULL, compact, NULL));
	for (round = 1; round < 6; round++) {
		EXPECT_EQ(0, wrong(self->vcpu, GPA, PAGES, round * 1000));
		fill(self->vcpu, GPA, PAGES, (round + 1) * 1000);
		usleep(10000);
	}
	stop = true;
	pthread_join(thread, NULL);
	EXPECT_EQ(0, wrong_for_host(self->mem, PAGES, round * 1000));
	for (i = 0; i < PAGES; i++)
		moved += was[i] != host_pfn(self->mem + i * PAGE);
	TH_LOG("%llu of %u pages were moved", moved, PAGES);
}

/* ---- gone ---- */

TEST_F(hostmem, cut_off_while_the_guest_uses_it_is_an_exit_until_it_is_there_again)
{
	struct host_runner runner = { .vcpu = self->vcpu };
	unsigned int i;

	REQUIRE(variant->shared, "there is no file");
	guest_start(self->vcpu, guest_host_mutate, GPA, SIZE - 1, 1);
	host_run(&runner);
	for (i = 0; i < 20; i++) {
		usleep(2000);
		ASSERT_EQ(0, ftruncate(self->fd, 8 * PAGE));
		usleep(2000);
		ASSERT_EQ(0, ftruncate(self->fd, 2 * HUGE));
	}
	self->vm->record->shared = 1;
	EXPECT_NE(0, host_join(&runner));
	EXPECT_NE(0, runner.faults);
}

static void nothing(int signal)
{
	(void)signal;
}

TEST_F(hostmem, poisoned_is_an_exit_that_says_so)
{
	/* Newer kernels also tell who asked for it */
	signal(SIGBUS, nothing);
	fill(self->vcpu, GPA, PAGES, 1000);
	REQUIRE(!madvise(self->mem + 5 * PAGE, PAGE, MADV_HWPOISON), "MADV_HWPOISON: %s",
		strerror(errno));
	guest_start(self->vcpu, guest_host_load, GPA + 5 * PAGE);
	run_until(self->vcpu, THV_EXIT_MEMORY_FAULT);
	EXPECT_EQ(EHWPOISON, self->vcpu->run->memory_fault.error);
	EXPECT_EQ((uintptr_t)self->mem + 5 * PAGE, self->vcpu->run->memory_fault.hva);
	/* The launcher puts another page there */
	host_map_at(self->mem + 5 * PAGE, PAGE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	EXPECT_EQ(0, guest_finish(self->vcpu));
	EXPECT_EQ(0, wrong(self->vcpu, GPA, 5, 1000));
}

/* ---- not the host's ---- */

/* The BIOS, through /dev/mem: pages that are no memory of the kernel's (VM_PFNMAP) */
TEST_F(hostmem, of_a_device_is_refused_and_replaced)
{
	int fd = open("/dev/mem", O_RDONLY | O_CLOEXEC);
	u8 *bios;

	REQUIRE(fd >= 0, "/dev/mem: %s", strerror(errno));
	fill(self->vcpu, GPA, PAGES, 1000);
	bios = mmap(self->mem, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0xf0000);
	REQUIRE(bios != MAP_FAILED, "mmap of /dev/mem: %s", strerror(errno));
	guest_start(self->vcpu, guest_host_load, GPA);
	run_until(self->vcpu, THV_EXIT_MEMORY_FAULT);
	EXPECT_EQ(EFAULT, self->vcpu->run->memory_fault.error);
	host_map_at(self->mem, PAGE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	EXPECT_EQ(0, guest_finish(self->vcpu));
	EXPECT_EQ(0, wrong(self->vcpu, GPA + PAGE, PAGES - 1, 1001));
}

/* ---- fed by user space ---- */

static int watch_missing(u8 *mem, size_t size)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = {
		.range = { (uintptr_t)mem, size }, .mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	if (fd >= 0 && (ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &range)))
		fail("userfaultfd: %s", strerror(errno));
	return fd;
}

/* The address somebody waits for; 0: nobody within that time */
static u64 wanted(int fd, int milliseconds)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	struct uffd_msg msg;
	int n;

	do {
		n = poll(&poll_fd, 1, milliseconds);
	} while (n < 0 && errno == EINTR);
	if (n != 1 || read(fd, &msg, sizeof(msg)) != sizeof(msg))
		return 0;
	return msg.arg.pagefault.address;
}

static int feed(int fd, u64 address, u64 stamp)
{
	u64 page[PAGE / 8] = { stamp };
	struct uffdio_copy copy = {
		.dst = address & ~(PAGE - 1), .src = (uintptr_t)page, .len = PAGE,
	};

	return ioctl(fd, UFFDIO_COPY, &copy) ? -errno : 0;
}

/*
 * THV_RUN waits for user space to give the page; and a signal meanwhile ends it, for the launcher may
 * have one thread only. Afterwards the guest goes on with the same instruction.
 */
TEST_F(hostmem, a_signal_ends_the_wait_for_user_space)
{
	int fd = watch_missing(self->mem, SIZE);
	u64 begun;

	REQUIRE(fd >= 0, "no userfaultfd: %s", strerror(errno));
	guest_start(self->vcpu, guest_host_load, GPA + 7 * PAGE);
	alarm_us(50000);
	begun = now_us();
	ASSERT_EQ(-EINTR, vcpu_run_once(self->vcpu));
	ASSERT_EQ(-EINTR, vcpu_run_once(self->vcpu)) TH_LOG("once more");
	alarm_us(0);
	EXPECT_GT(2000000, now_us() - begun);
	ASSERT_EQ(0, feed(fd, (uintptr_t)self->mem + 7 * PAGE, 0x5eed));
	EXPECT_EQ(0x5eed, guest_finish(self->vcpu));
}

static int feeder_fd;
static u64 fed;

static void *feeder(void *arg)
{
	u64 at;

	while (!stop) {
		at = wanted(feeder_fd, 20);
		if (!at)
			continue;
		usleep(500);	/* the guest waits, and signals come */
		if (!feed(feeder_fd, at, 1000 + (at - (uintptr_t)arg) / PAGE))
			fed++;
	}
	return arg;
}

/* Page by page, while signals rain: none is lost, none is fed twice */
TEST_F(hostmem, fed_by_user_space_while_signals_come)
{
	pthread_t thread;
	sigset_t alarms;
	int err = 0;

	feeder_fd = watch_missing(self->mem, SIZE);
	REQUIRE(feeder_fd >= 0, "no userfaultfd: %s", strerror(errno));
	sigemptyset(&alarms);
	sigaddset(&alarms, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &alarms, NULL);	/* not the feeder's */
	ASSERT_EQ(0, pthread_create(&thread, NULL, feeder, self->mem));
	pthread_sigmask(SIG_UNBLOCK, &alarms, NULL);
	guest_start(self->vcpu, guest_host_check, GPA, PAGE, PAGES, 1000);
	alarm_us(3000);
	do {
		err = vcpu_run_once(self->vcpu);
	} while (err == -EINTR);
	alarm_us(0);
	stop = true;
	pthread_join(thread, NULL);
	ASSERT_EQ(0, err);
	ASSERT_EQ(THV_EXIT_IO, self->vcpu->run->exit);
	EXPECT_EQ(0, self->vcpu->run->regs.gpr[THV_RAX]);
	EXPECT_EQ(PAGES, fed);
}

/* ---- counters ---- */

TEST_F(hostmem, faults_are_counted_by_kind)
{
	u64 reads, writes, fetches;

	fill(self->vcpu, GPA + 32 * PAGE, 1, 1);	/* what the call itself needs is there from now on */
	memcpy(self->mem + 20 * PAGE, guest_host + (guest_host_good - GUEST_CODE), 16);
	ASSERT_EQ(0, mprotect(self->mem, SIZE, PROT_READ));
	ASSERT_EQ(0, mprotect(self->mem, SIZE, PROT_READ | PROT_WRITE));
	guest_call(self->vcpu, guest_host_touch, GPA + 32 * PAGE, PAGE, 1);
	reads = vm_counter(self->vm, THV_STAT_faults_read);
	writes = vm_counter(self->vm, THV_STAT_faults_write);
	fetches = vm_counter(self->vm, THV_STAT_faults_fetch);
	fill(self->vcpu, GPA, 5, 1);
	EXPECT_EQ(writes + 5, vm_counter(self->vm, THV_STAT_faults_write));
	EXPECT_EQ(reads, vm_counter(self->vm, THV_STAT_faults_read));
	guest_call(self->vcpu, guest_host_touch, GPA + 8 * PAGE, PAGE, 3);
	EXPECT_EQ(reads + 3, vm_counter(self->vm, THV_STAT_faults_read));
	EXPECT_EQ(writes + 5, vm_counter(self->vm, THV_STAT_faults_write));
	EXPECT_EQ(0x600d, guest_call(self->vcpu, guest_host_run_at, GPA + 20 * PAGE));
	EXPECT_EQ(fetches + 1, vm_counter(self->vm, THV_STAT_faults_fetch));
	EXPECT_EQ(vm_counter(self->vm, THV_STAT_faults),
		  vm_counter(self->vm, THV_STAT_faults_read) + vm_counter(self->vm, THV_STAT_faults_write) +
		  vm_counter(self->vm, THV_STAT_faults_fetch));
}

THV_TEST_MAIN
