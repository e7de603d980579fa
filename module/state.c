// SPDX-License-Identifier: GPL-2.0-only
/*
 * A vCPU's state in and out, component by component (THV_GET_STATE, THV_SET_STATE). Each piece of
 * state belongs to one component, so that a vCPU that is saved and restored is the same vCPU.
 */
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <asm/fpu/api.h>
#include "cpuid.h"
#include "debugger.h"
#include "event.h"
#include "vcpu.h"

#define XSAVE_HEADER		512	/* SDM 13.4 */
#define XSAVE_HEADER_SIZE	64

/* ---- the components: @data is the kernel's copy, of the component's size ---- */

static int get_regs(struct thv_vcpu *vcpu, void *data)
{
	thv_backend->read_regs(vcpu);
	*(struct thv_regs *)data = vcpu->regs;
	return 0;
}

static int set_regs(struct thv_vcpu *vcpu, const void *data)
{
	const struct thv_regs *regs = data;

	if (!thv_rflags_valid(regs->rflags))
		return -EINVAL;
	vcpu->regs = *regs;
	vcpu->regs.rflags |= X86_EFLAGS_FIXED;
	thv_backend->write_regs(vcpu);
	vcpu->look_for_events = true;
	return 0;
}

static int get_sregs(struct thv_vcpu *vcpu, void *data)
{
	thv_backend->get_sregs(vcpu, data);
	return 0;
}

static int set_sregs(struct thv_vcpu *vcpu, const void *data)
{
	const struct thv_sregs *sregs = data;

	if (thv_sregs_check(sregs))
		return -EINVAL;
	vcpu->look_for_events = true;
	return thv_backend->set_sregs(vcpu, sregs);
}

static int get_fpu(struct thv_vcpu *vcpu, void *data)
{
	struct thv_fpu *fpu = data;

	fpu->xcr0 = vcpu->xcr0;
	fpu_copy_guest_fpstate_to_uabi(&vcpu->fpu, fpu->xsave, sizeof(fpu->xsave),
				       thv_xcr0_allowed(), 0);
	return 0;
}

/*
 * The header of an XSAVE area: states that can be, and nothing else (SDM 13.4.2). The kernel looks at it only
 * on processors that have XSAVE.
 */
static bool xsave_header_valid(const struct thv_fpu *fpu)
{
	const u8 *header = fpu->xsave + XSAVE_HEADER;
	u64 states;

	memcpy(&states, header, sizeof(states));
	return !(states & ~(thv_xcr0_allowed() | XFEATURE_MASK_FPSSE)) &&
	       !memchr_inv(header + sizeof(states), 0, XSAVE_HEADER_SIZE - sizeof(states));
}

static int set_fpu(struct thv_vcpu *vcpu, const void *data)
{
	const struct thv_fpu *fpu = data;
	int err;

	if (memchr_inv(fpu->reserved, 0, sizeof(fpu->reserved)) || thv_xcr0_check(fpu->xcr0) ||
	    !xsave_header_valid(fpu))
		return -EINVAL;
	err = fpu_copy_uabi_to_guest_fpstate(&vcpu->fpu, fpu->xsave, thv_xcr0_allowed(), NULL);
	if (err)
		return -EINVAL;
	vcpu->xcr0 = fpu->xcr0;
	return 0;
}

static int get_debug(struct thv_vcpu *vcpu, void *data)
{
	struct thv_debug *debug = data;

	memcpy(debug->dr, vcpu->dr, sizeof(debug->dr));
	debug->dr6 = vcpu->dr6;
	debug->dr7 = vcpu->dr7;
	return 0;
}

static int set_debug(struct thv_vcpu *vcpu, const void *data)
{
	const struct thv_debug *debug = data;

	if (debug->dr6 >> 32 || debug->dr7 >> 32)
		return -EINVAL;
	memcpy(vcpu->dr, debug->dr, sizeof(debug->dr));
	vcpu->dr6 = (debug->dr6 & THV_DR6_WRITABLE) | THV_DR6_FIXED_1;
	vcpu->dr7 = (debug->dr7 & THV_DR7_WRITABLE) | THV_DR7_FIXED_1;
	thv_dr7_changed(vcpu);
	return 0;
}

static int get_apic(struct thv_vcpu *vcpu, void *data)
{
	thv_lapic_get(&vcpu->lapic, data);
	return 0;
}

static int set_apic(struct thv_vcpu *vcpu, const void *data)
{
	vcpu->look_for_events = true;
	return thv_lapic_set(&vcpu->lapic, data);
}

static int get_events(struct thv_vcpu *vcpu, void *data)
{
	thv_events_get(vcpu, data);
	return 0;
}

static int set_events(struct thv_vcpu *vcpu, const void *data)
{
	const struct thv_event_state *events = data;

	if (memchr_inv(events->reserved, 0, sizeof(events->reserved)))
		return -EINVAL;
	return thv_events_set(vcpu, events);
}

static int get_tsc(struct thv_vcpu *vcpu, void *data)
{
	thv_tsc_get(vcpu, data);
	return 0;
}

static int set_tsc(struct thv_vcpu *vcpu, const void *data)
{
	return thv_tsc_set(vcpu, data);
}

