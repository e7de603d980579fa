// SPDX-License-Identifier: GPL-2.0-only
/* A translation for people. The formats are those of SDM 4.3 to 4.5 and 29.3.2. */
#include "lib/walk.h"

#include <string.h>

#include "lib/bits.h"
#include "lib/registers.h"

#define WORDS	200	/* bytes that an entry in words can take */

/* Of an entry of the guest's, alike in all formats */
#define PTE_P	(1ULL << 0)
#define PTE_W	(1ULL << 1)
#define PTE_U	(1ULL << 2)
#define PTE_PWT	(1ULL << 3)
#define PTE_PCD	(1ULL << 4)
#define PTE_A	(1ULL << 5)
#define PTE_D	(1ULL << 6)
#define PTE_G	(1ULL << 8)
#define PTE_XD	(1ULL << 63)

/* Of an EPT entry (SDM tables 29-1 to 29-7) */
#define EPT_R	(1ULL << 0)
#define EPT_W	(1ULL << 1)
#define EPT_X	(1ULL << 2)
#define EPT_PAT	(1ULL << 6)	/* the guest's PAT is ignored */
#define EPT_A	(1ULL << 8)
#define EPT_D	(1ULL << 9)
#define EPT_OWN	(1ULL << 52)	/* thv's: a page of its own, not of a slot */

#define ADDRESS	0x000ffffffffff000ULL

#define CR0_WP	(1ULL << 16)
#define CR0_PG	(1ULL << 31)
#define CR4_PAE	(1ULL << 5)
#define CR4_PGE	(1ULL << 7)
#define CR4_SMEP (1ULL << 20)
#define CR4_SMAP (1ULL << 21)
#define LMA	(1ULL << 10)
#define NXE	(1ULL << 11)
#define RFLAGS_VM (1ULL << 17)
#define RFLAGS_AC (1ULL << 18)

static bool long_mode(const struct walk *walk)
{
	return walk->translate.efer & LMA;
}

static bool wide_entries(const struct walk *walk)
{
	return walk->translate.cr4 & CR4_PAE;
}

/* PAE's third level: four registers with an address, and no permissions */
static bool is_pdpte_register(const struct walk *walk, const struct thv_translate_level *at)
{
	return wide_entries(walk) && !long_mode(walk) && at->level == 3;
}

static const struct thv_translate_level *last_level(const struct walk *walk)
{
	return walk->translate.levels ? &walk->translate.level[walk->translate.levels - 1] : NULL;
}

/* ---- the segment -------------------------------------------------------- */

#define TYPE_CODE	8
#define TYPE_DOWN	4	/* of data: expands down */
#define TYPE_OPEN	2	/* of data: writable; of code: readable */

static const char *type_fault(const struct thv_segment *segment, u32 access)
{
	u32 type = segment->attributes & THV_SEG_TYPE;

	if ((access & THV_ACCESS_EXECUTE) && !(type & TYPE_CODE))
		return "it is a data segment, which is not executed";
	if ((access & THV_ACCESS_WRITE) && (type & TYPE_CODE))
		return "it is a code segment, which is not written";
	if ((access & THV_ACCESS_WRITE) && !(type & TYPE_OPEN))
		return "it is a read-only segment";
	if ((access & THV_ACCESS_READ) && (type & TYPE_CODE) && !(type & TYPE_OPEN))
		return "it is an execute-only segment";
	return NULL;
}

static bool within(const struct thv_segment *segment, u64 offset)
{
	u64 top = segment->attributes & THV_SEG_DB ? 0xffffffff : 0xffff;
	u32 type = segment->attributes & THV_SEG_TYPE;

	if (!(type & TYPE_CODE) && (type & TYPE_DOWN))
		return offset > segment->limit && offset <= top;
	return offset <= segment->limit;
}

static bool has_types(const struct thv_sregs *sregs, u64 rflags)
{
	return (sregs->cr0 & 1) && !(rflags & RFLAGS_VM);
}

