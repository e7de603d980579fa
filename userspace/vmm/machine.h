/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The machine: everything a guest sees, and the threads that run it.
 *
 * Threads (thread.h): the main one waits for events (events.h) from the start of the
 * vCPUs until machine_end(); each vCPU has one that does nothing but THV_RUN and what
 * its exits ask for, devices included; a device may have one, too. So a device is
 * called from several kinds and locks what it owns.
 */
#ifndef THV_VMM_MACHINE_H
#define THV_VMM_MACHINE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include <thv.h>

#include "lib/options.h"
#include "lib/types.h"
#include "vmm/bus.h"
#include "vmm/events.h"
#include "vmm/hold.h"
#include "vmm/memory.h"
#include "vmm/sandbox.h"

struct cpuset;
struct fwcfg_items;
struct gdb;
struct ioapic;
struct machine;
struct pci;
struct pic;
struct pit;
struct state_part;
struct thread;
struct vcpu;

/*
 * How a machine ends: the exit statuses of `thv run`, each declared once for the
 * code and for --help. The guest's own status (--debug-exit) is any of 0 to 255,
 * so these keep out of the way of the usual ones.
 */
#define MACHINE_ENDS(END)								\
	END(POWEROFF, 0, "the guest powered off, or the user ended it (Ctrl-A x)")	\
	END(ERROR, 1, "the machine could not be made")					\
	END(RESET, 110, "the guest asked for a reset")					\
	END(SHUTDOWN, 111, "triple fault: the guest could not deliver an exception")	\
	END(FAIL_ENTRY, 112, "the processor refused the guest's state")			\
	END(UNSUPPORTED, 113, "the guest did what thv cannot do")			\
	END(MEMORY_FAULT, 114, "the launcher's memory behind the guest's is not accessible") \
	END(MACHINE_CHECK, 115, "a machine check while entering the guest")		\
	END(STOPPED, 116, "another process stopped the VM")				\
	END(MODULE, 117, "the module failed: the VM is dead")				\
	END(SANDBOX, 118, "the launcher called what its sandbox does not allow")	\
	END(SIGNAL, 128, "plus a signal's number: ended by that signal")

enum machine_end {
#define MACHINE_END_VALUE(name, status, meaning) END_##name = status,
	MACHINE_ENDS(MACHINE_END_VALUE)
#undef MACHINE_END_VALUE
};

enum machine_serial { SERIAL_CONSOLE, SERIAL_SECOND, SERIAL_PORTS };

struct machine_config {
	const char *name;
	u64 memory;
	u32 cpus;
	u32 paging;			/* enum thv_paging */
	u32 vm_flags;			/* THV_VM_* */
	bool hugepages;
	bool trace_io;
	const char *serial[SERIAL_PORTS];	/* kinds of channel; NULL: no such port */
	const char *keyboard;		/* a kind of channel, of what is typed; NULL: nobody types */
	const char *debugcon;		/* a kind of channel; NULL: no debug console */
	const char *console;		/* a kind of channel; NULL: no virtio console */
	struct option_list nets;	/* as after --net, one a card */
	u64 balloon;			/* its first size */
	const char *balloon_control;	/* a kind of channel; without both there is no balloon */
	u32 debug_exit;			/* a port, or 0 */
	struct option_list disks;	/* each as in --disk: disk.h */
	bool rng;
	const char *gdb;		/* where a debugger connects, or NULL */
	bool gdb_wait;			/* nothing runs before it says so */
	u32 device_fd;			/* an open /dev/thv; 0: open it */
	bool no_sandbox;
	const struct cpuset *cpuset;	/* of the vCPUs; NULL: any CPU */
	bool real_mode;			/* the guest begins in real mode */
	const struct fwcfg_items *fwcfg;	/* NULL: no fw_cfg */
	const u8 *rom;			/* firmware, which ends at 4 GiB; NULL: none */
	u64 rom_size;
	bool legacy;			/* 8254, 8259s, keyboard controller, the clock's interrupts */
};

/* Tear-down, in the reverse order of machine_at_end() */
struct machine_finish {
	struct machine_finish *next;
	void (*finish)(void *opaque);
	void *opaque;
};

struct machine {
	const struct machine_config *config;
	int device, vm;			/* descriptors; -1: not yet */
	u32 id;
	struct thv_info info;
	struct memory memory;
	struct bus bus;
	struct events events;
	struct ioapic *ioapic;
	struct pic *pic;		/* NULL: there is none (legacy), nor the next */
	struct pit *pit;
	struct pci *pci;		/* NULL: nobody has asked for it yet */
	struct vcpu *vcpu;		/* config->cpus of them */
	struct hold hold;
	struct gdb *gdb;		/* NULL: there is none */
	struct machine_finish *finishes;
	struct state_part *states;	/* what each device saves: state.h */
	struct thread *threads;		/* thread.h: in the order they begin in */
	struct sandbox_plan sandbox;	/* what devices need, said in create() */

	atomic_bool ending;		/* set once, by the first machine_end() */
	int status;			/* of that one; read after the threads have ended */
	char *reason;			/* NULL: nothing to say */
};

/*
 * A device: one file in device/, which declares itself with DEVICE(). create()
 * claims its ports and addresses and whatever else it needs (machine_at_end() to
 * release it), or leaves it be when the configuration has no such device. 0, or -1
 * with the error text. check() says before there is a VM whether it could be created, with an
 * error text that names the option: DEVICE(id, create, .check = check).
 */
struct device {
	const char *name;
	int (*create)(struct machine *machine);
	int (*check)(const struct machine_config *config);	/* NULL: nothing can be wrong */
};

#define DEVICE(id, create_, ...)							\
	static const struct device device_##id = {					\
		.name = #id, .create = create_, ##__VA_ARGS__ };				\
	static const struct device *const device_entry_##id				\
	__attribute__((section("thv_devices"), used)) = &device_##id

/* Raise or lower a pin of the IOAPIC, and of the 8259s where there are some. Any thread. */
void irq_set(struct machine *machine, u32 pin, bool level);
void irq_eoi(struct machine *machine, u8 vector);

/* Call finish(opaque) when the machine is taken apart, after all vCPUs have stopped */
int machine_at_end(struct machine *machine, void (*finish)(void *opaque), void *opaque);

/*
 * End the machine: the first call decides the status and the reason (printf style;
 * NULL: nothing to say). Any thread; returns at once.
 */
__attribute__((format(printf, 3, 4)))
void machine_end(struct machine *machine, int status, const char *reason, ...);

/* Is the configuration one that the devices can do? 0, or -1 with the error text */
int machine_check(const struct machine_config *config);

/* Can its vCPUs run in real mode, so that INIT and SIPI start them? After machine_prepare() */
bool machine_has_real_mode(const struct machine *machine);

/*
 * The life of a machine, in this order. machine_prepare() asks the module what there is, and
 * makes all that needs no VM: after it the loaders may write to memory. machine_create() asks
 * the module for the VM and builds the devices. machine_run() returns when somebody
 * called machine_end(). All but the last: 0, or -1 with the error text.
 */
int machine_prepare(struct machine *machine, const struct machine_config *config);
int machine_create(struct machine *machine);
int machine_run(struct machine *machine);
void machine_destroy(struct machine *machine);

#endif
