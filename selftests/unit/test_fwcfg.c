// SPDX-License-Identifier: GPL-2.0-only
// sources: userspace/device/fwcfg.c userspace/boot/bios.c userspace/boot/fwitems.c userspace/boot/acpi.c userspace/boot/bzimage.c userspace/boot/loader.c userspace/boot/modes.c userspace/boot/elf.c userspace/boot/pvh.c userspace/boot/multiboot.c userspace/boot/flat.c userspace/lib/options.c userspace/vmm/memory.c userspace/vmm/state.c userspace/vmm/bus.c userspace/lib/error.c
/*
 * fw_cfg as firmware uses it, through its ports and by DMA, with what a firmware boot puts into it:
 * files, the tables and the script that says where they go; and what a guest can ask for wrongly.
 */
#include <endian.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "boot/boot.h"
#include "device/fwcfg.h"
#include "kernels.h"
#include "lib/device.h"
#include "lib/error.h"
#include "tap.h"
#include "vmm/machine.h"
#include "vmm/state.h"

#define ROM	(256 << 10)
#define AT	0x10000			/* where requests are in the guest's memory */
#define TO	0x20000

/* ---- the machine around it ------------------------------------------------------ */

static struct machine machine;
static struct machine_config config = { .memory = 64 << 20 };
static void (*finish_device)(void *opaque);
static void *device;
static struct thv_memory slots[4];

int machine_at_end(struct machine *of, void (*finish)(void *opaque), void *opaque)
{
	finish_device = finish;
	device = opaque;
	return 0;
}

int vm_set_memory(int vm, const struct thv_memory *slot)
{
	slots[slot->slot] = *slot;
	return 0;
}

int vcpu_get(int vcpu, enum thv_state_id component, void *data, u32 size)
{
	return 0;
}

int vcpu_set(int vcpu, enum thv_state_id component, const void *data, u32 size)
{
	return 0;
}

/* A table of AML that is none, but has a header */
const u8 acpi_dsdt[36] = { 'D', 'S', 'D', 'T', 36 }, acpi_com2[36] = { 'S', 'S', 'D', 'T', 36 };
const u8 acpi_legacy[36] = { 'D', 'S', 'D', 'T', 36 };

extern const struct device *const __start_thv_devices[];

static struct boot_image image;
static struct boot_files files;
static char rom_path[64], kernel_path[64];
static u8 rom[ROM], kernel[KERNEL_BYTES];

static void write_file(const char *path, const void *bytes, size_t size)
{
	int fd = open(path, O_WRONLY | O_TRUNC);

	if (fd < 0 || write(fd, bytes, size) != (ssize_t)size)
		exit(2);
	close(fd);
}

static void begin(void)
{
	files = (struct boot_files){
		.firmware = rom_path,
		.acpi = { .cpus = 3, .dsdt = acpi_legacy, .ssdt = acpi_com2, .legacy = true },
	};
	memory_plan(&machine.memory, config.memory);
}

static int open_image(void)
{
	return boot_open(&image, &files, &machine.memory);
}

static void start(void)
{
	if (open_image()) {
		printf("# %s\n", error_text());
		exit(2);
	}
	config.fwcfg = boot_fwcfg(&image);
	machine.config = &config;
	if (memory_create(&machine.memory, config.memory, "test", false) ||
	    bus_create(&machine.bus, false) || boot_load(&image, &machine.memory, 0) ||
	    (*__start_thv_devices)->create(&machine)) {
		printf("# %s\n", error_text());
		exit(2);
	}
}

static void stop(void)
{
	finish_device(device);
	state_remove_all(&machine);
	bus_destroy(&machine.bus);
	memory_destroy(&machine.memory);
	boot_close(&image);
}

/* ---- a driver ------------------------------------------------------------------- */

static void select_item(u16 key)
{
	bus_port(&machine.bus, 0x510, &key, 2, true);
}

static u64 read_number(u32 bytes)
{
	u64 number = 0;
	u32 i;

	for (i = 0; i < bytes; i++)
		bus_port(&machine.bus, 0x511, (u8 *)&number + i, 1, false);
	return number;
}

static void *guest(u64 gpa)
{
	return memory_at(&machine.memory, gpa, 1);
}

