// SPDX-License-Identifier: GPL-2.0-only
/*
 * The local APIC: registers, priorities, acceptance and the timer's arithmetic (SDM volume 3,
 * chapter 11; how hardware may work on the same page: chapter 30).
 *
 * Read it in this order: an interrupt comes in from any thread (thv_lapic_post), the vCPU's
 * thread takes it into the IRR (thv_lapic_merge), it wins over the priorities
 * (thv_lapic_deliverable), is in service (thv_lapic_accept), and ends (thv_lapic_eoi). Then the
 * timer; then the table of registers, and the four ways to reach a register: MMIO, MSR, a
 * write the processor has already put into the page, and the state ioctls.
 *
 * The page is the truth. With virtual-interrupt delivery the processor moves bits of IRR
 * and ISR there by itself, with a TPR shadow it writes the TPR; so nothing that can be
 * derived from the page is cached beside it. What would be derived, the highest bit of a
 * 256-bit register, is at most eight loads from two cache lines.
 *
 * No locks; see lapic.h for who may touch what.
 */
#include <linux/bitops.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/string.h>
#include "lapic.h"

#define REGISTERS_SIZE	0x400	/* nothing is beyond it; also sizeof(thv_apic.regs) */
#define BANK_WORDS	8	/* ISR, TMR and IRR: 8 registers of 32 bits, 16 bytes apart */
#define FIRST_VECTOR	16	/* those below are the processor's (SDM 11.5.3) */

/* Version 0x14, highest LVT entry 5 (SDM 11.4.8). Bit 24, suppression of EOI broadcasts, is not
 * offered: the launcher's IOAPIC would need an EOI register for it.
 */
#define VERSION		0x00050014
#define BASE_MODE	(MSR_IA32_APICBASE_ENABLE | X2APIC_ENABLE)
#define BASE_WRITABLE	(BASE_MODE | MSR_IA32_APICBASE_BSP)
#define LDR_XAPIC	0xff000000U
#define ICR2_XAPIC	0xff000000U
#define DFR_ONES	0x0fffffffU	/* SDM figure 11-14: bits 27:0 read as ones */
#define LVT_MODE_SHIFT	17
#define ESR_LOGGED	(APIC_ESR_SENDILL | APIC_ESR_RECVILL | APIC_ESR_ILLREGA)

/* Where the page and thv_apic.regs[] have more than one word to a register */
#define ICR_HIGH_X2APIC	(APIC_ICR + 4)	/* MSR 0x830 is 64 bits of the page (SDM 30.5) */
#define STATE_ERRORS	(APIC_ESR + 4)	/* thv_apic only: logged, not yet latched */

/* ---- the page ---- */

static u32 get(const struct thv_lapic *lapic, u32 offset)
{
	return READ_ONCE(*(u32 *)(lapic->page + offset));
}

static void put(struct thv_lapic *lapic, u32 offset, u32 value)
{
	WRITE_ONCE(*(u32 *)(lapic->page + offset), value);
}

static u32 word_of(u32 bank, u8 vector)
{
	return bank + vector / 32 * 16;
}

static bool test_vector(const struct thv_lapic *lapic, u32 bank, u8 vector)
{
	return get(lapic, word_of(bank, vector)) & (1U << (vector & 31));
}

static void set_vector(struct thv_lapic *lapic, u32 bank, u8 vector)
{
	u32 offset = word_of(bank, vector);

	put(lapic, offset, get(lapic, offset) | (1U << (vector & 31)));
}

static void clear_vector(struct thv_lapic *lapic, u32 bank, u8 vector)
{
	u32 offset = word_of(bank, vector);

	put(lapic, offset, get(lapic, offset) & ~(1U << (vector & 31)));
}

static int highest(const struct thv_lapic *lapic, u32 bank)
{
	int word;

	for (word = BANK_WORDS - 1; word >= 0; word--) {
		u32 bits = get(lapic, bank + word * 16);

		if (bits)
			return word * 32 + fls(bits) - 1;
	}
	return -1;
}

static bool software_enabled(const struct thv_lapic *lapic)
{
	return get(lapic, APIC_SPIV) & APIC_SPIV_APIC_ENABLED;
}

bool thv_lapic_active(const struct thv_lapic *lapic)
{
	return thv_lapic_enabled(lapic) && software_enabled(lapic);
}

/* ---- interrupts in ---- */

/* An interrupt the APIC itself raises, by its entry in the local vector table. Any context. */
static void fire(struct thv_lapic *lapic, u32 lvt)
{
	u32 entry = get(lapic, lvt);

	if (!(entry & APIC_LVT_MASKED))
		thv_lapic_post(lapic, entry & APIC_VECTOR_MASK, false);
}

/*
 * Only an error that was not logged before interrupts: this bounds the interrupts between two
 * writes of the ESR, and ends the recursion when the error entry's own vector is illegal.
 */
void thv_lapic_error(struct thv_lapic *lapic, u32 errors)
{
	u32 before = atomic_fetch_or(errors, &lapic->errors);

	if (errors & ~before)
		fire(lapic, APIC_LVTERR);
}

/*
 * The order is what counts (each of these atomics is a full barrier on x86): the trigger mode
 * before the request, the request before ->posted. thv_lapic_merge() takes them the other way
 * round, so it may find a request early, but no request stays behind a ->posted it cleared.
 * Who finds ->posted set need not kick: who set it does, or has done.
 */
bool thv_lapic_post(struct thv_lapic *lapic, u8 vector, bool level)
{
	if (!thv_lapic_active(lapic))
		return false;
	if (vector < FIRST_VECTOR) {
		thv_lapic_error(lapic, APIC_ESR_RECVILL);
		return false;
	}
	if (test_bit(vector, lapic->level) != level)
		assign_bit(vector, lapic->level, level);
	set_bit(vector, lapic->pending);
	if (!xchg(&lapic->posted, 1))
		thv_lapic_host_kick(lapic);
	return true;
}

