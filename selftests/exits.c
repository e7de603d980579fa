// SPDX-License-Identifier: GPL-2.0-only
/*
 * THV_RUN, and each reason for which a guest leaves: those that the launcher is told of and those
 * that the module deals with by itself.
 */
#include <signal.h>
#include <time.h>
#include "kselftest_harness.h"
#include "lib/known_defects.h"
#include "lib/vm.h"
#include "guests/exits.h"

GUEST(exits);

#define NONE	(-1ULL)		/* no exception */

FIXTURE(exits) {
	struct vm *vm;
	struct vcpu *vcpu;
	struct thv_run *run;
};

FIXTURE_SETUP(exits)
{
	self->vm = vm_create(exits);
	self->vcpu = self->vm->vcpu;
	self->run = self->vcpu->run;
}

FIXTURE_TEARDOWN(exits)
{
	vm_close(self->vm);
}

/* Let delivery touch all it needs: IDT, stack, handler */
static void warm_up(struct vcpu *vcpu)
{
	guest_call(vcpu, guest_exits_rdmsr, 0x1234567);
	vcpu->vm->record->count = 0;
}

static void interrupt(struct vcpu *vcpu, u32 vector)
{
	struct thv_interrupt interrupt = { .vector = vector };

	must(thv_ioctl(vcpu->fd, THV_INTERRUPT, &interrupt));
}

/* ---- CPUID ---- */

TEST_F(exits, cpuid_is_what_the_device_says)
{
	static const struct { u32 leaf, subleaf; } leaves[] = {
		{ 0, 0 }, { 1, 0 }, { 2, 0 }, { 4, 0 }, { 4, 1 }, { 4, 3 }, { 6, 0 }, { 7, 0 },
		{ 7, 1 }, { 0xa, 0 }, { 0xb, 0 }, { 0xb, 1 }, { 0xd, 1 }, { 0xd, 2 }, { 0x15, 0 },
		{ 0x16, 0 }, { 0x1f, 1 }, { 0x40000000, 0 }, { 0x40000001, 0 }, { 0x40000010, 0 },
		{ 0x80000000, 0 }, { 0x80000001, 0 }, { 0x80000002, 0 }, { 0x80000008, 0 },
		{ 0x20, 0 }, { 0x12345678, 0 }, { 0xffffffff, 0xffffffff },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(leaves); i++) {
		struct thv_cpuid cpuid = { .leaf = leaves[i].leaf, .subleaf = leaves[i].subleaf };

		vm_cpuid(&cpuid);
		guest_call(self->vcpu, guest_exits_cpuid, leaves[i].leaf, leaves[i].subleaf, GUEST_DATA);
		EXPECT_EQ(0, memcmp(&cpuid.eax, self->vm->mem + GUEST_DATA, 16))
			TH_LOG("leaf %#x.%#x", leaves[i].leaf, leaves[i].subleaf);
	}
}

TEST_F(exits, cpuid_follows_the_vcpus_state)
{
	u32 *result = vm_at(self->vm, GUEST_DATA, u32);
	struct vcpu *second = vcpu_create(self->vm, 37);
	struct thv_sregs sregs;
	u64 cr4;

	guest_call(self->vcpu, guest_exits_cpuid, 1, 0, GUEST_DATA);
	EXPECT_EQ(0, result[1] >> 24);
	EXPECT_EQ(0, result[2] & BIT(27)) TH_LOG("OSXSAVE");
	if (result[2] & BIT(26)) {
		must_get(self->vcpu, THV_STATE_SREGS, &sregs);
		cr4 = sregs.cr4 | BIT(18);
		EXPECT_EQ(NONE, guest_call(self->vcpu, guest_exits_set_cr4, cr4));
		guest_call(self->vcpu, guest_exits_cpuid, 1, 0, GUEST_DATA);
		EXPECT_NE(0, result[2] & BIT(27)) TH_LOG("OSXSAVE");
	}
	vcpu_mode64(second);
	guest_call(second, guest_exits_cpuid, 1, 0, GUEST_DATA);
	EXPECT_EQ(37, result[1] >> 24);
	guest_call(second, guest_exits_cpuid, 0xb, 0, GUEST_DATA);
	EXPECT_EQ(37, result[3]);
}

/* ---- HLT ---- */

TEST_F(exits, hlt_ends_with_an_interrupt)
{
	vcpu_enable_apic(self->vcpu);
	warm_up(self->vcpu);
	guest_start(self->vcpu, guest_exits_halt);
	interrupt(self->vcpu, 0x51);
	EXPECT_EQ(1, guest_finish(self->vcpu));
	EXPECT_EQ(0x51, self->vm->record->vector);
}

TEST_F(exits, hlt_sleeps_until_a_signal_and_goes_on_sleeping)
{
	struct thv_event_state events;
	int i;

	vcpu_enable_apic(self->vcpu);
	warm_up(self->vcpu);
	guest_start(self->vcpu, guest_exits_halt);
	alarm_us(20000);
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(-EINTR, vcpu_run_once(self->vcpu));
		EXPECT_EQ(THV_EXIT_INTERRUPTED, self->run->exit);
		must_get(self->vcpu, THV_STATE_EVENTS, &events);
		EXPECT_EQ(THV_MP_HALTED, events.mp_state);
	}
	alarm_us(0);
	interrupt(self->vcpu, 0x52);
	EXPECT_EQ(1, guest_finish(self->vcpu));
}

TEST_F(exits, hlt_with_interrupts_disabled_waits_for_an_nmi)
{
	struct vm *vm = vm_create_with(exits, .flags = flag_against_virtual_interrupts());

	vcpu_enable_apic(vm->vcpu);
	warm_up(vm->vcpu);
	vm->record->hook[2] = guest_exits_nothing;
	guest_start(vm->vcpu, guest_exits_halt_disabled);
	interrupt(vm->vcpu, 0x51);
	alarm_us(20000);
	ASSERT_EQ(-EINTR, vcpu_run_once(vm->vcpu));
	alarm_us(0);
	EXPECT_EQ(0, vm->record->count);
	must(thv_ioctl(vm->vcpu->fd, THV_NMI, NULL));
	EXPECT_EQ(1, guest_finish(vm->vcpu));
	EXPECT_EQ(2, vm->record->vector);
	vm_close(vm);
}

