// SPDX-License-Identifier: GPL-2.0-only
/*
 * The VM of vm.h. Nothing here knows the harness: it would have to be in one file only.
 */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include "known_defects.h"
#include "vm.h"

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

/* ---- sentences ---- */

void fail_at(const char *file, int line, const char *fmt, ...)
{
	va_list args;

	fprintf(stderr, "# %s:%d: ", file, line);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	abort();
}

int __must(int result, const char *what, const char *file, int line)
{
	if (result < 0)
		fail_at(file, line, "%s: %s", what, strerror(-result));
	return result;
}

static const char * const exit_names[] = {
	[THV_EXIT_INTERRUPTED] = "INTERRUPTED",
	[THV_EXIT_IO] = "IO",
	[THV_EXIT_MMIO] = "MMIO",
	[THV_EXIT_EOI] = "EOI",
	[THV_EXIT_STOPPED] = "STOPPED",
	[THV_EXIT_SHUTDOWN] = "SHUTDOWN",
	[THV_EXIT_FAIL_ENTRY] = "FAIL_ENTRY",
	[THV_EXIT_MACHINE_CHECK] = "MACHINE_CHECK",
	[THV_EXIT_MEMORY_FAULT] = "MEMORY_FAULT",
	[THV_EXIT_UNSUPPORTED] = "UNSUPPORTED",
	[THV_EXIT_DEBUG] = "DEBUG",
	[THV_EXIT_ACKNOWLEDGE] = "ACKNOWLEDGE",
};

const char *exit_name(u32 exit)
{
	return exit < ARRAY_SIZE(exit_names) ? exit_names[exit] : "an unknown exit";
}

static void print_details(const struct thv_run *run)
{
	switch (run->exit) {
	case THV_EXIT_IO:
		fprintf(stderr, "#   %s%s%s port %#x, %u bytes, data %#x, gla %#llx\n",
			run->io.flags & THV_IO_REP ? "rep " : "",
			run->io.flags & THV_IO_STRING ? "string " : "",
			run->io.flags & THV_IO_IN ? "in" : "out", run->io.port, run->io.size,
			run->io.data, run->io.gla);
		break;
	case THV_EXIT_MMIO:
		fprintf(stderr, "#   gpa %#llx, gla %#llx, access %#x, flags %#x\n", run->mmio.gpa,
			run->mmio.gla, run->mmio.access, run->mmio.flags);
		break;
	case THV_EXIT_FAIL_ENTRY:
		fprintf(stderr, "#   reason %#llx, qualification %#llx, instruction error %u, CPU %u\n",
			run->fail_entry.hardware_reason, run->fail_entry.qualification,
			run->fail_entry.instruction_error, run->fail_entry.cpu);
		break;
	case THV_EXIT_MEMORY_FAULT:
		fprintf(stderr, "#   gpa %#llx, hva %#llx, access %#x: %s\n", run->memory_fault.gpa,
			run->memory_fault.hva, run->memory_fault.access,
			strerror(run->memory_fault.error));
		break;
	case THV_EXIT_UNSUPPORTED:
		fprintf(stderr, "#   what %u, reason %#llx, detail %#llx %#llx\n", run->unsupported.what,
			run->unsupported.hardware_reason, run->unsupported.detail[0],
			run->unsupported.detail[1]);
		break;
	case THV_EXIT_EOI:
		fprintf(stderr, "#   vector %u\n", run->eoi.vector);
		break;
	}
}

void exit_print(struct vcpu *vcpu)
{
	const struct thv_run *run = vcpu->run;
	const struct guest_record *record = vcpu->vm->record;
	struct thv_sregs sregs;

	fprintf(stderr, "# vCPU %u: exit %s (%u), instruction length %u\n", vcpu->id,
		exit_name(run->exit), run->exit, run->instruction_length);
	print_details(run);
	fprintf(stderr, "#   rip %#llx rflags %#llx rsp %#llx rax %#llx rcx %#llx rdx %#llx rdi %#llx rsi %#llx\n",
		run->regs.rip, run->regs.rflags, run->regs.gpr[THV_RSP], run->regs.gpr[THV_RAX],
		run->regs.gpr[THV_RCX], run->regs.gpr[THV_RDX], run->regs.gpr[THV_RDI],
		run->regs.gpr[THV_RSI]);
	if (!vcpu_get(vcpu, THV_STATE_SREGS, &sregs, sizeof(sregs)))
		fprintf(stderr, "#   cs %#x ss %#x cr0 %#llx cr2 %#llx cr3 %#llx cr4 %#llx efer %#llx\n",
			sregs.seg[THV_CS].selector, sregs.seg[THV_SS].selector, sregs.cr0, sregs.cr2,
			sregs.cr3, sregs.cr4, sregs.efer);
	if (record && record->count)
		fprintf(stderr, "#   events so far: %llu; the last: vector %llu, error %#llx, rip %#llx, rflags %#llx, cr2 %#llx\n",
			record->count, record->vector, record->error,
			record->rip, record->rflags, record->cr2);
}

