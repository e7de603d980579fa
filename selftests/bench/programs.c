// SPDX-License-Identifier: GPL-2.0-only
/*
 * Three programs: one that computes, one that calls the kernel, one that does I/O. On the host it prints what each
 * takes, as rows; as the first process of a Linux guest it tells its hypervisor where it is, by a port.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/io.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <x86intrin.h>
#include "layout.h"

#define ROUNDS		5000000
#define CALLS		20000
#define ACCESSES	2000

static void compute(void)
{
	volatile unsigned long result;
	unsigned long value = 1;
	int i;

	for (i = 0; i < ROUNDS; i++)
		value = value * 6364136223846793005UL + 1442695040888963407UL;
	result = value;
	(void)result;
}

static void call(void)
{
	int i;

	for (i = 0; i < CALLS; i++)
		syscall(SYS_getppid);
}

static void access_device(void)
{
	int i;

	for (i = 0; i < ACCESSES; i++)
		outb(0, PORT_USER);
}

static const struct {
	const char *name;
	void (*run)(void);
} programs[] = { { "compute", compute }, { "calls", call }, { "io", access_device } };

int main(void)
{
	unsigned long long start;
	unsigned int i;

	if (iopl(3))
		return 1;
	if (getpid() == 1)
		outb(0, PORT_MARK);
	for (i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
		start = __rdtsc();
		programs[i].run();
		if (getpid() == 1)
			outb(0, PORT_MARK);
		else
			printf("host\t%s\t%llu\t\n", programs[i].name, __rdtsc() - start);
	}
	if (getpid() == 1)
		outb(0, PORT_DONE);
	return 0;
}
