// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kinds of channel. Each is a way to open one or two descriptors; after
 * that they differ only in a few flags. Only a socket's descriptors change while
 * the machine runs, on the main thread and with the lock, because vCPUs write.
 */
#include "vmm/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include "lib/error.h"
#include "lib/socket.h"
#include "vmm/terminal.h"
#include "vmm/tidy.h"

struct channel_kind;

struct channel {
	const struct channel_kind *kind;
	struct events *events;
	const struct channel_user *user;
	void *opaque;
	struct event_source in, out, listener;	/* fd -1: there is none */
	pthread_mutex_t lock;			/* guards in.fd and out.fd */
	const char *path;			/* of file and socket */
	bool terminal;				/* raw, with the escape key */
	bool escaped;
	bool lonely;				/* output is dropped while nobody is there */
};

/* open() gets the channel with no descriptors, and what follows the colon of the option */
struct channel_kind {
	const char *name;
	bool wants_path;
	bool stdio;
	int (*open)(struct channel *channel, const char *label);
};

/* ---- bytes in ----------------------------------------------------------- */

static void typed(struct channel *channel, u8 byte)
{
	switch (terminal_key(&channel->escaped, byte)) {
	case TERMINAL_TEXT:
		if (channel->user->room(channel->opaque))
			channel->user->receive(channel->opaque, &byte, 1);
		break;
	case TERMINAL_BREAK:
		channel->user->line_break(channel->opaque);
		break;
	case TERMINAL_END:
		channel->user->end(channel->opaque, 0);
		break;
	case TERMINAL_NOTHING:
		break;
	}
}

static void hand_over(struct channel *channel, const u8 *data, size_t length)
{
	size_t i;

	if (!channel->terminal) {
		channel->user->receive(channel->opaque, data, length);
		return;
	}
	for (i = 0; i < length; i++)
		typed(channel, data[i]);
}

/* poll() before each read: standard input is not ours to make non-blocking */
static bool readable(int fd)
{
	struct pollfd wait = { .fd = fd, .events = POLLIN };

	return poll(&wait, 1, 0) == 1 && wait.revents & (POLLIN | POLLHUP);
}

/* Take what there is and fits. False: the other end has gone. */
static bool take_input(struct channel *channel)
{
	u8 data[512];
	size_t room;
	ssize_t got;

	while (readable(channel->in.fd)) {
		room = channel->terminal ? sizeof(data) : channel->user->room(channel->opaque);
		if (!room)
			return true;	/* channel_resume() brings us back */
		got = read(channel->in.fd, data, room < sizeof(data) ? room : sizeof(data));
		if (got > 0)
			hand_over(channel, data, got);
		else if (!got || (errno != EINTR && errno != EAGAIN))
			return false;
	}
	return true;
}

static void drop_client(struct channel *channel);

static void input_ready(void *opaque, u32 events)
{
	struct channel *channel = opaque;

	(void)events;	/* a hang-up makes room for output, too */
	channel->user->writable(channel->opaque);
	if (!take_input(channel))
		drop_client(channel);
}

static void output_ready(void *opaque, u32 events)
{
	struct channel *channel = opaque;

	(void)events;
	channel->user->writable(channel->opaque);
}

/* ---- stdio and stdout --------------------------------------------------- */

/*
 * Other programs share our standard output's file description, so it must not
 * become non-blocking. Opening it once more gives one of our own; not for a
 * file, whose position would be another, but a file does not block either.
 */
static int reopen_output(void)
{
	int fd;

	if (!isatty(STDOUT_FILENO) && lseek(STDOUT_FILENO, 0, SEEK_CUR) >= 0)
		return dup(STDOUT_FILENO);
	fd = open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	return fd < 0 ? dup(STDOUT_FILENO) : fd;
}

static int open_stdout(struct channel *channel, const char *label)
{
	(void)label;
	channel->out.fd = reopen_output();
	return channel->out.fd < 0 ? error_errno("standard output") : 0;
}

static int open_stdio(struct channel *channel, const char *label)
{
	if (open_stdout(channel, label))
		return -1;
	channel->in.fd = dup(STDIN_FILENO);
	if (channel->in.fd < 0)
		return error_errno("standard input");
	channel->terminal = isatty(STDIN_FILENO);
	return channel->terminal ? terminal_raw(STDIN_FILENO) : 0;
}

/* ---- pty ---------------------------------------------------------------- */

/*
 * Opened and closed once, so that the master knows that nobody is there yet; and
 * raw, or whoever only reads there would echo all that to the guest.
 */
