// SPDX-License-Identifier: GPL-2.0-only
/*
 * screen KEYS COMMAND...: run a command on a terminal, a VT100 of 24 lines and 80 columns; type KEYS, one
 * a second; print what is to be seen.
 *
 * Two keys are not typed: "P" prints the screen, with a line above it; "Z" makes it 12 lines of 60
 * columns. The last line of the output is the command's exit status.
 */
#include <errno.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_ROWS 24
#define MAX_COLS 80

static char cell[MAX_ROWS][MAX_COLS];
static struct winsize size = { .ws_row = MAX_ROWS, .ws_col = MAX_COLS };
static int row, col, terminal;

/* ---- the VT100, as much of it as full-screen programs use ---- */

static int within(int value, int end)
{
	return value < 0 ? 0 : value >= end ? end - 1 : value;
}

static void move_to(int r, int c)
{
	row = within(r, size.ws_row);
	col = within(c, size.ws_col);
}

static void blank(int from, int to)
{
	for (; from < to; from++)
		cell[from / MAX_COLS][from % MAX_COLS] = ' ';
}

static void line_feed(void)
{
	if (row < size.ws_row - 1) {
		row++;
		return;
	}
	memmove(cell[0], cell[1], (MAX_ROWS - 1) * MAX_COLS);
	blank(row * MAX_COLS, (row + 1) * MAX_COLS);
}

/* The cursor stays behind the last column until there is another character */
static void put(char c)
{
	if (col == size.ws_col) {
		col = 0;
		line_feed();
	}
	cell[row][col++] = c;
}

/* ED and EL: 0 to the end, 1 from the beginning, 2 all */
static void erase(int how, int begin, int end)
{
	int here = row * MAX_COLS + within(col, size.ws_col);

	blank(how == 0 ? here : begin, how == 1 ? here + 1 : end);
}

static void control_sequence(char final, const int *n)
{
	int one = n[0] ? n[0] : 1;

	switch (final) {
	case 'H': case 'f':
		move_to(one - 1, n[1] ? n[1] - 1 : 0);
		break;
	case 'A':
		move_to(row - one, col);
		break;
	case 'B':
		move_to(row + one, col);
		break;
	case 'C':
		move_to(row, col + one);
		break;
	case 'D':
		move_to(row, col - one);
		break;
	case 'J':
		erase(n[0], 0, MAX_ROWS * MAX_COLS);
		break;
	case 'K':
		erase(n[0], row * MAX_COLS, (row + 1) * MAX_COLS);
		break;
	}
}

/* ESC was read; what follows it, byte by byte. false: that was all */
static bool escaped(char c)
{
	static enum { START, CHARSET, CONTROL } state;
	static int n[2], at;

	if (state == CONTROL) {
		if (c >= '0' && c <= '9' && at < 2)
			n[at] = n[at] * 10 + c - '0';
		else if (c == ';')
			at++;
		if (c < '@')
			return true;
		control_sequence(c, n);
	} else if (state == START && (c == '[' || c == '(' || c == ')')) {
		state = c == '[' ? CONTROL : CHARSET;
		n[0] = n[1] = at = 0;
		return true;
	}
	state = START;
	return false;
}

static void take(char c)
{
	static bool in_escape;

	if (in_escape)
		in_escape = escaped(c);
	else if (c == '\033')
		in_escape = true;
	else if (c == '\r')
		col = 0;
	else if (c == '\n')
		line_feed();
	else if (c == '\b')
		move_to(row, col - 1);
	else if (c == '\t')
		move_to(row, (col | 7) + 1);
	else if (c >= ' ')
		put(c);
}

/* ---- the person before it ---- */

/* What is written within that time. false: the command has ended */
static bool look(int ms)
{
	struct pollfd poll_fd = { .fd = terminal, .events = POLLIN };
	char buffer[4096];
	ssize_t n, i;

	while (poll(&poll_fd, 1, ms) > 0) {
		n = read(terminal, buffer, sizeof(buffer));
		if (n <= 0)
			return false;
		for (i = 0; i < n; i++)
			take(buffer[i]);
		ms = 100;	/* the rest of it follows at once */
	}
	return true;
}

static void print_screen(void)
{
	int r, c;

	printf("---- %ux%u\n", size.ws_row, size.ws_col);
	for (r = 0; r < size.ws_row; r++) {
		for (c = size.ws_col; c && cell[r][c - 1] == ' '; c--)
			;
		printf("%.*s\n", c, cell[r]);
	}
}

static void press(char key)
{
	if (key == 'P') {
		print_screen();
	} else if (key == 'Z') {
		size.ws_row = 12;
		size.ws_col = 60;
		ioctl(terminal, TIOCSWINSZ, &size);
	} else if (write(terminal, &key, 1) != 1) {
		perror("screen");
	}
}

int main(int argc, char **argv)
{
	const char *key;
	int status;
	pid_t pid;

	if (argc < 3) {
		fprintf(stderr, "usage: screen KEYS COMMAND...\n");
		return 2;
	}
	blank(0, MAX_ROWS * MAX_COLS);
	pid = forkpty(&terminal, NULL, NULL, &size);
	if (!pid) {
		setenv("TERM", "vt100", 1);
		execvp(argv[2], argv + 2);
		_exit(127);
	}
	for (key = argv[1]; *key && look(1000); key++)
		press(*key);
	while (look(10000))
		kill(pid, SIGKILL);	/* it was to end by itself */
	waitpid(pid, &status, 0);
	print_screen();
	printf("status %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	return 0;
}
