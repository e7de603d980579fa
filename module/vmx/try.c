// SPDX-License-Identifier: GPL-2.0-only
/*
 * THV_DEBUG_TRY: is the processor of the same mind as the rules of explain.c? Raw values go into the
 * VMCS, the processor is asked to enter, and everything is put back. In debug builds only.
 *
 * No guest runs: a VMX-preemption timer of 0 has the processor leave again before the first
 * instruction (SDM 26.5.1). Only an event to be delivered goes into the guest's memory.
 */
#include <linux/capability.h>
#include <linux/hw_breakpoint.h>
#include <linux/uaccess.h>
#include "../debug_ioctl.h"
#include "explain.h"
#include "vmx.h"

/* All that a test may change, and that an entry and its exit change */
static bool is_ours(u32 field)
{
	switch (field) {
	case VM_ENTRY_CONTROLS:
	case VM_ENTRY_INTR_INFO_FIELD:
	case VM_ENTRY_EXCEPTION_ERROR_CODE:
	case VM_ENTRY_INSTRUCTION_LEN:
		return true;
	}
	return VMX_FIELD_TYPE(field) == VMX_GUEST;
}

/*
 * In wait-for-SIPI nothing but a SIPI, which never comes, or an NMI of the host ends the guest's time on
 * the CPU: the preemption timer does not (SDM 26.5.1).
 */
static bool dangerous(const struct thv_field *field, bool flip)
{
	return field->field == GUEST_ACTIVITY_STATE &&
	       (u32)((flip ? vmread(GUEST_ACTIVITY_STATE) : 0) ^ field->value) == GUEST_ACTIVITY_WAIT_SIPI;
}

static bool exists(u32 field)
{
	u32 i;

	for (i = 0; i < VMX_FIELD_COUNT; i++)
		if (vmx_encodings[i] == field)
			return vmx_has_field(i);
	return false;
}

static int check(const struct thv_debug_try *try)
{
	u32 i;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	if (!(vmx_caps.pin_may & PIN_BASED_VMX_PREEMPTION_TIMER))
		return -EOPNOTSUPP;
	if (try->count > ARRAY_SIZE(try->field))
		return -EINVAL;
	for (i = 0; i < try->count; i++)
		if (try->field[i].reserved || !is_ours(try->field[i].field) ||
		    dangerous(&try->field[i], try->flip & BIT(i)))
			return -EINVAL;
	for (i = 0; i < try->count; i++)
		if (!exists(try->field[i].field))
			return -ENXIO;
	return 0;
}

static void put_back(const struct vmx_state *s)
{
	u64 value;
	int i;

	for (i = 0; i < VMX_FIELD_COUNT; i++) {
		if (!is_ours(vmx_encodings[i]) || !vmx_has_field(i))
			continue;
		value = vmread(vmx_encodings[i]);
		if (value != s->field[i])
			vmwrite(vmx_encodings[i], s->field[i]);
	}
}

static void change(const struct thv_field *field, bool flip)
{
	vmwrite(field->field, (flip ? vmread(field->field) : 0) ^ field->value);
}

static void enter_once(struct vmx_vcpu *vmx, struct thv_debug_try *try)
{
	struct thv_vcpu *vcpu = &vmx->vcpu;
	struct thv_events events = vcpu->events;
	bool watched = vcpu->lapic.watched;
	u64 cr2 = vcpu->cr2;

	vcpu->lapic.watched = false;	/* the timer is the test's */
	vmwrite(PIN_BASED_VM_EXEC_CONTROL, vmx_caps.pin | PIN_BASED_VMX_PREEMPTION_TIMER);
	vmwrite(VMX_PREEMPTION_TIMER_VALUE, 0);
	thv_vmx_backend.prepare(vcpu);
	thv_vmx_backend.enter(vcpu);
	try->reason = vmx->reason;
	try->entered = !(vmx->reason & VMX_EXIT_REASONS_FAILED_VMENTRY);
	try->instruction_error = vmx->reason == VMX_REASON_VMFAIL ? vmread(VM_INSTRUCTION_ERROR) : 0;
	vmwrite(PIN_BASED_VM_EXEC_CONTROL, vmx_caps.pin);
	vmwrite(VMX_PREEMPTION_TIMER_VALUE, vmx_caps.turn);
	vcpu->lapic.watched = watched;
	if (hw_breakpoint_active())	/* the exit cleared DR7 */
		hw_breakpoint_restore();
	vcpu->cr2 = cr2;
	/* The event of this entry was the test's */
	vcpu->events.reinject = events.reinject;
	vcpu->look_for_events = true;
}

/* Translations under changed control registers may have been made for the delivery of an event */
static void forget(struct vmx_vcpu *vmx)
{
	vmx->rip_read = false;
	vmx->rsp_read = false;
	vmx->interruptibility_read = false;
	vmx_flush(&vmx->vcpu, THV_FLUSH_LINEAR);
}

static void try_changed(struct vmx_vcpu *vmx, struct thv_debug_try *try, struct vmx_state *before,
			struct vmx_state *changed)
{
	unsigned long flags;
	u32 i;

	local_irq_save(flags);
	vmx_write_dirty_regs(vmx);
	vmx_read_fields(before->field);
	for (i = 0; i < try->count; i++)
		change(&try->field[i], try->flip & BIT(i));
	vmx_snapshot(vmx, changed, true);
	if (!try->dry)
		enter_once(vmx, try);
	put_back(before);
	forget(vmx);
	local_irq_restore(flags);
}

static int tell(const struct vmx_state *s, struct thv_debug_try *try)
{
	char *text = NULL;
	int err = 0;

	if (try->state && copy_to_user(u64_to_user_ptr(try->state), s->field, sizeof(s->field)))
		return -EFAULT;
	if (!try->size) {
		try->rules = vmx_rules_broken(s);
		return 0;
	}
	text = kzalloc(min_t(u64, try->size, PAGE_SIZE), GFP_KERNEL);
	if (!text)
		return -ENOMEM;
	try->rules = vmx_explain(s, text, min_t(u64, try->size, PAGE_SIZE));
	if (copy_to_user(u64_to_user_ptr(try->text), text, strlen(text) + 1))
		err = -EFAULT;
	kfree(text);
	return err;
}

/* See struct thv_backend */
int vmx_try(struct thv_vcpu *vcpu, struct thv_debug_try *try)
{
	struct vmx_state *states = kmalloc_array(2, sizeof(*states), GFP_KERNEL);
	int err;

	if (!states)
		return -ENOMEM;
	vmx_read_fields(states->field);		/* and finds out which there are */
	err = check(try);
	if (!err) {
		try_changed(to_vmx(vcpu), try, &states[0], &states[1]);
		err = tell(&states[1], try);
	}
	kfree(states);
	return err;
}
