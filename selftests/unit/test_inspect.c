// SPDX-License-Identifier: GPL-2.0-only
// sources: userspace/lib/bits.c userspace/lib/registers.c userspace/lib/walk.c userspace/lib/hexdump.c userspace/lib/vmcs.c userspace/lib/apic.c userspace/lib/json.c
// libs: -lZydis
// flags: -I $(TOP)
/*
 * What a running guest's state is told in: bits in words, segments, walks, bytes, the VMCS, the APIC.
 * The texts are what people read in a lecture, so they are compared as they stand.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/apic.h"
#include "lib/bits.h"
#include "lib/hexdump.h"
#include "lib/registers.h"
#include "lib/vmcs.h"
#include "lib/walk.h"
#include "tap.h"

static int is_text(const char *got, const char *expected, const char *what)
{
	int same = tap_ok(!strcmp(got, expected), "%s", what);

	if (!same)
		printf("# got:      %s\n# expected: %s\n", got, expected);
	return same;
}

static int has(const char *text, const char *part, const char *what)
{
	int there = tap_ok(strstr(text, part) != NULL, "%s", what);

	if (!there)
		printf("# no \"%s\" in: %s\n", part, text);
	return there;
}

/* What a function prints */
#define PRINTED(text, ...)						\
	do {								\
		char *__text = NULL;					\
		size_t __size;						\
		FILE *file = open_memstream(&__text, &__size);		\
									\
		__VA_ARGS__;						\
		fclose(file);						\
		snprintf(text, sizeof(text), "%s", __text);		\
		free(__text);						\
	} while (0)

static char text[20000];

/* ---- bits --------------------------------------------------------------- */

static void test_bits(void)
{
	static const char *const colours[] = { "red", "green", "blue", "grey" };
	static const struct bit_name names[] = {
		BIT_NAME(0, "A"), BIT_FIELD(1, 3, "F"), { 4, 5, "colour", colours },
		BIT_NAME(63, "Z"), { 0 }
	};
	char small[8];

	is_text(bits_words(names, 0, text, sizeof(text)), "colour=red", "a field with names has one for 0");
	is_text(bits_words(names, 0x8000000000000025, text, sizeof(text)),
		"A F=0x2 colour=blue Z", "bits and fields in words");
	is_text(bits_words(names, 0x40000, text, sizeof(text)), "colour=red bit 18",
		"a bit without a name is told by its number");
	bits_words(names, ~0ULL, small, sizeof(small));
	tap_is(strlen(small), 7, "too small a text is cut, not overrun");
	tap_is(bits_field(~0ULL, 0, 63), ~0ULL, "a field of 64 bits");
	is_text(bits_words(cr0_bits, 0x80050033, text, sizeof(text)), "PE MP ET NE WP AM PG", "CR0");
	is_text(bits_words(rflags_bits, 0x3246, text, sizeof(text)), "1 PF ZF IF IOPL=0x3", "RFLAGS");
	is_text(bits_words(efer_bits, 0xd01, text, sizeof(text)), "SCE LME LMA NXE", "EFER");
}

static void test_vmcs(void)
{
	is_text(vmcs_name(0x681e), "Guest RIP", "a field's name");
	tap_ok(!vmcs_name(0x9999), "a field that there is not has no name");
	is_text(vmcs_kind(0x681e), "guest", "its kind");
	is_text(vmcs_kind(0x4000), "control", "... of a control");
	tap_is(vmcs_digits(0x0802), 4, "16 bits");
	tap_is(vmcs_digits(0x4000), 8, "32 bits");
	tap_is(vmcs_digits(0x2010), 16, "64 bits");
	is_text(vmcs_words(0x4402, 0x80000021, text, sizeof(text)),
		"entry failure: guest state (the entry failed)", "an exit reason");
	is_text(vmcs_words(0x4402, 48, text, sizeof(text)), "EPT violation", "... and another");
	is_text(vmcs_words(0x4016, 0x80000b0e, text, sizeof(text)),
		"valid vector=0xe type=exception error-code", "an event to inject");
	is_text(vmcs_words(0x4016, 0x30, text, sizeof(text)), "", "what is not valid is not told");
	is_text(vmcs_words(0x401e, 0x82, text, sizeof(text)), "EPT unrestricted-guest", "controls");
	is_text(vmcs_words(0x201a, 0x12305e, text, sizeof(text)),
		"type=WB levels-1=0x3 accessed/dirty table=0x123", "an EPT pointer");
	is_text(vmcs_words(0x4816, 0xa09b, text, sizeof(text)),
		"code, execute/read, DPL 0, 64-bit", "access rights");
	is_text(vmcs_words(0x681e, 5, text, sizeof(text)), "", "RIP has no bits");
}