static int announce_pty(struct channel *channel, const char *label)
{
	struct termios mode;
	char path[64];
	int user;

	if (grantpt(channel->in.fd) || unlockpt(channel->in.fd) ||
	    ptsname_r(channel->in.fd, path, sizeof(path)))
		return error_errno("making a pseudo-terminal");
	user = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (user < 0)
		return error_errno("%s", path);
	if (!tcgetattr(user, &mode)) {
		cfmakeraw(&mode);
		tcsetattr(user, TCSANOW, &mode);
	}
	close(user);
	fprintf(stderr, "thv: %s is at %s\n", label, path);
	return 0;
}

static int open_pty(struct channel *channel, const char *label)
{
	channel->lonely = true;
	channel->in.fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	if (channel->in.fd < 0)
		return error_errno("making a pseudo-terminal");
	channel->out.fd = channel->in.fd;
	return announce_pty(channel, label);
}

/* ---- file, fd and null ------------------------------------------------------ */

static int open_file(struct channel *channel, const char *label)
{
	channel->out.fd = open(channel->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY,
			       0666);
	if (channel->out.fd < 0)
		return error_errno("%s for %s", channel->path, label);
	return 0;
}

/* --serial fd:N: ours, or still standard input's, so it is not made non-blocking */
static int descriptor(const char *text)
{
	char *end;
	unsigned long fd = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || fd > INT_MAX || fcntl(fd, F_GETFD) < 0)
		return -1;
	return fd;
}

static int open_descriptor(struct channel *channel, const char *label)
{
	channel->in.fd = fcntl(descriptor(channel->path), F_DUPFD_CLOEXEC, 0);
	if (channel->in.fd < 0)
		return error_errno("descriptor %s for %s", channel->path, label);
	channel->out.fd = channel->in.fd;
	return 0;
}

static int open_null(struct channel *channel, const char *label)
{
	(void)channel;
	(void)label;
	return 0;
}

/* ---- socket: one client at a time, others wait for their turn ------------ */

static void accept_client(void *opaque, u32 events)
{
	struct channel *channel = opaque;
	int fd, failed;

	(void)events;
	if (channel->in.fd >= 0)
		return;
	fd = accept4(channel->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		return;
	pthread_mutex_lock(&channel->lock);
	channel->in.fd = fd;
	channel->out.fd = fd;
	failed = events_add(channel->events, &channel->in);
	pthread_mutex_unlock(&channel->lock);
	if (failed)
		drop_client(channel);
}

/* The reader has gone: of a socket, take the next; else there is no more input */
static void drop_client(struct channel *channel)
{
	int fd = channel->in.fd;

	if (channel->listener.fd < 0) {
		if (channel->in.fd != channel->out.fd)	/* a pty's user may come back */
			events_remove(channel->events, &channel->in);
		return;
	}
	pthread_mutex_lock(&channel->lock);
	events_remove(channel->events, &channel->in);
	channel->in.fd = -1;
	channel->out.fd = -1;
	pthread_mutex_unlock(&channel->lock);
	close(fd);
	events_again(channel->events, &channel->listener);
	channel->user->writable(channel->opaque);	/* into the void */
}

static int open_socket(struct channel *channel, const char *label)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(channel->path) >= sizeof(address.sun_path))
		return error_set("%s: too long for a socket's path; %zu characters are possible",
				 channel->path, sizeof(address.sun_path) - 1);
	strcpy(address.sun_path, channel->path);
	socket_remove_stale(&address);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return error_errno("making a socket for %s", label);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, 4)) {
		error_errno("%s for %s", channel->path, label);
		close(fd);
		return -1;
	}
	channel->lonely = true;
	channel->listener.fd = fd;
	return tidy_remove(channel->path);
}

/* ---- kinds -------------------------------------------------------------- */

static const struct channel_kind kinds[] = {
	{ "stdio", .stdio = true, .open = open_stdio },
	{ "stdout", .stdio = true, .open = open_stdout },
	{ "pty", .open = open_pty },
	{ "file", .wants_path = true, .open = open_file },
	{ "socket", .wants_path = true, .open = open_socket },
	{ "fd", .wants_path = true, .open = open_descriptor },
	{ "null", .open = open_null },
};

static const struct channel_kind *find_kind(const char *text)
{
	size_t name = strcspn(text, ":");
	size_t i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		if (strlen(kinds[i].name) == name && !strncmp(kinds[i].name, text, name) &&
		    kinds[i].wants_path == (text[name] == ':' && text[name + 1]))
			return text[name] && !kinds[i].wants_path ? NULL : &kinds[i];
	return NULL;
}

