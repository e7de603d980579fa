/* SPDX-License-Identifier: GPL-2.0-only */
/* The clock's insides, for its test; the machine needs none of this. */
#ifndef THV_DEVICE_CMOS_H
#define THV_DEVICE_CMOS_H

#include <pthread.h>
#include <time.h>

#include "lib/types.h"
#include "vmm/events.h"

#define CMOS_CELLS	128

struct machine;

struct cmos {
	pthread_mutex_t lock;		/* guards all below */
	struct machine *machine;
	bool interrupts;		/* the clock has some (--legacy) */
	void (*now)(struct timespec *now);	/* the test has its own */
	void (*irq)(struct machine *machine, u32 pin, bool level);
	/* Call cmos_expired() each second, or (periodic) each so many ns; 0: no more */
	void (*timer)(struct cmos *cmos, bool periodic, u64 ns);
	struct event_source second, periodic;
	u8 index;
	u8 cell[CMOS_CELLS];
	u64 seconds;			/* the last that an update, and an alarm, was seen for */
	u64 periods;			/* likewise, of the periodic interrupt */
};

void cmos_init(struct cmos *cmos, void (*now)(struct timespec *now));
u64 cmos_access(void *device, u64 offset, u32 length, bool write, u64 value);
void cmos_expired(struct cmos *cmos);

struct state;
int cmos_save(void *opaque, const char *name, struct state *state);
int cmos_restore(void *opaque, const char *name, const struct state *state);

#endif
