// SPDX-License-Identifier: GPL-2.0-only
/* thv run: from the command line to a machine, and from its end to an exit status. */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "boot/boot.h"
#include "cmd/commands.h"
#include "gdb/gdb.h"
#include "lib/counters.h"
#include "lib/device.h"
#include "lib/error.h"
#include "lib/json.h"
#include "lib/ledger.h"
#include "lib/optionfile.h"
#include "vmm/channel.h"
#include "vmm/cpuset.h"
#include "vmm/disk.h"
#include "vmm/machine.h"
#include "vmm/net.h"
#include "vmm/terminal.h"
#include "vmm/vcpu.h"

struct run_values {
	struct boot_files files;
	u64 memory, balloon;
	u32 cpus, paging, debug_exit, device_fd, sandbox;
	struct cpuset cpuset;
	const char *machine;		/* the file; its options are in the other fields */
	const char *name, *serial, *serial2, *debugcon, *keyboard, *console, *balloon_control, *gdb;
	bool no_vpid, no_huge, no_apicv, no_pml, no_ept_ad, no_fault_around, no_preemption_timer, hugepages,
	     stats, json, trace_io, gdb_wait, rng, legacy;
	struct option_list disks, nets;
};

#define FIELD(member)	.field = offsetof(struct run_values, member)

/* In the order of enum thv_paging */
static const char *const pagings[] = { "default", "ept", "shadow", NULL };

enum { SANDBOX_ON, SANDBOX_OFF };
static const char *const sandboxes[] = { "on", "off", NULL };

#define SERIAL_KINDS	"stdio, stdout (no input), pty, file:PATH, socket:PATH, fd:N (an open descriptor) or null"

