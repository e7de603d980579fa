// SPDX-License-Identifier: GPL-2.0-only
/*
 * A vCPU's state in the VMCS: in and out for THV_GET_STATE, the run page and the
 * exit handlers. RIP, RSP and RFLAGS are read once an exit, when first asked for.
 */
#include <linux/bitfield.h>
#include <asm/msr.h>
#include "../debugger.h"
#include "vmx.h"

void vmx_read_regs(struct thv_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	vmx_read_rip(vmx);
	if (vmx->rsp_read)
		return;
	vcpu->regs.gpr[THV_RSP] = vmread(GUEST_RSP);
	vmx->rsp_read = true;
}

/* The values go into the VMCS with the next entry. */
void vmx_write_regs(struct thv_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	vmx->rip_read = true;
	vmx->rsp_read = true;
	vmx->regs_dirty = VMX_DIRTY_RIP | VMX_DIRTY_RFLAGS | VMX_DIRTY_RSP;
}

u64 vmx_gpr(struct vmx_vcpu *vmx, unsigned int number)
{
	if (number == THV_RSP)
		vmx_read_regs(&vmx->vcpu);
	return vmx->vcpu.regs.gpr[number];
}

void vmx_set_gpr(struct vmx_vcpu *vmx, unsigned int number, u64 value)
{
	if (!vmx_long_mode(vmx))
		value = (u32)value;
	if (number == THV_RSP) {
		vmx_read_regs(&vmx->vcpu);
		vmx_write_regs(&vmx->vcpu);
	}
	vmx->vcpu.regs.gpr[number] = value;
}

/* Is 64-bit code running? */
bool vmx_long_mode(struct vmx_vcpu *vmx)
{
	return (vmx->vcpu.efer & EFER_LMA) && (vmread(GUEST_CS_AR_BYTES) & THV_SEG_L);
}

/* The DPL of SS is the CPL in every mode (SDM 25.4.1) */
u32 vmx_cpl(void)
{
	return FIELD_GET(THV_SEG_DPL, vmread(GUEST_SS_AR_BYTES));
}

void vmx_set_interruptibility(struct vmx_vcpu *vmx, u32 value)
{
	if (value == vmx_interruptibility(vmx))
		return;
	vmx->interruptibility = value;
	vmwrite(GUEST_INTERRUPTIBILITY_INFO, value);
}

/*
 * The length is defined for exits that an instruction causes (SDM 28.2.5), and the table of exits
 * lets only those come here, with one exception: EPT violations of doorbells. There the SDM
 * promises nothing, but every processor tells it, and the memory doorbells of other hypervisors
 * count on that. A hypervisor below us might not.
 */
static u32 instruction_length(struct vmx_vcpu *vmx)
{
	u32 length = vmread(VM_EXIT_INSTRUCTION_LEN);

	if (vmx->reason == EXIT_REASON_EPT_VIOLATION &&
	    (boot_cpu_has(X86_FEATURE_HYPERVISOR) || vmx->vectoring & VECTORING_INFO_VALID_MASK))
		return 0;
	return length <= 15 ? length : 0;
}

/* What seldom has to be done past an instruction: see vmx_advance() */
void vmx_after_instruction(struct vmx_vcpu *vmx)
{
	struct thv_regs *regs = &vmx->vcpu.regs;

	/* Outside 64-bit mode EIP wraps; seldom enough to look only then */
	if (!vmx_long_mode(vmx))
		regs->rip = (u32)regs->rip;
	vmx_set_interruptibility(vmx, vmx_interruptibility(vmx) & ~(THV_BLOCK_STI | THV_BLOCK_MOVSS));
	/* RFLAGS.RF ends with the instruction that it was for (SDM 18.3.1.1) */
	if (regs->rflags & X86_EFLAGS_RF) {
		regs->rflags &= ~X86_EFLAGS_RF;
		vmx->regs_dirty |= VMX_DIRTY_RFLAGS;
	}
	if (regs->rflags & X86_EFLAGS_TF)
		thv_raise_db(&vmx->vcpu, DR_STEP);
}

