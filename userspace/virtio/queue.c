// SPDX-License-Identifier: GPL-2.0-only
/*
 * The split virtqueue (Virtual I/O Device 1.2, 2.7), from the device's side: which chains the
 * driver has made available, and telling it that they are used.
 *
 * All three parts of a ring are in the guest's memory, and another vCPU may rewrite them at any
 * time. So each field is read once, into a local variable, and checked there; nothing that
 * was written to a ring is read back: how far we are is in struct virtqueue. Whatever
 * cannot be is told to virtio_broken() in words.
 */
#include <string.h>

#include "virtio/queue.h"
#include "vmm/memory.h"

/* One read of guest memory, whatever the compiler would like */
#define read_once(field)	__atomic_load_n(&(field), __ATOMIC_RELAXED)

struct table {
	const u8 *entries;
	u32 count;
	bool indirect;
};

/* ---- where the rings are --------------------------------------------------- */

static void *part(struct virtqueue *queue, const char *name, u64 gpa, u64 size, u32 alignment)
{
	void *at = gpa % alignment ? NULL : memory_at(queue->memory, gpa, size);

	if (!at)
		virtio_broken(queue->device, "the %s of queue %u is at %#llx, which is %s", name,
			      queue->index, gpa, gpa % alignment ? "misaligned" : "no memory");
	return at;
}

int virtqueue_start(struct virtqueue *queue)
{
	u32 size = queue->size;

	if (!size || size & (size - 1) || size > queue->device->kind->queue_size) {
		virtio_broken(queue->device, "queue %u has %u entries, which is no power of two up to %u",
			      queue->index, size, queue->device->kind->queue_size);
		return -1;
	}
	queue->event_index = virtio_has(queue->device, VIRTIO_RING_F_EVENT_IDX);
	queue->desc = part(queue, "descriptor table", queue->descriptors, 16 * size, 16);
	queue->avail = part(queue, "available ring", queue->available, 6 + 2 * size, 2);
	queue->ring = part(queue, "used ring", queue->used, 6 + 8 * size, 4);
	if (!queue->desc || !queue->avail || !queue->ring)
		return -1;
	queue->in_flight = 0;
	queue->running = true;
	return 0;
}

void virtqueue_stop(struct virtqueue *queue)
{
	queue->running = false;
}

void virtqueue_reset(struct virtqueue *queue)
{
	queue->size = queue->device->kind->queue_size;
	queue->vector = VIRTIO_MSI_NO_VECTOR;
	queue->enabled = false;
	queue->descriptors = 0;
	queue->available = 0;
	queue->used = 0;
	queue->next_available = 0;
	queue->next_used = 0;
	queue->published = 0;
	queue->in_flight = 0;
}

/* ---- taking ----------------------------------------------------------------- */

/*
 * Nothing there: have the driver notify us of the next chain, then look again, because it may
 * have put one there before it could know. (Without the event index it always notifies.)
 */
