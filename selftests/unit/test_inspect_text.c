// SPDX-License-Identifier: GPL-2.0-only
// sources: userspace/lib/walk.c userspace/lib/decode.c userspace/lib/vmcs.c userspace/lib/registers.c userspace/lib/listing.c userspace/lib/json.c
// libs: -lZydis
/* What a person reads of a vCPU: an address's way, bits in words, bytes and instructions. */
#include <stdlib.h>
#include <string.h>

#include "lib/decode.h"
#include "lib/listing.h"
#include "lib/vmcs.h"
#include "lib/walk.h"
#include "tap.h"

static char *output;
static size_t output_size;

static void walk_text(const struct walk *walk, void (*print)(const struct walk *, FILE *))
{
	FILE *file;

	free(output);
	file = open_memstream(&output, &output_size);
	print(walk, file);
	fclose(file);
}

/* Lines may be wrapped anywhere: blanks and line ends count as one blank */
static int has(const char *words)
{
	const char *from, *at, *word;

	for (from = output; *from; from++) {
		for (at = from, word = words; *word; word++) {
			if (*word == ' ') {
				if (*at != ' ' && *at != '\n')
					break;
				at += strspn(at, " \n");
			} else if (*at++ != *word) {
				break;
			}
		}
		if (!*word)
			return 1;
	}
	return 0;
}

static int widest(void)
{
	const char *line = output;
	int most = 0, length;

	for (; *line; line += length + (line[length] == '\n')) {
		length = strcspn(line, "\n");
		if (length > most)
			most = length;
	}
	return most;
}

static void show(void)
{
	const char *c;

	fputs("# ", stdout);
	for (c = output; *c; c++)
		fputs(*c == '\n' && c[1] ? "\n# " : (char[]){ *c, 0 }, stdout);
}

/* What was printed says this, and keeps to its columns */
static void says(const char *words)
{
	if (!tap_ok(has(words), "it says \"%s\"", words))
		show();
	tap_check(*output == '{' || widest() <= 100, "a line of %d columns", widest());
}

static struct walk long_mode(u64 address, u32 access)
{
	struct walk walk = { .offset = address, .access = access };

	walk.sregs.cr0 = 0x80050033;
	walk.sregs.cr3 = 0x220a000;
	walk.sregs.cr4 = 0x3006f0;
	walk.sregs.efer = 0xd01;
	walk.sregs.seg[THV_CS] = (struct thv_segment){ .limit = ~0U, .attributes = 0xa09b };
	walk.sregs.seg[THV_DS].attributes = THV_SEG_UNUSABLE;
	walk.sregs.seg[THV_GS].base = 0xffff888000000000;
	walk.segment = access & THV_ACCESS_EXECUTE ? THV_CS : THV_DS;
	walk.apic_base = 0xfee00900;
	walk_begin(&walk);
	return walk;
}

static void level(struct thv_translate_level *at, u32 number, u64 address, u64 entry, u32 flags)
{
	*at = (struct thv_translate_level){ address, entry, number, flags };
}

#define TABLE	THV_LEVEL_PRESENT
#define LEAF	(THV_LEVEL_PRESENT | THV_LEVEL_LEAF)

/* Linux's own text, as with nokaslr */
static struct walk kernel_text(u32 access)
{
	struct walk walk = long_mode(0xffffffff81000000, access);
	struct thv_translate *translate = &walk.translate;

	level(&translate->level[0], 4, 0x220aff8, 0x220c067, TABLE);
	level(&translate->level[1], 3, 0x220cff0, 0x220d063, TABLE);
	level(&translate->level[2], 2, 0x220d040, 0x10001e1, LEAF);
	translate->levels = 3;
	translate->gpa = 0x1000000;
	translate->hva = 0x7f2c41000000;
	translate->page_size = 0x200000;
	translate->permissions = THV_ACCESS_READ | THV_ACCESS_EXECUTE;
	level(&translate->second[0], 4, 0x104f1c000, 0x10a2e3107, TABLE);
	level(&translate->second[1], 3, 0x10a2e3000, 0x10a2e4107, TABLE);
	level(&translate->second[2], 2, 0x10a2e4040, 0x13b4003f7, LEAF);
	translate->second_levels = 3;
	return walk;
}

