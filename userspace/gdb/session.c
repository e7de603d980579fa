// SPDX-License-Identifier: GPL-2.0-only
/*
 * The remote serial protocol (gdb's manual, appendix E): bytes in, packets out of them, each to its
 * handler by the table, and the answer out. An empty answer means that a packet is not known,
 * so gdb asks for optional things without harm. Handlers are here if they are about the
 * session itself, else in threads.c, state.c, stops.c and resume.c. None of these needs the module;
 * they are tested and fuzzed natively.
 */
#include "gdb/commands.h"

#include <stdlib.h>
#include <string.h>

void gdb_answer(struct gdb_session *session, const char *text)
{
	gdb_reply_data(&session->reply, text, strlen(text));
}

/* ---- the session --------------------------------------------------------- */

static void supported(struct gdb_session *session, const char *text)
{
	session->tells_swbreak = strstr(text, "swbreak+");
	session->tells_hwbreak = strstr(text, "hwbreak+");
	gdb_reply_text(&session->reply,
		       "PacketSize=%x;QStartNoAckMode+;qXfer:features:read+;vContSupported+;swbreak+;hwbreak+",
		       GDB_PACKET);
}

static void without_acks(struct gdb_session *session, const char *text)
{
	(void)text;
	session->agreed = true;
	gdb_answer(session, "OK");
}

/* Asked only for what was there before: quitting leaves it running */
static void attached(struct gdb_session *session, const char *text)
{
	(void)text;
	gdb_answer(session, "1");
}

static void read_description(struct gdb_session *session, const char *text)
{
	u64 offset, length, size = strlen(session->description);

	if (!gdb_take_word(&text, "target.xml:") || !gdb_take_range(&text, &offset, &length)) {
		gdb_answer(session, "E00");
		return;
	}
	offset = offset < size ? offset : size;
	length = length < size - offset ? length : size - offset;
	length = length < GDB_MOST_BYTES ? length : GDB_MOST_BYTES;
	gdb_answer(session, offset + length < size ? "m" : "l");
	gdb_reply_data(&session->reply, session->description + offset, length);
}

static void monitor(struct gdb_session *session, const char *text)
{
	char command[256] = "", *output = NULL;
	size_t length = strlen(text) / 2, size;
	FILE *file;

	if (length >= sizeof(command) || !gdb_take_bytes(&text, command, length)) {
		gdb_answer(session, GDB_E_MALFORMED);
		return;
	}
	file = open_memstream(&output, &size);
	if (!file) {
		gdb_answer(session, GDB_E_NO_MEMORY);
		return;
	}
	if (!session->target->monitor(session->opaque, session->vcpu, command, file))
		fprintf(file, "not known; `monitor help` lists what is\n");
	fclose(file);
	gdb_reply_hex(&session->reply, output, size < GDB_MOST_BYTES ? size : GDB_MOST_BYTES);
	free(output);
}

static void detach(struct gdb_session *session, const char *text)
{
	(void)text;
	session->over = true;
	session->target->detach(session->opaque);
	gdb_answer(session, "OK");
}

static void kill_machine(struct gdb_session *session, const char *text)
{
	(void)text;
	session->over = true;
	session->target->kill(session->opaque);
	gdb_answer(session, "OK");
}

/* ---- the table ----------------------------------------------------------- */

/* handle() gets what follows the word. Longer words first where one begins another. */
static const struct {
	const char *word;
	gdb_handler *handle;
} packets[] = {
	{ "?", gdb_tell_stop },
	{ "C", gdb_resume_continue_signal },
	{ "D", detach },
	{ "G", gdb_write_registers },
	{ "H", gdb_set_thread },
	{ "M", gdb_write_memory },
	{ "P", gdb_write_register },
	{ "QStartNoAckMode", without_acks },
	{ "S", gdb_resume_step_signal },
	{ "T", gdb_thread_alive },
	{ "X", gdb_write_binary },
	{ "Z", gdb_insert_breakpoint },
	{ "c", gdb_resume_continue },
	{ "g", gdb_read_registers },
	{ "k", kill_machine },
	{ "m", gdb_read_memory },
	{ "p", gdb_read_register },
	{ "qAttached", attached },
	{ "qC", gdb_current_thread },
	{ "qRcmd,", monitor },
	{ "qSupported", supported },
	{ "qThreadExtraInfo,", gdb_thread_info },
	{ "qXfer:features:read:", read_description },
	{ "qfThreadInfo", gdb_first_threads },
	{ "qsThreadInfo", gdb_next_threads },
	{ "s", gdb_resume_step },
	{ "vCont?", gdb_resume_kinds },
	{ "vCont", gdb_resume_each },
	{ "vKill", kill_machine },
	{ "z", gdb_remove_breakpoint },
};

