// SPDX-License-Identifier: GPL-2.0-only
/*
 * Eventfds of a VM. THV_IRQFD: whoever signals the eventfd (a device process, a vhost worker)
 * delivers an interrupt from its own context, and the launcher sleeps on. THV_IOEVENTFD, a
 * doorbell: a guest's write signals the eventfd, and the vCPU goes on without leaving the kernel.
 *
 * Both lists change under vm->lock. A reader holds no lock:
 *
 * - A doorbell is looked up on the exit path, so the table is an immutable array under RCU; a
 *   change publishes another array. An eventfd is let go of only after a grace period.
 *
 * - An irqfd is an entry in its eventfd's wait queue. It is called with that queue's lock held, so
 *   once removed from the queue (which takes the lock) it is not running and will not. Two
 *   parties may want to remove it: a deassign, or the end of the VM, in process context; and the
 *   eventfd itself, whose last close calls the entry with EPOLLHUP, the queue's lock held, so that
 *   removal must wait for a worker. Who moves the entry off ->live, under ->irqfds_lock, owns
 *   its end; the other finds it gone.
 */
#include <linux/eventfd.h>
#include <linux/file.h>
#include <linux/list.h>
#include <linux/poll.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include "backend.h"
#include "compat.h"
#include "eventfd.h"
#include "irq.h"
#include "vm.h"

struct irqfd {
	struct list_head entry;		/* in live or dying */
	bool live;			/* in which of them; under irqfds_lock */
	struct thv_vm *vm;
	struct eventfd_ctx *eventfd;
	struct thv_msi msi;
	wait_queue_entry_t wait;
	wait_queue_head_t *queue;	/* the eventfd's */
	poll_table poll;
};

struct doorbell {
	struct eventfd_ctx *eventfd;
	u64 address;
	u64 datamatch;
	u32 length;			/* 0: any */
	u32 flags;			/* THV_IOEVENTFD_* but DEASSIGN */
};

struct doorbells {
	u32 count;
	struct doorbell doorbell[];
};

enum space {
	MEMORY,
	PORT,
	SPACES
};

struct thv_eventfds {
	spinlock_t irqfds_lock;		/* the two lists; taken inside an eventfd's own lock */
	struct list_head live;
	struct list_head dying;
	struct work_struct reaper;	/* ends the dying */
	struct doorbells __rcu *doorbells[SPACES];	/* NULL: none; written under vm->lock */
};

/* ---- irqfds: THV_IRQFD ---- */

/* Nobody else has it. Once it is out of the queue it is not called, nor being called, any more. */
static void end(struct irqfd *irqfd)
{
	u64 count;

	eventfd_ctx_remove_wait_queue(irqfd->eventfd, &irqfd->wait, &count);
	eventfd_ctx_put(irqfd->eventfd);
	kfree(irqfd);
}

static void reap(struct thv_eventfds *eventfds)
{
	struct irqfd *irqfd, *next;
	LIST_HEAD(dying);

	spin_lock_irq(&eventfds->irqfds_lock);
	list_splice_init(&eventfds->dying, &dying);
	spin_unlock_irq(&eventfds->irqfds_lock);
	list_for_each_entry_safe(irqfd, next, &dying, entry)
		end(irqfd);
}

static void reaper(struct work_struct *work)
{
	reap(container_of(work, struct thv_eventfds, reaper));
}

/*
 * The eventfd is signalled, and its lock is held: take its count, deliver. The count may be zero
 * when another VM's irqfd on the same eventfd came first: both are to deliver.
 */
static void signalled(struct irqfd *irqfd)
{
	u64 count;

	eventfd_ctx_do_read(irqfd->eventfd, &count);
	thv_irq_deliver_msi(irqfd->vm, &irqfd->msi);
}

/* The eventfd's last descriptor closes. Its lock is held. */
static void hung_up(struct irqfd *irqfd)
{
	struct thv_eventfds *eventfds = irqfd->vm->eventfds;

	spin_lock(&eventfds->irqfds_lock);
	if (irqfd->live) {
		irqfd->live = false;
		list_move(&irqfd->entry, &eventfds->dying);
		schedule_work(&eventfds->reaper);
	}
	spin_unlock(&eventfds->irqfds_lock);
}

/* Context: the signaller's; the eventfd's lock is held and interrupts are off. */
static int wakeup(wait_queue_entry_t *wait, unsigned int mode, int sync, void *key)
{
	struct irqfd *irqfd = container_of(wait, struct irqfd, wait);
	__poll_t events = key_to_poll(key);

	if (events & EPOLLIN)
		signalled(irqfd);
	if (events & EPOLLHUP)
		hung_up(irqfd);
	return 0;
}

