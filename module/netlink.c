// SPDX-License-Identifier: GPL-2.0-only
/*
 * The generic netlink family: who may ask what, and the answers. See uapi/thv_netlink.h for the
 * rules, listen.c for what is told unasked.
 *
 * Nothing here has a lock of its own: a VM that is looked at is kept by a reference, its counters
 * and state may move on while they are read. A request is served in its sender's context, and so
 * is the beginning of a dump; the rest of a dump belongs to whoever reads it, so what the asker
 * may see is found out once and remembered.
 */
#include <linux/cred.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/pid_namespace.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/srcu.h>
#include <linux/user_namespace.h>
#include <net/sock.h>
#include "backend.h"
#include "compat.h"
#include "cpuid.h"
#include "ioctl.h"
#include "netlink.h"
#include "vcpu.h"
#include "vm.h"

/* ---- who asks ---- */

static bool is_device(const struct nlattr *descriptor)
{
	struct file *file = fget(nla_get_u32(descriptor));
	bool is;

	if (!file)
		return false;
	is = thv_is_device(file);
	fput(file);
	return is;
}

static const struct cred *opener_of(const struct sk_buff *request)
{
	return NETLINK_CB(request).sk->sk_socket->file->f_cred;
}

/*
 * The user whose VMs these are. A program that runs as another user than who started it can be
 * given a socket as its output; what it writes there must not be a question of its own. So
 * the socket's opener has to be the same user, unless the message was addressed, which does not happen
 * by accident. (The kernel's own rule: netlink_capable().)
 */
static kuid_t asking_user(const struct sk_buff *request)
{
	kuid_t uid = current_euid();

	if ((NETLINK_CB(request).flags & NETLINK_SKB_DST) ||
	    uid_eq(opener_of(request)->euid, uid))
		return uid;
	return INVALID_UID;
}

/**
 * thv_viewer_init - find out what the sender of a request may see.
 * @viewer: filled in.
 * @request: the request.
 * @device: its THV_ATTR_DEVICE, or NULL.
 * @extack: for the sentence.
 *
 * Context: the sender's.
 * Return: 0; -EACCES, nothing shows that the sender could open the device.
 */
int thv_viewer_init(struct thv_viewer *viewer, const struct sk_buff *request,
		    const struct nlattr *device, struct netlink_ext_ack *extack)
{
	*viewer = (struct thv_viewer){
		.net = sock_net(NETLINK_CB(request).sk)->net_cookie,
		.uid = asking_user(request),
		.all = netlink_capable(request, CAP_SYS_ADMIN),
		.users = opener_of(request)->user_ns,
	};
	if (viewer->all || (device && is_device(device)))
		return 0;
	NL_SET_ERR_MSG(extack, "not permitted without an open descriptor of /dev/thv in the attribute device; members of group thv can open it");
	return -EACCES;
}

/**
 * thv_viewer_sees - may this VM be told of?
 * @viewer: to whom.
 * @vm: the VM.
 *
 * Return: 0; -ENOENT, it is in another network namespace; -EPERM, it is another user's.
 */
int thv_viewer_sees(const struct thv_viewer *viewer, const struct thv_vm *vm)
{
	if (vm->net != viewer->net)
		return -ENOENT;
	return viewer->all || uid_eq(vm->owner, viewer->uid) ? 0 : -EPERM;
}

struct thv_vm *thv_viewer_find(const struct thv_viewer *viewer, const struct nlattr *number,
			       struct netlink_ext_ack *extack)
{
	struct thv_vm *vm;
	int err = -ENOENT;

	if (!number) {
		NL_SET_ERR_MSG(extack, "which VM? give its number in the attribute vm");
		return ERR_PTR(-EINVAL);
	}
	vm = thv_vm_by_id(nla_get_u32(number));
	if (vm)
		err = thv_viewer_sees(viewer, vm);
	if (!err)
		return vm;
	if (vm)
		thv_vm_put(vm);
	if (err == -EPERM)
		NL_SET_ERR_MSG(extack, "not permitted: it is another user's VM; ask its owner, or use root");
	else
		NL_SET_ERR_MSG(extack, "there is no such VM in this network namespace; list the VMs for those there are");
	return ERR_PTR(err);
}

/* ---- pieces of messages: 0 or -EMSGSIZE ---- */

int thv_put_u64(struct sk_buff *skb, int attribute, u64 value)
{
	return nla_put(skb, attribute, sizeof(value), &value);
}

