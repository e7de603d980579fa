// SPDX-License-Identifier: GPL-2.0-only
/*
 * A vCPU: its life, its ioctls, and the loop that runs it.
 *
 * The loop is one list of duties: be allowed to run; do what others have asked for; sleep while the
 * guest sleeps; enter the guest; deal with why it came back. Around it, once a THV_RUN: registers
 * from and to the run page, the guest's FPU state, and a place on a CPU.
 *
 * vcpu->busy serialises the launcher's calls, THV_RUN and the state ioctls, of one vCPU; a second
 * caller is told -EBUSY and never waits. Everything of the vCPU that is not atomic belongs to who
 * holds vcpu->lock. That is the caller, but for the moments in which it steps aside for somebody who
 * looks from outside, or waits while the VM is paused: inspect.c.
 */
#include <linux/anon_inodes.h>
#include <linux/context_tracking.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/task_work.h>
#include <linux/vtime.h>
#include <trace/events/ipi.h>
#include <asm/debugreg.h>
#include <asm/fpu/xcr.h>
#include <asm/tsc.h>
#include "compat.h"
#include "cpuid.h"
#include "debug_ioctl.h"
#include "debugger.h"
#include "event.h"
#include "eventfd.h"
#include "hypercall.h"
#include "ioctl.h"
#include "irq.h"
#include "ledger.h"
#include "netlink.h"
#include "paging/flush.h"
#include "trace.h"
#include "vcpu.h"

/* ---- kicks and requests ---- */

/* The interrupt alone is what gets the target out of the guest. */
static void nothing(void *unused)
{
}

/* If the vCPU is in the guest (or about to enter), the CPU to interrupt, else -1. */
static int cpu_in_guest(struct thv_vcpu *vcpu, bool anew)
{
	int mode = atomic_cmpxchg(&vcpu->mode, THV_MODE_GUEST, THV_MODE_LEAVING);

	if (mode == THV_MODE_GUEST || (anew && mode == THV_MODE_LEAVING))
		return READ_ONCE(vcpu->cpu);
	return -1;
}

/**
 * thv_vcpu_kick - make a vCPU look at its requests.
 * @vcpu: any vCPU, the caller's own included.
 *
 * Either the vCPU is not in the guest yet: it sets mode to GUEST and then looks at its requests,
 * we set the request and then look at mode, so one of the two sees the other. Or it is: an
 * interrupt gets it out. Or it sleeps: it is woken.
 *
 * Context: any but NMI.
 */
void thv_vcpu_kick(struct thv_vcpu *vcpu)
{
	int me, cpu;

	if (wq_has_sleeper(&vcpu->wait))	/* has the full barrier that mode wants, too */
		wake_up(&vcpu->wait);
	cpu = cpu_in_guest(vcpu, false);
	if (cpu < 0)
		return;
	me = get_cpu();
	if (cpu != me && cpu_online(cpu))
		smp_send_reschedule(cpu);
	put_cpu();
}

void thv_vcpu_request(struct thv_vcpu *vcpu, enum thv_request request)
{
	set_bit(request, &vcpu->requests);
	thv_vcpu_kick(vcpu);
}

/**
 * thv_vm_request_all - a request to every vCPU, and the certainty that it was seen.
 * @vm: the VM.
 * @request: what is asked.
 *
 * When it returns no vCPU is in the guest that entered before the request was set.
 *
 * Context: process, interrupts on; spinlocks may be held (an MMU notifier's caller holds some).
 */
void thv_vm_request_all(struct thv_vm *vm, enum thv_request request)
{
	struct thv_vcpu *vcpu;
	cpumask_var_t cpus;
	bool allocated;
	unsigned int i;
	int cpu;

	allocated = zalloc_cpumask_var(&cpus, GFP_ATOMIC);
	thv_for_each_vcpu(i, vcpu, vm) {
		set_bit(request, &vcpu->requests);
		smp_mb__after_atomic();		/* as in thv_vcpu_kick() */
		cpu = cpu_in_guest(vcpu, true);
		if (cpu >= 0 && allocated)
			cpumask_set_cpu(cpu, cpus);
	}
	/* Without a mask, everybody: rare, and right */
	preempt_disable();
	if (!allocated || !cpumask_empty(cpus))
		smp_call_function_many(allocated ? cpus : cpu_online_mask, nothing, NULL, true);
	preempt_enable();
	free_cpumask_var(cpus);
}

/* ---- on and off a CPU ---- */

static void load_on(struct thv_vcpu *vcpu, int cpu)
{
	bool moved = vcpu->cpu != cpu;

	WRITE_ONCE(vcpu->cpu, cpu);
	thv_backend->load(vcpu, cpu);
	if (!moved)
		return;
	/*
	 * Flush requests were served on another CPU; here its translations may still be the old
	 * ones, and those of the vCPU that had its tag before.
	 */
	thv_count(vcpu, migrations);
	thv_backend->flush(vcpu, THV_FLUSH_ARRIVED);
}

