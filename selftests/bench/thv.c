// SPDX-License-Identifier: GPL-2.0-only
/* The benchmark's driver for thv: straight to /dev/thv. Only MMIO is decoded by the launcher's own code. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <thv.h>
#include "driver.h"
#include "layout.h"
#include "module/stats.h"
#include "vmm/emulate.h"
#include "vmm/translate.h"

const char driver_name[] = "thv";

struct vm {
	int fd;
	u32 id;
	u8 *memory;		/* slot 0 */
	size_t size;
};

struct vcpu {
	struct vm *vm;
	u32 id;
	int fd;
	struct thv_run *run;
	struct translate_last last;
};

static int device(void)
{
	static int fd = -1;

	if (fd < 0)
		fd = MUST(open("/dev/thv", O_RDWR | O_CLOEXEC));
	return fd;
}

/* ---- a VM ---- */

static void set_memory(struct vm *vm, u32 slot, u32 flags, u64 gpa, void *memory, size_t size)
{
	struct thv_memory set = {
		.slot = slot, .flags = flags, .gpa = gpa, .size = size, .hva = (uintptr_t)memory,
	};

	MUST(ioctl(vm->fd, THV_SET_MEMORY, &set));
}

struct vm *vm_create(void *memory, size_t size, u32 flags)
{
	struct thv_create_vm create = {
		.flags = flags & VM_NO_APICV ? THV_VM_NO_APICV : 0,
		.paging = flags & VM_SHADOW ? THV_PAGING_SHADOW : THV_PAGING_DEFAULT,
	};
	struct vm *vm = calloc(1, sizeof(*vm));

	vm->fd = MUST(ioctl(device(), THV_CREATE_VM, &create));
	vm->id = create.id;
	vm->memory = memory;
	vm->size = size;
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
	set_memory(vm, 1, log_dirty ? THV_MEMORY_LOG_DIRTY : 0, gpa, memory, size);
}

void vm_get_dirty(struct vm *vm, void *bitmap, size_t size)
{
	struct thv_bitmap get = { .slot = 1, .bitmap = (uintptr_t)bitmap, .size = size };

	MUST(ioctl(vm->fd, THV_GET_DIRTY, &get));
}

static void doorbell(struct vm *vm, u64 address, u32 length, u32 flags, int fd)
{
	struct thv_ioeventfd set = { .fd = fd, .flags = flags, .address = address, .length = length };

	MUST(ioctl(vm->fd, THV_IOEVENTFD, &set));
}

void vm_doorbell_port(struct vm *vm, u16 port, int fd)
{
	doorbell(vm, port, 4, THV_IOEVENTFD_PORT, fd);
}

void vm_doorbell_mmio(struct vm *vm, u64 gpa, int fd)
{
	doorbell(vm, gpa, 0, 0, fd);
}

static struct thv_msi msi_to(u32 vcpu)
{
	return (struct thv_msi){ .address = APIC | vcpu << 12, .data = VECTOR };
}

void vm_msi(struct vm *vm, u32 vcpu)
{
	struct thv_msi msi = msi_to(vcpu);

	MUST(ioctl(vm->fd, THV_SIGNAL_MSI, &msi));
}

void vm_irqfd(struct vm *vm, int fd, u32 vcpu)
{
	struct thv_irqfd set = { .fd = fd, .msi = msi_to(vcpu) };

	MUST(ioctl(vm->fd, THV_IRQFD, &set));
}

/* Control descriptors tell */
u64 vm_exits(struct vm *vm)
{
	struct thv_open_vm open = { .id = vm->id };
	int fd = MUST(ioctl(device(), THV_OPEN_VM, &open));
	struct thv_vm_stats stats;

	MUST(ioctl(fd, THV_GET_STATS, &stats));
	close(fd);
	return stats.counter[THV_STAT_exits];
}

/* ---- a vCPU ---- */

static void set_state(struct vcpu *vcpu, u32 component, void *data, u32 size)
{
	struct thv_state state = { .component = component, .size = size, .data = (uintptr_t)data };

	MUST(ioctl(vcpu->fd, THV_SET_STATE, &state));
}

#define SEGMENT(number, bits) ((struct thv_segment){ .selector = (number), .limit = ~0U, .attributes = (bits) })
#define CODE64	(THV_SEG_P | THV_SEG_S | THV_SEG_L | THV_SEG_G | 0xb)
#define DATA	(THV_SEG_P | THV_SEG_S | THV_SEG_DB | THV_SEG_G | 0x3)
#define BUSY_TSS (THV_SEG_P | 0xb)

static void set_mode(struct vcpu *vcpu)
{
	struct thv_sregs sregs = {
		.gdt = { .base = GDT, .limit = 0x7f }, .idt = { .base = IDT, .limit = 0xfff },
		.cr0 = PAYLOAD_CR0, .cr3 = PML4, .cr4 = PAYLOAD_CR4, .efer = PAYLOAD_EFER,
	};
	int i;

	for (i = THV_ES; i <= THV_GS; i++)
		sregs.seg[i] = SEGMENT(DS, DATA);
	sregs.seg[THV_CS] = SEGMENT(CS64, CODE64);
	sregs.seg[THV_LDTR].attributes = THV_SEG_UNUSABLE;
	sregs.seg[THV_TR] = (struct thv_segment){ .selector = TR, .limit = 0x67, .attributes = BUSY_TSS };
	set_state(vcpu, THV_STATE_SREGS, &sregs, sizeof(sregs));
}

