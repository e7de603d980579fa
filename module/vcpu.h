/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A vCPU: one thread's view of one guest processor. See vcpu.c for its life and the run loop.
 */
#ifndef THV_VCPU_H
#define THV_VCPU_H

#include <linux/bitmap.h>
#include <linux/preempt.h>
#include <linux/wait.h>
#include <asm/fpu/api.h>
#include <asm/fpu/types.h>
#include "backend.h"
#include "inspect.h"
#include "lapic.h"
#include "msr.h"
#include "stats.h"
#include "vm.h"

/*
 * Requests: what any thread may ask of a vCPU. thv_vcpu_request() sets the bit and
 * kicks; the vCPU sees it before its next entry into the guest, or never enters.
 */
enum thv_request {
	THV_REQ_EVENT,		/* an interrupt, NMI, INIT or SIPI may be deliverable: look again */
	THV_REQ_FLUSH_SECOND,	/* flush before the next entry */
	THV_REQ_FLUSH_LINEAR,
	THV_REQ_DRAIN_LOG,	/* empty the processor's log of written pages */
	THV_REQ_INSPECT,	/* somebody wants to look: step aside */
	THV_REQ_STATE,		/* vm->state changed */
	THV_REQ_START,		/* the first THV_RUN: listeners are told */
	THV_REQ_CLOCK,		/* the paravirtual clock page must be written */
	THV_REQ_EOI,		/* eoi_pending has a bit: tell the launcher */
	THV_REQ_STEPPED,	/* the debugger's step is done: debugger.h */
};

/* Bits of debug registers that a guest may set, and that always read as 1 (SDM 18.2) */
#define THV_DR6_WRITABLE	0x0000e00fULL
#define THV_DR6_FIXED_1		0xffff0ff0ULL
#define THV_DR7_WRITABLE	0xffff23ffULL
#define THV_DR7_FIXED_1		0x00000400ULL
#define THV_DR6_BD		BIT(13)
#define THV_DR7_GD		BIT(13)
#define THV_DR7_ENABLED		0xffULL

/* vcpu->mode: where the thread is; see thv_vcpu_kick() for the protocol */
enum thv_mode {
	THV_MODE_OUTSIDE,
	THV_MODE_GUEST,
	THV_MODE_LEAVING,
};

/* Events waiting for delivery; owned by event.c */
struct thv_events {
	struct thv_event reinject;	/* delivery was interrupted by an exit: goes first */
	struct thv_event exception;	/* raised, not yet delivered */
	bool payload_valid;
	u64 payload;			/* #PF: CR2; #DB: DR6 bits */
	u32 nmis;			/* pending; taken in from nmi_requested */
	atomic_t nmi_requested;		/* by any thread */
	unsigned long async;		/* any thread: THV_ASYNC_* */
	u8 sipi_vector;
};

#define THV_ASYNC_INIT	0
#define THV_ASYNC_SIPI	1

struct thv_ledger;

struct thv_vcpu {
	struct thv_vm *vm;
	u32 id;
	struct mutex busy;		/* a call of the launcher's is under way: only ever tried */
	struct mutex lock;		/* all that follows and is not atomic */
	struct thv_inspect inspect;	/* who looks from outside: inspect.c */
	struct thv_run *run;		/* the run page, kernel address */

	/* where it runs */
	struct preempt_notifier preempt;
	int cpu;			/* that has it loaded or had it last; -1: none yet */
	struct task_struct *thread;	/* in THV_RUN; read by spin.c, under RCU */
	bool pushed_off;		/* ... and taken off its CPU, with more to do */
	unsigned long rcu_told;		/* jiffies; the vCPU's thread only */
	atomic_t mode;			/* enum thv_mode */
	unsigned long requests;		/* bits of enum thv_request */
	bool look_for_events;		/* something changed: thv_events_inject() has work */
	wait_queue_head_t wait;		/* the halted vCPU sleeps here */
	u32 mp_state;			/* enum thv_mp_state; the vCPU's thread only */
	u32 terminal;			/* a terminal exit was given: every RUN repeats it */
	bool end_told;			/* listeners know of it */

	/* what the guest sees */
	/* gpr[] always but RSP; RSP, RIP, RFLAGS after read_regs() */
	struct thv_regs regs;
	/* cr0, cr4: bits the guest may change by itself (TS, WP, PGE, ...) */
	u64 cr0;
	u64 cr4;			/* are current after get_context() or get_sregs() only */
	u64 efer;
	u64 cr2;
	u64 dr[4];
	u64 dr6;
	u64 dr7;
	u64 dr7_in_force;		/* that, or the debugger's */
	u64 xcr0;
	u64 host_xcr0;
	u64 tsc_offset;
	struct thv_msrs_soft msr;	/* values msr.c keeps: msr.h */
	struct fpu_guest fpu;
	struct thv_shadow_vcpu shadow;	/* paging/shadow.h; with shadow paging only */
	struct thv_lapic lapic;
	struct thv_events events;
	DECLARE_BITMAP(eoi_pending, 256);

