// SPDX-License-Identifier: GPL-2.0-only
/*
 * The block device (Virtual I/O Device 1.2, 5.2), on what vmm/disk.c opens: --disk, again for
 * each disk. This is the guest's side: what it asks for, and what it is told; vmm/diskio.c does it. All on
 * the disk's own thread.
 *
 * A write that the guest was told of survives the launcher (with an overlay: once it is flushed). A driver
 * that does not know of flushes gets one after each write.
 */
#include <linux/virtio_blk.h>
#include <stdlib.h>
#include <string.h>

#include "lib/error.h"
#include "virtio/virtio.h"
#include "vmm/diskio.h"
#include "vmm/machine.h"
#include "vmm/state.h"

#define QUEUE_SIZE	256
#define HEADER		sizeof(struct virtio_blk_outhdr)
#define MAX_CLEAR	(1u << 21)	/* blocks that a request may discard or clear: 1 GiB */
#define ID		"thv-disk"

_Static_assert(DISK_IOVECS == VIRTQUEUE_SIZE, "a request's memory is one chain at most");

struct request {
	struct disk_request io;
	struct blk *blk;
	struct request *next;		/* free */
	u32 type;
	u8 status;
	struct virtqueue_chain chain;
};

struct blk {
	struct virtio_device virtio;
	struct virtio_blk_config config;
	struct disk disk;
	struct disk_ring ring;
	struct event_source source;
	struct request request[QUEUE_SIZE], *free;
	u32 number;
};

/* ---- what is asked for: VIRTIO_BLK_S_OK, or what to tell the guest ------------------- */

static u8 check_range(const struct request *request)
{
	const struct disk_request *io = &request->io;
	u64 size = request->blk->disk.size;

	return io->length % DISK_BLOCK || io->at > size || io->length > size - io->at ?
	       VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK;
}

static u8 check_read(struct request *request)
{
	request->io.length = request->chain.writable - 1;
	return check_range(request);
}

static u8 check_write(struct request *request)
{
	request->io.length = request->chain.readable - HEADER;
	return check_range(request);
}

static u8 check_flush(struct request *request)
{
	(void)request;
	return VIRTIO_BLK_S_OK;
}

static u8 check_clear(struct request *request)
{
	bool discard = request->type == VIRTIO_BLK_T_DISCARD;
	struct virtio_blk_discard_write_zeroes range;
	struct blk *blk = request->blk;

	if (request->chain.readable != HEADER + sizeof(range) ||
	    (discard && !virtio_has(&blk->virtio, VIRTIO_BLK_F_DISCARD)))
		return VIRTIO_BLK_S_UNSUPP;
	chain_get(&request->chain, HEADER, &range, sizeof(range));
	if (range.flags & ~(discard ? 0u : VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP))
		return VIRTIO_BLK_S_UNSUPP;
	if (range.num_sectors > MAX_CLEAR || range.sector > blk->config.capacity)
		return VIRTIO_BLK_S_IOERR;
	request->io.at = range.sector * DISK_BLOCK;
	request->io.length = range.num_sectors * DISK_BLOCK;
	request->io.punch = discard || (range.flags && blk->disk.options.discard);
	return check_range(request);
}

/* What the disk is called */
static void tell_id(struct request *request)
{
	char id[VIRTIO_BLK_ID_BYTES] = "";
	u64 length = request->chain.writable - 1;

	snprintf(id, sizeof(id), ID "%u", request->blk->number);
	chain_put(&request->chain, 0, id, length < sizeof(id) ? length : sizeof(id));
}

static const struct kind_of_request {
	u8 (*check)(struct request *request);
	enum disk_verb verb;
	bool writes;
} kinds[] = {
	[VIRTIO_BLK_T_IN] = { check_read, DISK_READ, false },
	[VIRTIO_BLK_T_OUT] = { check_write, DISK_WRITE, true },
	[VIRTIO_BLK_T_FLUSH] = { check_flush, DISK_FLUSH, false },
	[VIRTIO_BLK_T_DISCARD] = { check_clear, DISK_DISCARD, true },
	[VIRTIO_BLK_T_WRITE_ZEROES] = { check_clear, DISK_CLEAR, true },
};

