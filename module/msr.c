// SPDX-License-Identifier: GPL-2.0-only
/*
 * The model-specific registers a guest may touch.
 *
 * One table, sorted by number; what is not in it is a #GP. A row says where the value is (a
 * constant, a field of struct thv_msrs_soft, the backend, a function), which values are
 * possible, and whether the guest may go to the register without an exit. The MSR
 * bitmap is made from the same rows, so that no register is open that the table does not know.
 *
 * The same checks serve the guest's WRMSR and the launcher's THV_SET_STATE: what
 * ends up in a register of the host has been canonical and free of reserved bits on every way in.
 *
 * Every function runs in the vCPU's own thread, with the vCPU loaded; RDMSR and WRMSR may come
 * with interrupts off.
 */
#define pr_fmt(fmt) "thv: " fmt

#include <linux/bits.h>
#include <linux/bug.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/kvm_para.h>
#include <linux/nospec.h>
#include <linux/string.h>
#include <asm/cpufeature.h>
#include <asm/mce.h>
#include <asm/msr.h>
#include <asm/mtrr.h>
#include <asm/tsc.h>
#include "backend.h"
#include "cpuid.h"
#include "hypercall.h"
#include "irq.h"
#include "msr.h"
#include "trace.h"
#include "vcpu.h"
#include "vm.h"

struct row;

/* One access: what the functions of a row get. */
struct access {
	struct thv_vcpu *vcpu;
	const struct row *row;
	u32 index;
	u64 value;		/* written, or (out) read */
	enum thv_msr_by by;
};

/**
 * struct row - one MSR, or several that follow each other.
 * @first: its number, or that of the first.
 * @more: how many follow.
 * @feature: X86_FEATURE_* without which there is no such MSR; 0, the FPU's, is always offered.
 * @reserved: bits that must be 0.
 * @valid: what else a value must be.
 * @constant: the value, of those that have only one.
 * @soft: offset of the value in struct thv_msrs_soft.
 * @read: fills access->value. NULL: the MSR is write-only.
 * @write: carries out a write that @reserved and @valid let through. NULL: read-only.
 * @direct_read: the guest may read it without an exit.
 * @direct_write: ... and write.
 *
 * Return of @read and @write: 0 or -EINVAL, which is a #GP or the launcher's errno.
 */
struct row {
	u32 first;
	u32 more;
	unsigned int feature;
	u64 reserved;
	bool (*valid)(u64 value);
	u64 constant;
	size_t soft;
	int (*read)(struct access *access);
	int (*write)(struct access *access);
	bool direct_read, direct_write;
};

/* ---- kinds of values ---- */

static int read_constant(struct access *access)
{
	access->value = access->row->constant;
	return 0;
}

static int write_ignored(struct access *access)
{
	return 0;
}

static u64 *soft(const struct access *access)
{
	u64 *first = (void *)&access->vcpu->msr + access->row->soft;
	const struct row *row = access->row;

	return first + array_index_nospec(access->index - row->first, row->more + 1);
}

static int read_soft(struct access *access)
{
	access->value = *soft(access);
	return 0;
}

static int write_soft(struct access *access)
{
	*soft(access) = access->value;
	return 0;
}

static int read_backend(struct access *access)
{
	return thv_backend->get_msr(access->vcpu, access->index, &access->value);
}

static int write_backend(struct access *access)
{
	return thv_backend->set_msr(access->vcpu, access->index, access->value);
}

/* ---- what values can be ---- */

/* Memory types, one in each byte of @value; @types is a mask of those there are */
static bool memory_types(u64 value, u32 types)
{
	unsigned int i;

	for (i = 0; i < 64; i += 8)
		if ((u8)(value >> i) > 7 || !(types & BIT((u8)(value >> i))))
			return false;
	return true;
}

/* Eight variable ranges, the fixed ones, write-combining (SDM 12.11.1) */
#define MTRR_PAIRS	8
#define MTRR_CAP	(MTRR_PAIRS | BIT(8) | BIT(10))
#define MTRR_DEF_FIXED	BIT(10)
#define MTRR_DEF_ENABLED BIT(11)