/* ---- segments ----------------------------------------------------------- */

#define DATA32	(THV_SEG_P | THV_SEG_S | THV_SEG_DB | 3)
#define CODE32	(THV_SEG_P | THV_SEG_S | THV_SEG_DB | 0xb)

static struct thv_sregs protected_mode(void)
{
	struct thv_sregs sregs = { .cr0 = 1 };
	int i;

	for (i = 0; i < THV_SEGMENTS; i++)
		sregs.seg[i] = (struct thv_segment){ .limit = 0xffff, .attributes = DATA32 };
	sregs.seg[THV_CS].attributes = CODE32;
	return sregs;
}

static const char *through(const struct thv_sregs *sregs, int id, u64 offset, u32 access, u64 *linear)
{
	static char fault[160];

	segment_linear(sregs, 2, id, offset, access, linear, fault, sizeof(fault));
	return fault;
}

static void test_segments(void)
{
	struct thv_sregs sregs = protected_mode();
	u64 linear;

	sregs.seg[THV_DS].base = 0x10000;
	is_text(through(&sregs, THV_DS, 0x123, THV_ACCESS_READ, &linear), "", "within the limit");
	tap_is(linear, 0x10123, "the base is added");
	is_text(through(&sregs, THV_DS, 0xffff, THV_ACCESS_READ, &linear), "", "the last byte");
	is_text(through(&sregs, THV_DS, 0x10000, THV_ACCESS_READ, &linear),
		"#GP(0) of ds: offset 0x10000 is beyond the limit 0xffff", "the one behind it");
	is_text(through(&sregs, THV_SS, 0x10000, THV_ACCESS_READ, &linear),
		"#SS(0) of ss: offset 0x10000 is beyond the limit 0xffff", "... in the stack segment");
	sregs.seg[THV_DS].base = 0xfffffff0;
	through(&sregs, THV_DS, 0x20, THV_ACCESS_READ, &linear);
	tap_is(linear, 0x10, "addresses wrap at 4 GiB");

	sregs.seg[THV_ES].attributes = DATA32 & ~2;
	has(through(&sregs, THV_ES, 0, THV_ACCESS_WRITE, &linear), "read-only", "a read-only segment");
	is_text(through(&sregs, THV_ES, 0, THV_ACCESS_READ, &linear), "", "... may be read");
	has(through(&sregs, THV_ES, 0, THV_ACCESS_EXECUTE, &linear), "not executed", "data is no code");
	has(through(&sregs, THV_CS, 0, THV_ACCESS_WRITE, &linear), "not written", "code is not written");
	sregs.seg[THV_CS].attributes = CODE32 & ~2;
	has(through(&sregs, THV_CS, 0, THV_ACCESS_READ, &linear), "execute-only", "execute-only code");
	sregs.seg[THV_FS].attributes = THV_SEG_UNUSABLE;
	has(through(&sregs, THV_FS, 0, THV_ACCESS_READ, &linear), "null selector", "a null selector");

	sregs.seg[THV_ES] = (struct thv_segment){ .limit = 0xfff, .attributes = DATA32 | 4 };
	has(through(&sregs, THV_ES, 0xfff, THV_ACCESS_READ, &linear), "beyond the limit",
	    "expand-down: up to the limit is outside");
	is_text(through(&sregs, THV_ES, 0x1000, THV_ACCESS_READ, &linear), "", "... above it inside");
	sregs.seg[THV_ES].attributes &= ~THV_SEG_DB;
	has(through(&sregs, THV_ES, 0x10000, THV_ACCESS_READ, &linear), "beyond the limit",
	    "... up to 64 KiB without B");

	sregs = protected_mode();
	sregs.efer = 1 << 10;
	sregs.seg[THV_CS].attributes |= THV_SEG_L;
	sregs.seg[THV_DS].base = sregs.seg[THV_GS].base = 0x5000;
	is_text(through(&sregs, THV_DS, 0xffff888000000000, THV_ACCESS_READ, &linear), "",
		"64-bit mode has no limits");
	tap_is(linear, 0xffff888000000000, "... and no base of DS");
	through(&sregs, THV_GS, 0x10, THV_ACCESS_READ, &linear);
	tap_is(linear, 0x5010, "... but of GS");
}

