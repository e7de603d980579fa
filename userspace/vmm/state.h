/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a device is, written down and read back: for snapshots, migration, and the tests
 * that take a device apart and make it again.
 *
 * A state is a sequence of records, one or more a device. A record has a name ("uart 0"), a
 * version and fields; a field has a name and either a number of 1, 2, 4 or 8 bytes or plain
 * bytes. So it can be printed without knowing the device, and it is refused with a
 * sentence when something is missing, too much, too long or out of range: a state may
 * come from another build, another host, or from someone who means ill.
 *
 * A device describes its fields by a table, as options are described:
 *
 *	static const struct state_field fields[] = {
 *		STATE(struct cmos, index, .maximum = 127),
 *		STATE_BYTES(struct cmos, cell),
 *		{ 0 }
 *	};
 *
 *	static int save(void *opaque, const char *name, struct state *state)
 *	{
 *		state_begin(state, name, 1);
 *		state_save(state, fields, opaque);
 *		return state_end(state);
 *	}
 *
 *	static int restore(void *opaque, const char *name, const struct state *state)
 *	{
 *		struct state_record record;
 *
 *		if (state_find(state, name, 1, &record) || state_restore(&record, fields, opaque))
 *			return -1;
 *		return state_done(&record);
 *	}
 *
 * and says so in its create(): state_add(machine, "cmos", save, restore, cmos). Both are called
 * on the main thread while no vCPU runs; they take the device's lock as everybody does.
 *
 * Bytes in a state, all little-endian: u32 magic, u32 version of this format; then records: u32
 * bytes that follow, u32 version, u8 length of the name, the name; then fields: u8 length of the
 * name, the name, u8 type (enum state_type), u32 length, data.
 */
#ifndef THV_VMM_STATE_H
#define THV_VMM_STATE_H

#include <stdio.h>

#include "lib/types.h"

struct machine;

#define STATE_MAX_NAME	255
#define STATE_MAX_FIELDS 256	/* in a record */

enum state_type {
	STATE_NUMBER = 1,
	STATE_DATA = 2,
};

/* What is written; or read, when data and size are set by whoever has it */
struct state {
	u8 *data;
	size_t size;
	size_t room;		/* writing: bytes at data */
	size_t record;		/* writing: where the open record begins */
	bool failed;		/* writing: out of memory, or a name too long */
};

/* A record that is being read */
struct state_record {
	const char *what;	/* its name, for errors */
	u32 version;		/* that of whoever wrote it: from 1 to what state_find() was told */
	const u8 *data;		/* its fields */
	size_t size;
	bool taken[STATE_MAX_FIELDS];
};

/**
 * struct state_field - one field of a device's struct; a table of them ends without a @name.
 * @name: the field's.
 * @offset, @size: where it is in the struct.
 * @bytes: plain bytes of exactly that size, else a number.
 * @maximum: what a number may be at most; 0: any.
 * @since: the record's version that first had it; a field that an older record lacks stays
 *	as it is.
 */
struct state_field {
	const char *name;
	size_t offset;
	u32 size;
	bool bytes;
	u64 maximum;
	u32 since;
};

#define STATE(type, member, ...)	STATE_NAMED(#member, type, member, ##__VA_ARGS__)
/* ... of a struct within, whose place is no name */
#define STATE_NAMED(text, type, place, ...) \
	{ .name = text, .offset = offsetof(type, place), .size = sizeof(((type *)0)->place), ##__VA_ARGS__ }
#define STATE_BYTES(type, member, ...)	STATE(type, member, .bytes = true, ##__VA_ARGS__)

/* ---- writing -------------------------------------------------------------- */

/* Begin an empty state. state_free() when done with it. */
void state_init(struct state *state);
void state_free(struct state *state);

/* Begin a record; fields follow, then state_end(), which tells whether all of it has worked */
void state_begin(struct state *state, const char *name, u32 version);
void state_put(struct state *state, const char *field, u64 number);	/* as 8 bytes */
void state_put_bytes(struct state *state, const char *field, const void *data, size_t size);
void state_save(struct state *state, const struct state_field *fields, const void *object);
int state_end(struct state *state);	/* 0, or -1 with the error text */

/* ---- reading: 0, or -1 with a sentence that names record and field --------- */

/* Is it a state of a format that we know, in one piece? Call before all others. */
int state_check(const struct state *state);

/* The record of that name; refuses versions that are 0 or above @version */
int state_find(const struct state *state, const char *name, u32 version,
	       struct state_record *record);

int state_get(struct state_record *record, const char *field, u64 maximum, u64 *number);
/* Plain bytes where they are: at most @maximum; *size says how many */
int state_get_bytes(struct state_record *record, const char *field, size_t maximum,
		    const void **data, size_t *size);
/* All of a table, or nothing of it: on an error the object is what it was */
int state_restore(struct state_record *record, const struct state_field *fields, void *object);
/* Refuses a record with fields that nobody has asked for */
int state_done(const struct state_record *record);

/* ---- a record of one table, as most devices have: version 1, begun and ended ---- */

int state_save_table(struct state *state, const char *name, const struct state_field *fields,
		     const void *object);
int state_restore_table(const struct state *state, const char *name, const struct state_field *fields,
			void *object);

/* For people: a line for each record and field */
void state_print(const struct state *state, FILE *file);

/* ---- a machine's ----------------------------------------------------------- */

/* 0, or -1 with the error text; @name is the one that was given to state_add() */
typedef int state_saver(void *opaque, const char *name, struct state *state);
typedef int state_restorer(void *opaque, const char *name, const struct state *state);

struct state_part {
	struct state_part *next;
	char name[STATE_MAX_NAME + 1];
	state_saver *save;
	state_restorer *restore;
	void *opaque;
};

/* In create(): this device has a state. Names must differ ("disk 0", "disk 1"). */
int state_add(struct machine *machine, const char *name, state_saver *save,
	      state_restorer *restore, void *opaque);
void state_remove_all(struct machine *machine);		/* machine_destroy()'s */

/*
 * All devices, in the order they were made. Restoring wants a machine with the same devices,
 * whose vCPUs have not started, and refuses a state with records of devices that are not there.
 */
int state_save_devices(struct machine *machine, struct state *state);
int state_restore_devices(struct machine *machine, const struct state *state);

#endif
