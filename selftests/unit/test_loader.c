// SPDX-License-Identifier: GPL-2.0-only
// sources: userspace/boot/bzimage.c userspace/boot/loader.c userspace/boot/modes.c userspace/boot/elf.c userspace/boot/pvh.c userspace/boot/multiboot.c userspace/boot/flat.c userspace/boot/bios.c userspace/boot/fwitems.c userspace/boot/acpi.c userspace/lib/options.c userspace/vmm/memory.c userspace/lib/error.c
/*
 * The bzImage loader: what a kernel finds when it starts, and that no file,
 * however damaged, makes it do more than refuse. THV_TEST_KERNEL=FILE adds a real
 * kernel to the made-up one.
 */
#include <asm/bootparam.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "boot/boot.h"
#include "lib/device.h"
#include "lib/error.h"
#include "tap.h"

#define SETUP_SECTORS	3
#define PAYLOAD		(100 * 1024)
#define FILE_SIZE	((SETUP_SECTORS + 1) * 512 + PAYLOAD)
#define RSDP		0xe0000
#define KIND_LINUX	1

/* Files in memory, by their names in /proc: thousands of kernels need no disk */
static char kernel_path[64], initrd_path[64];
static u8 good[FILE_SIZE];

/* ---- the module --------------------------------------------------------- */

static struct thv_regs regs;
static struct thv_sregs sregs;

int vm_set_memory(int vm, const struct thv_memory *slot)
{
	(void)vm;
	(void)slot;
	return 0;
}

int vcpu_get(int vcpu, enum thv_state_id component, void *data, u32 size)
{
	(void)vcpu;
	(void)component;
	memset(data, 0, size);
	return 0;
}

int vcpu_set(int vcpu, enum thv_state_id component, const void *data, u32 size)
{
	(void)vcpu;
	if (component == THV_STATE_REGS && size == sizeof(regs))
		memcpy(&regs, data, size);
	else if (component == THV_STATE_SREGS && size == sizeof(sregs))
		memcpy(&sregs, data, size);
	return 0;
}

/* ---- a kernel ----------------------------------------------------------- */

static struct setup_header *header(u8 *file)
{
	return (struct setup_header *)(file + 0x1f1);
}

static void make_kernel(void)
{
	struct setup_header *hdr = header(good);
	u32 i;

	for (i = 0; i < sizeof(good); i++)
		good[i] = i * 31 >> 2;
	memset(good, 0, 1024);
	hdr->setup_sects = SETUP_SECTORS;
	hdr->syssize = PAYLOAD / 16;
	hdr->boot_flag = 0xaa55;
	hdr->jump = 0x66eb;
	hdr->header = 0x53726448;
	hdr->version = 0x020f;
	hdr->loadflags = LOADED_HIGH;
	hdr->initrd_addr_max = 0x7fffffff;
	hdr->kernel_alignment = 2 << 20;
	hdr->relocatable_kernel = 1;
	hdr->xloadflags = XLF_KERNEL_64;
	hdr->cmdline_size = 2047;
	hdr->payload_offset = 0x300;
	hdr->payload_length = 0x4000;
	hdr->pref_address = 16 << 20;
	hdr->init_size = 20 << 20;
	hdr->setup_data = 0x123456789abcdef0;	/* hostile: must not reach the guest */
}

static void write_file(const char *path, const void *bytes, size_t size)
{
	int fd = open(path, O_WRONLY | O_TRUNC);

	if (fd < 0 || write(fd, bytes, size) != (ssize_t)size)
		exit(2);
	close(fd);
}

static struct memory memory;
static struct boot_image image;
static struct boot_files files;

/* Open the file that is at kernel_path for a guest of so many MiB */
static int open_for(u64 mib, bool initrd)
{
	files = (struct boot_files){ .kernel = kernel_path, .initrd = initrd ? initrd_path : NULL,
				     .command_line = "console=ttyS0", .kind = KIND_LINUX };
	memory_plan(&memory, mib << 20);
	return boot_open(&image, &files, &memory);
}

