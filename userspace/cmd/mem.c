// SPDX-License-Identifier: GPL-2.0-only
/* thv mem: a running guest's memory, as bytes or as instructions. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/commands.h"
#include "cmd/target.h"
#include "lib/control.h"
#include "lib/error.h"
#include "lib/guest.h"
#include "lib/json.h"
#include "lib/listing.h"

struct mem_values {
	struct target target;
	u64 address;
	u64 length;
	bool physical;
	bool disassemble;
	bool json;
};

static const struct option_row options[] = {
	TARGET_VM,
	{ "ADDRESS", NULL, "where to begin: a linear address of the vCPU", option_address,
	  .field = offsetof(struct mem_values, address), .positional = true, .required = true },
	{ "LENGTH", NULL, "how many bytes", option_size,
	  .field = offsetof(struct mem_values, length), .positional = true, .required = true,
	  .minimum = 1, .maximum = SIZE_1M },
	TARGET_VCPU,
	{ "physical", NULL, "the address is guest-physical", option_flag,
	  .field = offsetof(struct mem_values, physical) },
	{ "disassemble", NULL, "print instructions, in the vCPU's mode, instead of bytes",
	  option_flag, .field = offsetof(struct mem_values, disassemble) },
	{ "json", NULL, "print it as JSON", option_flag,
	  .field = offsetof(struct mem_values, json) },
	{ 0 }
};

static const struct option_status statuses[] = {
	{ 0, "all of it, or some, was printed" },
	{ STATUS_ERROR, "nothing could be read; the reason was printed" },
	{ 0, NULL }
};

/* What is being printed: one after the other, pages that could be read and those that could not */
struct listing {
	const struct mem_values *values;
	struct thv_sregs sregs;
	struct json json;
	u8 *bytes;	/* read, but not yet printed */
	u32 length;
	u64 address;	/* of bytes[0] */
	bool any;
};

static void json_bytes(struct json *json, const u8 *bytes, u32 length)
{
	u32 i;

	json_open(json, "bytes", '[');
	for (i = 0; i < length; i++)
		json_number(json, NULL, bytes[i]);
	json_close(json, ']');
}

static void json_instruction(struct json *json, u64 address, const char *text, const u8 *bytes,
			     u32 length)
{
	json_open(json, NULL, '{');
	json_number(json, "address", address);
	json_text(json, "text", text);
	json_bytes(json, bytes, length);
	json_close(json, '}');
}

/* A byte that begins no instruction stands for itself, and the next is tried */
static void print_code(struct listing *listing)
{
	u32 at, used;
	char text[100];

	for (at = 0; at < listing->length; at += used) {
		used = listing_instruction(&listing->sregs, listing->address + at,
					   listing->bytes + at, listing->length - at, text,
					   sizeof(text));
		if (!used)
			snprintf(text, sizeof(text), "db %#04x", listing->bytes[at]);
		used = used ? used : 1;
		if (listing->values->json)
			json_instruction(&listing->json, listing->address + at, text,
					 listing->bytes + at, used);
		else
			listing_line(listing->address + at, listing->bytes + at, used, text, stdout);
	}
}

static void print_bytes(struct listing *listing)
{
	if (!listing->values->json) {
		listing_bytes(listing->address, listing->bytes, listing->length, stdout);
		return;
	}
	json_open(&listing->json, NULL, '{');
	json_number(&listing->json, "address", listing->address);
	json_bytes(&listing->json, listing->bytes, listing->length);
	json_close(&listing->json, '}');
}

static void flush(struct listing *listing)
{
	if (listing->length)
		(listing->values->disassemble ? print_code : print_bytes)(listing);
	listing->any = listing->any || listing->length;
	listing->length = 0;
}

static void print_gap(struct listing *listing, u64 address, u64 length, const char *reason)
{
	flush(listing);
	if (!listing->values->json) {
		printf("%016llx  ... %llu bytes: %s\n", address, length, reason);
		return;
	}
	json_open(&listing->json, NULL, '{');
	json_number(&listing->json, "address", address);
	json_number(&listing->json, "missing", length);
	json_text(&listing->json, "reason", reason);
	json_close(&listing->json, '}');
}

static int read_part(int vm, const struct mem_values *values, u64 address, u8 *data, u32 length,
		     const char **reason)
{
	u32 in_page = PAGE_BYTES - address % PAGE_BYTES;

	if (!values->physical)
		return guest_read_page(vm, values->target.vcpu, address, data, length, reason);
	*reason = "no memory: a device's, or nobody's";
	return control_read_memory(vm, address, data, length < in_page ? length : in_page);
}

/* Page by page; what is read is printed when something else follows, so that nothing is torn */
static int list_all(int vm, struct listing *listing)
{
	const struct mem_values *values = listing->values;
	u64 at = 0, address, left, page;
	const char *reason = "";
	int count;

	listing->address = values->address;
	while (at < values->length) {
		address = values->address + at;
		left = values->length - at;
		page = PAGE_BYTES - address % PAGE_BYTES;
		count = read_part(vm, values, address, listing->bytes + listing->length, left,
				  &reason);
		if (count < 0)
			return -1;
		listing->length += count;
		at += count;
		if (count)
			continue;
		page = page < left ? page : left;
		print_gap(listing, address, page, reason);
		at += page;
		listing->address = values->address + at;
	}
	flush(listing);
	return listing->any ? 0 : error_set("%#llx: nothing there could be read: %s",
					    values->address, reason);
}

static int check_range(const struct mem_values *values)
{
	if (values->address + (values->length - 1) < values->address)
		return error_set("LENGTH %llu: from %#llx on there are not so many addresses",
				 values->length, values->address);
	return 0;
}

static int list(int vm, struct listing *listing)
{
	const struct mem_values *values = listing->values;
	int result;

	if (values->disassemble &&
	    control_get(vm, values->target.vcpu, THV_STATE_SREGS, &listing->sregs,
			sizeof(listing->sregs)) < 0)
		return -1;
	if (!values->json)
		return list_all(vm, listing);
	json_open(&listing->json, NULL, '[');
	result = list_all(vm, listing);
	json_close(&listing->json, ']');
	printf("\n");
	return result;
}

static int show(int vm, void *opaque)
{
	struct listing listing = { .values = opaque, .json = { .file = stdout } };
	int result;

	if (check_range(listing.values))
		return -1;
	listing.bytes = malloc(listing.values->length);
	if (!listing.bytes)
		return error_errno("memory for %llu bytes", listing.values->length);
	result = list(vm, &listing);
	free(listing.bytes);
	return result;
}

static int run(void *values)
{
	return target_do("mem", values, show);
}

const struct command cmd_mem = {
	.name = "mem",
	.summary = "show a guest's memory, as bytes or as instructions",
	.details = "Linear addresses go through the vCPU's page tables, a page at a time. What is not mapped is said, and the rest is shown.\n\nExample: thv mem lab 0xffffffff81000000 64 --disassemble",
	.options = options,
	.statuses = statuses,
	.values_size = sizeof(struct mem_values),
	.run = run,
};
