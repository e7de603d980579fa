// SPDX-License-Identifier: GPL-2.0-only
/* Devices' states, written and read; state.h has the format. Nothing read is believed. */
#include "vmm/state.h"

#include <stdlib.h>
#include <string.h>

#include "lib/error.h"
#include "vmm/machine.h"

#define MAGIC		0x53564854	/* "THVS" */
#define FORMAT		1
#define HEADER		8

/* ---- writing -------------------------------------------------------------- */

static void append(struct state *state, const void *data, size_t size)
{
	size_t room = state->room;
	u8 *more;

	if (state->failed || !size)
		return;
	while (room - state->size < size)
		room = room ? 2 * room : 4096;
	if (room != state->room) {
		more = realloc(state->data, room);
		if (!more) {
			state->failed = true;
			return;
		}
		state->data = more;
		state->room = room;
	}
	memcpy(state->data + state->size, data, size);
	state->size += size;
}

/* x86 is little-endian, and so is the format */
static void append_number(struct state *state, u64 number, u32 size)
{
	append(state, &number, size);
}

static void append_name(struct state *state, const char *name)
{
	size_t length = strlen(name);

	if (length > STATE_MAX_NAME)
		state->failed = true;
	append_number(state, length, 1);
	append(state, name, length);
}

void state_init(struct state *state)
{
	*state = (struct state){ 0 };
	append_number(state, MAGIC, 4);
	append_number(state, FORMAT, 4);
}

void state_free(struct state *state)
{
	free(state->data);
	*state = (struct state){ 0 };
}

void state_begin(struct state *state, const char *name, u32 version)
{
	state->record = state->size;
	append_number(state, 0, 4);	/* state_end() knows how long it is */
	append_number(state, version, 4);
	append_name(state, name);
}

static void put(struct state *state, const char *field, enum state_type type, const void *data,
		size_t size)
{
	append_name(state, field);
	append_number(state, type, 1);
	append_number(state, size, 4);
	append(state, data, size);
}

void state_put(struct state *state, const char *field, u64 number)
{
	put(state, field, STATE_NUMBER, &number, sizeof(number));
}

void state_put_bytes(struct state *state, const char *field, const void *data, size_t size)
{
	put(state, field, STATE_DATA, data, size);
}

void state_save(struct state *state, const struct state_field *fields, const void *object)
{
	for (; fields->name; fields++)
		put(state, fields->name, fields->bytes ? STATE_DATA : STATE_NUMBER,
		    (const u8 *)object + fields->offset, fields->size);
}

int state_end(struct state *state)
{
	u32 length;

	if (state->failed)
		return error_set("out of memory for the devices' state");
	length = state->size - state->record - sizeof(length);
	memcpy(state->data + state->record, &length, sizeof(length));
	return 0;
}

/* ---- reading: a cursor that never passes the end --------------------------- */

struct cursor {
	const u8 *at;
	size_t left;
};

static const u8 *take(struct cursor *cursor, size_t size)
{
	const u8 *at = cursor->at;

	if (size > cursor->left)
		return NULL;
	cursor->at += size;
	cursor->left -= size;
	return at;
}

static bool take_number(struct cursor *cursor, u64 *number, u32 size)
{
	const u8 *at = take(cursor, size);

	*number = 0;
	if (at)
		memcpy(number, at, size);
	return at;
}

struct name {
	const char *text;	/* not terminated */
	size_t length;
};

static bool take_name(struct cursor *cursor, struct name *name)
{
	u64 length;

	if (!take_number(cursor, &length, 1))
		return false;
	name->text = (const char *)take(cursor, length);
	name->length = length;
	return name->text;
}

static bool is(const struct name *name, const char *text)
{
	return strlen(text) == name->length && !memcmp(name->text, text, name->length);
}

struct raw_record {
	struct name name;
	u64 version;
	struct cursor fields;
};

static bool take_record(struct cursor *cursor, struct raw_record *record)
{
	u64 length;

	if (!take_number(cursor, &length, 4))
		return false;
	record->fields = (struct cursor){ take(cursor, length), length };
	return record->fields.at && take_number(&record->fields, &record->version, 4) &&
	       take_name(&record->fields, &record->name);
}

struct raw_field {
	struct name name;
	u64 type;
	const u8 *data;
	u64 length;
};

static bool take_field(struct cursor *cursor, struct raw_field *field)
{
	if (!take_name(cursor, &field->name) || !take_number(cursor, &field->type, 1) ||
	    !take_number(cursor, &field->length, 4))
		return false;
	field->data = take(cursor, field->length);
	return field->data;
}

