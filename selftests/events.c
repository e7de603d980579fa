// SPDX-License-Identifier: GPL-2.0-only
/*
 * Events: exceptions, interrupts and NMIs reach the guest once, at the right instruction, with the
 * right error code; also those that an exit broke off, those that the launcher injects, and
 * those after an instruction that was carried out for the guest.
 */
#include <signal.h>
#include <sys/wait.h>
#include "kselftest_harness.h"
#include "lib/known_defects.h"
#include "lib/vm.h"
#include "guests/events.h"

GUEST(events);

#define STEPS	GUEST_DATA
#define DR6S	(GUEST_DATA + 0x400)
#define DEEPEST	(GUEST_DATA + 0x808)
#define NMIS	(GUEST_DATA + 0x810)
#define SCRATCH	(GUEST_DATA + 0x900)

#define DR6_BS	BIT(14)
#define DR6_FIXED 0xffff0ff0ULL

FIXTURE(events) {
	struct vm *vm;
	struct vcpu *vcpu;
	struct guest_record *record;
	void *shared;
};

FIXTURE_VARIANT(events) {
	u32 flags;
};

FIXTURE_VARIANT_ADD(events, apicv) {
	.flags = 0,
};

FIXTURE_VARIANT_ADD(events, injected) {
	.flags = THV_VM_NO_APICV,
};

