// SPDX-License-Identifier: GPL-2.0-only
// sources: userspace/boot/bzimage.c userspace/boot/loader.c userspace/boot/modes.c userspace/boot/elf.c userspace/boot/pvh.c userspace/boot/multiboot.c userspace/boot/flat.c userspace/boot/bios.c userspace/boot/fwitems.c userspace/boot/acpi.c userspace/lib/options.c userspace/vmm/memory.c userspace/lib/error.c
/*
 * The loaders besides bzImage's (test_loader.c): which one a file gets, what a kernel finds when it
 * starts, and what is refused. THV_TEST_VMLINUX=FILE adds a real ELF kernel.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "boot/boot.h"
#include "kernels.h"
#include "lib/device.h"
#include "lib/error.h"
#include "tap.h"

#define RSDP	0xe0000
#define MIB	(1ULL << 20)

static char kernel_path[64], module_path[64];
static u8 file[KERNEL_BYTES];
static struct thv_regs regs;
static struct thv_sregs sregs;

/* ---- the module --------------------------------------------------------- */

int vm_set_memory(int vm, const struct thv_memory *slot)
{
	return 0;
}

/* As after a reset (SDM table 10-1), as far as a loader may leave it */
int vcpu_get(int vcpu, enum thv_state_id component, void *data, u32 size)
{
	memset(data, 0, size);
	((struct thv_sregs *)data)->cr0 = 0x60000010;
	((struct thv_sregs *)data)->seg[THV_CS].base = 0xffff0000;
	return 0;
}

int vcpu_set(int vcpu, enum thv_state_id component, const void *data, u32 size)
{
	memcpy(component == THV_STATE_REGS ? (void *)&regs : (void *)&sregs, data, size);
	return 0;
}

/* ---- a guest ------------------------------------------------------------ */

static struct memory memory;
static struct boot_image image;
static struct boot_files files;
static const char *module_texts[40];

static void write_file(const char *path, const void *bytes, size_t size)
{
	int fd = open(path, O_WRONLY | O_TRUNC);

	if (fd < 0 || write(fd, bytes, size) != (ssize_t)size)
		exit(2);
	close(fd);
}

static void begin(const char *text)
{
	files = (struct boot_files){
		.kernel = kernel_path, .command_line = text, .modules.text = module_texts,
	};
	memory_plan(&memory, 64 * MIB);
}

static int open_bytes(size_t size)
{
	write_file(kernel_path, file, size);
	return boot_open(&image, &files, &memory);
}

static int load_bytes(size_t size)
{
	if (open_bytes(size) || memory_create(&memory, 64 * MIB, "test", false))
		return -1;
	return boot_load(&image, &memory, RSDP) || boot_start(&image, -1);
}

static void unload(void)
{
	boot_close(&image);
	memory_destroy(&memory);
}

static const void *at(u64 gpa, u64 size)
{
	const void *host = memory_at(&memory, gpa, size);

	if (!host)
		exit(3);
	return host;
}

static bool text_at(u64 gpa, const char *text)
{
	return !strcmp(at(gpa, strlen(text) + 1), text);
}

static bool refused(const char *word)
{
	if (open_bytes(sizeof(file)) && strstr(error_text(), word))
		return true;
	boot_close(&image);
	return false;
}

static bool zeros(u64 gpa, u64 size)
{
	const u8 *bytes = at(gpa, size);

	while (size--)
		if (*bytes++)
			return false;
	return true;
}

static void flat_32_bit(const char *who)
{
	tap_ok(sregs.seg[THV_CS].attributes == 0xc09b && !sregs.seg[THV_CS].base &&
	       sregs.seg[THV_CS].limit == ~0u && sregs.seg[THV_DS].attributes == 0xc093 &&
	       sregs.seg[THV_SS].limit == ~0u, "%s: flat 32-bit segments", who);
	tap_ok((sregs.cr0 & 0x80000001) == 1 && !sregs.cr4 && !sregs.efer && regs.rflags == 2,
	       "%s: protected, not paged, interrupts off", who);
}

/* ---- which loader ------------------------------------------------------- */

static bool is(void (*make)(u8 *file), size_t size, const struct boot_loader *loader)
{
	bool right;

	make(file);
	right = !open_bytes(size) && image.loader == loader;
	boot_close(&image);
	return right;
}

static void make_both(u8 *to)
{
	make_elf32(to);
	put_multiboot(to, HEADER_OFFSET, 0);
}

