// SPDX-License-Identifier: GPL-2.0-only
/*
 * Linux by its 64-bit or its 32-bit boot protocol (Documentation/arch/x86/boot.rst): the
 * kernel's real-mode code is skipped, and its entry is called with segments, boot_params and (64
 * bits) page tables as the protocol wants them.
 *
 * The file is not trusted. Of its header there is one copy, in image->head, every figure of it
 * is checked before it is used, and the rest of the file is only copied.
 */
#include <asm/bootparam.h>
#include <string.h>

#include "boot/boot.h"
#include "lib/error.h"

#define HEADER_OFFSET	0x1f1
#define HEADER_END_MAX	0x290		/* where boot_params goes on with other things */
#define MAGIC		0x53726448	/* "HdrS" */
#define PROTOCOL_2_10	0x020a		/* the first with init_size (Linux 2.6.31) */
#define PROTOCOL_2_12	0x020c		/* the first with xloadflags (Linux 3.8) */
#define LOADER_UNKNOWN	0xff
#define ENTRY_64	0x200
#define SECTOR		512

_Static_assert(offsetof(struct boot_params, hdr) == HEADER_OFFSET, "boot protocol");
_Static_assert(sizeof(struct boot_params) == PAGE_BYTES, "boot protocol");

static const struct setup_header *header(const struct boot_image *image)
{
	return (const struct setup_header *)(image->head + HEADER_OFFSET);
}

/* The header ends where its own jump instruction goes (boot.rst, "Details of header fields") */
static size_t header_bytes(const struct boot_image *image)
{
	size_t end = 0x202 + image->head[0x201];

	return (end < HEADER_END_MAX ? end : HEADER_END_MAX) - HEADER_OFFSET;
}

/* ---- checking ----------------------------------------------------------- */

static int damaged(const struct boot_image *image, const char *what)
{
	return error_set("%s: damaged: %s; fetch the kernel again", image->kernel.path, what);
}

/* Its marks; everything else is for linux_open() to say */
static bool linux_probe(const struct boot_image *image)
{
	return image->head_bytes >= HEADER_END_MAX && header(image)->boot_flag == 0xaa55 &&
	       header(image)->header == MAGIC;
}

static int check_kind(struct boot_image *image)
{
	const struct setup_header *hdr = header(image);
	const char *path = image->kernel.path;

	if (image->head_bytes < HEADER_END_MAX)
		return error_set("%s: too short for a Linux kernel", path);
	if (!linux_probe(image))
		return error_set("%s: not a Linux kernel (bzImage); use the file that a distribution calls vmlinuz",
				 path);
	if (hdr->version < PROTOCOL_2_10)
		return error_set("%s: older than Linux 2.6.31, and does not say how much memory it needs; use a newer one",
				 path);
	if (!(hdr->loadflags & LOADED_HIGH))
		return error_set("%s: a zImage; use a bzImage", path);
	if (header_bytes(image) < offsetof(struct setup_header, handover_offset))
		return damaged(image, "its header is too short for its version");
	image->wide = hdr->version >= PROTOCOL_2_12 && hdr->xloadflags & XLF_KERNEL_64;
	return 0;
}

/* The payload: what follows the real-mode code */
static int check_payload(const struct boot_image *image, struct boot_piece *payload)
{
	const struct setup_header *hdr = header(image);
	u64 sectors = hdr->setup_sects ? hdr->setup_sects : 4;

	*payload = (struct boot_piece){
		.file = &image->kernel,
		.offset = (sectors + 1) * SECTOR,
		.size = hdr->syssize * 16ULL,
		.room = hdr->init_size,
	};
	if (payload->size <= ENTRY_64)
		return damaged(image, "it says it has no code");
	if (image->kernel.size < payload->offset ||
	    image->kernel.size - payload->offset < payload->size)
		return error_set("%s: truncated: it should have %llu bytes and has %llu; fetch the kernel again",
				 image->kernel.path, payload->offset + payload->size,
				 image->kernel.size);
	if ((u64)hdr->payload_offset + hdr->payload_length > payload->size)
		return damaged(image, "its compressed part lies beyond its end");
	if (payload->room < payload->size)
		return damaged(image, "it says it needs less memory than it has bytes");
	return 0;
}

static int check_addresses(const struct boot_image *image)
{
	const struct setup_header *hdr = header(image);
	u32 alignment = hdr->kernel_alignment;

	if (alignment < PAGE_BYTES || alignment > SIZE_4G / 4 || alignment & (alignment - 1))
		return damaged(image, "its alignment is impossible");
	if (hdr->pref_address < BOOT_HIGH || hdr->pref_address >= SIZE_4G ||
	    hdr->pref_address % alignment)
		return damaged(image, "its preferred address is impossible");
	return 0;
}

static bool fits(u64 address, u64 size, const struct memory *plan)
{
	return address <= plan->low && size <= plan->low - address;
}

