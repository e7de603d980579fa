// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tracepoints: each event is there, is off unless asked for, and says in words what has happened.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include "kselftest_harness.h"
#include "lib/tracing.h"
#include "lib/vm.h"
#include "guests/exits.h"

GUEST(exits);

FIXTURE(trace) {
	struct vm *vm;
	struct vcpu *vcpu;
	const char *text;
};

FIXTURE_SETUP(trace)
{
	char filter[32];

	REQUIRE(tracing_possible(), "tracefs is not to be had");
	tracing_begin();
	/* A large page around it would answer a fault before it happens */
	self->vm = vm_create_with(exits, .flags = THV_VM_NO_HUGE);
	self->vcpu = self->vm->vcpu;
	snprintf(filter, sizeof(filter), "vm == %u", self->vm->id);
	tracing_put("events/thv/filter", filter);
	tracing_put("events/thv/enable", "1");
}

FIXTURE_TEARDOWN(trace)
{
	vm_close(self->vm);
	tracing_end();
}

/* Is there a line that has all these words, in this order? The first is the event's name. */
static bool found(const char *text, const char *const words[])
{
	const char *line = text, *at, *end;
	int i;

	for (; *line; line = end + 1) {
		end = strchrnul(line, '\n');
		at = line;
		for (i = 0; at && words[i]; i++) {
			at = strstr(at, words[i]);
			if (at && at + strlen(words[i]) > end)
				at = NULL;
		}
		if (at)
			return true;
		if (!*end)
			break;
	}
	return false;
}

