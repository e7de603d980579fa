// SPDX-License-Identifier: GPL-2.0-only
// sources: userspace/vmm/sandbox.c userspace/vmm/seccomp.c userspace/vmm/landlock.c userspace/vmm/namespaces.c userspace/vmm/terminal.c userspace/lib/error.c
// flags: -fno-sanitize=all
// libs: -lseccomp -fno-sanitize=all
/*
 * The sandbox, from inside: each system call there is, from each kind of thread, by
 * processes that end with it. What they saw is told by how they end. Then what is left
 * of the calls that are allowed in part, and of the file system, the network and rights.
 *
 * Without sanitizers: they make system calls of their own, which no table has.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thv.h>

#include "lib/error.h"
#include "tap.h"
#include "vmm/sandbox.h"

#define CALLS		512	/* 6.18 has 470 */
#define UPROBES(number)	((number) == 335 || (number) == 336)	/* no filter sees them (6.12) */
#define VIOLATED	118
#define FAILED		99
#define ALL_KINDS	((1u << THREAD_KINDS) - 1)

static const char *const kind_names[THREAD_KINDS] = {
	[THREAD_MAIN] = "main",
	[THREAD_VCPU] = "vCPU",
	[THREAD_DEVICE] = "device",
	[THREAD_NETWORK] = "network",
};

static pid_t boxed;	/* the process that closed its sandbox: whose threads may be signalled */

/* ---- processes ------------------------------------------------------------ */

__attribute__((noreturn))
static void leave(int status)
{
	for (;;)
		syscall(SYS_exit_group, status);
}

