// SPDX-License-Identifier: GPL-2.0-only
// sources: userspace/vmm/emulate.c
// libs: -lZydis
/*
 * Any instruction bytes, in any mode, with any registers, in front of any memory:
 * whatever a guest puts there, emulate_exit() ends, stays inside its buffers (the
 * sanitizers look after that), uses its callbacks as emulate.h says and leaves
 * behind one of the states it may leave.
 *
 * With clang this is a libFuzzer target:
 *
 *	clang -g -O1 -fsanitize=fuzzer,address,undefined -I uapi -I userspace \
 *		selftests/fuzz/fuzz_emulate.c userspace/vmm/emulate.c -lZydis
 *
 * With any compiler it has a main() of its own, that makes up inputs: SEED says
 * from which number on, RUNS how many (0: for SECONDS, 5 unless told).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <asm/processor-flags.h>

#include "fuzz.h"
#include "vmm/emulate.h"

#define PAGE		4096ULL
#define FRAMES		8		/* guest RAM, each frame an allocation of its own */
#define DEVICE_BIT	(1ULL << 40)	/* gpa: not RAM */
#define CODE_GPA	(1ULL << 41)
#define MOST_EVENTS	(4 * 4096)	/* a call is bounded: so must be what devices see of it */

/* An input is read as this; what is missing is zero */
struct input {
	__u8 mode, exit, cpl, hint;
	__u8 code_offset, second_page;
	__u16 salt;			/* picks what a linear page leads to */
	__u32 cr0_cr4;
	__u64 rflags;
	__u64 seg_base[6];
	__u64 gpr[THV_GPRS];
	__u8 code[15];
	__u8 io;
};

static struct input input;
static struct thv_run run;
static __u8 *frame[FRAMES];
static __u8 *code[2];
static unsigned int events, writes;

/* ---- a machine made of the input ------------------------------------------ */

/* A linear page is RAM, a device or not there, for no reason but always the same */
static unsigned int page_kind(__u64 gla)
{
	__u64 mixed = ((gla / PAGE) ^ input.salt) * 0x9e3779b97f4a7c15ULL;

	return mixed >> 58;
}

static int canonical(__u64 gla)
{
	unsigned int shift = run.context.cr4 & X86_CR4_LA57 ? 7 : 16;

	if (run.context.code_bits != 64)
		return gla >> 32 == 0;
	return (__u64)((__s64)(gla << shift) >> shift) == gla;
}

static int fuzz_translate(void *opaque, __u64 gla, __u32 access, __u64 *gpa, __u32 *error_code)
{
	unsigned int kind = page_kind(gla);

	REQUIRE(opaque == &input);
	REQUIRE(canonical(gla));
	REQUIRE(!!(access & THV_ACCESS_USER) == (run.context.cpl == 3));
	if (access & THV_ACCESS_EXECUTE) {
		*gpa = CODE_GPA + gla % (2 * PAGE);
		*error_code = 0x10;
		return gla % (2 * PAGE) < PAGE && (input.second_page & 3) == 1;
	}
	*error_code = access & THV_ACCESS_WRITE ? 2 : 0;
	*gpa = (kind & 1 ? DEVICE_BIT : 0) + kind % FRAMES * PAGE + gla % PAGE;
	return kind > 60 || (kind > 56 && access & THV_ACCESS_WRITE);
}

/* The first code page is always RAM; the second (at the even address) may not be */
static void *fuzz_memory(void *opaque, __u64 gpa, __u32 len, int write)
{
	REQUIRE(opaque == &input);
	REQUIRE(len && gpa % PAGE + len <= PAGE);
	if (gpa & CODE_GPA)
		return gpa & PAGE ? code[0] + gpa % PAGE :
		       (input.second_page & 3) == 2 ? NULL : code[1] + gpa % PAGE;
	if (gpa & DEVICE_BIT || gpa / PAGE >= FRAMES || (write && gpa / PAGE == 6))
		return NULL;
	return frame[gpa / PAGE] + gpa % PAGE;
}

static void count_event(int write)
{
	writes += write;
	REQUIRE(events++ < MOST_EVENTS);
}

