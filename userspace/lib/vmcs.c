// SPDX-License-Identifier: GPL-2.0-only
/* The VMCS for people: names out of module/vmx/fields.h, bits as in SDM chapter 25. */
#include "lib/vmcs.h"

#include "lib/bits.h"
#include "lib/registers.h"
#include "module/vmx/fields.h"

/* ---- control words (SDM 25.6 to 25.8) ----------------------------------- */

static const struct bit_name pin_bits[] = {
	BIT_NAME(0, "external-interrupt-exiting"), BIT_NAME(3, "NMI-exiting"),
	BIT_NAME(5, "virtual-NMIs"), BIT_NAME(6, "preemption-timer"),
	BIT_NAME(7, "process-posted-interrupts"), BIT_NAME(1, "1"), BIT_NAME(2, "1"),
	BIT_NAME(4, "1"), { 0 }
};

static const struct bit_name cpu_bits[] = {
	BIT_NAME(2, "interrupt-window-exiting"), BIT_NAME(3, "TSC-offsetting"),
	BIT_NAME(7, "HLT-exiting"), BIT_NAME(9, "INVLPG-exiting"), BIT_NAME(10, "MWAIT-exiting"),
	BIT_NAME(11, "RDPMC-exiting"), BIT_NAME(12, "RDTSC-exiting"),
	BIT_NAME(15, "CR3-load-exiting"), BIT_NAME(16, "CR3-store-exiting"),
	BIT_NAME(17, "tertiary-controls"), BIT_NAME(19, "CR8-load-exiting"),
	BIT_NAME(20, "CR8-store-exiting"), BIT_NAME(21, "TPR-shadow"),
	BIT_NAME(22, "NMI-window-exiting"), BIT_NAME(23, "MOV-DR-exiting"),
	BIT_NAME(24, "unconditional-I/O-exiting"), BIT_NAME(25, "I/O-bitmaps"),
	BIT_NAME(27, "monitor-trap-flag"), BIT_NAME(28, "MSR-bitmaps"),
	BIT_NAME(29, "MONITOR-exiting"), BIT_NAME(30, "PAUSE-exiting"),
	BIT_NAME(31, "secondary-controls"), BIT_NAME(1, "1"), BIT_NAME(4, "1"), BIT_NAME(5, "1"),
	BIT_NAME(6, "1"), BIT_NAME(8, "1"), BIT_NAME(13, "1"), BIT_NAME(14, "1"),
	BIT_NAME(26, "1"), { 0 }
};

static const struct bit_name cpu2_bits[] = {
	BIT_NAME(0, "virtualize-APIC-accesses"), BIT_NAME(1, "EPT"),
	BIT_NAME(2, "descriptor-table-exiting"), BIT_NAME(3, "RDTSCP"),
	BIT_NAME(4, "virtualize-x2APIC"), BIT_NAME(5, "VPID"), BIT_NAME(6, "WBINVD-exiting"),
	BIT_NAME(7, "unrestricted-guest"), BIT_NAME(8, "APIC-register-virtualization"),
	BIT_NAME(9, "virtual-interrupt-delivery"), BIT_NAME(10, "PAUSE-loop-exiting"),
	BIT_NAME(11, "RDRAND-exiting"), BIT_NAME(12, "INVPCID"), BIT_NAME(13, "VM-functions"),
	BIT_NAME(14, "VMCS-shadowing"), BIT_NAME(15, "ENCLS-exiting"),
	BIT_NAME(16, "RDSEED-exiting"), BIT_NAME(17, "PML"), BIT_NAME(18, "EPT-violation-#VE"),
	BIT_NAME(19, "conceal-from-PT"), BIT_NAME(20, "XSAVES"),
	BIT_NAME(21, "PASID-translation"), BIT_NAME(22, "mode-based-execute"),
	BIT_NAME(23, "sub-page-write"), BIT_NAME(24, "PT-guest-physical"),
	BIT_NAME(25, "TSC-scaling"), BIT_NAME(26, "user-wait-and-pause"),
	BIT_NAME(27, "PCONFIG"), BIT_NAME(28, "ENCLV-exiting"),
	BIT_NAME(30, "bus-lock-detection"), BIT_NAME(31, "instruction-timeout"), { 0 }
};

static const struct bit_name exit_bits[] = {
	BIT_NAME(2, "save-debug-controls"), BIT_NAME(9, "host-64-bit"),
	BIT_NAME(12, "load-PERF_GLOBAL_CTRL"), BIT_NAME(15, "acknowledge-interrupt"),
	BIT_NAME(18, "save-PAT"), BIT_NAME(19, "load-PAT"), BIT_NAME(20, "save-EFER"),
	BIT_NAME(21, "load-EFER"), BIT_NAME(22, "save-preemption-timer"),
	BIT_NAME(23, "clear-BNDCFGS"), BIT_NAME(24, "conceal-from-PT"),
	BIT_NAME(25, "clear-RTIT_CTL"), BIT_NAME(26, "clear-LBR_CTL"),
	BIT_NAME(27, "clear-UINV"), BIT_NAME(28, "load-CET"), BIT_NAME(29, "load-PKRS"),
	BIT_NAME(30, "save-PERF_GLOBAL_CTRL"), BIT_NAME(31, "secondary-controls"),
	BIT_NAME(0, "1"), BIT_NAME(1, "1"), BIT_FIELD(3, 8, "1s"), BIT_FIELD(10, 11, "1s"),
	BIT_FIELD(13, 14, "1s"), BIT_FIELD(16, 17, "1s"), { 0 }
};

