// SPDX-License-Identifier: GPL-2.0-only
/*
 * Root mode on every CPU that is on line, from load to unload.
 *
 * In VMX operation a CPU ignores INIT (SDM 24.8) and owns its VMXON region. So whoever takes a
 * CPU away has to get it out first: hotplug, suspend, reboot, kexec, a crash. Each has its
 * callback here, and all of them meet in turn_on() and turn_off().
 *
 * One owner. Linux gives modules no arbiter for VMX, so we take what KVM takes: its place in
 * CPU hotplug (THV_CPUHP_KVM), which the kernel gives to one only. KVM holds it from when
 * kvm_intel is loaded (from 6.12 on: while VMX is on for it), and cannot get it while we have
 * it. The place is also the right one on the way down: the CPU has by then run its last task,
 * whereas in the range for everybody, CPUHP_AP_ONLINE_DYN, threads are still being pushed
 * away, and one of them could be switched in for a moment with its VMCS on a CPU that has left
 * VMX operation. On the way up that range is better: its callbacks may fail, in KVM's place
 * before 6.3 they may not, and no thread of ours can run on the CPU before it is active. Hence
 * two states, one for each direction.
 *
 * A kvm_intel that is loaded while we are here would fail for want of its place, but not
 * before it has tripped over a warning in the kernel (the crash callback has a single user
 * too). module_comes() refuses it first.
 *
 * No locks: hotplug serialises itself, thv_cpu_on belongs to its CPU and is written with
 * interrupts off.
 */
#define pr_fmt(fmt) "thv: " fmt

#include <linux/cpu.h>
#include <linux/module.h>
#include <linux/smp.h>
#include <asm/reboot.h>
#include "backend.h"
#include "compat.h"
#include "cpu.h"

DEFINE_PER_CPU(bool, thv_cpu_on);

static bool shut_down;			/* thv_cpu_shutdown() was here */
static enum cpuhp_state online_state;	/* the one the kernel gave us for cpu_comes() */

/* On the CPU, interrupts off. */
static int turn_on(void)
{
	int err;

	if (this_cpu_read(thv_cpu_on) || READ_ONCE(shut_down))
		return 0;
	if (thv_backend->claimed())
		return -EBUSY;
	this_cpu_write(thv_cpu_on, true);	/* first: a crash right after VMXON must see it */
	err = thv_backend->cpu_on();
	if (err)
		this_cpu_write(thv_cpu_on, false);
	return err;
}

static void turn_off(void)
{
	if (!this_cpu_read(thv_cpu_on))
		return;
	thv_backend->cpu_off();
	this_cpu_write(thv_cpu_on, false);
}

static void turn_off_ipi(void *unused)
{
	turn_off();
}

/* ---- hotplug ---- */

/* In the CPU's hotplug thread, also when the module loads. An error keeps the CPU off line. */
static int cpu_comes(unsigned int cpu)
{
	unsigned long flags;
	int err;

	local_irq_save(flags);
	err = turn_on();
	local_irq_restore(flags);
	if (err == -EBUSY)
		pr_err("CPU %u: another hypervisor has switched VMX on (CR4.VMXE is set)\n", cpu);
	else if (err)
		pr_err("CPU %u: cannot enter %s operation (error %d)\n", cpu, thv_backend->name,
		       err);
	return err;
}

static int cpu_goes(unsigned int cpu)
{
	unsigned long flags;

	local_irq_save(flags);
	turn_off();
	local_irq_restore(flags);
	return 0;
}

/* ---- suspend and hibernation: the last CPU, interrupts off; the others went by hotplug ---- */

static int suspend(THV_SYSCORE_ARGUMENT)
{
	turn_off();
	return 0;
}

static void resume(THV_SYSCORE_ARGUMENT)
{
	int err = turn_on();

	if (err)
		pr_err("CPU %d: cannot enter %s operation after suspend (error %d): no guest will run there\n",
		       smp_processor_id(), thv_backend->name, err);
}

THV_DEFINE_SYSCORE(syscore, suspend, resume);

/* ---- crash, emergency restart, stop of a CPU: any state, perhaps in an NMI ---- */

static void emergency(void)
{
	if (this_cpu_read(thv_cpu_on))
		thv_backend->emergency_off();
}

