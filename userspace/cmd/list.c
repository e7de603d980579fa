// SPDX-License-Identifier: GPL-2.0-only
/* thv list: the VMs that the caller may see, a line each. */
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>

#include "cmd/commands.h"
#include "lib/error.h"
#include "lib/netlink.h"

struct list_values {
	bool json;
};

static const struct option_row options[] = {
	{ "json", NULL, "print them as JSON", option_flag,
	  .field = offsetof(struct list_values, json) },
	{ 0 }
};

static const char details[] =
	"A user sees their own VMs, root (CAP_SYS_ADMIN) everybody's; nobody those that were made in "
	"another network namespace. RESIDENT is the memory that the guest's second-level page tables "
	"hold at the moment.";

static const struct option_status statuses[] = {
	{ 0, "they were printed, or there are none" },
	{ 1, "they could not be asked for; the error says why" },
	{ 0, NULL }
};

static void print_owner(u32 uid)
{
	struct passwd *user = getpwuid(uid);

	if (user)
		printf("%-10.10s", user->pw_name);
	else
		printf("%-10u", uid);
}

static void print_row(const struct netlink_vm *vm)
{
	char pid[16] = "-";

	if (vm->pid)
		snprintf(pid, sizeof(pid), "%u", vm->pid);
	printf("%6u  %-20s  ", vm->id, vm->name);
	print_owner(vm->owner);
	printf("  %7s  %-8s %5u  %8lluM  %12llu", pid, netlink_state(vm->state), vm->vcpus,
	       vm->resident >> 20, vm->counter[THV_STAT_exits]);
	if (vm->end.cause)
		printf("  %s", netlink_cause_text(&vm->end));
	printf("\n");
}

static void print_text(const struct netlink_vm *vms, int count)
{
	int i;

	printf("%6s  %-20s  %-10s  %7s  %-8s %5s  %9s  %12s\n", "ID", "NAME", "OWNER", "PID", "STATE",
	       "VCPUS", "RESIDENT", "EXITS");
	for (i = 0; i < count; i++)
		print_row(&vms[i]);
}

static void json_row(struct json *json, const struct netlink_vm *vm)
{
	json_open(json, NULL, '{');
	json_number(json, "id", vm->id);
	json_text(json, "name", vm->name);
	json_number(json, "owner", vm->owner);
	if (vm->pid)
		json_number(json, "pid", vm->pid);
	json_text(json, "state", netlink_state(vm->state));
	netlink_json_cause(json, &vm->end);
	json_number(json, "vcpus", vm->vcpus);
	json_number(json, "resident", vm->resident);
	netlink_json_counters(json, vm->counter);
	json_close(json, '}');
}

static void print_json(const struct netlink_vm *vms, int count)
{
	struct json json = { .file = stdout };
	int i;

	json_open(&json, NULL, '[');
	for (i = 0; i < count; i++)
		json_row(&json, &vms[i]);
	json_close(&json, ']');
	printf("\n");
}

static int run(void *opaque)
{
	const struct list_values *values = opaque;
	struct netlink *netlink = netlink_open();
	struct netlink_vm *vms = NULL;
	int count = netlink ? netlink_vms(netlink, &vms) : -1;

	if (count < 0)
		fprintf(stderr, "thv list: %s\n", error_text());
	else
		(values->json ? print_json : print_text)(vms, count);
	free(vms);
	if (netlink)
		netlink_close(netlink);
	return count < 0 ? STATUS_ERROR : 0;
}

const struct command cmd_list = {
	.name = "list",
	.summary = "list the VMs there are",
	.details = details,
	.options = options,
	.statuses = statuses,
	.values_size = sizeof(struct list_values),
	.run = run,
};
