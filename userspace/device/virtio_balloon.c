// SPDX-License-Identifier: GPL-2.0-only
/*
 * The virtio balloon (Virtio 1.2, 5.5): --balloon. The guest fills it with pages that it does
 * without, until it is as large as its target, and the host has their memory; a page that is taken
 * out again is a fresh one. Beside that the guest reports pages that are free just now.
 *
 * To the host a page goes by a hole in the memfd, which is all there is to do: the module hears of
 * it from the host's memory management, as of any page that is taken away. A guest may name any
 * page, also one that it uses; the loss is its own.
 *
 * The target can be changed while the guest runs: by a line with a size into its control, a
 * channel. An empty line asks; the answer is how large it is, and its target.
 */
#include <linux/virtio_balloon.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "lib/error.h"
#include "lib/options.h"
#include "virtio/virtio.h"
#include "vmm/channel.h"
#include "vmm/machine.h"

enum { INFLATE, DEFLATE, REPORT, QUEUES };

#define CONFIG		8	/* the target and the size; what follows is for other features */
#define PAGES		256	/* looked at together */
#define LINE		32

struct balloon {
	struct virtio_device device;
	struct virtio_balloon_config config;
	struct channel *control;	/* NULL: there is none */
	char line[LINE];		/* a command, as far as it has come */
	u32 length;
	struct virtqueue_chain chain;
};

static void nothing(void *opaque)
{
	(void)opaque;
}

/* ---- pages ---------------------------------------------------------------- */

/* Pages one after the other, upwards or downwards: given back with one call */
struct run {
	u64 start, count;
};

static void give_back(const struct balloon *balloon, struct run *run)
{
	u64 size = run->count * PAGE_BYTES;
	void *at = size ? memory_at(&balloon->device.machine->memory, run->start * PAGE_BYTES, size) : NULL;

	if (at)
		madvise(at, size, MADV_REMOVE);
	run->count = 0;
}

static void add(const struct balloon *balloon, struct run *run, u32 page)
{
	const struct memory *memory = &balloon->device.machine->memory;

	if (!memory_at(memory, page * PAGE_BYTES, PAGE_BYTES))
		return;		/* no memory: nothing to give back */
	if (run->count && page == run->start + run->count) {
		run->count++;
	} else if (run->count && page + 1ULL == run->start) {
		run->start--;
		run->count++;
	} else {
		give_back(balloon, run);
		*run = (struct run){ page, 1 };
	}
}

/* A chain of page numbers, 32 bits each */
static void inflate(void *opaque)
{
	struct balloon *balloon = opaque;
	struct run run = { 0, 0 };
	u32 page[PAGES], i;
	u64 offset = 0;
	size_t got;

	do {
		got = chain_get(&balloon->chain, offset, page, sizeof(page));
		for (i = 0; i < got / sizeof(page[0]); i++)
			add(balloon, &run, page[i]);
		offset += got;
	} while (got == sizeof(page));
	give_back(balloon, &run);
}

/* A chain that is the free pages themselves, as if for us to write to */
static void report(void *opaque)
{
	const struct virtqueue_chain *chain = &((struct balloon *)opaque)->chain;
	u32 i;

	for (i = chain->readables; i < chain->readables + chain->writables; i++) {
		u64 start = ALIGN_UP((u64)chain->iov[i].iov_base, PAGE_BYTES);
		u64 end = ALIGN_DOWN((u64)chain->iov[i].iov_base + chain->iov[i].iov_len, PAGE_BYTES);

		if (start < end)
			madvise((void *)start, end - start, MADV_REMOVE);
	}
}

static void notify(struct virtio_device *device, u32 queue)
{
	/* A page that is taken out again is made when it is touched: nothing to do */
	static void (*const serve[QUEUES])(void *opaque) = { inflate, nothing, report };
	struct balloon *balloon = container_of(device, struct balloon, device);

	while (virtqueue_pop(&device->queue[queue], &balloon->chain)) {
		serve[queue](balloon);
		virtqueue_push(&device->queue[queue], balloon->chain.head, 0);
	}
	virtqueue_publish(&device->queue[queue]);
}

