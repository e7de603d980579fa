// SPDX-License-Identifier: GPL-2.0-only
/*
 * Control and debug registers, and the modes that control registers make.
 *
 * Of CR0 and CR4 some bits belong to the guest: it changes them without an exit. The
 * others are the module's: the guest reads them from a shadow and a write that
 * changes one exits (SDM 26.6.6). The value the processor runs with is derived from the guest's
 * in one place, apply_modes(), whatever changed.
 *
 * Without "unrestricted guest" the processor insists on CR0.PE and CR0.PG (SDM 24.8). Protected
 * mode without paging is then made with paging: an identity page table of our own, 32-bit format
 * with 4-MByte pages, that the guest cannot tell from none. Its CR3 is kept aside meanwhile. Real
 * mode cannot be made that way.
 *
 * Under shadow paging (paging/shadow.h) the processor is always paging, with our tables, which have 64-bit
 * entries: CR4.PAE is 1, and EFER.NXE, and CR0.WP, without which nothing could be kept from a
 * supervisor. What the guest has in CR3 is in vcpu->shadow.
 */
#include <linux/bitfield.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <asm/processor-flags.h>
#include <asm/tlbflush.h>
#include "../cpuid.h"
#include "../debugger.h"
#include "vmx.h"

#define CR0_GUEST (X86_CR0_TS | X86_CR0_MP | X86_CR0_EM | X86_CR0_AM | X86_CR0_WP)
#define CR4_GUEST (X86_CR4_PVI | X86_CR4_TSD | X86_CR4_DE | X86_CR4_PGE | X86_CR4_OSFXSR | \
		   X86_CR4_OSXMMEXCPT | X86_CR4_FSGSBASE)
/* Features of paging that must not act on the identity table */
#define CR4_PAGED_ONLY (X86_CR4_PAE | X86_CR4_SMEP | X86_CR4_SMAP | X86_CR4_PCIDE | X86_CR4_PKE)
/* A write that changes one of these ends cached translations (SDM 4.10.4.1) */
#define CR0_FLUSHES (X86_CR0_PG | X86_CR0_WP)
#define CR4_FLUSHES (X86_CR4_PAE | X86_CR4_PSE | X86_CR4_PGE | X86_CR4_PCIDE | X86_CR4_SMEP | \
		     X86_CR4_SMAP)
/* ... and these reload PDPTEs while PAE paging is on (SDM 4.4.1) */
#define CR0_RELOADS (X86_CR0_CD | X86_CR0_NW | X86_CR0_PG)
#define CR4_RELOADS (X86_CR4_PAE | X86_CR4_PGE | X86_CR4_PSE | X86_CR4_SMEP)

/* Where the identity table is in guest-physical space: below the APICs, where no slot may be */
#define IDENTITY_GPA	0xfedff000ULL

static struct page *identity;

/* What a guest under shadow paging changes of its paging, the shadow tables have to follow */
static u64 cr0_guest(const struct vmx_vcpu *vmx)
{
	return CR0_GUEST & ~(vmx_shadows(vmx) ? X86_CR0_WP : 0);
}

static u64 cr4_guest(const struct vmx_vcpu *vmx)
{
	return CR4_GUEST & thv_cr4_allowed() & ~(vmx_shadows(vmx) ? X86_CR4_PGE : 0);
}

u64 vmx_cr0(struct vmx_vcpu *vmx)
{
	struct thv_vcpu *vcpu = &vmx->vcpu;

	vcpu->cr0 = (vcpu->cr0 & ~cr0_guest(vmx)) | (vmread(GUEST_CR0) & cr0_guest(vmx));
	return vcpu->cr0;
}

u64 vmx_cr4(struct vmx_vcpu *vmx)
{
	struct thv_vcpu *vcpu = &vmx->vcpu;

	vcpu->cr4 = (vcpu->cr4 & ~cr4_guest(vmx)) | (vmread(GUEST_CR4) & cr4_guest(vmx));
	return vcpu->cr4;
}

u64 vmx_cr3(struct vmx_vcpu *vmx)
{
	if (vmx_shadows(vmx))
		return vmx->vcpu.shadow.cr3;
	return vmx->forced_paging ? vmx->guest_cr3 : vmread(GUEST_CR3);
}

