// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ACPI tables (ACPI 6.0): RSDP, RSDT and XSDT, FADT, MADT, and the AML that iasl made.
 *
 * The machine is "hardware-reduced" (ACPI 6.0, 4.1): there is no PM timer, no SCI
 * and no fixed-hardware button, only a sleep register and a reset register (device/
 * reset.c). It also says that there is no 8042, no VGA and no legacy PIC, so a
 * kernel does not wait for any. With --legacy it has all of those but VGA: the fixed hardware is
 * in device/acpipm.c.
 *
 * The tables are made in one block that knows where it will be. Firmware moves them: for it,
 * every pointer in the block is noted, and every table that has a checksum.
 */
#include <string.h>

#include "boot/boot.h"
#include "lib/error.h"

#define CREATOR		0x20564854	/* "THV " */
#define LAPIC_ADDRESS	0xfee00000

struct acpi_header {
	char signature[4];
	u32 length;
	u8 revision;
	u8 checksum;
	char oem[6];
	char oem_table[8];
	u32 oem_revision;
	u32 creator;
	u32 creator_revision;
} __attribute__((packed));

struct acpi_address {			/* Generic Address Structure, 5.2.3.2 */
	u8 space;			/* 1: I/O ports */
	u8 bits;
	u8 offset;
	u8 access;			/* 1: bytes */
	u64 address;
} __attribute__((packed));

struct acpi_rsdp {
	char signature[8];
	u8 checksum;			/* of the first 20 bytes */
	char oem[6];
	u8 revision;
	u32 rsdt;
	u32 length;
	u64 xsdt;
	u8 extended_checksum;
	u8 reserved[3];
} __attribute__((packed));

struct acpi_fadt {			/* 5.2.9; hardware-reduced: much stays zero */
	struct acpi_header header;
	u32 firmware_control;
	u32 dsdt;
	u8 reserved0;
	u8 profile;
	u16 sci;
	u32 smi_command;		/* 0: there is no other mode than ACPI */
	u8 acpi_enable, acpi_disable, s4_request, pstate_control;
	u32 pm1a_event, pm1b_event, pm1a_control, pm1b_control, pm2_control, pm_timer;
	u32 gpe0, gpe1;
	u8 pm1_event_length, pm1_control_length, pm2_control_length, pm_timer_length;
	u8 gpe0_length, gpe1_length, gpe1_base, cst_control;
	u16 c2_latency, c3_latency;	/* more than 100, 1000: no such states */
	u16 flush_size, flush_stride;
	u8 duty_offset, duty_width, day_alarm, month_alarm;
	u8 century;
	u16 boot_flags;
	u8 reserved1;
	u32 flags;
	struct acpi_address reset;
	u8 reset_value;
	u16 arm_flags;
	u8 minor;
	u64 x_firmware_control;
	u64 x_dsdt;
	struct acpi_address x_pm1a_event, x_pm1b_event, x_pm1a_control, x_pm1b_control;
	struct acpi_address x_pm2_control, x_pm_timer, x_gpe0, x_gpe1;
	struct acpi_address sleep_control;
	struct acpi_address sleep_status;
	u64 hypervisor;
} __attribute__((packed));

_Static_assert(offsetof(struct acpi_fadt, century) == 108, "ACPI 6.0 table 5-34");
_Static_assert(offsetof(struct acpi_fadt, x_dsdt) == 140, "ACPI 6.0 table 5-34");
_Static_assert(offsetof(struct acpi_fadt, sleep_control) == 244, "ACPI 6.0 table 5-34");
_Static_assert(sizeof(struct acpi_fadt) == 276, "ACPI 6.0 table 5-34");

/* FADT.boot_flags (5.2.9.3) and .flags (table 5-35) */
#define BOOT_LEGACY		(1 << 0)
#define BOOT_8042		(1 << 1)
#define BOOT_NO_VGA		(1 << 2)
#define FADT_WBINVD		(1 << 0)
#define FADT_NO_POWER_BUTTON	(1 << 4)
#define FADT_NO_SLEEP_BUTTON	(1 << 5)
#define FADT_TIMER_32_BITS	(1 << 8)
#define FADT_RESET		(1 << 10)
#define FADT_HARDWARE_REDUCED	(1 << 20)

