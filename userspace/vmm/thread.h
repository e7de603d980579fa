/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The launcher's threads, all started here: each is of a kind, and what a kind may ask
 * of the kernel is decided in one place. A thread is told what to do while the machine
 * is built, but starts with the vCPUs, in machine_run(): much of what a process gives
 * up it can give up for its later threads only, or not at all once it has several.
 *
 * So a device that wants a thread of its own
 *   - makes what the thread needs in create(): its events loop (events.h), files,
 *     sockets, rings; the thread itself can open nothing;
 *   - calls thread_start() there;
 *   - has a machine_at_end() that stops the loop (events_stop()) and then calls
 *     thread_join(), which is right even if the thread never came to start.
 */
#ifndef THV_VMM_THREAD_H
#define THV_VMM_THREAD_H

#include <pthread.h>
#include <stdatomic.h>

#include "lib/types.h"

struct machine;

enum thread_kind {
	THREAD_MAIN,		/* the one that events_run() of machine->events runs on */
	THREAD_VCPU,
	THREAD_DEVICE,		/* queues, files, rings: on descriptors that it has already */
	THREAD_NETWORK,		/* ... and makes connections of its own (--net user) */
	THREAD_KINDS
};

struct thread {
	struct machine *machine;
	enum thread_kind kind;
	char name[16];			/* for ps and for messages */
	void (*run)(void *opaque);
	void *opaque;
	int cpu;			/* of the host, the only one it runs on; -1: any */
	pthread_t id;
	atomic_bool started;
	struct thread *next;		/* noted after this one */
};

/**
 * thread_start() - have run(opaque) run on a thread of its own, once the machine runs.
 * @machine: being built; not yet in machine_run().
 * @thread: the caller's; it stays where it is until thread_join().
 * @kind: what it may do.
 * @name: up to 15 characters; more are cut off.
 */
void thread_start(struct machine *machine, struct thread *thread, enum thread_kind kind,
		  const char *name, void (*run)(void *opaque), void *opaque);

/* Wait for its end, if it has begun; whoever calls has told it to end */
void thread_join(struct thread *thread);

/* machine_run(): begin those noted; 0, or -1 with the error text: some may run then */
int threads_begin(struct machine *machine);

#endif
