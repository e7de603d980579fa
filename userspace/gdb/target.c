// SPDX-License-Identifier: GPL-2.0-only
/*
 * The machine as a gdb session sees it: registers and memory of vCPUs that are held, breakpoints,
 * and how it is let go. Guest memory is the launcher's own, so a debugger's access
 * needs no help but a translation.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "gdb/gdb.h"
#include "gdb/server.h"
#include "lib/device.h"
#include "vmm/hold.h"
#include "vmm/machine.h"
#include "vmm/vcpu.h"

#define MSR_KERNEL_GS_BASE	0xc0000102
#define RFLAGS_RF		(1ULL << 16)
#define DR6_BS			(1ULL << 14)
#define VECTOR_BP		3

static struct vcpu *vcpu_of(struct gdb *gdb, u32 id)
{
	return &gdb->machine->vcpu[id];
}

/* ---- registers ----------------------------------------------------------- */

static int get(void *opaque, u32 id, struct gdb_registers *registers)
{
	int fd = vcpu_of(opaque, id)->fd;
	struct thv_msr msr = { .index = MSR_KERNEL_GS_BASE };
	struct thv_state state = { .component = THV_STATE_MSRS, .size = sizeof(msr),
				   .data = (unsigned long)&msr };

	if (vcpu_get(fd, THV_STATE_REGS, &registers->regs, sizeof(registers->regs)) < 0 ||
	    vcpu_get(fd, THV_STATE_SREGS, &registers->sregs, sizeof(registers->sregs)) < 0 ||
	    vcpu_get(fd, THV_STATE_FPU, &registers->fpu, sizeof(registers->fpu)) < 0 ||
	    device_call(fd, THV_GET_STATE, &state, "MSRs", device_no_sentences) < 0)
		return -1;
	registers->kernel_gs_base = msr.value;
	return 0;
}

static int set_part(int fd, enum thv_state_id component, const void *old, const void *new, u32 size)
{
	if (!memcmp(old, new, size))
		return 0;
	return vcpu_set(fd, component, new, size) < 0 ? -1 : 0;
}

static int set_kernel_gs_base(int fd, u64 value)
{
	struct thv_msr msr = { .index = MSR_KERNEL_GS_BASE, .value = value };
	struct thv_state state = { .component = THV_STATE_MSRS, .size = sizeof(msr),
				   .data = (unsigned long)&msr };

	return device_call(fd, THV_SET_STATE, &state, "MSRs", device_no_sentences) == 1 ? 0 : -1;
}

static int set(void *opaque, u32 id, const struct gdb_registers *old,
	       const struct gdb_registers *new)
{
	int fd = vcpu_of(opaque, id)->fd;

	if (set_part(fd, THV_STATE_SREGS, &old->sregs, &new->sregs, sizeof(old->sregs)) ||
	    set_part(fd, THV_STATE_REGS, &old->regs, &new->regs, sizeof(old->regs)) ||
	    set_part(fd, THV_STATE_FPU, &old->fpu, &new->fpu, sizeof(old->fpu)))
		return -1;
	return old->kernel_gs_base == new->kernel_gs_base ? 0 :
	       set_kernel_gs_base(fd, new->kernel_gs_base);
}

/* ---- memory -------------------------------------------------------------- */

/* As the supervisor, and where SMAP keeps that out, as the user */
static bool translate(struct vcpu *vcpu, u64 gla, struct thv_translate *found)
{
	static const u32 accesses[] = { THV_ACCESS_READ, THV_ACCESS_READ | THV_ACCESS_USER };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(accesses); i++) {
		*found = (struct thv_translate){ .gla = gla, .access = accesses[i] };
		if (vcpu_translate(vcpu->fd, found) < 0)
			return false;
		if (found->result != THV_TRANSLATE_GUEST_FAULT)
			return found->result != THV_TRANSLATE_NON_CANONICAL;
	}
	return false;
}

/* Where the byte at @gla is, and how many follow it in its page; NULL: it is no memory */
static u8 *place(struct vcpu *vcpu, u64 gla, size_t *length)
{
	size_t in_page = PAGE_BYTES - gla % PAGE_BYTES;
	struct thv_translate found;

	if (!translate(vcpu, gla, &found))
		return NULL;
	*length = *length < in_page ? *length : in_page;
	return memory_at(&vcpu->machine->memory, found.gpa, *length);
}

