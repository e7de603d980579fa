/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * libthv: a VM of another process, by its control descriptor (THV_OPEN_VM). Every call
 * returns what the ioctl returns, or -1 with the error text set.
 */
#ifndef THV_LIB_CONTROL_H
#define THV_LIB_CONTROL_H

#include <thv.h>

#include "lib/types.h"

/* A control descriptor of the VM with this number or name */
int control_open(const char *vm);

int control_set_state(int vm, enum thv_vm_state state);

/* Looking into a VM that runs */
int control_send_nmi(int vm, u32 vcpu);
int control_get(int vm, u32 vcpu, enum thv_state_id component, void *data, u32 size);
int control_translate(int vm, u32 vcpu, struct thv_translate *translate);

/* Bytes read: fewer than size where memory ends, 0 where there is none */
int control_read_memory(int vm, u64 gpa, void *data, u64 size);

/* How many fields there are, of which the first so many are in @fields */
int control_get_fields(int vm, u32 vcpu, struct thv_field *fields, u32 count);

/* How many rules of VM entry the vCPU's state breaks, and a line each in @text */
int control_explain(int vm, u32 vcpu, char *text, u64 size);

#endif
