// SPDX-License-Identifier: GPL-2.0-only
/* Listings: the disassembler's mode is the vCPU's. */
#include "lib/listing.h"

#include <ctype.h>
#include <Zydis/Zydis.h>

#define LINE	16

static ZydisMachineMode mode(const struct thv_sregs *sregs)
{
	u32 attributes = sregs->seg[THV_CS].attributes;

	if (!(sregs->cr0 & 1))
		return ZYDIS_MACHINE_MODE_REAL_16;
	if ((sregs->efer & (1 << 10)) && (attributes & THV_SEG_L))
		return ZYDIS_MACHINE_MODE_LONG_64;
	return attributes & THV_SEG_DB ? ZYDIS_MACHINE_MODE_LEGACY_32 :
					 ZYDIS_MACHINE_MODE_LEGACY_16;
}

u32 listing_instruction(const struct thv_sregs *sregs, u64 address, const u8 *bytes, u32 length,
			char *text, size_t size)
{
	ZydisDisassembledInstruction instruction;

	if (!ZYAN_SUCCESS(ZydisDisassembleIntel(mode(sregs), address, bytes, length,
						&instruction)))
		return 0;
	snprintf(text, size, "%s", instruction.text);
	return instruction.info.length;
}

u32 listing_code(const struct thv_sregs *sregs, u64 address, const u8 *bytes, u32 length,
		 u32 most, FILE *file)
{
	u32 at = 0, used;
	char text[100];

	for (; most && at < length; most--, at += used) {
		used = listing_instruction(sregs, address + at, bytes + at, length - at, text,
					   sizeof(text));
		if (!used)
			break;
		fprintf(file, "  %016llx  %s\n", address + at, text);
	}
	return at;
}

/* Most instructions have up to eight bytes: text of longer ones begins further right */
void listing_line(u64 address, const u8 *bytes, u32 length, const char *text, FILE *file)
{
	int column = 0;
	u32 i;

	fprintf(file, "%016llx  ", address);
	for (i = 0; i < length; i++)
		column += fprintf(file, "%02x ", bytes[i]);
	fprintf(file, "%*s%s\n", column < 25 ? 25 - column : 1, "", text);
}

static void line(u64 address, const u8 *bytes, u32 length, FILE *file)
{
	u32 i;

	fprintf(file, "%016llx ", address);
	for (i = 0; i < LINE; i++) {
		fputs(i == LINE / 2 ? "  " : " ", file);
		if (i < length)
			fprintf(file, "%02x", bytes[i]);
		else
			fputs("  ", file);
	}
	fputs("  |", file);
	for (i = 0; i < length; i++)
		fputc(bytes[i] < 0x80 && isprint(bytes[i]) ? bytes[i] : '.', file);
	fputs("|\n", file);
}

void listing_bytes(u64 address, const u8 *bytes, u32 length, FILE *file)
{
	u32 at, part;

	for (at = 0; at < length; at += part) {
		part = length - at < LINE ? length - at : LINE;
		line(address + at, bytes + at, part, file);
	}
}