static void fuzz_mmio(void *opaque, __u64 gpa, void *data, __u32 len, int write)
{
	REQUIRE(opaque == &input);
	REQUIRE(len >= 1 && len <= 8 && gpa % PAGE + len <= PAGE);
	count_event(write);
	if (!write)
		memset(data, gpa, len);
}

static void fuzz_port(void *opaque, __u16 port, void *data, __u32 len, int write)
{
	REQUIRE(opaque == &input);
	REQUIRE(run.exit == THV_EXIT_IO && port == run.io.port && len == run.io.size);
	REQUIRE(write == !(run.io.flags & THV_IO_IN));
	count_event(write);
	if (!write)
		memset(data, port, len);
}

static const struct emulate_ops ops = { fuzz_translate, fuzz_memory, fuzz_mmio, fuzz_port };

static void prepare_exit(void)
{
	static const __u8 sizes[] = { 1, 2, 4, 4 };

	if (input.exit & 1) {
		run.exit = THV_EXIT_IO;
		run.io.port = input.gpr[THV_RDX];
		run.io.size = sizes[input.io & 3];
		run.io.flags = THV_IO_STRING | (input.io & 4 ? THV_IO_IN : 0);
		return;
	}
	run.exit = THV_EXIT_MMIO;
	run.mmio.flags = input.hint & (THV_MMIO_GLA | THV_MMIO_TABLE);
	run.mmio.gla = input.gpr[input.hint >> 4];
	run.mmio.gpa = DEVICE_BIT + run.mmio.gla % (FRAMES * PAGE);
	run.mmio.access = input.hint & 4 ? THV_ACCESS_READ | THV_ACCESS_WRITE : THV_ACCESS_READ;
}

/* Code ends or crosses at an odd page's end, which is where the second page follows */
static void prepare(void)
{
	static const __u32 modes[] = { 64, 64, 32, 16 };
	unsigned int offset = PAGE - 1 - input.code_offset % 32, n;

	memset(&run, 0, sizeof(run));
	memcpy(run.regs.gpr, input.gpr, sizeof(input.gpr));
	memcpy(run.context.seg_base, input.seg_base, sizeof(input.seg_base));
	run.context.seg_base[THV_CS] = 0;
	run.context.code_bits = modes[input.mode & 3];
	run.context.cpl = input.cpl & 3;
	run.context.cr0 = input.cr0_cr4;
	run.context.cr4 = input.cr0_cr4;
	run.regs.rflags = input.rflags;
	run.regs.rip = 0x10000000 + PAGE + offset;
	for (n = 0; n < sizeof(input.code); n++)
		code[(offset + n) / PAGE][(offset + n) % PAGE] = input.code[n];
	prepare_exit();
	events = writes = 0;
}

/* ---- what may have happened -------------------------------------------------- */

static void check_unchanged(const struct thv_run *before)
{
	REQUIRE(!memcmp(before, &run, sizeof(run)));
	REQUIRE(!events);
}

static void check_done(const struct thv_run *before)
{
	__u64 advance = run.regs.rip - before->regs.rip;

	REQUIRE(!((run.regs.rflags ^ before->regs.rflags) & ~0x108d5ULL));
	if (run.dirty & THV_DIRTY_COMPLETED && advance)
		REQUIRE(advance <= 15 && !(run.regs.rflags & X86_EFLAGS_RF));
	else
		REQUIRE(!advance);
	REQUIRE(!memcmp(&before->context, &run.context, sizeof(run.context)));
}

static void check_text(const char *text, size_t size)
{
	REQUIRE(memchr(text, 0, size));
	REQUIRE(!strncmp(text, "cannot emulate at 0x", 20));
}