/* SDM 11.8.4: on acceptance into the IRR the TMR bit says how it came. */
static void request(struct thv_lapic *lapic, int word, u32 bits, u32 level)
{
	u32 irr = APIC_IRR + word * 16;
	u32 tmr = APIC_TMR + word * 16;
	u32 before, after;

	if (!bits)
		return;
	before = get(lapic, tmr);
	after = (before & ~bits) | (bits & level);
	put(lapic, irr, get(lapic, irr) | bits);
	if (before != after) {
		put(lapic, tmr, after);
		lapic->eoi_changed = true;
	}
}

/* The vCPU's thread: an edge-triggered one of the APIC's own */
static void request_here(struct thv_lapic *lapic, u8 vector)
{
	request(lapic, vector / 32, 1U << (vector & 31), 0);
	thv_lapic_host_look(lapic);
}

void thv_lapic_merge(struct thv_lapic *lapic)
{
	int i;

	if (!READ_ONCE(lapic->posted))
		return;
	xchg(&lapic->posted, 0);
	for (i = 0; i < THV_LAPIC_WORDS; i++) {
		u64 bits = READ_ONCE(lapic->pending[i]) ? xchg(&lapic->pending[i], 0) : 0;
		u64 level = READ_ONCE(lapic->level[i]);

		request(lapic, 2 * i, (u32)bits, (u32)level);
		request(lapic, 2 * i + 1, bits >> 32, level >> 32);
	}
}

static void drop_posted(struct thv_lapic *lapic)
{
	int i;

	xchg(&lapic->posted, 0);
	for (i = 0; i < THV_LAPIC_WORDS; i++)
		xchg(&lapic->pending[i], 0);
}

/* ---- priorities, service, end ---- */

/* SDM 11.8.3.1, and 30.1.3 for the low half where the classes are equal, so that hardware agrees */
static u32 processor_priority(const struct thv_lapic *lapic)
{
	u32 tpr = get(lapic, APIC_TASKPRI) & APIC_TPRI_MASK;
	u32 isr = max(highest(lapic, APIC_ISR), 0);

	return (tpr & 0xf0) >= (isr & 0xf0) ? tpr : isr & 0xf0;
}

static void update_ppr(struct thv_lapic *lapic)
{
	put(lapic, APIC_PROCPRI, processor_priority(lapic));
}

/* SDM 11.4.7.2: what is requested stays so while software has the APIC disabled. */
int thv_lapic_highest_irr(const struct thv_lapic *lapic)
{
	return thv_lapic_active(lapic) ? highest(lapic, APIC_IRR) : -1;
}

int thv_lapic_highest_isr(const struct thv_lapic *lapic)
{
	return highest(lapic, APIC_ISR);
}

int thv_lapic_deliverable(const struct thv_lapic *lapic)
{
	int vector = thv_lapic_highest_irr(lapic);

	if (vector < 0 || (vector & 0xf0) <= (processor_priority(lapic) & 0xf0))
		return -1;
	return vector;
}

bool thv_lapic_passes_intr(const struct thv_lapic *lapic)
{
	u32 entry = get(lapic, APIC_LVT0);

	if (!thv_lapic_enabled(lapic))
		return true;
	return (entry & (APIC_LVT_MASKED | APIC_MODE_MASK)) == APIC_DM_EXTINT;
}

void thv_lapic_accept(struct thv_lapic *lapic, u8 vector)
{
	clear_vector(lapic, APIC_IRR, vector);
	set_vector(lapic, APIC_ISR, vector);
	update_ppr(lapic);
}

bool thv_lapic_eoi_exit_bitmap(struct thv_lapic *lapic, u64 bitmap[THV_LAPIC_WORDS])
{
	int i;

	if (!lapic->eoi_changed)
		return false;
	lapic->eoi_changed = false;
	for (i = 0; i < THV_LAPIC_WORDS; i++)
		bitmap[i] = get(lapic, APIC_TMR + 32 * i) |
			    (u64)get(lapic, APIC_TMR + 32 * i + 16) << 32;
	return true;
}

/* SDM 11.8.5; the highest in service is the one that ends. */
void thv_lapic_eoi(struct thv_lapic *lapic)
{
	int vector = highest(lapic, APIC_ISR);

	if (vector < 0)
		return;
	clear_vector(lapic, APIC_ISR, vector);
	update_ppr(lapic);
	thv_lapic_eoi_induced(lapic, vector);
}

/* The TMR is asked again: the exit bitmap may be of an instant ago. */
void thv_lapic_eoi_induced(struct thv_lapic *lapic, u8 vector)
{
	if (test_vector(lapic, APIC_TMR, vector))
		thv_lapic_host_eoi(lapic, vector);
	thv_lapic_host_look(lapic);
}

u64 thv_lapic_get_cr8(const struct thv_lapic *lapic)
{
	return (get(lapic, APIC_TASKPRI) & APIC_TPRI_MASK) >> 4;
}

static void set_tpr(struct thv_lapic *lapic, u32 tpr)
{
	put(lapic, APIC_TASKPRI, tpr);
	update_ppr(lapic);
	thv_lapic_host_look(lapic);
}

/* SDM 11.8.6.1: the low half of the TPR becomes zero. */
void thv_lapic_set_cr8(struct thv_lapic *lapic, u64 cr8)
{
	set_tpr(lapic, (cr8 & 0xf) << 4);
}

/* ---- the timer ---- */

u64 thv_lapic_cycles_to_ns(u64 cycles, u32 khz)
{
	u64 rest, ms = div64_u64_rem(cycles, khz, &rest);

	/* Nobody waits that long, and the product stays below 2^63. */
	if (ms >= 1ULL << 40)
		return (1ULL << 40) * 1000000;
	return ms * 1000000 + div_u64(rest * 1000000 + khz - 1, khz);
}

static bool counts(const struct thv_lapic *lapic)
{
	return lapic->timer_mode == THV_TIMER_ONESHOT || lapic->timer_mode == THV_TIMER_PERIODIC;
}

