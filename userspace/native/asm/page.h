/* SPDX-License-Identifier: GPL-2.0-only */
/* Native stand-in: pages. */
#ifndef _NATIVE_ASM_PAGE_H
#define _NATIVE_ASM_PAGE_H

#include <linux/types.h>

#define PAGE_SHIFT	12
#define PAGE_SIZE	(1UL << PAGE_SHIFT)
#define PAGE_MASK	(~(PAGE_SIZE - 1))
#define PAGE_ALIGN(x)	(((x) + PAGE_SIZE - 1) & PAGE_MASK)
#define PAGE_ALIGNED(x)	(((unsigned long)(x) & ~PAGE_MASK) == 0)
#define offset_in_page(p)	((unsigned long)(p) & ~PAGE_MASK)

#endif
