// SPDX-License-Identifier: GPL-2.0-only
/*
 * The life of VMs and vCPUs: names and numbers, every order of closing, control descriptors,
 * pause and stop, and what other threads may try meanwhile.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include "kselftest_harness.h"
#include "lib/host.h"
#include "guests/access.h"

GUEST(access);

#define NOBODY	65534

static int create_vm(struct thv_create_vm *create)
{
	return thv_ioctl(thv_device(), THV_CREATE_VM, create);
}

static int create_named(const char *name, size_t length)
{
	struct thv_create_vm create = {};

	memcpy(create.name, name, length);
	return create_vm(&create);
}

static int create_vcpu(int vm, u32 id)
{
	struct thv_create_vcpu create = { .id = id };

	return thv_ioctl(vm, THV_CREATE_VCPU, &create);
}

static int open_vm(u32 id)
{
	struct thv_open_vm open = { .id = id };

	return thv_ioctl(thv_device(), THV_OPEN_VM, &open);
}

static int control(int fd, u32 state)
{
	struct thv_control control = { .state = state };

	return thv_ioctl(fd, THV_CONTROL, &control);
}

static int get_stats(int fd, struct thv_vm_stats *stats)
{
	memset(stats, 0xa5, sizeof(*stats));
	return thv_ioctl(fd, THV_GET_STATS, stats);
}

/* ---- names and numbers ---- */

TEST(each_vm_has_a_number_of_its_own)
{
	struct thv_create_vm a = {}, b = {};
	int fd_a = create_vm(&a), fd_b = create_vm(&b);

	ASSERT_LE(0, fd_a);
	ASSERT_LE(0, fd_b);
	EXPECT_NE(0, a.id);
	EXPECT_NE(a.id, b.id);
	close(fd_a);
	close(fd_b);
}

TEST(a_vm_without_a_name_is_called_by_its_number)
{
	struct thv_create_vm create = {};
	struct thv_vm_stats stats;
	char name[THV_NAME_LEN];
	int fd = create_vm(&create);

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, get_stats(fd, &stats));
	snprintf(name, sizeof(name), "vm-%u", create.id);
	EXPECT_STREQ(name, stats.name);
	close(fd);
}

TEST(a_name_is_kept_and_nothing_behind_it)
{
	struct thv_create_vm create = { .name = "abc\0secret" };
	struct thv_vm_stats stats;
	int fd = create_vm(&create);
	unsigned int i;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, get_stats(fd, &stats));
	EXPECT_STREQ("abc", stats.name);
	for (i = 3; i < THV_NAME_LEN; i++)
		EXPECT_EQ(0, stats.name[i]);
	close(fd);
}

TEST(names_are_printable_and_end)
{
	static const char longest[] = "0123456789012345678901234567890";
	static const char endless[] = "01234567890123456789012345678901";
	char name[2] = "x";
	int c, fd;

	fd = create_named(longest, sizeof(longest));
	EXPECT_LE(0, fd);
	close(fd);
	EXPECT_EQ(-EINVAL, create_named(endless, THV_NAME_LEN));
	for (c = 1; c < 256; c++) {
		bool good = c >= ' ' && c <= '~' && c != '/';

		name[0] = c;
		fd = create_named(name, 2);
		EXPECT_EQ(good ? 0 : -EINVAL, fd < 0 ? fd : 0) TH_LOG("character %#x", c);
		close(fd);
	}
}

TEST(two_vms_may_have_one_name)
{
	int a = create_named("same", 5), b = create_named("same", 5);

	EXPECT_LE(0, a);
	EXPECT_LE(0, b);
}

