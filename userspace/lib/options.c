// SPDX-License-Identifier: GPL-2.0-only
/*
 * The option tables at work: parsing (on top of getopt_long) and help. Nothing
 * here knows a particular command.
 */
#include "lib/options.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "lib/error.h"

#define SCREEN		79
#define MAX_ROWS	64

/* The option whose words are being parsed; NULL: none */
static _Thread_local const char *inside;

/* How errors call an option, or a word of one: as a user writes it */
static const char *label(const struct option_row *row)
{
	static _Thread_local char text[80];

	if (inside)
		snprintf(text, sizeof(text), "--%s: %s", inside, row->name);
	else
		snprintf(text, sizeof(text), "%s%s", row->positional ? "" : "--", row->name);
	return text;
}

int option_flag(const struct option_row *row, const char *text, void *field)
{
	(void)row;
	(void)text;
	*(bool *)field = true;
	return 0;
}

int option_text(const struct option_row *row, const char *text, void *field)
{
	if (!*text)
		return error_set("%s: the argument is empty", label(row));
	*(const char **)field = text;
	return 0;
}

int option_list(const struct option_row *row, const char *text, void *field)
{
	struct option_list *list = field;
	const char **more;

	if (!*text)
		return error_set("%s: the argument is empty", label(row));
	more = realloc(list->text, (list->count + 1) * sizeof(*more));
	if (!more)
		return error_set("out of memory");
	more[list->count++] = text;
	list->text = more;
	return 0;
}

/* strtoull() takes "-1" and leading blanks; a person who writes those means neither */
static int digits(const char *text, u64 *value, char **end)
{
	if (!isdigit((unsigned char)*text))
		return -1;
	errno = 0;
	*value = strtoull(text, end, strncasecmp(text, "0x", 2) ? 10 : 16);
	return errno ? -1 : 0;
}

int option_number(const struct option_row *row, const char *text, void *field)
{
	char *end;
	u64 value;

	if (digits(text, &value, &end) || *end)
		return error_set("%s %s: not a number", label(row), text);
	if (value < row->minimum || value > row->maximum)
		return error_set("%s %s: out of range; %llu to %llu are possible", label(row),
				 text, row->minimum, row->maximum);
	*(u32 *)field = value;
	return 0;
}

int option_address(const struct option_row *row, const char *text, void *field)
{
	char *end;

	if (digits(text, field, &end) || *end)
		return error_set("%s %s: not an address; write it as in 0x1000", label(row), text);
	return 0;
}

/* "64M" for errors about sizes */
static const char *size_text(u64 size, char *text, size_t length)
{
	static const char units[] = "BKMGTP";
	int unit = 0;

	while (size && !(size & 1023) && units[unit + 1]) {
		size >>= 10;
		unit++;
	}
	snprintf(text, length, unit ? "%llu%c" : "%llu", size, units[unit]);
	return text;
}

static int unit_shift(const char *unit)
{
	static const char units[] = "KMGT";
	const char *found;

	if (!*unit)
		return 0;
	found = strchr(units, toupper((unsigned char)*unit));
	if (!found || unit[1])
		return -1;
	return 10 * (found - units + 1);
}

int option_size(const struct option_row *row, const char *text, void *field)
{
	char low[24], high[24], *end;
	u64 value;
	int shift;

	if (digits(text, &value, &end))
		return error_set("%s %s: not a size; write it as in 256M or 2G", label(row), text);
	shift = unit_shift(end);
	if (shift < 0)
		return error_set("%s %s: unknown unit \"%s\"; K, M, G and T are known",
				 label(row), text, end);
	if (value > (~0ULL >> shift) || value << shift < row->minimum ||
	    value << shift > row->maximum)
		return error_set("%s %s: out of range; %s to %s are possible", label(row), text,
				 size_text(row->minimum, low, sizeof(low)),
				 size_text(row->maximum, high, sizeof(high)));
	*(u64 *)field = value << shift;
	return 0;
}

