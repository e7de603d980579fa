// SPDX-License-Identifier: GPL-2.0-only
/*
 * The block device (Virtual I/O Device 1.2, 5.2), on what vmm/disk.c opens: --disk, again for
 * each disk.
 *
 * Each request goes on by itself, one piece of I/O after the other, through one io_uring a
 * disk, and many requests at once: next() asks for the next piece or says that there is none;
 * when it has been done, took() is told the result. All on the disk's own thread.
 *
 * Nothing is kept but in the host's page cache, so a write that the guest was told of survives
 * the launcher (with an overlay: once it is flushed), and a flush makes it survive the host. A
 * driver that does not know of flushes gets one after each write.
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/falloc.h>
#include <linux/virtio_blk.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/error.h"
#include "virtio/virtio.h"
#include "vmm/disk.h"
#include "vmm/machine.h"
#include "vmm/state.h"

#define QUEUE_SIZE	256
#define HEADER		sizeof(struct virtio_blk_outhdr)
#define MAX_CLEAR	(1u << 21)	/* blocks that a request may discard or clear: 1 GiB */
#define ID		"thv-disk"

struct blk;
struct request;

struct operation {
	bool writes;
	/* Is it possible? VIRTIO_BLK_S_OK, or what to tell the guest; sets length */
	u8 (*check)(struct blk *blk, struct request *request);
	bool (*next)(struct blk *blk, struct request *request);
	void (*took)(struct blk *blk, struct request *request, int result);
};

struct request {
	const struct operation *operation;
	struct request *next;		/* free, or waiting for another's flush */
	u64 at, length, done;		/* bytes of the disk */
	u32 type, step;
	u8 status;
	bool punch, by_hand;		/* clearing: give space back; write zeros */
	struct virtqueue_chain chain;
	struct iovec iov[VIRTQUEUE_SIZE];
};

struct blk {
	struct virtio_device virtio;
	struct virtio_blk_config config;
	struct disk disk;
	struct io_uring ring;
	struct event_source source;
	struct request request[QUEUE_SIZE], *free;
	struct request *flushing, *waiting;	/* flushes come one at a time */
	u32 number;
};

static void go_on(struct blk *blk, struct request *request);

/* Each request has one piece under way at most, so there is always room for it */
static struct io_uring_sqe *sqe_for(struct blk *blk)
{
	return io_uring_get_sqe(&blk->ring);
}

/* ---- read and write -------------------------------------------------------------- */

static u8 check_range(const struct blk *blk, const struct request *request)
{
	return request->length % DISK_BLOCK || request->at > blk->disk.size ||
	       request->length > blk->disk.size - request->at ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK;
}

static u8 check_read(struct blk *blk, struct request *request)
{
	request->length = request->chain.writable - 1;
	return check_range(blk, request);
}

static u8 check_write(struct blk *blk, struct request *request)
{
	request->length = request->chain.readable - HEADER;
	return check_range(blk, request);
}

static bool next_read(struct blk *blk, struct request *request)
{
	u64 left = request->length - request->done;
	struct io_uring_sqe *sqe;
	struct disk_piece piece;

	if (!left)
		return false;
	piece = disk_to_read(&blk->disk, request->at + request->done, left);
	sqe = sqe_for(blk);
	io_uring_prep_readv(sqe, piece.fd, request->iov,
			    chain_slice(&request->chain, true, request->done, piece.length, request->iov),
			    piece.offset);
	io_uring_sqe_set_data(sqe, request);
	return true;
}

static bool next_write(struct blk *blk, struct request *request)
{
	u64 left = request->length - request->done;
	struct io_uring_sqe *sqe;
	struct disk_piece piece;

	if (!left)
		return false;
	piece = disk_to_write(&blk->disk, request->at + request->done, left);
	sqe = sqe_for(blk);
	io_uring_prep_writev(sqe, piece.fd, request->iov,
			     chain_slice(&request->chain, false, HEADER + request->done, piece.length,
					 request->iov), piece.offset);
	io_uring_sqe_set_data(sqe, request);
	return true;
}

