// SPDX-License-Identifier: GPL-2.0-only
/*
 * Several vCPUs that need each other, on fewer CPUs: locks, interprocessor interrupts of every kind, HLT,
 * changed page tables; while their threads are moved from CPU to CPU, and one ends.
 */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include "kselftest_harness.h"
#include "lib/known_defects.h"
#include "lib/vm.h"
#include "guests/smp.h"

GUEST(smp);

#define VCPUS		4
#define AT(offset)	vm_at(self->vm, GUEST_DATA + (offset), volatile u64)

/* guests/smp.S has the same numbers */
#define TOTAL		0x80
#define GENERATION	0x140
#define OVER		0x180
#define READY		0x1c0
#define RING_SIZE	0x1c8
#define RING_TURNS	0x1d0
#define RECEIVED	0x200
#define PROGRESS	0x400
#define EVEN		0x11000

struct thread {
	pthread_t thread;
	volatile pid_t tid;
	struct vcpu *vcpu;
	u64 result;
	bool stopped;		/* THV_EXIT_STOPPED, and no result */
};

FIXTURE(smp) {
	struct vm *vm;
	struct vcpu *vcpu[VCPUS];
	struct thread thread[VCPUS];
};

/* A VM, and with it the first vCPU, in x2APIC mode */
static struct vm *make_vm(void)
{
	struct vm *vm = vm_create_with(smp, .flags = flag_against_virtual_interrupts());

	vm->record->hook[0x60] = guest_smp_hook_received;
	vm->record->hook[0x61] = guest_smp_hook_shootdown;
	guest_call(vm->vcpu, guest_smp_x2apic, 0xfee00d00);
	return vm;
}

static struct vcpu *make_vcpu(struct vm *vm, unsigned int id)
{
	struct vcpu *vcpu = vcpu_create(vm, id);

	vcpu_mode64(vcpu);
	guest_call(vcpu, guest_smp_x2apic, 0xfee00c00);
	return vcpu;
}

FIXTURE_SETUP(smp)
{
	unsigned int i;

	self->vm = make_vm();
	for (i = 0; i < VCPUS; i++)
		self->vcpu[i] = i ? make_vcpu(self->vm, i) : self->vm->vcpu;
}

FIXTURE_TEARDOWN(smp)
{
	unsigned int i;

	for (i = 1; i < VCPUS; i++)
		vcpu_close(self->vcpu[i]);
	vm_close(self->vm);
}

static void *run(void *arg)
{
	struct thread *thread = arg;
	int err;

	thread->tid = gettid();
	err = vcpu_run(thread->vcpu);
	if (err)
		fail("vCPU %u: %s", thread->vcpu->id, strerror(-err));
	thread->stopped = thread->vcpu->run->exit == THV_EXIT_STOPPED;
	if (!thread->stopped && (thread->vcpu->run->exit != THV_EXIT_IO ||
				 thread->vcpu->run->io.port != PORT_DONE)) {
		exit_print(thread->vcpu);
		fail("vCPU %u ended otherwise", thread->vcpu->id);
	}
	thread->result = thread->vcpu->run->regs.gpr[THV_RAX];
	return NULL;
}

static void start(struct thread *thread, struct vcpu *vcpu)
{
	*thread = (struct thread){ .vcpu = vcpu };
	if (pthread_create(&thread->thread, NULL, run, thread))
		fail("pthread_create");
}

/* What the vCPU's function has returned */
static u64 finish(struct thread *thread)
{
	pthread_join(thread->thread, NULL);
	return thread->result;
}

/* One that is over, or has not begun, is left alone */
static void pin(const struct thread *thread, unsigned int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (thread->tid && sched_setaffinity(thread->tid, sizeof(set), &set) && errno != ESRCH)
		fail("sched_setaffinity: %s", strerror(errno));
}

/* All on one CPU, before they begin: threads inherit it */
static void pin_all(unsigned int cpu)
{
	struct thread self = { .tid = gettid() };

	pin(&self, cpu);
}

/* ---- locks ---- */

