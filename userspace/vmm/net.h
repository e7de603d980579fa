/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A network: one end of a cable, with Ethernet frames on it. What it is plugged into is a
 * backend, one file in net/; none of them knows what kind of card the guest has, and no card knows
 * the backends.
 *
 * One thread: all calls come from the one that runs the loop given to net_open(), and frames
 * arrive from that loop, never from within net_send(). Nothing here queues without a bound: a frame
 * that the other end does not take now is lost, as on any Ethernet, and frames that the user has
 * no room for stay where they come from.
 */
#ifndef THV_VMM_NET_H
#define THV_VMM_NET_H

#include <stdio.h>
#include <sys/uio.h>

#include "lib/options.h"
#include "vmm/events.h"

#define NET_MAC		6
#define NET_HEADER	14		/* both addresses and the type */
#define NET_FRAME	1518		/* at most: an MTU of 1500 and a VLAN tag; no checksum */
#define NET_BURST	64		/* frames from one source before others have their turn */

struct net;

/* What the user of a network does; called on the loop's thread, from the loop */
struct net_user {
	bool (*room)(void *opaque);	/* would receive() take a frame now? */
	void (*receive)(void *opaque, const u8 *frame, size_t length);
	void (*done)(void *opaque);	/* that was all that came together; NULL: does not matter */
};

/* The words of --net; exactly one of the first three is given */
struct net_config {
	bool user;
	const char *tap;
	const char *switch_name;
	u8 mac[NET_MAC];		/* zero: the backend finds one */
	struct option_list forward;	/* user: PROTOCOL:[HOST]:PORT-[GUEST]:PORT */
	bool loopback;			/* user: the guest may reach the host's 127.0.0.1 */
};

/* Its rows, for those who explain them */
extern const struct option_row net_options[];

/*
 * Would they work? Opens them together and closes them again, so that what would not is said
 * before there is a VM. 0, or -1 with the error text.
 */
int net_check(const struct option_list *nets);

/* Does it make connections of its own (THREAD_NETWORK)? Of a text that net_check() has let pass. */
bool net_connects(const char *text);

/* @text: as after --net. NULL with the error text. */
struct net *net_open(const char *text, struct events *events, const struct net_user *user,
		     void *opaque);
void net_close(struct net *net);

/* The address that its user is to have; it stays the same */
const u8 *net_mac(const struct net *net);

/* Send a frame that lies in parts; false: it was lost */
bool net_send(struct net *net, const struct iovec *parts, int count);

/* room() has changed its mind */
void net_resume(struct net *net);

/* ---- for the backends ----------------------------------------------------- */

/* Each embeds this as its first member; net.c fills it before open() */
struct net {
	const struct net_backend *backend;
	struct events *events;
	const struct net_user *user;
	void *opaque;
	u8 mac[NET_MAC];
};

/**
 * struct net_backend - what a network can be plugged into.
 * @size: of its own structure.
 * @open: 0, or -1 with the error text; close() is called in either case. Sets the address if
 *	it has to be one in particular, else it is as configured, or random.
 * @send: the length is within NET_HEADER and NET_FRAME, @length in all.
 */
struct net_backend {
	size_t size;
	int (*open)(struct net *net, const struct net_config *config);
	bool (*send)(struct net *net, const struct iovec *parts, int count, size_t length);
	void (*resume)(struct net *net);
	void (*close)(struct net *net);
};

extern const struct net_backend net_user_backend, net_tap_backend, net_switch_backend;

/* After some calls of receive() */
static inline void net_done(struct net *net)
{
	if (net->user->done)
		net->user->done(net->opaque);
}

/* A random address, locally administered: 46 bits, so that no two are the same */
void net_random_mac(u8 *mac);

/* "02:00:5e:10:00:01": 0, or -1 if it is none. Nothing may follow. */
int net_parse_mac(const char *text, u8 *mac);

#define NET_MAC_FORMAT		"%02x:%02x:%02x:%02x:%02x:%02x"
#define NET_MAC_ARGUMENTS(mac)	(mac)[0], (mac)[1], (mac)[2], (mac)[3], (mac)[4], (mac)[5]

static inline bool net_is_multicast(const u8 *mac)
{
	return mac[0] & 1;
}

#endif