static const char *refusal(const struct thv_sregs *sregs, u64 rflags, int id, u64 offset,
			   u32 access, char *limit, size_t size)
{
	const struct thv_segment *segment = &sregs->seg[id];
	const char *why = NULL;

	if (segment->attributes & THV_SEG_UNUSABLE)
		return "the register holds a null selector";
	if (has_types(sregs, rflags))
		why = type_fault(segment, access);
	if (why)
		return why;
	if (within(segment, offset))
		return NULL;
	snprintf(limit, size, "offset %#llx is beyond the limit %#x", offset, segment->limit);
	return limit;
}

bool segment_linear(const struct thv_sregs *sregs, u64 rflags, int id, u64 offset, u32 access,
		    u64 *linear, char *fault, size_t size)
{
	const struct thv_segment *segment = &sregs->seg[id];
	bool in64 = (sregs->efer & LMA) && (sregs->seg[THV_CS].attributes & THV_SEG_L);
	char limit[80];
	const char *why;

	*fault = 0;
	if (in64) {		/* SDM 3.4.4: only FS and GS have a base, none has a limit */
		*linear = offset + (id == THV_FS || id == THV_GS ? segment->base : 0);
		return true;
	}
	*linear = (u32)(offset + segment->base);
	why = refusal(sregs, rflags, id, offset, access, limit, sizeof(limit));
	if (!why)
		return true;
	snprintf(fault, size, "%s of %s: %s", id == THV_SS ? "#SS(0)" : "#GP(0)",
		 segment_names[id], why);
	return false;
}

/* ---- the guest's entries ------------------------------------------------ */

static const char *const memory_types[8] = { "UC", "WC", "2", "3", "WT", "WP", "WB", "UC-" };

/* PAT, PCD and PWT choose one of eight (SDM 12.12.3); PAT is bit 7 of a 4 KiB page, else bit 12 */
static const char *guest_memory_type(const struct walk *walk, u64 entry, u32 level)
{
	u32 index = (entry & PTE_PWT ? 1 : 0) | (entry & PTE_PCD ? 2 : 0) |
		    (entry >> (level == 1 ? 7 : 12) & 1 ? 4 : 0);

	return memory_types[walk->pat >> (8 * index) & 7];
}

static void words_of_page(const struct walk *walk, const struct thv_translate_level *at,
			  char *text, size_t size)
{
	u64 entry = at->entry;

	text_add(text, size, "%s%s%s", entry & PTE_D ? " dirty" : " clean",
		 (entry & PTE_G) && (walk->translate.cr4 & CR4_PGE) ? " global" : "",
		 at->level > 1 ? " huge" : "");
	text_add(text, size, " %s", guest_memory_type(walk, entry, at->level));
	if (entry & (PTE_PWT | PTE_PCD | 1ULL << (at->level == 1 ? 7 : 12)))
		text_add(text, size, " (PAT=%llu PCD=%u PWT=%u)",
			 entry >> (at->level == 1 ? 7 : 12) & 1, !!(entry & PTE_PCD),
			 !!(entry & PTE_PWT));
}

char *guest_entry_words(const struct walk *walk, u32 i, char *text, size_t size)
{
	const struct thv_translate_level *at = &walk->translate.level[i];
	u64 entry = at->entry;

	*text = 0;
	text_add(text, size, "%s", at->flags & THV_LEVEL_PRESENT ? "present" : "not present");
	if (!(at->flags & THV_LEVEL_PRESENT))
		return text;
	if (!is_pdpte_register(walk, at)) {
		text_add(text, size, "%s%s%s%s", entry & PTE_W ? " writable" : " read-only",
			 entry & PTE_U ? " user" : " supervisor",
			 wide_entries(walk) && (entry & PTE_XD) ? " no-execute" : "",
			 entry & PTE_A ? " accessed" : " not-accessed");
		if (at->flags & THV_LEVEL_LEAF)
			words_of_page(walk, at, text, size);
		else if (entry & (PTE_PCD | PTE_PWT))
			text_add(text, size, "%s%s", entry & PTE_PCD ? " PCD" : "",
				 entry & PTE_PWT ? " PWT" : "");
	}
	if (at->flags & THV_LEVEL_RESERVED)
		text_add(text, size, " RESERVED-BIT-SET");
	return text;
}

