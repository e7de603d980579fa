// SPDX-License-Identifier: GPL-2.0-only
/* An address explained; chapters of the SDM are 3 for segments, 4 for paging, 29.3 for EPT. */
#include "lib/walk.h"

#include <stdarg.h>
#include <string.h>

#include "lib/decode.h"
#include "lib/json.h"
#include "lib/registers.h"

#define BIT(n)		(1ULL << (n))
#define SCREEN		100
#define WORDS_AT	49	/* the column where the words of an entry begin */

#define CR0_PE		BIT(0)
#define CR0_PG		BIT(31)
#define CR4_PSE		BIT(4)
#define CR4_PAE		BIT(5)
#define CR4_LA57	BIT(12)
#define CR4_PKE		BIT(22)
#define EFER_LMA	BIT(10)
#define RFLAGS_VM	BIT(17)

#define ENTRY_WRITABLE	BIT(1)
#define ENTRY_USER	BIT(2)
#define ENTRY_NX	BIT(63)
#define ENTRY_ADDRESS	0x000ffffffffff000ULL
#define ENTRY_ADDRESS32	0xfffff000ULL

#define SEG_CODE	0x8U
#define SEG_DOWN	0x4U	/* data: expands down */
#define SEG_WRITABLE	0x2U	/* data; of code: readable */

/* ---- modes -------------------------------------------------------------- */

enum paging { PAGING_OFF, PAGING_32, PAGING_PAE, PAGING_4, PAGING_5 };

static const char *const paging_names[] = {
	[PAGING_OFF] = "paging is off", [PAGING_32] = "32-bit paging",
	[PAGING_PAE] = "PAE paging", [PAGING_4] = "4-level paging", [PAGING_5] = "5-level paging",
};

static enum paging paging_of(const struct walk *walk)
{
	const struct thv_sregs *sregs = &walk->sregs;

	if (!(sregs->cr0 & CR0_PG))
		return PAGING_OFF;
	if (!(sregs->cr4 & CR4_PAE))
		return PAGING_32;
	if (!(sregs->efer & EFER_LMA))
		return PAGING_PAE;
	return sregs->cr4 & CR4_LA57 ? PAGING_5 : PAGING_4;
}

/* Segment and guest tables are left out */
static bool is_physical(const struct walk *walk)
{
	return walk->access & THV_ACCESS_PHYSICAL;
}

static bool is_64bit(const struct walk *walk)
{
	return (walk->sregs.efer & EFER_LMA) &&
	       (walk->sregs.seg[THV_CS].attributes & THV_SEG_L);
}

/* Real-address and virtual-8086 mode check limits, but no types */
static bool is_8086(const struct walk *walk)
{
	return !(walk->sregs.cr0 & CR0_PE) || (walk->rflags & RFLAGS_VM);
}

/* ---- the segment -------------------------------------------------------- */

static const char *wrong_type(u32 attributes, u32 access)
{
	bool code = attributes & SEG_CODE;

	if (!(attributes & THV_SEG_S))
		return "it is a system segment";
	if ((access & THV_ACCESS_EXECUTE) && !code)
		return "it is a data segment: nothing can be executed in it";
	if ((access & THV_ACCESS_WRITE) && code)
		return "it is a code segment: it cannot be written to";
	if ((access & THV_ACCESS_WRITE) && !(attributes & SEG_WRITABLE))
		return "it is not writable";
	if ((access & THV_ACCESS_READ) && code && !(attributes & SEG_WRITABLE))
		return "it is for execution only";
	return NULL;
}

static bool within(const struct thv_segment *segment, u64 offset)
{
	u64 top = segment->attributes & THV_SEG_DB ? 0xffffffff : 0xffff;

	if ((segment->attributes & (SEG_CODE | SEG_DOWN)) == SEG_DOWN)
		return offset > segment->limit && offset <= top;
	return offset <= segment->limit;
}

