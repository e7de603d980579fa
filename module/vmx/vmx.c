// SPDX-License-Identifier: GPL-2.0-only
/*
 * Intel VMX behind the vendor boundary: the table of operations, and one entry into
 * the guest. Read entry.S beside it, then exits.c.
 */
#include <asm/fpu/api.h>
#include "../debugger.h"
#include "entry.h"
#include "fields.h"
#include "reasons.h"
#include "vmx.h"

static int probe(void)
{
	int err = vmx_caps_probe();

	if (err)
		return err;
	err = vmx_mitigations_init();
	if (err)
		return err;
	err = vmx_identity_init();
	if (err)
		goto mitigations;
	err = vmx_root_init();
	if (err)
		goto identity;
	err = vmx_tlb_init();
	if (err)
		goto root;
	return 0;

root:
	vmx_root_exit();
identity:
	vmx_identity_exit();
mitigations:
	vmx_mitigations_exit();
	return err;
}

static void remove(void)
{
	vmx_tlb_exit();
	vmx_root_exit();
	vmx_identity_exit();
	vmx_mitigations_exit();
}

static int vcpu_create(struct thv_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	int err = vmx_vpid_alloc(vmx);

	if (err)
		return err;
	err = vmx_pml_create(vmx);
	if (err)
		goto vpid;
	err = vmx_vmcs_create(vmx);
	if (err)
		goto pml;
	vmx->fresh = true;
	return 0;

pml:
	vmx_pml_destroy(vmx);
vpid:
	vmx_vpid_free(vmx);
	return err;
}

static void vcpu_destroy(struct thv_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	vmx_vmcs_destroy(vmx);
	vmx_pml_destroy(vmx);
	vmx_vpid_free(vmx);
}

static void load(struct thv_vcpu *vcpu, int cpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	vmx_load(vcpu, cpu);
	if (vmx->fresh) {
		vmx->fresh = false;
		vmx_vmcs_setup(vmx);
	}
}

static int vm_create(struct thv_vm *vm)
{
	return vmx_identity_map(vm) ?: vmx_apicv_vm(vm);
}

/* ---- one entry, one exit ---- */

/* An event goes into one entry; the processor clears the valid bit when it exits (SDM 28.2.4). */
static void forget_exit(struct vmx_vcpu *vmx)
{
	vmx->rip_read = false;
	vmx->rsp_read = false;
	vmx->interruptibility_read = false;
}

/* Without unrestricted guest CR0.PE has to be 1, and real mode cannot be had (cr.c) */
static bool real_mode_without_help(const struct vmx_vcpu *vmx)
{
	return !((vmx->vcpu.cr0 & X86_CR0_PE) ||
		 (vmx->cpu2 & SECONDARY_EXEC_UNRESTRICTED_GUEST));
}

/* What cannot wait until interrupts are on */
static __always_inline void after_exit(struct vmx_vcpu *vmx)
{
	if (unlikely(vmx->reason & VMX_EXIT_REASONS_FAILED_VMENTRY))
		return vmx_entry_failed(vmx);
	vmx->launched = true;
	if (vmx->reason == EXIT_REASON_EXCEPTION_NMI)
		vmx_host_event();
}

/*
 * The preemption timer, for the guest's TSC deadline. Rounded up: not before its time. It counts from
 * the entry, a little later than now; at 0 the exit comes before any instruction (SDM 26.5.1).
 */
static void write_timer(struct vmx_vcpu *vmx)
{
	u64 ticks = thv_lapic_ticks_left(&vmx->vcpu.lapic);

	ticks = DIV_ROUND_UP_ULL(ticks, 1ULL << (vmx_caps.misc & VMX_TIMER_RATE));
	vmwrite(VMX_PREEMPTION_TIMER_VALUE, min_t(u64, ticks, vmx_caps.turn));
}

/* ENTER_* for an entry */
static __always_inline u32 flags_of(const struct vmx_vcpu *vmx)
{
	return vmx->barriers | (vmx->launched ? ENTER_RESUME : 0) |
	       (vmx->vcpu.msr.spec_ctrl != vmx->host.spec_ctrl ? ENTER_SPEC_CTRL : 0);
}

