// SPDX-License-Identifier: GPL-2.0-only
// sources: userspace/lib/optionfile.c userspace/lib/options.c userspace/lib/error.c
// libs: -lyaml
/*
 * Machine files: each kind of option in YAML, the command line that overrides them, and
 * errors that tell where they are.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/error.h"
#include "lib/optionfile.h"
#include "tap.h"

struct values {
	const char *machine, *text;
	u64 size;
	u32 number, port, choice;
	bool flag, other;
	struct option_list list, disk;
};

struct disk {
	const char *path;
	bool ro;
	struct option_list tag;
};

#define FIELD(member)	.field = offsetof(struct values, member)
#define WORD(member)	.field = offsetof(struct disk, member)

static const struct option_row words[] = {
	{ "path", "FILE", "where it is", option_text, WORD(path), .required = true },
	{ "ro", NULL, "read-only", option_flag, WORD(ro) },
	{ "tag", "TEXT", "some", option_list, WORD(tag) },
	{ 0 }
};

static const char *const choices[] = { "on", "off", NULL };

static const struct option_row rows[] = {
	{ "MACHINE", NULL, "a file", option_text, FIELD(machine), .positional = true,
	  .reader = optionfile_read },
	{ "text", "TEXT", "some text", option_text, FIELD(text), .required = true },
	{ "size", "SIZE", "a size", option_size, FIELD(size), .initial = "2M",
	  .minimum = 4096, .maximum = 1ULL << 40 },
	{ "number", "N", "a number", option_number, FIELD(number), .initial = "3",
	  .minimum = 1, .maximum = 64 },
	{ "port", "PORT", "a port", option_number, FIELD(port), .implied = "0xf4",
	  .minimum = 1, .maximum = 65535 },
	{ "choice", "HOW", "how", option_choice, FIELD(choice), .choices = choices },
	{ "flag", NULL, "a flag", option_flag, FIELD(flag) },
	{ "other", NULL, "another", option_flag, FIELD(other) },
	{ "list", "ITEM", "one more", option_list, FIELD(list) },
	{ "disk", "path=FILE", "a disk", option_list, FIELD(disk), .words = words },
	{ 0 }
};

static const struct command command = { .name = "run", .options = rows };

static char path[] = "/tmp/thv-optionfile-XXXXXX";
static struct values values;

static void write_file(const char *text, size_t length)
{
	FILE *file = fopen(path, "w");

	if (!file || fwrite(text, 1, length, file) != length || fclose(file))
		exit(2);
}

/* thv run FILE with these words after it */
static enum options_result parse(const char *text, char **more)
{
	char *argv[16] = { "run", path };
	int argc = 2;

	write_file(text, strlen(text));
	while (more && *more)
		argv[argc++] = *more++;
	memset(&values, 0, sizeof(values));
	error_set("no error");
	return options_parse(&command, argc, argv, &values);
}

/* ---- what is right ----------------------------------------------------------- */

static void everything(void)
{
	struct disk disk = { 0 };

	tap_is(parse("# A machine\n"
		     "text: console=ttyS0 reboot=a   # and a comment\n"
		     "size: 64M\n"
		     "number: 0x10\n"
		     "port:\n"
		     "choice: off\n"
		     "flag: true\n"
		     "other: false\n"
		     "list:\n"
		     "  - one\n"
		     "  - \"true\"\n"
		     "disk:\n"
		     "  - plain.img\n"
		     "  - { path: 'a, b.img', ro: true, tag: [x, y] }\n"
		     "  - path: c.img\n"
		     "    ro: false\n", NULL), OPTIONS_OK, "a file with each kind of option is taken: %s",
	       error_text());
	tap_ok(values.text && !strcmp(values.text, "console=ttyS0 reboot=a"), "a text, without the comment");
	tap_is(values.size, 64ULL << 20, "a size");
	tap_is(values.number, 16, "a number");
	tap_is(values.port, 0xf4, "an argument that is implied");
	tap_is(values.choice, 1, "a choice, which is no truth value although it looks like one");
	tap_ok(values.flag && !values.other, "flags");
	tap_ok(values.list.count == 2 && !strcmp(values.list.text[0], "one") && !strcmp(values.list.text[1], "true"),
	       "a list, in its order");
	tap_is(values.disk.count, 3, "a list of words");
	tap_ok(!strcmp(values.disk.text[0], "plain.img"), "... as a text");
	tap_ok(!strcmp(values.disk.text[1], "path=a,, b.img,ro,tag=x,tag=y"), "... as a mapping: %s",
	       values.disk.text[1]);
	tap_ok(!strcmp(values.disk.text[2], "path=c.img"), "... whose flag is false");
	tap_ok(!options_parse_words("disk", values.disk.text[1], words, &disk) && !strcmp(disk.path, "a, b.img") &&
	       disk.ro && disk.tag.count == 2, "the words are read as they were meant");
}

