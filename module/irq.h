/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Interrupts between vCPUs, from devices, and from the timer (irq.c): what the register model of
 * lapic.h needs the kernel for.
 */
#ifndef THV_IRQ_H
#define THV_IRQ_H

#include "trace.h"
#include "vcpu.h"

/**
 * thv_irq_vcpu_create() - give a new vCPU its local APIC, in the power-up state, and its timer.
 * @vcpu: ->id and ->vm are set; nobody else has it.
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int thv_irq_vcpu_create(struct thv_vcpu *vcpu);

/**
 * thv_irq_vcpu_destroy() - and take them away; the timer has gone off for the last time.
 * @vcpu: out of reach of messages: thv_eventfds_destroy() is done, no other vCPU of the VM runs.
 *	Also after a failed create.
 *
 * Context: may sleep.
 */
void thv_irq_vcpu_destroy(struct thv_vcpu *vcpu);

/**
 * thv_irq_vcpu_reset() - power-up or INIT of the local APIC and timer.
 * @vcpu: the vCPU.
 * @init: an INIT: the APIC's mode stays.
 *
 * Context: the vCPU's thread; the vCPU is loaded.
 */
void thv_irq_vcpu_reset(struct thv_vcpu *vcpu, bool init);

/**
 * thv_irq_deliver_msi() - route a message-signalled interrupt and deliver it.
 * @vm: the VM.
 * @msi: the message.
 *
 * Context: any; interrupts may be off.
 * Return: the number of vCPUs it reached; -EINVAL as THV_SIGNAL_MSI says.
 */
int thv_irq_deliver_msi(struct thv_vm *vm, const struct thv_msi *msi);

/* Would thv_irq_deliver_msi() refuse it? 0 or -EINVAL. Any context. */
int thv_irq_check_msi(const struct thv_msi *msi);

/* THV_INTERRUPT: 0, or -EINVAL. Any context. */
int thv_irq_interrupt(struct thv_vcpu *vcpu, const struct thv_interrupt *args);

/**
 * thv_irq_deadline() - the processor's own timer has ended the guest's turn.
 * @vcpu: the vCPU.
 *
 * Context: its thread; interrupts off.
 * Return: that was for the TSC deadline, which has come; false: it was not, or too early.
 */
bool thv_irq_deadline(struct thv_vcpu *vcpu);

/* THV_APIC_ACCESS: 0, or the uapi's errnos. The vCPU's thread, the vCPU loaded. */
int thv_irq_apic_access(struct thv_vcpu *vcpu, struct thv_apic_access *args);

/* The guest's TSC (vcpu->tsc_offset) changed: the vCPU's thread. */
static inline void thv_irq_tsc_changed(struct thv_vcpu *vcpu)
{
	thv_lapic_tsc_changed(&vcpu->lapic);
}

/*
 * The guest's accesses, for backends and msr.c: lapic.h's functions of the same name, counted. The
 * vCPU's thread, the vCPU loaded; interrupts on or off. IA32_APIC_BASE and IA32_TSC_DEADLINE:
 * lapic.base, thv_lapic_set_base(), thv_lapic_{get,set}_tsc_deadline().
 */
static inline int thv_apic_msr_read(struct thv_vcpu *vcpu, u32 index, u64 *value)
{
	int err;

	thv_count(vcpu, apic_accesses);
	err = thv_lapic_msr_read(&vcpu->lapic, index, value);
	if (trace_thv_apic_enabled() && !err)
		trace_thv_apic(vcpu, false, (index - APIC_BASE_MSR) << 4, *value);
	return err;
}

static inline int thv_apic_msr_write(struct thv_vcpu *vcpu, u32 index, u64 value)
{
	thv_count(vcpu, apic_accesses);
	trace_thv_apic(vcpu, true, (index - APIC_BASE_MSR) << 4, value);
	return thv_lapic_msr_write(&vcpu->lapic, index, value);
}

static inline void thv_apic_write_trap(struct thv_vcpu *vcpu, u32 offset)
{
	thv_count(vcpu, apic_accesses);
	if (trace_thv_apic_enabled())
		trace_thv_apic(vcpu, true, offset, thv_lapic_register_value(&vcpu->lapic, offset));
	thv_lapic_write_trap(&vcpu->lapic, offset);
}

static inline void thv_apic_eoi_induced(struct thv_vcpu *vcpu, u8 vector)
{
	thv_count(vcpu, apic_accesses);
	trace_thv_apic(vcpu, true, APIC_EOI, vector);
	thv_lapic_eoi_induced(&vcpu->lapic, vector);
}

#endif
