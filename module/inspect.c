// SPDX-License-Identifier: GPL-2.0-only
/*
 * Looking into a VM that runs, from any process that has a control descriptor on it.
 *
 * A vCPU's state belongs to who holds vcpu->lock, and its thread holds that for as long as it is in
 * THV_RUN: in the guest, asleep in HLT, or with an exit in hand. An inspector has to get it away
 * from there for a moment:
 *
 *	inspector				the vCPU's thread, in THV_RUN
 *	take inspect.turn
 *	wait until inspect.not_before
 *	started++
 *	request THV_REQ_INSPECT, kick		leave the guest, or wake from HLT; serve the request:
 *	take vcpu->lock .			  note started as "last"
 *	               .			  off the CPU, FPU registers to memory
 *	               ....................	  release vcpu->lock
 *	load, look, put				  wait until finished has reached last
 *	clear THV_REQ_INSPECT			     .
 *	release vcpu->lock			     .
 *	finished++, wake ..........................
 *	release inspect.turn			  take vcpu->lock, and all back
 *
 * The thread keeps vcpu->busy throughout: to the launcher the vCPU is in THV_RUN, and other calls of
 * its are -EBUSY as ever. A vCPU that is paused, or in the launcher's hands, has its lock free.
 *
 * No wake-up is lost. The request is set before the kick, and the thread looks at its requests
 * after it has said that it is about to enter the guest (thv_vcpu_kick()), or that it sleeps
 * (the wait queue's own protocol). finished goes up before the wake-up, under the same protocol.
 *
 * Nobody waits for the dead. An inspector that gets a signal while it waits for vcpu->lock leaves as
 * if it had looked: finished++, wake. The vCPU's thread ends only outside THV_RUN, and there
 * it has neither lock.
 *
 * Nobody is starved. Inspectors take turns, and each gives the vCPU, after its turn, as much time
 * as it took, and MIN_PAUSE at least. That time runs from when the vCPU's thread has its lock back
 * (thv_inspect_pause()); should it be late, because other threads had the CPU, one more
 * inspector may have come before. So a stream of inspectors leaves a vCPU half of the time that it
 * would have had alone. A single inspection is bounded by what is done under the lock: nothing
 * touches the inspector's user memory there, and guest memory is read as peek.c says, which may
 * wait for the host's swap, but not for a page that the launcher has promised (userfaultfd).
 *
 * The guest cannot tell, but by the clock. What is read has no side effects (an interrupt that was
 * posted is merged into the IRR, and the look at it is due all the same: who posted it has set
 * THV_REQ_EVENT); registers, pending events and timers stay what and where they are. The backend
 * moves with the inspector's CPU as it does with the vCPU's thread.
 */
#include <linux/capability.h>
#include <linux/hrtimer.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/nospec.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "inspect.h"
#include "vcpu.h"

#define MIN_PAUSE	(100 * NSEC_PER_USEC)

/* ---- the vCPU's side; @vcpu->lock is held but for thv_inspect_over() ---- */

u32 thv_inspect_last(const struct thv_vcpu *vcpu)
{
	return READ_ONCE(vcpu->inspect.started);
}

bool thv_inspect_over(const struct thv_vcpu *vcpu, u32 last)
{
	return (s32)(READ_ONCE(vcpu->inspect.finished) - last) >= 0;
}

void thv_inspect_pause(struct thv_vcpu *vcpu)
{
	struct thv_inspect *inspect = &vcpu->inspect;

	WRITE_ONCE(inspect->not_before, ktime_get_ns() + max_t(u64, inspect->held, MIN_PAUSE));
}

/* ---- the inspector's side ---- */

/* The vCPU has its own time first. */
static int wait_for_turn(const struct thv_inspect *inspect)
{
	ktime_t until;

	while (ktime_get_ns() < READ_ONCE(inspect->not_before)) {
		until = ns_to_ktime(READ_ONCE(inspect->not_before));
		set_current_state(TASK_INTERRUPTIBLE);
		schedule_hrtimeout(&until, HRTIMER_MODE_ABS);
		if (signal_pending(current))
			return -EINTR;
	}
	return 0;
}

static void finished(struct thv_vcpu *vcpu)
{
	WRITE_ONCE(vcpu->inspect.finished, vcpu->inspect.finished + 1);
	wake_up(&vcpu->wait);
}

