/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The vendor boundary: what shared code asks of VMX (or, later, SVM).
 *
 * One contract for all: unless an operation says otherwise it is called by the
 * thread that owns the vCPU (vcpu->lock held), between load() and put() on the
 * CPU of that load(), with preemption allowed only through the preemption notifier that
 * calls put() and load(); interrupts may be on. Nothing outside a backend's folder
 * names a VMCS or VMCB field; a handler turns the vendor's exit into one of the
 * neutral calls of vcpu.h, memory.h, msr.h.
 */
#ifndef THV_BACKEND_H
#define THV_BACKEND_H

#include <linux/types.h>
#include "../uapi/thv.h"

struct thv_debug_try;
struct thv_vcpu;
struct thv_vm;

/* What an exit handler answers; there is no third way. */
enum thv_next {
	THV_NEXT_RESUME,	/* enter the guest again */
	THV_NEXT_USER,		/* run->exit is filled: back to the launcher */
};

/**
 * struct thv_caps - what this machine offers, found once by probe().
 * @offered, @used: THV_FEATURE_*.
 * @phys_bits: guest-physical address width the second level can hold.
 * @vpids: translation tags to use (0: none).
 */
struct thv_caps {
	u64 offered;
	u64 used;
	u32 phys_bits;
	u32 vpids;
};

extern struct thv_caps thv_caps;

/* kinds of thv_backend.flush */
enum thv_flush {
	/* all translations derived from this VM's second-level tables, on this CPU */
	THV_FLUSH_SECOND,
	/* the guest's own (linear) translations of this vCPU, globals included */
	THV_FLUSH_LINEAR,
	/* all: the vCPU has not been on this CPU, or not since it was on another */
	THV_FLUSH_ARRIVED,
	/* those of one linear address: flush_page */
	THV_FLUSH_PAGE,
};

/* thv_backend.inject: what is to be delivered at the next entry */
enum thv_event_type {	/* SDM table 25-17 and APM 15.20 agree on these numbers but for 5 and 6 */
	THV_EVENT_INTERRUPT = 0,
	THV_EVENT_NMI = 2,
	THV_EVENT_FAULT = 3,	/* hardware exception */
	THV_EVENT_SOFT_INT = 4,	/* INT n */
	THV_EVENT_PRIV_SOFT = 5,	/* INT1 */
	THV_EVENT_SOFT_EXC = 6,	/* INT3, INTO */
};

struct thv_event {
	bool valid;
	bool has_error;
	u8 vector;
	u8 type;		/* enum thv_event_type */
	u32 error;
	u32 length;		/* instruction bytes, for the software kinds */
};

/* An exit as tracepoints tell it, in the vendor's encoding */
struct thv_exit_detail {
	u32 reason;		/* as thv_backend.exit_reason says */
	u32 event;		/* VMX: interruption information; 0: none */
	u32 vectoring;		/* VMX: IDT-vectoring information; 0: none */
	u64 rip;
	u64 qualification;
};

/* Why the guest cannot take an event now: bits of thv_backend.blocking */
#define THV_BLOCK_STI	BIT(0)
#define THV_BLOCK_MOVSS	BIT(1)
#define THV_BLOCK_NMI	BIT(3)	/* same bits as VMX's interruptibility state */

struct thv_backend {
	const char *name;
	u32 id;			/* enum thv_backend_id */
	size_t vcpu_size;	/* struct thv_vcpu is its first member */

	/* The machine. probe: may sleep; prints why not, -EOPNOTSUPP, -EPERM or -EBUSY. */
	int (*probe)(void);
	void (*remove)(void);
	/*
	 * Into and out of root mode on this CPU; interrupts off. claimed: is somebody else there?
	 */
	bool (*claimed)(void);
	int (*cpu_on)(void);
	void (*cpu_off)(void);
	/* As cpu_off, from a crash or NMI: no locks, no printing, any state. */
	void (*emergency_off)(void);

	/*
	 * A VM, a vCPU: may sleep, nothing loaded. vm_create: after thv_memory_init(); nothing to
	 * undo.
	 */
	int (*vm_create)(struct thv_vm *vm);
	int (*vcpu_create)(struct thv_vcpu *vcpu);
	void (*vcpu_destroy)(struct thv_vcpu *vcpu);

	/* This CPU gets (loses) the vCPU; preemption off. */
	void (*load)(struct thv_vcpu *vcpu, int cpu);
	void (*put)(struct thv_vcpu *vcpu);

