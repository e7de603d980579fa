// SPDX-License-Identifier: GPL-2.0-only
/*
 * ELF files, of 32 and of 64 bits: segments into pieces, and notes. Fields are brought into one form,
 * the 64-bit one, when they are read, and are looked at only after that.
 */
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "boot/boot.h"
#include "lib/error.h"

#define SEGMENTS	64
#define NOTES_MAX	(64 << 10)

struct elf {
	const struct boot_image *image;
	Elf64_Half type, machine;
	u64 entry;
	u32 count;
	Elf64_Phdr segment[SEGMENTS];
};

static int damaged(const struct boot_image *image, const char *what)
{
	return error_set("%s: damaged: %s; build it again", image->kernel.path, what);
}

bool elf_probe(const struct boot_image *image)
{
	return image->head_bytes >= sizeof(Elf64_Ehdr) && !memcmp(image->head, ELFMAG, SELFMAG);
}

static bool wide(const struct boot_image *image)
{
	return image->head[EI_CLASS] == ELFCLASS64;
}

/* ---- reading ------------------------------------------------------------- */

static void widen(const Elf32_Phdr *narrow, Elf64_Phdr *segment)
{
	segment->p_type = narrow->p_type;
	segment->p_offset = narrow->p_offset;
	segment->p_vaddr = narrow->p_vaddr;
	segment->p_paddr = narrow->p_paddr;
	segment->p_filesz = narrow->p_filesz;
	segment->p_memsz = narrow->p_memsz;
	segment->p_align = narrow->p_align;
}

static int read_segments(struct elf *elf, u64 offset, u32 size)
{
	const struct boot_file *file = &elf->image->kernel;
	Elf32_Phdr narrow[SEGMENTS];
	u64 bytes = (u64)elf->count * size;
	u32 i;

	if (elf->count > SEGMENTS)
		return error_set("%s: has %u segments; %d at most", file->path, elf->count, SEGMENTS);
	if (size != (wide(elf->image) ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr)))
		return damaged(elf->image, "its program headers have an impossible size");
	if (offset > file->size || bytes > file->size - offset)
		return damaged(elf->image, "its program headers lie beyond its end");
	if (wide(elf->image))
		return boot_read(file, offset, elf->segment, bytes);
	if (boot_read(file, offset, narrow, bytes))
		return -1;
	for (i = 0; i < elf->count; i++)
		widen(&narrow[i], &elf->segment[i]);
	return 0;
}

static int read_wide(struct elf *elf)
{
	Elf64_Ehdr header;

	memcpy(&header, elf->image->head, sizeof(header));
	elf->type = header.e_type;
	elf->machine = header.e_machine;
	elf->entry = header.e_entry;
	elf->count = header.e_phnum;
	return read_segments(elf, header.e_phoff, header.e_phentsize);
}

static int read_narrow(struct elf *elf)
{
	Elf32_Ehdr header;

	memcpy(&header, elf->image->head, sizeof(header));
	elf->type = header.e_type;
	elf->machine = header.e_machine;
	elf->entry = header.e_entry;
	elf->count = header.e_phnum;
	return read_segments(elf, header.e_phoff, header.e_phentsize);
}

static int read_elf(struct elf *elf, const struct boot_image *image)
{
	u8 class = image->head[EI_CLASS];

	memset(elf, 0, sizeof(*elf));
	elf->image = image;
	if (!elf_probe(image))
		return error_set("%s: not an ELF file", image->kernel.path);
	if ((class != ELFCLASS32 && class != ELFCLASS64) ||
	    image->head[EI_DATA] != ELFDATA2LSB || image->head[EI_VERSION] != EV_CURRENT)
		return error_set("%s: an ELF file, but not for a PC; use one for x86",
				 image->kernel.path);
	return wide(image) ? read_wide(elf) : read_narrow(elf);
}

