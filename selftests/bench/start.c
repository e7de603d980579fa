// SPDX-License-Identifier: GPL-2.0-only
/*
 * How long a launcher takes from its start to the guest's first instruction, of which a byte on the launcher's standard
 * output tells (thv's guest writes to a debug console):
 *
 *	start DRIVER ROW TITLE COMMAND...
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
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

/* Ticks, or 0 if it ended without a word */
static unsigned long long start(char **command)
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
		said = __rdtsc() - *begin;
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
	unsigned long long ticks[TIMES];
	int i;

	begin = mmap(NULL, sizeof(*begin), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (argc < 5 || begin == MAP_FAILED)
		return 1;
	for (i = 0; i < TIMES; i++)
		ticks[i] = start(argv + 4);
	qsort(ticks, TIMES, sizeof(ticks[0]), compare);
	if (!ticks[0]) {
		fprintf(stderr, "start: %s: its guest did not start\n", argv[4]);
		return 1;
	}
	printf("%s\t%s\t%llu\t%s\n", argv[1], argv[2], ticks[TIMES / 2], argv[3]);
	return 0;
}
