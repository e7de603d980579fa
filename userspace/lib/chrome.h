/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A timeline in the trace-event format that chrome://tracing and Perfetto open: a track a vCPU with
 * slices (guest, kernel, launcher, asleep), everything else as instants on it.
 */
#ifndef THV_LIB_CHROME_H
#define THV_LIB_CHROME_H

#include <stdio.h>

#include <thv.h>

#include "lib/json.h"
#include "lib/traceline.h"
#include "lib/types.h"

/* What a vCPU is in the middle of; no @category: not known yet */
struct chrome_track {
	const char *category;
	char name[48];
	u64 since;		/* ns */
	bool named;
};

struct chrome {
	struct json json;
	struct chrome_track track[THV_MAX_VCPUS + 1];	/* the last: events of the VM itself */
	u64 last;		/* ns; of the latest event */
	u32 vm;
};

void chrome_begin(struct chrome *chrome, FILE *file);
void chrome_event(struct chrome *chrome, const struct traceline *line, u64 ns);
int chrome_end(struct chrome *chrome);	/* -1: it could not be written; errno */

#endif
