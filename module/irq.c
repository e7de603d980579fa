// SPDX-License-Identifier: GPL-2.0-only
/*
 * Interrupts on their way: messages from devices and from other vCPUs find their destinations,
 * and the local APIC's timer finds its time. lapic.c says what a register means; here is what it
 * takes of the kernel: other vCPUs, kicks, and a high-resolution timer.
 *
 * Delivery runs in any context: an eventfd's waker with interrupts off, a timer's interrupt, an
 * ioctl. It takes no lock: vm->vcpus[] only grows, and lapic.c takes interrupts by atomics. A
 * message that crosses a change of its destination's mode or logical id finds the old or the
 * new one, as on a real bus.
 */
#include <linux/hrtimer.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <asm/io.h>
#include "backend.h"
#include "cpuid.h"
#include "irq.h"

struct thv_irq_timer {
	struct hrtimer hrtimer;
	struct thv_vcpu *vcpu;
};

static struct thv_vcpu *vcpu_of(struct thv_lapic *lapic)
{
	return container_of(lapic, struct thv_vcpu, lapic);
}

/* ---- messages ---- */

/* One that @message is for. Was it reached? SMM, and an 8259 behind ExtINT, are not there. */
static bool reach(struct thv_vcpu *vcpu, const struct thv_lapic_message *message)
{
	switch (message->delivery) {
	case THV_DELIVER_FIXED:
	case THV_DELIVER_LOWEST:
		return thv_lapic_post(&vcpu->lapic, message->vector, message->level);
	case THV_DELIVER_NMI:
		thv_vcpu_nmi(vcpu);
		return true;
	case THV_DELIVER_INIT:
		thv_vcpu_init_signal(vcpu);
		return true;
	case THV_DELIVER_STARTUP:
		thv_vcpu_sipi(vcpu, message->vector);
		return true;
	default:
		return false;
	}
}

static bool deliver_to(struct thv_vcpu *vcpu, const struct thv_lapic_message *message)
{
	bool taken = reach(vcpu, message);

	trace_thv_apic_accept(vcpu, message->delivery, message->vector, taken);
	return taken;
}

static bool is_for(const struct thv_vcpu *vcpu, const struct thv_vcpu *sender,
		   const struct thv_lapic_message *message)
{
	switch (message->shorthand) {
	case THV_SHORTHAND_SELF:
		return vcpu == sender;
	case THV_SHORTHAND_ALL:
		return thv_lapic_enabled(&vcpu->lapic);
	case THV_SHORTHAND_OTHERS:
		return vcpu != sender && thv_lapic_enabled(&vcpu->lapic);
	default:
		return thv_lapic_matches(&vcpu->lapic, message);
	}
}

static int deliver_to_all(struct thv_vm *vm, const struct thv_vcpu *sender,
			  const struct thv_lapic_message *message)
{
	struct thv_vcpu *vcpu;
	int reached = 0;
	u32 id;

	thv_for_each_vcpu(id, vcpu, vm)
		if (is_for(vcpu, sender, message))
			reached += deliver_to(vcpu, message);
	return reached;
}

/* Of those it is for, the one that can take it and wins the arbitration (SDM 11.6.2.4) */
static int deliver_to_lowest(struct thv_vm *vm, const struct thv_vcpu *sender,
			     const struct thv_lapic_message *message)
{
	struct thv_vcpu *vcpu, *winner = NULL;
	u32 id;

	thv_for_each_vcpu(id, vcpu, vm)
		if (is_for(vcpu, sender, message) && thv_lapic_active(&vcpu->lapic) &&
		    (!winner || thv_lapic_arbitrate(&vcpu->lapic, &winner->lapic)))
			winner = vcpu;
	if (!winner)
		return 0;
	atomic_inc(&winner->lapic.arbitration);
	return deliver_to(winner, message);
}

/* The one destination there can be, found without a search: ids are indexes. NULL: search. */
static struct thv_vcpu *single(struct thv_vm *vm, struct thv_vcpu *sender,
			       const struct thv_lapic_message *message)
{
	if (message->shorthand == THV_SHORTHAND_SELF)
		return sender;
	if (message->shorthand == THV_SHORTHAND_NONE && !message->logical)
		return thv_vm_vcpu(vm, message->destination);
	return NULL;
}

