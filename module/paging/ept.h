/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Extended page tables (SDM 29.3): what their entries say. Bits that asm/vmx.h names are used
 * by those names; here is what it lacks.
 */
#ifndef THV_PAGING_EPT_H
#define THV_PAGING_EPT_H

#include "table.h"

/* SDM tables 29-2 to 29-7: an entry, by bit
 *   0 read  1 write  2 execute
 *   5:3 memory type and 6 "ignore PAT", in a page; 0 in a table entry
 *   7 large page
 *   8 accessed  9 dirty, where the EPT pointer enables them
 *   11:10 ignored (10: execute for user mode, which we don't enable)
 *   N-1:12 address; from N = MAXPHYADDR to 51 reserved
 *   63:52 ignored, but for features we don't enable
 */
#define THV_EPT_LARGE		BIT_ULL(7)
#define THV_EPT_ADDRESS		GENMASK_ULL(51, 12)
#define THV_EPT_WRITE_BACK	6ULL	/* memory type, SDM 29.3.7 */

const struct thv_table_format *thv_ept_format(u64 features);

/**
 * struct thv_ept_rules - what of entries depends on the processor.
 * @phys_bits: MAXPHYADDR.
 * @features: THV_FEATURE_EPT_* it offers.
 */
struct thv_ept_rules {
	u32 phys_bits;
	u64 features;
};

const char *thv_ept_misconfigured(const struct thv_ept_rules *rules, u64 entry, unsigned int level);
const char *thv_ept_check_path(const struct thv_tables *tables, const struct thv_ept_rules *rules,
			       u64 gfn);
const char *thv_ept_check_tree(const struct thv_tables *tables, const struct thv_ept_rules *rules);

#endif
