// SPDX-License-Identifier: GPL-2.0-only
/*
 * A virtual switch between the guests of one user on this host, without a process of its own:
 * each member has a connection to each other one and finds out by itself where a frame has to
 * go. So whoever dies takes nothing along but his own port.
 *
 * A switch is a folder, $XDG_RUNTIME_DIR/thv/switch/NAME, which belongs to the user alone; a
 * member is a socket in it, whose name is the member's address: that is how addresses are handed
 * out without any being given twice. Who joins holds the folder's lock, connects to all who are
 * there, and leaves a socket for those who come later. So each two are connected once.
 *
 * On a connection (SOCK_SEQPACKET: one message a frame) the first message is the joiner's
 * struct hello, and all others are frames. What a member does not read stays in the kernel, up
 * to the size of the socket's buffer; what is more is lost, for this member.
 *
 * Guests are hostile. A member's address is the member's: frames to it go nowhere else, and
 * frames that claim to come from it are taken from no other. Addresses behind a member (of a
 * bridge, say) are learned.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "lib/error.h"
#include "net/switch.h"

#define PEERS		64
#define LEARNED		256		/* addresses behind members; a power of two */
#define LOCK_TRIES	50		/* of 100 ms */
#define SEND_BUFFER	(1 << 20)	/* wished for; the kernel gives what it allows */
#define MEMBER_NAME	18		/* a member's file name with its zero: its address */
#define SWITCH_PATH	108		/* of a socket, at most, with its zero: unix(7) */
#define HELLO		0x48564854	/* "THVH" */

struct hello {
	u32 magic;
	u8 mac[NET_MAC];
} __attribute__((packed));

struct member {
	struct event_source source;	/* fd -1: nobody */
	struct port *port;
	bool introduced;		/* mac is known */
	u8 mac[NET_MAC];
};

/* Ours */
struct port {
	struct net net;
	struct event_source listener;
	struct sockaddr_un address;
	struct member member[PEERS];
	struct { u8 mac[NET_MAC], member; } learned[LEARNED];	/* member: 1 + its number, or 0 */
};

/* ---- members -------------------------------------------------------------- */

/* The place may be another's soon, so what was learned goes, too */
static void drop(struct member *member)
{
	struct port *port = member->port;
	u32 i;

	if (member->source.fd < 0)
		return;
	close(member->source.fd);
	member->source.fd = -1;
	member->introduced = false;
	for (i = 0; i < LEARNED; i++)
		if (port->learned[i].member == 1 + (member - port->member))
			port->learned[i].member = 0;
}

static struct member *member_of(struct port *port, const u8 *mac)
{
	int i;

	for (i = 0; i < PEERS; i++)
		if (port->member[i].introduced && !memcmp(port->member[i].mac, mac, NET_MAC))
			return &port->member[i];
	return NULL;
}

static void member_ready(void *opaque, u32 events);

/* NULL: there is no room, or no memory in the kernel; the descriptor is closed then */
static struct member *add(struct port *port, int fd)
{
	const int wish = SEND_BUFFER;
	int i;

	for (i = 0; i < PEERS && port->member[i].source.fd >= 0; i++)
		;
	if (i < PEERS) {
		port->member[i] = (struct member){
			.source = { fd, EPOLLIN, member_ready, &port->member[i], -1 },
			.port = port,
		};
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &wish, sizeof(wish));
		if (!events_add(port->net.events, &port->member[i].source))
			return &port->member[i];
		port->member[i].source.fd = -1;
	}
	close(fd);
	return NULL;
}

static void introduce(struct member *member, const u8 *mac)
{
	memcpy(member->mac, mac, NET_MAC);
	member->introduced = true;
}

/* ---- learning ------------------------------------------------------------- */

static u32 place_of(const u8 *mac)
{
	u32 hash = 2166136261u, i;

	for (i = 0; i < NET_MAC; i++)
		hash = (hash ^ mac[i]) * 16777619u;
	return hash % LEARNED;
}

/* The newest wins its place in the table: who floods it makes frames go to all, nothing worse */
static void learn(struct port *port, const struct member *member, const u8 *mac)
{
	u32 place = place_of(mac);

	memcpy(port->learned[place].mac, mac, NET_MAC);
	port->learned[place].member = 1 + (member - port->member);
}