static int ask_for(struct thv_vcpu *vcpu)
{
	struct thv_inspect *inspect = &vcpu->inspect;
	int err = wait_for_turn(inspect);

	if (err)
		return err;
	WRITE_ONCE(inspect->started, inspect->started + 1);
	thv_vcpu_request(vcpu, THV_REQ_INSPECT);
	err = mutex_lock_interruptible(&vcpu->lock);
	if (err)
		finished(vcpu);
	return err;
}

/* The vCPU is ours, and loaded, until end_look(). 0 or -EINTR */
static int begin_look(struct thv_vcpu *vcpu)
{
	int err = mutex_lock_interruptible(&vcpu->inspect.turn);

	if (err)
		return err;
	err = ask_for(vcpu);
	if (err) {
		mutex_unlock(&vcpu->inspect.turn);
		return err;
	}
	vcpu->inspect.since = ktime_get_ns();
	thv_vcpu_load(vcpu);
	return 0;
}

static void end_look(struct thv_vcpu *vcpu)
{
	thv_vcpu_put(vcpu);
	clear_bit(THV_REQ_INSPECT, &vcpu->requests);
	vcpu->inspect.held = ktime_get_ns() - vcpu->inspect.since;
	thv_inspect_pause(vcpu);
	mutex_unlock(&vcpu->lock);
	finished(vcpu);
	mutex_unlock(&vcpu->inspect.turn);
}

static struct thv_vcpu *find(struct thv_vm *vm, u32 id)
{
	if (id >= THV_MAX_VCPUS)
		return NULL;
	return thv_vm_vcpu(vm, array_index_nospec(id, THV_MAX_VCPUS));
}

/* ---- ioctls ---- */

/**
 * thv_inspect_nmi - THV_SEND_NMI.
 * @object: the VM, with a reference.
 * @data: the uapi's struct thv_vcpu_select.
 */
long thv_inspect_nmi(void *object, void *data)
{
	const struct thv_vcpu_select *args = data;
	struct thv_vcpu *vcpu = find(object, args->vcpu);

	if (!vcpu)
		return -ENOENT;
	thv_vcpu_nmi(vcpu);
	return 0;
}

static long read_state(struct thv_vcpu *vcpu, const struct thv_state *args, void *copy)
{
	long result = begin_look(vcpu);

	if (result)
		return result;
	result = thv_state_read(vcpu, args, copy);
	end_look(vcpu);
	return result;
}

/**
 * thv_inspect_state - THV_INSPECT_STATE.
 * @object: the VM, with a reference.
 * @data: the uapi's struct thv_inspect_state.
 */
long thv_inspect_state(void *object, void *data)
{
	const struct thv_inspect_state *args = data;
	struct thv_vcpu *vcpu = find(object, args->vcpu);
	struct thv_state state = {
		.component = args->component, .size = args->size, .data = args->data,
	};
	void *copy;

	if (!vcpu)
		return -ENOENT;
	copy = thv_state_prepare(&state);
	if (IS_ERR(copy))
		return PTR_ERR(copy);
	return thv_state_finish(&state, copy, read_state(vcpu, &state, copy));
}

static long translate(struct thv_vcpu *vcpu, struct thv_translate *args)
{
	long result = begin_look(vcpu);

	if (result)
		return result;
	result = thv_translate_peek(vcpu, args);
	end_look(vcpu);
	return result;
}

/**
 * thv_inspect_translate - THV_INSPECT_TRANSLATE.
 * @object: the VM, with a reference.
 * @data: the uapi's struct thv_inspect_translate.
 */
long thv_inspect_translate(void *object, void *data)
{
	struct thv_inspect_translate *args = data;
	struct thv_vm *vm = object;
	struct thv_vcpu *vcpu = find(vm, args->vcpu);
	long result;

	if (!vcpu)
		return -ENOENT;
	/* Before the lock: the last to let go takes the address space down, and that takes time */
	if (!mmget_not_zero(vm->mm))
		return -ESRCH;
	result = translate(vcpu, &args->translate);
	mmput(vm->mm);
	return result;
}

#define MAX_READ	(1UL << 20)

/* As far as it goes, a page at a time; other than 0: why not further */
static int copy_memory(struct thv_vm *vm, const struct thv_read_memory *args, void *page, u64 *done)
{
	u64 gpa, n;
	int err;

	for (*done = 0; *done < args->size; *done += n) {
		gpa = args->gpa + *done;
		n = min_t(u64, args->size - *done, PAGE_SIZE - offset_in_page(gpa));
		if (fatal_signal_pending(current))
			return -EINTR;
		err = thv_peek_guest(vm, gpa, page, n);
		if (err)
			return err;
		if (copy_to_user(u64_to_user_ptr(args->data + *done), page, n))
			return -EFAULT;
		cond_resched();
	}
	return 0;
}

