// SPDX-License-Identifier: GPL-2.0-only
// sources: userspace/device/virtio_balloon.c userspace/vmm/channel.c userspace/vmm/terminal.c userspace/vmm/tidy.c userspace/lib/socket.c
// sources: userspace/virtio/queue.c userspace/virtio/transport.c userspace/virtio/virtio.c userspace/device/pci.c userspace/device/msix.c
// sources: userspace/vmm/bus.c userspace/vmm/memory.c userspace/vmm/events.c userspace/vmm/state.c userspace/vmm/thread.c userspace/lib/error.c userspace/lib/options.c
/* The balloon: which pages the host gets, which it must not, and how its target is changed. */
#include <linux/virtio_balloon.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "driver.h"
#include "vmm/tidy.h"

#define FEATURES	(1ULL << VIRTIO_BALLOON_F_DEFLATE_ON_OOM | 1ULL << VIRTIO_BALLOON_F_REPORTING)
#define FIRST		1024		/* page numbers at 4 MiB */
#define PAGES		512

enum { INFLATE, DEFLATE, REPORT };

static char path[] = "/tmp/thv-balloon-XXXXXX", place[64];
static struct machine_config config = { .memory = DRIVER_MEMORY, .balloon = SIZE_1M };
static struct driver driver;
static u64 list;

static void make_machine(void)
{
	driver_make(&driver, &config);
}

static bool start(void)
{
	bool started = driver_start(&driver, FEATURES);

	list = driver_page(&driver, 8192);
	memset(guest(list), 0, 8192);
	memset(guest(FIRST * PAGE_BYTES), 0x5a, PAGES * PAGE_BYTES);
	return started;
}

/* Pages that the memfd holds */
static u64 held(void)
{
	struct stat stat;

	fstat(driver_vm.memory.fd, &stat);
	return stat.st_blocks / 8;
}

static bool is_gone(u32 page)
{
	return !*(u8 *)guest((FIRST + page) * PAGE_BYTES);
}

static long inflate(const u32 *pages, u32 count)
{
	const struct segment one = { list, count * 4, false };

	memcpy(guest(list), pages, count * 4);
	return ring_wait(&driver, INFLATE, ring_add(&driver, INFLATE, &one, 1));
}

static void test_find(void)
{
	make_machine();
	tap_is(config_read(1, PCI_DEVICE_ID, 2), 0x1045, "a virtio balloon");
	tap_is(driver.queues, 3, "with three queues");
	tap_is(driver_offered(&driver) & 0xffffff, FEATURES, "and its features");
	tap_is(mmio_read(driver.own, 4), 256, "its target is that of --balloon");
	tap_is(mmio_read(driver.own + 4, 4), 0, "it is empty");
	driver_end();
}

static void test_inflate(void)
{
	u32 pages[PAGES], i;
	u64 before;

	make_machine();
	start();
	before = held();
	for (i = 0; i < 100; i++)
		pages[i] = FIRST + i;
	tap_is(inflate(pages, 100), 0, "100 pages upwards");
	tap_is(before - held(), 100, "the host has them");
	for (i = 0; i < 100; i++)
		pages[i] = FIRST + 399 - i;
	inflate(pages, 100);
	tap_is(before - held(), 200, "100 downwards, too");
	for (i = 0; i < 50; i++)
		pages[i] = FIRST + 100 + 4 * i;
	inflate(pages, 50);
	tap_is(before - held(), 250, "50 here and there");
	for (i = 0; i < PAGES; i++)
		tap_check(is_gone(i) == (i < 100 || (i >= 300 && i < 400) || (i >= 100 && i < 300 && i % 4 == 0)), "page %u", i);
	tap_ok(tap_held(), "those and no others");
	*(u8 *)guest(FIRST * PAGE_BYTES) = 7;
	tap_ok(!memcmp(guest(FIRST * PAGE_BYTES), "\x07\0\0\0\0\0\0\0", 8), "a page that is touched again is a fresh one");
	tap_is(ring_wait(&driver, DEFLATE, ring_add(&driver, DEFLATE, &(struct segment){ list, 400, false }, 1)), 0,
	       "deflating gives an answer");
	tap_ok(driver_interrupts(INFLATE + 1) && driver_interrupts(DEFLATE + 1), "the driver is told");
	driver_end();
}

