// SPDX-License-Identifier: GPL-2.0-only
// sources: module/lapic.c
// flags: -Wno-missing-field-initializers
/*
 * The local APIC's register model against the manual, as far as possible by trying
 * everything: each register in each mode by each access, each priority against each other,
 * each transition of modes; and then random operations against a model that is
 * nothing but three sets of vectors.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <linux/kernel.h>
#include "lapic.h"
#include "tap.h"

#define KHZ		2500000		/* the guest's TSC: 5 cycles in 2 ns */
#define ID		0x23
#define XAPIC		(0xfee00000ULL | MSR_IA32_APICBASE_ENABLE)
#define X2APIC		(XAPIC | X2APIC_ENABLE)
#define DISABLED	0xfee00000ULL

/* ---- the host ---- */

static struct host {
	u64 now, tsc;
	u64 timer;		/* deadline, 0: stopped */
	u64 fired;
	unsigned int kicks, looks, modes, ipis, eois;
	unsigned int eoi[256];
	struct thv_lapic_message ipi;
	bool watches;		/* the TSC deadline, instead of the timer */
} host;

static unsigned int kicked;	/* for the threads */

u64 thv_lapic_host_now(struct thv_lapic *lapic)
{
	return host.now;
}

u64 thv_lapic_host_tsc(struct thv_lapic *lapic)
{
	return host.tsc;
}

void thv_lapic_host_timer_start(struct thv_lapic *lapic, u64 deadline)
{
	tap_check(!host.timer, "timer started twice");
	tap_check(deadline, "timer started for 0");
	host.timer = deadline;
}

void thv_lapic_host_timer_stop(struct thv_lapic *lapic)
{
	host.timer = 0;
}

bool thv_lapic_host_watches(struct thv_lapic *lapic)
{
	return host.watches;
}

void thv_lapic_host_kick(struct thv_lapic *lapic)
{
	__atomic_fetch_add(&host.kicks, 1, __ATOMIC_SEQ_CST);
	__atomic_store_n(&kicked, 1, __ATOMIC_SEQ_CST);
}

void thv_lapic_host_look(struct thv_lapic *lapic)
{
	host.looks++;
}

void thv_lapic_host_eoi(struct thv_lapic *lapic, u8 vector)
{
	host.eois++;
	host.eoi[vector]++;
}

void thv_lapic_host_ipi(struct thv_lapic *lapic, const struct thv_lapic_message *message)
{
	host.ipis++;
	host.ipi = *message;
}

void thv_lapic_host_mode(struct thv_lapic *lapic)
{
	host.modes++;
}

/* Time passes; what is due goes off, at its time */
static void pass(struct thv_lapic *lapic, u64 ns)
{
	u64 end = host.now + ns;
	u64 next;

	while (host.timer && host.timer <= end) {
		u64 step = host.timer > host.now ? host.timer - host.now : 0;

		host.now += step;
		host.tsc += step * 5 / 2;
		host.timer = 0;
		host.fired++;
		if (thv_lapic_timer_expired(lapic, host.now, &next)) {
			tap_check(next > host.now, "next expiry is not in the future");
			host.timer = next;
		}
	}
	host.tsc += (end - host.now) * 5 / 2;
	host.now = end;
}

static bool ok(int err)
{
	return !err;
}

/* ---- an APIC ---- */

static u8 pages[4][4096] __aligned(4096);

static void new_apic(struct thv_lapic *lapic, int page, u32 id)
{
	memset(lapic, 0, sizeof(*lapic));
	memset(pages[page], 0, sizeof(pages[page]));
	thv_lapic_init(lapic, pages[page], 0x1000 * page, id, KHZ);
}

static void fresh(struct thv_lapic *lapic, u64 base)
{
	memset(&host, 0, sizeof(host));
	host.now = 1000000;
	host.tsc = 5000000;
	new_apic(lapic, 0, ID);
	if (base == X2APIC)
		thv_lapic_set_base(lapic, XAPIC);
	if (base != lapic->base)
		tap_check(!thv_lapic_set_base(lapic, base), "no way to base %#llx", base);
}

static u32 rd(struct thv_lapic *lapic, u32 offset)
{
	return thv_lapic_mmio_read(lapic, offset, 4);
}

static void wr(struct thv_lapic *lapic, u32 offset, u32 value)
{
	thv_lapic_mmio_write(lapic, offset, 4, value);
}

static int rdmsr(struct thv_lapic *lapic, u32 offset, u64 *value)
{
	return thv_lapic_msr_read(lapic, 0x800 + offset / 16, value);
}

static int wrmsr(struct thv_lapic *lapic, u32 offset, u64 value)
{
	return thv_lapic_msr_write(lapic, 0x800 + offset / 16, value);
}

static void enable(struct thv_lapic *lapic)
{
	if (thv_lapic_is_x2apic(lapic))
		wrmsr(lapic, APIC_SPIV, 0x1ff);
	else
		wr(lapic, APIC_SPIV, 0x1ff);
}

static void ready(struct thv_lapic *lapic)	/* xAPIC, enabled */
{
	fresh(lapic, XAPIC);
	enable(lapic);
}

static bool in(const struct thv_lapic *lapic, u32 bank, int vector)
{
	return *(u32 *)(lapic->page + bank + vector / 32 * 16) >> (vector & 31) & 1;
}

/* Posted, merged and delivered */
static void serve(struct thv_lapic *lapic, u8 vector, bool level)
{
	thv_lapic_post(lapic, vector, level);
	thv_lapic_merge(lapic);
	thv_lapic_accept(lapic, vector);
}

static u64 seed = 88172645463325252ULL;

/* xorshift: the same each time */
static u64 chance(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	return seed ^= seed << 17;
}

/* ---- the registers, from SDM tables 11-1 and 11-6 and the figures of each ---- */

struct expected {
	u32 offset;
	const char *xapic, *x2apic;	/* "r", "w", "rw", "" */
	u32 writable;			/* bits that can be set */
	u32 ignored;			/* in x2APIC mode no #GP, but not set either */
	u32 reset;
	u32 ones;			/* bits that always read as 1 */
};

static const struct expected expected[] = {
	{ 0x020, "rw", "r", 0, 0, ID << 24, ID << 24 },
	{ 0x030, "r", "r", 0, 0, 0x50014 },
	{ 0x080, "rw", "rw", 0xff },
	{ 0x090, "r", "" },
	{ 0x0a0, "r", "r" },
	{ 0x0b0, "w", "w" },
	{ 0x0c0, "r", "" },
	{ 0x0d0, "rw", "r", 0xff000000 },
	{ 0x0e0, "rw", "", 0xf0000000, 0, 0xffffffff, 0x0fffffff },
	{ 0x0f0, "rw", "rw", 0x3ff, 0, 0xff },
	{ 0x280, "rw", "rw" },
	{ 0x300, "rw", "rw", 0xccfff, 0x1000 },
	{ 0x310, "rw", "", 0xff000000 },
	{ 0x320, "rw", "rw", 0x700ff, 0x1000, 0x10000 },
	{ 0x330, "rw", "rw", 0x107ff, 0x1000, 0x10000 },
	{ 0x340, "rw", "rw", 0x107ff, 0x1000, 0x10000 },
	{ 0x350, "rw", "rw", 0x1a7ff, 0x5000, 0x10000 },
	{ 0x360, "rw", "rw", 0x1a7ff, 0x5000, 0x10000 },
	{ 0x370, "rw", "rw", 0x100ff, 0x1000, 0x10000 },
	{ 0x380, "rw", "rw", 0xffffffff },
	{ 0x390, "r", "r" },
	{ 0x3e0, "rw", "rw", 0xb },
	{ 0x3f0, "", "w", 0xff },
};

/* What is expected at @offset: a row above, a word of ISR, TMR or IRR, or nothing at all */
static struct expected expect(u32 offset)
{
	struct expected bank = { offset, "r", "r" };
	struct expected none = { offset, "", "" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(expected); i++)
		if (expected[i].offset == offset)
			return expected[i];
	return offset >= 0x100 && offset < 0x280 && !(offset & 15) ? bank : none;
}

static bool may(const char *rights, char right)
{
	return strchr(rights, right);
}

