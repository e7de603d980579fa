// SPDX-License-Identifier: GPL-2.0-only
/*
 * THV_DEBUG_GUEST: INT3 as an exit, steps over each kind of instruction, breakpoints in the debug
 * registers; and that the guest does not see any of it: its own INT3, TF, DR0 to DR7 and
 * interrupts stay its own.
 */
#include <pthread.h>
#include "kselftest_harness.h"
#include "lib/known_defects.h"
#include "lib/vm.h"
#include "guests/debug.h"

GUEST(debug);

#define SCRATCH	GUEST_DATA
#define SEEN	(GUEST_DATA + 0x100)
#define STEPS	(GUEST_DATA + 0x200)

#define DR6_BS		BIT(14)
#define DR6_FIXED	0xffff0ff0ULL
#define TF		BIT(8)
#define IF		BIT(9)
#define RF		BIT(16)
#define DB		1
#define BP		3

/* DR7 of breakpoint @i (SDM 18.2.4): kind, and length as a number of bytes */
enum { EXECUTE = 0, WRITE = 1, PORT = 2, ACCESS = 3 };

static u64 dr7_of(int i, u64 kind, int bytes)
{
	static const u64 code[] = { [1] = 0, [2] = 1, [4] = 3, [8] = 2 };

	return 2ULL << (2 * i) | (kind | code[bytes] << 2) << (16 + 4 * i);
}

FIXTURE(debug) {
	struct vm *vm;
	struct vcpu *vcpu;
	struct thv_run *run;
	struct guest_record *record;
	struct thv_debug_guest debug;
};

FIXTURE_VARIANT(debug) {
	u32 flags;
};

FIXTURE_VARIANT_ADD(debug, apicv) {
	.flags = 0,
};

FIXTURE_VARIANT_ADD(debug, injected) {
	.flags = THV_VM_NO_APICV,
};

/* Where the processor has no monitor trap flag, the two above are like this one */
FIXTURE_VARIANT_ADD(debug, by_window) {
	.flags = THV_VM_NO_APICV | THV_VM_NO_MONITOR_TRAP,
};

FIXTURE_SETUP(debug)
{
	if (!variant->flags)
		REQUIRE_FEATURE(VIRTUAL_INTERRUPTS);
	self->vm = vm_create_with(debug, .flags = variant->flags);
	self->vcpu = self->vm->vcpu;
	self->run = self->vcpu->run;
	self->record = self->vm->record;
	vcpu_enable_apic(self->vcpu);
	self->record->hook[DB] = guest_debug_hook_db;
	self->record->hook[BP] = guest_debug_hook_return;
	self->record->hook[0x80] = guest_debug_hook_return;
	/* All that is needed is touched once: what comes later is not about that */
	guest_call(self->vcpu, guest_debug_int80);
	guest_call(self->vcpu, guest_debug_own_registers);
	guest_call(self->vcpu, guest_debug_loop);
	*vm_at(self->vm, SCRATCH, u64) = 0;
	self->record->count = 0;
}

FIXTURE_TEARDOWN(debug)
{
	vm_close(self->vm);
}

/* ---- the debugger's side ---- */

static int set_debug(FIXTURE_DATA(debug) *self, u32 flags)
{
	self->debug.flags = flags;
	return thv_ioctl(self->vcpu->fd, THV_DEBUG_GUEST, &self->debug);
}

static void debug(FIXTURE_DATA(debug) *self, u32 flags)
{
	must(set_debug(self, flags));
}

/* One breakpoint and no other */
static void break_at(FIXTURE_DATA(debug) *self, int i, u64 address, u64 kind, int bytes)
{
	memset(&self->debug, 0, sizeof(self->debug));
	self->debug.dr[i] = address;
	self->debug.dr7 = dr7_of(i, kind, bytes);
	debug(self, THV_DEBUG_HARDWARE);
}

static u64 rip(FIXTURE_DATA(debug) *self)
{
	return self->run->regs.rip;
}

