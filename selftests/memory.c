// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guest memory is the launcher's own, and the host may do to it what it does to any: give it on
 * demand, take it back, replace, protect, merge, copy on write, back it with huge pages. The
 * guest follows, also while it runs.
 */
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include "kselftest_harness.h"
#include "lib/host.h"
#include "guests/memory.h"

GUEST(memory);

#define GPA		(1ULL << 24)
#define PAGES		64
#define SIZE		(PAGES * PAGE)

FIXTURE(memory) {
	struct vm *vm;
	struct vcpu *vcpu;
	u8 *mem;	/* slot 1, at GPA */
};

FIXTURE_VARIANT(memory) {
	u32 flags;
};

FIXTURE_VARIANT_ADD(memory, plain) {
	.flags = 0,
};

FIXTURE_VARIANT_ADD(memory, small_untagged) {
	.flags = THV_VM_NO_HUGE | THV_VM_NO_VPID,
};

FIXTURE_SETUP(memory)
{
	self->vm = vm_create_with(memory, .flags = variant->flags);
	self->vcpu = self->vm->vcpu;
	self->mem = host_map(SIZE);
	ASSERT_EQ(0, vm_set_memory(self->vm, 1, 0, GPA, SIZE, self->mem));
}

FIXTURE_TEARDOWN(memory)
{
	vm_close(self->vm);
}

static u64 load(struct vcpu *vcpu, u64 gpa)
{
	return guest_call(vcpu, guest_memory_load, gpa);
}

static void store(struct vcpu *vcpu, u64 gpa, u64 value)
{
	guest_call(vcpu, guest_memory_store, gpa, value);
}

/* ---- on demand ---- */

TEST_F(memory, is_given_at_the_first_touch)
{
	u64 mapped;

	load(self->vcpu, GUEST_DATA);	/* what the call itself needs is there from now on */
	EXPECT_EQ(0, host_resident(self->mem, SIZE));
	mapped = vm_counter(self->vm, THV_STAT_faults_mapped);
	guest_call(self->vcpu, guest_memory_fill, GPA, PAGE, 10, 1);
	EXPECT_EQ(10, host_resident(self->mem, SIZE));
	EXPECT_EQ(mapped + 10, vm_counter(self->vm, THV_STAT_faults_mapped));
	guest_call(self->vcpu, guest_memory_fill, GPA, PAGE, 10, 1);
	EXPECT_EQ(mapped + 10, vm_counter(self->vm, THV_STAT_faults_mapped));
}

TEST_F(memory, reads_as_zero_before_it_is_written)
{
	EXPECT_EQ(0, guest_call(self->vcpu, guest_memory_touch, GPA, PAGE, PAGES));
	store(self->vcpu, GPA + PAGE, 5);
	EXPECT_EQ(5, *host_word(self->mem, 1));
	EXPECT_EQ(0, load(self->vcpu, GPA));
	EXPECT_EQ(5, load(self->vcpu, GPA + PAGE));
}

/* ---- taken back ---- */

TEST_F(memory, is_gone_when_the_host_takes_it_back)
{
	unsigned int i;

	guest_call(self->vcpu, guest_memory_fill, GPA, PAGE, PAGES, 100);
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, madvise(self->mem + 3 * PAGE, 2 * PAGE, MADV_DONTNEED));
		EXPECT_EQ(102, load(self->vcpu, GPA + 2 * PAGE));
		EXPECT_EQ(0, load(self->vcpu, GPA + 3 * PAGE));
		EXPECT_EQ(0, load(self->vcpu, GPA + 4 * PAGE));
		EXPECT_EQ(105, load(self->vcpu, GPA + 5 * PAGE));
		store(self->vcpu, GPA + 3 * PAGE, 103);
		store(self->vcpu, GPA + 4 * PAGE, 104);
		EXPECT_EQ(103, *host_word(self->mem, 3));
	}
}