static u64 lock_on_one_cpu(FIXTURE_DATA(smp) *self, u64 turns)
{
	u64 begun = now_us();
	unsigned int i;

	pin_all(0);
	for (i = 0; i < VCPUS; i++) {
		guest_start(self->vcpu[i], guest_smp_lock, VCPUS, turns);
		start(&self->thread[i], self->vcpu[i]);
	}
	for (i = 0; i < VCPUS; i++)
		finish(&self->thread[i]);
	return now_us() - begun;
}

TEST_F(smp, who_waits_for_a_lock_gives_way)
{
	enum { TURNS = 50 };
	u64 us = lock_on_one_cpu(self, TURNS);

	EXPECT_EQ(VCPUS * TURNS, *AT(TOTAL));
	fprintf(stderr, "# %llu us for %u turns; %llu times found waiting, %llu turns given\n", us, VCPUS * TURNS,
		vm_counter(self->vm, THV_STAT_spins), vm_counter(self->vm, THV_STAT_turns_given));
	REQUIRE_FEATURE(PAUSE_LOOP);
	EXPECT_LT(0, vm_counter(self->vm, THV_STAT_spins));
	EXPECT_LT(0, vm_counter(self->vm, THV_STAT_turns_given));
}

/* ---- interprocessor interrupts ---- */

static void start_sleepers(FIXTURE_DATA(smp) *self)
{
	unsigned int i;

	for (i = 1; i < VCPUS; i++) {
		guest_start(self->vcpu[i], guest_smp_sleep, i);
		start(&self->thread[i], self->vcpu[i]);
	}
}

static void stop_sleepers(FIXTURE_DATA(smp) *self)
{
	unsigned int i;

	*AT(OVER) = 1;
	guest_call(self->vcpu[0], guest_smp_send, 0, 3 << 18 | 0x60);
	for (i = 1; i < VCPUS; i++)
		if (finish(&self->thread[i]) != i)
			fail("vCPU %u", i);
}

static u64 received(FIXTURE_DATA(smp) *self, unsigned int vcpu)
{
	return *AT(RECEIVED + 8 * vcpu);
}

static bool wait_received(FIXTURE_DATA(smp) *self, u64 total)
{
	u64 sum, until = now_us() + 5000000;
	unsigned int i;

	do {
		for (i = 0, sum = 0; i < VCPUS; i++)
			sum += received(self, i);
	} while (sum < total && now_us() < until);
	usleep(2000);	/* nor more than that */
	for (i = 0, sum = 0; i < VCPUS; i++)
		sum += received(self, i);
	return sum == total;
}

TEST_F(smp, messages_reach_the_sleeping_ones_they_are_for)
{
	static const struct {
		u64 destination, command;
		u32 reached[VCPUS];
	} row[] = {
		{ 2, 0x60, { 0, 0, 1, 0 } },
		{ 0xffffffff, 0x60, { 1, 1, 1, 1 } },			/* broadcast */
		{ 0, 3 << 18 | 0x60, { 0, 1, 1, 1 } },			/* all but the sender */
		{ 0, 2 << 18 | 0x60, { 1, 1, 1, 1 } },			/* all */
		{ 0, 1 << 18 | 0x60, { 1, 0, 0, 0 } },			/* itself */
		{ 0x0000000a, 1 << 11 | 0x60, { 0, 1, 0, 1 } },		/* two of cluster 0 */
		{ 0x0001000f, 1 << 11 | 0x60, { 0, 0, 0, 0 } },		/* cluster 1: nobody */
		{ 0xffffffff, 1 << 11 | 0x60, { 1, 1, 1, 1 } },
	};
	u64 expected[VCPUS] = {}, total = 0;
	unsigned int i, k;

	start_sleepers(self);
	for (i = 0; i < ARRAY_SIZE(row); i++) {
		guest_call(self->vcpu[0], guest_smp_send, row[i].destination, row[i].command);
		guest_call(self->vcpu[0], guest_smp_let_in);
		for (k = 0; k < VCPUS; k++) {
			expected[k] += row[i].reached[k];
			total += row[i].reached[k];
		}
		EXPECT_TRUE(wait_received(self, total)) TH_LOG("row %u", i);
		for (k = 0; k < VCPUS; k++)
			EXPECT_EQ(expected[k], received(self, k)) TH_LOG("row %u, vCPU %u", i, k);
	}
	stop_sleepers(self);
}

