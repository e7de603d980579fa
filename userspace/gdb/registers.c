// SPDX-License-Identifier: GPL-2.0-only
/*
 * The table of registers and what follows from it. The first features have the
 * names and the order that gdb prescribes (its manual, "Standard Target Features",
 * i386); the last is ours: what a debugger of kernels wants besides. Needs no module.
 */
#include "gdb/registers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where in an XSAVE area of the standard format (SDM 13.4.1, table 13-1) */
#define XSAVE_FCW	0
#define XSAVE_FSW	2
#define XSAVE_FTW	4	/* a bit a register: not empty */
#define XSAVE_FOP	6
#define XSAVE_FIP	8
#define XSAVE_FCS	12
#define XSAVE_FDP	16
#define XSAVE_FDS	20
#define XSAVE_MXCSR	24
#define XSAVE_ST(i)	(32 + 16 * (i))
#define XSAVE_XMM(i)	(160 + 16 * (i))
#define XSAVE_BV	512	/* which components are not in their initial state */
#define XSAVE_X87_SSE	3

#define IN_64	(1U << GDB_64)
#define IN_OLD	(1U << GDB_32 | 1U << GDB_16)
#define IN_ALL	(IN_64 | IN_OLD)

enum feature { CORE, SSE, SEGMENTS, SYSTEM, FEATURES };

static const struct {
	const char *name;
	const char *types;	/* that its registers use and gdb does not know */
} features[FEATURES] = {
	[CORE] = { "org.gnu.gdb.i386.core",
		"<flags id=\"i386_eflags\" size=\"4\">"
		"<field name=\"CF\" start=\"0\" end=\"0\"/><field name=\"\" start=\"1\" end=\"1\"/>"
		"<field name=\"PF\" start=\"2\" end=\"2\"/><field name=\"AF\" start=\"4\" end=\"4\"/>"
		"<field name=\"ZF\" start=\"6\" end=\"6\"/><field name=\"SF\" start=\"7\" end=\"7\"/>"
		"<field name=\"TF\" start=\"8\" end=\"8\"/><field name=\"IF\" start=\"9\" end=\"9\"/>"
		"<field name=\"DF\" start=\"10\" end=\"10\"/><field name=\"OF\" start=\"11\" end=\"11\"/>"
		"<field name=\"NT\" start=\"14\" end=\"14\"/><field name=\"RF\" start=\"16\" end=\"16\"/>"
		"<field name=\"VM\" start=\"17\" end=\"17\"/><field name=\"AC\" start=\"18\" end=\"18\"/>"
		"<field name=\"VIF\" start=\"19\" end=\"19\"/><field name=\"VIP\" start=\"20\" end=\"20\"/>"
		"<field name=\"ID\" start=\"21\" end=\"21\"/></flags>" },
	[SSE] = { "org.gnu.gdb.i386.sse",
		"<vector id=\"v4f\" type=\"ieee_single\" count=\"4\"/>"
		"<vector id=\"v2d\" type=\"ieee_double\" count=\"2\"/>"
		"<vector id=\"v16i8\" type=\"int8\" count=\"16\"/>"
		"<vector id=\"v8i16\" type=\"int16\" count=\"8\"/>"
		"<vector id=\"v4i32\" type=\"int32\" count=\"4\"/>"
		"<vector id=\"v2i64\" type=\"int64\" count=\"2\"/>"
		"<union id=\"vec128\"><field name=\"v4_float\" type=\"v4f\"/>"
		"<field name=\"v2_double\" type=\"v2d\"/><field name=\"v16_int8\" type=\"v16i8\"/>"
		"<field name=\"v8_int16\" type=\"v8i16\"/><field name=\"v4_int32\" type=\"v4i32\"/>"
		"<field name=\"v2_int64\" type=\"v2i64\"/><field name=\"uint128\" type=\"uint128\"/>"
		"</union>" },
	[SEGMENTS] = { "org.gnu.gdb.i386.segments", "" },
	[SYSTEM] = { "org.thv.system", "" },
};

static const char *const architectures[] = {
	[GDB_64] = "i386:x86-64", [GDB_32] = "i386", [GDB_16] = "i8086",
};

