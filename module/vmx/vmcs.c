// SPDX-License-Identifier: GPL-2.0-only
/*
 * The VM control structure of a vCPU: its life on this CPU and that, and the
 * values it starts with. Fields that change while the guest runs belong to
 * the file that changes them.
 *
 * A VMCS is active on one CPU at most, and may live in that CPU's caches in a form of its own until
 * VMCLEAR there writes it back (SDM 25.1). So each CPU keeps a list of what is active on it.
 */
#include <linux/smp.h>
#include <asm/cpu_entry_area.h>
#include <asm/desc.h>
#include <asm/msr.h>
#include "entry.h"
#include "fields.h"
#include "vmx.h"

#define SAME_AS_KERNEL(symbol, encoding, name)	(symbol) == (encoding) &&
#define NOT_IN_KERNEL(symbol, encoding, name)
static_assert(VMX_FIELDS(SAME_AS_KERNEL, NOT_IN_KERNEL) true, "fields.h differs from asm/vmx.h");
#undef SAME_AS_KERNEL
#undef NOT_IN_KERNEL

static DEFINE_PER_CPU(struct list_head, active);
static DEFINE_PER_CPU(struct vmx_vcpu *, current_vmcs);

static void vmclear(u64 pa)
{
	asm volatile("1: vmclear %0\n2:\n" _ASM_EXTABLE(1b, 2b)
		     : : "m" (pa) : "cc", "memory");
}

static void vmptrld(u64 pa)
{
	asm volatile("1: vmptrld %0\n2:\n" _ASM_EXTABLE(1b, 2b)
		     : : "m" (pa) : "cc", "memory");
}

/* On the CPU where it is active, interrupts off. */
static void clear_here(void *arg)
{
	struct vmx_vcpu *vmx = arg;

	if (vmx->vmcs_cpu != smp_processor_id())
		return;		/* that CPU went off line meanwhile and has done it */
	vmclear(vmx->vmcs_pa);
	if (this_cpu_read(current_vmcs) == vmx)
		this_cpu_write(current_vmcs, NULL);
	list_del(&vmx->active);
	vmx->vmcs_cpu = -1;
	vmx->launched = false;
}

static void clear_anywhere(struct vmx_vcpu *vmx)
{
	int cpu = READ_ONCE(vmx->vmcs_cpu);

	/* -ENXIO: off line, and vmx_vmcs_forget() was there before us */
	if (cpu >= 0)
		smp_call_function_single(cpu, clear_here, vmx, 1);
}

/* This CPU leaves root mode: interrupts off; also from a crash, hence no locks. */
void vmx_vmcs_forget(void)
{
	struct list_head *list = this_cpu_ptr(&active);
	struct vmx_vcpu *vmx, *next;

	if (!list->next)
		return;
	list_for_each_entry_safe(vmx, next, list, active)
		clear_here(vmx);
}

static void make_active(struct vmx_vcpu *vmx, int cpu)
{
	struct list_head *list = this_cpu_ptr(&active);
	unsigned long flags;

	local_irq_save(flags);	/* clear_here() comes by interrupt */
	if (!list->next)
		INIT_LIST_HEAD(list);
	list_add(&vmx->active, list);
	vmx->vmcs_cpu = cpu;
	local_irq_restore(flags);
}

/**
 * vmx_vmcs_load - make a vCPU's VMCS the current one of this CPU.
 * @vmx: the vCPU.
 * @cpu: this CPU.
 *
 * Context: preemption off.
 */
void vmx_vmcs_load(struct vmx_vcpu *vmx, int cpu)
{
	bool moved = vmx->vmcs_cpu != cpu;

	if (moved) {
		clear_anywhere(vmx);
		make_active(vmx, cpu);
	}
	if (moved || this_cpu_read(current_vmcs) != vmx) {
		vmptrld(vmx->vmcs_pa);
		this_cpu_write(current_vmcs, vmx);
		/* What another guest taught the branch predictors must not steer this one */
		indirect_branch_prediction_barrier();
	}
	if (moved)
		vmx_vmcs_host_cpu(cpu);
}

