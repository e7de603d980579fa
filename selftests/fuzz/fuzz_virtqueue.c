// SPDX-License-Identifier: GPL-2.0-only
// sources: userspace/virtio/queue.c userspace/vmm/memory.c userspace/lib/error.c
/*
 * Rings of any content: a driver's memory is made up, and the queue is served from it, with the memory
 * changing meanwhile. Whatever is there, a chain has only what is in guest memory, no more than a ring
 * may hold is in flight, serving comes to an end, and what cannot be breaks the device.
 *
 * With clang this is a libFuzzer target:
 *
 *	clang -g -O1 -fsanitize=fuzzer,address,undefined -I . -I uapi -I userspace \
 *		selftests/fuzz/fuzz_virtqueue.c userspace/virtio/queue.c userspace/vmm/memory.c userspace/lib/error.c
 *
 * With any compiler it has a main() of its own, that makes up inputs: SEED says
 * from which number on, RUNS how many (0: for SECONDS, 5 unless told).
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fuzz.h"
#include "lib/device.h"
#include "virtio/queue.h"
#include "vmm/memory.h"

#define MEMORY	0x4000u		/* of the guest's: small, so that most addresses are near an end */
#define QUEUE	16u		/* entries at most */

static struct memory memory;
static struct virtio_device device;
static struct virtqueue queue;
static u32 breaks, interrupts;

int vm_set_memory(int vm, const struct thv_memory *slot)
{
	(void)vm;
	(void)slot;
	return 0;
}

void virtqueue_interrupt(struct virtqueue *of)
{
	REQUIRE(of == &queue && queue.running);
	interrupts++;
}

void virtio_broken(struct virtio_device *of, const char *why, ...)
{
	va_list arguments;
	char text[300];

	REQUIRE(of == &device);
	va_start(arguments, why);
	REQUIRE(vsnprintf(text, sizeof(text), why, arguments) < (int)sizeof(text));
	va_end(arguments);
	breaks++;
	virtqueue_stop(&queue);
}

static void check_chain(const struct virtqueue_chain *chain)
{
	u64 readable = 0, writable = 0;
	u32 i;

	REQUIRE(chain->head < queue.size && chain->readables + chain->writables <= VIRTQUEUE_SIZE);
	REQUIRE(chain->readables + chain->writables);
	for (i = 0; i < (u32)chain->readables + chain->writables; i++) {
		const u8 *base = chain->iov[i].iov_base;

		REQUIRE(base >= memory.host && chain->iov[i].iov_len);
		REQUIRE(base + chain->iov[i].iov_len <= memory.host + MEMORY);
		*(i < chain->readables ? &readable : &writable) += chain->iov[i].iov_len;
	}
	REQUIRE(readable == chain->readable && writable == chain->writable);
}

/* Copies by way of the chain are bounded by it, wherever they begin */
static void use_chain(const struct virtqueue_chain *chain, u8 seed)
{
	static u8 bytes[MEMORY];
	size_t got = chain_get(chain, seed, bytes, sizeof(bytes));
	u64 left = chain->readable > seed ? chain->readable - seed : 0;

	REQUIRE(got == (left < sizeof(bytes) ? left : sizeof(bytes)));
	memset(bytes, seed, 64);
	left = chain->writable > seed ? chain->writable - seed : 0;
	REQUIRE(chain_put(chain, seed, bytes, 64) == (left < 64 ? left : 64));
}

/* Some of what the device may do, as the bytes say; the guest changes its memory in between */
static void serve(const u8 *data, size_t length)
{
	static struct virtqueue_chain chain;
	u16 held[QUEUE];
	u32 count = 0;

	for (; length >= 4; data += 4, length -= 4) {
		switch (data[0] % 5) {
		case 0:
		case 1:
			if (!virtqueue_pop(&queue, &chain))
				break;
			check_chain(&chain);
			REQUIRE(count < queue.size);
			held[count++] = chain.head;
			use_chain(&chain, data[1]);
			break;
		case 2:
			if (count)
				virtqueue_push(&queue, held[--count], data[1]);
			break;
		case 3:
			virtqueue_publish(&queue);
			break;
		default:
			memory.host[(data[1] | data[2] << 8) % MEMORY] = data[3];
			break;
		}
		REQUIRE(queue.in_flight == count);
	}
}

struct shape {
	u16 size, next_available, next_used;
	u8 features, spare;
	u32 descriptors, available, used;
	u32 more[3];		/* so that what follows is aligned */
};

