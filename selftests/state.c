// SPDX-License-Identifier: GPL-2.0-only
/*
 * A vCPU's state, component by component: what goes in comes out, the guest has it, and what no
 * processor could have is refused and changes nothing.
 */
#include <pthread.h>
#include "kselftest_harness.h"
#include "lib/vm.h"
#include "guests/state.h"

GUEST(state);

FIXTURE(state) {
	struct vm *vm;
	struct vcpu *vcpu;
	u64 *data;	/* where the guest writes results */
};

FIXTURE_SETUP(state)
{
	self->vm = vm_create(state);
	self->vcpu = self->vm->vcpu;
	self->data = vm_at(self->vm, GUEST_DATA, u64);
}

FIXTURE_TEARDOWN(state)
{
	vm_close(self->vm);
}

/* ---- in general ---- */

TEST_F(state, refuses_unknown_components_and_wrong_sizes)
{
	static const struct { u32 component, size; } known[] = {
		{ THV_STATE_REGS, sizeof(struct thv_regs) },
		{ THV_STATE_SREGS, sizeof(struct thv_sregs) },
		{ THV_STATE_FPU, sizeof(struct thv_fpu) },
		{ THV_STATE_DEBUG, sizeof(struct thv_debug) },
		{ THV_STATE_APIC, sizeof(struct thv_apic) },
		{ THV_STATE_EVENTS, sizeof(struct thv_event_state) },
		{ THV_STATE_TSC, sizeof(struct thv_tsc) },
	};
	static u8 buffer[8192];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(known); i++) {
		u32 component = known[i].component, size = known[i].size;

		EXPECT_EQ(0, vcpu_get(self->vcpu, component, buffer, size));
		EXPECT_EQ(-EINVAL, vcpu_get(self->vcpu, component, buffer, size - 1));
		EXPECT_EQ(-EINVAL, vcpu_get(self->vcpu, component, buffer, size + 8));
		EXPECT_EQ(-EINVAL, vcpu_get(self->vcpu, component, buffer, 0));
		EXPECT_EQ(-EINVAL, vcpu_set(self->vcpu, component, buffer, size - 8));
		EXPECT_EQ(-EINVAL, vcpu_set(self->vcpu, component, buffer, ~0U));
		EXPECT_EQ(-EFAULT, vcpu_get(self->vcpu, component, NULL, size));
		EXPECT_EQ(-EFAULT, vcpu_set(self->vcpu, component, (void *)-PAGE, size));
	}
	for (i = THV_STATE_TSC + 1; i < 40; i++)
		EXPECT_EQ(-EINVAL, vcpu_get(self->vcpu, i, buffer, 64));
	EXPECT_EQ(-EINVAL, vcpu_get(self->vcpu, 0x80000000, buffer, 64));
	EXPECT_EQ(-EINVAL, vcpu_get(self->vcpu, ~0U, buffer, 64));
}

static void *run_thread(void *arg)
{
	return (void *)(long)vcpu_run(arg);
}

TEST_F(state, is_busy_while_the_vcpu_runs)
{
	struct thv_interrupt interrupt = { .vector = 200 };
	struct thv_translate translate = { .gla = 0 };
	struct thv_apic_access access = { .length = 4 };
	struct thv_control stop = { .state = THV_VM_STOPPED };
	struct thv_regs regs;
	pthread_t thread;
	u64 since = now_us();

	guest_start(self->vcpu, guest_state_spin);
	ASSERT_EQ(0, pthread_create(&thread, NULL, run_thread, self->vcpu));
	while (!*(volatile u64 *)&self->vm->record->shared && now_us() - since < 10000000)
		;
	EXPECT_EQ(-EBUSY, vcpu_get(self->vcpu, THV_STATE_REGS, &regs, sizeof(regs)));
	EXPECT_EQ(-EBUSY, vcpu_set(self->vcpu, THV_STATE_REGS, &regs, sizeof(regs)));
	EXPECT_EQ(-EBUSY, thv_ioctl(self->vcpu->fd, THV_TRANSLATE, &translate));
	EXPECT_EQ(-EBUSY, thv_ioctl(self->vcpu->fd, THV_APIC_ACCESS, &access));
	EXPECT_EQ(-EBUSY, vcpu_run_once(self->vcpu));
	EXPECT_EQ(0, thv_ioctl(self->vcpu->fd, THV_INTERRUPT, &interrupt));
	EXPECT_EQ(0, thv_ioctl(self->vm->fd, THV_CONTROL, &stop));
	pthread_join(thread, NULL);
	EXPECT_EQ(0, vcpu_get(self->vcpu, THV_STATE_REGS, &regs, sizeof(regs)));
}

/* ---- general registers ---- */

TEST_F(state, general_registers_are_what_the_guest_has)
{
	struct thv_regs regs = { .rip = guest_state_registers, .rflags = 0x8d7 }, after;
	int i;

	for (i = 0; i < THV_GPRS; i++)
		regs.gpr[i] = 0x1111111100000000ULL * (i & 7) + 0x100 + i;
	must_set(self->vcpu, THV_STATE_REGS, &regs);
	must_get(self->vcpu, THV_STATE_REGS, &after);
	EXPECT_EQ(0, memcmp(&regs, &after, sizeof(regs)));
	guest_finish(self->vcpu);
	EXPECT_EQ(0, memcmp(regs.gpr, self->data, sizeof(regs.gpr)));
	EXPECT_EQ(regs.rflags, self->data[16]);
}

TEST_F(state, the_run_page_carries_registers_both_ways)
{
	struct thv_run *run = self->vcpu->run;
	int i;

	for (i = 0; i < THV_GPRS; i++)
		run->regs.gpr[i] = 0x2222222200000000ULL + i;
	run->regs.rip = guest_state_registers;
	run->regs.rflags = 0xad7;
	run->dirty = THV_DIRTY_GPRS | THV_DIRTY_RIP;
	guest_finish(self->vcpu);
	EXPECT_EQ(0, run->dirty);
	for (i = 0; i < THV_GPRS; i++)
		EXPECT_EQ(0x2222222200000000ULL + i, self->data[i]);
	for (i = 0; i < THV_GPRS; i++)
		if (i != THV_RSP)
			EXPECT_EQ(0x2222222200000000ULL + i, run->regs.gpr[i]);
	EXPECT_EQ(0x40000, run->regs.gpr[THV_RSP]);
	EXPECT_EQ(0xad7, run->regs.rflags);
}