static void list_choices(const struct option_row *row, const char *between, char *text,
			 size_t length)
{
	const char *const *choice;
	size_t used = 0;

	text[0] = 0;
	for (choice = row->choices; *choice && used < length; choice++)
		used += snprintf(text + used, length - used, "%s%s",
				 choice == row->choices ? "" : between, *choice);
}

int option_choice(const struct option_row *row, const char *text, void *field)
{
	char known[200];
	u32 index;

	for (index = 0; row->choices[index]; index++) {
		if (!strcmp(row->choices[index], text)) {
			*(u32 *)field = index;
			return 0;
		}
	}
	list_choices(row, ", ", known, sizeof(known));
	return error_set("%s %s: unknown; possible are %s", label(row), text, known);
}

/* ---- parsing ------------------------------------------------------------ */

static int argument_kind(const struct option_row *row)
{
	if (!row->argument)
		return no_argument;
	return row->implied ? optional_argument : required_argument;
}

/* getopt's table; an option's val is its row's number + HELP + 1 */
#define HELP	256
static void translate(const struct option_row *rows, struct option *options)
{
	int i;

	for (i = 0; rows[i].name; i++)
		if (!rows[i].positional)
			*options++ = (struct option){ rows[i].name, argument_kind(&rows[i]), NULL,
						      HELP + 1 + i };
	*options++ = (struct option){ "help", no_argument, NULL, HELP };
	*options = (struct option){ 0 };
}

static int apply(const struct option_row *row, const char *text, void *values)
{
	return row->parse(row, text, (char *)values + row->field);
}

static int set_defaults(const struct option_row *row, void *values)
{
	for (; row->name; row++)
		if (row->initial && apply(row, row->initial, values))
			return -1;
	return 0;
}

static int complain(const struct command *command, int found, char *word)
{
	if (found == ':')
		return error_set("%s: needs an argument; see `thv %s --help`", word, command->name);
	return error_set("%s: no such option; `thv %s --help` lists what there is", word,
			 command->name);
}

/* What a line's words are given to, one call for each row that is given */
typedef int taker(const struct option_row *row, const char *text, void *opaque);

/* What is left belongs to the positional rows, in their order */
static int parse_positional(const struct command *command, int count, char **words, taker *take,
			    void *opaque)
{
	const struct option_row *row;

	for (row = command->options; row->name && count; row++) {
		if (!row->positional)
			continue;
		if (take(row, *words++, opaque))
			return OPTIONS_WRONG;
		count--;
	}
	if (count)
		return error_set("%s: what is this? `thv %s --help` lists the arguments",
				 *words, command->name), OPTIONS_WRONG;
	return OPTIONS_OK;
}

