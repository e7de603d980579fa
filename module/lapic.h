/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The local APIC as a register model (lapic.c): xAPIC and x2APIC registers, what is
 * requested, in service and deliverable, and what the timer is set to. Pure C: it knows
 * no vCPU, no VM and no kernel timer; what it needs of them it asks of the
 * thv_lapic_host_*() functions at the end of this file, which irq.c provides (and a
 * native test provides for itself).
 *
 * Who may call what. Each function says one of:
 *   vCPU's thread:	the thread that holds vcpu->lock, the guest not being in this
 *			vCPU; interrupts on or off; never sleeps.
 *   any context:	any thread, interrupt handlers included.
 * There is no lock: other threads only set bits of pending[], level[] and errors, with
 * atomics; all else, the register page too, is the vCPU's thread's (and the hardware's
 * while the guest runs). The timer's fields are the expiry's while it runs; the vCPU's
 * thread changes them after thv_lapic_host_timer_stop() only.
 */
#ifndef THV_LAPIC_H
#define THV_LAPIC_H

#include <linux/atomic.h>
#include <linux/bits.h>
#include <linux/types.h>
#include <asm/apicdef.h>
#include <asm/msr-index.h>
#include "../uapi/thv.h"

struct thv_irq_timer;

#define THV_LAPIC_VECTORS	256
#define THV_LAPIC_WORDS		(THV_LAPIC_VECTORS / 64)

/* The timer counts at 1 GHz before division, so a count is a nanosecond. (CPUID leaf 0x15, if
 * offered, must say this crystal.)
 */
#define THV_LAPIC_TIMER_KHZ	1000000

/* No guest gets a periodic timer faster than this, in ns: each expiry costs the host an
 * interrupt, and a count of 1 would leave time for nothing else (threat 28).
 */
#define THV_LAPIC_MIN_PERIOD	200000

enum thv_lapic_timer_mode {	/* SDM table 11-2: LVT timer bits 18:17 */
	THV_TIMER_ONESHOT = 0,
	THV_TIMER_PERIODIC = 1,
	THV_TIMER_DEADLINE = 2,
	THV_TIMER_RESERVED = 3,	/* counts nothing */
};

struct thv_lapic {
	u8 *page;		/* the registers, 4 KiB; also the hardware's virtual-APIC page */
	phys_addr_t hpa;	/* where the page is */
	u32 id;			/* the initial APIC id; never changes */
	u32 tsc_khz;		/* rate of the guest's TSC */
	u64 base;		/* IA32_APIC_BASE */
	bool eoi_changed;	/* the TMR changed since thv_lapic_eoi_exit_bitmap() */

	/* any context */
	unsigned long pending[THV_LAPIC_WORDS];	/* posted, not yet in the IRR */
	unsigned long level[THV_LAPIC_WORDS];	/* ... with this trigger mode */
	unsigned int posted;	/* pending[] has a bit, and its vCPU was told */
	atomic_t errors;	/* APIC_ESR_*: seen since the guest last wrote the ESR */
	atomic_t arbitration;	/* lowest-priority messages won */

	/* timer */
	u32 timer_mode;		/* as last taken from the LVT: a trapped write hides the old */
	u32 timer_shift;	/* log2 of the divisor, as last taken from TDCR */
	u64 timer_deadline;	/* counting modes: ns when the count reaches zero; 0: not running */
	u64 timer_period;	/* periodic: ns */
	u64 tsc_deadline;	/* IA32_TSC_DEADLINE; 0: disarmed */
	bool watched;		/* ... the processor looks out for it, and no timer of the host's */
	struct thv_irq_timer *timer;	/* irq.c's */
};

/* Delivery modes of messages: ICR and MSI data bits 10:8 (SDM 11.6.1, 11.11.2) */
enum thv_lapic_delivery {
	THV_DELIVER_FIXED = 0,
	THV_DELIVER_LOWEST = 1,
	THV_DELIVER_SMI = 2,
	THV_DELIVER_REMOTE_READ = 3,
	THV_DELIVER_NMI = 4,
	THV_DELIVER_INIT = 5,
	THV_DELIVER_STARTUP = 6,
	THV_DELIVER_EXTINT = 7,
};

enum thv_lapic_shorthand {	/* ICR bits 19:18 */
	THV_SHORTHAND_NONE = 0,
	THV_SHORTHAND_SELF = 1,
	THV_SHORTHAND_ALL = 2,
	THV_SHORTHAND_OTHERS = 3,
};

