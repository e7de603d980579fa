// SPDX-License-Identifier: GPL-2.0-only
/* Disks: opening and locking what is behind them, and the overlay; disk.h has its format. */
#include "vmm/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/error.h"

#define FIELD(member)	.field = offsetof(struct disk_options, member)

const struct option_row disk_rows[] = {
	{ "path", "FILE", "a raw image or a block device", option_text, FIELD(path), .required = true },
	{ "ro", NULL, "the guest may not write", option_flag, FIELD(read_only) },
	{ "offset", "BYTES", "where in it the disk begins", option_size, FIELD(offset),
	  .maximum = 1ULL << 62 },
	{ "size", "SIZE", "how large the disk is; else to the end", option_size, FIELD(size),
	  .minimum = DISK_BLOCK, .maximum = 1ULL << 62 },
	{ "overlay", "FILE", "what is written goes there", option_text, FIELD(overlay) },
	{ "discard", NULL, "let the guest give back space", option_flag, FIELD(discard) },
	{ 0 }
};

#define MAGIC		"THVOVER\n"
#define VERSION		1
#define MAP_START	PAGE_BYTES
#define LOCK_MS		500

struct overlay_header {
	char magic[8];
	u32 version;
	u32 block;
	u64 size;
	u64 map;
	u64 data;
};

/* A page of the bitmap */
struct disk_page {
	struct disk_page *next;
	u64 index;
	u8 bytes[PAGE_BYTES];
};

int disk_parse(const char *text, struct disk_options *options)
{
	*options = (struct disk_options){ 0 };
	if (options_parse_words("disk", text, disk_rows, options))
		return -1;
	if (options->offset % DISK_BLOCK || options->size % DISK_BLOCK)
		return error_set("--disk: offset and size are multiples of 512 bytes");
	if (options->read_only && options->overlay)
		return error_set("--disk: ro and overlay: with an overlay, the file is only read anyway; leave one out");
	return 0;
}

/* ---- the file ---------------------------------------------------------------- */

static int file_size(int fd, const char *path, u64 *size)
{
	struct stat stat;

	if (fstat(fd, &stat))
		return error_errno("--disk: %s", path);
	if (S_ISREG(stat.st_mode))
		*size = stat.st_size;
	else if (!S_ISBLK(stat.st_mode))
		return error_set("--disk: %s is neither a file nor a block device", path);
	else if (ioctl(fd, BLKGETSIZE64, size))
		return error_errno("--disk: asking how large %s is", path);
	return 0;
}

/*
 * The I/O of a launcher that was killed a moment ago may still be on its way, and its lock with
 * it, so wait a little.
 */
static int try_lock(int fd, short type, u64 start, u64 length)
{
	struct flock range = {
		.l_type = type,
		.l_whence = SEEK_SET,
		.l_start = start,
		.l_len = length,
	};
	int tries = LOCK_MS / 10;

	while (fcntl(fd, F_OFD_SETLK, &range)) {
		if ((errno != EAGAIN && errno != EACCES) || !tries--)
			return -1;
		usleep(10000);
	}
	return 0;
}

static int lock(int fd, const char *path, bool write, u64 start, u64 length)
{
	if (!try_lock(fd, write ? F_WRLCK : F_RDLCK, start, length))
		return 0;
	if (errno != EAGAIN && errno != EACCES)
		return error_errno("--disk: locking %s", path);
	if (write)
		return error_set("--disk: %s is in use by another VM, or another --disk; end that, or take %s ro or with an overlay in both",
				 path, path);
	return error_set("--disk: %s is being written by another VM, or another --disk; end that, or make a copy", path);
}

static int place(struct disk *disk, const char *path)
{
	const struct disk_options *options = &disk->options;
	u64 size;

	if (file_size(disk->fd, path, &size))
		return -1;
	if (options->offset >= size || options->size > size - options->offset)
		return error_set("--disk: %s has %llu bytes: there is no such region in it", path, size);
	disk->offset = options->offset;
	disk->size = options->size ? options->size : ALIGN_DOWN(size - options->offset, DISK_BLOCK);
	if (!disk->size)
		return error_set("--disk: %s is smaller than a block of 512 bytes", path);
	return 0;
}