/* Open, load, start; the caller looks, then calls unload() */
static int load_for(u64 mib, bool initrd)
{
	if (open_for(mib, initrd) || memory_create(&memory, mib << 20, "test", false))
		return -1;
	return boot_load(&image, &memory, RSDP) || boot_start(&image, -1);
}

static void unload(void)
{
	boot_close(&image);
	memory_destroy(&memory);
}

static const struct boot_params *params(void)
{
	return memory_at(&memory, regs.gpr[THV_RSI], sizeof(struct boot_params));
}

/* ---- what a kernel finds ------------------------------------------------- */

static void test_entry(void)
{
	const u8 *kernel;

	write_file(kernel_path, good, sizeof(good));
	tap_is(load_for(64, false), 0, "a good kernel loads");
	tap_is(regs.rip, (16 << 20) + 0x200, "RIP is its 64-bit entry");
	kernel = memory_at(&memory, 16 << 20, PAYLOAD);
	tap_ok(!memcmp(kernel, good + (SETUP_SECTORS + 1) * 512, PAYLOAD), "its bytes are there");
	tap_is(regs.rflags, 2, "interrupts are off");
	tap_ok(sregs.seg[THV_CS].selector == 0x10 && sregs.seg[THV_CS].attributes == 0xa09b &&
	       sregs.seg[THV_DS].selector == 0x18 && sregs.seg[THV_SS].selector == 0x18 &&
	       sregs.seg[THV_ES].attributes == 0xc093, "flat segments: 64-bit code, data");
	tap_is(sregs.cr0 & 0x80000031, 0x80000031, "protected, paged, NE set");
	tap_ok(sregs.cr4 & 1 << 5 && (sregs.efer & 0x500) == 0x500, "in long mode");
	tap_is(params()->hdr.code32_start, 16 << 20, "boot_params tell where it is");
	tap_is(params()->acpi_rsdp_addr, RSDP, "and where the RSDP is");
	tap_is(params()->hdr.setup_data, 0, "no pointer of the file's is passed on");
	tap_is(params()->hdr.type_of_loader, 0xff, "the loader says it is nobody known");
	tap_ok(!strcmp(memory_at(&memory, params()->hdr.cmd_line_ptr, 20), "console=ttyS0"),
	       "the command line is there");
	unload();
}

/* Debian's i386 kernels, PAE or not: the 32-bit boot protocol, which knows no paging */
static void test_narrow(void)
{
	header(good)->xloadflags = 0;
	write_file(kernel_path, good, sizeof(good));
	tap_is(load_for(64, false), 0, "a kernel without a 64-bit entry loads");
	tap_is(regs.rip, 16 << 20, "RIP is its 32-bit entry");
	tap_ok(sregs.seg[THV_CS].attributes == 0xc09b && sregs.seg[THV_CS].selector == 0x10 &&
	       !sregs.seg[THV_CS].base && sregs.seg[THV_CS].limit == ~0u &&
	       sregs.seg[THV_SS].attributes == 0xc093, "flat segments: 32-bit code, data");
	tap_is(sregs.cr0 & 0x80000001, 1, "protected, not paged");
	tap_ok(!sregs.cr4 && !sregs.efer, "no mode that it has not chosen itself");
	tap_is(((u64 *)memory_at(&memory, sregs.gdt.base, 48))[2], 0x00cf9b000000ffff,
	       "the GDT says what the code segment holds");
	tap_is(params()->hdr.code32_start, 16 << 20, "boot_params are the same");
	unload();
	header(good)->xloadflags = XLF_KERNEL_64;
	write_file(kernel_path, good, sizeof(good));
}

/* Follow the page tables as the processor would, 2 MiB pages only */
static u64 walk(u64 address)
{
	u64 entry = sregs.cr3, index;
	int shift;

	for (shift = 39; shift >= 21; shift -= 9) {
		index = address >> shift & 511;
		entry = ((u64 *)memory_at(&memory, entry & ~0xfffULL, 4096))[index];
		if ((entry & 3) != 3)
			return ~0ULL;
	}
	return entry & 0x80 ? (entry & ~0x1fffffULL) + (address & 0x1fffff) : ~0ULL;
}

