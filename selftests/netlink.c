// SPDX-License-Identifier: GPL-2.0-only
/*
 * The generic netlink family: who may ask and hear what (threat 34), what is told, what malformed
 * requests come to, and that a listener knows exactly what it has missed.
 *
 * THV_TEST_EVENTS: how many events the last of these is made with (20000).
 */
#include <linux/capability.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include "kselftest_harness.h"
#include "lib/netlink.h"
#include "lib/vm.h"
#include "guests/netlink.h"

GUEST(netlink);

#define LOOK_MS	2000	/* for what has to come */
#define QUIET_MS 100	/* for what must not */

FIXTURE(netlink) {
	struct nl *nl;
	struct vm *vm;
};

FIXTURE_SETUP(netlink)
{
	self->vm = vm_create(netlink);
	self->nl = nl_open();
}

FIXTURE_TEARDOWN(netlink)
{
}

/* ---- requests ---- */

static int ask_vm(struct nl *nl, u8 command, u32 vm, nl_fn *fn, void *arg)
{
	struct nl_request request;

	nl_begin(&request, nl, command, 0);
	nl_put_device(&request);
	nl_put_u32(&request, THV_ATTR_VM, vm);
	return nl_ask(nl, &request, fn, arg);
}

static int dump(struct nl *nl, u8 command, u32 vm, nl_fn *fn, void *arg)
{
	struct nl_request request;

	nl_begin(&request, nl, command, NLM_F_DUMP);
	nl_put_device(&request);
	if (vm)
		nl_put_u32(&request, THV_ATTR_VM, vm);
	return nl_ask(nl, &request, fn, arg);
}

static void set_state(struct vm *vm, u32 state)
{
	must(thv_ioctl(vm->fd, THV_CONTROL, &(struct thv_control){ .state = state }));
}

static void pause_and_resume(struct vm *vm)
{
	set_state(vm, THV_VM_PAUSED);
	set_state(vm, THV_VM_RUNNING);
}

static void *run_forever(void *vcpu)
{
	while (!vcpu_run(vcpu))
		;
	return NULL;
}

static void start(struct vcpu *vcpu, u64 function)
{
	pthread_t thread;

	guest_start(vcpu, function);
	if (pthread_create(&thread, NULL, run_forever, vcpu))
		fail("pthread_create");
}

/* ---- what is told ---- */

struct host {
	u64 used, offered;
	u32 api_version, backend, max_vcpus, max_slots, guest_phys_bits, tsc_khz;
};

static void take_host(const struct nl_message *message, void *arg)
{
	*(struct host *)arg = (struct host){
		.api_version = nl_number(message, THV_ATTR_API_VERSION),
		.backend = nl_number(message, THV_ATTR_BACKEND),
		.offered = nl_number(message, THV_ATTR_OFFERED),
		.used = nl_number(message, THV_ATTR_USED),
		.max_vcpus = nl_number(message, THV_ATTR_MAX_VCPUS),
		.max_slots = nl_number(message, THV_ATTR_MAX_SLOTS),
		.guest_phys_bits = nl_number(message, THV_ATTR_GUEST_PHYS_BITS),
		.tsc_khz = nl_number(message, THV_ATTR_TSC_KHZ),
	};
}

TEST_F(netlink, the_host_is_what_the_ioctl_says)
{
	const struct thv_info *info = thv_info();
	struct nl_request request;
	struct host host = {};

	nl_begin(&request, self->nl, THV_CMD_GET_HOST, 0);
	nl_put_device(&request);
	ASSERT_EQ(0, nl_ask(self->nl, &request, take_host, &host));
	EXPECT_EQ(info->api_version, host.api_version);
	EXPECT_EQ(info->backend, host.backend);
	EXPECT_EQ(info->offered, host.offered);
	EXPECT_EQ(info->used, host.used);
	EXPECT_EQ(info->max_vcpus, host.max_vcpus);
	EXPECT_EQ(info->max_slots, host.max_slots);
	EXPECT_EQ(info->guest_phys_bits, host.guest_phys_bits);
	EXPECT_EQ(info->tsc_khz, host.tsc_khz);
}

/* The parts of a VM that tests look at */
struct told {
	u32 messages, id, owner, pid, state, cause, vcpus, slots, flags;
	u64 features, resident, slot_gpa, slot_size, time;
	u64 counter[THV_STATS];
	char name[THV_NAME_LEN], text[200];
};

static void take_counters(const struct nl_message *message, u64 counter[THV_STATS])
{
	unsigned int c;

	for (c = 0; c < THV_STATS; c++) {
		const struct nlattr *one = nl_nested(message->attribute[THV_ATTR_COUNTERS], c + 1);

		if (!one)
			fail("counter %u is missing", c);
		counter[c] = nl_value(one);
	}
	if (nl_nested(message->attribute[THV_ATTR_COUNTERS], THV_STATS + 1))
		fail("there is one counter too many");
}

/* Every slot: they have one attribute number */
static void take_slots(const struct nl_message *message, struct told *told)
{
	const struct nlattr *slot = message->attribute[THV_ATTR_SLOT];

	for (; slot && (slot->nla_type & NLA_TYPE_MASK) == THV_ATTR_SLOT;
	     slot = (void *)slot + NLA_ALIGN(slot->nla_len)) {
		if (!told->slots++) {
			told->slot_gpa = nl_value(nl_nested(slot, THV_SLOT_ATTR_GPA));
			told->slot_size = nl_value(nl_nested(slot, THV_SLOT_ATTR_SIZE));
		}
	}
}

static void take_vm(const struct nl_message *message, void *arg)
{
	struct told *told = arg;

	told->messages++;
	told->id = nl_number(message, THV_ATTR_VM);
	told->owner = nl_number(message, THV_ATTR_OWNER);
	told->state = nl_number(message, THV_ATTR_STATE);
	told->vcpus = nl_number(message, THV_ATTR_VCPUS);
	told->resident = nl_number(message, THV_ATTR_RESIDENT);
	told->time = nl_number(message, THV_ATTR_TIME);
	told->pid = nl_has(message, THV_ATTR_PID) ? nl_number(message, THV_ATTR_PID) : 0;
	told->cause = nl_has(message, THV_ATTR_CAUSE) ? nl_number(message, THV_ATTR_CAUSE) : 0;
	told->flags = nl_has(message, THV_ATTR_FLAGS) ? nl_number(message, THV_ATTR_FLAGS) : 0;
	told->features = nl_has(message, THV_ATTR_FEATURES) ?
			 nl_number(message, THV_ATTR_FEATURES) : 0;
	snprintf(told->name, sizeof(told->name), "%s", nl_text(message, THV_ATTR_NAME));
	snprintf(told->text, sizeof(told->text), "%s", nl_text(message, THV_ATTR_CAUSE_TEXT));
	told->slots = 0;
	take_slots(message, told);
	take_counters(message, told->counter);
}

static struct told look(struct nl *nl, u8 command, u32 vm)
{
	struct told told = {};

	must(ask_vm(nl, command, vm, take_vm, &told));
	return told;
}

