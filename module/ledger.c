// SPDX-License-Identifier: GPL-2.0-only
/*
 * The exit ledger: for each vCPU and exit reason how often, and how long until the guest ran
 * again, in the kernel and in the launcher.
 *
 * Time is cut where the vCPU's thread passes one of the hooks in vcpu.c; each charges what has gone
 * by since the last one. So a vCPU's time is in exactly one place:
 *
 *	guest	from the hook before an entry to the one after it, the switch included
 *	kernel	from there to the next entry, to the return to the launcher, or to sleep;
 *		from THV_RUN to the same
 *	user	from the return of THV_RUN to the next one, the system call included
 *	asleep	halted, waiting for a start-up IPI, paused: until the thread is on a CPU again.
 *		Charged to no exit, or HLT would look like the dearest of all
 *
 * It is time as the clock on the wall has it: what other tasks and interrupts of the host took in
 * between is in it, and makes the long tail of the histograms. Waiting for a page that the host has
 * swapped out is part of what that fault costs.
 *
 * An exit's time is known when the guest is entered again. But that may never be (a terminal exit, a
 * launcher that goes), and the launcher may be left and entered several times (signals). So an
 * exit is put into a bucket when it first leaves the kernel, and moved to another when it
 * turns out to be longer. Rows and open exit are written by the vCPU's thread alone, by plain
 * stores, as its counters are; readers may be a moment behind.
 *
 * Rows are made at the first THV_KEEP_LEDGER and stay until the vCPU goes.
 */
#include <linux/fs.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <asm/msr.h>
#include <asm/tsc.h>
#include "ledger.h"
#include "vcpu.h"

/* How far one exit has come: what it took so far, and the bucket that it is in; -1: in none yet */
struct part {
	u64 cycles;
	int bucket;
};

/**
 * struct thv_ledger - a vCPU's.
 * @epoch: of the keeping that the fields below are of; of another, they mean nothing.
 * @mark: when the present part of time began; 0: not known.
 * @open: an exit has not been followed by an entry yet.
 * @current_row: of the last exit.
 * @kernel: the last exit's part in the kernel.
 * @user: ... and in the launcher.
 * @guest_cycles: sum.
 * @asleep_cycles: sum.
 * @row: by reason; the last is for entries that were refused.
 */
struct thv_ledger {
	u32 epoch;
	u64 mark;
	bool open;
	struct thv_ledger_row *current_row;
	struct part kernel, user;
	u64 guest_cycles, asleep_cycles;
	struct thv_ledger_row row[];
};

DEFINE_STATIC_KEY_DEFERRED_FALSE(thv_ledger_on, HZ);

static u32 rows(void)
{
	return thv_backend->exit_reasons + 1;
}

/* ---- the hooks: the vCPU's thread ---- */

/* The ledger, if it is kept. After a while in which it was not, it knows nothing of the past. */
static struct thv_ledger *kept(struct thv_vcpu *vcpu)
{
	struct thv_ledger_keepers *keepers = &vcpu->vm->ledger;
	struct thv_ledger *ledger;
	u32 epoch;

	if (!READ_ONCE(keepers->count))
		return NULL;
	/* Pairs with publish(): rows are there before they can be seen */
	ledger = smp_load_acquire(&vcpu->ledger);
	if (!ledger)
		return NULL;
	epoch = READ_ONCE(keepers->epoch);
	if (ledger->epoch != epoch) {
		ledger->epoch = epoch;
		ledger->mark = 0;
		ledger->open = false;
	}
	return ledger;
}

/*
 * Time since the last hook; another part begins. A counter that is behind on the CPU we came to
 * gives 0, not an age.
 */
static u64 cut(struct thv_ledger *ledger)
{
	u64 now = rdtsc_ordered(), mark = ledger->mark;

	ledger->mark = now;
	return mark && now > mark ? now - mark : 0;
}

static int bucket_of(u64 cycles)
{
	return min(cycles ? ilog2(cycles) : 0, THV_LEDGER_BUCKETS - 1);
}

static void charge(struct part *part, u64 cycles, u64 *sum, u64 *histogram)
{
	int bucket = bucket_of(part->cycles + cycles);

	part->cycles += cycles;
	*sum += cycles;
	if (bucket == part->bucket)
		return;
	if (part->bucket >= 0)
		histogram[part->bucket]--;
	histogram[bucket]++;
	part->bucket = bucket;
}

static void charge_kernel(struct thv_ledger *ledger)
{
	struct thv_ledger_row *row = ledger->current_row;
	u64 cycles = cut(ledger);

	if (ledger->open)
		charge(&ledger->kernel, cycles, &row->kernel_cycles, row->kernel);
}

