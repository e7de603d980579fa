/* SPDX-License-Identifier: GPL-2.0-only */
/* The queues' life, for virtio.c and transport.c; devices use what virtio.h has. */
#ifndef THV_VIRTIO_QUEUE_H
#define THV_VIRTIO_QUEUE_H

#include <linux/virtio_pci.h>

#include "virtio/virtio.h"

#ifndef VIRTIO_MSI_NO_VECTOR
#define VIRTIO_MSI_NO_VECTOR	0xffff
#endif

/* As after a reset: the largest size, no addresses, nothing taken */
void virtqueue_reset(struct virtqueue *queue);

/* Find the rings in memory; -1: they cannot be there, and the device is broken */
int virtqueue_start(struct virtqueue *queue);
void virtqueue_stop(struct virtqueue *queue);

/* Tell the driver: the transport.c's */
void virtqueue_interrupt(struct virtqueue *queue);

#endif