static void sched_in(struct preempt_notifier *notifier, int cpu)
{
	struct thv_vcpu *vcpu = container_of(notifier, struct thv_vcpu, preempt);

	WRITE_ONCE(vcpu->pushed_off, false);
	load_on(vcpu, cpu);
}

static void sched_out(struct preempt_notifier *notifier, struct task_struct *next)
{
	struct thv_vcpu *vcpu = container_of(notifier, struct thv_vcpu, preempt);

	if (task_is_running(current))
		WRITE_ONCE(vcpu->pushed_off, true);
	thv_backend->put(vcpu);
}

static struct preempt_ops preempt_ops = { .sched_in = sched_in, .sched_out = sched_out };

void thv_vcpu_load(struct thv_vcpu *vcpu)
{
	preempt_disable();
	preempt_notifier_register(&vcpu->preempt);
	load_on(vcpu, smp_processor_id());
	preempt_enable();
}

void thv_vcpu_put(struct thv_vcpu *vcpu)
{
	preempt_disable();
	thv_backend->put(vcpu);
	preempt_notifier_unregister(&vcpu->preempt);
	preempt_enable();
}

/* ---- exits that need the launcher ---- */

bool thv_skip_instruction(struct thv_vcpu *vcpu)
{
	return thv_backend->skip(vcpu);
}

u64 thv_guest_tsc(struct thv_vcpu *vcpu)
{
	return rdtsc_ordered() + vcpu->tsc_offset;
}

enum thv_next thv_exit_unsupported(struct thv_vcpu *vcpu, u32 what, u64 reason, u64 d0, u64 d1)
{
	struct thv_run *run = vcpu->run;

	run->exit = THV_EXIT_UNSUPPORTED;
	memset(&run->unsupported, 0, sizeof(run->unsupported));
	run->unsupported.what = what;
	run->unsupported.hardware_reason = reason;
	run->unsupported.detail[0] = d0;
	run->unsupported.detail[1] = d1;
	thv_backend->get_context(vcpu, &run->context);
	return THV_NEXT_USER;
}

static u32 out_value(const struct thv_vcpu *vcpu, u8 size)
{
	return vcpu->regs.gpr[THV_RAX] & GENMASK_ULL(size * 8 - 1, 0);
}

/**
 * thv_exit_io - a port access.
 * @vcpu: the vCPU.
 * @io: the access.
 *
 * Context: the vCPU's thread; interrupts may be off.
 * Return: RESUME if a doorbell took it, else USER.
 */
enum thv_next thv_exit_io(struct thv_vcpu *vcpu, const struct thv_io *io)
{
	struct thv_run *run = vcpu->run;
	u32 data = io->in || io->string ? 0 : out_value(vcpu, io->size);

	thv_count(vcpu, io);
	if (!io->in && !io->string && thv_doorbell_port(vcpu->vm, io->port, io->size, data)) {
		thv_count(vcpu, doorbells);
		trace_thv_io(vcpu, io, data, true);
		thv_skip_instruction(vcpu);
		return THV_NEXT_RESUME;
	}
	trace_thv_io(vcpu, io, data, false);
	run->exit = THV_EXIT_IO;
	run->instruction_length = io->length;
	run->io.port = io->port;
	run->io.size = io->size;
	run->io.instruction_length = io->length;
	run->io.flags = (io->in ? THV_IO_IN : 0) | (io->string ? THV_IO_STRING : 0) |
			(io->rep ? THV_IO_REP : 0);
	run->io.gla = io->gla;
	run->io.data = data;
	run->io.address_bits = io->address_bits;
	if (io->string)
		thv_backend->get_context(vcpu, &run->context);
	return THV_NEXT_USER;
}

void thv_vcpu_notify_eoi(struct thv_vcpu *vcpu, u8 vector)
{
	set_bit(vector, vcpu->eoi_pending);
	set_bit(THV_REQ_EOI, &vcpu->requests);
}

/* ---- into the guest ---- */

/* need_resched() and signal_pending() in one look */
#define LEAVE_FLAGS	(_TIF_NEED_RESCHED | _TIF_SIGPENDING | _TIF_NOTIFY_SIGNAL)

/*
 * Is there something that this thread has to do before it may stay in the guest? Cheap: asked at
 * each entry.
 */
static __always_inline bool must_leave(struct thv_vcpu *vcpu)
{
	return READ_ONCE(vcpu->requests) || vcpu->mp_state != THV_MP_RUNNING ||
	       (read_thread_flags() & LEAVE_FLAGS) || task_work_pending(current);
}

