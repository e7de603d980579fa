/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tracepoints: what can be watched of a VM from outside, events/thv/ in tracefs. Each says which
 * VM and vCPU, and prints words: perf, trace-cmd, bpftrace and `thv trace` show the same.
 *
 * A line is made of name=value; a value ends where the next name begins, so it may have blanks.
 * userspace/lib/traceline.c counts on that.
 *
 * While nobody watches, a tracepoint is one nop. What costs something to find out (a VMCS field)
 * is found out behind trace_thv_..._enabled(). They may be used with interrupts off; not in
 * .noinstr code.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM thv

#if !defined(THV_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define THV_TRACE_H

#include <linux/kvm_para.h>
#include <linux/tracepoint.h>
#include <asm/msr-index.h>
#include "backend.h"
#include "compat.h"
#include "lapic.h"
#include "memory.h"
#include "names.h"
#include "slots.h"
#include "vmx/reasons.h"

struct thv_io;

/* Enumerators have to be made known to who reads the formats; other numbers are in there. */
#ifndef THV_TRACE_ENUM
#define THV_TRACE_ENUM(number, word) TRACE_DEFINE_ENUM(number);
#endif

THV_VM_STATE_NAMES(THV_TRACE_ENUM)
THV_MP_NAMES(THV_TRACE_ENUM)
THV_EXIT_NAMES(THV_TRACE_ENUM)
THV_EVENT_NAMES(THV_TRACE_ENUM)
THV_FLUSH_NAMES(THV_TRACE_ENUM)
THV_OUTCOME_NAMES(THV_TRACE_ENUM)
THV_SLOT_NAMES(THV_TRACE_ENUM)
THV_NOTICE_NAMES(THV_TRACE_ENUM)
THV_TIMER_NAMES(THV_TRACE_ENUM)
THV_DELIVERY_NAMES(THV_TRACE_ENUM)
THV_SHORTHAND_NAMES(THV_TRACE_ENUM)
TRACE_DEFINE_ENUM(VMX_REASON_NONE);

/* The last pair is for the comma before it. */
#define THV_WORD(number, word) { number, word },
#define THV_REASON_WORD(number, id, word) { number, word },
#define THV_WORDS(list) list(THV_WORD) { 0xffffffff, "none" }
#define THV_REASON_WORDS VMX_BASIC_REASONS(THV_REASON_WORD) { VMX_REASON_NONE, "no entry" }

#define THV_VCPU_FIELDS								\
		__field(u32, vm)						\
		__field(u32, vcpu)
#define THV_VCPU_ASSIGN								\
		__entry->vm = vcpu->vm->id;					\
		__entry->vcpu = vcpu->id

/* ---- the way of a vCPU ---- */

/* THV_RUN begins: the launcher's time is over. */
TRACE_EVENT(thv_run,
	TP_PROTO(const struct thv_vcpu *vcpu),
	TP_ARGS(vcpu),
	TP_STRUCT__entry(THV_VCPU_FIELDS),
	TP_fast_assign(THV_VCPU_ASSIGN;),
	TP_printk("vm=%u vcpu=%u", __entry->vm, __entry->vcpu)
);

/* ... and ends, with what the launcher is told (or an error). */
TRACE_EVENT(thv_return,
	TP_PROTO(const struct thv_vcpu *vcpu, u32 exit, long err),
	TP_ARGS(vcpu, exit, err),
	TP_STRUCT__entry(
		THV_VCPU_FIELDS
		__field(u32, exit)
		__field(int, err)
	),
	TP_fast_assign(
		THV_VCPU_ASSIGN;
		__entry->exit = exit;
		__entry->err = err;
	),
	TP_printk("vm=%u vcpu=%u exit=%s error=%d", __entry->vm, __entry->vcpu,
		  __print_symbolic(__entry->exit, THV_WORDS(THV_EXIT_NAMES)), __entry->err)
);

TRACE_EVENT(thv_entry,
	TP_PROTO(const struct thv_vcpu *vcpu, u64 rip),
	TP_ARGS(vcpu, rip),
	TP_STRUCT__entry(
		THV_VCPU_FIELDS
		__field(u64, rip)
	),
	TP_fast_assign(
		THV_VCPU_ASSIGN;
		__entry->rip = rip;
	),
	TP_printk("vm=%u vcpu=%u rip=0x%llx", __entry->vm, __entry->vcpu, __entry->rip)
);

