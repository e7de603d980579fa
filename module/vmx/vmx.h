/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Intel VMX: what the files of this folder share. Nothing outside includes it.
 */
#ifndef THV_VMX_H
#define THV_VMX_H

#include <linux/list.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <asm/asm.h>
#include <asm/debugreg.h>
#include <asm/nospec-branch.h>
#include <asm/trapnr.h>
#include <asm/vmx.h>
#include "../vcpu.h"
#include "../debug.h"
#include "../debugger.h"

/* ---- what asm/vmx.h lacks ---- */

/* Address-range and type fields of an exit's qualification and of instruction information */
#define VMX_CR_NUMBER		GENMASK(3, 0)		/* SDM table 28-3 */
#define VMX_CR_ACCESS		GENMASK(5, 4)
#define VMX_CR_LMSW_MEMORY	BIT(6)
#define VMX_CR_GPR		GENMASK(11, 8)
#define VMX_CR_LMSW_SOURCE	GENMASK_ULL(31, 16)
#define VMX_DR_NUMBER		GENMASK(2, 0)		/* SDM table 28-4 */
#define VMX_DR_READ		BIT(4)
#define VMX_DR_GPR		GENMASK(11, 8)
#define VMX_IO_SIZE		GENMASK(2, 0)		/* SDM table 28-5 */
#define VMX_IO_IN		BIT(3)
#define VMX_IO_STRING		BIT(4)
#define VMX_IO_REP		BIT(5)
#define VMX_IO_PORT		GENMASK_ULL(31, 16)
/* SDM table 28-8: 0: 16, 1: 32, 2: 64 bits */
#define VMX_INFO_ADDRESS_SIZE	GENMASK(9, 7)
#define VMX_APIC_OFFSET		GENMASK(11, 0)		/* SDM table 28-6 */
#define VMX_APIC_TYPE		GENMASK(15, 12)
#define VMX_EPT_READ		BIT(0)			/* SDM table 28-7 */
#define VMX_EPT_WRITE		BIT(1)
#define VMX_EPT_FETCH		BIT(2)
#define VMX_EPT_WAS_PRESENT	GENMASK(5, 3)
#define VMX_EPT_GLA_VALID	BIT(7)
#define VMX_EPT_GLA_FINAL	BIT(8)			/* not the guest's own page walk */
#define VMX_NMI_UNBLOCKED	BIT(12)			/* also in interruption information */

#define VMX_TIMER_RATE		GENMASK(4, 0)		/* of IA32_VMX_MISC, SDM A.6 */
#define VMX_BLOCK_SMI		BIT(2)			/* interruptibility state, SDM table 25-3 */
/* pending debug exceptions, SDM table 25-4 */
#define VMX_PENDING_BREAKPOINT	BIT(12)
#define VMX_PENDING_BS		BIT(14)
#define VMX_REASON_REAL_MODE	(~1U)			/* ours: not even tried */
#define VMX_REASON_VMFAIL	(~0U)			/* ours: there was no entry */
/* IA32_VMX_MISC: VMWRITE takes read-only fields, too (SDM A.6; kernels differ over its name) */
#define VMX_MISC_WRITES_ANY_FIELD	BIT(29)
#define VMX_SEGMENT_UNUSABLE	BIT(16)			/* access rights, SDM table 25-2 */

/* ---- capabilities: caps.c ---- */

/* The control words that new VMCSs start from, and what depends on them */
struct vmx_caps {
	u32 revision;		/* VMCS revision identifier */
	u32 size;		/* bytes of a VMXON region or VMCS, at most 4096 */
	u32 pin;
	u32 cpu;		/* primary processor-based */
	u32 cpu2;		/* secondary */
	u32 exit;
	u32 entry;
	u32 pin_must, cpu_must, cpu2_must, exit_must, entry_must;	/* what the processor insists on */
	u32 pin_may, cpu_may, cpu2_may, exit_may, entry_may;	/* what may be set besides */
	u32 turn;		/* preemption-timer ticks that a guest's turn may last; 0: not used */
	u64 basic;		/* IA32_VMX_BASIC */
	u64 ept_vpid;		/* IA32_VMX_EPT_VPID_CAP */
	u64 misc;		/* IA32_VMX_MISC */
	u64 cr0_fixed0, cr0_fixed1, cr4_fixed0, cr4_fixed1;
};

