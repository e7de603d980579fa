/* SPDX-License-Identifier: GPL-2.0-only */
/* Memory of another process's VM as a vCPU sees it. */
#ifndef THV_LIB_GUEST_H
#define THV_LIB_GUEST_H

#include <thv.h>

#include "lib/types.h"

/*
 * Up to @length bytes at the linear address, of one page. 0: there is nothing to read, and
 * @reason says why. -1: it could not be asked for.
 */
int guest_read_page(int vm, u32 vcpu, u64 gla, void *data, u32 length, const char **reason);

#endif