int vmx_vmcs_create(struct vmx_vcpu *vmx)
{
	vmx->vmcs_cpu = -1;
	memset(&vmx->host, 0xff, sizeof(vmx->host));	/* nothing of the host is in there yet */
	vmx->vmcs = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!vmx->vmcs)
		return -ENOMEM;
	vmx->vmcs_pa = __pa(vmx->vmcs);
	*(u32 *)vmx->vmcs = vmx_caps.revision;
	vmx->msr_bitmap = (void *)__get_free_page(GFP_KERNEL_ACCOUNT);
	if (!vmx->msr_bitmap) {
		free_page((unsigned long)vmx->vmcs);
		return -ENOMEM;
	}
	memset(vmx->msr_bitmap, 0xff, PAGE_SIZE);	/* every MSR exits */
	return 0;
}

void vmx_vmcs_destroy(struct vmx_vcpu *vmx)
{
	clear_anywhere(vmx);
	free_page((unsigned long)vmx->msr_bitmap);
	free_page((unsigned long)vmx->vmcs);
}

/* The bitmap's four parts of 1 KiB: reads low, reads high, writes low, writes high (SDM 25.6.9) */
void vmx_msr_direct(struct vmx_vcpu *vmx, u32 index, bool read, bool write)
{
	unsigned long *bitmap = vmx->msr_bitmap;
	u32 bit = index & 0x1fff;

	if (index >= 0xc0000000)
		bit += 0x2000;
	if (read)
		__clear_bit(bit, bitmap);
	else
		__set_bit(bit, bitmap);
	if (write)
		__clear_bit(bit + 0x4000, bitmap);
	else
		__set_bit(bit + 0x4000, bitmap);
}

static void allow(void *arg, u32 index, bool read, bool write)
{
	vmx_msr_direct(arg, index, read, write);
}

static void change(u32 *cached, unsigned long field, u32 clear, u32 set)
{
	u32 value = (*cached & ~clear) | set;

	if (value == *cached)
		return;
	*cached = value;
	vmwrite(field, value);
}

void vmx_set_cpu(struct vmx_vcpu *vmx, u32 clear, u32 set)
{
	change(&vmx->cpu, CPU_BASED_VM_EXEC_CONTROL, clear, set);
}

void vmx_set_cpu2(struct vmx_vcpu *vmx, u32 clear, u32 set)
{
	change(&vmx->cpu2, SECONDARY_VM_EXEC_CONTROL, clear, set);
}

void vmx_set_entry(struct vmx_vcpu *vmx, u32 clear, u32 set)
{
	change(&vmx->entry, VM_ENTRY_CONTROLS, clear, set);
}

/* Host fields that are the same for as long as the VMCS stays on this CPU (SDM 27.2.2, 27.2.3) */
void vmx_vmcs_host_cpu(int cpu)
{
	struct desc_ptr idt;
	u64 value;

	store_idt(&idt);
	vmwrite(HOST_IDTR_BASE, idt.address);
	vmwrite(HOST_GDTR_BASE, (unsigned long)get_current_gdt_ro());
	vmwrite(HOST_TR_BASE, (unsigned long)&get_cpu_entry_area(cpu)->tss.x86_tss);
	rdmsrl(MSR_GS_BASE, value);
	vmwrite(HOST_GS_BASE, value);
	rdmsrl(MSR_IA32_SYSENTER_ESP, value);
	vmwrite(HOST_IA32_SYSENTER_ESP, value);
}