/* ---- the second level's ------------------------------------------------- */

char *second_entry_words(const struct walk *walk, u32 i, char *text, size_t size)
{
	const struct thv_translate_level *at = &walk->translate.second[i];
	bool flags = walk->features & THV_FEATURE_EPT_AD;
	u64 entry = at->entry;

	*text = 0;
	if (!(at->flags & THV_LEVEL_PRESENT)) {
		text_add(text, size, "not present");
		return text;
	}
	text_add(text, size, "%s%s%s", entry & EPT_R ? "read" : "no-read",
		 entry & EPT_W ? " write" : " no-write", entry & EPT_X ? " execute" : " no-execute");
	if (flags)
		text_add(text, size, "%s", entry & EPT_A ? " accessed" : " not-accessed");
	if (!(at->flags & THV_LEVEL_LEAF))
		return text;
	if (flags)
		text_add(text, size, "%s", entry & EPT_D ? " dirty" : " clean");
	text_add(text, size, "%s %s%s%s", at->level > 1 ? " huge" : "", memory_types[entry >> 3 & 7],
		 entry & EPT_PAT ? ", guest's PAT ignored" : "",
		 entry & EPT_OWN ? ", a page of thv's own" : "");
	return text;
}

static const struct thv_translate_level *last_second(const struct walk *walk)
{
	u32 levels = walk->translate.second_levels;

	return levels ? &walk->translate.second[levels - 1] : NULL;
}

/* ---- names -------------------------------------------------------------- */

static const char *guest_name(const struct thv_translate_level *at)
{
	static const char *const names[6] = { "", "PTE", "PDE", "PDPTE", "PML4E", "PML5E" };

	return names[at->level <= 5 ? at->level : 0];
}

static const char *size_words(u64 size)
{
	switch (size) {
	case 1ULL << 12:
		return "4 KiB page";
	case 1ULL << 21:
		return "2 MiB page";
	case 1ULL << 22:
		return "4 MiB page";
	case 1ULL << 30:
		return "1 GiB page";
	default:
		return "page";
	}
}

/* What together they permit, and which entries took something away */

struct permission {
	const char *name;
	u32 access;
	u64 guest_bit, second_bit;
	bool guest_takes;	/* of the guest's bit: set, it takes the permission away */
};

static const struct permission permissions[] = {
	{ "read", THV_ACCESS_READ, 0, EPT_R, false },
	{ "write", THV_ACCESS_WRITE, PTE_W, EPT_W, false },
	{ "execute", THV_ACCESS_EXECUTE, PTE_XD, EPT_X, true },
	{ "user", THV_ACCESS_USER, PTE_U, 0, false },
};

static bool guest_takes(const struct walk *walk, const struct permission *permission, u32 i)
{
	const struct thv_translate_level *at = &walk->translate.level[i];
	bool set = at->entry & permission->guest_bit;

	if (!permission->guest_bit || is_pdpte_register(walk, at))
		return false;
	if (permission->guest_bit == PTE_XD && !wide_entries(walk))
		return false;
	return set == permission->guest_takes;
}

static bool second_takes(const struct walk *walk, const struct permission *permission, u32 i)
{
	return permission->second_bit && !(walk->translate.second[i].entry & permission->second_bit);
}

/* "PDE, PTE": whoever took it; empty: nobody did */
static char *takers(const struct walk *walk, const struct permission *permission, bool second,
		    char *text, size_t size)
{
	const struct thv_translate *translate = &walk->translate;
	u32 i, n = second ? translate->second_levels : translate->levels;

	*text = 0;
	for (i = 0; i < n; i++) {
		if (!(second ? second_takes : guest_takes)(walk, permission, i))
			continue;
		if (second)
			text_add(text, size, "%slevel %u", *text ? ", " : "", translate->second[i].level);
		else
			text_add(text, size, "%s%s", *text ? ", " : "",
				 guest_name(&translate->level[i]));
	}
	return text;
}

/* ---- the verdict -------------------------------------------------------- */

