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
#include "../hypercall.h"
#include "vmx.h"

static enum thv_next resume_past(struct vmx_vcpu *vmx)
{
	vmx_skip(&vmx->vcpu);
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

/* The exit broke into the delivery of an event (SDM 28.2.4). */
static void note_broken_off(struct vmx_vcpu *vmx)
{
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

	vmx->vectoring = 0;
	if (!(word & INTR_INFO_VALID_MASK))
		return;
	deliver_again(vmx, word, VM_ENTRY_EXCEPTION_ERROR_CODE, VM_ENTRY_INSTRUCTION_LEN);
	vmwrite(VM_ENTRY_INTR_INFO_FIELD, 0);
}

/**
 * vmx_after_exit - what cannot wait until interrupts are on.
 * @vmx: the vCPU.
 *
 * Context: directly after the exit, interrupts off.
 */
void vmx_after_exit(struct vmx_vcpu *vmx)
{
	u32 info;

	if (unlikely(vmx->reason & VMX_EXIT_REASONS_FAILED_VMENTRY)) {
		if (vmx->reason != VMX_REASON_VMFAIL &&
		    (u16)vmx->reason == EXIT_REASON_MCE_DURING_VMENTRY)
			machine_check();
		take_back(vmx);
		return;
	}
	vmx->launched = true;
	if (vmx->reason == EXIT_REASON_EXCEPTION_NMI) {
		info = vmread(VM_EXIT_INTR_INFO);
		if ((info & INTR_INFO_INTR_TYPE_MASK) == INTR_TYPE_NMI_INTR)
			host_nmi();
		else if ((u8)info == X86_TRAP_MC)
			machine_check();
	}
	vmx->vectoring = vmread(IDT_VECTORING_INFO_FIELD);
	if (unlikely(vmx->vectoring & VECTORING_INFO_VALID_MASK))
		note_broken_off(vmx);
}

/* #DB, #AC (the others that are intercepted have been dealt with): the guest's own, after all. */
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
		thv_raise_db(&vmx->vcpu, vmread(EXIT_QUALIFICATION));
	else
		thv_raise_error(&vmx->vcpu, (u8)info, vmread(VM_EXIT_INTR_ERROR_CODE));
	return THV_NEXT_RESUME;
}

/* Interrupts are on again when this runs: the host has taken it. */
static enum thv_next exit_host_interrupt(struct vmx_vcpu *vmx)
{
	thv_count(&vmx->vcpu, host_interrupts);
	return THV_NEXT_RESUME;
}

static enum thv_next exit_window(struct vmx_vcpu *vmx)
{
	vmx->vcpu.look_for_events = true;
	return THV_NEXT_RESUME;
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

static enum thv_next exit_cpuid(struct vmx_vcpu *vmx)
{
	u64 *gpr = vmx->vcpu.regs.gpr;
	struct thv_cpuid cpuid = { .leaf = gpr[THV_RAX], .subleaf = gpr[THV_RCX] };

	thv_count(&vmx->vcpu, cpuid);
	thv_cpuid(&vmx->vcpu, &cpuid);
	gpr[THV_RAX] = cpuid.eax;
	gpr[THV_RBX] = cpuid.ebx;
	gpr[THV_RCX] = cpuid.ecx;
	gpr[THV_RDX] = cpuid.edx;
	return resume_past(vmx);
}

static enum thv_next exit_hlt(struct vmx_vcpu *vmx)
{
	thv_count(&vmx->vcpu, halts);
	vmx->vcpu.mp_state = THV_MP_HALTED;
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

static enum thv_next exit_ept_violation(struct vmx_vcpu *vmx)
{
	u64 qualification = vmread(EXIT_QUALIFICATION);
	struct thv_fault fault = {
		.gpa = vmread(GUEST_PHYSICAL_ADDRESS),
		.gla = vmread(GUEST_LINEAR_ADDRESS),
		.access = (qualification & VMX_EPT_READ ? THV_ACCESS_READ : 0) |
			  (qualification & VMX_EPT_WRITE ? THV_ACCESS_WRITE : 0) |
			  (qualification & VMX_EPT_FETCH ? THV_ACCESS_EXECUTE : 0),
		.gla_valid = qualification & VMX_EPT_GLA_VALID,
		.present = qualification & VMX_EPT_WAS_PRESENT,
		.table = (qualification & VMX_EPT_GLA_VALID) && !(qualification & VMX_EPT_GLA_FINAL),
	};

