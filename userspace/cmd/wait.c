// SPDX-License-Identifier: GPL-2.0-only
/*
 * thv wait: until a VM has come to a state. It listens first and looks then, so that nothing can
 * happen in between; and looks again whenever something was lost.
 */
#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "cmd/commands.h"
#include "lib/error.h"
#include "lib/netlink.h"

#define STATUS_OTHER	3
#define STATUS_TIMEOUT	4

struct wait_values {
	const char *vm;
	u32 state, timeout;
	bool json;
};

enum goal { GOAL_ENDED, GOAL_RUNNING, GOAL_PAUSED, GOAL_STOPPED };

static const char *const goals[] = {
	[GOAL_ENDED] = "ended", [GOAL_RUNNING] = "running", [GOAL_PAUSED] = "paused",
	[GOAL_STOPPED] = "stopped", NULL
};

static const struct option_row options[] = {
	{ "VM", NULL, "its number or name", option_text, .positional = true, .required = true,
	  .field = offsetof(struct wait_values, vm) },
	{ "for", "STATE", "the state: ended is stopped, dead or gone", option_choice,
	  .initial = "ended", .choices = goals, .field = offsetof(struct wait_values, state) },
	{ "timeout", "SECONDS", "give up after this time", option_number, .minimum = 1,
	  .maximum = 1000000, .field = offsetof(struct wait_values, timeout) },
	{ "json", NULL, "print the state it has come to as JSON", option_flag,
	  .field = offsetof(struct wait_values, json) },
	{ 0 }
};

static const struct option_status statuses[] = {
	{ 0, "it has come to that state" },
	{ 1, "there is no such VM, or it is someone else's; the error says so" },
	{ STATUS_OTHER, "it has ended otherwise, and will not come to that state any more" },
	{ STATUS_TIMEOUT, "--timeout has passed" },
	{ 0, NULL }
};

/* What is known of the VM */
struct news {
	bool gone;		/* destroyed */
	u32 state;
	struct netlink_cause cause;
};

static bool has_ended(const struct news *news)
{
	return news->gone || news->state >= THV_VM_STOPPED;
}

static bool reached(const struct news *news, u32 goal)
{
	static const u32 states[] = {
		[GOAL_RUNNING] = THV_VM_RUNNING, [GOAL_PAUSED] = THV_VM_PAUSED,
		[GOAL_STOPPED] = THV_VM_STOPPED,
	};

	if (goal == GOAL_ENDED)
		return has_ended(news);
	return !news->gone && news->state == states[goal];
}

/* As it is now. That it is gone is news, too */
static int look(struct netlink *netlink, u32 id, struct news *news)
{
	struct netlink_vm vm;

	if (!netlink_vm(netlink, id, &vm)) {
		*news = (struct news){ .state = vm.state, .cause = vm.end };
		return 0;
	}
	news->gone = errno == ENOENT;
	return news->gone ? 0 : -1;
}

static void hear(const struct netlink_event *event, struct news *news)
{
	if (event->vcpu >= 0)
		return;
	news->gone = event->event == THV_LIFECYCLE_DESTROYED;
	news->state = event->state;
	news->cause = event->cause;
}

static s64 now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* Exit status, or -1 */
static int await(struct netlink *ask, struct netlink *listen, u32 id,
		 const struct wait_values *values, struct news *news)
{
	s64 left = -1, end = now_ms() + values->timeout * 1000LL;
	struct netlink_event event;
	int result;

	if (look(ask, id, news))
		return -1;
	while (!reached(news, values->state)) {
		if (has_ended(news))
			return STATUS_OTHER;
		if (values->timeout)
			left = end - now_ms();
		if (values->timeout && left <= 0)
			return STATUS_TIMEOUT;
		result = netlink_next(listen, &event, left);
		if (result < 0)
			return -1;
		if (result)
			hear(&event, news);
		if (netlink_overrun(listen) && look(ask, id, news))
			return -1;
	}
	return 0;
}

static const char *state_of(const struct news *news)
{
	return news->gone ? "gone" : netlink_state(news->state);
}

static void print_json(u32 id, const struct news *news, int status)
{
	struct json json = { .file = stdout };

	json_open(&json, NULL, '{');
	json_number(&json, "id", id);
	json_text(&json, "state", state_of(news));
	netlink_json_cause(&json, &news->cause);
	json_bool(&json, "reached", !status);
	json_bool(&json, "timeout", status == STATUS_TIMEOUT);
	json_close(&json, '}');
	printf("\n");
}

static void print_text(u32 id, const struct news *news, int status)
{
	printf("VM %u is %s%s", id, status == STATUS_TIMEOUT ? "still " : "", state_of(news));
	if (news->cause.cause)
		printf(": %s", netlink_cause_text(&news->cause));
	printf("\n");
}

static int wait_for(struct netlink *ask, struct netlink *listen, const struct wait_values *values)
{
	struct news news = { 0 };
	int status;
	u32 id;

	if (netlink_find(ask, values->vm, &id) || netlink_listen(listen, id))
		return -1;
	status = await(ask, listen, id, values, &news);
	if (status >= 0)
		(values->json ? print_json : print_text)(id, &news, status);
	return status;
}

static int run(void *opaque)
{
	struct netlink *ask = netlink_open(), *listen = ask ? netlink_open() : NULL;
	int status = listen ? wait_for(ask, listen, opaque) : -1;

	if (status < 0)
		fprintf(stderr, "thv wait: %s\n", error_text());
	if (listen)
		netlink_close(listen);
	if (ask)
		netlink_close(ask);
	return status < 0 ? STATUS_ERROR : status;
}

const struct command cmd_wait = {
	.name = "wait",
	.summary = "wait until a VM has ended, or has come to another state",
	.options = options,
	.statuses = statuses,
	.values_size = sizeof(struct wait_values),
	.run = run,
};
