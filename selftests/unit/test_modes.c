// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which control-register values a guest can have: module/modes.c against the manual.
 *
 * Each rule of the SDM is a claim of its own; then all pairs of bits of CR0, CR4 and EFER, and
 * all values of XCR0, against a model that is written from the manual's sentences in
 * another way than the code is.
 */
// sources: module/modes.c
#include <linux/bits.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <asm/fpu/types.h>
#include <asm/msr-index.h>
#include <asm/processor-flags.h>
#include "cpuid.h"
#include "modes.h"
#include "tap.h"

/* What a processor with everything that thv offers allows; a test may take something away */
#define CR4_ALL	(X86_CR4_VME | X86_CR4_PVI | X86_CR4_TSD | X86_CR4_DE | X86_CR4_PSE |		\
		 X86_CR4_PAE | X86_CR4_MCE | X86_CR4_PGE | X86_CR4_PCE | X86_CR4_OSFXSR |	\
		 X86_CR4_OSXMMEXCPT | X86_CR4_FSGSBASE | X86_CR4_PCIDE | X86_CR4_OSXSAVE |	\
		 X86_CR4_SMEP | X86_CR4_SMAP)
#define EFER_ALL (EFER_SCE | EFER_LME | EFER_LMA | EFER_NX)
#define XCR0_ALL (XFEATURE_MASK_FPSSE | XFEATURE_MASK_YMM | XFEATURE_MASK_AVX512)

static u64 cr4_allowed = CR4_ALL, efer_allowed = EFER_ALL, xcr0_allowed = XCR0_ALL;

u64 thv_cr4_allowed(void)
{
	return cr4_allowed;
}

u64 thv_efer_allowed(void)
{
	return efer_allowed;
}

u64 thv_xcr0_allowed(void)
{
	return xcr0_allowed;
}

u32 thv_guest_phys_bits(void)
{
	return 39;
}

#define PROTECTED	(X86_CR0_PE | X86_CR0_ET | X86_CR0_NE)
#define PAGED		(PROTECTED | X86_CR0_PG)
#define LONG		(EFER_LME | EFER_LMA)

static void test_cr0(void)
{
	unsigned int bit, accepted = 0;

	tap_is(thv_cr0_check(X86_CR0_ET | X86_CR0_CD | X86_CR0_NW, 0, 0), 0,
	       "CR0: the value at reset");
	tap_is(thv_cr0_check(PAGED, 0, 0), 0, "CR0: 32-bit paging");
	tap_is(thv_cr0_check(PAGED, X86_CR4_PAE, EFER_LME), 0, "CR0: entry into long mode");
	tap_is(thv_cr0_check(X86_CR0_PG, 0, 0), -EINVAL, "CR0: no paging in real mode");
	tap_is(thv_cr0_check(PROTECTED | X86_CR0_NW, 0, 0), -EINVAL, "CR0: no NW without CD");
	tap_is(thv_cr0_check(PROTECTED | X86_CR0_CD, 0, 0), 0, "CR0: CD without NW");
	tap_is(thv_cr0_check(PAGED, 0, EFER_LME), -EINVAL, "CR0: no long mode without PAE");
	tap_is(thv_cr0_check(PROTECTED, X86_CR4_PAE | X86_CR4_PCIDE, LONG), -EINVAL,
	       "CR0: paging stays on while CR4.PCIDE is set");
	for (bit = 32; bit < 64; bit++)
		accepted += !thv_cr0_check(PROTECTED | BIT_ULL(bit), 0, 0);
	tap_is(accepted, 0, "CR0: none of bits 63:32");
	tap_is(thv_cr0_check(PROTECTED | BIT(6) | BIT(28), 0, 0), 0,
	       "CR0: reserved bits of the low half are no fault");
	tap_is(thv_cr0_value(X86_CR0_PE | BIT(6) | BIT(28)), X86_CR0_PE | X86_CR0_ET,
	       "CR0: ... and are not kept, but ET is");
}

