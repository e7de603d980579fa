/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A vCPU: its thread, its run loop, and the table of its exits. Everything of
 * it belongs to its thread while that runs; vcpu_stop() may be called by others.
 */
#ifndef THV_VMM_VCPU_H
#define THV_VMM_VCPU_H

#include <stdatomic.h>
#include <stdio.h>

#include <thv.h>

#include "lib/types.h"
#include "vmm/thread.h"
#include "vmm/translate.h"

#define VCPU_EXITS	(THV_EXIT_ACKNOWLEDGE + 1)

struct machine;

struct vcpu {
	struct machine *machine;
	u32 id;
	int fd;
	struct thv_run *run;
	struct thread thread;
	struct translate_last last;	/* its thread's alone */
	atomic_bool hold;		/* is to wait: hold.h */
	bool held;			/* waits; under hold.lock */
	u64 exits[VCPU_EXITS];		/* by enum thv_exit, for --stats */
};

int vcpu_create(struct vcpu *vcpu, struct machine *machine, u32 id);
void vcpu_destroy(struct vcpu *vcpu);

/* Before the first vcpu_start(): SIGUSR1 brings a thread back from THV_RUN */
void vcpu_catch_kicks(void);
void vcpu_start(struct vcpu *vcpu);	/* with the other threads: thread.h */
void vcpu_kick(struct vcpu *vcpu);	/* any thread: out of THV_RUN */
/* Before it runs: LINT0 lets INTR through, as a BIOS leaves it for those that know no APIC */
int vcpu_virtual_wire(struct vcpu *vcpu);

/* Any thread: the level of INTR, the 8259s' wire to this vCPU */
void vcpu_intr(struct vcpu *vcpu, bool level);
void vcpu_stop(struct vcpu *vcpu);	/* wants machine->ending; waits for the thread */

/* What --stats calls an exit; NULL: not in use */
const char *vcpu_exit_name(u32 exit);

/* dump.c: registers and the instructions at RIP, for people */
void vcpu_dump(struct vcpu *vcpu, FILE *file);

#endif