static void test_kernel_text(void)
{
	struct walk walk = kernel_text(THV_ACCESS_EXECUTE);

	walk_text(&walk, walk_print);
	show();
	says("4-level paging, CR3 = 0x220a000");
	says("PML4[511] 000000000220aff8 000000000220c067 table at 0x220c000 present, writable, user, accessed");
	says("PDPT[510] 000000000220cff0");
	says("PD[8] 000000000220d040 00000000010001e1 2 MiB page at 0x1000000 present, read-only, supervisor, accessed, dirty, global, large");
	says("read, execute; write taken away by PD[8]; user taken away by PDPT[510]");
	says("2 MiB page at 0x13b400000 read/write/execute, write-back, ignore PAT, accessed, dirty, large");
	says("host-physical 0x13b400000");
	says("host-virtual 0x7f2c41000000, in the launcher");
	says("an instruction fetch by the supervisor is done by the processor, without an exit");
	tap_is(walk_end(&walk), WALK_DONE, "and it is done");
}

static void test_page_fault(void)
{
	struct walk walk = kernel_text(THV_ACCESS_WRITE | THV_ACCESS_USER);

	walk.translate.result = THV_TRANSLATE_GUEST_FAULT;
	walk.translate.error_code = 7;
	walk.translate.second_levels = 0;
	walk_text(&walk, walk_print);
	says("#PF, error code 0x7 (present, write, user), CR2 = 0xffffffff81000000: the page is the supervisor's");
	tap_ok(!has("second level"), "there is no second level where the first faults");

	walk.translate.error_code = 2;
	walk.translate.levels = 2;
	level(&walk.translate.level[1], 3, 0x220cff0, 0, 0);
	walk.translate.page_size = 0;
	walk_text(&walk, walk_print);
	says("0000000000000000 not present");
	says("PDPT[510] is not present");

	level(&walk.translate.level[1], 3, 0x220cff0, 0x80000220d0e3, THV_LEVEL_PRESENT |
	      THV_LEVEL_RESERVED);
	walk_text(&walk, walk_print);
	says("a reserved bit is set");
	says("PDPT[510] has a reserved bit set");
}

/* A user page and what the supervisor may do with it; bits 0 to 2 of permissions are R, W, X */
static void test_reasons(void)
{
	struct walk walk = kernel_text(THV_ACCESS_READ);

	walk.translate.result = THV_TRANSLATE_GUEST_FAULT;
	walk.translate.error_code = 1;
	walk.translate.permissions = 0xf;
	walk_text(&walk, walk_print);
	says("SMAP: the supervisor may not touch a user page");
	walk.access = THV_ACCESS_EXECUTE;
	walk_text(&walk, walk_print);
	says("SMEP: the supervisor may not execute a user page");
	walk.access = THV_ACCESS_WRITE;
	walk.translate.permissions = THV_ACCESS_READ;
	walk_text(&walk, walk_print);
	says("and CR0.WP holds the supervisor to it");
	walk.access = THV_ACCESS_EXECUTE;
	walk_text(&walk, walk_print);
	says("the page is not executable");
}