TEST(vcpu_ids_are_below_the_limit_and_taken_once)
{
	struct vm *vm = vm_create_bare(0);
	int fd = create_vcpu(vm->fd, 0);

	ASSERT_LE(0, fd);
	EXPECT_EQ(-EEXIST, create_vcpu(vm->fd, 0));
	EXPECT_EQ(-EINVAL, create_vcpu(vm->fd, THV_MAX_VCPUS));
	EXPECT_EQ(-EINVAL, create_vcpu(vm->fd, THV_MAX_VCPUS + 1));
	EXPECT_EQ(-EINVAL, create_vcpu(vm->fd, 0x7fffffff));
	EXPECT_EQ(-EINVAL, create_vcpu(vm->fd, 0x80000000));
	EXPECT_EQ(-EINVAL, create_vcpu(vm->fd, 0xffffffff));
	EXPECT_LE(0, create_vcpu(vm->fd, THV_MAX_VCPUS - 1));
	/* A vCPU lives as long as its VM: its id stays taken */
	close(fd);
	EXPECT_EQ(-EEXIST, create_vcpu(vm->fd, 0));
}

TEST(a_vm_has_64_vcpus_and_each_runs)
{
	struct vm *vm = vm_create(access);
	struct thv_vm_stats stats;
	struct vcpu *vcpu;
	u32 id;

	*vm_at(vm, GUEST_DATA, u64) = 0x1234;
	for (id = 1; id < THV_MAX_VCPUS; id++) {
		vcpu = vcpu_create(vm, id);
		vcpu_mode64(vcpu);
		ASSERT_EQ(0x1234, guest_call(vcpu, guest_access_load64, GUEST_DATA));
	}
	ASSERT_EQ(0, get_stats(vm->fd, &stats));
	EXPECT_EQ(THV_MAX_VCPUS, stats.vcpus);
	EXPECT_EQ(-EEXIST, create_vcpu(vm->fd, 63));
	vm_close(vm);
}

TEST(a_vm_without_vcpus_and_memory_has_statistics)
{
	struct vm *vm = vm_create_bare(THV_VM_NO_APICV | THV_VM_NO_VPID);
	struct thv_vm_stats stats;
	unsigned int i;

	ASSERT_EQ(0, get_stats(vm->fd, &stats));
	EXPECT_EQ(vm->id, stats.id);
	EXPECT_EQ(THV_VM_RUNNING, stats.state);
	EXPECT_EQ(0, stats.vcpus);
	EXPECT_EQ((u32)(thv_shadows() ? THV_PAGING_SHADOW : THV_PAGING_EPT), stats.paging);
	EXPECT_EQ(0, stats.features & (THV_FEATURE_VIRTUAL_INTERRUPTS | THV_FEATURE_VPID));
	EXPECT_EQ(0, stats.features & ~vm->info->used);
	EXPECT_LT(0, stats.counters);
	EXPECT_GE(THV_MAX_COUNTERS, stats.counters);
	/* Tables there may be: the APIC's page and, on old processors, one for guests without paging */
	for (i = 0; i < THV_MAX_COUNTERS; i++)
		EXPECT_TRUE(i == THV_STAT_tables || !stats.counter[i]) TH_LOG("counter %u", i);
	for (i = 0; i < ARRAY_SIZE(stats.reserved); i++)
		EXPECT_EQ(0, stats.reserved[i]);
}

/* ---- closing ---- */

/* What keeps a VM, and what does not: closed in every order */
enum piece { VM_FD, VCPU_FD, VCPU1_FD, RUN_PAGE, CONTROL_FD, PIECES };

struct whole {
	u32 id;
	int fd[PIECES];
	void *run;
};

static void make_whole(struct whole *whole)
{
	struct thv_create_vm create = {};

	whole->fd[VM_FD] = must(create_vm(&create));
	whole->id = create.id;
	whole->fd[VCPU_FD] = must(create_vcpu(whole->fd[VM_FD], 0));
	whole->fd[VCPU1_FD] = must(create_vcpu(whole->fd[VM_FD], 1));
	whole->fd[CONTROL_FD] = must(open_vm(create.id));
	whole->run = mmap(NULL, THV_RUN_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			  whole->fd[VCPU_FD], 0);
}

