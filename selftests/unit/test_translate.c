// SPDX-License-Identifier: GPL-2.0-only
// sources: userspace/vmm/translate.c module/paging/walk.c
/* The launcher's own look at the guest's page tables: what it may answer, and what is the module's. */
#include <stdlib.h>
#include <string.h>
#include <linux/kernel.h>
#include <asm/msr-index.h>
#include <asm/processor-flags.h>
#include "vmm/translate.h"
#include "tap.h"

#define P	0x01ULL
#define RW	0x02ULL
#define US	0x04ULL
#define A	0x20ULL
#define D	0x40ULL
#define PS	0x80ULL
#define ALL	(P | RW | US | A | D)

#define PML4	0x1000ULL
#define PDPT	0x2000ULL
#define PD	0x3000ULL
#define PT	0x4000ULL
#define GLA	0x0000008040201234ULL	/* entry 1 of each table */
#define LARGE	0x0000008040400000ULL	/* entry 2 of the page directory */
#define READ	THV_ACCESS_READ
#define WRITE	THV_ACCESS_WRITE

static __u64 memory[0x5000 / 8];

static int read_entry(void *opaque, __u64 gpa, __u64 *entry, unsigned int size)
{
	if (opaque != memory || size != 8 || gpa + size > sizeof(memory))
		return -1;
	*entry = memory[gpa / 8];
	return 0;
}

static __u64 *entry_of(__u64 table, unsigned int index)
{
	return &memory[table / 8 + index];
}

static struct thv_run run;

/* Paging as a 64-bit kernel has it */
static void set_up(void)
{
	memset(&run, 0, sizeof(run));
	memset(memory, 0, sizeof(memory));
	run.context.cr0 = X86_CR0_PE | X86_CR0_PG | X86_CR0_WP;
	run.context.cr3 = PML4;
	run.context.cr4 = X86_CR4_PAE;
	run.context.efer = EFER_LMA | EFER_NX;
	*entry_of(PML4, 1) = PDPT | ALL;
	*entry_of(PDPT, 1) = PD | ALL;
	*entry_of(PD, 1) = PT | ALL;
	*entry_of(PD, 2) = 0x40000000 | PS | ALL;
	*entry_of(PT, 1) = 0x77000 | ALL;
}

static struct translate_last last;

/* 0: that is the module's. Whether the last way is kept makes no difference. */
static __u64 ask(__u64 gla, __u32 access)
{
	const struct translate_memory tables = { 36, read_entry, memory };
	struct translate_last none = {};
	__u64 gpa, afresh;
	bool found = translate_here(&run, &tables, &last, gla, access, &gpa);

	if (found != translate_here(&run, &tables, &none, gla, access, &afresh) || (found && gpa != afresh))
		abort();
	return found ? gpa : 0;
}

static void test_answers(void)
{
	set_up();
	tap_ok(ask(GLA, READ) == 0x77234, "a page of 4 KiB is found");
	tap_ok(ask(LARGE + 0x12345, THV_ACCESS_EXECUTE) == 0x40012345, "a page of 2 MiB is found");
	tap_ok(ask(GLA, WRITE | THV_ACCESS_USER) == 0x77234, "for a write by the user, too");
	run.context.cr0 = X86_CR0_PE;
	tap_ok(ask(0x5678, READ) == 0x5678, "without paging an address is what it is");
}

static void test_faults_are_the_modules(void)
{
	set_up();
	*entry_of(PT, 1) &= ~US;
	tap_ok(!ask(GLA, READ | THV_ACCESS_USER) && ask(GLA, READ), "a page that is not the user's");
	*entry_of(PT, 1) &= ~RW;
	tap_ok(!ask(GLA, WRITE) && ask(GLA, READ), "a page that is not to be written");
	*entry_of(PT, 1) |= 1ULL << 40;
	tap_ok(!ask(GLA, READ), "a reserved bit");
	*entry_of(PT, 1) = 0;
	tap_ok(!ask(GLA, READ), "no page");
	tap_ok(!ask(1ULL << 60, READ), "an address that is none");
	*entry_of(PD, 1) = 0x9000 | ALL;
	tap_ok(!ask(GLA, READ), "a table that is not in memory");
	set_up();
	*entry_of(PDPT, 1) = 0x40000000 | PS | ALL;
	tap_ok(!ask(GLA, READ), "a page of 1 GiB");
}

static void test_flags_are_the_modules(void)
{
	__u64 before;

	set_up();
	*entry_of(PT, 1) &= ~D;
	before = *entry_of(PT, 1);
	tap_ok(!ask(GLA, WRITE) && ask(GLA, READ), "a page that has not been written");
	*entry_of(PD, 1) &= ~A;
	tap_ok(!ask(GLA, READ), "a table that has not been used");
	tap_ok(*entry_of(PT, 1) == before && !(*entry_of(PD, 1) & A), "and no flag is set by looking");
}

/* Entries that the processor holds cannot be changed in memory */
static void test_pae(void)
{
	set_up();
	run.context.efer = EFER_NX;
	run.context.cr3 = PDPT;
	run.context.pdptr[1] = PD | P;
	tap_ok(ask((__u32)GLA, READ) == 0x77234, "PAE paging");
	*entry_of(PDPT, 1) = 0;
	tap_ok(ask((__u32)GLA, READ) == 0x77234, "... does not read what it holds");
	run.context.pdptr[1] = 0;
	tap_ok(!ask((__u32)GLA, READ), "... and goes by it");
}

/* Each thing that a way depends on is another's: ask() compares */
static void test_what_was_kept(void)
{
	static const __u64 tables[] = { PML4, PDPT, PD, PT };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(tables); i++) {
		set_up();
		ask(GLA, READ);
		*entry_of(tables[i], 1) = 0;
		tap_ok(!ask(GLA, READ), "an entry of level %u is gone", 4 - i);
	}
	set_up();
	ask(GLA, READ);
	*entry_of(PT, 1) += 0x1000;
	tap_is(ask(GLA + 8, READ), 0x7823c, "the page is another");
	tap_is(ask(GLA, READ), 0x78234, "... and stays so");
	*entry_of(PT, 1) &= ~US;
	tap_ok(ask(GLA, READ) && !ask(GLA, READ | THV_ACCESS_USER), "it is the supervisor's");
	*entry_of(PT, 1) &= ~D;
	tap_ok(ask(GLA, READ) && !ask(GLA, WRITE), "it is clean");
	*entry_of(PT, 2) = 0x99000 | ALL;
	tap_is(ask(GLA + 0x1000, READ), 0x99234, "the page after it");
	*entry_of(PT, 1) |= US;
	ask(GLA, READ);
	run.context.cr4 |= X86_CR4_SMAP;
	tap_ok(!ask(GLA, READ), "SMAP");
	run.regs.rflags |= X86_EFLAGS_AC;
	tap_ok(ask(GLA, READ), "... and RFLAGS.AC");
	run.context.cr3 = 0x5000;
	tap_ok(!ask(GLA, READ), "tables elsewhere");
}

int main(void)
{
	test_answers();
	test_faults_are_the_modules();
	test_flags_are_the_modules();
	test_pae();
	test_what_was_kept();
	return tap_done();
}