static void test_reset_values(void)
{
	struct thv_lapic lapic;
	u32 offset;

	fresh(&lapic, XAPIC);
	for (offset = 0; offset < 4096; offset += 16) {
		struct expected e = expect(offset);

		tap_check(rd(&lapic, offset) == e.reset, "offset %#x is %#x", offset,
			  rd(&lapic, offset));
		tap_check(!!thv_lapic_register_name(offset) == (*e.xapic || *e.x2apic),
			  "offset %#x: name %s", offset, thv_lapic_register_name(offset));
	}
	tap_ok(tap_held(), "each register has its power-up value");
	tap_is(lapic.base, XAPIC, "power-up is xAPIC mode; APIC 35 is not the bootstrap processor");
	new_apic(&lapic, 0, 0);
	tap_is(lapic.base, XAPIC | MSR_IA32_APICBASE_BSP, "APIC 0 is the bootstrap processor");
}

static void test_mmio_bits(void)
{
	struct thv_lapic lapic;
	u32 offset, bit, after;

	for (offset = 0; offset < 0x400; offset += 16)
		for (bit = 0; bit < 33; bit++) {
			struct expected e = expect(offset);
			u32 value = bit < 32 ? 1U << bit : ~0U;

			ready(&lapic);
			wr(&lapic, offset, value);
			after = may(e.xapic, 'r') ? rd(&lapic, offset) : 0;
			if (!may(e.xapic, 'r') || offset == 0x280)
				continue;
			if (!may(e.xapic, 'w'))
				value = e.reset;
			else
				value = (value & e.writable) | e.ones;
			tap_check(after == value, "%#x after write of bit %u: %#x, not %#x",
				  offset, bit, after, value);
		}
	tap_ok(tap_held(), "by MMIO each register keeps its writable bits and no others");
}

static void test_mmio_sizes(void)
{
	static const u32 lengths[] = { 1, 2, 4, 8 };
	struct thv_lapic lapic;
	u8 before[4096];
	u32 offset;
	int i;

	ready(&lapic);
	serve(&lapic, 0x81, true);
	memcpy(before, lapic.page, sizeof(before));
	for (offset = 0; offset < 4096; offset++)
		for (i = 0; i < 4; i++) {
			if (offset + lengths[i] > 4096 || (lengths[i] == 4 && !(offset & 15)))
				continue;
			tap_check(!thv_lapic_mmio_read(&lapic, offset, lengths[i]),
				  "read of %u at %#x is not 0", lengths[i], offset);
			thv_lapic_mmio_write(&lapic, offset, lengths[i], ~0U);
			tap_check(!memcmp(before, lapic.page, sizeof(before)),
				  "write of %u at %#x had an effect", lengths[i], offset);
		}
	tap_check(!atomic_read(&lapic.errors), "errors logged: %#x", atomic_read(&lapic.errors));
	tap_ok(tap_held(), "MMIO of other than 4 bytes at multiples of 16 does nothing");
}

static void test_mmio_illegal(void)
{
	struct thv_lapic lapic;
	u32 offset;
	int write;

	for (offset = 0; offset < 4096; offset += 16)
		for (write = 0; write < 2; write++) {
			bool illegal = offset >= 0x400 || !*expect(offset).xapic;

			ready(&lapic);
			if (write)
				wr(&lapic, offset, 0x50);
			else
				tap_check(!illegal || !rd(&lapic, offset), "%#x reads", offset);
			wr(&lapic, APIC_ESR, 0);
			tap_check(!!(rd(&lapic, APIC_ESR) & APIC_ESR_ILLREGA) == illegal ||
				  (offset == APIC_ESR && write),
				  "offset %#x: ESR %#x", offset, rd(&lapic, APIC_ESR));
		}
	tap_ok(tap_held(), "an access to no register is logged, others are not");
}

static void test_msr_rights(void)
{
	struct thv_lapic lapic;
	u64 value;
	u32 index, offset;

	for (index = 0x800; index < 0x900; index++) {
		offset = (index - 0x800) * 16;
		fresh(&lapic, X2APIC);
		tap_check(ok(thv_lapic_msr_read(&lapic, index, &value)) ==
			  may(expect(offset).x2apic, 'r'), "RDMSR %#x", index);
		tap_check(ok(thv_lapic_msr_write(&lapic, index, 0)) ==
			  may(expect(offset).x2apic, 'w'), "WRMSR %#x", index);
		tap_check(!thv_lapic_msr_direct(index) || may(expect(offset).x2apic, 'r'),
			  "direct %#x", index);
		fresh(&lapic, XAPIC);
		tap_check(thv_lapic_msr_read(&lapic, index, &value) &&
			  thv_lapic_msr_write(&lapic, index, 0), "MSR %#x in xAPIC mode", index);
		fresh(&lapic, DISABLED);
		tap_check(thv_lapic_msr_read(&lapic, index, &value) &&
			  thv_lapic_msr_write(&lapic, index, 0), "MSR %#x, disabled", index);
	}
	tap_ok(tap_held(), "each MSR is there or #GP as in table 11-6; in other modes all are #GP");
	fresh(&lapic, X2APIC);
	tap_ok(thv_lapic_msr_read(&lapic, 0, &value) &&
	       thv_lapic_msr_read(&lapic, 0x10000802, &value) &&
	       thv_lapic_msr_read(&lapic, ~0U, &value) && !thv_lapic_msr_direct(0x7ff),
	       "an index far outside is no register");
	tap_ok(!thv_lapic_msr_direct(0x839) && !thv_lapic_msr_direct(0x80a) &&
	       thv_lapic_msr_direct(0x808), "what is computed is not read from the page");
}

static void test_msr_bits(void)
{
	struct thv_lapic lapic;
	u32 offset, bit;
	u64 after;

	for (offset = 0; offset < 0x400; offset += 16)
		for (bit = 0; bit < 64; bit++) {
			struct expected e = expect(offset);
			u64 value = 1ULL << bit;
			bool legal = value & (e.writable | e.ignored);

			if (!may(e.x2apic, 'w'))
				continue;
			if (offset == 0x300 && bit >= 32)
				legal = true;
			fresh(&lapic, X2APIC);
			enable(&lapic);
			tap_check(ok(wrmsr(&lapic, offset, value)) == legal, "MSR of %#x, bit %u",
				  offset, bit);
			if (!legal || !may(e.x2apic, 'r'))
				continue;
			rdmsr(&lapic, offset, &after);
			tap_check(after == (value & ~(u64)e.ignored), "MSR of %#x, bit %u: %#llx",
				  offset, bit, after);
		}
	tap_ok(tap_held(), "a reserved bit in an x2APIC register is #GP, each other one is kept");
}

static void test_identity(void)
{
	struct thv_lapic lapic;
	u64 value;

	fresh(&lapic, X2APIC);
	rdmsr(&lapic, APIC_ID, &value);
	tap_is(value, ID, "x2APIC id has 32 bits");
	rdmsr(&lapic, APIC_LDR, &value);
	tap_is(value, 2 << 16 | 1 << 3, "x2APIC logical id: cluster 2, bit 3");
}

/* ---- acceptance and priorities ---- */

static void test_post(void)
{
	struct thv_lapic lapic;
	int v;

	for (v = 0; v < 256; v++) {
		ready(&lapic);
		tap_check(thv_lapic_post(&lapic, v, v & 1) == (v >= 16), "vector %d", v);
		tap_check(host.kicks == (v >= 16), "vector %d: %u kicks", v, host.kicks);
		thv_lapic_merge(&lapic);
		tap_check(thv_lapic_highest_irr(&lapic) == (v >= 16 ? v : -1), "vector %d", v);
		tap_check(in(&lapic, APIC_TMR, v) == (v >= 16 && (v & 1)), "TMR of %d", v);
		tap_check(thv_lapic_deliverable(&lapic) == (v >= 16 ? v : -1), "vector %d", v);
	}
	tap_ok(tap_held(), "each legal vector is accepted, with its trigger mode; 0 to 15 are not");

	ready(&lapic);
	thv_lapic_post(&lapic, 0x50, false);
	thv_lapic_post(&lapic, 0x50, false);
	thv_lapic_post(&lapic, 0x60, false);
	tap_is(host.kicks, 1, "one kick until the vCPU has looked");
	thv_lapic_merge(&lapic);
	thv_lapic_post(&lapic, 0x61, false);
	tap_is(host.kicks, 2, "... and another after");

	ready(&lapic);
	thv_lapic_post(&lapic, 0x50, true);
	thv_lapic_merge(&lapic);
	thv_lapic_post(&lapic, 0x50, false);
	thv_lapic_merge(&lapic);
	tap_ok(!in(&lapic, APIC_TMR, 0x50), "an edge after a level clears the TMR bit");
}