/* ---- walks -------------------------------------------------------------- */

#define P	1ULL
#define W	2ULL
#define U	4ULL
#define A	0x20ULL
#define D	0x40ULL
#define PS	0x80ULL
#define G	0x100ULL
#define NX	(1ULL << 63)

static void level(struct walk *walk, u32 at, u64 address, u64 entry, bool leaf)
{
	walk->translate.level[walk->translate.levels++] = (struct thv_translate_level){
		.address = address, .entry = entry, .level = at,
		.flags = (entry & P ? THV_LEVEL_PRESENT : 0) | (leaf ? THV_LEVEL_LEAF : 0),
	};
}

static void second(struct walk *walk, u32 at, u64 address, u64 entry, bool leaf)
{
	walk->translate.second[walk->translate.second_levels++] = (struct thv_translate_level){
		.address = address, .entry = entry, .level = at,
		.flags = (entry & 7 ? THV_LEVEL_PRESENT : 0) | (leaf ? THV_LEVEL_LEAF : 0),
	};
}

static struct walk kernel_text(u32 access)
{
	struct walk walk = {
		.address = 0xffffffff81000123, .segment = WALK_NO_SEGMENT, .access = access,
		.features = THV_FEATURE_EPT_AD, .pat = 0x0407050600070106,
	};

	walk.sregs.cr0 = walk.translate.cr0 = 0x80050033;
	walk.sregs.cr4 = walk.translate.cr4 = 0x3000a0;
	walk.sregs.efer = walk.translate.efer = 0xd01;
	walk.translate.cr3 = 0x2a0a000;
	walk.sregs.seg[THV_CS].attributes = 0xa09b;
	walk.translate.gla = walk.address;
	walk.translate.access = access;
	level(&walk, 4, 0x2a0aff8, 0x2a0c000 | P | W | U | A | D, false);
	level(&walk, 3, 0x2a0cff0, 0x2a0d000 | P | W | U | A | D, false);
	level(&walk, 2, 0x2a0d040, 0x1000000 | P | A | PS | G, true);
	walk.translate.page_size = 2 << 20;
	walk.translate.permissions = THV_ACCESS_READ | THV_ACCESS_EXECUTE;
	walk.translate.gpa = 0x1000123;
	second(&walk, 4, 0x5000000, 0x5001107, false);
	second(&walk, 3, 0x5001000, 0x5002107, false);
	second(&walk, 2, 0x5002040, 0x7a003f7, true);
	return walk;
}

static bool narrow(const char *print)
{
	const char *line, *end;

	for (line = print; *line; line = end + 1) {
		end = strchr(line, '\n');
		if (!end)
			return strlen(line) <= 100;
		if (end - line > 100)
			return false;
	}
	return true;
}

static void test_walk(void)
{
	struct walk walk = kernel_text(THV_ACCESS_EXECUTE);

	PRINTED(text, walk_print(file, &walk));
	is_text(text,
		"vCPU 0: fetch by the supervisor of linear 0xffffffff81000123\n"
		"64-bit mode, 4-level paging, WP, NXE, SMEP, SMAP\n"
		"\n"
		"guest tables, from CR3 0x2a0a000\n"
		"  PML4E [511] at 000002a0aff8: 0000000002a0c067  -> table at 0x2a0c000\n"
		"              present writable user accessed\n"
		"  PDPTE [510] at 000002a0cff0: 0000000002a0d067  -> table at 0x2a0d000\n"
		"              present writable user accessed\n"
		"  PDE   [  8] at 000002a0d040: 00000000010001a1  -> 2 MiB page at 0x1000000\n"
		"              present read-only supervisor accessed clean global huge WB\n"
		"  together    read, execute\n"
		"              write was taken away by PDE\n"
		"              user was taken away by PDE\n"
		"  guest-physical address 0x1000123\n"
		"\n"
		"second level (EPT), for guest-physical 0x1000123\n"
		"  level 4 [  0] at 000005000000: 0000000005001107  -> table at 0x5001000\n"
		"              read write execute accessed\n"
		"  level 3 [  0] at 000005001000: 0000000005002107  -> table at 0x5002000\n"
		"              read write execute accessed\n"
		"  level 2 [  8] at 000005002040: 0000000007a003f7  -> 2 MiB page at 0x7a00000\n"
		"              read write execute accessed dirty huge WB, guest's PAT ignored\n"
		"  together    read, write, execute\n"
		"  host-physical address 0x7a00123\n"
		"\n"
		"it works: a fetch succeeds\n", "a walk through both levels");
	tap_ok(narrow(text), "... within 100 columns");
}

