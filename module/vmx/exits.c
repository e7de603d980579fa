// SPDX-License-Identifier: GPL-2.0-only
/*
 * What to do about each VM exit: one table, by basic exit reason (SDM appendix C).
 *
 * A handler turns VMX's description of the exit into the neutral one of the shared code and
 * answers resume or to user. "fast" ones run with interrupts still off, do not sleep, and change
 * nothing that enter_guest_state() has loaded (XCR0, debug registers). A reason that the controls
 * exclude names the control that does; should it come all the same, the launcher is told.
 */
#include <linux/bitfield.h>
#include <asm/fpu/api.h>
#include <asm/mce.h>
#include "../cpuid.h"
#include "../debugger.h"
#include "../event.h"
#include "../eventfd.h"
#include "../hypercall.h"
#include "../irq.h"
#include "../spin.h"
#include "../trace.h"
#include "reasons.h"
#include "vmx.h"

/* For exits that an instruction causes, of which the length is told (SDM 28.2.5) */
static enum thv_next resume_past(struct vmx_vcpu *vmx)
{
	vmx_advance(vmx, vmread(VM_EXIT_INSTRUCTION_LEN));
	return THV_NEXT_RESUME;
}

static enum thv_next raise_ud(struct vmx_vcpu *vmx)
{
	thv_raise(&vmx->vcpu, X86_TRAP_UD);
	return THV_NEXT_RESUME;
}

static enum thv_next raise_gp(struct vmx_vcpu *vmx)
{
	thv_raise_error(&vmx->vcpu, X86_TRAP_GP, 0);
	return THV_NEXT_RESUME;
}

/* ---- events ---- */

/*
 * The machine-check handler wants to know who was interrupted: user mode, as far as it should
 * care
 */
static void machine_check(void)
{
	struct pt_regs regs = { .cs = 3, .flags = X86_EFLAGS_IF };

	do_machine_check(&regs);
}

/*
 * An NMI for the host arrived in the guest. It has been taken and NMIs are blocked, as after
 * delivery (SDM 28.5.5 and 26.2: "NMI exiting"). INT 2 enters the host's handler on its own
 * stack, and that handler's IRET unblocks them. So nothing may fault or IRET between the exit and
 * here.
 */
static __always_inline void host_nmi(void)
{
	asm volatile("int $2" : : : "memory");
}

/*
 * IRET had unblocked NMIs when its own memory access (or what it popped) exited: it will run
 * again, so they are blocked still (SDM 28.2.3, 28.2.1 bit 12).
 */
static void nmi_still_blocked(struct vmx_vcpu *vmx, u64 word)
{
	if ((word & VMX_NMI_UNBLOCKED) && !(vmx->vectoring & VECTORING_INFO_VALID_MASK))
		vmx_set_interruptibility(vmx, vmx_interruptibility(vmx) | THV_BLOCK_NMI);
}

/*
 * An event was not delivered after all, and has to be; @word describes it, @error and @length are
 * fields
 */
static void deliver_again(struct vmx_vcpu *vmx, u32 word, u32 error, u32 length)
{
	struct thv_event *event = &vmx->vcpu.events.reinject;

	event->valid = true;
	event->vector = word & VECTORING_INFO_VECTOR_MASK;
	event->type = FIELD_GET(VECTORING_INFO_TYPE_MASK, word);
	event->has_error = word & VECTORING_INFO_DELIVER_CODE_MASK;
	event->error = event->has_error ? vmread(error) : 0;
	event->length = event->type >= THV_EVENT_SOFT_INT ? vmread(length) : 0;
	vmx->vcpu.look_for_events = true;
}

/*
 * Did the exit break into the delivery of an event? Exits that an instruction causes do not, nor those
 * that wait for the end of one (SDM 28.2.4).
 */
static void note_broken_off(struct vmx_vcpu *vmx)
{
	vmx->vectoring = vmread(IDT_VECTORING_INFO_FIELD);
	if (likely(!(vmx->vectoring & VECTORING_INFO_VALID_MASK)))
		return;
	deliver_again(vmx, vmx->vectoring, IDT_VECTORING_ERROR_CODE, VM_EXIT_INSTRUCTION_LEN);
	/* Injecting an NMI while NMIs are blocked would fail the entry (SDM 27.3.1.5) */
	if (vmx->vcpu.events.reinject.type == THV_EVENT_NMI)
		vmx_set_interruptibility(vmx, vmx_interruptibility(vmx) & ~THV_BLOCK_NMI);
	thv_count(&vmx->vcpu, reinjections);
}

