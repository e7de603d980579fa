/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is behind a disk of the guest's: a raw file or a block device, all of it or a region, and
 * over it perhaps an overlay, which takes all that is written so that the file below
 * stays as it is.
 *
 * This is where bytes are, not how they are read and written: the device asks for the next piece,
 * does its asynchronous I/O on that, and says when it has been written.
 *
 * An overlay is a file of thv's own, little-endian, sparse:
 *
 *	0	8 bytes "THVOVER\n"; u32 version, 1; u32 bytes of a block, 512; u64 bytes of the disk;
 *		u64 where the bitmap begins, 4096; u64 where the data begins
 *	4096	a bit for each block of the disk: it is in the overlay
 *	data	the blocks, each at its own place, so block n is at data + 512 * n
 *
 * Its order makes it safe against whatever comes between two writes: data first, then (when the
 * guest flushes) that data to the medium, then the bits in the file, then these to the
 * medium. A bit that is lost was never promised; a bit that is there has its data.
 */
#ifndef THV_VMM_DISK_H
#define THV_VMM_DISK_H

#include "lib/options.h"
#include "lib/types.h"

#define DISK_BLOCK	512ULL

struct disk_options {
	const char *path, *overlay;
	u64 offset, size;	/* of the region; size 0: to the end */
	bool read_only, discard;
};

struct disk {
	struct disk_options options;
	int fd;				/* the file */
	u64 offset, size;		/* where the disk begins in it; bytes, a multiple of blocks */
	bool writable;

	int overlay;			/* -1: none */
	u64 data;			/* where its blocks begin */
	u64 *map;			/* its bitmap as the guest would have it; changes stay ours */
	u64 map_bytes;
	u8 *stale;			/* for each page of the bitmap: the file has an older one */
	struct disk_page *flushing;	/* copies of what is on its way to the file */
};

/* The words of --disk */
extern const struct option_row disk_rows[];

/* From the argument of --disk, its number for errors; 0, or -1 with the error text */
int disk_parse(const char *text, struct disk_options *options);

/*
 * Open, check, and lock against a second writer (and, for a writer, against readers): the region
 * only, so guests may share a partitioned disk. An overlay that is not there is made.
 */
int disk_open(struct disk *disk, const struct disk_options *options);
void disk_close(struct disk *disk);

/* Part of a disk that is in one piece of one file */
struct disk_piece {
	int fd;
	u64 offset;		/* in the file */
	u64 length;
};

/* What can be read or written at once from @at on, at most @length bytes */
struct disk_piece disk_to_read(const struct disk *disk, u64 at, u64 length);
struct disk_piece disk_to_write(const struct disk *disk, u64 at, u64 length);

/* From block @at on, so many bytes are written by now; of a block that is cut, nothing counts */
void disk_written(struct disk *disk, u64 at, u64 length);

/* What to sync to keep what was written: the overlay, or the file itself */
int disk_sync_fd(const struct disk *disk);

/*
 * A flush of an overlay, one at a time: begin, then sync, then bits, then sync, then end. After an
 * end without success the same bits are due again. Without an overlay there is nothing to do.
 */
int disk_flush_begin(struct disk *disk);
int disk_flush_bits(struct disk *disk);
void disk_flush_end(struct disk *disk, bool success);

/* All of that at once, for when nobody waits */
int disk_flush(struct disk *disk);

#endif
