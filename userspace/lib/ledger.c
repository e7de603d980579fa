// SPDX-License-Identifier: GPL-2.0-only
/* Reading the exit ledger, and its arithmetic, tables and drawings. */
#include "lib/ledger.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/device.h"
#include "lib/error.h"

/* ---- reading ------------------------------------------------------------ */

static const struct device_sentence sentences[] = {
	{ ENOTTY, "this module has no ledger; install module and thv from one build" },
	{ ENOENT, "no such vCPU" },
	{ 0 }
};

int ledger_keep(int vm)
{
	return device_call(vm, THV_KEEP_LEDGER, NULL, "keeping the exit ledger", sentences);
}

static void add_row(struct thv_ledger_row *sum, const struct thv_ledger_row *row, int sign)
{
	int i;

	sum->count += sign * row->count;
	sum->user += sign * row->user;
	sum->kernel_cycles += sign * row->kernel_cycles;
	sum->user_cycles += sign * row->user_cycles;
	for (i = 0; i < THV_LEDGER_BUCKETS; i++) {
		sum->kernel[i] += sign * row->kernel[i];
		sum->launcher[i] += sign * row->launcher[i];
	}
}

static int add_vcpu(int vm, u32 id, struct ledger *ledger)
{
	struct thv_ledger_row row[LEDGER_ROWS];
	struct thv_get_ledger get = {
		.vcpu = id, .count = LEDGER_ROWS, .data = (unsigned long)row,
	};
	u32 i;

	if (device_call(vm, THV_GET_LEDGER, &get, "reading the exit ledger", sentences) < 0)
		return errno == ENOENT ? 0 : -1;
	ledger->tsc_khz = get.tsc_khz;
	ledger->guest_cycles += get.guest_cycles;
	ledger->asleep_cycles += get.asleep_cycles;
	for (i = 0; i < get.count && i < LEDGER_ROWS; i++)
		if (row[i].reason < LEDGER_ROWS)
			add_row(&ledger->row[row[i].reason], &row[i], 1);
	return 0;
}

int ledger_read(int vm, struct ledger *ledger)
{
	u32 i;

	memset(ledger, 0, sizeof(*ledger));
	for (i = 0; i < LEDGER_ROWS; i++)
		ledger->row[i].reason = i;
	for (i = 0; i < THV_MAX_VCPUS; i++)
		if (add_vcpu(vm, i, ledger))
			return -1;
	return 0;
}

void ledger_since(struct ledger *ledger, const struct ledger *before)
{
	u32 i;

	ledger->guest_cycles -= before->guest_cycles;
	ledger->asleep_cycles -= before->asleep_cycles;
	for (i = 0; i < LEDGER_ROWS; i++)
		add_row(&ledger->row[i], &before->row[i], -1);
}

/* ---- names -------------------------------------------------------------- */

static const char *const reasons[LEDGER_ROWS] = {
#define REASON_NAME(number, id, name)						\
	[number] = name,
	VMX_BASIC_REASONS(REASON_NAME)
#undef REASON_NAME
	[VMX_REASON_NONE] = "no entry",
};

const char *ledger_reason(u32 reason)
{
	return reason < LEDGER_ROWS ? reasons[reason] : NULL;
}

int ledger_find(const char *name)
{
	unsigned long number;
	char *end;
	int i;

	for (i = 0; i < LEDGER_ROWS; i++)
		if (reasons[i] && !strcasecmp(reasons[i], name))
			return i;
	number = strtoul(name, &end, 0);
	if (end != name && !*end && number < LEDGER_ROWS && reasons[number])
		return number;
	return error_set("%s: no exit reason; give its name as `thv stat` prints it, \"EPT violation\" say, or its number",
			 name);
}

/* ---- arithmetic --------------------------------------------------------- */

u64 ledger_exits(const struct ledger *ledger)
{
	u64 total = 0;
	u32 i;

	for (i = 0; i < LEDGER_ROWS; i++)
		total += ledger->row[i].count;
	return total;
}

static u64 sum(const u64 histogram[THV_LEDGER_BUCKETS])
{
	u64 total = 0;
	int i;

	for (i = 0; i < THV_LEDGER_BUCKETS; i++)
		total += histogram[i];
	return total;
}