static void test_detection(void)
{
	u32 i;

	begin(NULL);
	tap_ok(is(make_plain, sizeof(file), &boot_multiboot), "a multiboot header is found");
	tap_ok(is(make_elf64, sizeof(file), &boot_pvh), "so is a PVH note in a 64-bit ELF file");
	tap_ok(is(make_elf32, sizeof(file), &boot_pvh), "... and in a 32-bit one");
	tap_ok(is(make_both, sizeof(file), &boot_multiboot), "multiboot goes before PVH");
	tap_ok(is(make_sector, 512, &boot_flat), "a boot sector is a flat image");
	tap_ok(!is(make_sector, 513, &boot_flat), "what is longer must be called one: %s", error_text());
	files.kind = 4;
	tap_ok(is(make_sector, 513, &boot_flat), "... and then it is");
	for (i = 0; i < 4; i++) {
		static const struct boot_loader *const order[] = {
			&boot_linux, &boot_multiboot, &boot_pvh, &boot_flat
		};

		tap_check(!strcmp(boot_kinds[i + 1], order[i]->name), "%s", order[i]->name);
	}
	tap_ok(tap_held(), "names of kinds are in the table's order");
}

static void test_options(void)
{
	begin(NULL);
	make_sector(file);
	files.command_line = "x";
	tap_ok(open_bytes(512) && strstr(error_text(), "--append"), "%s", error_text());
	begin(NULL);
	files.initrd = module_path;
	tap_ok(open_bytes(512) && strstr(error_text(), "--initrd"), "%s", error_text());
	make_plain(file);
	tap_ok(refused("--initrd"), "%s", error_text());
	files.initrd = NULL;
	files.address = 0x8000;
	tap_ok(refused("--load-address"), "%s", error_text());
	files.kernel = NULL;
	tap_ok(boot_open(&image, &files, &memory), "%s", error_text());
}

/* ---- multiboot ---------------------------------------------------------- */

struct information {
	u32 flags, lower, upper, device, command_line, modules, module_list, symbols[4], map_bytes,
	    map, drives[2], config, name, apm;
};

struct region {
	u32 size;
	u64 start, length;
	u32 type;
} __attribute__((packed));

static u64 ram_in_map(const struct information *info)
{
	const struct region *region = at(info->map, info->map_bytes);
	const struct region *end = (void *)region + info->map_bytes;
	u64 total = 0;

	for (; region < end; region = (void *)region + region->size + 4)
		total += region->type == 1 ? region->length : 0;
	return total;
}

static void test_multiboot(void)
{
	static char with_words[128];
	static const char bytes[] = "the module's bytes";
	const struct information *info;
	const u32 *module;

	begin("debug=1 x");
	make_plain(file);
	write_file(module_path, bytes, sizeof(bytes));
	snprintf(with_words, sizeof(with_words), "%s with words", module_path);
	module_texts[0] = module_path;
	module_texts[1] = with_words;
	files.modules.count = 2;
	tap_is(load_bytes(sizeof(file)), 0, "a multiboot kernel with two modules loads");
	tap_is(regs.rip, KERNEL_AT + KERNEL_ENTRY, "EIP is its entry");
	tap_is(regs.gpr[THV_RAX], 0x2badb002, "EAX is the loader's magic");
	flat_32_bit("multiboot");
	tap_ok(!memcmp(at(KERNEL_AT, sizeof(file)), file, sizeof(file)), "its bytes are there");
	tap_ok(zeros(KERNEL_AT + sizeof(file), sizeof(file)), "and its BSS is zeros");
	info = at(regs.gpr[THV_RBX], sizeof(*info));
	tap_is(info->flags, 0x24d, "memory, command line, modules, map and name are told");
	tap_ok(info->lower == 639 && info->upper == 63 * 1024, "memory below and above 1 MiB");
	tap_ok(text_at(info->command_line + strlen(kernel_path), " debug=1 x") &&
	       !memcmp(at(info->command_line, 64), kernel_path, strlen(kernel_path)),
	       "the command line is the kernel's name and --append");
	tap_ok(text_at(info->name, "thv"), "the loader's name");
	tap_is(ram_in_map(info), 64 * MIB - 0x60400, "RAM in the map: all but EBDA, VGA and BIOS");
	module = at(info->module_list, 32);
	tap_ok(info->modules == 2 && module[0] % 4096 == 0 && module[4] % 4096 == 0 &&
	       module[0] >= KERNEL_AT + 2 * sizeof(file) && module[4] >= module[1],
	       "modules lie on pages, after the kernel, one after the other");
	tap_ok(module[1] - module[0] == sizeof(bytes) && text_at(module[0], bytes) &&
	       text_at(module[4], bytes), "each as long as its file, with its bytes");
	tap_ok(text_at(module[2], module_texts[0]) && text_at(module[6], module_texts[1]),
	       "with the text that was given");
	unload();
	files.modules.count = 0;
}

