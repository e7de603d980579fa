/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The launcher's main thread: it waits for what happens outside of the guest
 * (input, room for output, timers, signals) and calls who wants to know.
 * Edge-triggered throughout: a source is called when something changed, and
 * events_again() asks for a call in any case.
 */
#ifndef THV_VMM_EVENTS_H
#define THV_VMM_EVENTS_H

#include <sys/epoll.h>

#include "lib/types.h"

struct events {
	int epoll;
	int stop;		/* eventfd */
};

/**
 * struct event_source - a descriptor and who wants to know about it.
 * @fd, @mask: EPOLLIN, EPOLLOUT; the descriptor stays the caller's.
 * @ready: called on the main thread with the events that came.
 * @stand_in: ours: an eventfd in place of a @fd that cannot be polled (a file).
 */
struct event_source {
	int fd;
	u32 mask;
	void (*ready)(void *opaque, u32 events);
	void *opaque;
	int stand_in;
};

int events_create(struct events *events);
void events_destroy(struct events *events);

/* Any thread may call these */
int events_add(struct events *events, struct event_source *source);
void events_again(struct events *events, struct event_source *source);
void events_stop(struct events *events);

/* On the main thread only, so that no call of ready() is under way */
void events_remove(struct events *events, struct event_source *source);

/* Serve until events_stop() */
void events_run(struct events *events);

#endif
