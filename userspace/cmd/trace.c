// SPDX-License-Identifier: GPL-2.0-only
/* thv trace: what happens to a VM, as it happens, out of the module's tracepoints. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cmd/commands.h"
#include "lib/chrome.h"
#include "lib/control.h"
#include "lib/device.h"
#include "lib/error.h"
#include "lib/json.h"
#include "lib/ledger.h"
#include "lib/symbols.h"
#include "lib/traceline.h"
#include "lib/tracefs.h"

#define MSR_LSTAR	0xc0000082U

struct trace_values {
	const char *vm, *events, *output, *symbols, *chrome, *kaslr;
	u32 duration, count;
	u64 buffer;
	bool json;
};

#define FIELD(member)	.field = offsetof(struct trace_values, member)

static const struct option_row options[] = {
	{ "VM", NULL, "the VM: its number", option_text, FIELD(vm), .positional = true,
	  .required = true },
	{ "events", "LIST", "which, with commas: exit,inject,apic; apic stands for apic_timer and its like, too",
	  option_text, FIELD(events), .initial = "all" },
	{ "duration", "SECONDS", "end after that time", option_number, FIELD(duration),
	  .minimum = 1, .maximum = 86400 },
	{ "count", "N", "end after so many events", option_number, FIELD(count),
	  .minimum = 1, .maximum = 1000000000 },
	{ "output", "FILE", "write the events there instead of standard output",
	  option_text, FIELD(output) },
	{ "json", NULL, "print JSON, one object an event", option_flag, FIELD(json) },
	{ "symbols", "FILE", "name guest addresses out of this System.map or vmlinux",
	  option_text, FIELD(symbols) },
	{ "kaslr", "OFFSET", "how far from there the guest's kernel has been moved",
	  option_text, FIELD(kaslr) },
	{ "chrome", "FILE", "also write a timeline, for chrome://tracing and Perfetto",
	  option_text, FIELD(chrome) },
	{ "buffer", "SIZE", "room for events of each host CPU",
	  option_size, FIELD(buffer), .initial = "4M", .minimum = 65536,
	  .maximum = 1ULL << 30 },
	{ 0 }
};

static const char details[] =
	"Ends when the VM does, after --duration or --count, or by Ctrl-C. A line is: seconds since the "
	"first event, the vCPU (- for the whole VM), the event, what it says.\n\n"
	"Tracing is the host kernel's: it wants root. It is done in an instance of tracefs that is ours "
	"alone and goes with us; nobody else's tracing is touched. The same events are there for perf, "
	"trace-cmd and bpftrace, as thv:thv_exit and so on.\n\n"
	"Events that find no room in the buffer are lost; how many is said at the end. Fewer --events or a "
	"larger --buffer help.\n\n"
	"Where the guest's kernel has been moved to (KASLR) is found from the address of its system-call "
	"entry, if FILE has entry_SYSCALL_64 and the guest has set it up; else give --kaslr. The timeline "
	"of --chrome has a track for each vCPU, with its time in guest, kernel and launcher, and asleep.\n\n"
	"Example: thv trace 1 --events exit,page_fault --duration 5 --symbols System.map";

static const struct option_status statuses[] = {
	{ 0, "done" },
	{ STATUS_ERROR, "there is no such VM, or tracing is not to be had" },
	{ 0, NULL }
};

/* One recording */
struct recording {
	const struct trace_values *values;
	int vm;
	u32 khz;
	struct tracefs tracefs;
	struct symbols symbols;
	FILE *out, *timeline;
	struct chrome chrome;
	u64 first;		/* time of the first event */
	u64 events, lost;
	char text[65536];	/* what has been read, up to @filled */
	size_t filled;
};

static volatile sig_atomic_t stopped;

static void stop(int signal)
{
	(void)signal;
	stopped = 1;
}

/* ---- an event ----------------------------------------------------------- */

static bool name_address(const struct recording *recording, const struct traceline *line,
			 char *text, size_t size)
{
	u64 rip;

	return recording->symbols.count && traceline_number(line, "rip", &rip) &&
	       symbols_name(&recording->symbols, rip, text, size);
}

/* VM and vCPU have been said */
static bool wanted(const char *name)
{
	return strcmp(name, "vm") && strcmp(name, "vcpu");
}

static void print_text(struct recording *recording, const struct traceline *line, u64 ns)
{
	const char *fields = line->fields, *value;
	char name[24], symbol[300], vcpu[16] = "-";
	int length;

	if (line->vcpu >= 0)
		snprintf(vcpu, sizeof(vcpu), "%d", line->vcpu);
	fprintf(recording->out, "%4llu.%09llu %2s %-11s", ns / 1000000000, ns % 1000000000, vcpu,
		line->event);
	while (traceline_next(&fields, name, &value, &length)) {
		if (!wanted(name))
			continue;
		fprintf(recording->out, " %s=%.*s", name, length, value);
		if (!strcmp(name, "rip") &&
		    name_address(recording, line, symbol, sizeof(symbol)))
			fprintf(recording->out, " (%s)", symbol);
	}
	fputc('\n', recording->out);
}

