// SPDX-License-Identifier: GPL-2.0-only
// sources: userspace/boot/acpi.c userspace/boot/resetvector.c userspace/boot/park.c userspace/boot/modes.c userspace/vmm/memory.c userspace/lib/error.c
/*
 * The ACPI tables: found and walked as a kernel does it, from the RSDP on, and
 * handed to iasl's disassembler, whose opinion is independent of ours.
 */
#include <stdlib.h>
#include <string.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#include "boot/boot.h"
#include "lib/device.h"
#include "tap.h"

/* This file's own place tells where the ASL is */
static const char *sources(void)
{
	static char path[500];
	const char *end = strstr(__FILE__, "/selftests/unit/");

	snprintf(path, sizeof(path), "%.*s/userspace/boot", (int)(end - __FILE__), __FILE__);
	return path;
}

static struct memory memory;
static u8 *dsdt, *com2, *legacy;
static char directory[] = "/tmp/test_acpi.XXXXXX";

int vm_set_memory(int vm, const struct thv_memory *slot)
{
	(void)vm;
	(void)slot;
	return 0;
}

__attribute__((format(printf, 1, 2)))
static int shell(const char *format, ...)
{
	char command[500];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(command, sizeof(command), format, arguments);
	va_end(arguments);
	return system(command);
}

static u8 *read_file(const char *name)
{
	char path[100];
	u8 *bytes = calloc(1, 65536);
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	file = fopen(path, "r");
	if (!file || !fread(bytes, 1, 65536, file))
		exit(2);
	fclose(file);
	return bytes;
}

static u64 get(const u8 *at, u32 length)
{
	u64 value = 0;

	memcpy(&value, at, length);
	return value;
}

static u8 sum(const u8 *bytes, u32 length)
{
	u8 total = 0;

	while (length--)
		total += *bytes++;
	return total;
}

static const u8 *at(u64 gpa, u32 length)
{
	return memory_at(&memory, gpa, length);
}

/* As Linux looks for it: on 16-byte boundaries from 0xe0000 on */
static const u8 *find_rsdp(void)
{
	u64 gpa;

	for (gpa = 0xe0000; gpa < 0x100000; gpa += 16)
		if (!memcmp(at(gpa, 36), "RSD PTR ", 8) && !sum(at(gpa, 36), 20))
			return at(gpa, 36);
	return NULL;
}

static const u8 *xsdt(void)
{
	return at(get(find_rsdp() + 24, 8), 36);
}

static u32 tables(void)
{
	return (get(xsdt() + 4, 4) - 36) / 8;
}

static const u8 *table(const char *signature)
{
	u32 i;

	for (i = 0; i < tables(); i++) {
		const u8 *found = at(get(xsdt() + 36 + 8 * i, 8), 36);

		if (!memcmp(found, signature, 4))
			return found;
	}
	return NULL;
}

static void build(u32 cpus, bool second)
{
	struct acpi_options options = { .cpus = cpus, .dsdt = dsdt, .ssdt = second ? com2 : NULL };

	memset(memory_at(&memory, 0xe0000, 0x20000), 0, 0x20000);
	tap_is(acpi_build(&memory, &options), 0xe0000, "%u CPUs: built", cpus);
}

static void test_pointers(void)
{
	const u8 *rsdp = find_rsdp();

	tap_ok(rsdp, "the RSDP is found by searching, too");
	tap_ok(rsdp[15] == 2 && !sum(rsdp, 36), "revision 2, with the extended checksum right");
	tap_ok(!memcmp(xsdt(), "XSDT", 4) && !sum(xsdt(), get(xsdt() + 4, 4)), "it has an XSDT");
	tap_is(tables(), 2, "of two tables");
}