static void dispatch(struct gdb_session *session)
{
	const char *text = (const char *)session->in.data;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(packets); i++) {
		if (!gdb_take_word(&text, packets[i].word))
			continue;
		packets[i].handle(session, text);
		return;
	}
}

/* ---- bytes --------------------------------------------------------------- */

static size_t send(struct gdb_session *session, const char *ack, u8 *out)
{
	size_t length = session->no_acks ? 0 : strlen(ack);

	memcpy(out, ack, length);
	memcpy(out + length, session->reply.data, session->reply.length);
	return length + session->reply.length;
}

static size_t send_ack(struct gdb_session *session, const char *ack, u8 *out)
{
	size_t length = session->no_acks ? 0 : strlen(ack);

	memcpy(out, ack, length);
	return length;
}

/* A packet that lets the machine run is answered when that stops */
static size_t handle_packet(struct gdb_session *session, u8 *out)
{
	size_t length;

	if (session->running)
		return send_ack(session, "+", out);
	gdb_reply_begin(&session->reply);
	dispatch(session);
	if (session->running)
		return send_ack(session, "+", out);
	gdb_reply_end(&session->reply);
	length = send(session, "+", out);
	session->no_acks |= session->agreed;
	return length;
}

static size_t handle_input(struct gdb_session *session, enum gdb_input input, u8 *out)
{
	switch (input) {
	case GDB_PACKET_READY:
		return handle_packet(session, out);
	case GDB_INTERRUPT:
		if (session->running)
			session->target->interrupt(session->opaque);
		return 0;
	case GDB_AGAIN:
		return session->running || session->no_acks ? 0 : send(session, "", out);
	case GDB_DAMAGED:
		return send_ack(session, "-", out);
	case GDB_TOO_LONG:
		gdb_reply_begin(&session->reply);
		gdb_answer(session, GDB_E_MALFORMED);
		gdb_reply_end(&session->reply);
		return send(session, "+", out);
	default:
		return 0;
	}
}

size_t gdb_session_take(struct gdb_session *session, const u8 *bytes, size_t length, u8 *out,
			size_t *out_length)
{
	size_t taken = 0;

	*out_length = 0;
	while (taken < length && !*out_length && !session->over)
		*out_length = handle_input(session, gdb_packet_byte(&session->in, bytes[taken++]),
					   out);
	return taken;
}

size_t gdb_session_stopped(struct gdb_session *session, const struct gdb_stop *stop, u8 *out)
{
	session->running = false;
	session->stop = *stop;
	session->vcpu = stop->vcpu;
	session->resumed = GDB_VCPUS;
	gdb_reply_begin(&session->reply);
	gdb_tell_stop(session, "");
	gdb_reply_end(&session->reply);
	return send(session, "", out);
}

size_t gdb_session_ended(struct gdb_session *session, int status, int signal, u8 *out)
{
	session->running = false;
	session->over = true;
	gdb_reply_begin(&session->reply);
	gdb_reply_text(&session->reply, signal ? "X%02x" : "W%02x", signal ? signal : status & 0xff);
	gdb_reply_end(&session->reply);
	return send(session, "", out);
}

size_t gdb_session_say(struct gdb_session *session, const char *text, u8 *out)
{
	gdb_reply_begin(&session->reply);
	gdb_answer(session, "O");
	gdb_reply_hex(&session->reply, text, strlen(text));
	gdb_reply_end(&session->reply);
	return send(session, "", out);
}

/* ---- life ---------------------------------------------------------------- */

int gdb_session_begin(struct gdb_session *session, const struct gdb_target *target, void *opaque,
		      const struct gdb_stop *stop)
{
	struct gdb_registers registers = { 0 };

	*session = (struct gdb_session){
		.target = target,
		.opaque = opaque,
		.stop = *stop,
		.vcpu = stop->vcpu,
		.resumed = GDB_VCPUS,
	};
	gdb_reply_begin(&session->reply);
	gdb_reply_end(&session->reply);
	target->get(opaque, stop->vcpu, &registers);
	session->mode = gdb_mode(&registers.sregs);
	session->description = gdb_description(session->mode);
	return session->description ? 0 : -1;
}

void gdb_session_end(struct gdb_session *session)
{
	free(session->description);
	session->description = NULL;
}
