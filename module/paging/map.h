/* SPDX-License-Identifier: GPL-2.0-only */
/* Pages into the second level: map.c */
#ifndef THV_PAGING_MAP_H
#define THV_PAGING_MAP_H

#include <linux/types.h>
#include "host.h"

struct thv_slot;
struct thv_vcpu;

int thv_map(struct thv_vcpu *vcpu, const struct thv_slot *slot, u64 gfn,
	    const struct thv_host_page *got, u32 access, unsigned long seq);

#endif
