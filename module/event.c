// SPDX-License-Identifier: GPL-2.0-only
/*
 * Events: what is pending for a guest, and what it gets at its next entry.
 *
 * Order, as the processor keeps it (SDM 6.9 and 27.7): an exception that the last instruction (or
 * the launcher) raised; an event whose delivery an exit broke off; an NMI; an interrupt. One goes
 * into the entry, and for what is left the backend is asked to exit as soon as the guest could
 * take it.
 *
 * Other threads only leave notes (events.async, events.nmi_requested, the APIC's pending
 * bits) and a request; everything else belongs to the vCPU's own thread.
 */
#include <linux/sched.h>
#include <asm/debugreg.h>
#include <asm/trapnr.h>
#include "debugger.h"
#include "event.h"
#include "irq.h"

/* ---- notes from any thread ---- */

void thv_vcpu_nmi(struct thv_vcpu *vcpu)
{
	atomic_inc(&vcpu->events.nmi_requested);
	thv_vcpu_request(vcpu, THV_REQ_EVENT);
}

void thv_vcpu_init_signal(struct thv_vcpu *vcpu)
{
	set_bit(THV_ASYNC_INIT, &vcpu->events.async);
	thv_vcpu_request(vcpu, THV_REQ_EVENT);
}

/*
 * The vector is for a vCPU that waits for it; a second one overwrites it, as nothing says which
 * wins.
 */
void thv_vcpu_sipi(struct thv_vcpu *vcpu, u8 vector)
{
	WRITE_ONCE(vcpu->events.sipi_vector, vector);
	smp_wmb();	/* pairs with the barrier of test_and_clear_bit() in take_sipi() */
	set_bit(THV_ASYNC_SIPI, &vcpu->events.async);
	thv_vcpu_request(vcpu, THV_REQ_EVENT);
}

/* ---- exceptions ---- */

/*
 * An exit raises one exception at most, so one that is pending already was put there by the
 * launcher and not yet delivered: it was first, and it will see the second condition again if
 * that is a fault.
 */
static void raise(struct thv_vcpu *vcpu, u8 vector, bool has_error, u32 error)
{
	struct thv_event *event = &vcpu->events.exception;

	vcpu->look_for_events = true;
	if (event->valid)
		return;
	*event = (struct thv_event) {
		.valid = true, .has_error = has_error, .vector = vector,
		.type = THV_EVENT_FAULT, .error = error,
	};
	vcpu->events.payload_valid = false;
}

static void raise_with(struct thv_vcpu *vcpu, u8 vector, bool has_error, u32 error, u64 payload)
{
	bool first = !vcpu->events.exception.valid;

	raise(vcpu, vector, has_error, error);
	if (first) {
		vcpu->events.payload_valid = true;
		vcpu->events.payload = payload;
	}
}

void thv_raise(struct thv_vcpu *vcpu, u8 vector)
{
	raise(vcpu, vector, false, 0);
}

void thv_raise_error(struct thv_vcpu *vcpu, u8 vector, u32 error)
{
	raise(vcpu, vector, true, error);
}

void thv_raise_pf(struct thv_vcpu *vcpu, u64 address, u32 error)
{
	raise_with(vcpu, X86_TRAP_PF, true, error, address);
}

void thv_raise_db(struct thv_vcpu *vcpu, u64 dr6_bits)
{
	raise_with(vcpu, X86_TRAP_DB, false, 0, dr6_bits);
}

/*
 * What delivery leaves in CR2 or DR6 and DR7; an injected event leaves nothing there by itself
 * (SDM 27.6.1).
 */
static void apply_payload(struct thv_vcpu *vcpu, u8 vector)
{
	if (!vcpu->events.payload_valid)
		return;
	vcpu->events.payload_valid = false;
	if (vector == X86_TRAP_PF) {
		vcpu->cr2 = vcpu->events.payload;
	} else if (vector == X86_TRAP_DB) {
		/*
		 * Breakpoint bits are of this exception alone; BD, BS and BT stay until cleared
		 * (SDM 18.2.3)
		 */
		vcpu->dr6 = (vcpu->dr6 & ~DR_TRAP_BITS) |
			    (vcpu->events.payload & THV_DR6_WRITABLE) | THV_DR6_FIXED_1;
		vcpu->dr7 &= ~THV_DR7_GD;
		thv_dr7_changed(vcpu);
	}
}

