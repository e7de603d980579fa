// SPDX-License-Identifier: GPL-2.0-only
/*
 * The commands of the remote serial protocol (gdb's manual, appendix E): a table of
 * packets, each with what it does. An empty answer means that it is not known, so
 * gdb asks for optional things without harm. Needs no module; tested and fuzzed natively.
 */
#include "vmm/gdb_session.h"

#include <stdlib.h>
#include <string.h>

/* Errors: the numbers are errno's, which is what gdb's other stubs tell */
#define MALFORMED	"E22"
#define NOT_MAPPED	"E14"
#define NO_ROOM		"E28"
#define NO_MEMORY	"E12"

static void answer(struct gdb_session *session, const char *text)
{
	gdb_reply_data(&session->reply, text, strlen(text));
}

/* ---- threads ------------------------------------------------------------- */

/* "-1" (all), "0" (any) or a number; *vcpu is GDB_VCPUS for the first two */
static bool take_thread(struct gdb_session *session, const char **text, u32 *vcpu)
{
	u64 number;

	*vcpu = GDB_VCPUS;
	if (gdb_take_word(text, "-1"))
		return true;
	if (!gdb_take_number(text, &number) || number > session->target->vcpus)
		return false;
	if (number)
		*vcpu = number - 1;
	return true;
}

static void set_thread(struct gdb_session *session, const char *text)
{
	bool resumed = *text == 'c';
	u32 vcpu;

	text += *text == 'c' || *text == 'g';
	if (!take_thread(session, &text, &vcpu)) {
		answer(session, MALFORMED);
		return;
	}
	if (resumed)
		session->resumed = vcpu;
	else if (vcpu < GDB_VCPUS)
		session->vcpu = vcpu;
	answer(session, "OK");
}

static void thread_alive(struct gdb_session *session, const char *text)
{
	u32 vcpu;

	answer(session, take_thread(session, &text, &vcpu) ? "OK" : MALFORMED);
}

static void current_thread(struct gdb_session *session, const char *text)
{
	(void)text;
	gdb_reply_text(&session->reply, "QC%x", session->vcpu + 1);
}

#define LISTED_AT_ONCE	32

static void next_threads(struct gdb_session *session, const char *text)
{
	u32 end = session->listed + LISTED_AT_ONCE;
	char separator = 'm';

	(void)text;
	if (session->listed >= session->target->vcpus)
		answer(session, "l");
	for (; session->listed < session->target->vcpus && session->listed < end;
	     session->listed++) {
		gdb_reply_text(&session->reply, "%c%x", separator, session->listed + 1);
		separator = ',';
	}
}

static void first_threads(struct gdb_session *session, const char *text)
{
	session->listed = 0;
	next_threads(session, text);
}

static void thread_info(struct gdb_session *session, const char *text)
{
	char description[128] = "";
	u32 vcpu;

	if (!take_thread(session, &text, &vcpu) || vcpu == GDB_VCPUS) {
		answer(session, MALFORMED);
		return;
	}
	session->target->describe(session->opaque, vcpu, description, sizeof(description));
	gdb_reply_hex(&session->reply, description, strlen(description));
}

/* ---- stops --------------------------------------------------------------- */

static void tell_cause(struct gdb_session *session, const struct gdb_stop *stop)
{
	static const char *const watch[GDB_BREAKPOINTS] = {
		[GDB_WRITE] = "watch", [GDB_READ] = "rwatch", [GDB_ACCESS] = "awatch",
	};

	if (stop->cause == GDB_AT_SOFTWARE && session->tells_swbreak)
		answer(session, "swbreak:;");
	if (stop->cause != GDB_AT_HARDWARE)
		return;
	if (watch[stop->hit.kind])
		gdb_reply_text(&session->reply, "%s:%llx;", watch[stop->hit.kind], stop->hit.gla);
	else if (session->tells_hwbreak)
		answer(session, "hwbreak:;");
}

static void tell_stop(struct gdb_session *session, const char *text)
{
	const struct gdb_stop *stop = &session->stop;

	(void)text;
	gdb_reply_text(&session->reply, "T%02xthread:%x;", stop->signal, stop->vcpu + 1);
	tell_cause(session, stop);
}