TEST_F(state, the_run_page_without_dirty_changes_nothing)
{
	struct thv_run *run = self->vcpu->run;
	struct thv_regs regs = { .rip = guest_state_registers, .rflags = 2 };

	must_set(self->vcpu, THV_STATE_REGS, &regs);
	memset(&run->regs, 0xa5, sizeof(run->regs));
	guest_finish(self->vcpu);
	EXPECT_EQ(0, self->data[THV_RBX]);
}

TEST_F(state, flags_that_do_not_exist_are_refused)
{
	struct thv_regs regs = { .rip = guest_state_registers }, after;
	static const unsigned int reserved[] = { 3, 5, 15, 22, 23, 31, 32, 63 };
	struct thv_run *run = self->vcpu->run;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(reserved); i++) {
		regs.rflags = 2 | BIT(reserved[i]);
		EXPECT_EQ(-EINVAL, vcpu_set(self->vcpu, THV_STATE_REGS, &regs, sizeof(regs)))
			TH_LOG("bit %u", reserved[i]);
		run->regs = regs;
		run->dirty = THV_DIRTY_RIP;
		EXPECT_EQ(-EINVAL, vcpu_run(self->vcpu)) TH_LOG("bit %u", reserved[i]);
		run->dirty = 0;
	}
	must_get(self->vcpu, THV_STATE_REGS, &after);
	EXPECT_EQ(0, after.rip) TH_LOG("a refused set changed RIP");
}

TEST_F(state, unknown_dirty_bits_are_refused)
{
	struct thv_run *run = self->vcpu->run;
	unsigned int bit;

	for (bit = 3; bit < 32; bit++) {
		run->dirty = BIT(bit);
		EXPECT_EQ(-EINVAL, vcpu_run(self->vcpu)) TH_LOG("bit %u", bit);
	}
	run->dirty = THV_DIRTY_COMPLETED;
	EXPECT_EQ(-EINVAL, vcpu_run(self->vcpu)) TH_LOG("COMPLETED wants RIP");
	run->dirty = THV_DIRTY_COMPLETED | THV_DIRTY_GPRS;
	EXPECT_EQ(-EINVAL, vcpu_run(self->vcpu)) TH_LOG("COMPLETED wants RIP");
}

/* ---- system registers ---- */

TEST_F(state, system_registers_are_what_the_guest_has)
{
	struct thv_sregs sregs, after;

	must_get(self->vcpu, THV_STATE_SREGS, &sregs);
	sregs.cr2 = 0x123456789abcdef0;
	sregs.cr8 = 5;
	sregs.cr4 |= BIT(3);
	sregs.gdt.limit = 0x3ff;
	sregs.seg[THV_FS].base = 0xffff800012345678;
	sregs.seg[THV_GS].base = 0x7fff12345678;
	must_set(self->vcpu, THV_STATE_SREGS, &sregs);
	must_get(self->vcpu, THV_STATE_SREGS, &after);
	EXPECT_EQ(0, memcmp(&sregs, &after, sizeof(sregs)));
	guest_call(self->vcpu, guest_state_system);
	EXPECT_EQ(sregs.cr0, self->data[0]);
	EXPECT_EQ(sregs.cr2, self->data[1]);
	EXPECT_EQ(sregs.cr3, self->data[2]);
	EXPECT_EQ(sregs.cr4, self->data[3]);
	EXPECT_EQ(5, self->data[4]);
	EXPECT_EQ(0x3ff, *vm_at(self->vm, GUEST_DATA + 0x28, u16));
	EXPECT_EQ(GUEST_GDT, *vm_at(self->vm, GUEST_DATA + 0x2a, u64));
	EXPECT_EQ(GUEST_IDT, *vm_at(self->vm, GUEST_DATA + 0x3a, u64));
	EXPECT_EQ(GUEST_CS64, *vm_at(self->vm, GUEST_DATA + 0x48, u16));
	EXPECT_EQ(GUEST_TR, *vm_at(self->vm, GUEST_DATA + 0x50, u16));
}

TEST_F(state, a_new_vcpu_is_in_the_reset_state)
{
	struct vm *vm = vm_create_bare(0);
	struct thv_event_state events;
	struct thv_sregs sregs;
	struct thv_regs regs;
	struct thv_debug debug;
	struct thv_fpu fpu;
	struct vcpu *second;
	int i;

	vm->vcpu = vcpu_create(vm, 0);
	second = vcpu_create(vm, 1);
	must_get(vm->vcpu, THV_STATE_REGS, &regs);
	EXPECT_EQ(0xfff0, regs.rip);
	EXPECT_EQ(2, regs.rflags);
	for (i = 0; i < THV_GPRS; i++)
		if (i != THV_RDX)
			EXPECT_EQ(0, regs.gpr[i]);
	must_get(vm->vcpu, THV_STATE_SREGS, &sregs);
	EXPECT_EQ(0x60000010, sregs.cr0);
	EXPECT_EQ(0, sregs.cr2 | sregs.cr3 | sregs.cr4 | sregs.cr8 | sregs.efer);
	EXPECT_EQ(0xf000, sregs.seg[THV_CS].selector);
	EXPECT_EQ(0xffff0000, sregs.seg[THV_CS].base);
	EXPECT_EQ(0xffff, sregs.seg[THV_CS].limit);
	EXPECT_EQ(0x9b, sregs.seg[THV_CS].attributes);
	EXPECT_EQ(0x93, sregs.seg[THV_DS].attributes);
	EXPECT_EQ(0x83, sregs.seg[THV_TR].attributes & ~8) TH_LOG("a busy TSS");
	EXPECT_EQ(0xffff, sregs.gdt.limit);
	EXPECT_EQ(0xffff, sregs.idt.limit);
	must_get(vm->vcpu, THV_STATE_DEBUG, &debug);
	EXPECT_EQ(0xffff0ff0, debug.dr6);
	EXPECT_EQ(0x400, debug.dr7);
	must_get(vm->vcpu, THV_STATE_FPU, &fpu);
	EXPECT_EQ(1, fpu.xcr0);
	/*
	 * FCW after reset is 0x40, MXCSR 0x1f80 (SDM table 10-1); FNINIT's 0x37f is what the host
	 * initialises to
	 */
	EXPECT_EQ(0x1f80, *(u32 *)(fpu.xsave + 24));
	must_get(vm->vcpu, THV_STATE_EVENTS, &events);
	EXPECT_EQ(THV_MP_RUNNING, events.mp_state);
	EXPECT_EQ(0, events.flags);
	must_get(second, THV_STATE_EVENTS, &events);
	EXPECT_EQ(THV_MP_WAIT_SIPI, events.mp_state);
}