int channel_check(const char *option, const char *kind)
{
	const struct channel_kind *found = find_kind(kind);

	if (!found)
		return error_set("--%s %s: unknown; possible are stdio, stdout, pty, file:PATH, socket:PATH, fd:N, null",
				 option, kind);
	if (found->open == open_descriptor && descriptor(strchr(kind, ':') + 1) < 0)
		return error_set("--%s %s: no such descriptor is open", option, kind);
	return 0;
}

bool channel_uses_stdio(const char *kind)
{
	return find_kind(kind)->stdio;
}

static int watch(struct channel *channel, struct event_source *source, u32 mask,
		 void (*ready)(void *opaque, u32 events))
{
	source->mask = mask;
	source->ready = ready;
	source->opaque = channel;
	return source->fd < 0 ? 0 : events_add(channel->events, source);
}

/* A pty and a socket have one descriptor for both directions */
static int watch_all(struct channel *channel)
{
	bool one = channel->in.fd == channel->out.fd;

	if (watch(channel, &channel->listener, EPOLLIN, accept_client) ||
	    watch(channel, &channel->in, one ? EPOLLIN | EPOLLOUT : EPOLLIN, input_ready))
		return -1;
	return one ? 0 : watch(channel, &channel->out, EPOLLOUT, output_ready);
}

struct channel *channel_open(const char *kind, const char *label, struct events *events,
			     const struct channel_user *user, void *opaque)
{
	struct channel *channel = calloc(1, sizeof(*channel));

	if (!channel) {
		error_set("out of memory");
		return NULL;
	}
	*channel = (struct channel){
		.kind = find_kind(kind),
		.events = events,
		.user = user,
		.opaque = opaque,
		.in = { .fd = -1, .stand_in = -1 },
		.out = { .fd = -1, .stand_in = -1 },
		.listener = { .fd = -1, .stand_in = -1 },
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.path = strchr(kind, ':') ? strchr(kind, ':') + 1 : NULL,
	};
	if (channel->kind->open(channel, label) || watch_all(channel)) {
		channel_close(channel);
		return NULL;
	}
	return channel;
}

static void close_source(const struct event_source *source)
{
	if (source->stand_in >= 0)
		close(source->stand_in);
	if (source->fd >= 0)
		close(source->fd);
}

void channel_close(struct channel *channel)
{
	if (channel->terminal)
		terminal_restore();
	close_source(&channel->listener);
	if (channel->out.fd != channel->in.fd)
		close_source(&channel->out);
	close_source(&channel->in);
	free(channel);
}

/* ---- bytes out ---------------------------------------------------------- */

/* -1: not now. The descriptor may block, so it is asked first, and given little. */
static ssize_t write_some(struct channel *channel, const u8 *data, size_t length)
{
	struct pollfd wait = { .fd = channel->out.fd, .events = POLLOUT };

	if (wait.fd < 0)
		return length;
	if (poll(&wait, 1, 0) != 1) {
		errno = EAGAIN;
		return -1;
	}
	if (channel->lonely && wait.revents & POLLHUP)
		return length;
	return write(wait.fd, data, length);
}

static void reader_has_gone(struct channel *channel)
{
	if (channel->kind->stdio)
		channel->user->end(channel->opaque, SIGPIPE);
}

size_t channel_write(struct channel *channel, const void *data, size_t length)
{
	size_t done = 0;
	ssize_t got;

	pthread_mutex_lock(&channel->lock);
	while (done < length) {
		got = write_some(channel, (const u8 *)data + done, length - done);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		done += got;
	}
	pthread_mutex_unlock(&channel->lock);
	if (done < length && errno == EPIPE) {
		reader_has_gone(channel);
		return length;
	}
	return done;
}

void channel_resume(struct channel *channel)
{
	pthread_mutex_lock(&channel->lock);
	if (channel->in.fd >= 0)
		events_again(channel->events, &channel->in);
	pthread_mutex_unlock(&channel->lock);
}

static bool signal_pending(void)
{
	sigset_t pending;

	sigpending(&pending);
	return sigismember(&pending, SIGINT) || sigismember(&pending, SIGTERM) ||
	       sigismember(&pending, SIGHUP) || sigismember(&pending, SIGQUIT);
}

void channel_finish(struct channel *channel, const void *data, size_t length)
{
	struct pollfd wait = { .fd = channel->out.fd, .events = POLLOUT };
	size_t done = 0;

	while (done < length && wait.fd >= 0) {
		done += channel_write(channel, (const u8 *)data + done, length - done);
		if (done == length || signal_pending())
			break;
		if (poll(&wait, 1, 100) == 1 && wait.revents & (POLLERR | POLLHUP | POLLNVAL))
			break;
	}
}