/**
 * struct register_row - some registers that differ by a number.
 * @name: a number from @first on is appended where @count is more than 1.
 * @bytes: as gdb wants it; what lies at @offset is at least as long.
 * @offset: in struct gdb_registers; @step: from one to the next.
 * @get, @set: where bytes are not simply copied.
 * @fpu: part of the XSAVE area's legacy region.
 */
struct register_row {
	u32 modes;
	enum feature feature;
	const char *name, *type;
	u32 bytes, count, first;
	size_t offset, step;
	u32 (*get)(const struct gdb_registers *from);
	void (*set)(struct gdb_registers *to, u32 value);
	bool fpu;
};

/* ---- the x87 tag word: gdb has two bits a register, XSAVE one ------------- */

enum { TAG_VALID, TAG_ZERO, TAG_SPECIAL, TAG_EMPTY };

static u32 tag_of(const u8 *st)
{
	u16 exponent;
	u64 mantissa;

	memcpy(&mantissa, st, sizeof(mantissa));
	memcpy(&exponent, st + 8, sizeof(exponent));
	exponent &= 0x7fff;
	if (!exponent && !mantissa)
		return TAG_ZERO;
	return exponent && exponent != 0x7fff && mantissa >> 63 ? TAG_VALID : TAG_SPECIAL;
}

/* Tags are by physical register, ST(i) is counted from the top of the stack (SDM 8.1.7) */
static u32 get_tags(const struct gdb_registers *from)
{
	const u8 *xsave = from->fpu.xsave;
	u32 top = xsave[XSAVE_FSW + 1] >> 3 & 7, physical, tags = 0;

	for (physical = 0; physical < 8; physical++) {
		const u8 *st = xsave + XSAVE_ST((physical - top) & 7);

		tags |= (xsave[XSAVE_FTW] >> physical & 1 ? tag_of(st) : TAG_EMPTY) << 2 * physical;
	}
	return tags;
}

static void set_tags(struct gdb_registers *to, u32 tags)
{
	u32 physical;

	to->fpu.xsave[XSAVE_FTW] = 0;
	for (physical = 0; physical < 8; physical++)
		if ((tags >> 2 * physical & 3) != TAG_EMPTY)
			to->fpu.xsave[XSAVE_FTW] |= 1 << physical;
}

/* ---- others that are shorter than where they are -------------------------- */

static u32 get_fop(const struct gdb_registers *from)
{
	return from->fpu.xsave[XSAVE_FOP] | (from->fpu.xsave[XSAVE_FOP + 1] & 7) << 8;
}

#define HALF(name, place)								\
	static u32 get_##name(const struct gdb_registers *from)				\
	{										\
		u16 value;								\
											\
		memcpy(&value, from->fpu.xsave + (place), sizeof(value));		\
		return value;								\
	}										\
	static void set_##name(struct gdb_registers *to, u32 value)			\
	{										\
		u16 half = value;							\
											\
		memcpy(to->fpu.xsave + (place), &half, sizeof(half));			\
	}

HALF(fcw, XSAVE_FCW)
HALF(fsw, XSAVE_FSW)
HALF(fcs, XSAVE_FCS)
HALF(fds, XSAVE_FDS)

static void set_fop(struct gdb_registers *to, u32 value)
{
	to->fpu.xsave[XSAVE_FOP] = value;
	to->fpu.xsave[XSAVE_FOP + 1] = value >> 8 & 7;
}

#define SELECTOR(name, id)								\
	static u32 get_##name(const struct gdb_registers *from)				\
	{										\
		return from->sregs.seg[id].selector;					\
	}										\
	static void set_##name(struct gdb_registers *to, u32 value)			\
	{										\
		to->sregs.seg[id].selector = value;					\
	}

SELECTOR(cs, THV_CS)
SELECTOR(ss, THV_SS)
SELECTOR(ds, THV_DS)
SELECTOR(es, THV_ES)
SELECTOR(fs, THV_FS)
SELECTOR(gs, THV_GS)

/* ---- the table: in gdb's order ------------------------------------------- */

