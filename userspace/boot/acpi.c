// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ACPI tables (ACPI 6.0): RSDP, XSDT, FADT, MADT, and the AML that iasl made.
 *
 * The machine is "hardware-reduced" (ACPI 6.0, 4.1): there is no PM timer, no SCI
 * and no fixed-hardware button, only a sleep register and a reset register (device/
 * reset.c). It also says that there is no 8042, no VGA and no legacy PIC, so a
 * kernel does not wait for any.
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
	u8 unused0[62];			/* SCI to MON_ALRM */
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
	struct acpi_address unused1[8];	/* X_PM1a_EVT_BLK to X_GPE1_BLK */
	struct acpi_address sleep_control;
	struct acpi_address sleep_status;
	u64 hypervisor;
} __attribute__((packed));

_Static_assert(offsetof(struct acpi_fadt, century) == 108, "ACPI 6.0 table 5-34");
_Static_assert(offsetof(struct acpi_fadt, x_dsdt) == 140, "ACPI 6.0 table 5-34");
_Static_assert(offsetof(struct acpi_fadt, sleep_control) == 244, "ACPI 6.0 table 5-34");
_Static_assert(sizeof(struct acpi_fadt) == 276, "ACPI 6.0 table 5-34");

/* FADT.boot_flags (5.2.9.3) and .flags (table 5-35) */
#define BOOT_NO_VGA		(1 << 2)
#define FADT_WBINVD		(1 << 0)
#define FADT_NO_POWER_BUTTON	(1 << 4)
#define FADT_NO_SLEEP_BUTTON	(1 << 5)
#define FADT_RESET		(1 << 10)
#define FADT_HARDWARE_REDUCED	(1 << 20)

struct acpi_madt {
	struct acpi_header header;
	u32 lapic;
	u32 flags;			/* 0: no legacy PIC (PCAT_COMPAT) */
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

enum { MADT_LAPIC = 0, MADT_IOAPIC = 1, MADT_LAPIC_NMI = 4, MADT_WAKEUP = 16 };

/* Where tables are written, one after the other */
struct writer {
	u8 *base;
	u64 gpa;
	u32 used, size;
};

static u8 sum(const void *bytes, u32 length)
{
	const u8 *byte = bytes;
	u8 total = 0;

	while (length--)
		total += *byte++;
	return total;
}

static void *reserve(struct writer *writer, u32 length)
{
	u32 start = ALIGN_UP(writer->used, 16u);

	if (start > writer->size || length > writer->size - start)
		return NULL;
	writer->used = start + length;
	return writer->base + start;
}

/* Copy a finished body; its length and checksum are set here. 0: no room. */
static u64 append(struct writer *writer, struct acpi_header *header, u32 length)
{
	struct acpi_header *table = reserve(writer, length);

	if (!table)
		return 0;
	memmove(table, header, length);
	table->length = length;
	table->checksum = 0;
	table->checksum = -sum(table, length);
	return writer->gpa + ((u8 *)table - writer->base);
}

static u64 append_aml(struct writer *writer, const u8 *aml)
{
	struct acpi_header *header = (struct acpi_header *)aml;

	return append(writer, header, header->length);
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

static struct acpi_address port(u16 number)
{
	return (struct acpi_address){ .space = 1, .bits = 8, .access = 1, .address = number };
}

static u64 append_fadt(struct writer *writer, u64 dsdt)
{
	struct acpi_fadt fadt = {
		.header = make_header("FACP", 6),
		.dsdt = dsdt,
		.x_dsdt = dsdt,
		.century = CMOS_CENTURY,
		.boot_flags = BOOT_NO_VGA,
		.flags = FADT_WBINVD | FADT_NO_POWER_BUTTON | FADT_NO_SLEEP_BUTTON |
			 FADT_RESET | FADT_HARDWARE_REDUCED,
		.reset = port(ACPI_RESET),
		.reset_value = ACPI_RESET_VALUE,
		.sleep_control = port(ACPI_SLEEP_CONTROL),
		.sleep_status = port(ACPI_SLEEP_STATUS),
	};

	memcpy(&fadt.hypervisor, "THV     ", 8);
	return append(writer, &fadt.header, sizeof(fadt));
}

static u64 append_madt(struct writer *writer, u32 cpus, bool park)
{
	struct {
		struct acpi_madt madt;
		struct acpi_ioapic ioapic;
		struct acpi_lapic_nmi nmi;
		struct acpi_lapic lapic[255];
		struct acpi_wakeup spare;	/* room for the last entry */
	} __attribute__((packed)) table = {
		.madt = { .header = make_header("APIC", 4), .lapic = LAPIC_ADDRESS },
		.ioapic = { MADT_IOAPIC, sizeof(struct acpi_ioapic), 0, 0, IOAPIC_ADDRESS, 0 },
		.nmi = { MADT_LAPIC_NMI, sizeof(struct acpi_lapic_nmi), 0xff, 0, 1 },
	};
	struct acpi_wakeup wakeup = { MADT_WAKEUP, sizeof(wakeup), 0, 0, BOOT_PARK };
	u8 *end = (u8 *)&table.lapic[cpus];
	u32 id;

	for (id = 0; id < cpus; id++)
		table.lapic[id] = (struct acpi_lapic){ MADT_LAPIC, sizeof(struct acpi_lapic),
						       id, id, 1 };
	if (park) {
		memcpy(end, &wakeup, sizeof(wakeup));
		end += sizeof(wakeup);
	}
	return append(writer, &table.madt.header, end - (u8 *)&table);
}

#define XSDT_TABLES	3

static u64 append_xsdt(struct writer *writer, const u64 *tables)
{
	struct {
		struct acpi_header header;
		u64 table[XSDT_TABLES];
	} __attribute__((packed)) xsdt = { .header = make_header("XSDT", 1) };
	u32 count = 0, i;

	for (i = 0; i < XSDT_TABLES; i++)
		if (tables[i])
			xsdt.table[count++] = tables[i];
	return append(writer, &xsdt.header, sizeof(xsdt.header) + count * sizeof(u64));
}

static void fill_rsdp(struct acpi_rsdp *rsdp, u64 xsdt)
{
	*rsdp = (struct acpi_rsdp){
		.signature = "RSD PTR ",
		.oem = "THV   ",
		.revision = 2,
		.length = sizeof(*rsdp),
		.xsdt = xsdt,
	};
	rsdp->checksum = -sum(rsdp, 20);
	rsdp->extended_checksum = -sum(rsdp, sizeof(*rsdp));
}

u64 acpi_build(const struct memory *memory, const struct acpi_options *options)
{
	struct writer writer = {
		.base = memory_at(memory, BOOT_ACPI, BOOT_PARK - BOOT_ACPI),
		.gpa = BOOT_ACPI,
		.size = BOOT_PARK - BOOT_ACPI,
	};
	u64 dsdt, xsdt, tables[XSDT_TABLES] = { 0 };
	struct acpi_rsdp *rsdp;

	if (!writer.base || options->cpus > 255) {
		error_set("the ACPI tables do not fit this machine");
		return 0;
	}
	rsdp = reserve(&writer, sizeof(*rsdp));
	dsdt = append_aml(&writer, options->dsdt);
	tables[0] = append_fadt(&writer, dsdt);
	tables[1] = append_madt(&writer, options->cpus, options->park);
	if (options->ssdt)
		tables[2] = append_aml(&writer, options->ssdt);
	xsdt = append_xsdt(&writer, tables);
	fill_rsdp(rsdp, xsdt);
	return BOOT_ACPI;
}