static size_t read_memory(void *opaque, u32 id, u64 gla, void *data, size_t length)
{
	struct gdb *gdb = opaque;
	size_t done = 0;

	while (done < length) {
		size_t part = length - done;
		u8 *from = place(vcpu_of(gdb, id), gla + done, &part);

		if (!from)
			break;
		memcpy((u8 *)data + done, from, part);
		gdb_breakpoints_hide(&gdb->breakpoints, from, (u8 *)data + done, part);
		done += part;
	}
	return done;
}

static bool write_memory(void *opaque, u32 id, u64 gla, const void *data, size_t length)
{
	struct gdb *gdb = opaque;
	size_t done = 0;

	while (done < length) {
		size_t part = length - done;
		u8 *to = place(vcpu_of(gdb, id), gla + done, &part);

		if (!to)
			return false;
		gdb_breakpoints_write(&gdb->breakpoints, to, (const u8 *)data + done, part);
		done += part;
	}
	return true;
}

/* ---- breakpoints --------------------------------------------------------- */

static enum gdb_inserted insert(void *opaque, u32 id, enum gdb_breakpoint kind, u64 gla, u64 length)
{
	struct gdb *gdb = opaque;
	size_t one = 1;
	u8 *at;

	if (kind != GDB_SOFTWARE)
		return gdb_hardware_insert(&gdb->breakpoints, kind, gla, length);
	at = place(vcpu_of(gdb, id), gla, &one);
	return at ? gdb_software_insert(&gdb->breakpoints, gla, at) : GDB_UNMAPPED;
}

static void remove_breakpoint(void *opaque, enum gdb_breakpoint kind, u64 gla, u64 length)
{
	struct gdb *gdb = opaque;

	if (kind == GDB_SOFTWARE)
		gdb_software_remove(&gdb->breakpoints, gla);
	else
		gdb_hardware_remove(&gdb->breakpoints, kind, gla, length);
}

/* Is the INT3 that the vCPU is at the debugger's? On the vCPU's thread. */
bool gdb_own_breakpoint(struct gdb *gdb, struct vcpu *vcpu)
{
	struct thv_sregs sregs;
	size_t one = 1;
	u8 *at;

	if (vcpu_get(vcpu->fd, THV_STATE_SREGS, &sregs, sizeof(sregs)) < 0)
		return false;
	at = place(vcpu, sregs.seg[THV_CS].base + vcpu->run->regs.rip, &one);
	return at && gdb_software_at(&gdb->breakpoints, at);
}

static void set_debug(struct vcpu *vcpu, struct thv_debug_guest *debug)
{
	device_call(vcpu->fd, THV_DEBUG_GUEST, debug, "debugging", device_no_sentences);
}

void gdb_disarm(struct gdb *gdb)
{
	struct thv_debug_guest none = { 0 };
	u32 id;

	gdb_breakpoints_clear(&gdb->breakpoints);
	for (id = 0; id < gdb->machine->config->cpus; id++)
		set_debug(vcpu_of(gdb, id), &none);
	memset(gdb->events, 0, sizeof(gdb->events));
}

/* ---- stops --------------------------------------------------------------- */

static void describe_event(struct gdb *gdb, const struct gdb_event *event, struct gdb_stop *stop)
{
	const struct gdb_hardware *hit = gdb_hardware_hit(&gdb->breakpoints, event->dr6);

	stop->signal = event->what == GDB_FATAL ? event->signal : GDB_SIGNAL_TRAP;
	if (event->what == GDB_DEBUG && event->vector == VECTOR_BP) {
		stop->cause = GDB_AT_SOFTWARE;
	} else if (event->what == GDB_DEBUG && hit) {
		stop->cause = GDB_AT_HARDWARE;
		stop->hit = *hit;
	}
}

/* It stopped before an instruction, which RF would let it carry out next time */
static void stop_again(struct vcpu *vcpu)
{
	struct thv_regs regs;

	if (vcpu_get(vcpu->fd, THV_STATE_REGS, &regs, sizeof(regs)) < 0)
		return;
	regs.rflags &= ~RFLAGS_RF;
	vcpu_set(vcpu->fd, THV_STATE_REGS, &regs, sizeof(regs));
}

/*
 * One event is told; of the others, those that come again by themselves are forgotten: the debugger
 * may take the breakpoint away before. A watchpoint's or a step's does not come again.
 */
