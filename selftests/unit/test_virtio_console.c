// SPDX-License-Identifier: GPL-2.0-only
// sources: userspace/device/virtio_console.c userspace/vmm/channel.c userspace/vmm/terminal.c userspace/vmm/tidy.c userspace/lib/socket.c
// sources: userspace/virtio/queue.c userspace/virtio/transport.c userspace/virtio/virtio.c userspace/device/pci.c userspace/device/msix.c
// sources: userspace/vmm/bus.c userspace/vmm/memory.c userspace/vmm/events.c userspace/vmm/state.c userspace/vmm/thread.c userspace/lib/error.c
/* The virtio console, between a driver and somebody at a socket who may be slow, or not there. */
#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "driver.h"
#include "vmm/tidy.h"

#define LONG	300000		/* more than a socket takes at once */

enum { RECEIVE, TRANSMIT };

static char path[] = "/tmp/thv-console-XXXXXX", place[64];
static struct machine_config config = { .memory = DRIVER_MEMORY, .console = place };
static struct driver driver;
static u64 buffers, text;

static void make_machine(void)
{
	driver_make(&driver, &config);
}

static void start(void)
{
	u32 i;

	driver_start(&driver, 0);
	buffers = driver_page(&driver, 16 * PAGE_BYTES);
	text = driver_page(&driver, LONG);
	for (i = 0; i < LONG; i++)
		((u8 *)guest(text))[i] = i * 7 + i / 256;
}

static int somebody(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/console", path);
	tap_check(!connect(fd, (struct sockaddr *)&address, sizeof(address)), "connecting: %s", strerror(errno));
	usleep(100000);	/* until it is heard of */
	return fd;
}

static u16 say(u64 from, u32 length)
{
	const struct segment pieces[] = { { from, length / 3, false }, { from + length / 3, length - length / 3, false } };

	return ring_add(&driver, TRANSMIT, pieces, 2);
}

static u16 offer(u32 number, u32 length)
{
	const struct segment one = { buffers + number * PAGE_BYTES, length, true };

	return ring_add(&driver, RECEIVE, &one, 1);
}

static bool hear(int fd, u64 from, u32 length)
{
	static u8 heard[LONG];
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	u32 got = 0;
	ssize_t more = 1;

	while (got < length && more > 0 && poll(&wait, 1, 5000) == 1) {
		more = read(fd, heard + got, length - got);
		got += more > 0 ? more : 0;
	}
	return got == length && !memcmp(heard, guest(from), length);
}

static void test_bytes(void)
{
	int fd;
	u16 head, second;

	make_machine();
	tap_is(config_read(1, PCI_DEVICE_ID, 2), 0x1043, "a virtio console");
	tap_is(driver_offered(&driver) & 0xffffff, 0, "of one port, which is no terminal");
	start();
	tap_is(ring_wait(&driver, TRANSMIT, say(text, 100)), 0, "while nobody is there, what the guest says is taken");
	fd = somebody();
	tap_is(ring_wait(&driver, TRANSMIT, say(text, 1000)), 0, "the guest says something");
	tap_ok(hear(fd, text, 1000), "somebody hears it");
	tap_ok(driver_interrupts(TRANSMIT + 1), "the driver is told");
	head = offer(0, 100);
	second = offer(1, 100);
	tap_check(write(fd, "hello", 5) == 5, "write");
	tap_ok(ring_wait(&driver, RECEIVE, head) == 5 && !memcmp(guest(buffers), "hello", 5), "what he says reaches the guest");
	tap_check(write(fd, guest(text), 250) == 250, "write");
	tap_ok(ring_wait(&driver, RECEIVE, second) == 100, "more than a buffer takes fills it");
	head = offer(2, 100);
	tap_ok(ring_wait(&driver, RECEIVE, head) == 100, "the rest waits");
	tap_ok(ring_wait(&driver, RECEIVE, offer(3, 100)) == 50 &&
	       !memcmp(guest(buffers + 3 * PAGE_BYTES), guest(text + 200), 50), "... until there is another one");
	tap_ok(driver_interrupts(RECEIVE + 1), "the driver is told");
	offer(4, 100);
	close(fd);
	usleep(100000);
	fd = somebody();
	tap_ok(ring_wait(&driver, TRANSMIT, say(text, 10)) == 0 && hear(fd, text, 10), "he may come back");
	tap_ok(tap_held(), "(all could be connected and written)");
	close(fd);
	driver_end();
}

