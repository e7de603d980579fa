/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A session with gdb: what its packets ask for, and the answers. Bytes come in, and
 * bytes go out through the reply; what has to be done to the machine is done by
 * the target's operations, so the same session runs on a made-up machine in a test.
 *
 * All-stop: either no vCPU runs and packets are answered, or some do (running) and
 * the only thing that is understood is an interrupt. A thread of gdb's is a vCPU,
 * with its id plus 1.
 */
#ifndef THV_GDB_SESSION_H
#define THV_GDB_SESSION_H

#include <stdio.h>

#include "gdb/breakpoints.h"
#include "gdb/packet.h"
#include "gdb/registers.h"
#include "lib/types.h"

#define GDB_VCPUS	THV_MAX_VCPUS

enum gdb_action { GDB_STAY, GDB_CONTINUE, GDB_STEP };

/**
 * struct gdb_target - the machine; no vCPU runs when these are called, but for interrupt.
 * @vcpus: how many.
 * @get, @set: all registers of a vCPU. @set gets what it was, too. 0, or -1: impossible.
 * @read: memory by guest-linear address in that vCPU's address space; how many bytes, which
 *	is less than wanted at the end of what is mapped.
 * @write: likewise; true: all of it.
 * @insert, @remove: a breakpoint.
 * @resume: let vCPUs run, each as told.
 * @interrupt: stop them. When they have, gdb_stopped() is to be called.
 * @detach: breakpoints are forgotten, everything runs on.
 * @kill: the machine ends.
 * @describe: what `info threads` shows of a vCPU.
 * @monitor: `monitor COMMAND`: the text to show. Unknown: false.
 */
struct gdb_target {
	u32 vcpus;
	int (*get)(void *opaque, u32 vcpu, struct gdb_registers *registers);
	int (*set)(void *opaque, u32 vcpu, const struct gdb_registers *old,
		   const struct gdb_registers *new);
	size_t (*read)(void *opaque, u32 vcpu, u64 gla, void *data, size_t length);
	bool (*write)(void *opaque, u32 vcpu, u64 gla, const void *data, size_t length);
	enum gdb_inserted (*insert)(void *opaque, u32 vcpu, enum gdb_breakpoint kind, u64 gla,
				    u64 length);
	void (*remove)(void *opaque, enum gdb_breakpoint kind, u64 gla, u64 length);
	void (*resume)(void *opaque, const enum gdb_action actions[GDB_VCPUS]);
	void (*interrupt)(void *opaque);
	void (*detach)(void *opaque);
	void (*kill)(void *opaque);
	void (*describe)(void *opaque, u32 vcpu, char *text, size_t size);
	bool (*monitor)(void *opaque, u32 vcpu, const char *command, FILE *file);
};

/* Why vCPUs have stopped */
struct gdb_stop {
	u32 vcpu;
	u32 signal;			/* in gdb's numbers, GDB_SIGNAL_* */
	enum gdb_stop_cause { GDB_NO_CAUSE, GDB_AT_SOFTWARE, GDB_AT_HARDWARE } cause;
	struct gdb_hardware hit;	/* for GDB_AT_HARDWARE */
};

#define GDB_SIGNAL_INT	2
#define GDB_SIGNAL_TRAP	5
#define GDB_SIGNAL_ABRT	6
#define GDB_SIGNAL_SEGV	11

struct gdb_session {
	const struct gdb_target *target;
	void *opaque;
	struct gdb_packet in;
	struct gdb_reply reply;
	struct gdb_stop stop;		/* the last */
	enum gdb_mode mode;		/* what gdb was told it is */
	char *description;
	bool running;
	bool over;			/* it has detached, or killed */
	bool no_acks, agreed;		/* agreed: as of the next packet */
	bool tells_swbreak, tells_hwbreak;
	u32 vcpu;			/* that registers and memory are looked at through */
	u32 resumed;			/* ... and that `c` and `s` mean; GDB_VCPUS: all */
	u32 listed;			/* threads told so far */
};

/* Everything is stopped. 0, or -1: no memory. */
int gdb_session_begin(struct gdb_session *session, const struct gdb_target *target, void *opaque,
		      const struct gdb_stop *stop);
void gdb_session_end(struct gdb_session *session);

/*
 * Take bytes up to the first one that makes an answer, and that answer in @out (GDB_OUT
 * bytes) with its length in *@out_length. Returns how many bytes were taken.
 */
#define GDB_OUT	(sizeof(((struct gdb_reply *)0)->data) + 1)
size_t gdb_session_take(struct gdb_session *session, const u8 *bytes, size_t length, u8 *out,
			size_t *out_length);

/* While running: it has stopped, or ended; @out as above. Text is shown to the user before that. */
size_t gdb_session_stopped(struct gdb_session *session, const struct gdb_stop *stop, u8 *out);
size_t gdb_session_ended(struct gdb_session *session, int status, int signal, u8 *out);
size_t gdb_session_say(struct gdb_session *session, const char *text, u8 *out);

#endif