/* Fields for PDPTEs came with EPT; without it the processor loads them at entry, from our table */
void vmx_get_pdptrs(struct vmx_vcpu *vmx, u64 pdptr[4])
{
	int i;

	if (vmx_shadows(vmx)) {
		memcpy(pdptr, vmx->vcpu.shadow.pdptr, sizeof(vmx->vcpu.shadow.pdptr));
		return;
	}
	for (i = 0; i < 4; i++)
		pdptr[i] = vmread(GUEST_PDPTR0 + 2 * i);
}

void vmx_set_pdptrs(struct vmx_vcpu *vmx, const u64 pdptr[4])
{
	int i;

	if (vmx_shadows(vmx)) {
		memcpy(vmx->vcpu.shadow.pdptr, pdptr, sizeof(vmx->vcpu.shadow.pdptr));
		return;
	}
	for (i = 0; i < 4; i++)
		vmwrite(GUEST_PDPTR0 + 2 * i, pdptr[i]);
}

void vmx_cr_masks(struct vmx_vcpu *vmx)
{
	vmwrite(CR0_GUEST_HOST_MASK, ~cr0_guest(vmx));
	vmwrite(CR4_GUEST_HOST_MASK, ~cr4_guest(vmx));
}

static u64 hardware_cr0(const struct vmx_vcpu *vmx)
{
	u64 must = vmx_caps.cr0_fixed0;

	if (vmx->cpu2 & SECONDARY_EXEC_UNRESTRICTED_GUEST)
		must &= ~(X86_CR0_PE | X86_CR0_PG);
	if (vmx_shadows(vmx))
		must |= X86_CR0_WP;
	/* Guest memory is the host's write-back memory: a guest may not switch caches off */
	return ((vmx->vcpu.cr0 & ~(X86_CR0_CD | X86_CR0_NW)) | must) & vmx_caps.cr0_fixed1;
}

static u64 hardware_cr4(const struct vmx_vcpu *vmx)
{
	/*
	 * With CR4.MCE clear a machine check would shut down the whole machine, not the guest
	 * (SDM 16.6)
	 */
	u64 cr4 = vmx->vcpu.cr4 | vmx_caps.cr4_fixed0 | (cr4_read_shadow() & X86_CR4_MCE);

	bool paging = vmx->vcpu.cr0 & X86_CR0_PG;

	if (vmx_shadows(vmx))
		return (cr4 & ~(paging ? X86_CR4_PCIDE : CR4_PAGED_ONLY)) | X86_CR4_PAE;
	if (vmx->forced_paging)
		cr4 = (cr4 & ~CR4_PAGED_ONLY) | X86_CR4_PSE;
	else if (!paging)
		cr4 &= ~X86_CR4_PCIDE;
	return cr4;
}

/*
 * EFER.LMA is what CR0.PG makes of EFER.LME; VM entry wants both equal once paging is on (SDM
 * 27.3.1.1).
 */
static u64 hardware_efer(const struct vmx_vcpu *vmx)
{
	u64 efer = vmx->vcpu.efer;

	if (vmx_shadows(vmx) || vmx->forced_paging)
		efer &= efer & EFER_LMA ? ~0ULL : ~EFER_LME;
	return vmx_shadows(vmx) ? efer | EFER_NX : efer;
}

/* Without a field for it entry sets LMA and LME, and the host has NXE on; SCE is what is left. */
static void write_efer(struct vmx_vcpu *vmx)
{
	u64 efer = hardware_efer(vmx), now;

	if (vmx_has_efer()) {
		vmwrite(GUEST_IA32_EFER, efer);
		return;
	}
	rdmsrl(MSR_EFER, now);
	vmx_set_switched(vmx, VMX_EFER, (now & ~EFER_SCE) | (efer & EFER_SCE));
}

#define CR3_EXITING (CPU_BASED_CR3_LOAD_EXITING | CPU_BASED_CR3_STORE_EXITING)

static void force_paging(struct vmx_vcpu *vmx, bool force)
{
	if (force == vmx->forced_paging)
		return;
	if (force)
		vmx->guest_cr3 = vmread(GUEST_CR3);
	vmx->forced_paging = force;
	vmwrite(GUEST_CR3, force ? IDENTITY_GPA : vmx->guest_cr3);
	vmx_set_cpu(vmx, force ? 0 : CR3_EXITING & ~vmx_caps.cpu, force ? CR3_EXITING : 0);
}