static void test_tables(void)
{
	const u64 *gdt;
	u64 address;

	load_for(64, false);
	for (address = 0; address < SIZE_4G; address += 0x1234567)
		tap_check(walk(address) == address, "%llx -> %llx", address, walk(address));
	tap_ok(tap_held(), "the first 4 GiB are mapped to themselves");
	tap_is(walk(SIZE_4G), ~0ULL, "and nothing more");
	gdt = memory_at(&memory, sregs.gdt.base, sregs.gdt.limit + 1);
	tap_ok(gdt[2] == 0x00af9b000000ffff && gdt[3] == 0x00cf93000000ffff,
	       "the GDT says what the segment registers hold");
	tap_is(gdt[4] >> 40 & 0x1f, 0x9, "its TSS is there to be loaded");
	unload();
}

static u64 ram_in_e820(void)
{
	u64 total = 0;
	int i;

	for (i = 0; i < params()->e820_entries; i++) {
		const struct boot_e820_entry *entry = &params()->e820_table[i];

		if (entry->type != 1)
			continue;
		total += entry->size;
		tap_check(memory_at(&memory, entry->addr, entry->size), "%llx", entry->addr);
		tap_check(entry->addr >= SIZE_4G || entry->addr + entry->size <= 0xc0000000, "hole");
	}
	return total;
}

static void test_e820(void)
{
	load_for(64, false);
	tap_is(ram_in_e820(), (64 << 20) - 0x60400, "RAM: all but EBDA, VGA and BIOS");
	unload();
	load_for(5 << 10, false);
	tap_is(ram_in_e820(), (5ULL << 30) - 0x60400, "with 5 GiB, too");
	tap_is(params()->e820_table[params()->e820_entries - 1].addr, SIZE_4G,
	       "what the hole leaves no room for is at 4 GiB");
	unload();
	tap_ok(tap_held(), "RAM it tells is memory, and not in the hole");
}

static void test_initrd(void)
{
	u8 bytes[10000];
	u64 address;

	memset(bytes, 0xa5, sizeof(bytes));
	write_file(initrd_path, bytes, sizeof(bytes));
	tap_is(load_for(64, true), 0, "an initrd loads, too");
	address = params()->hdr.ramdisk_image;
	tap_ok(params()->hdr.ramdisk_size == sizeof(bytes) &&
	       !memcmp(memory_at(&memory, address, sizeof(bytes)), bytes, sizeof(bytes)),
	       "boot_params tell where");
	tap_ok(address % 4096 == 0 && address >= 36 << 20, "on a page, out of the kernel's way");
	unload();
	header(good)->initrd_addr_max = (50 << 20) - 1;
	write_file(kernel_path, good, sizeof(good));
	tap_ok(!load_for(64, true) && params()->hdr.ramdisk_image + sizeof(bytes) <= 50 << 20,
	       "not above where the kernel wants it");
	unload();
	header(good)->initrd_addr_max = 0x7fffffff;
	write_file(kernel_path, good, sizeof(good));
}

static void test_placing(void)
{
	tap_ok(!load_for(24, false) && image.load_address == 2 << 20,
	       "if its preferred place is too high, it goes as low as it may");
	unload();
	header(good)->relocatable_kernel = 0;
	write_file(kernel_path, good, sizeof(good));
	tap_ok(open_for(24, false) && strstr(error_text(), "36 MiB"),
	       "unless it cannot be moved: %s", error_text());
	header(good)->relocatable_kernel = 1;
	write_file(kernel_path, good, sizeof(good));
}

/* ---- refusals ------------------------------------------------------------ */

static void test_small_guest(void)
{
	int fd = open(initrd_path, O_RDWR);

	tap_ok(open_for(16, false) && strstr(error_text(), "22 MiB") && strstr(error_text(), "--mem"),
	       "too little memory: %s", error_text());
	if (ftruncate(fd, 30 << 20))
		exit(2);
	tap_ok(open_for(64, true) && strstr(error_text(), "--mem"), "no room for the initrd: %s",
	       error_text());
	if (ftruncate(fd, 100ULL << 30))
		exit(2);
	tap_ok(open_for(64, true), "an initrd of 100 GiB: %s", error_text());
	if (ftruncate(fd, 0))
		exit(2);
	tap_ok(open_for(64, true) && strstr(error_text(), "empty"), "an empty one: %s", error_text());
	close(fd);
}

