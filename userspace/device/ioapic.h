/* SPDX-License-Identifier: GPL-2.0-only */
/* The IOAPIC's insides, for its test; others use irq_set() and irq_eoi() (machine.h). */
#ifndef THV_DEVICE_IOAPIC_H
#define THV_DEVICE_IOAPIC_H

#include <pthread.h>

#include "boot/boot.h"

struct ioapic {
	pthread_mutex_t lock;			/* guards all below */
	int vm;					/* where messages go */
	u32 selected;				/* IOREGSEL */
	u32 id;
	u64 redirection[IOAPIC_PINS];
	u32 level;				/* a bit for each pin: is it raised? */
};

void ioapic_init(struct ioapic *ioapic, int vm);
u64 ioapic_access(void *device, u64 offset, u32 length, bool write, u64 value);
void ioapic_set(struct ioapic *ioapic, u32 pin, bool level);
void ioapic_eoi(struct ioapic *ioapic, u8 vector);

struct state;
int ioapic_save(void *opaque, const char *name, struct state *state);
int ioapic_restore(void *opaque, const char *name, const struct state *state);

#endif
