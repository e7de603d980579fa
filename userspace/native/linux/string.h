/* SPDX-License-Identifier: GPL-2.0-only */
/* Native stand-in: memory and strings. */
#ifndef _NATIVE_LINUX_STRING_H
#define _NATIVE_LINUX_STRING_H

#include <string.h>
#include <linux/types.h>

#endif