/* ---- going on ------------------------------------------------------------ */

static void resume(struct gdb_session *session, const enum gdb_action actions[GDB_VCPUS])
{
	session->running = true;
	session->target->resume(session->opaque, actions);
}

/* c, s, C, S: of the thread that Hc named; the others run, too, unless one is stepped */
static void resume_as(struct gdb_session *session, enum gdb_action action)
{
	enum gdb_action actions[GDB_VCPUS];
	u32 vcpu = session->resumed == GDB_VCPUS ? session->vcpu : session->resumed, i;

	for (i = 0; i < GDB_VCPUS; i++)
		actions[i] = action == GDB_STEP ? GDB_STAY : GDB_CONTINUE;
	actions[vcpu] = action;
	resume(session, actions);
}

/* An address to go on from: gdb writes RIP instead */
static void resume_plainly(struct gdb_session *session, const char *text, enum gdb_action action)
{
	if (*text)
		answer(session, MALFORMED);
	else
		resume_as(session, action);
}

static void resume_continue(struct gdb_session *session, const char *text)
{
	resume_plainly(session, text, GDB_CONTINUE);
}

static void resume_step(struct gdb_session *session, const char *text)
{
	resume_plainly(session, text, GDB_STEP);
}

/* With a signal, which a machine has no use for */
static void resume_signal(struct gdb_session *session, const char *text, enum gdb_action action)
{
	u64 signal;

	if (gdb_take_number(&text, &signal))
		resume_plainly(session, text, action);
	else
		answer(session, MALFORMED);
}

static void resume_continue_signal(struct gdb_session *session, const char *text)
{
	resume_signal(session, text, GDB_CONTINUE);
}

static void resume_step_signal(struct gdb_session *session, const char *text)
{
	resume_signal(session, text, GDB_STEP);
}

static bool take_action(const char **text, enum gdb_action *action)
{
	static const struct {
		char letter;
		enum gdb_action action;
		bool signal;
	} letters[] = {
		{ 'c', GDB_CONTINUE, false }, { 'C', GDB_CONTINUE, true },
		{ 's', GDB_STEP, false }, { 'S', GDB_STEP, true }, { 't', GDB_STAY, false },
	};
	u64 signal;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(letters); i++) {
		if (!gdb_take_char(text, letters[i].letter))
			continue;
		*action = letters[i].action;
		return !letters[i].signal || gdb_take_number(text, &signal);
	}
	return false;
}

/* For each thread the leftmost action that names it, or all */
static bool take_actions(struct gdb_session *session, const char *text,
			 enum gdb_action actions[GDB_VCPUS])
{
	bool decided[GDB_VCPUS] = { false };
	enum gdb_action action;
	u32 vcpu, i;

	memset(actions, 0, GDB_VCPUS * sizeof(*actions));
	while (gdb_take_char(&text, ';')) {
		vcpu = GDB_VCPUS;
		if (!take_action(&text, &action) ||
		    (gdb_take_char(&text, ':') && !take_thread(session, &text, &vcpu)))
			return false;
		for (i = 0; i < session->target->vcpus; i++) {
			if (decided[i] || (vcpu != GDB_VCPUS && vcpu != i))
				continue;
			decided[i] = true;
			actions[i] = action;
		}
	}
	return !*text;
}

static bool any_runs(const enum gdb_action actions[GDB_VCPUS])
{
	u32 i;

	for (i = 0; i < GDB_VCPUS; i++)
		if (actions[i] != GDB_STAY)
			return true;
	return false;
}

static void resume_each(struct gdb_session *session, const char *text)
{
	enum gdb_action actions[GDB_VCPUS];

	if (take_actions(session, text, actions) && any_runs(actions))
		resume(session, actions);
	else
		answer(session, MALFORMED);
}

static void resume_kinds(struct gdb_session *session, const char *text)
{
	(void)text;
	answer(session, "vCont;c;C;s;S;t");
}

/* ---- registers ----------------------------------------------------------- */

static bool get_registers(struct gdb_session *session, struct gdb_registers *registers)
{
	memset(registers, 0, sizeof(*registers));
	if (!session->target->get(session->opaque, session->vcpu, registers))
		return true;
	answer(session, "E05");
	return false;
}

