// SPDX-License-Identifier: GPL-2.0-only
/*
 * Listeners: sockets that are told what happens to VMs, or their figures now and then.
 *
 * A multicast group would be the usual way, but until 6.6 the kernel could not leave out the
 * sockets of those who may not see a VM. So each listener is on a list, with what it may see, and
 * is sent its own messages. That has its good sides: each has its own numbering, a loss is known
 * here, and a listener that does not read loses only its own.
 *
 * Who listens may be told things from any thread that may sleep; who may not, queues work.
 *
 * Lock: @lock guards the list, and what listeners of the lifecycle group count. What one of the
 * stats group counts is its work item's own. A listener does not outlive its socket, which keeps
 * the network namespace.
 */
#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/netlink.h>
#include <linux/notifier.h>
#include <linux/slab.h>
#include <linux/user_namespace.h>
#include <linux/workqueue.h>
#include <net/net_namespace.h>
#include <net/netlink.h>
#include <net/sock.h>
#include "netlink.h"
#include "vcpu.h"
#include "vm.h"

struct listener {
	struct list_head link;
	struct net *net;
	u32 portid;			/* the socket's number in @net */
	u32 group;			/* enum thv_group */
	u32 vm;				/* only of this one; 0: of all */
	u32 period;			/* stats: milliseconds */
	struct thv_viewer viewer;
	u64 sequence;			/* of the last message */
	u64 lost;			/* of them, those that found no room */
	struct delayed_work work;	/* stats: the next round */
};

static LIST_HEAD(listeners);
static DEFINE_MUTEX(lock);
static struct workqueue_struct *queue;

/* ---- messages ---- */

/* Something that happened: what a message of the lifecycle group is made of */
struct happening {
	struct thv_vm *vm;
	const struct thv_vcpu *vcpu;
	enum thv_lifecycle event;
	const struct thv_why *cause;
	u64 time;
};

static int put_happening(struct sk_buff *skb, const struct thv_viewer *viewer,
			 const struct happening *what)
{
	return nla_put_u32(skb, THV_ATTR_EVENT, what->event) ?:
	       thv_put_u64(skb, THV_ATTR_TIME, what->time) ?:
	       thv_put_identity(skb, viewer, what->vm) ?:
	       (what->vcpu ? nla_put_u32(skb, THV_ATTR_VCPU, what->vcpu->id) : 0) ?:
	       thv_put_cause(skb, viewer, what->vm, what->cause);
}

static int put_figures(struct sk_buff *skb, const struct thv_viewer *viewer,
		       const struct happening *what)
{
	return thv_put_identity(skb, viewer, what->vm) ?: thv_put_figures(skb, what->vm);
}

/* Enough for a name of 32 bytes, a sentence of 160, and numbers; stats have no sentence */
#define TEXTS_SIZE	512
#define COUNTERS_SIZE	(THV_STATS * (NLA_HDRLEN + sizeof(u64)))

/* The messages, by enum thv_group */
static const struct {
	u8 command;
	size_t size;
	int (*put)(struct sk_buff *skb, const struct thv_viewer *viewer,
		   const struct happening *what);
} messages[] = {
	[THV_GROUP_LIFECYCLE] = { THV_CMD_LIFECYCLE, TEXTS_SIZE, put_happening },
	[THV_GROUP_STATS] = { THV_CMD_STATS, TEXTS_SIZE + COUNTERS_SIZE, put_figures },
};

/* NULL: no memory. @lost is NULL where nobody knows it. */
static struct sk_buff *message(u32 group, const struct thv_viewer *viewer, u64 sequence,
			       const u64 *lost, const struct happening *what)
{
	struct sk_buff *skb = genlmsg_new(messages[group].size, GFP_KERNEL);
	void *header;

	if (!skb)
		return NULL;
	header = genlmsg_put(skb, 0, 0, &thv_family, 0, messages[group].command);
	if (!header ||
	    thv_put_u64(skb, THV_ATTR_SEQUENCE, sequence) ||
	    (lost && thv_put_u64(skb, THV_ATTR_LOST, *lost)) ||
	    messages[group].put(skb, viewer, what)) {
		nlmsg_free(skb);
		return NULL;
	}
	genlmsg_end(skb, header);
	return skb;
}

