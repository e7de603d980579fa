/* SPDX-License-Identifier: GPL-2.0-only */
/* What every fuzz target says when it has found something. */
#ifndef THV_FUZZ_H
#define THV_FUZZ_H

#include <stdio.h>
#include <stdlib.h>

#define REQUIRE(condition) do {								\
	if (!(condition)) {								\
		fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #condition);	\
		abort();								\
	}										\
} while (0)

#endif
