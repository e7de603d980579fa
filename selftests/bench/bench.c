// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a hypervisor's operations cost, in ticks of the time-stamp counter: on the emulated machine, in
 * instructions. One program for each driver, so that the same is measured in the same way.
 *
 *	bench-thv, bench-kvm [-n SAMPLES] GROUP [ROW...]
 *	bench-thv, bench-kvm start
 *
 * The second is for start.c. The first
 * prints a line for each row of the group: driver, name, figure and title, a tabulator between them. With -n, fewer
 * samples are taken (for a trace, see profile). GROUP says what the host has to be like:
 *
 *	exits		one CPU; the exit path
 *	machines	one CPU
 *	shadow		KVM was loaded with ept=0
 *	linux		one CPU; vmlinuz and guest.cpio are there, and debugfs is mounted
 *	processors	two CPUs
 *	devices		two CPUs
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "bench.h"

static const struct {
	const char *name;
	const struct row *rows;
	u32 flags;
} groups[] = {
	{ "exits", exit_path, 0 },
	{ "machines", machines, 0 },
	{ "shadow", shadow_paging, VM_SHADOW },
	{ "linux", linux_guest, 0 },
	{ "processors", processors, 0 },
	{ "devices", devices, 0 },
	{}
};

void fail(const char *format, ...)
{
	va_list args;

	fprintf(stderr, "bench-%s: ", driver_name);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

int must(int result, const char *what)
{
	if (result < 0)
		fail("%s: %s", what, strerror(errno));
	return result;
}

static bool wanted(const char *name, char **names)
{
	if (!*names)
		return true;
	for (; *names; names++)
		if (!strcmp(*names, name))
			return true;
	return false;
}

static void run(const struct row *row, u32 flags)
{
	struct guest guest = guest_create(flags);

	printf("%s\t%s\t%.0f\t%s\n", driver_name, row->name, row->measure(&guest, row->function), row->title);
	fflush(stdout);
	guest_close(&guest);
}

int main(int argc, char **argv)
{
	const struct row *row;
	int option, i = 0;

	while ((option = getopt(argc, argv, "n:")) != -1) {
		if (option != 'n')
			fail("unknown option");
		most_samples = strtoull(optarg, NULL, 0);
	}
	if (optind == argc)
		fail("no group of rows is named");
	if (!strcmp(argv[optind], "start")) {
		start_least();
		return 0;
	}
	while (groups[i].name && strcmp(groups[i].name, argv[optind]))
		i++;
	if (!groups[i].name)
		fail("there is no group '%s'", argv[optind]);
	for (row = groups[i].rows; row->name; row++)
		if (wanted(row->name, argv + optind + 1))
			run(row, groups[i].flags);
	return 0;
}