/* ... and those that never change */
static void setup_host(void)
{
	u64 value;

	vmwrite(HOST_CR0, read_cr0());
	vmwrite(HOST_CS_SELECTOR, __KERNEL_CS);
	vmwrite(HOST_SS_SELECTOR, __KERNEL_DS);
	/* User selectors have RPL 3, which is refused here (SDM 27.2.3): vmx_put() restores them */
	vmwrite(HOST_DS_SELECTOR, 0);
	vmwrite(HOST_ES_SELECTOR, 0);
	vmwrite(HOST_FS_SELECTOR, 0);
	vmwrite(HOST_GS_SELECTOR, 0);
	vmwrite(HOST_TR_SELECTOR, GDT_ENTRY_TSS * 8);
	vmwrite(HOST_RIP, (unsigned long)thv_vmx_exit);
	rdmsrl(MSR_IA32_SYSENTER_CS, value);
	vmwrite(HOST_IA32_SYSENTER_CS, value);
	rdmsrl(MSR_IA32_SYSENTER_EIP, value);
	vmwrite(HOST_IA32_SYSENTER_EIP, value);
	if (vmx_has_pat()) {
		rdmsrl(MSR_IA32_CR_PAT, value);
		vmwrite(HOST_IA32_PAT, value);
	}
	if (vmx_has_efer()) {
		rdmsrl(MSR_EFER, value);
		vmwrite(HOST_IA32_EFER, value);
	}
}

/* Stop the host's counters, PEBS among them, while the guest runs: both controls or none */
static u32 with_perf(u32 control, u32 may, u32 perf)
{
	bool both = (vmx_caps.exit_may & VM_EXIT_LOAD_IA32_PERF_GLOBAL_CTRL) &&
		    (vmx_caps.entry_may & VM_ENTRY_LOAD_IA32_PERF_GLOBAL_CTRL);

	return both && boot_cpu_has(X86_FEATURE_ARCH_PERFMON) ? control | (may & perf) : control;
}

static u32 secondary(struct vmx_vcpu *vmx)
{
	u64 features = vmx->vcpu.vm->features;
	u32 control = vmx_caps.cpu2;

	if (features & THV_FEATURE_EPT)
		control |= SECONDARY_EXEC_ENABLE_EPT;
	if (features & THV_FEATURE_UNRESTRICTED)
		control |= SECONDARY_EXEC_UNRESTRICTED_GUEST;
	if (vmx->vpid)
		control |= SECONDARY_EXEC_ENABLE_VPID;
	if (vmx->pml)
		control |= SECONDARY_EXEC_ENABLE_PML;
	if (features & THV_FEATURE_PAUSE_LOOP)
		control |= SECONDARY_EXEC_PAUSE_LOOP_EXITING;
	if (features & THV_FEATURE_RDTSCP)
		control |= SECONDARY_EXEC_ENABLE_RDTSCP;
	if (features & THV_FEATURE_INVPCID)
		control |= SECONDARY_EXEC_ENABLE_INVPCID;
	return control;
}

/* Every page fault may be one of ours, and whatever changes or flushes translations is the module's */
#define SHADOW_EXITING (CPU_BASED_INVLPG_EXITING | CPU_BASED_CR3_LOAD_EXITING | \
			CPU_BASED_CR3_STORE_EXITING)

static u32 primary(struct vmx_vcpu *vmx)
{
	return vmx_caps.cpu | (vmx_shadows(vmx) ? SHADOW_EXITING : 0);
}

void vmx_set_exceptions(struct vmx_vcpu *vmx, u32 more)
{
	vmwrite(EXCEPTION_BITMAP, VMX_ALWAYS_INTERCEPTED | more |
				  (vmx_shadows(vmx) ? BIT(X86_TRAP_PF) : 0));
}

void vmx_set_root(struct thv_vcpu *vcpu, u64 root)
{
	vmwrite(GUEST_CR3, root);
}

/*
 * In ticks of the time-stamp counter (SDM 26.1.3): PAUSEs that are no further apart than the gap are one
 * loop, and a loop that lasts longer than the window is an exit. A PAUSE takes up to 140 on recent
 * processors, a spin lock is held for less than the window; an exit costs about half of it.
 */
#define LOOP_GAP	256
#define LOOP_WINDOW	4096

