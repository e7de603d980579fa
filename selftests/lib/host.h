/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the host does to memory, for tests of guests that live in it: mappings of every kind,
 * what the host's tables say of an address, swap, cgroups, and a thread that runs a guest meanwhile.
 *
 * As in vm.h: what must work ends the test with a sentence if it does not. What a host may lack
 * answers false, for REQUIRE().
 */
#ifndef THV_SELFTEST_HOST_H
#define THV_SELFTEST_HOST_H

#include <pthread.h>
#include "vm.h"

#define HUGE		(2UL << 20)

/* ---- mappings ---- */

u8 *host_map_at(void *at, size_t size, int prot, int flags, int fd, off_t offset);
u8 *host_map(size_t size);		/* private, anonymous */
u8 *host_map_aligned(size_t size);	/* ... at a multiple of 2 MiB */
int host_memfd(size_t size);

/* Read or write a word of a file (a memfd that the guest has, say) */
u64 host_pread(int fd, off_t offset);
void host_pwrite(int fd, off_t offset, u64 value);

static inline u64 *host_word(u8 *mem, unsigned long page)
{
	return (u64 *)(mem + page * PAGE);
}

/* ---- what the host knows of an address: /proc/self/pagemap ---- */

#define HOST_PRESENT	BIT(63)
#define HOST_SWAPPED	BIT(62)

u64 host_pagemap(const void *at);
u64 host_pfn(const void *at);		/* 0: it is not present */
unsigned long host_resident(const void *mem, size_t size);	/* pages that are present */
unsigned long host_swapped(const void *mem, size_t size);	/* ... that are in swap */
bool host_is_huge(const void *at);	/* mapped by a huge page: /proc/self/smaps */

/* ---- the host's knobs ---- */

bool host_write(const char *path, const char *text);
long host_read(const char *path);		/* a number; -1: it cannot be read */
long host_read_field(const char *path, const char *field);	/* "FIELD NUMBER"; -1: no such line */

/*
 * This process enters a memory cgroup of its own, that may use @limit bytes, and leaves it (and it ends).
 * false: there is no memory controller.
 */
#define HOST_CGROUP	"/sys/fs/cgroup/thv-selftest"
bool host_enter_cgroup(size_t limit);
void host_leave_cgroup(void);

bool host_huge_on_advice(void);			/* transparent huge pages where madvise() asks for them */

/* Swap: what there is, or a RAM disk; it stays for the host's life. */
bool host_swap(void);

/*
 * Have all of it swapped out. The host asks of each page whether it has been used, and keeps it if so; so
 * it takes more than one call. What is left in the end: pages.
 */
unsigned long host_page_out(u8 *mem, size_t size);

/* Merging by KSM, as fast as it goes; off again (and all apart) with false */
bool host_ksm(bool on);
bool host_ksm_pause(void);
long host_ksm_shared(void);

/* ---- a guest that runs meanwhile ---- */

/*
 * A thread that runs a guest until it returns. A MEMORY_FAULT is counted and tried again: the memory is
 * being changed.
 */
struct host_runner {
	struct vcpu *vcpu;
	u64 faults;
	u64 limit;		/* of those, before it is a failure; 0: none */
	pthread_t thread;
};

void host_run(struct host_runner *runner);
u64 host_join(struct host_runner *runner);	/* what the guest returned */

/* Wait until @word is at least @value; false: it is not within some seconds */
bool host_wait(const volatile u64 *word, u64 value);

/* ---- chance, the same in each run ---- */

u64 host_random(void);

#endif