#define MTRR_TYPES	(BIT(MTRR_TYPE_UNCACHABLE) | BIT(MTRR_TYPE_WRCOMB) | \
			 BIT(MTRR_TYPE_WRTHROUGH) | BIT(MTRR_TYPE_WRPROT) | BIT(MTRR_TYPE_WRBACK))
#define PAT_TYPES	(MTRR_TYPES | BIT(7))	/* 7: UC- (SDM table 12-10) */

static bool valid_pat(u64 value)
{
	return memory_types(value, PAT_TYPES);
}

static bool valid_mtrr_fixed(u64 value)
{
	return memory_types(value, MTRR_TYPES);
}

/* SDM 12.11.2.1; the reserved bits are the row's */
static bool valid_mtrr_def_type(u64 value)
{
	return memory_types(value & 0xff, MTRR_TYPES);
}

static bool valid_spec_ctrl(u64 value)
{
	return !(value & ~thv_spec_ctrl_allowed());
}

static bool valid_xss(u64 value)
{
	return !(value & ~thv_xss_allowed());
}

/* What a guest finds at power-up and may not change, but for the string instructions' switch */
#define MISC_ENABLE	(MSR_IA32_MISC_ENABLE_FAST_STRING | MSR_IA32_MISC_ENABLE_BTS_UNAVAIL | \
			 MSR_IA32_MISC_ENABLE_PEBS_UNAVAIL)

static bool valid_misc_enable(u64 value)
{
	return !((value ^ MISC_ENABLE) & ~MSR_IA32_MISC_ENABLE_FAST_STRING);
}

/* ---- the time-stamp counter ---- */

/* The VM's counter, which every vCPU's is but for its IA32_TSC_ADJUST */
static u64 vm_tsc(const struct thv_vm *vm)
{
	return rdtsc() + READ_ONCE(vm->tsc_offset);
}

/**
 * thv_tsc_vm_init - start a new VM's time-stamp counter at 0.
 * @vm: the VM; it has no vCPUs yet.
 */
void thv_tsc_vm_init(struct thv_vm *vm)
{
	vm->tsc_offset = -rdtsc();
}

/**
 * thv_tsc_follow - make the processor and the APIC timer follow vm->tsc_offset and IA32_TSC_ADJUST.
 * @vcpu: the vCPU, loaded.
 */
void thv_tsc_follow(struct thv_vcpu *vcpu)
{
	vcpu->tsc_offset = READ_ONCE(vcpu->vm->tsc_offset) + vcpu->msr.tsc_adjust;
	thv_backend->set_tsc_offset(vcpu);
	thv_irq_tsc_changed(vcpu);
}

/* The clock page must say where this vCPU's counter is now */
static void set_tsc_adjust(struct thv_vcpu *vcpu, u64 adjust)
{
	vcpu->msr.tsc_adjust = adjust;
	thv_tsc_follow(vcpu);
	thv_vcpu_request(vcpu, THV_REQ_CLOCK);
}

/**
 * thv_tsc_get - THV_STATE_TSC.
 * @vcpu: the vCPU.
 * @state: out, every byte.
 */
void thv_tsc_get(struct thv_vcpu *vcpu, struct thv_tsc *state)
{
	*state = (struct thv_tsc) {
		.tsc = vm_tsc(vcpu->vm) + vcpu->msr.tsc_adjust,
		.adjust = vcpu->msr.tsc_adjust,
		.khz = thv_guest_tsc_khz(),
	};
}

/**
 * thv_tsc_set - THV_STATE_TSC.
 * @vcpu: the vCPU, loaded.
 * @state: what to set. khz, if not 0, is a demand: a guest does not survive another rate.
 *
 * The counter is the VM's, and vCPU 0's state sets it, for all. Of another vCPU's state
 * only @state->adjust counts: two counters set one after the other would differ by the time
 * between, and a guest takes that for a broken clock.
 *
 * Return: 0, or -EINVAL: another rate, or a reserved field that is not zero.
 */
