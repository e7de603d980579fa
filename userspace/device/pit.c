// SPDX-License-Identifier: GPL-2.0-only
/*
 * The 8254 timer (Intel, order 231164): three counters at 1.193182 MHz. Channel 0 is IRQ 0, channel 2
 * the loudspeaker's, which old systems measure time with (its gate and output are at port 0x61:
 * systemport.c). Only with --legacy.
 *
 * Nothing counts: what a counter holds, and whether its output is high, is computed from the time
 * that has passed since it was loaded. Only the rising edges of channel 0 take a timer of
 * the host's; it is set when that channel is, and runs by itself from then on. Ticks that come while
 * nobody has time for them are one tick.
 */
#include "device/pit.h"

#include <stdlib.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "boot/boot.h"
#include "lib/error.h"
#include "vmm/machine.h"
#include "vmm/state.h"

#define COMMAND		3	/* the port after the three channels' */
#define READ_BACK	3	/* ... addressed to no channel */
#define NOT_COUNT	0x20	/* read back: do not latch the count, the status */
#define NOT_STATUS	0x10
#define STATUS_OUT	0x80
#define STATUS_NULL	0x40	/* the count is not yet loaded */
#define ACCESS_LATCH	0

#define NS		1000000000ULL
/* A guest that asks for more is not given it: the host has other things to do */
#define SHORTEST_NS	100000

enum { ON_TERMINAL, ONE_SHOT, RATE, SQUARE, STROBE, HARDWARE_STROBE };

/* ---- time ----------------------------------------------------------------- */

/* Whole seconds by themselves: nothing overflows */
static u64 to_ticks(u64 ns)
{
	return ns / NS * PIT_HZ + ns % NS * PIT_HZ / NS;
}

static u64 to_ns(u64 ticks)
{
	return ticks / PIT_HZ * NS + (ticks % PIT_HZ * NS + PIT_HZ - 1) / PIT_HZ;
}

static u32 whole(const struct pit_channel *channel)
{
	return channel->count ? channel->count : channel->bcd ? 10000 : 0x10000;
}

static bool triggered_by_gate(const struct pit_channel *channel)
{
	return channel->mode == ONE_SHOT || channel->mode == HARDWARE_STROBE;
}

/*
 * Ticks since it began to count. A gate that is low holds it where it is (modes 0 and 4), or where it
 * begins (2 and 3); in the others it has no say once it has risen.
 */
static u64 elapsed(const struct pit *pit, const struct pit_channel *channel)
{
	u64 now = pit->now();

	if (!channel->loaded)
		return 0;
	if (!channel->gate && !triggered_by_gate(channel))
		return to_ticks(channel->held);
	return now < channel->start ? 0 : to_ticks(now - channel->start);
}

static bool periodic(const struct pit_channel *channel)
{
	return channel->mode == RATE || channel->mode == SQUARE;
}

/* What the counter holds. A square wave counts by two, twice a period. */
static u32 counter(const struct pit *pit, const struct pit_channel *channel)
{
	u64 ticks = elapsed(pit, channel);
	u32 all = whole(channel), limit = channel->bcd ? 10000 : 0x10000;

	if (channel->mode == SQUARE)
		return all - ticks * 2 % all;
	if (channel->mode == RATE)
		return all - ticks % all;
	return (all + limit - ticks % limit) % limit;	/* goes on after the end */
}

static bool output(const struct pit *pit, const struct pit_channel *channel)
{
	u64 ticks = elapsed(pit, channel), all = whole(channel);

	if (!channel->loaded || (triggered_by_gate(channel) && !channel->triggered))
		return channel->mode != ON_TERMINAL;
	switch (channel->mode) {
	case ON_TERMINAL:
	case ONE_SHOT:
		return ticks >= all;
	case RATE:			/* low for the last tick of each period */
		return !channel->gate || ticks % all != all - 1;
	case SQUARE:
		return !channel->gate || ticks % all < (all + 1) / 2;
	default:			/* a strobe: low for one tick */
		return ticks != all;
	}
}

/* ---- channel 0's interrupts ------------------------------------------------ */

/* When does its output rise? The first time after the count, and then each period. */
static void schedule(struct pit *pit)
{
	const struct pit_channel *channel = &pit->channel[0];
	u64 all = whole(channel), period = to_ns(all);

	if (!channel->loaded || triggered_by_gate(channel))
		pit->edges(pit, 0, 0);	/* those are started by a gate, which is wired high */
	else if (periodic(channel))
		pit->edges(pit, channel->start + period,
			   period < SHORTEST_NS ? SHORTEST_NS : period);
	else
		pit->edges(pit, channel->start + to_ns(all + (channel->mode == STROBE)), 0);
}