extern struct vmx_caps vmx_caps;

int vmx_caps_probe(void);

/* Has the VMCS fields for IA32_EFER? Without, entry and exit change LMA and LME only (SDM 27.3.2.1). */
static inline bool vmx_has_efer(void) { return vmx_caps.entry & VM_ENTRY_LOAD_IA32_EFER; }
static inline bool vmx_has_pat(void) { return vmx_caps.entry & VM_ENTRY_LOAD_IA32_PAT; }
static inline bool vmx_can2(u32 control) { return (vmx_caps.cpu2_may & control) == control; }

/* ---- a vCPU ---- */

/* MSRs that entry and exit do not switch: the guest's are in the processor between load and put */
enum vmx_switched {
	VMX_STAR, VMX_LSTAR, VMX_CSTAR, VMX_SYSCALL_MASK, VMX_KERNEL_GS_BASE, VMX_TSC_AUX, VMX_EFER,
	VMX_SWITCHED
};

#define VMX_DIRTY_RIP		BIT(0)
#define VMX_DIRTY_RFLAGS	BIT(1)
#define VMX_DIRTY_RSP		BIT(2)

struct vmx_host {		/* what the VMCS's host area and put() restore */
	u64 cr3;
	u64 cr4;
	u64 rsp;
	u64 fs_base;
	u64 perf_global_ctrl;
	u64 debugctl;
	u64 spec_ctrl;
	u16 fs, gs, ds, es, ldt;
};

struct vmx_vcpu {
	struct thv_vcpu vcpu;	/* first: the shared part */

	void *vmcs;		/* a page */
	u64 vmcs_pa;
	bool fresh;		/* its fields have no values yet */
	bool launched;		/* since the last VMCLEAR */
	int vmcs_cpu;		/* where it is active; -1: cleared */
	struct list_head active;	/* on that CPU's list */
	void *msr_bitmap;	/* a page */
	u64 *pml;		/* page-modification log, a page; NULL: not used */
	u16 vpid;		/* 0: not tagged */
	u32 owner;		/* of that, in the flush ledger */

	/* the last exit; fields read when needed */
	u32 reason;		/* as VM_EXIT_REASON, failure bit included; ~0 after VMfail */
	u32 vectoring;		/* IDT-vectoring information; not of fast exits */
	bool rip_read;		/* vcpu->regs.{rip,rflags} are those of this exit */
	bool rsp_read;		/* ... and RSP is */
	u8 regs_dirty;		/* VMX_DIRTY_*: must be written before the next entry */

	/* what the VMCS holds now, so that only changes are written */
	u32 cpu;
	u32 cpu2;
	u32 entry;
	u32 interruptibility;	/* as read at this exit or written since */
	bool interruptibility_read;
	u64 eoi_exit[4];

	/* unpaged mode with EPT, without unrestricted guest: see cr.c */
	bool forced_paging;
	u64 guest_cr3;		/* the guest's CR3 while forced_paging */
	u64 guest_pat;		/* shadow paging: IA32_PAT as the guest has it */

	/* step.c */
	bool step_shadow;	/* entered in a shadow that is ours */
	u32 step_own;		/* the guest's own shadows meanwhile */
	u64 step_pending;	/* and its pending debug exceptions */

	bool flush_l1d;		/* host code has run since the last entry: L1TF */
	u32 barriers;		/* ENTER_*: those that each entry wants (switch.c) */
	bool guest_msrs;	/* the guest's are in the processor */
	u64 msr[VMX_SWITCHED];
	struct vmx_host host;
};

static inline struct vmx_vcpu *to_vmx(struct thv_vcpu *vcpu)
{
	return container_of(vcpu, struct vmx_vcpu, vcpu);
}

/* Are the tables it walks our own (paging/shadow.h), and nothing below them? */
static inline bool vmx_shadows(const struct vmx_vcpu *vmx)
{
	return vmx->vcpu.vm->paging == THV_PAGING_SHADOW;
}

/* ---- the instructions ---- */

