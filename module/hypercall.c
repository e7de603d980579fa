// SPDX-License-Identifier: GPL-2.0-only
/*
 * The paravirtual interface: what a guest can have that no processor offers.
 *
 * thv speaks the language of another hypervisor here, KVM's, because every Linux
 * understands it (Documentation/virt/kvm/x86/{cpuid,msr,hypercalls}.rst). A
 * guest that finds KVM's signature takes its time from a page in its own
 * memory, and so needs neither PIT nor HPET, nor to calibrate anything.
 *
 * The clock has no state of its own. A VM's time is its time-stamp counter (msr.c)
 * in nanoseconds: ns = (TSC - IA32_TSC_ADJUST) * 10^6 / kHz. So each vCPU's page says the same
 * thing for ever, time is one line for all vCPUs and cannot jump, and who restores the counters
 * has restored the clock. A clock that followed the host's, with its NTP corrections, would
 * need updates that all vCPUs see at once; a guest that wants to be exact runs NTP anyway.
 */
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/kvm_para.h>
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/time64.h>
#include <linux/timekeeping.h>
#include <asm/pvclock.h>
#include <asm/pvclock-abi.h>
#include <asm/tsc.h>
#include "cpuid.h"
#include "hypercall.h"
#include "lapic.h"
#include "memory.h"
#include "trace.h"
#include "vcpu.h"
#include "vm.h"

/* ---- leaves ---- */

/* Rates in kHz: of the TSC, of the APIC timer */
#define TIMING_LEAF	(KVM_CPUID_SIGNATURE + 0x10)

/**
 * thv_pv_cpuid - CPUID's leaves for hypervisors, 0x40000000 to 0x4fffffff.
 * @leaf: which.
 * @eax: out; 0, as the others, for a leaf that does not exist.
 * @ebx: out.
 * @ecx: out.
 * @edx: out.
 */
void thv_pv_cpuid(u32 leaf, u32 *eax, u32 *ebx, u32 *ecx, u32 *edx)
{
	*eax = *ebx = *ecx = *edx = 0;

	switch (leaf) {
	case KVM_CPUID_SIGNATURE:
		*eax = TIMING_LEAF;
		memcpy(ebx, KVM_SIGNATURE, 4);
		memcpy(ecx, KVM_SIGNATURE + 4, 4);
		memcpy(edx, KVM_SIGNATURE + 8, 4);
		break;
	case KVM_CPUID_FEATURES:
		*eax = BIT(KVM_FEATURE_CLOCKSOURCE2) | BIT(KVM_FEATURE_NOP_IO_DELAY);
		if (thv_guest_tsc_stable())
			*eax |= BIT(KVM_FEATURE_CLOCKSOURCE_STABLE_BIT);
		break;
	case TIMING_LEAF:
		*eax = thv_guest_tsc_khz();
		*ebx = THV_LAPIC_TIMER_KHZ;
		break;
	}
}

/* ---- the clock ---- */

/*
 * ns = (ticks << shift) * mul >> 32, a negative shift being one to the right. The shift makes mul
 * as large as its 32 bits allow, for a rate that is right to 10^-9.
 */
static void clock_rate(u32 *mul, s8 *shift)
{
	u64 ns = NSEC_PER_SEC / 1000, ticks = thv_guest_tsc_khz();	/* per millisecond */

	*shift = 0;
	for (; ns >= ticks; ticks <<= 1)
		++*shift;
	for (; ns * 2 < ticks; ns <<= 1)
		--*shift;
	*mul = div64_u64(ns << 32, ticks);
}

static u64 vm_clock_ns(const struct thv_vm *vm)
{
	u32 mul;
	s8 shift;

	clock_rate(&mul, &shift);
	return pvclock_scale_delta(rdtsc() + READ_ONCE(vm->tsc_offset), mul, shift);
}

/*
 * Write a structure that the guest reads without a lock: its first word, the version, is
 * odd meanwhile, and another one afterwards. The old version is the one in memory, so that it
 * goes on counting after a restore. A guest that gave us an address where
 * no memory is will not see the clock move; that is all.
 */
static void publish(struct thv_vm *vm, u64 gpa, void *data, size_t size)
{
	u32 *version = data;

	if (thv_read_guest(vm, gpa, version, sizeof(*version)))
		return;
	*version = (*version + 1) | 1;
	if (thv_write_guest(vm, gpa, version, sizeof(*version)))
		return;
	smp_wmb();	/* odd before anything changes; the guest's reader has the smp_rmb() */
	if (thv_write_guest(vm, gpa + sizeof(*version), version + 1, size - sizeof(*version)))
		return;
	smp_wmb();	/* all changed before even */
	++*version;
	thv_write_guest(vm, gpa, version, sizeof(*version));
}

static void write_clock(struct thv_vcpu *vcpu)
{
	struct pvclock_vcpu_time_info info = {
		.tsc_timestamp = vcpu->msr.tsc_adjust,
		.system_time = 0,
		.flags = thv_guest_tsc_stable() ? PVCLOCK_TSC_STABLE_BIT : 0,
	};

	clock_rate(&info.tsc_to_system_mul, &info.tsc_shift);
	publish(vcpu->vm, vcpu->pv_clock_msr & ~KVM_MSR_ENABLED, &info, sizeof(info));
}