static u16 wait_for_more(struct virtqueue *queue)
{
	if (queue->event_index)
		__atomic_store_n((u16 *)&queue->ring->ring[queue->size], queue->next_available,
				 __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return read_once(queue->avail->idx) - queue->next_available;
}

/* A descriptor, read once; an indirect table may be at any address, so byte by byte if need be */
static struct vring_desc descriptor(const struct table *table, u32 index)
{
	const volatile u64 *from = (const volatile u64 *)(table->entries + 16ul * index);
	struct vring_desc desc;
	u64 words[2];
	u32 i;

	if ((unsigned long)from % sizeof(*from)) {
		for (i = 0; i < sizeof(desc); i++)
			((u8 *)&desc)[i] = ((const volatile u8 *)from)[i];
		return desc;
	}
	words[0] = from[0];
	words[1] = from[1];
	memcpy(&desc, words, sizeof(desc));
	return desc;
}

/* A descriptor that is a table of them (2.7.5.3): from here on, that is the table */
static const char *enter(struct virtqueue *queue, struct table *table, const struct vring_desc *desc)
{
	if (!virtio_has(queue->device, VIRTIO_RING_F_INDIRECT_DESC))
		return "is indirect, which was not agreed on";
	if (table->indirect)
		return "is indirect within an indirect table";
	if (desc->flags & VRING_DESC_F_NEXT)
		return "is indirect and has a successor";
	if (!desc->len || desc->len % 16 || desc->len / 16 > VIRTQUEUE_SIZE)
		return "is an indirect table of an impossible length";
	table->entries = memory_at(queue->memory, desc->addr, desc->len);
	if (!table->entries)
		return "is an indirect table outside of memory";
	table->count = desc->len / 16;
	table->indirect = true;
	return NULL;
}

static const char *add(struct virtqueue *queue, struct virtqueue_chain *chain,
		       const struct vring_desc *desc)
{
	bool writable = desc->flags & VRING_DESC_F_WRITE;
	u32 used = chain->readables + chain->writables;
	void *at;

	if (!desc->len)
		return "has no length";
	if (used == VIRTQUEUE_SIZE)
		return "is in a chain of too many";
	if (!writable && chain->writables)
		return "is to be read, after one that is to be written";
	at = memory_at(queue->memory, desc->addr, desc->len);
	if (!at)
		return "is outside of memory";
	if (chain->readable + chain->writable + desc->len > ~0u)
		return "makes a chain of more than 4 GiB";
	chain->iov[used] = (struct iovec){ at, desc->len };
	chain->readables += !writable;
	chain->writables += writable;
	chain->readable += writable ? 0 : desc->len;
	chain->writable += writable ? desc->len : 0;
	return NULL;
}

/* NULL, or what is wrong with descriptor *index */
static const char *collect(struct virtqueue *queue, struct virtqueue_chain *chain,
			   struct table *table, u32 *index)
{
	struct vring_desc desc;
	const char *wrong;
	u32 steps;

	for (steps = 0; steps < table->count; steps++) {
		if (*index >= table->count)
			return "does not exist";
		desc = descriptor(table, *index);
		if (desc.flags & VRING_DESC_F_INDIRECT) {
			wrong = enter(queue, table, &desc);
			if (wrong)
				return wrong;
			*index = 0;
			return collect(queue, chain, table, index);	/* once: see enter() */
		}
		wrong = add(queue, chain, &desc);
		if (wrong || !(desc.flags & VRING_DESC_F_NEXT))
			return wrong;
		*index = desc.next;
	}
	return "is in a chain that never ends";
}

/* Which chain is next; -1: what the driver tells cannot be */
static int next_head(struct virtqueue *queue, u16 waiting)
{
	u16 head;

	if (waiting > queue->size) {
		virtio_broken(queue->device, "queue %u: the driver has made %u chains available in a ring of %u",
			      queue->index, waiting, queue->size);
		return -1;
	}
	if (queue->in_flight >= queue->size) {
		virtio_broken(queue->device, "queue %u: more chains are in flight than the ring has entries",
			      queue->index);
		return -1;
	}
	head = read_once(queue->avail->ring[queue->next_available & (queue->size - 1)]);
	return head;
}

bool virtqueue_pop(struct virtqueue *queue, struct virtqueue_chain *chain)
{
	struct table table = { (const u8 *)queue->desc, queue->size, false };
	const char *wrong;
	u16 waiting;
	u32 index;
	int head;

	if (!queue->running)
		return false;
	waiting = read_once(queue->avail->idx) - queue->next_available;
	if (!waiting)
		waiting = wait_for_more(queue);
	if (!waiting)
		return false;
	__atomic_thread_fence(__ATOMIC_ACQUIRE);	/* the index first, then what it tells of */
	head = next_head(queue, waiting);
	if (head < 0)
		return false;
	index = head;
	chain->head = head;
	chain->readables = 0;
	chain->writables = 0;
	chain->readable = 0;
	chain->writable = 0;
	wrong = collect(queue, chain, &table, &index);
	if (wrong) {
		virtio_broken(queue->device, "queue %u: descriptor %u of the chain at %u %s",
			      queue->index, index, head, wrong);
		return false;
	}
	queue->next_available++;
	queue->in_flight++;
	return true;
}

void virtqueue_unpop(struct virtqueue *queue)
{
	queue->next_available--;
	queue->in_flight--;
}

/* ---- giving back ------------------------------------------------------------- */

void virtqueue_push(struct virtqueue *queue, u16 head, u32 written)
{
	struct vring_used_elem *element;

	queue->in_flight--;
	if (!queue->running)
		return;
	element = &queue->ring->ring[queue->next_used & (queue->size - 1)];
	__atomic_store_n(&element->id, head, __ATOMIC_RELAXED);
	__atomic_store_n(&element->len, written, __ATOMIC_RELAXED);
	queue->next_used++;
}

/* Has the driver asked to be told when the used index passes from @old to @new (2.7.10)? */
static bool wants_interrupt(struct virtqueue *queue, u16 old, u16 new)
{
	u16 event;

	if (!queue->event_index)
		return !(read_once(queue->avail->flags) & VRING_AVAIL_F_NO_INTERRUPT);
	event = read_once(queue->avail->ring[queue->size]);
	return vring_need_event(event, new, old);
}

void virtqueue_publish(struct virtqueue *queue)
{
	u16 old = queue->published;

	if (!queue->running || old == queue->next_used)
		return;
	__atomic_store_n(&queue->ring->idx, queue->next_used, __ATOMIC_RELEASE);
	queue->published = queue->next_used;
	/* The driver writes what it wants, then looks at the index; we the other way round */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (wants_interrupt(queue, old, queue->published))
		virtqueue_interrupt(queue);
}

/* ---- what is in a chain ------------------------------------------------------- */

u32 chain_slice(const struct virtqueue_chain *chain, bool write, u64 offset, u64 length,
		struct iovec *iov)
{
	const struct iovec *from = chain->iov + (write ? chain->readables : 0);
	const struct iovec *end = from + (write ? chain->writables : chain->readables);
	u32 count = 0;
	size_t size;

	for (; from < end && length; from++) {
		if (offset >= from->iov_len) {
			offset -= from->iov_len;
			continue;
		}
		size = from->iov_len - offset;
		size = size < length ? size : length;
		iov[count++] = (struct iovec){ (u8 *)from->iov_base + offset, size };
		offset = 0;
		length -= size;
	}
	return count;
}

size_t chain_get(const struct virtqueue_chain *chain, u64 offset, void *to, size_t length)
{
	struct iovec iov[VIRTQUEUE_SIZE];
	u32 count = chain_slice(chain, false, offset, length, iov), i;
	size_t done = 0;

	for (i = 0; i < count; i++) {
		memcpy((u8 *)to + done, iov[i].iov_base, iov[i].iov_len);
		done += iov[i].iov_len;
	}
	return done;
}

size_t chain_put(const struct virtqueue_chain *chain, u64 offset, const void *from, size_t length)
{
	struct iovec iov[VIRTQUEUE_SIZE];
	u32 count = chain_slice(chain, true, offset, length, iov), i;
	size_t done = 0;

	for (i = 0; i < count; i++) {
		memcpy(iov[i].iov_base, (const u8 *)from + done, iov[i].iov_len);
		done += iov[i].iov_len;
	}
	return done;
}