/* Where it prefers to be; else, if it does not mind, as low as it goes */
static int place_kernel(struct boot_image *image, struct boot_piece *payload)
{
	const struct setup_header *hdr = header(image);
	u64 lowest = ALIGN_UP((u64)BOOT_HIGH, hdr->kernel_alignment);

	payload->address = hdr->pref_address;
	if (!fits(payload->address, payload->room, &image->plan) && hdr->relocatable_kernel)
		payload->address = lowest;
	if (!fits(payload->address, payload->room, &image->plan))
		return error_set("%s: needs %llu MiB of memory to start; give it more with --mem",
				 image->kernel.path,
				 (payload->address + payload->room + SIZE_1M - 1) / SIZE_1M);
	image->load_address = payload->address;
	image->init_size = payload->room;
	image->entry = image->load_address + (image->wide ? ENTRY_64 : 0);
	return boot_add(image, payload);
}

/* As high as possible: the kernel decompresses itself below */
static int place_initrd(struct boot_image *image)
{
	u64 top = image->plan.low, limit = header(image)->initrd_addr_max + 1ULL;
	u64 bottom = image->load_address + image->init_size, size = image->initrd.size;

	if (top > limit)
		top = limit;
	if (top < bottom || size > top - bottom || ALIGN_DOWN(top - size, PAGE_BYTES) < bottom)
		return error_set("%s: %llu MiB do not fit beside the kernel; give the guest more with --mem (%llu MiB would do)",
				 image->initrd.path, size / SIZE_1M + 1,
				 (bottom + size) / SIZE_1M + 2);
	return boot_add(image, &(struct boot_piece){ &image->initrd, 0, size,
						     ALIGN_DOWN(top - size, PAGE_BYTES), size });
}

static int check_command_line(const struct boot_image *image)
{
	size_t length = strlen(boot_command_line(image));
	u32 limit = header(image)->cmdline_size;

	if (limit > BOOT_RAM_END - BOOT_COMMAND_LINE - 1)
		limit = BOOT_RAM_END - BOOT_COMMAND_LINE - 1;
	if (length > limit)
		return error_set("--append: %zu characters; this kernel takes %u", length, limit);
	return 0;
}

static int open_initrd(struct boot_image *image)
{
	if (!image->files.initrd)
		return 0;
	if (boot_open_file(&image->initrd, image->files.initrd))
		return -1;
	if (image->initrd.size > image->plan.size)
		return error_set("%s: %llu MiB, more than the guest's memory; give it more with --mem",
				 image->initrd.path, image->initrd.size / SIZE_1M + 1);
	return place_initrd(image);
}

static int linux_open(struct boot_image *image)
{
	struct boot_piece payload;

	if (check_kind(image) || check_payload(image, &payload) || check_addresses(image) ||
	    check_command_line(image) || place_kernel(image, &payload))
		return -1;
	return open_initrd(image);
}

/* ---- loading ------------------------------------------------------------ */

static void fill_e820(struct boot_params *params, const struct memory *memory)
{
	struct boot_region map[BOOT_REGIONS];
	u32 i, count = boot_memory_map(memory, map);

	for (i = 0; i < count; i++)
		params->e820_table[i] = (struct boot_e820_entry){
			map[i].start, map[i].end - map[i].start, map[i].type
		};
	params->e820_entries = count;
}

static void fill_params(struct boot_params *params, const struct boot_image *image,
			const struct memory *memory, u64 rsdp)
{
	memset(params, 0, sizeof(*params));
	memcpy((u8 *)params + HEADER_OFFSET, image->head + HEADER_OFFSET, header_bytes(image));
	params->hdr.type_of_loader = LOADER_UNKNOWN;
	params->hdr.code32_start = image->load_address;
	params->hdr.cmd_line_ptr = BOOT_COMMAND_LINE;
	if (image->files.initrd) {
		params->hdr.ramdisk_image = image->piece[1].address;
		params->hdr.ramdisk_size = image->piece[1].size;
	}
	params->hdr.setup_data = 0;
	params->acpi_rsdp_addr = rsdp;
	fill_e820(params, memory);
}

static int linux_load(const struct boot_image *image, const struct memory *memory, u64 rsdp)
{
	const char *text = boot_command_line(image);
	u8 *low = memory_at(memory, 0, BOOT_HIGH);

	if (!low)
		return error_set("the guest's memory is too small");
	boot_fill_gdt(low + BOOT_GDT, image->wide);
	boot_fill_page_tables((u64 *)(low + BOOT_PAGE_TABLES), BOOT_PAGE_TABLES);
	fill_params((struct boot_params *)(low + BOOT_PARAMS), image, memory, rsdp);
	memcpy(low + BOOT_COMMAND_LINE, text, strlen(text) + 1);
	return 0;
}

static int linux_start(const struct boot_image *image, int vcpu)
{
	const struct thv_regs regs = {
		.gpr[THV_RSI] = BOOT_PARAMS,
		.rip = image->entry,
		.rflags = 0x2,
	};

	if (image->wide)
		return boot_start_long(vcpu, BOOT_GDT, BOOT_PAGE_TABLES, &regs);
	return boot_start_protected(vcpu, BOOT_GDT, &regs);
}

const struct boot_loader boot_linux = {
	.name = "linux",
	.what = "a Linux kernel (bzImage)",
	.takes = BOOT_TAKES_INITRD | BOOT_TAKES_COMMAND_LINE,
	.command_line = BOOT_LINUX_COMMAND_LINE,
	.probe = linux_probe,
	.open = linux_open,
	.load = linux_load,
	.start = linux_start,
};