static const char *verdict(const struct walk *walk)
{
	static char words[400];

	walk_verdict(walk, words, sizeof(words));
	return words;
}

static struct walk refused(u32 access, u32 error)
{
	struct walk walk = kernel_text(access);

	walk.translate.result = THV_TRANSLATE_GUEST_FAULT;
	walk.translate.error_code = error;
	walk.translate.second_levels = 0;
	return walk;
}

static void test_faults(void)
{
	struct walk walk = refused(THV_ACCESS_WRITE, 3);

	is_text(verdict(&walk), "#PF, error code 0x3 (P W/R), CR2 0xffffffff81000123: write was taken away by PDE",
		"who took the permission to write");
	walk = refused(THV_ACCESS_READ | THV_ACCESS_USER, 5);
	is_text(verdict(&walk), "#PF, error code 0x5 (P U/S), CR2 0xffffffff81000123: user was taken away by PDE",
		"... and the user's");
	walk = refused(THV_ACCESS_EXECUTE, 0x11);
	walk.translate.level[1].entry |= NX;
	walk.translate.permissions = THV_ACCESS_READ;
	has(verdict(&walk), "execute was taken away by PDPTE", "... and the permission to execute");
	walk = refused(THV_ACCESS_READ, 1);
	walk.translate.level[2].entry |= U;
	walk.translate.permissions |= THV_ACCESS_USER;
	has(verdict(&walk), "SMAP", "SMAP");
	walk.translate.access = THV_ACCESS_EXECUTE;
	has(verdict(&walk), "SMEP", "SMEP");
	walk = refused(THV_ACCESS_READ, 0);
	walk.translate.level[2].entry = walk.translate.level[2].flags = 0;
	has(verdict(&walk), "(not present), CR2 0xffffffff81000123: the PDE is not present", "an entry that is not there");
	walk = refused(THV_ACCESS_READ, 9);
	walk.translate.level[2].flags |= THV_LEVEL_RESERVED;
	has(verdict(&walk), "the PDE has a reserved bit set", "a reserved bit");
	PRINTED(text, walk_print(file, &walk));
	has(text, "RESERVED-BIT-SET", "... is told at the entry, too");
	tap_ok(narrow(text), "... within 100 columns");
}

static void test_second(void)
{
	struct walk walk = kernel_text(THV_ACCESS_READ);

	walk.translate.second[2].entry = 0;
	walk.translate.second[2].flags = 0;
	walk.translate.result = THV_TRANSLATE_NOT_MAPPED;
	has(verdict(&walk), "the host has given no page yet", "a page the host has not given");
	tap_ok(walk_verdict(&walk, text, sizeof(text)), "... does not stop the guest");
	walk.translate.result = THV_TRANSLATE_NO_SLOT;
	has(verdict(&walk), "MMIO", "what is no memory is the launcher's");
	walk.translate.access = THV_ACCESS_EXECUTE;
	has(verdict(&walk), "nothing else can be executed", "... and cannot be executed");
	walk.translate.result = THV_TRANSLATE_HOST_FAULT;
	has(verdict(&walk), "THV_EXIT_MEMORY_FAULT", "the launcher's own fault");
	PRINTED(text, walk_print(file, &walk));
	tap_ok(narrow(text), "... within 100 columns");
	walk = kernel_text(THV_ACCESS_WRITE);
	walk.translate.second[2].entry &= ~2ULL;
	has(verdict(&walk), "EPT violation: write is not permitted", "a write that EPT refuses");
	walk = kernel_text(THV_ACCESS_READ);
	walk.translate.second[0].address = walk.translate.second[1].address =
		walk.translate.second[2].address = 0;
	PRINTED(text, walk_print(file, &walk));
	tap_ok(!strstr(text, "host-physical"), "without the capability no host-physical address");
	has(text, "root is told", "... but who is told it");
}

