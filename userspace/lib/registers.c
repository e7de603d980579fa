// SPDX-License-Identifier: GPL-2.0-only
/* The names of registers and of their bits (SDM 2.5, 3.4.3, 2.2.1, 18.2, 13.3). */
#include "lib/registers.h"

#include <string.h>

const char *const gpr_names[THV_GPRS] = {
	"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
	"r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
};

const char *const segment_names[THV_SEGMENTS] = {
	"es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr",
};

const struct bit_name rflags_bits[] = {
	BIT_NAME(0, "CF"), BIT_NAME(1, "1"), BIT_NAME(2, "PF"), BIT_NAME(4, "AF"),
	BIT_NAME(6, "ZF"), BIT_NAME(7, "SF"), BIT_NAME(8, "TF"), BIT_NAME(9, "IF"),
	BIT_NAME(10, "DF"), BIT_NAME(11, "OF"), BIT_FIELD(12, 13, "IOPL"), BIT_NAME(14, "NT"),
	BIT_NAME(16, "RF"), BIT_NAME(17, "VM"), BIT_NAME(18, "AC"), BIT_NAME(19, "VIF"),
	BIT_NAME(20, "VIP"), BIT_NAME(21, "ID"), { 0 }
};

const struct bit_name cr0_bits[] = {
	BIT_NAME(0, "PE"), BIT_NAME(1, "MP"), BIT_NAME(2, "EM"), BIT_NAME(3, "TS"),
	BIT_NAME(4, "ET"), BIT_NAME(5, "NE"), BIT_NAME(16, "WP"), BIT_NAME(18, "AM"),
	BIT_NAME(29, "NW"), BIT_NAME(30, "CD"), BIT_NAME(31, "PG"), { 0 }
};

const struct bit_name cr4_bits[] = {
	BIT_NAME(0, "VME"), BIT_NAME(1, "PVI"), BIT_NAME(2, "TSD"), BIT_NAME(3, "DE"),
	BIT_NAME(4, "PSE"), BIT_NAME(5, "PAE"), BIT_NAME(6, "MCE"), BIT_NAME(7, "PGE"),
	BIT_NAME(8, "PCE"), BIT_NAME(9, "OSFXSR"), BIT_NAME(10, "OSXMMEXCPT"),
	BIT_NAME(11, "UMIP"), BIT_NAME(12, "LA57"), BIT_NAME(13, "VMXE"), BIT_NAME(14, "SMXE"),
	BIT_NAME(16, "FSGSBASE"), BIT_NAME(17, "PCIDE"), BIT_NAME(18, "OSXSAVE"),
	BIT_NAME(19, "KL"), BIT_NAME(20, "SMEP"), BIT_NAME(21, "SMAP"), BIT_NAME(22, "PKE"),
	BIT_NAME(23, "CET"), BIT_NAME(24, "PKS"), BIT_NAME(25, "UINTR"), { 0 }
};

const struct bit_name efer_bits[] = {
	BIT_NAME(0, "SCE"), BIT_NAME(8, "LME"), BIT_NAME(10, "LMA"), BIT_NAME(11, "NXE"), { 0 }
};

const struct bit_name dr6_bits[] = {
	BIT_NAME(0, "B0"), BIT_NAME(1, "B1"), BIT_NAME(2, "B2"), BIT_NAME(3, "B3"),
	BIT_FIELD(4, 10, "1s"), BIT_NAME(11, "BLD"), BIT_NAME(13, "BD"), BIT_NAME(14, "BS"),
	BIT_NAME(15, "BT"), BIT_NAME(16, "RTM"), BIT_FIELD(17, 31, "1s"), { 0 }
};

const struct bit_name dr7_bits[] = {
	BIT_NAME(0, "L0"), BIT_NAME(1, "G0"), BIT_NAME(2, "L1"), BIT_NAME(3, "G1"),
	BIT_NAME(4, "L2"), BIT_NAME(5, "G2"), BIT_NAME(6, "L3"), BIT_NAME(7, "G3"),
	BIT_NAME(8, "LE"), BIT_NAME(9, "GE"), BIT_NAME(10, "1"), BIT_NAME(11, "RTM"),
	BIT_NAME(13, "GD"), BIT_FIELD(16, 17, "RW0"), BIT_FIELD(18, 19, "LEN0"),
	BIT_FIELD(20, 21, "RW1"), BIT_FIELD(22, 23, "LEN1"), BIT_FIELD(24, 25, "RW2"),
	BIT_FIELD(26, 27, "LEN2"), BIT_FIELD(28, 29, "RW3"), BIT_FIELD(30, 31, "LEN3"), { 0 }
};