/* Memory that keeps its contents when the host takes it back from the guest */
static void *shared_memory(void)
{
	int fd = memfd_create("guest", MFD_CLOEXEC);
	void *p;

	if (fd < 0 || ftruncate(fd, GUEST_MEMORY))
		fail("memfd: %s", strerror(errno));
	p = mmap(NULL, GUEST_MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		fail("mmap: %s", strerror(errno));
	close(fd);
	return p;
}

FIXTURE_SETUP(events)
{
	if (!variant->flags)
		REQUIRE_FEATURE(VIRTUAL_INTERRUPTS);
	self->shared = shared_memory();
	self->vm = vm_create_with(events, .flags = variant->flags, .memory = self->shared);
	self->vcpu = self->vm->vcpu;
	self->record = self->vm->record;
	vcpu_enable_apic(self->vcpu);
	/* Delivery touches all it needs once: what comes later is not about that */
	guest_call(self->vcpu, guest_events_undefined);
	self->record->count = 0;
}

FIXTURE_TEARDOWN(events)
{
	vm_close(self->vm);
}

static void interrupt(struct vcpu *vcpu, u32 vector)
{
	struct thv_interrupt interrupt = { .vector = vector };

	must(thv_ioctl(vcpu->fd, THV_INTERRUPT, &interrupt));
}

static void nmi(struct vcpu *vcpu)
{
	must(thv_ioctl(vcpu->fd, THV_NMI, NULL));
}

static u32 event_flags(struct vcpu *vcpu)
{
	struct thv_event_state events;

	must_get(vcpu, THV_STATE_EVENTS, &events);
	return events.flags;
}

/* Until the guest writes @port, which is completed */
static void until_port(struct vcpu *vcpu, u16 port)
{
	run_until(vcpu, THV_EXIT_IO);
	if (vcpu->run->io.port != port) {
		exit_print(vcpu);
		fail("expected port %#x", port);
	}
}

/* ---- exceptions of the guest's own ---- */

TEST_F(events, exceptions_have_their_vectors_and_error_codes)
{
	struct vcpu *vcpu = self->vcpu;
	u64 *gdt = vm_at(self->vm, GUEST_GDT, u64);

	EXPECT_EQ(0, guest_call(vcpu, guest_events_divide));
	EXPECT_EQ(6, guest_call(vcpu, guest_events_undefined));
	EXPECT_EQ(7, guest_call(vcpu, guest_events_no_fpu));
	gdt[GUEST_DS16 / 8] &= ~BIT(47);		/* not present */
	EXPECT_EQ(11, guest_call(vcpu, guest_events_load_ds, GUEST_DS16));
	EXPECT_EQ(GUEST_DS16, self->record->error);
	EXPECT_EQ(13, guest_call(vcpu, guest_events_load_ds, 0x1238));
	EXPECT_EQ(0x1238, self->record->error);
	EXPECT_EQ(12, guest_call(vcpu, guest_events_bad_stack_ss));
	EXPECT_EQ(0, self->record->error);
	EXPECT_EQ(17, guest_call(vcpu, guest_events_unaligned_user));
	EXPECT_EQ(0, self->record->error);
	EXPECT_EQ(-1ULL, guest_call(vcpu, guest_events_unaligned)) TH_LOG("#AC is for CPL 3");
	EXPECT_EQ(19, guest_call(vcpu, guest_events_simd));
	EXPECT_EQ(6, guest_call(vcpu, guest_events_into));
	EXPECT_EQ(13, guest_call(vcpu, guest_events_int21_user));
	EXPECT_EQ(0x21 << 3 | 2, self->record->error);
	EXPECT_EQ(0x80, guest_call(vcpu, guest_events_int80_user));
}

TEST_F(events, x87_errors_are_exception_16)
{
	struct thv_sregs sregs;

	must_get(self->vcpu, THV_STATE_SREGS, &sregs);
	EXPECT_NE(0, sregs.cr0 & BIT(5)) TH_LOG("NE");
	EXPECT_EQ(16, guest_call(self->vcpu, guest_events_x87));
}

TEST_F(events, page_faults_have_error_code_and_address)
{
	struct vcpu *vcpu = self->vcpu;
	u64 *pte = vm_at(self->vm, GUEST_PT, u64) + 0x1ff;
	u64 at = 0x1ff123;
	struct thv_sregs sregs;

#define EXPECT_PF(function, code)						\
	do {									\
		EXPECT_EQ(14, guest_call(vcpu, function, at));			\
		EXPECT_EQ(code, self->record->error) TH_LOG(#function);		\
		EXPECT_EQ(at, self->record->cr2) TH_LOG(#function);		\
		/* Another CR3: nothing is cached */				\
		must_get(vcpu, THV_STATE_SREGS, &sregs);			\
		must_set(vcpu, THV_STATE_SREGS, &sregs);			\
	} while (0)
	must_get(vcpu, THV_STATE_SREGS, &sregs);
	sregs.efer |= BIT(11);
	must_set(vcpu, THV_STATE_SREGS, &sregs);
	*pte = 0;
	EXPECT_PF(guest_events_load, 0);
	EXPECT_PF(guest_events_store, 2);
	EXPECT_PF(guest_events_fetch, 0x10);
	EXPECT_PF(guest_events_load_user, 4);
	*pte = 0x1ff000 | 5;		/* read-only, for the user */
	EXPECT_PF(guest_events_store, 3);
	EXPECT_PF(guest_events_store_user, 7);
	*pte = 0x1ff000 | 3;		/* the kernel's */
	EXPECT_PF(guest_events_load_user, 5);
	*pte = 0x1ff000 | 7 | BIT(63);	/* not executable */
	EXPECT_PF(guest_events_fetch, 0x11);
	*pte = 0x1ff000 | 7 | BIT(51);	/* a reserved bit */
	if (self->vm->info->guest_phys_bits < 52)
		EXPECT_PF(guest_events_load, 9);
}

/*
 * The gates of #DE and #UD are not present; #NP after the first is a double fault (SDM table 6-5)
 */
TEST_F(events, an_exception_in_delivery_is_a_double_fault)
{
	vm_at(self->vm, GUEST_IDT, u64)[0] &= ~BIT(47);
	vm_at(self->vm, GUEST_IDT, u64)[2 * 6] &= ~BIT(47);
	EXPECT_EQ(8, guest_call(self->vcpu, guest_events_divide));
	EXPECT_EQ(0, self->record->error);
	EXPECT_EQ(11, guest_call(self->vcpu, guest_events_undefined));
	EXPECT_EQ(6 << 3 | 3, self->record->error);
}

TEST_F(events, software_interrupts_return_behind_themselves)
{
	self->record->hook[3] = guest_events_hook_return;
	self->record->hook[1] = guest_events_hook_step;
	EXPECT_EQ(1, guest_call(self->vcpu, guest_events_int80));
	EXPECT_EQ(0x80, self->record->vector);
	EXPECT_EQ(guest_events_int80_after, self->record->rip);
	EXPECT_EQ(2, guest_call(self->vcpu, guest_events_int3));
	EXPECT_EQ(3, self->record->vector);
	EXPECT_EQ(guest_events_int3_after, self->record->rip);
	EXPECT_EQ(3, guest_call(self->vcpu, guest_events_icebp));
	EXPECT_EQ(1, self->record->vector);
	EXPECT_EQ(guest_events_icebp_after, self->record->rip);
}

/* ---- injected by the launcher ---- */

static void inject(struct vcpu *vcpu, u32 vector, u32 flags, u32 error, u64 payload)
{
	struct thv_event_state events;

	must_get(vcpu, THV_STATE_EVENTS, &events);
	events.flags |= THV_EVENT_EXCEPTION | flags;
	events.exception_vector = vector;
	events.exception_error = error;
	events.exception_payload = payload;
	must_set(vcpu, THV_STATE_EVENTS, &events);
}

TEST_F(events, every_exception_can_be_injected)
{
	static const u32 with_error = BIT(8) | BIT(10) | BIT(11) | BIT(12) | BIT(13) | BIT(14) | BIT(17);
	u32 vector;

	for (vector = 0; vector < 32; vector++) {
		bool error = with_error & BIT(vector);

		if (vector == 2)
			continue;
		self->record->hook[vector] = guest_events_hook_return;
		self->record->count = 0;
		guest_start(self->vcpu, guest_events_plain);
		inject(self->vcpu, vector, error ? THV_EVENT_ERROR_CODE : 0, error ? 0x1230 : 0, 0);
		EXPECT_EQ(1, guest_finish(self->vcpu)) TH_LOG("vector %u", vector);
		EXPECT_EQ(vector, self->record->vector);
		EXPECT_EQ(error ? 0x1230 : 0, self->record->error) TH_LOG("vector %u", vector);
		EXPECT_EQ(guest_events_plain, self->record->rip) TH_LOG("vector %u", vector);
		EXPECT_EQ(0, event_flags(self->vcpu) & THV_EVENT_EXCEPTION);
	}
}

TEST_F(events, an_injected_page_fault_brings_its_address)
{
	struct thv_sregs sregs;

	self->record->hook[14] = guest_events_hook_return;
	guest_start(self->vcpu, guest_events_plain);
	inject(self->vcpu, 14, THV_EVENT_ERROR_CODE | THV_EVENT_PAYLOAD, 2, 0xfeed0000cafe);
	must_get(self->vcpu, THV_STATE_SREGS, &sregs);
	EXPECT_NE(0xfeed0000cafe, sregs.cr2) TH_LOG("CR2 changes at delivery");
	EXPECT_EQ(1, guest_finish(self->vcpu));
	EXPECT_EQ(2, self->record->error);
	EXPECT_EQ(0xfeed0000cafe, self->record->cr2);
}

TEST_F(events, an_injected_debug_exception_brings_its_bits)
{
	struct thv_debug debug = { .dr6 = DR6_FIXED, .dr7 = 0x2400 };

	must_set(self->vcpu, THV_STATE_DEBUG, &debug);
	self->record->hook[1] = guest_events_hook_step;
	guest_start(self->vcpu, guest_events_plain);
	inject(self->vcpu, 1, THV_EVENT_PAYLOAD, 0, DR6_BS | 1);
	EXPECT_EQ(1, guest_finish(self->vcpu));
	EXPECT_EQ(DR6_FIXED | DR6_BS | 1, *vm_at(self->vm, DR6S, u64));
	must_get(self->vcpu, THV_STATE_DEBUG, &debug);
	EXPECT_EQ(0x400, debug.dr7) TH_LOG("delivery clears GD");
}

TEST_F(events, an_exception_goes_before_an_interrupt)
{
	self->record->hook[6] = guest_events_hook_return;
	guest_start(self->vcpu, guest_events_wait_events, 2);
	self->vcpu->run->regs.rflags |= BIT(9);
	interrupt(self->vcpu, 0x51);
	inject(self->vcpu, 6, 0, 0, 0);
	EXPECT_EQ(2, guest_finish(self->vcpu));
	EXPECT_EQ(6, self->record->log[0]);
	EXPECT_EQ(0x51, self->record->log[1]);
}

TEST_F(events, a_reinjected_software_interrupt_returns_behind_itself)
{
	struct thv_event_state events;

	guest_start(self->vcpu, guest_events_int80);
	must_get(self->vcpu, THV_STATE_EVENTS, &events);
	events.flags |= THV_EVENT_REINJECT;
	events.reinject = 0x80 | 4 << 8;
	events.reinject_length = 2;
	must_set(self->vcpu, THV_STATE_EVENTS, &events);
	EXPECT_EQ(1, guest_finish(self->vcpu));
	EXPECT_EQ(guest_events_int80_after, self->record->rip);
}

/* ---- single steps ---- */

static void expect_steps(struct __test_metadata *_metadata, FIXTURE_DATA(events) *self,
			 const u64 *rips, unsigned int count)
{
	const u64 *steps = vm_at(self->vm, STEPS, u64), *dr6s = vm_at(self->vm, DR6S, u64);
	unsigned int i;

	for (i = 0; i < count && i < steps[0]; i++) {
		EXPECT_EQ(rips[i], steps[i + 1]) TH_LOG("step %u: %#llx", i + 1, steps[i + 1]);
		EXPECT_EQ(DR6_FIXED | DR6_BS, dr6s[i]) TH_LOG("step %u", i + 1);
	}
	EXPECT_EQ(count, steps[0]);
}

TEST_F(events, single_steps_come_after_each_instruction_whoever_carried_it_out)
{
	static const u64 expected[] = {
		guest_events_step_1, guest_events_step_2, guest_events_step_3, guest_events_step_4,
		guest_events_step_5, guest_events_step_6, guest_events_step_7, guest_events_step_8,
		guest_events_step_9, guest_events_step_10, guest_events_step_11,
		guest_events_step_12, guest_events_step_13,
	};

	self->record->hook[1] = guest_events_hook_step;
	guest_start(self->vcpu, guest_events_steps);
	until_port(self->vcpu, 0x80);
	io_complete(self->vcpu, 0);
	guest_finish(self->vcpu);
	expect_steps(_metadata, self, expected, ARRAY_SIZE(expected));
}

/* ---- breakpoints ---- */

TEST_F(events, a_code_breakpoint_stops_an_instruction_that_exits_once)
{
	struct thv_debug debug = { .dr = { guest_events_code_breakpoint_at }, .dr6 = DR6_FIXED,
				   .dr7 = 0x401 };

	self->record->hook[1] = guest_events_hook_resume;
	must_set(self->vcpu, THV_STATE_DEBUG, &debug);
	EXPECT_EQ(1, guest_call(self->vcpu, guest_events_code_breakpoint));
	EXPECT_EQ(guest_events_code_breakpoint_at, self->record->rip);
	EXPECT_EQ(DR6_FIXED | 1, *vm_at(self->vm, DR6S, u64));
}

TEST_F(events, a_data_breakpoint_traps_after_the_access)
{
	struct thv_debug debug = { .dr = { 0, 0, SCRATCH, 0 }, .dr6 = DR6_FIXED,
				   .dr7 = 0x400 | BIT(4) | 0x9ULL << 24 };	/* 8 bytes, writes */

	self->record->hook[1] = guest_events_hook_step;
	must_set(self->vcpu, THV_STATE_DEBUG, &debug);
	EXPECT_EQ(1, guest_call(self->vcpu, guest_events_data_breakpoint));
	EXPECT_EQ(guest_events_data_breakpoint_after, self->record->rip);
	EXPECT_EQ(DR6_FIXED | 4, *vm_at(self->vm, DR6S, u64));
}

/* ---- shadows and windows ---- */

TEST_F(events, sti_holds_back_interrupts_for_one_instruction)
{
	guest_start(self->vcpu, guest_events_sti_nop);
	interrupt(self->vcpu, 0x51);
	EXPECT_EQ(1, guest_finish(self->vcpu));
	EXPECT_EQ(0x51, self->record->vector);
	EXPECT_EQ(guest_events_sti_nop_after, self->record->rip);
}

TEST_F(events, the_shadow_of_sti_ends_with_an_instruction_that_exits)
{
	guest_start(self->vcpu, guest_events_sti_cpuid);
	interrupt(self->vcpu, 0x51);
	EXPECT_EQ(1, guest_finish(self->vcpu));
	EXPECT_EQ(guest_events_sti_cpuid_after, self->record->rip);
}

TEST_F(events, the_shadow_of_sti_ends_when_the_launcher_completes)
{
	guest_start(self->vcpu, guest_events_sti_out);
	interrupt(self->vcpu, 0x51);
	until_port(self->vcpu, 0x80);
	EXPECT_EQ(THV_EVENT_STI_SHADOW, event_flags(self->vcpu) &
		  (THV_EVENT_STI_SHADOW | THV_EVENT_MOVSS_SHADOW));
	/* Not completed: the shadow stays, and the instruction comes again */
	until_port(self->vcpu, 0x80);
	EXPECT_EQ(0, self->record->count);
	io_complete(self->vcpu, 0);
	EXPECT_EQ(1, guest_finish(self->vcpu));
	EXPECT_EQ(guest_events_sti_out_after, self->record->rip);
}

TEST_F(events, popf_holds_back_nothing)
{
	guest_start(self->vcpu, guest_events_popf_cpuid);
	interrupt(self->vcpu, 0x51);
	EXPECT_EQ(1, guest_finish(self->vcpu));
	EXPECT_EQ(guest_events_popf_cpuid_at, self->record->rip);
}

TEST_F(events, mov_ss_holds_back_interrupts_for_one_instruction)
{
	guest_start(self->vcpu, guest_events_ss_out);
	until_port(self->vcpu, 0x80);
	EXPECT_EQ(THV_EVENT_MOVSS_SHADOW, event_flags(self->vcpu) &
		  (THV_EVENT_STI_SHADOW | THV_EVENT_MOVSS_SHADOW));
	interrupt(self->vcpu, 0x51);
	until_port(self->vcpu, 0x80);
	EXPECT_EQ(0, self->record->count);
	io_complete(self->vcpu, 0);
	EXPECT_EQ(1, guest_finish(self->vcpu));
	EXPECT_EQ(guest_events_ss_out_after, self->record->rip);
}

TEST_F(events, an_interrupt_waits_for_the_window)
{
	guest_start(self->vcpu, guest_events_window);
	guest_report(self->vcpu);
	interrupt(self->vcpu, 0x51);
	EXPECT_EQ(1, guest_finish(self->vcpu));
	EXPECT_EQ(guest_events_window_after, self->record->rip);
}

/* ---- NMIs ---- */

TEST_F(events, an_nmi_comes_although_interrupts_are_off)
{
	self->record->hook[2] = guest_events_hook_return;
	guest_start(self->vcpu, guest_events_plain);
	nmi(self->vcpu);
	EXPECT_EQ(1, guest_finish(self->vcpu));
	EXPECT_EQ(2, self->record->vector);
	EXPECT_EQ(guest_events_plain, self->record->rip);
}

TEST_F(events, an_nmi_is_blocked_until_iret)
{
	self->record->hook[2] = guest_events_hook_nmi;
	guest_start(self->vcpu, guest_events_wait_nmis, 2);
	nmi(self->vcpu);
	until_port(self->vcpu, 0x82);
	EXPECT_NE(0, event_flags(self->vcpu) & THV_EVENT_NMI_BLOCKED);
	/* While it is being handled, one more is kept, and only one */
	nmi(self->vcpu);
	nmi(self->vcpu);
	nmi(self->vcpu);
	EXPECT_NE(0, event_flags(self->vcpu) & THV_EVENT_NMI_PENDING);
	io_complete(self->vcpu, 0);
	until_port(self->vcpu, 0x82);
	EXPECT_EQ(1, *vm_at(self->vm, DEEPEST, u64)) TH_LOG("an NMI came into the handler");
	EXPECT_EQ(1, *vm_at(self->vm, NMIS, u64));
	io_complete(self->vcpu, 0);
	EXPECT_EQ(2, guest_finish(self->vcpu));
	EXPECT_EQ(0, event_flags(self->vcpu) & (THV_EVENT_NMI_BLOCKED | THV_EVENT_NMI_PENDING));
}

TEST_F(events, nmi_blocking_can_be_set)
{
	struct thv_event_state events;

	self->record->hook[2] = guest_events_hook_return;
	must_get(self->vcpu, THV_STATE_EVENTS, &events);
	events.flags |= THV_EVENT_NMI_BLOCKED | THV_EVENT_NMI_PENDING;
	must_set(self->vcpu, THV_STATE_EVENTS, &events);
	EXPECT_EQ(0, guest_call(self->vcpu, guest_events_plain));
	EXPECT_NE(0, event_flags(self->vcpu) & THV_EVENT_NMI_PENDING);
	/* Any IRET ends it, for example that of INT 0x80 */
	EXPECT_LE(1, guest_call(self->vcpu, guest_events_int80));
	guest_call(self->vcpu, guest_events_plain);
	EXPECT_EQ(2, self->record->count);
	EXPECT_EQ(0x80, self->record->log[0]);
	EXPECT_EQ(2, self->record->log[1]);
}

/* ---- delivery that an exit breaks off (threat 4) ---- */

static void take_back(FIXTURE_DATA(events) *self)
{
	if (madvise(self->shared, GUEST_MEMORY, MADV_DONTNEED))
		fail("MADV_DONTNEED: %s", strerror(errno));
}

/* Each with all memory taken back before: IDT, GDT and stack are missing at the second level */
TEST_F(events, broken_off_software_interrupts_come_once)
{
	u64 reinjected = vm_counter(self->vm, THV_STAT_reinjections);

	self->record->hook[1] = guest_events_hook_step;
	self->record->hook[3] = guest_events_hook_return;
	guest_start(self->vcpu, guest_events_int80);
	take_back(self);
	EXPECT_EQ(1, guest_finish(self->vcpu));
	EXPECT_EQ(0x80, self->record->vector);
	EXPECT_EQ(guest_events_int80_after, self->record->rip);
	guest_start(self->vcpu, guest_events_int3);
	take_back(self);
	EXPECT_EQ(2, guest_finish(self->vcpu));
	EXPECT_EQ(3, self->record->vector);
	EXPECT_EQ(guest_events_int3_after, self->record->rip);
	guest_start(self->vcpu, guest_events_icebp);
	take_back(self);
	EXPECT_EQ(3, guest_finish(self->vcpu));
	EXPECT_EQ(1, self->record->vector);
	EXPECT_EQ(guest_events_icebp_after, self->record->rip);
	EXPECT_LT(reinjected, vm_counter(self->vm, THV_STAT_reinjections));
}

TEST_F(events, broken_off_exceptions_keep_error_code_and_address)
{
	vm_at(self->vm, GUEST_PT, u64)[0x1ff] = 0;
	guest_start(self->vcpu, guest_events_store, 0x1ff123);
	take_back(self);
	EXPECT_EQ(14, guest_finish(self->vcpu));
	EXPECT_EQ(2, self->record->error);
	EXPECT_EQ(0x1ff123, self->record->cr2);
	EXPECT_EQ(1, self->record->count);
	guest_start(self->vcpu, guest_events_load_ds, 0x1238);
	take_back(self);
	EXPECT_EQ(13, guest_finish(self->vcpu));
	EXPECT_EQ(0x1238, self->record->error);
	guest_start(self->vcpu, guest_events_undefined);
	take_back(self);
	EXPECT_EQ(6, guest_finish(self->vcpu));
	EXPECT_EQ(3, self->record->count);
}

TEST_F(events, broken_off_injected_exceptions_come_once)
{
	self->record->hook[14] = guest_events_hook_return;
	guest_start(self->vcpu, guest_events_plain);
	inject(self->vcpu, 14, THV_EVENT_ERROR_CODE | THV_EVENT_PAYLOAD, 2, 0xfeed0000cafe);
	take_back(self);
	EXPECT_EQ(1, guest_finish(self->vcpu));
	EXPECT_EQ(2, self->record->error);
	EXPECT_EQ(0xfeed0000cafe, self->record->cr2);
	EXPECT_EQ(guest_events_plain, self->record->rip);
}

TEST_F(events, broken_off_interrupts_come_once)
{
	if (!variant->flags)
		SKIP_DEFECT(VECTORING_OF_VIRTUAL_INTERRUPTS);
	guest_start(self->vcpu, guest_events_wait_events, 1);
	interrupt(self->vcpu, 0x51);
	take_back(self);
	EXPECT_EQ(1, guest_finish(self->vcpu));
	EXPECT_EQ(0x51, self->record->vector);
	guest_call(self->vcpu, guest_events_plain);
	EXPECT_EQ(1, self->record->count);
}

TEST_F(events, broken_off_nmis_come_once)
{
	self->record->hook[2] = guest_events_hook_nmi;
	guest_start(self->vcpu, guest_events_wait_nmis, 1);
	nmi(self->vcpu);
	take_back(self);
	until_port(self->vcpu, 0x82);
	EXPECT_NE(0, event_flags(self->vcpu) & THV_EVENT_NMI_BLOCKED);
	io_complete(self->vcpu, 0);
	EXPECT_EQ(1, guest_finish(self->vcpu));
	EXPECT_EQ(1, self->record->count);
}

/* IRET faults at the second level: NMIs stay blocked until it has been carried out */
TEST_F(events, an_iret_that_is_broken_off_does_not_unblock_nmis)
{
	self->record->hook[2] = guest_events_hook_nmi;
	guest_start(self->vcpu, guest_events_wait_nmis, 2);
	nmi(self->vcpu);
	until_port(self->vcpu, 0x82);
	nmi(self->vcpu);
	take_back(self);
	io_complete(self->vcpu, 0);
	until_port(self->vcpu, 0x82);
	EXPECT_EQ(1, *vm_at(self->vm, DEEPEST, u64));
	EXPECT_EQ(1, *vm_at(self->vm, NMIS, u64));
	take_back(self);
	io_complete(self->vcpu, 0);
	EXPECT_EQ(2, guest_finish(self->vcpu));
}

/* Where an event would have to go through what is no memory, the launcher is told. */
TEST_F(events, delivery_to_what_is_no_memory_is_unsupported)
{
	struct thv_sregs sregs;

	must_get(self->vcpu, THV_STATE_SREGS, &sregs);
	sregs.idt.base = GUEST_HOLE;
	must_set(self->vcpu, THV_STATE_SREGS, &sregs);
	guest_start(self->vcpu, guest_events_int80);
	run_until(self->vcpu, THV_EXIT_UNSUPPORTED);
	EXPECT_EQ(THV_UNSUPPORTED_EVENT_MMIO, self->vcpu->run->unsupported.what);
	EXPECT_EQ(GUEST_HOLE + 0x800, self->vcpu->run->unsupported.detail[0]);
	/* Repaired: it goes on with the delivery */
	sregs.idt.base = GUEST_IDT;
	must_set(self->vcpu, THV_STATE_SREGS, &sregs);
	EXPECT_EQ(1, guest_finish(self->vcpu));
	EXPECT_EQ(0x80, self->record->vector);
}

/* ---- storms (threat 1) ---- */

/* #DB on the stack that #DB is delivered on: each delivery causes the next */
static void prepare_db_storm(FIXTURE_DATA(events) *self)
{
	struct thv_debug debug = {
		.dr = { GUEST_IST - 8, GUEST_IST - 16, GUEST_IST - 24, GUEST_IST - 40 },
		.dr6 = DR6_FIXED,
		.dr7 = 0x400 | 0x55 | 0x9999ULL << 16,	/* all four: 8 bytes, writes */
	};

	vm_at(self->vm, GUEST_IDT, u64)[2 * 1] |= 1ULL << 32;	/* IST 1 */
	self->record->hook[1] = guest_events_hook_forever;
	must_set(self->vcpu, THV_STATE_DEBUG, &debug);
	guest_start(self->vcpu, guest_events_db_storm);
}

TEST_F(events, a_storm_of_debug_exceptions_ends_with_a_signal)
{
	u64 since, before = vm_counter(self->vm, THV_STAT_exceptions);

	prepare_db_storm(self);
	alarm_us(100000);
	since = now_us();
	ASSERT_EQ(-EINTR, vcpu_run_once(self->vcpu));
	alarm_us(0);
	EXPECT_GT(1000000, now_us() - since);
	EXPECT_LT(before, vm_counter(self->vm, THV_STAT_exceptions)) TH_LOG("#DB is not intercepted");
}

TEST_F(events, a_kill_lands_in_a_storm_of_debug_exceptions)
{
	int status, ends[2];
	u64 since;
	pid_t pid;
	char c;

	ASSERT_EQ(0, pipe(ends));
	pid = fork();
	if (!pid) {
		/* A VM of the child's own */
		self->shared = shared_memory();
		self->vm = vm_create_with(events, .flags = variant->flags, .memory = self->shared);
		self->vcpu = self->vm->vcpu;
		self->record = self->vm->record;
		prepare_db_storm(self);
		if (write(ends[1], "x", 1) == 1)
			vcpu_run(self->vcpu);
		_exit(1);
	}
	ASSERT_EQ(1, read(ends[0], &c, 1));
	usleep(50000);
	since = now_us();
	kill(pid, SIGKILL);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_GT(1000000, now_us() - since);
	EXPECT_EQ(SIGKILL, status) TH_LOG("it had ended by itself");
}

THV_TEST_MAIN
