/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The guest's own paging (SDM chapter 4), followed in software: from a linear address to a
 * guest-physical one, or to the page fault the processor would raise. Pure; natively tested.
 */
#ifndef THV_PAGING_WALK_H
#define THV_PAGING_WALK_H

#include <linux/bits.h>
#include <linux/types.h>
#include "../../uapi/thv.h"

#define THV_WALK_LEVELS	5

/* Bits of a #PF's error code (SDM 4.7) */
#define THV_PF_PRESENT	BIT(0)
#define THV_PF_WRITE	BIT(1)
#define THV_PF_USER	BIT(2)
#define THV_PF_RESERVED	BIT(3)
#define THV_PF_FETCH	BIT(4)

/**
 * struct thv_guest_paging - what of a vCPU's state decides about a translation.
 * @cr0: of it, PG and WP.
 * @cr3: where the tables are.
 * @cr4: of it, PSE, PAE, SMEP, SMAP, LA57.
 * @efer: of it, LMA and NXE.
 * @rflags: of it, AC.
 * @pdptr: with PAE paging: the four entries as the processor holds them.
 * @phys_bits: MAXPHYADDR as the guest is told; at least 32.
 * @gbyte_pages: it is told of 1 GiB pages.
 */
struct thv_guest_paging {
	u64 cr0;
	u64 cr3;
	u64 cr4;
	u64 efer;
	u64 rflags;
	u64 pdptr[4];
	u32 phys_bits;
	bool gbyte_pages;
};

/**
 * struct thv_walk_memory - how the walker reads guest memory, and writes flags there.
 * @read: an entry of @size (4 or 8) bytes at @gpa, which is aligned; the result is
 *	zero-extended. Other than 0: there is no memory.
 * @update: make @new of an entry that was read as @old, in one atomic step. -EAGAIN: it is not
 *	@old any more; -EROFS: it is ROM, and keeps its flags; other errors: it is memory, but cannot
 *	be written now. NULL: the walk is for somebody who only looks.
 * @opaque: for both.
 */
struct thv_walk_memory {
	int (*read)(void *opaque, u64 gpa, u64 *entry, unsigned int size);
	int (*update)(void *opaque, u64 gpa, u64 old, u64 new, unsigned int size);
	void *opaque;
};

enum thv_walk_result {
	THV_WALK_OK,
	THV_WALK_FAULT,			/* #PF with error_code */
	THV_WALK_NON_CANONICAL,		/* the address is none: #GP or #SS */
	THV_WALK_NO_TABLE,		/* gpa, of a table entry, is not memory */
	THV_WALK_CHANGED,		/* an entry changed while its flags were set: walk again */
	THV_WALK_NO_FLAGS,		/* gpa, of a table entry, cannot be written now */
};

/**
 * struct thv_walk - one translation.
 * @gpa: for THV_WALK_OK the address; for THV_WALK_NO_TABLE and THV_WALK_NO_FLAGS the entry's.
 * @page_size: bytes of the page; 2^32 if paging is off.
 * @error_code: for THV_WALK_FAULT.
 * @permissions: THV_ACCESS_READ|WRITE|EXECUTE|USER that the entries give together, before
 *	CR0.WP, SMEP and SMAP have their say.
 * @levels: entries of @level in use.
 * @level: the entries on the way; root first.
 */
struct thv_walk {
	u64 gpa;
	u64 page_size;
	u32 error_code;
	u32 permissions;
	u32 levels;
	struct thv_translate_level level[THV_WALK_LEVELS];
};

enum thv_walk_result thv_walk(const struct thv_guest_paging *paging,
			      const struct thv_walk_memory *memory, u64 gla, u32 access,
			      struct thv_walk *walk);
bool thv_is_pae_paging(const struct thv_guest_paging *paging);
bool thv_pdptr_valid(u64 pdptr, u32 phys_bits);

#endif
