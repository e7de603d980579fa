// SPDX-License-Identifier: GPL-2.0-only
/*
 * Firmware: an image that ends at 4 GiB, where the processor starts after a reset, and whose last
 * 256 KiB are also below 1 MiB, as memory that it may write to: no chipset has to be asked for that. It finds out about its machine by
 * fw_cfg (device/fwcfg.c); here is what that tells. SeaBIOS is what it is tested with.
 *
 * A kernel that is given besides is not started but told of: some firmware starts it.
 */
#include <asm/bootparam.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "boot/boot.h"
#include "device/fwcfg.h"
#include "lib/error.h"

#define SHADOW_MAX	(256 << 10)
#define ROM_ALIGNMENT	(64 << 10)
#define ROM_MAX		(16ULL << 20)
#define FILE_MAX	(1ULL << 30)
#define RESET_BYTES	16
#define ACPI_MAX	(64 << 10)
#define SERIAL_CONSOLE	0x3f8
#define SECTOR		512

/* QEMU's loader script: what to do with the files of tables, 128 bytes a command */
enum { COMMAND_ALLOCATE = 1, COMMAND_POINTER = 2, COMMAND_SUM = 3 };
enum { ZONE_HIGH = 1, ZONE_BIOS = 2 };

struct script_command {
	u32 command;
	union {
		struct {
			char file[FWCFG_NAME];
			u32 alignment;
			u8 zone;
		} allocate;
		struct {
			char file[FWCFG_NAME], to[FWCFG_NAME];
			u32 offset;
			u8 bytes;
		} __attribute__((packed)) pointer;
		struct {
			char file[FWCFG_NAME];
			u32 offset, start, length;
		} sum;
		u8 room[124];
	};
} __attribute__((packed));

_Static_assert(sizeof(struct script_command) == 128, "bios-linker-loader's entries");

#define COMMANDS	(ACPI_TABLES + ACPI_POINTERS + 6)
#define TABLES		"etc/acpi/tables"
#define RSDP		"etc/acpi/rsdp"

struct e820_entry {
	u64 start, size;
	u32 type;
} __attribute__((packed));

/* All that items point to */
struct boot_bios {
	struct fwcfg_items items;
	struct acpi_block acpi;
	u8 tables[ACPI_MAX], rsdp[ACPI_RSDP_BYTES];
	struct script_command script[COMMANDS];
	u32 commands;
	struct e820_entry e820[BOOT_REGIONS];
	void *blob[4 * FWCFG_ITEMS];	/* files that were read, texts; to be freed */
	u32 blobs;
};

/* ---- the image -------------------------------------------------------------- */

static int check_image(const struct boot_file *file)
{
	if (file->size % ROM_ALIGNMENT || file->size > ROM_MAX)
		return error_set("%s: %llu bytes: firmware comes in pieces of 64 KiB, up to 16 MiB; use SeaBIOS' bios-256k.bin, say",
				 file->path, file->size);
	return 0;
}

/* Something has to be where the processor starts */
static int check_reset_vector(const struct boot_image *image, const char *path)
{
	const u8 *vector = image->rom + image->rom_size - RESET_BYTES;
	int i;

	for (i = 0; i < RESET_BYTES; i++)
		if (vector[i] != 0 && vector[i] != 0xff)
			return 0;
	return error_set("%s: has no code in its last 16 bytes, where the processor starts; it is no firmware for a PC",
			 path);
}

