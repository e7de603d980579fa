/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a machine finds in its memory when it starts: a kernel and what belongs
 * to it (bzimage.c), firmware (acpi.c, firmware.c). Loading is in three steps, so
 * that whatever is wrong with the input is said before there is a VM:
 * linux_open() reads and checks, linux_load() fills guest memory, linux_start()
 * sets vCPU 0 to the kernel's entry.
 *
 * Guest-physical memory below 1 MiB, all in use only until the kernel has
 * started (but for the tables):
 */
#ifndef THV_BOOT_BOOT_H
#define THV_BOOT_BOOT_H

#include "lib/types.h"
#include "vmm/memory.h"

#define BOOT_GDT		0x1000
#define BOOT_PARAMS		0x7000
#define BOOT_PAGE_TABLES	0x9000	/* PML4, PDPT, then one page directory per GiB */
#define BOOT_MAPPED_GIB		4
#define BOOT_COMMAND_LINE	0x20000
#define BOOT_RAM_END		0x9fc00	/* of low memory; the BIOS's data area follows */
#define BOOT_ACPI		0xe0000
#define BOOT_RESET_VECTOR	0xffff0
#define BOOT_HIGH		0x100000

#define BOOT_SETUP_BYTES	4096	/* of a bzImage: holds all of the header */

struct linux_files {
	const char *kernel;
	const char *initrd;		/* NULL: none */
	const char *command_line;
};

/* Opened and checked: where everything will be. All figures are believed from here on. */
struct linux_image {
	struct linux_files files;
	int kernel_fd, initrd_fd;
	u8 setup[BOOT_SETUP_BYTES];	/* the only copy of the header that is looked at */
	u64 payload_offset, payload_size;
	u64 load_address;		/* of the payload; its 64-bit entry is 0x200 further */
	u64 init_size;			/* what the kernel uses from there while it starts */
	u64 initrd_address, initrd_size;
};

int linux_open(struct linux_image *image, const struct linux_files *files,
	       const struct memory *plan);
int linux_load(const struct linux_image *image, const struct memory *memory, u64 rsdp);
int linux_start(const struct linux_image *image, int vcpu);
void linux_close(struct linux_image *image);

/* The code at the reset vector; 0, or -1 with the error text */
int firmware_build(const struct memory *memory);

struct acpi_options {
	u32 cpus;
	const u8 *dsdt;			/* AML, a whole table each */
	const u8 *ssdt;			/* NULL: none */
};

/* Writes them to guest memory; returns the RSDP's address, or 0 with the error text */
u64 acpi_build(const struct memory *memory, const struct acpi_options *options);

/* The AML that iasl made of dsdt.asl and com2.asl (aml.c) */
extern const u8 acpi_dsdt[], acpi_com2[];

/* I/O ports that tables and devices agree on */
#define ACPI_SLEEP_CONTROL	0x600
#define ACPI_SLEEP_STATUS	0x601
#define ACPI_RESET		0x602
#define ACPI_RESET_VALUE	0x01
#define ACPI_S5			5	/* SLP_TYP, as in dsdt.asl */
#define CMOS_CENTURY		0x32
#define IOAPIC_ADDRESS		0xfec00000
#define IOAPIC_PINS		24

#endif