static int deliver(struct thv_vm *vm, struct thv_vcpu *sender,
		   const struct thv_lapic_message *message)
{
	struct thv_vcpu *vcpu = single(vm, sender, message);

	if (message->deassert)
		return 0;
	if (vcpu)
		return is_for(vcpu, sender, message) && deliver_to(vcpu, message);
	if (message->delivery == THV_DELIVER_LOWEST)
		return deliver_to_lowest(vm, sender, message);
	return deliver_to_all(vm, sender, message);
}

int thv_irq_deliver_msi(struct thv_vm *vm, const struct thv_msi *msi)
{
	struct thv_lapic_message message;
	int err = thv_lapic_decode_msi(msi, &message);

	return err ?: deliver(vm, NULL, &message);
}

int thv_irq_check_msi(const struct thv_msi *msi)
{
	struct thv_lapic_message message;

	return thv_lapic_decode_msi(msi, &message);
}

int thv_irq_interrupt(struct thv_vcpu *vcpu, const struct thv_interrupt *args)
{
	bool taken;

	if (args->vector < 16 || args->vector > 255 || args->reserved)
		return -EINVAL;
	taken = thv_lapic_post(&vcpu->lapic, args->vector, false);
	trace_thv_apic_accept(vcpu, THV_DELIVER_FIXED, args->vector, taken);
	return 0;
}

/* SDM table 11-3: a vCPU cannot reset or start itself by a shorthand. */
static bool resets_itself(const struct thv_lapic_message *message)
{
	if (message->delivery != THV_DELIVER_INIT && message->delivery != THV_DELIVER_STARTUP)
		return false;
	return message->shorthand == THV_SHORTHAND_SELF || message->shorthand == THV_SHORTHAND_ALL;
}

void thv_lapic_host_ipi(struct thv_lapic *lapic, const struct thv_lapic_message *message)
{
	struct thv_vcpu *vcpu = vcpu_of(lapic);

	thv_count(vcpu, ipis);
	trace_thv_apic_ipi(vcpu, message);
	if (!resets_itself(message))
		deliver(vcpu->vm, vcpu, message);
}

/* ---- the timer ---- */

u64 thv_lapic_host_now(struct thv_lapic *lapic)
{
	return ktime_get_ns();
}

u64 thv_lapic_host_tsc(struct thv_lapic *lapic)
{
	return thv_guest_tsc(vcpu_of(lapic));
}

/* The count has one writer at a time: the expiry, or the vCPU's thread while there is none. */
static bool timer_expired(struct thv_lapic *lapic, u64 *next)
{
	thv_count(vcpu_of(lapic), timers);
	trace_thv_apic_timer(vcpu_of(lapic), true, lapic->timer_mode, 0);
	return thv_lapic_timer_expired(lapic, ktime_get_ns(), next);
}

/* In the timer interrupt */
static enum hrtimer_restart hrtimer_expired(struct hrtimer *hrtimer)
{
	struct thv_irq_timer *timer = container_of(hrtimer, struct thv_irq_timer, hrtimer);
	u64 next;

	if (!timer_expired(&timer->vcpu->lapic, &next))
		return HRTIMER_NORESTART;
	hrtimer_set_expires(hrtimer, ns_to_ktime(next));
	return HRTIMER_RESTART;
}

/*
 * Pinned, so that the timer goes off where the guest runs and is itself the exit that delivers
 * the interrupt; should the vCPU have moved meanwhile, it is kicked from there. Hard, so that no
 * softirq thread delays it. What is due already needs no timer at all.
 */
#define TIMER_MODE	HRTIMER_MODE_ABS_PINNED_HARD

void thv_lapic_host_timer_start(struct thv_lapic *lapic, u64 deadline)
{
	while (deadline <= ktime_get_ns())
		if (!timer_expired(lapic, &deadline))
			return;
	if (trace_thv_apic_timer_enabled())
		trace_thv_apic_timer(vcpu_of(lapic), false, lapic->timer_mode,
				     deadline - ktime_get_ns());
	hrtimer_start(&lapic->timer->hrtimer, ns_to_ktime(deadline), TIMER_MODE);
}

