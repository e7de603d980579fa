// SPDX-License-Identifier: GPL-2.0-only
/*
 * Why the processor refuses to enter a guest: the checks of SDM chapter 27 as one table of rules, in
 * the manual's order. A processor says no more than "invalid control field" (VMfail 7), "invalid
 * host-state field" (VMfail 8) or "invalid guest state" (exit reason 33); the table says which and why.
 *
 * A rule is a pure function over a snapshot of the VMCS: this file needs no kernel, and a native test
 * breaks each rule by itself. What cannot be decided from the VMCS alone has no rule: what is in
 * memory (the VTPR against the TPR threshold, the revision of a linked VMCS, the areas of MSRs), checks
 * that the SDM leaves to the processor (an NMI under blocking by STI), and features whose fields thv
 * never sets (Intel PT's IA32_RTIT_CTL, LBRs, FRED, tertiary controls, HLAT, PASIDs).
 */
#include <linux/bits.h>
#include <linux/kernel.h>
#include <linux/string.h>
#include <asm/msr-index.h>
#include <asm/processor-flags.h>
#include <asm/vmx.h>
#include "../../uapi/thv.h"
#include "errors.h"
#include "explain.h"

#define AT(symbol)	VMX_AT_##symbol
#define V(symbol)	(s->field[AT(symbol)])

/* ---- what asm/vmx.h lacks ---- */

#define SECONDARY_SUB_PAGE_WRITE	BIT(23)
#define EXIT_ACTIVATE_SECONDARY		BIT(31)
#define EXIT_LOAD_CET			BIT(28)
#define EXIT_LOAD_PKRS			BIT(29)
#define ENTRY_LOAD_UINV			BIT(19)
#define ENTRY_LOAD_CET			BIT(20)
#define ENTRY_LOAD_PKRS			BIT(22)
#define BASIC_ANY_ERROR_CODE		BIT_ULL(56)	/* exceptions with or without, as one likes */
#define CAP_SUPERVISOR_SHADOW_STACK	BIT_ULL(23)	/* of IA32_VMX_EPT_VPID_CAP */
#define EPTP_SUPERVISOR_SHADOW_STACK	BIT_ULL(7)
#define PENDING_BUS_LOCK		BIT_ULL(11)	/* pending debug exceptions (table 25-4) */
#define PENDING_ENABLED			BIT_ULL(12)
#define PENDING_BS			BIT_ULL(14)
#define PENDING_RTM			BIT_ULL(16)
#define DEBUGCTL_BTF			BIT_ULL(1)
#define S_CET_RESERVED			GENMASK_ULL(9, 6)
#define S_CET_SUPPRESS			BIT_ULL(10)
#define S_CET_TRACKER			BIT_ULL(11)
#define AR_RESERVED			0xfffe0f00U	/* access rights (table 25-2) */

/* ---- the state in the manual's words ---- */

/* Does the processor act on the control? The secondary ones only if they are activated. */
static bool on(const struct vmx_state *s, u8 word, u32 control)
{
	if (word == AT(SECONDARY_VM_EXEC_CONTROL) &&
	    !(V(CPU_BASED_VM_EXEC_CONTROL) & CPU_BASED_ACTIVATE_SECONDARY_CONTROLS))
		return false;
	return s->field[word] & control;
}

#define ON_PIN(control)		on(s, AT(PIN_BASED_VM_EXEC_CONTROL), control)
#define ON_CPU(control)		on(s, AT(CPU_BASED_VM_EXEC_CONTROL), control)
#define ON_CPU2(control)	on(s, AT(SECONDARY_VM_EXEC_CONTROL), control)
#define ON_EXIT(control)	on(s, AT(VM_EXIT_CONTROLS), control)
#define ON_ENTRY(control)	on(s, AT(VM_ENTRY_CONTROLS), control)

static u64 value(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return s->field[rule->fields[0]];
}

static bool unrestricted(const struct vmx_state *s)
{
	return ON_CPU2(SECONDARY_EXEC_UNRESTRICTED_GUEST);
}

/* Will the guest be in virtual-8086 mode? */
static bool v8086(const struct vmx_state *s)
{
	return V(GUEST_RFLAGS) & X86_EFLAGS_VM;
}

static bool ia32e(const struct vmx_state *s)
{
	return ON_ENTRY(VM_ENTRY_IA32E_MODE);
}

static bool host_64bit(const struct vmx_state *s)
{
	return ON_EXIT(VM_EXIT_HOST_ADDR_SPACE_SIZE);
}

static u64 beyond_physical(const struct vmx_state *s)
{
	return ~GENMASK_ULL(s->caps.phys_bits - 1, 0);
}

/* Bits 63 down to that of the linear-address width are all alike (SDM vol. 1, 3.3.7.1) */
static bool canonical(const struct vmx_state *s, u64 address)
{
	unsigned int shift = 64 - s->caps.linear_bits;

	return (u64)((s64)(address << shift) >> shift) == address;
}

/* ---- rules of many fields ---- */

static u64 reserved(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return value(s, rule) & rule->arg;
}

static bool not_canonical(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return !canonical(s, value(s, rule));
}

static bool is_zero(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return !value(s, rule);
}

/* The rule's control goes only with all controls @arg of the first field, a control word ... */
static u64 needs(const struct vmx_state *s, const struct vmx_rule *rule)
{
	u32 missing = 0, i;

	for (i = 0; i < 32; i++)
		if ((rule->arg & BIT(i)) && !on(s, rule->fields[0], BIT(i)))
			missing |= BIT(i);
	return missing;
}

/* ... and this one with none of them */
static u64 excludes(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return rule->arg & ~needs(s, rule);
}

/* An address of a structure aligned as the mask @arg says */
static u64 misplaced(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return value(s, rule) & (rule->arg | beyond_physical(s));
}

/* An area of MSRs, 16 bytes each: the first field its address, the second their number */
static u64 msr_area(const struct vmx_state *s, const struct vmx_rule *rule)
{
	u64 address = value(s, rule), count = s->field[rule->fields[1]];

	if (!count)
		return 0;
	return (address & 0xf) | ((address | (address + count * 16 - 1)) & beyond_physical(s));
}

static u64 word_bits(const struct vmx_word *word, u32 control)
{
	return (word->must & ~control) | (control & ~word->may);
}

static u64 fixed_bits(u64 value, u64 fixed0, u64 fixed1)
{
	return (fixed0 & ~value) | (value & ~fixed1);
}

/* Memory types: UC, WC, WT, WP, WB, UC- (SDM 12.12.2) */
#define PAT_TYPES	(BIT(0) | BIT(1) | BIT(4) | BIT(5) | BIT(6) | BIT(7))

static u64 bad_pat(const struct vmx_state *s, const struct vmx_rule *rule)
{
	u64 pat = value(s, rule), wrong = 0;
	unsigned int i;

	for (i = 0; i < 64; i += 8)
		if ((u8)(pat >> i) > 7 || !(BIT((u8)(pat >> i)) & PAT_TYPES))
			wrong |= pat & (0xffULL << i);
	/* Every such type has a bit that is set */
	return wrong;
}

static u64 bad_perf_global_ctrl(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return value(s, rule) & ~s->caps.perf_global_ctrl;
}

static u64 bad_cr3(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return value(s, rule) & beyond_physical(s) & ~s->caps.cr3_flags;
}

static bool bad_s_cet(const struct vmx_state *s, const struct vmx_rule *rule)
{
	u64 cet = value(s, rule);

	return (cet & S_CET_RESERVED) || (cet & S_CET_SUPPRESS && cet & S_CET_TRACKER) ||
	       !canonical(s, cet);
}

/* CR4.CET without CR0.WP: fields are CR4 and CR0 */
static bool cet_without_wp(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return (value(s, rule) & X86_CR4_CET) && !(s->field[rule->fields[1]] & X86_CR0_WP);
}

/* ---- 27.2.1.1: VM-execution controls ---- */

static u64 pin_bits(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return word_bits(&s->caps.pin, value(s, rule));
}

static u64 cpu_bits(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return word_bits(&s->caps.cpu, value(s, rule));
}

static u64 cpu2_bits(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return word_bits(&s->caps.cpu2, value(s, rule));
}

static bool many_cr3_targets(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return value(s, rule) > ((s->caps.misc >> 16) & 0x1ff);
}

/* Without virtual-interrupt delivery the threshold is compared, and has four bits */
static u64 threshold_bits(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return ON_CPU2(SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY) ? 0 : value(s, rule) & ~0xfULL;
}

static bool eptp_memory_type(const struct vmx_state *s, const struct vmx_rule *rule)
{
	u64 type = value(s, rule) & VMX_EPTP_MT_MASK;

	return !(type == VMX_EPTP_MT_WB && s->caps.ept_vpid & VMX_EPTP_WB_BIT) &&
	       !(type == VMX_EPTP_MT_UC && s->caps.ept_vpid & VMX_EPTP_UC_BIT);
}

