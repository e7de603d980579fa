// SPDX-License-Identifier: GPL-2.0-only
/*
 * The permission matrix: what a guest may do with a page, by what its tables say, who does it and in
 * which mode: the fault, its error code, and the accessed and dirty flags of each entry. One statement of the
 * rules (lib/paging_rules.c) says what has to come out, whatever translates: EPT, shadow paging
 * (THV_TEST_PAGING), and, in unit/test_permissions.c, the module's walker.
 *
 * The guest tries thousands of accesses in a run (guests/permissions.S).
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include "kselftest_harness.h"
#include "lib/known_defects.h"
#include "lib/paging_rules.h"
#include "lib/vm.h"
#include "guests/permissions.h"

GUEST(permissions);

/* ---- what guests/permissions.S has the numbers of, too ---- */

#define CONTROL		0x94000UL
#define PAGE_AT		0x93000UL	/* the page that is accessed, whatever its size */

struct control {
	u64 trials;
	u64 count;
	u64 cr0, cr4, efer;
	u64 entry_size;
	u64 place[4];		/* of levels 1 to 4 */
	u64 unused;
};

/* Two reasons more than the rules know, for the processor's own accesses */
enum kind { READ, WRITE, FETCH, DESCRIPTOR, MARK, KINDS };

#define HOW_USER	0x08
#define HOW_AC		0x10
#define HOW_KEEP	0x20

#define VECTOR_PF	14
#define VECTOR_DONE	0x80

struct trial {
	u64 entry[4];
	u64 how;
	u64 address;
	u64 vector, error, cr2;
	u64 after[4];
};

#define TRIALS		((GUEST_MEMORY - GUEST_DATA) / sizeof(struct trial))

/* Where in the page: code for a fetch, a descriptor table, and data */
static const u16 offset_of[KINDS] = {
	[READ] = 0x100, [WRITE] = 0x100, [FETCH] = 0x40, [DESCRIPTOR] = 8, [MARK] = 16,
};

/* ---- control registers ---- */

#define CR0_WP		BIT(16)
#define CR4_PSE		BIT(4)
#define CR4_PAE		BIT(5)
#define CR4_PGE		BIT(7)
#define CR4_OSFXSR	BIT(9)
#define CR4_PCIDE	BIT(17)
#define CR4_SMEP	BIT(20)
#define CR4_SMAP	BIT(21)
#define CR0_64		0x80000033ULL	/* PG, NE, ET, MP, PE */
#define EFER_LONG	0x500ULL	/* LMA, LME */
#define EFER_NXE	BIT(11)

enum { WP = 1, SMEP = 2, SMAP = 4, NXE = 8, CONTROLS = 16 };

/* ---- formats: tables in frames below the page ---- */

#define TABLE(level)	(PAGE_AT - (4 - (level)) * PAGE)

struct format {
	unsigned int levels, leaf;
	bool pse, gbyte;
	u64 gla;
	u64 root;		/* of the tables that lead there */
};

static bool is_32(const struct format *format)
{
	return format->levels == 2;
}

/* A PDPTE of PAE paging: in a register, and without rights */
static bool is_held(const struct format *format, unsigned int level)
{
	return format->levels == 3 && level == 3;
}

static u64 place_of(const struct format *format, unsigned int level)
{
	u64 table = level == format->levels ? format->root : TABLE(level);
	unsigned int bits = is_32(format) ? 10 : 9, size = is_32(format) ? 4 : 8;

	return table + (format->gla >> (12 + bits * (level - 1)) & (BIT(bits) - 1)) * size;
}

static void put_entry(struct vm *vm, const struct format *format, unsigned int level, u64 entry)
{
	memcpy(vm->mem + place_of(format, level), &entry, is_32(format) ? 4 : 8);
}

FIXTURE(permissions) {
	struct vm *vm;
	struct vcpu *vcpu;
	struct control *control;
	const struct format *format;
	struct trial *trial;
	struct rules_question mode;
	bool offers[CONTROLS];	/* combinations of WP, SMEP, SMAP and NXE that the guest can have */
	unsigned int count;	/* trials of this run */
	unsigned int total, wrong, defects, limits;
};

FIXTURE_VARIANT(permissions) {
	struct format format;
};

#define FORMAT(name, ...)							\
	FIXTURE_VARIANT_ADD(permissions, name) { .format = { __VA_ARGS__ } }

FORMAT(two_level, 2, 1, false, false, 0xc0093000, GUEST_PD32);
FORMAT(two_level_pse, 2, 1, true, false, 0xc0093000, GUEST_PD32);
FORMAT(two_level_4m, 2, 2, true, false, 0xc0093000, GUEST_PD32);
FORMAT(pae, 3, 1, false, false, 0x80a93000, GUEST_PDPT_PAE);
FORMAT(pae_2m, 3, 2, false, false, 0x80a93000, GUEST_PDPT_PAE);
FORMAT(four_level, 4, 1, false, false, 0x80c0a93000, GUEST_PML4);
FORMAT(four_level_2m, 4, 2, false, false, 0x80c0a93000, GUEST_PML4);
FORMAT(four_level_1g, 4, 3, false, true, 0x80c0093000, GUEST_PML4);

