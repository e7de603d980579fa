// SPDX-License-Identifier: GPL-2.0-only
/* The guest that is measured: its memory and tables, and the samples its payload takes. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "bench.h"

#define EXITS	501		/* samples of taking none */
#define WARM_UP	20		/* samples before those that count */

asm(".pushsection .rodata\n"
    "payload: .incbin \"guest.bin\"\n"
    "payload_end: .popsection");
extern const u8 payload[], payload_end[];

u64 most_samples = MAX_SAMPLES;

/* ---- memory ---- */

void *at(void *memory, u64 gpa)
{
	return (u8 *)memory + gpa;
}

/* One address space: 4 GiB, each address to itself, but for a table of 4-KiB pages at SMALL */
static void build_paging(void *memory, u64 where)
{
	u64 *pml4 = at(memory, where), *pdpt = at(memory, where + PAGE), *pd = at(memory, where + 2 * PAGE);
	u64 *pt = at(memory, where + 6 * PAGE);
	u64 i;

	pml4[0] = (where + PAGE) | 3;
	for (i = 0; i < 4; i++)
		pdpt[i] = (where + (2 + i) * PAGE) | 3;
	for (i = 0; i < 4 * 512; i++)
		pd[i] = i << 21 | 0x83;
	pd[SMALL >> 21] = (where + 6 * PAGE) | 3;
	for (i = 0; i < 512; i++)
		pt[i] = (FRAMES + i % 256 * PAGE) | 3;
}

void build_guest_tables(void *memory)
{
	u64 *gdt = at(memory, GDT), *gate = at(memory, IDT + VECTOR * 16);

	build_paging(memory, PML4);
	gdt[CS64 / 8] = 0x00af9b000000ffff;
	gdt[DS / 8] = 0x00cf93000000ffff;
	gate[0] = (guest_handler & 0xffff) | CS64 << 16 | 0x8eULL << 40 | guest_handler >> 16 << 48;
	*(u64 *)at(memory, STACK) = guest_done;
	*(u64 *)at(memory, STACK + STACK_NEXT) = guest_done;
}

void *pages(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		fail("no memory");
	MUST(madvise(memory, size, MADV_NOHUGEPAGE));
	return memory;
}

static void fill(void *memory)
{
	build_guest_tables(memory);
	memcpy(at(memory, CODE), payload, payload_end - payload);
}

static void *guest_memory(void)
{
	void *memory = pages(MEMORY);

	memset(memory, 0, MEMORY);
	fill(memory);
	build_paging(memory, OTHER_PML4);
	return memory;
}

/* ---- a guest ---- */

struct guest guest_create(u32 flags)
{
	struct guest guest = { .flags = flags, .memory = guest_memory() };

	guest.vm = vm_create(guest.memory, MEMORY, flags);
	guest.vcpu = vcpu_create(guest.vm, 0);
	vcpu_call(guest.vcpu, guest_prepare_apic, 0, 0);
	return guest;
}

void start_least(void)
{
	void *memory = pages(MEMORY);

	fill(memory);
	vcpu_call(vcpu_create(vm_create(memory, MEMORY, 0), 0), guest_done, 0, 0);
	MUST(write(STDOUT_FILENO, "", 1));
}

void guest_close(struct guest *guest)
{
	vcpu_close(guest->vcpu);
	vm_close(guest->vm);
	munmap(guest->memory, MEMORY);
	if (guest->fresh)
		munmap(guest->fresh, guest->fresh_size);
}

void give_fresh(struct guest *guest, void *memory, size_t size)
{
	guest->fresh = memory;
	guest->fresh_size = size;
	vm_set_memory(guest->vm, FRESH, memory, size, false);
}

/* ---- samples ---- */

static u64 at_most(u64 count)
{
	return count < most_samples ? count : most_samples;
}

u64 *sample(struct guest *guest, u64 function, u64 count, u64 value)
{
	vcpu_call(guest->vcpu, function, count, value);
	return at(guest->memory, SAMPLES);
}

static int compare_u64(const void *a, const void *b)
{
	const u64 *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

double middle(u64 *samples, u64 count)
{
	qsort(samples, count, sizeof(samples[0]), compare_u64);
	return samples[count / 2];
}

double median(struct guest *guest, u64 function, u64 count)
{
	count = at_most(count);
	sample(guest, function, at_most(WARM_UP), 0);
	return middle(sample(guest, function, count, 0), count);
}

double mean(struct guest *guest, u64 function, u64 count)
{
	u64 *samples = sample(guest, function, at_most(count), FRESH);
	double sum = 0;
	u64 i;

	for (i = 0; i < at_most(count); i++)
		sum += samples[i];
	return sum / at_most(count);
}

double overhead(struct guest *guest)
{
	static double ticks;

	if (!ticks)
		ticks = median(guest, guest_nothing, EXITS);
	return ticks;
}