/* SDM 11.8.3.1 literally */
static int model_deliverable(int irr, int isr, u32 tpr, u32 *ppr)
{
	u32 isrv = isr < 0 ? 0 : isr;
	u32 class = tpr >> 4 > isrv >> 4 ? tpr >> 4 : isrv >> 4;

	*ppr = class << 4 | (tpr >> 4 >= isrv >> 4 ? tpr & 15 : 0);
	return irr >= 0 && (u32)irr >> 4 > class ? irr : -1;
}

static void test_priorities(void)
{
	struct thv_lapic lapic;
	int irr, isr;
	u32 tpr, ppr;

	ready(&lapic);
	for (isr = 15; isr < 256; isr += 5)
		for (tpr = 0; tpr < 256; tpr += 3)
			for (irr = 15; irr < 256; irr += 3) {
				memset(lapic.page + APIC_ISR, 0, 128);
				memset(lapic.page + APIC_IRR, 0, 128);
				if (isr > 15)
					serve(&lapic, isr, false);
				if (irr > 15)
					thv_lapic_post(&lapic, irr, false);
				thv_lapic_merge(&lapic);
				wr(&lapic, APIC_TASKPRI, tpr);
				tap_check(thv_lapic_deliverable(&lapic) ==
					  model_deliverable(irr > 15 ? irr : -1,
							    isr > 15 ? isr : -1, tpr, &ppr),
					  "IRR %d ISR %d TPR %#x", irr, isr, tpr);
				tap_check(rd(&lapic, APIC_PROCPRI) == ppr, "PPR %#x, not %#x",
					  rd(&lapic, APIC_PROCPRI), ppr);
			}
	tap_ok(tap_held(), "PPR and what is deliverable follow from IRR, ISR and TPR");
}

static void test_cr8(void)
{
	struct thv_lapic lapic;
	u32 cr8;

	for (cr8 = 0; cr8 < 16; cr8++) {
		ready(&lapic);
		wr(&lapic, APIC_TASKPRI, 0xff);
		thv_lapic_set_cr8(&lapic, cr8);
		tap_check(rd(&lapic, APIC_TASKPRI) == cr8 << 4, "CR8 %u", cr8);
		wr(&lapic, APIC_TASKPRI, cr8 << 4 | 7);
		tap_check(thv_lapic_get_cr8(&lapic) == cr8, "CR8 %u", cr8);
	}
	tap_ok(tap_held(), "CR8 is the TPR's class (SDM 11.8.6.1)");
}

static void test_eoi(void)
{
	struct thv_lapic lapic;
	u64 bitmap[4];

	ready(&lapic);
	wr(&lapic, APIC_EOI, 0);
	tap_is(host.eois, 0, "an EOI with nothing in service does nothing");
	serve(&lapic, 0x41, false);
	serve(&lapic, 0x93, true);
	tap_is(thv_lapic_highest_isr(&lapic), 0x93, "two nested in service");
	wr(&lapic, APIC_EOI, 0);
	tap_ok(host.eois == 1 && host.eoi[0x93] == 1, "the EOI of a level-triggered one is told");
	tap_is(thv_lapic_highest_isr(&lapic), 0x41, "... and the outer one is in service again");
	tap_is(rd(&lapic, APIC_PROCPRI), 0x40, "... with its priority");
	wr(&lapic, APIC_EOI, 0x12345678);
	tap_ok(host.eois == 1 && thv_lapic_highest_isr(&lapic) == -1, "an edge's is not told");

	ready(&lapic);
	tap_ok(thv_lapic_eoi_exit_bitmap(&lapic, bitmap) && !bitmap[1],
	       "the EOI bitmap starts empty");
	serve(&lapic, 0x50, false);
	tap_ok(!thv_lapic_eoi_exit_bitmap(&lapic, bitmap), "an edge changes nothing in it");
	thv_lapic_post(&lapic, 0x71, true);
	thv_lapic_merge(&lapic);
	tap_ok(thv_lapic_eoi_exit_bitmap(&lapic, bitmap) && bitmap[1] == 1ULL << 0x31 &&
	       !bitmap[0] && !bitmap[2] && !bitmap[3], "a level does");
	tap_ok(!thv_lapic_eoi_exit_bitmap(&lapic, bitmap), "... and is told once");
	thv_lapic_eoi_induced(&lapic, 0x71);
	thv_lapic_eoi_induced(&lapic, 0x50);
	tap_ok(host.eois == 1 && host.eoi[0x71] == 1 && thv_lapic_highest_isr(&lapic) == 0x50,
	       "an EOI-induced exit tells of a level, and leaves the ISR alone");
}

static void test_software_disabled(void)
{
	struct thv_lapic lapic;
	u32 lvt;

	ready(&lapic);
	for (lvt = APIC_LVTT; lvt <= APIC_LVTERR; lvt += 16)
		wr(&lapic, lvt, 0x40);
	thv_lapic_post(&lapic, 0x55, false);
	thv_lapic_merge(&lapic);
	wr(&lapic, APIC_SPIV, 0xff);
	for (lvt = APIC_LVTT; lvt <= APIC_LVTERR; lvt += 16) {
		tap_check(rd(&lapic, lvt) == 0x10040, "LVT %#x: %#x", lvt, rd(&lapic, lvt));
		wr(&lapic, lvt, 0x41);
		tap_check(rd(&lapic, lvt) == 0x10041, "LVT %#x: %#x", lvt, rd(&lapic, lvt));
	}
	tap_ok(tap_held(), "software-disabled: the LVT is masked and stays so");
	tap_ok(!thv_lapic_post(&lapic, 0x60, false), "... no interrupt is accepted");
	tap_ok(thv_lapic_deliverable(&lapic) == -1 && thv_lapic_highest_irr(&lapic) == -1 &&
	       in(&lapic, APIC_IRR, 0x55), "... what was requested is held");
	enable(&lapic);
	tap_is(thv_lapic_deliverable(&lapic), 0x55, "... until enabled again");
}

static void test_self_ipi(void)
{
	struct thv_lapic lapic;

	fresh(&lapic, X2APIC);
	enable(&lapic);
	thv_lapic_post(&lapic, 0x72, true);
	thv_lapic_merge(&lapic);
	host.kicks = 0;
	tap_ok(!wrmsr(&lapic, APIC_SELF_IPI, 0x72) && thv_lapic_deliverable(&lapic) == 0x72 &&
	       !in(&lapic, APIC_TMR, 0x72), "a self-IPI is requested at once, as an edge");
	tap_ok(host.kicks == 0 && host.looks, "... without a kick");
	wrmsr(&lapic, APIC_SPIV, 0xff);
	wrmsr(&lapic, APIC_SELF_IPI, 0x73);
	tap_ok(!in(&lapic, APIC_IRR, 0x73), "... and not while software-disabled");
}

/* ---- errors ---- */

static u32 latched(struct thv_lapic *lapic)
{
	wr(lapic, APIC_ESR, 0);
	return rd(lapic, APIC_ESR);
}

