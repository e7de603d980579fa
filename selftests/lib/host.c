// SPDX-License-Identifier: GPL-2.0-only
/* What host.h says. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/wait.h>
#include "host.h"

/* ---- mappings ---- */

u8 *host_map_at(void *at, size_t size, int prot, int flags, int fd, off_t offset)
{
	u8 *p = mmap(at, size, prot, flags, fd, offset);

	if (p == MAP_FAILED)
		fail("mmap of %zu bytes: %s", size, strerror(errno));
	return p;
}

u8 *host_map(size_t size)
{
	return host_map_at(NULL, size, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

u8 *host_map_aligned(size_t size)
{
	u8 *p = host_map(size + HUGE);

	return (u8 *)(((uintptr_t)p + HUGE - 1) & ~(HUGE - 1));
}

int host_memfd(size_t size)
{
	int fd = memfd_create("guest", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, size))
		fail("memfd: %s", strerror(errno));
	return fd;
}

u64 host_pread(int fd, off_t offset)
{
	u64 value;

	if (pread(fd, &value, sizeof(value), offset) != sizeof(value))
		fail("pread: %s", strerror(errno));
	return value;
}

void host_pwrite(int fd, off_t offset, u64 value)
{
	if (pwrite(fd, &value, sizeof(value), offset) != sizeof(value))
		fail("pwrite: %s", strerror(errno));
}

/* ---- what the host knows of an address ---- */

static void read_pagemap(const void *mem, u64 *entries, unsigned long n)
{
	static int fd = -1;

	if (fd < 0)
		fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (pread(fd, entries, n * 8, (uintptr_t)mem / PAGE * 8) != (ssize_t)(n * 8))
		fail("pagemap: %s", strerror(errno));
}

u64 host_pagemap(const void *at)
{
	u64 entry;

	read_pagemap(at, &entry, 1);
	return entry;
}

u64 host_pfn(const void *at)
{
	u64 entry = host_pagemap(at);

	return entry & HOST_PRESENT ? entry & (BIT(55) - 1) : 0;
}

static unsigned long count_pages(const u8 *mem, size_t size, u64 what)
{
	unsigned long i, n, count = 0;
	u64 entry[512];

	for (; size; size -= n * PAGE, mem += n * PAGE) {
		n = size / PAGE < 512 ? size / PAGE : 512;
		read_pagemap(mem, entry, n);
		for (i = 0; i < n; i++)
			count += !!(entry[i] & what);
	}
	return count;
}

unsigned long host_resident(const void *mem, size_t size)
{
	return count_pages(mem, size, HOST_PRESENT);
}

unsigned long host_swapped(const void *mem, size_t size)
{
	return count_pages(mem, size, HOST_SWAPPED);
}

bool host_is_huge(const void *at)
{
	FILE *file = fopen("/proc/self/smaps", "r");
	unsigned long start, end, size = 0;
	bool inside = false;
	char line[256];

	while (file && !size && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			inside = (uintptr_t)at >= start && (uintptr_t)at < end;
		else if (inside)
			sscanf(line, "AnonHugePages: %lu", &size);
	}
	if (file)
		fclose(file);
	return size;
}

/* ---- the host's knobs ---- */

bool host_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return written;
}

long host_read(const char *path)
{
	char text[32] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	return n < 0 ? -1 : atol(text);
}

long host_read_field(const char *path, const char *field)
{
	FILE *file = fopen(path, "r");
	char name[64], line[256];
	long value, found = -1;

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "%63s %ld", name, &value) == 2 && !strcmp(name, field))
			found = value;
	if (file)
		fclose(file);
	return found;
}

static bool move_to(const char *procs)
{
	char text[32];

	snprintf(text, sizeof(text), "%d", getpid());
	return host_write(procs, text);
}

bool host_enter_cgroup(size_t limit)
{
	char text[32];

	host_write("/sys/fs/cgroup/cgroup.subtree_control", "+memory");
	if (mkdir(HOST_CGROUP, 0755) && errno != EEXIST)
		return false;
	snprintf(text, sizeof(text), "%zu", limit);
	return host_write(HOST_CGROUP "/memory.max", text) && move_to(HOST_CGROUP "/cgroup.procs");
}

void host_leave_cgroup(void)
{
	move_to("/sys/fs/cgroup/cgroup.procs");
	rmdir(HOST_CGROUP);
}

bool host_huge_on_advice(void)
{
	return host_write("/sys/kernel/mm/transparent_hugepage/enabled", "madvise");
}

