// SPDX-License-Identifier: GPL-2.0-only
/*
 * thv top: the VMs as they live, on a screen of their own, or frame after frame as text.
 *
 * Both are the same lines: a frame is made as text, of the height there is, and a screen shows it.
 */
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include <ncurses.h>

#include "cmd/commands.h"
#include "lib/error.h"
#include "lib/rates.h"

struct top_values {
	u32 sort, batch, delay;
	bool no_vcpus, json;
};

/* ---- order --------------------------------------------------------------- */

static double by_id(const struct rates_vm *vm)
{
	return -(double)vm->now.id;
}

static double by_exits(const struct rates_vm *vm)
{
	return vm->exits;
}

static double by_user(const struct rates_vm *vm)
{
	return vm->user_exits;
}

static double by_faults(const struct rates_vm *vm)
{
	return vm->faults;
}

static double by_memory(const struct rates_vm *vm)
{
	return vm->now.resident;
}

static double by_guest(const struct rates_vm *vm)
{
	return vm->guest;
}

/* The largest comes first */
static const struct {
	const char *name;
	char key;
	double (*value)(const struct rates_vm *vm);
} orders[] = {
	{ "id", 'i', by_id },
	{ "exits", 'e', by_exits },
	{ "user", 'u', by_user },
	{ "faults", 'f', by_faults },
	{ "memory", 'm', by_memory },
	{ "guest", 'g', by_guest },
};

/* As orders[] */
static const char *const sorts[] = { "id", "exits", "user", "faults", "memory", "guest", NULL };

static const struct option_row options[] = {
	{ "sort", "KEY", "order by number, exits, exits to the launcher, second-level faults, resident memory or time in the guest",
	  option_choice, .initial = "exits", .choices = sorts,
	  .field = offsetof(struct top_values, sort) },
	{ "delay", "MS", "milliseconds between two frames", option_number, .initial = "2000",
	  .minimum = 100, .maximum = 3600000, .field = offsetof(struct top_values, delay) },
	{ "batch", "N", "print N frames as text and end", option_number, .minimum = 1,
	  .maximum = ~0U, .field = offsetof(struct top_values, batch) },
	{ "no-vcpus", NULL, "VMs only", option_flag,
	  .field = offsetof(struct top_values, no_vcpus) },
	{ "json", NULL, "with --batch: each frame as JSON, on a line of its own", option_flag,
	  .field = offsetof(struct top_values, json) },
	{ 0 }
};

static const char details[] =
	"Keys: i, e, u, f, m and g sort (as --sort), r reverses, v shows or hides vCPUs, the space bar looks "
	"at once, q quits.\n\n"
	"USER/s are exits to the launcher. GUEST%, KERN%, LNCH% and HALT% are shares of one host CPU, all vCPUs of a VM together: in the guest, "
	"in the kernel on its behalf, in the launcher, and asleep after HLT. They come out of the exit "
	"ledger, which is kept while this command runs; \"-\" where there is none. A first frame has no rates.";

static const struct option_status statuses[] = {
	{ 0, "--batch is done, or q was pressed" },
	{ 1, "the VMs cannot be looked at, or this terminal cannot be used; the error says why" },
	{ 0, NULL }
};

struct view {
	u32 sort;
	bool reverse, vcpus;
};

static const struct view *sorting;

static int compare(const void *a, const void *b)
{
	const struct rates_vm *const *x = a, *const *y = b;
	double left = orders[sorting->sort].value(*x), right = orders[sorting->sort].value(*y);
	int result = left > right ? -1 : left < right ? 1 :
		     (int)((*x)->now.id - (*y)->now.id);

	return sorting->reverse ? -result : result;
}

/* ---- a frame ------------------------------------------------------------- */

typedef void line_fn(void *arg, const char *line, bool heading);

struct frame {
	line_fn *line;
	void *arg;
};

__attribute__((format(printf, 3, 4)))
static void put_line(const struct frame *frame, bool heading, const char *format, ...)
{
	char line[256];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	frame->line(frame->arg, line, heading);
}

/* A number for a column, or "-" where it is not known */
static const char *column(char text[16], bool known, const char *format, double value)
{
	if (known)
		snprintf(text, 16, format, value);
	else
		strcpy(text, "-");
	return text;
}

static void put_vm(const struct frame *frame, const struct rates_vm *vm)
{
	bool rated = vm->seconds > 0;
	char text[7][16];

	put_line(frame, false, "%4u %-12.12s %-7s %7s %6s %7s %5lluM %6s %5s %5s %5s", vm->now.id,
		 vm->now.name, netlink_state(vm->now.state),
		 column(text[0], rated, "%.0f", vm->exits),
		 column(text[1], rated, "%.0f", vm->user_exits),
		 column(text[2], rated, "%.0f", vm->faults), vm->now.resident >> 20,
		 column(text[3], vm->timed, "%.1f", vm->guest),
		 column(text[4], vm->timed, "%.1f", vm->kernel),
		 column(text[5], vm->timed, "%.1f", vm->launcher),
		 column(text[6], vm->timed, "%.1f", vm->halted));
}

