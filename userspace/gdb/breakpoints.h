/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A debugger's breakpoints: INT3 written into guest memory, and the four that the
 * debug registers hold. Changed only while no vCPU runs; then any thread may look.
 */
#ifndef THV_GDB_BREAKPOINTS_H
#define THV_GDB_BREAKPOINTS_H

#include <thv.h>

#include "lib/types.h"

#define GDB_SOFTWARE_BREAKPOINTS	1024
#define GDB_HARDWARE_BREAKPOINTS	4

/* The numbers of the protocol's Z packets */
enum gdb_breakpoint { GDB_SOFTWARE, GDB_EXECUTE, GDB_WRITE, GDB_READ, GDB_ACCESS, GDB_BREAKPOINTS };

struct gdb_software {
	u64 gla;		/* as the debugger said */
	u8 *place;		/* in the launcher's mapping of guest memory */
	u8 saved;
};

struct gdb_hardware {
	enum gdb_breakpoint kind;	/* GDB_SOFTWARE: free */
	u64 gla, length;
};

struct gdb_breakpoints {
	u32 count;
	struct gdb_software software[GDB_SOFTWARE_BREAKPOINTS];
	struct gdb_hardware hardware[GDB_HARDWARE_BREAKPOINTS];
};

enum gdb_inserted { GDB_INSERTED, GDB_NO_ROOM, GDB_IMPOSSIBLE, GDB_UNMAPPED };

/* @place: the byte of guest memory */
enum gdb_inserted gdb_software_insert(struct gdb_breakpoints *all, u64 gla, u8 *place);
void gdb_software_remove(struct gdb_breakpoints *all, u64 gla);
bool gdb_software_at(const struct gdb_breakpoints *all, const u8 *place);

enum gdb_inserted gdb_hardware_insert(struct gdb_breakpoints *all, enum gdb_breakpoint kind,
				      u64 gla, u64 length);
void gdb_hardware_remove(struct gdb_breakpoints *all, enum gdb_breakpoint kind, u64 gla,
			 u64 length);
/* Of DR6's B0 to B3, the first that is set; NULL: none is ours */
const struct gdb_hardware *gdb_hardware_hit(const struct gdb_breakpoints *all, u64 dr6);

void gdb_breakpoints_clear(struct gdb_breakpoints *all);

/* What THV_DEBUG_GUEST is to be told for these, but for a step */
void gdb_breakpoints_debug(const struct gdb_breakpoints *all, struct thv_debug_guest *debug);

/*
 * Guest memory as it would be without them: hide, what has been read from @place is
 * put right in @data; write, beside them and under them.
 */
void gdb_breakpoints_hide(const struct gdb_breakpoints *all, const u8 *place, u8 *data,
			  size_t length);
void gdb_breakpoints_write(struct gdb_breakpoints *all, u8 *place, const u8 *data, size_t length);

#endif
