// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which kind of thread may call what: one table, out of which libseccomp makes a filter
 * for each kind. Whatever is not in it is trapped (sandbox.h). Arguments that are looked
 * at are numbers: what a pointer points to can change after the look.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <thv.h>

#include "lib/error.h"
#include "vmm/sandbox.h"

enum {
	MAIN	= 1 << THREAD_MAIN,
	VCPU	= 1 << THREAD_VCPU,
	DEVICE	= 1 << THREAD_DEVICE,
	NETWORK	= 1 << THREAD_NETWORK,
	WORKER	= DEVICE | NETWORK,
	LOOP	= MAIN | WORKER,	/* runs events_run() */
	ALL	= LOOP | VCPU,
};

#define MOST	0x100000	/* of a filter's instructions in bytes; they are a few thousand */

/* ---- how much of a call is allowed ---------------------------------------- */

static int add(void *filter, const struct sandbox_call *call, u32 count,
	       const struct scmp_arg_cmp *arguments)
{
	return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, call->number, count, arguments);
}

static int any(void *filter, const struct sandbox_call *call, enum thread_kind kind)
{
	(void)kind;
	return add(filter, call, 0, NULL);
}

/* For libraries and for us alike: those who try it can go on without */
static int refused(void *filter, const struct sandbox_call *call, enum thread_kind kind)
{
	(void)kind;
	return seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), call->number, 0);
}

/* mmap() and mprotect(): no code but what is there */
static int no_code(void *filter, const struct sandbox_call *call, enum thread_kind kind)
{
	struct scmp_arg_cmp protection = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);

	(void)kind;
	return add(filter, call, 1, &protection);
}

/* Signals: to our own threads */
static int own_threads(void *filter, const struct sandbox_call *call, enum thread_kind kind)
{
	struct scmp_arg_cmp group = SCMP_A0(SCMP_CMP_EQ, getpid());

	(void)kind;
	return add(filter, call, 1, &group);
}

/* send(), not sendto(): along a connection */
static int no_address(void *filter, const struct sandbox_call *call, enum thread_kind kind)
{
	struct scmp_arg_cmp address = SCMP_A4(SCMP_CMP_EQ, 0);

	(void)kind;
	return add(filter, call, 1, &address);
}

/* A socket's, which a switch makes larger for who joins */
static int send_buffer(void *filter, const struct sandbox_call *call, enum thread_kind kind)
{
	struct scmp_arg_cmp option[] = {
		SCMP_A1(SCMP_CMP_EQ, SOL_SOCKET), SCMP_A2(SCMP_CMP_EQ, SO_SNDBUF),
	};

	(void)kind;
	return add(filter, call, ARRAY_SIZE(option), option);
}

static int read_only(void *filter, const struct sandbox_call *call, enum thread_kind kind)
{
	struct scmp_arg_cmp flags = SCMP_A2(SCMP_CMP_MASKED_EQ,
					    O_ACCMODE | O_CREAT | O_TRUNC | O_PATH | __O_TMPFILE, O_RDONLY);

	(void)kind;
	return add(filter, call, 1, &flags);
}

/* Sockets for the Internet: not those that lead to other processes here, or to the kernel */
static int internet(void *filter, const struct sandbox_call *call, enum thread_kind kind)
{
	static const int families[] = { AF_INET, AF_INET6 }, types[] = { SOCK_STREAM, SOCK_DGRAM };
	size_t i, j;

	(void)kind;
	for (i = 0; i < ARRAY_SIZE(families); i++) {
		for (j = 0; j < ARRAY_SIZE(types); j++) {
			struct scmp_arg_cmp arguments[] = {
				SCMP_A0(SCMP_CMP_EQ, families[i]),
				SCMP_A1(SCMP_CMP_MASKED_EQ, ~(SOCK_CLOEXEC | SOCK_NONBLOCK), types[j]),
			};

			if (add(filter, call, ARRAY_SIZE(arguments), arguments))
				return -1;
		}
	}
	return 0;
}

/*
 * libslirp asks for one when the guest pings somebody and the host lets its users have no ping
 * sockets (net.ipv4.ping_group_range). It goes on without; so a guest cannot end itself by that.
 */
static int raw_refused(void *filter, const struct sandbox_call *call, enum thread_kind kind)
{
	const struct scmp_arg_cmp arguments[] = {
		SCMP_A0(SCMP_CMP_EQ, AF_INET),
		SCMP_A1(SCMP_CMP_MASKED_EQ, ~(SOCK_CLOEXEC | SOCK_NONBLOCK), SOCK_RAW),
	};

	(void)kind;
	return seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(EPERM), call->number, ARRAY_SIZE(arguments),
				      arguments);
}

