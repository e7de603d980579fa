/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Kernels made up for the loaders' tests and their fuzzer: a small multiboot kernel by load
 * addresses, an ELF file with a multiboot header and a PVH note, of either class, a boot sector.
 */
#ifndef _KERNELS_H
#define _KERNELS_H

#include <elf.h>
#include <string.h>

#include "lib/types.h"

#define KERNEL_BYTES	12288		/* of each of them */
#define KERNEL_AT	(1U << 20)
#define KERNEL_BSS	8192		/* after the bytes of the ELF file's segment */
#define KERNEL_VIRTUAL	0xc0000000U	/* what the ELF file thinks of its address: + KERNEL_AT */
#define KERNEL_ENTRY	0x123
#define KERNEL_PVH	0x456
#define SEGMENT_OFFSET	4096		/* of the ELF file's loadable bytes */
#define NOTE_OFFSET	1024
#define HEADER_OFFSET	(SEGMENT_OFFSET + 64)

struct multiboot_header {
	u32 magic, flags, checksum, header, load, load_end, bss_end, entry;
};

__attribute__((unused))
static struct multiboot_header *put_multiboot(u8 *file, u32 at, u32 flags)
{
	struct multiboot_header *header = (struct multiboot_header *)(file + at);

	memset(header, 0, sizeof(*header));
	header->magic = 0x1badb002;
	header->flags = flags;
	header->checksum = -(header->magic + header->flags);
	return header;
}

static void fill(u8 *file)
{
	u32 i;

	for (i = 0; i < KERNEL_BYTES; i++)
		file[i] = i * 31 >> 2;
}

/* By load addresses; the whole file, and a BSS as large again */
__attribute__((unused))
static void make_plain(u8 *file)
{
	struct multiboot_header *header;

	fill(file);
	header = put_multiboot(file, 256, 1U << 16 | 3);
	header->load = KERNEL_AT;
	header->header = KERNEL_AT + 256;
	header->bss_end = KERNEL_AT + 2 * KERNEL_BYTES;
	header->entry = KERNEL_AT + KERNEL_ENTRY;
}

static u32 put_note(u8 *to, u32 value)
{
	const u32 words[] = { 4, 4, 18, 0x006e6558 /* "Xen" */, value };

	memcpy(to, words, sizeof(words));
	return sizeof(words);
}

/* The note in question comes after one of somebody else's, of the same number */
static u32 put_notes(u8 *to)
{
	const u32 other[] = { 4, 3, 18, 0x00554e47 /* "GNU" */, 0x00123456 };

	memcpy(to, other, sizeof(other));
	return sizeof(other) + put_note(to + sizeof(other), KERNEL_AT + KERNEL_PVH);
}

__attribute__((unused))
static void make_elf64(u8 *file)
{
	Elf64_Ehdr header = {
		.e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
		.e_type = ET_EXEC, .e_machine = EM_X86_64, .e_version = EV_CURRENT,
		.e_entry = KERNEL_VIRTUAL + KERNEL_AT + KERNEL_ENTRY,
		.e_phoff = sizeof(Elf64_Ehdr), .e_ehsize = sizeof(Elf64_Ehdr),
		.e_phentsize = sizeof(Elf64_Phdr), .e_phnum = 2,
	};
	Elf64_Phdr segments[2] = {
		{ PT_LOAD, 7, SEGMENT_OFFSET, KERNEL_VIRTUAL + KERNEL_AT, KERNEL_AT,
		  KERNEL_BYTES - SEGMENT_OFFSET, KERNEL_BYTES - SEGMENT_OFFSET + KERNEL_BSS, 4096 },
		{ PT_NOTE, 4, NOTE_OFFSET, 0, 0, 0, 0, 4 },
	};

	fill(file);
	segments[1].p_filesz = put_notes(file + NOTE_OFFSET);
	memcpy(file, &header, sizeof(header));
	memcpy(file + sizeof(header), segments, sizeof(segments));
}

__attribute__((unused))
static void make_elf32(u8 *file)
{
	Elf32_Ehdr header = {
		.e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB, EV_CURRENT },
		.e_type = ET_EXEC, .e_machine = EM_386, .e_version = EV_CURRENT,
		.e_entry = KERNEL_VIRTUAL + KERNEL_AT + KERNEL_ENTRY,
		.e_phoff = sizeof(Elf32_Ehdr), .e_ehsize = sizeof(Elf32_Ehdr),
		.e_phentsize = sizeof(Elf32_Phdr), .e_phnum = 2,
	};
	Elf32_Phdr segments[2] = {
		{ PT_LOAD, SEGMENT_OFFSET, KERNEL_VIRTUAL + KERNEL_AT, KERNEL_AT,
		  KERNEL_BYTES - SEGMENT_OFFSET, KERNEL_BYTES - SEGMENT_OFFSET + KERNEL_BSS, 7, 4096 },
		{ PT_NOTE, NOTE_OFFSET, 0, 0, 0, 0, 4, 4 },
	};

	fill(file);
	segments[1].p_filesz = put_notes(file + NOTE_OFFSET);
	memcpy(file, &header, sizeof(header));
	memcpy(file + sizeof(header), segments, sizeof(segments));
}

__attribute__((unused))
static void make_sector(u8 *file)
{
	fill(file);
	file[510] = 0x55;
	file[511] = 0xaa;
}

#endif
