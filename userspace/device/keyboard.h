/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A PC's keyboard, as the controller in front of it (i8042.c) talks to it: bytes to it, and a queue of
 * bytes from it. The controller's lock guards it.
 */
#ifndef THV_DEVICE_KEYBOARD_H
#define THV_DEVICE_KEYBOARD_H

#include "lib/types.h"

#define KEYBOARD_QUEUE	64	/* bytes that wait; a power of two */

struct keyboard {
	u8 command;		/* whose parameter is awaited; 0: none */
	u8 scan_set;
	bool scanning;		/* it sends keys */
	u8 queue[KEYBOARD_QUEUE];
	u8 head, count;
};

void keyboard_init(struct keyboard *keyboard);

/* A byte from the host, the answer to it in the queue. @translated: the controller makes set 1 of set 2. */
void keyboard_write(struct keyboard *keyboard, u8 value, bool translated);

/* The first byte of the queue; there must be one */
u8 keyboard_take(struct keyboard *keyboard);

/* Characters that there is room for; and one, as a US keyboard has it: lost without room, or if it has no key */
size_t keyboard_room(const struct keyboard *keyboard);
void keyboard_type(struct keyboard *keyboard, char character);

/* May a saved keyboard wait for this command's parameter? */
bool keyboard_awaits(u8 command);

#endif
