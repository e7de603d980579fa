// SPDX-License-Identifier: GPL-2.0-only
/*
 * Looking into a VM from outside, by a control descriptor: from its own process and from others,
 * whatever the vCPU is doing; and the guest cannot tell.
 */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include "kselftest_harness.h"
#include "lib/vm.h"
#include "guests/inspect.h"

GUEST(inspect);

#define FIELD_MSR_BITMAP	0x2004
#define FIELD_EPT_POINTER	0x201a
#define FIELD_GUEST_CR3	0x6802
#define FIELD_GUEST_RIP	0x681e
#define FIELD_HOST_RIP	0x6c16
/* The host may give the first 2 MiB, where the tables are, as one page */
#define UNTOUCHED	0x200000UL
#define SECONDS(n)	((n) * 1000000ULL)

FIXTURE(inspect) {
	struct vm *vm;
	struct vcpu *vcpu;
	int control;
	pthread_t thread;
};

static int open_vm(u32 id)
{
	return thv_ioctl(thv_device(), THV_OPEN_VM, &(struct thv_open_vm){ .id = id });
}

FIXTURE_SETUP(inspect)
{
	self->vm = vm_create(inspect);
	self->vcpu = self->vm->vcpu;
	self->control = must(open_vm(self->vm->id));
}

FIXTURE_TEARDOWN(inspect)
{
}

/* ---- looking: 0 or -errno ---- */

static int look(int control, u32 vcpu, u32 component, void *data, u32 size)
{
	struct thv_inspect_state args = {
		.vcpu = vcpu, .component = component, .size = size, .data = (uintptr_t)data,
	};

	return thv_ioctl(control, THV_INSPECT_STATE, &args);
}

static int read_memory(int control, u64 gpa, void *data, u64 size)
{
	struct thv_read_memory args = { .gpa = gpa, .size = size, .data = (uintptr_t)data };

	return thv_ioctl(control, THV_READ_MEMORY, &args);
}

static int get_fields(int control, u32 vcpu, struct thv_field *fields, u32 *count)
{
	struct thv_get_fields args = { .vcpu = vcpu, .count = *count, .data = (uintptr_t)fields };
	int result = thv_ioctl(control, THV_GET_FIELDS, &args);

	*count = args.count;
	return result;
}

static int set_vm_state(int control, u32 state)
{
	return thv_ioctl(control, THV_CONTROL, &(struct thv_control){ .state = state });
}

static u32 mp_state(int control, u32 vcpu)
{
	struct thv_event_state events;

	must(look(control, vcpu, THV_STATE_EVENTS, &events, sizeof(events)));
	return events.mp_state;
}

static u64 shared_of(int control)
{
	u64 value = 0;

	must(read_memory(control, GUEST_RECORD + offsetof(struct guest_record, shared), &value,
			 sizeof(value)));
	return value;
}

/* ---- running ---- */

static void *run_forever(void *arg)
{
	struct vcpu *vcpu = arg;

	while (!vcpu_run(vcpu) && vcpu->run->exit != THV_EXIT_STOPPED)
		;
	return NULL;
}

static void wait_for_shared(struct vm *vm, u64 at_least)
{
	u64 since = now_us();

	while (*(volatile u64 *)&vm->record->shared < at_least)
		if (now_us() - since > SECONDS(20))
			fail("the guest does not get on: %llu", vm->record->shared);
}

#define run_in_thread(self)							\
	ASSERT_EQ(0, pthread_create(&(self)->thread, NULL, run_forever, (self)->vcpu))

#define start_spinning(self)							\
	do {									\
		guest_start((self)->vcpu, guest_inspect_spin, GUEST_DATA);	\
		run_in_thread(self);						\
		wait_for_shared((self)->vm, 1);					\
	} while (0)