/* ns until the count reaches zero; 0: it does not count */
static u64 count_remaining(struct thv_lapic *lapic)
{
	u64 deadline = READ_ONCE(lapic->timer_deadline);
	u64 now, late;

	if (!deadline)
		return 0;
	now = thv_lapic_host_now(lapic);
	if (now < deadline)
		return deadline - now;
	if (lapic->timer_mode != THV_TIMER_PERIODIC)
		return 0;
	div64_u64_rem(now - deadline, lapic->timer_period, &late);
	return lapic->timer_period - late;	/* the expiry itself is a little late */
}

/* Rounded up: zero is read only once the interrupt is due. A clamped period starts from the top. */
static u32 current_count(struct thv_lapic *lapic)
{
	u64 count = (count_remaining(lapic) + (1U << lapic->timer_shift) - 1) >> lapic->timer_shift;

	return min_t(u64, count, get(lapic, APIC_TMICT));
}

static u64 period(u32 count, u32 shift)
{
	return max_t(u64, (u64)count << shift, THV_LAPIC_MIN_PERIOD);
}

/* The timer is stopped; @ns 0 leaves it so. */
static void count_for(struct thv_lapic *lapic, u64 ns)
{
	lapic->timer_period = period(get(lapic, APIC_TMICT), lapic->timer_shift);
	lapic->timer_deadline = ns ? thv_lapic_host_now(lapic) + ns : 0;
	if (ns)
		thv_lapic_host_timer_start(lapic, lapic->timer_deadline);
}

/* Who looks out for the end of it, the host or the processor, does so no more */
static void stop_timer(struct thv_lapic *lapic)
{
	if (!lapic->watched)
		thv_lapic_host_timer_stop(lapic);
	lapic->watched = false;
}

static void disarm(struct thv_lapic *lapic)
{
	stop_timer(lapic);
	lapic->timer_deadline = 0;
	lapic->tsc_deadline = 0;
}

u64 thv_lapic_ticks_left(struct thv_lapic *lapic)
{
	u64 tsc = thv_lapic_host_tsc(lapic), deadline = READ_ONCE(lapic->tsc_deadline);

	return tsc < deadline ? deadline - tsc : 0;
}

static void start_host_timer(struct thv_lapic *lapic)
{
	u64 ns = thv_lapic_cycles_to_ns(thv_lapic_ticks_left(lapic), lapic->tsc_khz);

	thv_lapic_host_timer_start(lapic, thv_lapic_host_now(lapic) + ns);
}

static void arm_tsc_deadline(struct thv_lapic *lapic)
{
	if (!lapic->tsc_deadline)
		return;
	lapic->watched = thv_lapic_host_watches(lapic);
	if (!lapic->watched)
		start_host_timer(lapic);
}

void thv_lapic_asleep(struct thv_lapic *lapic)
{
	if (!lapic->watched)
		return;
	lapic->watched = false;
	start_host_timer(lapic);
}

/*
 * SDM 11.5.4.1 says that a change of mode disarms the timer. Processors do so between
 * TSC-deadline and counting only; from one-shot to periodic and back the count goes on, and
 * software relies on it.
 */
static void set_timer_mode(struct thv_lapic *lapic, u32 mode)
{
	bool counted = counts(lapic);
	u32 count;

	if (mode == lapic->timer_mode)
		return;
	stop_timer(lapic);
	count = current_count(lapic);
	lapic->timer_mode = mode;
	if (counted && counts(lapic)) {
		count_for(lapic, (u64)count << lapic->timer_shift);
		return;
	}
	disarm(lapic);
	put(lapic, APIC_TMICT, 0);
}

/* SDM figure 11-10: bits 3, 1 and 0; 0 divides by 2, 6 by 128, 7 by 1 */
static u32 divide_shift(u32 tdcr)
{
	return (((tdcr & 3) | (tdcr >> 1 & 4)) + 1) & 7;
}

u64 thv_lapic_get_tsc_deadline(const struct thv_lapic *lapic)
{
	return READ_ONCE(lapic->tsc_deadline);
}

void thv_lapic_set_tsc_deadline(struct thv_lapic *lapic, u64 deadline)
{
	if (lapic->timer_mode != THV_TIMER_DEADLINE)
		return;
	stop_timer(lapic);
	lapic->tsc_deadline = deadline;
	arm_tsc_deadline(lapic);
}

void thv_lapic_tsc_changed(struct thv_lapic *lapic)
{
	if (lapic->timer_mode != THV_TIMER_DEADLINE)
		return;
	stop_timer(lapic);
	arm_tsc_deadline(lapic);
}

/* The host's clock is steered, the TSC is not: look whether the guest's time has really come. */
static bool tsc_deadline_expired(struct thv_lapic *lapic, u64 now, u64 *next)
{
	u64 left = thv_lapic_ticks_left(lapic);

	if (!READ_ONCE(lapic->tsc_deadline))
		return false;
	if (left) {
		*next = now + thv_lapic_cycles_to_ns(left, lapic->tsc_khz);
		return true;
	}
	WRITE_ONCE(lapic->tsc_deadline, 0);
	fire(lapic, APIC_LVTT);
	return false;
}

/* In the vCPU's thread there is nobody to kick: into the IRR at once */
static void fire_here(struct thv_lapic *lapic, u32 lvt)
{
	u32 entry = get(lapic, lvt), vector = entry & APIC_VECTOR_MASK;

	if (entry & APIC_LVT_MASKED)
		return;
	if (vector < FIRST_VECTOR)
		thv_lapic_error(lapic, APIC_ESR_RECVILL);
	else
		request_here(lapic, vector);
}

bool thv_lapic_deadline_reached(struct thv_lapic *lapic)
{
	if (thv_lapic_ticks_left(lapic))
		return false;
	lapic->watched = false;
	lapic->tsc_deadline = 0;
	fire_here(lapic, APIC_LVTT);
	return true;
}

