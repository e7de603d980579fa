/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Commands and their options, each declared once: the same rows parse the
 * command line, set the defaults and print --help, so these cannot disagree.
 */
#ifndef THV_LIB_OPTIONS_H
#define THV_LIB_OPTIONS_H

#include <stdio.h>

#include "lib/types.h"

struct option_row;

/* Turn the option's argument into the field; 0, or -1 with the error text set */
typedef int option_parser(const struct option_row *row, const char *text, void *field);

option_parser option_flag;	/* bool: no argument */
option_parser option_text;	/* const char *: the argument itself */
option_parser option_number;	/* u32 within minimum..maximum; 0x.. is hexadecimal */
option_parser option_address;	/* u64, any; 0x.. is hexadecimal */
option_parser option_size;	/* u64 within minimum..maximum; 64M, 1G, ... */
option_parser option_choice;	/* u32: index into choices[] */
option_parser option_list;	/* struct option_list: may be given again and again */

/* The arguments of an option that may be given more than once, in their order */
struct option_list {
	u32 count;
	const char **text;
};

/*
 * Take options out of a file: those of @rows, into @values, but none for which given[] is true
 * already; it becomes true for the others. 0, or -1 with the error text.
 */
typedef int option_reader(const char *path, const struct option_row *rows, bool *given,
			  void *values);

/**
 * struct option_row - one option of a command.
 * @name: without the dashes; a row without one ends the table.
 * @positional: no option: the word stands by itself, in the order of the rows. @name is
 *	what help calls it (VM, ADDRESS); @argument is NULL.
 * @argument: what help calls its argument; NULL: it takes none.
 * @help: what it does, without the default.
 * @parse: see above.
 * @field: offset in the command's struct of values.
 * @initial: the default, in the form a user would write; NULL: zero.
 * @implied: not NULL: the argument may be left out, and is this then.
 * @minimum, @maximum, @choices: what @parse allows; @choices ends with NULL.
 * @words: not NULL: the argument is a list of words, of these rows (options_parse_words()).
 * @reader: of a positional row: it names a file with options. These are taken as if they stood
 *	before the others, but an option that is given on the command line is that alone.
 * @required: the command cannot go without it.
 */
struct option_row {
	const char *name;
	const char *argument;
	const char *help;
	option_parser *parse;
	size_t field;
	const char *initial;
	const char *implied;
	u64 minimum, maximum;
	const char *const *choices;
	const struct option_row *words;
	option_reader *reader;
	bool required, positional;
};

struct option_status {
	int status;
	const char *meaning;	/* NULL ends the table */
};

/**
 * struct command - one command of thv.
 * @name, @summary: for the list of commands.
 * @details: paragraphs for its own help, after the options; may be NULL.
 * @options: its rows; --help needs none.
 * @statuses: its exit statuses.
 * @values_size: size of the struct the rows fill.
 * @run: gets that struct; returns the exit status. On EXIT_ERROR the error text is printed.
 */
struct command {
	const char *name;
	const char *summary;
	const char *details;
	const struct option_row *options;
	const struct option_status *statuses;
	size_t values_size;
	int (*run)(void *values);
};

/* row->parse() on a text that may go away then. 0, or -1 with the error text */
int option_take_copy(const struct option_row *row, const char *text, void *values);

#define STATUS_USAGE	2	/* for every command: the command line is at fault */

enum options_result {
	OPTIONS_OK,
	OPTIONS_HELP,		/* help was asked for */
	OPTIONS_WRONG,		/* the error text says what */
};

/* argv[0] is the command's name. Fills values (zeroed by the caller). */
enum options_result options_parse(const struct command *command, int argc, char **argv,
				  void *values);

/**
 * options_parse_words() - an argument that is a list of its own: "path=a.img,ro,size=64M".
 * @option: the option's name without the dashes, for errors.
 * @text: the argument. A comma within a value is written twice.
 * @rows: what words there are, as for a command: those with option_flag stand alone, the
 *	others have a value after '=' (or none, where a row has @implied).
 * @values: the struct that @rows fills, zeroed by the caller. Texts in it are copies that
 *	are never freed.
 *
 * Return: 0, or -1 with the error text, which names the option and the word.
 */
int options_parse_words(const char *option, const char *text, const struct option_row *rows,
			void *values);

void options_help(const struct command *command, FILE *file);

/* "Usage: thv NAME ..." without an end of line */
void options_usage(const struct command *command, FILE *file);

/* Print text after a left column of the given width, wrapped to the screen */
void options_wrap(FILE *file, const char *left, int width, const char *text);

#endif
