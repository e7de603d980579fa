// SPDX-License-Identifier: GPL-2.0-only
/*
 * Looking into a VM from another process: what control descriptors (THV_OPEN_VM) can ask of a VM
 * that runs. Nothing here changes the guest, but for an NMI that is asked for.
 *
 * The vCPU's thread holds vcpu->lock for as long as THV_RUN lasts. So who wants to look says so,
 * and it lends the lock between two entries into the guest; the protocol is told above lend() in
 * vcpu.c. The inspector's own memory is touched before and after, never meanwhile: a page of it that
 * takes its time (userfaultfd) must not hold up a guest.
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "inspect.h"
#include "vcpu.h"

#define MAX_FIELDS	512		/* of a control structure; VMX has some 200 */
#define MAX_READ	(1UL << 20)

/* ---- the lock, borrowed ---- */

static void leave(struct thv_vcpu *vcpu)
{
	if (atomic_dec_and_test(&vcpu->inspectors))
		wake_up(&vcpu->wait);
}

/*
 * The vCPU, locked and loaded on this CPU, or an ERR_PTR: -ENOENT, -EINTR. It stays while the caller
 * has a reference to the VM.
 */
static struct thv_vcpu *borrow(struct thv_vm *vm, u32 id)
{
	struct thv_vcpu *vcpu = thv_vm_vcpu(vm, id);

	if (!vcpu)
		return ERR_PTR(-ENOENT);
	atomic_inc(&vcpu->inspectors);
	smp_mb__after_atomic();		/* who serves the request sees the count */
	thv_vcpu_request(vcpu, THV_REQ_INSPECT);
	if (mutex_lock_interruptible(&vcpu->lock)) {
		leave(vcpu);
		return ERR_PTR(-EINTR);
	}
	thv_vcpu_load(vcpu);
	return vcpu;
}

static void give_back(struct thv_vcpu *vcpu)
{
	thv_vcpu_put(vcpu);
	mutex_unlock(&vcpu->lock);
	leave(vcpu);
}

/* ---- the ioctls; ioctl.c has checked the reserved fields ---- */

long thv_inspect_nmi(void *vm, void *data)
{
	const struct thv_vcpu_select *args = data;
	struct thv_vcpu *vcpu = thv_vm_vcpu(vm, args->vcpu);

	if (!vcpu)
		return -ENOENT;
	thv_vcpu_nmi(vcpu);
	return 0;
}

long thv_inspect_state(void *vm, void *data)
{
	const struct thv_inspect_state *args = data;
	const struct thv_state state = {
		.component = args->component, .size = args->size, .data = args->data,
	};
	struct thv_state_copy copy;
	struct thv_vcpu *vcpu;
	long err = thv_state_prepare(&state, &copy);

	if (err)
		return err;
	vcpu = borrow(vm, args->vcpu);
	if (IS_ERR(vcpu)) {
		copy.result = PTR_ERR(vcpu);
	} else {
		thv_state_read(vcpu, &state, &copy);
		give_back(vcpu);
	}
	return thv_state_give(&state, &copy);
}

long thv_inspect_translate(void *vm, void *data)
{
	struct thv_inspect_translate *args = data;
	struct thv_vcpu *vcpu = borrow(vm, args->vcpu);
	long err;

	if (IS_ERR(vcpu))
		return PTR_ERR(vcpu);
	err = thv_translate(vcpu, &args->translate);
	give_back(vcpu);
	return err;
}

/* One page after the other, as far as there is memory */
long thv_inspect_memory(void *vm, void *data)
{
	const struct thv_read_memory *args = data;
	u8 __user *to = u64_to_user_ptr(args->data);
	u64 done = 0, n;
	void *page;
	int err = 0;

	if (args->size > MAX_READ || args->gpa + args->size < args->gpa)
		return -EINVAL;
	page = kmalloc(PAGE_SIZE, GFP_KERNEL);
	if (!page)
		return -ENOMEM;
	for (; done < args->size && !err; done += n) {
		n = min_t(u64, args->size - done, PAGE_SIZE - offset_in_page(args->gpa + done));
		if (thv_read_guest(vm, args->gpa + done, page, n)) {
			err = done ? 0 : -ENXIO;
			break;
		}
		if (copy_to_user(to + done, page, n))
			err = -EFAULT;
		cond_resched();
	}
	kfree(page);
	return err ?: done;
}

static long read_fields(struct thv_vm *vm, struct thv_get_fields *args, struct thv_field *fields,
			u32 max)
{
	struct thv_vcpu *vcpu = borrow(vm, args->vcpu);

	if (IS_ERR(vcpu))
		return PTR_ERR(vcpu);
	args->count = thv_backend->get_fields(vcpu, fields, max);
	give_back(vcpu);
	if (copy_to_user(u64_to_user_ptr(args->data), fields,
			 min(args->count, max) * sizeof(*fields)))
		return -EFAULT;
	return 0;
}

long thv_inspect_fields(void *vm, void *data)
{
	struct thv_get_fields *args = data;
	u32 max = min_t(u32, args->count, MAX_FIELDS);
	struct thv_field *fields = kcalloc(max + 1, sizeof(*fields), GFP_KERNEL);
	long err;

	if (!fields)
		return -ENOMEM;
	err = read_fields(vm, args, fields, max);
	kfree(fields);
	return err;
}