static u32 cpuid(u32 leaf, unsigned int reg)
{
	struct thv_cpuid cpuid = { .leaf = leaf };

	vm_cpuid(&cpuid);
	return (u32[]){ cpuid.eax, cpuid.ebx, cpuid.ecx, cpuid.edx }[reg];
}

#define HAS_SMEP	(cpuid(7, 1) >> 7 & 1)
#define HAS_SMAP	(cpuid(7, 1) >> 20 & 1)
#define HAS_NX		(cpuid(0x80000001, 3) >> 20 & 1)
#define HAS_1G		(cpuid(0x80000001, 3) >> 26 & 1)
#define HAS_PCID	(cpuid(1, 2) >> 17 & 1)
#define HAS_INVPCID	(cpuid(7, 1) & CPUID_7_EBX_INVPCID)
#define PHYS_BITS	(cpuid(0x80000008, 0) & 0xff)

/*
 * All that the guest has at its low addresses is the supervisor's, but for one page: SMEP and SMAP
 * have nothing to say about it.
 */
static void make_supervisors(struct vm *vm)
{
	unsigned int i;

	for (i = 0; i < 512; i++) {
		if (i != guest_permissions_user_page / PAGE) {
			vm_at(vm, GUEST_PT, u64)[i] &= ~ENTRY_US;
			vm_at(vm, GUEST_PT32, u32)[i] &= ~ENTRY_US;
		}
		if (i)
			vm_at(vm, GUEST_PD0, u64)[i] &= ~ENTRY_US;
		vm_at(vm, GUEST_PT32, u32)[512 + i] &= ~ENTRY_US;
	}
}

/* Code, and descriptors of data segments for CPL 3, one that has been accessed and one that has not */
static void make_page(struct vm *vm)
{
	static const u8 trap[] = { 0xcd, VECTOR_DONE };	/* INT 0x80 */

	memcpy(vm->mem + PAGE_AT + offset_of[FETCH], trap, sizeof(trap));
	*vm_at(vm, PAGE_AT + offset_of[DESCRIPTOR], u64) = 0x00cff3000000ffffULL;
	*vm_at(vm, PAGE_AT + offset_of[MARK], u64) = 0x00cff2000000ffffULL;
}

static void make_idt32(struct vm *vm)
{
	u64 *gate = vm_at(vm, GUEST_IDT32, u64);
	u64 handler;
	unsigned int i;

	for (i = 0; i <= 32; i++) {
		handler = guest_permissions_stubs32 + i * 16;
		gate[i == 32 ? VECTOR_DONE : i] = (handler & 0xffff) | GUEST_CS32 << 16 |
			0xeeULL << 40 | (handler >> 16) << 48;
	}
}

/* The page is the LDT as well: the processor looks there for descriptors */
static void make_ldt(struct vcpu *vcpu, u64 gla)
{
	struct thv_sregs sregs;

	must_get(vcpu, THV_STATE_SREGS, &sregs);
	sregs.seg[THV_LDTR] = (struct thv_segment){
		.base = gla, .limit = PAGE - 1, .attributes = THV_SEG_P | 2,
	};
	must_set(vcpu, THV_STATE_SREGS, &sregs);
}

static void set_format(FIXTURE_DATA(permissions) *self, const struct format *format)
{
	unsigned int level;

	self->format = format;
	self->mode = (struct rules_question){
		.levels = format->levels, .pse = format->pse, .gbyte = HAS_1G,
		.phys_bits = PHYS_BITS,
	};
	self->control->entry_size = is_32(format) ? 4 : 8;
	for (level = 1; level <= 4; level++)
		self->control->place[level - 1] = level > format->levels || level < format->leaf ||
			is_held(format, level) ? 0 : place_of(format, level);
	if (format->levels == 3)
		put_entry(self->vm, format, 3, TABLE(2) | ENTRY_P);
	if (format->levels < 4)
		vcpu_mode32(self->vcpu, format->root, (is_32(format) ? 0 : CR4_PAE) |
			    (format->pse ? CR4_PSE : 0), true);
	make_ldt(self->vcpu, format->gla);
}

static void find_controls(FIXTURE_DATA(permissions) *self)
{
	unsigned int missing = (HAS_SMEP ? 0 : SMEP) | (HAS_SMAP ? 0 : SMAP) | (HAS_NX ? 0 : NXE), i;

	for (i = 0; i < CONTROLS; i++)
		self->offers[i] = !(i & missing);
	if (missing)
		fprintf(stderr, "# left out, as this guest has none:%s%s%s\n", missing & SMEP ? " SMEP" : "",
		       missing & SMAP ? " SMAP" : "", missing & NXE ? " NXE" : "");
}

