/* SPDX-License-Identifier: GPL-2.0-only */
/* Memory for people: bytes and characters, as hexdump -C, or instructions. */
#ifndef THV_LIB_HEXDUMP_H
#define THV_LIB_HEXDUMP_H

#include <stdio.h>

#include <thv.h>

#include "lib/json.h"
#include "lib/types.h"

void hexdump(FILE *file, u64 address, const u8 *bytes, u64 length);
void hexdump_json(struct json *json, const char *key, const u8 *bytes, u64 length);

/* Code is 16, 32 or 64 bits wide: which, the vCPU's mode and code segment tell */
unsigned int code_bits(const struct thv_sregs *sregs);

/*
 * Up to count instructions (0: all) out of length bytes that are at address. Bytes that are none are
 * told one by one; what the end cuts off is left out.
 */
void disassemble(FILE *file, unsigned int bits, u64 address, const u8 *bytes, u64 length,
		 unsigned int count);
void disassemble_json(struct json *json, const char *key, unsigned int bits, u64 address,
		      const u8 *bytes, u64 length);

#endif