static void print_json(struct recording *recording, const struct traceline *line, u64 ns)
{
	struct json json = { .file = recording->out };
	const char *fields = line->fields, *value;
	char name[24], text[300];
	int length;

	json_open(&json, NULL, '{');
	json_number(&json, "time_ns", ns);
	json_number(&json, "cpu", line->cpu);
	json_number(&json, "vm", line->vm);
	if (line->vcpu >= 0)
		json_number(&json, "vcpu", line->vcpu);
	json_text(&json, "event", line->event);
	while (traceline_next(&fields, name, &value, &length)) {
		if (!wanted(name))
			continue;
		snprintf(text, sizeof(text), "%.*s", length, value);
		json_text(&json, name, text);
	}
	if (name_address(recording, line, text, sizeof(text)))
		json_text(&json, "symbol", text);
	json_close(&json, '}');
	fputc('\n', recording->out);
}

/* Since the first event; one of another CPU may come a little behind */
static u64 relative(struct recording *recording, const struct traceline *line)
{
	u64 ticks;

	if (!recording->events)
		recording->first = line->time;
	ticks = line->time > recording->first ? line->time - recording->first : 0;
	return line->in_ns || !recording->khz ? ticks : ticks * (1e6 / recording->khz);
}

static bool enough(const struct recording *recording)
{
	return recording->values->count && recording->events >= recording->values->count;
}

static void take_line(struct recording *recording, char *text)
{
	struct traceline line;
	u64 ns;

	switch (traceline_parse(text, &line)) {
	case TRACELINE_EVENT:
		break;
	case TRACELINE_LOST:
		recording->lost += line.lost;
		return;
	default:
		return;
	}
	if (enough(recording))
		return;
	ns = relative(recording, &line);
	recording->events++;
	if (recording->values->json)
		print_json(recording, &line, ns);
	else
		print_text(recording, &line, ns);
	if (recording->timeline)
		chrome_event(&recording->chrome, &line, ns);
}

/* ---- reading ------------------------------------------------------------ */

static void take_lines(struct recording *recording)
{
	char *start = recording->text, *end;

	recording->text[recording->filled] = 0;
	while ((end = strchr(start, '\n'))) {
		*end = 0;
		take_line(recording, start);
		start = end + 1;
	}
	recording->filled -= start - recording->text;
	memmove(recording->text, start, recording->filled);
	if (recording->filled == sizeof(recording->text) - 1)
		recording->filled = 0;		/* no line of ours is as long */
}

/*
 * What there is, in so many pieces at most: a busy VM fills the buffer faster than it can be
 * printed, and somebody has to look at the clock. false: there was nothing.
 */
