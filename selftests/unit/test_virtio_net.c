// SPDX-License-Identifier: GPL-2.0-only
// sources: userspace/device/virtio_net.c userspace/net/net.c userspace/net/user.c userspace/net/tap.c userspace/net/switch.c
// sources: userspace/virtio/queue.c userspace/virtio/transport.c userspace/virtio/virtio.c userspace/device/pci.c userspace/device/msix.c
// sources: userspace/vmm/bus.c userspace/vmm/memory.c userspace/vmm/events.c userspace/vmm/state.c userspace/vmm/thread.c userspace/lib/error.c userspace/lib/options.c
// libs: -lslirp
/*
 * The virtio network card, between a driver and another member of a real virtual switch: frames
 * both ways, whatever they are cut into, and what becomes of them when there is no room or no driver.
 */
#include <linux/virtio_net.h>

#include "driver.h"
#include "net_guest.h"

#define HEADER	sizeof(struct virtio_net_hdr_v1)
#define BUFFER	2048

enum { RECEIVE, TRANSMIT };

static const char *const networks[] = { "switch=card,mac=52:54:00:12:34:56" };
static const struct machine_config config = { .memory = DRIVER_MEMORY, .nets = { 1, (const char **)networks } };
static struct driver driver;
static struct guest peer;
static u64 buffers;		/* guest-physical: where frames go to and come from */

static void make_machine(void)
{
	driver_make(&driver, &config);
}

static bool start(void)
{
	bool started = driver_start(&driver, 1ULL << VIRTIO_NET_F_MAC | 1ULL << VIRTIO_NET_F_STATUS);

	buffers = driver_page(&driver, 64 * BUFFER);
	return started;
}

static void peer_say(u64 number, size_t length)
{
	u8 frame[NET_FRAME] = { 0x52, 0x54, 0x00, 0x12, 0x34, 0x56 };
	size_t i;

	memcpy(frame + NET_MAC, net_mac(peer.net), NET_MAC);
	for (i = NET_HEADER; i < length; i++)
		frame[i] = number * 31 + i;
	guest_send(&peer, frame, length);
}

static bool is_frame(const u8 *frame, u64 number, size_t length)
{
	size_t i;

	for (i = NET_HEADER; i < length; i++)
		if (frame[i] != (u8)(number * 31 + i))
			return false;
	return true;
}

static u64 buffer(u32 number)
{
	return buffers + number % 16 * BUFFER;
}

static u16 offer(u32 number)
{
	const struct segment one = { buffer(number), BUFFER, true };

	return ring_add(&driver, RECEIVE, &one, 1);
}

/* A frame to the peer, in pieces of which the first may cut the header */
static u16 put_frame(u64 number, size_t length, u32 first)
{
	u8 *at = guest(buffer(16 + number));
	const struct segment pieces[] = {
		{ buffer(16 + number), first, false },
		{ buffer(16 + number) + first, HEADER + length - first, false },
	};
	size_t i;

	memset(at, 0, HEADER);
	at += HEADER;
	memcpy(at, net_mac(peer.net), NET_MAC);
	memcpy(at + NET_MAC, "\x52\x54\x00\x12\x34\x56", NET_MAC);
	for (i = NET_HEADER; i < length; i++)
		at[i] = number * 31 + i;
	return ring_add(&driver, TRANSMIT, pieces, first < HEADER + length ? 2 : 1);
}

/* Who has just joined a switch is known there once its thread gets to that: until then frames are lost */
static void meet(void)
{
	int i;

	for (i = 0; i < 100 && !peer.count; i++) {
		ring_wait(&driver, TRANSMIT, put_frame(0, 60, HEADER));
		guest_run(&peer, 1, 200);
	}
	guest_run(&peer, 0, 20);	/* one may have been late */
	peer.count = 0;
}

static void test_find(void)
{
	u8 mac[NET_MAC];
	u32 i;

	make_machine();
	tap_is(config_read(1, PCI_DEVICE_ID, 2), 0x1041, "a virtio network card");
	tap_is(config_read(1, PCI_CLASS_REVISION, 4) >> 8, 0x020000, "of the class of Ethernet cards");
	tap_is(driver.queues, 2, "with two queues");
	tap_is(driver_offered(&driver) & 0xffffff, 1ULL << VIRTIO_NET_F_MAC | 1ULL << VIRTIO_NET_F_STATUS,
	       "and no offloads");
	for (i = 0; i < NET_MAC; i++)
		mac[i] = mmio_read(driver.own + i, 1);
	tap_ok(!memcmp(mac, "\x52\x54\x00\x12\x34\x56", NET_MAC), "it tells its address");
	tap_is(mmio_read(driver.own + 6, 2), VIRTIO_NET_S_LINK_UP, "and that its link is up");
	driver_end();
}