static void take_away(struct whole *whole, enum piece piece)
{
	if (piece == RUN_PAGE)
		munmap(whole->run, THV_RUN_SIZE);
	else
		close(whole->fd[piece]);
}

/* Is the VM alive, as the control descriptor (if it is still there) and OPEN_VM see it? */
static int looks_alive(struct whole *whole, unsigned int gone)
{
	struct thv_vm_stats stats;
	int fd = open_vm(whole->id);
	bool alive = fd >= 0;

	if (alive)
		close(fd);
	if (!(gone & BIT(CONTROL_FD)) && (get_stats(whole->fd[CONTROL_FD], &stats) == 0) != alive)
		return -1;
	return alive;
}

static void close_in_order(struct __test_metadata *_metadata, const enum piece order[PIECES])
{
	const unsigned int keepers = BIT(VM_FD) | BIT(VCPU_FD) | BIT(VCPU1_FD) | BIT(RUN_PAGE);
	struct whole whole;
	unsigned int gone = 0;
	int i;

	make_whole(&whole);
	for (i = 0; i < PIECES; i++) {
		take_away(&whole, order[i]);
		gone |= BIT(order[i]);
		ASSERT_EQ((gone & keepers) != keepers, looks_alive(&whole, gone))
			TH_LOG("order %d %d %d %d %d, after %d", order[0], order[1], order[2],
			       order[3], order[4], i);
	}
}

static void permute(struct __test_metadata *_metadata, enum piece order[PIECES], int n)
{
	int i;

	if (n == PIECES) {
		close_in_order(_metadata, order);
		return;
	}
	for (i = n; i < PIECES; i++) {
		enum piece t = order[n];

		order[n] = order[i];
		order[i] = t;
		permute(_metadata, order, n + 1);
		order[i] = order[n];
		order[n] = t;
	}
}

TEST(the_order_of_closing_never_matters)
{
	enum piece order[PIECES] = { VM_FD, VCPU_FD, VCPU1_FD, RUN_PAGE, CONTROL_FD };

	permute(_metadata, order, 0);
}

TEST(a_vcpu_runs_after_its_vm_was_closed)
{
	struct vm *vm = vm_create(access);

	close(vm->fd);
	*vm_at(vm, GUEST_DATA, u64) = 77;
	EXPECT_EQ(77, guest_call(vm->vcpu, guest_access_load64, GUEST_DATA));
	close(vm->vcpu->fd);
	EXPECT_EQ(0, munmap(vm->vcpu->run, THV_RUN_SIZE));
	EXPECT_EQ(-ENOENT, open_vm(vm->id));
}

TEST(the_run_page_stays_readable_after_its_descriptor)
{
	struct vm *vm = vm_create(access);

	guest_call(vm->vcpu, guest_access_load64, GUEST_DATA);
	close(vm->vcpu->fd);
	close(vm->fd);
	EXPECT_EQ(THV_EXIT_IO, vm->vcpu->run->exit);
	vm->vcpu->run->immediate_exit = 1;
	EXPECT_EQ(1, vm->vcpu->run->immediate_exit);
}

TEST(the_run_page_is_mapped_whole_and_shared_only)
{
	struct vm *vm = vm_create_bare(0);
	int fd = create_vcpu(vm->fd, 0);
	int prot = PROT_READ | PROT_WRITE;
	struct thv_run *a, *b;

	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, prot, MAP_PRIVATE, fd, 0));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, prot, MAP_SHARED, fd, PAGE));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, 2 * PAGE, prot, MAP_SHARED, fd, 0));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, prot, MAP_SHARED, vm->fd, 0));
	a = mmap(NULL, PAGE, prot, MAP_SHARED, fd, 0);
	b = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, a);
	ASSERT_NE(MAP_FAILED, b);
	a->immediate_exit = 5;
	EXPECT_EQ(5, b->immediate_exit);
}

/*
 * Any page beyond the run page would be the kernel's: a mapping may grow, but shows nothing
 * there.
 */
