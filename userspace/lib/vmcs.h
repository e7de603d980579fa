/* SPDX-License-Identifier: GPL-2.0-only */
/* Words for the fields of a VMCS (SDM chapter 25 and appendix B). Pure. */
#ifndef THV_LIB_VMCS_H
#define THV_LIB_VMCS_H

#include "lib/types.h"

/* The manual's name of a field, NULL if it has none; and how many hexadecimal digits it has */
const char *vmcs_field_name(u32 field);
int vmcs_field_digits(u32 field);

/* What its value says; "" where the number says it all. @text has DECODE_TEXT bytes. */
char *vmcs_field_words(u32 field, u64 value, char *text, size_t size);

#endif