/*
 * VMREAD and VMWRITE fault when a crash has turned VMX off under us; then a read gives 0. A field
 * that does not exist is a bug of ours: the debug build says which.
 */
void vmx_field_error(unsigned long field);

static __always_inline u64 vmread(unsigned long field)
{
	u64 value = 0;
	bool failed = false;

	if (!THV_DEBUG) {
		asm volatile("1:	vmread %[field], %[value]\n"
			     "2:\n"
			     _ASM_EXTABLE(1b, 2b)
			     : [value] "+r" (value) : [field] "r" (field) : "cc");
		return value;
	}
	asm volatile("1:	vmread %[field], %[value]\n"
		     "	setbe %[failed]\n"
		     "2:\n"
		     _ASM_EXTABLE(1b, 2b)
		     : [value] "+r" (value), [failed] "+q" (failed)
		     : [field] "r" (field) : "cc");
	if (failed)
		vmx_field_error(field);
	return value;
}

static __always_inline void vmwrite(unsigned long field, u64 value)
{
	bool failed = false;

	if (!THV_DEBUG) {
		asm volatile("1:	vmwrite %[value], %[field]\n"
			     "2:\n"
			     _ASM_EXTABLE(1b, 2b)
			     : : [value] "r" (value), [field] "r" (field) : "cc");
		return;
	}
	asm volatile("1:	vmwrite %[value], %[field]\n"
		     "	setbe %[failed]\n"
		     "2:\n"
		     _ASM_EXTABLE(1b, 2b)
		     : [failed] "+q" (failed)
		     : [value] "r" (value), [field] "r" (field) : "cc");
	if (failed)
		vmx_field_error(field);
}

/* What handlers and callers changed of RIP, RFLAGS and RSP (regs.c) */
static __always_inline void vmx_write_dirty_regs(struct vmx_vcpu *vmx)
{
	struct thv_regs *regs = &vmx->vcpu.regs;

	if (vmx->regs_dirty & VMX_DIRTY_RIP)
		vmwrite(GUEST_RIP, regs->rip);
	if (unlikely(vmx->regs_dirty & ~VMX_DIRTY_RIP)) {
		if (vmx->regs_dirty & VMX_DIRTY_RFLAGS)
			vmwrite(GUEST_RFLAGS, regs->rflags);
		if (vmx->regs_dirty & VMX_DIRTY_RSP)
			vmwrite(GUEST_RSP, regs->gpr[THV_RSP]);
	}
	vmx->regs_dirty = 0;
}

/* RIP and RFLAGS alone: most exits need no more */
static __always_inline void vmx_read_rip(struct vmx_vcpu *vmx)
{
	if (vmx->rip_read)
		return;
	vmx->vcpu.regs.rip = vmread(GUEST_RIP);
	vmx->vcpu.regs.rflags = vmread(GUEST_RFLAGS);
	vmx->rip_read = true;
}

static __always_inline u32 vmx_interruptibility(struct vmx_vcpu *vmx)
{
	if (!vmx->interruptibility_read) {
		vmx->interruptibility = vmread(GUEST_INTERRUPTIBILITY_INFO);
		vmx->interruptibility_read = true;
	}
	return vmx->interruptibility;
}

void vmx_after_instruction(struct vmx_vcpu *vmx);	/* regs.c */

/*
 * Past the instruction, of @length bytes, that caused this exit: RIP; the end of interrupt shadows, the
 * single-step trap (SDM 6.8.3, 18.3.1.4).
 */
static __always_inline void vmx_advance(struct vmx_vcpu *vmx, u32 length)
{
	struct thv_regs *regs = &vmx->vcpu.regs;
	u64 old;

	vmx_read_rip(vmx);
	old = regs->rip;
	regs->rip += length;
	vmx->regs_dirty |= VMX_DIRTY_RIP;
	if (unlikely((old ^ regs->rip) >> 32 || regs->rflags & (X86_EFLAGS_RF | X86_EFLAGS_TF) ||
		     vmx_interruptibility(vmx) & (THV_BLOCK_STI | THV_BLOCK_MOVSS)))
		vmx_after_instruction(vmx);
	thv_debugger_completed(&vmx->vcpu);
}

/*
 * Without these, #AC or #DB raised while either is delivered would never end (CVE-2015-5307,
 * -8104).
 */
