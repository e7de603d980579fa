// SPDX-License-Identifier: GPL-2.0-only
/* A list of CPUs: its text, and whether they are there. */
#include "vmm/cpuset.h"

#include <ctype.h>
#include <sched.h>
#include <stdlib.h>

#include "lib/error.h"

static int take(struct cpuset *cpuset, unsigned long cpu)
{
	cpu_set_t allowed;
	u32 i;

	if (sched_getaffinity(0, sizeof(allowed), &allowed))
		return error_errno("--cpuset");
	if (cpu >= CPUSET_CPUS || !CPU_ISSET(cpu, &allowed))
		return error_set("--cpuset: this machine has no CPU %lu, or not for thv; `taskset -p $$` and /sys/devices/system/cpu/online tell which there are",
				 cpu);
	for (i = 0; i < cpuset->count; i++)
		if (cpuset->cpu[i] == cpu)
			return error_set("--cpuset: CPU %lu is in the list twice", cpu);
	cpuset->cpu[cpuset->count++] = cpu;
	return 0;
}

static bool number(const char **text, unsigned long *value)
{
	char *end;

	if (!isdigit((unsigned char)**text))
		return false;
	*value = strtoul(*text, &end, 10);
	*text = end;
	return true;
}

/* "3" or "0-2" */
static int take_range(struct cpuset *cpuset, const char **text, const char *all)
{
	unsigned long first, last;

	if (!number(text, &first))
		return error_set("--cpuset %s: not a list of CPUs; write it as in 0-1,3", all);
	last = first;
	if (**text == '-') {
		++*text;
		if (!number(text, &last) || last < first)
			return error_set("--cpuset %s: not a list of CPUs; write a range as in 0-3", all);
	}
	for (; first <= last; first++)
		if (take(cpuset, first))
			return -1;
	return 0;
}

int option_cpuset(const struct option_row *row, const char *text, void *field)
{
	struct cpuset *cpuset = field;
	const char *all = text;

	(void)row;
	*cpuset = (struct cpuset){ 0 };
	while (!take_range(cpuset, &text, all)) {
		if (!*text)
			return 0;
		if (*text++ != ',')
			return error_set("--cpuset %s: not a list of CPUs; write it as in 0-1,3", all);
	}
	return -1;
}

int cpuset_cpu(const struct cpuset *cpuset, u32 vcpu)
{
	return cpuset && cpuset->count ? cpuset->cpu[vcpu % cpuset->count] : -1;
}
