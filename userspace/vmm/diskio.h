/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Asynchronous I/O on a disk: reading, writing, flushing and clearing as the device in front asks for it,
 * through one io_uring a disk.
 *
 * Each request goes on by itself, one piece of I/O after the other, and many requests at once. All
 * calls, and the user's, come on one thread.
 */
#ifndef THV_VMM_DISKIO_H
#define THV_VMM_DISKIO_H

#include <liburing.h>
#include <sys/uio.h>

#include "vmm/disk.h"

#define DISK_IOVECS	256	/* that a piece may consist of */

enum disk_verb {
	DISK_READ,
	DISK_WRITE,
	DISK_FLUSH,
	DISK_DISCARD,	/* it need not do anything */
	DISK_CLEAR,	/* afterwards it is zeros */
};

struct disk_operation;

/* The first four are the device's, the others are ours */
struct disk_request {
	u64 at, length;			/* bytes of the disk, whole blocks */
	bool punch;			/* clearing may give space back */
	bool flush_after;		/* once written */

	const struct disk_operation *operation;
	struct disk_request *next;	/* that waits for another's flush */
	u64 done;
	u32 step;
	bool failed, by_hand;		/* clearing: write zeros */
	struct iovec iov[DISK_IOVECS];
};

struct disk_user {
	/* Where the request's bytes from @from on are in memory, in @iov, @length of them: how many pieces */
	u32 (*memory)(struct disk_request *request, u64 from, u64 length, struct iovec *iov);
	/* It is over; disk_start() may be the one that says so */
	void (*done)(struct disk_request *request);
};

struct disk_ring {
	struct disk *disk;
	const struct disk_user *user;
	struct io_uring ring;
	int event;				/* becomes readable when something has been done; 0: none */
	struct disk_request *flushing, *waiting; /* flushes come one at a time */
};

/* For @depth requests at once; 0, or -1 with the error text. Destroy it in either case, and if it is all zeros. */
int disk_ring_create(struct disk_ring *ring, struct disk *disk, u32 depth, const struct disk_user *user);
void disk_ring_destroy(struct disk_ring *ring);

/* Begin a request, which has to be within the disk; it goes to the host with the next submit */
void disk_start(struct disk_ring *ring, struct disk_request *request, enum disk_verb verb);
void disk_submit(struct disk_ring *ring);

/* What has been done: requests go on, or are over. @wait: for one at least, of which some must be under way */
void disk_take_results(struct disk_ring *ring, bool wait);

#endif