TEST_F(netlink, a_vm_is_what_was_made)
{
	struct thv_vm_stats stats;
	struct told told;

	guest_call(self->vm->vcpu, guest_netlink_answer);
	must(thv_ioctl(self->vm->fd, THV_GET_STATS, &stats));
	told = look(self->nl, THV_CMD_GET_VM, self->vm->id);
	EXPECT_EQ(1, told.messages);
	EXPECT_EQ(self->vm->id, told.id);
	EXPECT_STREQ(stats.name, told.name);
	EXPECT_EQ(geteuid(), told.owner);
	EXPECT_EQ(getpid(), told.pid);
	EXPECT_EQ(THV_VM_RUNNING, told.state);
	EXPECT_EQ(THV_CAUSE_NONE, told.cause);
	EXPECT_EQ(1, told.vcpus);
	EXPECT_EQ(stats.features, told.features);
	EXPECT_EQ(0, told.flags);
	EXPECT_EQ(1, told.slots);
	EXPECT_EQ(0, told.slot_gpa);
	EXPECT_EQ(GUEST_MEMORY, told.slot_size);
	EXPECT_EQ(0, memcmp(stats.counter, told.counter, sizeof(told.counter)));
	EXPECT_LT(0, told.counter[THV_STAT_exits]);
	told = look(self->nl, THV_CMD_GET_STATS, self->vm->id);
	EXPECT_EQ(0, memcmp(stats.counter, told.counter, sizeof(told.counter)));
	EXPECT_EQ(0, told.slots);
}

TEST_F(netlink, flags_and_slots_are_told)
{
	struct vm *vm = vm_create_bare(THV_VM_NO_VPID | THV_VM_NO_HUGE);
	void *memory = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct told told;
	u32 i;

	for (i = 0; i < THV_MAX_SLOTS; i++)
		must(vm_set_memory(vm, i, 0, (1 + 2 * i) * PAGE, PAGE, memory + i * PAGE));
	told = look(self->nl, THV_CMD_GET_VM, vm->id);
	EXPECT_EQ(THV_VM_NO_VPID | THV_VM_NO_HUGE, told.flags);
	EXPECT_EQ(THV_MAX_SLOTS, told.slots);
	EXPECT_EQ(PAGE, told.slot_gpa);
	EXPECT_EQ(0, told.vcpus);
	EXPECT_EQ(0, told.resident);
}

TEST_F(netlink, resident_memory_is_what_the_guest_has_touched)
{
	void *memory = mmap(NULL, GUEST_MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			    -1, 0);
	u64 before, after;
	struct vm *vm;

	/* Or what the host takes back is more than was asked for */
	madvise(memory, GUEST_MEMORY, MADV_NOHUGEPAGE);
	vm = vm_create_with(netlink, .flags = THV_VM_NO_HUGE, .memory = memory);
	guest_call(vm->vcpu, guest_netlink_answer);
	before = look(self->nl, THV_CMD_GET_VM, vm->id).resident;
	EXPECT_LT(0, before);
	EXPECT_EQ(0, before % PAGE);
	guest_call(vm->vcpu, guest_netlink_touch, GUEST_DATA, 100);
	after = look(self->nl, THV_CMD_GET_VM, vm->id).resident;
	EXPECT_EQ(100 * PAGE, after - before);
	/* Reclaimed by the host */
	madvise(vm->mem + GUEST_DATA, 100 * PAGE, MADV_DONTNEED);
	EXPECT_EQ(before, look(self->nl, THV_CMD_GET_VM, vm->id).resident);
	must(vm_set_memory(vm, 0, 0, 0, 0, NULL));
	EXPECT_EQ(0, look(self->nl, THV_CMD_GET_VM, vm->id).resident);
}

TEST_F(netlink, resident_memory_counts_huge_pages_as_what_they_are)
{
	void *memory = mmap(NULL, 4 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			    -1, 0);
	u8 *huge = (u8 *)(((u64)memory + (2 << 20) - 1) & ~((2UL << 20) - 1));
	u64 before, grown;

	REQUIRE_FEATURE(EPT_2M);
	madvise(huge, 2 << 20, MADV_HUGEPAGE);
	*huge = 1;
	must(vm_set_memory(self->vm, 1, 0, GUEST_HOLE, 2 << 20, huge));
	guest_call(self->vm->vcpu, guest_netlink_answer);
	before = look(self->nl, THV_CMD_GET_VM, self->vm->id).resident;
	guest_call(self->vm->vcpu, guest_netlink_touch, GUEST_HOLE, 512);
	grown = look(self->nl, THV_CMD_GET_VM, self->vm->id).resident - before;
	EXPECT_EQ(2 << 20, grown);
	must(vm_set_memory(self->vm, 1, 0, 0, 0, NULL));
	EXPECT_EQ(before, look(self->nl, THV_CMD_GET_VM, self->vm->id).resident);
}

/* ---- many ---- */

struct seen {
	u32 count, twice;
	u8 ids[1 << 16];
};

static void see(const struct nl_message *message, void *arg)
{
	u32 id = nl_number(message, THV_ATTR_VM) & 0xffff;
	struct seen *seen = arg;

	seen->twice += seen->ids[id];
	seen->ids[id] = 1;
	seen->count++;
}

TEST_F(netlink, a_dump_has_every_vm_once)
{
	static struct seen seen;
	u32 ids[40], i, j;

	for (i = 0; i < 40; i++) {
		struct vm *vm = vm_create_bare(0);

		ids[i] = vm->id;
		for (j = 0; j < 20; j++)	/* slots, so that one datagram is not enough */
			must(vm_set_memory(vm, j, 0, 2 * j * PAGE, PAGE, self->vm->mem));
	}
	ASSERT_EQ(0, dump(self->nl, THV_CMD_GET_VM, 0, see, &seen));
	EXPECT_LE(41, seen.count);
	EXPECT_EQ(0, seen.twice);
	for (i = 0; i < 40; i++)
		EXPECT_EQ(1, seen.ids[ids[i] & 0xffff]);
	EXPECT_EQ(1, seen.ids[self->vm->id & 0xffff]);
}

