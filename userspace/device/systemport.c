// SPDX-License-Identifier: GPL-2.0-only
/*
 * System control port B at 0x61, of which a PC's kernels ask who has sent an NMI: neither memory
 * (bit 7) nor an expansion card (bit 6). The four bits below 16 hold what was written: they
 * would gate those two, the second timer and the loudspeaker. Bit 5 is that timer's output:
 * high, as if it had run out, for there is none, and nobody is to wait for it.
 */
#include <stdatomic.h>
#include <stdlib.h>

#include "lib/error.h"
#include "vmm/machine.h"

#define SYSTEM_PORT	0x61
#define GATES		0x0f
#define TIMER_OUTPUT	0x20

static u64 access_port(void *device, u64 offset, u32 length, bool write, u64 value)
{
	atomic_uchar *gates = device;

	(void)offset;
	(void)length;
	if (write)
		*gates = value & GATES;
	return TIMER_OUTPUT | *gates;
}

static int create(struct machine *machine)
{
	atomic_uchar *gates = calloc(1, sizeof(*gates));

	if (!gates || machine_at_end(machine, free, gates))
		return error_set("out of memory");
	return bus_claim_ports(&machine->bus, SYSTEM_PORT, 1, 1, access_port, gates);
}

DEVICE(systemport, create);
