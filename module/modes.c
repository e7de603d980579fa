// SPDX-License-Identifier: GPL-2.0-only
/*
 * Processor modes: which values control registers can have, alone and together.
 *
 * The backend asks before it carries out a guest's MOV to CR0 or CR4, XSETBV or
 * WRMSR; THV_SET_STATE asks before it believes the launcher. One set of rules
 * serves both, so that no state can be set that a guest could not have reached
 * (or that the processor would refuse at VM entry, SDM 27.3.1).
 *
 * Nothing here needs a kernel: a native test runs this very file.
 */
#include <linux/bits.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <asm/page.h>
#include <asm/fpu/types.h>
#include <asm/msr-index.h>
#include "cpuid.h"
#include "modes.h"

/**
 * thv_cr0_check - would loading CR0 be a #GP?
 * @cr0: the value.
 * @cr4: CR4 at that time.
 * @efer: IA32_EFER at that time.
 *
 * SDM 2.5 (bits 63:32, PG without PE, NW without CD), 4.1.2 (long mode needs PAE),
 * 4.10.1 (no leaving of paging with PCIDs on). Two rules need more than is told here and
 * are the caller's: PDPTEs (4.4.1), and the code segment's L bit when long
 * mode begins or ends (10.8.5).
 *
 * Return: 0 or -EINVAL.
 */
int thv_cr0_check(u64 cr0, u64 cr4, u64 efer)
{
	bool paging = cr0 & X86_CR0_PG;

	if (cr0 >> 32)
		return -EINVAL;
	if (paging && !(cr0 & X86_CR0_PE))
		return -EINVAL;
	if ((cr0 & X86_CR0_NW) && !(cr0 & X86_CR0_CD))
		return -EINVAL;
	if (paging && (efer & EFER_LME) && !(cr4 & X86_CR4_PAE))
		return -EINVAL;
	if (!paging && (cr4 & X86_CR4_PCIDE))
		return -EINVAL;
	return 0;
}

/**
 * thv_cr4_check - would loading CR4 be a #GP?
 * @cr4: the value.
 * @cr0: CR0 at that time; no feature that thv offers ties the two.
 * @efer: IA32_EFER at that time; its LMA bit counts.
 * @old_cr4: what CR4 held.
 * @cr3: CR3 at that time.
 *
 * SDM 2.5: bits of features that are not offered, PAE while in long mode, and
 * 4.10.1: PCIDs begin in long mode, with PCID 0. PDPTEs (4.4.1) are the caller's.
 *
 * Return: 0 or -EINVAL.
 */
int thv_cr4_check(u64 cr4, u64 cr0, u64 efer, u64 old_cr4, u64 cr3)
{
	if (cr4 & ~thv_cr4_allowed())
		return -EINVAL;
	if ((efer & EFER_LMA) && !(cr4 & X86_CR4_PAE))
		return -EINVAL;
	if ((cr4 & ~old_cr4 & X86_CR4_PCIDE) &&
	    (!(efer & EFER_LMA) || (cr3 & GENMASK(11, 0))))
		return -EINVAL;
	return 0;
}

/**
 * thv_efer_check - would writing IA32_EFER be a #GP?
 * @efer: the value, with LMA as it is now: the bit is read-only, software's idea of it is ignored.
 * @cr0: CR0 at that time.
 *
 * SDM 2.2.1: bits of features that are not offered; LME may not change while paging is
 * on, which is to say that LMA is LME and paging.
 *
 * Return: 0 or -EINVAL.
 */
int thv_efer_check(u64 efer, u64 cr0)
{
	bool active = (efer & EFER_LME) && (cr0 & X86_CR0_PG);

	if (efer & ~thv_efer_allowed())
		return -EINVAL;
	return active == !!(efer & EFER_LMA) ? 0 : -EINVAL;
}

/**
 * thv_xcr0_check - would XSETBV of XCR0 be a #GP?
 * @xcr0: the value.
 *
 * SDM 13.3. CPL and the index in ECX are the caller's.
 *
 * Return: 0 or -EINVAL.
 */
int thv_xcr0_check(u64 xcr0)
{
	u64 avx512 = xcr0 & XFEATURE_MASK_AVX512;

	if (xcr0 & ~thv_xcr0_allowed())
		return -EINVAL;
	if (!(xcr0 & XFEATURE_MASK_FP))
		return -EINVAL;
	if ((xcr0 & XFEATURE_MASK_YMM) && !(xcr0 & XFEATURE_MASK_SSE))
		return -EINVAL;
	if (avx512 && (avx512 != XFEATURE_MASK_AVX512 || !(xcr0 & XFEATURE_MASK_YMM)))
		return -EINVAL;
	return 0;
}

/* ---- a whole set of system registers ---- */

static bool usable(const struct thv_segment *seg)
{
	return !(seg->attributes & THV_SEG_UNUSABLE);
}

#define SEG_ATTRIBUTES	(THV_SEG_TYPE | THV_SEG_S | THV_SEG_DPL | THV_SEG_P | THV_SEG_AVL | \
			 THV_SEG_L | THV_SEG_DB | THV_SEG_G | THV_SEG_UNUSABLE)