/* ---- others who want VMX ---- */

static const char *kvm_module(void)
{
	return thv_backend->id == THV_BACKEND_VMX ? "kvm_intel" : "kvm_amd";
}

static int module_comes(struct notifier_block *block, unsigned long state, void *data)
{
	const struct module *module = data;

	if (state != MODULE_STATE_COMING || strcmp(module->name, kvm_module()))
		return NOTIFY_DONE;
	pr_notice("%s cannot be loaded while thv has the processors: rmmod thv first\n",
		  module->name);
	return notifier_from_errno(-EBUSY);
}

static struct notifier_block module_block = { .notifier_call = module_comes };

/* Take KVM's place, so that it cannot; from now on a CPU that goes is turned off. */
static int take_place(void)
{
	int err = cpuhp_setup_state_nocalls(THV_CPUHP_KVM, "thv:offline", NULL, cpu_goes);

	if (err == -EBUSY)
		pr_err("%s has the processors. Unload it: modprobe -r %s (or, Linux 6.12 and later, load kvm with enable_virt_at_load=0)\n",
		       kvm_module(), kvm_module());
	return err;
}

static void note_claimed(void *data)
{
	if (thv_backend->claimed())
		atomic_set((atomic_t *)data, smp_processor_id());
}

/* KVM it is not: it has no place. */
static int check_unclaimed(void)
{
	atomic_t cpu = ATOMIC_INIT(-1);

	on_each_cpu(note_claimed, &cpu, 1);
	if (atomic_read(&cpu) < 0)
		return 0;
	pr_err("a hypervisor other than KVM has switched VMX on (CR4.VMXE is set on CPU %d). Unload it; VirtualBox: modprobe -r vboxdrv, VMware: modprobe -r vmmon\n",
	       atomic_read(&cpu));
	return -EBUSY;
}

static int everywhere_on(void)
{
	int state = cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "thv:online", cpu_comes, NULL);

	if (state < 0) {
		on_each_cpu(turn_off_ipi, NULL, 1);	/* those before the one that failed */
		return state;
	}
	online_state = state;
	return 0;
}

static void everywhere_off(void)
{
	cpuhp_remove_state_nocalls(online_state);
	on_each_cpu(turn_off_ipi, NULL, 1);
}

/**
 * thv_cpu_init - root mode on all CPUs, now and when they come on line.
 *
 * Context: module load, thv_backend is set; may sleep.
 * Return: 0; -EBUSY, somebody else has VMX; else the errno of the CPU that failed. Then
 * no CPU is in root mode, and the kernel log says why and what to do.
 */
int thv_cpu_init(void)
{
	int err;

	err = take_place();
	if (err)
		return err;
	err = check_unclaimed();
	if (err)
		goto claimed;
	err = register_module_notifier(&module_block);
	if (err)
		goto claimed;
	cpu_emergency_register_virt_callback(emergency);
	register_syscore(&syscore);
	err = everywhere_on();
	if (err)
		goto not_on;
	return 0;

not_on:
	unregister_syscore(&syscore);
	cpu_emergency_unregister_virt_callback(emergency);
	unregister_module_notifier(&module_block);
claimed:
	cpuhp_remove_state_nocalls(THV_CPUHP_KVM);
	return err;
}

/**
 * thv_cpu_exit - all CPUs out of root mode, as thv_cpu_init() found them.
 *
 * Context: module unload, no VM exists; may sleep.
 */
void thv_cpu_exit(void)
{
	everywhere_off();
	unregister_syscore(&syscore);
	cpu_emergency_unregister_virt_callback(emergency);
	unregister_module_notifier(&module_block);
	cpuhp_remove_state_nocalls(THV_CPUHP_KVM);
}

/**
 * thv_cpu_shutdown - all CPUs out of root mode for good, because the machine goes down.
 *
 * Threads may still be on their way out of THV_RUN: from here on thv_cpu_is_on() tells
 * them not to enter, and the backend's instructions have no effect.
 *
 * Context: may sleep; a reboot notifier.
 */
void thv_cpu_shutdown(void)
{
	WRITE_ONCE(shut_down, true);
	on_each_cpu(turn_off_ipi, NULL, 1);
}