/* ---- before an entry ---- */

static void take_init(struct thv_vcpu *vcpu)
{
	thv_vcpu_reset(vcpu, true);
	/* The bootstrap processor starts over, the others wait (SDM 9.4.2) */
	thv_set_mp_state(vcpu, vcpu->id ? THV_MP_WAIT_SIPI : THV_MP_RUNNING);
}

/* Real mode at vector * 4096 (SDM 9.4.4.1); a start-up IPI that nobody waits for is dropped. */
static void take_sipi(struct thv_vcpu *vcpu)
{
	u8 vector = READ_ONCE(vcpu->events.sipi_vector);
	struct thv_sregs sregs;

	if (vcpu->mp_state != THV_MP_WAIT_SIPI)
		return;
	thv_backend->get_sregs(vcpu, &sregs);
	sregs.seg[THV_CS].selector = vector << 8;
	sregs.seg[THV_CS].base = vector << 12;
	thv_backend->set_sregs(vcpu, &sregs);
	thv_backend->read_regs(vcpu);
	vcpu->regs.rip = 0;
	thv_backend->write_regs(vcpu);
	thv_set_mp_state(vcpu, THV_MP_RUNNING);
}

/**
 * thv_events_collect - take in what other threads sent.
 * @vcpu: the vCPU.
 *
 * Context: the vCPU's thread, loaded, interrupts on.
 */
void thv_events_collect(struct thv_vcpu *vcpu)
{
	struct thv_events *events = &vcpu->events;

	vcpu->look_for_events = true;
	events->nmis += atomic_xchg(&events->nmi_requested, 0);
	if (!READ_ONCE(events->async))
		return;
	/* The pair arrives together at start-up: INIT first */
	if (test_and_clear_bit(THV_ASYNC_INIT, &events->async))
		take_init(vcpu);
	if (test_and_clear_bit(THV_ASYNC_SIPI, &events->async))
		take_sipi(vcpu);
}

static void inject(struct thv_vcpu *vcpu, const struct thv_event *event, bool again)
{
	trace_thv_inject(vcpu, event, again);
	thv_backend->inject(vcpu, event);
}

/*
 * An exception goes before the event it broke into. That one is kept if it came from outside (an
 * interrupt, an NMI: nobody will send it again) and forgotten if the guest's own instruction will
 * cause it again.
 */
static void inject_exception(struct thv_vcpu *vcpu)
{
	struct thv_events *events = &vcpu->events;

	if (events->reinject.type >= THV_EVENT_FAULT)
		events->reinject.valid = false;
	events->exception.valid = false;
	apply_payload(vcpu, events->exception.vector);
	inject(vcpu, &events->exception, false);
	thv_count(vcpu, exceptions);
}

static void inject_again(struct thv_vcpu *vcpu)
{
	vcpu->events.reinject.valid = false;
	inject(vcpu, &vcpu->events.reinject, true);
}

#define SHADOWS (THV_BLOCK_STI | THV_BLOCK_MOVSS)

static bool nmi_possible(u32 blocking)
{
	return !(blocking & (SHADOWS | THV_BLOCK_NMI));
}

static bool interrupt_possible(struct thv_vcpu *vcpu, u32 blocking)
{
	thv_backend->read_regs(vcpu);
	return (vcpu->regs.rflags & X86_EFLAGS_IF) && !(blocking & SHADOWS);
}

/* Does an interrupt wait outside, for whose vector an 8259 has to be asked? */
static bool intr(const struct thv_vcpu *vcpu)
{
	return READ_ONCE(vcpu->run->intr) && thv_lapic_passes_intr(&vcpu->lapic);
}

