// SPDX-License-Identifier: GPL-2.0-only
/* Threads of gdb's, which are vCPUs. */
#include "gdb/commands.h"

#include <string.h>

bool gdb_take_thread(struct gdb_session *session, const char **text, u32 *vcpu)
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

void gdb_set_thread(struct gdb_session *session, const char *text)
{
	bool resumed = *text == 'c';
	u32 vcpu;

	text += *text == 'c' || *text == 'g';
	if (!gdb_take_thread(session, &text, &vcpu)) {
		gdb_answer(session, GDB_E_MALFORMED);
		return;
	}
	if (resumed)
		session->resumed = vcpu;
	else if (vcpu < GDB_VCPUS)
		session->vcpu = vcpu;
	gdb_answer(session, "OK");
}

void gdb_thread_alive(struct gdb_session *session, const char *text)
{
	u32 vcpu;

	gdb_answer(session, gdb_take_thread(session, &text, &vcpu) ? "OK" : GDB_E_MALFORMED);
}

void gdb_current_thread(struct gdb_session *session, const char *text)
{
	(void)text;
	gdb_reply_text(&session->reply, "QC%x", session->vcpu + 1);
}

#define LISTED_AT_ONCE	32

void gdb_next_threads(struct gdb_session *session, const char *text)
{
	u32 end = session->listed + LISTED_AT_ONCE;
	char separator = 'm';

	(void)text;
	if (session->listed >= session->target->vcpus)
		gdb_answer(session, "l");
	for (; session->listed < session->target->vcpus && session->listed < end;
	     session->listed++) {
		gdb_reply_text(&session->reply, "%c%x", separator, session->listed + 1);
		separator = ',';
	}
}

void gdb_first_threads(struct gdb_session *session, const char *text)
{
	session->listed = 0;
	gdb_next_threads(session, text);
}

void gdb_thread_info(struct gdb_session *session, const char *text)
{
	char description[128] = "";
	u32 vcpu;

	if (!gdb_take_thread(session, &text, &vcpu) || vcpu == GDB_VCPUS) {
		gdb_answer(session, GDB_E_MALFORMED);
		return;
	}
	session->target->describe(session->opaque, vcpu, description, sizeof(description));
	gdb_reply_hex(&session->reply, description, strlen(description));
}