/* Periods that nobody was there for are one interrupt: the IRR has one bit. */
static void next_period(struct thv_lapic *lapic, u64 now, u64 *next)
{
	u64 deadline = lapic->timer_deadline + lapic->timer_period;
	u64 late;

	if (deadline <= now) {
		div64_u64_rem(now - deadline, lapic->timer_period, &late);
		deadline = now + lapic->timer_period - late;
	}
	WRITE_ONCE(lapic->timer_deadline, deadline);
	*next = deadline;
}

bool thv_lapic_timer_expired(struct thv_lapic *lapic, u64 now, u64 *next)
{
	switch (lapic->timer_mode) {
	case THV_TIMER_DEADLINE:
		return tsc_deadline_expired(lapic, now, next);
	case THV_TIMER_PERIODIC:
		next_period(lapic, now, next);
		fire(lapic, APIC_LVTT);
		return true;
	case THV_TIMER_ONESHOT:
		WRITE_ONCE(lapic->timer_deadline, 0);
		fire(lapic, APIC_LVTT);
		return false;
	default:
		return false;
	}
}

/* ---- messages ---- */

static void decode_icr(struct thv_lapic_message *message, u32 low, u32 destination, bool wide)
{
	*message = (struct thv_lapic_message) {
		.destination = destination,
		.vector = low & APIC_VECTOR_MASK,
		.delivery = (low & APIC_MODE_MASK) >> 8,
		.shorthand = (low & APIC_DEST_ALLBUT) >> 18,
		.logical = low & APIC_DEST_LOGICAL,
		.wide = wide,
	};
	/* SDM 11.6.1: trigger mode and level mean something for INIT alone; all else is an edge. */
	message->deassert = message->delivery == THV_DELIVER_INIT &&
			    (low & (APIC_INT_LEVELTRIG | APIC_INT_ASSERT)) == APIC_INT_LEVELTRIG;
}

static bool has_vector(const struct thv_lapic_message *message)
{
	return message->delivery == THV_DELIVER_FIXED || message->delivery == THV_DELIVER_LOWEST;
}

static void send(struct thv_lapic *lapic, u32 low, u32 destination)
{
	struct thv_lapic_message message;

	decode_icr(&message, low, destination, thv_lapic_is_x2apic(lapic));
	if (has_vector(&message) && message.vector < FIRST_VECTOR)
		thv_lapic_error(lapic, APIC_ESR_SENDILL);
	else
		thv_lapic_host_ipi(lapic, &message);
}

/* thv_msi.address: SDM figure 11-24; destination bits 31:8, if there are any, are in 63:40. */
#define MSI_ADDRESS_MASK	0x000000fffff00000ULL
#define MSI_ADDRESS		0x00000000fee00000ULL
#define MSI_REDIRECTION_HINT	BIT(3)
#define MSI_LOGICAL		BIT(2)

int thv_lapic_decode_msi(const struct thv_msi *msi, struct thv_lapic_message *message)
{
	u32 high = msi->address >> 40;

	if ((msi->address & MSI_ADDRESS_MASK) != MSI_ADDRESS || msi->reserved)
		return -EINVAL;
	*message = (struct thv_lapic_message) {
		.destination = high << 8 | (msi->address >> 12 & 0xff),
		.vector = msi->data & APIC_VECTOR_MASK,
		.delivery = (msi->data & APIC_MODE_MASK) >> 8,
		.logical = msi->address & MSI_LOGICAL,
		.wide = high,
		.level = msi->data & APIC_INT_LEVELTRIG,
	};
	message->deassert = message->level && !(msi->data & APIC_INT_ASSERT);
	if (message->delivery == THV_DELIVER_FIXED && (msi->address & MSI_REDIRECTION_HINT))
		message->delivery = THV_DELIVER_LOWEST;
	if (message->delivery == THV_DELIVER_REMOTE_READ ||
	    message->delivery == THV_DELIVER_STARTUP)
		return -EINVAL;
	return 0;
}

static u32 x2apic_ldr(const struct thv_lapic *lapic)	/* SDM 11.12.10.2 */
{
	return lapic->id >> 4 << 16 | 1U << (lapic->id & 15);
}

/* SDM 11.6.2.2 (flat and cluster model), 11.12.10.1 */
static bool matches_logical(const struct thv_lapic *lapic, u32 destination)
{
	u32 ldr = get(lapic, APIC_LDR) >> 24;

	if (thv_lapic_is_x2apic(lapic)) {
		ldr = x2apic_ldr(lapic);
		return ldr >> 16 == destination >> 16 && (ldr & destination & 0xffff);
	}
	if (destination > 0xff)
		return false;
	switch (get(lapic, APIC_DFR) >> 28) {
	case APIC_DFR_FLAT >> 28:
		return ldr & destination;
	case APIC_DFR_CLUSTER >> 28:
		return ldr >> 4 == destination >> 4 && (ldr & destination & 0xf);
	default:
		return false;
	}
}

bool thv_lapic_matches(const struct thv_lapic *lapic, const struct thv_lapic_message *message)
{
	u32 destination = message->destination;

	if (!thv_lapic_enabled(lapic))
		return false;
	if (destination == ~0U || (!message->wide && destination == 0xff))
		return true;
	if (message->logical)
		return matches_logical(lapic, destination);
	return destination == lapic->id;
}

/*
 * The lower task priority wins; among equals, who won less often so far. The count wraps, its
 * difference does not.
 */
bool thv_lapic_arbitrate(const struct thv_lapic *a, const struct thv_lapic *b)
{
	u64 tpr_a = thv_lapic_get_cr8(a);
	u64 tpr_b = thv_lapic_get_cr8(b);

	if (tpr_a != tpr_b)
		return tpr_a < tpr_b;
	return (s32)((u32)atomic_read(&a->arbitration) - (u32)atomic_read(&b->arbitration)) < 0;
}

/* ---- the registers ---- */

enum right {
	NO = 0,
	RD = 1,
	WR = 2,
	RW = RD | WR,
};