static u64 lower(int bucket)
{
	return bucket ? 1ULL << bucket : 0;	/* the first has 0 in it, too */
}

u64 ledger_percentile(const u64 histogram[THV_LEDGER_BUCKETS], unsigned int percent)
{
	double wanted = sum(histogram) * (percent / 100.0), before = 0;
	u64 width;
	int i;

	for (i = 0; i < THV_LEDGER_BUCKETS; i++) {
		if (histogram[i] && before + histogram[i] >= wanted) {
			width = lower(i + 1) - lower(i);
			return lower(i) + width * ((wanted - before) / histogram[i]);
		}
		before += histogram[i];
	}
	return 0;
}

static u64 mean(u64 cycles, u64 count)
{
	return count ? cycles / count : 0;
}

static u64 nanoseconds(u64 cycles, u32 khz)
{
	return khz ? cycles * (1e6 / khz) : 0;
}

const char *ledger_time(char text[16], u64 cycles, u32 khz)
{
	static const char *const units[] = { "us", "ms", "s" };
	double value = nanoseconds(cycles, khz) / 1e3;
	size_t unit = 0;

	for (; value >= 999.5 && unit + 1 < ARRAY_SIZE(units); unit++)
		value /= 1000;
	snprintf(text, 16, "%.*f %s", value < 9.995 ? 2 : value < 99.95 ? 1 : 0, value, units[unit]);
	return text;
}

/* ---- printing ----------------------------------------------------------- */

static u64 cost(const struct thv_ledger_row *row)
{
	return row->kernel_cycles + row->user_cycles;
}

static int dearer(const void *a, const void *b)
{
	const struct thv_ledger_row *const *x = a, *const *y = b;

	if (cost(*x) != cost(*y))
		return cost(*x) < cost(*y) ? 1 : -1;
	return (*x)->count < (*y)->count ? 1 : -1;
}

/* The rows that have something, the dearest first; how many */
static int in_order(const struct ledger *ledger, const struct thv_ledger_row *order[LEDGER_ROWS])
{
	int i, count = 0;

	for (i = 0; i < LEDGER_ROWS; i++)
		if (ledger->row[i].count)
			order[count++] = &ledger->row[i];
	qsort(order, count, sizeof(order[0]), dearer);
	return count;
}

static void print_times(FILE *file, u64 cycles, const u64 histogram[THV_LEDGER_BUCKETS], u32 khz)
{
	u64 count = sum(histogram);
	char text[16];

	if (!count) {
		fprintf(file, "  %9s %9s %9s", "-", "-", "-");
		return;
	}
	fprintf(file, "  %9s", ledger_time(text, mean(cycles, count), khz));
	fprintf(file, " %9s", ledger_time(text, ledger_percentile(histogram, 50), khz));
	fprintf(file, " %9s", ledger_time(text, ledger_percentile(histogram, 99), khz));
}

static void print_shares(FILE *file, const struct ledger *ledger)
{
	u64 part[4] = { ledger->guest_cycles, 0, 0, ledger->asleep_cycles }, total = 0;
	static const char *const names[4] = { "guest", "kernel", "launcher", "asleep" };
	int i;

	for (i = 0; i < LEDGER_ROWS; i++) {
		part[1] += ledger->row[i].kernel_cycles;
		part[2] += ledger->row[i].user_cycles;
	}
	for (i = 0; i < 4; i++)
		total += part[i];
	fprintf(file, "vCPU time:");
	for (i = 0; i < 4; i++)
		fprintf(file, "%s %s %.1f %%", i ? "," : "", names[i],
			total ? 100.0 * part[i] / total : 0);
	fputc('\n', file);
}

