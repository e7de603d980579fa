// SPDX-License-Identifier: GPL-2.0-only
// sources: userspace/vmm/machine.c userspace/vmm/thread.c userspace/vmm/sandbox.c userspace/vmm/seccomp.c userspace/vmm/landlock.c userspace/vmm/namespaces.c userspace/vmm/tidy.c userspace/vmm/cpuset.c userspace/vmm/vcpu.c userspace/vmm/irq.c userspace/device/pic.c userspace/vmm/hold.c userspace/vmm/emulate.c userspace/vmm/translate.c module/paging/walk.c userspace/vmm/events.c userspace/vmm/channel.c userspace/vmm/terminal.c userspace/vmm/bus.c userspace/vmm/memory.c userspace/device/uart.c userspace/device/ioapic.c userspace/device/debugexit.c userspace/device/cmos.c userspace/gdb/breakpoints.c userspace/gdb/listen.c userspace/gdb/packet.c userspace/gdb/registers.c userspace/gdb/resume.c userspace/gdb/server.c userspace/gdb/session.c userspace/gdb/state.c userspace/gdb/stops.c userspace/gdb/target.c userspace/gdb/threads.c userspace/lib/error.c userspace/lib/socket.c
// flags: -fno-sanitize=all
// libs: -lseccomp -lZydis -fno-sanitize=all
/*
 * The launcher in its sandbox, with all of it but the module: libthv is played here. Its
 * calls do go to the kernel, on descriptors that are not the module's, so that the
 * filters see them; the answers are made up. The guest is an echo at the serial port.
 *
 * Without sanitizers: they make system calls of their own, which the sandbox forbids.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/device.h"
#include "lib/error.h"
#include "tap.h"
#include "vmm/cpuset.h"
#include "vmm/machine.h"
#include "vmm/thread.h"
#include "vmm/vcpu.h"

#include "gdb/server.h"
#include "userspace/vmm/state.c"	/* its object would have the name of gdb/state.c's */

#define DATA		0x3f8
#define STATUS		0x3fd
#define READY		0x01
#define EXIT		0xf4
#define BREAK_OUT	0x900	/* ports of the device below */
#define ASK_WORKER	0x901
#define VCPUS		2

/* ---- the module, and a guest -------------------------------------------------- */

static struct thv_run *pages[VCPUS];
static int vcpu_fd[VCPUS];

static int fake_fd(void)
{
	int fd = memfd_create("fake", MFD_CLOEXEC);

	return ftruncate(fd, THV_RUN_SIZE) ? -1 : fd;
}

/* The call as such has to pass */
static int pass(int fd, unsigned long request)
{
	if (ioctl(fd, request, NULL) < 0 && errno == ENOTTY)
		return 0;
	return error_errno("a call that is not the module's");
}

int device_open(void)
{
	return fake_fd();
}

int device_info(int device, struct thv_info *info)
{
	*info = (struct thv_info){ .max_vcpus = VCPUS, .guest_phys_bits = 46 };
	return pass(device, THV_GET_INFO);
}

int vm_create(int device, struct thv_create_vm *vm)
{
	vm->id = 1;
	return pass(device, THV_CREATE_VM) ? -1 : fake_fd();
}

int vm_set_memory(int vm, const struct thv_memory *memory)
{
	(void)memory;
	return pass(vm, THV_SET_MEMORY);
}

int vm_create_vcpu(int vm, u32 id)
{
	vcpu_fd[id] = fake_fd();
	return pass(vm, THV_CREATE_VCPU) ? -1 : vcpu_fd[id];
}

int vm_signal_msi(int vm, u64 address, u32 data)
{
	(void)address;
	(void)data;
	return pass(vm, THV_SIGNAL_MSI);
}

static u32 id_of(int fd)
{
	return fd == vcpu_fd[0] ? 0 : 1;
}

struct thv_run *vcpu_map(int vcpu)
{
	void *page = mmap(NULL, THV_RUN_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);

	pages[id_of(vcpu)] = page;
	return page;
}

int vcpu_get(int vcpu, enum thv_state_id component, void *data, u32 size)
{
	(void)component;
	memset(data, 0, size);
	return pass(vcpu, THV_GET_STATE);
}

