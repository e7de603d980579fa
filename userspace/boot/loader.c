// SPDX-License-Identifier: GPL-2.0-only
/*
 * The table of loaders, and what they have in common: which one a file is for, opening files, and
 * dividing up guest memory between their pieces.
 *
 * No file is trusted. What is read of it is read once; every figure is checked before it is
 * used, and boot_add() is the only way for bytes of a file into guest memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "boot/boot.h"
#include "lib/error.h"

/* In the order in which they are asked whether a file is theirs */
static const struct boot_loader *const loaders[] = {
	&boot_linux, &boot_multiboot, &boot_pvh, &boot_flat, &boot_firmware,
};

/* In that order, too: boot_files.kind is an index */
const char *const boot_kinds[] = {
	"detect", "linux", "multiboot", "pvh", "flat", "firmware", NULL
};

/* ---- files -------------------------------------------------------------- */

/* Regular files only: a pipe has no size to check, and others never end */
int boot_open_file(struct boot_file *file, const char *path)
{
	struct stat status;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0)
		return error_errno("%s", path);
	if (fstat(fd, &status)) {
		error_errno("%s", path);
	} else if (!S_ISREG(status.st_mode)) {
		error_set("%s: not a regular file; copy it to one", path);
	} else if (!status.st_size) {
		error_set("%s: empty; leave it out, or fetch it again", path);
	} else {
		*file = (struct boot_file){ fd, status.st_size, path };
		return 0;
	}
	close(fd);
	return -1;
}

int boot_read(const struct boot_file *file, u64 offset, void *to, u64 size)
{
	ssize_t got = pread(file->fd, to, size, offset);

	if (got < 0)
		return error_errno("%s", file->path);
	if ((u64)got != size)
		return error_set("%s: it became shorter while it was read; try again", file->path);
	return 0;
}

void boot_close_file(struct boot_file *file)
{
	if (file->fd >= 0)
		close(file->fd);
	file->fd = -1;
}

static int open_kernel(struct boot_image *image)
{
	u64 size;

	if (boot_open_file(&image->kernel, image->files.kernel))
		return -1;
	size = image->kernel.size;
	image->head_bytes = size < BOOT_HEAD_BYTES ? size : BOOT_HEAD_BYTES;
	return boot_read(&image->kernel, 0, image->head, image->head_bytes);
}

/* ---- modules ------------------------------------------------------------ */

/* The text is FILE[ ARGS]: the path is a copy of its first word */
static int open_module(struct boot_image *image, const char *text)
{
	struct boot_module *module = &image->module[image->modules];
	char *path;

	if (image->modules == BOOT_MODULES)
		return error_set("--module: %d at most", BOOT_MODULES);
	path = strndup(text, strcspn(text, " "));
	if (!path)
		return error_set("out of memory");
	module->text = text;
	image->modules++;
	module->file.path = path;
	return boot_open_file(&module->file, path);
}

int boot_open_modules(struct boot_image *image)
{
	const struct option_list *modules = &image->files.modules;
	u32 i;

	if (image->files.initrd && open_module(image, image->files.initrd))
		return -1;
	for (i = 0; i < modules->count; i++)
		if (open_module(image, modules->text[i]))
			return -1;
	return 0;
}

static u64 end_of_kernel(const struct boot_image *image)
{
	u64 end = BOOT_HIGH;
	u32 i;

	for (i = 0; i < image->pieces; i++)
		if (image->piece[i].address + image->piece[i].room > end)
			end = image->piece[i].address + image->piece[i].room;
	return end;
}

static int place_module(struct boot_image *image, struct boot_module *module, u64 from)
{
	u64 size = module->file.size;

	module->address = boot_place(image, size, PAGE_BYTES, from, image->plan.low);
	if (!module->address)
		return error_set("%s: %llu MiB do not fit beside the kernel; give the guest more with --mem",
				 module->file.path, size / SIZE_1M + 1);
	return boot_add(image, &(struct boot_piece){ &module->file, 0, size, module->address, size });
}

int boot_place_modules(struct boot_image *image)
{
	u64 from = end_of_kernel(image);
	u32 i;

	for (i = 0; i < image->modules; i++)
		if (place_module(image, &image->module[i], from))
			return -1;
	return 0;
}

/* ---- dividing up memory -------------------------------------------------- */

static bool within(u64 address, u64 size, u64 start, u64 end)
{
	return address >= start && address <= end && size <= end - address;
}

static const struct boot_piece *piece_at(const struct boot_image *image, u64 address, u64 size)
{
	u32 i;

	for (i = 0; i < image->pieces; i++)
		if (address < image->piece[i].address + image->piece[i].room &&
		    image->piece[i].address < address + size)
			return &image->piece[i];
	return NULL;
}

static int not_memory(const struct boot_piece *piece)
{
	if (within(piece->address, piece->room, BOOT_HIGH, MEMORY_HOLE))
		return error_set("%s: needs the memory from %#llx to %#llx; give the guest %llu MiB with --mem",
				 piece->file->path, piece->address, piece->address + piece->room,
				 (piece->address + piece->room) / SIZE_1M + 1);
	return error_set("%s: wants to be loaded at %#llx, %llu bytes: a kernel can be from %#x to %#x and from 1 MiB to 3 GiB, where the guest has memory; link it elsewhere",
			 piece->file->path, piece->address, piece->room, BOOT_LOWEST, BOOT_RAM_END);
}

