/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Native stand-in: pages, each with its struct page behind it. What is allocated and not freed, a
 * leak checker finds.
 */
#ifndef _NATIVE_LINUX_MM_H
#define _NATIVE_LINUX_MM_H

#include <stdlib.h>
#include <string.h>
#include <asm/page.h>
#include <linux/list.h>

struct page {
	struct list_head lru;
};

#define GFP_KERNEL		0
#define GFP_KERNEL_ACCOUNT	0

static inline unsigned long get_zeroed_page(gfp_t flags)
{
	void *page = aligned_alloc(PAGE_SIZE, 2 * PAGE_SIZE);

	return page ? (unsigned long)memset(page, 0, 2 * PAGE_SIZE) : 0;
}

static inline void free_page(unsigned long page)
{
	free((void *)page);
}

static inline struct page *virt_to_page(const void *address)
{
	return (struct page *)(((unsigned long)address & PAGE_MASK) + PAGE_SIZE);
}

static inline void __free_page(struct page *page)
{
	free((char *)page - PAGE_SIZE);
}

#endif