int thv_tsc_set(struct thv_vcpu *vcpu, const struct thv_tsc *state)
{
	struct thv_vm *vm = vcpu->vm;
	struct thv_vcpu *other;
	unsigned int i;

	if (state->reserved || (state->khz && state->khz != thv_guest_tsc_khz()))
		return -EINVAL;
	if (vcpu->id == 0) {
		WRITE_ONCE(vm->tsc_offset, state->tsc - state->adjust - rdtsc());
		thv_for_each_vcpu(i, other, vm)
			thv_vcpu_request(other, THV_REQ_CLOCK);
	}
	set_tsc_adjust(vcpu, state->adjust);
	return 0;
}

static int read_tsc(struct access *access)
{
	access->value = vm_tsc(access->vcpu->vm) + access->vcpu->msr.tsc_adjust;
	return 0;
}

/* Writing the counter adds the difference to IA32_TSC_ADJUST, and vice versa (SDM 18.17.3) */
static int write_tsc(struct access *access)
{
	set_tsc_adjust(access->vcpu, access->value - vm_tsc(access->vcpu->vm));
	return 0;
}

static int write_tsc_adjust(struct access *access)
{
	set_tsc_adjust(access->vcpu, access->value);
	return 0;
}

/* ---- the local APIC ---- */

static int read_apic_base(struct access *access)
{
	access->value = access->vcpu->lapic.base;
	return 0;
}

static int write_apic_base(struct access *access)
{
	return thv_lapic_set_base(&access->vcpu->lapic, access->value);
}

static int read_tsc_deadline(struct access *access)
{
	access->value = thv_lapic_get_tsc_deadline(&access->vcpu->lapic);
	return 0;
}

static int write_tsc_deadline(struct access *access)
{
	thv_lapic_set_tsc_deadline(&access->vcpu->lapic, access->value);
	return 0;
}

static int read_x2apic(struct access *access)
{
	return thv_apic_msr_read(access->vcpu, access->index, &access->value);
}

static int write_x2apic(struct access *access)
{
	return thv_apic_msr_write(access->vcpu, access->index, access->value);
}

/* ---- speculation ---- */

/*
 * What the host's IA32_ARCH_CAPABILITIES tells of vulnerabilities is true for the guest as well.
 * What announces an MSR or a control is not told: there is no such MSR in the table.
 */
#define ARCH_CAPABILITIES (ARCH_CAP_RDCL_NO | ARCH_CAP_IBRS_ALL | ARCH_CAP_RSBA |		\
			   ARCH_CAP_SSB_NO | ARCH_CAP_MDS_NO | ARCH_CAP_PSCHANGE_MC_NO |	\
			   ARCH_CAP_TAA_NO | ARCH_CAP_SBDR_SSDP_NO | ARCH_CAP_FBSDP_NO |	\
			   ARCH_CAP_PSDP_NO | ARCH_CAP_FB_CLEAR | ARCH_CAP_RRSBA |		\
			   ARCH_CAP_BHI_NO | ARCH_CAP_PBRSB_NO | ARCH_CAP_GDS_NO |		\
			   ARCH_CAP_RFDS_NO | ARCH_CAP_RFDS_CLEAR)

static u64 arch_capabilities __ro_after_init;

static int read_arch_capabilities(struct access *access)
{
	access->value = arch_capabilities;
	return 0;
}

/* A command is carried out at once, for what the guest left in this CPU; it is no state */
static int write_command(struct access *access)
{
	if (access->by == THV_MSR_HOST)
		return -EINVAL;
	if (access->value)
		wrmsrl(access->index, access->value);
	return 0;
}

/* ---- the rest that needs a function ---- */

/* SDM 2.2.1: LMA is the processor's, whatever is written */
static int write_efer(struct access *access)
{
	struct thv_vcpu *vcpu = access->vcpu;
	u64 efer = (access->value & ~EFER_LMA) | (vcpu->efer & EFER_LMA);

	if (thv_efer_check(efer, vcpu->cr0))
		return -EINVAL;
	return thv_backend->set_msr(vcpu, MSR_EFER, efer);
}

/* SDM 12.11.2.3: pairs of a base with a type and a mask with a valid bit */
static int write_mtrr_var(struct access *access)
{
	u64 reserved = ~GENMASK_ULL(thv_guest_phys_bits() - 1, 0);
	bool mask = access->index & 1;

	reserved |= mask ? GENMASK(10, 0) : GENMASK(11, 8);
	if (access->value & reserved)
		return -EINVAL;
	if (!mask && !memory_types(access->value & 0xff, MTRR_TYPES))
		return -EINVAL;
	return write_soft(access);
}

