// SPDX-License-Identifier: GPL-2.0-only
// sources: userspace/net/net.c userspace/net/user.c userspace/net/tap.c userspace/net/switch.c
// sources: userspace/vmm/events.c userspace/lib/error.c userspace/lib/options.c
// libs: -lslirp
/*
 * The network of libslirp, seen by a guest that makes its frames by hand: DHCP, ARP, TCP through
 * the host's sockets, ports forwarded, and what must not get through.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/ethernet.h>
#include <net/if_arp.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "net_guest.h"

#define ADDRESS		0x0a00020f	/* the guest's */
#define ROUTER		0x0a000202
#define PORT		40000
#define SECONDS		1000

static struct guest guest;

struct packet {
	struct ether_header ethernet;
	struct iphdr ip;
	union {
		struct udphdr udp;
		struct tcphdr tcp;
		u8 bytes[1400];
	};
} __attribute__((packed));

/* ---- frames, made and taken apart ----------------------------------------- */

static u32 sum(const void *data, size_t length, u32 total)
{
	const u8 *byte = data;
	size_t i;

	for (i = 0; i < length; i++)
		total += i & 1 ? byte[i] : byte[i] << 8;
	return total;
}

static u16 folded(u32 total)
{
	while (total >> 16)
		total = (total & 0xffff) + (total >> 16);
	return htons(~total & 0xffff);
}

static void make_ip(struct packet *packet, u8 protocol, u32 from, u32 to, size_t payload)
{
	static const u8 router[NET_MAC] = { 0x52, 0x55, 0x0a, 0x00, 0x02, 0x02 };

	memcpy(packet->ethernet.ether_dhost, router, NET_MAC);
	memcpy(packet->ethernet.ether_shost, net_mac(guest.net), NET_MAC);
	packet->ethernet.ether_type = htons(ETHERTYPE_IP);
	packet->ip = (struct iphdr){
		.version = 4, .ihl = 5, .ttl = 64, .protocol = protocol,
		.tot_len = htons(sizeof(packet->ip) + payload), .saddr = htonl(from), .daddr = htonl(to),
	};
	packet->ip.check = folded(sum(&packet->ip, sizeof(packet->ip), 0));
}

static bool send_packet(const struct packet *packet, size_t payload)
{
	return guest_send(&guest, packet, offsetof(struct packet, bytes) + payload);
}

static bool send_tcp(u32 to, u16 port, u32 sequence, u32 acknowledge, u16 flags)
{
	struct packet packet;
	u32 total;

	make_ip(&packet, IPPROTO_TCP, ADDRESS, to, sizeof(packet.tcp));
	packet.tcp = (struct tcphdr){
		.source = htons(PORT), .dest = htons(port), .seq = htonl(sequence),
		.ack_seq = htonl(acknowledge), .doff = 5, .window = htons(65535),
	};
	packet.tcp.th_flags = flags;
	total = sum(&packet.ip.saddr, 8, IPPROTO_TCP + sizeof(packet.tcp));
	packet.tcp.check = folded(sum(&packet.tcp, sizeof(packet.tcp), total));
	return send_packet(&packet, sizeof(packet.tcp));
}

/* Frame @index as TCP, or NULL */
static const struct packet *as_tcp(u32 index)
{
	const struct packet *packet = (void *)guest.frame[index % GUEST_FRAMES];

	if (packet->ethernet.ether_type != htons(ETHERTYPE_IP) || packet->ip.protocol != IPPROTO_TCP)
		return NULL;
	return packet;
}

static const struct packet *last_tcp(u8 flags)
{
	u32 i;

	for (i = guest.count; i-- > 0 && i + GUEST_FRAMES >= guest.count;)
		if (as_tcp(i) && as_tcp(i)->tcp.th_flags == flags)
			return as_tcp(i);
	return NULL;
}