static void test_second_level(void)
{
	struct walk walk = kernel_text(THV_ACCESS_WRITE);

	walk.translate.second[2].entry &= ~2ULL;
	tap_is(walk_end(&walk), WALK_PROTECTED, "a second level without write refuses a write");
	walk.translate.second[2] = (struct thv_translate_level){ 0x10a2e4040, 0, 2, 0 };
	walk.translate.result = THV_TRANSLATE_NOT_MAPPED;
	walk_text(&walk, walk_print);
	says("PD[8] 000000010a2e4040 0000000000000000 not mapped yet: the first touch maps it");
	says("is an EPT violation; thv maps the page");
	walk.translate.second[2] = (struct thv_translate_level){
		0x10a2e4040, 0x1e000010a2000b0ULL, 2, THV_LEVEL_LEAF,
	};
	walk_text(&walk, walk_print);
	says("01e000010a2000b0 set aside: the next use brings it back");
	walk.translate.second[2] = (struct thv_translate_level){ 0x10a2e4040, 0, 2, 0 };
	walk.translate.result = THV_TRANSLATE_NO_SLOT;
	walk_text(&walk, walk_print);
	says("0000000000000000 not mapped host-virtual");
	says("the launcher carries it out as a device's");
	walk.access = THV_ACCESS_EXECUTE;
	tap_is(walk_end(&walk), WALK_FETCH, "executing what is not memory ends the VM");
	walk.translate.second[2].flags = THV_LEVEL_PRESENT | THV_LEVEL_LEAF;
	tap_is(walk_end(&walk), WALK_PRIVATE, "mapped, and yet no slot's: the module's own");
	walk.translate.gpa = 0xfee00020;
	walk_text(&walk, walk_print);
	says("thv's APIC answers");
	walk.translate.result = THV_TRANSLATE_HOST_FAULT;
	tap_is(walk_end(&walk), WALK_HOST_FAULT, "so does a launcher's hole");
}

/* To those who may not know: no addresses */
static void test_untold(void)
{
	struct walk walk = kernel_text(THV_ACCESS_READ);
	int i;

	for (i = 0; i < 3; i++) {
		walk.translate.second[i].address = 0;
		walk.translate.second[i].entry &= 0xfff;
	}
	walk_text(&walk, walk_print);
	says("where host memory lies is shown to root only");
	says("PD[8] - 00000000000003f7 2 MiB page read/write/execute");
	tap_ok(!has("host-physical"), "no host-physical address is made up");
	says("host-virtual 0x7f2c41000000, in the launcher");
}

static void test_table_missing(void)
{
	struct walk walk = kernel_text(THV_ACCESS_READ);

	walk.translate.levels = 2;
	level(&walk.translate.level[1], 3, 0x220cff0, 0, 0);
	walk.translate.result = THV_TRANSLATE_NO_SLOT;
	walk.translate.page_size = 0;
	walk_text(&walk, walk_print);
	says("not memory: it cannot be read");
	says("a table of the guest that is not memory");
}

static void test_non_canonical(void)
{
	struct walk walk = long_mode(0x8000000000000000, THV_ACCESS_READ);

	walk.translate.result = THV_TRANSLATE_NON_CANONICAL;
	walk_text(&walk, walk_print);
	says("faults: the address is not canonical #GP(0)");
	walk.segment = THV_SS;
	walk_text(&walk, walk_print);
	says("not canonical #SS(0)");
}

static struct walk protected_mode(u64 address, u32 access, u32 attributes, u32 limit)
{
	struct walk walk = { .segment = THV_DS, .offset = address, .access = access };

	walk.sregs.cr0 = 0x11;
	walk.sregs.seg[THV_CS] = (struct thv_segment){ .limit = ~0U, .attributes = 0xc09b };
	walk.sregs.seg[THV_DS] = (struct thv_segment){ .base = 0x10000, .limit = limit,
						       .selector = 0x18,
						       .attributes = attributes };
	walk_begin(&walk);
	return walk;
}

static void refuses(u64 address, u32 access, u32 attributes, u32 limit, const char *reason)
{
	struct walk walk = protected_mode(address, access, attributes, limit);

	tap_ok(reason ? walk.refused && !strcmp(walk.refused, reason) : !walk.refused,
	       "offset %#llx of a segment %#x with limit %#x: %s", address, attributes, limit,
	       walk.refused ? walk.refused : "is allowed");
}

