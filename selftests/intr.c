// SPDX-License-Identifier: GPL-2.0-only
/*
 * INTR, the wire from a pair of 8259s (thv_run.intr): the vCPU acknowledges when it can take an interrupt, and
 * only then; the test is the 8259 and gives the vector. LINT0 lets the wire through, or does not.
 */
#include "kselftest_harness.h"
#include "lib/vm.h"
#include "guests/intr.h"

GUEST(intr);

#define VECTOR		0x51
#define MASKED		0x10000
#define EXTINT		0x700

FIXTURE(intr) {
	struct vm *vm;
	struct vcpu *vcpu;
	struct guest_record *record;
};

FIXTURE_VARIANT(intr) {
	u32 flags;
};

FIXTURE_VARIANT_ADD(intr, apicv) {
	.flags = 0,
};

FIXTURE_VARIANT_ADD(intr, injected) {
	.flags = THV_VM_NO_APICV,
};

FIXTURE_SETUP(intr)
{
	if (!variant->flags)
		REQUIRE_FEATURE(VIRTUAL_INTERRUPTS);
	self->vm = vm_create_with(intr, .flags = variant->flags);
	self->vcpu = self->vm->vcpu;
	self->record = self->vm->record;
	self->record->hook[VECTOR] = guest_intr_hook_none;
	guest_call(self->vcpu, guest_intr_base, 0xfee00d00);
	guest_call(self->vcpu, guest_intr_svr, 0x1ff);
	guest_call(self->vcpu, guest_intr_lint0, EXTINT);
}

FIXTURE_TEARDOWN(intr)
{
	vm_close(self->vm);
}

static void raise_intr(struct vcpu *vcpu)
{
	vcpu->run->intr = 1;
}

/* As the 8259s' INTA cycle: the level falls, and there is the vector */
static void answer(struct vcpu *vcpu)
{
	struct thv_event_state events;

	vcpu->run->intr = 0;
	must_get(vcpu, THV_STATE_EVENTS, &events);
	events.flags |= THV_EVENT_REINJECT;
	events.reinject = VECTOR;
	events.mp_state = THV_MP_RUNNING;
	must_set(vcpu, THV_STATE_EVENTS, &events);
}

/* It sleeps and nothing ends that but the signal */
static bool sleeps(struct vcpu *vcpu)
{
	int err;

	alarm_us(20000);
	err = vcpu_run_once(vcpu);
	alarm_us(0);
	return err == -EINTR;
}

TEST_F(intr, waits_for_interrupts_on_and_the_instruction_after)
{
	guest_start(self->vcpu, guest_intr_window);
	raise_intr(self->vcpu);
	EXPECT_EQ(1, guest_report(self->vcpu));
	run_until(self->vcpu, THV_EXIT_ACKNOWLEDGE);
	EXPECT_EQ(guest_intr_window_after, self->vcpu->run->regs.rip);
	run_until(self->vcpu, THV_EXIT_ACKNOWLEDGE);	/* and asks again until there is an answer */
	answer(self->vcpu);
	EXPECT_EQ(1, guest_finish(self->vcpu));
	EXPECT_EQ(VECTOR, self->record->vector);
	EXPECT_EQ(guest_intr_window_after, self->record->rip);
}

TEST_F(intr, a_level_that_has_fallen_is_nothing)
{
	guest_start(self->vcpu, guest_intr_window);
	raise_intr(self->vcpu);
	EXPECT_EQ(1, guest_report(self->vcpu));
	self->vcpu->run->intr = 0;
	EXPECT_EQ(0, guest_finish(self->vcpu));
}

TEST_F(intr, comes_as_often_as_the_level_is_high)
{
	u64 n;

	guest_start(self->vcpu, guest_intr_wait, 5);
	for (n = 0; n < 5; n++) {
		raise_intr(self->vcpu);
		run_until(self->vcpu, THV_EXIT_ACKNOWLEDGE);
		EXPECT_EQ(n, self->record->count);
		answer(self->vcpu);
	}
	EXPECT_EQ(5, guest_finish(self->vcpu));
}

TEST_F(intr, ends_a_halt)
{
	guest_start(self->vcpu, guest_intr_halted, 2);
	raise_intr(self->vcpu);
	run_until(self->vcpu, THV_EXIT_ACKNOWLEDGE);
	answer(self->vcpu);
	/* ... that it is in already, too */
	EXPECT_TRUE(sleeps(self->vcpu));
	EXPECT_EQ(1, self->record->count);
	raise_intr(self->vcpu);
	run_until(self->vcpu, THV_EXIT_ACKNOWLEDGE);
	answer(self->vcpu);
	EXPECT_EQ(2, guest_finish(self->vcpu));
}

