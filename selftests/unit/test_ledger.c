// SPDX-License-Identifier: GPL-2.0-only
// sources: userspace/lib/ledger.c userspace/lib/json.c userspace/lib/error.c
/* The ledger's arithmetic: sums, percentiles, the table and the drawing; a module is acted here. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/device.h"
#include "lib/error.h"
#include "lib/ledger.h"
#include "tap.h"

/* Two vCPUs, 0 and 3, with 100 and 50 CPUIDs and an exit of a reason that we do not know */
static bool broken;

int device_call(int fd, unsigned long request, void *argument, const char *what,
		const struct device_sentence *sentences)
{
	struct thv_get_ledger *get = argument;
	struct thv_ledger_row *row = (void *)(unsigned long)get->data;

	if (broken || (get->vcpu != 0 && get->vcpu != 3)) {
		errno = broken ? EIO : ENOENT;
		return error_set("%s", what);
	}
	memset(row, 0, 2 * sizeof(*row));
	row[0].reason = VMX_REASON_CPUID;
	row[0].count = get->vcpu ? 50 : 100;
	row[0].kernel_cycles = row[0].count * 3000;
	row[0].kernel[11] = row[0].count;
	row[1].reason = 4000;
	row[1].count = 1;
	get->count = 2;
	get->guest_cycles = 1000;
	get->asleep_cycles = 10;
	get->tsc_khz = 1000000;
	return 0;
}

static void test_reading(void)
{
	static struct ledger ledger, before;

	tap_is(ledger_read(5, &ledger), 0, "the ledger is read");
	tap_is(ledger.row[VMX_REASON_CPUID].count, 150, "vCPUs are summed, gaps in their ids or not");
	tap_is(ledger_exits(&ledger), 150, "a reason beyond the table is left out");
	tap_is(ledger.guest_cycles, 2000, "guest time is summed");
	before = ledger;
	ledger.row[VMX_REASON_CPUID].count += 7;
	ledger.row[VMX_REASON_CPUID].kernel[11] += 7;
	ledger.guest_cycles += 5;
	ledger_since(&ledger, &before);
	tap_ok(ledger.row[VMX_REASON_CPUID].count == 7 && ledger.guest_cycles == 5 &&
	       ledger.row[VMX_REASON_CPUID].kernel[11] == 7 && !ledger.asleep_cycles,
	       "what came since is the difference");
	broken = true;
	tap_is(ledger_read(5, &ledger), -1, "a dead VM is an error");
	broken = false;
}

static void test_percentiles(void)
{
	u64 histogram[THV_LEDGER_BUCKETS] = { 0 };

	tap_is(ledger_percentile(histogram, 50), 0, "nothing has no median");
	histogram[10] = 100;
	tap_is(ledger_percentile(histogram, 50), 1536, "half way in a bucket is its middle");
	tap_is(ledger_percentile(histogram, 99), 1024 + 1013, "99 in 100 is near its end");
	histogram[10] = 98;
	histogram[20] = 2;
	tap_check(ledger_percentile(histogram, 50) < 2048, "median");
	tap_check(ledger_percentile(histogram, 99) >= 1 << 20, "p99");
	tap_check(ledger_percentile(histogram, 98) == 2048, "at the edge: %llu",
		  ledger_percentile(histogram, 98));
	tap_ok(tap_held(), "a long tail is in p99 and not in the median");
	memset(histogram, 0, sizeof(histogram));
	histogram[0] = 4;
	tap_is(ledger_percentile(histogram, 50), 1, "the first bucket begins at 0");
	memset(histogram, 0, sizeof(histogram));
	histogram[THV_LEDGER_BUCKETS - 1] = 1;
	tap_ok(ledger_percentile(histogram, 100) == 1ULL << THV_LEDGER_BUCKETS,
	       "the last one ends where it should");
}

static void test_words(void)
{
	static const struct { u64 cycles; const char *text; } times[] = {
		{ 0, "0.00 us" }, { 1500, "1.50 us" }, { 12345, "12.3 us" }, { 123456, "123 us" },
		{ 1500000, "1.50 ms" }, { 2500000000ULL, "2.50 s" }, { 9996, "10.0 us" },
		{ 999600, "1.00 ms" },
	};
	char text[16];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(times); i++)
		tap_check(!strcmp(ledger_time(text, times[i].cycles, 1000000), times[i].text),
			  "%llu: %s", times[i].cycles, text);
	tap_ok(tap_held(), "times are short and have a unit");
	tap_is(ledger_find("cpuid"), VMX_REASON_CPUID, "a reason is found by name, whatever its case");
	tap_is(ledger_find("48"), VMX_REASON_EPT_VIOLATION, "or by number");
	tap_ok(ledger_find("35") < 0 && ledger_find("x") < 0 && ledger_find("") < 0 &&
	       ledger_find("-1") < 0 && ledger_find("9999") < 0, "others are refused");
	tap_ok(!ledger_reason(35) && !ledger_reason(~0U) && ledger_reason(VMX_REASON_NONE),
	       "a number that the manual skips has no name");
}

static char *printed(void (*print)(FILE *file))
{
	char *text = NULL;
	size_t size;
	FILE *file = open_memstream(&text, &size);

	print(file);
	fclose(file);
	return text;
}

static struct ledger sample;

static void print_table(FILE *file)
{
	ledger_table(file, &sample, 2);
}

static void print_histograms(FILE *file)
{
	ledger_histograms(file, &sample, VMX_REASON_HLT);
}

static void print_json(FILE *file)
{
	struct json json = { .file = file };

	json_open(&json, NULL, '{');
	ledger_json(&json, "ledger", &sample);
	json_close(&json, '}');
}

static void test_printing(void)
{
	struct thv_ledger_row *hlt = &sample.row[VMX_REASON_HLT];
	char *text;
	u32 i;

	for (i = 0; i < LEDGER_ROWS; i++)
		sample.row[i].reason = i;
	sample.tsc_khz = 1000000;
	sample.guest_cycles = 1000000;
	sample.row[VMX_REASON_CPUID].count = 10;
	*hlt = (struct thv_ledger_row){
		.reason = VMX_REASON_HLT, .count = 40, .user = 2, .kernel_cycles = 1000000,
		.kernel[12] = 30, .kernel[14] = 10, .launcher[20] = 2,
	};
	text = printed(print_table);
	tap_ok(strstr(text, "guest 50.0 %") && strstr(text, "kernel 50.0 %"), "shares add up");
	tap_ok(strstr(text, "        20          1  ") && strstr(text, "  HLT\n") < strstr(text, "  CPUID\n"),
	       "rates, the dearest first");
	free(text);
	text = printed(print_histograms);
	tap_ok(strstr(text, "HLT, time in the kernel: 40 exits\n") && strstr(text, "in the launcher: 2"),
	       "a histogram for each place");
	tap_ok(strstr(text, "         0 |\n"), "an empty bucket between two is shown");
	tap_ok(strstr(text, "30 |##################################################\n") &&
	       strstr(text, "10 |#################\n"), "bars are in proportion");
	free(text);
	text = printed(print_json);
	tap_ok(strstr(text, "\"name\":\"HLT\",\"count\":40,\"to_launcher\":2,\"kernel\":{\"cycles\":1000000,\"mean_ns\":25000,"),
	       "JSON has the same");
	free(text);
}

int main(void)
{
	test_reading();
	test_percentiles();
	test_words();
	test_printing();
	return tap_done();
}
