// SPDX-License-Identifier: GPL-2.0-only
/*
 * thv: the command line. The table of commands, and what goes for all of them:
 * finding the command, parsing its options, its help, its errors.
 */
#include <stdlib.h>
#include <string.h>

#include "cmd/commands.h"
#include "lib/device.h"
#include "lib/error.h"
#include "lib/manual.h"

static const struct command *const commands[] = {
	&cmd_check, &cmd_run, &cmd_switch,
	&cmd_list, &cmd_show, &cmd_events, &cmd_wait,
	&cmd_pause, &cmd_resume, &cmd_stop, &cmd_kill, &cmd_nmi,
	&cmd_stat, &cmd_top, &cmd_trace,
	&cmd_walk, &cmd_dump, &cmd_mem,
};

static void help(FILE *file)
{
	char left[32];
	size_t i;

	fprintf(file, "Usage: thv COMMAND [OPTION...]\n\n"
		"thv runs guests on the thv module, a teaching hypervisor for Linux.\n\n"
		"Commands:\n");
	for (i = 0; i < ARRAY_SIZE(commands); i++) {
		snprintf(left, sizeof(left), "  %s", commands[i]->name);
		options_wrap(file, left, 12, commands[i]->summary);
	}
	fprintf(file, "\n`thv COMMAND --help` tells its options and exit statuses.\n"
		"`thv --version` tells the version.\n");
}

static int say_help(void)
{
	help(stdout);
	return 0;
}

static int say_version(void)
{
	printf("thv %s, interface version %u\n", THV_VERSION, THV_API_VERSION);
	return 0;
}

static int say_manual(void)
{
	manual_commands(commands, ARRAY_SIZE(commands), stdout);
	return 0;
}

static int say_completion(void)
{
	manual_completion(commands, ARRAY_SIZE(commands), stdout);
	return 0;
}

/* The last two are for the build */
static const struct {
	const char *word;
	int (*say)(void);
} words[] = {
	{ "--help", say_help },
	{ "-h", say_help },
	{ "help", say_help },
	{ "--version", say_version },
	{ "--manual", say_manual },
	{ "--completion", say_completion },
};

static int fail(const struct command *command, int status)
{
	fflush(stdout);
	fprintf(stderr, "thv %s: %s\n", command->name, error_text());
	return status;
}

static int run(const struct command *command, int argc, char **argv)
{
	void *values = calloc(1, command->values_size);
	int status;

	if (!values)
		return STATUS_ERROR;
	switch (options_parse(command, argc, argv, values)) {
	case OPTIONS_HELP:
		options_help(command, stdout);
		status = 0;
		break;
	case OPTIONS_WRONG:
		status = fail(command, STATUS_USAGE);
		break;
	default:
		status = command->run(values);
	}
	free(values);
	return status;
}

int main(int argc, char **argv)
{
	size_t i;

	if (argc < 2) {
		help(stderr);
		return STATUS_USAGE;
	}
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(commands[i]->name, argv[1]))
			return run(commands[i], argc - 1, argv + 1);
	for (i = 0; i < ARRAY_SIZE(words); i++)
		if (!strcmp(words[i].word, argv[1]))
			return words[i].say();
	fprintf(stderr, "thv: %s: no such command; `thv --help` lists them\n", argv[1]);
	return STATUS_USAGE;
}
