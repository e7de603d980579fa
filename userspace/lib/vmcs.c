// SPDX-License-Identifier: GPL-2.0-only
/* A VMCS in words. Names come from the module's own list of the fields and exit reasons. */
#include "lib/vmcs.h"

#include <stdio.h>
#include <string.h>

#include "lib/decode.h"
#include "module/vmx/fields.h"
#include "module/vmx/reasons.h"

#define BIT(n)		(1ULL << (n))

#define FIELD_ENUM(symbol, encoding, name)	FIELD_##symbol = (encoding),
enum { VMX_FIELDS(FIELD_ENUM, FIELD_ENUM) };

/* Bits that must be 1 without a meaning (SDM A.2: the default1 classes) have empty names */

/* SDM table 25-5 */
static const struct decode_bit pin[] = {
	{ BIT(0), "external-interrupt exiting" }, { BIT(3), "NMI exiting" },
	{ BIT(5), "virtual NMIs" }, { BIT(6), "activate VMX-preemption timer" },
	{ BIT(7), "process posted interrupts" }, { 0x16, "" }, { 0 }
};

/* SDM table 25-6 */
static const struct decode_bit primary[] = {
	{ BIT(2), "interrupt-window exiting" }, { BIT(3), "use TSC offsetting" },
	{ BIT(7), "HLT exiting" }, { BIT(9), "INVLPG exiting" }, { BIT(10), "MWAIT exiting" },
	{ BIT(11), "RDPMC exiting" }, { BIT(12), "RDTSC exiting" },
	{ BIT(15), "CR3-load exiting" }, { BIT(16), "CR3-store exiting" },
	{ BIT(17), "activate tertiary controls" }, { BIT(19), "CR8-load exiting" },
	{ BIT(20), "CR8-store exiting" }, { BIT(21), "use TPR shadow" },
	{ BIT(22), "NMI-window exiting" }, { BIT(23), "MOV-DR exiting" },
	{ BIT(24), "unconditional I/O exiting" }, { BIT(25), "use I/O bitmaps" },
	{ BIT(27), "monitor trap flag" }, { BIT(28), "use MSR bitmaps" },
	{ BIT(29), "MONITOR exiting" }, { BIT(30), "PAUSE exiting" },
	{ BIT(31), "activate secondary controls" }, { 0x04006172, "" }, { 0 }
};

/* SDM table 25-7 */
static const struct decode_bit secondary[] = {
	{ BIT(0), "virtualize APIC accesses" }, { BIT(1), "enable EPT" },
	{ BIT(2), "descriptor-table exiting" }, { BIT(3), "enable RDTSCP" },
	{ BIT(4), "virtualize x2APIC mode" }, { BIT(5), "enable VPID" },
	{ BIT(6), "WBINVD exiting" }, { BIT(7), "unrestricted guest" },
	{ BIT(8), "APIC-register virtualization" }, { BIT(9), "virtual-interrupt delivery" },
	{ BIT(10), "PAUSE-loop exiting" }, { BIT(11), "RDRAND exiting" },
	{ BIT(12), "enable INVPCID" }, { BIT(13), "enable VM functions" },
	{ BIT(14), "VMCS shadowing" }, { BIT(15), "enable ENCLS exiting" },
	{ BIT(16), "RDSEED exiting" }, { BIT(17), "enable PML" }, { BIT(18), "EPT-violation #VE" },
	{ BIT(19), "conceal VMX from PT" }, { BIT(20), "enable XSAVES/XRSTORS" },
	{ BIT(21), "PASID translation" }, { BIT(22), "mode-based execute control for EPT" },
	{ BIT(23), "sub-page write permissions for EPT" },
	{ BIT(24), "Intel PT uses guest physical addresses" }, { BIT(25), "use TSC scaling" },
	{ BIT(26), "enable user wait and pause" }, { BIT(27), "enable PCONFIG" },
	{ BIT(28), "enable ENCLV exiting" }, { BIT(30), "VMM bus-lock detection" },
	{ BIT(31), "instruction timeout" }, { 0 }
};

/* SDM table 25-13 */
static const struct decode_bit exit_controls[] = {
	{ BIT(2), "save debug controls" }, { BIT(9), "host address-space size" },
	{ BIT(12), "load IA32_PERF_GLOBAL_CTRL" }, { BIT(15), "acknowledge interrupt on exit" },
	{ BIT(18), "save IA32_PAT" }, { BIT(19), "load IA32_PAT" }, { BIT(20), "save IA32_EFER" },
	{ BIT(21), "load IA32_EFER" }, { BIT(22), "save VMX-preemption timer value" },
	{ BIT(23), "clear IA32_BNDCFGS" }, { BIT(24), "conceal VMX from PT" },
	{ BIT(25), "clear IA32_RTIT_CTL" }, { BIT(26), "clear IA32_LBR_CTL" },
	{ BIT(27), "clear UINV" }, { BIT(28), "load CET state" }, { BIT(29), "load PKRS" },
	{ BIT(30), "save IA32_PERF_GLOBAL_CTRL" }, { BIT(31), "activate secondary controls" },
	{ 0x00036dfb, "" }, { 0 }
};

