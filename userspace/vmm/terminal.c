// SPDX-License-Identifier: GPL-2.0-only
/*
 * Raw mode and the escape key. There is one terminal, so its state is static;
 * terminal_restore() may be called from a signal handler.
 */
#include "vmm/terminal.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "lib/error.h"

#define ESCAPE	0x01	/* Ctrl-A */

static struct termios saved, raw;
static volatile sig_atomic_t terminal = -1;

/* SIGTTOU would stop us if we are in the background by now */
static void set(int fd, const struct termios *mode)
{
	sigset_t block, old;

	sigemptyset(&block);
	sigaddset(&block, SIGTTOU);
	pthread_sigmask(SIG_BLOCK, &block, &old);
	tcsetattr(fd, TCSADRAIN, mode);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

void terminal_restore(void)
{
	int fd = terminal;

	terminal = -1;
	if (fd >= 0)
		set(fd, &saved);
}

void terminal_suspend(void)
{
	if (terminal >= 0)
		set(terminal, &saved);
}

void terminal_resume(void)
{
	if (terminal >= 0)
		set(terminal, &raw);
}

/* Ways out that no one else sees: our own crash. The handler is one-shot. */
static void crashed(int signal)
{
	terminal_restore();
	raise(signal);
}

static void catch_crashes(void)
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS,
				       SIGXCPU, SIGXFSZ };
	struct sigaction action = { .sa_handler = crashed, .sa_flags = SA_RESETHAND | SA_NODEFER };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(signals); i++)
		sigaction(signals[i], &action, NULL);
}

int terminal_raw(int fd)
{
	if (tcgetattr(fd, &saved))
		return error_errno("asking for the terminal's mode");
	raw = saved;
	cfmakeraw(&raw);
	catch_crashes();
	atexit(terminal_restore);
	terminal = fd;
	if (tcsetattr(fd, TCSANOW, &raw))
		return error_errno("setting the terminal's mode");
	return 0;
}

/* ---- the escape key ----------------------------------------------------- */

static enum terminal_key help(void)
{
	fputs("\r\n"
	      "Ctrl-A x       end the VM, at once\r\n"
	      "Ctrl-A b       send a break (Linux: SysRq)\r\n"
	      "Ctrl-A Ctrl-A  send Ctrl-A\r\n"
	      "Ctrl-A h       this help\r\n", stderr);
	return TERMINAL_NOTHING;
}

static enum terminal_key end(void)
{
	return TERMINAL_END;
}

static enum terminal_key line_break(void)
{
	return TERMINAL_BREAK;
}

static enum terminal_key text(void)
{
	return TERMINAL_TEXT;
}

static const struct {
	u8 byte;
	enum terminal_key (*act)(void);
} keys[] = {
	{ 'x', end },
	{ 'b', line_break },
	{ 'h', help },
	{ '?', help },
	{ ESCAPE, text },
};

enum terminal_key terminal_key(bool *escaped, u8 byte)
{
	size_t i;

	if (!*escaped) {
		*escaped = byte == ESCAPE;
		return *escaped ? TERMINAL_NOTHING : TERMINAL_TEXT;
	}
	*escaped = false;
	for (i = 0; i < ARRAY_SIZE(keys); i++)
		if (keys[i].byte == byte)
			return keys[i].act();
	return TERMINAL_NOTHING;
}
