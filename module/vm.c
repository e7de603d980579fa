// SPDX-License-Identifier: GPL-2.0-only
/*
 * A VM: its life, and the ioctls of its descriptors.
 *
 * Two counts. vm->ref counts the descriptors that use the VM, its own and its vCPUs', whatever
 * the order they are closed in: when the last goes, vCPUs and memory go, in whoever's context
 * that is. vm->number keeps the struct and with it the id: a control descriptor (THV_OPEN_VM)
 * holds only that, so it can outlive the VM without keeping its memory, and no other VM can
 * get the id it was opened for.
 *
 * Two kinds of descriptor, hence two tables. The VM's own takes everything, from the process
 * that made it; it is that process's memory that the guest lives in. The control descriptor
 * takes what watches and stops a VM, from any process.
 *
 * The state. RUNNING and PAUSED alternate, STOPPED and DEAD are for good. Writers use cmpxchg,
 * because thv_vm_kill() comes from any context and must not be overwritten. vm->running counts
 * the vCPU threads that may touch the guest; each looks at the state after it has counted
 * itself in, and who changes the state looks at the count after that: one of them sees the
 * other.
 *
 * What happens to a VM is told to listeners (listen.c). The state changes and is told under
 * vm->state_lock, so that they hear things in the order in which they were; thv_vm_kill() cannot
 * wait for the lock, and leaves the telling to a work item.
 */
#define pr_fmt(fmt) "thv: " fmt

#include <linux/anon_inodes.h>
#include <linux/cred.h>
#include <linux/fs.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/nsproxy.h>
#include <linux/pid.h>
#include <linux/poll.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/xarray.h>
#include <net/net_namespace.h>
#include "eventfd.h"
#include "inspect.h"
#include "ioctl.h"
#include "irq.h"
#include "netlink.h"
#include "trace.h"
#include "vcpu.h"
#include "vm.h"

/*
 * Every VM whose number is in use, by id; a reserved entry while it is being made. Its lock
 * makes finding one and taking a reference one step. Ids go round, so that one in somebody's
 * notes does not soon mean another VM.
 */
static DEFINE_XARRAY_FLAGS(vms, XA_FLAGS_ALLOC1 | XA_FLAGS_ACCOUNT);
static u32 next_id;

/* ---- references ---- */

static void free_number(struct kref *number)
{
	struct thv_vm *vm = container_of(number, struct thv_vm, number);

	xa_erase(&vms, vm->id);
	kfree(vm);
}

static void put_number(struct thv_vm *vm)
{
	kref_put(&vm->number, free_number);
}

static void destroy_memory(struct thv_vm *vm)
{
	thv_memory_destroy(vm);
	if (vm->apic_access)
		__free_page(vm->apic_access);
}

static void destroy(struct kref *ref)
{
	struct thv_vm *vm = container_of(ref, struct thv_vm, ref);
	const struct thv_why end = thv_vm_end(vm);
	struct thv_vcpu *vcpu;
	unsigned int i;

	wake_up_all(&vm->state_wait);	/* who polls learns that it is gone */
	/* What comes from outside stops first */
	thv_eventfds_destroy(vm);
	destroy_memory(vm);		/* the notifier, which asks vCPUs to flush */
	thv_for_each_vcpu(i, vcpu, vm) {
		thv_tell(vm, vcpu, THV_LIFECYCLE_DESTROYED, &end);
		thv_vcpu_destroy(vcpu);
	}
	if (vm->known)
		thv_tell(vm, NULL, THV_LIFECYCLE_DESTROYED, &end);
	put_pid(vm->creator);
	mmdrop(vm->mm);
	put_number(vm);
}

void thv_vm_get(struct thv_vm *vm)
{
	kref_get(&vm->ref);
}

/* May sleep: the last reference takes the VM with it. */
void thv_vm_put(struct thv_vm *vm)
{
	kref_put(&vm->ref, destroy);
}

