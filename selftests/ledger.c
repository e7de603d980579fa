// SPDX-License-Identifier: GPL-2.0-only
/* The exit ledger: what each reason to leave the guest has cost, while somebody keeps it. */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include "kselftest_harness.h"
#include "lib/vm.h"
#include "module/vmx/reasons.h"
#include "guests/exits.h"

GUEST(exits);

#define ROOM	(VMX_REASONS + 1)

FIXTURE(ledger) {
	struct vm *vm;
	struct vcpu *vcpu;
	struct thv_ledger_row row[ROOM];
	struct thv_get_ledger get;
};

FIXTURE_SETUP(ledger)
{
	REQUIRE(thv_info()->backend == THV_BACKEND_VMX, "the exit reasons here are VMX's");
	self->vm = vm_create(exits);
	self->vcpu = self->vm->vcpu;
}

FIXTURE_TEARDOWN(ledger)
{
	vm_close(self->vm);
}

static int open_vm(const struct vm *vm)
{
	struct thv_open_vm open = { .id = vm->id };

	return must(thv_ioctl(thv_device(), THV_OPEN_VM, &open));
}

static int keep(int fd)
{
	return thv_ioctl(fd, THV_KEEP_LEDGER, NULL);
}

static int read_ledger(int fd, FIXTURE_DATA(ledger) *self)
{
	self->get = (struct thv_get_ledger){ .count = ROOM, .data = (uintptr_t)self->row };
	return thv_ioctl(fd, THV_GET_LEDGER, &self->get);
}

/* The row of a reason, all zero if there is none */
static struct thv_ledger_row row_of(FIXTURE_DATA(ledger) *self, u32 reason)
{
	u32 i;

	must(read_ledger(self->vm->fd, self));
	for (i = 0; i < self->get.count; i++)
		if (self->row[i].reason == reason)
			return self->row[i];
	return (struct thv_ledger_row){ .reason = reason };
}

static u64 sum(const u64 histogram[THV_LEDGER_BUCKETS])
{
	u64 total = 0;
	int i;

	for (i = 0; i < THV_LEDGER_BUCKETS; i++)
		total += histogram[i];
	return total;
}

static void cpuids(struct vcpu *vcpu, int count)
{
	while (count--)
		guest_call(vcpu, guest_exits_cpuid, 0, 0, GUEST_DATA);
}

TEST_F(ledger, nobody_keeps_it_and_it_is_empty)
{
	cpuids(self->vcpu, 3);
	ASSERT_EQ(0, read_ledger(self->vm->fd, self));
	EXPECT_EQ(0, self->get.count);
	EXPECT_EQ(0, self->get.guest_cycles);
	EXPECT_NE(0, self->get.tsc_khz);
}

TEST_F(ledger, counts_are_exact_and_each_exit_is_in_one_bucket)
{
	struct thv_ledger_row row;

	ASSERT_EQ(0, keep(self->vm->fd));
	cpuids(self->vcpu, 10);
	row = row_of(self, VMX_REASON_CPUID);
	EXPECT_EQ(10, row.count);
	EXPECT_EQ(10, sum(row.kernel));
	EXPECT_EQ(0, row.user);
	EXPECT_EQ(0, row.user_cycles);
	EXPECT_NE(0, row.kernel_cycles);
	/* Each call ended with a port access, of which the last has not come back yet */
	row = row_of(self, VMX_REASON_IO);
	EXPECT_EQ(10, row.count);
	EXPECT_EQ(10, sum(row.kernel));
	EXPECT_EQ(9, row.user);
	EXPECT_EQ(9, sum(row.launcher));
	EXPECT_NE(0, row.user_cycles);
	EXPECT_NE(0, self->get.guest_cycles);
}

TEST_F(ledger, exits_add_up_to_the_counter)
{
	u64 before, total = 0;
	u32 i;

	ASSERT_EQ(0, keep(self->vm->fd));
	before = vm_counter(self->vm, THV_STAT_exits);
	cpuids(self->vcpu, 20);
	guest_call(self->vcpu, guest_exits_rdmsr, 0x1234567);
	must(read_ledger(self->vm->fd, self));
	for (i = 0; i < self->get.count; i++)
		total += self->row[i].count;
	EXPECT_EQ(vm_counter(self->vm, THV_STAT_exits) - before, total);
}

