// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where processors wait that nobody has called yet (boot/park.c): a port whose reads take
 * a millisecond, during which the vCPU's thread sleeps. A signal ends that early, so a
 * debugger or the machine's end need not wait.
 */
#include <time.h>

#include "boot/boot.h"
#include "vmm/machine.h"

static u64 wait_a_while(void *device, u64 offset, u32 length, bool write, u64 value)
{
	static const struct timespec while_ = { .tv_nsec = 1000 * 1000 };

	(void)device;
	(void)offset;
	(void)length;
	(void)value;
	if (!write)
		nanosleep(&while_, NULL);
	return 0;
}

static int create(struct machine *machine)
{
	if (machine_has_real_mode(machine))
		return 0;
	return bus_claim_ports(&machine->bus, ACPI_PARK, 1, 1, wait_a_while, NULL);
}

DEVICE(park, create);
