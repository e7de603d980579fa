// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rows of devices: requests of a block device and of a network card. Such a device is a thread on the first CPU, as in
 * a launcher, without what every launcher does in its own way: no queues in guest memory, one request at a time. An
 * eventfd brings it the doorbell and another takes its interrupt, so that the ways in and out are the hypervisor's. The
 * vCPU is on the second CPU, and halts while it waits.
 */
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include "bench.h"

#define BLOCK	4096
#define FRAME	1514	/* the largest of Ethernet */

struct device {
	int doorbell;		/* the guest rings it */
	int line;		/* interrupts the guest */
	void *buffer;		/* in the guest's memory */
	int disk;		/* a block device's file, which is in memory */
	int card, network;	/* or two ends of a cable: of the guest's packets, and of the others' */
};

static struct device plug(struct guest *guest)
{
	struct device device = {
		.doorbell = MUST(eventfd(0, EFD_CLOEXEC)), .line = MUST(eventfd(0, EFD_CLOEXEC)),
		.buffer = at(guest->memory, BUFFER),
	};

	vm_doorbell_mmio(guest->vm, HOLE_DOORBELL, device.doorbell);
	vm_irqfd(guest->vm, device.line, 0);
	return device;
}

static void unplug(struct device *device)
{
	close(device->line);
	close(device->doorbell);
}

static struct device plug_disk(struct guest *guest)
{
	struct device device = plug(guest);

	device.disk = MUST(memfd_create("disk", MFD_CLOEXEC));
	MUST(pwrite(device.disk, device.buffer, BLOCK, 0));	/* the file's page is there, then */
	return device;
}

static void unplug_disk(struct device *device)
{
	close(device->disk);
	unplug(device);
}

static struct device plug_card(struct guest *guest)
{
	struct device device = plug(guest);
	int ends[2];

	MUST(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends));
	device.card = ends[0];
	device.network = ends[1];
	return device;
}

static void unplug_card(struct device *device)
{
	close(device->network);
	close(device->card);
	unplug(device);
}

/* ---- what the guest asks for ---- */

static void wait_for_doorbell(struct device *device)
{
	eventfd_t rung;

	MUST(eventfd_read(device->doorbell, &rung));
}

static void interrupt(struct device *device)
{
	MUST(eventfd_write(device->line, 1));
}

static double requests(struct guest *guest, u64 function, struct device *device, void (*serve)(struct device *device))
{
	struct thread vcpu = {
		.guest = guest, .vcpu = guest->vcpu, .function = function, .count = INTERRUPTS, .value = PAUSE,
	};
	int i;

	thread_start(&vcpu);
	for (i = 0; i < INTERRUPTS; i++) {
		wait_for_doorbell(device);
		serve(device);
	}
	pthread_join(vcpu.pthread, NULL);
	return middle(at(guest->memory, SAMPLES), INTERRUPTS);
}

static double of_disk(struct guest *guest, u64 function, void (*serve)(struct device *device))
{
	struct device device = plug_disk(guest);
	double ticks = requests(guest, function, &device, serve);

	unplug_disk(&device);
	return ticks;
}

static void read_block(struct device *device)
{
	MUST(pread(device->disk, device->buffer, BLOCK, 0));
	interrupt(device);
}

static double block_read(struct guest *guest, u64 function)
{
	return of_disk(guest, function, read_block);
}

static void write_block(struct device *device)
{
	MUST(pwrite(device->disk, device->buffer, BLOCK, 0));
	interrupt(device);
}

static double block_write(struct guest *guest, u64 function)
{
	return of_disk(guest, function, write_block);
}

/* Once the guest knows, the packet is taken off the network: there is room for few */
static void send_packet(struct device *device)
{
	u8 packet[FRAME];

	MUST(send(device->card, device->buffer, FRAME, 0));
	interrupt(device);
	MUST(recv(device->network, packet, FRAME, 0));
}

static double packet_out(struct guest *guest, u64 function)
{
	struct device device = plug_card(guest);
	double ticks = requests(guest, function, &device, send_packet);

	unplug_card(&device);
	return ticks;
}

/* ---- what comes from outside ---- */

/*
 * Its sender is on the same CPU, and watches for the handler: so this thread has a priority that makes it go first when
 * a packet wakes it. An empty one ends it.
 */
static void *receive_packets(void *opaque)
{
	const struct sched_param first = { .sched_priority = 1 };
	struct device *device = opaque;

	MUST(sched_setscheduler(0, SCHED_FIFO, &first));
	while (MUST(recv(device->card, device->buffer, FRAME, 0)))
		interrupt(device);
	return NULL;
}

static void send_in(void *opaque)
{
	static const u8 packet[FRAME];
	struct device *device = opaque;

	MUST(send(device->network, packet, FRAME, 0));
}

static double packet_in(struct guest *guest, u64 function)
{
	struct device device = plug_card(guest);
	pthread_t receiver;
	double ticks;

	stay_on(0);
	if (pthread_create(&receiver, NULL, receive_packets, &device))
		fail("no thread");
	ticks = from_outside(guest, function, send_in, &device);
	MUST(send(device.network, NULL, 0, 0));
	pthread_join(receiver, NULL);
	unplug_card(&device);
	return ticks;
}

const struct row devices[] = {
	{ "block_read", "block device: 4K read, doorbell to handler", block_read, guest_request },
	{ "block_write", "... written", block_write, guest_request },
	{ "packet_out", "network card: packet sent, doorbell to handler", packet_out, guest_request },
	{ "packet_in", "... received, its sending to handler", packet_in, guest_halt },
	{}
};
