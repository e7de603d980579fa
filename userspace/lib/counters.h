/* SPDX-License-Identifier: GPL-2.0-only */
/* The module's counters by name, in the order of thv_vm_stats.counter[]: out of module/stats.h. */
#ifndef THV_LIB_COUNTERS_H
#define THV_LIB_COUNTERS_H

#include "lib/types.h"
#include "module/stats.h"

struct counter {
	const char *name, *meaning;
};

extern const struct counter counters[THV_STATS];

#endif