static bool take(struct recording *recording, u64 pieces)
{
	bool any = false;
	ssize_t size;

	while (pieces--) {
		size = read(recording->tracefs.pipe, recording->text + recording->filled,
			    sizeof(recording->text) - 1 - recording->filled);
		if (size <= 0)
			return any;
		any = true;
		recording->filled += size;
		take_lines(recording);
		if (enough(recording) || stopped)
			break;
	}
	return any;
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

static bool vm_is_there(const struct recording *recording)
{
	struct thv_vm_stats stats;

	return vm_stats(recording->vm, &stats) >= 0;
}

/*
 * Looked at from time to time, not waited for: to wake a reader who waits, the kernel would send its
 * own CPU an interrupt at an event, and that would be one more exit of the guest.
 */
#define PAUSE_US	20000

static void record(struct recording *recording)
{
	const u32 duration = recording->values->duration;
	double end = now() + duration;

	while (!stopped && !enough(recording) && !(duration && now() >= end)) {
		usleep(PAUSE_US);
		if (take(recording, 16) && !recording->values->output)
			fflush(recording->out);
		else if (!vm_is_there(recording))
			break;
	}
	tracefs_write(&recording->tracefs, "tracing_on", "0");
	if (!stopped)
		take(recording, ~0ULL);
}

/* ---- before and after ---------------------------------------------------- */

/* Where the guest's kernel is: what its system-call entry says, of those that Linux has had */
static int find_slide(struct recording *recording)
{
	static const struct device_sentence sentences[] = {
		{ ENOTTY, "this module cannot look into a VM" },
		{ ENOENT, "the VM has no vCPU 0" },
		{ EINTR, "interrupted" },
		{ 0 }
	};
	struct thv_msr lstar = { .index = MSR_LSTAR };
	struct thv_inspect_state inspect = {
		.component = THV_STATE_MSRS, .size = sizeof(lstar), .data = (unsigned long)&lstar,
	};
	u64 slide;

	if (device_call(recording->vm, THV_INSPECT_STATE, &inspect, "finding the guest's kernel",
			sentences) < 0)
		return -1;
	if (!symbols_slide(&recording->symbols, "entry_SYSCALL_64", lstar.value, &slide))
		return error_set("the guest's system calls go to %#llx, which does not fit entry_SYSCALL_64 of these symbols",
				 lstar.value);
	recording->symbols.slide = slide;
	return 0;
}

static int load_symbols(struct recording *recording)
{
	const struct trace_values *values = recording->values;
	char *end;

	if (!values->symbols)
		return values->kaslr ? error_set("--kaslr moves symbols; give --symbols, too") : 0;
	if (symbols_load(&recording->symbols, values->symbols))
		return -1;
	if (values->kaslr) {
		recording->symbols.slide = strtoull(values->kaslr, &end, 0);
		return *end ? error_set("--kaslr %s: not a number", values->kaslr) : 0;
	}
	if (find_slide(recording))
		fprintf(stderr, "thv trace: %s; symbols are taken as they are (--kaslr moves them)\n",
			error_text());
	return 0;
}

static int open_files(struct recording *recording)
{
	const struct trace_values *values = recording->values;

	recording->out = values->output ? fopen(values->output, "we") : stdout;
	if (!recording->out)
		return error_errno("--output %s", values->output);
	if (!values->chrome)
		return 0;
	recording->timeline = fopen(values->chrome, "we");
	if (!recording->timeline)
		return error_errno("--chrome %s", values->chrome);
	chrome_begin(&recording->chrome, recording->timeline);
	return 0;
}

/* The timeline's slices come from these, whatever else is asked for */
#define SLICES	"run,entry,exit,return,state_vcpu"

static int enable_list(struct recording *recording, const char *list)
{
	char *copy = strdup(list), *rest = copy, *word;
	int result = copy ? 0 : error_set("out of memory");

	while (!result && (word = strsep(&rest, ",")))
		if (*word)
			result = tracefs_enable(&recording->tracefs, word);
	free(copy);
	return result;
}

static int start(struct recording *recording)
{
	struct tracefs *tracefs = &recording->tracefs;
	static struct ledger ledger;
	struct thv_vm_stats stats;
	char text[32];

	if (ledger_read(recording->vm, &ledger) || vm_stats(recording->vm, &stats) < 0 ||
	    tracefs_create(tracefs))
		return -1;
	recording->khz = ledger.tsc_khz;
	snprintf(text, sizeof(text), "%llu", recording->values->buffer >> 10);
	/* The counter itself: other clocks are printed in whole microseconds */
	if (tracefs_write(tracefs, "buffer_size_kb", text) ||
	    tracefs_write(tracefs, "trace_clock", "x86-tsc") || tracefs_open_pipe(tracefs))
		return -1;
	snprintf(text, sizeof(text), "vm == %u", stats.id);
	/* Off until all are on: else the first lines would show some of what happened, and not the rest */
	if (tracefs_write(tracefs, "tracing_on", "0") ||
	    tracefs_write(tracefs, "events/thv/filter", text) ||
	    enable_list(recording, recording->values->events) ||
	    (recording->timeline && enable_list(recording, SLICES)))
		return -1;
	return tracefs_write(tracefs, "tracing_on", "1");
}

static void catch_signals(void)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
	struct sigaction action = { .sa_handler = stop };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(signals); i++)
		sigaction(signals[i], &action, NULL);
	signal(SIGPIPE, SIG_IGN);
}

/* Files that could not be written are an error, whatever else went well */
static int close_files(struct recording *recording)
{
	int result = 0;

	if (recording->timeline && chrome_end(&recording->chrome))
		result = error_errno("--chrome %s", recording->values->chrome);
	if (recording->timeline)
		fclose(recording->timeline);
	if (recording->out && (fflush(recording->out) || ferror(recording->out)) &&
	    errno != EPIPE)
		result = error_errno("writing the events");
	if (recording->out && recording->out != stdout)
		fclose(recording->out);
	return result;
}

static void report(struct recording *recording)
{
	u64 lost = tracefs_lost(&recording->tracefs);

	lost = lost > recording->lost ? lost : recording->lost;
	fprintf(stderr, "thv trace: %llu events", recording->events);
	if (lost)
		fprintf(stderr, ", %llu lost: the buffer was full; give fewer --events or a larger --buffer",
			lost);
	fputc('\n', stderr);
}

static int trace(struct recording *recording)
{
	int result = open_files(recording) || load_symbols(recording) || start(recording) ? -1 : 0;

	if (!result) {
		record(recording);
		report(recording);
	}
	tracefs_destroy(&recording->tracefs);
	if (close_files(recording))
		result = -1;
	symbols_free(&recording->symbols);
	return result;
}

static int run(void *opaque)
{
	static struct recording recording = { .tracefs.pipe = -1 };
	int result;

	recording.values = opaque;
	catch_signals();
	recording.vm = control_open(recording.values->vm);
	result = recording.vm < 0 ? -1 : trace(&recording);
	if (recording.vm >= 0)
		close(recording.vm);
	if (result)
		fprintf(stderr, "thv trace: %s\n", error_text());
	return result ? STATUS_ERROR : 0;
}

const struct command cmd_trace = {
	.name = "trace",
	.summary = "what happens to a VM, as it happens",
	.details = details,
	.options = options,
	.statuses = statuses,
	.values_size = sizeof(struct trace_values),
	.run = run,
};