/* SDM table 25-16 */
static const struct decode_bit entry_controls[] = {
	{ BIT(2), "load debug controls" }, { BIT(9), "IA-32e mode guest" },
	{ BIT(10), "entry to SMM" }, { BIT(11), "deactivate dual-monitor treatment" },
	{ BIT(13), "load IA32_PERF_GLOBAL_CTRL" }, { BIT(14), "load IA32_PAT" },
	{ BIT(15), "load IA32_EFER" }, { BIT(16), "load IA32_BNDCFGS" },
	{ BIT(17), "conceal VMX from PT" }, { BIT(18), "load IA32_RTIT_CTL" },
	{ BIT(19), "load UINV" }, { BIT(20), "load CET state" }, { BIT(21), "load IA32_LBR_CTL" },
	{ BIT(22), "load PKRS" }, { 0x000011fb, "" }, { 0 }
};

/* SDM table 25-3 */
static const struct decode_bit interruptibility[] = {
	{ BIT(0), "blocking by STI" }, { BIT(1), "blocking by MOV SS" },
	{ BIT(2), "blocking by SMI" }, { BIT(3), "blocking by NMI" },
	{ BIT(4), "enclave interruption" }, { 0 }
};

/* SDM table 25-9: the length is one less than what the field says */
static const struct decode_bit eptp[] = {
	{ 0x7, "memory type" }, { 0x38, "walk length - 1" },
	{ BIT(6), "accessed and dirty flags" }, { BIT(7), "shadow-stack pages" },
	{ 0xffffffffff000ULL, "root" }, { 0 }
};

/* SDM table 25-17: the same for entry, exit and IDT vectoring */
static const struct decode_bit interruption[] = {
	{ 0xff, "vector" }, { 0x700, "type" }, { BIT(11), "error code" },
	{ BIT(12), "NMI unblocking due to IRET" }, { BIT(31), "valid" }, { 0 }
};

static const struct {
	u32 field;
	const struct decode_bit *bits;
} words[] = {
	{ FIELD_PIN_BASED_VM_EXEC_CONTROL, pin },
	{ FIELD_CPU_BASED_VM_EXEC_CONTROL, primary },
	{ FIELD_SECONDARY_VM_EXEC_CONTROL, secondary },
	{ FIELD_VM_EXIT_CONTROLS, exit_controls },
	{ FIELD_VM_ENTRY_CONTROLS, entry_controls },
	{ FIELD_EPT_POINTER, eptp },
	{ FIELD_GUEST_INTERRUPTIBILITY_INFO, interruptibility },
	{ FIELD_VM_ENTRY_INTR_INFO_FIELD, interruption },
	{ FIELD_VM_EXIT_INTR_INFO, interruption },
	{ FIELD_IDT_VECTORING_INFO_FIELD, interruption },
	{ FIELD_GUEST_CR0, decode_cr0 }, { FIELD_HOST_CR0, decode_cr0 },
	{ FIELD_CR0_GUEST_HOST_MASK, decode_cr0 }, { FIELD_CR0_READ_SHADOW, decode_cr0 },
	{ FIELD_GUEST_CR4, decode_cr4 }, { FIELD_HOST_CR4, decode_cr4 },
	{ FIELD_CR4_GUEST_HOST_MASK, decode_cr4 }, { FIELD_CR4_READ_SHADOW, decode_cr4 },
	{ FIELD_GUEST_IA32_EFER, decode_efer }, { FIELD_HOST_IA32_EFER, decode_efer },
	{ FIELD_GUEST_RFLAGS, decode_rflags }, { FIELD_GUEST_DR7, decode_dr7 },
};

struct named {
	u32 number;
	const char *name;
};

static const struct named fields[] = {
#define FIELD_NAME(symbol, encoding, name)	{ encoding, name },
	VMX_FIELDS(FIELD_NAME, FIELD_NAME)
};

static const struct named reasons[] = {
#define REASON_NAME(number, id, name)		{ number, name },
	VMX_BASIC_REASONS(REASON_NAME)
};

static const char *find(const struct named *named, size_t count, u32 number)
{
	for (; count; named++, count--)
		if (named->number == number)
			return named->name;
	return NULL;
}

const char *vmcs_field_name(u32 field)
{
	return find(fields, ARRAY_SIZE(fields), field);
}

int vmcs_field_digits(u32 field)
{
	static const int digits[] = {
		[VMX_WIDTH_16] = 4, [VMX_WIDTH_64] = 16, [VMX_WIDTH_32] = 8,
		[VMX_WIDTH_NATURAL] = 16,
	};

	return digits[VMX_FIELD_WIDTH(field)];
}

static const char *reason_name(u32 reason)
{
	const char *name = find(reasons, ARRAY_SIZE(reasons), reason);

	return name ? name : "unknown";
}

static bool is_access_rights(u32 field)
{
	return field >= FIELD_GUEST_ES_AR_BYTES && field <= FIELD_GUEST_TR_AR_BYTES;
}

static const char *activity(u64 state)
{
	static const char *const names[] = { "active", "HLT", "shutdown", "wait for SIPI" };

	return state < ARRAY_SIZE(names) ? names[state] : "unknown";
}

char *vmcs_field_words(u32 field, u64 value, char *text, size_t size)
{
	size_t i;

	*text = 0;
	for (i = 0; i < ARRAY_SIZE(words); i++)
		if (words[i].field == field)
			return decode_bits(value, words[i].bits, ", ", text, size);
	if (is_access_rights(field))
		return decode_segment(value, text, size);
	if (field == FIELD_VM_EXIT_REASON)
		snprintf(text, size, "%s%s", reason_name(value & 0xffff),
			 value & BIT(31) ? ", entry failed" : "");
	if (field == FIELD_GUEST_ACTIVITY_STATE)
		snprintf(text, size, "%s", activity(value));
	return text;
}