#define VMX_ALWAYS_INTERCEPTED (BIT(X86_TRAP_DB) | BIT(X86_TRAP_AC) | BIT(X86_TRAP_MC))

/* ---- vmcs.c: the control structure ---- */

int vmx_vmcs_create(struct vmx_vcpu *vmx);
void vmx_vmcs_destroy(struct vmx_vcpu *vmx);
void vmx_vmcs_load(struct vmx_vcpu *vmx, int cpu);	/* makes it current on this CPU */
void vmx_vmcs_setup(struct vmx_vcpu *vmx);		/* all fields, once, after the first load */
void vmx_vmcs_host_cpu(int cpu);			/* host fields that follow the CPU */
/* this CPU leaves root mode: VMCLEAR what is active */
void vmx_vmcs_forget(void);
void vmx_set_exceptions(struct vmx_vcpu *vmx, u32 more);	/* beside those always intercepted */
void vmx_set_root(struct thv_vcpu *vcpu, u64 root);
void vmx_set_cpu(struct vmx_vcpu *vmx, u32 clear, u32 set);	/* primary controls */
void vmx_set_cpu2(struct vmx_vcpu *vmx, u32 clear, u32 set);	/* secondary controls */
void vmx_set_entry(struct vmx_vcpu *vmx, u32 clear, u32 set);	/* VM-entry controls */
void vmx_msr_direct(struct vmx_vcpu *vmx, u32 index, bool read, bool write);

/* ---- root.c: in and out of root mode ---- */

bool vmx_claimed(void);
int vmx_cpu_on(void);
void vmx_cpu_off(void);
void vmx_emergency_off(void);
int vmx_root_init(void);	/* VMXON regions */
void vmx_root_exit(void);

/* ---- tlb.c: tags and flushes ---- */

u32 vmx_vpids(void);
int vmx_vpid_alloc(struct vmx_vcpu *vmx);
void vmx_vpid_free(struct vmx_vcpu *vmx);
void vmx_tlb_cpu_on(void);
int vmx_tlb_init(void);
void vmx_tlb_exit(void);
void vmx_tlb_entering(struct vmx_vcpu *vmx);		/* debug builds */
void vmx_flush(struct thv_vcpu *vcpu, enum thv_flush kind);
void vmx_flush_page(struct thv_vcpu *vcpu, u64 gla);

/* ---- pml.c: the page-modification log ---- */

int vmx_pml_create(struct vmx_vcpu *vmx);
void vmx_pml_destroy(struct vmx_vcpu *vmx);
void vmx_pml_setup(struct vmx_vcpu *vmx);
void vmx_pml_drain(struct thv_vcpu *vcpu);

/* ---- switch.c: what is switched lazily ---- */

void vmx_load(struct thv_vcpu *vcpu, int cpu);
void vmx_put(struct thv_vcpu *vcpu);
int vmx_switched_index(u32 msr);
void vmx_set_switched(struct vmx_vcpu *vmx, int which, u64 value);
void vmx_prepare(struct thv_vcpu *vcpu);		/* the guest's MSRs, and host fields */
void vmx_host_fields(struct vmx_vcpu *vmx);		/* CR3, CR4, ... */
void vmx_switch_cpu_on(void);				/* notes this CPU's own values */
void vmx_flush_l1d(struct vmx_vcpu *vmx);		/* the last thing before an entry */
int vmx_mitigations_init(void);
void vmx_mitigations_exit(void);

/* ---- cr.c: control registers and the modes they make ---- */

u64 vmx_cr0(struct vmx_vcpu *vmx);
u64 vmx_cr3(struct vmx_vcpu *vmx);
u64 vmx_cr4(struct vmx_vcpu *vmx);
void vmx_set_cr0(struct vmx_vcpu *vmx, u64 cr0);	/* the value has been checked */
void vmx_set_cr3(struct vmx_vcpu *vmx, u64 cr3);
void vmx_set_cr4(struct vmx_vcpu *vmx, u64 cr4);
void vmx_set_efer(struct vmx_vcpu *vmx, u64 efer);
void vmx_get_pdptrs(struct vmx_vcpu *vmx, u64 pdptr[4]);
void vmx_set_pdptrs(struct vmx_vcpu *vmx, const u64 pdptr[4]);
void vmx_cr_masks(struct vmx_vcpu *vmx);		/* guest/host masks, at setup */
void vmx_guest_flush(struct vmx_vcpu *vmx);		/* the guest flushed all translations */
enum thv_next vmx_exit_cr(struct vmx_vcpu *vmx);
enum thv_next vmx_exit_dr(struct vmx_vcpu *vmx);
int vmx_identity_init(void);				/* the identity page table, once */
void vmx_identity_exit(void);
int vmx_identity_map(struct thv_vm *vm);