/*
 * The entry failed, with an event in its hands, which is only cleared when the guest has run (SDM
 * 27.8)
 */
static void take_back(struct vmx_vcpu *vmx)
{
	u32 word = vmread(VM_ENTRY_INTR_INFO_FIELD);

	if (!(word & INTR_INFO_VALID_MASK))
		return;
	deliver_again(vmx, word, VM_ENTRY_EXCEPTION_ERROR_CODE, VM_ENTRY_INSTRUCTION_LEN);
	vmwrite(VM_ENTRY_INTR_INFO_FIELD, 0);
}

/* There was no entry, and no exit but for the reason of that */
void vmx_entry_failed(struct vmx_vcpu *vmx)
{
	if (vmx->reason != VMX_REASON_VMFAIL && (u16)vmx->reason == EXIT_REASON_MCE_DURING_VMENTRY)
		machine_check();
	take_back(vmx);
}

/* An exception in the guest, or an NMI, exited: the host's own do not wait until interrupts are on */
void vmx_host_event(void)
{
	u32 info = vmread(VM_EXIT_INTR_INFO);

	if ((info & INTR_INFO_INTR_TYPE_MASK) == INTR_TYPE_NMI_INTR)
		host_nmi();
	else if ((u8)info == X86_TRAP_MC)
		machine_check();
}

/*
 * #AC is the guest's own, after all; #DB and, under shadow paging, #PF may be; INT3 is intercepted for a
 * debugger only. (The others that are intercepted have been dealt with.)
 */
static enum thv_next exit_exception(struct vmx_vcpu *vmx)
{
	u32 info = vmread(VM_EXIT_INTR_INFO);

	nmi_still_blocked(vmx, info);
	if ((info & INTR_INFO_INTR_TYPE_MASK) == INTR_TYPE_NMI_INTR || (u8)info == X86_TRAP_MC)
		return THV_NEXT_RESUME;
	/* INT1 comes from outside the debug registers, and its #DB is behind it (SDM 28.2.2) */
	if ((info & INTR_INFO_INTR_TYPE_MASK) == INTR_TYPE_PRIV_SW_EXCEPTION)
		vmx_skip(&vmx->vcpu);
	if ((u8)info == X86_TRAP_DB)
		return thv_debugger_db(&vmx->vcpu, vmread(EXIT_QUALIFICATION));
	if ((u8)info == X86_TRAP_PF)
		return thv_shadow_fault(&vmx->vcpu, vmread(EXIT_QUALIFICATION),
					vmread(VM_EXIT_INTR_ERROR_CODE), vmx_cpl());
	if ((u8)info == X86_TRAP_BP)
		return thv_debugger_breakpoint(&vmx->vcpu, vmread(VM_EXIT_INSTRUCTION_LEN));
	thv_raise_error(&vmx->vcpu, (u8)info, vmread(VM_EXIT_INTR_ERROR_CODE));
	return THV_NEXT_RESUME;
}

/* Interrupts are on again when this runs: the host has taken it. */
static enum thv_next exit_host_interrupt(struct vmx_vcpu *vmx)
{
	thv_count(&vmx->vcpu, host_interrupts);
	return THV_NEXT_RESUME;
}

/*
 * The guest's TSC deadline, most often. The timer goes before an interrupt of the host's (SDM 26.5.1), and
 * is loaded anew at each entry: so that no more than one exit comes of one deadline, it is wound up now.
 */
static bool deadline_came(struct vmx_vcpu *vmx)
{
	vmwrite(VMX_PREEMPTION_TIMER_VALUE, vmx_caps.turn);
	return thv_irq_deadline(&vmx->vcpu);
}

/*
 * The turn is over (guard_us of caps.c: interrupts have been on for a moment, and that was what it is
 * for), or this was a deadline that the guest has taken back since.
 */
static enum thv_next exit_end_of_turn(struct vmx_vcpu *vmx)
{
	return THV_NEXT_RESUME;
}

