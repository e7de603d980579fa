/* SPDX-License-Identifier: GPL-2.0-only */
/* Native stand-in: error numbers. */
#ifndef _NATIVE_LINUX_ERRNO_H
#define _NATIVE_LINUX_ERRNO_H

#include_next <linux/errno.h>

#endif
