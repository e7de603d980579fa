/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * thv: the generic netlink family "thv": what VMs there are, how they are, and what
 * happens to them. It only tells; what changes a VM is an ioctl (thv.h).
 *
 * Who may ask
 *
 * - Every request but THV_CMD_UNSUBSCRIBE carries in THV_ATTR_DEVICE an open descriptor of
 *   /dev/thv: reading needs what opening the device needs, and this shows it. Who has
 *   CAP_SYS_ADMIN in the initial user namespace need not. Without: -EACCES.
 * - A user sees the VMs of their own (those made with their effective user id); CAP_SYS_ADMIN in
 *   the initial user namespace sees all. It is the user of the socket who asks: the opener and
 *   the sender must agree, unless the message was addressed (sendto).
 * - A VM is seen only from the network namespace it was made in.
 * - One VM asked for by number: -ENOENT, there is none in this network namespace; -EPERM, it is
 *   someone else's.
 *
 * An attribute that is not listed for a request is -EINVAL. Errors carry a sentence
 * (NETLINK_EXT_ACK). Strings are terminated by zero; 64-bit numbers may be unaligned.
 *
 * Being told
 *
 * THV_CMD_SUBSCRIBE makes the asking socket a listener of a group, until THV_CMD_UNSUBSCRIBE or
 * until it is closed. The kernel's multicast groups cannot tell users apart, so each listener is
 * sent messages of its own:
 * - THV_GROUP_LIFECYCLE: a THV_CMD_LIFECYCLE whenever something begins or ends.
 * - THV_GROUP_STATS: a THV_CMD_STATS for each VM every THV_ATTR_PERIOD.
 *
 * A message that finds the socket's buffer full is dropped, and the socket reports that as any
 * netlink socket does (ENOBUFS; SO_MEMINFO counts). A listener's messages of a group are numbered from 1
 * in THV_ATTR_SEQUENCE, the dropped ones, too, and THV_ATTR_LOST says how many of the group's
 * have been dropped before this one: a gap is a loss, there is no other.
 *
 * THV_CMD_LIFECYCLE of the initial network namespace is also multicast to the group
 * THV_MULTICAST_LIFECYCLE, which takes CAP_SYS_ADMIN to join. There THV_ATTR_SEQUENCE is the
 * group's, and there is no THV_ATTR_LOST.
 *
 * Unloading the module waits for no listener: it ends their subscriptions.
 */
#ifndef _UAPI_THV_NETLINK_H
#define _UAPI_THV_NETLINK_H

#define THV_GENL_NAME		"thv"
#define THV_GENL_VERSION	1
#define THV_MULTICAST_LIFECYCLE	"lifecycle"

/* THV_ATTR_PERIOD, in milliseconds */
#define THV_PERIOD_MIN		100
#define THV_PERIOD_MAX		3600000

/* Listeners that one user may have at a time; more are -EUSERS */
#define THV_MAX_LISTENERS	256

enum thv_command {
	THV_CMD_UNSPEC,
	THV_CMD_GET_HOST,	/* what this machine offers: struct thv_info as attributes */
	THV_CMD_GET_VM,		/* do: VM; dump: all that are seen */
	THV_CMD_GET_VCPU,	/* dump: the vCPUs of VM */
	THV_CMD_GET_STATS,	/* do: counters of VM, summed over its vCPUs */
	THV_CMD_SUBSCRIBE,	/* do: GROUP; VM: only of that one; PERIOD: for the stats group */
	THV_CMD_UNSUBSCRIBE,	/* do: GROUP. -ENOENT: the socket is no listener of it */
	THV_CMD_LIFECYCLE,	/* event */
	THV_CMD_STATS,		/* event: as the answer to THV_CMD_GET_STATS */
	__THV_CMD_END,
};