/* The time of day when the VM's clock was 0 */
static void write_wall_clock(struct thv_vm *vm)
{
	struct timespec64 then = ns_to_timespec64(ktime_get_real_ns() - vm_clock_ns(vm));
	struct pvclock_wall_clock wall = { .sec = then.tv_sec, .nsec = then.tv_nsec };

	publish(vm, READ_ONCE(vm->wall_clock_gpa), &wall, sizeof(wall));
}

/**
 * thv_pv_clock_update - the answer to THV_REQ_CLOCK: TSC offset and clock pages as they should be.
 * @vcpu: the vCPU, loaded.
 *
 * Context: the vCPU's thread, before it enters the guest; may sleep.
 */
void thv_pv_clock_update(struct thv_vcpu *vcpu)
{
	thv_tsc_follow(vcpu);
	if (vcpu->msr.wall_clock_due) {
		vcpu->msr.wall_clock_due = false;
		write_wall_clock(vcpu->vm);
	}
	if (vcpu->pv_clock_msr & KVM_MSR_ENABLED)
		write_clock(vcpu);
}

/* What the launcher sees in bit 0 of WALL_CLOCK, since addresses do not need it: not yet written */
#define WALL_CLOCK_DUE	1

/**
 * thv_pv_clock_read - RDMSR of the clock's MSRs.
 * @vcpu: the vCPU.
 * @index: MSR_KVM_WALL_CLOCK_NEW or MSR_KVM_SYSTEM_TIME_NEW.
 * @value: out.
 * @by: THV_MSR_HOST is told whether the wall clock is still to be written, too.
 *
 * Return: 0.
 */
int thv_pv_clock_read(struct thv_vcpu *vcpu, u32 index, u64 *value, enum thv_msr_by by)
{
	if (index == MSR_KVM_SYSTEM_TIME_NEW) {
		*value = vcpu->pv_clock_msr;
		return 0;
	}
	*value = READ_ONCE(vcpu->vm->wall_clock_gpa);
	if (by == THV_MSR_HOST && vcpu->msr.wall_clock_due)
		*value |= WALL_CLOCK_DUE;
	return 0;
}

/* Both structures are made of words, at addresses that words have; a page's end may divide them */
static bool address_ok(u64 gpa)
{
	return !(gpa & 3) && !(gpa >> thv_guest_phys_bits());
}

static int write_system_time_msr(struct thv_vcpu *vcpu, u64 value)
{
	if (!address_ok(value & ~KVM_MSR_ENABLED))
		return -EINVAL;
	vcpu->pv_clock_msr = value;
	return 0;
}

/* A guest asks for the time, once; the launcher restores what was asked for and not yet done. */
static int write_wall_clock_msr(struct thv_vcpu *vcpu, u64 value, enum thv_msr_by by)
{
	u64 gpa = by == THV_MSR_HOST ? value & ~WALL_CLOCK_DUE : value;

	if (!address_ok(gpa))
		return -EINVAL;
	WRITE_ONCE(vcpu->vm->wall_clock_gpa, gpa);
	vcpu->msr.wall_clock_due = by == THV_MSR_HOST ? value & WALL_CLOCK_DUE : gpa;
	return 0;
}

/**
 * thv_pv_clock_write - WRMSR of the clock's MSRs: where the guest wants to read the time.
 * @vcpu: the vCPU.
 * @index: MSR_KVM_WALL_CLOCK_NEW or MSR_KVM_SYSTEM_TIME_NEW.
 * @value: the guest-physical address; of SYSTEM_TIME bit 0 says whether it is in use.
 * @by: THV_MSR_HOST restores what thv_pv_clock_read() gave it.
 *
 * THV_REQ_CLOCK writes the pages before the guest's next instruction.
 *
 * Context: interrupts may be off; does not sleep.
 * Return: 0; -EINVAL, not an address.
 */
int thv_pv_clock_write(struct thv_vcpu *vcpu, u32 index, u64 value, enum thv_msr_by by)
{
	int err = index == MSR_KVM_SYSTEM_TIME_NEW ? write_system_time_msr(vcpu, value) :
						     write_wall_clock_msr(vcpu, value, by);

	if (!err)
		thv_vcpu_request(vcpu, THV_REQ_CLOCK);
	return err;
}

/**
 * thv_pv_reset - power-up: no clock page.
 * @vcpu: the vCPU.
 */
void thv_pv_reset(struct thv_vcpu *vcpu)
{
	vcpu->pv_clock_msr = 0;
	vcpu->msr.wall_clock_due = false;
}

/* ---- hypercalls ---- */

/**
 * thv_hypercall - VMCALL.
 * @vcpu: the vCPU.
 * @cpl: the privilege level it was issued at.
 * @nr: which call; RAX.
 * @a0: RBX.
 * @a1: RCX.
 * @a2: RDX.
 * @a3: RSI.
 *
 * No feature leaf offers a call; the one below is older than the leaves, and a guest may try it.
 *
 * Return: for RAX: 0 or a negative KVM_E* number.
 */
u64 thv_hypercall(struct thv_vcpu *vcpu, u32 cpl, u64 nr, u64 a0, u64 a1, u64 a2, u64 a3)
{
	u64 result = nr == KVM_HC_VAPIC_POLL_IRQ ? 0 : -KVM_ENOSYS;

	if (cpl)
		result = -KVM_EPERM;
	trace_thv_hypercall(vcpu, nr, a0, a1, result);
	return result;
}