/* 0: the file ends here, though it did not when it was opened */
static void took_bytes(struct blk *blk, struct request *request, int result)
{
	if (result == -EINTR || result == -EAGAIN)
		return;
	if (result <= 0) {
		request->status = VIRTIO_BLK_S_IOERR;
		return;
	}
	request->done += result;
	if (request->operation->writes)
		disk_written(&blk->disk, request->at, request->done);
}

/* ---- flush ------------------------------------------------------------------------- */

static u8 check_nothing(struct blk *blk, struct request *request)
{
	(void)blk;
	(void)request;
	return VIRTIO_BLK_S_OK;
}

static bool sync_piece(struct blk *blk, struct request *request)
{
	struct io_uring_sqe *sqe = sqe_for(blk);

	io_uring_prep_fsync(sqe, disk_sync_fd(&blk->disk), IORING_FSYNC_DATASYNC);
	io_uring_sqe_set_data(sqe, request);
	return true;
}

static void end_flush(struct blk *blk, struct request *request)
{
	struct request *waiting = blk->waiting;

	disk_flush_end(&blk->disk, request->status == VIRTIO_BLK_S_OK);
	blk->flushing = NULL;
	if (!waiting)
		return;
	blk->waiting = waiting->next;
	go_on(blk, waiting);
}

/* disk.h: begin, sync, bits, sync, end; a disk without bits is done after the first sync */
static bool next_flush(struct blk *blk, struct request *request)
{
	if (!request->step && blk->flushing) {
		request->next = blk->waiting;
		blk->waiting = request;
		return true;
	}
	blk->flushing = request;
	switch (request->step++) {
	case 0:
		if (!disk_flush_begin(&blk->disk))
			return sync_piece(blk, request);
		request->status = VIRTIO_BLK_S_IOERR;
		break;
	case 1:
		if (!blk->disk.flushing)
			break;
		if (!disk_flush_bits(&blk->disk))
			return sync_piece(blk, request);
		request->status = VIRTIO_BLK_S_IOERR;
		break;
	}
	end_flush(blk, request);
	return false;
}

static void took_sync(struct blk *blk, struct request *request, int result)
{
	if (!result)
		return;
	request->status = VIRTIO_BLK_S_IOERR;
	end_flush(blk, request);
}

/* ---- discard and clear -------------------------------------------------------------- */

static u8 check_clear(struct blk *blk, struct request *request)
{
	bool discard = request->type == VIRTIO_BLK_T_DISCARD;
	struct virtio_blk_discard_write_zeroes range;

	if (request->chain.readable != HEADER + sizeof(range) ||
	    (discard && !virtio_has(&blk->virtio, VIRTIO_BLK_F_DISCARD)))
		return VIRTIO_BLK_S_UNSUPP;
	chain_get(&request->chain, HEADER, &range, sizeof(range));
	if (range.flags & ~(discard ? 0u : VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP))
		return VIRTIO_BLK_S_UNSUPP;
	if (range.num_sectors > MAX_CLEAR || range.sector > blk->config.capacity)
		return VIRTIO_BLK_S_IOERR;
	request->at = range.sector * DISK_BLOCK;
	request->length = range.num_sectors * DISK_BLOCK;
	/* A hole in an overlay is as good as zeros, and reads as such */
	request->punch = discard || blk->disk.map ||
			 (range.flags && blk->disk.options.discard);
	return check_range(blk, request);
}

/* Zeros from one page, again and again: for files that know no other way */
static void write_zeros(struct io_uring_sqe *sqe, struct request *request, struct disk_piece piece)
{
	static u8 zeros[65536];		/* nobody writes to it; this way it is not in the program's file */
	u32 count = 0;

	while (piece.length && count < VIRTQUEUE_SIZE) {
		u64 size = piece.length < sizeof(zeros) ? piece.length : sizeof(zeros);

		request->iov[count++] = (struct iovec){ zeros, size };
		piece.length -= size;
	}
	io_uring_prep_writev(sqe, piece.fd, request->iov, count, piece.offset);
}