static long read_memory(struct thv_vm *vm, const struct thv_read_memory *args)
{
	void *page = (void *)__get_free_page(GFP_KERNEL);
	u64 done;
	int err;

	if (!page)
		return -ENOMEM;
	err = copy_memory(vm, args, page, &done);
	free_page((unsigned long)page);
	return err == -ENXIO && done ? done : err ?: done;
}

/**
 * thv_inspect_memory - THV_READ_MEMORY; needs no vCPU.
 * @object: the VM, with a reference.
 * @data: the uapi's struct thv_read_memory.
 */
long thv_inspect_memory(void *object, void *data)
{
	const struct thv_read_memory *args = data;
	struct thv_vm *vm = object;
	long result;

	if (args->size > MAX_READ || args->gpa + args->size < args->gpa)
		return -EINVAL;
	if (!mmget_not_zero(vm->mm))
		return -ESRCH;
	result = read_memory(vm, args);
	mmput(vm->mm);
	return result;
}

/* Where the host has its things is not for everybody to know, as with THV_TRANSLATE. */
static int read_fields(struct thv_vcpu *vcpu, struct thv_field *fields, u32 *count)
{
	bool all = capable(CAP_SYS_ADMIN);
	int err = begin_look(vcpu);

	if (err)
		return err;
	*count = thv_backend->get_fields(vcpu, fields, all);
	end_look(vcpu);
	return 0;
}

/**
 * thv_inspect_fields - THV_GET_FIELDS.
 * @object: the VM, with a reference.
 * @data: the uapi's struct thv_get_fields.
 */
long thv_inspect_fields(void *object, void *data)
{
	struct thv_get_fields *args = data;
	struct thv_vcpu *vcpu = find(object, args->vcpu);
	struct thv_field *fields;
	u32 count, room = args->count;
	int err;

	if (!vcpu)
		return -ENOENT;
	fields = kcalloc(thv_backend->max_fields, sizeof(*fields), GFP_KERNEL);
	if (!fields)
		return -ENOMEM;
	err = read_fields(vcpu, fields, &count);
	if (!err) {
		args->count = count;
		if (copy_to_user(u64_to_user_ptr(args->data), fields,
				 min(count, room) * sizeof(*fields)))
			err = -EFAULT;
	}
	kfree(fields);
	return err;
}

#define EXPLAIN_MAX	(64 << 10)

/**
 * thv_explain - THV_EXPLAIN, of a vCPU that was found.
 * @vcpu: the vCPU.
 * @args: the uapi's struct.
 * @ask: asks the backend, with @vcpu's lock held and @vcpu loaded. Broken rules, or an errno.
 *
 * Context: may sleep.
 * Return: 0, or an errno as the uapi says.
 */
long thv_explain(struct thv_vcpu *vcpu, struct thv_explain *args,
		 int (*ask)(struct thv_vcpu *vcpu, char *text, size_t size, bool all))
{
	char *text = NULL;
	int broken;

	if (args->size > EXPLAIN_MAX)
		return -EINVAL;
	if (args->size) {
		text = kvzalloc(args->size, GFP_KERNEL_ACCOUNT);
		if (!text)
			return -ENOMEM;
	}
	broken = ask(vcpu, text, args->size, capable(CAP_SYS_ADMIN));
	if (broken >= 0 && text &&
	    copy_to_user(u64_to_user_ptr(args->text), text, strlen(text) + 1))
		broken = -EFAULT;
	kvfree(text);
	if (broken < 0)
		return broken;
	args->count = broken;
	return 0;
}

static int ask_from_outside(struct thv_vcpu *vcpu, char *text, size_t size, bool all)
{
	int broken = begin_look(vcpu);

	if (broken)
		return broken;
	broken = thv_backend->explain(vcpu, text, size, all);
	end_look(vcpu);
	return broken;
}

/**
 * thv_inspect_explain - THV_EXPLAIN of a control descriptor.
 * @object: the VM, with a reference.
 * @data: the uapi's struct thv_explain.
 */
long thv_inspect_explain(void *object, void *data)
{
	struct thv_explain *args = data;
	struct thv_vcpu *vcpu = find(object, args->vcpu);

	return vcpu ? thv_explain(vcpu, args, ask_from_outside) : -ENOENT;
}
