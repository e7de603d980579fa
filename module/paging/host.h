/* SPDX-License-Identifier: GPL-2.0-only */
/* The host's side of a fault: its page table, which is the authority, and its pages. */
#ifndef THV_PAGING_HOST_H
#define THV_PAGING_HOST_H

#include <linux/mm_types.h>
#include <linux/types.h>

/**
 * struct thv_host_page - a page as the host gave it, with a reference.
 * @page: it.
 * @writable: it may be written through.
 * @there: the host's table had it, before anybody asked.
 */
struct thv_host_page {
	struct page *page;
	bool writable;
	bool there;
};

int thv_host_ask(u64 hva, bool write, bool may_write, struct thv_host_page *got);
unsigned int thv_host_have(u64 hva, unsigned int count, bool write, bool may_write,
			   struct page **pages, bool *writable);
unsigned int thv_host_level(struct mm_struct *mm, unsigned long hva);
unsigned long thv_host_present(struct mm_struct *mm, unsigned long hva, unsigned int count);
void thv_host_tell_dirty(struct page *page);
bool thv_host_writes_out(struct page *page);

#endif