static void test_multiboot_elf(void)
{
	begin(NULL);
	make_both(file);
	files.kind = 2;
	tap_is(load_bytes(sizeof(file)), 0, "an ELF file with a multiboot header loads");
	tap_is(regs.rip, KERNEL_AT + KERNEL_ENTRY, "its entry is taken to be physical");
	tap_ok(!memcmp(at(KERNEL_AT, 8192), file + SEGMENT_OFFSET, 8192) &&
	       zeros(KERNEL_AT + 8192, KERNEL_BSS), "segments go to physical addresses; BSS is zeros");
	unload();
}

static void test_multiboot_edges(void)
{
	struct multiboot_header *header = (void *)(file + 256);

	begin(NULL);
	make_plain(file);
	header->load_end = KERNEL_AT + 5000;
	header->bss_end = 0;
	tap_ok(!open_bytes(sizeof(file)) && image.piece[0].size == 5000 && image.piece[0].room == 5000,
	       "load_end is believed, and no BSS is none");
	boot_close(&image);
	make_plain(file);
	header->header = KERNEL_AT;
	tap_ok(!open_bytes(sizeof(file)) && image.piece[0].offset == 256,
	       "what is before the load address in the file stays there");
	boot_close(&image);
	make_plain(file);
	header->checksum++;
	tap_ok(refused("no kind"), "a wrong checksum is no header: %s", error_text());
	make_plain(file);
	memmove(file + 8192 - 32, file + 256, 32);
	memset(file + 256, 0, 32);
	((struct multiboot_header *)(file + 8192 - 32))->header = KERNEL_AT + 8192 - 32;
	tap_ok(!open_bytes(sizeof(file)), "the last place for a header is the end of 8 KiB");
	boot_close(&image);
	fill(file);
	put_multiboot(file, 8192 - 8, 0);
	tap_ok(refused("no kind"), "after it there is none");
}

static void test_multiboot_refusals(void)
{
	static const struct {
		const char *what;
		u32 offset, value;	/* of the header's field */
	} cases[] = {
		{ "loaded before it begins", 12, KERNEL_AT - 4 },
		{ "further before the header than the file is", 12, KERNEL_AT + 260 },
		{ "loaded over the interrupt vectors", 16, 0 },
		{ "loaded into the BIOS", 16, 0xf0000 },
		{ "loaded beyond memory", 16, 64 << 20 },
		{ "ends before it begins", 20, KERNEL_AT - 1 },
		{ "ends after the file", 20, KERNEL_AT + KERNEL_BYTES + 1 },
		{ "BSS ends before the data", 24, KERNEL_AT + KERNEL_BYTES - 1 },
		{ "BSS ends beyond memory", 24, 0xfffffffc },
		{ "enters before itself", 28, KERNEL_AT - 1 },
		{ "enters after itself", 28, KERNEL_AT + 2 * KERNEL_BYTES },
	};
	size_t i;

	begin(NULL);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		make_plain(file);
		if (cases[i].offset == 16)
			*(u32 *)(file + 256 + 12) = cases[i].value + 256;
		memcpy(file + 256 + cases[i].offset, &cases[i].value, 4);
		tap_ok(refused(kernel_path), "%s: %s", cases[i].what, error_text());
	}
	make_plain(file);
	put_multiboot(file, 256, 1U << 5);
	tap_ok(refused("demands"), "%s", error_text());
}

/* ---- PVH ---------------------------------------------------------------- */

struct start_info {
	u32 magic, version, flags, modules;
	u64 module_list, command_line, rsdp, map;
	u32 regions, reserved;
};

