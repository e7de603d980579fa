// SPDX-License-Identifier: GPL-2.0-only
// sources: userspace/lib/options.c userspace/lib/error.c
/* The option tables: defaults, parsing, refusals, and the help made from the same rows. */
#include <stdlib.h>
#include <string.h>

#include "lib/error.h"
#include "lib/options.h"
#include "tap.h"

struct values {
	u64 size;
	u32 number, port, choice, first;
	u64 second;
	const char *text;
	bool flag;
	struct option_list list;
};

#define FIELD(member)	.field = offsetof(struct values, member)

static const char *const choices[] = { "red", "green", NULL };

static const struct option_row rows[] = {
	{ "text", "TEXT", "some text", option_text, FIELD(text), .required = true },
	{ "size", "SIZE", "a size", option_size, FIELD(size), .initial = "2M",
	  .minimum = 4096, .maximum = 1ULL << 40 },
	{ "number", "N", "a number", option_number, FIELD(number), .initial = "3",
	  .minimum = 1, .maximum = 64 },
	{ "port", "PORT", "a port", option_number, FIELD(port), .implied = "0xf4",
	  .minimum = 1, .maximum = 65535 },
	{ "choice", "COLOUR", "a colour", option_choice, FIELD(choice), .choices = choices },
	{ "flag", NULL, "a flag", option_flag, FIELD(flag) },
	{ "list", "ITEM", "one more", option_list, FIELD(list) },
	{ "FIRST", NULL, "a place", option_number, FIELD(first), .positional = true,
	  .minimum = 1, .maximum = 9 },
	{ "SECOND", NULL, "another", option_address, FIELD(second), .positional = true },
	{ 0 }
};

static const struct option_status statuses[] = {
	{ 0, "well" }, { 1, "ill" }, { 77, "odd" }, { 0, NULL }
};

static const struct command command = {
	.name = "try", .summary = "try it", .options = rows, .statuses = statuses,
	.values_size = sizeof(struct values),
};

static struct values values;

/* Parse "try" and the words of the line */
static enum options_result parse(const char *line)
{
	char copy[256], *argv[20] = { "try" }, *word;
	int argc = 1;

	strcpy(copy, line);
	for (word = strtok(copy, " "); word; word = strtok(NULL, " "))
		argv[argc++] = strdup(word);
	memset(&values, 0, sizeof(values));
	return options_parse(&command, argc, argv, &values);
}

static void test_good(void)
{
	tap_is(parse("--text a"), OPTIONS_OK, "the required option alone will do");
	tap_is(values.size, 2 << 20, "an option not given has its default");
	tap_is(values.number, 3, "so has another");
	tap_ok(!values.flag && !values.port && !strcmp(values.text, "a"), "the rest is zero");
	tap_is(parse("--text=b --flag --port --choice green --size 64k --number 0x10"), OPTIONS_OK,
	       "all together");
	tap_ok(values.flag && values.port == 0xf4 && values.choice == 1 && values.size == 65536 &&
	       values.number == 16, "each has its value");
	tap_is(parse("--text a --port=99"), OPTIONS_OK, "an optional argument");
	tap_is(values.port, 99, "has its value");
	tap_is(parse("--text a --number 010"), OPTIONS_OK, "a leading zero");
	tap_is(values.number, 10, "is no octal");
	tap_is(parse("7 --text a 0x1000"), OPTIONS_OK, "words without an option, between options");
	tap_ok(values.first == 7 && values.second == 0x1000, "are taken in order");
	tap_is(parse("--help"), OPTIONS_HELP, "help needs no required option");
	tap_is(parse("-h"), OPTIONS_HELP, "-h is help");
}

static void test_sizes(void)
{
	static const struct { const char *text; u64 size; } sizes[] = {
		{ "4096", 4096 }, { "4K", 4096 }, { "1m", 1 << 20 }, { "3G", 3ULL << 30 },
		{ "1T", 1ULL << 40 }, { "0x2000", 8192 },
	};
	char line[64];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		snprintf(line, sizeof(line), "--text a --size %s", sizes[i].text);
		tap_check(parse(line) == OPTIONS_OK && values.size == sizes[i].size, "%s",
			  sizes[i].text);
	}
	tap_ok(tap_held(), "sizes are read with their units");
}

/* Each with a word that the error must have, so that it is about the right thing */
static void test_bad(void)
{
	static const struct { const char *line, *word; } bad[] = {
		{ "", "--text TEXT is missing" },
		{ "--text", "needs an argument" },
		{ "--text=", "empty" },
		{ "--text a 7 8 b", "b:" },
		{ "--text a x", "FIRST x: not a number" },
		{ "--text a 1 y", "SECOND y: not an address" },
		{ "--text a 0", "FIRST 0: out of range" },
		{ "--nonsense", "no such option" },
		{ "--text a --size", "needs an argument" },
		{ "--text a --size -1", "not a size" },
		{ "--text a --size 1X", "unit" },
		{ "--text a --size 1MM", "unit" },
		{ "--text a --size 0", "out of range" },
		{ "--text a --size 2T", "1T" },
		{ "--text a --size 99999999999999999999999", "not a size" },
		{ "--text a --size 0xffffffffffffffffT", "out of range" },
		{ "--text a --number 0", "out of range" },
		{ "--text a --number 65", "1 to 64" },
		{ "--text a --number 4294967297", "out of range" },
		{ "--text a --number 1x", "not a number" },
		{ "--text a --number=+1", "not a number" },
		{ "--text a --choice blue", "red, green" },
		{ "--text a --port=0", "out of range" },
		{ "--text a --flag=1", "--flag=1" },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++)
		tap_ok(parse(bad[i].line) == OPTIONS_WRONG && strstr(error_text(), bad[i].word),
		       "`%s` is refused: %s", bad[i].line, error_text());
}