/* What the control word is afterwards */
static u32 dma(u32 control, u32 length, u64 address, u64 request)
{
	struct {
		u32 control, length;
		u64 address;
	} *place = memory_at(&machine.memory, request, 16);
	u32 half;

	if (place) {
		place->control = htobe32(control);
		place->length = htobe32(length);
		place->address = htobe64(address);
	}
	half = htobe32(request >> 32);
	bus_port(&machine.bus, 0x514, &half, 4, true);
	half = htobe32(request);
	bus_port(&machine.bus, 0x518, &half, 4, true);
	return place ? be32toh(place->control) : ~0u;
}

struct file {
	u32 size;
	u16 key, reserved;
	char name[56];
};

/* As firmware looks for one: through the directory */
static u16 find(const char *name, u32 *size)
{
	const struct file *file = guest(TO);
	u32 count;

	select_item(0x19);
	count = be32toh(read_number(4));
	dma(2, count * sizeof(*file), TO, AT);
	for (; count--; file++)
		if (!strcmp(file->name, name)) {
			*size = be32toh(file->size);
			return be16toh(file->key);
		}
	return 0;
}

static u32 load_file(const char *name, u64 to)
{
	u32 size = 0;
	u16 key = find(name, &size);

	if (!key || dma(key << 16 | 8 | 2, size, to, AT))
		return 0;
	return size;
}

/* ---- tests ------------------------------------------------------------------------ */

static void test_ports(void)
{
	u32 size;

	start();
	select_item(0);
	tap_is(read_number(4), 0x554d4551, "its signature is QEMU");
	select_item(1);
	tap_is(read_number(4), 3, "it has ports and DMA");
	select_item(5);
	tap_is(read_number(2), 3, "it knows the number of CPUs");
	tap_is(read_number(8), 0, "after an item's end there are zeros");
	select_item(3);
	tap_is(read_number(8), 64 << 20, "and the memory");
	tap_ok(find("etc/e820", &size) >= 0x20 && size == 20, "its directory has a map");
	select_item(find("etc/e820", &size));
	tap_ok(read_number(8) == 0 && read_number(8) == 64 << 20 && read_number(4) == 1, "... of all the memory");
	select_item(find("etc/sercon-port", &size));
	tap_is(read_number(8), 0x3f8, "firmware's console is the serial port");
	select_item(0x3abc);
	tap_is(read_number(4), 0, "what is not there is empty");
	select_item(0x8000);
	tap_is(read_number(4), 0, "numbers of the architecture's own are not the others");
	select_item(0x4000);
	tap_is(read_number(4), 0x554d4551, "but one for writing is read as if it were not");
	stop();
}

static void test_dma(void)
{
	u64 signature = 0;

	start();
	bus_port(&machine.bus, 0x514, &signature, 4, false);
	bus_port(&machine.bus, 0x518, (u8 *)&signature + 4, 4, false);
	tap_is(be64toh(signature), 0x51454d5520434647ull, "DMA has a signature of its own");
	tap_ok(!dma(0 << 16 | 8 | 2, 4, TO, AT) && !memcmp(guest(TO), "QEMU", 4), "a request selects and reads");
	memset(guest(TO), 0xff, 16);
	tap_ok(!dma(2, 8, TO, AT) && !*(u64 *)guest(TO) && *(u8 *)guest(TO + 8) == 0xff,
	       "after the end: zeros, and no more than was asked for");
	tap_ok(!dma(5 << 16 | 8, 0, 0, AT) && read_number(2) == 3, "one that only selects");
	dma(5 << 16 | 8, 0, 0, AT);
	tap_ok(!dma(4, 1, 0, AT) && read_number(1) == 0, "one that skips");
	tap_is(dma(0x10, 4, TO, AT), 1, "nothing can be written");
	tap_is(dma(8 | 2, 4, 64 << 20, AT), 1, "nothing outside of memory is read to");
	tap_is(dma(8 | 2, 4, ~0ull - 2, AT), 1, "... nor where addresses wrap");
	tap_is(dma(8 | 2, 0xffffffff, TO, AT), 1, "... nor more than there is");
	tap_is(dma(8 | 2, 4, TO, 0xfee00000), ~0u, "a request that is not in memory is none");
	tap_is(dma(8 | 2, 4, TO, (64 << 20) - 8), ~0u, "nor one that is half in it");
	stop();
}