static int open_file(struct disk *disk)
{
	const char *path = disk->options.path;
	bool write = !disk->options.read_only && !disk->options.overlay;

	disk->fd = open(path, (write ? O_RDWR : O_RDONLY) | O_CLOEXEC);
	if (disk->fd < 0)
		return error_errno("--disk: %s%s", path, errno == EACCES && write ?
				   " cannot be written (ro, or an overlay, would do without)" : "");
	if (place(disk, path))
		return -1;
	return lock(disk->fd, path, write, disk->offset, disk->size);
}

/* ---- the overlay --------------------------------------------------------------- */

static struct overlay_header header_for(const struct disk *disk)
{
	struct overlay_header header = {
		.version = VERSION,
		.block = DISK_BLOCK,
		.size = disk->size,
		.map = MAP_START,
		.data = MAP_START + disk->map_bytes,
	};

	memcpy(header.magic, MAGIC, sizeof(header.magic));
	return header;
}

/* Header first: a file that has one is an overlay, however little of the rest was made */
static int format(struct disk *disk, const char *path)
{
	struct overlay_header header = header_for(disk);
	u8 page[PAGE_BYTES] = { 0 };

	memcpy(page, &header, sizeof(header));
	if (pwrite(disk->overlay, page, sizeof(page), 0) != sizeof(page) || fsync(disk->overlay))
		return error_errno("--disk: making the overlay %s", path);
	return 0;
}

static int check(struct disk *disk, const char *path)
{
	struct overlay_header header, wanted = header_for(disk);

	if (pread(disk->overlay, &header, sizeof(header), 0) != sizeof(header) ||
	    memcmp(header.magic, MAGIC, sizeof(header.magic)))
		return error_set("--disk: %s is no overlay; name a file that is not there yet", path);
	if (header.version != VERSION)
		return error_set("--disk: %s is an overlay of version %u, and this thv knows version %u",
				 path, header.version, VERSION);
	if (memcmp(&header, &wanted, sizeof(header)))
		return error_set("--disk: %s is an overlay of a disk of %llu bytes, and this one has %llu",
				 path, header.size, disk->size);
	return 0;
}

static int map_bits(struct disk *disk, const char *path)
{
	struct stat stat;
	u64 end = disk->data + disk->size;

	if (fstat(disk->overlay, &stat) || ((u64)stat.st_size < end && ftruncate(disk->overlay, end)))
		return error_errno("--disk: giving %s its size", path);
	disk->map = mmap(NULL, disk->map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE,
			 disk->overlay, MAP_START);
	disk->stale = calloc(disk->map_bytes / PAGE_BYTES, 1);
	if (disk->map == MAP_FAILED) {
		disk->map = NULL;
		return error_errno("--disk: mapping the bits of %s", path);
	}
	return disk->stale ? 0 : error_set("out of memory");
}

static int open_overlay(struct disk *disk)
{
	const char *path = disk->options.overlay;
	struct stat stat;

	disk->map_bytes = ALIGN_UP(ALIGN_UP(disk->size / DISK_BLOCK, 8) / 8, PAGE_BYTES);
	disk->data = MAP_START + disk->map_bytes;
	disk->overlay = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (disk->overlay < 0 || fstat(disk->overlay, &stat))
		return error_errno("--disk: the overlay %s", path);
	if (!S_ISREG(stat.st_mode))
		return error_set("--disk: the overlay %s is no file", path);
	if (lock(disk->overlay, path, true, 0, 0) ||
	    (stat.st_size ? check : format)(disk, path))
		return -1;
	return map_bits(disk, path);
}

int disk_open(struct disk *disk, const struct disk_options *options)
{
	*disk = (struct disk){ .options = *options, .fd = -1, .overlay = -1 };
	if (open_file(disk) || (options->overlay && open_overlay(disk))) {
		disk_close(disk);
		return -1;
	}
	disk->writable = !options->read_only;
	return 0;
}