FIXTURE_SETUP(permissions)
{
	REQUIRE(!variant->format.gbyte || HAS_1G, "this guest has no pages of 1 GiB");
	self->vm = vm_create(permissions);
	self->vcpu = self->vm->vcpu;
	self->control = vm_at(self->vm, CONTROL, struct control);
	self->trial = vm_at(self->vm, GUEST_DATA, struct trial);
	self->control->trials = GUEST_DATA;
	self->control->unused = PAGE_AT + offset_of[MARK] + 5;
	make_supervisors(self->vm);
	make_page(self->vm);
	make_idt32(self->vm);
	find_controls(self);
	set_format(self, &variant->format);
}

FIXTURE_TEARDOWN(permissions)
{
	vm_close(self->vm);
}

/* ---- trials ---- */

static struct rules_question questions[TRIALS];
static struct rules_answer answers[TRIALS];

static enum rules_by by_of(const struct trial *trial)
{
	enum kind kind = trial->how & 7;

	if (kind == DESCRIPTOR || kind == MARK)
		return RULES_IMPLICIT;
	return trial->how & HOW_USER ? RULES_USER : RULES_SUPERVISOR;
}

/* A descriptor is read before it is marked */
static void predict(enum kind kind, struct rules_question *q, struct rules_answer *answer)
{
	q->kind = kind == WRITE ? RULES_WRITE : kind == FETCH ? RULES_FETCH : RULES_READ;
	rules_ask(q, answer);
	if (kind != MARK || answer->fault)
		return;
	q->kind = RULES_WRITE;
	memcpy(q->entry, answer->entry, sizeof(q->entry));
	rules_ask(q, answer);
}

static bool is_as_predicted(const struct format *format, const struct trial *trial,
			    const struct rules_answer *answer)
{
	bool strict = thv_shadows() || on_bochs_2_7();
	u64 page = ~(PAGE - 1);
	unsigned int level;

	if (trial->vector != (answer->fault ? VECTOR_PF : VECTOR_DONE))
		return false;
	/* Which byte of a descriptor is told is not laid down */
	if ((trial->how & 7) < DESCRIPTOR)
		page = ~0ULL;
	if (answer->fault && (trial->error != answer->error_code ||
			      ((trial->cr2 ^ trial->address) & page)))
		return false;
	for (level = format->leaf; level <= format->levels && level <= 4; level++)
		if (!is_held(format, level) &&
		    ((trial->after[level - 1] ^ answer->entry[level]) &
		     ~(strict ? 0 : answer->open[level])))
			return false;
	return true;
}

static void complain(const struct trial *trial, const struct rules_question *q,
		     const struct rules_answer *answer)
{
	static const char * const kinds[] = { "read", "write", "fetch", "descriptor", "mark" };

	fprintf(stderr, "# %s%s of CPL %u%s, WP %d SMEP %d SMAP %d NXE %d, entries %#llx %#llx %#llx %#llx: vector %llu error %#llx CR2 %#llx, then %#llx %#llx %#llx %#llx; expected %s %#x, then %#llx %#llx %#llx %#llx\n",
	       trial->how & HOW_KEEP ? "next: " : "", kinds[trial->how & 7],
	       trial->how & HOW_USER ? 3 : 0, trial->how & HOW_AC ? " with AC" : "", q->wp, q->smep,
	       q->smap, q->nxe, q->entry[4], q->entry[3], q->entry[2], q->entry[1], trial->vector,
	       trial->error, trial->cr2, trial->after[3], trial->after[2], trial->after[1],
	       trial->after[0], answer->fault ? "a fault" : "none", answer->error_code,
	       answer->entry[4], answer->entry[3], answer->entry[2], answer->entry[1]);
}

static void call_guest(FIXTURE_DATA(permissions) *self)
{
	struct thv_regs *regs = &self->vcpu->run->regs;

	if (self->format->levels > 3) {
		guest_call(self->vcpu, guest_permissions_run);
		return;
	}
	must_get(self->vcpu, THV_STATE_REGS, regs);
	regs->rip = guest_permissions_run32;
	regs->rflags = 2;
	regs->gpr[THV_RSP] = GUEST_STACK - 4;
	*vm_at(self->vm, GUEST_STACK - 4, u32) = guest_permissions_done32;
	self->vcpu->run->dirty = THV_DIRTY_GPRS | THV_DIRTY_RIP;
	guest_finish(self->vcpu);
}

#define COMPLAINTS	10

/* All that were added, by the guest; and what came of them */
static void try_all(FIXTURE_DATA(permissions) *self)
{
	unsigned int i;

	if (!self->count)
		return;
	self->control->count = self->count;
	call_guest(self);
	for (i = 0; i < self->count; i++)
		if (!is_as_predicted(self->format, &self->trial[i], &answers[i]) &&
		    self->wrong++ < COMPLAINTS)
			complain(&self->trial[i], &questions[i], &answers[i]);
	self->total += self->count;
	self->count = 0;
}

