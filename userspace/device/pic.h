/* SPDX-License-Identifier: GPL-2.0-only */
/* The 8259s, as others need them: vmm/irq.c, the vCPU that acknowledges, the test. */
#ifndef THV_DEVICE_PIC_H
#define THV_DEVICE_PIC_H

#include <pthread.h>

#include "lib/types.h"

#define PIC_IRQS	16

/* One of the two. A bit for each input. */
struct pic_chip {
	u8 irr, isr, imr;
	u8 level;			/* of the inputs */
	u8 elcr;			/* those that are level-triggered */
	u8 base;			/* vector of input 0: ICW2 */
	u8 lowest;			/* the input of the lowest priority */
	u8 step;			/* the ICW that is expected next; 0: none */
	bool wants_icw4, automatic_eoi, rotates, special_mask, nested, reads_isr, polled;
};

struct pic {
	pthread_mutex_t lock;		/* guards all below */
	struct pic_chip chip[2];	/* the first has the second at its input 2 */
	bool intr;			/* what the output is */
	void (*output)(void *opaque, bool level);	/* called with the lock held */
	void *opaque;
};

void pic_init(struct pic *pic, void (*output)(void *opaque, bool level), void *opaque);
u64 pic_access(void *device, u64 offset, u32 length, bool write, u64 value);	/* the first */
u64 pic_access_second(void *device, u64 offset, u32 length, bool write, u64 value);
u64 pic_access_elcr(void *device, u64 offset, u32 length, bool write, u64 value);

/* An input; any thread */
void pic_set(struct pic *pic, u32 irq, bool level);

/* The processor's two INTA cycles: the vector. Nothing there any more: that of input 7. */
u8 pic_acknowledge(struct pic *pic);

struct state;
int pic_save(void *opaque, const char *name, struct state *state);
int pic_restore(void *opaque, const char *name, const struct state *state);

#endif