TRACE_EVENT(thv_exit,
	TP_PROTO(const struct thv_vcpu *vcpu, const struct thv_exit_detail *detail),
	TP_ARGS(vcpu, detail),
	TP_STRUCT__entry(
		THV_VCPU_FIELDS
		__field(u32, reason)
		__field(u32, event)
		__field(u32, vectoring)
		__field(u64, rip)
		__field(u64, qualification)
	),
	TP_fast_assign(
		THV_VCPU_ASSIGN;
		__entry->reason = detail->reason;
		__entry->event = detail->event;
		__entry->vectoring = detail->vectoring;
		__entry->rip = detail->rip;
		__entry->qualification = detail->qualification;
	),
	TP_printk("vm=%u vcpu=%u reason=%s rip=0x%llx qualification=0x%llx event=0x%x vectoring=0x%x",
		  __entry->vm, __entry->vcpu,
		  __print_symbolic(__entry->reason, THV_REASON_WORDS), __entry->rip,
		  __entry->qualification, __entry->event, __entry->vectoring)
);

/* ---- what instructions ask for ---- */

/* Of an IN the value is still to come, from the launcher. */
TRACE_EVENT(thv_io,
	TP_PROTO(const struct thv_vcpu *vcpu, const struct thv_io *io, u32 value, bool doorbell),
	TP_ARGS(vcpu, io, value, doorbell),
	TP_STRUCT__entry(
		THV_VCPU_FIELDS
		__field(u16, port)
		__field(u8, size)
		__field(bool, in)
		__field(bool, string)
		__field(bool, rep)
		__field(bool, doorbell)
		__field(u32, value)
	),
	TP_fast_assign(
		THV_VCPU_ASSIGN;
		__entry->port = io->port;
		__entry->size = io->size;
		__entry->in = io->in;
		__entry->string = io->string;
		__entry->rep = io->rep;
		__entry->doorbell = doorbell;
		__entry->value = value;
	),
	TP_printk("vm=%u vcpu=%u access=%s%s%s port=0x%x size=%u value=0x%x by=%s", __entry->vm,
		  __entry->vcpu, __entry->rep ? "rep " : "", __entry->in ? "in" : "out",
		  __entry->string ? "s" : "", __entry->port, __entry->size, __entry->value,
		  __entry->doorbell ? "doorbell" : "launcher")
);

/* To the launcher, who decodes the instruction: data and size are not known here. */
TRACE_EVENT(thv_mmio,
	TP_PROTO(const struct thv_vcpu *vcpu, u64 gpa, u64 gla, u32 access, u32 flags),
	TP_ARGS(vcpu, gpa, gla, access, flags),
	TP_STRUCT__entry(
		THV_VCPU_FIELDS
		__field(u64, gpa)
		__field(u64, gla)
		__field(u32, access)
		__field(u32, flags)
	),
	TP_fast_assign(
		THV_VCPU_ASSIGN;
		__entry->gpa = gpa;
		__entry->gla = gla;
		__entry->access = access;
		__entry->flags = flags;
	),
	TP_printk("vm=%u vcpu=%u access=%s gpa=0x%llx gla=0x%llx%s%s", __entry->vm, __entry->vcpu,
		  __print_flags(__entry->access, "|", THV_WORDS(THV_ACCESS_NAMES)), __entry->gpa,
		  __entry->gla, __entry->flags & THV_MMIO_TABLE ? " of=table walk" : "",
		  __entry->flags & THV_MMIO_READONLY ? " to=read-only slot" : "")
);

TRACE_EVENT(thv_msr,
	TP_PROTO(const struct thv_vcpu *vcpu, bool write, u32 index, u64 value, int err),
	TP_ARGS(vcpu, write, index, value, err),
	TP_STRUCT__entry(
		THV_VCPU_FIELDS
		__field(u32, index)
		__field(bool, write)
		__field(bool, fault)
		__field(u64, value)
	),
	TP_fast_assign(
		THV_VCPU_ASSIGN;
		__entry->index = index;
		__entry->write = write;
		__entry->fault = err;
		__entry->value = value;
	),
	TP_printk("vm=%u vcpu=%u access=%s msr=%s index=0x%x value=0x%llx result=%s", __entry->vm,
		  __entry->vcpu, __entry->write ? "write" : "read",
		  __print_symbolic(__entry->index, THV_WORDS(THV_MSR_NAMES)), __entry->index,
		  __entry->value, __entry->fault ? "#GP" : "done")
);

