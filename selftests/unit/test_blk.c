// SPDX-License-Identifier: GPL-2.0-only
// sources: userspace/device/virtio_blk.c userspace/vmm/disk.c userspace/vmm/diskio.c userspace/lib/options.c userspace/virtio/queue.c userspace/virtio/transport.c userspace/virtio/virtio.c userspace/device/pci.c userspace/device/msix.c userspace/vmm/bus.c userspace/vmm/memory.c userspace/vmm/events.c userspace/vmm/state.c userspace/vmm/thread.c userspace/lib/error.c
// libs: -luring
/*
 * The disk, driven as a guest drives it, on real files: raw, read-only, a region, an overlay; what
 * is refused; what is kept when the launcher is killed.
 */
#define DRIVER_RING	64

#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "driver.h"
#include "vmm/disk.h"

#define BLOCKS		4096u		/* of the image: 2 MiB */
#define BYTES		(BLOCKS * 512)

#define HEADERS		0x400000	/* guest-physical; 32 bytes for each descriptor's number */
#define STATUS		0x404000
#define BUFFER		0x500000

static struct driver driver;
static struct machine_config config;
static char directory[] = "/tmp/thv-blk-XXXXXX", image[64], overlay[64];

/* Block n of the image as it was made: n, over and over */
static void fill(u8 *block, u32 number)
{
	u32 i;

	for (i = 0; i < 512; i += 4)
		memcpy(block + i, &number, 4);
}

static void make_image(void)
{
	int fd = open(image, O_RDWR | O_CREAT | O_TRUNC, 0600);
	u8 block[512];
	u32 i;

	for (i = 0; i < BLOCKS; i++) {
		fill(block, i);
		if (write(fd, block, 512) != 512)
			exit(99);
	}
	close(fd);
	unlink(overlay);
}

/* Block @number of a file holds @wanted over and over, or zeros (~0) */
static bool holds(const char *path, u64 offset, u32 number, u32 wanted)
{
	u8 block[512], expected[512];
	int fd = open(path, O_RDONLY);
	ssize_t got = pread(fd, block, 512, offset + 512ull * number);

	close(fd);
	if (wanted == ~0u)
		memset(expected, 0, 512);
	else
		fill(expected, wanted);
	return got == 512 && !memcmp(block, expected, 512);
}

/* A machine with one disk; false: refused, and the error text says why */
static bool start_with(u64 features, const char *options, ...)
{
	static char text[300];
	static const char *disk = text;
	va_list arguments;

	va_start(arguments, options);
	vsnprintf(text, sizeof(text), options, arguments);
	va_end(arguments);
	config.disks = (struct option_list){ 1, &disk };
	driver_machine(&config);
	if (driver_devices()) {
		driver_end();
		return false;
	}
	driver_begin();
	return driver_find(&driver, 1) && driver_start(&driver, features);
}

#define FLUSH		(1ull << VIRTIO_BLK_F_FLUSH)
#define DISCARD		(1ull << VIRTIO_BLK_F_DISCARD)
#define ZEROES		(1ull << VIRTIO_BLK_F_WRITE_ZEROES)
#define RO		(1ull << VIRTIO_BLK_F_RO)

/* A request into the ring; its head, which also says where its header and status are */
static u16 request(u32 type, u64 sector, u64 data, u32 length, bool write)
{
	u16 head = driver.queue[0].next_desc;
	struct segment segments[3] = { { HEADERS + 32 * head, 16, false } };
	struct virtio_blk_outhdr header = { .type = type, .sector = sector };
	u32 count = 1;

	memcpy(guest(segments[0].gpa), &header, sizeof(header));
	*(u8 *)guest(STATUS + head) = 0xee;
	if (length)
		segments[count++] = (struct segment){ data, length, write };
	segments[count++] = (struct segment){ STATUS + head, 1, true };
	return ring_add(&driver, 0, segments, count);
}

/* ... and its end: the status, or -1: it did not end, or with another length */
static int finish(u16 head, long written)
{
	long got = ring_wait(&driver, 0, head);

	return got == written ? *(u8 *)guest(STATUS + head) : -1;
}

static int read_blocks(u64 sector, u32 count)
{
	return finish(request(VIRTIO_BLK_T_IN, sector, BUFFER, 512 * count, true), 512 * count + 1);
}