TEST_F(exits, hlt_takes_no_processor_time)
{
	struct timespec before, after;

	guest_start(self->vcpu, guest_exits_halt);
	alarm_us(200000);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
	ASSERT_EQ(-EINTR, vcpu_run_once(self->vcpu));
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
	alarm_us(0);
	EXPECT_GT(100000000, (after.tv_sec - before.tv_sec) * 1000000000 + after.tv_nsec -
			     before.tv_nsec);
}

/* ---- ports ---- */

TEST_F(exits, out_of_each_size)
{
	static const struct { u64 function; u32 size, length, data; } outs[] = {
		{ guest_exits_out8, 1, 1, 0x88 },
		{ guest_exits_out16, 2, 2, 0x7788 },
		{ guest_exits_out32, 4, 1, 0x55667788 },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(outs); i++) {
		guest_start(self->vcpu, outs[i].function, 0xfff0, 0x1122334455667788);
		run_until(self->vcpu, THV_EXIT_IO);
		EXPECT_EQ(0xfff0, self->run->io.port);
		EXPECT_EQ(outs[i].size, self->run->io.size);
		EXPECT_EQ(outs[i].length, self->run->io.instruction_length);
		EXPECT_EQ(outs[i].length, self->run->instruction_length);
		EXPECT_EQ(outs[i].data, self->run->io.data);
		EXPECT_EQ(0, self->run->io.flags);
		EXPECT_EQ(0, self->run->io.gla);
		io_complete(self->vcpu, 0);
		EXPECT_EQ(0x1122334455667788, guest_finish(self->vcpu));
	}
}

TEST_F(exits, in_of_each_size)
{
	static const struct { u64 function; u32 size; u64 result; } ins[] = {
		{ guest_exits_in8, 1, 0x11223344556677ef },
		{ guest_exits_in16, 2, 0x112233445566beef },
		{ guest_exits_in32, 4, 0xdeadbeef },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ins); i++) {
		guest_start(self->vcpu, ins[i].function, 0x1234, 0x1122334455667788);
		run_until(self->vcpu, THV_EXIT_IO);
		EXPECT_EQ(0x1234, self->run->io.port);
		EXPECT_EQ(ins[i].size, self->run->io.size);
		EXPECT_EQ(THV_IO_IN, self->run->io.flags);
		EXPECT_EQ(0, self->run->io.data);
		io_complete(self->vcpu, 0xdeadbeef);
		EXPECT_EQ(ins[i].result, guest_finish(self->vcpu));
	}
}

TEST_F(exits, in_with_the_port_in_the_instruction)
{
	guest_start(self->vcpu, guest_exits_in_immediate, 0, 0);
	run_until(self->vcpu, THV_EXIT_IO);
	EXPECT_EQ(0x71, self->run->io.port);
	EXPECT_EQ(2, self->run->io.instruction_length);
	io_complete(self->vcpu, 0x42);
	EXPECT_EQ(0x42, guest_finish(self->vcpu));
}

/* Until the launcher completes it, the instruction is there to be carried out. */
TEST_F(exits, an_instruction_not_completed_comes_again)
{
	int i;

	guest_start(self->vcpu, guest_exits_out8, 0x80, 1);
	for (i = 0; i < 5; i++) {
		run_until(self->vcpu, THV_EXIT_IO);
		EXPECT_EQ(0x80, self->run->io.port);
	}
	io_complete(self->vcpu, 0);
	guest_finish(self->vcpu);
}

/* ---- string I/O ---- */

static void expect_string(struct __test_metadata *_metadata, struct thv_run *run, u32 flags,
			  u32 size, u64 gla, u32 address_bits)
{
	EXPECT_EQ(0x3f8, run->io.port);
	EXPECT_EQ(size, run->io.size);
	EXPECT_EQ(THV_IO_STRING | flags, run->io.flags);
	EXPECT_EQ(gla, run->io.gla);
	EXPECT_EQ(address_bits, run->io.address_bits);
	EXPECT_EQ(64, run->context.code_bits);
	EXPECT_EQ(0, run->context.cpl);
	EXPECT_EQ(GUEST_PML4, run->context.cr3);
	EXPECT_NE(0, run->context.efer & BIT(10));
}

TEST_F(exits, outs_once)
{
	guest_start(self->vcpu, guest_exits_outsb, 0x3f8, GUEST_DATA + 5, 7);
	run_until(self->vcpu, THV_EXIT_IO);
	expect_string(_metadata, self->run, 0, 1, GUEST_DATA + 5, 64);
	self->run->regs.gpr[THV_RSI]++;
	vcpu_complete(self->vcpu, self->run->io.instruction_length);
	EXPECT_EQ(GUEST_DATA + 6, guest_finish(self->vcpu));
}

TEST_F(exits, rep_outs_leaves_the_loop_to_the_launcher)
{
	guest_start(self->vcpu, guest_exits_rep_outsw, 0x3f8, GUEST_DATA, 10);
	run_until(self->vcpu, THV_EXIT_IO);
	expect_string(_metadata, self->run, THV_IO_REP, 2, GUEST_DATA, 64);
	EXPECT_EQ(10, self->run->regs.gpr[THV_RCX]);
	/* Half of it: the instruction goes on */
	self->run->regs.gpr[THV_RCX] = 5;
	self->run->regs.gpr[THV_RSI] += 10;
	self->run->dirty = THV_DIRTY_GPRS;
	run_until(self->vcpu, THV_EXIT_IO);
	expect_string(_metadata, self->run, THV_IO_REP, 2, GUEST_DATA + 10, 64);
	self->run->regs.gpr[THV_RCX] = 0;
	self->run->regs.gpr[THV_RSI] += 10;
	vcpu_complete(self->vcpu, self->run->io.instruction_length);
	EXPECT_EQ(GUEST_DATA + 20, guest_finish(self->vcpu));
}

TEST_F(exits, rep_outs_downwards)
{
	guest_start(self->vcpu, guest_exits_rep_outsl_down, 0x3f8, GUEST_DATA + 0x100, 4);
	run_until(self->vcpu, THV_EXIT_IO);
	expect_string(_metadata, self->run, THV_IO_REP, 4, GUEST_DATA + 0x100, 64);
	EXPECT_NE(0, self->run->regs.rflags & BIT(10));
}

TEST_F(exits, rep_ins)
{
	guest_start(self->vcpu, guest_exits_rep_insl, 0x3f8, GUEST_DATA, 4);
	run_until(self->vcpu, THV_EXIT_IO);
	expect_string(_metadata, self->run, THV_IO_REP | THV_IO_IN, 4, GUEST_DATA, 64);
	memset(self->vm->mem + GUEST_DATA, 0x5a, 16);
	self->run->regs.gpr[THV_RCX] = 0;
	self->run->regs.gpr[THV_RDI] += 16;
	vcpu_complete(self->vcpu, self->run->io.instruction_length);
	EXPECT_EQ(GUEST_DATA + 16, guest_finish(self->vcpu));
}

