/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A channel: where the bytes of a serial port go to and come from. The kinds are
 * stdio, stdout, pty, file:PATH, socket:PATH, fd:N (open already) and null.
 *
 * Nothing here queues: a channel takes what the other end takes now, and reads
 * what its user has room for now, so memory stays what it is whatever either
 * side does. A terminal is the exception in one direction: it is always read,
 * or the escape key would die with the guest; what the guest has no room for
 * is lost.
 */
#ifndef THV_VMM_CHANNEL_H
#define THV_VMM_CHANNEL_H

#include <sys/types.h>

#include "lib/types.h"
#include "vmm/events.h"

struct channel;

/* What the user of a channel does; all are called on the main thread, end() on any */
struct channel_user {
	size_t (*room)(void *opaque);		/* bytes receive() would take */
	void (*receive)(void *opaque, const u8 *data, size_t length);
	void (*line_break)(void *opaque);
	void (*writable)(void *opaque);		/* there may be room again for channel_write() */
	void (*end)(void *opaque, int signal);	/* 0: the user wants the end; else as if killed */
};

/* Check the text of an option: 0, or -1 with the error text */
int channel_check(const char *option, const char *kind);

/* Of two channels, at most one may */
bool channel_uses_stdio(const char *kind);

struct channel *channel_open(const char *kind, const char *label, struct events *events,
			     const struct channel_user *user, void *opaque);
void channel_close(struct channel *channel);

/* Any thread. How many bytes were taken; those nobody could read are taken too. */
size_t channel_write(struct channel *channel, const void *data, size_t length);

/* Any thread: receive() has room again */
void channel_resume(struct channel *channel);

/*
 * The last bytes: wait for a slow reader, unless a signal that is pending (they
 * are blocked) says not to.
 */
void channel_finish(struct channel *channel, const void *data, size_t length);

#endif
