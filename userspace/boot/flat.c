// SPDX-License-Identifier: GPL-2.0-only
/*
 * Flat images for real mode: a boot sector, or any code that wants to be where one is. There is no
 * BIOS behind it (--firmware brings one): each interrupt vector points to an IRET, so that a
 * call of the BIOS does nothing instead of running wild.
 */
#include <string.h>

#include "boot/boot.h"
#include "lib/error.h"

#define SECTOR		512
#define VECTORS		256
#define IRET		0xcf
#define IRET_SEGMENT	0xf000U		/* the one with the reset vector: resetvector.c */
#define IRET_OFFSET	0xffe0

/* Only what is one beyond doubt; a longer image has to be called one */
static bool flat_probe(const struct boot_image *image)
{
	return image->kernel.size == SECTOR && image->head[510] == 0x55 && image->head[511] == 0xaa;
}

/* CS:IP is 0:ADDRESS, or where that does not reach, ADDRESS/16:0 */
static int flat_open(struct boot_image *image)
{
	u64 address = image->files.address ? image->files.address : BOOT_FLAT;

	if (address > 0xffff && address % 16)
		return error_set("--load-address %#llx: above 0xffff it must be a multiple of 16",
				 address);
	image->entry = address;
	return boot_add(image, &(struct boot_piece){ &image->kernel, 0, image->kernel.size, address,
						     image->kernel.size });
}

static int flat_load(const struct boot_image *image, const struct memory *memory, u64 rsdp)
{
	u32 *vectors = memory_at(memory, 0, VECTORS * sizeof(*vectors));
	u8 *iret = memory_at(memory, (IRET_SEGMENT << 4) + IRET_OFFSET, 1);
	u32 i;

	(void)image;
	(void)rsdp;
	if (!vectors || !iret)
		return error_set("the guest's memory is too small");
	*iret = IRET;
	for (i = 0; i < VECTORS; i++)
		vectors[i] = IRET_SEGMENT << 16 | IRET_OFFSET;
	return 0;
}

static int flat_start(const struct boot_image *image, int vcpu)
{
	if (image->entry <= 0xffff)
		return boot_start_real(vcpu, 0, image->entry);
	return boot_start_real(vcpu, image->entry / 16, 0);
}

const struct boot_loader boot_flat = {
	.name = "flat",
	.what = "a flat real-mode image",
	.takes = BOOT_TAKES_ADDRESS,
	.real_mode = true,
	.probe = flat_probe,
	.open = flat_open,
	.load = flat_load,
	.start = flat_start,
};