static const struct bit_name error_code_bits[] = {	/* SDM 4.7 */
	BIT_NAME(0, "P"), BIT_NAME(1, "W/R"), BIT_NAME(2, "U/S"), BIT_NAME(3, "RSVD"),
	BIT_NAME(4, "I/D"), BIT_NAME(5, "PK"), BIT_NAME(6, "SS"), { 0 }
};

static const char *access_verb(u32 access)
{
	return access & THV_ACCESS_EXECUTE ? "fetch" : access & THV_ACCESS_WRITE ? "write" : "read";
}

static bool supervisor(u32 access)
{
	return !(access & THV_ACCESS_USER) || (access & THV_ACCESS_IMPLICIT);
}

/* Which permission refused it, in the processor's words (SDM 4.6.1) */
static void refused(const struct walk *walk, char *text, size_t size)
{
	const struct thv_translate *t = &walk->translate;
	char who[64];
	u32 i;

	if (supervisor(t->access) && (t->permissions & THV_ACCESS_USER) &&
	    (t->access & THV_ACCESS_EXECUTE) && (t->cr4 & CR4_SMEP)) {
		text_add(text, size, "SMEP: the supervisor does not execute user pages");
		return;
	}
	for (i = 1; i < ARRAY_SIZE(permissions); i++) {
		u32 wanted = permissions[i].access;

		if (!(t->access & wanted) || (t->permissions & wanted))
			continue;
		if (wanted == THV_ACCESS_USER && supervisor(t->access))
			continue;
		if (wanted == THV_ACCESS_WRITE && supervisor(t->access) && !(t->cr0 & CR0_WP))
			continue;
		text_add(text, size, "%s was taken away by %s", permissions[i].name,
			 takers(walk, &permissions[i], false, who, sizeof(who)));
		return;
	}
	if (supervisor(t->access) && (t->cr4 & CR4_SMAP))
		text_add(text, size, "SMAP: the supervisor leaves user pages alone (RFLAGS.AC is 0)");
}

static void guest_fault(const struct walk *walk, char *text, size_t size)
{
	const struct thv_translate *t = &walk->translate;
	const struct thv_translate_level *at = last_level(walk);
	char bits[64];

	text_add(text, size, "#PF, error code %#x (%s), CR2 %#llx: ", t->error_code,
		 t->error_code ? bits_words(error_code_bits, t->error_code, bits, sizeof(bits)) :
		 "not present", t->gla);
	if (!(at->flags & THV_LEVEL_PRESENT))
		text_add(text, size, "the %s is not present", guest_name(at));
	else if (at->flags & THV_LEVEL_RESERVED)
		text_add(text, size, "the %s has a reserved bit set", guest_name(at));
	else
		refused(walk, text, size);
}

/* The second level's say over an access that the guest's tables permit */
static bool second_verdict(const struct walk *walk, char *text, size_t size)
{
	const struct thv_translate_level *at = last_second(walk);
	u32 access = walk->translate.access, i;

	for (i = 0; at && i < ARRAY_SIZE(permissions); i++) {
		if (!(access & permissions[i].access) || !permissions[i].second_bit ||
		    (at->entry & permissions[i].second_bit))
			continue;
		text_add(text, size, "EPT violation: %s is not permitted there (yet); thv asks the host for a page that permits it, or, where the slot is read-only, hands the access to the launcher",
			 permissions[i].name);
		return false;
	}
	text_add(text, size, "a %s succeeds", access_verb(access));
	return true;
}

static const char *no_slot(const struct walk *walk)
{
	const struct thv_translate_level *at = last_second(walk);

	if (at && (at->flags & THV_LEVEL_LEAF))
		return "a page of thv's own: where the APIC is, the processor answers for its registers";
	if (walk->translate.access & THV_ACCESS_EXECUTE)
		return "EPT violation: no memory is there, and nothing else can be executed; the guest is ended";
	return "EPT violation: no memory is there; an MMIO exit hands the access to the launcher's devices";
}

