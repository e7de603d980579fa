/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The sandbox. A guest's data reach every device here, so one day some guest will make a
 * device do what it was not written for. What that is worth is decided here: once the
 * machine is built, the launcher gives up all that it does not need any more.
 *
 *   process	capabilities, new privileges, the file system, the network, other
 *		processes, being traced, cores: sandbox_close(), before there are threads
 *   thread	all system calls but those in the table of its kind (seccomp.c):
 *		sandbox_enter(), the first that each thread does (thread.c)
 *
 * A thread that calls what it may not ends the process, with a sentence that names the
 * call: SECCOMP_RET_TRAP, whose SIGSYS we take. The call is not made in any case, so
 * there is nothing that a bare kill would do better, and it would say nothing.
 *
 * So all that is opened is opened in machine_create() (or comes as a descriptor:
 * --device-fd, --serial fd:N, and /dev/fd/N as any path): later no kind of thread opens a
 * file, starts a thread or a program, or signals another process. A device that uses
 * io_uring makes its rings there too, disabled (IORING_SETUP_R_DISABLED), registers its
 * files and, by IORING_REGISTER_RESTRICTIONS, the operations it means to use, and only
 * then enables them: what a ring does passes by seccomp, and io_uring_enter() is all that
 * is left to the worker.
 */
#ifndef THV_VMM_SANDBOX_H
#define THV_VMM_SANDBOX_H

#include <stdio.h>

#include "lib/types.h"
#include "vmm/thread.h"

#define SANDBOX_FILES	4

/**
 * struct sandbox_plan - what this machine's devices need beyond the usual.
 * @kinds: of its threads, 1 << enum thread_kind, besides THREAD_MAIN. A thread of another kind cannot enter.
 * @network: some thread of kind THREAD_NETWORK makes connections: the host's network stays.
 * @files: what such a thread opens, for reading.
 */
struct sandbox_plan {
	u32 kinds;
	bool network;
	const char *files[SANDBOX_FILES];
	u32 count;
};

/*
 * While the machine is built: it has a thread of kind THREAD_NETWORK, which also reads
 * which name servers there are. 0, or -1 with the error text
 */
int sandbox_keep_network(struct sandbox_plan *plan);

/* ... and opens that, too; @path is not copied */
int sandbox_read_file(struct sandbox_plan *plan, const char *path);

/*
 * With one thread: what the process gives up. @status is the exit status of a process
 * whose thread calls what it may not. What this host does not have is left out: see
 * sandbox_offer(). 0, or -1 with the error text: it must not go on.
 */
int sandbox_close(const struct sandbox_plan *plan, int status);

/* For this thread, for good; nothing without sandbox_close(). 0, or -1 with the error text */
int sandbox_enter(enum thread_kind kind, const char *name);

struct sandbox_offer {
	bool seccomp;
	int landlock;		/* its version; 0: none */
	bool namespaces;
};

/* What there is on this host for this user; changes nothing */
void sandbox_offer(struct sandbox_offer *offer);

/* ---- the parts, for sandbox.c and its tests -------------------------------- */

struct sock_fprog;

/* seccomp.c: one row for each system call and what is left of it */
struct sandbox_call {
	int number;
	u32 kinds;		/* 1 << enum thread_kind */
	int (*allow)(void *filter, const struct sandbox_call *call, enum thread_kind kind);
				/* NULL ends the table */
};

extern const struct sandbox_call sandbox_calls[];

int seccomp_prepare(u32 kinds);			/* filters */
int seccomp_enter(enum thread_kind kind);
const char *seccomp_call_name(int number);	/* in a signal handler, too */
bool seccomp_offered(void);

/* landlock.c: 0 if there is none */
int landlock_version(void);
int landlock_close(const struct sandbox_plan *plan);

/* namespaces.c: false: not allowed here */
bool namespaces_leave(const struct sandbox_plan *plan);

#endif
