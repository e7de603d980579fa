// SPDX-License-Identifier: GPL-2.0-only
/*
 * A VM belongs to the process that made it: others that hold its descriptors, by fork, exec or
 * SCM_RIGHTS, get -EIO and harm nobody (threat 15). And processes end in all ways, with a guest
 * running.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include "kselftest_harness.h"
#include "lib/vm.h"
#include "guests/process.h"

GUEST(process);

FIXTURE(process) {
	struct vm *vm;
	struct vcpu *vcpu;
};

FIXTURE_SETUP(process)
{
	self->vm = vm_create(process);
	self->vcpu = self->vm->vcpu;
}

FIXTURE_TEARDOWN(process)
{
}

/* What a process may try with somebody else's VM; how much of it was not -EIO */
static int try_everything(int vm, int vcpu)
{
	static u8 buffer[8192] __attribute__((aligned(8)));
	const struct { int fd; unsigned long cmd; } all[] = {
		{ vm, THV_SET_MEMORY }, { vm, THV_GET_DIRTY }, { vm, THV_GET_ACCESSED },
		{ vm, THV_CREATE_VCPU }, { vm, THV_SIGNAL_MSI }, { vm, THV_IRQFD },
		{ vm, THV_IOEVENTFD }, { vm, THV_CONTROL }, { vm, THV_GET_STATS },
		{ vcpu, THV_RUN }, { vcpu, THV_GET_STATE }, { vcpu, THV_SET_STATE },
		{ vcpu, THV_TRANSLATE }, { vcpu, THV_INTERRUPT }, { vcpu, THV_NMI },
		{ vcpu, THV_APIC_ACCESS },
	};
	unsigned int i;
	int wrong = 0;

	for (i = 0; i < ARRAY_SIZE(all); i++) {
		memset(buffer, 0, sizeof(buffer));
		if (thv_ioctl(all[i].fd, all[i].cmd, buffer) != -EIO) {
			fprintf(stderr, "# ioctl %#lx is not -EIO\n", all[i].cmd);
			wrong++;
		}
	}
	return wrong;
}

