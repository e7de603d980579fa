// SPDX-License-Identifier: GPL-2.0-only
/* Breakpoints of both kinds. Needs no module; tested natively. */
#include "gdb/breakpoints.h"

#include <string.h>

#define INT3	0xcc

/* ---- in memory ----------------------------------------------------------- */

static struct gdb_software *find(struct gdb_breakpoints *all, u64 gla)
{
	u32 i;

	for (i = 0; i < all->count; i++)
		if (all->software[i].gla == gla)
			return &all->software[i];
	return NULL;
}

static const struct gdb_software *find_place(const struct gdb_breakpoints *all, const u8 *place)
{
	u32 i;

	for (i = 0; i < all->count; i++)
		if (all->software[i].place == place)
			return &all->software[i];
	return NULL;
}

bool gdb_software_at(const struct gdb_breakpoints *all, const u8 *place)
{
	return find_place(all, place);
}

/* Two addresses of one byte: the second finds an INT3, and has to know what is under it */
enum gdb_inserted gdb_software_insert(struct gdb_breakpoints *all, u64 gla, u8 *place)
{
	const struct gdb_software *same = find_place(all, place);

	if (find(all, gla))
		return GDB_INSERTED;
	if (all->count == GDB_SOFTWARE_BREAKPOINTS)
		return GDB_NO_ROOM;
	all->software[all->count++] = (struct gdb_software){
		.gla = gla, .place = place, .saved = same ? same->saved : *place,
	};
	*place = INT3;
	return GDB_INSERTED;
}

/* The guest may have written there since (it loads a module, it patches itself): then it is its own */
static void restore(const struct gdb_software *software)
{
	if (*software->place == INT3)
		*software->place = software->saved;
}

void gdb_software_remove(struct gdb_breakpoints *all, u64 gla)
{
	struct gdb_software *software = find(all, gla), removed;

	if (!software)
		return;
	removed = *software;
	*software = all->software[--all->count];
	if (!find_place(all, removed.place))
		restore(&removed);
}

void gdb_breakpoints_hide(const struct gdb_breakpoints *all, const u8 *place, u8 *data,
			  size_t length)
{
	u32 i;

	for (i = 0; i < all->count; i++) {
		const struct gdb_software *software = &all->software[i];

		if (software->place >= place && software->place < place + length &&
		    *software->place == INT3)
			data[software->place - place] = software->saved;
	}
}

void gdb_breakpoints_write(struct gdb_breakpoints *all, u8 *place, const u8 *data, size_t length)
{
	u32 i;

	memcpy(place, data, length);
	for (i = 0; i < all->count; i++) {
		struct gdb_software *software = &all->software[i];

		if (software->place < place || software->place >= place + length)
			continue;
		software->saved = data[software->place - place];
		*software->place = INT3;
	}
}

/* ---- in the debug registers ---------------------------------------------- */

/* SDM 18.2.4: R/W and LEN of DR7. There is no read-only kind: gdb looks whether the value changed. */
static const u8 kinds[] = { [GDB_EXECUTE] = 0, [GDB_WRITE] = 1, [GDB_READ] = 3, [GDB_ACCESS] = 3 };
static const int lengths[] = { -1, 0, 1, -1, 3, -1, -1, -1, 2 };

static bool possible(enum gdb_breakpoint kind, u64 gla, u64 length)
{
	/* In 64-bit mode; elsewhere addresses are shorter */
	if ((s64)(gla << 16) >> 16 != (s64)gla)
		return false;
	if (kind == GDB_EXECUTE)
		return true;	/* the protocol tells an instruction's length, or none */
	return length < ARRAY_SIZE(lengths) && lengths[length] >= 0 && !(gla & (length - 1));
}

static bool is(const struct gdb_hardware *hardware, enum gdb_breakpoint kind, u64 gla, u64 length)
{
	return hardware->kind == kind && hardware->gla == gla &&
	       (kind == GDB_EXECUTE || hardware->length == length);
}

enum gdb_inserted gdb_hardware_insert(struct gdb_breakpoints *all, enum gdb_breakpoint kind,
				      u64 gla, u64 length)
{
	int i, unused = -1;

	if (!possible(kind, gla, length))
		return GDB_IMPOSSIBLE;
	for (i = GDB_HARDWARE_BREAKPOINTS - 1; i >= 0; i--) {
		if (all->hardware[i].kind == GDB_SOFTWARE)
			unused = i;
		else if (is(&all->hardware[i], kind, gla, length))
			return GDB_INSERTED;
	}
	if (unused < 0)
		return GDB_NO_ROOM;
	all->hardware[unused] = (struct gdb_hardware){
		kind, gla, kind == GDB_EXECUTE ? 1 : length,
	};
	return GDB_INSERTED;
}

void gdb_hardware_remove(struct gdb_breakpoints *all, enum gdb_breakpoint kind, u64 gla,
			 u64 length)
{
	int i;

	for (i = 0; i < GDB_HARDWARE_BREAKPOINTS; i++)
		if (is(&all->hardware[i], kind, gla, length))
			all->hardware[i] = (struct gdb_hardware){ .kind = GDB_SOFTWARE };
}

const struct gdb_hardware *gdb_hardware_hit(const struct gdb_breakpoints *all, u64 dr6)
{
	int i;

	for (i = 0; i < GDB_HARDWARE_BREAKPOINTS; i++)
		if (dr6 >> i & 1 && all->hardware[i].kind != GDB_SOFTWARE)
			return &all->hardware[i];
	return NULL;
}

/* ---- both ---------------------------------------------------------------- */

void gdb_breakpoints_clear(struct gdb_breakpoints *all)
{
	while (all->count)
		gdb_software_remove(all, all->software[0].gla);
	memset(all->hardware, 0, sizeof(all->hardware));
}

void gdb_breakpoints_debug(const struct gdb_breakpoints *all, struct thv_debug_guest *debug)
{
	u64 i;

	*debug = (struct thv_debug_guest){ .flags = all->count ? THV_DEBUG_BREAKPOINTS : 0 };
	for (i = 0; i < GDB_HARDWARE_BREAKPOINTS; i++) {
		const struct gdb_hardware *hardware = &all->hardware[i];

		if (hardware->kind == GDB_SOFTWARE)
			continue;
		debug->flags |= THV_DEBUG_HARDWARE;
		debug->dr[i] = hardware->gla;
		debug->dr7 |= 2ULL << (2 * i);	/* global enable */
		debug->dr7 |= (u64)kinds[hardware->kind] << (16 + 4 * i);
		debug->dr7 |= (u64)lengths[hardware->length] << (18 + 4 * i);
	}
}