static bool next_clear(struct blk *blk, struct request *request)
{
	u64 left = request->length - request->done;
	struct io_uring_sqe *sqe;
	struct disk_piece piece;

	if (!left)
		return false;
	piece = disk_to_write(&blk->disk, request->at + request->done, left);
	sqe = sqe_for(blk);
	if (request->by_hand)
		write_zeros(sqe, request, piece);
	else
		io_uring_prep_fallocate(sqe, piece.fd, FALLOC_FL_KEEP_SIZE |
					(request->punch ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE),
					piece.offset, piece.length);
	io_uring_sqe_set_data(sqe, request);
	return true;
}

/* A discard may be in vain; zeros must be */
static void took_clear(struct blk *blk, struct request *request, int result)
{
	if (request->by_hand) {
		took_bytes(blk, request, result);
	} else if (!result) {
		request->done = request->length;
		disk_written(&blk->disk, request->at, request->done);
	} else if (result == -EOPNOTSUPP && request->type == VIRTIO_BLK_T_DISCARD) {
		request->done = request->length;
	} else if (result == -EOPNOTSUPP) {
		request->by_hand = true;
	} else if (result != -EINTR && result != -EAGAIN) {
		request->status = VIRTIO_BLK_S_IOERR;
	}
}

/* ---- what the disk is called ---------------------------------------------------------- */

static u8 tell_id(struct blk *blk, struct request *request)
{
	char id[VIRTIO_BLK_ID_BYTES] = "";

	snprintf(id, sizeof(id), ID "%u", blk->number);
	request->length = request->chain.writable - 1;
	if (request->length > sizeof(id))
		request->length = sizeof(id);
	chain_put(&request->chain, 0, id, request->length);
	return VIRTIO_BLK_S_OK;
}

static bool next_none(struct blk *blk, struct request *request)
{
	(void)blk;
	(void)request;
	return false;
}

/* ---- requests --------------------------------------------------------------------------- */

static const struct operation flush = { false, check_nothing, next_flush, took_sync };

static const struct operation operations[] = {
	[VIRTIO_BLK_T_IN] = { false, check_read, next_read, took_bytes },
	[VIRTIO_BLK_T_OUT] = { true, check_write, next_write, took_bytes },
	[VIRTIO_BLK_T_FLUSH] = { false, check_nothing, next_flush, took_sync },
	[VIRTIO_BLK_T_GET_ID] = { false, tell_id, next_none, NULL },
	[VIRTIO_BLK_T_DISCARD] = { true, check_clear, next_clear, took_clear },
	[VIRTIO_BLK_T_WRITE_ZEROES] = { true, check_clear, next_clear, took_clear },
};

/* The status is the last byte that may be written */
static void complete(struct blk *blk, struct request *request)
{
	struct virtqueue_chain *chain = &request->chain;
	bool reads = request->type == VIRTIO_BLK_T_IN || request->type == VIRTIO_BLK_T_GET_ID;

	chain_put(chain, chain->writable - 1, &request->status, 1);
	virtqueue_push(blk->virtio.queue, chain->head, reads ? chain->writable : 1);
	request->next = blk->free;
	blk->free = request;
}

/* The next piece, or the end: after a write, for a driver that cannot flush, a flush first */
static void go_on(struct blk *blk, struct request *request)
{
	if (request->status == VIRTIO_BLK_S_OK && request->operation->next(blk, request))
		return;
	if (request->status == VIRTIO_BLK_S_OK && request->operation->writes &&
	    !virtio_has(&blk->virtio, VIRTIO_BLK_F_FLUSH)) {
		request->operation = &flush;
		go_on(blk, request);
		return;
	}
	complete(blk, request);
}

static u8 begin(struct blk *blk, struct request *request)
{
	struct virtio_blk_outhdr header;
	u64 blocks = blk->config.capacity;

	chain_get(&request->chain, 0, &header, HEADER);
	request->type = header.type;
	request->at = header.sector <= blocks ? header.sector * DISK_BLOCK : ~0ULL;
	request->length = 0;
	request->done = 0;
	request->step = 0;
	request->punch = false;
	request->by_hand = false;
	if (header.type >= ARRAY_SIZE(operations) || !operations[header.type].check)
		return VIRTIO_BLK_S_UNSUPP;
	request->operation = &operations[header.type];
	if (request->operation->writes && !blk->disk.writable)
		return VIRTIO_BLK_S_IOERR;
	return request->operation->check(blk, request);
}

