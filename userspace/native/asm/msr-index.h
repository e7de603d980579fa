/* SPDX-License-Identifier: GPL-2.0-only */
/* Native stand-in: the few model-specific registers asked for (SDM volume 4, table 2-2). */
#ifndef _NATIVE_ASM_MSR_INDEX_H
#define _NATIVE_ASM_MSR_INDEX_H

#include <linux/bits.h>

#define MSR_IA32_TSC			0x00000010
#define MSR_IA32_APICBASE		0x0000001b
#define MSR_IA32_APICBASE_BSP		(1 << 8)
#define MSR_IA32_APICBASE_ENABLE	(1 << 11)
#define MSR_IA32_APICBASE_BASE		(0xfffff << 12)
#define MSR_IA32_TSC_ADJUST		0x0000003b
#define MSR_IA32_CR_PAT			0x00000277
#define MSR_IA32_TSC_DEADLINE		0x000006e0

#define MSR_EFER			0xc0000080
#define MSR_STAR			0xc0000081
#define MSR_LSTAR			0xc0000082
#define MSR_CSTAR			0xc0000083
#define MSR_SYSCALL_MASK		0xc0000084
#define MSR_FS_BASE			0xc0000100
#define MSR_GS_BASE			0xc0000101
#define MSR_KERNEL_GS_BASE		0xc0000102
#define MSR_TSC_AUX			0xc0000103

#define _EFER_SCE	0	/* SYSCALL and SYSRET */
#define _EFER_LME	8	/* long mode, wanted */
#define _EFER_LMA	10	/* long mode, in force */
#define _EFER_NX	11	/* no-execute pages */
#define _EFER_SVME	12	/* AMD: virtualization */
#define _EFER_LMSLE	13	/* AMD: long-mode segment limits */
#define _EFER_FFXSR	14	/* AMD: fast FXSAVE and FXRSTOR */
#define EFER_SCE	(1 << _EFER_SCE)
#define EFER_LME	(1 << _EFER_LME)
#define EFER_LMA	(1 << _EFER_LMA)
#define EFER_NX		(1 << _EFER_NX)
#define EFER_SVME	(1 << _EFER_SVME)
#define EFER_LMSLE	(1 << _EFER_LMSLE)
#define EFER_FFXSR	(1 << _EFER_FFXSR)

#endif