static void put_vcpu(const struct frame *frame, const struct rates_vm *vm,
		     const struct rates_vcpu *vcpu)
{
	char exits[16], cpu[16];

	put_line(frame, false, "       vCPU %-3u  %-8s %6s   on CPU %s", vcpu->now.id,
		 vcpu->now.terminal ? "ended" : netlink_activity(vcpu->now.activity),
		 column(exits, vm->seconds > 0, "%.0f", vcpu->exits),
		 column(cpu, vcpu->now.cpu >= 0, "%.0f", vcpu->now.cpu));
}

static void put_heading(const struct frame *frame, const struct rates *rates, const struct view *view)
{
	time_t now = time(NULL);
	char clock[16];

	strftime(clock, sizeof(clock), "%H:%M:%S", localtime(&now));
	put_line(frame, false, "thv top  %s  %d VM%s  by %s%s", clock, rates->count,
		 rates->count == 1 ? "" : "s", orders[view->sort].name,
		 view->reverse ? ", reversed" : "");
	put_line(frame, true, "%4s %-12s %-7s %7s %6s %7s %6s %6s %5s %5s %5s", "ID", "NAME",
		 "STATE", "EXITS/s", "USER/s", "FAULT/s", "MEMORY", "GUEST%", "KERN%", "LNCH%",
		 "HALT%");
}

/* The order in which VMs are shown; the caller frees it */
static const struct rates_vm **sorted(const struct rates *rates, const struct view *view)
{
	const struct rates_vm **vms = calloc(rates->count + 1, sizeof(*vms));
	int i;

	for (i = 0; vms && i < rates->count; i++)
		vms[i] = &rates->vm[i];
	sorting = view;
	if (vms)
		qsort(vms, rates->count, sizeof(*vms), compare);
	return vms;
}

static void put_frame(const struct frame *frame, const struct rates *rates, const struct view *view)
{
	const struct rates_vm **vms = sorted(rates, view);
	int i, j;

	put_heading(frame, rates, view);
	for (i = 0; vms && i < rates->count; i++) {
		put_vm(frame, vms[i]);
		for (j = 0; view->vcpus && j < vms[i]->vcpus; j++)
			put_vcpu(frame, vms[i], &vms[i]->vcpu[j]);
	}
	free(vms);
}

/* ---- JSON: a rate that is not known is left out -------------------------- */

static void json_rate(struct json *json, const char *key, bool known, double value)
{
	char text[32];

	if (!known)
		return;
	snprintf(text, sizeof(text), "%.1f", value);
	json_literal(json, key, text);
}

static void json_vcpus(struct json *json, const struct rates_vm *vm)
{
	int i;

	json_open(json, "vcpus", '[');
	for (i = 0; i < vm->vcpus; i++) {
		const struct rates_vcpu *vcpu = &vm->vcpu[i];

		json_open(json, NULL, '{');
		json_number(json, "vcpu", vcpu->now.id);
		json_text(json, "activity", netlink_activity(vcpu->now.activity));
		if (vcpu->now.cpu >= 0)
			json_number(json, "cpu", vcpu->now.cpu);
		json_rate(json, "exits_per_s", vm->seconds > 0, vcpu->exits);
		json_close(json, '}');
	}
	json_close(json, ']');
}

static void json_vm(struct json *json, const struct rates_vm *vm, const struct view *view)
{
	bool rated = vm->seconds > 0;

	json_open(json, NULL, '{');
	json_number(json, "id", vm->now.id);
	json_text(json, "name", vm->now.name);
	json_text(json, "state", netlink_state(vm->now.state));
	json_number(json, "resident", vm->now.resident);
	json_rate(json, "seconds", rated, vm->seconds);
	json_rate(json, "exits_per_s", rated, vm->exits);
	json_rate(json, "user_exits_per_s", rated, vm->user_exits);
	json_rate(json, "faults_per_s", rated, vm->faults);
	json_rate(json, "guest_percent", vm->timed, vm->guest);
	json_rate(json, "kernel_percent", vm->timed, vm->kernel);
	json_rate(json, "launcher_percent", vm->timed, vm->launcher);
	json_rate(json, "halted_percent", vm->timed, vm->halted);
	if (view->vcpus)
		json_vcpus(json, vm);
	json_close(json, '}');
}