/* One more trial; where it leads to */
static const struct rules_answer *add(FIXTURE_DATA(permissions) *self, struct rules_question q,
				      u64 how)
{
	struct trial *trial = &self->trial[self->count];
	struct rules_answer *answer = &answers[self->count];

	*trial = (struct trial){ .how = how, .address = self->format->gla + offset_of[how & 7] };
	memcpy(trial->entry, &q.entry[1], sizeof(trial->entry));
	q.ac = how & HOW_AC;
	q.by = by_of(trial);
	questions[self->count++] = q;
	predict(how & 7, &q, answer);
	return answer;
}

/* ---- modes and ways ---- */

static void set_controls(FIXTURE_DATA(permissions) *self, unsigned int controls)
{
	const struct format *format = self->format;

	self->mode.wp = controls & WP;
	self->mode.smep = controls & SMEP;
	self->mode.smap = controls & SMAP;
	self->mode.nxe = controls & NXE;
	self->control->cr0 = CR0_64 | (controls & WP ? CR0_WP : 0);
	self->control->cr4 = (is_32(format) ? 0 : CR4_PAE) | (format->pse ? CR4_PSE : 0) |
			     (controls & SMEP ? CR4_SMEP : 0) | (controls & SMAP ? CR4_SMAP : 0);
	self->control->efer = (format->levels > 3 ? EFER_LONG : 0) | (controls & NXE ? EFER_NXE : 0);
}

/* AC is told from its absence only by SMAP; the emulator, even where it must not */
static bool is_way(FIXTURE_DATA(permissions) *self, u64 how)
{
	if ((how & 7) >= KINDS || ((how & HOW_AC) && !self->mode.smap))
		return false;
	if ((how & HOW_AC) && (how & 7) >= DESCRIPTOR && on_bochs_2_7()) {
		self->defects++;
		return false;
	}
	return true;
}

#define HOWS	(HOW_AC | HOW_USER | 7)		/* the highest */

/* One set of entries, each access by each */
static void add_all_ways(FIXTURE_DATA(permissions) *self, const struct rules_question *q)
{
	u64 how;

	if (self->count + HOWS >= TRIALS)
		try_all(self);
	for (how = 0; how <= HOWS; how++)
		if (is_way(self, how))
			add(self, *q, how);
}

/*
 * Shadow paging's limit (Documentation/limits.rst): a page that the supervisor wrote through a read-only
 * entry is the supervisor's, whatever SMAP says, until its user touches it.
 */
static bool is_beyond_shadow(FIXTURE_DATA(permissions) *self, const struct rules_answer *first,
			     u64 how, u64 then)
{
	if (!thv_shadows() || !self->mode.smap || self->mode.wp || (how & 7) != WRITE ||
	    (how & HOW_USER) || first->fault || !first->user || first->writable)
		return false;
	if ((then & 7) == FETCH || ((then & 7) < DESCRIPTOR && (then & (HOW_AC | HOW_USER))))
		return false;
	self->limits++;
	return true;
}

/* One set of entries, each access after each that leaves something cached, with nothing flushed between */
static void add_all_pairs(FIXTURE_DATA(permissions) *self, const struct rules_question *q)
{
	struct rules_question second = *q;
	const struct rules_answer *first;
	u64 how, then;

	for (how = 0; how <= HOWS; how++) {
		if (self->count + 2 * HOWS + 2 > TRIALS)
			try_all(self);
		for (then = 0; is_way(self, how) && then <= HOWS; then++) {
			if (!is_way(self, then))
				continue;
			first = add(self, *q, how);
			if (first->fault)
				break;
			memcpy(second.entry, first->entry, sizeof(second.entry));
			if (!is_beyond_shadow(self, first, how, then))
				add(self, second, then | HOW_KEEP);
		}
	}
}

/* ---- entries ---- */

/* All allowed, nothing used yet */
static void generous(FIXTURE_DATA(permissions) *self, struct rules_question *q)
{
	const struct format *format = self->format;
	unsigned int level;

	*q = self->mode;
	for (level = format->leaf; level <= format->levels; level++) {
		q->entry[level] = ENTRY_P | (is_held(format, level) ? 0 : ENTRY_RW | ENTRY_US);
		if (level > format->leaf)
			q->entry[level] |= TABLE(level - 1);
	}
	q->entry[format->leaf] |= format->leaf > 1 ? ENTRY_PS : PAGE_AT;
}

static u64 rights(const struct format *format, unsigned int level)
{
	if (is_held(format, level))
		return 0;
	return ENTRY_RW | ENTRY_US | (is_32(format) ? 0 : ENTRY_XD);
}

/* A bit that must not be set there; 0: there is none */
static u64 reserved(const struct format *format, unsigned int level)
{
	if (is_held(format, level))
		return 0;
	if (is_32(format))
		return level == 2 && format->leaf == 2 ? BIT(21) : 0;
	return BIT(PHYS_BITS);
}

