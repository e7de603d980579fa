// SPDX-License-Identifier: GPL-2.0-only
// sources: userspace/vmm/emulate.c
// libs: -lZydis
/*
 * Instruction emulation against the real processor, and against the manual.
 *
 * The first half makes random instructions of every form that is emulated, lets the
 * processor we run on execute each on a buffer, lets the emulator do the same on a
 * copy whose pages are partly RAM and partly a device, and compares registers,
 * flags and memory: in 64-bit mode, and through far calls in 32-bit and 16-bit
 * code too. The second half are single claims about what the processor would not
 * show: faults, splits, batches, ports.
 *
 * SEED=n repeats a run, CASES=n sets the random cases a form.
 */
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <asm/ldt.h>
#include <asm/prctl.h>
#include <asm/processor-flags.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "tap.h"
#include "vmm/emulate.h"

#define PAGE		0x1000ULL
#define NATIVE		0x10000000ULL	/* what native code needs, below 4 GiB: data, stack, code */
#define STACK_END	(NATIVE + 2 * PAGE)
#define CODE		(NATIVE + 2 * PAGE)
#define CODE_SIZE	(2 * PAGE)
#define BUFFER		0x20000000ULL	/* what instructions act on */
#define PAGES		20ULL
#define BUFFER_SIZE	(PAGES * PAGE)
#define GS_BASE		(BUFFER + PAGE)	/* 16-bit addresses need a segment: 64 KiB from here */
#define ES_BASE		(BUFFER + 2 * PAGE)
#define LAST_4G		0xffffffffULL	/* its page is the buffer's last, and page 0 the first */
#define LAST_CANONICAL	0x7fffffffffffULL	/* its page is the code's first */

#define ARITHMETIC	(X86_EFLAGS_CF | X86_EFLAGS_PF | X86_EFLAGS_AF | X86_EFLAGS_ZF | \
			 X86_EFLAGS_SF | X86_EFLAGS_OF)
#define COMPLETED	(THV_DIRTY_GPRS | THV_DIRTY_RIP | THV_DIRTY_COMPLETED)
#define PARTLY		(THV_DIRTY_GPRS | THV_DIRTY_RIP)

/* ---- the machine the emulator sees ---------------------------------------- */

struct guest_page {
	__u64 gpa;
	int device, readonly;
	__u32 denied;		/* THV_ACCESS_* that fault */
};

/* Pages of the buffer, then those of the code */
static struct guest_page pages[PAGES + CODE_SIZE / PAGE];
static __u8 guest[BUFFER_SIZE];		/* behind the buffer's pages, be they RAM or device */
static char events[4096];		/* what the device and the ports saw, if wanted */
static int events_wanted;
static unsigned int translations;
static int rewriting;			/* code changes while its operands are looked up */
static __u32 last_access;
static __u32 port_value;

static struct thv_run run;
static struct emulate_fault fault;
static char text[256];