struct acpi_madt {
	struct acpi_header header;
	u32 lapic;
	u32 flags;			/* 1: there are 8259s (PCAT_COMPAT) */
} __attribute__((packed));

struct acpi_lapic {			/* 5.2.12.2 */
	u8 type, length;
	u8 uid;
	u8 apic_id;
	u32 flags;			/* 1: enabled */
} __attribute__((packed));

struct acpi_ioapic {			/* 5.2.12.3 */
	u8 type, length;
	u8 id;
	u8 reserved;
	u32 address;
	u32 gsi_base;
} __attribute__((packed));

struct acpi_override {			/* 5.2.12.5: ISA interrupts that are elsewhere, or other */
	u8 type, length;
	u8 bus, source;
	u32 gsi;
	u16 flags;			/* 5: edge, active high; 13: level, active high */
} __attribute__((packed));

struct acpi_lapic_nmi {			/* 5.2.12.7 */
	u8 type, length;
	u8 uid;				/* 0xff: all */
	u16 flags;
	u8 lint;
} __attribute__((packed));

struct acpi_wakeup {			/* ACPI 6.4, 5.2.12.19 */
	u8 type, length;
	u16 version;			/* of the mailbox: 0 */
	u32 reserved;
	u64 mailbox;
} __attribute__((packed));

enum {
	MADT_LAPIC = 0, MADT_IOAPIC = 1, MADT_OVERRIDE = 2, MADT_LAPIC_NMI = 4, MADT_WAKEUP = 16,
};

static u8 sum(const void *bytes, u32 length)
{
	const u8 *byte = bytes;
	u8 total = 0;

	while (length--)
		total += *byte++;
	return total;
}

static void *reserve(struct acpi_block *block, u32 length)
{
	u32 start = ALIGN_UP(block->used, 16u);

	if (start > block->size || length > block->size - start)
		return NULL;
	block->used = start + length;
	return block->bytes + start;
}

/* Copy a finished body; its length and checksum are set here. 0: no room. */
static u64 append(struct acpi_block *block, struct acpi_header *header, u32 length)
{
	struct acpi_header *table = reserve(block, length);
	u32 offset;

	if (!table || block->tables == ACPI_TABLES)
		return 0;
	memmove(table, header, length);
	table->length = length;
	table->checksum = 0;
	table->checksum = -sum(table, length);
	offset = (u8 *)table - block->bytes;
	block->table[block->tables++] = offset;
	return block->gpa + offset;
}

/* Of the table that is at gpa: a pointer of so many bytes at offset, to be moved with the block */
static void note_pointer(struct acpi_block *block, u64 gpa, u32 offset, u8 bytes)
{
	if (gpa && block->pointers < ACPI_POINTERS)
		block->pointer[block->pointers++] = (struct acpi_pointer){
			gpa - block->gpa + offset, bytes
		};
}

static u64 append_aml(struct acpi_block *block, const u8 *aml)
{
	struct acpi_header *header = (struct acpi_header *)aml;

	return append(block, header, header->length);
}

static struct acpi_header make_header(const char *signature, u8 revision)
{
	struct acpi_header header = {
		.revision = revision,
		.oem = "THV   ",
		.oem_table = "THV     ",
		.oem_revision = 1,
		.creator = CREATOR,
		.creator_revision = 1,
	};

	memcpy(header.signature, signature, 4);
	return header;
}

static struct acpi_address ports(u16 number, u8 bytes)
{
	return (struct acpi_address){
		.space = 1, .bits = bytes * 8, .access = bytes == 4 ? 3 : bytes, .address = number,
	};
}