/* All that the guest's CR0, CR4 and EFER together make of the VMCS */
static void apply_modes(struct vmx_vcpu *vmx)
{
	struct thv_vcpu *vcpu = &vmx->vcpu;
	bool paging = vcpu->cr0 & X86_CR0_PG;

	vcpu->efer &= ~EFER_LMA;
	if (paging && (vcpu->efer & EFER_LME))
		vcpu->efer |= EFER_LMA;
	if (!vmx_shadows(vmx))
		force_paging(vmx, !paging && !(vmx->cpu2 & SECONDARY_EXEC_UNRESTRICTED_GUEST));
	vmwrite(GUEST_CR0, hardware_cr0(vmx));
	vmwrite(CR0_READ_SHADOW, vcpu->cr0);
	vmwrite(GUEST_CR4, hardware_cr4(vmx));
	vmwrite(CR4_READ_SHADOW, vcpu->cr4);
	write_efer(vmx);
	vmx_set_entry(vmx, VM_ENTRY_IA32E_MODE, vcpu->efer & EFER_LMA ? VM_ENTRY_IA32E_MODE : 0);
	if (vmx_shadows(vmx))
		thv_shadow_load(vcpu);
}

void vmx_set_cr0(struct vmx_vcpu *vmx, u64 cr0)
{
	vmx->vcpu.cr0 = cr0;
	apply_modes(vmx);
}

void vmx_set_cr4(struct vmx_vcpu *vmx, u64 cr4)
{
	vmx->vcpu.cr4 = cr4;
	apply_modes(vmx);
}

/*
 * A guest need not flush when it changes EFER.NXE. Shadow tables of the other kind may be older than its
 * last INVLPG, which has looked at those in use only.
 */
void vmx_set_efer(struct vmx_vcpu *vmx, u64 efer)
{
	u64 changed = efer ^ vmx->vcpu.efer;

	vmx_cr0(vmx);
	vmx_cr4(vmx);
	vmx->vcpu.efer = efer;
	apply_modes(vmx);
	if (vmx_shadows(vmx) && (changed & EFER_NX))
		thv_shadow_flush(&vmx->vcpu);
}

void vmx_set_cr3(struct vmx_vcpu *vmx, u64 cr3)
{
	if (vmx_shadows(vmx)) {
		vmx->vcpu.shadow.cr3 = cr3;
		thv_shadow_load(&vmx->vcpu);
	} else if (vmx->forced_paging) {
		vmx->guest_cr3 = cr3;
	} else {
		vmwrite(GUEST_CR3, cr3);
	}
}

void vmx_guest_flush(struct vmx_vcpu *vmx)
{
	if (vmx_shadows(vmx))
		thv_shadow_flush(&vmx->vcpu);
	else
		vmx_flush(&vmx->vcpu, THV_FLUSH_LINEAR);
}

/* ---- exits ---- */

static bool pae_paging(u64 cr0, u64 cr4, u64 efer)
{
	return (cr0 & X86_CR0_PG) && (cr4 & X86_CR4_PAE) && !(efer & EFER_LME);
}

/* Load PDPTEs for the modes a write is about to make; false: #GP */
static bool reload_pdptrs(struct vmx_vcpu *vmx, u64 cr0, u64 cr4, u64 cr3)
{
	u64 pdptr[4];

	if (!pae_paging(cr0, cr4, vmx->vcpu.efer))
		return true;
	if (!thv_load_pdptrs(&vmx->vcpu, cr3, pdptr))
		return false;
	vmx_set_pdptrs(vmx, pdptr);
	return true;
}

/*
 * Turning paging on in 64-bit code segments, off in 64-bit mode or under PCIDE: SDM vol. 2, MOV
 * CR
 */
static bool paging_switch_fails(struct vmx_vcpu *vmx, u64 cr0, u64 cr4)
{
	u64 changed = cr0 ^ vmx->vcpu.cr0;

	if (!(changed & X86_CR0_PG))
		return false;
	if (cr0 & X86_CR0_PG)
		return (vmx->vcpu.efer & EFER_LME) &&
		       (vmread(GUEST_CS_AR_BYTES) & THV_SEG_L);
	return (cr4 & X86_CR4_PCIDE) || vmx_long_mode(vmx);
}