static void test_pvh(void)
{
	static const char bytes[] = "an initrd";
	const struct start_info *info;
	const u64 *module, *region;

	begin("console=ttyS0");
	write_file(module_path, bytes, sizeof(bytes));
	files.initrd = module_path;
	make_elf64(file);
	tap_is(load_bytes(sizeof(file)), 0, "a PVH kernel with an initrd loads");
	tap_is(regs.rip, KERNEL_AT + KERNEL_PVH, "EIP is the note's entry, not the file's");
	flat_32_bit("PVH");
	info = at(regs.gpr[THV_RBX], sizeof(*info));
	tap_ok(info->magic == 0x336ec578 && info->version == 1 && !info->flags, "EBX points to hvm_start_info");
	tap_is(info->rsdp, RSDP, "it knows the RSDP");
	tap_ok(text_at(info->command_line, "console=ttyS0"), "and the command line");
	module = at(info->module_list, 32);
	tap_ok(info->modules == 1 && module[1] == sizeof(bytes) && text_at(module[0], bytes),
	       "the initrd is its first module");
	region = at(info->map, info->regions * 24);
	tap_ok(info->regions == 4 && region[0] == 0 && region[1] == BOOT_RAM_END &&
	       (u32)region[2] == 1 && (u32)region[5] == 2, "the memory map");
	unload();
	files.initrd = NULL;
	make_elf32(file);
	tap_ok(!load_bytes(sizeof(file)) && regs.rip == KERNEL_AT + KERNEL_PVH, "a 32-bit file likewise");
	unload();
}

static Elf64_Ehdr *elf(void) { return (void *)file; }
static Elf64_Phdr *segment(void) { return (void *)(file + sizeof(Elf64_Ehdr)); }

static void other_machine(void) { elf()->e_machine = EM_ARM; }
static void other_class(void) { file[EI_CLASS] = 3; }
static void big_endian(void) { file[EI_DATA] = ELFDATA2MSB; }
static void object(void) { elf()->e_type = ET_REL; }
static void many_segments(void) { elf()->e_phnum = 65535; }
static void short_headers(void) { elf()->e_phentsize = 32; }
static void headers_beyond(void) { elf()->e_phoff = KERNEL_BYTES - 8; }
static void headers_wrap(void) { elf()->e_phoff = ~0ULL - 8; }
static void nothing_loaded(void) { segment()->p_type = PT_NULL; }
static void bytes_beyond(void) { segment()->p_filesz = segment()->p_memsz = KERNEL_BYTES; }
static void offset_wraps(void) { segment()->p_offset = ~0ULL - 4096; }
static void more_than_room(void) { segment()->p_memsz = segment()->p_filesz - 1; }
static void address_wraps(void) { segment()->p_paddr = ~0ULL - 4096; }
static void huge(void) { segment()->p_memsz = ~0ULL; }
static void over_vectors(void) { segment()->p_paddr = 0; }
static void in_the_hole(void) { segment()->p_paddr = 0xfee00000; }
static void above_4g(void) { segment()->p_paddr = SIZE_4G; }
static void twice(void) { segment()[1] = segment()[0]; elf()->e_phnum = 2; }
static void entry_elsewhere(void) { *(u32 *)(file + NOTE_OFFSET + 36) = 0x5000; }
static void no_note(void) { segment()[1].p_filesz = 20; }
static void note_beyond(void) { segment()[1].p_offset = KERNEL_BYTES - 10; }
static void note_wraps(void) { *(u32 *)(file + NOTE_OFFSET) = ~0U; }
static void note_too_long(void) { *(u32 *)(file + NOTE_OFFSET + 24) = ~0U; }
static void note_of_3_bytes(void) { *(u32 *)(file + NOTE_OFFSET + 24) = 3; }
static void huge_notes(void) { segment()[1].p_filesz = 1 << 20; }

static void test_elf_refusals(void)
{
	static const struct {
		const char *what;
		void (*damage)(void);
	} cases[] = {
		{ "for ARM", other_machine }, { "of class 3", other_class }, { "big-endian", big_endian },
		{ "an object file", object }, { "65535 segments", many_segments },
		{ "short program headers", short_headers }, { "program headers beyond the end", headers_beyond },
		{ "program headers that wrap", headers_wrap }, { "nothing to load", nothing_loaded },
		{ "bytes beyond the end", bytes_beyond }, { "an offset that wraps", offset_wraps },
		{ "more bytes than room", more_than_room }, { "an address that wraps", address_wraps },
		{ "16 EiB", huge }, { "over the interrupt vectors", over_vectors },
		{ "where the APIC is", in_the_hole }, { "above 4 GiB", above_4g },
		{ "two segments in one place", twice }, { "an entry outside", entry_elsewhere },
		{ "no note", no_note }, { "notes beyond the end", note_beyond }, { "a name that wraps", note_wraps },
		{ "contents that wrap", note_too_long }, { "3 bytes of contents", note_of_3_bytes },
		{ "a MiB of notes", huge_notes },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		begin(NULL);
		files.kind = 3;
		make_elf64(file);
		cases[i].damage();
		tap_ok(refused(kernel_path), "%s: %s", cases[i].what, error_text());
	}
}