/* Not F_SETOWN, whose signals would go to others, nor leases */
static int flags_only(void *filter, const struct sandbox_call *call, enum thread_kind kind)
{
	static const int commands[] = { F_GETFL, F_SETFL, F_GETFD, F_SETFD };
	size_t i;

	(void)kind;
	for (i = 0; i < ARRAY_SIZE(commands); i++) {
		struct scmp_arg_cmp command = SCMP_A1(SCMP_CMP_EQ, commands[i]);

		if (add(filter, call, 1, &command))
			return -1;
	}
	return 0;
}

/*
 * Of /dev/thv what the machine does while it runs: no VM is made or opened any more, no
 * memory given to one. Of a terminal its mode, which any thread restores when it ends the
 * process; not what types into it (TIOCSTI).
 */
static const struct {
	unsigned long request;
	u32 kinds;
} requests[] = {
	{ THV_RUN,		VCPU },
	{ THV_SIGNAL_MSI,	ALL },
	{ THV_GET_STATE,	MAIN | VCPU },
	{ THV_SET_STATE,	MAIN | VCPU },
	{ THV_TRANSLATE,	MAIN | VCPU },
	{ THV_APIC_ACCESS,	VCPU },
	{ THV_INTERRUPT,	ALL },
	{ THV_NMI,		ALL },
	{ THV_IRQFD,		ALL },
	{ THV_IOEVENTFD,	ALL },
	{ THV_EXPLAIN,		MAIN | VCPU },
	{ THV_DEBUG_GUEST,	MAIN | VCPU },
	{ THV_GET_STATS,	MAIN },
	{ THV_GET_LEDGER,	MAIN },
	{ TCGETS,		ALL },
	{ TCSETS,		ALL },
	{ TCSETSW,		ALL },
	{ TIOCGWINSZ,		LOOP },
	{ FIONREAD,		LOOP },
	{ FIONBIO,		NETWORK },
	{ BLKDISCARD,		DEVICE },
	{ BLKZEROOUT,		DEVICE },
};

static int listed(void *filter, const struct sandbox_call *call, enum thread_kind kind)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(requests); i++) {
		struct scmp_arg_cmp request = SCMP_A1(SCMP_CMP_EQ, requests[i].request);

		if (requests[i].kinds & 1u << kind && add(filter, call, 1, &request))
			return -1;
	}
	return 0;
}

/* ---- the table ------------------------------------------------------------ */

const struct sandbox_call sandbox_calls[] = {
	/* Descriptors that are open */
	{ SCMP_SYS(ioctl),		ALL, listed },
	{ SCMP_SYS(read),		ALL, any },
	{ SCMP_SYS(write),		ALL, any },
	{ SCMP_SYS(readv),		ALL, any },
	{ SCMP_SYS(writev),		ALL, any },
	{ SCMP_SYS(close),		ALL, any },
	{ SCMP_SYS(poll),		ALL, any },
	{ SCMP_SYS(ppoll),		LOOP, any },
	{ SCMP_SYS(fcntl),		LOOP, flags_only },
	{ SCMP_SYS(epoll_ctl),		ALL, any },
	{ SCMP_SYS(epoll_wait),		LOOP, any },
	{ SCMP_SYS(epoll_pwait),	LOOP, any },
	{ SCMP_SYS(timerfd_settime),	ALL, any },
	{ SCMP_SYS(timerfd_gettime),	ALL, any },

	/* Sockets that are there: a debugger's, a console's, a switch's */
	{ SCMP_SYS(accept4),		LOOP, any },
	{ SCMP_SYS(recvfrom),		LOOP, any },
	{ SCMP_SYS(recvmsg),		LOOP, any },
	{ SCMP_SYS(sendmsg),		LOOP, any },
	{ SCMP_SYS(sendto),		MAIN | DEVICE, no_address },
	{ SCMP_SYS(setsockopt),		MAIN | NETWORK, any },
	{ SCMP_SYS(setsockopt),		DEVICE, send_buffer },
	{ SCMP_SYS(shutdown),		WORKER, any },

	/* Disks, and what is random */
	{ SCMP_SYS(pread64),		WORKER, any },
	{ SCMP_SYS(pwrite64),		WORKER, any },
	{ SCMP_SYS(preadv),		WORKER, any },
	{ SCMP_SYS(pwritev),		WORKER, any },
	{ SCMP_SYS(preadv2),		WORKER, any },
	{ SCMP_SYS(pwritev2),		WORKER, any },
	{ SCMP_SYS(lseek),		WORKER, any },
	{ SCMP_SYS(fsync),		DEVICE, any },
	{ SCMP_SYS(fdatasync),		DEVICE, any },
	{ SCMP_SYS(fallocate),		DEVICE, any },
	{ SCMP_SYS(io_uring_enter),	DEVICE, any },
	{ SCMP_SYS(getrandom),		WORKER, any },

	/* Connections of the guest's (libslirp), and the file that names the name servers */
	{ SCMP_SYS(socket),		NETWORK, internet },
	{ SCMP_SYS(socket),		NETWORK, raw_refused },
	{ SCMP_SYS(connect),		NETWORK, any },
	{ SCMP_SYS(bind),		NETWORK, any },
	{ SCMP_SYS(listen),		NETWORK, any },
	{ SCMP_SYS(accept),		NETWORK, any },
	{ SCMP_SYS(sendto),		NETWORK, any },
	{ SCMP_SYS(getsockopt),		NETWORK, any },
	{ SCMP_SYS(getsockname),	NETWORK, any },
	{ SCMP_SYS(getpeername),	NETWORK, any },
	{ SCMP_SYS(openat),		NETWORK, read_only },
	{ SCMP_SYS(newfstatat),		NETWORK, any },
	{ SCMP_SYS(fstat),		NETWORK, any },

	/* Memory */
	{ SCMP_SYS(brk),		ALL, any },
	{ SCMP_SYS(mmap),		ALL, no_code },
	{ SCMP_SYS(mprotect),		ALL, no_code },
	{ SCMP_SYS(munmap),		ALL, any },
	{ SCMP_SYS(mremap),		ALL, any },
	{ SCMP_SYS(madvise),		ALL, any },

	/* Threads and time. sched_getaffinity: malloc() asks how many processors there are */
	{ SCMP_SYS(futex),		ALL, any },
	{ SCMP_SYS(sched_yield),	ALL, any },
	{ SCMP_SYS(sched_getaffinity),	ALL, any },
	{ SCMP_SYS(getpid),		ALL, any },
	{ SCMP_SYS(gettid),		ALL, any },
	{ SCMP_SYS(tgkill),		ALL, own_threads },
	{ SCMP_SYS(rt_sigprocmask),	ALL, any },
	{ SCMP_SYS(rt_sigpending),	LOOP, any },
	{ SCMP_SYS(rt_sigreturn),	ALL, any },
	{ SCMP_SYS(restart_syscall),	ALL, any },
	{ SCMP_SYS(clock_gettime),	ALL, any },
	{ SCMP_SYS(clock_nanosleep),	ALL, any },
	{ SCMP_SYS(gettimeofday),	ALL, any },
	{ SCMP_SYS(exit),		ALL, any },
	{ SCMP_SYS(exit_group),		ALL, any },

	/* The end: a socket's path is removed by a process that may (tidy.h), which is waited for */
	{ SCMP_SYS(unlink),		MAIN, refused },
	{ SCMP_SYS(wait4),		MAIN, any },
	{ 0 }
};