/*
 * DR7 is in the VMCS (VMCB). DR6 is not needed: only MOV DR reads it, and a #DB that exits leaves
 * it alone
 */
static void load_debug_registers(const struct thv_vcpu *vcpu)
{
	const u64 *dr = thv_dr_in_force(vcpu);

	set_debugreg(0, 7);
	set_debugreg(dr[0], 0);
	set_debugreg(dr[1], 1);
	set_debugreg(dr[2], 2);
	set_debugreg(dr[3], 3);
}

/*
 * Time in the guest shall hold up nobody who waits for RCU. That is said once a jiffy: the host's tick,
 * or where it has none RCU's own interrupt, ends a longer stay.
 */
static void tell_rcu(struct thv_vcpu *vcpu)
{
	unsigned long now = jiffies;

	if (vcpu->rcu_told == now)
		return;
	vcpu->rcu_told = now;
	rcu_note_context_switch(false);
}

/*
 * What entry and exit do not switch and interrupt handlers of the host may use: from here to
 * leave_guest_state() interrupts are off. The FPU registers have been the guest's since THV_RUN
 * began, unless the host used them since.
 */
static void enter_guest_state(struct thv_vcpu *vcpu)
{
	if (test_thread_flag(TIF_NEED_FPU_LOAD))
		switch_fpu_return();
	if (boot_cpu_has(X86_FEATURE_XSAVE) && vcpu->xcr0 != vcpu->host_xcr0)
		xsetbv(XCR_XFEATURE_ENABLED_MASK, vcpu->xcr0);
	if (unlikely(vcpu->dr7_in_force & THV_DR7_ENABLED))
		load_debug_registers(vcpu);
	vtime_account_guest_enter();
	tell_rcu(vcpu);
	thv_backend->prepare(vcpu);
}

static void leave_guest_state(struct thv_vcpu *vcpu)
{
	if (boot_cpu_has(X86_FEATURE_XSAVE) && vcpu->xcr0 != vcpu->host_xcr0)
		xsetbv(XCR_XFEATURE_ENABLED_MASK, vcpu->host_xcr0);
	if (hw_breakpoint_active())	/* the exit cleared DR7 */
		hw_breakpoint_restore();
	if (cpu_feature_enabled(X86_FEATURE_IBPB_EXIT_TO_USER))
		this_cpu_write(x86_ibpb_exit_to_user, true);
}

/* Kept out of the way: to find RIP out costs a VMREAD. */
static noinline void trace_entry(struct thv_vcpu *vcpu)
{
	thv_backend->read_regs(vcpu);
	trace_thv_entry(vcpu, vcpu->regs.rip);
}

static noinline void trace_exit(struct thv_vcpu *vcpu)
{
	struct thv_exit_detail detail;

	thv_backend->exit_detail(vcpu, &detail);
	trace_thv_exit(vcpu, &detail);
}

/* One entry and one exit, between those who want to know: their own time is the kernel's. */
static __always_inline void enter_once(struct thv_vcpu *vcpu)
{
	if (trace_thv_entry_enabled())
		trace_entry(vcpu);
	thv_ledger_entry(vcpu);
	if (THV_DEBUG)
		thv_flush_entering(vcpu);
	thv_backend->enter(vcpu);
	if (THV_DEBUG)
		thv_flush_left(vcpu);
	thv_ledger_exit(vcpu);
	thv_count(vcpu, exits);
	if (trace_thv_exit_enabled())
		trace_exit(vcpu);
}

/*
 * Enter, and enter again for as long as the exits are quick ones. true: the last one has been
 * dealt with.
 */
static bool enter_and_handle(struct thv_vcpu *vcpu, enum thv_next *next)
{
	do {
		if (vcpu->look_for_events)
			thv_events_inject(vcpu);
		enter_once(vcpu);
		if (!thv_backend->handle_fast(vcpu, next))
			return false;
	} while (*next == THV_NEXT_RESUME && !must_leave(vcpu));
	return true;
}

/*
 * Interrupts have to be off from the last look at the requests until the guest runs: then whoever
 * comes later sends an interrupt, and that is taken in the guest, and is an exit.
 */
static enum thv_next enter_guest(struct thv_vcpu *vcpu)
{
	enum thv_next next = THV_NEXT_RESUME;
	bool handled = true;

	preempt_disable();
	local_irq_disable();
	atomic_set(&vcpu->mode, THV_MODE_GUEST);
	smp_mb__after_atomic();		/* pairs with thv_vcpu_kick() and thv_vm_request_all() */
	if (!must_leave(vcpu)) {
		enter_guest_state(vcpu);
		handled = enter_and_handle(vcpu, &next);
		leave_guest_state(vcpu);
		if (vcpu->vm->features & THV_FEATURE_PML)
			thv_backend->drain_log(vcpu);
		/* A tick that broke off the guest is still to come, and is the guest's time */
		if (!handled) {
			local_irq_enable();
			local_irq_disable();
		}
		vtime_account_guest_exit();
	}
	atomic_set(&vcpu->mode, THV_MODE_OUTSIDE);
	local_irq_enable();
	preempt_enable();
	return handled ? next : thv_backend->handle(vcpu);
}

