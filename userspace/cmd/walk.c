// SPDX-License-Identifier: GPL-2.0-only
/* thv walk: an address of a running guest, followed through every table there is. */
#include "cmd/commands.h"
#include "cmd/target.h"
#include "lib/control.h"
#include "lib/walk.h"

struct walk_values {
	struct target target;
	u64 address;
	u32 access;
	u32 segment;		/* 0: by the access; else 1 more than enum thv_segment_id */
	bool user;
	bool physical;
	bool json;
};

static const char *const accesses[] = { "read", "write", "execute", NULL };
static const u32 access_bits[] = { THV_ACCESS_READ, THV_ACCESS_WRITE, THV_ACCESS_EXECUTE };

/* After the first in the order of enum thv_segment_id */
static const char *const segments[] = { "default", "es", "cs", "ss", "ds", "fs", "gs", NULL };

static const struct option_row options[] = {
	TARGET_VM,
	{ "ADDRESS", NULL, "the offset in the segment; in 64-bit mode, the linear address",
	  option_address, .field = offsetof(struct walk_values, address), .positional = true,
	  .required = true },
	TARGET_VCPU,
	{ "access", "KIND", "the access that is asked about", option_choice, .choices = accesses,
	  .initial = "read", .field = offsetof(struct walk_values, access) },
	{ "user", NULL, "it is made by user code (at CPL 3), not by the supervisor", option_flag,
	  .field = offsetof(struct walk_values, user) },
	{ "segment", "NAME", "the segment it goes through; by default cs for execute, else ds",
	  option_choice, .choices = segments, .initial = "default",
	  .field = offsetof(struct walk_values, segment) },
	{ "physical", NULL, "the address is guest-physical: only the second level is followed",
	  option_flag, .field = offsetof(struct walk_values, physical) },
	{ "json", NULL, "print it as JSON", option_flag,
	  .field = offsetof(struct walk_values, json) },
	{ 0 }
};

static const struct option_status statuses[] = {
	{ 0, "the way was shown, wherever it ends" },
	{ STATUS_ERROR, "it could not be followed; the reason was printed" },
	{ 0, NULL }
};

static u32 access_of(const struct walk_values *values)
{
	return access_bits[values->access] | (values->user ? THV_ACCESS_USER : 0) |
	       (values->physical ? THV_ACCESS_PHYSICAL : 0);
}

static u32 segment_of(const struct walk_values *values)
{
	if (values->segment)
		return values->segment - 1;
	return access_bits[values->access] & THV_ACCESS_EXECUTE ? THV_CS : THV_DS;
}

static int read_vcpu(int vm, struct walk *walk)
{
	struct thv_regs regs;
	struct thv_apic apic;

	if (control_get(vm, walk->vcpu, THV_STATE_REGS, &regs, sizeof(regs)) < 0 ||
	    control_get(vm, walk->vcpu, THV_STATE_SREGS, &walk->sregs, sizeof(walk->sregs)) < 0 ||
	    control_get(vm, walk->vcpu, THV_STATE_APIC, &apic, sizeof(apic)) < 0)
		return -1;
	walk->rflags = regs.rflags;
	walk->apic_base = apic.base;
	return 0;
}

static int follow(int vm, void *opaque)
{
	const struct walk_values *values = opaque;
	struct walk walk = { .vcpu = values->target.vcpu, .offset = values->address,
			     .segment = segment_of(values),
			     .access = access_of(values) };

	if (read_vcpu(vm, &walk))
		return -1;
	walk_begin(&walk);
	if (control_translate(vm, walk.vcpu, &walk.translate))
		return -1;
	(values->json ? walk_json : walk_print)(&walk, stdout);
	return 0;
}

static int run(void *opaque)
{
	const struct walk_values *values = opaque;

	if (values->physical && (values->user || values->segment)) {
		fprintf(stderr, "thv walk: a guest-physical address has neither segment nor privilege: leave out --%s, or --physical\n",
			values->user ? "user" : "segment");
		return STATUS_USAGE;
	}
	return target_do("walk", opaque, follow);
}

const struct command cmd_walk = {
	.name = "walk",
	.summary = "follow an address of a guest: segment, page tables, second level",
	.details = "Each entry on the way is shown with its address, its value and what that says; then the permissions all entries give together, and what an access would come to: done, a fault and its error code, or an exit and what thv makes of it. Nothing is changed; no accessed or dirty flag is set.\n\nThe vCPU is looked at in several moments. `thv pause` before makes them one.\n\nExamples: thv walk lab 0xffffffff81000000 --access execute; thv walk lab 0xfee00000 --physical",
	.options = options,
	.statuses = statuses,
	.values_size = sizeof(struct walk_values),
	.run = run,
};