static const char *refusal(const struct walk *walk)
{
	const struct thv_segment *segment = &walk->sregs.seg[walk->segment];
	const char *type;

	if (is_physical(walk) || is_64bit(walk))
		return NULL;
	if (segment->attributes & THV_SEG_UNUSABLE)
		return "a null selector was loaded: it is unusable";
	type = is_8086(walk) ? NULL : wrong_type(segment->attributes, walk->access);
	if (type)
		return type;
	return within(segment, walk->offset) ? NULL : "the offset is beyond its limit";
}

/* SDM 3.4.4: in 64-bit mode only FS and GS have a base; elsewhere addresses have 32 bits */
void walk_begin(struct walk *walk)
{
	u64 base = walk->sregs.seg[walk->segment].base;

	walk->refused = refusal(walk);
	walk->translate.access = walk->access;
	if (is_physical(walk))
		walk->translate.gla = walk->offset;
	else if (!is_64bit(walk))
		walk->translate.gla = (u32)(base + walk->offset);
	else if (walk->segment == THV_FS || walk->segment == THV_GS)
		walk->translate.gla = base + walk->offset;
	else
		walk->translate.gla = walk->offset;
}

/* ---- what it comes to --------------------------------------------------- */

static bool is_apic(const struct walk *walk)
{
	bool xapic = (walk->apic_base & (BIT(11) | BIT(10))) == BIT(11);

	return xapic && !((walk->apic_base ^ walk->translate.gpa) & ENTRY_ADDRESS);
}

/* The entry at which the module gave up could not be read: it is not memory */
static bool is_table_missing(const struct thv_translate *translate)
{
	return translate->levels &&
	       !(translate->level[translate->levels - 1].flags & THV_LEVEL_LEAF);
}

/* The second level leads somewhere, though no slot does */
static bool is_private(const struct thv_translate *translate)
{
	return translate->second_levels &&
	       (translate->second[translate->second_levels - 1].flags & THV_LEVEL_LEAF);
}

/* EPT entries have read, write and execute in bits 0 to 2, where THV_ACCESS_* have them */
static bool is_protected(const struct walk *walk)
{
	const struct thv_translate *translate = &walk->translate;
	u32 i, wanted = walk->access & 7, allowed = 7;

	for (i = 0; i < translate->second_levels; i++)
		allowed &= translate->second[i].entry;
	return wanted & ~allowed;
}

static enum walk_end end_of_guest(const struct walk *walk)
{
	if (walk->refused)
		return WALK_SEGMENT;
	if (walk->translate.result == THV_TRANSLATE_NON_CANONICAL)
		return WALK_NON_CANONICAL;
	if (walk->translate.result == THV_TRANSLATE_GUEST_FAULT)
		return WALK_PAGE_FAULT;
	return is_table_missing(&walk->translate) ? WALK_TABLE : WALK_DONE;
}

enum walk_end walk_end(const struct walk *walk)
{
	enum walk_end end = end_of_guest(walk);

	if (end != WALK_DONE)
		return end;
	switch (walk->translate.result) {
	case THV_TRANSLATE_NO_SLOT:
		if (is_apic(walk))
			return WALK_APIC;
		if (is_private(&walk->translate))
			return WALK_PRIVATE;
		return walk->access & THV_ACCESS_EXECUTE ? WALK_FETCH : WALK_DEVICE;
	case THV_TRANSLATE_NOT_MAPPED:
		return WALK_UNMAPPED;
	case THV_TRANSLATE_HOST_FAULT:
		return WALK_HOST_FAULT;
	}
	return is_protected(walk) ? WALK_PROTECTED : WALK_DONE;
}