static bool eptp_walk(const struct vmx_state *s, const struct vmx_rule *rule)
{
	u64 walk = value(s, rule) & VMX_EPTP_PWL_MASK;

	return !(walk == VMX_EPTP_PWL_4 && s->caps.ept_vpid & VMX_EPT_PAGE_WALK_4_BIT) &&
	       !(walk == VMX_EPTP_PWL_5 && s->caps.ept_vpid & VMX_EPT_PAGE_WALK_5_BIT);
}

static u64 eptp_bits(const struct vmx_state *s, const struct vmx_rule *rule)
{
	u64 bits = GENMASK_ULL(11, 8) | beyond_physical(s);

	if (!(s->caps.ept_vpid & VMX_EPT_AD_BIT))
		bits |= VMX_EPTP_AD_ENABLE_BIT;
	if (!(s->caps.ept_vpid & CAP_SUPERVISOR_SHADOW_STACK))
		bits |= EPTP_SUPERVISOR_SHADOW_STACK;
	return value(s, rule) & bits;
}

static bool bad_eptp_list(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return (V(VM_FUNCTION_CONTROL) & VMX_VMFUNC_EPTP_SWITCHING) &&
	       (!ON_CPU2(SECONDARY_EXEC_ENABLE_EPT) ||
		value(s, rule) & (0xfff | beyond_physical(s)));
}

/* ---- 27.2.1.2, 27.2.1.3: VM-exit and VM-entry controls ---- */

static u64 exit_bits(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return word_bits(&s->caps.exit, value(s, rule));
}

static u64 entry_bits(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return word_bits(&s->caps.entry, value(s, rule));
}

/* Is an event to be delivered? And of that type? */
static bool event(const struct vmx_state *s)
{
	return V(VM_ENTRY_INTR_INFO_FIELD) & INTR_INFO_VALID_MASK;
}

static bool event_is(const struct vmx_state *s, u32 type)
{
	return event(s) && (V(VM_ENTRY_INTR_INFO_FIELD) & INTR_INFO_INTR_TYPE_MASK) == type;
}

static u8 event_vector(const struct vmx_state *s)
{
	return V(VM_ENTRY_INTR_INFO_FIELD);
}

static bool event_type(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return event_is(s, INTR_TYPE_RESERVED) ||
	       (event_is(s, INTR_TYPE_OTHER_EVENT) &&
		!(s->caps.cpu.may & CPU_BASED_MONITOR_TRAP_FLAG));
}

static bool event_number(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return (event_is(s, INTR_TYPE_NMI_INTR) && event_vector(s) != 2) ||
	       (event_is(s, INTR_TYPE_HARD_EXCEPTION) && event_vector(s) > 31) ||
	       (event_is(s, INTR_TYPE_OTHER_EVENT) && event_vector(s));
}

/* #DF, #TS, #NP, #SS, #GP, #PF, #AC, and #CP where there is CET (SDM table 6-1) */
static bool has_error_code(const struct vmx_state *s, u8 vector)
{
	u32 vectors = BIT(8) | BIT(10) | BIT(11) | BIT(12) | BIT(13) | BIT(14) | BIT(17);

	if (s->caps.cr4_fixed1 & X86_CR4_CET)
		vectors |= BIT(21);
	return vector < 32 && vectors & BIT(vector);
}

static bool may_have_error_code(const struct vmx_state *s)
{
	return event_is(s, INTR_TYPE_HARD_EXCEPTION) &&
	       (!unrestricted(s) || V(GUEST_CR0) & X86_CR0_PE);
}

static bool error_code_too_many(const struct vmx_state *s, const struct vmx_rule *rule)
{
	if (!event(s) || !(value(s, rule) & INTR_INFO_DELIVER_CODE_MASK))
		return false;
	return !may_have_error_code(s) ||
	       !(s->caps.basic & BASIC_ANY_ERROR_CODE || has_error_code(s, event_vector(s)));
}

static bool error_code_missing(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return may_have_error_code(s) && !(value(s, rule) & INTR_INFO_DELIVER_CODE_MASK) &&
	       !(s->caps.basic & BASIC_ANY_ERROR_CODE) && has_error_code(s, event_vector(s));
}

static u64 event_reserved(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return event(s) ? value(s, rule) & INTR_INFO_RESVD_BITS_MASK : 0;
}

static u64 error_code_bits(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return event(s) && V(VM_ENTRY_INTR_INFO_FIELD) & INTR_INFO_DELIVER_CODE_MASK ?
	       value(s, rule) & GENMASK_ULL(31, 16) : 0;
}

/* Types 4, 5 and 6 stand for an instruction */
static bool event_length(const struct vmx_state *s, const struct vmx_rule *rule)
{
	u64 length = value(s, rule), type = V(VM_ENTRY_INTR_INFO_FIELD) & INTR_INFO_INTR_TYPE_MASK;

	if (!event(s) || type < INTR_TYPE_SOFT_INTR || type > INTR_TYPE_SOFT_EXCEPTION)
		return false;
	return length > 15 || (!length && !(s->caps.misc & VMX_MISC_ZERO_LEN_INS));
}

/* ---- 27.2.2 to 27.2.4: host state ---- */

/* VM exit leaves CR0.ET, NW and CD as they are, and what CR0 does not have (SDM 28.5.1) */
static u64 host_cr0_bits(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return fixed_bits(value(s, rule), s->caps.cr0_fixed0, s->caps.cr0_fixed1) &
	       ~(u64)(X86_CR0_NW | X86_CR0_CD);
}

static u64 cr4_bits(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return fixed_bits(value(s, rule), s->caps.cr4_fixed0, s->caps.cr4_fixed1);
}

#define EFER_RESERVED	(~(u64)(EFER_SCE | EFER_LME | EFER_LMA | EFER_NX))

static bool host_efer_mode(const struct vmx_state *s, const struct vmx_rule *rule)
{
	u64 long_mode = EFER_LMA | EFER_LME;

	return (value(s, rule) & long_mode) != (host_64bit(s) ? long_mode : 0);
}

static bool host_ss_null(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return !value(s, rule) && !host_64bit(s);
}

/* thv's host is always in long mode (27.2.4) */
static bool host_not_64bit(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return !host_64bit(s);
}

static bool host_no_pae(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return host_64bit(s) && !(value(s, rule) & X86_CR4_PAE);
}

static bool host_rip(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return host_64bit(s) && !canonical(s, value(s, rule));
}

/* ---- 27.3.1.1: control registers, debug registers, MSRs ---- */

/* NW and CD do not change at VM entry, so they are not looked at */
static u64 guest_cr0_bits(const struct vmx_state *s, const struct vmx_rule *rule)
{
	u64 ignored = X86_CR0_NW | X86_CR0_CD;

	if (unrestricted(s))
		ignored |= X86_CR0_PE | X86_CR0_PG;
	return fixed_bits(value(s, rule), s->caps.cr0_fixed0, s->caps.cr0_fixed1) & ~ignored;
}

static bool pg_without_pe(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return (value(s, rule) & X86_CR0_PG) && !(value(s, rule) & X86_CR0_PE);
}

static u64 bad_debugctl(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return value(s, rule) & ~s->caps.debugctl;
}

static bool ia32e_without_pg(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return !(value(s, rule) & X86_CR0_PG);
}

static bool ia32e_without_pae(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return !(value(s, rule) & X86_CR4_PAE);
}

static bool pcide_outside_ia32e(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return !ia32e(s) && value(s, rule) & X86_CR4_PCIDE;
}

static bool lma_not_mode(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return ia32e(s) != !!(value(s, rule) & EFER_LMA);
}

static bool lma_not_lme(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return (V(GUEST_CR0) & X86_CR0_PG) &&
	       !(value(s, rule) & EFER_LMA) != !(value(s, rule) & EFER_LME);
}

static bool bad_bndcfgs(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return (value(s, rule) & GENMASK_ULL(11, 2)) || !canonical(s, value(s, rule) & ~0xfffULL);
}

/* ---- 27.3.1.2: segment registers; @arg is an enum thv_segment_id, the order of the fields ---- */

static u16 selector(const struct vmx_state *s, u64 id)
{
	return s->field[AT(GUEST_ES_SELECTOR) + id];
}

static u64 base(const struct vmx_state *s, u64 id)
{
	return s->field[AT(GUEST_ES_BASE) + id];
}

static u32 limit(const struct vmx_state *s, u64 id)
{
	return s->field[AT(GUEST_ES_LIMIT) + id];
}

static u32 rights(const struct vmx_state *s, u64 id)
{
	return s->field[AT(GUEST_ES_AR_BYTES) + id];
}