static void test_segments(void)
{
	struct walk walk = protected_mode(0x2000, THV_ACCESS_WRITE, 0xc093, 0xfff);

	walk_text(&walk, walk_print);
	says("ds 0018: base 0x10000, limit 0xfff; data, writable, accessed, DPL 0");
	says("#GP(0): the offset is beyond its limit");
	tap_ok(!has("guest tables"), "what the segment refuses, no table sees");
	refuses(0xfff, THV_ACCESS_WRITE, 0xc093, 0xfff, NULL);
	refuses(0xfff, THV_ACCESS_READ, 0xc097, 0xfff, "the offset is beyond its limit");
	refuses(0x1000, THV_ACCESS_READ, 0xc097, 0xfff, NULL);
	refuses(0x10000, THV_ACCESS_READ, 0x0097, 0xfff, "the offset is beyond its limit");
	refuses(0, THV_ACCESS_WRITE, 0xc091, ~0U, "it is not writable");
	refuses(0, THV_ACCESS_WRITE, 0xc09b, ~0U, "it is a code segment: it cannot be written to");
	refuses(0, THV_ACCESS_READ, 0xc099, ~0U, "it is for execution only");
	refuses(0, THV_ACCESS_EXECUTE, 0xc093, ~0U,
		"it is a data segment: nothing can be executed in it");
	refuses(0, THV_ACCESS_READ, THV_SEG_UNUSABLE, ~0U,
		"a null selector was loaded: it is unusable");
	walk = long_mode(0x30, THV_ACCESS_READ);
	walk.segment = THV_GS;
	walk_begin(&walk);
	tap_is(walk.translate.gla, 0xffff888000000030, "in 64-bit mode GS has a base");
	walk = protected_mode(0xffffffff, THV_ACCESS_READ, 0xc093, ~0U);
	tap_is(walk.translate.gla, 0xffff, "elsewhere addresses have 32 bits");
}

static void test_unpaged(void)
{
	struct walk walk = protected_mode(0x100, THV_ACCESS_READ, 0xc093, ~0U);

	walk.translate.gpa = 0x10100;
	walk.translate.page_size = 1ULL << 32;
	walk.translate.permissions = 0xf;
	walk.translate.result = THV_TRANSLATE_NOT_MAPPED;
	walk_text(&walk, walk_print);
	says("guest tables none: paging is off, linear addresses are guest-physical");
	says("guest-physical 0x10100");
	says("no table reaches this address");
}

static void test_legacy_paging(void)
{
	struct walk walk = protected_mode(0x3f0000, THV_ACCESS_READ, 0xc093, ~0U);
	struct thv_translate *translate = &walk.translate;

	walk.sregs.cr0 |= 1u << 31;
	walk.sregs.cr3 = 0x5000;
	walk.sregs.cr4 = 1 << 4;
	level(&translate->level[0], 2, 0x5004, 0x008040e7, LEAF);
	translate->levels = 1;
	translate->gpa = 0x200800000;
	translate->page_size = 0x400000;
	translate->permissions = 0xf;
	walk_text(&walk, walk_print);
	says("32-bit paging with 4 MiB pages (PSE)");
	says("PD[1] 0000000000005004 00000000008040e7 4 MiB page at 0x200800000 present, writable, user, accessed, dirty, large");

	walk.sregs.cr4 |= 1 << 5;
	level(&translate->level[0], 3, 0x5000, 0x6001, TABLE);
	level(&translate->level[1], 2, 0x6010, 0x7067, TABLE);
	level(&translate->level[2], 1, 0x7000, 0x8000000000008163, LEAF);
	translate->levels = 3;
	translate->permissions = 3;
	walk_text(&walk, walk_print);
	says("PAE paging, PDPTEs as the processor loaded them");
	says("PDPT[0] 0000000000005000 0000000000006001 table at 0x6000 present PD[2]");
	says("PT[0] 0000000000007000 8000000000008163 4 KiB page at 0x8000 present, writable, supervisor, accessed, dirty, global, NX");
	says("read, write; execute taken away by PT[0]; user taken away by PT[0]");
}