static const struct option_row options[] = {
	{ "MACHINE", NULL, "a file that describes the machine: any of the options below, in YAML (`cpus: 2`); one that stands on the command line, too, is taken from there",
	  option_text, FIELD(machine), .positional = true, .reader = optionfile_read },
	{ "kernel", "FILE", "what to start: a Linux kernel (a bzImage, which distributions call vmlinuz), an ELF kernel for PVH or multiboot, or a flat real-mode image",
	  option_text, FIELD(files.kernel) },
	{ "boot", "KIND", "what kind of kernel that is, and so how it is started; detect: as the file looks",
	  option_choice, FIELD(files.kind), .initial = "detect", .choices = boot_kinds },
	{ "initrd", "FILE", "the initial file system (initramfs) of a Linux kernel",
	  option_text, FIELD(files.initrd) },
	{ "module", "FILE[ TEXT]", "a file for a multiboot or PVH kernel, and a text that is told with it; again for more",
	  option_list, FIELD(files.modules) },
	{ "append", "TEXT", "the kernel's command line; replaces the default, which for Linux is \"" BOOT_LINUX_COMMAND_LINE "\", and nothing is added to it",
	  option_text, FIELD(files.command_line) },
	{ "firmware", "FILE", "start this instead, as a PC starts its BIOS, with --legacy: SeaBIOS (bios-256k.bin), which finds something to start on a disk",
	  option_text, FIELD(files.firmware) },
	{ "fw-cfg", "WORDS", "tell firmware one thing more: name=NAME,string=TEXT or name=NAME,file=FILE; again for more",
	  option_list, FIELD(files.fwcfg) },
	{ "legacy", NULL, "give the guest what old systems need: 8254, 8259s, keyboard controller, the clock's interrupts, ACPI's fixed hardware",
	  option_flag, FIELD(legacy) },
	{ "load-address", "ADDRESS", "where a flat image goes, and starts (0x7c00 unless told)",
	  option_address, FIELD(files.address) },
	{ "mem", "SIZE", "the guest's memory, in K, M or G",
	  option_size, FIELD(memory), .initial = "256M", .minimum = 16 * SIZE_1M,
	  .maximum = 16ULL << 40 },
	{ "cpus", "N", "the guest's processors",
	  option_number, FIELD(cpus), .initial = "1", .minimum = 1, .maximum = THV_MAX_VCPUS },
	{ "cpuset", "LIST",
	  "run vCPUs on these CPUs of the host only, as in 0-1,3: vCPU n on the n-th of them, and from the first again when there are more vCPUs",
	  option_cpuset, FIELD(cpuset) },
	{ "name", "NAME", "what reports call the VM; without it, vm- and its number",
	  option_text, FIELD(name) },
	{ "serial", "WHERE", "the first serial port (ttyS0): " SERIAL_KINDS,
	  option_text, FIELD(serial), .initial = "stdio" },
	{ "serial2", "WHERE", "give the guest a second serial port (ttyS1), likewise",
	  option_text, FIELD(serial2) },
	{ "disk", "path=FILE[,...]",
	  "give the guest a disk (/dev/vda, vdb, ...): a raw image or block device; also ro (read-only), offset=BYTES and size=SIZE (a region of it), overlay=FILE (what is written goes there), discard; again for more disks",
	  option_list, FIELD(disks), .words = disk_rows },
	{ "net", "NETWORK",
	  "give the guest a virtio network card, plugged into user (NAT, without privileges), tap=IF, or switch=NAME (guests of this user); more words after commas: mac=ADDRESS; for user hostfwd=tcp:127.0.0.1:2222-:22, and loopback, which lets the guest reach the host's 127.0.0.1 as 10.0.2.2; again for one more card",
	  option_list, FIELD(nets), .words = net_options },
	{ "console", "WHERE", "give the guest a virtio console (hvc0): as a serial port",
	  option_text, FIELD(console) },
	{ "balloon", "SIZE", "give the guest a balloon, which takes so much of its memory to begin with",
	  option_size, FIELD(balloon), .minimum = PAGE_BYTES, .maximum = 16ULL << 40 },
	{ "balloon-control", "WHERE",
	  "... of no size to begin with unless told; a line with a size, sent there (pty, socket:PATH), is its new one, an empty line asks",
	  option_text, FIELD(balloon_control) },
	{ "rng", NULL, "give the guest the host's random numbers (/dev/hwrng)",
	  option_flag, FIELD(rng) },
	{ "keyboard", "WHERE", "with --legacy: type on the guest's keyboard what comes from there, likewise",
	  option_text, FIELD(keyboard) },
	{ "debugcon", "WHERE", "give the guest a debug console, ports 0x402 (SeaBIOS writes there) and 0xe9, likewise; it has no input",
	  option_text, FIELD(debugcon) },
	{ "debug-exit", "PORT",
	  "give the guest an I/O port (0xf4 unless told) that ends the VM: the lowest byte of what is written there is the exit status",
	  option_number, FIELD(debug_exit), .implied = "0xf4", .minimum = 1, .maximum = 0xffff },
	{ "paging", "KIND", "how guest memory is translated",
	  option_choice, FIELD(paging), .initial = "default", .choices = pagings },
	{ "no-vpid", NULL, "flush the TLB at each VM entry instead of tagging it",
	  option_flag, FIELD(no_vpid) },
	{ "no-huge", NULL, "map guest memory in 4 KiB pages only",
	  option_flag, FIELD(no_huge) },
	{ "no-apicv", NULL, "do not let the processor virtualize the local APIC",
	  option_flag, FIELD(no_apicv) },
	{ "no-pml", NULL, "find the pages the guest has written by their flags, not by the processor's log",
	  option_flag, FIELD(no_pml) },
	{ "no-ept-ad", NULL, "find the pages the guest has used or written by faults, not by the processor's flags",
	  option_flag, FIELD(no_ept_ad) },
	{ "no-fault-around", NULL, "map one page of guest memory a fault, without neighbours that the host has at hand",
	  option_flag, FIELD(no_fault_around) },
	{ "no-preemption-timer", NULL, "have the host's timers watch the guest's TSC deadlines, not the processor",
	  option_flag, FIELD(no_preemption_timer) },
	{ "hugepages", NULL, "take guest memory from the host's reserved 2 MiB pages",
	  option_flag, FIELD(hugepages) },
	{ "device-fd", "N", "use /dev/thv, open as descriptor N, instead of opening it",
	  option_number, FIELD(device_fd), .minimum = 3, .maximum = 1 << 20 },
	{ "sandbox", "HOW", "give up all rights that the running machine does not need",
	  option_choice, FIELD(sandbox), .initial = "on", .choices = sandboxes },
	{ "gdb", "WHERE",
	  "let a debugger connect there (gdb: target remote WHERE): " GDB_WHERE "; without HOST, from this machine only",
	  option_text, FIELD(gdb) },
	{ "gdb-wait", NULL, "... and begin when it says so",
	  option_flag, FIELD(gdb_wait) },
	{ "stats", NULL, "when the VM has ended, print its counters and what its exits cost, on standard error",
	  option_flag, FIELD(stats) },
	{ "json", NULL, "... as JSON", option_flag, FIELD(json) },
	{ "trace-io", NULL, "report accesses that no device answers, on standard error",
	  option_flag, FIELD(trace_io) },
	{ 0 }
};