/* ---- requests --------------------------------------------------------------------------- */

/* The status is the last byte that may be written */
static void complete(struct request *request)
{
	struct virtqueue_chain *chain = &request->chain;
	bool reads = request->type == VIRTIO_BLK_T_IN || request->type == VIRTIO_BLK_T_GET_ID;
	struct blk *blk = request->blk;

	chain_put(chain, chain->writable - 1, &request->status, 1);
	virtqueue_push(blk->virtio.queue, chain->head, reads ? chain->writable : 1);
	request->next = blk->free;
	blk->free = request;
}

static void done(struct disk_request *io)
{
	struct request *request = container_of(io, struct request, io);

	request->status = io->failed ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK;
	complete(request);
}

static u32 memory(struct disk_request *io, u64 from, u64 length, struct iovec *iov)
{
	struct request *request = container_of(io, struct request, io);
	bool reads = request->type == VIRTIO_BLK_T_IN;

	return chain_slice(&request->chain, reads, from + (reads ? 0 : HEADER), length, iov);
}

static const struct disk_user user = { .memory = memory, .done = done };

static u8 check_request(struct request *request, const struct virtio_blk_outhdr *header)
{
	if (header->type >= ARRAY_SIZE(kinds) || !kinds[header->type].check)
		return VIRTIO_BLK_S_UNSUPP;
	if (kinds[header->type].writes && !request->blk->disk.writable)
		return VIRTIO_BLK_S_IOERR;
	request->io.at = header->sector <= request->blk->config.capacity ? header->sector * DISK_BLOCK : ~0ULL;
	request->io.flush_after = !virtio_has(&request->blk->virtio, VIRTIO_BLK_F_FLUSH);
	return kinds[header->type].check(request);
}

static void begin(struct request *request)
{
	struct virtio_blk_outhdr header;

	chain_get(&request->chain, 0, &header, HEADER);
	request->type = header.type;
	if (header.type == VIRTIO_BLK_T_GET_ID) {
		tell_id(request);
		request->status = VIRTIO_BLK_S_OK;
	} else {
		request->status = check_request(request, &header);
		if (request->status == VIRTIO_BLK_S_OK) {
			disk_start(&request->blk->ring, &request->io, kinds[header.type].verb);
			return;
		}
	}
	complete(request);
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
		begin(request);
	}
	disk_submit(&blk->ring);
	virtqueue_publish(&device->queue[index]);
}

static void ready(void *opaque, u32 events)
{
	struct blk *blk = opaque;

	(void)events;
	disk_take_results(&blk->ring, false);
	virtqueue_publish(blk->virtio.queue);
	if (blk->virtio.running)
		notify(&blk->virtio, 0);	/* there may have been no free request before */
}

/* What is under way ends, and an overlay has all its bits: then the file is what the guest knows */
static void stop(struct virtio_device *device)
{
	struct blk *blk = container_of(device, struct blk, virtio);

	while (device->queue[0].in_flight) {
		disk_take_results(&blk->ring, true);
		virtqueue_publish(device->queue);
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

	disk_ring_destroy(&blk->ring);
	disk_close(&blk->disk);
	free(blk);
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
		blk->request[i].blk = blk;
		blk->request[i].next = blk->free;
		blk->free = &blk->request[i];
	}
	if (machine_at_end(machine, destroy, blk) || disk_parse(text, &options) ||
	    disk_open(&blk->disk, &options) || disk_ring_create(&blk->ring, &blk->disk, QUEUE_SIZE, &user))
		return -1;
	blk->virtio.kind = &kind;
	snprintf(blk->virtio.name, sizeof(blk->virtio.name), "disk %u", number);
	blk->virtio.queues = 1;
	blk->virtio.config = &blk->config;
	describe(blk);
	blk->source = (struct event_source){ blk->ring.event, EPOLLIN, ready, blk, -1 };
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
