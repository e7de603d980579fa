// SPDX-License-Identifier: GPL-2.0-only
/*
 * Nobody sees another's registers: two guests and the host's threads, on one CPU, hold patterns in
 * FPU registers and MSRs while they are switched; and what the host had before THV_RUN, it has
 * after it: FPU, debug registers, segments, XCR0, CR4.TSD, table limits.
 */
#include <asm/ldt.h>
#include <asm/prctl.h>
#include <cpuid.h>
#include <linux/hw_breakpoint.h>
#include <linux/perf_event.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include "kselftest_harness.h"
#include "lib/vm.h"
#include "guests/isolation.h"

GUEST(isolation);

/* All of a test on one CPU: who wants to run has to wait for the others to be switched out */
static void stay_on_one_cpu(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(0, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		fail("sched_setaffinity: %s", strerror(errno));
}

/* Let the guest use XSAVE and all the state there is */
static u64 enable_xsave(struct vcpu *vcpu)
{
	struct thv_cpuid cpuid = { .leaf = 0xd };
	struct thv_sregs sregs;

	must(thv_ioctl(thv_device(), THV_GET_CPUID, &cpuid));
	if (!cpuid.eax)
		return 0;
	must_get(vcpu, THV_STATE_SREGS, &sregs);
	sregs.cr4 |= BIT(18);
	must_set(vcpu, THV_STATE_SREGS, &sregs);
	guest_call(vcpu, guest_isolation_xsetbv, cpuid.eax);
	return cpuid.eax;
}

static bool host_has_avx(void)
{
	unsigned int a, b, c, d;

	return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_AVX) && (c & bit_OSXSAVE);
}

static u64 host_xcr0(void)
{
	u32 low, high;

	asm volatile("xgetbv" : "=a" (low), "=d" (high) : "c" (0));
	return low | (u64)high << 32;
}

FIXTURE(isolation) {
	struct vm *vm;
	struct vcpu *vcpu;
};

FIXTURE_SETUP(isolation)
{
	stay_on_one_cpu();
	self->vm = vm_create(isolation);
	self->vcpu = self->vm->vcpu;
}

FIXTURE_TEARDOWN(isolation)
{
	vm_close(self->vm);
}

/* ---- FPU ---- */

#define EACH(op, n) op(0, n) op(1, n) op(2, n) op(3, n) op(4, n) op(5, n) op(6, n) op(7, n) \
		    op(8, n) op(9, n) op(10, n) op(11, n) op(12, n) op(13, n) op(14, n) op(15, n)
#define LOAD(r, base)	"movups 16*" #r "(%[" base "]), %%xmm" #r "\n"
#define STORE(r, base)	"movups %%xmm" #r ", 16*" #r "(%[" base "])\n"

/* THV_RUN between a load and a store of all XMM registers, with no compiler in between */
static long run_with_xmm(int fd, const void *before, void *after)
{
	long result;

	asm volatile(EACH(LOAD, "before")
		     "syscall\n"
		     EACH(STORE, "after")
		     : "=a" (result)
		     : "a" (SYS_ioctl), "D" (fd), "S" (THV_RUN), "d" (0),
		       [before] "r" (before), [after] "r" (after)
		     : "rcx", "r11", "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5",
		       "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13",
		       "xmm14", "xmm15");
	return result;
}

TEST_F(isolation, the_host_keeps_its_fpu_registers_over_a_run)
{
	u64 before[32], after[32];
	unsigned int i;

	for (i = 0; i < 32; i++)
		before[i] = 0x1111111111111111ULL * (i + 1);
	guest_start(self->vcpu, guest_isolation_fill, 0x4000);
	ASSERT_EQ(0, run_with_xmm(self->vcpu->fd, before, after));
	EXPECT_EQ(THV_EXIT_IO, self->vcpu->run->exit);
	EXPECT_EQ(0, memcmp(before, after, sizeof(before)));
}

