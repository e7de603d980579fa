// SPDX-License-Identifier: GPL-2.0-only
/*
 * The CMOS clock (Motorola MC146818) and its memory: an index port, a data port.
 * The time is the host's, in UTC, and read when asked; setting it has no effect.
 *
 * With --legacy it has its interrupts, IRQ 8: at each update, at the time of the alarm, and
 * periodically. What has come about since somebody looked is found out by comparing times, when
 * register C is read; only where an interrupt is enabled does a timer of the host's look, too.
 */
#include "device/cmos.h"

#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "boot/boot.h"
#include "lib/error.h"
#include "vmm/machine.h"
#include "vmm/state.h"

#define INDEX_PORT	0x70	/* bit 7 masks NMIs on a PC; not here */

#define REG_A		0x0a
#define REG_B		0x0b
#define REG_C		0x0c
#define REG_D		0x0d
#define A_UPDATING	0x80
#define A_DIVIDER	0x20	/* 32.768 kHz, as every PC has it */
#define A_RATE		0x0f
#define RATE_1024_HZ	0x06
#define B_24_HOURS	0x02	/* always */
#define B_BINARY	0x04	/* else BCD */
#define B_UPDATE	0x10
#define B_ALARM		0x20
#define B_PERIODIC	0x40
#define B_ENABLES	(B_UPDATE | B_ALARM | B_PERIODIC)
#define C_REQUEST	0x80
#define D_VALID		0x80
#define ALARM_ANY	0xc0	/* an alarm's cell from that on matches all */

#define NS		1000000000ULL
/* "Updating" shows this long before the seconds change, so that a reader can finish */
#define UPDATE_NS	244000

static int seconds(const struct tm *tm)
{
	return tm->tm_sec > 59 ? 59 : tm->tm_sec;
}

static int minutes(const struct tm *tm)
{
	return tm->tm_min;
}

static int hours(const struct tm *tm)
{
	return tm->tm_hour;
}

static int weekday(const struct tm *tm)
{
	return tm->tm_wday + 1;
}

static int day(const struct tm *tm)
{
	return tm->tm_mday;
}

static int month(const struct tm *tm)
{
	return tm->tm_mon + 1;
}

static int year(const struct tm *tm)
{
	return tm->tm_year % 100;
}

static int century(const struct tm *tm)
{
	return tm->tm_year / 100 + 19;
}

static int (*const clock_cells[CMOS_CELLS])(const struct tm *tm) = {
	[0x00] = seconds,
	[0x02] = minutes,
	[0x04] = hours,
	[0x06] = weekday,
	[0x07] = day,
	[0x08] = month,
	[0x09] = year,
	[CMOS_CENTURY] = century,
};

static u8 encode(const struct cmos *cmos, int value)
{
	return cmos->cell[REG_B] & B_BINARY ? value : value / 10 << 4 | value % 10;
}

/* ---- interrupts ---------------------------------------------------------- */

/* 32768 Hz divided by a power of two; the two slowest settings are quick ones again. 0: off */
static u64 period_ns(const struct cmos *cmos)
{
	u32 rate = cmos->cell[REG_A] & A_RATE;

	if (!rate)
		return 0;
	return NS / (32768 >> ((rate < 3 ? rate + 7 : rate) - 1));
}

static bool alarm_matches(const struct cmos *cmos, const struct tm *tm)
{
	static const u8 alarms[] = { 0x01, 0x03, 0x05 };	/* each after its clock's cell */
	size_t i;

	for (i = 0; i < ARRAY_SIZE(alarms); i++)
		if (cmos->cell[alarms[i]] < ALARM_ANY &&
		    cmos->cell[alarms[i]] != encode(cmos, clock_cells[alarms[i] - 1](tm)))
			return false;
	return true;
}

/* What has come about since the last look: flags in register C */
static void catch_up(struct cmos *cmos)
{
	u64 period = period_ns(cmos);
	struct timespec now;
	struct tm tm;

	cmos->now(&now);
	if ((u64)now.tv_sec != cmos->seconds) {
		cmos->seconds = now.tv_sec;
		gmtime_r(&now.tv_sec, &tm);
		cmos->cell[REG_C] |= B_UPDATE | (alarm_matches(cmos, &tm) ? B_ALARM : 0);
	}
	if (period && (now.tv_sec * NS + now.tv_nsec) / period != cmos->periods) {
		cmos->periods = (now.tv_sec * NS + now.tv_nsec) / period;
		cmos->cell[REG_C] |= B_PERIODIC;
	}
	if (cmos->cell[REG_C] & cmos->cell[REG_B] & B_ENABLES)
		cmos->cell[REG_C] |= C_REQUEST;
	if (cmos->interrupts && cmos->cell[REG_C] & C_REQUEST)
		cmos->irq(cmos->machine, IRQ_RTC, true);
}

