// SPDX-License-Identifier: GPL-2.0-only
/*
 * The keyboard controller of a PC (Intel 8042), at ports 0x60 and 0x64, IRQ 1, with a keyboard at it
 * (keyboard.c). Only with --legacy; without, reset.c answers for its reset line. There is no mouse.
 *
 * Keys come from --keyboard. A guest that switches translation off gets none.
 */
#include "device/i8042.h"

#include <stdlib.h>

#include "boot/boot.h"
#include "lib/error.h"
#include "vmm/channel.h"
#include "vmm/machine.h"
#include "vmm/state.h"

#define DATA_PORT	0x60
#define COMMAND_PORT	0x64

#define STATUS_FULL	0x01		/* there is a byte to read */
#define STATUS_SYSTEM	0x04
#define STATUS_COMMAND	0x08		/* what was written last was a command */
#define STATUS_UNLOCKED	0x10

#define MODE_INTERRUPT	0x01
#define MODE_SYSTEM	0x04
#define MODE_DISABLED	0x10
#define MODE_NO_MOUSE	0x20
#define MODE_TRANSLATE	0x40
#define MODE_BITS	0x77

#define OUTPUT_NO_RESET	0x01
#define OUTPUT_A20	0x02

/* The controller's commands with a parameter */
#define WRITE_MODE	0x60
#define WRITE_OUTPUT	0xd1
#define WRITE_QUEUE	0xd2
#define WRITE_MOUSE	0xd4

#define SELF_TEST_OK	0x55

/* ---- what can be read -------------------------------------------------------- */

static bool keyboard_speaks(const struct i8042 *i8042)
{
	return i8042->keyboard.count && !(i8042->mode & MODE_DISABLED);
}

static bool full(const struct i8042 *i8042)
{
	return i8042->own || keyboard_speaks(i8042);
}

static void update(struct i8042 *i8042)
{
	i8042->irq(i8042->machine, IRQ_KEYBOARD, full(i8042) && i8042->mode & MODE_INTERRUPT);
}

static void answer(struct i8042 *i8042, u8 byte)
{
	i8042->own = true;
	i8042->own_byte = byte;
}

/* Each byte is an edge of the interrupt's line: it goes down in between */
static u8 take(struct i8042 *i8042)
{
	u8 byte = i8042->own_byte;

	i8042->irq(i8042->machine, IRQ_KEYBOARD, false);
	if (i8042->own) {
		i8042->own = false;
		return byte;
	}
	if (!keyboard_speaks(i8042))
		return byte;		/* the last one, again */
	byte = keyboard_take(&i8042->keyboard);
	i8042->own_byte = byte;
	if (i8042->waits && !i8042->keyboard.count) {
		i8042->waits = false;
		channel_resume(i8042->channel);
	}
	return byte;
}

/* ---- the controller ----------------------------------------------------------- */

static void reset_line(struct i8042 *i8042)
{
	machine_end(i8042->machine, END_RESET, "the guest asked for a reset");
}

static void write_output(struct i8042 *i8042, u8 value)
{
	if (!(value & OUTPUT_NO_RESET))
		reset_line(i8042);
	i8042->output = value | OUTPUT_NO_RESET;
}

static void parameter(struct i8042 *i8042, u8 value)
{
	u8 command = i8042->command;

	i8042->command = 0;
	if (command == WRITE_MODE)
		i8042->mode = value & MODE_BITS;
	else if (command == WRITE_OUTPUT)
		write_output(i8042, value);
	else if (command == WRITE_QUEUE)
		answer(i8042, value);
	/* WRITE_MOUSE: there is none, so nobody answers */
}

static void command(struct i8042 *i8042, u8 value)
{
	i8042->command = 0;
	switch (value) {
	case 0x20:
		answer(i8042, i8042->mode);
		break;
	case 0xa7:
		i8042->mode |= MODE_NO_MOUSE;
		break;
	case 0xa8:
		i8042->mode &= ~MODE_NO_MOUSE;
		break;
	case 0xa9:			/* test of the mouse's lines: its clock hangs */
		answer(i8042, 0x01);
		break;
	case 0xaa:
		i8042->mode |= MODE_SYSTEM;
		answer(i8042, SELF_TEST_OK);
		break;
	case 0xab:
		answer(i8042, 0);
		break;
	case 0xad:
		i8042->mode |= MODE_DISABLED;
		break;
	case 0xae:
		i8042->mode &= ~MODE_DISABLED;
		break;
	case 0xc0:			/* the input port: not locked */
		answer(i8042, 0x80);
		break;
	case 0xd0:
		answer(i8042, i8042->output);
		break;
	case WRITE_MODE:
	case WRITE_OUTPUT:
	case WRITE_QUEUE:
	case WRITE_MOUSE:
		i8042->command = value;
		break;
	case 0xf0 ... 0xff:		/* pulse those lines whose bits are 0 */
		if (!(value & OUTPUT_NO_RESET))
			reset_line(i8042);
		break;
	}
}

/* Whoever writes to it wants to hear it */
static void to_keyboard(struct i8042 *i8042, u8 value)
{
	i8042->mode &= ~MODE_DISABLED;
	keyboard_write(&i8042->keyboard, value, i8042->mode & MODE_TRANSLATE);
}

u64 i8042_data(void *device, u64 offset, u32 length, bool write, u64 value)
{
	struct i8042 *i8042 = device;
	u8 result = 0;

	(void)offset;
	(void)length;
	pthread_mutex_lock(&i8042->lock);
	if (!write)
		result = take(i8042);
	else if (i8042->command)
		parameter(i8042, value);
	else
		to_keyboard(i8042, value);
	update(i8042);
	pthread_mutex_unlock(&i8042->lock);
	return result;
}

