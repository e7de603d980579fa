// SPDX-License-Identifier: GPL-2.0-only
/* Memory for people. */
#include "lib/hexdump.h"

#include <string.h>

#include <Zydis/Zydis.h>

#include "lib/bits.h"

#define ROW		16
#define LONGEST		15	/* bytes of an instruction */

/* Two digits a byte, and a zero. By hand: memory comes in millions of bytes. */
static void hex(char *text, const u8 *bytes, u64 length)
{
	static const char digit[] = "0123456789abcdef";

	while (length--) {
		*text++ = digit[*bytes >> 4];
		*text++ = digit[*bytes++ & 15];
	}
	*text = 0;
}

/* Bytes from column 18 on, a gap after eight, then the characters */
static void row(FILE *file, u64 address, const u8 *bytes, u64 length)
{
	char text[ROW * 3 + 1], two[3];
	u64 i;

	memset(text, ' ', sizeof(text));
	for (i = 0; i < length; i++) {
		hex(two, bytes + i, 1);
		memcpy(text + i * 3 + i / 8, two, 2);
	}
	fprintf(file, "%016llx  %.*s  |", address, (int)sizeof(text) - 1, text);
	for (i = 0; i < length; i++)
		text[i] = bytes[i] >= ' ' && bytes[i] <= '~' ? bytes[i] : '.';
	fprintf(file, "%.*s|\n", (int)length, text);
}

void hexdump(FILE *file, u64 address, const u8 *bytes, u64 length)
{
	u64 at;

	for (at = 0; at < length; at += ROW)
		row(file, address + at, bytes + at, length - at < ROW ? length - at : ROW);
}

void hexdump_json(struct json *json, const char *key, const u8 *bytes, u64 length)
{
	char text[2 * ROW + 1];
	u64 at, part;

	json_open(json, key, '[');
	for (at = 0; at < length; at += part) {
		part = length - at < ROW ? length - at : ROW;
		hex(text, bytes + at, part);
		json_text(json, NULL, text);
	}
	json_close(json, ']');
}

/* ---- instructions ------------------------------------------------------- */

unsigned int code_bits(const struct thv_sregs *sregs)
{
	u32 attributes = sregs->seg[THV_CS].attributes;

	if (!(sregs->cr0 & 1))
		return 16;
	if ((sregs->efer & (1 << 10)) && (attributes & THV_SEG_L))
		return 64;
	return attributes & THV_SEG_DB ? 32 : 16;
}

static ZydisMachineMode machine_mode(unsigned int bits)
{
	return bits == 64 ? ZYDIS_MACHINE_MODE_LONG_64 :
	       bits == 32 ? ZYDIS_MACHINE_MODE_LEGACY_32 : ZYDIS_MACHINE_MODE_LEGACY_16;
}

struct line {
	u32 length;
	char bytes[2 * LONGEST + 1];
	char text[128];
};

/* false: the end cuts it off */
static bool decode(unsigned int bits, u64 address, const u8 *bytes, u64 length, struct line *line)
{
	ZydisDisassembledInstruction instruction;
	ZyanStatus status = ZydisDisassembleIntel(machine_mode(bits), address, bytes, length,
						  &instruction);

	if (status == ZYDIS_STATUS_NO_MORE_DATA)
		return false;
	line->length = ZYAN_SUCCESS(status) ? instruction.info.length : 1;
	*line->text = 0;
	text_add(line->text, sizeof(line->text), "%s",
		 ZYAN_SUCCESS(status) ? instruction.text : "(bad)");
	hex(line->bytes, bytes, line->length);
	return true;
}

void disassemble(FILE *file, unsigned int bits, u64 address, const u8 *bytes, u64 length,
		 unsigned int count)
{
	struct line line;
	u64 at;

	for (at = 0; at < length; at += line.length) {
		if (!decode(bits, address + at, bytes + at, length - at, &line))
			return;
		fprintf(file, "  %016llx  %-22s  %s\n", address + at, line.bytes, line.text);
		if (count && !--count)
			return;
	}
}

void disassemble_json(struct json *json, const char *key, unsigned int bits, u64 address,
		      const u8 *bytes, u64 length)
{
	struct line line;
	u64 at;

	json_open(json, key, '[');
	for (at = 0; at < length; at += line.length) {
		if (!decode(bits, address + at, bytes + at, length - at, &line))
			break;
		json_open(json, NULL, '{');
		json_number(json, "address", address + at);
		json_text(json, "bytes", line.bytes);
		json_text(json, "text", line.text);
		json_close(json, '}');
	}
	json_close(json, ']');
}