static void json_frame(const struct rates *rates, const struct view *view)
{
	const struct rates_vm **vms = sorted(rates, view);
	struct json json = { .file = stdout };
	int i;

	json_open(&json, NULL, '{');
	json_open(&json, "vms", '[');
	for (i = 0; vms && i < rates->count; i++)
		json_vm(&json, vms[i], view);
	json_close(&json, ']');
	json_close(&json, '}');
	printf("\n");
	free(vms);
}

/* ---- as text ------------------------------------------------------------- */

static void print_line(void *arg, const char *line, bool heading)
{
	(void)arg;
	(void)heading;
	printf("%s\n", line);
}

static int batch(struct sampler *sampler, const struct top_values *values, const struct view *view)
{
	static const struct frame frame = { print_line, NULL };
	const struct rates *rates;
	u32 i;

	for (i = 0; i < values->batch; i++) {
		if (i)
			usleep(values->delay * 1000ULL);
		if (sampler_look(sampler, &rates))
			return -1;
		if (values->json) {
			json_frame(rates, view);
		} else {
			put_frame(&frame, rates, view);
			printf("\n");
		}
		fflush(stdout);
	}
	return 0;
}

/* ---- on a screen --------------------------------------------------------- */

/* What does not fit is not shown; the last line of the screen says so */
static void screen_line(void *arg, const char *line, bool heading)
{
	int *row = arg;

	if (*row < LINES) {
		if (heading)
			attron(A_REVERSE);
		mvprintw(*row, 0, "%-*.*s", heading ? COLS : 0, COLS, line);
		attroff(A_REVERSE);
	}
	++*row;
}

static void draw(const struct rates *rates, const struct view *view)
{
	int row = 0;
	struct frame frame = { screen_line, &row };

	erase();
	put_frame(&frame, rates, view);
	if (row > LINES && LINES > 2) {
		move(LINES - 1, 0);
		clrtoeol();
		printw("%.*s", COLS, "... more than fits: v hides vCPUs");
	}
	refresh();
}

static void press(int key, struct view *view)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(orders); i++)
		if (key == orders[i].key)
			view->sort = i;
	if (key == 'r')
		view->reverse = !view->reverse;
	if (key == 'v')
		view->vcpus = !view->vcpus;
}

static s64 now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* Keys until the next look is due. false: quit. ncurses makes a key of a new size, too. */
static bool serve_keys(const struct rates *rates, struct view *view, u32 delay)
{
	s64 due = now_ms() + delay, left;
	int key;

	while ((left = due - now_ms()) > 0) {
		timeout(left);
		key = getch();
		if (key == 'q')
			return false;
		if (key == ' ')
			return true;
		if (key == ERR)
			continue;
		press(key, view);
		draw(rates, view);
	}
	return true;
}

static volatile sig_atomic_t ended;

static void on_end(int number)
{
	ended = number;
}

static int show(struct sampler *sampler, const struct top_values *values, struct view *view)
{
	const struct rates *rates;

	do {
		if (sampler_look(sampler, &rates))
			return -1;
		draw(rates, view);
	} while (serve_keys(rates, view, values->delay) && !ended);
	return 0;
}

static int open_screen(void)
{
	struct sigaction action = { .sa_handler = on_end };
	const char *type = getenv("TERM");

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return error_set("standard input and output are no terminal; use --batch to have frames as text");
	setlocale(LC_ALL, "");
	if (!newterm(NULL, stdout, stdin))
		return error_set("the terminal type \"%s\" (TERM) is not known here; set TERM to one that is (`ls /lib/terminfo/*`), or use --batch",
				 type ? type : "");
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	cbreak();
	noecho();
	keypad(stdscr, TRUE);
	curs_set(0);
	return 0;
}

static int screen(struct sampler *sampler, const struct top_values *values, struct view *view)
{
	int result;

	if (open_screen())
		return -1;
	result = show(sampler, values, view);
	endwin();
	return result;
}

static int run(void *opaque)
{
	const struct top_values *values = opaque;
	struct view view = { .sort = values->sort, .vcpus = !values->no_vcpus };
	struct sampler *sampler;
	int result;

	if (values->json && !values->batch) {
		fprintf(stderr, "thv top: --json: a screen is no JSON; add --batch N\n");
		return STATUS_USAGE;
	}
	sampler = sampler_open();
	result = !sampler ? -1 : values->batch ? batch(sampler, values, &view) :
		 screen(sampler, values, &view);
	if (result)
		fprintf(stderr, "thv top: %s\n", error_text());
	if (sampler)
		sampler_close(sampler);
	return result ? STATUS_ERROR : 0;
}

const struct command cmd_top = {
	.name = "top",
	.summary = "watch the VMs: exits, time, memory and faults, on a live screen",
	.details = details,
	.options = options,
	.statuses = statuses,
	.values_size = sizeof(struct top_values),
	.run = run,
};