static u32 type(const struct vmx_state *s, u64 id)
{
	return rights(s, id) & THV_SEG_TYPE;
}

static u32 dpl(const struct vmx_state *s, u64 id)
{
	return (rights(s, id) & THV_SEG_DPL) >> 5;
}

static u32 rpl(const struct vmx_state *s, u64 id)
{
	return selector(s, id) & 3;
}

static bool usable(const struct vmx_state *s, u64 id)
{
	return !(rights(s, id) & THV_SEG_UNUSABLE);
}

/* Are its access rights and limit looked at? Those of CS and TR are, whether usable or not. */
static bool checked(const struct vmx_state *s, u64 id)
{
	if (id != THV_TR && id != THV_LDTR && v8086(s))
		return false;		/* there are other rules then */
	return id == THV_CS || id == THV_TR || usable(s, id);
}

static bool in_ldt(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return checked(s, rule->arg) && selector(s, rule->arg) & 4;
}

static bool ss_rpl(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return !v8086(s) && !unrestricted(s) && rpl(s, THV_SS) != rpl(s, THV_CS);
}

static bool v8086_base(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return v8086(s) && base(s, rule->arg) != (u64)selector(s, rule->arg) << 4;
}

static bool v8086_limit(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return v8086(s) && limit(s, rule->arg) != 0xffff;
}

/* Present, DPL 3, data, writable, accessed */
static bool v8086_rights(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return v8086(s) && rights(s, rule->arg) != 0xf3;
}

static bool base_not_canonical(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return (rule->arg != THV_LDTR || usable(s, THV_LDTR)) && !canonical(s, base(s, rule->arg));
}

static u64 base_over_32(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return rule->arg == THV_CS || usable(s, rule->arg) ?
	       base(s, rule->arg) & GENMASK_ULL(63, 32) : 0;
}

/* Accessed code; a data segment is what real mode leaves behind */
static bool cs_type(const struct vmx_state *s, const struct vmx_rule *rule)
{
	u32 t = type(s, THV_CS);

	return !v8086(s) && (t & 9) != 9 && !(t == 3 && unrestricted(s));
}

static bool ss_type(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return checked(s, THV_SS) && (type(s, THV_SS) & 0xb) != 3;
}

/* Accessed; and readable if it is code */
static bool data_type(const struct vmx_state *s, const struct vmx_rule *rule)
{
	u32 t = type(s, rule->arg);

	return checked(s, rule->arg) && (!(t & 1) || (t & 0xa) == 8);
}

static bool tr_type(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return type(s, THV_TR) != 11 && !(type(s, THV_TR) == 3 && !ia32e(s));
}

static bool ldtr_type(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return checked(s, THV_LDTR) && type(s, THV_LDTR) != 2;
}

static bool not_code_or_data(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return checked(s, rule->arg) && !(rights(s, rule->arg) & THV_SEG_S);
}

static bool not_system(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return checked(s, rule->arg) && rights(s, rule->arg) & THV_SEG_S;
}

static bool not_present(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return checked(s, rule->arg) && !(rights(s, rule->arg) & THV_SEG_P);
}

static u64 rights_reserved(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return checked(s, rule->arg) ? rights(s, rule->arg) & AR_RESERVED : 0;
}

/* The limit in bytes, as a descriptor of 20 bits and a granularity makes it */
static bool limit_not_granular(const struct vmx_state *s, const struct vmx_rule *rule)
{
	u32 bytes = limit(s, rule->arg);

	if (!checked(s, rule->arg))
		return false;
	return rights(s, rule->arg) & THV_SEG_G ? (bytes & 0xfff) != 0xfff : bytes >> 20;
}

static bool cs_dpl_data(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return !v8086(s) && type(s, THV_CS) == 3 && unrestricted(s) && dpl(s, THV_CS);
}

/* Nonconforming code: the CPL, which is SS.DPL */
static bool cs_dpl_nonconforming(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return !v8086(s) && (type(s, THV_CS) & 0xd) == 9 && dpl(s, THV_CS) != dpl(s, THV_SS);
}

static bool cs_dpl_conforming(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return !v8086(s) && (type(s, THV_CS) & 0xd) == 0xd && dpl(s, THV_CS) > dpl(s, THV_SS);
}

static bool ss_dpl_rpl(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return !v8086(s) && !unrestricted(s) && dpl(s, THV_SS) != rpl(s, THV_SS);
}

static bool ss_dpl_real(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return !v8086(s) && dpl(s, THV_SS) &&
	       (type(s, THV_CS) == 3 || !(V(GUEST_CR0) & X86_CR0_PE));
}

/* Types 0 to 11: data and nonconforming code */
static bool data_dpl(const struct vmx_state *s, const struct vmx_rule *rule)
{
	u64 id = rule->arg;

	return checked(s, id) && !unrestricted(s) && type(s, id) <= 11 && dpl(s, id) < rpl(s, id);
}

static bool cs_l_and_d(const struct vmx_state *s, const struct vmx_rule *rule)
{
	u32 both = THV_SEG_L | THV_SEG_DB;

	return !v8086(s) && ia32e(s) && (rights(s, THV_CS) & both) == both;
}

static bool is_unusable(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return !usable(s, rule->arg);
}

/* ---- 27.3.1.4: RIP, RFLAGS, SSP ---- */

static bool code_64bit(const struct vmx_state *s)
{
	return ia32e(s) && rights(s, THV_CS) & THV_SEG_L;
}

static u64 over_32(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return code_64bit(s) ? 0 : value(s, rule) & GENMASK_ULL(63, 32);
}

/*
 * Bits 63:N are all alike, where N is the linear-address width: bit N - 1 may differ, as it does
 * after an instruction at the end of the lower half.
 */
static bool bits_differ(const struct vmx_state *s, const struct vmx_rule *rule)
{
	s64 above = (s64)value(s, rule) >> s->caps.linear_bits;

	return code_64bit(s) && above != 0 && above != -1;
}

#define RFLAGS_RESERVED	(GENMASK_ULL(63, 22) | BIT_ULL(15) | BIT_ULL(5) | BIT_ULL(3))

static bool rflags_fixed(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return !(value(s, rule) & X86_EFLAGS_FIXED);
}

static bool v8086_impossible(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return v8086(s) && (ia32e(s) || !(V(GUEST_CR0) & X86_CR0_PE));
}

static bool interrupt_despite_if(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return event_is(s, INTR_TYPE_EXT_INTR) && !(value(s, rule) & X86_EFLAGS_IF);
}

static u64 ssp_bits(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return value(s, rule) & 3;
}

/* ---- 27.3.1.5: non-register state ---- */

static u64 blocking(const struct vmx_state *s, u64 bits)
{
	return V(GUEST_INTERRUPTIBILITY_INFO) & bits;
}

#define SHADOWS	(GUEST_INTR_STATE_STI | GUEST_INTR_STATE_MOV_SS)

/* Bits 8:6 of IA32_VMX_MISC: states 1, 2 and 3 */
static bool activity_unknown(const struct vmx_state *s, const struct vmx_rule *rule)
{
	u64 state = value(s, rule);

	return state > GUEST_ACTIVITY_WAIT_SIPI ||
	       (state && !(s->caps.misc & (VMX_MISC_ACTIVITY_HLT << (state - 1))));
}

static bool halted_at_user(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return value(s, rule) == GUEST_ACTIVITY_HLT && dpl(s, THV_SS);
}

static bool inactive_in_shadow(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return value(s, rule) != GUEST_ACTIVITY_ACTIVE && blocking(s, SHADOWS);
}

/* Events that end a HLT: interrupts, NMIs, #DB, #MC, a pending monitor trap */
static bool ends_halt(const struct vmx_state *s)
{
	return event_is(s, INTR_TYPE_EXT_INTR) || event_is(s, INTR_TYPE_NMI_INTR) ||
	       (event_is(s, INTR_TYPE_HARD_EXCEPTION) &&
		(event_vector(s) == 1 || event_vector(s) == 18)) ||
	       (event_is(s, INTR_TYPE_OTHER_EVENT) && !event_vector(s));
}

/* ... and a shutdown: NMIs and #MC */
static bool ends_shutdown(const struct vmx_state *s)
{
	return event_is(s, INTR_TYPE_NMI_INTR) ||
	       (event_is(s, INTR_TYPE_HARD_EXCEPTION) && event_vector(s) == 18);
}

static bool event_while_inactive(const struct vmx_state *s, const struct vmx_rule *rule)
{
	u64 state = value(s, rule);

	return event(s) && ((state == GUEST_ACTIVITY_HLT && !ends_halt(s)) ||
			    (state == GUEST_ACTIVITY_SHUTDOWN && !ends_shutdown(s)) ||
			    state == GUEST_ACTIVITY_WAIT_SIPI);
}

static bool both_shadows(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return blocking(s, SHADOWS) == SHADOWS;
}