static int exit_status(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void expect_unharmed(struct __test_metadata *_metadata, struct vcpu *vcpu)
{
	EXPECT_EQ(42, guest_call(vcpu, guest_process_answer));
}

static int open_vm(u32 id)
{
	return thv_ioctl(thv_device(), THV_OPEN_VM, &(struct thv_open_vm){ .id = id });
}

/* ---- other processes ---- */

TEST_F(process, a_child_is_not_the_owner)
{
	pid_t pid = fork();

	if (!pid)
		_exit(try_everything(self->vm->fd, self->vcpu->fd));
	EXPECT_EQ(0, exit_status(pid));
	expect_unharmed(_metadata, self->vcpu);
}

TEST_F(process, a_child_that_scribbles_over_the_run_page_harms_nobody)
{
	pid_t pid = fork();

	if (!pid) {
		memset(self->vcpu->run, 0xff, THV_RUN_SIZE);
		_exit(0);
	}
	EXPECT_EQ(0, exit_status(pid));
	EXPECT_EQ(-EINVAL, vcpu_run_once(self->vcpu)) TH_LOG("dirty bits that do not exist");
	memset(self->vcpu->run, 0, THV_RUN_SIZE);
	expect_unharmed(_metadata, self->vcpu);
}

TEST_F(process, a_child_that_ends_takes_nothing_along)
{
	int i;

	for (i = 0; i < 10; i++) {
		pid_t pid = fork();

		if (!pid) {
			close(self->vcpu->fd);
			close(self->vm->fd);
			munmap(self->vcpu->run, THV_RUN_SIZE);
			_exit(0);
		}
		EXPECT_EQ(0, exit_status(pid));
		expect_unharmed(_metadata, self->vcpu);
	}
}

TEST_F(process, a_child_that_shares_the_memory_is_the_owner)
{
	int result = 0;
	pid_t pid = vfork();

	if (!pid) {
		struct thv_interrupt interrupt = { .vector = 32 };

		result = ioctl(self->vcpu->fd, THV_INTERRUPT, &interrupt);
		_exit(0);
	}
	EXPECT_EQ(0, exit_status(pid));
	EXPECT_EQ(0, result);
}

/* After exec: the descriptors are named in the environment */
#define AFTER_EXEC "THV_SELFTEST_AFTER_EXEC"

static void __attribute__((constructor)) after_exec(void)
{
	const char *value = getenv(AFTER_EXEC);
	int vm, vcpu;

	if (!value || sscanf(value, "%d %d", &vm, &vcpu) != 2)
		return;
	_exit(try_everything(vm, vcpu));
}

static void exec_with(struct vm *vm)
{
	char value[64];

	fcntl(vm->fd, F_SETFD, 0);
	fcntl(vm->vcpu->fd, F_SETFD, 0);
	snprintf(value, sizeof(value), "%d %d", vm->fd, vm->vcpu->fd);
	setenv(AFTER_EXEC, value, 1);
	execl("/proc/self/exe", "process", NULL);
	_exit(99);
}

TEST_F(process, exec_makes_another_process)
{
	pid_t pid = fork();

	if (!pid)
		exec_with(vm_create(process));
	EXPECT_EQ(0, exit_status(pid));
	expect_unharmed(_metadata, self->vcpu);
}

static void *run_forever(void *arg)
{
	while (!vcpu_run(arg))
		;
	return NULL;
}

static void start_spinning(struct vcpu *vcpu)
{
	struct guest_record *record = vcpu->vm->record;
	u64 since = now_us();
	pthread_t thread;

	guest_start(vcpu, guest_process_spin);
	if (pthread_create(&thread, NULL, run_forever, vcpu))
		fail("pthread_create");
	while (!*(volatile u64 *)&record->shared)
		if (now_us() - since > 10000000)
			fail("the guest does not run");
}

TEST_F(process, exec_while_a_vcpu_runs)
{
	pid_t pid = fork();

	if (!pid) {
		struct vm *vm = vm_create(process);

		start_spinning(vm->vcpu);
		exec_with(vm);
	}
	EXPECT_EQ(0, exit_status(pid));
}

static void send_fds(int socket, const int *fds, int count)
{
	char control[CMSG_SPACE(4 * sizeof(int))] = {};
	struct iovec iov = { .iov_base = "x", .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
		.msg_controllen = CMSG_SPACE(count * sizeof(int)),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(count * sizeof(int));
	memcpy(CMSG_DATA(cmsg), fds, count * sizeof(int));
	if (sendmsg(socket, &msg, 0) != 1)
		fail("sendmsg: %s", strerror(errno));
}

static void receive_fds(int socket, int *fds, int count)
{
	char control[CMSG_SPACE(4 * sizeof(int))] = {};
	char byte;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
		.msg_controllen = sizeof(control),
	};

	if (recvmsg(socket, &msg, 0) != 1)
		fail("recvmsg: %s", strerror(errno));
	memcpy(fds, CMSG_DATA(CMSG_FIRSTHDR(&msg)), count * sizeof(int));
}

TEST_F(process, a_descriptor_that_was_sent_is_of_no_use)
{
	int sockets[2], fds[2] = { self->vm->fd, self->vcpu->fd };
	pid_t pid;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
	pid = fork();
	if (!pid) {
		receive_fds(sockets[1], fds, 2);
		_exit(try_everything(fds[0], fds[1]));
	}
	send_fds(sockets[0], fds, 2);
	EXPECT_EQ(0, exit_status(pid));
	expect_unharmed(_metadata, self->vcpu);
}

TEST_F(process, a_run_page_cannot_be_mapped_to_drive_the_vcpu)
{
	pid_t pid = fork();

	/* Mapping it may succeed; running does not */
	if (!pid) {
		mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, self->vcpu->fd, 0);
		_exit(thv_ioctl(self->vcpu->fd, THV_RUN, NULL) != -EIO);
	}
	EXPECT_EQ(0, exit_status(pid));
}

