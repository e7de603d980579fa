// SPDX-License-Identifier: GPL-2.0-only
/*
 * The modes of a processor: real mode, protected mode without paging and with each format of it,
 * long mode, and the ways between them. Where the processor lacks "unrestricted guest", real mode
 * is refused; protected mode without paging works all the same.
 */
#include <signal.h>
#include <sys/wait.h>
#include "kselftest_harness.h"
#include "lib/vm.h"
#include "guests/modes.h"

GUEST(modes);

#define CR4_PSE		BIT(4)
#define CR4_PAE		BIT(5)
#define TRACE		(GUEST_DATA + 0x100)

FIXTURE(modes) {
	struct vm *vm;
	struct vcpu *vcpu;
	struct thv_run *run;
};

/* 32-bit interrupt gates to the payload's own stubs */
static void build_idt32(struct vm *vm)
{
	u64 *gate = vm_at(vm, GUEST_IDT32, u64);
	u64 handler;
	int i;

	for (i = 0; i < 32; i++) {
		handler = guest_modes_stubs32 + i * 16;
		gate[i] = (handler & 0xffff) | GUEST_CS32 << 16 | 0x8eULL << 40 |
			  (handler >> 16) << 48;
	}
}

FIXTURE_SETUP(modes)
{
	self->vm = vm_create(modes);
	self->vcpu = self->vm->vcpu;
	self->run = self->vcpu->run;
	build_idt32(self->vm);
}

FIXTURE_TEARDOWN(modes)
{
	vm_close(self->vm);
}

/* A function of 32-bit code: its return address on the stack, arguments in EDI and ESI */
static void start32(struct vcpu *vcpu, u64 function, u32 a, u32 b)
{
	struct thv_regs *regs = &vcpu->run->regs;

	must_get(vcpu, THV_STATE_REGS, regs);
	regs->rip = function;
	regs->rflags = 2;
	regs->gpr[THV_RDI] = a;
	regs->gpr[THV_RSI] = b;
	regs->gpr[THV_RSP] = GUEST_STACK - 4;
	*vm_at(vcpu->vm, GUEST_STACK - 4, u32) = guest_modes_done32;
	vcpu->run->dirty = THV_DIRTY_GPRS | THV_DIRTY_RIP;
}

static u32 call32(struct vcpu *vcpu, u64 function, u32 a, u32 b)
{
	start32(vcpu, function, a, b);
	return guest_finish(vcpu);
}

/* ---- protected mode without paging ---- */

TEST_F(modes, unpaged_protected_mode_runs)
{
	vcpu_mode32(self->vcpu, 0, 0, false);
	EXPECT_EQ(0x12345679, call32(self->vcpu, guest_modes_add32, 0x12345678, 1));
	EXPECT_EQ(0x10, call32(self->vcpu, guest_modes_add32, 0xfffffff0, 0x20));
	EXPECT_EQ(0xabcd, call32(self->vcpu, guest_modes_stack32, 0xabcd, 0));
	call32(self->vcpu, guest_modes_store32, GUEST_DATA, 0x4711);
	EXPECT_EQ(0x4711, *vm_at(self->vm, GUEST_DATA, u32));
	EXPECT_EQ(0x4711, call32(self->vcpu, guest_modes_load32, GUEST_DATA, 0));
	EXPECT_NE(0, call32(self->vcpu, guest_modes_cpuid_32, 1, 0));
}

/* Every address is itself, up to 4 GiB; the guest cannot tell how it is done */
TEST_F(modes, unpaged_addresses_are_physical)
{
	static const u32 holes[] = { GUEST_MEMORY, 0x10000000, 0x80000000, 0xfec00000, 0xfffffff0 };
	unsigned int i;

	vcpu_mode32(self->vcpu, 0x123000, CR4_PSE, false);
	for (i = 0; i < ARRAY_SIZE(holes); i++) {
		start32(self->vcpu, guest_modes_load32, holes[i], 0);
		run_until(self->vcpu, THV_EXIT_MMIO);
		EXPECT_EQ(holes[i], self->run->mmio.gpa);
		EXPECT_EQ(0, self->run->mmio.flags & THV_MMIO_TABLE);
		EXPECT_EQ(32, self->run->context.code_bits);
		EXPECT_EQ(0, self->run->context.cr0 & BIT(31));
		EXPECT_EQ(0x123000, self->run->context.cr3);
	}
}