static void test_cr4(void)
{
	u64 pcid = X86_CR4_PAE | X86_CR4_PCIDE;
	unsigned int bit;

	for (bit = 0; bit < 64; bit++) {
		u64 allowed = (CR4_ALL & ~X86_CR4_PCIDE) & BIT_ULL(bit);

		tap_check(!thv_cr4_check(BIT_ULL(bit), PROTECTED, 0, 0, 0) == !!allowed,
			  "bit %u", bit);
	}
	tap_ok(tap_held(), "CR4: each bit alone, as offered");

	cr4_allowed &= ~X86_CR4_SMEP;
	tap_is(thv_cr4_check(X86_CR4_SMEP, PROTECTED, 0, 0, 0), -EINVAL,
	       "CR4: what is not offered cannot be set");
	cr4_allowed = CR4_ALL;

	tap_is(thv_cr4_check(0, PAGED, LONG, X86_CR4_PAE, 0), -EINVAL,
	       "CR4: PAE stays in long mode");
	tap_is(thv_cr4_check(0, PAGED, 0, X86_CR4_PAE, 0), 0, "CR4: PAE may go outside it");
	tap_is(thv_cr4_check(pcid, PAGED, LONG, X86_CR4_PAE, 0x1000), 0,
	       "CR4: PCIDs may begin in long mode");
	tap_is(thv_cr4_check(pcid, PAGED, 0, X86_CR4_PAE, 0x1000), -EINVAL,
	       "CR4: ... not elsewhere");
	for (bit = 0; bit < 12; bit++)
		tap_check(thv_cr4_check(pcid, PAGED, LONG, X86_CR4_PAE, 0x1000 | BIT(bit)),
			  "CR3 bit %u", bit);
	tap_ok(tap_held(), "CR4: ... and with PCID 0");
	tap_is(thv_cr4_check(pcid, PAGED, LONG, pcid, 0x1001), 0,
	       "CR4: a set PCIDE may be written again under any PCID");
}

static void test_efer(void)
{
	unsigned int bit;

	for (bit = 0; bit < 64; bit++) {
		u64 allowed = (EFER_ALL & ~EFER_LMA) & BIT_ULL(bit);

		tap_check(!thv_efer_check(BIT_ULL(bit), PROTECTED) == !!allowed, "bit %u", bit);
	}
	tap_ok(tap_held(), "EFER: each bit alone, paging off");

	efer_allowed &= ~EFER_NX;
	tap_is(thv_efer_check(EFER_NX, PROTECTED), -EINVAL,
	       "EFER: what is not offered cannot be set");
	efer_allowed = EFER_ALL;

	tap_is(thv_efer_check(LONG | EFER_SCE, PAGED), 0, "EFER: long mode");
	tap_is(thv_efer_check(EFER_LME, PAGED), -EINVAL, "EFER: LME is not set while paging");
	tap_is(thv_efer_check(EFER_LMA, PAGED), -EINVAL, "EFER: LME is not cleared in long mode");
	tap_is(thv_efer_check(LONG, PROTECTED), -EINVAL, "EFER: LMA means paging");
}

/* ---- all combinations ---- */

/* The manual's sentences, each as what must not be */
static bool mode_possible(u64 cr0, u64 cr4, u64 efer)
{
	bool pe = cr0 & X86_CR0_PE, pg = cr0 & X86_CR0_PG, pae = cr4 & X86_CR4_PAE;
	bool lme = efer & EFER_LME, lma = efer & EFER_LMA;

	if (pg && !pe)
		return false;		/* 2.5: paging without protection */
	if ((cr0 & (X86_CR0_CD | X86_CR0_NW)) == X86_CR0_NW)
		return false;		/* 2.5: not write-through without cache disabled */
	if (lma != (lme && pg))
		return false;		/* 4.1.1: the processor sets LMA */
	if (lma && !pae)
		return false;		/* 4.1.1: 4-level paging has PAE */
	if ((cr4 & X86_CR4_PCIDE) && !lma)
		return false;		/* 4.10.1: PCIDs only in IA-32e mode */
	return true;
}

/* A set of registers with these modes and nothing else that could be wrong */
static struct thv_sregs sregs_of(u64 cr0, u64 cr4, u64 efer)
{
	struct thv_sregs sregs = { .cr0 = cr0, .cr4 = cr4, .efer = efer };
	int i;

	for (i = 0; i < THV_SEGMENTS; i++)
		sregs.seg[i] = (struct thv_segment) { .limit = 0xffff, .attributes = 0x93 };
	sregs.seg[THV_CS].attributes = 0x9b;
	sregs.seg[THV_LDTR].attributes = 0x82;
	sregs.seg[THV_TR].attributes = 0x8b;
	return sregs;
}