/*
 * Whether this exits, the manual leaves open; if so, the launcher sees that there is nothing to
 * do.
 */
TEST_F(exits, rep_outs_of_nothing_is_nothing)
{
	guest_start(self->vcpu, guest_exits_rep_outsw, 0x3f8, GUEST_DATA, 0);
	run_until(self->vcpu, THV_EXIT_IO);
	if (self->run->io.port != PORT_DONE) {
		expect_string(_metadata, self->run, THV_IO_REP, 2, GUEST_DATA, 64);
		EXPECT_EQ(0, self->run->regs.gpr[THV_RCX]);
		vcpu_complete(self->vcpu, self->run->io.instruction_length);
		run_until(self->vcpu, THV_EXIT_IO);
	}
	EXPECT_EQ(PORT_DONE, self->run->io.port);
	EXPECT_EQ(GUEST_DATA, self->run->regs.gpr[THV_RAX]);
}

TEST_F(exits, outs_with_a_32_bit_address)
{
	guest_start(self->vcpu, guest_exits_outsb_addr32, 0x3f8, GUEST_DATA);
	run_until(self->vcpu, THV_EXIT_IO);
	expect_string(_metadata, self->run, 0, 1, GUEST_DATA, 32);
	EXPECT_EQ(2, self->run->io.instruction_length);
}

TEST_F(exits, outs_with_a_segment_of_its_own)
{
	struct thv_sregs sregs;

	must_get(self->vcpu, THV_STATE_SREGS, &sregs);
	sregs.seg[THV_FS].base = 0x1000;
	must_set(self->vcpu, THV_STATE_SREGS, &sregs);
	guest_start(self->vcpu, guest_exits_outsb_fs, 0x3f8, GUEST_DATA);
	run_until(self->vcpu, THV_EXIT_IO);
	expect_string(_metadata, self->run, 0, 1, GUEST_DATA + 0x1000, 64);
	EXPECT_EQ(0x1000, self->run->context.seg_base[THV_FS]);
}

/* ---- memory that is none ---- */

TEST_F(exits, mmio_read)
{
	guest_start(self->vcpu, guest_exits_load64, GUEST_HOLE + 0x123);
	run_until(self->vcpu, THV_EXIT_MMIO);
	EXPECT_EQ(GUEST_HOLE + 0x123, self->run->mmio.gpa);
	EXPECT_EQ(THV_MMIO_GLA, self->run->mmio.flags);
	EXPECT_EQ(GUEST_HOLE + 0x123, self->run->mmio.gla);
	EXPECT_EQ(THV_ACCESS_READ, self->run->mmio.access);
	EXPECT_EQ(64, self->run->context.code_bits);
	EXPECT_EQ(GUEST_PML4, self->run->context.cr3);
	self->run->regs.gpr[THV_RAX] = 0x1122334455667788;
	vcpu_complete(self->vcpu, 3);
	EXPECT_EQ(0x1122334455667788, guest_finish(self->vcpu));
}

TEST_F(exits, mmio_write)
{
	guest_start(self->vcpu, guest_exits_store8, GUEST_HOLE + 0xfff, 0x42);
	run_until(self->vcpu, THV_EXIT_MMIO);
	EXPECT_EQ(GUEST_HOLE + 0xfff, self->run->mmio.gpa);
	EXPECT_EQ(THV_ACCESS_WRITE, self->run->mmio.access);
	EXPECT_EQ(0x42, self->run->regs.gpr[THV_RAX]);
	vcpu_complete(self->vcpu, 2);
	guest_finish(self->vcpu);
}

TEST_F(exits, mmio_at_an_address_of_the_guests_choice)
{
	/* Linear 0x1ff000 is moved to where no memory is */
	vm_at(self->vm, GUEST_PT, u64)[0x1ff] = GUEST_HOLE | 7;
	guest_start(self->vcpu, guest_exits_store64, 0x1ff120, 5);
	run_until(self->vcpu, THV_EXIT_MMIO);
	EXPECT_EQ(GUEST_HOLE + 0x120, self->run->mmio.gpa);
	EXPECT_EQ(0x1ff120, self->run->mmio.gla);
	EXPECT_EQ(THV_MMIO_GLA, self->run->mmio.flags);
}

TEST_F(exits, mmio_read_modify_write_is_told_as_it_begins)
{
	guest_start(self->vcpu, guest_exits_add64, GUEST_HOLE, 1);
	run_until(self->vcpu, THV_EXIT_MMIO);
	EXPECT_NE(0, self->run->mmio.access & (THV_ACCESS_READ | THV_ACCESS_WRITE));
	EXPECT_EQ(0, self->run->mmio.access & THV_ACCESS_EXECUTE);
	vcpu_complete(self->vcpu, 3);
	guest_finish(self->vcpu);
}

TEST_F(exits, mmio_by_the_page_walk_is_told_as_such)
{
	guest_start(self->vcpu, guest_exits_load_cr3, GUEST_HOLE);
	run_until(self->vcpu, THV_EXIT_MMIO);
	EXPECT_EQ(GUEST_HOLE, self->run->mmio.gpa & ~0xfffULL);
	EXPECT_NE(0, self->run->mmio.flags & THV_MMIO_TABLE);
}

/* Threat 18: half of it memory, half not; or on two pages without memory */
TEST_F(exits, mmio_across_a_boundary_is_told_before_anything_is_written)
{
	u64 end = GUEST_MEMORY - 4;

	*vm_at(self->vm, end, u32) = 0x5a5a5a5a;
	guest_start(self->vcpu, guest_exits_store64, end, 0x1122334455667788);
	run_until(self->vcpu, THV_EXIT_MMIO);
	EXPECT_NE(0, self->run->mmio.access & THV_ACCESS_WRITE);
	EXPECT_EQ(GUEST_MEMORY, self->run->mmio.gpa);
	vcpu_complete(self->vcpu, 3);
	guest_finish(self->vcpu);
	guest_start(self->vcpu, guest_exits_store64, GUEST_HOLE + 0xffc, 0x1122334455667788);
	run_until(self->vcpu, THV_EXIT_MMIO);
	EXPECT_EQ(GUEST_HOLE, self->run->mmio.gpa & ~0x1fffULL);
	/* Carried out by the launcher as one: it does not come a second time for the other page */
	vcpu_complete(self->vcpu, 3);
	guest_finish(self->vcpu);
}