static int write_blocks(u64 sector, u32 count)
{
	return finish(request(VIRTIO_BLK_T_OUT, sector, BUFFER, 512 * count, false), 1);
}

static int flush_disk(void)
{
	return finish(request(VIRTIO_BLK_T_FLUSH, 0, 0, 0, false), 1);
}

static int clear_blocks(u32 type, u64 sector, u32 count, u32 flags)
{
	struct virtio_blk_discard_write_zeroes range = { sector, count, flags };

	memcpy(guest(BUFFER), &range, sizeof(range));
	return finish(request(type, 0, BUFFER, sizeof(range), false), 1);
}

/* Does the buffer hold these blocks, in order; ~0: zeros */
static bool buffer_is(u32 number, u32 count)
{
	u8 expected[512];
	u32 i;

	for (i = 0; i < count; i++) {
		memset(expected, 0, 512);
		if (number != ~0u)
			fill(expected, number + i);
		if (memcmp(guest(BUFFER + 512 * i), expected, 512))
			return false;
	}
	return true;
}

static void fill_buffer(u32 number, u32 count)
{
	u32 i;

	for (i = 0; i < count; i++)
		fill(guest(BUFFER + 512 * i), number + i);
}

/* ---- what works -------------------------------------------------------------------- */

static void test_raw(void)
{
	make_image();
	tap_ok(start_with(FLUSH, "path=%s", image), "a raw image is a disk");
	tap_is(mmio_read(driver.own, 8), BLOCKS, "of its size");
	tap_is(mmio_read(driver.own + offsetof(struct virtio_blk_config, blk_size), 4), 512, "in blocks of 512");
	tap_ok(read_blocks(7, 3) == VIRTIO_BLK_S_OK && buffer_is(7, 3), "blocks are read");
	fill_buffer(1000000, 2);
	tap_ok(write_blocks(BLOCKS - 2, 2) == VIRTIO_BLK_S_OK && holds(image, 0, BLOCKS - 1, 1000001),
	       "and written, to the last");
	tap_is(flush_disk(), VIRTIO_BLK_S_OK, "and flushed");
	tap_ok(finish(request(VIRTIO_BLK_T_GET_ID, 0, BUFFER, 20, true), 21) == VIRTIO_BLK_S_OK &&
	       !strcmp(guest(BUFFER), "thv-disk0"), "it has a name");
	tap_is(read_blocks(BLOCKS - 1, 2), VIRTIO_BLK_S_IOERR, "over the end nothing is read");
	tap_is(write_blocks(BLOCKS, 1), VIRTIO_BLK_S_IOERR, "nor written");
	tap_is(write_blocks(~0ull, 1), VIRTIO_BLK_S_IOERR, "nor where the position wraps");
	tap_is(write_blocks((1ull << 55) + 1, 1), VIRTIO_BLK_S_IOERR, "in bytes, too");
	tap_is(finish(request(VIRTIO_BLK_T_IN, 0, BUFFER, 100, true), 101), VIRTIO_BLK_S_IOERR,
	       "no less than a block");
	tap_is(finish(request(77, 0, BUFFER, 512, false), 1), VIRTIO_BLK_S_UNSUPP, "an unknown request is told so");
	tap_is(clear_blocks(VIRTIO_BLK_T_DISCARD, 0, 8, 0), VIRTIO_BLK_S_UNSUPP, "so is a discard that was not on offer");
	tap_ok(holds(image, 0, 0, 0) && holds(image, 0, BLOCKS - 3, BLOCKS - 3), "none of that has written anything");
	driver_end();
}

/* As many as the ring takes, all under way before the first bell */
static void test_many(void)
{
	struct segment segments[3];
	u32 round, i;
	u16 seen;

	make_image();
	start_with(FLUSH, "path=%s", image);
	for (round = 0; round < 50; round++) {
		for (i = 0; i < DRIVER_RING / 3; i++) {
			u16 head = driver.queue[0].next_desc;
			struct virtio_blk_outhdr header = { .type = VIRTIO_BLK_T_IN, .sector = round * 21 + i };

			memcpy(guest(HEADERS + 32 * head), &header, sizeof(header));
			segments[0] = (struct segment){ HEADERS + 32 * head, 16, false };
			segments[1] = (struct segment){ BUFFER + 512 * i, 512, true };
			segments[2] = (struct segment){ STATUS + head, 1, true };
			ring_put(&driver, 0, segments, 3);
		}
		ring_bell(&driver, 0);
		for (seen = 0; seen < i; seen++) {
			struct vring_used_elem element;

			tap_check(ring_next(&driver, 0, &element) && element.len == 513 &&
				  !*(u8 *)guest(STATUS + element.id), "round %u", round);
		}
		tap_check(buffer_is(round * 21, i), "round %u", round);
	}
	tap_ok(tap_held(), "many requests at once, over and over, each get their blocks");
	driver_end();
}