static void test_combinations(void)
{
	static const u64 cr0_bits[] = {
		X86_CR0_PE, X86_CR0_WP, X86_CR0_NW, X86_CR0_CD, X86_CR0_PG
	};
	static const u64 cr4_bits[] = { X86_CR4_PAE, X86_CR4_PGE, X86_CR4_PCIDE, X86_CR4_SMEP };
	static const u64 efer_bits[] = { EFER_SCE, EFER_LME, EFER_LMA, EFER_NX };
	unsigned int all = ARRAY_SIZE(cr0_bits) + ARRAY_SIZE(cr4_bits) + ARRAY_SIZE(efer_bits);
	unsigned int set, i, possible = 0;

	for (set = 0; set < BIT(all); set++) {
		u64 cr0 = X86_CR0_ET, cr4 = 0, efer = 0;
		struct thv_sregs sregs;
		unsigned int bit = 0;
		bool expected;

		for (i = 0; i < ARRAY_SIZE(cr0_bits); i++)
			cr0 |= set & BIT(bit++) ? cr0_bits[i] : 0;
		for (i = 0; i < ARRAY_SIZE(cr4_bits); i++)
			cr4 |= set & BIT(bit++) ? cr4_bits[i] : 0;
		for (i = 0; i < ARRAY_SIZE(efer_bits); i++)
			efer |= set & BIT(bit++) ? efer_bits[i] : 0;
		sregs = sregs_of(cr0, cr4, efer);
		expected = mode_possible(cr0, cr4, efer);
		possible += expected;
		tap_check(!thv_sregs_check(&sregs) == expected,
			  "CR0 %#llx CR4 %#llx EFER %#llx: the manual says %d",
			  cr0, cr4, efer, expected);
	}
	tap_ok(tap_held() && possible, "all combinations of the mode bits, as in the manual");
}

static bool xcr0_possible(u64 xcr0)
{
	bool x87 = xcr0 & 1, sse = xcr0 & 2, avx = xcr0 & 4;
	u64 avx512 = (xcr0 >> 5) & 7;

	return x87 && (sse || !avx) && (avx512 == 0 || (avx512 == 7 && avx)) && !(xcr0 & ~0xe7ULL);
}

static void test_xcr0(void)
{
	u64 value;
	unsigned int a, b;

	for (value = 0; value < 0x800; value++)
		tap_check(!thv_xcr0_check(value) == xcr0_possible(value), "XCR0 %#llx", value);
	for (a = 0; a < 64; a++)
		for (b = 0; b < 64; b++) {
			value = 1 | BIT_ULL(a) | BIT_ULL(b);
			tap_check(!thv_xcr0_check(value) == xcr0_possible(value),
				  "XCR0 %#llx", value);
		}
	tap_ok(tap_held(), "XCR0: every value of the low bits, every pair of bits (SDM 13.3)");

	xcr0_allowed = XFEATURE_MASK_FPSSE;
	tap_is(thv_xcr0_check(7), -EINVAL, "XCR0: AVX is not enabled where it is not offered");
	xcr0_allowed = XCR0_ALL;
}

/* ---- segments and tables ---- */

enum verdict { IMPOSSIBLE, POSSIBLE };

struct corruption {
	const char *what;
	void (*apply)(struct thv_sregs *sregs);
	enum verdict verdict;
};

#define CORRUPTION(name, statement) \
	static void name(struct thv_sregs *s) { statement; }

CORRUPTION(nothing, (void)s)
CORRUPTION(reserved_flag, s->flags = 2)
CORRUPTION(reserved_word, s->reserved[3] = 1)
CORRUPTION(reserved_segment, s->seg[THV_ES].reserved[1] = 1)
CORRUPTION(reserved_table, s->idt.reserved = 1)
CORRUPTION(unknown_attribute, s->seg[THV_DS].attributes |= 0x100)
CORRUPTION(cr0_bit, s->cr0 |= BIT(17))
CORRUPTION(wide_cr3, s->cr3 = BIT_ULL(39))
CORRUPTION(widest_cr3, s->cr3 = BIT_ULL(38))
CORRUPTION(cr8_16, s->cr8 = 16)
CORRUPTION(cr8_15, s->cr8 = 15)
CORRUPTION(fs_canonical, s->seg[THV_FS].base = 0xffff800000000000)
CORRUPTION(gs_canonical, s->seg[THV_GS].base = 0xffff800000000000)
CORRUPTION(tr_canonical, s->seg[THV_TR].base = 0xfffffe0000003000)
CORRUPTION(fs_not_canonical, s->seg[THV_FS].base = 0x800000000000)
CORRUPTION(gs_not_canonical, s->seg[THV_GS].base = 0x7fff800000000000)
CORRUPTION(tr_not_canonical, s->seg[THV_TR].base = 1ULL << 63)
CORRUPTION(ldtr_not_canonical, s->seg[THV_LDTR].base = 1ULL << 63)
CORRUPTION(ldtr_unusable, s->seg[THV_LDTR].base = 1ULL << 63;
	   s->seg[THV_LDTR].attributes = THV_SEG_UNUSABLE)
