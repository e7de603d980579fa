/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What only a debug build (make THV_DEBUG=1) offers, to the module's own tests; no part of the
 * interface. Elsewhere these ioctls are -ENOTTY.
 */
#ifndef THV_DEBUG_IOCTL_H
#define THV_DEBUG_IOCTL_H

#include "../uapi/thv.h"

#define THV_DEBUG_TRY_FIELDS	8

/**
 * struct thv_debug_try - THV_DEBUG_TRY: (vCPU) one entry with changed fields, and all as before.
 * @count: in: how many of @field[] are meant; 0: the state as it is.
 * @flip: in; bit n: the value of @field[n] are bits to flip, not the new value.
 * @dry: in; 1: do not enter; @entered and what follows it stay 0.
 * @entered: out; 1: the processor entered. It leaves again before the first instruction.
 * @rules: out; how many rules (module/vmx/explain.c) the changed state breaks.
 * @reason: out; the exit reason, ~0 after VMfail.
 * @instruction_error: out; after VMfail.
 * @field: in; guest-state fields, VM-entry controls and the event to be delivered, and their raw values.
 * @text, @size: user memory for the rules that are broken, as of struct thv_explain.
 * @state: user memory for the changed state, a __u64 for each line of module/vmx/fields.h; 0: not wanted.
 *
 * The vCPU, whose guest is not run, is afterwards what it was before. Errors: -EPERM, without
 * CAP_SYS_ADMIN; -EINVAL, a field of another kind, or one that could hang the host (activity state
 * wait-for-SIPI); -ENXIO, a field that the processor does not have; -EOPNOTSUPP, it has no VMX-preemption
 * timer; -EBUSY, THV_RUN is under way.
 */
struct thv_debug_try {
	__u32 count;
	__u32 entered;
	__u32 rules;
	__u32 reason;
	__u32 instruction_error;
	__u32 flip;
	__u32 dry;
	__u32 reserved;
	__u64 text;
	__u64 size;
	__u64 state;
	struct thv_field field[THV_DEBUG_TRY_FIELDS];
};

#define THV_DEBUG_TRY	_IOWR(THV_IOCTL_TYPE, 0x70, struct thv_debug_try)

#endif