static void test_fadt(void)
{
	const u8 *fadt = table("FACP"), *found;

	tap_ok(fadt && get(fadt + 4, 4) == 276 && fadt[8] == 6 && !sum(fadt, 276),
	       "the FADT is of ACPI 6.0");
	tap_is(get(fadt + 112, 4), 1 << 20 | 1 << 10 | 1 << 5 | 1 << 4 | 1,
	       "hardware-reduced, with a reset register, without fixed buttons");
	tap_is(get(fadt + 109, 2), 4, "no VGA, no 8042, no legacy devices, but a CMOS clock");
	tap_is(sum(fadt + 46, 62), 0, "no SCI, no PM timer, no fixed registers");
	tap_ok(fadt[116] == 1 && fadt[117] == 8 && get(fadt + 120, 8) == ACPI_RESET &&
	       fadt[128] == ACPI_RESET_VALUE, "the reset register is reset.c's");
	tap_ok(fadt[244] == 1 && get(fadt + 248, 8) == ACPI_SLEEP_CONTROL &&
	       fadt[256] == 1 && get(fadt + 260, 8) == ACPI_SLEEP_STATUS,
	       "so are the sleep registers");
	tap_is(get(fadt + 40, 4), get(fadt + 140, 8), "both pointers to the DSDT agree");
	found = at(get(fadt + 140, 8), 36);
	tap_ok(!memcmp(found, dsdt, get(dsdt + 4, 4)) && !sum(found, get(found + 4, 4)),
	       "it is iasl's, whole");
}

/* Entries of the MADT: how many of the type; the last one's address in *last */
static u32 madt_entries(u8 type, const u8 **last)
{
	const u8 *madt = table("APIC"), *entry;
	u32 count = 0;

	for (entry = madt + 44; entry < madt + get(madt + 4, 4); entry += entry[1]) {
		if (!entry[1])
			return ~0u;
		if (entry[0] == type) {
			count++;
			*last = entry;
		}
	}
	return entry == madt + get(madt + 4, 4) ? count : ~0u;
}

static void test_madt(u32 cpus)
{
	const u8 *madt = table("APIC"), *entry = NULL;

	tap_ok(madt && !sum(madt, get(madt + 4, 4)) && get(madt + 36, 4) == 0xfee00000,
	       "%u CPUs: the MADT is whole", cpus);
	tap_is(get(madt + 40, 4), 0, "no PIC");
	tap_ok(madt_entries(0, &entry) == cpus && entry[2] == cpus - 1 && entry[3] == cpus - 1 &&
	       get(entry + 4, 4) == 1, "a local APIC for each, its id the vCPU's");
	tap_ok(madt_entries(1, &entry) == 1 && get(entry + 4, 4) == 0xfec00000 &&
	       get(entry + 8, 4) == 0, "one IOAPIC, for the GSIs from 0");
	tap_ok(madt_entries(4, &entry) == 1 && entry[2] == 0xff && entry[5] == 1,
	       "NMIs come in at LINT1 of all");
}

/* ---- the multiprocessor wake-up ------------------------------------------------ */

static struct thv_regs parked;
static struct thv_sregs parked_sregs;
static u32 parked_state = THV_MP_WAIT_SIPI;

int vcpu_get(int vcpu, enum thv_state_id component, void *data, u32 size)
{
	memset(data, 0, size);
	if (component == THV_STATE_EVENTS)
		((struct thv_event_state *)data)->mp_state = parked_state;
	return 0;
}

int vcpu_set(int vcpu, enum thv_state_id component, const void *data, u32 size)
{
	if (component == THV_STATE_REGS)
		memcpy(&parked, data, size);
	if (component == THV_STATE_SREGS)
		memcpy(&parked_sregs, data, size);
	if (component == THV_STATE_EVENTS)
		parked_state = ((const struct thv_event_state *)data)->mp_state;
	return 0;
}

/* Follow the page tables at CR3, large pages and all; ~0: not mapped */
static u64 translate(u64 address)
{
	u64 entry = parked_sregs.cr3;
	int shift;

	for (shift = 39; shift >= 21; shift -= 9) {
		entry = get(at((entry & ~0xfffULL) + 8 * (address >> shift & 511), 8), 8);
		if (!(entry & 1))
			return ~0ULL;
	}
	return entry & 0x80 ? (entry & ~0x1fffffULL) + (address & 0x1fffff) : ~0ULL;
}