bool host_ksm(bool on)
{
	if (!on)
		return host_write("/sys/kernel/mm/ksm/run", "2") && host_write("/sys/kernel/mm/ksm/run", "0");
	host_write("/sys/kernel/mm/ksm/sleep_millisecs", "1");
	host_write("/sys/kernel/mm/ksm/pages_to_scan", "200");
	return host_write("/sys/kernel/mm/ksm/run", "1");
}

/* What is merged stays so, and the scanner does not write-protect what it might merge next */
bool host_ksm_pause(void)
{
	return host_write("/sys/kernel/mm/ksm/run", "0");
}

long host_ksm_shared(void)
{
	return host_read("/sys/kernel/mm/ksm/pages_sharing");
}

/* ---- swap ---- */

/* A RAM disk takes memory for what has been written to it, and no more */
#define SWAP_SIZE	(1UL << 30)

/* The page that mkswap(8) makes: include/linux/swap.h, union swap_header */
static bool make_swap(const char *path, size_t size)
{
	u32 page[PAGE / 4] = {};
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool made;

	page[256] = 1;				/* version */
	page[257] = size / PAGE - 1;		/* last page */
	memcpy((u8 *)page + PAGE - 10, "SWAPSPACE2", 10);
	made = fd >= 0 && write(fd, page, PAGE) == (ssize_t)PAGE && !fsync(fd);
	if (fd >= 0)
		close(fd);
	return made;
}

static bool load_ramdisk(void)
{
	char parameter[64];
	int status = 0;
	pid_t pid;

	snprintf(parameter, sizeof(parameter), "rd_size=%lu", SWAP_SIZE / 1024);
	pid = fork();
	if (!pid) {
		execlp("modprobe", "modprobe", "brd", "rd_nr=1", parameter, NULL);
		_exit(127);
	}
	waitpid(pid, &status, 0);
	return !status && !access("/dev/ram0", F_OK);
}

/* A disk in memory, brd's or zram's: whichever the host has built in, or else brd's module */
static const char *ramdisk(void)
{
	char size[32];

	snprintf(size, sizeof(size), "%lu", SWAP_SIZE);
	if (!access("/dev/ram0", F_OK))
		return "/dev/ram0";
	if (host_write("/sys/block/zram0/disksize", size))
		return "/dev/zram0";
	return load_ramdisk() ? "/dev/ram0" : NULL;
}

bool host_swap(void)
{
	const char *disk;

	if (host_read_field("/proc/meminfo", "SwapTotal:") > 0)
		return true;
	disk = ramdisk();
	return disk && make_swap(disk, SWAP_SIZE) && !swapon(disk, 0);
}

unsigned long host_page_out(u8 *mem, size_t size)
{
	unsigned int i;

	for (i = 0; i < 10 && host_resident(mem, size); i++)
		if (madvise(mem, size, MADV_PAGEOUT))
			fail("MADV_PAGEOUT: %s", strerror(errno));
	return host_resident(mem, size);
}

/* ---- a guest that runs meanwhile ---- */

static void *run_through(void *arg)
{
	struct host_runner *runner = arg;
	struct thv_run *run = runner->vcpu->run;

	do {
		int err = vcpu_run(runner->vcpu);

		if (err)
			fail("THV_RUN: %s", strerror(-err));
		if (run->exit != THV_EXIT_MEMORY_FAULT)
			break;
		runner->faults++;
	} while (!runner->limit || runner->faults <= runner->limit);
	if (run->exit != THV_EXIT_IO || run->io.port != PORT_DONE) {
		exit_print(runner->vcpu);
		fail("expected the guest to return");
	}
	return NULL;
}

void host_run(struct host_runner *runner)
{
	if (pthread_create(&runner->thread, NULL, run_through, runner))
		fail("pthread_create: %s", strerror(errno));
}

u64 host_join(struct host_runner *runner)
{
	pthread_join(runner->thread, NULL);
	return runner->vcpu->run->regs.gpr[THV_RAX];
}

bool host_wait(const volatile u64 *word, u64 value)
{
	u64 end = now_us() + 4000000ull * test_patience();

	while (*word < value) {
		if (now_us() > end)
			return false;
		usleep(1000);	/* less is for ever, to an emulator: others would not get to run */
	}
	return true;
}

/* ---- chance ---- */

u64 host_random(void)
{
	static u64 state = 0x9e3779b97f4a7c15ULL;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}