void ledger_table(FILE *file, const struct ledger *ledger, double seconds)
{
	const struct thv_ledger_row *order[LEDGER_ROWS], *row;
	int i, count = in_order(ledger, order);
	double divide = seconds > 0 ? seconds : 1;

	print_shares(file, ledger);
	fprintf(file, "%10s %10s  %-29s  %-29s\n", "", "to the", "kernel time of an exit",
		"launcher time of an exit");
	fprintf(file, "%10s %10s  %9s %9s %9s  %9s %9s %9s  exit reason\n",
		seconds > 0 ? "exits/s" : "exits", seconds > 0 ? "launcher/s" : "launcher",
		"mean", "p50", "p99", "mean", "p50", "p99");
	for (i = 0; i < count; i++) {
		row = order[i];
		fprintf(file, "%10.0f %10.0f", row->count / divide, row->user / divide);
		print_times(file, row->kernel_cycles, row->kernel, ledger->tsc_khz);
		print_times(file, row->user_cycles, row->launcher, ledger->tsc_khz);
		fprintf(file, "  %s\n", ledger_reason(row->reason) ?: "unknown");
	}
}

#define BAR	"##################################################"

static void draw(FILE *file, const char *name, const char *where,
		 const u64 histogram[THV_LEDGER_BUCKETS], u32 khz)
{
	int i, first = -1, last = 0;
	char from[16], to[16];
	u64 most = 1;

	for (i = 0; i < THV_LEDGER_BUCKETS; i++) {
		if (!histogram[i])
			continue;
		first = first < 0 ? i : first;
		last = i;
		most = histogram[i] > most ? histogram[i] : most;
	}
	if (first < 0)
		return;
	fprintf(file, "%s, time in the %s: %llu exits\n", name, where, sum(histogram));
	for (i = first; i <= last; i++)
		fprintf(file, "%9s to %9s %10llu |%.*s\n", ledger_time(from, lower(i), khz),
			ledger_time(to, lower(i + 1), khz), histogram[i],
			(int)((histogram[i] * (sizeof(BAR) - 1) + most - 1) / most), BAR);
}

void ledger_histograms(FILE *file, const struct ledger *ledger, int reason)
{
	const struct thv_ledger_row *order[LEDGER_ROWS];
	int i, count = in_order(ledger, order);
	const char *name;

	for (i = 0; i < count; i++) {
		if (reason >= 0 && order[i]->reason != (u32)reason)
			continue;
		name = ledger_reason(order[i]->reason) ?: "unknown";
		draw(file, name, "kernel", order[i]->kernel, ledger->tsc_khz);
		draw(file, name, "launcher", order[i]->launcher, ledger->tsc_khz);
	}
}

static void histogram_json(struct json *json, const char *key,
			   const u64 histogram[THV_LEDGER_BUCKETS])
{
	int i;

	json_open(json, key, '[');
	for (i = 0; i < THV_LEDGER_BUCKETS; i++)
		json_number(json, NULL, histogram[i]);
	json_close(json, ']');
}

static void times_json(struct json *json, const char *key, u64 cycles,
		       const u64 histogram[THV_LEDGER_BUCKETS], u32 khz)
{
	json_open(json, key, '{');
	json_number(json, "cycles", cycles);
	json_number(json, "mean_ns", nanoseconds(mean(cycles, sum(histogram)), khz));
	json_number(json, "p50_ns", nanoseconds(ledger_percentile(histogram, 50), khz));
	json_number(json, "p99_ns", nanoseconds(ledger_percentile(histogram, 99), khz));
	histogram_json(json, "log2_cycles", histogram);
	json_close(json, '}');
}

void ledger_json(struct json *json, const char *key, const struct ledger *ledger)
{
	const struct thv_ledger_row *order[LEDGER_ROWS], *row;
	int i, count = in_order(ledger, order);

	json_open(json, key, '{');
	json_number(json, "tsc_khz", ledger->tsc_khz);
	json_number(json, "guest_cycles", ledger->guest_cycles);
	json_number(json, "asleep_cycles", ledger->asleep_cycles);
	json_open(json, "exits", '[');
	for (i = 0; i < count; i++) {
		row = order[i];
		json_open(json, NULL, '{');
		json_number(json, "reason", row->reason);
		json_text(json, "name", ledger_reason(row->reason) ?: "unknown");
		json_number(json, "count", row->count);
		json_number(json, "to_launcher", row->user);
		times_json(json, "kernel", row->kernel_cycles, row->kernel, ledger->tsc_khz);
		times_json(json, "launcher", row->user_cycles, row->launcher, ledger->tsc_khz);
		json_close(json, '}');
	}
	json_close(json, ']');
	json_close(json, '}');
}