struct thv_vm *thv_vm_from(unsigned long id)
{
	struct thv_vm *vm;

	xa_lock(&vms);
	do {
		vm = xa_find(&vms, &id, ULONG_MAX, XA_PRESENT);
		id++;
	} while (vm && !kref_get_unless_zero(&vm->ref));
	xa_unlock(&vms);
	return vm;
}

struct thv_vm *thv_vm_by_id(u32 id)
{
	struct thv_vm *vm;

	xa_lock(&vms);
	vm = xa_load(&vms, id);
	if (vm && !kref_get_unless_zero(&vm->ref))
		vm = NULL;
	xa_unlock(&vms);
	return vm;
}

/* ---- state ---- */

/**
 * thv_vm_check - may the caller use this VM?
 * @vm: the VM.
 *
 * Return: 0; -EIO, the VM is dead or belongs to another process. The creator's mm is kept
 * from being freed, so its address cannot come to mean another one.
 */
int thv_vm_check(const struct thv_vm *vm)
{
	return vm->mm == current->mm && thv_vm_state(vm) != THV_VM_DEAD ? 0 : -EIO;
}

/* Tell everyone who waits or runs that the state is another. Any context. */
static void announce_state(struct thv_vm *vm)
{
	struct thv_vcpu *vcpu;
	unsigned int i;

	wake_up_all(&vm->state_wait);
	thv_for_each_vcpu(i, vcpu, vm)
		thv_vcpu_request(vcpu, THV_REQ_STATE);
}

/**
 * thv_vm_kill - an inconsistency of our own: the VM is DEAD from now on.
 * @vm: the VM.
 * @why: for the kernel log, once.
 *
 * Context: any but NMI. Its vCPUs leave by themselves, soon.
 */
void thv_vm_kill(struct thv_vm *vm, const char *why)
{
	u32 old;

	cmpxchg(&vm->why, NULL, why);	/* whoever sees it DEAD sees why */
	old = xchg(&vm->state, THV_VM_DEAD);
	if (old == THV_VM_DEAD)
		return;
	trace_thv_state_vm(vm, old, THV_VM_DEAD);
	WARN(1, "thv: VM %u (%s) is dead: %s\n", vm->id, vm->name, why);
	announce_state(vm);
	if (kref_get_unless_zero(&vm->ref))
		thv_tell_later(&vm->tell_death);	/* and put it */
}

struct thv_why thv_vm_end(struct thv_vm *vm)
{
	struct thv_why end;

	mutex_lock(&vm->state_lock);
	end = vm->end;
	mutex_unlock(&vm->state_lock);
	if (end.cause == THV_CAUSE_NONE && READ_ONCE(vm->why))
		end.cause = THV_CAUSE_INCONSISTENT;	/* before anybody could write it down */
	return end;
}

static void tell_death(struct work_struct *work)
{
	struct thv_vm *vm = container_of(work, struct thv_vm, tell_death);
	const struct thv_why cause = { .cause = THV_CAUSE_INCONSISTENT };

	mutex_lock(&vm->state_lock);
	thv_tell(vm, NULL, THV_LIFECYCLE_FAILED, &cause);
	mutex_unlock(&vm->state_lock);
	thv_vm_put(vm);
}

void thv_vm_vcpu_started(struct thv_vcpu *vcpu)
{
	const struct thv_why none = { THV_CAUSE_NONE };
	struct thv_vm *vm = vcpu->vm;

	mutex_lock(&vm->state_lock);
	if (!vm->started)
		thv_tell(vm, NULL, THV_LIFECYCLE_STARTED, &none);
	vm->started = true;
	thv_tell(vm, vcpu, THV_LIFECYCLE_STARTED, &none);
	mutex_unlock(&vm->state_lock);
}

