// SPDX-License-Identifier: GPL-2.0-only
/*
 * A debugger of the guest: which debug events are its own and which are the guest's.
 *
 * Three things can be asked for (THV_DEBUG_GUEST), and each is taken from the guest in another way:
 *
 * INT3		is intercepted. The guest's own are handed out, too, for only the launcher knows
 *		where it has put some.
 * Breakpoints	occupy all of DR0 to DR3 and DR7. The guest keeps reading and writing its own,
 *		because MOV DR always exits; while the debugger has the registers they do not act.
 * Steps	use the processor's monitor trap flag (SDM 26.5.2), an exit after the next instruction
 *		that leaves no trace in the guest, or where there is none (an emulator, a
 *		hypervisor below) an NMI window: vmx/step.c. The usual way, RFLAGS.TF, would be seen by
 *		PUSHF and come back with POPF, be cleared by POPF, by SYSCALL (IA32_FMASK) and by the
 *		delivery of any event, and could not be told from the guest's own use of it.
 *
 * An exit that carries the instruction out, here or in the launcher, comes instead of the trap
 * (SDM 26.5.2: "if another VM exit occurs"). So whoever completes an instruction reports it, and
 * the vCPU stops in its loop, as for any request (THV_REQ_STEPPED). An exception that the instruction
 * raises ends the step, too: the trap comes after its delivery, before the handler's first
 * instruction.
 *
 * Interrupts and NMIs are held back during a step, as if in the shadow of an STI. Else, in a guest
 * that was stopped for a second, a step would always lead into its timer's handler. Who wants to
 * see a handler puts a breakpoint there.
 *
 * Only the vCPU's own thread comes here, with vcpu->lock held.
 */
#include <linux/sched.h>
#include <linux/string.h>
#include <asm/debugreg.h>
#include <asm/trapnr.h>
#include "cpuid.h"
#include "debugger.h"

/* A second: who switches it to and fro does not patch the kernel's code each time. */
DEFINE_STATIC_KEY_DEFERRED_FALSE(thv_debuggers, HZ);

static bool has_hardware(const struct thv_vcpu *vcpu)
{
	return thv_debugged(vcpu) && (vcpu->debugger.flags & THV_DEBUG_HARDWARE);
}

/* ---- debug registers ---- */

/* Of breakpoint @i in DR7 (SDM 18.2.4) */
#define DR7_ENABLED(dr7, i)	((dr7) >> (2 * (i)) & 3)
#define DR7_KIND(dr7, i)	((dr7) >> (16 + 4 * (i)) & 3)
#define DR7_LENGTH(dr7, i)	((dr7) >> (18 + 4 * (i)) & 3)
#define DR7_EXECUTE	0
#define DR7_PORT	2
#define DR7_DEBUGGER	(THV_DR7_WRITABLE & ~THV_DR7_GD)

/**
 * thv_dr7_changed - bring a DR7 into force.
 * @vcpu: the vCPU, whose dr7 or debugger has been changed.
 *
 * Context: the vCPU's thread, loaded.
 */
void thv_dr7_changed(struct thv_vcpu *vcpu)
{
	vcpu->dr7_in_force = has_hardware(vcpu) ? vcpu->debugger.dr7 : vcpu->dr7;
	thv_backend->set_dr7(vcpu);
}

const u64 *thv_dr_in_force(const struct thv_vcpu *vcpu)
{
	return has_hardware(vcpu) ? vcpu->debugger.dr : vcpu->dr;
}

/*
 * Those of B0 to B3 that are the debugger's. A bit may be set although its breakpoint is not
 * enabled (SDM table 28-1).
 */
static u64 hits(const struct thv_vcpu *vcpu, u64 dr6_bits)
{
	u64 found = 0;
	int i;

	if (!has_hardware(vcpu))
		return 0;
	for (i = 0; i < 4; i++)
		if ((dr6_bits & BIT(i)) && DR7_ENABLED(vcpu->debugger.dr7, i))
			found |= BIT(i);
	return found;
}

static bool stops_before(const struct thv_vcpu *vcpu, u64 hit)
{
	int i;

	for (i = 0; i < 4; i++)
		if ((hit & BIT(i)) && DR7_KIND(vcpu->debugger.dr7, i) == DR7_EXECUTE)
			return true;
	return false;
}

/* ---- exits ---- */

static enum thv_next report(struct thv_vcpu *vcpu, u32 vector, u64 dr6, u32 length)
{
	struct thv_run *run = vcpu->run;

	run->exit = THV_EXIT_DEBUG;
	run->instruction_length = length;
	memset(&run->debug, 0, sizeof(run->debug));
	run->debug.vector = vector;
	run->debug.dr6 = dr6;
	return THV_NEXT_USER;
}

/**
 * thv_debugger_breakpoint - the guest is at an INT3.
 * @vcpu: the vCPU; RIP is at the instruction.
 * @length: of the instruction.
 *
 * Context: the vCPU's thread, loaded.
 * Return: USER.
 */
enum thv_next thv_debugger_breakpoint(struct thv_vcpu *vcpu, u32 length)
{
	return report(vcpu, X86_TRAP_BP, 0, length);
}

/*
 * The instruction has not been carried out. With RFLAGS.RF it will be, if the vCPU goes on (SDM
 * 18.3.1.1).
 */
static void let_go_on(struct thv_vcpu *vcpu)
{
	thv_backend->read_regs(vcpu);
	vcpu->regs.rflags |= X86_EFLAGS_RF;
	thv_backend->write_regs(vcpu);
}

