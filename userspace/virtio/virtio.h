/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a virtio device is written to (Virtual I/O Device 1.2). A device is one file,
 * device/virtio_*.c: a table of calls (struct virtio_kind), and a struct of its own that
 * has a struct virtio_device in it. All else is done here: PCI, feature negotiation, interrupts,
 * the rings (queue.c), reset, and a thread.
 *
 * Threads. Each device has a worker thread with an event loop, device->events, and all calls of
 * struct virtio_kind come on it, one at a time; so do the ready() calls of event sources that the
 * device has added to that loop (a tap, an io_uring's eventfd, a timer). So a device needs no
 * lock. Only create() runs on the main thread, before there is a guest.
 *
 * Life. The device's create(machine) allocates its struct, opens what it needs, fills in
 * kind, name, features, queues and config of the struct virtio_device, and calls
 * virtio_create(). It makes all descriptors there: later none can be opened (vmm/thread.h).
 * Then the driver in the guest comes and goes:
 *
 *	start()		the driver is ready: features are agreed on, queues may be used
 *	notify()	it has put buffers into a queue; a call may come for nothing
 *	written()	it has written to the config space where it may
 *	stop()		after it, guest memory may not be touched: on a reset by the guest, before
 *			the state is saved, and at the machine's end. What is in flight is
 *			finished (and pushed) or, if the device merely held it, given back
 *			(virtqueue_unpop()) or forgotten.
 *
 * Before start() and after stop(), and when the rings are broken, virtqueue_pop() finds
 * nothing, so a device need not ask. After a start() in a machine that was restored, and always,
 * each queue is notified once.
 *
 * The guest is the enemy. A chain's iovecs are checked: they are all in guest memory. But the
 * guest may write there at any time: copy what must not change (chain_get()), check the copy, use
 * the copy. How a request is cut into descriptors is the driver's choice: never expect a
 * header to be an iovec of its own; chain_get() and chain_put() do not care.
 */
#ifndef THV_VIRTIO_VIRTIO_H
#define THV_VIRTIO_VIRTIO_H

#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_ring.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/uio.h>

#include "device/pci.h"
#include "lib/types.h"
#include "vmm/events.h"
#include "vmm/thread.h"

struct machine;
struct memory;
struct state;
struct virtio_device;

#define VIRTIO_QUEUES		64	/* a device may have */
#define VIRTQUEUE_SIZE		256	/* entries of a ring at most, and so of a chain */

/**
 * struct virtio_kind - what all devices of a sort have in common.
 * @name: short, for a person and for the thread: "blk".
 * @id: VIRTIO_ID_*.
 * @class: the PCI class code: 0x010000 is mass storage.
 * @config_size: bytes of the config space; 0: there is none.
 * @writable: the part of it that the driver may write, if @writable.size is not 0.
 * @queue_size: entries that a queue has if the driver does not choose fewer; a power of two.
 * @start: see above; NULL: nothing to do. -1 with the error text breaks the device.
 * @stop: see above; NULL: nothing to do (the device holds no chain between two calls).
 * @notify: see above.
 * @written: see above; NULL if nothing is writable.
 * @save, @restore: what the device has beside queues and config space, in a record (state.h) of
 *	that name. Called when stopped. NULL: nothing.
 */
struct virtio_kind {
	const char *name;
	u16 id;
	u32 class;
	u32 config_size;
	struct { u32 offset, size; } writable;
	u16 queue_size;
	int (*start)(struct virtio_device *device);
	void (*stop)(struct virtio_device *device);
	void (*notify)(struct virtio_device *device, u32 queue);
	void (*written)(struct virtio_device *device);
	int (*save)(struct virtio_device *device, const char *name, struct state *state);
	int (*restore)(struct virtio_device *device, const char *name, const struct state *state);
};

/* A split ring. The first part is the driver's choice, the second is the worker's own. */
struct virtqueue {
	struct virtio_device *device;
	u32 index;

	u16 size;			/* entries, at most @kind->queue_size */
	u16 vector;			/* of MSI-X; VIRTIO_MSI_NO_VECTOR: none */
	bool enabled;
	u64 descriptors, available, used;	/* guest-physical */

	bool running;			/* the rings may be used */
	bool event_index;		/* VIRTIO_RING_F_EVENT_IDX was agreed on */
	const struct memory *memory;
	struct vring_desc *desc;	/* the same three, checked, in our memory */
	struct vring_avail *avail;
	struct vring_used *ring;
	u16 next_available;		/* the next entry of the available ring to take */
	u16 next_used;			/* the next entry of the used ring to fill */
	u16 published;			/* how far the driver has been shown them */
	u32 in_flight;			/* taken, and not yet pushed or given back */

	int doorbell;			/* eventfd */
	u64 doorbell_address;		/* where the module listens for it; 0: nowhere */
	struct event_source source;
};

/**
 * struct virtqueue_chain - what the driver wants done: bytes to read, then room to write.
 * @head: names it to the driver.
 * @readables, @writables: how many of @iov[] are which; the readable ones come first.
 * @readable, @writable: bytes in them.
 */
struct virtqueue_chain {
	u16 head;
	u16 readables, writables;
	u64 readable, writable;
	struct iovec iov[VIRTQUEUE_SIZE];
};

/* ---- queues: on the worker thread only (queue.c) --------------------------- */

/* The next chain; false: there is none now, and the driver will notify when there is */
bool virtqueue_pop(struct virtqueue *queue, struct virtqueue_chain *chain);

/* The chain popped last, of which nothing has been used, goes back: it will be the next again */
void virtqueue_unpop(struct virtqueue *queue);

/*
 * The device is done with a chain, and has written @written bytes to the start of its
 * writable part. Chains may be pushed in any order. The driver sees it after
 * virtqueue_publish(), which shows it all that has been pushed at once and interrupts it if it
 * wants to be; call that at the end of a batch.
 */
void virtqueue_push(struct virtqueue *queue, u16 head, u32 written);
void virtqueue_publish(struct virtqueue *queue);

/*
 * Copy out of the readable part from @offset on, or into the writable part, however
 * they are cut. Return: bytes copied; fewer than @length where the chain ends.
 */
size_t chain_get(const struct virtqueue_chain *chain, u64 offset, void *to, size_t length);
size_t chain_put(const struct virtqueue_chain *chain, u64 offset, const void *from, size_t length);

/*
 * The iovecs of a stretch of the readable part (@write false) or of the writable part, into
 * @iov, which has room for VIRTQUEUE_SIZE: for readv(), writev() and the like. Return: how
 * many; fewer bytes than @length where the chain ends.
 */
u32 chain_slice(const struct virtqueue_chain *chain, bool write, u64 offset, u64 length,
		struct iovec *iov);

/* ---- the device (virtio.c, transport.c) ------------------------------------------- */

/**
 * struct virtio_device - one device. The first six are filled in before virtio_create().
 * @kind: see there.
 * @name: what errors, states and the thread call this one: "disk 0".
 * @features: what it offers, 1ULL << VIRTIO_BLK_F_* and so on; the transport's own are added.
 * @queues: how many, at most VIRTIO_QUEUES.
 * @config: its config space, kind->config_size bytes, in the device's own struct; it is
 *	written to by virtio_config_set() only once there is a guest.
 * @network: its worker makes connections of its own (THREAD_NETWORK).
 * @agreed: features that the driver took, too; valid from start() on.
 * @events: the worker's event loop; the device may add sources after virtio_create().
 * @queue: the queues.
 */
struct virtio_device {
	const struct virtio_kind *kind;
	char name[32];
	u64 features;
	u32 queues;
	void *config;
	bool network;

	u64 agreed;
	struct events events;
	struct virtqueue *queue;

	/* The rest is virtio.c's and transport.c's own */
	struct machine *machine;
	struct pci_function function;
	struct thread worker;
	pthread_mutex_t registers;	/* one access of a vCPU at a time; never the worker's */
	u32 feature_select[2];		/* which half: the device's, the driver's */
	u64 wanted;			/* features the driver has written */
	u16 selected;			/* queue */
	u16 config_vector;

	pthread_mutex_t lock;		/* guards the next three and *config; held for moments only */
	u8 status;
	u8 generation;
	u8 isr;

	pthread_mutex_t call_lock;	/* guards has_worker; one virtio_call() at a time */
	bool has_worker;		/* it runs; else callers do its work */
	struct event_source call_source, written_source;
	pthread_mutex_t called_lock;	/* guards call */
	pthread_cond_t called;
	void (*call)(struct virtio_device *device, void *opaque);
	void *call_opaque;

	bool running;			/* worker: between start() and stop() */
	bool broken;			/* worker: until the next reset */
	bool told;			/* ... and the user knows */
};

/*
 * Make it appear on the PCI bus and start its worker. 0, or -1 with the error text. What the
 * device itself wants to do at the end of the machine, it must have asked for
 * (machine_at_end()) before: the worker ends first, with a stop() if need be.
 */
int virtio_create(struct virtio_device *device, struct machine *machine);

/* Did the driver take the feature VIRTIO_*_F_..? */
static inline bool virtio_has(const struct virtio_device *device, u32 feature)
{
	return device->agreed >> feature & 1;
}

/* Change the config space and tell the driver. Any thread. */
void virtio_config_set(struct virtio_device *device, u32 offset, const void *data, u32 length);

/*
 * Have call(device, opaque) on the worker thread, and wait until it is done. Any other thread.
 * Before the worker has begun, the caller does it itself.
 */
void virtio_call(struct virtio_device *device,
		 void (*call)(struct virtio_device *device, void *opaque), void *opaque);

/*
 * The driver broke the rules: say so once, stop serving it (DEVICE_NEEDS_RESET) until it
 * resets the device. On the worker thread; queue.c calls it for all that a ring can have wrong.
 */
__attribute__((format(printf, 2, 3)))
void virtio_broken(struct virtio_device *device, const char *why, ...);

#endif
