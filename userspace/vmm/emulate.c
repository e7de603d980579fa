// SPDX-License-Identifier: GPL-2.0-only
/*
 * Instruction emulation: the part of a processor the launcher has to play.
 *
 * When the guest touches what is not RAM, the hardware says where, and not what: not
 * the value written, nor the register that waits for one. To learn that, somebody
 * must look at the instruction. The module does not (decoders are where
 * hypervisors break); it stops the guest before the instruction, and here, without
 * privilege, it is decoded by Zydis and carried out. So it goes:
 *
 *   capture   the instruction's bytes are copied, once. Another vCPU may rewrite them
 *             at any time: all that follows is about the copy, and trusts nothing
 *             the processor checked for what stood there before.
 *   decode    Zydis's answer, boiled down to struct instruction. A driver touches its
 *             device from few places, so a small cache, compared byte by byte with the
 *             copy, saves nearly all of Zydis's work.
 *   open      every page of every operand is translated and looked up. This may fault,
 *             and nothing has been changed yet.
 *   execute   read, compute, write. Nothing can fail any more. Sums and flags are
 *             computed by the instruction's own like, on the processor we run on: shorter
 *             than saying what AF is, and right.
 *
 * Not done: segment limits and types (the processor has checked the operand
 * that exited, only the other one of a MOVS escapes), data breakpoints, and every
 * instruction without an entry in the tables below.
 */
#include <stdio.h>
#include <string.h>
#include <asm/processor-flags.h>
#include <Zydis/Zydis.h>

#include "emulate.h"

#define PAGE_BYTES		4096ULL
#define PAGE_OFFSET(address)	((address) & (PAGE_BYTES - 1))
#define LONGEST_INSTRUCTION	15
#define ARITHMETIC_FLAGS	(X86_EFLAGS_CF | X86_EFLAGS_PF | X86_EFLAGS_AF | \
				 X86_EFLAGS_ZF | X86_EFLAGS_SF | X86_EFLAGS_OF)
#define OPERANDS		3	/* CMPXCHG has as many */

enum exception { STACK_FAULT = 12, GENERAL_PROTECTION = 13, PAGE_FAULT = 14, ALIGNMENT_CHECK = 17 };

/*
 * Elements of a repeated string instruction done in one go: long enough to be cheap, short
 * enough that interrupts and signals, which come between, don't wait for a millisecond.
 */
#define BATCH	1024

/* ---- what an instruction is boiled down to ------------------------------- */

enum operand_kind { REGISTER, MEMORY, IMMEDIATE };

struct operand {
	__u8 kind;
	__u8 size;	/* in bytes */
	__u8 access;	/* THV_ACCESS_READ and THV_ACCESS_WRITE */
	__u8 gpr;
	__u8 shift;	/* 8 for AH, CH, DH and BH */
};

/* Beyond enum thv_gpr: what else an address may start from */
enum { FROM_RIP = THV_GPRS, FROM_ZERO };

struct address {
	__u8 segment, base, index, scale;
	__s64 displacement;
};

/* What identifies a decoding: the captured bytes, zero where there was none, and the mode */
struct key {
	__u8 byte[LONGEST_INSTRUCTION];
	__u8 code_bits;
};

enum repeat { ONCE, WHILE_COUNT, WHILE_EQUAL, WHILE_DIFFERENT };

struct instruction {
	struct key key;
	const struct operation *operation;	/* NULL: this cache entry is free */
	__u8 length;
	__u8 operands;
	__u8 size;		/* of the memory operand, or of a string's element */
	__u8 access;		/* to the memory operand */
	__u8 locked;		/* by prefix, or as XCHG always is */
	__u8 bit_string;	/* BT and its like with a register: it chooses the address too */
	__u8 repeat;
	__u8 address_size;	/* in bytes */
	__u64 address_mask;
	struct operand operand[OPERANDS];
	struct address address;	/* a string's: only the segment of the source counts */
	__u64 immediate;
};

/* Operands on the way through an operation, zero-extended (an immediate: sign-extended) */
struct values {
	__u64 value[OPERANDS];
	__u64 flags;
	__u8 size;		/* of value[0], in bytes */
	__u8 source_size;	/* of value[1] */
	__u8 kept;		/* bit n: value[n] is not written after all */
};

/* Where an element of a string comes from and goes to */
enum place { NOWHERE, PORT, ACCUMULATOR, AT_SI, AT_DI };

/*
 * An instruction is known if it is in one of the two tables further down.
 * @compute: gets the values of the operands that are read (Zydis says which: it
 *	knows all about operands), and leaves those that are written. Strings have
 *	none of their own, unless they compare: then it sets the flags.
 * @from, @to: strings only.
 */
struct operation {
	__u16 code;	/* ZydisMnemonic, or a string instruction's opcode for bytes */
	__u8 from, to;
	void (*compute)(struct values *v);
};

/* A page an operand is in; either host address is NULL where the device is meant */
struct page {
	int known;
	__u64 gla, gpa;
	const char *from;
	char *to;
};