static enum thv_next exit_window(struct vmx_vcpu *vmx)
{
	vmx->vcpu.look_for_events = true;
	return thv_events_acknowledge(&vmx->vcpu) ? THV_NEXT_USER : THV_NEXT_RESUME;
}

/* It may have been opened for a step: step.c */
static enum thv_next exit_nmi_window(struct vmx_vcpu *vmx)
{
	vmx->vcpu.look_for_events = true;
	return thv_steps_by_window(&vmx->vcpu) ? thv_debugger_stepped(&vmx->vcpu) : THV_NEXT_RESUME;
}

static enum thv_next exit_monitor_trap(struct vmx_vcpu *vmx)
{
	return thv_debugger_stepped(&vmx->vcpu);
}

static enum thv_next exit_triple_fault(struct vmx_vcpu *vmx)
{
	vmx->vcpu.terminal = THV_EXIT_SHUTDOWN;
	return THV_NEXT_USER;
}

static enum thv_next exit_task_switch(struct vmx_vcpu *vmx)
{
	return thv_exit_unsupported(&vmx->vcpu, THV_UNSUPPORTED_TASK_SWITCH, vmx->reason,
				    vmread(EXIT_QUALIFICATION), 0);
}

/* ---- instructions ---- */

static enum thv_next answer_cpuid(struct vmx_vcpu *vmx, const struct cpuid_regs *regs)
{
	u64 *gpr = vmx->vcpu.regs.gpr;

	trace_thv_cpuid(&vmx->vcpu, gpr[THV_RAX], gpr[THV_RCX], regs);
	gpr[THV_RAX] = regs->eax;
	gpr[THV_RBX] = regs->ebx;
	gpr[THV_RCX] = regs->ecx;
	gpr[THV_RDX] = regs->edx;
	return resume_past(vmx);
}

static noinline enum thv_next answer_cpuid_as_of_now(struct vmx_vcpu *vmx)
{
	struct cpuid_regs regs;

	thv_cpuid(&vmx->vcpu, vmx->vcpu.regs.gpr[THV_RAX], vmx->vcpu.regs.gpr[THV_RCX], &regs);
	return answer_cpuid(vmx, &regs);
}

static enum thv_next exit_cpuid(struct vmx_vcpu *vmx)
{
	const struct cpuid_regs *fixed = thv_cpuid_fixed(vmx->vcpu.regs.gpr[THV_RAX],
							 vmx->vcpu.regs.gpr[THV_RCX]);

	thv_count(&vmx->vcpu, cpuid);
	return fixed ? answer_cpuid(vmx, fixed) : answer_cpuid_as_of_now(vmx);
}

static enum thv_next exit_hlt(struct vmx_vcpu *vmx)
{
	thv_count(&vmx->vcpu, halts);
	thv_set_mp_state(&vmx->vcpu, THV_MP_HALTED);
	return resume_past(vmx);
}

static enum thv_next exit_pause_loop(struct vmx_vcpu *vmx)
{
	thv_exit_spin(&vmx->vcpu);
	return resume_past(vmx);
}

/* Registers of the call: RAX; RBX, RCX, RDX, RSI. 32 bits of each outside 64-bit mode. */
static enum thv_next exit_vmcall(struct vmx_vcpu *vmx)
{
	u64 *gpr = vmx->vcpu.regs.gpr;
	u64 mask = vmx_long_mode(vmx) ? ~0ULL : U32_MAX;

	thv_count(&vmx->vcpu, hypercalls);
	gpr[THV_RAX] = mask & thv_hypercall(&vmx->vcpu, vmx_cpl(), gpr[THV_RAX] & mask,
					    gpr[THV_RBX] & mask, gpr[THV_RCX] & mask,
					    gpr[THV_RDX] & mask, gpr[THV_RSI] & mask);
	return resume_past(vmx);
}

static enum thv_next exit_rdmsr(struct vmx_vcpu *vmx)
{
	u64 *gpr = vmx->vcpu.regs.gpr, value;

	thv_count(&vmx->vcpu, msr_reads);
	if (thv_msr_read(&vmx->vcpu, gpr[THV_RCX], &value, THV_MSR_GUEST))
		return raise_gp(vmx);
	gpr[THV_RAX] = (u32)value;
	gpr[THV_RDX] = value >> 32;
	return resume_past(vmx);
}

