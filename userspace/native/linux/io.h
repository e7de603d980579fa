/* SPDX-License-Identifier: GPL-2.0-only */
/* Native stand-in: a physical address is a pointer. */
#ifndef _NATIVE_LINUX_IO_H
#define _NATIVE_LINUX_IO_H

#include <linux/types.h>

#define phys_to_virt(physical)	((void *)(unsigned long)(physical))
#define virt_to_phys(virtual)	((u64)(unsigned long)(virtual))

#endif