static void forms(void)
{
	tap_is(parse("{ text: x, port: 7, list: one }", NULL), OPTIONS_OK, "in braces");
	tap_ok(values.port == 7 && values.list.count == 1, "... with an implied argument given, and a list of one");
	tap_is(parse("text: &t x y\nlist: [*t, *t]\n", NULL), OPTIONS_OK, "with an anchor");
	tap_ok(values.list.count == 2 && !strcmp(values.list.text[1], "x y"), "... that is used twice");
	tap_is(parse("text: |\n  two\n  lines\n", NULL), OPTIONS_OK, "of two lines");
	tap_is(parse("{\"text\": \"x\", \"number\": 5, \"flag\": true}", NULL), OPTIONS_OK, "as JSON");
	tap_ok(values.number == 5 && values.flag, "... with all that is in it");
	tap_is(parse("text: x\nlist: []\n", NULL), OPTIONS_OK, "an empty list");
	tap_is(values.list.count, 0, "... has nothing in it");
}

static void overridden(void)
{
	static const char text[] = "text: file\nnumber: 99999\nlist: [a, b]\nport: 5\n";
	char *line[] = { "--number", "7", "--list", "c", "--flag", NULL };
	char *all[] = { "--text=line", "--number", "8", "--list", "c", "--list", "d", "--port", NULL };

	tap_is(parse(text, line), OPTIONS_OK, "what the command line says, the file need not say rightly");
	tap_ok(values.number == 7 && values.flag && values.port == 5 && !strcmp(values.text, "file"),
	       "the command line's are taken, and the file's others");
	tap_ok(values.list.count == 1 && !strcmp(values.list.text[0], "c"), "a list is the command line's alone");
	tap_is(parse(text, all), OPTIONS_OK, "each of them on the command line");
	tap_ok(!strcmp(values.text, "line") && values.list.count == 2 && values.port == 0xf4, "... is the line's");
	tap_ok(!strcmp(values.machine, path), "the file's name is told");
	tap_is(parse("number: 4\n", NULL), OPTIONS_WRONG, "what is required is required");
	tap_ok(strstr(error_text(), "--text"), "... and named: %s", error_text());
}

/* ---- what is wrong ------------------------------------------------------------ */