static u8 sum(const u8 *bytes, u32 length)
{
	u8 total = 0;

	while (length--)
		total += *bytes++;
	return total;
}

#define TABLES	0x300000
#define RSDP	0xf5000

/* A firmware's linker: returns how many commands it has not understood */
static u32 run_script(const u8 *script, u32 size)
{
	u32 offset, start, length, bad = 0;
	u64 pointer;
	u8 *file;

	for (; size >= 128; size -= 128, script += 128) {
		file = guest(!strcmp((char *)script + 4, "etc/acpi/rsdp") ? RSDP : TABLES);
		memcpy(&offset, script + (script[0] == 2 ? 4 + 112 : 4 + 56), 4);
		memcpy(&start, script + 4 + 60, 4);
		memcpy(&length, script + 4 + 64, 4);
		if (script[0] == 2) {
			pointer = 0;
			memcpy(&pointer, file + offset, script[4 + 116]);
			pointer += TABLES;
			memcpy(file + offset, &pointer, script[4 + 116]);
		} else if (script[0] == 3) {
			file[offset] -= sum(file + start, length);
		} else if (script[0] != 1) {
			bad++;
		}
	}
	return bad;
}

static void test_tables(void)
{
	const u8 *rsdp, *xsdt, *rsdt;
	u32 size, i, count;
	u64 table;

	start();
	tap_ok(load_file("etc/acpi/tables", TABLES) > 300 && load_file("etc/acpi/rsdp", RSDP) == 36,
	       "tables and RSDP are files");
	size = load_file("etc/table-loader", 0x400000);
	tap_ok(size && size % 128 == 0 && !run_script(guest(0x400000), size), "so is the script that puts them in place");
	rsdp = guest(RSDP);
	tap_ok(!memcmp(rsdp, "RSD PTR ", 8) && !sum(rsdp, 20) && !sum(rsdp, 36), "it leaves an RSDP that adds up");
	memcpy(&table, rsdp + 24, 8);
	xsdt = guest(table);
	rsdt = guest(*(u32 *)(rsdp + 16));
	tap_ok(xsdt && !memcmp(xsdt, "XSDT", 4) && !memcmp(rsdt, "RSDT", 4), "which points to both lists");
	count = (*(u32 *)(xsdt + 4) - 36) / 8;
	for (i = 0; i < count; i++) {
		memcpy(&table, xsdt + 36 + 8 * i, 8);
		tap_check(guest(table) && table >= TABLES && !sum(guest(table), *(u32 *)guest(table + 4)), "table %u", i);
		tap_check(*(u32 *)(rsdt + 36 + 4 * i) == table, "table %u of the RSDT", i);
	}
	tap_ok(tap_held() && count == 3, "of %u tables, each of which adds up", count);
	stop();
}

static void test_image(void)
{
	start();
	tap_ok(!memcmp(guest(0x100000 - ROM), rom, ROM), "the firmware is below 1 MiB, where it may write");
	machine.memory.rom = image.rom;
	machine.memory.rom_size = image.rom_size;
	memory_give(&machine.memory, -1);
	tap_ok(slots[2].gpa + slots[2].size == SIZE_4G && slots[2].size == ROM &&
	       slots[2].flags == THV_MEMORY_READONLY && !memcmp((void *)slots[2].hva, rom, ROM),
	       "and below 4 GiB, where it may not");
	tap_ok(!memcmp(memory_look(&machine.memory, 0xfffffff0, 16), rom + ROM - 16, 16) &&
	       !memory_look(&machine.memory, SIZE_4G - ROM - 1, 1) && !memory_look(&machine.memory, 0xfffffff0, 17) &&
	       !memory_at(&machine.memory, 0xfffffff0, 16), "it can be looked at there, and is not memory");
	tap_ok(boot_firmware.real_mode && !boot_firmware.start(&image, -1), "the processor starts as after a reset");
	stop();
}

static bool refused(const char *word)
{
	bool right = open_image() && strstr(error_text(), word);

	boot_close(&image);
	return right;
}