/*
 * One row a register; SDM table 11-1 (xAPIC) and 11-6 (x2APIC).
 *
 * @xapic, @x2apic: what may be done to it. What may not: in xAPIC mode reads zero, and a write
 *	is dropped; in x2APIC mode it is #GP. An access to what a mode has not at all (NO) is in
 *	xAPIC mode logged as an illegal register address.
 * @writable: the bits software writes. @status: bits hardware writes: software's are ignored.
 *	All others are reserved: ignored in xAPIC mode, #GP in x2APIC mode.
 * @write: takes a value, reserved and status bits gone, and leaves in the page what will be read.
 *	The page may have the new value already, and the old one is then lost (SDM 30.4.3.3): no
 *	handler asks the page what was before. NULL: just put it there.
 * @read: what it reads as; NULL: as it is in the page.
 */
struct lapic_register {
	const char *name;
	u8 xapic, x2apic;
	u32 writable, status;
	void (*write)(struct thv_lapic *lapic, u32 offset, u32 value);
	u32 (*read)(struct thv_lapic *lapic);
};

/* Bits of ICR, SVR, TDCR and the LVT entries (SDM figures 11-12, 11-23, 11-10, 11-8) */
#define VECTOR		APIC_VECTOR_MASK
#define DELIVERY	APIC_MODE_MASK
#define STATUS		APIC_SEND_PENDING
#define PIN		(DELIVERY | APIC_INPUT_POLARITY | APIC_LVT_LEVEL_TRIGGER)
#define PIN_STATUS	(STATUS | APIC_LVT_REMOTE_IRR)
#define LVT		(VECTOR | APIC_LVT_MASKED)
#define MODES		(3U << LVT_MODE_SHIFT)
#define ICR_BITS	(VECTOR | DELIVERY | APIC_DEST_LOGICAL | APIC_INT_ASSERT | \
			 APIC_INT_LEVELTRIG | APIC_DEST_ALLBUT)
#define SVR_BITS	(VECTOR | APIC_SPIV_APIC_ENABLED | APIC_SPIV_FOCUS_DISABLED)
#define TDCR_BITS	0xb

/* APR and remote read: SDM 11.4.1, nothing since the Pentium 4 */
static u32 read_zero(struct thv_lapic *lapic)
{
	return 0;
}

/* Computed when asked: with a TPR shadow the TPR may have changed without an exit. */
static u32 read_ppr(struct thv_lapic *lapic)
{
	update_ppr(lapic);
	return get(lapic, APIC_PROCPRI);
}

/* Ids are for good, routing indexes by them: software's writes are ignored (SDM 11.4.6). */
static void write_id(struct thv_lapic *lapic, u32 offset, u32 value)
{
	put(lapic, offset, thv_lapic_is_x2apic(lapic) ? lapic->id : lapic->id << 24);
}

static void write_tpr(struct thv_lapic *lapic, u32 offset, u32 value)
{
	set_tpr(lapic, value);
}

static void write_eoi(struct thv_lapic *lapic, u32 offset, u32 value)
{
	thv_lapic_eoi(lapic);
}

static void write_dfr(struct thv_lapic *lapic, u32 offset, u32 value)
{
	put(lapic, offset, value | DFR_ONES);
}

/* SDM 11.4.7.2: disabling masks every LVT entry, and they stay masked. */
static void write_svr(struct thv_lapic *lapic, u32 offset, u32 value)
{
	u32 lvt;

	put(lapic, offset, value);
	if (!(value & APIC_SPIV_APIC_ENABLED))
		for (lvt = APIC_LVTT; lvt <= APIC_LVTERR; lvt += 16)
			put(lapic, lvt, get(lapic, lvt) | APIC_LVT_MASKED);
	thv_lapic_host_look(lapic);
}

/* SDM 11.5.3: a write, of whatever, latches what was logged since the last one. */
static void write_esr(struct thv_lapic *lapic, u32 offset, u32 value)
{
	put(lapic, offset, atomic_xchg(&lapic->errors, 0));
}

static void write_icr(struct thv_lapic *lapic, u32 offset, u32 value)
{
	bool x2apic = thv_lapic_is_x2apic(lapic);

	put(lapic, offset, value);
	send(lapic, value, x2apic ? get(lapic, ICR_HIGH_X2APIC) : get(lapic, APIC_ICR2) >> 24);
}

static void write_lvt(struct thv_lapic *lapic, u32 offset, u32 value)
{
	put(lapic, offset, software_enabled(lapic) ? value : value | APIC_LVT_MASKED);
}

/* It may let INTR through from now on */
static void write_lint0(struct thv_lapic *lapic, u32 offset, u32 value)
{
	write_lvt(lapic, offset, value);
	thv_lapic_host_look(lapic);
}

static void write_timer(struct thv_lapic *lapic, u32 offset, u32 value)
{
	write_lvt(lapic, offset, value);
	set_timer_mode(lapic, value >> LVT_MODE_SHIFT & 3);
}

static void write_initial_count(struct thv_lapic *lapic, u32 offset, u32 value)
{
	if (!counts(lapic)) {	/* SDM 11.5.4.1: ignored; it was zeroed when the mode began */
		put(lapic, offset, 0);
		return;
	}
	stop_timer(lapic);
	put(lapic, offset, value);
	count_for(lapic, (u64)value << lapic->timer_shift);
}

/* The count goes on from where it is, at the new pace. */
static void write_divide(struct thv_lapic *lapic, u32 offset, u32 value)
{
	u32 shift = divide_shift(value);
	u32 count;

	put(lapic, offset, value);
	if (shift == lapic->timer_shift)
		return;
	if (!counts(lapic)) {	/* a TSC deadline is not concerned */
		lapic->timer_shift = shift;
		return;
	}
	stop_timer(lapic);
	count = current_count(lapic);
	lapic->timer_shift = shift;
	count_for(lapic, (u64)count << shift);
}

