/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Words for the bits of the processor's registers, control words and structures, and for what thv
 * keeps of a vCPU's events and APIC. Pure: the same value has the same words.
 */
#ifndef THV_LIB_DECODE_H
#define THV_LIB_DECODE_H

#include <thv.h>

#include "lib/types.h"

#define DECODE_TEXT	800	/* room for the longest list of words there can be */

/* A bit, or a field of some: then its words are "name=value" */
struct decode_bit {
	u64 mask;		/* 0 ends the table */
	const char *name;
};

extern const struct decode_bit decode_cr0[], decode_cr4[], decode_efer[], decode_rflags[],
			       decode_dr6[], decode_dr7[], decode_page_fault[],
			       decode_apic_base[];

/*
 * The names of the bits that are set, in the table's order; a bit the table doesn't have is
 * "bit N". Nothing set: "". Returns @text.
 */
char *decode_bits(u64 value, const struct decode_bit *bits, const char *between, char *text,
		  size_t size);

/* "code, read, accessed" of a segment's attributes */
char *decode_segment(u32 attributes, char *text, size_t size);

/* A line of words about a vCPU, for each thing there is to say */
typedef void decode_line(void *opaque, const char *name, const char *text);

void decode_events(const struct thv_event_state *events, decode_line *line, void *opaque);
void decode_apic(const struct thv_apic *apic, decode_line *line, void *opaque);

/* MSRs worth showing, with their names; ends with a NULL name */
struct decode_msr {
	u32 index;
	const char *name;
};

extern const struct decode_msr decode_msrs[];

#endif