TEST_F(isolation, the_guest_keeps_its_fpu_registers_over_an_exit)
{
	u64 before[32], after[32];
	unsigned int i;

	guest_call(self->vcpu, guest_isolation_fill, 0x4000);
	for (i = 0; i < 32; i++)
		before[i] = 0x1111111111111111ULL * (i + 1);
	guest_start(self->vcpu, guest_isolation_check, 0x4000);
	ASSERT_EQ(0, run_with_xmm(self->vcpu->fd, before, after));
	EXPECT_EQ(0, self->vcpu->run->regs.gpr[THV_RAX]);
}

TEST_F(isolation, fpu_control_words_are_each_ones_own)
{
	u32 mxcsr = 0x1fa0, after = 0;
	u16 fcw = 0x27f, fcw_after = 0;

	asm volatile("ldmxcsr %0" : : "m" (mxcsr));
	asm volatile("fldcw %0" : : "m" (fcw));
	guest_call(self->vcpu, guest_isolation_set_control, 0x3f80ULL << 32 | 0x37a);
	asm volatile("stmxcsr %0" : "=m" (after));
	asm volatile("fnstcw %0" : "=m" (fcw_after));
	EXPECT_EQ(mxcsr, after);
	EXPECT_EQ(fcw, fcw_after);
	EXPECT_EQ(0x3f80ULL << 32 | 0x37a, guest_call(self->vcpu, guest_isolation_get_control));
	mxcsr = 0x1f80;
	asm volatile("ldmxcsr %0" : : "m" (mxcsr));
}

TEST_F(isolation, a_new_vcpu_has_nothing_of_anybodys_fpu)
{
	u64 *area = vm_at(self->vm, GUEST_DATA, u64), before[32], after[32];
	unsigned int i;

	memset(before, 0xa5, sizeof(before));
	/*
	 * The guest is asked for pattern 0 in register 0, 1 in 1...: zeros differ in all but the
	 * first
	 */
	guest_start(self->vcpu, guest_isolation_check, 0);
	ASSERT_EQ(0, run_with_xmm(self->vcpu->fd, before, after));
	EXPECT_EQ(30, self->vcpu->run->regs.gpr[THV_RAX]);
	for (i = 0; i < 2; i++)
		EXPECT_EQ(0, area[i]);
}

TEST_F(isolation, upper_halves_are_each_ones_own)
{
	u64 upper[2] = {}, pattern[4] = { 1, 2, 0x7777777777777777, 0x8888888888888888 };

	REQUIRE(host_has_avx() && (enable_xsave(self->vcpu) & 4), "this processor has no AVX");
	guest_call(self->vcpu, guest_isolation_fill_ymm, 0x123456789abcdef0);
	asm volatile("vmovups %[pattern], %%ymm2\n"
		     "syscall\n"
		     "vextractf128 $1, %%ymm2, %[upper]\n"
		     : [upper] "=m" (upper)
		     : "a" (SYS_ioctl), "D" (self->vcpu->fd), "S" (0), "d" (0), [pattern] "m" (pattern)
		     : "rcx", "r11", "memory", "xmm2");
	guest_start(self->vcpu, guest_isolation_check_ymm, 0x123456789abcdef0);
	asm volatile("vmovups %[pattern], %%ymm2\n"
		     "syscall\n"
		     "vextractf128 $1, %%ymm2, %[upper]\n"
		     : [upper] "=m" (upper)
		     : "a" (SYS_ioctl), "D" (self->vcpu->fd), "S" (THV_RUN), "d" (0),
		       [pattern] "m" (pattern)
		     : "rcx", "r11", "memory", "xmm2");
	EXPECT_EQ(0, memcmp(&pattern[2], upper, sizeof(upper)));
	EXPECT_EQ(0, self->vcpu->run->regs.gpr[THV_RAX]);
}

/* ---- two guests and a host thread on one CPU (threat 10) ---- */

struct holder {
	u64 function, pattern, rounds;
	u64 differences, switches;
};

static void *hold_in_a_guest(void *arg)
{
	struct holder *holder = arg;
	struct vm *vm = vm_create(isolation);

	holder->differences = guest_call(vm->vcpu, holder->function, holder->pattern,
					 holder->rounds);
	holder->switches = vm_counter(vm, THV_STAT_host_interrupts);
	vm_close(vm);
	return NULL;
}

