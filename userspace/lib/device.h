/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * libthv: /dev/thv and its ioctls (uapi/thv.h). Every call returns what the
 * ioctl returns, or -1 with the error text set to a cause and a remedy; errno
 * stays the ioctl's.
 */
#ifndef THV_LIB_DEVICE_H
#define THV_LIB_DEVICE_H

#include <thv.h>

#include "lib/types.h"

#define THV_DEVICE	"/dev/thv"

/* What can be said of a feature bit, in the order of the bits */
struct device_feature {
	u64 bit;
	const char *name;
	const char *meaning;
};

extern const struct device_feature device_features[];	/* ends with bit 0 */

const char *device_backend_name(u32 backend);
const char *device_component_name(enum thv_state_id component);

/* What an errno means here: cause and remedy */
struct device_sentence {
	int error;		/* 0 ends the table */
	const char *text;
};

extern const struct device_sentence device_no_sentences[];

/*
 * An ioctl, again after signals. -1: the error text begins with @what; the sentence for
 * the errno is out of @sentences, which need not have EIO and ENOMEM. errno is kept.
 */
int device_call(int fd, unsigned long request, void *argument, const char *what,
		const struct device_sentence *sentences);

/* That sentence for @error, without a call; -1, errno is set */
int device_explain(int error, const char *what, const struct device_sentence *sentences);

int device_open(void);
int device_info(int device, struct thv_info *info);	/* refuses another API version */

int vm_create(int device, struct thv_create_vm *vm);
int vm_set_memory(int vm, const struct thv_memory *memory);
int vm_create_vcpu(int vm, u32 id);
int vm_signal_msi(int vm, u64 address, u32 data);	/* the number of vCPUs reached */
/* An eventfd that delivers this interrupt from now on, or no more. errno tells; no text. */
int vm_irqfd(int vm, int fd, u64 address, u32 data, bool on);
/* An eventfd that a guest's write to @address signals, or no more. Likewise. */
int vm_doorbell(int vm, int fd, u64 address, bool on);
int vm_stats(int vm, struct thv_vm_stats *stats);

struct thv_run *vcpu_map(int vcpu);			/* NULL on error */
int vcpu_run(int vcpu);		/* as the ioctl: errno, but no error text; EINTR is told */
int vcpu_get(int vcpu, enum thv_state_id component, void *data, u32 size);
int vcpu_set(int vcpu, enum thv_state_id component, const void *data, u32 size);
int vcpu_translate(int vcpu, struct thv_translate *translate);
int vcpu_apic_access(int vcpu, struct thv_apic_access *access);
/* How many rules of entry the vCPU's state breaks, and a line each in @text; -1: no text */
int vcpu_explain(int vcpu, char *text, size_t size);

#endif