static void one_exit(void)
{
	struct emulate_fault fault = { 0 };
	struct thv_run before;
	char text[160];

	prepare();
	before = run;
	switch (emulate_exit(&run, &ops, &input, &fault, text, sizeof(text))) {
	case EMULATE_DONE:
		REQUIRE(!run.dirty || (run.dirty & 3) == (THV_DIRTY_GPRS | THV_DIRTY_RIP));
		run.dirty ? check_done(&before) : check_unchanged(&before);
		break;
	case EMULATE_FAULT:
		REQUIRE(fault.vector >= 12 && fault.vector <= 17 && fault.has_error_code);
		check_unchanged(&before);
		break;
	case EMULATE_UNKNOWN:
		check_text(text, sizeof(text));
		check_unchanged(&before);
		break;
	}
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	unsigned int n;

	for (n = 0; n < FRAMES && !frame[n]; n++)
		frame[n] = calloc(1, PAGE);
	for (n = 0; n < 2 && !code[n]; n++)
		code[n] = calloc(1, PAGE);
	memset(&input, 0, sizeof(input));
	memcpy(&input, data, size < sizeof(input) ? size : sizeof(input));
	one_exit();
	return 0;
}

/* ---- without libFuzzer: inputs by dice ---------------------------------------- */

static __u64 seed = 1;

static __u64 dice(void)
{
	seed ^= seed >> 12;
	seed ^= seed << 25;
	seed ^= seed >> 27;
	return seed * 0x2545f4914f6cdd1dULL;
}

static void roll(void *to, size_t size)
{
	__u8 *byte = to;

	while (size--)
		*byte++ = dice() >> 56;
}

/* Of random bytes few are instructions and fewer ours: start with prefixes and an opcode that is */
static void make_code(__u8 *to)
{
	static const __u8 prefixes[] = {
		0xf0, 0xf2, 0xf3, 0x66, 0x67, 0x65, 0x64, 0x36, 0x26, 0x2e, 0x3e,
	};
	static const __u8 opcodes[] = {
		0x00, 0x01, 0x02, 0x03, 0x08, 0x11, 0x1b, 0x20, 0x29, 0x32, 0x3b, 0x63,
		0x6c, 0x6d, 0x6e, 0x6f, 0x80, 0x81, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88,
		0x89, 0x8a, 0x8b, 0x8c, 0x8e, 0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6,
		0xa7, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf, 0xc6, 0xc7, 0xf6, 0xf7, 0xfe,
	};
	static const __u8 two[] = {
		0xa3, 0xab, 0xb0, 0xb1, 0xb3, 0xb6, 0xb7, 0xba, 0xbb, 0xbe, 0xbf, 0xc0, 0xc1, 0xc3,
	};
	unsigned int n = 0;

	while (n < 4 && dice() % 3 == 0)
		to[n++] = prefixes[dice() % sizeof(prefixes)];
	if (dice() & 1)
		to[n++] = 0x40 | dice() % 16;
	if (dice() % 3) {
		to[n++] = opcodes[dice() % sizeof(opcodes)];
	} else {
		to[n++] = 0x0f;
		to[n++] = two[dice() % sizeof(two)];
	}
}

static void make_input(struct input *made)
{
	roll(made, sizeof(*made));
	if (dice() % 8)
		make_code(made->code);
	if (dice() % 4)				/* else a REP goes on for ever, or does nothing */
		made->gpr[THV_RCX] %= 3000;
	made->rflags &= dice();
	if (dice() % 2)				/* most random addresses are not canonical */
		for (unsigned int n = 0; n < THV_GPRS; n++)
			made->gpr[n] = (__s64)(made->gpr[n] << 16) >> 16;
}

static unsigned long setting(const char *name, unsigned long otherwise)
{
	return getenv(name) ? strtoul(getenv(name), NULL, 0) : otherwise;
}

/* Weak: where libFuzzer is linked in, its main() is the one */
__attribute__((weak)) int main(void)
{
	unsigned long runs = setting("RUNS", 0), n, first = setting("SEED", 1);
	time_t end = time(NULL) + setting("SECONDS", 5);
	struct input made;

	seed = first * 2 + 1;
	for (n = 0; runs ? n < runs : n % 256 || time(NULL) < end; n++) {
		make_input(&made);
		LLVMFuzzerTestOneInput((const unsigned char *)&made, sizeof(made));
	}
	printf("ok 1 - %lu made-up exits from seed %lu leave nothing broken\n1..1\n", n, first);
	return 0;
}
