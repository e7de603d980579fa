// SPDX-License-Identifier: GPL-2.0-only
/*
 * The machine's life: built in steps, run, and taken apart in the reverse order,
 * however far the building came.
 */
#include "vmm/machine.h"

#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "gdb/gdb.h"
#include "lib/device.h"
#include "lib/error.h"
#include "vmm/state.h"
#include "vmm/terminal.h"
#include "vmm/thread.h"
#include "vmm/tidy.h"
#include "vmm/vcpu.h"

/* ---- the end ------------------------------------------------------------ */

int machine_at_end(struct machine *machine, void (*finish)(void *opaque), void *opaque)
{
	struct machine_finish *entry = malloc(sizeof(*entry));

	if (!entry)
		return error_set("out of memory");
	*entry = (struct machine_finish){ machine->finishes, finish, opaque };
	machine->finishes = entry;
	return 0;
}

void machine_end(struct machine *machine, int status, const char *reason, ...)
{
	va_list arguments;

	if (atomic_exchange(&machine->ending, true))
		return;
	machine->status = status;
	if (reason) {
		va_start(arguments, reason);
		if (vasprintf(&machine->reason, reason, arguments) < 0)
			machine->reason = NULL;
		va_end(arguments);
	}
	events_stop(&machine->events);
}

/* ---- signals: taken on the main thread, as events ------------------------ */

struct signals {
	struct machine *machine;
	struct event_source source;
};

static void stop_and_go_on(void)
{
	terminal_suspend();
	raise(SIGSTOP);
	terminal_resume();
}

static void take_signal(void *opaque, u32 events)
{
	struct signals *signals = opaque;
	struct signalfd_siginfo info;

	(void)events;
	while (read(signals->source.fd, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGTSTP)
			stop_and_go_on();
		else
			machine_end(signals->machine, END_SIGNAL + info.ssi_signo, NULL);
	}
}

static void drop_signals(void *opaque)
{
	struct signals *signals = opaque;

	close(signals->source.fd);
	free(signals);
}

static void fill(sigset_t *set)
{
	static const int taken[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP };
	size_t i;

	sigemptyset(set);
	for (i = 0; i < ARRAY_SIZE(taken); i++)
		sigaddset(set, taken[i]);
}

/* Blocked before any thread exists, so in all of them. Writes report EPIPE instead. */
static int take_signals(struct machine *machine)
{
	struct signals *signals = calloc(1, sizeof(*signals));
	sigset_t set;

	if (!signals)
		return error_set("out of memory");
	fill(&set);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	signals->machine = machine;
	signals->source = (struct event_source){
		.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK),
		.mask = EPOLLIN,
		.ready = take_signal,
		.opaque = signals,
	};
	if (signals->source.fd < 0)
		return error_errno("watching for signals");
	if (machine_at_end(machine, drop_signals, signals))
		return -1;
	return events_add(&machine->events, &signals->source);
}

/* ---- building ----------------------------------------------------------- */

/* It has no real mode, whatever the processor has */
static bool shadow_paging(const struct machine *machine)
{
	u32 paging = machine->config->paging;

	return paging == THV_PAGING_SHADOW ||
	       (paging == THV_PAGING_DEFAULT && !(machine->info.used & THV_FEATURE_EPT));
}

bool machine_has_real_mode(const struct machine *machine)
{
	return machine->info.used & THV_FEATURE_UNRESTRICTED && !shadow_paging(machine);
}

static int check_real_mode(const struct machine *machine)
{
	if (!machine->config->real_mode || machine_has_real_mode(machine))
		return 0;
	if (shadow_paging(machine))
		return error_set("the guest starts in real mode, which shadow paging has not; give --paging ept on a processor that has EPT");
	return error_set("the guest starts in real mode, and this processor has none for guests (no unrestricted guest): start one that begins in protected mode (--boot linux, pvh, multiboot)");
}

static int check_limits(const struct machine *machine)
{
	const struct machine_config *config = machine->config;
	u64 end = config->memory <= MEMORY_HOLE ? config->memory :
		  config->memory - MEMORY_HOLE + SIZE_4G;

	if (config->cpus > machine->info.max_vcpus)
		return error_set("--cpus %u: the module takes %u at most", config->cpus,
				 machine->info.max_vcpus);
	if (machine->info.guest_phys_bits < 64 && end >> machine->info.guest_phys_bits)
		return error_set("--mem: a guest here can address %llu MiB at most; give it less",
				 1ULL << (machine->info.guest_phys_bits - 20));
	return check_real_mode(machine);
}

