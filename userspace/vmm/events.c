// SPDX-License-Identifier: GPL-2.0-only
/* The main thread's event loop, on epoll. */
#include "vmm/events.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/error.h"

int events_create(struct events *events)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = NULL };

	events->epoll = epoll_create1(EPOLL_CLOEXEC);
	events->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (events->epoll < 0 || events->stop < 0 ||
	    epoll_ctl(events->epoll, EPOLL_CTL_ADD, events->stop, &event))
		return error_errno("making the event loop");
	return 0;
}

void events_destroy(struct events *events)
{
	close(events->stop);
	close(events->epoll);
}

static int control(struct events *events, int operation, int fd, struct event_source *source)
{
	struct epoll_event event = { .events = source->mask | EPOLLET, .data.ptr = source };

	return epoll_ctl(events->epoll, operation, fd, &event);
}

static int watched(const struct event_source *source)
{
	return source->stand_in >= 0 ? source->stand_in : source->fd;
}

int events_add(struct events *events, struct event_source *source)
{
	source->stand_in = -1;
	if (!control(events, EPOLL_CTL_ADD, source->fd, source))
		return 0;
	if (errno != EPERM)
		return error_errno("watching a descriptor");
	/* A regular file is always ready; epoll leaves it to us to say so */
	source->stand_in = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
	if (source->stand_in < 0 ||
	    control(events, EPOLL_CTL_ADD, source->stand_in, source))
		return error_errno("watching a file");
	return 0;
}

/* Modifying makes epoll look anew whether the descriptor is ready */
void events_again(struct events *events, struct event_source *source)
{
	control(events, EPOLL_CTL_MOD, watched(source), source);
}

void events_remove(struct events *events, struct event_source *source)
{
	control(events, EPOLL_CTL_DEL, watched(source), source);
	if (source->stand_in >= 0)
		close(source->stand_in);
	source->stand_in = -1;
}

void events_stop(struct events *events)
{
	eventfd_write(events->stop, 1);
}

/* One at a time: a source's call may remove another source */
void events_run(struct events *events)
{
	struct event_source *source;
	struct epoll_event event;

	for (;;) {
		if (epoll_wait(events->epoll, &event, 1, -1) < 1)
			continue;
		source = event.data.ptr;
		if (!source)
			return;
		source->ready(source->opaque, event.events);
	}
}
