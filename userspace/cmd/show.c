// SPDX-License-Identifier: GPL-2.0-only
/* thv show: one VM: how it was made, what its vCPUs do, what has happened to it. */
#include <stdio.h>
#include <stdlib.h>

#include "cmd/commands.h"
#include "lib/device.h"
#include "lib/error.h"
#include "lib/netlink.h"

struct show_values {
	const char *vm;
	bool json;
};

static const struct option_row options[] = {
	{ "VM", NULL, "its number or name", option_text, .positional = true, .required = true,
	  .field = offsetof(struct show_values, vm) },
	{ "json", NULL, "print it as JSON", option_flag,
	  .field = offsetof(struct show_values, json) },
	{ 0 }
};

static const char details[] =
	"What a vCPU is said to do is what its thread did at that moment: in the guest; in the kernel, "
	"on the guest's behalf; in the launcher; halted, until an interrupt comes; waiting for a "
	"start-up IPI; or paused. Counters that are zero are left out; --json has them all.";

static const struct option_status statuses[] = {
	{ 0, "it was printed" },
	{ 1, "there is no such VM, or it is someone else's; the error says so" },
	{ 0, NULL }
};

static const struct {
	u32 bit;
	const char *name;
} vm_flags[] = {
	{ THV_VM_NO_VPID, "no-vpid" },
	{ THV_VM_NO_HUGE, "no-huge" },
	{ THV_VM_NO_APICV, "no-apicv" },
	{ THV_VM_NO_MONITOR_TRAP, "no-monitor-trap" },
	{ THV_VM_NO_PML, "no-pml" },
	{ THV_VM_NO_EPT_AD, "no-ept-ad" },
	{ THV_VM_NO_FAULT_AROUND, "no-fault-around" },
	{ THV_VM_NO_PREEMPTION_TIMER, "no-preemption-timer" },
}, slot_flags[] = {
	{ THV_MEMORY_READONLY, "read-only" },
	{ THV_MEMORY_LOG_DIRTY, "log-dirty" },
	{ THV_MEMORY_NOEXEC, "no-exec" },
};

static const char *exit_word(u32 terminal)
{
	return terminal == THV_EXIT_SHUTDOWN ? "triple fault" :
	       terminal == THV_EXIT_MACHINE_CHECK ? "machine check" : "stopped";
}

/* ---- text ---------------------------------------------------------------- */

static void text_features(const struct netlink_vm *vm)
{
	const struct device_feature *feature;
	size_t i;

	printf("Features");
	for (feature = device_features; feature->bit; feature++)
		if (vm->features & feature->bit)
			printf(" %s", feature->name);
	printf("\n");
	for (i = 0; i < ARRAY_SIZE(vm_flags); i++)
		if (vm->flags & vm_flags[i].bit)
			printf("Flag     %s\n", vm_flags[i].name);
}

static void text_slots(const struct netlink_vm *vm)
{
	u32 i, f;

	printf("\nMEMORY SLOT  GUEST-PHYSICAL FROM TO          SIZE\n");
	for (i = 0; i < vm->slots; i++) {
		const struct netlink_slot *slot = &vm->slot[i];

		printf("%11u  %#-14llx %#-14llx %7lluK", slot->id, slot->gpa,
		       slot->gpa + slot->size - 1, slot->size >> 10);
		for (f = 0; f < ARRAY_SIZE(slot_flags); f++)
			if (slot->flags & slot_flags[f].bit)
				printf("  %s", slot_flags[f].name);
		printf("\n");
	}
	printf("Resident     %lluK\n", vm->resident >> 10);
}

static void text_vcpu(const struct netlink_vcpu *vcpu)
{
	printf("%4u  ", vcpu->id);
	if (vcpu->cpu < 0)
		printf("%8s", "-");
	else
		printf("%8lld", vcpu->cpu);
	printf("  %-10s  %-10s  %12llu  %12llu  %12llu",
	       vcpu->terminal ? exit_word(vcpu->terminal) : netlink_activity(vcpu->activity),
	       vcpu->mp_state == THV_MP_WAIT_SIPI ? "wait-sipi" : netlink_mp_state(vcpu->mp_state),
	       vcpu->counter[THV_STAT_exits], vcpu->counter[THV_STAT_user_exits],
	       vcpu->counter[THV_STAT_halts]);
	printf("\n");
}