/**
 * struct thv_lapic_message - an interrupt message on its way to one or more APICs.
 * @destination: APIC id, or logical destination.
 * @vector: 0..255; of a start-up IPI, the page number.
 * @delivery: enum thv_lapic_delivery.
 * @shorthand: enum thv_lapic_shorthand; NONE for MSIs.
 * @logical: @destination is logical.
 * @wide: @destination has 32 bits (x2APIC), so 0xff is no broadcast.
 * @level: level-triggered: its EOI is told to the launcher.
 * @deassert: a level taken away, which nobody acts on (SDM 11.6.1): it is for no APIC.
 */
struct thv_lapic_message {
	u32 destination;
	u8 vector;
	u8 delivery;
	u8 shorthand;
	bool logical;
	bool wide;
	bool level;
	bool deassert;
};

/* ---- modes: any context ---- */

static inline bool thv_lapic_enabled(const struct thv_lapic *lapic)
{
	return READ_ONCE(lapic->base) & MSR_IA32_APICBASE_ENABLE;
}

static inline bool thv_lapic_is_x2apic(const struct thv_lapic *lapic)
{
	return READ_ONCE(lapic->base) & X2APIC_ENABLE;
}

/* xAPIC mode: the registers are at 0xfee00000 */
static inline bool thv_lapic_is_xapic(const struct thv_lapic *lapic)
{
	return thv_lapic_enabled(lapic) && !thv_lapic_is_x2apic(lapic);
}

/* For the VMCS's virtual-APIC address */
static inline phys_addr_t thv_lapic_page_hpa(const struct thv_lapic *lapic)
{
	return lapic->hpa;
}

/* Globally and software-enabled (SVR bit 8): fixed interrupts are accepted and delivered. */
bool thv_lapic_active(const struct thv_lapic *lapic);

/* ---- life ---- */

/**
 * thv_lapic_init() - fill in a new local APIC, in its power-up state.
 * @lapic: all zero but ->timer.
 * @page: 4 KiB, zeroed; the caller's to free.
 * @hpa: its physical address.
 * @id: initial APIC id; id 0 is the bootstrap processor.
 * @tsc_khz: rate of the guest's TSC, not 0.
 *
 * Context: nobody else has it yet. Calls no host function.
 */
void thv_lapic_init(struct thv_lapic *lapic, u8 *page, phys_addr_t hpa, u32 id, u32 tsc_khz);

/**
 * thv_lapic_reset() - power-up or INIT (SDM 11.4.7.1, 11.4.7.3, 11.12.5.1).
 * @lapic: the APIC.
 * @init: an INIT: IA32_APIC_BASE, and so the mode, stays.
 *
 * Drops what is pending, stops the timer; tells thv_lapic_host_mode() if the mode changed.
 * Context: vCPU's thread.
 */
void thv_lapic_reset(struct thv_lapic *lapic, bool init);

/* ---- interrupts in: any context ---- */

/**
 * thv_lapic_post() - a fixed interrupt for this APIC.
 * @lapic: the APIC.
 * @vector: 0..255; below 16 it is an error the APIC logs (SDM 11.5.3), and not delivered.
 * @level: level-triggered.
 *
 * Kicks the vCPU if it has not been told already.
 * Context: any.
 * Return: true if the APIC accepted it (it is enabled and the vector legal).
 */
bool thv_lapic_post(struct thv_lapic *lapic, u8 vector, bool level);

/**
 * thv_lapic_error() - log errors in the ESR-to-be, and raise the error interrupt for a new one.
 * @lapic: the APIC.
 * @errors: APIC_ESR_*.
 *
 * Context: any.
 */
void thv_lapic_error(struct thv_lapic *lapic, u32 errors);

/* ---- interrupts out: vCPU's thread ---- */

/* Take what was posted into IRR and TMR. Before each look at the functions below. */
void thv_lapic_merge(struct thv_lapic *lapic);

/* The vector to deliver now, or -1: the highest in the IRR, if its class is above the PPR's and the
 * APIC is active. Does not merge.
 */
int thv_lapic_deliverable(const struct thv_lapic *lapic);

/* Does INTR, which an 8259 raises, reach the processor? SDM 11.5.1: LINT0 as ExtINT; 11.4.3: the APIC off. */
bool thv_lapic_passes_intr(const struct thv_lapic *lapic);