static void test_slow(void)
{
	int fd;

	make_machine();
	start();
	fd = somebody();
	say(text, LONG);
	say(text, 500);
	usleep(100000);
	tap_is(ring_used(&driver, TRANSMIT)->idx, 0, "who does not read makes the guest wait");
	tap_ok(hear(fd, text, LONG) && hear(fd, text, 500),
	       "when he does, he has all of it, once");
	tap_ok(driver_wait(ring_used(&driver, TRANSMIT)->idx == 2), "and the guest has its buffers back");
	say(text, LONG);
	usleep(50000);
	mmio_write(COMMON_REG(&driver, device_status), 0);
	tap_is(driver_status(&driver), 0, "a reset while he does not read");
	start();
	offer(0, 100);
	close(fd);
	usleep(100000);
	fd = somebody();
	say(text, 20);
	tap_ok(hear(fd, text, 20), "... and the console works again, from the start of its text");
	close(fd);
	driver_end();
}

static void test_hostile(void)
{
	const struct segment write = { text, 10, true }, read = { text, 10, false };
	int fd;

	make_machine();
	start();
	fd = somebody();
	tap_is(ring_wait(&driver, TRANSMIT, ring_add(&driver, TRANSMIT, &write, 1)), 0, "a text that cannot be read is none");
	ring_add(&driver, RECEIVE, &read, 1);
	tap_check(send(fd, "x", 1, 0) == 1, "send");
	usleep(50000);
	tap_ok(!(driver_status(&driver) & VIRTIO_CONFIG_S_FAILED), "a buffer that cannot be written to has no room");
	tap_ok(tap_held(), "(all could be connected and written)");
	close(fd);
	driver_end();
}

/* A reader who has some of a text when the machine is saved; the rest comes out of another one */
static void test_restore(void)
{
	u8 *memory = malloc(DRIVER_MEMORY), *heard = malloc(LONG + 1);
	struct state state, again;
	struct driver kept;
	u32 got = 0;
	ssize_t more;
	int fd;

	make_machine();
	start();
	fd = somebody();
	say(text, LONG);
	tap_check(poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, 10000) == 1, "something of it arrives");
	state_init(&state);
	tap_ok(!state_save_devices(&driver_vm, &state), "saved in the midst of a text");
	memcpy(memory, guest(0), DRIVER_MEMORY);
	kept = driver;
	/* A third at most: the device goes on, so whoever asks for all may well get all */
	while (got < LONG / 3 && (more = recv(fd, heard + got, LONG / 3 - got, MSG_DONTWAIT)) > 0)
		got += more;
	driver_end();
	close(fd);
	tap_ok(got && got < LONG, "he has %u of %u bytes", got, LONG);
	make_machine();
	driver = kept;
	memcpy(guest(0), memory, DRIVER_MEMORY);
	fd = somebody();
	tap_ok(!state_restore_devices(&driver_vm, &state), "another machine takes that");
	tap_ok(driver_wait(ring_used(&driver, TRANSMIT)->idx == 1 ||
			   (recv(fd, heard, LONG, MSG_DONTWAIT), 0)), "and sends the rest");
	state_init(&again);
	tap_ok(!state_save_devices(&driver_vm, &again), "which can be saved, too");
	close(fd);
	driver_end();
	state_free(&state);
	state_free(&again);
	free(memory);
	free(heard);
}

int main(void)
{
	if (!mkdtemp(path))
		return 1;
	snprintf(place, sizeof(place), "socket:%s/console", path);
	test_bytes();
	test_slow();
	test_hostile();
	test_restore();
	tidy_finish();
	return rmdir(path) || tap_done();
}