/* ---- before each entry ---- */

#define GO	0
#define TO_USER	1	/* run->exit is filled; negative: an errno for THV_RUN */

static int collect_events(struct thv_vcpu *vcpu)
{
	thv_events_collect(vcpu);
	return GO;
}

static int flush_second(struct thv_vcpu *vcpu)
{
	thv_backend->flush(vcpu, THV_FLUSH_SECOND);
	return GO;
}

/* Who asked wanted no more than that the vCPU leaves the guest: the log is empty then. */
static int log_drained(struct thv_vcpu *vcpu)
{
	return GO;
}

static int flush_linear(struct thv_vcpu *vcpu)
{
	thv_backend->flush(vcpu, THV_FLUSH_LINEAR);
	return GO;
}

/* A wait for a paused VM to go on is asleep, in the ledger. */
static int begin_or_wait(struct thv_vcpu *vcpu)
{
	int err;

	thv_ledger_sleep(vcpu);
	err = thv_vm_run_begin(vcpu->vm);
	thv_ledger_wake(vcpu);
	return err;
}

/*
 * The vCPU becomes this thread's, and the FPU's registers the guest's; and back. With the latter
 * all of the vCPU is in memory, or will be once another CPU asks for it (the VMCS).
 */
static void take_up(struct thv_vcpu *vcpu)
{
	mutex_lock(&vcpu->lock);
	fpu_swap_kvm_fpstate(&vcpu->fpu, true);
	thv_count(vcpu, fpu_switches);
	thv_vcpu_load(vcpu);
}

static void lay_down(struct thv_vcpu *vcpu)
{
	thv_vcpu_put(vcpu);
	fpu_swap_kvm_fpstate(&vcpu->fpu, false);
	mutex_unlock(&vcpu->lock);
}

/* For one who looks; inspect.c tells why this ends soon. */
static int step_aside(struct thv_vcpu *vcpu)
{
	u32 last = thv_inspect_last(vcpu);

	lay_down(vcpu);
	wait_event(vcpu->wait, thv_inspect_over(vcpu, last));
	take_up(vcpu);
	thv_inspect_pause(vcpu);
	return GO;
}

/* To sleep while the VM is paused, the vCPU leaves its CPU. */
static int follow_state(struct thv_vcpu *vcpu)
{
	int err;

	lay_down(vcpu);
	thv_vm_run_end(vcpu->vm);
	err = begin_or_wait(vcpu);
	if (err) {
		/* The caller's end() and put() expect both */
		atomic_inc(&vcpu->vm->running);
		set_bit(THV_REQ_STATE, &vcpu->requests);
	}
	take_up(vcpu);
	return err;
}

static int update_clock(struct thv_vcpu *vcpu)
{
	thv_pv_clock_update(vcpu);
	return GO;
}

static int tell_start(struct thv_vcpu *vcpu)
{
	thv_vm_vcpu_started(vcpu);
	return GO;
}

/* One EOI an exit; the request stays until the launcher has heard of all. */
static int tell_eoi(struct thv_vcpu *vcpu)
{
	unsigned long vector = find_first_bit(vcpu->eoi_pending, 256);

	if (vector >= 256)
		return GO;
	clear_bit(vector, vcpu->eoi_pending);
	if (!bitmap_empty(vcpu->eoi_pending, 256))
		set_bit(THV_REQ_EOI, &vcpu->requests);
	vcpu->run->exit = THV_EXIT_EOI;
	vcpu->run->eoi.vector = vector;
	vcpu->run->eoi.reserved = 0;
	return TO_USER;
}

static int tell_stepped(struct thv_vcpu *vcpu)
{
	thv_debugger_stepped(vcpu);
	return TO_USER;
}

/*
 * By enum thv_request. What may return other than GO comes last: the others have been served
 * then.
 */
static int (* const duties[])(struct thv_vcpu *vcpu) = {
	[THV_REQ_EVENT] = collect_events,
	[THV_REQ_FLUSH_SECOND] = flush_second,
	[THV_REQ_FLUSH_LINEAR] = flush_linear,
	[THV_REQ_DRAIN_LOG] = log_drained,
	[THV_REQ_START] = tell_start,
	[THV_REQ_INSPECT] = step_aside,
	[THV_REQ_CLOCK] = update_clock,
	[THV_REQ_STATE] = follow_state,
	[THV_REQ_EOI] = tell_eoi,
	[THV_REQ_STEPPED] = tell_stepped,
};

