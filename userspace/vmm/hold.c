// SPDX-License-Identifier: GPL-2.0-only
/* Holding vCPUs: one lock, one condition, and each vCPU's mark. */
#include "vmm/hold.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/device.h"
#include "lib/error.h"
#include "vmm/machine.h"
#include "vmm/vcpu.h"

int hold_create(struct hold *hold)
{
	*hold = (struct hold){
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.changed = PTHREAD_COND_INITIALIZER,
		.all = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
	};
	return hold->all < 0 ? error_errno("making an event") : 0;
}

void hold_destroy(struct hold *hold)
{
	close(hold->all);
}

void hold_all(struct machine *machine)
{
	u32 id;

	pthread_mutex_lock(&machine->hold.lock);
	for (id = 0; id < machine->config->cpus; id++) {
		atomic_store(&machine->vcpu[id].hold, true);
		vcpu_kick(&machine->vcpu[id]);
	}
	/* One that was let go and has not woken since has to count itself again */
	pthread_cond_broadcast(&machine->hold.changed);
	pthread_mutex_unlock(&machine->hold.lock);
}

void hold_release(struct machine *machine, const bool *go)
{
	u32 id;

	pthread_mutex_lock(&machine->hold.lock);
	for (id = 0; id < machine->config->cpus; id++) {
		struct vcpu *vcpu = &machine->vcpu[id];

		if (!go[id])
			continue;
		atomic_store(&vcpu->hold, false);
		machine->hold.held -= vcpu->held;
		vcpu->held = false;
	}
	pthread_cond_broadcast(&machine->hold.changed);
	pthread_mutex_unlock(&machine->hold.lock);
}

void hold_wake(struct machine *machine)
{
	pthread_mutex_lock(&machine->hold.lock);
	pthread_cond_broadcast(&machine->hold.changed);
	pthread_mutex_unlock(&machine->hold.lock);
}

/* What the last exit's handler left in the run page goes to the kernel, and nothing runs */
static void hand_over(struct vcpu *vcpu)
{
	if (!vcpu->run->dirty)
		return;
	__atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	vcpu_run(vcpu->fd);
}

static void count(struct vcpu *vcpu)
{
	struct machine *machine = vcpu->machine;

	if (vcpu->held)
		return;
	vcpu->held = true;
	if (++machine->hold.held == machine->config->cpus)
		eventfd_write(machine->hold.all, 1);
}

/*
 * Whoever sets hold afterwards kicks after that, so the kick's immediate_exit is not
 * lost with the one that is cleared here: both are done under the lock.
 */
void hold_here(struct vcpu *vcpu)
{
	struct machine *machine = vcpu->machine;

	hand_over(vcpu);
	pthread_mutex_lock(&machine->hold.lock);
	while (atomic_load(&vcpu->hold) && !atomic_load(&machine->ending)) {
		count(vcpu);
		pthread_cond_wait(&machine->hold.changed, &machine->hold.lock);
	}
	__atomic_store_n(&vcpu->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
	pthread_mutex_unlock(&machine->hold.lock);
}