/* The input: how the queue is set up, what is in memory, what is done */
int LLVMFuzzerTestOneInput(const u8 *data, size_t length)
{
	static const struct virtio_kind kind = { .queue_size = QUEUE };
	struct shape shape;

	if (length < sizeof(shape))
		return 0;
	memcpy(&shape, data, sizeof(shape));
	data += sizeof(shape);
	length -= sizeof(shape);
	if (!memory.host)
		REQUIRE(!memory_create(&memory, MEMORY, "fuzz", false));
	memset(memory.host, 0, MEMORY);
	memcpy(memory.host, data, length < MEMORY ? length : MEMORY);
	device.kind = &kind;
	device.agreed = (shape.features & 1 ? 1ULL << VIRTIO_RING_F_EVENT_IDX : 0) |
			(shape.features & 2 ? 0 : 1ULL << VIRTIO_RING_F_INDIRECT_DESC);
	queue = (struct virtqueue){ .device = &device, .size = shape.size, .enabled = true, .memory = &memory,
				    .descriptors = shape.descriptors, .available = shape.available,
				    .used = shape.used, .next_available = shape.next_available,
				    .next_used = shape.next_used, .published = shape.next_used };
	breaks = 0;
	if (virtqueue_start(&queue)) {
		REQUIRE(breaks && !queue.running);
		return 0;
	}
	serve(data, length);
	REQUIRE(breaks <= 1 && queue.running == !breaks);
	return 0;
}

#ifndef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
/* ---- inputs: rings that are nearly right, each field wrong now and then ------------- */

static u32 served, broken;

static u32 nearly(u32 right)
{
	static const u32 odd[] = { 0, 1, 15, 16, 17, 0xfff, 0x3fff, 0x4000, 0xffff, 0x7fffffff, 0xffffffff };

	switch (random() % 200) {
	case 0:
		return odd[random() % ARRAY_SIZE(odd)];
	case 1:
		return random();
	case 2:
		return right + random() % 5 - 2;
	default:
		return right;
	}
}

static void make_descriptor(struct vring_desc *desc, u32 index)
{
	u32 kind = random() % 12;

	*desc = (struct vring_desc){
		.addr = nearly(random() % MEMORY),
		.len = nearly(1 + random() % 600),
		.flags = (kind & 1 ? VRING_DESC_F_WRITE : 0) | (kind & 2 ? VRING_DESC_F_NEXT : 0),
		.next = nearly((index + 1) % QUEUE),
	};
	if (kind > 8)
		*desc = (struct vring_desc){ nearly(0x2000 + random() % 64), nearly(16 * (1 + random() % 4)),
					     nearly(VRING_DESC_F_INDIRECT), nearly(0) };
}

static size_t make_input(u8 *data)
{
	struct shape shape = {
		.size = nearly(QUEUE), .next_available = nearly(0xfff8), .next_used = nearly(0xfff8),
		.features = random(), .descriptors = nearly(0x1000), .available = nearly(0x1800),
		.used = nearly(0x1c00),
	};
	u8 *guest = data + sizeof(shape);
	struct vring_avail *avail;
	u32 i;

	memcpy(data, &shape, sizeof(shape));
	for (i = 0; i < MEMORY; i++)
		guest[i] = i < 0x800 ? random() : 0;
	for (i = 0; i < QUEUE; i++) {
		make_descriptor((struct vring_desc *)(guest + 0x1000) + i, i);
		make_descriptor((struct vring_desc *)(guest + 0x2000) + i, i % 4);
	}
	avail = (struct vring_avail *)(guest + 0x1800);
	avail->flags = random() % 2;
	avail->idx = nearly(shape.next_available + random() % (QUEUE + 1));
	for (i = 0; i < QUEUE; i++)
		avail->ring[i] = nearly(random() % QUEUE);
	avail->ring[QUEUE] = nearly(shape.next_used);
	return sizeof(shape) + MEMORY;
}

static unsigned long number(const char *name, unsigned long otherwise)
{
	return getenv(name) ? strtoul(getenv(name), NULL, 0) : otherwise;
}

int main(void)
{
	unsigned long seed = number("SEED", 1), runs_wanted = number("RUNS", 0), done;
	time_t end = time(NULL) + number("SECONDS", 5);
	static u8 data[sizeof(struct shape) + MEMORY] __attribute__((aligned(16)));

	for (done = 0; runs_wanted ? done < runs_wanted : time(NULL) < end; done++) {
		srandom(seed + done);
		interrupts = 0;
		LLVMFuzzerTestOneInput(data, make_input(data));
		broken += breaks;
		served += !!interrupts;
	}
	memory_destroy(&memory);
	printf("%sok 1 - %lu rings of made-up content, from seed %lu: %u broke, %u interrupted\n1..1\n",
	       broken && served ? "" : "not ", done, seed, broken, served);
	return !(broken && served);
}
#endif
