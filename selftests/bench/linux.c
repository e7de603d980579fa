// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rows of a Linux guest: Debian's kernel for clouds, from its 64-bit entry (Documentation/arch/x86/boot.rst) to its
 * first process, which is programs.c. The machine is the poorest there is, and the same for each hypervisor: a local
 * APIC and KVM's clock, no ACPI, and no device.
 */
#include <asm/bootparam.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <x86intrin.h>
#include "bench.h"

#define SIZE		0x8000000UL
#define LOW_END		0x9f000
#define HIGH		0x100000
#define BOOT_PARAMS	0x20000
#define COMMAND_LINE	0x21000
#define INITRD		0x7000000
#define SECTOR		512
#define ENTRY_64	0x200

/* No device that is looked for long, nothing measured that the host's load would change */
static const char command_line[] = "quiet nokaslr mitigations=off acpi=off pci=off tsc=reliable no_timer_check "
				   "random.trust_cpu=on cryptomgr.notests i8042.noprobe panic=-1";

/* What happened, in their order: marks of programs.c */
enum mark { ENTERED, FIRST_PROCESS, COMPUTED, CALLED, DID_IO, MARKS };

static struct {
	u64 ticks;
	u64 exits;
} marks[MARKS];

/* ---- the guest's memory ---- */

static size_t load(const char *path, void *to, off_t from, size_t room)
{
	int fd = MUST(open(path, O_RDONLY));
	size_t size = 0;
	ssize_t got;

	MUST(lseek(fd, from, SEEK_SET));
	while ((got = MUST(read(fd, to + size, room - size))) > 0)
		size += got;
	close(fd);
	if (size == room)
		fail("%s does not fit", path);
	return size;
}

static void load_head(const char *path, void *to, size_t size)
{
	int fd = MUST(open(path, O_RDONLY));

	MUST(read(fd, to, size));
	close(fd);
}

static void add_ram(struct boot_params *params, u64 start, u64 end)
{
	params->e820_table[params->e820_entries++] = (struct boot_e820_entry) {
		.addr = start, .size = end - start, .type = 1,
	};
}

/* Returns the entry */
static u64 load_linux(void *memory)
{
	struct boot_params *params = at(memory, BOOT_PARAMS);
	u8 head[SECTOR * 2 + 1];
	struct setup_header *header = (void *)(head + offsetof(struct boot_params, hdr));
	u64 kernel;

	load_head("vmlinuz", head, sizeof(head));
	kernel = header->pref_address;
	params->hdr = *header;
	params->hdr.type_of_loader = 0xff;
	params->hdr.cmd_line_ptr = COMMAND_LINE;
	params->hdr.ramdisk_image = INITRD;
	params->hdr.ramdisk_size = load("guest.cpio", at(memory, INITRD), 0, SIZE - INITRD);
	add_ram(params, 0, LOW_END);
	add_ram(params, HIGH, SIZE);
	memcpy(at(memory, COMMAND_LINE), command_line, sizeof(command_line));
	load("vmlinuz", at(memory, kernel), (header->setup_sects + 1) * SECTOR, INITRD - kernel);
	return kernel + ENTRY_64;
}

/* ---- a run of it: the first row makes it ---- */

static void mark(struct vm *vm, enum mark mark)
{
	marks[mark].ticks = __rdtsc();
	marks[mark].exits = vm_exits(vm);
}

static void run_linux(void)
{
	void *memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	struct vm *vm;
	struct vcpu *vcpu;
	u64 entry;
	int i;

	if (memory == MAP_FAILED)
		fail("no memory");
	build_guest_tables(memory);
	entry = load_linux(memory);
	vm = vm_create(memory, SIZE, VM_NO_APICV);
	vcpu = vcpu_create(vm, 0);
	vcpu_start(vcpu, entry, 0, BOOT_PARAMS);
	mark(vm, ENTERED);
	for (i = FIRST_PROCESS; i < MARKS; i++) {
		vcpu_run(vcpu, PORT_MARK);
		mark(vm, i);
	}
	vcpu_close(vcpu);
	vm_close(vm);
	munmap(memory, SIZE);
}

static double ticks_to(struct guest *guest, u64 mark)
{
	if (!marks[mark].ticks)
		run_linux();
	return marks[mark].ticks - marks[mark - 1].ticks;
}

static double exits_to(struct guest *guest, u64 mark)
{
	return marks[mark].exits - marks[mark - 1].exits;
}

const struct row linux_guest[] = {
	{ "boot", "Debian kernel, from entry to its first process", ticks_to, FIRST_PROCESS },
	{ "boot_exits", "... VM exits", exits_to, FIRST_PROCESS },
	{ "compute", "program that computes", ticks_to, COMPUTED },
	{ "compute_exits", "... VM exits", exits_to, COMPUTED },
	{ "calls", "program that calls its kernel, 20,000 times", ticks_to, CALLED },
	{ "calls_exits", "... VM exits", exits_to, CALLED },
	{ "io", "program that does I/O, 2,000 port writes", ticks_to, DID_IO },
	{ "io_exits", "... VM exits", exits_to, DID_IO },
	{}
};