u64 i8042_command(void *device, u64 offset, u32 length, bool write, u64 value)
{
	struct i8042 *i8042 = device;
	u8 result;

	(void)offset;
	(void)length;
	pthread_mutex_lock(&i8042->lock);
	if (write)
		command(i8042, value);
	result = STATUS_UNLOCKED | (full(i8042) ? STATUS_FULL : 0) |
		 (i8042->mode & MODE_SYSTEM ? STATUS_SYSTEM : 0) |
		 (i8042->command ? STATUS_COMMAND : 0);
	update(i8042);
	pthread_mutex_unlock(&i8042->lock);
	return result;
}

void i8042_type(struct i8042 *i8042, char character)
{
	pthread_mutex_lock(&i8042->lock);
	if (i8042->mode & MODE_TRANSLATE)
		keyboard_type(&i8042->keyboard, character);
	update(i8042);
	pthread_mutex_unlock(&i8042->lock);
}

/* ---- the state ------------------------------------------------------------------ */

#define KEYBOARD(member, ...) STATE_NAMED(#member, struct i8042, keyboard.member, ##__VA_ARGS__)

static const struct state_field fields[] = {
	STATE(struct i8042, mode, .maximum = MODE_BITS),
	STATE(struct i8042, output),
	STATE(struct i8042, command),
	STATE(struct i8042, own, .maximum = 1),
	STATE(struct i8042, own_byte),
	KEYBOARD(scanning, .maximum = 1),
	KEYBOARD(queue, .bytes = true),
	KEYBOARD(head, .maximum = KEYBOARD_QUEUE - 1),
	KEYBOARD(count, .maximum = KEYBOARD_QUEUE),
	{ 0 }
};

int i8042_save(void *opaque, const char *name, struct state *state)
{
	struct i8042 *i8042 = opaque;

	pthread_mutex_lock(&i8042->lock);
	state_begin(state, name, 1);
	state_save(state, fields, i8042);
	state_put(state, "keyboard_command", i8042->keyboard.command);
	state_put(state, "scan_set", i8042->keyboard.scan_set);
	pthread_mutex_unlock(&i8042->lock);
	return state_end(state);
}

/* Of these two a wrong one would be a wrong index */
static int get_keyboard(struct state_record *record, u64 *awaited, u64 *set)
{
	if (state_get(record, "keyboard_command", 0xff, awaited) ||
	    state_get(record, "scan_set", 3, set))
		return -1;
	if (!*set || !keyboard_awaits(*awaited))
		return error_set("%s: an impossible keyboard", record->what);
	return 0;
}

int i8042_restore(void *opaque, const char *name, const struct state *state)
{
	struct state_record record;
	struct i8042 *i8042 = opaque;
	u64 awaited, set;

	if (state_find(state, name, 1, &record) || get_keyboard(&record, &awaited, &set) ||
	    state_restore(&record, fields, i8042) || state_done(&record))
		return -1;
	pthread_mutex_lock(&i8042->lock);
	i8042->keyboard.command = awaited;
	i8042->keyboard.scan_set = set;
	pthread_mutex_unlock(&i8042->lock);
	return 0;
}

/* ---- the device ------------------------------------------------------------------ */

void i8042_init(struct i8042 *i8042, struct machine *machine,
		void (*irq)(struct machine *machine, u32 pin, bool level))
{
	*i8042 = (struct i8042){
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.machine = machine,
		.irq = irq,
		.mode = MODE_SYSTEM | MODE_NO_MOUSE | MODE_TRANSLATE,
		.output = OUTPUT_NO_RESET | OUTPUT_A20,
	};
	keyboard_init(&i8042->keyboard);
}

/* ---- who types: --keyboard ------------------------------------------------------- */

/* A character waits until there is room for the longest keystroke */
static size_t room(void *opaque)
{
	struct i8042 *i8042 = opaque;
	size_t keys;

	pthread_mutex_lock(&i8042->lock);
	keys = keyboard_room(&i8042->keyboard);
	i8042->waits = !keys;
	pthread_mutex_unlock(&i8042->lock);
	return keys;
}

static void receive(void *opaque, const u8 *data, size_t length)
{
	while (length--)
		i8042_type(opaque, *data++);
}

static void nothing(void *opaque)
{
	(void)opaque;
}

static void on_end(void *opaque, int signal)
{
	struct i8042 *i8042 = opaque;

	machine_end(i8042->machine, signal ? END_SIGNAL + signal : END_POWEROFF, NULL);
}

static const struct channel_user user = {
	.room = room,
	.receive = receive,
	.line_break = nothing,
	.writable = nothing,
	.end = on_end,
};

static void finish(void *opaque)
{
	struct i8042 *i8042 = opaque;

	if (i8042->channel)
		channel_close(i8042->channel);
	free(i8042);
}

static int create(struct machine *machine)
{
	struct i8042 *i8042;

	if (!machine->config->legacy)
		return 0;
	i8042 = malloc(sizeof(*i8042));
	if (!i8042)
		return error_set("out of memory");
	i8042_init(i8042, machine, irq_set);
	if (machine_at_end(machine, finish, i8042))
		return -1;
	if (machine->config->keyboard) {
		i8042->channel = channel_open(machine->config->keyboard, "the keyboard",
					      &machine->events, &user, i8042);
		if (!i8042->channel)
			return -1;
	}
	if (bus_claim_ports(&machine->bus, DATA_PORT, 1, 1, i8042_data, i8042) ||
	    bus_claim_ports(&machine->bus, COMMAND_PORT, 1, 1, i8042_command, i8042))
		return -1;
	return state_add(machine, "i8042", i8042_save, i8042_restore, i8042);
}

DEVICE(i8042, create);