static const struct {
	const char *name;	/* in JSON */
	const char *text;
} ends[WALK_ENDS] = {
	[WALK_DONE] = { "done", "is done by the processor, without an exit" },
	[WALK_SEGMENT] = { "segment-fault", "faults at the segment" },
	[WALK_NON_CANONICAL] = { "non-canonical", "faults: the address is not canonical" },
	[WALK_PAGE_FAULT] = { "page-fault", "faults in the guest's tables" },
	[WALK_TABLE] = { "table-not-memory",
		"stops at a table of the guest that is not memory: thv reports it to the launcher" },
	[WALK_APIC] = { "apic", "reaches the local APIC's page: thv's APIC answers" },
	[WALK_DEVICE] = { "device",
		"is an EPT violation; there is no memory, so the launcher carries it out as a device's" },
	[WALK_FETCH] = { "fetch",
		"is an EPT violation; there is no memory to execute, which thv cannot do: the VM ends" },
	[WALK_UNMAPPED] = { "unmapped",
		"is an EPT violation; thv maps the page, and the guest tries again and sees nothing of it" },
	[WALK_PROTECTED] = { "protected",
		"is an EPT violation; thv gives the page the permission it lacks, or, where the slot itself is read-only, hands the access to the launcher" },
	[WALK_PRIVATE] = { "private",
		"reaches a page that thv keeps there for its own ends (the APIC-access page, say)" },
	[WALK_HOST_FAULT] = { "host-fault",
		"is an EPT violation; the launcher's own memory there is not accessible: the VM ends" },
};

/* ---- names -------------------------------------------------------------- */

static const char *const table_names[] = { "", "PT", "PD", "PDPT", "PML4", "PML5" };

static u32 shift_of(enum paging paging, u32 level)
{
	return 12 + (level - 1) * (paging == PAGING_32 ? 10 : 9);
}

/* "PD[8]" */
static const char *entry_name(enum paging paging, u64 address, u32 level, char *text, size_t size)
{
	u32 bits = paging == PAGING_32 ? 10 : paging == PAGING_PAE && level == 3 ? 2 : 9;
	u64 index = address >> shift_of(paging, level) & (BIT(bits) - 1);

	snprintf(text, size, "%s[%llu]", table_names[level < 6 ? level : 0], index);
	return text;
}

static const char *size_name(u64 size, char *text, size_t length)
{
	static const char *const units[] = { "bytes", "KiB", "MiB", "GiB", "TiB" };
	u32 unit = 0;

	for (; size && !(size % 1024) && unit < ARRAY_SIZE(units) - 1; unit++)
		size /= 1024;
	snprintf(text, length, "%llu %s", size, units[unit]);
	return text;
}

static const char *access_name(u32 access)
{
	if (access & THV_ACCESS_EXECUTE)
		return "an instruction fetch";
	return access & THV_ACCESS_WRITE ? "a write" : "a read";
}

static const char *by_name(u32 access)
{
	if (access & THV_ACCESS_PHYSICAL)
		return "the vCPU";
	return access & THV_ACCESS_USER ? "user code" : "the supervisor";
}

/* ---- entries ------------------------------------------------------------ */

__attribute__((format(printf, 4, 5)))
static void add(char *text, size_t size, const char *between, const char *format, ...)
{
	size_t used = strlen(text);
	va_list arguments;

	if (used)
		used += snprintf(text + used, size - used, "%s", between);
	if (used >= size)
		return;
	va_start(arguments, format);
	vsnprintf(text + used, size - used, format, arguments);
	va_end(arguments);
}

/* A 4 MiB page has address bits 39:32 in 20:13 (SDM table 4-4) */
static u64 page_of(enum paging paging, const struct thv_translate_level *at)
{
	u64 low = BIT(shift_of(paging, at->level)) - 1;

	if (paging != PAGING_32)
		return at->entry & ENTRY_ADDRESS & ~low;
	return (at->entry & ENTRY_ADDRESS32 & ~low) |
	       (at->level == 2 ? (at->entry & 0x1fe000) << (32 - 13) : 0);
}

/* Where it leads */
static void add_target(enum paging paging, const struct thv_translate_level *at, char *text,
		       size_t size)
{
	char length[24];

	if (at->flags & THV_LEVEL_LEAF)
		add(text, size, ", ", "%s page at %#llx",
		    size_name(BIT(shift_of(paging, at->level)), length, sizeof(length)),
		    page_of(paging, at));
	else
		add(text, size, ", ", "table at %#llx", at->entry &
		    (paging == PAGING_32 ? ENTRY_ADDRESS32 : ENTRY_ADDRESS));
}