/* It is being delivered: from IRR to ISR, PPR follows. Not with virtual-interrupt delivery, where
 * the processor does this.
 */
void thv_lapic_accept(struct thv_lapic *lapic, u8 vector);

/* For RVI and SVI (SDM 25.4.2); -1: none. Highest requested, of an active APIC; in service. */
int thv_lapic_highest_irr(const struct thv_lapic *lapic);
int thv_lapic_highest_isr(const struct thv_lapic *lapic);

/**
 * thv_lapic_eoi_exit_bitmap() - for virtual-interrupt delivery: whose EOI must exit.
 * @lapic: the APIC.
 * @bitmap: out, if changed: bit by vector: the level-triggered ones (SDM 25.6.8).
 *
 * Context: vCPU's thread, after the merge.
 * Return: has it changed since the last call (or a reset, or a mode change)?
 */
bool thv_lapic_eoi_exit_bitmap(struct thv_lapic *lapic, u64 bitmap[THV_LAPIC_WORDS]);

/* ---- the guest's accesses: vCPU's thread ---- */

/* RDMSR and WRMSR of 0x800..0x8ff. -EINVAL, then #GP: not in x2APIC mode, no such register, not
 * readable or writable, a reserved bit.
 */
int thv_lapic_msr_read(struct thv_lapic *lapic, u32 index, u64 *value);
int thv_lapic_msr_write(struct thv_lapic *lapic, u32 index, u64 value);

/* May RDMSR of x2APIC register @index (0x800..0x8ff) be answered from the page without an exit?
 * For the MSR bitmap with APIC-register virtualization; the same at all times.
 */
bool thv_lapic_msr_direct(u32 index);

/* Accesses to the xAPIC page, 4 bytes at multiples of 16; all else reads zeros and drops writes.
 * Only in xAPIC mode. @offset + @length is within the page.
 */
u32 thv_lapic_mmio_read(struct thv_lapic *lapic, u32 offset, u32 length);
void thv_lapic_mmio_write(struct thv_lapic *lapic, u32 offset, u32 length, u32 value);

/* An APIC-write VM exit (SDM 30.4.3.3): the guest's value is in the page already.
 * @offset: 0..0xfff.
 */
void thv_lapic_write_trap(struct thv_lapic *lapic, u32 offset);

/* A write to the EOI register. */
void thv_lapic_eoi(struct thv_lapic *lapic);

/* An EOI-induced VM exit (SDM 30.1.4): the processor has updated ISR, PPR and SVI. */
void thv_lapic_eoi_induced(struct thv_lapic *lapic, u8 vector);

/* MOV to and from CR8, 0..15: the TPR's class. */
u64 thv_lapic_get_cr8(const struct thv_lapic *lapic);
void thv_lapic_set_cr8(struct thv_lapic *lapic, u64 cr8);

/**
 * thv_lapic_set_base() - the guest's WRMSR of IA32_APIC_BASE (SDM 11.4.4, 11.12.5).
 * @lapic: the APIC.
 * @value: the new value. The page stays at 0xfee00000: a guest that would move it gets the #GP of
 *	an address bit that does not exist.
 *
 * Tells thv_lapic_host_mode() if the mode changed. Reading is lapic->base.
 * Context: vCPU's thread.
 * Return: 0; -EINVAL, then #GP: a reserved bit, another address, a transition not allowed.
 */
int thv_lapic_set_base(struct thv_lapic *lapic, u64 value);

/* IA32_TSC_DEADLINE (SDM 11.5.4.1): reads 0 and ignores writes unless the LVT chose that mode. */
u64 thv_lapic_get_tsc_deadline(const struct thv_lapic *lapic);
void thv_lapic_set_tsc_deadline(struct thv_lapic *lapic, u64 deadline);

/* The guest's TSC jumped (TSC or TSC_ADJUST written, state set): a deadline is armed anew. */
void thv_lapic_tsc_changed(struct thv_lapic *lapic);

/* ---- state: vCPU's thread ---- */

/**
 * thv_lapic_get() - THV_STATE_APIC.
 * @lapic: the APIC.
 * @state: out, every byte. What was posted counts as requested. Errors logged since the ESR was
 *	last written are at regs[0x284].
 */
void thv_lapic_get(struct thv_lapic *lapic, struct thv_apic *state);

