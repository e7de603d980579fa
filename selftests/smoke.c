// SPDX-License-Identifier: GPL-2.0-only
/*
 * The first steps: does a guest run at all? Each test uses one thing more than the one before, so
 * the first that fails says where to look.
 */
#include "kselftest_harness.h"
#include "lib/vm.h"
#include "guests/smoke.h"

GUEST(smoke);

TEST(device_answers)
{
	const struct thv_info *info = thv_info();

	EXPECT_EQ(THV_API_VERSION, info->api_version);
	TH_LOG("offered %#llx, used %#llx, %u kHz, %u bits", info->offered,
	       info->used, info->tsc_khz, info->guest_phys_bits);
}

TEST(vm_is_made_and_goes)
{
	struct vm *vm = vm_create_bare(0);

	EXPECT_NE(0, vm->id);
	vm_close(vm);
}

TEST(vcpu_is_made_and_goes)
{
	struct vm *vm = vm_create_bare(0);

	vm->vcpu = vcpu_create(vm, 0);
	vm_close(vm);
}

TEST(state_takes_64_bit_mode)
{
	struct vm *vm = vm_create(smoke);
	struct thv_sregs sregs;

	must_get(vm->vcpu, THV_STATE_SREGS, &sregs);
	EXPECT_EQ(GUEST_PML4, sregs.cr3);
	EXPECT_EQ(GUEST_CS64, sregs.seg[THV_CS].selector);
	vm_close(vm);
}

TEST(immediate_exit_enters_nothing)
{
	struct vm *vm = vm_create(smoke);

	guest_start(vm->vcpu, guest_smoke_out_byte, 1);
	vm->vcpu->run->immediate_exit = 1;
	EXPECT_EQ(-EINTR, vcpu_run_once(vm->vcpu));
	EXPECT_EQ(THV_EXIT_INTERRUPTED, vm->vcpu->run->exit);
	EXPECT_EQ(0, vm_counter(vm, THV_STAT_exits));
}

TEST(a_vcpu_without_memory_fetches_in_vain)
{
	struct vm *vm = vm_create_bare(0);

	REQUIRE_FEATURE(UNRESTRICTED);
	vm->vcpu = vcpu_create(vm, 0);
	run_until(vm->vcpu, THV_EXIT_UNSUPPORTED);
	EXPECT_EQ(THV_UNSUPPORTED_FETCH, vm->vcpu->run->unsupported.what);
	EXPECT_EQ(0xfffffff0ULL, vm->vcpu->run->unsupported.detail[0]);
}

TEST(guest_writes_a_port)
{
	struct vm *vm = vm_create(smoke);
	struct thv_run *run = vm->vcpu->run;

	guest_start(vm->vcpu, guest_smoke_out_byte, 0x1234);
	run_until(vm->vcpu, THV_EXIT_IO);
	EXPECT_EQ(0x42, run->io.port);
	EXPECT_EQ(1, run->io.size);
	EXPECT_EQ(0x34, run->io.data);
	EXPECT_EQ(0, run->io.flags);
	EXPECT_EQ(2, run->io.instruction_length);
	io_complete(vm->vcpu, 0);
	guest_finish(vm->vcpu);
}

TEST(guest_calls_and_returns)
{
	struct vm *vm = vm_create(smoke);

	EXPECT_EQ(0x123456789ULL, guest_call(vm->vcpu, guest_smoke_sum, 0x123456000ULL, 0x789));
	EXPECT_EQ(3, guest_call(vm->vcpu, guest_smoke_sum, 1, 2));
}

TEST(cpuid_is_what_get_cpuid_says)
{
	static const u32 leaves[] = { 0, 1, 7, 0xd, 0x40000000, 0x80000000, 0x80000001 };
	struct vm *vm = vm_create(smoke);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(leaves); i++) {
		struct thv_cpuid cpuid = { .leaf = leaves[i] };

		vm_cpuid(&cpuid);
		guest_call(vm->vcpu, guest_smoke_cpuid, leaves[i], 0, GUEST_DATA);
		EXPECT_EQ(0, memcmp(&cpuid.eax, vm->mem + GUEST_DATA, 16))
			TH_LOG("leaf %#x", leaves[i]);
	}
}

TEST(an_exception_reaches_the_guests_handler)
{
	struct vm *vm = vm_create(smoke);

	EXPECT_EQ(6, guest_call(vm->vcpu, guest_smoke_undefined));
	EXPECT_EQ(1, vm->record->count);
}

TEST(halt_ends_with_an_interrupt)
{
	struct vm *vm = vm_create(smoke);
	struct thv_interrupt interrupt = { .vector = 0x51 };

	vcpu_enable_apic(vm->vcpu);
	/* An exception first: what delivery needs is in memory then (see known_defects.h) */
	EXPECT_EQ(6, guest_call(vm->vcpu, guest_smoke_undefined));
	guest_start(vm->vcpu, guest_smoke_halt);
	must(thv_ioctl(vm->vcpu->fd, THV_INTERRUPT, &interrupt));
	EXPECT_EQ(2, guest_finish(vm->vcpu));
	EXPECT_EQ(0x51, vm->record->vector);
}

TEST(memory_that_is_not_there_is_an_mmio_exit)
{
	struct vm *vm = vm_create(smoke);
	struct thv_run *run = vm->vcpu->run;

	guest_start(vm->vcpu, guest_smoke_load, GUEST_HOLE + 0x123);
	run_until(vm->vcpu, THV_EXIT_MMIO);
	EXPECT_EQ(GUEST_HOLE + 0x123, run->mmio.gpa);
	EXPECT_EQ(THV_ACCESS_READ, run->mmio.access);
}

THV_TEST_MAIN