/* What SET_STATE of SREGS must say of CR0, CR4 and EFER together: SDM 2.5, 2.2.1, 4.1, 4.10.1 */
#define CR0_PE	BIT(0)
#define CR0_NW	BIT(29)
#define CR0_CD	BIT(30)
#define CR0_PG	BIT(31)
#define CR4_PAE	BIT(5)
#define CR4_PCIDE BIT(17)
#define EFER_LME BIT(8)
#define EFER_LMA BIT(10)

static bool modes_possible(u64 cr0, u64 cr4, u64 efer)
{
	bool paging = cr0 & CR0_PG, lma = efer & EFER_LMA;

	if (paging && !(cr0 & CR0_PE))
		return false;
	if ((cr0 & CR0_NW) && !(cr0 & CR0_CD))
		return false;
	if (lma != (paging && (efer & EFER_LME)))
		return false;
	if (lma && !(cr4 & CR4_PAE))
		return false;
	if ((cr4 & CR4_PCIDE) && !lma)
		return false;
	return true;
}

TEST_F(state, modes_are_accepted_and_refused_as_the_model_does)
{
	static const u64 cr0s[] = { CR0_PE, CR0_NW, CR0_CD, CR0_PG, BIT(16) };
	static const u64 cr4s[] = { CR4_PAE, CR4_PCIDE, BIT(4), BIT(7) };
	static const u64 efers[] = { BIT(0), EFER_LME, EFER_LMA, BIT(11) };
	struct thv_cpuid cpuid = { .leaf = 1 };
	struct thv_sregs good, sregs;
	unsigned int bits, i;
	bool pcid;

	must(thv_ioctl(thv_device(), THV_GET_CPUID, &cpuid));
	pcid = cpuid.ecx & BIT(17);
	must_get(self->vcpu, THV_STATE_SREGS, &good);
	/* 3: a third of them, evenly; time is dear */
	for (bits = 0; bits < BIT(13); bits += 3) {
		bool possible;

		sregs = good;
		sregs.cr0 = 0x30;
		sregs.cr4 = 0;
		sregs.efer = 0;
		sregs.seg[THV_CS] = segment_code(GUEST_CS32);
		for (i = 0; i < 5; i++)
			sregs.cr0 |= bits & BIT(i) ? cr0s[i] : 0;
		for (i = 0; i < 4; i++)
			sregs.cr4 |= bits & BIT(5 + i) ? cr4s[i] : 0;
		for (i = 0; i < 4; i++)
			sregs.efer |= bits & BIT(9 + i) ? efers[i] : 0;
		possible = modes_possible(sregs.cr0, sregs.cr4, sregs.efer) &&
			   (pcid || !(sregs.cr4 & CR4_PCIDE));
		ASSERT_EQ(possible ? 0 : -EINVAL,
			  vcpu_set(self->vcpu, THV_STATE_SREGS, &sregs, sizeof(sregs)))
			TH_LOG("cr0 %#llx cr4 %#llx efer %#llx", sregs.cr0, sregs.cr4, sregs.efer);
	}
}