static void enqueue(struct file *file, wait_queue_head_t *queue, poll_table *poll)
{
	struct irqfd *irqfd = container_of(poll, struct irqfd, poll);

	irqfd->queue = queue;
	add_wait_queue(queue, &irqfd->wait);
}

static struct irqfd *find_irqfd(struct thv_eventfds *eventfds, const struct eventfd_ctx *eventfd)
{
	struct irqfd *irqfd;

	list_for_each_entry(irqfd, &eventfds->live, entry)
		if (irqfd->eventfd == eventfd)
			return irqfd;
	return NULL;
}

/* Is there room for this one? Only those who hold vm->lock add; others may take away. */
static int admit(struct thv_eventfds *eventfds, const struct eventfd_ctx *eventfd)
{
	struct irqfd *irqfd;
	u32 count = 0;
	bool bound;

	spin_lock_irq(&eventfds->irqfds_lock);
	bound = find_irqfd(eventfds, eventfd);
	list_for_each_entry(irqfd, &eventfds->live, entry)
		count++;
	spin_unlock_irq(&eventfds->irqfds_lock);
	if (bound)
		return -EBUSY;
	return count < THV_MAX_IRQFDS ? 0 : -ENOSPC;
}

/* No hang-up comes while @file is held; after that one finds it on the list. */
static void bind(struct thv_eventfds *eventfds, struct irqfd *irqfd, struct file *file)
{
	spin_lock_irq(&eventfds->irqfds_lock);
	irqfd->live = true;
	list_add(&irqfd->entry, &eventfds->live);
	spin_unlock_irq(&eventfds->irqfds_lock);

	init_waitqueue_func_entry(&irqfd->wait, wakeup);
	init_poll_funcptr(&irqfd->poll, enqueue);
	if (!(vfs_poll(file, &irqfd->poll) & EPOLLIN))
		return;
	/* It was signalled before it was bound; or just now, and then delivers twice. */
	spin_lock_irq(&irqfd->queue->lock);
	signalled(irqfd);
	spin_unlock_irq(&irqfd->queue->lock);
}

static int assign_irqfd(struct thv_vm *vm, const struct thv_irqfd *args, struct file *file)
{
	struct irqfd *irqfd = kzalloc(sizeof(*irqfd), GFP_KERNEL_ACCOUNT);
	int err;

	if (!irqfd)
		return -ENOMEM;
	irqfd->vm = vm;
	irqfd->msi = args->msi;
	irqfd->eventfd = eventfd_ctx_fileget(file);
	mutex_lock(&vm->lock);
	err = admit(vm->eventfds, irqfd->eventfd);
	if (!err)
		bind(vm->eventfds, irqfd, file);
	mutex_unlock(&vm->lock);
	if (err) {
		eventfd_ctx_put(irqfd->eventfd);
		kfree(irqfd);
	}
	return err;
}

/* Take it off the list: it is the caller's then. */
static struct irqfd *unbind(struct thv_eventfds *eventfds, const struct eventfd_ctx *eventfd,
			    const struct thv_msi *msi)
{
	struct irqfd *irqfd;

	spin_lock_irq(&eventfds->irqfds_lock);
	irqfd = find_irqfd(eventfds, eventfd);
	if (irqfd && memcmp(&irqfd->msi, msi, sizeof(*msi)))
		irqfd = NULL;
	if (irqfd) {
		irqfd->live = false;
		list_del(&irqfd->entry);
	}
	spin_unlock_irq(&eventfds->irqfds_lock);
	return irqfd;
}

static int deassign_irqfd(struct thv_vm *vm, const struct thv_irqfd *args, struct file *file)
{
	struct eventfd_ctx *eventfd = eventfd_ctx_fileget(file);
	struct irqfd *irqfd;

	mutex_lock(&vm->lock);	/* not while bind() is halfway */
	irqfd = unbind(vm->eventfds, eventfd, &args->msi);
	mutex_unlock(&vm->lock);
	eventfd_ctx_put(eventfd);
	if (!irqfd)
		return -ENOENT;
	end(irqfd);
	return 0;
}

