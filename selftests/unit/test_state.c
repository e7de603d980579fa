// SPDX-License-Identifier: GPL-2.0-only
// sources: userspace/vmm/state.c userspace/lib/error.c
/* Devices' states: what is written is read again, and nothing else is believed. */
#include <stdlib.h>
#include <string.h>

#include "lib/error.h"
#include "tap.h"
#include "vmm/machine.h"
#include "vmm/state.h"

struct thing {
	u8 index;
	u16 word;
	u32 newer;
	u64 time;
	u8 cell[5];
};

static const struct state_field fields[] = {
	STATE(struct thing, index, .maximum = 9),
	STATE(struct thing, word),
	STATE(struct thing, time),
	STATE_BYTES(struct thing, cell),
	STATE(struct thing, newer, .since = 2),
	{ 0 }
};

static const struct thing example = { 7, 0xbeef, 0xabcd, ~5ULL, { 1, 2, 3, 4, 5 } };

static void write_thing(struct state *state, const char *name, u32 version)
{
	state_init(state);
	state_begin(state, name, version);
	state_save(state, fields, &example);
}

static int read_thing(const struct state *state, const char *name, u32 version, struct thing *thing)
{
	struct state_record record;

	if (state_check(state) || state_find(state, name, version, &record) ||
	    state_restore(&record, fields, thing))
		return -1;
	return state_done(&record);
}

static void test_there_and_back(void)
{
	struct state state;
	struct thing thing = { 0 };

	write_thing(&state, "thing", 2);
	tap_is(state_end(&state), 0, "a record is written");
	tap_is(read_thing(&state, "thing", 2, &thing), 0, "... and read");
	tap_ok(!memcmp(&thing, &example, sizeof(thing)), "... and all is as it was");
	tap_is(read_thing(&state, "thing", 3, &thing), 0, "a later thv reads it, too");
	state_free(&state);
}

static void test_older(void)
{
	struct thing thing = { .newer = 99 };
	struct state_field old[5];
	struct state state;

	memcpy(old, fields, sizeof(*fields) * 4);
	old[4] = (struct state_field){ 0 };
	state_init(&state);
	state_begin(&state, "thing", 1);
	state_save(&state, old, &example);
	state_end(&state);
	tap_is(read_thing(&state, "thing", 2, &thing), 0, "an older record is read");
	tap_ok(thing.newer == 99 && thing.word == 0xbeef, "a field that it lacks stays as it is");
	state_free(&state);
}

/* Written, then changed by @spoil: refused with @word in the sentence, the object untouched */
static void refuse(const char *claim, void (*spoil)(struct state *state), const char *word)
{
	struct thing thing = { .word = 1 }, before = thing;
	struct state state;

	write_thing(&state, "thing", 2);
	spoil(&state);
	state_end(&state);
	tap_ok(read_thing(&state, "thing", 2, &thing) && strstr(error_text(), word),
	       "%s is refused: %s", claim, error_text());
	tap_check(!memcmp(&thing, &before, sizeof(thing)) || !strcmp(word, "does not know"), "%s", claim);
	state_free(&state);
}

static void add_field(struct state *state)
{
	state_put(state, "surprise", 1);
}

static void add_twice(struct state *state)
{
	state_put(state, "word", 1);
}

static u8 *find(struct state *state, const char *text)
{
	return memmem(state->data, state->size, text, strlen(text));
}

static void large_index(struct state *state)
{
	find(state, "index")[5 + 1 + 4] = 10;
}

static void rename_field(struct state *state)
{
	find(state, "time")[0] = 'T';
}

static void bytes_for_number(struct state *state)
{
	find(state, "word")[4] = STATE_DATA;
}

static void newer_version(struct state *state)
{
	state->data[12] = 3;
}

static void no_version(struct state *state)
{
	state->data[12] = 0;
}

static void other_name(struct state *state)
{
	find(state, "thing")[0] = 'T';
}

