// SPDX-License-Identifier: GPL-2.0-only
/* The manual page's commands and the bash completion, out of the table of commands. */
#include "lib/manual.h"

#include <ctype.h>
#include <string.h>

/* ---- the manual page (man(7)) ------------------------------------------- */

/* Text as it is: a backslash, a hyphen and a dot at a line's beginning mean something to roff */
static void roff(FILE *file, const char *text)
{
	const char *c;

	for (c = text; *c; c++) {
		if (*c == '\\')
			fputs("\\e", file);
		else if (*c == '-')
			fputs("\\-", file);
		else if ((*c == '.' || *c == '\'') && (c == text || c[-1] == '\n'))
			fprintf(file, "\\&%c", *c);
		else
			fputc(*c, file);
	}
}

static void bold(FILE *file, const char *text)
{
	fputs("\\fB", file);
	roff(file, text);
	fputs("\\fR", file);
}

static void italic(FILE *file, const char *text)
{
	fputs("\\fI", file);
	roff(file, text);
	fputs("\\fR", file);
}

static void roff_name(FILE *file, const struct option_row *row)
{
	if (row->positional) {
		italic(file, row->name);
		return;
	}
	bold(file, "--");
	bold(file, row->name);
	if (!row->argument)
		return;
	fputs(row->implied ? "[=" : " ", file);
	italic(file, row->argument);
	if (row->implied)
		fputc(']', file);
}

static void roff_row(FILE *file, const struct option_row *row)
{
	const char *const *choice;

	fputs(".TP\n", file);
	roff_name(file, row);
	fputc('\n', file);
	roff(file, row->help);
	for (choice = row->choices; choice && *choice; choice++) {
		fputs(choice == row->choices ? ": " : ", ", file);
		bold(file, *choice);
	}
	if (row->initial) {
		fputs(" (default: ", file);
		roff(file, row->initial);
		fputc(')', file);
	}
	fputs(row->required ? " (required)\n" : "\n", file);
}

static void roff_synopsis(FILE *file, const struct command *command)
{
	const struct option_row *row;

	fputs(".PP\n", file);
	bold(file, "thv ");
	bold(file, command->name);
	for (row = command->options; row->name; row++) {
		if (row->positional || !row->required)
			continue;
		fputc(' ', file);
		roff_name(file, row);
	}
	fputs(" [\\fIOPTION\\fR...]", file);
	for (row = command->options; row->name; row++) {
		if (!row->positional)
			continue;
		fputs(row->required ? " " : " [", file);
		italic(file, row->name);
		fputs(row->required ? "" : "]", file);
	}
	fputc('\n', file);
}

/* Paragraphs are set apart by empty lines */
static void roff_details(FILE *file, const char *details)
{
	const char *end;
	char paragraph[2000];

	for (; details && *details; details = *end ? end + 2 : end) {
		end = strstr(details, "\n\n");
		if (!end)
			end = details + strlen(details);
		snprintf(paragraph, sizeof(paragraph), "%.*s", (int)(end - details), details);
		fputs(".PP\n", file);
		roff(file, paragraph);
		fputc('\n', file);
	}
}

static void roff_statuses(FILE *file, const struct option_status *status)
{
	fputs(".PP\nExit status:\n", file);
	for (; status->meaning; status++) {
		fprintf(file, ".TP\n.B %d\n", status->status);
		roff(file, status->meaning);
		fputc('\n', file);
	}
}

static void roff_command(FILE *file, const struct command *command)
{
	const struct option_row *row;

	fprintf(file, ".SS thv %s\n", command->name);
	roff_synopsis(file, command);
	fputs(".PP\n", file);
	/* a sentence here, part of one in --help */
	fputc(toupper((unsigned char)command->summary[0]), file);
	roff(file, command->summary + 1);
	fputs(".\n", file);
	for (row = command->options; row->name; row++)
		roff_row(file, row);
	roff_details(file, command->details);
	roff_statuses(file, command->statuses);
}

void manual_commands(const struct command *const *commands, size_t count, FILE *file)
{
	size_t i;

	for (i = 0; i < count; i++)
		roff_command(file, commands[i]);
}

/* ---- bash completion ---------------------------------------------------- */

/* What an option's argument can be: words, or what bash calls an action */
static void bash_argument(FILE *file, const struct option_row *row)
{
	const char *const *choice;

	if (row->choices) {
		fputs("words=\"", file);
		for (choice = row->choices; *choice; choice++)
			fprintf(file, "%s%s", choice == row->choices ? "" : " ", *choice);
		fputs("\"", file);
	} else if (!strcmp(row->argument, "FILE")) {
		fputs("action=file", file);
	} else {
		fputs(":", file);
	}
}

static void bash_command(FILE *file, const struct command *command)
{
	const struct option_row *row;
	bool vm = false;

	fprintf(file, "\t%s)\n\t\toptions=\"--help", command->name);
	for (row = command->options; row->name; row++) {
		if (row->positional)
			vm = vm || !strcmp(row->name, "VM");
		else
			fprintf(file, " --%s%s", row->name,
				row->argument && row->implied ? "=" : "");
	}
	fputs("\"\n", file);
	if (vm)
		fputs("\t\tvms=yes\n", file);
	fputs("\t\tcase $previous in\n", file);
	for (row = command->options; row->name; row++) {
		if (row->positional || !row->argument || row->implied)
			continue;
		fprintf(file, "\t\t--%s) ", row->name);
		bash_argument(file, row);
		fputs("; options= vms= ;;\n", file);
	}
	fputs("\t\tesac ;;\n", file);
}

static const char bash_head[] =
	"# bash completion for thv, made from its table of commands\n"
	"# shellcheck shell=bash\n"
	"_thv_vms() {\n"
	"\tthv list 2>/dev/null | awk 'NR > 1 { print $1; print $2 }'\n"
	"}\n\n"
	"_thv() {\n"
	"\tlocal current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}\n"
	"\tlocal options= words= action= vms=\n\n"
	"\tif [ \"$COMP_CWORD\" -eq 1 ]; then\n";

static const char bash_tail[] =
	"\tesac\n"
	"\tif [ \"$action\" = file ]; then\n"
	"\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$current\")\n"
	"\t\tcompopt -o filenames 2>/dev/null\n"
	"\t\treturn\n"
	"\tfi\n"
	"\tcase $current in\n"
	"\t-*) words=$options ;;\n"
	"\t*) [ -z \"$vms\" ] || words=$(_thv_vms) ;;\n"
	"\tesac\n"
	"\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$current\")\n"
	"\t[[ ${COMPREPLY[0]:-} != *= ]] || compopt -o nospace 2>/dev/null\n"
	"}\n"
	"complete -F _thv thv\n";

void manual_completion(const struct command *const *commands, size_t count, FILE *file)
{
	size_t i;

	fputs(bash_head, file);
	fputs("\t\tmapfile -t COMPREPLY < <(compgen -W \"--help --version", file);
	for (i = 0; i < count; i++)
		fprintf(file, " %s", commands[i]->name);
	fputs("\" -- \"$current\")\n\t\treturn\n\tfi\n\tcase ${COMP_WORDS[1]} in\n", file);
	for (i = 0; i < count; i++)
		bash_command(file, commands[i]);
	fputs(bash_tail, file);
}