/* An operand in memory: @first bytes from @offset of a page, the rest from the next one's start */
struct span {
	struct page page[2];
	__u32 offset, size, first, access;
};

struct emulation {
	struct thv_run *run;
	const struct emulate_ops *ops;
	void *opaque;
	struct emulate_fault *fault;
	const struct instruction *instruction;
	struct key key;
	__u32 captured;			/* bytes in key */
	enum emulate_result missing;	/* why there are no more */
};

/* ---- computing ----------------------------------------------------------- */

static __u64 sign_extend(__u64 value, unsigned int size)
{
	unsigned int shift = 64 - 8 * size;

	return (__s64)(value << shift) >> shift;
}

/* LAHF's AH has SF, ZF, AF, PF and CF where RFLAGS has them; SETO's AL is OF */
static __u64 merge_flags(__u64 old, __u16 ah_al)
{
	__u64 new = (ah_al >> 8) | (ah_al & 1 ? X86_EFLAGS_OF : 0);

	return (old & ~ARITHMETIC_FLAGS) | (new & ARITHMETIC_FLAGS);
}

/*
 * One native instruction between loading the carry (ADC and SBB use it, INC and DEC keep
 * it) and reading the flags. Not by PUSHF: the compiler may own the memory below RSP.
 */
#define NATIVE(mnemonic, width, operands)					\
	__asm__("btl $0, %k[flags]\n\t"						\
		mnemonic width " " operands "\n\t"				\
		"lahf\n\tseto %%al"						\
		: "=&a"(ah_al), [a] "+&r"(v->value[0])				\
		: [b] "r"(v->value[1]), [flags] "r"(v->flags)			\
		: "cc")

/* A compute function that is the instruction itself, in the width the guest used */
#define COMPUTE(name, mnemonic, bytes, words, longs, quads)			\
static void compute_##name(struct values *v)					\
{										\
	__u16 ah_al;								\
										\
	if (v->size == 1)							\
		NATIVE(mnemonic, "b", bytes);					\
	else if (v->size == 2)							\
		NATIVE(mnemonic, "w", words);					\
	else if (v->size == 4)							\
		NATIVE(mnemonic, "l", longs);					\
	else									\
		NATIVE(mnemonic, "q", quads);					\
	v->flags = merge_flags(v->flags, ah_al);				\
}