/* ---- the device ---- */

int thv_ioctl(int fd, unsigned long cmd, void *arg)
{
	int result = ioctl(fd, cmd, arg);

	return result < 0 ? -errno : result;
}

int thv_device(void)
{
	static int fd = -1;

	if (fd < 0)
		fd = open("/dev/thv", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		fail("/dev/thv: %s", strerror(errno));
	return fd;
}

const struct thv_info *thv_info(void)
{
	static struct thv_info info;

	if (!info.api_version)
		must(thv_ioctl(thv_device(), THV_GET_INFO, &info));
	return &info;
}

/* THV_TEST_PAGING=ept|shadow: all VMs of a test program get that; without, the best there is */
static u32 paging_wanted(void)
{
	const char *name = getenv("THV_TEST_PAGING");

	if (!name || !*name)
		return THV_PAGING_DEFAULT;
	if (!strcmp(name, "ept"))
		return THV_PAGING_EPT;
	if (!strcmp(name, "shadow"))
		return THV_PAGING_SHADOW;
	fail("THV_TEST_PAGING=%s: it is ept or shadow", name);
}

/* Shadow paging goes without what needs EPT (module/vm.c) */
bool thv_shadows(void)
{
	return paging_wanted() == THV_PAGING_SHADOW || !(thv_info()->used & THV_FEATURE_EPT);
}

void vm_cpuid(struct thv_cpuid *cpuid)
{
	must(thv_ioctl(thv_device(), THV_GET_CPUID, cpuid));
	if (thv_shadows() && cpuid->leaf == 7 && !cpuid->subleaf)
		cpuid->ebx &= ~CPUID_7_EBX_INVPCID;
}

#define NOT_SHADOWED (THV_FEATURE_EPT | THV_FEATURE_EPT_AD | THV_FEATURE_EPT_2M | \
		      THV_FEATURE_EPT_1G | THV_FEATURE_PML | THV_FEATURE_UNRESTRICTED | \
		      THV_FEATURE_INVPCID)

bool thv_offers(u64 feature)
{
	return thv_info()->used & feature & ~(thv_shadows() ? NOT_SHADOWED : 0);
}

/* ---- tables in guest memory ---- */

#define PTE_FLAGS	0x67ULL		/* present, writable, user, accessed, dirty */
#define PTE_LARGE	0x80ULL

static void fill_table64(struct vm *vm, u64 table, u64 first, u64 step, u64 flags)
{
	u64 *entry = vm_at(vm, table, u64);
	unsigned int i;

	for (i = 0; i < 512; i++)
		entry[i] = (first + i * step) | flags;
}

static void fill_table32(struct vm *vm, u64 table, u32 first, u32 step, u32 flags)
{
	u32 *entry = vm_at(vm, table, u32);
	unsigned int i;

	for (i = 0; i < 1024; i++)
		entry[i] = (first + i * step) | flags;
}

static void build_paging(struct vm *vm)
{
	fill_table64(vm, GUEST_PT, 0, PAGE, PTE_FLAGS);
	fill_table64(vm, GUEST_PD0, 0, 2 << 20, PTE_FLAGS | PTE_LARGE);
	fill_table64(vm, GUEST_PD3, 3ULL << 30, 2 << 20, PTE_FLAGS | PTE_LARGE);
	*vm_at(vm, GUEST_PD0, u64) = GUEST_PT | PTE_FLAGS;
	vm_at(vm, GUEST_PDPT, u64)[0] = GUEST_PD0 | PTE_FLAGS;
	vm_at(vm, GUEST_PDPT, u64)[3] = GUEST_PD3 | PTE_FLAGS;
	vm_at(vm, GUEST_PML4, u64)[0] = GUEST_PDPT | PTE_FLAGS;

	vm_at(vm, GUEST_PDPT_PAE, u64)[0] = GUEST_PD0 | 1;
	vm_at(vm, GUEST_PDPT_PAE, u64)[3] = GUEST_PD3 | 1;

	fill_table32(vm, GUEST_PT32, 0, PAGE, PTE_FLAGS);
	fill_table32(vm, GUEST_PD32, 0, 4 << 20, PTE_FLAGS | PTE_LARGE);
	*vm_at(vm, GUEST_PD32, u32) = GUEST_PT32 | PTE_FLAGS;
}

