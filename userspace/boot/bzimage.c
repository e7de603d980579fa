// SPDX-License-Identifier: GPL-2.0-only
/*
 * Linux by its 64-bit boot protocol (Documentation/arch/x86/boot.rst): the
 * kernel's real-mode code is skipped, and its 64-bit entry is called with page
 * tables, segments and boot_params as the protocol wants them.
 *
 * The file is not trusted. Its header is read once, into linux_image.setup, every
 * figure of it is checked before it is used, and the rest of the file is only
 * copied.
 */
#include <asm/bootparam.h>
#include <asm/processor-flags.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "boot/boot.h"
#include "lib/device.h"
#include "lib/error.h"

#define HEADER_OFFSET	0x1f1
#define HEADER_END_MAX	0x290		/* where boot_params goes on with other things */
#define MAGIC		0x53726448	/* "HdrS" */
#define PROTOCOL_2_12	0x020c		/* the first with xloadflags (Linux 3.8) */
#define LOADER_UNKNOWN	0xff
#define ENTRY_64	0x200
#define SECTOR		512

_Static_assert(offsetof(struct boot_params, hdr) == HEADER_OFFSET, "boot protocol");
_Static_assert(sizeof(struct boot_params) == PAGE_BYTES, "boot protocol");

static const struct setup_header *header(const struct linux_image *image)
{
	return (const struct setup_header *)(image->setup + HEADER_OFFSET);
}

/* The header ends where its own jump instruction goes (boot.rst, "Details of header fields") */
static size_t header_bytes(const struct linux_image *image)
{
	size_t end = 0x202 + image->setup[0x201];

	return (end < HEADER_END_MAX ? end : HEADER_END_MAX) - HEADER_OFFSET;
}

/* ---- opening ------------------------------------------------------------ */

/* Regular files only: a pipe has no size to check, and others never end */
static int open_file(const char *path, u64 *size)
{
	struct stat status;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0)
		return error_errno("%s", path);
	if (fstat(fd, &status)) {
		error_errno("%s", path);
	} else if (!S_ISREG(status.st_mode)) {
		error_set("%s: not a regular file; copy it to one", path);
	} else {
		*size = status.st_size;
		return fd;
	}
	close(fd);
	return -1;
}

/* ---- checking ----------------------------------------------------------- */

static int damaged(const struct linux_image *image, const char *what)
{
	return error_set("%s: damaged: %s; fetch the kernel again", image->files.kernel, what);
}

static int check_kind(const struct linux_image *image)
{
	const struct setup_header *hdr = header(image);
	const char *path = image->files.kernel;

	if (hdr->boot_flag != 0xaa55 || hdr->header != MAGIC)
		return error_set("%s: not a Linux kernel (bzImage); use the file that a distribution calls vmlinuz",
				 path);
	if (hdr->version < PROTOCOL_2_12 || !(hdr->xloadflags & XLF_KERNEL_64))
		return error_set("%s: has no 64-bit entry; use a 64-bit kernel, Linux 3.8 or newer",
				 path);
	if (!(hdr->loadflags & LOADED_HIGH))
		return error_set("%s: a zImage; use a bzImage", path);
	if (header_bytes(image) < offsetof(struct setup_header, handover_offset))
		return damaged(image, "its header is too short for its version");
	return 0;
}

static int check_payload(struct linux_image *image, u64 size)
{
	const struct setup_header *hdr = header(image);
	u64 sectors = hdr->setup_sects ? hdr->setup_sects : 4;

	image->payload_offset = (sectors + 1) * SECTOR;
	image->payload_size = hdr->syssize * 16ULL;
	if (image->payload_size <= ENTRY_64)
		return damaged(image, "it says it has no code");
	if (size < image->payload_offset || size - image->payload_offset < image->payload_size)
		return error_set("%s: truncated: it should have %llu bytes and has %llu; fetch the kernel again",
				 image->files.kernel,
				 image->payload_offset + image->payload_size, size);
	if ((u64)hdr->payload_offset + hdr->payload_length > image->payload_size)
		return damaged(image, "its compressed part lies beyond its end");
	return 0;
}

static int check_addresses(const struct linux_image *image)
{
	const struct setup_header *hdr = header(image);
	u32 alignment = hdr->kernel_alignment;

	if (alignment < PAGE_BYTES || alignment > SIZE_4G / 4 || alignment & (alignment - 1))
		return damaged(image, "its alignment is impossible");
	if (hdr->pref_address < BOOT_HIGH || hdr->pref_address >= SIZE_4G ||
	    hdr->pref_address % alignment)
		return damaged(image, "its preferred address is impossible");
	if (hdr->init_size < image->payload_size)
		return damaged(image, "it says it needs less memory than it has bytes");
	return 0;
}

static bool fits(u64 address, u64 size, const struct memory *plan)
{
	return address <= plan->low && size <= plan->low - address;
}