/* Until a debug exit; the launcher's part of port accesses is done */
static void until_debug(FIXTURE_DATA(debug) *self)
{
	must(vcpu_run(self->vcpu));
	while (self->run->exit == THV_EXIT_IO && self->run->io.port == 0x80) {
		io_complete(self->vcpu, 0);
		must(vcpu_run(self->vcpu));
	}
	if (self->run->exit == THV_EXIT_DEBUG)
		return;
	exit_print(self->vcpu);
	fail("expected a debug exit");
}

/* One step: where it ends. DR6 has to say so. */
static u64 step(FIXTURE_DATA(debug) *self)
{
	until_debug(self);
	if (self->run->debug.vector != DB || self->run->debug.dr6 != DR6_BS)
		fail("vector %u, DR6 %#llx after a step", self->run->debug.vector,
		     self->run->debug.dr6);
	return rip(self);
}

static u64 handler(u32 vector)
{
	return GUEST_CODE + vector * 16;
}

static void interrupt(struct vcpu *vcpu, u32 vector)
{
	struct thv_interrupt interrupt = { .vector = vector };

	must(thv_ioctl(vcpu->fd, THV_INTERRUPT, &interrupt));
}

/* ---- INT3 ---- */

TEST_F(debug, int3_is_an_exit_with_rip_at_it)
{
	debug(self, THV_DEBUG_BREAKPOINTS);
	guest_start(self->vcpu, guest_debug_int3);
	run_until(self->vcpu, THV_EXIT_DEBUG);
	EXPECT_EQ(BP, self->run->debug.vector);
	EXPECT_EQ(0, self->run->debug.dr6);
	EXPECT_EQ(1, self->run->instruction_length);
	EXPECT_EQ(guest_debug_int3_at, rip(self));
	EXPECT_EQ(0, self->record->count);
}

TEST_F(debug, the_instruction_under_an_int3_runs_when_it_is_back)
{
	u8 *code = vm_at(self->vm, guest_debug_loop_at, u8), saved = *code;

	*code = 0xcc;
	debug(self, THV_DEBUG_BREAKPOINTS);
	guest_start(self->vcpu, guest_debug_loop);
	run_until(self->vcpu, THV_EXIT_DEBUG);
	EXPECT_EQ(guest_debug_loop_at, rip(self));
	*code = saved;
	debug(self, THV_DEBUG_BREAKPOINTS | THV_DEBUG_STEP);
	EXPECT_EQ(guest_debug_loop_after, step(self));
	*code = 0xcc;
	debug(self, THV_DEBUG_BREAKPOINTS);
	run_until(self->vcpu, THV_EXIT_DEBUG);
	EXPECT_EQ(guest_debug_loop_at, rip(self));
	EXPECT_EQ(1, *vm_at(self->vm, SCRATCH, u64));
}

TEST_F(debug, an_int3_of_the_guests_own_goes_back_to_it)
{
	struct thv_event_state events;

	debug(self, THV_DEBUG_BREAKPOINTS);
	guest_start(self->vcpu, guest_debug_int3);
	run_until(self->vcpu, THV_EXIT_DEBUG);
	must_get(self->vcpu, THV_STATE_EVENTS, &events);
	events.flags |= THV_EVENT_REINJECT;
	events.reinject = 0x603;
	events.reinject_length = self->run->instruction_length;
	must_set(self->vcpu, THV_STATE_EVENTS, &events);
	EXPECT_EQ(1, guest_finish(self->vcpu));
	EXPECT_EQ(BP, self->record->vector);
	EXPECT_EQ(guest_debug_int3_after, self->record->rip);
}

TEST_F(debug, without_flags_nothing_exits)
{
	debug(self, THV_DEBUG_BREAKPOINTS | THV_DEBUG_STEP);
	break_at(self, 0, guest_debug_int3_after, EXECUTE, 1);
	memset(&self->debug, 0, sizeof(self->debug));
	debug(self, 0);
	EXPECT_EQ(1, guest_call(self->vcpu, guest_debug_int3));
	EXPECT_EQ(BP, self->record->vector);
	EXPECT_EQ(guest_debug_int3_after, self->record->rip);
}

/* ---- steps ---- */