static void load(struct pit *pit, struct pit_channel *channel, u16 count)
{
	channel->count = channel->bcd ? (count >> 12) * 1000 + (count >> 8 & 15) * 100 +
			 (count >> 4 & 15) * 10 + (count & 15) : count;
	if (channel->bcd)
		channel->count %= 10000;
	channel->loaded = true;
	if (!triggered_by_gate(channel)) {
		channel->start = pit->now();
		channel->held = 0;
	}
	if (channel == &pit->channel[0])
		schedule(pit);
}

/* ---- registers ------------------------------------------------------------- */

static u16 encode(const struct pit_channel *channel, u32 value)
{
	if (!channel->bcd)
		return value;
	return value / 1000 % 10 << 12 | value / 100 % 10 << 8 | value / 10 % 10 << 4 | value % 10;
}

static void latch_count(const struct pit *pit, struct pit_channel *channel)
{
	if (channel->latched)
		return;
	channel->latched = true;
	channel->latch = encode(channel, counter(pit, channel));
}

static void latch_status(const struct pit *pit, struct pit_channel *channel)
{
	if (channel->status_latched)
		return;
	channel->status_latched = true;
	channel->status = (output(pit, channel) ? STATUS_OUT : 0) |
			  (channel->loaded ? 0 : STATUS_NULL) | channel->access << 4 |
			  channel->mode << 1 | channel->bcd;
}

static void read_back(struct pit *pit, u8 value)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(pit->channel); i++) {
		if (!(value & 2 << i))
			continue;
		if (!(value & NOT_COUNT))
			latch_count(pit, &pit->channel[i]);
		if (!(value & NOT_STATUS))
			latch_status(pit, &pit->channel[i]);
	}
}

/* Modes 6 and 7 are 2 and 3 */
static void set_mode(struct pit *pit, struct pit_channel *channel, u8 value)
{
	u8 mode = value >> 1 & 7;

	*channel = (struct pit_channel){
		.mode = mode > 5 ? mode - 4 : mode,
		.access = value >> 4 & 3,
		.bcd = value & 1,
		.gate = channel->gate,
	};
	if (channel == &pit->channel[0])
		schedule(pit);
}

static void command(struct pit *pit, u8 value)
{
	u32 index = value >> 6;

	if (index == READ_BACK)
		read_back(pit, value);
	else if ((value >> 4 & 3) == ACCESS_LATCH)
		latch_count(pit, &pit->channel[index]);
	else
		set_mode(pit, &pit->channel[index], value);
}

static void write_channel(struct pit *pit, struct pit_channel *channel, u8 value)
{
	if (channel->access == 1) {
		load(pit, channel, value);
	} else if (channel->access == 2) {
		load(pit, channel, value << 8);
	} else if (!channel->write_high) {
		channel->low = value;
		channel->write_high = true;
	} else {
		channel->write_high = false;
		load(pit, channel, value << 8 | channel->low);
	}
}

static u8 read_channel(struct pit *pit, struct pit_channel *channel)
{
	u16 value = channel->latched ? channel->latch : encode(channel, counter(pit, channel));
	bool high = channel->access == 2 || (channel->access == 3 && channel->read_high);

	if (channel->status_latched) {
		channel->status_latched = false;
		return channel->status;
	}
	if (channel->access == 3)
		channel->read_high = !channel->read_high;
	if (channel->access != 3 || high)
		channel->latched = false;
	return high ? value >> 8 : value;
}

u64 pit_access(void *device, u64 offset, u32 length, bool write, u64 value)
{
	struct pit *pit = device;
	u64 result = 0xff;	/* the command port cannot be read */

	(void)length;
	pthread_mutex_lock(&pit->lock);
	if (write && offset == COMMAND)
		command(pit, value);
	else if (write)
		write_channel(pit, &pit->channel[offset], value);
	else if (offset != COMMAND)
		result = read_channel(pit, &pit->channel[offset]);
	pthread_mutex_unlock(&pit->lock);
	return result;
}

/* ---- port 0x61 ------------------------------------------------------------- */

/* A gate that rises begins anew, but in modes 0 and 4, where it lets go on */
void pit_gate(struct pit *pit, bool gate)
{
	struct pit_channel *channel = &pit->channel[PIT_SPEAKER];
	bool goes_on = channel->mode == ON_TERMINAL || channel->mode == STROBE;
	u64 now = pit->now();

	pthread_mutex_lock(&pit->lock);
	if (gate && !channel->gate) {
		channel->start = goes_on ? now - channel->held : now;
		channel->triggered = true;
	} else if (!gate && channel->gate) {
		channel->held = goes_on ? now - channel->start : 0;
	}
	channel->gate = gate;
	pthread_mutex_unlock(&pit->lock);
}

bool pit_output(struct pit *pit, u32 channel)
{
	bool high;

	pthread_mutex_lock(&pit->lock);
	high = output(pit, &pit->channel[channel]);
	pthread_mutex_unlock(&pit->lock);
	return high;
}

/* ---- the state: times are told as what has passed --------------------------- */