TEST_SIGNAL(nothing_is_behind_the_run_page, SIGBUS)
{
	struct vm *vm = vm_create_bare(0);
	int fd = create_vcpu(vm->fd, 0);
	u8 *run = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	run = mremap(run, PAGE, 2 * PAGE, MREMAP_MAYMOVE);
	if (run == MAP_FAILED)
		kill(getpid(), SIGBUS);
	TH_LOG("byte %u", *(volatile u8 *)(run + PAGE));
}

TEST(a_number_is_not_used_again_while_a_control_descriptor_has_it)
{
	struct thv_create_vm create = {};
	int vm = must(create_vm(&create));
	u32 id = create.id;
	int fd = must(open_vm(id));
	struct thv_vm_stats stats;
	int i;

	close(vm);
	EXPECT_EQ(-ENOENT, open_vm(id));
	EXPECT_EQ(-EIO, get_stats(fd, &stats));
	EXPECT_EQ(-EIO, control(fd, THV_VM_RUNNING));
	for (i = 0; i < 50; i++) {
		vm = must(create_vm(&create));
		EXPECT_NE(id, create.id);
		close(vm);
	}
}

TEST(many_vms_at_once_and_one_after_another)
{
	struct thv_create_vm create = {};
	int fd[50], i, round;

	for (round = 0; round < 3; round++) {
		for (i = 0; i < 50; i++) {
			fd[i] = must(create_vm(&create));
			must(create_vcpu(fd[i], i));
		}
		/* The vCPUs' descriptors first, then the VMs' */
		for (i = 3; i < 1024; i++)
			if (i != thv_device())
				close(i);
	}
	EXPECT_EQ(-ENOENT, open_vm(create.id));
}

/* ---- control descriptors ---- */

FIXTURE(control) {
	struct vm *vm;
	int fd;
};

FIXTURE_SETUP(control)
{
	self->vm = vm_create(access);
	self->fd = must(open_vm(self->vm->id));
}

FIXTURE_TEARDOWN(control)
{
}

TEST_F(control, takes_control_and_statistics_only)
{
	static const unsigned long others[] = {
		THV_SET_MEMORY, THV_GET_DIRTY, THV_GET_ACCESSED, THV_CREATE_VCPU, THV_SIGNAL_MSI,
		THV_IRQFD, THV_IOEVENTFD, THV_GET_INFO, THV_CREATE_VM, THV_OPEN_VM, THV_RUN,
		THV_GET_STATE, THV_SET_STATE,
	};
	struct thv_vm_stats stats;
	char buffer[1024] = {};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(others); i++)
		EXPECT_EQ(-ENOTTY, thv_ioctl(self->fd, others[i], buffer));
	EXPECT_EQ(0, get_stats(self->fd, &stats));
	EXPECT_EQ(self->vm->id, stats.id);
	EXPECT_EQ(0, control(self->fd, THV_VM_RUNNING));
}

TEST_F(control, refuses_unknown_states)
{
	struct thv_control args = { .state = THV_VM_RUNNING, .reserved = { 0, 0, 1 } };

	EXPECT_EQ(-EINVAL, control(self->fd, THV_VM_DEAD + 1));
	EXPECT_EQ(-EINVAL, control(self->fd, ~0U));
	EXPECT_EQ(-EINVAL, thv_ioctl(self->fd, THV_CONTROL, &args));
}

TEST_F(control, does_not_open_what_is_not_there)
{
	EXPECT_EQ(-ENOENT, open_vm(0));
	EXPECT_EQ(-ENOENT, open_vm(self->vm->id + 1000));
	EXPECT_EQ(-ENOENT, open_vm(0x80000000));
	EXPECT_EQ(-ENOENT, open_vm(0xffffffff));
}