/* Descriptors, by selector: flat; type and attributes as in a descriptor's bits 55:40 */
static const u64 gdt[] = {
	[GUEST_CS64 / 8]	= 0x00af9b000000ffffULL,
	[GUEST_DS / 8]		= 0x00cf93000000ffffULL,
	[GUEST_CS32 / 8]	= 0x00cf9b000000ffffULL,
	[GUEST_USER_CS32 / 8]	= 0x00cffb000000ffffULL,
	[GUEST_USER_DS / 8]	= 0x00cff3000000ffffULL,
	[GUEST_USER_CS64 / 8]	= 0x00affb000000ffffULL,
	[GUEST_CS16 / 8]	= 0x00009b000000ffffULL,
	[GUEST_DS16 / 8]	= 0x000093000000ffffULL,
	[GUEST_TR / 8]		= 0x00008b0000000067ULL | GUEST_TSS << 16,
	[GUEST_TR32 / 8]	= 0x00008b0000000067ULL | GUEST_TSS32 << 16,
	[GUEST_TR32_B / 8]	= 0x0000890000000067ULL | GUEST_TSS32_B << 16,
};

static void build_segments(struct vm *vm)
{
	memcpy(vm->mem + GUEST_GDT, gdt, sizeof(gdt));
	/* RSP0 and IST1; no I/O bitmap: its base is the limit */
	memcpy(vm->mem + GUEST_TSS + 4, &(u64){ GUEST_STACK0 }, 8);
	memcpy(vm->mem + GUEST_TSS + 36, &(u64){ GUEST_IST }, 8);
	*vm_at(vm, GUEST_TSS + 102, u16) = 0x68;
	*vm_at(vm, GUEST_TSS32 + 4, u32) = GUEST_STACK0;
	*vm_at(vm, GUEST_TSS32 + 8, u32) = GUEST_DS;
	*vm_at(vm, GUEST_TSS32 + 102, u16) = 0x68;
}

/* Interrupt gates to the payload's stubs; INT 3, INTO and INT 0x80 may come from CPL 3 */
static void build_idt(struct vm *vm)
{
	u64 *gate = vm_at(vm, GUEST_IDT, u64);
	unsigned int i;

	for (i = 0; i < 256; i++) {
		u64 handler = GUEST_CODE + i * 16;
		u64 dpl = i == 3 || i == 4 || i == 0x80 ? 3 : 0;

		gate[2 * i] = (handler & 0xffff) | GUEST_CS64 << 16 | 0x8eULL << 40 | dpl << 45 |
			      (handler >> 16) << 48;
		gate[2 * i + 1] = 0;
	}
}

struct thv_segment segment_code(u32 selector)
{
	u64 descriptor = gdt[selector / 8];
	u32 limit = (descriptor & 0xffff) | (descriptor >> 32 & 0xf0000);

	return (struct thv_segment) {
		.selector = selector,
		.base = (descriptor >> 16 & 0xffffff) | (descriptor >> 56 << 24),
		.limit = descriptor & BIT(55) ? limit << 12 | 0xfff : limit,
		.attributes = descriptor >> 40 & 0xf0ff,
	};
}

/* ---- modes ---- */

static void flat_segments(struct thv_sregs *sregs, u32 code, u32 data, u32 task)
{
	int i;

	for (i = THV_ES; i <= THV_GS; i++)
		sregs->seg[i] = segment_code(data);
	sregs->seg[THV_CS] = segment_code(code);
	sregs->seg[THV_TR] = segment_code(task);
	sregs->seg[THV_LDTR] = (struct thv_segment){ .attributes = THV_SEG_UNUSABLE };
	sregs->gdt = (struct thv_table){ .base = GUEST_GDT, .limit = sizeof(gdt) - 1 };
}