static void test_list(void)
{
	tap_is(parse("--text a --list one --list=two --flag --list three"), OPTIONS_OK,
	       "an option that may be given again");
	tap_ok(values.list.count == 3 && !strcmp(values.list.text[0], "one") &&
	       !strcmp(values.list.text[1], "two") && !strcmp(values.list.text[2], "three"),
	       "has all its arguments, in their order");
	tap_is(parse("--text a"), OPTIONS_OK, "not given");
	tap_ok(!values.list.count && !values.list.text, "it has none");
	tap_ok(parse("--text a --list=") == OPTIONS_WRONG && strstr(error_text(), "--list"),
	       "an empty one is refused: %s", error_text());
}

/* ---- words --------------------------------------------------------------- */

static const struct option_row words[] = {
	{ "path", "FILE", "a file", option_text, FIELD(text), .required = true },
	{ "size", "SIZE", "a size", option_size, FIELD(size), .initial = "2M", .maximum = 1 << 30 },
	{ "number", "N", "a number", option_number, FIELD(number), .implied = "7", .maximum = 64 },
	{ "choice", "COLOUR", "a colour", option_choice, FIELD(choice), .choices = choices },
	{ "ro", NULL, "a flag", option_flag, FIELD(flag) },
	{ "also", "ITEM", "one more", option_list, FIELD(list) },
	{ 0 }
};

static int parse_disk(const char *text)
{
	memset(&values, 0, sizeof(values));
	return options_parse_words("disk", text, words, &values);
}

static void test_words(void)
{
	char text[] = "path=/tmp/a,size=64k,ro,choice=green,also=x,number,also=y=z";

	tap_is(parse_disk(text), 0, "words of each kind");
	memset(text, '?', sizeof(text) - 1);
	tap_ok(!strcmp(values.text, "/tmp/a") && values.size == 65536 && values.flag &&
	       values.choice == 1 && values.number == 7, "each has its value, and keeps it");
	tap_ok(values.list.count == 2 && !strcmp(values.list.text[1], "y=z"),
	       "a value may have a '=' in it, and a list grows");
	tap_is(parse_disk("path=a,,b,,,,c,ro"), 0, "commas in a value are written twice");
	tap_ok(!strcmp(values.text, "a,b,,c") && values.flag, "... and arrive once");
	tap_is(parse_disk("path=a"), 0, "one word alone");
	tap_ok(values.size == 2 << 20 && !values.flag, "the others have their defaults");
}

static void test_bad_words(void)
{
	static const struct { const char *text, *word; } bad[] = {
		{ "path=a,foo", "--disk: there is no 'foo'; it takes path=FILE, size=SIZE, number=N" },
		{ "path=a,foo=1", "there is no 'foo'" },
		{ "path=a,", "there is no ''" },
		{ "", "there is no ''" },
		{ "ro", "--disk: path=FILE is missing" },
		{ "path", "--disk: path wants a value: path=FILE" },
		{ "path=", "--disk: path: the argument is empty" },
		{ "path=a,path=b", "--disk: path is given twice" },
		{ "path=a,ro,ro", "--disk: ro is given twice" },
		{ "path=a,ro=1", "--disk: ro takes no value" },
		{ "path=a,size=2G", "--disk: size 2G: out of range" },
		{ "path=a,size=1X", "unknown unit" },
		{ "path=a,number=65", "--disk: number 65" },
		{ "path=a,choice=blue", "red, green" },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++)
		tap_ok(parse_disk(bad[i].text) && strstr(error_text(), bad[i].word),
		       "--disk %s is refused: %s", bad[i].text, error_text());
	tap_ok(parse("--text a --size 0") == OPTIONS_WRONG && strstr(error_text(), "--size 0:"),
	       "after it, other options are called by their own names");
}

static void test_help(void)
{
	const struct option_row *row;
	char *text = NULL, dashed[32], *line;
	size_t size;
	FILE *file = open_memstream(&text, &size);

	options_help(&command, file);
	fclose(file);
	for (row = rows; row->name; row++) {
		snprintf(dashed, sizeof(dashed), "%s%s", row->positional ? "" : "--",
			 row->name);
		tap_check(strstr(text, dashed) && strstr(text, row->help), "%s", row->name);
	}
	tap_ok(tap_held(), "help has every option");
	tap_ok(strstr(text, "Usage: thv try --text TEXT [OPTION...] [FIRST] [SECOND]\n"),
	       "the usage line has what is required, and the places");
	tap_ok(strstr(text, "(default: 2M)") && strstr(text, "(required)") &&
	       strstr(text, "--port[=PORT]") && strstr(text, "red, green"),
	       "help tells defaults, choices and what is optional");
	tap_ok(strstr(text, "  1    ill") < strstr(text, "  2    ") &&
	       strstr(text, "  2    ") < strstr(text, "  77   odd"),
	       "exit statuses come in order, the usage error's among them");
	for (line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
		tap_check(strlen(line) < 80 && line[strlen(line) - 1] != ' ', "%s", line);
	tap_ok(tap_held(), "lines of help fit the screen, without trailing blanks");
	free(text);
}

/* strdup() in parse(); lists and texts stay for good */
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}

int main(void)
{
	test_good();
	test_sizes();
	test_bad();
	test_list();
	test_words();
	test_bad_words();
	test_help();
	return tap_done();
}