/* ---- modules, memory ---------------------------------------------------- */

static void test_modules(void)
{
	u32 i;

	begin(NULL);
	make_plain(file);
	for (i = 0; i < ARRAY_SIZE(module_texts); i++)
		module_texts[i] = module_path;
	files.modules.count = BOOT_MODULES;
	tap_ok(!open_bytes(sizeof(file)), "%d modules are possible", BOOT_MODULES);
	boot_close(&image);
	files.modules.count++;
	tap_ok(refused("--module"), "one more is not: %s", error_text());
	files.modules.count = 1;
	module_texts[0] = "/nonexistent text";
	tap_ok(refused("/nonexistent:"), "%s", error_text());
	module_texts[0] = module_path;
	if (truncate(module_path, 70 << 20))
		exit(2);
	tap_ok(refused("--mem"), "%s", error_text());
	if (truncate(module_path, 0))
		exit(2);
	tap_ok(refused("empty"), "%s", error_text());
}

/* A kernel that takes all of the low memory leaves no room for what it is told */
static void test_no_room(void)
{
	begin(NULL);
	files.kind = 3;
	make_elf64(file);
	elf()->e_phnum = 3;
	segment()[2] = (Elf64_Phdr){ PT_LOAD, 7, 0, 0x500, 0x500, 0, BOOT_RAM_END - 0x500, 1 };
	tap_ok(refused("640 KiB"), "%s", error_text());
	segment()[2].p_memsz = 0x8000;
	tap_ok(!open_bytes(sizeof(file)) && image.info >= 0x8500,
	       "one that takes some of it is told after it");
	boot_close(&image);
}

/* ---- flat --------------------------------------------------------------- */

static void test_flat(void)
{
	const u32 *vectors;

	begin(NULL);
	make_sector(file);
	tap_is(load_bytes(512), 0, "a boot sector loads");
	tap_ok(!memcmp(at(0x7c00, 512), file, 512), "to 0x7c00");
	tap_ok(!sregs.seg[THV_CS].base && !sregs.seg[THV_CS].selector && regs.rip == 0x7c00,
	       "and starts there, with CS 0");
	tap_ok(!(sregs.cr0 & 1), "in real mode");
	vectors = at(0, 1024);
	tap_is(*(u8 *)at((vectors[0x13] >> 16 << 4) + (vectors[0x13] & 0xffff), 1), 0xcf,
	       "a BIOS call finds an IRET");
	unload();
	files.address = 0x12340;
	tap_ok(!load_bytes(512) && sregs.seg[THV_CS].base == 0x12340 &&
	       sregs.seg[THV_CS].selector == 0x1234 && !regs.rip, "elsewhere: CS says where");
	unload();
	files.address = 0x12341;
	tap_ok(open_bytes(512), "%s", error_text());
	files.address = 0x9fb00;
	tap_ok(open_bytes(512), "%s", error_text());
	files.address = 0x100;
	tap_ok(open_bytes(512), "%s", error_text());
	tap_ok(boot_flat.real_mode && !boot_pvh.real_mode, "it wants a processor that has real mode for guests");
}

static void test_real(void)
{
	const char *path = getenv("THV_TEST_VMLINUX");

	if (!path || access(path, R_OK)) {
		tap_skip("no ELF kernel: THV_TEST_VMLINUX=FILE names one");
		return;
	}
	files = (struct boot_files){ .kernel = path };
	memory_plan(&memory, 256 * MIB);
	tap_ok(!boot_open(&image, &files, &memory) && image.loader == &boot_pvh, "%s is one for PVH", path);
	memory_create(&memory, 256 * MIB, "test", false);
	tap_ok(!boot_load(&image, &memory, RSDP) && !boot_start(&image, -1), "and loads, to be entered at %#llx",
	       regs.rip);
	unload();
}

int main(void)
{
	int kernel = memfd_create("kernel", 0), module = memfd_create("module", 0);

	if (kernel < 0 || module < 0)
		return 2;
	snprintf(kernel_path, sizeof(kernel_path), "/proc/self/fd/%d", kernel);
	snprintf(module_path, sizeof(module_path), "/proc/self/fd/%d", module);
	write_file(module_path, "x", 1);
	test_detection();
	test_options();
	test_multiboot();
	test_multiboot_elf();
	test_multiboot_edges();
	test_multiboot_refusals();
	test_pvh();
	test_elf_refusals();
	test_modules();
	test_no_room();
	test_flat();
	test_real();
	return tap_done();
}