static const struct bit_name entry_bits[] = {
	BIT_NAME(2, "load-debug-controls"), BIT_NAME(9, "IA-32e-guest"), BIT_NAME(10, "SMM"),
	BIT_NAME(11, "deactivate-dual-monitor"), BIT_NAME(13, "load-PERF_GLOBAL_CTRL"),
	BIT_NAME(14, "load-PAT"), BIT_NAME(15, "load-EFER"), BIT_NAME(16, "load-BNDCFGS"),
	BIT_NAME(17, "conceal-from-PT"), BIT_NAME(18, "load-RTIT_CTL"),
	BIT_NAME(19, "load-UINV"), BIT_NAME(20, "load-CET"), BIT_NAME(21, "load-LBR_CTL"),
	BIT_NAME(22, "load-PKRS"), BIT_FIELD(0, 1, "1s"), BIT_FIELD(3, 8, "1s"),
	BIT_NAME(12, "1"), { 0 }
};

/* ---- other fields with bits --------------------------------------------- */

static const struct bit_name interruptibility_bits[] = {	/* SDM table 25-3 */
	BIT_NAME(0, "blocking-by-STI"), BIT_NAME(1, "blocking-by-MOV-SS"),
	BIT_NAME(2, "blocking-by-SMI"), BIT_NAME(3, "blocking-by-NMI"),
	BIT_NAME(4, "enclave-interruption"), { 0 }
};

static const char *const activities[] = { "active", "HLT", "shutdown", "wait-for-SIPI" };

static const struct bit_name activity_bits[] = { { 0, 1, "state", activities }, { 0 } };

static const char *const event_types[8] = {
	"interrupt", "reserved", "NMI", "exception", "INT-n", "INT1", "software-exception", "other",
};

/* VM-entry and VM-exit interruption information, IDT-vectoring information (SDM 25.8.3, 25.9.2) */
static const struct bit_name event_bits[] = {
	BIT_NAME(31, "valid"), BIT_FIELD(0, 7, "vector"), { 8, 10, "type", event_types },
	BIT_NAME(11, "error-code"), BIT_NAME(12, "NMI-unblocked"), { 0 }
};

static const struct bit_name pending_debug_bits[] = {	/* SDM table 25-4 */
	BIT_NAME(0, "B0"), BIT_NAME(1, "B1"), BIT_NAME(2, "B2"), BIT_NAME(3, "B3"),
	BIT_NAME(11, "BLD"), BIT_NAME(12, "enabled-breakpoint"), BIT_NAME(14, "BS"),
	BIT_NAME(16, "RTM"), { 0 }
};

static const char *const ept_types[8] = { "UC", "1", "2", "3", "4", "5", "WB", "7" };

static const struct bit_name eptp_bits[] = {		/* SDM table 25-9 */
	{ 0, 2, "type", ept_types }, BIT_FIELD(3, 5, "levels-1"), BIT_NAME(6, "accessed/dirty"),
	BIT_NAME(7, "supervisor-shadow-stack"), BIT_FIELD(12, 51, "table"), { 0 }
};

static const struct bit_name interrupt_status_bits[] = {	/* SDM 25.4.2 */
	BIT_FIELD(0, 7, "RVI"), BIT_FIELD(8, 15, "SVI"), { 0 }
};

static const struct bit_name exception_bits[] = {
	BIT_NAME(0, "#DE"), BIT_NAME(1, "#DB"), BIT_NAME(2, "NMI"), BIT_NAME(3, "#BP"),
	BIT_NAME(4, "#OF"), BIT_NAME(5, "#BR"), BIT_NAME(6, "#UD"), BIT_NAME(7, "#NM"),
	BIT_NAME(8, "#DF"), BIT_NAME(10, "#TS"), BIT_NAME(11, "#NP"), BIT_NAME(12, "#SS"),
	BIT_NAME(13, "#GP"), BIT_NAME(14, "#PF"), BIT_NAME(16, "#MF"), BIT_NAME(17, "#AC"),
	BIT_NAME(18, "#MC"), BIT_NAME(19, "#XM"), BIT_NAME(20, "#VE"), BIT_NAME(21, "#CP"), { 0 }
};

/* ---- exit reasons (SDM appendix C) -------------------------------------- */

