// SPDX-License-Identifier: GPL-2.0-only
/*
 * A vCPU that spins: it waits for a lock that another vCPU has, and that one may be waiting for a CPU of
 * the host, perhaps for this very one. The processor notices (PAUSE over and over), and this turn goes to
 * who was pushed off its CPU. With more vCPUs than CPUs a lock would else cost a time slice.
 */
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/task.h>
#include "spin.h"
#include "vcpu.h"

/* Its thread is in THV_RUN and was taken off its CPU while it had something to do */
static struct task_struct *get_waiting(const struct thv_vcpu *vcpu)
{
	struct task_struct *task;

	if (!READ_ONCE(vcpu->pushed_off))
		return NULL;
	rcu_read_lock();
	/*
	 * Of a thread that has left THV_RUN since, and even exited, the struct stays until this is
	 * over (put_task_struct_rcu_user()).
	 */
	task = READ_ONCE(vcpu->thread);
	if (task)
		get_task_struct(task);
	rcu_read_unlock();
	return task;
}

static bool give_turn(struct thv_vcpu *vcpu)
{
	struct task_struct *task = get_waiting(vcpu);
	bool given;

	if (!task)
		return false;
	given = yield_to(task, true) > 0;
	put_task_struct(task);
	return given;
}

/* Those after the last one that was helped come first, or two that wait for a third help each other */
static bool help_another(struct thv_vcpu *me)
{
	struct thv_vm *vm = me->vm;
	u32 last = READ_ONCE(vm->last_helped), i;

	for (i = 1; i <= THV_MAX_VCPUS; i++) {
		u32 id = (last + i) % THV_MAX_VCPUS;
		struct thv_vcpu *vcpu = thv_vm_vcpu(vm, id);

		if (!vcpu || vcpu == me || !give_turn(vcpu))
			continue;
		WRITE_ONCE(vm->last_helped, id);
		return true;
	}
	return false;
}

/**
 * thv_exit_spin - the guest waits in a loop.
 * @vcpu: the vCPU.
 *
 * If nobody of the VM waits for a CPU, the wait is short: another vCPU is running and about to end it.
 *
 * Context: the vCPU's thread, loaded; may sleep.
 */
void thv_exit_spin(struct thv_vcpu *vcpu)
{
	thv_count(vcpu, spins);
	if (help_another(vcpu))
		thv_count(vcpu, turns_given);
}