/* ---- filters -------------------------------------------------------------- */

/* Made once, while there is one thread; each thread has only to hand its own to the kernel */
static struct sock_fprog filters[THREAD_KINDS];

static int fill(void *filter, enum thread_kind kind)
{
	const struct sandbox_call *call;

	/* 2: a binary tree of numbers. Each exit of a guest that comes to us goes through it. */
	if (seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2) ||
	    seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS))
		return -1;
	for (call = sandbox_calls; call->allow; call++)
		if (call->kinds & 1u << kind && call->allow(filter, call, kind))
			return -1;
	return 0;
}

/* libseccomp writes filters to files only */
static int export(void *filter, struct sock_fprog *program)
{
	int fd = memfd_create("filter", MFD_CLOEXEC);
	ssize_t size = -1;

	program->filter = malloc(MOST);
	if (fd >= 0 && program->filter && !seccomp_export_bpf(filter, fd))
		size = pread(fd, program->filter, MOST, 0);
	if (fd >= 0)
		close(fd);
	program->len = size > 0 ? size / sizeof(struct sock_filter) : 0;
	return size > 0 && size < MOST ? 0 : -1;
}

static int make_filter(enum thread_kind kind)
{
	void *filter = seccomp_init(SCMP_ACT_TRAP);
	int result = filter && !fill(filter, kind) && !export(filter, &filters[kind]) ? 0 : -1;

	if (filter)
		seccomp_release(filter);
	return result;
}

int seccomp_enter(enum thread_kind kind)
{
	if (!syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_LOG, &filters[kind]))
		return 0;
	return error_errno("sandbox: the kernel does not take the filter of system calls");
}

bool seccomp_offered(void)
{
	u32 action = SECCOMP_RET_TRAP;

	return !syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action);
}

/* ---- names ---------------------------------------------------------------- */

static const char *const names[] = {
#include "vmm/syscalls.h"
};

const char *seccomp_call_name(int number)
{
	return number >= 0 && number < (int)ARRAY_SIZE(names) && names[number] ? names[number] : "an unknown system call";
}

int seccomp_prepare(u32 kinds)
{
	int kind;

	if (!seccomp_offered())
		return error_set("this kernel has no seccomp filters, which keep a broken guest from the host; start it with a kernel that has, or use --sandbox off at your own risk");
	for (kind = 0; kind < THREAD_KINDS; kind++)
		if (kinds & 1u << kind && make_filter(kind))
			return error_set("sandbox: no filter can be made of the table; a bug in thv, please report it");
	return 0;
}