static void forget_repeatable(struct gdb *gdb, u32 id)
{
	struct gdb_event *event = &gdb->events[id];
	const struct gdb_hardware *hit = gdb_hardware_hit(&gdb->breakpoints, event->dr6);
	bool before = hit && hit->kind == GDB_EXECUTE;

	if (event->what != GDB_DEBUG || (event->vector != VECTOR_BP && !before))
		return;
	if (before)
		stop_again(vcpu_of(gdb, id));
	event->what = GDB_NOTHING;
}

/* An event of the vCPU that is looked at goes first, so that a step is not lost sight of */
static u32 first_event(struct gdb *gdb)
{
	u32 cpus = gdb->machine->config->cpus, i, id;

	for (i = 0; i < cpus; i++) {
		id = (gdb->session.vcpu + i) % cpus;
		if (gdb->events[id].what != GDB_NOTHING)
			return id;
	}
	return cpus;
}

void gdb_choose_stop(struct gdb *gdb, struct gdb_stop *stop)
{
	u32 id;

	pthread_mutex_lock(&gdb->lock);
	id = first_event(gdb);
	*stop = (struct gdb_stop){ .vcpu = gdb->session.vcpu, .signal = GDB_SIGNAL_INT };
	if (id < gdb->machine->config->cpus) {
		stop->vcpu = id;
		describe_event(gdb, &gdb->events[id], stop);
		gdb->events[id].what = GDB_NOTHING;
	}
	for (id = 0; id < gdb->machine->config->cpus; id++)
		forget_repeatable(gdb, id);
	pthread_mutex_unlock(&gdb->lock);
}

/* ---- going on ------------------------------------------------------------ */

static void resume(void *opaque, const enum gdb_action actions[GDB_VCPUS])
{
	struct gdb *gdb = opaque;
	struct thv_debug_guest debug;
	bool go[GDB_VCPUS];
	u32 id;

	/* What has not been told is told now, and nothing runs */
	if (first_event(gdb) < gdb->machine->config->cpus) {
		eventfd_write(gdb->machine->hold.all, 1);
		return;
	}
	for (id = 0; id < gdb->machine->config->cpus; id++) {
		gdb_breakpoints_debug(&gdb->breakpoints, &debug);
		debug.flags |= actions[id] == GDB_STEP ? THV_DEBUG_STEP : 0;
		go[id] = actions[id] != GDB_STAY;
		if (go[id])
			set_debug(vcpu_of(gdb, id), &debug);
	}
	gdb->held = false;
	hold_release(gdb->machine, go);
}

static void interrupt(void *opaque)
{
	struct gdb *gdb = opaque;

	hold_all(gdb->machine);
}

/* What it takes is done when the client goes, in this way or another: gdb_disarm() */
static void detach(void *opaque)
{
	(void)opaque;
}

static void kill_machine(void *opaque)
{
	struct gdb *gdb = opaque;

	machine_end(gdb->machine, END_SIGNAL + SIGKILL, "killed by the debugger");
}

/* ---- for people ---------------------------------------------------------- */

static void describe(void *opaque, u32 id, char *text, size_t size)
{
	static const char *const modes[] = { [GDB_64] = "64", [GDB_32] = "32", [GDB_16] = "16" };
	static const char *const states[] = {
		[THV_MP_RUNNING] = "running", [THV_MP_HALTED] = "halted",
		[THV_MP_WAIT_SIPI] = "waiting for a start-up IPI", [3] = "",
	};
	struct vcpu *vcpu = vcpu_of(opaque, id);
	struct thv_event_state events;
	struct thv_sregs sregs;

	if (vcpu_get(vcpu->fd, THV_STATE_EVENTS, &events, sizeof(events)) < 0 ||
	    vcpu_get(vcpu->fd, THV_STATE_SREGS, &sregs, sizeof(sregs)) < 0)
		return;
	snprintf(text, size, "vCPU %u: %s, CPL %u, %s-bit", id, states[events.mp_state & 3],
		 (sregs.seg[THV_SS].attributes & THV_SEG_DPL) >> 5, modes[gdb_mode(&sregs)]);
}

const struct gdb_target gdb_target_operations = {
	.get = get,
	.set = set,
	.read = read_memory,
	.write = write_memory,
	.insert = insert,
	.remove = remove_breakpoint,
	.resume = resume,
	.interrupt = interrupt,
	.detach = detach,
	.kill = kill_machine,
	.describe = describe,
	.monitor = gdb_monitor,
};