static bool guest_cr0_write(struct vmx_vcpu *vmx, u64 cr0)
{
	u64 old = vmx_cr0(vmx), cr4 = vmx_cr4(vmx);

	if (thv_cr0_check(cr0, cr4, vmx->vcpu.efer) || paging_switch_fails(vmx, cr0, cr4))
		return false;
	cr0 = thv_cr0_value(cr0);
	if (((cr0 ^ old) & CR0_RELOADS) && !reload_pdptrs(vmx, cr0, cr4, vmx_cr3(vmx)))
		return false;
	vmx_set_cr0(vmx, cr0);
	if ((cr0 ^ old) & CR0_FLUSHES)
		vmx_guest_flush(vmx);
	return true;
}

static bool guest_cr4_write(struct vmx_vcpu *vmx, u64 cr4)
{
	u64 old = vmx_cr4(vmx), cr0 = vmx_cr0(vmx);

	if (thv_cr4_check(cr4, cr0, vmx->vcpu.efer, old, vmx_cr3(vmx)))
		return false;
	if (((cr4 ^ old) & CR4_RELOADS) && !reload_pdptrs(vmx, cr0, cr4, vmx_cr3(vmx)))
		return false;
	vmx_set_cr4(vmx, cr4);
	if ((cr4 ^ old) & CR4_FLUSHES)
		vmx_guest_flush(vmx);
	return true;
}

/* While forced_paging nothing is cached for the guest's own tables; under shadow paging all may be. */
static bool guest_cr3_write(struct vmx_vcpu *vmx, u64 cr3)
{
	u64 cr4 = vmx_cr4(vmx);

	/* Bit 63 asks to keep what is cached, which nobody has to (SDM 4.10.4.1) */
	if (cr4 & X86_CR4_PCIDE)
		cr3 &= ~BIT_ULL(63);
	if ((vmx->vcpu.efer & EFER_LMA) && (cr3 & ~GENMASK_ULL(63, thv_guest_phys_bits())) != cr3)
		return false;
	if (!reload_pdptrs(vmx, vmx->vcpu.cr0, cr4, cr3))
		return false;
	vmx_set_cr3(vmx, cr3);
	if (vmx_shadows(vmx))
		thv_shadow_flush(&vmx->vcpu);
	return true;
}

static bool guest_cr8_write(struct vmx_vcpu *vmx, u64 cr8)
{
	if (cr8 & ~0xfULL)
		return false;
	thv_lapic_set_cr8(&vmx->vcpu.lapic, cr8);
	vmx->vcpu.look_for_events = true;
	return true;
}

static u64 guest_cr8_read(struct vmx_vcpu *vmx)
{
	return thv_lapic_get_cr8(&vmx->vcpu.lapic);
}

/* The registers whose MOV exits; those that read without an exit have no reader. */
static const struct {
	bool (*write)(struct vmx_vcpu *vmx, u64 value);
	u64 (*read)(struct vmx_vcpu *vmx);
} crs[16] = {
	[0] = { guest_cr0_write, NULL },
	[3] = { guest_cr3_write, vmx_cr3 },
	[4] = { guest_cr4_write, NULL },
	[8] = { guest_cr8_write, guest_cr8_read },
};

static bool mov_to_cr(struct vmx_vcpu *vmx, u64 qualification)
{
	unsigned int cr = FIELD_GET(VMX_CR_NUMBER, qualification);
	u64 value = vmx_gpr(vmx, FIELD_GET(VMX_CR_GPR, qualification));

	return crs[cr].write && crs[cr].write(vmx, vmx_long_mode(vmx) ? value : (u32)value);
}

static bool mov_from_cr(struct vmx_vcpu *vmx, u64 qualification)
{
	unsigned int cr = FIELD_GET(VMX_CR_NUMBER, qualification);

	if (!crs[cr].read)
		return false;
	vmx_set_gpr(vmx, FIELD_GET(VMX_CR_GPR, qualification), crs[cr].read(vmx));
	return true;
}

static bool clts(struct vmx_vcpu *vmx, u64 qualification)
{
	return guest_cr0_write(vmx, vmx_cr0(vmx) & ~X86_CR0_TS);
}

/* LMSW sets PE but never clears it (SDM vol. 2, LMSW) */
static bool lmsw(struct vmx_vcpu *vmx, u64 qualification)
{
	u64 old = vmx_cr0(vmx), source = FIELD_GET(VMX_CR_LMSW_SOURCE, qualification);

	return guest_cr0_write(vmx, (old & ~0xeULL) | (source & 0xf));
}