static void test_region(void)
{
	make_image();
	tap_ok(start_with(FLUSH, "path=%s,offset=64K,size=128K", image), "a region of an image is a disk");
	tap_is(mmio_read(driver.own, 8), 256, "of its size");
	tap_ok(read_blocks(0, 1) == VIRTIO_BLK_S_OK && buffer_is(128, 1), "it begins there");
	tap_is(read_blocks(255, 2), VIRTIO_BLK_S_IOERR, "and ends there");
	fill_buffer(5000, 1);
	tap_ok(write_blocks(255, 1) == VIRTIO_BLK_S_OK && holds(image, 0, 128 + 255, 5000) &&
	       holds(image, 0, 128 + 256, 128 + 256), "so what is behind it stays");
	driver_end();
}

static void test_read_only(void)
{
	make_image();
	chmod(image, 0400);
	tap_ok(start_with(0, "path=%s,ro", image), "an image may be read-only");
	tap_ok(driver_offered(&driver) & RO && !(driver_offered(&driver) & (DISCARD | ZEROES)), "the guest is told");
	tap_ok(read_blocks(9, 1) == VIRTIO_BLK_S_OK && buffer_is(9, 1), "it reads");
	fill_buffer(1, 1);
	tap_is(write_blocks(9, 1), VIRTIO_BLK_S_IOERR, "and does not write");
	tap_is(clear_blocks(VIRTIO_BLK_T_WRITE_ZEROES, 9, 1, 0), VIRTIO_BLK_S_IOERR, "nor clear");
	tap_is(flush_disk(), VIRTIO_BLK_S_OK, "to flush is no harm");
	tap_ok(holds(image, 0, 9, 9), "the image is what it was");
	driver_end();
	chmod(image, 0600);
}

static void test_overlay(void)
{
	make_image();
	tap_ok(start_with(FLUSH, "path=%s,overlay=%s", image, overlay), "an overlay is made");
	tap_ok(read_blocks(99, 4) == VIRTIO_BLK_S_OK && buffer_is(99, 4), "through it the image is read");
	fill_buffer(7000, 1);
	tap_is(write_blocks(100, 1), VIRTIO_BLK_S_OK, "a block is written");
	fill_buffer(7002, 1);
	tap_is(write_blocks(102, 1), VIRTIO_BLK_S_OK, "and another");
	tap_ok(read_blocks(98, 6) == VIRTIO_BLK_S_OK && !memcmp(guest(BUFFER), "\x62\0\0\0", 4), "all are read in one");
	memmove(guest(BUFFER), guest(BUFFER + 1024), 512);
	tap_ok(buffer_is(7000, 1), "... the written among the others");
	tap_ok(holds(image, 0, 100, 100) && holds(image, 0, 102, 102), "the image is what it was");
	tap_is(flush_disk(), VIRTIO_BLK_S_OK, "it is flushed");
	fill_buffer(8000, 1);
	write_blocks(103, 1);
	driver_end();

	tap_ok(start_with(FLUSH, "path=%s,overlay=%s", image, overlay), "it is opened again");
	tap_ok(read_blocks(102, 1) == VIRTIO_BLK_S_OK && buffer_is(7002, 1), "what was flushed is there");
	tap_ok(read_blocks(103, 1) == VIRTIO_BLK_S_OK && buffer_is(8000, 1), "and, after an orderly end, all");
	tap_ok(read_blocks(101, 1) == VIRTIO_BLK_S_OK && buffer_is(101, 1), "the rest is still the image's");
	tap_is(clear_blocks(VIRTIO_BLK_T_WRITE_ZEROES, 101, 2, 0), VIRTIO_BLK_S_OK, "it is cleared in part");
	tap_ok(read_blocks(101, 2) == VIRTIO_BLK_S_OK && buffer_is(~0u, 2), "... and reads as zeros there");
	tap_ok(holds(image, 0, 101, 101), "the image is what it was");
	driver_end();
}