/**
 * enter - run the guest until it exits.
 * @vcpu: the vCPU.
 *
 * CR2 is in no VMCS field: it is the guest's from here to there. The exit's reason is read at
 * once, everything else when a handler asks.
 */
static void enter(struct thv_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	bool failed;

	if (unlikely(real_mode_without_help(vmx))) {
		vmx->reason = VMX_REASON_REAL_MODE;
		return vmx_entry_failed(vmx);
	}
	if (thv_steps_by_window(vcpu))
		vmx_step_before(vmx);
	vmx_write_dirty_regs(vmx);
	if (vcpu->lapic.watched)
		write_timer(vmx);
	if (THV_DEBUG)
		vmx_tlb_entering(vmx);
	if (native_read_cr2() != vcpu->cr2)
		native_write_cr2(vcpu->cr2);
	if (unlikely(vmx->flush_l1d))
		vmx_flush_l1d(vmx);

	failed = thv_vmx_enter(vcpu->regs.gpr, &vmx->host.rsp, flags_of(vmx), vcpu->msr.spec_ctrl,
			       vmx->host.spec_ctrl);

	vcpu->cr2 = native_read_cr2();
	forget_exit(vmx);
	vmx->reason = unlikely(failed) ? VMX_REASON_VMFAIL : vmread(VM_EXIT_REASON);
	after_exit(vmx);
	if (thv_steps_by_window(vcpu))
		vmx_step_after(vmx);
	if (unlikely(vmx->host.debugctl))
		wrmsrl(MSR_IA32_DEBUGCTLMSR, vmx->host.debugctl);
}

/* ---- events ---- */

u32 vmx_event_word(const struct thv_event *event)
{
	return INTR_INFO_VALID_MASK | event->vector | event->type << 8 |
	       (event->has_error ? INTR_INFO_DELIVER_CODE_MASK : 0);
}

/*
 * A #DB in a shadow under RFLAGS.TF: VM entry wants to see the trap that waits (SDM
 * 27.3.1.5)
 */
bool vmx_step_is_due(struct vmx_vcpu *vmx, const struct thv_event *event)
{
	if (likely(!(vmx_interruptibility(vmx) & (THV_BLOCK_STI | THV_BLOCK_MOVSS))))
		return false;
	vmx_read_regs(&vmx->vcpu);
	return event->vector == X86_TRAP_DB && event->type == THV_EVENT_FAULT &&
	       (vmx->vcpu.regs.rflags & X86_EFLAGS_TF);
}

static void inject(struct thv_vcpu *vcpu, const struct thv_event *event)
{
	if (event->has_error)
		vmwrite(VM_ENTRY_EXCEPTION_ERROR_CODE, event->error);
	if (event->type >= THV_EVENT_SOFT_INT)
		vmwrite(VM_ENTRY_INSTRUCTION_LEN, event->length);
	vmwrite(VM_ENTRY_INTR_INFO_FIELD, vmx_event_word(event));
	if (vmx_step_is_due(to_vmx(vcpu), event))
		vmwrite(GUEST_PENDING_DBG_EXCEPTIONS,
			vmread(GUEST_PENDING_DBG_EXCEPTIONS) | VMX_PENDING_BS);
}

static u32 blocking(struct thv_vcpu *vcpu)
{
	return vmx_interruptibility(to_vmx(vcpu)) &
	       (THV_BLOCK_STI | THV_BLOCK_MOVSS | THV_BLOCK_NMI);
}

static void set_blocking(struct thv_vcpu *vcpu, u32 blocking)
{
	vmx_set_interruptibility(to_vmx(vcpu), blocking);
}

static void windows(struct thv_vcpu *vcpu, bool interrupt, bool nmi)
{
	u32 set = (interrupt ? CPU_BASED_INTR_WINDOW_EXITING : 0) |
		  (nmi ? CPU_BASED_NMI_WINDOW_EXITING : 0);

	vmx_set_cpu(to_vmx(vcpu), CPU_BASED_INTR_WINDOW_EXITING | CPU_BASED_NMI_WINDOW_EXITING, set);
}