int thv_irqfd(struct thv_vm *vm, const struct thv_irqfd *args)
{
	struct file *file;
	int err;

	if ((args->flags & ~THV_IRQFD_DEASSIGN) || thv_irq_check_msi(&args->msi))
		return -EINVAL;
	file = eventfd_fget(args->fd);
	if (IS_ERR(file))
		return PTR_ERR(file);
	if (args->flags & THV_IRQFD_DEASSIGN)
		err = deassign_irqfd(vm, args, file);
	else
		err = assign_irqfd(vm, args, file);
	fput(file);
	return err;
}

/* ---- doorbells: THV_IOEVENTFD ---- */

static bool rings(const struct doorbell *doorbell, u64 address, u32 length, u64 data)
{
	if (doorbell->address != address)
		return false;
	if (doorbell->length && doorbell->length != length)
		return false;
	return !(doorbell->flags & THV_IOEVENTFD_DATAMATCH) || doorbell->datamatch == data;
}

static bool ring(struct thv_eventfds *eventfds, enum space space, u64 address, u32 length, u64 data)
{
	const struct doorbells *doorbells;
	bool rung = false;
	u32 i;

	if (!rcu_access_pointer(eventfds->doorbells[space]))
		return false;
	rcu_read_lock();
	doorbells = rcu_dereference(eventfds->doorbells[space]);
	for (i = 0; doorbells && i < doorbells->count && !rung; i++) {
		rung = rings(&doorbells->doorbell[i], address, length, data);
		if (rung)
			thv_eventfd_signal(doorbells->doorbell[i].eventfd);
	}
	rcu_read_unlock();
	return rung;
}

bool thv_doorbell_port(struct thv_vm *vm, u16 port, u32 length, u64 data)
{
	return ring(vm->eventfds, PORT, port, length, data);
}

bool thv_doorbells_in_memory(struct thv_vm *vm)
{
	return rcu_access_pointer(vm->eventfds->doorbells[MEMORY]);
}

bool thv_doorbell_mmio(struct thv_vm *vm, u64 gpa)
{
	return ring(vm->eventfds, MEMORY, gpa, 0, 0);
}

/* Could one write ring both? */
static bool collide(const struct doorbell *a, const struct doorbell *b)
{
	if (a->address != b->address)
		return false;
	if (a->length && b->length && a->length != b->length)
		return false;
	return !(a->flags & b->flags & THV_IOEVENTFD_DATAMATCH) || a->datamatch == b->datamatch;
}

static bool same(const struct doorbell *a, const struct doorbell *b)
{
	return a->eventfd == b->eventfd && a->address == b->address &&
	       a->length == b->length && a->flags == b->flags && a->datamatch == b->datamatch;
}

/* vm->lock is held: the table stays. The index of the first that matches, or its count. */
static u32 search(const struct doorbells *doorbells, const struct doorbell *wanted,
		  bool (*match)(const struct doorbell *, const struct doorbell *))
{
	u32 i;

	for (i = 0; doorbells && i < doorbells->count; i++)
		if (match(&doorbells->doorbell[i], wanted))
			break;
	return i;
}

static struct doorbells *new_doorbells(u32 count)
{
	struct doorbells *doorbells;

	doorbells = kmalloc(struct_size(doorbells, doorbell, count), GFP_KERNEL_ACCOUNT);
	if (doorbells)
		doorbells->count = count;
	return doorbells;
}

/* Both: vm->lock is held, @old is the table in use. They leave it intact for readers. */
static struct doorbells *with(const struct doorbells *old, const struct doorbell *added)
{
	u32 count = old ? old->count : 0;
	struct doorbells *new;

	if (search(old, added, collide) < count)
		return ERR_PTR(-EEXIST);
	if (count >= THV_MAX_DOORBELLS)
		return ERR_PTR(-ENOSPC);
	new = new_doorbells(count + 1);
	if (!new)
		return ERR_PTR(-ENOMEM);
	if (count)
		memcpy(new->doorbell, old->doorbell, count * sizeof(*added));
	new->doorbell[count] = *added;
	return new;
}

static struct doorbells *without(const struct doorbells *old, const struct doorbell *removed)
{
	u32 index = search(old, removed, same);
	struct doorbells *new;

	if (!old || index == old->count)
		return ERR_PTR(-ENOENT);
	if (old->count == 1)
		return NULL;
	new = new_doorbells(old->count - 1);
	if (!new)
		return ERR_PTR(-ENOMEM);
	memcpy(new->doorbell, old->doorbell, index * sizeof(*removed));
	memcpy(new->doorbell + index, old->doorbell + index + 1,
	       (new->count - index) * sizeof(*removed));
	return new;
}

