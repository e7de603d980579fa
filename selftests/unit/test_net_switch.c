// SPDX-License-Identifier: GPL-2.0-only
// sources: userspace/net/net.c userspace/net/user.c userspace/net/tap.c userspace/net/switch.c
// sources: userspace/vmm/events.c userspace/lib/error.c userspace/lib/options.c
// libs: -lslirp
/*
 * The virtual switch: who gets which frame, and that neither a member that dies, nor one that
 * hangs, nor one that lies does others any harm.
 */
#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "net/switch.h"
#include "net_guest.h"

static const u8 everybody[NET_MAC] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
static const u8 nobody[NET_MAC] = { 0x02, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa };

static char runtime[] = "/tmp/thv-switch-XXXXXX";
static struct guest a, b, c;

static u64 number_of(const u8 *frame)
{
	u64 number;

	memcpy(&number, frame + NET_HEADER, sizeof(number));
	return number;
}

/* Until it is quiet */
static void settle(void)
{
	guest_run(&a, 0, 10);
}

static void forget(void)
{
	a.count = 0;
	b.count = 0;
	c.count = 0;
}

static void open_three(const char *name)
{
	char text[40];

	snprintf(text, sizeof(text), "switch=%s", name);
	tap_ok(guest_open(&a, text) && guest_open(&b, text) && guest_open(&c, text), "three guests at --net %s", text);
	settle();
	forget();
}

static void close_three(void)
{
	net_close(a.net);
	net_close(b.net);
	net_close(c.net);
}

/* ---- in one process ------------------------------------------------------- */

static void test_addresses(void)
{
	struct guest d;

	open_three("addresses");
	tap_ok(memcmp(net_mac(a.net), net_mac(b.net), NET_MAC) && memcmp(net_mac(b.net), net_mac(c.net), NET_MAC),
	       "each has an address of its own");
	tap_ok(guest_open(&d, "switch=addresses,mac=02:00:5e:10:00:01") &&
	       !memcmp(net_mac(d.net), "\x02\x00\x5e\x10\x00\x01", NET_MAC), "one may be chosen");
	tap_ok(guest_check("switch=addresses,mac=02:00:5e:10:00:01") && strstr(error_text(), "another member has"),
	       "... but once: %s", error_text());
	tap_ok(!guest_check("switch=another,mac=02:00:5e:10:00:01"), "another switch is another matter");
	net_close(d.net);
	tap_ok(!guest_check("switch=addresses,mac=02:00:5e:10:00:01"), "who leaves gives it back");
	close_three();
}

static void test_delivery(void)
{
	open_three("delivery");
	tap_ok(guest_say(&a, everybody, 1), "a broadcast");
	settle();
	tap_ok(a.count == 0 && b.count == 1 && c.count == 1 && number_of(guest_last(&b)) == 1, "reaches all others");
	forget();
	tap_ok(guest_say(&a, net_mac(c.net), 2), "a frame to one");
	settle();
	tap_ok(b.count == 0 && c.count == 1 && number_of(guest_last(&c)) == 2 && c.length[0] == 60,
	       "reaches this one, whole, from the first on");
	forget();
	guest_say(&a, nobody, 3);
	settle();
	tap_ok(b.count == 1 && c.count == 1, "one to an address that nobody knows reaches all");
	forget();
	guest_say(&a, net_mac(a.net), 4);
	settle();
	tap_is(a.count, 0, "one to oneself does not come back");
	close_three();
}

/* A guest that bridges: frames from an address that is behind it */
static void say_for(struct guest *guest, const u8 *source)
{
	u8 frame[60] = { 0 };

	memcpy(frame, everybody, NET_MAC);
	memcpy(frame + NET_MAC, source, NET_MAC);
	guest_send(guest, frame, sizeof(frame));
}