#define EXPECT_LINE(...)							\
	EXPECT_TRUE(found(self->text, (const char *const[]){ __VA_ARGS__, NULL }))	\
		TH_LOG("no line with: " #__VA_ARGS__)

TEST_F(trace, the_way_of_a_vcpu_is_told_in_words)
{
	guest_call(self->vcpu, guest_exits_cpuid, 0, 0, GUEST_DATA);
	self->text = tracing_lines();
	EXPECT_LINE("thv_run:", "vcpu=0");
	EXPECT_LINE("thv_entry:", "vcpu=0 rip=0x1");
	EXPECT_LINE("thv_exit:", "vcpu=0 reason=CPUID rip=0x1");
	EXPECT_LINE("thv_exit:", "reason=I/O instruction");
	EXPECT_LINE("thv_return:", "exit=port error=0");
}

TEST_F(trace, instructions_are_told_with_their_operands)
{
	struct thv_run *run = self->vcpu->run;

	guest_call(self->vcpu, guest_exits_cpuid, 0x40000000, 0, GUEST_DATA);
	guest_call(self->vcpu, guest_exits_rdmsr, 0xc0000080);
	guest_call(self->vcpu, guest_exits_rdmsr, 0x1b);
	guest_call(self->vcpu, guest_exits_wrmsr, 0x277, ~0ULL);
	guest_call(self->vcpu, guest_exits_vmcall);
	guest_start(self->vcpu, guest_exits_out16, 0x1234, 0xabcd);
	run_until(self->vcpu, THV_EXIT_IO);
	io_complete(self->vcpu, 0);
	guest_finish(self->vcpu);
	guest_start(self->vcpu, guest_exits_load64, GUEST_HOLE + 8);
	run_until(self->vcpu, THV_EXIT_MMIO);
	EXPECT_EQ(GUEST_HOLE + 8, run->mmio.gpa);
	self->text = tracing_lines();
	EXPECT_LINE("thv_cpuid:", "leaf=0x40000000 subleaf=0x0 eax=0x40000010");
	EXPECT_LINE("thv_msr:", "access=read msr=APIC_BASE index=0x1b value=0xfee00900 result=done");
	EXPECT_LINE("thv_msr:", "access=write msr=PAT index=0x277 value=0xffffffffffffffff result=#GP");
	EXPECT_LINE("thv_hypercall:", "call=0x12345", "result=-1000");
	EXPECT_LINE("thv_io:", "access=out port=0x1234 size=2 value=0xabcd by=launcher");
	EXPECT_LINE("thv_mmio:", "access=read gpa=0x10000008 gla=0x10000008");
	EXPECT_LINE("thv_inject:", "type=exception vector=#GP error=0x0");
}

TEST_F(trace, faults_tell_their_cause_and_outcome)
{
	struct thv_ioeventfd doorbell = {
		.fd = eventfd(0, EFD_CLOEXEC), .address = GUEST_HOLE + 0x1000,
	};
	void *none = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	must(thv_ioctl(self->vm->fd, THV_IOEVENTFD, &doorbell));
	guest_call(self->vcpu, guest_exits_load64, GUEST_DATA);
	guest_start(self->vcpu, guest_exits_store64, GUEST_HOLE + 0x1000, 1);
	vcpu_run(self->vcpu);
	must(vm_set_memory(self->vm, 1, 0, GUEST_HOLE + 0x10000, PAGE, none));
	guest_start(self->vcpu, guest_exits_load64, GUEST_HOLE + 0x10000);
	run_until(self->vcpu, THV_EXIT_MEMORY_FAULT);
	guest_start(self->vcpu, guest_exits_load64, GUEST_HOLE);
	run_until(self->vcpu, THV_EXIT_MMIO);
	guest_start(self->vcpu, guest_exits_jump, GUEST_HOLE);
	run_until(self->vcpu, THV_EXIT_UNSUPPORTED);
	self->text = tracing_lines();
	EXPECT_LINE("thv_page_fault:", "gpa=0x100000", "cause=not mapped outcome=mapped");
	/* Rung in the kernel where the instruction's length is told; else the launcher's */
	EXPECT_TRUE(found(self->text, (const char *const[]){ "gpa=0x10001000", "outcome=doorbell", NULL }) ||
		    found(self->text, (const char *const[]){ "gpa=0x10001000", "outcome=mmio", NULL }));
	EXPECT_LINE("thv_page_fault:", "gpa=0x10010000", "access=read", "outcome=memory fault");
	EXPECT_LINE("thv_page_fault:", "gpa=0x10000000", "outcome=mmio");
	EXPECT_LINE("thv_page_fault:", "gpa=0x10000000", "access=execute", "outcome=unsupported");
}

TEST_F(trace, a_large_page_is_told_as_one)
{
	void *room = mmap(NULL, 2 * GUEST_MEMORY, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void *memory = (void *)(((uintptr_t)room + GUEST_MEMORY - 1) & -GUEST_MEMORY);
	char filter[32];
	struct vm *vm;
	u64 huge;

	madvise(memory, GUEST_MEMORY, MADV_HUGEPAGE);
	memset(memory, 0, GUEST_MEMORY);
	vm = vm_create_with(exits, .memory = memory);
	snprintf(filter, sizeof(filter), "vm == %u", vm->id);
	tracing_put("events/thv/filter", filter);
	guest_call(vm->vcpu, guest_exits_load64, GUEST_DATA);
	huge = vm_counter(vm, THV_STAT_faults_huge);
	self->text = tracing_lines();
	vm_close(vm);
	REQUIRE(huge, "the host gave no large page");
	EXPECT_LINE("thv_page_fault:", "outcome=huge");
}

TEST_F(trace, what_the_host_does_to_memory_is_told)
{
	void *page = self->vm->mem + GUEST_DATA;

	guest_call(self->vcpu, guest_exits_load64, GUEST_DATA);
	must(madvise(page, PAGE, MADV_DONTNEED));
	guest_call(self->vcpu, guest_exits_load64, GUEST_DATA);
	must(vm_set_memory(self->vm, 3, 0, GUEST_HOLE, PAGE, page));
	must(vm_set_memory(self->vm, 3, 0, GUEST_HOLE + PAGE, PAGE, page));
	must(vm_set_memory(self->vm, 3, THV_MEMORY_READONLY, GUEST_HOLE + PAGE, PAGE, page));
	must(vm_set_memory(self->vm, 3, 0, 0, 0, NULL));
	self->text = tracing_lines();
	EXPECT_LINE("thv_notifier:", "what=invalidate start=0x", "end=0x");
	EXPECT_LINE("thv_notifier:", "what=invalidated");
	EXPECT_LINE("thv_flush:", "kind=second level");
	EXPECT_LINE("thv_slot:", "slot=3 change=added gpa=0x10000000 size=0x1000");
	EXPECT_LINE("thv_slot:", "slot=3 change=moved gpa=0x10001000");
	EXPECT_LINE("thv_slot:", "slot=3 change=changed", "flags=readonly error=0");
	EXPECT_LINE("thv_slot:", "slot=3 change=deleted");
}

TEST_F(trace, the_local_apic_and_states_are_told)
{
	struct thv_control control = { .state = THV_VM_PAUSED };
	struct thv_interrupt interrupt = { .vector = 0x51 };

	vcpu_enable_apic(self->vcpu);
	guest_call(self->vcpu, guest_exits_rdmsr, 0x1234567);
	self->vm->record->count = 0;
	guest_call(self->vcpu, guest_exits_wrmsr, 0x1b, 0xfee00d00);	/* x2APIC */
	guest_call(self->vcpu, guest_exits_wrmsr, 0x83e, 0xb);		/* divide by 1 */
	guest_call(self->vcpu, guest_exits_wrmsr, 0x832, 0x10000 | 0x52); /* masked, one-shot */
	guest_call(self->vcpu, guest_exits_wrmsr, 0x838, 1000000);	/* a millisecond */
	guest_call(self->vcpu, guest_exits_wrmsr, 0x830, 0x4053);	/* to id 0 */
	usleep(20000);
	guest_start(self->vcpu, guest_exits_halt);
	must(thv_ioctl(self->vcpu->fd, THV_INTERRUPT, &interrupt));
	guest_finish(self->vcpu);
	must(thv_ioctl(self->vm->fd, THV_CONTROL, &control));
	control.state = THV_VM_RUNNING;
	must(thv_ioctl(self->vm->fd, THV_CONTROL, &control));
	self->text = tracing_lines();
	EXPECT_LINE("thv_apic:", "access=write register=divide offset=0x3e0 value=0xb");
	EXPECT_LINE("thv_apic:", "access=write register=initial count", "value=0xf4240");
	EXPECT_LINE("thv_apic_timer:", "timer=armed mode=one-shot ns=");
	EXPECT_LINE("thv_apic_timer:", "timer=expired mode=one-shot");
	EXPECT_LINE("thv_apic_ipi:", "delivery=fixed vector=0x53 destination=0x0 mode=physical shorthand=none");
	EXPECT_LINE("thv_apic_accept:", "delivery=fixed vector=0x51 taken=yes");
	EXPECT_LINE("thv_state_vcpu:", "from=running to=halted");
	EXPECT_LINE("thv_state_vcpu:", "from=halted to=running");
	EXPECT_LINE("thv_state_vm:", "from=running to=paused");
	EXPECT_LINE("thv_state_vm:", "from=paused to=running");
}

/* Every event of the module, out of tracefs: a new one wants a test above */
TEST_F(trace, these_are_all_the_events)
{
	static const char all[] = " apic apic_accept apic_ipi apic_timer cpuid entry exit flush "
		"hypercall inject io mmio msr notifier page_fault return run slot state_vcpu state_vm ";
	struct dirent *entry;
	char name[300];
	int count = 0;
	DIR *dir = opendir(TRACEFS "/events/thv");

	ASSERT_NE(NULL, dir);
	while ((entry = readdir(dir))) {
		if (strncmp(entry->d_name, "thv_", 4))
			continue;
		snprintf(name, sizeof(name), " %s ", entry->d_name + 4);
		EXPECT_NE(NULL, strstr(all, name)) TH_LOG("%s", name);
		count++;
	}
	closedir(dir);
	EXPECT_EQ(20, count);
}

TEST_F(trace, what_is_filtered_out_is_not_there)
{
	struct vm *other = vm_create(exits);
	char needle[32];

	guest_call(other->vcpu, guest_exits_cpuid, 0, 0, GUEST_DATA);
	guest_call(self->vcpu, guest_exits_cpuid, 0, 0, GUEST_DATA);
	snprintf(needle, sizeof(needle), "vm=%u ", other->id);
	EXPECT_EQ(NULL, strstr(tracing_lines(), needle));
	vm_close(other);
}

THV_TEST_MAIN
