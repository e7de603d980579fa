/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a machine finds in its memory when it starts: a kernel and what belongs
 * to it (a loader for each kind: loader.c has the table), and what firmware would leave there
 * (acpi.c, resetvector.c). Loading is in three steps, so that whatever is wrong with the input is
 * said before there is a VM: boot_open() reads and checks, boot_load() fills guest memory,
 * boot_start() sets vCPU 0 to the kernel's entry.
 *
 * Guest-physical memory below 1 MiB, all in use only until the kernel has
 * started (but for the tables); GDT to COMMAND_LINE are Linux's:
 */
#ifndef THV_BOOT_BOOT_H
#define THV_BOOT_BOOT_H

#include <thv.h>

#include "lib/options.h"
#include "lib/types.h"
#include "vmm/memory.h"

#define BOOT_LOWEST		0x500	/* before that: interrupt vectors, the BIOS's data */
#define BOOT_GDT		0x1000
#define BOOT_PARAMS		0x7000
#define BOOT_PAGE_TABLES	0x9000	/* PML4, PDPT, then one page directory per GiB */
#define BOOT_MAPPED_GIB		4
#define BOOT_COMMAND_LINE	0x20000
#define BOOT_RAM_END		0x9fc00	/* of low memory; the BIOS's data area follows */
#define BOOT_ACPI		0xe0000
#define BOOT_PARK		0xf0000	/* the mailbox, and what waits for it: park.c */
#define BOOT_RESET_VECTOR	0xffff0
#define BOOT_HIGH		0x100000

#define BOOT_HEAD_BYTES		8192	/* of the kernel's file: every kind has its header in there */
#define BOOT_PIECES		64
#define BOOT_MODULES		32
#define BOOT_REGIONS		5
#define BOOT_LINUX_COMMAND_LINE	"console=ttyS0 reboot=a panic=-1"
#define BOOT_FLAT		0x7c00	/* where a BIOS puts a boot sector */

struct acpi_options {
	u32 cpus;
	const u8 *dsdt;			/* AML, a whole table each; acpi_dsdt or acpi_legacy */
	const u8 *ssdt;			/* NULL: none */
	bool park;			/* other processors wait at BOOT_PARK, not for a SIPI */
	bool legacy;			/* fixed hardware, 8259s, a keyboard controller: wants acpi_legacy */
};

/* What the user asked for. Texts stay the caller's. */
struct boot_files {
	const char *kernel;		/* NULL: firmware is what starts */
	const char *firmware;		/* NULL: none */
	const char *initrd;		/* NULL: none */
	const char *command_line;	/* NULL: the kind's own */
	struct option_list modules;	/* each FILE[ ARGS] */
	u32 kind;			/* index into boot_kinds; 0: what the file looks like */
	u64 address;			/* of a flat image */
	struct option_list fwcfg;	/* what firmware is told besides: name=NAME,string=TEXT */
	struct acpi_options acpi;
};

struct boot_file {
	int fd;				/* -1: not open */
	u64 size;
	const char *path;
};

/* A part of a file and where it goes; what the file does not fill of the room is zeros */
struct boot_piece {
	const struct boot_file *file;
	u64 offset, size;
	u64 address, room;
};

/* A module and the text that comes with it */
struct boot_module {
	struct boot_file file;
	const char *text;
	u64 address;
};

/* A span of guest-physical memory, of one of the types that every memory map has */
struct boot_region {
	u64 start, end;
	u32 type;			/* BOOT_RAM, BOOT_RESERVED: as in an e820 table */
};

#define BOOT_RAM	1
#define BOOT_RESERVED	2

struct boot_bios;
struct boot_loader;
struct fwcfg_items;