static void notify(struct virtio_device *device, u32 index)
{
	struct blk *blk = container_of(device, struct blk, virtio);
	struct request *request;

	while ((request = blk->free) && virtqueue_pop(&device->queue[index], &request->chain)) {
		if (request->chain.readable < HEADER || !request->chain.writable) {
			virtio_broken(device, "a request without a header, or without room for its status");
			virtqueue_unpop(&device->queue[index]);
			break;
		}
		blk->free = request->next;
		request->status = begin(blk, request);
		go_on(blk, request);
	}
	io_uring_submit(&blk->ring);
	virtqueue_publish(&device->queue[index]);
}

static void take_results(struct blk *blk)
{
	struct io_uring_cqe *cqe;
	struct request *request;
	int result;

	while (!io_uring_peek_cqe(&blk->ring, &cqe)) {
		request = io_uring_cqe_get_data(cqe);
		result = cqe->res;
		io_uring_cqe_seen(&blk->ring, cqe);
		request->operation->took(blk, request, result);
		go_on(blk, request);
	}
	io_uring_submit(&blk->ring);
	virtqueue_publish(blk->virtio.queue);
}

static void ready(void *opaque, u32 events)
{
	struct blk *blk = opaque;
	eventfd_t count;

	(void)events;
	eventfd_read(blk->source.fd, &count);
	take_results(blk);
	if (blk->virtio.running)
		notify(&blk->virtio, 0);	/* there may have been no free request before */
}

/* What is under way ends, and an overlay has all its bits: then the file is what the guest knows */
static void stop(struct virtio_device *device)
{
	struct blk *blk = container_of(device, struct blk, virtio);

	while (device->queue[0].in_flight) {
		io_uring_submit_and_wait(&blk->ring, 1);
		take_results(blk);
	}
	if (blk->disk.map)
		disk_flush(&blk->disk);
}

/* ---- the device ------------------------------------------------------------------------- */

static int save(struct virtio_device *device, const char *name, struct state *state)
{
	struct blk *blk = container_of(device, struct blk, virtio);

	state_begin(state, name, 1);
	state_put(state, "size", blk->disk.size);
	state_put(state, "writable", blk->disk.writable);
	return state_end(state);
}

static int restore(struct virtio_device *device, const char *name, const struct state *state)
{
	struct blk *blk = container_of(device, struct blk, virtio);
	struct state_record record;
	u64 size, writable;

	if (state_find(state, name, 1, &record) || state_get(&record, "size", 0, &size) ||
	    state_get(&record, "writable", 1, &writable) || state_done(&record))
		return -1;
	if (size != blk->disk.size || writable != blk->disk.writable)
		return error_set("--disk %s: the saved guest had a disk of %llu bytes there, %s", blk->disk.options.path,
				 size, writable ? "which it could write to" : "read-only");
	return 0;
}

static const struct virtio_kind kind = {
	.name = "blk",
	.id = VIRTIO_ID_BLOCK,
	.class = 0x010000,
	.config_size = sizeof(struct virtio_blk_config),
	.queue_size = QUEUE_SIZE,
	.stop = stop,
	.notify = notify,
	.save = save,
	.restore = restore,
};

static void destroy(void *opaque)
{
	struct blk *blk = opaque;

	if (blk->ring.ring_fd > 0)
		io_uring_queue_exit(&blk->ring);
	if (blk->source.fd > 0)
		close(blk->source.fd);
	disk_close(&blk->disk);
	free(blk);
}

/* liburing 2.3 declares functions for these, and exports none */
static int ring_call(struct blk *blk, u32 what, void *argument, u32 count)
{
	return syscall(SYS_io_uring_register, blk->ring.ring_fd, what, argument, count);
}

