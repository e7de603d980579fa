/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The generic netlink family (uapi/thv_netlink.h): netlink.c answers questions, listen.c tells
 * listeners what happens.
 */
#ifndef THV_NETLINK_H
#define THV_NETLINK_H

#include <linux/types.h>
#include <linux/uidgid.h>
#include <net/genetlink.h>
#include "../uapi/thv_netlink.h"

struct thv_why;
struct thv_vcpu;
struct thv_vm;
struct user_namespace;
struct work_struct;

/* What a message may need at most: a VM with all its slots and counters */
#define THV_MESSAGE_SIZE	8192

/**
 * struct thv_viewer - whoever asks or listens, and what that lets them see.
 * @net: cookie of their network namespace.
 * @uid: whose VMs are theirs.
 * @all: they see everybody's.
 * @users: the user namespace that user ids are told in. The socket keeps it.
 */
struct thv_viewer {
	u64 net;
	kuid_t uid;
	bool all;
	struct user_namespace *users;
};

extern struct genl_family thv_family;

/* netlink.c */
int thv_viewer_init(struct thv_viewer *viewer, const struct sk_buff *request,
		    const struct nlattr *device, struct netlink_ext_ack *extack);
int thv_viewer_sees(const struct thv_viewer *viewer, const struct thv_vm *vm);
/* With a reference; an ERR_PTR: -EINVAL, no number given; -ENOENT; -EPERM */
struct thv_vm *thv_viewer_find(const struct thv_viewer *viewer, const struct nlattr *number,
			       struct netlink_ext_ack *extack);
int thv_put_u64(struct sk_buff *skb, int attribute, u64 value);
int thv_put_identity(struct sk_buff *skb, const struct thv_viewer *viewer, struct thv_vm *vm);
int thv_put_figures(struct sk_buff *skb, struct thv_vm *vm);
int thv_put_cause(struct sk_buff *skb, const struct thv_viewer *viewer, const struct thv_vm *vm,
		  const struct thv_why *cause);
int thv_netlink_init(void);
void thv_netlink_exit(void);

/* listen.c */
int thv_subscribe(struct sk_buff *skb, struct genl_info *info);
int thv_unsubscribe(struct sk_buff *skb, struct genl_info *info);
int thv_listen_init(void);
void thv_listen_flush(void);	/* returns when all that was put off has been told */
void thv_listen_exit(void);
/*
 * Something has happened to @vm, or to its @vcpu (else NULL). Whoever listens and may see the
 * VM is told, in the order of the calls. May sleep; takes no lock that a caller could have.
 */
void thv_tell(struct thv_vm *vm, const struct thv_vcpu *vcpu, enum thv_lifecycle event,
	      const struct thv_why *cause);
/* For who may not sleep; any context but NMI. @work is done before the module can go. */
void thv_tell_later(struct work_struct *work);

#endif