static struct member *find(struct port *port, const u8 *mac)
{
	struct member *member = member_of(port, mac);
	u32 place = place_of(mac);

	if (member)
		return member;
	if (!port->learned[place].member || memcmp(port->learned[place].mac, mac, NET_MAC))
		return NULL;
	return &port->member[port->learned[place].member - 1];
}

/* ---- frames --------------------------------------------------------------- */

static bool pass(struct member *member, const struct iovec *parts, int count)
{
	const struct msghdr message = { .msg_iov = (struct iovec *)parts, .msg_iovlen = count };

	if (sendmsg(member->source.fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		return true;
	if (errno != EAGAIN && errno != EINTR && errno != ENOBUFS && errno != ENOMEM)
		drop(member);
	return false;
}

static bool flood(struct port *port, const struct iovec *parts, int count)
{
	bool all = true;
	int i;

	for (i = 0; i < PEERS; i++)
		if (port->member[i].introduced)
			all &= pass(&port->member[i], parts, count);
	return all;
}

/* Our guest's parts are its memory: what the address was when we looked is what counts */
static void read_destination(const struct iovec *parts, int count, u8 *mac)
{
	size_t used = 0, length;
	int i;

	for (i = 0; i < count && used < NET_MAC; i++, used += length) {
		length = parts[i].iov_len < NET_MAC - used ? parts[i].iov_len : NET_MAC - used;
		memcpy(mac + used, parts[i].iov_base, length);
	}
}

static bool send_frame(struct net *net, const struct iovec *parts, int count, size_t length)
{
	struct port *port = (struct port *)net;
	struct member *to = NULL;
	u8 mac[NET_MAC];

	(void)length;
	read_destination(parts, count, mac);
	if (!net_is_multicast(mac))
		to = find(port, mac);
	return to ? pass(to, parts, count) : flood(port, parts, count);
}

/* Does this frame's sender have that address? */
static bool is_honest(struct port *port, const struct member *member, const u8 *source)
{
	const struct member *owner = member_of(port, source);

	if (net_is_multicast(source) || !memcmp(source, port->net.mac, NET_MAC))
		return false;
	return !owner || owner == member;
}

static void take_frame(struct member *member, const u8 *frame, size_t length)
{
	const u8 *source = frame + NET_MAC;
	struct port *port = member->port;
	struct net *net = &port->net;

	if (length < NET_HEADER || length > NET_FRAME || !is_honest(port, member, source))
		return;
	if (member_of(port, source) != member)
		learn(port, member, source);
	net->user->receive(net->opaque, frame, length);
}

static bool take_hello(struct member *member, const u8 *message, size_t length)
{
	struct hello hello;

	if (length != sizeof(hello))
		return false;
	memcpy(&hello, message, sizeof(hello));
	if (hello.magic != HELLO || net_is_multicast(hello.mac) ||
	    !memcmp(hello.mac, member->port->net.mac, NET_MAC) || member_of(member->port, hello.mac))
		return false;
	introduce(member, hello.mac);
	return true;
}

/* One message; false: there is none, or nobody any more, or no room for a frame: resume() brings us back */
static bool take_message(struct member *member)
{
	const struct net *net = &member->port->net;
	u8 message[NET_FRAME + 1];	/* one more tells what is too long */
	ssize_t got;

	if (member->introduced && !net->user->room(net->opaque))
		return false;
	got = recv(member->source.fd, message, sizeof(message), MSG_DONTWAIT);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (got <= 0 || (!member->introduced && !take_hello(member, message, got))) {
		drop(member);
		return false;
	}
	if (got != sizeof(struct hello))
		take_frame(member, message, got);
	return true;
}

static void member_ready(void *opaque, u32 events)
{
	struct member *member = opaque;
	struct net *net = &member->port->net;
	int burst = 0;

	(void)events;
	while (burst < NET_BURST && take_message(member))
		burst++;
	net_done(net);
	if (burst == NET_BURST)
		events_again(net->events, &member->source);
}

static void resume(struct net *net)
{
	struct port *port = (struct port *)net;
	int i;

	for (i = 0; i < PEERS; i++)
		if (port->member[i].source.fd >= 0)
			events_again(net->events, &port->member[i].source);
}

static void listener_ready(void *opaque, u32 events)
{
	struct port *port = opaque;
	int fd, burst;

	(void)events;
	for (burst = 0; burst < PEERS; burst++) {
		fd = accept4(port->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd < 0)
			return;
		add(port, fd);
	}
	events_again(port->net.events, &port->listener);
}

/* ---- the folder ----------------------------------------------------------- */

/* A folder that nobody else can write to */
static int make_folder(const char *path)
{
	struct stat stat;

	if (mkdir(path, 0700) && errno != EEXIST)
		return error_errno("--net switch: making %s", path);
	if (lstat(path, &stat))
		return error_errno("--net switch: %s", path);
	if (!S_ISDIR(stat.st_mode) || stat.st_uid != geteuid() || stat.st_mode & 0022)
		return error_set("--net switch: %s is not a folder of your own; remove it, or set XDG_RUNTIME_DIR",
				 path);
	return 0;
}

/* Where a user's things are that live as long as the machine is up */
static int make_base(char *path)
{
	const char *given = getenv("XDG_RUNTIME_DIR");

	if (given && *given == '/')
		snprintf(path, SWITCH_PATH, "%s", given);
	else
		snprintf(path, SWITCH_PATH, "/run/user/%u", geteuid());
	if (!access(path, W_OK))
		return 0;
	snprintf(path, SWITCH_PATH, "/tmp/thv-%u", geteuid());
	return make_folder(path);
}

static bool is_name(const char *name)
{
	return strlen(name) <= 32 && *name != '.' &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == strlen(name);
}

/* @path has SWITCH_PATH bytes */
static int find_folder(const char *name, char *path)
{
	static const char *const below[] = { "/thv", "/switch" };
	size_t i, used;

	if (!is_name(name))
		return error_set("--net switch=%s: a name has up to 32 letters, digits and . _ -", name);
	if (make_base(path))
		return -1;
	for (i = 0; i < ARRAY_SIZE(below); i++) {
		strncat(path, below[i], SWITCH_PATH - strlen(path) - 1);
		if (make_folder(path))
			return -1;
	}
	used = strlen(path);
	if (used + 1 + strlen(name) + 1 + MEMBER_NAME > SWITCH_PATH)
		return error_set("--net switch=%s: %s is too long for the paths of sockets; set XDG_RUNTIME_DIR to a shorter one",
				 name, path);
	snprintf(path + used, SWITCH_PATH - used, "/%s", name);
	return make_folder(path);
}

/* The folder's descriptor, which holds the lock until it is closed; -1 with the error text */
static int lock(const char *path)
{
	const struct timespec a_while = { .tv_nsec = 100 * 1000 * 1000 };
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), tries;

	if (fd < 0)
		return error_errno("--net switch: %s", path);
	for (tries = 0; flock(fd, LOCK_EX | LOCK_NB); tries++) {
		if (tries == LOCK_TRIES) {
			close(fd);
			return error_set("--net switch: somebody who joins does not get ready; `fuser %s` tells who",
					 path);
		}
		nanosleep(&a_while, NULL);
	}
	return fd;
}

static void set_address(struct sockaddr_un *address, const char *folder, const u8 *mac)
{
	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	snprintf(address->sun_path, sizeof(address->sun_path), "%s/" NET_MAC_FORMAT, folder,
		 NET_MAC_ARGUMENTS(mac));
}

/*
 * A connection, or -1: nobody is there. A socket that nobody listens at any more goes; those who
 * are there make theirs under the lock, so with it, or after it, none is taken for such a one.
 */
static int call(const char *folder, const u8 *mac)
{
	struct sockaddr_un address;
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -1;
	set_address(&address, folder, mac);
	if (!connect(fd, (struct sockaddr *)&address, sizeof(address)))
		return fd;
	if (errno == ECONNREFUSED)
		unlink(address.sun_path);
	close(fd);
	return -1;
}

/* For each member there is */
static int for_each(const char *folder, int (*found)(void *opaque, const char *folder, const u8 *mac),
		    void *opaque)
{
	DIR *list = opendir(folder);
	struct dirent *entry;
	u8 mac[NET_MAC];
	int result = 0;

	if (!list)
		return error_errno("--net switch: %s", folder);
	while (!result && (entry = readdir(list)))
		if (!net_parse_mac(entry->d_name, mac))
			result = found(opaque, folder, mac);
	closedir(list);
	return result;
}

/* ---- who is there, for others -------------------------------------------- */

struct look {
	void (*tell)(void *opaque, const u8 *mac, pid_t pid);
	void *opaque;
};

static int look_at(void *opaque, const char *folder, const u8 *mac)
{
	const struct look *look = opaque;
	struct ucred who = { 0 };
	socklen_t size = sizeof(who);
	int fd = call(folder, mac);

	if (fd < 0)
		return 0;
	getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size);
	look->tell(look->opaque, mac, who.pid);
	close(fd);
	return 0;
}