static void test_errors(void)
{
	struct thv_lapic lapic;
	u64 value;

	ready(&lapic);
	thv_lapic_post(&lapic, 3, false);
	tap_is(rd(&lapic, APIC_ESR), 0, "an error is not seen before the ESR is written");
	tap_is(latched(&lapic), APIC_ESR_RECVILL, "... then it is: illegal vector received");
	tap_is(rd(&lapic, APIC_ESR), APIC_ESR_RECVILL, "... and stays");
	tap_is(latched(&lapic), 0, "... until the ESR is written again");
	wr(&lapic, APIC_ICR, APIC_DM_FIXED | 5);
	tap_ok(latched(&lapic) == APIC_ESR_SENDILL && !host.ipis, "an illegal vector is not sent");
	wr(&lapic, APIC_ICR, APIC_DM_NMI | 5);
	tap_ok(!latched(&lapic) && host.ipis == 1, "... an NMI has none");

	wr(&lapic, APIC_LVTERR, 0x33);
	thv_lapic_post(&lapic, 3, false);
	thv_lapic_post(&lapic, 4, false);
	thv_lapic_merge(&lapic);
	tap_is(thv_lapic_deliverable(&lapic), 0x33, "an error raises the error interrupt");
	thv_lapic_accept(&lapic, 0x33);
	thv_lapic_post(&lapic, 5, false);
	thv_lapic_merge(&lapic);
	tap_is(thv_lapic_highest_irr(&lapic), -1, "... one already logged does not");
	wr(&lapic, APIC_LVTERR, 0x01);
	latched(&lapic);
	wr(&lapic, APIC_ICR, 2);
	tap_is(latched(&lapic), APIC_ESR_SENDILL | APIC_ESR_RECVILL,
	       "an error interrupt of illegal vector is one more error, and no more");

	fresh(&lapic, X2APIC);
	enable(&lapic);
	wrmsr(&lapic, APIC_SELF_IPI, 9);
	tap_ok(wrmsr(&lapic, APIC_ESR, 1), "in x2APIC mode the ESR takes zero only");
	wrmsr(&lapic, APIC_ESR, 0);
	rdmsr(&lapic, APIC_ESR, &value);
	tap_is(value, APIC_ESR_SENDILL | APIC_ESR_RECVILL, "an illegal self-IPI is both errors");
}

/* ---- the timer ---- */

#define VECTOR	0xec

static u64 expiries(struct thv_lapic *lapic, u64 ns)
{
	host.fired = 0;
	pass(lapic, ns);
	return host.fired;
}

static bool raised(struct thv_lapic *lapic)
{
	bool yes;

	thv_lapic_merge(lapic);
	yes = in(lapic, APIC_IRR, VECTOR);
	memset(lapic->page + APIC_IRR, 0, 128);
	return yes;
}

static void timer(struct thv_lapic *lapic, u32 mode, u32 divide, u32 count)
{
	ready(lapic);
	wr(lapic, APIC_TDCR, divide);
	wr(lapic, APIC_LVTT, mode | VECTOR);
	wr(lapic, APIC_TMICT, count);
}

static void test_one_shot(void)
{
	static const struct { u32 tdcr, divisor; } divide[] = {
		{ 0x0, 2 }, { 0x1, 4 }, { 0x2, 8 }, { 0x3, 16 },
		{ 0x8, 32 }, { 0x9, 64 }, { 0xa, 128 }, { 0xb, 1 },
	};
	struct thv_lapic lapic;
	int i;

	for (i = 0; i < 8; i++) {
		u64 ns = 1000ULL * divide[i].divisor;

		timer(&lapic, APIC_LVT_TIMER_ONESHOT, divide[i].tdcr, 1000);
		tap_check(rd(&lapic, APIC_TMCCT) == 1000, "divisor %u: starts", divide[i].divisor);
		pass(&lapic, ns / 4);
		tap_check(rd(&lapic, APIC_TMCCT) == 750, "divisor %u: %u", divide[i].divisor,
			  rd(&lapic, APIC_TMCCT));
		pass(&lapic, ns - ns / 4 - 1);
		tap_check(rd(&lapic, APIC_TMCCT) == 1 && !raised(&lapic), "divisor %u: early",
			  divide[i].divisor);
		pass(&lapic, 1);
		tap_check(rd(&lapic, APIC_TMCCT) == 0 && raised(&lapic), "divisor %u: due",
			  divide[i].divisor);
		tap_check(!expiries(&lapic, 10 * ns), "divisor %u: again", divide[i].divisor);
	}
	tap_ok(tap_held(), "one-shot: with each divisor it counts down, goes off once, reads 0");

	timer(&lapic, APIC_LVT_TIMER_ONESHOT, 0xb, 1000);
	wr(&lapic, APIC_TMICT, 0);
	tap_is(expiries(&lapic, 10000), 0, "an initial count of 0 stops it");
	timer(&lapic, APIC_LVT_TIMER_ONESHOT | APIC_LVT_MASKED, 0xb, 1000);
	tap_ok(expiries(&lapic, 10000) == 1 && !raised(&lapic), "masked, it counts but is silent");
	timer(&lapic, APIC_LVT_TIMER_ONESHOT, 0xa, ~0U);
	tap_is(host.timer - host.now, 0xffffffffULL * 128, "the longest count does not overflow");
}

static void test_periodic(void)
{
	struct thv_lapic lapic;
	int i;

	timer(&lapic, APIC_LVT_TIMER_PERIODIC, 0xb, 1000000);
	for (i = 1; i <= 5; i++) {
		pass(&lapic, 999999);
		tap_check(rd(&lapic, APIC_TMCCT) == 1 && !raised(&lapic), "period %d: early", i);
		pass(&lapic, 1);
		tap_check(rd(&lapic, APIC_TMCCT) == 1000000 && raised(&lapic), "period %d", i);
	}
	tap_ok(tap_held(), "periodic: it goes off again and again, without drift");

	host.now += 10500000;	/* the host was away */
	pass(&lapic, 0);
	tap_ok(host.timer == 16000000 + 1000000 && raised(&lapic),
	       "late by ten periods, it goes on in step");

	for (i = 0; i < 20; i++) {
		timer(&lapic, APIC_LVT_TIMER_PERIODIC, 0xb, 1U << i);
		tap_check(expiries(&lapic, 1000000000) <= 1000000000 / THV_LAPIC_MIN_PERIOD + 1,
			  "count %u: %llu", 1U << i, (unsigned long long)host.fired);
		tap_check(rd(&lapic, APIC_TMCCT) <= 1U << i, "count above the initial one");
	}
	tap_ok(tap_held(), "the tiniest period is no storm: at most 5000 a second");
}

static void test_timer_modes(void)
{
	struct thv_lapic lapic;

	timer(&lapic, APIC_LVT_TIMER_ONESHOT, 0xb, 1000000);
	pass(&lapic, 400000);
	wr(&lapic, APIC_LVTT, APIC_LVT_TIMER_PERIODIC | VECTOR);
	tap_is(rd(&lapic, APIC_TMCCT), 600000, "one-shot to periodic: the count goes on");
	tap_is(expiries(&lapic, 600000 + 3000000), 4, "... and repeats");
	pass(&lapic, 300000);
	wr(&lapic, APIC_LVTT, APIC_LVT_TIMER_ONESHOT | VECTOR);
	tap_ok(rd(&lapic, APIC_TMCCT) == 700000 && expiries(&lapic, 9000000) == 1,
	       "periodic to one-shot likewise");
	wr(&lapic, APIC_LVTT, APIC_LVT_TIMER_PERIODIC | VECTOR);
	tap_is(expiries(&lapic, 9000000), 0, "one that has gone off does not start again by that");

	timer(&lapic, APIC_LVT_TIMER_PERIODIC, 0xb, 1000000);
	wr(&lapic, APIC_LVTT, APIC_LVT_TIMER_TSCDEADLINE | VECTOR);
	tap_ok(!host.timer && !rd(&lapic, APIC_TMICT) && !rd(&lapic, APIC_TMCCT),
	       "to TSC-deadline: disarmed");
	wr(&lapic, APIC_TMICT, 1000);
	tap_ok(!host.timer && !rd(&lapic, APIC_TMICT), "... where the initial count is ignored");
	thv_lapic_set_tsc_deadline(&lapic, host.tsc + 1000000);
	wr(&lapic, APIC_LVTT, APIC_LVT_TIMER_ONESHOT | VECTOR);
	tap_ok(!host.timer && !thv_lapic_get_tsc_deadline(&lapic), "and back: disarmed");
	thv_lapic_set_tsc_deadline(&lapic, host.tsc + 1000000);
	tap_ok(!host.timer && !thv_lapic_get_tsc_deadline(&lapic), "... the MSR is ignored there");
	wr(&lapic, APIC_LVTT, 3U << 17 | VECTOR);
	wr(&lapic, APIC_TMICT, 1000);
	tap_ok(!host.timer, "the reserved mode counts nothing");

	timer(&lapic, APIC_LVT_TIMER_ONESHOT, 0xb, 1000000);
	pass(&lapic, 250000);
	wr(&lapic, APIC_TDCR, 0x1);
	tap_ok(rd(&lapic, APIC_TMCCT) == 750000 && host.timer - host.now == 3000000,
	       "a new divisor: the count goes on at the new pace");
}

