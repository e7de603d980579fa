/* SPDX-License-Identifier: GPL-2.0-only */
/* Where things are in the guest: for the payload and for the host's side */
#ifndef BENCH_LAYOUT_H
#define BENCH_LAYOUT_H

#define GDT		0x1000
#define IDT		0x2000
#define PML4		0x3000		/* PDPT, four PDs and the PT of SMALL behind it */
#define PT		(PML4 + 0x6000)
#define HANDLED		0xb000		/* when an interrupt was last handled, by whichever vCPU */
#define STOP		0xb008		/* not 0: functions without an end return */
#define PUBLISHED	0xb010		/* the guest's time-stamp counter */
#define CODE		0x10000
#define STACK		0x2fff8		/* the word there is where functions return to */
#define STACK_NEXT	-0x8000		/* ... and from vCPU to vCPU */
#define SAMPLES		0x30000
#define MAX_SAMPLES	8192
#define BUFFER		0x40000		/* of a device's requests */
#define OTHER_PML4	0x100000	/* an address space like the first */
#define FRAMES		0x200000	/* of SMALL */
#define MEMORY		0x400000	/* slot 0 */

#define SMALL		0x80000000	/* 2 MiB in pages of 4 KiB, for both address spaces */
#define FRESH		0x40000000	/* slot 1: pages that the guest has not yet seen */
#define FRESH_SIZE	0x400000
#define APIC		0xfee00000
#define HOLE		0xd0000000	/* no memory */
#define HOLE_DOORBELL	0xd0001000	/* ... where an eventfd is rung */

#define PORT_DONE	0xf0
#define PORT_USER	0x80
#define PORT_YIELD	0x88
#define PORT_MARK	0x89		/* of the Linux guest: so far it has come */
#define PORT_DOORBELL	0x90

#define VECTOR		0x40		/* of every interrupt */

#define CS64		0x08
#define DS		0x10
#define TR		0x18

#endif