TEST_F(smp, one_of_several_gets_what_goes_to_the_lowest_priority)
{
	enum { MESSAGES = 16 };
	unsigned int i;

	for (i = 0; i < VCPUS; i++)
		EXPECT_EQ(1 << i, guest_call(self->vcpu[i], guest_smp_logical_id));
	start_sleepers(self);
	for (i = 1; i <= MESSAGES; i++) {
		guest_call(self->vcpu[0], guest_smp_send, 0xe, 1 << 11 | 1 << 8 | 0x60);
		EXPECT_TRUE(wait_received(self, i));
	}
	EXPECT_EQ(0, received(self, 0));
	stop_sleepers(self);
}

/* ---- moved from CPU to CPU ---- */

struct mover {
	pthread_t thread;
	struct thread *moved;
	cpu_set_t cpus;
	volatile bool over;
};

static unsigned int nth_cpu(const cpu_set_t *set, unsigned int n)
{
	unsigned int cpu;

	for (cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, set) && !n--)
			return cpu;
	return 0;
}

static void *move(void *arg)
{
	struct mover *mover = arg;
	unsigned int cpus = CPU_COUNT(&mover->cpus), n;

	for (n = 0; !mover->over; n++) {
		pin(&mover->moved[n % VCPUS], nth_cpu(&mover->cpus, rand() % cpus));
		usleep(500);
	}
	return NULL;
}

static void start_mover(struct mover *mover, struct thread *moved)
{
	*mover = (struct mover){ .moved = moved };
	if (sched_getaffinity(0, sizeof(mover->cpus), &mover->cpus))
		fail("sched_getaffinity: %s", strerror(errno));
	if (pthread_create(&mover->thread, NULL, move, mover))
		fail("pthread_create");
}

static void stop_mover(struct mover *mover)
{
	mover->over = true;
	pthread_join(mover->thread, NULL);
}

TEST_F(smp, a_token_goes_round_sleepers_that_are_moved)
{
	enum { TURNS = 100 };
	struct mover mover;
	unsigned int i;

	for (i = 0; i < VCPUS; i++) {
		guest_start(self->vcpu[i], guest_smp_ring, i, VCPUS, TURNS);
		start(&self->thread[i], self->vcpu[i]);
	}
	start_mover(&mover, self->thread);
	for (i = 0; i < VCPUS; i++)
		EXPECT_EQ(i, finish(&self->thread[i]));
	stop_mover(&mover);
	EXPECT_LT(0, vm_counter(self->vm, THV_STAT_wakeups));
	EXPECT_LE(VCPUS * TURNS, vm_counter(self->vm, THV_STAT_ipis));
}

/* ---- changed page tables ---- */

TEST_F(smp, no_vcpu_uses_a_translation_after_its_shootdown)
{
	enum { CHANGES = 150 };
	struct mover mover;
	unsigned int i;

	*vm_at(self->vm, GUEST_PT + 8 * ((GUEST_DATA + 0x10000) / PAGE), u64) = (GUEST_DATA + EVEN) | 0x63;
	guest_start(self->vcpu[0], guest_smp_change, 0, VCPUS - 1, CHANGES);
	for (i = 1; i < VCPUS; i++)
		guest_start(self->vcpu[i], guest_smp_watch, i);
	for (i = 0; i < VCPUS; i++)
		start(&self->thread[i], self->vcpu[i]);
	start_mover(&mover, self->thread);
	EXPECT_EQ(CHANGES, finish(&self->thread[0]));
	for (i = 1; i < VCPUS; i++)
		EXPECT_EQ(0, finish(&self->thread[i])) TH_LOG("vCPU %u read what was mapped before", i);
	stop_mover(&mover);
	EXPECT_EQ(CHANGES, *AT(GENERATION));
}