TRACE_EVENT(thv_cpuid,
	TP_PROTO(const struct thv_vcpu *vcpu, u32 leaf, u32 subleaf, const struct cpuid_regs *regs),
	TP_ARGS(vcpu, leaf, subleaf, regs),
	TP_STRUCT__entry(
		THV_VCPU_FIELDS
		__field(u32, leaf)
		__field(u32, subleaf)
		__field(u32, eax)
		__field(u32, ebx)
		__field(u32, ecx)
		__field(u32, edx)
	),
	TP_fast_assign(
		THV_VCPU_ASSIGN;
		__entry->leaf = leaf;
		__entry->subleaf = subleaf;
		__entry->eax = regs->eax;
		__entry->ebx = regs->ebx;
		__entry->ecx = regs->ecx;
		__entry->edx = regs->edx;
	),
	TP_printk("vm=%u vcpu=%u leaf=0x%x subleaf=0x%x eax=0x%x ebx=0x%x ecx=0x%x edx=0x%x",
		  __entry->vm, __entry->vcpu, __entry->leaf, __entry->subleaf, __entry->eax,
		  __entry->ebx, __entry->ecx, __entry->edx)
);

TRACE_EVENT(thv_hypercall,
	TP_PROTO(const struct thv_vcpu *vcpu, u64 nr, u64 a0, u64 a1, u64 result),
	TP_ARGS(vcpu, nr, a0, a1, result),
	TP_STRUCT__entry(
		THV_VCPU_FIELDS
		__field(u64, nr)
		__field(u64, a0)
		__field(u64, a1)
		__field(u64, result)
	),
	TP_fast_assign(
		THV_VCPU_ASSIGN;
		__entry->nr = nr;
		__entry->a0 = a0;
		__entry->a1 = a1;
		__entry->result = result;
	),
	TP_printk("vm=%u vcpu=%u call=%s a0=0x%llx a1=0x%llx result=%lld", __entry->vm,
		  __entry->vcpu, __print_symbolic(__entry->nr, THV_WORDS(THV_HYPERCALL_NAMES)),
		  __entry->a0, __entry->a1, __entry->result)
);

/* ---- memory ---- */

TRACE_EVENT(thv_page_fault,
	TP_PROTO(const struct thv_vcpu *vcpu, const struct thv_fault *fault,
		 enum thv_fault_outcome outcome),
	TP_ARGS(vcpu, fault, outcome),
	TP_STRUCT__entry(
		THV_VCPU_FIELDS
		__field(u64, gpa)
		__field(u64, gla)
		__field(u32, access)
		__field(u32, cause)
		__field(u32, outcome)
	),
	TP_fast_assign(
		THV_VCPU_ASSIGN;
		__entry->gpa = fault->gpa;
		__entry->gla = fault->gla_valid ? fault->gla : 0;
		__entry->access = fault->access;
		__entry->cause = fault->present | fault->table << 1;
		__entry->outcome = outcome;
	),
	TP_printk("vm=%u vcpu=%u gpa=0x%llx gla=0x%llx access=%s cause=%s outcome=%s",
		  __entry->vm, __entry->vcpu, __entry->gpa, __entry->gla,
		  __print_flags(__entry->access, "|", THV_WORDS(THV_ACCESS_NAMES)),
		  __print_symbolic(__entry->cause,
				   { 0, "not mapped" },
				   { 1, "not permitted" },
				   { 2, "not mapped, table walk" },
				   { 3, "not permitted, table walk" }),
		  __print_symbolic(__entry->outcome, THV_WORDS(THV_OUTCOME_NAMES)))
);

TRACE_EVENT(thv_flush,
	TP_PROTO(const struct thv_vcpu *vcpu, enum thv_flush kind),
	TP_ARGS(vcpu, kind),
	TP_STRUCT__entry(
		THV_VCPU_FIELDS
		__field(u32, kind)
	),
	TP_fast_assign(
		THV_VCPU_ASSIGN;
		__entry->kind = kind;
	),
	TP_printk("vm=%u vcpu=%u kind=%s", __entry->vm, __entry->vcpu,
		  __print_symbolic(__entry->kind, THV_WORDS(THV_FLUSH_NAMES)))
);

