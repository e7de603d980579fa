// SPDX-License-Identifier: GPL-2.0-only
/*
 * The process that tidies up: forked when there is something to remove, told the paths in
 * messages through a pair of sockets, and woken by its end of the pair when the
 * launcher's, which nobody else has, is closed.
 */
#include "vmm/tidy.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/error.h"
#include "lib/types.h"

#define PATHS	80	/* a machine has few sockets, but a switch may have more */
#define LAST	""	/* a message: no path comes after it */

struct path {
	char text[4096];
	dev_t device;
	ino_t inode;
};

static int launcher = -1;	/* its end of the pair */
static pid_t child;

/* ---- the process that tidies up --------------------------------------------- */

static void note(struct path *path)
{
	struct stat status;

	if (lstat(path->text, &status))
		return;
	path->device = status.st_dev;
	path->inode = status.st_ino;
}

static void remove_all(const struct path *path, u32 count)
{
	struct stat status;

	for (; count--; path++)
		if (!lstat(path->text, &status) && status.st_dev == path->device &&
		    status.st_ino == path->inode)
			unlink(path->text);
}

static void wait_for_end(int fd)
{
	struct pollfd wait = { .fd = fd };

	while (poll(&wait, 1, -1) < 0 || !(wait.revents & POLLHUP))
		;
}

static void serve(int fd)
{
	static struct path path[PATHS];
	u32 count = 0;
	ssize_t got;

	while (count < PATHS) {
		got = recv(fd, path[count].text, sizeof(path[count].text) - 1, 0);
		if (got <= 0 || !path[count].text[0])
			break;
		note(&path[count++]);
	}
	wait_for_end(fd);
	remove_all(path, count);
}

/* Nothing of the launcher's stays open here: its end would not be seen, here and elsewhere */
static void tidy(int fd)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	prctl(PR_SET_NAME, "thv-tidy", 0, 0, 0);
	if (dup2(fd, STDIN_FILENO) < 0 || close_range(STDIN_FILENO + 1, ~0U, 0))
		_exit(1);
	serve(STDIN_FILENO);
	_exit(0);
}

/* ---- the launcher ----------------------------------------------------------- */

static int start(void)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return error_errno("making a pair of sockets");
	child = fork();
	if (!child)
		tidy(pair[1]);
	close(pair[1]);
	launcher = pair[0];
	return child < 0 ? error_errno("starting a process") : 0;
}

static int tell(const char *text)
{
	return send(launcher, text, strlen(text) + 1, MSG_NOSIGNAL) < 0 ? -1 : 0;
}

/* The folder may be named from where we are, which is where the process is, too */
int tidy_remove(const char *path)
{
	if (launcher < 0 && start())
		return -1;
	return tell(path) ? error_errno("having %s removed in the end", path) : 0;
}

void tidy_close(void)
{
	if (launcher >= 0)
		tell(LAST);
}

void tidy_finish(void)
{
	if (launcher < 0)
		return;
	close(launcher);
	launcher = -1;
	waitpid(child, NULL, 0);
}