void disk_close(struct disk *disk)
{
	disk_flush_end(disk, true);
	if (disk->map)
		munmap(disk->map, disk->map_bytes);
	free(disk->stale);
	if (disk->overlay >= 0)
		close(disk->overlay);
	if (disk->fd >= 0)
		close(disk->fd);
	disk->map = NULL;
	disk->stale = NULL;
	disk->overlay = -1;
	disk->fd = -1;
}

/* ---- where things are ------------------------------------------------------------- */

static bool in_overlay(const struct disk *disk, u64 block)
{
	return disk->map[block / 64] >> block % 64 & 1;
}

/* How many of the blocks from the first on are in the overlay, or not, as the first is */
static u64 run_length(const struct disk *disk, u64 first, u64 count)
{
	u64 same = in_overlay(disk, first) ? ~0ULL : 0, block = first + 1;

	while (block < first + count) {
		if (!(block % 64) && disk->map[block / 64] == same)
			block += 64;
		else if (in_overlay(disk, block) == !!same)
			block++;
		else
			break;
	}
	return block - first < count ? block - first : count;
}

struct disk_piece disk_to_write(const struct disk *disk, u64 at, u64 length)
{
	if (disk->map)
		return (struct disk_piece){ disk->overlay, disk->data + at, length };
	return (struct disk_piece){ disk->fd, disk->offset + at, length };
}

struct disk_piece disk_to_read(const struct disk *disk, u64 at, u64 length)
{
	u64 first = at / DISK_BLOCK, last = (at + length - 1) / DISK_BLOCK, end;

	if (!disk->map)
		return disk_to_write(disk, at, length);
	end = (first + run_length(disk, first, last - first + 1)) * DISK_BLOCK;
	length = length < end - at ? length : end - at;
	if (in_overlay(disk, first))
		return disk_to_write(disk, at, length);
	return (struct disk_piece){ disk->fd, disk->offset + at, length };
}

void disk_written(struct disk *disk, u64 at, u64 length)
{
	u64 block = at / DISK_BLOCK, end = (at + length) / DISK_BLOCK;

	if (!disk->map)
		return;
	for (; block < end; block++) {
		if (in_overlay(disk, block))
			continue;
		disk->map[block / 64] |= 1ULL << block % 64;
		disk->stale[block / 8 / PAGE_BYTES] = 1;
	}
}

int disk_sync_fd(const struct disk *disk)
{
	return disk->overlay >= 0 ? disk->overlay : disk->fd;
}

/* ---- flushing ------------------------------------------------------------------------ */

/* Only bits that are set now: what is written while the data is being synced comes next time */
int disk_flush_begin(struct disk *disk)
{
	struct disk_page *page;
	u64 index;

	for (index = 0; disk->map && index < disk->map_bytes / PAGE_BYTES; index++) {
		if (!disk->stale[index])
			continue;
		page = malloc(sizeof(*page));
		if (!page) {
			disk_flush_end(disk, false);
			return error_set("out of memory");
		}
		page->index = index;
		page->next = disk->flushing;
		memcpy(page->bytes, (u8 *)disk->map + index * PAGE_BYTES, PAGE_BYTES);
		disk->flushing = page;
		disk->stale[index] = 0;
	}
	return 0;
}

int disk_flush_bits(struct disk *disk)
{
	const struct disk_page *page;

	for (page = disk->flushing; page; page = page->next)
		if (pwrite(disk->overlay, page->bytes, PAGE_BYTES, MAP_START + page->index * PAGE_BYTES) !=
		    PAGE_BYTES)
			return error_errno("--disk: writing the bits of %s", disk->options.overlay);
	return 0;
}

void disk_flush_end(struct disk *disk, bool success)
{
	struct disk_page *page;

	while (disk->flushing) {
		page = disk->flushing;
		disk->flushing = page->next;
		if (!success)
			disk->stale[page->index] = 1;
		free(page);
	}
}

int disk_flush(struct disk *disk)
{
	int fd = disk_sync_fd(disk);
	bool good;

	if (!disk->writable)
		return 0;
	good = !disk_flush_begin(disk) && !fdatasync(fd) && !disk_flush_bits(disk) && !fdatasync(fd);
	disk_flush_end(disk, good);
	return good ? 0 : error_errno("--disk: writing to %s", disk->options.path);
}
