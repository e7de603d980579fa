// SPDX-License-Identifier: GPL-2.0-only
/* Rows of shadow paging: one vCPU, on one CPU. */
#include "bench.h"

#define CHANGES	501
#define PAGES	(FRESH_SIZE / PAGE)

static double change(struct guest *guest, u64 function)
{
	return median(guest, function, CHANGES) - overhead(guest);
}

static double touch(struct guest *guest, u64 function)
{
	give_fresh(guest, pages(FRESH_SIZE), FRESH_SIZE);
	return mean(guest, function, PAGES) - overhead(guest);
}

const struct row shadow_paging[] = {
	{ "shadow_remap", "shadow paging: page-table entry changed, flushed, used", change, guest_remap },
	{ "shadow_switch", "shadow paging: address space switched, a page used", change, guest_switch_space },
	{ "shadow_touch", "shadow paging: first touch of a 4K page", touch, guest_touch },
	{}
};