	nmi_still_blocked(vmx, qualification);
	return thv_memory_fault(&vmx->vcpu, &fault);
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
	const char *name;				/* as the SDM heads it, shortened */
	enum thv_next (*handle)(struct vmx_vcpu *vmx);	/* NULL: @because */
	bool fast;
	const char *because;				/* the control that makes it impossible */
};

#define FAST(fn)	.handle = (fn), .fast = true
#define SLOW(fn)	.handle = (fn)
#define NEVER(why)	.because = (why)

static const struct exit exits[] = {
	[0] = { "exception or NMI", SLOW(exit_exception) },
	[1] = { "external interrupt", SLOW(exit_host_interrupt) },
	[2] = { "triple fault", SLOW(exit_triple_fault) },
	[3] = { "INIT signal", NEVER("the host sends no INIT to a processor in VMX operation") },
	[4] = { "start-up IPI", NEVER("activity state is never wait-for-SIPI") },
	[5] = { "I/O SMI", NEVER("dual-monitor treatment of SMIs is not activated") },
	[6] = { "other SMI", NEVER("dual-monitor treatment of SMIs is not activated") },
	[7] = { "interrupt window", FAST(exit_window) },
	[8] = { "NMI window", FAST(exit_window) },
	[9] = { "task switch", SLOW(exit_task_switch) },
	[10] = { "CPUID", FAST(exit_cpuid) },
	[11] = { "GETSEC", FAST(raise_ud) },		/* SMX is not offered */
	[12] = { "HLT", FAST(exit_hlt) },
	/* guest memory is coherent, and the host's */
	[13] = { "INVD", FAST(resume_past) },
	[14] = { "INVLPG", NEVER("INVLPG exiting is 0") },
	[15] = { "RDPMC", FAST(raise_gp) },		/* no counters are offered */
	[16] = { "RDTSC", NEVER("RDTSC exiting is 0") },
	[17] = { "RSM", FAST(raise_ud) },		/* the guest has no SMM */
	[18] = { "VMCALL", FAST(exit_vmcall) },
	[19] = { "VMCLEAR", FAST(raise_ud) },		/* 19 to 27: the guest's CR4.VMXE is 0 */
	[20] = { "VMLAUNCH", FAST(raise_ud) },
	[21] = { "VMPTRLD", FAST(raise_ud) },
	[22] = { "VMPTRST", FAST(raise_ud) },
	[23] = { "VMREAD", FAST(raise_ud) },
	[24] = { "VMRESUME", FAST(raise_ud) },
	[25] = { "VMWRITE", FAST(raise_ud) },
	[26] = { "VMXOFF", FAST(raise_ud) },
	[27] = { "VMXON", FAST(raise_ud) },
	[28] = { "control-register access", SLOW(vmx_exit_cr) },
	[29] = { "MOV DR", SLOW(vmx_exit_dr) },
	[30] = { "I/O instruction", FAST(exit_io) },
	[31] = { "RDMSR", FAST(exit_rdmsr) },
	[32] = { "WRMSR", FAST(exit_wrmsr) },
	[33] = { "entry failure: guest state", SLOW(failed_entry) },
	[34] = { "entry failure: MSR loading", SLOW(failed_entry) },
	[36] = { "MWAIT", FAST(raise_ud) },		/* not offered */
	[37] = { "monitor trap flag", NEVER("monitor trap flag is 0") },
	[39] = { "MONITOR", FAST(raise_ud) },		/* not offered */
	[40] = { "PAUSE", NEVER("PAUSE exiting and PAUSE-loop exiting are 0") },
	[41] = { "entry failure: machine check", SLOW(failed_entry) },
	[43] = { "TPR below threshold", NEVER("TPR shadow is used with virtual-interrupt delivery only") },
	[44] = { "APIC access", SLOW(vmx_exit_apic_access) },
	[45] = { "virtualized EOI", FAST(vmx_exit_eoi) },
	[46] = { "access to GDTR or IDTR", NEVER("descriptor-table exiting is 0") },
	[47] = { "access to LDTR or TR", NEVER("descriptor-table exiting is 0") },
	[48] = { "EPT violation", SLOW(exit_ept_violation) },
	[49] = { "EPT misconfiguration", SLOW(exit_ept_misconfig) },
	[50] = { "INVEPT", FAST(raise_ud) },
	[51] = { "RDTSCP", NEVER("RDTSC exiting is 0") },
	[52] = { "preemption timer", NEVER("activate VMX-preemption timer is 0") },
	[53] = { "INVVPID", FAST(raise_ud) },
	/* no device here sees memory but through caches */
	[54] = { "WBINVD", FAST(resume_past) },
	[55] = { "XSETBV", SLOW(exit_xsetbv) },
	[56] = { "APIC write", FAST(vmx_exit_apic_write) },
	[57] = { "RDRAND", NEVER("RDRAND exiting is 0") },
	[58] = { "INVPCID", NEVER("INVLPG exiting is 0") },
	[59] = { "VMFUNC", FAST(raise_ud) },		/* not enabled */
	[60] = { "ENCLS", FAST(raise_ud) },		/* SGX is not offered */
	[61] = { "RDSEED", NEVER("RDSEED exiting is 0") },
	[62] = { "page-modification log full", NEVER("enable PML is 0") },
	[63] = { "XSAVES", NEVER("enable XSAVES/XRSTORS is 0") },
	[64] = { "XRSTORS", NEVER("enable XSAVES/XRSTORS is 0") },
	[65] = { "PCONFIG", NEVER("PCONFIG exiting is 0; not enabled, it is #UD") },
	[66] = { "sub-page permission", NEVER("sub-page write permissions are 0") },
	[67] = { "UMWAIT", NEVER("enable user wait and pause is 0") },
	[68] = { "TPAUSE", NEVER("enable user wait and pause is 0") },
	[69] = { "LOADIWKEY", NEVER("LOADIWKEY exiting is 0") },
	[70] = { "ENCLV", NEVER("enable ENCLV exiting is 0") },
	[72] = { "ENQCMD PASID translation", NEVER("PASID translation is 0") },
	[73] = { "ENQCMDS PASID translation", NEVER("PASID translation is 0") },
	[74] = { "bus lock", NEVER("bus-lock detection is 0") },
	[75] = { "instruction timeout", NEVER("instruction timeout is 0") },
	[76] = { "SEAMCALL", NEVER("the processor is not in SEAM") },
	[77] = { "TDCALL", NEVER("the processor is not in SEAM") },
};

static const struct exit *find(u32 reason)
{
	return reason < ARRAY_SIZE(exits) && exits[reason].name ? &exits[reason] : NULL;
}

/* The basic reason; what lies above it are flags, of which only a failed entry can be set here. */
static const struct exit *exit_of(const struct vmx_vcpu *vmx)
{
	if (unlikely(vmx->reason & VMX_EXIT_REASONS_FAILED_VMENTRY))
		return &exits[EXIT_REASON_INVALID_STATE];
	return find((u16)vmx->reason);
}

bool vmx_handle_fast(struct thv_vcpu *vcpu, enum thv_next *next)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	const struct exit *exit = exit_of(vmx);

	if (!exit || !exit->fast)
		return false;
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