CORRUPTION(gdt_not_canonical, s->gdt.base = 0x800000000000)
CORRUPTION(gdt_limit, s->gdt.limit = 0x10000)
CORRUPTION(gdt_full, s->gdt.limit = 0xffff)
CORRUPTION(cs_base, s->seg[THV_CS].base = 1ULL << 32)
CORRUPTION(ss_base, s->seg[THV_SS].base = 1ULL << 32)
CORRUPTION(ss_unusable, s->seg[THV_SS].base = 1ULL << 32;
	   s->seg[THV_SS].attributes |= THV_SEG_UNUSABLE)
CORRUPTION(cs_unusable, s->seg[THV_CS].attributes |= THV_SEG_UNUSABLE)
CORRUPTION(cs_absent, s->seg[THV_CS].attributes &= ~THV_SEG_P)
CORRUPTION(cs_system, s->seg[THV_CS].attributes &= ~THV_SEG_S)
CORRUPTION(tr_unusable, s->seg[THV_TR].attributes |= THV_SEG_UNUSABLE)
CORRUPTION(tr_absent, s->seg[THV_TR].attributes &= ~THV_SEG_P)
CORRUPTION(tr_code, s->seg[THV_TR].attributes |= THV_SEG_S)
CORRUPTION(tr_idle, s->seg[THV_TR].attributes = 0x89)
CORRUPTION(tr_16, s->seg[THV_TR].attributes = 0x83)
CORRUPTION(ldtr_type, s->seg[THV_LDTR].attributes = 0x83)
CORRUPTION(limit_pages, s->seg[THV_DS].limit = 0xffffffff; s->seg[THV_DS].attributes |= THV_SEG_G)
CORRUPTION(limit_no_pages, s->seg[THV_DS].limit = 0xffff0;
	   s->seg[THV_DS].attributes |= THV_SEG_G)
CORRUPTION(limit_bytes, s->seg[THV_DS].limit = 0x12345)
CORRUPTION(limit_too_many_bytes, s->seg[THV_DS].limit = 0x100000)
CORRUPTION(long_mode, s->cr0 = PAGED; s->cr4 = X86_CR4_PAE; s->efer = LONG;
	   s->seg[THV_CS].attributes |= THV_SEG_L)
CORRUPTION(long_and_default, long_mode(s); s->seg[THV_CS].attributes |= THV_SEG_DB)
CORRUPTION(long_tr_16, long_mode(s); s->seg[THV_TR].attributes = 0x83)
CORRUPTION(pdptr, s->flags = THV_SREGS_PDPTR; s->pdptr[2] = 0x1001)
CORRUPTION(pdptr_wide, s->flags = THV_SREGS_PDPTR; s->pdptr[3] = BIT_ULL(39) | 1)
CORRUPTION(pdptr_not_meant, s->pdptr[3] = ~0ULL)
CORRUPTION(pdptr_absent, s->flags = THV_SREGS_PDPTR; s->pdptr[3] = ~1ULL)