static bool sti_without_if(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return blocking(s, GUEST_INTR_STATE_STI) && !(V(GUEST_RFLAGS) & X86_EFLAGS_IF);
}

static bool interrupt_in_shadow(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return event_is(s, INTR_TYPE_EXT_INTR) && blocking(s, SHADOWS);
}

static bool nmi_in_shadow(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return event_is(s, INTR_TYPE_NMI_INTR) && blocking(s, GUEST_INTR_STATE_MOV_SS);
}

/* thv is not in SMM when it enters a guest */
static bool smi_blocked(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return blocking(s, GUEST_INTR_STATE_SMI);
}

static bool nmi_blocked(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return ON_PIN(PIN_BASED_VIRTUAL_NMIS) && event_is(s, INTR_TYPE_NMI_INTR) &&
	       blocking(s, GUEST_INTR_STATE_NMI);
}

static bool enclave(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return blocking(s, GUEST_INTR_STATE_ENCLAVE_INTR) &&
	       (!s->caps.sgx || blocking(s, GUEST_INTR_STATE_MOV_SS));
}

static u64 pending_reserved(const struct vmx_state *s, const struct vmx_rule *rule)
{
	u64 known = GENMASK_ULL(3, 0) | PENDING_ENABLED | PENDING_BS | PENDING_RTM;

	if (s->caps.bus_lock)
		known |= PENDING_BUS_LOCK;
	return value(s, rule) & ~known;
}

/* A shadow or HLT puts off a single-step trap, which then has to be there, and only then */
static bool step_put_off(const struct vmx_state *s)
{
	return blocking(s, SHADOWS) || V(GUEST_ACTIVITY_STATE) == GUEST_ACTIVITY_HLT;
}

static bool stepping(const struct vmx_state *s)
{
	return (V(GUEST_RFLAGS) & X86_EFLAGS_TF) && !(V(GUEST_IA32_DEBUGCTL) & DEBUGCTL_BTF);
}

static bool step_missing(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return step_put_off(s) && stepping(s) && !(value(s, rule) & PENDING_BS);
}

static bool step_too_many(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return step_put_off(s) && !stepping(s) && value(s, rule) & PENDING_BS;
}

/* In a transaction: with an enabled breakpoint, and nothing else */
static bool bad_rtm(const struct vmx_state *s, const struct vmx_rule *rule)
{
	u64 pending = value(s, rule);

	if (!(pending & PENDING_RTM))
		return false;
	return !s->caps.rtm || pending != (PENDING_RTM | PENDING_ENABLED) ||
	       blocking(s, GUEST_INTR_STATE_MOV_SS);
}

static u64 bad_link(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return ~value(s, rule) ? value(s, rule) & (0xfff | beyond_physical(s)) : 0;
}

/* ---- 27.3.1.6: page-directory-pointer-table entries ---- */

static u64 bad_pdpte(const struct vmx_state *s, const struct vmx_rule *rule)
{
	u64 pdpte = value(s, rule);

	if (!(V(GUEST_CR0) & X86_CR0_PG) || !(V(GUEST_CR4) & X86_CR4_PAE) || ia32e(s) ||
	    !(pdpte & 1))
		return 0;
	return pdpte & (GENMASK_ULL(2, 1) | GENMASK_ULL(8, 5) | beyond_physical(s));
}

/* ---- the table ---- */

#define OF(a)		.count = 1, .fields = { AT(a) }
#define OF2(a, b)	.count = 2, .fields = { AT(a), AT(b) }
#define OF3(a, b, c)	.count = 3, .fields = { AT(a), AT(b), AT(c) }
#define OF4(a, b, c, d)	.count = 4, .fields = { AT(a), AT(b), AT(c), AT(d) }

#define IF_PIN(bit)	.word = AT(PIN_BASED_VM_EXEC_CONTROL), .control = (bit)
#define IF_CPU(bit)	.word = AT(CPU_BASED_VM_EXEC_CONTROL), .control = (bit)
#define IF_CPU2(bit)	.word = AT(SECONDARY_VM_EXEC_CONTROL), .control = (bit)
#define IF_EXIT(bit)	.word = AT(VM_EXIT_CONTROLS), .control = (bit)
#define IF_ENTRY(bit)	.word = AT(VM_ENTRY_CONTROLS), .control = (bit)

#define NEEDS_PIN(bit)	.bits = needs, .arg = (bit), OF(PIN_BASED_VM_EXEC_CONTROL)
#define NEEDS_CPU(bit)	.bits = needs, .arg = (bit), OF(CPU_BASED_VM_EXEC_CONTROL)
#define NEEDS_CPU2(bit)	.bits = needs, .arg = (bit), OF(SECONDARY_VM_EXEC_CONTROL)
#define NEEDS_EXIT(bit)	.bits = needs, .arg = (bit), OF(VM_EXIT_CONTROLS)
#define NEEDS_ENTRY(bit) .bits = needs, .arg = (bit), OF(VM_ENTRY_CONTROLS)

