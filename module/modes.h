/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Would the processor accept it? Checks of CR0, CR4, EFER, XCR0 and of whole register sets,
 * pure functions of their arguments and of what cpuid.c offers. See modes.c.
 */
#ifndef THV_MODES_H
#define THV_MODES_H

#include <linux/types.h>
#include <asm/processor-flags.h>
#include "../uapi/thv.h"

/* CR0's bits that exist. MOV to CR0 ignores others of the low half; ET is always 1 (SDM 2.5). */
#define THV_CR0_BITS	(X86_CR0_PE | X86_CR0_MP | X86_CR0_EM | X86_CR0_TS | X86_CR0_ET | \
			 X86_CR0_NE | X86_CR0_WP | X86_CR0_AM | X86_CR0_NW | X86_CR0_CD | \
			 X86_CR0_PG)

/* What CR0 holds after @cr0, which thv_cr0_check() accepted, was loaded into it. */
static inline u64 thv_cr0_value(u64 cr0)
{
	return (cr0 & THV_CR0_BITS) | X86_CR0_ET;
}

/* Bits 63:47 all alike (SDM 3.3.7.1); 57-bit addresses are not offered. */
static inline bool thv_canonical(u64 address)
{
	return (u64)((s64)(address << 16) >> 16) == address;
}

int thv_cr0_check(u64 cr0, u64 cr4, u64 efer);
int thv_cr4_check(u64 cr4, u64 cr0, u64 efer, u64 old_cr4, u64 cr3);
int thv_efer_check(u64 efer, u64 cr0);
int thv_xcr0_check(u64 xcr0);
int thv_sregs_check(const struct thv_sregs *sregs);

#endif
