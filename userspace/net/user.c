// SPDX-License-Identifier: GPL-2.0-only
/*
 * A network out of nothing: libslirp is a host and a router at the other end of the cable. It
 * answers DHCP (10.0.2.15 for the guest, itself at 10.0.2.2), passes DNS on to the host's resolver
 * (10.0.2.3), and turns each connection of the guest into one of the launcher's own sockets: no
 * privilege is needed, and the guest reaches what the launcher's user reaches.
 *
 * libslirp wants to be polled: before each sleep it names its descriptors and its next
 * timeout, after it looks which are ready. Here that sleep is the loop's: the descriptors are in
 * an epoll instance of their own, which the loop watches beside a timer.
 *
 * Frames for the guest wait in a ring. While there are any libslirp is not polled, so that
 * data which the guest does not take stays in the host's sockets.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <slirp/libslirp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "lib/error.h"
#include "vmm/net.h"

#define DESCRIPTORS	1024		/* that libslirp may have open; what is more waits */
#define RING		256		/* frames; a whole TCP window of some connections */
#define NS		1000000000LL
#define MS		1000000LL

#define NETWORK		0x0a000200	/* 10.0.2.0/24 */
#define NETMASK		0xffffff00
#define ROUTER		(NETWORK + 2)
#define NAMESERVER	(NETWORK + 3)
#define FIRST_LEASE	(NETWORK + 15)

struct waiting {
	u16 length;
	u8 frame[NET_FRAME];
};

struct user {
	struct net net;
	Slirp *slirp;
	struct event_source inner;	/* epoll: libslirp's descriptors */
	struct event_source alarm;	/* timer: its timeouts, and "at once" */
	bool alarmed;			/* it is set to "at once" */

	struct pollfd wanted[DESCRIPTORS], before[DESCRIPTORS];	/* now, and at the last sleep */
	int wanted_count, before_count;

	struct waiting *ring;
	u32 head, count;
	u64 lost;			/* found no room in it */
};

/* ---- time ----------------------------------------------------------------- */

static int64_t now_ns(void *opaque)
{
	struct timespec now;

	(void)opaque;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * NS + now.tv_nsec;
}

/* Wake up after so many milliseconds */
static void set_alarm(struct user *user, u32 ms)
{
	struct itimerspec in = { .it_value = { ms / 1000, ms % 1000 * MS } };

	if (!ms)
		in.it_value.tv_nsec = 1;	/* zero would be never */
	timerfd_settime(user->alarm.fd, 0, &in, NULL);
	user->alarmed = !ms;
}

/* Have libslirp polled from the loop; once for any number of reasons */
static void soon(void *opaque)
{
	struct user *user = opaque;

	if (!user->alarmed)
		set_alarm(user, 0);
}

/* ---- frames to the guest -------------------------------------------------- */

static ssize_t take_frame(const void *frame, size_t length, void *opaque)
{
	struct user *user = opaque;
	struct waiting *slot = &user->ring[(user->head + user->count) % RING];

	if (user->count == RING || length > NET_FRAME) {
		user->lost++;
		return length;
	}
	slot->length = length;
	memcpy(slot->frame, frame, length);
	user->count++;
	soon(user);
	return length;
}

/* True: all of them have found room */
static bool deliver(struct user *user)
{
	struct net *net = &user->net;
	struct waiting *slot;

	while (user->count && net->user->room(net->opaque)) {
		slot = &user->ring[user->head];
		net->user->receive(net->opaque, slot->frame, slot->length);
		user->head = (user->head + 1) % RING;
		user->count--;
	}
	net_done(net);
	return !user->count;
}

/* ---- libslirp's descriptors ----------------------------------------------- */

static const struct { int slirp; short poll; } bits[] = {
	{ SLIRP_POLL_IN, POLLIN }, { SLIRP_POLL_OUT, POLLOUT }, { SLIRP_POLL_PRI, POLLPRI },
	{ SLIRP_POLL_ERR, POLLERR }, { SLIRP_POLL_HUP, POLLHUP },
};

static int want(int fd, int events, void *opaque)
{
	struct user *user = opaque;
	size_t i;

	if (user->wanted_count == DESCRIPTORS)
		return -1;
	user->wanted[user->wanted_count] = (struct pollfd){ .fd = fd };
	for (i = 0; i < ARRAY_SIZE(bits); i++)
		if (events & bits[i].slirp)
			user->wanted[user->wanted_count].events |= bits[i].poll;
	return user->wanted_count++;
}

static int came(int index, void *opaque)
{
	const struct user *user = opaque;
	int events = 0;
	size_t i;

	for (i = 0; index >= 0 && i < ARRAY_SIZE(bits); i++)
		if (user->wanted[index].revents & bits[i].poll)
			events |= bits[i].slirp;
	return events;
}