int vcpu_set(int vcpu, enum thv_state_id component, const void *data, u32 size)
{
	(void)component;
	(void)data;
	(void)size;
	return pass(vcpu, THV_SET_STATE);
}

int vcpu_translate(int vcpu, struct thv_translate *translate)
{
	translate->result = THV_TRANSLATE_GUEST_FAULT;
	return pass(vcpu, THV_TRANSLATE);
}

int vcpu_apic_access(int vcpu, struct thv_apic_access *access)
{
	(void)access;
	return pass(vcpu, THV_APIC_ACCESS);
}

int vcpu_explain(int vcpu, char *text, size_t size)
{
	(void)text;
	(void)size;
	return pass(vcpu, THV_EXPLAIN);
}

const struct device_sentence device_no_sentences[] = { { 0 } };

int device_call(int fd, unsigned long request, void *argument, const char *what,
		const struct device_sentence *sentences)
{
	(void)argument;
	(void)what;
	(void)sentences;
	return pass(fd, request);
}

void vcpu_dump(struct vcpu *vcpu, FILE *file)
{
	(void)vcpu;
	fprintf(file, "no registers\n");
}

bool gdb_monitor(void *opaque, u32 id, const char *command, FILE *file)
{
	(void)opaque;
	(void)id;
	(void)command;
	(void)file;
	return false;
}

static void port_exit(struct thv_run *run, u16 port, bool in, u32 data)
{
	run->exit = THV_EXIT_IO;
	run->io = (struct thv_exit_io){
		.port = port, .size = 1, .flags = in ? THV_IO_IN : 0, .data = data,
	};
}

/* Says "hi" and then what it hears, until it hears q; other letters make it do other things */
static void guest(struct thv_run *run)
{
	static enum { SAY, ASK, LOOK, TAKE } step;
	static const char *left = "hi\n";
	u8 got = run->regs.gpr[THV_RAX];

	if (step == TAKE) {
		step = ASK;
		if (got == 'q')
			port_exit(run, EXIT, false, 42);
		else if (got == '!')
			port_exit(run, BREAK_OUT, false, 0);
		else if (got == 'w')
			port_exit(run, ASK_WORKER, false, 0);
		else
			port_exit(run, DATA, false, got);
	} else if (step == SAY && *left) {
		port_exit(run, DATA, false, *left++);
	} else if (step == LOOK && got & READY) {
		step = TAKE;
		port_exit(run, DATA, true, 0);
	} else {
		usleep(step == LOOK ? 1000 : 0);
		step = LOOK;
		port_exit(run, STATUS, true, 0);
	}
}

/* The second vCPU waits until it is needed elsewhere */
int vcpu_run(int vcpu)
{
	struct thv_run *run = pages[id_of(vcpu)];

	if (pass(vcpu, THV_RUN))
		return -1;
	if (__atomic_exchange_n(&run->immediate_exit, 0, __ATOMIC_SEQ_CST)) {
		errno = EINTR;
		return -1;
	}
	if (id_of(vcpu)) {
		usleep(1000);
		errno = EINTR;
		return -1;
	}
	guest(run);
	return 0;
}

/* ---- a device with a thread of its own, and a way out of it --------------------- */

static struct {
	struct machine *machine;
	struct thread thread;
	struct events events;
	struct event_source doorbell;
} worker;

/* What a hostile guest would want of it: the host's files */
static u64 break_out(void *opaque, u64 offset, u32 length, bool write, u64 value)
{
	(void)opaque;
	(void)length;
	(void)write;
	(void)value;
	if (offset)
		eventfd_write(worker.doorbell.fd, 1);
	else
		open("/etc/passwd", O_RDONLY);
	return 0;
}

static void rung(void *opaque, u32 events)
{
	eventfd_t value;

	(void)opaque;
	(void)events;
	if (!eventfd_read(worker.doorbell.fd, &value))
		machine_end(worker.machine, 43, NULL);
}

static void run_worker(void *opaque)
{
	(void)opaque;
	events_run(&worker.events);
}

static void end_worker(void *opaque)
{
	(void)opaque;
	events_stop(&worker.events);
	thread_join(&worker.thread);
	events_destroy(&worker.events);
	close(worker.doorbell.fd);
}

