/* SPDX-License-Identifier: GPL-2.0-only */
/* A vCPU's registers for people, as text, and its instructions. */
#ifndef THV_LIB_REGISTERS_H
#define THV_LIB_REGISTERS_H

#include <stdio.h>
#include <thv.h>

#include "lib/types.h"

extern const char *const registers_gpr[THV_GPRS];
extern const char *const registers_segment[THV_SEGMENTS];

void registers_print(const struct thv_regs *regs, FILE *file);

/* Segments and tables; the attributes of segments also in words */
void registers_print_segments(const struct thv_sregs *sregs, FILE *file);

#endif