/* Without the monitor trap flag this may be left out: the instruction before opens a shadow */
#define TOGETHER BIT(63)

TEST_F(debug, a_step_ends_after_each_instruction_whoever_carries_it_out)
{
	static const u64 expected[] = {
		guest_debug_step_1, guest_debug_step_2, guest_debug_step_3, guest_debug_step_4,
		guest_debug_step_5, guest_debug_step_6, guest_debug_step_7, guest_debug_step_8,
		guest_debug_step_9, guest_debug_step_10, guest_debug_step_11 | TOGETHER, guest_debug_step_12,
		guest_debug_step_13, guest_debug_step_14, guest_debug_step_15, guest_debug_step_16,
		guest_debug_step_17 | TOGETHER, guest_debug_step_18, guest_debug_step_19, guest_debug_step_20,
		guest_debug_step_21, guest_debug_step_22, guest_debug_step_23, guest_debug_step_23,
		guest_debug_step_24, guest_debug_step_25, guest_debug_step_26, guest_debug_step_27,
		guest_debug_step_28, guest_debug_step_29, guest_debug_step_30, guest_debug_step_31,
		guest_debug_step_32, guest_debug_step_33, guest_debug_step_34, guest_debug_step_35,
		GUEST_DONE,
	};
	bool window = variant->flags & THV_VM_NO_MONITOR_TRAP || !thv_offers(THV_FEATURE_MONITOR_TRAP);
	unsigned int i;
	u64 end = 0;

	debug(self, THV_DEBUG_STEP);
	guest_start(self->vcpu, guest_debug_steps);
	for (i = 0; i < ARRAY_SIZE(expected); i++) {
		end = step(self);
		if (window && (expected[i] & TOGETHER) && end != (expected[i] & ~TOGETHER))
			i++;
		ASSERT_EQ(expected[i] & ~TOGETHER, end) TH_LOG("step %u", i + 1);
	}
	/* What PUSHF pushed */
	EXPECT_EQ(0, self->run->regs.gpr[THV_RAX] & TF);
	EXPECT_EQ(0, self->record->count);
}

TEST_F(debug, no_step_is_told_that_is_not_wanted_any_more)
{
	guest_start(self->vcpu, guest_debug_steps);
	debug(self, THV_DEBUG_STEP);
	do {
		must(vcpu_run(self->vcpu));
	} while (self->run->exit == THV_EXIT_DEBUG);
	ASSERT_EQ(THV_EXIT_IO, self->run->exit);
	io_complete(self->vcpu, 0);
	/* The kernel learns that it is done, and that it is not to go on */
	self->run->immediate_exit = 1;
	ASSERT_EQ(-EINTR, vcpu_run_once(self->vcpu));
	self->run->immediate_exit = 0;
	EXPECT_EQ(guest_debug_step_8, rip(self));
	debug(self, 0);
	run_until(self->vcpu, THV_EXIT_IO);
	EXPECT_TRUE(self->run->io.flags & THV_IO_IN);
	io_complete(self->vcpu, 0);
	guest_finish(self->vcpu);
}

TEST_F(debug, a_step_into_an_exception_ends_at_its_handler)
{
	static const struct {
		u64 function;
		u32 vector;
		unsigned int before;	/* steps until it comes */
	} all[] = {
		{ guest_debug_undefined, 6, 0 },
		{ guest_debug_int80, 0x80, 0 },
		{ guest_debug_int3_at, BP, 0 },
		{ guest_debug_bad_msr, 13, 1 },		/* the module raises it */
		{ guest_debug_touch, 14, 0 },
	};
	unsigned int i, n;

	for (i = 0; i < ARRAY_SIZE(all); i++) {
		guest_start(self->vcpu, all[i].function, 0x40000000);
		debug(self, THV_DEBUG_STEP);
		for (n = 0; n < all[i].before; n++)
			step(self);
		EXPECT_EQ(handler(all[i].vector), step(self)) TH_LOG("vector %u", all[i].vector);
	}
}