/* SDM tables 4-5 to 4-20; PAT is where a table's entry has the bit of a large page, and vice versa */
static const struct decode_bit cache_bits[] = { { BIT(3), "PWT" }, { BIT(4), "PCD" }, { 0 } };

static void add_page_bits(const struct walk *walk, const struct thv_translate_level *at,
			  char *text, size_t size)
{
	if (at->entry & BIT(6))
		add(text, size, ", ", "dirty");
	if (at->entry & BIT(8))
		add(text, size, ", ", "global");
	if (at->level > 1)
		add(text, size, ", ", "large");
	if (at->entry & BIT(at->level > 1 ? 12 : 7))
		add(text, size, ", ", "PAT");
	if (walk->sregs.cr4 & CR4_PKE)
		add(text, size, ", ", "protection key %llu", at->entry >> 59 & 15);
}

static void add_guest_bits(const struct walk *walk, const struct thv_translate_level *at,
			   char *text, size_t size)
{
	char cache[20];

	/* PAE's PDPTE says nothing about permissions */
	if (paging_of(walk) != PAGING_PAE || at->level < 3) {
		add(text, size, ", ", "%s", at->entry & ENTRY_WRITABLE ? "writable" : "read-only");
		add(text, size, ", ", "%s", at->entry & ENTRY_USER ? "user" : "supervisor");
		if (at->entry & BIT(5))
			add(text, size, ", ", "accessed");
	}
	if (at->flags & THV_LEVEL_LEAF)
		add_page_bits(walk, at, text, size);
	if (at->entry & ENTRY_NX)
		add(text, size, ", ", "NX");
	decode_bits(at->entry & (BIT(3) | BIT(4)), cache_bits, ", ", cache, sizeof(cache));
	if (*cache)
		add(text, size, ", ", "%s", cache);
	if (at->flags & THV_LEVEL_RESERVED)
		add(text, size, ", ", "a reserved bit is set");
}

static void guest_words(const struct walk *walk, const struct thv_translate_level *at, char *text,
			size_t size)
{
	const struct thv_translate *translate = &walk->translate;

	*text = 0;
	if (at->flags & THV_LEVEL_PRESENT) {
		add_target(paging_of(walk), at, text, size);
		add(text, size, "; ", "present");
		add_guest_bits(walk, at, text, size);
	} else {
		add(text, size, "", "%s", translate->result == THV_TRANSLATE_GUEST_FAULT ?
		    "not present" : "not memory: it cannot be read");
	}
}

static const char *memory_type(u64 entry)
{
	static const char *const types[8] = {
		[0] = "uncacheable", [1] = "write-combining", [4] = "write-through",
		[5] = "write-protected", [6] = "write-back",
	};
	const char *type = types[entry >> 3 & 7];

	return type ? type : "reserved memory type";
}

/* SDM tables 29-2 to 29-7 */
static void add_second_bits(const struct thv_translate_level *at, char *text, size_t size)
{
	static const struct decode_bit rights[] = {
		{ BIT(0), "read" }, { BIT(1), "write" }, { BIT(2), "execute" }, { 0 }
	};
	static const struct decode_bit flags[] = {
		{ BIT(8), "accessed" }, { BIT(9), "dirty" }, { 0 }
	};
	char words[60];

	add(text, size, "; ", "%s", decode_bits(at->entry & 7, rights, "/", words, sizeof(words)));
	if (at->flags & THV_LEVEL_LEAF)
		add(text, size, ", ", "%s", memory_type(at->entry));
	if ((at->flags & THV_LEVEL_LEAF) && (at->entry & BIT(6)))
		add(text, size, ", ", "ignore PAT");
	if (*decode_bits(at->entry & 0x300, flags, ", ", words, sizeof(words)))
		add(text, size, ", ", "%s", words);
	if ((at->flags & THV_LEVEL_LEAF) && at->level > 1)
		add(text, size, ", ", "large");
}

