// SPDX-License-Identifier: GPL-2.0-only
/* thv events: what happens to VMs, as it happens. */
#include <signal.h>
#include <stdio.h>
#include <time.h>

#include "cmd/commands.h"
#include "lib/error.h"
#include "lib/netlink.h"

struct events_values {
	const char *vm;
	u32 count;
	bool json;
};

static const struct option_row options[] = {
	{ "VM", NULL, "only of this one, by its number or name", option_text, .positional = true,
	  .field = offsetof(struct events_values, vm) },
	{ "count", "N", "end after so many", option_number, .minimum = 1, .maximum = ~0U,
	  .field = offsetof(struct events_values, count) },
	{ "json", NULL, "print each as JSON, on a line of its own", option_flag,
	  .field = offsetof(struct events_values, json) },
	{ 0 }
};

static const char details[] =
	"A VM or vCPU is created, started (by its first THV_RUN), paused, resumed, stopped, killed, fails, "
	"and is destroyed when nobody has a descriptor of it any more. With a VM named, the command "
	"ends with that VM. Events that come faster than they are printed may be lost; how many is "
	"said in their place.";

static const struct option_status statuses[] = {
	{ 0, "the VM is destroyed, --count is reached, or SIGINT or SIGTERM came" },
	{ 1, "events cannot be had; the error says why" },
	{ 0, NULL }
};

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
	(void)number;
	stop = 1;
}

/* The kernel tells a monotonic time; people want to know what the clock said */
static void print_time(u64 monotonic)
{
	struct timespec wall, now;
	time_t seconds;
	s64 when;
	char text[16];

	clock_gettime(CLOCK_REALTIME, &wall);
	clock_gettime(CLOCK_MONOTONIC, &now);
	when = (wall.tv_sec - now.tv_sec) * 1000000000LL + wall.tv_nsec - now.tv_nsec + monotonic;
	seconds = when / 1000000000;
	strftime(text, sizeof(text), "%H:%M:%S", localtime(&seconds));
	printf("%s.%06lld", text, when / 1000 % 1000000);
}

static void print_text(const struct netlink_event *event)
{
	if (event->missed)
		printf("(%llu events were lost here)\n", event->missed);
	print_time(event->time);
	printf("  VM %u %s: ", event->vm, event->name);
	if (event->vcpu >= 0)
		printf("vCPU %lld ", event->vcpu);
	printf("%s", netlink_lifecycle(event->event));
	if (event->cause.cause)
		printf(" (%s)", netlink_cause_text(&event->cause));
	printf("\n");
}

static void print_json(const struct netlink_event *event)
{
	struct json json = { .file = stdout };

	json_open(&json, NULL, '{');
	json_number(&json, "time_ns", event->time);
	json_number(&json, "vm", event->vm);
	json_text(&json, "name", event->name);
	if (event->vcpu >= 0)
		json_number(&json, "vcpu", event->vcpu);
	json_text(&json, "event", netlink_lifecycle(event->event));
	json_text(&json, "state", netlink_state(event->state));
	netlink_json_cause(&json, &event->cause);
	if (event->missed)
		json_number(&json, "lost_before", event->missed);
	json_close(&json, '}');
	printf("\n");
}

static int follow(struct netlink *netlink, const struct events_values *values)
{
	struct netlink_event event;
	u32 only = 0, printed = 0;
	int result;

	if (values->vm && netlink_find(netlink, values->vm, &only))
		return -1;
	if (netlink_listen(netlink, only))
		return -1;
	while (!stop && (!values->count || printed < values->count)) {
		result = netlink_next(netlink, &event, -1);
		if (result < 0)
			return -1;
		if (!result)
			continue;
		(values->json ? print_json : print_text)(&event);
		fflush(stdout);
		printed++;
		if (only && event.event == THV_LIFECYCLE_DESTROYED && event.vcpu < 0)
			break;
	}
	return 0;
}

static int run(void *opaque)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct netlink *netlink = netlink_open();
	int result;

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	result = netlink ? follow(netlink, opaque) : -1;
	if (result)
		fprintf(stderr, "thv events: %s\n", error_text());
	if (netlink)
		netlink_close(netlink);
	return result ? STATUS_ERROR : 0;
}

const struct command cmd_events = {
	.name = "events",
	.summary = "print what happens to VMs, as it happens",
	.details = details,
	.options = options,
	.statuses = statuses,
	.values_size = sizeof(struct events_values),
	.run = run,
};