TEST_F(intr, only_lint0_as_extint_lets_it_through)
{
	static const u32 shut[] = { MASKED | EXTINT, MASKED, VECTOR, 0x400 | VECTOR };
	unsigned int i;

	raise_intr(self->vcpu);
	for (i = 0; i < ARRAY_SIZE(shut); i++) {
		guest_call(self->vcpu, guest_intr_lint0, shut[i]);
		guest_start(self->vcpu, guest_intr_window);
		EXPECT_EQ(1, guest_report(self->vcpu));
		EXPECT_EQ(0, guest_finish(self->vcpu)) TH_LOG("%#x", shut[i]);
	}
	guest_start(self->vcpu, guest_intr_halted, 1);
	EXPECT_TRUE(sleeps(self->vcpu));
}

TEST_F(intr, is_taken_as_soon_as_lint0_lets_it_through)
{
	raise_intr(self->vcpu);
	guest_call(self->vcpu, guest_intr_lint0, MASKED | EXTINT);
	guest_start(self->vcpu, guest_intr_lint0_on, EXTINT);
	run_until(self->vcpu, THV_EXIT_ACKNOWLEDGE);
	EXPECT_EQ(guest_intr_lint0_after, self->vcpu->run->regs.rip);
	answer(self->vcpu);
	EXPECT_EQ(1, guest_finish(self->vcpu));
}

/* SDM 11.4.7.2: all entries of the table are masked then */
TEST_F(intr, an_apic_disabled_by_software_keeps_it)
{
	guest_call(self->vcpu, guest_intr_svr, 0xff);
	guest_start(self->vcpu, guest_intr_window);
	raise_intr(self->vcpu);
	EXPECT_EQ(1, guest_report(self->vcpu));
	EXPECT_EQ(0, guest_finish(self->vcpu));
}

/* SDM 11.4.3: LINT0 is the processor's INTR pin then */
TEST_F(intr, an_apic_that_is_off_lets_it_through)
{
	guest_call(self->vcpu, guest_intr_lint0, MASKED);
	guest_call(self->vcpu, guest_intr_base, 0xfee00100);
	guest_start(self->vcpu, guest_intr_window);
	raise_intr(self->vcpu);
	EXPECT_EQ(1, guest_report(self->vcpu));
	run_until(self->vcpu, THV_EXIT_ACKNOWLEDGE);
	answer(self->vcpu);
	EXPECT_EQ(1, guest_finish(self->vcpu));
}

TEST_F(intr, no_task_priority_holds_it_back)
{
	guest_call(self->vcpu, guest_intr_priority, 0xf0);
	guest_start(self->vcpu, guest_intr_wait, 1);
	raise_intr(self->vcpu);
	run_until(self->vcpu, THV_EXIT_ACKNOWLEDGE);
	answer(self->vcpu);
	EXPECT_EQ(1, guest_finish(self->vcpu));
}

/* Without an EOI, one of the lowest class is let in: the APIC is not in service */
TEST_F(intr, leaves_the_apic_as_it_is)
{
	struct thv_interrupt low = { .vector = 0x21 };

	self->record->hook[low.vector] = guest_intr_hook_eoi;
	guest_start(self->vcpu, guest_intr_wait, 2);
	raise_intr(self->vcpu);
	run_until(self->vcpu, THV_EXIT_ACKNOWLEDGE);
	answer(self->vcpu);
	must(thv_ioctl(self->vcpu->fd, THV_INTERRUPT, &low));
	EXPECT_EQ(2, guest_finish(self->vcpu));
	EXPECT_EQ(VECTOR, self->record->log[0]);
	EXPECT_EQ(low.vector, self->record->log[1]);
}

TEST_F(intr, an_exception_goes_first)
{
	struct thv_event_state events;

	self->record->hook[6] = guest_intr_hook_none;
	guest_start(self->vcpu, guest_intr_wait, 2);
	self->vcpu->run->regs.rflags |= BIT(9);
	must_get(self->vcpu, THV_STATE_EVENTS, &events);
	events.flags |= THV_EVENT_EXCEPTION;
	events.exception_vector = 6;
	must_set(self->vcpu, THV_STATE_EVENTS, &events);
	raise_intr(self->vcpu);
	run_until(self->vcpu, THV_EXIT_ACKNOWLEDGE);
	answer(self->vcpu);
	EXPECT_EQ(2, guest_finish(self->vcpu));
	EXPECT_EQ(6, self->record->log[0]);
	EXPECT_EQ(VECTOR, self->record->log[1]);
}

THV_TEST_MAIN