static enum thv_next exit_wrmsr(struct vmx_vcpu *vmx)
{
	u64 *gpr = vmx->vcpu.regs.gpr;

	thv_count(&vmx->vcpu, msr_writes);
	if (thv_msr_write(&vmx->vcpu, gpr[THV_RCX], (u32)gpr[THV_RAX] | gpr[THV_RDX] << 32,
			  THV_MSR_GUEST))
		return raise_gp(vmx);
	return resume_past(vmx);
}

/* XSETBV exits at CPL 0 only: elsewhere it is the processor that faults (SDM 26.1.1). */
static enum thv_next exit_xsetbv(struct vmx_vcpu *vmx)
{
	u64 *gpr = vmx->vcpu.regs.gpr;
	u64 value = (u32)gpr[THV_RAX] | gpr[THV_RDX] << 32;

	if (vmx_cpl() || (u32)gpr[THV_RCX] || thv_xcr0_check(value))
		return raise_gp(vmx);
	vmx->vcpu.xcr0 = value;
	return resume_past(vmx);
}

static u8 address_bits(void)
{
	return 16 << FIELD_GET(VMX_INFO_ADDRESS_SIZE, vmread(VMX_INSTRUCTION_INFO));
}

static enum thv_next exit_io(struct vmx_vcpu *vmx)
{
	u64 qualification = vmread(EXIT_QUALIFICATION);
	struct thv_io io = {
		.port = FIELD_GET(VMX_IO_PORT, qualification),
		.size = FIELD_GET(VMX_IO_SIZE, qualification) + 1,
		.in = qualification & VMX_IO_IN,
		.string = qualification & VMX_IO_STRING,
		.rep = qualification & VMX_IO_REP,
		.length = vmread(VM_EXIT_INSTRUCTION_LEN),
	};

	if (io.string) {
		io.gla = vmread(GUEST_LINEAR_ADDRESS);
		io.address_bits = address_bits();
	}
	return thv_exit_io(&vmx->vcpu, &io);
}

/* ---- memory ---- */

static struct thv_fault ept_fault(u64 qualification)
{
	return (struct thv_fault) {
		.gpa = vmread(GUEST_PHYSICAL_ADDRESS),
		.gla = vmread(GUEST_LINEAR_ADDRESS),
		.access = (qualification & VMX_EPT_READ ? THV_ACCESS_READ : 0) |
			  (qualification & VMX_EPT_WRITE ? THV_ACCESS_WRITE : 0) |
			  (qualification & VMX_EPT_FETCH ? THV_ACCESS_EXECUTE : 0),
		.gla_valid = qualification & VMX_EPT_GLA_VALID,
		.present = qualification & VMX_EPT_WAS_PRESENT,
		.table = (qualification & VMX_EPT_GLA_VALID) && !(qualification & VMX_EPT_GLA_FINAL),
	};
}

static enum thv_next exit_ept_violation(struct vmx_vcpu *vmx)
{
	u64 qualification = vmread(EXIT_QUALIFICATION);
	struct thv_fault fault = ept_fault(qualification);

	nmi_still_blocked(vmx, qualification);
	return thv_memory_fault(&vmx->vcpu, &fault);
}

/* A doorbell needs no memory: interrupts may stay off */
static bool ring_doorbell(struct vmx_vcpu *vmx)
{
	struct thv_fault fault;
	u64 qualification;

	if (!thv_doorbells_in_memory(vmx->vcpu.vm))
		return false;
	qualification = vmread(EXIT_QUALIFICATION);
	if (!(qualification & VMX_EPT_WRITE) || qualification & VMX_NMI_UNBLOCKED)
		return false;
	fault = ept_fault(qualification);
	return thv_memory_quick(&vmx->vcpu, &fault);
}

static enum thv_next exit_invlpg(struct vmx_vcpu *vmx)
{
	thv_shadow_flush_page(&vmx->vcpu, vmread(EXIT_QUALIFICATION));
	return resume_past(vmx);
}

/* The log has been emptied on the way here, as at each slow exit. */
static enum thv_next exit_pml_full(struct vmx_vcpu *vmx)
{
	nmi_still_blocked(vmx, vmread(EXIT_QUALIFICATION));
	return THV_NEXT_RESUME;
}