/* Waits for an expiry under way on another CPU; that one waits for nothing. */
void thv_lapic_host_timer_stop(struct thv_lapic *lapic)
{
	hrtimer_cancel(&lapic->timer->hrtimer);
}

bool thv_lapic_host_watches(struct thv_lapic *lapic)
{
	struct thv_vcpu *vcpu = vcpu_of(lapic);

	if (!(vcpu->vm->features & THV_FEATURE_PREEMPTION_TIMER))
		return false;
	if (trace_thv_apic_timer_enabled())
		trace_thv_apic_timer(vcpu, false, lapic->timer_mode,
				     thv_lapic_cycles_to_ns(thv_lapic_ticks_left(lapic), lapic->tsc_khz));
	return true;
}

bool thv_irq_deadline(struct thv_vcpu *vcpu)
{
	if (!vcpu->lapic.watched || !thv_lapic_deadline_reached(&vcpu->lapic))
		return false;
	thv_count(vcpu, timers);
	trace_thv_apic_timer(vcpu, true, vcpu->lapic.timer_mode, 0);
	return true;
}

/* ---- what else lapic.c asks for ---- */

void thv_lapic_host_kick(struct thv_lapic *lapic)
{
	thv_vcpu_request(vcpu_of(lapic), THV_REQ_EVENT);
}

void thv_lapic_host_look(struct thv_lapic *lapic)
{
	vcpu_of(lapic)->look_for_events = true;
}

void thv_lapic_host_eoi(struct thv_lapic *lapic, u8 vector)
{
	thv_vcpu_notify_eoi(vcpu_of(lapic), vector);
}

void thv_lapic_host_mode(struct thv_lapic *lapic)
{
	thv_backend->apic_changed(vcpu_of(lapic));
}

/* ---- THV_APIC_ACCESS ---- */

int thv_irq_apic_access(struct thv_vcpu *vcpu, struct thv_apic_access *args)
{
	struct thv_lapic *lapic = &vcpu->lapic;

	if (!is_power_of_2(args->length) || args->length > 8 ||
	    args->offset > PAGE_SIZE - args->length ||
	    (args->flags & ~THV_APIC_WRITE) || args->reserved)
		return -EINVAL;
	if (!thv_lapic_is_xapic(lapic))
		return -ENXIO;
	thv_count(vcpu, apic_accesses);
	if (args->flags & THV_APIC_WRITE)
		thv_lapic_mmio_write(lapic, args->offset, args->length, args->data);
	else
		args->data = thv_lapic_mmio_read(lapic, args->offset, args->length);
	trace_thv_apic(vcpu, args->flags & THV_APIC_WRITE, args->offset, args->data);
	return 0;
}

/* ---- life ---- */

int thv_irq_vcpu_create(struct thv_vcpu *vcpu)
{
	struct thv_irq_timer *timer = kzalloc(sizeof(*timer), GFP_KERNEL_ACCOUNT);
	void *page = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);

	if (!timer || !page)
		goto no_memory;
	hrtimer_init(&timer->hrtimer, CLOCK_MONOTONIC, TIMER_MODE);
	timer->hrtimer.function = hrtimer_expired;
	timer->vcpu = vcpu;
	vcpu->lapic.timer = timer;
	thv_lapic_init(&vcpu->lapic, page, virt_to_phys(page), vcpu->id,
		       thv_guest_tsc_khz());
	return 0;

no_memory:
	free_page((unsigned long)page);
	kfree(timer);
	return -ENOMEM;
}

void thv_irq_vcpu_destroy(struct thv_vcpu *vcpu)
{
	struct thv_lapic *lapic = &vcpu->lapic;

	if (!lapic->timer)
		return;
	hrtimer_cancel(&lapic->timer->hrtimer);
	kfree(lapic->timer);
	lapic->timer = NULL;
	free_page((unsigned long)lapic->page);
	lapic->page = NULL;
}

void thv_irq_vcpu_reset(struct thv_vcpu *vcpu, bool init)
{
	thv_lapic_reset(&vcpu->lapic, init);
}