static const struct {
	const char *what, *text, *where, *says;
} bad[] = {
	{ "an unknown option", "text: x\n\nfoo: 1\n", ":3: foo: ", "no such option" },
	{ "a positional argument", "MACHINE: x\n", ":1: MACHINE: ", "no such option" },
	{ "dashes", "--text: x\n", ":1: --text: ", "no such option" },
	{ "an option twice", "text: x\ntext: y\n", ":2: text: ", "twice" },
	{ "no number", "text: x\nnumber: many\n", ":2: number: ", "not a number" },
	{ "a number out of range", "number: 65\ntext: x\n", ":1: number: ", "1 to 64" },
	{ "an unknown choice", "choice: perhaps\n", ":1: choice: ", "on, off" },
	{ "a flag that is neither", "flag: yes\n", ":1: flag: ", "true or false" },
	{ "a flag in quotes", "flag: \"true\"\n", ":1: flag: ", "true or false" },
	{ "a flag that is a list", "flag: [true]\n", ":1: flag: ", "single value" },
	{ "an option without its argument", "text:\n", ":1: text: ", "missing: TEXT" },
	{ "an empty text", "text: \"\"\n", ":1: text: ", "empty" },
	{ "a list for what is one", "text: [a, b]\n", ":1: text: ", "single value" },
	{ "a mapping for what is one", "text: { a: b }\n", ":1: text: ", "single value" },
	{ "a mapping in a list without words", "list: [{ a: b }]\n", ":1: list: ", "single value" },
	{ "a list in a list", "list:\n  - a\n  - [b]\n", ":3: list: ", "single value" },
	{ "an unknown word", "disk:\n  - { path: x }\n  - { path: x,\n      foo: y }\n", ":4: disk: ", "'foo'" },
	{ "a word without its value", "disk: { path: }\n", ":1: disk: ", "'path' wants a value" },
	{ "a word's flag that is neither", "disk: { path: x, ro: 1 }\n", ":1: disk: ", "'ro' is either true or false" },
	{ "a mapping in words", "disk: { path: { a: b } }\n", ":1: disk: ", "single value" },
	{ "a key that is a list", "? [a]\n: b\n", ":1: ", "single value" },
	{ "a key in words that is a list", "disk: { ? [a] : b }\n", ":1: disk: ", "single value" },
	{ "a list of no options", "- a\n", ":1: ", "cpus: 2" },
	{ "a text of no options", "hello\n", ":1: ", "cpus: 2" },
	{ "an empty file", "", ": ", "nothing in it" },
	{ "comments alone", "# nothing\n", ": ", "nothing in it" },
	{ "what is not YAML", "text: x\n  number: [\n", ":2: ", "not YAML" },
	{ "a tab", "text: x\n\tnumber: 1\n", ":2: ", "not YAML" },
	{ "an alias of nothing", "text: *a\n", ":1: ", "not YAML" },
	{ "a list within itself", "list: &a [*a]\n", ":1: list: ", "single value" },
	{ "a mapping within itself", "disk: &a { path: *a }\n", ":1: disk: ", "single value" },
	{ "a zero byte", "text: \"a\\0b\"\n", ":1: text: ", "zero byte" },
};

static void refused(void)
{
	char where[100];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		snprintf(where, sizeof(where), "%s%s", path, bad[i].where);
		tap_ok(parse(bad[i].text, NULL) == OPTIONS_WRONG && strstr(error_text(), where) &&
		       strstr(error_text(), bad[i].says), "%s: %s", bad[i].what, error_text());
	}
}

static void big(void)
{
	char *text = malloc(200000), *end = text;
	int i;

	end += sprintf(end, "text: ");
	for (i = 0; i < 100000; i++)
		*end++ = '[';
	*end = 0;
	tap_is(parse(text, NULL), OPTIONS_WRONG, "a hundred thousand lists in each other: %s", error_text());
	end = text + sprintf(text, "disk: { path: ");
	memset(end, 'x', 100000);
	strcpy(end + 100000, " }\n");
	tap_ok(parse(text, NULL) == OPTIONS_WRONG && strstr(error_text(), "too long"), "words without an end: %s",
	       error_text());
	free(text);
}

static void not_there(void)
{
	char *argv[] = { "run", "/nonexistent/machine.yaml" };
	char *directory[] = { "run", "/" };

	memset(&values, 0, sizeof(values));
	tap_ok(options_parse(&command, 2, argv, &values) == OPTIONS_WRONG &&
	       strstr(error_text(), "/nonexistent/machine.yaml"), "a file that is not there: %s", error_text());
	tap_is(options_parse(&command, 2, directory, &values), OPTIONS_WRONG, "a folder: %s", error_text());
}

/* The option texts are kept until the process ends, as those of the command line are */
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}

int main(void)
{
	close(mkstemp(path));
	everything();
	forms();
	overridden();
	refused();
	big();
	not_there();
	unlink(path);
	return tap_done();
}
