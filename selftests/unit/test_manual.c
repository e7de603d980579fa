// SPDX-License-Identifier: GPL-2.0-only
// sources: userspace/lib/manual.c userspace/lib/options.c userspace/lib/error.c
/* The manual page and the bash completion that are made of a table of commands. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/manual.h"
#include "tap.h"

struct values {
	const char *text;
	u32 choice;
};

static const char *const choices[] = { "red", "green", NULL };

static const struct option_row rows[] = {
	{ "VM", NULL, "which one", option_text, .positional = true, .required = true },
	{ "kernel", "FILE", "a file\\name", option_text, .required = true },
	{ "colour", "COLOUR", "a colour", option_choice, .choices = choices,
	  .field = offsetof(struct values, choice), .initial = "red" },
	{ "port", "PORT", "a port", option_number, .implied = "1" },
	{ 0 }
};

static const struct option_row none[] = { { 0 } };
static const struct option_status statuses[] = { { 0, "well" }, { 0, NULL } };

static const struct command try = {
	.name = "try", .summary = "try it", .options = rows, .statuses = statuses,
	.details = "First.\n\n.second with a dot\n\nThird-rate.",
};
static const struct command tree = {
	.name = "tree", .summary = "grow", .options = none, .statuses = statuses,
};
static const struct command *const commands[] = { &try, &tree };

static char folder[] = "/tmp/thv-manual-XXXXXX";
static char script[64], page[64];

static void write_file(const char *path, void (*print)(const struct command *const *, size_t, FILE *))
{
	FILE *file = fopen(path, "w");

	print(commands, ARRAY_SIZE(commands), file);
	fclose(file);
}

/* What a shell line prints, in one string of words */
static const char *shell(const char *line)
{
	static char text[4000];
	FILE *file = popen(line, "r");
	size_t length = fread(text, 1, sizeof(text) - 1, file);

	text[length] = 0;
	pclose(file);
	for (char *c = text; *c; c++)
		if (*c == '\n')
			*c = c[1] ? ' ' : 0;
	return text;
}

/* What bash offers after these words, the last of which is being typed */
static const char *offers(const char *words)
{
	char line[1000];

	snprintf(line, sizeof(line),
		 "bash -c 'thv() { printf \"ID NAME\\n7 lab\\n\"; }; compopt() { :; }; . %s; "
		 "COMP_WORDS=(thv %s); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _thv; "
		 "printf \"%%s\\n\" \"${COMPREPLY[@]}\"' 2>&1", script, words);
	return shell(line);
}

static void offered(const char *words, const char *expected)
{
	const char *got = offers(words);

	tap_ok(!strcmp(got, expected), "`thv %s` is completed to \"%s\": \"%s\"", words, expected,
	       got);
}

static void test_completion(void)
{
	write_file(script, manual_completion);
	offered("tr", "try tree");
	offered("--v", "--version");
	offered("try --", "--help --kernel --colour --port=");
	offered("try --col", "--colour");
	offered("try --colour \"\"", "red green");
	offered("try --colour g", "green");
	offered("try l", "lab");
	offered("try \"\"", "7 lab");
	offered("tree \"\"", "");
	offered("nonsense \"\"", "");
}

static void test_page(void)
{
	const char *text;
	char line[200];

	write_file(page, manual_commands);
	snprintf(line, sizeof(line), "cat %s", page);
	text = shell(line);
	tap_ok(strstr(text, ".SS thv try .PP \\fBthv \\fR\\fBtry\\fR \\fB\\-\\-\\fR\\fBkernel\\fR \\fIFILE\\fR [\\fIOPTION\\fR...] \\fIVM\\fR"),
	       "the synopsis has what is required: options first, then places");
	tap_ok(strstr(text, ".PP Try it. "), "the summary is a sentence");
	tap_ok(strstr(text, "a file\\ename"), "a backslash is one");
	tap_ok(strstr(text, ".PP \\&.second with a dot .PP Third\\-rate."),
	       "paragraphs are paragraphs, and a dot at the beginning is no request");
	tap_ok(strstr(text, "\\fBred\\fR, \\fBgreen\\fR (default: red)"),
	       "choices and defaults are told");
	tap_ok(strstr(text, "\\fB\\-\\-\\fR\\fBport\\fR[=\\fIPORT\\fR]"),
	       "an argument that may be left out is in brackets");
	if (system("command -v groff >/dev/null")) {
		tap_skip("no groff here to look for warnings");
		return;
	}
	snprintf(line, sizeof(line), "{ echo .TH T 1; cat %s; } | groff -man -Tutf8 -ww 2>&1 >/dev/null", page);
	tap_ok(!*shell(line), "groff has nothing to say against it");
}

int main(void)
{
	if (!mkdtemp(folder))
		return 1;
	snprintf(script, sizeof(script), "%s/thv.bash", folder);
	snprintf(page, sizeof(page), "%s/page", folder);
	test_completion();
	test_page();
	unlink(script);
	unlink(page);
	rmdir(folder);
	return tap_done();
}
