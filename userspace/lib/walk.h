/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A translation for people: from an address through segment, guest tables and second level to
 * where it ends, each entry in words, and who took which permission away. It knows no VM:
 * everything it tells is in struct walk.
 */
#ifndef THV_LIB_WALK_H
#define THV_LIB_WALK_H

#include <stdio.h>

#include <thv.h>

#include "lib/json.h"
#include "lib/types.h"

#define WALK_NO_SEGMENT	(-1)

/**
 * struct walk - what was asked and what came out.
 * @vcpu: the vCPU's id.
 * @address: as it was asked: linear, or an offset in @segment, or guest-physical.
 * @segment: enum thv_segment_id or WALK_NO_SEGMENT.
 * @physical: @address is guest-physical.
 * @access: THV_ACCESS_*.
 * @sregs: segments, for @segment and for the mode.
 * @features: THV_FEATURE_* the VM uses: EPT_AD gives the second level its flags.
 * @pat: the guest's IA32_PAT.
 * @segment_fault: what the segment does not permit; empty: nothing, and @translate holds.
 * @translate: of the linear (or guest-physical) address.
 */
struct walk {
	u32 vcpu;
	u64 address;
	int segment;
	bool physical;
	u32 access;
	struct thv_sregs sregs;
	u64 features;
	u64 pat;
	char segment_fault[160];
	struct thv_translate translate;
};

/*
 * The linear address of an offset in a segment (SDM 3.4, 5.3, 6.15); false: the processor raises
 * what *fault says
 */
bool segment_linear(const struct thv_sregs *sregs, u64 rflags, int id, u64 offset, u32 access,
		    u64 *linear, char *fault, size_t size);

/* An entry of the guest's tables, or of EPT, in words; where it leads is not among them */
char *guest_entry_words(const struct walk *walk, u32 level, char *text, size_t size);
char *second_entry_words(const struct walk *walk, u32 level, char *text, size_t size);

/* What an access of this kind meets: a sentence; true: nothing stops it */
bool walk_verdict(const struct walk *walk, char *text, size_t size);

void walk_print(FILE *file, const struct walk *walk);
void walk_json(struct json *json, const struct walk *walk);

#endif
