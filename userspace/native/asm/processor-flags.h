/* SPDX-License-Identifier: GPL-2.0-only */
/* Native stand-in: CR0, CR4 and EFLAGS; the system carries them, newer bits come here (SDM 2.5). */
#ifndef _NATIVE_ASM_PROCESSOR_FLAGS_H
#define _NATIVE_ASM_PROCESSOR_FLAGS_H

#include_next <asm/processor-flags.h>

#ifndef X86_CR4_CET
#define X86_CR4_CET_BIT	23
#define X86_CR4_CET	_BITUL(X86_CR4_CET_BIT)
#endif

#endif
