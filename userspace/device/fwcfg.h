/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What fw_cfg has to tell: items, each a number and bytes; those with a name are also in its
 * directory. Whoever has something to tell adds it before the machine is made (boot/bios.c, thv run).
 * The interface is QEMU's (docs/specs/fw_cfg.rst), because firmware knows that one.
 */
#ifndef THV_DEVICE_FWCFG_H
#define THV_DEVICE_FWCFG_H

#include "lib/types.h"

#define FWCFG_ITEMS	64
#define FWCFG_NAME	56		/* bytes, with the zero */
#define FWCFG_PORT	0x510

/* Numbers that have a meaning of their own; files follow from FILES on */
enum fwcfg_key {
	FWCFG_SIGNATURE = 0x00,
	FWCFG_ID = 0x01,
	FWCFG_RAM_SIZE = 0x03,
	FWCFG_CPUS = 0x05,
	FWCFG_KERNEL_SIZE = 0x08,
	FWCFG_INITRD_SIZE = 0x0b,
	FWCFG_BOOT_MENU = 0x0e,
	FWCFG_MAX_CPUS = 0x0f,
	FWCFG_KERNEL_DATA = 0x11,
	FWCFG_INITRD_DATA = 0x12,
	FWCFG_COMMAND_SIZE = 0x14,
	FWCFG_COMMAND_DATA = 0x15,
	FWCFG_SETUP_SIZE = 0x17,
	FWCFG_SETUP_DATA = 0x18,
	FWCFG_DIRECTORY = 0x19,
	FWCFG_FILES = 0x20,
};

struct fwcfg_item {
	u16 key;
	char name[FWCFG_NAME];		/* "": not a file */
	const void *data;		/* stays the caller's, and as it is */
	u32 size;
	u64 number;			/* what data points to, of those with a number */
};

struct fwcfg_items {
	u32 count, files;
	struct fwcfg_item item[FWCFG_ITEMS];
};

/* All: 0, or -1 with the error text */
int fwcfg_add(struct fwcfg_items *items, u16 key, const void *data, u32 size);
int fwcfg_add_number(struct fwcfg_items *items, u16 key, u64 number, u32 bytes);
int fwcfg_add_file(struct fwcfg_items *items, const char *name, const void *data, u32 size);
int fwcfg_add_file_number(struct fwcfg_items *items, const char *name, u64 number);

#endif
