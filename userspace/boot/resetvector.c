// SPDX-License-Identifier: GPL-2.0-only
/*
 * The little that is left of a BIOS: what a guest finds at the reset vector. Linux
 * jumps there to reboot if the machine is hardware-reduced, was not started by EFI,
 * and was not told reboot=a (arch/x86/kernel/reboot.c: reboot_init()). Our BIOS does
 * what the FADT says, too, and writes to the reset register.
 *
 * (A processor without unrestricted guest does not come this far: it has no real
 * mode for guests. There, reboot=a is the way.)
 */
#include <string.h>

#include "boot/boot.h"
#include "lib/error.h"

int reset_vector_build(const struct memory *memory)
{
	static const u8 code[] = {
		0xb0, ACPI_RESET_VALUE,				/* mov al, VALUE */
		0xba, ACPI_RESET & 0xff, ACPI_RESET >> 8,	/* mov dx, RESET */
		0xee,						/* out dx, al */
		0xf4,						/* hlt */
		0xeb, 0xfd,					/* jmp to the hlt */
	};
	u8 *vector = memory_at(memory, BOOT_RESET_VECTOR, BOOT_HIGH - BOOT_RESET_VECTOR);

	if (!vector)
		return error_set("the guest's memory is too small");
	memcpy(vector, code, sizeof(code));
	return 0;
}