TEST_F(modes, unpaged_registers_are_what_the_guest_set)
{
	struct thv_sregs sregs;

	vcpu_mode32(self->vcpu, 0x123000, CR4_PAE, false);
	EXPECT_EQ(0x123000, call32(self->vcpu, guest_modes_get_cr3_32, 0, 0));
	EXPECT_EQ(0x456000, call32(self->vcpu, guest_modes_set_cr3_32, 0x456000, 0));
	EXPECT_EQ(0x10033, call32(self->vcpu, guest_modes_get_cr0_32, 0, 0));
	must_get(self->vcpu, THV_STATE_SREGS, &sregs);
	EXPECT_EQ(0x456000, sregs.cr3);
	EXPECT_EQ(CR4_PAE, sregs.cr4);
	EXPECT_EQ(0x10033, sregs.cr0);
}

/* ---- 32-bit exceptions ---- */

TEST_F(modes, exceptions_in_protected_mode)
{
	vcpu_mode32(self->vcpu, 0, 0, false);
	EXPECT_EQ(6, call32(self->vcpu, guest_modes_undefined32, 0, 0));
	EXPECT_EQ(4, call32(self->vcpu, guest_modes_overflow32, 0, 0));
	EXPECT_EQ(5, call32(self->vcpu, guest_modes_bound32, 0, 0));
	EXPECT_EQ(3, call32(self->vcpu, guest_modes_int3_32, 0, 0));
	EXPECT_EQ(13, call32(self->vcpu, guest_modes_gp32, 0x1238, 0));
	EXPECT_EQ(0x1238, self->vm->record->error);
}

/* ---- formats of paging ---- */

struct format {
	const char *name;
	u64 cr3, cr4;
	u64 entry;		/* where the entry of linear 0x1ff000 is */
	u32 size;		/* of an entry */
};

static const struct format formats[] = {
	{ "4-MByte pages", GUEST_PD32, CR4_PSE, GUEST_PT32 + 0x1ff * 4, 4 },
	{ "PAE", GUEST_PDPT_PAE, CR4_PAE, GUEST_PT + 0x1ff * 8, 8 },
};

static void try_format(struct __test_metadata *_metadata, FIXTURE_DATA(modes) *self,
		       const struct format *format)
{
	u64 data = GUEST_DATA | 7, none = 0;

	vcpu_mode32(self->vcpu, format->cr3, format->cr4, true);
	*vm_at(self->vm, GUEST_DATA, u32) = 0x1111;
	EXPECT_EQ(3, call32(self->vcpu, guest_modes_add32, 1, 2)) TH_LOG("%s", format->name);
	memcpy(self->vm->mem + format->entry, &data, format->size);
	call32(self->vcpu, guest_modes_set_cr3_32, format->cr3, 0);
	EXPECT_EQ(0x1111, call32(self->vcpu, guest_modes_load32, 0x1ff000, 0))
		TH_LOG("%s", format->name);
	memcpy(self->vm->mem + format->entry, &none, format->size);
	call32(self->vcpu, guest_modes_set_cr3_32, format->cr3, 0);
	EXPECT_EQ(14, call32(self->vcpu, guest_modes_pf32, 0x1ff123, 0)) TH_LOG("%s", format->name);
	EXPECT_EQ(2, self->vm->record->error) TH_LOG("%s", format->name);
	EXPECT_EQ(0x1ff123, (u32)self->vm->record->cr2) TH_LOG("%s", format->name);
	EXPECT_EQ(6, call32(self->vcpu, guest_modes_undefined32, 0, 0)) TH_LOG("%s", format->name);
}

TEST_F(modes, protected_mode_with_each_format_of_paging)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(formats); i++)
		try_format(_metadata, self, &formats[i]);
}

/*
 * The guest itself switches paging on and off, with tables that show something else at the
 * address
 */
TEST_F(modes, paging_goes_on_and_off)
{
	unsigned int i, round;

	*vm_at(self->vm, GUEST_DATA, u32) = 0x1111;
	*vm_at(self->vm, GUEST_DATA + 0x5000, u32) = 0x2222;
	vm_at(self->vm, GUEST_PT32, u32)[GUEST_DATA / PAGE] = (GUEST_DATA + 0x5000) | 7;
	vm_at(self->vm, GUEST_PT, u64)[GUEST_DATA / PAGE] = (GUEST_DATA + 0x5000) | 7;
	vcpu_mode32(self->vcpu, 0, 0, false);
	for (round = 0; round < 2; round++) {
		for (i = 0; i < ARRAY_SIZE(formats); i++) {
			EXPECT_EQ(0x1111, call32(self->vcpu, guest_modes_load32, GUEST_DATA, 0));
			EXPECT_EQ(0x2222, call32(self->vcpu, guest_modes_set_paging32,
						 formats[i].cr3, formats[i].cr4))
				TH_LOG("%s", formats[i].name);
		}
	}
}

