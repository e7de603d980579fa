// SPDX-License-Identifier: GPL-2.0-only
/* Packets in and out, and the numbers in them. Needs nothing; tested and fuzzed natively. */
#include "gdb/packet.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define ESCAPE		0x7d	/* the byte after it is XORed with the next */
#define ESCAPED_XOR	0x20
#define INTERRUPT	0x03

static int digit(u8 c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* ---- in ----------------------------------------------------------------- */

enum { OUTSIDE, INSIDE, SUM_HIGH, SUM_LOW };

static void start(struct gdb_packet *in)
{
	in->state = INSIDE;
	in->length = 0;
	in->sum = 0;
	in->escaped = false;
	in->too_long = false;
}

static enum gdb_input outside(struct gdb_packet *in, u8 byte)
{
	if (byte == '$')
		start(in);
	if (byte == '-')
		return GDB_AGAIN;
	return byte == INTERRUPT ? GDB_INTERRUPT : GDB_MORE;
}

static void store(struct gdb_packet *in, u8 byte)
{
	if (in->length < GDB_PACKET)
		in->data[in->length++] = byte;
	else
		in->too_long = true;
}

/* A $ cannot be inside, so a packet has been cut off: the next begins */
static void inside(struct gdb_packet *in, u8 byte)
{
	if (byte == '$') {
		start(in);
	} else if (byte == '#') {
		in->state = SUM_HIGH;
	} else {
		in->sum += byte;
		if (in->escaped)
			store(in, byte ^ ESCAPED_XOR);
		else if (byte != ESCAPE)
			store(in, byte);
		in->escaped = !in->escaped && byte == ESCAPE;
	}
}

static enum gdb_input finish(struct gdb_packet *in, bool good)
{
	in->state = OUTSIDE;
	in->data[in->length] = 0;
	if (!good)
		return GDB_DAMAGED;
	return in->too_long ? GDB_TOO_LONG : GDB_PACKET_READY;
}

enum gdb_input gdb_packet_byte(struct gdb_packet *in, u8 byte)
{
	int value = digit(byte);

	switch (in->state) {
	case OUTSIDE:
		return outside(in, byte);
	case INSIDE:
		inside(in, byte);
		return GDB_MORE;
	case SUM_HIGH:
		if (value < 0)
			return finish(in, false);
		in->told = value << 4;
		in->state = SUM_LOW;
		return GDB_MORE;
	default:
		return finish(in, value >= 0 && (in->told | value) == in->sum);
	}
}

/* ---- out ---------------------------------------------------------------- */

#define ROOM	(GDB_PACKET + 1)	/* with the $; behind it, the checksum */

static void put(struct gdb_reply *reply, u8 byte)
{
	if (reply->length >= ROOM)
		return;
	reply->data[reply->length++] = byte;
	reply->sum += byte;
}

void gdb_reply_begin(struct gdb_reply *reply)
{
	reply->data[0] = '$';
	reply->length = 1;
	reply->sum = 0;
}

void gdb_reply_data(struct gdb_reply *reply, const void *data, size_t length)
{
	const u8 *bytes = data;
	size_t i;

	for (i = 0; i < length && reply->length + 2 <= ROOM; i++) {
		if (memchr("$#}*", bytes[i], 4)) {
			put(reply, ESCAPE);
			put(reply, bytes[i] ^ ESCAPED_XOR);
		} else {
			put(reply, bytes[i]);
		}
	}
}

void gdb_reply_hex(struct gdb_reply *reply, const void *data, size_t length)
{
	static const char digits[] = "0123456789abcdef";
	const u8 *bytes = data;
	size_t i;

	for (i = 0; i < length && reply->length + 2 <= ROOM; i++) {
		put(reply, digits[bytes[i] >> 4]);
		put(reply, digits[bytes[i] & 15]);
	}
}

void gdb_reply_text(struct gdb_reply *reply, const char *format, ...)
{
	va_list arguments;
	char text[512];

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	gdb_reply_data(reply, text, strlen(text));
}

void gdb_reply_end(struct gdb_reply *reply)
{
	u8 sum = reply->sum;
	char tail[4];

	snprintf(tail, sizeof(tail), "#%02x", sum);
	memcpy(reply->data + reply->length, tail, 3);
	reply->length += 3;
}

/* ---- what is in a packet ------------------------------------------------- */

bool gdb_take_number(const char **text, u64 *value)
{
	u32 digits;

	*value = 0;
	for (digits = 0; digit(**text) >= 0; digits++) {
		if (digits >= 16)
			return false;
		*value = *value << 4 | digit(*(*text)++);
	}
	return digits;
}

bool gdb_take_char(const char **text, char c)
{
	if (**text != c)
		return false;
	++*text;
	return true;
}

bool gdb_take_range(const char **text, u64 *gla, u64 *length)
{
	return gdb_take_number(text, gla) && gdb_take_char(text, ',') &&
	       gdb_take_number(text, length);
}

bool gdb_take_word(const char **text, const char *word)
{
	size_t length = strlen(word);

	if (strncmp(*text, word, length))
		return false;
	*text += length;
	return true;
}

bool gdb_take_bytes(const char **text, void *data, size_t length)
{
	u8 *bytes = data;
	size_t i;

	for (i = 0; i < length; i++) {
		int high = digit((*text)[0]);
		int low = high < 0 ? -1 : digit((*text)[1]);

		if (low < 0)
			return false;
		bytes[i] = high << 4 | low;
		*text += 2;
	}
	return !**text;
}