static u64 states(const struct format *format, unsigned int level)
{
	return is_held(format, level) ? 0 : ENTRY_P | ENTRY_A | reserved(format, level);
}

typedef void (*add_fn)(FIXTURE_DATA(permissions) *self, const struct rules_question *q);

/* Every combination of @low in the page's entry and @high in that of @level */
static void combine(FIXTURE_DATA(permissions) *self, u64 low, unsigned int level, u64 high,
		    add_fn fn)
{
	struct rules_question q;
	unsigned int choice, used;

	for (choice = 0; ; choice++) {
		generous(self, &q);
		used = rules_choose(&q.entry[self->format->leaf], low, choice);
		used += rules_choose(&q.entry[level], high, choice >> used);
		if (choice >> used)
			break;
		fn(self, &q);
	}
}

static void report(struct __test_metadata *_metadata, FIXTURE_DATA(permissions) *self)
{
	TH_LOG("%u accesses tried%s", self->total, self->defects ?
	       "; none by the processor itself under SMAP with AC, since " DEFECT_AC_AND_IMPLICIT_ACCESSES : "");
	if (self->limits)
		TH_LOG("%u left out: shadow paging, SMAP, and a page written with WP = 0", self->limits);
	EXPECT_LT(0, self->total);
	EXPECT_EQ(0, self->wrong);
}

#define LONG	600	/* seconds of the emulated machine, of which one is a third of a real one */

/* Of each level above, what it permits, with all that the page's entry does; in each mode */
TEST_F_TIMEOUT(permissions, what_entries_permit_together, LONG)
{
	const struct format *format = &variant->format;
	unsigned int controls, level;

	for (controls = 0; controls < CONTROLS; controls++) {
		if (!self->offers[controls])
			continue;
		set_controls(self, controls);
		combine(self, rights(format, format->leaf), format->leaf, 0, add_all_ways);
		for (level = format->leaf + 1; level <= format->levels; level++)
			combine(self, rights(format, format->leaf), level, rights(format, level),
				add_all_ways);
		try_all(self);
	}
	report(_metadata, self);
}

/* Present, accessed, dirty, reserved. What else the modes make of it has been asked above. */
TEST_F_TIMEOUT(permissions, what_entries_are, LONG)
{
	static const unsigned int modes[] = { 0, WP, NXE, WP | SMEP, WP | SMAP | NXE };
	const struct format *format = &variant->format;
	u64 low = states(format, format->leaf) | ENTRY_D | ENTRY_RW;
	unsigned int i, level;

	for (i = 0; i < ARRAY_SIZE(modes); i++) {
		if (!self->offers[modes[i]])
			continue;
		set_controls(self, modes[i]);
		combine(self, low, format->leaf, 0, add_all_ways);
		for (level = format->leaf + 1; level <= format->levels; level++)
			combine(self, low, level, states(format, level), add_all_ways);
		try_all(self);
	}
	report(_metadata, self);
}

/* What was cached for one access must not be of use to one that is forbidden */
TEST_F_TIMEOUT(permissions, one_access_after_another, LONG)
{
	static const unsigned int modes[] = {
		0, WP, NXE, SMEP | NXE, SMAP, SMEP | SMAP, WP | SMEP | SMAP | NXE,
	};
	const struct format *format = &variant->format;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(modes); i++) {
		if (!self->offers[modes[i]])
			continue;
		set_controls(self, modes[i]);
		combine(self, rights(format, format->leaf), format->leaf, 0, add_all_pairs);
		try_all(self);
	}
	report(_metadata, self);
}

/* Bits that a mode has no use for: PWT, PCD, what is free for software, and G, without and with CR4.PGE */
TEST_F_TIMEOUT(permissions, bits_that_permit_nothing, LONG)
{
	const struct format *format = &variant->format;
	u64 ignored = BIT(3) | BIT(4) | BIT(8) | (format->levels > 3 ? BIT(58) : BIT(9));
	unsigned int pge, level;

	for (pge = 0; pge < 2; pge++) {
		set_controls(self, WP);
		self->control->cr4 |= pge ? CR4_PGE : 0;
		for (level = format->leaf; level <= format->levels; level++)
			if (!is_held(format, level))
				combine(self, ENTRY_RW | ENTRY_US, level, ignored, add_all_ways);
		try_all(self);
	}
	report(_metadata, self);
}

/* ---- how long a translation lives: SDM 4.10.4 ---- */

#define OLD_FRAME	GUEST_DATA
#define NEW_FRAME	(GUEST_DATA + PAGE)
#define GLA		0x80c0a93000ULL		/* as four_level's */
#define OTHER_PML4	(GUEST_DATA + 2 * PAGE)	/* and below */
#define MAPPED		(ENTRY_P | ENTRY_RW | ENTRY_US | ENTRY_A | ENTRY_D)
#define GLOBAL		BIT(8)
#define KEEP		BIT(63)

