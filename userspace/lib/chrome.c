// SPDX-License-Identifier: GPL-2.0-only
/* Written as the events come: nothing but the slice that each vCPU is in is kept. */
#include "lib/chrome.h"

#include <string.h>

#define VM_TRACK	THV_MAX_VCPUS

/* ---- writing ------------------------------------------------------------ */

/* What all events have; times are microseconds, with three more digits */
static void open_event(struct chrome *chrome, const char *phase, const char *name, u32 vm,
		       u32 track, u64 ns)
{
	struct json *json = &chrome->json;

	json_open(json, NULL, '{');
	json_text(json, "ph", phase);
	json_text(json, "name", name);
	json_number(json, "pid", vm);
	json_number(json, "tid", track);
	json_micros(json, "ts", ns);
}

static void name_thing(struct chrome *chrome, const char *what, u32 vm, u32 track,
		       const char *name)
{
	open_event(chrome, "M", what, vm, track, 0);
	json_open(&chrome->json, "args", '{');
	json_text(&chrome->json, "name", name);
	json_close(&chrome->json, '}');
	json_close(&chrome->json, '}');
}

static void name_track(struct chrome *chrome, u32 vm, u32 track)
{
	char name[32];

	if (chrome->track[track].named)
		return;
	chrome->track[track].named = true;
	snprintf(name, sizeof(name), "VM %u", vm);
	name_thing(chrome, "process_name", vm, track, name);
	if (track == VM_TRACK)
		snprintf(name, sizeof(name), "VM");
	else
		snprintf(name, sizeof(name), "vCPU %u", track);
	name_thing(chrome, "thread_name", vm, track, name);
}

/* The slice that has lasted until now, if one is known */
static void close_slice(struct chrome *chrome, u32 vm, u32 track, u64 ns)
{
	struct chrome_track *slice = &chrome->track[track];

	if (!slice->category)
		return;
	open_event(chrome, "X", slice->name, vm, track, slice->since);
	json_micros(&chrome->json, "dur", ns > slice->since ? ns - slice->since : 0);
	json_text(&chrome->json, "cat", slice->category);
	json_close(&chrome->json, '}');
	slice->category = NULL;
}

static void change_slice(struct chrome *chrome, const struct traceline *line, u64 ns,
			 const char *category, const char *name)
{
	struct chrome_track *slice = &chrome->track[line->vcpu];

	close_slice(chrome, line->vm, line->vcpu, ns);
	slice->category = category;
	slice->since = ns;
	snprintf(slice->name, sizeof(slice->name), "%s", name);
}

static void instant(struct chrome *chrome, const struct traceline *line, u32 track, u64 ns)
{
	const char *fields = line->fields, *value;
	char name[24], text[256];
	int length;

	open_event(chrome, "i", line->event, line->vm, track, ns);
	json_text(&chrome->json, "s", "t");
	json_open(&chrome->json, "args", '{');
	while (traceline_next(&fields, name, &value, &length)) {
		snprintf(text, sizeof(text), "%.*s", length, value);
		json_text(&chrome->json, name, text);
	}
	json_close(&chrome->json, '}');
	json_close(&chrome->json, '}');
}

/* ---- which slice an event begins ----------------------------------------- */

static void to_kernel(struct chrome *chrome, const struct traceline *line, u64 ns)
{
	change_slice(chrome, line, ns, "kernel", "THV_RUN");
}

static void to_guest(struct chrome *chrome, const struct traceline *line, u64 ns)
{
	change_slice(chrome, line, ns, "guest", "guest");
}

static void to_exit(struct chrome *chrome, const struct traceline *line, u64 ns)
{
	char reason[48];

	change_slice(chrome, line, ns, "kernel",
		     traceline_text(line, "reason", reason, sizeof(reason)));
}

static void to_launcher(struct chrome *chrome, const struct traceline *line, u64 ns)
{
	char name[48] = "launcher: ";

	traceline_text(line, "exit", name + strlen(name), sizeof(name) - strlen(name));
	change_slice(chrome, line, ns, "launcher", name);
}

static void to_state(struct chrome *chrome, const struct traceline *line, u64 ns)
{
	char state[48];

	traceline_text(line, "to", state, sizeof(state));
	if (strcmp(state, "running"))
		change_slice(chrome, line, ns, "asleep", state);
	else
		change_slice(chrome, line, ns, "kernel", "woken");
}

static const struct {
	const char *event;
	void (*begin)(struct chrome *chrome, const struct traceline *line, u64 ns);
} slices[] = {
	{ "run", to_kernel },
	{ "entry", to_guest },
	{ "exit", to_exit },
	{ "return", to_launcher },
	{ "state_vcpu", to_state },
};

void chrome_begin(struct chrome *chrome, FILE *file)
{
	memset(chrome, 0, sizeof(*chrome));
	chrome->json.file = file;
	json_open(&chrome->json, NULL, '{');
	json_text(&chrome->json, "displayTimeUnit", "ns");
	json_open(&chrome->json, "traceEvents", '[');
}

void chrome_event(struct chrome *chrome, const struct traceline *line, u64 ns)
{
	u32 track = line->vcpu < 0 || line->vcpu >= VM_TRACK ? VM_TRACK : line->vcpu;
	size_t i;

	chrome->last = ns > chrome->last ? ns : chrome->last;
	chrome->vm = line->vm;
	name_track(chrome, line->vm, track);
	for (i = 0; track != VM_TRACK && i < ARRAY_SIZE(slices); i++) {
		if (!strcmp(slices[i].event, line->event)) {
			slices[i].begin(chrome, line, ns);
			fputc('\n', chrome->json.file);
			return;
		}
	}
	instant(chrome, line, track, ns);
	fputc('\n', chrome->json.file);
}

int chrome_end(struct chrome *chrome)
{
	u32 track;

	for (track = 0; track < VM_TRACK; track++)
		close_slice(chrome, chrome->vm, track, chrome->last);
	json_close(&chrome->json, ']');
	json_close(&chrome->json, '}');
	fputc('\n', chrome->json.file);
	return fflush(chrome->json.file) || ferror(chrome->json.file) ? -1 : 0;
}