#define BINARY(name) \
	COMPUTE(name, #name, "%b[b], %b[a]", "%w[b], %w[a]", "%k[b], %k[a]", "%q[b], %q[a]")
#define UNARY(name) \
	COMPUTE(name, #name, "%b[a]", "%w[a]", "%k[a]", "%q[a]")

BINARY(add)
BINARY(adc)
BINARY(sub)
BINARY(sbb)
BINARY(and)
BINARY(or)
BINARY(xor)
BINARY(cmp)
BINARY(test)
UNARY(inc)
UNARY(dec)
UNARY(neg)

static void compute_not(struct values *v)
{
	v->value[0] = ~v->value[0];
}

static void compute_mov(struct values *v)
{
	v->value[0] = v->value[1];
}

static void compute_movsx(struct values *v)
{
	v->value[0] = sign_extend(v->value[1], v->source_size);
}

static void compute_xchg(struct values *v)
{
	__u64 old = v->value[0];

	v->value[0] = v->value[1];
	v->value[1] = old;
}

static void compute_xadd(struct values *v)
{
	__u64 old = v->value[0];

	compute_add(v);
	v->value[1] = old;
}

/* value[2] is the accumulator. The destination is written in either case, as the processor does */
static void compute_cmpxchg(struct values *v)
{
	struct values compared = { { v->value[2], v->value[0] }, v->flags, v->size, 0, 0 };

	compute_cmp(&compared);
	v->flags = compared.flags;
	if (v->flags & X86_EFLAGS_ZF) {
		v->value[0] = v->value[1];
		v->kept = 1 << 2;
	} else {
		v->value[2] = v->value[0];
	}
}

/* CF is all that BT and its like define; the others stay as they are */
static __u64 bit_tested(struct values *v)
{
	unsigned int n = v->value[1] & (8 * v->size - 1);

	v->flags &= ~X86_EFLAGS_CF;
	v->flags |= (v->value[0] >> n) & X86_EFLAGS_CF;
	return 1ULL << n;
}

static void compute_bt(struct values *v)
{
	bit_tested(v);
}

static void compute_bts(struct values *v)
{
	v->value[0] |= bit_tested(v);
}

static void compute_btr(struct values *v)
{
	v->value[0] &= ~bit_tested(v);
}

static void compute_btc(struct values *v)
{
	v->value[0] ^= bit_tested(v);
}

static const struct operation operations[] = {
	{ ZYDIS_MNEMONIC_MOV,	  .compute = compute_mov },
	{ ZYDIS_MNEMONIC_MOVZX,	  .compute = compute_mov },
	{ ZYDIS_MNEMONIC_MOVSX,	  .compute = compute_movsx },
	{ ZYDIS_MNEMONIC_MOVSXD,  .compute = compute_movsx },
	{ ZYDIS_MNEMONIC_MOVNTI,  .compute = compute_mov },
	{ ZYDIS_MNEMONIC_ADD,	  .compute = compute_add },
	{ ZYDIS_MNEMONIC_ADC,	  .compute = compute_adc },
	{ ZYDIS_MNEMONIC_SUB,	  .compute = compute_sub },
	{ ZYDIS_MNEMONIC_SBB,	  .compute = compute_sbb },
	{ ZYDIS_MNEMONIC_AND,	  .compute = compute_and },
	{ ZYDIS_MNEMONIC_OR,	  .compute = compute_or },
	{ ZYDIS_MNEMONIC_XOR,	  .compute = compute_xor },
	{ ZYDIS_MNEMONIC_CMP,	  .compute = compute_cmp },
	{ ZYDIS_MNEMONIC_TEST,	  .compute = compute_test },
	{ ZYDIS_MNEMONIC_INC,	  .compute = compute_inc },
	{ ZYDIS_MNEMONIC_DEC,	  .compute = compute_dec },
	{ ZYDIS_MNEMONIC_NEG,	  .compute = compute_neg },
	{ ZYDIS_MNEMONIC_NOT,	  .compute = compute_not },
	{ ZYDIS_MNEMONIC_XCHG,	  .compute = compute_xchg },
	{ ZYDIS_MNEMONIC_XADD,	  .compute = compute_xadd },
	{ ZYDIS_MNEMONIC_CMPXCHG, .compute = compute_cmpxchg },
	{ ZYDIS_MNEMONIC_BT,	  .compute = compute_bt },
	{ ZYDIS_MNEMONIC_BTS,	  .compute = compute_bts },
	{ ZYDIS_MNEMONIC_BTR,	  .compute = compute_btr },
	{ ZYDIS_MNEMONIC_BTC,	  .compute = compute_btc },
};

/* By opcode, because SSE has a MOVSD and a CMPSD too */
static const struct operation strings[] = {
	{ 0x6c, .from = PORT,		.to = AT_DI },				/* INS */
	{ 0x6e, .from = AT_SI,		.to = PORT },				/* OUTS */
	{ 0xa4, .from = AT_SI,		.to = AT_DI },				/* MOVS */
	{ 0xa6, .from = AT_SI,		.to = AT_DI, .compute = compute_cmp },	/* CMPS */
	{ 0xaa, .from = ACCUMULATOR,	.to = AT_DI },				/* STOS */
	{ 0xac, .from = AT_SI,		.to = ACCUMULATOR },			/* LODS */
	{ 0xae, .from = ACCUMULATOR,	.to = AT_DI, .compute = compute_cmp },	/* SCAS */
};

static int is_string(const struct operation *operation)
{
	return operation->from != NOWHERE;
}

/* ---- registers ----------------------------------------------------------- */

static __u64 register_read(const struct thv_regs *regs, unsigned int gpr, unsigned int shift,
			   unsigned int size)
{
	return (regs->gpr[gpr] >> shift) & (~0ULL >> (64 - 8 * size));
}

/* Four bytes clear the upper half, one and two leave the rest alone (SDM volume 1, 3.4.1.1) */
static void register_write(struct thv_regs *regs, unsigned int gpr, unsigned int shift,
			   unsigned int size, __u64 value)
{
	__u64 mask = size >= 4 ? ~0ULL : (~0ULL >> (64 - 8 * size)) << shift;

	if (size == 4)
		value = (__u32)value;
	regs->gpr[gpr] = (regs->gpr[gpr] & ~mask) | ((value << shift) & mask);
}

/* ---- memory: addresses --------------------------------------------------- */

static enum emulate_result raise_fault(struct emulation *e, enum exception vector,
				       __u32 error_code, __u64 address)
{
	*e->fault = (struct emulate_fault){ vector, error_code, address, 1 };
	return EMULATE_FAULT;
}

/* In 64-bit mode only FS and GS have a base; elsewhere addresses are 32 bits wide */
static __u64 linear(const struct emulation *e, unsigned int segment, __u64 offset)
{
	const struct thv_exit_context *context = &e->run->context;

	if (context->code_bits != 64)
		return (__u32)(context->seg_base[segment] + offset);
	return segment >= THV_FS ? context->seg_base[segment] + offset : offset;
}

static int is_canonical(const struct thv_exit_context *context, __u64 gla)
{
	unsigned int shift = context->cr4 & X86_CR4_LA57 ? 64 - 57 : 64 - 48;

	return context->code_bits != 64 || (__u64)((__s64)(gla << shift) >> shift) == gla;
}

static __u64 address_term(const struct emulation *e, unsigned int from)
{
	const struct thv_regs *regs = &e->run->regs;

	if (from == FROM_ZERO)
		return 0;
	return from == FROM_RIP ? regs->rip + e->instruction->length : regs->gpr[from];
}

/* BT [m], r takes r as a signed bit number from m on: the bytes to go there, by whole operands */
static __u64 bit_string_offset(const struct emulation *e)
{
	const struct operand *number = &e->instruction->operand[1];
	__u64 bit;

	if (!e->instruction->bit_string)
		return 0;
	bit = sign_extend(e->run->regs.gpr[number->gpr], number->size);
	return ((__s64)bit >> 3) & -(__s64)number->size;
}

static __u64 effective_address(const struct emulation *e)
{
	const struct address *address = &e->instruction->address;
	__u64 offset = address_term(e, address->base) +
		       address_term(e, address->index) * address->scale +
		       (__u64)address->displacement + bit_string_offset(e);

	return offset & e->instruction->address_mask;
}

/* ---- memory: opening ----------------------------------------------------- */

/*
 * The processor has walked the guest's tables for the access that exited, a moment
 * ago and by its own rules; where the exit tells where that led, the walk
 * need not be repeated. Without the linear address (SVM does not give it) the
 * offset in the page must do: enough if there is but one access it can have been.
 */
static int exit_tells(const struct emulation *e, const struct span *span, __u64 gla)
{
	const struct thv_exit_mmio *mmio = &e->run->mmio;

	if (e->run->exit != THV_EXIT_MMIO || mmio->flags & THV_MMIO_TABLE)
		return 0;
	if (span->access & THV_ACCESS_WRITE && !(mmio->access & THV_ACCESS_WRITE))
		return 0;
	if (mmio->flags & THV_MMIO_GLA)
		return gla - PAGE_OFFSET(gla) == mmio->gla - PAGE_OFFSET(mmio->gla);
	return !is_string(e->instruction->operation) && span->first == span->size &&
	       PAGE_OFFSET(gla) == PAGE_OFFSET(mmio->gpa);
}

static enum emulate_result translate(struct emulation *e, __u64 gla, __u32 access, __u64 *gpa)
{
	__u32 error_code = 0;

	if (e->run->context.cpl == 3)
		access |= THV_ACCESS_USER;
	if (!e->ops->translate(e->opaque, gla, access, gpa, &error_code))
		return EMULATE_DONE;
	return raise_fault(e, PAGE_FAULT, error_code, gla);
}

static enum emulate_result locate(struct emulation *e, const struct span *span, __u64 gla,
				  __u64 *gpa)
{
	if (!exit_tells(e, span, gla))
		return translate(e, gla, span->access, gpa);
	*gpa = e->run->mmio.gpa;
	return EMULATE_DONE;
}

/* A page opened before for the same span, as strings do, is still good: time stands still here */
static enum emulate_result page_open(struct emulation *e, struct page *page,
				     const struct span *span, unsigned int segment, __u64 gla)
{
	enum emulate_result result;
	__u64 gpa;

	if (page->known && page->gla == gla - PAGE_OFFSET(gla))
		return EMULATE_DONE;
	if (!is_canonical(&e->run->context, gla))
		return raise_fault(e, segment == THV_SS ? STACK_FAULT : GENERAL_PROTECTION, 0, 0);
	result = locate(e, span, gla, &gpa);
	if (result)
		return result;
	page->known = 1;
	page->gla = gla - PAGE_OFFSET(gla);
	page->gpa = gpa - PAGE_OFFSET(gpa);
	page->to = NULL;
	if (span->access & THV_ACCESS_WRITE)
		page->to = e->ops->memory(e->opaque, page->gpa, PAGE_BYTES, 1);
	page->from = page->to;
	if (span->access & THV_ACCESS_READ && !page->from)
		page->from = e->ops->memory(e->opaque, page->gpa, PAGE_BYTES, 0);
	return EMULATE_DONE;
}

/* Alignment is checked after paging (SDM 6.9), where software asked for it (SDM 6.15, #AC) */
static int is_alignment_wrong(const struct emulation *e, const struct span *span)
{
	return span->offset & (span->size - 1) &&
	       e->run->context.cpl == 3 &&
	       e->run->context.cr0 & X86_CR0_AM &&
	       e->run->regs.rflags & X86_EFLAGS_AC;
}

/* Find out all about an operand of span->size bytes, so that nothing can go wrong later */
static enum emulate_result span_open(struct emulation *e, struct span *span,
				     unsigned int segment, __u64 offset)
{
	__u64 gla = linear(e, segment, offset);
	__u64 next = gla - PAGE_OFFSET(gla) + PAGE_BYTES;
	enum emulate_result result;

	span->offset = PAGE_OFFSET(gla);
	span->first = PAGE_BYTES - span->offset;
	if (span->first > span->size)
		span->first = span->size;
	if (e->run->context.code_bits != 64)
		next = (__u32)next;

	result = page_open(e, &span->page[0], span, segment, gla);
	if (!result && span->first < span->size)
		result = page_open(e, &span->page[1], span, segment, next);
	if (!result && is_alignment_wrong(e, span))
		result = raise_fault(e, ALIGNMENT_CHECK, 0, 0);
	return result;
}

static void span_init(struct span *span, unsigned int size, __u32 access)
{
	span->page[0].known = 0;
	span->page[1].known = 0;
	span->size = size;
	span->access = access;
}

/* ---- memory: access ------------------------------------------------------ */

/* By single moves, because other vCPUs look on and expect an aligned value to change at once */
static void copy(void *to, const void *from, __u32 size)
{
	if (size == 1)
		memcpy(to, from, 1);
	else if (size == 2)
		memcpy(to, from, 2);
	else if (size == 4)
		memcpy(to, from, 4);
	else if (size == 8)
		memcpy(to, from, 8);
	else
		memcpy(to, from, size);
}

static void page_read(struct emulation *e, const struct page *page, __u32 offset,
		      void *data, __u32 size)
{
	if (page->from)
		copy(data, page->from + offset, size);
	else
		e->ops->mmio(e->opaque, page->gpa + offset, data, size, 0);
}

static void page_write(struct emulation *e, const struct page *page, __u32 offset,
		       void *data, __u32 size)
{
	if (page->to)
		copy(page->to + offset, data, size);
	else
		e->ops->mmio(e->opaque, page->gpa + offset, data, size, 1);
}

static __u64 span_read(struct emulation *e, const struct span *span)
{
	__u64 value = 0;

	page_read(e, &span->page[0], span->offset, &value, span->first);
	if (span->first < span->size)
		page_read(e, &span->page[1], 0, (char *)&value + span->first,
			  span->size - span->first);
	return value;
}

static void span_write(struct emulation *e, const struct span *span, __u64 value)
{
	page_write(e, &span->page[0], span->offset, &value, span->first);
	if (span->first < span->size)
		page_write(e, &span->page[1], 0, (char *)&value + span->first,
			   span->size - span->first);
}

static int span_is_ram(const struct span *span)
{
	return span->page[0].to && (span->first == span->size || span->page[1].to);
}

/* ---- executing: instructions with one memory operand ---------------------- */

static void complete(struct emulation *e)
{
	struct thv_regs *regs = &e->run->regs;

	regs->rip += e->instruction->length;
	if (e->run->context.code_bits != 64)
		regs->rip = (__u32)regs->rip;
	regs->rflags &= ~X86_EFLAGS_RF;		/* it holds for one instruction (SDM 17.3.1.1) */
	e->run->dirty |= THV_DIRTY_GPRS | THV_DIRTY_RIP | THV_DIRTY_COMPLETED;
}

static __u64 operand_load(struct emulation *e, const struct operand *operand,
			  const struct span *span)
{
	if (operand->kind == MEMORY)
		return span_read(e, span);
	if (operand->kind == IMMEDIATE)
		return e->instruction->immediate;
	return register_read(&e->run->regs, operand->gpr, operand->shift, operand->size);
}

static void operand_store(struct emulation *e, const struct operand *operand,
			  const struct span *span, __u64 value)
{
	if (operand->kind == MEMORY)
		span_write(e, span, value);
	else
		register_write(&e->run->regs, operand->gpr, operand->shift, operand->size, value);
}

static void operate(struct emulation *e, const struct span *span)
{
	const struct instruction *i = e->instruction;
	struct values v = {
		.flags = e->run->regs.rflags,
		.size = i->operand[0].size,
		.source_size = i->operand[1].size,
	};
	unsigned int n;

	for (n = 0; n < i->operands; n++)
		if (i->operand[n].access & THV_ACCESS_READ)
			v.value[n] = operand_load(e, &i->operand[n], span);
	i->operation->compute(&v);
	for (n = 0; n < i->operands; n++)
		if (i->operand[n].access & THV_ACCESS_WRITE && !(v.kept & (1 << n)))
			operand_store(e, &i->operand[n], span, v.value[n]);
	e->run->regs.rflags = v.flags;
}

/*
 * A lock cannot be kept here, and for a device it need not. But if another thread has put
 * RAM there since the exit, the guest can do it properly itself.
 */
static enum emulate_result execute_operation(struct emulation *e)
{
	const struct instruction *i = e->instruction;
	enum emulate_result result;
	struct span span;

	span_init(&span, i->size, i->access);
	result = span_open(e, &span, i->address.segment, effective_address(e));
	if (result || (i->locked && span_is_ram(&span)))
		return result;
	operate(e, &span);
	complete(e);
	return EMULATE_DONE;
}

/* ---- executing: strings --------------------------------------------------- */

static __u64 string_load(struct emulation *e, enum place place, const struct span *span)
{
	__u32 size = e->instruction->size;
	__u32 data = 0;

	if (place == ACCUMULATOR)
		return register_read(&e->run->regs, THV_RAX, 0, size);
	if (place != PORT)
		return span_read(e, span);
	e->ops->port(e->opaque, e->run->io.port, &data, size, 0);
	return data;
}

static void string_store(struct emulation *e, enum place place, const struct span *span,
			 __u64 value)
{
	__u32 size = e->instruction->size;
	__u32 data = value;

	if (place == ACCUMULATOR)
		register_write(&e->run->regs, THV_RAX, 0, size, value);
	else if (place == PORT)
		e->ops->port(e->opaque, e->run->io.port, &data, size, 1);
	else
		span_write(e, span, value);
}

/* Move RSI, RDI or RCX, as wide as addresses are here */
static void string_step(struct emulation *e, enum thv_gpr gpr, __s64 step)
{
	register_write(&e->run->regs, gpr, 0, e->instruction->address_size,
		       e->run->regs.gpr[gpr] + step);
}

static enum emulate_result string_open(struct emulation *e, struct span *source,
				       struct span *destination)
{
	const struct instruction *i = e->instruction;
	const __u64 *gpr = e->run->regs.gpr;
	enum emulate_result result = EMULATE_DONE;

	if (i->operation->from == AT_SI)
		result = span_open(e, source, i->address.segment, gpr[THV_RSI] & i->address_mask);
	if (!result && i->operation->to == AT_DI)
		result = span_open(e, destination, THV_ES, gpr[THV_RDI] & i->address_mask);
	return result;
}

static enum emulate_result string_element(struct emulation *e, struct span *source,
					  struct span *destination)
{
	const struct operation *operation = e->instruction->operation;
	struct thv_regs *regs = &e->run->regs;
	struct values v = { .flags = regs->rflags, .size = e->instruction->size };
	__s64 step = regs->rflags & X86_EFLAGS_DF ? -v.size : v.size;
	enum emulate_result result = string_open(e, source, destination);

	if (result)
		return result;
	v.value[0] = string_load(e, operation->from, source);
	if (operation->compute) {
		v.value[1] = string_load(e, operation->to, destination);
		operation->compute(&v);
		regs->rflags = v.flags;
	} else {
		string_store(e, operation->to, destination, v.value[0]);
	}
	if (operation->from == AT_SI)
		string_step(e, THV_RSI, step);
	if (operation->to == AT_DI)
		string_step(e, THV_RDI, step);
	return EMULATE_DONE;
}

static int is_count_zero(const struct emulation *e)
{
	return !(e->run->regs.gpr[THV_RCX] & e->instruction->address_mask);
}

/* One element is done: was it the last? */
static int string_ends(struct emulation *e)
{
	enum repeat repeat = e->instruction->repeat;
	int equal = !!(e->run->regs.rflags & X86_EFLAGS_ZF);

	if (repeat == ONCE)
		return 1;
	string_step(e, THV_RCX, -1);
	return is_count_zero(e) || (repeat == WHILE_EQUAL && !equal) ||
	       (repeat == WHILE_DIFFERENT && equal);
}

/*
 * A state between two elements is one the guest may be in, and be interrupted in. So a
 * fault after the first of them needs no report: the guest goes on, and
 * the processor finds it again.
 */
static enum emulate_result execute_string(struct emulation *e)
{
	const struct instruction *i = e->instruction;
	int traps = !!(e->run->regs.rflags & X86_EFLAGS_TF);
	unsigned int n, batch = traps ? 1 : BATCH;
	struct span source, destination;
	enum emulate_result result;

	span_init(&source, i->size, THV_ACCESS_READ);
	span_init(&destination, i->size,
		  i->operation->compute ? THV_ACCESS_READ : THV_ACCESS_WRITE);
	if (i->repeat != ONCE && is_count_zero(e)) {
		complete(e);
		return EMULATE_DONE;
	}
	for (n = 0; n < batch; n++) {
		result = string_element(e, &source, &destination);
		if (result)
			return n ? EMULATE_DONE : result;
		e->run->dirty |= THV_DIRTY_GPRS | THV_DIRTY_RIP;
		if (string_ends(e)) {
			complete(e);
			return EMULATE_DONE;
		}
	}
	if (traps)
		e->run->dirty |= THV_DIRTY_COMPLETED;
	return EMULATE_DONE;
}

/*
 * The processor looked at the I/O permissions of the instruction that exited, and at no
 * other's. If the bytes have become a different one since, it shall look again: the
 * guest is run on with nothing changed.
 */
static int is_what_exited(const struct emulation *e)
{
	const struct operation *operation = e->instruction->operation;
	const struct thv_exit_io *io = &e->run->io;

	if (e->run->exit == THV_EXIT_MMIO)
		return operation->from != PORT && operation->to != PORT;
	return (io->flags & THV_IO_IN ? operation->from : operation->to) == PORT &&
	       io->size == e->instruction->size;
}

/* ---- decoding ------------------------------------------------------------ */

static enum emulate_result capture_part(struct emulation *e, __u64 gla, __u32 length)
{
	enum emulate_result result;
	const void *from;
	__u64 gpa;

	result = translate(e, gla, THV_ACCESS_EXECUTE, &gpa);
	if (result)
		return result;
	from = e->ops->memory(e->opaque, gpa, length, 0);
	if (!from)
		return EMULATE_UNKNOWN;
	memcpy(e->key.byte + e->captured, from, length);
	e->captured += length;
	return EMULATE_DONE;
}

/* An instruction at the end of a page may or may not go on in the next: only decoding tells */
static enum emulate_result capture(struct emulation *e)
{
	__u64 gla = linear(e, THV_CS, e->run->regs.rip);
	__u32 first = PAGE_BYTES - PAGE_OFFSET(gla);
	enum emulate_result result;

	if (first >= LONGEST_INSTRUCTION)
		return capture_part(e, gla, LONGEST_INSTRUCTION);
	result = capture_part(e, gla, first);
	if (result)
		return result;
	gla = linear(e, THV_CS, e->run->regs.rip + first);
	e->missing = is_canonical(&e->run->context, gla) ?
		     capture_part(e, gla, LONGEST_INSTRUCTION - first) :
		     raise_fault(e, GENERAL_PROTECTION, 0, 0);
	return EMULATE_DONE;
}

static ZyanStatus decode_with_zydis(const struct emulation *e, ZydisDecodedInstruction *to,
				    ZydisDecodedOperand *operands)
{
	ZydisDecoder decoder;

	if (e->key.code_bits == 64)
		ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	else if (e->key.code_bits == 32)
		ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
	else
		ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16);
	return ZydisDecoderDecodeFull(&decoder, e->key.byte, e->captured, to, operands);
}

static const struct operation *find(const struct operation *table, size_t entries, int code)
{
	size_t n;

	for (n = 0; n < entries; n++)
		if (table[n].code == code)
			return &table[n];
	return NULL;
}

#define FIND(table, code) find(table, sizeof(table) / sizeof((table)[0]), code)

static const struct operation *find_operation(const ZydisDecodedInstruction *from)
{
	const struct operation *string = NULL;

	if (from->encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY &&
	    from->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT)
		string = FIND(strings, from->opcode & ~1);
	return string ? string : FIND(operations, from->mnemonic);
}

/* Zydis numbers AL..BL, AH..BH, SPL..DIL, R8B..R15B, and wider ones as the processor does */
static int take_register(struct operand *to, ZydisRegister from)
{
	int id = ZydisRegisterGetId(from);

	switch (ZydisRegisterGetClass(from)) {
	case ZYDIS_REGCLASS_GPR8:
		to->shift = id >= 4 && id < 8 ? 8 : 0;
		to->gpr = id >= 4 ? id - 4 : id;
		return 1;
	case ZYDIS_REGCLASS_GPR16:
	case ZYDIS_REGCLASS_GPR32:
	case ZYDIS_REGCLASS_GPR64:
		to->gpr = id;
		return 1;
	default:
		return 0;
	}
}

static __u8 take_term(ZydisRegister from)
{
	if (from == ZYDIS_REGISTER_NONE)
		return FROM_ZERO;
	if (from == ZYDIS_REGISTER_RIP || from == ZYDIS_REGISTER_EIP)
		return FROM_RIP;
	return ZydisRegisterGetId(from);
}

static void take_memory(struct instruction *to, const struct operand *operand,
			const ZydisDecodedOperandMem *from)
{
	to->size = operand->size;
	to->access = operand->access;
	to->address.segment = ZydisRegisterGetId(from->segment);
	to->address.base = take_term(from->base);
	to->address.index = take_term(from->index);
	to->address.scale = from->scale;
	to->address.displacement = from->disp.value;
}

static int take_operand(struct instruction *to, struct operand *operand,
			const ZydisDecodedOperand *from)
{
	operand->size = from->size / 8;
	if (from->actions & ZYDIS_OPERAND_ACTION_MASK_READ)
		operand->access |= THV_ACCESS_READ;
	if (from->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE)
		operand->access |= THV_ACCESS_WRITE;
	switch (from->type) {
	case ZYDIS_OPERAND_TYPE_REGISTER:
		operand->kind = REGISTER;
		return take_register(operand, from->reg.value);
	case ZYDIS_OPERAND_TYPE_MEMORY:
		operand->kind = MEMORY;
		take_memory(to, operand, &from->mem);
		return 1;
	case ZYDIS_OPERAND_TYPE_IMMEDIATE:
		operand->kind = IMMEDIATE;
		to->immediate = from->imm.value.u;
		return 1;
	default:
		return 0;
	}
}

/* Hidden operands are CMPXCHG's accumulator, and RFLAGS, which every operation gets anyway */
static int take_operands(struct instruction *to, const ZydisDecodedInstruction *from,
			 const ZydisDecodedOperand *operands)
{
	unsigned int n;

	for (n = 0; n < from->operand_count; n++) {
		if (operands[n].type == ZYDIS_OPERAND_TYPE_REGISTER &&
		    ZydisRegisterGetClass(operands[n].reg.value) == ZYDIS_REGCLASS_FLAGS)
			continue;
		if (to->operands == OPERANDS ||
		    !take_operand(to, &to->operand[to->operands], &operands[n]))
			return 0;
		to->operands++;
	}
	to->bit_string = from->meta.category == ZYDIS_CATEGORY_BITBYTE &&
			 to->operand[1].kind == REGISTER;
	to->locked = from->attributes & ZYDIS_ATTRIB_HAS_LOCK ||
		     from->mnemonic == ZYDIS_MNEMONIC_XCHG;
	return to->size != 0;
}

/* Either repeat prefix repeats; which one matters to the strings that compare */
static enum repeat take_repeat(const struct operation *operation,
			       const ZydisDecodedInstruction *from)
{
	enum repeat repeat = ONCE;
	unsigned int n;

	for (n = 0; n < from->raw.prefix_count; n++)
		if (from->raw.prefixes[n].value == 0xf3)
			repeat = operation->compute ? WHILE_EQUAL : WHILE_COUNT;
		else if (from->raw.prefixes[n].value == 0xf2)
			repeat = operation->compute ? WHILE_DIFFERENT : WHILE_COUNT;
	return repeat;
}

/* The element's size is any memory operand's, the segment that of the one at RSI */
static int take_string(struct instruction *to, const ZydisDecodedInstruction *from,
		       const ZydisDecodedOperand *operands)
{
	unsigned int n;

	for (n = 0; n < from->operand_count; n++) {
		if (operands[n].type != ZYDIS_OPERAND_TYPE_MEMORY)
			continue;
		to->size = operands[n].size / 8;
		if (take_term(operands[n].mem.base) == THV_RSI)
			to->address.segment = ZydisRegisterGetId(operands[n].mem.segment);
	}
	to->repeat = take_repeat(to->operation, from);
	return to->size != 0;
}

static enum emulate_result understand(struct instruction *to, const struct emulation *e)
{
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction from;
	ZyanStatus status = decode_with_zydis(e, &from, operands);
	const struct operation *operation;
	int taken;

	if (status == ZYDIS_STATUS_NO_MORE_DATA && e->missing)
		return e->missing;
	if (!ZYAN_SUCCESS(status))
		return EMULATE_UNKNOWN;
	operation = find_operation(&from);
	if (!operation)
		return EMULATE_UNKNOWN;
	*to = (struct instruction){
		.key = e->key,
		.operation = operation,
		.length = from.length,
		.address_size = from.address_width / 8,
		.address_mask = ~0ULL >> (64 - from.address_width),
	};
	taken = is_string(operation) ? take_string(to, &from, operands) :
				       take_operands(to, &from, operands);
	if (!taken)
		to->operation = NULL;
	return taken ? EMULATE_DONE : EMULATE_UNKNOWN;
}

/*
 * The cache. The address only picks the place to look; what is found there counts if its bytes
 * and mode are those just captured, and it needs no more of them than there were.
 */
#define CACHE_BITS	6

static __thread struct instruction cache[1 << CACHE_BITS];

static enum emulate_result decode(struct emulation *e)
{
	/* 2^64 over the golden ratio: the top bits spread well */
	__u64 hash = e->run->regs.rip * 0x9e3779b97f4a7c15ULL;
	struct instruction *cached = &cache[hash >> (64 - CACHE_BITS)];

	e->instruction = cached;
	if (cached->operation && cached->length <= e->captured &&
	    !memcmp(&cached->key, &e->key, sizeof(e->key)))
		return EMULATE_DONE;
	return understand(cached, e);
}

/* ---- the sentence about what we cannot do --------------------------------- */

/* The instruction in words; returns its length, or that of all the bytes there are */
static unsigned int name_instruction(const struct emulation *e, char *name, size_t size)
{
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction decoded;
	ZydisFormatter formatter;
	ZyanStatus status = decode_with_zydis(e, &decoded, operands);

	if (!ZYAN_SUCCESS(status)) {
		snprintf(name, size, status == ZYDIS_STATUS_NO_MORE_DATA ?
			 "the code does not go on in RAM" : "not an instruction");
		return e->captured;
	}
	ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_INTEL);
	ZydisFormatterFormatInstruction(&formatter, &decoded, operands,
					decoded.operand_count_visible, name, size,
					e->run->regs.rip, NULL);
	return decoded.length;
}

