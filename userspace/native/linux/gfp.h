/* SPDX-License-Identifier: GPL-2.0-only */
/* Native stand-in: see linux/mm.h. */
#include <linux/mm.h>