FIXTURE(translations) {
	struct vm *vm;
	struct vcpu *vcpu;
	u64 place;		/* of the page's entry */
};

FIXTURE_SETUP(translations)
{
	static const struct format format = { .levels = 4, .leaf = 1, .gla = GLA, .root = GUEST_PML4 };
	unsigned int level;

	self->vm = vm_create(permissions);
	self->vcpu = self->vm->vcpu;
	make_supervisors(self->vm);
	self->place = place_of(&format, 1);
	for (level = 2; level <= 4; level++)
		put_entry(self->vm, &format, level, TABLE(level - 1) | MAPPED);
	*vm_at(self->vm, OLD_FRAME, u32) = 1;
	*vm_at(self->vm, NEW_FRAME, u32) = 2;
}

FIXTURE_TEARDOWN(translations)
{
	vm_close(self->vm);
}

static void set_cr4(struct vcpu *vcpu, u64 bits)
{
	struct thv_sregs sregs;

	sregs_mode64(&sregs);
	sregs.cr4 |= bits;
	must_set(vcpu, THV_STATE_SREGS, &sregs);
}

/* INVPCID's types: SDM volume 2 */
enum { PCID_ADDRESS, PCID_SINGLE, PCID_ALL, PCID_ALL_BUT_GLOBAL };

enum { ENDS_LOCAL = 1, ENDS_GLOBAL = 2, ENDS_BOTH = 3 };

/* What a guest can do to end a translation; of which it is sure to end those of its own and global ones */
static const struct flush {
	const char *name;
	u64 function, argument;
	unsigned int ends;		/* ENDS_* in the address space that is loaded */
	unsigned int ends_elsewhere;	/* ... in another one, with PCIDs: it is PCID 0 */
} flushes[] = {
	{ "nothing", guest_permissions_flush_nothing, 0, 0, 0 },
	{ "INVLPG", guest_permissions_flush_invlpg, 0, ENDS_BOTH, ENDS_GLOBAL },
	{ "MOV to CR3", guest_permissions_flush_cr3, 0, ENDS_LOCAL, 0 },
	{ "CR4.PGE", guest_permissions_flush_pge, 0, ENDS_BOTH, ENDS_BOTH },
	{ "CR4.SMEP", guest_permissions_flush_smep, 0, ENDS_LOCAL, 0 },
	{ "INVPCID of an address", guest_permissions_flush_invpcid, PCID_ADDRESS, ENDS_LOCAL, ENDS_LOCAL },
	{ "INVPCID of a PCID", guest_permissions_flush_invpcid, PCID_SINGLE, ENDS_LOCAL, ENDS_LOCAL },
	{ "INVPCID of all", guest_permissions_flush_invpcid, PCID_ALL, ENDS_BOTH, ENDS_BOTH },
	{ "INVPCID of all but global ones", guest_permissions_flush_invpcid, PCID_ALL_BUT_GLOBAL,
	  ENDS_LOCAL, ENDS_LOCAL },
	{ "MOV to CR3 that keeps", guest_permissions_flush_cr3_keep, 0, 0, 0 },
};

static bool can(const struct flush *flush)
{
	if (flush->function == guest_permissions_flush_invpcid)
		return HAS_INVPCID;
	if (flush->function == guest_permissions_flush_smep)
		return HAS_SMEP;
	return flush->function != guest_permissions_flush_cr3_keep || HAS_PCID;
}

/* CR4 as each flush needs it */
static u64 cr4_for(const struct flush *flush)
{
	return CR4_PGE | (HAS_PCID ? CR4_PCIDE : 0) |
	       (flush->function == guest_permissions_flush_smep ? CR4_SMEP : 0);
}

TEST_F(translations, end_when_the_guest_ends_them)
{
	unsigned int i, ends;
	u64 global;
	u32 seen;

	for (i = 0; i < 2 * ARRAY_SIZE(flushes); i++) {
		const struct flush *flush = &flushes[i / 2];

		global = i & 1 ? GLOBAL : 0;
		ends = global ? ENDS_GLOBAL : ENDS_LOCAL;
		if (!can(flush))
			continue;
		set_cr4(self->vcpu, cr4_for(flush));
		*vm_at(self->vm, self->place, u64) = OLD_FRAME | MAPPED | global;
		guest_call(self->vcpu, guest_permissions_flush_pge);
		seen = guest_call(self->vcpu, guest_permissions_remap, GLA, self->place,
				  NEW_FRAME | MAPPED | global, flush->function,
				  flush->argument);
		EXPECT_TRUE(seen == 2 || (seen == 1 && !(flush->ends & ends)))
			TH_LOG("%s, %sglobal: page %u", flush->name, global ? "" : "not ", seen);
	}
}