void thv_vm_vcpu_ended(struct thv_vcpu *vcpu)
{
	const struct thv_why cause = {
		.cause = vcpu->terminal == THV_EXIT_SHUTDOWN ? THV_CAUSE_SHUTDOWN :
							       THV_CAUSE_MACHINE_CHECK,
		.vcpu = vcpu->id,
	};
	struct thv_vm *vm = vcpu->vm;

	if (vcpu->end_told)
		return;
	vcpu->end_told = true;
	mutex_lock(&vm->state_lock);
	if (vm->end.cause == THV_CAUSE_NONE)
		vm->end = cause;
	thv_tell(vm, vcpu, THV_LIFECYCLE_FAILED, &cause);
	mutex_unlock(&vm->state_lock);
}

/* Where the state may go from each, as bits; to stay is always possible. */
static const u32 ways[] = {
	[THV_VM_RUNNING] = BIT(THV_VM_RUNNING) | BIT(THV_VM_PAUSED) | BIT(THV_VM_STOPPED) |
			   BIT(THV_VM_DEAD),
	[THV_VM_PAUSED] = BIT(THV_VM_RUNNING) | BIT(THV_VM_PAUSED) | BIT(THV_VM_STOPPED) |
			  BIT(THV_VM_DEAD),
	[THV_VM_STOPPED] = BIT(THV_VM_STOPPED) | BIT(THV_VM_DEAD),
	[THV_VM_DEAD] = BIT(THV_VM_DEAD),
};

/* The way from one state to another, as listeners are told of it */
static const enum thv_lifecycle lifecycles[] = {
	[THV_VM_RUNNING] = THV_LIFECYCLE_RESUMED,
	[THV_VM_PAUSED] = THV_LIFECYCLE_PAUSED,
	[THV_VM_STOPPED] = THV_LIFECYCLE_STOPPED,
	[THV_VM_DEAD] = THV_LIFECYCLE_KILLED,
};

/* To another state; state_lock is held. Only thv_vm_kill() can come in between. */
static int change_state(struct thv_vm *vm, u32 state, const struct thv_why *cause)
{
	u32 old;

	do {
		old = thv_vm_state(vm);
		if (!(ways[old] & BIT(state)))
			return old == THV_VM_DEAD ? -EIO : -EBUSY;
	} while (cmpxchg(&vm->state, old, state) != old);
	trace_thv_state_vm(vm, old, state);
	announce_state(vm);
	if (state == old)
		return 0;
	if (state >= THV_VM_STOPPED && vm->end.cause == THV_CAUSE_NONE)
		vm->end = *cause;
	thv_tell(vm, NULL, lifecycles[state], cause);
	return 0;
}

static int set_state(struct thv_vm *vm, u32 state, u32 cause)
{
	const struct thv_why why = { .cause = cause, .by = current_euid() };
	int err;

	mutex_lock(&vm->state_lock);
	err = change_state(vm, state, &why);
	mutex_unlock(&vm->state_lock);
	return err;
}

/* Has every vCPU stopped for @state, or is it a matter of the past? */
static bool settled(struct thv_vm *vm, u32 state)
{
	return !atomic_read(&vm->running) || thv_vm_state(vm) != state;
}

/* What to tell a vCPU that wants to run */
static int may_run(struct thv_vm *vm)
{
	switch (thv_vm_state(vm)) {
	case THV_VM_RUNNING:
		return 0;
	case THV_VM_PAUSED:
		return -EAGAIN;
	case THV_VM_STOPPED:
		return -ESHUTDOWN;
	default:
		return -EIO;
	}
}

/**
 * thv_vm_run_begin - a vCPU's thread is about to run its guest.
 * @vm: the VM.
 *
 * Waits while the VM is PAUSED. After 0 the thread counts as running until thv_vm_run_end().
 *
 * Context: may sleep; no lock but vcpu->busy.
 * Return: 0; -EINTR, a signal came; -ESHUTDOWN, the VM is STOPPED; -EIO, it is DEAD.
 */