	/* debugger.c; no part of the state */
	struct {
		u32 flags;		/* THV_DEBUG_* */
		u64 dr[4];
		u64 dr7;
	} debugger;

	/* paravirtual clock (hypercall.c) */
	u64 pv_clock_msr;		/* as the guest wrote it; bit 0: enabled */

	u64 stats[THV_STATS];
	struct thv_flush_vcpu flushes;	/* its page of the flush ledger */
	struct thv_ledger *ledger;	/* ledger.c's; NULL: nobody ever wanted one */
};

/* vcpu.c */
struct file *thv_vcpu_create(struct thv_vm *vm, const struct thv_create_vcpu *args);
void thv_vcpu_destroy(struct thv_vcpu *vcpu);	/* called by vm.c when the VM goes */
/* Any context: make it look at its requests: out of the guest, or out of its sleep. */
void thv_vcpu_kick(struct thv_vcpu *vcpu);
void thv_vcpu_request(struct thv_vcpu *vcpu, enum thv_request request);
/*
 * As a request to every vCPU of the VM, and return once none can still be in the guest without
 * having seen it.
 */
void thv_vm_request_all(struct thv_vm *vm, enum thv_request request);

/* The vCPU's thread, loaded: the state at power-up, or with @init after an INIT (SDM table 10-1) */
void thv_vcpu_reset(struct thv_vcpu *vcpu, bool init);
/*
 * vcpu->lock held: put the vCPU on this CPU for backend operations, and off
 * again.
 */
void thv_vcpu_load(struct thv_vcpu *vcpu);
void thv_vcpu_put(struct thv_vcpu *vcpu);

/* Does the processor deliver this vCPU's interrupts by itself, out of the APIC's page? */
static inline bool thv_vcpu_virtual_interrupts(const struct thv_vcpu *vcpu)
{
	return vcpu->vm->features & THV_FEATURE_VIRTUAL_INTERRUPTS;
}

/* state.c: THV_GET_STATE and THV_SET_STATE; loaded */
long thv_state_get(struct thv_vcpu *vcpu, const struct thv_state *args);
/*
 * Its three steps: a buffer (or ERR_PTR), not loaded; what goes in there; out with it, not loaded
 * again. The last one frees the buffer, and returns what the ioctl returns.
 */
void *thv_state_prepare(const struct thv_state *args);
long thv_state_read(struct thv_vcpu *vcpu, const struct thv_state *args, void *data);
long thv_state_finish(const struct thv_state *args, void *data, long result);
long thv_state_set(struct thv_vcpu *vcpu, const struct thv_state *args);
bool thv_rflags_valid(u64 rflags);

/* event.c: any thread, any context */
void thv_vcpu_nmi(struct thv_vcpu *vcpu);
void thv_vcpu_init_signal(struct thv_vcpu *vcpu);
void thv_vcpu_sipi(struct thv_vcpu *vcpu, u8 vector);
void thv_vcpu_notify_eoi(struct thv_vcpu *vcpu, u8 vector);	/* the vCPU's thread */

/* event.c: the vCPU's thread */
/* an exception without error code */
void thv_raise(struct thv_vcpu *vcpu, u8 vector);
void thv_raise_error(struct thv_vcpu *vcpu, u8 vector, u32 error);
void thv_raise_pf(struct thv_vcpu *vcpu, u64 address, u32 error);
void thv_raise_db(struct thv_vcpu *vcpu, u64 dr6_bits);

/* Exits as neutral descriptions; each completes the exit or fills vcpu->run. */
struct thv_io {
	u16 port;
	u8 size;
	bool in, string, rep;
	u8 length;		/* of the instruction */
	u8 address_bits;	/* string only */
	u64 gla;		/* string only */
};

enum thv_next thv_exit_io(struct thv_vcpu *vcpu, const struct thv_io *io);
enum thv_next thv_exit_unsupported(struct thv_vcpu *vcpu, u32 what, u64 reason, u64 d0, u64 d1);
/* memory.c: a second-level fault, struct thv_fault in memory.h */

/*
 * The instruction that caused this exit has been carried out: RIP moves past it, interrupt
 * shadows end, its single-step trap becomes due. false: its length is not known (nothing is
 * changed).
 */
bool thv_skip_instruction(struct thv_vcpu *vcpu);

u64 thv_guest_tsc(struct thv_vcpu *vcpu);	/* now */

#endif
