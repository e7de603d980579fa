// SPDX-License-Identifier: GPL-2.0-only
/*
 * $(exit N) for the Makefile: make ends with status N.
 *
 * make itself answers every failure with 2, and "make run RUN=..." is to exit as its
 * command does. GNU make loads this ("load" in its manual); without it, 2 it is.
 */
#include <stdlib.h>

#include <gnumake.h>

int plugin_is_GPL_compatible;

static char *leave(const char *name, unsigned int argc, char **argv)
{
	(void)name;
	(void)argc;
	exit(atoi(argv[0]));
}

/* make looks for this name: the file's, without what is no letter, and "_gmk_setup" */
int status_gmk_setup(void);

int status_gmk_setup(void)
{
	gmk_add_function("exit", leave, 1, 1, GMK_FUNC_DEFAULT);
	return 1;
}