static void test_hostile(void)
{
	const u32 bad[] = { DRIVER_MEMORY / PAGE_BYTES, ~0u, ~0u - 1, 0xc0000, 0x100000, 0xfee00, 1u << 31 };
	const struct segment odd = { list, 7, false }, write = { list, 4096, true };
	struct segment many[2] = { { 0, 4096, false }, { 0, 4096, false } };
	u32 pages[2048], i;
	u64 before;

	make_machine();
	start();
	before = held();
	tap_is(inflate(bad, ARRAY_SIZE(bad)), 0, "pages that there are none");
	tap_is(held(), before, "are not given back");
	ring_wait(&driver, INFLATE, ring_add(&driver, INFLATE, &write, 1));
	tap_is(held(), before, "nor is a list that is none");
	pages[0] = FIRST;
	pages[1] = FIRST + 1;
	memcpy(guest(list), pages, 8);
	ring_wait(&driver, INFLATE, ring_add(&driver, INFLATE, &odd, 1));
	tap_is(before - held(), 1, "of a list with a half number, the whole ones count");
	for (i = 0; i < 2048; i++)
		pages[i] = FIRST + i % 300;
	memcpy(guest(list), pages, sizeof(pages));
	many[0].gpa = list;
	many[1].gpa = list + 4096;
	ring_wait(&driver, INFLATE, ring_add(&driver, INFLATE, many, 2));
	tap_is(before - held(), 300, "a long list, with pages in it again and again");
	driver_end();
}

static void test_report(void)
{
	struct segment free[] = {
		{ FIRST * PAGE_BYTES, 64 * PAGE_BYTES, true },
		{ (FIRST + 100) * PAGE_BYTES + 100, 2 * PAGE_BYTES, true },
		{ (FIRST + 200) * PAGE_BYTES + 1, PAGE_BYTES - 1, true },
	};
	const struct segment read = { (FIRST + 300) * PAGE_BYTES, 4 * PAGE_BYTES, false };
	u64 before;

	make_machine();
	start();
	before = held();
	tap_is(ring_wait(&driver, REPORT, ring_add(&driver, REPORT, free, 3)), 0, "free pages are reported");
	tap_is(before - held(), 65, "the host has those that are free as a whole");
	tap_ok(is_gone(0) && is_gone(63) && !is_gone(64) && !is_gone(100) && is_gone(101) && !is_gone(102) &&
	       !is_gone(200), "and no others");
	before = held();
	ring_wait(&driver, REPORT, ring_add(&driver, REPORT, &read, 1));
	tap_is(held(), before, "what is there to be read is not free");
	driver_end();
}

/* Say something to the control; what it answers within a moment */
static const char *ask(const char *line)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	static char answer[400];
	struct pollfd wait = { .events = POLLIN };
	ssize_t got = 0;

	wait.fd = socket(AF_UNIX, SOCK_STREAM, 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/control", path);
	if (connect(wait.fd, (struct sockaddr *)&address, sizeof(address)) ||
	    write(wait.fd, line, strlen(line)) < 0)
		return "no connection";
	if (poll(&wait, 1, 300) == 1)
		got = read(wait.fd, answer, sizeof(answer) - 1);
	answer[got > 0 ? got : 0] = 0;
	close(wait.fd);
	return answer;
}

static void test_control(void)
{
	config.balloon_control = place;
	config.balloon = 0;
	make_machine();
	start();
	tap_ok(!strcmp(ask("\n"), "0 KiB of 0 KiB\n"), "an empty line asks for its size");
	driver_interrupts(0);
	ask("4M\n");
	tap_ok(driver_wait(mmio_read(driver.own, 4) == 1024), "a line with a size is its new target");
	tap_ok(driver_wait(driver_interrupts(0)), "the driver is told of that");
	mmio_write(driver.own + 4, 4, 1000);
	tap_ok(driver_wait(!strcmp(ask("\n"), "4000 KiB of 4096 KiB\n")), "the driver tells how far it has come");
	tap_ok(strstr(ask("8M\n"), "out of range"), "all of the memory is too much: %s", ask("8M\n"));
	tap_ok(strstr(ask("x\n"), "not a size"), "what is no size is refused");
	tap_ok(strstr(ask("111111111111111111111111111111111111111111111111111111111M\n"), "--balloon"),
	       "a line that is too long, too");
	tap_ok(!strcmp(ask("1M\n\n"), "4000 KiB of 1024 KiB\n"), "two lines together");
	driver_end();
	config.balloon_control = NULL;
	config.balloon = SIZE_1M;
}

static void test_restore(void)
{
	struct state state, again;

	make_machine();
	start();
	mmio_write(driver.own + 4, 4, 77);
	state_init(&state);
	tap_ok(!state_save_devices(&driver_vm, &state), "the balloon is saved");
	driver_end();
	make_machine();
	tap_ok(!state_restore_devices(&driver_vm, &state), "restored in another machine");
	state_init(&again);
	state_save_devices(&driver_vm, &again);
	tap_ok(state.size == again.size && !memcmp(state.data, again.data, state.size), "it is the same");
	driver_find(&driver, 1);
	tap_is(mmio_read(driver.own + 4, 4), 77, "as large as it was");
	driver_end();
	state_free(&state);
	state_free(&again);
}

int main(void)
{
	if (!mkdtemp(path))
		return 1;
	snprintf(place, sizeof(place), "socket:%s/control", path);
	test_find();
	test_inflate();
	test_hostile();
	test_report();
	test_control();
	test_restore();
	tidy_finish();
	return rmdir(path) || tap_done();
}