static void test_json(void)
{
	struct walk walk = kernel_text(THV_ACCESS_READ);
	FILE *python;
	int status;

	walk_text(&walk, walk_json);
	says("\"result\":\"done\"");
	says("\"table\":\"PD[8]\"");
	says("\"host_physical\":5289017344");
	python = popen("python3 -c 'import json,sys; json.load(sys.stdin)'", "w");
	fputs(output, python);
	status = pclose(python);
	tap_is(status, 0, "Python takes the JSON");
}

/* ---- bits, fields, events ---- */

static void decoded(u64 value, const struct decode_bit *bits, const char *expected)
{
	char text[DECODE_TEXT];

	decode_bits(value, bits, " ", text, sizeof(text));
	tap_ok(!strcmp(text, expected), "%#llx is \"%s\"", value, text);
}

static void field(u32 number, u64 value, const char *expected)
{
	char text[DECODE_TEXT];

	vmcs_field_words(number, value, text, sizeof(text));
	tap_ok(!strcmp(text, expected), "%s %#llx is \"%s\"", vmcs_field_name(number), value,
	       text);
}

static void test_bits(void)
{
	decoded(0x80050033, decode_cr0, "PE MP ET NE WP AM PG");
	decoded(0x80000000000006f0, decode_cr4, "PSE PAE MCE PGE OSFXSR OSXMMEXCPT bit 63");
	decoded(0xfffffffffffafff1, decode_cr0, "PE ET NE NW CD PG bits 6-15 bit 17 bits 19-28 bits 32-63");
	decoded(0xd01, decode_efer, "SCE LME LMA NXE");
	decoded(0x3246, decode_rflags, "PF ZF IF IOPL=3");
	decoded(0xffff4ff1, decode_dr6, "B0 BS");
	decoded(0x000d0402, decode_dr7, "G0 R/W0=1 LEN0=3");
	field(0x4002, 0xb6a065fa, "use TSC offsetting, HLT exiting, MWAIT exiting, use TPR shadow, MOV-DR exiting, "
	      "use I/O bitmaps, use MSR bitmaps, MONITOR exiting, activate secondary controls");
	field(0x4402, 48, "EPT violation");
	field(0x4402, 0x80000021, "entry failure: guest state, entry failed");
	field(0x4816, 0xa09b, "code, 64-bit, readable, accessed, DPL 0");
	field(0x4822, 0x8b, "busy 64/32-bit TSS, DPL 0");
	field(0x4826, 1, "HLT");
	field(0x201a, 0x1034005e, "memory type=6, walk length - 1=3, accessed and dirty flags, root=10340");
	field(0x681e, 0xffffffff81000000, "");
	tap_ok(!strcmp(vmcs_field_name(0x681e), "Guest RIP"), "a field has the manual's name");
	tap_ok(!vmcs_field_name(0x7000), "what is no field has none");
	tap_is(vmcs_field_digits(0x0802), 4, "a selector has four digits");
	tap_is(vmcs_field_digits(0x4402), 8, "a reason eight");
}

/* The lines of decode_events() and decode_apic(), one after the other */
static void collect(void *file, const char *name, const char *text)
{
	fprintf(file, "%s: %s\n", name, text);
}

static void test_events(void)
{
	struct thv_event_state events = {
		.flags = THV_EVENT_EXCEPTION | THV_EVENT_ERROR_CODE | THV_EVENT_PAYLOAD |
			 THV_EVENT_REINJECT | THV_EVENT_NMI_PENDING | THV_EVENT_STI_SHADOW,
		.mp_state = THV_MP_HALTED, .exception_vector = 14, .exception_error = 2,
		.exception_payload = 0x1000, .reinject = 0x80000b0d, .reinject_error = 0x18,
	};
	FILE *file;

	free(output);
	file = open_memstream(&output, &output_size);
	decode_events(&events, collect, file);
	fclose(file);
	says("activity: halted (HLT)");
	says("pending: #PF (vector 14), error code 0x2, CR2 0x1000; NMI");
	says("to deliver again: hardware exception, vector 13 (#GP), error code 0x18");
	says("blocked: interrupts, for one instruction after STI");
}

