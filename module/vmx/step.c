// SPDX-License-Identifier: GPL-2.0-only
/*
 * One step without the monitor trap flag: out of a window and a shadow.
 *
 * "NMI-window exiting" makes the guest exit before an instruction unless NMIs are blocked (SDM
 * 26.2), and blocking by MOV SS blocks them for one instruction (SDM 6.8.3). So a guest that is
 * entered with both carries out one instruction and exits; one that is entered with an event
 * to deliver, and no shadow, exits before its handler's first. Nothing of that is in the
 * guest's registers, as RFLAGS.TF would be.
 *
 * What an exit brings back that came before the instruction was over still has the shadow. It is
 * replaced by the guest's own then.
 *
 * Not as good as the monitor trap flag: an STI makes a shadow of its own, so that the next instruction
 * belongs to the step. (A MOV SS need not: of several in a row only the first counts.) And while NMIs
 * are blocked already, in the handler of one, the window opens with its IRET.
 */
#include <asm/msr-index.h>
#include "../debugger.h"
#include "vmx.h"

/* VM entry wants to see the guest's own trap pending where it has RFLAGS.TF (SDM 27.3.1.5) */
static void expect_own_trap(struct vmx_vcpu *vmx)
{
	vmx_read_regs(&vmx->vcpu);
	if ((vmx->vcpu.regs.rflags & X86_EFLAGS_TF) &&
	    !(vmread(GUEST_IA32_DEBUGCTL) & DEBUGCTLMSR_BTF))
		vmwrite(GUEST_PENDING_DBG_EXCEPTIONS, vmx->step_pending | VMX_PENDING_BS);
}

/* Directly before an entry, of a vCPU for which vmx_steps_by_window() is true */
void vmx_step_before(struct vmx_vcpu *vmx)
{
	u32 own = vmx_interruptibility(vmx);

	vmx_set_cpu(vmx, 0, CPU_BASED_NMI_WINDOW_EXITING);
	vmx->step_shadow = !(vmread(VM_ENTRY_INTR_INFO_FIELD) & INTR_INFO_VALID_MASK);
	if (!vmx->step_shadow)
		return;
	vmx->step_own = own & (THV_BLOCK_STI | THV_BLOCK_MOVSS);
	vmx->step_pending = vmread(GUEST_PENDING_DBG_EXCEPTIONS);
	vmx_set_interruptibility(vmx, (own & ~THV_BLOCK_STI) | THV_BLOCK_MOVSS);
	expect_own_trap(vmx);
}

/* Directly after the exit */
void vmx_step_after(struct vmx_vcpu *vmx)
{
	u32 now = vmx_interruptibility(vmx);

	if (!vmx->step_shadow)
		return;
	vmx->step_shadow = false;
	if (!(now & THV_BLOCK_MOVSS))
		return;
	vmx_set_interruptibility(vmx, (now & ~THV_BLOCK_MOVSS) | vmx->step_own);
	vmwrite(GUEST_PENDING_DBG_EXCEPTIONS, vmx->step_pending);
}
