// SPDX-License-Identifier: GPL-2.0-only
/* The text of the last error, one for each thread. */
#include "lib/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static __thread char text[1024];

int error_set(const char *format, ...)
{
	char fresh[sizeof(text)];	/* an argument may be the old text */
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(fresh, sizeof(fresh), format, arguments);
	va_end(arguments);
	memcpy(text, fresh, sizeof(text));
	return -1;
}

int error_errno(const char *format, ...)
{
	const char *reason = strerror(errno);
	va_list arguments;
	size_t length;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	length = strlen(text);
	snprintf(text + length, sizeof(text) - length, ": %s", reason);
	return -1;
}

const char *error_text(void)
{
	return text;
}
