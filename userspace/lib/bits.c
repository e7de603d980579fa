// SPDX-License-Identifier: GPL-2.0-only
/* Bits into words. */
#include "lib/bits.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void text_add(char *text, size_t size, const char *format, ...)
{
	size_t used = strlen(text);
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text + used, size - used, format, arguments);
	va_end(arguments);
}

u64 bits_field(u64 value, unsigned int low, unsigned int high)
{
	return value >> low & (~0ULL >> (63 - (high - low)));
}

static void add_one(const struct bit_name *name, u64 field, char *text, size_t size)
{
	const char *blank = *text ? " " : "";

	if (name->low == name->high && field)
		text_add(text, size, "%s%s", blank, name->name);
	else if (name->values)
		text_add(text, size, "%s%s=%s", blank, name->name, name->values[field]);
	else if (name->low != name->high && field)
		text_add(text, size, "%s%s=%#llx", blank, name->name, field);
}

char *bits_words(const struct bit_name *names, u64 value, char *text, size_t size)
{
	u64 known = 0;
	unsigned int bit;

	*text = 0;
	for (; names->name; names++) {
		known |= bits_field(~0ULL, names->low, names->high) << names->low;
		add_one(names, bits_field(value, names->low, names->high), text, size);
	}
	for (bit = 0; bit < 64; bit++)
		if ((value & ~known) >> bit & 1)
			text_add(text, size, "%sbit %u", *text ? " " : "", bit);
	return text;
}
