// SPDX-License-Identifier: GPL-2.0-only
/*
 * The virtio network card (Virtio 1.2, 5.1): --net, plugged into any network of vmm/net.h. It has
 * two queues and knows frames of up to 1518 bytes, one a buffer, whose checksums are right: neither
 * side offloads anything to the other.
 */
#include <linux/virtio_net.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "lib/error.h"
#include "virtio/virtio.h"
#include "vmm/machine.h"
#include "vmm/net.h"

/* Before each frame, either way; its last field is there with VIRTIO_F_VERSION_1 (5.1.6) */
#define HEADER		sizeof(struct virtio_net_hdr_v1)

enum { RECEIVE, TRANSMIT, QUEUES };

struct config {
	u8 mac[NET_MAC];
	u16 status;
} __attribute__((packed));

struct card {
	struct virtio_device device;
	struct config config;
	struct net *net;
	bool started;
	bool holds;			/* @room is a chain, for the next frame */
	struct virtqueue_chain room;
	struct virtqueue_chain sending;
};

/* ---- to the guest --------------------------------------------------------- */

/*
 * Without a driver there is room for everything: a card that is switched off loses what comes, and
 * does not make others wait.
 */
static bool has_room(void *opaque)
{
	struct card *card = opaque;

	if (card->started && !card->holds)
		card->holds = virtqueue_pop(&card->device.queue[RECEIVE], &card->room);
	return !card->started || card->holds;
}

/* A buffer that is too small for the frame stays where it is; the frame is lost (5.1.6.3.1) */
static void receive(void *opaque, const u8 *frame, size_t length)
{
	const struct virtio_net_hdr_v1 header = { .num_buffers = 1 };
	struct card *card = opaque;

	if (!card->holds || card->room.writable < HEADER + length)
		return;
	chain_put(&card->room, 0, &header, HEADER);
	chain_put(&card->room, HEADER, frame, length);
	virtqueue_push(&card->device.queue[RECEIVE], card->room.head, HEADER + length);
	card->holds = false;
}

static void received(void *opaque)
{
	struct card *card = opaque;

	if (card->started)
		virtqueue_publish(&card->device.queue[RECEIVE]);
}

static const struct net_user user = { has_room, receive, received };

/* ---- from the guest ------------------------------------------------------- */

/* No feature that would give the header a meaning is offered, so it is not looked at */
static void send_chain(struct card *card)
{
	struct iovec frame[VIRTQUEUE_SIZE];
	struct virtqueue_chain *chain = &card->sending;
	u32 parts;

	if (chain->readable <= HEADER)
		return;
	parts = chain_slice(chain, false, HEADER, chain->readable - HEADER, frame);
	net_send(card->net, frame, parts);
}

/* A guest that sends without end gives those who send to it a turn, too */
static void transmit(struct card *card)
{
	struct virtqueue *queue = &card->device.queue[TRANSMIT];
	int burst = 0;

	while (burst < NET_BURST && virtqueue_pop(queue, &card->sending)) {
		send_chain(card);
		virtqueue_push(queue, card->sending.head, 0);
		burst++;
	}
	virtqueue_publish(queue);
	if (burst == NET_BURST)
		eventfd_write(queue->doorbell, 1);
}

/* ---- the device ----------------------------------------------------------- */

static struct card *card_of(struct virtio_device *device)
{
	return container_of(device, struct card, device);
}

static int start(struct virtio_device *device)
{
	card_of(device)->started = true;
	return 0;
}

static void stop(struct virtio_device *device)
{
	struct card *card = card_of(device);

	if (card->holds)
		virtqueue_unpop(&device->queue[RECEIVE]);
	card->holds = false;
	card->started = false;
	net_resume(card->net);	/* what waits goes */
}

static void notify(struct virtio_device *device, u32 queue)
{
	if (queue == TRANSMIT)
		transmit(card_of(device));
	else
		net_resume(card_of(device)->net);
}

static const struct virtio_kind kind = {
	.name = "net",
	.id = VIRTIO_ID_NET,
	.class = 0x020000,	/* Ethernet */
	.config_size = sizeof(struct config),
	.queue_size = VIRTQUEUE_SIZE,
	.start = start,
	.stop = stop,
	.notify = notify,
};

static void finish(void *opaque)
{
	struct card *card = opaque;

	if (card->net)
		net_close(card->net);
	free(card);
}

static int create_one(struct machine *machine, const char *text, u32 number)
{
	struct card *card = calloc(1, sizeof(*card));

	if (!card)
		return error_set("out of memory");
	card->device.kind = &kind;
	snprintf(card->device.name, sizeof(card->device.name), "net %u", number);
	card->device.features = 1ULL << VIRTIO_NET_F_MAC | 1ULL << VIRTIO_NET_F_STATUS;
	card->device.queues = QUEUES;
	card->device.config = &card->config;
	card->device.network = net_connects(text);
	if (machine_at_end(machine, finish, card) || virtio_create(&card->device, machine))
		return -1;
	card->net = net_open(text, &card->device.events, &user, card);
	if (!card->net)
		return -1;
	memcpy(card->config.mac, net_mac(card->net), NET_MAC);
	card->config.status = VIRTIO_NET_S_LINK_UP;
	return 0;
}

static int create(struct machine *machine)
{
	const struct option_list *nets = &machine->config->nets;
	u32 i;

	for (i = 0; i < nets->count; i++)
		if (create_one(machine, nets->text[i], i))
			return -1;
	return 0;
}

static int check(const struct machine_config *config)
{
	return net_check(&config->nets);
}

DEVICE(virtio_net, create, .check = check);