/* Random writes, clears and reads, against a copy in our memory; with restarts */
static void test_overlay_model(void)
{
	static u32 model[BLOCKS];
	u32 i, k, at, count;

	make_image();
	for (i = 0; i < BLOCKS; i++)
		model[i] = i;
	srandom(1);
	start_with(FLUSH, "path=%s,overlay=%s,discard", image, overlay);
	for (i = 1; i <= 2000; i++) {
		count = 1 + random() % 100;
		at = random() % (BLOCKS - count);
		switch (random() % 4) {
		case 0:
			fill_buffer(100000 * i, count);
			tap_check(write_blocks(at, count) == VIRTIO_BLK_S_OK, "write %u", i);
			for (k = 0; k < count; k++)
				model[at + k] = 100000 * i + k;
			break;
		case 1:
			tap_check(clear_blocks(VIRTIO_BLK_T_WRITE_ZEROES, at, count, random() % 2) ==
				  VIRTIO_BLK_S_OK, "clear %u", i);
			for (k = 0; k < count; k++)
				model[at + k] = ~0u;
			break;
		default:
			tap_check(read_blocks(at, count) == VIRTIO_BLK_S_OK, "read %u", i);
			for (k = 0; k < count; k++) {
				memmove(guest(BUFFER), guest(BUFFER + 512 * k), 512);
				tap_check(buffer_is(model[at + k], 1), "block %u", at + k);
			}
		}
		if (i % 500 == 0) {
			driver_end();
			start_with(FLUSH, "path=%s,overlay=%s,discard", image, overlay);
		}
	}
	tap_ok(tap_held(), "an overlay holds what two thousand random requests make of it, and after restarts");
	driver_end();
}

static u64 blocks_used(void)
{
	struct stat stat;

	lstat(image, &stat);
	return stat.st_blocks;
}

static void test_discard(void)
{
	u64 before;

	make_image();
	sync();
	before = blocks_used();
	tap_ok(start_with(FLUSH | DISCARD | ZEROES, "path=%s,discard", image), "an image with discard");
	tap_is(clear_blocks(VIRTIO_BLK_T_DISCARD, 1024, 2048, 0), VIRTIO_BLK_S_OK, "blocks are discarded");
	tap_ok(blocks_used() + 2048 <= before, "and the file has become so much smaller");
	tap_ok(holds(image, 0, 1023, 1023) && holds(image, 0, 3072, 3072), "the others stay");
	tap_is(clear_blocks(VIRTIO_BLK_T_WRITE_ZEROES, 10, 5, VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP),
	       VIRTIO_BLK_S_OK, "blocks are cleared, and may be given back");
	tap_is(clear_blocks(VIRTIO_BLK_T_WRITE_ZEROES, 20, 5, 0), VIRTIO_BLK_S_OK, "or not");
	tap_ok(holds(image, 0, 9, 9) && holds(image, 0, 10, ~0u) && holds(image, 0, 14, ~0u) &&
	       holds(image, 0, 15, 15) && holds(image, 0, 20, ~0u) && holds(image, 0, 25, 25), "exactly they are zeros");
	tap_is(clear_blocks(VIRTIO_BLK_T_DISCARD, BLOCKS - 1, 2, 0), VIRTIO_BLK_S_IOERR, "not over the end");
	tap_is(clear_blocks(VIRTIO_BLK_T_DISCARD, ~0ull, 2, 0), VIRTIO_BLK_S_IOERR, "nor around it");
	tap_is(clear_blocks(VIRTIO_BLK_T_WRITE_ZEROES, 0, ~0u, 0), VIRTIO_BLK_S_IOERR, "nor too much at once");
	tap_is(clear_blocks(VIRTIO_BLK_T_DISCARD, 0, 8, 1), VIRTIO_BLK_S_UNSUPP, "nor with a flag that is unknown");
	tap_is(finish(request(VIRTIO_BLK_T_DISCARD, 0, BUFFER, 32, false), 1), VIRTIO_BLK_S_UNSUPP,
	       "nor two ranges, which were not on offer");
	driver_end();
}