static void test_transmit(void)
{
	static const struct { size_t length; u32 first; const char *what; } frames[] = {
		{ 60, HEADER, "the header by itself" }, { 60, 5, "the header cut in two" },
		{ 60, HEADER + 1, "the address cut" }, { NET_FRAME, HEADER, "the longest" },
		{ NET_HEADER, HEADER + NET_HEADER, "the shortest, in one piece" },
	};
	static const size_t bad[] = { 0, 1, NET_HEADER - 1, NET_FRAME + 1, BUFFER - HEADER };
	struct segment wrong[] = { { 0, 4, false }, { 0, BUFFER, true } };
	u32 i;

	make_machine();
	guest_open(&peer, "switch=card");
	start();
	meet();
	for (i = 0; i < ARRAY_SIZE(frames); i++) {
		peer.count = 0;
		tap_is(ring_wait(&driver, TRANSMIT, put_frame(i, frames[i].length, frames[i].first)), 0,
		       "a frame of %zu bytes, %s", frames[i].length, frames[i].what);
		guest_run(&peer, 1, 5000);
		tap_ok(peer.count == 1 && peer.length[0] == frames[i].length &&
		       is_frame(peer.frame[0], i, frames[i].length), "... arrives");
	}
	tap_ok(driver_interrupts(TRANSMIT + 1), "the driver is told");
	peer.count = 0;
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		tap_check(ring_wait(&driver, TRANSMIT, put_frame(i, bad[i], HEADER)) == 0, "%zu bytes", bad[i]);
	wrong[0].gpa = buffer(0);
	wrong[1].gpa = buffer(1);
	tap_check(ring_wait(&driver, TRANSMIT, ring_add(&driver, TRANSMIT, wrong, 2)) == 0, "half a header");
	guest_run(&peer, 1, 50);
	tap_ok(tap_held() && !peer.count, "frames too short or too long are taken, and go nowhere");
	driver_end();
	net_close(peer.net);
}

static bool received(u16 head, u32 number, size_t length)
{
	long written = ring_wait(&driver, RECEIVE, head);
	const struct virtio_net_hdr_v1 *header = guest(buffer(number));

	return written == (long)(HEADER + length) && !header->flags && !header->gso_type &&
	       header->num_buffers == 1 && is_frame((u8 *)guest(buffer(number)) + HEADER, number, length);
}

static void test_receive(void)
{
	struct segment cut[] = { { 0, 3, true }, { 0, 10, true }, { 0, 1000, true } };
	struct segment readable = { 0, 100, false };
	u16 head;
	u32 i;

	make_machine();
	guest_open(&peer, "switch=card");
	start();
	peer_say(0, 100);
	tap_ok(received(offer(0), 0, 100), "a frame that came before there was a buffer waits for one");
	head = offer(1);
	peer_say(1, NET_FRAME);
	tap_ok(received(head, 1, NET_FRAME), "a buffer waits for a frame");
	tap_ok(driver_interrupts(RECEIVE + 1), "the driver is told");
	for (i = 0; i < 3; i++)
		cut[i].gpa = i ? cut[i - 1].gpa + cut[i - 1].length : buffer(2);
	head = ring_add(&driver, RECEIVE, cut, 3);
	peer_say(2, 900);
	tap_ok(received(head, 2, 900), "into a buffer in three pieces, the header over two");
	cut[2].length = 100;
	head = ring_add(&driver, RECEIVE, cut, 3);
	peer_say(2, 900);
	peer_say(2, 101);
	tap_ok(received(head, 2, 101), "a frame too long for a buffer is lost; the buffer takes the next");
	readable.gpa = buffer(0);
	head = ring_add(&driver, RECEIVE, &readable, 1);
	peer_say(3, 60);
	tap_ok(ring_used(&driver, RECEIVE)->idx == 4, "a buffer that cannot be written to takes none");
	driver_end();
	net_close(peer.net);
}