TEST_F(netlink, vms_that_come_and_go_during_dumps_harm_nobody)
{
	static struct seen seen;
	pid_t pid = fork();
	int i;

	if (!pid)
		while (1)
			vm_close(vm_create(netlink));
	for (i = 0; i < 200; i++) {
		memset(&seen, 0, sizeof(seen));
		ASSERT_EQ(0, dump(self->nl, THV_CMD_GET_VM, 0, see, &seen));
		EXPECT_EQ(1, seen.ids[self->vm->id & 0xffff]);
		EXPECT_EQ(0, seen.twice);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

struct vcpus {
	u32 count, activity[THV_MAX_VCPUS], mp_state[THV_MAX_VCPUS], terminal[THV_MAX_VCPUS];
	int cpu[THV_MAX_VCPUS];
	u64 exits;
};

static void take_vcpu(const struct nl_message *message, void *arg)
{
	u32 id = nl_number(message, THV_ATTR_VCPU);
	struct vcpus *vcpus = arg;
	u64 counter[THV_STATS];

	take_counters(message, counter);
	vcpus->count++;
	vcpus->exits += counter[THV_STAT_exits];
	vcpus->activity[id] = nl_number(message, THV_ATTR_ACTIVITY);
	vcpus->mp_state[id] = nl_number(message, THV_ATTR_MP_STATE);
	vcpus->cpu[id] = nl_has(message, THV_ATTR_CPU) ? (int)nl_number(message, THV_ATTR_CPU) : -1;
	vcpus->terminal[id] = nl_has(message, THV_ATTR_TERMINAL) ?
			      nl_number(message, THV_ATTR_TERMINAL) : 0;
}

static struct vcpus look_at_vcpus(struct nl *nl, u32 vm)
{
	struct vcpus vcpus = {};

	must(dump(nl, THV_CMD_GET_VCPU, vm, take_vcpu, &vcpus));
	return vcpus;
}

TEST_F(netlink, every_vcpu_is_told)
{
	struct vcpus vcpus;
	u32 i;

	for (i = 1; i < THV_MAX_VCPUS; i++)
		vcpu_create(self->vm, i);
	guest_call(self->vm->vcpu, guest_netlink_answer);
	vcpus = look_at_vcpus(self->nl, self->vm->id);
	EXPECT_EQ(THV_MAX_VCPUS, vcpus.count);
	EXPECT_EQ(vm_counter(self->vm, THV_STAT_exits), vcpus.exits);
	EXPECT_EQ(THV_MP_RUNNING, vcpus.mp_state[0]);
	EXPECT_EQ(THV_MP_WAIT_SIPI, vcpus.mp_state[1]);
	EXPECT_EQ(THV_ACTIVITY_LAUNCHER, vcpus.activity[0]);
	EXPECT_LE(0, vcpus.cpu[0]);
}

/* Does the activity come about, sooner or later? */
static bool becomes(struct nl *nl, struct vm *vm, u32 vcpu, u32 activity)
{
	u64 since = now_us();

	do {
		if (look_at_vcpus(nl, vm->id).activity[vcpu] == activity)
			return true;
		usleep(1000);
	} while (now_us() - since < LOOK_MS * 1000);
	return false;
}

TEST_F(netlink, a_vcpus_activity_is_what_it_does)
{
	struct vcpu *sleeper = vcpu_create(self->vm, 1), *waiter = vcpu_create(self->vm, 2);
	pthread_t thread;

	REQUIRE(sysconf(_SC_NPROCESSORS_ONLN) > 1,
		"where there is one CPU, who asks has it, and not the guest");
	vcpu_mode64(sleeper);
	EXPECT_TRUE(becomes(self->nl, self->vm, 0, THV_ACTIVITY_LAUNCHER));
	start(self->vm->vcpu, guest_netlink_spin);
	EXPECT_TRUE(becomes(self->nl, self->vm, 0, THV_ACTIVITY_GUEST));
	must(vcpu_set(sleeper, THV_STATE_EVENTS, &(struct thv_event_state){},
		      sizeof(struct thv_event_state)));
	start(sleeper, guest_netlink_sleep);
	EXPECT_TRUE(becomes(self->nl, self->vm, 1, THV_ACTIVITY_HALTED));
	ASSERT_EQ(0, pthread_create(&thread, NULL, run_forever, waiter));
	EXPECT_TRUE(becomes(self->nl, self->vm, 2, THV_ACTIVITY_WAITING));
	set_state(self->vm, THV_VM_PAUSED);
	EXPECT_TRUE(becomes(self->nl, self->vm, 0, THV_ACTIVITY_PAUSED));
	EXPECT_TRUE(becomes(self->nl, self->vm, 1, THV_ACTIVITY_PAUSED));
	set_state(self->vm, THV_VM_STOPPED);
	EXPECT_TRUE(becomes(self->nl, self->vm, 0, THV_ACTIVITY_LAUNCHER));
}

/* ---- what happens ---- */

struct happening {
	u32 vm, event, cause, state;
	int vcpu;		/* -1: the VM's */
	char text[200];
};

/* The next event, numbered in sequence */
static struct happening expect_next(struct __test_metadata *_metadata, struct nl *nl, u64 sequence)
{
	struct happening happening = { .event = -1 };
	struct nl_message message;
	int result = nl_listen(nl, &message, LOOK_MS);

	EXPECT_EQ(1, result) TH_LOG("nothing came as number %llu", sequence);
	if (result != 1)
		return happening;
	EXPECT_EQ(THV_CMD_LIFECYCLE, message.command);
	EXPECT_EQ(sequence, nl_number(&message, THV_ATTR_SEQUENCE));
	EXPECT_LT(0, nl_number(&message, THV_ATTR_TIME));
	if (nl_has(&message, THV_ATTR_LOST))
		EXPECT_EQ(0, nl_number(&message, THV_ATTR_LOST));
	happening.vm = nl_number(&message, THV_ATTR_VM);
	happening.event = nl_number(&message, THV_ATTR_EVENT);
	happening.state = nl_number(&message, THV_ATTR_STATE);
	happening.cause = nl_has(&message, THV_ATTR_CAUSE) ?
			  nl_number(&message, THV_ATTR_CAUSE) : 0;
	happening.vcpu = nl_has(&message, THV_ATTR_VCPU) ? (int)nl_number(&message, THV_ATTR_VCPU) : -1;
	snprintf(happening.text, sizeof(happening.text), "%s",
		 nl_text(&message, THV_ATTR_CAUSE_TEXT));
	return happening;
}

#define EXPECT_HAPPENS(nl, sequence, _event, _vcpu, _cause) do {			\
	struct happening __happening = expect_next(_metadata, nl, sequence);		\
	EXPECT_EQ(THV_LIFECYCLE_##_event, __happening.event);				\
	EXPECT_EQ(_vcpu, __happening.vcpu);						\
	EXPECT_EQ(THV_CAUSE_##_cause, __happening.cause);				\
} while (0)

static void expect_quiet(struct __test_metadata *_metadata, struct nl *nl)
{
	struct nl_message message;

	EXPECT_EQ(0, nl_listen(nl, &message, QUIET_MS));
}

TEST_F(netlink, a_life_is_told_in_its_order)
{
	struct nl *group = nl_open();
	struct thv_open_vm open = {};
	struct nl_message message;
	struct vm *vm;
	u64 first;
	int control;

	ASSERT_EQ(0, nl_subscribe(self->nl, THV_GROUP_LIFECYCLE, 0, 0));
	ASSERT_EQ(0, nl_join(group));
	vm = vm_create(netlink);
	guest_call(vm->vcpu, guest_netlink_answer);
	guest_call(vm->vcpu, guest_netlink_answer);
	pause_and_resume(vm);
	pause_and_resume(vm);
	open.id = vm->id;
	control = must(thv_ioctl(thv_device(), THV_OPEN_VM, &open));
	set_state(vm, THV_VM_STOPPED);
	set_state(vm, THV_VM_STOPPED);
	must(thv_ioctl(control, THV_CONTROL, &(struct thv_control){ .state = THV_VM_DEAD }));
	vm_close(vm);
	EXPECT_HAPPENS(self->nl, 1, CREATED, -1, NONE);
	EXPECT_HAPPENS(self->nl, 2, CREATED, 0, NONE);
	EXPECT_HAPPENS(self->nl, 3, STARTED, -1, NONE);
	EXPECT_HAPPENS(self->nl, 4, STARTED, 0, NONE);
	EXPECT_HAPPENS(self->nl, 5, PAUSED, -1, LAUNCHER);
	EXPECT_HAPPENS(self->nl, 6, RESUMED, -1, LAUNCHER);
	EXPECT_HAPPENS(self->nl, 7, PAUSED, -1, LAUNCHER);
	EXPECT_HAPPENS(self->nl, 8, RESUMED, -1, LAUNCHER);
	EXPECT_HAPPENS(self->nl, 9, STOPPED, -1, LAUNCHER);
	EXPECT_HAPPENS(self->nl, 10, KILLED, -1, LAUNCHER);
	EXPECT_HAPPENS(self->nl, 11, DESTROYED, 0, LAUNCHER);
	EXPECT_HAPPENS(self->nl, 12, DESTROYED, -1, LAUNCHER);
	expect_quiet(_metadata, self->nl);
	/* The multicast group has been told the same */
	ASSERT_EQ(1, nl_listen(group, &message, LOOK_MS));
	first = nl_number(&message, THV_ATTR_SEQUENCE);
	EXPECT_EQ(THV_LIFECYCLE_CREATED, nl_number(&message, THV_ATTR_EVENT));
	EXPECT_HAPPENS(group, first + 1, CREATED, 0, NONE);
	EXPECT_HAPPENS(group, first + 2, STARTED, -1, NONE);
	nl_close(group);
}

/* From another process, which is not the launcher */
static int control_from_outside(u32 id, u32 state)
{
	struct thv_open_vm open = { .id = id };
	pid_t pid = fork();
	int status;

	if (!pid) {
		int control = must(thv_ioctl(thv_device(), THV_OPEN_VM, &open));

		must(thv_ioctl(control, THV_CONTROL, &(struct thv_control){ .state = state }));
		_exit(0);
	}
	waitpid(pid, &status, 0);
	return status;
}

TEST_F(netlink, who_stops_a_vm_is_told)
{
	struct told told;

	ASSERT_EQ(0, nl_subscribe(self->nl, THV_GROUP_LIFECYCLE, self->vm->id, 0));
	ASSERT_EQ(0, control_from_outside(self->vm->id, THV_VM_STOPPED));
	EXPECT_HAPPENS(self->nl, 1, STOPPED, -1, CONTROL);
	told = look(self->nl, THV_CMD_GET_VM, self->vm->id);
	EXPECT_EQ(THV_VM_STOPPED, told.state);
	EXPECT_EQ(THV_CAUSE_CONTROL, told.cause);
	EXPECT_NE(NULL, strstr(told.text, "control descriptor"));
}

TEST_F(netlink, a_triple_fault_is_told_once_with_its_vcpu)
{
	struct vcpu *second = vcpu_create(self->vm, 1);
	struct told told;

	vcpu_mode64(second);
	must(vcpu_set(second, THV_STATE_EVENTS, &(struct thv_event_state){},
		      sizeof(struct thv_event_state)));
	ASSERT_EQ(0, nl_subscribe(self->nl, THV_GROUP_LIFECYCLE, self->vm->id, 0));
	guest_start(second, guest_netlink_triple_fault);
	run_until(second, THV_EXIT_SHUTDOWN);
	run_until(second, THV_EXIT_SHUTDOWN);
	EXPECT_HAPPENS(self->nl, 1, STARTED, -1, NONE);
	EXPECT_HAPPENS(self->nl, 2, STARTED, 1, NONE);
	EXPECT_HAPPENS(self->nl, 3, FAILED, 1, SHUTDOWN);
	expect_quiet(_metadata, self->nl);
	told = look(self->nl, THV_CMD_GET_VM, self->vm->id);
	EXPECT_EQ(THV_VM_RUNNING, told.state);
	EXPECT_EQ(THV_CAUSE_SHUTDOWN, told.cause);
	EXPECT_STREQ("vCPU 1: the guest shut its processor down (triple fault)", told.text);
	EXPECT_EQ(THV_EXIT_SHUTDOWN, look_at_vcpus(self->nl, self->vm->id).terminal[1]);
	EXPECT_EQ(0, look_at_vcpus(self->nl, self->vm->id).terminal[0]);
	/* What ended it first remains the cause */
	set_state(self->vm, THV_VM_STOPPED);
	EXPECT_HAPPENS(self->nl, 4, STOPPED, -1, LAUNCHER);
	EXPECT_EQ(THV_CAUSE_SHUTDOWN, look(self->nl, THV_CMD_GET_VM, self->vm->id).cause);
}

TEST_F(netlink, a_process_that_is_killed_is_told_as_its_vms_end)
{
	struct nl_message message;
	int ends[2];
	pid_t pid;
	u32 id;

	ASSERT_EQ(0, pipe(ends));
	pid = fork();
	if (!pid) {
		struct vm *vm = vm_create(netlink);

		start(vm->vcpu, guest_netlink_spin);
		if (write(ends[1], &vm->id, sizeof(id)) < 0)
			_exit(1);
		pause();
	}
	ASSERT_EQ(sizeof(id), read(ends[0], &id, sizeof(id)));
	ASSERT_EQ(0, nl_subscribe(self->nl, THV_GROUP_LIFECYCLE, id, 0));
	EXPECT_EQ(pid, look(self->nl, THV_CMD_GET_VM, id).pid);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	do {
		ASSERT_EQ(1, nl_listen(self->nl, &message, LOOK_MS));
		EXPECT_EQ(id, nl_number(&message, THV_ATTR_VM));
	} while (nl_number(&message, THV_ATTR_EVENT) != THV_LIFECYCLE_DESTROYED ||
		 nl_has(&message, THV_ATTR_VCPU));
	EXPECT_EQ(-ENOENT, ask_vm(self->nl, THV_CMD_GET_VM, id, NULL, NULL));
}

/* ---- figures now and then ---- */

TEST_F(netlink, figures_come_at_the_chosen_period_to_whom_they_are_for)
{
	struct nl *all = nl_open(), *one = nl_open();
	struct vm *other = vm_create_bare(0);
	struct nl_message message;
	u64 since, last = 0, sequence;

	ASSERT_EQ(0, nl_subscribe(one, THV_GROUP_STATS, self->vm->id, 100));
	since = now_us();
	for (sequence = 1; sequence <= 5; sequence++) {
		ASSERT_EQ(1, nl_listen(one, &message, LOOK_MS));
		ASSERT_EQ(THV_CMD_STATS, message.command);
		EXPECT_EQ(self->vm->id, nl_number(&message, THV_ATTR_VM));
		EXPECT_EQ(sequence, nl_number(&message, THV_ATTR_SEQUENCE));
		EXPECT_EQ(0, nl_number(&message, THV_ATTR_LOST));
		EXPECT_TRUE(nl_has(&message, THV_ATTR_COUNTERS));
		/* Timers end at ticks: they may be a little early */
		if (last)
			EXPECT_LE(90000000ULL, nl_number(&message, THV_ATTR_TIME) - last);
		last = nl_number(&message, THV_ATTR_TIME);
	}
	EXPECT_LE(450000ULL, now_us() - since);
	/* Another period, for all; and what the first one asked for is over */
	ASSERT_EQ(0, nl_subscribe(all, THV_GROUP_STATS, 0, 200));
	ASSERT_EQ(1, nl_listen(all, &message, LOOK_MS));
	EXPECT_EQ(self->vm->id, nl_number(&message, THV_ATTR_VM));
	ASSERT_EQ(1, nl_listen(all, &message, LOOK_MS));
	EXPECT_EQ(other->id, nl_number(&message, THV_ATTR_VM));
	ASSERT_EQ(0, nl_subscribe(one, THV_GROUP_STATS, 0, 3600000));
	while (nl_listen(one, &message, 0))
		;
	expect_quiet(_metadata, one);
	expect_quiet(_metadata, one);
	nl_close(all);
	nl_close(one);
}

static int unsubscribe(struct nl *nl, u32 group)
{
	struct nl_request request;

	nl_begin(&request, nl, THV_CMD_UNSUBSCRIBE, 0);
	nl_put_u32(&request, THV_ATTR_GROUP, group);
	return nl_ask(nl, &request, NULL, NULL);
}

TEST_F(netlink, who_unsubscribes_hears_no_more)
{
	ASSERT_EQ(0, nl_subscribe(self->nl, THV_GROUP_LIFECYCLE, 0, 0));
	ASSERT_EQ(0, nl_subscribe(self->nl, THV_GROUP_STATS, 0, 100));
	EXPECT_EQ(0, unsubscribe(self->nl, THV_GROUP_STATS));
	EXPECT_EQ(-ENOENT, unsubscribe(self->nl, THV_GROUP_STATS));
	set_state(self->vm, THV_VM_PAUSED);
	EXPECT_HAPPENS(self->nl, 1, PAUSED, -1, LAUNCHER);
	EXPECT_EQ(0, unsubscribe(self->nl, THV_GROUP_LIFECYCLE));
	set_state(self->vm, THV_VM_RUNNING);
	expect_quiet(_metadata, self->nl);
	EXPECT_EQ(-ENOENT, unsubscribe(self->nl, THV_GROUP_LIFECYCLE));
	EXPECT_NE(0, self->nl->text[0]);
}

/* ---- sockets that close ---- */

TEST_F(netlink, a_closed_socket_leaves_nothing_to_the_next_of_its_number)
{
	struct nl_message message;
	struct nl *nl;
	u32 port;
	int i;

	for (i = 0; i < 100; i++) {
		nl = nl_open();
		port = nl->portid;
		ASSERT_EQ(0, nl_subscribe(nl, THV_GROUP_LIFECYCLE, 0, 0));
		ASSERT_EQ(0, nl_subscribe(nl, THV_GROUP_STATS, 0, 100));
		set_state(self->vm, i & 1 ? THV_VM_RUNNING : THV_VM_PAUSED);	/* never read */
		nl_close(nl);
		nl = nl_open_port(port);
		ASSERT_NE(NULL, nl);
		set_state(self->vm, i & 1 ? THV_VM_PAUSED : THV_VM_RUNNING);
		ASSERT_EQ(0, nl_listen(nl, &message, 0));
		ASSERT_EQ(-ENOENT, unsubscribe(nl, THV_GROUP_LIFECYCLE));
		ASSERT_EQ(-ENOENT, unsubscribe(nl, THV_GROUP_STATS));
		nl_close(nl);
	}
	expect_quiet(_metadata, self->nl);
}

static void *toggle(void *vm)
{
	while (1)
		pause_and_resume(vm);
	return NULL;
}

TEST_F(netlink, listeners_killed_at_random_harm_nobody)
{
	unsigned int seed = 4711;
	pthread_t thread;
	int i;

	ASSERT_EQ(0, pthread_create(&thread, NULL, toggle, self->vm));
	for (i = 0; i < 60; i++) {
		pid_t pid = fork();

		if (!pid) {
			while (1) {
				struct nl *nl = nl_open();

				must(nl_subscribe(nl, THV_GROUP_LIFECYCLE, 0, 0));
				must(nl_subscribe(nl, THV_GROUP_STATS, 0, 100));
				usleep(100);
				if (!(++seed & 3))
					nl_close(nl);
			}
		}
		seed = seed * 1103515245 + 12345;
		usleep(seed >> 8 & 0x3fff);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	ASSERT_EQ(0, nl_subscribe(self->nl, THV_GROUP_LIFECYCLE, 0, 0)) TH_LOG("their places are not free");
}

TEST_F(netlink, a_user_has_so_many_listeners_and_no_more)
{
	struct nl *nl[THV_MAX_LISTENERS];
	int i;

	for (i = 0; i < THV_MAX_LISTENERS; i++) {
		nl[i] = nl_open();
		ASSERT_EQ(0, nl_subscribe(nl[i], THV_GROUP_LIFECYCLE, 0, 0));
	}
	EXPECT_EQ(-EUSERS, nl_subscribe(self->nl, THV_GROUP_LIFECYCLE, 0, 0));
	EXPECT_NE(0, self->nl->text[0]);
	EXPECT_EQ(0, nl_subscribe(nl[0], THV_GROUP_LIFECYCLE, 0, 0)) TH_LOG("in its own place");
	nl_close(nl[0]);
	EXPECT_EQ(0, nl_subscribe(self->nl, THV_GROUP_LIFECYCLE, 0, 0));
	for (i = 1; i < THV_MAX_LISTENERS; i++)
		nl_close(nl[i]);
}

/* ---- malformed ---- */

/* A request, and whether something of it is wrong */
static const struct {
	const char *what;
	u8 command;
	u16 flags;
	struct { u16 type, size; u32 value; } attribute[4];	/* beside the device */
	int error;
	bool sentence;		/* of ours or netlink's; of a dump, not before 6.3 */
} malformed[] = {
	{ "a command that is not", __THV_CMD_END, 0, {}, -EOPNOTSUPP, false },
	{ "command 0", THV_CMD_UNSPEC, 0, {}, -EOPNOTSUPP, false },
	{ "an event as a request", THV_CMD_LIFECYCLE, 0, {}, -EOPNOTSUPP, false },
	{ "a do that is only a dump", THV_CMD_GET_VCPU, 0, { { THV_ATTR_VM, 4, 1 } }, -EOPNOTSUPP, false },
	{ "a dump that is only a do", THV_CMD_GET_HOST, NLM_F_DUMP, {}, -EOPNOTSUPP, false },
	{ "no VM", THV_CMD_GET_VM, 0, {}, -EINVAL, true },
	{ "no VM to list vCPUs of", THV_CMD_GET_VCPU, NLM_F_DUMP, {}, -EINVAL, false },
	{ "VM 0", THV_CMD_GET_VM, 0, { { THV_ATTR_VM, 4, 0 } }, -ENOENT, true },
	{ "the last VM there could be", THV_CMD_GET_VM, 0, { { THV_ATTR_VM, 4, 0x7fffffff } }, -ENOENT, true },
	{ "a VM of 2^31", THV_CMD_GET_VM, 0, { { THV_ATTR_VM, 4, 0x80000000 } }, -ENOENT, true },
	{ "a VM of 2^32-1", THV_CMD_GET_VCPU, NLM_F_DUMP, { { THV_ATTR_VM, 4, ~0U } }, -ENOENT, false },
	{ "a VM of two bytes", THV_CMD_GET_VM, 0, { { THV_ATTR_VM, 2, 1 } }, -EINVAL, true },
	{ "a VM of no bytes", THV_CMD_GET_VM, 0, { { THV_ATTR_VM, 0, 1 } }, -EINVAL, true },
	{ "an attribute that is another request's", THV_CMD_GET_VM, 0,
	  { { THV_ATTR_VM, 4, 1 }, { THV_ATTR_PERIOD, 4, 100 } }, -EINVAL, true },
	{ "... in a dump", THV_CMD_GET_VM, NLM_F_DUMP, { { THV_ATTR_PERIOD, 4, 100 } }, -EINVAL, true },
	{ "an attribute that is only told", THV_CMD_SUBSCRIBE, 0,
	  { { THV_ATTR_GROUP, 4, 1 }, { THV_ATTR_NAME, 4, 1 } }, -EINVAL, true },
	{ "an attribute that is not", THV_CMD_GET_HOST, 0, { { __THV_ATTR_END, 4, 1 } }, -EINVAL, true },
	{ "attribute 0", THV_CMD_GET_HOST, 0, { { 0, 4, 1 } }, -EINVAL, true },
	{ "the highest attribute", THV_CMD_GET_HOST, 0, { { (u16)NLA_TYPE_MASK, 4, 1 } }, -EINVAL, true },
	{ "no group", THV_CMD_SUBSCRIBE, 0, {}, -EINVAL, true },
	{ "group 0", THV_CMD_SUBSCRIBE, 0, { { THV_ATTR_GROUP, 4, 0 } }, -ERANGE, true },
	{ "group 3", THV_CMD_SUBSCRIBE, 0, { { THV_ATTR_GROUP, 4, 3 } }, -ERANGE, true },
	{ "figures without a period", THV_CMD_SUBSCRIBE, 0, { { THV_ATTR_GROUP, 4, 2 } }, -EINVAL, true },
	{ "events with a period", THV_CMD_SUBSCRIBE, 0,
	  { { THV_ATTR_GROUP, 4, 1 }, { THV_ATTR_PERIOD, 4, 100 } }, -EINVAL, true },
	{ "too short a period", THV_CMD_SUBSCRIBE, 0,
	  { { THV_ATTR_GROUP, 4, 2 }, { THV_ATTR_PERIOD, 4, THV_PERIOD_MIN - 1 } }, -ERANGE, true },
	{ "too long a period", THV_CMD_SUBSCRIBE, 0,
	  { { THV_ATTR_GROUP, 4, 2 }, { THV_ATTR_PERIOD, 4, THV_PERIOD_MAX + 1 } }, -ERANGE, true },
	{ "a listener of a VM that is not", THV_CMD_SUBSCRIBE, 0,
	  { { THV_ATTR_GROUP, 4, 1 }, { THV_ATTR_VM, 4, 0x7fffffff } }, -ENOENT, true },
	{ "an end of nothing", THV_CMD_UNSUBSCRIBE, 0, {}, -EINVAL, true },
};

TEST_F(netlink, malformed_requests_are_refused)
{
	struct nl_request request;
	unsigned int i, j;
	int error;

	for (i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
		nl_begin(&request, self->nl, malformed[i].command, malformed[i].flags);
		if (malformed[i].command != THV_CMD_UNSUBSCRIBE)
			nl_put_device(&request);
		for (j = 0; j < 4 && malformed[i].error != -EOPNOTSUPP; j++)
			if (malformed[i].attribute[j].type || malformed[i].attribute[j].size)
				nl_put(&request, malformed[i].attribute[j].type,
				       &malformed[i].attribute[j].value, malformed[i].attribute[j].size);
		error = nl_ask(self->nl, &request, NULL, NULL);
		EXPECT_EQ(malformed[i].error, error) TH_LOG("%s: %s", malformed[i].what, self->nl->text);
		if (malformed[i].sentence)
			EXPECT_NE(0, self->nl->text[0]) TH_LOG("%s: no sentence", malformed[i].what);
	}
	EXPECT_EQ(42, guest_call(self->vm->vcpu, guest_netlink_answer));
}

/* Lengths that lie, and noise: any answer but a harm */
TEST_F(netlink, noise_harms_nobody)
{
	struct nl_request request;
	unsigned int seed = 99, i, j;
	struct nl *nl = nl_open();

	for (i = 0; i < 3000; i++) {
		nl_begin(&request, nl, 1 + seed % (THV_CMD_UNSUBSCRIBE), i & 1 ? 0 : NLM_F_DUMP);
		nl_put_device(&request);
		nl_put_u32(&request, THV_ATTR_VM, self->vm->id);
		nl_put_u32(&request, THV_ATTR_GROUP, 1);
		for (j = 0; j < 4; j++) {
			seed = seed * 1103515245 + 12345;
			request.attributes[seed >> 8 & 31] = seed >> 16;
		}
		send(nl->fd, &request, request.header.nlmsg_len - (seed >> 20 & 3), 0);
		while (recv(nl->fd, request.attributes, sizeof(request.attributes), MSG_DONTWAIT) > 0)
			;
	}
	nl_close(nl);
	EXPECT_EQ(42, guest_call(self->vm->vcpu, guest_netlink_answer));
	EXPECT_EQ(1, look(self->nl, THV_CMD_GET_VM, self->vm->id).messages);
}

/* ---- who may (threat 34) ---- */

enum namespaces { INITIAL, USER, NET, USER_AND_NET };

enum shows { NOTHING, DEVICE, NULL_DEVICE, PATH_ONLY };

/* Someone, and what the operations come to, of a VM that user 1000 has made in the initial namespaces */
struct someone {
	const char *who;
	uid_t uid;
	bool capable;		/* CAP_SYS_ADMIN kept */
	enum namespaces namespaces;
	enum shows shows;
	int host;		/* THV_CMD_GET_HOST, and any dump of VMs */
	int vm;			/* what is about the VM */
	bool sees;		/* it is in a dump, and events of it come */
};

#define ADMIN true
static const struct someone someones[] = {
	{ "root", 0, ADMIN, INITIAL, NOTHING, 0, 0, true },
	{ "root with the device", 0, ADMIN, INITIAL, DEVICE, 0, 0, true },
	{ "root without the capability", 0, false, INITIAL, DEVICE, 0, -EPERM, false },
	{ "... nor the device", 0, false, INITIAL, NOTHING, -EACCES, -EACCES, false },
	{ "another user with the capability", 1001, ADMIN, INITIAL, NOTHING, 0, 0, true },
	{ "root elsewhere in the net", 0, ADMIN, NET, DEVICE, 0, -ENOENT, false },
	{ "the owner", 1000, false, INITIAL, DEVICE, 0, 0, true },
	{ "the owner without the device", 1000, false, INITIAL, NOTHING, -EACCES, -EACCES, false },
	{ "the owner with /dev/null", 1000, false, INITIAL, NULL_DEVICE, -EACCES, -EACCES, false },
	{ "the owner with a path to it", 1000, false, INITIAL, PATH_ONLY, -EACCES, -EACCES, false },
	{ "the owner as root of a user namespace", 1000, false, USER, DEVICE, 0, 0, true },
	{ "... without the device", 1000, false, USER, NOTHING, -EACCES, -EACCES, false },
	{ "the owner as root of namespaces", 1000, false, USER_AND_NET, DEVICE, 0, -ENOENT, false },
	{ "another", 1001, false, INITIAL, DEVICE, 0, -EPERM, false },
	{ "another without the device", 1001, false, INITIAL, NOTHING, -EACCES, -EACCES, false },
	{ "another as root of a user namespace", 1001, false, USER, DEVICE, 0, -EPERM, false },
	{ "... without the device", 1001, false, USER, NOTHING, -EACCES, -EACCES, false },
	{ "another as root of namespaces", 1001, false, USER_AND_NET, DEVICE, 0, -ENOENT, false },
	{ "... without the device", 1001, false, USER_AND_NET, NOTHING, -EACCES, -EACCES, false },
	{ "nobody with the device", 65534, false, INITIAL, DEVICE, 0, -EPERM, false },
	{ "nobody", 65534, false, INITIAL, NOTHING, -EACCES, -EACCES, false },
};

/* What someone got; in memory shared with the parent */
struct result {
	int host, vm, stats, vcpus, dump, subscribe, subscribe_vm, subscribe_stats, join;
	u32 seen, seen_others;	/* messages of a dump: the VM; any other */
	u32 events, figures, multicast;
	atomic_int ready, told;
};

static void drop_capability(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = {};

	syscall(SYS_capget, &header, data);
	data[CAP_SYS_ADMIN / 32].effective &= ~(1U << CAP_SYS_ADMIN % 32);
	data[CAP_SYS_ADMIN / 32].permitted &= ~(1U << CAP_SYS_ADMIN % 32);
	if (syscall(SYS_capset, &header, data))
		fail("capset: %s", strerror(errno));
}

/* Another user, and still with that one capability */
static void set_user_with_capability(uid_t uid)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = {};

	prctl(PR_SET_KEEPCAPS, 1);
	if (setresuid(uid, uid, uid))
		fail("setresuid: %s", strerror(errno));
	data[CAP_SYS_ADMIN / 32].effective = 1U << CAP_SYS_ADMIN % 32;
	data[CAP_SYS_ADMIN / 32].permitted = 1U << CAP_SYS_ADMIN % 32;
	if (syscall(SYS_capset, &header, data))
		fail("capset: %s", strerror(errno));
}

static void become(const struct someone *someone)
{
	static const int flags[] = {
		[INITIAL] = 0, [USER] = CLONE_NEWUSER, [NET] = CLONE_NEWNET,
		[USER_AND_NET] = CLONE_NEWUSER | CLONE_NEWNET,
	};

	if (someone->namespaces == NET && unshare(CLONE_NEWNET))
		fail("unshare: %s", strerror(errno));
	if (someone->uid && someone->capable)
		set_user_with_capability(someone->uid);
	else if (someone->uid && (setgid(someone->uid) || setresuid(someone->uid, someone->uid, someone->uid)))
		fail("setresuid: %s", strerror(errno));
	if (!someone->uid && !someone->capable)
		drop_capability();
	if (someone->namespaces != NET && unshare(flags[someone->namespaces]))
		fail("unshare: %s", strerror(errno));
}

static int shown(enum shows shows)
{
	switch (shows) {
	case DEVICE:
		return thv_device();
	case NULL_DEVICE:
		return open("/dev/null", O_RDWR);
	case PATH_ONLY:
		return open("/dev/thv", O_PATH);
	default:
		return -1;
	}
}

struct counting {
	struct result *result;
	u32 vm;
};

static void count_seen(const struct nl_message *message, void *arg)
{
	struct counting *counting = arg;

	if (nl_number(message, THV_ATTR_VM) == counting->vm)
		counting->result->seen++;
	else
		counting->result->seen_others++;
}

/* Each operation with what someone can show */
static int try(struct nl *nl, const struct someone *someone, u8 command, u16 flags, u32 group, u32 vm,
	       struct counting *counting)
{
	struct nl_request request;

	nl_begin(&request, nl, command, flags);
	if (someone->shows != NOTHING)
		nl_put_u32(&request, THV_ATTR_DEVICE, shown(someone->shows));
	if (vm)
		nl_put_u32(&request, THV_ATTR_VM, vm);
	if (group)
		nl_put_u32(&request, THV_ATTR_GROUP, group);
	if (group == THV_GROUP_STATS)
		nl_put_u32(&request, THV_ATTR_PERIOD, THV_PERIOD_MIN);
	return nl_ask(nl, &request, counting ? count_seen : NULL, counting);
}

/* Of that VM, among the next few */
static u32 count_messages(struct nl *nl, u32 vm)
{
	struct nl_message message;
	u32 count = 0, i;

	for (i = 0; i < 10 && count < 3; i++) {
		if (nl_listen(nl, &message, 2 * THV_PERIOD_MIN) != 1)
			break;
		count += nl_number(&message, THV_ATTR_VM) == vm;
	}
	return count;
}

/* As the parent left it: the device open, if it may be shown */
static void be_someone(const struct someone *someone, u32 vm, struct result *result)
{
	struct nl *nl, *stats, *group;
	struct counting counting = { result, vm };

	become(someone);
	nl = nl_open();
	stats = nl_open();
	group = nl_open();
	result->host = try(nl, someone, THV_CMD_GET_HOST, 0, 0, 0, NULL);
	result->vm = try(nl, someone, THV_CMD_GET_VM, 0, 0, vm, NULL);
	result->stats = try(nl, someone, THV_CMD_GET_STATS, 0, 0, vm, NULL);
	result->vcpus = try(nl, someone, THV_CMD_GET_VCPU, NLM_F_DUMP, 0, vm, NULL);
	result->dump = try(nl, someone, THV_CMD_GET_VM, NLM_F_DUMP, 0, 0, &counting);
	result->subscribe_vm = try(nl, someone, THV_CMD_SUBSCRIBE, 0, THV_GROUP_LIFECYCLE, vm, NULL);
	result->subscribe = try(nl, someone, THV_CMD_SUBSCRIBE, 0, THV_GROUP_LIFECYCLE, 0, NULL);
	result->subscribe_stats = try(stats, someone, THV_CMD_SUBSCRIBE, 0, THV_GROUP_STATS, 0, NULL);
	result->join = nl_join(group);
	result->ready = 1;
	while (!result->told)
		usleep(1000);
	result->events = count_messages(nl, vm);
	result->multicast = count_messages(group, vm);
	result->figures = count_messages(stats, vm);
	_exit(0);
}

/* A VM of user 1000, in the initial namespaces */
static struct vm *vm_of_owner(void)
{
	struct vm *vm;

	thv_device();
	must(seteuid(1000));
	vm = vm_create_bare(0);
	must(seteuid(0));
	vcpu_create(vm, 0);
	return vm;
}

static void expect_someone(struct __test_metadata *_metadata, const struct someone *someone,
			   const struct result *result)
{
	bool group = someone->capable && someone->namespaces == INITIAL;

	EXPECT_EQ(someone->host, result->host);
	EXPECT_EQ(someone->host, result->dump);
	EXPECT_EQ(someone->host, result->subscribe);
	EXPECT_EQ(someone->host, result->subscribe_stats);
	EXPECT_EQ(someone->vm, result->vm);
	EXPECT_EQ(someone->vm, result->stats);
	EXPECT_EQ(someone->vm, result->vcpus);
	EXPECT_EQ(someone->vm, result->subscribe_vm);
	EXPECT_EQ(someone->sees, result->seen);
	EXPECT_EQ(someone->sees ? 2 : 0, result->events);
	EXPECT_EQ(someone->sees ? 3 : 0, result->figures);
	EXPECT_EQ(group ? 2 : 0, result->multicast);
	if (someone->namespaces == INITIAL || someone->namespaces == USER)
		EXPECT_EQ(group ? 0 : -EPERM, result->join);
	/* The fixture's VM is root's */
	EXPECT_EQ(someone->namespaces == INITIAL && !result->host && (group || !someone->uid),
		  result->seen_others > 0);
}

TEST_F_TIMEOUT(netlink, each_user_in_each_namespace_sees_what_is_theirs_and_no_more, 300)
{
	struct result *result = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct vm *vm = vm_of_owner();
	unsigned int i;
	int status;
	pid_t pid;

	for (i = 0; i < sizeof(someones) / sizeof(someones[0]); i++) {
		memset(result, 0, sizeof(*result));
		pid = fork();
		if (!pid)
			be_someone(&someones[i], vm->id, result);
		while (!result->ready && !waitpid(pid, &status, WNOHANG))
			usleep(1000);
		ASSERT_EQ(1, result->ready) TH_LOG("%s", someones[i].who);
		pause_and_resume(vm);
		result->told = 1;
		waitpid(pid, &status, 0);
		expect_someone(_metadata, &someones[i], result);
		if (!_metadata->passed)
			TH_LOG("... as %s", someones[i].who);
	}
}

/* A program that runs as its owner would has a socket for its output */
TEST_F(netlink, a_socket_that_another_user_opened_asks_for_nobody)
{
	struct vm *vm = vm_of_owner();
	struct nl *nl;

	must(seteuid(1001));
	nl = nl_open();
	must(seteuid(0));
	must(seteuid(1000));
	EXPECT_EQ(-EPERM, ask_vm(nl, THV_CMD_GET_VM, vm->id, NULL, NULL));
	must(seteuid(0));
	EXPECT_EQ(-EPERM, ask_vm(nl, THV_CMD_GET_VM, vm->id, NULL, NULL));
	nl_close(nl);
	nl = nl_open();
	EXPECT_EQ(0, ask_vm(nl, THV_CMD_GET_VM, vm->id, NULL, NULL));
}

/* ---- losses ---- */

#define LISTENERS 4

/* One that reads, or does not until it is told to */
struct reader {
	struct nl *nl;
	bool stalled;
	pthread_t thread;
	atomic_ulong last;	/* number of the last message */
	u64 received, gaps, lost;
	u64 overruns;		/* times the socket said ENOBUFS */
};

static void read_message(struct reader *reader, const struct nl_message *message)
{
	u64 sequence = nl_number(message, THV_ATTR_SEQUENCE);

	reader->received++;
	reader->gaps += sequence - reader->last - 1;
	reader->lost = nl_number(message, THV_ATTR_LOST);
	if (reader->gaps != reader->lost)
		fail("message %llu: %llu are missing, %llu are lost", sequence, reader->gaps, reader->lost);
	reader->last = sequence;
}

/* To the message of that number */
static void read_until(struct reader *reader, u64 last)
{
	struct nl_message message;
	int result;

	while (reader->last < last) {
		result = nl_listen(reader->nl, &message, 60000);
		if (result == 1)
			read_message(reader, &message);
		else if (result == -ENOBUFS)
			reader->overruns++;
		else
			fail("%lu messages have come, then nothing", reader->last);
	}
}

static void drain(struct reader *reader)
{
	struct nl_message message;
	int result;

	while ((result = nl_listen(reader->nl, &message, 0))) {
		if (result == 1)
			read_message(reader, &message);
		else if (result == -ENOBUFS)
			reader->overruns++;
		else
			fail("recv: %s", strerror(-result));
	}
}

static u64 events_wanted;

static void *read_all(void *reader)
{
	read_until(reader, events_wanted);
	return NULL;
}

/* Those who read keep up; that is not what this is about */
static void wait_for_readers(struct reader *reader, u64 sent)
{
	int i;

	for (i = 0; i < LISTENERS; i++)
		while (!reader[i].stalled && reader[i].last + 64 < sent)
			sched_yield();
}

static void send_events(struct vm *vm, struct reader *reader, u64 count)
{
	u64 i;

	for (i = 0; i < count; i++) {
		set_state(vm, i & 1 ? THV_VM_RUNNING : THV_VM_PAUSED);
		if (i % 32 == 0)
			wait_for_readers(reader, i);
	}
}

TEST_F_TIMEOUT(netlink, of_four_listeners_the_stalled_one_loses_its_own_and_knows_how_many, 7200)
{
	const char *wanted = getenv("THV_TEST_EVENTS");
	struct reader reader[LISTENERS] = {};
	u64 since = now_us();
	int i;

	events_wanted = (wanted ? strtoull(wanted, NULL, 0) : 20000) & ~1ULL;
	for (i = 0; i < LISTENERS; i++) {
		reader[i].nl = nl_open();
		reader[i].stalled = i == 2;
		ASSERT_EQ(0, nl_subscribe(reader[i].nl, THV_GROUP_LIFECYCLE, self->vm->id, 0));
		if (!reader[i].stalled)
			ASSERT_EQ(0, pthread_create(&reader[i].thread, NULL, read_all, &reader[i]));
	}
	send_events(self->vm, reader, events_wanted);
	for (i = 0; i < LISTENERS; i++) {
		if (reader[i].stalled)
			continue;
		pthread_join(reader[i].thread, NULL);
		EXPECT_EQ(events_wanted, reader[i].received);
		EXPECT_EQ(0, reader[i].gaps);
		EXPECT_EQ(0, nl_drops(reader[i].nl));
	}
	TH_LOG("%llu events to four listeners in %llu ms", events_wanted, (now_us() - since) / 1000);
	/* The other reads what there is, and then one more, which tells it what there was */
	drain(&reader[2]);
	EXPECT_GT(events_wanted, reader[2].last);
	set_state(self->vm, THV_VM_PAUSED);
	read_until(&reader[2], events_wanted + 1);
	EXPECT_EQ(events_wanted + 1, reader[2].received + reader[2].gaps);
	EXPECT_EQ(reader[2].gaps, nl_drops(reader[2].nl));
	EXPECT_LT(0, reader[2].overruns);
	TH_LOG("the stalled one: %llu came, %llu lost, %u reported", reader[2].received,
	       reader[2].gaps, nl_drops(reader[2].nl));
}

THV_TEST_MAIN
