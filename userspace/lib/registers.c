// SPDX-License-Identifier: GPL-2.0-only
/* Registers as text: for a guest that has ended by itself, and for thv dump. */
#include "lib/registers.h"

#include "lib/decode.h"

const char *const registers_gpr[THV_GPRS] = {
	"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
	"r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
};

const char *const registers_segment[THV_SEGMENTS] = {
	"es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr",
};

void registers_print(const struct thv_regs *regs, FILE *file)
{
	int i;

	for (i = 0; i < THV_GPRS; i++)
		fprintf(file, "%4s %016llx%s", registers_gpr[i], regs->gpr[i],
			i % 4 == 3 ? "\n" : "");
	fprintf(file, " rip %016llx  rflags %08llx\n", regs->rip, regs->rflags);
}

void registers_print_segments(const struct thv_sregs *sregs, FILE *file)
{
	const struct thv_segment *segment;
	char text[DECODE_TEXT];
	int i;

	for (i = 0; i < THV_SEGMENTS; i++) {
		segment = &sregs->seg[i];
		fprintf(file, "%4s %04x base %016llx limit %08x %05x %s\n",
			registers_segment[i], segment->selector, segment->base, segment->limit,
			segment->attributes,
			decode_segment(segment->attributes, text, sizeof(text)));
	}
	fprintf(file, " gdt      base %016llx limit %08x\n idt      base %016llx limit %08x\n",
		sregs->gdt.base, sregs->gdt.limit, sregs->idt.base, sregs->idt.limit);
}
