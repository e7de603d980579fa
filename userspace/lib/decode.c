// SPDX-License-Identifier: GPL-2.0-only
/* Bits in words: registers (SDM volume 3, chapter 2), segments, events, MSRs. */
#include "lib/decode.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define BIT(n)		(1ULL << (n))

const struct decode_bit decode_cr0[] = {
	{ BIT(0), "PE" }, { BIT(1), "MP" }, { BIT(2), "EM" }, { BIT(3), "TS" }, { BIT(4), "ET" },
	{ BIT(5), "NE" }, { BIT(16), "WP" }, { BIT(18), "AM" }, { BIT(29), "NW" },
	{ BIT(30), "CD" }, { BIT(31), "PG" }, { 0 }
};

const struct decode_bit decode_cr4[] = {
	{ BIT(0), "VME" }, { BIT(1), "PVI" }, { BIT(2), "TSD" }, { BIT(3), "DE" },
	{ BIT(4), "PSE" }, { BIT(5), "PAE" }, { BIT(6), "MCE" }, { BIT(7), "PGE" },
	{ BIT(8), "PCE" }, { BIT(9), "OSFXSR" }, { BIT(10), "OSXMMEXCPT" }, { BIT(11), "UMIP" },
	{ BIT(12), "LA57" }, { BIT(13), "VMXE" }, { BIT(14), "SMXE" }, { BIT(16), "FSGSBASE" },
	{ BIT(17), "PCIDE" }, { BIT(18), "OSXSAVE" }, { BIT(19), "KL" }, { BIT(20), "SMEP" },
	{ BIT(21), "SMAP" }, { BIT(22), "PKE" }, { BIT(23), "CET" }, { BIT(24), "PKS" },
	{ BIT(25), "UINTR" }, { BIT(28), "LAM_SUP" }, { 0 }
};

const struct decode_bit decode_efer[] = {
	{ BIT(0), "SCE" }, { BIT(8), "LME" }, { BIT(10), "LMA" }, { BIT(11), "NXE" },
	{ BIT(12), "SVME" }, { BIT(14), "FFXSR" }, { 0 }
};

/* Bit 1 is always set, and says nothing: it has an empty name */
const struct decode_bit decode_rflags[] = {
	{ BIT(0), "CF" }, { BIT(1), "" }, { BIT(2), "PF" }, { BIT(4), "AF" }, { BIT(6), "ZF" },
	{ BIT(7), "SF" }, { BIT(8), "TF" }, { BIT(9), "IF" }, { BIT(10), "DF" },
	{ BIT(11), "OF" }, { BIT(12) | BIT(13), "IOPL" }, { BIT(14), "NT" }, { BIT(16), "RF" },
	{ BIT(17), "VM" }, { BIT(18), "AC" }, { BIT(19), "VIF" }, { BIT(20), "VIP" },
	{ BIT(21), "ID" }, { 0 }
};

/* SDM 18.2.3: bits 11 and 16 are 0 for what happened; reserved bits that read as 1 say nothing */
const struct decode_bit decode_dr6[] = {
	{ BIT(0), "B0" }, { BIT(1), "B1" }, { BIT(2), "B2" }, { BIT(3), "B3" },
	{ BIT(13), "BD" }, { BIT(14), "BS" }, { BIT(15), "BT" },
	{ 0xffff0ff0ULL, "" }, { 0 }
};

const struct decode_bit decode_dr7[] = {
	{ BIT(0), "L0" }, { BIT(1), "G0" }, { BIT(2), "L1" }, { BIT(3), "G1" }, { BIT(4), "L2" },
	{ BIT(5), "G2" }, { BIT(6), "L3" }, { BIT(7), "G3" }, { BIT(8), "LE" }, { BIT(9), "GE" },
	{ BIT(10), "" }, { BIT(11), "RTM" }, { BIT(13), "GD" },
	{ 3ULL << 16, "R/W0" }, { 3ULL << 18, "LEN0" }, { 3ULL << 20, "R/W1" },
	{ 3ULL << 22, "LEN1" }, { 3ULL << 24, "R/W2" }, { 3ULL << 26, "LEN2" },
	{ 3ULL << 28, "R/W3" }, { 3ULL << 30, "LEN3" }, { 0 }
};

/* SDM 4.7 */
const struct decode_bit decode_page_fault[] = {
	{ BIT(0), "present" }, { BIT(1), "write" }, { BIT(2), "user" }, { BIT(3), "reserved bit" },
	{ BIT(4), "instruction fetch" }, { BIT(5), "protection key" }, { BIT(6), "shadow stack" },
	{ BIT(15), "SGX" }, { 0 }
};