static void test_tsc_deadline(void)
{
	struct thv_lapic lapic;

	timer(&lapic, APIC_LVT_TIMER_TSCDEADLINE, 0, 0);
	thv_lapic_set_tsc_deadline(&lapic, host.tsc + 2500001);
	tap_is(thv_lapic_get_tsc_deadline(&lapic), host.tsc + 2500001, "TSC deadline: reads back");
	pass(&lapic, 1000000);
	tap_ok(!raised(&lapic) && host.timer, "... not before its time");
	pass(&lapic, 1);
	tap_ok(raised(&lapic) && !thv_lapic_get_tsc_deadline(&lapic), "... goes off, reads 0");
	tap_is(expiries(&lapic, 100000000), 0, "... once");

	thv_lapic_set_tsc_deadline(&lapic, 1);
	pass(&lapic, 0);
	tap_ok(raised(&lapic), "one in the past goes off at once");
	thv_lapic_set_tsc_deadline(&lapic, host.tsc + 1000);
	thv_lapic_set_tsc_deadline(&lapic, 0);
	tap_is(expiries(&lapic, 1000000), 0, "0 disarms");

	thv_lapic_set_tsc_deadline(&lapic, ~0ULL);
	tap_ok(host.timer > host.now && host.timer < 1ULL << 62,
	       "the last deadline does not overflow");
	thv_lapic_set_tsc_deadline(&lapic, host.tsc + 2500000);
	host.tsc -= 1250000;	/* the host's clock ran ahead */
	pass(&lapic, 1000000);
	tap_ok(!raised(&lapic) && host.timer, "a host clock that runs fast makes it no earlier");
	pass(&lapic, 500000);
	tap_ok(raised(&lapic), "... it comes in the guest's time");

	thv_lapic_set_tsc_deadline(&lapic, host.tsc + 2500000);
	host.tsc += 2500000 - 250;
	thv_lapic_tsc_changed(&lapic);
	pass(&lapic, 100);
	tap_ok(raised(&lapic), "a TSC that jumps takes it along");
}

/* The processor watches it, in place of the host's timer */
static void test_watched_deadline(void)
{
	struct thv_lapic lapic;

	timer(&lapic, APIC_LVT_TIMER_TSCDEADLINE, 0, 0);
	host.watches = true;
	thv_lapic_set_tsc_deadline(&lapic, host.tsc + 2500000);
	tap_ok(lapic.watched && !host.timer, "a deadline that is watched needs no timer of the host's");
	host.tsc += 2499999;
	tap_ok(!thv_lapic_deadline_reached(&lapic) && !raised(&lapic), "... is not reached before its time");
	host.tsc++;
	host.looks = 0;
	tap_ok(thv_lapic_deadline_reached(&lapic) && raised(&lapic), "... is reached");
	tap_ok(!lapic.watched && !thv_lapic_get_tsc_deadline(&lapic), "... once");
	tap_ok(host.looks == 1 && !host.kicks, "... and nobody is kicked for it");

	thv_lapic_set_tsc_deadline(&lapic, host.tsc + 2500000);
	thv_lapic_asleep(&lapic);
	tap_ok(!lapic.watched && host.timer == host.now + 1000000, "who sleeps is woken by the host's timer");
	pass(&lapic, 1000000);
	tap_ok(raised(&lapic), "... in time");
	thv_lapic_set_tsc_deadline(&lapic, 1);
	thv_lapic_asleep(&lapic);
	pass(&lapic, 0);
	tap_ok(raised(&lapic), "... and at once if it had passed");
	thv_lapic_asleep(&lapic);
	tap_ok(!host.timer, "without a deadline there is no timer");

	thv_lapic_set_tsc_deadline(&lapic, host.tsc + 1000);
	thv_lapic_set_tsc_deadline(&lapic, 0);
	tap_ok(!lapic.watched, "0 ends the watch");
	thv_lapic_set_tsc_deadline(&lapic, host.tsc + 1000);
	wr(&lapic, APIC_LVTT, VECTOR);
	tap_ok(!lapic.watched, "so does another mode");
	wr(&lapic, APIC_LVTT, APIC_LVT_TIMER_TSCDEADLINE | APIC_LVT_MASKED | VECTOR);
	thv_lapic_set_tsc_deadline(&lapic, 1);
	tap_ok(thv_lapic_deadline_reached(&lapic) && !raised(&lapic), "masked: it passes in silence");
	wr(&lapic, APIC_LVTT, APIC_LVT_TIMER_TSCDEADLINE | 5);
	thv_lapic_set_tsc_deadline(&lapic, 1);
	thv_lapic_deadline_reached(&lapic);
	tap_is(atomic_read(&lapic.errors), APIC_ESR_RECVILL, "an illegal vector is an error");
}

static void test_cycles(void)
{
	static const u32 khz[] = { 1, 3, 999, 1000000, 2500000, 4294967295U };
	int i, j;

	for (i = 0; i < 6; i++)
		for (j = 0; j < 64; j++) {
			u64 cycles = (1ULL << j) + (chance() & ((1ULL << j) - 1));
			__uint128_t exact = (__uint128_t)cycles * 1000000;
			u64 ns = thv_lapic_cycles_to_ns(cycles, khz[i]);

			exact = (exact + khz[i] - 1) / khz[i];
			if (exact > (1ULL << 40) * 1000000)
				exact = (1ULL << 40) * 1000000;
			tap_check(ns == (u64)exact, "%llu cycles at %u kHz: %llu, not %llu",
				  (unsigned long long)cycles, khz[i], (unsigned long long)ns,
				  (unsigned long long)exact);
		}
	tap_ok(tap_held(), "cycles to ns: exact, rounded up, and bounded, for each power of two");
}

/* ---- modes ---- */

static void test_base(void)
{
	static const u64 bases[] = { DISABLED, XAPIC, X2APIC, DISABLED | X2APIC_ENABLE };
	static const char allowed[3][4] = {	/* from, to: SDM figure 11-27 */
		{ 1, 1, 0, 0 },
		{ 1, 1, 1, 0 },
		{ 1, 0, 1, 0 },
	};
	struct thv_lapic lapic;
	int from, to, bit;

	for (from = 0; from < 3; from++)
		for (to = 0; to < 4; to++) {
			fresh(&lapic, bases[from]);
			host.modes = 0;
			tap_check(ok(thv_lapic_set_base(&lapic, bases[to])) == allowed[from][to],
				  "from %#llx to %#llx", bases[from], bases[to]);
			tap_check(lapic.base == bases[allowed[from][to] ? to : from], "base %#llx",
				  lapic.base);
			tap_check(host.modes == (allowed[from][to] && from != to), "told %u times",
				  host.modes);
		}
	tap_ok(tap_held(), "IA32_APIC_BASE: transitions as in SDM 11.12.5, others #GP");
	for (bit = 0; bit < 64; bit++) {
		fresh(&lapic, XAPIC);
		tap_check(ok(thv_lapic_set_base(&lapic, XAPIC ^ 1ULL << bit)) ==
			  (bit == 8 || bit == 10 || bit == 11), "bit %d", bit);
	}
	tap_ok(tap_held(), "IA32_APIC_BASE: reserved bits and other addresses are #GP");
}