bool vmx_skip(struct thv_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	u32 length = instruction_length(vmx);

	if (length)
		vmx_advance(vmx, length);
	return length;
}

/* ---- segments ---- */

/*
 * Base, limit, access rights and selector of segment @id lie at a fixed distance from those of ES
 */
#define SEGMENT(field, id)	(GUEST_ES_##field + 2 * (id))

static void get_segment(struct thv_segment *segment, int id)
{
	u32 attributes = vmread(SEGMENT(AR_BYTES, id));

	segment->base = vmread(SEGMENT(BASE, id));
	segment->limit = vmread(SEGMENT(LIMIT, id));
	segment->selector = vmread(SEGMENT(SELECTOR, id));
	segment->attributes = attributes;
}

static void set_segment(const struct thv_segment *segment, int id)
{
	vmwrite(SEGMENT(BASE, id), segment->base);
	vmwrite(SEGMENT(LIMIT, id), segment->limit);
	vmwrite(SEGMENT(SELECTOR, id), segment->selector);
	vmwrite(SEGMENT(AR_BYTES, id), segment->attributes);
}

static void get_table(struct thv_table *table, unsigned long base, unsigned long limit)
{
	table->base = vmread(base);
	table->limit = vmread(limit);
}

void vmx_get_sregs(struct thv_vcpu *vcpu, struct thv_sregs *sregs)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	int i;

	memset(sregs, 0, sizeof(*sregs));
	for (i = 0; i < THV_SEGMENTS; i++)
		get_segment(&sregs->seg[i], i);
	get_table(&sregs->gdt, GUEST_GDTR_BASE, GUEST_GDTR_LIMIT);
	get_table(&sregs->idt, GUEST_IDTR_BASE, GUEST_IDTR_LIMIT);
	sregs->cr0 = vmx_cr0(vmx);
	sregs->cr2 = vcpu->cr2;
	sregs->cr3 = vmx_cr3(vmx);
	sregs->cr4 = vmx_cr4(vmx);
	sregs->cr8 = thv_lapic_get_cr8(&vcpu->lapic);
	sregs->efer = vcpu->efer;
	vmx_get_pdptrs(vmx, sregs->pdptr);
	sregs->flags = THV_SREGS_PDPTR;
}

/*
 * The values have been checked. CR3 comes after the modes, which decide where it is kept, and after
 * the PDPTEs, which with it lead to the shadow tables.
 */
int vmx_set_sregs(struct thv_vcpu *vcpu, const struct thv_sregs *sregs)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	u64 pdptr[4];
	int i;

	memcpy(pdptr, sregs->pdptr, sizeof(pdptr));
	if (!(sregs->flags & THV_SREGS_PDPTR))
		thv_load_pdptrs(vcpu, sregs->cr3, pdptr);
	vmx_set_pdptrs(vmx, pdptr);
	for (i = 0; i < THV_SEGMENTS; i++)
		set_segment(&sregs->seg[i], i);
	vmwrite(GUEST_GDTR_BASE, sregs->gdt.base);
	vmwrite(GUEST_GDTR_LIMIT, sregs->gdt.limit);
	vmwrite(GUEST_IDTR_BASE, sregs->idt.base);
	vmwrite(GUEST_IDTR_LIMIT, sregs->idt.limit);
	vcpu->cr2 = sregs->cr2;
	vcpu->cr0 = sregs->cr0;
	vcpu->cr4 = sregs->cr4;
	vmx->vcpu.efer = sregs->efer;
	vmx_set_cr0(vmx, sregs->cr0);
	vmx_set_cr3(vmx, sregs->cr3);
	thv_lapic_set_cr8(&vcpu->lapic, sregs->cr8);
	if (vmx_shadows(vmx))
		thv_shadow_distrust(vcpu);
	vmx_guest_flush(vmx);
	return 0;
}

