// SPDX-License-Identifier: GPL-2.0-only
/* Rows that take longer, on one CPU: large pages, changing between guests, and what it takes to have one. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <x86intrin.h>
#include "bench.h"

#define LARGE		0x200000UL
#define LARGE_PAGES	8
#define SWITCHES	501
#define LIVES		9	/* VMs made, one after another */
#define IDLE		80	/* VMs that are there at a time ... */
#define FIRST		16	/* ... without those that the kernel has kept memory at hand for */

/* ---- memory ---- */

/* The host gives pages of 2 MiB, and clears them */
static double touch_2m(struct guest *guest, u64 function)
{
	size_t size = (LARGE_PAGES + 1) * LARGE;
	u8 *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	u8 *aligned = (u8 *)(((uintptr_t)memory + LARGE - 1) & -LARGE);

	if (memory == MAP_FAILED)
		fail("no memory");
	MUST(madvise(aligned, LARGE_PAGES * LARGE, MADV_HUGEPAGE));
	give_fresh(guest, aligned, LARGE_PAGES * LARGE);
	return mean(guest, function, LARGE_PAGES) - overhead(guest);
}

/* ---- two guests in one thread ---- */

/* One after the other: half of what a round takes */
static double turns(struct vcpu *one, struct vcpu *other)
{
	u64 samples[SWITCHES], start;
	int i;

	for (i = 0; i < SWITCHES; i++) {
		start = __rdtsc();
		vcpu_run(one, PORT_YIELD);
		vcpu_run(other, PORT_YIELD);
		samples[i] = __rdtsc() - start;
	}
	return middle(samples, SWITCHES) / 2;
}

static double same_vcpu(struct guest *guest, u64 function)
{
	vcpu_start(guest->vcpu, function, 0, 0);
	return turns(guest->vcpu, guest->vcpu);
}

static double other_vcpu(struct guest *guest, u64 function)
{
	struct guest other = guest_create(0);
	double ticks;

	vcpu_start(guest->vcpu, function, 0, 0);
	vcpu_start(other.vcpu, function, 0, 0);
	ticks = turns(guest->vcpu, other.vcpu);
	guest_close(&other);
	return ticks;
}

/* ---- coming and going ---- */

enum life { VM_CREATED, VCPU_CREATED, ENDED, LIFE };

/* Its vCPU has run before it goes */
static void live(void *memory, u64 ticks[LIFE])
{
	u64 start = __rdtsc(), ran;
	struct vm *vm = vm_create(memory, MEMORY, 0);
	struct vcpu *vcpu;

	ticks[VM_CREATED] = __rdtsc() - start;
	start = __rdtsc();
	vcpu = vcpu_create(vm, 0);
	ticks[VCPU_CREATED] = __rdtsc() - start;
	vcpu_call(vcpu, guest_prepare_apic, 0, 0);
	ran = __rdtsc();
	vcpu_close(vcpu);
	vm_close(vm);
	ticks[ENDED] = __rdtsc() - ran;
}

static double life(struct guest *guest, enum life part)
{
	u64 samples[LIVES], ticks[LIFE];
	int i;

	for (i = 0; i < LIVES; i++) {
		live(guest->memory, ticks);
		samples[i] = ticks[part];
	}
	return middle(samples, LIVES);
}

static double vm_created(struct guest *guest, u64 function)
{
	return life(guest, VM_CREATED);
}

static double vcpu_created(struct guest *guest, u64 function)
{
	return life(guest, VCPU_CREATED);
}

static double ended(struct guest *guest, u64 function)
{
	return life(guest, ENDED);
}

/* ---- being there ---- */

static double free_kib(void)
{
	FILE *file = fopen("/proc/meminfo", "r");
	unsigned long kib = 0;
	char line[100];

	while (file && fgets(line, sizeof(line), file) && sscanf(line, "MemFree: %lu", &kib) != 1)
		;
	if (!kib)
		fail("/proc/meminfo does not say how much memory is free");
	fclose(file);
	return kib;
}

/* The guest's memory is there already, and theirs all together: what is taken is the kernel's own */
static double idle_memory(struct guest *guest, u64 function)
{
	struct vm *vm[IDLE];
	struct vcpu *vcpu[IDLE];
	double before = 0, taken;
	int i;

	for (i = 0; i < IDLE; i++) {
		if (i == FIRST)
			before = free_kib();
		vm[i] = vm_create(guest->memory, MEMORY, 0);
		vcpu[i] = vcpu_create(vm[i], 0);
		vcpu_call(vcpu[i], guest_prepare_apic, 0, 0);
	}
	taken = before - free_kib();
	for (i = 0; i < IDLE; i++) {
		vcpu_close(vcpu[i]);
		vm_close(vm[i]);
	}
	return taken / (IDLE - FIRST);
}

const struct row machines[] = {
	{ "touch_2m", "first touch of a 2M page, which the host clears", touch_2m, guest_touch_2m },
	{ "same_vcpu", "port write to user space, the same vCPU run on", same_vcpu, guest_yield },
	{ "other_vcpu", "... another VM's run on, in the same thread", other_vcpu, guest_yield },
	{ "vm_created", "VM created, with its memory", vm_created, 0 },
	{ "vcpu_created", "vCPU created, with its registers", vcpu_created, 0 },
	{ "ended", "vCPU and VM destroyed", ended, 0 },
	{ "idle_memory", "kernel memory of an idle VM with a vCPU (KiB)", idle_memory, 0 },
	{}
};