static int serve_requests(struct thv_vcpu *vcpu)
{
	int request, err;

	if (!READ_ONCE(vcpu->requests))
		return GO;
	for (request = 0; request < ARRAY_SIZE(duties); request++) {
		if (!test_and_clear_bit(request, &vcpu->requests))
			continue;
		err = duties[request](vcpu);
		if (err != GO)
			return err;
	}
	return GO;
}

/* A vCPU that waits (HLT, or for a start-up IPI) sleeps until there is an event or a request. */
static int sleep_while_halted(struct thv_vcpu *vcpu)
{
	int err;

	thv_lapic_asleep(&vcpu->lapic);
	thv_ledger_sleep(vcpu);
	err = wait_event_interruptible(vcpu->wait,
				       thv_events_wake(vcpu) || READ_ONCE(vcpu->requests));
	thv_ledger_wake(vcpu);
	if (err)
		return -EINTR;
	if (vcpu->mp_state == THV_MP_HALTED && thv_events_wake(vcpu)) {
		thv_set_mp_state(vcpu, THV_MP_RUNNING);
		vcpu->look_for_events = true;
		thv_count(vcpu, wakeups);
	}
	return GO;
}

/* Work that the kernel does on the way to user mode (task work) has the launcher call again. */
static int become_ready(struct thv_vcpu *vcpu)
{
	int err;

	do {
		if (signal_pending(current) || task_work_pending(current) ||
		    READ_ONCE(vcpu->run->immediate_exit))
			return -EINTR;
		cond_resched();
		err = serve_requests(vcpu);
		if (err == GO && vcpu->mp_state != THV_MP_RUNNING)
			err = sleep_while_halted(vcpu);
		if (err != GO)
			return err;
	} while (READ_ONCE(vcpu->requests) || vcpu->mp_state != THV_MP_RUNNING);
	return READ_ONCE(vcpu->run->intr) && thv_events_acknowledge(vcpu) ? TO_USER : GO;
}

static int run_loop(struct thv_vcpu *vcpu)
{
	int err;

	do {
		err = become_ready(vcpu);
		if (err != GO)
			return err;
	} while (enter_guest(vcpu) == THV_NEXT_RESUME);
	return TO_USER;
}

/* ---- THV_RUN ---- */

/* Flags that exist (SDM 3.4.3); bit 1 is always set. */
#define RFLAGS_BITS							\
	(X86_EFLAGS_CF | X86_EFLAGS_PF | X86_EFLAGS_AF | X86_EFLAGS_ZF |	\
	 X86_EFLAGS_SF | X86_EFLAGS_TF | X86_EFLAGS_IF | X86_EFLAGS_DF |	\
	 X86_EFLAGS_OF | X86_EFLAGS_IOPL | X86_EFLAGS_NT | X86_EFLAGS_RF |	\
	 X86_EFLAGS_VM | X86_EFLAGS_AC | X86_EFLAGS_VIF | X86_EFLAGS_VIP |	\
	 X86_EFLAGS_ID)

bool thv_rflags_valid(u64 rflags)
{
	return !(rflags & ~(RFLAGS_BITS | X86_EFLAGS_FIXED));
}

static void completed(struct thv_vcpu *vcpu)
{
	u32 blocking = thv_backend->blocking(vcpu);

	vcpu->regs.rflags &= ~X86_EFLAGS_RF;
	if (blocking & (THV_BLOCK_STI | THV_BLOCK_MOVSS)) {
		thv_backend->set_blocking(vcpu, blocking & ~(THV_BLOCK_STI | THV_BLOCK_MOVSS));
		vcpu->look_for_events = true;
	}
	if (vcpu->regs.rflags & X86_EFLAGS_TF)
		thv_raise_db(vcpu, DR_STEP);
	thv_debugger_completed(vcpu);
}

/* From the run page, each field read once: another thread may be writing there. */
static int take_regs(struct thv_vcpu *vcpu)
{
	struct thv_run *run = vcpu->run;
	u32 dirty = READ_ONCE(run->dirty);
	u64 rflags, was;

	if (!dirty)
		return 0;
	if (dirty & ~(THV_DIRTY_GPRS | THV_DIRTY_RIP | THV_DIRTY_COMPLETED) ||
	    (dirty & (THV_DIRTY_RIP | THV_DIRTY_COMPLETED)) == THV_DIRTY_COMPLETED)
		return -EINVAL;
	rflags = READ_ONCE(run->regs.rflags);
	if ((dirty & THV_DIRTY_RIP) && !thv_rflags_valid(rflags))
		return -EINVAL;
	thv_backend->read_regs(vcpu);
	was = vcpu->regs.rflags;
	if (dirty & THV_DIRTY_GPRS)
		memcpy(vcpu->regs.gpr, run->regs.gpr, sizeof(vcpu->regs.gpr));
	if (dirty & THV_DIRTY_RIP) {
		vcpu->regs.rip = READ_ONCE(run->regs.rip);
		vcpu->regs.rflags = rflags | X86_EFLAGS_FIXED;
	}
	thv_backend->write_regs(vcpu);
	if (dirty & THV_DIRTY_COMPLETED)
		completed(vcpu);
	if ((was ^ vcpu->regs.rflags) & X86_EFLAGS_IF)
		vcpu->look_for_events = true;
	WRITE_ONCE(run->dirty, 0);
	return 0;
}