static int exit_status(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* What a child finds out; it has nothing but the VM's number. 0: all was as it should be */
#define in_another_process(...)							\
	({									\
		pid_t __pid = fork();						\
										\
		if (!__pid) {							\
			__VA_ARGS__						\
			_exit(0);						\
		}								\
		exit_status(__pid);						\
	})
#define or_exit(n, condition)	do { if (!(condition)) _exit(n); } while (0)

static bool spinning(int control)
{
	struct thv_regs regs;
	u64 before = shared_of(control);
	u64 since = now_us();

	must(look(control, 0, THV_STATE_REGS, &regs, sizeof(regs)));
	while (shared_of(control) == before)
		if (now_us() - since > SECONDS(20))
			return false;
	return regs.rip >= guest_inspect_spin_loop && regs.rip < guest_inspect_spin_end &&
	       regs.gpr[THV_RBX] == 0x5eed;
}

/* ---- whatever the vCPU is doing ---- */

static const struct { u32 component, size; } components[] = {
	{ THV_STATE_REGS, sizeof(struct thv_regs) },
	{ THV_STATE_SREGS, sizeof(struct thv_sregs) },
	{ THV_STATE_FPU, sizeof(struct thv_fpu) },
	{ THV_STATE_DEBUG, sizeof(struct thv_debug) },
	{ THV_STATE_APIC, sizeof(struct thv_apic) },
	{ THV_STATE_EVENTS, sizeof(struct thv_event_state) },
};

TEST_F(inspect, sees_what_the_launcher_sees)
{
	static u8 own[8192], seen[8192];
	struct thv_msr msrs[2] = { { .index = 0x277 }, { .index = 0x174 } };
	unsigned int i;

	guest_start(self->vcpu, guest_inspect_churn, 1000);
	guest_finish(self->vcpu);
	for (i = 0; i < ARRAY_SIZE(components); i++) {
		u32 component = components[i].component, size = components[i].size;

		ASSERT_EQ(0, vcpu_get(self->vcpu, component, own, size));
		memset(seen, 0xee, size);
		EXPECT_EQ(0, look(self->control, 0, component, seen, size));
		EXPECT_EQ(0, memcmp(own, seen, size)) TH_LOG("component %u", component);
	}
	EXPECT_EQ(2, look(self->control, 0, THV_STATE_MSRS, msrs, sizeof(msrs)));
	EXPECT_EQ(0x0007040600070406, msrs[0].value);
}

TEST_F(inspect, sees_a_running_guest)
{
	start_spinning(self);
	EXPECT_TRUE(spinning(self->control));
	EXPECT_EQ(0, in_another_process(
		int control = open_vm(self->vm->id);

		or_exit(2, control >= 0);
		or_exit(3, spinning(control));
		or_exit(4, spinning(control));
	));
	EXPECT_TRUE(spinning(self->control));
}

TEST_F(inspect, sees_the_fpu_registers_of_a_running_guest)
{
	u8 *pattern = vm_at(self->vm, GUEST_DATA, u8);
	static struct thv_fpu fpu;
	int i;

	for (i = 0; i < 32; i++)
		pattern[i] = 0xc0 + i;
	start_spinning(self);
	for (i = 0; i < 50; i++) {
		memset(&fpu, 0, sizeof(fpu));
		ASSERT_EQ(0, look(self->control, 0, THV_STATE_FPU, &fpu, sizeof(fpu)));
		ASSERT_EQ(0, memcmp(fpu.xsave + 160, pattern, 16)) TH_LOG("XMM0, round %d", i);
		ASSERT_EQ(0, memcmp(fpu.xsave + 160 + 15 * 16, pattern + 16, 16)) TH_LOG("XMM15");
	}
}

TEST_F(inspect, sees_a_halted_vcpu_and_does_not_wake_it)
{
	struct thv_interrupt interrupt = { .vector = 0x40 };
	u64 since = now_us(), wakeups;
	int i;

	vcpu_enable_apic(self->vcpu);
	guest_start(self->vcpu, guest_inspect_sleep);
	run_in_thread(self);
	while (mp_state(self->control, 0) != THV_MP_HALTED)
		ASSERT_GT(SECONDS(20), now_us() - since);
	wakeups = vm_counter(self->vm, THV_STAT_wakeups);
	for (i = 0; i < 100; i++)
		ASSERT_EQ(THV_MP_HALTED, mp_state(self->control, 0));
	EXPECT_EQ(wakeups, vm_counter(self->vm, THV_STAT_wakeups));
	EXPECT_EQ(0, shared_of(self->control));
	EXPECT_EQ(0, thv_ioctl(self->vcpu->fd, THV_INTERRUPT, &interrupt));
	wait_for_shared(self->vm, 1);
}

TEST_F(inspect, sees_a_paused_vcpu)
{
	struct thv_regs first, regs;
	u64 count;
	int i;

	start_spinning(self);
	ASSERT_EQ(0, set_vm_state(self->control, THV_VM_PAUSED));
	ASSERT_EQ(0, look(self->control, 0, THV_STATE_REGS, &first, sizeof(first)));
	count = shared_of(self->control);
	for (i = 0; i < 20; i++) {
		EXPECT_EQ(0, look(self->control, 0, THV_STATE_REGS, &regs, sizeof(regs)));
		EXPECT_EQ(0, memcmp(&first, &regs, sizeof(regs)));
	}
	EXPECT_EQ(count, shared_of(self->control));
	EXPECT_EQ(-EBUSY, vcpu_get(self->vcpu, THV_STATE_REGS, &regs, sizeof(regs)))
		TH_LOG("to the launcher it is in THV_RUN");
	ASSERT_EQ(0, set_vm_state(self->control, THV_VM_RUNNING));
	EXPECT_TRUE(spinning(self->control));
}

TEST_F(inspect, sees_a_vcpu_that_waits_for_its_start)
{
	pthread_t thread;
	int i;

	ASSERT_EQ(0, pthread_create(&thread, NULL, run_forever, vcpu_create(self->vm, 1)));
	for (i = 0; i < 20; i++) {
		EXPECT_EQ(THV_MP_WAIT_SIPI, mp_state(self->control, 1));
		usleep(1000);
	}
}

TEST_F(inspect, sees_a_stopped_vm)
{
	struct thv_regs regs;

	start_spinning(self);
	ASSERT_EQ(0, set_vm_state(self->control, THV_VM_STOPPED));
	pthread_join(self->thread, NULL);
	EXPECT_EQ(0, look(self->control, 0, THV_STATE_REGS, &regs, sizeof(regs)));
	EXPECT_LE(guest_inspect_spin_loop, regs.rip);
	EXPECT_GT(guest_inspect_spin_end, regs.rip);
}

/* ---- and the guest cannot tell ---- */

/* As guest_inspect_churn */
static u64 churned(u64 rounds)
{
	u64 a = 1, x = 1;

	while (rounds--) {
		a = a * 1103515245 + 12345;
		x += a;
		a ^= x;
	}
	return a;
}

static void storm(u32 id)
{
	static struct thv_fpu fpu;
	struct thv_field fields[8];
	int control = open_vm(id);

	while (1) {
		struct thv_inspect_translate t = { .translate = { .gla = GUEST_DATA } };
		u32 count = 8;

		must(look(control, 0, THV_STATE_FPU, &fpu, sizeof(fpu)));
		must(get_fields(control, 0, fields, &count));
		must(thv_ioctl(control, THV_INSPECT_TRANSLATE, &t));
		must(mp_state(control, 0));
		shared_of(control);
	}
}

TEST_F(inspect, a_storm_does_not_change_what_the_guest_computes)
{
	enum { ROUNDS = 3000000, STORMS = 3 };
	pid_t pids[STORMS];
	u64 result;
	int i;

	for (i = 0; i < STORMS; i++) {
		pids[i] = fork();
		if (!pids[i])
			storm(self->vm->id);
	}
	result = guest_call(self->vcpu, guest_inspect_churn, ROUNDS);
	EXPECT_EQ(ROUNDS, self->vm->record->shared);
	EXPECT_EQ(churned(ROUNDS), result);
	EXPECT_LT(0, vm_counter(self->vm, THV_STAT_fpu_switches));
	for (i = 0; i < STORMS; i++) {
		EXPECT_EQ(0, waitpid(pids[i], NULL, WNOHANG)) TH_LOG("a storm is over early");
		kill(pids[i], SIGKILL);
		EXPECT_EQ(-SIGKILL, exit_status(pids[i]));
	}
}

static atomic_ulong returns;

/* THV_RUN also returns for work of the kernel's own (-EINTR); until the next, the vCPU is free */
static void *run_and_count(void *arg)
{
	int err;

	do {
		err = vcpu_run_once(arg);
		returns += err == -EINTR;
	} while (err == -EINTR || err == -EBUSY);
	return NULL;
}

TEST_F(inspect, the_launcher_is_told_busy_while_the_vcpu_is_lent)
{
	enum { CALLS = 2000 };
	unsigned long i, gaps = 0;
	struct thv_regs regs;
	bool was_free = false;
	pid_t pid;

	guest_start(self->vcpu, guest_inspect_spin, GUEST_DATA);
	ASSERT_EQ(0, pthread_create(&self->thread, NULL, run_and_count, self->vcpu));
	wait_for_shared(self->vm, 1);
	pid = fork();
	if (!pid)
		storm(self->vm->id);
	for (i = 0; i < CALLS; i++) {
		int err = vcpu_get(self->vcpu, THV_STATE_REGS, &regs, sizeof(regs));

		ASSERT_TRUE(err == -EBUSY || !err);
		/* However long the other thread does not get a CPU: from one -EBUSY to the next is one gap */
		gaps += !err && !was_free;
		was_free = !err;
	}
	kill(pid, SIGKILL);
	EXPECT_EQ(-SIGKILL, exit_status(pid));
	EXPECT_GE(returns + 1, gaps);
}

TEST_F(inspect, the_launcher_is_never_told_busy_because_of_an_inspector)
{
	struct thv_regs regs;
	pid_t pid = fork();
	int i;

	if (!pid)
		storm(self->vm->id);
	for (i = 0; i < 300; i++) {
		ASSERT_EQ(0, vcpu_get(self->vcpu, THV_STATE_REGS, &regs, sizeof(regs)));
		ASSERT_EQ(churned(10), guest_call(self->vcpu, guest_inspect_churn, 10));
	}
	kill(pid, SIGKILL);
	EXPECT_EQ(-SIGKILL, exit_status(pid));
}

TEST_F(inspect, a_deadline_is_kept)
{
	struct thv_cpuid cpuid = { .leaf = 1 };
	pid_t pid;
	int i;

	must(thv_ioctl(thv_device(), THV_GET_CPUID, &cpuid));
	REQUIRE(cpuid.ecx & BIT(24), "this processor has no TSC deadline");
	pid = fork();
	if (!pid)
		storm(self->vm->id);
	for (i = 0; i < 20; i++) {
		EXPECT_EQ(0x40, guest_call(self->vcpu, guest_inspect_deadline, 100000));
		EXPECT_EQ(1, self->vm->record->count);
	}
	kill(pid, SIGKILL);
	EXPECT_EQ(-SIGKILL, exit_status(pid));
}

/* ---- the VMCS ---- */

static u64 field(const struct thv_field *fields, u32 count, u32 encoding)
{
	u32 i;

	for (i = 0; i < count; i++)
		if (fields[i].field == encoding)
			return fields[i].value;
	return ~0ULL;
}

TEST_F(inspect, tells_the_fields_that_there_are)
{
	struct thv_regs regs = { .rip = 0x12345, .rflags = 2 };
	struct thv_field fields[256], few[4] = { };
	u32 count = ARRAY_SIZE(fields), room = 3;

	EXPECT_EQ(0, get_fields(self->control, 0, fields, &count));
	EXPECT_LT(100, count);
	ASSERT_GT(ARRAY_SIZE(fields), count);
	/* With shadow paging the processor's CR3 is not the guest's */
	EXPECT_EQ(thv_shadows(), field(fields, count, FIELD_GUEST_CR3) != GUEST_PML4);
	must_set(self->vcpu, THV_STATE_REGS, &regs);
	EXPECT_EQ(0, get_fields(self->control, 0, fields, &count));
	EXPECT_EQ(0x12345, field(fields, count, FIELD_GUEST_RIP)) TH_LOG("not yet written there");
	EXPECT_EQ(0, get_fields(self->control, 0, few, &room));
	EXPECT_EQ(count, room);
	EXPECT_EQ(fields[2].field, few[2].field);
	EXPECT_EQ(0, few[3].field);
	room = 1;
	EXPECT_EQ(-EFAULT, get_fields(self->control, 0, NULL, &room));
	room = 0;
	EXPECT_EQ(0, get_fields(self->control, 0, NULL, &room));
}

TEST_F(inspect, tells_the_hosts_addresses_to_root_alone)
{
	struct thv_field fields[256];
	u32 count = ARRAY_SIZE(fields);

	EXPECT_EQ(0, get_fields(self->control, 0, fields, &count));
	EXPECT_NE(0, field(fields, count, FIELD_HOST_RIP));
	EXPECT_NE(0, field(fields, count, FIELD_MSR_BITMAP));
	EXPECT_EQ(0, in_another_process(
		struct vm *vm;
		int control;

		or_exit(2, !setresuid(1000, 1000, 1000));
		vm = vm_create(inspect);
		control = open_vm(vm->id);
		or_exit(3, control >= 0);
		or_exit(4, !get_fields(control, 0, fields, &count));
		or_exit(5, !field(fields, count, FIELD_HOST_RIP));
		or_exit(6, !field(fields, count, FIELD_MSR_BITMAP));
		or_exit(7, thv_shadows() || !(field(fields, count, FIELD_EPT_POINTER) >> 12));
		or_exit(8, thv_shadows() || field(fields, count, FIELD_EPT_POINTER));
		or_exit(9, field(fields, count, FIELD_GUEST_CR3) ==
			   (thv_shadows() ? 0 : GUEST_PML4));
	));
}

/* ---- memory ---- */

TEST_F(inspect, reads_memory_as_far_as_it_goes)
{
	u8 *more = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	static u8 data[4 * PAGE];
	u64 end = GUEST_MEMORY;

	memset(self->vm->mem + end - PAGE, 1, PAGE);
	memset(more, 2, PAGE);
	EXPECT_EQ(100, read_memory(self->control, end - 100, data, sizeof(data)));
	must(vm_set_memory(self->vm, 1, 0, end, 2 * PAGE, more));
	EXPECT_EQ(200, read_memory(self->control, end - 100, data, 200));
	EXPECT_EQ(1, data[99]);
	EXPECT_EQ(2, data[100]);
	EXPECT_EQ(100 + 2 * PAGE, read_memory(self->control, end - 100, data, sizeof(data)));
	EXPECT_EQ(0, data[100 + PAGE]);
	munmap(more + PAGE, PAGE);
	EXPECT_EQ(100 + PAGE, read_memory(self->control, end - 100, data, sizeof(data)));
	EXPECT_EQ(-ENXIO, read_memory(self->control, end + PAGE, data, 1));
	EXPECT_EQ(-ENXIO, read_memory(self->control, GUEST_HOLE, data, 1));
	EXPECT_EQ(-ENXIO, read_memory(self->control, ~0ULL - 8, data, 8));
	EXPECT_EQ(-EINVAL, read_memory(self->control, ~0ULL - 8, data, 16));
	EXPECT_EQ(-EINVAL, read_memory(self->control, 0, data, (1 << 20) + 1));
	EXPECT_EQ(-EFAULT, read_memory(self->control, 0, NULL, 1));
	EXPECT_EQ(0, read_memory(self->control, 0, data, 0));
}

TEST_F(inspect, looking_gives_the_guest_no_memory)
{
	int memfd = memfd_create("guest", 0);
	static u8 data[1 << 20];
	struct stat before, after;
	struct thv_inspect_translate t = { .translate = { .gla = GUEST_DATA + 0x3000 } };
	struct vm *vm;
	int control;
	u8 *memory;

	ASSERT_EQ(0, ftruncate(memfd, GUEST_MEMORY));
	memory = mmap(NULL, GUEST_MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	vm = vm_create_with(inspect, .memory = memory);
	control = must(open_vm(vm->id));
	memory[GUEST_DATA] = 7;
	fstat(memfd, &before);
	EXPECT_EQ(sizeof(data), read_memory(control, GUEST_DATA, data, sizeof(data)));
	EXPECT_EQ(7, data[0]);
	EXPECT_EQ(0, data[PAGE]);
	EXPECT_EQ(0, thv_ioctl(control, THV_INSPECT_TRANSLATE, &t));
	EXPECT_EQ(THV_TRANSLATE_NOT_MAPPED, t.translate.result);
	fstat(memfd, &after);
	EXPECT_EQ(before.st_blocks, after.st_blocks);
	/* What is there, but not mapped in the launcher, is read */
	madvise(memory + GUEST_DATA, PAGE, MADV_DONTNEED);
	EXPECT_EQ(1, read_memory(control, GUEST_DATA, data, 1));
	EXPECT_EQ(7, data[0]);
}

TEST_F(inspect, looking_gives_no_anonymous_memory_either)
{
	static u8 data[1 << 20];
	unsigned char in_core[256];
	int i, pages = 0;

	EXPECT_EQ(sizeof(data), read_memory(self->control, UNTOUCHED, data, sizeof(data)));
	ASSERT_EQ(0, mincore(self->vm->mem + UNTOUCHED, sizeof(data), in_core));
	for (i = 0; i < 256; i++)
		pages += in_core[i] & 1;
	EXPECT_EQ(0, pages);
}

TEST_F(inspect, translates_as_the_launcher_is_told)
{
	static const u64 addresses[] = { GUEST_DATA + 5, GUEST_HOLE, 0x8000000000000000, 0x40000000 };
	unsigned int i;

	guest_call(self->vcpu, guest_inspect_churn, 10);
	self->vm->mem[GUEST_DATA] = 1;
	for (i = 0; i < ARRAY_SIZE(addresses); i++) {
		struct thv_translate own = { .gla = addresses[i], .access = THV_ACCESS_WRITE };
		struct thv_inspect_translate seen = { .translate = own };

		must(thv_ioctl(self->vcpu->fd, THV_TRANSLATE, &own));
		EXPECT_EQ(0, thv_ioctl(self->control, THV_INSPECT_TRANSLATE, &seen));
		EXPECT_EQ(0, memcmp(&own, &seen.translate, sizeof(own))) TH_LOG("%#llx", addresses[i]);
		EXPECT_EQ(GUEST_PML4, seen.translate.cr3);
	}
}

TEST_F(inspect, translates_from_another_process)
{
	start_spinning(self);
	EXPECT_EQ(0, in_another_process(
		struct thv_inspect_translate t = { .translate = { .gla = GUEST_RECORD } };
		int control = open_vm(self->vm->id);

		or_exit(2, !thv_ioctl(control, THV_INSPECT_TRANSLATE, &t));
		or_exit(3, t.translate.gpa == GUEST_RECORD && t.translate.levels == 4);
		or_exit(4, t.translate.level[3].entry & 1);
		or_exit(5, t.translate.hva == (uintptr_t)self->vm->record);
	));
}

/* ---- NMI, poll ---- */

TEST_F(inspect, sends_an_nmi)
{
	struct thv_vcpu_select args = { .vcpu = 0 };
	u64 since = now_us();

	self->vm->record->hook[2] = guest_inspect_nothing;
	start_spinning(self);
	ASSERT_EQ(0, thv_ioctl(self->control, THV_SEND_NMI, &args));
	while (!*(volatile u64 *)&self->vm->record->count)
		ASSERT_GT(SECONDS(20), now_us() - since);
	EXPECT_EQ(2, self->vm->record->vector);
	EXPECT_EQ(1, vm_counter(self->vm, THV_STAT_nmis));
	EXPECT_TRUE(spinning(self->control));
}

static int polled(int control, int timeout)
{
	struct pollfd poller = { .fd = control, .events = POLLIN };

	return poll(&poller, 1, timeout) > 0 ? poller.revents : 0;
}

static void *poll_for_ever(void *arg)
{
	return (void *)(long)polled((long)arg, 20000);
}

TEST_F(inspect, poll_tells_the_end)
{
	pthread_t thread;
	void *events;

	EXPECT_EQ(0, polled(self->control, 0));
	ASSERT_EQ(0, set_vm_state(self->control, THV_VM_PAUSED));
	EXPECT_EQ(0, polled(self->control, 0));
	ASSERT_EQ(0, pthread_create(&thread, NULL, poll_for_ever, (void *)(long)self->control));
	usleep(20000);
	ASSERT_EQ(0, set_vm_state(self->control, THV_VM_STOPPED));
	pthread_join(thread, &events);
	EXPECT_EQ(POLLIN, (long)events);
	vm_close(self->vm);
	EXPECT_EQ(POLLIN | POLLHUP, polled(self->control, 0));
}

TEST_F(inspect, poll_is_woken_when_a_vm_goes)
{
	pthread_t thread;
	void *events;

	ASSERT_EQ(0, pthread_create(&thread, NULL, poll_for_ever, (void *)(long)self->control));
	usleep(20000);
	vm_close(self->vm);
	pthread_join(thread, &events);
	EXPECT_EQ(POLLHUP, (long)events);
}

/* ---- ends of all kinds ---- */

/* Looks until the VM is no more; other errors than those of an end are its exit status */
static void look_until_the_end(u32 id, int *ready)
{
	static u8 data[1 << 16];
	struct thv_regs regs;
	int control = open_vm(id), err;

	do {
		struct thv_inspect_translate t = { .translate = { .gla = GUEST_DATA } };

		err = look(control, 0, THV_STATE_REGS, &regs, sizeof(regs));
		if (!err)
			err = thv_ioctl(control, THV_INSPECT_TRANSLATE, &t);
		if (!err)
			err = read_memory(control, 0, data, sizeof(data));
		if (*ready >= 0 && write(*ready, "", 1) == 1)
			*ready = -1;
	} while (err >= 0);
	_exit(err == -EIO || err == -ESRCH ? 0 : -err);
}

static pid_t start_looking(u32 id)
{
	int ends[2];
	pid_t pid;
	char byte;

	if (pipe(ends))
		fail("pipe: %s", strerror(errno));
	pid = fork();
	if (!pid) {
		close(ends[0]);
		look_until_the_end(id, &ends[1]);
	}
	close(ends[1]);
	if (read(ends[0], &byte, 1) != 1)
		fail("the inspector does not get to see anything");
	close(ends[0]);
	return pid;
}

/* A child that makes a VM, says its number and runs a guest that never ends */
static pid_t spinning_child(u32 *id)
{
	int ends[2];
	pid_t pid;

	if (pipe(ends))
		fail("pipe: %s", strerror(errno));
	pid = fork();
	if (!pid) {
		struct vm *vm = vm_create(inspect);
		pthread_t thread;

		guest_start(vm->vcpu, guest_inspect_spin, GUEST_DATA);
		pthread_create(&thread, NULL, run_forever, vm->vcpu);
		wait_for_shared(vm, 1);
		if (write(ends[1], &vm->id, sizeof(vm->id)) < 0)
			_exit(1);
		pause();
	}
	close(ends[1]);
	if (read(ends[0], id, sizeof(*id)) != sizeof(*id))
		fail("the child has not said which VM is its own");
	close(ends[0]);
	return pid;
}

TEST_F(inspect, a_launcher_is_killed_meanwhile)
{
	pid_t launcher, inspectors[2];
	u32 id;
	int round, i;

	for (round = 0; round < 5; round++) {
		launcher = spinning_child(&id);
		for (i = 0; i < 2; i++)
			inspectors[i] = start_looking(id);
		kill(launcher, SIGKILL);
		EXPECT_EQ(-SIGKILL, exit_status(launcher));
		for (i = 0; i < 2; i++)
			EXPECT_EQ(0, exit_status(inspectors[i]));
		i = open_vm(id);
		EXPECT_EQ(-ENOENT, i) TH_LOG("nobody has its descriptors, but the VM is there");
		close(i);
	}
}

TEST_F(inspect, an_inspector_is_killed_meanwhile)
{
	unsigned int seed = 4711;
	int i;

	start_spinning(self);
	for (i = 0; i < 40; i++) {
		pid_t pid = fork();

		if (!pid)
			storm(self->vm->id);
		seed = seed * 1103515245 + 12345;
		usleep(seed >> 8 & 0x3fff);
		kill(pid, SIGKILL);
		ASSERT_EQ(-SIGKILL, exit_status(pid));
	}
	EXPECT_TRUE(spinning(self->control));
}

static void *look_in_thread(void *arg)
{
	struct thv_regs regs;
	int control = (long)arg, err;

	do {
		err = look(control, 0, THV_STATE_REGS, &regs, sizeof(regs));
	} while (!err);
	return (void *)(long)err;
}

TEST_F(inspect, a_vm_is_closed_meanwhile)
{
	void *result;
	int i;

	for (i = 0; i < 20; i++) {
		struct vm *vm = vm_create(inspect);
		int control = open_vm(vm->id);
		pthread_t thread;

		ASSERT_EQ(0, pthread_create(&thread, NULL, look_in_thread, (void *)(long)control));
		usleep(500 * i);
		vm_close(vm);
		pthread_join(thread, &result);
		EXPECT_EQ(-EIO, (long)result);
		close(control);
	}
}

/* ---- refusals ---- */

TEST_F(inspect, refuses_vcpus_that_are_not_there)
{
	static const u32 ids[] = { 1, THV_MAX_VCPUS - 1, THV_MAX_VCPUS, 1U << 31, ~0U };
	struct thv_regs regs;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ids); i++) {
		struct thv_inspect_translate t = { .vcpu = ids[i] };
		struct thv_vcpu_select nmi = { .vcpu = ids[i] };
		u32 count = 0;

		EXPECT_EQ(-ENOENT, look(self->control, ids[i], THV_STATE_REGS, &regs, sizeof(regs)));
		EXPECT_EQ(-ENOENT, thv_ioctl(self->control, THV_INSPECT_TRANSLATE, &t));
		EXPECT_EQ(-ENOENT, thv_ioctl(self->control, THV_SEND_NMI, &nmi));
		EXPECT_EQ(-ENOENT, get_fields(self->control, ids[i], NULL, &count));
	}
}

