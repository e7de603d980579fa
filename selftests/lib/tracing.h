/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The module's tracepoints, in an instance of tracefs of our own, so that nobody else's tracing is
 * disturbed. What must work ends the test with a sentence if it does not.
 */
#ifndef THV_SELFTEST_TRACING_H
#define THV_SELFTEST_TRACING_H

#include <stdbool.h>

#define TRACEFS	"/sys/kernel/tracing"

bool tracing_possible(void);		/* for REQUIRE() */
void tracing_begin(void);		/* nothing is traced yet */
void tracing_put(const char *file, const char *text);
const char *tracing_lines(void);	/* the oldest megabyte of what the instance has; valid until the next call */
void tracing_end(void);

#endif