/* device/reset.c; no hardware but that */
static void reduced_hardware(struct acpi_fadt *fadt)
{
	fadt->flags |= FADT_HARDWARE_REDUCED;
	fadt->sleep_control = ports(ACPI_SLEEP_CONTROL, 1);
	fadt->sleep_status = ports(ACPI_SLEEP_STATUS, 1);
}

/* device/acpipm.c, i8042.c */
static void legacy_hardware(struct acpi_fadt *fadt)
{
	fadt->flags |= FADT_TIMER_32_BITS;
	fadt->boot_flags |= BOOT_LEGACY | BOOT_8042;
	fadt->sci = IRQ_ACPI;
	fadt->c2_latency = 0xffff;
	fadt->c3_latency = 0xffff;
	fadt->pm1a_event = ACPI_PM1_EVENT;
	fadt->pm1_event_length = 4;
	fadt->pm1a_control = ACPI_PM1_CONTROL;
	fadt->pm1_control_length = 2;
	fadt->pm_timer = ACPI_PM_TIMER;
	fadt->pm_timer_length = 4;
	fadt->x_pm1a_event = ports(ACPI_PM1_EVENT, 4);
	fadt->x_pm1a_control = ports(ACPI_PM1_CONTROL, 2);
	fadt->x_pm_timer = ports(ACPI_PM_TIMER, 4);
}

static u64 append_fadt(struct acpi_block *block, u64 dsdt, bool legacy)
{
	struct acpi_fadt fadt = {
		.header = make_header("FACP", 6),
		.dsdt = dsdt,
		.x_dsdt = dsdt,
		.century = CMOS_CENTURY,
		.boot_flags = BOOT_NO_VGA,
		.flags = FADT_WBINVD | FADT_NO_POWER_BUTTON | FADT_NO_SLEEP_BUTTON | FADT_RESET,
		.reset = ports(ACPI_RESET, 1),
		.reset_value = ACPI_RESET_VALUE,
	};
	u64 gpa;

	(legacy ? legacy_hardware : reduced_hardware)(&fadt);
	memcpy(&fadt.hypervisor, "THV     ", 8);
	gpa = append(block, &fadt.header, sizeof(fadt));
	note_pointer(block, gpa, offsetof(struct acpi_fadt, dsdt), 4);
	note_pointer(block, gpa, offsetof(struct acpi_fadt, x_dsdt), 8);
	return gpa;
}

/* A table that grows: entries one after the other */
struct madt_writer {
	struct acpi_madt madt;
	u8 entries[255 * sizeof(struct acpi_lapic) + 64];
	u32 used;
};

static void add_entry(struct madt_writer *writer, const void *entry, u32 length)
{
	memcpy(writer->entries + writer->used, entry, length);
	writer->used += length;
}

static void add_lapic(struct madt_writer *writer, u32 id)
{
	const struct acpi_lapic lapic = { MADT_LAPIC, sizeof(lapic), id, id, 1 };

	add_entry(writer, &lapic, sizeof(lapic));
}

/* The 8254's is IRQ 0 for the 8259s, and pin 2 here; ACPI's own is no edge */
static void add_overrides(struct madt_writer *writer)
{
	const struct acpi_override overrides[] = {
		{ MADT_OVERRIDE, sizeof(struct acpi_override), 0, 0, IRQ_PIT, 5 },
		{ MADT_OVERRIDE, sizeof(struct acpi_override), 0, IRQ_ACPI, IRQ_ACPI, 13 },
	};

	writer->madt.flags = 1;
	add_entry(writer, overrides, sizeof(overrides));
}