static atomic_bool done;

static void *hold_in_the_host(void *arg)
{
	struct holder *holder = arg;
	u64 pattern[2] = { holder->pattern, ~holder->pattern }, a[2], b[2];
	long fs, fs_after;

	syscall(SYS_arch_prctl, ARCH_GET_FS, &fs);
	syscall(SYS_arch_prctl, ARCH_SET_GS, holder->pattern);
	while (!done) {
		/* Long enough for a tick to come in between */
		asm volatile("movups (%[pattern]), %%xmm5\n"
			     "movups (%[pattern]), %%xmm15\n"
			     "mov $20000, %%ecx\n"
			     "1: dec %%ecx\n"
			     "jnz 1b\n"
			     "movups %%xmm5, (%[a])\n"
			     "movups %%xmm15, (%[b])\n"
			     : : [pattern] "r" (pattern), [a] "r" (a), [b] "r" (b)
			     : "rcx", "memory", "xmm5", "xmm15");
		holder->differences += memcmp(pattern, a, 16) || memcmp(pattern, b, 16);
		syscall(SYS_arch_prctl, ARCH_GET_FS, &fs_after);
		holder->differences += fs != fs_after;
		syscall(SYS_arch_prctl, ARCH_GET_GS, &fs_after);
		holder->differences += (u64)fs_after != holder->pattern;
		holder->rounds++;
	}
	syscall(SYS_arch_prctl, ARCH_SET_GS, 0);
	return NULL;
}

static void hold_against_each_other(struct __test_metadata *_metadata, u64 function, u64 rounds)
{
	struct holder a = { function, 0x1000, rounds, 0, 0 }, b = { function, 0x2000, rounds, 0, 0 };
	struct holder host = { .pattern = 0x55550000 };
	pthread_t threads[3];

	pthread_create(&threads[0], NULL, hold_in_a_guest, &a);
	pthread_create(&threads[1], NULL, hold_in_a_guest, &b);
	pthread_create(&threads[2], NULL, hold_in_the_host, &host);
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	done = true;
	pthread_join(threads[2], NULL);
	EXPECT_EQ(0, a.differences);
	EXPECT_EQ(0, b.differences);
	EXPECT_EQ(0, host.differences);
	EXPECT_LT(0, a.switches + b.switches) TH_LOG("nobody was interrupted: nothing was tested");
	EXPECT_LT(0, host.rounds);
}

TEST_F(isolation, guests_and_host_hold_fpu_patterns)
{
	hold_against_each_other(_metadata, guest_isolation_hold_xmm, 4000);
}

TEST_F(isolation, guests_and_host_hold_msr_patterns)
{
	hold_against_each_other(_metadata, guest_isolation_hold_msrs, 10000);
}

/* ---- XCR0 ---- */

static atomic_int wrong_xcr0;

static void *watch_xcr0(void *arg)
{
	u64 xcr0 = *(u64 *)arg;

	while (!done)
		wrong_xcr0 += host_xcr0() != xcr0;
	return NULL;
}

TEST_F(isolation, the_guests_xcr0_is_the_guests_alone)
{
	pthread_t thread;
	u64 before;

	REQUIRE(enable_xsave(self->vcpu), "this processor has no XSAVE");
	before = host_xcr0();
	guest_call(self->vcpu, guest_isolation_xsetbv, 1);
	EXPECT_EQ(before, host_xcr0());
	EXPECT_EQ(1, guest_call(self->vcpu, guest_isolation_xgetbv));
	/* And while the guest is preempted with it */
	pthread_create(&thread, NULL, watch_xcr0, &before);
	guest_start(self->vcpu, guest_isolation_spin);
	alarm_us(60000);
	EXPECT_EQ(-EINTR, vcpu_run_once(self->vcpu));
	alarm_us(0);
	done = true;
	pthread_join(thread, NULL);
	EXPECT_EQ(0, wrong_xcr0);
	EXPECT_EQ(1, guest_call(self->vcpu, guest_isolation_xgetbv));
}

/* ---- debug registers ---- */

static volatile u64 watched;

