// SPDX-License-Identifier: GPL-2.0-only
/*
 * The AML of our ASL files (of dsdt.asl twice: once with LEGACY), as iasl -tc writes it while thv is built. Each is
 * a whole table, header and checksum included.
 */
#include "boot/boot.h"

#define dsdt_aml_code	acpi_dsdt
#define com2_aml_code	acpi_com2
#define legacy_aml_code	acpi_legacy
#define unsigned	const unsigned	/* iasl leaves the arrays writable */

#include "dsdt.hex"
#include "com2.hex"
#include "legacy.hex"