/* ---- owners that end ---- */

TEST_F(process, descriptors_outlive_their_owner_as_dead_weight)
{
	struct thv_vm_stats stats;
	int sockets[2], fds[2];
	pid_t pid;
	u32 id;
	int fd;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
	pid = fork();
	if (!pid) {
		struct vm *vm = vm_create(process);

		guest_call(vm->vcpu, guest_process_answer);
		fds[0] = vm->fd;
		fds[1] = vm->vcpu->fd;
		if (write(sockets[1], &vm->id, sizeof(vm->id)) != sizeof(vm->id))
			_exit(1);
		send_fds(sockets[1], fds, 2);
		_exit(0);
	}
	ASSERT_EQ(sizeof(id), read(sockets[0], &id, sizeof(id)));
	receive_fds(sockets[0], fds, 2);
	EXPECT_EQ(0, exit_status(pid));
	EXPECT_EQ(0, try_everything(fds[0], fds[1]));
	/* It is still a VM to those who watch */
	fd = open_vm(id);
	EXPECT_LE(0, fd);
	EXPECT_EQ(0, thv_ioctl(fd, THV_GET_STATS, &stats));
	close(fds[0]);
	EXPECT_EQ(0, thv_ioctl(fd, THV_GET_STATS, &stats));
	close(fds[1]);
	EXPECT_EQ(-EIO, thv_ioctl(fd, THV_GET_STATS, &stats));
	close(fd);
	EXPECT_EQ(-ENOENT, open_vm(id));
	expect_unharmed(_metadata, self->vcpu);
}

TEST_F(process, an_eventfd_outlives_the_owner)
{
	int fd = eventfd(0, EFD_NONBLOCK);
	pid_t pid = fork();

	if (!pid) {
		struct vm *vm = vm_create(process);
		struct thv_irqfd irqfd = { .fd = fd, .msi = { 0xfee00000, 0x51, 0 } };
		struct thv_ioeventfd doorbell = { .fd = fd, .address = GUEST_HOLE };

		_exit(thv_ioctl(vm->fd, THV_IRQFD, &irqfd) ||
		      thv_ioctl(vm->fd, THV_IOEVENTFD, &doorbell));
	}
	EXPECT_EQ(0, exit_status(pid));
	EXPECT_EQ(0, eventfd_write(fd, 1));
}

/* A child that makes a VM, says its number and runs a guest that never ends */
static pid_t spinning_child(u32 *id, int vcpus)
{
	int ends[2], i;
	pid_t pid;

	if (pipe(ends))
		fail("pipe: %s", strerror(errno));
	pid = fork();
	if (!pid) {
		struct vm *vm = vm_create(process);

		for (i = 1; i < vcpus; i++) {
			struct vcpu *vcpu = vcpu_create(vm, i);

			vcpu_mode64(vcpu);
			start_spinning(vcpu);
		}
		start_spinning(vm->vcpu);
		if (write(ends[1], &vm->id, sizeof(vm->id)) < 0)
			_exit(1);
		pause();
	}
	close(ends[1]);
	if (read(ends[0], id, sizeof(*id)) != sizeof(*id))
		fail("the child has not said which VM is its own");
	close(ends[0]);
	return pid;
}

TEST_F(process, a_kill_ends_a_running_guest)
{
	u64 since;
	pid_t pid;
	u32 id;

	pid = spinning_child(&id, 1);
	EXPECT_LE(0, open_vm(id));
	since = now_us();
	kill(pid, SIGKILL);
	EXPECT_EQ(-SIGKILL, exit_status(pid));
	EXPECT_GT(1000000, now_us() - since);
}