enum thv_attr {
	THV_ATTR_UNSPEC,
	THV_ATTR_DEVICE,	/* u32: a descriptor of /dev/thv */
	THV_ATTR_VM,		/* u32: its number */
	THV_ATTR_NAME,		/* string */
	THV_ATTR_OWNER,		/* u32: uid, as the reader's user namespace has it */
	THV_ATTR_PID,		/* u32: of the process that made it; absent: ended, or not seen */
	THV_ATTR_STATE,		/* u32: enum thv_vm_state */
	THV_ATTR_CAUSE,		/* u32: enum thv_cause; absent: nothing has ended it */
	THV_ATTR_CAUSE_TEXT,	/* string: a sentence with the details */
	THV_ATTR_CAUSE_BY,	/* u32: uid of who did it, if somebody did */
	THV_ATTR_PAGING,	/* u32: enum thv_paging */
	THV_ATTR_FEATURES,	/* u64: THV_FEATURE_* in use */
	THV_ATTR_FLAGS,		/* u32: THV_VM_* */
	THV_ATTR_VCPUS,		/* u32: how many */
	THV_ATTR_SLOT,		/* nest of enum thv_slot_attr, once for each slot */
	THV_ATTR_RESIDENT,	/* u64: bytes of guest memory in the second-level tables now */
	THV_ATTR_COUNTERS,	/* nest: attribute n + 1 is the counter n of module/stats.h, u64 */
	THV_ATTR_VCPU,		/* u32: a vCPU's id */
	THV_ATTR_MP_STATE,	/* u32: enum thv_mp_state */
	THV_ATTR_ACTIVITY,	/* u32: enum thv_activity */
	THV_ATTR_CPU,		/* u32: the host CPU it runs on, or ran on last; absent: none yet */
	THV_ATTR_TERMINAL,	/* u32: the enum thv_exit it has ended with; absent: it has not */
	THV_ATTR_GROUP,		/* u32: enum thv_group */
	THV_ATTR_PERIOD,	/* u32: milliseconds */
	THV_ATTR_EVENT,		/* u32: enum thv_lifecycle; of the vCPU, if THV_ATTR_VCPU is there */
	THV_ATTR_SEQUENCE,	/* u64 */
	THV_ATTR_LOST,		/* u64 */
	THV_ATTR_TIME,		/* u64: ns of CLOCK_MONOTONIC, when it happened or was read */
	THV_ATTR_API_VERSION,	/* u32: the fields of struct thv_info from here on */
	THV_ATTR_BACKEND,	/* u32: enum thv_backend_id */
	THV_ATTR_OFFERED,	/* u64: THV_FEATURE_* */
	THV_ATTR_USED,		/* u64: THV_FEATURE_* */
	THV_ATTR_MAX_VCPUS,	/* u32 */
	THV_ATTR_MAX_SLOTS,	/* u32 */
	THV_ATTR_GUEST_PHYS_BITS, /* u32 */
	THV_ATTR_TSC_KHZ,	/* u32 */
	__THV_ATTR_END,
};

#define THV_ATTR_MAX	(__THV_ATTR_END - 1)

enum thv_slot_attr {
	THV_SLOT_ATTR_UNSPEC,
	THV_SLOT_ATTR_ID,	/* u32 */
	THV_SLOT_ATTR_GPA,	/* u64 */
	THV_SLOT_ATTR_SIZE,	/* u64: bytes */
	THV_SLOT_ATTR_FLAGS,	/* u32: THV_MEMORY_* */
	__THV_SLOT_ATTR_END,
};

enum thv_group {
	THV_GROUP_LIFECYCLE = 1,
	THV_GROUP_STATS = 2,
};

/* Words and sentences of the enums below are declared here, once, for everybody who prints them. */

/* What happens to a VM or vCPU. A vCPU is only created, started, failed and destroyed. */
#define THV_LIFECYCLES(X)							\
	X(CREATED,	"created")						\
	X(STARTED,	"started")	/* its first THV_RUN */			\
	X(PAUSED,	"paused")						\
	X(RESUMED,	"resumed")						\
	X(STOPPED,	"stopped")						\
	X(KILLED,	"killed")	/* DEAD by THV_CONTROL */		\
	X(FAILED,	"failed")	/* DEAD by an inconsistency, a vCPU: a terminal exit */ \
	X(DESTROYED,	"destroyed")	/* nobody has a descriptor of it any more */

/* Why */
#define THV_CAUSES(X)								\
	X(LAUNCHER,	"its launcher asked for it")				\
	X(CONTROL,	"asked for through a control descriptor")		\
	X(HOST,		"the host goes down")					\
	X(SHUTDOWN,	"the guest shut its processor down (triple fault)")	\
	X(MACHINE_CHECK, "a machine check during VM entry")			\
	X(INCONSISTENT,	"an inconsistency in thv itself")

/* Where a vCPU's thread is, at the moment of the reading */
#define THV_ACTIVITIES(X)							\
	X(LAUNCHER,	"launcher")	/* not in THV_RUN */			\
	X(GUEST,	"guest")						\
	X(KERNEL,	"kernel")	/* in THV_RUN, not in the guest */	\
	X(HALTED,	"halted")	/* in THV_RUN, asleep until an interrupt */ \
	X(WAITING,	"waiting")	/* in THV_RUN, asleep until a start-up IPI */ \
	X(PAUSED,	"paused")	/* in THV_RUN, held by THV_VM_PAUSED */

enum thv_lifecycle {
#define THV_LIFECYCLE_ENUM(name, text) THV_LIFECYCLE_##name,
	THV_LIFECYCLES(THV_LIFECYCLE_ENUM)
#undef THV_LIFECYCLE_ENUM
};

enum thv_cause {
	THV_CAUSE_NONE,
#define THV_CAUSE_ENUM(name, text) THV_CAUSE_##name,
	THV_CAUSES(THV_CAUSE_ENUM)
#undef THV_CAUSE_ENUM
};

enum thv_activity {
#define THV_ACTIVITY_ENUM(name, text) THV_ACTIVITY_##name,
	THV_ACTIVITIES(THV_ACTIVITY_ENUM)
#undef THV_ACTIVITY_ENUM
};

#endif /* _UAPI_THV_NETLINK_H */
