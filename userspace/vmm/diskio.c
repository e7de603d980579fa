// SPDX-License-Identifier: GPL-2.0-only
/*
 * Disk requests, piece by piece: next() asks for the next piece of I/O or says that there is none; when it
 * has been done, took() is told the result.
 *
 * Nothing is kept but in the host's page cache, so a write that is done survives the launcher (with an
 * overlay: once it is flushed), and a flush makes it survive the host.
 */
#include "vmm/diskio.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/error.h"

struct disk_operation {
	bool writes;
	bool (*next)(struct disk_ring *ring, struct disk_request *request);
	void (*took)(struct disk_ring *ring, struct disk_request *request, int result);
};

static void go_on(struct disk_ring *ring, struct disk_request *request);

/* Each request has one piece under way at most, so there is always room for it */
static struct io_uring_sqe *sqe_for(struct disk_ring *ring)
{
	return io_uring_get_sqe(&ring->ring);
}

static bool asked_for(struct io_uring_sqe *sqe, struct disk_request *request)
{
	io_uring_sqe_set_data(sqe, request);
	return true;
}

/* ---- read and write -------------------------------------------------------------- */

static bool next_bytes(struct disk_ring *ring, struct disk_request *request)
{
	u64 at = request->at + request->done, left = request->length - request->done;
	bool write = request->operation->writes;
	struct io_uring_sqe *sqe;
	struct disk_piece piece;
	u32 count;

	if (!left)
		return false;
	piece = write ? disk_to_write(ring->disk, at, left) : disk_to_read(ring->disk, at, left);
	count = ring->user->memory(request, request->done, piece.length, request->iov);
	sqe = sqe_for(ring);
	if (write)
		io_uring_prep_writev(sqe, piece.fd, request->iov, count, piece.offset);
	else
		io_uring_prep_readv(sqe, piece.fd, request->iov, count, piece.offset);
	return asked_for(sqe, request);
}

/* 0: the file ends here, though it did not when it was opened */
static void took_bytes(struct disk_ring *ring, struct disk_request *request, int result)
{
	if (result == -EINTR || result == -EAGAIN)
		return;
	if (result <= 0) {
		request->failed = true;
		return;
	}
	request->done += result;
	if (request->operation->writes)
		disk_written(ring->disk, request->at, request->done);
}

/* ---- flush ------------------------------------------------------------------------- */

static bool sync_piece(struct disk_ring *ring, struct disk_request *request)
{
	struct io_uring_sqe *sqe = sqe_for(ring);

	io_uring_prep_fsync(sqe, disk_sync_fd(ring->disk), IORING_FSYNC_DATASYNC);
	return asked_for(sqe, request);
}

static void end_flush(struct disk_ring *ring, struct disk_request *request)
{
	struct disk_request *waiting = ring->waiting;

	disk_flush_end(ring->disk, !request->failed);
	ring->flushing = NULL;
	if (!waiting)
		return;
	ring->waiting = waiting->next;
	go_on(ring, waiting);
}

/* disk.h: begin, sync, bits, sync, end; a disk without bits is done after the first sync */
static bool next_flush(struct disk_ring *ring, struct disk_request *request)
{
	if (!request->step && ring->flushing) {
		request->next = ring->waiting;
		ring->waiting = request;
		return true;
	}
	ring->flushing = request;
	switch (request->step++) {
	case 0:
		if (!disk_flush_begin(ring->disk))
			return sync_piece(ring, request);
		request->failed = true;
		break;
	case 1:
		if (!ring->disk->flushing)
			break;
		if (!disk_flush_bits(ring->disk))
			return sync_piece(ring, request);
		request->failed = true;
		break;
	}
	end_flush(ring, request);
	return false;
}

static void took_sync(struct disk_ring *ring, struct disk_request *request, int result)
{
	if (!result)
		return;
	request->failed = true;
	end_flush(ring, request);
}

/* ---- discard and clear -------------------------------------------------------------- */

/* Zeros from one page, again and again: for files that know no other way */
static void write_zeros(struct io_uring_sqe *sqe, struct disk_request *request, struct disk_piece piece)
{
	static u8 zeros[65536];		/* nobody writes to it; this way it is not in the program's file */
	u32 count = 0;

	while (piece.length && count < DISK_IOVECS) {
		u64 size = piece.length < sizeof(zeros) ? piece.length : sizeof(zeros);

		request->iov[count++] = (struct iovec){ zeros, size };
		piece.length -= size;
	}
	io_uring_prep_writev(sqe, piece.fd, request->iov, count, piece.offset);
}

/* A hole in an overlay is as good as zeros, and reads as such */
static bool may_punch(const struct disk_ring *ring, const struct disk_request *request)
{
	return request->punch || ring->disk->map;
}