/* Our tables hold what the processor does not understand: nobody else writes them. */
static enum thv_next exit_ept_misconfig(struct vmx_vcpu *vmx)
{
	thv_vm_kill(vmx->vcpu.vm, "EPT misconfiguration");
	return THV_NEXT_USER;
}

/*
 * Failed to load the guest: the state is as it was, the launcher may repair it and try again (SDM
 * 27.8)
 */
static enum thv_next failed_entry(struct vmx_vcpu *vmx)
{
	struct thv_run *run = vmx->vcpu.run;
	bool vmfail = vmx->reason == VMX_REASON_VMFAIL;

	if (vmx->reason == VMX_REASON_REAL_MODE)
		return thv_exit_unsupported(&vmx->vcpu, THV_UNSUPPORTED_REAL_MODE, 0, 0, 0);
	if ((u16)vmx->reason == EXIT_REASON_MCE_DURING_VMENTRY && !vmfail) {
		vmx->vcpu.terminal = THV_EXIT_MACHINE_CHECK;
		return THV_NEXT_USER;
	}
	run->exit = THV_EXIT_FAIL_ENTRY;
	run->fail_entry.hardware_reason = vmx->reason;
	run->fail_entry.qualification = vmfail ? 0 : vmread(EXIT_QUALIFICATION);
	run->fail_entry.instruction_error = vmfail ? vmread(VM_INSTRUCTION_ERROR) : 0;
	run->fail_entry.cpu = raw_smp_processor_id();
	run->fail_entry.rules = vmx_refused(vmx);
	run->fail_entry.reserved = 0;
	return THV_NEXT_USER;
}

/* ---- the table ---- */

struct exit {
	enum thv_next (*handle)(struct vmx_vcpu *vmx);	/* NULL: @because */
	bool fast;
	bool (*quick)(struct vmx_vcpu *vmx);		/* asked first, interrupts off; true: all done */
	const char *because;				/* the control that makes it impossible */
};

#define FAST(fn)	.handle = (fn), .fast = true
#define SLOW(fn)	.handle = (fn)
#define NEVER(why)	.because = (why)