static int create(struct machine *machine)
{
	worker.machine = machine;
	worker.doorbell = (struct event_source){
		.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .mask = EPOLLIN, .ready = rung,
	};
	if (events_create(&worker.events) || events_add(&worker.events, &worker.doorbell))
		return -1;
	thread_start(machine, &worker.thread, THREAD_DEVICE, "a worker's thread", run_worker, NULL);
	return machine_at_end(machine, end_worker, NULL) ||
	       bus_claim_ports(&machine->bus, BREAK_OUT, 2, 1, break_out, NULL);
}

DEVICE(worker, create);

/* ---- the launcher, in a process ------------------------------------------------- */

static char folder[] = "/tmp/thv-run-XXXXXX";
static char path[64];

struct launcher {
	pid_t pid;
	int in, out, error;	/* ends of its standard streams */
};

static int launch(const struct machine_config *config)
{
	struct machine machine;
	int result = machine_prepare(&machine, config) || machine_create(&machine) ||
		     machine_run(&machine);
	int status = result ? END_ERROR : machine.status;

	if (result)
		fprintf(stderr, "%s\n", error_text());
	machine_destroy(&machine);
	return status;
}

static struct launcher start(struct machine_config config)
{
	int in[2], out[2], error[2];
	struct launcher launcher;

	if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC) || pipe2(error, O_CLOEXEC))
		abort();
	config.name = "test";
	config.memory = SIZE_2M;
	config.cpus = VCPUS;
	config.debug_exit = EXIT;
	fflush(stdout);
	launcher.pid = fork();
	if (!launcher.pid) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		dup2(error[1], 2);
		close(in[1]);
		alarm(60);
		_exit(launch(&config));
	}
	close(in[0]);
	close(out[1]);
	close(error[1]);
	launcher.in = in[1];
	launcher.out = out[0];
	launcher.error = error[0];
	return launcher;
}

/* How it ended: an exit status, or 1000 and the signal */
static int end(struct launcher *launcher)
{
	int status = -1;

	while (waitpid(launcher->pid, &status, 0) < 0 && errno == EINTR)
		;
	close(launcher->in);
	close(launcher->out);
	close(launcher->error);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

/* Read until the text has come, for some seconds */
static bool hear(int fd, const char *wanted, char *text, size_t size)
{
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	size_t length = 0;
	ssize_t got;

	text[0] = 0;
	while (length < size - 1 && poll(&wait, 1, 10000) == 1) {
		got = read(fd, text + length, size - 1 - length);
		if (got <= 0)
			break;
		length += got;
		text[length] = 0;
		if (strstr(text, wanted))
			return true;
	}
	return false;
}

static bool hears(int fd, const char *wanted)
{
	char text[4096];

	return hear(fd, wanted, text, sizeof(text));
}

static bool say(int fd, const char *text)
{
	return write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

static int connect_to(const char *where)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), tries;

	strcpy(address.sun_path, where);
	for (tries = 0; connect(fd, (struct sockaddr *)&address, sizeof(address)); tries++) {
		if (tries == 500)
			return -1;
		usleep(10000);
	}
	return fd;
}

static bool gone(const char *where)
{
	int tries;

	for (tries = 0; tries < 500 && !access(where, F_OK); tries++)
		usleep(10000);
	return tries < 500;
}

/* ---- channels -------------------------------------------------------------------- */

static void converse(int in, int out, const char *what)
{
	tap_ok(hears(out, "hi\n"), "%s: the guest is heard", what);
	tap_ok(say(in, "abc") && hears(out, "abc"), "%s: it hears", what);
}

static void standard_streams(void)
{
	struct launcher launcher = start((struct machine_config){ .serial = { "stdio" } });

	converse(launcher.in, launcher.out, "stdio");
	say(launcher.in, "q");
	tap_is(end(&launcher), 42, "stdio: the guest ends");
}

