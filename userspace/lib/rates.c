// SPDX-License-Identifier: GPL-2.0-only
/* Two looks at the VMs, one after the other, and what lies between. */
#include "lib/rates.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "lib/control.h"
#include "lib/error.h"

/* A VM's ledger: kept for as long as control is open */
struct ledger {
	u32 vm;
	int control;		/* -1: this module, or this user, has none */
	bool seen;		/* in this look */
	bool valid;		/* the sums are those of the look before */
	u64 guest, kernel, launcher, halted;	/* cycles */
};

struct sampler {
	struct netlink *netlink;
	struct rates before, now;
	struct ledger *ledgers;
	int ledger_count;
};

/* ---- ledgers ------------------------------------------------------------- */

#define VMX_REASON_HLT	12	/* SDM appendix C */
#define LEDGER_ROWS	128

static int open_ledger(u32 vm)
{
	char number[16];
	int control;

	snprintf(number, sizeof(number), "%u", vm);
	control = control_open(number);
	if (control >= 0 && ioctl(control, THV_KEEP_LEDGER)) {
		close(control);
		control = -1;
	}
	return control;
}

static struct ledger *find_ledger(struct sampler *sampler, u32 vm)
{
	struct ledger *ledgers;
	int i;

	for (i = 0; i < sampler->ledger_count; i++)
		if (sampler->ledgers[i].vm == vm)
			return &sampler->ledgers[i];
	ledgers = realloc(sampler->ledgers, (i + 1) * sizeof(*ledgers));
	if (!ledgers)
		return NULL;
	sampler->ledgers = ledgers;
	sampler->ledger_count++;
	ledgers[i] = (struct ledger){ .vm = vm, .control = open_ledger(vm) };
	return &ledgers[i];
}

static void forget_ledgers(struct sampler *sampler, bool all)
{
	int i, kept = 0;

	for (i = 0; i < sampler->ledger_count; i++) {
		struct ledger *ledger = &sampler->ledgers[i];

		if (ledger->seen && !all) {
			ledger->seen = false;
			sampler->ledgers[kept++] = *ledger;
		} else if (ledger->control >= 0) {
			close(ledger->control);
		}
	}
	sampler->ledger_count = kept;
}

/* Add a vCPU's ledger to the sums; its cycles a millisecond, 0: it cannot be had */
static u32 add_vcpu(struct ledger *sums, int control, u32 vcpu)
{
	static struct thv_ledger_row rows[LEDGER_ROWS];
	struct thv_get_ledger get = {
		.vcpu = vcpu, .count = LEDGER_ROWS, .data = (unsigned long)rows,
	};
	u32 i;

	if (ioctl(control, THV_GET_LEDGER, &get))
		return 0;
	sums->guest += get.guest_cycles;
	for (i = 0; i < get.count && i < LEDGER_ROWS; i++) {
		sums->launcher += rows[i].user_cycles;
		if (rows[i].reason == VMX_REASON_HLT)
			sums->halted += rows[i].kernel_cycles;
		else
			sums->kernel += rows[i].kernel_cycles;
	}
	return get.tsc_khz;
}

static void take_times(struct sampler *sampler, struct rates_vm *vm)
{
	struct ledger sums = { 0 }, *ledger = find_ledger(sampler, vm->now.id);
	double cycles;
	u32 khz = 0;
	int i;

	if (!ledger)
		return;
	ledger->seen = true;
	for (i = 0; i < vm->vcpus && ledger->control >= 0; i++)
		khz = add_vcpu(&sums, ledger->control, vm->vcpu[i].now.id);
	cycles = vm->seconds * khz * 10;	/* a hundredth of them */
	vm->timed = cycles > 0 && ledger->valid;
	if (vm->timed) {
		vm->guest = (sums.guest - ledger->guest) / cycles;
		vm->kernel = (sums.kernel - ledger->kernel) / cycles;
		vm->launcher = (sums.launcher - ledger->launcher) / cycles;
		vm->halted = (sums.halted - ledger->halted) / cycles;
	}
	sums.vm = ledger->vm;
	sums.control = ledger->control;
	sums.seen = true;
	sums.valid = khz;
	*ledger = sums;
}

