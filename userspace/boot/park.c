// SPDX-License-Identifier: GPL-2.0-only
/*
 * Other processors where INIT and SIPI cannot start them, because SIPI leads to real mode,
 * which needs unrestricted guest: ACPI's multiprocessor wake-up (ACPI 6.4, 5.2.12.19). Here
 * firmware has its processors wait, in 64-bit mode with interrupts off and with page tables
 * that map what is as it is, until the operating system writes a command, an APIC id and an
 * address to a mailbox; the processor meant answers by zeroing the command, and goes there.
 *
 * All that the waiting needs is in memory that the memory map reserves, so it holds for as long as
 * the guest runs, which may never call for some of them. They wait in a port whose reads take their
 * time (device/park.c), and so use next to nothing of the host.
 */
#include <string.h>

#include "boot/boot.h"
#include "lib/device.h"
#include "lib/error.h"

#define PARK_CODE	(BOOT_PARK + PAGE_BYTES)	/* after the mailbox, which has a page */
#define PARK_GDT	(PARK_CODE + 0x100)
#define PARK_TABLES	(BOOT_PARK + 2 * PAGE_BYTES)
#define PARK_END	(PARK_TABLES + BOOT_TABLES_BYTES)

_Static_assert(PARK_END <= BOOT_RESET_VECTOR, "the memory that is reserved");

/* RBX: the mailbox; RDI: our APIC id */
static const u8 code[] = {
	0x66, 0xba, ACPI_PARK & 0xff, ACPI_PARK >> 8,	/* wait:	mov dx, ACPI_PARK */
	0xec,						/*		in al, dx */
	0x66, 0x83, 0x3b, 0x01,				/*		cmp word [rbx], 1: wake up */
	0x75, 0xf5,					/*		jne wait */
	0x39, 0x7b, 0x04,				/*		cmp [rbx + 4], edi: whom? */
	0x75, 0xf0,					/*		jne wait */
	0x48, 0x8b, 0x43, 0x08,				/*		mov rax, [rbx + 8]: to where */
	0x66, 0xc7, 0x03, 0x00, 0x00,			/*		mov word [rbx], 0: here I am */
	0xff, 0xe0,					/*		jmp rax */
};

int park_build(const struct memory *memory)
{
	u8 *mailbox = memory_at(memory, BOOT_PARK, PARK_END - BOOT_PARK);

	if (!mailbox)
		return error_set("the guest's memory is too small");
	memset(mailbox, 0, PAGE_BYTES);
	memcpy(mailbox + (PARK_CODE - BOOT_PARK), code, sizeof(code));
	boot_fill_gdt(mailbox + (PARK_GDT - BOOT_PARK), true);
	boot_fill_page_tables((u64 *)(mailbox + (PARK_TABLES - BOOT_PARK)), PARK_TABLES);
	return 0;
}

/* No longer waiting for a SIPI: it runs, and waits for the mailbox */
int park_start(int vcpu, u32 apic_id)
{
	const struct thv_regs regs = {
		.gpr[THV_RBX] = BOOT_PARK, .gpr[THV_RDI] = apic_id, .rip = PARK_CODE, .rflags = 0x2,
	};
	struct thv_event_state events;

	if (boot_start_long(vcpu, PARK_GDT, PARK_TABLES, &regs) ||
	    vcpu_get(vcpu, THV_STATE_EVENTS, &events, sizeof(events)) < 0)
		return -1;
	events.mp_state = THV_MP_RUNNING;
	return vcpu_set(vcpu, THV_STATE_EVENTS, &events, sizeof(events)) < 0 ? -1 : 0;
}