static void give_regs(struct thv_vcpu *vcpu)
{
	struct thv_run *run = vcpu->run;

	thv_backend->read_regs(vcpu);
	run->regs = vcpu->regs;
	run->apic_base = vcpu->lapic.base;
}

/* A terminal exit, now or as before */
static long report(struct thv_vcpu *vcpu, long err)
{
	struct thv_run *run = vcpu->run;

	if (thv_vm_state(vcpu->vm) == THV_VM_DEAD)
		return -EIO;
	if (vcpu->terminal) {
		run->exit = vcpu->terminal;
		thv_vm_vcpu_ended(vcpu);
	} else if (err == -ESHUTDOWN) {
		run->exit = THV_EXIT_STOPPED;
	} else if (err < 0) {
		run->exit = THV_EXIT_INTERRUPTED;
		return err;
	}
	thv_count(vcpu, user_exits);
	return 0;
}

static long run_loaded(struct thv_vcpu *vcpu)
{
	long err;

	take_up(vcpu);
	if (READ_ONCE(vcpu->run->intr))
		vcpu->look_for_events = true;
	WRITE_ONCE(vcpu->thread, current);
	err = take_regs(vcpu);
	if (!err)
		err = run_loop(vcpu);
	give_regs(vcpu);
	WRITE_ONCE(vcpu->thread, NULL);
	lay_down(vcpu);
	return err;
}

static long run(struct thv_vcpu *vcpu)
{
	long err;

	if (vcpu->terminal)
		return report(vcpu, 0);
	trace_thv_run(vcpu);
	thv_ledger_run(vcpu);
	err = begin_or_wait(vcpu);
	if (!err) {
		err = run_loaded(vcpu);
		thv_vm_run_end(vcpu->vm);
	}
	err = report(vcpu, err);
	thv_ledger_return(vcpu);
	trace_thv_return(vcpu, vcpu->run->exit, err);
	return err;
}

/* ---- ioctls ---- */

static long translate(void *vcpu, void *args)
{
	return thv_translate(vcpu, args);
}

static long get_state(void *vcpu, void *args)
{
	return thv_state_get(vcpu, args);
}

static long set_state(void *vcpu, void *args)
{
	return thv_state_set(vcpu, args);
}

static long debug_guest(void *vcpu, void *args)
{
	return thv_debugger_set(vcpu, args);
}

static int ask_explain(struct thv_vcpu *vcpu, char *text, size_t size, bool all)
{
	return thv_backend->explain(vcpu, text, size, all);
}

static long explain(void *vcpu, void *args)
{
	const struct thv_explain *own = args;

	return own->vcpu ? -EINVAL : thv_explain(vcpu, args, ask_explain);
}

static long debug_try(void *vcpu, void *args)
{
	return thv_backend->try_entry ? thv_backend->try_entry(vcpu, args) : -ENOTTY;
}

static long apic_access(void *vcpu, void *args)
{
	return thv_irq_apic_access(vcpu, args);
}

static long interrupt(void *vcpu, void *args)
{
	return thv_irq_interrupt(vcpu, args);
}

static long nmi(void *vcpu, void *args)
{
	thv_vcpu_nmi(vcpu);
	return 0;
}

/* For the vCPU's own thread, between two THV_RUN: with the lock, and loaded */
static const struct thv_ioctl own_ioctls[] = {
	THV_IOCTL_PLAIN(THV_GET_STATE, get_state),
	THV_IOCTL_PLAIN(THV_SET_STATE, set_state),
	THV_IOCTL(THV_TRANSLATE, struct thv_translate, translate),
	THV_IOCTL(THV_APIC_ACCESS, struct thv_apic_access, apic_access),
	THV_IOCTL(THV_DEBUG_GUEST, struct thv_debug_guest, debug_guest),
	THV_IOCTL(THV_EXPLAIN, struct thv_explain, explain),
	THV_IOCTL(THV_DEBUG_TRY, struct thv_debug_try, debug_try),
};

/* From any thread, while the vCPU runs or not */
static const struct thv_ioctl any_ioctls[] = {
	THV_IOCTL(THV_INTERRUPT, struct thv_interrupt, interrupt),
	THV_IOCTL_PLAIN(THV_NMI, nmi),
};