/* "Who has @address?" or, with @operation ARPOP_REPLY, "I have the guest's" */
static void send_arp(u32 address, u16 operation)
{
	u8 frame[60] = { 0 };
	struct arphdr *arp = (void *)(frame + NET_HEADER);
	u8 *body = (void *)(arp + 1);
	const u32 own = htonl(ADDRESS), target = htonl(address);

	memset(frame, 0xff, NET_MAC);
	memcpy(frame + NET_MAC, net_mac(guest.net), NET_MAC);
	memcpy(frame + 12, "\x08\x06", 2);
	*arp = (struct arphdr){ htons(ARPHRD_ETHER), htons(ETHERTYPE_IP), 6, 4, htons(operation) };
	memcpy(body, net_mac(guest.net), NET_MAC);
	memcpy(body + 6, &own, 4);
	memcpy(body + 16, &target, 4);
	guest_send(&guest, frame, sizeof(frame));
}

/* ---- a service of the host ------------------------------------------------ */

static int listen_somewhere(u16 *port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	socklen_t size = sizeof(address);

	bind(fd, (struct sockaddr *)&address, size);
	listen(fd, 5);
	getsockname(fd, (struct sockaddr *)&address, &size);
	*port = ntohs(address.sin_port);
	return fd;
}

static bool start(const char *text)
{
	if (!tap_ok(guest_open(&guest, text), "--net %s", text))
		return false;
	send_arp(ADDRESS, ARPOP_REQUEST);	/* here we are */
	guest_run(&guest, 0, 20);
	return true;
}

/* ---- tests ---------------------------------------------------------------- */

static const u8 *dhcp_option(const u8 *options, const u8 *end, u8 code)
{
	for (; options + 2 <= end && *options != 255; options += 2 + options[1])
		if (*options == code)
			return options;
	return NULL;
}

static void test_dhcp(void)
{
	static const u8 discover[] = { 99, 130, 83, 99, 53, 1, 1, 255 };
	struct packet packet = { 0 };
	const struct packet *offer;
	const u8 *options, *found;
	u32 address;

	if (!start("user"))
		return;
	memset(packet.bytes, 0, sizeof(packet.bytes));
	memcpy(packet.bytes + 8, "\x01\x01\x06\x00gast", 8);
	memcpy(packet.bytes + 8 + 28, net_mac(guest.net), NET_MAC);
	memcpy(packet.bytes + 8 + 236, discover, sizeof(discover));
	make_ip(&packet, IPPROTO_UDP, 0, 0xffffffff, 300);
	packet.udp = (struct udphdr){ .source = htons(68), .dest = htons(67), .len = htons(300) };
	memset(packet.ethernet.ether_dhost, 0xff, NET_MAC);
	guest.count = 0;
	send_packet(&packet, 300);
	tap_is(guest.count, 0, "nothing arrives while the guest still sends");
	guest_run(&guest, 1, 2 * SECONDS);
	if (!tap_ok(guest.count == 1, "DHCP: a DISCOVER is answered"))
		return;
	offer = (void *)guest_last(&guest);
	options = offer->bytes + 8 + 240;
	memcpy(&address, offer->bytes + 8 + 16, 4);
	tap_is(ntohl(address), ADDRESS, "... with 10.0.2.15");
	found = dhcp_option(options, guest_last(&guest) + guest.length[0], 53);
	tap_ok(found && found[2] == 2, "... in an OFFER");
	found = dhcp_option(options, guest_last(&guest) + guest.length[0], 3);
	tap_ok(found && !memcmp(found + 2, "\x0a\x00\x02\x02", 4), "... with the router 10.0.2.2");
	found = dhcp_option(options, guest_last(&guest) + guest.length[0], 6);
	tap_ok(found && !memcmp(found + 2, "\x0a\x00\x02\x03", 4), "... and the name server 10.0.2.3");
	net_close(guest.net);
}

static void test_arp(void)
{
	if (!start("user,mac=52:54:00:12:34:56"))
		return;
	tap_ok(!memcmp(net_mac(guest.net), "\x52\x54\x00\x12\x34\x56", NET_MAC), "mac= is the guest's address");
	guest.count = 0;
	send_arp(ROUTER, ARPOP_REQUEST);
	guest_run(&guest, 1, 2 * SECONDS);
	tap_ok(guest.count == 1 && !memcmp(guest_last(&guest), net_mac(guest.net), NET_MAC) &&
	       guest_last(&guest)[21] == ARPOP_REPLY, "the router answers who it is");
	net_close(guest.net);
}

