/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A vCPU's registers as gdb wants them: which there are, in which order, how long
 * each is (the target description), and their bytes. One table says all of it.
 */
#ifndef THV_GDB_REGISTERS_H
#define THV_GDB_REGISTERS_H

#include <thv.h>

#include "lib/types.h"

/* What the code segment makes of the processor; gdb asks once, when it connects */
enum gdb_mode { GDB_64, GDB_32, GDB_16 };

/* All that the table draws from: the components of the state */
struct gdb_registers {
	struct thv_regs regs;
	struct thv_sregs sregs;
	struct thv_fpu fpu;
	u64 kernel_gs_base;
};

/* bytes of the longest register; how many there may be */
#define GDB_REGISTER_BYTES	16
#define GDB_REGISTERS		96

enum gdb_mode gdb_mode(const struct thv_sregs *sregs);

/* The target description in XML: malloc()ed; NULL: no memory */
char *gdb_description(enum gdb_mode mode);

u32 gdb_register_count(enum gdb_mode mode);
/* bytes of register @number in that mode; 0: there is none */
u32 gdb_register_bytes(enum gdb_mode mode, u32 number);
void gdb_register_get(enum gdb_mode mode, const struct gdb_registers *from, u32 number, u8 *bytes);
void gdb_register_set(enum gdb_mode mode, struct gdb_registers *to, u32 number, const u8 *bytes);

#endif
