// SPDX-License-Identifier: GPL-2.0-only
/*
 * Multiboot 1 (GNU, "Multiboot Specification version 0.6.96"), which GRUB made and many teaching
 * kernels follow: a header in the first 8 KiB, an ELF file or load addresses in that header,
 * and a 32-bit entry with EBX at the information.
 *
 * A header's wish for a video mode is not heard: there is no screen.
 */
#include <string.h>

#include "boot/boot.h"
#include "lib/error.h"

#define HEADER_MAGIC	0x1badb002
#define LOADER_MAGIC	0x2badb002
#define ALIGNMENT	4

/* The header's flags; those in the lower half are demands */
#define WANTS_PAGES	(1U << 0)	/* modules on pages: always done */
#define WANTS_MEMORY	(1U << 1)	/* mem_lower, mem_upper, the map: always there */
#define WANTS_VIDEO	(1U << 2)
#define WANTS_KNOWN	(WANTS_PAGES | WANTS_MEMORY | WANTS_VIDEO)
#define WANTS_ADDRESSES	(1U << 16)	/* header_address and so on: the "a.out kludge" */
#define DEMANDS		0xffffU

struct header {
	u32 magic, flags, checksum;
	u32 header_address, load_address, load_end, bss_end, entry;
};

#define HEADER_SHORT	offsetof(struct header, header_address)

/* The information's flags */
#define HAS_MEMORY	(1U << 0)
#define HAS_COMMAND	(1U << 2)
#define HAS_MODULES	(1U << 3)
#define HAS_MAP		(1U << 6)
#define HAS_NAME	(1U << 9)

struct information {
	u32 flags;
	u32 memory_lower, memory_upper;	/* KiB */
	u32 boot_device;
	u32 command_line;
	u32 modules, module_list;
	u32 symbols[4];
	u32 map_bytes, map;
	u32 drives[2], config_table;
	u32 loader_name;
	u32 apm_table;
};

struct information_module {
	u32 start, end, text, reserved;
};

struct information_region {
	u32 size;			/* of what follows */
	u64 start, length;
	u32 type;
} __attribute__((packed));

_Static_assert(offsetof(struct information, loader_name) == 64, "specification, 3.3");
_Static_assert(sizeof(struct information_region) == 24, "specification, 3.3");

/* What is at image->info; texts come last */
struct block {
	u8 gdt[ALIGN_UP(BOOT_GDT_BYTES, 16)];
	struct information info;
	struct information_module module[BOOT_MODULES];
	struct information_region region[BOOT_REGIONS];
	char text[];
};

static const char loader_name[] = "thv";

/* ---- the header ---------------------------------------------------------- */

/* Where it is in image->head, or -1 */
static int find_header(const struct boot_image *image, struct header *header)
{
	u32 at, bytes;

	for (at = 0; at + HEADER_SHORT <= image->head_bytes; at += ALIGNMENT) {
		memset(header, 0, sizeof(*header));
		memcpy(header, image->head + at, HEADER_SHORT);
		if (header->magic != HEADER_MAGIC ||
		    header->magic + header->flags + header->checksum)
			continue;
		bytes = header->flags & WANTS_ADDRESSES ? sizeof(*header) : HEADER_SHORT;
		if (at + bytes > image->head_bytes)
			continue;
		memcpy(header, image->head + at, bytes);
		return at;
	}
	return -1;
}

static bool multiboot_probe(const struct boot_image *image)
{
	struct header header;

	return find_header(image, &header) >= 0;
}

static int damaged(const struct boot_image *image, const char *what)
{
	return error_set("%s: damaged: its multiboot header %s; build it again",
			 image->kernel.path, what);
}

/*
 * The file goes to load_address, from as far before the header as that is below it; load_end 0 is
 * the end of the file, bss_end 0 says that there is no BSS.
 */
static int open_by_addresses(struct boot_image *image, const struct header *header, u32 at)
{
	u32 before = header->header_address - header->load_address;
	struct boot_piece piece = { .file = &image->kernel, .address = header->load_address };

	if (header->header_address < header->load_address || before > at)
		return damaged(image, "is to be loaded where it is not");
	piece.offset = at - before;
	piece.size = image->kernel.size - piece.offset;
	if (header->load_end) {
		if (header->load_end <= header->load_address)
			return damaged(image, "says that it ends before it begins");
		piece.size = header->load_end - header->load_address;
	}
	piece.room = piece.size;
	if (header->bss_end) {
		if (header->bss_end < piece.address + piece.size)
			return damaged(image, "says that the BSS ends before the data do");
		piece.room = header->bss_end - header->load_address;
	}
	image->entry = header->entry;
	return boot_add(image, &piece);
}

/* ---- opening ------------------------------------------------------------- */

/* The name of the kernel comes first in its command line, as with GRUB: see boot/boot.h for modules */
static u64 command_line_bytes(const struct boot_image *image)
{
	const char *text = boot_command_line(image);

	return strlen(image->kernel.path) + 1 + strlen(text) + 1;
}