/* A limit counts bytes up to 1 MiB, or 4 KiB pages (SDM 3.4.3): no descriptor can say another */
static bool limit_ok(const struct thv_segment *seg)
{
	if (seg->attributes & THV_SEG_G)
		return (seg->limit & GENMASK(11, 0)) == GENMASK(11, 0);
	return seg->limit < BIT(20);
}

/* SDM 27.3.1.2: 64-bit bases must be canonical, the others are 32 bits wide */
static bool base_ok(const struct thv_segment *seg, unsigned int id)
{
	if (id == THV_FS || id == THV_GS || id == THV_TR)
		return thv_canonical(seg->base);
	if (!usable(seg))
		return true;
	return id == THV_LDTR ? thv_canonical(seg->base) : !(seg->base >> 32);
}

static bool segment_ok(const struct thv_segment *seg, unsigned int id)
{
	if (seg->reserved[0] || seg->reserved[1] || seg->reserved[2])
		return false;
	if (seg->attributes & ~SEG_ATTRIBUTES)
		return false;
	return base_ok(seg, id) && (!usable(seg) || limit_ok(seg));
}

/* The code segment and the task register are never null (SDM 27.3.1.2) */
static bool fixed_segments_ok(const struct thv_sregs *sregs)
{
	u32 cs = sregs->seg[THV_CS].attributes, tr = sregs->seg[THV_TR].attributes;
	bool long_mode = sregs->efer & EFER_LMA;

	if ((cs | tr) & THV_SEG_UNUSABLE)
		return false;
	if (!(cs & THV_SEG_S) || !(cs & THV_SEG_P) || (tr & THV_SEG_S) || !(tr & THV_SEG_P))
		return false;
	if (long_mode && (cs & THV_SEG_L) && (cs & THV_SEG_DB))
		return false;
	/* A busy TSS, of 16 bits only outside long mode; an LDT (SDM table 3-2) */
	if ((tr & THV_SEG_TYPE) != 11 && ((tr & THV_SEG_TYPE) != 3 || long_mode))
		return false;
	return !usable(&sregs->seg[THV_LDTR]) ||
	       (sregs->seg[THV_LDTR].attributes & (THV_SEG_TYPE | THV_SEG_S | THV_SEG_P)) ==
	       (2 | THV_SEG_P);
}

static bool segments_ok(const struct thv_sregs *sregs)
{
	unsigned int i;

	for (i = 0; i < THV_SEGMENTS; i++)
		if (!segment_ok(&sregs->seg[i], i))
			return false;
	return fixed_segments_ok(sregs);
}

static bool table_ok(const struct thv_table *table)
{
	return thv_canonical(table->base) && table->limit <= 0xffff && !table->reserved;
}

/* Page-directory-pointer-table entries under PAE paging: reserved bits (SDM table 4-8) */
static bool pdptrs_ok(const struct thv_sregs *sregs)
{
	u64 reserved = ~GENMASK_ULL(thv_guest_phys_bits() - 1, 0) | GENMASK(8, 5) | GENMASK(2, 1);
	unsigned int i;

	if (!(sregs->flags & THV_SREGS_PDPTR))
		return true;
	for (i = 0; i < ARRAY_SIZE(sregs->pdptr); i++)
		if ((sregs->pdptr[i] & 1) && (sregs->pdptr[i] & reserved))
			return false;
	return true;
}

static bool modes_ok(const struct thv_sregs *sregs)
{
	/* A state, not a step: what CR0 never holds is wrong here, and PCIDs without long mode */
	if (sregs->cr0 & ~THV_CR0_BITS)
		return false;
	if ((sregs->cr4 & X86_CR4_PCIDE) && !(sregs->efer & EFER_LMA))
		return false;
	return !thv_cr0_check(sregs->cr0, sregs->cr4, sregs->efer) &&
	       !thv_cr4_check(sregs->cr4, sregs->cr0, sregs->efer, sregs->cr4, sregs->cr3) &&
	       !thv_efer_check(sregs->efer, sregs->cr0) &&
	       !(sregs->cr3 >> thv_guest_phys_bits()) && sregs->cr8 <= 15;
}

static bool reserved_ok(const struct thv_sregs *sregs)
{
	return !(sregs->flags & ~THV_SREGS_PDPTR) && !sregs->reserved[0] && !sregs->reserved[1] &&
	       !sregs->reserved[2] && !sregs->reserved[3];
}

/**
 * thv_sregs_check - could a processor have these registers?
 * @sregs: the launcher's.
 *
 * What depends on RFLAGS or ties one segment to another (DPL, RPL, virtual-8086 mode) is left to
 * the VM entry, which answers with THV_EXIT_FAIL_ENTRY.
 *
 * Return: 0 or -EINVAL.
 */
int thv_sregs_check(const struct thv_sregs *sregs)
{
	if (!reserved_ok(sregs) || !modes_ok(sregs) || !segments_ok(sregs) ||
	    !table_ok(&sregs->gdt) || !table_ok(&sregs->idt) || !pdptrs_ok(sregs))
		return -EINVAL;
	return 0;
}
