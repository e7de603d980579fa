// SPDX-License-Identifier: GPL-2.0-only
/*
 * For rows of two CPUs: this thread stays on the first; a vCPU, in a thread of its own, on the second. And how long
 * what this one does takes to reach that vCPU's interrupt handler.
 */
#include <sched.h>
#include <x86intrin.h>
#include "bench.h"

#define COMPARISONS	20000

void stay_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	MUST(sched_setaffinity(0, sizeof(set), &set));
}

/* ---- a vCPU in a thread of its own ---- */

static u64 *word(struct thread *thread, u64 gpa)
{
	return at(thread->guest->memory, gpa);
}

static void *run(void *opaque)
{
	struct thread *thread = opaque;

	stay_on(1);
	vcpu_call(thread->vcpu, thread->function, thread->count, thread->value);
	__atomic_store_n(&thread->ended, true, __ATOMIC_RELEASE);
	return NULL;
}

void thread_start(struct thread *thread)
{
	stay_on(0);
	*word(thread, STOP) = 0;
	thread->ended = false;
	if (pthread_create(&thread->pthread, NULL, run, thread))
		fail("no thread");
}

static void wait_ticks(u64 ticks)
{
	u64 until = __rdtsc() + ticks;

	while (__rdtsc() < until)
		;
}

/* Interrupted until it sees that it has to end: it may be halted */
void thread_stop(struct thread *thread)
{
	__atomic_store_n(word(thread, STOP), 1, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&thread->ended, __ATOMIC_ACQUIRE)) {
		vm_msi(thread->guest->vm, thread->id);
		wait_ticks(PAUSE);
	}
	pthread_join(thread->pthread, NULL);
}

/* ---- interrupts from this thread ---- */

/*
 * What the guest's counter is ahead of ours. It publishes its own, again and again; what we read is old, the less
 * the better.
 */
static u64 ahead(struct thread *thread)
{
	u64 function = thread->function, published, largest = 0;
	int i;

	thread->function = guest_publish;
	*word(thread, PUBLISHED) = 0;
	thread_start(thread);
	while (!__atomic_load_n(word(thread, PUBLISHED), __ATOMIC_ACQUIRE))
		;
	for (i = 0; i < COMPARISONS; i++) {
		published = __atomic_load_n(word(thread, PUBLISHED), __ATOMIC_ACQUIRE) - __rdtsc();
		if (!i || (__s64)(published - largest) > 0)
			largest = published;
	}
	thread_stop(thread);
	thread->function = function;
	return largest;
}

static u64 interrupt(struct thread *target, void (*send)(void *opaque), void *opaque)
{
	u64 *handled = word(target, HANDLED), sent;

	*handled = 0;
	wait_ticks(PAUSE);
	sent = __rdtsc();
	send(opaque);
	while (!__atomic_load_n(handled, __ATOMIC_ACQUIRE))
		;
	return *handled - sent;
}

double from_outside(struct guest *guest, u64 function, void (*send)(void *opaque), void *opaque)
{
	struct thread target = { .guest = guest, .vcpu = guest->vcpu, .id = 0, .function = function };
	u64 samples[INTERRUPTS], offset = ahead(&target);
	int i;

	thread_start(&target);
	for (i = 0; i < INTERRUPTS; i++)
		samples[i] = interrupt(&target, send, opaque) - offset;
	thread_stop(&target);
	return middle(samples, INTERRUPTS);
}
