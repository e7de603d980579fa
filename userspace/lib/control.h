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

#endif