static void test_command_line(void)
{
	static char text[4096];

	memset(text, 'x', 2047);
	files = (struct boot_files){ .kernel = kernel_path, .command_line = text, .kind = KIND_LINUX };
	memory_plan(&memory, 64 << 20);
	tap_ok(!boot_open(&image, &files, &memory), "a command line as long as the kernel takes");
	boot_close(&image);
	text[2047] = 'x';
	tap_ok(boot_open(&image, &files, &memory) && strstr(error_text(), "2047"),
	       "one more is refused: %s", error_text());
}

static void test_no_file(void)
{
	static const char *const paths[] = { "/nonexistent", "/tmp", "/dev/null", "/dev/zero" };
	size_t i;

	memory_plan(&memory, 64 << 20);
	for (i = 0; i < ARRAY_SIZE(paths); i++) {
		files = (struct boot_files){ .kernel = paths[i], .kind = KIND_LINUX };
		tap_ok(boot_open(&image, &files, &memory), "refused: %s", error_text());
	}
}

static void test_truncated(void)
{
	u32 size;

	for (size = 0; size < FILE_SIZE; size += size < 0x300 ? 1 : 997) {
		write_file(kernel_path, good, size);
		tap_check(open_for(64, false), "%u bytes", size);
	}
	tap_ok(tap_held(), "of a kernel, any part is refused");
	tap_ok(strstr(error_text(), "truncated"), "by its name: %s", error_text());
	write_file(kernel_path, good, FILE_SIZE);
	open_for(64, false);
	if (truncate(kernel_path, FILE_SIZE - 5000))
		exit(2);
	memory_create(&memory, 64 << 20, "test", false);
	tap_ok(boot_load(&image, &memory, RSDP), "shrunk after it was checked: %s", error_text());
	unload();
}

static void set_zero_alignment(struct setup_header *hdr) { hdr->kernel_alignment = 0; }
static void set_odd_alignment(struct setup_header *hdr) { hdr->kernel_alignment = 0x300000; }
static void set_huge_alignment(struct setup_header *hdr) { hdr->kernel_alignment = 1u << 31; }
static void set_low_address(struct setup_header *hdr) { hdr->pref_address = 0; }
static void set_far_address(struct setup_header *hdr)
{
	hdr->pref_address = ~0ULL << 21;
	hdr->relocatable_kernel = 0;
}
static void set_odd_address(struct setup_header *hdr) { hdr->pref_address += 4096; }
static void set_zero_size(struct setup_header *hdr) { hdr->syssize = 0; }
static void set_huge_size(struct setup_header *hdr) { hdr->syssize = ~0u; }
static void set_small_init(struct setup_header *hdr) { hdr->init_size = 4096; }
static void set_huge_init(struct setup_header *hdr) { hdr->init_size = ~0u; }
static void set_payload_beyond(struct setup_header *hdr) { hdr->payload_offset = PAYLOAD; }
static void set_payload_wraps(struct setup_header *hdr) { hdr->payload_length = ~0u; }
static void set_old(struct setup_header *hdr) { hdr->version = 0x0209; }
static void set_low(struct setup_header *hdr) { hdr->loadflags = 0; }
static void set_other_magic(struct setup_header *hdr) { hdr->header++; }
static void set_short_header(struct setup_header *hdr) { hdr->jump = 0x10eb; }
static void set_many_sectors(struct setup_header *hdr) { hdr->setup_sects = 255; }
static void set_no_command_line(struct setup_header *hdr) { hdr->cmdline_size = 0; }