#define CHANNEL(number, member, ...) \
	STATE_NAMED(#member #number, struct pit, channel[number].member, ##__VA_ARGS__)
#define CHANNEL_FIELDS(number)								\
	CHANNEL(number, mode, .maximum = 5), CHANNEL(number, access, .maximum = 3),	\
	CHANNEL(number, bcd, .maximum = 1), CHANNEL(number, loaded, .maximum = 1),	\
	CHANNEL(number, gate, .maximum = 1), CHANNEL(number, write_high, .maximum = 1),	\
	CHANNEL(number, read_high, .maximum = 1), CHANNEL(number, low),			\
	CHANNEL(number, count), CHANNEL(number, latched, .maximum = 1),			\
	CHANNEL(number, status_latched, .maximum = 1), CHANNEL(number, latch),		\
	CHANNEL(number, status), CHANNEL(number, held),				\
	CHANNEL(number, triggered, .maximum = 1)

static const struct state_field fields[] = {
	CHANNEL_FIELDS(0), CHANNEL_FIELDS(1), CHANNEL_FIELDS(2), { 0 }
};

static const char *const passed[] = { "passed0", "passed1", "passed2" };

int pit_save(void *opaque, const char *name, struct state *state)
{
	struct pit *pit = opaque;
	u64 now = pit->now();
	u32 i;

	pthread_mutex_lock(&pit->lock);
	state_begin(state, name, 1);
	state_save(state, fields, pit);
	for (i = 0; i < ARRAY_SIZE(passed); i++)
		state_put(state, passed[i], now - pit->channel[i].start);
	pthread_mutex_unlock(&pit->lock);
	return state_end(state);
}

int pit_restore(void *opaque, const char *name, const struct state *state)
{
	struct state_record record;
	struct pit *pit = opaque;
	u64 ns[ARRAY_SIZE(passed)];
	u32 i;

	if (state_find(state, name, 1, &record))
		return -1;
	for (i = 0; i < ARRAY_SIZE(passed); i++)
		if (state_get(&record, passed[i], 0, &ns[i]))
			return -1;
	if (state_restore(&record, fields, pit) || state_done(&record))
		return -1;
	pthread_mutex_lock(&pit->lock);
	for (i = 0; i < ARRAY_SIZE(passed); i++)
		pit->channel[i].start = pit->now() - ns[i];
	schedule(pit);
	pthread_mutex_unlock(&pit->lock);
	return 0;
}

/* ---- the device ------------------------------------------------------------ */

void pit_init(struct pit *pit, u64 (*now)(void), void (*edges)(struct pit *pit, u64 first, u64 period))
{
	*pit = (struct pit){ .lock = PTHREAD_MUTEX_INITIALIZER, .now = now, .edges = edges };
	pit->channel[0] = (struct pit_channel){ .mode = SQUARE, .access = 3, .gate = true };
	pit->channel[1] = (struct pit_channel){ .mode = RATE, .access = 3, .gate = true };
	pit->channel[2] = (struct pit_channel){ .mode = ON_TERMINAL, .access = 3 };
}

static u64 now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * NS + time.tv_nsec;
}

static struct timespec timespec(u64 ns)
{
	return (struct timespec){ ns / NS, ns % NS };
}

static void set_timer(struct pit *pit, u64 first, u64 period)
{
	const struct itimerspec when = { timespec(period), timespec(first) };

	timerfd_settime(pit->timer.fd, TFD_TIMER_ABSTIME, &when, NULL);
}

/* The output went low some time before it rose */
static void timer_ready(void *opaque, u32 events)
{
	struct pit *pit = opaque;
	u64 expiries;

	(void)events;
	if (read(pit->timer.fd, &expiries, sizeof(expiries)) < 0)
		return;
	irq_set(pit->machine, IRQ_PIT, false);
	irq_set(pit->machine, IRQ_PIT, true);
}

static void finish(void *opaque)
{
	struct pit *pit = opaque;

	if (pit->timer.fd >= 0)
		close(pit->timer.fd);
	free(pit);
}

static int create(struct machine *machine)
{
	struct pit *pit;

	if (!machine->config->legacy)
		return 0;
	pit = malloc(sizeof(*pit));
	if (!pit)
		return error_set("out of memory");
	pit_init(pit, now, set_timer);
	pit->machine = machine;
	pit->timer = (struct event_source){
		.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK),
		.mask = EPOLLIN, .ready = timer_ready, .opaque = pit,
	};
	if (machine_at_end(machine, finish, pit))
		return -1;
	if (pit->timer.fd < 0)
		return error_errno("making a timer");
	machine->pit = pit;
	if (events_add(&machine->events, &pit->timer) ||
	    bus_claim_ports(&machine->bus, 0x40, 4, 1, pit_access, pit))
		return -1;
	return state_add(machine, "pit", pit_save, pit_restore, pit);
}

DEVICE(pit, create);