static int put_counters(struct sk_buff *skb, const u64 counter[THV_STATS])
{
	struct nlattr *nest = nla_nest_start(skb, THV_ATTR_COUNTERS);
	unsigned int c;

	if (!nest)
		return -EMSGSIZE;
	for (c = 0; c < THV_STATS; c++)
		if (thv_put_u64(skb, c + 1, counter[c]))
			return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

int thv_put_identity(struct sk_buff *skb, const struct thv_viewer *viewer, struct thv_vm *vm)
{
	return nla_put_u32(skb, THV_ATTR_VM, vm->id) ?:
	       nla_put_string(skb, THV_ATTR_NAME, vm->name) ?:
	       nla_put_u32(skb, THV_ATTR_OWNER, from_kuid_munged(viewer->users, vm->owner)) ?:
	       nla_put_u32(skb, THV_ATTR_STATE, thv_vm_state(vm));
}

/* What moves: counters, and how much memory is mapped */
int thv_put_figures(struct sk_buff *skb, struct thv_vm *vm)
{
	u64 counter[THV_STATS];

	thv_vm_counters(vm, counter);
	return thv_put_u64(skb, THV_ATTR_TIME, ktime_get_ns()) ?:
	       nla_put_u32(skb, THV_ATTR_VCPUS, READ_ONCE(vm->nr_vcpus)) ?:
	       thv_put_u64(skb, THV_ATTR_RESIDENT,
			   (u64)READ_ONCE(vm->memory.tables.mapped) << PAGE_SHIFT) ?:
	       put_counters(skb, counter);
}

static const char * const causes[] = {
	"",	/* THV_CAUSE_NONE */
#define CAUSE_TEXT(name, text) text,
	THV_CAUSES(CAUSE_TEXT)
#undef CAUSE_TEXT
};

static int put_cause_text(struct sk_buff *skb, const struct thv_vm *vm,
			  const struct thv_why *cause)
{
	const char *text = causes[cause->cause];
	char sentence[160];

	switch (cause->cause) {
	case THV_CAUSE_SHUTDOWN:
	case THV_CAUSE_MACHINE_CHECK:
		snprintf(sentence, sizeof(sentence), "vCPU %u: %s", cause->vcpu, text);
		break;
	case THV_CAUSE_INCONSISTENT:
		snprintf(sentence, sizeof(sentence), "%s: %s", text, vm->why);
		break;
	default:
		snprintf(sentence, sizeof(sentence), "%s", text);
	}
	return nla_put_string(skb, THV_ATTR_CAUSE_TEXT, sentence);
}

int thv_put_cause(struct sk_buff *skb, const struct thv_viewer *viewer, const struct thv_vm *vm,
		  const struct thv_why *cause)
{
	if (cause->cause == THV_CAUSE_NONE)
		return 0;
	if (nla_put_u32(skb, THV_ATTR_CAUSE, cause->cause) || put_cause_text(skb, vm, cause))
		return -EMSGSIZE;
	if (cause->cause != THV_CAUSE_LAUNCHER && cause->cause != THV_CAUSE_CONTROL)
		return 0;
	return nla_put_u32(skb, THV_ATTR_CAUSE_BY, from_kuid_munged(viewer->users, cause->by));
}

/* ---- a VM ---- */

/* The number means the creator only for as long as that process is there */
static int put_pid_of(struct sk_buff *skb, const struct thv_vm *vm)
{
	pid_t number = 0;

	rcu_read_lock();
	if (pid_task(vm->creator, PIDTYPE_TGID))
		number = pid_nr_ns(vm->creator, task_active_pid_ns(current));
	rcu_read_unlock();
	return number ? nla_put_u32(skb, THV_ATTR_PID, number) : 0;
}

static int put_slot(struct sk_buff *skb, const struct thv_slot *slot)
{
	struct nlattr *nest = nla_nest_start(skb, THV_ATTR_SLOT);

	if (!nest ||
	    nla_put_u32(skb, THV_SLOT_ATTR_ID, slot->id) ||
	    thv_put_u64(skb, THV_SLOT_ATTR_GPA, slot->gfn << THV_PAGE_SHIFT) ||
	    thv_put_u64(skb, THV_SLOT_ATTR_SIZE, slot->pages << THV_PAGE_SHIFT) ||
	    nla_put_u32(skb, THV_SLOT_ATTR_FLAGS, slot->flags & ~THV_SLOT_DYING))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

static int put_slots(struct sk_buff *skb, struct thv_memory_map *map)
{
	int index = srcu_read_lock(&map->slots_srcu), err = 0;
	const struct thv_slots *slots = thv_memory_slots(map);
	u32 i;

	for (i = 0; i < slots->nr && !err; i++)
		err = put_slot(skb, &slots->slot[i]);
	srcu_read_unlock(&map->slots_srcu, index);
	return err;
}

static int put_vm(struct sk_buff *skb, const struct thv_viewer *viewer, struct thv_vm *vm)
{
	const struct thv_why end = thv_vm_end(vm);

	return thv_put_identity(skb, viewer, vm) ?:
	       put_pid_of(skb, vm) ?:
	       thv_put_cause(skb, viewer, vm, &end) ?:
	       nla_put_u32(skb, THV_ATTR_PAGING, vm->paging) ?:
	       thv_put_u64(skb, THV_ATTR_FEATURES, vm->features) ?:
	       nla_put_u32(skb, THV_ATTR_FLAGS, vm->flags) ?:
	       put_slots(skb, &vm->memory) ?:
	       thv_put_figures(skb, vm);
}

/* ---- a vCPU ---- */

static u32 activity_of(struct thv_vcpu *vcpu)
{
	u32 mp_state = READ_ONCE(vcpu->mp_state);

	if (!mutex_is_locked(&vcpu->busy))
		return THV_ACTIVITY_LAUNCHER;
	if (atomic_read(&vcpu->mode) != THV_MODE_OUTSIDE)
		return THV_ACTIVITY_GUEST;
	if (thv_vm_state(vcpu->vm) == THV_VM_PAUSED)
		return THV_ACTIVITY_PAUSED;
	if (mp_state == THV_MP_WAIT_SIPI)
		return THV_ACTIVITY_WAITING;
	return mp_state == THV_MP_HALTED ? THV_ACTIVITY_HALTED : THV_ACTIVITY_KERNEL;
}

static int put_vcpu(struct sk_buff *skb, struct thv_vcpu *vcpu)
{
	u32 terminal = READ_ONCE(vcpu->terminal);
	int cpu = READ_ONCE(vcpu->cpu);
	u64 counter[THV_STATS];
	unsigned int c;

	for (c = 0; c < THV_STATS; c++)
		counter[c] = READ_ONCE(vcpu->stats[c]);
	return nla_put_u32(skb, THV_ATTR_VM, vcpu->vm->id) ?:
	       nla_put_u32(skb, THV_ATTR_VCPU, vcpu->id) ?:
	       nla_put_u32(skb, THV_ATTR_MP_STATE, READ_ONCE(vcpu->mp_state)) ?:
	       nla_put_u32(skb, THV_ATTR_ACTIVITY, activity_of(vcpu)) ?:
	       (cpu < 0 ? 0 : nla_put_u32(skb, THV_ATTR_CPU, cpu)) ?:
	       (terminal ? nla_put_u32(skb, THV_ATTR_TERMINAL, terminal) : 0) ?:
	       thv_put_u64(skb, THV_ATTR_TIME, ktime_get_ns()) ?:
	       put_counters(skb, counter);
}

/* ---- do ---- */

static int put_host(struct sk_buff *skb, const struct thv_viewer *viewer, struct thv_vm *none)
{
	return nla_put_u32(skb, THV_ATTR_API_VERSION, THV_API_VERSION) ?:
	       nla_put_u32(skb, THV_ATTR_BACKEND, thv_backend->id) ?:
	       thv_put_u64(skb, THV_ATTR_OFFERED, thv_caps.offered) ?:
	       thv_put_u64(skb, THV_ATTR_USED, thv_caps.used) ?:
	       nla_put_u32(skb, THV_ATTR_MAX_VCPUS, THV_MAX_VCPUS) ?:
	       nla_put_u32(skb, THV_ATTR_MAX_SLOTS, THV_MAX_SLOTS) ?:
	       nla_put_u32(skb, THV_ATTR_GUEST_PHYS_BITS, thv_guest_phys_bits()) ?:
	       nla_put_u32(skb, THV_ATTR_TSC_KHZ, thv_guest_tsc_khz());
}

static int put_stats(struct sk_buff *skb, const struct thv_viewer *viewer, struct thv_vm *vm)
{
	return thv_put_identity(skb, viewer, vm) ?: thv_put_figures(skb, vm);
}

typedef int (*put_fn)(struct sk_buff *skb, const struct thv_viewer *viewer, struct thv_vm *vm);

/* One message in answer to one request */
static int answer(struct genl_info *info, u8 command, const struct thv_viewer *viewer,
		  struct thv_vm *vm, put_fn put)
{
	struct sk_buff *skb = genlmsg_new(THV_MESSAGE_SIZE, GFP_KERNEL);
	void *header;

	if (!skb)
		return -ENOMEM;
	header = genlmsg_put_reply(skb, info, &thv_family, 0, command);
	if (!header || put(skb, viewer, vm)) {
		nlmsg_free(skb);
		return -EMSGSIZE;
	}
	genlmsg_end(skb, header);
	return genlmsg_reply(skb, info);
}

static int get_host(struct sk_buff *skb, struct genl_info *info)
{
	struct thv_viewer viewer;
	int err = thv_viewer_init(&viewer, skb, info->attrs[THV_ATTR_DEVICE], info->extack);

	return err ?: answer(info, THV_CMD_GET_HOST, &viewer, NULL, put_host);
}

static int answer_about_vm(struct sk_buff *skb, struct genl_info *info, u8 command, put_fn put)
{
	struct thv_viewer viewer;
	struct thv_vm *vm;
	int err;

	err = thv_viewer_init(&viewer, skb, info->attrs[THV_ATTR_DEVICE], info->extack);
	if (err)
		return err;
	vm = thv_viewer_find(&viewer, info->attrs[THV_ATTR_VM], info->extack);
	if (IS_ERR(vm))
		return PTR_ERR(vm);
	err = answer(info, command, &viewer, vm, put);
	thv_vm_put(vm);
	return err;
}

static int get_vm(struct sk_buff *skb, struct genl_info *info)
{
	return answer_about_vm(skb, info, THV_CMD_GET_VM, put_vm);
}

static int get_stats(struct sk_buff *skb, struct genl_info *info)
{
	return answer_about_vm(skb, info, THV_CMD_GET_STATS, put_stats);
}

/* ---- dumps ---- */

/* Where a dump stands: lives in struct netlink_callback */
struct dump {
	struct thv_viewer viewer;
	u32 vm;			/* vCPUs: whose */
	u32 next;		/* the first id that has not been told */
};

static struct dump *dump_of(struct netlink_callback *cb)
{
	BUILD_BUG_ON(sizeof(struct dump) > sizeof(cb->ctx));
	return (struct dump *)cb->ctx;
}

static int start_dump(struct netlink_callback *cb)
{
	cb->min_dump_alloc = THV_MESSAGE_SIZE;
	return thv_viewer_init(&dump_of(cb)->viewer, cb->skb, thv_dump_attrs(cb)[THV_ATTR_DEVICE],
			       cb->extack);
}

static int start_vcpus(struct netlink_callback *cb)
{
	struct dump *dump = dump_of(cb);
	int err = start_dump(cb);
	struct thv_vm *vm;

	if (err)
		return err;
	vm = thv_viewer_find(&dump->viewer, thv_dump_attrs(cb)[THV_ATTR_VM], cb->extack);
	if (IS_ERR(vm))
		return PTR_ERR(vm);
	dump->vm = vm->id;
	thv_vm_put(vm);
	return 0;
}

static void *put_dump_header(struct sk_buff *skb, struct netlink_callback *cb, u8 command)
{
	return genlmsg_put(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq, &thv_family,
			   NLM_F_MULTI, command);
}

static int dump_vm(struct sk_buff *skb, struct netlink_callback *cb, struct thv_vm *vm)
{
	void *header;

	if (thv_viewer_sees(&dump_of(cb)->viewer, vm))
		return 0;
	header = put_dump_header(skb, cb, THV_CMD_GET_VM);
	if (!header)
		return -EMSGSIZE;
	if (put_vm(skb, &dump_of(cb)->viewer, vm)) {
		genlmsg_cancel(skb, header);
		return -EMSGSIZE;
	}
	genlmsg_end(skb, header);
	return 0;
}

static int dump_vms(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct dump *dump = dump_of(cb);
	struct thv_vm *vm;
	int err = 0;

	while (!err && (vm = thv_vm_from(dump->next))) {
		err = dump_vm(skb, cb, vm);
		if (!err)
			dump->next = vm->id + 1;
		thv_vm_put(vm);
	}
	return skb->len ?: err;
}

static int dump_vcpu(struct sk_buff *skb, struct netlink_callback *cb, struct thv_vcpu *vcpu)
{
	void *header = put_dump_header(skb, cb, THV_CMD_GET_VCPU);

	if (!header)
		return -EMSGSIZE;
	if (put_vcpu(skb, vcpu)) {
		genlmsg_cancel(skb, header);
		return -EMSGSIZE;
	}
	genlmsg_end(skb, header);
	return 0;
}

/* A VM that went in between has no vCPUs left */
static int dump_vcpus(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct dump *dump = dump_of(cb);
	struct thv_vm *vm = thv_vm_by_id(dump->vm);
	struct thv_vcpu *vcpu;
	int err = 0;

	if (!vm)
		return 0;
	while (!err && (vcpu = thv_vm_vcpu_from(vm, &dump->next))) {
		err = dump_vcpu(skb, cb, vcpu);
		if (!err)
			dump->next++;
	}
	thv_vm_put(vm);
	return skb->len ?: err;
}

/* ---- the family ---- */

static const struct nla_policy host_policy[THV_ATTR_DEVICE + 1] = {
	[THV_ATTR_DEVICE] = { .type = NLA_U32 },
};

static const struct nla_policy vm_policy[THV_ATTR_VM + 1] = {
	[THV_ATTR_DEVICE] = { .type = NLA_U32 },
	[THV_ATTR_VM] = { .type = NLA_U32 },
};

static struct netlink_range_validation period_range = {
	.min = THV_PERIOD_MIN, .max = THV_PERIOD_MAX,
};

static const struct nla_policy subscribe_policy[THV_ATTR_PERIOD + 1] = {
	[THV_ATTR_DEVICE] = { .type = NLA_U32 },
	[THV_ATTR_VM] = { .type = NLA_U32 },
	[THV_ATTR_GROUP] = NLA_POLICY_RANGE(NLA_U32, THV_GROUP_LIFECYCLE, THV_GROUP_STATS),
	[THV_ATTR_PERIOD] = NLA_POLICY_FULL_RANGE(NLA_U32, &period_range),
};

static const struct nla_policy unsubscribe_policy[THV_ATTR_GROUP + 1] = {
	[THV_ATTR_GROUP] = NLA_POLICY_RANGE(NLA_U32, THV_GROUP_LIFECYCLE, THV_GROUP_STATS),
};

#define POLICY(_policy) .policy = _policy, .maxattr = ARRAY_SIZE(_policy) - 1

static const struct genl_ops operations[] = {
	{ .cmd = THV_CMD_GET_HOST, .doit = get_host, POLICY(host_policy) },
	{ .cmd = THV_CMD_GET_VM, .doit = get_vm, .start = start_dump, .dumpit = dump_vms,
	  POLICY(vm_policy) },
	{ .cmd = THV_CMD_GET_VCPU, .start = start_vcpus, .dumpit = dump_vcpus, POLICY(vm_policy) },
	{ .cmd = THV_CMD_GET_STATS, .doit = get_stats, POLICY(vm_policy) },
	{ .cmd = THV_CMD_SUBSCRIBE, .doit = thv_subscribe, POLICY(subscribe_policy) },
	{ .cmd = THV_CMD_UNSUBSCRIBE, .doit = thv_unsubscribe, POLICY(unsubscribe_policy) },
};

static const struct genl_multicast_group groups[] = {
	{ .name = THV_MULTICAST_LIFECYCLE, .flags = GENL_MCAST_CAP_SYS_ADMIN },
};

struct genl_family thv_family __ro_after_init = {
	.name = THV_GENL_NAME,
	.version = THV_GENL_VERSION,
	.netnsok = true,
	.parallel_ops = true,
	.module = THIS_MODULE,
	.ops = operations,
	.n_ops = ARRAY_SIZE(operations),
	.mcgrps = groups,
	.n_mcgrps = ARRAY_SIZE(groups),
};

int thv_netlink_init(void)
{
	int err = thv_listen_init();

	if (err)
		return err;
	err = genl_register_family(&thv_family);
	if (err)
		thv_listen_exit();
	return err;
}

/* There is no VM any more, but one may have died just now. Then no request, so no new listener. */
void thv_netlink_exit(void)
{
	thv_listen_flush();
	genl_unregister_family(&thv_family);
	thv_listen_exit();
}