static void put_registers(struct gdb_session *session, const struct gdb_registers *old,
			  const struct gdb_registers *new)
{
	answer(session, session->target->set(session->opaque, session->vcpu, old, new) ?
	       MALFORMED : "OK");
}

static void read_registers(struct gdb_session *session, const char *text)
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

static void write_registers(struct gdb_session *session, const char *text)
{
	struct gdb_registers old, new;
	u8 bytes[GDB_REGISTERS * GDB_REGISTER_BYTES];
	u32 number, size, total = 0;

	for (number = 0; (size = gdb_register_bytes(session->mode, number)); number++)
		total += size;
	if (!gdb_take_bytes(&text, bytes, total)) {
		answer(session, MALFORMED);
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

static void read_register(struct gdb_session *session, const char *text)
{
	struct gdb_registers registers;
	u8 bytes[GDB_REGISTER_BYTES];
	u32 number;

	if (!take_register(session, &text, &number)) {
		answer(session, MALFORMED);
		return;
	}
	if (!get_registers(session, &registers))
		return;
	gdb_register_get(session->mode, &registers, number, bytes);
	gdb_reply_hex(&session->reply, bytes, gdb_register_bytes(session->mode, number));
}

static void write_register(struct gdb_session *session, const char *text)
{
	struct gdb_registers old, new;
	u8 bytes[GDB_REGISTER_BYTES];
	u32 number;

	if (!take_register(session, &text, &number) || !gdb_take_char(&text, '=') ||
	    !gdb_take_bytes(&text, bytes, gdb_register_bytes(session->mode, number))) {
		answer(session, MALFORMED);
		return;
	}
	if (!get_registers(session, &old))
		return;
	new = old;
	gdb_register_set(session->mode, &new, number, bytes);
	put_registers(session, &old, &new);
}

/* ---- memory -------------------------------------------------------------- */

#define MOST_BYTES	((GDB_PACKET - 8) / 2)

static bool take_range(const char **text, u64 *gla, u64 *length)
{
	return gdb_take_number(text, gla) && gdb_take_char(text, ',') &&
	       gdb_take_number(text, length);
}

static void read_memory(struct gdb_session *session, const char *text)
{
	u8 data[MOST_BYTES];
	u64 gla, length;
	size_t got;

	if (!take_range(&text, &gla, &length) || *text) {
		answer(session, MALFORMED);
		return;
	}
	length = length < sizeof(data) ? length : sizeof(data);
	got = session->target->read(session->opaque, session->vcpu, gla, data, length);
	if (length && !got)
		answer(session, NOT_MAPPED);
	gdb_reply_hex(&session->reply, data, got);
}

static void write_bytes(struct gdb_session *session, u64 gla, const void *data, size_t length)
{
	answer(session, session->target->write(session->opaque, session->vcpu, gla, data, length) ?
	       "OK" : NOT_MAPPED);
}

static void write_memory(struct gdb_session *session, const char *text)
{
	u8 data[MOST_BYTES];
	u64 gla, length;

	if (!take_range(&text, &gla, &length) || !gdb_take_char(&text, ':') ||
	    length > sizeof(data) || !gdb_take_bytes(&text, data, length))
		answer(session, MALFORMED);
	else
		write_bytes(session, gla, data, length);
}

static void write_binary(struct gdb_session *session, const char *text)
{
	const char *end = (const char *)session->in.data + session->in.length;
	u64 gla, length;

	if (!take_range(&text, &gla, &length) || !gdb_take_char(&text, ':') ||
	    length != (u64)(end - text))
		answer(session, MALFORMED);
	else
		write_bytes(session, gla, text, length);
}

/* ---- breakpoints --------------------------------------------------------- */

static bool take_breakpoint(const char **text, enum gdb_breakpoint *kind, u64 *gla, u64 *length)
{
	u64 number;

	if (!gdb_take_number(text, &number) || number >= GDB_BREAKPOINTS ||
	    !gdb_take_char(text, ',') || !take_range(text, gla, length))
		return false;
	*kind = number;
	return !**text;
}

static void insert_breakpoint(struct gdb_session *session, const char *text)
{
	static const char *const answers[] = {
		[GDB_INSERTED] = "OK", [GDB_NO_ROOM] = NO_ROOM, [GDB_IMPOSSIBLE] = MALFORMED,
		[GDB_UNMAPPED] = NOT_MAPPED,
	};
	enum gdb_breakpoint kind;
	u64 gla, length;

	if (take_breakpoint(&text, &kind, &gla, &length))
		answer(session, answers[session->target->insert(session->opaque, session->vcpu,
								kind, gla, length)]);
	else
		answer(session, MALFORMED);
}

static void remove_breakpoint(struct gdb_session *session, const char *text)
{
	enum gdb_breakpoint kind;
	u64 gla, length;

	if (!take_breakpoint(&text, &kind, &gla, &length)) {
		answer(session, MALFORMED);
		return;
	}
	session->target->remove(session->opaque, kind, gla, length);
	answer(session, "OK");
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
	answer(session, "OK");
}

/* Asked only for what was there before: quitting leaves it running */
static void attached(struct gdb_session *session, const char *text)
{
	(void)text;
	answer(session, "1");
}

static void read_description(struct gdb_session *session, const char *text)
{
	u64 offset, length, size = strlen(session->description);

	if (!gdb_take_word(&text, "target.xml:") || !take_range(&text, &offset, &length)) {
		answer(session, "E00");
		return;
	}
	offset = offset < size ? offset : size;
	length = length < size - offset ? length : size - offset;
	length = length < MOST_BYTES ? length : MOST_BYTES;
	answer(session, offset + length < size ? "m" : "l");
	gdb_reply_data(&session->reply, session->description + offset, length);
}

static void monitor(struct gdb_session *session, const char *text)
{
	char command[256] = "", *output = NULL;
	size_t length = strlen(text) / 2, size;
	FILE *file;

	if (length >= sizeof(command) || !gdb_take_bytes(&text, command, length)) {
		answer(session, MALFORMED);
		return;
	}
	file = open_memstream(&output, &size);
	if (!file) {
		answer(session, NO_MEMORY);
		return;
	}
	if (!session->target->monitor(session->opaque, session->vcpu, command, file))
		fprintf(file, "not known; `monitor help` lists what is\n");
	fclose(file);
	gdb_reply_hex(&session->reply, output, size < MOST_BYTES ? size : MOST_BYTES);
	free(output);
}

static void detach(struct gdb_session *session, const char *text)
{
	(void)text;
	session->over = true;
	session->target->detach(session->opaque);
	answer(session, "OK");
}

static void kill_machine(struct gdb_session *session, const char *text)
{
	(void)text;
	session->over = true;
	session->target->kill(session->opaque);
	answer(session, "OK");
}

/* ---- the table ----------------------------------------------------------- */

/* handle() gets what follows the word. Longer words first where one begins another. */
static const struct {
	const char *word;
	void (*handle)(struct gdb_session *session, const char *text);
} packets[] = {
	{ "?", tell_stop },
	{ "C", resume_continue_signal },
	{ "D", detach },
	{ "G", write_registers },
	{ "H", set_thread },
	{ "M", write_memory },
	{ "P", write_register },
	{ "QStartNoAckMode", without_acks },
	{ "S", resume_step_signal },
	{ "T", thread_alive },
	{ "X", write_binary },
	{ "Z", insert_breakpoint },
	{ "c", resume_continue },
	{ "g", read_registers },
	{ "k", kill_machine },
	{ "m", read_memory },
	{ "p", read_register },
	{ "qAttached", attached },
	{ "qC", current_thread },
	{ "qRcmd,", monitor },
	{ "qSupported", supported },
	{ "qThreadExtraInfo,", thread_info },
	{ "qXfer:features:read:", read_description },
	{ "qfThreadInfo", first_threads },
	{ "qsThreadInfo", next_threads },
	{ "s", resume_step },
	{ "vCont?", resume_kinds },
	{ "vCont", resume_each },
	{ "vKill", kill_machine },
	{ "z", remove_breakpoint },
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
		answer(session, MALFORMED);
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
	tell_stop(session, "");
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
	answer(session, "O");
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