static void test_mode_contents(void)
{
	struct thv_lapic lapic;
	u64 value;

	ready(&lapic);
	wr(&lapic, APIC_TASKPRI, 0x35);
	wr(&lapic, APIC_ICR2, 0xaa000000);
	wr(&lapic, APIC_LVT0, 0x700);
	thv_lapic_post(&lapic, 0x66, true);
	thv_lapic_merge(&lapic);
	thv_lapic_set_base(&lapic, X2APIC);
	rdmsr(&lapic, APIC_TASKPRI, &value);
	tap_is(value, 0x35, "xAPIC to x2APIC: the TPR is kept");
	rdmsr(&lapic, APIC_LVT0, &value);
	tap_is(value, 0x700, "... the LVT too");
	tap_is(thv_lapic_deliverable(&lapic), 0x66, "... and what is requested");
	rdmsr(&lapic, APIC_ICR, &value);
	tap_is(value, 0, "... the ICR's destination is not");

	wrmsr(&lapic, APIC_LVTT, VECTOR);
	wrmsr(&lapic, APIC_TMICT, 100000);
	thv_lapic_set_base(&lapic, DISABLED);
	tap_ok(!host.timer && !thv_lapic_post(&lapic, 0x50, false) &&
	       thv_lapic_deliverable(&lapic) == -1 && thv_lapic_get_cr8(&lapic) == 0,
	       "disabled: no timer, nothing accepted, nothing kept");
	thv_lapic_set_base(&lapic, XAPIC);
	tap_ok(rd(&lapic, APIC_SPIV) == 0xff && rd(&lapic, APIC_LVT0) == 0x10000 &&
	       rd(&lapic, APIC_ID) == ID << 24 && rd(&lapic, APIC_LDR) == 0,
	       "enabled again: as after power-up");
}

static void test_init(void)
{
	struct thv_lapic lapic;
	u64 value;

	fresh(&lapic, X2APIC);
	enable(&lapic);
	wrmsr(&lapic, APIC_TASKPRI, 0x20);
	wrmsr(&lapic, APIC_LVTT, VECTOR);
	wrmsr(&lapic, APIC_TMICT, 100000);
	thv_lapic_post(&lapic, 0x77, false);
	thv_lapic_post(&lapic, 7, false);
	host.modes = 0;
	thv_lapic_reset(&lapic, true);
	thv_lapic_merge(&lapic);
	rdmsr(&lapic, APIC_LDR, &value);
	tap_ok(lapic.base == X2APIC && value == (2 << 16 | 1 << 3) && !host.modes,
	       "INIT leaves the mode and the ids");
	rdmsr(&lapic, APIC_SPIV, &value);
	tap_ok(value == 0xff && !host.timer && !in(&lapic, APIC_IRR, 0x77) &&
	       !thv_lapic_get_cr8(&lapic) && !atomic_read(&lapic.errors), "... and nothing else");
	thv_lapic_reset(&lapic, false);
	tap_ok(lapic.base == XAPIC && host.modes == 1 && rd(&lapic, APIC_ID) == ID << 24,
	       "power-up goes back to xAPIC mode");
}

/* ---- messages ---- */

static void test_icr(void)
{
	struct thv_lapic lapic;
	u32 i;

	for (i = 0; i < 1 << 20; i += 256 + 17) {
		u32 mode = i >> 8 & 7, vector = i & 0xff;
		bool init_deassert = mode == 5 && (i & 0xc000) == 0x8000;
		bool illegal = mode < 2 && vector < 16;

		ready(&lapic);
		wr(&lapic, APIC_ICR2, 0x5a000000);
		wr(&lapic, APIC_ICR, i);
		tap_check(host.ipis == !illegal, "ICR %#x: %u sent", i, host.ipis);
		if (illegal)
			continue;
		tap_check(host.ipi.destination == 0x5a && host.ipi.vector == vector &&
			  host.ipi.delivery == mode && host.ipi.shorthand == i >> 18 &&
			  host.ipi.logical == (i >> 11 & 1) && !host.ipi.wide && !host.ipi.level &&
			  host.ipi.deassert == init_deassert, "ICR %#x", i);
		tap_check(rd(&lapic, APIC_ICR) == (i & 0xccfff), "ICR %#x reads %#x", i,
			  rd(&lapic, APIC_ICR));
	}
	tap_ok(tap_held(), "an ICR write sends what it says");
	fresh(&lapic, X2APIC);
	wrmsr(&lapic, APIC_ICR, 0x1234567800000050ULL);
	tap_ok(host.ipi.destination == 0x12345678 && host.ipi.wide, "x2APIC: to 32 bits");
}

static int decode(u64 address, u32 data, struct thv_lapic_message *message)
{
	struct thv_msi msi = { .address = address, .data = data };

	return thv_lapic_decode_msi(&msi, message);
}

static void test_msi(void)
{
	struct thv_lapic_message m;
	struct thv_msi odd = { .address = 0xfee00000, .data = 0x40, .reserved = 1 };
	int bit, mode;

	tap_ok(!decode(0xfee34000, 0x40, &m) && m.destination == 0x34 && m.vector == 0x40 &&
	       m.delivery == THV_DELIVER_FIXED && !m.logical && !m.wide && !m.level && !m.deassert,
	       "a plain MSI");
	tap_ok(!decode(0xfee34004, 0xc040, &m) && m.logical && m.level && !m.deassert,
	       "logical, level-triggered");
	tap_ok(!decode(0xfee34000, 0x8040, &m) && m.deassert, "a level that is taken away");
	tap_ok(!decode(0xfee3400c, 0x40, &m) && m.delivery == THV_DELIVER_LOWEST,
	       "redirection hint: to the one of lowest priority");
	tap_ok(!decode(0xfee3400c, 0x400, &m) && m.delivery == THV_DELIVER_NMI,
	       "... but for an NMI to all it names");
	tap_ok(!decode(0x12345600fee78000, 0x40, &m) && m.destination == 0x12345678 && m.wide,
	       "a destination of 32 bits");
	for (bit = 20; bit < 40; bit++)
		tap_check(decode(0xfee00000 ^ 1ULL << bit, 0x40, &m) == -EINVAL, "bit %d", bit);
	tap_ok(tap_held(), "another address is no MSI");
	for (mode = 0; mode < 8; mode++)
		tap_check(ok(decode(0xfee00000, mode << 8 | 0x40, &m)) == (mode != 3 && mode != 6),
			  "mode %d", mode);
	tap_ok(tap_held(), "the reserved delivery modes are refused");
	tap_is(thv_lapic_decode_msi(&odd, &m), -EINVAL, "a reserved field is refused");
}

static bool reaches(const struct thv_lapic *lapic, u32 destination, bool logical, bool wide)
{
	struct thv_lapic_message m = {
		.destination = destination, .logical = logical, .wide = wide,
	};

	return thv_lapic_matches(lapic, &m);
}

static void test_destinations(void)
{
	struct thv_lapic lapic;
	u32 d, ldr;

	ready(&lapic);
	for (d = 0; d < 256; d++)
		tap_check(reaches(&lapic, d, false, false) == (d == ID || d == 0xff), "id %#x", d);
	tap_ok(tap_held(), "physical: its id, or all ones");
	for (ldr = 0; ldr < 256; ldr += 5) {
		wr(&lapic, APIC_LDR, ldr << 24);
		for (d = 0; d < 256; d++) {
			wr(&lapic, APIC_DFR, 0xffffffff);
			tap_check(reaches(&lapic, d, true, false) == ((d & ldr) || d == 0xff),
				  "flat %#x, LDR %#x", d, ldr);
			wr(&lapic, APIC_DFR, 0x0fffffff);
			tap_check(reaches(&lapic, d, true, false) ==
				  ((d >> 4 == ldr >> 4 && (d & ldr & 15)) || d == 0xff),
				  "cluster %#x, LDR %#x", d, ldr);
		}
	}
	tap_ok(tap_held(), "logical: flat and cluster model");
	wr(&lapic, APIC_DFR, 0xffffffff);
	tap_ok(!reaches(&lapic, 0x100 | ID, false, true) && !reaches(&lapic, 0xff, false, true) &&
	       reaches(&lapic, ~0U, false, true) && !reaches(&lapic, 0x1ff, true, true),
	       "32-bit destinations: 0xff is not all ones");

	fresh(&lapic, X2APIC);
	for (d = 0; d < 1 << 20; d += 7)
		tap_check(reaches(&lapic, d, true, true) == (d >> 16 == 2 && (d & 8)), "%#x", d);
	tap_check(reaches(&lapic, 0x20008, true, true), "its own");
	tap_ok(tap_held(), "logical in x2APIC mode: cluster and bit from the id");
	fresh(&lapic, DISABLED);
	tap_ok(!reaches(&lapic, ID, false, false) && !reaches(&lapic, ~0U, false, true),
	       "a disabled APIC hears nothing");
}

