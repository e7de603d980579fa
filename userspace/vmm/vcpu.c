// SPDX-License-Identifier: GPL-2.0-only
/*
 * The run loop: THV_RUN, then what the exit asks for, out of one table. A handler
 * leaves the registers in the run page as they shall be at the next THV_RUN; one
 * that cannot go on calls machine_end(), and the loop sees that.
 */
#include "vmm/vcpu.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "device/pic.h"
#include "gdb/gdb.h"
#include "lib/device.h"
#include "lib/error.h"
#include "module/vmx/errors.h"
#include "vmm/cpuset.h"
#include "vmm/emulate.h"
#include "vmm/hold.h"
#include "vmm/machine.h"
#include "vmm/translate.h"

#define KICK		SIGUSR1
#define APIC_ENABLED	(1ULL << 11)
#define APIC_X2		(1ULL << 10)

/* End the machine with the sentence, the registers and the instructions at RIP */
__attribute__((format(printf, 3, 4)))
static void end_at(struct vcpu *vcpu, enum machine_end end, const char *format, ...)
{
	char *dump = NULL, *sentence = NULL;
	size_t size;
	va_list arguments;
	FILE *file = open_memstream(&dump, &size);

	va_start(arguments, format);
	if (vasprintf(&sentence, format, arguments) < 0)
		sentence = NULL;
	va_end(arguments);
	gdb_fatal(vcpu, end == END_SHUTDOWN, sentence);
	if (file) {
		vcpu_dump(vcpu, file);
		fclose(file);
	}
	machine_end(vcpu->machine, end, "vCPU %u: %s\n%s", vcpu->id, sentence ? sentence : format,
		    dump ? dump : "");
	free(sentence);
	free(dump);
}

/* ---- ports -------------------------------------------------------------- */

/* IN writes AL or AX and leaves the rest of RAX; EAX clears the upper half */
static u64 merge(u64 old, u32 data, u32 size)
{
	static const u64 kept[] = { [1] = ~0xffULL, [2] = ~0xffffULL, [4] = 0 };

	return (old & kept[size]) | data;
}

static void emulate(struct vcpu *vcpu);

static void on_io(struct vcpu *vcpu)
{
	struct thv_run *run = vcpu->run;
	struct thv_exit_io io = run->io;
	bool in = io.flags & THV_IO_IN;
	u32 data = in ? 0 : io.data;

	if (io.flags & THV_IO_STRING) {
		emulate(vcpu);
		return;
	}
	bus_port(&vcpu->machine->bus, io.port, &data, io.size, !in);
	if (in)
		run->regs.gpr[THV_RAX] = merge(run->regs.gpr[THV_RAX], data, io.size);
	run->regs.rip += io.instruction_length;
	run->dirty = THV_DIRTY_GPRS | THV_DIRTY_RIP | THV_DIRTY_COMPLETED;
}

/* ---- memory that is none ------------------------------------------------- */

static int read_entry(void *opaque, __u64 gpa, __u64 *entry, unsigned int size)
{
	struct vcpu *vcpu = opaque;
	const void *at = memory_look(&vcpu->machine->memory, gpa, size);

	if (!at)
		return -1;
	*entry = size == 4 ? __atomic_load_n((const u32 *)at, __ATOMIC_ACQUIRE) :
			     __atomic_load_n((const u64 *)at, __ATOMIC_ACQUIRE);
	return 0;
}

static int ask_module(struct vcpu *vcpu, __u64 gla, __u32 access, __u64 *gpa, __u32 *error_code)
{
	struct thv_translate translate = { .gla = gla, .access = access };

	if (vcpu_translate(vcpu->fd, &translate) < 0) {
		machine_end(vcpu->machine, END_MODULE, "vCPU %u: %s", vcpu->id, error_text());
		translate.result = THV_TRANSLATE_GUEST_FAULT;
	}
	*gpa = translate.gpa;
	*error_code = translate.error_code;
	return translate.result == THV_TRANSLATE_GUEST_FAULT;
}

static int on_translate(void *opaque, __u64 gla, __u32 access, __u64 *gpa, __u32 *error_code)
{
	struct vcpu *vcpu = opaque;
	const struct translate_memory memory = {
		vcpu->machine->info.guest_phys_bits, read_entry, vcpu,
	};

	if (translate_here(vcpu->run, &memory, &vcpu->last, gla, access, gpa))
		return 0;
	return ask_module(vcpu, gla, access, gpa, error_code);
}

static void *on_memory(void *opaque, __u64 gpa, __u32 len, int write)
{
	struct vcpu *vcpu = opaque;

	if (write)
		return memory_at(&vcpu->machine->memory, gpa, len);
	return (void *)memory_look(&vcpu->machine->memory, gpa, len);
}

