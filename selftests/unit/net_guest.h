/* SPDX-License-Identifier: GPL-2.0-only */
/* A guest at one end of a cable, for the tests of vmm/net.h: it keeps the last frames that came. */
#ifndef _NET_GUEST_H
#define _NET_GUEST_H

#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "lib/error.h"
#include "tap.h"
#include "vmm/net.h"

#define GUEST_FRAMES	512

struct guest {
	struct net *net;
	bool full;		/* has no room */
	u32 count;		/* frames that came */
	u32 enough;		/* ... and at which guest_run() ends; 0: never */
	size_t length[GUEST_FRAMES];
	u8 frame[GUEST_FRAMES][NET_FRAME];
};

static struct events guest_events;

static bool guest_room(void *opaque)
{
	return !((struct guest *)opaque)->full;
}

static void guest_receive(void *opaque, const u8 *frame, size_t length)
{
	struct guest *guest = opaque;
	u32 place = guest->count++ % GUEST_FRAMES;

	guest->length[place] = length;
	memcpy(guest->frame[place], frame, length);
	if (guest->count == guest->enough)
		events_stop(&guest_events);
}

static const struct net_user guest_user = { .room = guest_room, .receive = guest_receive };

static void guest_stop(void *opaque, u32 events)
{
	events_stop(&guest_events);
}

/* Serve the loop for so many ms, or until the guest has enough frames */
static void guest_run(struct guest *guest, u32 enough, u32 ms)
{
	struct itimerspec in = { .it_value = { ms / 1000, ms % 1000 * 1000000 + 1 } };
	struct event_source alarm = { .fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK), .mask = EPOLLIN,
				      .ready = guest_stop };
	eventfd_t stops;

	guest->enough = enough;
	if (enough && guest->count >= enough)
		return;
	timerfd_settime(alarm.fd, 0, &in, NULL);
	events_add(&guest_events, &alarm);
	events_run(&guest_events);
	eventfd_read(guest_events.stop, &stops);
	close(alarm.fd);
	guest->enough = 0;
}

/* As net_check(), of one */
static __attribute__((unused)) int guest_check(const char *text)
{
	const struct option_list one = { 1, &text };

	return net_check(&one);
}

static bool guest_open(struct guest *guest, const char *text)
{
	memset(guest, 0, sizeof(*guest));
	guest->net = net_open(text, &guest_events, &guest_user, guest);
	if (!guest->net)
		printf("# %s: %s\n", text, error_text());
	return guest->net;
}

/* In three parts, none of them the header */
static bool guest_send(struct guest *guest, const void *frame, size_t length)
{
	size_t second = length > 20 ? 20 : length;
	const struct iovec parts[] = {
		{ (void *)frame, length < 5 ? length : 5 },
		{ (u8 *)frame + 5, second > 5 ? second - 5 : 0 },
		{ (u8 *)frame + second, length - second },
	};

	return net_send(guest->net, parts, 3);
}

static __attribute__((unused)) const u8 *guest_last(const struct guest *guest)
{
	return guest->frame[(guest->count - 1) % GUEST_FRAMES];
}

/* Frames of no protocol: destination, source, type, and a number for text */
static __attribute__((unused)) bool guest_say(struct guest *guest, const u8 *to, u64 number)
{
	u8 frame[60] = { 0 };

	memcpy(frame, to, NET_MAC);
	memcpy(frame + NET_MAC, net_mac(guest->net), NET_MAC);
	memcpy(frame + 12, "\x88\xb5", 2);
	memcpy(frame + NET_HEADER, &number, sizeof(number));
	return guest_send(guest, frame, sizeof(frame));
}

/* What words of an option point to is never freed: see options_parse_words() */
const char *__lsan_default_suppressions(void)
{
	return "leak:options_parse_words\n";
}

const char *__lsan_default_options(void)
{
	return "print_suppressions=0";
}

#endif