TEST_F(process, a_kill_ends_many_running_guests)
{
	pid_t pid;
	int fd;
	u32 id;

	pid = spinning_child(&id, 4);
	kill(pid, SIGKILL);
	EXPECT_EQ(-SIGKILL, exit_status(pid));
	fd = open_vm(id);
	EXPECT_EQ(-ENOENT, fd) TH_LOG("nobody has its descriptors, but the VM is there");
	close(fd);
}

TEST_F(process, an_exit_ends_running_guests)
{
	pid_t pid = fork();

	if (!pid) {
		struct vm *vm = vm_create(process);

		start_spinning(vm->vcpu);
		exit(7);
	}
	EXPECT_EQ(7, exit_status(pid));
}

/* Threat 31, a part of it: killed at any moment of making, running and taking down a VM */
TEST_F(process, kills_at_random_harm_nobody)
{
	unsigned int seed = 12345;
	int i;

	for (i = 0; i < 60; i++) {
		pid_t pid = fork();

		if (!pid) {
			while (1) {
				struct vm *vm = vm_create(process);

				guest_call(vm->vcpu, guest_process_answer);
				vm_close(vm);
			}
		}
		seed = seed * 1103515245 + 12345;
		usleep(seed >> 8 & 0x3fff);
		kill(pid, SIGKILL);
		ASSERT_EQ(-SIGKILL, exit_status(pid));
	}
	expect_unharmed(_metadata, self->vcpu);
}

/* ---- signals ---- */

TEST_F_TIMEOUT(process, a_storm_of_signals_loses_no_exit, 120)
{
	enum { EXITS = 2000 };
	struct thv_run *run = self->vcpu->run;
	u32 expected = 1;
	int err, interrupted = 0;

	guest_start(self->vcpu, guest_process_count, EXITS);
	alarm_us(200);
	while (expected <= EXITS) {
		err = vcpu_run_once(self->vcpu);
		if (err == -EINTR) {
			interrupted++;
			continue;
		}
		ASSERT_EQ(0, err);
		ASSERT_EQ(THV_EXIT_IO, run->exit);
		ASSERT_EQ(0x44, run->io.port);
		ASSERT_EQ(expected, run->io.data);
		io_complete(self->vcpu, 0);
		expected++;
	}
	alarm_us(0);
	guest_finish(self->vcpu);
	EXPECT_LT(0, interrupted);
}

/* A second thread tries to run the same vCPU all the time: it is told so, and disturbs nothing. */
static atomic_bool stop;
static atomic_int strange;

static void *run_too(void *arg)
{
	struct vcpu *vcpu = arg;

	while (!stop) {
		int err = vcpu_run_once(vcpu);

		/* Between two runs of the first thread, this one gets the exit again */
		if (err != -EBUSY && err != -EINTR && err != 0)
			strange++;
	}
	return NULL;
}

TEST_F(process, two_threads_at_one_vcpu)
{
	struct thv_run *run = self->vcpu->run;
	pthread_t thread;
	int i, busy = 0, err;

	guest_start(self->vcpu, guest_process_count, 1);
	ASSERT_EQ(0, vcpu_run(self->vcpu));
	ASSERT_EQ(0, pthread_create(&thread, NULL, run_too, self->vcpu));
	for (i = 0; i < 2000; i++) {
		err = vcpu_run_once(self->vcpu);
		busy += err == -EBUSY;
		if (err != -EBUSY && err != -EINTR)
			ASSERT_EQ(0, err);
	}
	stop = true;
	pthread_join(thread, NULL);
	EXPECT_EQ(0, strange);
	/* Nobody completed it: the instruction is still the first */
	ASSERT_EQ(0, vcpu_run(self->vcpu));
	EXPECT_EQ(THV_EXIT_IO, run->exit);
	EXPECT_EQ(1, run->io.data);
}

THV_TEST_MAIN