/* By enum vmx_exit_reason; a number that the SDM skips has an empty row */
static const struct exit exits[VMX_REASONS] = {
	[VMX_REASON_EXCEPTION_NMI] = { SLOW(exit_exception) },
	[VMX_REASON_EXTERNAL_INTERRUPT] = { SLOW(exit_host_interrupt) },
	[VMX_REASON_TRIPLE_FAULT] = { SLOW(exit_triple_fault) },
	[VMX_REASON_INIT] = { NEVER("the host sends no INIT to a processor in VMX operation") },
	[VMX_REASON_SIPI] = { NEVER("activity state is never wait-for-SIPI") },
	[VMX_REASON_IO_SMI] = { NEVER("dual-monitor treatment of SMIs is not activated") },
	[VMX_REASON_OTHER_SMI] = { NEVER("dual-monitor treatment of SMIs is not activated") },
	[VMX_REASON_INTERRUPT_WINDOW] = { FAST(exit_window) },
	[VMX_REASON_NMI_WINDOW] = { FAST(exit_nmi_window) },
	[VMX_REASON_TASK_SWITCH] = { SLOW(exit_task_switch) },
	[VMX_REASON_CPUID] = { FAST(exit_cpuid) },
	[VMX_REASON_GETSEC] = { FAST(raise_ud) },		/* SMX is not offered */
	[VMX_REASON_HLT] = { FAST(exit_hlt) },
	/* guest memory is coherent, and the host's */
	[VMX_REASON_INVD] = { FAST(resume_past) },
	[VMX_REASON_INVLPG] = { SLOW(exit_invlpg) },		/* shadow paging */
	[VMX_REASON_RDPMC] = { FAST(raise_gp) },		/* no counters are offered */
	[VMX_REASON_RDTSC] = { NEVER("RDTSC exiting is 0") },
	[VMX_REASON_RSM] = { FAST(raise_ud) },		/* the guest has no SMM */
	[VMX_REASON_VMCALL] = { FAST(exit_vmcall) },
	[VMX_REASON_VMCLEAR] = { FAST(raise_ud) },		/* 19 to 27: the guest's CR4.VMXE is 0 */
	[VMX_REASON_VMLAUNCH] = { FAST(raise_ud) },
	[VMX_REASON_VMPTRLD] = { FAST(raise_ud) },
	[VMX_REASON_VMPTRST] = { FAST(raise_ud) },
	[VMX_REASON_VMREAD] = { FAST(raise_ud) },
	[VMX_REASON_VMRESUME] = { FAST(raise_ud) },
	[VMX_REASON_VMWRITE] = { FAST(raise_ud) },
	[VMX_REASON_VMXOFF] = { FAST(raise_ud) },
	[VMX_REASON_VMXON] = { FAST(raise_ud) },
	[VMX_REASON_CR] = { SLOW(vmx_exit_cr) },
	[VMX_REASON_DR] = { SLOW(vmx_exit_dr) },
	[VMX_REASON_IO] = { FAST(exit_io) },
	[VMX_REASON_RDMSR] = { FAST(exit_rdmsr) },
	[VMX_REASON_WRMSR] = { FAST(exit_wrmsr) },
	[VMX_REASON_GUEST_STATE] = { SLOW(failed_entry) },
	[VMX_REASON_MSR_LOADING] = { SLOW(failed_entry) },
	[VMX_REASON_MWAIT] = { FAST(raise_ud) },		/* not offered */
	[VMX_REASON_MTF] = { SLOW(exit_monitor_trap) },
	[VMX_REASON_MONITOR] = { FAST(raise_ud) },		/* not offered */
	[VMX_REASON_PAUSE] = { SLOW(exit_pause_loop) },
	[VMX_REASON_ENTRY_MACHINE_CHECK] = { SLOW(failed_entry) },
	[VMX_REASON_TPR] = { NEVER("TPR shadow is used with virtual-interrupt delivery only") },
	[VMX_REASON_APIC_ACCESS] = { SLOW(vmx_exit_apic_access) },
	[VMX_REASON_EOI] = { FAST(vmx_exit_eoi) },
	[VMX_REASON_GDTR_IDTR] = { NEVER("descriptor-table exiting is 0") },
	[VMX_REASON_LDTR_TR] = { NEVER("descriptor-table exiting is 0") },
	[VMX_REASON_EPT_VIOLATION] = { SLOW(exit_ept_violation), .quick = ring_doorbell },
	[VMX_REASON_EPT_MISCONFIG] = { SLOW(exit_ept_misconfig) },
	[VMX_REASON_INVEPT] = { FAST(raise_ud) },
	[VMX_REASON_RDTSCP] = { NEVER("RDTSC exiting is 0") },
	[VMX_REASON_PREEMPTION_TIMER] = { SLOW(exit_end_of_turn), .quick = deadline_came },
	[VMX_REASON_INVVPID] = { FAST(raise_ud) },
	/* no device here sees memory but through caches */
	[VMX_REASON_WBINVD] = { FAST(resume_past) },
	[VMX_REASON_XSETBV] = { SLOW(exit_xsetbv) },
	[VMX_REASON_APIC_WRITE] = { FAST(vmx_exit_apic_write) },
	[VMX_REASON_RDRAND] = { NEVER("RDRAND exiting is 0") },
	[VMX_REASON_INVPCID] = { NEVER("INVLPG exiting is 0, or enable INVPCID is: then it is #UD") },
	[VMX_REASON_VMFUNC] = { FAST(raise_ud) },		/* not enabled */
	[VMX_REASON_ENCLS] = { FAST(raise_ud) },		/* SGX is not offered */
	[VMX_REASON_RDSEED] = { NEVER("RDSEED exiting is 0") },
	[VMX_REASON_PML_FULL] = { SLOW(exit_pml_full) },
	[VMX_REASON_XSAVES] = { NEVER("enable XSAVES/XRSTORS is 0") },
	[VMX_REASON_XRSTORS] = { NEVER("enable XSAVES/XRSTORS is 0") },
	[VMX_REASON_PCONFIG] = { NEVER("PCONFIG exiting is 0; not enabled, it is #UD") },
	[VMX_REASON_SPP] = { NEVER("sub-page write permissions are 0") },
	[VMX_REASON_UMWAIT] = { NEVER("enable user wait and pause is 0") },
	[VMX_REASON_TPAUSE] = { NEVER("enable user wait and pause is 0") },
	[VMX_REASON_LOADIWKEY] = { NEVER("LOADIWKEY exiting is 0") },
	[VMX_REASON_ENCLV] = { NEVER("enable ENCLV exiting is 0") },
	[VMX_REASON_ENQCMD] = { NEVER("PASID translation is 0") },
	[VMX_REASON_ENQCMDS] = { NEVER("PASID translation is 0") },
	[VMX_REASON_BUS_LOCK] = { NEVER("bus-lock detection is 0") },
	[VMX_REASON_TIMEOUT] = { NEVER("instruction timeout is 0") },
	[VMX_REASON_SEAMCALL] = { NEVER("the processor is not in SEAM") },
	[VMX_REASON_TDCALL] = { NEVER("the processor is not in SEAM") },
};

