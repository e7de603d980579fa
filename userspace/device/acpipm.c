// SPDX-License-Identifier: GPL-2.0-only
/*
 * ACPI's fixed hardware (ACPI 6.0, 4.8), which a machine with --legacy has in place of the registers
 * of a hardware-reduced one: PM1 status and enable bits, of which only the timer's ever
 * change; PM1 control, which powers off; and the timer of 3.579545 MHz. Its interrupt is IRQ 9.
 */
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "boot/boot.h"
#include "lib/error.h"
#include "vmm/machine.h"
#include "vmm/state.h"

#define PM_HZ		3579545ULL
#define NS		1000000000ULL

#define TIMER_STATUS	0x0001		/* its highest bit has changed */
#define STATUS		(TIMER_STATUS | 0x0100)	/* bits a write of 1 clears */
#define ENABLES		0x0721

#define CONTROL_ACPI	0x0001		/* SCI_EN: there is nothing but ACPI here */
#define CONTROL_KEEPS	0x1c06
#define SLEEP_ENABLE	(1 << 13)
#define SLEEP_TYPE(value) ((value) >> 10 & 7)

struct acpipm {
	pthread_mutex_t lock;
	struct machine *machine;
	u16 status, enable, control;
	u32 half;			/* the timer's highest bit when it was last looked at */
};

static u32 timer(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * PM_HZ + now.tv_nsec * PM_HZ / NS;
}

/* The status bit, as of now. Who wants its interrupt has to look at the registers now and then. */
static void update(struct acpipm *pm)
{
	u32 half = timer() >> 31;

	if (half != pm->half)
		pm->status |= TIMER_STATUS;
	pm->half = half;
	irq_set(pm->machine, IRQ_ACPI, pm->status & pm->enable);
}

static u64 access_event(void *device, u64 offset, u32 length, bool write, u64 value)
{
	struct acpipm *pm = device;
	u64 result = 0;

	pthread_mutex_lock(&pm->lock);
	update(pm);
	if (length == 4)
		result = pm->status | (u32)pm->enable << 16;
	else
		result = (offset < 2 ? pm->status : pm->enable) >> 8 * (offset & 1);
	if (write && offset < 2)
		pm->status &= ~(value << 8 * offset & STATUS);
	if (write && offset == 2)
		pm->enable = value & ENABLES;
	if (write && length == 4)
		pm->enable = value >> 16 & ENABLES;
	update(pm);
	pthread_mutex_unlock(&pm->lock);
	return result;
}

static u64 access_control(void *device, u64 offset, u32 length, bool write, u64 value)
{
	struct acpipm *pm = device;
	u64 result;

	(void)length;
	pthread_mutex_lock(&pm->lock);
	if (write && !offset)
		pm->control = value & CONTROL_KEEPS;
	result = (pm->control | CONTROL_ACPI) >> 8 * offset;
	pthread_mutex_unlock(&pm->lock);
	if (write && !offset && value & SLEEP_ENABLE && SLEEP_TYPE(value) == ACPI_S5)
		machine_end(pm->machine, END_POWEROFF, NULL);
	return result;
}

static u64 access_timer(void *device, u64 offset, u32 length, bool write, u64 value)
{
	(void)device;
	(void)length;
	(void)write;
	(void)value;
	return timer() >> 8 * offset;
}

static const struct state_field fields[] = {
	STATE(struct acpipm, status),
	STATE(struct acpipm, enable, .maximum = ENABLES),
	STATE(struct acpipm, control, .maximum = CONTROL_KEEPS),
	{ 0 }
};

static int save(void *opaque, const char *name, struct state *state)
{
	return state_save_table(state, name, fields, opaque);
}

/* The timer itself goes on from the host's: it wraps every 20 minutes, and nobody keeps a time by it alone */
static int restore(void *opaque, const char *name, const struct state *state)
{
	return state_restore_table(state, name, fields, opaque);
}

static int create(struct machine *machine)
{
	struct acpipm *pm;

	if (!machine->config->legacy)
		return 0;
	pm = calloc(1, sizeof(*pm));
	if (!pm || machine_at_end(machine, free, pm))
		return error_set("out of memory");
	pthread_mutex_init(&pm->lock, NULL);
	pm->machine = machine;
	pm->half = timer() >> 31;
	if (bus_claim_ports(&machine->bus, ACPI_PM1_EVENT, 4, 4, access_event, pm) ||
	    bus_claim_ports(&machine->bus, ACPI_PM1_CONTROL, 2, 2, access_control, pm) ||
	    bus_claim_ports(&machine->bus, ACPI_PM_TIMER, 4, 4, access_timer, pm))
		return -1;
	return state_add(machine, "acpipm", save, restore, pm);
}

DEVICE(acpipm, create);