TEST_F(debug, a_step_into_syscall_ends_at_its_target_though_it_masks_tf)
{
	u64 efer;

	must(vcpu_get_msr(self->vcpu, 0xc0000080, &efer));
	must(vcpu_set_msr(self->vcpu, 0xc0000080, efer | 1));
	must(vcpu_set_msr(self->vcpu, 0xc0000081, (u64)GUEST_CS64 << 32));
	must(vcpu_set_msr(self->vcpu, 0xc0000082, guest_debug_syscall_target));
	must(vcpu_set_msr(self->vcpu, 0xc0000084, TF));
	debug(self, THV_DEBUG_STEP);
	guest_start(self->vcpu, guest_debug_syscall);
	EXPECT_EQ(guest_debug_syscall_target, step(self));
	step(self);
	EXPECT_EQ(guest_debug_syscall_back, step(self));
}

static void start_open(FIXTURE_DATA(debug) *self, u64 function)
{
	guest_start(self->vcpu, function);
	self->run->regs.rflags |= IF;
}

TEST_F(debug, an_interrupt_waits_until_the_steps_are_over)
{
	start_open(self, guest_debug_open);
	debug(self, THV_DEBUG_STEP);
	interrupt(self->vcpu, 0x51);
	must(thv_ioctl(self->vcpu->fd, THV_NMI, NULL));
	EXPECT_EQ(guest_debug_open_1, step(self));
	EXPECT_EQ(guest_debug_open_2, step(self));
	EXPECT_EQ(guest_debug_open_3, step(self));
	EXPECT_EQ(0, self->record->count);
	self->record->hook[2] = guest_debug_hook_return;
	debug(self, 0);
	EXPECT_EQ(2, guest_finish(self->vcpu));
	/* In the first instruction of the NMI's handler, if an interrupt of the host comes then */
	if (!variant->flags && self->record->log[0] == 0x51 && self->record->log[1] == 2)
		SKIP_DEFECT(VIRTUAL_INTERRUPT_DESPITE_IF0);
	EXPECT_EQ(2, self->record->log[0]);
	EXPECT_EQ(0x51, self->record->log[1]);
	EXPECT_EQ(guest_debug_open_3, self->record->rip);
}

TEST_F(debug, a_step_over_hlt_halts_and_the_next_waits_for_an_event)
{
	struct thv_event_state events;

	start_open(self, guest_debug_halt);
	debug(self, THV_DEBUG_STEP);
	EXPECT_EQ(guest_debug_halt_after, step(self));
	must_get(self->vcpu, THV_STATE_EVENTS, &events);
	EXPECT_EQ(THV_MP_HALTED, events.mp_state);
	alarm_us(50000);
	EXPECT_EQ(-EINTR, vcpu_run_once(self->vcpu));
	alarm_us(0);
	interrupt(self->vcpu, 0x51);
	EXPECT_EQ(guest_debug_halt_end, step(self));
	EXPECT_EQ(0, self->record->count);
	debug(self, 0);
	EXPECT_EQ(1, guest_finish(self->vcpu));
}

/* ---- what the guest does with TF ---- */

static void expect_own_steps(struct __test_metadata *_metadata, FIXTURE_DATA(debug) *self)
{
	static const u64 rips[] = { guest_debug_own_2, guest_debug_own_3 };
	const u64 *steps = vm_at(self->vm, STEPS, u64);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(rips); i++) {
		EXPECT_EQ(rips[i], steps[2 + 2 * i]);
		EXPECT_EQ(DR6_FIXED | DR6_BS, steps[3 + 2 * i]);
	}
}

TEST_F(debug, the_guests_own_steps_are_its_own)
{
	debug(self, THV_DEBUG_BREAKPOINTS);
	/* NOP, CPUID, and then PUSHF, AND, POPF */
	EXPECT_EQ(5, guest_call(self->vcpu, guest_debug_own_steps));
	expect_own_steps(_metadata, self);
}