/* Opened and checked: where everything will be. All figures are believed from here on. */
struct boot_image {
	struct boot_files files;
	const struct boot_loader *loader;
	struct memory plan;
	struct boot_file kernel, initrd;
	u32 modules;
	struct boot_module module[BOOT_MODULES];
	u32 head_bytes;
	u8 head[BOOT_HEAD_BYTES];	/* the only copy of the file's beginning that is looked at */
	u32 pieces;
	struct boot_piece piece[BOOT_PIECES];
	u64 entry;
	u64 info;			/* where what the kernel is told goes, and a GDT before it */
	u64 info_size;
	/* bzimage.c */
	bool wide;			/* has a 64-bit entry */
	u64 load_address, init_size;	/* of the payload; what the kernel uses while it starts */
	/* bios.c */
	struct boot_bios *bios;
	u8 *rom;			/* what lies below 4 GiB */
	u64 rom_size;
};

/**
 * struct boot_loader - one way to start a guest.
 * @name: for --boot.
 * @what: what such a file is, for sentences: "a Linux kernel (bzImage)".
 * @takes: BOOT_TAKES_*: which of the options besides the kernel.
 * @real_mode: it starts in real mode, which wants unrestricted guest.
 * @firmware: it is firmware: nothing else is to be where firmware is, and it wants old devices.
 * @command_line: what it is without --append.
 * @probe: does image->head look like one? NULL: nothing tells, so it must be asked for.
 * @open: read and check the file, and decide where everything goes: boot_add(), boot_place().
 * @load: the pieces are in memory; write what the kernel is told. NULL: nothing.
 * @start: set vCPU 0 to the entry.
 * @close: free what @open has made; also after it has failed. NULL: nothing.
 *
 * All but @probe and @close: 0, or -1 with the error text. @open is called before there is a VM, and whatever
 * is wrong with the input is found there.
 */
struct boot_loader {
	const char *name;
	const char *what;
	u32 takes;
	bool real_mode, firmware;
	const char *command_line;
	bool (*probe)(const struct boot_image *image);
	int (*open)(struct boot_image *image);
	int (*load)(const struct boot_image *image, const struct memory *memory, u64 rsdp);
	int (*start)(const struct boot_image *image, int vcpu);
	void (*close)(struct boot_image *image);
};

#define BOOT_TAKES_INITRD	(1U << 0)
#define BOOT_TAKES_MODULES	(1U << 1)
#define BOOT_TAKES_COMMAND_LINE	(1U << 2)
#define BOOT_TAKES_ADDRESS	(1U << 3)
#define BOOT_TAKES_FWCFG	(1U << 4)

extern const struct boot_loader boot_linux, boot_multiboot, boot_pvh, boot_flat, boot_firmware;

/* "detect", then the loaders' names; ends with NULL */
extern const char *const boot_kinds[];

/* loader.c: the three steps, and the end (also of what boot_open() has refused) */
int boot_open(struct boot_image *image, const struct boot_files *files, const struct memory *plan);
int boot_load(const struct boot_image *image, const struct memory *memory, u64 rsdp);
int boot_start(const struct boot_image *image, int vcpu);
void boot_close(struct boot_image *image);
/* ... before the end: what is in memory is all that is needed any more */
void boot_close_files(struct boot_image *image);

/* ---- for loaders: loader.c ---- */

/* A regular file that can be read; 0, or -1 with the error text */
int boot_open_file(struct boot_file *file, const char *path);
void boot_close_file(struct boot_file *file);
/* Exactly so many bytes */
int boot_read(const struct boot_file *file, u64 offset, void *to, u64 size);
/* Refused unless it is within its file, in memory below 4 GiB, and out of the others' way */
int boot_add(struct boot_image *image, const struct boot_piece *piece);
/* The lowest free place in [from, to), a multiple of align; 0: there is none */
u64 boot_place(const struct boot_image *image, u64 size, u64 align, u64 from, u64 to);
/* Place all modules above the kernel, each on a page */
int boot_place_modules(struct boot_image *image);
/* --initrd and each --module, opened, in this order */
int boot_open_modules(struct boot_image *image);
const char *boot_command_line(const struct boot_image *image);
/* What is where, lowest first; returns how many of map are used */
u32 boot_memory_map(const struct memory *memory, struct boot_region map[BOOT_REGIONS]);

