/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The way of a guest's address in words: through its segment, the guest's tables and the second
 * level, to what an access would come to. The module has followed it (THV_TRANSLATE); here it is
 * explained. Pure.
 */
#ifndef THV_LIB_WALK_H
#define THV_LIB_WALK_H

#include <stdio.h>
#include <thv.h>

#include "lib/types.h"

/* What an access comes to */
enum walk_end {
	WALK_DONE,
	WALK_SEGMENT,		/* the segment refuses it */
	WALK_NON_CANONICAL,
	WALK_PAGE_FAULT,
	WALK_TABLE,		/* one of the guest's tables is not memory */
	WALK_APIC,
	WALK_DEVICE,		/* no memory: a device's, or nobody's */
	WALK_FETCH,		/* ... and an instruction was to come from there */
	WALK_UNMAPPED,
	WALK_PROTECTED,		/* mapped, but not for this access */
	WALK_HOST_FAULT,
	WALK_PRIVATE,		/* a page of the module's own, which is in no slot */
	WALK_ENDS
};

/**
 * struct walk - one address of one vCPU.
 * @vcpu: its id.
 * @segment: enum thv_segment_id the access goes through.
 * @offset: in it. With THV_ACCESS_PHYSICAL there is no segment, and this is guest-physical.
 * @access: THV_ACCESS_*.
 * @rflags, @sregs: the vCPU's.
 * @apic_base: its IA32_APIC_BASE.
 * @refused: out of walk_begin(): why the segment does not allow it; NULL: it does.
 * @translate: gla and access out of walk_begin(), the rest from the module.
 */
struct walk {
	u32 vcpu;
	u32 segment;
	u64 offset;
	u32 access;
	u64 rflags;
	struct thv_sregs sregs;
	u64 apic_base;
	const char *refused;
	struct thv_translate translate;
};

/* Through the segment: @gla, which the module can then follow, and @refused */
void walk_begin(struct walk *walk);

enum walk_end walk_end(const struct walk *walk);

void walk_print(const struct walk *walk, FILE *file);	/* at most 100 columns wide */
void walk_json(const struct walk *walk, FILE *file);

#endif
