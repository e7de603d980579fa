/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * libthv: VMs looked at again and again: what happens a second, between two looks, and, where the
 * module keeps an exit ledger for the asking, where the time goes.
 */
#ifndef THV_LIB_RATES_H
#define THV_LIB_RATES_H

#include "lib/netlink.h"

struct rates_vcpu {
	struct netlink_vcpu now;
	double exits;		/* a second */
};

/* Shares of time are in percent of one host CPU, all vCPUs together */
struct rates_vm {
	struct netlink_vm now;
	double seconds;		/* since it was looked at before; 0: it was not, so there are no rates */
	double exits, user_exits, faults;	/* a second */
	bool timed;		/* the next four are known */
	double guest, kernel, launcher;
	double halted;		/* in the kernel, because of HLT */
	int vcpus;
	struct rates_vcpu *vcpu;
};

struct rates {
	int count;
	struct rates_vm *vm;	/* in the order of their numbers */
};

struct sampler;

struct sampler *sampler_open(void);		/* NULL on error */
void sampler_close(struct sampler *sampler);
/* What there is now. It stays until the next look. 0, or -1 with the error text set. */
int sampler_look(struct sampler *sampler, const struct rates **rates);

#endif
