// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ways a PC is told to end: the ACPI sleep and reset registers that the FADT
 * names, the chipset's reset control at 0xcf9, and the keyboard controller's reset
 * line (of that controller nothing else is here; with --legacy there is all of it, in i8042.c). A reset ends the machine: whoever
 * wants it to boot again starts it again.
 */
#include "boot/boot.h"
#include "vmm/machine.h"

/* ACPI 6.0, 4.8.3.7: sleep control */
#define SLEEP_ENABLE		(1 << 5)
#define SLEEP_TYPE(value)	((value) >> 2 & 7)

#define RESET_CONTROL		0xcf9
#define RESET_CPU		(1 << 2)

#define KEYBOARD_COMMAND	0x64
#define KEYBOARD_RESET		0xfe

static void reset(struct machine *machine)
{
	machine_end(machine, END_RESET, "the guest asked for a reset");
}

/* Reads as "nothing to report": there is no waking up */
static u64 access_sleep_status(void *device, u64 offset, u32 length, bool write, u64 value)
{
	(void)device;
	(void)offset;
	(void)length;
	(void)write;
	(void)value;
	return 0;
}

static u64 access_sleep_control(void *device, u64 offset, u32 length, bool write, u64 value)
{
	(void)offset;
	(void)length;
	if (write && value & SLEEP_ENABLE && SLEEP_TYPE(value) == ACPI_S5)
		machine_end(device, END_POWEROFF, NULL);
	return 0;
}

static u64 access_reset(void *device, u64 offset, u32 length, bool write, u64 value)
{
	(void)offset;
	(void)length;
	if (write && value == ACPI_RESET_VALUE)
		reset(device);
	return 0;
}

static u64 access_reset_control(void *device, u64 offset, u32 length, bool write, u64 value)
{
	(void)offset;
	(void)length;
	if (write && value & RESET_CPU)
		reset(device);
	return 0;
}

/* Reads stay all ones, as if there were no controller, so that nobody waits for it */
static u64 access_keyboard(void *device, u64 offset, u32 length, bool write, u64 value)
{
	(void)offset;
	(void)length;
	if (write && value == KEYBOARD_RESET)
		reset(device);
	return ~0ULL;
}

static const struct {
	u16 port;
	bus_access *access;
} ports[] = {
	{ ACPI_SLEEP_CONTROL, access_sleep_control },
	{ ACPI_SLEEP_STATUS, access_sleep_status },
	{ ACPI_RESET, access_reset },
	{ RESET_CONTROL, access_reset_control },
	{ KEYBOARD_COMMAND, access_keyboard },
};

static int create(struct machine *machine)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(ports); i++)
		if (!(ports[i].port == KEYBOARD_COMMAND && machine->config->legacy) &&
		    bus_claim_ports(&machine->bus, ports[i].port, 1, 1, ports[i].access, machine))
			return -1;
	return 0;
}

DEVICE(reset, create);
