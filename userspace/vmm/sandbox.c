// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the process gives up, in the order in which it still can: namespaces need one
 * thread and capabilities, Landlock and filters need no_new_privs, and what is dropped
 * now no later thread has. There is one process, so the state is static.
 */
#include "vmm/sandbox.h"

#include <dirent.h>
#include <linux/capability.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/error.h"
#include "vmm/terminal.h"

#define ROOM		64	/* descriptors to come: a debugger's, a console's */
#define NETWORK_ROOM	1024	/* ... and the guest's connections */

static bool closed;
static int end_status;
static __thread char thread_name[16];

/* ---- a call that is not allowed -------------------------------------------- */

static void say(const char *text)
{
	if (write(STDERR_FILENO, text, strlen(text)) < 0)
		return;		/* nobody listens; the status tells */
}

/* The call was not made, and that is all that is known of this thread: nothing goes on */
static void violated(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)context;
	terminal_restore();
	say("thv run: the sandbox has ended the guest: the thread ");
	say(thread_name);
	say(" called ");
	say(seccomp_call_name(info->si_syscall));
	say(", which it has no need to. Either the guest has got hold of the launcher, or thv or a library lacks a row in its table of calls: please report it. --sandbox off runs the guest without, if you trust it\n");
	_exit(end_status);
}

static int catch_violations(void)
{
	struct sigaction action = { .sa_sigaction = violated, .sa_flags = SA_SIGINFO };

	return sigaction(SIGSYS, &action, NULL) ? error_errno("sandbox") : 0;
}

/* ---- rights --------------------------------------------------------------- */

/* The bounding set, too, while there is the right to; what is in no set is not missed */
static int drop_capabilities(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };
	int capability;

	for (capability = 0; !prctl(PR_CAPBSET_DROP, capability, 0, 0, 0); capability++)
		;
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (syscall(SYS_capset, &header, none))
		return error_errno("sandbox: dropping capabilities");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return error_errno("sandbox: no_new_privs");
	return 0;
}

/* The highest descriptor in use; what comes later is in addition to all those */
static int last_descriptor(void)
{
	DIR *list = opendir("/proc/self/fd");
	struct dirent *entry;
	int last = -1;

	while (list && (entry = readdir(list)))
		if (atoi(entry->d_name) > last)
			last = atoi(entry->d_name);
	if (list)
		closedir(list);
	return last;
}

static void lower(int resource, rlim_t most)
{
	struct rlimit limit;

	if (getrlimit(resource, &limit))
		return;
	if (limit.rlim_max > most)
		limit.rlim_max = most;
	if (limit.rlim_cur > limit.rlim_max)
		limit.rlim_cur = limit.rlim_max;
	setrlimit(resource, &limit);
}

/*
 * No core: it would hold the guest's secrets. Not RLIMIT_NPROC: it counts what its user
 * runs anywhere, and the kernel's own helpers of io_uring; no filter has clone() anyway.
 */
static void limit_resources(const struct sandbox_plan *plan)
{
	int last = last_descriptor();

	lower(RLIMIT_CORE, 0);
	if (last >= 0)
		lower(RLIMIT_NOFILE, last + 1 + (plan->network ? NETWORK_ROOM : ROOM));
}

/* ---- closing -------------------------------------------------------------- */

int sandbox_read_file(struct sandbox_plan *plan, const char *path)
{
	if (plan->count == SANDBOX_FILES)
		return error_set("sandbox: %s is one file too many", path);
	plan->files[plan->count++] = path;
	return 0;
}

int sandbox_keep_network(struct sandbox_plan *plan)
{
	if (plan->network)
		return 0;
	plan->network = true;
	return sandbox_read_file(plan, "/etc/resolv.conf");
}

int sandbox_close(const struct sandbox_plan *plan, int status)
{
	tzset();	/* else gmtime() opens the time zone's file when the guest asks for the time */
	/* Else free() opens /proc/sys/vm/overcommit_memory before it gives a thread's heap back */
	mallopt(M_ARENA_MAX, 1);
	end_status = status;
	if (seccomp_prepare(plan->kinds | 1u << THREAD_MAIN) || catch_violations())
		return -1;
	limit_resources(plan);
	namespaces_leave(plan);
	if (drop_capabilities() || landlock_close(plan))
		return -1;
	/* Nobody of this user looks into it or takes it over; and /proc/PID is root's */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		return error_errno("sandbox");
	closed = true;
	return 0;
}

int sandbox_enter(enum thread_kind kind, const char *name)
{
	if (!closed)
		return 0;
	strncpy(thread_name, name, sizeof(thread_name) - 1);
	return seccomp_enter(kind);
}

/* ---- what there is --------------------------------------------------------- */

/* Tried in a process that ends at once: whoever is in a namespace does not get out again */
static bool try_namespaces(void)
{
	static const struct sandbox_plan plan;
	pid_t child = fork();
	int status;

	if (!child)
		_exit(!namespaces_leave(&plan));
	return child > 0 && waitpid(child, &status, 0) == child && !status;
}

void sandbox_offer(struct sandbox_offer *offer)
{
	*offer = (struct sandbox_offer){
		.seccomp = seccomp_offered(),
		.landlock = landlock_version(),
		.namespaces = try_namespaces(),
	};
}
