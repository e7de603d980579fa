// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ioctls, and for each the sentences for the errors it documents. An error
 * that is in no table is a bug of ours or of the module, and is said to be one.
 */
#include "lib/device.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "lib/error.h"

const struct device_feature device_features[] = {
	{ THV_FEATURE_EPT, "ept", "second-level translation: guest page tables run as they are" },
	{ THV_FEATURE_VPID, "vpid", "tagged TLB: entries survive a VM exit" },
	{ THV_FEATURE_UNRESTRICTED, "unrestricted", "real mode and unpaged mode run natively" },
	{ THV_FEATURE_EPT_AD, "ept-ad", "accessed and dirty flags in EPT" },
	{ THV_FEATURE_EPT_2M, "ept-2m", "2 MiB pages in EPT" },
	{ THV_FEATURE_EPT_1G, "ept-1g", "1 GiB pages in EPT" },
	{ THV_FEATURE_TPR_SHADOW, "tpr-shadow", "task priority without an exit" },
	{ THV_FEATURE_APIC_REGISTERS, "apic-registers", "local-APIC reads without an exit" },
	{ THV_FEATURE_VIRTUAL_INTERRUPTS, "virtual-interrupts",
	  "interrupts delivered and ended without an exit" },
	{ THV_FEATURE_PREEMPTION_TIMER, "preemption-timer", "a timer that ends the guest's turn" },
	{ THV_FEATURE_PML, "pml", "page-modification logging: dirty pages are listed" },
	{ THV_FEATURE_TSC_SCALING, "tsc-scaling", "the guest's time-stamp counter at its own rate" },
	{ THV_FEATURE_POSTED_INTERRUPTS, "posted-interrupts",
	  "interrupts reach a running guest without an exit" },
	{ THV_FEATURE_EPT_EXECUTE_ONLY, "ept-execute-only", "pages that can be run but not read" },
	{ THV_FEATURE_VIRTUAL_X2APIC, "virtual-x2apic", "x2APIC registers without an exit" },
	{ THV_FEATURE_XSAVES, "xsaves", "XSAVES and XRSTORS in the guest" },
	{ THV_FEATURE_RDTSCP, "rdtscp", "RDTSCP in the guest" },
	{ THV_FEATURE_INVPCID, "invpcid", "INVPCID in the guest" },
	{ THV_FEATURE_MONITOR_TRAP, "monitor-trap", "single steps that the guest cannot see" },
	{ THV_FEATURE_PAUSE_LOOP, "pause-loop", "a vCPU that spins gives way to those that wait" },
	{ 0 }
};

const char *device_backend_name(u32 backend)
{
	static const char *const names[] = {
		[THV_BACKEND_VMX] = "Intel VMX",
		[THV_BACKEND_SVM] = "AMD SVM",
	};

	return backend < ARRAY_SIZE(names) && names[backend] ? names[backend] : "unknown";
}

static int explain(const char *what, const struct device_sentence *sentence)
{
	int error = errno;

	for (; sentence->error; sentence++) {
		if (sentence->error == error)
			return error_set("%s: %s", what, sentence->text);
	}
	if (error == EIO)
		return error_set("%s: the VM is dead; the kernel log says why (dmesg)", what);
	if (error == ENOMEM)
		return error_set("%s: the kernel is out of memory for it; free some, or raise the cgroup's limit",
				 what);
	return error_set("%s: %s, which should not happen: a bug in thv, please report it",
			 what, strerror(error));
}

int device_explain(int error, const char *what, const struct device_sentence *sentences)
{
	errno = error;
	explain(what, sentences);
	errno = error;
	return -1;
}

const struct device_sentence device_no_sentences[] = { { 0 } };

/* errno is kept for callers that act on it */
int device_call(int fd, unsigned long request, void *argument, const char *what,
		const struct device_sentence *sentences)
{
	int result, error;

	do {
		result = ioctl(fd, request, argument);
	} while (result < 0 && errno == EINTR);
	if (result >= 0)
		return result;
	error = errno;
	explain(what, sentences);
	errno = error;
	return -1;
}

int device_open(void)
{
	static const struct device_sentence sentences[] = {
		{ ENOENT, "there is none: the module is not loaded; run `modprobe thv` (or insmod thv.ko) as root" },
		{ EACCES, "permission denied; become a member of group thv: `usermod -aG thv $USER` as root, then log in again" },
		{ EPERM, "permission denied by the container or sandbox this runs in; let it use " THV_DEVICE },
		{ ENXIO, "a node without a driver: the module is not loaded; run `modprobe thv` as root" },
		{ ENODEV, "a node without a driver: the module is not loaded; run `modprobe thv` as root" },
		{ 0 }
	};
	int fd = open(THV_DEVICE, O_RDWR | O_CLOEXEC);

	return fd < 0 ? explain(THV_DEVICE, sentences) : fd;
}

int device_info(int device, struct thv_info *info)
{
	static const struct device_sentence sentences[] = {
		{ ENOTTY, "not the thv module's node; remove it and load the module" },
		{ 0 }
	};

	memset(info, 0, sizeof(*info));
	if (device_call(device, THV_GET_INFO, info, THV_DEVICE, sentences) < 0)
		return -1;
	if (info->api_version != THV_API_VERSION)
		return error_set("the module speaks version %u of the interface, this thv version %u; install both from one build",
				 info->api_version, THV_API_VERSION);
	return 0;
}