static bool number_size(u64 length)
{
	return length == 1 || length == 2 || length == 4 || length == 8;
}

static int check_fields(struct raw_record *record)
{
	struct cursor fields = record->fields;
	struct raw_field field;
	u32 count;

	for (count = 0; fields.left && count < STATE_MAX_FIELDS; count++)
		if (!take_field(&fields, &field) ||
		    (field.type == STATE_NUMBER ? !number_size(field.length) : field.type != STATE_DATA))
			break;
	if (fields.left)
		return error_set("the state is damaged: record '%.*s' is no sequence of fields",
				 (int)record->name.length, record->name.text);
	return 0;
}

static struct cursor records_of(const struct state *state)
{
	return (struct cursor){ state->data + HEADER, state->size - HEADER };
}

int state_check(const struct state *state)
{
	struct cursor cursor = { state->data, state->size };
	struct raw_record record;
	u64 magic, format;

	if (!take_number(&cursor, &magic, 4) || !take_number(&cursor, &format, 4) || magic != MAGIC)
		return error_set("this is no state of a machine of thv's");
	if (format != FORMAT)
		return error_set("the state is written in format %llu, this thv reads format %u; take the thv that wrote it",
				 format, FORMAT);
	while (cursor.left) {
		if (!take_record(&cursor, &record))
			return error_set("the state is damaged: it ends within a record");
		if (check_fields(&record))
			return -1;
	}
	return 0;
}

int state_find(const struct state *state, const char *name, u32 version,
	       struct state_record *record)
{
	struct cursor cursor = records_of(state);
	struct raw_record raw;

	while (cursor.left && take_record(&cursor, &raw)) {
		if (!is(&raw.name, name))
			continue;
		if (!raw.version || raw.version > version)
			return error_set("'%s' is saved in version %llu; this thv knows versions 1 to %u: take a newer thv",
					 name, raw.version, version);
		*record = (struct state_record){ name, raw.version, raw.fields.at, raw.fields.left, { 0 } };
		return 0;
	}
	return error_set("the state has nothing of '%s': it is of a machine without one", name);
}

/* NULL: it has none, or it was taken already: no error text */
static bool find_field(struct state_record *record, const char *name, struct raw_field *field)
{
	struct cursor cursor = { record->data, record->size };
	u32 index;

	for (index = 0; cursor.left && take_field(&cursor, field); index++) {
		if (!is(&field->name, name) || record->taken[index])
			continue;
		record->taken[index] = true;
		return true;
	}
	return false;
}

static int missing(const struct state_record *record, const char *field)
{
	return error_set("the state of '%s' lacks its field '%s'", record->what, field);
}

static int get_number(struct state_record *record, const char *name, u64 maximum, u64 *number)
{
	struct raw_field field;

	if (!find_field(record, name, &field))
		return missing(record, name);
	if (field.type != STATE_NUMBER)
		return error_set("the state of '%s' has no number as '%s'", record->what, name);
	*number = 0;
	memcpy(number, field.data, field.length);
	if (*number > maximum)
		return error_set("the state of '%s' has %llu as '%s', which is %llu at most",
				 record->what, *number, name, maximum);
	return 0;
}

int state_get(struct state_record *record, const char *field, u64 maximum, u64 *number)
{
	return get_number(record, field, maximum ? maximum : ~0ULL, number);
}

int state_get_bytes(struct state_record *record, const char *name, size_t maximum,
		    const void **data, size_t *size)
{
	struct raw_field field;

	if (!find_field(record, name, &field))
		return missing(record, name);
	if (field.type != STATE_DATA || field.length > maximum)
		return error_set("the state of '%s' has not up to %zu bytes as '%s'", record->what,
				 maximum, name);
	*data = field.data;
	*size = field.length;
	return 0;
}

static u64 largest(const struct state_field *field)
{
	u64 fits = field->size < 8 ? (1ULL << 8 * field->size) - 1 : ~0ULL;

	return field->maximum && field->maximum < fits ? field->maximum : fits;
}

/* The field's new value to @to, which has room for it */
static int read_field(struct state_record *record, const struct state_field *field, u8 *to)
{
	const void *data;
	size_t size;
	u64 number;

	if (!field->bytes) {
		if (get_number(record, field->name, largest(field), &number))
			return -1;
		memcpy(to, &number, field->size);
		return 0;
	}
	if (state_get_bytes(record, field->name, field->size, &data, &size))
		return -1;
	if (size != field->size)
		return error_set("the state of '%s' has %zu bytes as '%s', not %u", record->what, size,
				 field->name, field->size);
	memcpy(to, data, size);
	return 0;
}