/* Without the capability to know them, host-physical addresses are zero */
static void second_words(const struct walk *walk, const struct thv_translate_level *at, char *text,
			 size_t size)
{
	char length[24];

	*text = 0;
	if (!(at->flags & THV_LEVEL_PRESENT)) {
		add(text, size, "", "%s", at->flags & THV_LEVEL_LEAF ?
		    "set aside: the next use brings it back" :
		    walk_end(walk) == WALK_UNMAPPED ?
		    "not mapped yet: the first touch maps it" : "not mapped");
		return;
	}
	if (at->address)
		add_target(PAGING_4, at, text, size);
	else
		add(text, size, "", "%s%s",
		    at->flags & THV_LEVEL_LEAF ?
		    size_name(BIT(shift_of(PAGING_4, at->level)), length, sizeof(length)) : "",
		    at->flags & THV_LEVEL_LEAF ? " page" : "table");
	add_second_bits(at, text, size);
}

/* ---- permissions -------------------------------------------------------- */

static const struct {
	u32 access;		/* what is given */
	const char *name;
	u64 bit;		/* by this bit of every entry, */
	bool set;		/* which is set or clear */
} permissions[] = {
	{ THV_ACCESS_WRITE, "write", ENTRY_WRITABLE, true },
	{ THV_ACCESS_EXECUTE, "execute", ENTRY_NX, false },
	{ THV_ACCESS_USER, "user", ENTRY_USER, true },
};

/* The first entry that takes permission n away; NULL if none does */
static const struct thv_translate_level *taker(const struct walk *walk, size_t n)
{
	const struct thv_translate *translate = &walk->translate;
	u32 i;

	for (i = paging_of(walk) == PAGING_PAE ? 1 : 0; i < translate->levels; i++)
		if (!!(translate->level[i].entry & permissions[n].bit) != permissions[n].set)
			return &translate->level[i];
	return NULL;
}

static void given_words(const struct walk *walk, char *text, size_t size)
{
	const struct thv_translate_level *at;
	char name[20];
	size_t n;

	strcpy(text, "read");
	for (n = 0; n < ARRAY_SIZE(permissions); n++)
		if (walk->translate.permissions & permissions[n].access)
			add(text, size, ", ", "%s", permissions[n].name);
	for (n = 0; n < ARRAY_SIZE(permissions); n++) {
		at = taker(walk, n);
		if (at)
			add(text, size, "; ", "%s taken away by %s", permissions[n].name,
			    entry_name(paging_of(walk), walk->translate.gla, at->level, name,
				       sizeof(name)));
	}
}

/* Why a page that is there refuses the access: SDM 4.6.1, in its order */
static const char *refused_page(const struct walk *walk)
{
	u32 given = walk->translate.permissions, access = walk->access;
	bool user = access & THV_ACCESS_USER;

	if (user && !(given & THV_ACCESS_USER))
		return "the page is the supervisor's";
	if ((access & THV_ACCESS_EXECUTE) && !(given & THV_ACCESS_EXECUTE))
		return "the page is not executable";
	if ((access & THV_ACCESS_EXECUTE) && !user && (given & THV_ACCESS_USER))
		return "SMEP: the supervisor may not execute a user page";
	if ((access & THV_ACCESS_WRITE) && !(given & THV_ACCESS_WRITE))
		return user ? "the page is read-only" :
			      "the page is read-only, and CR0.WP holds the supervisor to it";
	return "SMAP: the supervisor may not touch a user page while RFLAGS.AC is 0";
}

static const char *fault_reason(const struct walk *walk, char *text, size_t size)
{
	const struct thv_translate *translate = &walk->translate;
	const struct thv_translate_level *last = &translate->level[translate->levels - 1];
	char name[20];

	if (!translate->levels)
		return "no entry was reached";
	entry_name(paging_of(walk), translate->gla, last->level, name, sizeof(name));
	if (!(last->flags & THV_LEVEL_PRESENT))
		snprintf(text, size, "%s is not present", name);
	else if (last->flags & THV_LEVEL_RESERVED)
		snprintf(text, size, "%s has a reserved bit set", name);
	else
		return refused_page(walk);
	return text;
}

/* ---- text --------------------------------------------------------------- */

