// SPDX-License-Identifier: GPL-2.0-only
/*
 * System control port B at 0x61, of which a PC's kernels ask who has sent an NMI: neither memory
 * (bit 7) nor an expansion card (bit 6). Of the four bits that hold what was written, the first is
 * the gate of the 8254's third channel (pit.c), whose output is bit 5. Where there is no 8254 that is
 * high, as if it had run out: nobody is to wait for it. Bit 4 changes with each refresh of memory,
 * every 15 microseconds, by which old systems wait.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "device/pit.h"
#include "lib/error.h"
#include "vmm/machine.h"
#include "vmm/state.h"

#define SYSTEM_PORT	0x61
#define GATES		0x0f
#define TIMER_GATE	0x01
#define REFRESH		0x10
#define REFRESH_NS	15085
#define TIMER_OUTPUT	0x20

struct systemport {
	struct machine *machine;
	atomic_uchar gates;
};

static u8 refresh(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_nsec / REFRESH_NS & 1 ? REFRESH : 0;
}

static u64 access_port(void *device, u64 offset, u32 length, bool write, u64 value)
{
	struct systemport *port = device;
	struct pit *pit = port->machine->pit;

	(void)offset;
	(void)length;
	if (write) {
		port->gates = value & GATES;
		if (pit)
			pit_gate(pit, value & TIMER_GATE);
	}
	return (!pit || pit_output(pit, PIT_SPEAKER) ? TIMER_OUTPUT : 0) | refresh() | port->gates;
}

static const struct state_field fields[] = {
	STATE(struct systemport, gates, .maximum = GATES),
	{ 0 }
};

static int save(void *opaque, const char *name, struct state *state)
{
	return state_save_table(state, name, fields, opaque);
}

/* The 8254 has its gate in its own state */
static int restore(void *opaque, const char *name, const struct state *state)
{
	return state_restore_table(state, name, fields, opaque);
}

static int create(struct machine *machine)
{
	struct systemport *port = calloc(1, sizeof(*port));

	if (!port || machine_at_end(machine, free, port))
		return error_set("out of memory");
	port->machine = machine;
	if (bus_claim_ports(&machine->bus, SYSTEM_PORT, 1, 1, access_port, port))
		return -1;
	return state_add(machine, "systemport", save, restore, port);
}

DEVICE(systemport, create);