static void test_formats(void)
{
	struct walk walk = { .segment = WALK_NO_SEGMENT, .address = 0xc0123456, .pat = 0x0007040600070406 };
	char words[200];

	walk.translate.cr0 = 0x80000011;
	walk.translate.cr4 = 0x10;
	walk.translate.cr3 = 0x1000;
	walk.translate.gla = walk.address;
	walk.translate.page_size = 4 << 20;
	walk.translate.gpa = 0x123456;
	level(&walk, 2, 0x1c00, P | W | A | PS | 0x18, true);
	PRINTED(text, walk_print(file, &walk));
	has(text, "32-bit paging with PSE", "32-bit paging");
	has(text, "PDE   [768] at 000000001c00: 000000bb  -> 4 MiB page at 0\n", "its entries have 8 digits");
	has(text, "UC (PAT=0 PCD=1 PWT=1)", "an uncached page");
	walk.translate.cr0 = 0x11;
	PRINTED(text, walk_print(file, &walk));
	has(text, "paging is off: guest-physical 0x123456", "paging off");

	walk.translate = (struct thv_translate){ .cr0 = 0x80000011, .cr4 = 0x20, .page_size = 4096 };
	level(&walk, 3, 0x1018, 0x2000 | P, false);
	level(&walk, 2, 0x2000, 0x3000 | P | W | U | A, false);
	level(&walk, 1, 0x3000, 0x4000 | P | W | U | A | D, true);
	is_text(guest_entry_words(&walk, 0, words, sizeof(words)), "present", "PAE: a PDPTE permits nothing and forbids nothing");
	PRINTED(text, walk_print(file, &walk));
	has(text, "PDPTE [  3]", "... it is one of four");
	has(text, "together    read, write, execute, user", "... and takes nothing away");
	walk.physical = true;
	PRINTED(text, walk_print(file, &walk));
	tap_ok(!strstr(text, "guest tables"), "a physical address has no guest tables");
}

/* ---- bytes, code, APIC -------------------------------------------------- */

static void test_bytes(void)
{
	static const u8 bytes[20] = "Linux \x01\xff~ 123456789";

	PRINTED(text, hexdump(file, 0xffffffff81000000, bytes, 19));
	is_text(text,
		"ffffffff81000000  4c 69 6e 75 78 20 01 ff  7e 20 31 32 33 34 35 36  |Linux ..~ 123456|\n"
		"ffffffff81000010  37 38 39                                          |789|\n",
		"bytes and characters, as hexdump -C");
	PRINTED(text, hexdump(file, 0, bytes, 0));
	is_text(text, "", "nothing");
}

static void test_code(void)
{
	static const u8 code[] = { 0x90, 0x48, 0x89, 0xe5, 0x06, 0x0f, 0x05, 0xe8, 0x01 };
	struct thv_sregs sregs = { .cr0 = 1, .efer = 1 << 10 };

	PRINTED(text, disassemble(file, 64, 0x1000, code, sizeof(code), 0));
	has(text, "0000000000001001  4889e5                  mov rbp, rsp\n", "an instruction");
	has(text, "0000000000001004  06                      (bad)\n", "a byte that is none");
	has(text, "0f05                    syscall\n", "... and on after it");
	tap_ok(!strstr(text, "1007"), "what the end cuts off is left out");
	PRINTED(text, disassemble(file, 64, 0x1000, code, sizeof(code), 1));
	is_text(text, "  0000000000001000  90                      nop\n", "as many as are asked for");
	sregs.seg[THV_CS].attributes = THV_SEG_L;
	tap_is(code_bits(&sregs), 64, "64-bit code");
	sregs.seg[THV_CS].attributes = THV_SEG_DB;
	tap_is(code_bits(&sregs), 32, "compatibility mode");
	sregs.cr0 = 0;
	tap_is(code_bits(&sregs), 16, "real mode");
}

static void test_apic(void)
{
	struct thv_apic apic = { .base = 0xfee00d00 };

	is_text(apic_mode(&apic), "x2APIC", "the mode");
	is_text(apic_vectors(&apic, 0x200, text, sizeof(text)), "none", "nothing is requested");
	apic.regs[0x212] = 2;		/* vector 32 + 16 + 1 */
	apic.regs[0x273] = 0x80;	/* vector 255 */
	is_text(apic_vectors(&apic, 0x200, text, sizeof(text)), "0x31 0xff", "requested vectors");
	is_text(apic_lvt_words(0x400ec, true, text, sizeof(text)), "open vector 0xec TSC-deadline",
		"the timer's entry");
	is_text(apic_lvt_words(0x18700, false, text, sizeof(text)), "masked vector 0 ExtINT level",
		"LINT0's entry");
	PRINTED(text, apic_print(file, &apic));
	has(text, "mode x2APIC (bootstrap processor)", "all of it");
}

int main(void)
{
	test_bits();
	test_vmcs();
	test_segments();
	test_walk();
	test_faults();
	test_second();
	test_formats();
	test_bytes();
	test_code();
	test_apic();
	return tap_done();
}