static void event(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void event(const char *format, ...)
{
	size_t used = strlen(events);
	va_list arguments;

	if (!events_wanted)
		return;
	va_start(arguments, format);
	vsnprintf(events + used, sizeof(events) - used, format, arguments);
	va_end(arguments);
}

static struct guest_page *page_of(__u64 gla)
{
	if (gla >= BUFFER && gla < BUFFER + BUFFER_SIZE)
		return &pages[(gla - BUFFER) / PAGE];
	if (gla >= CODE && gla < CODE + CODE_SIZE)
		return &pages[PAGES + (gla - CODE) / PAGE];
	if (gla < PAGE)
		return &pages[0];
	if (gla / PAGE == LAST_4G / PAGE)
		return &pages[PAGES - 1];
	return gla / PAGE == LAST_CANONICAL / PAGE ? &pages[PAGES] : NULL;
}

static int fake_translate(void *opaque, __u64 gla, __u32 access, __u64 *gpa, __u32 *error_code)
{
	struct guest_page *page = page_of(gla);

	if (!(access & THV_ACCESS_EXECUTE)) {
		translations++;
		last_access = access;
		if (rewriting)
			memset((void *)CODE, 0x90, PAGE);
	}
	if (!page || page->denied & access) {
		*error_code = access & THV_ACCESS_WRITE ? 3 : 1;
		return 1;
	}
	*gpa = page->gpa + gla % PAGE;
	return 0;
}

static __u8 *behind(__u64 gpa, struct guest_page **page)
{
	unsigned int n;
	__u8 *at;

	for (n = 0; n < sizeof(pages) / sizeof(pages[0]); n++) {
		if (gpa - gpa % PAGE != pages[n].gpa)
			continue;
		*page = &pages[n];
		at = n < PAGES ? guest + n * PAGE : (__u8 *)CODE + (n - PAGES) * PAGE;
		return at + gpa % PAGE;
	}
	return NULL;
}

static void *fake_memory(void *opaque, __u64 gpa, __u32 len, int write)
{
	struct guest_page *page;
	__u8 *at = behind(gpa, &page);

	tap_check(gpa % PAGE + len <= PAGE, "memory() crosses a page: %llx + %x", gpa, len);
	return at && !page->device && !(page->readonly && write) ? at : NULL;
}

static void fake_mmio(void *opaque, __u64 gpa, void *data, __u32 len, int write)
{
	struct guest_page *page = NULL;
	__u8 *at = behind(gpa, &page);

	if (!tap_check(at && len >= 1 && len <= 8 && gpa % PAGE + len <= PAGE,
		       "impossible device access: %llx, %u bytes", gpa, len))
		return;
	event("%s%u@%llx ", write ? "w" : "r", len, gpa);
	if (write)
		memcpy(at, data, len);
	else
		memcpy(data, at, len);
}

static void fake_port(void *opaque, __u16 port, void *data, __u32 len, int write)
{
	__u32 value = 0;

	if (write) {
		memcpy(&value, data, len);
		event("out%u@%x=%x ", len, port, value);
	} else {
		value = port_value++;
		memcpy(data, &value, len);
		event("in%u@%x ", len, port);
	}
}

static const struct emulate_ops ops = { fake_translate, fake_memory, fake_mmio, fake_port };

static enum emulate_result emulate(void)
{
	return emulate_exit(&run, &ops, NULL, &fault, text, sizeof(text));
}

/* ---- random ---------------------------------------------------------------- */

static __u64 seed = 1;
static unsigned int cases = 1000;

/* xorshift64* */
static __u64 random64(void)
{
	seed ^= seed >> 12;
	seed ^= seed << 25;
	seed ^= seed >> 27;
	return seed * 0x2545f4914f6cdd1dULL;
}

static unsigned int below(unsigned int n)
{
	return (random64() >> 32) % n;
}

static int chance(unsigned int percent)
{
	return below(100) < percent;
}

/* Numbers at which arithmetic goes wrong come more often than they would by themselves */
static __u64 random_value(void)
{
	static const __u64 corners[] = {
		0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff,
		~0ULL >> 1, 1ULL << 63, ~0ULL, 0x0f, 0x10,
	};

	return chance(30) ? corners[below(sizeof(corners) / sizeof(corners[0]))] : random64();
}

/* ---- the real processor ---------------------------------------------------- */

/* At NATIVE; the generated code addresses it absolutely */
struct exchange {
	__u64 in[THV_GPRS], out[THV_GPRS];
	__u64 flags, host_rsp;
	__u64 guest_stack;		/* for the far call */
	__u32 target;
	__u16 target_selector;
};

#define native	((struct exchange *)NATIVE)
#define AT(field) ((__u32)(NATIVE + offsetof(struct exchange, field)))

enum { LDT_ES = 0x07, LDT_GS = 0x0f, LDT_CODE16 = 0x17, USER_DATA = 0x2b, USER_CODE32 = 0x23 };

static __u8 *emitted;

static void emit(unsigned int count, ...)
{
	va_list bytes;

	va_start(bytes, count);
	while (count--)
		*emitted++ = va_arg(bytes, int);
	va_end(bytes);
}

static void emit32(__u32 value)
{
	memcpy(emitted, &value, 4);
	emitted += 4;
}

/* MOV between a register and an absolute address: 0x8b loads, 0x89 stores */
static void emit_move(unsigned int bits, __u8 opcode, unsigned int gpr, __u32 address)
{
	if (bits == 64)
		emit(4, 0x48 | (gpr >> 3) << 2, opcode, (gpr & 7) << 3 | 4, 0x25);
	else if (bits == 32)
		emit(2, opcode, gpr << 3 | 5);
	else
		emit(4, 0x66, 0x67, opcode, gpr << 3 | 5);
	emit32(address);
}

/* Load all registers, do the instruction, store all registers: MOV leaves flags alone */
static void emit_instruction(unsigned int bits, const __u8 *bytes, unsigned int length, __u8 *at)
{
	unsigned int n, gprs = bits == 64 ? 16 : 8;

	for (n = 0; n < gprs; n++)
		emit_move(bits, 0x8b, n, AT(in) + 8 * n);
	while (emitted < at)
		emit(1, 0x90);
	memcpy(emitted, bytes, length);
	emitted += length;
	for (n = 0; n < gprs; n++)
		emit_move(bits, 0x89, n, AT(out) + 8 * n);
}

/* 32- or 16-bit code in the second page, called from the first; the way back is on the stack */
static void emit_far(unsigned int bits, const __u8 *bytes, unsigned int length, __u8 *at)
{
	__u8 *back;

	native->guest_stack = STACK_END;
	native->target = bits == 32 ? CODE + PAGE : PAGE;
	native->target_selector = bits == 32 ? USER_CODE32 : LDT_CODE16;
	emit_move(64, 0x8b, THV_RSP, AT(guest_stack));
	emit(3, 0xff, 0x1c, 0x25);			/* lcall *target */
	emit32(AT(target));
	back = emitted;
	emitted = (__u8 *)CODE + PAGE;
	emit_instruction(bits, bytes, length, at);
	if (bits == 16)
		emit(1, 0x66);
	emit(1, 0xbc);					/* mov $..., %esp */
	emit32(STACK_END - 8);
	if (bits == 16)
		emit(1, 0x66);
	emit(1, 0xcb);					/* lret */
	emitted = back;
}

/* The instruction is placed at @at, which is where the emulator is told it is */
static void run_natively(unsigned int bits, const __u8 *bytes, unsigned int length, __u8 *at)
{
	emitted = (__u8 *)CODE;
	/* push rbx, rbp, r12, r13, r14, r15 */
	emit(10, 0x53, 0x55, 0x41, 0x54, 0x41, 0x55, 0x41, 0x56, 0x41, 0x57);
	emit_move(64, 0x89, THV_RSP, AT(host_rsp));
	emit(3, 0xff, 0x34, 0x25);			/* push flags */
	emit32(AT(flags));
	emit(1, 0x9d);					/* popfq */
	if (bits == 64)
		emit_instruction(bits, bytes, length, at);
	else
		emit_far(bits, bytes, length, at);
	emit_move(64, 0x8b, THV_RSP, AT(host_rsp));
	emit(2, 0x9c, 0x8f);				/* pushfq, pop flags */
	emit(2, 0x04, 0x25);
	emit32(AT(flags));
	emit(1, 0xfc);					/* cld */
	emit(10, 0x41, 0x5f, 0x41, 0x5e, 0x41, 0x5d, 0x41, 0x5c, 0x5d, 0x5b);
	emit(1, 0xc3);
	((void (*)(void))CODE)();
}

static int set_segment(unsigned int entry, __u64 base, int code16)
{
	struct user_desc descriptor = {
		.entry_number = entry, .base_addr = base, .limit = 0xfffff, .limit_in_pages = 1,
		.seg_32bit = !code16, .contents = code16 ? 2 : 0, .useable = 1,
	};

	return syscall(SYS_modify_ldt, 1, &descriptor, sizeof(descriptor)) == 0;
}

static void *map(__u64 address, __u64 size, int protection)
{
	return mmap((void *)address, size, protection,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
}

static int prepare_memory(void)
{
	return map(NATIVE, 2 * PAGE, PROT_READ | PROT_WRITE) == (void *)NATIVE &&
	       map(CODE, CODE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC) == (void *)CODE &&
	       map(BUFFER, BUFFER_SIZE, PROT_READ | PROT_WRITE) == (void *)BUFFER;
}

/* 64-bit code pays no heed to DS and ES, and GS is nobody's here: they may stay so */
static int prepare_segments(void)
{
	if (!set_segment(0, ES_BASE, 0) || !set_segment(1, GS_BASE, 0) || !set_segment(2, CODE, 1))
		return 0;
	__asm__ volatile("mov %0, %%ds\n\tmov %1, %%es\n\tmov %2, %%gs"
			 : : "r"(USER_DATA), "r"(LDT_ES), "r"(LDT_GS));
	return 1;
}

/* In a process that may die of it: some kernels take an LDT and then let nobody use it */
static void try_segments(void)
{
	static const __u8 nop[] = { 0x90 };

	signal(SIGSEGV, SIG_DFL);
	signal(SIGBUS, SIG_DFL);
	signal(SIGILL, SIG_DFL);
	if (!prepare_segments())
		_exit(1);
	run_natively(32, nop, sizeof(nop), (__u8 *)CODE + PAGE + 100);
	run_natively(16, nop, sizeof(nop), (__u8 *)CODE + PAGE + 100);
	_exit(0);
}

static int segments_work(void)
{
	int status = -1;
	pid_t pid = fork();

	if (!pid)
		try_segments();
	return pid > 0 && waitpid(pid, &status, 0) == pid && !status;
}

/* Enough for 64-bit code: GS by its base alone */
static int prepare_gs(void)
{
	return !syscall(SYS_arch_prctl, ARCH_SET_GS, GS_BASE);
}

/* ---- random instructions ---------------------------------------------------- */

enum { REGISTER = -1 };			/* form.digit: ModRM.reg is a register */
enum immediate { NONE, BYTE, FULL, ADDRESS };

/* form.flags */
#define BYTES		0x01	/* a byte form at opcode, the others at opcode + 1 */
#define LOCK		0x02	/* may have the prefix */
#define BITS		0x04	/* ModRM.reg is a bit number, and far */
#define NOT_16		0x08
#define ONLY_64		0x10
#define FROM_8		0x20	/* the memory operand's size, whatever the register's */
#define FROM_16		0x40
#define EQUAL		0x80	/* make the accumulator equal to memory half of the time */

struct form {
	const char *name;
	__u16 opcode;		/* 0x0fXX has two bytes */
	int digit;
	enum immediate immediate;
	__u8 flags;
	__u32 undefined;	/* arithmetic flags the manual leaves undefined */
};

#define ALU(name, n, lock, undefined)							\
	{ name " m, r",	   8 * (n),	REGISTER, NONE, BYTES | (lock), undefined },	\
	{ name " r, m",	   8 * (n) + 2,	REGISTER, NONE, BYTES, undefined },		\
	{ name " m, imm",  0x80,	n,	  FULL, BYTES | (lock), undefined },	\
	{ name " m, imm8", 0x83,	n,	  BYTE, (lock), undefined }

#define BIT_UNDEFINED	(ARITHMETIC & ~(X86_EFLAGS_CF | X86_EFLAGS_ZF))
#define BIT(name, opcode, n, lock)							\
	{ name " m, r",	   opcode,	REGISTER, NONE, BITS | (lock), BIT_UNDEFINED },	\
	{ name " m, imm8", 0x0fba,	n,	  BYTE, (lock), BIT_UNDEFINED }

static const struct form forms[] = {
	{ "mov m, r",	   0x88,   REGISTER, NONE, BYTES, 0 },
	{ "mov r, m",	   0x8a,   REGISTER, NONE, BYTES, 0 },
	{ "mov m, imm",	   0xc6,   0, FULL, BYTES, 0 },
	{ "mov a, moffs",  0xa0,   REGISTER, ADDRESS, BYTES, 0 },
	{ "mov moffs, a",  0xa2,   REGISTER, ADDRESS, BYTES, 0 },
	{ "movzx r, m8",   0x0fb6, REGISTER, NONE, FROM_8, 0 },
	{ "movzx r, m16",  0x0fb7, REGISTER, NONE, FROM_16, 0 },
	{ "movsx r, m8",   0x0fbe, REGISTER, NONE, FROM_8, 0 },
	{ "movsx r, m16",  0x0fbf, REGISTER, NONE, FROM_16, 0 },
	{ "movsxd r, m",   0x63,   REGISTER, NONE, ONLY_64, 0 },
	{ "movnti m, r",   0x0fc3, REGISTER, NONE, NOT_16, 0 },
	ALU("add", 0, LOCK, 0),
	ALU("or",  1, LOCK, X86_EFLAGS_AF),
	ALU("adc", 2, LOCK, 0),
	ALU("sbb", 3, LOCK, 0),
	ALU("and", 4, LOCK, X86_EFLAGS_AF),
	ALU("sub", 5, LOCK, 0),
	ALU("xor", 6, LOCK, X86_EFLAGS_AF),
	ALU("cmp", 7, 0, 0),
	{ "test m, r",	   0x84,   REGISTER, NONE, BYTES, X86_EFLAGS_AF },
	{ "test m, imm",   0xf6,   0, FULL, BYTES, X86_EFLAGS_AF },
	{ "test alias",	   0xf6,   1, FULL, BYTES, X86_EFLAGS_AF },
	{ "not m",	   0xf6,   2, NONE, BYTES | LOCK, 0 },
	{ "neg m",	   0xf6,   3, NONE, BYTES | LOCK, 0 },
	{ "inc m",	   0xfe,   0, NONE, BYTES | LOCK, 0 },
	{ "dec m",	   0xfe,   1, NONE, BYTES | LOCK, 0 },
	{ "xchg m, r",	   0x86,   REGISTER, NONE, BYTES | LOCK, 0 },
	{ "xadd m, r",	   0x0fc0, REGISTER, NONE, BYTES | LOCK, 0 },
	{ "cmpxchg m, r",  0x0fb0, REGISTER, NONE, BYTES | LOCK | EQUAL, 0 },
	BIT("bt",  0x0fa3, 4, 0),
	BIT("bts", 0x0fab, 5, LOCK),
	BIT("btr", 0x0fb3, 6, LOCK),
	BIT("btc", 0x0fbb, 7, LOCK),
};

/* Without ModRM: opcodes of strings */
static const struct form string_forms[] = {
	{ "movs", 0xa4, 0, NONE, BYTES, 0 },
	{ "cmps", 0xa6, 0, NONE, BYTES, 0 },
	{ "stos", 0xaa, 0, NONE, BYTES, 0 },
	{ "lods", 0xac, 0, NONE, BYTES, 0 },
	{ "scas", 0xae, 0, NONE, BYTES, 0 },
};

struct instruction {
	unsigned int bits, size, address_bits;
	__u64 at;		/* linear */
	__u64 operand;		/* linear, of the memory operand; BITS: of its bit 0 */
	__u8 rex, with_gs;
	__u8 prefix[6], body[15], bytes[15];
	unsigned int prefixes, bodies, length;
	unsigned int rip_relative;	/* where in body the displacement is; 0: nowhere */
	__u64 gpr[THV_GPRS];
};

static void put(struct instruction *i, __u64 value, unsigned int size)
{
	memcpy(i->body + i->bodies, &value, size);
	i->bodies += size;
}

static __u64 address_mask(const struct instruction *i)
{
	return ~0ULL >> (64 - i->address_bits);
}

/* What the address registers must add up to */
static __u64 wanted_offset(const struct instruction *i)
{
	return i->operand - (i->with_gs ? GS_BASE : 0);
}

/* A register used as an address is only looked at as wide as addresses are */
static void set_term(struct instruction *i, unsigned int gpr, __u64 value)
{
	__u64 mask = address_mask(i);

	i->gpr[gpr] = (value & mask) | (random64() & ~mask);
}

static void put_address16(struct instruction *i, unsigned int reg)
{
	static const struct { __s8 base, index; } terms[8] = {
		{ THV_RBX, THV_RSI }, { THV_RBX, THV_RDI },
		{ THV_RBP, THV_RSI }, { THV_RBP, THV_RDI },
		{ THV_RSI, -1 }, { THV_RDI, -1 }, { THV_RBP, -1 }, { THV_RBX, -1 },
	};
	unsigned int rm = below(8), mod = below(3);
	__u64 displacement = mod == 0 ? 0 : mod == 1 ? (__u64)(__s8)random64() :
						       random64() & 0xffff;

	put(i, mod << 6 | (reg & 7) << 3 | rm, 1);
	if (mod == 0 && rm == 6) {
		put(i, wanted_offset(i), 2);
		return;
	}
	put(i, displacement, mod);
	if (terms[rm].index >= 0) {
		set_term(i, terms[rm].index, random64());
		displacement += i->gpr[terms[rm].index];
	}
	set_term(i, terms[rm].base, wanted_offset(i) - displacement);
}

/* [disp32], which in 64-bit mode takes a SIB byte, or [rip + disp32] */
static void put_absolute(struct instruction *i, unsigned int reg)
{
	if (i->bits == 64 && chance(50)) {
		put(i, (reg & 7) << 3 | 5, 1);
		i->rip_relative = i->bodies;
	} else {
		put(i, (reg & 7) << 3 | 4, 1);
		put(i, 0x25, 1);
	}
	put(i, wanted_offset(i), 4);
}

/* [base + index * scale + displacement] with registers other than @but */
static void put_sib(struct instruction *i, unsigned int reg, int but)
{
	unsigned int gprs = i->bits == 64 ? 16 : 8;
	unsigned int base, index, scale = below(4), mod = 1 + below(2);
	__u64 displacement = mod == 1 ? (__u64)(__s8)random64() : (__u64)(__s32)random64();

	do {
		base = below(gprs);
		index = below(gprs);
	} while ((int)base == but || (int)index == but || index == base || index == THV_RSP);
	i->rex |= base >> 3 | (index >> 3) << 1;
	put(i, mod << 6 | (reg & 7) << 3 | 4, 1);
	put(i, scale << 6 | (index & 7) << 3 | (base & 7), 1);
	put(i, displacement, mod == 1 ? 1 : 4);
	set_term(i, index, random64());
	set_term(i, base, wanted_offset(i) - displacement - (i->gpr[index] << scale));
}

static void put_base(struct instruction *i, unsigned int reg, int but)
{
	unsigned int base;

	do {
		base = below(i->bits == 64 ? 16 : 8);
	} while ((int)base == but || (base & 7) == 4 || (base & 7) == 5);
	i->rex |= base >> 3;
	put(i, (reg & 7) << 3 | (base & 7), 1);
	set_term(i, base, wanted_offset(i));
}

static void put_address(struct instruction *i, unsigned int reg, int but)
{
	if (i->address_bits == 16)
		put_address16(i, reg);
	else if (chance(20))
		put_absolute(i, reg);
	else if (chance(50))
		put_sib(i, reg, but);
	else
		put_base(i, reg, but);
}

/* Somewhere in the buffer, often at a page's end, and where 16 bits can address it */
static void choose_operand(struct instruction *i)
{
	unsigned int page = 4 + below(PAGES - 8);
	unsigned int offset = chance(50) ? PAGE - 9 + below(18) : below(PAGE);

	i->with_gs = i->address_bits == 16 || chance(20);
	i->operand = BUFFER + page * PAGE + offset;
	if (i->address_bits == 16 && chance(10))
		i->operand = GS_BASE + (chance(50) ? below(4) : 0xffff - below(10));
}

static void choose_sizes(struct instruction *i, const struct form *form)
{
	static const unsigned int sizes[] = { 1, 2, 4, 8 };

	do {
		i->size = sizes[below(i->bits == 64 ? 4 : 3)];
	} while ((i->size == 1 && !(form->flags & BYTES)) ||
		 (i->size == 2 && form->flags & NOT_16));
	i->address_bits = i->bits;
	if (i->bits == 64 && chance(20))
		i->address_bits = 32;
	if (i->bits != 64 && chance(50))
		i->address_bits = 16 + 32 - i->bits;
}

/* MOVNTI has no 16-bit form, so no prefix chooses one; in 16-bit code it still moves 32 bits */
static void choose_prefixes(struct instruction *i, const struct form *form)
{
	if (i->size > 1 && (i->size == 2) != (i->bits == 16) && !(form->flags & NOT_16))
		i->prefix[i->prefixes++] = 0x66;
	if (i->size == 8)
		i->rex |= 0x48;
	if (i->address_bits != i->bits)
		i->prefix[i->prefixes++] = 0x67;
	if (i->with_gs)
		i->prefix[i->prefixes++] = 0x65;
}

/* Prefixes, REX, body; a RIP-relative displacement can only now be known */
static void assemble(struct instruction *i)
{
	__u32 displacement;

	memcpy(i->bytes, i->prefix, i->prefixes);
	i->length = i->prefixes;
	if (i->rex)
		i->bytes[i->length++] = i->rex | 0x40;
	if (i->rip_relative) {
		displacement = wanted_offset(i) - (i->at + i->length + i->bodies);
		memcpy(i->body + i->rip_relative, &displacement, 4);
	}
	memcpy(i->bytes + i->length, i->body, i->bodies);
	i->length += i->bodies;
}

static void begin_instruction(struct instruction *i, const struct form *form, unsigned int bits)
{
	unsigned int n;

	*i = (struct instruction){ .bits = bits };
	i->at = CODE + (bits == 64 ? 0x180 : PAGE + 0x100) + below(256);
	for (n = 0; n < THV_GPRS; n++)
		i->gpr[n] = random_value();
	choose_sizes(i, form);
}

static void put_opcode(struct instruction *i, const struct form *form)
{
	if (form->opcode >> 8)
		put(i, form->opcode >> 8, 1);
	put(i, (form->opcode & 0xff) + (form->flags & BYTES && i->size > 1), 1);
}

static void put_immediate(struct instruction *i, const struct form *form)
{
	if (form->immediate == BYTE)
		put(i, random_value(), 1);
	else if (form->immediate == FULL)
		put(i, random_value(), i->size == 8 ? 4 : i->size);
	else if (form->immediate == ADDRESS)
		put(i, wanted_offset(i), i->address_bits / 8);
}

/* A bit number that stays in the buffer: two pages to either side */
static void set_bit_number(struct instruction *i, unsigned int reg)
{
	__u64 number = (__s64)below(1 << 16) - (1 << 15);

	i->gpr[reg] = i->size == 2 ? (number & 0xffff) | (random64() << 16) :
		      i->size == 4 ? (number & 0xffffffff) | (random64() << 32) : number;
}

static void make_instruction(struct instruction *i, const struct form *form, unsigned int bits)
{
	unsigned int reg = form->digit;

	begin_instruction(i, form, bits);
	choose_operand(i);
	if (form->digit == REGISTER) {
		reg = below(bits == 64 ? 16 : 8);
		i->rex |= (reg >> 3) << 2;
	}
	if (form->flags & BITS)
		set_bit_number(i, reg);
	if (form->flags & LOCK && chance(30))
		i->prefix[i->prefixes++] = 0xf0;
	choose_prefixes(i, form);
	if (i->size == 1 && bits == 64 && chance(40))
		i->rex |= 0x40;			/* SPL for AH and so on */
	put_opcode(i, form);
	if (form->immediate != ADDRESS)
		put_address(i, reg, form->flags & BITS ? (int)reg : -1);
	put_immediate(i, form);
	assemble(i);
}

static void make_string(struct instruction *i, const struct form *form, unsigned int bits)
{
	static const __u8 repeats[] = { 0xf3, 0xf3, 0xf2 };
	__u64 destination;

	begin_instruction(i, form, bits);
	choose_operand(i);
	destination = BUFFER + 8 * PAGE + below(3 * PAGE) - (bits == 64 ? 0 : ES_BASE);
	if (i->address_bits == 16 && chance(10))
		destination = chance(50) ? below(100) : 0xffff - below(100);
	if (chance(70))
		i->gpr[THV_RAX] = 0x0101010101010101ULL;
	set_term(i, THV_RSI, wanted_offset(i));
	set_term(i, THV_RDI, destination);
	set_term(i, THV_RCX, 1 + below(60));
	if (chance(70))
		i->prefix[i->prefixes++] = repeats[below(3)];
	choose_prefixes(i, form);
	put_opcode(i, form);
	assemble(i);
}

/* ---- both, side by side ------------------------------------------------------ */

static void fill_buffer(int alike)
{
	__u64 *word = (__u64 *)BUFFER;
	unsigned int n;

	for (n = 0; n < BUFFER_SIZE / 8; n++)
		word[n] = alike ? 0x0101010101010101ULL * chance(97) : random64();
}

/* Which pages are RAM, and where each is, changes with each case: no two are neighbours */
static void shuffle_pages(void)
{
	unsigned int n, first = below(PAGES);

	for (n = 0; n < PAGES; n++)
		pages[n] = (struct guest_page){
			.gpa = 0xf0000000 + 2 * PAGE * ((first + 3 * n) % PAGES),
			.device = chance(60),
		};
	for (; n < PAGES + CODE_SIZE / PAGE; n++)
		pages[n] = (struct guest_page){ .gpa = CODE + PAGE * (n - PAGES) };
}

static void set_run(const struct instruction *i, __u64 flags)
{
	__u64 cs_base = i->bits == 16 ? CODE : 0;

	memset(&run, 0, sizeof(run));
	memcpy(run.regs.gpr, i->gpr, sizeof(i->gpr));
	run.regs.rip = i->at - cs_base;
	run.regs.rflags = flags;
	run.context.code_bits = i->bits;
	run.context.seg_base[THV_CS] = cs_base;
	run.context.seg_base[THV_GS] = GS_BASE;
	run.context.seg_base[THV_ES] = ES_BASE;		/* to be ignored in 64-bit mode */
	run.exit = THV_EXIT_MMIO;
	run.mmio.flags = THV_MMIO_TABLE;		/* no help with the address */
}

/* Half of the time the exit tells the truth about the memory operand */
static void set_hint(const struct instruction *i)
{
	if (chance(50))
		return;
	run.mmio.gla = i->operand;
	run.mmio.gpa = page_of(i->operand)->gpa + i->operand % PAGE;
	run.mmio.access = THV_ACCESS_READ | THV_ACCESS_WRITE;
	run.mmio.flags = chance(50) ? THV_MMIO_GLA : 0;
}

/* The guest runs on until the instruction is done; a locked one on RAM is left to it */
static int emulate_to_end(void)
{
	struct thv_regs before = run.regs;
	unsigned int n, calls = 0;

	do {
		run.dirty = 0;
		if (!tap_check(calls++ < 100, "no end"))
			return 0;
		if (!tap_check(emulate() == EMULATE_DONE, "not done: %s", text))
			return 0;
		if (!run.dirty) {
			tap_check(!memcmp(&before, &run.regs, sizeof(before)),
			       "changed though left alone");
			for (n = 0; n < PAGES; n++)
				pages[n].device = 1;
		}
	} while (run.dirty != COMPLETED);
	return 1;
}

static void tell(const struct instruction *i, __u64 flags)
{
	unsigned int n;

	printf("# %u-bit, at %llx, operand %llx, flags %llx:", i->bits, i->at, i->operand, flags);
	for (n = 0; n < i->length; n++)
		printf(" %02x", i->bytes[n]);
	printf("\n");
}

static int same_registers(const struct instruction *i)
{
	__u64 mask = i->bits == 64 ? ~0ULL : 0xffffffff;
	unsigned int n;
	int same = 1;

	for (n = 0; n < (i->bits == 64 ? 16 : 8); n++)
		same &= tap_check(!((native->out[n] ^ run.regs.gpr[n]) & mask),
				  "register %u: processor %llx, emulator %llx, before %llx",
				  n, native->out[n], run.regs.gpr[n], i->gpr[n]);
	return same;
}

static int same_memory(void)
{
	unsigned int n;

	if (!memcmp(guest, (void *)BUFFER, BUFFER_SIZE))
		return 1;
	for (n = 0; guest[n] == ((__u8 *)BUFFER)[n]; n++)
		;
	return tap_check(0, "memory at %llx: processor %02x, emulator %02x",
			 BUFFER + n, ((__u8 *)BUFFER)[n], guest[n]);
}

static int compare(const struct instruction *i, const struct form *form)
{
	__u64 flags = 2 | (random64() & (ARITHMETIC | X86_EFLAGS_DF));
	__u64 defined = (ARITHMETIC | X86_EFLAGS_DF) & ~(__u64)form->undefined;
	__u64 end = i->at + i->length - (i->bits == 16 ? CODE : 0);
	int same;

	shuffle_pages();
	memcpy(guest, (void *)BUFFER, BUFFER_SIZE);
	memcpy(native->in, i->gpr, sizeof(i->gpr));
	native->flags = flags;
	run_natively(i->bits, i->bytes, i->length, (__u8 *)i->at);
	set_run(i, flags);
	if (!(form->flags & BITS))
		set_hint(i);
	same = emulate_to_end() && same_registers(i) & same_memory() &
	       tap_check(run.regs.rip == end, "rip %llx, not %llx", run.regs.rip, end) &
	       tap_check(!((native->flags ^ run.regs.rflags) & defined),
			 "flags: processor %llx, emulator %llx", native->flags, run.regs.rflags);
	if (!same)
		tell(i, flags);
	return same;
}

static void compare_form(const struct form *form, unsigned int bits, int is_string)
{
	struct instruction i;
	unsigned int n;

	if (bits != 64 && form->flags & ONLY_64)
		return;
	for (n = 0; n < cases; n++) {
		if (n % 16 == 0)
			fill_buffer(is_string);
		if (is_string)
			make_string(&i, form, bits);
		else
			make_instruction(&i, form, bits);
		if (form->flags & EQUAL && chance(50))
			memcpy((void *)i.operand, &i.gpr[THV_RAX], i.size);
		compare(&i, form);
	}
	tap_ok(tap_held(), "%s, %u-bit code: %u random cases end as on the processor",
	       form->name, bits, cases);
}

static void compare_mode(unsigned int bits)
{
	unsigned int n;

	for (n = 0; n < sizeof(forms) / sizeof(forms[0]); n++)
		compare_form(&forms[n], bits, 0);
	for (n = 0; n < sizeof(string_forms) / sizeof(string_forms[0]); n++)
		compare_form(&string_forms[n], bits, 1);
}

static void compare_all(void)
{
	if (segments_work() && prepare_segments()) {
		compare_mode(64);
		compare_mode(32);
		compare_mode(16);
		return;
	}
	tap_skip("32- and 16-bit code is not compared with the processor: no LDT can be used here");
	if (prepare_gs())
		compare_mode(64);
	else
		tap_skip("nor is 64-bit code: GS cannot have a base here");
}

/* ---- single claims ----------------------------------------------------------- */

#define DEVICE(n)	(BUFFER + (n) * PAGE)	/* the directed tests' addresses: page n */

/* All pages are devices with gpa = gla; the exit tells nothing but that it is for MMIO */
static void begin(const void *bytes, unsigned int length)
{
	unsigned int n;

	for (n = 0; n < PAGES + CODE_SIZE / PAGE; n++)
		pages[n] = (struct guest_page){
			.gpa = n < PAGES ? BUFFER + n * PAGE : CODE + (n - PAGES) * PAGE,
			.device = n < PAGES,
		};
	memset(guest, 0, sizeof(guest));
	memset(&run, 0, sizeof(run));
	memset(&fault, 0, sizeof(fault));
	memcpy((void *)CODE, bytes, length);
	run.regs.rip = CODE;
	run.regs.rflags = 2;
	run.context.code_bits = 64;
	run.exit = THV_EXIT_MMIO;
	run.mmio.flags = THV_MMIO_TABLE;
	events[0] = 0;
	events_wanted = 1;
	translations = 0;
	text[0] = 0;
}

#define BEGIN(...) begin((const __u8[]){ __VA_ARGS__ }, sizeof((const __u8[]){ __VA_ARGS__ }))

static void begin_io(__u32 flags, unsigned int size)
{
	run.exit = THV_EXIT_IO;
	run.io = (struct thv_exit_io){
		.port = 0x1f0, .size = size, .flags = THV_IO_STRING | flags,
	};
	run.regs.gpr[THV_RDX] = 0x1f0;
	port_value = 0xa0;
}

/* What is in the guest's memory, by its offset from BUFFER */
static __u64 peek(unsigned int offset, unsigned int size)
{
	__u64 value = 0;

	memcpy(&value, guest + offset, size);
	return value;
}

static void poke(unsigned int offset, unsigned int size, __u64 value)
{
	memcpy(guest + offset, &value, size);
}

static int happened(const char *wanted)
{
	if (!strcmp(events, wanted))
		return 1;
	printf("# events: %s\n# wanted: %s\n", events, wanted);
	return 0;
}

/* EMULATE_DONE, with this in run.dirty, and these events */
static int done(__u32 dirty, const char *wanted)
{
	enum emulate_result result = emulate();

	if (result || run.dirty != dirty)
		printf("# result %d, dirty %x, %s\n", result, run.dirty, text);
	return !result && run.dirty == dirty && happened(wanted);
}

/* A fault, and nothing else: no register, no memory, no device has seen anything */
static int faults(__u32 vector, __u32 error_code, __u64 address)
{
	struct thv_regs before = run.regs;
	static __u8 memory[BUFFER_SIZE];
	enum emulate_result result;

	memcpy(memory, guest, BUFFER_SIZE);
	result = emulate();
	if (result == EMULATE_FAULT && fault.vector == vector && fault.has_error_code &&
	    fault.error_code == error_code && fault.address == address && !run.dirty &&
	    !memcmp(&before, &run.regs, sizeof(before)) && !memcmp(memory, guest, BUFFER_SIZE))
		return happened("");
	printf("# result %d, vector %u, error code %x, address %llx, dirty %x, %s\n",
	       result, fault.vector, fault.error_code, fault.address, run.dirty, text);
	return 0;
}

static int unknown(const char *sentence)
{
	enum emulate_result result = emulate();

	if (strcmp(text, sentence))
		printf("# text: %s\n# wanted: %s\n", text, sentence);
	return result == EMULATE_UNKNOWN && !run.dirty && !strcmp(text, sentence) && happened("");
}

static void test_splits(void)
{
	BEGIN(0x48, 0x89, 0x08);			/* mov [rax], rcx */
	run.regs.gpr[THV_RAX] = DEVICE(2) - 3;
	run.regs.gpr[THV_RCX] = 0x8877665544332211ULL;
	tap_ok(done(COMPLETED, "w3@20001ffd w5@20002000 "),
	       "a write over two devices' pages comes in two parts");
	tap_is(peek(2 * PAGE - 3, 8), 0x8877665544332211ULL, "... with the right bytes in each");

	BEGIN(0x48, 0x03, 0x08);			/* add rcx, [rax] */
	pages[1].device = 0;
	run.regs.gpr[THV_RAX] = DEVICE(2) - 3;
	run.regs.gpr[THV_RCX] = 1;
	poke(2 * PAGE - 3, 8, 0x1122334455667788ULL);
	tap_ok(done(COMPLETED, "r5@20002000 "), "of a read half from RAM the device sees its half");
	tap_is(run.regs.gpr[THV_RCX], 0x1122334455667789ULL, "... and the value is whole");

	BEGIN(0x83, 0x00, 0x01);			/* add dword [rax], 1 */
	pages[2].device = 0;
	run.regs.gpr[THV_RAX] = DEVICE(2) - 2;
	poke(2 * PAGE - 2, 4, 0xffff);
	tap_ok(done(COMPLETED, "r2@20001ffe w2@20001ffe "),
	       "a change in place, half in RAM, reads and writes the device's half");
	tap_is(peek(2 * PAGE - 2, 4), 0x10000, "... and carries into the RAM");

	BEGIN(0x83, 0x00, 0x01);
	pages[1].device = 0;
	pages[1].readonly = 1;
	run.regs.gpr[THV_RAX] = DEVICE(1);
	poke(PAGE, 4, 7);
	tap_ok(done(COMPLETED, "w4@20001000 "),
	       "a change in place of read-only memory reads the memory, writes the device");
	tap_is(peek(PAGE, 4), 8, "... the sum of what was there");
}

static void test_faults(void)
{
	BEGIN(0x48, 0x01, 0x08);			/* add [rax], rcx */
	pages[2].denied = THV_ACCESS_WRITE;
	run.regs.gpr[THV_RAX] = DEVICE(2) - 3;
	run.regs.gpr[THV_RCX] = 1;
	tap_ok(faults(14, 3, DEVICE(2)),
	       "a fault on an operand's second page comes before anything is read or written");
	tap_is(last_access, THV_ACCESS_READ | THV_ACCESS_WRITE,
	       "a change in place is asked for as read and write");

	BEGIN(0x48, 0xa5);				/* movsq */
	pages[5].denied = THV_ACCESS_WRITE;
	run.regs.gpr[THV_RSI] = DEVICE(1);
	run.regs.gpr[THV_RDI] = DEVICE(5) + 8;
	tap_ok(faults(14, 3, DEVICE(5) + 8),
	       "MOVS whose destination faults has not read its source");

	BEGIN(0x6d);					/* insd */
	begin_io(THV_IO_IN, 4);
	pages[1].denied = THV_ACCESS_WRITE;
	run.regs.gpr[THV_RDI] = DEVICE(1) - 1;
	tap_ok(faults(14, 3, DEVICE(1)), "INS whose destination faults has not read its port");

	BEGIN(0x8b, 0x08);				/* mov ecx, [rax] */
	run.context.cpl = 3;
	pages[1].denied = THV_ACCESS_USER;
	run.regs.gpr[THV_RAX] = DEVICE(1);
	tap_ok(faults(14, 1, DEVICE(1)), "at CPL 3 the access is a user's");

	BEGIN(0x6e);					/* outsb */
	begin_io(0, 1);
	run.regs.gpr[THV_RSI] = 1ULL << 47;
	tap_ok(faults(13, 0, 0), "an address that is not canonical is #GP(0)");
	run.context.cr4 = X86_CR4_LA57;
	tap_ok(faults(14, 1, 1ULL << 47), "... but with 57-bit addresses it is one");

	BEGIN(0x8b, 0x4d, 0x00);			/* mov ecx, [rbp] */
	run.regs.gpr[THV_RBP] = 1ULL << 63;
	tap_ok(faults(12, 0, 0), "... and through the stack segment #SS(0)");
}

static void test_alignment(void)
{
	BEGIN(0x8b, 0x08);				/* mov ecx, [rax] */
	run.context.cpl = 3;
	run.context.cr0 = X86_CR0_AM;
	run.regs.rflags |= X86_EFLAGS_AC;
	run.regs.gpr[THV_RAX] = DEVICE(1) + 2;
	tap_ok(faults(17, 0, 0), "alignment is checked at CPL 3 with CR0.AM and RFLAGS.AC");
	run.context.cpl = 0;
	tap_ok(done(COMPLETED, "r4@20001002 "), "... and not in the kernel");

	BEGIN(0x8b, 0x08);
	run.context.cpl = 3;
	run.context.cr0 = X86_CR0_AM;
	run.regs.rflags |= X86_EFLAGS_AC;
	run.regs.gpr[THV_RAX] = DEVICE(1) + 4;
	tap_ok(done(COMPLETED, "r4@20001004 "), "... and an aligned access passes");
}

static void test_completion(void)
{
	BEGIN(0x89, 0x08);				/* mov [rax], ecx */
	run.regs.gpr[THV_RAX] = DEVICE(1);
	run.regs.rflags |= X86_EFLAGS_RF | X86_EFLAGS_IF;
	tap_ok(done(COMPLETED, "w4@20001000 "), "a write is carried out");
	tap_is(run.regs.rip, CODE + 2, "... RIP is past it");
	tap_is(run.regs.rflags, 2 | X86_EFLAGS_IF,
	       "... and RF, which holds for one instruction, is clear");

	BEGIN(0x89, 0x08);
	run.context.code_bits = 32;
	run.context.seg_base[THV_CS] = CODE + 1;
	run.regs.rip = 0xffffffff;
	run.regs.gpr[THV_RAX] = DEVICE(1);
	tap_ok(done(COMPLETED, "w4@20001000 "),
	       "32-bit code may lie across the end of the segment");
	tap_is(run.regs.rip, 1, "... and RIP wraps");

	BEGIN(0x89, 0x08);
	run.context.code_bits = 32;
	run.context.seg_base[THV_DS] = DEVICE(1) - 0xffffff00ULL;
	run.regs.gpr[THV_RAX] = 0xffffff00;
	tap_ok(done(COMPLETED, "w4@20001000 "),
	       "outside 64-bit mode a linear address wraps at 4 GiB");

	BEGIN(0x89, 0x08);
	run.context.code_bits = 32;
	run.regs.gpr[THV_RAX] = LAST_4G - 1;
	tap_ok(done(COMPLETED, "w2@20013ffe w2@20000000 "), "... even in the middle of an operand");
}

static void test_locked(void)
{
	BEGIN(0xf0, 0x01, 0x08);			/* lock add [rax], ecx */
	run.regs.gpr[THV_RAX] = DEVICE(1);
	tap_ok(done(COMPLETED, "r4@20001000 w4@20001000 "),
	       "a locked instruction on a device is carried out");

	BEGIN(0xf0, 0x01, 0x08);
	pages[1].device = 0;
	run.regs.gpr[THV_RAX] = DEVICE(1);
	run.regs.gpr[THV_RCX] = 5;
	tap_ok(done(0, "") && !peek(PAGE, 4), "... on RAM it is left to the guest to do again");

	BEGIN(0x87, 0x08);				/* xchg [rax], ecx */
	pages[1].device = 0;
	run.regs.gpr[THV_RAX] = DEVICE(1);
	run.regs.gpr[THV_RCX] = 5;
	tap_ok(done(0, "") && !peek(PAGE, 4), "... and so is XCHG, which is always locked");

	BEGIN(0xf0, 0x01, 0x08);
	pages[1].device = 0;
	run.regs.gpr[THV_RAX] = DEVICE(2) - 2;
	tap_ok(done(COMPLETED, "r2@20002000 w2@20002000 "),
	       "... but not if half of it is a device");
}

static void test_hint(void)
{
	BEGIN(0x89, 0x08);				/* mov [rax], ecx */
	run.regs.gpr[THV_RAX] = DEVICE(1) + 0x10;
	run.mmio = (struct thv_exit_mmio){ DEVICE(7) + 0x10, DEVICE(1) + 0x10,
					   THV_ACCESS_WRITE, THV_MMIO_GLA };
	tap_ok(done(COMPLETED, "w4@20007010 ") && !translations,
	       "the exit's address saves a translation");

	BEGIN(0x89, 0x08);
	run.regs.gpr[THV_RAX] = DEVICE(2) + 0x10;
	run.mmio = (struct thv_exit_mmio){ DEVICE(7) + 0x10, DEVICE(1) + 0x10,
					   THV_ACCESS_WRITE, THV_MMIO_GLA };
	tap_ok(done(COMPLETED, "w4@20002010 ") && translations,
	       "... unless it is about another page");

	BEGIN(0x01, 0x08);				/* add [rax], ecx */
	run.regs.gpr[THV_RAX] = DEVICE(1) + 0x10;
	run.mmio = (struct thv_exit_mmio){ DEVICE(1) + 0x10, DEVICE(1) + 0x10,
					   THV_ACCESS_READ, THV_MMIO_GLA };
	tap_ok(done(COMPLETED, "r4@20001010 w4@20001010 ") && translations,
	       "... or about a read, where we shall write");

	BEGIN(0x89, 0x08);
	run.regs.gpr[THV_RAX] = DEVICE(1) + 0x10;
	run.mmio = (struct thv_exit_mmio){ DEVICE(7) + 0x10, DEVICE(1) + 0x10, THV_ACCESS_WRITE,
					   THV_MMIO_GLA | THV_MMIO_TABLE };
	tap_ok(done(COMPLETED, "w4@20001010 "), "... or about the guest's page tables");

	BEGIN(0x89, 0x08);
	run.regs.gpr[THV_RAX] = DEVICE(1) + 0x10;
	run.mmio = (struct thv_exit_mmio){ DEVICE(7) + 0x10, 0, THV_ACCESS_WRITE, 0 };
	tap_ok(done(COMPLETED, "w4@20007010 ") && !translations,
	       "without a linear address the same offset will do");

	BEGIN(0x89, 0x08);
	run.regs.gpr[THV_RAX] = DEVICE(1) + 0x10;
	run.mmio = (struct thv_exit_mmio){ DEVICE(7) + 0x14, 0, THV_ACCESS_WRITE, 0 };
	tap_ok(done(COMPLETED, "w4@20001010 ") && translations, "... another offset will not");

	BEGIN(0x89, 0x08);
	run.regs.gpr[THV_RAX] = DEVICE(2) - 2;
	run.mmio = (struct thv_exit_mmio){ DEVICE(8) - 2, 0, THV_ACCESS_WRITE, 0 };
	tap_ok(done(COMPLETED, "w2@20001ffe w2@20002000 "),
	       "... nor will it where the operand crosses a page");

	BEGIN(0xa4);					/* movsb */
	run.regs.gpr[THV_RSI] = DEVICE(1) + 0x10;
	run.regs.gpr[THV_RDI] = DEVICE(2) + 0x10;
	run.mmio = (struct thv_exit_mmio){ DEVICE(7) + 0x10, 0, THV_ACCESS_WRITE, 0 };
	tap_ok(done(COMPLETED, "r1@20001010 w1@20002010 "),
	       "... nor will it where there are two operands");
}

static void test_batches(void)
{
	unsigned int n, last = BUFFER_SIZE / 4;

	BEGIN(0xf3, 0xab);				/* rep stosd */
	events_wanted = 0;
	run.regs.gpr[THV_RAX] = 0x11223344;
	run.regs.gpr[THV_RDI] = BUFFER;
	run.regs.gpr[THV_RCX] = last;
	tap_ok(emulate() == EMULATE_DONE && run.dirty == PARTLY,
	       "a long REP is not done in one go");
	tap_is(run.regs.rip, CODE, "... RIP stays");
	n = last - run.regs.gpr[THV_RCX];
	tap_ok(n && n <= 4096 && run.regs.gpr[THV_RDI] == BUFFER + 4 * n &&
	       peek(4 * n - 4, 4) == 0x11223344 && !peek(4 * n, 4),
	       "... and the registers say how far it is");
	while (run.dirty == PARTLY) {
		run.dirty = 0;
		emulate();
	}
	tap_ok(run.dirty == COMPLETED && run.regs.rip == CODE + 2 && !run.regs.gpr[THV_RCX] &&
	       peek(BUFFER_SIZE - 4, 4) == 0x11223344, "it is completed at the last element");
}

static void test_repeats(void)
{
	BEGIN(0xf3, 0xa4);				/* rep movsb */
	pages[2].denied = THV_ACCESS_READ;
	run.regs.gpr[THV_RSI] = DEVICE(2) - 2;
	run.regs.gpr[THV_RDI] = DEVICE(5);
	run.regs.gpr[THV_RCX] = 10;
	tap_ok(done(PARTLY, "r1@20001ffe w1@20005000 r1@20001fff w1@20005001 "),
	       "elements before a fault are done");
	tap_ok(run.regs.rip == CODE && run.regs.gpr[THV_RCX] == 8, "... and counted");
	events[0] = run.dirty = 0;
	tap_ok(faults(14, 1, DEVICE(2)), "... the fault is the next call's");

	BEGIN(0xf3, 0xaa);				/* rep stosb */
	tap_ok(done(COMPLETED, "") && run.regs.rip == CODE + 2, "a count of zero touches nothing");

	BEGIN(0xf3, 0xa5);				/* rep movsd, downwards */
	run.regs.rflags |= X86_EFLAGS_DF;
	run.regs.gpr[THV_RSI] = DEVICE(2);
	run.regs.gpr[THV_RDI] = DEVICE(5) - 2;
	run.regs.gpr[THV_RCX] = 2;
	tap_ok(done(COMPLETED, "r4@20002000 w2@20004ffe w2@20005000 r4@20001ffc w4@20004ffa "),
	       "with DF it goes down");

	BEGIN(0xf3, 0xab);				/* rep stosd */
	run.regs.rflags |= X86_EFLAGS_TF;
	run.regs.gpr[THV_RDI] = DEVICE(2);
	run.regs.gpr[THV_RCX] = 2;
	tap_ok(done(COMPLETED, "w4@20002000 ") && run.regs.rip == CODE,
	       "single-stepping traps after each element");
	run.dirty = 0;
	tap_ok(done(COMPLETED, "w4@20002000 w4@20002004 ") && run.regs.rip == CODE + 2,
	       "... the last one too");

	BEGIN(0x67, 0xf3, 0xab);			/* rep stosd es:[edi] */
	run.regs.gpr[THV_RDI] = ~0ULL << 32 | DEVICE(2);
	run.regs.gpr[THV_RCX] = ~0ULL << 32 | 1;
	tap_ok(done(COMPLETED, "w4@20002000 ") && run.regs.gpr[THV_RCX] == 0 &&
	       run.regs.gpr[THV_RDI] == DEVICE(2) + 4, "32-bit addressing counts in ECX");
}

static void test_port_strings(void)
{
	BEGIN(0xf3, 0x6d);				/* rep insd */
	begin_io(THV_IO_IN | THV_IO_REP, 4);
	pages[3].device = 0;
	run.regs.gpr[THV_RDI] = DEVICE(3);
	run.regs.gpr[THV_RCX] = 3;
	tap_ok(done(COMPLETED, "in4@1f0 in4@1f0 in4@1f0 "),
	       "REP INS reads the port for each element");
	tap_ok(peek(3 * PAGE + 8, 4) == 0xa2 && !run.regs.gpr[THV_RCX] &&
	       run.regs.gpr[THV_RDI] == DEVICE(3) + 12, "... into consecutive RAM");

	BEGIN(0x65, 0x66, 0x6f);			/* outsw gs:[rsi] */
	begin_io(0, 2);
	run.context.seg_base[THV_GS] = DEVICE(3);
	run.regs.gpr[THV_RSI] = 0x20;
	run.regs.rflags |= X86_EFLAGS_DF;
	poke(3 * PAGE + 0x20, 2, 0xbeef);
	tap_ok(done(COMPLETED, "r2@20003020 out2@1f0=beef ") && run.regs.gpr[THV_RSI] == 0x1e,
	       "OUTS takes a segment override and goes down with DF");

	BEGIN(0x6c);					/* insb, 16-bit code */
	begin_io(THV_IO_IN, 1);
	run.context.code_bits = 16;
	run.context.seg_base[THV_ES] = DEVICE(2);
	run.regs.gpr[THV_RDI] = 0x7ffff;
	pages[17].device = 0;
	tap_ok(done(COMPLETED, "in1@1f0 ") && guest[2 * PAGE + 0xffff] == 0xa0 &&
	       run.regs.gpr[THV_RDI] == 0x70000, "16-bit addresses wrap at 64 KiB");
}

/* CVE-2010-0419, XSA-190: what was checked is not what is decoded */
static void test_rewritten(void)
{
	BEGIN(0x89, 0x08);				/* mov [rax], ecx */
	begin_io(0, 1);
	run.regs.gpr[THV_RAX] = DEVICE(1);
	tap_ok(done(0, "") && run.regs.rip == CODE,
	       "a MOV in place of the OUTS that exited is the processor's again");

	BEGIN(0x6e);					/* outsb */
	run.regs.gpr[THV_RSI] = DEVICE(1);
	tap_ok(done(0, "") && run.regs.rip == CODE, "an OUTS where a MOV exited does no output");

	BEGIN(0x6c);					/* insb */
	begin_io(0, 1);
	run.regs.gpr[THV_RDI] = DEVICE(1);
	tap_ok(done(0, ""), "nor does an INS where OUTS exited");

	BEGIN(0x6f);					/* outsd */
	begin_io(0, 1);
	run.regs.gpr[THV_RSI] = DEVICE(1);
	tap_ok(done(0, ""), "nor a wider one than exited");

	BEGIN(0x6e);
	begin_io(0, 1);
	run.regs.gpr[THV_RSI] = DEVICE(1);
	run.regs.gpr[THV_RDX] = 0x64;
	tap_ok(done(COMPLETED, "r1@20001000 out1@1f0=0 "),
	       "the port is the one the processor checked");

	BEGIN(0x66, 0x89, 0x48, 0x10);			/* mov [rax + 0x10], cx */
	run.regs.gpr[THV_RAX] = DEVICE(1);
	rewriting = 1;
	tap_ok(done(COMPLETED, "w2@20001010 ") && run.regs.rip == CODE + 4,
	       "bytes rewritten after they were captured do not count");
	rewriting = 0;
}

static void test_cache(void)
{
	BEGIN(0x89, 0x08);				/* mov [rax], ecx */
	run.regs.gpr[THV_RAX] = DEVICE(1);
	emulate();
	BEGIN(0x88, 0x08);				/* mov [rax], cl */
	run.regs.gpr[THV_RAX] = DEVICE(1);
	tap_ok(done(COMPLETED, "w1@20001000 "), "code that changed is decoded anew");

	BEGIN(0x48, 0x89, 0x08);			/* mov [rax], rcx; 32-bit: dec eax */
	run.regs.gpr[THV_RAX] = DEVICE(1);
	emulate();
	run.context.code_bits = 32;
	run.regs.rip = CODE;
	run.dirty = events[0] = 0;
	tap_is(emulate(), EMULATE_UNKNOWN, "so are the same bytes in another mode");

	BEGIN(0x66, 0x89, 0x88, 0, 0, 0, 0);		/* mov [rax + 0], cx */
	run.regs.gpr[THV_RAX] = DEVICE(1);
	memcpy((void *)(CODE + PAGE - 3), (const void *)CODE, 3);
	memset((void *)(CODE + PAGE), 0, 12);
	run.regs.rip = CODE + PAGE - 3;
	tap_ok(done(COMPLETED, "w2@20001000 "), "an instruction may go on in the next page");
	run.regs.rip = CODE + PAGE - 3;
	run.dirty = events[0] = 0;
	pages[PAGES + 1].denied = THV_ACCESS_EXECUTE;
	tap_ok(faults(14, 1, CODE + PAGE),
	       "... which may be gone the next time: bytes not captured do not count");
}

static void test_fetch(void)
{
	BEGIN(0x89, 0x08);
	memcpy((void *)(CODE + PAGE - 2), (const void *)CODE, 2);
	run.regs.rip = CODE + PAGE - 2;
	run.regs.gpr[THV_RAX] = DEVICE(1);
	pages[PAGES + 1].denied = THV_ACCESS_EXECUTE;
	tap_ok(done(COMPLETED, "w4@20001000 "), "the page after the last byte is not needed");

	BEGIN(0x89, 0x08);
	pages[PAGES].denied = THV_ACCESS_EXECUTE;
	tap_ok(faults(14, 1, CODE), "code that became inaccessible faults");

	BEGIN(0x89, 0x08);
	pages[PAGES].denied = THV_ACCESS_EXECUTE;
	run.regs.rip = CODE + PAGE - 1;
	tap_ok(faults(14, 1, CODE + PAGE - 1), "... at the end of its page too");

	BEGIN(0x89);
	*(__u8 *)(CODE + PAGE - 1) = 0x89;
	run.regs.rip = LAST_CANONICAL;
	tap_ok(faults(13, 0, 0), "code that goes on where no address is canonical is #GP(0)");

	BEGIN(0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x89, 0x08);
	memcpy((void *)(CODE + PAGE - 13), (const void *)CODE, 14);
	run.regs.rip = CODE + PAGE - 13;
	run.regs.gpr[THV_RAX] = DEVICE(1);
	tap_ok(done(COMPLETED, "w4@20001000 "),
	       "one byte of a long instruction may be in the next page");

	BEGIN(0x89, 0x08);
	pages[PAGES].device = 1;
	tap_ok(unknown("cannot emulate at 0x10002000: the code is not in RAM  (none)"),
	       "code outside RAM is told");

	BEGIN(0x89);
	*(__u8 *)(CODE + PAGE - 1) = 0x89;
	run.regs.rip = CODE + PAGE - 1;
	pages[PAGES + 1].device = 1;
	tap_ok(unknown("cannot emulate at 0x10002fff: the code does not go on in RAM  (89)"),
	       "so is code that leaves it");
}

static void test_unknown(void)
{
	BEGIN(0x0f, 0x10, 0x00);
	tap_ok(unknown("cannot emulate at 0x10002000: movups xmm0, [rax]  (0f 10 00)"),
	       "movups is not known");
	BEGIN(0xf2, 0x0f, 0x11, 0x00);
	tap_ok(unknown("cannot emulate at 0x10002000: movsd [rax], xmm0  (f2 0f 11 00)"),
	       "SSE's MOVSD is not the string instruction");
	BEGIN(0xf2, 0x0f, 0xc2, 0x00, 0x01);
	tap_ok(unknown("cannot emulate at 0x10002000: cmpsd xmm0, [rax], 0x01  (f2 0f c2 00 01)"),
	       "nor is its CMPSD");
	BEGIN(0x8e, 0x18);
	tap_ok(unknown("cannot emulate at 0x10002000: mov ds, [rax]  (8e 18)"),
	       "MOV to a segment register is not known");
	BEGIN(0x8c, 0x18);
	tap_ok(unknown("cannot emulate at 0x10002000: mov [rax], ds  (8c 18)"), "nor MOV from one");
	BEGIN(0xff, 0x30);
	tap_ok(unknown("cannot emulate at 0x10002000: push [rax]  (ff 30)"), "push is not known");
	BEGIN(0x48, 0x0f, 0xc7, 0x08);
	tap_ok(unknown("cannot emulate at 0x10002000: cmpxchg16b [rax]  (48 0f c7 08)"),
	       "cmpxchg16b is not known");
	BEGIN(0x89, 0xc8);
	tap_ok(unknown("cannot emulate at 0x10002000: mov eax, ecx  (89 c8)"),
	       "a MOV without memory cannot have exited");
	BEGIN(0xf0, 0x89, 0x08,				/* lock mov [rax], ecx */
	      0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90);
	tap_ok(unknown("cannot emulate at 0x10002000: not an instruction  "
		       "(f0 89 08 90 90 90 90 90 90 90 90 90 90 90 90)"),
	       "LOCK where it may not be is no instruction");
	BEGIN(0x0f, 0x10, 0x00);
	tap_is(emulate_exit(&run, &ops, NULL, &fault, text, 8), EMULATE_UNKNOWN,
	       "a short buffer is enough");
	tap_is(strlen(text), 7, "... and gets what fits");
}

static void test_registers(void)
{
	BEGIN(0x8a, 0x21);				/* mov ah, [rcx] */
	run.regs.gpr[THV_RAX] = 0x1122334455667788ULL;
	run.regs.gpr[THV_RCX] = DEVICE(1);
	guest[PAGE] = 0xee;
	tap_ok(done(COMPLETED, "r1@20001000 ") && run.regs.gpr[THV_RAX] == 0x112233445566ee88ULL,
	       "AH is the second byte of RAX");

	BEGIN(0x40, 0x8a, 0x21);			/* mov spl, [rcx] */
	run.regs.gpr[THV_RSP] = 0x1122334455667788ULL;
	run.regs.gpr[THV_RCX] = DEVICE(1);
	guest[PAGE] = 0xee;
	tap_ok(done(COMPLETED, "r1@20001000 ") && run.regs.gpr[THV_RSP] == 0x11223344556677eeULL,
	       "... and with REX it is SPL");
}

int main(void)
{
	if (getenv("SEED"))
		seed = strtoull(getenv("SEED"), NULL, 0) | 1;
	if (getenv("CASES"))
		cases = atoi(getenv("CASES"));
	if (!prepare_memory()) {
		tap_skip("memory at fixed addresses, or to execute, is refused here");
		return tap_done();
	}
	compare_all();
	test_splits();
	test_faults();
	test_alignment();
	test_completion();
	test_locked();
	test_hint();
	test_batches();
	test_repeats();
	test_port_strings();
	test_rewritten();
	test_cache();
	test_fetch();
	test_unknown();
	test_registers();
	tap_ok(tap_held(), "every callback was used as its contract says");
	return tap_done();
}