/* ---- VMs ---------------------------------------------------------------- */

int vm_create(int device, struct thv_create_vm *vm)
{
	static const struct device_sentence sentences[] = {
		{ EINVAL, "refused; a name is up to 31 printable characters without '/'" },
		{ EOPNOTSUPP, "this processor or this version of thv has no such paging; `thv check` says what there is" },
		{ EMFILE, "no file descriptor left; raise `ulimit -n`" },
		{ ENFILE, "the system has no file left; end something, or raise fs.file-max" },
		{ ENOSPC, "there are too many VMs; end one" },
		{ EBUSY, "somebody else uses the processor's virtualization; `thv check` says who" },
		{ 0 }
	};

	return device_call(device, THV_CREATE_VM, vm, "making the VM", sentences);
}

int vm_set_memory(int vm, const struct thv_memory *memory)
{
	return device_call(vm, THV_SET_MEMORY, (void *)memory, "giving the VM its memory",
			   device_no_sentences);
}

int vm_create_vcpu(int vm, u32 id)
{
	static const struct device_sentence sentences[] = {
		{ EINVAL, "the module does not take so many; lower --cpus" },
		{ EMFILE, "no file descriptor left; raise `ulimit -n`" },
		{ ENFILE, "the system has no file left; end something, or raise fs.file-max" },
		{ 0 }
	};
	struct thv_create_vcpu vcpu = { .id = id };

	return device_call(vm, THV_CREATE_VCPU, &vcpu, "making a vCPU", sentences);
}

int vm_signal_msi(int vm, u64 address, u32 data)
{
	struct thv_msi msi = { .address = address, .data = data };

	return device_call(vm, THV_SIGNAL_MSI, &msi, "delivering an interrupt",
			   device_no_sentences);
}

/* Who asks can do without: a sentence for each guest that writes nonsense would be too much */
int vm_irqfd(int vm, int fd, u64 address, u32 data, bool on)
{
	struct thv_irqfd irqfd = {
		.fd = fd,
		.flags = on ? 0 : THV_IRQFD_DEASSIGN,
		.msi = { .address = address, .data = data },
	};

	return ioctl(vm, THV_IRQFD, &irqfd);
}

int vm_doorbell(int vm, int fd, u64 address, bool on)
{
	struct thv_ioeventfd doorbell = {
		.fd = fd,
		.flags = on ? 0 : THV_IOEVENTFD_DEASSIGN,
		.address = address,
	};

	return ioctl(vm, THV_IOEVENTFD, &doorbell);
}

int vm_stats(int vm, struct thv_vm_stats *stats)
{
	memset(stats, 0, sizeof(*stats));
	return device_call(vm, THV_GET_STATS, stats, "asking for statistics",
			   device_no_sentences);
}

/* ---- vCPUs -------------------------------------------------------------- */

struct thv_run *vcpu_map(int vcpu)
{
	void *page = mmap(NULL, THV_RUN_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);

	if (page != MAP_FAILED)
		return page;
	error_errno("mapping a vCPU's run page");
	return NULL;
}

int vcpu_run(int vcpu)
{
	return ioctl(vcpu, THV_RUN);
}

static const char *const component_names[] = {
	[THV_STATE_REGS] = "registers",
	[THV_STATE_SREGS] = "system registers",
	[THV_STATE_FPU] = "FPU state",
	[THV_STATE_DEBUG] = "debug registers",
	[THV_STATE_MSRS] = "MSRs",
	[THV_STATE_APIC] = "local APIC",
	[THV_STATE_EVENTS] = "events",
	[THV_STATE_TSC] = "time-stamp counter",
};

const char *device_component_name(enum thv_state_id component)
{
	return component_names[component];
}

static int state(int vcpu, unsigned long request, enum thv_state_id component, const void *data,
		 u32 size)
{
	struct thv_state state = { .component = component, .size = size,
				   .data = (unsigned long)data };

	return device_call(vcpu, request, &state, component_names[component],
			   device_no_sentences);
}

int vcpu_get(int vcpu, enum thv_state_id component, void *data, u32 size)
{
	memset(data, 0, size);
	return state(vcpu, THV_GET_STATE, component, data, size);
}

int vcpu_set(int vcpu, enum thv_state_id component, const void *data, u32 size)
{
	return state(vcpu, THV_SET_STATE, component, data, size);
}

int vcpu_translate(int vcpu, struct thv_translate *translate)
{
	return device_call(vcpu, THV_TRANSLATE, translate, "following an address",
			   device_no_sentences);
}

int vcpu_apic_access(int vcpu, struct thv_apic_access *access)
{
	return device_call(vcpu, THV_APIC_ACCESS, access, "reaching the local APIC",
			   device_no_sentences);
}

int vcpu_explain(int vcpu, char *text, size_t size)
{
	struct thv_explain explain = { .text = (unsigned long)text, .size = size };

	if (device_call(vcpu, THV_EXPLAIN, &explain, "asking why the entry failed",
			device_no_sentences))
		return -1;
	return explain.count;
}