/**
 * thv_events_acknowledge - if the guest can take what waits at INTR, have the launcher ask for it.
 * @vcpu: the vCPU.
 *
 * What is pending already goes first: the launcher's answer is delivered again from "reinject",
 * where there is room for one.
 *
 * Context: the vCPU's thread, loaded; interrupts may be off.
 * Return: true: run->exit is filled.
 */
bool thv_events_acknowledge(struct thv_vcpu *vcpu)
{
	struct thv_events *events = &vcpu->events;

	if (!intr(vcpu) || events->exception.valid || events->reinject.valid ||
	    thv_debugger_holds_interrupts(vcpu) ||
	    !interrupt_possible(vcpu, thv_backend->blocking(vcpu)))
		return false;
	vcpu->run->exit = THV_EXIT_ACKNOWLEDGE;
	return true;
}

/* At most two count: one that is being handled or about to be, one latched behind it (SDM 6.7.1) */
static void limit_nmis(struct thv_vcpu *vcpu, u32 blocking)
{
	vcpu->events.nmis = min(vcpu->events.nmis, blocking & THV_BLOCK_NMI ? 1U : 2U);
}

static void inject_nmi(struct thv_vcpu *vcpu)
{
	static const struct thv_event nmi = {
		.valid = true, .vector = X86_TRAP_NMI, .type = THV_EVENT_NMI,
	};

	vcpu->events.nmis--;
	inject(vcpu, &nmi, false);
	thv_count(vcpu, nmis);
}

static void inject_interrupt(struct thv_vcpu *vcpu, int vector)
{
	struct thv_event interrupt = {
		.valid = true, .vector = vector, .type = THV_EVENT_INTERRUPT,
	};

	thv_lapic_accept(&vcpu->lapic, vector);
	inject(vcpu, &interrupt, false);
	thv_count(vcpu, interrupts);
}

/* Inject the first that can be; true: something was. */
static bool inject_one(struct thv_vcpu *vcpu, u32 blocking, int vector)
{
	struct thv_events *events = &vcpu->events;

	if (events->exception.valid)
		inject_exception(vcpu);
	else if (events->reinject.valid)
		inject_again(vcpu);
	else if (events->nmis && nmi_possible(blocking))
		inject_nmi(vcpu);
	else if (vector >= 0 && interrupt_possible(vcpu, blocking))
		inject_interrupt(vcpu, vector);
	else
		return false;
	return true;
}

/**
 * thv_events_inject - choose what the next entry delivers, and what to wait for.
 * @vcpu: the vCPU.
 *
 * Context: the vCPU's thread, loaded, interrupts off, directly before an entry, if
 * vcpu->look_for_events says so.
 */
void thv_events_inject(struct thv_vcpu *vcpu)
{
	u32 blocking;
	int vector;
	bool hold;

	vcpu->look_for_events = false;
	hold = thv_debugger_holds_interrupts(vcpu);
	blocking = thv_backend->blocking(vcpu) | (hold ? THV_BLOCK_STI : 0);
	limit_nmis(vcpu, blocking);
	thv_lapic_merge(&vcpu->lapic);
	vector = hold ? -1 : thv_lapic_deliverable(&vcpu->lapic);
	if (thv_vcpu_virtual_interrupts(vcpu)) {
		/* The processor delivers what the APIC holds; only the rest is ours */
		thv_backend->virtual_interrupts(vcpu,
						hold ? -1 : thv_lapic_highest_irr(&vcpu->lapic),
						thv_lapic_highest_isr(&vcpu->lapic));
		vector = -1;
	}
	if (inject_one(vcpu, blocking, vector))
		vector = vector < 0 ? -1 : thv_lapic_deliverable(&vcpu->lapic);
	thv_backend->windows(vcpu, vector >= 0 || (intr(vcpu) && !hold),
			     (vcpu->events.nmis && !hold) || vcpu->events.reinject.valid);
}

/**
 * thv_events_wake - is there a reason for a vCPU that does not run to go on?
 * @vcpu: the vCPU.
 *
 * Context: the vCPU's thread, whether loaded or not; does not sleep.
 */
