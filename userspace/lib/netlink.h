/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * libthv: the module's generic netlink family (uapi/thv_netlink.h). Calls return 0 or more, or -1
 * with the error text set; errno is then the kernel's.
 */
#ifndef THV_LIB_NETLINK_H
#define THV_LIB_NETLINK_H

#include <thv.h>
#include <thv_netlink.h>

#include "lib/json.h"
#include "lib/types.h"
#include "module/stats.h"

struct netlink;

struct netlink_slot {
	u32 id, flags;
	u64 gpa, size;
};

/* What ended a VM, or made something happen to it; cause is 0 if nothing is known. */
struct netlink_cause {
	u32 cause;		/* enum thv_cause */
	s64 by;			/* uid; -1: nobody's doing */
	char text[200];
};

struct netlink_vm {
	u32 id, owner, state, paging, flags, vcpus;
	u32 pid;		/* 0: not known */
	u64 features, resident;
	u64 time;		/* of the reading: ns of CLOCK_MONOTONIC */
	struct netlink_cause end;
	char name[THV_NAME_LEN];
	u64 counter[THV_STATS];
	u32 slots;
	struct netlink_slot slot[THV_MAX_SLOTS];
};

struct netlink_vcpu {
	u32 id, mp_state, activity;
	u32 terminal;		/* enum thv_exit; 0: it has not ended */
	s64 cpu;		/* -1: it has not run yet */
	u64 time;
	u64 counter[THV_STATS];
};

struct netlink_event {
	u32 event;		/* enum thv_lifecycle */
	u32 vm, state;
	s64 vcpu;		/* -1: of the VM */
	u64 time;
	u64 missed;		/* events between the last one and this that were lost */
	struct netlink_cause cause;
	char name[THV_NAME_LEN];
};

struct netlink *netlink_open(void);	/* opens the device, too; NULL on error */
void netlink_close(struct netlink *netlink);

/* The caller frees what *@vms and *@vcpus point to; the result is how many there are. */
int netlink_vms(struct netlink *netlink, struct netlink_vm **vms);
int netlink_vcpus(struct netlink *netlink, u32 vm, struct netlink_vcpu **vcpus);
int netlink_vm(struct netlink *netlink, u32 id, struct netlink_vm *vm);
/* The number of the VM that a person calls so: by number or name. */
int netlink_find(struct netlink *netlink, const char *vm, u32 *id);

/* On a connection that asks nothing else. @vm: 0 is all. */
int netlink_listen(struct netlink *netlink, u32 vm);
/*
 * 1: an event; 0: none came within @ms (-1: for ever), or a signal did. Whatever was lost is told
 * with the next event; what can be known of it before: netlink_overrun() is true once after it.
 */
int netlink_next(struct netlink *netlink, struct netlink_event *event, int ms);
bool netlink_overrun(struct netlink *netlink);

/* Words; never NULL */
const char *netlink_state(u32 state);
const char *netlink_lifecycle(u32 event);
const char *netlink_activity(u32 activity);
const char *netlink_mp_state(u32 mp_state);
const char *netlink_paging(u32 paging);

/* The counters by name */
extern const struct netlink_counter {
	const char *name, *meaning;
} netlink_counters[THV_STATS];

void netlink_json_counters(struct json *json, const u64 counter[THV_STATS]);
void netlink_json_cause(struct json *json, const struct netlink_cause *cause);
/* "asked for through a control descriptor, by user 1000" */
const char *netlink_cause_text(const struct netlink_cause *cause);

#endif
