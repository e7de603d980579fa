// SPDX-License-Identifier: GPL-2.0-only
/*
 * What belongs to the host while its own code runs and to the guest while that runs, and that VM
 * entry and exit do not exchange by themselves: some MSRs, the user's segments, and the
 * speculation barriers. Exchanged as seldom as can be: the guest's values stay in the processor
 * from the first entry until the vCPU leaves the CPU or the thread returns to user mode, since
 * kernel code uses none of them.
 */
#include <linux/percpu.h>
#include <linux/slab.h>
#include <asm/cpufeature.h>
#include <asm/desc.h>
#include <asm/fsgsbase.h>
#include <asm/mmu_context.h>
#include <asm/msr.h>
#include <asm/nospec-branch.h>
#include <asm/processor.h>
#include <asm/tlbflush.h>
#include "entry.h"
#include "vmx.h"

static const u32 switched[VMX_SWITCHED] = {
	[VMX_STAR] = MSR_STAR,
	[VMX_LSTAR] = MSR_LSTAR,
	[VMX_CSTAR] = MSR_CSTAR,
	[VMX_SYSCALL_MASK] = MSR_SYSCALL_MASK,
	[VMX_KERNEL_GS_BASE] = MSR_KERNEL_GS_BASE,
	[VMX_TSC_AUX] = MSR_TSC_AUX,
	[VMX_EFER] = MSR_EFER,		/* where the VMCS has no field for it: its SCE bit */
};

/* This CPU's own values of those that no task changes */
struct cpu_msrs {
	u64 value[VMX_SWITCHED];
};

static DEFINE_PER_CPU(struct cpu_msrs, own);

/* Which of them an MSR is, -1: none. (Not EFER: what the guest has in it is kept elsewhere.) */
int vmx_switched_index(u32 index)
{
	int i;

	for (i = 0; i < VMX_EFER; i++)
		if (switched[i] == index)
			return i;
	return -1;
}

static bool is_switched(int which)
{
	if (which == VMX_TSC_AUX)
		return thv_caps.used & THV_FEATURE_RDTSCP;
	return which != VMX_EFER || !vmx_has_efer();
}

/* Context: on that CPU, interrupts off, before any guest. */
void vmx_switch_cpu_on(void)
{
	struct cpu_msrs *msrs = this_cpu_ptr(&own);
	int i;

	for (i = 0; i < VMX_SWITCHED; i++)
		if (is_switched(i))
			rdmsrl(switched[i], msrs->value[i]);
}

/* (Without the tracepoint of wrmsrl(), which makes each write a call) */
static __always_inline void swap_msrs(const u64 from[VMX_SWITCHED], const u64 to[VMX_SWITCHED])
{
	int i;

#pragma GCC unroll 8
	for (i = 0; i < VMX_SWITCHED; i++)
		if (from[i] != to[i])
			__wrmsr(switched[i], to[i], to[i] >> 32);
}

/* A preemption between note and write would do the write twice: no harm. */
void vmx_set_switched(struct vmx_vcpu *vmx, int which, u64 value)
{
	preempt_disable();
	vmx->msr[which] = value;
	if (vmx->guest_msrs)
		wrmsrl(switched[which], value);
	preempt_enable();
}

static void save_segments(struct vmx_host *host)
{
	current_save_fsgs();
	host->fs = current->thread.fsindex;
	host->gs = current->thread.gsindex;
	savesegment(ds, host->ds);
	savesegment(es, host->es);
	store_ldt(host->ldt);
	if (host->fs_base != current->thread.fsbase) {
		host->fs_base = current->thread.fsbase;
		vmwrite(HOST_FS_BASE, host->fs_base);
	}
}

/*
 * A VM exit left null selectors (setup_host()). To load one loads the base of its descriptor, too; that is
 * the user's base unless the user may set another (FSGSBASE), which then is written after.
 */
static void restore_segments(const struct vmx_host *host, u64 gs_base)
{
	bool own_bases = boot_cpu_has(X86_FEATURE_FSGSBASE);
	unsigned long flags;

	if (unlikely(host->ldt))
		asm volatile("lldt %0" : : "m" (host->ldt));
	if (unlikely(host->ds | host->es)) {
		loadsegment(ds, host->ds);
		loadsegment(es, host->es);
	}
	if (unlikely(host->fs)) {
		loadsegment(fs, host->fs);
		if (own_bases)
			wrmsrl(MSR_FS_BASE, host->fs_base);
	}
	if (unlikely(host->gs)) {
		local_irq_save(flags);	/* for an instant GS is the user's */
		load_gs_index(host->gs);
		if (own_bases)
			wrmsrl(MSR_KERNEL_GS_BASE, gs_base);
		local_irq_restore(flags);
	}
}

/* Bring the guest's MSRs into the processor. Done once between load and put. */
static void guest_msrs(struct vmx_vcpu *vmx)
{
	struct cpu_msrs *msrs = this_cpu_ptr(&own);

	save_segments(&vmx->host);
	msrs->value[VMX_KERNEL_GS_BASE] = current->thread.gsbase;
	swap_msrs(msrs->value, vmx->msr);
	vmx->host.debugctl = 0;
	if (boot_cpu_has(X86_FEATURE_ARCH_PERFMON) || boot_cpu_has(X86_FEATURE_DS))
		rdmsrl(MSR_IA32_DEBUGCTLMSR, vmx->host.debugctl);
	vmx->guest_msrs = true;
}

/*
 * And out again. A VM exit also set the limits of GDTR and TR to the largest (SDM 28.5.2); the
 * kernel counts on both to keep user mode from what lies behind.
 */
