/* SPDX-License-Identifier: GPL-2.0-only */
/* What the guest has touched, between the rooms that find out: see touched.c. */
#ifndef THV_PAGING_TOUCHED_H
#define THV_PAGING_TOUCHED_H

#include "table.h"

struct thv_vm;

extern const struct thv_tables_owner thv_memory_owner;

unsigned long *thv_touched_bitmap(u64 pages);
void thv_touched_record(unsigned long *bitmap, u64 first, unsigned int level);
void thv_touched_log(struct thv_vm *vm, const u64 *gpas, unsigned int count);
bool thv_touched_used(const struct thv_tables *tables, u64 entry);
bool thv_touched_take(struct thv_tables *tables, struct thv_gather *gather, u64 *entry,
		      u64 gfn, unsigned int level);

#endif