/* A second address space: the same but for the page; PCID 1, where the first has PCID 0 */
static void make_other_space(struct vm *vm, u64 entry)
{
	unsigned int level;

	memcpy(vm->mem + OTHER_PML4, vm->mem + GUEST_PML4, PAGE);
	for (level = 4; level > 1; level--) {
		u64 table = OTHER_PML4 + (4 - level) * PAGE;
		u64 index = GLA >> (12 + 9 * (level - 1)) & 511;

		vm_at(vm, table, u64)[index] = (table + PAGE) | MAPPED;
	}
	vm_at(vm, OTHER_PML4 + 3 * PAGE, u64)[GLA >> 12 & 511] = entry;
}

#define OTHER_CR3	(OTHER_PML4 | 1)

TEST_F(translations, of_another_pcid_end_when_they_are_ended)
{
	unsigned int i, ends;
	u64 global;
	u32 seen;

	REQUIRE(HAS_PCID, "this guest has no PCIDs");
	for (i = 0; i < 2 * ARRAY_SIZE(flushes); i++) {
		const struct flush *flush = &flushes[i / 2];

		global = i & 1 ? GLOBAL : 0;
		ends = global ? ENDS_GLOBAL : ENDS_LOCAL;
		if (!can(flush))
			continue;
		set_cr4(self->vcpu, cr4_for(flush));
		*vm_at(self->vm, self->place, u64) = OLD_FRAME | MAPPED | global;
		/* A global page is the same everywhere */
		make_other_space(self->vm, (global ? NEW_FRAME : OLD_FRAME) | MAPPED | global);
		guest_call(self->vcpu, guest_permissions_flush_pge);
		seen = guest_call(self->vcpu, guest_permissions_remap_from_other, GLA, self->place,
				  NEW_FRAME | MAPPED | global, flush->function,
				  flush->argument, OTHER_CR3);
		EXPECT_TRUE(seen == 2 || (seen == 1 && !(flush->ends_elsewhere & ends)))
			TH_LOG("%s, %sglobal: page %u", flush->name, global ? "" : "not ", seen);
	}
}

/* With and without the flush that CR3's bit 63 asks to leave out */
TEST_F(translations, of_two_pcids_are_never_mixed_up)
{
	unsigned int i;
	u64 keep;

	REQUIRE(HAS_PCID, "this guest has no PCIDs");
	set_cr4(self->vcpu, CR4_PGE | CR4_PCIDE);
	*vm_at(self->vm, self->place, u64) = OLD_FRAME | MAPPED;
	make_other_space(self->vm, NEW_FRAME | MAPPED);
	for (i = 0; i < 8; i++) {
		keep = i & 1 ? KEEP : 0;
		EXPECT_EQ(1ULL << 32 | 2, guest_call(self->vcpu, guest_permissions_in_spaces, GLA,
						     GUEST_PML4 | keep, OTHER_CR3 | keep));
		EXPECT_EQ(2ULL << 32 | 1, guest_call(self->vcpu, guest_permissions_in_spaces, GLA,
						     OTHER_CR3 | keep, GUEST_PML4 | keep));
	}
}

TEST_F(translations, invpcid_is_there_as_cpuid_says)
{
	EXPECT_EQ(HAS_INVPCID ? ~0ULL : 6ULL,
		  guest_call(self->vcpu, guest_permissions_try_invpcid, GLA));
}

TEST_F(translations, ended_by_invlpg_do_not_come_back_with_another_nxe)
{
	static const u64 efer[] = { EFER_LONG, EFER_LONG | EFER_NXE };
	unsigned int i;

	REQUIRE(HAS_NX, "this guest has no NX");
	for (i = 0; i < ARRAY_SIZE(efer); i++) {
		struct thv_sregs sregs;

		*vm_at(self->vm, self->place, u64) = OLD_FRAME | MAPPED;
		sregs_mode64(&sregs);
		sregs.efer = efer[i];
		must_set(self->vcpu, THV_STATE_SREGS, &sregs);
		EXPECT_EQ(2, (u32)guest_call(self->vcpu, guest_permissions_nxe_there_and_back, GLA,
					     self->place, NEW_FRAME | MAPPED, efer[i]));
	}
}

/* ---- entries, and tables, that change while the guest is in them: THREATS 23 and 24 ---- */

#define ROUNDS		300
#define FRAMES		4
#define FLAGS		(ENTRY_A | ENTRY_D)
#define CLEAN		(ENTRY_P | ENTRY_RW)

/* The guest counts in a page; another thread changes what it goes by. */
struct rewriter {
	struct vm *vm;
	u64 place;
	int fd;			/* two pages: the table of the lowest level is in one of them */
	unsigned int lost, stray, used;
};

static u64 load(const u64 *at)
{
	return __atomic_load_n(at, __ATOMIC_SEQ_CST);
}

/* What the guest had cached before it went round twice it has not any more: it flushes each time. */
static void wait_for_guest(struct vm *vm)
{
	u64 since = load(&vm->record->shared);

	while (load(&vm->record->shared) < since + 2)
		sched_yield();
}