/* Twice as many as a ring has entries, and one that is filled by and by */
static void test_stream(void)
{
	u32 i, offered = 0;
	u16 head[400];

	make_machine();
	guest_open(&peer, "switch=card");
	start();
	while (offered < 8) {
		head[offered] = offer(offered);
		offered++;
	}
	for (i = 0; i < 300; i++) {
		peer_say(i, 60 + i);
		tap_check(received(head[i], i, 60 + i), "frame %u", i);
		head[offered] = offer(offered);
		offered++;
	}
	tap_ok(tap_held(), "300 frames to the guest, in order");
	peer.count = 0;
	for (i = 0; i < 300; i++)
		tap_check(ring_wait(&driver, TRANSMIT, put_frame(i, 60 + i, HEADER)) == 0, "frame %u", i);
	guest_run(&peer, 300, 5000);
	for (i = 0; i < peer.count; i++)
		tap_check(peer.length[i] == 60 + i && is_frame(peer.frame[i], i, 60 + i), "at the peer: %u", i);
	tap_ok(tap_held() && peer.count == 300, "300 frames from it");
	driver_end();
	net_close(peer.net);
}

static void test_without_driver(void)
{
	u32 i;

	make_machine();
	guest_open(&peer, "switch=card");
	guest_run(&peer, 0, 20);
	for (i = 0; i < 3000; i++) {
		peer_say(i, 60);
		if (i % 20 == 0)
			usleep(100);
	}
	usleep(100000);
	start();
	peer_say(7, 70);
	tap_ok(received(offer(7), 7, 70), "what came while there was no driver is lost; it does not wait for one");
	for (i = 0; i < 8; i++)
		offer(i);
	for (i = 0; i < 50; i++)
		peer_say(i, 60);
	mmio_write(COMMON_REG(&driver, device_status), 0);
	tap_is(driver_status(&driver), 0, "a reset while frames come");
	usleep(50000);
	start();
	peer_say(9, 90);
	usleep(50000);
	tap_ok(received(offer(9), 9, 90), "... and the card works again");
	driver_end();
	net_close(peer.net);
}

static void save(struct state *state)
{
	state_init(state);
	tap_ok(!state_save_devices(&driver_vm, state), "the card is saved");
}

static void test_restore(void)
{
	u8 *memory = malloc(DRIVER_MEMORY);
	struct state state, again;
	struct driver kept;
	u16 head;

	make_machine();
	guest_open(&peer, "switch=card");
	start();
	peer_say(0, 80);
	received(offer(0), 0, 80);
	ring_wait(&driver, TRANSMIT, put_frame(1, 60, HEADER));
	head = offer(3);
	guest_run(&peer, 0, 20);
	save(&state);
	peer_say(3, 200);
	tap_ok(received(head, 3, 200), "... and goes on with the buffer that it held");
	head = offer(5);
	state_free(&state);
	save(&state);
	memcpy(memory, guest(0), DRIVER_MEMORY);
	driver_end();
	kept = driver;
	make_machine();
	driver = kept;
	memcpy(guest(0), memory, DRIVER_MEMORY);
	tap_ok(!state_restore_devices(&driver_vm, &state), "another machine takes that");
	save(&again);
	tap_ok(state.size == again.size && !memcmp(state.data, again.data, state.size), "and is the same then");
	peer.count = 0;
	meet();
	peer_say(5, 300);
	tap_ok(received(head, 5, 300), "a frame finds the buffer that was offered before");
	ring_wait(&driver, TRANSMIT, put_frame(6, 400, HEADER));
	guest_run(&peer, 1, 5000);
	tap_ok(peer.count == 1 && is_frame(peer.frame[0], 6, 400), "and the driver sends on");
	driver_end();
	net_close(peer.net);
	state_free(&state);
	state_free(&again);
	free(memory);
}

int main(void)
{
	char folder[] = "/tmp/thv-card-XXXXXX", command[60];

	if (!mkdtemp(folder) || setenv("XDG_RUNTIME_DIR", folder, 1) || events_create(&guest_events))
		return 1;
	test_find();
	test_transmit();
	test_receive();
	test_stream();
	test_without_driver();
	test_restore();
	snprintf(command, sizeof(command), "rm -r %s", folder);
	return system(command) || tap_done();
}
