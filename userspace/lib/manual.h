/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is made of the table of commands beside --help: the middle of the manual page and
 * the bash completion. Both are printed when thv is built (userspace/Makefile).
 */
#ifndef THV_LIB_MANUAL_H
#define THV_LIB_MANUAL_H

#include "lib/options.h"

/* One subsection a command, as man(7) wants it; Documentation/thv.1.in has the rest of the page */
void manual_commands(const struct command *const *commands, size_t count, FILE *file);

/* A script for bash to source */
void manual_completion(const struct command *const *commands, size_t count, FILE *file);

#endif