static bool apic_page(const struct vcpu *vcpu, u64 gpa)
{
	u64 base = vcpu->run->apic_base;

	return (base & APIC_ENABLED) && !(base & APIC_X2) && !((base ^ gpa) >> 12);
}

/* The local APIC lives in the module, which has no decoder: we were only that */
static bool apic_access(struct vcpu *vcpu, u64 gpa, void *data, u32 length, bool write)
{
	struct thv_apic_access access = {
		.offset = gpa % PAGE_BYTES,
		.flags = write ? THV_APIC_WRITE : 0,
		.length = length,
	};

	if (!apic_page(vcpu, gpa))
		return false;
	if (write)
		memcpy(&access.data, data, length);
	if (vcpu_apic_access(vcpu->fd, &access) < 0)
		return false;	/* an odd length: answered as no device's */
	if (!write)
		memcpy(data, &access.data, length);
	return true;
}

static void on_mmio_access(void *opaque, __u64 gpa, void *data, __u32 len, int write)
{
	struct vcpu *vcpu = opaque;

	if (!apic_access(vcpu, gpa, data, len, write))
		bus_mmio(&vcpu->machine->bus, gpa, data, len, write);
}

static void on_port_access(void *opaque, __u16 port, void *data, __u32 len, int write)
{
	struct vcpu *vcpu = opaque;

	bus_port(&vcpu->machine->bus, port, data, len, write);
}

static const struct emulate_ops emulate_ops = {
	.translate = on_translate,
	.memory = on_memory,
	.mmio = on_mmio_access,
	.port = on_port_access,
};

static void inject(struct vcpu *vcpu, const struct emulate_fault *fault)
{
	struct thv_event_state events;

	if (vcpu_get(vcpu->fd, THV_STATE_EVENTS, &events, sizeof(events)) < 0) {
		end_at(vcpu, END_MODULE, "%s", error_text());
		return;
	}
	events.flags |= THV_EVENT_EXCEPTION | (fault->has_error_code ? THV_EVENT_ERROR_CODE : 0);
	events.exception_vector = fault->vector;
	events.exception_error = fault->error_code;
	if (fault->vector == 14) {
		events.flags |= THV_EVENT_PAYLOAD;
		events.exception_payload = fault->address;
	}
	if (vcpu_set(vcpu->fd, THV_STATE_EVENTS, &events, sizeof(events)) < 0)
		end_at(vcpu, END_MODULE, "%s", error_text());
}

static void emulate(struct vcpu *vcpu)
{
	struct emulate_fault fault;
	char text[256];

	switch (emulate_exit(vcpu->run, &emulate_ops, vcpu, &fault, text, sizeof(text))) {
	case EMULATE_DONE:
		break;
	case EMULATE_FAULT:
		inject(vcpu, &fault);
		break;
	case EMULATE_UNKNOWN:
		end_at(vcpu, END_UNSUPPORTED, "%s", text);
		break;
	}
}

static void on_mmio(struct vcpu *vcpu)
{
	if (vcpu->run->mmio.flags & THV_MMIO_TABLE)
		end_at(vcpu, END_UNSUPPORTED,
		       "the guest's page tables are at %#llx, where no memory is; a bigger --mem may help",
		       vcpu->run->mmio.gpa);
	else
		emulate(vcpu);
}

/* ---- other exits -------------------------------------------------------- */

static void on_eoi(struct vcpu *vcpu)
{
	irq_eoi(vcpu->machine, vcpu->run->eoi.vector);
}

/* The 8259s say which interrupt it is; as an event that is delivered again, it is delivered first */
static void on_acknowledge(struct vcpu *vcpu)
{
	struct thv_event_state events;

	if (vcpu_get(vcpu->fd, THV_STATE_EVENTS, &events, sizeof(events)) < 0) {
		end_at(vcpu, END_MODULE, "%s", error_text());
		return;
	}
	events.flags |= THV_EVENT_REINJECT;
	events.reinject = pic_acknowledge(vcpu->machine->pic);
	events.reinject_error = 0;
	events.reinject_length = 0;
	events.mp_state = THV_MP_RUNNING;
	if (vcpu_set(vcpu->fd, THV_STATE_EVENTS, &events, sizeof(events)) < 0)
		end_at(vcpu, END_MODULE, "%s", error_text());
}

static void on_stopped(struct vcpu *vcpu)
{
	machine_end(vcpu->machine, END_STOPPED, "stopped by another process");
}

static void on_shutdown(struct vcpu *vcpu)
{
	end_at(vcpu, END_SHUTDOWN,
	       "triple fault: an exception could not be delivered, nor the double fault after it. Look at the registers below; a Linux guest tells more with `earlyprintk=serial` in --append");
}

#define INSTRUCTION_ERROR(number, text) \
	[number] = text,