TEST_F(exits, executing_where_no_memory_is)
{
	guest_start(self->vcpu, guest_exits_jump, GUEST_HOLE + 0x10);
	run_until(self->vcpu, THV_EXIT_UNSUPPORTED);
	EXPECT_EQ(THV_UNSUPPORTED_FETCH, self->run->unsupported.what);
	EXPECT_EQ(GUEST_HOLE + 0x10, self->run->unsupported.detail[0]);
	EXPECT_EQ(GUEST_HOLE + 0x10, self->run->regs.rip);
	/* The launcher may send it elsewhere */
	guest_start(self->vcpu, guest_exits_nothing);
	EXPECT_EQ(0x1234, guest_finish(self->vcpu));
}

/* ---- memory that the launcher does not have ---- */

TEST_F(exits, memory_behind_a_slot_that_may_not_be_touched)
{
	u8 *mem = self->vm->mem + GUEST_DATA;

	*(u64 *)mem = 0x77;
	ASSERT_EQ(0, mprotect(mem, PAGE, PROT_NONE));
	guest_start(self->vcpu, guest_exits_load64, GUEST_DATA + 8);
	run_until(self->vcpu, THV_EXIT_MEMORY_FAULT);
	EXPECT_EQ(GUEST_DATA + 8, self->run->memory_fault.gpa);
	EXPECT_EQ((uintptr_t)mem + 8, self->run->memory_fault.hva);
	EXPECT_EQ(THV_ACCESS_READ, self->run->memory_fault.access);
	EXPECT_EQ(EFAULT, self->run->memory_fault.error);
	/* Once it may be, the guest goes on */
	ASSERT_EQ(0, mprotect(mem, PAGE, PROT_READ | PROT_WRITE));
	*(u64 *)(mem + 8) = 0x99;
	EXPECT_EQ(0x99, guest_finish(self->vcpu));
}