#define SEGMENT(says, id)							\
	"27.3.1.2", #id "." says, .arg = THV_##id,				\
	OF4(GUEST_##id##_AR_BYTES, GUEST_##id##_SELECTOR, GUEST_##id##_LIMIT, GUEST_##id##_BASE)
/* of which one field is enough */
#define SEGMENT_BASE(says, id)							\
	"27.3.1.2", #id "." says, .arg = THV_##id, OF2(GUEST_##id##_BASE, GUEST_##id##_SELECTOR)
#define SEGMENT_RIGHTS(says, id)						\
	"27.3.1.2", #id "." says, .arg = THV_##id, OF(GUEST_##id##_AR_BYTES)
#define SEGMENT_LIMIT(says, id)							\
	"27.3.1.2", #id "." says, .arg = THV_##id, OF2(GUEST_##id##_LIMIT, GUEST_##id##_AR_BYTES)

/* What holds for every register; CS, SS and the others have rules of their own besides */
#define EVERY_SEGMENT(id)									\
	{ SEGMENT_RIGHTS("P is 0: not present", id), .broken = not_present },			\
	{ SEGMENT_RIGHTS("access rights have reserved bits set", id), .bits = rights_reserved },	\
	{ SEGMENT_LIMIT("limit cannot be: with G = 1 it ends in 0xfff, with G = 0 it is below 1 MiB", id), \
	  .broken = limit_not_granular }
#define CODE_OR_DATA(id)									\
	{ SEGMENT_BASE("base is not the selector * 16, in virtual-8086 mode", id), .broken = v8086_base }, \
	{ SEGMENT_LIMIT("limit is not 0xffff, in virtual-8086 mode", id), .broken = v8086_limit }, \
	{ SEGMENT_RIGHTS("access rights are not 0xf3, in virtual-8086 mode", id), .broken = v8086_rights }, \
	{ SEGMENT_RIGHTS("S is 0: a system segment", id), .broken = not_code_or_data },		\
	EVERY_SEGMENT(id)
#define DATA(id)										\
	{ SEGMENT_RIGHTS("type is not accessed data or accessed, readable code", id), .broken = data_type }, \
	{ SEGMENT("DPL is below its RPL, without unrestricted guest", id), .broken = data_dpl },	\
	CODE_OR_DATA(id)
#define SYSTEM(id)										\
	{ SEGMENT_RIGHTS("S is 1: not a system segment", id), .broken = not_system },		\
	{ SEGMENT("TI is 1: a selector into the LDT", id), .broken = in_ldt },			\
	{ SEGMENT_BASE("base is not canonical", id), .broken = base_not_canonical },		\
	EVERY_SEGMENT(id)
#define BASE_32(id)										\
	{ SEGMENT_BASE("base is beyond 4 GiB", id), .bits = base_over_32 }
#define HOST_SELECTOR(id)									\
	{ "27.2.3", "the host's " #id " selector has RPL or TI set", .bits = reserved, .arg = 7,	\
	  OF(HOST_##id##_SELECTOR) }
#define HOST_BASE(id)										\
	{ "27.2.3", "the host's " #id " base is not canonical", .broken = not_canonical,		\
	  OF(HOST_##id##_BASE) }

/*
 * In the manual's order; whoever adds a rule adds how to break it to selftests/unit/test_explain.c. A
 * sentence is unique, begins in lower case unless with a name, and is followed by section and values.
 */
const struct vmx_rule vmx_rules[] = {
	/* VM-execution control fields */
	{ "27.2.1.1", "the pin-based controls have bits that this processor does not allow",
	  .bits = pin_bits, OF(PIN_BASED_VM_EXEC_CONTROL) },
	{ "27.2.1.1", "the primary processor-based controls have bits that this processor does not allow",
	  .bits = cpu_bits, OF(CPU_BASED_VM_EXEC_CONTROL) },
	{ "27.2.1.1", "the secondary processor-based controls have bits that this processor does not allow",
	  .bits = cpu2_bits, OF(SECONDARY_VM_EXEC_CONTROL),
	  IF_CPU(CPU_BASED_ACTIVATE_SECONDARY_CONTROLS) },
	{ "27.2.1.1", "there are more CR3-target values than this processor has",
	  .broken = many_cr3_targets, OF(CR3_TARGET_COUNT) },
	{ "27.2.1.1", "I/O bitmap A is not at a page of physical memory",
	  .bits = misplaced, .arg = 0xfff, OF(IO_BITMAP_A), IF_CPU(CPU_BASED_USE_IO_BITMAPS) },
	{ "27.2.1.1", "I/O bitmap B is not at a page of physical memory",
	  .bits = misplaced, .arg = 0xfff, OF(IO_BITMAP_B), IF_CPU(CPU_BASED_USE_IO_BITMAPS) },
	{ "27.2.1.1", "the MSR bitmaps are not at a page of physical memory",
	  .bits = misplaced, .arg = 0xfff, OF(MSR_BITMAP), IF_CPU(CPU_BASED_USE_MSR_BITMAPS) },
	{ "27.2.1.1", "the virtual-APIC page is not at a page of physical memory",
	  .bits = misplaced, .arg = 0xfff, OF(VIRTUAL_APIC_PAGE_ADDR), IF_CPU(CPU_BASED_TPR_SHADOW) },
	{ "27.2.1.1", "the TPR threshold is above 15, without virtual-interrupt delivery",
	  .bits = threshold_bits, OF(TPR_THRESHOLD), IF_CPU(CPU_BASED_TPR_SHADOW) },
	{ "27.2.1.1", "\"virtual NMIs\" without \"NMI exiting\"",
	  NEEDS_PIN(PIN_BASED_NMI_EXITING), IF_PIN(PIN_BASED_VIRTUAL_NMIS) },
	{ "27.2.1.1", "\"NMI-window exiting\" without \"virtual NMIs\"",
	  NEEDS_PIN(PIN_BASED_VIRTUAL_NMIS), IF_CPU(CPU_BASED_NMI_WINDOW_EXITING) },
	{ "27.2.1.1", "the APIC-access page is not at a page of physical memory",
	  .bits = misplaced, .arg = 0xfff, OF(APIC_ACCESS_ADDR),
	  IF_CPU2(SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES) },
	{ "27.2.1.1", "\"virtualize x2APIC mode\" without \"use TPR shadow\"",
	  NEEDS_CPU(CPU_BASED_TPR_SHADOW), IF_CPU2(SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE) },
	{ "27.2.1.1", "\"APIC-register virtualization\" without \"use TPR shadow\"",
	  NEEDS_CPU(CPU_BASED_TPR_SHADOW), IF_CPU2(SECONDARY_EXEC_APIC_REGISTER_VIRT) },
	{ "27.2.1.1", "\"virtual-interrupt delivery\" without \"use TPR shadow\"",
	  NEEDS_CPU(CPU_BASED_TPR_SHADOW), IF_CPU2(SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY) },
	{ "27.2.1.1", "\"virtualize x2APIC mode\" with \"virtualize APIC accesses\"",
	  .bits = excludes, .arg = SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES, OF(SECONDARY_VM_EXEC_CONTROL),
	  IF_CPU2(SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE) },
	{ "27.2.1.1", "\"virtual-interrupt delivery\" without \"external-interrupt exiting\"",
	  NEEDS_PIN(PIN_BASED_EXT_INTR_MASK), IF_CPU2(SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY) },
	{ "27.2.1.1", "\"process posted interrupts\" without \"virtual-interrupt delivery\"",
	  NEEDS_CPU2(SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY), IF_PIN(PIN_BASED_POSTED_INTR) },
	{ "27.2.1.1", "\"process posted interrupts\" without \"acknowledge interrupt on exit\"",
	  NEEDS_EXIT(VM_EXIT_ACK_INTR_ON_EXIT), IF_PIN(PIN_BASED_POSTED_INTR) },
	{ "27.2.1.1", "the posted-interrupt notification vector is above 255",
	  .bits = reserved, .arg = GENMASK_ULL(15, 8), OF(POSTED_INTR_NV), IF_PIN(PIN_BASED_POSTED_INTR) },
	{ "27.2.1.1", "the posted-interrupt descriptor is not at 64 bytes of physical memory",
	  .bits = misplaced, .arg = 0x3f, OF(POSTED_INTR_DESC_ADDR), IF_PIN(PIN_BASED_POSTED_INTR) },
	{ "27.2.1.1", "\"enable VPID\" with VPID 0",
	  .broken = is_zero, OF(VIRTUAL_PROCESSOR_ID), IF_CPU2(SECONDARY_EXEC_ENABLE_VPID) },
	{ "27.2.1.1", "the EPT pointer's memory type is none this processor has for EPT",
	  .broken = eptp_memory_type, OF(EPT_POINTER), IF_CPU2(SECONDARY_EXEC_ENABLE_EPT) },
	{ "27.2.1.1", "the EPT pointer's page-walk length is none this processor has",
	  .broken = eptp_walk, OF(EPT_POINTER), IF_CPU2(SECONDARY_EXEC_ENABLE_EPT) },
	{ "27.2.1.1", "the EPT pointer has reserved bits set",
	  .bits = eptp_bits, OF(EPT_POINTER), IF_CPU2(SECONDARY_EXEC_ENABLE_EPT) },
	{ "27.2.1.1", "\"enable PML\" without \"enable EPT\"",
	  NEEDS_CPU2(SECONDARY_EXEC_ENABLE_EPT), IF_CPU2(SECONDARY_EXEC_ENABLE_PML) },
	{ "27.2.1.1", "the page-modification log is not at a page of physical memory",
	  .bits = misplaced, .arg = 0xfff, OF(PML_ADDRESS), IF_CPU2(SECONDARY_EXEC_ENABLE_PML) },
	{ "27.2.1.1", "\"unrestricted guest\" without \"enable EPT\"",
	  NEEDS_CPU2(SECONDARY_EXEC_ENABLE_EPT), IF_CPU2(SECONDARY_EXEC_UNRESTRICTED_GUEST) },
	{ "27.2.1.1", "\"mode-based execute control for EPT\" without \"enable EPT\"",
	  NEEDS_CPU2(SECONDARY_EXEC_ENABLE_EPT), IF_CPU2(SECONDARY_EXEC_MODE_BASED_EPT_EXEC) },
	{ "27.2.1.1", "\"sub-page write permissions for EPT\" without \"enable EPT\"",
	  NEEDS_CPU2(SECONDARY_EXEC_ENABLE_EPT), IF_CPU2(SECONDARY_SUB_PAGE_WRITE) },
	{ "27.2.1.1", "the sub-page-permission table is not at a page of physical memory",
	  .bits = misplaced, .arg = 0xfff, OF(SPP_TABLE_POINTER), IF_CPU2(SECONDARY_SUB_PAGE_WRITE) },
	{ "27.2.1.1", "the VM-function controls have reserved bits set",
	  .bits = reserved, .arg = ~(u64)VMX_VMFUNC_EPTP_SWITCHING, OF(VM_FUNCTION_CONTROL),
	  IF_CPU2(SECONDARY_EXEC_ENABLE_VMFUNC) },
	{ "27.2.1.1", "\"EPTP switching\" without \"enable EPT\", or its list is not at a page of physical memory",
	  .broken = bad_eptp_list, OF2(EPTP_LIST_ADDRESS, VM_FUNCTION_CONTROL),
	  IF_CPU2(SECONDARY_EXEC_ENABLE_VMFUNC) },
	{ "27.2.1.1", "the VMREAD bitmap is not at a page of physical memory",
	  .bits = misplaced, .arg = 0xfff, OF(VMREAD_BITMAP), IF_CPU2(SECONDARY_EXEC_SHADOW_VMCS) },
	{ "27.2.1.1", "the VMWRITE bitmap is not at a page of physical memory",
	  .bits = misplaced, .arg = 0xfff, OF(VMWRITE_BITMAP), IF_CPU2(SECONDARY_EXEC_SHADOW_VMCS) },
	{ "27.2.1.1", "the virtualization-exception information is not at a page of physical memory",
	  .bits = misplaced, .arg = 0xfff, OF(VE_INFORMATION_ADDRESS),
	  IF_CPU2(VMCS_CONTROL_BIT(EPT_VIOLATION_VE)) },
	{ "27.2.1.1", "\"Intel PT uses guest physical addresses\" without \"enable EPT\"",
	  NEEDS_CPU2(SECONDARY_EXEC_ENABLE_EPT), IF_CPU2(SECONDARY_EXEC_PT_USE_GPA) },
	{ "27.2.1.1", "\"Intel PT uses guest physical addresses\" without \"load IA32_RTIT_CTL\"",
	  NEEDS_ENTRY(VM_ENTRY_LOAD_IA32_RTIT_CTL), IF_CPU2(SECONDARY_EXEC_PT_USE_GPA) },
	{ "27.2.1.1", "\"Intel PT uses guest physical addresses\" without \"clear IA32_RTIT_CTL\"",
	  NEEDS_EXIT(VM_EXIT_CLEAR_IA32_RTIT_CTL), IF_CPU2(SECONDARY_EXEC_PT_USE_GPA) },
	{ "27.2.1.1", "\"use TSC scaling\" with a multiplier of 0",
	  .broken = is_zero, OF(TSC_MULTIPLIER), IF_CPU2(SECONDARY_EXEC_TSC_SCALING) },

	/* VM-exit control fields */
	{ "27.2.1.2", "the VM-exit controls have bits that this processor does not allow",
	  .bits = exit_bits, OF(VM_EXIT_CONTROLS) },
	{ "27.2.1.2", "\"save VMX-preemption timer value\" without \"activate VMX-preemption timer\"",
	  NEEDS_PIN(PIN_BASED_VMX_PREEMPTION_TIMER), IF_EXIT(VM_EXIT_SAVE_VMX_PREEMPTION_TIMER) },
	{ "27.2.1.2", "the VM-exit MSR-store area is not at 16 bytes of physical memory",
	  .bits = msr_area, OF2(VM_EXIT_MSR_STORE_ADDR, VM_EXIT_MSR_STORE_COUNT) },
	{ "27.2.1.2", "the VM-exit MSR-load area is not at 16 bytes of physical memory",
	  .bits = msr_area, OF2(VM_EXIT_MSR_LOAD_ADDR, VM_EXIT_MSR_LOAD_COUNT) },

	/* VM-entry control fields */
	{ "27.2.1.3", "the VM-entry controls have bits that this processor does not allow",
	  .bits = entry_bits, OF(VM_ENTRY_CONTROLS) },
	{ "27.2.1.3", "the event to be delivered has a reserved type",
	  .broken = event_type, OF(VM_ENTRY_INTR_INFO_FIELD) },
	{ "27.2.1.3", "the event to be delivered has a vector that its type does not allow",
	  .broken = event_number, OF(VM_ENTRY_INTR_INFO_FIELD) },
	{ "27.2.1.3", "the event to be delivered has an error code where there is none",
	  .broken = error_code_too_many, OF2(VM_ENTRY_INTR_INFO_FIELD, GUEST_CR0) },
	{ "27.2.1.3", "the exception to be delivered lacks its error code",
	  .broken = error_code_missing, OF2(VM_ENTRY_INTR_INFO_FIELD, GUEST_CR0) },
	{ "27.2.1.3", "the interruption information has reserved bits set",
	  .bits = event_reserved, OF(VM_ENTRY_INTR_INFO_FIELD) },
	{ "27.2.1.3", "the error code to be delivered has more than 16 bits",
	  .bits = error_code_bits, OF(VM_ENTRY_EXCEPTION_ERROR_CODE) },
	{ "27.2.1.3", "the software event's instruction length is not 1 to 15",
	  .broken = event_length, OF2(VM_ENTRY_INSTRUCTION_LEN, VM_ENTRY_INTR_INFO_FIELD) },
	{ "27.2.1.3", "the VM-entry MSR-load area is not at 16 bytes of physical memory",
	  .bits = msr_area, OF2(VM_ENTRY_MSR_LOAD_ADDR, VM_ENTRY_MSR_LOAD_COUNT) },
	{ "27.2.1.3", "\"entry to SMM\" or \"deactivate dual-monitor treatment\" outside SMM",
	  .bits = reserved, .arg = VM_ENTRY_SMM | VM_ENTRY_DEACT_DUAL_MONITOR, OF(VM_ENTRY_CONTROLS) },

	/* host control registers and MSRs */
	{ "27.2.2", "the host's CR0 has bits that VMX operation does not allow",
	  .bits = host_cr0_bits, OF(HOST_CR0) },
	{ "27.2.2", "the host's CR4 has bits that VMX operation does not allow",
	  .bits = cr4_bits, OF(HOST_CR4) },
	{ "27.2.2", "the host's CR4.CET is 1 and its CR0.WP is 0",
	  .broken = cet_without_wp, OF2(HOST_CR4, HOST_CR0) },
	{ "27.2.2", "the host's CR3 is beyond the physical-address width", .bits = bad_cr3, OF(HOST_CR3) },
	{ "27.2.2", "the host's IA32_SYSENTER_ESP is not canonical",
	  .broken = not_canonical, OF(HOST_IA32_SYSENTER_ESP) },
	{ "27.2.2", "the host's IA32_SYSENTER_EIP is not canonical",
	  .broken = not_canonical, OF(HOST_IA32_SYSENTER_EIP) },
	{ "27.2.2", "the host's IA32_PERF_GLOBAL_CTRL has reserved bits set", .bits = bad_perf_global_ctrl,
	  OF(HOST_IA32_PERF_GLOBAL_CTRL), IF_EXIT(VM_EXIT_LOAD_IA32_PERF_GLOBAL_CTRL) },
	{ "27.2.2", "the host's IA32_PAT has an entry that is no memory type",
	  .bits = bad_pat, OF(HOST_IA32_PAT), IF_EXIT(VM_EXIT_LOAD_IA32_PAT) },
	{ "27.2.2", "the host's IA32_EFER has reserved bits set",
	  .bits = reserved, .arg = EFER_RESERVED, OF(HOST_IA32_EFER), IF_EXIT(VM_EXIT_LOAD_IA32_EFER) },
	{ "27.2.2", "the host's IA32_EFER.LMA and LME are not what \"host address-space size\" is",
	  .broken = host_efer_mode, OF2(HOST_IA32_EFER, VM_EXIT_CONTROLS), IF_EXIT(VM_EXIT_LOAD_IA32_EFER) },
	{ "27.2.2", "the host's IA32_S_CET has reserved bits set or is not canonical",
	  .broken = bad_s_cet, OF(HOST_S_CET), IF_EXIT(EXIT_LOAD_CET) },
	{ "27.2.2", "the host's interrupt-SSP table is not canonical",
	  .broken = not_canonical, OF(HOST_INTR_SSP_TABLE), IF_EXIT(EXIT_LOAD_CET) },
	{ "27.2.2", "the host's SSP is not a multiple of 4",
	  .bits = ssp_bits, OF(HOST_SSP), IF_EXIT(EXIT_LOAD_CET) },
	{ "27.2.2", "the host's SSP is not canonical",
	  .broken = not_canonical, OF(HOST_SSP), IF_EXIT(EXIT_LOAD_CET) },
	{ "27.2.2", "the host's IA32_PKRS has more than 32 bits",
	  .bits = reserved, .arg = GENMASK_ULL(63, 32), OF(HOST_IA32_PKRS), IF_EXIT(EXIT_LOAD_PKRS) },

	/* host segments and descriptor tables */
	HOST_SELECTOR(ES), HOST_SELECTOR(CS), HOST_SELECTOR(SS), HOST_SELECTOR(DS), HOST_SELECTOR(FS),
	HOST_SELECTOR(GS), HOST_SELECTOR(TR),
	{ "27.2.3", "the host's CS selector is null", .broken = is_zero, OF(HOST_CS_SELECTOR) },
	{ "27.2.3", "the host's TR selector is null", .broken = is_zero, OF(HOST_TR_SELECTOR) },
	{ "27.2.3", "the host's SS selector is null, outside 64-bit mode",
	  .broken = host_ss_null, OF2(HOST_SS_SELECTOR, VM_EXIT_CONTROLS) },
	HOST_BASE(FS), HOST_BASE(GS), HOST_BASE(TR), HOST_BASE(GDTR), HOST_BASE(IDTR),

	/* address-space size */
	{ "27.2.4", "\"host address-space size\" is 0 on a host in long mode",
	  .broken = host_not_64bit, OF(VM_EXIT_CONTROLS) },
	{ "27.2.4", "the host's CR4.PAE is 0 with \"host address-space size\"",
	  .broken = host_no_pae, OF2(HOST_CR4, VM_EXIT_CONTROLS) },
	{ "27.2.4", "the host's RIP is not canonical", .broken = host_rip, OF(HOST_RIP) },

	/* guest control registers, debug registers, MSRs */
	{ "27.3.1.1", "CR0 has bits that VMX operation does not allow",
	  .bits = guest_cr0_bits, OF2(GUEST_CR0, SECONDARY_VM_EXEC_CONTROL) },
	{ "27.3.1.1", "CR0.PG is 1 and CR0.PE is 0", .broken = pg_without_pe, OF(GUEST_CR0) },
	{ "27.3.1.1", "CR4 has bits that VMX operation does not allow", .bits = cr4_bits, OF(GUEST_CR4) },
	{ "27.3.1.1", "CR4.CET is 1 and CR0.WP is 0", .broken = cet_without_wp, OF2(GUEST_CR4, GUEST_CR0) },
	{ "27.3.1.1", "IA32_DEBUGCTL has reserved bits set",
	  .bits = bad_debugctl, OF(GUEST_IA32_DEBUGCTL), IF_ENTRY(VM_ENTRY_LOAD_DEBUG_CONTROLS) },
	{ "27.3.1.1", "\"IA-32e mode guest\" with CR0.PG = 0",
	  .broken = ia32e_without_pg, OF2(GUEST_CR0, VM_ENTRY_CONTROLS), IF_ENTRY(VM_ENTRY_IA32E_MODE) },
	{ "27.3.1.1", "\"IA-32e mode guest\" with CR4.PAE = 0",
	  .broken = ia32e_without_pae, OF2(GUEST_CR4, VM_ENTRY_CONTROLS), IF_ENTRY(VM_ENTRY_IA32E_MODE) },
	{ "27.3.1.1", "CR4.PCIDE is 1 without \"IA-32e mode guest\"",
	  .broken = pcide_outside_ia32e, OF2(GUEST_CR4, VM_ENTRY_CONTROLS) },
	{ "27.3.1.1", "CR3 is beyond the physical-address width", .bits = bad_cr3, OF(GUEST_CR3) },
	{ "27.3.1.1", "DR7 has more than 32 bits", .bits = reserved, .arg = GENMASK_ULL(63, 32),
	  OF(GUEST_DR7), IF_ENTRY(VM_ENTRY_LOAD_DEBUG_CONTROLS) },
	{ "27.3.1.1", "IA32_SYSENTER_ESP is not canonical",
	  .broken = not_canonical, OF(GUEST_SYSENTER_ESP) },
	{ "27.3.1.1", "IA32_SYSENTER_EIP is not canonical",
	  .broken = not_canonical, OF(GUEST_SYSENTER_EIP) },
	{ "27.3.1.1", "IA32_PERF_GLOBAL_CTRL has reserved bits set", .bits = bad_perf_global_ctrl,
	  OF(GUEST_IA32_PERF_GLOBAL_CTRL), IF_ENTRY(VM_ENTRY_LOAD_IA32_PERF_GLOBAL_CTRL) },
	{ "27.3.1.1", "IA32_PAT has an entry that is no memory type",
	  .bits = bad_pat, OF(GUEST_IA32_PAT), IF_ENTRY(VM_ENTRY_LOAD_IA32_PAT) },
	{ "27.3.1.1", "IA32_EFER has reserved bits set",
	  .bits = reserved, .arg = EFER_RESERVED, OF(GUEST_IA32_EFER), IF_ENTRY(VM_ENTRY_LOAD_IA32_EFER) },
	{ "27.3.1.1", "IA32_EFER.LMA is not what \"IA-32e mode guest\" is",
	  .broken = lma_not_mode, OF2(GUEST_IA32_EFER, VM_ENTRY_CONTROLS),
	  IF_ENTRY(VM_ENTRY_LOAD_IA32_EFER) },
	{ "27.3.1.1", "IA32_EFER.LMA and LME differ while CR0.PG is 1",
	  .broken = lma_not_lme, OF2(GUEST_IA32_EFER, GUEST_CR0), IF_ENTRY(VM_ENTRY_LOAD_IA32_EFER) },
	{ "27.3.1.1", "IA32_BNDCFGS has reserved bits set or is not canonical",
	  .broken = bad_bndcfgs, OF(GUEST_BNDCFGS), IF_ENTRY(VM_ENTRY_LOAD_BNDCFGS) },
	{ "27.3.1.1", "the guest's UINV is above 255",
	  .bits = reserved, .arg = GENMASK_ULL(15, 8), OF(GUEST_UINV), IF_ENTRY(ENTRY_LOAD_UINV) },
	{ "27.3.1.1", "IA32_S_CET has reserved bits set or is not canonical",
	  .broken = bad_s_cet, OF(GUEST_S_CET), IF_ENTRY(ENTRY_LOAD_CET) },
	{ "27.3.1.1", "the interrupt-SSP table is not canonical",
	  .broken = not_canonical, OF(GUEST_INTR_SSP_TABLE), IF_ENTRY(ENTRY_LOAD_CET) },
	{ "27.3.1.1", "IA32_PKRS has more than 32 bits",
	  .bits = reserved, .arg = GENMASK_ULL(63, 32), OF(GUEST_IA32_PKRS), IF_ENTRY(ENTRY_LOAD_PKRS) },

	/* guest segment registers */
	{ SEGMENT_RIGHTS("type is not accessed code", CS), .broken = cs_type },
	{ SEGMENT_RIGHTS("L and CS.D are both 1", CS), .broken = cs_l_and_d },
	{ SEGMENT_RIGHTS("DPL is not 0 although its type is data, as in real mode", CS),
	  .broken = cs_dpl_data },
	{ "27.3.1.2", "CS.DPL is not SS.DPL although CS is nonconforming code",
	  .broken = cs_dpl_nonconforming, OF2(GUEST_CS_AR_BYTES, GUEST_SS_AR_BYTES) },
	{ "27.3.1.2", "CS.DPL is above SS.DPL",
	  .broken = cs_dpl_conforming, OF2(GUEST_CS_AR_BYTES, GUEST_SS_AR_BYTES) },
	BASE_32(CS),
	CODE_OR_DATA(CS),
	{ SEGMENT_RIGHTS("type is not accessed, writable data", SS), .broken = ss_type },
	{ "27.3.1.2", "SS.RPL is not CS.RPL, without unrestricted guest",
	  .broken = ss_rpl, OF2(GUEST_SS_SELECTOR, GUEST_CS_SELECTOR) },
	{ "27.3.1.2", "SS.DPL is not SS.RPL, without unrestricted guest",
	  .broken = ss_dpl_rpl, OF2(GUEST_SS_AR_BYTES, GUEST_SS_SELECTOR) },
	{ "27.3.1.2", "SS.DPL is not 0 in real mode",
	  .broken = ss_dpl_real, OF3(GUEST_SS_AR_BYTES, GUEST_CS_AR_BYTES, GUEST_CR0) },
	BASE_32(SS),
	CODE_OR_DATA(SS),
	DATA(DS), BASE_32(DS),
	DATA(ES), BASE_32(ES),
	DATA(FS), { SEGMENT_BASE("base is not canonical", FS), .broken = base_not_canonical },
	DATA(GS), { SEGMENT_BASE("base is not canonical", GS), .broken = base_not_canonical },
	{ SEGMENT_RIGHTS("type is not a busy TSS (of 32 or 64 bits in IA-32e mode)", TR), .broken = tr_type },
	{ SEGMENT_RIGHTS("access rights say unusable", TR), .broken = is_unusable },
	SYSTEM(TR),
	{ SEGMENT_RIGHTS("type is not LDT", LDTR), .broken = ldtr_type },
	SYSTEM(LDTR),

	/* guest descriptor-table registers */
	{ "27.3.1.3", "GDTR.base is not canonical", .broken = not_canonical, OF(GUEST_GDTR_BASE) },
	{ "27.3.1.3", "IDTR.base is not canonical", .broken = not_canonical, OF(GUEST_IDTR_BASE) },
	{ "27.3.1.3", "GDTR.limit is above 0xffff",
	  .bits = reserved, .arg = GENMASK_ULL(31, 16), OF(GUEST_GDTR_LIMIT) },
	{ "27.3.1.3", "IDTR.limit is above 0xffff",
	  .bits = reserved, .arg = GENMASK_ULL(31, 16), OF(GUEST_IDTR_LIMIT) },

	/* guest RIP, RFLAGS, SSP */
	{ "27.3.1.4", "RIP is beyond 4 GiB outside 64-bit mode",
	  .bits = over_32, OF3(GUEST_RIP, VM_ENTRY_CONTROLS, GUEST_CS_AR_BYTES) },
	{ "27.3.1.4", "RIP is beyond the linear-address width", .broken = bits_differ, OF(GUEST_RIP) },
	{ "27.3.1.4", "RFLAGS has reserved bits set",
	  .bits = reserved, .arg = RFLAGS_RESERVED, OF(GUEST_RFLAGS) },
	{ "27.3.1.4", "RFLAGS bit 1 is 0", .broken = rflags_fixed, OF(GUEST_RFLAGS) },
	{ "27.3.1.4", "RFLAGS.VM is 1 in IA-32e or real mode",
	  .broken = v8086_impossible, OF3(GUEST_RFLAGS, VM_ENTRY_CONTROLS, GUEST_CR0) },
	{ "27.3.1.4", "an interrupt is to be delivered although RFLAGS.IF is 0",
	  .broken = interrupt_despite_if, OF2(GUEST_RFLAGS, VM_ENTRY_INTR_INFO_FIELD) },
	{ "27.3.1.4", "SSP is not a multiple of 4",
	  .bits = ssp_bits, OF(GUEST_SSP), IF_ENTRY(ENTRY_LOAD_CET) },
	{ "27.3.1.4", "SSP is beyond 4 GiB outside 64-bit mode",
	  .bits = over_32, OF(GUEST_SSP), IF_ENTRY(ENTRY_LOAD_CET) },
	{ "27.3.1.4", "SSP is beyond the linear-address width",
	  .broken = bits_differ, OF(GUEST_SSP), IF_ENTRY(ENTRY_LOAD_CET) },

	/* guest non-register state */
	{ "27.3.1.5", "the activity state is none that this processor enters",
	  .broken = activity_unknown, OF(GUEST_ACTIVITY_STATE) },
	{ "27.3.1.5", "the activity state is HLT although SS.DPL is not 0",
	  .broken = halted_at_user, OF2(GUEST_ACTIVITY_STATE, GUEST_SS_AR_BYTES) },
	{ "27.3.1.5", "the activity state is not active although STI or MOV SS blocks interrupts",
	  .broken = inactive_in_shadow, OF2(GUEST_ACTIVITY_STATE, GUEST_INTERRUPTIBILITY_INFO) },
	{ "27.3.1.5", "an event is to be delivered that does not end the activity state",
	  .broken = event_while_inactive, OF2(GUEST_ACTIVITY_STATE, VM_ENTRY_INTR_INFO_FIELD) },
	{ "27.3.1.5", "the interruptibility state has reserved bits set",
	  .bits = reserved, .arg = GENMASK_ULL(31, 5), OF(GUEST_INTERRUPTIBILITY_INFO) },
	{ "27.3.1.5", "blocking by STI and by MOV SS at a time",
	  .broken = both_shadows, OF(GUEST_INTERRUPTIBILITY_INFO) },
	{ "27.3.1.5", "blocking by STI although RFLAGS.IF is 0",
	  .broken = sti_without_if, OF2(GUEST_INTERRUPTIBILITY_INFO, GUEST_RFLAGS) },
	{ "27.3.1.5", "an interrupt is to be delivered although STI or MOV SS blocks it",
	  .broken = interrupt_in_shadow, OF2(GUEST_INTERRUPTIBILITY_INFO, VM_ENTRY_INTR_INFO_FIELD) },
	{ "27.3.1.5", "an NMI is to be delivered although MOV SS blocks it",
	  .broken = nmi_in_shadow, OF2(GUEST_INTERRUPTIBILITY_INFO, VM_ENTRY_INTR_INFO_FIELD) },
	{ "27.3.1.5", "blocking by SMI outside SMM",
	  .broken = smi_blocked, OF(GUEST_INTERRUPTIBILITY_INFO) },
	{ "27.3.1.5", "an NMI is to be delivered although NMIs are blocked",
	  .broken = nmi_blocked, OF2(GUEST_INTERRUPTIBILITY_INFO, VM_ENTRY_INTR_INFO_FIELD) },
	{ "27.3.1.5", "enclave interruption without SGX or with blocking by MOV SS",
	  .broken = enclave, OF(GUEST_INTERRUPTIBILITY_INFO) },
	{ "27.3.1.5", "the pending debug exceptions have reserved bits set",
	  .bits = pending_reserved, OF(GUEST_PENDING_DBG_EXCEPTIONS) },
	{ "27.3.1.5", "pending debug exceptions lack BS although RFLAGS.TF is 1 and IA32_DEBUGCTL.BTF 0, in a shadow or HLT",
	  .broken = step_missing, OF4(GUEST_PENDING_DBG_EXCEPTIONS, GUEST_RFLAGS, GUEST_IA32_DEBUGCTL,
				      GUEST_INTERRUPTIBILITY_INFO) },
	{ "27.3.1.5", "pending debug exceptions have BS although RFLAGS.TF is 0 or IA32_DEBUGCTL.BTF 1, in a shadow or HLT",
	  .broken = step_too_many, OF4(GUEST_PENDING_DBG_EXCEPTIONS, GUEST_RFLAGS, GUEST_IA32_DEBUGCTL,
				       GUEST_INTERRUPTIBILITY_INFO) },
	{ "27.3.1.5", "pending debug exceptions have RTM without TSX, or not with an enabled breakpoint alone",
	  .broken = bad_rtm, OF2(GUEST_PENDING_DBG_EXCEPTIONS, GUEST_INTERRUPTIBILITY_INFO) },
	{ "27.3.1.5", "the VMCS link pointer is neither all ones nor a page of physical memory",
	  .bits = bad_link, OF(VMCS_LINK_POINTER) },

	/* guest page-directory-pointer-table entries */
	{ "27.3.1.6", "PDPTE0 has reserved bits set", .bits = bad_pdpte, OF(GUEST_PDPTR0) },
	{ "27.3.1.6", "PDPTE1 has reserved bits set", .bits = bad_pdpte, OF(GUEST_PDPTR1) },
	{ "27.3.1.6", "PDPTE2 has reserved bits set", .bits = bad_pdpte, OF(GUEST_PDPTR2) },
	{ "27.3.1.6", "PDPTE3 has reserved bits set", .bits = bad_pdpte, OF(GUEST_PDPTR3) },
};

const unsigned int vmx_rule_count = ARRAY_SIZE(vmx_rules);

/* ---- asking it ---- */

static u64 wrong(const struct vmx_state *s, const struct vmx_rule *rule)
{
	if (rule->control && !on(s, rule->word, rule->control))
		return 0;
	return rule->bits ? rule->bits(s, rule) : rule->broken(s, rule);
}

bool vmx_rule_broken(const struct vmx_state *s, const struct vmx_rule *rule)
{
	return wrong(s, rule);
}

/* How many rules does the state break? */
unsigned int vmx_rules_broken(const struct vmx_state *s)
{
	return vmx_explain(s, NULL, 0);
}

#define FIELD_NAME(symbol, encoding, name) \
	[VMX_AT_##symbol] = name,
static const char * const field_names[] = { VMX_FIELDS(FIELD_NAME, FIELD_NAME) };
#undef FIELD_NAME

/**
 * vmx_rule_text - a broken rule in words.
 * @s: the state that breaks it.
 * @rule: the rule.
 * @text: for the sentence, its section, and the values of its fields, as far as they may be told.
 * @size: bytes at @text.
 *
 * Return: the length; no more than @size - 1.
 */
int vmx_rule_text(const struct vmx_state *s, const struct vmx_rule *rule, char *text, size_t size)
{
	int i, field, n = scnprintf(text, size, "%s (SDM %s):", rule->says, rule->section);
	u64 told;

	for (i = 0; i < rule->count; i++) {
		field = rule->fields[i];
		told = ~s->hidden[field];
		n += scnprintf(text + n, size - n, "%s %s", i ? "," : "", field_names[field]);
		n += told ? scnprintf(text + n, size - n, " %#llx", s->field[field] & told) :
			    scnprintf(text + n, size - n, " (for root)");
	}
	if (rule->bits && !s->hidden[rule->fields[0]])
		n += scnprintf(text + n, size - n, ", wrong bits %#llx", wrong(s, rule));
	return n;
}

/**
 * vmx_explain - the rules that a state breaks, a line each.
 * @s: the state.
 * @text: for the lines, ended by a zero; what does not fit is left out, rule by rule.
 * @size: bytes at @text; 0: only count.
 *
 * Return: how many rules are broken, whether there was room for them or not.
 */
unsigned int vmx_explain(const struct vmx_state *s, char *text, size_t size)
{
	unsigned int i, broken = 0;
	size_t used = 0;
	char line[384];
	int n;

	for (i = 0; i < vmx_rule_count; i++) {
		if (!vmx_rule_broken(s, &vmx_rules[i]))
			continue;
		broken++;
		n = vmx_rule_text(s, &vmx_rules[i], line, sizeof(line));
		if (used + n + 2 > size)
			continue;
		memcpy(text + used, line, n);
		used += n;
		text[used++] = '\n';
	}
	if (size)
		text[used] = 0;
	return broken;
}

#define INSTRUCTION_ERROR(number, text) \
	[number] = text,
static const char * const instruction_errors[] = { VMX_INSTRUCTION_ERRORS(INSTRUCTION_ERROR) };
#undef INSTRUCTION_ERROR

/* The manual's name of a VM-instruction error (SDM table 31-1) */
const char *vmx_instruction_error(u32 error)
{
	if (error < ARRAY_SIZE(instruction_errors) && instruction_errors[error])
		return instruction_errors[error];
	return "an error that the manual does not name";
}