static atomic_uint arrived;

static void arrive(void)
{
	arrived++;
}

/* The loop itself, here: without its IN, which is not for programs. It ends in a call of arrive(). */
static void *wait_for_mailbox(void *code)
{
	asm volatile("call *%%rcx" : : "c"(code), "b"(at(0xf0000, 4096)), "D"(3)
		     : "rax", "rdx", "rsi", "r8", "r9", "r10", "r11", "memory", "cc");
	return NULL;
}

static void call(u16 command, u32 apic_id)
{
	volatile u8 *mailbox = memory_at(&memory, 0xf0000, 4096);

	*(volatile u16 *)mailbox = 0;
	usleep(50000);		/* none is withdrawn in life, so the loop need not expect it */
	*(volatile u32 *)(mailbox + 4) = apic_id;
	*(volatile u64 *)(mailbox + 8) = (u64)arrive;
	*(volatile u16 *)mailbox = command;
	usleep(50000);
}

static void test_loop(void)
{
	u8 *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pthread_t thread;

	memcpy(code, at(parked.rip, 64), 64);
	tap_ok(code[4] == 0xec, "it waits at a port");
	code[4] = 0x90;
	pthread_create(&thread, NULL, wait_for_mailbox, code);
	call(1, 2);
	tap_ok(!arrived && get(at(0xf0000, 2), 2) == 1, "a call for another is not answered");
	call(2, 3);
	tap_ok(!arrived && get(at(0xf0000, 2), 2) == 2, "an unknown command is not, either");
	call(1, 3);
	tap_ok(arrived == 1 && !get(at(0xf0000, 2), 2), "its own is: the command is zeroed, and it goes there");
	pthread_join(thread, NULL);
}

static void test_park(void)
{
	struct acpi_options options = { .cpus = 4, .dsdt = dsdt, .park = true };
	const u8 *entry = NULL;

	memset(memory_at(&memory, 0xe0000, 0x20000), 0xff, 0x20000);
	tap_is(acpi_build(&memory, &options), 0xe0000, "without real mode: built");
	tap_ok(madt_entries(16, &entry) == 1 && entry[1] == 16 && !get(entry + 2, 6) &&
	       get(entry + 8, 8) == 0xf0000, "the MADT tells of a mailbox");
	tap_ok(madt_entries(0, &entry) == 4, "... and of all processors");
	tap_ok(!park_build(&memory) && !park_start(7, 3), "a processor is parked");
	tap_is(parked_state, THV_MP_RUNNING, "it runs");
	tap_ok(!get(at(0xf0000, 2), 2), "the mailbox has no command");
	tap_ok(parked.gpr[THV_RBX] == 0xf0000 && parked.gpr[THV_RDI] == 3 && !(parked.rflags & 0x200),
	       "it knows the mailbox and its id, and has interrupts off");
	tap_ok((parked_sregs.efer & 0x500) == 0x500 && parked_sregs.cr0 >> 31, "in 64-bit mode");
	tap_ok(translate(parked.rip) == parked.rip && translate(0xf0000) == 0xf0000 &&
	       translate(0x9f000) == 0x9f000 && translate(0xfffff000) == 0xfffff000 &&
	       translate(1ULL << 32) == ~0ULL, "memory is mapped as it is, up to 4 GiB");
	tap_ok(get(at(parked_sregs.gdt.base + parked_sregs.seg[THV_CS].selector, 8), 8) == 0x00af9b000000ffff,
	       "its code segment is in its GDT");
	tap_ok(parked_sregs.cr3 > 0xf0000 && parked_sregs.cr3 + BOOT_TABLES_BYTES < 0xffff0 &&
	       parked_sregs.gdt.base > 0xf0000, "all of that is in memory that is reserved");
	test_loop();
}

static void test_second(void)
{
	const u8 *ssdt;

	build(1, true);
	ssdt = table("SSDT");
	tap_is(tables(), 3, "a second serial port brings a third table");
	tap_ok(ssdt && !memcmp(ssdt, com2, get(com2 + 4, 4)) && !sum(ssdt, get(ssdt + 4, 4)),
	       "its SSDT");
}