const struct bit_name xcr0_bits[] = {
	BIT_NAME(0, "x87"), BIT_NAME(1, "SSE"), BIT_NAME(2, "AVX"), BIT_NAME(3, "BNDREG"),
	BIT_NAME(4, "BNDCSR"), BIT_NAME(5, "opmask"), BIT_NAME(6, "ZMM_Hi256"),
	BIT_NAME(7, "Hi16_ZMM"), BIT_NAME(9, "PKRU"), BIT_NAME(17, "TILECFG"),
	BIT_NAME(18, "TILEDATA"), { 0 }
};

void registers_print(FILE *file, const struct thv_regs *regs)
{
	char words[128];
	int i;

	for (i = 0; i < THV_GPRS; i++)
		fprintf(file, "%4s %016llx%s", gpr_names[i], regs->gpr[i], i % 4 == 3 ? "\n" : "");
	fprintf(file, " rip %016llx  rflags %08llx  %s\n", regs->rip, regs->rflags,
		bits_words(rflags_bits, regs->rflags, words, sizeof(words)));
}

/* ---- segments ----------------------------------------------------------- */

/* SDM table 3-1: of code and data; table 3-2: of system segments */
static const char *const code_types[16] = {
	"data, read", "data, read", "data, read/write", "data, read/write",
	"data, read, expand-down", "data, read, expand-down",
	"data, read/write, expand-down", "data, read/write, expand-down",
	"code, execute", "code, execute", "code, execute/read", "code, execute/read",
	"code, execute, conforming", "code, execute, conforming",
	"code, execute/read, conforming", "code, execute/read, conforming",
};

static const char *const system_types[16] = {
	[1] = "16-bit TSS", [2] = "LDT", [3] = "16-bit TSS, busy", [9] = "TSS",
	[11] = "TSS, busy",
};

char *segment_words(u32 attributes, char *text, size_t size)
{
	u32 type = attributes & THV_SEG_TYPE;
	bool code_or_data = attributes & THV_SEG_S;
	const char *name = (code_or_data ? code_types : system_types)[type];

	*text = 0;
	if (attributes & THV_SEG_UNUSABLE) {
		text_add(text, size, "unusable (a null selector)");
		return text;
	}
	text_add(text, size, "%s, DPL %u%s", name ? name : "a reserved type",
		 (attributes & THV_SEG_DPL) >> 5, attributes & THV_SEG_P ? "" : ", not present");
	if (code_or_data && (type & 8) && (attributes & THV_SEG_L))
		text_add(text, size, ", 64-bit");
	else if (code_or_data)
		text_add(text, size, attributes & THV_SEG_DB ? ", 32-bit" : ", 16-bit");
	return text;
}

void segments_print(FILE *file, const struct thv_sregs *sregs)
{
	const struct thv_segment *segment;
	char words[80];
	int i;

	for (i = 0; i < THV_SEGMENTS; i++) {
		segment = &sregs->seg[i];
		fprintf(file, "%4s %04x base %016llx limit %08x  %s\n", segment_names[i],
			segment->selector, segment->base, segment->limit,
			segment_words(segment->attributes, words, sizeof(words)));
	}
	fprintf(file, " gdt      base %016llx limit %08x\n idt      base %016llx limit %08x\n",
		sregs->gdt.base, sregs->gdt.limit, sregs->idt.base, sregs->idt.limit);
}

/* ---- modes -------------------------------------------------------------- */

static const char *width(u64 cr0, u64 efer, u64 rflags, u32 cs)
{
	if (!(cr0 & 1))
		return "real mode";
	if ((efer & (1 << 10)) && (cs & THV_SEG_L))
		return "64-bit mode";
	if (efer & (1 << 10))
		return "compatibility mode";
	return rflags & (1 << 17) ? "virtual-8086 mode" : "protected mode";
}

static const char *paging(u64 cr0, u64 cr4, u64 efer)
{
	if (!(cr0 >> 31 & 1))
		return "paging off";
	if (!(cr4 & (1 << 5)))
		return cr4 & (1 << 4) ? "32-bit paging with PSE" : "32-bit paging";
	if (!(efer & (1 << 10)))
		return "PAE paging";
	return cr4 & (1 << 12) ? "5-level paging" : "4-level paging";
}

char *mode_words(u64 cr0, u64 cr4, u64 efer, u64 rflags, u32 cs_attributes, char *text, size_t size)
{
	*text = 0;
	text_add(text, size, "%s, %s", width(cr0, efer, rflags, cs_attributes),
		 paging(cr0, cr4, efer));
	return text;
}