	/*
	 * prepare: interrupts are off now, and stay so during the entries and exits that follow.
	 * What only other code of the host changes is looked at here, and then stays as it is.
	 *
	 * enter: one entry and one exit. Then the exit is handled: handle_fast with
	 * interrupts still off answers false if it is none of its exits, and has done no more than
	 * to note an event whose delivery the exit broke off; handle runs with interrupts and
	 * preemption on.
	 */
	void (*prepare)(struct thv_vcpu *vcpu);
	void (*enter)(struct thv_vcpu *vcpu);
	bool (*handle_fast)(struct thv_vcpu *vcpu, enum thv_next *next);
	enum thv_next (*handle)(struct thv_vcpu *vcpu);

	/*
	 * Why the last entry ended, for who counts and watches: the vendor's reason, below
	 * exit_reasons, or exit_reasons itself when the entry was refused before it began.
	 */
	u32 exit_reasons;
	u32 (*exit_reason)(struct thv_vcpu *vcpu);
	void (*exit_detail)(struct thv_vcpu *vcpu, struct thv_exit_detail *detail);

	/* Registers: RIP, RSP and RFLAGS live with the vendor until asked for. */
	void (*read_regs)(struct thv_vcpu *vcpu);	/* fills vcpu->regs.{rip,rflags,gpr[RSP]} */
	void (*write_regs)(struct thv_vcpu *vcpu);	/* ... and the other way */
	void (*get_sregs)(struct thv_vcpu *vcpu, struct thv_sregs *sregs);
	/* checked already */
	int (*set_sregs)(struct thv_vcpu *vcpu, const struct thv_sregs *sregs);
	void (*get_context)(struct thv_vcpu *vcpu, struct thv_exit_context *context);
	/* those msr.c calls BACKEND */
	int (*get_msr)(struct thv_vcpu *vcpu, u32 index, u64 *value);
	int (*set_msr)(struct thv_vcpu *vcpu, u32 index, u64 value);
	/* Past the instruction of this exit, as thv_skip_instruction() says. */
	bool (*skip)(struct thv_vcpu *vcpu);
	/* Debug exceptions recognised and not delivered (SDM 25.4.2), as DR6 shows them */
	u64 (*get_pending_debug)(struct thv_vcpu *vcpu);
	void (*set_pending_debug)(struct thv_vcpu *vcpu, u64 dr6_bits);
	void (*set_dr7)(struct thv_vcpu *vcpu);		/* vcpu->dr7_in_force changed */
	void (*set_debugger)(struct thv_vcpu *vcpu);	/* vcpu->debugger.flags changed */
	void (*set_tsc_offset)(struct thv_vcpu *vcpu);	/* vcpu->tsc_offset changed */
	/* vcpu->lapic mode changed: controls and bitmaps follow */
	void (*apic_changed)(struct thv_vcpu *vcpu);
	/*
	 * The vendor's control structure, for people, as the next entry will find it: @fields has
	 * room for max_fields; how many there are. What tells where the host has things reads 0
	 * unless @all.
	 */
	u32 (*get_fields)(struct thv_vcpu *vcpu, struct thv_field *fields, bool all);
	u32 max_fields;

	/* Events */
	void (*inject)(struct thv_vcpu *vcpu, const struct thv_event *event);
	u32 (*blocking)(struct thv_vcpu *vcpu);		/* THV_BLOCK_* */
	void (*set_blocking)(struct thv_vcpu *vcpu, u32 blocking);
	/* exit as soon as one can be taken */
	void (*windows)(struct thv_vcpu *vcpu, bool interrupt, bool nmi);
	/* RVI and SVI; -1: none */
	void (*virtual_interrupts)(struct thv_vcpu *vcpu, int irr, int isr);

	void (*flush)(struct thv_vcpu *vcpu, enum thv_flush kind);
	void (*flush_page)(struct thv_vcpu *vcpu, u64 gla);
	/*
	 * Pages that the processor has noted as written, out of its log and to thv_touched_log();
	 * after a run of entries and exits, interrupts still off.
	 */
	void (*drain_log)(struct thv_vcpu *vcpu);
	/* Shadow paging: where the processor's walk begins, from the next entry on */
	void (*set_root)(struct thv_vcpu *vcpu, u64 root);

	/*
	 * Which rules of entry would the next one break? Their number, and a line each, ended by a
	 * zero, in @text: what does not fit is left out; @all as of get_fields(). May sleep; -ENOMEM.
	 */
	int (*explain)(struct thv_vcpu *vcpu, char *text, size_t size, bool all);
	/* THV_DEBUG_TRY, see debug_ioctl.h; NULL in ordinary builds */
	int (*try_entry)(struct thv_vcpu *vcpu, struct thv_debug_try *try);
};

extern const struct thv_backend thv_vmx_backend;
/* The one in use; set before the first VM, never changed after. */
extern const struct thv_backend *thv_backend;

#endif