static void stop_guest(struct vm *vm)
{
	__atomic_store_n(vm_at(vm, CONTROL + offsetof(struct control, count), u64), 0,
			 __ATOMIC_SEQ_CST);
}

/* One of four frames, and in the bits that are free for software a number */
static u64 entry_of(unsigned int n)
{
	return (GUEST_DATA + n % FRAMES * PAGE) | CLEAN | (n & 7) << 9;
}

/* One entry after the other, clean. Where it is clean when it is taken out, nobody has written. */
static void *rewrite_entry(void *argument)
{
	struct rewriter *r = argument;
	u64 *entry = vm_at(r->vm, r->place, u64), old, content, put[FRAMES] = {};
	bool clean[FRAMES] = {};
	unsigned int n;

	for (n = 1; n < ROUNDS; n++) {
		content = load(vm_at(r->vm, GUEST_DATA + n % FRAMES * PAGE, u64));
		r->stray += clean[n % FRAMES] && content != put[n % FRAMES];
		put[n % FRAMES] = content;
		old = __atomic_exchange_n(entry, entry_of(n), __ATOMIC_SEQ_CST);
		r->lost += (old & ~FLAGS) != entry_of(n - 1);
		r->used += (old & FLAGS) == FLAGS;
		clean[(n - 1) % FRAMES] = n > 1 && !(old & ENTRY_D);
		if (n & 1)
			wait_for_guest(r->vm);
	}
	stop_guest(r->vm);
	return NULL;
}

/* Put the table into the other page. Once that is done, nobody writes to the one before. */
static void *move_table(void *argument)
{
	struct rewriter *r = argument;
	u8 *table = vm_at(r->vm, TABLE(1), u8), *page[2], out[PAGE];
	u64 place = r->place % PAGE;
	unsigned int n;

	page[0] = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, 0);
	page[1] = page[0] + PAGE;
	for (n = 1; n < ROUNDS; n++) {
		*(u64 *)(page[n & 1] + place) = entry_of(0);
		if (mmap(table, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, r->fd,
			 (n & 1) * PAGE) != table)
			fail("mmap: %s", strerror(errno));
		memcpy(out, page[!(n & 1)], PAGE);
		wait_for_guest(r->vm);
		r->stray += memcmp(out, page[!(n & 1)], PAGE) != 0;
		r->used += (*(u64 *)(page[n & 1] + place) & FLAGS) == FLAGS;
		r->lost += (*(u64 *)(page[n & 1] + place) & ~FLAGS) != entry_of(0);
	}
	stop_guest(r->vm);
	munmap(page[0], 2 * PAGE);
	return NULL;
}

/* The guest counts until @fn ends it; how far it came */
static u64 count_beside(FIXTURE_DATA(translations) *self, struct rewriter *r, void *(*fn)(void *))
{
	pthread_t thread;
	u64 counted;

	vm_at(self->vm, CONTROL, struct control)->count = 1;
	*vm_at(self->vm, self->place, u64) = entry_of(0);
	guest_start(self->vcpu, guest_permissions_count, GLA);
	if (pthread_create(&thread, NULL, fn, r))
		fail("pthread_create: %s", strerror(errno));
	counted = guest_finish(self->vcpu);
	pthread_join(thread, NULL);
	return counted;
}

TEST_F_TIMEOUT(translations, follow_entries_that_others_rewrite, LONG)
{
	struct rewriter r = { .vm = self->vm, .place = self->place };
	u64 counted, sum = 0, i;

	for (i = 0; i < FRAMES; i++)
		*vm_at(self->vm, GUEST_DATA + i * PAGE, u64) = 0;
	counted = count_beside(self, &r, rewrite_entry);
	for (i = 0; i < FRAMES; i++)
		sum += *vm_at(self->vm, GUEST_DATA + i * PAGE, u64);
	EXPECT_EQ(counted, sum);
	EXPECT_EQ(0, r.lost) TH_LOG("an entry was overwritten by its flags");
	EXPECT_EQ(0, r.stray) TH_LOG("a page was written to under an entry that was not dirty");
	EXPECT_LT(0, r.used);
}

TEST_F_TIMEOUT(translations, set_flags_where_the_table_is_now, LONG)
{
	struct rewriter r = { .vm = self->vm, .place = self->place };

	r.fd = memfd_create("table", MFD_CLOEXEC);
	ASSERT_EQ(0, ftruncate(r.fd, 2 * PAGE));
	ASSERT_EQ(vm_at(self->vm, TABLE(1), void),
		  mmap(vm_at(self->vm, TABLE(1), void), PAGE, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_FIXED, r.fd, 0));
	count_beside(self, &r, move_table);
	EXPECT_EQ(0, r.stray) TH_LOG("a page was written to that was no table any more");
	EXPECT_EQ(0, r.lost);
	EXPECT_EQ(ROUNDS - 1, r.used);
	close(r.fd);
}

THV_TEST_MAIN