/* It would wait for INIT and SIPI */
static void wake(struct vcpu *vcpu)
{
	struct thv_event_state events = { .mp_state = THV_MP_RUNNING };

	set_state(vcpu, THV_STATE_EVENTS, &events, sizeof(events));
}

struct vcpu *vcpu_create(struct vm *vm, u32 id)
{
	struct thv_create_vcpu create = { .id = id };
	struct vcpu *vcpu = calloc(1, sizeof(*vcpu));

	vcpu->vm = vm;
	vcpu->id = id;
	vcpu->fd = MUST(ioctl(vm->fd, THV_CREATE_VCPU, &create));
	vcpu->run = mmap(NULL, THV_RUN_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	if (vcpu->run == MAP_FAILED)
		fail("the run page cannot be mapped");
	set_mode(vcpu);
	if (id)
		wake(vcpu);
	return vcpu;
}

void vcpu_close(struct vcpu *vcpu)
{
	munmap(vcpu->run, THV_RUN_SIZE);
	close(vcpu->fd);
	free(vcpu);
}

/* ---- running ---- */

#define PHYS_BITS	36	/* the guest's tables need fewer */

static int read_entry(void *opaque, __u64 gpa, __u64 *entry, unsigned int size)
{
	struct vcpu *vcpu = opaque;

	if (gpa + size > vcpu->vm->size)
		return -1;
	*entry = size == 4 ? *(__u32 *)(vcpu->vm->memory + gpa) : *(__u64 *)(vcpu->vm->memory + gpa);
	return 0;
}

static int ask_module(struct vcpu *vcpu, __u64 gla, __u32 access, __u64 *gpa, __u32 *error_code)
{
	struct thv_translate translate = { .gla = gla, .access = access };

	MUST(ioctl(vcpu->fd, THV_TRANSLATE, &translate));
	*gpa = translate.gpa;
	*error_code = translate.error_code;
	return translate.result == THV_TRANSLATE_GUEST_FAULT;
}

/* As the launcher does it */
static int translate(void *opaque, __u64 gla, __u32 access, __u64 *gpa, __u32 *error_code)
{
	struct vcpu *vcpu = opaque;
	const struct translate_memory memory = { PHYS_BITS, read_entry, vcpu };

	if (translate_here(vcpu->run, &memory, &vcpu->last, gla, access, gpa))
		return 0;
	return ask_module(vcpu, gla, access, gpa, error_code);
}

static void *memory_at(void *opaque, __u64 gpa, __u32 length, int write)
{
	struct vcpu *vcpu = opaque;

	return gpa + length <= vcpu->vm->size ? vcpu->vm->memory + gpa : NULL;
}

/* The local APIC, whose instructions the module does not decode, or nothing */
static void answer(void *opaque, __u64 gpa, void *data, __u32 length, int write)
{
	struct thv_apic_access access = { .offset = gpa % 4096, .flags = write ? THV_APIC_WRITE : 0, .length = length };
	struct vcpu *vcpu = opaque;

	if (!write)
		memset(data, 0xff, length);
	if (gpa >> 12 != APIC >> 12)
		return;
	memcpy(&access.data, data, length);
	MUST(ioctl(vcpu->fd, THV_APIC_ACCESS, &access));
	memcpy(data, &access.data, length);
}

static void port(void *opaque, __u16 port, void *data, __u32 length, int write)
{
	if (!write)
		memset(data, 0xff, length);
}

static const struct emulate_ops emulate_ops = {
	.translate = translate, .memory = memory_at, .mmio = answer, .port = port,
};

static void emulate(struct vcpu *vcpu)
{
	struct emulate_fault fault;
	char text[200] = "a fault";

	if (emulate_exit(vcpu->run, &emulate_ops, vcpu, &fault, text, sizeof(text)) != EMULATE_DONE)
		fail("at %#llx: %s", vcpu->run->regs.rip, text);
}

static void io(struct vcpu *vcpu)
{
	struct thv_run *run = vcpu->run;

	if (run->io.flags & THV_IO_STRING) {
		emulate(vcpu);
		return;
	}
	if (run->io.flags & THV_IO_IN && run->io.size == 4)
		run->regs.gpr[THV_RAX] = ~0U;		/* 32 bits are zero-extended */
	else if (run->io.flags & THV_IO_IN)
		memset(&run->regs.gpr[THV_RAX], 0xff, run->io.size);
	run->regs.rip += run->io.instruction_length;
	run->dirty = THV_DIRTY_GPRS | THV_DIRTY_RIP | THV_DIRTY_COMPLETED;
}

void vcpu_run(struct vcpu *vcpu, u16 port)
{
	struct thv_run *run = vcpu->run;

	for (;;) {
		if (ioctl(vcpu->fd, THV_RUN)) {
			if (errno != EINTR)
				MUST(-1);
		} else if (run->exit == THV_EXIT_IO) {
			io(vcpu);
			if (run->io.port == port)
				break;
		} else if (run->exit == THV_EXIT_MMIO) {
			emulate(vcpu);
		} else {
			fail("exit %u at %#llx", run->exit, run->regs.rip);
		}
	}
}

void vcpu_start(struct vcpu *vcpu, u64 function, u64 rdi, u64 rsi)
{
	struct thv_regs regs = { .rip = function, .rflags = 2 };

	regs.gpr[THV_RDI] = rdi;
	regs.gpr[THV_RSI] = rsi;
	regs.gpr[THV_RSP] = STACK + vcpu->id * STACK_NEXT;
	vcpu->run->dirty = 0;
	set_state(vcpu, THV_STATE_REGS, &regs, sizeof(regs));
}
