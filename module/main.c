// SPDX-License-Identifier: GPL-2.0-only
/*
 * thv.ko from load to unload, and /dev/thv.
 *
 * Start reading here. Loading brings up five things in order, each of which may refuse with a
 * sentence in the kernel log and an errno for insmod; unloading takes them down in reverse. An
 * open descriptor of any kind keeps the module, so unloading never meets a VM.
 */
#define pr_fmt(fmt) "thv: " fmt

#include <linux/cpumask.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/reboot.h>
#include <asm/tsc.h>
#include "backend.h"
#include "cpu.h"
#include "cpuid.h"
#include "debugger.h"
#include "ioctl.h"
#include "ledger.h"
#include "netlink.h"
#include "vm.h"

struct thv_caps thv_caps;
const struct thv_backend *thv_backend;

/* ---- the ioctls of /dev/thv ---- */

static long get_info(void *unused, void *args)
{
	*(struct thv_info *)args = (struct thv_info) {
		.api_version = THV_API_VERSION,
		.backend = thv_backend->id,
		.offered = thv_caps.offered,
		.used = thv_caps.used,
		.max_vcpus = THV_MAX_VCPUS,
		.max_slots = THV_MAX_SLOTS,
		.guest_phys_bits = thv_guest_phys_bits(),
		.tsc_khz = thv_guest_tsc_khz(),
	};
	return 0;
}

static struct file *create_vm(void *unused, void *args)
{
	return thv_vm_create(args);
}

static struct file *open_vm(void *unused, void *args)
{
	return thv_vm_open(args);
}

static long get_cpuid(void *unused, void *data)
{
	struct thv_cpuid *args = data;
	struct cpuid_regs regs;

	thv_cpuid(NULL, args->leaf, args->subleaf, &regs);
	args->eax = regs.eax;
	args->ebx = regs.ebx;
	args->ecx = regs.ecx;
	args->edx = regs.edx;
	return 0;
}

static const struct thv_ioctl device_ioctls[] = {
	THV_IOCTL(THV_GET_INFO, struct thv_info, get_info),
	THV_IOCTL_OPEN(THV_CREATE_VM, struct thv_create_vm, create_vm),
	THV_IOCTL_OPEN(THV_OPEN_VM, struct thv_open_vm, open_vm),
	THV_IOCTL(THV_GET_CPUID, struct thv_cpuid, get_cpuid),
};

static long device_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return thv_ioctl(device_ioctls, ARRAY_SIZE(device_ioctls), NULL, cmd, arg);
}

static const struct file_operations device_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = device_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

bool thv_is_device(const struct file *file)
{
	return file->f_op == &device_fops;
}

/* Root's alone, until udev gives it to group thv (udev/60-thv.rules) */
static struct miscdevice device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "thv",
	.mode = 0660,
	.fops = &device_fops,
};

/* ---- what the kernel log is told ---- */

static const struct {
	u64 bit;
	const char *name;
} features[] = {
	{ THV_FEATURE_EPT, "EPT" },
	{ THV_FEATURE_VPID, "VPID" },
	{ THV_FEATURE_UNRESTRICTED, "unrestricted guest" },
	{ THV_FEATURE_EPT_AD, "EPT accessed and dirty flags" },
	{ THV_FEATURE_EPT_2M, "2M EPT pages" },
	{ THV_FEATURE_EPT_1G, "1G EPT pages" },
	{ THV_FEATURE_EPT_EXECUTE_ONLY, "execute-only EPT" },
	{ THV_FEATURE_TPR_SHADOW, "TPR shadow" },
	{ THV_FEATURE_APIC_REGISTERS, "APIC-register virtualization" },
	{ THV_FEATURE_VIRTUAL_INTERRUPTS, "virtual-interrupt delivery" },
	{ THV_FEATURE_VIRTUAL_X2APIC, "virtualized x2APIC mode" },
	{ THV_FEATURE_POSTED_INTERRUPTS, "posted interrupts" },
	{ THV_FEATURE_PREEMPTION_TIMER, "preemption timer" },
	{ THV_FEATURE_PML, "page-modification logging" },
	{ THV_FEATURE_TSC_SCALING, "TSC scaling" },
	{ THV_FEATURE_XSAVES, "XSAVES" },
	{ THV_FEATURE_RDTSCP, "RDTSCP" },
	{ THV_FEATURE_INVPCID, "INVPCID" },
	{ THV_FEATURE_MONITOR_TRAP, "monitor trap flag" },
	{ THV_FEATURE_PAUSE_LOOP, "PAUSE-loop exiting" },
};

static void print_features(const char *what, u64 bits)
{
	char list[400] = "";
	size_t i, n = 0;

	for (i = 0; i < ARRAY_SIZE(features); i++)
		if (bits & features[i].bit)
			n += scnprintf(list + n, sizeof(list) - n, "%s%s", n ? ", " : "",
				       features[i].name);
	pr_info("%s: %s\n", what, n ? list : "nothing");
}

/* ---- up and down ---- */

static int backend_up(void)
{
	int err = thv_vmx_backend.probe();

	if (!err)
		thv_backend = &thv_vmx_backend;
	return err;
}

static void backend_down(void)
{
	thv_ledger_exit_module();
	thv_backend->remove();
}

/* Reboot, power-off, kexec. CPUs that are stopped or reset have to be out of root mode. */
static int machine_goes(struct notifier_block *block, unsigned long event, void *command)
{
	thv_vm_stop_all();
	thv_cpu_shutdown();
	return NOTIFY_DONE;
}

static struct notifier_block reboot_block = { .notifier_call = machine_goes };

static int cpus_up(void)
{
	int err = thv_cpu_init();

	if (!err)
		register_reboot_notifier(&reboot_block);
	return err;
}

static void cpus_down(void)
{
	unregister_reboot_notifier(&reboot_block);
	thv_cpu_exit();
}

static int device_up(void)
{
	return misc_register(&device);
}

static void device_down(void)
{
	misc_deregister(&device);
	thv_debugger_exit();
}

/* In the order of loading. The device comes last: with it come the users. */
static const struct {
	const char *name;
	int (*up)(void);
	void (*down)(void);	/* NULL: leaves nothing */
} subsystems[] = {
	{ "processor", backend_up, backend_down },
	{ "CPUID table", thv_cpuid_init, NULL },
	{ "root mode", cpus_up, cpus_down },
	{ "netlink", thv_netlink_init, thv_netlink_exit },
	{ "device", device_up, device_down },
};

static void down_from(size_t i)
{
	while (i--)
		if (subsystems[i].down)
			subsystems[i].down();
}

static int __init thv_init(void)
{
	size_t i;
	int err;

	for (i = 0; i < ARRAY_SIZE(subsystems); i++) {
		err = subsystems[i].up();
		if (err) {
			pr_err("not loaded: %s: error %d\n", subsystems[i].name, err);
			down_from(i);
			return err;
		}
	}
	pr_info("%s on %u CPUs; guests are translated by %s\n", thv_backend->name, num_online_cpus(),
		thv_caps.used & THV_FEATURE_EPT ? "EPT, or shadow paging by choice" : "shadow paging");
	print_features("in use", thv_caps.used);
	print_features("found and not used", thv_caps.offered & ~thv_caps.used);
	return 0;
}
module_init(thv_init);

static void __exit thv_exit(void)
{
	down_from(ARRAY_SIZE(subsystems));
	pr_info("unloaded\n");
}
module_exit(thv_exit);

MODULE_DESCRIPTION("thv, a teaching hypervisor");
MODULE_AUTHOR("The thv authors");
MODULE_LICENSE("GPL");
