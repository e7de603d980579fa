/* SPDX-License-Identifier: GPL-2.0-only */
/* A vCPU's registers: what they and their bits are called. */
#ifndef THV_LIB_REGISTERS_H
#define THV_LIB_REGISTERS_H

#include <stdio.h>

#include <thv.h>

#include "lib/bits.h"
#include "lib/types.h"

extern const char *const gpr_names[THV_GPRS];
extern const char *const segment_names[THV_SEGMENTS];

extern const struct bit_name rflags_bits[], cr0_bits[], cr4_bits[], efer_bits[], dr6_bits[],
	dr7_bits[], xcr0_bits[];

void registers_print(FILE *file, const struct thv_regs *regs);
void segments_print(FILE *file, const struct thv_sregs *sregs);

/* "code, execute/read, DPL 0, present, 64-bit" */
char *segment_words(u32 attributes, char *text, size_t size);

/* "64-bit, 4-level paging", ... */
char *mode_words(u64 cr0, u64 cr4, u64 efer, u64 rflags, u32 cs_attributes, char *text, size_t size);

static inline u32 segment_dpl(const struct thv_segment *segment)
{
	return (segment->attributes & THV_SEG_DPL) >> 5;
}

#endif
