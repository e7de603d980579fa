// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rows of interrupts that come from elsewhere: from another vCPU, or from another thread of the host. Two CPUs: this
 * thread stays on the first, that of the vCPU which is interrupted on the second.
 */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>
#include <x86intrin.h>
#include "bench.h"

#define COMPARISONS	20000
#define INTERRUPTS	51
#define PAUSE		30000	/* ticks between them: long enough for a vCPU to halt, and the host to be done */

static void stay_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	MUST(sched_setaffinity(0, sizeof(set), &set));
}

/* ---- a vCPU in a thread of its own ---- */

struct thread {
	pthread_t pthread;
	struct guest *guest;
	struct vcpu *vcpu;
	u32 id;
	u64 function;
	bool ended;
};

static u64 *word(struct thread *thread, u64 gpa)
{
	return at(thread->guest->memory, gpa);
}

static void *run(void *opaque)
{
	struct thread *thread = opaque;

	stay_on(1);
	vcpu_call(thread->vcpu, thread->function, 0, 0);
	__atomic_store_n(&thread->ended, true, __ATOMIC_RELEASE);
	return NULL;
}

static void start(struct thread *thread)
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
static void stop(struct thread *thread)
{
	__atomic_store_n(word(thread, STOP), 1, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&thread->ended, __ATOMIC_ACQUIRE)) {
		vm_msi(thread->guest->vm, thread->id);
		wait_ticks(PAUSE);
	}
	pthread_join(thread->pthread, NULL);
}

/* ---- from another vCPU ---- */

static double ipi(struct guest *guest, u64 function)
{
	struct thread target = { .guest = guest, .vcpu = vcpu_create(guest->vm, 1), .id = 1, .function = function };
	u64 *samples;

	vcpu_call(target.vcpu, guest_prepare_apic, 0, 0);
	start(&target);
	samples = sample(guest, guest_ipi, INTERRUPTS, PAUSE);
	qsort(samples, INTERRUPTS, sizeof(samples[0]), compare_u64);
	stop(&target);
	vcpu_close(target.vcpu);
	return samples[INTERRUPTS / 2];
}

/* ---- from another thread ---- */

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
	start(thread);
	while (!__atomic_load_n(word(thread, PUBLISHED), __ATOMIC_ACQUIRE))
		;
	for (i = 0; i < COMPARISONS; i++) {
		published = __atomic_load_n(word(thread, PUBLISHED), __ATOMIC_ACQUIRE) - __rdtsc();
		if (!i || (__s64)(published - largest) > 0)
			largest = published;
	}
	stop(thread);
	thread->function = function;
	return largest;
}

static u64 interrupt(struct thread *target)
{
	u64 *handled = word(target, HANDLED), sent;

	*handled = 0;
	wait_ticks(PAUSE);
	sent = __rdtsc();
	vm_msi(target->guest->vm, target->id);
	while (!__atomic_load_n(handled, __ATOMIC_ACQUIRE))
		;
	return *handled - sent;
}

static double msi(struct guest *guest, u64 function)
{
	struct thread target = { .guest = guest, .vcpu = guest->vcpu, .id = 0, .function = function };
	u64 samples[INTERRUPTS], offset = ahead(&target);
	int i;

	start(&target);
	for (i = 0; i < INTERRUPTS; i++)
		samples[i] = interrupt(&target) - offset;
	stop(&target);
	qsort(samples, INTERRUPTS, sizeof(samples[0]), compare_u64);
	return samples[INTERRUPTS / 2];
}

const struct row processors[] = {
	{ "ipi_running", "IPI to a vCPU that runs, to its handler", ipi, guest_spin },
	{ "ipi_halted", "IPI to a vCPU that is halted, to its handler", ipi, guest_halt },
	{ "msi_running", "interrupt from another thread to the handler", msi, guest_spin },
	{ "msi_halted", "... of a vCPU that is halted", msi, guest_halt },
	{}
};