TEST_F(debug, both_step_at_a_time)
{
	int i;

	guest_start(self->vcpu, guest_debug_own_steps);
	debug(self, THV_DEBUG_STEP);
	for (i = 0; i < 3; i++)
		step(self);
	EXPECT_EQ(guest_debug_own_1, rip(self));
	EXPECT_EQ(guest_debug_own_2, step(self));
	/* The guest's trap was behind the debugger's, and is next */
	EXPECT_EQ(handler(DB), step(self));
	while (rip(self) != guest_debug_own_2)
		step(self);
	EXPECT_EQ(guest_debug_own_3, step(self));
	EXPECT_EQ(handler(DB), step(self));
	debug(self, 0);
	EXPECT_EQ(5, guest_finish(self->vcpu));
	expect_own_steps(_metadata, self);
}

/* ---- breakpoints in the debug registers ---- */

TEST_F(debug, an_instruction_breakpoint_stops_before_it_each_time)
{
	int i;

	for (i = 0; i < 4; i++) {
		int round;

		break_at(self, i, guest_debug_loop_at, EXECUTE, 1);
		guest_start(self->vcpu, guest_debug_loop);
		for (round = 0; round < 3; round++) {
			until_debug(self);
			EXPECT_EQ(DB, self->run->debug.vector);
			EXPECT_EQ(BIT(i), self->run->debug.dr6);
			EXPECT_EQ(guest_debug_loop_at, rip(self));
			EXPECT_EQ(3 * i + round, *vm_at(self->vm, SCRATCH, u64));
			EXPECT_TRUE(self->run->regs.rflags & RF);
		}
		guest_finish(self->vcpu);
	}
}

TEST_F(debug, an_instruction_breakpoint_in_a_page_that_is_jumped_to_stops)
{
	static const u8 code[] = { 0x90, 0x90, 0x90, 0xc3 };	/* NOP, NOP, NOP, RET */
	unsigned int i;

	memcpy(vm_at(self->vm, SCRATCH + 64, u8), code, sizeof(code));
	guest_call(self->vcpu, guest_debug_jump, SCRATCH + 64);
	for (i = 0; i < sizeof(code); i++) {
		break_at(self, 0, SCRATCH + 64 + i, EXECUTE, 1);
		guest_start(self->vcpu, guest_debug_jump, SCRATCH + 64);
		until_debug(self);
		EXPECT_EQ(SCRATCH + 64 + i, rip(self));
		guest_finish(self->vcpu);
	}
}

TEST_F(debug, an_instruction_breakpoint_stops_one_that_exits)
{
	break_at(self, 2, guest_debug_exiting_at, EXECUTE, 1);
	guest_start(self->vcpu, guest_debug_exiting);
	until_debug(self);
	EXPECT_EQ(BIT(2), self->run->debug.dr6);
	EXPECT_EQ(guest_debug_exiting_at, rip(self));
	guest_finish(self->vcpu);
}

TEST_F(debug, an_instruction_breakpoint_stops_once_before_one_whose_memory_has_to_come_first)
{
	break_at(self, 0, guest_debug_store8, EXECUTE, 1);
	guest_start(self->vcpu, guest_debug_store8, GUEST_MEMORY - 8, 7);
	until_debug(self);
	must(vcpu_run(self->vcpu));
	if (self->run->exit == THV_EXIT_DEBUG)
		SKIP_DEFECT(RF_GONE_AT_A_FAULT);
	EXPECT_EQ(THV_EXIT_IO, self->run->exit);
	EXPECT_EQ(7, *vm_at(self->vm, GUEST_MEMORY - 8, u64));
}

TEST_F(debug, a_step_from_an_instruction_breakpoint_carries_the_instruction_out)
{
	break_at(self, 0, guest_debug_loop_at, EXECUTE, 1);
	guest_start(self->vcpu, guest_debug_loop);
	until_debug(self);
	debug(self, THV_DEBUG_HARDWARE | THV_DEBUG_STEP);
	EXPECT_EQ(guest_debug_loop_after, step(self));
}