static int watch(volatile void *address)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_BREAKPOINT, .size = sizeof(attr), .bp_type = HW_BREAKPOINT_W,
		.bp_addr = (uintptr_t)address, .bp_len = HW_BREAKPOINT_LEN_8, .exclude_kernel = 1,
		.exclude_hv = 1,
	};

	return syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
}

static u64 hits(int fd)
{
	u64 count = 0;

	if (read(fd, &count, sizeof(count)) != sizeof(count))
		fail("read of a breakpoint's counter: %s", strerror(errno));
	return count;
}

TEST_F(isolation, breakpoints_are_each_ones_own)
{
	int fd = watch(&watched);

	REQUIRE(fd >= 0, "no breakpoints here: %s", strerror(errno));
	watched++;
	ASSERT_EQ(1, hits(fd));
	/* The guest's own: the same register, elsewhere */
	guest_call(self->vcpu, guest_isolation_set_dr, GUEST_DATA + 0x800, 0x400);
	watched++;
	EXPECT_EQ(2, hits(fd)) TH_LOG("the host's breakpoint is gone");
	EXPECT_EQ(GUEST_DATA + 0x800, guest_call(self->vcpu, guest_isolation_get_dr0));
	EXPECT_EQ(0x400, guest_call(self->vcpu, guest_isolation_get_dr7));
	/* Switched on in the guest: 8 bytes, writes */
	guest_call(self->vcpu, guest_isolation_set_dr, GUEST_DATA + 0x800, 0x90401);
	watched++;
	EXPECT_EQ(3, hits(fd)) TH_LOG("the host's breakpoint is gone");
	EXPECT_EQ(0x90401, guest_call(self->vcpu, guest_isolation_get_dr7));
	watched++;
	EXPECT_EQ(4, hits(fd));
	close(fd);
}

TEST_F(isolation, the_guests_breakpoints_do_not_stop_the_host)
{
	static u64 target __attribute__((aligned(8)));

	/* All accesses to an address of ours, if the registers stayed behind */
	guest_call(self->vcpu, guest_isolation_set_dr, (uintptr_t)&target, 0xf0401);
	*(volatile u64 *)&target = 1;
	EXPECT_EQ(1, *(volatile u64 *)&target);
}

/* ---- MSRs and segments ---- */

TEST_F(isolation, the_host_keeps_its_segment_bases)
{
	unsigned long fs, gs, after;

	syscall(SYS_arch_prctl, ARCH_GET_FS, &fs);
	syscall(SYS_arch_prctl, ARCH_SET_GS, 0x7654321000);
	guest_call(self->vcpu, guest_isolation_set_msrs, 0x10000);
	guest_call(self->vcpu, guest_isolation_swapgs);
	syscall(SYS_arch_prctl, ARCH_GET_FS, &after);
	EXPECT_EQ(fs, after);
	syscall(SYS_arch_prctl, ARCH_GET_GS, &gs);
	EXPECT_EQ(0x7654321000, gs);
	/* GS and KERNEL_GS base have been exchanged */
	EXPECT_EQ(0x10006, guest_call(self->vcpu, guest_isolation_rdmsr, 0xc0000101));
	EXPECT_EQ(0x10005, guest_call(self->vcpu, guest_isolation_rdmsr, 0xc0000102));
	guest_call(self->vcpu, guest_isolation_swapgs);
	EXPECT_EQ(0, guest_call(self->vcpu, guest_isolation_check_msrs, 0x10000));
	syscall(SYS_arch_prctl, ARCH_SET_GS, 0);
}

