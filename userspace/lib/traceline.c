// SPDX-License-Identifier: GPL-2.0-only
/* What tracefs prints, read back: the head of a line from the right, its fields from the left. */
#include "lib/traceline.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX	": thv_"

/* "123" ticks, or "12.345678" seconds */
static bool parse_time(const char *text, struct traceline *line)
{
	unsigned long long seconds, micros;
	char end;

	line->in_ns = sscanf(text, "%llu.%6llu%c", &seconds, &micros, &end) == 2;
	if (line->in_ns) {
		line->time = (seconds * 1000000 + micros) * 1000;
		return true;
	}
	if (sscanf(text, "%llu%c", &seconds, &end) != 1)
		return false;
	line->time = seconds;
	return true;
}

/* task-pid [cpu] flags time: what stands before the event, from the right: a task's name is free */
static bool parse_head(char *head, struct traceline *line)
{
	char *time = strrchr(head, ' '), *cpu;

	if (!time || !parse_time(time + 1, line))
		return false;
	*time = 0;
	for (cpu = time; cpu > head && *cpu != '['; cpu--)
		;
	return sscanf(cpu, "[%u]", &line->cpu) == 1;
}

static bool parse_lost(const char *text, struct traceline *line)
{
	unsigned long long lost;

	if (sscanf(text, "CPU:%u [LOST %llu EVENTS]", &line->cpu, &lost) != 2)
		return false;
	line->lost = lost;
	return true;
}

enum traceline_kind traceline_parse(char *text, struct traceline *line)
{
	char *prefix = strstr(text, PREFIX), *fields;
	u64 number;

	memset(line, 0, sizeof(*line));
	if (parse_lost(text, line))
		return TRACELINE_LOST;
	if (!prefix)
		return TRACELINE_OTHER;
	*prefix = 0;
	line->event = prefix + strlen(PREFIX);
	fields = strchr(line->event, ':');
	if (!fields || !parse_head(text, line))
		return TRACELINE_OTHER;
	*fields = 0;
	line->fields = fields + 1;
	if (!traceline_number(line, "vm", &number))
		return TRACELINE_OTHER;
	line->vm = number;
	line->vcpu = traceline_number(line, "vcpu", &number) ? (int)number : -1;
	return TRACELINE_EVENT;
}

/* How long is the name that begins here? 0: none does. */
static int name_length(const char *text)
{
	int length = 0;

	while (isalnum((unsigned char)text[length]) || text[length] == '_')
		length++;
	return text[length] == '=' ? length : 0;
}

bool traceline_next(const char **fields, char name[24], const char **value, int *length)
{
	const char *at = *fields, *end;
	int size;

	at += strspn(at, " ");
	size = name_length(at);
	if (!size)
		return false;
	snprintf(name, 24, "%.*s", size, at);
	*value = at + size + 1;
	for (end = *value; *end && !(*end == ' ' && name_length(end + 1)); end++)
		;
	*fields = end;
	while (end > *value && end[-1] == ' ')
		end--;
	*length = end - *value;
	return true;
}

static bool find(const struct traceline *line, const char *wanted, const char **value, int *length)
{
	const char *fields = line->fields;
	char name[24];

	while (traceline_next(&fields, name, value, length))
		if (!strcmp(name, wanted))
			return true;
	return false;
}

bool traceline_number(const struct traceline *line, const char *name, u64 *number)
{
	const char *value;
	char *end;
	int length;

	if (!find(line, name, &value, &length) || !length)
		return false;
	*number = strtoull(value, &end, 0);
	return end == value + length;
}

const char *traceline_text(const struct traceline *line, const char *name, char *text, int size)
{
	const char *value = "";
	int length = 0;

	find(line, name, &value, &length);
	snprintf(text, size, "%.*s", length, value);
	return text;
}