TEST_F(debug, watchpoints_of_each_length_and_kind)
{
	static const struct {
		int bytes;
		u64 store, after;
	} all[] = {
		{ 1, guest_debug_store1, guest_debug_store1_after },
		{ 2, guest_debug_store2, guest_debug_store2_after },
		{ 4, guest_debug_store4, guest_debug_store4_after },
		{ 8, guest_debug_store8, guest_debug_store8_after },
	};
	unsigned int i, kind;

	for (i = 0; i < ARRAY_SIZE(all); i++) {
		u64 address = SCRATCH + 8 * i;

		for (kind = WRITE; kind <= ACCESS; kind += ACCESS - WRITE) {
			break_at(self, i, address, kind, all[i].bytes);
			guest_start(self->vcpu, all[i].store, address, 0x77);
			until_debug(self);
			EXPECT_EQ(DB, self->run->debug.vector);
			EXPECT_EQ(BIT(i), self->run->debug.dr6);
			EXPECT_EQ(all[i].after, rip(self));
			EXPECT_EQ(0x77, *vm_at(self->vm, address, u8));
			guest_finish(self->vcpu);
		}
		/* The byte behind it is not watched, the last of it is */
		break_at(self, i, address, WRITE, all[i].bytes);
		guest_call(self->vcpu, guest_debug_store1, address + all[i].bytes, 1);
		guest_start(self->vcpu, guest_debug_store1, address + all[i].bytes - 1, 1);
		until_debug(self);
		guest_finish(self->vcpu);
	}
}

TEST_F(debug, a_read_is_for_read_write_watchpoints_only)
{
	break_at(self, 1, SCRATCH, WRITE, 1);
	guest_call(self->vcpu, guest_debug_load1, SCRATCH);
	break_at(self, 1, SCRATCH, ACCESS, 1);
	guest_start(self->vcpu, guest_debug_load1, SCRATCH);
	until_debug(self);
	EXPECT_EQ(BIT(1), self->run->debug.dr6);
	EXPECT_EQ(guest_debug_load1_after, rip(self));
	guest_finish(self->vcpu);
}

TEST_F(debug, a_step_onto_a_watchpoint_tells_both)
{
	break_at(self, 3, SCRATCH, WRITE, 8);
	guest_start(self->vcpu, guest_debug_store8, SCRATCH, 5);
	debug(self, THV_DEBUG_HARDWARE | THV_DEBUG_STEP);
	until_debug(self);
	EXPECT_EQ(DR6_BS | BIT(3), self->run->debug.dr6);
	EXPECT_EQ(guest_debug_store8_after, rip(self));
	/* ... once */
	debug(self, THV_DEBUG_HARDWARE);
	guest_finish(self->vcpu);
}

/* ---- what the guest does with its debug registers ---- */

TEST_F(debug, the_guest_reads_the_debug_registers_it_wrote)
{
	const u64 *seen = vm_at(self->vm, SEEN, u64);

	break_at(self, 0, SCRATCH + 64, WRITE, 8);
	guest_call(self->vcpu, guest_debug_own_registers);
	EXPECT_EQ(0x123450, seen[0]);
	EXPECT_EQ(0x123458, seen[1]);
	EXPECT_EQ(DR6_FIXED, seen[2]);
	EXPECT_EQ(0x703, seen[3]);
	/* Nor did that take the debugger's away */
	guest_start(self->vcpu, guest_debug_store8, SCRATCH + 64, 1);
	until_debug(self);
	EXPECT_EQ(BIT(0), self->run->debug.dr6);
}

TEST_F(debug, the_guests_breakpoints_act_when_the_debuggers_do_not)
{
	struct thv_debug own = { .dr = { SCRATCH }, .dr6 = DR6_FIXED,
				 .dr7 = dr7_of(0, WRITE, 8) };
	const u64 *steps = vm_at(self->vm, STEPS, u64);

	must_set(self->vcpu, THV_STATE_DEBUG, &own);
	debug(self, THV_DEBUG_BREAKPOINTS);
	guest_call(self->vcpu, guest_debug_store8, SCRATCH, 1);
	EXPECT_EQ(1, steps[0]);
	EXPECT_EQ(guest_debug_store8_after, steps[2]);
	EXPECT_EQ(DR6_FIXED | 1, steps[3]);

	break_at(self, 2, SCRATCH + 64, WRITE, 8);
	guest_call(self->vcpu, guest_debug_store8, SCRATCH, 2);
	EXPECT_EQ(1, steps[0]);

	memset(&self->debug, 0, sizeof(self->debug));
	debug(self, 0);
	guest_call(self->vcpu, guest_debug_store8, SCRATCH, 3);
	EXPECT_EQ(2, steps[0]);
	must_get(self->vcpu, THV_STATE_DEBUG, &own);
	EXPECT_EQ(SCRATCH, own.dr[0]);
}