/* A connection from the guest to a service of ours; its descriptor, or -1 */
static int connect_through(u32 to, int listener, u16 port, u32 *next)
{
	const struct packet *answer;
	int fd = -1, tries;

	guest.count = 0;
	send_tcp(to, port, 1000, 0, TH_SYN);
	guest_run(&guest, 1, 300);
	answer = last_tcp(TH_SYN | TH_ACK);
	if (answer) {
		*next = ntohl(answer->tcp.seq) + 1;
		send_tcp(to, port, 1001, *next, TH_ACK);
	}
	for (tries = 0; fd < 0 && tries < 5; tries++) {
		guest_run(&guest, 0, 20);
		fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
	}
	return fd;
}

static void test_loopback(void)
{
	static const char *const nowhere[] = { "127.0.0.1", "127.1.2.3", "0.0.0.0" };
	int listener, fd;
	u32 next;
	u16 port;
	size_t i;

	listener = listen_somewhere(&port);
	if (!start("user"))
		return;
	fd = connect_through(ROUTER, listener, port, &next);
	tap_ok(fd < 0 && !last_tcp(TH_SYN | TH_ACK), "the host's own 127.0.0.1 is out of the guest's reach");
	for (i = 0; i < ARRAY_SIZE(nowhere); i++) {
		tap_ok(!send_tcp(ntohl(inet_addr(nowhere[i])), port, 1000, 0, TH_SYN) &&
		       connect_through(ntohl(inet_addr(nowhere[i])), listener, port, &next) < 0,
		       "... by %s, too", nowhere[i]);
	}
	net_close(guest.net);
	if (!start("user,loopback"))
		return;
	fd = connect_through(ROUTER, listener, port, &next);
	tap_ok(fd >= 0, "with loopback it is at 10.0.2.2");
	close(fd);
	close(listener);
	net_close(guest.net);
}

/* How much goes into a connection while the guest has no room; and what arrives afterwards */
static void test_backpressure(void)
{
	static u8 data[65536];
	int listener, fd, rounds;
	size_t sent = 0, arrived = 0;
	ssize_t got;
	u32 next, i, ready, bytes;
	u16 port;

	listener = listen_somewhere(&port);
	if (!start("user,loopback"))
		return;
	fd = connect_through(ROUTER, listener, port, &next);
	if (!tap_ok(fd >= 0, "a connection through the host"))
		return;
	guest.count = 0;
	guest.full = true;
	for (rounds = 0; rounds < 200; rounds++) {
		while ((got = send(fd, data, sizeof(data), MSG_NOSIGNAL)) > 0)
			sent += got;
		guest_run(&guest, 0, 5);
	}
	tap_ok(sent < 16 * SIZE_1M && got < 0 && errno == EAGAIN,
	       "a guest without room slows its peer down: it could send %zu KiB", sent >> 10);
	tap_is(guest.count, 0, "no frame arrives where there is no room");
	guest.full = false;
	net_resume(guest.net);
	for (rounds = 0; rounds < 2000 && arrived < sent; rounds++) {
		ready = guest.count;
		guest_run(&guest, ready + 1, 200);
		for (i = ready; i < guest.count; i++) {
			const struct packet *packet = as_tcp(i);

			if (!packet || ntohl(packet->tcp.seq) != next)
				continue;
			bytes = ntohs(packet->ip.tot_len) - sizeof(packet->ip) - 4 * packet->tcp.doff;
			next += bytes;
			arrived += bytes;
		}
		send_tcp(ROUTER, port, 1001, next, TH_ACK);
	}
	tap_is(arrived, sent, "... and has it all, in order, when there is");
	close(fd);
	close(listener);
	net_close(guest.net);
}

static u16 free_port(void)
{
	u16 port;

	close(listen_somewhere(&port));
	return port;
}

static void test_forward(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const struct packet *syn = NULL;
	char text[96], again[80];
	u16 port = free_port();
	int fd, tries;

	snprintf(text, sizeof(text), "user,hostfwd=tcp:127.0.0.1:%u-:22,hostfwd=udp::%u-10.0.2.15:53", port, port);
	if (!start(text))
		return;
	snprintf(again, sizeof(again), "user,hostfwd=tcp::%u-:23", port);
	tap_ok(guest_check(again) && strstr(error_text(), "hostfwd"), "a port that is taken is refused: %s",
	       error_text());
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	address.sin_port = htons(port);
	tap_ok(!connect(fd, (struct sockaddr *)&address, sizeof(address)) || errno == EINPROGRESS,
	       "somebody connects to the host's port");
	for (tries = 0; !syn && tries < 20; tries++) {
		guest_run(&guest, 0, 50);
		send_arp(ROUTER, ARPOP_REPLY);
		syn = last_tcp(TH_SYN);
	}
	tap_ok(syn && syn->tcp.dest == htons(22) && syn->ip.daddr == htonl(ADDRESS),
	       "and the guest is asked at port 22");
	close(fd);
	net_close(guest.net);
}