static long own_ioctl(struct thv_vcpu *vcpu, unsigned int cmd, unsigned long arg)
{
	long err;

	mutex_lock(&vcpu->lock);
	thv_vcpu_load(vcpu);
	err = thv_ioctl(own_ioctls, ARRAY_SIZE(own_ioctls), vcpu, cmd, arg);
	thv_vcpu_put(vcpu);
	mutex_unlock(&vcpu->lock);
	return err;
}

static long vcpu_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct thv_vcpu *vcpu = file->private_data;
	long err = thv_vm_check(vcpu->vm);

	if (err)
		return err;
	if (_IOC_NR(cmd) == _IOC_NR(THV_INTERRUPT) || _IOC_NR(cmd) == _IOC_NR(THV_NMI))
		return thv_ioctl(any_ioctls, ARRAY_SIZE(any_ioctls), vcpu, cmd, arg);
	if (!mutex_trylock(&vcpu->busy))
		return -EBUSY;
	err = cmd == THV_RUN ? run(vcpu) : own_ioctl(vcpu, cmd, arg);
	mutex_unlock(&vcpu->busy);
	return err;
}

/* ---- the run page ---- */

static vm_fault_t run_page_fault(struct vm_fault *vmf)
{
	struct thv_vcpu *vcpu = vmf->vma->vm_file->private_data;

	if (vmf->pgoff)
		return VM_FAULT_SIGBUS;
	vmf->page = virt_to_page(vcpu->run);
	get_page(vmf->page);
	return 0;
}

static const struct vm_operations_struct run_page_ops = { .fault = run_page_fault };

/* Shared only: a private copy would look like it worked. */
static int vcpu_mmap(struct file *file, struct vm_area_struct *vma)
{
	if (!(vma->vm_flags & VM_SHARED) || vma->vm_pgoff ||
	    vma->vm_end - vma->vm_start != THV_RUN_SIZE)
		return -EINVAL;
	vma->vm_ops = &run_page_ops;
	return 0;
}

static int vcpu_release(struct inode *inode, struct file *file)
{
	struct thv_vcpu *vcpu = file->private_data;

	thv_vm_put(vcpu->vm);
	return 0;
}

static const struct file_operations vcpu_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = vcpu_ioctl,
	.compat_ioctl = vcpu_ioctl,
	.mmap = vcpu_mmap,
	.release = vcpu_release,
	.llseek = noop_llseek,
};

/* ---- life ---- */

/* Segments at power-up and after INIT (SDM table 10-1): base, limit, selector, attributes */
static void reset_segments(struct thv_sregs *sregs)
{
	int i;

	for (i = 0; i < THV_SEGMENTS; i++)
		sregs->seg[i] = (struct thv_segment) {
			.limit = 0xffff, .attributes = THV_SEG_P | THV_SEG_S | 3,
		};
	sregs->seg[THV_CS].base = 0xffff0000;
	sregs->seg[THV_CS].selector = 0xf000;
	sregs->seg[THV_CS].attributes = THV_SEG_P | THV_SEG_S | 0xb;
	sregs->seg[THV_LDTR].attributes = THV_SEG_P | 2;
	sregs->seg[THV_TR].attributes = THV_SEG_P | 0xb;
	sregs->gdt.limit = 0xffff;
	sregs->idt.limit = 0xffff;
}

void thv_vcpu_reset(struct thv_vcpu *vcpu, bool init)
{
	struct thv_sregs sregs = { .cr0 = X86_CR0_ET | X86_CR0_NW | X86_CR0_CD };

	reset_segments(&sregs);
	memset(&vcpu->regs, 0, sizeof(vcpu->regs));
	vcpu->regs.gpr[THV_RDX] = cpuid_eax(1);	/* the processor's signature */
	vcpu->regs.rip = 0xfff0;
	vcpu->regs.rflags = X86_EFLAGS_FIXED;
	thv_backend->write_regs(vcpu);
	memset(vcpu->dr, 0, sizeof(vcpu->dr));
	vcpu->dr6 = THV_DR6_FIXED_1;
	vcpu->dr7 = THV_DR7_FIXED_1;
	thv_dr7_changed(vcpu);
	thv_backend->set_blocking(vcpu, 0);
	thv_backend->set_pending_debug(vcpu, 0);
	thv_events_reset(vcpu);
	thv_irq_vcpu_reset(vcpu, init);
	thv_backend->set_sregs(vcpu, &sregs);
	if (init)
		return;
	vcpu->xcr0 = 1;
	thv_msr_reset(vcpu);
	thv_pv_reset(vcpu);
	thv_tsc_follow(vcpu);
	thv_backend->apic_changed(vcpu);
}

static struct thv_vcpu *alloc_vcpu(struct thv_vm *vm, u32 id)
{
	struct thv_vcpu *vcpu = kzalloc(thv_backend->vcpu_size, GFP_KERNEL_ACCOUNT);