#define CR0_PE	BIT(0)
#define CR0_MP	BIT(1)
#define CR0_ET	BIT(4)
#define CR0_NE	BIT(5)
#define CR0_WP	BIT(16)
#define CR0_PG	BIT(31)
#define CR4_PSE	BIT(4)
#define CR4_PAE	BIT(5)
#define CR4_OSFXSR BIT(9)
#define EFER_LME BIT(8)
#define EFER_LMA BIT(10)

void sregs_mode64(struct thv_sregs *sregs)
{
	memset(sregs, 0, sizeof(*sregs));
	flat_segments(sregs, GUEST_CS64, GUEST_DS, GUEST_TR);
	sregs->idt = (struct thv_table){ .base = GUEST_IDT, .limit = 0xfff };
	sregs->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
	sregs->cr3 = GUEST_PML4;
	sregs->cr4 = CR4_PAE | CR4_OSFXSR;
	sregs->efer = EFER_LME | EFER_LMA;
}

/* A vCPU that waits for INIT and SIPI is woken the short way. */
static void wake(struct vcpu *vcpu)
{
	struct thv_event_state events;

	if (!vcpu->id)
		return;
	must_get(vcpu, THV_STATE_EVENTS, &events);
	events.mp_state = THV_MP_RUNNING;
	must_set(vcpu, THV_STATE_EVENTS, &events);
}

static void set_mode(struct vcpu *vcpu, struct thv_sregs *sregs)
{
	struct thv_regs regs = { .rflags = 2 };

	regs.gpr[THV_RSP] = GUEST_STACK - vcpu->id * 256;
	wake(vcpu);
	must_set(vcpu, THV_STATE_SREGS, sregs);
	must_set(vcpu, THV_STATE_REGS, &regs);
}

void vcpu_mode64(struct vcpu *vcpu)
{
	struct thv_sregs sregs;

	sregs_mode64(&sregs);
	set_mode(vcpu, &sregs);
}

void vcpu_mode32(struct vcpu *vcpu, u64 cr3, u64 cr4, bool paging)
{
	struct thv_sregs sregs = {};

	flat_segments(&sregs, GUEST_CS32, GUEST_DS, GUEST_TR32);
	sregs.idt = (struct thv_table){ .base = GUEST_IDT32, .limit = 0x7ff };
	sregs.cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | (paging ? CR0_PG : 0);
	sregs.cr3 = cr3;
	sregs.cr4 = cr4;
	set_mode(vcpu, &sregs);
}

static struct thv_segment real_segment(u16 selector, u32 type)
{
	return (struct thv_segment) {
		.selector = selector, .base = selector << 4, .limit = 0xffff,
		.attributes = THV_SEG_P | THV_SEG_S | type,
	};
}

void vcpu_mode16(struct vcpu *vcpu)
{
	struct thv_sregs sregs = {};
	int i;

	for (i = THV_ES; i <= THV_GS; i++)
		sregs.seg[i] = real_segment(GUEST_CODE >> 4, 3);
	sregs.seg[THV_CS] = real_segment(GUEST_CODE >> 4, 0xb);
	sregs.seg[THV_SS] = real_segment(0, 3);
	sregs.seg[THV_LDTR] = (struct thv_segment){ .limit = 0xffff, .attributes = THV_SEG_P | 2 };
	sregs.seg[THV_TR] = (struct thv_segment){ .limit = 0xffff, .attributes = THV_SEG_P | 0xb };
	sregs.idt.limit = 0x3ff;
	sregs.cr0 = CR0_ET;
	set_mode(vcpu, &sregs);
}

/* ---- life ---- */

struct vm *vm_create_bare(u32 flags)
{
	struct thv_create_vm create = { .paging = paging_wanted(), .flags = flags };
	struct vm *vm = calloc(1, sizeof(*vm));

	vm->info = thv_info();
	vm->fd = must(thv_ioctl(thv_device(), THV_CREATE_VM, &create));
	vm->id = create.id;
	return vm;
}

struct vcpu *vcpu_create(struct vm *vm, u32 id)
{
	struct thv_create_vcpu create = { .id = id };
	struct vcpu *vcpu = calloc(1, sizeof(*vcpu));