/* A socket without room takes note of its loss itself (netlink_overrun) */
static void send(struct listener *listener, const struct happening *what)
{
	struct sk_buff *skb = message(listener->group, &listener->viewer, ++listener->sequence,
				      &listener->lost, what);

	if (!skb || genlmsg_unicast(listener->net, skb, listener->portid))
		listener->lost++;
}

static bool wants(const struct listener *listener, const struct thv_vm *vm)
{
	return (!listener->vm || listener->vm == vm->id) && !thv_viewer_sees(&listener->viewer, vm);
}

/* ---- the lifecycle group ---- */

/*
 * The family's multicast group, for whoever may see everything: joining takes CAP_SYS_ADMIN in the user
 * namespace of the network namespace, and of the initial one that is the initial one.
 */
static void tell_group(const struct happening *what)
{
	static const struct thv_viewer viewer = { .users = &init_user_ns };
	static u64 sequence;	/* under the lock */
	struct sk_buff *skb;

	if (what->vm->net != init_net.net_cookie || !genl_has_listeners(&thv_family, &init_net, 0))
		return;
	skb = message(THV_GROUP_LIFECYCLE, &viewer, ++sequence, NULL, what);
	if (skb)
		genlmsg_multicast(&thv_family, skb, 0, 0, GFP_KERNEL);
	else
		genl_set_err(&thv_family, &init_net, 0, 0, -ENOBUFS);
}

void thv_tell(struct thv_vm *vm, const struct thv_vcpu *vcpu, enum thv_lifecycle event,
	      const struct thv_why *cause)
{
	const struct happening what = { vm, vcpu, event, cause, ktime_get_ns() };
	struct listener *listener;

	mutex_lock(&lock);
	list_for_each_entry(listener, &listeners, link)
		if (listener->group == THV_GROUP_LIFECYCLE && wants(listener, vm))
			send(listener, &what);
	tell_group(&what);
	mutex_unlock(&lock);
}

void thv_tell_later(struct work_struct *work)
{
	queue_work(queue, work);
}

/* ---- the stats group ---- */

/* Letting go of a VM may be its end, and that is told: no lock here. */
static void send_figures(struct work_struct *work)
{
	struct listener *listener = container_of(to_delayed_work(work), struct listener, work);
	struct thv_vm *vm;
	unsigned long id;

	for (id = 0; (vm = thv_vm_from(id)); thv_vm_put(vm)) {
		id = vm->id + 1;
		if (wants(listener, vm))
			send(listener, &(struct happening){ .vm = vm });
	}
	queue_delayed_work(queue, &listener->work, msecs_to_jiffies(listener->period));
}

/* ---- coming and going ---- */

/* Off the list, for who then drops it without the lock */
static struct listener *take(const struct net *net, u32 portid, u32 group)
{
	struct listener *listener;

	lockdep_assert_held(&lock);
	list_for_each_entry(listener, &listeners, link)
		if (listener->net == net && listener->portid == portid &&
		    (!group || listener->group == group)) {
			list_del(&listener->link);
			return listener;
		}
	return NULL;
}

/* Nobody but its own work can still have it. @listener may be NULL. */
static void drop(struct listener *listener)
{
	if (listener)
		cancel_delayed_work_sync(&listener->work);
	kfree(listener);
}

static bool too_many(kuid_t uid)
{
	struct listener *listener;
	unsigned int n = 0;

	list_for_each_entry(listener, &listeners, link)
		n += uid_eq(listener->viewer.uid, uid);
	return n >= THV_MAX_LISTENERS;
}

static struct listener *make(struct genl_info *info, const struct thv_viewer *viewer, u32 vm)
{
	const struct nlattr *period = info->attrs[THV_ATTR_PERIOD];
	struct listener *listener = kzalloc(sizeof(*listener), GFP_KERNEL_ACCOUNT);

	if (!listener)
		return NULL;
	listener->net = genl_info_net(info);
	listener->portid = info->snd_portid;
	listener->group = nla_get_u32(info->attrs[THV_ATTR_GROUP]);
	listener->vm = vm;
	listener->period = period ? nla_get_u32(period) : 0;
	listener->viewer = *viewer;
	INIT_DELAYED_WORK(&listener->work, send_figures);
	return listener;
}

