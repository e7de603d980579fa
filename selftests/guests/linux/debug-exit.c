// SPDX-License-Identifier: GPL-2.0-only
/*
 * debug-exit STATUS: write it to the launcher's debug-exit port (thv run --debug-exit).
 *
 * A program of its own because Debian's cloud kernel has no /dev/port, and without a C
 * library because every byte of an initramfs is copied in an emulator inside an emulator.
 */
#include <stddef.h>
#include <sys/syscall.h>

#define DEBUG_EXIT_PORT	0xf4

#ifdef __x86_64__
static long call(long nr, long a, long b, long c)
{
	long result;

	asm volatile("syscall"
		     : "=a" (result)
		     : "a" (nr), "D" (a), "S" (b), "d" (c)
		     : "rcx", "r11", "memory");
	return result;
}

asm(".globl _start\n"
	"_start:\n"
	"	mov %rsp, %rdi\n"
	"	and $-16, %rsp\n"
	"	call start\n");
#else
static long call(long nr, long a, long b, long c)
{
	long result;

	asm volatile("int $0x80"
		     : "=a" (result)
		     : "a" (nr), "b" (a), "c" (b), "d" (c)
		     : "memory");
	return result;
}

asm(".globl _start\n"
	"_start:\n"
	"	mov %esp, %eax\n"
	"	and $-16, %esp\n"
	"	sub $12, %esp\n"
	"	push %eax\n"
	"	call start\n");
#endif

static unsigned char number(const char *text)
{
	unsigned int n = 0;

	while (*text >= '0' && *text <= '9')
		n = n * 10 + (*text++ - '0');
	return n;
}

/* @stack: as the kernel leaves it to a new program: argc, argv[] */
__attribute__((used, noreturn))
static void start(const long *stack)
{
	const char *status = stack[0] > 1 ? (const char *)stack[2] : "0";

	if (!call(SYS_ioperm, DEBUG_EXIT_PORT, 1, 1))
		asm volatile("outb %0, %1" : : "a" (number(status)), "Nd" (DEBUG_EXIT_PORT));
	for (;;)
		call(SYS_exit, 1, 0, 0);
}