static void write_table(const char *signature)
{
	const u8 *found = table(signature);
	char path[100];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s.dat", directory, signature);
	file = fopen(path, "w");
	fwrite(found, 1, get(found + 4, 4), file);
	fclose(file);
}

static void test_disassembly(void)
{
	write_table("FACP");
	write_table("APIC");
	tap_is(shell("cd %s && iasl -d FACP.dat APIC.dat >log 2>&1", directory), 0,
	       "iasl reads FADT and MADT");
	tap_ok(shell("cd %s && grep -Eiq 'invalid|error|warning|unknown' *.dsl log", directory),
	       "and has nothing to say against them");
	tap_ok(!shell("cd %s && grep -q 'Hardware Reduced (V5) : 1' FACP.dsl", directory),
	       "it, too, sees a hardware-reduced machine");
	tap_is(shell("cd %s && iasl -e com2.aml -d dsdt.aml >log 2>&1 && iasl -ve dsdt.dsl >log 2>&1",
		     directory), 0, "the DSDT comes back as the ASL of itself");
	tap_ok(!shell("cd %s && grep -q 'Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive' dsdt.dsl",
		      directory), "COM1 has an edge-triggered GSI");
}

/* The bytes, in a processor's eyes: MOV AL, imm8; MOV DX, imm16; OUT DX, AL; HLT; JMP */
static void test_reset_vector(void)
{
	const u8 *code = at(0xffff0, 16);

	tap_is(reset_vector_build(&memory), 0, "there is code at the reset vector");
	tap_ok(code[0] == 0xb0 && code[1] == ACPI_RESET_VALUE && code[2] == 0xba &&
	       get(code + 3, 2) == ACPI_RESET && code[5] == 0xee,
	       "it writes the reset value to the reset register");
	tap_ok(code[6] == 0xf4 && code[7] == 0xeb && code[8] == 0xfd, "and halts for good");
}

static void test_refusals(void)
{
	struct acpi_options options = { .cpus = 256, .dsdt = dsdt };
	struct memory small;

	tap_is(acpi_build(&memory, &options), 0, "256 CPUs are too many for 8-bit ids");
	options.cpus = 1;
	memory_plan(&small, 0x80000);
	tap_is(acpi_build(&small, &options), 0, "512 KiB are too little");
}

static void test_rsdt(void)
{
	const u8 *rsdt;
	u32 i;

	build(1, true);
	rsdt = at(get(find_rsdp() + 16, 4), 36);
	tap_ok(!memcmp(rsdt, "RSDT", 4) && !sum(rsdt, get(rsdt + 4, 4)), "there is an RSDT for those that know no other");
	tap_is((get(rsdt + 4, 4) - 36) / 4, tables(), "it has as many tables as the XSDT");
	for (i = 0; i < tables(); i++)
		tap_check(get(rsdt + 36 + 4 * i, 4) == get(xsdt() + 36 + 8 * i, 8), "table %u", i);
	tap_ok(tap_held(), "the same ones");
}