#define NAMES		16	/* width of the names at the left */

/* Words from a column on, what precedes being printed already; further lines are indented */
static void wrap(FILE *file, int column, int indent, const char *text)
{
	int word;

	for (; *text; text += word) {
		text += strspn(text, " ");
		word = strcspn(text, " ");
		if (column > indent && column + 1 + word > SCREEN)
			column = fprintf(file, "\n%*s", indent, "") - 1;
		else if (column > indent)
			column += fprintf(file, " ");
		column += fprintf(file, "%.*s", word, text);
	}
	fputc('\n', file);
}

/* "Word        text": a paragraph with its name at the left */
__attribute__((format(printf, 3, 4)))
static void say(FILE *file, const char *name, const char *format, ...)
{
	char text[DECODE_TEXT];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	wrap(file, fprintf(file, "%-*s", NAMES, name), NAMES, text);
}

/* Where it leads on the first line, its bits on the next */
static void print_entry(FILE *file, const char *name, const struct thv_translate_level *at,
			const char *words)
{
	const char *bits = strstr(words, "; ");
	char address[20];

	snprintf(address, sizeof(address), at->address ? "%016llx" : "-", at->address);
	fprintf(file, "  %-11s%-16s  %016llx  %.*s\n", name, address, at->entry,
		(int)(bits ? bits - words : (long)strlen(words)), words);
	if (bits)
		wrap(file, fprintf(file, "%*s", WORDS_AT, ""), WORDS_AT, bits + 2);
}

static void print_segment(const struct walk *walk, FILE *file)
{
	const struct thv_segment *segment = &walk->sregs.seg[walk->segment];
	const char *name = registers_segment[walk->segment];
	bool based = walk->segment == THV_FS || walk->segment == THV_GS;
	char words[DECODE_TEXT];

	if (is_64bit(walk) && !based)
		say(file, "segment", "%s: 64-bit mode knows neither its base nor its limit", name);
	else if (is_64bit(walk))
		say(file, "segment", "%s: base %#llx; 64-bit mode knows no limit", name,
		    segment->base);
	else
		say(file, "segment", "%s %04x: base %#llx, limit %#x; %s", name,
		    segment->selector, segment->base, segment->limit,
		    decode_segment(segment->attributes, words, sizeof(words)));
	if (walk->refused)
		say(file, "", "refused: %s", walk->refused);
	else
		say(file, "linear", "%#llx", walk->translate.gla);
}

typedef void words_of(const struct walk *walk, const struct thv_translate_level *at, char *text,
		      size_t size);

/* One set of tables, the root first; @address is what they are indexed by */
static void print_levels(const struct walk *walk, const struct thv_translate_level *level, u32 count,
			 enum paging paging, u64 address, words_of *words, FILE *file)
{
	char name[20], text[DECODE_TEXT];
	u32 i;

	if (!count)
		return;
	fprintf(file, "\n  %-11s%-16s  %-16s  means\n", "entry", "at", "holds");
	for (i = 0; i < count; i++) {
		entry_name(paging, address, level[i].level, name, sizeof(name));
		words(walk, &level[i], text, sizeof(text));
		print_entry(file, name, &level[i], text);
	}
	fputc('\n', file);
}

static void print_guest(const struct walk *walk, FILE *file)
{
	const struct thv_translate *translate = &walk->translate;
	char words[DECODE_TEXT];

	print_levels(walk, translate->level, translate->levels, paging_of(walk), translate->gla,
		     guest_words, file);
	if (!translate->page_size)
		return;
	given_words(walk, words, sizeof(words));
	say(file, "permissions", "%s", words);
}

static void print_mode(const struct walk *walk, FILE *file)
{
	enum paging paging = paging_of(walk);

	if (paging == PAGING_OFF)
		say(file, "guest tables", "none: %s, linear addresses are guest-physical",
		    paging_names[paging]);
	else
		say(file, "guest tables", "%s%s, CR3 = %#llx", paging_names[paging],
		    paging == PAGING_32 && (walk->sregs.cr4 & CR4_PSE) ? " with 4 MiB pages (PSE)" :
		    paging == PAGING_PAE ? ", PDPTEs as the processor loaded them" : "",
		    walk->sregs.cr3);
}