/* SDM 11.12.11; 11.5.3 logs an illegal one as both sent and received. */
static void write_self_ipi(struct thv_lapic *lapic, u32 offset, u32 value)
{
	if (value < FIRST_VECTOR) {
		thv_lapic_error(lapic, APIC_ESR_SENDILL | APIC_ESR_RECVILL);
		return;
	}
	if (!software_enabled(lapic))
		return;
	request_here(lapic, value);
}

static const struct lapic_register registers[REGISTERS_SIZE >> 4] = {
	/*			 name		xAPIC x2APIC writable	status */
	[APIC_ID >> 4]	     = { "ID",			RW, RD, 0, 0, write_id },
	[APIC_LVR >> 4]	     = { "version",		RD, RD },
	[APIC_TASKPRI >> 4]  = { "TPR",			RW, RW, 0xff, 0, write_tpr },
	[APIC_ARBPRI >> 4]   = { "APR",			RD, NO, 0, 0, NULL, read_zero },
	[APIC_PROCPRI >> 4]  = { "PPR",			RD, RD, 0, 0, NULL, read_ppr },
	[APIC_EOI >> 4]	     = { "EOI",			WR, WR, 0, 0, write_eoi },
	[APIC_RRR >> 4]	     = { "remote read",		RD, NO, 0, 0, NULL, read_zero },
	[APIC_LDR >> 4]	     = { "LDR",			RW, RD, LDR_XAPIC },
	[APIC_DFR >> 4]	     = { "DFR",			RW, NO, ~DFR_ONES, 0, write_dfr },
	[APIC_SPIV >> 4]     = { "SVR",			RW, RW, SVR_BITS, 0, write_svr },
	[APIC_ISR >> 4 ... (APIC_ISR >> 4) + BANK_WORDS - 1] = {
				 "ISR",			RD, RD,
	},
	[APIC_TMR >> 4 ... (APIC_TMR >> 4) + BANK_WORDS - 1] = {
				 "TMR",			RD, RD,
	},
	[APIC_IRR >> 4 ... (APIC_IRR >> 4) + BANK_WORDS - 1] = {
				 "IRR",			RD, RD,
	},
	[APIC_ESR >> 4]	     = { "ESR",			RW, RW, 0, 0, write_esr },
	[APIC_ICR >> 4]	     = { "ICR",			RW, RW, ICR_BITS, STATUS, write_icr },
	[APIC_ICR2 >> 4]     = { "ICR high",		RW, NO, ICR2_XAPIC },
	[APIC_LVTT >> 4]     = { "LVT timer",		RW, RW, LVT | MODES, STATUS, write_timer },
	[APIC_LVTTHMR >> 4]  = { "LVT thermal",		RW, RW, LVT | DELIVERY, STATUS, write_lvt },
	[APIC_LVTPC >> 4]    = { "LVT performance",	RW, RW, LVT | DELIVERY, STATUS, write_lvt },
	[APIC_LVT0 >> 4]     = { "LVT LINT0",		RW, RW, LVT | PIN, PIN_STATUS, write_lint0 },
	[APIC_LVT1 >> 4]     = { "LVT LINT1",		RW, RW, LVT | PIN, PIN_STATUS, write_lvt },
	[APIC_LVTERR >> 4]   = { "LVT error",		RW, RW, LVT, STATUS, write_lvt },
	[APIC_TMICT >> 4]    = { "initial count",	RW, RW, ~0U, 0, write_initial_count },
	[APIC_TMCCT >> 4]    = { "current count",	RD, RD, 0, 0, NULL, current_count },
	[APIC_TDCR >> 4]     = { "divide",		RW, RW, TDCR_BITS, 0, write_divide },
	[APIC_SELF_IPI >> 4] = { "self IPI",		NO, WR, VECTOR, 0, write_self_ipi },
};

static const struct lapic_register *find(u32 offset)
{
	if (offset >= REGISTERS_SIZE || !registers[offset >> 4].name)
		return NULL;
	return &registers[offset >> 4];
}

const char *thv_lapic_register_name(u32 offset)
{
	const struct lapic_register *reg = find(offset);

	return reg ? reg->name : NULL;
}

u32 thv_lapic_register_value(const struct thv_lapic *lapic, u32 offset)
{
	return find(offset) ? get(lapic, offset & ~15) : 0;
}

static u32 load(struct thv_lapic *lapic, const struct lapic_register *reg, u32 offset)
{
	return reg->read ? reg->read(lapic) : get(lapic, offset);
}

static void store(struct thv_lapic *lapic, const struct lapic_register *reg, u32 offset, u32 value)
{
	value &= reg->writable;
	if (reg->write)
		reg->write(lapic, offset, value);
	else
		put(lapic, offset, value);
}

/* ---- by MMIO: xAPIC mode ---- */

/* SDM 11.4.1: 32 bits at multiples of 16; what else does is left open. */
static const struct lapic_register *mmio_register(struct thv_lapic *lapic, u32 offset, u32 length)
{
	const struct lapic_register *reg;

	if (length != 4 || (offset & 15))
		return NULL;
	reg = find(offset);
	if (reg && reg->xapic != NO)
		return reg;
	thv_lapic_error(lapic, APIC_ESR_ILLREGA);
	return NULL;
}

u32 thv_lapic_mmio_read(struct thv_lapic *lapic, u32 offset, u32 length)
{
	const struct lapic_register *reg = mmio_register(lapic, offset, length);

	return reg && (reg->xapic & RD) ? load(lapic, reg, offset) : 0;
}

void thv_lapic_mmio_write(struct thv_lapic *lapic, u32 offset, u32 length, u32 value)
{
	const struct lapic_register *reg = mmio_register(lapic, offset, length);

	if (reg && (reg->xapic & WR))
		store(lapic, reg, offset, value);
}

/* ---- by the processor's hand: the value is in the page ---- */

void thv_lapic_write_trap(struct thv_lapic *lapic, u32 offset)
{
	const struct lapic_register *reg = find(offset);

	if (reg && ((thv_lapic_is_x2apic(lapic) ? reg->x2apic : reg->xapic) & WR))
		store(lapic, reg, offset & ~15, get(lapic, offset & ~15));
}

