// SPDX-License-Identifier: GPL-2.0-only
// sources: userspace/net/net.c userspace/net/user.c userspace/net/tap.c userspace/net/switch.c
// sources: userspace/vmm/events.c userspace/lib/error.c userspace/lib/options.c
// libs: -lslirp
/*
 * The tap backend, in a network namespace of its own, where a tap device may be made without any
 * harm. The host's end of it is seen through a packet socket.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "net_guest.h"

static const u8 host[NET_MAC] = { 0x02, 0, 0, 0, 0, 1 };
static struct guest guest;

static int packet_socket(const char *name)
{
	struct sockaddr_ll address = {
		.sll_family = AF_PACKET, .sll_protocol = htons(0x88b5), .sll_ifindex = if_nametoindex(name),
	};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, htons(0x88b5));

	return bind(fd, (struct sockaddr *)&address, sizeof(address)) ? -1 : fd;
}

static bool is_up(const char *name)
{
	struct ifreq request = { 0 };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	bool up;

	strcpy(request.ifr_name, name);
	up = !ioctl(fd, SIOCGIFFLAGS, &request) && request.ifr_flags & IFF_UP;
	close(fd);
	return up;
}

static void test_frames(int fd)
{
	u8 frame[NET_FRAME + 100];
	u32 i, sent = 0;

	tap_ok(guest_say(&guest, host, 42), "the guest says something");
	tap_ok(recv(fd, frame, sizeof(frame), 0) == 60 && frame[NET_HEADER] == 42 && !memcmp(frame, host, NET_MAC),
	       "the host has it, whole");
	memcpy(frame, net_mac(guest.net), NET_MAC);
	memcpy(frame + NET_MAC, host, NET_MAC);
	frame[NET_HEADER] = 43;
	send(fd, frame, 1514, 0);
	guest_run(&guest, 1, 1000);
	tap_ok(guest.count == 1 && guest.length[0] == 1514 && guest.frame[0][NET_HEADER] == 43,
	       "the host answers, and the guest has that");
	guest.full = true;
	guest.count = 0;
	for (i = 0; i < 2000; i++)
		sent += send(fd, frame, 100, 0) == 100;
	guest_run(&guest, 0, 20);
	tap_is(guest.count, 0, "no frame arrives where there is no room");
	guest.full = false;
	net_resume(guest.net);
	guest_run(&guest, 0, 100);
	tap_ok(guest.count >= 100 && guest.count <= sent, "with room there are those the host has kept: %u of %u",
	       guest.count, sent);
}

static void test_refusals(void)
{
	tap_ok(guest_check("tap=thv0") && strstr(error_text(), "another program has it"),
	       "a device that has a guest takes no second: %s", error_text());
	tap_ok(!net_check(&(struct option_list){ 2, (const char *[]){ "tap=thv1", "tap=thv2" } }) &&
	       net_check(&(struct option_list){ 2, (const char *[]){ "tap=thv1", "tap=thv1" } }),
	       "two guests' cards cannot be plugged into one device: %s", error_text());
	tap_ok(guest_check("tap=lo"), "what is no tap device is refused: %s", error_text());
}

/* Without privileges, but for root of its own user namespace the host's devices are others' */
static void test_permission(void)
{
	if (unshare(CLONE_NEWUSER)) {
		tap_skip("no user namespace: %s", strerror(errno));
		return;
	}
	tap_ok(guest_check("tap=thv1") && strstr(error_text(), "ip tuntap add dev thv1 mode tap"),
	       "who may not make one is told how: %s", error_text());
}

/* The host's IPv6 would say things of its own there */
static void keep_host_quiet(void)
{
	FILE *file = fopen("/proc/sys/net/ipv6/conf/default/disable_ipv6", "w");

	if (file) {
		fputs("1", file);
		fclose(file);
	}
}

int main(void)
{
	int fd;

	if (unshare(CLONE_NEWNET) && unshare(CLONE_NEWUSER | CLONE_NEWNET)) {
		tap_skip("no network namespace: %s", strerror(errno));
		return tap_done();
	}
	keep_host_quiet();
	events_create(&guest_events);
	if (guest_check("tap=thv0")) {
		tap_skip("no tap device: %s", error_text());
		return tap_done();
	}
	guest_open(&guest, "tap=thv0,mac=52:54:00:12:34:56");
	tap_ok(guest.net && is_up("thv0"), "a tap device is made, and up");
	fd = packet_socket("thv0");
	test_frames(fd);
	test_refusals();
	close(fd);
	net_close(guest.net);
	tap_ok(!if_nametoindex("thv0"), "it goes with the guest");
	test_permission();
	return tap_done();
}