bool walk_verdict(const struct walk *walk, char *text, size_t size)
{
	const struct thv_translate_level *at = last_level(walk);

	*text = 0;
	if (*walk->segment_fault) {
		text_add(text, size, "%s", walk->segment_fault);
		return false;
	}
	switch (walk->translate.result) {
	case THV_TRANSLATE_OK:
		return second_verdict(walk, text, size);
	case THV_TRANSLATE_GUEST_FAULT:
		guest_fault(walk, text, size);
		return false;
	case THV_TRANSLATE_NON_CANONICAL:
		text_add(text, size, "%s: not a canonical address: the bits above those that are translated do not repeat the highest of them",
			 walk->segment == THV_SS ? "#SS(0)" : "#GP(0)");
		return false;
	case THV_TRANSLATE_NO_SLOT:
		if (at && !(at->flags & THV_LEVEL_PRESENT))
			text_add(text, size, "the %s itself lies in what is not memory: ",
				 guest_name(at));
		text_add(text, size, "%s", no_slot(walk));
		return false;
	case THV_TRANSLATE_NOT_MAPPED:
		text_add(text, size, "EPT violation: the host has given no page yet; thv asks for one, maps it, and the %s succeeds",
			 access_verb(walk->translate.access));
		return true;
	default:
		text_add(text, size, "EPT violation: the launcher's own memory there is not accessible; it is told so (THV_EXIT_MEMORY_FAULT)");
		return false;
	}
}

/* ---- print -------------------------------------------------------------- */

static void print_segment(FILE *file, const struct walk *walk)
{
	const struct thv_segment *segment;
	char words[80];

	if (walk->segment == WALK_NO_SEGMENT)
		return;
	segment = &walk->sregs.seg[walk->segment];
	fprintf(file, "\nsegment %s, selector %04x: base %#llx, limit %#x\n  %s\n",
		segment_names[walk->segment], segment->selector, segment->base, segment->limit,
		segment_words(segment->attributes, words, sizeof(words)));
	if (*walk->segment_fault)
		return;
	if ((walk->sregs.efer & LMA) && (walk->sregs.seg[THV_CS].attributes & THV_SEG_L))
		fprintf(file, "  in 64-bit mode there is no limit, and a base for fs and gs only\n");
	fprintf(file, "  linear address %#llx\n", walk->translate.gla);
}

static u64 index_in_table(const struct walk *walk, const struct thv_translate_level *at)
{
	if (is_pdpte_register(walk, at))
		return at->address / 8 % 4;
	return wide_entries(walk) ? at->address / 8 % 512 : at->address / 4 % 1024;
}

/* Where a page begins, that is: of 32-bit paging's 4 MiB pages, bits 20:13 belong to the address */
static u64 page_start(const struct walk *walk)
{
	u64 size = walk->translate.page_size;

	return size ? walk->translate.gpa & ~(size - 1) : walk->translate.gpa;
}

static void print_guest_level(FILE *file, const struct walk *walk, u32 i)
{
	const struct thv_translate_level *at = &walk->translate.level[i];
	bool leaf = at->flags & THV_LEVEL_LEAF;
	char words[WORDS];

	fprintf(file, "  %-5s [%3llu] at %012llx: %0*llx", guest_name(at), index_in_table(walk, at),
		at->address, wide_entries(walk) ? 16 : 8, at->entry);
	if (leaf && walk->translate.result != THV_TRANSLATE_GUEST_FAULT)
		fprintf(file, "  -> %s at %#llx", size_words(walk->translate.page_size),
			page_start(walk));
	else if (!leaf && (at->flags & THV_LEVEL_PRESENT))
		fprintf(file, "  -> table at %#llx", at->entry & ADDRESS);
	fprintf(file, "\n              %s\n", guest_entry_words(walk, i, words, sizeof(words)));
}

static void print_together(FILE *file, const struct walk *walk, bool second)
{
	const struct permission *permission;
	char given[64] = "", who[64];
	u32 i;

	for (i = 0; i < ARRAY_SIZE(permissions); i++) {
		permission = &permissions[i];
		if (second && !permission->second_bit)
			continue;
		if (!*takers(walk, permission, second, who, sizeof(who)))
			text_add(given, sizeof(given), "%s%s", *given ? ", " : "", permission->name);
	}
	fprintf(file, "  together    %s\n", *given ? given : "nothing");
	for (i = 0; i < ARRAY_SIZE(permissions); i++) {
		permission = &permissions[i];
		if (*takers(walk, permission, second, who, sizeof(who)))
			fprintf(file, "              %s was taken away by %s\n", permission->name, who);
	}
}