static const struct component {
	size_t size;
	int (*get)(struct thv_vcpu *vcpu, void *data);
	int (*set)(struct thv_vcpu *vcpu, const void *data);
} components[] = {
	[THV_STATE_REGS] = { sizeof(struct thv_regs), get_regs, set_regs },
	[THV_STATE_SREGS] = { sizeof(struct thv_sregs), get_sregs, set_sregs },
	[THV_STATE_FPU] = { sizeof(struct thv_fpu), get_fpu, set_fpu },
	[THV_STATE_DEBUG] = { sizeof(struct thv_debug), get_debug, set_debug },
	[THV_STATE_APIC] = { sizeof(struct thv_apic), get_apic, set_apic },
	[THV_STATE_EVENTS] = { sizeof(struct thv_event_state), get_events, set_events },
	[THV_STATE_TSC] = { sizeof(struct thv_tsc), get_tsc, set_tsc },
};

/* ---- MSRs: a list, done as far as it goes ---- */

#define MAX_MSRS 256

static int msr_count(const struct thv_state *args)
{
	u32 count = args->size / sizeof(struct thv_msr);

	return args->size % sizeof(struct thv_msr) || count > MAX_MSRS ? -EINVAL : count;
}

static long do_msrs(struct thv_vcpu *vcpu, struct thv_msr *msrs, int count, bool set)
{
	int i, err = 0;

	for (i = 0; i < count; i++) {
		if (msrs[i].reserved)
			return i ?: -EINVAL;
		err = set ? thv_msr_write(vcpu, msrs[i].index, msrs[i].value, THV_MSR_HOST) :
			    thv_msr_read(vcpu, msrs[i].index, &msrs[i].value, THV_MSR_HOST);
		if (err)
			break;
	}
	return i ?: err;
}

static long set_msrs(struct thv_vcpu *vcpu, const struct thv_state *args)
{
	int count = msr_count(args);
	struct thv_msr *list;
	long done;

	if (count < 0)
		return count;
	list = memdup_user(u64_to_user_ptr(args->data), args->size);
	if (IS_ERR(list))
		return PTR_ERR(list);
	done = do_msrs(vcpu, list, count, true);
	kfree(list);
	return done;
}

/* ---- both ioctls ---- */

static const struct component *find(const struct thv_state *args)
{
	const struct component *component;

	if (args->component >= ARRAY_SIZE(components))
		return NULL;
	component = &components[args->component];
	return component->get && component->size == args->size ? component : NULL;
}

/**
 * thv_state_prepare - a buffer for a component.
 * @args: the uapi's struct.
 *
 * Context: may sleep; whether the vCPU is loaded does not matter.
 * Return: the buffer, for thv_state_read() and thv_state_finish(); an ERR_PTR as the uapi says.
 */
void *thv_state_prepare(const struct thv_state *args)
{
	void *data;

	if (args->component == THV_STATE_MSRS)
		return msr_count(args) < 0 ? ERR_PTR(-EINVAL) :
		       memdup_user(u64_to_user_ptr(args->data), args->size);
	if (!find(args))
		return ERR_PTR(-EINVAL);
	data = kzalloc(args->size, GFP_KERNEL);
	return data ?: ERR_PTR(-ENOMEM);
}

/**
 * thv_state_read - a component as it is.
 * @vcpu: the vCPU.
 * @args: the uapi's struct.
 * @data: of thv_state_prepare().
 *
 * Context: vcpu->lock held, loaded; touches no user memory.
 * Return: 0, for MSRS the number read, or an errno as the uapi says.
 */
long thv_state_read(struct thv_vcpu *vcpu, const struct thv_state *args, void *data)
{
	if (args->component == THV_STATE_MSRS)
		return do_msrs(vcpu, data, msr_count(args), false);
	return find(args)->get(vcpu, data);
}

/**
 * thv_state_finish - give a component out.
 * @args: the uapi's struct.
 * @data: the buffer; is freed.
 * @result: of thv_state_read().
 *
 * Context: may sleep; whether the vCPU is loaded does not matter.
 * Return: @result or -EFAULT.
 */
long thv_state_finish(const struct thv_state *args, void *data, long result)
{
	size_t size = args->component == THV_STATE_MSRS ? result * sizeof(struct thv_msr) :
							  args->size;

	if (result >= 0 && copy_to_user(u64_to_user_ptr(args->data), data, size))
		result = -EFAULT;
	kfree(data);
	return result;
}

/**
 * thv_state_get - THV_GET_STATE.
 * @vcpu: the vCPU.
 * @args: the uapi's struct.
 *
 * Context: vcpu->lock held, loaded; may sleep.
 * Return: 0, for MSRS the number read, or an errno as the uapi says.
 */
long thv_state_get(struct thv_vcpu *vcpu, const struct thv_state *args)
{
	void *data = thv_state_prepare(args);

	if (IS_ERR(data))
		return PTR_ERR(data);
	return thv_state_finish(args, data, thv_state_read(vcpu, args, data));
}

/**
 * thv_state_set - THV_SET_STATE.
 * @vcpu: the vCPU.
 * @args: the uapi's struct.
 *
 * Context: vcpu->lock held, loaded; may sleep.
 * Return: 0, for MSRS the number set, or an errno as the uapi says.
 */
long thv_state_set(struct thv_vcpu *vcpu, const struct thv_state *args)
{
	const struct component *component = find(args);
	void *data;
	int err;

	if (args->component == THV_STATE_MSRS)
		return set_msrs(vcpu, args);
	if (!component)
		return -EINVAL;
	data = memdup_user(u64_to_user_ptr(args->data), component->size);
	if (IS_ERR(data))
		return PTR_ERR(data);
	err = component->set(vcpu, data);
	kfree(data);
	return err;
}