/* Into a copy first, so that a field that is refused leaves no half of an object behind */
int state_restore(struct state_record *record, const struct state_field *fields, void *object)
{
	const struct state_field *field;
	size_t end = 0;
	u8 *copy;

	for (field = fields; field->name; field++)
		if (field->offset + field->size > end)
			end = field->offset + field->size;
	copy = malloc(end + 1);
	if (!copy)
		return error_set("out of memory");
	for (field = fields; field->name; field++) {
		if (record->version >= field->since && read_field(record, field, copy + field->offset)) {
			free(copy);
			return -1;
		}
	}
	for (field = fields; field->name; field++)
		if (record->version >= field->since)
			memcpy((u8 *)object + field->offset, copy + field->offset, field->size);
	free(copy);
	return 0;
}

int state_done(const struct state_record *record)
{
	struct cursor cursor = { record->data, record->size };
	struct raw_field field;
	u32 index;

	for (index = 0; cursor.left && take_field(&cursor, &field); index++)
		if (!record->taken[index])
			return error_set("the state of '%s' has a field '%.*s' that this thv does not know",
					 record->what, (int)field.name.length, field.name.text);
	return 0;
}

int state_save_table(struct state *state, const char *name, const struct state_field *fields,
		     const void *object)
{
	state_begin(state, name, 1);
	state_save(state, fields, object);
	return state_end(state);
}

int state_restore_table(const struct state *state, const char *name, const struct state_field *fields,
			void *object)
{
	struct state_record record;

	if (state_find(state, name, 1, &record) || state_restore(&record, fields, object))
		return -1;
	return state_done(&record);
}

static void print_field(const struct raw_field *field, FILE *file)
{
	u64 number = 0, i;

	fprintf(file, "  %.*s ", (int)field->name.length, field->name.text);
	if (field->type == STATE_NUMBER) {
		memcpy(&number, field->data, field->length);
		fprintf(file, "%#llx\n", number);
		return;
	}
	for (i = 0; i < field->length; i++)
		fprintf(file, "%02x", field->data[i]);
	fprintf(file, "\n");
}

void state_print(const struct state *state, FILE *file)
{
	struct cursor cursor = records_of(state);
	struct raw_record record;
	struct raw_field field;

	while (cursor.left && take_record(&cursor, &record)) {
		fprintf(file, "%.*s, version %llu\n", (int)record.name.length, record.name.text,
			record.version);
		while (record.fields.left && take_field(&record.fields, &field))
			print_field(&field, file);
	}
}

/* ---- a machine's ----------------------------------------------------------- */

int state_add(struct machine *machine, const char *name, state_saver *save,
	      state_restorer *restore, void *opaque)
{
	struct state_part *part = calloc(1, sizeof(*part)), **end = &machine->states;

	if (!part)
		return error_set("out of memory");
	snprintf(part->name, sizeof(part->name), "%s", name);
	part->save = save;
	part->restore = restore;
	part->opaque = opaque;
	for (; *end; end = &(*end)->next) {
		if (!strcmp((*end)->name, part->name)) {
			free(part);
			return error_set("two devices save their state as '%s'", name);
		}
	}
	*end = part;
	return 0;
}

void state_remove_all(struct machine *machine)
{
	struct state_part *part;

	while (machine->states) {
		part = machine->states;
		machine->states = part->next;
		free(part);
	}
}

int state_save_devices(struct machine *machine, struct state *state)
{
	struct state_part *part;

	for (part = machine->states; part; part = part->next)
		if (part->save(part->opaque, part->name, state))
			return -1;
	return 0;
}

/* A record belongs to the part whose name it has, or begins with before a '/' */
static bool belongs(const struct name *name, const struct state_part *part)
{
	size_t length = strlen(part->name);

	return name->length >= length && !memcmp(name->text, part->name, length) &&
	       (name->length == length || name->text[length] == '/');
}

static int check_owners(const struct machine *machine, const struct state *state)
{
	struct cursor cursor = records_of(state);
	const struct state_part *part;
	struct raw_record record;

	while (cursor.left && take_record(&cursor, &record)) {
		for (part = machine->states; part && !belongs(&record.name, part); part = part->next)
			;
		if (!part)
			return error_set("the state has a device '%.*s', and this machine has none: give it the same options",
					 (int)record.name.length, record.name.text);
	}
	return 0;
}

int state_restore_devices(struct machine *machine, const struct state *state)
{
	struct state_part *part;

	if (state_check(state) || check_owners(machine, state))
		return -1;
	for (part = machine->states; part; part = part->next)
		if (part->restore(part->opaque, part->name, state))
			return -1;
	return 0;
}
