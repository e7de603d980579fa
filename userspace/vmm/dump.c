// SPDX-License-Identifier: GPL-2.0-only
/*
 * A vCPU for people: its registers, and the instructions at RIP. Used when a
 * guest has come to an end that it did not choose. Whatever cannot be had is
 * left out: this must not fail.
 */
#include "lib/device.h"
#include "lib/hexdump.h"
#include "lib/registers.h"
#include "vmm/machine.h"
#include "vmm/vcpu.h"

#define SHOWN	5	/* instructions */

static void dump_sregs(const struct thv_sregs *sregs, FILE *file)
{
	fprintf(file, " cr0 %08llx  cr2 %016llx  cr3 %016llx  cr4 %08llx  efer %04llx\n",
		sregs->cr0, sregs->cr2, sregs->cr3, sregs->cr4, sregs->efer);
	segments_print(file, sregs);
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

static void dump_code(struct vcpu *vcpu, const struct thv_regs *regs,
		      const struct thv_sregs *sregs, FILE *file)
{
	u8 bytes[SHOWN * 15];
	u32 length;

	length = fetch(vcpu, sregs->seg[THV_CS].base + regs->rip, bytes, sizeof(bytes));
	if (!length)
		fprintf(file, "  rip does not point into memory\n");
	disassemble(file, code_bits(sregs), regs->rip, bytes, length, SHOWN);
}

void vcpu_dump(struct vcpu *vcpu, FILE *file)
{
	struct thv_sregs sregs;
	struct thv_regs regs;

	if (vcpu_get(vcpu->fd, THV_STATE_REGS, &regs, sizeof(regs)) < 0)
		return;
	registers_print(file, &regs);
	if (vcpu_get(vcpu->fd, THV_STATE_SREGS, &sregs, sizeof(sregs)) < 0)
		return;
	dump_sregs(&sregs, file);
	dump_code(vcpu, &regs, &sregs, file);
}