TEST_F(state, impossible_system_registers_are_refused_and_change_nothing)
{
	struct thv_sregs good, bad, after;
	unsigned int n = 0;

	must_get(self->vcpu, THV_STATE_SREGS, &good);
#define REFUSED(field, value)							\
	do {									\
		bad = good;							\
		bad.cr2 = ++n;							\
		bad.field = (value);						\
		EXPECT_EQ(-EINVAL, vcpu_set(self->vcpu, THV_STATE_SREGS, &bad, sizeof(bad))) \
			TH_LOG(#field " = " #value);				\
		must_get(self->vcpu, THV_STATE_SREGS, &after);			\
		ASSERT_EQ(0, memcmp(&good, &after, sizeof(good)))		\
			TH_LOG(#field " = " #value " changed something");	\
	} while (0)
	REFUSED(cr0, good.cr0 | BIT(32));
	REFUSED(cr0, good.cr0 | BIT(28));
	REFUSED(cr4, good.cr4 | BIT(13));		/* VMXE */
	REFUSED(cr4, good.cr4 | BIT(14));		/* SMXE */
	REFUSED(cr4, good.cr4 | BIT(15));
	REFUSED(cr4, good.cr4 | BIT(63));
	REFUSED(cr3, good.cr3 | BIT(52));
	REFUSED(cr3, 1ULL << self->vm->info->guest_phys_bits);
	REFUSED(cr8, 16);
	REFUSED(efer, good.efer | BIT(1));
	REFUSED(efer, good.efer | BIT(12));		/* SVME */
	REFUSED(efer, good.efer | BIT(63));
	REFUSED(gdt.base, 0x0000800000000000);
	REFUSED(idt.base, 0x8000000000000000);
	REFUSED(gdt.limit, 0x10000);
	REFUSED(idt.limit, 0xffffffff);
	REFUSED(gdt.reserved, 1);
	REFUSED(seg[THV_FS].base, 0x0000800000000000);
	REFUSED(seg[THV_GS].base, 0xffff7fffffffffff);
	REFUSED(seg[THV_TR].base, 0x0000800000000000);
	REFUSED(seg[THV_CS].base, BIT(32));
	REFUSED(seg[THV_SS].base, BIT(32));
	REFUSED(seg[THV_CS].attributes, good.seg[THV_CS].attributes | BIT(17));
	REFUSED(seg[THV_CS].attributes, good.seg[THV_CS].attributes | BIT(8));
	REFUSED(seg[THV_CS].attributes, THV_SEG_UNUSABLE);
	REFUSED(seg[THV_CS].attributes, good.seg[THV_CS].attributes & ~THV_SEG_P);
	REFUSED(seg[THV_CS].attributes, good.seg[THV_CS].attributes | THV_SEG_DB);
	REFUSED(seg[THV_TR].attributes, THV_SEG_UNUSABLE);
	REFUSED(seg[THV_TR].attributes, THV_SEG_P | 9);
	REFUSED(seg[THV_CS].reserved[0], 1);
	REFUSED(seg[THV_DS].limit, 0xfffffffe);		/* G, but not in pages */
	REFUSED(flags, 2);
	REFUSED(flags, BIT(63));
	REFUSED(reserved[0], 1);
	REFUSED(reserved[3], BIT(63));
	EXPECT_EQ(0, vcpu_set(self->vcpu, THV_STATE_SREGS, &good, sizeof(good)));
}

/* ---- FPU ---- */

/* Reset leaves XCR0 = 1: give the guest all there is */
static u64 all_xcr0(struct vcpu *vcpu)
{
	struct thv_cpuid cpuid = { .leaf = 0xd };

	(void)vcpu;
	must(thv_ioctl(thv_device(), THV_GET_CPUID, &cpuid));
	return cpuid.eax | (u64)cpuid.edx << 32;
}

TEST_F(state, fpu_registers_are_what_the_guest_has)
{
	static struct thv_fpu fpu, after;
	int i;

	must_get(self->vcpu, THV_STATE_FPU, &fpu);
	for (i = 0; i < 256; i++)
		fpu.xsave[160 + i] = i ^ 0x5a;
	*(u64 *)(fpu.xsave + 512) |= 3;
	*(u32 *)(fpu.xsave + 24) = 0x1fa0;
	must_set(self->vcpu, THV_STATE_FPU, &fpu);
	must_get(self->vcpu, THV_STATE_FPU, &after);
	EXPECT_EQ(0, memcmp(fpu.xsave + 160, after.xsave + 160, 256));
	EXPECT_EQ(0x1fa0, *(u32 *)(after.xsave + 24));
	guest_call(self->vcpu, guest_state_store_xmm, GUEST_DATA);
	EXPECT_EQ(0, memcmp(fpu.xsave + 160, self->data, 256));
	memset(self->data, 0x77, 256);
	guest_call(self->vcpu, guest_state_load_xmm, GUEST_DATA);
	must_get(self->vcpu, THV_STATE_FPU, &after);
	EXPECT_EQ(0, memcmp(after.xsave + 160, self->data, 256));
}

TEST_F(state, fpu_area_has_the_upper_halves)
{
	static struct thv_fpu fpu, after;
	struct thv_cpuid cpuid = { .leaf = 0xd, .subleaf = 2 };
	int i;

	REQUIRE(all_xcr0(self->vcpu) & 4, "this processor has no AVX");
	must(thv_ioctl(thv_device(), THV_GET_CPUID, &cpuid));
	must_get(self->vcpu, THV_STATE_FPU, &fpu);
	fpu.xcr0 = 7;
	for (i = 0; i < 256; i++)
		fpu.xsave[cpuid.ebx + i] = i ^ 0xa5;
	*(u64 *)(fpu.xsave + 512) |= 7;
	must_set(self->vcpu, THV_STATE_FPU, &fpu);
	must_get(self->vcpu, THV_STATE_FPU, &after);
	EXPECT_EQ(7, after.xcr0);
	EXPECT_EQ(0, memcmp(fpu.xsave + cpuid.ebx, after.xsave + cpuid.ebx, 256));
}

TEST_F(state, impossible_fpu_areas_are_refused)
{
	static struct thv_fpu good, bad, after;
	u64 xcr0 = all_xcr0(self->vcpu);

	must_get(self->vcpu, THV_STATE_FPU, &good);
	*(u64 *)(good.xsave + 512) |= 3;	/* x87 and SSE are there: their fields count */
	must_set(self->vcpu, THV_STATE_FPU, &good);
	must_get(self->vcpu, THV_STATE_FPU, &good);
#define REFUSED_FPU(type, offset, value)					\
	do {									\
		bad = good;							\
		*(type *)((u8 *)&bad + (offset)) = (value);			\
		EXPECT_EQ(-EINVAL, vcpu_set(self->vcpu, THV_STATE_FPU, &bad, sizeof(bad))) \
			TH_LOG(#offset " = " #value);				\
	} while (0)
	REFUSED_FPU(u64, 0, 0);			/* XCR0 without x87 */
	REFUSED_FPU(u64, 0, 2);
	REFUSED_FPU(u64, 0, 5);			/* AVX without SSE */
	REFUSED_FPU(u64, 0, BIT(63) | 1);
	REFUSED_FPU(u64, 0, BIT(9) | 3);		/* PKRU: not offered */
	REFUSED_FPU(u64, 8, 1);			/* reserved */
	REFUSED_FPU(u64, 56, 1);
	REFUSED_FPU(u32, 64 + 24, 0xffffffff);	/* MXCSR */
	REFUSED_FPU(u32, 64 + 24, BIT(16));
	REFUSED_FPU(u64, 64 + 512, BIT(62));	/* XSTATE_BV */
	REFUSED_FPU(u64, 64 + 520, BIT(63));	/* XCOMP_BV: compacted */
	REFUSED_FPU(u64, 64 + 528, 1);		/* the header's reserved words */
	if (!(xcr0 & BIT(5)))
		REFUSED_FPU(u64, 0, 0xe7);
	must_get(self->vcpu, THV_STATE_FPU, &after);
	EXPECT_EQ(0, memcmp(&good, &after, sizeof(good)));
}

/* Each bit and each pair of bits (threat 8), by ioctl and by the guest */
static bool xcr0_possible(u64 xcr0, u64 all)
{
	u64 avx512 = xcr0 & 0xe0;

	return !(xcr0 & ~all) && (xcr0 & 1) && !((xcr0 & 4) && !(xcr0 & 2)) &&
	       !(avx512 && (avx512 != 0xe0 || (xcr0 & 6) != 6));
}

static void try_xcr0(struct __test_metadata *_metadata, FIXTURE_DATA(state) *self, u64 xcr0)
{
	static struct thv_fpu fpu;
	bool possible = xcr0_possible(xcr0, all_xcr0(self->vcpu));

	must_get(self->vcpu, THV_STATE_FPU, &fpu);
	fpu.xcr0 = xcr0;
	ASSERT_EQ(possible ? 0 : -EINVAL, vcpu_set(self->vcpu, THV_STATE_FPU, &fpu, sizeof(fpu)))
		TH_LOG("XCR0 %#llx by ioctl", xcr0);
	ASSERT_EQ(possible ? -1ULL : 13, guest_call(self->vcpu, guest_state_xsetbv, 0, xcr0))
		TH_LOG("XCR0 %#llx by the guest", xcr0);
	if (!possible)
		return;
	must_get(self->vcpu, THV_STATE_FPU, &fpu);
	ASSERT_EQ(xcr0, fpu.xcr0);
}

TEST_F(state, xcr0_takes_what_the_manual_allows)
{
	static const u64 more[] = { 0, 3, 7, 0xe3, 0xe7, 0xff, 0x2e7, 0x6, 0x27, 0x67, ~0ULL };
	struct thv_sregs sregs;
	unsigned int a, b;

	REQUIRE(all_xcr0(self->vcpu), "this processor has no XSAVE");
	must_get(self->vcpu, THV_STATE_SREGS, &sregs);
	EXPECT_EQ(6, guest_call(self->vcpu, guest_state_xsetbv, 0, 1)) TH_LOG("CR4.OSXSAVE is 0");
	sregs.cr4 |= BIT(18);
	must_set(self->vcpu, THV_STATE_SREGS, &sregs);
	for (a = 0; a < 64; a++)
		try_xcr0(_metadata, self, BIT(a));
	for (a = 0; a < 10; a++)
		for (b = 0; b < a; b++)
			try_xcr0(_metadata, self, BIT(a) | BIT(b));
	for (a = 0; a < ARRAY_SIZE(more); a++)
		try_xcr0(_metadata, self, more[a]);
	EXPECT_EQ(13, guest_call(self->vcpu, guest_state_xsetbv, 1, 1)) TH_LOG("XCR1");
	EXPECT_EQ(13, guest_call(self->vcpu, guest_state_xsetbv, ~0U, 1));
}

/* ---- debug registers ---- */

TEST_F(state, debug_registers_are_what_the_guest_has)
{
	struct thv_debug debug = {
		.dr = { 1, 0x7fffffffffff, 0xffff800000000000, 4 }, .dr6 = 0xffff4ff1, .dr7 = 0x400,
	}, after;

	must_set(self->vcpu, THV_STATE_DEBUG, &debug);
	must_get(self->vcpu, THV_STATE_DEBUG, &after);
	EXPECT_EQ(0, memcmp(&debug, &after, sizeof(debug)));
	guest_call(self->vcpu, guest_state_debug);
	EXPECT_EQ(0, memcmp(&debug, self->data, sizeof(debug)));
}

TEST_F(state, debug_registers_have_their_fixed_bits)
{
	struct thv_debug debug = { .dr6 = 0, .dr7 = 0 };

	must_set(self->vcpu, THV_STATE_DEBUG, &debug);
	must_get(self->vcpu, THV_STATE_DEBUG, &debug);
	EXPECT_EQ(0xffff0ff0, debug.dr6);
	EXPECT_EQ(0x400, debug.dr7);
	debug.dr6 = BIT(32);
	EXPECT_EQ(-EINVAL, vcpu_set(self->vcpu, THV_STATE_DEBUG, &debug, sizeof(debug)));
	debug.dr6 = 0;
	debug.dr7 = BIT(63);
	EXPECT_EQ(-EINVAL, vcpu_set(self->vcpu, THV_STATE_DEBUG, &debug, sizeof(debug)));
}

/* ---- MSRs ---- */

enum kind { ADDRESS, WORD32, ANY64 };

static const struct known_msr {
	u32 index;
	enum kind kind;
	const char *name;
} known[] = {
	{ 0x174, ANY64, "SYSENTER_CS" },
	{ 0x175, ADDRESS, "SYSENTER_ESP" },
	{ 0x176, ADDRESS, "SYSENTER_EIP" },
	{ 0xc0000081, ANY64, "STAR" },
	{ 0xc0000082, ADDRESS, "LSTAR" },
	{ 0xc0000083, ADDRESS, "CSTAR" },
	{ 0xc0000084, WORD32, "SYSCALL_MASK" },
	{ 0xc0000100, ADDRESS, "FS_BASE" },
	{ 0xc0000101, ADDRESS, "GS_BASE" },
	{ 0xc0000102, ADDRESS, "KERNEL_GS_BASE" },
	{ 0x3b, ANY64, "TSC_ADJUST" },
};

static const u64 non_canonical[] = { 0x8000000000000000, 0x0000800000000000, 0xffff7fffffffffff };

TEST_F(state, msrs_are_what_the_guest_has)
{
	unsigned int i;
	u64 value, after;

	for (i = 0; i < ARRAY_SIZE(known); i++) {
		value = 0x12345600 + i;
		ASSERT_EQ(0, vcpu_set_msr(self->vcpu, known[i].index, value))
			TH_LOG("%s", known[i].name);
		ASSERT_EQ(0, vcpu_get_msr(self->vcpu, known[i].index, &after));
		EXPECT_EQ(value, after) TH_LOG("%s", known[i].name);
		EXPECT_EQ(value, guest_call(self->vcpu, guest_state_rdmsr, known[i].index))
			TH_LOG("%s", known[i].name);
		value += 0x1000;
		EXPECT_EQ(-1ULL, guest_call(self->vcpu, guest_state_wrmsr, known[i].index, value))
			TH_LOG("%s", known[i].name);
		ASSERT_EQ(0, vcpu_get_msr(self->vcpu, known[i].index, &after));
		EXPECT_EQ(value, after) TH_LOG("%s", known[i].name);
	}
}

TEST_F(state, msrs_refuse_what_no_processor_takes)
{
	unsigned int i, v;
	u64 before, after;

	for (i = 0; i < ARRAY_SIZE(known); i++) {
		ASSERT_EQ(0, vcpu_get_msr(self->vcpu, known[i].index, &before));
		for (v = 0; v < ARRAY_SIZE(non_canonical) && known[i].kind == ADDRESS; v++) {
			EXPECT_EQ(-EINVAL, vcpu_set_msr(self->vcpu, known[i].index, non_canonical[v]))
				TH_LOG("%s %#llx by ioctl", known[i].name, non_canonical[v]);
			EXPECT_EQ(13, guest_call(self->vcpu, guest_state_wrmsr, known[i].index,
						 non_canonical[v]))
				TH_LOG("%s %#llx by the guest", known[i].name, non_canonical[v]);
		}
		if (known[i].kind == WORD32)
			EXPECT_EQ(-EINVAL, vcpu_set_msr(self->vcpu, known[i].index, BIT(32)));
		ASSERT_EQ(0, vcpu_get_msr(self->vcpu, known[i].index, &after));
		if (known[i].kind != ANY64)
			EXPECT_EQ(before, after) TH_LOG("%s", known[i].name);
	}
	/* A memory type that does not exist, and reserved bits */
	EXPECT_EQ(-EINVAL, vcpu_set_msr(self->vcpu, 0x277, 2));
	EXPECT_EQ(-EINVAL, vcpu_set_msr(self->vcpu, 0x277, 0x0807040600070406));
	EXPECT_EQ(-EINVAL, vcpu_set_msr(self->vcpu, 0x1b, 0xfee00400));
	EXPECT_EQ(-EINVAL, vcpu_set_msr(self->vcpu, 0x1b, 0xfed00900));
	EXPECT_EQ(-EINVAL, vcpu_set_msr(self->vcpu, 0xc0000080, BIT(2)));
	EXPECT_EQ(-EINVAL, vcpu_set_msr(self->vcpu, 0x12345, 0));
}

TEST_F(state, a_list_of_msrs_is_done_as_far_as_it_goes)
{
	struct thv_msr list[4] = {
		{ .index = 0x175, .value = 0x1000 }, { .index = 0x176, .value = 0x2000 },
		{ .index = 0x175, .value = 0x0000800000000000 }, { .index = 0xc0000082, .value = 5 },
	};
	u64 value;

	EXPECT_EQ(2, vcpu_set(self->vcpu, THV_STATE_MSRS, list, sizeof(list)));
	ASSERT_EQ(0, vcpu_get_msr(self->vcpu, 0x176, &value));
	EXPECT_EQ(0x2000, value);
	ASSERT_EQ(0, vcpu_get_msr(self->vcpu, 0xc0000082, &value));
	EXPECT_EQ(0, value);
	list[0].reserved = 1;
	EXPECT_EQ(-EINVAL, vcpu_set(self->vcpu, THV_STATE_MSRS, list, sizeof(list)));
	list[0].reserved = 0;
	list[1].index = 0x1234567;
	EXPECT_EQ(1, vcpu_get(self->vcpu, THV_STATE_MSRS, list, sizeof(list)));
	EXPECT_EQ(0x1000, list[0].value);
	EXPECT_EQ(-EINVAL, vcpu_get(self->vcpu, THV_STATE_MSRS, list, 15));
	EXPECT_EQ(-EINVAL, vcpu_get(self->vcpu, THV_STATE_MSRS, list, 257 * 16));
	EXPECT_EQ(-EINVAL, vcpu_get(self->vcpu, THV_STATE_MSRS, list, ~15U));
	EXPECT_EQ(0, vcpu_get(self->vcpu, THV_STATE_MSRS, list, 0));
}

/* RDMSR of everything there could be: none but #GP, and only what the launcher can read, too */
static unsigned int compare_readable(struct __test_metadata *_metadata, FIXTURE_DATA(state) *self,
				     u32 first, u32 count)
{
	u8 *bitmap = (u8 *)self->data;
	unsigned int i, readable;
	u64 value;

	memset(bitmap, 0, count / 8);
	readable = guest_call(self->vcpu, guest_state_readable, first, count, GUEST_DATA);
	for (i = 0; i < count; i++) {
		bool guest = bitmap[i / 8] & BIT(i % 8);

		/*
		 * The host is asked for those alone that the guest can read, and their neighbours
		 */
		if (!guest && i && !(bitmap[(i - 1) / 8] & BIT((i - 1) % 8)))
			continue;
		EXPECT_EQ(guest, !vcpu_get_msr(self->vcpu, first + i, &value))
			TH_LOG("MSR %#x", first + i);
	}
	return readable;
}

TEST_F(state, the_guest_reads_those_msrs_that_the_launcher_reads)
{
	u64 unknown = vm_counter(self->vm, THV_STAT_msr_unknown);
	unsigned int readable;

	readable = compare_readable(_metadata, self, 0, 0x2000);
	readable += compare_readable(_metadata, self, 0xc0000000, 0x2000);
	readable += compare_readable(_metadata, self, 0x4b564d00, 8);
	EXPECT_LT(30, readable);
	EXPECT_GT(400, readable);
	/* What faults although it is known is write-only, or of the other APIC mode */
	unknown = vm_counter(self->vm, THV_STAT_msr_unknown) - unknown;
	EXPECT_GE(0x4008 - readable, unknown);
	EXPECT_LE(0x4008 - readable - 300, unknown);
}

/* All MSRs there are x {0, ~0, non-canonical, walking bit} (threat 6) */
TEST_F(state, writing_anything_to_any_msr_harms_nobody)
{
	u8 *bitmap = (u8 *)self->data + PAGE, *result = (u8 *)self->data + 2 * PAGE;
	static const u32 first[] = { 0, 0xc0000000 };
	unsigned int r, i, k, v, written = 0;

	for (r = 0; r < 2; r++) {
		memset(bitmap, 0, 0x400);
		guest_call(self->vcpu, guest_state_readable, first[r], 0x2000, GUEST_DATA + PAGE);
		for (i = 0; i < 0x2000; i++) {
			if (!(bitmap[i / 8] & BIT(i % 8)))
				continue;
			/* The TSC itself, and what would change the mode the payload runs in */
			if (first[r] + i == 0x10 || first[r] + i == 0xc0000080)
				continue;
			guest_call(self->vcpu, guest_state_walk, first[r] + i, GUEST_DATA + 2 * PAGE);
			written++;
			for (v = 0; v < 69; v++)
				ASSERT_TRUE(result[v] == 0xff || result[v] == 13)
					TH_LOG("MSR %#x value %u: vector %u", first[r] + i, v, result[v]);
			for (k = 0; k < ARRAY_SIZE(known); k++) {
				if (known[k].index != first[r] + i || known[k].kind != ADDRESS)
					continue;
				EXPECT_EQ(13, result[2]) TH_LOG("%s", known[k].name);
				EXPECT_EQ(13, result[3]) TH_LOG("%s", known[k].name);
				EXPECT_EQ(13, result[4]) TH_LOG("%s", known[k].name);
			}
		}
	}
	EXPECT_LT(20, written);
	EXPECT_EQ(-1ULL, guest_call(self->vcpu, guest_state_wrmsr, 0x176, 0));
}

/* ---- the APIC ---- */

static u32 *reg(struct thv_apic *apic, unsigned int offset)
{
	return (u32 *)(apic->regs + offset);
}

TEST_F(state, the_apic_comes_out_as_it_went_in)
{
	struct thv_apic apic, after;

	must_get(self->vcpu, THV_STATE_APIC, &apic);
	EXPECT_EQ(0xfee00900, apic.base);
	*reg(&apic, 0xf0) = 0x1ff;		/* SVR: enabled */
	*reg(&apic, 0x80) = 0x20;		/* TPR */
	*reg(&apic, 0xd0) = 0x01000000;		/* LDR */
	*reg(&apic, 0x320) = 0x10000 | 0x40;	/* timer: masked */
	*reg(&apic, 0x350) = 0x700;		/* LINT0: ExtINT */
	*reg(&apic, 0x370) = 0x33;
	*reg(&apic, 0x3e0) = 0xb;
	*reg(&apic, 0x110) = BIT(5);		/* ISR: 37 */
	*reg(&apic, 0x220) = BIT(1);		/* IRR: 65 */
	*reg(&apic, 0xa0) = 0x20;		/* PPR: ISR class 2 against TPR 0x20 */
	must_set(self->vcpu, THV_STATE_APIC, &apic);
	must_get(self->vcpu, THV_STATE_APIC, &after);
	EXPECT_EQ(0, memcmp(&apic, &after, sizeof(apic)));
}

TEST_F(state, a_running_timer_comes_out_still_running)
{
	struct thv_apic apic, after;

	must_get(self->vcpu, THV_STATE_APIC, &apic);
	*reg(&apic, 0xf0) = 0x1ff;
	*reg(&apic, 0x320) = 0x40;
	*reg(&apic, 0x380) = 1000000000;
	*reg(&apic, 0x3e0) = 0xb;
	apic.timer_remaining = 500000000;
	must_set(self->vcpu, THV_STATE_APIC, &apic);
	must_get(self->vcpu, THV_STATE_APIC, &after);
	EXPECT_GE(500000000, after.timer_remaining);
	EXPECT_LT(400000000, after.timer_remaining);
	EXPECT_LT(0, *reg(&after, 0x390));
}

TEST_F(state, the_apic_in_x2apic_mode_comes_out_as_it_went_in)
{
	struct thv_apic apic, after;

	must_get(self->vcpu, THV_STATE_APIC, &apic);
	apic.base = 0xfee00d00;
	*reg(&apic, 0x20) = 0;
	*reg(&apic, 0xd0) = 1;			/* LDR of APIC id 0 */
	*reg(&apic, 0x310) = 0x12345678;	/* the ICR's destination */
	*reg(&apic, 0xf0) = 0x1ff;
	must_set(self->vcpu, THV_STATE_APIC, &apic);
	must_get(self->vcpu, THV_STATE_APIC, &after);
	EXPECT_EQ(0, memcmp(&apic, &after, sizeof(apic)));
	EXPECT_EQ(0x1ff, guest_call(self->vcpu, guest_state_rdmsr, 0x80f));
}

TEST_F(state, impossible_apics_are_refused_and_change_nothing)
{
	struct thv_apic good, bad, after;

	must_get(self->vcpu, THV_STATE_APIC, &good);
	*reg(&good, 0xf0) = 0x1ff;
	must_set(self->vcpu, THV_STATE_APIC, &good);
#define REFUSED_APIC(what, value)						\
	do {									\
		bad = good;							\
		*reg(&bad, 0x80) = 0x30;					\
		*reg(&bad, 0xa0) = 0x30;					\
		what = (value);							\
		EXPECT_EQ(-EINVAL, vcpu_set(self->vcpu, THV_STATE_APIC, &bad, sizeof(bad))) \
			TH_LOG(#what " = " #value);				\
		must_get(self->vcpu, THV_STATE_APIC, &after);			\
		ASSERT_EQ(0, memcmp(&good, &after, sizeof(good)))		\
			TH_LOG(#what " = " #value " changed something");	\
	} while (0)
	REFUSED_APIC(bad.base, 0);
	REFUSED_APIC(bad.base, 0xfee00500);		/* x2APIC without enable */
	REFUSED_APIC(bad.base, 0xfed00900);		/* elsewhere */
	REFUSED_APIC(bad.base, 0xfee00900 | BIT(52));
	REFUSED_APIC(bad.reserved, 1);
	REFUSED_APIC(bad.tsc_deadline, 1);		/* not in that mode */
	REFUSED_APIC(bad.timer_remaining, 1);		/* without an initial count */
	REFUSED_APIC(*reg(&bad, 0x20), 5 << 24);	/* another id */
	REFUSED_APIC(*reg(&bad, 0x30), 0);		/* another version */
	REFUSED_APIC(*reg(&bad, 0x100), 1);		/* vectors below 16 */
	REFUSED_APIC(*reg(&bad, 0x200), 0x8000);
	REFUSED_APIC(*reg(&bad, 0x110), 3);		/* two in service of one class */
	REFUSED_APIC(*reg(&bad, 0x320), BIT(30));
	REFUSED_APIC(*reg(&bad, 0x3e0), 0xff);
	REFUSED_APIC(*reg(&bad, 0x24), 1);		/* between registers */
	REFUSED_APIC(*reg(&bad, 0x3fc), 1);
	REFUSED_APIC(*reg(&bad, 0x40), 1);		/* where none is */
}

/* ---- events ---- */

TEST_F(state, events_come_out_as_they_went_in)
{
	struct thv_event_state events = {
		.flags = THV_EVENT_EXCEPTION | THV_EVENT_ERROR_CODE | THV_EVENT_PAYLOAD |
			 THV_EVENT_REINJECT | THV_EVENT_NMI_PENDING | THV_EVENT_NMI_BLOCKED |
			 THV_EVENT_STI_SHADOW,
		.mp_state = THV_MP_HALTED, .exception_vector = 14, .exception_error = 6,
		.exception_payload = 0x123456, .reinject = 0x80 | 4 << 8, .reinject_length = 2,
	}, after;

	must_set(self->vcpu, THV_STATE_EVENTS, &events);
	must_get(self->vcpu, THV_STATE_EVENTS, &after);
	EXPECT_EQ(0, memcmp(&events, &after, sizeof(events)));
	events = (struct thv_event_state){
		.flags = THV_EVENT_INIT | THV_EVENT_SIPI | THV_EVENT_MOVSS_SHADOW,
		.mp_state = THV_MP_WAIT_SIPI, .sipi_vector = 0x9a,
	};
	must_set(self->vcpu, THV_STATE_EVENTS, &events);
	must_get(self->vcpu, THV_STATE_EVENTS, &after);
	EXPECT_EQ(0, memcmp(&events, &after, sizeof(events)));
}

TEST_F(state, impossible_events_are_refused_and_change_nothing)
{
	static const struct thv_event_state bad[] = {
		{ .flags = BIT(10) },
		{ .flags = BIT(31) },
		{ .mp_state = 3 },
		{ .mp_state = ~0U },
		{ .sipi_vector = 0x100 },
		{ .flags = THV_EVENT_EXCEPTION, .exception_vector = 32 },
		{ .flags = THV_EVENT_EXCEPTION, .exception_vector = ~0U },
		{ .flags = THV_EVENT_EXCEPTION, .exception_vector = 2 },
		{ .flags = THV_EVENT_EXCEPTION | THV_EVENT_ERROR_CODE, .exception_vector = 6 },
		{ .flags = THV_EVENT_REINJECT, .reinject = BIT(12) },
		{ .flags = THV_EVENT_REINJECT, .reinject = BIT(31) },
		{ .flags = THV_EVENT_REINJECT, .reinject = 1 << 8 },		/* reserved type */
		{ .flags = THV_EVENT_REINJECT, .reinject = 7 << 8 },
		/* an NMI is vector 2 */
		{ .flags = THV_EVENT_REINJECT, .reinject = 3 | 2 << 8 },
		{ .flags = THV_EVENT_REINJECT, .reinject = 32 | 3 << 8 },
		{ .flags = THV_EVENT_REINJECT, .reinject = 0x80 | 4 << 8 },	/* no length */
		{ .flags = THV_EVENT_REINJECT, .reinject = 0x80 | 4 << 8, .reinject_length = 16 },
		{ .flags = THV_EVENT_REINJECT, .reinject = 0x30 | 0 << 8 | BIT(11) },
		{ .flags = THV_EVENT_STI_SHADOW | THV_EVENT_MOVSS_SHADOW },
		{ .pending_debug = BIT(4) },
		{ .pending_debug = BIT(63) },
		{ .reserved = { 1 } },
		{ .reserved = { 0, 1 } },
	};
	struct thv_event_state good = { .mp_state = THV_MP_HALTED }, after;
	unsigned int i;

	must_set(self->vcpu, THV_STATE_EVENTS, &good);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(-EINVAL, vcpu_set(self->vcpu, THV_STATE_EVENTS, &bad[i], sizeof(bad[i])))
			TH_LOG("number %u", i);
		must_get(self->vcpu, THV_STATE_EVENTS, &after);
		ASSERT_EQ(0, memcmp(&good, &after, sizeof(good))) TH_LOG("number %u", i);
	}
}

/* ---- the time-stamp counter ---- */

TEST_F(state, the_counter_goes_on_from_where_it_was_set)
{
	struct thv_tsc tsc = { .tsc = 0x1000000000000ULL }, after;
	u64 guest;

	must_set(self->vcpu, THV_STATE_TSC, &tsc);
	guest = guest_call(self->vcpu, guest_state_tsc);
	must_get(self->vcpu, THV_STATE_TSC, &after);
	EXPECT_LT(tsc.tsc, guest);
	EXPECT_LT(guest, after.tsc);
	EXPECT_GT(tsc.tsc + 10ULL * 1000 * after.khz, after.tsc);
	EXPECT_EQ(self->vm->info->tsc_khz, after.khz);
}

TEST_F(state, a_new_vms_counter_starts_at_0)
{
	struct vm *vm = vm_create(state);
	u64 tsc = guest_call(vm->vcpu, guest_state_tsc);

	EXPECT_GT(10ULL * 1000 * vm->info->tsc_khz, tsc);
	vm_close(vm);
}

TEST_F(state, adjusting_moves_the_counter)
{
	struct thv_tsc tsc = { .tsc = 1000000000ULL << 20, .adjust = 1ULL << 40 }, after;
	u64 value;

	must_set(self->vcpu, THV_STATE_TSC, &tsc);
	must_get(self->vcpu, THV_STATE_TSC, &after);
	EXPECT_EQ(tsc.adjust, after.adjust);
	EXPECT_LE(tsc.tsc, after.tsc);
	/* The guest takes the adjustment away again: SDM 18.17.3 */
	EXPECT_EQ(-1ULL, guest_call(self->vcpu, guest_state_wrmsr, 0x3b, 0));
	value = guest_call(self->vcpu, guest_state_tsc);
	EXPECT_GT(tsc.tsc, value);
	EXPECT_LT(tsc.tsc - tsc.adjust, value);
}

TEST_F(state, another_rate_is_refused)
{
	struct thv_tsc tsc = { .khz = self->vm->info->tsc_khz };

	EXPECT_EQ(0, vcpu_set(self->vcpu, THV_STATE_TSC, &tsc, sizeof(tsc)));
	tsc.khz += 1000;
	EXPECT_EQ(-EINVAL, vcpu_set(self->vcpu, THV_STATE_TSC, &tsc, sizeof(tsc)));
	tsc.khz = 0;
	tsc.reserved = 1;
	EXPECT_EQ(-EINVAL, vcpu_set(self->vcpu, THV_STATE_TSC, &tsc, sizeof(tsc)));
}

/* ---- all of it ---- */

/* A vCPU's whole state into another VM's vCPU: the guest there goes on where it was. */
TEST_F(state, a_vcpu_can_be_moved_to_another_vm)
{
	static struct thv_fpu fpu;
	struct vm *other = vm_create(state);
	struct thv_event_state events;
	struct thv_sregs sregs;
	struct thv_regs regs;
	struct thv_debug debug;
	struct thv_apic apic;
	struct thv_tsc tsc;

	guest_start(self->vcpu, guest_state_registers);
	self->vcpu->run->regs.gpr[THV_R15] = 0xfeedface;
	run_until(self->vcpu, THV_EXIT_IO);
	memcpy(other->mem, self->vm->mem, GUEST_MEMORY);
	must_get(self->vcpu, THV_STATE_REGS, &regs);
	must_get(self->vcpu, THV_STATE_SREGS, &sregs);
	must_get(self->vcpu, THV_STATE_FPU, &fpu);
	must_get(self->vcpu, THV_STATE_DEBUG, &debug);
	must_get(self->vcpu, THV_STATE_APIC, &apic);
	must_get(self->vcpu, THV_STATE_EVENTS, &events);
	must_get(self->vcpu, THV_STATE_TSC, &tsc);
	must_set(other->vcpu, THV_STATE_TSC, &tsc);
	must_set(other->vcpu, THV_STATE_SREGS, &sregs);
	must_set(other->vcpu, THV_STATE_REGS, &regs);
	must_set(other->vcpu, THV_STATE_FPU, &fpu);
	must_set(other->vcpu, THV_STATE_DEBUG, &debug);
	must_set(other->vcpu, THV_STATE_APIC, &apic);
	must_set(other->vcpu, THV_STATE_EVENTS, &events);
	run_until(other->vcpu, THV_EXIT_IO);
	EXPECT_EQ(PORT_DONE, other->vcpu->run->io.port);
	EXPECT_EQ(regs.rip, other->vcpu->run->regs.rip);
	EXPECT_EQ(0xfeedface, other->vcpu->run->regs.gpr[THV_R15]);
	vm_close(other);
}

THV_TEST_MAIN