static void test_hostile(void)
{
	u8 frame[NET_FRAME + 100];
	const struct iovec huge[] = { { frame, 1500 }, { frame, ~0UL }, { frame, 20 } };
	u32 i, j, length;

	if (!start("user"))
		return;
	srand(1);
	tap_ok(!guest_send(&guest, frame, 0) && !guest_send(&guest, frame, 13), "short frames are refused");
	tap_ok(!guest_send(&guest, frame, NET_FRAME + 1) && !net_send(guest.net, huge, 3),
	       "long ones, and lengths that wrap, too");
	for (i = 0; i < 20000; i++) {
		length = 14 + rand() % (i & 1 ? 100 : NET_FRAME - 13);
		for (j = 0; j < length; j++)
			frame[j] = rand();
		frame[12] = 8;
		frame[13] = i % 3 ? 0 : 6;
		if (i & 4)
			frame[14] = 0x45;
		guest_send(&guest, frame, length);
		if (i % 1000 == 0)
			guest_run(&guest, 0, 1);
	}
	guest.count = 0;
	guest_run(&guest, 0, 50);
	guest.count = 0;
	send_arp(ROUTER, ARPOP_REQUEST);
	guest_run(&guest, 1, SECONDS);
	tap_ok(guest.count, "after 20000 frames of rubbish the router still answers");
	net_close(guest.net);
}

static void test_options(void)
{
	static const struct { const char *text, *word; } bad[] = {
		{ "", "--net" }, { "foo", "--net" }, { "user,foo=1", "foo" }, { "user,tap=a", "one of" },
		{ "user,switch=a", "one of" }, { "mac=02:00:00:00:00:01", "one of" },
		{ "user,mac=1:2:3", "mac" }, { "user,mac=01:00:00:00:00:01", "station" },
		{ "user,mac=00:00:00:00:00:00", "station" }, { "user,mac=02:00:00:00:00:001", "mac" },
		{ "user,mac=02:00:00:00:00:0g", "mac" }, { "user,hostfwd=", "hostfwd" },
		{ "user,hostfwd=tcp", "hostfwd" }, { "user,hostfwd=tcp:127.0.0.1:1-:0", "hostfwd" },
		{ "user,hostfwd=icmp::1-:2", "hostfwd" }, { "user,hostfwd=tcp::65536-:2", "hostfwd" },
		{ "user,hostfwd=tcp:1.2.3:2222-:2", "hostfwd" }, { "user,hostfwd=tcp::2222-:2x", "hostfwd" },
		{ "user,hostfwd=tcp::2222:2", "hostfwd" }, { "tap=x,hostfwd=tcp::2222-:22", "for user" },
		{ "switch=x,loopback", "for user" }, { "tap=0123456789abcdef", "tap=" }, { "tap=a/b", "tap=" },
		{ "switch=a/b", "switch=" }, { "switch=.", "switch=" }, { "switch=..", "switch=" },
	};
	u8 one[NET_MAC], other[NET_MAC];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++)
		tap_ok(guest_check(bad[i].text) && strstr(error_text(), "--net") && strstr(error_text(), bad[i].word),
		       "--net %s is refused: %s", bad[i].text, error_text());
	for (i = 0; i < 1000; i++) {
		net_random_mac(one);
		net_random_mac(other);
		tap_check((one[0] & 3) == 2 && memcmp(one, other, NET_MAC), NET_MAC_FORMAT,
			  NET_MAC_ARGUMENTS(one));
	}
	tap_ok(tap_held(), "addresses handed out are locally administered, and differ");
}

int main(void)
{
	events_create(&guest_events);
	test_options();
	test_dhcp();
	test_arp();
	test_loopback();
	test_backpressure();
	test_forward();
	test_hostile();
	return tap_done();
}