static u32 bits_of(u32 attributes)
{
	return attributes & THV_SEG_DB ? 32 : 16;
}

/* Of CS and SS: the modes of code and stack */
static void get_widths(struct thv_exit_context *context)
{
	u32 cs = vmread(GUEST_CS_AR_BYTES), ss = vmread(GUEST_SS_AR_BYTES);
	bool long_mode = (context->efer & EFER_LMA) && (cs & THV_SEG_L);

	context->cpl = FIELD_GET(THV_SEG_DPL, ss);
	context->code_bits = long_mode ? 64 : bits_of(cs);
	context->stack_bits = long_mode ? 64 : bits_of(ss);
}

void vmx_get_context(struct thv_vcpu *vcpu, struct thv_exit_context *context)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	int i;

	context->cr0 = vmx_cr0(vmx);
	context->cr3 = vmx_cr3(vmx);
	context->cr4 = vmx_cr4(vmx);
	context->efer = vcpu->efer;
	get_widths(context);
	/* In 64-bit mode the others count as 0 (SDM 3.4.4) */
	for (i = 0; i < ARRAY_SIZE(context->seg_base); i++)
		context->seg_base[i] = context->code_bits == 64 && i < THV_FS ? 0 :
				       vmread(SEGMENT(BASE, i));
	if ((context->cr4 & X86_CR4_PAE) && !(vcpu->efer & EFER_LMA))
		vmx_get_pdptrs(vmx, context->pdptr);
	else
		memset(context->pdptr, 0, sizeof(context->pdptr));
	context->reserved = 0;
}

/* ---- MSRs ---- */

/* MSRs whose guest value is a VMCS field */
static const struct {
	u32 index;
	u32 field;
} msr_fields[] = {
	{ MSR_FS_BASE, GUEST_FS_BASE },
	{ MSR_GS_BASE, GUEST_GS_BASE },
	{ MSR_IA32_SYSENTER_CS, GUEST_SYSENTER_CS },
	{ MSR_IA32_SYSENTER_ESP, GUEST_SYSENTER_ESP },
	{ MSR_IA32_SYSENTER_EIP, GUEST_SYSENTER_EIP },
	{ MSR_IA32_CR_PAT, GUEST_IA32_PAT },
	{ MSR_IA32_DEBUGCTLMSR, GUEST_IA32_DEBUGCTL },
};

static u32 msr_field(u32 index)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(msr_fields); i++)
		if (msr_fields[i].index == index)
			return msr_fields[i].field;
	return 0;
}

int vmx_get_msr(struct thv_vcpu *vcpu, u32 index, u64 *value)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	int i = vmx_switched_index(index);

	if (i == VMX_KERNEL_GS_BASE && vmx->guest_msrs)
		rdmsrl(MSR_KERNEL_GS_BASE, *value);
	else if (i >= 0)
		*value = vmx->msr[i];
	else if (index == MSR_EFER)
		*value = vcpu->efer;
	else if (index == MSR_IA32_CR_PAT && vmx_shadows(vmx))
		*value = vmx->guest_pat;
	else if (msr_field(index))
		*value = vmread(msr_field(index));
	else
		return -EINVAL;
	return 0;
}

/* The values have been checked (msr.c). */
int vmx_set_msr(struct thv_vcpu *vcpu, u32 index, u64 value)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	int i = vmx_switched_index(index);

	if (i >= 0) {
		vmx_set_switched(vmx, i, value);
	} else if (index == MSR_EFER) {
		vmx_set_efer(vmx, value);
	} else if (index == MSR_IA32_CR_PAT && vmx_shadows(vmx)) {
		/* Shadow tables choose memory types by the first entry: write-back, always */
		vmx->guest_pat = value;
	} else if (msr_field(index)) {
		vmwrite(msr_field(index), value);
	} else {
		return -EINVAL;
	}
	return 0;
}