static void describe(const struct emulation *e, char *text, size_t text_size)
{
	char name[128] = "the code is not in RAM", bytes[3 * LONGEST_INSTRUCTION + 1] = "none";
	unsigned int n, length = 0;

	if (e->captured)
		length = name_instruction(e, name, sizeof(name));
	for (n = 0; n < length; n++)
		sprintf(bytes + 3 * n, "%02x%s", e->key.byte[n], n + 1 < length ? " " : "");
	snprintf(text, text_size, "cannot emulate at 0x%llx: %s  (%s)",
		 e->run->regs.rip, name, bytes);
}

static enum emulate_result emulate(struct emulation *e)
{
	enum emulate_result result = capture(e);

	if (!result)
		result = decode(e);
	if (result || !is_what_exited(e))
		return result;
	if (is_string(e->instruction->operation))
		return execute_string(e);
	return execute_operation(e);
}

enum emulate_result emulate_exit(struct thv_run *run, const struct emulate_ops *ops,
				 void *opaque, struct emulate_fault *fault,
				 char *text, size_t text_size)
{
	struct emulation e = {
		.run = run,
		.ops = ops,
		.opaque = opaque,
		.fault = fault,
		.key.code_bits = run->context.code_bits,
	};
	enum emulate_result result = emulate(&e);

	if (result == EMULATE_UNKNOWN)
		describe(&e, text, text_size);
	return result;
}
