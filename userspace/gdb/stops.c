// SPDX-License-Identifier: GPL-2.0-only
/* What makes the machine stop, breakpoints, and how gdb is told that it has. */
#include "gdb/commands.h"

/* ---- stops --------------------------------------------------------------- */

static void tell_cause(struct gdb_session *session, const struct gdb_stop *stop)
{
	static const char *const watch[GDB_BREAKPOINTS] = {
		[GDB_WRITE] = "watch", [GDB_READ] = "rwatch", [GDB_ACCESS] = "awatch",
	};

	if (stop->cause == GDB_AT_SOFTWARE && session->tells_swbreak)
		gdb_answer(session, "swbreak:;");
	if (stop->cause != GDB_AT_HARDWARE)
		return;
	if (watch[stop->hit.kind])
		gdb_reply_text(&session->reply, "%s:%llx;", watch[stop->hit.kind], stop->hit.gla);
	else if (session->tells_hwbreak)
		gdb_answer(session, "hwbreak:;");
}

void gdb_tell_stop(struct gdb_session *session, const char *text)
{
	const struct gdb_stop *stop = &session->stop;

	(void)text;
	gdb_reply_text(&session->reply, "T%02xthread:%x;", stop->signal, stop->vcpu + 1);
	tell_cause(session, stop);
}

/* ---- breakpoints --------------------------------------------------------- */

static bool take_breakpoint(const char **text, enum gdb_breakpoint *kind, u64 *gla, u64 *length)
{
	u64 number;

	if (!gdb_take_number(text, &number) || number >= GDB_BREAKPOINTS ||
	    !gdb_take_char(text, ',') || !gdb_take_range(text, gla, length))
		return false;
	*kind = number;
	return !**text;
}

void gdb_insert_breakpoint(struct gdb_session *session, const char *text)
{
	static const char *const answers[] = {
		[GDB_INSERTED] = "OK", [GDB_NO_ROOM] = GDB_E_NO_ROOM,
		[GDB_IMPOSSIBLE] = GDB_E_MALFORMED, [GDB_UNMAPPED] = GDB_E_NOT_MAPPED,
	};
	enum gdb_inserted inserted = GDB_IMPOSSIBLE;
	enum gdb_breakpoint kind;
	u64 gla, length;

	if (take_breakpoint(&text, &kind, &gla, &length))
		inserted = session->target->insert(session->opaque, session->vcpu, kind, gla,
						   length);
	gdb_answer(session, answers[inserted]);
}

void gdb_remove_breakpoint(struct gdb_session *session, const char *text)
{
	enum gdb_breakpoint kind;
	u64 gla, length;

	if (!take_breakpoint(&text, &kind, &gla, &length)) {
		gdb_answer(session, GDB_E_MALFORMED);
		return;
	}
	session->target->remove(session->opaque, kind, gla, length);
	gdb_answer(session, "OK");
}