static int open_device(struct machine *machine)
{
	u32 given = machine->config->device_fd;

	machine->device = given ? (int)given : device_open();
	return machine->device < 0 ? -1 : device_info(machine->device, &machine->info);
}

int machine_prepare(struct machine *machine, const struct machine_config *config)
{
	*machine = (struct machine){
		.config = config,
		.device = -1,
		.vm = -1,
		.memory.fd = -1,
		.hold.all = -1,
		.status = END_ERROR,
	};
	if (events_create(&machine->events) || hold_create(&machine->hold) ||
	    bus_create(&machine->bus, config->trace_io))
		return -1;
	if (open_device(machine) || check_limits(machine))
		return -1;
	if (memory_create(&machine->memory, config->memory, config->name, config->hugepages))
		return -1;
	machine->memory.rom = config->rom;
	machine->memory.rom_size = config->rom_size;
	return 0;
}

static int create_vm(struct machine *machine)
{
	struct thv_create_vm vm = {
		.paging = machine->config->paging,
		.flags = machine->config->vm_flags,
	};

	if (strlen(machine->config->name) >= sizeof(vm.name))
		return error_set("--name: too long; %zu characters are possible",
				 sizeof(vm.name) - 1);
	strcpy(vm.name, machine->config->name);
	machine->vm = vm_create(machine->device, &vm);
	machine->id = vm.id;
	return machine->vm < 0 ? -1 : 0;
}

extern const struct device *const __start_thv_devices[], *const __stop_thv_devices[];

int machine_check(const struct machine_config *config)
{
	const struct device *const *device;

	for (device = __start_thv_devices; device < __stop_thv_devices; device++)
		if ((*device)->check && (*device)->check(config))
			return -1;
	return 0;
}

static int create_devices(struct machine *machine)
{
	const struct device *const *device;

	for (device = __start_thv_devices; device < __stop_thv_devices; device++)
		if ((*device)->create(machine))
			return error_set("device %s: %s", (*device)->name, error_text());
	return 0;
}

static int create_vcpus(struct machine *machine)
{
	u32 id;

	machine->vcpu = calloc(machine->config->cpus, sizeof(*machine->vcpu));
	if (!machine->vcpu)
		return error_set("out of memory");
	for (id = 0; id < machine->config->cpus; id++)
		machine->vcpu[id].fd = -1;
	for (id = 0; id < machine->config->cpus; id++)
		if (vcpu_create(&machine->vcpu[id], machine, id))
			return -1;
	return 0;
}

int machine_create(struct machine *machine)
{
	if (create_vm(machine) ||
	    memory_give(&machine->memory, machine->vm) ||
	    create_vcpus(machine) ||
	    take_signals(machine) ||
	    create_devices(machine) ||
	    gdb_create(machine))
		return -1;
	return 0;
}

/* ---- running ------------------------------------------------------------ */

/* The last moment: what is open is all there will be, and no thread has begun */
static int enclose(struct machine *machine)
{
	tidy_close();
	return machine->config->no_sandbox ? 0 : sandbox_close(&machine->sandbox, END_SANDBOX);
}

/* The main thread is the last one to enter: its filter has no clone() */
static int begin(struct machine *machine)
{
	if (enclose(machine) || threads_begin(machine))
		return -1;
	return sandbox_enter(THREAD_MAIN, "main");
}

int machine_run(struct machine *machine)
{
	int result;
	u32 id;

	vcpu_catch_kicks();
	for (id = 0; id < machine->config->cpus; id++)
		vcpu_start(&machine->vcpu[id]);
	result = begin(machine);
	if (!result)
		events_run(&machine->events);
	atomic_store(&machine->ending, true);
	for (id = 0; id < machine->config->cpus; id++)
		vcpu_stop(&machine->vcpu[id]);
	return result;
}

static void destroy_vcpus(struct machine *machine)
{
	u32 id;

	for (id = 0; machine->vcpu && id < machine->config->cpus; id++)
		vcpu_destroy(&machine->vcpu[id]);
	free(machine->vcpu);
}

void machine_destroy(struct machine *machine)
{
	struct machine_finish *entry;

	while (machine->finishes) {
		entry = machine->finishes;
		machine->finishes = entry->next;
		entry->finish(entry->opaque);
		free(entry);
	}
	state_remove_all(machine);
	destroy_vcpus(machine);
	if (machine->vm >= 0)
		close(machine->vm);
	if (machine->device >= 0)
		close(machine->device);
	memory_destroy(&machine->memory);
	bus_destroy(&machine->bus);
	hold_destroy(&machine->hold);
	events_destroy(&machine->events);
	free(machine->reason);
	tidy_finish();
}
