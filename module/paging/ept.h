/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Extended page tables (SDM 29.3): what their entries say. Bits that asm/vmx.h names are used
 * by those names; here is what it lacks.
 */
#ifndef THV_PAGING_EPT_H
#define THV_PAGING_EPT_H

#include "table.h"

struct thv_vm;

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

const struct thv_table_format *thv_ept_format(u64 features);
bool thv_ept_validate(struct thv_tables *tables, u64 first, u64 last);

#endif