static int parse_all(const struct command *command, int argc, char **argv, taker *take, void *opaque)
{
	struct option options[MAX_ROWS + 2];
	const struct option_row *row;
	int found;

	translate(command->options, options);
	optind = 0;	/* forgets what an earlier call of getopt_long() parsed */
	opterr = 0;
	while ((found = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		if (found == HELP || found == 'h')
			return OPTIONS_HELP;
		if (found < HELP)
			return complain(command, found, argv[optind - 1]), OPTIONS_WRONG;
		row = &command->options[found - HELP - 1];
		if (take(row, optarg ? optarg : row->implied, opaque))
			return OPTIONS_WRONG;
	}
	return parse_positional(command, argc - optind, argv + optind, take, opaque);
}

/* What the line has, before any of it is taken */
struct look {
	const struct option_row *rows;
	bool given[MAX_ROWS];
	const struct option_row *reader;	/* the row that names a file; NULL: none is given */
	const char *file;
};

static int look_at(const struct option_row *row, const char *text, void *opaque)
{
	struct look *look = opaque;

	look->given[row - look->rows] = true;
	if (row->reader) {
		look->reader = row;
		look->file = text;
	}
	return 0;
}

/* The file's options are taken first, but not those that the line has, too */
static int read_file(const struct look *look, bool *given, void *values)
{
	memcpy(given, look->given, sizeof(look->given));
	if (!look->reader)
		return 0;
	return look->reader->reader(look->file, look->rows, given, values);
}

static int check_required(const struct command *command, const bool *given)
{
	const struct option_row *row;

	for (row = command->options; row->name; row++)
		if (row->required && !given[row - command->options])
			return error_set("%s%s%s is missing; see `thv %s --help`", label(row),
					 row->argument ? " " : "", row->argument ? row->argument : "",
					 command->name);
	return 0;
}

enum options_result options_parse(const struct command *command, int argc, char **argv,
				  void *values)
{
	struct look look = { .rows = command->options };
	bool given[MAX_ROWS];
	int result;

	if (set_defaults(command->options, values))
		return OPTIONS_WRONG;
	result = parse_all(command, argc, argv, look_at, &look);
	if (result != OPTIONS_OK)
		return result;
	if (read_file(&look, given, values))
		return OPTIONS_WRONG;
	result = parse_all(command, argc, argv, apply, values);
	if (result != OPTIONS_OK)
		return result;
	return check_required(command, given) ? OPTIONS_WRONG : OPTIONS_OK;
}

/* ---- words: an argument that is a list of its own ------------------------- */

/* "path=FILE, ro, size=SIZE": what there is, for errors */
static const char *list_words(const struct option_row *row, char *text, size_t length)
{
	const struct option_row *first = row;
	size_t used = 0;

	text[0] = 0;
	for (; row->name && used < length; row++)
		used += snprintf(text + used, length - used, "%s%s%s%s", row == first ? "" : ", ",
				 row->name, row->argument ? "=" : "", row->argument ? row->argument : "");
	return text;
}

/* Cut the next word off *text; two commas stand for one that is part of it */
static char *next_word(char **text)
{
	char *from = *text, *to = from, *word = from;

	while (*from && (*from != ',' || from[1] == ',')) {
		from += *from == ',';
		*to++ = *from++;
	}
	*text = *from ? from + 1 : NULL;
	*to = 0;
	return word;
}

static const struct option_row *find_word(const struct option_row *rows, const char *name)
{
	for (; rows->name; rows++)
		if (!strcmp(rows->name, name))
			return rows;
	return NULL;
}

/* Those parsers keep the text itself, which must outlive the list it came in */
int option_take_copy(const struct option_row *row, const char *value, void *values)
{
	bool keeps = row->parse == option_text || row->parse == option_list;

	if (keeps && value) {
		value = strdup(value);
		if (!value)
			return error_set("out of memory");
	}
	return apply(row, value, values);
}

static int parse_word(char *word, const struct option_row *rows, void *values, bool *given)
{
	const struct option_row *row;
	char *value = strchr(word, '=');
	char known[400];

	if (value)
		*value++ = 0;
	row = find_word(rows, word);
	if (!row)
		return error_set("--%s: there is no '%s'; it takes %s", inside, word,
				 list_words(rows, known, sizeof(known)));
	if (given[row - rows] && row->parse != option_list)
		return error_set("%s is given twice", label(row));
	given[row - rows] = true;
	if (value && !row->argument)
		return error_set("%s takes no value", label(row));
	if (!value && row->argument && !row->implied)
		return error_set("%s wants a value: %s=%s", label(row), row->name, row->argument);
	return option_take_copy(row, value ? value : row->implied, values);
}

static int parse_words(char *text, const struct option_row *rows, void *values)
{
	bool given[MAX_ROWS] = { false };
	const struct option_row *row;

	if (set_defaults(rows, values))
		return -1;
	while (text)
		if (parse_word(next_word(&text), rows, values, given))
			return -1;
	for (row = rows; row->name; row++)
		if (row->required && !given[row - rows])
			return error_set("%s=%s is missing", label(row), row->argument);
	return 0;
}

int options_parse_words(const char *option, const char *text, const struct option_row *rows,
			void *values)
{
	char *copy = strdup(text);
	int result;

	if (!copy)
		return error_set("out of memory");
	inside = option;
	result = parse_words(copy, rows, values);
	inside = NULL;
	free(copy);
	return result;
}

/* ---- help --------------------------------------------------------------- */

static int new_line(FILE *file, int width)
{
	return fprintf(file, "\n%*s", width, "") - 1;
}

void options_wrap(FILE *file, const char *left, int width, const char *text)
{
	int column = fprintf(file, "%s", left), blanks, word;

	if (column > width)
		column = new_line(file, 0);
	column += fprintf(file, "%*s", width - column, "");
	while (*text) {
		blanks = strspn(text, " ");
		word = strcspn(text + blanks, " \n");
		if (column + blanks + word > SCREEN && column > width) {
			column = new_line(file, width);
			text += blanks;
			blanks = 0;
		}
		column += fprintf(file, "%.*s", blanks + word, text);
		text += blanks + word;
		if (*text == '\n') {
			column = new_line(file, width);
			text++;
		}
	}
	fprintf(file, "\n");
}

static void help_option(FILE *file, const struct option_row *row)
{
	char left[120], text[900], choices[200] = "";
	int used;

	used = snprintf(left, sizeof(left), "  %s", label(row));
	if (row->argument)
		snprintf(left + used, sizeof(left) - used, row->implied ? "[=%s]" : " %s",
			 row->argument);
	if (row->choices)
		list_choices(row, ", ", choices, sizeof(choices));
	used = snprintf(text, sizeof(text), "%s%s%s", row->help, *choices ? ": " : "", choices);
	if (row->initial)
		used += snprintf(text + used, sizeof(text) - used, " (default: %s)", row->initial);
	if (row->required)
		snprintf(text + used, sizeof(text) - used, " (required)");
	options_wrap(file, left, 26, text);
}

static void help_status(FILE *file, int status, const char *meaning)
{
	char left[16];

	snprintf(left, sizeof(left), "  %d", status);
	options_wrap(file, left, 7, meaning);
}

/* In ascending order, the usage error's where it belongs */
static void help_statuses(FILE *file, const struct option_status *status)
{
	fprintf(file, "\nExit status:\n");
	for (; status->meaning && status->status < STATUS_USAGE; status++)
		help_status(file, status->status, status->meaning);
	help_status(file, STATUS_USAGE, "the command line, or a file it names, is at fault");
	for (; status->meaning; status++)
		help_status(file, status->status, status->meaning);
}

/* The options, or the positional arguments; @heading stands above them if there are any */
static void help_rows(FILE *file, const struct command *command, bool positional,
		      const char *heading)
{
	const struct option_row *row;

	for (row = command->options; row->name; row++) {
		if (row->positional != positional)
			continue;
		if (heading)
			fputs(heading, file);
		heading = NULL;
		help_option(file, row);
	}
}

void options_usage(const struct command *command, FILE *file)
{
	const struct option_row *row;

	fprintf(file, "Usage: thv %s", command->name);
	for (row = command->options; row->name; row++)
		if (row->required && !row->positional)
			fprintf(file, " --%s %s", row->name, row->argument);
	fprintf(file, " [OPTION...]");
	for (row = command->options; row->name; row++)
		if (row->positional)
			fprintf(file, row->required ? " %s" : " [%s]", row->name);
}

void options_help(const struct command *command, FILE *file)
{
	static const struct option_row help = { .name = "help", .help = "print this" };

	options_usage(command, file);
	fprintf(file, "\n\n");
	options_wrap(file, "", 0, command->summary);
	help_rows(file, command, true, "\nArguments:\n");
	fprintf(file, "\nOptions:\n");
	help_rows(file, command, false, NULL);
	help_option(file, &help);
	if (command->details) {
		fprintf(file, "\n");
		options_wrap(file, "", 0, command->details);
	}
	help_statuses(file, command->statuses);
}
