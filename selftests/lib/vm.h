/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A small VM for tests: memory from guest-physical 0 with page tables, GDT, IDT and TSS
 * in it, a payload, and vCPUs that run functions of the payload.
 *
 * Whatever a test does not ask about ends the test with a sentence, on stderr, and abort(): the
 * harness runs each test in a process of its own and counts that as a failure.
 */
#ifndef THV_SELFTEST_VM_H
#define THV_SELFTEST_VM_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <thv.h>
#include "module/stats.h"

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s64 s64;

#define BIT(n)		(1ULL << (n))
#define PAGE		4096UL

/* ---- the guest's address space: guests/guest.h has the same numbers ---- */

#define GUEST_GDT	0x1000UL
#define GUEST_TSS	0x1800UL	/* 64-bit */
#define GUEST_TSS32	0x1900UL	/* 32-bit, in use */
#define GUEST_TSS32_B	0x1a00UL	/* 32-bit, to switch to */
#define GUEST_IDT	0x2000UL
#define GUEST_PML4	0x3000UL
#define GUEST_PDPT	0x4000UL
#define GUEST_PD0	0x5000UL	/* the first GiB */
#define GUEST_PD3	0x6000UL	/* the fourth GiB, where the APIC is */
#define GUEST_PT	0x7000UL	/* the first 2 MiB, in pages of 4 KiB */
#define GUEST_PD32	0x8000UL	/* 32-bit paging: 4-MiB pages but for the first */
#define GUEST_PT32	0x9000UL
#define GUEST_RECORD	0xa000UL
#define GUEST_PDPT_PAE	0xb000UL
#define GUEST_IDT32	0xc000UL
#define GUEST_CODE	0x10000UL
#define GUEST_DONE	0x11000UL	/* where functions return to */
#define GUEST_IST	0x50000UL	/* stacks: their ends */
#define GUEST_STACK_USER 0x60000UL
#define GUEST_STACK0	0x70000UL	/* from CPL 3 to 0 */
#define GUEST_STACK	0x80000UL	/* vCPU n: below that by n * 256 */
#define GUEST_DATA	0x100000UL	/* free for the test */
#define GUEST_MEMORY	0x400000UL	/* size of slot 0 */
#define GUEST_HOLE	0x10000000UL	/* no memory, but mapped by the guest's tables */
#define GUEST_APIC	0xfee00000UL

#define GUEST_CS64	0x08
#define GUEST_DS	0x10
#define GUEST_CS32	0x18
#define GUEST_USER_CS32	0x23
#define GUEST_USER_DS	0x2b
#define GUEST_USER_CS64	0x33
#define GUEST_CS16	0x38
#define GUEST_DS16	0x40
#define GUEST_TR	0x48
#define GUEST_TR32	0x58
#define GUEST_TR32_B	0x60

#define PORT_DONE	0xf0
#define PORT_REPORT	0xf1
#define PORT_EXCEPTION	0xf2

/* What the guest's handler writes down: guests/guest.h */
struct guest_record {
	u64 resume;
	u64 kernel_rsp;
	u64 vector;		/* of the last event */
	u64 error;
	u64 rip;
	u64 cs;
	u64 rflags;
	u64 rsp;
	u64 ss;
	u64 cr2;
	u64 count;		/* of events */
	u64 shared;
	u8 pad[0x100 - 12 * 8];
	u8 log[256];
	u8 pad2[0x600];
	u64 hook[256];
};

/* ---- objects ---- */

struct vm;

struct vcpu {
	struct vm *vm;
	int fd;
	u32 id;
	struct thv_run *run;
};

struct vm {
	int fd;
	u32 id;
	u8 *mem;		/* slot 0, mapped at guest-physical 0 */
	size_t size;
	struct vcpu *vcpu;	/* vCPU 0 */
	struct guest_record *record;
	const struct thv_info *info;
};

