// SPDX-License-Identifier: GPL-2.0-only
/* thv pause, resume, stop and kill: a VM goes from one state to another. */
#include "cmd/commands.h"
#include "cmd/target.h"
#include "lib/control.h"

static const struct option_row options[] = { TARGET_VM, { 0 } };

static const struct option_status statuses[] = {
	{ 0, "it is in that state" },
	{ STATUS_ERROR, "it is not; the reason was printed" },
	{ 0, NULL }
};

#define STATE_COMMAND(word, state, what, more)					\
	static int to_##word(int vm, void *values)				\
	{									\
		(void)values;							\
		return control_set_state(vm, state);				\
	}									\
										\
	static int run_##word(void *values)					\
	{									\
		return target_do(#word, values, to_##word);			\
	}									\
										\
	const struct command cmd_##word = {					\
		.name = #word, .summary = what, .details = more,		\
		.options = options, .statuses = statuses,			\
		.values_size = sizeof(struct target), .run = run_##word,	\
	}

STATE_COMMAND(pause, THV_VM_PAUSED, "hold a VM: none of its vCPUs runs until `thv resume`",
	      "When the command returns, no vCPU runs any more. Time goes on for the guest: what its clocks missed, it sees when it is resumed. Memory and registers can be looked at meanwhile.");
STATE_COMMAND(resume, THV_VM_RUNNING, "let a paused VM go on", NULL);
STATE_COMMAND(stop, THV_VM_STOPPED, "end a VM, for good; its launcher tells how it ended",
	      "The guest is not asked and gets no chance to write anything back. What its vCPUs hold can be looked at until the launcher has ended.");
STATE_COMMAND(kill, THV_VM_DEAD, "end a VM at once, for good, also where its launcher does not answer",
	      "As `thv stop`, but the module lets go of the VM itself: everything that its launcher asks of it fails from now on.");