static const struct corruption corruptions[] = {
	{ "the state at reset", nothing, POSSIBLE },
	{ "an unknown flag", reserved_flag, IMPOSSIBLE },
	{ "a reserved word", reserved_word, IMPOSSIBLE },
	{ "a segment's reserved word", reserved_segment, IMPOSSIBLE },
	{ "a table's reserved word", reserved_table, IMPOSSIBLE },
	{ "an attribute that is none", unknown_attribute, IMPOSSIBLE },
	{ "a CR0 bit that is none", cr0_bit, IMPOSSIBLE },
	{ "CR3 beyond the physical width", wide_cr3, IMPOSSIBLE },
	{ "CR3 up to it", widest_cr3, POSSIBLE },
	{ "CR8 of 16", cr8_16, IMPOSSIBLE },
	{ "CR8 of 15", cr8_15, POSSIBLE },
	{ "FS base in the upper half", fs_canonical, POSSIBLE },
	{ "GS base in the upper half", gs_canonical, POSSIBLE },
	{ "TR base in the upper half", tr_canonical, POSSIBLE },
	{ "FS base in the hole", fs_not_canonical, IMPOSSIBLE },
	{ "GS base in the hole", gs_not_canonical, IMPOSSIBLE },
	{ "TR base in the hole", tr_not_canonical, IMPOSSIBLE },
	{ "LDTR base in the hole", ldtr_not_canonical, IMPOSSIBLE },
	{ "... of an unusable LDTR", ldtr_unusable, POSSIBLE },
	{ "GDT in the hole", gdt_not_canonical, IMPOSSIBLE },
	{ "GDT of more than 64 KiB", gdt_limit, IMPOSSIBLE },
	{ "GDT of 64 KiB", gdt_full, POSSIBLE },
	{ "CS base above 4 GiB", cs_base, IMPOSSIBLE },
	{ "SS base above 4 GiB", ss_base, IMPOSSIBLE },
	{ "... of an unusable SS", ss_unusable, POSSIBLE },
	{ "CS unusable", cs_unusable, IMPOSSIBLE },
	{ "CS not present", cs_absent, IMPOSSIBLE },
	{ "CS that is no code or data", cs_system, IMPOSSIBLE },
	{ "TR not present", tr_absent, IMPOSSIBLE },
	{ "TR that is code or data", tr_code, IMPOSSIBLE },
	{ "TR unusable", tr_unusable, IMPOSSIBLE },
	{ "TR not busy", tr_idle, IMPOSSIBLE },
	{ "TR of a 16-bit TSS", tr_16, POSSIBLE },
	{ "LDTR that is no LDT", ldtr_type, IMPOSSIBLE },
	{ "a limit in pages", limit_pages, POSSIBLE },
	{ "... that ends within a page", limit_no_pages, IMPOSSIBLE },
	{ "a limit in bytes", limit_bytes, POSSIBLE },
	{ "... beyond 1 MiB", limit_too_many_bytes, IMPOSSIBLE },
	{ "64-bit code", long_mode, POSSIBLE },
	{ "CS both 64-bit and 32-bit", long_and_default, IMPOSSIBLE },
	{ "TR of a 16-bit TSS in long mode", long_tr_16, IMPOSSIBLE },
	{ "a PDPTE", pdptr, POSSIBLE },
	{ "... beyond the physical width", pdptr_wide, IMPOSSIBLE },
	{ "... that is not meant (no THV_SREGS_PDPTR)", pdptr_not_meant, POSSIBLE },
	{ "... not present, so that nothing else counts", pdptr_absent, POSSIBLE },
};

static void test_segments(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(corruptions); i++) {
		struct thv_sregs sregs = sregs_of(X86_CR0_ET, 0, 0);

		corruptions[i].apply(&sregs);
		tap_is(thv_sregs_check(&sregs), corruptions[i].verdict == POSSIBLE ? 0 : -EINVAL,
		       "%s: %spossible", corruptions[i].what,
		       corruptions[i].verdict == POSSIBLE ? "" : "im");
	}
}

static void test_pdptrs(void)
{
	unsigned int i, bit;

	for (i = 0; i < 4; i++)
		for (bit = 0; bit < 64; bit++) {
			struct thv_sregs sregs = sregs_of(X86_CR0_ET, 0, 0);
			bool reserved = bit == 1 || bit == 2 || (bit >= 5 && bit <= 8) || bit >= 39;

			sregs.flags = THV_SREGS_PDPTR;
			sregs.pdptr[i] = 1 | BIT_ULL(bit);
			tap_check(!thv_sregs_check(&sregs) == !reserved, "PDPTE %u bit %u", i, bit);
		}
	tap_ok(tap_held(), "PDPTEs: each bit of each (SDM table 4-8)");
}

static void test_canonical(void)
{
	unsigned int bit;

	for (bit = 0; bit < 64; bit++)
		tap_check(thv_canonical(BIT_ULL(bit)) == (bit < 47) &&
			  thv_canonical(~BIT_ULL(bit)) == (bit < 47), "bit %u", bit);
	tap_ok(tap_held() && thv_canonical(0) && thv_canonical(~0ULL),
	       "addresses: bits 63:47 are alike (SDM 3.3.7.1)");
}

int main(void)
{
	test_cr0();
	test_cr4();
	test_efer();
	test_combinations();
	test_xcr0();
	test_segments();
	test_pdptrs();
	test_canonical();
	return tap_done();
}