/* The device, opened once per process, and what it says of itself */
int thv_device(void);
const struct thv_info *thv_info(void);
bool thv_offers(u64 feature);
bool thv_shadows(void);			/* VMs of this test program get shadow paging */
#define CPUID_7_EBX_INVPCID	(1U << 10)	/* not offered under shadow paging */
void vm_cpuid(struct thv_cpuid *cpuid);	/* THV_GET_CPUID, as a VM of this test program has it */	/* does the processor have it? */

struct vm_options {
	u32 flags;		/* THV_VM_* */
	u32 memory_flags;	/* THV_MEMORY_* of slot 0 */
	void *memory;		/* GUEST_MEMORY bytes; NULL: anonymous */
};

/* A VM with memory, tables and payload, and vCPU 0 in 64-bit mode */
#define vm_create(guest)	__vm_create(guest_##guest, guest_##guest##_end, NULL)
#define vm_create_with(guest, ...) \
	__vm_create(guest_##guest, guest_##guest##_end, &(struct vm_options){ __VA_ARGS__ })
struct vm *__vm_create(const void *code, const void *end, const struct vm_options *options);
struct vm *vm_create_bare(u32 flags);	/* no memory, no vCPU */
void vm_load(struct vm *vm, const void *code, const void *end);
struct vcpu *vcpu_create(struct vm *vm, u32 id);	/* as the kernel makes it: reset state */
void vcpu_close(struct vcpu *vcpu);
void vm_close(struct vm *vm);		/* and vCPU 0 */

/* The host's pointer to guest-physical @gpa of slot 0 */
#define vm_at(vm, gpa, type) ((type *)((vm)->mem + (gpa)))

/* ioctls that answer 0 or -errno */
int vm_set_memory(struct vm *vm, u32 slot, u32 flags, u64 gpa, u64 size, const void *hva);
int vcpu_get(struct vcpu *vcpu, u32 component, void *data, u32 size);
int vcpu_set(struct vcpu *vcpu, u32 component, const void *data, u32 size);
int vcpu_get_msr(struct vcpu *vcpu, u32 index, u64 *value);
int vcpu_set_msr(struct vcpu *vcpu, u32 index, u64 value);
int thv_ioctl(int fd, unsigned long cmd, void *arg);	/* the result, or -errno */

/* State that has to be there */
#define must_get(vcpu, component, data) \
	__must(vcpu_get(vcpu, component, data, sizeof(*(data))), "THV_GET_STATE of " #component, \
	       __FILE__, __LINE__)
#define must_set(vcpu, component, data) \
	__must(vcpu_set(vcpu, component, data, sizeof(*(data))), "THV_SET_STATE of " #component, \
	       __FILE__, __LINE__)
#define must(result) __must(result, #result, __FILE__, __LINE__)
int __must(int result, const char *what, const char *file, int line);

void vcpu_enable_apic(struct vcpu *vcpu);	/* by software, as an operating system would */

u64 vm_counter(struct vm *vm, unsigned int counter);	/* of THV_GET_STATS */
u64 vm_mapped(struct vm *vm);	/* pages mapped so far, those that came with a neighbour among them */
/* The level of the second-level page that is behind an address; 0: it is not mapped */
u32 vcpu_page_level(struct vcpu *vcpu, u64 gla);

/* ---- modes: registers and tables as they should be to run a function of the payload ---- */

void vcpu_mode64(struct vcpu *vcpu);
void vcpu_mode32(struct vcpu *vcpu, u64 cr3, u64 cr4, bool paging);
void vcpu_mode16(struct vcpu *vcpu);		/* real mode; CS = DS = ES = 0x1000, SS = 0 */
struct thv_segment segment_code(u32 selector);	/* as the GDT describes it */
void sregs_mode64(struct thv_sregs *sregs);

/* ---- running ---- */

/* THV_RUN: 0 or -errno. vcpu_run() calls again after -EINTR, as a launcher does. */
int vcpu_run_once(struct vcpu *vcpu);
int vcpu_run(struct vcpu *vcpu);

/* Run until this exit; any other ends the test with a sentence. */
#define run_until(vcpu, exit) __run_until(vcpu, exit, __FILE__, __LINE__)
void __run_until(struct vcpu *vcpu, u32 exit, const char *file, int line);

/* Prepare a call: of a function in 64-bit mode, with up to six arguments */
#define guest_start(vcpu, function, ...) \
	__guest_start(vcpu, function, (const u64[6]) { __VA_ARGS__ })
void __guest_start(struct vcpu *vcpu, u64 function, const u64 args[6]);

/* ... and run until it returns (with the value), or reports */
#define guest_finish(vcpu) __guest_port(vcpu, PORT_DONE, __FILE__, __LINE__)
#define guest_report(vcpu) __guest_port(vcpu, PORT_REPORT, __FILE__, __LINE__)
u64 __guest_port(struct vcpu *vcpu, u16 port, const char *file, int line);

#define guest_call(vcpu, function, ...) \
	(__guest_start(vcpu, function, (const u64[6]) { __VA_ARGS__ }), guest_finish(vcpu))

/* The launcher's part after an exit: results are in run->regs, the instruction is over */
void vcpu_complete(struct vcpu *vcpu, u32 length);
/* ... of an IN: its value; of an OUT: nothing */
void io_complete(struct vcpu *vcpu, u32 value);

/* ---- saying what happened ---- */

const char *exit_name(u32 exit);
void exit_print(struct vcpu *vcpu);
void __attribute__((format(printf, 3, 4), noreturn))
fail_at(const char *file, int line, const char *fmt, ...);
#define fail(...) fail_at(__FILE__, __LINE__, __VA_ARGS__)

/* ---- time ---- */

u64 now_us(void);
/* A SIGALRM after that time that makes THV_RUN return -EINTR, again and again; 0: no more */
void alarm_us(u64 us);

/* ---- payloads: GUEST(run) embeds guests/run.S; include "guests/run.h" for its symbols ---- */

#define GUEST(name)								\
	asm(".pushsection .rodata\n"						\
	    ".global guest_" #name ", guest_" #name "_end\n"			\
	    "guest_" #name ": .incbin \"guests/" #name ".bin\"\n"		\
	    "guest_" #name "_end:\n"						\
	    ".popsection\n");							\
	extern const u8 guest_##name[], guest_##name##_end[]

/* ---- for files that use the harness ---- */

/* How many times its time a test may take: THV_TEST_PATIENCE of the environment, for a host that is slow */
int test_patience(void);

/* What the processor must have for this test, else it is skipped. In FIXTURE_SETUP, too. */
#define REQUIRE(condition, ...)							\
	do {									\
		if (!(condition))						\
			SKIP(_exit(255), __VA_ARGS__);				\
	} while (0)
#define REQUIRE_FEATURE(name)							\
	REQUIRE(thv_offers(THV_FEATURE_##name), "this processor has no " #name)

/* No module: nothing to test, and that is no failure. @more: what else may be missing */
#define THV_TEST_MAIN	THV_TEST_MAIN_WITH()
#define THV_TEST_MAIN_WITH(more)						\
	static void __attribute__((constructor)) __constructor_order_last(void)	\
	{									\
		if (!__constructor_order)					\
			__constructor_order = _CONSTRUCTOR_ORDER_BACKWARD;	\
	}									\
	int main(int argc, char **argv)						\
	{									\
		struct __fixture_metadata *f;					\
		struct __test_metadata *t;					\
										\
		if (access("/dev/thv", F_OK))					\
			ksft_exit_skip("there is no /dev/thv: load thv.ko\n");	\
		more;								\
		for (f = __fixture_list; f; f = f->next)			\
			for (t = f->tests; t; t = t->next)			\
				t->timeout *= test_patience();			\
		return test_harness_run(argc, argv);				\
	}

#endif