static int wait_for(pid_t child)
{
	int status = -1;

	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

struct attempt {
	enum thread_kind kind;
	long number;
	long argument[6];
};

/* How the attempt ends: an exit status, or 1000 and the signal */
static int attempt(const struct attempt *try)
{
	const long *a = try->argument;
	pid_t child = fork();
	int status;

	if (!child) {
		alarm(2);	/* for those that wait for something */
		if (sandbox_enter(try->kind, kind_names[try->kind]))
			leave(FAILED);
		syscall(try->number, a[0], a[1], a[2], a[3], a[4], a[5]);
		leave(errno == EPERM ? EPERM : 0);
	}
	status = wait_for(child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

/* In a process whose sandbox is closed, all but the filter; its claims are the test's */
static void in_sandbox(const struct sandbox_plan *plan, void (*test)(void))
{
	typeof(tap) *claims = mmap(NULL, sizeof(tap), PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status;
	pid_t child;

	fflush(stdout);
	child = fork();
	if (!child) {
		boxed = getpid();
		if (sandbox_close(plan, VIOLATED)) {
			printf("# %s\n", error_text());
			exit(1);
		}
		test();
		fflush(stdout);
		*claims = tap;
		_exit(0);
	}
	status = wait_for(child);
	if (!status)
		tap = *claims;
	munmap(claims, sizeof(tap));
	tap_ok(!status, "all that was to be tried in it was (%d)", status);
}

/* ---- each call from each kind --------------------------------------------- */

static const struct sandbox_call *find(enum thread_kind kind, long number)
{
	const struct sandbox_call *call;

	for (call = sandbox_calls; call->allow; call++)
		if (call->number == number && call->kinds & 1u << kind)
			return call;
	return NULL;
}

/* Where only some arguments are allowed: such ones. All others get -1 six times. */
static void choose_arguments(struct attempt *try)
{
	static const struct {
		long number;
		long argument[6];
	} good[] = {
		{ SYS_ioctl, { -1, TCSETSW, 0 } },
		{ SYS_mmap, { 0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0 } },
		{ SYS_mprotect, { 0, 0, PROT_READ } },
		{ SYS_sendto, { -1, 0, 0, 0, 0, 0 } },
		{ SYS_setsockopt, { -1, SOL_SOCKET, SO_SNDBUF, 0, 0 } },
		{ SYS_fcntl, { -1, F_GETFL } },
		{ SYS_socket, { AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0 } },
		{ SYS_openat, { AT_FDCWD, 0, O_RDONLY } },
		{ SYS_exit, { 0 } },
		{ SYS_exit_group, { 0 } },
	};
	size_t i;

	memset(try->argument, -1, sizeof(try->argument));
	for (i = 0; i < ARRAY_SIZE(good); i++)
		if (good[i].number == try->number)
			memcpy(try->argument, good[i].argument, sizeof(try->argument));
	if (try->number == SYS_tgkill)
		memcpy(try->argument, (long []){ boxed, -1, 0, 0, 0, 0 }, sizeof(try->argument));
}

static void every_call(void)
{
	struct attempt try;
	int end, allowed;

	for (try.kind = 0; try.kind < THREAD_KINDS; try.kind++) {
		allowed = 0;
		for (try.number = 0; try.number < CALLS; try.number++) {
			if (UPROBES(try.number))
				continue;
			choose_arguments(&try);
			end = attempt(&try);
			allowed += end != VIOLATED;
			tap_check((end != VIOLATED) == !!find(try.kind, try.number) && end != FAILED,
				  "%s: system call %ld ended as %d", kind_names[try.kind], try.number, end);
		}
		tap_ok(tap_held() && allowed > 20, "a %s thread: of %d system calls, %d pass, those of the table",
		       kind_names[try.kind], CALLS, allowed);
	}
}

/* What a table must never say, whoever edits it */
static void never(void)
{
	static const long numbers[] = {
		SYS_execve, SYS_execveat, SYS_fork, SYS_vfork, SYS_clone, SYS_clone3, SYS_ptrace,
		SYS_process_vm_readv, SYS_process_vm_writev, SYS_kill, SYS_tkill, SYS_rt_sigqueueinfo,
		SYS_rt_tgsigqueueinfo, SYS_pidfd_open, SYS_pidfd_getfd, SYS_pidfd_send_signal, SYS_open,
		SYS_openat2, SYS_open_by_handle_at, SYS_creat, SYS_link, SYS_linkat, SYS_symlink,
		SYS_symlinkat, SYS_rename, SYS_renameat2, SYS_mkdir, SYS_rmdir, SYS_unlinkat, SYS_chmod,
		SYS_fchmod, SYS_fchmodat, SYS_chown, SYS_fchown, SYS_truncate, SYS_mknod, SYS_mount,
		SYS_umount2, SYS_pivot_root, SYS_chroot, SYS_chdir, SYS_fchdir, SYS_open_tree,
		SYS_move_mount, SYS_fsopen, SYS_unshare, SYS_setns, SYS_setuid, SYS_setresuid,
		SYS_setgroups, SYS_capset, SYS_prctl, SYS_arch_prctl, SYS_seccomp, SYS_bpf,
		SYS_perf_event_open, SYS_userfaultfd, SYS_keyctl, SYS_add_key, SYS_request_key,
		SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_kexec_load, SYS_reboot,
		SYS_ioperm, SYS_iopl, SYS_modify_ldt, SYS_personality, SYS_shmget, SYS_shmat, SYS_msgget,
		SYS_semget, SYS_mq_open, SYS_socketpair, SYS_io_uring_setup, SYS_io_uring_register,
		SYS_io_setup, SYS_memfd_create, SYS_pkey_mprotect, SYS_remap_file_pages, SYS_rt_sigaction,
		SYS_sigaltstack, SYS_prlimit64, SYS_setrlimit, SYS_sched_setaffinity, SYS_splice, SYS_tee,
		SYS_vmsplice, SYS_name_to_handle_at, SYS_fanotify_init, SYS_inotify_init1, SYS_setsid,
		SYS_vhangup, SYS_acct, SYS_quotactl, SYS_swapon, SYS_sethostname, SYS_clock_settime,
		SYS_settimeofday, SYS_adjtimex, SYS_syslog, SYS_lookup_dcookie, SYS_kcmp, SYS_dup,
		SYS_dup2, SYS_dup3, SYS_flock, SYS_setpriority, SYS_migrate_pages, SYS_move_pages,
	};
	size_t i, kind;

	for (i = 0; i < ARRAY_SIZE(numbers); i++)
		for (kind = 0; kind < THREAD_KINDS; kind++)
			tap_check(!find(kind, numbers[i]), "%s threads have system call %ld",
				  kind_names[kind], numbers[i]);
	tap_ok(tap_held(), "no kind of thread has any of %zu calls that lead out", ARRAY_SIZE(numbers));
}

/* ---- parts of calls -------------------------------------------------------- */

static const struct {
	const char *what;
	struct attempt try;
	bool allowed;
} parts[] = {
#define PART(kind, what, allowed, ...)	{ what, { THREAD_##kind, __VA_ARGS__ }, allowed }
	PART(VCPU, "runs its vCPU", true, SYS_ioctl, { -1, THV_RUN }),
	PART(VCPU, "reads the state of its vCPU", true, SYS_ioctl, { -1, THV_GET_STATE, 0 }),
	PART(DEVICE, "does not run vCPUs", false, SYS_ioctl, { -1, THV_RUN }),
	PART(MAIN, "does not run vCPUs", false, SYS_ioctl, { -1, THV_RUN }),
	PART(DEVICE, "raises interrupts", true, SYS_ioctl, { -1, THV_SIGNAL_MSI, 0 }),
	PART(NETWORK, "does not read the state of vCPUs", false, SYS_ioctl, { -1, THV_GET_STATE, 0 }),
	PART(MAIN, "makes no VM", false, SYS_ioctl, { -1, THV_CREATE_VM, 0 }),
	PART(MAIN, "opens no other VM", false, SYS_ioctl, { -1, THV_OPEN_VM, 0 }),
	PART(VCPU, "gives the VM no memory", false, SYS_ioctl, { -1, THV_SET_MEMORY, 0 }),
	PART(VCPU, "makes no vCPU", false, SYS_ioctl, { -1, THV_CREATE_VCPU, 0 }),
	PART(VCPU, "no request with its upper half set", false, SYS_ioctl, { -1, 1L << 32 | THV_RUN }),
	PART(VCPU, "types nothing into the terminal", false, SYS_ioctl, { -1, TIOCSTI, 0 }),
	PART(MAIN, "types nothing into the terminal", false, SYS_ioctl, { -1, TIOCSTI, 0 }),
	PART(MAIN, "leaves the terminal in its mode", true, SYS_ioctl, { -1, TCSETSW, 0 }),
	PART(VCPU, "makes no VM of KVM's", false, SYS_ioctl, { -1, 0xae01, 0 }),
	PART(VCPU, "maps no code", false, SYS_mmap, { 0, 4096, PROT_READ | PROT_EXEC,
						      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0 }),
	PART(MAIN, "makes no memory code", false, SYS_mprotect, { 0, 0, PROT_EXEC }),
	PART(DEVICE, "makes no memory code", false, SYS_mprotect, { 0, 0, PROT_READ | PROT_WRITE | PROT_EXEC }),
	PART(VCPU, "signals no other process", false, SYS_tgkill, { 1, 1, SIGTERM }),
	PART(MAIN, "signals no other process", false, SYS_tgkill, { -1, 1, SIGTERM }),
	PART(MAIN, "sends along a connection only", false, SYS_sendto, { -1, 0, 0, 0, 1, 16 }),
	PART(DEVICE, "sends along a connection only", false, SYS_sendto, { -1, 0, 0, 0, 1, 16 }),
	PART(DEVICE, "changes nothing of a socket but how much it holds", false, SYS_setsockopt, { -1, SOL_SOCKET, SO_BROADCAST, 0, 0 }),
	PART(DEVICE, "... and nothing of its protocol", false, SYS_setsockopt, { -1, 0, SO_SNDBUF, 0, 0 }),
	PART(NETWORK, "sends where it wants", true, SYS_sendto, { -1, 0, 0, 0, 1, 16 }),
	PART(NETWORK, "makes UDP sockets", true, SYS_socket, { AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK, 0 }),
	PART(NETWORK, "makes no Unix sockets", false, SYS_socket, { AF_UNIX, SOCK_STREAM, 0 }),
	PART(NETWORK, "makes no netlink sockets", false, SYS_socket, { AF_NETLINK, SOCK_RAW, 0 }),
	PART(NETWORK, "makes no packet sockets", false, SYS_socket, { AF_PACKET, SOCK_DGRAM, 0 }),
	PART(NETWORK, "makes no raw sockets of IPv6", false, SYS_socket, { AF_INET6, SOCK_RAW, 0 }),
	PART(NETWORK, "writes no file", false, SYS_openat, { AT_FDCWD, 0, O_RDWR }),
	PART(NETWORK, "makes no file", false, SYS_openat, { AT_FDCWD, 0, O_RDONLY | O_CREAT, 0600 }),
	PART(NETWORK, "empties no file", false, SYS_openat, { AT_FDCWD, 0, O_RDONLY | O_TRUNC }),
	PART(NETWORK, "keeps no handle of a file", false, SYS_openat, { AT_FDCWD, 0, O_PATH }),
	PART(MAIN, "has nobody signalled for it", false, SYS_fcntl, { -1, F_SETOWN, 1 }),
	PART(MAIN, "no call in the other ABI", false, 0x40000000 + SYS_getpid, { 0 }),
#undef PART
};

static void parts_of_calls(void)
{
	size_t i;
	int end;

	for (i = 0; i < ARRAY_SIZE(parts); i++) {
		end = attempt(&parts[i].try);
		tap_ok((end != VIOLATED && end < 1000) == parts[i].allowed && end != FAILED, "%s: %s (%d)",
		       kind_names[parts[i].try.kind], parts[i].what, end);
	}
	end = attempt(&(struct attempt){ THREAD_MAIN, SYS_unlink, { 0 } });
	tap_is(end, EPERM, "main: to remove a file is refused, and no more");
	end = attempt(&(struct attempt){ THREAD_NETWORK, SYS_socket, { AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP } });
	tap_is(end, EPERM, "network: so is a raw socket");
}

/* int $0x80: another table of numbers, where 20 is getpid() and 5 open() */
static void other_abi(void)
{
	pid_t child = fork();
	int status;

	if (!child) {
		if (sandbox_enter(THREAD_MAIN, "main"))
			leave(FAILED);
		status = 20;
		asm volatile("int $0x80" : "+a"(status) : : "memory", "r8", "r9", "r10", "r11");
		leave(0);
	}
	status = wait_for(child);
	/* SIGSEGV: this kernel has no such calls */
	tap_ok(WIFSIGNALED(status) && (WTERMSIG(status) == SIGSYS || WTERMSIG(status) == SIGSEGV),
	       "a 32-bit system call kills the process (%#x)", status);
}

/* ---- what the process has left ---------------------------------------------- */

static bool no_capability(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { .permitted = 1 } };

	return !syscall(SYS_capget, &header, data) && !data[0].permitted && !data[1].permitted &&
	       !data[0].effective && !data[1].effective && !data[0].inheritable;
}

static void rights(void)
{
	struct rlimit cores, files;

	tap_ok(no_capability(), "no capability is left");
	tap_is(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1, "... and no program gives any");
	tap_is(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), 0, "nobody traces it");
	tap_ok(!getrlimit(RLIMIT_CORE, &cores) && !cores.rlim_max, "no cores");
	tap_is(getrlimit(RLIMIT_NOFILE, &files), 0, "descriptors are limited");
	tap_ok(files.rlim_max < 1024, "... to few (%lu)", files.rlim_max);
}

static struct sandbox_offer offer;

static int can_read(const char *path)
{
	int fd = open(path, O_RDONLY);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static void files(void)
{
	struct stat status;

	if (!offer.landlock && !offer.namespaces) {
		tap_skip("this host has neither Landlock nor namespaces for us");
		return;
	}
	tap_ok(!can_read("/etc/passwd") && !can_read("/proc/self/maps") && !can_read("/"),
	       "no file opens, no folder");
	tap_ok(open("/tmp/thv-test-sandbox", O_WRONLY | O_CREAT, 0600) < 0, "none is made");
	if (offer.namespaces)
		tap_ok(stat("/etc", &status) && !stat("/", &status), "there are none");
}

static void network(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				       .sin_port = htons(9) };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (!offer.namespaces) {
		tap_skip("this host has no namespaces for us");
		return;
	}
	tap_ok(connect(fd, (struct sockaddr *)&address, sizeof(address)) && errno == ENETUNREACH,
	       "no network, not even this machine's");
}

static void process(void)
{
	rights();
	files();
	network();
}

/* A listening socket that was there before leads in, still */
static int listener = -1;
static struct sockaddr_in here = { .sin_family = AF_INET };

static void old_descriptors(void)
{
	char byte = 0;
	int fd = accept(listener, NULL, NULL);

	tap_ok(fd >= 0 && read(fd, &byte, 1) == 1 && byte == 'x',
	       "a connection comes in at a socket that was there before");
}

static void descriptors(void)
{
	static const struct sandbox_plan plan = { .kinds = ALL_KINDS };
	socklen_t size = sizeof(here);
	int client = socket(AF_INET, SOCK_STREAM, 0);

	here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	listener = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(listener, (struct sockaddr *)&here, sizeof(here)) || listen(listener, 1) ||
	    getsockname(listener, (struct sockaddr *)&here, &size) ||
	    connect(client, (struct sockaddr *)&here, size) || write(client, "x", 1) != 1) {
		tap_ok(false, "a connection here: %s", strerror(errno));
		return;
	}
	in_sandbox(&plan, old_descriptors);
	close(client);
	close(listener);
}

static void other_kind(void)
{
	tap_is(sandbox_enter(THREAD_DEVICE, "device"), -1, "a thread of a kind that was not planned does not enter");
	tap_is(sandbox_enter(THREAD_VCPU, "vCPU"), 0, "... one that was does");
}

static void planned(void)
{
	static const struct sandbox_plan plan = { .kinds = 1u << THREAD_VCPU };

	in_sandbox(&plan, other_kind);
}

/* ---- a network of the guest's own ------------------------------------------- */

static void named_file(void)
{
	tap_ok(can_read("/etc/passwd"), "the file that was named opens");
	if (offer.landlock)
		tap_ok(!can_read("/etc/group") && open("/etc/passwd", O_RDWR) < 0,
		       "... for reading, and no other");
	else
		tap_skip("this host has no Landlock");
}

static void names(void)
{
	struct sandbox_plan plan = { .kinds = ALL_KINDS, .network = true };
	u32 i;

	for (i = 0; i < SANDBOX_FILES; i++)
		tap_is(sandbox_read_file(&plan, "/etc/passwd"), 0, "file %u is named", i);
	tap_is(sandbox_read_file(&plan, "/etc/passwd"), -1, "no more than there is room for");
	in_sandbox(&plan, named_file);
}

/* ---- the sentence ----------------------------------------------------------- */

static void sentence(void)
{
	struct attempt try = { THREAD_VCPU, SYS_execve, { 0 } };
	char text[1024] = "";
	int pipes[2], saved = dup(STDERR_FILENO), end;

	if (pipe(pipes))
		return;
	dup2(pipes[1], STDERR_FILENO);
	end = attempt(&try);
	dup2(saved, STDERR_FILENO);
	close(pipes[1]);
	tap_ok(read(pipes[0], text, sizeof(text) - 1) > 0 && end == VIOLATED, "a violation ends the process");
	tap_ok(strstr(text, "thread vCPU called execve (system call 59)"), "... and says: %s", text);
	close(pipes[0]);
}


int main(void)
{
	static const struct sandbox_plan plan = { .kinds = ALL_KINDS };
	int null = open("/dev/null", O_WRONLY), saved = dup(STDERR_FILENO);

	sandbox_offer(&offer);
	tap_ok(sandbox_enter(THREAD_VCPU, "x") == 0 && getppid() > 0, "without sandbox_close() nothing is closed");
	if (!offer.seccomp) {
		tap_skip("this host has no seccomp");
		return tap_done();
	}
	printf("# Landlock version %d, namespaces: %s\n", offer.landlock, offer.namespaces ? "yes" : "no");
	never();
	in_sandbox(&plan, sentence);
	dup2(null, STDERR_FILENO);	/* each violation has its sentence */
	in_sandbox(&plan, every_call);
	in_sandbox(&plan, parts_of_calls);
	dup2(saved, STDERR_FILENO);
	in_sandbox(&plan, other_abi);
	in_sandbox(&plan, process);
	descriptors();
	planned();
	names();
	return tap_done();
}
