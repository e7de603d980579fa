// SPDX-License-Identifier: GPL-2.0-only
/* thv nmi: a non-maskable interrupt for a vCPU. */
#include "cmd/commands.h"
#include "cmd/target.h"
#include "lib/control.h"

static const struct option_row options[] = { TARGET_VM, TARGET_VCPU, { 0 } };

static const struct option_status statuses[] = {
	{ 0, "the NMI is on its way" },
	{ STATUS_ERROR, "it is not; the reason was printed" },
	{ 0, NULL }
};

static int send(int vm, void *values)
{
	const struct target *target = values;

	return control_send_nmi(vm, target->vcpu);
}

static int run(void *values)
{
	return target_do("nmi", values, send);
}

const struct command cmd_nmi = {
	.name = "nmi",
	.summary = "send a non-maskable interrupt to a vCPU",
	.details = "Linux tells of an NMI that nobody asked for in its log, or, with the parameter unknown_nmi_panic, panics: a way to see where a guest hangs. One NMI waits while another is handled; more are merged with it, as on a processor.",
	.options = options,
	.statuses = statuses,
	.values_size = sizeof(struct target),
	.run = run,
};