/* With shadow paging this is what the processor walks; made when the guest faults, hence often not whole */
static void shadow_words(const struct walk *walk, const struct thv_translate_level *at, char *text,
			 size_t size)
{
	*text = 0;
	if (!(at->flags & THV_LEVEL_PRESENT)) {
		add(text, size, "", "nothing yet: the access faults, and thv fills it in");
		return;
	}
	if (at->address)
		add_target(PAGING_4, at, text, size);
	else
		add(text, size, "", "%s", at->flags & THV_LEVEL_LEAF ? "4 KiB page" : "table");
	add(text, size, "; ", "present");
	add_guest_bits(walk, at, text, size);
}

static void print_shadow(const struct walk *walk, FILE *file)
{
	const struct thv_translate *translate = &walk->translate;

	if (translate->paging != THV_PAGING_SHADOW || is_physical(walk))
		return;
	say(file, "shadow tables", "%s", translate->shadow_levels ?
	    "walked by the processor in place of the guest's" :
	    "none yet: the first access faults, and thv makes them");
	print_levels(walk, translate->shadow, translate->shadow_levels, PAGING_4, translate->gla,
		     shadow_words, file);
}

static const char *second_name(const struct thv_translate *translate)
{
	if (!translate->second_levels)
		return "no table reaches this address";
	if (translate->paging == THV_PAGING_SHADOW)
		return translate->second[0].address ?
		       "thv's own map, which shadow tables are made of" :
		       "thv's own map, which shadow tables are made of; where host memory lies is shown to root only";
	return translate->second[0].address ?
	       "EPT, thv's own" : "EPT, thv's own; where host memory lies is shown to root only";
}

static void print_second(const struct walk *walk, FILE *file)
{
	const struct thv_translate *translate = &walk->translate;

	say(file, "guest-physical", "%#llx", translate->gpa);
	say(file, "second level", "%s", second_name(translate));
	print_levels(walk, translate->second, translate->second_levels, PAGING_4, translate->gpa,
		     second_words, file);
}

/* Mapped, and the caller may know where: the byte's host-physical address; else 0 */
static u64 host_physical(const struct thv_translate *translate)
{
	const struct thv_translate_level *last;

	if (!translate->second_levels)
		return 0;
	last = &translate->second[translate->second_levels - 1];
	if (!(last->flags & THV_LEVEL_LEAF) || !last->address)
		return 0;
	return page_of(PAGING_4, last) |
	       (translate->gpa & (BIT(shift_of(PAGING_4, last->level)) - 1));
}

static void print_host(const struct thv_translate *translate, FILE *file)
{
	u64 hpa = host_physical(translate);

	if (hpa)
		say(file, "host-physical", "%#llx", hpa);
	if (translate->hva)
		say(file, "host-virtual", "%#llx, in the launcher", translate->hva);
}

static void print_end(const struct walk *walk, FILE *file)
{
	enum walk_end end = walk_end(walk);
	char reason[60], code[120];

	say(file, "result", "%s by %s %s", access_name(walk->access), by_name(walk->access),
	    ends[end].text);
	if (end == WALK_SEGMENT || end == WALK_NON_CANONICAL)
		say(file, "", "%s(0)%s%s", walk->segment == THV_SS ? "#SS" : "#GP",
		    walk->refused ? ": " : "", walk->refused ? walk->refused : "");
	if (end != WALK_PAGE_FAULT)
		return;
	decode_bits(walk->translate.error_code, decode_page_fault, ", ", code, sizeof(code));
	say(file, "", "#PF, error code %#x (%s), CR2 = %#llx: %s", walk->translate.error_code,
	    *code ? code : "a read by the supervisor, not present", walk->translate.gla,
	    fault_reason(walk, reason, sizeof(reason)));
}

static void print_linear(const struct walk *walk, FILE *file)
{
	print_segment(walk, file);
	if (walk->refused)
		return;
	print_mode(walk, file);
	print_guest(walk, file);
	print_shadow(walk, file);
}

