/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A line of tracefs' trace or trace_pipe, taken apart. The module's events (module/trace.h) are
 * name=value; a value ends where the next name begins.
 */
#ifndef THV_LIB_TRACELINE_H
#define THV_LIB_TRACELINE_H

#include "lib/types.h"

enum traceline_kind {
	TRACELINE_OTHER,	/* a comment, another module's event: nothing of ours */
	TRACELINE_EVENT,
	TRACELINE_LOST,		/* "CPU:1 [LOST 12 EVENTS]" */
};

/**
 * struct traceline - what a line says.
 * @event: without "thv_"; points into the line, as @fields does.
 * @fields: the rest: name=value ...
 * @time: the time stamp: counter ticks, or nanoseconds if @in_ns.
 * @cpu: of the host.
 * @vm, @vcpu: out of the fields; @vcpu is -1 for an event of the whole VM.
 * @lost: of TRACELINE_LOST: how many.
 */
struct traceline {
	char *event, *fields;
	u64 time;
	bool in_ns;
	u32 cpu, vm;
	int vcpu;
	u64 lost;
};

/* Changes @text, which has no end of line */
enum traceline_kind traceline_parse(char *text, struct traceline *line);

/*
 * The next name and value at *@fields, which moves on; false: no more. The name is cut to its
 * buffer, the value points into the text and is @length long.
 */
bool traceline_next(const char **fields, char name[24], const char **value, int *length);

/* A field's number; false: there is none of that name, or it is none */
bool traceline_number(const struct traceline *line, const char *name, u64 *number);
/* A field's text, cut to the buffer; empty if there is none */
const char *traceline_text(const struct traceline *line, const char *name, char *text, int size);

#endif
