// SPDX-License-Identifier: GPL-2.0-only
/*
 * The local APIC with the processor's help (SDM chapter 30): it reads and writes the APIC's
 * register page for the guest and delivers interrupts out of it. Used whole or not at all
 * (vm->features); lapic.c works on the same page either way.
 *
 * In xAPIC mode the guest's accesses go to the APIC-access page, a page that nobody reads: its
 * address is what counts. In x2APIC mode they are MSRs, and the MSR bitmap says which need no exit;
 * the page is then memory to the guest, so each VM has one of its own.
 */
#include <linux/bitfield.h>
#include <linux/mm.h>
#include <asm/apicdef.h>
#include <asm/io.h>
#include "../debugger.h"
#include "../irq.h"
#include "vmx.h"

#define XAPIC	SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES
#define X2APIC	SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE
#define BOTH	(SECONDARY_EXEC_APIC_REGISTER_VIRT | SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY)

/*
 * x2APIC MSRs that may be written without an exit: TPR; EOI and self-IPI, which the processor
 * acts on (SDM 30.5)
 */
static const u32 direct_writes[] = { 0x808, 0x80b, 0x83f };

bool vmx_apicv(const struct thv_vcpu *vcpu)
{
	return thv_vcpu_virtual_interrupts(vcpu);
}

/* What is allocated here vm.c frees, after the tables */
int vmx_apicv_vm(struct thv_vm *vm)
{
	if (!(vm->features & THV_FEATURE_VIRTUAL_INTERRUPTS))
		return 0;
	vm->apic_access = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	if (!vm->apic_access)
		return -ENOMEM;
	return thv_memory_map_private(vm, APIC_DEFAULT_PHYS_BASE, vm->apic_access, true);
}

static void x2apic_bitmap(struct vmx_vcpu *vmx, bool on)
{
	u32 index;
	int i;

	for (index = 0x800; index <= 0x8ff; index++)
		vmx_msr_direct(vmx, index, on && thv_lapic_msr_direct(index), false);
	for (i = 0; on && i < ARRAY_SIZE(direct_writes); i++)
		vmx_msr_direct(vmx, direct_writes[i],
			       thv_lapic_msr_direct(direct_writes[i]), true);
}

static void write_eoi_exits(struct vmx_vcpu *vmx)
{
	int i;

	for (i = 0; i < 4; i++)
		vmwrite(EOI_EXIT_BITMAP0 + 2 * i, vmx->eoi_exit[i]);
}

static void update_eoi_exits(struct vmx_vcpu *vmx)
{
	if (thv_lapic_eoi_exit_bitmap(&vmx->vcpu.lapic, vmx->eoi_exit))
		write_eoi_exits(vmx);
}

/**
 * vmx_apic_changed - the APIC went to another mode (or is new).
 * @vcpu: the vCPU.
 *
 * Context: loaded. Without virtualization there is nothing to follow: MSRs exit and the page is
 * not there.
 */
void vmx_apic_changed(struct thv_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	bool x2apic = thv_lapic_is_x2apic(&vcpu->lapic);
	bool xapic = thv_lapic_is_xapic(&vcpu->lapic);

	if (!vmx_apicv(vcpu))
		return;
	vmwrite(VIRTUAL_APIC_PAGE_ADDR, thv_lapic_page_hpa(&vcpu->lapic));
	vmwrite(APIC_ACCESS_ADDR, page_to_phys(vcpu->vm->apic_access));
	vmwrite(TPR_THRESHOLD, 0);
	write_eoi_exits(vmx);
	vmx_set_cpu(vmx, (CPU_BASED_CR8_LOAD_EXITING | CPU_BASED_CR8_STORE_EXITING) & vmx_caps.cpu,
		    CPU_BASED_TPR_SHADOW);
	/* A disabled APIC keeps delivery on: its IRR stays empty (thv_lapic_highest_irr()) */
	vmx_set_cpu2(vmx, XAPIC | X2APIC, BOTH | (xapic ? XAPIC : 0) | (x2apic ? X2APIC : 0));
	x2apic_bitmap(vmx, x2apic);
	/* Translations of 0xfee00000 now mean another thing (SDM 30.4.5) */
	vmx_flush(vcpu, THV_FLUSH_SECOND);
	vcpu->look_for_events = true;
}

/* RVI and SVI: the processor keeps them up to date, but for what we put into the page ourselves */
void vmx_virtual_interrupts(struct thv_vcpu *vcpu, int irr, int isr)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	u16 status = max(irr, 0) | max(isr, 0) << 8;

	if (vmread(GUEST_INTR_STATUS) != status)
		vmwrite(GUEST_INTR_STATUS, status);
	update_eoi_exits(vmx);
}

/*
 * An access the processor does not virtualize (a register that cannot be read that way, a fetch,
 * ...): it has not been carried out. As everywhere, the launcher decodes it, and hands it back by
 * THV_APIC_ACCESS.
 */
enum thv_next vmx_exit_apic_access(struct vmx_vcpu *vmx)
{
	u64 qualification = vmread(EXIT_QUALIFICATION);
	u64 type = FIELD_GET(VMX_APIC_TYPE, qualification);
	struct thv_run *run = vmx->vcpu.run;

	if (type > 2)	/* neither read, write nor fetch: while an event was being delivered */
		return thv_exit_unsupported(&vmx->vcpu, THV_UNSUPPORTED_EVENT_MMIO, vmx->reason,
					    qualification, vmx->vectoring);
	thv_count(&vmx->vcpu, mmio);
	memset(&run->mmio, 0, sizeof(run->mmio));
	run->exit = THV_EXIT_MMIO;
	run->mmio.gpa = APIC_DEFAULT_PHYS_BASE + FIELD_GET(VMX_APIC_OFFSET, qualification);
	run->mmio.access = BIT(type);	/* the same order as THV_ACCESS_* */
	run->instruction_length = vmread(VM_EXIT_INSTRUCTION_LEN);
	trace_thv_mmio(&vmx->vcpu, run->mmio.gpa, 0, BIT(type), 0);
	vmx_get_context(&vmx->vcpu, &run->context);
	return THV_NEXT_USER;
}

/* The write has been carried out and RIP is past it (SDM 30.4.3.2): only its effect is missing */
enum thv_next vmx_exit_apic_write(struct vmx_vcpu *vmx)
{
	thv_apic_write_trap(&vmx->vcpu, vmread(EXIT_QUALIFICATION) & 0xfff);
	thv_debugger_completed(&vmx->vcpu);
	return THV_NEXT_RESUME;
}

enum thv_next vmx_exit_eoi(struct vmx_vcpu *vmx)
{
	thv_apic_eoi_induced(&vmx->vcpu, vmread(EXIT_QUALIFICATION));
	thv_debugger_completed(&vmx->vcpu);
	return THV_NEXT_RESUME;
}