/* ---- the target ----------------------------------------------------------- */

static void set_target(struct balloon *balloon, u64 size)
{
	u32 pages = size / PAGE_BYTES;

	virtio_config_set(&balloon->device, offsetof(struct virtio_balloon_config, num_pages), &pages,
			  sizeof(pages));
}

static void obey(struct balloon *balloon)
{
	const u64 memory = balloon->device.machine->config->memory;
	const struct option_row row = { .name = "balloon", .maximum = memory - PAGE_BYTES };
	char text[300];
	u64 size;
	int length;

	if (balloon->length && !option_size(&row, balloon->line, &size)) {
		set_target(balloon, size);
		return;
	}
	if (balloon->length)
		length = snprintf(text, sizeof(text), "%s\n", error_text());
	else
		length = snprintf(text, sizeof(text), "%llu KiB of %llu KiB\n", balloon->config.actual * 4ULL,
				  balloon->config.num_pages * 4ULL);
	channel_write(balloon->control, text, length < (int)sizeof(text) ? length : (int)sizeof(text) - 1);
}

static size_t room(void *opaque)
{
	(void)opaque;
	return LINE;
}

/* A line that is too long is cut, and then no size */
static void receive(void *opaque, const u8 *data, size_t length)
{
	struct balloon *balloon = opaque;
	size_t i;

	for (i = 0; i < length; i++) {
		if (data[i] != '\n') {
			if (balloon->length < LINE - 1)
				balloon->line[balloon->length++] = data[i];
			continue;
		}
		balloon->line[balloon->length] = 0;
		obey(balloon);
		balloon->length = 0;
	}
}

static void no_end(void *opaque, int signal)
{
	(void)opaque;
	(void)signal;
}

static const struct channel_user user = { room, receive, nothing, nothing, no_end };

/* ---- the device ----------------------------------------------------------- */

static const struct virtio_kind kind = {
	.name = "balloon",
	.id = VIRTIO_ID_BALLOON,
	.class = 0x00ff00,	/* none of PCI's classes */
	.config_size = CONFIG,
	.writable = { offsetof(struct virtio_balloon_config, actual), sizeof(u32) },
	.queue_size = VIRTQUEUE_SIZE,
	.notify = notify,
};

static void finish(void *opaque)
{
	struct balloon *balloon = opaque;

	if (balloon->control)
		channel_close(balloon->control);
	free(balloon);
}

static int create(struct machine *machine)
{
	const struct machine_config *config = machine->config;
	struct balloon *balloon;

	if (!config->balloon && !config->balloon_control)
		return 0;
	balloon = calloc(1, sizeof(*balloon));
	if (!balloon)
		return error_set("out of memory");
	balloon->device.kind = &kind;
	strcpy(balloon->device.name, "balloon 0");
	balloon->device.features = 1ULL << VIRTIO_BALLOON_F_DEFLATE_ON_OOM | 1ULL << VIRTIO_BALLOON_F_REPORTING;
	balloon->device.queues = QUEUES;
	balloon->device.config = &balloon->config;
	balloon->config.num_pages = config->balloon / PAGE_BYTES;
	if (machine_at_end(machine, finish, balloon) || virtio_create(&balloon->device, machine))
		return -1;
	if (!config->balloon_control)
		return 0;
	balloon->control = channel_open(config->balloon_control, "the balloon's control",
					&balloon->device.events, &user, balloon);
	return balloon->control ? 0 : -1;
}

static int check(const struct machine_config *config)
{
	if ((config->balloon || config->balloon_control) && config->hugepages)
		return error_set("--balloon: pages of 2 MiB cannot be taken in parts; leave out --hugepages");
	if (config->balloon >= config->memory)
		return error_set("--balloon: this is all of the guest's memory (--mem); make it smaller");
	return 0;
}

DEVICE(virtio_balloon, create, .check = check);
