/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The gdb server: a debugger connects, the guest stops, and goes on as the debugger says
 * (gdb_session.h). One at a time; the next waits until the first has gone. When it goes, in
 * whatever way, its breakpoints go too and the guest runs on.
 */
#ifndef THV_GDB_GDB_H
#define THV_GDB_GDB_H

#include "lib/types.h"

struct gdb;
struct machine;
struct vcpu;

#define GDB_WHERE	"[HOST:]PORT or unix:PATH"

/* Check the option's argument: 0, or -1 with the error text */
int gdb_check(const char *where);

/* Once the machine's vCPUs exist; nothing, unless the configuration wants it. 0, or -1. */
int gdb_create(struct machine *machine);

/* On the vCPU's thread: THV_EXIT_DEBUG; and what ends the machine, which a debugger sees first */
void gdb_debug_exit(struct vcpu *vcpu);
void gdb_fatal(struct vcpu *vcpu, bool shutdown, const char *sentence);

#endif