/* ---- by MSR: x2APIC mode (SDM 11.12.1) ---- */

static u32 msr_offset(u32 index)
{
	u32 number = index - APIC_BASE_MSR;

	return number < REGISTERS_SIZE >> 4 ? number << 4 : REGISTERS_SIZE;
}

static const struct lapic_register *msr_register(const struct thv_lapic *lapic, u32 index, u8 right)
{
	const struct lapic_register *reg = find(msr_offset(index));

	return reg && thv_lapic_is_x2apic(lapic) && (reg->x2apic & right) ? reg : NULL;
}

bool thv_lapic_msr_direct(u32 index)
{
	const struct lapic_register *reg = find(msr_offset(index));

	return reg && (reg->x2apic & RD) && !reg->read;
}

int thv_lapic_msr_read(struct thv_lapic *lapic, u32 index, u64 *value)
{
	const struct lapic_register *reg = msr_register(lapic, index, RD);

	if (!reg)
		return -EINVAL;
	*value = load(lapic, reg, msr_offset(index));
	if (msr_offset(index) == APIC_ICR)
		*value |= (u64)get(lapic, ICR_HIGH_X2APIC) << 32;
	return 0;
}

int thv_lapic_msr_write(struct thv_lapic *lapic, u32 index, u64 value)
{
	const struct lapic_register *reg = msr_register(lapic, index, WR);
	u32 offset = msr_offset(index);
	bool icr = offset == APIC_ICR;	/* the one register of 64 bits */

	if (!reg || (!icr && value >> 32) || ((u32)value & ~(reg->writable | reg->status)))
		return -EINVAL;
	if (icr)
		put(lapic, ICR_HIGH_X2APIC, value >> 32);
	store(lapic, reg, offset, (u32)value);
	return 0;
}

/* ---- modes and resets ---- */

/* What follows from the id: SDM 11.12.5.1 */
static void put_identity(struct thv_lapic *lapic)
{
	write_id(lapic, APIC_ID, 0);
	if (thv_lapic_is_x2apic(lapic))
		put(lapic, APIC_LDR, x2apic_ldr(lapic));
}

/* SDM 11.4.7.1; the timer is stopped. */
static void reset_registers(struct thv_lapic *lapic)
{
	u32 lvt;

	memset(lapic->page, 0, REGISTERS_SIZE);
	put(lapic, APIC_LVR, VERSION);
	put(lapic, APIC_DFR, APIC_DFR_FLAT);
	put(lapic, APIC_SPIV, 0xff);
	for (lvt = APIC_LVTT; lvt <= APIC_LVTERR; lvt += 16)
		put(lapic, lvt, APIC_LVT_MASKED);
	put_identity(lapic);
	drop_posted(lapic);
	atomic_set(&lapic->errors, 0);
	lapic->eoi_changed = true;
	lapic->timer_mode = THV_TIMER_ONESHOT;
	lapic->timer_shift = divide_shift(0);
}

static u64 power_up_base(const struct thv_lapic *lapic)
{
	return APIC_DEFAULT_PHYS_BASE | MSR_IA32_APICBASE_ENABLE |
	       (lapic->id ? 0 : MSR_IA32_APICBASE_BSP);
}

void thv_lapic_init(struct thv_lapic *lapic, u8 *page, phys_addr_t hpa, u32 id, u32 tsc_khz)
{
	lapic->page = page;
	lapic->hpa = hpa;
	lapic->id = id;
	lapic->tsc_khz = max(tsc_khz, 1U);
	lapic->base = power_up_base(lapic);
	reset_registers(lapic);
}

/* A new IA32_APIC_BASE; the registers follow, the host is told if the mode is another one. */
static void enter_mode(struct thv_lapic *lapic, u64 base)
{
	bool changed = (lapic->base ^ base) & BASE_MODE;

	WRITE_ONCE(lapic->base, base);
	if (!changed)
		return;
	/* SDM 11.4.3: disabled, it forgets; enabled again, it is as after power-up. */
	if (!thv_lapic_enabled(lapic)) {
		disarm(lapic);
		reset_registers(lapic);
	}
	/* SDM 11.12.5.1: all else is kept, but for the ICR's destination: its place is new. */
	put_identity(lapic);
	lapic->eoi_changed = true;
	thv_lapic_host_mode(lapic);
}

void thv_lapic_reset(struct thv_lapic *lapic, bool init)
{
	disarm(lapic);
	enter_mode(lapic, init ? lapic->base : power_up_base(lapic));
	reset_registers(lapic);
	thv_lapic_host_look(lapic);
}

static bool valid_base(u64 base)
{
	return (base & ~(u64)BASE_WRITABLE) == APIC_DEFAULT_PHYS_BASE &&
	       (base & BASE_MODE) != X2APIC_ENABLE;
}

/* SDM figure 11-27: into x2APIC from xAPIC only, out of it into disabled only */
static bool valid_transition(u64 from, u64 to)
{
	from &= BASE_MODE;
	to &= BASE_MODE;
	if (from == to || !to)
		return true;
	return to == BASE_MODE ? from == MSR_IA32_APICBASE_ENABLE : !from;
}

int thv_lapic_set_base(struct thv_lapic *lapic, u64 value)
{
	if (!valid_base(value) || !valid_transition(lapic->base, value))
		return -EINVAL;
	enter_mode(lapic, value);
	thv_lapic_host_look(lapic);
	return 0;
}

/* ---- state ---- */

static u32 *state_word(struct thv_apic *state, u32 offset)
{
	return (u32 *)(state->regs + offset);
}

static u32 state_get(const struct thv_apic *state, u32 offset)
{
	return *(const u32 *)(state->regs + offset);
}

static bool readable(const struct lapic_register *reg)
{
	return reg && ((reg->xapic | reg->x2apic) & RD);
}