bool thv_events_wake(struct thv_vcpu *vcpu)
{
	struct thv_events *events = &vcpu->events;

	if (READ_ONCE(events->async))
		return true;
	if (vcpu->mp_state == THV_MP_WAIT_SIPI)
		return false;
	thv_lapic_merge(&vcpu->lapic);
	return atomic_read(&events->nmi_requested) || events->nmis || events->exception.valid ||
	       events->reinject.valid ||
	       ((vcpu->regs.rflags & X86_EFLAGS_IF) &&
		(thv_lapic_deliverable(&vcpu->lapic) >= 0 || intr(vcpu)));
}

void thv_events_reset(struct thv_vcpu *vcpu)
{
	struct thv_events *events = &vcpu->events;

	events->exception.valid = false;
	events->reinject.valid = false;
	events->payload_valid = false;
	events->nmis = 0;
	atomic_set(&events->nmi_requested, 0);
	vcpu->look_for_events = true;
}

/* ---- THV_STATE_EVENTS ---- */

static u32 event_word(const struct thv_event *event)
{
	return event->vector | event->type << 8 | event->has_error << 11;
}

static const struct {
	u32 flag;
	u32 block;
} blocks[] = {
	{ THV_EVENT_NMI_BLOCKED, THV_BLOCK_NMI },
	{ THV_EVENT_STI_SHADOW, THV_BLOCK_STI },
	{ THV_EVENT_MOVSS_SHADOW, THV_BLOCK_MOVSS },
};

static void get_exception(const struct thv_events *events, struct thv_event_state *state)
{
	if (!events->exception.valid)
		return;
	state->flags |= THV_EVENT_EXCEPTION;
	state->exception_vector = events->exception.vector;
	if (events->exception.has_error) {
		state->flags |= THV_EVENT_ERROR_CODE;
		state->exception_error = events->exception.error;
	}
	if (events->payload_valid) {
		state->flags |= THV_EVENT_PAYLOAD;
		state->exception_payload = events->payload;
	}
}

void thv_events_get(struct thv_vcpu *vcpu, struct thv_event_state *state)
{
	struct thv_events *events = &vcpu->events;
	u32 blocking = thv_backend->blocking(vcpu);
	int i;

	memset(state, 0, sizeof(*state));
	get_exception(events, state);
	if (events->reinject.valid) {
		state->flags |= THV_EVENT_REINJECT;
		state->reinject = event_word(&events->reinject);
		state->reinject_error = events->reinject.error;
		state->reinject_length = events->reinject.length;
	}
	if (events->nmis || atomic_read(&events->nmi_requested))
		state->flags |= THV_EVENT_NMI_PENDING;
	for (i = 0; i < ARRAY_SIZE(blocks); i++)
		if (blocking & blocks[i].block)
			state->flags |= blocks[i].flag;
	if (test_bit(THV_ASYNC_SIPI, &events->async))
		state->flags |= THV_EVENT_SIPI;
	if (test_bit(THV_ASYNC_INIT, &events->async))
		state->flags |= THV_EVENT_INIT;
	state->sipi_vector = READ_ONCE(events->sipi_vector);
	state->mp_state = vcpu->mp_state;
	state->pending_debug = thv_backend->get_pending_debug(vcpu);
}

/* Exceptions that push an error code, by vector (SDM table 6-1) */
#define WITH_ERROR (BIT(X86_TRAP_DF) | BIT(X86_TRAP_TS) | BIT(X86_TRAP_NP) | BIT(X86_TRAP_SS) | \
		    BIT(X86_TRAP_GP) | BIT(X86_TRAP_PF) | BIT(X86_TRAP_AC))
#define KNOWN_FLAGS GENMASK(9, 0)
#define REINJECT_BITS GENMASK(11, 0)