static const struct exit *find(u32 reason)
{
	return reason < ARRAY_SIZE(exits) ? &exits[reason] : NULL;
}

/* The basic reason; what lies above it are flags, of which only a failed entry can be set here. */
static const struct exit *exit_of(const struct vmx_vcpu *vmx)
{
	if (unlikely(vmx->reason & VMX_EXIT_REASONS_FAILED_VMENTRY))
		return &exits[VMX_REASON_GUEST_STATE];
	return find((u16)vmx->reason);
}

/* Under shadow paging other tables may stand for another EFER, and mmu_lock is none for interrupts off. */
static bool needs_mmu_lock(const struct vmx_vcpu *vmx)
{
	return (u16)vmx->reason == VMX_REASON_WRMSR &&
	       (u32)vmx->vcpu.regs.gpr[THV_RCX] == MSR_EFER && vmx_shadows(vmx);
}

/* What a slow exit leaves to be done with interrupts off; true: and that was all */
static noinline bool quick(struct vmx_vcpu *vmx, const struct exit *exit)
{
	if (likely(!(vmx->reason & VMX_EXIT_REASONS_FAILED_VMENTRY)))
		note_broken_off(vmx);
	return exit && exit->quick && exit->quick(vmx);
}

bool vmx_handle_fast(struct thv_vcpu *vcpu, enum thv_next *next)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	const struct exit *exit = exit_of(vmx);

	if (!exit || !exit->fast || needs_mmu_lock(vmx)) {
		*next = THV_NEXT_RESUME;
		return quick(vmx, exit);
	}
	*next = exit->handle(vmx);
	return true;
}

enum thv_next vmx_handle(struct thv_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	const struct exit *exit = exit_of(vmx);

	vmx->flush_l1d = true;
	if (!exit || !exit->handle)
		return thv_exit_unsupported(vcpu, THV_UNSUPPORTED_EXIT, vmx->reason,
					    vmread(EXIT_QUALIFICATION), 0);
	return exit->handle(vmx);
}

u32 vmx_exit_reason(struct thv_vcpu *vcpu)
{
	u32 reason = to_vmx(vcpu)->reason;

	if (reason == VMX_REASON_VMFAIL || reason == VMX_REASON_REAL_MODE)
		return VMX_REASON_NONE;
	return min_t(u32, (u16)reason, VMX_REASON_NONE);
}

/* Reads what the exit has left; what is read here, handlers find as if it had not been. */
void vmx_exit_detail(struct thv_vcpu *vcpu, struct thv_exit_detail *detail)
{
	u32 reason = vmx_exit_reason(vcpu), event;

	vmx_read_regs(vcpu);
	*detail = (struct thv_exit_detail){ .reason = reason, .rip = vcpu->regs.rip };
	if (reason == VMX_REASON_NONE)
		return;
	detail->qualification = vmread(EXIT_QUALIFICATION);
	if (!(to_vmx(vcpu)->reason & VMX_EXIT_REASONS_FAILED_VMENTRY))
		detail->vectoring = vmread(IDT_VECTORING_INFO_FIELD);
	event = reason == VMX_REASON_EXCEPTION_NMI ? vmread(VM_EXIT_INTR_INFO) : 0;
	detail->event = event & INTR_INFO_VALID_MASK ? event : 0;
	if (!(detail->vectoring & VECTORING_INFO_VALID_MASK))
		detail->vectoring = 0;
}
