// SPDX-License-Identifier: GPL-2.0-only
/*
 * The virtio console (Virtio 1.2, 5.3): --console, which a Linux guest calls hvc0. One port; where
 * its bytes go to and come from is a channel, as of a serial port.
 *
 * Nothing queues here. What the guest sends stays in its buffer until the channel has taken all of
 * it; what comes is read from the channel when the guest has a buffer for it.
 */
#include <linux/virtio_console.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "lib/error.h"
#include "virtio/virtio.h"
#include "vmm/channel.h"
#include "vmm/machine.h"
#include "vmm/state.h"

enum { RECEIVE, TRANSMIT, QUEUES };

#define PIECE	4096		/* bytes taken out of guest memory at a time */

struct console {
	struct virtio_device device;
	struct virtio_console_config config;
	struct channel *channel;
	bool started;
	bool holds_room, holds_text;	/* the next two are chains of the guest's */
	struct virtqueue_chain room, text;
	u64 sent;			/* bytes of @text that the channel has taken */
};

/* ---- to the guest --------------------------------------------------------- */

static size_t room(void *opaque)
{
	struct console *console = opaque;

	if (console->started && !console->holds_room)
		console->holds_room = virtqueue_pop(&console->device.queue[RECEIVE], &console->room);
	return console->holds_room ? console->room.writable : 0;
}

static void receive(void *opaque, const u8 *data, size_t length)
{
	struct console *console = opaque;
	struct virtqueue *queue = &console->device.queue[RECEIVE];

	if (!console->holds_room)
		return;
	length = chain_put(&console->room, 0, data, length);
	virtqueue_push(queue, console->room.head, length);
	virtqueue_publish(queue);
	console->holds_room = false;
}

/* There is no break on a virtio console */
static void line_break(void *opaque)
{
	(void)opaque;
}

/* ---- from the guest ------------------------------------------------------- */

/* True: the channel has all of this chain */
static bool send_text(struct console *console)
{
	u8 piece[PIECE];
	size_t length, taken;

	while (console->sent < console->text.readable) {
		length = chain_get(&console->text, console->sent, piece, sizeof(piece));
		taken = channel_write(console->channel, piece, length);
		console->sent += taken;
		if (taken < length)
			return false;	/* writable() goes on */
	}
	return true;
}

static void transmit(struct console *console)
{
	struct virtqueue *queue = &console->device.queue[TRANSMIT];

	while (console->holds_text || virtqueue_pop(queue, &console->text)) {
		console->holds_text = true;
		if (!send_text(console))
			break;
		virtqueue_push(queue, console->text.head, 0);
		console->holds_text = false;
		console->sent = 0;
	}
	virtqueue_publish(queue);
}

static void writable(void *opaque)
{
	struct console *console = opaque;

	if (console->started)
		transmit(console);
}

static void end(void *opaque, int signal)
{
	struct console *console = opaque;

	if (signal)
		machine_end(console->device.machine, END_SIGNAL + signal, "nobody reads the output any more");
	else
		machine_end(console->device.machine, END_POWEROFF, NULL);
}

static const struct channel_user user = {
	.room = room,
	.receive = receive,
	.line_break = line_break,
	.writable = writable,
	.end = end,
};

/* ---- the device ----------------------------------------------------------- */

static struct console *console_of(struct virtio_device *device)
{
	return container_of(device, struct console, device);
}

/* What has been sent of a chain counts when the same driver goes on, not for a new one's first */
static int start(struct virtio_device *device)
{
	struct console *console = console_of(device);
	const struct virtqueue *queue = &device->queue[TRANSMIT];

	if (!queue->next_available && !queue->next_used)
		console->sent = 0;
	console->started = true;
	return 0;
}

static void stop(struct virtio_device *device)
{
	struct console *console = console_of(device);

	if (console->holds_room)
		virtqueue_unpop(&device->queue[RECEIVE]);
	if (console->holds_text)
		virtqueue_unpop(&device->queue[TRANSMIT]);
	console->holds_room = false;
	console->holds_text = false;
	console->started = false;
}

static void notify(struct virtio_device *device, u32 queue)
{
	struct console *console = console_of(device);

	if (queue == TRANSMIT)
		transmit(console);
	else
		channel_resume(console->channel);
}

static const struct state_field fields[] = {
	STATE(struct console, sent),
	{ 0 }
};

static int save(struct virtio_device *device, const char *name, struct state *state)
{
	return state_save_table(state, name, fields, console_of(device));
}

static int restore(struct virtio_device *device, const char *name, const struct state *state)
{
	return state_restore_table(state, name, fields, console_of(device));
}

static const struct virtio_kind kind = {
	.name = "console",
	.id = VIRTIO_ID_CONSOLE,
	.class = 0x078000,	/* a communication controller */
	.config_size = sizeof(struct virtio_console_config),
	.queue_size = VIRTQUEUE_SIZE,
	.start = start,
	.stop = stop,
	.notify = notify,
	.save = save,
	.restore = restore,
};

/* A terminal's size, as it is when the guest starts */
static void tell_size(struct console *console, const char *where)
{
	struct winsize size;

	if (strcmp(where, "stdio") || ioctl(STDIN_FILENO, TIOCGWINSZ, &size) || !size.ws_col)
		return;
	console->config.cols = size.ws_col;
	console->config.rows = size.ws_row;
	console->device.features = 1ULL << VIRTIO_CONSOLE_F_SIZE;
}

static void finish(void *opaque)
{
	struct console *console = opaque;

	if (console->channel)
		channel_close(console->channel);
	free(console);
}

static int create(struct machine *machine)
{
	const char *where = machine->config->console;
	struct console *console;

	if (!where)
		return 0;
	console = calloc(1, sizeof(*console));
	if (!console)
		return error_set("out of memory");
	console->device.kind = &kind;
	strcpy(console->device.name, "console 0");
	console->device.queues = QUEUES;
	console->device.config = &console->config;
	tell_size(console, where);
	if (machine_at_end(machine, finish, console) || virtio_create(&console->device, machine))
		return -1;
	console->channel = channel_open(where, "the virtio console (hvc0)", &console->device.events, &user,
					console);
	return console->channel ? 0 : -1;
}

DEVICE(virtio_console, create);
