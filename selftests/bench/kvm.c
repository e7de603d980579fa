// SPDX-License-Identifier: GPL-2.0-only
/* The benchmark's driver for KVM: straight to /dev/kvm, as <linux/kvm.h> has it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/kvm.h>
#include "driver.h"
#include "layout.h"

const char driver_name[] = "kvm";

#define CPUID_LEAVES	256
#define TSS_PAGES	0xfffbd000	/* three pages KVM wants on Intel processors */
#define IDENTITY_PAGE	0xfffbc000	/* ... and one more */
#define IOAPIC_PINS	24
#define MSI_GSI		IOAPIC_PINS	/* the first interrupt line that is no pin */

struct vm {
	int fd;
};

struct vcpu {
	u32 id;
	int fd;
	struct kvm_run *run;
	size_t run_size;
};

static int device(void)
{
	static int fd = -1;

	if (fd < 0)
		fd = MUST(open("/dev/kvm", O_RDWR | O_CLOEXEC));
	return fd;
}

/* ---- a VM ---- */

static void set_memory(struct vm *vm, u32 slot, u32 flags, u64 gpa, void *memory, size_t size)
{
	struct kvm_userspace_memory_region set = {
		.slot = slot, .flags = flags, .guest_phys_addr = gpa, .memory_size = size,
		.userspace_addr = (uintptr_t)memory,
	};

	MUST(ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &set));
}

/* As thv has it: local APICs in the kernel, all else in user space */
static void split_irqchip(struct vm *vm)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { IOAPIC_PINS } };

	MUST(ioctl(vm->fd, KVM_ENABLE_CAP, &cap));
}

/* Such things KVM has for all VMs or for none */
static void want_off(const char *parameter)
{
	char path[80], setting = 0;
	int fd;

	snprintf(path, sizeof(path), "/sys/module/kvm_intel/parameters/%s", parameter);
	fd = MUST(open(path, O_RDONLY));
	MUST(read(fd, &setting, 1));
	close(fd);
	if (setting != 'N')
		fail("these rows want kvm_intel to be loaded with %s=0", parameter);
}

struct vm *vm_create(void *memory, size_t size, u32 flags)
{
	struct vm *vm = calloc(1, sizeof(*vm));
	u64 identity = IDENTITY_PAGE;

	if (flags & VM_NO_APICV)
		want_off("enable_apicv");
	if (flags & VM_SHADOW)
		want_off("ept");
	vm->fd = MUST(ioctl(device(), KVM_CREATE_VM, 0));
	MUST(ioctl(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity));
	MUST(ioctl(vm->fd, KVM_SET_TSS_ADDR, TSS_PAGES));
	split_irqchip(vm);
	set_memory(vm, 0, 0, 0, memory, size);
	return vm;
}

void vm_close(struct vm *vm)
{
	close(vm->fd);
	free(vm);
}

void vm_set_memory(struct vm *vm, u64 gpa, void *memory, size_t size, bool log_dirty)
{
	set_memory(vm, 1, log_dirty ? KVM_MEM_LOG_DIRTY_PAGES : 0, gpa, memory, size);
}

void vm_get_dirty(struct vm *vm, void *bitmap, size_t size)
{
	struct kvm_dirty_log get = { .slot = 1, .dirty_bitmap = bitmap };

	(void)size;
	MUST(ioctl(vm->fd, KVM_GET_DIRTY_LOG, &get));
}

static void doorbell(struct vm *vm, u64 address, u32 length, u32 flags, int fd)
{
	struct kvm_ioeventfd set = { .fd = fd, .flags = flags, .addr = address, .len = length };

	MUST(ioctl(vm->fd, KVM_IOEVENTFD, &set));
}

void vm_doorbell_port(struct vm *vm, u16 port, int fd)
{
	doorbell(vm, port, 4, KVM_IOEVENTFD_FLAG_PIO, fd);
}

/* Of any length: so KVM need not decode the write either */
void vm_doorbell_mmio(struct vm *vm, u64 gpa, int fd)
{
	doorbell(vm, gpa, 0, 0, fd);
}

void vm_msi(struct vm *vm, u32 vcpu)
{
	struct kvm_msi msi = { .address_lo = APIC | vcpu << 12, .data = VECTOR };

	MUST(ioctl(vm->fd, KVM_SIGNAL_MSI, &msi));
}

/* The table of lines is given as a whole: this one is all of it */
static void route(struct vm *vm, u32 vcpu)
{
	struct kvm_irq_routing *table = calloc(1, sizeof(*table) + sizeof(table->entries[0]));

	table->nr = 1;
	table->entries[0] = (struct kvm_irq_routing_entry){
		.gsi = MSI_GSI, .type = KVM_IRQ_ROUTING_MSI,
		.u.msi = { .address_lo = APIC | vcpu << 12, .data = VECTOR },
	};
	MUST(ioctl(vm->fd, KVM_SET_GSI_ROUTING, table));
	free(table);
}

void vm_irqfd(struct vm *vm, int fd, u32 vcpu)
{
	struct kvm_irqfd set = { .fd = fd, .gsi = MSI_GSI };

	route(vm, vcpu);
	MUST(ioctl(vm->fd, KVM_IRQFD, &set));
}