static void test_learning(void)
{
	u8 many[NET_MAC] = { 0x02, 0xbb };
	u32 i;

	open_three("learning");
	say_for(&c, nobody);
	settle();
	tap_ok(a.count == 1 && b.count == 1, "an address behind c says something");
	forget();
	guest_say(&a, nobody, 5);
	settle();
	tap_ok(b.count == 0 && c.count == 1, "frames to it go to c alone then");
	say_for(&b, nobody);
	settle();
	forget();
	guest_say(&a, nobody, 6);
	settle();
	tap_ok(b.count == 1 && c.count == 0, "when it has moved to b, to b");
	for (i = 0; i < 5000; i++) {
		memcpy(many + 2, &i, sizeof(i));
		say_for(&b, many);
		if (i % 50 == 0)
			settle();
	}
	settle();
	forget();
	guest_say(&a, net_mac(c.net), 7);
	settle();
	tap_ok(b.count == 0 && c.count == 1, "5000 addresses later a member's own is still its own");
	net_close(b.net);
	settle();
	forget();
	tap_ok(guest_say(&a, many, 8), "to an address behind a member that has left: a frame");
	settle();
	tap_is(c.count, 1, "... goes to all again");
	net_close(a.net);
	net_close(c.net);
}

static void test_spoofing(void)
{
	u8 group[NET_MAC] = { 0x03 };

	open_three("spoofing");
	say_for(&b, net_mac(c.net));
	settle();
	tap_is(a.count, 0, "b cannot speak for c");
	forget();
	guest_say(&a, net_mac(c.net), 9);
	settle();
	tap_ok(b.count == 0 && c.count == 1, "... nor get what is c's");
	forget();
	say_for(&b, net_mac(a.net));
	say_for(&b, group);
	settle();
	tap_is(a.count, 0, "nor is a told that a said something, or that a group did");
	close_three();
}

static void test_backpressure(void)
{
	u64 sent = 0, i;

	open_three("backpressure");
	b.full = true;
	for (i = 0; i < 100000; i++)
		sent += guest_say(&a, net_mac(b.net), sent);
	tap_ok(sent > 20 && sent < 20000, "who does not read has %llu of 100000 frames kept for him", sent);
	guest_say(&a, everybody, 1);
	settle();
	tap_ok(b.count == 0 && c.count == 1, "others have theirs, and none is put where there is no room");
	b.full = false;
	net_resume(b.net);
	guest_run(&b, sent, 2000);
	for (i = 0; i < sent && i < GUEST_FRAMES; i++) {
		u64 number = sent - 1 - i;

		tap_check(number_of(b.frame[number % GUEST_FRAMES]) == number, "frame %llu", number);
	}
	tap_is(b.count, sent, "with room again, all of them arrive");
	tap_ok(tap_held(), "... in order");
	close_three();
}

/* Its listing names the members that there are */
static void count_member(void *opaque, const u8 *mac, pid_t pid)
{
	*(u32 *)opaque += pid > 0 && !memcmp(mac, "\x02\x00\x5e\x10\x00", 5);
}

static void test_crowd(void)
{
	static struct guest crowd[66];
	char text[60];
	u32 i, opened, listed = 0;

	for (opened = 0; opened < 66; opened++) {
		memset(&crowd[opened], 0, sizeof(crowd[0]));
		snprintf(text, sizeof(text), "switch=crowd,mac=02:00:5e:10:00:%02x", opened);
		crowd[opened].net = net_open(text, &guest_events, &guest_user, &crowd[opened]);
		if (!crowd[opened].net)
			break;
		guest_run(&crowd[0], 0, 2);
	}
	tap_ok(opened == 65 && strstr(error_text(), "takes no more"), "%u members, then: %s", opened, error_text());
	switch_members("crowd", count_member, &listed);
	tap_is(listed, opened, "all are listed");
	guest_say(&crowd[64], everybody, 1);
	guest_run(&crowd[0], 0, 20);
	for (i = 0; i < 64; i++)
		tap_check(crowd[i].count == 1, "%u has %u", i, crowd[i].count);
	tap_ok(tap_held(), "a broadcast reaches each of them once");
	while (opened--)
		net_close(crowd[opened].net);
}

/* ---- a member that is none ------------------------------------------------ */

struct hello {
	u32 magic;
	u8 mac[NET_MAC];
} __attribute__((packed));

static int call_member(const char *name, const u8 *mac)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/thv/switch/%s/" NET_MAC_FORMAT, runtime, name,
		 NET_MAC_ARGUMENTS(mac));
	tap_check(!connect(fd, (struct sockaddr *)&address, sizeof(address)), "connecting to %s", address.sun_path);
	return fd;
}

static bool hung_up(int fd)
{
	char byte;

	settle();
	return recv(fd, &byte, 1, MSG_DONTWAIT) == 0;
}