/* Bits 15:8: the TSC's rate in units of 100 MHz (SDM volume 4, table 2-3 and after) */
static int read_platform_info(struct access *access)
{
	access->value = min(thv_guest_tsc_khz() / 100000, 0xffU) << 8;
	return 0;
}

static int read_pv_clock(struct access *access)
{
	return thv_pv_clock_read(access->vcpu, access->index, &access->value, access->by);
}

static int write_pv_clock(struct access *access)
{
	return thv_pv_clock_write(access->vcpu, access->index, access->value, access->by);
}

/* ---- the table ---- */

#define ONE(index)		.first = (index)
#define RANGE(index, count)	.first = (index), .more = (count) - 1
#define CONSTANT(number)	.read = read_constant, .constant = (number)
#define READ_SOFT(field)	.read = read_soft, .soft = offsetof(struct thv_msrs_soft, field)
#define SOFT(field)		READ_SOFT(field), .write = write_soft
#define BACKEND			.read = read_backend, .write = write_backend
#define DIRECT			.direct_read = true, .direct_write = true
/*
 * Seldom written, and switched when a vCPU leaves its CPU: with an exit the value need not be
 * read back then
 */
#define DIRECT_READ		.direct_read = true
#define ONLY(bits)		.reserved = ~(u64)(bits)