u64 vm_exits(struct vm *vm)
{
	FILE *file = fopen("/sys/kernel/debug/kvm/exits", "r");
	unsigned long long exits;

	if (!file || fscanf(file, "%llu", &exits) != 1)
		fail("/sys/kernel/debug/kvm/exits cannot be read; is debugfs mounted?");
	fclose(file);
	return exits;
}

/* ---- a vCPU ---- */

#define SEGMENT(number, kind, ...) \
	((struct kvm_segment){ .selector = (number), .limit = ~0U, .type = (kind), .present = 1, .g = 1, __VA_ARGS__ })

static void set_mode(struct vcpu *vcpu)
{
	struct kvm_segment data = SEGMENT(DS, 3, .s = 1, .db = 1);
	struct kvm_sregs sregs;

	MUST(ioctl(vcpu->fd, KVM_GET_SREGS, &sregs));
	sregs.cs = SEGMENT(CS64, 0xb, .s = 1, .l = 1);
	sregs.ds = data;
	sregs.es = data;
	sregs.fs = data;
	sregs.gs = data;
	sregs.ss = data;
	sregs.ldt = (struct kvm_segment){ .unusable = 1 };
	sregs.tr = (struct kvm_segment){ .selector = TR, .limit = 0x67, .type = 0xb, .present = 1 };
	sregs.gdt = (struct kvm_dtable){ .base = GDT, .limit = 0x7f };
	sregs.idt = (struct kvm_dtable){ .base = IDT, .limit = 0xfff };
	sregs.cr0 = PAYLOAD_CR0;
	sregs.cr3 = PML4;
	sregs.cr4 = PAYLOAD_CR4;
	sregs.efer = PAYLOAD_EFER;
	MUST(ioctl(vcpu->fd, KVM_SET_SREGS, &sregs));
}

#define TSC_DEADLINE	(1U << 24)	/* leaf 1, ECX */
#define HYPERVISOR	(1U << 31)

/* All that KVM can, and what it can but leaves to us to say */
static void set_cpuid(struct vcpu *vcpu)
{
	struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + CPUID_LEAVES * sizeof(cpuid->entries[0]));
	u32 i;

	cpuid->nent = CPUID_LEAVES;
	MUST(ioctl(device(), KVM_GET_SUPPORTED_CPUID, cpuid));
	for (i = 0; i < cpuid->nent; i++)
		if (cpuid->entries[i].function == 1)
			cpuid->entries[i].ecx |= TSC_DEADLINE | HYPERVISOR;
	MUST(ioctl(vcpu->fd, KVM_SET_CPUID2, cpuid));
	free(cpuid);
}

/* It would wait for INIT and SIPI */
static void wake(struct vcpu *vcpu)
{
	struct kvm_mp_state state = { .mp_state = KVM_MP_STATE_RUNNABLE };

	MUST(ioctl(vcpu->fd, KVM_SET_MP_STATE, &state));
}

struct vcpu *vcpu_create(struct vm *vm, u32 id)
{
	struct vcpu *vcpu = calloc(1, sizeof(*vcpu));

	vcpu->id = id;
	vcpu->fd = MUST(ioctl(vm->fd, KVM_CREATE_VCPU, id));
	vcpu->run_size = MUST(ioctl(device(), KVM_GET_VCPU_MMAP_SIZE, 0));
	vcpu->run = mmap(NULL, vcpu->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	if (vcpu->run == MAP_FAILED)
		fail("the run page cannot be mapped");
	set_cpuid(vcpu);
	set_mode(vcpu);
	if (id)
		wake(vcpu);
	return vcpu;
}

void vcpu_close(struct vcpu *vcpu)
{
	munmap(vcpu->run, vcpu->run_size);
	close(vcpu->fd);
	free(vcpu);
}

/* ---- running ---- */

void vcpu_run(struct vcpu *vcpu, u16 port)
{
	struct kvm_run *run = vcpu->run;

	for (;;) {
		if (ioctl(vcpu->fd, KVM_RUN, 0)) {
			if (errno != EINTR)
				MUST(-1);
		} else if (run->exit_reason == KVM_EXIT_IO) {
			if (run->io.port == port)
				break;
			if (run->io.direction == KVM_EXIT_IO_IN)
				memset((u8 *)run + run->io.data_offset, 0xff, run->io.size * run->io.count);
		} else if (run->exit_reason == KVM_EXIT_MMIO) {
			if (!run->mmio.is_write)
				memset(run->mmio.data, 0xff, run->mmio.len);
		} else {
			fail("exit %u", run->exit_reason);
		}
	}
}

/* An OUT is carried out by the KVM_RUN after it: let none be left when registers are set */
static void finish(struct vcpu *vcpu)
{
	vcpu->run->immediate_exit = 1;
	ioctl(vcpu->fd, KVM_RUN, 0);
	vcpu->run->immediate_exit = 0;
}

void vcpu_start(struct vcpu *vcpu, u64 function, u64 rdi, u64 rsi)
{
	struct kvm_regs regs = {
		.rip = function, .rflags = 2, .rsp = STACK + vcpu->id * STACK_NEXT, .rdi = rdi, .rsi = rsi,
	};

	finish(vcpu);
	MUST(ioctl(vcpu->fd, KVM_SET_REGS, &regs));
}