/* ---- CPUs that go away and come back ---- */

#define CPU1	"/sys/devices/system/cpu/cpu1/online"

static void set_cpu1(char online)
{
	int fd = open(CPU1, O_WRONLY);

	if (fd < 0 || write(fd, &online, 1) != 1)
		fail("%s: %s", CPU1, strerror(errno));
	close(fd);
}

/* Two of a second VM, the one of which changes pages and the other looks: neither sees what is over */
struct pair {
	struct vm *vm;
	struct vcpu *second;
	struct thread thread[2];
};

static void start_pair(struct pair *pair, u64 changes)
{
	pair->vm = make_vm();
	pair->second = make_vcpu(pair->vm, 1);
	*vm_at(pair->vm, GUEST_PT + 8 * ((GUEST_DATA + 0x10000) / PAGE), u64) = (GUEST_DATA + EVEN) | 0x63;
	guest_start(pair->vm->vcpu, guest_smp_change, 0, 1, changes);
	guest_start(pair->second, guest_smp_watch, 1);
	start(&pair->thread[0], pair->vm->vcpu);
	start(&pair->thread[1], pair->second);
}

static bool pair_is_over(const struct pair *pair)
{
	return *vm_at(pair->vm, GUEST_DATA + OVER, volatile u64);
}

static void close_pair(struct pair *pair)
{
	vcpu_close(pair->second);
	vm_close(pair->vm);
}

TEST_F(smp, vcpus_of_two_vms_work_on_while_a_cpu_goes_and_comes)
{
	enum { TURNS = 400, CHANGES = 2000, TIMES = 3 };
	unsigned int i, times;
	struct pair pair;

	REQUIRE(!access(CPU1, W_OK), "CPU 1 cannot be taken off line");
	for (i = 0; i < VCPUS; i++) {
		guest_start(self->vcpu[i], guest_smp_ring, i, VCPUS, TURNS);
		start(&self->thread[i], self->vcpu[i]);
	}
	start_pair(&pair, CHANGES);
	for (times = 0; !pair_is_over(&pair); times++) {
		set_cpu1('0');
		usleep(20000);
		set_cpu1('1');
		usleep(20000);
	}
	EXPECT_EQ(CHANGES, finish(&pair.thread[0]));
	EXPECT_EQ(0, finish(&pair.thread[1])) TH_LOG("read what was mapped before");
	for (i = 0; i < VCPUS; i++)
		EXPECT_EQ(i, finish(&self->thread[i]));
	EXPECT_LE(TIMES, times);
	fprintf(stderr, "# %u times\n", times);
	close_pair(&pair);
}

/* ---- as many as there can be ---- */

struct crowd {
	struct vm *vm;
	struct vcpu *vcpu[THV_MAX_VCPUS];
	struct thread thread[THV_MAX_VCPUS];
};

/* As after a reset: each of them but the first waits for its start-up IPI */
static struct crowd *make_crowd(void)
{
	struct crowd *crowd = calloc(1, sizeof(*crowd));
	unsigned int i;

	if (!crowd)
		fail("calloc");
	crowd->vm = make_vm();
	crowd->vcpu[0] = crowd->vm->vcpu;
	for (i = 1; i < THV_MAX_VCPUS; i++)
		crowd->vcpu[i] = vcpu_create(crowd->vm, i);
	return crowd;
}

static void close_crowd(struct crowd *crowd)
{
	unsigned int i;

	for (i = 1; i < THV_MAX_VCPUS; i++)
		vcpu_close(crowd->vcpu[i]);
	vm_close(crowd->vm);
	free(crowd);
}

/* The token goes round @turns times, all end, and each says who it is */
static void expect_ring(struct __test_metadata *_metadata, struct crowd *crowd, u64 turns)
{
	unsigned int i;

	guest_start(crowd->vcpu[0], guest_smp_ring, 0, THV_MAX_VCPUS, turns);
	start(&crowd->thread[0], crowd->vcpu[0]);
	for (i = 0; i < THV_MAX_VCPUS; i++)
		EXPECT_EQ(i, finish(&crowd->thread[i]));
	EXPECT_EQ(-EINVAL, thv_ioctl(crowd->vm->fd, THV_CREATE_VCPU, &(struct thv_create_vcpu){ .id = THV_MAX_VCPUS }));
}