static int read_image(struct boot_image *image)
{
	struct boot_file file;
	int result = -1;

	if (boot_open_file(&file, image->files.firmware))
		return -1;
	if (!check_image(&file)) {
		image->rom_size = file.size;
		image->rom = mmap(NULL, file.size, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (image->rom == MAP_FAILED) {
			image->rom = NULL;
			error_set("out of memory");
		} else {
			result = boot_read(&file, 0, image->rom, file.size);
		}
	}
	boot_close_file(&file);
	return result ? result : check_reset_vector(image, image->files.firmware);
}

/* ---- files for fw_cfg --------------------------------------------------------- */

static void *new_blob(struct boot_bios *bios, u64 size)
{
	void *blob = bios->blobs < ARRAY_SIZE(bios->blob) ? malloc(size) : NULL;

	if (blob)
		bios->blob[bios->blobs++] = blob;
	else
		error_set("out of memory");
	return blob;
}

static void *read_file(struct boot_bios *bios, const struct boot_file *file)
{
	void *blob;

	if (file->size > FILE_MAX) {
		error_set("%s: %llu MiB are too much for fw_cfg; 1 GiB at most", file->path,
			  file->size / SIZE_1M);
		return NULL;
	}
	blob = new_blob(bios, file->size);
	return blob && !boot_read(file, 0, blob, file->size) ? blob : NULL;
}

/* A bzImage's two parts, as the boot protocol has them; other kernels have one */
static int add_kernel(struct boot_image *image)
{
	struct boot_bios *bios = image->bios;
	struct fwcfg_items *items = &bios->items;
	struct setup_header header = { 0 };
	u8 *kernel = read_file(bios, &image->kernel);
	u64 size = image->kernel.size, setup = 0;

	if (!kernel)
		return -1;
	if (boot_linux.probe(image)) {
		memcpy(&header, image->head + 0x1f1, sizeof(header));
		setup = ((header.setup_sects ? header.setup_sects : 4) + 1) * SECTOR;
		setup = setup < size ? setup : size;
	}
	return fwcfg_add_number(items, FWCFG_SETUP_SIZE, setup, 4) ||
	       fwcfg_add(items, FWCFG_SETUP_DATA, kernel, setup) ||
	       fwcfg_add_number(items, FWCFG_KERNEL_SIZE, size - setup, 4) ||
	       fwcfg_add(items, FWCFG_KERNEL_DATA, kernel + setup, size - setup) ? -1 : 0;
}

static int add_initrd(struct boot_image *image)
{
	struct fwcfg_items *items = &image->bios->items;
	void *initrd;

	if (boot_open_file(&image->initrd, image->files.initrd))
		return -1;
	initrd = read_file(image->bios, &image->initrd);
	if (!initrd || fwcfg_add_number(items, FWCFG_INITRD_SIZE, image->initrd.size, 4))
		return -1;
	return fwcfg_add(items, FWCFG_INITRD_DATA, initrd, image->initrd.size);
}

static int add_command_line(struct boot_image *image)
{
	struct fwcfg_items *items = &image->bios->items;
	const char *text = image->files.command_line;
	u32 size = strlen(text) + 1;

	if (fwcfg_add_number(items, FWCFG_COMMAND_SIZE, size, 4))
		return -1;
	return fwcfg_add(items, FWCFG_COMMAND_DATA, text, size);
}

struct told {
	char *name, *string, *file;
};

static const struct option_row told_rows[] = {
	{ "name", "NAME", "", option_text, .field = offsetof(struct told, name), .required = true },
	{ "string", "TEXT", "", option_text, .field = offsetof(struct told, string) },
	{ "file", "FILE", "", option_text, .field = offsetof(struct told, file) },
	{ 0 }
};

/* The words are ours: they go when everything does */
static int keep_words(struct boot_bios *bios, const struct told *told)
{
	char *const words[] = { told->name, told->string, told->file };
	size_t i;

	if (bios->blobs + ARRAY_SIZE(words) + 1 > ARRAY_SIZE(bios->blob))
		return error_set("--fw-cfg: too many");
	for (i = 0; i < ARRAY_SIZE(words); i++)
		bios->blob[bios->blobs++] = words[i];
	return 0;
}

/* --fw-cfg name=NAME,file=FILE or name=NAME,string=TEXT */
static int add_told(struct boot_bios *bios, const char *text)
{
	struct told told = { 0 };
	struct boot_file file;
	int wrong = options_parse_words("--fw-cfg", text, told_rows, &told);
	void *blob;
	u64 size;

	if (keep_words(bios, &told) || wrong)
		return -1;
	if (!told.string == !told.file)
		return error_set("--fw-cfg %s: give it either string=TEXT or file=FILE", text);
	if (told.string)
		return fwcfg_add_file(&bios->items, told.name, told.string, strlen(told.string));
	if (boot_open_file(&file, told.file))
		return -1;
	blob = read_file(bios, &file);
	size = file.size;
	boot_close_file(&file);
	return blob ? fwcfg_add_file(&bios->items, told.name, blob, size) : -1;
}

/* ---- ACPI ------------------------------------------------------------------------ */

static struct script_command *next(struct boot_bios *bios, u32 what)
{
	struct script_command *command = &bios->script[bios->commands++];

	command->command = what;
	return command;
}

static void allocate(struct boot_bios *bios, const char *file, u32 alignment, u8 zone)
{
	struct script_command *command = next(bios, COMMAND_ALLOCATE);

	strcpy(command->allocate.file, file);
	command->allocate.alignment = alignment;
	command->allocate.zone = zone;
}

static void add_pointer(struct boot_bios *bios, const char *file, u32 offset, u8 bytes)
{
	struct script_command *command = next(bios, COMMAND_POINTER);

	strcpy(command->pointer.file, file);
	strcpy(command->pointer.to, TABLES);
	command->pointer.offset = offset;
	command->pointer.bytes = bytes;
}

static void add_sum(struct boot_bios *bios, const char *file, u32 offset, u32 start, u32 length)
{
	struct script_command *command = next(bios, COMMAND_SUM);

	strcpy(command->sum.file, file);
	command->sum.offset = offset;
	command->sum.start = start;
	command->sum.length = length;
}

static u32 table_length(const struct boot_bios *bios, u32 table)
{
	u32 length;

	memcpy(&length, bios->tables + table + 4, sizeof(length));
	return length;
}

/* Put the tables somewhere, turn offsets into addresses, and then make the sums right again */
static void write_script(struct boot_bios *bios)
{
	const struct acpi_block *acpi = &bios->acpi;
	u32 i;

	allocate(bios, RSDP, 16, ZONE_BIOS);
	allocate(bios, TABLES, 64, ZONE_HIGH);
	for (i = 0; i < acpi->pointers; i++)
		add_pointer(bios, TABLES, acpi->pointer[i].offset, acpi->pointer[i].bytes);
	for (i = 0; i < acpi->tables; i++)
		add_sum(bios, TABLES, acpi->table[i] + 9, acpi->table[i],
			table_length(bios, acpi->table[i]));
	add_pointer(bios, RSDP, ACPI_RSDP_RSDT, 4);
	add_pointer(bios, RSDP, ACPI_RSDP_XSDT, 8);
	add_sum(bios, RSDP, 8, 0, 20);
	add_sum(bios, RSDP, 32, 0, ACPI_RSDP_BYTES);
}

static int add_acpi(struct boot_image *image)
{
	struct boot_bios *bios = image->bios;

	bios->acpi = (struct acpi_block){ .bytes = bios->tables, .size = ACPI_MAX };
	if (acpi_make(&bios->acpi, &image->files.acpi))
		return -1;
	memcpy(bios->rsdp, bios->tables, ACPI_RSDP_BYTES);
	write_script(bios);
	return fwcfg_add_file(&bios->items, TABLES, bios->tables, bios->acpi.used) ||
	       fwcfg_add_file(&bios->items, RSDP, bios->rsdp, ACPI_RSDP_BYTES) ||
	       fwcfg_add_file(&bios->items, "etc/table-loader", bios->script,
			      bios->commands * sizeof(struct script_command)) ? -1 : 0;
}

/* ---- the machine ------------------------------------------------------------------ */

/* Firmware makes the map itself; it has to know of the memory alone */
static int add_e820(struct boot_image *image)
{
	const struct memory *plan = &image->plan;
	struct e820_entry *entry = image->bios->e820;
	u32 count = 1;

	entry[0] = (struct e820_entry){ 0, plan->low, BOOT_RAM };
	if (plan->size > plan->low)
		entry[count++] = (struct e820_entry){ SIZE_4G, plan->size - plan->low, BOOT_RAM };
	return fwcfg_add_file(&image->bios->items, "etc/e820", entry, count * sizeof(*entry));
}

static int add_machine(struct boot_image *image)
{
	struct fwcfg_items *items = &image->bios->items;
	u32 cpus = image->files.acpi.cpus;

	return fwcfg_add_number(items, FWCFG_RAM_SIZE, image->plan.size, 8) ||
	       fwcfg_add_number(items, FWCFG_CPUS, cpus, 2) ||
	       fwcfg_add_number(items, FWCFG_MAX_CPUS, cpus, 2) ||
	       fwcfg_add_number(items, FWCFG_BOOT_MENU, 0, 2) ||
	       fwcfg_add_file_number(items, "etc/sercon-port", SERIAL_CONSOLE) ||
	       add_e820(image) || add_acpi(image) ? -1 : 0;
}

static int add_files(struct boot_image *image)
{
	const struct option_list *list = &image->files.fwcfg;
	u32 i;

	if ((image->files.kernel && add_kernel(image)) ||
	    (image->files.initrd && add_initrd(image)) ||
	    (image->files.command_line && add_command_line(image)))
		return -1;
	for (i = 0; i < list->count; i++)
		if (add_told(image->bios, list->text[i]))
			return -1;
	return 0;
}

static int firmware_open(struct boot_image *image)
{
	image->bios = calloc(1, sizeof(*image->bios));
	if (!image->bios)
		return error_set("out of memory");
	return read_image(image) || add_machine(image) || add_files(image) ? -1 : 0;
}

static int firmware_load(const struct boot_image *image, const struct memory *memory, u64 rsdp)
{
	u64 size = image->rom_size < SHADOW_MAX ? image->rom_size : SHADOW_MAX;
	u8 *shadow = memory_at(memory, BOOT_HIGH - size, size);

	(void)rsdp;
	if (!shadow)
		return error_set("the guest's memory is too small");
	memcpy(shadow, image->rom + image->rom_size - size, size);
	return 0;
}

/* A vCPU begins where a processor does */
static int firmware_start(const struct boot_image *image, int vcpu)
{
	(void)image;
	(void)vcpu;
	return 0;
}

static void firmware_close(struct boot_image *image)
{
	u32 i;

	if (image->rom)
		munmap(image->rom, image->rom_size);
	image->rom = NULL;
	for (i = 0; image->bios && i < image->bios->blobs; i++)
		free(image->bios->blob[i]);
	free(image->bios);
	image->bios = NULL;
}

const struct fwcfg_items *boot_fwcfg(const struct boot_image *image)
{
	return image->bios ? &image->bios->items : NULL;
}

const struct boot_loader boot_firmware = {
	.name = "firmware",
	.what = "firmware",
	.takes = BOOT_TAKES_INITRD | BOOT_TAKES_COMMAND_LINE | BOOT_TAKES_FWCFG,
	.real_mode = true,
	.firmware = true,
	.open = firmware_open,
	.load = firmware_load,
	.start = firmware_start,
	.close = firmware_close,
};