	if (!vcpu)
		return NULL;
	vcpu->vm = vm;
	vcpu->id = id;
	vcpu->cpu = -1;
	thv_flush_vcpu_init(&vcpu->flushes);
	if (boot_cpu_has(X86_FEATURE_XSAVE))
		vcpu->host_xcr0 = xgetbv(XCR_XFEATURE_ENABLED_MASK);
	mutex_init(&vcpu->busy);
	mutex_init(&vcpu->lock);
	mutex_init(&vcpu->inspect.turn);
	init_waitqueue_head(&vcpu->wait);
	preempt_notifier_init(&vcpu->preempt, &preempt_ops);
	vcpu->mp_state = id ? THV_MP_WAIT_SIPI : THV_MP_RUNNING;
	return vcpu;
}

/* What @vcpu is made of, in order; thv_vcpu_destroy() is its mirror */
static int fill_vcpu(struct thv_vcpu *vcpu)
{
	int err = -ENOMEM;

	preempt_notifier_inc();
	vcpu->run = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!vcpu->run)
		goto notifier;
	if (!fpu_alloc_guest_fpstate(&vcpu->fpu))
		goto page;
	err = thv_irq_vcpu_create(vcpu);
	if (err)
		goto fpu;
	err = thv_ledger_vcpu_create(vcpu);
	if (err)
		goto irq;
	err = thv_shadow_vcpu_init(vcpu);
	if (err)
		goto ledger;
	err = thv_backend->vcpu_create(vcpu);
	if (err)
		goto shadow;
	thv_vcpu_load(vcpu);
	thv_vcpu_reset(vcpu, false);
	thv_vcpu_put(vcpu);
	return 0;

shadow:
	thv_shadow_vcpu_exit(vcpu);
ledger:
	thv_ledger_vcpu_destroy(vcpu);
irq:
	thv_irq_vcpu_destroy(vcpu);
fpu:
	fpu_free_guest_fpstate(&vcpu->fpu);
page:
	free_page((unsigned long)vcpu->run);
notifier:
	preempt_notifier_dec();
	return err;
}

void thv_vcpu_destroy(struct thv_vcpu *vcpu)
{
	thv_debugger_forget(vcpu);
	thv_backend->vcpu_destroy(vcpu);
	thv_shadow_vcpu_exit(vcpu);
	thv_ledger_vcpu_destroy(vcpu);
	thv_irq_vcpu_destroy(vcpu);
	fpu_free_guest_fpstate(&vcpu->fpu);
	free_page((unsigned long)vcpu->run);
	preempt_notifier_dec();
	kfree(vcpu);
}

/* The vCPU becomes known last: whoever finds it finds it whole. */
static struct file *publish(struct thv_vcpu *vcpu)
{
	struct file *file = anon_inode_getfile("thv-vcpu", &vcpu_fops, vcpu, O_RDWR | O_CLOEXEC);

	if (IS_ERR(file))
		return file;
	thv_vm_get(vcpu->vm);
	set_bit(THV_REQ_START, &vcpu->requests);
	/* pairs with thv_vm_vcpu() */
	smp_store_release(&vcpu->vm->vcpus[vcpu->id], vcpu);
	vcpu->vm->nr_vcpus++;
	thv_tell(vcpu->vm, vcpu, THV_LIFECYCLE_CREATED, &(struct thv_why){ THV_CAUSE_NONE });
	return file;
}

static struct file *create_locked(struct thv_vm *vm, u32 id)
{
	struct thv_vcpu *vcpu;
	struct file *file;
	int err;

	if (vm->vcpus[id])
		return ERR_PTR(-EEXIST);
	vcpu = alloc_vcpu(vm, id);
	if (!vcpu)
		return ERR_PTR(-ENOMEM);
	err = fill_vcpu(vcpu);
	if (err) {
		kfree(vcpu);
		return ERR_PTR(err);
	}
	file = publish(vcpu);
	if (IS_ERR(file))
		thv_vcpu_destroy(vcpu);
	return file;
}

/**
 * thv_vcpu_create - THV_CREATE_VCPU.
 * @vm: the VM, which is the caller's.
 * @args: the uapi's struct.
 *
 * The vCPU lives until its VM goes, whatever becomes of its descriptor.
 *
 * Context: may sleep.
 * Return: the file for its descriptor, or an ERR_PTR as the uapi says.
 */
struct file *thv_vcpu_create(struct thv_vm *vm, const struct thv_create_vcpu *args)
{
	struct file *file;

	if (args->id >= THV_MAX_VCPUS)
		return ERR_PTR(-EINVAL);
	mutex_lock(&vm->lock);
	file = create_locked(vm, args->id);
	mutex_unlock(&vm->lock);
	return file;
}