TEST_F(ledger, a_slow_launcher_is_the_launchers_time)
{
	struct thv_ledger_row before, after;

	ASSERT_EQ(0, keep(self->vm->fd));
	cpuids(self->vcpu, 1);
	before = row_of(self, VMX_REASON_IO);
	usleep(50000);
	cpuids(self->vcpu, 1);
	after = row_of(self, VMX_REASON_IO);
	EXPECT_LE(50ULL * self->get.tsc_khz / 2, after.user_cycles - before.user_cycles);
	EXPECT_GT(50ULL * self->get.tsc_khz / 2, after.kernel_cycles - before.kernel_cycles);
}

/* Signals break the sleep, again and again: it is one exit all the same. */
TEST_F(ledger, sleep_in_hlt_is_nobodys_time)
{
	struct thv_interrupt interrupt = { .vector = 0x51 };
	struct thv_ledger_row row;
	int i;

	ASSERT_EQ(0, keep(self->vm->fd));
	vcpu_enable_apic(self->vcpu);
	guest_call(self->vcpu, guest_exits_rdmsr, 0x1234567);
	self->vm->record->count = 0;
	guest_start(self->vcpu, guest_exits_halt);
	alarm_us(30000);
	for (i = 0; i < 3; i++)
		ASSERT_EQ(-EINTR, vcpu_run_once(self->vcpu));
	alarm_us(0);
	must(thv_ioctl(self->vcpu->fd, THV_INTERRUPT, &interrupt));
	EXPECT_EQ(1, guest_finish(self->vcpu));
	row = row_of(self, VMX_REASON_HLT);
	EXPECT_EQ(1, row.count);
	EXPECT_EQ(1, row.user);
	EXPECT_EQ(1, sum(row.kernel));
	EXPECT_EQ(1, sum(row.launcher));
	EXPECT_GT(30ULL * self->get.tsc_khz, row.kernel_cycles);
	EXPECT_LE(60ULL * self->get.tsc_khz, self->get.asleep_cycles);
}

TEST_F(ledger, a_terminal_exit_is_there_and_stays_one)
{
	struct thv_ledger_row row;
	int i;

	ASSERT_EQ(0, keep(self->vm->fd));
	guest_start(self->vcpu, guest_exits_triple_fault);
	for (i = 0; i < 5; i++)
		run_until(self->vcpu, THV_EXIT_SHUTDOWN);
	row = row_of(self, VMX_REASON_TRIPLE_FAULT);
	EXPECT_EQ(1, row.count);
	EXPECT_EQ(1, sum(row.kernel));
	EXPECT_EQ(0, row.user);
}

TEST_F(ledger, kept_by_the_one_who_stays)
{
	int first = open_vm(self->vm), second = open_vm(self->vm);

	ASSERT_EQ(0, keep(first));
	ASSERT_EQ(0, keep(first)) TH_LOG("twice is once");
	ASSERT_EQ(0, keep(second));
	close(first);
	cpuids(self->vcpu, 1);
	EXPECT_EQ(1, row_of(self, VMX_REASON_CPUID).count);
	close(second);
	cpuids(self->vcpu, 1);
	EXPECT_EQ(1, row_of(self, VMX_REASON_CPUID).count) TH_LOG("nobody keeps it");
	/* What it holds stays, and time in between is charged to nobody */
	second = open_vm(self->vm);
	usleep(50000);
	ASSERT_EQ(0, keep(second));
	cpuids(self->vcpu, 1);
	EXPECT_EQ(2, row_of(self, VMX_REASON_CPUID).count);
	EXPECT_GT(50ULL * self->get.tsc_khz / 2, row_of(self, VMX_REASON_IO).user_cycles);
	close(second);
}

TEST_F(ledger, a_keeper_that_dies_keeps_no_longer)
{
	pid_t child = fork();

	if (!child) {
		if (keep(open_vm(self->vm)))
			_exit(1);
		kill(getpid(), SIGKILL);
	}
	waitpid(child, NULL, 0);
	cpuids(self->vcpu, 1);
	EXPECT_EQ(0, row_of(self, VMX_REASON_CPUID).count);
}

TEST_F(ledger, a_vcpu_made_later_has_one)
{
	struct vcpu *second;

	ASSERT_EQ(0, keep(self->vm->fd));
	second = vcpu_create(self->vm, 5);
	vcpu_mode64(second);
	guest_call(second, guest_exits_cpuid, 0, 0, GUEST_DATA);
	self->get = (struct thv_get_ledger){ .vcpu = 5, .count = ROOM,
					     .data = (uintptr_t)self->row };
	ASSERT_EQ(0, thv_ioctl(self->vm->fd, THV_GET_LEDGER, &self->get));
	EXPECT_LE(2, self->get.count);
	vcpu_close(second);
}