void thv_lapic_get(struct thv_lapic *lapic, struct thv_apic *state)
{
	u32 offset;

	memset(state, 0, sizeof(*state));
	thv_lapic_merge(lapic);
	state->base = lapic->base;
	state->tsc_deadline = thv_lapic_get_tsc_deadline(lapic);
	state->timer_remaining = count_remaining(lapic);
	for (offset = 0; offset < REGISTERS_SIZE; offset += 16)
		if (readable(find(offset)))
			*state_word(state, offset) = load(lapic, find(offset), offset);
	*state_word(state, STATE_ERRORS) = atomic_read(&lapic->errors);
	if (thv_lapic_is_x2apic(lapic))
		*state_word(state, APIC_ICR2) = get(lapic, ICR_HIGH_X2APIC);
}

/* At most one vector of a class is in service: another needs a higher class (SDM 11.8.3.1). */
static bool valid_isr(u32 bits)
{
	return hweight16(bits & 0xffff) <= 1 && hweight16(bits >> 16) <= 1;
}

static bool valid_bank(u32 offset, u32 value)
{
	if (!(offset & 0x70) && (value & 0xffff))	/* vectors 0 to 15 */
		return false;
	return offset < APIC_ISR || offset >= APIC_TMR || valid_isr(value);
}

static bool valid_lvt(const struct thv_apic *state, u32 value)
{
	return (state_get(state, APIC_SPIV) & APIC_SPIV_APIC_ENABLED) || (value & APIC_LVT_MASKED);
}

/* Can the register at @offset have this value? Its reserved bits are known to be zero. */
static bool valid_register(const struct thv_lapic *lapic, const struct thv_apic *state, u32 offset)
{
	bool x2apic = state->base & X2APIC_ENABLE;
	u32 value = state_get(state, offset);

	switch (offset) {
	case APIC_ID:
		return value == (x2apic ? lapic->id : lapic->id << 24);
	case APIC_LVR:
		return value == VERSION;
	case APIC_LDR:
		return !x2apic || value == x2apic_ldr(lapic);
	case APIC_DFR:
		return (value & DFR_ONES) == DFR_ONES;
	case APIC_ISR ... APIC_IRR + 0x70:
		return valid_bank(offset, value);
	case APIC_LVTT ... APIC_LVTERR:
		return valid_lvt(state, value);
	default:
		return true;
	}
}

/* Bits that a saved register may have set */
static u32 possible_bits(const struct thv_apic *state, u32 offset)
{
	const struct lapic_register *reg = find(offset);

	if (!readable(reg) || reg->read == read_zero)
		return 0;
	switch (offset) {
	case APIC_ESR:
		return ESR_LOGGED;
	case APIC_LDR:
	case APIC_ICR2:
		return state->base & X2APIC_ENABLE ? ~0U : reg->writable;
	default:	/* what software cannot write is compared, or derived anew */
		return reg->writable && offset != APIC_DFR ? reg->writable : ~0U;
	}
}

static bool valid_registers(const struct thv_lapic *lapic, const struct thv_apic *state)
{
	u32 offset, between;

	for (offset = 0; offset < REGISTERS_SIZE; offset += 16) {
		if ((state_get(state, offset) & ~possible_bits(state, offset)) ||
		    !valid_register(lapic, state, offset))
			return false;
		for (between = offset + 4; between < offset + 16; between += 4)
			if (state_get(state, between) & ~(between == STATE_ERRORS ? ESR_LOGGED : 0))
				return false;
	}
	return true;
}

static u32 state_timer_mode(const struct thv_apic *state)
{
	return state_get(state, APIC_LVTT) >> LVT_MODE_SHIFT & 3;
}

/* Only what the mode has, and no longer than the initial count can last */
static bool valid_timer(const struct thv_apic *state)
{
	u32 mode = state_timer_mode(state);
	u32 shift = divide_shift(state_get(state, APIC_TDCR));
	u32 initial = state_get(state, APIC_TMICT);
	u64 longest = mode == THV_TIMER_PERIODIC ? period(initial, shift) : (u64)initial << shift;

	if (mode == THV_TIMER_DEADLINE || mode == THV_TIMER_RESERVED)
		return !initial && !state->timer_remaining &&
		       (mode == THV_TIMER_DEADLINE || !state->tsc_deadline);
	if (state->tsc_deadline)
		return false;
	return !state->timer_remaining || (initial && state->timer_remaining <= longest);
}

static void set_registers(struct thv_lapic *lapic, const struct thv_apic *state)
{
	u32 offset;

	memset(lapic->page, 0, REGISTERS_SIZE);
	for (offset = 0; offset < REGISTERS_SIZE; offset += 16)
		if (readable(find(offset)) && !find(offset)->read)
			put(lapic, offset, state_get(state, offset));
	if (thv_lapic_is_x2apic(lapic)) {
		put(lapic, APIC_ICR2, 0);
		put(lapic, ICR_HIGH_X2APIC, state_get(state, APIC_ICR2));
	}
	update_ppr(lapic);
	atomic_set(&lapic->errors, state_get(state, STATE_ERRORS));
	lapic->eoi_changed = true;
}

static void set_timer(struct thv_lapic *lapic, const struct thv_apic *state)
{
	lapic->timer_mode = state_timer_mode(state);
	lapic->timer_shift = divide_shift(state_get(state, APIC_TDCR));
	count_for(lapic, state->timer_remaining);
	lapic->tsc_deadline = state->tsc_deadline;
	arm_tsc_deadline(lapic);
}

int thv_lapic_set(struct thv_lapic *lapic, const struct thv_apic *state)
{
	if (!valid_base(state->base) || state->reserved || !valid_timer(state) ||
	    !valid_registers(lapic, state))
		return -EINVAL;
	disarm(lapic);
	drop_posted(lapic);
	enter_mode(lapic, state->base);
	set_registers(lapic, state);
	set_timer(lapic, state);
	thv_lapic_host_look(lapic);
	return 0;
}
