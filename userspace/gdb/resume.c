// SPDX-License-Identifier: GPL-2.0-only
/* Going on: which vCPUs run, which take a step, which stay. */
#include "gdb/commands.h"

#include <string.h>

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
		gdb_answer(session, GDB_E_MALFORMED);
	else
		resume_as(session, action);
}

void gdb_resume_continue(struct gdb_session *session, const char *text)
{
	resume_plainly(session, text, GDB_CONTINUE);
}

void gdb_resume_step(struct gdb_session *session, const char *text)
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
		gdb_answer(session, GDB_E_MALFORMED);
}

void gdb_resume_continue_signal(struct gdb_session *session, const char *text)
{
	resume_signal(session, text, GDB_CONTINUE);
}

void gdb_resume_step_signal(struct gdb_session *session, const char *text)
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
		    (gdb_take_char(&text, ':') && !gdb_take_thread(session, &text, &vcpu)))
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

void gdb_resume_each(struct gdb_session *session, const char *text)
{
	enum gdb_action actions[GDB_VCPUS];

	if (take_actions(session, text, actions) && any_runs(actions))
		resume(session, actions);
	else
		gdb_answer(session, GDB_E_MALFORMED);
}

void gdb_resume_kinds(struct gdb_session *session, const char *text)
{
	(void)text;
	gdb_answer(session, "vCont;c;C;s;S;t");
}