/* ---- regs.c: state in and out ---- */

void vmx_read_regs(struct thv_vcpu *vcpu);
void vmx_write_regs(struct thv_vcpu *vcpu);
void vmx_get_sregs(struct thv_vcpu *vcpu, struct thv_sregs *sregs);
int vmx_set_sregs(struct thv_vcpu *vcpu, const struct thv_sregs *sregs);
void vmx_get_context(struct thv_vcpu *vcpu, struct thv_exit_context *context);
int vmx_get_msr(struct thv_vcpu *vcpu, u32 index, u64 *value);
int vmx_set_msr(struct thv_vcpu *vcpu, u32 index, u64 value);
u32 vmx_cpl(void);
u64 vmx_gpr(struct vmx_vcpu *vmx, unsigned int number);
void vmx_set_gpr(struct vmx_vcpu *vmx, unsigned int number, u64 value);
bool vmx_long_mode(struct vmx_vcpu *vmx);		/* 64-bit code is running */
void vmx_set_interruptibility(struct vmx_vcpu *vmx, u32 value);
bool vmx_skip(struct thv_vcpu *vcpu);

/* ---- apicv.c: the processor's own APIC virtualization ---- */

bool vmx_apicv(const struct thv_vcpu *vcpu);
int vmx_apicv_vm(struct thv_vm *vm);			/* map the APIC-access page */
void vmx_apic_changed(struct thv_vcpu *vcpu);
void vmx_virtual_interrupts(struct thv_vcpu *vcpu, int irr, int isr);
enum thv_next vmx_exit_apic_access(struct vmx_vcpu *vmx);
enum thv_next vmx_exit_apic_write(struct vmx_vcpu *vmx);
enum thv_next vmx_exit_eoi(struct vmx_vcpu *vmx);

/* ---- fields.c: the VMCS, field by field ---- */

extern const u32 vmx_encodings[];			/* by enum vmx_field_place */
u32 vmx_get_fields(struct thv_vcpu *vcpu, struct thv_field *fields, bool all);
void vmx_read_fields(u64 *values);
bool vmx_has_field(u32 place);
u64 vmx_field_public(u32 encoding);

/* ---- vmx.c: events ---- */

u32 vmx_event_word(const struct thv_event *event);	/* VM-entry interruption information */
bool vmx_step_is_due(struct vmx_vcpu *vmx, const struct thv_event *event);

/* ---- refused.c: why an entry failed ---- */

struct vmx_state;
void vmx_snapshot(struct vmx_vcpu *vmx, struct vmx_state *s, bool all);
u32 vmx_refused(struct vmx_vcpu *vmx);			/* a failed entry: the rules it breaks */
int vmx_explain_vcpu(struct thv_vcpu *vcpu, char *text, size_t size, bool all);
int vmx_try(struct thv_vcpu *vcpu, struct thv_debug_try *try);	/* try.c: debug builds */

/* ---- step.c: a debugger's step without the monitor trap flag ---- */

void vmx_step_before(struct vmx_vcpu *vmx);
void vmx_step_after(struct vmx_vcpu *vmx);

/* ---- exits.c ---- */

bool vmx_handle_fast(struct thv_vcpu *vcpu, enum thv_next *next);
enum thv_next vmx_handle(struct thv_vcpu *vcpu);
u32 vmx_exit_reason(struct thv_vcpu *vcpu);
void vmx_exit_detail(struct thv_vcpu *vcpu, struct thv_exit_detail *detail);
/* Directly after the exit, interrupts off */
void vmx_entry_failed(struct vmx_vcpu *vmx);
void vmx_host_event(void);

#endif