const struct decode_bit decode_apic_base[] = {
	{ BIT(8), "BSP" }, { BIT(10), "EXTD" }, { BIT(11), "EN" }, { 0xffffffffff000ULL, "base" },
	{ 0 }
};

const struct decode_msr decode_msrs[] = {
	{ 0x10, "IA32_TIME_STAMP_COUNTER" }, { 0x1b, "IA32_APIC_BASE" },
	{ 0x3a, "IA32_FEATURE_CONTROL" }, { 0x3b, "IA32_TSC_ADJUST" }, { 0x48, "IA32_SPEC_CTRL" },
	{ 0xfe, "IA32_MTRRCAP" }, { 0x10a, "IA32_ARCH_CAPABILITIES" },
	{ 0x174, "IA32_SYSENTER_CS" }, { 0x175, "IA32_SYSENTER_ESP" },
	{ 0x176, "IA32_SYSENTER_EIP" }, { 0x1a0, "IA32_MISC_ENABLE" }, { 0x1d9, "IA32_DEBUGCTL" },
	{ 0x277, "IA32_PAT" }, { 0x2ff, "IA32_MTRR_DEF_TYPE" }, { 0x6e0, "IA32_TSC_DEADLINE" },
	{ 0xda0, "IA32_XSS" }, { 0xc0000080, "IA32_EFER" }, { 0xc0000081, "IA32_STAR" },
	{ 0xc0000082, "IA32_LSTAR" }, { 0xc0000083, "IA32_CSTAR" }, { 0xc0000084, "IA32_FMASK" },
	{ 0xc0000100, "IA32_FS_BASE" }, { 0xc0000101, "IA32_GS_BASE" },
	{ 0xc0000102, "IA32_KERNEL_GS_BASE" }, { 0xc0000103, "IA32_TSC_AUX" }, { 0 }
};

/* ---- lists of words ----------------------------------------------------- */

__attribute__((format(printf, 4, 5)))
static void add(char *text, size_t size, const char *between, const char *format, ...)
{
	size_t used = strlen(text);
	va_list arguments;

	if (used)
		used += snprintf(text + used, size - used, "%s", between);
	if (used >= size)
		return;
	va_start(arguments, format);
	vsnprintf(text + used, size - used, format, arguments);
	va_end(arguments);
}

static bool is_field(u64 mask)
{
	return mask & (mask - 1);
}

/* "bit 6", or of several in a row "bits 6-15" */
static void add_unnamed(u64 value, const char *between, char *text, size_t size)
{
	int n, first;

	for (n = 0; n < 64; n++) {
		if (!(value & BIT(n)))
			continue;
		first = n;
		while (n < 63 && (value & BIT(n + 1)))
			n++;
		if (n == first)
			add(text, size, between, "bit %d", n);
		else
			add(text, size, between, "bits %d-%d", first, n);
	}
}

char *decode_bits(u64 value, const struct decode_bit *bits, const char *between, char *text,
		  size_t size)
{
	*text = 0;
	for (; bits->mask; value &= ~bits->mask, bits++) {
		if (!(value & bits->mask) || !*bits->name)
			continue;
		if (is_field(bits->mask))
			add(text, size, between, "%s=%llx", bits->name,
			    (value & bits->mask) / (bits->mask & -bits->mask));
		else
			add(text, size, between, "%s", bits->name);
	}
	add_unnamed(value, between, text, size);
	return text;
}

/* ---- segments (SDM 3.4.5.1, 3.5) ---------------------------------------- */

static const char *const system_types[16] = {
	[1] = "available 16-bit TSS", [2] = "LDT", [3] = "busy 16-bit TSS",
	[9] = "available 64/32-bit TSS", [11] = "busy 64/32-bit TSS",
};

static void add_code_or_data(u32 attributes, char *text, size_t size)
{
	bool code = attributes & 8;

	add(text, size, ", ", "%s", code ? "code" : "data");
	if (code)
		add(text, size, ", ", "%s", attributes & THV_SEG_L ? "64-bit" :
		    attributes & THV_SEG_DB ? "32-bit" : "16-bit");
	if (attributes & 4)
		add(text, size, ", ", "%s", code ? "conforming" : "expands down");
	if (attributes & 2)
		add(text, size, ", ", "%s", code ? "readable" : "writable");
	if (attributes & 1)
		add(text, size, ", ", "accessed");
}