static void other_magic(struct state *state)
{
	state->data[0]++;
}

static void other_format(struct state *state)
{
	state->data[4]++;
}

static void long_name(struct state *state)
{
	find(state, "cell")[-1] = 255;
}

static void test_refusals(void)
{
	refuse("a field too many", add_field, "does not know");
	refuse("a field that is there twice", add_twice, "does not know");
	refuse("a number out of range", large_index, "9 at most");
	refuse("a missing field", rename_field, "lacks its field 'time'");
	refuse("bytes where a number should be", bytes_for_number, "no number as 'word'");
	refuse("a version of the future", newer_version, "version 3; this thv knows versions 1 to 2");
	refuse("version 0", no_version, "version 0");
	refuse("a state without the record", other_name, "nothing of 'thing'");
	refuse("another file", other_magic, "no state");
	refuse("another format", other_format, "format 2");
	refuse("a name beyond the end", long_name, "damaged");
	tap_ok(tap_held(), "what is refused leaves the object as it was");
}

/* Cut anywhere, or with any byte changed: refused or read, and the sanitizers see no access outside */
static void test_damage(void)
{
	struct state state, part;
	struct thing thing = { 0 };
	u32 at, cut_read = 0;

	write_thing(&state, "thing", 2);
	state_end(&state);
	for (at = 0; at < state.size; at++) {
		part = (struct state){ .data = malloc(at + 1), .size = at };
		memcpy(part.data, state.data, at);
		cut_read += !read_thing(&part, "thing", 2, &thing);
		free(part.data);
		part = (struct state){ .data = malloc(state.size), .size = state.size };
		memcpy(part.data, state.data, state.size);
		part.data[at] ^= 0xff;
		read_thing(&part, "thing", 2, &thing);
		tap_check(thing.index <= 9, "byte %u: index %u", at, thing.index);
		free(part.data);
	}
	tap_is(cut_read, 0, "a state that ends early is refused, wherever it ends");
	tap_ok(tap_held(), "whatever byte is wrong, no field goes out of its range");
	state_free(&state);
}

/* ---- a machine of two things ---------------------------------------------- */

static int save(void *opaque, const char *name, struct state *state)
{
	state_begin(state, name, 2);
	state_save(state, fields, opaque);
	return state_end(state);
}

static int restore(void *opaque, const char *name, const struct state *state)
{
	return read_thing(state, name, 2, opaque);
}

static void test_machine(void)
{
	struct thing a = example, b = example;
	struct machine machine = { 0 }, smaller = { 0 };
	struct state state;
	char *text;
	size_t size;
	FILE *file = open_memstream(&text, &size);

	b.word = 2;
	tap_ok(!state_add(&machine, "thing 0", save, restore, &a) &&
	       !state_add(&machine, "thing 1", save, restore, &b), "two devices have a state");
	tap_ok(state_add(&machine, "thing 1", save, restore, &b), "... but not under one name");
	state_init(&state);
	tap_is(state_save_devices(&machine, &state), 0, "both are saved");
	a = b = (struct thing){ 0 };
	tap_is(state_restore_devices(&machine, &state), 0, "both are restored");
	tap_ok(!memcmp(&a, &example, sizeof(a)) && b.word == 2, "each from its own record");
	state_add(&smaller, "thing 0", save, restore, &a);
	tap_ok(state_restore_devices(&smaller, &state) && strstr(error_text(), "thing 1"),
	       "a machine without one of the devices refuses: %s", error_text());
	state_print(&state, file);
	fclose(file);
	tap_ok(strstr(text, "thing 1, version 2\n") && strstr(text, "  word 0xbeef\n") &&
	       strstr(text, "  cell 0102030405\n"), "a state can be read by people");
	free(text);
	state_free(&state);
	state_remove_all(&machine);
	state_remove_all(&smaller);
}

int main(void)
{
	test_there_and_back();
	test_older();
	test_refusals();
	test_damage();
	test_machine();
	return tap_done();
}