static void print_guest(FILE *file, const struct walk *walk)
{
	const struct thv_translate *t = &walk->translate;
	const struct thv_translate_level *at = last_level(walk);
	u32 i;

	if (walk->physical || t->result == THV_TRANSLATE_NON_CANONICAL)
		return;
	if (!(t->cr0 & CR0_PG)) {
		fprintf(file, "\nguest tables: none, paging is off: guest-physical %#llx\n", t->gpa);
		return;
	}
	fprintf(file, "\nguest tables, from CR3 %#llx\n", t->cr3);
	for (i = 0; i < t->levels; i++)
		print_guest_level(file, walk, i);
	if (at && (at->flags & THV_LEVEL_LEAF))
		print_together(file, walk, false);
	if (t->result != THV_TRANSLATE_GUEST_FAULT)
		fprintf(file, "  guest-physical address %#llx\n", t->gpa);
}

static void print_second_level(FILE *file, const struct walk *walk, u32 i)
{
	const struct thv_translate_level *at = &walk->translate.second[i];
	u64 frame = at->entry & ADDRESS & ~((1ULL << (12 + 9 * (at->level - 1))) - 1);
	bool leaf = at->flags & THV_LEVEL_LEAF;
	char words[WORDS];

	fprintf(file, "  level %u", at->level);
	if (at->address)
		fprintf(file, " [%3llu] at %012llx:", at->address / 8 % 512, at->address);
	fprintf(file, " %016llx", at->entry);
	if (at->address && (at->flags & THV_LEVEL_PRESENT))
		fprintf(file, "  -> %s at %#llx", leaf ? size_words(1ULL << (12 + 9 * (at->level - 1))) :
			"table", leaf ? frame : at->entry & ADDRESS);
	fprintf(file, "\n              %s\n", second_entry_words(walk, i, words, sizeof(words)));
}

static void print_second(FILE *file, const struct walk *walk)
{
	const struct thv_translate *t = &walk->translate;
	const struct thv_translate_level *at = last_second(walk);
	u64 size;
	u32 i;

	if (!at)
		return;
	fprintf(file, "\nsecond level (EPT), for guest-physical %#llx%s\n", t->gpa,
		at->address ? "" : "; where it lies in the host, root is told");
	for (i = 0; i < t->second_levels; i++)
		print_second_level(file, walk, i);
	if (!(at->flags & THV_LEVEL_LEAF))
		return;
	print_together(file, walk, true);
	size = 1ULL << (12 + 9 * (at->level - 1));
	if (at->address)
		fprintf(file, "  host-physical address %#llx\n",
			(at->entry & ADDRESS & ~(size - 1)) | (t->gpa & (size - 1)));
}

/* Words, wrapped so that they stay within 100 columns */
static void print_wrapped(FILE *file, const char *text)
{
	int column = 0, word;

	while (*text) {
		word = strcspn(text, " ");
		if (column + word > 98) {
			fprintf(file, "\n ");
			column = 1;
		}
		column += fprintf(file, "%s%.*s", column ? " " : "", word, text);
		text += word;
		text += strspn(text, " ");
	}
	fprintf(file, "\n");
}

static const char *address_kind(const struct walk *walk)
{
	return walk->physical ? "guest-physical" :
	       walk->segment == WALK_NO_SEGMENT ? "linear" : segment_names[walk->segment];
}

