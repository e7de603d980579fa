/* SPDX-License-Identifier: GPL-2.0-only */
/* The 8254, as port 0x61 (systemport.c) and the test need it. */
#ifndef THV_DEVICE_PIT_H
#define THV_DEVICE_PIT_H

#include <pthread.h>

#include "lib/types.h"
#include "vmm/events.h"

#define PIT_HZ		1193182		/* 315 / 264 MHz */
#define PIT_SPEAKER	2		/* the channel with a gate that software has */

struct pit_channel {
	u8 mode;		/* 0 to 5 */
	u8 access;		/* 1: low byte, 2: high byte, 3: both, low first */
	bool bcd;
	bool loaded;		/* since the mode was set: else nothing counts */
	bool gate;
	bool write_high, read_high;	/* with access 3: which byte is next */
	u8 low;			/* the one that was written and waits for the other */
	u16 count;		/* as loaded, binary; 0: 65536 (BCD: 10000) */
	u64 start;		/* ns: when it began to count from count */
	u64 held;		/* ns that it had counted when the gate fell */
	bool triggered;		/* the gate has risen since the mode was set */
	bool latched, status_latched;
	u16 latch;
	u8 status;
};

struct pit {
	pthread_mutex_t lock;	/* guards all below */
	struct pit_channel channel[3];
	u64 (*now)(void);	/* ns; it is the test's own there */
	/* Channel 0's output rises: at @first, and then every @period ns (0: no more). first 0: never. */
	void (*edges)(struct pit *pit, u64 first, u64 period);
	struct machine *machine;
	struct event_source timer;
};

void pit_init(struct pit *pit, u64 (*now)(void), void (*edges)(struct pit *pit, u64 first, u64 period));
u64 pit_access(void *device, u64 offset, u32 length, bool write, u64 value);

/* Any thread: the gate of the speaker's channel, and its output */
void pit_gate(struct pit *pit, bool gate);
bool pit_output(struct pit *pit, u32 channel);

struct state;
int pit_save(void *opaque, const char *name, struct state *state);
int pit_restore(void *opaque, const char *name, const struct state *state);

#endif