static const char details[] =
	"With --serial stdio, a terminal becomes the guest's console: Ctrl-A x ends the VM, Ctrl-A h "
	"lists the other keys. Messages of thv itself go to standard error.\n\n"
	"With --debug-exit the guest chooses the exit status itself, any of 0 to 255; a second serial "
	"port can carry its results apart from the console: --serial file:LOG --serial2 stdout.\n\n"
	"SIGQUIT ends the VM and prints the registers of its vCPUs: for a guest that hangs.\n\n"
	"A reset ends the VM, too; start it again if it shall boot again. The default command line "
	"makes a Linux guest that panics ask for one.\n\n"
	"Example: thv run --kernel /boot/vmlinuz --initrd initramfs.cpio --mem 512M\n\n"
	"Example: thv run --kernel kernel.elf --module 'initrd.img root' --append debug\n\n"
	"Example: thv run lab.yaml --cpus 4";

static const struct option_status statuses[] = {
#define RUN_STATUS(name, status, meaning) { status, meaning },
	MACHINE_ENDS(RUN_STATUS)
#undef RUN_STATUS
	{ 0, NULL }
};

/* ---- before ------------------------------------------------------------- */

/* Of all that may be connected to standard output, one is */
static int check_channels(const struct run_values *values)
{
	const struct { const char *option, *where; } channels[] = {
		{ "serial", values->serial }, { "serial2", values->serial2 }, { "console", values->console },
		{ "balloon-control", values->balloon_control }, { "debugcon", values->debugcon },
		{ "keyboard", values->keyboard },
	};
	const char *user = NULL;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(channels); i++) {
		if (!channels[i].where)
			continue;
		if (channel_check(channels[i].option, channels[i].where))
			return -1;
		if (!channel_uses_stdio(channels[i].where))
			continue;
		if (user)
			return error_set("--%s %s: --%s has standard output already; give that another place",
					 channels[i].option, channels[i].where, user);
		user = channels[i].option;
	}
	return 0;
}

static int check_keyboard(const struct run_values *values)
{
	if (!values->keyboard || values->legacy || values->files.firmware)
		return 0;
	return error_set("--keyboard: the guest has none; give it --legacy, too");
}

static int check_gdb(const struct run_values *values)
{
	if (values->gdb)
		return gdb_check(values->gdb);
	return values->gdb_wait ? error_set("--gdb-wait: wait where? Give --gdb, too") : 0;
}

/* The commonest mistake is one that is not passed on; what it is, the module tells */
static int check_device(const struct run_values *values)
{
	if (!values->device_fd || fcntl(values->device_fd, F_SETFD, FD_CLOEXEC) >= 0)
		return 0;
	return error_set("--device-fd %u: no such descriptor is open; as in: thv run --device-fd 3 3<>/dev/thv",
			 values->device_fd);
}

static u64 memory_of(const struct run_values *values)
{
	return ALIGN_DOWN(values->memory, PAGE_BYTES);
}