int thv_vm_run_begin(struct thv_vm *vm)
{
	int err;

	for (;;) {
		atomic_inc(&vm->running);
		smp_mb__after_atomic();		/* pairs with cmpxchg() and xchg() of the state */
		err = may_run(vm);
		if (!err)
			return 0;
		thv_vm_run_end(vm);
		if (err != -EAGAIN)
			return err;
		if (wait_event_interruptible(vm->state_wait, thv_vm_state(vm) != THV_VM_PAUSED))
			return -EINTR;
	}
}

/* The thread runs the guest no more. */
void thv_vm_run_end(struct thv_vm *vm)
{
	/* The barrier of atomic_dec_and_test() pairs with that of who goes to sleep */
	if (atomic_dec_and_test(&vm->running) && waitqueue_active(&vm->state_wait))
		wake_up_all(&vm->state_wait);
}

void thv_vm_stop_all(void)
{
	struct thv_vm *vm;
	unsigned long id;

	for (id = 0; (vm = thv_vm_from(id)); thv_vm_put(vm)) {
		id = vm->id + 1;
		set_state(vm, THV_VM_STOPPED, THV_CAUSE_HOST);
		/* A thread may hang in user memory; that must not keep the machine from its end. */
		wait_event_timeout(vm->state_wait, settled(vm, THV_VM_STOPPED), HZ);
	}
}

/* ---- ioctls; ioctl.c has checked the reserved fields ---- */

static long set_memory(void *vm, void *args)
{
	return thv_memory_set(vm, args);
}

static long get_dirty(void *vm, void *args)
{
	return thv_memory_get_dirty(vm, args);
}

static long get_accessed(void *vm, void *args)
{
	return thv_memory_get_accessed(vm, args);
}

static struct file *create_vcpu(void *vm, void *args)
{
	return thv_vcpu_create(vm, args);
}

static long get_ledger(void *vm, void *args)
{
	return thv_ledger_get(vm, args);
}

static long signal_msi(void *vm, void *args)
{
	return thv_irq_deliver_msi(vm, args);
}

static long irqfd(void *vm, void *args)
{
	return thv_irqfd(vm, args);
}

static long ioeventfd(void *vm, void *args)
{
	return thv_ioeventfd(vm, args);
}

static long control(void *object, void *data)
{
	const struct thv_control *args = data;
	struct thv_vm *vm = object;
	int err;

	if (args->state >= ARRAY_SIZE(ways))
		return -EINVAL;
	err = set_state(vm, args->state, vm->mm == current->mm ? THV_CAUSE_LAUNCHER :
								 THV_CAUSE_CONTROL);
	if (err || args->state == THV_VM_RUNNING)
		return err;
	if (wait_event_interruptible(vm->state_wait, settled(vm, args->state)))
		return -EINTR;
	return 0;
}

void thv_vm_counters(struct thv_vm *vm, u64 counter[THV_STATS])
{
	struct thv_vcpu *vcpu;
	unsigned int i, c;

	memset(counter, 0, THV_STATS * sizeof(*counter));
	thv_for_each_vcpu(i, vcpu, vm)
		for (c = 0; c < THV_STATS; c++)
			counter[c] += READ_ONCE(vcpu->stats[c]);
	counter[THV_STAT_tables] = READ_ONCE(vm->memory.tables.nr);
	counter[THV_STAT_splits] = READ_ONCE(vm->memory.tables.splits);
	counter[THV_STAT_merges] = READ_ONCE(vm->memory.tables.merges);
}

static long get_stats(void *object, void *data)
{
	struct thv_vm_stats *stats = data;
	struct thv_vm *vm = object;

	BUILD_BUG_ON(THV_STATS > THV_MAX_COUNTERS);
	stats->id = vm->id;
	stats->state = thv_vm_state(vm);
	stats->vcpus = READ_ONCE(vm->nr_vcpus);
	stats->paging = vm->paging;
	stats->features = vm->features;
	memcpy(stats->name, vm->name, sizeof(stats->name));
	stats->counters = THV_STATS;
	thv_vm_counters(vm, stats->counter);
	return 0;
}

