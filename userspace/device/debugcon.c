// SPDX-License-Identifier: GPL-2.0-only
/*
 * The debug console: a port to which a guest writes what it has to say, a byte at a time, with no
 * set-up at all. 0x402 is where SeaBIOS does that, 0xe9 is where Bochs has it, and so teaching
 * kernels. Both read as 0xe9, by which it is known to be there.
 */
#include <stdlib.h>

#include "lib/error.h"
#include "vmm/channel.h"
#include "vmm/machine.h"

#define PRESENT		0xe9

static const u16 ports[] = { 0x402, 0xe9 };

struct debugcon {
	struct machine *machine;
	struct channel *channel;
};

/* What the other end has no room for is lost: who debugs does not want to be slowed down */
static u64 access_debugcon(void *device, u64 offset, u32 length, bool write, u64 value)
{
	struct debugcon *debugcon = device;
	u8 byte = value;

	(void)offset;
	(void)length;
	if (write)
		channel_write(debugcon->channel, &byte, 1);
	return PRESENT;
}

static size_t no_room(void *opaque)
{
	(void)opaque;
	return 0;
}

static void receive_nothing(void *opaque, const u8 *data, size_t length)
{
	(void)opaque;
	(void)data;
	(void)length;
}

static void nothing(void *opaque)
{
	(void)opaque;
}

static void on_end(void *opaque, int signal)
{
	struct debugcon *debugcon = opaque;

	machine_end(debugcon->machine, signal ? END_SIGNAL + signal : END_POWEROFF, NULL);
}

static const struct channel_user user = {
	.room = no_room,
	.receive = receive_nothing,
	.line_break = nothing,
	.writable = nothing,
	.end = on_end,
};

static void finish(void *opaque)
{
	struct debugcon *debugcon = opaque;

	if (debugcon->channel)
		channel_close(debugcon->channel);
	free(debugcon);
}

static int create(struct machine *machine)
{
	struct debugcon *debugcon;
	size_t i;

	if (!machine->config->debugcon)
		return 0;
	debugcon = calloc(1, sizeof(*debugcon));
	if (!debugcon || machine_at_end(machine, finish, debugcon))
		return error_set("out of memory");
	debugcon->machine = machine;
	debugcon->channel = channel_open(machine->config->debugcon, "the debug console",
					 &machine->events, &user, debugcon);
	if (!debugcon->channel)
		return -1;
	for (i = 0; i < ARRAY_SIZE(ports); i++)
		if (bus_claim_ports(&machine->bus, ports[i], 1, 1, access_debugcon, debugcon))
			return -1;
	return 0;
}

DEVICE(debugcon, create);