/* Most often it is at the same place as before */
static bool is_wanted(const struct user *user, int fd, int place)
{
	int i;

	if (place < user->wanted_count && user->wanted[place].fd == fd)
		return true;
	for (i = 0; i < user->wanted_count; i++)
		if (user->wanted[i].fd == fd)
			return true;
	return false;
}

/*
 * Closing a descriptor takes it out of an epoll instance, and its number may come back as
 * another one: so each is added or modified, whatever it was before. poll()'s bits are epoll's.
 */
static void watch(struct user *user)
{
	struct epoll_event event;
	int i;

	for (i = 0; i < user->before_count; i++)
		if (!is_wanted(user, user->before[i].fd, i))
			epoll_ctl(user->inner.fd, EPOLL_CTL_DEL, user->before[i].fd, NULL);
	for (i = 0; i < user->wanted_count; i++) {
		event = (struct epoll_event){ .events = user->wanted[i].events };
		if (epoll_ctl(user->inner.fd, EPOLL_CTL_MOD, user->wanted[i].fd, &event))
			epoll_ctl(user->inner.fd, EPOLL_CTL_ADD, user->wanted[i].fd, &event);
	}
	memcpy(user->before, user->wanted, user->wanted_count * sizeof(user->wanted[0]));
	user->before_count = user->wanted_count;
}

/* Lie down: what shall wake us? */
static void sleep_until_ready(struct user *user)
{
	u32 timeout = UINT32_MAX;

	user->wanted_count = 0;
	slirp_pollfds_fill(user->slirp, &timeout, want, user);
	watch(user);
	if (timeout != UINT32_MAX)
		set_alarm(user, timeout);
	events_again(user->net.events, &user->inner);
}

/* What libslirp has said it wants is asked for once more, for it may have closed some since */
static void poll_slirp(struct user *user)
{
	u32 timeout = 0;
	int result;

	user->wanted_count = 0;
	slirp_pollfds_fill(user->slirp, &timeout, want, user);
	result = poll(user->wanted, user->wanted_count, 0);
	slirp_pollfds_poll(user->slirp, result < 0, came, user);
}

/*
 * Wake up: the guest has sent something, a descriptor is ready, time has passed, or there is room
 * again. As long as the guest has none, nothing of that matters; resume() will come.
 */
static void turn(struct user *user)
{
	user->alarmed = false;
	if (!deliver(user))
		return;
	poll_slirp(user);
	deliver(user);
	sleep_until_ready(user);
}

static void inner_ready(void *opaque, u32 events)
{
	(void)events;
	turn(opaque);
}

static void alarm_ready(void *opaque, u32 events)
{
	struct user *user = opaque;
	u64 expiries;

	(void)events;
	if (read(user->alarm.fd, &expiries, sizeof(expiries)) == sizeof(expiries))
		turn(user);
}

static void resume(struct net *net)
{
	soon(net);
}

/* ---- frames from the guest ------------------------------------------------ */

/*
 * 127.0.0.0/8 and 0.0.0.0/8 are never on a wire (RFC 1122, 3.2.1.3). libslirp would connect to
 * them all the same, which is to say to the host's own services.
 */
static bool is_for_nowhere(const u8 *frame, size_t length)
{
	static const u8 ipv4[] = { 0x08, 0x00 };
	const size_t destination = NET_HEADER + 16;

	return length > destination && !memcmp(frame + NET_HEADER - 2, ipv4, 2) &&
	       (frame[destination] == 127 || frame[destination] == 0);
}

static bool send_frame(struct net *net, const struct iovec *parts, int count, size_t length)
{
	struct user *user = (struct user *)net;
	u8 frame[NET_FRAME];
	size_t used = 0;
	int i;

	for (i = 0; i < count; used += parts[i++].iov_len)
		memcpy(frame + used, parts[i].iov_base, parts[i].iov_len);
	if (is_for_nowhere(frame, length))
		return false;
	slirp_input(user->slirp, frame, length);
	soon(user);
	return true;
}

/* ---- open to close -------------------------------------------------------- */

/* "PROTOCOL:[HOST]:PORT-[GUEST]:PORT", without addresses: this host alone, and the first guest */
struct forward {
	bool udp;
	struct in_addr host, guest;
	u32 host_port, guest_port;
};

static bool parse_end(const char *address, const char *port, u32 without, struct in_addr *in, u32 *number)
{
	char *end;

	in->s_addr = htonl(without);
	if (*address && inet_pton(AF_INET, address, in) != 1)
		return false;
	*number = strtoul(port, &end, 10);
	return *port >= '0' && *port <= '9' && !*end && *number >= 1 && *number <= 65535;
}