static void host_msrs(struct vmx_vcpu *vmx)
{
	struct cpu_msrs *msrs = this_cpu_ptr(&own);

	if (!vmx->guest_msrs)
		return;
	/* SWAPGS changes it, no exit */
	vmx->msr[VMX_KERNEL_GS_BASE] = __rdmsr(MSR_KERNEL_GS_BASE);
	swap_msrs(vmx->msr, msrs->value);
	restore_segments(&vmx->host, msrs->value[VMX_KERNEL_GS_BASE]);
	load_fixmap_gdt(smp_processor_id());
	invalidate_tss_limit();
	vmx->guest_msrs = false;
}

void vmx_load(struct thv_vcpu *vcpu, int cpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	vmx_vmcs_load(vmx, cpu);
	vmx->flush_l1d = true;
}

void vmx_put(struct thv_vcpu *vcpu)
{
	host_msrs(to_vmx(vcpu));
}

/* Host fields the kernel may change at any time while interrupts are on (CVE-2014-3690) */
void vmx_host_fields(struct vmx_vcpu *vmx)
{
	unsigned long cr3 = __get_current_cr3_fast();
	unsigned long cr4 = cr4_read_shadow();
	u64 global_ctrl;

	if (vmx->host.cr3 != cr3) {
		vmx->host.cr3 = cr3;
		vmwrite(HOST_CR3, cr3);
	}
	if (vmx->host.cr4 != cr4) {
		vmx->host.cr4 = cr4;
		vmwrite(HOST_CR4, cr4);
	}
	if (!(vmx->entry & VM_ENTRY_LOAD_IA32_PERF_GLOBAL_CTRL))
		return;
	rdmsrl(MSR_CORE_PERF_GLOBAL_CTRL, global_ctrl);
	if (vmx->host.perf_global_ctrl != global_ctrl) {
		vmx->host.perf_global_ctrl = global_ctrl;
		vmwrite(HOST_IA32_PERF_GLOBAL_CTRL, global_ctrl);
	}
}

/* ---- speculation: what the host's own mitigation state asks for ---- */

#define L1D_SIZE	(64 << 10)	/* no affected processor has more than 48 KiB */

static u32 verw_flag;
static bool l1d_flush;
static void *l1d_pages;			/* where there is no IA32_FLUSH_CMD */

static bool l1tf_affected(void)
{
	u64 caps = 0;

	if (!boot_cpu_has_bug(X86_BUG_L1TF) || l1tf_mitigation == L1TF_MITIGATION_OFF)
		return false;
	if (boot_cpu_has(X86_FEATURE_ARCH_CAPABILITIES))
		rdmsrl(MSR_IA32_ARCH_CAPABILITIES, caps);
	return !(caps & ARCH_CAP_SKIP_VMENTRY_L1DFLUSH);
}

/**
 * vmx_mitigations_init - read the host's mitigation state.
 * Return: 0, or -ENOMEM.
 */
int vmx_mitigations_init(void)
{
	verw_flag = boot_cpu_has(X86_FEATURE_CLEAR_CPU_BUF) ||
		    boot_cpu_has(X86_FEATURE_CLEAR_CPU_BUF_VM) ||
		    static_key_enabled(&mmio_stale_data_clear.key) ? ENTER_VERW : 0;
	l1d_flush = l1tf_affected();
	if (!l1d_flush || boot_cpu_has(X86_FEATURE_FLUSH_L1D))
		return 0;
	l1d_pages = alloc_pages_exact(L1D_SIZE, GFP_KERNEL | __GFP_ZERO);
	return l1d_pages ? 0 : -ENOMEM;
}

void vmx_mitigations_exit(void)
{
	if (l1d_pages)
		free_pages_exact(l1d_pages, L1D_SIZE);
	l1d_pages = NULL;
}

/*
 * L1TF: a guest may read what is in L1D. Fill it with zeros: the pages first, so that no TLB miss
 * brings in a table.
 */
static void displace_l1d(void)
{
	const volatile u8 *p = l1d_pages;
	int i;

	for (i = 0; i < L1D_SIZE; i += PAGE_SIZE)
		p[i];
	for (i = 0; i < L1D_SIZE; i += 64)
		p[i];
}

/**
 * vmx_flush_l1d - leave nothing in L1D that the guest may not see (L1TF).
 * @vmx: the vCPU, whose flush_l1d says that host code has run: between two fast exits the host
 *	touches nothing but the vCPU's own state.
 */
void vmx_flush_l1d(struct vmx_vcpu *vmx)
{
	vmx->flush_l1d = false;
	if (!l1d_flush)
		return;
	if (l1d_pages)
		displace_l1d();
	else
		wrmsrl(MSR_IA32_FLUSH_CMD, L1D_FLUSH);
}

/*
 * IBRS of the first kind protects only from the moment it is written again. (The host's value
 * follows the task, not what happens with interrupts off.)
 */
static void choose_barriers(struct vmx_vcpu *vmx)
{
	bool spec_ctrl = boot_cpu_has(X86_FEATURE_MSR_SPEC_CTRL);

	vmx->host.spec_ctrl = spec_ctrl ? this_cpu_read(x86_spec_ctrl_current) : 0;
	vmx->barriers = verw_flag |
		(spec_ctrl && cpu_feature_enabled(X86_FEATURE_KERNEL_IBRS) ? ENTER_SPEC_CTRL : 0);
}

/**
 * vmx_prepare - what holds for all entries until interrupts are opened.
 * @vcpu: the vCPU.
 *
 * An NMI that comes meanwhile leaves CR3, CR4 and the counters as it found them.
 *
 * Context: interrupts off.
 */
void vmx_prepare(struct thv_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	if (!vmx->guest_msrs)
		guest_msrs(vmx);
	vmx_host_fields(vmx);
	choose_barriers(vmx);
}