/* VM entry checks the same of an event word (SDM 27.2.1.3); said here it is a clear error. */
static bool event_possible(u32 vector, u32 type, bool has_error)
{
	switch (type) {
	case THV_EVENT_INTERRUPT:
	case THV_EVENT_SOFT_INT:
		return !has_error;
	case THV_EVENT_NMI:
		return vector == X86_TRAP_NMI && !has_error;
	case THV_EVENT_FAULT:
		return vector < 32 && vector != X86_TRAP_NMI &&
		       (!has_error || (WITH_ERROR & BIT(vector)));
	case THV_EVENT_PRIV_SOFT:
		return vector == X86_TRAP_DB && !has_error;
	case THV_EVENT_SOFT_EXC:
		return (vector == X86_TRAP_BP || vector == X86_TRAP_OF) && !has_error;
	default:
		return false;
	}
}

static bool software(u32 type)
{
	return type >= THV_EVENT_SOFT_INT;
}

static int check_events(const struct thv_event_state *state)
{
	u32 word = state->reinject, type = (word >> 8) & 7;

	if ((state->flags & ~KNOWN_FLAGS) || state->mp_state > THV_MP_WAIT_SIPI ||
	    state->sipi_vector > 0xff || state->pending_debug & ~(THV_DR6_WRITABLE))
		return -EINVAL;
	if (state->flags & THV_EVENT_EXCEPTION &&
	    (state->exception_vector > 31 ||
	     !event_possible(state->exception_vector, THV_EVENT_FAULT,
			     state->flags & THV_EVENT_ERROR_CODE)))
		return -EINVAL;
	if (state->flags & THV_EVENT_REINJECT &&
	    ((word & ~REINJECT_BITS) || !event_possible(word & 0xff, type, word & BIT(11)) ||
	     (software(type) && (!state->reinject_length || state->reinject_length > 15))))
		return -EINVAL;
	/* Not both: the instruction before was one of the two (SDM 27.3.1.5) */
	if ((state->flags & THV_EVENT_STI_SHADOW) && (state->flags & THV_EVENT_MOVSS_SHADOW))
		return -EINVAL;
	return 0;
}

static void set_pending(struct thv_events *events, const struct thv_event_state *state)
{
	events->exception = (struct thv_event) {
		.valid = state->flags & THV_EVENT_EXCEPTION,
		.has_error = state->flags & THV_EVENT_ERROR_CODE,
		.vector = state->exception_vector,
		.type = THV_EVENT_FAULT,
		.error = state->exception_error,
	};
	events->payload_valid = state->flags & THV_EVENT_PAYLOAD;
	events->payload = state->exception_payload;
	events->reinject = (struct thv_event) {
		.valid = state->flags & THV_EVENT_REINJECT,
		.has_error = state->reinject & BIT(11),
		.vector = state->reinject,
		.type = (state->reinject >> 8) & 7,
		.error = state->reinject_error,
		.length = state->reinject_length,
	};
}

/**
 * thv_events_set - THV_SET_STATE of THV_STATE_EVENTS.
 * @vcpu: the vCPU.
 * @state: the uapi's struct.
 *
 * Context: vcpu->lock held, loaded, not running.
 * Return: 0; -EINVAL, and then nothing is changed.
 */
int thv_events_set(struct thv_vcpu *vcpu, const struct thv_event_state *state)
{
	struct thv_events *events = &vcpu->events;
	int i, err = check_events(state);
	u32 blocking = 0;

	if (err)
		return err;
	set_pending(events, state);
	atomic_set(&events->nmi_requested, 0);
	events->nmis = state->flags & THV_EVENT_NMI_PENDING ? 1 : 0;
	for (i = 0; i < ARRAY_SIZE(blocks); i++)
		if (state->flags & blocks[i].flag)
			blocking |= blocks[i].block;
	thv_backend->set_blocking(vcpu, blocking);
	thv_backend->set_pending_debug(vcpu, state->pending_debug);
	WRITE_ONCE(events->sipi_vector, state->sipi_vector);
	assign_bit(THV_ASYNC_SIPI, &events->async, state->flags & THV_EVENT_SIPI);
	assign_bit(THV_ASYNC_INIT, &events->async, state->flags & THV_EVENT_INIT);
	thv_set_mp_state(vcpu, state->mp_state);
	set_bit(THV_REQ_EVENT, &vcpu->requests);
	return 0;
}
