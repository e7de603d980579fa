// SPDX-License-Identifier: GPL-2.0-only
/*
 * The rows of the exit path: one vCPU, on one CPU. A row of exits is the median of its samples, since the host's own
 * interrupts fall into few of them; where the work is uneven by nature (pages), it is their mean.
 */
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include "bench.h"

#define EXITS	501		/* samples of an exit */
#define TIMERS	51
#define PAGES	(FRESH_SIZE / PAGE)

static double instruction(struct guest *guest, u64 function)
{
	return median(guest, function, EXITS) - overhead(guest);
}

/* ---- doorbells ---- */

static int bell(void)
{
	return MUST(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
}

static double doorbell_port(struct guest *guest, u64 function)
{
	vm_doorbell_port(guest->vm, PORT_DOORBELL, bell());
	return instruction(guest, function);
}

static double doorbell_mmio(struct guest *guest, u64 function)
{
	vm_doorbell_mmio(guest->vm, HOLE_DOORBELL, bell());
	return instruction(guest, function);
}

/* ---- interrupts: these functions take the time themselves ---- */

static double interrupt(struct guest *guest, u64 function)
{
	return median(guest, function, EXITS);
}

/* As on processors that do not virtualize the APIC */
static double interrupt_in_software(struct guest *guest, u64 function)
{
	guest_close(guest);
	*guest = guest_create(VM_NO_APICV);
	return interrupt(guest, function);
}

static double timer_arm(struct guest *guest, u64 function)
{
	double ticks = instruction(guest, function);

	vcpu_call(guest->vcpu, guest_timer_disarm, 0, 0);
	return ticks;
}

static double timer_late(struct guest *guest, u64 function)
{
	return median(guest, function, TIMERS);
}

/* ---- memory ---- */

/* The second level's entry, and the host's page */
static double touch(struct guest *guest, u64 function)
{
	give_fresh(guest, pages(FRESH_SIZE), FRESH_SIZE);
	return mean(guest, function, PAGES) - overhead(guest);
}

/* The second level forgets the pages, the host keeps them */
static void take_back(struct guest *guest)
{
	MUST(mprotect(guest->fresh, FRESH_SIZE, PROT_NONE));
	MUST(mprotect(guest->fresh, FRESH_SIZE, PROT_READ | PROT_WRITE));
	memset(guest->fresh, 1, FRESH_SIZE);
}

#define ROUNDS	9

/*
 * The host has the page already: the second level's entry alone. The mean is of few instructions, to which
 * each tick of the host's adds thousands: hence the least of some rounds.
 */
static double touch_there(struct guest *guest, u64 function)
{
	double least = 0;
	unsigned int i;

	give_fresh(guest, pages(FRESH_SIZE), FRESH_SIZE);
	for (i = 0; i < ROUNDS; i++) {
		double ticks;

		take_back(guest);
		ticks = mean(guest, function, PAGES) - overhead(guest);
		if (!i || ticks < least)
			least = ticks;
	}
	return least;
}

/* Pages that have been written, and told of, written again */
static double dirty(struct guest *guest, u64 function)
{
	u8 bitmap[PAGES / 8];

	give_fresh(guest, pages(FRESH_SIZE), FRESH_SIZE);
	vm_set_memory(guest->vm, FRESH, guest->fresh, FRESH_SIZE, true);
	sample(guest, function, PAGES, FRESH);
	vm_get_dirty(guest->vm, bitmap, sizeof(bitmap));
	return mean(guest, function, PAGES) - overhead(guest);
}

const struct row exit_path[] = {
	{ "cpuid", "CPUID", instruction, guest_cpuid },
	{ "hypercall", "hypercall (VMCALL)", instruction, guest_hypercall },
	{ "msr_read", "MSR read (PAT)", instruction, guest_msr_read },
	{ "msr_write", "MSR write (PAT)", instruction, guest_msr_write },
	{ "cr0_wp", "CR0.WP toggled", instruction, guest_cr0_wp },
	{ "cr4_pge", "CR4.PGE toggled", instruction, guest_cr4_pge },
	{ "port_write", "port write, to user space and back", instruction, guest_port_write },
	{ "port_read", "port read, to user space and back", instruction, guest_port_read },
	{ "mmio_write", "MMIO write, decoded, to user space and back", instruction, guest_mmio_write },
	{ "mmio_read", "MMIO read, decoded, to user space and back", instruction, guest_mmio_read },
	{ "doorbell_port", "doorbell: port write to an eventfd", doorbell_port, guest_doorbell_port },
	{ "doorbell_mmio", "doorbell: MMIO write to an eventfd", doorbell_mmio, guest_doorbell_mmio },
	{ "self_ipi", "self-IPI to its handler", interrupt, guest_self_ipi },
	{ "eoi", "EOI", interrupt, guest_eoi },
	{ "self_ipi_soft", "self-IPI to its handler, no APIC virtualization", interrupt_in_software, guest_self_ipi },
	{ "eoi_soft", "EOI, no APIC virtualization", interrupt_in_software, guest_eoi },
	{ "timer_arm", "TSC-deadline timer armed", timer_arm, guest_timer_arm },
	{ "timer_late", "TSC-deadline timer, deadline to handler", timer_late, guest_timer_late },
	{ "touch_4k", "first touch of a 4K page", touch, guest_touch },
	{ "touch_4k_there", "... of one that the host has already", touch_there, guest_touch },
	{ "dirty_4k", "write to a 4K page under dirty logging", dirty, guest_touch },
	{}
};
