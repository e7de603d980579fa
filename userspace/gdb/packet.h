/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Packets of gdb's remote serial protocol: $data#checksum, acknowledged by + or -
 * until both sides agree to do without. Bytes go in one by one, packets come out;
 * what is to be sent is made in one buffer. Neither ever grows: a packet that is too
 * long is swallowed, a reply that is too long is cut.
 */
#ifndef THV_GDB_PACKET_H
#define THV_GDB_PACKET_H

#include "lib/types.h"

#define GDB_PACKET	16384		/* the most that is between $ and # */

enum gdb_input {
	GDB_MORE,		/* no packet yet */
	GDB_PACKET_READY,	/* in->data, in->length; terminated by a zero for convenience */
	GDB_INTERRUPT,		/* the byte 0x03 outside of a packet */
	GDB_AGAIN,		/* the other side wants the last reply again */
	GDB_DAMAGED,		/* a packet with a wrong checksum */
	GDB_TOO_LONG,		/* a good one that does not fit */
};

struct gdb_packet {
	u8 data[GDB_PACKET + 1];
	size_t length;
	u32 state;		/* ours, as all below */
	u8 sum, told;
	bool escaped, too_long;
};

/* Zero the struct to begin with. */
enum gdb_input gdb_packet_byte(struct gdb_packet *in, u8 byte);

/* A reply in the making: begin, add, end. It stays, to be sent again. */
struct gdb_reply {
	u8 data[GDB_PACKET + 8];
	size_t length;
	u8 sum;
};

void gdb_reply_begin(struct gdb_reply *reply);
void gdb_reply_data(struct gdb_reply *reply, const void *data, size_t length);	/* escaped */
void gdb_reply_hex(struct gdb_reply *reply, const void *data, size_t length);
__attribute__((format(printf, 2, 3)))
void gdb_reply_text(struct gdb_reply *reply, const char *format, ...);
void gdb_reply_end(struct gdb_reply *reply);

/*
 * Reading a packet: each moves *text on and answers whether it could. Numbers are
 * hexadecimal, of 64 bits at most.
 */
bool gdb_take_number(const char **text, u64 *value);
bool gdb_take_char(const char **text, char c);
/* "ADDRESS,LENGTH" */
bool gdb_take_range(const char **text, u64 *gla, u64 *length);
bool gdb_take_word(const char **text, const char *word);
/* Two digits a byte; exactly length bytes and then the end of the text */
bool gdb_take_bytes(const char **text, void *data, size_t length);

#endif
