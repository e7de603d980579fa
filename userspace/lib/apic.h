/* SPDX-License-Identifier: GPL-2.0-only */
/* A local APIC for people (SDM 11.4 to 11.8). */
#ifndef THV_LIB_APIC_H
#define THV_LIB_APIC_H

#include <stdio.h>

#include <thv.h>

#include "lib/json.h"
#include "lib/types.h"

const char *apic_mode(const struct thv_apic *apic);

/* The vectors whose bits are set in the eight words from offset on: "0x31 0xec"; "none" */
char *apic_vectors(const struct thv_apic *apic, u32 offset, char *text, size_t size);

/* An entry of the local vector table in words */
char *apic_lvt_words(u32 entry, bool timer, char *text, size_t size);

void apic_print(FILE *file, const struct thv_apic *apic);
void apic_json(struct json *json, const char *key, const struct thv_apic *apic);

#endif
