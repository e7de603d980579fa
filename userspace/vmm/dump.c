// SPDX-License-Identifier: GPL-2.0-only
/*
 * A vCPU for people: its registers, and the instructions at RIP. Used when a
 * guest has come to an end that it did not choose. Whatever cannot be had is
 * left out: this must not fail.
 */
#include <Zydis/Zydis.h>

#include "lib/device.h"
#include "vmm/machine.h"
#include "vmm/vcpu.h"

#define SHOWN	5	/* instructions */

static const char *const gpr_names[THV_GPRS] = {
	"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
	"r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
};

static const char *const segment_names[THV_SEGMENTS] = {
	"es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr",
};

static void dump_regs(const struct thv_regs *regs, FILE *file)
{
	int i;

	for (i = 0; i < THV_GPRS; i++)
		fprintf(file, "%4s %016llx%s", gpr_names[i], regs->gpr[i], i % 4 == 3 ? "\n" : "");
	fprintf(file, " rip %016llx  rflags %08llx\n", regs->rip, regs->rflags);
}

static void dump_sregs(const struct thv_sregs *sregs, FILE *file)
{
	const struct thv_segment *segment;
	int i;

	fprintf(file, " cr0 %08llx  cr2 %016llx  cr3 %016llx  cr4 %08llx  efer %04llx\n",
		sregs->cr0, sregs->cr2, sregs->cr3, sregs->cr4, sregs->efer);
	for (i = 0; i < THV_SEGMENTS; i++) {
		segment = &sregs->seg[i];
		fprintf(file, "%4s %04x base %016llx limit %08x attributes %05x\n",
			segment_names[i], segment->selector, segment->base, segment->limit,
			segment->attributes);
	}
	fprintf(file, " gdt %016llx limit %04x  idt %016llx limit %04x\n", sregs->gdt.base,
		sregs->gdt.limit, sregs->idt.base, sregs->idt.limit);
}

/* Up to length bytes at the linear address, as far as they are in one page */
static u32 fetch(struct vcpu *vcpu, u64 gla, u8 *bytes, u32 length)
{
	struct thv_translate translate = { .gla = gla, .access = THV_ACCESS_READ };
	u32 in_page = PAGE_BYTES - gla % PAGE_BYTES, i;
	const u8 *from;

	if (vcpu_translate(vcpu->fd, &translate) < 0 ||
	    translate.result == THV_TRANSLATE_GUEST_FAULT ||
	    translate.result == THV_TRANSLATE_NON_CANONICAL)
		return 0;
	length = length < in_page ? length : in_page;
	from = memory_at(&vcpu->machine->memory, translate.gpa, length);
	for (i = 0; from && i < length; i++)
		bytes[i] = from[i];
	return from ? length : 0;
}

static ZydisMachineMode mode(const struct thv_sregs *sregs)
{
	u32 attributes = sregs->seg[THV_CS].attributes;

	if (!(sregs->cr0 & 1))
		return ZYDIS_MACHINE_MODE_REAL_16;
	if ((sregs->efer & (1 << 10)) && (attributes & THV_SEG_L))
		return ZYDIS_MACHINE_MODE_LONG_64;
	return attributes & THV_SEG_DB ? ZYDIS_MACHINE_MODE_LEGACY_32 :
					 ZYDIS_MACHINE_MODE_LEGACY_16;
}

static void dump_code(struct vcpu *vcpu, const struct thv_regs *regs,
		      const struct thv_sregs *sregs, FILE *file)
{
	ZydisDisassembledInstruction instruction;
	u8 bytes[SHOWN * 15];
	u32 length, at = 0, shown;

	length = fetch(vcpu, sregs->seg[THV_CS].base + regs->rip, bytes, sizeof(bytes));
	if (!length)
		fprintf(file, "  rip does not point into memory\n");
	for (shown = 0; shown < SHOWN && at < length; shown++) {
		if (!ZYAN_SUCCESS(ZydisDisassembleIntel(mode(sregs), regs->rip + at, bytes + at,
							length - at, &instruction)))
			return;
		fprintf(file, "  %016llx  %s\n", regs->rip + at, instruction.text);
		at += instruction.info.length;
	}
}

void vcpu_dump(struct vcpu *vcpu, FILE *file)
{
	struct thv_sregs sregs;
	struct thv_regs regs;

	if (vcpu_get(vcpu->fd, THV_STATE_REGS, &regs, sizeof(regs)) < 0)
		return;
	dump_regs(&regs, file);
	if (vcpu_get(vcpu->fd, THV_STATE_SREGS, &sregs, sizeof(sregs)) < 0)
		return;
	dump_sregs(&sregs, file);
	dump_code(vcpu, &regs, &sregs, file);
}
