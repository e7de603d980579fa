// SPDX-License-Identifier: GPL-2.0-only
// sources: userspace/lib/traceline.c userspace/lib/symbols.c userspace/lib/chrome.c userspace/lib/json.c userspace/lib/error.c
// libs: -lelf
/* Lines of tracefs taken apart, addresses named, and the timeline made of them. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/chrome.h"
#include "lib/error.h"
#include "lib/symbols.h"
#include "lib/traceline.h"
#include "tap.h"

static char copy[1024];

static enum traceline_kind parse(const char *text, struct traceline *line)
{
	snprintf(copy, sizeof(copy), "%s", text);
	return traceline_parse(copy, line);
}

/* ---- lines ---- */

static void test_good(void)
{
	struct traceline line;
	char text[64];
	u64 number;

	tap_is(parse("           vcpu0-142     [001] d..1. 1234567890: thv_exit: vm=3 vcpu=12 reason=external interrupt rip=0xffffffff81000000 qualification=0x0",
		     &line), TRACELINE_EVENT, "an event is one");
	tap_ok(!strcmp(line.event, "exit") && line.cpu == 1 && line.vm == 3 && line.vcpu == 12,
	       "it says which, where and whose");
	tap_ok(line.time == 1234567890 && !line.in_ns, "ticks");
	tap_ok(!strcmp(traceline_text(&line, "reason", text, sizeof(text)), "external interrupt"),
	       "a value may have blanks");
	tap_ok(traceline_number(&line, "rip", &number) && number == 0xffffffff81000000ULL,
	       "a number is read, whatever its base");
	tap_ok(!traceline_number(&line, "reason", &number) && !traceline_number(&line, "x", &number),
	       "a word is no number");
	tap_ok(!strcmp(traceline_text(&line, "reason", text, 5), "exte"), "a long value is cut");
	tap_is(parse("x-1 [000] ..... 12.345678: thv_slot: vm=1 slot=0 flags= error=0", &line),
	       TRACELINE_EVENT, "an event of the whole VM");
	tap_ok(line.vcpu == -1 && line.in_ns && line.time == 12345678000ULL, "in seconds");
	tap_ok(!*traceline_text(&line, "flags", text, sizeof(text)), "a value may be empty");
	tap_is(parse(" odd [7] name: x-9 [002] d.... 55: thv_run: vm=1 vcpu=0", &line),
	       TRACELINE_EVENT, "a task's name is anything");
	tap_is(line.cpu, 2, "... and is not taken for more");
	tap_is(parse("CPU:1 [LOST 4711 EVENTS]", &line), TRACELINE_LOST, "losses are told");
	tap_is(line.lost, 4711, "... with their number");
}

static void test_bad(void)
{
	static const char *const bad[] = {
		"", "# tracer: nop", ": thv_", ": thv_exit:", "x: thv_exit: vm=1",
		"x-1 [000] d.. abc: thv_exit: vm=1", "x-1 [000] d.. 12: thv_exit",
		"x-1 [000] d.. 12: thv_exit: rip=1", "x-1 d.. 12: thv_exit: vm=1 vcpu=0",
		"x-1 [000] d.. 12: kvm_exit: vm=1", "x-1 [000] d.. 12: thv_exit: vm= vcpu=0",
		"CPU:1 [LOST many EVENTS]",
	};
	struct traceline line;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++)
		tap_check(parse(bad[i], &line) == TRACELINE_OTHER, "%s", bad[i]);
	tap_ok(tap_held(), "what is no event of ours is let be");
}

/* Every prefix and every damaged byte: the sanitizers watch */
static void test_damaged(void)
{
	static const char good[] = "v-1 [001] d..1. 123: thv_exit: vm=3 vcpu=1 reason=a b rip=0x1";
	const char *fields, *value;
	struct traceline line;
	char text[128], name[24];
	size_t i;
	int c, length;

	for (i = 0; i < sizeof(good); i++) {
		for (c = -1; c < 256; c++) {
			memcpy(text, good, sizeof(good));
			text[i] = c < 0 ? 0 : c;
			if (traceline_parse(text, &line) != TRACELINE_EVENT)
				continue;
			for (fields = line.fields; traceline_next(&fields, name, &value, &length);)
				tap_check(length >= 0 && fields > value - 1, "%zu %d", i, c);
		}
	}
	tap_ok(tap_held(), "damaged lines do no harm");
}

/* ---- symbols ---- */

static char path[] = "/tmp/thv-symbols-XXXXXX";

static void write_file(const char *text)
{
	FILE *file = fopen(path, "w");

	fputs(text, file);
	fclose(file);
}