void walk_print(const struct walk *walk, FILE *file)
{
	say(file, "address", "%#llx%s, %s by %s, vCPU %u", walk->offset,
	    is_physical(walk) ? ", guest-physical" : "", access_name(walk->access),
	    by_name(walk->access), walk->vcpu);
	if (!is_physical(walk))
		print_linear(walk, file);
	if (end_of_guest(walk) == WALK_DONE) {
		print_second(walk, file);
		print_host(&walk->translate, file);
	}
	print_end(walk, file);
}

/* ---- JSON --------------------------------------------------------------- */

static void json_levels(struct json *json, const char *key, const struct walk *walk,
			const struct thv_translate_level *level, u32 count, words_of *words)
{
	bool guest = words == guest_words;
	u64 address = words == second_words ? walk->translate.gpa : walk->translate.gla;
	char text[DECODE_TEXT];
	u32 i;

	json_open(json, key, '[');
	for (i = 0; i < count; i++) {
		json_open(json, NULL, '{');
		json_text(json, "table", entry_name(guest ? paging_of(walk) : PAGING_4, address,
						    level[i].level, text, sizeof(text)));
		json_number(json, "level", level[i].level);
		json_number(json, "address", level[i].address);
		json_number(json, "entry", level[i].entry);
		json_bool(json, "present", level[i].flags & THV_LEVEL_PRESENT);
		json_bool(json, "leaf", level[i].flags & THV_LEVEL_LEAF);
		json_bool(json, "reserved", level[i].flags & THV_LEVEL_RESERVED);
		words(walk, &level[i], text, sizeof(text));
		json_text(json, "meaning", text);
		json_close(json, '}');
	}
	json_close(json, ']');
}

static void json_permissions(struct json *json, const struct walk *walk)
{
	u32 given = walk->translate.permissions;
	size_t n;

	json_open(json, "permissions", '{');
	json_bool(json, "read", given & THV_ACCESS_READ);
	for (n = 0; n < ARRAY_SIZE(permissions); n++)
		json_bool(json, permissions[n].name, given & permissions[n].access);
	json_close(json, '}');
}

static void json_result(struct json *json, const struct walk *walk)
{
	enum walk_end end = walk_end(walk);
	char reason[60];

	json_text(json, "result", ends[end].name);
	json_text(json, "meaning", ends[end].text);
	if (end == WALK_SEGMENT)
		json_text(json, "reason", walk->refused);
	if (end == WALK_PAGE_FAULT) {
		json_number(json, "error_code", walk->translate.error_code);
		json_text(json, "reason", fault_reason(walk, reason, sizeof(reason)));
	}
}

static void json_guest(struct json *json, const struct walk *walk)
{
	const struct thv_translate *translate = &walk->translate;

	json_text(json, "segment", registers_segment[walk->segment]);
	json_number(json, "offset", walk->offset);
	json_number(json, "linear", translate->gla);
	json_text(json, "paging", paging_names[paging_of(walk)]);
	json_permissions(json, walk);
	json_number(json, "page_size", translate->page_size);
	json_levels(json, "guest_tables", walk, translate->level, translate->levels, guest_words);
}

void walk_json(const struct walk *walk, FILE *file)
{
	const struct thv_translate *translate = &walk->translate;
	struct json json = { .file = file };

	json_open(&json, NULL, '{');
	json_number(&json, "vcpu", walk->vcpu);
	if (!is_physical(walk))
		json_guest(&json, walk);
	json_result(&json, walk);
	json_number(&json, "guest_physical", translate->gpa);
	json_levels(&json, "shadow_tables", walk, walk->translate.shadow, walk->translate.shadow_levels,
		    shadow_words);
	json_levels(&json, "second_level", walk, translate->second, translate->second_levels,
		    second_words);
	json_number(&json, "host_physical", host_physical(translate));
	json_number(&json, "host_virtual", translate->hva);
	json_close(&json, '}');
	fputc('\n', file);
}
