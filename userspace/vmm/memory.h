/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Guest memory: one memfd, mapped shared in one piece, that the guest sees in
 * two: from 0 to the start of the hole below 4 GiB, where the devices live, and
 * the rest from 4 GiB up. Firmware may end there: read-only memory of its own. Nothing here needs the module until memory_give().
 */
#ifndef THV_VMM_MEMORY_H
#define THV_VMM_MEMORY_H

#include "lib/types.h"

#define MEMORY_HOLE	0xc0000000ULL	/* end of low memory at most */

struct memory {
	int fd;
	u8 *host;		/* where all of it is mapped */
	u64 size;
	u64 low;		/* bytes of it from guest-physical 0 on; the rest from 4 GiB */
	const u8 *rom;		/* read-only memory that ends at 4 GiB, on a page; stays the caller's */
	u64 rom_size;
};

/* Lay out without allocating: what the loaders need to check their input */
void memory_plan(struct memory *memory, u64 size);

/* 0, or -1 with the error text */
int memory_create(struct memory *memory, u64 size, const char *name, bool hugepages);
int memory_give(const struct memory *memory, int vm);
void memory_destroy(struct memory *memory);

/* Where the guest's [gpa, gpa + length) is; NULL unless all of it is memory, in one piece */
void *memory_at(const struct memory *memory, u64 gpa, u64 length);

/* ... or read-only memory: only to be looked at */
const void *memory_look(const struct memory *memory, u64 gpa, u64 length);

/* Copy length bytes of a file to the guest; -1 too when the file is shorter */
int memory_load(const struct memory *memory, u64 gpa, int fd, u64 offset, u64 length,
		const char *path);

#endif