static struct machine_config configure(const struct run_values *values, const struct boot_image *image)
{
	return (struct machine_config){
		.name = values->name ? values->name : "",
		.memory = memory_of(values),
		.cpus = values->cpus,
		.paging = values->paging,
		.vm_flags = (values->no_vpid ? THV_VM_NO_VPID : 0) |
			    (values->no_huge ? THV_VM_NO_HUGE : 0) |
			    (values->no_apicv ? THV_VM_NO_APICV : 0) |
			    (values->no_pml ? THV_VM_NO_PML : 0) |
			    (values->no_ept_ad ? THV_VM_NO_EPT_AD : 0) |
			    (values->no_fault_around ? THV_VM_NO_FAULT_AROUND : 0) |
			    (values->no_preemption_timer ? THV_VM_NO_PREEMPTION_TIMER : 0),
		.hugepages = values->hugepages,
		.trace_io = values->trace_io,
		.serial = { values->serial, values->serial2 },
		.debugcon = values->debugcon,
		.keyboard = values->keyboard,
		.console = values->console,
		.nets = values->nets,
		.balloon = values->balloon,
		.balloon_control = values->balloon_control,
		.debug_exit = values->debug_exit,
		.disks = values->disks,
		.rng = values->rng,
		.gdb = values->gdb,
		.gdb_wait = values->gdb_wait,
		.device_fd = values->device_fd,
		.no_sandbox = values->sandbox == SANDBOX_OFF,
		.cpuset = &values->cpuset,
		.real_mode = image->loader->real_mode,
		.legacy = values->legacy || image->loader->firmware,
		.fwcfg = boot_fwcfg(image),
		.rom = image->rom,
		.rom_size = image->rom_size,
	};
}

/* ---- after -------------------------------------------------------------- */

static u64 count_exits(const struct machine *machine, u32 exit)
{
	u64 total = 0;
	u32 id;

	for (id = 0; id < machine->config->cpus; id++)
		total += machine->vcpu[id].exits[exit];
	return total;
}

static void stats_text(struct machine *machine, const struct thv_vm_stats *stats,
		       const struct ledger *ledger)
{
	u32 i;

	fprintf(stderr, "%12s  counter\n", "count");
	for (i = 0; i < stats->counters && i < ARRAY_SIZE(counters); i++)
		if (stats->counter[i])
			fprintf(stderr, "%12llu  %s: %s\n", stats->counter[i], counters[i].name,
				counters[i].meaning);
	for (i = 0; i < VCPU_EXITS; i++)
		if (count_exits(machine, i))
			fprintf(stderr, "%12llu  exits to the launcher: %s\n",
				count_exits(machine, i), vcpu_exit_name(i));
	if (machine->bus.unclaimed)
		fprintf(stderr, "%12llu  accesses that no device answered\n",
			machine->bus.unclaimed);
	if (ledger_exits(ledger)) {
		fputc('\n', stderr);
		ledger_table(stderr, ledger, 0);
	}
}

static void stats_json(struct machine *machine, const struct thv_vm_stats *stats,
		       const struct ledger *ledger)
{
	struct json json = { .file = stderr };
	u32 i;

	json_open(&json, NULL, '{');
	json_number(&json, "id", machine->id);
	json_number(&json, "status", machine->status);
	json_open(&json, "counters", '{');
	for (i = 0; i < stats->counters && i < ARRAY_SIZE(counters); i++)
		json_number(&json, counters[i].name, stats->counter[i]);
	json_close(&json, '}');
	json_open(&json, "launcher", '{');
	for (i = 0; i < VCPU_EXITS; i++)
		if (vcpu_exit_name(i))
			json_number(&json, vcpu_exit_name(i), count_exits(machine, i));
	json_number(&json, "unclaimed", machine->bus.unclaimed);
	json_close(&json, '}');
	ledger_json(&json, "ledger", ledger);
	json_close(&json, '}');
	fputc('\n', stderr);
}

/* A dead VM has no counters any more; ours are left */
static void print_stats(struct machine *machine, bool as_json)
{
	static struct ledger ledger;
	struct thv_vm_stats stats;

	if (vm_stats(machine->vm, &stats) < 0)
		stats.counters = 0;
	if (ledger_read(machine->vm, &ledger))
		memset(&ledger, 0, sizeof(ledger));
	(as_json ? stats_json : stats_text)(machine, &stats, &ledger);
}