static void test_arbitration(void)
{
	struct thv_lapic apic[3];
	int won[3] = { 0 }, i, round;

	for (i = 0; i < 3; i++) {
		new_apic(&apic[i], i, i);
		atomic_set(&apic[i].arbitration, -50);	/* across the wrap */
	}
	for (round = 0; round < 300; round++) {
		int best = 0;

		for (i = 1; i < 3; i++)
			if (thv_lapic_arbitrate(&apic[i], &apic[best]))
				best = i;
		atomic_inc(&apic[best].arbitration);
		won[best]++;
	}
	tap_ok(won[0] == 100 && won[1] == 100 && won[2] == 100, "arbitration is fair");
	thv_lapic_set_cr8(&apic[0], 3);
	tap_ok(thv_lapic_arbitrate(&apic[1], &apic[0]) && !thv_lapic_arbitrate(&apic[0], &apic[1]),
	       "the lower task priority wins");
}

/* ---- state ---- */

static u32 *word(struct thv_apic *state, u32 offset)
{
	return (u32 *)(state->regs + offset);
}

/* Something happens to it; not what a guest cannot do */
static void anything(struct thv_lapic *lapic)
{
	static const u32 values[] = { 0, ~0U, 0x10000, 0x200ec, 0x400ec, 0x1ff, 0xb, 0x40 };
	u32 offset = chance() % 0x40 * 16;
	u32 value = chance() & 1 ? (u32)chance() : values[chance() % ARRAY_SIZE(values)];
	int vector;

	switch (chance() % 10) {
	case 0 ... 2:
		if (thv_lapic_is_xapic(lapic))
			wr(lapic, offset, value);
		else if (thv_lapic_is_x2apic(lapic))
			wrmsr(lapic, offset, value & (chance() & 1 ? ~0U : 0x700ff));
		break;
	case 3:
		thv_lapic_post(lapic, chance(), chance() & 1);
		break;
	case 4:
		thv_lapic_merge(lapic);
		vector = thv_lapic_deliverable(lapic);
		if (vector >= 0)
			thv_lapic_accept(lapic, vector);
		break;
	case 5:
		thv_lapic_eoi(lapic);
		break;
	case 6:
		thv_lapic_set_tsc_deadline(lapic, host.tsc + chance() % 10000000);
		break;
	case 7:
		pass(lapic, chance() % 1000000);
		break;
	case 8:
		if (!(chance() % 8))
			thv_lapic_set_base(lapic, chance() & 1 ? XAPIC : X2APIC);
		else if (!(chance() % 16))
			thv_lapic_set_base(lapic, DISABLED);
		else if (!(chance() % 32))
			thv_lapic_reset(lapic, chance() & 1);
		break;
	case 9:
		if (thv_lapic_enabled(lapic))
			enable(lapic);
	}
}

/* One in service at most of a class, none below 16, and the PPR is theirs */
static bool consistent(struct thv_lapic *lapic)
{
	int class, v, n;
	u32 ppr;

	for (class = 0; class < 16; class++) {
		for (v = class * 16, n = 0; v < class * 16 + 16; v++)
			n += in(lapic, APIC_ISR, v);
		if (n > (class ? 1 : 0))
			return false;
	}
	if (*(u32 *)(lapic->page + APIC_IRR) & 0xffff)
		return false;
	model_deliverable(-1, thv_lapic_highest_isr(lapic),
			  *(u32 *)(lapic->page + APIC_TASKPRI), &ppr);
	return *(u32 *)(lapic->page + APIC_PROCPRI) == ppr;
}

static void test_state(void)
{
	struct thv_apic first, second;
	struct thv_lapic lapic, copy;
	struct host saved;
	int i, j;

	fresh(&lapic, XAPIC);
	for (i = 0; i < 20000; i++) {
		for (j = 0; j < 10; j++)
			anything(&lapic);
		tap_check(consistent(&lapic), "round %d: ISR or PPR is impossible", i);
		memset(&first, 0xa5, sizeof(first));
		thv_lapic_get(&lapic, &first);
		saved = host;
		new_apic(&copy, 1, ID);
		host.timer = 0;
		tap_check(!thv_lapic_set(&copy, &first), "round %d: its own state is refused", i);
		thv_lapic_get(&copy, &second);
		tap_check(!memcmp(&first, &second, sizeof(first)), "round %d: state differs", i);
		tap_check(first.tsc_deadline ? host.timer : host.timer == saved.timer,
			  "round %d: timer at %llu, not %llu", i, (unsigned long long)host.timer,
			  (unsigned long long)saved.timer);
		host = saved;
	}
	tap_ok(tap_held(), "what get gives, set takes, and then get gives the same");
}

/* Whatever set takes is a state get can give; and what it refuses changes nothing */
static void test_state_mutated(void)
{
	struct thv_apic good, bad, after;
	struct thv_lapic lapic;
	unsigned int taken = 0;
	int i, bit;

	for (i = 0; i < 200000; i++) {
		u32 *r = (u32 *)bad.regs;

		if (!(i % 100)) {
			fresh(&lapic, i % 200 ? XAPIC : X2APIC);
			enable(&lapic);
			for (bit = 0; bit < 50; bit++)
				anything(&lapic);
		}
		thv_lapic_get(&lapic, &good);
		bad = good;
		bit = chance() % (sizeof(bad) * 8);
		if (chance() & 1)
			bit = (32 + chance() % 64 * 16) * 8 + chance() % 32;
		((u8 *)&bad)[bit / 8] ^= 1 << bit % 8;
		if (!thv_lapic_set(&lapic, &bad)) {
			taken++;
			tap_check(consistent(&lapic), "bit %#x: impossible ISR or PPR", bit);
			r[APIC_PROCPRI / 4] = 0;
			r[APIC_TMCCT / 4] = 0;
			thv_lapic_get(&lapic, &after);
			*word(&after, APIC_PROCPRI) = 0;
			*word(&after, APIC_TMCCT) = 0;
			tap_check(!memcmp(&after, &bad, sizeof(bad)) || bad.tsc_deadline,
				  "bit %#x is taken but not kept", bit);
		} else {
			thv_lapic_get(&lapic, &after);
			tap_check(!memcmp(&after, &good, sizeof(good)),
				  "bit %#x is refused but changes", bit);
		}
	}
	tap_ok(tap_held() && taken > 1000, "a flipped bit is refused without effect, or kept");
}

static void test_state_refusals(void)
{
	struct thv_apic good, bad;
	struct thv_lapic lapic;

#define REFUSED(what, ...) do {						\
		bad = good;						\
		what;							\
		tap_is(thv_lapic_set(&lapic, &bad), -EINVAL, "set refuses " __VA_ARGS__); \
	} while (0)

	timer(&lapic, APIC_LVT_TIMER_ONESHOT, 0xb, 1000);
	thv_lapic_get(&lapic, &good);
	thv_lapic_post(&lapic, 0x61, false);
	thv_lapic_get(&lapic, &bad);
	tap_is(*word(&bad, APIC_IRR + 0x30), 2, "get counts what was posted as requested");
	thv_lapic_post(&lapic, 0x62, false);
	tap_check(!thv_lapic_set(&lapic, &good), "good is refused");
	thv_lapic_merge(&lapic);
	tap_is(thv_lapic_highest_irr(&lapic), -1, "set drops what was posted before");
	tap_is(good.timer_remaining, 1000, "get tells what remains of the count");
	REFUSED(bad.base = 0xfee01000 | MSR_IA32_APICBASE_ENABLE, "another address");
	REFUSED(bad.base = DISABLED | X2APIC_ENABLE, "x2APIC without enable");
	REFUSED(bad.base = X2APIC, "x2APIC with an xAPIC id");
	REFUSED(bad.reserved = 1, "a reserved field");
	REFUSED(*word(&bad, APIC_ID) = 0, "another id");
	REFUSED(*word(&bad, APIC_LVR) = 0, "another version");
	REFUSED(*word(&bad, APIC_IRR) = 0x8000, "a request below 16");
	REFUSED(*word(&bad, APIC_ISR) = 1, "service below 16");
	REFUSED(*word(&bad, APIC_ISR + 0x20) = 3, "two in service in one class");
	REFUSED(*word(&bad, APIC_SPIV) = 0xff, "an unmasked LVT of a disabled APIC");
	REFUSED(*word(&bad, APIC_SELF_IPI) = 0x40, "a self-IPI");
	REFUSED(*word(&bad, APIC_ESR) = 0x10, "an error there is not");
	REFUSED(*word(&bad, 0x40) = 1, "a register there is not");
	REFUSED(*word(&bad, APIC_TASKPRI + 8) = 1, "something between registers");
	REFUSED(bad.timer_remaining = 1001, "more to count than the initial count");
	REFUSED(*word(&bad, APIC_TMICT) = 0, "a running timer without a count");
	REFUSED(bad.tsc_deadline = 1, "a TSC deadline in another mode");
	REFUSED(*word(&bad, APIC_LVTT) = APIC_LVT_TIMER_TSCDEADLINE, "a count with a deadline");
}