TEST_F(control, a_stopped_vm_says_so_at_every_run)
{
	int i;

	ASSERT_EQ(0, control(self->fd, THV_VM_STOPPED));
	for (i = 0; i < 100; i++) {
		ASSERT_EQ(0, vcpu_run(self->vm->vcpu));
		ASSERT_EQ(THV_EXIT_STOPPED, self->vm->vcpu->run->exit);
	}
	EXPECT_EQ(0, vm_counter(self->vm, THV_STAT_exits)) TH_LOG("it ran all the same");
	/* for good */
	EXPECT_EQ(-EBUSY, control(self->fd, THV_VM_RUNNING));
	EXPECT_EQ(-EBUSY, control(self->fd, THV_VM_PAUSED));
	EXPECT_EQ(0, control(self->fd, THV_VM_STOPPED));
}

TEST_F(control, a_dead_vm_is_eio_for_everything)
{
	struct thv_vm_stats stats;
	struct thv_regs regs;

	ASSERT_EQ(0, control(self->fd, THV_VM_DEAD));
	EXPECT_EQ(-EIO, vcpu_run(self->vm->vcpu));
	EXPECT_EQ(-EIO, vcpu_get(self->vm->vcpu, THV_STATE_REGS, &regs, sizeof(regs)));
	EXPECT_EQ(-EIO, create_vcpu(self->vm->fd, 1));
	EXPECT_EQ(-EIO, vm_set_memory(self->vm, 0, 0, 0, 0, NULL));
	EXPECT_EQ(-EIO, get_stats(self->fd, &stats));
	EXPECT_EQ(-EIO, get_stats(self->vm->fd, &stats));
	EXPECT_EQ(-EIO, control(self->fd, THV_VM_RUNNING));
}

/* A vCPU in a thread of its own, counting */
static void *run_thread(void *arg)
{
	struct vcpu *vcpu = arg;
	int err = vcpu_run(vcpu);

	return (void *)(long)(err ? err : (int)vcpu->run->exit);
}

static void wait_until_counting(struct vm *vm)
{
	u64 since = now_us(), before = *(volatile u64 *)&vm->record->shared;

	while (*(volatile u64 *)&vm->record->shared == before)
		if (now_us() - since > 10000000)
			fail("the guest does not count");
}

static bool counts(struct vm *vm)
{
	u64 before = *(volatile u64 *)&vm->record->shared;

	usleep(20000);
	return *(volatile u64 *)&vm->record->shared != before;
}

TEST_F(control, pauses_and_resumes_a_running_vcpu)
{
	struct thv_vm_stats stats;
	pthread_t thread;
	void *result;
	int i;

	guest_start(self->vm->vcpu, guest_access_spin);
	ASSERT_EQ(0, pthread_create(&thread, NULL, run_thread, self->vm->vcpu));
	for (i = 0; i < 3; i++) {
		wait_until_counting(self->vm);
		ASSERT_EQ(0, control(self->fd, THV_VM_PAUSED));
		EXPECT_FALSE(counts(self->vm));
		ASSERT_EQ(0, get_stats(self->fd, &stats));
		EXPECT_EQ(THV_VM_PAUSED, stats.state);
		ASSERT_EQ(0, control(self->fd, THV_VM_RUNNING));
	}
	wait_until_counting(self->vm);
	ASSERT_EQ(0, control(self->fd, THV_VM_STOPPED));
	EXPECT_FALSE(counts(self->vm));
	pthread_join(thread, &result);
	EXPECT_EQ(THV_EXIT_STOPPED, (long)result);
}

TEST_F(control, stops_a_paused_vcpu)
{
	pthread_t thread;
	void *result;

	guest_start(self->vm->vcpu, guest_access_spin);
	ASSERT_EQ(0, control(self->fd, THV_VM_PAUSED));
	ASSERT_EQ(0, pthread_create(&thread, NULL, run_thread, self->vm->vcpu));
	EXPECT_FALSE(counts(self->vm));
	ASSERT_EQ(0, control(self->fd, THV_VM_STOPPED));
	pthread_join(thread, &result);
	EXPECT_EQ(THV_EXIT_STOPPED, (long)result);
}

