/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * libthv: looking into a VM that runs, by its control descriptor. As everywhere: what the ioctl
 * returns, or -1 with the error text set.
 */
#ifndef THV_LIB_INSPECT_H
#define THV_LIB_INSPECT_H

#include <thv.h>

#include "lib/types.h"

int inspect_nmi(int vm, u32 vcpu);
int inspect_state(int vm, u32 vcpu, enum thv_state_id component, void *data, u32 size);
int inspect_msr(int vm, u32 vcpu, u32 index, u64 *value);
int inspect_translate(int vm, u32 vcpu, struct thv_translate *translate);
int inspect_memory(int vm, u64 gpa, void *data, u64 size);	/* bytes read, 0: no memory there */
/* How many there are, and *fields, which the caller frees */
int inspect_fields(int vm, u32 vcpu, struct thv_field **fields);

/*
 * Guest-linear memory, a page at a time, as the supervisor would read it: how many bytes could be
 * read. If that is less than size, the error text says why.
 */
u64 inspect_linear(int vm, u32 vcpu, u64 gla, void *data, u64 size);
u64 inspect_physical(int vm, u64 gpa, void *data, u64 size);	/* likewise */

#endif