static bool next_clear(struct disk_ring *ring, struct disk_request *request)
{
	u64 left = request->length - request->done;
	struct io_uring_sqe *sqe;
	struct disk_piece piece;

	if (!left)
		return false;
	piece = disk_to_write(ring->disk, request->at + request->done, left);
	sqe = sqe_for(ring);
	if (request->by_hand)
		write_zeros(sqe, request, piece);
	else
		io_uring_prep_fallocate(sqe, piece.fd, FALLOC_FL_KEEP_SIZE |
					(may_punch(ring, request) ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE),
					piece.offset, piece.length);
	return asked_for(sqe, request);
}

static void took_clear(struct disk_ring *ring, struct disk_request *request, int result)
{
	if (request->by_hand) {
		took_bytes(ring, request, result);
	} else if (!result) {
		request->done = request->length;
		disk_written(ring->disk, request->at, request->done);
	} else if (result == -EOPNOTSUPP) {
		request->by_hand = true;
	} else if (result != -EINTR && result != -EAGAIN) {
		request->failed = true;
	}
}

static void took_discard(struct disk_ring *ring, struct disk_request *request, int result)
{
	if (result == -EOPNOTSUPP)
		request->done = request->length;
	else
		took_clear(ring, request, result);
}

/* ---- requests --------------------------------------------------------------------------- */

static const struct disk_operation operations[] = {
	[DISK_READ] = { false, next_bytes, took_bytes },
	[DISK_WRITE] = { true, next_bytes, took_bytes },
	[DISK_FLUSH] = { false, next_flush, took_sync },
	[DISK_DISCARD] = { true, next_clear, took_discard },
	[DISK_CLEAR] = { true, next_clear, took_clear },
};

static void go_on(struct disk_ring *ring, struct disk_request *request)
{
	if (!request->failed && request->operation->next(ring, request))
		return;
	if (!request->failed && request->operation->writes && request->flush_after) {
		request->operation = &operations[DISK_FLUSH];
		go_on(ring, request);
		return;
	}
	ring->user->done(request);
}

void disk_start(struct disk_ring *ring, struct disk_request *request, enum disk_verb verb)
{
	request->operation = &operations[verb];
	request->done = 0;
	request->step = 0;
	request->failed = false;
	request->by_hand = false;
	go_on(ring, request);
}

void disk_submit(struct disk_ring *ring)
{
	io_uring_submit(&ring->ring);
}

void disk_take_results(struct disk_ring *ring, bool wait)
{
	struct disk_request *request;
	struct io_uring_cqe *cqe;
	eventfd_t count;
	int result;

	if (wait)
		io_uring_submit_and_wait(&ring->ring, 1);
	else
		eventfd_read(ring->event, &count);
	while (!io_uring_peek_cqe(&ring->ring, &cqe)) {
		request = io_uring_cqe_get_data(cqe);
		result = cqe->res;
		io_uring_cqe_seen(&ring->ring, cqe);
		request->operation->took(ring, request, result);
		go_on(ring, request);
	}
	io_uring_submit(&ring->ring);
}

/* ---- the ring ------------------------------------------------------------------------- */

/* liburing 2.3 declares functions for these, and exports none */
static int ring_call(struct disk_ring *ring, u32 what, void *argument, u32 count)
{
	return syscall(SYS_io_uring_register, ring->ring.ring_fd, what, argument, count);
}

/* What a ring does passes by the thread's filter of system calls, so the ring has its own */
static int restrict_ring(struct disk_ring *ring)
{
	static const u8 codes[] = {
		IORING_OP_READV, IORING_OP_WRITEV, IORING_OP_FSYNC, IORING_OP_FALLOCATE,
	};
	struct io_uring_restriction allowed[ARRAY_SIZE(codes)] = { 0 };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(codes); i++) {
		allowed[i].opcode = IORING_RESTRICTION_SQE_OP;
		allowed[i].sqe_op = codes[i];
	}
	if (ring_call(ring, IORING_REGISTER_RESTRICTIONS, allowed, ARRAY_SIZE(codes)) ||
	    ring_call(ring, IORING_REGISTER_ENABLE_RINGS, NULL, 0))
		return error_errno("restricting asynchronous I/O");
	return 0;
}

int disk_ring_create(struct disk_ring *ring, struct disk *disk, u32 depth, const struct disk_user *user)
{
	int result;

	*ring = (struct disk_ring){ .disk = disk, .user = user };
	result = io_uring_queue_init(depth, &ring->ring, IORING_SETUP_R_DISABLED);
	if (result) {
		errno = -result;
		return error_errno("asynchronous I/O (io_uring; may this user have it? /proc/sys/kernel/io_uring_disabled)");
	}
	ring->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (ring->event < 0 || io_uring_register_eventfd(&ring->ring, ring->event))
		return error_errno("an eventfd for asynchronous I/O");
	return restrict_ring(ring);
}

void disk_ring_destroy(struct disk_ring *ring)
{
	if (ring->ring.ring_fd > 0)
		io_uring_queue_exit(&ring->ring);
	if (ring->event > 0)
		close(ring->event);
}