static void test_hello(void)
{
	struct hello good = { 0x48564854, { 0x02, 0xcc } }, taken = good, group = good, magic = good;
	const struct { const void *data; size_t length; const char *what; } bad[] = {
		{ &magic, sizeof(magic), "of another protocol" },
		{ &group, sizeof(group), "with a group's address" },
		{ &taken, sizeof(taken), "with an address that is taken" },
		{ &good, sizeof(good) - 1, "that is too short" },
		{ everybody, sizeof(everybody), "that is none" },
	};
	size_t i;
	int fd;

	open_three("hello");
	memcpy(taken.mac, net_mac(b.net), NET_MAC);
	group.mac[0] = 0x03;
	magic.magic++;
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		fd = call_member("hello", net_mac(a.net));
		send(fd, bad[i].data, bad[i].length, 0);
		tap_ok(hung_up(fd), "a hello %s is not listened to", bad[i].what);
		close(fd);
	}
	fd = call_member("hello", net_mac(a.net));
	send(fd, &good, sizeof(good), 0);
	tap_ok(!hung_up(fd), "a good one is");
	close(fd);
	tap_ok(tap_held(), "(all of them were connected)");
	close_three();
}

static void test_frames(void)
{
	struct hello hello = { 0x48564854, { 0x02, 0xcc } };
	u8 frame[70000] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0xcc };
	static const size_t lengths[] = { 1, 9, 10, 11, 13, NET_FRAME + 1, NET_FRAME + 2, 65536 };
	size_t i;
	int fd;

	open_three("frames");
	fd = call_member("frames", net_mac(a.net));
	send(fd, &hello, sizeof(hello), 0);
	for (i = 0; i < ARRAY_SIZE(lengths); i++)
		tap_check(send(fd, frame, lengths[i], 0) == (ssize_t)lengths[i], "sending %zu", lengths[i]);
	settle();
	tap_is(a.count, 0, "frames that are too short or too long arrive nowhere");
	send(fd, frame, NET_HEADER, 0);
	send(fd, frame, NET_FRAME, 0);
	settle();
	tap_ok(a.count == 2 && a.length[0] == NET_HEADER && a.length[1] == NET_FRAME, "the shortest and the longest do");
	for (i = 0; i < 1000 && send(fd, frame, 100, MSG_DONTWAIT) == 100; i++)
		;
	guest_say(&b, net_mac(a.net), 77);
	guest_run(&a, 0, 50);
	tap_ok(number_of(guest_last(&a)) == 77 || a.count > i, "a flood from one does not keep others out");
	send(fd, frame, 0, 0);
	tap_ok(hung_up(fd), "an empty message is a good-bye");
	close(fd);
	close_three();
}

/* ---- several processes ---------------------------------------------------- */

/* A member that answers each frame to whom it is from, with its number and one more */
static void echo(void *opaque, const u8 *frame, size_t length)
{
	struct guest *guest = opaque;

	if (number_of(frame) < 1000)
		guest_say(guest, frame + NET_MAC, number_of(frame) + 1000);
}

static const struct net_user echo_user = { .room = guest_room, .receive = echo };

static pid_t start_echo(const char *text)
{
	static struct guest guest;
	int ready[2];
	pid_t pid;
	char byte;

	if (pipe(ready))
		return -1;
	pid = fork();
	if (!pid) {
		dup2(ready[1], 0);
		close_range(3, ~0U, 0);
		events_create(&guest_events);
		guest.net = net_open(text, &guest_events, &echo_user, &guest);
		if (!guest.net || write(0, "!", 1) != 1)
			_exit(1);
		events_run(&guest_events);
		_exit(0);
	}
	close(ready[1]);
	tap_check(read(ready[0], &byte, 1) == 1, "a process joins");
	close(ready[0]);
	return pid;
}

/* How many answer a broadcast, once the loop has heard of who has joined? */
static u32 answers(u64 number)
{
	settle();
	forget();
	guest_say(&a, everybody, number);
	guest_run(&a, 0, 150);
	return a.count;
}

static void end(pid_t pid, int signal)
{
	kill(pid, signal);
	if (signal == SIGKILL)
		waitpid(pid, NULL, 0);
}

static u32 sockets(const char *name)
{
	char path[100];
	struct dirent *entry;
	u32 count = 0;
	DIR *folder;

	snprintf(path, sizeof(path), "%s/thv/switch/%s", runtime, name);
	folder = opendir(path);
	while (folder && (entry = readdir(folder)))
		count += entry->d_name[0] != '.';
	closedir(folder);
	return count;
}