void __thv_ledger_entry(struct thv_vcpu *vcpu)
{
	struct thv_ledger *ledger = kept(vcpu);

	if (!ledger)
		return;
	charge_kernel(ledger);
	ledger->open = false;
}

/* The reason is the processor's word, and an index here: exit_reason() keeps it in bounds. */
void __thv_ledger_exit(struct thv_vcpu *vcpu)
{
	struct thv_ledger *ledger = kept(vcpu);
	u32 reason;

	if (!ledger)
		return;
	ledger->guest_cycles += cut(ledger);
	reason = min(thv_backend->exit_reason(vcpu), thv_backend->exit_reasons);
	ledger->current_row = &ledger->row[reason];
	ledger->current_row->count++;
	ledger->kernel = (struct part){ .bucket = -1 };
	ledger->user = (struct part){ .bucket = -1 };
	ledger->open = true;
}

void __thv_ledger_return(struct thv_vcpu *vcpu)
{
	struct thv_ledger *ledger = kept(vcpu);

	if (ledger)
		charge_kernel(ledger);
}

void __thv_ledger_run(struct thv_vcpu *vcpu)
{
	struct thv_ledger *ledger = kept(vcpu);
	struct thv_ledger_row *row;
	u64 cycles;

	if (!ledger)
		return;
	cycles = cut(ledger);
	if (!ledger->open)
		return;
	row = ledger->current_row;
	if (ledger->user.bucket < 0)
		row->user++;
	charge(&ledger->user, cycles, &row->user_cycles, row->launcher);
}

void __thv_ledger_sleep(struct thv_vcpu *vcpu)
{
	__thv_ledger_return(vcpu);
}

void __thv_ledger_wake(struct thv_vcpu *vcpu)
{
	struct thv_ledger *ledger = kept(vcpu);

	if (ledger)
		ledger->asleep_cycles += cut(ledger);
}

/* ---- keeping ---- */

struct keeper {
	struct list_head entry;
	const struct file *file;
};

void thv_ledger_init(struct thv_vm *vm)
{
	INIT_LIST_HEAD(&vm->ledger.list);
}

static struct keeper *find(struct thv_vm *vm, const struct file *file)
{
	struct keeper *keeper;

	list_for_each_entry(keeper, &vm->ledger.list, entry)
		if (keeper->file == file)
			return keeper;
	return NULL;
}

static struct thv_ledger *new_ledger(void)
{
	struct thv_ledger *ledger = kvzalloc(struct_size(ledger, row, rows()), GFP_KERNEL_ACCOUNT);
	u32 reason;

	for (reason = 0; ledger && reason < rows(); reason++)
		ledger->row[reason].reason = reason;
	return ledger;
}

static void publish(struct thv_vcpu *vcpu, struct thv_ledger *ledger)
{
	smp_store_release(&vcpu->ledger, ledger);	/* pairs with kept() and thv_ledger_get() */
}

/* A ledger to each vCPU that has none, or to none of them. vm->lock held. */
static int give_ledgers(struct thv_vm *vm)
{
	struct thv_ledger *made[THV_MAX_VCPUS] = {};
	struct thv_vcpu *vcpu;
	unsigned int i;
	int err = 0;

	thv_for_each_vcpu(i, vcpu, vm) {
		if (vcpu->ledger)
			continue;
		made[i] = new_ledger();
		if (!made[i])
			err = -ENOMEM;
	}
	for (i = 0; i < THV_MAX_VCPUS; i++) {
		if (made[i] && err)
			kvfree(made[i]);
		else if (made[i])
			publish(vm->vcpus[i], made[i]);
	}
	return err;
}

/* Known under vm->lock; the vCPUs' threads begin when they see the count. */
static int add_keeper(struct thv_vm *vm, struct keeper *keeper)
{
	struct thv_ledger_keepers *keepers = &vm->ledger;
	int err;

	if (find(vm, keeper->file))
		return -EEXIST;
	err = give_ledgers(vm);
	if (err)
		return err;
	list_add(&keeper->entry, &keepers->list);
	if (!keepers->count)
		WRITE_ONCE(keepers->epoch, keepers->epoch + 1);
	WRITE_ONCE(keepers->count, keepers->count + 1);
	return 0;
}

/**
 * thv_ledger_keep - THV_KEEP_LEDGER.
 * @vm: the VM.
 * @file: the descriptor; thv_ledger_release() comes when it is closed. Asking twice is asking once.
 *
 * Context: may sleep; takes vm->lock.
 * Return: 0 or -ENOMEM.
 */