static int check_kind(const struct elf *elf)
{
	if (elf->machine != EM_386 && elf->machine != EM_X86_64)
		return error_set("%s: an ELF file for another processor (machine %u); use one for x86",
				 elf->image->kernel.path, elf->machine);
	if (elf->type != ET_EXEC && elf->type != ET_DYN)
		return error_set("%s: an ELF file that cannot be run (type %u); link it first",
				 elf->image->kernel.path, elf->type);
	return 0;
}

/* ---- segments ------------------------------------------------------------ */

/* The entry is an address as the program sees it; of those, a segment knows where they are */
static u64 physical(const struct elf *elf, u64 address)
{
	const Elf64_Phdr *segment = elf->segment;
	u32 i;

	for (i = 0; i < elf->count; i++, segment++)
		if (segment->p_type == PT_LOAD && address >= segment->p_vaddr &&
		    address - segment->p_vaddr < segment->p_memsz)
			return address - segment->p_vaddr + segment->p_paddr;
	return address;
}

static int add_segment(struct boot_image *image, const Elf64_Phdr *segment)
{
	const struct boot_piece piece = {
		.file = &image->kernel,
		.offset = segment->p_offset,
		.size = segment->p_filesz,
		.address = segment->p_paddr,
		.room = segment->p_memsz,
	};

	return boot_add(image, &piece);
}

int elf_open(struct boot_image *image)
{
	struct elf elf;
	u32 i;

	if (read_elf(&elf, image) || check_kind(&elf))
		return -1;
	for (i = 0; i < elf.count; i++)
		if (elf.segment[i].p_type == PT_LOAD && elf.segment[i].p_memsz &&
		    add_segment(image, &elf.segment[i]))
			return -1;
	if (!image->pieces)
		return damaged(image, "nothing in it is to be loaded");
	image->entry = physical(&elf, elf.entry);
	return 0;
}

/* ---- notes --------------------------------------------------------------- */

/* Sizes are 32 bits and so are sums of two of them in 64: nothing wraps */
static u64 padded(u64 size, u64 align)
{
	return ALIGN_UP(size, align);
}

/* One segment's notes: each a header, the owner's name and the contents, the two padded */
static bool find_note(const u8 *notes, u64 size, u64 align, const char *owner, u32 type, u64 *value)
{
	u64 at = 0, name, contents;
	Elf64_Nhdr header;	/* the same in both classes */

	while (size - at >= sizeof(header)) {
		memcpy(&header, notes + at, sizeof(header));
		name = at + sizeof(header);
		contents = name + padded(header.n_namesz, align);
		if (contents > size || header.n_descsz > size - contents)
			return false;
		if (header.n_type == type && header.n_namesz == strlen(owner) + 1 &&
		    !memcmp(notes + name, owner, header.n_namesz) &&
		    (header.n_descsz == 4 || header.n_descsz == 8)) {
			*value = 0;
			memcpy(value, notes + contents, header.n_descsz);
			return true;
		}
		at = contents + padded(header.n_descsz, align);
		if (at > size)
			return false;
	}
	return false;
}

static bool look_in(const struct boot_image *image, const Elf64_Phdr *segment, const char *owner,
		    u32 type, u64 *value)
{
	u64 size = segment->p_filesz, offset = segment->p_offset;
	bool found = false;
	u8 *notes;

	if (segment->p_type != PT_NOTE || !size || size > NOTES_MAX ||
	    offset > image->kernel.size || size > image->kernel.size - offset)
		return false;
	notes = malloc(size);
	if (notes && !boot_read(&image->kernel, offset, notes, size))
		found = find_note(notes, size, segment->p_align == 8 ? 8 : 4, owner, type, value);
	free(notes);
	return found;
}

bool elf_note(const struct boot_image *image, const char *owner, u32 type, u64 *value)
{
	struct elf elf;
	u32 i;

	if (read_elf(&elf, image))
		return false;
	for (i = 0; i < elf.count; i++)
		if (look_in(image, &elf.segment[i], owner, type, value))
			return true;
	return false;
}