static u64 append_madt(struct acpi_block *block, const struct acpi_options *options)
{
	static const struct acpi_wakeup wakeup = { MADT_WAKEUP, sizeof(wakeup), 0, 0, BOOT_PARK };
	static const struct acpi_ioapic ioapic = {
		MADT_IOAPIC, sizeof(struct acpi_ioapic), 0, 0, IOAPIC_ADDRESS, 0
	};
	static const struct acpi_lapic_nmi nmi = {
		MADT_LAPIC_NMI, sizeof(struct acpi_lapic_nmi), 0xff, 0, 1
	};
	struct madt_writer writer = {
		.madt = { .header = make_header("APIC", 4), .lapic = LAPIC_ADDRESS },
	};
	u32 id;

	add_entry(&writer, &ioapic, sizeof(ioapic));
	add_entry(&writer, &nmi, sizeof(nmi));
	if (options->legacy)
		add_overrides(&writer);
	for (id = 0; id < options->cpus; id++)
		add_lapic(&writer, id);
	if (options->park)
		add_entry(&writer, &wakeup, sizeof(wakeup));
	return append(block, &writer.madt.header, sizeof(writer.madt) + writer.used);
}

#define ROOT_TABLES	3		/* an RSDT or XSDT may point to */

/* The two lists of all tables: of 32-bit pointers for those that know ACPI 1.0 only, and of 64 bits */
static u64 append_list(struct acpi_block *block, const char *signature, u8 bytes, const u64 *tables)
{
	struct {
		struct acpi_header header;
		u8 pointer[ROOT_TABLES * sizeof(u64)];
	} __attribute__((packed)) list = { .header = make_header(signature, 1) };
	u32 count = 0, i;
	u64 gpa;

	for (i = 0; i < ROOT_TABLES; i++)
		if (tables[i])
			memcpy(list.pointer + count++ * bytes, &tables[i], bytes);
	gpa = append(block, &list.header, sizeof(list.header) + count * bytes);
	for (i = 0; i < count; i++)
		note_pointer(block, gpa, sizeof(list.header) + i * bytes, bytes);
	return gpa;
}

static void fill_rsdp(struct acpi_rsdp *rsdp, u64 rsdt, u64 xsdt)
{
	*rsdp = (struct acpi_rsdp){
		.signature = "RSD PTR ",
		.oem = "THV   ",
		.revision = 2,
		.rsdt = rsdt,
		.length = sizeof(*rsdp),
		.xsdt = xsdt,
	};
	rsdp->checksum = -sum(rsdp, 20);
	rsdp->extended_checksum = -sum(rsdp, sizeof(*rsdp));
}

_Static_assert(sizeof(struct acpi_rsdp) == ACPI_RSDP_BYTES, "what boot.h says");
_Static_assert(offsetof(struct acpi_rsdp, rsdt) == ACPI_RSDP_RSDT, "... and the two offsets");
_Static_assert(offsetof(struct acpi_rsdp, xsdt) == ACPI_RSDP_XSDT, "...");

int acpi_make(struct acpi_block *block, const struct acpi_options *options)
{
	u64 dsdt, tables[ROOT_TABLES] = { 0 }, rsdt, xsdt;
	struct acpi_rsdp *rsdp = reserve(block, sizeof(*rsdp));

	if (!rsdp || options->cpus > 255)
		return error_set("the ACPI tables do not fit this machine");
	dsdt = append_aml(block, options->dsdt);
	tables[0] = append_fadt(block, dsdt, options->legacy);
	tables[1] = append_madt(block, options);
	if (options->ssdt)
		tables[2] = append_aml(block, options->ssdt);
	rsdt = append_list(block, "RSDT", 4, tables);
	xsdt = append_list(block, "XSDT", 8, tables);
	fill_rsdp(rsdp, rsdt, xsdt);
	return xsdt ? 0 : error_set("the ACPI tables do not fit this machine");
}

u64 acpi_build(const struct memory *memory, const struct acpi_options *options)
{
	struct acpi_block block = {
		.bytes = memory_at(memory, BOOT_ACPI, BOOT_PARK - BOOT_ACPI),
		.gpa = BOOT_ACPI,
		.size = BOOT_PARK - BOOT_ACPI,
	};

	if (!block.bytes) {
		error_set("the ACPI tables do not fit this machine");
		return 0;
	}
	return acpi_make(&block, options) ? 0 : BOOT_ACPI;
}