/* Where it prefers to be; else, if it does not mind, as low as it goes */
static int place_kernel(struct linux_image *image, const struct memory *plan)
{
	const struct setup_header *hdr = header(image);
	u64 lowest = ALIGN_UP((u64)BOOT_HIGH, hdr->kernel_alignment);

	image->init_size = hdr->init_size;
	image->load_address = hdr->pref_address;
	if (fits(image->load_address, image->init_size, plan))
		return 0;
	image->load_address = lowest;
	if (hdr->relocatable_kernel && fits(lowest, image->init_size, plan))
		return 0;
	return error_set("%s: needs %llu MiB of memory to start; give it more with --mem",
			 image->files.kernel,
			 ((hdr->relocatable_kernel ? lowest : hdr->pref_address) +
			  image->init_size + SIZE_1M - 1) / SIZE_1M);
}

/* As high as possible: the kernel decompresses itself below */
static int place_initrd(struct linux_image *image, const struct memory *plan)
{
	u64 top = plan->low, limit = header(image)->initrd_addr_max + 1ULL;
	u64 bottom = image->load_address + image->init_size;

	if (top > limit)
		top = limit;
	if (top < bottom || image->initrd_size > top - bottom ||
	    ALIGN_DOWN(top - image->initrd_size, PAGE_BYTES) < bottom)
		return error_set("%s: %llu MiB do not fit beside the kernel; give the guest more with --mem (%llu MiB would do)",
				 image->files.initrd, image->initrd_size / SIZE_1M + 1,
				 (bottom + image->initrd_size) / SIZE_1M + 2);
	image->initrd_address = ALIGN_DOWN(top - image->initrd_size, PAGE_BYTES);
	return 0;
}

static int check_command_line(const struct linux_image *image)
{
	size_t length = strlen(image->files.command_line);
	u32 limit = header(image)->cmdline_size;

	if (limit > BOOT_RAM_END - BOOT_COMMAND_LINE - 1)
		limit = BOOT_RAM_END - BOOT_COMMAND_LINE - 1;
	if (length > limit)
		return error_set("--append: %zu characters; this kernel takes %u", length, limit);
	return 0;
}

static int open_kernel(struct linux_image *image, const struct memory *plan)
{
	const char *path = image->files.kernel;
	ssize_t got;
	u64 size;

	image->kernel_fd = open_file(path, &size);
	if (image->kernel_fd < 0)
		return -1;
	got = pread(image->kernel_fd, image->setup, sizeof(image->setup), 0);
	if (got < 0)
		return error_errno("%s", path);
	if (got < HEADER_END_MAX)
		return error_set("%s: too short for a Linux kernel", path);
	if (check_kind(image) || check_payload(image, size) || check_addresses(image) ||
	    check_command_line(image))
		return -1;
	return place_kernel(image, plan);
}

static int open_initrd(struct linux_image *image, const struct memory *plan)
{
	if (!image->files.initrd)
		return 0;
	image->initrd_fd = open_file(image->files.initrd, &image->initrd_size);
	if (image->initrd_fd < 0)
		return -1;
	if (!image->initrd_size)
		return error_set("%s: empty; leave --initrd out, or fetch it again",
				 image->files.initrd);
	if (image->initrd_size > plan->size)
		return error_set("%s: %llu MiB, more than the guest's memory; give it more with --mem",
				 image->files.initrd, image->initrd_size / SIZE_1M + 1);
	return place_initrd(image, plan);
}

int linux_open(struct linux_image *image, const struct linux_files *files,
	       const struct memory *plan)
{
	*image = (struct linux_image){ .files = *files, .kernel_fd = -1, .initrd_fd = -1 };
	if (!open_kernel(image, plan) && !open_initrd(image, plan))
		return 0;
	linux_close(image);
	return -1;
}

void linux_close(struct linux_image *image)
{
	if (image->kernel_fd >= 0)
		close(image->kernel_fd);
	if (image->initrd_fd >= 0)
		close(image->initrd_fd);
	image->kernel_fd = -1;
	image->initrd_fd = -1;
}

/* ---- loading ------------------------------------------------------------ */

static void add_e820(struct boot_params *params, u64 start, u64 end, u32 type)
{
	if (end > start)
		params->e820_table[params->e820_entries++] =
			(struct boot_e820_entry){ start, end - start, type };
}

static void fill_e820(struct boot_params *params, const struct memory *memory)
{
	enum { RAM = 1, RESERVED = 2 };

	add_e820(params, 0, BOOT_RAM_END, RAM);
	add_e820(params, BOOT_RAM_END, 0xa0000, RESERVED);
	add_e820(params, BOOT_ACPI, BOOT_HIGH, RESERVED);
	add_e820(params, BOOT_HIGH, memory->low, RAM);
	add_e820(params, SIZE_4G, SIZE_4G + memory->size - memory->low, RAM);
}