/* ---- rates --------------------------------------------------------------- */

static const struct rates_vm *find_vm(const struct rates *rates, u32 id)
{
	int i;

	for (i = 0; i < rates->count; i++)
		if (rates->vm[i].now.id == id)
			return &rates->vm[i];
	return NULL;
}

static double rate(const u64 *now, const u64 *before, int counter, double seconds)
{
	return seconds > 0 ? (now[counter] - before[counter]) / seconds : 0;
}

static void compare_vcpus(struct rates_vm *vm, const struct rates_vm *before)
{
	int i, j;

	for (i = 0; i < vm->vcpus; i++)
		for (j = 0; before && j < before->vcpus; j++)
			if (before->vcpu[j].now.id == vm->vcpu[i].now.id)
				vm->vcpu[i].exits = rate(vm->vcpu[i].now.counter,
							 before->vcpu[j].now.counter,
							 THV_STAT_exits, vm->seconds);
}

static void compare(struct rates_vm *vm, const struct rates_vm *before)
{
	const u64 *then, *now = vm->now.counter;

	if (!before)
		return;
	then = before->now.counter;
	vm->seconds = (vm->now.time - before->now.time) / 1e9;
	vm->exits = rate(now, then, THV_STAT_exits, vm->seconds);
	vm->user_exits = rate(now, then, THV_STAT_user_exits, vm->seconds);
	vm->faults = rate(now, then, THV_STAT_faults, vm->seconds);
	compare_vcpus(vm, before);
}

/* A VM that has gone since it was listed has no vCPUs */
static int take_vcpus(struct netlink *netlink, struct rates_vm *vm)
{
	struct netlink_vcpu *vcpus = NULL;
	int count = netlink_vcpus(netlink, vm->now.id, &vcpus), i;

	if (count < 0)
		return errno == ENOENT ? 0 : -1;
	vm->vcpu = calloc(count ? count : 1, sizeof(*vm->vcpu));
	vm->vcpus = vm->vcpu ? count : 0;
	for (i = 0; i < vm->vcpus; i++)
		vm->vcpu[i].now = vcpus[i];
	free(vcpus);
	return 0;
}

static void clear(struct rates *rates)
{
	int i;

	for (i = 0; i < rates->count; i++)
		free(rates->vm[i].vcpu);
	free(rates->vm);
	*rates = (struct rates){ 0 };
}

int sampler_look(struct sampler *sampler, const struct rates **rates)
{
	struct netlink_vm *vms = NULL;
	int count = netlink_vms(sampler->netlink, &vms), i, result = count < 0 ? -1 : 0;

	if (result)
		return -1;
	clear(&sampler->before);
	sampler->before = sampler->now;
	sampler->now = (struct rates){ .vm = calloc(count ? count : 1, sizeof(struct rates_vm)) };
	sampler->now.count = sampler->now.vm ? count : 0;
	for (i = 0; i < sampler->now.count && !result; i++) {
		struct rates_vm *vm = &sampler->now.vm[i];

		vm->now = vms[i];
		result = take_vcpus(sampler->netlink, vm);
		compare(vm, find_vm(&sampler->before, vm->now.id));
		take_times(sampler, vm);
	}
	forget_ledgers(sampler, false);
	free(vms);
	*rates = &sampler->now;
	return result;
}

struct sampler *sampler_open(void)
{
	struct sampler *sampler = calloc(1, sizeof(*sampler));

	if (sampler)
		sampler->netlink = netlink_open();
	else
		error_set("out of memory");
	if (sampler && sampler->netlink)
		return sampler;
	free(sampler);
	return NULL;
}

void sampler_close(struct sampler *sampler)
{
	forget_ledgers(sampler, true);
	free(sampler->ledgers);
	clear(&sampler->before);
	clear(&sampler->now);
	netlink_close(sampler->netlink);
	free(sampler);
}
