/* SPDX-License-Identifier: GPL-2.0-only */
/* Memory for people: as instructions, and as bytes. */
#ifndef THV_LIB_LISTING_H
#define THV_LIB_LISTING_H

#include <stdio.h>
#include <thv.h>

#include "lib/types.h"

#define LISTING_INSTRUCTION	15	/* bytes of the longest there is */

/* One instruction at @address as text; its length, 0 if the bytes are none (or are too few) */
u32 listing_instruction(const struct thv_sregs *sregs, u64 address, const u8 *bytes, u32 length,
			char *text, size_t size);

/* A line for each of at most @most instructions. Returns the bytes that were printed. */
u32 listing_code(const struct thv_sregs *sregs, u64 address, const u8 *bytes, u32 length,
		 u32 most, FILE *file);

/* An instruction with its bytes before it */
void listing_line(u64 address, const u8 *bytes, u32 length, const char *text, FILE *file);

/* Sixteen bytes a line, as `hexdump -C` does */
void listing_bytes(u64 address, const u8 *bytes, u32 length, FILE *file);

#endif