/* Does the overlay's file say that it has the block? */
static bool bit_in_file(u32 block)
{
	int fd = open(overlay, O_RDONLY);
	u8 byte = 0;

	if (pread(fd, &byte, 1, 4096 + block / 8) != 1)
		byte = 0;
	close(fd);
	return byte >> block % 8 & 1;
}

static void test_write_through(void)
{
	make_image();
	start_with(FLUSH, "path=%s,overlay=%s", image, overlay);
	fill_buffer(333, 1);
	write_blocks(5, 1);
	tap_ok(!bit_in_file(5), "an overlay's bits reach its file");
	flush_disk();
	tap_ok(bit_in_file(5) && !bit_in_file(6), "when the driver flushes");
	driver_start(&driver, 0);
	write_blocks(6, 1);
	tap_ok(bit_in_file(6), "and with each write of a driver that cannot");
	driver_end();
}

/* ---- what goes wrong ------------------------------------------------------------------ */

static void test_errors(void)
{
	static const u8 small[] = { 1, 2, 3 };

	make_image();
	start_with(FLUSH, "path=%s", image);
	if (truncate(image, 4096))
		exit(99);
	tap_is(read_blocks(100, 1), VIRTIO_BLK_S_IOERR, "a file that has become shorter is an I/O error");
	tap_ok(read_blocks(7, 1) == VIRTIO_BLK_S_OK && buffer_is(7, 1), "where it still is, it is read");
	memcpy(guest(HEADERS), small, 3);
	ring_add(&driver, 0, (struct segment[]){ { HEADERS, 8, false }, { STATUS, 1, true } }, 2);
	tap_ok(driver_needs_reset(&driver), "half a header breaks the device");
	driver_start(&driver, FLUSH);
	ring_add(&driver, 0, (struct segment[]){ { HEADERS, 16, false } }, 1);
	tap_ok(driver_needs_reset(&driver), "so does a request without room for a status");
	driver_start(&driver, FLUSH);
	tap_ok(read_blocks(7, 1) == VIRTIO_BLK_S_OK, "after a reset it works");
	driver_end();
}

/* Requests whose end nobody waits for: the memory is ours again when the status is 0 */
static void test_reset(void)
{
	u32 round, i;

	make_image();
	start_with(FLUSH, "path=%s", image);
	for (round = 0; round < 100; round++) {
		for (i = 0; i < 20; i++)
			request(VIRTIO_BLK_T_IN, i * 100, BUFFER, 51200, true);
		mmio_write(COMMON_REG(&driver, device_status), 0);
		memset(guest(BUFFER), 0x5a, 51200);
		usleep(random() % 500);
		for (i = 0; i < 51200; i++)
			if (!tap_check(*(u8 *)guest(BUFFER + i) == 0x5a, "round %u: byte %u", round, i))
				break;
		driver.next_page = 1 << 20;
		driver_start(&driver, FLUSH);
	}
	tap_ok(tap_held(), "after a reset, requests that were in flight write no more");
	tap_ok(read_blocks(7, 1) == VIRTIO_BLK_S_OK && buffer_is(7, 1), "and new ones work");
	driver_end();
}

static void test_refused(void)
{
	static const struct { const char *options, *word; } bad[] = {
		{ "path=/nowhere/at/all", "/nowhere/at/all: No such file" },
		{ "path=/tmp", "Is a directory" },
		{ "path=/dev/null", "neither a file nor a block device" },
		{ "path=IMAGE,offset=100", "multiples of 512" },
		{ "path=IMAGE,size=4M", "no such region" },
		{ "path=IMAGE,offset=2M", "no such region" },
		{ "path=IMAGE,offset=1M,size=1025K", "no such region" },
		{ "path=IMAGE,ro,overlay=/tmp/x", "leave one out" },
		{ "path=IMAGE,overlay=IMAGE", "in use by another" },
		{ "path=IMAGE,overlay=/nowhere/x", "No such file" },
		{ "path=/proc/self/cmdline,ro", "no such region" },
		{ "path=IMAGE,rw", "there is no 'rw'; it takes path=FILE, ro, offset=BYTES" },
		{ "ro", "path=FILE is missing" },
	};
	char options[200], *image_in;
	u32 i;

	make_image();
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		strcpy(options, "");
		for (image_in = strcpy(options, bad[i].options); (image_in = strstr(image_in, "IMAGE"));) {
			char rest[200];

			strcpy(rest, image_in + 5);
			sprintf(image_in, "%s%s", image, rest);
		}
		tap_ok(!start_with(0, "%s", options) && strstr(error_text(), "--disk") &&
		       strstr(error_text(), bad[i].word), "%s is refused: %s", bad[i].options, error_text());
	}
}