static const char *const instruction_errors[] = { VMX_INSTRUCTION_ERRORS(INSTRUCTION_ERROR) };
#undef INSTRUCTION_ERROR

/* The processor's own words, which are few */
static void refused_for_unknown_reason(struct vcpu *vcpu, const struct thv_exit_fail_entry *fail)
{
	u32 error = fail->instruction_error;
	const char *name = error < ARRAY_SIZE(instruction_errors) ? instruction_errors[error] : NULL;

	end_at(vcpu, END_FAIL_ENTRY,
	       "the processor refused to enter the guest on CPU %u, and thv cannot say why: its state breaks no rule of VM entry that thv knows. Reason %#llx, qualification %#llx, VM-instruction error %u%s%s. That is a bug in thv or in the processor: please report it with the registers below",
	       fail->cpu, fail->hardware_reason, fail->qualification, error,
	       name ? ", " : "", name ? name : "");
}

static void on_fail_entry(struct vcpu *vcpu)
{
	struct thv_exit_fail_entry fail = vcpu->run->fail_entry;
	char rules[4096];
	int broken = vcpu_explain(vcpu->fd, rules, sizeof(rules));

	if (broken <= 0) {
		refused_for_unknown_reason(vcpu, &fail);
		return;
	}
	end_at(vcpu, END_FAIL_ENTRY,
	       "the processor refused to enter the guest: its state breaks %d rule%s of VM entry:\n%sIf the guest did not set that state up itself, it is a bug in thv: please report it with the registers below",
	       broken, broken == 1 ? "" : "s", rules);
}

static void on_machine_check(struct vcpu *vcpu)
{
	machine_end(vcpu->machine, END_MACHINE_CHECK,
		    "vCPU %u: a machine check while entering the guest: the hardware is failing; the kernel log says where",
		    vcpu->id);
}

static void on_memory_fault(struct vcpu *vcpu)
{
	struct thv_exit_memory_fault fault = vcpu->run->memory_fault;

	if (fault.error == EACCES)
		return end_at(vcpu, END_MEMORY_FAULT,
			      "the guest takes an instruction from %#llx, where its memory may hold no code",
			      fault.gpa);
	end_at(vcpu, END_MEMORY_FAULT,
	       "guest memory at %#llx cannot be had from the host: %s. With --hugepages, reserve more (/proc/sys/vm/nr_hugepages); else free memory",
	       fault.gpa, strerror(fault.error));
}

static const char *const unsupported[] = {
	[THV_UNSUPPORTED_TASK_SWITCH] =
		"a hardware task switch, which thv does not do; use a guest that switches tasks in software",
	[THV_UNSUPPORTED_REAL_MODE] =
		"real or virtual-8086 mode, which this processor cannot run for a guest (no unrestricted guest); start the guest in protected or 64-bit mode",
	[THV_UNSUPPORTED_FETCH] =
		"a jump to where no memory is; if that address should be memory, give more --mem",
	[THV_UNSUPPORTED_EXIT] =
		"an exit that thv's settings exclude: a bug in thv (or the processor), please report it",
	[THV_UNSUPPORTED_EVENT_MMIO] =
		"a stack or descriptor table where no memory is; the guest's set-up is wrong, or --mem is too small",
};

static void on_unsupported(struct vcpu *vcpu)
{
	struct thv_exit_unsupported exit = vcpu->run->unsupported;
	const char *text = exit.what < ARRAY_SIZE(unsupported) ? unsupported[exit.what] : NULL;

	end_at(vcpu, END_UNSUPPORTED, "%s (reason %#llx, details %#llx %#llx %#llx %#llx)",
	       text ? text : "an exit this thv does not know; install module and launcher from one build",
	       exit.hardware_reason, exit.detail[0], exit.detail[1], exit.detail[2],
	       exit.detail[3]);
}

/*
 * One row for each enum thv_exit. A handler runs on the vCPU's thread with the
 * guest stopped before the instruction in question.
 */
static const struct {
	const char *name;
	void (*handle)(struct vcpu *vcpu);
} exits[VCPU_EXITS] = {
	[THV_EXIT_IO]		= { "port", on_io },
	[THV_EXIT_MMIO]		= { "mmio", on_mmio },
	[THV_EXIT_EOI]		= { "eoi", on_eoi },
	[THV_EXIT_STOPPED]	= { "stopped", on_stopped },
	[THV_EXIT_SHUTDOWN]	= { "shutdown", on_shutdown },
	[THV_EXIT_FAIL_ENTRY]	= { "failed entry", on_fail_entry },
	[THV_EXIT_MACHINE_CHECK] = { "machine check", on_machine_check },
	[THV_EXIT_MEMORY_FAULT]	= { "memory fault", on_memory_fault },
	[THV_EXIT_UNSUPPORTED]	= { "unsupported", on_unsupported },
	[THV_EXIT_DEBUG]	= { "debug", gdb_debug_exit },
	[THV_EXIT_ACKNOWLEDGE]	= { "acknowledge", on_acknowledge },
};