void cmos_expired(struct cmos *cmos)
{
	pthread_mutex_lock(&cmos->lock);
	catch_up(cmos);
	pthread_mutex_unlock(&cmos->lock);
}

static void set_timers(struct cmos *cmos)
{
	u8 enables = cmos->cell[REG_B];

	if (!cmos->interrupts)
		return;
	cmos->timer(cmos, false, enables & (B_UPDATE | B_ALARM) ? NS : 0);
	cmos->timer(cmos, true, enables & B_PERIODIC ? period_ns(cmos) : 0);
}

/* Reading tells what has come about, and ends the interrupt */
static u8 read_flags(struct cmos *cmos)
{
	u8 flags;

	catch_up(cmos);
	flags = cmos->cell[REG_C];
	cmos->cell[REG_C] = 0;
	if (cmos->interrupts)
		cmos->irq(cmos->machine, IRQ_RTC, false);
	return flags;
}

/* ---- cells ----------------------------------------------------------------- */

static u8 read_cell(struct cmos *cmos, u8 index)
{
	struct timespec now;
	struct tm tm;

	cmos->now(&now);
	if (clock_cells[index]) {
		gmtime_r(&now.tv_sec, &tm);
		return encode(cmos, clock_cells[index](&tm));
	}
	if (index == REG_A)
		return cmos->cell[REG_A] | (now.tv_nsec >= (long)(NS - UPDATE_NS) ? A_UPDATING : 0);
	return index == REG_C ? read_flags(cmos) : cmos->cell[index];
}

/* Of register B: the clock of 24 hours stays; without interrupts nothing enables them */
static u8 allowed(const struct cmos *cmos, u8 value)
{
	return B_24_HOURS | (value & (B_BINARY | (cmos->interrupts ? B_ENABLES : 0)));
}

static void write_cell(struct cmos *cmos, u8 index, u8 value)
{
	if (index == REG_A) {
		cmos->cell[REG_A] = A_DIVIDER | (value & A_RATE);
		set_timers(cmos);
	} else if (index == REG_B) {
		catch_up(cmos);
		cmos->cell[REG_B] = allowed(cmos, value);
		set_timers(cmos);
	} else if (!clock_cells[index] && index != REG_C && index != REG_D) {
		cmos->cell[index] = value;
	}
}

u64 cmos_access(void *device, u64 offset, u32 length, bool write, u64 value)
{
	struct cmos *cmos = device;
	u64 result = 0xff;	/* the index cannot be read */

	(void)length;
	pthread_mutex_lock(&cmos->lock);
	if (!offset && write)
		cmos->index = value % CMOS_CELLS;
	else if (offset && write)
		write_cell(cmos, cmos->index, value);
	else if (offset)
		result = read_cell(cmos, cmos->index);
	pthread_mutex_unlock(&cmos->lock);
	return result;
}

/* ---- the state -------------------------------------------------------------- */

static const struct state_field fields[] = {
	STATE(struct cmos, index, .maximum = CMOS_CELLS - 1),
	STATE_BYTES(struct cmos, cell),
	STATE(struct cmos, seconds),
	STATE(struct cmos, periods),
	{ 0 }
};

int cmos_save(void *opaque, const char *name, struct state *state)
{
	struct cmos *cmos = opaque;
	int result;

	pthread_mutex_lock(&cmos->lock);
	result = state_save_table(state, name, fields, cmos);
	pthread_mutex_unlock(&cmos->lock);
	return result;
}

/* The clock shows the time here and now; what has passed meanwhile is an update, and maybe an alarm */
int cmos_restore(void *opaque, const char *name, const struct state *state)
{
	struct cmos *cmos = opaque;

	if (state_restore_table(state, name, fields, cmos))
		return -1;
	pthread_mutex_lock(&cmos->lock);
	cmos->cell[REG_A] = A_DIVIDER | (cmos->cell[REG_A] & A_RATE);
	cmos->cell[REG_B] = allowed(cmos, cmos->cell[REG_B]);
	cmos->cell[REG_C] &= C_REQUEST | B_ENABLES;
	cmos->cell[REG_D] = D_VALID;
	set_timers(cmos);
	pthread_mutex_unlock(&cmos->lock);
	return 0;
}

/* ---- the device ------------------------------------------------------------- */