static void test_apic(void)
{
	struct thv_apic apic = { .base = 0xfee00900, .timer_remaining = 5000000 };
	u32 *regs = (u32 *)apic.regs;
	FILE *file;

	regs[0x20 / 4] = 3 << 24;
	regs[0xf0 / 4] = 0x1ff;
	regs[0x80 / 4] = 0x20;
	regs[0x270 / 4] = 1 << 12;	/* IRR: vector 0xec */
	regs[0x320 / 4] = 0x200ec;
	regs[0x350 / 4] = 0x10700;
	regs[0x380 / 4] = 1000;
	regs[0x390 / 4] = 500;
	regs[0x3e0 / 4] = 3;
	free(output);
	file = open_memstream(&output, &output_size);
	decode_apic(&apic, collect, file);
	fclose(file);
	says("mode: xAPIC, base 0xfee00000, bootstrap processor");
	says("ID: 3");
	says("interrupts: enabled, spurious vector ff");
	says("ISR: none IRR: ec TMR: none");
	says("LVT timer: vector ec, periodic LVT thermal");
	says("LVT LINT0: vector 00, ExtINT, masked");
	says("timer: initial count 1000, current 500, divided by 16, fires in 5000 us");
}

/* ---- bytes and instructions ---- */

static void test_listing(void)
{
	static const u8 bytes[] = "\x0f\x01\xf8\xf4Hello, world\0\x80";
	struct walk walk = long_mode(0, 0);
	FILE *file;
	u32 used;

	free(output);
	file = open_memstream(&output, &output_size);
	listing_bytes(0x1000, bytes, 18, file);
	fclose(file);
	tap_ok(!strcmp(output,
		       "0000000000001000  0f 01 f8 f4 48 65 6c 6c  6f 2c 20 77 6f 72 6c 64  |....Hello, world|\n"
		       "0000000000001010  00 80                                             |..|\n"),
	       "bytes are printed as hexdump -C does");
	free(output);
	file = open_memstream(&output, &output_size);
	used = listing_code(&walk.sregs, 0xffffffff81000000, bytes, 4, 9, file);
	fclose(file);
	says("ffffffff81000000 swapgs ffffffff81000003 hlt");
	tap_is(used, 4, "and all of them are instructions");
}

static void test_physical(void)
{
	struct walk walk = kernel_text(THV_ACCESS_READ);

	walk.offset = 0xfee00020;
	walk.access |= THV_ACCESS_PHYSICAL;
	walk.sregs.efer = 0;		/* DS could not be read from */
	walk_begin(&walk);
	tap_ok(!walk.refused && walk.translate.gla == 0xfee00020 &&
	       walk.translate.access == (THV_ACCESS_READ | THV_ACCESS_PHYSICAL),
	       "a guest-physical address goes through no segment");
	walk.translate.gpa = walk.translate.gla;
	walk.translate.levels = 0;
	walk.translate.result = THV_TRANSLATE_NO_SLOT;
	walk_text(&walk, walk_print);
	says("address 0xfee00020, guest-physical, a read by the vCPU, vCPU 0 guest-physical 0xfee00020");
	says("result a read by the vCPU reaches the local APIC's page");
	walk_text(&walk, walk_json);
	tap_ok(!strstr(output, "segment") && !strstr(output, "guest_tables"),
	       "... nor through guest tables, in JSON neither");
}

int main(void)
{
	test_kernel_text();
	test_physical();
	test_page_fault();
	test_reasons();
	test_second_level();
	test_untold();
	test_table_missing();
	test_non_canonical();
	test_segments();
	test_unpaged();
	test_legacy_paging();
	test_json();
	test_bits();
	test_events();
	test_apic();
	test_listing();
	tap_ok(tap_held(), "no line is longer than 100 columns");
	free(output);
	return tap_done();
}
