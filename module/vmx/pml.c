// SPDX-License-Identifier: GPL-2.0-only
/*
 * The page-modification log (SDM 29.3.6): each time the processor sets a dirty flag in EPT it notes the
 * guest-physical address of the page in a page of ours, from the last of 512 entries down, and exits
 * when that is full. It is emptied into the slots' bitmaps whenever a vCPU leaves the guest for more
 * than a quick exit, so that who asks for the bitmap kicks the vCPUs out, and has it all.
 *
 * The flags are set once for each page until touched.c clears them. Pages of slots without a log are
 * mapped with the flag set (map.c), and cost nothing here.
 */
#include "../paging/touched.h"
#include "vmx.h"

#define ENTRIES		(PAGE_SIZE / sizeof(u64))

/* The log's page, for a vCPU whose VM uses it. May sleep; 0 or -ENOMEM. */
int vmx_pml_create(struct vmx_vcpu *vmx)
{
	if (!(vmx->vcpu.vm->features & THV_FEATURE_PML))
		return 0;
	vmx->pml = (u64 *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	return vmx->pml ? 0 : -ENOMEM;
}

void vmx_pml_destroy(struct vmx_vcpu *vmx)
{
	free_page((unsigned long)vmx->pml);
	vmx->pml = NULL;
}

void vmx_pml_setup(struct vmx_vcpu *vmx)
{
	if (!vmx->pml)
		return;
	vmwrite(PML_ADDRESS, __pa(vmx->pml));
	vmwrite(GUEST_PML_INDEX, ENTRIES - 1);
}

/**
 * vmx_pml_drain - empty the log.
 * @vcpu: loaded, out of the guest; interrupts may be off.
 *
 * The index is that of the next free entry; below 0 (as 16 bits) none is free.
 */
void vmx_pml_drain(struct thv_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	u16 first;

	if (!vmx->pml)
		return;
	first = vmread(GUEST_PML_INDEX) + 1;
	if (first >= ENTRIES)
		return;
	thv_count(vcpu, pml_drains);
	vcpu->stats[THV_STAT_pml_pages] += ENTRIES - first;
	thv_touched_log(vcpu->vm, vmx->pml + first, ENTRIES - first);
	vmwrite(GUEST_PML_INDEX, ENTRIES - 1);
}