void walk_print(FILE *file, const struct walk *walk)
{
	const struct thv_translate *t = &walk->translate;
	char text[400], mode[80];
	bool good;

	fprintf(file, "vCPU %u: %s by %s of %s%s%#llx\n", walk->vcpu, access_verb(walk->access),
		walk->access & THV_ACCESS_USER ? "user mode" : "the supervisor", address_kind(walk),
		walk->segment == WALK_NO_SEGMENT ? " " : ":", walk->address);
	fprintf(file, "%s%s%s%s%s\n",
		mode_words(t->cr0, t->cr4, t->efer, t->rflags, walk->sregs.seg[THV_CS].attributes,
			   mode, sizeof(mode)),
		t->cr0 & CR0_WP ? ", WP" : "", t->efer & NXE ? ", NXE" : "",
		t->cr4 & CR4_SMEP ? ", SMEP" : "", t->cr4 & CR4_SMAP ? ", SMAP" : "");
	print_segment(file, walk);
	if (!*walk->segment_fault) {
		print_guest(file, walk);
		print_second(file, walk);
	}
	good = walk_verdict(walk, text, sizeof(text));
	fprintf(file, "\n%s: ", good ? "it works" : "it stops");
	print_wrapped(file, text);
}

/* ---- JSON --------------------------------------------------------------- */

static void json_level(struct json *json, const struct thv_translate_level *at, const char *words)
{
	json_open(json, NULL, '{');
	json_number(json, "level", at->level);
	json_number(json, "address", at->address);
	json_number(json, "entry", at->entry);
	json_bool(json, "present", at->flags & THV_LEVEL_PRESENT);
	json_bool(json, "leaf", at->flags & THV_LEVEL_LEAF);
	json_bool(json, "reserved", at->flags & THV_LEVEL_RESERVED);
	json_text(json, "meaning", words);
	json_close(json, '}');
}

static void json_taken(struct json *json, const struct walk *walk, bool second)
{
	char who[64];
	u32 i;

	json_open(json, second ? "second_taken_by" : "taken_by", '{');
	for (i = 0; i < ARRAY_SIZE(permissions); i++)
		if (*takers(walk, &permissions[i], second, who, sizeof(who)))
			json_text(json, permissions[i].name, who);
	json_close(json, '}');
}

static const char *const results[] = {
	[THV_TRANSLATE_OK] = "ok",
	[THV_TRANSLATE_GUEST_FAULT] = "guest-fault",
	[THV_TRANSLATE_NO_SLOT] = "no-memory",
	[THV_TRANSLATE_NOT_MAPPED] = "not-mapped",
	[THV_TRANSLATE_HOST_FAULT] = "host-fault",
	[THV_TRANSLATE_NON_CANONICAL] = "non-canonical",
};

static void json_levels(struct json *json, const struct walk *walk)
{
	const struct thv_translate *t = &walk->translate;
	char words[WORDS];
	u32 i;

	json_open(json, "levels", '[');
	for (i = 0; i < t->levels; i++)
		json_level(json, &t->level[i], guest_entry_words(walk, i, words, sizeof(words)));
	json_close(json, ']');
	json_open(json, "second_levels", '[');
	for (i = 0; i < t->second_levels; i++)
		json_level(json, &t->second[i], second_entry_words(walk, i, words, sizeof(words)));
	json_close(json, ']');
}

void walk_json(struct json *json, const struct walk *walk)
{
	const struct thv_translate *t = &walk->translate;
	char text[400];

	json_open(json, NULL, '{');
	json_number(json, "vcpu", walk->vcpu);
	json_number(json, "address", walk->address);
	json_text(json, "kind", address_kind(walk));
	json_text(json, "access", access_verb(walk->access));
	json_bool(json, "user", walk->access & THV_ACCESS_USER);
	json_bool(json, "succeeds", walk_verdict(walk, text, sizeof(text)));
	json_text(json, "verdict", text);
	if (!*walk->segment_fault) {
		json_text(json, "result", t->result < ARRAY_SIZE(results) ? results[t->result] : "?");
		json_number(json, "linear", t->gla);
		json_number(json, "physical", t->gpa);
		json_number(json, "page_size", t->page_size);
		json_number(json, "error_code", t->error_code);
		json_number(json, "cr3", t->cr3);
		json_levels(json, walk);
		json_taken(json, walk, false);
		json_taken(json, walk, true);
	}
	json_close(json, '}');
}