static void test_processes(void)
{
	pid_t first = start_echo("switch=lab"), second, third;
	u32 i;

	second = start_echo("switch=lab,mac=02:00:5e:10:00:02");
	guest_open(&a, "switch=lab");
	third = start_echo("switch=lab");
	tap_is(answers(1), 3, "three processes answer, who were there before and who came later");
	end(first, SIGKILL);
	tap_is(answers(2), 2, "the one that was there first is killed: the others go on");
	tap_ok(guest_check("switch=lab,mac=02:00:5e:10:00:02"), "an address is kept while its owner lives");
	end(second, SIGKILL);
	tap_is(answers(3), 1, "one more is killed");
	tap_is(sockets("lab"), 4, "the dead have left their sockets");
	second = start_echo("switch=lab,mac=02:00:5e:10:00:02");
	tap_is(answers(4), 2, "another takes the address of one");
	tap_is(sockets("lab"), 3, "... and who joins clears away what they left");
	end(third, SIGSTOP);
	for (i = 0; i < 20000; i++)
		guest_say(&a, everybody, 2000);
	tap_is(answers(5), 1, "one hangs, and what is said to it goes nowhere; the other answers");
	first = start_echo("switch=lab");
	tap_is(answers(6), 2, "one more joins while it hangs");
	end(third, SIGCONT);
	guest_run(&a, 0, 200);
	tap_is(answers(7), 3, "it goes on, and is one of them again");
	tap_ok(tap_held(), "(all processes could join)");
	net_close(a.net);
	end(first, SIGKILL);
	end(second, SIGKILL);
	end(third, SIGKILL);
}

/* Processes that come and go at random, for half a second each round */
static void test_storm(void)
{
	pid_t pid[6];
	u32 i, round;

	guest_open(&a, "switch=storm");
	for (i = 0; i < ARRAY_SIZE(pid); i++)
		pid[i] = start_echo("switch=storm");
	srand(2);
	for (round = 0; round < 40; round++) {
		i = rand() % ARRAY_SIZE(pid);
		end(pid[i], SIGKILL);
		guest_say(&a, everybody, 2000);
		pid[i] = start_echo("switch=storm");
		guest_run(&a, 0, 5);
	}
	tap_is(answers(8), ARRAY_SIZE(pid), "after 40 deaths and 40 births everybody is connected to everybody");
	for (i = 0; i < ARRAY_SIZE(pid); i++)
		end(pid[i], SIGKILL);
	tap_ok(tap_held(), "(all processes could join)");
	net_close(a.net);
}

/* ---- folders -------------------------------------------------------------- */

static void test_folders(void)
{
	char path[200], long_path[100];

	snprintf(path, sizeof(path), "%s/b/thv", runtime);
	snprintf(long_path, sizeof(long_path), "%s/b", runtime);
	mkdir(long_path, 0700);
	tap_ok(!symlink("/tmp", path), "thv is a link to somewhere");
	setenv("XDG_RUNTIME_DIR", long_path, 1);
	tap_ok(guest_check("switch=x") && strstr(error_text(), "not a folder of your own"), "that is refused: %s",
	       error_text());
	unlink(path);
	mkdir(path, 0777);
	chmod(path, 0777);
	tap_ok(guest_check("switch=x"), "so is a folder that others may write to");
	snprintf(long_path, sizeof(long_path), "%s/%070d", runtime, 0);
	mkdir(long_path, 0700);
	setenv("XDG_RUNTIME_DIR", long_path, 1);
	tap_ok(guest_check("switch=x") && strstr(error_text(), "too long"), "a path too long is refused: %s", error_text());
	setenv("XDG_RUNTIME_DIR", runtime, 1);
}

int main(void)
{
	char command[80];

	if (!mkdtemp(runtime) || setenv("XDG_RUNTIME_DIR", runtime, 1) || events_create(&guest_events))
		return 1;
	test_addresses();
	test_delivery();
	test_learning();
	test_spoofing();
	test_backpressure();
	test_crowd();
	test_hello();
	test_frames();
	test_processes();
	test_storm();
	test_folders();
	snprintf(command, sizeof(command), "rm -r %s", runtime);
	tap_ok(!system(command), "(the folder goes)");
	return tap_done();
}
