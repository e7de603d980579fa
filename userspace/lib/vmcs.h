/* SPDX-License-Identifier: GPL-2.0-only */
/* The fields of a VMCS: what they and their bits are called. */
#ifndef THV_LIB_VMCS_H
#define THV_LIB_VMCS_H

#include "lib/types.h"

const char *vmcs_name(u32 encoding);		/* NULL: not in the list */
const char *vmcs_kind(u32 encoding);		/* "control", "read-only", "guest", "host" */
unsigned int vmcs_digits(u32 encoding);		/* hexadecimal digits that it has */

/* Its value in words; empty: there are none for this field */
char *vmcs_words(u32 encoding, u64 value, char *text, size_t size);

#endif
