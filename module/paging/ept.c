// SPDX-License-Identifier: GPL-2.0-only
/*
 * Extended page tables: the format. The work is table.c's; that what comes of it is what the manual
 * allows, ept_check.c makes sure.
 */
#include <asm/vmx.h>
#include "ept.h"

/*
 * Memory type write-back, and the guest's PAT ignored. All that is mapped is ordinary RAM that
 * the launcher and the host use write-back at the same time; a guest that chose uncached for
 * its own view would make two views of one frame that don't agree, and gain nothing, for no
 * device of the host's is behind it. (Its MTRRs are without effect under EPT anyway.)
 */
static u64 ept_leaf(unsigned int level, u32 access)
{
	u64 leaf = VMX_EPT_READABLE_MASK | THV_EPT_WRITE_BACK << VMX_EPT_MT_EPTE_SHIFT |
		   VMX_EPT_IPAT_BIT;

	if (access & THV_ACCESS_WRITE)
		leaf |= VMX_EPT_WRITABLE_MASK;
	if (access & THV_ACCESS_EXECUTE)
		leaf |= VMX_EPT_EXECUTABLE_MASK;
	if (level > 1)
		leaf |= THV_EPT_LARGE;
	return leaf;
}

#define EPT_FORMAT							\
	.levels		= 4,						\
	.present	= VMX_EPT_RWX_MASK | THV_ENTRY_PARKED,		\
	.permissions	= VMX_EPT_RWX_MASK,				\
	.writable	= VMX_EPT_WRITABLE_MASK,			\
	.executable	= VMX_EPT_EXECUTABLE_MASK,			\
	.large		= THV_EPT_LARGE,				\
	.address	= THV_EPT_ADDRESS,				\
	.table		= VMX_EPT_RWX_MASK,				\
	.leaf		= ept_leaf

static const struct thv_table_format ept = { EPT_FORMAT };

/* SDM 29.3.5 */
static const struct thv_table_format ept_with_flags = {
	EPT_FORMAT,
	.accessed	= VMX_EPT_ACCESS_BIT,
	.dirty		= VMX_EPT_DIRTY_BIT,
};

/**
 * thv_ept_format() - The format a VM's tables have.
 * @features: THV_FEATURE_* the VM uses.
 */
const struct thv_table_format *thv_ept_format(u64 features)
{
	return features & THV_FEATURE_EPT_AD ? &ept_with_flags : &ept;
}