/* PAE paging loads its four entries with CR3; a reserved bit in one of them is #GP (SDM 4.4.1) */
TEST_F(modes, reserved_bits_in_pdptes_fault)
{
	vm_at(self->vm, GUEST_PDPT_PAE, u64)[2] = 0x1 | BIT(1);
	vcpu_mode32(self->vcpu, 0, 0, false);
	EXPECT_EQ(13, call32(self->vcpu, guest_modes_bad_pdptes32, GUEST_PDPT_PAE, 0));
	EXPECT_EQ(0, self->vm->record->error);
	EXPECT_EQ(0x10033, call32(self->vcpu, guest_modes_get_cr0_32, 0, 0));
}

TEST_F(modes, pdptes_that_are_set_are_used_and_not_memory)
{
	struct thv_sregs sregs;

	vcpu_mode32(self->vcpu, GUEST_PDPT_PAE, CR4_PAE, true);
	must_get(self->vcpu, THV_STATE_SREGS, &sregs);
	EXPECT_EQ(GUEST_PD0 | 1, sregs.pdptr[0]);
	EXPECT_EQ(THV_SREGS_PDPTR, sregs.flags);
	/* In memory they change: what the processor has loaded counts */
	vm_at(self->vm, GUEST_PDPT_PAE, u64)[0] = 0;
	must_set(self->vcpu, THV_STATE_SREGS, &sregs);
	EXPECT_EQ(5, call32(self->vcpu, guest_modes_add32, 2, 3));
}

/* ---- into long mode and out of it ---- */

TEST_F(modes, the_decompressors_tour)
{
	vcpu_mode32(self->vcpu, 0, 0, false);
	start32(self->vcpu, guest_modes_tour, GUEST_PML4, 0);
	EXPECT_EQ(0x70707070, guest_finish(self->vcpu));
	EXPECT_EQ(64, *vm_at(self->vm, TRACE, u8));
	EXPECT_EQ(GUEST_CS64, *vm_at(self->vm, TRACE + 8, u32));
	EXPECT_EQ(32, *vm_at(self->vm, TRACE + 1, u8));
	EXPECT_EQ(33, *vm_at(self->vm, TRACE + 2, u8));
	EXPECT_EQ(0x100, *vm_at(self->vm, TRACE + 12, u32)) TH_LOG("LMA goes with paging");
	EXPECT_EQ(0, *vm_at(self->vm, TRACE + 16, u32));
	EXPECT_EQ(65, *vm_at(self->vm, TRACE + 3, u8));
}

/* ---- task switches ---- */

TEST_F(modes, a_task_switch_is_told)
{
	vcpu_mode32(self->vcpu, 0, 0, false);
	start32(self->vcpu, guest_modes_task_switch, 0, 0);
	run_until(self->vcpu, THV_EXIT_UNSUPPORTED);
	EXPECT_EQ(THV_UNSUPPORTED_TASK_SWITCH, self->run->unsupported.what);
	EXPECT_EQ(GUEST_TR32_B, self->run->unsupported.detail[0] & 0xffff);
	EXPECT_EQ(guest_modes_task_switch, self->run->regs.rip) TH_LOG("the guest is before it");
	EXPECT_EQ(5, call32(self->vcpu, guest_modes_add32, 2, 3));
}

/* ---- a storm of #AC (threat 1, CVE-2015-5307) ---- */

static void prepare_ac_storm(struct vcpu *vcpu)
{
	u64 *gate = vm_at(vcpu->vm, GUEST_IDT32, u64) + 17, handler = guest_modes_ac_handler;
	struct thv_sregs sregs;

	vcpu_mode32(vcpu, GUEST_PD32, CR4_PSE, true);
	must_get(vcpu, THV_STATE_SREGS, &sregs);
	sregs.cr0 |= BIT(18);
	must_set(vcpu, THV_STATE_SREGS, &sregs);
	*gate = (handler & 0xffff) | GUEST_USER_CS32 << 16 | 0xeeULL << 40 | (handler >> 16) << 48;
	start32(vcpu, guest_modes_ac_storm, GUEST_STACK_USER - 3, 0);
}

TEST_F(modes, a_storm_of_alignment_checks_ends_with_a_signal)
{
	u64 since, before = vm_counter(self->vm, THV_STAT_exceptions);

	prepare_ac_storm(self->vcpu);
	alarm_us(100000);
	since = now_us();
	ASSERT_EQ(-EINTR, vcpu_run_once(self->vcpu));
	alarm_us(0);
	EXPECT_GT(1000000, now_us() - since);
	EXPECT_LT(before, vm_counter(self->vm, THV_STAT_exceptions)) TH_LOG("#AC is not intercepted");
}