static bool parse_forward(const char *text, struct forward *forward)
{
	static const char separators[] = "::-:";
	char copy[64], *part[5] = { copy };
	int i;

	if (snprintf(copy, sizeof(copy), "%s", text) >= (int)sizeof(copy))
		return false;
	for (i = 0; separators[i]; i++) {
		part[i + 1] = strchr(part[i], separators[i]);
		if (!part[i + 1])
			return false;
		*part[i + 1]++ = 0;
	}
	forward->udp = !strcmp(part[0], "udp");
	return (forward->udp || !strcmp(part[0], "tcp")) &&
	       parse_end(part[1], part[2], INADDR_LOOPBACK, &forward->host, &forward->host_port) &&
	       parse_end(part[3], part[4], FIRST_LEASE, &forward->guest, &forward->guest_port);
}

static int add_forward(struct user *user, const char *text)
{
	struct forward forward;

	if (!parse_forward(text, &forward))
		return error_set("--net: hostfwd %s: write it as PROTOCOL:[HOST]:PORT-[GUEST]:PORT, as in tcp:127.0.0.1:2222-:22",
				 text);
	if (slirp_add_hostfwd(user->slirp, forward.udp, forward.host, forward.host_port, forward.guest,
			      forward.guest_port))
		return error_errno("--net: hostfwd %s: taking that port of the host (choose another, 1024 or more)",
				   text);
	return 0;
}

static void ignore_error(const char *message, void *opaque)
{
	(void)message;
	(void)opaque;
}

/* Only router advertisements of IPv6, which there is none of, want a timer of their own */
static void *no_timer(SlirpTimerCb call, void *call_opaque, void *opaque)
{
	(void)call;
	(void)call_opaque;
	(void)opaque;
	return NULL;
}

static void no_timer_mod(void *timer, int64_t ms, void *opaque)
{
	(void)timer;
	(void)ms;
	(void)opaque;
}

static void no_timer_free(void *timer, void *opaque)
{
	(void)timer;
	(void)opaque;
}

static void ignore_descriptor(int fd, void *opaque)
{
	(void)fd;
	(void)opaque;
}

static const SlirpCb callbacks = {
	.send_packet = take_frame,
	.guest_error = ignore_error,
	.clock_get_ns = now_ns,
	.timer_new = no_timer,
	.timer_free = no_timer_free,
	.timer_mod = no_timer_mod,
	.register_poll_fd = ignore_descriptor,
	.unregister_poll_fd = ignore_descriptor,
	.notify = soon,
};

static int start_slirp(struct user *user, const struct net_config *config)
{
	const SlirpConfig slirp = {
		.version = 1,
		.in_enabled = true,
		.vnetwork.s_addr = htonl(NETWORK),
		.vnetmask.s_addr = htonl(NETMASK),
		.vhost.s_addr = htonl(ROUTER),
		.vdhcp_start.s_addr = htonl(FIRST_LEASE),
		.vnameserver.s_addr = htonl(NAMESERVER),
		.vhostname = "thv",
		.disable_host_loopback = !config->loopback,
	};
	u32 i;

	user->slirp = slirp_new(&slirp, &callbacks, user);
	if (!user->slirp)
		return error_set("--net user: libslirp does not start");
	for (i = 0; i < config->forward.count; i++)
		if (add_forward(user, config->forward.text[i]))
			return -1;
	return 0;
}

static int open_user(struct net *net, const struct net_config *config)
{
	struct user *user = (struct user *)net;

	user->inner = (struct event_source){ .fd = epoll_create1(EPOLL_CLOEXEC), .mask = EPOLLIN,
					     .ready = inner_ready, .opaque = user };
	user->alarm = (struct event_source){
		.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK),
		.mask = EPOLLIN, .ready = alarm_ready, .opaque = user };
	user->ring = malloc(RING * sizeof(*user->ring));
	if (!user->ring)
		return error_set("out of memory");
	if (user->inner.fd < 0 || user->alarm.fd < 0)
		return error_errno("--net user");
	if (start_slirp(user, config) || events_add(net->events, &user->inner) ||
	    events_add(net->events, &user->alarm))
		return -1;
	soon(user);
	return 0;
}

static void close_user(struct net *net)
{
	struct user *user = (struct user *)net;

	if (user->slirp)
		slirp_cleanup(user->slirp);
	if (user->inner.fd >= 0)
		close(user->inner.fd);
	if (user->alarm.fd >= 0)
		close(user->alarm.fd);
	free(user->ring);
}

const struct net_backend net_user_backend = {
	.size = sizeof(struct user),
	.open = open_user,
	.send = send_frame,
	.resume = resume,
	.close = close_user,
};