/* In ascending order: thv_msr_init() refuses another. */
static const struct row rows[] = {
	{ ONE(MSR_IA32_TSC), .read = read_tsc, .write = write_tsc, .direct_read = true },
	{ ONE(MSR_IA32_PLATFORM_ID), CONSTANT(0) },
	{ ONE(MSR_IA32_APICBASE), .read = read_apic_base, .write = write_apic_base },
	{ ONE(MSR_SMI_COUNT), CONSTANT(0) },
	{ ONE(MSR_IA32_FEAT_CTL), CONSTANT(FEAT_CTL_LOCKED) },
	{ ONE(MSR_IA32_TSC_ADJUST), READ_SOFT(tsc_adjust), .write = write_tsc_adjust },
	{ ONE(MSR_IA32_SPEC_CTRL), SOFT(spec_ctrl), .valid = valid_spec_ctrl,
	  .feature = X86_FEATURE_SPEC_CTRL },
	{ ONE(MSR_IA32_PRED_CMD), .write = write_command, ONLY(PRED_CMD_IBPB),
	  .feature = X86_FEATURE_SPEC_CTRL },
	/* Linux writes 0 before it reads: the way to get at the revision (SDM 10.11.7.1) */
	{ ONE(MSR_IA32_UCODE_REV), CONSTANT(1ULL << 32), .write = write_ignored },
	{ ONE(MSR_PLATFORM_INFO), .read = read_platform_info },
	{ ONE(MSR_MTRRcap), CONSTANT(MTRR_CAP) },
	{ ONE(MSR_IA32_ARCH_CAPABILITIES), .read = read_arch_capabilities,
	  .feature = X86_FEATURE_ARCH_CAPABILITIES },
	{ ONE(MSR_IA32_FLUSH_CMD), .write = write_command, ONLY(L1D_FLUSH),
	  .feature = X86_FEATURE_FLUSH_L1D },
	{ ONE(MSR_MISC_FEATURES_ENABLES), CONSTANT(0), .write = write_ignored, ONLY(0) },
	{ ONE(MSR_IA32_SYSENTER_CS), BACKEND, DIRECT, ONLY(U32_MAX) },
	{ ONE(MSR_IA32_SYSENTER_ESP), BACKEND, DIRECT, .valid = thv_canonical },
	{ ONE(MSR_IA32_SYSENTER_EIP), BACKEND, DIRECT, .valid = thv_canonical },
	{ ONE(MSR_IA32_MCG_CAP), CONSTANT(0) },		/* no banks, nothing to report */
	{ ONE(MSR_IA32_MCG_STATUS), SOFT(mcg_status),
	  ONLY(MCG_STATUS_RIPV | MCG_STATUS_EIPV | MCG_STATUS_MCIP) },
	{ ONE(MSR_IA32_MISC_ENABLE), SOFT(misc_enable), .valid = valid_misc_enable },
	{ ONE(MSR_IA32_DEBUGCTLMSR), BACKEND, ONLY(DEBUGCTLMSR_BTF) },
	{ RANGE(MTRRphysBase_MSR(0), 2 * MTRR_PAIRS), READ_SOFT(mtrr_var),
	  .write = write_mtrr_var },
	{ ONE(MSR_MTRRfix64K_00000), SOFT(mtrr_fixed[0]), .valid = valid_mtrr_fixed },
	{ RANGE(MSR_MTRRfix16K_80000, 2), SOFT(mtrr_fixed[1]),
	  .valid = valid_mtrr_fixed },
	{ RANGE(MSR_MTRRfix4K_C0000, 8), SOFT(mtrr_fixed[3]),
	  .valid = valid_mtrr_fixed },
	{ ONE(MSR_IA32_CR_PAT), BACKEND, .valid = valid_pat },
	{ ONE(MSR_MTRRdefType), SOFT(mtrr_def_type), .valid = valid_mtrr_def_type,
	  ONLY(0xff | MTRR_DEF_FIXED | MTRR_DEF_ENABLED) },
	{ ONE(MSR_IA32_TSC_DEADLINE), .read = read_tsc_deadline, .write = write_tsc_deadline },
	{ RANGE(APIC_BASE_MSR, 0x100), .read = read_x2apic, .write = write_x2apic },
	{ ONE(MSR_IA32_XSS), CONSTANT(0), .write = write_ignored, .valid = valid_xss,
	  .feature = X86_FEATURE_XSAVES },
	{ RANGE(MSR_KVM_WALL_CLOCK_NEW, 2), .read = read_pv_clock,
	  .write = write_pv_clock },
	{ ONE(MSR_EFER), .read = read_backend, .write = write_efer },
	{ ONE(MSR_STAR), BACKEND, DIRECT_READ },
	{ ONE(MSR_LSTAR), BACKEND, DIRECT_READ, .valid = thv_canonical },
	{ ONE(MSR_CSTAR), BACKEND, DIRECT_READ, .valid = thv_canonical },
	{ ONE(MSR_SYSCALL_MASK), BACKEND, DIRECT_READ, ONLY(U32_MAX) },
	{ ONE(MSR_FS_BASE), BACKEND, DIRECT, .valid = thv_canonical },
	{ ONE(MSR_GS_BASE), BACKEND, DIRECT, .valid = thv_canonical },
	{ ONE(MSR_KERNEL_GS_BASE), BACKEND, DIRECT, .valid = thv_canonical },
	{ ONE(MSR_TSC_AUX), BACKEND, DIRECT_READ, ONLY(U32_MAX), .feature = X86_FEATURE_RDTSCP },
};

/* The last row that does not begin after @index, if it reaches that far */
static const struct row *find(u32 index)
{
	unsigned int low = 0, high = ARRAY_SIZE(rows);
	const struct row *row;

	while (high - low > 1) {
		unsigned int middle = (low + high) / 2;

		if (rows[middle].first <= index)
			low = middle;
		else
			high = middle;
	}
	row = &rows[low];
	return index - row->first <= row->more && thv_guest_has(row->feature) ? row : NULL;
}

/* The row of an MSR; NULL, and counted: the guest was not told of any */
static const struct row *look_up(struct thv_vcpu *vcpu, u32 index, enum thv_msr_by by)
{
	const struct row *row = find(index);

	if (!row && by == THV_MSR_GUEST)
		thv_count(vcpu, msr_unknown);
	return row;
}

static int read_msr(struct thv_vcpu *vcpu, u32 index, u64 *value, enum thv_msr_by by)
{
	struct access access = { .vcpu = vcpu, .index = index, .by = by };
	int err;

	access.row = look_up(vcpu, index, by);
	if (!access.row || !access.row->read)
		return -EINVAL;
	err = access.row->read(&access);
	if (!err)
		*value = access.value;
	return err;
}