static const struct thv_ioctl vm_ioctls[] = {
	THV_IOCTL(THV_SET_MEMORY, struct thv_memory, set_memory),
	THV_IOCTL_PLAIN(THV_GET_DIRTY, get_dirty),
	THV_IOCTL_PLAIN(THV_GET_ACCESSED, get_accessed),
	THV_IOCTL_OPEN(THV_CREATE_VCPU, struct thv_create_vcpu, create_vcpu),
	THV_IOCTL(THV_SIGNAL_MSI, struct thv_msi, signal_msi),
	THV_IOCTL_PLAIN(THV_IRQFD, irqfd),
	THV_IOCTL(THV_IOEVENTFD, struct thv_ioeventfd, ioeventfd),
	THV_IOCTL(THV_CONTROL, struct thv_control, control),
	THV_IOCTL(THV_GET_STATS, struct thv_vm_stats, get_stats),
	THV_IOCTL(THV_GET_LEDGER, struct thv_get_ledger, get_ledger),
};

static const struct thv_ioctl control_ioctls[] = {
	THV_IOCTL(THV_CONTROL, struct thv_control, control),
	THV_IOCTL(THV_GET_STATS, struct thv_vm_stats, get_stats),
	THV_IOCTL(THV_GET_LEDGER, struct thv_get_ledger, get_ledger),
	THV_IOCTL(THV_SEND_NMI, struct thv_vcpu_select, thv_inspect_nmi),
	THV_IOCTL(THV_INSPECT_STATE, struct thv_inspect_state, thv_inspect_state),
	THV_IOCTL(THV_INSPECT_TRANSLATE, struct thv_inspect_translate, thv_inspect_translate),
	THV_IOCTL(THV_READ_MEMORY, struct thv_read_memory, thv_inspect_memory),
	THV_IOCTL(THV_GET_FIELDS, struct thv_get_fields, thv_inspect_fields),
	THV_IOCTL(THV_EXPLAIN, struct thv_explain, thv_inspect_explain),
};

/* ---- descriptors ---- */

static long vm_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct thv_vm *vm = file->private_data;

	int err = thv_vm_check(vm);

	if (err)
		return err;
	if (cmd == THV_KEEP_LEDGER)
		return thv_ledger_keep(vm, file);
	return thv_ioctl(vm_ioctls, ARRAY_SIZE(vm_ioctls), vm, cmd, arg);
}

static int vm_release(struct inode *inode, struct file *file)
{
	thv_ledger_release(file->private_data, file);
	thv_vm_put(file->private_data);
	return 0;
}

static const struct file_operations vm_fops = {
	.owner = THIS_MODULE,	/* a descriptor keeps the module */
	.unlocked_ioctl = vm_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.release = vm_release,
	.llseek = noop_llseek,
};

static long control_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct thv_vm *vm = file->private_data;
	long result = -EIO;

	if (!kref_get_unless_zero(&vm->ref))
		return -EIO;
	if (thv_vm_state(vm) == THV_VM_DEAD)
		goto out;
	if (cmd == THV_KEEP_LEDGER)
		result = thv_ledger_keep(vm, file);
	else
		result = thv_ioctl(control_ioctls, ARRAY_SIZE(control_ioctls), vm, cmd, arg);
out:
	thv_vm_put(vm);
	return result;
}

/* The struct, and the queue in it, live as long as the descriptor: it holds the number. */
static __poll_t control_poll(struct file *file, struct poll_table_struct *table)
{
	struct thv_vm *vm = file->private_data;
	__poll_t events = 0;

	poll_wait(file, &vm->state_wait, table);
	if (thv_vm_state(vm) == THV_VM_STOPPED || thv_vm_state(vm) == THV_VM_DEAD)
		events |= EPOLLIN;
	if (!kref_read(&vm->ref))
		events |= EPOLLHUP;
	return events;
}