/* ---- for loaders: modes.c ---- */

#define BOOT_GDT_BYTES	(6 * 8)
#define BOOT_TABLES_BYTES	((2 + BOOT_MAPPED_GIB) * PAGE_BYTES)

/* The GDT that the segments of these modes come from: of 64 bits or of 32 */
void boot_fill_gdt(void *gdt, bool wide);
/* Page tables at that address, for the first BOOT_MAPPED_GIB as they are */
void boot_fill_page_tables(u64 *tables, u64 address);
int boot_start_long(int vcpu, u64 gdt, u64 page_tables, const struct thv_regs *regs);
int boot_start_protected(int vcpu, u64 gdt, const struct thv_regs *regs);	/* flat, 32 bits */
int boot_start_real(int vcpu, u16 segment, u16 offset);

/* ---- for loaders: elf.c ---- */

bool elf_probe(const struct boot_image *image);
/* Every loadable segment becomes a piece; the entry is physical */
int elf_open(struct boot_image *image);
/* The number in a note of the given owner and type, of 4 or 8 bytes; false: there is none */
bool elf_note(const struct boot_image *image, const char *owner, u32 type, u64 *value);

/* ---- firmware ---- */

/* What fw_cfg tells: NULL if there is nothing, and so no fw_cfg */
const struct fwcfg_items *boot_fwcfg(const struct boot_image *image);

/* The code at the reset vector; 0, or -1 with the error text */
int reset_vector_build(const struct memory *memory);

#define ACPI_TABLES		8
#define ACPI_POINTERS		16
#define ACPI_RSDP_BYTES		36
#define ACPI_RSDP_RSDT		16	/* where it has its two pointers */
#define ACPI_RSDP_XSDT		24

struct acpi_pointer {
	u32 offset;			/* in the block */
	u8 bytes;
};

/* Where tables are written, one after the other: the RSDP, then those with a header */
struct acpi_block {
	u8 *bytes;
	u64 gpa;
	u32 used, size;
	u32 tables, table[ACPI_TABLES];	/* their offsets */
	u32 pointers;
	struct acpi_pointer pointer[ACPI_POINTERS];	/* ... from table to table */
};

/* All tables into a block whose bytes, gpa and size are set. 0, or -1 with the error text. */
int acpi_make(struct acpi_block *block, const struct acpi_options *options);

/* ... into guest memory; returns the RSDP's address, or 0 with the error text */
u64 acpi_build(const struct memory *memory, const struct acpi_options *options);

/*
 * park.c, where a guest has no real mode: what waiting needs, before the vCPUs run; and
 * each of them but the first. 0, or -1 with the error text
 */
int park_build(const struct memory *memory);
int park_start(int vcpu, u32 apic_id);

/* The AML that iasl made of dsdt.asl, of that with LEGACY, and of com2.asl (aml.c) */
extern const u8 acpi_dsdt[], acpi_com2[], acpi_legacy[];

/* I/O ports that tables and devices agree on */
#define ACPI_SLEEP_CONTROL	0x600
#define ACPI_SLEEP_STATUS	0x601
#define ACPI_RESET		0x602
#define ACPI_RESET_VALUE	0x01
#define ACPI_PARK		0x604	/* device/park.c */
#define ACPI_PM1_EVENT		0x610	/* 2 bytes of status, 2 of enable bits */
#define ACPI_PM1_CONTROL	0x614
#define ACPI_PM_TIMER		0x618
#define ACPI_S5			5	/* SLP_TYP, as in dsdt.asl */
#define CMOS_CENTURY		0x32
#define IOAPIC_ADDRESS		0xfec00000
#define IOAPIC_PINS		24

/* Pins of the IOAPIC, and of the 8259s but for the 8254, which is at 0 there */
#define IRQ_KEYBOARD		1
#define IRQ_PIT			2
#define IRQ_RTC			8
#define IRQ_ACPI		9

#endif