TEST_F(smp, sixty_four_are_started_from_real_mode_and_pass_a_token)
{
	enum { TURNS = 3, START = 0x20 };
	struct crowd *crowd;
	unsigned int i;

	REQUIRE_FEATURE(UNRESTRICTED);
	REQUIRE(!thv_shadows(), "under shadow paging there is no real mode");
	crowd = make_crowd();
	memcpy(crowd->vm->mem + START * PAGE, guest_smp + (guest_smp_start_real - GUEST_CODE),
	       guest_smp_start_real_end - guest_smp_start_real);
	*vm_at(crowd->vm, GUEST_DATA + RING_SIZE, u64) = THV_MAX_VCPUS;
	*vm_at(crowd->vm, GUEST_DATA + RING_TURNS, u64) = TURNS;
	for (i = 1; i < THV_MAX_VCPUS; i++)
		start(&crowd->thread[i], crowd->vcpu[i]);
	guest_call(crowd->vcpu[0], guest_smp_start_others, START);
	expect_ring(_metadata, crowd, TURNS);
	EXPECT_EQ(THV_MAX_VCPUS - 1, *vm_at(crowd->vm, GUEST_DATA + READY, u64));
	close_crowd(crowd);
}

TEST_F(smp, sixty_four_pass_a_token)
{
	enum { TURNS = 3 };
	struct crowd *crowd = make_crowd();
	unsigned int i;

	for (i = 1; i < THV_MAX_VCPUS; i++) {
		vcpu_mode64(crowd->vcpu[i]);
		guest_call(crowd->vcpu[i], guest_smp_x2apic, 0xfee00c00);
		guest_start(crowd->vcpu[i], guest_smp_ring, i, THV_MAX_VCPUS, TURNS);
		start(&crowd->thread[i], crowd->vcpu[i]);
	}
	expect_ring(_metadata, crowd, TURNS);
	close_crowd(crowd);
}

/* ---- shares, and ends ---- */

TEST_F(smp, more_vcpus_than_cpus_share_fairly)
{
	u64 least = ~0ULL, most = 0, count;
	unsigned int i;

	pin_all(0);
	for (i = 0; i < VCPUS; i++) {
		guest_start(self->vcpu[i], guest_smp_count, i);
		start(&self->thread[i], self->vcpu[i]);
	}
	usleep(500000);
	*AT(OVER) = 1;
	for (i = 0; i < VCPUS; i++) {
		count = finish(&self->thread[i]);
		least = count < least ? count : least;
		most = count > most ? count : most;
	}
	EXPECT_LT(0, least);
	EXPECT_GT(3 * least, most) TH_LOG("%llu and %llu", least, most);
}

TEST_F(smp, the_end_of_one_leaves_the_others_to_the_launcher)
{
	struct thv_control control = { .state = THV_VM_STOPPED };
	struct vcpu *dead = self->vcpu[VCPUS - 1];
	unsigned int i;
	u64 before;

	for (i = 0; i < VCPUS - 1; i++) {
		guest_start(self->vcpu[i], guest_smp_count, i);
		start(&self->thread[i], self->vcpu[i]);
	}
	guest_start(dead, guest_smp_die);
	run_until(dead, THV_EXIT_SHUTDOWN);
	run_until(dead, THV_EXIT_SHUTDOWN);	/* and says so again */
	before = *AT(PROGRESS);
	usleep(100000);
	EXPECT_LT(before, *AT(PROGRESS));
	must(thv_ioctl(self->vm->fd, THV_CONTROL, &control));
	for (i = 0; i < VCPUS - 1; i++) {
		finish(&self->thread[i]);
		EXPECT_TRUE(self->thread[i].stopped);
	}
}

THV_TEST_MAIN
