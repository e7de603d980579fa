// SPDX-License-Identifier: GPL-2.0-only
/*
 * thv switch: who is on a virtual switch; and a cable from it to another network, by which the
 * host, or the world, joins it.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cmd/commands.h"
#include "lib/error.h"
#include "lib/json.h"
#include "net/switch.h"

struct switch_values {
	const char *name, *join;
	bool json;
};

static const struct option_row options[] = {
	{ "NAME", NULL, "the switch", option_text, .positional = true, .required = true,
	  .field = offsetof(struct switch_values, name) },
	{ "join", "NETWORK",
	  "connect it to another network, as after --net of `thv run`: tap=IF for the host, user for the world; until a signal ends it",
	  option_text, .field = offsetof(struct switch_values, join) },
	{ "json", NULL, "print the members as JSON", option_flag,
	  .field = offsetof(struct switch_values, json) },
	{ 0 }
};

static const char details[] =
	"A switch is there as soon as a guest has --net switch=NAME, and needs no process of its own. All of "
	"its members belong to one user.\n\n"
	"Example, for a guest's network that the host has a part in: thv switch lab --join tap=lab0 & "
	"ip addr add 192.0.2.1/24 dev lab0";

static const struct option_status statuses[] = {
	{ 0, "done; of --join: ended by a signal" },
	{ 1, "it cannot be; the error says why" },
	{ 0, NULL }
};

/* ---- who is there --------------------------------------------------------- */

static void print_member(void *opaque, const u8 *mac, pid_t pid)
{
	(void)opaque;
	printf(NET_MAC_FORMAT "  process %d\n", NET_MAC_ARGUMENTS(mac), pid);
}

static void print_json(void *opaque, const u8 *mac, pid_t pid)
{
	struct json *json = opaque;
	char text[18];

	snprintf(text, sizeof(text), NET_MAC_FORMAT, NET_MAC_ARGUMENTS(mac));
	json_open(json, NULL, '{');
	json_text(json, "mac", text);
	json_number(json, "pid", pid);
	json_close(json, '}');
}

static int list(const struct switch_values *values)
{
	struct json json = { .file = stdout };
	int result;

	if (!values->json)
		return switch_members(values->name, print_member, NULL);
	json_open(&json, NULL, '[');
	result = switch_members(values->name, print_json, &json);
	json_close(&json, ']');
	printf("\n");
	return result;
}

/* ---- the cable ------------------------------------------------------------ */

static bool always_room(void *opaque)
{
	(void)opaque;
	return true;
}

/* @opaque: where the other end's variable is, which is set before any frame comes */
static void pass_on(void *opaque, const u8 *frame, size_t length)
{
	const struct iovec whole = { (void *)frame, length };

	net_send(*(struct net **)opaque, &whole, 1);
}

static const struct net_user cable = { .room = always_room, .receive = pass_on };

static void stop(void *opaque, u32 events)
{
	(void)events;
	events_stop(opaque);
}

static int watch_signals(struct events *events, struct event_source *source)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	*source = (struct event_source){ signalfd(-1, &set, SFD_CLOEXEC), EPOLLIN, stop, events, -1 };
	return source->fd < 0 ? error_errno("watching for signals") : events_add(events, source);
}

static int connect_them(const char *one, const char *other, struct events *events)
{
	struct net *from, *to = NULL;

	from = net_open(one, events, &cable, &to);
	if (!from)
		return -1;
	to = net_open(other, events, &cable, &from);
	if (to) {
		events_run(events);
		net_close(to);
	}
	net_close(from);
	return to ? 0 : -1;
}

static int join(const struct switch_values *values)
{
	struct event_source signals;
	struct events events;
	char option[64];
	int result;

	snprintf(option, sizeof(option), "switch=%s", values->name);
	if (events_create(&events))
		return -1;
	result = watch_signals(&events, &signals) ? -1 : connect_them(option, values->join, &events);
	if (signals.fd >= 0)
		close(signals.fd);
	events_destroy(&events);
	return result;
}

static int run(void *opaque)
{
	const struct switch_values *values = opaque;
	int result = values->join ? join(values) : list(values);

	if (result)
		fprintf(stderr, "thv switch: %s\n", error_text());
	return result ? STATUS_ERROR : 0;
}

const struct command cmd_switch = {
	.name = "switch",
	.summary = "who is on a virtual switch, and joining it to another network",
	.details = details,
	.options = options,
	.statuses = statuses,
	.values_size = sizeof(struct switch_values),
	.run = run,
};