int thv_ledger_keep(struct thv_vm *vm, const struct file *file)
{
	struct keeper *keeper = kmalloc(sizeof(*keeper), GFP_KERNEL_ACCOUNT);
	int err;

	if (!keeper)
		return -ENOMEM;
	keeper->file = file;
	mutex_lock(&vm->lock);
	err = add_keeper(vm, keeper);
	mutex_unlock(&vm->lock);
	if (!err) {
		/* Outside the lock: it takes that of CPU hotplug, and patches code */
		static_branch_deferred_inc(&thv_ledger_on);
		return 0;
	}
	kfree(keeper);
	return err == -EEXIST ? 0 : err;
}

/**
 * thv_ledger_release - a descriptor is being closed.
 * @vm: the VM; its vCPUs may be gone already.
 * @file: the descriptor, whether it keeps the ledger or not.
 *
 * Context: may sleep; takes vm->lock.
 */
void thv_ledger_release(struct thv_vm *vm, const struct file *file)
{
	struct keeper *keeper;

	mutex_lock(&vm->lock);
	keeper = find(vm, file);
	if (keeper) {
		list_del(&keeper->entry);
		WRITE_ONCE(vm->ledger.count, vm->ledger.count - 1);
	}
	mutex_unlock(&vm->lock);
	if (!keeper)
		return;
	kfree(keeper);
	static_branch_slow_dec_deferred(&thv_ledger_on);
}

/**
 * thv_ledger_vcpu_create - a new vCPU of a VM whose ledger is kept has one from the start.
 * @vcpu: not yet known to anybody.
 *
 * Context: may sleep; vm->lock held.
 * Return: 0 or -ENOMEM.
 */
int thv_ledger_vcpu_create(struct thv_vcpu *vcpu)
{
	lockdep_assert_held(&vcpu->vm->lock);
	if (!vcpu->vm->ledger.count)
		return 0;
	vcpu->ledger = new_ledger();
	return vcpu->ledger ? 0 : -ENOMEM;
}

void thv_ledger_vcpu_destroy(struct thv_vcpu *vcpu)
{
	kvfree(vcpu->ledger);
}

/* The module goes: so must the work that turns the branch off later. */
void thv_ledger_exit_module(void)
{
	static_key_deferred_flush(&thv_ledger_on);
}

/* ---- reading ---- */

/* Each word once: its writer does not wait for us. */
static void copy_row(struct thv_ledger_row *to, const struct thv_ledger_row *from)
{
	const u64 *source = (const u64 *)from;
	u64 *target = (u64 *)to;
	size_t i;

	for (i = 0; i < sizeof(*to) / sizeof(u64); i++)
		target[i] = READ_ONCE(source[i]);
}

static int give_row(const struct thv_ledger_row *from, void __user *to)
{
	struct thv_ledger_row row;

	copy_row(&row, from);
	return copy_to_user(to, &row, sizeof(row)) ? -EFAULT : 0;
}

static int give_rows(const struct thv_ledger *ledger, struct thv_get_ledger *args)
{
	struct thv_ledger_row __user *to = u64_to_user_ptr(args->data);
	u32 reason, count = 0;

	for (reason = 0; reason < rows(); reason++) {
		if (!READ_ONCE(ledger->row[reason].count))
			continue;
		if (count < args->count && give_row(&ledger->row[reason], to + count))
			return -EFAULT;
		count++;
	}
	args->count = count;
	return 0;
}

/**
 * thv_ledger_get - THV_GET_LEDGER.
 * @vm: the VM, which the caller keeps.
 * @args: the uapi's struct.
 *
 * Context: may sleep; the vCPU may run.
 * Return: 0; -ENOENT, no such vCPU; -EFAULT.
 */
long thv_ledger_get(struct thv_vm *vm, struct thv_get_ledger *args)
{
	struct thv_vcpu *vcpu = thv_vm_vcpu(vm, args->vcpu);
	const struct thv_ledger *ledger;

	if (!vcpu)
		return -ENOENT;
	args->tsc_khz = tsc_khz;
	args->guest_cycles = 0;
	args->asleep_cycles = 0;
	ledger = smp_load_acquire(&vcpu->ledger);	/* pairs with publish() */
	if (!ledger) {
		args->count = 0;
		return 0;
	}
	args->guest_cycles = READ_ONCE(ledger->guest_cycles);
	args->asleep_cycles = READ_ONCE(ledger->asleep_cycles);
	return give_rows(ledger, args);
}