static int control_release(struct inode *inode, struct file *file)
{
	thv_ledger_release(file->private_data, file);
	put_number(file->private_data);
	return 0;
}

static const struct file_operations control_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = control_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.poll = control_poll,
	.release = control_release,
	.llseek = noop_llseek,
};

/* ---- making one ---- */

static bool name_valid(const char *name)
{
	size_t i;

	for (i = 0; i < THV_NAME_LEN && name[i]; i++)
		if (name[i] < ' ' || name[i] > '~' || name[i] == '/')
			return false;
	return i < THV_NAME_LEN;
}

/* What each flag of THV_CREATE_VM takes out of the features in use */
static const struct {
	u32 flag;
	u64 features;
} without[] = {
	{ THV_VM_NO_VPID, THV_FEATURE_VPID },
	{ THV_VM_NO_HUGE, THV_FEATURE_EPT_2M | THV_FEATURE_EPT_1G },
	{ THV_VM_NO_MONITOR_TRAP, THV_FEATURE_MONITOR_TRAP },
	{ THV_VM_NO_PML, THV_FEATURE_PML },
	{ THV_VM_NO_EPT_AD, THV_FEATURE_EPT_AD | THV_FEATURE_PML },
	{ THV_VM_NO_PREEMPTION_TIMER, THV_FEATURE_PREEMPTION_TIMER },
	{ THV_VM_NO_APICV, THV_FEATURE_APIC_REGISTERS | THV_FEATURE_VIRTUAL_INTERRUPTS |
			   THV_FEATURE_POSTED_INTERRUPTS | THV_FEATURE_VIRTUAL_X2APIC },
};

#define KNOWN_FLAGS	(THV_VM_NO_VPID | THV_VM_NO_HUGE | THV_VM_NO_APICV | \
			 THV_VM_NO_MONITOR_TRAP | THV_VM_NO_PML | THV_VM_NO_EPT_AD | \
			 THV_VM_NO_FAULT_AROUND | THV_VM_NO_PREEMPTION_TIMER)

/* What comes with EPT only: the processor says so (SDM 27.2.1.1), or it is about its tables */
#define WITH_EPT (THV_FEATURE_EPT | THV_FEATURE_EPT_AD | THV_FEATURE_EPT_2M | THV_FEATURE_EPT_1G | \
		  THV_FEATURE_EPT_EXECUTE_ONLY | THV_FEATURE_PML | THV_FEATURE_UNRESTRICTED)
/* INVPCID is not offered under shadow paging: it would have to be carried out for the guest */
#define NOT_SHADOWED (WITH_EPT | THV_FEATURE_INVPCID)

static u32 choose_paging(u32 wanted)
{
	if (wanted != THV_PAGING_DEFAULT)
		return wanted;
	return thv_caps.used & THV_FEATURE_EPT ? THV_PAGING_EPT : THV_PAGING_SHADOW;
}

static u64 features_in_use(u32 paging, u32 flags)
{
	u64 features = thv_caps.used & ~(paging == THV_PAGING_SHADOW ? NOT_SHADOWED : 0);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(without); i++)
		if (flags & without[i].flag)
			features &= ~without[i].features;
	return features;
}

static int check_create(const struct thv_create_vm *args)
{
	if (args->paging > THV_PAGING_SHADOW || args->flags & ~KNOWN_FLAGS)
		return -EINVAL;
	if (!name_valid(args->name))
		return -EINVAL;
	if (args->paging == THV_PAGING_EPT && !(thv_caps.used & THV_FEATURE_EPT))
		return -EOPNOTSUPP;
	return 0;
}