#define AT(member)	.offset = offsetof(struct gdb_registers, member)
#define XSAVE(place)	.fpu = true, .offset = offsetof(struct gdb_registers, fpu.xsave) + (place)
#define GPR(id)		.offset = offsetof(struct gdb_registers, regs.gpr) + 8 * (id)
#define BASE(id)	.offset = offsetof(struct gdb_registers, sregs.seg) +		\
				  (id) * sizeof(struct thv_segment) + offsetof(struct thv_segment, base)
#define SPECIAL(name)	.get = get_##name, .set = set_##name

#define GPR_64(name, id)	{ IN_64, CORE, name, "int64", 8, 1, GPR(id) }
#define GPR_32(name, id)	{ IN_OLD, CORE, name, "int32", 4, 1, GPR(id) }
#define SHORT(name, text)	{ IN_ALL, CORE, text, "int32", 4, 1, SPECIAL(name) }
#define X87(name, text)		{ IN_ALL, CORE, text, "int", 4, 1, SPECIAL(name), .fpu = true }
#define SYSTEM_64(text, place)	{ IN_ALL, SYSTEM, text, "uint64", 8, 1, place }

static const struct register_row rows[] = {
	GPR_64("rax", THV_RAX), GPR_64("rbx", THV_RBX), GPR_64("rcx", THV_RCX),
	GPR_64("rdx", THV_RDX), GPR_64("rsi", THV_RSI), GPR_64("rdi", THV_RDI),
	{ IN_64, CORE, "rbp", "data_ptr", 8, 1, GPR(THV_RBP) },
	{ IN_64, CORE, "rsp", "data_ptr", 8, 1, GPR(THV_RSP) },
	{ IN_64, CORE, "r", "int64", 8, 8, .first = 8, GPR(THV_R8), .step = 8 },
	{ IN_64, CORE, "rip", "code_ptr", 8, 1, AT(regs.rip) },
	GPR_32("eax", THV_RAX), GPR_32("ecx", THV_RCX), GPR_32("edx", THV_RDX),
	GPR_32("ebx", THV_RBX),
	{ IN_OLD, CORE, "esp", "data_ptr", 4, 1, GPR(THV_RSP) },
	{ IN_OLD, CORE, "ebp", "data_ptr", 4, 1, GPR(THV_RBP) },
	GPR_32("esi", THV_RSI), GPR_32("edi", THV_RDI),
	{ IN_OLD, CORE, "eip", "code_ptr", 4, 1, AT(regs.rip) },
	{ IN_ALL, CORE, "eflags", "i386_eflags", 4, 1, AT(regs.rflags) },
	SHORT(cs, "cs"), SHORT(ss, "ss"), SHORT(ds, "ds"),
	SHORT(es, "es"), SHORT(fs, "fs"), SHORT(gs, "gs"),
	{ IN_ALL, CORE, "st", "i387_ext", 10, 8, XSAVE(XSAVE_ST(0)), .step = 16 },
	X87(fcw, "fctrl"), X87(fsw, "fstat"), X87(tags, "ftag"), X87(fcs, "fiseg"),
	{ IN_ALL, CORE, "fioff", "int", 4, 1, XSAVE(XSAVE_FIP) },
	X87(fds, "foseg"),
	{ IN_ALL, CORE, "fooff", "int", 4, 1, XSAVE(XSAVE_FDP) },
	X87(fop, "fop"),
	{ IN_64, SSE, "xmm", "vec128", 16, 16, XSAVE(XSAVE_XMM(0)), .step = 16 },
	{ IN_OLD, SSE, "xmm", "vec128", 16, 8, XSAVE(XSAVE_XMM(0)), .step = 16 },
	{ IN_ALL, SSE, "mxcsr", "int32", 4, 1, XSAVE(XSAVE_MXCSR) },
	{ IN_64, SEGMENTS, "fs_base", "int64", 8, 1, BASE(THV_FS) },
	{ IN_64, SEGMENTS, "gs_base", "int64", 8, 1, BASE(THV_GS) },
	SYSTEM_64("cs_base", BASE(THV_CS)), SYSTEM_64("ss_base", BASE(THV_SS)),
	SYSTEM_64("ds_base", BASE(THV_DS)), SYSTEM_64("es_base", BASE(THV_ES)),
	{ IN_OLD, SYSTEM, "fs_base", "uint64", 8, 1, BASE(THV_FS) },
	{ IN_OLD, SYSTEM, "gs_base", "uint64", 8, 1, BASE(THV_GS) },
	SYSTEM_64("k_gs_base", AT(kernel_gs_base)),
	SYSTEM_64("cr0", AT(sregs.cr0)), SYSTEM_64("cr2", AT(sregs.cr2)),
	SYSTEM_64("cr3", AT(sregs.cr3)), SYSTEM_64("cr4", AT(sregs.cr4)),
	SYSTEM_64("cr8", AT(sregs.cr8)), SYSTEM_64("efer", AT(sregs.efer)),
};