/* What a ring does passes by the thread's filter of system calls, so the ring has its own */
static int restrict_ring(struct blk *blk)
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
	if (ring_call(blk, IORING_REGISTER_RESTRICTIONS, allowed, ARRAY_SIZE(codes)) ||
	    ring_call(blk, IORING_REGISTER_ENABLE_RINGS, NULL, 0))
		return error_errno("restricting asynchronous I/O");
	return 0;
}

static int make_ring(struct blk *blk)
{
	int result = io_uring_queue_init(QUEUE_SIZE, &blk->ring, IORING_SETUP_R_DISABLED);

	if (result) {
		errno = -result;
		return error_errno("asynchronous I/O (io_uring; may this user have it? /proc/sys/kernel/io_uring_disabled)");
	}
	blk->source.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (blk->source.fd < 0 || io_uring_register_eventfd(&blk->ring, blk->source.fd))
		return error_errno("an eventfd for asynchronous I/O");
	return restrict_ring(blk);
}

static void describe(struct blk *blk)
{
	struct virtio_blk_config *config = &blk->config;

	blk->virtio.features = 1ULL << VIRTIO_BLK_F_SEG_MAX | 1ULL << VIRTIO_BLK_F_BLK_SIZE |
			       1ULL << VIRTIO_BLK_F_FLUSH;
	config->capacity = blk->disk.size / DISK_BLOCK;
	config->seg_max = VIRTQUEUE_SIZE - 2;
	config->blk_size = DISK_BLOCK;
	if (!blk->disk.writable) {
		blk->virtio.features |= 1ULL << VIRTIO_BLK_F_RO;
		return;
	}
	blk->virtio.features |= 1ULL << VIRTIO_BLK_F_WRITE_ZEROES;
	if (blk->disk.options.discard)
		blk->virtio.features |= 1ULL << VIRTIO_BLK_F_DISCARD;
	config->max_discard_sectors = MAX_CLEAR;
	config->max_discard_seg = 1;
	config->discard_sector_alignment = 8;
	config->max_write_zeroes_sectors = MAX_CLEAR;
	config->max_write_zeroes_seg = 1;
	config->write_zeroes_may_unmap = blk->disk.options.discard;
}

static int create_disk(struct machine *machine, u32 number, const char *text)
{
	struct blk *blk = calloc(1, sizeof(*blk));
	struct disk_options options;
	u32 i;

	if (!blk)
		return error_set("out of memory");
	blk->disk.fd = -1;
	blk->disk.overlay = -1;
	blk->number = number;
	for (i = 0; i < QUEUE_SIZE; i++) {
		blk->request[i].next = blk->free;
		blk->free = &blk->request[i];
	}
	if (machine_at_end(machine, destroy, blk) || disk_parse(text, &options) ||
	    disk_open(&blk->disk, &options) || make_ring(blk))
		return -1;
	blk->virtio.kind = &kind;
	snprintf(blk->virtio.name, sizeof(blk->virtio.name), "disk %u", number);
	blk->virtio.queues = 1;
	blk->virtio.config = &blk->config;
	describe(blk);
	blk->source = (struct event_source){ blk->source.fd, EPOLLIN, ready, blk, -1 };
	if (virtio_create(&blk->virtio, machine))
		return -1;
	return events_add(&blk->virtio.events, &blk->source);
}

static int create(struct machine *machine)
{
	const struct option_list *disks = &machine->config->disks;
	u32 i;

	for (i = 0; i < disks->count; i++)
		if (create_disk(machine, i, disks->text[i]))
			return -1;
	return 0;
}

/* All can be opened, and together: before there is a VM */
static int check(const struct machine_config *config)
{
	struct disk_options options;
	struct disk *disks = calloc(config->disks.count + 1, sizeof(*disks));
	u32 opened = 0;
	int result = disks ? 0 : error_set("out of memory");

	while (!result && opened < config->disks.count) {
		result = disk_parse(config->disks.text[opened], &options) ||
			 disk_open(&disks[opened], &options) ? -1 : 0;
		opened += !result;
	}
	while (opened--)
		disk_close(&disks[opened]);
	free(disks);
	return result;
}

DEVICE(virtio_blk, create, .check = check);
