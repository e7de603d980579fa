/* SPDX-License-Identifier: GPL-2.0-only */
/* Shared by entry.S and its caller. */
#ifndef THV_VMX_ENTRY_H
#define THV_VMX_ENTRY_H

#define ENTER_RESUME_BIT	0
#define ENTER_RESUME		(1 << ENTER_RESUME_BIT)	/* this VMCS was launched */
#define ENTER_VERW		(1 << 1)	/* clear the processor's buffers */
/* IA32_SPEC_CTRL: the guest's before, the host's after */
#define ENTER_SPEC_CTRL		(1 << 2)

#ifndef __ASSEMBLY__
#include <linux/types.h>

bool thv_vmx_enter(u64 *gpr, u64 *host_rsp, u32 flags, u64 guest_spec_ctrl, u64 host_spec_ctrl);
extern const char thv_vmx_exit[];	/* HOST_RIP */
#endif

#endif
