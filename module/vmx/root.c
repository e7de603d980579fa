// SPDX-License-Identifier: GPL-2.0-only
/*
 * In and out of VMX root mode on one CPU. cpu.c says when; here is how (SDM 24.7).
 */
#define pr_fmt(fmt) "thv: " fmt

#include <linux/percpu.h>
#include <linux/slab.h>
#include <linux/perf_event.h>
#include <asm/msr.h>
#include <asm/special_insns.h>
#include <asm/tlbflush.h>
#include "vmx.h"

/* VMXON's region, a page a CPU: the processor keeps state there while it is in VMX operation. */
static DEFINE_PER_CPU(void *, vmxon_region);

void vmx_field_error(unsigned long field)
{
	WARN_ONCE(1, "thv: VMCS field %#lx: error %llu\n", field, vmread(VM_INSTRUCTION_ERROR));
}

/* Is this CPU's VMX operation switched on already, by somebody else? */
bool vmx_claimed(void)
{
	return native_read_cr4() & X86_CR4_VMXE;
}

static int vmxon(u64 region)
{
	asm goto("1: vmxon %[region]\n"
			  "	jbe %l[failed]\n"
			  _ASM_EXTABLE(1b, %l[failed])
			  : : [region] "m" (region) : "cc", "memory" : failed);
	return 0;
failed:
	return -EIO;
}

static void vmxoff(void)
{
	asm volatile("1: vmxoff\n2:\n" _ASM_EXTABLE(1b, 2b) : : : "cc", "memory");
}

/**
 * vmx_cpu_on - this CPU enters VMX operation.
 * Context: on that CPU, interrupts off.
 * Return: 0; -EBUSY, CR4.VMXE is set: someone else is there; -EIO, VMXON failed.
 */
int vmx_cpu_on(void)
{
	int err;

	if (vmx_claimed())
		return -EBUSY;
	/* Processor trace and VMX operation exclude each other on older models (SDM A.6, bit 14) */
	intel_pt_handle_vmx(1);
	cr4_set_bits(X86_CR4_VMXE);
	err = vmxon(__pa(this_cpu_read(vmxon_region)));
	if (err) {
		cr4_clear_bits(X86_CR4_VMXE);
		intel_pt_handle_vmx(0);
		return err;
	}
	vmx_tlb_cpu_on();
	vmx_switch_cpu_on();
	return 0;
}

/* This CPU leaves VMX operation. On that CPU, interrupts off. */
void vmx_cpu_off(void)
{
	vmx_vmcs_forget();
	vmxoff();
	cr4_clear_bits(X86_CR4_VMXE);
	intel_pt_handle_vmx(0);
}

/*
 * The machine crashes or reboots: INIT is blocked in VMX operation (SDM 24.8), so it must end.
 * The active VMCSs are cleared first: the processor may write them back to memory at any time,
 * also to where the next kernel lives.
 */
void vmx_emergency_off(void)
{
	if (!vmx_claimed())
		return;
	vmx_vmcs_forget();
	vmxoff();
	cr4_clear_bits(X86_CR4_VMXE);
}

static void free_regions(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		free_page((unsigned long)per_cpu(vmxon_region, cpu));
		per_cpu(vmxon_region, cpu) = NULL;
	}
}

int vmx_root_init(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		struct page *page = alloc_pages_node(cpu_to_node(cpu), GFP_KERNEL | __GFP_ZERO, 0);

		if (!page) {
			free_regions();
			return -ENOMEM;
		}
		per_cpu(vmxon_region, cpu) = page_address(page);
		*(u32 *)page_address(page) = vmx_caps.revision;
	}
	return 0;
}

void vmx_root_exit(void)
{
	free_regions();
}