/* By the access-type field of the qualification */
static bool (* const cr_access[4])(struct vmx_vcpu *vmx, u64 qualification) = {
	mov_to_cr, mov_from_cr, clts, lmsw,
};

enum thv_next vmx_exit_cr(struct vmx_vcpu *vmx)
{
	u64 qualification = vmread(EXIT_QUALIFICATION);

	thv_count(&vmx->vcpu, cr_accesses);
	if (cr_access[FIELD_GET(VMX_CR_ACCESS, qualification)](vmx, qualification))
		vmx_skip(&vmx->vcpu);
	else
		thv_raise_error(&vmx->vcpu, X86_TRAP_GP, 0);
	return THV_NEXT_RESUME;
}

/* DR4 and DR5 are DR6 and DR7 unless CR4.DE says they are not there (SDM 18.2.2) */
static u64 *debug_register(struct thv_vcpu *vcpu, unsigned int number)
{
	if (number < 4)
		return &vcpu->dr[number];
	return number & 1 ? &vcpu->dr7 : &vcpu->dr6;
}

static bool write_dr(struct vmx_vcpu *vmx, unsigned int number, u64 value)
{
	struct thv_vcpu *vcpu = &vmx->vcpu;

	if (!vmx_long_mode(vmx))
		value = (u32)value;
	if (number < 4) {
		vcpu->dr[number] = value;
		return true;
	}
	if (value >> 32)
		return false;
	if (number & 1) {
		vcpu->dr7 = (value & THV_DR7_WRITABLE) | THV_DR7_FIXED_1;
		thv_dr7_changed(vcpu);
	} else {
		vcpu->dr6 = (value & THV_DR6_WRITABLE) | THV_DR6_FIXED_1;
	}
	return true;
}

/*
 * MOV DR always exits: the guest's debug registers are in the processor only while the guest
 * runs.
 */
enum thv_next vmx_exit_dr(struct vmx_vcpu *vmx)
{
	struct thv_vcpu *vcpu = &vmx->vcpu;
	u64 qualification = vmread(EXIT_QUALIFICATION);
	unsigned int number = FIELD_GET(VMX_DR_NUMBER, qualification);
	unsigned int gpr = FIELD_GET(VMX_DR_GPR, qualification);

	thv_count(vcpu, dr_accesses);
	if (vmx_cpl()) {	/* goes before the exit (SDM 26.1.1); not in every emulator */
		thv_raise_error(vcpu, X86_TRAP_GP, 0);
	} else if ((number == 4 || number == 5) && (vmx_cr4(vmx) & X86_CR4_DE)) {
		thv_raise(vcpu, X86_TRAP_UD);
	} else if (vcpu->dr7 & THV_DR7_GD) {
		thv_raise_db(vcpu, THV_DR6_BD);
	} else if (qualification & VMX_DR_READ) {
		vmx_set_gpr(vmx, gpr, *debug_register(vcpu, number));
		vmx_skip(vcpu);
	} else if (write_dr(vmx, number, vmx_gpr(vmx, gpr))) {
		vmx_skip(vcpu);
	} else {
		thv_raise_error(vcpu, X86_TRAP_GP, 0);
	}
	return THV_NEXT_RESUME;
}

/* ---- the identity page table ---- */

int vmx_identity_init(void)
{
	u32 *entry;
	u32 i;

	if ((thv_caps.used & THV_FEATURE_UNRESTRICTED) || !(thv_caps.used & THV_FEATURE_EPT))
		return 0;
	identity = alloc_page(GFP_KERNEL);
	if (!identity)
		return -ENOMEM;
	entry = page_address(identity);
	for (i = 0; i < 1024; i++)	/* present, writable, user, accessed, dirty, 4 MBytes */
		entry[i] = (i << 22) | _PAGE_PRESENT | _PAGE_RW | _PAGE_USER |
			   _PAGE_ACCESSED | _PAGE_DIRTY | _PAGE_PSE;
	return 0;
}

void vmx_identity_exit(void)
{
	if (identity)
		__free_page(identity);
	identity = NULL;
}

int vmx_identity_map(struct thv_vm *vm)
{
	/* Read-only to the guest; the processor has no flag left to set in it. */
	if (!identity || vm->paging == THV_PAGING_SHADOW)
		return 0;
	return thv_memory_map_private(vm, IDENTITY_GPA, identity, false);
}