TEST_F(control, kills_a_running_vcpu)
{
	pthread_t thread;
	void *result;

	guest_start(self->vm->vcpu, guest_access_spin);
	ASSERT_EQ(0, pthread_create(&thread, NULL, run_thread, self->vm->vcpu));
	wait_until_counting(self->vm);
	ASSERT_EQ(0, control(self->fd, THV_VM_DEAD));
	pthread_join(thread, &result);
	EXPECT_EQ(-EIO, (long)result);
}

TEST_F(control, a_paused_vcpu_leaves_on_a_signal)
{
	ASSERT_EQ(0, control(self->fd, THV_VM_PAUSED));
	guest_start(self->vm->vcpu, guest_access_spin);
	alarm_us(20000);
	EXPECT_EQ(-EINTR, vcpu_run_once(self->vm->vcpu));
	EXPECT_EQ(THV_EXIT_INTERRUPTED, self->vm->vcpu->run->exit);
	alarm_us(0);
}

TEST_F(control, works_from_another_process)
{
	struct thv_vm_stats stats;
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(get_stats(self->fd, &stats) == 0 && stats.id == self->vm->id &&
		      control(self->fd, THV_VM_STOPPED) == 0 ? 0 : 1);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(0, vcpu_run(self->vm->vcpu));
	EXPECT_EQ(THV_EXIT_STOPPED, self->vm->vcpu->run->exit);
}

/* ---- who may open whose VM ---- */

/* In a child that has become somebody else: the result of @what */
static int as_nobody(int (*what)(u32 id), u32 id)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		if (setresgid(NOBODY, NOBODY, NOBODY) || setresuid(NOBODY, NOBODY, NOBODY))
			_exit(99);
		_exit(-what(id));
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -98;
}

static int open_it(u32 id)
{
	int fd = open_vm(id);

	return fd < 0 ? fd : 0;
}

static int open_ones_own(u32 id)
{
	struct thv_create_vm create = {};

	(void)id;
	must(create_vm(&create));
	return open_it(create.id);
}

TEST(another_user_cannot_open_a_vm)
{
	struct vm *vm = vm_create_bare(0);

	REQUIRE(!getuid(), "not root: cannot become another user");
	EXPECT_EQ(-EPERM, as_nobody(open_it, vm->id));
	EXPECT_EQ(0, open_it(vm->id));
}

TEST(another_user_can_open_his_own)
{
	REQUIRE(!getuid(), "not root: cannot become another user");
	thv_device();
	EXPECT_EQ(0, as_nobody(open_ones_own, 0));
}

TEST(root_can_open_every_vm)
{
	struct thv_create_vm create = {};
	int fd, ends[2];
	u32 id;
	pid_t pid;

	REQUIRE(!getuid(), "not root: cannot become another user");
	thv_device();
	ASSERT_EQ(0, pipe(ends));
	pid = fork();
	if (!pid) {
		if (setresuid(NOBODY, NOBODY, NOBODY) || create_vm(&create) < 0)
			_exit(1);
		if (write(ends[1], &create.id, sizeof(create.id)) < 0)
			_exit(1);
		pause();
	}
	close(ends[1]);
	ASSERT_EQ(sizeof(id), read(ends[0], &id, sizeof(id)));
	fd = open_vm(id);
	EXPECT_LE(0, fd);
	EXPECT_EQ(0, control(fd, THV_VM_STOPPED));
	kill(pid, SIGKILL);
}

/* ---- what a VM costs is charged to who makes it (threat 33) ---- */

#define LIMIT	(16 << 20)

/* Makes VMs with vCPUs until something says no; never returns */
static void make_vms_for_ever(void)
{
	struct rlimit files = { 65536, 65536 };
	struct thv_create_vm create;
	int vm = 0, vcpu = 0;
	u32 id;

	setrlimit(RLIMIT_NOFILE, &files);
	while (vm >= 0 && vcpu >= 0) {
		create = (struct thv_create_vm){};
		vm = create_vm(&create);
		for (id = 0; vm >= 0 && vcpu >= 0 && id < THV_MAX_VCPUS; id++)
			vcpu = create_vcpu(vm, id);
	}
	_exit(vm == -ENOMEM || vcpu == -ENOMEM ? 0 : 1);
}