TRACE_EVENT(thv_slot,
	TP_PROTO(const struct thv_vm *vm, enum thv_slot_change change,
		 const struct thv_memory *args, int err),
	TP_ARGS(vm, change, args, err),
	TP_STRUCT__entry(
		__field(u32, vm)
		__field(u32, slot)
		__field(u32, change)
		__field(u32, flags)
		__field(u64, gpa)
		__field(u64, size)
		__field(u64, hva)
		__field(int, err)
	),
	TP_fast_assign(
		__entry->vm = vm->id;
		__entry->slot = args->slot;
		__entry->change = change;
		__entry->flags = args->flags;
		__entry->gpa = args->gpa;
		__entry->size = args->size;
		__entry->hva = args->hva;
		__entry->err = err;
	),
	TP_printk("vm=%u slot=%u change=%s gpa=0x%llx size=0x%llx hva=0x%llx flags=%s error=%d",
		  __entry->vm, __entry->slot,
		  __print_symbolic(__entry->change, THV_WORDS(THV_SLOT_NAMES)), __entry->gpa,
		  __entry->size, __entry->hva,
		  __print_flags(__entry->flags, "|", THV_WORDS(THV_MEMORY_NAMES)), __entry->err)
);

/* User addresses; @young: something of it was in use. */
TRACE_EVENT(thv_notifier,
	TP_PROTO(const struct thv_vm *vm, enum thv_notice what, u64 start, u64 end, bool young),
	TP_ARGS(vm, what, start, end, young),
	TP_STRUCT__entry(
		__field(u32, vm)
		__field(u32, what)
		__field(u64, start)
		__field(u64, end)
		__field(bool, young)
	),
	TP_fast_assign(
		__entry->vm = vm->id;
		__entry->what = what;
		__entry->start = start;
		__entry->end = end;
		__entry->young = young;
	),
	TP_printk("vm=%u what=%s start=0x%llx end=0x%llx young=%d", __entry->vm,
		  __print_symbolic(__entry->what, THV_WORDS(THV_NOTICE_NAMES)), __entry->start,
		  __entry->end, __entry->young)
);

/* ---- events and the local APIC ---- */

/*
 * What goes into the next entry. With virtual-interrupt delivery interrupts don't: the processor
 * takes them out of the APIC's page; see thv_apic_accept.
 */
TRACE_EVENT(thv_inject,
	TP_PROTO(const struct thv_vcpu *vcpu, const struct thv_event *event, bool again),
	TP_ARGS(vcpu, event, again),
	TP_STRUCT__entry(
		THV_VCPU_FIELDS
		__field(u8, vector)
		__field(u8, type)
		__field(bool, has_error)
		__field(bool, again)
		__field(u32, error)
	),
	TP_fast_assign(
		THV_VCPU_ASSIGN;
		__entry->vector = event->vector;
		__entry->type = event->type;
		__entry->has_error = event->has_error;
		__entry->again = again;
		__entry->error = event->has_error ? event->error : 0;
	),
	TP_printk("vm=%u vcpu=%u type=%s vector=%s error=0x%x%s", __entry->vm, __entry->vcpu,
		  __print_symbolic(__entry->type, THV_WORDS(THV_EVENT_NAMES)),
		  __print_symbolic(__entry->vector, THV_WORDS(THV_EXCEPTION_NAMES)),
		  __entry->error, __entry->again ? " again=yes" : "")
);

/* The guest's access to a register, however it came */
TRACE_EVENT(thv_apic,
	TP_PROTO(const struct thv_vcpu *vcpu, bool write, u32 offset, u64 value),
	TP_ARGS(vcpu, write, offset, value),
	TP_STRUCT__entry(
		THV_VCPU_FIELDS
		__field(u32, offset)
		__field(bool, write)
		__field(u64, value)
		__string(name, thv_lapic_register_name(offset) ?: "none")
	),
	TP_fast_assign(
		THV_VCPU_ASSIGN;
		__entry->offset = offset;
		__entry->write = write;
		__entry->value = value;
		thv_assign_str(name, thv_lapic_register_name(offset) ?: "none");
	),
	TP_printk("vm=%u vcpu=%u access=%s register=%s offset=0x%x value=0x%llx", __entry->vm,
		  __entry->vcpu, __entry->write ? "write" : "read", __get_str(name),
		  __entry->offset, __entry->value)
);

