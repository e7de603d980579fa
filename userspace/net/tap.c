// SPDX-License-Identifier: GPL-2.0-only
/*
 * A tap device: a network card of the host whose cable ends here. What the host does with it
 * (an address, a bridge, routing) is the host's.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/error.h"
#include "vmm/net.h"

#define DEVICE_FILE	"/dev/net/tun"

struct tap {
	struct net net;
	struct event_source source;
};

/* False: there is no frame any more, or no room: then resume() brings us back */
static bool take_frame(struct tap *tap)
{
	struct net *net = &tap->net;
	u8 frame[NET_FRAME + 1];	/* one more tells what is too long */
	ssize_t got;

	if (!net->user->room(net->opaque))
		return false;
	got = read(tap->source.fd, frame, sizeof(frame));
	if (got >= NET_HEADER && got <= NET_FRAME)
		net->user->receive(net->opaque, frame, got);
	return got >= 0;
}

static void ready(void *opaque, u32 events)
{
	struct tap *tap = opaque;
	int burst = 0;

	(void)events;
	while (burst < NET_BURST && take_frame(tap))
		burst++;
	net_done(&tap->net);
	if (burst == NET_BURST)
		events_again(tap->net.events, &tap->source);
}

static bool send_frame(struct net *net, const struct iovec *parts, int count, size_t length)
{
	struct tap *tap = (struct tap *)net;

	return writev(tap->source.fd, parts, count) == (ssize_t)length;
}

static void resume(struct net *net)
{
	events_again(net->events, &((struct tap *)net)->source);
}

static int explain(const char *name)
{
	if (errno == EPERM || errno == EACCES)
		return error_set("--net tap=%s: you may not use or make that device; as root: `ip tuntap add dev %s mode tap user %u && ip link set %s up`",
				 name, name, geteuid(), name);
	if (errno == EBUSY)
		return error_set("--net tap=%s: another program has it; give each guest a device of its own", name);
	if (errno == EINVAL)
		return error_set("--net tap=%s: there is a device of that name which is no tap device", name);
	return error_errno("--net tap=%s", name);
}

/* As far as we may: a tap device made for a user is set up by who made it */
static void set_up(const char *name)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = { 0 };

	if (fd < 0)
		return;
	memcpy(request.ifr_name, name, strlen(name));
	if (!ioctl(fd, SIOCGIFFLAGS, &request)) {
		request.ifr_flags |= IFF_UP;
		ioctl(fd, SIOCSIFFLAGS, &request);
	}
	close(fd);
}

static int attach(struct tap *tap, const char *name)
{
	struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI };

	memcpy(request.ifr_name, name, strlen(name));
	if (ioctl(tap->source.fd, TUNSETIFF, &request))
		return explain(name);
	set_up(name);
	return 0;
}

static int open_tap(struct net *net, const struct net_config *config)
{
	struct tap *tap = (struct tap *)net;
	const char *name = config->tap;

	tap->source = (struct event_source){ .fd = -1, .mask = EPOLLIN, .ready = ready, .opaque = tap };
	if (strlen(name) >= IFNAMSIZ || strpbrk(name, "/%: "))
		return error_set("--net tap=%s: no device can have that name; 15 characters are possible", name);
	tap->source.fd = open(DEVICE_FILE, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (tap->source.fd < 0 && (errno == ENOENT || errno == ENODEV))
		return error_set("--net tap=%s: there is no " DEVICE_FILE "; as root: `modprobe tun`", name);
	if (tap->source.fd < 0)
		return explain(name);
	return attach(tap, name) ? -1 : events_add(net->events, &tap->source);
}

static void close_tap(struct net *net)
{
	struct tap *tap = (struct tap *)net;

	if (tap->source.fd >= 0)
		close(tap->source.fd);
}

const struct net_backend net_tap_backend = {
	.size = sizeof(struct tap),
	.open = open_tap,
	.send = send_frame,
	.resume = resume,
	.close = close_tap,
};
