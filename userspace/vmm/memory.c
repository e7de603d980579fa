// SPDX-License-Identifier: GPL-2.0-only
/* Guest memory: making it, giving it to the VM, reaching into it. */
#include "vmm/memory.h"

#include <errno.h>
#include <linux/memfd.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "lib/device.h"
#include "lib/error.h"

void memory_plan(struct memory *memory, u64 size)
{
	*memory = (struct memory){
		.fd = -1,
		.size = size,
		.low = size < MEMORY_HOLE ? size : MEMORY_HOLE,
	};
}

/*
 * At a multiple of 2 MiB, so that a huge page of ours is one of the guest's.
 * The spare address space around it is given back.
 */
static u8 *map_aligned(int fd, u64 size)
{
	u8 *space, *start;

	space = mmap(NULL, size + SIZE_2M, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		     -1, 0);
	if (space == MAP_FAILED)
		return NULL;
	start = (u8 *)ALIGN_UP((unsigned long)space, SIZE_2M);
	if (start != space)
		munmap(space, start - space);
	if (start + size != space + size + SIZE_2M)
		munmap(start + size, space + SIZE_2M - start);
	if (mmap(start, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_NORESERVE,
		 fd, 0) == MAP_FAILED)
		return NULL;
	return start;
}

static int open_memfd(u64 size, const char *name, bool hugepages)
{
	char label[64];
	int fd;

	snprintf(label, sizeof(label), "thv-%s", name);
	fd = memfd_create(label, MFD_CLOEXEC | (hugepages ? MFD_HUGETLB | MFD_HUGE_2MB : 0));
	if (fd < 0)
		return error_errno("making the guest's memory");
	if (ftruncate(fd, size)) {
		error_errno("making %llu MiB of guest memory", size >> 20);
		close(fd);
		return -1;
	}
	return fd;
}

int memory_create(struct memory *memory, u64 size, const char *name, bool hugepages)
{
	memory_plan(memory, size);
	if (hugepages && size % SIZE_2M)
		return error_set("--hugepages wants a multiple of 2M as --mem");
	memory->fd = open_memfd(size, name, hugepages);
	if (memory->fd < 0)
		return -1;
	memory->host = map_aligned(memory->fd, size);
	if (!memory->host) {
		error_errno("mapping %llu MiB of guest memory%s", size >> 20, hugepages ?
			    " (are there enough huge pages? /proc/sys/vm/nr_hugepages)" : "");
		close(memory->fd);
		memory->fd = -1;
		return -1;
	}
	/* Wishes, not needs: huge where shared memory may be, and not in core files or children */
	madvise(memory->host, size, MADV_HUGEPAGE);
	madvise(memory->host, size, MADV_DONTFORK);
	madvise(memory->host, size, MADV_DONTDUMP);
	return 0;
}

static int give(int vm, u32 slot, u32 flags, u64 gpa, const u8 *host, u64 size)
{
	struct thv_memory argument = {
		.slot = slot,
		.flags = flags,
		.gpa = gpa,
		.size = size,
		.hva = (unsigned long)host,
	};

	return size ? vm_set_memory(vm, &argument) : 0;
}

int memory_give(const struct memory *memory, int vm)
{
	if (give(vm, 0, 0, 0, memory->host, memory->low) < 0 ||
	    give(vm, 1, 0, SIZE_4G, memory->host + memory->low, memory->size - memory->low) < 0 ||
	    give(vm, 2, THV_MEMORY_READONLY, SIZE_4G - memory->rom_size, memory->rom,
		 memory->rom_size) < 0)
		return -1;
	return 0;
}

void memory_destroy(struct memory *memory)
{
	if (memory->fd < 0)
		return;
	munmap(memory->host, memory->size);
	close(memory->fd);
	memory->fd = -1;
}

static bool inside(u64 start, u64 length, u64 size)
{
	return start <= size && length <= size - start;
}

void *memory_at(const struct memory *memory, u64 gpa, u64 length)
{
	if (inside(gpa, length, memory->low))
		return memory->host + gpa;
	if (gpa >= SIZE_4G && inside(gpa - SIZE_4G, length, memory->size - memory->low))
		return memory->host + memory->low + (gpa - SIZE_4G);
	return NULL;
}

const void *memory_look(const struct memory *memory, u64 gpa, u64 length)
{
	u64 start = SIZE_4G - memory->rom_size;

	if (gpa >= start && gpa < SIZE_4G && inside(gpa - start, length, memory->rom_size))
		return memory->rom + (gpa - start);
	return memory_at(memory, gpa, length);
}

static int load_through_mapping(u8 *to, int fd, u64 offset, u64 length, const char *path)
{
	ssize_t got;

	for (; length; to += got, offset += got, length -= got) {
		got = pread(fd, to, length, offset);
		if (got < 0)
			return error_errno("%s", path);
		if (!got)
			return error_set("%s: it became shorter while it was read; try again", path);
	}
	return 0;
}

/*
 * sendfile() copies from page cache to page cache: no fault and no clearing for
 * the pages it fills, which halves what a start costs. Where the file or the
 * memory (hugetlbfs) does not take it, read into the mapping.
 */
int memory_load(const struct memory *memory, u64 gpa, int fd, u64 offset, u64 length,
		const char *path)
{
	u8 *to = memory_at(memory, gpa, length);
	off_t from = offset;
	ssize_t got = 1;

	if (!to)
		return error_set("%s: does not fit the guest's memory", path);
	if (lseek(memory->fd, to - memory->host, SEEK_SET) < 0)
		return error_errno("the guest's memory");
	while (length && got > 0) {
		got = sendfile(memory->fd, fd, &from, length);
		if (got > 0) {
			length -= got;
			to += got;
		}
	}
	return load_through_mapping(to, fd, from, length, path);
}