static void without_sandbox(void)
{
	struct launcher launcher = start((struct machine_config){ .serial = { "stdio" }, .no_sandbox = true });

	converse(launcher.in, launcher.out, "no sandbox");
	tap_ok(say(launcher.in, "!x") && hears(launcher.out, "x"), "no sandbox: what would be a violation is none");
	say(launcher.in, "q");
	tap_is(end(&launcher), 42, "no sandbox: the guest ends");
}

static void pseudo_terminal(void)
{
	struct launcher launcher = start((struct machine_config){ .serial = { "pty" } });
	char text[4096];
	int fd;

	tap_ok(hear(launcher.error, "/dev/pts/", text, sizeof(text)), "pty: it is announced");
	text[strcspn(text, "\n")] = 0;
	fd = open(strstr(text, "/dev/pts/") ?: "", O_RDWR | O_NOCTTY | O_CLOEXEC);
	tap_ok(say(fd, "abc") && hears(fd, "abc"), "pty: the guest hears and is heard");
	close(fd);
	usleep(50000);
	fd = open(strstr(text, "/dev/pts/") ?: "", O_RDWR | O_NOCTTY | O_CLOEXEC);
	tap_ok(say(fd, "def") && hears(fd, "def"), "pty: ... when its user has come back, too");
	say(fd, "q");
	tap_is(end(&launcher), 42, "pty: the guest ends");
	close(fd);
}

static void a_file(void)
{
	char kind[80], text[4096] = "";
	struct launcher launcher;
	int fd;

	snprintf(kind, sizeof(kind), "file:%s/log", folder);
	launcher = start((struct machine_config){ .serial = { kind, "stdio" } });
	fd = -1;
	while (read(fd, text, sizeof(text)) < 3) {
		close(fd);
		usleep(10000);
		fd = open(kind + 5, O_RDONLY | O_CLOEXEC);
	}
	tap_ok(!strncmp(text, "hi\n", 3), "file: what the guest says is in it");
	close(fd);
	kill(launcher.pid, SIGTERM);
	tap_is(end(&launcher), END_SIGNAL + SIGTERM, "a signal ends it");
	unlink(kind + 5);
}

static void a_socket(void)
{
	struct launcher launcher;
	char kind[80];
	int fd;

	snprintf(path, sizeof(path), "%s/socket", folder);
	snprintf(kind, sizeof(kind), "socket:%s", path);
	launcher = start((struct machine_config){ .serial = { kind } });
	fd = connect_to(path);
	tap_ok(say(fd, "abc") && hears(fd, "abc"), "socket: the guest hears and is heard");
	close(fd);
	fd = connect_to(path);
	tap_ok(say(fd, "def") && hears(fd, "def"), "socket: the next one who comes, too");
	say(fd, "q");
	tap_is(end(&launcher), 42, "socket: the guest ends");
	tap_ok(access(path, F_OK), "socket: it is removed by then");
	close(fd);
}

static void killed(void)
{
	struct launcher launcher;
	char kind[80];
	int fd;

	snprintf(kind, sizeof(kind), "socket:%s", path);
	launcher = start((struct machine_config){ .serial = { kind } });
	fd = connect_to(path);
	tap_ok(say(fd, "abc") && hears(fd, "abc"), "socket: the guest hears and is heard");
	close(fd);
	kill(launcher.pid, SIGKILL);
	tap_is(end(&launcher), 1000 + SIGKILL, "a launcher is killed");
	tap_ok(gone(path), "... and its socket is removed nevertheless");
}

static void descriptor(void)
{
	struct launcher launcher;
	char kind[80];
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		return;
	snprintf(kind, sizeof(kind), "fd:%d", pair[1]);
	launcher = start((struct machine_config){ .serial = { kind } });
	converse(pair[0], pair[0], "fd");
	say(pair[0], "q");
	tap_is(end(&launcher), 42, "fd: the guest ends");
	close(pair[0]);
	close(pair[1]);
}

/* ---- a debugger ------------------------------------------------------------------- */