/* The row of register @number, and which of the row it is */
static const struct register_row *find(enum gdb_mode mode, u32 number, u32 *index)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		if (!(rows[i].modes & 1U << mode))
			continue;
		if (number < rows[i].count) {
			*index = number;
			return &rows[i];
		}
		number -= rows[i].count;
	}
	return NULL;
}

u32 gdb_register_count(enum gdb_mode mode)
{
	u32 count = 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].modes & 1U << mode)
			count += rows[i].count;
	return count;
}

u32 gdb_register_bytes(enum gdb_mode mode, u32 number)
{
	const struct register_row *row;
	u32 index;

	row = find(mode, number, &index);
	return row ? row->bytes : 0;
}

void gdb_register_get(enum gdb_mode mode, const struct gdb_registers *from, u32 number, u8 *bytes)
{
	const struct register_row *row;
	u32 index, value;

	row = find(mode, number, &index);
	if (!row)
		return;
	if (!row->get) {
		memcpy(bytes, (const u8 *)from + row->offset + index * row->step, row->bytes);
		return;
	}
	value = row->get(from);
	memcpy(bytes, &value, sizeof(value));
}

void gdb_register_set(enum gdb_mode mode, struct gdb_registers *to, u32 number, const u8 *bytes)
{
	const struct register_row *row;
	u32 index, value;

	row = find(mode, number, &index);
	if (!row)
		return;
	if (row->fpu)		/* not in its initial state any more */
		to->fpu.xsave[XSAVE_BV] |= XSAVE_X87_SSE;
	if (!row->set) {
		memcpy((u8 *)to + row->offset + index * row->step, bytes, row->bytes);
		return;
	}
	memcpy(&value, bytes, sizeof(value));
	row->set(to, value);
}

enum gdb_mode gdb_mode(const struct thv_sregs *sregs)
{
	u32 attributes = sregs->seg[THV_CS].attributes;

	if ((sregs->efer & (1U << 10)) && (attributes & THV_SEG_L))
		return GDB_64;
	return attributes & THV_SEG_DB ? GDB_32 : GDB_16;
}

/* ---- the description ----------------------------------------------------- */

static void describe_row(FILE *file, const struct register_row *row)
{
	u32 i;

	for (i = 0; i < row->count; i++) {
		fprintf(file, "<reg name=\"%s", row->name);
		if (row->count > 1)
			fprintf(file, "%u", row->first + i);
		fprintf(file, "\" bitsize=\"%u\" type=\"%s\"%s/>", row->bytes * 8, row->type,
			row->feature == SYSTEM ? " group=\"system\"" : "");
	}
}

static void describe_feature(FILE *file, enum gdb_mode mode, enum feature feature)
{
	size_t i;

	fprintf(file, "<feature name=\"%s\">%s", features[feature].name, features[feature].types);
	for (i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].feature == feature && rows[i].modes & 1U << mode)
			describe_row(file, &rows[i]);
	fprintf(file, "</feature>");
}

static bool has_feature(enum gdb_mode mode, enum feature feature)
{
	return feature != SEGMENTS || mode == GDB_64;
}

char *gdb_description(enum gdb_mode mode)
{
	char *text = NULL;
	size_t size;
	FILE *file = open_memstream(&text, &size);
	int feature;

	if (!file)
		return NULL;
	fprintf(file, "<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\">"
		"<target version=\"1.0\"><architecture>%s</architecture>", architectures[mode]);
	for (feature = 0; feature < FEATURES; feature++)
		if (has_feature(mode, feature))
			describe_feature(file, mode, feature);
	fprintf(file, "</target>");
	fclose(file);
	return text;
}