TEST_F(inspect, refuses_what_it_does_not_know)
{
	struct thv_inspect_translate t = { .translate = { .access = BIT(5) } };
	struct thv_vcpu_select nmi = { .reserved = { 0, 0, 1 } };
	struct thv_msr msr = { .index = 0xdead };
	struct thv_regs regs;

	EXPECT_EQ(-EINVAL, look(self->control, 0, THV_STATE_TSC + 1, &regs, sizeof(regs)));
	EXPECT_EQ(-EINVAL, look(self->control, 0, THV_STATE_REGS, &regs, sizeof(regs) - 8));
	EXPECT_EQ(-EFAULT, look(self->control, 0, THV_STATE_REGS, NULL, sizeof(regs)));
	EXPECT_EQ(-EINVAL, look(self->control, 0, THV_STATE_MSRS, &msr, sizeof(msr)));
	EXPECT_EQ(-EINVAL, thv_ioctl(self->control, THV_INSPECT_TRANSLATE, &t));
	EXPECT_EQ(-EINVAL, thv_ioctl(self->control, THV_SEND_NMI, &nmi));
	EXPECT_EQ(-ENOTTY, look(self->vm->fd, 0, THV_STATE_REGS, &regs, sizeof(regs)));
}

TEST_F(inspect, refuses_other_users)
{
	EXPECT_EQ(0, in_another_process(
		thv_device();
		or_exit(2, !setresuid(1000, 1000, 1000));
		or_exit(3, open_vm(self->vm->id) == -EPERM);
	));
}

THV_TEST_MAIN