static void print_text(const struct netlink_vm *vm, const struct netlink_vcpu *vcpus, int count)
{
	int i;

	printf("VM       %u, %s\nOwner    user %u", vm->id, vm->name, vm->owner);
	if (vm->pid)
		printf(", launcher's pid %u", vm->pid);
	printf("\nState    %s", netlink_state(vm->state));
	if (vm->end.cause)
		printf(": %s", netlink_cause_text(&vm->end));
	printf("\nPaging   %s\n", netlink_paging(vm->paging));
	text_features(vm);
	printf("\nVCPU  HOST CPU  DOING       STATE              EXITS   TO LAUNCHER         HALTS\n");
	for (i = 0; i < count; i++)
		text_vcpu(&vcpus[i]);
	text_slots(vm);
	printf("\n%15s  COUNTER\n", "COUNT");
	for (i = 0; i < THV_STATS; i++)
		if (vm->counter[i])
			printf("%15llu  %s: %s\n", vm->counter[i], netlink_counters[i].name,
			       netlink_counters[i].meaning);
}

/* ---- JSON ---------------------------------------------------------------- */

static void json_slots(struct json *json, const struct netlink_vm *vm)
{
	u32 i, f;

	json_open(json, "slots", '[');
	for (i = 0; i < vm->slots; i++) {
		json_open(json, NULL, '{');
		json_number(json, "slot", vm->slot[i].id);
		json_number(json, "gpa", vm->slot[i].gpa);
		json_number(json, "size", vm->slot[i].size);
		for (f = 0; f < ARRAY_SIZE(slot_flags); f++)
			json_bool(json, slot_flags[f].name, vm->slot[i].flags & slot_flags[f].bit);
		json_close(json, '}');
	}
	json_close(json, ']');
}

static void json_vcpus(struct json *json, const struct netlink_vcpu *vcpus, int count)
{
	int i;

	json_open(json, "vcpus", '[');
	for (i = 0; i < count; i++) {
		json_open(json, NULL, '{');
		json_number(json, "vcpu", vcpus[i].id);
		json_text(json, "mp_state", netlink_mp_state(vcpus[i].mp_state));
		json_text(json, "activity", netlink_activity(vcpus[i].activity));
		if (vcpus[i].cpu >= 0)
			json_number(json, "cpu", vcpus[i].cpu);
		if (vcpus[i].terminal)
			json_text(json, "ended", exit_word(vcpus[i].terminal));
		netlink_json_counters(json, vcpus[i].counter);
		json_close(json, '}');
	}
	json_close(json, ']');
}

static void json_features(struct json *json, const struct netlink_vm *vm)
{
	const struct device_feature *feature;
	size_t i;

	json_open(json, "features", '[');
	for (feature = device_features; feature->bit; feature++)
		if (vm->features & feature->bit)
			json_text(json, NULL, feature->name);
	json_close(json, ']');
	json_open(json, "flags", '[');
	for (i = 0; i < ARRAY_SIZE(vm_flags); i++)
		if (vm->flags & vm_flags[i].bit)
			json_text(json, NULL, vm_flags[i].name);
	json_close(json, ']');
}

static void print_json(const struct netlink_vm *vm, const struct netlink_vcpu *vcpus, int count)
{
	struct json json = { .file = stdout };

	json_open(&json, NULL, '{');
	json_number(&json, "id", vm->id);
	json_text(&json, "name", vm->name);
	json_number(&json, "owner", vm->owner);
	if (vm->pid)
		json_number(&json, "pid", vm->pid);
	json_text(&json, "state", netlink_state(vm->state));
	netlink_json_cause(&json, &vm->end);
	json_text(&json, "paging", netlink_paging(vm->paging));
	json_features(&json, vm);
	json_vcpus(&json, vcpus, count);
	json_slots(&json, vm);
	json_number(&json, "resident", vm->resident);
	netlink_json_counters(&json, vm->counter);
	json_close(&json, '}');
	printf("\n");
}

static int show(struct netlink *netlink, const struct show_values *values)
{
	struct netlink_vcpu *vcpus;
	struct netlink_vm vm;
	int count;
	u32 id;

	if (netlink_find(netlink, values->vm, &id) || netlink_vm(netlink, id, &vm))
		return -1;
	count = netlink_vcpus(netlink, id, &vcpus);
	if (count < 0)
		return -1;
	(values->json ? print_json : print_text)(&vm, vcpus, count);
	free(vcpus);
	return 0;
}

static int run(void *opaque)
{
	struct netlink *netlink = netlink_open();
	int result = netlink ? show(netlink, opaque) : -1;

	if (result)
		fprintf(stderr, "thv show: %s\n", error_text());
	if (netlink)
		netlink_close(netlink);
	return result ? STATUS_ERROR : 0;
}

const struct command cmd_show = {
	.name = "show",
	.summary = "show a VM: its configuration, vCPUs, memory, state and counters",
	.details = details,
	.options = options,
	.statuses = statuses,
	.values_size = sizeof(struct show_values),
	.run = run,
};
