// SPDX-License-Identifier: GPL-2.0-only
/* Registers and memory, read and written. */
#include "gdb/commands.h"

#include <string.h>

/* ---- registers ----------------------------------------------------------- */

static bool get_registers(struct gdb_session *session, struct gdb_registers *registers)
{
	memset(registers, 0, sizeof(*registers));
	if (!session->target->get(session->opaque, session->vcpu, registers))
		return true;
	gdb_answer(session, GDB_E_IO);
	return false;
}

static void put_registers(struct gdb_session *session, const struct gdb_registers *old,
			  const struct gdb_registers *new)
{
	gdb_answer(session, session->target->set(session->opaque, session->vcpu, old, new) ?
	       GDB_E_MALFORMED : "OK");
}

void gdb_read_registers(struct gdb_session *session, const char *text)
{
	struct gdb_registers registers;
	u8 bytes[GDB_REGISTER_BYTES];
	u32 number, size;

	(void)text;
	if (!get_registers(session, &registers))
		return;
	for (number = 0; (size = gdb_register_bytes(session->mode, number)); number++) {
		gdb_register_get(session->mode, &registers, number, bytes);
		gdb_reply_hex(&session->reply, bytes, size);
	}
}

void gdb_write_registers(struct gdb_session *session, const char *text)
{
	struct gdb_registers old, new;
	u8 bytes[GDB_REGISTERS * GDB_REGISTER_BYTES];
	u32 number, size, total = 0;

	for (number = 0; (size = gdb_register_bytes(session->mode, number)); number++)
		total += size;
	if (!gdb_take_bytes(&text, bytes, total)) {
		gdb_answer(session, GDB_E_MALFORMED);
		return;
	}
	if (!get_registers(session, &old))
		return;
	new = old;
	total = 0;
	for (number = 0; (size = gdb_register_bytes(session->mode, number)); number++) {
		gdb_register_set(session->mode, &new, number, bytes + total);
		total += size;
	}
	put_registers(session, &old, &new);
}

static bool take_register(struct gdb_session *session, const char **text, u32 *number)
{
	u64 value;

	if (!gdb_take_number(text, &value) || value >= gdb_register_count(session->mode))
		return false;
	*number = value;
	return true;
}

void gdb_read_register(struct gdb_session *session, const char *text)
{
	struct gdb_registers registers;
	u8 bytes[GDB_REGISTER_BYTES];
	u32 number;

	if (!take_register(session, &text, &number)) {
		gdb_answer(session, GDB_E_MALFORMED);
		return;
	}
	if (!get_registers(session, &registers))
		return;
	gdb_register_get(session->mode, &registers, number, bytes);
	gdb_reply_hex(&session->reply, bytes, gdb_register_bytes(session->mode, number));
}

void gdb_write_register(struct gdb_session *session, const char *text)
{
	struct gdb_registers old, new;
	u8 bytes[GDB_REGISTER_BYTES];
	u32 number;

	if (!take_register(session, &text, &number) || !gdb_take_char(&text, '=') ||
	    !gdb_take_bytes(&text, bytes, gdb_register_bytes(session->mode, number))) {
		gdb_answer(session, GDB_E_MALFORMED);
		return;
	}
	if (!get_registers(session, &old))
		return;
	new = old;
	gdb_register_set(session->mode, &new, number, bytes);
	put_registers(session, &old, &new);
}

/* ---- memory -------------------------------------------------------------- */

void gdb_read_memory(struct gdb_session *session, const char *text)
{
	u8 data[GDB_MOST_BYTES];
	u64 gla, length;
	size_t got;

	if (!gdb_take_range(&text, &gla, &length) || *text) {
		gdb_answer(session, GDB_E_MALFORMED);
		return;
	}
	length = length < sizeof(data) ? length : sizeof(data);
	got = session->target->read(session->opaque, session->vcpu, gla, data, length);
	if (length && !got)
		gdb_answer(session, GDB_E_NOT_MAPPED);
	gdb_reply_hex(&session->reply, data, got);
}

static void write_bytes(struct gdb_session *session, u64 gla, const void *data, size_t length)
{
	gdb_answer(session, session->target->write(session->opaque, session->vcpu, gla, data, length) ?
	       "OK" : GDB_E_NOT_MAPPED);
}

void gdb_write_memory(struct gdb_session *session, const char *text)
{
	u8 data[GDB_MOST_BYTES];
	u64 gla, length;

	if (!gdb_take_range(&text, &gla, &length) || !gdb_take_char(&text, ':') ||
	    length > sizeof(data) || !gdb_take_bytes(&text, data, length))
		gdb_answer(session, GDB_E_MALFORMED);
	else
		write_bytes(session, gla, data, length);
}

void gdb_write_binary(struct gdb_session *session, const char *text)
{
	const char *end = (const char *)session->in.data + session->in.length;
	u64 gla, length;

	if (!gdb_take_range(&text, &gla, &length) || !gdb_take_char(&text, ':') ||
	    length != (u64)(end - text))
		gdb_answer(session, GDB_E_MALFORMED);
	else
		write_bytes(session, gla, text, length);
}