char *decode_segment(u32 attributes, char *text, size_t size)
{
	const char *type = system_types[attributes & THV_SEG_TYPE];

	*text = 0;
	if (attributes & THV_SEG_UNUSABLE) {
		add(text, size, "", "unusable");
		return text;
	}
	if (attributes & THV_SEG_S)
		add_code_or_data(attributes, text, size);
	else
		add(text, size, ", ", "%s", type ? type : "system");
	add(text, size, ", ", "DPL %u", (attributes & THV_SEG_DPL) >> 5);
	if (!(attributes & THV_SEG_P))
		add(text, size, ", ", "not present");
	return text;
}

/* ---- events ------------------------------------------------------------- */

static const char *const exceptions[32] = {
	[0] = "#DE", [1] = "#DB", [2] = "NMI", [3] = "#BP", [4] = "#OF", [5] = "#BR", [6] = "#UD",
	[7] = "#NM", [8] = "#DF", [10] = "#TS", [11] = "#NP", [12] = "#SS", [13] = "#GP",
	[14] = "#PF", [16] = "#MF", [17] = "#AC", [18] = "#MC", [19] = "#XM", [20] = "#VE",
	[21] = "#CP",
};

static const char *exception(u32 vector)
{
	return vector < 32 && exceptions[vector] ? exceptions[vector] : "exception";
}

static const struct decode_bit blocking[] = {
	{ THV_EVENT_NMI_BLOCKED, "NMIs, until IRET" },
	{ THV_EVENT_STI_SHADOW, "interrupts, for one instruction after STI" },
	{ THV_EVENT_MOVSS_SHADOW, "interrupts and debug exceptions, for one instruction after MOV SS" },
	{ ~0ULL, "" }, { 0 }
};

static const char *activity(u32 mp_state)
{
	static const char *const names[] = {
		[THV_MP_RUNNING] = "running", [THV_MP_HALTED] = "halted (HLT)",
		[THV_MP_WAIT_SIPI] = "waiting for a start-up IPI",
	};

	return mp_state < ARRAY_SIZE(names) ? names[mp_state] : "unknown";
}

static void pending_exception(const struct thv_event_state *events, char *text, size_t size)
{
	add(text, size, "; ", "%s (vector %u)", exception(events->exception_vector),
	    events->exception_vector);
	if (events->flags & THV_EVENT_ERROR_CODE)
		add(text, size, ", ", "error code %#x", events->exception_error);
	if (events->flags & THV_EVENT_PAYLOAD)
		add(text, size, ", ", "%s %#llx", events->exception_vector == 14 ? "CR2" : "DR6",
		    events->exception_payload);
}

/* SDM table 25-17 */
static void injected_event(u32 info, u32 error, char *text, size_t size)
{
	static const char *const types[8] = {
		"external interrupt", "reserved type", "NMI", "hardware exception",
		"software interrupt", "privileged software exception", "software exception",
		"other event",
	};
	u32 type = info >> 8 & 7, vector = info & 0xff;

	add(text, size, "; ", "%s, vector %u", types[type], vector);
	if (type == 3)
		add(text, size, " ", "(%s)", exception(vector));
	if (info & BIT(11))
		add(text, size, ", ", "error code %#x", error);
}

static void pending(const struct thv_event_state *events, char *text, size_t size)
{
	if (events->flags & THV_EVENT_EXCEPTION)
		pending_exception(events, text, size);
	if (events->flags & THV_EVENT_NMI_PENDING)
		add(text, size, "; ", "NMI");
	if (events->flags & THV_EVENT_INIT)
		add(text, size, "; ", "INIT");
	if (events->flags & THV_EVENT_SIPI)
		add(text, size, "; ", "start-up IPI, vector %#x", events->sipi_vector);
	if (events->pending_debug)
		add(text, size, "; ", "debug exception, DR6 %#llx", events->pending_debug);
}

void decode_events(const struct thv_event_state *events, decode_line *line, void *opaque)
{
	char text[DECODE_TEXT] = "";

	line(opaque, "activity", activity(events->mp_state));
	pending(events, text, sizeof(text));
	line(opaque, "pending", *text ? text : "nothing");
	*text = 0;
	if (events->flags & THV_EVENT_REINJECT)
		injected_event(events->reinject, events->reinject_error, text, sizeof(text));
	line(opaque, "to deliver again", *text ? text : "nothing");
	decode_bits(events->flags, blocking, "; ", text, sizeof(text));
	line(opaque, "blocked", *text ? text : "nothing");
}

/* ---- the local APIC (SDM chapter 11) ------------------------------------ */

static u32 apic_register(const struct thv_apic *apic, u32 offset)
{
	u32 value;

	memcpy(&value, apic->regs + offset, sizeof(value));
	return value;
}

