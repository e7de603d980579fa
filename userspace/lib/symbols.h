/* SPDX-License-Identifier: GPL-2.0-only */
/* The guest kernel's symbols, out of a System.map, a copy of /proc/kallsyms, or a vmlinux. */
#ifndef THV_LIB_SYMBOLS_H
#define THV_LIB_SYMBOLS_H

#include "lib/types.h"

struct symbol {
	u64 address;
	char *name;
};

/* By address once loaded; @slide is added to each: where the kernel has really been put */
struct symbols {
	struct symbol *symbol;
	size_t count, room;
	u64 slide;
};

int symbols_load(struct symbols *symbols, const char *path);	/* -1: the error text says why */
void symbols_free(struct symbols *symbols);

/* A symbol's address as the file has it; false: there is none */
bool symbols_address(const struct symbols *symbols, const char *name, u64 *address);

/* "name+0x12", or false: no symbol is near below. The text is cut to @size. */
bool symbols_name(const struct symbols *symbols, u64 address, char *text, size_t size);

/*
 * The slide of a Linux kernel, when the symbol @name is known to be at @actual: a multiple of
 * 2 MiB below 1 GiB (its CONFIG_RANDOMIZE_BASE), else false.
 */
bool symbols_slide(const struct symbols *symbols, const char *name, u64 actual, u64 *slide);

#endif
