/* SPDX-License-Identifier: GPL-2.0-only */
/* What virtio.c and transport.c have of each other. Devices use virtio.h. */
#ifndef THV_VIRTIO_INTERNAL_H
#define THV_VIRTIO_INTERNAL_H

#include <stdlib.h>

#include "virtio/queue.h"
#include "virtio/virtio.h"

/* On the worker, by virtio_call(): the driver is ready; the driver resets the device */
void virtio_start(struct virtio_device *device, void *unused);
void virtio_reset(struct virtio_device *device, void *unused);

/* transport.c: all features on offer */
u64 virtio_offers(const struct virtio_device *device);
/* transport.c: show DEVICE_NEEDS_RESET, and interrupt */
void virtio_needs_reset(struct virtio_device *device);
/* transport.c: make it a function on the bus */
int virtio_pci_add(struct virtio_device *device);

#endif