/**
 * thv_lapic_set() - THV_STATE_APIC.
 * @lapic: the APIC.
 * @state: what an APIC of this id can be in.
 *
 * What was posted before is dropped. Restore the TSC first or call thv_lapic_tsc_changed() after.
 * Return: 0; -EINVAL: an impossible value; nothing is changed.
 */
int thv_lapic_set(struct thv_lapic *lapic, const struct thv_apic *state);

/* ---- the timer: its expiry (any context, one at a time) ---- */

/**
 * thv_lapic_timer_expired() - the time given to thv_lapic_host_timer_start() has come.
 * @lapic: the APIC.
 * @now: ns, as thv_lapic_host_now().
 * @next: out, if true is returned: when to come again.
 *
 * Return: is the timer to be started again, at @next?
 */
bool thv_lapic_timer_expired(struct thv_lapic *lapic, u64 now, u64 *next);

/**
 * thv_lapic_deadline_reached() - look whether a TSC deadline that the processor watches has come.
 * @lapic: the APIC, with ->watched.
 *
 * Context: vCPU's thread.
 * Return: it has, and its interrupt is requested.
 */
bool thv_lapic_deadline_reached(struct thv_lapic *lapic);

/* Ticks of the guest's TSC until the deadline; 0: it has come, or there is none. Any context. */
u64 thv_lapic_ticks_left(struct thv_lapic *lapic);

/**
 * thv_lapic_asleep() - the guest is not run for a while, and its timer is to wake it.
 * @lapic: the APIC.
 *
 * The processor watches a deadline only while the guest runs: from here on the host does.
 *
 * Context: vCPU's thread.
 */
void thv_lapic_asleep(struct thv_lapic *lapic);

/* ns for @cycles of a clock of @khz, rounded up, at most some 30 years; khz is not 0. */
u64 thv_lapic_cycles_to_ns(u64 cycles, u32 khz);

/* ---- messages: any context ---- */

/* An MSI as its device writes it (SDM 11.11). 0; -EINVAL: no MSI address, or a reserved mode. */
int thv_lapic_decode_msi(const struct thv_msi *msi, struct thv_lapic_message *message);

/* Is @message for this APIC? Looks at the destination alone, not at shorthands and de-assertion. */
bool thv_lapic_matches(const struct thv_lapic *lapic, const struct thv_lapic_message *message);

/* Of two that match a lowest-priority message, does @a take it rather than @b (SDM 11.6.2.4)? */
bool thv_lapic_arbitrate(const struct thv_lapic *a, const struct thv_lapic *b);

/* A register's name, for people; NULL: none at this offset. Any context. */
const char *thv_lapic_register_name(u32 offset);
/* What its place in the page holds; 0: no register. vCPU's thread. */
u32 thv_lapic_register_value(const struct thv_lapic *lapic, u32 offset);

/* ---- what lapic.c asks of its host: irq.c, or a native test ---- */

u64 thv_lapic_host_now(struct thv_lapic *lapic);	/* ns, monotonic; any context */
u64 thv_lapic_host_tsc(struct thv_lapic *lapic);	/* the guest's TSC; any context */
/* vCPU's thread. At @deadline (ns) call thv_lapic_timer_expired(); not running before. */
void thv_lapic_host_timer_start(struct thv_lapic *lapic, u64 deadline);
/* vCPU's thread. Once it returns no expiry is under way or to come. */
void thv_lapic_host_timer_stop(struct thv_lapic *lapic);
/* vCPU's thread: will the processor look out for the TSC deadline while the guest runs? */
bool thv_lapic_host_watches(struct thv_lapic *lapic);
/* Any context: something was posted, let the vCPU's thread merge it. */
void thv_lapic_host_kick(struct thv_lapic *lapic);
/* vCPU's thread: what is deliverable may have changed. */
void thv_lapic_host_look(struct thv_lapic *lapic);
/* vCPU's thread: a level-triggered interrupt was ended. */
void thv_lapic_host_eoi(struct thv_lapic *lapic, u8 vector);
/* vCPU's thread: the ICR sends this. */
void thv_lapic_host_ipi(struct thv_lapic *lapic, const struct thv_lapic_message *message);
/* vCPU's thread: disabled, xAPIC, x2APIC: it is another one now. */
void thv_lapic_host_mode(struct thv_lapic *lapic);

#endif
