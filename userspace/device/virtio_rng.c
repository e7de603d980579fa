// SPDX-License-Identifier: GPL-2.0-only
/*
 * The entropy device (Virtual I/O Device 1.2, 5.4): the host's random numbers for a guest
 * that has just begun and knows nothing random yet. --rng
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/error.h"
#include "virtio/virtio.h"
#include "vmm/machine.h"

/* For one request; a driver that wants more asks again, so that a reset never waits for long */
#define AT_MOST		65536

struct rng {
	struct virtio_device virtio;
	int fd;
};

static void notify(struct virtio_device *device, u32 index)
{
	struct rng *rng = container_of(device, struct rng, virtio);
	struct virtqueue *queue = &device->queue[index];
	struct virtqueue_chain chain;
	struct iovec iov[VIRTQUEUE_SIZE];
	ssize_t got;

	while (virtqueue_pop(queue, &chain)) {
		got = readv(rng->fd, iov, chain_slice(&chain, true, 0, AT_MOST, iov));
		virtqueue_push(queue, chain.head, got > 0 ? got : 0);
	}
	virtqueue_publish(queue);
}

static const struct virtio_kind kind = {
	.name = "rng",
	.id = VIRTIO_ID_RNG,
	.class = 0xff0000,
	.queue_size = 16,
	.notify = notify,
};

static void destroy(void *opaque)
{
	struct rng *rng = opaque;

	close(rng->fd);
	free(rng);
}

static int create(struct machine *machine)
{
	struct rng *rng;

	if (!machine->config->rng)
		return 0;
	rng = calloc(1, sizeof(*rng));
	if (!rng || machine_at_end(machine, destroy, rng))
		return error_set("out of memory");
	rng->fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
	if (rng->fd < 0)
		return error_errno("/dev/urandom");
	rng->virtio.kind = &kind;
	strcpy(rng->virtio.name, "rng");
	rng->virtio.queues = 1;
	return virtio_create(&rng->virtio, machine);
}

DEVICE(virtio_rng, create);
