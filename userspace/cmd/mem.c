// SPDX-License-Identifier: GPL-2.0-only
/* thv mem: memory of a running guest, as bytes and characters or as instructions. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cmd/commands.h"
#include "lib/control.h"
#include "lib/error.h"
#include "lib/hexdump.h"
#include "lib/inspect.h"

struct mem_values {
	const char *vm;
	u64 address, length;
	u32 vcpu;
	bool physical, disassemble, json;
};

#define FIELD(member)	.field = offsetof(struct mem_values, member)

static const struct option_row options[] = {
	{ "VM", NULL, "the VM's number or name", option_text, FIELD(vm),
	  .positional = true, .required = true },
	{ "ADDRESS", NULL, "where to begin; guest-linear", option_address, FIELD(address),
	  .positional = true, .required = true },
	{ "LENGTH", NULL, "how many bytes, up to 16M", option_size, FIELD(length),
	  .positional = true, .required = true, .minimum = 1, .maximum = 16 << 20 },
	{ "physical", NULL, "ADDRESS is guest-physical", option_flag, FIELD(physical) },
	{ "vcpu", "N", "whose tables and mode", option_number, FIELD(vcpu), .initial = "0",
	  .maximum = THV_MAX_VCPUS - 1 },
	{ "disassemble", NULL, "print instructions", option_flag, FIELD(disassemble) },
	{ "json", NULL, "print it as JSON", option_flag, FIELD(json) },
	{ 0 }
};

static const struct option_status statuses[] = {
	{ 0, "all of it was printed" },
	{ 1, "not all of it could be read; what could was printed, and why not more" },
	{ 0, NULL }
};

static void print_json(const struct mem_values *values, unsigned int bits, const u8 *bytes, u64 got)
{
	struct json json = { .file = stdout };

	json_open(&json, NULL, '{');
	json_number(&json, "address", values->address);
	json_bool(&json, "physical", values->physical);
	json_number(&json, "length", got);
	if (values->disassemble)
		disassemble_json(&json, "instructions", bits, values->address, bytes, got);
	else
		hexdump_json(&json, "bytes", bytes, got);
	json_close(&json, '}');
	printf("\n");
}

static void print(const struct mem_values *values, unsigned int bits, const u8 *bytes, u64 got)
{
	if (values->json)
		print_json(values, bits, bytes, got);
	else if (values->disassemble)
		disassemble(stdout, bits, values->address, bytes, got, 0);
	else
		hexdump(stdout, values->address, bytes, got);
}

static int show(const struct mem_values *values, int vm, u8 *bytes)
{
	struct thv_sregs sregs;
	u64 got;

	if (inspect_state(vm, values->vcpu, THV_STATE_SREGS, &sregs, sizeof(sregs)) < 0)
		return -1;
	got = values->physical ? inspect_physical(vm, values->address, bytes, values->length) :
	      inspect_linear(vm, values->vcpu, values->address, bytes, values->length);
	if (got)
		print(values, code_bits(&sregs), bytes, got);
	fflush(stdout);
	return got == values->length ? 0 : -1;
}

static int run(void *opaque)
{
	const struct mem_values *values = opaque;
	u8 *bytes = malloc(values->length);
	int vm = control_open(values->vm), result = -1;

	if (!bytes)
		error_set("out of memory");
	else if (vm >= 0)
		result = show(values, vm, bytes);
	free(bytes);
	if (vm >= 0)
		close(vm);
	if (!result)
		return 0;
	fprintf(stderr, "thv mem: %s\n", error_text());
	return STATUS_ERROR;
}

const struct command cmd_mem = {
	.name = "mem",
	.summary = "print memory of a running guest, in hexadecimal or as instructions",
	.details = "Memory that the host has not yet given the guest reads as zeros, and is not given by looking.",
	.options = options,
	.statuses = statuses,
	.values_size = sizeof(struct mem_values),
	.run = run,
};