/* Everything of a VM that cannot fail */
static void fill(struct thv_vm *vm, const struct thv_create_vm *args)
{
	kref_init(&vm->ref);
	kref_init(&vm->number);
	mutex_init(&vm->lock);
	mutex_init(&vm->state_lock);
	INIT_WORK(&vm->tell_death, tell_death);
	init_waitqueue_head(&vm->state_wait);
	thv_ledger_init(vm);
	vm->owner = current_euid();
	vm->net = current->nsproxy->net_ns->net_cookie;
	vm->mm = current->mm;
	vm->paging = choose_paging(args->paging);
	vm->flags = args->flags;
	vm->features = features_in_use(vm->paging, args->flags);
	thv_tsc_vm_init(vm);
	if (args->name[0])
		strscpy(vm->name, args->name, sizeof(vm->name));
	else
		snprintf(vm->name, sizeof(vm->name), "vm-%u", vm->id);
}

/* An id, reserved: nobody finds it yet */
static int reserve_id(struct thv_vm *vm)
{
	int err = xa_alloc_cyclic(&vms, &vm->id, NULL, xa_limit_31b, &next_id, GFP_KERNEL);

	if (err < 0)
		return err == -EBUSY ? -ENOSPC : err;
	return 0;
}

/**
 * thv_vm_create - THV_CREATE_VM.
 * @args: the ioctl's argument; its id is filled in.
 *
 * Context: the process whose memory the VM will use; may sleep.
 * Return: the file that holds the only reference, or an ERR_PTR: -EINVAL, -EOPNOTSUPP,
 * -ENOSPC, -ENOMEM, -EINTR (a fatal signal came while the MMU notifier was set up).
 */
struct file *thv_vm_create(struct thv_create_vm *args)
{
	struct thv_vm *vm;
	struct file *file;
	int err;

	err = check_create(args);
	if (err)
		return ERR_PTR(err);
	vm = kzalloc(sizeof(*vm), GFP_KERNEL_ACCOUNT);
	if (!vm)
		return ERR_PTR(-ENOMEM);
	err = reserve_id(vm);
	if (err)
		goto no_id;
	fill(vm, args);
	err = thv_memory_init(vm);
	if (err)
		goto no_memory;
	err = thv_backend->vm_create(vm) ?: thv_eventfds_init(vm);
	if (err)
		goto no_eventfds;
	mmgrab(vm->mm);
	vm->creator = get_pid(task_tgid(current));
	file = anon_inode_getfile("[thv-vm]", &vm_fops, vm, O_RDWR);
	if (IS_ERR(file)) {
		thv_vm_put(vm);
		return file;
	}
	xa_store(&vms, vm->id, vm, 0);	/* into the reserved entry: needs no memory */
	args->id = vm->id;
	vm->known = true;
	thv_tell(vm, NULL, THV_LIFECYCLE_CREATED, &vm->end);
	return file;

no_eventfds:
	destroy_memory(vm);
no_memory:
	xa_erase(&vms, vm->id);
no_id:
	kfree(vm);
	return ERR_PTR(err);
}

static bool may_control(const struct thv_vm *vm)
{
	return uid_eq(current_euid(), vm->owner) || capable(CAP_SYS_ADMIN);
}

/**
 * thv_vm_open - THV_OPEN_VM: a control descriptor.
 * @args: the ioctl's argument.
 *
 * Context: any process; may sleep.
 * Return: the file, which keeps the VM's number, or an ERR_PTR: -ENOENT, -EPERM, -ENOMEM.
 */
struct file *thv_vm_open(const struct thv_open_vm *args)
{
	struct thv_vm *vm = thv_vm_by_id(args->id);
	struct file *file = ERR_PTR(-EPERM);

	if (!vm)
		return ERR_PTR(-ENOENT);
	if (may_control(vm)) {
		kref_get(&vm->number);
		file = anon_inode_getfile("[thv-control]", &control_fops, vm, O_RDWR);
		if (IS_ERR(file))
			put_number(vm);
	}
	thv_vm_put(vm);
	return file;
}
