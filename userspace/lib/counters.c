// SPDX-License-Identifier: GPL-2.0-only
#include "lib/counters.h"

const struct counter counters[THV_STATS] = {
#define COUNTER_ROW(name, meaning) { #name, meaning },
	THV_COUNTERS(COUNTER_ROW)
#undef COUNTER_ROW
};
