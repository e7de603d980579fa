/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Why the processor refuses to enter a guest: the manual's checks as a table of rules over a snapshot
 * of the VMCS. See explain.c; refused.c takes the snapshot.
 */
#ifndef THV_VMX_EXPLAIN_H
#define THV_VMX_EXPLAIN_H

#include <linux/types.h>
#include "fields.h"

/* Of a control word: bits that must be 1, and those that may be (the capability MSRs, SDM A.2 to A.5) */
struct vmx_word {
	u32 must;
	u32 may;
};

/* What the processor allows, as far as a rule asks */
struct vmx_entry_caps {
	struct vmx_word pin, cpu, cpu2, exit, entry;
	u64 basic;		/* IA32_VMX_BASIC and its like */
	u64 misc;
	u64 ept_vpid;
	u64 cr0_fixed0, cr0_fixed1, cr4_fixed0, cr4_fixed1;
	u64 debugctl;		/* bits of IA32_DEBUGCTL that exist */
	u64 perf_global_ctrl;	/* ... and of IA32_PERF_GLOBAL_CTRL */
	u64 cr3_flags;		/* bits of CR3 above the address: linear-address masking */
	u32 phys_bits;
	u32 linear_bits;
	bool rtm;
	bool bus_lock;		/* bus locks may be debug exceptions */
	bool sgx;
};

struct vmx_state {
	u64 field[VMX_FIELD_COUNT];	/* by enum vmx_field_place; 0: the processor has no such field */
	u64 hidden[VMX_FIELD_COUNT];	/* bits of it that vmx_rule_text() does not tell */
	struct vmx_entry_caps caps;
};

#define VMX_RULE_FIELDS	4

/**
 * struct vmx_rule - one check of VM entry.
 * @section: of the SDM.
 * @says: what is wrong if the rule is broken.
 * @bits: the bits of the field(s) that break it, 0 if it is kept. Or:
 * @broken: is it?
 * @word, @control: the rule is for entries with this control set (a place, a bit); 0: for all.
 * @arg: for @bits and @broken.
 * @fields, @count: the fields concerned; bits are those of the first.
 */
struct vmx_rule {
	const char *section;
	const char *says;
	u64 (*bits)(const struct vmx_state *s, const struct vmx_rule *rule);
	bool (*broken)(const struct vmx_state *s, const struct vmx_rule *rule);
	u64 arg;
	u32 control;
	u8 word;
	u8 count;
	u8 fields[VMX_RULE_FIELDS];
};

extern const struct vmx_rule vmx_rules[];
extern const unsigned int vmx_rule_count;

bool vmx_rule_broken(const struct vmx_state *s, const struct vmx_rule *rule);
unsigned int vmx_rules_broken(const struct vmx_state *s);
int vmx_rule_text(const struct vmx_state *s, const struct vmx_rule *rule, char *text, size_t size);
unsigned int vmx_explain(const struct vmx_state *s, char *text, size_t size);
const char *vmx_instruction_error(u32 error);

#endif