static void test_refusals(void)
{
	begin();
	write_file(rom_path, rom, ROM - 1);
	tap_ok(refused("64 KiB"), "%s", error_text());
	if (truncate(rom_path, 32 << 20))
		exit(2);
	tap_ok(refused("16 MiB"), "%s", error_text());
	if (truncate(rom_path, 0) || truncate(rom_path, ROM))
		exit(2);
	tap_ok(refused("no code"), "%s", error_text());
	write_file(rom_path, rom, ROM);
	files.firmware = "/nonexistent";
	tap_ok(refused("/nonexistent"), "%s", error_text());
	begin();
	files.kind = 1;
	tap_ok(refused("--boot linux"), "%s", error_text());
	files.kind = 5;
	files.firmware = NULL;
	tap_ok(refused("--firmware"), "%s", error_text());
}

static const char *told(const char *text)
{
	static const char *texts[1];

	texts[0] = text;
	begin();
	files.fwcfg = (struct option_list){ 1, texts };
	return error_text();
}

static void test_told(void)
{
	char text[128];
	u32 size;

	told("name=opt/mine,string=some words");
	start();
	select_item(find("opt/mine", &size));
	tap_ok(size == 10 && read_number(4) == 0x656d6f73, "a text can be told");
	stop();
	snprintf(text, sizeof(text), "name=opt/file,file=%s", kernel_path);
	told(text);
	start();
	tap_ok(load_file("opt/file", TO) == KERNEL_BYTES && !memcmp(guest(TO), kernel, KERNEL_BYTES), "and a file");
	stop();
	told("name=x");
	tap_ok(refused("--fw-cfg"), "%s", error_text());
	told("string=x");
	tap_ok(refused("--fw-cfg"), "%s", error_text());
	told("name=x,string=y,file=z");
	tap_ok(refused("--fw-cfg"), "%s", error_text());
	told("name=etc/e820,string=x");
	tap_ok(refused("two of"), "%s", error_text());
	told("name=a-name-that-is-longer-than-what-the-directory-has-room-for,string=x");
	tap_ok(refused("longer"), "%s", error_text());
	told("name=x,file=/nonexistent");
	tap_ok(refused("/nonexistent"), "%s", error_text());
}

static void test_kernel(void)
{
	begin();
	files.kernel = kernel_path;
	files.initrd = kernel_path;
	files.command_line = "a command line";
	start();
	select_item(0x08);
	tap_is(read_number(4), KERNEL_BYTES, "a kernel is told of, in one piece, as it is no bzImage");
	tap_ok(!dma(0x11 << 16 | 8 | 2, KERNEL_BYTES, TO, AT) && !memcmp(guest(TO), kernel, KERNEL_BYTES),
	       "with its bytes");
	select_item(0x14);
	tap_is(read_number(4), 15, "and its command line");
	select_item(0x0b);
	tap_is(read_number(4), KERNEL_BYTES, "and an initrd");
	stop();
}

static void test_state(void)
{
	struct state one, two;
	u32 size;

	begin();
	start();
	select_item(find("etc/acpi/tables", &size));
	read_number(7);
	state_init(&one);
	state_init(&two);
	tap_is(state_save_devices(&machine, &one), 0, "its state can be saved");
	stop();
	begin();
	start();
	tap_is(state_restore_devices(&machine, &one), 0, "and restored to another: %s", error_text());
	tap_ok(!state_save_devices(&machine, &two) && one.size == two.size && !memcmp(one.data, two.data, one.size),
	       "which is as the first was");
	state_free(&one);
	state_free(&two);
	stop();
}

int main(void)
{
	int fd = memfd_create("rom", 0), other = memfd_create("kernel", 0);
	u32 i;

	if (fd < 0 || other < 0)
		return 2;
	snprintf(rom_path, sizeof(rom_path), "/proc/self/fd/%d", fd);
	snprintf(kernel_path, sizeof(kernel_path), "/proc/self/fd/%d", other);
	for (i = 0; i < ROM; i++)
		rom[i] = i * 7 >> 3;
	write_file(rom_path, rom, ROM);
	make_plain(kernel);
	write_file(kernel_path, kernel, KERNEL_BYTES);
	begin();
	test_ports();
	test_dma();
	test_tables();
	test_image();
	test_refusals();
	test_told();
	test_kernel();
	test_state();
	return tap_done();
}