static void test_damaged(void)
{
	static const struct {
		const char *what;
		void (*damage)(struct setup_header *hdr);
	} cases[] = {
		{ "alignment 0", set_zero_alignment },
		{ "alignment 3 MiB", set_odd_alignment },
		{ "alignment 2 GiB", set_huge_alignment },
		{ "wants to be at 0", set_low_address },
		{ "wants to be at the end of all addresses", set_far_address },
		{ "wants to be in between", set_odd_address },
		{ "no code", set_zero_size },
		{ "64 GiB of code", set_huge_size },
		{ "unpacks into nothing", set_small_init },
		{ "unpacks into 4 GiB", set_huge_init },
		{ "compressed part after the end", set_payload_beyond },
		{ "compressed part wraps", set_payload_wraps },
		{ "protocol 2.9", set_old },
		{ "a zImage", set_low },
		{ "no magic", set_other_magic },
		{ "short header", set_short_header },
		{ "255 setup sectors", set_many_sectors },
		{ "takes no command line", set_no_command_line },
	};
	static u8 bad[FILE_SIZE];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		memcpy(bad, good, sizeof(bad));
		cases[i].damage(header(bad));
		write_file(kernel_path, bad, sizeof(bad));
		tap_ok(open_for(64, false), "%s: %s", cases[i].what, error_text());
	}
}

/* Whatever is accepted must be loadable, with all of it inside */
static void load_mutant(const u8 *bytes, size_t size)
{
	write_file(kernel_path, bytes, size);
	if (load_for(40, true)) {
		boot_close(&image);
		memory_destroy(&memory);
		return;
	}
	tap_check(image.load_address + image.init_size <= 40 << 20, "init");
	tap_check(image.piece[0].size <= image.init_size, "payload");
	tap_check(image.piece[1].address + image.piece[1].size <= 40 << 20, "initrd");
	tap_check(image.piece[1].address >= image.load_address + image.init_size, "overlap");
	unload();
}

static void test_mutants(void)
{
	static const u8 values[] = { 0x00, 0x01, 0x7f, 0x80, 0xff };
	static u8 mutant[FILE_SIZE];
	u32 at, i, byte;

	write_file(initrd_path, good, 5000);
	for (at = 0x1f1; at < 0x290; at++) {
		for (i = 0; i < ARRAY_SIZE(values); i++) {
			memcpy(mutant, good, sizeof(mutant));
			mutant[at] = values[i];
			load_mutant(mutant, sizeof(mutant));
		}
	}
	srandom(1);
	for (i = 0; i < 3000; i++) {
		memcpy(mutant, good, sizeof(mutant));
		for (byte = random() % 5; byte < 6; byte++)
			mutant[0x1f1 + random() % 0x80] = random();
		load_mutant(mutant, FILE_SIZE - random() % 2 * (random() % FILE_SIZE));
	}
	tap_ok(tap_held(), "3795 damaged headers: refused, or loaded inside the guest's memory");
	for (i = 0; i < sizeof(mutant); i++)
		mutant[i] = random();
	load_mutant(mutant, sizeof(mutant));
	tap_ok(open_for(64, false), "noise is no kernel: %s", error_text());
}

static void test_real(void)
{
	const char *path = getenv("THV_TEST_KERNEL");
	struct stat status;

	if (!path || stat(path, &status)) {
		tap_skip("no kernel: THV_TEST_KERNEL=FILE names one");
		return;
	}
	files = (struct boot_files){ .kernel = path, .command_line = "console=ttyS0" };
	memory_plan(&memory, 256 << 20);
	tap_ok(!boot_open(&image, &files, &memory), "%s is accepted", path);
	memory_create(&memory, 256 << 20, "test", false);
	tap_ok(!boot_load(&image, &memory, RSDP) && !boot_start(&image, -1), "and loads");
	tap_ok(!memcmp(&params()->hdr.header, "HdrS", 4) &&
	       params()->hdr.init_size == image.init_size, "its header is in boot_params");
	unload();
}

int main(void)
{
	int kernel = memfd_create("kernel", 0), initrd = memfd_create("initrd", 0);

	if (kernel < 0 || initrd < 0)
		return 2;
	snprintf(kernel_path, sizeof(kernel_path), "/proc/self/fd/%d", kernel);
	snprintf(initrd_path, sizeof(initrd_path), "/proc/self/fd/%d", initrd);
	make_kernel();
	test_entry();
	test_narrow();
	test_tables();
	test_e820();
	test_initrd();
	test_placing();
	test_small_guest();
	test_command_line();
	test_no_file();
	test_truncated();
	test_damaged();
	test_mutants();
	test_real();
	close(kernel);
	close(initrd);
	return tap_done();
}
