// SPDX-License-Identifier: GPL-2.0-only
/* Threads: noted while the machine is built, begun together. */
#include "vmm/thread.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>

#include "lib/error.h"
#include "vmm/machine.h"
#include "vmm/sandbox.h"

void thread_start(struct machine *machine, struct thread *thread, enum thread_kind kind,
		  const char *name, void (*run)(void *opaque), void *opaque)
{
	struct thread **end = &machine->threads;

	while (*end)
		end = &(*end)->next;
	*thread = (struct thread){
		.machine = machine, .kind = kind, .run = run, .opaque = opaque, .cpu = -1,
	};
	snprintf(thread->name, sizeof(thread->name), "%s", name);
	*end = thread;
	machine->sandbox.kinds |= 1u << kind;
}

/* The CPU was there when the option was read; one that has gone since is not worth an end */
static void pin(int cpu)
{
	cpu_set_t set;

	if (cpu < 0)
		return;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

static void *begin(void *opaque)
{
	struct thread *thread = opaque;

	pthread_setname_np(pthread_self(), thread->name);
	pin(thread->cpu);
	if (sandbox_enter(thread->kind, thread->name))
		machine_end(thread->machine, END_ERROR, "%s", error_text());
	else
		thread->run(thread->opaque);
	return NULL;
}

int threads_begin(struct machine *machine)
{
	struct thread *thread;

	for (thread = machine->threads; thread; thread = thread->next) {
		errno = pthread_create(&thread->id, NULL, begin, thread);
		if (errno)
			return error_errno("starting the thread %s", thread->name);
		thread->started = true;
	}
	return 0;
}

void thread_join(struct thread *thread)
{
	if (thread->started)
		pthread_join(thread->id, NULL);
	thread->started = false;
}
