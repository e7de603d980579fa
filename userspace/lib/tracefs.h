/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An instance of the kernel's tracing for ourselves, /sys/kernel/tracing/instances/thv-PID: a ring
 * buffer and switches of its own, so that nobody else's tracing is touched, or sees ours.
 */
#ifndef THV_LIB_TRACEFS_H
#define THV_LIB_TRACEFS_H

#include "lib/types.h"

struct tracefs {
	char path[64];		/* of the instance; empty: there is none */
	int pipe;		/* trace_pipe, not blocking; -1: not open */
};

/*
 * All: 0, or -1 with the error text. tracefs_create() mounts tracefs where it is not mounted and we
 * may, and says so on standard error; it also removes instances of processes that were killed.
 */
int tracefs_create(struct tracefs *tracefs);
int tracefs_write(const struct tracefs *tracefs, const char *file, const char *text);
/*
 * Switch on the module's events that @word means: the one of that name without "thv_", and those
 * whose names go on with "_" behind it.
 */
int tracefs_enable(const struct tracefs *tracefs, const char *word);
int tracefs_open_pipe(struct tracefs *tracefs);
u64 tracefs_lost(const struct tracefs *tracefs);	/* events that found no room */
void tracefs_destroy(struct tracefs *tracefs);	/* also of a half-made one, and twice */

#endif
