// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the processor caches of translations: the tags (VPIDs) that keep guests apart, and how
 * it is made to forget (SDM 29.4).
 *
 * With EPT the processor keeps two kinds of mappings. Guest-physical ones belong to an EPT
 * pointer; combined ones, from linear addresses to the host's, to an EPT pointer, a VPID and a
 * PCID. There are no linear ones then (SDM 29.4.1). Without EPT (shadow paging) there are
 * only linear ones, of a VPID and a PCID. Hence, for one vCPU on this processor:
 *
 *	INVEPT of its EPT pointer	drops all of the VM's, of whatever VPID
 *	INVVPID of its VPID		drops what came from the guest's own (or shadow) tables,
 *					leaves guest-physical mappings
 *	INVVPID of an address		... only what translates that
 *
 * The kind of INVVPID that retains global translations (SDM 29.4.3.3) has no use here: under EPT a
 * MOV to CR3 is the processor's own affair, and shadow tables have no global entries. A vCPU without
 * a VPID has 0, the host's, and each entry and exit drops what carries that (SDM 29.4.3.1).
 *
 * A VPID is handed out again after its vCPU is gone, while mappings with it may still be in any
 * processor where that ran. It is not flushed then, but when the next owner first comes to a
 * processor (vcpu.c, load_on()): before that it uses none of them, and who never comes needs no
 * flush. VPIDs go round, so that the next owner is a late one.
 */
#define pr_fmt(fmt) "thv: " fmt

#include <linux/idr.h>
#include <linux/moduleparam.h>
#include <linux/slab.h>
#include <asm/special_insns.h>
#include "../modes.h"
#include "../trace.h"
#include "vmx.h"

/* Bits of IA32_VMX_EPT_VPID_CAP for VPIDs are in its upper half (SDM A.10) */
#define HAS_VPID_TYPE(bit) (vmx_caps.ept_vpid & (u64)(bit) << 32)

static unsigned int vpids_wanted = U16_MAX;
module_param_named(vpids, vpids_wanted, uint, 0444);
MODULE_PARM_DESC(vpids, "translation tags (VPIDs) to use, at most 65535; a vCPU that gets none flushes the TLB at each entry");

static DEFINE_IDA(vpids);
static atomic_t last_vpid;		/* a hint: two at a time may both begin there */
static struct thv_flush_tags ledger;	/* debug builds */

/* ---- the instructions ---- */

/*
 * Type in a register, descriptor in memory (SDM 31.3). A crash may have switched VMX off: #UD. Any
 * other failure is ours: a type or descriptor that the processor does not have.
 */
static void invept(unsigned long type, u64 ept_pointer)
{
	struct { u64 pointer, zero; } descriptor = { ept_pointer, 0 };
	bool failed = false;

	asm volatile("1:	invept %[descriptor], %[type]\n"
		     "	setbe %[failed]\n"
		     "2:\n"
		     _ASM_EXTABLE(1b, 2b)
		     : [failed] "+q" (failed)
		     : [descriptor] "m" (descriptor), [type] "r" (type) : "cc", "memory");
	WARN_ONCE(THV_DEBUG && failed, "thv: INVEPT type %lu of %#llx failed\n", type, ept_pointer);
}

static void invvpid(unsigned long type, u16 vpid, u64 gla)
{
	struct { u64 vpid, gla; } descriptor = { vpid, gla };
	bool failed = false;

	asm volatile("1:	invvpid %[descriptor], %[type]\n"
		     "	setbe %[failed]\n"
		     "2:\n"
		     _ASM_EXTABLE(1b, 2b)
		     : [failed] "+q" (failed)
		     : [descriptor] "m" (descriptor), [type] "r" (type) : "cc", "memory");
	WARN_ONCE(THV_DEBUG && failed, "thv: INVVPID type %lu of %u failed\n", type, vpid);
}

/* ---- tags ---- */

/* VPID 0 is the host's. Without these two the tags could not be recycled: they stay unused. */
#define VPID_NEEDS (VMX_VPID_INVVPID_BIT | VMX_VPID_EXTENT_SINGLE_CONTEXT_BIT)

/* How many tags there are to use; 0: none */
u32 vmx_vpids(void)
{
	if (!vmx_can2(SECONDARY_EXEC_ENABLE_VPID) ||
	    (vmx_caps.ept_vpid >> 32 & VPID_NEEDS) != VPID_NEEDS)
		return 0;
	return min_t(u32, vpids_wanted, U16_MAX);
}

/**
 * vmx_vpid_alloc - a tag for a new vCPU.
 * @vmx: the vCPU; its vpid is filled in. None left is no error: it then goes without, 0.
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int vmx_vpid_alloc(struct vmx_vcpu *vmx)
{
	int vpid;

	vmx->vpid = 0;
	if (!(vmx->vcpu.vm->features & THV_FEATURE_VPID))
		return 0;
	vpid = ida_alloc_range(&vpids, min_t(u32, atomic_read(&last_vpid) + 1, thv_caps.vpids),
			       thv_caps.vpids, GFP_KERNEL);
	if (vpid == -ENOSPC)
		vpid = ida_alloc_range(&vpids, 1, thv_caps.vpids, GFP_KERNEL);
	if (vpid < 0)
		return vpid == -ENOSPC ? 0 : vpid;
	atomic_set(&last_vpid, vpid);
	vmx->vpid = vpid;
	if (THV_DEBUG)
		vmx->owner = thv_flush_tag_taken(&ledger, vpid);
	return 0;
}

void vmx_vpid_free(struct vmx_vcpu *vmx)
{
	if (!vmx->vpid)
		return;
	if (THV_DEBUG)
		WARN_ON(!thv_flush_tag_given_back(&ledger, vmx->vpid, vmx->owner));
	ida_free(&vpids, vmx->vpid);
	vmx->vpid = 0;
}

/* Debug builds: a vCPU is about to use its tag. Interrupts are off. */
void vmx_tlb_entering(struct vmx_vcpu *vmx)
{
	if (vmx->vpid && !thv_flush_tag_enter(&ledger, vmx->vcpu.cpu, vmx->vpid, vmx->owner))
		thv_vm_kill(vmx->vcpu.vm, "a vCPU uses a tag that another's translations may have");
}

