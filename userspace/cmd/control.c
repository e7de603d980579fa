// SPDX-License-Identifier: GPL-2.0-only
/* thv pause, resume, stop, kill, nmi: what can be done to a VM from outside, in one word each. */
#include <stdio.h>
#include <unistd.h>

#include "cmd/commands.h"
#include "lib/control.h"
#include "lib/device.h"
#include "lib/error.h"
#include "lib/inspect.h"
#include "lib/json.h"

struct control_values {
	const char *vm;
	u32 vcpu;
	bool json;
};

#define FIELD(member)	.field = offsetof(struct control_values, member)
#define VM_ROW	{ "VM", NULL, "the VM's number or name", option_text, FIELD(vm),		\
		  .positional = true, .required = true }
#define JSON_ROW { "json", NULL, "print the VM's state then, as JSON", option_flag, FIELD(json) }

static const struct option_row options[] = { VM_ROW, JSON_ROW, { 0 } };

static const struct option_row nmi_options[] = {
	VM_ROW,
	{ "vcpu", "N", "which vCPU", option_number, FIELD(vcpu), .initial = "0",
	  .maximum = THV_MAX_VCPUS - 1 },
	JSON_ROW,
	{ 0 }
};

static const struct option_status statuses[] = {
	{ 0, "it is done: no vCPU runs any more, or may run again" },
	{ 1, "it is not; what is in the way was printed" },
	{ 0, NULL }
};

static const struct option_status nmi_statuses[] = {
	{ 0, "the NMI is pending, or delivered" },
	{ 1, "it is not; what is in the way was printed" },
	{ 0, NULL }
};

static const char *const states[] = {
	[THV_VM_RUNNING] = "running", [THV_VM_PAUSED] = "paused",
	[THV_VM_STOPPED] = "stopped", [THV_VM_DEAD] = "dead",
};

/* A dead VM answers no more */
static void print_state(int vm, const char *name, u32 fallback)
{
	struct json json = { .file = stdout };
	struct thv_vm_stats stats;
	u32 state = vm_stats(vm, &stats) < 0 ? fallback : stats.state;

	json_open(&json, NULL, '{');
	json_text(&json, "vm", name);
	json_text(&json, "state", state < ARRAY_SIZE(states) ? states[state] : "unknown");
	json_close(&json, '}');
	printf("\n");
}

static int fail(const char *command)
{
	fprintf(stderr, "thv %s: %s\n", command, error_text());
	return STATUS_ERROR;
}

static int change(const struct control_values *values, const char *command, u32 state)
{
	int vm = control_open(values->vm);

	if (vm < 0 || control_set_state(vm, state) < 0)
		return fail(command);
	if (values->json)
		print_state(vm, values->vm, state);
	close(vm);
	return 0;
}

static int run_pause(void *values)
{
	return change(values, "pause", THV_VM_PAUSED);
}

static int run_resume(void *values)
{
	return change(values, "resume", THV_VM_RUNNING);
}

static int run_stop(void *values)
{
	return change(values, "stop", THV_VM_STOPPED);
}

static int run_kill(void *values)
{
	return change(values, "kill", THV_VM_DEAD);
}

static int run_nmi(void *opaque)
{
	const struct control_values *values = opaque;
	int vm = control_open(values->vm);

	if (vm < 0 || inspect_nmi(vm, values->vcpu) < 0)
		return fail("nmi");
	if (values->json)
		print_state(vm, values->vm, THV_VM_RUNNING);
	close(vm);
	return 0;
}

#define COMMAND(word, what, more, its_options, its_statuses)					\
	const struct command cmd_##word = {							\
		.name = #word, .summary = what, .details = more, .options = its_options,	\
		.statuses = its_statuses, .values_size = sizeof(struct control_values),		\
		.run = run_##word,								\
	}

COMMAND(pause, "hold every vCPU of a VM",
	"It returns when none runs any more. The guest's clocks go on; it finds out when it runs again.",
	options, statuses);
COMMAND(resume, "let a paused VM go on", NULL, options, statuses);
COMMAND(stop, "end a VM: its launcher is told, and may clean up",
	"The guest is not asked: to it, this is a power cut.", options, statuses);
COMMAND(kill, "end a VM whose launcher does not react",
	"From now on every call on it fails. Its memory is free once its launcher has gone.",
	options, statuses);
COMMAND(nmi, "send a non-maskable interrupt to a vCPU",
	"Linux guests print where they are if booted with unknown_nmi_panic, or `echo 1 >/proc/sys/kernel/unknown_nmi_panic`.",
	nmi_options, nmi_statuses);