/*
 * Bits 3:0 (breakpoints) are where DR6 has them; BS is, too; "enabled breakpoint" stands for any
 * of them
 */
static u64 get_pending_debug(struct thv_vcpu *vcpu)
{
	return vmread(GUEST_PENDING_DBG_EXCEPTIONS) & (DR_TRAP_BITS | VMX_PENDING_BS);
}

static void set_pending_debug(struct thv_vcpu *vcpu, u64 dr6_bits)
{
	u64 bits = dr6_bits & (DR_TRAP_BITS | VMX_PENDING_BS);

	vmwrite(GUEST_PENDING_DBG_EXCEPTIONS,
		bits | (bits & DR_TRAP_BITS ? VMX_PENDING_BREAKPOINT : 0));
}

static void set_dr7(struct thv_vcpu *vcpu)
{
	vmwrite(GUEST_DR7, vcpu->dr7_in_force);
}

/* An INT3 of the guest is intercepted; the next instruction is followed by an exit (SDM 26.5.2) */
static void set_debugger(struct thv_vcpu *vcpu)
{
	bool trap = vcpu->vm->features & THV_FEATURE_MONITOR_TRAP;
	u32 flags = vcpu->debugger.flags;

	vmx_set_exceptions(to_vmx(vcpu), flags & THV_DEBUG_BREAKPOINTS ? BIT(X86_TRAP_BP) : 0);
	vmx_set_cpu(to_vmx(vcpu), CPU_BASED_MONITOR_TRAP_FLAG,
		    trap && (flags & THV_DEBUG_STEP) ? CPU_BASED_MONITOR_TRAP_FLAG : 0);
}

static void set_tsc_offset(struct thv_vcpu *vcpu)
{
	vmwrite(TSC_OFFSET, vcpu->tsc_offset);
}

const struct thv_backend thv_vmx_backend = {
	.name = "VMX",
	.id = THV_BACKEND_VMX,
	.vcpu_size = sizeof(struct vmx_vcpu),

	.probe = probe,
	.remove = remove,
	.claimed = vmx_claimed,
	.cpu_on = vmx_cpu_on,
	.cpu_off = vmx_cpu_off,
	.emergency_off = vmx_emergency_off,

	.vm_create = vm_create,
	.vcpu_create = vcpu_create,
	.vcpu_destroy = vcpu_destroy,
	.load = load,
	.put = vmx_put,

	.prepare = vmx_prepare,
	.enter = enter,
	.handle_fast = vmx_handle_fast,
	.handle = vmx_handle,

	.exit_reasons = VMX_REASONS,
	.exit_reason = vmx_exit_reason,
	.exit_detail = vmx_exit_detail,

	.read_regs = vmx_read_regs,
	.write_regs = vmx_write_regs,
	.get_sregs = vmx_get_sregs,
	.set_sregs = vmx_set_sregs,
	.get_context = vmx_get_context,
	.get_msr = vmx_get_msr,
	.set_msr = vmx_set_msr,
	.skip = vmx_skip,
	.get_pending_debug = get_pending_debug,
	.set_pending_debug = set_pending_debug,
	.set_dr7 = set_dr7,
	.set_debugger = set_debugger,
	.set_tsc_offset = set_tsc_offset,
	.apic_changed = vmx_apic_changed,
	.get_fields = vmx_get_fields,
	.max_fields = VMX_FIELD_COUNT,

	.inject = inject,
	.blocking = blocking,
	.set_blocking = set_blocking,
	.windows = windows,
	.virtual_interrupts = vmx_virtual_interrupts,

	.flush = vmx_flush,
	.flush_page = vmx_flush_page,
	.drain_log = vmx_pml_drain,
	.set_root = vmx_set_root,
	.explain = vmx_explain_vcpu,
	.try_entry = THV_DEBUG ? vmx_try : NULL,
};