/**
 * thv_msr_read - RDMSR, or the launcher's look.
 * @vcpu: the vCPU, loaded.
 * @index: which.
 * @value: out, if 0 is returned.
 * @by: on whose behalf.
 *
 * Context: the vCPU's thread; interrupts may be off; does not sleep.
 * Return: 0; -EINVAL: no such MSR, or it is write-only.
 */
int thv_msr_read(struct thv_vcpu *vcpu, u32 index, u64 *value, enum thv_msr_by by)
{
	int err = read_msr(vcpu, index, value, by);

	if (trace_thv_msr_enabled() && by == THV_MSR_GUEST)
		trace_thv_msr(vcpu, false, index, err ? 0 : *value, err);
	return err;
}

/* What the launcher saved it may restore, even where a guest can only read. */
static int write_read_only(struct access *access)
{
	u64 value;

	if (access->by != THV_MSR_HOST ||
	    read_msr(access->vcpu, access->index, &value, THV_MSR_HOST))
		return -EINVAL;
	return value == access->value ? 0 : -EINVAL;
}

static int write_msr(struct thv_vcpu *vcpu, u32 index, u64 value, enum thv_msr_by by)
{
	struct access access = { .vcpu = vcpu, .index = index, .value = value, .by = by };
	const struct row *row = look_up(vcpu, index, by);

	if (!row)
		return -EINVAL;
	access.row = row;
	if (!row->write)
		return write_read_only(&access);
	if ((value & row->reserved) || (row->valid && !row->valid(value)))
		return -EINVAL;
	return row->write(&access);
}

/**
 * thv_msr_write - WRMSR, or the launcher's change.
 * @vcpu: the vCPU, loaded.
 * @index: which.
 * @value: what to write.
 * @by: on whose behalf.
 *
 * Context: the vCPU's thread; interrupts may be off; does not sleep.
 * Return: 0; -EINVAL: no such MSR, it is read-only, or it cannot have that value.
 */
int thv_msr_write(struct thv_vcpu *vcpu, u32 index, u64 value, enum thv_msr_by by)
{
	int err = write_msr(vcpu, index, value, by);

	if (trace_thv_msr_enabled() && by == THV_MSR_GUEST)
		trace_thv_msr(vcpu, true, index, value, err);
	return err;
}

/**
 * thv_msr_direct - which MSRs need no exit?
 * @allow: called once for each of them.
 * @arg: its first argument.
 */
void thv_msr_direct(void (*allow)(void *arg, u32 index, bool read, bool write), void *arg)
{
	const struct row *row;
	u32 i;

	for (row = rows; row < rows + ARRAY_SIZE(rows); row++) {
		if (!(row->direct_read || row->direct_write) || !thv_guest_has(row->feature))
			continue;
		for (i = 0; i <= row->more; i++)
			allow(arg, row->first + i, row->direct_read, row->direct_write);
	}
}

/**
 * thv_msr_reset - values at power-up of the MSRs that are kept here.
 * @vcpu: the vCPU. The backend's and the APIC's MSRs are theirs; thv_tsc_follow() comes after.
 *
 * One departure: MTRRs are disabled at power-up, and firmware enables them. There is no firmware,
 * so the guest finds what it would have left: all memory write-back.
 */
void thv_msr_reset(struct thv_vcpu *vcpu)
{
	vcpu->msr = (struct thv_msrs_soft) {
		.misc_enable = MISC_ENABLE,
		.mtrr_def_type = MTRR_DEF_ENABLED | MTRR_TYPE_WRBACK,
	};
}

/**
 * thv_msr_init - what of the host's MSRs guests are told; and is the table in order?
 *
 * Context: module load, after the features were chosen.
 * Return: 0 or -EINVAL.
 */
int thv_msr_init(void)
{
	unsigned int i;

	if (thv_guest_has(X86_FEATURE_ARCH_CAPABILITIES)) {
		rdmsrl(MSR_IA32_ARCH_CAPABILITIES, arch_capabilities);
		arch_capabilities &= ARCH_CAPABILITIES;
	}
	for (i = 1; i < ARRAY_SIZE(rows); i++)
		if (WARN_ON(rows[i - 1].first + rows[i - 1].more >= rows[i].first))
			return -EINVAL;
	return 0;
}
