// SPDX-License-Identifier: GPL-2.0-only
/*
 * The debug-exit port: a write of any width ends the machine, and its lowest byte
 * is the launcher's exit status. For guests that test something.
 */
#include "vmm/machine.h"

static u64 access_exit(void *device, u64 offset, u32 length, bool write, u64 value)
{
	(void)offset;
	(void)length;
	if (write)
		machine_end(device, value & 0xff, NULL);
	return ~0ULL;
}

static int create(struct machine *machine)
{
	if (!machine->config->debug_exit)
		return 0;
	return bus_claim_ports(&machine->bus, machine->config->debug_exit, 1, 4, access_exit,
			       machine);
}

DEVICE(debugexit, create);
