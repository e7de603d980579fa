// SPDX-License-Identifier: GPL-2.0-only
/*
 * ELF kernels by the PVH protocol, which Xen made and Linux (CONFIG_PVH) and others follow: a note
 * names a 32-bit entry, and EBX points to hvm_start_info
 * (xen/include/public/arch-x86/hvm/start_info.h): modules, command line, memory map, RSDP.
 */
#include <string.h>

#include "boot/boot.h"
#include "lib/error.h"

#define OWNER		"Xen"
#define PHYS32_ENTRY	18		/* XEN_ELFNOTE_PHYS32_ENTRY */
#define MAGIC		0x336ec578	/* "xEn3" with the highest bit of "E" set */
#define INFO_MAX	0x9f000

struct start_info {
	u32 magic, version, flags, modules;
	u64 module_list, command_line, rsdp;
	u64 memory_map;			/* from version 1 on */
	u32 regions, reserved;
};

struct start_module {
	u64 address, size, command_line, reserved;
};

struct start_region {
	u64 address, size;
	u32 type, reserved;
};

/* What follows the GDT at image->info; texts come last */
struct block {
	u8 gdt[ALIGN_UP(BOOT_GDT_BYTES, 16)];
	struct start_info info;
	struct start_module module[BOOT_MODULES];
	struct start_region region[BOOT_REGIONS];
	char text[];
};

static bool pvh_probe(const struct boot_image *image)
{
	u64 entry;

	return elf_probe(image) && elf_note(image, OWNER, PHYS32_ENTRY, &entry);
}

static bool inside_a_piece(const struct boot_image *image, u64 address)
{
	u32 i;

	for (i = 0; i < image->pieces; i++)
		if (address >= image->piece[i].address &&
		    address - image->piece[i].address < image->piece[i].room)
			return true;
	return false;
}

/* Bytes of all texts with their zeros */
static u64 texts(const struct boot_image *image)
{
	u64 bytes = strlen(boot_command_line(image)) + 1;
	u32 i;

	for (i = 0; i < image->modules; i++)
		bytes += strlen(image->module[i].text) + 1;
	return bytes;
}

static int pvh_open(struct boot_image *image)
{
	if (elf_open(image))
		return -1;
	if (!elf_note(image, OWNER, PHYS32_ENTRY, &image->entry))
		return error_set("%s: has no PVH entry (an ELF note of Xen's, type 18); a Linux kernel wants CONFIG_PVH",
				 image->kernel.path);
	if (!inside_a_piece(image, image->entry))
		return error_set("%s: damaged: its PVH entry %#llx is not in it; build it again",
				 image->kernel.path, image->entry);
	if (boot_open_modules(image) || boot_place_modules(image))
		return -1;
	image->info_size = sizeof(struct block) + texts(image);
	image->info = boot_place(image, image->info_size, 16, BOOT_GDT, INFO_MAX);
	return image->info ? 0 : error_set("%s: leaves no room below 640 KiB for what it has to be told, %llu bytes",
					   image->kernel.path, image->info_size);
}

/* Append a text; its address for the guest */
static u64 add_text(const struct boot_image *image, struct block *block, u64 *used, const char *text)
{
	u64 at = *used, size = strlen(text) + 1;

	memcpy(block->text + at, text, size);
	*used += size;
	return image->info + offsetof(struct block, text) + at;
}

static void fill_map(struct block *block, const struct memory *memory)
{
	struct boot_region map[BOOT_REGIONS];
	u32 i;

	block->info.regions = boot_memory_map(memory, map);
	for (i = 0; i < block->info.regions; i++)
		block->region[i] = (struct start_region){
			map[i].start, map[i].end - map[i].start, map[i].type, 0
		};
}

static int pvh_load(const struct boot_image *image, const struct memory *memory, u64 rsdp)
{
	struct block *block = memory_at(memory, image->info, image->info_size);
	u64 used = 0;
	u32 i;

	if (!block)
		return error_set("the guest's memory is too small");
	boot_fill_gdt(block->gdt, false);
	block->info = (struct start_info){
		.magic = MAGIC,
		.version = 1,
		.modules = image->modules,
		.module_list = image->info + offsetof(struct block, module),
		.command_line = add_text(image, block, &used, boot_command_line(image)),
		.rsdp = rsdp,
		.memory_map = image->info + offsetof(struct block, region),
	};
	for (i = 0; i < image->modules; i++)
		block->module[i] = (struct start_module){
			image->module[i].address, image->module[i].file.size,
			add_text(image, block, &used, image->module[i].text), 0
		};
	fill_map(block, memory);
	return 0;
}

static int pvh_start(const struct boot_image *image, int vcpu)
{
	const struct thv_regs regs = {
		.gpr[THV_RBX] = image->info + offsetof(struct block, info),
		.rip = image->entry,
		.rflags = 0x2,
	};

	return boot_start_protected(vcpu, image->info, &regs);
}

const struct boot_loader boot_pvh = {
	.name = "pvh",
	.what = "an ELF kernel for PVH",
	.takes = BOOT_TAKES_INITRD | BOOT_TAKES_MODULES | BOOT_TAKES_COMMAND_LINE,
	.command_line = BOOT_LINUX_COMMAND_LINE,
	.probe = pvh_probe,
	.open = pvh_open,
	.load = pvh_load,
	.start = pvh_start,
};
