// SPDX-License-Identifier: GPL-2.0-only
/*
 * The keyboard at the controller of i8042.c: its commands, and characters as the keystrokes that a US
 * keyboard has for them. It keeps to scan code set 2, and the controller translates to set 1, as on every
 * PC; the keystrokes here are in set 1 already.
 */
#include "device/keyboard.h"

#include <string.h>

#define ACK		0xfa
#define RESEND		0xfe
#define TEST_OK		0xaa
#define ECHO		0xee
#define LAMPS		0xed	/* the lowest command */
#define SCAN_SET	0xf0
#define REPETITION	0xf3

static void send(struct keyboard *keyboard, u8 byte)
{
	if (keyboard->count < KEYBOARD_QUEUE)
		keyboard->queue[(keyboard->head + keyboard->count++) % KEYBOARD_QUEUE] = byte;
}

u8 keyboard_take(struct keyboard *keyboard)
{
	u8 byte = keyboard->queue[keyboard->head];

	keyboard->head = (keyboard->head + 1) % KEYBOARD_QUEUE;
	keyboard->count--;
	return byte;
}

/* ---- commands ------------------------------------------------------------------ */

static void defaults(struct keyboard *keyboard, bool translated)
{
	(void)translated;
	keyboard->scan_set = 2;
	keyboard->scanning = true;
}

static void reset(struct keyboard *keyboard, bool translated)
{
	defaults(keyboard, translated);
	send(keyboard, TEST_OK);
}

/* "MF II" keyboard; the controller translates the second byte */
static void identify(struct keyboard *keyboard, bool translated)
{
	send(keyboard, 0xab);
	send(keyboard, translated ? 0x41 : 0x83);
}

static void enable(struct keyboard *keyboard, bool translated)
{
	(void)translated;
	keyboard->scanning = true;
}

static void disable(struct keyboard *keyboard, bool translated)
{
	defaults(keyboard, translated);
	keyboard->scanning = false;
}

/* Parameters: which lamps, how fast keys repeat; nobody sees either */
static void ignore(struct keyboard *keyboard, u8 value, bool translated)
{
	(void)keyboard;
	(void)value;
	(void)translated;
}

static void scan_set(struct keyboard *keyboard, u8 value, bool translated)
{
	static const u8 as_translated[] = { 0x43, 0x41, 0x3f };

	if (value && value <= 3)
		keyboard->scan_set = value;
	else if (!value)
		send(keyboard, translated ? as_translated[keyboard->scan_set - 1] : keyboard->scan_set);
}

/* What a command does once it is acknowledged; those with a parameter do it when that comes */
static const struct {
	u8 command;
	void (*run)(struct keyboard *keyboard, bool translated);
	void (*parameter)(struct keyboard *keyboard, u8 value, bool translated);
} commands[] = {
	{ LAMPS, NULL, ignore },
	{ SCAN_SET, NULL, scan_set },
	{ 0xf2, identify, NULL },
	{ REPETITION, NULL, ignore },
	{ 0xf4, enable, NULL },
	{ 0xf5, disable, NULL },
	{ 0xf6, defaults, NULL },
	{ 0xff, reset, NULL },
};

/* Its row; -1: there is none */
static int find(u8 command)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(commands); i++)
		if (commands[i].command == command)
			return i;
	return -1;
}

bool keyboard_awaits(u8 command)
{
	int row = find(command);

	return !command || (row >= 0 && commands[row].parameter);
}

static void take_command(struct keyboard *keyboard, u8 value, bool translated)
{
	int row = find(value);

	keyboard->command = 0;
	if (row < 0) {
		send(keyboard, value == ECHO ? ECHO : RESEND);
		return;
	}
	send(keyboard, ACK);
	if (commands[row].run)
		commands[row].run(keyboard, translated);
	else
		keyboard->command = value;
}

void keyboard_write(struct keyboard *keyboard, u8 value, bool translated)
{
	if (!keyboard->command || value >= LAMPS) {
		take_command(keyboard, value, translated);
		return;
	}
	send(keyboard, ACK);
	commands[find(keyboard->command)].parameter(keyboard, value, translated);
	keyboard->command = 0;
}

void keyboard_init(struct keyboard *keyboard)
{
	*keyboard = (struct keyboard){ 0 };
	defaults(keyboard, true);
}

/* ---- typing -------------------------------------------------------------------- */

#define SHIFT		0x2a
#define CONTROL		0x1d
#define RELEASED	0x80
#define KEYSTROKE	6		/* bytes of one, at most: with a modifier, down and up */

/* The keys of a US keyboard in the order of their scan codes (set 1), and what they are with Shift */
static const char plain[] = "\0\0331234567890-=\b\tqwertyuiop[]\r\0asdfghjkl;'`\0\\zxcvbnm,./\0*\0 ";
static const char shifted[] = "\0\0!@#$%^&*()_+\0\0QWERTYUIOP{}\0\0ASDFGHJKL:\"~\0|ZXCVBNM<>?";

static u8 key_of(const char *keys, size_t count, char character)
{
	const char *key = character ? memchr(keys + 1, character, count - 2) : NULL;

	return key ? key - keys : 0;
}

static void press(struct keyboard *keyboard, u8 modifier, u8 key)
{
	if (modifier)
		send(keyboard, modifier);
	send(keyboard, key);
	send(keyboard, key | RELEASED);
	if (modifier)
		send(keyboard, modifier | RELEASED);
}

size_t keyboard_room(const struct keyboard *keyboard)
{
	return (KEYBOARD_QUEUE - keyboard->count) / KEYSTROKE;
}

void keyboard_type(struct keyboard *keyboard, char character)
{
	u8 key;

	if (!keyboard->scanning || !keyboard_room(keyboard))
		return;
	if (character == '\n')
		character = '\r';
	if (character == 0x7f)
		character = '\b';
	key = key_of(plain, sizeof(plain), character);
	if (key) {
		press(keyboard, 0, key);
		return;
	}
	key = key_of(shifted, sizeof(shifted), character);
	if (key)
		press(keyboard, SHIFT, key);
	else if (character > 0 && character < 27)
		press(keyboard, CONTROL, key_of(plain, sizeof(plain), character + 'a' - 1));
}