int boot_add(struct boot_image *image, const struct boot_piece *piece)
{
	u64 file = piece->file->size;

	if (piece->size > piece->room)
		return error_set("%s: damaged: a part of it is larger than the room it asks for; make it again",
				 piece->file->path);
	if (piece->offset > file || piece->size > file - piece->offset)
		return error_set("%s: truncated: it should have %llu bytes at %#llx and ends at %#llx; fetch it again",
				 piece->file->path, piece->size, piece->offset, file);
	if (!within(piece->address, piece->room, BOOT_LOWEST, BOOT_RAM_END) &&
	    !within(piece->address, piece->room, BOOT_HIGH, image->plan.low))
		return not_memory(piece);
	if (piece_at(image, piece->address, piece->room))
		return error_set("%s: damaged: two parts want to be at %#llx; make it again",
				 piece->file->path, piece->address);
	if (image->pieces == BOOT_PIECES)
		return error_set("%s: has too many parts; %d at most", piece->file->path,
				 BOOT_PIECES);
	image->piece[image->pieces++] = *piece;
	return 0;
}

/* First fit: past whatever is in the way, as often as that takes */
u64 boot_place(const struct boot_image *image, u64 size, u64 align, u64 from, u64 to)
{
	const struct boot_piece *piece;
	u64 address = ALIGN_UP(from, align);

	while (within(address, size, from, to)) {
		piece = piece_at(image, address, size);
		if (!piece)
			return address;
		address = ALIGN_UP(piece->address + piece->room, align);
	}
	return 0;
}

u32 boot_memory_map(const struct memory *memory, struct boot_region map[BOOT_REGIONS])
{
	const struct boot_region regions[BOOT_REGIONS] = {
		{ 0, BOOT_RAM_END, BOOT_RAM },
		{ BOOT_RAM_END, 0xa0000, BOOT_RESERVED },
		{ BOOT_ACPI, BOOT_HIGH, BOOT_RESERVED },
		{ BOOT_HIGH, memory->low, BOOT_RAM },
		{ SIZE_4G, SIZE_4G + memory->size - memory->low, BOOT_RAM },
	};
	u32 i, used = 0;

	for (i = 0; i < BOOT_REGIONS; i++)
		if (regions[i].end > regions[i].start)
			map[used++] = regions[i];
	return used;
}

/* ---- which loader -------------------------------------------------------- */

static const struct boot_loader *detect(const struct boot_image *image)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(loaders); i++)
		if (loaders[i]->probe && loaders[i]->probe(image))
			return loaders[i];
	error_set("%s: of no kind that is known here: a Linux kernel (what distributions call vmlinuz), an ELF kernel for PVH or multiboot, a boot sector; --boot KIND says what it is",
		  image->files.kernel);
	return NULL;
}

static int choose(struct boot_image *image)
{
	u32 kind = image->files.kind;

	if (kind && loaders[kind - 1]->firmware != !!image->files.firmware)
		return error_set("--boot %s: with --firmware it is the firmware that starts, and only then",
				 boot_kinds[kind]);
	if (image->files.firmware)
		image->loader = &boot_firmware;
	else if (!image->files.kernel)
		return error_set("nothing to start: give --kernel FILE or --firmware FILE");
	else if (kind)
		image->loader = loaders[kind - 1];
	else
		image->loader = detect(image);
	return image->loader ? 0 : -1;
}

/* What was asked for besides the kernel, and who has no use for it */
static int check_options(const struct boot_image *image)
{
	const struct boot_files *files = &image->files;
	const struct {
		u32 bit;
		bool given;
		const char *text;
	} options[] = {
		{ BOOT_TAKES_INITRD, files->initrd, "--initrd" },
		{ BOOT_TAKES_MODULES, files->modules.count, "--module" },
		{ BOOT_TAKES_COMMAND_LINE, files->command_line, "--append" },
		{ BOOT_TAKES_ADDRESS, files->address, "--load-address" },
		{ BOOT_TAKES_FWCFG, files->fwcfg.count, "--fw-cfg" },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(options); i++)
		if (options[i].given && !(image->loader->takes & options[i].bit))
			return error_set("%s: %s has no use for it; leave it out", options[i].text,
					 image->loader->what);
	return 0;
}

/* ---- the steps ----------------------------------------------------------- */

int boot_open(struct boot_image *image, const struct boot_files *files, const struct memory *plan)
{
	u32 i;

	memset(image, 0, sizeof(*image));
	image->files = *files;
	image->plan = *plan;
	image->kernel.fd = -1;
	image->initrd.fd = -1;
	for (i = 0; i < BOOT_MODULES; i++)
		image->module[i].file.fd = -1;
	if ((!files->kernel || !open_kernel(image)) && !choose(image) && !check_options(image) &&
	    !image->loader->open(image))
		return 0;
	boot_close(image);
	return -1;
}

int boot_load(const struct boot_image *image, const struct memory *memory, u64 rsdp)
{
	const struct boot_piece *piece = image->piece;
	u32 i;

	for (i = 0; i < image->pieces; i++, piece++)
		if (memory_load(memory, piece->address, piece->file->fd, piece->offset,
				piece->size, piece->file->path))
			return -1;
	return image->loader->load ? image->loader->load(image, memory, rsdp) : 0;
}

int boot_start(const struct boot_image *image, int vcpu)
{
	return image->loader->start(image, vcpu);
}

const char *boot_command_line(const struct boot_image *image)
{
	if (image->files.command_line)
		return image->files.command_line;
	return image->loader->command_line ? image->loader->command_line : "";
}

void boot_close_files(struct boot_image *image)
{
	u32 i;

	boot_close_file(&image->kernel);
	boot_close_file(&image->initrd);
	for (i = 0; i < image->modules; i++) {
		boot_close_file(&image->module[i].file);
		free((char *)image->module[i].file.path);
		image->module[i].file.path = NULL;
	}
	image->modules = 0;
}

void boot_close(struct boot_image *image)
{
	boot_close_files(image);
	if (image->loader && image->loader->close)
		image->loader->close(image);
}