TEST_F(ledger, follows_a_vcpu_from_cpu_to_cpu)
{
	struct thv_ledger_row row;
	cpu_set_t set;
	int i;

	REQUIRE(sysconf(_SC_NPROCESSORS_ONLN) > 1, "one CPU only");
	ASSERT_EQ(0, keep(self->vm->fd));
	for (i = 0; i < 20; i++) {
		CPU_ZERO(&set);
		CPU_SET(i & 1, &set);
		ASSERT_EQ(0, sched_setaffinity(0, sizeof(set), &set));
		cpuids(self->vcpu, 1);
	}
	row = row_of(self, VMX_REASON_CPUID);
	EXPECT_EQ(20, row.count);
	EXPECT_EQ(20, sum(row.kernel));
	/* A minute would be a counter taken backwards */
	EXPECT_GT(60000ULL * self->get.tsc_khz, row.kernel_cycles);
}

static void *later(void *vm)
{
	struct thv_control go = { .state = THV_VM_RUNNING };

	usleep(100000);
	must(thv_ioctl(*(int *)vm, THV_CONTROL, &go));
	return NULL;
}

TEST_F(ledger, a_pause_is_asleep)
{
	struct thv_control pause = { .state = THV_VM_PAUSED };
	struct thv_ledger_row row;
	pthread_t thread;

	ASSERT_EQ(0, keep(self->vm->fd));
	cpuids(self->vcpu, 1);
	ASSERT_EQ(0, thv_ioctl(self->vm->fd, THV_CONTROL, &pause));
	pthread_create(&thread, NULL, later, &self->vm->fd);
	cpuids(self->vcpu, 1);
	pthread_join(thread, NULL);
	row = row_of(self, VMX_REASON_IO);
	EXPECT_GT(50ULL * self->get.tsc_khz, row.user_cycles);
	EXPECT_LE(50ULL * self->get.tsc_khz, self->get.asleep_cycles);
}

TEST_F(ledger, room_for_fewer_gets_the_first_and_the_number)
{
	struct thv_ledger_row row[2] = {};

	ASSERT_EQ(0, keep(self->vm->fd));
	cpuids(self->vcpu, 2);
	self->get = (struct thv_get_ledger){ .count = 1, .data = (uintptr_t)row };
	ASSERT_EQ(0, thv_ioctl(self->vm->fd, THV_GET_LEDGER, &self->get));
	EXPECT_LE(2, self->get.count);
	EXPECT_NE(0, row[0].count);
	EXPECT_EQ(0, row[1].count);
}

TEST_F(ledger, bad_arguments_are_refused)
{
	struct thv_get_ledger get = { .vcpu = 1 };

	EXPECT_EQ(-ENOENT, thv_ioctl(self->vm->fd, THV_GET_LEDGER, &get));
	get.vcpu = ~0U;
	EXPECT_EQ(-ENOENT, thv_ioctl(self->vm->fd, THV_GET_LEDGER, &get));
	get = (struct thv_get_ledger){ .reserved = 1 };
	EXPECT_EQ(-EINVAL, thv_ioctl(self->vm->fd, THV_GET_LEDGER, &get));
	ASSERT_EQ(0, keep(self->vm->fd));
	cpuids(self->vcpu, 1);
	get = (struct thv_get_ledger){ .count = ~0U, .data = 8 };
	EXPECT_EQ(-EFAULT, thv_ioctl(self->vm->fd, THV_GET_LEDGER, &get));
}

/* Two threads keep and close as fast as they can while the guest runs: nothing is lost of the VM. */
static void *keep_and_close(void *vm)
{
	int i, fd;

	for (i = 0; i < 100; i++) {
		fd = open_vm(vm);
		must(keep(fd));
		close(fd);
	}
	return NULL;
}

TEST_F(ledger, keeping_comes_and_goes_under_a_running_vcpu)
{
	pthread_t thread[2];
	int i;

	for (i = 0; i < 2; i++)
		pthread_create(&thread[i], NULL, keep_and_close, self->vm);
	cpuids(self->vcpu, 500);
	for (i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	EXPECT_GE(500, row_of(self, VMX_REASON_CPUID).count);
}

THV_TEST_MAIN