static void setup_controls(struct vmx_vcpu *vmx)
{
	vmx->cpu = primary(vmx);
	vmx->cpu2 = secondary(vmx);
	vmx->entry = with_perf(vmx_caps.entry, vmx_caps.entry_may,
			       VM_ENTRY_LOAD_IA32_PERF_GLOBAL_CTRL);
	vmwrite(PIN_BASED_VM_EXEC_CONTROL, vmx_caps.pin);
	if (vmx_caps.turn)
		vmwrite(VMX_PREEMPTION_TIMER_VALUE, vmx_caps.turn);
	vmwrite(CPU_BASED_VM_EXEC_CONTROL, vmx->cpu);
	vmwrite(SECONDARY_VM_EXEC_CONTROL, vmx->cpu2);
	vmwrite(VM_ENTRY_CONTROLS, vmx->entry);
	vmwrite(VM_EXIT_CONTROLS, with_perf(vmx_caps.exit, vmx_caps.exit_may,
					    VM_EXIT_LOAD_IA32_PERF_GLOBAL_CTRL));
	vmx_set_exceptions(vmx, 0);
	vmwrite(PAGE_FAULT_ERROR_CODE_MASK, 0);
	vmwrite(PAGE_FAULT_ERROR_CODE_MATCH, 0);
	vmwrite(CR3_TARGET_COUNT, 0);
	vmwrite(VM_EXIT_MSR_STORE_COUNT, 0);
	vmwrite(VM_EXIT_MSR_LOAD_COUNT, 0);
	vmwrite(VM_ENTRY_MSR_LOAD_COUNT, 0);
	vmwrite(VM_ENTRY_INTR_INFO_FIELD, 0);
	vmwrite(MSR_BITMAP, __pa(vmx->msr_bitmap));
	if (vmx->cpu2 & SECONDARY_EXEC_ENABLE_EPT)
		vmwrite(EPT_POINTER, thv_memory_ept_pointer(vmx->vcpu.vm));
	if (vmx->vpid)
		vmwrite(VIRTUAL_PROCESSOR_ID, vmx->vpid);
	vmx_pml_setup(vmx);
	if (vmx->cpu2 & SECONDARY_EXEC_PAUSE_LOOP_EXITING) {
		vmwrite(PLE_GAP, LOOP_GAP);
		vmwrite(PLE_WINDOW, LOOP_WINDOW);
	}
	if (vmx->cpu2 & SECONDARY_EXEC_ENCLS_EXITING)
		vmwrite(ENCLS_EXITING_BITMAP, ~0ULL);
	vmx_cr_masks(vmx);
}

/* IA32_PAT at power-up: WB, WT, UC-, UC, twice (SDM 12.12.4) */
#define PAT_AT_RESET	0x0007040600070406ULL

/* Guest fields that the reset of the vCPU leaves to us */
static void setup_guest(struct vmx_vcpu *vmx)
{
	vmwrite(VMCS_LINK_POINTER, ~0ULL);
	vmwrite(GUEST_ACTIVITY_STATE, GUEST_ACTIVITY_ACTIVE);
	vmwrite(GUEST_INTERRUPTIBILITY_INFO, 0);
	vmwrite(GUEST_PENDING_DBG_EXCEPTIONS, 0);
	vmwrite(GUEST_IA32_DEBUGCTL, 0);
	vmx->guest_pat = PAT_AT_RESET;
	if (vmx_has_pat())
		vmwrite(GUEST_IA32_PAT, PAT_AT_RESET);
	vmwrite(GUEST_SYSENTER_CS, 0);
	vmwrite(GUEST_SYSENTER_ESP, 0);
	vmwrite(GUEST_SYSENTER_EIP, 0);
	if (vmx_caps.entry_may & VM_ENTRY_LOAD_IA32_PERF_GLOBAL_CTRL)
		vmwrite(GUEST_IA32_PERF_GLOBAL_CTRL, 0);
}

/**
 * vmx_vmcs_setup - give every field of a new VMCS its first value.
 * @vmx: loaded. Control registers, segments and MSRs follow from the vCPU's reset.
 */
void vmx_vmcs_setup(struct vmx_vcpu *vmx)
{
	thv_msr_direct(allow, vmx);
	setup_controls(vmx);
	setup_host();
	setup_guest(vmx);
}