int vmx_tlb_init(void)
{
	size_t tags = thv_caps.vpids;

	if (!THV_DEBUG || !tags)
		return 0;
	ledger.tags = tags;
	ledger.cpus = nr_cpu_ids;
	ledger.owner = kvcalloc(tags, sizeof(u32), GFP_KERNEL);
	ledger.held = kvcalloc(tags, nr_cpu_ids * sizeof(u32), GFP_KERNEL);
	if (ledger.owner && ledger.held)
		return 0;
	vmx_tlb_exit();
	return -ENOMEM;
}

void vmx_tlb_exit(void)
{
	kvfree(ledger.owner);
	kvfree(ledger.held);
	ledger = (struct thv_flush_tags){};
	ida_destroy(&vpids);
}

/* ---- flushes ---- */

/**
 * vmx_tlb_cpu_on - this CPU has entered VMX operation.
 *
 * What an earlier owner left in the TLB could carry our tags and EPT pointers (SDM 29.4.3.4).
 *
 * Context: on that CPU, interrupts off.
 */
void vmx_tlb_cpu_on(void)
{
	if (thv_caps.offered & THV_FEATURE_EPT)
		invept(VMX_EPT_EXTENT_GLOBAL, 0);
	if (!thv_caps.vpids)
		return;
	if (THV_DEBUG)
		thv_flush_tags_forgotten(&ledger, smp_processor_id());
	if (HAS_VPID_TYPE(VMX_VPID_EXTENT_GLOBAL_CONTEXT_BIT)) {
		invvpid(VMX_VPID_EXTENT_ALL_CONTEXT, 0, 0);
	} else {
		u32 vpid;

		for (vpid = 1; vpid <= thv_caps.vpids; vpid++)
			invvpid(VMX_VPID_EXTENT_SINGLE_CONTEXT, vpid, 0);
	}
}

static void flush_second(struct vmx_vcpu *vmx)
{
	thv_count(&vmx->vcpu, flushes_second);
	if (vmx_caps.ept_vpid & VMX_EPT_EXTENT_CONTEXT_BIT)
		invept(VMX_EPT_EXTENT_CONTEXT, thv_memory_ept_pointer(vmx->vcpu.vm));
	else
		invept(VMX_EPT_EXTENT_GLOBAL, 0);
}

static void flush_tag(struct vmx_vcpu *vmx)
{
	if (!vmx->vpid)
		return;
	thv_count(&vmx->vcpu, flushes_tag);
	invvpid(VMX_VPID_EXTENT_SINGLE_CONTEXT, vmx->vpid, 0);
	if (THV_DEBUG)
		thv_flush_tag_forgotten(&ledger, vmx->vcpu.cpu, vmx->vpid);
}

/**
 * vmx_flush - drop cached translations of a vCPU on this CPU.
 * @vcpu: loaded here.
 * @kind: which. SECOND, what came from the VM's second-level tables: combined mappings are part of
 *	that, and with shadow paging all there is. LINEAR, what the guest's own instruction would
 *	have dropped. ARRIVED, all that this CPU has of the vCPU's earlier visits and of its tag's earlier
 *	owners. For the latter the manual wants INVVPID (SDM 29.4.3.3), beside INVEPT.
 */
void vmx_flush(struct thv_vcpu *vcpu, enum thv_flush kind)
{
	u64 number = thv_flush_begin(&vcpu->vm->memory.tables.flushes);
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	thv_count(vcpu, flushes);
	trace_thv_flush(vcpu, kind);
	if (kind != THV_FLUSH_LINEAR && !vmx_shadows(vmx))
		flush_second(vmx);
	if (kind != THV_FLUSH_SECOND || vmx_shadows(vmx))
		flush_tag(vmx);
	if (THV_DEBUG && kind != THV_FLUSH_LINEAR)
		thv_flush_done(&vcpu->flushes, vcpu->cpu, number);
}

/**
 * vmx_flush_page - drop what this CPU has cached of one linear address.
 * @vcpu: loaded here.
 * @gla: the address; the instruction takes no other than canonical ones (SDM 31.3, INVVPID).
 */
void vmx_flush_page(struct thv_vcpu *vcpu, u64 gla)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	if (!vmx->vpid || !HAS_VPID_TYPE(VMX_VPID_EXTENT_INDIVIDUAL_ADDR_BIT) || !thv_canonical(gla))
		return vmx_flush(vcpu, THV_FLUSH_LINEAR);
	thv_count(vcpu, flushes);
	thv_count(vcpu, flushes_page);
	trace_thv_flush(vcpu, THV_FLUSH_PAGE);
	invvpid(VMX_VPID_EXTENT_INDIVIDUAL_ADDR, vmx->vpid, gla);
}