/* What a hung guest was at: that is what SIGQUIT is for */
static void dump_vcpus(struct machine *machine)
{
	u32 id;

	for (id = 0; id < machine->config->cpus; id++) {
		fprintf(stderr, "vCPU %u:\n", id);
		vcpu_dump(&machine->vcpu[id], stderr);
	}
}

/* ---- between ------------------------------------------------------------ */

/* What a kernel finds of firmware, where it is not firmware that starts */
static int load(struct machine *machine, const struct boot_image *image)
{
	struct acpi_options acpi = image->files.acpi;
	u64 rsdp = 0;

	acpi.park = !machine_has_real_mode(machine);
	if (!image->loader->firmware) {
		rsdp = acpi_build(&machine->memory, &acpi);
		if (!rsdp || reset_vector_build(&machine->memory) ||
		    (acpi.park && park_build(&machine->memory)))
			return -1;
	}
	return boot_load(image, &machine->memory, rsdp);
}

/*
 * The first at the kernel's entry, and with what firmware would have done to it; the others wait
 * for a SIPI, or in the mailbox's loop
 */
static int start_vcpus(struct machine *machine, const struct boot_image *image)
{
	u32 id;

	if (machine->config->legacy && !image->loader->firmware &&
	    vcpu_virtual_wire(&machine->vcpu[0]))
		return -1;
	for (id = 1; id < machine->config->cpus && !machine_has_real_mode(machine); id++)
		if (park_start(machine->vcpu[id].fd, id))
			return -1;
	return boot_start(image, machine->vcpu[0].fd);
}

static int run_machine(struct machine *machine, const struct machine_config *config,
		       struct boot_image *image, bool keep_ledger)
{
	if (machine_prepare(machine, config) ||
	    load(machine, image) ||
	    machine_create(machine) ||
	    (keep_ledger && ledger_keep(machine->vm) < 0) ||
	    start_vcpus(machine, image))
		return -1;
	boot_close_files(image);
	return machine_run(machine);
}

static int finish(struct machine *machine, const struct run_values *values, int result)
{
	char *reason = machine->reason;
	int status = result ? END_ERROR : machine->status;

	machine->reason = NULL;
	terminal_restore();
	if (!result && status == END_SIGNAL + SIGQUIT)
		dump_vcpus(machine);
	if (!result && (values->stats || values->json))
		print_stats(machine, values->json);
	machine_destroy(machine);
	if (result)
		fprintf(stderr, "thv run: %s\n", error_text());
	else if (reason)
		fprintf(stderr, "thv run: %s\n", reason);
	free(reason);
	return status;
}

/* Whatever is wrong with the options is found here, before there is a VM; then they are @config */
static int check(const struct run_values *values, struct boot_image *image,
		 struct machine_config *config)
{
	struct boot_files files = values->files;
	struct memory plan;

	memory_plan(&plan, memory_of(values));
	files.acpi = (struct acpi_options){
		.cpus = values->cpus,
		.dsdt = values->legacy || files.firmware ? acpi_legacy : acpi_dsdt,
		.ssdt = values->serial2 ? acpi_com2 : NULL,
		.legacy = values->legacy || files.firmware,
	};
	if (check_channels(values) || check_keyboard(values) || check_gdb(values) || check_device(values) ||
	    boot_open(image, &files, &plan))
		return -1;
	*config = configure(values, image);
	return machine_check(config);
}

static int run(void *opaque)
{
	static struct boot_image image;
	struct run_values *values = opaque;
	struct machine_config config;
	struct machine machine;
	int status, result;

	if (check(values, &image, &config)) {
		fprintf(stderr, "thv run: %s\n", error_text());
		return STATUS_USAGE;
	}
	result = run_machine(&machine, &config, &image, values->stats || values->json);
	status = finish(&machine, values, result);
	boot_close(&image);
	return status;
}

const struct command cmd_run = {
	.name = "run",
	.summary = "run a guest",
	.details = details,
	.options = options,
	.statuses = statuses,
	.values_size = sizeof(struct run_values),
	.run = run,
};