static void test_legacy(void)
{
	const struct acpi_options options = { .cpus = 1, .dsdt = legacy, .legacy = true };
	const u8 *fadt, *madt;

	memset((void *)at(0xe0000, 0x10000), 0, 0x10000);
	tap_is(acpi_build(&memory, &options), 0xe0000, "with --legacy: built");
	fadt = table("FACP");
	tap_ok(!(get(fadt + 112, 4) & 1 << 20), "it is not hardware-reduced");
	tap_is(get(fadt + 109, 2) & 3, 3, "it has legacy devices and an 8042");
	tap_ok(get(fadt + 56, 4) == ACPI_PM1_EVENT && get(fadt + 64, 4) == ACPI_PM1_CONTROL &&
	       get(fadt + 76, 4) == ACPI_PM_TIMER && get(fadt + 88, 4) == 0x04000204 &&
	       get(fadt + 46, 2) == 9, "PM1, the timer and the SCI are told");
	tap_ok(get(fadt + 148, 1) == 1 && get(fadt + 152, 8) == ACPI_PM1_EVENT &&
	       get(fadt + 212, 8) == ACPI_PM_TIMER, "and once more, in the newer form");
	madt = table("APIC");
	tap_is(get(madt + 40, 4), 1, "there are 8259s");
	tap_ok(madt[44] == 1 && madt[56] == 4 && madt[62] == 2 && madt[65] == 0 && madt[66] == 2,
	       "the 8254's interrupt is at pin 2");
	tap_ok(!sum(madt, get(madt + 4, 4)) && !sum(fadt, get(fadt + 4, 4)), "both add up");
	tap_ok(!memcmp(at(get(fadt + 140, 8), 36), legacy, get(legacy + 4, 4)) &&
	       memmem(legacy, get(legacy + 4, 4), "KBD0", 4) && !memmem(dsdt, get(dsdt + 4, 4), "KBD0", 4),
	       "the DSDT is the one with a keyboard");
}

/* As firmware does it with fw_cfg's loader script: moved, pointers adjusted, summed anew */
static void test_moved(void)
{
	const struct acpi_options options = { .cpus = 2, .dsdt = legacy, .ssdt = com2, .legacy = true };
	u8 *bytes = (u8 *)at(0x200000, 0x10000);
	struct acpi_block block = { .bytes = bytes, .size = 0x10000 };
	u64 pointer;
	u32 i;

	memset((void *)at(0xe0000, 0x10000), 0, 0x10000);
	tap_is(acpi_make(&block, &options), 0, "a block that is to be moved is made");
	for (i = 0; i < block.pointers; i++) {
		pointer = get(bytes + block.pointer[i].offset, block.pointer[i].bytes) + 0x200000;
		memcpy(bytes + block.pointer[i].offset, &pointer, block.pointer[i].bytes);
	}
	for (i = 0; i < block.tables; i++)
		bytes[block.table[i] + 9] -= sum(bytes + block.table[i], get(bytes + block.table[i] + 4, 4));
	memcpy((void *)at(0xe0000, 36), bytes, 36);
	pointer = get(bytes + ACPI_RSDP_XSDT, 8) + 0x200000;
	memcpy((void *)at(0xe0000 + ACPI_RSDP_XSDT, 8), &pointer, 8);
	tap_is(tables(), 3, "its tables are found where it is");
	for (i = 0; i < tables(); i++) {
		const u8 *found = at(get(xsdt() + 36 + 8 * i, 8), 36);

		tap_check(!sum(found, get(found + 4, 4)), "%.4s", found);
	}
	tap_ok(tap_held(), "and add up");
	tap_ok(!memcmp(at(get(table("FACP") + 140, 8), 4), "DSDT", 4), "the FADT points to the DSDT");
}

int main(void)
{
	if (system("command -v iasl >/dev/null")) {
		tap_skip("iasl is not installed (package acpica-tools)");
		return tap_done();
	}
	if (!mkdtemp(directory) || memory_create(&memory, 16 * SIZE_1M, "test", false))
		return 2;
	if (shell("cd %s && iasl -ve -p dsdt %s/dsdt.asl >log 2>&1 && iasl -ve -p com2 %s/com2.asl >log 2>&1 && iasl -ve -D LEGACY -p legacy %s/dsdt.asl >log 2>&1",
		  directory, sources(), sources(), sources()))
		return 2;
	dsdt = read_file("dsdt.aml");
	com2 = read_file("com2.aml");
	legacy = read_file("legacy.aml");
	build(1, false);
	test_pointers();
	test_fadt();
	test_madt(1);
	build(64, false);
	test_madt(64);
	test_second();
	test_disassembly();
	test_rsdt();
	test_legacy();
	test_moved();
	test_reset_vector();
	test_park();	/* iasl of 2020 does not know that entry */
	test_refusals();
	shell("rm -rf %s", directory);
	free(dsdt);
	free(com2);
	free(legacy);
	memory_destroy(&memory);
	return tap_done();
}
