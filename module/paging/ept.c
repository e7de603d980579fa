// SPDX-License-Identifier: GPL-2.0-only
/*
 * Extended page tables: the format, the pointer to them, and a check that what we built is
 * what the manual allows. The work is table.c's. Lock: vm->memory.mmu_lock.
 */
#include <linux/io.h>
#include <linux/mm.h>
#include <asm/processor.h>
#include <asm/vmx.h>
#include "../vm.h"
#include "ept.h"

#define EPT_TYPE_WB	6ULL	/* SDM 29.3.7, bits 5:3 */

/*
 * Memory type write-back, and the guest's PAT ignored. All that is mapped is ordinary RAM that
 * the launcher and the host use write-back at the same time; a guest that chose uncached for
 * its own view would make two views of one frame that don't agree, and gain nothing, for no
 * device of the host's is behind it. (Its MTRRs are without effect under EPT anyway.)
 */
static u64 ept_leaf(unsigned int level, u32 access)
{
	u64 leaf = VMX_EPT_READABLE_MASK | EPT_TYPE_WB << VMX_EPT_MT_EPTE_SHIFT |
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
	.present	= VMX_EPT_RWX_MASK,				\
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

/**
 * thv_memory_ept_pointer() - The EPT pointer of a VM (SDM 25.6.11).
 * @vm: the VM.
 *
 * Write-back, like all we map; a walk of four levels; flags if the format has them.
 */
u64 thv_memory_ept_pointer(struct thv_vm *vm)
{
	u64 pointer = thv_memory_root(vm) | VMX_EPTP_MT_WB | VMX_EPTP_PWL_4;

	if (vm->memory.tables.format->accessed)
		pointer |= VMX_EPTP_AD_ENABLE_BIT;
	return pointer;
}

/* ---- the check, for debug builds ---- */

/* Bits that must be 0 (SDM 29.3.3.1, "reserved bits") */
static u64 reserved_bits(u64 entry, unsigned int level)
{
	u64 reserved = GENMASK_ULL(51, 12) & ~GENMASK_ULL(boot_cpu_data.x86_phys_bits - 1, 12);

	if (!thv_table_is_leaf(&ept, entry, level))
		return reserved | GENMASK_ULL(6, 3);
	if (level > 1)
		reserved |= GENMASK_ULL(11 + (level - 1) * THV_TABLE_BITS, 12);
	return level > 3 ? reserved | THV_EPT_LARGE : reserved;
}

/* Would the processor call this present entry a misconfiguration (SDM 29.3.3.1)? */
static const char *misconfigured(u64 entry, unsigned int level)
{
	if (!(entry & VMX_EPT_READABLE_MASK))
		return "write or execute without read";
	if (entry & reserved_bits(entry, level))
		return "a reserved bit is set";
	if (thv_table_is_leaf(&ept, entry, level) &&
	    (entry & VMX_EPT_MT_MASK) != EPT_TYPE_WB << VMX_EPT_MT_EPTE_SHIFT)
		return "memory type is not write-back";
	return NULL;
}

static bool validate_path(struct thv_tables *tables, u64 gfn, u64 *frames)
{
	struct thv_translate_level path[5];
	u32 i, n = thv_table_trace(tables, gfn, path);

	for (i = 0; i < n; i++) {
		const char *why = NULL;

		if (path[i].flags & THV_LEVEL_PRESENT)
			why = misconfigured(path[i].entry, path[i].level);
		if (WARN_ONCE(why, "thv: EPT entry %#llx of frame %#llx, level %u: %s\n",
			      path[i].entry, gfn, path[i].level, why))
			return false;
	}
	*frames = thv_table_frames(path[n - 1].level);
	return true;
}

/**
 * thv_ept_validate() - Is every entry for a range of frames one the processor accepts?
 * @tables: in EPT format.
 * @first: first frame.
 * @last: the frame after the last.
 *
 * Context: the lock is held, at least for reading. For debug builds: it visits each frame.
 */
bool thv_ept_validate(struct thv_tables *tables, u64 first, u64 last)
{
	u64 frames;

	for (; first < last; first = (first / frames + 1) * frames)
		if (!validate_path(tables, first, &frames))
			return false;
	return true;
}
