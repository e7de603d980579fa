// SPDX-License-Identifier: GPL-2.0-only
/*
 * The local APIC: by its page and by MSRs, with and without the processor's help; interrupts from
 * the launcher, from messages, eventfds, timers and other vCPUs. And doorbells, the other
 * direction.
 *
 * Without APIC virtualization accesses to the page are MMIO exits; the test plays the launcher's
 * part: it knows the two instructions the payload uses.
 */
#include <pthread.h>
#include <sys/eventfd.h>
#include "kselftest_harness.h"
#include "lib/known_defects.h"
#include "lib/vm.h"
#include "guests/apic.h"

GUEST(apic);

#define ID	0x20
#define VERSION	0x30
#define TPR	0x80
#define PPR	0xa0
#define EOI	0xb0
#define LDR	0xd0
#define DFR	0xe0
#define SVR	0xf0
#define ISR	0x100
#define TMR	0x180
#define IRR	0x200
#define ESR	0x280
#define ICR	0x300
#define ICR2	0x310
#define LVTT	0x320
#define LVT0	0x350
#define LVTERR	0x370
#define TMICT	0x380
#define TMCCT	0x390
#define TDCR	0x3e0
#define SELF	0x3f0

#define MASKED	0x10000
#define PERIODIC 0x20000
#define DEADLINE 0x40000
#define LEVEL	(1 << 15)
#define ASSERT	(1 << 14)

FIXTURE(apic) {
	struct vm *vm;
	struct vcpu *vcpu;
	struct guest_record *record;
	bool x2apic;
};

FIXTURE_VARIANT(apic) {
	u32 flags;
	bool x2apic;
};

FIXTURE_VARIANT_ADD(apic, apicv_page) {
	.flags = 0, .x2apic = false,
};

FIXTURE_VARIANT_ADD(apic, apicv_msrs) {
	.flags = 0, .x2apic = true,
};

FIXTURE_VARIANT_ADD(apic, exits_page) {
	.flags = THV_VM_NO_APICV, .x2apic = false,
};

FIXTURE_VARIANT_ADD(apic, exits_msrs) {
	.flags = THV_VM_NO_APICV | THV_VM_NO_PREEMPTION_TIMER, .x2apic = true,
};

/* ---- the launcher's part ---- */

/* An access to the APIC's page: by one of the payload's two instructions */
static void apic_access(struct vcpu *vcpu)
{
	struct thv_run *run = vcpu->run;
	bool write = run->mmio.access & THV_ACCESS_WRITE;
	struct thv_apic_access access = {
		.offset = run->mmio.gpa & 0xfff, .length = 4, .flags = write ? THV_APIC_WRITE : 0,
		.data = write ? (u32)run->regs.gpr[THV_RSI] : 0,
	};

	must(thv_ioctl(vcpu->fd, THV_APIC_ACCESS, &access));
	if (!write)
		run->regs.gpr[THV_RAX] = (u32)access.data;
	vcpu_complete(vcpu, 2);
}

/* Run until an exit that is not about the APIC */
static void run_apic(struct vcpu *vcpu)
{
	struct thv_run *run = vcpu->run;
	int err;

	do {
		err = vcpu_run(vcpu);
		if (err)
			fail("THV_RUN: %s", strerror(-err));
		if (run->exit != THV_EXIT_MMIO || (run->mmio.gpa & ~0xfffULL) != GUEST_APIC)
			return;
		apic_access(vcpu);
	} while (1);
}

static u64 finish(struct vcpu *vcpu)
{
	struct thv_run *run = vcpu->run;

	run_apic(vcpu);
	if (run->exit == THV_EXIT_IO && run->io.port == PORT_DONE)
		return run->regs.gpr[THV_RAX];
	exit_print(vcpu);
	fail("expected the guest to return");
}