TRACE_EVENT(thv_apic_ipi,
	TP_PROTO(const struct thv_vcpu *vcpu, const struct thv_lapic_message *message),
	TP_ARGS(vcpu, message),
	TP_STRUCT__entry(
		THV_VCPU_FIELDS
		__field(u32, destination)
		__field(u8, vector)
		__field(u8, delivery)
		__field(u8, shorthand)
		__field(bool, logical)
	),
	TP_fast_assign(
		THV_VCPU_ASSIGN;
		__entry->destination = message->destination;
		__entry->vector = message->vector;
		__entry->delivery = message->delivery;
		__entry->shorthand = message->shorthand;
		__entry->logical = message->logical;
	),
	TP_printk("vm=%u vcpu=%u delivery=%s vector=0x%x destination=0x%x mode=%s shorthand=%s",
		  __entry->vm, __entry->vcpu,
		  __print_symbolic(__entry->delivery, THV_WORDS(THV_DELIVERY_NAMES)),
		  __entry->vector, __entry->destination,
		  __entry->logical ? "logical" : "physical",
		  __print_symbolic(__entry->shorthand, THV_WORDS(THV_SHORTHAND_NAMES)))
);

/* A message has reached this APIC: from a device, the launcher, another vCPU. */
TRACE_EVENT(thv_apic_accept,
	TP_PROTO(const struct thv_vcpu *vcpu, u32 delivery, u8 vector, bool taken),
	TP_ARGS(vcpu, delivery, vector, taken),
	TP_STRUCT__entry(
		THV_VCPU_FIELDS
		__field(u32, delivery)
		__field(u8, vector)
		__field(bool, taken)
	),
	TP_fast_assign(
		THV_VCPU_ASSIGN;
		__entry->delivery = delivery;
		__entry->vector = vector;
		__entry->taken = taken;
	),
	TP_printk("vm=%u vcpu=%u delivery=%s vector=0x%x taken=%s", __entry->vm, __entry->vcpu,
		  __print_symbolic(__entry->delivery, THV_WORDS(THV_DELIVERY_NAMES)),
		  __entry->vector, __entry->taken ? "yes" : "no")
);

/* @ns: until it goes off, of a timer that is armed */
TRACE_EVENT(thv_apic_timer,
	TP_PROTO(const struct thv_vcpu *vcpu, bool expired, u32 mode, u64 ns),
	TP_ARGS(vcpu, expired, mode, ns),
	TP_STRUCT__entry(
		THV_VCPU_FIELDS
		__field(bool, expired)
		__field(u32, mode)
		__field(u64, ns)
	),
	TP_fast_assign(
		THV_VCPU_ASSIGN;
		__entry->expired = expired;
		__entry->mode = mode;
		__entry->ns = ns;
	),
	TP_printk("vm=%u vcpu=%u timer=%s mode=%s ns=%llu", __entry->vm, __entry->vcpu,
		  __entry->expired ? "expired" : "armed",
		  __print_symbolic(__entry->mode, THV_WORDS(THV_TIMER_NAMES)), __entry->ns)
);

/* ---- states ---- */

TRACE_EVENT(thv_state_vm,
	TP_PROTO(const struct thv_vm *vm, u32 old, u32 new),
	TP_ARGS(vm, old, new),
	TP_STRUCT__entry(
		__field(u32, vm)
		__field(u32, old)
		__field(u32, new)
	),
	TP_fast_assign(
		__entry->vm = vm->id;
		__entry->old = old;
		__entry->new = new;
	),
	TP_printk("vm=%u from=%s to=%s", __entry->vm,
		  __print_symbolic(__entry->old, THV_WORDS(THV_VM_STATE_NAMES)),
		  __print_symbolic(__entry->new, THV_WORDS(THV_VM_STATE_NAMES)))
);

TRACE_EVENT(thv_state_vcpu,
	TP_PROTO(const struct thv_vcpu *vcpu, u32 old, u32 new),
	TP_ARGS(vcpu, old, new),
	TP_STRUCT__entry(
		THV_VCPU_FIELDS
		__field(u32, old)
		__field(u32, new)
	),
	TP_fast_assign(
		THV_VCPU_ASSIGN;
		__entry->old = old;
		__entry->new = new;
	),
	TP_printk("vm=%u vcpu=%u from=%s to=%s", __entry->vm, __entry->vcpu,
		  __print_symbolic(__entry->old, THV_WORDS(THV_MP_NAMES)),
		  __print_symbolic(__entry->new, THV_WORDS(THV_MP_NAMES)))
);

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