static void debugger(void)
{
	struct launcher launcher;
	char where[80];
	int fd;

	snprintf(path, sizeof(path), "%s/gdb", folder);
	snprintf(where, sizeof(where), "unix:%s", path);
	launcher = start((struct machine_config){ .serial = { "stdio" }, .gdb = where });
	tap_ok(hears(launcher.out, "hi\n"), "gdb: the guest runs until somebody comes");
	fd = connect_to(path);
	tap_ok(say(fd, "$?#3f") && hears(fd, "$T"), "gdb: it stops then");
	tap_ok(say(fd, "+$g#67") && hears(fd, "$0000"), "gdb: its registers are read");
	tap_ok(say(fd, "+$D#44") && hears(fd, "$OK#9a"), "gdb: the debugger leaves");
	close(fd);
	tap_ok(say(launcher.in, "abc") && hears(launcher.out, "abc"), "gdb: ... and it runs again");
	say(launcher.in, "q");
	tap_is(end(&launcher), 42, "gdb: the guest ends");
	tap_ok(access(path, F_OK), "gdb: its socket is removed by then");
}

/* ---- threads ----------------------------------------------------------------------- */

static void worker_thread(void)
{
	struct launcher launcher = start((struct machine_config){ .serial = { "stdio" } });

	say(launcher.in, "w");
	tap_is(end(&launcher), 43, "a device's own thread does its work, and ends with the machine");
}

static void violation(void)
{
	struct launcher launcher = start((struct machine_config){ .serial = { "stdio" } });

	say(launcher.in, "!");
	tap_ok(hears(launcher.error, "the thread vcpu0 called openat (system call 257)"),
	       "a device that opens a file ends the guest: the thread and the call are named");
	tap_is(end(&launcher), END_SANDBOX, "... and the status is its own");
}

static int allowed_cpus(pid_t pid, const char *name)
{
	char task[80], text[32], command[200];
	FILE *list;
	cpu_set_t set;
	int id = -1;

	snprintf(command, sizeof(command), "grep -lx %s /proc/%d/task/*/comm", name, pid);
	list = popen(command, "r");
	if (!list || !fgets(task, sizeof(task), list) || sscanf(task, "/proc/%*d/task/%d/%31s", &id, text) < 1)
		id = -1;
	if (list)
		pclose(list);
	return id < 0 || sched_getaffinity(id, sizeof(set), &set) ? -1 : CPU_COUNT(&set);
}

static void pinned(void)
{
	static const struct option_row row = { .name = "cpuset" };
	static struct cpuset cpuset;
	struct launcher launcher;

	tap_is(option_cpuset(&row, "0", &cpuset), 0, "--cpuset 0 is taken");
	launcher = start((struct machine_config){ .serial = { "stdio" }, .cpuset = &cpuset });
	hears(launcher.out, "hi\n");
	tap_is(allowed_cpus(launcher.pid, "vcpu0"), 1, "a vCPU is on one CPU");
	tap_is(allowed_cpus(launcher.pid, "vcpu1"), 1, "the other one, too");
	say(launcher.in, "q");
	tap_is(end(&launcher), 42, "the guest ends");
}

static void cpu_lists(void)
{
	static const char *const wrong[] = {
		"", "x", "0,", ",0", "0-", "-1", "0--1", "0 ", "0,0", "0-0,0", "1-0", "4096", "0-4096",
		"99999999999999999999",
	};
	static const struct option_row row = { .name = "cpuset" };
	static struct cpuset cpuset;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(wrong); i++)
		tap_ok(option_cpuset(&row, wrong[i], &cpuset), "--cpuset \"%s\" is refused: %s", wrong[i], error_text());
	cpuset = (struct cpuset){ .count = 3, .cpu = { 7, 0, 2 } };
	tap_ok(cpuset_cpu(&cpuset, 0) == 7 && cpuset_cpu(&cpuset, 2) == 2 && cpuset_cpu(&cpuset, 4) == 0,
	       "vCPU n has the n-th CPU, and the list begins again");
	tap_is(cpuset_cpu(NULL, 0), -1, "without a list any CPU will do");
}

int main(void)
{
	if (!mkdtemp(folder))
		return 1;
	signal(SIGPIPE, SIG_IGN);
	standard_streams();
	without_sandbox();
	pseudo_terminal();
	a_file();
	a_socket();
	killed();
	descriptor();
	debugger();
	worker_thread();
	violation();
	pinned();
	cpu_lists();
	tap_ok(!rmdir(folder), "nothing is left behind");
	return tap_done();
}