static void put(struct cmos *cmos, u8 index, u64 value, u32 bytes)
{
	for (; bytes--; value >>= 8)
		cmos->cell[index++] = value;
}

static u64 at_most(u64 value, u64 limit)
{
	return value < limit ? value : limit;
}

/* Where PC firmware looks up what memory there is; Linux does not, having an e820 */
static void describe_memory(struct cmos *cmos, const struct memory *memory)
{
	u64 above_1m = memory->low - SIZE_1M;
	u64 above_16m = memory->low > 16 * SIZE_1M ? memory->low - 16 * SIZE_1M : 0;

	put(cmos, 0x15, 640, 2);
	put(cmos, 0x17, at_most(above_1m >> 10, 0xffff), 2);
	put(cmos, 0x30, at_most(above_1m >> 10, 0xffff), 2);
	put(cmos, 0x34, at_most(above_16m >> 16, 0xffff), 2);
	put(cmos, 0x5b, at_most((memory->size - memory->low) >> 16, 0xffffff), 3);
}

void cmos_init(struct cmos *cmos, void (*now)(struct timespec *now))
{
	struct timespec time;

	*cmos = (struct cmos){
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.now = now,
		.second.fd = -1,
		.periodic.fd = -1,
	};
	cmos->cell[REG_A] = A_DIVIDER | RATE_1024_HZ;
	cmos->cell[REG_B] = B_24_HOURS;
	cmos->cell[REG_D] = D_VALID;
	now(&time);
	cmos->seconds = time.tv_sec;
	cmos->periods = (time.tv_sec * NS + time.tv_nsec) / period_ns(cmos);
}

static void now(struct timespec *time)
{
	clock_gettime(CLOCK_REALTIME, time);
}

/* Each second when it begins, on the clock that tells the time; the other by itself */
static void set_timer(struct cmos *cmos, bool periodic, u64 ns)
{
	struct itimerspec when = { 0 };
	struct timespec time;

	if (periodic) {
		when.it_interval = (struct timespec){ ns / NS, ns % NS };
		when.it_value = when.it_interval;
		timerfd_settime(cmos->periodic.fd, 0, &when, NULL);
		return;
	}
	now(&time);
	if (ns) {
		when.it_interval.tv_sec = 1;
		when.it_value.tv_sec = time.tv_sec + 1;
	}
	timerfd_settime(cmos->second.fd, TFD_TIMER_ABSTIME, &when, NULL);
}

static void second_over(void *opaque, u32 events)
{
	struct cmos *cmos = opaque;
	u64 expiries;

	(void)events;
	if (read(cmos->second.fd, &expiries, sizeof(expiries)) > 0)
		cmos_expired(cmos);
}

static void period_over(void *opaque, u32 events)
{
	struct cmos *cmos = opaque;
	u64 expiries;

	(void)events;
	if (read(cmos->periodic.fd, &expiries, sizeof(expiries)) > 0)
		cmos_expired(cmos);
}

static void finish(void *opaque)
{
	struct cmos *cmos = opaque;

	if (cmos->second.fd >= 0)
		close(cmos->second.fd);
	if (cmos->periodic.fd >= 0)
		close(cmos->periodic.fd);
	free(cmos);
}

static int make_timer(struct cmos *cmos, struct event_source *source, int clock,
		      void (*ready)(void *opaque, u32 events))
{
	*source = (struct event_source){
		.fd = timerfd_create(clock, TFD_CLOEXEC | TFD_NONBLOCK),
		.mask = EPOLLIN, .ready = ready, .opaque = cmos,
	};
	if (source->fd < 0)
		return error_errno("making a timer");
	return events_add(&cmos->machine->events, source);
}

static int create(struct machine *machine)
{
	struct cmos *cmos = malloc(sizeof(*cmos));

	if (!cmos)
		return error_set("out of memory");
	cmos_init(cmos, now);
	cmos->machine = machine;
	cmos->irq = irq_set;
	cmos->timer = set_timer;
	cmos->interrupts = machine->config->legacy;
	describe_memory(cmos, &machine->memory);
	if (machine_at_end(machine, finish, cmos) ||
	    (cmos->interrupts &&
	     (make_timer(cmos, &cmos->second, CLOCK_REALTIME, second_over) ||
	      make_timer(cmos, &cmos->periodic, CLOCK_MONOTONIC, period_over))) ||
	    bus_claim_ports(&machine->bus, INDEX_PORT, 2, 1, cmos_access, cmos))
		return -1;
	return state_add(machine, "cmos", cmos_save, cmos_restore, cmos);
}

DEVICE(cmos, create);