/* In place of what the socket was told before of this group */
static int enlist(struct genl_info *info, struct listener *listener)
{
	struct listener *old;
	int err = 0;

	mutex_lock(&lock);
	old = take(listener->net, listener->portid, listener->group);
	if (too_many(listener->viewer.uid))
		err = -EUSERS;
	else
		list_add_tail(&listener->link, &listeners);
	if (!err && listener->period)
		queue_delayed_work(queue, &listener->work, msecs_to_jiffies(listener->period));
	mutex_unlock(&lock);
	drop(old);
	if (err)
		NL_SET_ERR_MSG(info->extack, "this user has too many listeners; close some sockets");
	return err;
}

static int check_request(struct genl_info *info)
{
	const struct nlattr *group = info->attrs[THV_ATTR_GROUP];
	bool stats;

	if (!group) {
		NL_SET_ERR_MSG(info->extack, "listener of what? give the attribute group");
		return -EINVAL;
	}
	stats = nla_get_u32(group) == THV_GROUP_STATS;
	if (stats == !!info->attrs[THV_ATTR_PERIOD])
		return 0;
	if (stats)
		NL_SET_ERR_MSG(info->extack, "how often? the stats group wants the attribute period, in milliseconds");
	else
		NL_SET_ERR_MSG(info->extack, "the lifecycle group has no period: leave the attribute out");
	return -EINVAL;
}

/* THV_CMD_SUBSCRIBE: again on the same socket changes what was said before */
int thv_subscribe(struct sk_buff *skb, struct genl_info *info)
{
	struct listener *listener;
	struct thv_viewer viewer;
	struct thv_vm *vm;
	u32 only = 0;
	int err;

	err = thv_viewer_init(&viewer, skb, info->attrs[THV_ATTR_DEVICE], info->extack) ?:
	      check_request(info);
	if (err)
		return err;
	if (info->attrs[THV_ATTR_VM]) {
		vm = thv_viewer_find(&viewer, info->attrs[THV_ATTR_VM], info->extack);
		if (IS_ERR(vm))
			return PTR_ERR(vm);
		only = vm->id;
		thv_vm_put(vm);
	}
	listener = make(info, &viewer, only);
	if (!listener)
		return -ENOMEM;
	err = enlist(info, listener);
	if (err)
		kfree(listener);
	return err;
}

int thv_unsubscribe(struct sk_buff *skb, struct genl_info *info)
{
	struct listener *listener;

	if (!info->attrs[THV_ATTR_GROUP]) {
		NL_SET_ERR_MSG(info->extack, "listener of what? give the attribute group");
		return -EINVAL;
	}
	mutex_lock(&lock);
	listener = take(genl_info_net(info), info->snd_portid,
			nla_get_u32(info->attrs[THV_ATTR_GROUP]));
	mutex_unlock(&lock);
	if (!listener) {
		NL_SET_ERR_MSG(info->extack, "this socket is no listener of that group");
		return -ENOENT;
	}
	drop(listener);
	return 0;
}

/* A netlink socket is closed. Its number may be another's as soon as this returns. */
static int socket_closed(struct notifier_block *block, unsigned long event, void *data)
{
	const struct netlink_notify *socket = data;
	struct listener *listener;

	if (event != NETLINK_URELEASE || socket->protocol != NETLINK_GENERIC)
		return NOTIFY_DONE;
	do {
		mutex_lock(&lock);
		listener = take(socket->net, socket->portid, 0);
		mutex_unlock(&lock);
		drop(listener);
	} while (listener);
	return NOTIFY_DONE;
}

static struct notifier_block close_block = { .notifier_call = socket_closed };

int thv_listen_init(void)
{
	queue = alloc_workqueue("thv", WQ_UNBOUND, 0);
	if (!queue)
		return -ENOMEM;
	netlink_register_notifier(&close_block);
	return 0;
}

void thv_listen_flush(void)
{
	flush_workqueue(queue);
}

/* The sockets stay open, and hear nothing more. */
void thv_listen_exit(void)
{
	struct listener *listener, *next;

	netlink_unregister_notifier(&close_block);
	list_for_each_entry_safe(listener, next, &listeners, link)
		drop(listener);
	destroy_workqueue(queue);
}