/* SDM 11.4.3: bits EN and EXTD of IA32_APIC_BASE */
static const char *apic_mode(u64 base)
{
	static const char *const modes[] = { "disabled", "invalid", "xAPIC", "x2APIC" };

	return modes[base >> 10 & 3];
}

/* A vector's bit is in register n / 32, 16 bytes apart */
static void apic_vectors(const struct thv_apic *apic, u32 offset, char *text, size_t size)
{
	u32 n;

	*text = 0;
	for (n = 0; n < 256; n++)
		if (apic_register(apic, offset + n / 32 * 16) >> n % 32 & 1)
			add(text, size, " ", "%02x", n);
}

/* SDM figure 11-8 */
static void apic_entry(u32 lvt, bool timer, char *text, size_t size)
{
	static const char *const modes[8] = {
		"fixed", "reserved", "SMI", "reserved", "NMI", "INIT", "reserved", "ExtINT",
	};
	static const char *const timers[4] = { "one-shot", "periodic", "TSC-deadline", "reserved" };

	*text = 0;
	add(text, size, ", ", "vector %02x", lvt & 0xff);
	add(text, size, ", ", "%s", timer ? timers[lvt >> 17 & 3] : modes[lvt >> 8 & 7]);
	if (!timer && (lvt & BIT(15)))
		add(text, size, ", ", "level");
	if (!timer && (lvt & BIT(13)))
		add(text, size, ", ", "active low");
	if (lvt & BIT(12))
		add(text, size, ", ", "pending");
	if (lvt & BIT(16))
		add(text, size, ", ", "masked");
}

static void apic_timer(const struct thv_apic *apic, char *text, size_t size)
{
	u32 divide = apic_register(apic, 0x3e0);
	u32 shift = ((divide & 3) | (divide >> 1 & 4)) + 1;	/* SDM figure 11-10 */

	*text = 0;
	if ((apic_register(apic, 0x320) >> 17 & 3) == 2)
		add(text, size, ", ", apic->tsc_deadline ? "deadline TSC %llu" : "not armed",
		    apic->tsc_deadline);
	else
		add(text, size, ", ", "initial count %u, current %u, divided by %u",
		    apic_register(apic, 0x380), apic_register(apic, 0x390), 1u << shift % 8);
	if (apic->timer_remaining)
		add(text, size, ", ", "fires in %llu us", apic->timer_remaining / 1000);
}

static void apic_identity(const struct thv_apic *apic, decode_line *line, void *opaque)
{
	u32 id = apic_register(apic, 0x20), spurious = apic_register(apic, 0xf0);
	bool x2apic = (apic->base >> 10 & 3) == 3;
	char text[100];

	snprintf(text, sizeof(text), "%s, base %#llx%s", apic_mode(apic->base),
		 apic->base & 0xffffffffff000ULL, apic->base & BIT(8) ? ", bootstrap processor" : "");
	line(opaque, "mode", text);
	snprintf(text, sizeof(text), "%u", x2apic ? id : id >> 24);
	line(opaque, "ID", text);
	snprintf(text, sizeof(text), "%s, spurious vector %02x",
		 spurious & BIT(8) ? "enabled" : "disabled by software", spurious & 0xff);
	line(opaque, "interrupts", text);
	snprintf(text, sizeof(text), "%02x", apic_register(apic, 0x80) & 0xff);
	line(opaque, "TPR", text);
}

void decode_apic(const struct thv_apic *apic, decode_line *line, void *opaque)
{
	static const struct { u32 offset; const char *name; } vectors[] = {
		{ 0x100, "ISR" }, { 0x200, "IRR" }, { 0x180, "TMR" },
	}, entries[] = {
		{ 0x320, "LVT timer" }, { 0x330, "LVT thermal" }, { 0x340, "LVT performance" },
		{ 0x350, "LVT LINT0" }, { 0x360, "LVT LINT1" }, { 0x370, "LVT error" },
	};
	char text[DECODE_TEXT];
	size_t i;

	apic_identity(apic, line, opaque);
	for (i = 0; i < ARRAY_SIZE(vectors); i++) {
		apic_vectors(apic, vectors[i].offset, text, sizeof(text));
		line(opaque, vectors[i].name, *text ? text : "none");
	}
	for (i = 0; i < ARRAY_SIZE(entries); i++) {
		apic_entry(apic_register(apic, entries[i].offset), !i, text, sizeof(text));
		line(opaque, entries[i].name, text);
	}
	apic_timer(apic, text, sizeof(text));
	line(opaque, "timer", text);
}