static void test_overlay_refused(void)
{
	struct disk_options options = { .path = image, .overlay = overlay };
	struct disk disk;
	int fd;

	make_image();
	fd = open(overlay, O_RDWR | O_CREAT, 0600);
	tap_is(write(fd, "hello", 5), 5, "a file that is there");
	tap_ok(disk_open(&disk, &options) && strstr(error_text(), "no overlay"), "is not overwritten: %s", error_text());
	unlink(overlay);
	close(fd);
	tap_is(disk_open(&disk, &options), 0, "an overlay");
	disk_close(&disk);
	if (truncate(image, BYTES - 512))
		exit(99);
	tap_ok(disk_open(&disk, &options) && strstr(error_text(), "2097152 bytes, and this one has 2096640"),
	       "is not put over another disk: %s", error_text());
}

static void test_locks(void)
{
	struct disk_options all = { .path = image }, reader = { .path = image, .read_only = true };
	struct disk_options first = { .path = image, .size = 65536 };
	struct disk_options second = { .path = image, .offset = 65536, .size = 65536 };
	struct disk one, two;

	make_image();
	tap_is(disk_open(&one, &all), 0, "one VM writes to an image");
	tap_ok(disk_open(&two, &all) && strstr(error_text(), "in use by another VM"), "no other may: %s", error_text());
	tap_ok(disk_open(&two, &reader) && strstr(error_text(), "being written"), "nor read it: %s", error_text());
	disk_close(&one);
	tap_ok(!disk_open(&one, &reader) && !disk_open(&two, &reader), "two may read");
	disk_close(&one);
	disk_close(&two);
	tap_ok(!disk_open(&one, &first) && !disk_open(&two, &second), "two may write to regions of their own");
	disk_close(&two);
	second.offset -= 512;
	tap_ok(disk_open(&two, &second) && strstr(error_text(), "in use"), "if these do not overlap");
	disk_close(&one);
}

/* ---- saved, destroyed, restored ---------------------------------------------------------- */

static void save(struct state *state, char **text)
{
	size_t size;
	FILE *file = open_memstream(text, &size);

	state_init(state);
	tap_check(!state_save_devices(&driver_vm, state), "%s", error_text());
	state_print(state, file);
	fclose(file);
}

static void test_restore(void)
{
	struct state state, again;
	struct driver kept;
	char *before, *after;
	u8 *memory = malloc(DRIVER_MEMORY);

	make_image();
	start_with(FLUSH, "path=%s,overlay=%s", image, overlay);
	fill_buffer(4711, 8);
	write_blocks(50, 8);
	save(&state, &before);
	memcpy(memory, guest(0), DRIVER_MEMORY);
	kept = driver;
	driver_end();
	start_with(FLUSH, "path=%s,overlay=%s", image, overlay);
	memcpy(guest(0), memory, DRIVER_MEMORY);
	driver = kept;
	tap_is(state_restore_devices(&driver_vm, &state), 0, "a disk is restored in another machine");
	save(&again, &after);
	tap_ok(!strcmp(before, after), "where it has the same state");
	tap_ok(read_blocks(50, 8) == VIRTIO_BLK_S_OK && buffer_is(4711, 8), "and goes on with the same ring and data");
	driver_end();
	start_with(FLUSH, "path=%s,ro", image);
	tap_ok(state_restore_devices(&driver_vm, &state), "a disk of another kind does not take it: %s", error_text());
	driver_end();
	tap_ok(tap_held(), "all of it could be saved");
	state_free(&state);
	state_free(&again);
	free(before);
	free(after);
	free(memory);
}

/* ---- a killed launcher loses no flushed sector --------------------------------------------- */

struct promise {
	u32 block, value;
};

/*
 * The child: writes blocks at random, some at once, and flushes; once the flush is acknowledged,
 * says through the pipe what it is that must be there. Until it is killed.
 */
