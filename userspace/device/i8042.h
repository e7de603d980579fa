/* SPDX-License-Identifier: GPL-2.0-only */
/* The keyboard controller's insides, for its test; the machine needs none of this. */
#ifndef THV_DEVICE_I8042_H
#define THV_DEVICE_I8042_H

#include <pthread.h>

#include "device/keyboard.h"

struct channel;
struct machine;

struct i8042 {
	pthread_mutex_t lock;		/* guards all below */
	struct machine *machine;
	void (*irq)(struct machine *machine, u32 pin, bool level);
	u8 mode;			/* the "command byte" */
	u8 output;			/* the output port: reset line, A20 gate */
	u8 command;			/* to the controller, whose parameter is awaited; 0: none */
	bool own;			/* the next byte to be read is the controller's own answer */
	u8 own_byte;
	struct keyboard keyboard;
	struct channel *channel;	/* NULL: nobody types */
	bool waits;			/* it waits for channel_resume() */
};

void i8042_init(struct i8042 *i8042, struct machine *machine,
		void (*irq)(struct machine *machine, u32 pin, bool level));
u64 i8042_data(void *device, u64 offset, u32 length, bool write, u64 value);
u64 i8042_command(void *device, u64 offset, u32 length, bool write, u64 value);

/* Somebody types: what has no room is lost */
void i8042_type(struct i8042 *i8042, char character);

struct state;
int i8042_save(void *opaque, const char *name, struct state *state);
int i8042_restore(void *opaque, const char *name, const struct state *state);

#endif
