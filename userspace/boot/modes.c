// SPDX-License-Identifier: GPL-2.0-only
/* The modes in which a loader hands over: segments and control registers of vCPU 0. */
#include <asm/processor-flags.h>
#include <string.h>

#include "boot/boot.h"
#include "lib/device.h"

/* The segments' descriptors, as the registers below hold them, where Linux wants them */
void boot_fill_gdt(void *gdt, bool wide)
{
	const u64 entries[] = {
		0, 0,
		wide ? 0x00af9b000000ffff : 0x00cf9b000000ffff,	/* 0x10: code (__BOOT_CS) */
		0x00cf93000000ffff,	/* 0x18: flat data (__BOOT_DS) */
		0x0000890000000067, 0,	/* 0x20: a TSS, because there must be one */
	};

	_Static_assert(sizeof(entries) == BOOT_GDT_BYTES, "what boot.h says");
	memcpy(gdt, entries, sizeof(entries));
}

/* In 2 MiB pages, which every processor has */
void boot_fill_page_tables(u64 *tables, u64 address)
{
	enum { PRESENT = 1, WRITABLE = 2, LARGE = 0x80, ENTRIES = 512 };
	u64 *pml4 = tables, *pdpt = tables + ENTRIES, *directory = tables + 2 * ENTRIES;
	u64 i;

	memset(tables, 0, BOOT_TABLES_BYTES);
	pml4[0] = (address + PAGE_BYTES) | PRESENT | WRITABLE;
	for (i = 0; i < BOOT_MAPPED_GIB; i++)
		pdpt[i] = (address + (2 + i) * PAGE_BYTES) | PRESENT | WRITABLE;
	for (i = 0; i < BOOT_MAPPED_GIB * ENTRIES; i++)
		directory[i] = i * SIZE_2M | PRESENT | WRITABLE | LARGE;
}

static const struct thv_segment code32 = {
	.limit = ~0U,
	.attributes = 0xb | THV_SEG_S | THV_SEG_P | THV_SEG_DB | THV_SEG_G,
	.selector = 0x10,
};

static const struct thv_segment code64 = {
	.limit = ~0U,
	.attributes = 0xb | THV_SEG_S | THV_SEG_P | THV_SEG_L | THV_SEG_G,
	.selector = 0x10,
};

static const struct thv_segment data = {
	.limit = ~0U,
	.attributes = 0x3 | THV_SEG_S | THV_SEG_P | THV_SEG_DB | THV_SEG_G,
	.selector = 0x18,
};

static const struct thv_segment task = {
	.limit = 0x67,
	.attributes = 0xb | THV_SEG_P,
	.selector = 0x20,
};

static void flat(struct thv_sregs *sregs, const struct thv_segment *code, u64 gdt)
{
	int i;

	for (i = THV_ES; i <= THV_GS; i++)
		sregs->seg[i] = i == THV_CS ? *code : data;
	sregs->seg[THV_LDTR] = (struct thv_segment){ .attributes = THV_SEG_UNUSABLE };
	sregs->seg[THV_TR] = task;
	sregs->gdt = (struct thv_table){ .base = gdt, .limit = BOOT_GDT_BYTES - 1 };
	sregs->idt = (struct thv_table){ 0 };
	sregs->cr0 = X86_CR0_PE | X86_CR0_ET | X86_CR0_NE;
	sregs->cr3 = 0;
	sregs->cr4 = 0;
	sregs->efer = 0;
}

static int set(int vcpu, const struct thv_sregs *sregs, const struct thv_regs *regs)
{
	if (vcpu_set(vcpu, THV_STATE_SREGS, sregs, sizeof(*sregs)) < 0)
		return -1;
	return vcpu_set(vcpu, THV_STATE_REGS, regs, sizeof(*regs)) < 0 ? -1 : 0;
}

int boot_start_long(int vcpu, u64 gdt, u64 page_tables, const struct thv_regs *regs)
{
	enum { LME = 1 << 8, LMA = 1 << 10 };
	struct thv_sregs sregs;

	if (vcpu_get(vcpu, THV_STATE_SREGS, &sregs, sizeof(sregs)) < 0)
		return -1;
	flat(&sregs, &code64, gdt);
	sregs.cr0 |= X86_CR0_PG;
	sregs.cr3 = page_tables;
	sregs.cr4 = X86_CR4_PAE;
	sregs.efer = LME | LMA;
	return set(vcpu, &sregs, regs);
}

int boot_start_protected(int vcpu, u64 gdt, const struct thv_regs *regs)
{
	struct thv_sregs sregs;

	if (vcpu_get(vcpu, THV_STATE_SREGS, &sregs, sizeof(sregs)) < 0)
		return -1;
	flat(&sregs, &code32, gdt);
	return set(vcpu, &sregs, regs);
}

/* From the state after a reset (SDM table 10-1), which is real mode: only where, and the stack below it */
int boot_start_real(int vcpu, u16 segment, u16 offset)
{
	const struct thv_regs regs = {
		.gpr[THV_RSP] = BOOT_FLAT, .rip = offset, .rflags = 0x2,
	};
	struct thv_sregs sregs;

	if (vcpu_get(vcpu, THV_STATE_SREGS, &sregs, sizeof(sregs)) < 0)
		return -1;
	sregs.seg[THV_CS].selector = segment;
	sregs.seg[THV_CS].base = segment << 4;
	return set(vcpu, &sregs, &regs);
}