TEST_F(memory, is_another_when_something_is_mapped_over_it)
{
	int fd = host_memfd(PAGE);
	u64 value = 0x7777;

	store(self->vcpu, GPA, 1);
	ASSERT_EQ(sizeof(value), pwrite(fd, &value, sizeof(value), 0));
	host_map_at(self->mem, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
	EXPECT_EQ(0x7777, load(self->vcpu, GPA));
	store(self->vcpu, GPA, 0x8888);
	ASSERT_EQ(sizeof(value), pread(fd, &value, sizeof(value), 0));
	EXPECT_EQ(0x8888, value);
}

TEST_F(memory, that_was_unmapped_is_a_fault_until_it_is_mapped)
{
	store(self->vcpu, GPA + PAGE, 1);
	ASSERT_EQ(0, munmap(self->mem + PAGE, PAGE));
	guest_start(self->vcpu, guest_memory_load, GPA + PAGE);
	run_until(self->vcpu, THV_EXIT_MEMORY_FAULT);
	EXPECT_EQ(EFAULT, self->vcpu->run->memory_fault.error);
	run_until(self->vcpu, THV_EXIT_MEMORY_FAULT);
	host_map_at(self->mem + PAGE, PAGE, PROT_READ | PROT_WRITE,
	       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	EXPECT_EQ(0, guest_finish(self->vcpu));
}

TEST_F(memory, may_become_read_only_and_writable_again)
{
	store(self->vcpu, GPA, 1);
	ASSERT_EQ(0, mprotect(self->mem, PAGE, PROT_READ));
	EXPECT_EQ(1, load(self->vcpu, GPA));
	guest_start(self->vcpu, guest_memory_store, GPA, 2);
	run_until(self->vcpu, THV_EXIT_MEMORY_FAULT);
	EXPECT_EQ(THV_ACCESS_WRITE, self->vcpu->run->memory_fault.access & THV_ACCESS_WRITE);
	EXPECT_EQ(1, *host_word(self->mem, 0));
	ASSERT_EQ(0, mprotect(self->mem, PAGE, PROT_READ | PROT_WRITE));
	guest_finish(self->vcpu);
	EXPECT_EQ(2, *host_word(self->mem, 0));
}

TEST_F(memory, moved_elsewhere_by_the_launcher_is_not_there_any_more)
{
	store(self->vcpu, GPA + PAGE, 7);
	ASSERT_NE(MAP_FAILED, mremap(self->mem + PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
				     host_map(PAGE)));
	guest_start(self->vcpu, guest_memory_load, GPA + PAGE);
	run_until(self->vcpu, THV_EXIT_MEMORY_FAULT);
}

/* ---- copy on write ---- */

TEST_F(memory, written_after_a_fork_is_the_parents_alone)
{
	int ends[2], status;
	pid_t pid;
	char c;

	ASSERT_EQ(0, pipe(ends));
	store(self->vcpu, GPA, 1);
	pid = fork();
	if (!pid) {
		if (read(ends[0], &c, 1) != 1)
			_exit(2);
		_exit(*host_word(self->mem, 0) != 1);
	}
	store(self->vcpu, GPA, 2);
	EXPECT_EQ(2, *host_word(self->mem, 0));
	ASSERT_EQ(1, write(ends[1], "x", 1));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status) TH_LOG("the guest wrote into the child's memory");
}

TEST_F(memory, of_a_private_file_mapping_is_copied_before_it_is_written)
{
	int fd = host_memfd(PAGE);
	u64 value = 1;

	ASSERT_EQ(sizeof(value), pwrite(fd, &value, sizeof(value), 0));
	host_map_at(self->mem, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, 0);
	EXPECT_EQ(1, load(self->vcpu, GPA));
	value = 2;
	ASSERT_EQ(sizeof(value), pwrite(fd, &value, sizeof(value), 0));
	EXPECT_EQ(2, load(self->vcpu, GPA)) TH_LOG("not copied yet: the file's");
	store(self->vcpu, GPA, 3);
	EXPECT_EQ(3, *host_word(self->mem, 0));
	ASSERT_EQ(sizeof(value), pread(fd, &value, sizeof(value), 0));
	EXPECT_EQ(2, value) TH_LOG("the guest wrote into the file");
}

/* ---- shared ---- */

TEST_F(memory, may_be_two_vms_at_once)
{
	struct vm *other = vm_create_with(memory, .flags = variant->flags);

	ASSERT_EQ(0, vm_set_memory(other, 1, 0, GPA + HUGE, SIZE, self->mem));
	store(self->vcpu, GPA + 8, 0x4711);
	EXPECT_EQ(0x4711, load(other->vcpu, GPA + HUGE + 8));
	store(other->vcpu, GPA + HUGE + 8, 0x4712);
	EXPECT_EQ(0x4712, load(self->vcpu, GPA + 8));
	ASSERT_EQ(0, madvise(self->mem, PAGE, MADV_DONTNEED));
	EXPECT_EQ(0, load(self->vcpu, GPA + 8));
	EXPECT_EQ(0, load(other->vcpu, GPA + HUGE + 8));
	vm_close(other);
}

TEST_F(memory, of_one_vm_may_go_while_the_other_runs)
{
	struct vm *other = vm_create_with(memory, .flags = variant->flags);

	ASSERT_EQ(0, vm_set_memory(other, 1, 0, GPA, SIZE, self->mem));
	store(other->vcpu, GPA, 5);
	vm_close(other);
	EXPECT_EQ(5, load(self->vcpu, GPA));
}

/* ---- odd backing (threat 20) ---- */

TEST_F(memory, of_a_truncated_file_is_a_fault)
{
	int fd = host_memfd(SIZE);

	host_map_at(self->mem, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
	store(self->vcpu, GPA + 5 * PAGE, 1);
	ASSERT_EQ(0, ftruncate(fd, PAGE));
	EXPECT_EQ(0, load(self->vcpu, GPA));
	guest_start(self->vcpu, guest_memory_load, GPA + 5 * PAGE);
	run_until(self->vcpu, THV_EXIT_MEMORY_FAULT);
	EXPECT_EQ(GPA + 5 * PAGE, self->vcpu->run->memory_fault.gpa);
	ASSERT_EQ(0, ftruncate(fd, SIZE));
	EXPECT_EQ(0, guest_finish(self->vcpu));
}

/*
 * Without a page of its own behind it, what the host maps is refused: here the kernel's vvar page
 */
TEST_F(memory, that_is_no_memory_of_the_hosts_is_a_fault)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	unsigned long start = 0;
	char line[256];

	while (maps && fgets(line, sizeof(line), maps))
		if (strstr(line, "[vvar]"))
			sscanf(line, "%lx-", &start);
	REQUIRE(start, "there is no vvar page");
	ASSERT_EQ(0, vm_set_memory(self->vm, 2, 0, GPA + HUGE, PAGE, (void *)start));
	guest_start(self->vcpu, guest_memory_load, GPA + HUGE);
	run_until(self->vcpu, THV_EXIT_MEMORY_FAULT);
	EXPECT_EQ(EFAULT, self->vcpu->run->memory_fault.error);
}

/* The launcher harms itself: its own run page as guest memory */
TEST_F(memory, may_be_the_run_page)
{
	struct thv_run *run = self->vcpu->run;
	int i, err = 0;

	ASSERT_EQ(0, vm_set_memory(self->vm, 2, 0, GPA + HUGE, PAGE, run));
	guest_start(self->vcpu, guest_memory_fill, GPA + HUGE, 8, PAGE / 8, 0x1111);
	for (i = 0; i < 10 && !err; i++)
		err = vcpu_run_once(self->vcpu);
	EXPECT_TRUE(!err || err == -EINTR || err == -EINVAL) TH_LOG("%d", err);
	ASSERT_EQ(0, vm_set_memory(self->vm, 2, 0, 0, 0, NULL));
	memset(run, 0, PAGE);
	store(self->vcpu, GPA, 9);
	EXPECT_EQ(9, load(self->vcpu, GPA));
}

static void *feed(void *arg)
{
	struct uffd_msg msg;
	struct pollfd poll_fd = { .fd = *(int *)arg, .events = POLLIN };
	static u8 page[4096];
	struct uffdio_copy copy = { .src = (uintptr_t)page, .len = PAGE };

	memset(page, 0x66, sizeof(page));
	if (poll(&poll_fd, 1, 10000) != 1 || read(poll_fd.fd, &msg, sizeof(msg)) != sizeof(msg))
		return (void *)1;
	copy.dst = msg.arg.pagefault.address & ~(PAGE - 1);
	return (void *)(long)ioctl(poll_fd.fd, UFFDIO_COPY, &copy);
}

TEST_F(memory, may_be_fed_by_user_space)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = {
		.range = { (uintptr_t)self->mem, SIZE }, .mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	pthread_t thread;
	void *result;

	REQUIRE(fd >= 0, "no userfaultfd: %s", strerror(errno));
	ASSERT_EQ(0, ioctl(fd, UFFDIO_API, &api));
	ASSERT_EQ(0, ioctl(fd, UFFDIO_REGISTER, &range));
	ASSERT_EQ(0, pthread_create(&thread, NULL, feed, &fd));
	EXPECT_EQ(0x6666666666666666, load(self->vcpu, GPA + 7 * PAGE));
	pthread_join(thread, &result);
	EXPECT_EQ(NULL, result);
}

/* ---- huge pages ---- */

/* A slot of 4 MiB that the host backs with huge pages, at @gpa */
static u8 *add_huge(struct __test_metadata *_metadata, struct vm *vm, u64 gpa)
{
	u8 *mem = host_map_aligned(2 * HUGE);

	REQUIRE(host_huge_on_advice(),
		"the host has no transparent huge pages, or is not ours to change");
	must(madvise(mem, 2 * HUGE, MADV_HUGEPAGE) ? -errno : 0);
	must(vm_set_memory(vm, 2, 0, gpa, 2 * HUGE, mem));
	mem[0] = 0;
	return mem;
}

TEST_F(memory, backed_by_huge_pages_is_mapped_by_huge_pages)
{
	bool huge = !(variant->flags & THV_VM_NO_HUGE) && thv_offers(THV_FEATURE_EPT_2M);
	u64 before, faults;

	add_huge(_metadata, self->vm, GPA + HUGE);
	load(self->vcpu, GUEST_DATA);
	before = vm_counter(self->vm, THV_STAT_faults_huge);
	faults = vm_mapped(self->vm);
	guest_call(self->vcpu, guest_memory_fill, GPA + HUGE, PAGE, HUGE / PAGE, 1);
	if (huge) {
		EXPECT_EQ(before + 1, vm_counter(self->vm, THV_STAT_faults_huge));
		EXPECT_EQ(faults + 1, vm_mapped(self->vm));
	} else {
		EXPECT_EQ(0, vm_counter(self->vm, THV_STAT_faults_huge));
		EXPECT_EQ(faults + HUGE / PAGE, vm_mapped(self->vm));
	}
	EXPECT_EQ(1 + 511, load(self->vcpu, GPA + HUGE + 511 * PAGE));
}

TEST_F(memory, at_an_address_that_does_not_fit_is_mapped_by_small_pages)
{
	add_huge(_metadata, self->vm, GPA + HUGE + PAGE);
	guest_call(self->vcpu, guest_memory_fill, GPA + HUGE + PAGE, PAGE, 20, 1);
	EXPECT_EQ(0, vm_counter(self->vm, THV_STAT_faults_huge));
	EXPECT_EQ(20, load(self->vcpu, GPA + HUGE + 20 * PAGE));
}

TEST_F(memory, a_piece_of_a_huge_page_may_be_taken_back)
{
	u8 *mem = add_huge(_metadata, self->vm, GPA + HUGE);

	guest_call(self->vcpu, guest_memory_fill, GPA + HUGE, PAGE, HUGE / PAGE, 1);
	ASSERT_EQ(0, madvise(mem + 5 * PAGE, PAGE, MADV_DONTNEED));
	EXPECT_EQ(5, load(self->vcpu, GPA + HUGE + 4 * PAGE));
	EXPECT_EQ(0, load(self->vcpu, GPA + HUGE + 5 * PAGE));
	EXPECT_EQ(7, load(self->vcpu, GPA + HUGE + 6 * PAGE));
	store(self->vcpu, GPA + HUGE + 5 * PAGE, 6);
	EXPECT_EQ(6, *host_word(mem, 5));
	ASSERT_EQ(0, mprotect(mem + 9 * PAGE, PAGE, PROT_READ));
	guest_start(self->vcpu, guest_memory_store, GPA + HUGE + 9 * PAGE, 1);
	run_until(self->vcpu, THV_EXIT_MEMORY_FAULT);
	store(self->vcpu, GPA + HUGE + 10 * PAGE, 1);
}

TEST_F(memory, a_dirty_log_tells_small_pages_of_huge_ones)
{
	u8 *mem = add_huge(_metadata, self->vm, GPA + HUGE);
	static u64 bits[16];
	struct thv_bitmap args = { .slot = 2, .bitmap = (uintptr_t)bits, .size = sizeof(bits) };

	guest_call(self->vcpu, guest_memory_fill, GPA + HUGE, PAGE, HUGE / PAGE, 1);
	ASSERT_EQ(0, vm_set_memory(self->vm, 2, THV_MEMORY_LOG_DIRTY, GPA + HUGE, 2 * HUGE, mem));
	store(self->vcpu, GPA + HUGE + 70 * PAGE, 1);
	ASSERT_EQ(0, thv_ioctl(self->vm->fd, THV_GET_DIRTY, &args));
	EXPECT_EQ(1, args.count);
	EXPECT_EQ(BIT(6), bits[1]);
}

/* ---- merged ---- */

TEST_F(memory, may_be_merged_and_comes_apart_when_written)
{
	unsigned int i;

	REQUIRE(host_ksm_shared() >= 0 && host_ksm(true), "the host has no KSM, or is not ours to change");
	for (i = 0; i < 16; i++)
		memset(self->mem + i * PAGE, 0x42, PAGE);
	guest_call(self->vcpu, guest_memory_touch, GPA, PAGE, 16);
	ASSERT_EQ(0, madvise(self->mem, 16 * PAGE, MADV_MERGEABLE));
	for (i = 0; i < 200 && host_ksm_shared() < 10; i++)
		usleep(10000);
	EXPECT_LE(10, host_ksm_shared());
	EXPECT_EQ(16 * 0x4242424242424242ULL, guest_call(self->vcpu, guest_memory_touch, GPA, PAGE, 16));
	store(self->vcpu, GPA + 3 * PAGE, 1);
	for (i = 0; i < 16; i++)
		EXPECT_EQ(i == 3 ? 1 : 0x4242424242424242ULL, load(self->vcpu, GPA + i * PAGE));
	host_ksm(false);	/* apart again, as it was */
}

/* ---- while the guest runs ---- */

/*
 * Stamps (threats 21 and 22): a page is replaced by one with a higher stamp; after that, none
 * sees the old
 */
TEST_F(memory, a_replaced_page_is_not_seen_any_more)
{
	enum { ROUNDS = 300 };
	struct host_runner runner = { .vcpu = self->vcpu };
	volatile u64 *published = host_word(self->mem, 1);
	int fd = host_memfd((ROUNDS + 1) * PAGE);
	u64 i;

	for (i = 0; i <= ROUNDS; i++)
		ASSERT_EQ(sizeof(i), pwrite(fd, &i, sizeof(i), i * PAGE));
	host_map_at(self->mem, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0);
	guest_start(self->vcpu, guest_memory_watch, GPA, GPA + PAGE);
	host_run(&runner);
	for (i = 1; i <= ROUNDS; i++) {
		host_map_at(self->mem, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, fd, i * PAGE);
		published[0] = i;
	}
	while (published[1] < 10)
		;
	self->vm->record->shared = 1;
	EXPECT_EQ(0, host_join(&runner)) TH_LOG("stale stamps were seen");
	EXPECT_EQ(0, runner.faults);
}

static atomic_bool stop;

static void *take_back(void *arg)
{
	u8 *mem = arg;
	unsigned int i;

	for (i = 0; !stop; i++) {
		madvise(mem + (i * 7 % PAGES) * PAGE, (1 + i % 3) * PAGE, MADV_DONTNEED);
		usleep(50);
	}
	return NULL;
}

static void *protect(void *arg)
{
	u8 *mem = arg;
	unsigned int i;

	for (i = 0; !stop; i++) {
		u8 *at = mem + (i * 11 % (PAGES - 4)) * PAGE;

		mprotect(at, 4 * PAGE, i & 1 ? PROT_READ : PROT_NONE);
		mprotect(at, 4 * PAGE, PROT_READ | PROT_WRITE);
		usleep(50);
	}
	return NULL;
}

static void *replace(void *arg)
{
	u8 *mem = arg;
	unsigned int i;

	for (i = 0; !stop; i++) {
		u8 *at = mem + (i * 5 % PAGES) * PAGE;

		munmap(at, PAGE);
		host_map_at(at, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
		       -1, 0);
		usleep(50);
	}
	return NULL;
}

TEST_F(memory, everything_at_once_under_two_vcpus)
{
	static void *(*const threads[])(void *arg) = { take_back, protect, replace, take_back };
	struct vcpu *second = vcpu_create(self->vm, 1);
	struct host_runner runners[2] = { { .vcpu = self->vcpu }, { .vcpu = second } };
	pthread_t host[4];
	unsigned int i;

	vcpu_mode64(second);
	guest_start(self->vcpu, guest_memory_churn, GPA, PAGES);
	guest_start(second, guest_memory_churn, GPA, PAGES);
	for (i = 0; i < 2; i++)
		host_run(&runners[i]);
	for (i = 0; i < 4; i++)
		ASSERT_EQ(0, pthread_create(&host[i], NULL, threads[i], self->mem));
	/* The guest meets what they do: it is there for a third of a second, and for as long as it takes to fault */
	do
		usleep(300000);
	while (vm_counter(self->vm, THV_STAT_faults) < 8 * PAGES);
	stop = true;
	for (i = 0; i < 4; i++)
		pthread_join(host[i], NULL);
	/* mprotect() stops at the hole that replace() makes for a moment, and leaves what is behind */
	ASSERT_EQ(0, mprotect(self->mem, PAGES * PAGE, PROT_READ | PROT_WRITE));
	self->vm->record->shared = 1;
	for (i = 0; i < 2; i++)
		host_join(&runners[i]);
	EXPECT_LT(PAGES, self->vcpu->run->regs.gpr[THV_RAX]);
	store(self->vcpu, GPA + 5 * PAGE, 0x5555);
	EXPECT_EQ(0x5555, *host_word(self->mem, 5));
}

THV_TEST_MAIN