static void test_symbols(void)
{
	struct symbols symbols;
	char text[64];
	u64 slide;

	close(mkstemp(path));
	write_file("ffffffff81000100 T second\nffffffff81000000 T _text\n0000000000000000 A zero\n"
		   "ffffffff82000000 D data\nffffffff81e00000 T entry_SYSCALL_64\n"
		   "ffffffffc0001000 t inside\t[module]\nnonsense\n");
	tap_is(symbols_load(&symbols, path), 0, "a System.map is read");
	tap_is(symbols.count, 4, "code only");
	tap_ok(symbols_name(&symbols, 0xffffffff81000105, text, sizeof(text)) &&
	       !strcmp(text, "second+0x5"), "an address has a name and an offset");
	tap_ok(symbols_name(&symbols, 0xffffffff81000000, text, sizeof(text)) &&
	       !strcmp(text, "_text+0"), "the first one, too");
	tap_ok(!symbols_name(&symbols, 0xffffffff80ffffff, text, sizeof(text)) &&
	       !symbols_name(&symbols, 0x400000, text, sizeof(text)), "below the first there is none");
	tap_ok(!symbols_name(&symbols, 0xffffffffffffffff, text, sizeof(text)), "nor far away");
	tap_ok(symbols_slide(&symbols, "entry_SYSCALL_64", 0xffffffff8be00000, &slide) &&
	       slide == 0xa000000, "a moved kernel is found by one address");
	tap_ok(!symbols_slide(&symbols, "entry_SYSCALL_64", 0xffffffff8be00001, &slide) &&
	       !symbols_slide(&symbols, "entry_SYSCALL_64", 0, &slide) &&
	       !symbols_slide(&symbols, "none", 0xffffffff8be00000, &slide), "if it can be that");
	symbols.slide = 0xa000000;
	tap_ok(symbols_name(&symbols, 0xffffffff8b000105, text, sizeof(text)) &&
	       !strcmp(text, "second+0x5"), "and then addresses have their names again");
	symbols_free(&symbols);
	write_file("nothing\n");
	tap_ok(symbols_load(&symbols, path) && strstr(error_text(), "no symbols"),
	       "a file without symbols is refused: %s", error_text());
	write_file("\177ELFgarbage");
	tap_ok(symbols_load(&symbols, path), "a broken ELF file is refused: %s", error_text());
	symbols_free(&symbols);
	unlink(path);
	tap_ok(symbols_load(&symbols, "/nonexistent"), "and one that is not there: %s", error_text());
	tap_is(symbols_load(&symbols, "/proc/self/exe"), 0, "an ELF file is read");
	tap_ok(symbols_address(&symbols, "symbols_load", &slide), "and this test is in it");
	symbols_free(&symbols);
}

/* ---- the timeline ---- */

static const char *const events[] = {
	"v-1 [000] . 1000: thv_run: vm=1 vcpu=0",
	"v-1 [000] . 2000: thv_entry: vm=1 vcpu=0 rip=0x1",
	"v-1 [000] . 5000: thv_exit: vm=1 vcpu=0 reason=HLT rip=0x1 qualification=0x0",
	"v-1 [000] . 5100: thv_state_vcpu: vm=1 vcpu=0 from=running to=halted",
	"v-1 [000] . 5200: thv_apic_timer: vm=1 vcpu=0 timer=expired mode=TSC deadline ns=0",
	"v-1 [000] . 5300: thv_state_vcpu: vm=1 vcpu=0 from=halted to=running",
	"v-1 [000] . 5900: thv_inject: vm=1 vcpu=0 type=interrupt vector=0xec error=0x0",
	"v-1 [000] . 6000: thv_entry: vm=1 vcpu=0 rip=0x1",
	"v-1 [000] . 6500: thv_exit: vm=1 vcpu=0 reason=I/O \"quoted\\ instruction",
	"v-1 [000] . 6600: thv_return: vm=1 vcpu=0 exit=port error=0",
	"v-1 [001] . 6700: thv_notifier: vm=1 what=invalidate start=0x0 end=0x1000 young=0",
	"v-1 [000] . 7000: thv_run: vm=1 vcpu=0",
	"v-1 [001] . 7000: thv_entry: vm=1 vcpu=63 rip=0x1",
	"v-1 [001] . 7000: thv_entry: vm=1 vcpu=4000000000 rip=0x1",
};

static const char *const slices[] = {
	"\"ph\":\"X\",\"name\":\"guest\",\"pid\":1,\"tid\":0,\"ts\":2.000,\"dur\":3.000,\"cat\":\"guest\"",
	"\"name\":\"HLT\",\"pid\":1,\"tid\":0,\"ts\":5.000,\"dur\":0.100,\"cat\":\"kernel\"",
	"\"name\":\"halted\",\"pid\":1,\"tid\":0,\"ts\":5.100,\"dur\":0.200,\"cat\":\"asleep\"",
	"\"name\":\"launcher: port\",\"pid\":1,\"tid\":0,\"ts\":6.600,\"dur\":0.400,\"cat\":\"launcher\"",
	"\"ph\":\"i\",\"name\":\"inject\",\"pid\":1,\"tid\":0,\"ts\":5.900,\"s\":\"t\",\"args\":{\"vm\":\"1\",\"vcpu\":\"0\",\"type\":\"interrupt\"",
	"\"name\":\"I/O \\\"quoted\\\\ instruction\"",
	"\"ph\":\"i\",\"name\":\"notifier\",\"pid\":1,\"tid\":64,",
	"\"name\":\"thread_name\",\"pid\":1,\"tid\":63,\"ts\":0.000,\"args\":{\"name\":\"vCPU 63\"}",
};

/* Does another program, which knows JSON, take it? */
static int valid_json(const char *text)
{
	FILE *python = popen("python3 -c 'import json,sys; t=json.load(sys.stdin); assert len(t[\"traceEvents\"]) > 10'", "w");

	if (!python)
		return 0;
	fputs(text, python);
	return !pclose(python);
}

static void test_timeline(void)
{
	static struct chrome chrome;
	struct traceline line;
	char *text = NULL;
	size_t size, i;
	FILE *file = open_memstream(&text, &size);

	chrome_begin(&chrome, file);
	for (i = 0; i < ARRAY_SIZE(events); i++)
		if (parse(events[i], &line) == TRACELINE_EVENT)
			chrome_event(&chrome, &line, line.time);
	tap_is(chrome_end(&chrome), 0, "a timeline is written");
	fclose(file);
	for (i = 0; i < ARRAY_SIZE(slices); i++)
		tap_ok(strstr(text, slices[i]), "it has %s", slices[i]);
	if (system("python3 -c ''"))
		tap_skip("no python3 to read it with");
	else
		tap_ok(valid_json(text), "it is JSON");
	free(text);
}

int main(void)
{
	test_good();
	test_bad();
	test_damaged();
	test_symbols();
	test_timeline();
	return tap_done();
}
