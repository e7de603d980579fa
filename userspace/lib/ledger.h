/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The exit ledger (THV_GET_LEDGER) for people: what exits of each reason have cost. Times are in
 * cycles of the host's counter until they are printed.
 */
#ifndef THV_LIB_LEDGER_H
#define THV_LIB_LEDGER_H

#include <stdio.h>

#include <thv.h>

#include "lib/json.h"
#include "lib/types.h"
#include "module/vmx/reasons.h"

#define LEDGER_ROWS	(VMX_REASONS + 1)

/* Of one vCPU or the sum of several; row[] by reason, a count of 0 where there was none */
struct ledger {
	u64 guest_cycles, asleep_cycles;
	u32 tsc_khz;
	struct thv_ledger_row row[LEDGER_ROWS];
};

/* The VM or control descriptor keeps the ledger until it is closed; 0, or -1 with the error text */
int ledger_keep(int vm);

/* The sum over a VM's vCPUs; 0, or -1 with the error text */
int ledger_read(int vm, struct ledger *ledger);

/* What has come since @before */
void ledger_since(struct ledger *ledger, const struct ledger *before);

/* NULL: no exit reason has this number */
const char *ledger_reason(u32 reason);
/* A reason's number by its name (any case) or number; -1 with the error text */
int ledger_find(const char *name);

u64 ledger_exits(const struct ledger *ledger);

/*
 * The time that @percent of what is in the histogram does not exceed; within a bucket as if its
 * times were evenly spread. 0 for an empty one.
 */
u64 ledger_percentile(const u64 histogram[THV_LEDGER_BUCKETS], unsigned int percent);

/* "12.3 us": four digits at most; returns @text */
const char *ledger_time(char text[16], u64 cycles, u32 khz);

/* The dearest reasons first. @seconds: rates over that time; 0: totals */
void ledger_table(FILE *file, const struct ledger *ledger, double seconds);
void ledger_histograms(FILE *file, const struct ledger *ledger, int reason);	/* -1: all */
void ledger_json(struct json *json, const char *key, const struct ledger *ledger);

#endif