#define call(vcpu, function, ...) \
	(guest_start(vcpu, function, ##__VA_ARGS__), finish(vcpu))

static u64 read_reg(struct vcpu *vcpu, u64 offset)
{
	return call(vcpu, guest_apic_read, offset);
}

static void write_reg(struct vcpu *vcpu, u64 offset, u64 value)
{
	call(vcpu, guest_apic_write, offset, value);
}

/* ---- a machine with an APIC that is on ---- */

static void set_hooks(struct vm *vm, u64 hook)
{
	unsigned int i;

	for (i = 32; i < 256; i++)
		vm->record->hook[i] = hook;
}

static void prepare(struct vcpu *vcpu, bool x2apic)
{
	if (x2apic && call(vcpu, guest_apic_wrmsr, 0x1b, vcpu->id ? 0xfee00c00 : 0xfee00d00) != -1ULL)
		fail("cannot switch to x2APIC mode");
	write_reg(vcpu, SVR, 0x1ff);
}

FIXTURE_SETUP(apic)
{
	if (!variant->flags)
		REQUIRE_FEATURE(VIRTUAL_INTERRUPTS);
	self->vm = vm_create_with(apic, .flags = variant->flags);
	self->vcpu = self->vm->vcpu;
	self->record = self->vm->record;
	self->x2apic = variant->x2apic;
	set_hooks(self->vm, guest_apic_hook_eoi);
	*vm_at(self->vm, GUEST_DATA, u64) = variant->x2apic;
	/* An exception first: delivery has all it needs in memory then (known_defects.h) */
	call(self->vcpu, guest_apic_rdmsr, 0x12345);
	self->record->count = 0;
	prepare(self->vcpu, variant->x2apic);
}

FIXTURE_TEARDOWN(apic)
{
	vm_close(self->vm);
}

static int post(struct vcpu *vcpu, u32 vector)
{
	struct thv_interrupt interrupt = { .vector = vector };

	return thv_ioctl(vcpu->fd, THV_INTERRUPT, &interrupt);
}

static int msi(struct vm *vm, u64 address, u32 data)
{
	struct thv_msi msi = { .address = address, .data = data };

	return thv_ioctl(vm->fd, THV_SIGNAL_MSI, &msi);
}

#define EXPECT_LOG(...)								\
	do {									\
		static const u8 __log[] = { __VA_ARGS__ };			\
		EXPECT_EQ(sizeof(__log), self->record->count);			\
		EXPECT_EQ(0, memcmp(__log, self->record->log, sizeof(__log)))	\
			TH_LOG("%#x %#x %#x %#x", self->record->log[0],		\
			       self->record->log[1], self->record->log[2], self->record->log[3]); \
	} while (0)

/* ---- registers ---- */

TEST_F(apic, has_its_power_up_values)
{
	unsigned int lvt;

	EXPECT_EQ(0, read_reg(self->vcpu, ID));
	EXPECT_EQ(0x14, read_reg(self->vcpu, VERSION) & 0xff);
	EXPECT_LE(5, read_reg(self->vcpu, VERSION) >> 16 & 0xff);
	EXPECT_EQ(0, read_reg(self->vcpu, TPR));
	EXPECT_EQ(0, read_reg(self->vcpu, PPR));
	EXPECT_EQ(self->x2apic ? 1 : 0, read_reg(self->vcpu, LDR));
	EXPECT_EQ(0x1ff, read_reg(self->vcpu, SVR));
	EXPECT_EQ(0, read_reg(self->vcpu, ESR));
	EXPECT_EQ(0, read_reg(self->vcpu, TMICT));
	EXPECT_EQ(0, read_reg(self->vcpu, TMCCT));
	EXPECT_EQ(0, read_reg(self->vcpu, TDCR));
	for (lvt = LVTT; lvt <= LVTERR; lvt += 16)
		EXPECT_EQ(MASKED, read_reg(self->vcpu, lvt)) TH_LOG("%#x", lvt);
	if (!self->x2apic)
		EXPECT_EQ(0xffffffff, read_reg(self->vcpu, DFR));
}

TEST_F(apic, keeps_what_is_written)
{
	static const struct { u32 offset, value; } regs[] = {
		{ TPR, 0x75 }, { SVR, 0x13f }, { LVTT, MASKED | 0x41 }, { LVT0, MASKED | 0x42 },
		{ LVTERR, 0x43 }, { TDCR, 0xb }, { LVTT, MASKED | PERIODIC | 0x44 },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(regs); i++) {
		write_reg(self->vcpu, regs[i].offset, regs[i].value);
		EXPECT_EQ(regs[i].value, read_reg(self->vcpu, regs[i].offset))
			TH_LOG("%#x", regs[i].offset);
	}
	if (self->x2apic)
		return;
	write_reg(self->vcpu, LDR, 0xff000000);
	EXPECT_EQ(0xff000000, read_reg(self->vcpu, LDR));
	write_reg(self->vcpu, DFR, 0);
	EXPECT_EQ(0x0fffffff, read_reg(self->vcpu, DFR));
	write_reg(self->vcpu, ICR2, 0xffffffff);
	EXPECT_EQ(0xff000000, read_reg(self->vcpu, ICR2));
}

/*
 * By MSR reserved bits and what cannot be done are #GP, by the page they are ignored (SDM
 * 11.12.1)
 */
TEST_F(apic, treats_reserved_bits_as_its_mode_does)
{
	static const u32 read_only[] = { ID, VERSION, PPR, LDR, ISR, TMR, IRR, TMCCT };
	static const u32 none[] = { 0, 0x10, 0x40, 0x50, 0x60, 0x70, 0xc0, 0x290, 0x2e0, 0x3a0, 0x3d0 };
	struct vcpu *vcpu = self->vcpu;
	unsigned int i;

	if (!self->x2apic) {
		write_reg(vcpu, TPR, 0xffffff42);
		EXPECT_EQ(0x42, read_reg(vcpu, TPR) & 0xff);
		write_reg(vcpu, TDCR, 0xffffffff);
		EXPECT_EQ(0xb, read_reg(vcpu, TDCR));
		write_reg(vcpu, VERSION, 0);
		EXPECT_NE(0, read_reg(vcpu, VERSION));
		write_reg(vcpu, ID, 0xff000000);
		EXPECT_EQ(0, read_reg(vcpu, ID));
		EXPECT_EQ(0, read_reg(vcpu, EOI));
		return;
	}
	EXPECT_EQ(13, call(vcpu, guest_apic_wrmsr, 0x808, 0x100));
	EXPECT_EQ(13, call(vcpu, guest_apic_wrmsr, 0x808, 1ULL << 32));
	EXPECT_EQ(13, call(vcpu, guest_apic_wrmsr, 0x80b, 1)) TH_LOG("EOI takes 0 only");
	EXPECT_EQ(13, call(vcpu, guest_apic_wrmsr, 0x80f, 1 << 12 | 0x1ff));
	EXPECT_EQ(13, call(vcpu, guest_apic_wrmsr, 0x828, 1)) TH_LOG("ESR takes 0 only");
	EXPECT_EQ(13, call(vcpu, guest_apic_wrmsr, 0x83e, 0x4));
	EXPECT_EQ(13, call(vcpu, guest_apic_wrmsr, 0x83f, 0x100));
	EXPECT_EQ(13, call(vcpu, guest_apic_wrmsr, 0x832, 1 << 20));
	EXPECT_EQ(13, call(vcpu, guest_apic_wrmsr, 0x830, 1 << 20));
	EXPECT_EQ(13, call(vcpu, guest_apic_rdmsr, 0x80b)) TH_LOG("EOI is write-only");
	EXPECT_EQ(13, call(vcpu, guest_apic_rdmsr, 0x83f)) TH_LOG("SELF IPI is write-only");
	EXPECT_EQ(13, call(vcpu, guest_apic_rdmsr, 0x80e)) TH_LOG("there is no DFR");
	EXPECT_EQ(13, call(vcpu, guest_apic_rdmsr, 0x831)) TH_LOG("there is no ICR2");
	for (i = 0; i < ARRAY_SIZE(read_only); i++)
		EXPECT_EQ(13, call(vcpu, guest_apic_wrmsr, 0x800 + (read_only[i] >> 4), 0))
			TH_LOG("%#x", read_only[i]);
	for (i = 0; i < ARRAY_SIZE(none); i++) {
		EXPECT_EQ(13, call(vcpu, guest_apic_rdmsr, 0x800 + (none[i] >> 4)))
			TH_LOG("%#x", none[i]);
		EXPECT_EQ(13, call(vcpu, guest_apic_wrmsr, 0x800 + (none[i] >> 4), 0))
			TH_LOG("%#x", none[i]);
	}
	for (i = 0x840; i < 0x900; i += 13)
		EXPECT_EQ(13, call(vcpu, guest_apic_rdmsr, i)) TH_LOG("MSR %#x", i);
}

TEST_F(apic, masks_its_table_while_disabled_by_software)
{
	write_reg(self->vcpu, LVTERR, 0x43);
	write_reg(self->vcpu, SVR, 0xff);
	EXPECT_EQ(MASKED | 0x43, read_reg(self->vcpu, LVTERR));
	write_reg(self->vcpu, LVTERR, 0x44);
	EXPECT_EQ(MASKED | 0x44, read_reg(self->vcpu, LVTERR));
	write_reg(self->vcpu, SVR, 0x1ff);
	EXPECT_EQ(MASKED | 0x44, read_reg(self->vcpu, LVTERR));
}

/* ---- interrupts ---- */

TEST_F(apic, takes_vectors_16_to_255_from_the_launcher)
{
	EXPECT_EQ(-EINVAL, post(self->vcpu, 0));
	EXPECT_EQ(-EINVAL, post(self->vcpu, 15));
	EXPECT_EQ(-EINVAL, post(self->vcpu, 256));
	EXPECT_EQ(-EINVAL, post(self->vcpu, ~0U));
	EXPECT_EQ(0, post(self->vcpu, 16));
	EXPECT_EQ(0, post(self->vcpu, 255));
}

TEST_F(apic, delivers_once)
{
	EXPECT_EQ(0, post(self->vcpu, 0x51));
	EXPECT_EQ(0, post(self->vcpu, 0x51));
	EXPECT_EQ(1, call(self->vcpu, guest_apic_let_in));
	EXPECT_EQ(1, call(self->vcpu, guest_apic_let_in));
	EXPECT_EQ(0, post(self->vcpu, 0x51));
	EXPECT_EQ(2, call(self->vcpu, guest_apic_let_in));
}

TEST_F(apic, delivers_the_highest_vector_first)
{
	post(self->vcpu, 0x31);
	post(self->vcpu, 0xe1);
	post(self->vcpu, 0x41);
	post(self->vcpu, 0x42);
	EXPECT_EQ(4, call(self->vcpu, guest_apic_wait, 4));
	EXPECT_LOG(0xe1, 0x42, 0x41, 0x31);
}

TEST_F(apic, wakes_a_halted_vcpu)
{
	post(self->vcpu, 0x61);
	EXPECT_EQ(1, call(self->vcpu, guest_apic_wait_halted, 1));
	guest_start(self->vcpu, guest_apic_wait_halted, 3);
	post(self->vcpu, 0x61);
	post(self->vcpu, 0x62);
	EXPECT_EQ(3, finish(self->vcpu));
}

TEST_F(apic, shows_requests_and_services)
{
	u64 *data = vm_at(self->vm, GUEST_DATA, u64);

	/* Requested, not yet taken: IRR */
	post(self->vcpu, 0x51);
	EXPECT_EQ(BIT(0x51 - 64), read_reg(self->vcpu, IRR + 0x20));
	EXPECT_EQ(0, read_reg(self->vcpu, ISR + 0x20));
	/* In its handler: ISR */
	self->record->hook[0x51] = guest_apic_hook_look;
	data[4] = ISR + 0x20;
	EXPECT_EQ(1, call(self->vcpu, guest_apic_let_in));
	EXPECT_EQ(BIT(0x51 - 64), data[3]);
	EXPECT_EQ(0, read_reg(self->vcpu, IRR + 0x20));
	EXPECT_EQ(0, read_reg(self->vcpu, ISR + 0x20));
}

TEST_F(apic, a_service_holds_back_its_class_and_those_below)
{
	self->record->hook[0x51] = guest_apic_hook_none;
	post(self->vcpu, 0x51);
	call(self->vcpu, guest_apic_let_in);
	EXPECT_EQ(0x50, read_reg(self->vcpu, PPR));
	post(self->vcpu, 0x41);
	post(self->vcpu, 0x5f);
	call(self->vcpu, guest_apic_let_in);
	EXPECT_LOG(0x51);
	post(self->vcpu, 0x61);
	call(self->vcpu, guest_apic_let_in);
	EXPECT_LOG(0x51, 0x61);
	write_reg(self->vcpu, EOI, 0);
	call(self->vcpu, guest_apic_wait, 4);
	EXPECT_LOG(0x51, 0x61, 0x5f, 0x41);
	EXPECT_EQ(0, read_reg(self->vcpu, PPR));
}

TEST_F(apic, interrupts_of_a_higher_class_nest)
{
	set_hooks(self->vm, guest_apic_hook_nest);
	self->record->hook[0x31] = guest_apic_hook_none;
	post(self->vcpu, 0x31);
	call(self->vcpu, guest_apic_let_in);
	post(self->vcpu, 0x41);
	post(self->vcpu, 0x51);
	call(self->vcpu, guest_apic_wait, 3);
	EXPECT_LOG(0x31, 0x51, 0x41);
	EXPECT_EQ(1, *vm_at(self->vm, GUEST_DATA + 16, u64));
}

TEST_F(apic, the_task_priority_holds_back_interrupts)
{
	write_reg(self->vcpu, TPR, 0x50);
	EXPECT_EQ(0x50, read_reg(self->vcpu, PPR));
	EXPECT_EQ(5, call(self->vcpu, guest_apic_get_cr8));
	post(self->vcpu, 0x51);
	post(self->vcpu, 0x5f);
	EXPECT_EQ(0, call(self->vcpu, guest_apic_let_in));
	post(self->vcpu, 0x61);
	EXPECT_EQ(1, call(self->vcpu, guest_apic_let_in));
	write_reg(self->vcpu, TPR, 0x4f);
	EXPECT_EQ(3, call(self->vcpu, guest_apic_wait, 3));
	EXPECT_LOG(0x61, 0x5f, 0x51);
}

TEST_F(apic, cr8_lets_interrupts_in)
{
	call(self->vcpu, guest_apic_set_cr8, 15);
	EXPECT_EQ(0xf0, read_reg(self->vcpu, TPR));
	post(self->vcpu, 0xf1);
	post(self->vcpu, 0x61);
	EXPECT_EQ(0, call(self->vcpu, guest_apic_let_in));
	call(self->vcpu, guest_apic_set_cr8, 14);
	EXPECT_EQ(1, call(self->vcpu, guest_apic_let_in));
	call(self->vcpu, guest_apic_set_cr8, 0);
	EXPECT_EQ(2, call(self->vcpu, guest_apic_wait, 2));
	EXPECT_LOG(0xf1, 0x61);
}

/* A halted vCPU is woken by what can be delivered only */
TEST_F(apic, the_task_priority_lets_a_vcpu_sleep)
{
	write_reg(self->vcpu, TPR, 0x50);
	guest_start(self->vcpu, guest_apic_wait_halted, 1);
	post(self->vcpu, 0x41);
	alarm_us(20000);
	EXPECT_EQ(-EINTR, vcpu_run_once(self->vcpu));
	alarm_us(0);
	EXPECT_EQ(0, self->record->count);
	post(self->vcpu, 0x61);
	EXPECT_EQ(1, finish(self->vcpu));
	EXPECT_LOG(0x61);
}

TEST_F(apic, takes_nothing_while_disabled_by_software)
{
	write_reg(self->vcpu, SVR, 0xff);
	EXPECT_EQ(0, post(self->vcpu, 0x51));
	EXPECT_EQ(0, msi(self->vm, 0xfee00000, 0x52));
	EXPECT_EQ(0, call(self->vcpu, guest_apic_let_in));
	write_reg(self->vcpu, SVR, 0x1ff);
	EXPECT_EQ(0, call(self->vcpu, guest_apic_let_in));
}

TEST_F(apic, sends_itself_an_interrupt)
{
	write_reg(self->vcpu, ICR, 0x40000 | 0x51);
	EXPECT_EQ(1, call(self->vcpu, guest_apic_let_in));
	write_reg(self->vcpu, ICR, 0x52);		/* to id 0, which is itself */
	EXPECT_EQ(2, call(self->vcpu, guest_apic_let_in));
	if (self->x2apic) {
		write_reg(self->vcpu, SELF, 0x53);
		EXPECT_EQ(3, call(self->vcpu, guest_apic_let_in));
		EXPECT_LOG(0x51, 0x52, 0x53);
	} else {
		EXPECT_LOG(0x51, 0x52);
	}
}

TEST_F(apic, logs_illegal_vectors)
{
	write_reg(self->vcpu, LVTERR, 0x33);
	write_reg(self->vcpu, ICR, 0x40000 | 0x05);
	EXPECT_EQ(1, call(self->vcpu, guest_apic_let_in));
	EXPECT_LOG(0x33);
	write_reg(self->vcpu, ESR, 0);
	EXPECT_NE(0, read_reg(self->vcpu, ESR) & 0x20) TH_LOG("send illegal vector");
	write_reg(self->vcpu, ESR, 0);
	EXPECT_EQ(0, read_reg(self->vcpu, ESR));
}

/* ---- messages ---- */

TEST_F(apic, messages_reach_whom_they_are_for)
{
	EXPECT_EQ(1, msi(self->vm, 0xfee00000, 0x51)) TH_LOG("physical, id 0");
	EXPECT_EQ(0, msi(self->vm, 0xfee05000, 0x52)) TH_LOG("physical, id 5: nobody");
	EXPECT_EQ(1, msi(self->vm, 0xfeeff000, 0x53)) TH_LOG("everybody");
	if (!self->x2apic)
		write_reg(self->vcpu, LDR, 0x01000000);
	EXPECT_EQ(1, msi(self->vm, 0xfee01004, 0x54)) TH_LOG("logical, bit 0");
	EXPECT_EQ(0, msi(self->vm, 0xfee02004, 0x55)) TH_LOG("logical, bit 1");
	EXPECT_EQ(1, msi(self->vm, 0xfee0100c, 0x156)) TH_LOG("lowest priority");
	EXPECT_EQ(0, msi(self->vm, 0xfee00000 | 1ULL << 40, 0x57)) TH_LOG("id 256");
	EXPECT_EQ(4, call(self->vcpu, guest_apic_wait, 4));
	EXPECT_LOG(0x56, 0x54, 0x53, 0x51);
}

TEST_F(apic, messages_that_are_none_are_refused)
{
	struct thv_msi bad = { .address = 0xfee00000, .data = 0x51, .reserved = 1 };

	EXPECT_EQ(-EINVAL, msi(self->vm, 0, 0x51));
	EXPECT_EQ(-EINVAL, msi(self->vm, 0xfed00000, 0x51));
	EXPECT_EQ(-EINVAL, msi(self->vm, 0x1fee00000, 0x51));
	EXPECT_EQ(-EINVAL, msi(self->vm, 0xfef00000, 0x51));
	EXPECT_EQ(-EINVAL, msi(self->vm, 0xfee00000, 0x351)) TH_LOG("reserved delivery mode");
	EXPECT_EQ(-EINVAL, thv_ioctl(self->vm->fd, THV_SIGNAL_MSI, &bad));
	EXPECT_EQ(0, call(self->vcpu, guest_apic_let_in));
}

TEST_F(apic, a_message_can_be_an_nmi)
{
	self->record->hook[2] = guest_apic_hook_none;
	EXPECT_EQ(1, msi(self->vm, 0xfee00000, 0x400));
	EXPECT_EQ(1, call(self->vcpu, guest_apic_let_in));
	EXPECT_LOG(2);
}

TEST_F(apic, the_end_of_a_level_interrupt_is_told)
{
	struct thv_run *run = self->vcpu->run;

	EXPECT_EQ(1, msi(self->vm, 0xfee00000, LEVEL | ASSERT | 0x51));
	EXPECT_EQ(1, msi(self->vm, 0xfee00000, 0x61));
	guest_start(self->vcpu, guest_apic_wait, 2);
	run_apic(self->vcpu);
	ASSERT_EQ(THV_EXIT_EOI, run->exit);
	EXPECT_EQ(0x51, run->eoi.vector);
	EXPECT_EQ(2, finish(self->vcpu));
	EXPECT_LOG(0x61, 0x51);
	/* The same vector as an edge: nobody is told */
	EXPECT_EQ(1, msi(self->vm, 0xfee00000, 0x51));
	EXPECT_EQ(3, call(self->vcpu, guest_apic_wait, 3));
}

TEST_F(apic, each_of_several_level_interrupts_is_told)
{
	struct thv_run *run = self->vcpu->run;
	u64 told = 0;
	int i;

	for (i = 0; i < 4; i++)
		EXPECT_EQ(1, msi(self->vm, 0xfee00000, LEVEL | ASSERT | (0x40 + i)));
	guest_start(self->vcpu, guest_apic_wait, 4);
	for (i = 0; i < 4; i++) {
		run_apic(self->vcpu);
		ASSERT_EQ(THV_EXIT_EOI, run->exit);
		told |= BIT(run->eoi.vector & 63);
	}
	EXPECT_EQ(0xf, told);
	EXPECT_EQ(4, finish(self->vcpu));
}

/* ---- the timer; it counts nanoseconds ---- */

TEST_F(apic, the_timer_fires_once)
{
	u64 since = now_us();

	write_reg(self->vcpu, TDCR, 0xb);
	write_reg(self->vcpu, LVTT, 0x41);
	write_reg(self->vcpu, TMICT, 2000000);
	EXPECT_EQ(1, call(self->vcpu, guest_apic_wait_halted, 1));
	EXPECT_LE(1900, now_us() - since);
	EXPECT_GT(1000000, now_us() - since);
	EXPECT_EQ(0, read_reg(self->vcpu, TMCCT));
	EXPECT_EQ(2000000, read_reg(self->vcpu, TMICT));
	EXPECT_EQ(1, call(self->vcpu, guest_apic_spin, 20000));
	EXPECT_LOG(0x41);
}

TEST_F(apic, the_timer_fires_under_a_guest_that_spins)
{
	write_reg(self->vcpu, TDCR, 0xb);
	write_reg(self->vcpu, LVTT, 0x41);
	write_reg(self->vcpu, TMICT, 1000000);
	EXPECT_EQ(1, call(self->vcpu, guest_apic_wait, 1));
}

TEST_F(apic, the_timer_fires_again_and_again)
{
	u64 since = now_us();

	write_reg(self->vcpu, TDCR, 0xb);
	write_reg(self->vcpu, LVTT, PERIODIC | 0x41);
	write_reg(self->vcpu, TMICT, 1000000);
	EXPECT_LE(5, call(self->vcpu, guest_apic_wait_halted, 5));
	EXPECT_LE(4900, now_us() - since);
	/* Until its count is 0 */
	write_reg(self->vcpu, TMICT, 0);
	call(self->vcpu, guest_apic_let_in);
	self->record->count = 0;
	EXPECT_EQ(0, call(self->vcpu, guest_apic_spin, 60000));
}

TEST_F(apic, the_timer_counts_down_and_divides)
{
	u64 first, second;

	write_reg(self->vcpu, TDCR, 0xb);
	write_reg(self->vcpu, LVTT, MASKED);
	write_reg(self->vcpu, TMICT, 0xffffffff);
	first = read_reg(self->vcpu, TMCCT);
	usleep(2000);
	second = read_reg(self->vcpu, TMCCT);
	EXPECT_GT(0xffffffff, first);
	EXPECT_LE(2000000, first - second);
	/* By 128: slower */
	write_reg(self->vcpu, TDCR, 0xa);
	write_reg(self->vcpu, TMICT, 0xffffffff);
	first = read_reg(self->vcpu, TMCCT);
	usleep(2000);
	second = read_reg(self->vcpu, TMCCT);
	EXPECT_LE(2000000 / 128, first - second);
	EXPECT_GT(1000000, first - second);
}

TEST_F(apic, a_masked_timer_is_silent)
{
	write_reg(self->vcpu, TDCR, 0xb);
	write_reg(self->vcpu, LVTT, MASKED | 0x41);
	write_reg(self->vcpu, TMICT, 100000);
	usleep(1000);
	EXPECT_EQ(0, call(self->vcpu, guest_apic_let_in));
	EXPECT_EQ(0, read_reg(self->vcpu, TMCCT));
}

TEST_F(apic, the_deadline_timer_fires_not_before_its_time)
{
	u64 ticks = self->vm->info->tsc_khz;	/* a millisecond */
	s64 late;
	int i;

	write_reg(self->vcpu, LVTT, DEADLINE | 0x41);
	for (i = 0; i < 3; i++) {
		late = call(self->vcpu, guest_apic_deadline, ticks);
		EXPECT_LE(0, late);
		EXPECT_GT(1000 * ticks, (u64)late);
	}
	EXPECT_EQ(3, self->record->count);
	/* One that has passed fires at once */
	late = call(self->vcpu, guest_apic_deadline, -ticks);
	EXPECT_LE((s64)ticks, late);
	EXPECT_EQ(-1ULL, call(self->vcpu, guest_apic_rdmsr, 0x6e0));
}

static void arm_deadline(FIXTURE_DATA(apic) *self, u64 ticks)
{
	u64 tsc = 0;

	must(vcpu_get_msr(self->vcpu, 0x10, &tsc));
	write_reg(self->vcpu, LVTT, DEADLINE | 0x41);
	call(self->vcpu, guest_apic_wrmsr, 0x6e0, tsc + ticks);
}

/* Who looks out for the deadline depends on where the vCPU is then */
TEST_F(apic, a_deadline_finds_the_vcpu_wherever_it_is)
{
	u64 ticks = self->vm->info->tsc_khz;
	u64 timers = vm_counter(self->vm, THV_STAT_timers);

	arm_deadline(self, 2 * ticks);
	usleep(10000);
	EXPECT_EQ(1, call(self->vcpu, guest_apic_let_in)) TH_LOG("in the launcher");
	self->record->count = 0;
	arm_deadline(self, 20 * ticks);
	EXPECT_EQ(1, call(self->vcpu, guest_apic_wait_halted, 1)) TH_LOG("asleep");
	self->record->count = 0;
	arm_deadline(self, 20 * ticks);
	EXPECT_EQ(1, call(self->vcpu, guest_apic_wait, 1)) TH_LOG("in the guest");
	EXPECT_EQ(timers + 3, vm_counter(self->vm, THV_STAT_timers));
}

TEST_F(apic, a_deadline_is_for_its_mode_only)
{
	u64 value;

	EXPECT_EQ(-1ULL, call(self->vcpu, guest_apic_wrmsr, 0x6e0, 1));
	ASSERT_EQ(0, vcpu_get_msr(self->vcpu, 0x6e0, &value));
	EXPECT_EQ(0, value) TH_LOG("it is not in that mode");
	write_reg(self->vcpu, LVTT, DEADLINE | 0x41);
	EXPECT_EQ(-1ULL, call(self->vcpu, guest_apic_wrmsr, 0x6e0, 1ULL << 62));
	ASSERT_EQ(0, vcpu_get_msr(self->vcpu, 0x6e0, &value));
	EXPECT_EQ(1ULL << 62, value);
	write_reg(self->vcpu, TMICT, 1000);
	EXPECT_EQ(0, read_reg(self->vcpu, TMICT)) TH_LOG("nor does it count");
	/* Another mode disarms it */
	write_reg(self->vcpu, LVTT, 0x41);
	ASSERT_EQ(0, vcpu_get_msr(self->vcpu, 0x6e0, &value));
	EXPECT_EQ(0, value);
	EXPECT_EQ(0, call(self->vcpu, guest_apic_let_in));
}

/*
 * Threat 28: a period of nothing must not keep the host busy for ever. The guest may get nowhere,
 * in its handler all the time; but signals reach its thread.
 */
TEST_F(apic, tiny_periods_starve_nobody)
{
	struct thv_run *run = self->vcpu->run;
	u64 since;
	int err;

	write_reg(self->vcpu, TDCR, 0xb);
	write_reg(self->vcpu, LVTT, PERIODIC | 0x41);
	write_reg(self->vcpu, TMICT, 1);
	guest_start(self->vcpu, guest_apic_wait, ~0ULL);
	alarm_us(50000 * test_patience());
	since = now_us();
	while ((err = vcpu_run_once(self->vcpu)) == 0) {
		ASSERT_EQ(THV_EXIT_MMIO, run->exit);
		apic_access(self->vcpu);
	}
	alarm_us(0);
	EXPECT_EQ(-EINTR, err);
	EXPECT_GT(2000000ULL * test_patience(), now_us() - since);
	EXPECT_LT(5, self->record->count);
}

/* ---- the page's other ways in ---- */

TEST_F(apic, access_by_ioctl_is_of_the_page_only)
{
	struct thv_apic_access access = { .offset = ID, .length = 4 };
	unsigned int offset;
	int result;

	if (self->x2apic) {
		EXPECT_EQ(-ENXIO, thv_ioctl(self->vcpu->fd, THV_APIC_ACCESS, &access));
		return;
	}
	/* Every register, aligned and not, of every size: no more than an errno (threat 28) */
	for (offset = 0; offset < 4096 + 16; offset += offset < 0x400 ? 3 : 61) {
		for (access.length = 0; access.length <= 9; access.length++) {
			u32 length = access.length;
			bool good = (length == 1 || length == 2 || length == 4 || length == 8) &&
				    offset + length <= 4096;

			access.offset = offset;
			access.flags = 0;
			access.data = 0;
			result = thv_ioctl(self->vcpu->fd, THV_APIC_ACCESS, &access);
			ASSERT_EQ(good ? 0 : -EINVAL, result)
				TH_LOG("offset %#x length %u", offset, length);
			if (good && (length != 4 || (offset & 15)))
				ASSERT_EQ(0, access.data) TH_LOG("offset %#x length %u", offset, length);
			/* Of the wrong size it is dropped, so that the APIC stays as it is */
			access.flags = THV_APIC_WRITE;
			access.data = ~0ULL;
			if (length != 4)
				ASSERT_EQ(good ? 0 : -EINVAL,
					  thv_ioctl(self->vcpu->fd, THV_APIC_ACCESS, &access));
		}
	}
	EXPECT_EQ(0x1ff, read_reg(self->vcpu, SVR));
	access = (struct thv_apic_access){ .offset = 0xfffffffc, .length = 4 };
	EXPECT_EQ(-EINVAL, thv_ioctl(self->vcpu->fd, THV_APIC_ACCESS, &access));
	access = (struct thv_apic_access){ .offset = TPR, .length = 4, .flags = 2 };
	EXPECT_EQ(-EINVAL, thv_ioctl(self->vcpu->fd, THV_APIC_ACCESS, &access));
	access = (struct thv_apic_access){ .offset = TPR, .length = 4, .reserved = 1 };
	EXPECT_EQ(-EINVAL, thv_ioctl(self->vcpu->fd, THV_APIC_ACCESS, &access));
}

#define BASE	0xfee00100ULL
#define ENABLE	BIT(11)
#define EXTEND	BIT(10)

TEST_F(apic, modes_change_as_the_manual_draws_it)
{
	struct vcpu *vcpu = self->vcpu;

	if (self->x2apic) {
		EXPECT_EQ(13, call(vcpu, guest_apic_wrmsr, 0x1b, BASE | ENABLE));
	} else {
		EXPECT_EQ(-1ULL, call(vcpu, guest_apic_wrmsr, 0x1b, BASE | ENABLE));
		EXPECT_EQ(-1ULL, call(vcpu, guest_apic_wrmsr, 0x1b, BASE | ENABLE | EXTEND));
	}
	EXPECT_EQ(13, call(vcpu, guest_apic_wrmsr, 0x1b, BASE | EXTEND));
	EXPECT_EQ(-1ULL, call(vcpu, guest_apic_wrmsr, 0x1b, BASE));
	EXPECT_EQ(13, call(vcpu, guest_apic_wrmsr, 0x1b, BASE | ENABLE | EXTEND));
	EXPECT_EQ(13, call(vcpu, guest_apic_rdmsr, 0x802)) TH_LOG("disabled: no MSRs");
	EXPECT_EQ(-1ULL, call(vcpu, guest_apic_wrmsr, 0x1b, BASE | ENABLE));
	EXPECT_EQ(13, call(vcpu, guest_apic_rdmsr, 0x802)) TH_LOG("xAPIC mode: no MSRs");
	EXPECT_EQ(13, call(vcpu, guest_apic_wrmsr, 0x1b, BASE | ENABLE | BIT(9)));
	EXPECT_EQ(13, call(vcpu, guest_apic_wrmsr, 0x1b, (BASE | ENABLE) + 0x1000));
}

/* Is the APIC's page there? If not, it is like any address without memory. */
static bool page_is_there(struct vcpu *vcpu)
{
	struct thv_apic_access access = { .offset = VERSION, .length = 4 };

	guest_start(vcpu, guest_apic_load, GUEST_APIC + VERSION);
	run_until(vcpu, vcpu_run(vcpu) ? 0 : vcpu->run->exit);
	if (vcpu->run->exit == THV_EXIT_IO)
		return (vcpu->run->regs.gpr[THV_RAX] & 0xff) == 0x14;
	return vcpu->run->exit == THV_EXIT_MMIO &&
	       !thv_ioctl(vcpu->fd, THV_APIC_ACCESS, &access);
}

/* Threat 7: in whatever mode, the guest sees its own registers or none, never the host's */
TEST_F(apic, changes_of_mode_expose_nothing)
{
	static const u64 bases[] = { BASE, BASE | ENABLE, BASE | ENABLE | EXTEND };
	struct vcpu *vcpu = self->vcpu;
	unsigned int i;

	call(vcpu, guest_apic_wrmsr, 0x1b, BASE);
	for (i = 1; i < 61; i++) {
		ASSERT_EQ(-1ULL, call(vcpu, guest_apic_wrmsr, 0x1b, bases[i % 3]));
		ASSERT_EQ(i % 3 == 2 ? -1ULL : 13, call(vcpu, guest_apic_rdmsr, 0x803));
		ASSERT_EQ(i % 3 == 2 ? -1ULL : 13, call(vcpu, guest_apic_wrmsr, 0x808, 0x10));
		ASSERT_EQ(13, call(vcpu, guest_apic_rdmsr, 0x8fe));
		ASSERT_EQ(i % 3 == 1, page_is_there(vcpu)) TH_LOG("mode %u", i % 3);
	}
}

/* ---- eventfds ---- */

static int irqfd(struct vm *vm, int fd, u32 flags, u64 address, u32 data)
{
	struct thv_irqfd args = { .fd = fd, .flags = flags, .msi = { address, data, 0 } };

	return thv_ioctl(vm->fd, THV_IRQFD, &args);
}

TEST_F(apic, an_eventfd_delivers_an_interrupt)
{
	int fd = eventfd(0, EFD_NONBLOCK);

	ASSERT_EQ(0, irqfd(self->vm, fd, 0, 0xfee00000, 0x51));
	EXPECT_EQ(0, call(self->vcpu, guest_apic_let_in));
	eventfd_write(fd, 1);
	EXPECT_EQ(1, call(self->vcpu, guest_apic_let_in));
	guest_start(self->vcpu, guest_apic_wait_halted, 2);
	eventfd_write(fd, 5);
	EXPECT_EQ(2, finish(self->vcpu));
	ASSERT_EQ(0, irqfd(self->vm, fd, THV_IRQFD_DEASSIGN, 0xfee00000, 0x51));
	eventfd_write(fd, 1);
	EXPECT_EQ(2, call(self->vcpu, guest_apic_let_in));
	EXPECT_LOG(0x51, 0x51);
}

TEST_F(apic, an_eventfd_signalled_before_it_is_bound_counts)
{
	int fd = eventfd(3, 0);

	ASSERT_EQ(0, irqfd(self->vm, fd, 0, 0xfee00000, 0x51));
	EXPECT_EQ(1, call(self->vcpu, guest_apic_let_in));
}

TEST_F(apic, irqfds_are_refused_as_the_interface_says)
{
	int fd = eventfd(0, 0), ends[2];

	ASSERT_EQ(0, pipe(ends));
	EXPECT_EQ(-EBADF, irqfd(self->vm, -1, 0, 0xfee00000, 0x51));
	EXPECT_EQ(-EBADF, irqfd(self->vm, 999, 0, 0xfee00000, 0x51));
	EXPECT_EQ(-EINVAL, irqfd(self->vm, ends[0], 0, 0xfee00000, 0x51));
	EXPECT_EQ(-EINVAL, irqfd(self->vm, fd, 2, 0xfee00000, 0x51));
	EXPECT_EQ(-EINVAL, irqfd(self->vm, fd, 0, 0xfed00000, 0x51));
	EXPECT_EQ(-ENOENT, irqfd(self->vm, fd, THV_IRQFD_DEASSIGN, 0xfee00000, 0x51));
	ASSERT_EQ(0, irqfd(self->vm, fd, 0, 0xfee00000, 0x51));
	EXPECT_EQ(-EBUSY, irqfd(self->vm, fd, 0, 0xfee00000, 0x51));
	EXPECT_EQ(-EBUSY, irqfd(self->vm, fd, 0, 0xfee00000, 0x52));
	EXPECT_EQ(-ENOENT, irqfd(self->vm, fd, THV_IRQFD_DEASSIGN, 0xfee00000, 0x52));
	EXPECT_EQ(0, irqfd(self->vm, fd, THV_IRQFD_DEASSIGN, 0xfee00000, 0x51));
	EXPECT_EQ(0, irqfd(self->vm, fd, 0, 0xfee00000, 0x52));
}

TEST_F(apic, an_eventfd_may_be_closed_while_bound)
{
	int i, fd, last = -1;

	for (i = 0; i < 30; i++) {
		fd = eventfd(0, 0);
		ASSERT_EQ(0, irqfd(self->vm, fd, 0, 0xfee00000, 0x51));
		eventfd_write(fd, 1);
		if (i & 1)
			close(fd);
		else
			last = fd;
	}
	EXPECT_EQ(1, call(self->vcpu, guest_apic_let_in));
	eventfd_write(last, 1);
	EXPECT_EQ(2, call(self->vcpu, guest_apic_let_in));
}

static int doorbell(struct vm *vm, int fd, u32 flags, u64 address, u32 length, u64 match)
{
	struct thv_ioeventfd args = {
		.fd = fd, .flags = flags, .address = address, .length = length, .datamatch = match,
	};

	return thv_ioctl(vm->fd, THV_IOEVENTFD, &args);
}

static u64 rung(int fd)
{
	eventfd_t count = 0;

	eventfd_read(fd, &count);
	return count;
}

TEST_F(apic, a_port_doorbell_rings_without_the_launcher)
{
	struct thv_run *run = self->vcpu->run;
	int fd = eventfd(0, EFD_NONBLOCK);

	ASSERT_EQ(0, doorbell(self->vm, fd, THV_IOEVENTFD_PORT, 0x500, 0, 0));
	call(self->vcpu, guest_apic_out8, 0x500, 1);
	call(self->vcpu, guest_apic_out16, 0x500, 1);
	call(self->vcpu, guest_apic_out32, 0x500, 1);
	EXPECT_EQ(3, rung(fd));
	/* Another port, and reading, are the launcher's */
	guest_start(self->vcpu, guest_apic_out8, 0x501, 1);
	run_until(self->vcpu, THV_EXIT_IO);
	EXPECT_EQ(0x501, run->io.port);
	guest_start(self->vcpu, guest_apic_in8, 0x500);
	run_until(self->vcpu, THV_EXIT_IO);
	EXPECT_EQ(0x500, run->io.port);
	EXPECT_EQ(0, rung(fd));
	ASSERT_EQ(0, doorbell(self->vm, fd, THV_IOEVENTFD_PORT | THV_IOEVENTFD_DEASSIGN, 0x500, 0, 0));
	guest_start(self->vcpu, guest_apic_out8, 0x500, 1);
	run_until(self->vcpu, THV_EXIT_IO);
	EXPECT_EQ(0x500, run->io.port);
	EXPECT_EQ(0, rung(fd));
}

TEST_F(apic, a_port_doorbell_may_want_a_length_and_a_value)
{
	const u32 flags = THV_IOEVENTFD_PORT | THV_IOEVENTFD_DATAMATCH;
	struct thv_run *run = self->vcpu->run;
	int a = eventfd(0, EFD_NONBLOCK), b = eventfd(0, EFD_NONBLOCK);

	ASSERT_EQ(0, doorbell(self->vm, a, flags, 0x500, 2, 0x1111));
	ASSERT_EQ(0, doorbell(self->vm, b, flags, 0x500, 2, 0x2222));
	call(self->vcpu, guest_apic_out16, 0x500, 0x1111);
	call(self->vcpu, guest_apic_out16, 0x500, 0x2222);
	call(self->vcpu, guest_apic_out16, 0x500, 0x2222);
	EXPECT_EQ(1, rung(a));
	EXPECT_EQ(2, rung(b));
	guest_start(self->vcpu, guest_apic_out16, 0x500, 0x3333);
	run_until(self->vcpu, THV_EXIT_IO);
	EXPECT_EQ(0x3333, run->io.data);
	guest_start(self->vcpu, guest_apic_out32, 0x500, 0x1111);
	run_until(self->vcpu, THV_EXIT_IO);
	EXPECT_EQ(4, run->io.size);
}

TEST_F(apic, a_memory_doorbell_rings)
{
	struct thv_run *run = self->vcpu->run;
	int fd = eventfd(0, EFD_NONBLOCK);

	ASSERT_EQ(0, doorbell(self->vm, fd, 0, GUEST_HOLE + 0x50, 0, 0));
	guest_start(self->vcpu, guest_apic_store, GUEST_HOLE + 0x50, 1);
	run_apic(self->vcpu);
	EXPECT_LE(1, rung(fd));
	/*
	 * Where the processor does not tell the instruction's length, the launcher has to carry
	 * it out
	 */
	if (run->exit == THV_EXIT_MMIO) {
		EXPECT_EQ(GUEST_HOLE + 0x50, run->mmio.gpa);
		vcpu_complete(self->vcpu, 2);
		finish(self->vcpu);
	}
	/* Beside it, and reading, it does not ring */
	guest_start(self->vcpu, guest_apic_store, GUEST_HOLE + 0x54, 1);
	run_until(self->vcpu, THV_EXIT_MMIO);
	guest_start(self->vcpu, guest_apic_load, GUEST_HOLE + 0x50);
	run_until(self->vcpu, THV_EXIT_MMIO);
	EXPECT_EQ(0, rung(fd));
}

TEST_F(apic, doorbells_are_refused_as_the_interface_says)
{
	const u32 port = THV_IOEVENTFD_PORT, match = THV_IOEVENTFD_PORT | THV_IOEVENTFD_DATAMATCH;
	struct thv_ioeventfd reserved = { .flags = port, .address = 0x500, .reserved = 1 };
	int fd = eventfd(0, EFD_NONBLOCK), other = eventfd(0, EFD_NONBLOCK);

	reserved.fd = fd;
	EXPECT_EQ(-EINVAL, thv_ioctl(self->vm->fd, THV_IOEVENTFD, &reserved));
	EXPECT_EQ(-EBADF, doorbell(self->vm, -1, port, 0x500, 1, 0));
	EXPECT_EQ(-EINVAL, doorbell(self->vm, 0, port, 0x500, 1, 0));
	EXPECT_EQ(-EINVAL, doorbell(self->vm, fd, 8 | port, 0x500, 1, 0));
	EXPECT_EQ(-EINVAL, doorbell(self->vm, fd, port, 0x500, 3, 0));
	EXPECT_EQ(-EINVAL, doorbell(self->vm, fd, port, 0x500, 8, 0));
	EXPECT_EQ(-EINVAL, doorbell(self->vm, fd, port, 0x10000, 1, 0));
	EXPECT_EQ(-EINVAL, doorbell(self->vm, fd, port, 0xffff, 2, 0));
	EXPECT_EQ(-EINVAL, doorbell(self->vm, fd, match, 0x500, 0, 1)) TH_LOG("any length, a value");
	EXPECT_EQ(-EINVAL, doorbell(self->vm, fd, match, 0x500, 1, 0x100));
	EXPECT_EQ(-EINVAL, doorbell(self->vm, fd, 0, GUEST_HOLE, 4, 0)) TH_LOG("memory, a length");
	EXPECT_EQ(-EINVAL, doorbell(self->vm, fd, 0, ~0ULL, 0, 0));
	EXPECT_EQ(-ENOENT, doorbell(self->vm, fd, port | THV_IOEVENTFD_DEASSIGN, 0x500, 1, 0));
	ASSERT_EQ(0, doorbell(self->vm, fd, port, 0x500, 1, 0));
	EXPECT_EQ(-EEXIST, doorbell(self->vm, other, port, 0x500, 1, 0));
	EXPECT_EQ(-EEXIST, doorbell(self->vm, other, port, 0x500, 0, 0));
	EXPECT_EQ(0, doorbell(self->vm, other, port, 0x500, 2, 0));
	EXPECT_EQ(-ENOENT, doorbell(self->vm, other, port | THV_IOEVENTFD_DEASSIGN, 0x500, 1, 0));
}

/* ---- other vCPUs ---- */

static void *run_thread(void *arg)
{
	run_apic(arg);
	return NULL;
}

/* A second vCPU that waits in HLT for events; they share the record */
static struct vcpu *start_second(FIXTURE_DATA(apic) *self, pthread_t *thread, u64 events)
{
	struct vcpu *second = vcpu_create(self->vm, 1);

	vcpu_mode64(second);
	prepare(second, self->x2apic);
	guest_start(second, guest_apic_wait_halted, events);
	if (pthread_create(thread, NULL, run_thread, second))
		fail("pthread_create");
	return second;
}

/* The ICR in either mode; @destination is an APIC id */
static void send(FIXTURE_DATA(apic) *self, u32 low, u32 destination)
{
	if (self->x2apic) {
		write_reg(self->vcpu, ICR, (u64)destination << 32 | low);
	} else {
		write_reg(self->vcpu, ICR2, destination << 24);
		write_reg(self->vcpu, ICR, low);
	}
}

TEST_F(apic, one_vcpu_interrupts_another)
{
	pthread_t thread;
	struct vcpu *second = start_second(self, &thread, 1);

	send(self, 0x51, 1);
	pthread_join(thread, NULL);
	EXPECT_EQ(PORT_DONE, second->run->io.port);
	EXPECT_LOG(0x51);
}

TEST_F(apic, all_but_the_sender)
{
	pthread_t thread;
	struct vcpu *second = start_second(self, &thread, 1);

	send(self, 3 << 18 | 0x52, 0);
	pthread_join(thread, NULL);
	EXPECT_EQ(PORT_DONE, second->run->io.port);
	EXPECT_EQ(1, call(self->vcpu, guest_apic_let_in));
	EXPECT_LOG(0x52);
}

TEST_F(apic, an_nmi_from_another_vcpu)
{
	pthread_t thread;
	struct vcpu *second;

	self->record->hook[2] = guest_apic_hook_none;
	second = start_second(self, &thread, 1);
	send(self, 0x400, 1);
	pthread_join(thread, NULL);
	EXPECT_EQ(PORT_DONE, second->run->io.port);
	EXPECT_LOG(2);
}

/* ---- INIT and start-up ---- */

static u32 mp_state(struct vcpu *vcpu)
{
	struct thv_event_state events;

	must_get(vcpu, THV_STATE_EVENTS, &events);
	return events.mp_state;
}

TEST_F(apic, a_second_vcpu_waits_for_its_start)
{
	struct vcpu *second = vcpu_create(self->vm, 1);
	int i;

	alarm_us(10000);
	for (i = 0; i < 2; i++)
		EXPECT_EQ(-EINTR, vcpu_run_once(second));
	/* Neither interrupts nor NMIs start it */
	EXPECT_EQ(0, thv_ioctl(second->fd, THV_NMI, NULL));
	EXPECT_EQ(0, post(second, 0x51));
	EXPECT_EQ(-EINTR, vcpu_run_once(second));
	alarm_us(0);
	EXPECT_EQ(THV_MP_WAIT_SIPI, mp_state(second));
}

TEST_F(apic, init_and_sipi_start_a_second_vcpu_in_real_mode)
{
	struct vcpu *second;
	struct thv_regs regs;
	pthread_t thread;

	REQUIRE_FEATURE(UNRESTRICTED);
	memcpy(self->vm->mem + 0x21000, guest_apic + (guest_apic_real_start - GUEST_CODE),
	       guest_apic_real_end - guest_apic_real_start);
	second = vcpu_create(self->vm, 1);
	ASSERT_EQ(0, pthread_create(&thread, NULL, run_thread, second));
	send(self, 0x4500, 1);			/* INIT */
	send(self, 0x4621, 1);			/* start-up at 0x21000 */
	pthread_join(thread, NULL);
	ASSERT_EQ(THV_EXIT_IO, second->run->exit);
	EXPECT_EQ(0x83, second->run->io.port);
	EXPECT_EQ(0x2100, second->run->io.data);
	EXPECT_EQ(THV_MP_RUNNING, mp_state(second));
	/* Another start-up for one that runs is nothing */
	send(self, 0x4622, 1);
	run_until(second, THV_EXIT_IO);
	must_get(second, THV_STATE_REGS, &regs);
	EXPECT_EQ(2, regs.rip);
	/* INIT makes it wait again */
	send(self, 0x4500, 1);
	alarm_us(10000);
	EXPECT_EQ(-EINTR, vcpu_run_once(second));
	alarm_us(0);
	EXPECT_EQ(THV_MP_WAIT_SIPI, mp_state(second));
}

TEST_F(apic, init_resets_the_bootstrap_processor)
{
	struct vcpu *second = vcpu_create(self->vm, 1);
	struct thv_sregs sregs;

	REQUIRE_FEATURE(UNRESTRICTED);
	vcpu_mode64(second);
	prepare(second, self->x2apic);
	EXPECT_EQ(1, msi(self->vm, 0xfee00000, 0x500));
	run_until(self->vcpu, THV_EXIT_UNSUPPORTED);
	EXPECT_EQ(THV_UNSUPPORTED_FETCH, self->vcpu->run->unsupported.what);
	must_get(self->vcpu, THV_STATE_SREGS, &sregs);
	EXPECT_EQ(0xf000, sregs.seg[THV_CS].selector);
	EXPECT_EQ(0, sregs.cr4);
	EXPECT_EQ(0xfff0, self->vcpu->run->regs.rip);
}

THV_TEST_MAIN