/**
 * thv_debugger_db - a #DB that has not been delivered.
 * @vcpu: the vCPU.
 * @dr6_bits: what happened, as DR6 would show it.
 *
 * What the debugger asked for goes to it; what is left is the guest's. Both may be: then the
 * guest has its #DB when it goes on. A trap comes before the NMI window of a step (SDM table
 * 6-2), and says as well that the instruction is over.
 *
 * Context: the vCPU's thread, loaded.
 * Return: USER, the debugger wants to know; RESUME, it was the guest's.
 */
enum thv_next thv_debugger_db(struct thv_vcpu *vcpu, u64 dr6_bits)
{
	u64 hit = hits(vcpu, dr6_bits), own = dr6_bits;
	bool before = stops_before(vcpu, hit), stepped;

	if (has_hardware(vcpu))
		own &= ~(u64)DR_TRAP_BITS;
	if (!hit || (own & (DR_STEP | THV_DR6_BD)))
		thv_raise_db(vcpu, own);
	stepped = thv_steps_by_window(vcpu) && ((own & DR_STEP) || (hit && !before));
	if (!hit && !stepped)
		return THV_NEXT_RESUME;
	if (before)
		let_go_on(vcpu);
	return report(vcpu, X86_TRAP_DB, hit | (stepped ? DR_STEP : 0), 0);
}

/**
 * thv_debugger_stepped - the step is done.
 * @vcpu: the vCPU.
 *
 * Data breakpoints of the same instruction wait behind the monitor trap (SDM 26.5.2, 28.3.4).
 *
 * Context: the vCPU's thread, loaded.
 * Return: USER.
 */
enum thv_next thv_debugger_stepped(struct thv_vcpu *vcpu)
{
	u64 pending = thv_backend->get_pending_debug(vcpu);

	if (has_hardware(vcpu) && (pending & DR_TRAP_BITS))
		thv_backend->set_pending_debug(vcpu, pending & ~(u64)DR_TRAP_BITS);
	return report(vcpu, X86_TRAP_DB, DR_STEP | hits(vcpu, pending), 0);
}

/* ---- THV_DEBUG_GUEST ---- */

#define KNOWN_FLAGS	(THV_DEBUG_BREAKPOINTS | THV_DEBUG_STEP | THV_DEBUG_HARDWARE)

/* Other lengths of an instruction breakpoint, other alignments: undefined (SDM 18.2.4, 18.2.5) */
static bool breakpoint_possible(u64 dr, u64 dr7, int i)
{
	static const u8 inside[] = { 0, 1, 7, 3 };	/* address bits, by length */

	if (!DR7_ENABLED(dr7, i))
		return true;
	if (DR7_KIND(dr7, i) == DR7_PORT || (DR7_KIND(dr7, i) == DR7_EXECUTE && DR7_LENGTH(dr7, i)))
		return false;
	return thv_canonical(dr) && !(dr & inside[DR7_LENGTH(dr7, i)]);
}

static int check_registers(const struct thv_debug_guest *args)
{
	int i;

	if (!(args->flags & THV_DEBUG_HARDWARE))
		return args->dr7 || memchr_inv(args->dr, 0, sizeof(args->dr)) ? -EINVAL : 0;
	if (args->dr7 & ~(DR7_DEBUGGER | THV_DR7_FIXED_1))
		return -EINVAL;
	for (i = 0; i < 4; i++)
		if (!breakpoint_possible(args->dr[i], args->dr7, i))
			return -EINVAL;
	return 0;
}

static int check(const struct thv_debug_guest *args)
{
	if ((args->flags & ~KNOWN_FLAGS) || args->reserved2[0] || args->reserved2[1])
		return -EINVAL;
	return check_registers(args);
}

static void count_debuggers(bool before, bool after)
{
	if (after && !before)
		static_branch_deferred_inc(&thv_debuggers);
	if (before && !after)
		static_branch_slow_dec_deferred(&thv_debuggers);
}

/**
 * thv_debugger_set - THV_DEBUG_GUEST.
 * @vcpu: the vCPU.
 * @args: the uapi's struct.
 *
 * Context: vcpu->lock held, loaded; may sleep.
 * Return: 0, or an errno as the uapi says; then nothing is changed.
 */
long thv_debugger_set(struct thv_vcpu *vcpu, const struct thv_debug_guest *args)
{
	u64 pending = thv_backend->get_pending_debug(vcpu);
	int err = check(args);

	if (err)
		return err;
	/* Hits of the old registers would be taken for the new ones', or the guest's */
	if (has_hardware(vcpu) && (pending & DR_TRAP_BITS))
		thv_backend->set_pending_debug(vcpu, pending & ~(u64)DR_TRAP_BITS);
	count_debuggers(vcpu->debugger.flags, args->flags);
	vcpu->debugger.flags = args->flags;
	memcpy(vcpu->debugger.dr, args->dr, sizeof(args->dr));
	vcpu->debugger.dr7 = args->dr7 | THV_DR7_FIXED_1;
	clear_bit(THV_REQ_STEPPED, &vcpu->requests);
	thv_backend->set_debugger(vcpu);
	thv_dr7_changed(vcpu);
	vcpu->look_for_events = true;
	return 0;
}

void thv_debugger_forget(struct thv_vcpu *vcpu)
{
	count_debuggers(vcpu->debugger.flags, 0);
	vcpu->debugger.flags = 0;
}

void thv_debugger_exit(void)
{
	static_key_deferred_flush(&thv_debuggers);
}
