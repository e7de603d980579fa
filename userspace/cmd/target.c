// SPDX-License-Identifier: GPL-2.0-only
/* The frame of every command that works on a VM by a control descriptor. */
#include "cmd/target.h"

#include <stdio.h>
#include <unistd.h>

#include "cmd/commands.h"
#include "lib/control.h"
#include "lib/error.h"

int target_do(const char *command, void *values, int (*work)(int vm, void *values))
{
	const struct target *target = values;
	int vm = control_open(target->vm);
	int result = vm < 0 ? -1 : work(vm, values);

	if (vm >= 0)
		close(vm);
	if (result >= 0)
		return 0;
	fflush(stdout);
	fprintf(stderr, "thv %s: %s\n", command, error_text());
	return STATUS_ERROR;
}