const char *vcpu_exit_name(u32 exit)
{
	return exit < VCPU_EXITS ? exits[exit].name : NULL;
}

static void handle_exit(struct vcpu *vcpu)
{
	u32 exit = vcpu->run->exit;

	if (!vcpu_exit_name(exit)) {
		machine_end(vcpu->machine, END_MODULE,
			    "vCPU %u: the module reports exit %u, which this thv does not know; install both from one build",
			    vcpu->id, exit);
		return;
	}
	vcpu->exits[exit]++;
	exits[exit].handle(vcpu);
}

/* ---- the loop ----------------------------------------------------------- */

static void run_failed(struct vcpu *vcpu)
{
	if (errno == EIO)
		machine_end(vcpu->machine, END_MODULE,
			    "vCPU %u: the VM is dead; the kernel log says why (dmesg)", vcpu->id);
	else
		end_at(vcpu, END_MODULE, "cannot run: %s; a bug in thv, please report it",
		       strerror(errno));
}

static void run_loop(void *opaque)
{
	struct vcpu *vcpu = opaque;

	while (!atomic_load_explicit(&vcpu->machine->ending, memory_order_relaxed)) {
		if (atomic_load_explicit(&vcpu->hold, memory_order_relaxed))
			hold_here(vcpu);
		else if (!vcpu_run(vcpu->fd))
			handle_exit(vcpu);
		else if (errno != EINTR)
			run_failed(vcpu);
	}
}

/* The signal is only there to interrupt the ioctl */
static void kicked(int signal)
{
	(void)signal;
}

void vcpu_catch_kicks(void)
{
	struct sigaction action = { .sa_handler = kicked };

	sigaction(KICK, &action, NULL);
}

void vcpu_start(struct vcpu *vcpu)
{
	char name[16];

	snprintf(name, sizeof(name), "vcpu%u", vcpu->id);
	thread_start(vcpu->machine, &vcpu->thread, THREAD_VCPU, name, run_loop, vcpu);
	vcpu->thread.cpu = cpuset_cpu(vcpu->machine->config->cpuset, vcpu->id);
}

/*
 * The signal may come before the thread is in THV_RUN, where it would change
 * nothing; immediate_exit, set before, is then what brings THV_RUN back.
 */
void vcpu_kick(struct vcpu *vcpu)
{
	__atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	if (vcpu->thread.started)
		pthread_kill(vcpu->thread.id, KICK);
}

static void put(struct thv_apic *apic, u32 offset, u32 value)
{
	memcpy(apic->regs + offset, &value, sizeof(value));
}

/* SDM 11.9 and 11.5.1: the APIC is enabled by software, and LINT0 is an ExtINT */
int vcpu_virtual_wire(struct vcpu *vcpu)
{
	enum { SPURIOUS = 0xf0, ENABLED = 0x1ff, LINT0 = 0x350, EXTINT = 0x700 };
	struct thv_apic apic;

	if (vcpu_get(vcpu->fd, THV_STATE_APIC, &apic, sizeof(apic)) < 0)
		return -1;
	put(&apic, SPURIOUS, ENABLED);
	put(&apic, LINT0, EXTINT);
	return vcpu_set(vcpu->fd, THV_STATE_APIC, &apic, sizeof(apic)) < 0 ? -1 : 0;
}

/*
 * THV_RUN looks at the level when it begins. One that is under way is ended by the signal; if the
 * signal comes before, THV_RUN finds the new level.
 */
void vcpu_intr(struct vcpu *vcpu, bool level)
{
	__atomic_store_n(&vcpu->run->intr, level, __ATOMIC_SEQ_CST);
	if (level && vcpu->thread.started && !pthread_equal(pthread_self(), vcpu->thread.id))
		pthread_kill(vcpu->thread.id, KICK);
}

void vcpu_stop(struct vcpu *vcpu)
{
	vcpu_kick(vcpu);
	hold_wake(vcpu->machine);
	thread_join(&vcpu->thread);
}

int vcpu_create(struct vcpu *vcpu, struct machine *machine, u32 id)
{
	vcpu->machine = machine;
	vcpu->id = id;
	vcpu->fd = vm_create_vcpu(machine->vm, id);
	if (vcpu->fd < 0)
		return -1;
	vcpu->run = vcpu_map(vcpu->fd);
	return vcpu->run ? 0 : -1;
}

void vcpu_destroy(struct vcpu *vcpu)
{
	if (vcpu->run)
		munmap(vcpu->run, THV_RUN_SIZE);
	if (vcpu->fd >= 0)
		close(vcpu->fd);
}
