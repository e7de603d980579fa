/* SPDX-License-Identifier: GPL-2.0-only */
/* The way of a guest-linear address, found by the launcher itself; see translate.c. */
#ifndef _VMM_TRANSLATE_H
#define _VMM_TRANSLATE_H

#include <stdbool.h>
#include <thv.h>

/**
 * struct translate_memory - the guest's memory, for a walk.
 * @phys_bits: MAXPHYADDR as the guest is told: thv_info.guest_phys_bits.
 * @read: an entry of @size (4 or 8) bytes at @gpa, which is a multiple of it; other than 0: there
 *	is no memory.
 * @opaque: for it.
 */
struct translate_memory {
	__u32 phys_bits;
	int (*read)(void *opaque, __u64 gpa, __u64 *entry, unsigned int size);
	void *opaque;
};

/**
 * struct translate_last - the last way that was found, of one vCPU; all zero: none yet.
 * @context: the mode it was found in.
 * @ac: RFLAGS.AC.
 * @gla: the address.
 * @gpa: where it led.
 * @access: what for.
 * @levels: entries of @level in use.
 * @level: those that it was found by.
 */
struct translate_last {
	struct thv_exit_context context;
	__u64 ac;
	__u64 gla;
	__u64 gpa;
	__u32 access;
	__u32 levels;
	struct {
		__u64 address;
		__u64 entry;
	} level[5];
};

/**
 * translate_here() - guest-linear to guest-physical, for the vCPU whose exit this is.
 * @run: its context and RFLAGS are looked at; for exits that have a context.
 * @memory: where the guest's tables are.
 * @last: the vCPU's; kept for the next call.
 * @gla: the address.
 * @access: THV_ACCESS_*, as for THV_TRANSLATE.
 * @gpa: out.
 *
 * Any thread, for its own vCPU.
 *
 * Return: false: ask the module. The access faults, or something remains to be done in the tables.
 */
bool translate_here(const struct thv_run *run, const struct translate_memory *memory,
		    struct translate_last *last, __u64 gla, __u32 access, __u64 *gpa);

#endif
