// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a launcher takes from its start to the guest's first instruction, of which a byte on the launcher's standard
 * output tells (thv's guest writes to a debug console): ticks, or KiB of memory that is its own alone at that
 * moment, not counting the guest's (a memfd called thv-*):
 *
 *	start ticks|memory DRIVER ROW TITLE COMMAND...
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <x86intrin.h>

#define TIMES	5

static unsigned long long *begin;	/* when the child went into exec() */

static void __attribute__((noreturn)) child(int out, char **command)
{
	dup2(out, STDOUT_FILENO);
	*begin = __rdtsc();
	execv(command[0], command);
	perror(command[0]);
	_exit(1);
}

static unsigned long long ticks(pid_t pid __attribute__((unused)))
{
	return __rdtsc() - *begin;
}

/* One mapping after the other: a line with its name, then what there is of it, clean and dirty */
static unsigned long long memory(pid_t pid)
{
	unsigned long long kib, sum = 0;
	char path[32], line[512];
	int guests = 0;
	FILE *smaps;

	snprintf(path, sizeof(path), "/proc/%d/smaps", pid);
	smaps = fopen(path, "r");
	while (smaps && fgets(line, sizeof(line), smaps)) {
		if (strchr(line, '-') && strchr(line, '-') < strchr(line, ' '))
			guests = strstr(line, "/memfd:thv-") != NULL;
		else if (!guests && (sscanf(line, "Private_Clean: %llu", &kib) == 1 ||
				     sscanf(line, "Private_Dirty: %llu", &kib) == 1))
			sum += kib;
	}
	if (smaps)
		fclose(smaps);
	return sum;
}

static const struct {
	const char *name;
	unsigned long long (*of)(pid_t pid);
} figures[] = { { "ticks", ticks }, { "memory", memory } };

/* A figure, or 0 if it ended without a word */
static unsigned long long start(unsigned long long (*figure)(pid_t pid), char **command)
{
	unsigned long long said = 0;
	int ends[2];
	char byte;
	pid_t pid;

	if (pipe(ends))
		return 0;
	pid = fork();
	if (!pid)
		child(ends[1], command);
	close(ends[1]);
	if (read(ends[0], &byte, 1) == 1)
		said = figure(pid);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(ends[0]);
	return said;
}

static int compare(const void *a, const void *b)
{
	const unsigned long long *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

int main(int argc, char **argv)
{
	unsigned long long (*figure)(pid_t pid) = NULL, values[TIMES];
	size_t n;
	int i;

	for (n = 0; argc > 5 && n < sizeof(figures) / sizeof(figures[0]); n++)
		if (!strcmp(argv[1], figures[n].name))
			figure = figures[n].of;
	begin = mmap(NULL, sizeof(*begin), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (!figure || begin == MAP_FAILED)
		return 1;
	for (i = 0; i < TIMES; i++)
		values[i] = start(figure, argv + 5);
	qsort(values, TIMES, sizeof(values[0]), compare);
	if (!values[0]) {
		fprintf(stderr, "start: %s: its guest did not start\n", argv[5]);
		return 1;
	}
	printf("%s\t%s\t%llu\t%s\n", argv[2], argv[3], values[TIMES / 2], argv[4]);
	return 0;
}