TEST(vms_are_charged_to_their_makers_cgroup)
{
	struct vm *vm = vm_create(access);
	int status;
	pid_t pid;

	pid = fork();
	if (!pid) {
		if (!host_enter_cgroup(LIMIT))
			_exit(2);
		make_vms_for_ever();
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	REQUIRE(!WIFEXITED(status) || WEXITSTATUS(status) != 2, "there is no memory controller");
	/* Told so, or killed for it; but not by using up descriptors first */
	EXPECT_TRUE(!status || WTERMSIG(status) == SIGKILL) TH_LOG("status %#x", status);
	EXPECT_GE(LIMIT, host_read(HOST_CGROUP "/memory.peak"));
	rmdir(HOST_CGROUP);
	/* Elsewhere nobody has noticed */
	*vm_at(vm, GUEST_DATA, u64) = 3;
	EXPECT_EQ(3, guest_call(vm->vcpu, guest_access_load64, GUEST_DATA));
}

/* ---- descriptors that others guess before they are handed out (threats 12 and 14) ---- */

/*
 * While this runs, a descriptor number may be closed or used by the other thread at any moment;
 * what is tested is that the kernel does not mind.
 */
static atomic_bool stop;

#define FIRST	20
#define LAST	30

static void *close_them(void *unused)
{
	int fd;

	while (!stop)
		for (fd = FIRST; fd < LAST; fd++)
			close(fd);
	return unused;
}

static void *use_them(void *errors)
{
	struct thv_memory memory = { .slot = 0 };
	struct thv_create_vcpu vcpu = { .id = 3 };
	struct thv_interrupt interrupt = { .vector = 32 };
	int fd, result;

	while (!stop) {
		for (fd = FIRST; fd < LAST; fd++) {
			result = thv_ioctl(fd, THV_SET_MEMORY, &memory);
			if (result != -EBADF && result != -ENOTTY && result != -EINVAL)
				++*(long *)errors;
			thv_ioctl(fd, THV_RUN, NULL);
			thv_ioctl(fd, THV_INTERRUPT, &interrupt);
			result = thv_ioctl(fd, THV_CREATE_VCPU, &vcpu);
			if (result >= 0)
				close(result);
		}
	}
	return errors;
}

/*
 * Fill the numbers below FIRST, so that the kernel's next ones are those the other thread guesses
 */
static void use_up_low_numbers(void)
{
	int fd;

	do {
		fd = dup(thv_device());
	} while (fd < FIRST - 1);
	if (fd >= FIRST)
		close(fd);
}

static void create_under(void *(*adversary)(void *), void *arg)
{
	struct thv_create_vm create;
	struct thv_create_vcpu create_vcpu = {};
	pthread_t thread;
	int i, vm;

	use_up_low_numbers();
	pthread_create(&thread, NULL, adversary, arg);
	for (i = 0; i < 150; i++) {
		create = (struct thv_create_vm){};
		vm = thv_ioctl(thv_device(), THV_CREATE_VM, &create);
		thv_ioctl(vm, THV_CREATE_VCPU, &create_vcpu);
		close(thv_ioctl(thv_device(), THV_OPEN_VM, &(struct thv_open_vm){ .id = create.id }));
		if (i % 3 == 0)
			for (vm = FIRST; vm < LAST + 10; vm++)
				close(vm);
	}
	stop = true;
	pthread_join(thread, NULL);
}

TEST(a_guessed_descriptor_may_be_closed_at_any_time)
{
	create_under(close_them, NULL);
}

TEST(a_guessed_descriptor_is_whole_or_not_there)
{
	long errors = 0;

	create_under(use_them, &errors);
	EXPECT_EQ(0, errors);
}

THV_TEST_MAIN
