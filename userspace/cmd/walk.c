// SPDX-License-Identifier: GPL-2.0-only
/* thv walk: follow an address of a running guest, and say where it ends and why. */
#include <stdio.h>
#include <unistd.h>

#include "cmd/commands.h"
#include "lib/control.h"
#include "lib/device.h"
#include "lib/error.h"
#include "lib/inspect.h"
#include "lib/walk.h"

#define MSR_IA32_CR_PAT	0x277

struct walk_values {
	const char *vm;
	u64 address;
	u32 vcpu, access, segment;
	bool user, physical, json;
};

static const char *const accesses[] = { "read", "write", "execute", NULL };

/* In the order of enum thv_segment_id, after "none" */
static const char *const segments[] = { "none", "es", "cs", "ss", "ds", "fs", "gs", NULL };

#define FIELD(member)	.field = offsetof(struct walk_values, member)

static const struct option_row options[] = {
	{ "VM", NULL, "the VM's number or name", option_text, FIELD(vm),
	  .positional = true, .required = true },
	{ "ADDRESS", NULL, "guest-linear; with --segment an offset in that", option_address,
	  FIELD(address), .positional = true, .required = true },
	{ "vcpu", "N", "by which vCPU's registers", option_number, FIELD(vcpu), .initial = "0",
	  .maximum = THV_MAX_VCPUS - 1 },
	{ "access", "KIND", "what is tried there", option_choice, FIELD(access),
	  .initial = "read", .choices = accesses },
	{ "user", NULL, "try it as user mode (CPL 3) would, not as the supervisor", option_flag,
	  FIELD(user) },
	{ "segment", "NAME", "the segment register that ADDRESS is an offset in", option_choice,
	  FIELD(segment), .initial = "none", .choices = segments },
	{ "physical", NULL, "ADDRESS is guest-physical: the second level only", option_flag,
	  FIELD(physical) },
	{ "json", NULL, "print it as JSON", option_flag, FIELD(json) },
	{ 0 }
};

static const struct option_status statuses[] = {
	{ 0, "the access would succeed" },
	{ 1, "the VM could not be looked at; why was printed" },
	{ 3, "the access would fault, or meet no memory; where was printed" },
	{ 0, NULL }
};

#define STATUS_FAULT	3

static int look_at_mode(int vm, struct walk *walk)
{
	struct thv_vm_stats stats;

	if (vm_stats(vm, &stats) < 0 || inspect_msr(vm, walk->vcpu, MSR_IA32_CR_PAT, &walk->pat) < 0)
		return -1;
	walk->features = stats.features;
	return inspect_state(vm, walk->vcpu, THV_STATE_SREGS, &walk->sregs, sizeof(walk->sregs));
}

static int follow(int vm, struct walk *walk)
{
	struct thv_translate *t = &walk->translate;
	struct thv_regs regs;

	if (look_at_mode(vm, walk) < 0 ||
	    inspect_state(vm, walk->vcpu, THV_STATE_REGS, &regs, sizeof(regs)) < 0)
		return -1;
	t->gla = walk->address;
	t->access = walk->access | (walk->physical ? THV_ACCESS_PHYSICAL : 0);
	if (walk->segment != WALK_NO_SEGMENT &&
	    !segment_linear(&walk->sregs, regs.rflags, walk->segment, walk->address, walk->access,
			    &t->gla, walk->segment_fault, sizeof(walk->segment_fault))) {
		t->cr0 = walk->sregs.cr0;
		t->cr4 = walk->sregs.cr4;
		t->efer = walk->sregs.efer;
		t->rflags = regs.rflags;
		return 0;
	}
	return inspect_translate(vm, walk->vcpu, t);
}

static int print(const struct walk_values *values, const struct walk *walk)
{
	struct json json = { .file = stdout };
	char text[400];

	if (values->json) {
		walk_json(&json, walk);
		printf("\n");
	} else {
		walk_print(stdout, walk);
	}
	return walk_verdict(walk, text, sizeof(text)) ? 0 : STATUS_FAULT;
}

static int run(void *opaque)
{
	const struct walk_values *values = opaque;
	struct walk walk = {
		.vcpu = values->vcpu, .address = values->address, .physical = values->physical,
		.segment = values->physical || !values->segment ? WALK_NO_SEGMENT :
			   (int)values->segment - 1,
		.access = (THV_ACCESS_READ << values->access) |
			  (values->user ? THV_ACCESS_USER : 0),
	};
	int vm = control_open(values->vm);

	if (vm < 0 || follow(vm, &walk) < 0) {
		fprintf(stderr, "thv walk: %s\n", error_text());
		return STATUS_ERROR;
	}
	close(vm);
	return print(values, &walk);
}

const struct command cmd_walk = {
	.name = "walk",
	.summary = "follow an address of a running guest through segment, guest tables and second level",
	.details = "Nothing is changed: accessed and dirty flags stay, and memory that the host has not given is not given. Host-physical addresses are for root (CAP_SYS_ADMIN).",
	.options = options,
	.statuses = statuses,
	.values_size = sizeof(struct walk_values),
	.run = run,
};