int switch_members(const char *name, void (*tell)(void *opaque, const u8 *mac, pid_t pid), void *opaque)
{
	struct look look = { tell, opaque };
	char folder[SWITCH_PATH];
	int result, fd;

	if (find_folder(name, folder))
		return -1;
	fd = lock(folder);
	if (fd < 0)
		return -1;
	result = for_each(folder, look_at, &look);
	close(fd);
	return result;
}

/* ---- joining -------------------------------------------------------------- */

static int meet(void *opaque, const char *folder, const u8 *mac)
{
	struct hello hello = { .magic = HELLO };
	struct port *port = opaque;
	struct member *member;
	int fd;

	if (!memcmp(mac, port->net.mac, NET_MAC))
		return 0;
	fd = call(folder, mac);
	if (fd < 0)
		return 0;
	member = add(port, fd);
	if (!member)
		return error_set("--net switch: it has %u members already, and takes no more", PEERS + 1);
	memcpy(hello.mac, port->net.mac, NET_MAC);
	if (send(fd, &hello, sizeof(hello), MSG_NOSIGNAL) == sizeof(hello))
		introduce(member, mac);
	else
		drop(member);
	return 0;
}

/* With the lock, so that whoever is there first has the address */
static int settle(struct port *port, const char *folder)
{
	int fd = call(folder, port->net.mac);

	if (fd >= 0) {
		close(fd);
		return error_set("--net switch: another member has the address " NET_MAC_FORMAT
				 "; choose another mac=, or none", NET_MAC_ARGUMENTS(port->net.mac));
	}
	set_address(&port->address, folder, port->net.mac);
	port->listener.fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (port->listener.fd < 0)
		return error_errno("--net switch");
	if (bind(port->listener.fd, (struct sockaddr *)&port->address, sizeof(port->address))) {
		error_errno("--net switch: %s", port->address.sun_path);
		port->address.sun_path[0] = 0;
		return -1;
	}
	if (listen(port->listener.fd, PEERS))
		return error_errno("--net switch");
	return events_add(port->net.events, &port->listener);
}

static int open_switch(struct net *net, const struct net_config *config)
{
	struct port *port = (struct port *)net;
	char folder[SWITCH_PATH];
	int i, fd, failed;

	port->listener = (struct event_source){ -1, EPOLLIN, listener_ready, port, -1 };
	for (i = 0; i < PEERS; i++)
		port->member[i].source.fd = -1;
	if (find_folder(config->switch_name, folder))
		return -1;
	fd = lock(folder);
	if (fd < 0)
		return -1;
	failed = settle(port, folder) || for_each(folder, meet, port);
	close(fd);
	return failed ? -1 : 0;
}

/* In its sandbox the launcher cannot remove its socket: then whoever joins next does */
static void close_switch(struct net *net)
{
	struct port *port = (struct port *)net;
	int i;

	if (port->address.sun_path[0])
		unlink(port->address.sun_path);
	if (port->listener.fd >= 0)
		close(port->listener.fd);
	for (i = 0; i < PEERS; i++)
		drop(&port->member[i]);
}

const struct net_backend net_switch_backend = {
	.size = sizeof(struct port),
	.open = open_switch,
	.send = send_frame,
	.resume = resume,
	.close = close_switch,
};