	vcpu->vm = vm;
	vcpu->id = id;
	vcpu->fd = must(thv_ioctl(vm->fd, THV_CREATE_VCPU, &create));
	vcpu->run = mmap(NULL, THV_RUN_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	if (vcpu->run == MAP_FAILED)
		fail("mmap of the run page: %s", strerror(errno));
	return vcpu;
}

void vm_load(struct vm *vm, const void *code, const void *end)
{
	memcpy(vm->mem + GUEST_CODE, code, (const u8 *)end - (const u8 *)code);
}

struct vm *__vm_create(const void *code, const void *end, const struct vm_options *options)
{
	static const struct vm_options none;
	struct vm *vm;

	if (!options)
		options = &none;
	vm = vm_create_bare(options->flags | (thv_shadows() ? flag_against_virtual_interrupts() : 0));
	vm->size = GUEST_MEMORY;
	vm->mem = options->memory;
	if (!vm->mem)
		vm->mem = mmap(NULL, vm->size, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (vm->mem == MAP_FAILED)
		fail("mmap of %zu bytes: %s", vm->size, strerror(errno));
	vm->record = vm_at(vm, GUEST_RECORD, struct guest_record);
	must(vm_set_memory(vm, 0, options->memory_flags, 0, vm->size, vm->mem));
	build_paging(vm);
	build_segments(vm);
	build_idt(vm);
	vm_load(vm, code, end);
	vm->vcpu = vcpu_create(vm, 0);
	vcpu_mode64(vm->vcpu);
	return vm;
}

void vcpu_close(struct vcpu *vcpu)
{
	munmap(vcpu->run, THV_RUN_SIZE);
	close(vcpu->fd);
	free(vcpu);
}

void vm_close(struct vm *vm)
{
	if (vm->vcpu)
		vcpu_close(vm->vcpu);
	close(vm->fd);
	if (vm->mem)
		munmap(vm->mem, vm->size);
	free(vm);
}

/* ---- ioctls ---- */

int vm_set_memory(struct vm *vm, u32 slot, u32 flags, u64 gpa, u64 size, const void *hva)
{
	struct thv_memory memory = {
		.slot = slot, .flags = flags, .gpa = gpa, .size = size, .hva = (uintptr_t)hva,
	};

	return thv_ioctl(vm->fd, THV_SET_MEMORY, &memory);
}

int vcpu_get(struct vcpu *vcpu, u32 component, void *data, u32 size)
{
	struct thv_state state = { .component = component, .size = size, .data = (uintptr_t)data };

	return thv_ioctl(vcpu->fd, THV_GET_STATE, &state);
}

int vcpu_set(struct vcpu *vcpu, u32 component, const void *data, u32 size)
{
	struct thv_state state = { .component = component, .size = size, .data = (uintptr_t)data };

	return thv_ioctl(vcpu->fd, THV_SET_STATE, &state);
}

int vcpu_get_msr(struct vcpu *vcpu, u32 index, u64 *value)
{
	struct thv_msr msr = { .index = index };
	int result = vcpu_get(vcpu, THV_STATE_MSRS, &msr, sizeof(msr));

	*value = msr.value;
	return result < 0 ? result : 0;
}

int vcpu_set_msr(struct vcpu *vcpu, u32 index, u64 value)
{
	struct thv_msr msr = { .index = index, .value = value };
	int result = vcpu_set(vcpu, THV_STATE_MSRS, &msr, sizeof(msr));

	return result < 0 ? result : 0;
}

/* Bit 8 of the spurious-interrupt vector register (SDM 12.9) */
void vcpu_enable_apic(struct vcpu *vcpu)
{
	struct thv_apic apic;

	must_get(vcpu, THV_STATE_APIC, &apic);
	apic.regs[0xf1] |= 1;
	must_set(vcpu, THV_STATE_APIC, &apic);
}

int test_patience(void)
{
	const char *text = getenv("THV_TEST_PATIENCE");

	return text && atoi(text) > 0 ? atoi(text) : 1;
}

u64 vm_counter(struct vm *vm, unsigned int counter)
{
	struct thv_vm_stats stats;

	must(thv_ioctl(vm->fd, THV_GET_STATS, &stats));
	return stats.counter[counter];
}

u64 vm_mapped(struct vm *vm)
{
	return vm_counter(vm, THV_STAT_faults_mapped) + vm_counter(vm, THV_STAT_faults_around);
}

u32 vcpu_page_level(struct vcpu *vcpu, u64 gla)
{
	struct thv_translate t = { .gla = gla };
	u32 last;

	must(thv_ioctl(vcpu->fd, THV_TRANSLATE, &t));
	last = t.second_levels - 1;
	return t.second[last].flags & THV_LEVEL_LEAF ? t.second[last].level : 0;
}

/* ---- running ---- */

int vcpu_run_once(struct vcpu *vcpu)
{
	return thv_ioctl(vcpu->fd, THV_RUN, NULL);
}

int vcpu_run(struct vcpu *vcpu)
{
	int err;

	do {
		err = vcpu_run_once(vcpu);
	} while (err == -EINTR);
	return err;
}

void __run_until(struct vcpu *vcpu, u32 exit, const char *file, int line)
{
	int err = vcpu_run(vcpu);

	if (err)
		fail_at(file, line, "THV_RUN: %s", strerror(-err));
	if (vcpu->run->exit == exit)
		return;
	exit_print(vcpu);
	fail_at(file, line, "expected the exit %s", exit_name(exit));
}

void __guest_start(struct vcpu *vcpu, u64 function, const u64 args[6])
{
	static const u8 order[6] = { THV_RDI, THV_RSI, THV_RDX, THV_RCX, THV_R8, THV_R9 };
	struct thv_regs *regs = &vcpu->run->regs;
	int i;

	must_get(vcpu, THV_STATE_REGS, regs);
	for (i = 0; i < 6; i++)
		regs->gpr[order[i]] = args[i];
	regs->gpr[THV_RSP] = GUEST_STACK - vcpu->id * 256 - 8;
	*vm_at(vcpu->vm, regs->gpr[THV_RSP], u64) = GUEST_DONE;
	regs->rip = function;
	regs->rflags = 2;
	vcpu->run->dirty = THV_DIRTY_GPRS | THV_DIRTY_RIP;
}

static bool is_port(const struct thv_run *run, u16 port)
{
	return run->exit == THV_EXIT_IO && run->io.port == port && !(run->io.flags & THV_IO_IN);
}

u64 __guest_port(struct vcpu *vcpu, u16 port, const char *file, int line)
{
	const struct guest_record *record = vcpu->vm->record;
	struct thv_run *run = vcpu->run;

	__run_until(vcpu, THV_EXIT_IO, file, line);
	if (is_port(run, PORT_EXCEPTION)) {
		exit_print(vcpu);
		fail_at(file, line, "the guest had an exception that it did not expect: vector %llu, error %#llx, rip %#llx",
			record->vector, record->error, record->rip);
	}
	if (!is_port(run, port)) {
		exit_print(vcpu);
		fail_at(file, line, "expected the guest to %s",
			port == PORT_DONE ? "return" : "report");
	}
	if (port != PORT_DONE)
		io_complete(vcpu, 0);
	return run->regs.gpr[THV_RAX];
}

void vcpu_complete(struct vcpu *vcpu, u32 length)
{
	vcpu->run->regs.rip += length;
	vcpu->run->dirty = THV_DIRTY_GPRS | THV_DIRTY_RIP | THV_DIRTY_COMPLETED;
}

/* What IN leaves of RAX: 32 bits are zero-extended, 8 and 16 leave the rest (SDM 3.4.1.1) */
void io_complete(struct vcpu *vcpu, u32 value)
{
	struct thv_run *run = vcpu->run;
	u64 *rax = &run->regs.gpr[THV_RAX];

	if (run->io.flags & THV_IO_IN) {
		if (run->io.size == 4)
			*rax = value;
		else
			memcpy(rax, &value, run->io.size);
	}
	vcpu_complete(vcpu, run->io.instruction_length);
}

/* ---- time ---- */

u64 now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000ULL + now.tv_nsec / 1000;
}

static u64 alarm_interval;
static unsigned int alarms;

static void set_timer(u64 us)
{
	struct itimerval timer = { .it_value = { us / 1000000, us % 1000000 } };

	timer.it_interval = timer.it_value;
	setitimer(ITIMER_REAL, &timer, NULL);
}

/* On a slow host the next one comes before anybody has got anywhere */
static void rung(int signal)
{
	(void)signal;
	if (++alarms % 1000 == 0)
		set_timer(alarm_interval *= 2);
}

void alarm_us(u64 us)
{
	struct sigaction action = { .sa_handler = rung };

	alarms = 0;
	alarm_interval = us;
	sigaction(SIGALRM, &action, NULL);
	set_timer(us);
}