TEST_F(modes, a_kill_lands_in_a_storm_of_alignment_checks)
{
	int status, ends[2];
	u64 since;
	pid_t pid;
	char c;

	ASSERT_EQ(0, pipe(ends));
	pid = fork();
	if (!pid) {
		struct vm *vm = vm_create(modes);

		build_idt32(vm);
		prepare_ac_storm(vm->vcpu);
		if (write(ends[1], "x", 1) == 1)
			vcpu_run(vm->vcpu);
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

/* ---- real mode ---- */

static void start16(struct vcpu *vcpu, u64 function, u16 a, u16 b)
{
	struct thv_regs *regs = &vcpu->run->regs;

	must_get(vcpu, THV_STATE_REGS, regs);
	regs->rip = function - GUEST_CODE;
	regs->rflags = 2;
	regs->gpr[THV_RDI] = a;
	regs->gpr[THV_RSI] = b;
	regs->gpr[THV_RSP] = 0x8000;
	vcpu->run->dirty = THV_DIRTY_GPRS | THV_DIRTY_RIP;
}

static u32 call16(struct vcpu *vcpu, u64 function, u16 a, u16 b)
{
	start16(vcpu, function, a, b);
	run_until(vcpu, THV_EXIT_IO);
	if (vcpu->run->io.port != PORT_DONE)
		fail("port %#x", vcpu->run->io.port);
	return vcpu->run->regs.gpr[THV_RAX];
}

TEST_F(modes, real_mode_without_unrestricted_guest_is_told)
{
	REQUIRE(!thv_offers(THV_FEATURE_UNRESTRICTED), "this processor runs real mode");
	vcpu_mode16(self->vcpu);
	start16(self->vcpu, guest_modes_add16, 1, 2);
	run_until(self->vcpu, THV_EXIT_UNSUPPORTED);
	EXPECT_EQ(THV_UNSUPPORTED_REAL_MODE, self->run->unsupported.what);
	/* The launcher may choose another mode */
	vcpu_mode32(self->vcpu, 0, 0, false);
	EXPECT_EQ(3, call32(self->vcpu, guest_modes_add32, 1, 2));
}

TEST_F(modes, real_mode_runs)
{
	REQUIRE_FEATURE(UNRESTRICTED);
	vcpu_mode16(self->vcpu);
	EXPECT_EQ(0x1235, call16(self->vcpu, guest_modes_add16, 0x1234, 1) & 0xffff);
	*vm_at(self->vm, 0x23450, u16) = 0xbeef;
	vcpu_mode16(self->vcpu);
	EXPECT_EQ(0xbeef, call16(self->vcpu, guest_modes_load16, 0x2345, 0));
}

TEST_F(modes, real_mode_interrupts_go_through_the_vector_table)
{
	struct thv_interrupt interrupt = { .vector = 0x51 };

	REQUIRE_FEATURE(UNRESTRICTED);
	vcpu_mode16(self->vcpu);
	vm_at(self->vm, 0, u32)[0x21] = GUEST_CODE >> 4 << 16 | (guest_modes_int16_handler - GUEST_CODE);
	EXPECT_EQ(0x2121, call16(self->vcpu, guest_modes_int16, 0, 0));
	/* From outside, while it is halted */
	vm_at(self->vm, 0, u32)[0x51] = GUEST_CODE >> 4 << 16 | (guest_modes_interrupt16 - GUEST_CODE);
	vcpu_enable_apic(self->vcpu);
	start16(self->vcpu, guest_modes_halt16, 0, 0);
	must(thv_ioctl(self->vcpu->fd, THV_INTERRUPT, &interrupt));
	EXPECT_EQ(0x4242, guest_finish(self->vcpu));
}

TEST_F(modes, real_mode_exits_say_so)
{
	REQUIRE_FEATURE(UNRESTRICTED);
	vcpu_mode16(self->vcpu);
	start16(self->vcpu, guest_modes_outs16, 0, 0x100);
	run_until(self->vcpu, THV_EXIT_IO);
	EXPECT_EQ(0x3f8, self->run->io.port);
	EXPECT_EQ(THV_IO_STRING | THV_IO_REP, self->run->io.flags);
	EXPECT_EQ(GUEST_CODE + 0x100, self->run->io.gla);
	EXPECT_EQ(16, self->run->io.address_bits);
	EXPECT_EQ(16, self->run->context.code_bits);
	EXPECT_EQ(GUEST_CODE, self->run->context.seg_base[THV_DS]);
}

TEST_F(modes, a_boot_loaders_way_into_protected_mode)
{
	REQUIRE_FEATURE(UNRESTRICTED);
	*vm_at(self->vm, 0xd000, u16) = 0x67;
	*vm_at(self->vm, 0xd002, u32) = GUEST_GDT;
	vcpu_mode16(self->vcpu);
	start16(self->vcpu, guest_modes_to_protected, 0, 0);
	EXPECT_EQ(0x32323232, guest_finish(self->vcpu));
	/* And all the way */
	start32(self->vcpu, guest_modes_tour, GUEST_PML4, 0);
	EXPECT_EQ(0x70707070, guest_finish(self->vcpu));
}

THV_TEST_MAIN