static u64 texts(const struct boot_image *image)
{
	u64 bytes = command_line_bytes(image) + sizeof(loader_name);
	u32 i;

	for (i = 0; i < image->modules; i++)
		bytes += strlen(image->module[i].text) + 1;
	return bytes;
}

static bool entry_is_loaded(const struct boot_image *image)
{
	u32 i;

	for (i = 0; i < image->pieces; i++)
		if (image->entry >= image->piece[i].address &&
		    image->entry - image->piece[i].address < image->piece[i].room)
			return true;
	return false;
}

static int open_kernel(struct boot_image *image)
{
	struct header header;
	int at = find_header(image, &header);

	if (at < 0)
		return error_set("%s: has no multiboot header in its first 8 KiB; multiboot 2 alone is not enough",
				 image->kernel.path);
	if (header.flags & DEMANDS & ~WANTS_KNOWN)
		return error_set("%s: its multiboot header demands what thv does not know (flags %#x)",
				 image->kernel.path, header.flags);
	if (header.flags & WANTS_ADDRESSES)
		return open_by_addresses(image, &header, at);
	return elf_open(image);
}

static int multiboot_open(struct boot_image *image)
{
	if (open_kernel(image))
		return -1;
	if (!entry_is_loaded(image))
		return error_set("%s: damaged: its entry %#llx is not in it; build it again",
				 image->kernel.path, image->entry);
	if (boot_open_modules(image) || boot_place_modules(image))
		return -1;
	image->info_size = sizeof(struct block) + texts(image);
	image->info = boot_place(image, image->info_size, 16, BOOT_GDT, BOOT_RAM_END);
	return image->info ? 0 : error_set("%s: leaves no room below 640 KiB for what it has to be told, %llu bytes",
					   image->kernel.path, image->info_size);
}

/* ---- loading ------------------------------------------------------------- */

/* Append a text; its address for the guest */
static u32 add_text(const struct boot_image *image, struct block *block, u64 *used, const char *text)
{
	u64 at = *used, size = strlen(text) + 1;

	memcpy(block->text + at, text, size);
	*used += size;
	return image->info + offsetof(struct block, text) + at;
}

static u32 add_command_line(const struct boot_image *image, struct block *block, u64 *used)
{
	u32 address = add_text(image, block, used, image->kernel.path);

	if (*boot_command_line(image)) {
		block->text[*used - 1] = ' ';
		add_text(image, block, used, boot_command_line(image));
	}
	return address;
}

static void fill_map(const struct boot_image *image, struct block *block,
		     const struct memory *memory)
{
	struct boot_region map[BOOT_REGIONS];
	u32 i, count = boot_memory_map(memory, map);

	for (i = 0; i < count; i++)
		block->region[i] = (struct information_region){
			sizeof(block->region[i]) - sizeof(u32), map[i].start,
			map[i].end - map[i].start, map[i].type
		};
	block->info.map = image->info + offsetof(struct block, region);
	block->info.map_bytes = count * sizeof(block->region[0]);
}

static void fill_modules(const struct boot_image *image, struct block *block, u64 *used)
{
	const struct boot_module *module = image->module;
	u32 i;

	for (i = 0; i < image->modules; i++, module++)
		block->module[i] = (struct information_module){
			module->address, module->address + module->file.size,
			add_text(image, block, used, module->text), 0
		};
	block->info.modules = image->modules;
	block->info.module_list = image->info + offsetof(struct block, module);
}

static int multiboot_load(const struct boot_image *image, const struct memory *memory, u64 rsdp)
{
	struct block *block = memory_at(memory, image->info, image->info_size);
	u64 used = 0;

	(void)rsdp;	/* such a kernel looks for it where a BIOS has it: there it is */
	if (!block)
		return error_set("the guest's memory is too small");
	boot_fill_gdt(block->gdt, false);
	block->info = (struct information){
		.flags = HAS_MEMORY | HAS_COMMAND | HAS_MODULES | HAS_MAP | HAS_NAME,
		.memory_lower = BOOT_RAM_END >> 10,
		.memory_upper = (memory->low - BOOT_HIGH) >> 10,
		.command_line = add_command_line(image, block, &used),
		.loader_name = add_text(image, block, &used, loader_name),
	};
	fill_modules(image, block, &used);
	fill_map(image, block, memory);
	return 0;
}

static int multiboot_start(const struct boot_image *image, int vcpu)
{
	const struct thv_regs regs = {
		.gpr[THV_RAX] = LOADER_MAGIC,
		.gpr[THV_RBX] = image->info + offsetof(struct block, info),
		.rip = image->entry,
		.rflags = 0x2,
	};

	return boot_start_protected(vcpu, image->info, &regs);
}

const struct boot_loader boot_multiboot = {
	.name = "multiboot",
	.what = "a multiboot kernel",
	.takes = BOOT_TAKES_MODULES | BOOT_TAKES_COMMAND_LINE,
	.probe = multiboot_probe,
	.open = multiboot_open,
	.load = multiboot_load,
	.start = multiboot_start,
};