TEST_F(exits, memory_behind_a_slot_that_is_not_there)
{
	u8 *mem = self->vm->mem + GUEST_DATA;

	ASSERT_EQ(0, munmap(mem, PAGE));
	guest_start(self->vcpu, guest_exits_store64, GUEST_DATA, 1);
	run_until(self->vcpu, THV_EXIT_MEMORY_FAULT);
	EXPECT_NE(0, self->run->memory_fault.access & THV_ACCESS_WRITE);
	EXPECT_EQ(EFAULT, self->run->memory_fault.error);
	run_until(self->vcpu, THV_EXIT_MEMORY_FAULT);
	ASSERT_EQ(mem, mmap(mem, PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	guest_finish(self->vcpu);
	EXPECT_EQ(1, *(u64 *)mem);
}

/* ---- MSRs ---- */

TEST_F(exits, an_msr_that_is_not_offered_faults_and_is_counted)
{
	u64 before = vm_counter(self->vm, THV_STAT_msr_unknown);

	EXPECT_EQ(13, guest_call(self->vcpu, guest_exits_rdmsr, 0x12345));
	EXPECT_EQ(0, self->vm->record->error);
	EXPECT_EQ(13, guest_call(self->vcpu, guest_exits_wrmsr, 0x12345, 0));
	EXPECT_EQ(13, guest_call(self->vcpu, guest_exits_rdmsr, 0xc0001fff));
	EXPECT_EQ(13, guest_call(self->vcpu, guest_exits_rdmsr, 0x480)) TH_LOG("VMX_BASIC");
	EXPECT_EQ(before + 4, vm_counter(self->vm, THV_STAT_msr_unknown));
}

TEST_F(exits, msrs_that_are_offered)
{
	EXPECT_EQ(NONE, guest_call(self->vcpu, guest_exits_rdmsr, 0x10));
	EXPECT_EQ(NONE, guest_call(self->vcpu, guest_exits_wrmsr, 0x175, 0x1000));
	EXPECT_EQ(13, guest_call(self->vcpu, guest_exits_wrmsr, 0x175, 0x8000000000000000));
	EXPECT_EQ(13, guest_call(self->vcpu, guest_exits_wrmsr, 0xfe, 0)) TH_LOG("MTRRcap is read-only");
	EXPECT_EQ(13, guest_call(self->vcpu, guest_exits_wrmsr, 0xc0000080, 0))
		TH_LOG("EFER.LME may not change under paging");
	EXPECT_EQ(NONE, guest_call(self->vcpu, guest_exits_wrmsr, 0xc0000080, 0xd01));
}

/* ---- control registers ---- */

#define CR0_NOW	0x80010033ULL

TEST_F(exits, mov_to_cr0_changes_it_or_faults)
{
	struct vcpu *vcpu = self->vcpu;

	EXPECT_EQ(CR0_NOW, guest_call(vcpu, guest_exits_get_cr0));
	EXPECT_EQ(NONE, guest_call(vcpu, guest_exits_set_cr0, CR0_NOW | BIT(18)));	/* AM */
	EXPECT_EQ(CR0_NOW | BIT(18), guest_call(vcpu, guest_exits_get_cr0));
	EXPECT_EQ(NONE, guest_call(vcpu, guest_exits_set_cr0, CR0_NOW & ~BIT(16)));	/* WP */
	EXPECT_EQ(CR0_NOW & ~BIT(16), guest_call(vcpu, guest_exits_get_cr0));
	EXPECT_EQ(NONE, guest_call(vcpu, guest_exits_set_cr0, CR0_NOW & ~BIT(5)));	/* NE */
	EXPECT_EQ(CR0_NOW & ~BIT(5), guest_call(vcpu, guest_exits_get_cr0));
	EXPECT_EQ(NONE, guest_call(vcpu, guest_exits_set_cr0, CR0_NOW | BIT(30)));	/* CD */
	EXPECT_EQ(CR0_NOW | BIT(30), guest_call(vcpu, guest_exits_get_cr0));
	EXPECT_EQ(NONE, guest_call(vcpu, guest_exits_set_cr0, CR0_NOW | 3ULL << 29));
	EXPECT_EQ(NONE, guest_call(vcpu, guest_exits_set_cr0, CR0_NOW));

	EXPECT_EQ(13, guest_call(vcpu, guest_exits_set_cr0, CR0_NOW | BIT(32)));
	EXPECT_EQ(13, guest_call(vcpu, guest_exits_set_cr0, CR0_NOW | BIT(63)));
	/* PG without PE */
	EXPECT_EQ(13, guest_call(vcpu, guest_exits_set_cr0, CR0_NOW & ~BIT(0)));
	/* in 64-bit mode */
	EXPECT_EQ(13, guest_call(vcpu, guest_exits_set_cr0, CR0_NOW & ~BIT(31)));
	/* NW without CD */
	EXPECT_EQ(13, guest_call(vcpu, guest_exits_set_cr0, CR0_NOW | BIT(29)));
	EXPECT_EQ(CR0_NOW, guest_call(vcpu, guest_exits_get_cr0));
}

/* Bits of CR0 below 32 that do not exist are ignored, ET is always 1 (SDM 2.5). */
TEST_F(exits, mov_to_cr0_ignores_reserved_bits)
{
	EXPECT_EQ(NONE, guest_call(self->vcpu, guest_exits_set_cr0, CR0_NOW | BIT(6) | BIT(28)));
	EXPECT_EQ(CR0_NOW, guest_call(self->vcpu, guest_exits_get_cr0));
	EXPECT_EQ(NONE, guest_call(self->vcpu, guest_exits_set_cr0, CR0_NOW & ~BIT(4)));
	EXPECT_EQ(CR0_NOW, guest_call(self->vcpu, guest_exits_get_cr0));
}

TEST_F(exits, clts_lmsw_and_smsw)
{
	struct vcpu *vcpu = self->vcpu;

	EXPECT_EQ(NONE, guest_call(vcpu, guest_exits_set_cr0, CR0_NOW | BIT(3)));
	EXPECT_EQ(CR0_NOW | BIT(3), guest_call(vcpu, guest_exits_get_cr0));
	EXPECT_EQ(CR0_NOW, guest_call(vcpu, guest_exits_clts));
	EXPECT_EQ(CR0_NOW | 0xe, guest_call(vcpu, guest_exits_lmsw, 0xf));
	EXPECT_EQ((CR0_NOW | 4) & ~0xaULL, guest_call(vcpu, guest_exits_lmsw, 4))
		TH_LOG("LMSW never clears PE");
	EXPECT_EQ((CR0_NOW & ~0xeULL) & 0xffff, guest_call(vcpu, guest_exits_lmsw, 0) & 0xffff);
	EXPECT_EQ((CR0_NOW & ~0xeULL) & 0xffff, guest_call(vcpu, guest_exits_smsw) & 0xffff);
}

TEST_F(exits, mov_to_cr2_and_cr3)
{
	struct vcpu *vcpu = self->vcpu;
	struct thv_sregs sregs;

	EXPECT_EQ(NONE, guest_call(vcpu, guest_exits_set_cr2, 0x1234567890));
	must_get(vcpu, THV_STATE_SREGS, &sregs);
	EXPECT_EQ(0x1234567890, sregs.cr2);
	EXPECT_EQ(GUEST_PML4, guest_call(vcpu, guest_exits_get_cr3));
	EXPECT_EQ(NONE, guest_call(vcpu, guest_exits_set_cr3, GUEST_PML4 | 0x18));
	EXPECT_EQ(GUEST_PML4 | 0x18, guest_call(vcpu, guest_exits_get_cr3));
	EXPECT_EQ(13, guest_call(vcpu, guest_exits_set_cr3, GUEST_PML4 | BIT(62)));
	EXPECT_EQ(13, guest_call(vcpu, guest_exits_set_cr3,
				 GUEST_PML4 | 1ULL << self->vm->info->guest_phys_bits));
}

TEST_F(exits, mov_to_cr4_changes_it_or_faults)
{
	struct vcpu *vcpu = self->vcpu;
	u64 cr4 = guest_call(vcpu, guest_exits_get_cr4);
	unsigned int bit;

	EXPECT_EQ(0x220, cr4);
	EXPECT_EQ(NONE, guest_call(vcpu, guest_exits_set_cr4, cr4 | BIT(7)));	/* PGE */
	EXPECT_EQ(cr4 | BIT(7), guest_call(vcpu, guest_exits_get_cr4));
	EXPECT_EQ(NONE, guest_call(vcpu, guest_exits_set_cr4, cr4 | BIT(3) | BIT(2)));
	EXPECT_EQ(cr4 | BIT(3) | BIT(2), guest_call(vcpu, guest_exits_get_cr4));
	EXPECT_EQ(NONE, guest_call(vcpu, guest_exits_set_cr4, cr4));
	/* PAE, in long mode */
	EXPECT_EQ(13, guest_call(vcpu, guest_exits_set_cr4, cr4 & ~BIT(5)));
	EXPECT_EQ(13, guest_call(vcpu, guest_exits_set_cr4, cr4 | BIT(13)));	/* VMXE */
	EXPECT_EQ(13, guest_call(vcpu, guest_exits_set_cr4, cr4 | BIT(14)));	/* SMXE */
	EXPECT_EQ(13, guest_call(vcpu, guest_exits_set_cr4, cr4 | BIT(15)));
	for (bit = 24; bit < 64; bit++)
		EXPECT_EQ(13, guest_call(vcpu, guest_exits_set_cr4, cr4 | BIT(bit))) TH_LOG("%u", bit);
	EXPECT_EQ(cr4, guest_call(vcpu, guest_exits_get_cr4));
}

TEST_F(exits, pcids_begin_with_pcid_0)
{
	struct vcpu *vcpu = self->vcpu;
	struct thv_cpuid cpuid = { .leaf = 1 };

	must(thv_ioctl(thv_device(), THV_GET_CPUID, &cpuid));
	REQUIRE(cpuid.ecx & BIT(17), "this processor has no PCIDs");
	EXPECT_EQ(NONE, guest_call(vcpu, guest_exits_set_cr3, GUEST_PML4 | 8));
	EXPECT_EQ(13, guest_call(vcpu, guest_exits_set_cr4, 0x220 | BIT(17)));
	EXPECT_EQ(NONE, guest_call(vcpu, guest_exits_set_cr3, GUEST_PML4));
	EXPECT_EQ(NONE, guest_call(vcpu, guest_exits_set_cr4, 0x220 | BIT(17)));
	EXPECT_EQ(NONE, guest_call(vcpu, guest_exits_set_cr3, GUEST_PML4 | 5));
	EXPECT_EQ(GUEST_PML4 | 5, guest_call(vcpu, guest_exits_get_cr3));
	EXPECT_EQ(NONE, guest_call(vcpu, guest_exits_set_cr3, GUEST_PML4 | 5 | BIT(63)));
	EXPECT_EQ(GUEST_PML4 | 5, guest_call(vcpu, guest_exits_get_cr3));
	EXPECT_EQ(13, guest_call(vcpu, guest_exits_set_cr0, CR0_NOW & ~BIT(31)));
}

TEST_F(exits, cr8_is_the_apics_task_priority)
{
	struct vcpu *vcpu = self->vcpu;
	struct thv_apic apic;

	EXPECT_EQ(0, guest_call(vcpu, guest_exits_get_cr8));
	EXPECT_EQ(NONE, guest_call(vcpu, guest_exits_set_cr8, 9));
	EXPECT_EQ(9, guest_call(vcpu, guest_exits_get_cr8));
	must_get(vcpu, THV_STATE_APIC, &apic);
	EXPECT_EQ(0x90, apic.regs[0x80]);
	EXPECT_EQ(13, guest_call(vcpu, guest_exits_set_cr8, 16));
	EXPECT_EQ(13, guest_call(vcpu, guest_exits_set_cr8, BIT(63)));
	EXPECT_EQ(9, guest_call(vcpu, guest_exits_get_cr8));
}

/* ---- debug registers ---- */

TEST_F(exits, mov_dr)
{
	struct vcpu *vcpu = self->vcpu;
	struct thv_debug debug;

	EXPECT_EQ(NONE, guest_call(vcpu, guest_exits_set_dr0, 0x123456789abc));
	EXPECT_EQ(NONE, guest_call(vcpu, guest_exits_set_dr6, 0));
	EXPECT_EQ(0xffff0ff0, guest_call(vcpu, guest_exits_get_dr6));
	EXPECT_EQ(NONE, guest_call(vcpu, guest_exits_set_dr7, 0));
	EXPECT_EQ(0x400, guest_call(vcpu, guest_exits_get_dr7));
	EXPECT_EQ(13, guest_call(vcpu, guest_exits_set_dr6, BIT(32)));
	EXPECT_EQ(13, guest_call(vcpu, guest_exits_set_dr7, BIT(63)));
	must_get(vcpu, THV_STATE_DEBUG, &debug);
	EXPECT_EQ(0x123456789abc, debug.dr[0]);
}

TEST_F(exits, dr4_is_dr6_unless_debug_extensions_are_on)
{
	EXPECT_EQ(0xffff0ff0, guest_call(self->vcpu, guest_exits_get_dr4));
	EXPECT_EQ(NONE, guest_call(self->vcpu, guest_exits_set_cr4, 0x228));
	EXPECT_EQ(6, guest_call(self->vcpu, guest_exits_try_dr4));
}

TEST_F(exits, general_detect_traps_mov_dr)
{
	struct thv_debug debug = { .dr6 = 0xffff0ff0, .dr7 = 0x2400 };

	must_set(self->vcpu, THV_STATE_DEBUG, &debug);
	EXPECT_EQ(1, guest_call(self->vcpu, guest_exits_try_dr7));
	must_get(self->vcpu, THV_STATE_DEBUG, &debug);
	EXPECT_EQ(0xffff2ff0, debug.dr6) TH_LOG("BD");
	EXPECT_EQ(0x400, debug.dr7) TH_LOG("delivery clears GD");
}

/* ---- instructions that exit, at CPL 0 and 3 (threat 3) ---- */

/* In the order of guests/exits.S; 0xff: none at CPL 0, 0x80: none at CPL 3 */
static const struct { const char *name; u8 cpl0, cpl3; } instructions[] = {
	{ "VMCLEAR", 6, 6 }, { "VMPTRLD", 6, 6 }, { "VMPTRST", 6, 6 }, { "VMLAUNCH", 6, 6 },
	{ "VMRESUME", 6, 6 }, { "VMREAD", 6, 6 }, { "VMWRITE", 6, 6 }, { "VMXOFF", 6, 6 },
	{ "VMXON", 6, 6 }, { "INVEPT", 6, 6 }, { "INVVPID", 6, 6 }, { "VMFUNC", 6, 6 },
	{ "GETSEC", 6, 6 }, { "RSM", 6, 6 }, { "ENCLS", 6, 6 }, { "MONITOR", 6, 6 },
	{ "MWAIT", 6, 6 }, { "INVD", 0xff, 13 }, { "WBINVD", 0xff, 13 }, { "RDPMC", 13, 13 },
	{ "PAUSE", 0xff, 0x80 }, { "INVLPG", 0xff, 13 }, { "RDTSC", 0xff, 0x80 },
	{ "XGETBV", 6, 6 }, { "XSETBV", 6, 6 }, { "MOV from CR0", 0xff, 13 },
	{ "MOV from CR3", 0xff, 13 }, { "MOV from CR8", 0xff, 13 }, { "MOV from DR0", 0xff, 13 },
	{ "CLTS", 0xff, 13 }, { "SGDT", 0xff, 0x80 }, { "SLDT", 0xff, 0x80 }, { "STR", 0xff, 0x80 },
	{ "SMSW", 0xff, 0x80 },
};

TEST_F(exits, instructions_do_what_they_do_without_a_hypervisor)
{
	const u8 *vector = vm_at(self->vm, GUEST_DATA, u8);
	unsigned int i;

	guest_call(self->vcpu, guest_exits_instructions, GUEST_DATA);
	for (i = 0; i < ARRAY_SIZE(instructions); i++) {
		EXPECT_EQ(instructions[i].cpl0, vector[2 * i])
			TH_LOG("%s at CPL 0", instructions[i].name);
		EXPECT_EQ(instructions[i].cpl3, vector[2 * i + 1])
			TH_LOG("%s at CPL 3", instructions[i].name);
	}
	EXPECT_EQ(0, vector[2 * i]) TH_LOG("the lists are of different length");
}

TEST_F(exits, vmcall_is_answered_at_cpl_0_and_refused_at_cpl_3)
{
	/* KVM_ENOSYS */
	EXPECT_EQ(-1000ULL, guest_call(self->vcpu, guest_exits_vmcall));
	EXPECT_EQ(-1ULL, guest_call(self->vcpu, guest_exits_vmcall_user));	/* KVM_EPERM */
}

TEST_F(exits, rdtscp_reads_the_guests_tsc_aux)
{
	if (thv_offers(THV_FEATURE_RDTSCP)) {
		EXPECT_EQ(NONE, guest_call(self->vcpu, guest_exits_wrmsr, 0xc0000103, 0x789));
		EXPECT_LT(32, guest_call(self->vcpu, guest_exits_rdtscp));
		EXPECT_EQ(0x789, self->vm->record->shared);
	} else {
		EXPECT_EQ(6, guest_call(self->vcpu, guest_exits_rdtscp));
	}
}

TEST_F(exits, invpcid_works_where_it_is_offered)
{
	EXPECT_EQ(thv_offers(THV_FEATURE_INVPCID) ? NONE : 6,
		  guest_call(self->vcpu, guest_exits_invpcid));
}

TEST_F(exits, time_goes_on_in_the_guest)
{
	u64 a = guest_call(self->vcpu, guest_exits_rdtsc), b;

	usleep(10000);
	b = guest_call(self->vcpu, guest_exits_rdtsc);
	EXPECT_LE(10ULL * self->vm->info->tsc_khz, b - a + self->vm->info->tsc_khz / 10);
	EXPECT_GT(10000ULL * self->vm->info->tsc_khz, b - a);
}

/* ---- terminal exits (threat 5) ---- */

TEST_F(exits, a_triple_fault_is_a_shutdown_for_good)
{
	u64 exits;
	int i;

	guest_start(self->vcpu, guest_exits_triple_fault);
	run_until(self->vcpu, THV_EXIT_SHUTDOWN);
	exits = vm_counter(self->vm, THV_STAT_exits);
	for (i = 0; i < 100; i++) {
		self->run->dirty = i & 1 ? THV_DIRTY_GPRS | THV_DIRTY_RIP : 0;
		self->run->regs.rip = guest_exits_nothing;
		self->run->regs.rflags = 2;
		ASSERT_EQ(0, vcpu_run(self->vcpu));
		ASSERT_EQ(THV_EXIT_SHUTDOWN, self->run->exit);
	}
	EXPECT_EQ(exits, vm_counter(self->vm, THV_STAT_exits)) TH_LOG("it ran all the same");
}

TEST_F(exits, one_vcpus_shutdown_is_not_the_others)
{
	struct vcpu *second = vcpu_create(self->vm, 1);

	vcpu_mode64(second);
	guest_start(self->vcpu, guest_exits_triple_fault);
	run_until(self->vcpu, THV_EXIT_SHUTDOWN);
	EXPECT_EQ(0x1234, guest_call(second, guest_exits_nothing));
}

/* ---- entries that fail (threat 2) ---- */

#define ENTRY_FAILED	0x80000021ULL	/* VMX: entry failure due to invalid guest state */

TEST_F(exits, a_failed_entry_is_told_and_can_be_repaired)
{
	struct thv_sregs good, bad;
	int i;

	must_get(self->vcpu, THV_STATE_SREGS, &good);
	bad = good;
	bad.seg[THV_DS].attributes &= ~1;	/* usable, but not accessed (SDM 27.3.1.2) */
	for (i = 0; i < 3; i++) {
		guest_start(self->vcpu, guest_exits_nothing);
		must_set(self->vcpu, THV_STATE_SREGS, &bad);
		run_until(self->vcpu, THV_EXIT_FAIL_ENTRY);
		EXPECT_EQ(ENTRY_FAILED, self->run->fail_entry.hardware_reason);
		EXPECT_EQ(0, self->run->fail_entry.instruction_error);
		run_until(self->vcpu, THV_EXIT_FAIL_ENTRY);
		must_set(self->vcpu, THV_STATE_SREGS, &good);
		EXPECT_EQ(0x1234, guest_finish(self->vcpu));
	}
}

/* The same after the vCPU has run: VMX tells a first entry from others. */
TEST_F(exits, a_failed_entry_after_others_can_be_repaired)
{
	struct thv_sregs good, bad;

	EXPECT_EQ(0x1234, guest_call(self->vcpu, guest_exits_nothing));
	must_get(self->vcpu, THV_STATE_SREGS, &good);
	bad = good;
	bad.seg[THV_DS].attributes &= ~1;
	guest_start(self->vcpu, guest_exits_nothing);
	must_set(self->vcpu, THV_STATE_SREGS, &bad);
	run_until(self->vcpu, THV_EXIT_FAIL_ENTRY);
	run_until(self->vcpu, THV_EXIT_FAIL_ENTRY);
	must_set(self->vcpu, THV_STATE_SREGS, &good);
	EXPECT_EQ(0x1234, guest_finish(self->vcpu));
}

TEST_F(exits, virtual_8086_mode_in_long_mode_fails_the_entry)
{
	struct thv_regs regs;

	guest_start(self->vcpu, guest_exits_nothing);
	self->run->regs.rflags = 2 | BIT(17);
	run_until(self->vcpu, THV_EXIT_FAIL_ENTRY);
	EXPECT_EQ(ENTRY_FAILED, self->run->fail_entry.hardware_reason);
	must_get(self->vcpu, THV_STATE_REGS, &regs);
	EXPECT_EQ(2 | BIT(17), regs.rflags);
	EXPECT_EQ(guest_exits_nothing, regs.rip);
	EXPECT_EQ(0x1234, guest_call(self->vcpu, guest_exits_nothing));
}

TEST_F(exits, a_rip_beyond_the_address_space_fails_the_entry)
{
	SKIP_DEFECT(RIP_NOT_CHECKED);
	guest_start(self->vcpu, guest_exits_nothing);
	self->run->regs.rip = 0x8000000000000000;
	run_until(self->vcpu, THV_EXIT_FAIL_ENTRY);
	EXPECT_EQ(ENTRY_FAILED, self->run->fail_entry.hardware_reason);
	EXPECT_EQ(0x1234, guest_call(self->vcpu, guest_exits_nothing));
}

/*
 * Between two THV_RUN a vCPU's state is whole: what was to be delivered is still to be delivered.
 */
TEST_F(exits, a_failed_entry_loses_no_event)
{
	struct thv_event_state events;
	struct thv_sregs good, bad;

	must_get(self->vcpu, THV_STATE_SREGS, &good);
	bad = good;
	bad.seg[THV_DS].attributes &= ~1;
	self->vm->record->hook[6] = guest_exits_nothing;
	guest_start(self->vcpu, guest_exits_nothing);
	must_get(self->vcpu, THV_STATE_EVENTS, &events);
	events.flags |= THV_EVENT_EXCEPTION;
	events.exception_vector = 6;
	must_set(self->vcpu, THV_STATE_EVENTS, &events);
	must_set(self->vcpu, THV_STATE_SREGS, &bad);
	run_until(self->vcpu, THV_EXIT_FAIL_ENTRY);
	must_get(self->vcpu, THV_STATE_EVENTS, &events);
	EXPECT_NE(0, events.flags & (THV_EVENT_EXCEPTION | THV_EVENT_REINJECT));
	must_set(self->vcpu, THV_STATE_EVENTS, &events);
	must_set(self->vcpu, THV_STATE_SREGS, &good);
	EXPECT_EQ(0x1234, guest_finish(self->vcpu));
	EXPECT_EQ(1, self->vm->record->count);
	EXPECT_EQ(6, self->vm->record->vector);
}

/*
 * Each bit of each segment's attributes, and the other fields that SET_STATE leaves to the
 * processor: whatever it says, the VM runs again once repaired.
 */
static void mutate(struct thv_sregs *sregs, unsigned int number)
{
	struct thv_segment *seg = &sregs->seg[number % THV_SEGMENTS];

	number /= THV_SEGMENTS;
	if (number < 17)
		seg->attributes ^= BIT(number);
	else if (number == 17)
		seg->selector ^= 4;
	else if (number == 18)
		seg->selector ^= 1;
	else if (number == 19)
		seg->limit ^= 0xfffff;
	else
		seg->base ^= 0x7ffff000;
}

#define MUTATIONS	(THV_SEGMENTS * 21)

static int run_mutant(FIXTURE_DATA(exits) *self, const struct thv_sregs *bad,
		      const struct thv_sregs *good)
{
	int err = vcpu_set(self->vcpu, THV_STATE_SREGS, bad, sizeof(*bad)), exit = -1;

	if (err && err != -EINVAL)
		fail("THV_SET_STATE: %s", strerror(-err));
	if (!err) {
		guest_start(self->vcpu, guest_exits_nothing);
		err = vcpu_run(self->vcpu);
		if (err)
			fail("THV_RUN: %s", strerror(-err));
		exit = self->run->exit;
	}
	if (exit == THV_EXIT_SHUTDOWN)
		return exit;
	must_set(self->vcpu, THV_STATE_SREGS, good);
	if (guest_call(self->vcpu, guest_exits_nothing) != 0x1234)
		fail("the guest does not run again");
	return exit;
}

static void fresh(FIXTURE_DATA(exits) *self)
{
	vm_close(self->vm);
	self->vm = vm_create(exits);
	self->vcpu = self->vm->vcpu;
	self->run = self->vcpu->run;
}

TEST_F(exits, every_broken_segment_is_refused_or_fails_or_runs_and_is_repaired)
{
	unsigned int i, failed = 0, refused = 0, ran = 0;
	struct thv_sregs good, bad;
	int exit;

	must_get(self->vcpu, THV_STATE_SREGS, &good);
	for (i = 0; i < MUTATIONS; i++) {
		bad = good;
		mutate(&bad, i);
		exit = run_mutant(self, &bad, &good);
		refused += exit == -1;
		failed += exit == THV_EXIT_FAIL_ENTRY;
		ran += exit != -1 && exit != THV_EXIT_FAIL_ENTRY;
		if (exit == THV_EXIT_SHUTDOWN)
			fresh(self);
	}
	TH_LOG("%u refused, %u failed, %u ran", refused, failed, ran);
	EXPECT_LT(20, refused);
	EXPECT_LT(5, failed);
	EXPECT_LT(20, ran);
}

TEST_F(exits, every_pair_of_broken_segments_can_be_repaired)
{
	struct thv_sregs good, bad;
	unsigned int i, seed = 1;

	must_get(self->vcpu, THV_STATE_SREGS, &good);
	for (i = 0; i < 250; i++) {	/* of 14,000: time is dear; the seed is fixed */
		bad = good;
		seed = seed * 1103515245 + 12345;
		mutate(&bad, (seed >> 8) % MUTATIONS);
		mutate(&bad, (seed >> 20) % MUTATIONS);
		if (run_mutant(self, &bad, &good) == THV_EXIT_SHUTDOWN)
			fresh(self);
	}
}

/* ---- leaving without the guest ---- */

TEST_F(exits, immediate_exit_enters_nothing)
{
	u64 exits = vm_counter(self->vm, THV_STAT_exits);

	guest_start(self->vcpu, guest_exits_nothing);
	self->run->immediate_exit = 1;
	EXPECT_EQ(-EINTR, vcpu_run_once(self->vcpu));
	EXPECT_EQ(THV_EXIT_INTERRUPTED, self->run->exit);
	EXPECT_EQ(exits, vm_counter(self->vm, THV_STAT_exits));
	EXPECT_EQ(0, self->run->dirty) TH_LOG("the registers have been taken");
	self->run->immediate_exit = 0;
	EXPECT_EQ(0x1234, guest_finish(self->vcpu));
}

TEST_F(exits, a_signal_interrupts_a_spinning_guest)
{
	u64 before;
	int i;

	guest_start(self->vcpu, guest_exits_spin);
	alarm_us(10000);
	for (i = 0; i < 5; i++) {
		before = self->vm->record->shared;
		ASSERT_EQ(-EINTR, vcpu_run_once(self->vcpu));
		EXPECT_EQ(THV_EXIT_INTERRUPTED, self->run->exit);
		EXPECT_LT(before, self->vm->record->shared);
	}
	alarm_us(0);
}

static struct thv_run *signalled;

static void set_immediate_exit(int signal)
{
	(void)signal;
	signalled->immediate_exit = 1;
}

/* The way to leave without a race: the handler says so in the run page, too. */
TEST_F(exits, a_handler_that_sets_immediate_exit_ends_the_next_run)
{
	struct sigaction action = { .sa_handler = set_immediate_exit };

	signalled = self->run;
	sigaction(SIGUSR1, &action, NULL);
	raise(SIGUSR1);
	guest_start(self->vcpu, guest_exits_spin);
	EXPECT_EQ(-EINTR, vcpu_run_once(self->vcpu));
	EXPECT_EQ(0, self->vm->record->shared);
}

TEST_F(exits, a_blocked_signal_does_not_interrupt)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	raise(SIGUSR1);
	guest_start(self->vcpu, guest_exits_nothing);
	ASSERT_EQ(0, vcpu_run(self->vcpu));
	EXPECT_EQ(THV_EXIT_IO, self->run->exit);
}

THV_TEST_MAIN