TEST_F(debug, int1_is_the_guests)
{
	break_at(self, 0, SCRATCH, WRITE, 8);
	EXPECT_EQ(1, guest_call(self->vcpu, guest_debug_int1));
	EXPECT_EQ(DB, self->record->vector);
	EXPECT_EQ(guest_debug_int1_after, self->record->rip);
}

/* ---- the call itself ---- */

TEST_F(debug, what_cannot_be_is_einval)
{
	static const struct {
		u32 flags;
		u64 dr, dr7;
	} bad[] = {
		{ BIT(3), 0, 0 }, { BIT(31), 0, 0 },
		{ 0, 1, 0 }, { THV_DEBUG_STEP, 0, 2 },		/* registers without the flag */
		{ THV_DEBUG_HARDWARE, 0, BIT(13) },		/* general detect */
		{ THV_DEBUG_HARDWARE, 0, BIT(11) }, { THV_DEBUG_HARDWARE, 0, BIT(12) },
		{ THV_DEBUG_HARDWARE, 0, BIT(14) }, { THV_DEBUG_HARDWARE, 0, BIT(32) },
		{ THV_DEBUG_HARDWARE, 0x8000000000000000, 2 },
		{ THV_DEBUG_HARDWARE, 0x800000000000, 2 },
		{ THV_DEBUG_HARDWARE, 0x80, 2 | PORT << 16 },
		{ THV_DEBUG_HARDWARE, 0x1000, 2 | (EXECUTE | 1 << 2) << 16 },
		{ THV_DEBUG_HARDWARE, 0x1001, 2 | (WRITE | 1 << 2) << 16 },
		{ THV_DEBUG_HARDWARE, 0x1002, 2 | (WRITE | 3 << 2) << 16 },
		{ THV_DEBUG_HARDWARE, 0x1004, 2 | (ACCESS | 2 << 2) << 16 },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		memset(&self->debug, 0, sizeof(self->debug));
		self->debug.dr[0] = bad[i].dr;
		self->debug.dr7 = bad[i].dr7;
		EXPECT_EQ(-EINVAL, set_debug(self, bad[i].flags)) TH_LOG("row %u", i);
	}
	memset(&self->debug, 0, sizeof(self->debug));
	self->debug.reserved2[1] = 1;
	EXPECT_EQ(-EINVAL, set_debug(self, 0));
}

TEST_F(debug, what_is_not_enabled_is_not_looked_at)
{
	self->debug.dr[0] = 0x8000000000000001;
	EXPECT_EQ(0, set_debug(self, THV_DEBUG_HARDWARE));
	guest_call(self->vcpu, guest_debug_store8, SCRATCH, 1);
}

static void *spin(void *vcpu)
{
	vcpu_run(vcpu);
	return NULL;
}

TEST_F(debug, ebusy_while_it_runs)
{
	u64 limit = now_us() + 10000000;
	pthread_t thread;
	int err;

	guest_start(self->vcpu, guest_debug_spin);
	self->run->regs.rflags |= IF;
	pthread_create(&thread, NULL, spin, self->vcpu);
	/* Not at once and not without a pause: the other's THV_RUN would find the vCPU busy, too */
	do {
		usleep(200000);
		err = set_debug(self, 0);
	} while (!err && now_us() < limit);
	EXPECT_EQ(-EBUSY, err);
	must(thv_ioctl(self->vm->fd, THV_CONTROL,
		       &(struct thv_control){ .state = THV_VM_STOPPED }));
	pthread_join(thread, NULL);
}

THV_TEST_MAIN
