/* SPDX-License-Identifier: GPL-2.0-only */
/* What the commands that look into a VM, or change it, have in common: which VM, which vCPU. */
#ifndef THV_CMD_TARGET_H
#define THV_CMD_TARGET_H

#include <thv.h>

#include "lib/options.h"

/* The first member of such a command's values */
struct target {
	const char *vm;
	u32 vcpu;
};

#define TARGET_VM								\
	{ "VM", NULL, "the VM: its number or its name", option_text,		\
	  .field = offsetof(struct target, vm), .positional = true, .required = true }
#define TARGET_VCPU								\
	{ "vcpu", "N", "which of its vCPUs", option_number, .initial = "0",	\
	  .field = offsetof(struct target, vcpu), .maximum = THV_MAX_VCPUS - 1 }

/*
 * Do @work with a control descriptor of the target, which @values begin with; it returns below 0
 * with the error text set. The text is printed; returns the command's status.
 */
int target_do(const char *command, void *values, int (*work)(int vm, void *values));

#endif
