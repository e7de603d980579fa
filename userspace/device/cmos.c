// SPDX-License-Identifier: GPL-2.0-only
/*
 * The CMOS clock (Motorola MC146818) and its memory: an index port, a data port.
 * The time is the host's, in UTC, and read when asked; setting it has no effect.
 * It has no interrupt.
 */
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "boot/boot.h"
#include "lib/error.h"
#include "vmm/machine.h"

#define INDEX_PORT	0x70	/* bit 7 masks NMIs on a PC; not here */
#define CELLS		128

#define REG_A		0x0a
#define REG_B		0x0b
#define REG_C		0x0c
#define REG_D		0x0d
#define A_UPDATING	0x80
#define A_DIVIDER	0x26	/* 32.768 kHz, as every PC has it */
#define B_24_HOURS	0x02	/* and BCD: bit 2 is clear */
#define D_VALID		0x80

/* "Updating" shows this long before the seconds change, so that a reader can finish */
#define UPDATE_NS	244000

struct cmos {
	pthread_mutex_t lock;
	u8 index;
	u8 cell[CELLS];
};

static u8 bcd(int value)
{
	return value / 10 << 4 | value % 10;
}

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

static int (*const clock_cells[CELLS])(const struct tm *tm) = {
	[0x00] = seconds,
	[0x02] = minutes,
	[0x04] = hours,
	[0x06] = weekday,
	[0x07] = day,
	[0x08] = month,
	[0x09] = year,
	[CMOS_CENTURY] = century,
};

static u8 read_cell(const struct cmos *cmos, u8 index)
{
	struct timespec now;
	struct tm tm;

	clock_gettime(CLOCK_REALTIME, &now);
	if (clock_cells[index]) {
		gmtime_r(&now.tv_sec, &tm);
		return bcd(clock_cells[index](&tm));
	}
	if (index == REG_A)
		return A_DIVIDER | (now.tv_nsec >= 1000000000 - UPDATE_NS ? A_UPDATING : 0);
	return cmos->cell[index];
}

static void write_cell(struct cmos *cmos, u8 index, u8 value)
{
	if (clock_cells[index] || (index >= REG_A && index <= REG_D))
		return;
	cmos->cell[index] = value;
}

static u64 cmos_access(void *device, u64 offset, u32 length, bool write, u64 value)
{
	struct cmos *cmos = device;
	u64 result = 0xff;	/* the index cannot be read */

	(void)length;
	pthread_mutex_lock(&cmos->lock);
	if (!offset && write)
		cmos->index = value % CELLS;
	else if (offset && write)
		write_cell(cmos, cmos->index, value);
	else if (offset)
		result = read_cell(cmos, cmos->index);
	pthread_mutex_unlock(&cmos->lock);
	return result;
}

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

static int create(struct machine *machine)
{
	struct cmos *cmos = calloc(1, sizeof(*cmos));

	if (!cmos || machine_at_end(machine, free, cmos))
		return error_set("out of memory");
	pthread_mutex_init(&cmos->lock, NULL);
	cmos->cell[REG_B] = B_24_HOURS;
	cmos->cell[REG_D] = D_VALID;
	describe_memory(cmos, &machine->memory);
	return bus_claim_ports(&machine->bus, INDEX_PORT, 2, 1, cmos_access, cmos);
}

DEVICE(cmos, create);