/* The processor's way: the value in the page first, then the exit */
static void test_write_trap(void)
{
	struct thv_apic by_mmio, by_trap;
	struct thv_lapic one, other;
	struct host before, after;
	int i;

	ready(&one);
	new_apic(&other, 1, ID);
	for (i = 0; i < 100000; i++) {
		u32 offset = expected[chance() % ARRAY_SIZE(expected)].offset;
		u32 value = chance();

		if (!may(expect(offset).xapic, 'w'))
			continue;
		if (chance() & 1)
			value &= 0x701ff;
		if (!(i % 64))
			enable(&one);
		if (!(i % 16))
			thv_lapic_post(&one, chance(), chance() & 1);
		thv_lapic_get(&one, &by_mmio);
		host.timer = 0;
		thv_lapic_set(&other, &by_mmio);
		before = host;
		wr(&one, offset, value);
		after = host;
		host = before;
		*(u32 *)(other.page + offset) = value;
		thv_lapic_write_trap(&other, offset);
		tap_check(host.timer == after.timer && host.ipis == after.ipis &&
			  host.eois == after.eois, "%#x, %#x: another effect", offset, value);
		thv_lapic_get(&one, &by_mmio);
		thv_lapic_get(&other, &by_trap);
		tap_check(!memcmp(&by_mmio, &by_trap, sizeof(by_mmio)),
			  "%#x, %#x: another state", offset, value);
		host.now += chance() % 1000;
	}
	tap_ok(tap_held(), "a trapped write does what the write would have done");
}

/* ---- random operations against three sets of vectors ---- */

static struct {
	bool irr[256], isr[256], tmr[256], posted[256], level[256];
	u32 tpr;
	bool enabled;
} model;

static int top(const bool *set)
{
	int v;

	for (v = 255; v >= 0 && !set[v]; v--)
		;
	return v;
}

static void model_merge(void)
{
	int v;

	for (v = 0; v < 256; v++)
		if (model.posted[v]) {
			model.irr[v] = true;
			model.tmr[v] = model.level[v];
			model.posted[v] = false;
		}
}

static void step(struct thv_lapic *lapic)
{
	int v = chance() & 0xff, due;
	bool level = chance() & 1;
	u32 ppr;

	switch (chance() % 8) {
	case 0 ... 1:
		thv_lapic_post(lapic, v, level);
		if (model.enabled && v >= 16) {
			model.posted[v] = true;
			model.level[v] = level;
		}
		break;
	case 2 ... 3:
		thv_lapic_merge(lapic);
		model_merge();
		due = model_deliverable(model.enabled ? top(model.irr) : -1, top(model.isr),
					model.tpr, &ppr);
		tap_check(thv_lapic_deliverable(lapic) == due, "deliverable: %d, not %d",
			  thv_lapic_deliverable(lapic), due);
		if (due < 0)
			break;
		thv_lapic_accept(lapic, due);
		model.irr[due] = false;
		model.isr[due] = true;
		break;
	case 4 ... 5:
		due = top(model.isr);
		host.eois = 0;
		thv_lapic_eoi(lapic);
		tap_check(host.eois == (due >= 0 && model.tmr[due]), "EOI of %d: %u told", due,
			  host.eois);
		if (due >= 0)
			model.isr[due] = false;
		break;
	case 6:
		model.tpr = chance() & 1 ? chance() & 0x7f : 0;
		wr(lapic, APIC_TASKPRI, model.tpr);
		break;
	case 7:
		model.enabled = chance() % 8;
		wr(lapic, APIC_SPIV, model.enabled ? 0x1ff : 0xff);
	}
}

static void test_random(void)
{
	struct thv_lapic lapic;
	int i, v;
	u32 ppr;

	ready(&lapic);
	model.enabled = true;
	for (i = 0; i < 200000; i++) {
		step(&lapic);
		for (v = 0; v < 256; v++)
			tap_check(in(&lapic, APIC_IRR, v) == model.irr[v] &&
				  in(&lapic, APIC_ISR, v) == model.isr[v] &&
				  in(&lapic, APIC_TMR, v) == model.tmr[v],
				  "step %d, vector %d", i, v);
		model_deliverable(-1, top(model.isr), model.tpr, &ppr);
		tap_check(rd(&lapic, APIC_PROCPRI) == ppr, "step %d: PPR", i);
	}
	tap_ok(tap_held(), "IRR, ISR, TMR, PPR and EOIs as the model has them");
}

/* ---- threads: no interrupt is lost between post, kick and merge ---- */

#define POSTERS	3
#define ROUNDS	5000

static struct thv_lapic shared;
static unsigned int seen[256];

static void *poster(void *arg)
{
	int vector = 0x40 + 0x11 * (int)(intptr_t)arg;
	unsigned int i;

	for (i = 1; i <= ROUNDS; i++) {
		thv_lapic_post(&shared, vector, i & 1);
		while (__atomic_load_n(&seen[vector], __ATOMIC_SEQ_CST) != i)
			sched_yield();
	}
	return NULL;
}

static void test_threads(void)
{
	unsigned int total = 0, wrong = 0, idle = 0;
	pthread_t thread[POSTERS];
	intptr_t i;
	int v;

	ready(&shared);
	for (i = 0; i < POSTERS; i++)
		pthread_create(&thread[i], NULL, poster, (void *)i);
	while (total < POSTERS * ROUNDS && idle < 50000000) {
		idle++;
		if (!__atomic_exchange_n(&kicked, 0, __ATOMIC_SEQ_CST)) {
			sched_yield();
			continue;
		}
		thv_lapic_merge(&shared);
		while ((v = thv_lapic_deliverable(&shared)) >= 0) {
			thv_lapic_accept(&shared, v);
			wrong += in(&shared, APIC_TMR, v) != ((seen[v] + 1) & 1);
			thv_lapic_eoi(&shared);
			total++;
			idle = 0;
			__atomic_fetch_add(&seen[v], 1, __ATOMIC_SEQ_CST);
		}
	}
	tap_is(total, POSTERS * ROUNDS, "no post is lost, each is kicked for");
	tap_is(wrong, 0, "... and each has its trigger mode");
	if (total == POSTERS * ROUNDS)
		for (i = 0; i < POSTERS; i++)
			pthread_join(thread[i], NULL);
}

int main(void)
{
	test_reset_values();
	test_mmio_bits();
	test_mmio_sizes();
	test_mmio_illegal();
	test_msr_rights();
	test_msr_bits();
	test_identity();
	test_post();
	test_priorities();
	test_cr8();
	test_eoi();
	test_software_disabled();
	test_self_ipi();
	test_errors();
	test_one_shot();
	test_periodic();
	test_timer_modes();
	test_tsc_deadline();
	test_watched_deadline();
	test_cycles();
	test_base();
	test_mode_contents();
	test_init();
	test_icr();
	test_msi();
	test_destinations();
	test_arbitration();
	test_state();
	test_state_mutated();
	test_state_refusals();
	test_write_trap();
	test_random();
	test_threads();
	return tap_done();
}