/*
 * The table's reference to an eventfd is the one taken when it was added; so @doorbell's own is
 * handed over by an addition, and the removed one's is put when no reader can have it.
 */
static int change_doorbells(struct thv_vm *vm, enum space space, const struct doorbell *doorbell,
			    bool remove)
{
	struct doorbells __rcu **table = &vm->eventfds->doorbells[space];
	struct doorbells *old, *new;

	mutex_lock(&vm->lock);
	old = rcu_dereference_protected(*table, lockdep_is_held(&vm->lock));
	new = remove ? without(old, doorbell) : with(old, doorbell);
	if (!IS_ERR(new))
		rcu_assign_pointer(*table, new);
	mutex_unlock(&vm->lock);
	if (IS_ERR(new))
		return PTR_ERR(new);
	synchronize_rcu();
	if (remove)
		eventfd_ctx_put(doorbell->eventfd);
	kfree(old);
	return 0;
}

#define DOORBELL_FLAGS	(THV_IOEVENTFD_PORT | THV_IOEVENTFD_DATAMATCH)

static bool valid_port(const struct thv_ioeventfd *args)
{
	if (args->length > 4 || (args->length && !is_power_of_2(args->length)))
		return false;
	if (args->address > 0xffff || args->address + args->length > 0x10000)
		return false;
	if (!(args->flags & THV_IOEVENTFD_DATAMATCH))
		return !args->datamatch;
	return args->length && !(args->datamatch >> (8 * args->length));
}

static bool valid_memory(const struct thv_ioeventfd *args)
{
	return !args->length && !args->datamatch && !(args->flags & THV_IOEVENTFD_DATAMATCH) &&
	       !(args->address >> thv_caps.phys_bits);
}

int thv_ioeventfd(struct thv_vm *vm, const struct thv_ioeventfd *args)
{
	bool port = args->flags & THV_IOEVENTFD_PORT;
	bool remove = args->flags & THV_IOEVENTFD_DEASSIGN;
	struct doorbell doorbell = {
		.address = args->address,
		.datamatch = args->datamatch,
		.length = args->length,
		.flags = args->flags & DOORBELL_FLAGS,
	};
	int err;

	if ((args->flags & ~(DOORBELL_FLAGS | THV_IOEVENTFD_DEASSIGN)) || args->reserved ||
	    !(port ? valid_port(args) : valid_memory(args)))
		return -EINVAL;
	doorbell.eventfd = eventfd_ctx_fdget(args->fd);
	if (IS_ERR(doorbell.eventfd))
		return PTR_ERR(doorbell.eventfd);
	err = change_doorbells(vm, port ? PORT : MEMORY, &doorbell, remove);
	if (err || remove)
		eventfd_ctx_put(doorbell.eventfd);
	return err;
}

/* ---- life ---- */

int thv_eventfds_init(struct thv_vm *vm)
{
	struct thv_eventfds *eventfds = kzalloc(sizeof(*eventfds), GFP_KERNEL_ACCOUNT);

	if (!eventfds)
		return -ENOMEM;
	spin_lock_init(&eventfds->irqfds_lock);
	INIT_LIST_HEAD(&eventfds->live);
	INIT_LIST_HEAD(&eventfds->dying);
	INIT_WORK(&eventfds->reaper, reaper);
	vm->eventfds = eventfds;
	return 0;
}

/* From here no hang-up schedules the reaper; one that did is waited for. */
static void end_irqfds(struct thv_eventfds *eventfds)
{
	struct irqfd *irqfd;

	spin_lock_irq(&eventfds->irqfds_lock);
	list_for_each_entry(irqfd, &eventfds->live, entry)
		irqfd->live = false;
	list_splice_init(&eventfds->live, &eventfds->dying);
	spin_unlock_irq(&eventfds->irqfds_lock);
	cancel_work_sync(&eventfds->reaper);
	reap(eventfds);
}

/* No vCPU runs: there are no readers. */
static void end_doorbells(struct doorbells *doorbells)
{
	u32 i;

	for (i = 0; doorbells && i < doorbells->count; i++)
		eventfd_ctx_put(doorbells->doorbell[i].eventfd);
	kfree(doorbells);
}

void thv_eventfds_destroy(struct thv_vm *vm)
{
	struct thv_eventfds *eventfds = vm->eventfds;
	int space;

	if (!eventfds)
		return;
	end_irqfds(eventfds);
	for (space = 0; space < SPACES; space++)
		end_doorbells(rcu_dereference_protected(eventfds->doorbells[space], true));
	kfree(eventfds);
	vm->eventfds = NULL;
}