TEST_F(isolation, the_host_keeps_its_selectors_and_its_ldt)
{
	/* Entry 2: base, limit in pages; 32 bits, data, writable, pages, present, for all */
	struct user_desc desc = { 2, 0x12345000, 0xfffff, 1, 0, 0, 1, 0, 1, 0 };
	u16 ds = 0x2b, es = 0x2b, gs = 2 << 3 | 7, after;
	unsigned long base;

	ASSERT_EQ(0, syscall(SYS_modify_ldt, 1, &desc, sizeof(desc)));
	asm volatile("mov %0, %%ds" : : "r" (ds));
	asm volatile("mov %0, %%es" : : "r" (es));
	asm volatile("mov %0, %%gs" : : "r" (gs));
	guest_call(self->vcpu, guest_isolation_set_msrs, 0x10000);
	asm volatile("mov %%ds, %0" : "=r" (after));
	EXPECT_EQ(ds, after);
	asm volatile("mov %%es, %0" : "=r" (after));
	EXPECT_EQ(es, after);
	asm volatile("mov %%gs, %0" : "=r" (after));
	EXPECT_EQ(gs, after);
	syscall(SYS_arch_prctl, ARCH_GET_GS, &base);
	EXPECT_EQ(0x12345000, base);
	/* Another load finds the LDT */
	asm volatile("mov %0, %%gs" : : "r" (0));
	asm volatile("mov %0, %%gs" : : "r" (gs));
	asm volatile("mov %%gs, %0" : "=r" (after));
	EXPECT_EQ(gs, after);
	asm volatile("mov %0, %%gs" : : "r" (0));
	asm volatile("mov %0, %%ds" : : "r" (0));
	asm volatile("mov %0, %%es" : : "r" (0));
}

TEST_F(isolation, the_host_keeps_its_tsc_aux)
{
	u32 before, after, low, high;

	REQUIRE_FEATURE(RDTSCP);
	asm volatile("rdtscp" : "=a" (low), "=d" (high), "=c" (before));
	guest_call(self->vcpu, guest_isolation_wrmsr, 0xc0000103, 0x12345678);
	asm volatile("rdtscp" : "=a" (low), "=d" (high), "=c" (after));
	EXPECT_EQ(before, after);
	EXPECT_EQ(0x12345678, guest_call(self->vcpu, guest_isolation_rdmsr, 0xc0000103));
}

struct table {
	u16 limit;
	u64 base;
} __attribute__((packed));

/*
 * A VM exit makes both limits 64 KiB: what lies behind the tables is not for user mode (SDM
 * 28.5.2)
 */
TEST_F(isolation, descriptor_tables_are_as_long_as_before)
{
	struct table gdt_before = {}, idt_before = {}, gdt = {}, idt = {};

	asm volatile("sgdt %0" : "=m" (gdt_before));
	asm volatile("sidt %0" : "=m" (idt_before));
	guest_call(self->vcpu, guest_isolation_nothing);
	asm volatile("sgdt %0" : "=m" (gdt));
	asm volatile("sidt %0" : "=m" (idt));
	EXPECT_EQ(gdt_before.limit, gdt.limit);
	EXPECT_EQ(idt_before.limit, idt.limit);
	EXPECT_EQ(gdt_before.base, gdt.base);
	EXPECT_EQ(idt_before.base, idt.base);
}

/* ---- CR4.TSD, which the host switches with its threads (threat 9) ---- */

static sigjmp_buf out;

static void caught(int signal)
{
	siglongjmp(out, signal);
}

static int rdtsc_faults(void)
{
	u32 low, high;

	if (sigsetjmp(out, 1))
		return 1;
	asm volatile("rdtsc" : "=a" (low), "=d" (high));
	return 0;
}

TEST_F(isolation, the_hosts_cr4_is_the_one_of_now)
{
	signal(SIGSEGV, caught);
	guest_call(self->vcpu, guest_isolation_nothing);
	EXPECT_EQ(0, rdtsc_faults());
	ASSERT_EQ(0, prctl(PR_SET_TSC, PR_TSC_SIGSEGV));
	EXPECT_EQ(1, rdtsc_faults());
	guest_call(self->vcpu, guest_isolation_nothing);
	EXPECT_EQ(1, rdtsc_faults()) TH_LOG("an exit has brought back an old CR4");
	ASSERT_EQ(0, prctl(PR_SET_TSC, PR_TSC_ENABLE));
	EXPECT_EQ(0, rdtsc_faults());
	guest_call(self->vcpu, guest_isolation_nothing);
	EXPECT_EQ(0, rdtsc_faults()) TH_LOG("an exit has brought back an old CR4");
}

THV_TEST_MAIN
