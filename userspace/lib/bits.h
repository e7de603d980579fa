/* SPDX-License-Identifier: GPL-2.0-only */
/* Bits into words, by tables: what a register's or an entry's bits are called. */
#ifndef THV_LIB_BITS_H
#define THV_LIB_BITS_H

#include "lib/types.h"

/**
 * struct bit_name - a bit, or a field of some.
 * @low, @high: where; equal for a bit. A row without a name ends the table.
 * @name: of a bit: told if it is set. Of a field: told as NAME=value.
 * @values: of a field: what its values are called; NULL or a missing one: a number, which
 *	is not told if it is 0.
 */
struct bit_name {
	u8 low, high;
	const char *name;
	const char *const *values;
};

#define BIT_NAME(bit, text)		{ bit, bit, text, NULL }
#define BIT_FIELD(lowest, highest, text) { lowest, highest, text, NULL }

/* The words for value, a blank between two; bits that have no name as "bit N". Gives text back. */
char *bits_words(const struct bit_name *names, u64 value, char *text, size_t size);

u64 bits_field(u64 value, unsigned int low, unsigned int high);

/* Appends to a text of that size, as far as there is room */
void __attribute__((format(printf, 3, 4)))
text_add(char *text, size_t size, const char *format, ...);

#endif