static void fill_params(struct boot_params *params, const struct linux_image *image,
			const struct memory *memory, u64 rsdp)
{
	memset(params, 0, sizeof(*params));
	memcpy((u8 *)params + HEADER_OFFSET, image->setup + HEADER_OFFSET, header_bytes(image));
	params->hdr.type_of_loader = LOADER_UNKNOWN;
	params->hdr.code32_start = image->load_address;
	params->hdr.cmd_line_ptr = BOOT_COMMAND_LINE;
	params->hdr.ramdisk_image = image->initrd_address;
	params->hdr.ramdisk_size = image->initrd_size;
	params->hdr.setup_data = 0;
	params->acpi_rsdp_addr = rsdp;
	fill_e820(params, memory);
}

/* The first 4 GiB as they are, in 2 MiB pages, which every processor has */
static void fill_page_tables(u64 *tables)
{
	enum { PRESENT = 1, WRITABLE = 2, LARGE = 0x80, ENTRIES = 512 };
	u64 *pml4 = tables, *pdpt = tables + ENTRIES, *directory = tables + 2 * ENTRIES;
	u64 i;

	memset(tables, 0, (2 + BOOT_MAPPED_GIB) * PAGE_BYTES);
	pml4[0] = (BOOT_PAGE_TABLES + PAGE_BYTES) | PRESENT | WRITABLE;
	for (i = 0; i < BOOT_MAPPED_GIB; i++)
		pdpt[i] = (BOOT_PAGE_TABLES + (2 + i) * PAGE_BYTES) | PRESENT | WRITABLE;
	for (i = 0; i < BOOT_MAPPED_GIB * ENTRIES; i++)
		directory[i] = i * SIZE_2M | PRESENT | WRITABLE | LARGE;
}

static void fill_gdt(u64 *gdt)
{
	static const u64 entries[] = {
		0, 0,
		0x00af9b000000ffff,	/* 0x10: __BOOT_CS, 64-bit */
		0x00cf93000000ffff,	/* 0x18: __BOOT_DS */
		0x0000890000000067, 0,	/* 0x20: a TSS, because there must be one */
	};

	memcpy(gdt, entries, sizeof(entries));
}

int linux_load(const struct linux_image *image, const struct memory *memory, u64 rsdp)
{
	const char *text = image->files.command_line;
	u8 *low = memory_at(memory, 0, BOOT_HIGH);

	if (!low)
		return error_set("the guest's memory is too small");
	fill_gdt((u64 *)(low + BOOT_GDT));
	fill_page_tables((u64 *)(low + BOOT_PAGE_TABLES));
	fill_params((struct boot_params *)(low + BOOT_PARAMS), image, memory, rsdp);
	memcpy(low + BOOT_COMMAND_LINE, text, strlen(text) + 1);
	if (memory_load(memory, image->load_address, image->kernel_fd, image->payload_offset,
			image->payload_size, image->files.kernel))
		return -1;
	if (!image->initrd_size)
		return 0;
	return memory_load(memory, image->initrd_address, image->initrd_fd, 0, image->initrd_size,
			   image->files.initrd);
}

/* ---- starting ----------------------------------------------------------- */

static const struct thv_segment code = {
	.limit = ~0U,
	.attributes = 0xb | THV_SEG_S | THV_SEG_P | THV_SEG_L | THV_SEG_G,
	.selector = 0x10,
};

static const struct thv_segment data = {
	.limit = ~0U,
	.attributes = 0x3 | THV_SEG_S | THV_SEG_P | THV_SEG_DB | THV_SEG_G,
	.selector = 0x18,
};

static const struct thv_segment task = {
	.limit = 0x67,
	.attributes = 0xb | THV_SEG_P,
	.selector = 0x20,
};

static void long_mode(struct thv_sregs *sregs)
{
	enum { LME = 1 << 8, LMA = 1 << 10 };
	int i;

	for (i = THV_ES; i <= THV_GS; i++)
		sregs->seg[i] = i == THV_CS ? code : data;
	sregs->seg[THV_LDTR] = (struct thv_segment){ .attributes = THV_SEG_UNUSABLE };
	sregs->seg[THV_TR] = task;
	sregs->gdt = (struct thv_table){ .base = BOOT_GDT, .limit = 6 * 8 - 1 };
	sregs->idt = (struct thv_table){ 0 };
	sregs->cr0 = X86_CR0_PE | X86_CR0_ET | X86_CR0_NE | X86_CR0_PG;
	sregs->cr3 = BOOT_PAGE_TABLES;
	sregs->cr4 = X86_CR4_PAE;
	sregs->efer = LME | LMA;
}

int linux_start(const struct linux_image *image, int vcpu)
{
	struct thv_sregs sregs;
	struct thv_regs regs = {
		.gpr[THV_RSI] = BOOT_PARAMS,
		.rip = image->load_address + ENTRY_64,
		.rflags = 0x2,
	};

	if (vcpu_get(vcpu, THV_STATE_SREGS, &sregs, sizeof(sregs)) < 0)
		return -1;
	long_mode(&sregs);
	if (vcpu_set(vcpu, THV_STATE_SREGS, &sregs, sizeof(sregs)) < 0)
		return -1;
	return vcpu_set(vcpu, THV_STATE_REGS, &regs, sizeof(regs)) < 0 ? -1 : 0;
}