static const char *const reasons[] = {
	"exception or NMI", "external interrupt", "triple fault", "INIT", "start-up IPI", "I/O SMI",
	"other SMI", "interrupt window", "NMI window", "task switch", "CPUID", "GETSEC", "HLT",
	"INVD", "INVLPG", "RDPMC", "RDTSC", "RSM", "VMCALL", "VMCLEAR", "VMLAUNCH", "VMPTRLD",
	"VMPTRST", "VMREAD", "VMRESUME", "VMWRITE", "VMXOFF", "VMXON", "control-register access",
	"MOV DR", "I/O instruction", "RDMSR", "WRMSR", "entry failure: guest state",
	"entry failure: MSR loading", "35", "MWAIT", "monitor trap flag", "38", "MONITOR", "PAUSE",
	"entry failure: machine check", "42", "TPR below threshold", "APIC access", "virtualized EOI",
	"GDTR or IDTR access", "LDTR or TR access", "EPT violation", "EPT misconfiguration", "INVEPT",
	"RDTSCP", "preemption timer", "INVVPID", "WBINVD", "XSETBV", "APIC write", "RDRAND", "INVPCID",
	"VMFUNC", "ENCLS", "RDSEED", "page-modification log full", "XSAVES", "XRSTORS", "PCONFIG",
	"SPP-related event", "UMWAIT", "TPAUSE", "LOADIWKEY",
};

static void reason_words(u64 value, char *text, size_t size)
{
	u32 basic = value & 0xffff;

	if (basic < ARRAY_SIZE(reasons))
		text_add(text, size, "%s", reasons[basic]);
	if (value >> 31 & 1)
		text_add(text, size, " (the entry failed)");
}

static void access_rights_words(u64 value, char *text, size_t size)
{
	segment_words(value, text, size);
}

/* How to tell the value of a field: by a table of bits, or a function */
static const struct {
	u32 first, last;
	const struct bit_name *bits;
	void (*words)(u64 value, char *text, size_t size);
} meanings[] = {
	{ 0x0810, 0x0810, interrupt_status_bits, NULL },
	{ 0x201a, 0x201a, eptp_bits, NULL },
	{ 0x2806, 0x2806, efer_bits, NULL },
	{ 0x2c02, 0x2c02, efer_bits, NULL },
	{ 0x4000, 0x4000, pin_bits, NULL },
	{ 0x4002, 0x4002, cpu_bits, NULL },
	{ 0x4004, 0x4004, exception_bits, NULL },
	{ 0x400c, 0x400c, exit_bits, NULL },
	{ 0x4012, 0x4012, entry_bits, NULL },
	{ 0x4016, 0x4016, event_bits, NULL },
	{ 0x401e, 0x401e, cpu2_bits, NULL },
	{ 0x4402, 0x4402, NULL, reason_words },
	{ 0x4404, 0x4404, event_bits, NULL },
	{ 0x4408, 0x4408, event_bits, NULL },
	{ 0x4814, 0x4822, NULL, access_rights_words },
	{ 0x4824, 0x4824, interruptibility_bits, NULL },
	{ 0x4826, 0x4826, activity_bits, NULL },
	{ 0x6000, 0x6000, cr0_bits, NULL },
	{ 0x6002, 0x6002, cr4_bits, NULL },
	{ 0x6004, 0x6004, cr0_bits, NULL },
	{ 0x6006, 0x6006, cr4_bits, NULL },
	{ 0x6800, 0x6800, cr0_bits, NULL },
	{ 0x6804, 0x6804, cr4_bits, NULL },
	{ 0x681a, 0x681a, dr7_bits, NULL },
	{ 0x6820, 0x6820, rflags_bits, NULL },
	{ 0x6822, 0x6822, pending_debug_bits, NULL },
	{ 0x6c00, 0x6c00, cr0_bits, NULL },
	{ 0x6c04, 0x6c04, cr4_bits, NULL },
};

char *vmcs_words(u32 encoding, u64 value, char *text, size_t size)
{
	size_t i;

	*text = 0;
	for (i = 0; i < ARRAY_SIZE(meanings); i++) {
		if (encoding < meanings[i].first || encoding > meanings[i].last)
			continue;
		if (meanings[i].bits == event_bits && !(value >> 31 & 1))
			return text;
		if (meanings[i].bits)
			bits_words(meanings[i].bits, value, text, size);
		else
			meanings[i].words(value, text, size);
	}
	return text;
}

/* ---- fields ------------------------------------------------------------- */

#define NAMED(symbol, encoding, name)	{ encoding, name },

static const struct {
	u32 encoding;
	const char *name;
} fields[] = {
	VMX_FIELDS(NAMED, NAMED)
};

const char *vmcs_name(u32 encoding)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(fields); i++)
		if (fields[i].encoding == encoding)
			return fields[i].name;
	return NULL;
}

const char *vmcs_kind(u32 encoding)
{
	static const char *const kinds[] = {
		[VMX_CONTROL] = "control", [VMX_READ_ONLY] = "read-only",
		[VMX_GUEST] = "guest", [VMX_HOST] = "host",
	};

	return kinds[VMX_FIELD_TYPE(encoding)];
}

unsigned int vmcs_digits(u32 encoding)
{
	static const u8 digits[] = {
		[VMX_WIDTH_16] = 4, [VMX_WIDTH_64] = 16, [VMX_WIDTH_32] = 8, [VMX_WIDTH_NATURAL] = 16,
	};

	return digits[VMX_FIELD_WIDTH(encoding)];
}
