/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files of the gdb server share; gdb.h is for everybody else. */
#ifndef THV_GDB_SERVER_H
#define THV_GDB_SERVER_H

#include <pthread.h>
#include <stdatomic.h>

#include "gdb/session.h"
#include "vmm/events.h"

struct machine;
struct vcpu;

/* Why a vCPU has stopped; set on its thread */
struct gdb_event {
	enum { GDB_NOTHING, GDB_DEBUG, GDB_FATAL } what;
	u32 vector, signal;
	u64 dr6;
};

/**
 * struct gdb - the server.
 * @listener, @client, @stopped: what the main thread waits for; fd -1: there is none.
 * @attached: there is a client; vCPUs ask.
 * @begun: ... and its session has begun.
 * @held: all vCPUs wait, so packets can be answered. The main thread's.
 * @leaving: the client goes as soon as that is so.
 * @lock: guards events[] and sentence.
 * @in, @out: bytes that have come, and that are to go.
 */
struct gdb {
	struct machine *machine;
	struct event_source listener, client, stopped;
	atomic_bool attached;
	bool begun, held, leaving;
	pthread_mutex_t lock;
	struct gdb_event events[GDB_VCPUS];
	char sentence[512];
	struct gdb_breakpoints breakpoints;
	struct gdb_target target;
	struct gdb_session session;
	u8 in[4096], out[2 * GDB_OUT];
	size_t in_length, in_taken, out_length, out_sent;
};

/* listen.c: a listening socket; -1 with the error text */
int gdb_listen(const char *where);

/* target.c: the machine as a session sees it; all but gdb_own_breakpoint() while it is held */
extern const struct gdb_target gdb_target_operations;
bool gdb_own_breakpoint(struct gdb *gdb, struct vcpu *vcpu);
void gdb_disarm(struct gdb *gdb);
/* What to tell of events[]. What is not told stays, unless it will happen again. */
void gdb_choose_stop(struct gdb *gdb, struct gdb_stop *stop);

/* monitor.c */
bool gdb_monitor(void *opaque, u32 id, const char *command, FILE *file);

#endif