static void write_until_killed(int pipe, const char *options, u32 value)
{
	struct promise promises[16];
	u32 i;

	srandom(value);
	if (!start_with(FLUSH, "%s", options))
		_exit(3);
	for (;;) {
		u32 count = 1 + random() % ARRAY_SIZE(promises);

		for (i = 0; i < count; i++) {
			promises[i] = (struct promise){ random() % BLOCKS, value++ };
			fill_buffer(promises[i].value, 1);
			if (write_blocks(promises[i].block, 1) != VIRTIO_BLK_S_OK)
				_exit(4);
		}
		if (flush_disk() != VIRTIO_BLK_S_OK ||
		    write(pipe, promises, count * sizeof(*promises)) != (ssize_t)(count * sizeof(*promises)))
			_exit(5);
	}
}

/* The value that a block holds now: as a later VM would see it; 0: not one and the same all over */
static u32 value_of(const struct disk *disk, u32 block)
{
	struct disk_piece piece = disk_to_read(disk, 512ull * block, 512);
	u32 words[128], i;

	if (pread(piece.fd, words, 512, piece.offset) != 512)
		return 0;
	for (i = 1; i < 128; i++)
		if (words[i] != words[0])
			return 0;
	return words[0];
}

/* How many promises are kept; a block may hold a later value than promised, never an earlier one */
static u32 check_promises(int pipe, const char *text, u32 *kept)
{
	struct disk_options options;
	struct promise promise;
	struct disk disk;
	u32 count = 0;

	if (disk_parse(text, &options) || disk_open(&disk, &options)) {
		tap_check(false, "%s", error_text());
		return 0;
	}
	while (read(pipe, &promise, sizeof(promise)) == sizeof(promise)) {
		if (kept[promise.block] < promise.value)
			kept[promise.block] = promise.value;
		count++;
	}
	for (u32 i = 0; i < BLOCKS; i++)
		tap_check(!kept[i] || value_of(&disk, i) >= kept[i], "block %u: %u, promised was %u", i,
			  value_of(&disk, i), kept[i]);
	disk_close(&disk);
	return count;
}

static void test_kills(const char *what, u32 kills, const char *options)
{
	u32 *kept = calloc(BLOCKS, sizeof(*kept)), total = 0, i, early = 0;
	struct pollfd first = { .events = POLLIN };
	int pipes[2], status;
	pid_t child;

	make_image();
	for (i = 0; i < kills; i++) {
		if (pipe2(pipes, O_CLOEXEC))
			exit(99);
		fcntl(pipes[1], F_SETPIPE_SZ, 1 << 20);
		child = fork();
		if (!child)
			write_until_killed(pipes[1], options, 1000000 * (i + 1));
		close(pipes[1]);
		first.fd = pipes[0];
		poll(&first, 1, DRIVER_WAIT_MS);	/* it is at work, however slow this machine is */
		usleep(random() % 40000);
		kill(child, SIGKILL);
		waitpid(child, &status, 0);
		early += !WIFSIGNALED(status);
		total += check_promises(pipes[0], options, kept);
		close(pipes[0]);
	}
	tap_ok(!early && total > kills, "%s: a launcher was killed %u times while it wrote %u sectors", what, kills, total);
	tap_ok(tap_held(), "... and of those that were flushed none is lost");
	free(kept);
}

static void all_kills(void)
{
	char options[200];

	snprintf(options, sizeof(options), "path=%s", image);
	test_kills("raw", 50, options);
	snprintf(options, sizeof(options), "path=%s,overlay=%s", image, overlay);
	test_kills("overlay", 50, options);
}

/* Options' texts stay for good */
const char *__lsan_default_suppressions(void)
{
	return "leak:options_parse_words";
}

int main(void)
{
	if (!mkdtemp(directory))
		return 99;
	snprintf(image, sizeof(image), "%s/image", directory);
	snprintf(overlay, sizeof(overlay), "%s/overlay", directory);
	test_raw();
	test_many();
	test_region();
	test_read_only();
	test_overlay();
	test_overlay_model();
	test_discard();
	test_write_through();
	test_errors();
	test_reset();
	test_refused();
	test_overlay_refused();
	test_locks();
	test_restore();
	all_kills();
	tap_ok(tap_held(), "the module was asked for nothing odd");
	unlink(image);
	unlink(overlay);
	rmdir(directory);
	return tap_done();
}
