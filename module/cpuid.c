// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the guest is told about its processor.
 *
 * Two tables. features[] has one row for each feature bit that thv can offer: what
 * must be there (in the host's CPUID, among the VMX controls, in XCR0) and what it
 * lets the guest do (bits of CR4 and IA32_EFER). So CPUID and the checks of
 * control registers come from the same row and cannot disagree. leaves[] has one row
 * for each CPUID leaf: where its values come from and what of it changes while a vCPU runs.
 *
 * Everything is worked out once, at load. A CPUID exit copies four registers: asking
 * the host's CPUID then would be slow, and slower still where the host is itself a guest.
 *
 * No locks: written at load, read only afterwards.
 */
#define pr_fmt(fmt) "thv: " fmt

#include <linux/bits.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/log2.h>
#include <linux/nospec.h>
#include <linux/rational.h>
#include <asm/cpufeature.h>
#include <asm/fpu/types.h>
#include <asm/fpu/xcr.h>
#include <asm/fpu/xstate.h>
#include <asm/msr-index.h>
#include <asm/processor.h>
#include <asm/tsc.h>
#include "cpuid.h"
#include "hypercall.h"
#include "lapic.h"
#include "msr.h"
#include "vcpu.h"
#include "vm.h"

/* ---- feature words ---- */

/* Where each word of feature bits is; words are numbered as the kernel numbers them. */
#define WORD_7_2_EDX	NCAPINTS	/* it has no number for this one, nor names for its bits: */
#define FEATURE_RRSBA_CTRL	(WORD_7_2_EDX * 32 + 2)
#define FEATURE_BHI_CTRL	(WORD_7_2_EDX * 32 + 4)

static const struct {
	u32 leaf, subleaf;
	enum cpuid_regs_idx reg;
} words[] = {
	[CPUID_1_EDX] = { 0x1, 0, CPUID_EDX },
	[CPUID_1_ECX] = { 0x1, 0, CPUID_ECX },
	[CPUID_6_EAX] = { 0x6, 0, CPUID_EAX },
	[CPUID_7_0_EBX] = { 0x7, 0, CPUID_EBX },
	[CPUID_7_ECX] = { 0x7, 0, CPUID_ECX },
	[CPUID_7_EDX] = { 0x7, 0, CPUID_EDX },
	[CPUID_7_1_EAX] = { 0x7, 1, CPUID_EAX },
	[WORD_7_2_EDX] = { 0x7, 2, CPUID_EDX },
	[CPUID_D_1_EAX] = { 0xd, 1, CPUID_EAX },
	[CPUID_8000_0001_EDX] = { 0x80000001, 0, CPUID_EDX },
	[CPUID_8000_0001_ECX] = { 0x80000001, 0, CPUID_ECX },
};

/*
 * What thv can offer. A row's feature is offered if the host has it, the host's kernel has not
 * given it up (an erratum, a parameter), and its conditions hold. A bit without a row
 * is never offered. Some are left out on purpose:
 *
 *   MONITOR, WAITPKG		waiting belongs to the host's scheduler
 *   VMX, SVM, SMX, SGX		no machine within the machine
 *   DS, DTES64, PDCM, PT, ARCH_LBR	there is no performance monitoring (leaf 0AH is zero)
 *   EST, TM2, ACPI, ACC		nor power and temperature
 *   HLE, RTM			the host may switch them off at any time
 *   PKU, CET, AMX, MPX		state or controls that thv does not switch
 *   LA57, UMIP			no emulated model has them, so nobody would have seen them work
 */
static const struct feature {
	unsigned int number;
	bool ours;		/* thv makes it: no host needed */
	u64 control;		/* THV_FEATURE_* that VMs must use, or the instruction faults */
	u64 xcr0;		/* state components without which it faults */
	u64 cr4;		/* what a guest that has it may set */
	u64 efer;
} features[] = {
	/* 01H EDX */
	{ X86_FEATURE_FPU },
	{ X86_FEATURE_VME, .cr4 = X86_CR4_VME | X86_CR4_PVI },
	{ X86_FEATURE_DE, .cr4 = X86_CR4_DE },
	{ X86_FEATURE_PSE, .cr4 = X86_CR4_PSE },
	{ X86_FEATURE_TSC, .cr4 = X86_CR4_TSD },
	{ X86_FEATURE_MSR },
	{ X86_FEATURE_PAE, .cr4 = X86_CR4_PAE },
	{ X86_FEATURE_MCE, .ours = true, .cr4 = X86_CR4_MCE },
	{ X86_FEATURE_CX8 },
	{ X86_FEATURE_APIC, .ours = true },
	{ X86_FEATURE_SEP },
	{ X86_FEATURE_MTRR, .ours = true },
	{ X86_FEATURE_PGE, .cr4 = X86_CR4_PGE },
	{ X86_FEATURE_MCA, .ours = true },
	{ X86_FEATURE_CMOV },
	{ X86_FEATURE_PAT },
	{ X86_FEATURE_PSE36 },
	{ X86_FEATURE_CLFLUSH },
	{ X86_FEATURE_MMX },
	{ X86_FEATURE_FXSR, .cr4 = X86_CR4_OSFXSR },
	{ X86_FEATURE_XMM, .cr4 = X86_CR4_OSXMMEXCPT },
	{ X86_FEATURE_XMM2 },
	{ X86_FEATURE_SELFSNOOP },
	{ X86_FEATURE_HT, .ours = true },	/* a package has more than one APIC id */

	/* 01H ECX */
	{ X86_FEATURE_XMM3 },
	{ X86_FEATURE_PCLMULQDQ },
	{ X86_FEATURE_SSSE3 },
	{ X86_FEATURE_FMA, .xcr0 = XFEATURE_MASK_YMM },
	{ X86_FEATURE_CX16 },
	{ X86_FEATURE_PCID, .cr4 = X86_CR4_PCIDE },
	{ X86_FEATURE_XMM4_1 },
	{ X86_FEATURE_XMM4_2 },
	{ X86_FEATURE_X2APIC, .ours = true },
	{ X86_FEATURE_MOVBE },
	{ X86_FEATURE_POPCNT },
	{ X86_FEATURE_TSC_DEADLINE_TIMER, .ours = true },
	{ X86_FEATURE_AES },
	{ X86_FEATURE_XSAVE, .xcr0 = XFEATURE_MASK_FPSSE, .cr4 = X86_CR4_OSXSAVE },
	{ X86_FEATURE_AVX, .xcr0 = XFEATURE_MASK_YMM },
	{ X86_FEATURE_F16C, .xcr0 = XFEATURE_MASK_YMM },
	{ X86_FEATURE_RDRAND },
	{ X86_FEATURE_HYPERVISOR, .ours = true },

	/* 06H EAX */
	{ X86_FEATURE_ARAT, .ours = true },

	/* 07H EBX */
	{ X86_FEATURE_FSGSBASE, .cr4 = X86_CR4_FSGSBASE },
	{ X86_FEATURE_TSC_ADJUST, .ours = true },
	{ X86_FEATURE_BMI1 },
	{ X86_FEATURE_AVX2, .xcr0 = XFEATURE_MASK_YMM },
	{ X86_FEATURE_FDP_EXCPTN_ONLY },
	{ X86_FEATURE_SMEP, .cr4 = X86_CR4_SMEP },
	{ X86_FEATURE_BMI2 },
	{ X86_FEATURE_ERMS },
	{ X86_FEATURE_INVPCID, .control = THV_FEATURE_INVPCID },
	{ X86_FEATURE_ZERO_FCS_FDS },
	{ X86_FEATURE_AVX512F, .xcr0 = XFEATURE_MASK_AVX512 },
	{ X86_FEATURE_AVX512DQ, .xcr0 = XFEATURE_MASK_AVX512 },
	{ X86_FEATURE_RDSEED },
	{ X86_FEATURE_ADX },
	{ X86_FEATURE_SMAP, .cr4 = X86_CR4_SMAP },
	{ X86_FEATURE_AVX512IFMA, .xcr0 = XFEATURE_MASK_AVX512 },
	{ X86_FEATURE_CLFLUSHOPT },
	{ X86_FEATURE_CLWB },
	{ X86_FEATURE_AVX512PF, .xcr0 = XFEATURE_MASK_AVX512 },
	{ X86_FEATURE_AVX512ER, .xcr0 = XFEATURE_MASK_AVX512 },
	{ X86_FEATURE_AVX512CD, .xcr0 = XFEATURE_MASK_AVX512 },
	{ X86_FEATURE_SHA_NI },
	{ X86_FEATURE_AVX512BW, .xcr0 = XFEATURE_MASK_AVX512 },
	{ X86_FEATURE_AVX512VL, .xcr0 = XFEATURE_MASK_AVX512 },

	/* 07H ECX */
	{ X86_FEATURE_AVX512VBMI, .xcr0 = XFEATURE_MASK_AVX512 },
	{ X86_FEATURE_AVX512_VBMI2, .xcr0 = XFEATURE_MASK_AVX512 },
	{ X86_FEATURE_GFNI },
	{ X86_FEATURE_VAES, .xcr0 = XFEATURE_MASK_YMM },
	{ X86_FEATURE_VPCLMULQDQ, .xcr0 = XFEATURE_MASK_YMM },
	{ X86_FEATURE_AVX512_VNNI, .xcr0 = XFEATURE_MASK_AVX512 },
	{ X86_FEATURE_AVX512_BITALG, .xcr0 = XFEATURE_MASK_AVX512 },
	{ X86_FEATURE_AVX512_VPOPCNTDQ, .xcr0 = XFEATURE_MASK_AVX512 },
	{ X86_FEATURE_RDPID, .control = THV_FEATURE_RDTSCP },	/* SDM 26.3 */
	{ X86_FEATURE_CLDEMOTE },
	{ X86_FEATURE_MOVDIRI },
	{ X86_FEATURE_MOVDIR64B },

	/* 07H EDX */
	{ X86_FEATURE_AVX512_4VNNIW, .xcr0 = XFEATURE_MASK_AVX512 },
	{ X86_FEATURE_AVX512_4FMAPS, .xcr0 = XFEATURE_MASK_AVX512 },
	{ X86_FEATURE_FSRM },
	{ X86_FEATURE_AVX512_VP2INTERSECT, .xcr0 = XFEATURE_MASK_AVX512 },
	{ X86_FEATURE_MD_CLEAR },
	{ X86_FEATURE_SERIALIZE },
	{ X86_FEATURE_AVX512_FP16, .xcr0 = XFEATURE_MASK_AVX512 },
	{ X86_FEATURE_SPEC_CTRL },
	{ X86_FEATURE_INTEL_STIBP },
	{ X86_FEATURE_FLUSH_L1D },
	{ X86_FEATURE_ARCH_CAPABILITIES },
	{ X86_FEATURE_SPEC_CTRL_SSBD },

	/* 07H.1 EAX */
	{ X86_FEATURE_AVX_VNNI, .xcr0 = XFEATURE_MASK_YMM },
	{ X86_FEATURE_AVX512_BF16, .xcr0 = XFEATURE_MASK_AVX512 },

	/* 07H.2 EDX */
	{ FEATURE_RRSBA_CTRL },
	{ FEATURE_BHI_CTRL },

	/* 0DH.1 EAX */
	{ X86_FEATURE_XSAVEOPT, .xcr0 = XFEATURE_MASK_FPSSE },
	{ X86_FEATURE_XSAVEC, .xcr0 = XFEATURE_MASK_FPSSE },
	{ X86_FEATURE_XGETBV1, .xcr0 = XFEATURE_MASK_FPSSE },
	{ X86_FEATURE_XSAVES, .xcr0 = XFEATURE_MASK_FPSSE, .control = THV_FEATURE_XSAVES },

	/* 80000001H EDX */
	{ X86_FEATURE_SYSCALL, .efer = EFER_SCE },
	{ X86_FEATURE_NX, .efer = EFER_NX },
	{ X86_FEATURE_GBPAGES },
	{ X86_FEATURE_RDTSCP, .control = THV_FEATURE_RDTSCP },
	{ X86_FEATURE_LM, .efer = EFER_LME | EFER_LMA },

	/* 80000001H ECX */
	{ X86_FEATURE_LAHF_LM },
	{ X86_FEATURE_ABM },
	{ X86_FEATURE_3DNOWPREFETCH },
};

#define MAX_SUBLEAVES	(XFEATURE_Hi16_ZMM + 1)	/* leaf 0DH has the most */
#define XSAVE_ALIGNED	BIT(1)	/* leaf 0DH ECX: when compacted, starts at a multiple of 64 */

/* XCR0's components that thv switches; AVX-512's three come together or not at all */
#define XCR0_KNOWN	(XFEATURE_MASK_FPSSE | XFEATURE_MASK_YMM | XFEATURE_MASK_AVX512)

/* What was decided at load */
static struct {
	u32 words[ARRAY_SIZE(words)];
	u64 cr4, efer, xcr0;
	u32 phys_bits;
	u32 tsc_khz;
	bool tsc_stable;
} guest __ro_after_init;

bool thv_guest_has(unsigned int feature)
{
	unsigned int word = feature / 32;

	return word < ARRAY_SIZE(guest.words) && (guest.words[word] & BIT(feature % 32));
}

u64 thv_cr4_allowed(void)
{
	return guest.cr4;
}

u64 thv_efer_allowed(void)
{
	return guest.efer;
}

u64 thv_xcr0_allowed(void)
{
	return guest.xcr0;
}

/* No supervisor state is offered: XSAVES, where it is, saves what XSAVEC does. */
u64 thv_xss_allowed(void)
{
	return 0;
}

/* SDM volume 4, table 2-2: IA32_SPEC_CTRL's bits are enumerated one by one */
u64 thv_spec_ctrl_allowed(void)
{
	return (thv_guest_has(X86_FEATURE_SPEC_CTRL) ? SPEC_CTRL_IBRS : 0) |
	       (thv_guest_has(X86_FEATURE_INTEL_STIBP) ? SPEC_CTRL_STIBP : 0) |
	       (thv_guest_has(X86_FEATURE_SPEC_CTRL_SSBD) ? SPEC_CTRL_SSBD : 0) |
	       (thv_guest_has(FEATURE_RRSBA_CTRL) ? SPEC_CTRL_RRSBA_DIS_S : 0) |
	       (thv_guest_has(FEATURE_BHI_CTRL) ? SPEC_CTRL_BHI_DIS_S : 0);
}

u32 thv_guest_phys_bits(void)
{
	return guest.phys_bits;
}

u32 thv_guest_tsc_khz(void)
{
	return guest.tsc_khz;
}

bool thv_guest_tsc_stable(void)
{
	return guest.tsc_stable;
}

/* ---- the leaves: values that stay ---- */

/* All vCPUs are cores of one package, and an APIC id is a vCPU's id. */
#define PACKAGE_BITS	order_base_2(THV_MAX_VCPUS)
#define PACKAGE_IDS	BIT(PACKAGE_BITS)

#define EXTENDED	BIT(31)
#define HIGHEST_BASIC	0x1f
#define HIGHEST_EXTENDED (EXTENDED + 8)
#define XSAVE_LEAF	0xd

/* A leaf the host does not have is zeros; beyond the highest, Intel gives something else. */
static struct cpuid_regs host_cpuid(u32 leaf, u32 subleaf)
{
	struct cpuid_regs regs = {};

	if (leaf <= cpuid_eax(leaf & EXTENDED))
		cpuid_count(leaf, subleaf, &regs.eax, &regs.ebx, &regs.ecx, &regs.edx);
	return regs;
}

/* What the feature words say, and nothing else */
static struct cpuid_regs features_only(u32 leaf, u32 subleaf)
{
	return (struct cpuid_regs) {};
}

/* 0H: the highest basic leaf, and the vendor */
static struct cpuid_regs vendor(u32 leaf, u32 subleaf)
{
	struct cpuid_regs regs = host_cpuid(leaf, 0);

	regs.eax = HIGHEST_BASIC;
	return regs;
}

/* 1H: family, model, stepping; CLFLUSH line size; APIC ids a package may have */
static struct cpuid_regs signature(u32 leaf, u32 subleaf)
{
	struct cpuid_regs host = host_cpuid(leaf, 0);

	return (struct cpuid_regs) {
		.eax = host.eax,
		.ebx = (host.ebx & GENMASK(15, 8)) | PACKAGE_IDS << 16,
	};
}

/* 2H: "see leaf 4 for the caches", once (SDM volume 2, CPUID) */
static struct cpuid_regs descriptors(u32 leaf, u32 subleaf)
{
	return (struct cpuid_regs) { .eax = 0xff01 };
}

/* 4H: the host's caches; levels 1 and 2 are a core's own, the last one is the package's */
static struct cpuid_regs cache(u32 leaf, u32 subleaf)
{
	struct cpuid_regs regs = host_cpuid(leaf, subleaf);
	u32 type = regs.eax & GENMASK(4, 0), level = (regs.eax >> 5) & 7;

	if (!type)
		return (struct cpuid_regs) {};
	regs.eax &= GENMASK(9, 0);
	regs.eax |= (PACKAGE_IDS - 1) << 26;
	if (level > 2)
		regs.eax |= (PACKAGE_IDS - 1) << 14;
	return regs;
}

/* 7H: the highest subleaf; the rest are features */
static struct cpuid_regs subleaves(u32 leaf, u32 subleaf)
{
	return (struct cpuid_regs) { .eax = subleaf ? 0 : 2 };
}

/* 0BH and 1FH: one thread a core, all cores in the package; a third level does not exist */
static struct cpuid_regs topology(u32 leaf, u32 subleaf)
{
	if (subleaf == 0)
		return (struct cpuid_regs) { .ebx = 1, .ecx = 1 << 8 };
	return (struct cpuid_regs) { .eax = PACKAGE_BITS, .ebx = 1, .ecx = 2 << 8 };
}

/* 0DH: XCR0's components, and where each is in an XSAVE area */
static struct cpuid_regs xsave(u32 leaf, u32 subleaf)
{
	struct cpuid_regs regs;

	if (!thv_guest_has(X86_FEATURE_XSAVE))
		return (struct cpuid_regs) {};
	if (subleaf == 0)
		return (struct cpuid_regs) { .eax = guest.xcr0, .edx = guest.xcr0 >> 32 };
	if (subleaf == 1 || !(guest.xcr0 & BIT(subleaf)))
		return (struct cpuid_regs) {};
	regs = host_cpuid(leaf, subleaf);
	regs.ecx &= XSAVE_ALIGNED;
	return regs;
}

/*
 * 15H: TSC rate = ECX * EBX / EAX, where ECX is the core crystal clock's, which the APIC
 * timer counts too. Linux multiplies ECX / 1000 by EBX in 32 bits (native_calibrate_tsc()), so
 * EBX is small, and the fraction is the nearest to the true one that such an EBX allows.
 */
static struct cpuid_regs tsc_ratio(u32 leaf, u32 subleaf)
{
	unsigned long most = U32_MAX / THV_LAPIC_TIMER_KHZ, numerator, denominator;

	rational_best_approximation(guest.tsc_khz, THV_LAPIC_TIMER_KHZ, most, THV_LAPIC_TIMER_KHZ,
				    &numerator, &denominator);
	return (struct cpuid_regs) {
		.eax = denominator, .ebx = numerator, .ecx = THV_LAPIC_TIMER_KHZ * 1000,
	};
}

/* 16H: base and maximum frequency, and the bus's, in MHz */
static struct cpuid_regs frequency(u32 leaf, u32 subleaf)
{
	u32 mhz = DIV_ROUND_CLOSEST(guest.tsc_khz, 1000);

	return (struct cpuid_regs) { .eax = mhz, .ebx = mhz, .ecx = 100 };
}

static struct cpuid_regs highest_extended(u32 leaf, u32 subleaf)
{
	return (struct cpuid_regs) { .eax = HIGHEST_EXTENDED };
}

/* 80000007H: does the TSC count at one rate, always? */
static struct cpuid_regs invariant_tsc(u32 leaf, u32 subleaf)
{
	return (struct cpuid_regs) { .edx = guest.tsc_stable ? BIT(8) : 0 };
}

/* 80000008H: widths of guest-physical and linear addresses */
static struct cpuid_regs address_sizes(u32 leaf, u32 subleaf)
{
	return (struct cpuid_regs) { .eax = guest.phys_bits | 48 << 8 };
}

/* ---- the leaves: what follows the vCPU's state ---- */

static const struct cpuid_regs *leaf_values(u32 leaf);

/* @vcpu is NULL for vCPU 0 of a new VM */
static u32 apic_id(const struct thv_vcpu *vcpu)
{
	return vcpu ? vcpu->id : 0;
}

static void signature_now(const struct thv_vcpu *vcpu, u32 subleaf, struct cpuid_regs *regs)
{
	regs->ebx |= apic_id(vcpu) << 24;
	if (!vcpu)
		return;
	if (vcpu->cr4 & X86_CR4_OSXSAVE)
		regs->ecx |= BIT(X86_FEATURE_OSXSAVE % 32);
	if (!thv_lapic_enabled(&vcpu->lapic))
		regs->edx &= ~BIT(X86_FEATURE_APIC % 32);
}

/* Even a level that does not exist has ECX's low byte and the id (SDM volume 2, CPUID) */
/* Under shadow paging INVPCID would have to be carried out for the guest: there it is not offered */
static void subleaves_now(const struct thv_vcpu *vcpu, u32 subleaf, struct cpuid_regs *regs)
{
	if (vcpu && !subleaf && !(vcpu->vm->features & THV_FEATURE_INVPCID))
		regs->ebx &= ~BIT(X86_FEATURE_INVPCID % 32);
}

static void topology_now(const struct thv_vcpu *vcpu, u32 subleaf, struct cpuid_regs *regs)
{
	if (vcpu && subleaf == 1)
		regs->ebx = READ_ONCE(vcpu->vm->nr_vcpus);
	regs->ecx |= subleaf & 0xff;
	regs->edx = apic_id(vcpu);
}

/* Bytes of an XSAVE area: components at their places, or one after the other (SDM 13.4) */
static u32 xsave_size(u64 components, bool compacted)
{
	const struct cpuid_regs *component = leaf_values(XSAVE_LEAF);
	u32 size = FXSAVE_SIZE + XSAVE_HDR_SIZE;
	unsigned int i;

	for (i = XFEATURE_YMM; i < MAX_SUBLEAVES; i++) {
		u32 start = component[i].ebx;

		if (!(components & BIT(i)))
			continue;
		if (compacted)
			start = component[i].ecx & XSAVE_ALIGNED ? ALIGN(size, 64) : size;
		size = max(size, start + component[i].eax);
	}
	return size;
}

static void xsave_now(const struct thv_vcpu *vcpu, u32 subleaf, struct cpuid_regs *regs)
{
	u64 xcr0 = vcpu ? vcpu->xcr0 : XFEATURE_MASK_FP;

	if (!thv_guest_has(X86_FEATURE_XSAVE) || subleaf > 1)
		return;
	if (subleaf == 0) {
		regs->ebx = xsave_size(xcr0, false);
		regs->ecx = xsave_size(guest.xcr0, false);
	} else if (thv_guest_has(X86_FEATURE_XSAVEC) || thv_guest_has(X86_FEATURE_XSAVES)) {
		regs->ebx = xsave_size(xcr0 | thv_xss_allowed(), true);
	}
}

/* ---- the table of leaves, and the way to a leaf ---- */

/*
 * A leaf without a row is zeros. @values: what stays, asked once for each subleaf; feature words
 * are added. @now: what follows the vCPU's state, at each CPUID; called for every
 * subleaf, existing or not.
 */
static const struct leaf {
	u32 number;
	u32 subleaves;		/* ECX below this; 0: the leaf ignores ECX */
	struct cpuid_regs (*values)(u32 leaf, u32 subleaf);
	void (*now)(const struct thv_vcpu *vcpu, u32 subleaf, struct cpuid_regs *regs);
} leaves[] = {
	{ 0x0, 0, vendor },
	{ 0x1, 0, signature, signature_now },
	{ 0x2, 0, descriptors },
	{ 0x4, 5, cache },
	{ 0x6, 0, features_only },
	{ 0x7, 3, subleaves, subleaves_now },
	{ 0xb, 2, topology, topology_now },
	{ XSAVE_LEAF, MAX_SUBLEAVES, xsave, xsave_now },
	{ 0x15, 0, tsc_ratio },
	{ 0x16, 0, frequency },
	{ HIGHEST_BASIC, 2, topology, topology_now },
	{ EXTENDED, 0, highest_extended },
	{ EXTENDED + 1, 0, features_only },
	{ EXTENDED + 2, 0, host_cpuid },	/* the processor's name */
	{ EXTENDED + 3, 0, host_cpuid },
	{ EXTENDED + 4, 0, host_cpuid },
	{ EXTENDED + 6, 0, host_cpuid },	/* the second-level cache, once more */
	{ EXTENDED + 7, 0, invariant_tsc },
	{ HIGHEST_EXTENDED, 0, address_sizes },
};

/* A row as it is answered from: @mask is 0 where the leaf ignores ECX; then there is one subleaf */
struct answer {
	void (*now)(const struct thv_vcpu *vcpu, u32 subleaf, struct cpuid_regs *regs);
	u32 mask;
	u32 subleaves;
	struct cpuid_regs values[MAX_SUBLEAVES];
};

static struct answer answers[ARRAY_SIZE(leaves)] __ro_after_init;
static struct answer *basic[HIGHEST_BASIC + 1] __ro_after_init;
static struct answer *extended[HIGHEST_EXTENDED - EXTENDED + 1] __ro_after_init;
static struct answer *beyond __ro_after_init;	/* told of leaves past the highest */

/* The place of a leaf in the two indexes; beyond them: NULL. A guest chooses, hence nospec. */
static struct answer **slot(u32 number)
{
	if (number < ARRAY_SIZE(basic))
		return &basic[array_index_nospec(number, ARRAY_SIZE(basic))];
	number -= EXTENDED;
	if (number < ARRAY_SIZE(extended))
		return &extended[array_index_nospec(number, ARRAY_SIZE(extended))];
	return NULL;
}

static const struct cpuid_regs zeros;

static const struct cpuid_regs *value(const struct answer *answer, u32 subleaf)
{
	subleaf &= answer->mask;
	if (subleaf >= answer->subleaves)
		return &zeros;
	return &answer->values[array_index_nospec(subleaf, MAX_SUBLEAVES)];
}

/* Of a leaf that has a row */
static const struct cpuid_regs *leaf_values(u32 number)
{
	return (*slot(number))->values;
}

/**
 * thv_cpuid - CPUID as a vCPU sees it now.
 * @vcpu: the vCPU; NULL stands for vCPU 0 of a new VM.
 * @leaf: EAX.
 * @subleaf: ECX.
 * @regs: out.
 *
 * Context: any; the vCPU's own thread, if there is one.
 */
void thv_cpuid(const struct thv_vcpu *vcpu, u32 leaf, u32 subleaf, struct cpuid_regs *regs)
{
	struct answer **place = slot(leaf);
	const struct answer *answer = place ? *place : beyond;

	if (!place && thv_pv_leaf(leaf))
		return thv_pv_cpuid(leaf, &regs->eax, &regs->ebx, &regs->ecx, &regs->edx);
	if (!answer) {
		*regs = zeros;
		return;
	}
	*regs = *value(answer, subleaf);
	if (answer->now)
		answer->now(vcpu, subleaf & answer->mask, regs);
}

const struct cpuid_regs *thv_cpuid_fixed(u32 leaf, u32 subleaf)
{
	struct answer **place = slot(leaf);

	return place && *place && !(*place)->now ? value(*place, subleaf) : NULL;
}

/* ---- at load ---- */

static u32 *word_in(struct cpuid_regs *regs, unsigned int word)
{
	u32 *in[] = {
		[CPUID_EAX] = &regs->eax, [CPUID_EBX] = &regs->ebx,
		[CPUID_ECX] = &regs->ecx, [CPUID_EDX] = &regs->edx,
	};

	return in[words[word].reg];
}

/* CPUID says what the processor has; the kernel, what of it can be used. */
static bool host_has(unsigned int feature)
{
	unsigned int word = feature / 32;
	struct cpuid_regs regs = host_cpuid(words[word].leaf, words[word].subleaf);

	if (!(*word_in(&regs, word) & BIT(feature % 32)))
		return false;
	return word >= NCAPINTS || boot_cpu_has(feature);
}

/* A guest's components are switched by the host's kernel, so those it switches for itself */
static u64 choose_xcr0(void)
{
	u64 xcr0 = XFEATURE_MASK_FP;

	if (host_has(X86_FEATURE_XSAVE))
		xcr0 = xgetbv(XCR_XFEATURE_ENABLED_MASK) & XCR0_KNOWN;
	if ((xcr0 & XFEATURE_MASK_AVX512) != XFEATURE_MASK_AVX512)
		xcr0 &= ~XFEATURE_MASK_AVX512;
	return xcr0;
}

static bool can_offer(const struct feature *feature)
{
	return (feature->ours || host_has(feature->number)) &&
	       (thv_caps.used & feature->control) == feature->control &&
	       (guest.xcr0 & feature->xcr0) == feature->xcr0;
}

static void choose_features(void)
{
	unsigned int i;

	guest.cr4 = X86_CR4_PCE;	/* goes with RDPMC, which has no feature bit (and faults) */
	for (i = 0; i < ARRAY_SIZE(features); i++) {
		const struct feature *feature = &features[i];

		if (!can_offer(feature))
			continue;
		guest.words[feature->number / 32] |= BIT(feature->number % 32);
		guest.cr4 |= feature->cr4;
		guest.efer |= feature->efer;
	}
}

static void fill_leaves(void)
{
	unsigned int i, subleaf;

	for (i = 0; i < ARRAY_SIZE(leaves); i++) {
		struct answer *answer = &answers[i];

		*slot(leaves[i].number) = answer;
		answer->now = leaves[i].now;
		answer->mask = leaves[i].subleaves ? U32_MAX : 0;
		answer->subleaves = max(leaves[i].subleaves, 1U);
		for (subleaf = 0; subleaf < answer->subleaves; subleaf++)
			answer->values[subleaf] = leaves[i].values(leaves[i].number, subleaf);
	}
	for (i = 0; i < ARRAY_SIZE(words); i++)
		if (words[i].leaf)
			*word_in(&(*slot(words[i].leaf))->values[words[i].subleaf], i) |=
				guest.words[i];
	/* SDM volume 2, CPUID: the highest basic leaf's data, on Intel's processors */
	if (boot_cpu_data.x86_vendor == X86_VENDOR_INTEL)
		beyond = basic[HIGHEST_BASIC];
}

/**
 * thv_cpuid_init - decide what guests are offered.
 *
 * Context: module load, after the backend's probe() filled thv_caps.
 * Return: 0; -EOPNOTSUPP, the host cannot tell time (and the log says so).
 */
int thv_cpuid_init(void)
{
	if (!tsc_khz) {
		pr_err("the kernel does not know the rate of the time-stamp counter. Boot it without \"notsc\", or tell it: tsc_early_khz=\n");
		return -EOPNOTSUPP;
	}
	guest.tsc_khz = tsc_khz;
	guest.tsc_stable = !check_tsc_unstable() && (boot_cpu_has(X86_FEATURE_CONSTANT_TSC) ||
						     boot_cpu_has(X86_FEATURE_TSC_RELIABLE));
	guest.phys_bits = min(host_cpuid(HIGHEST_EXTENDED, 0).eax & 0xff, thv_caps.phys_bits);
	guest.xcr0 = choose_xcr0();
	choose_features();
	fill_leaves();
	return thv_msr_init();
}
