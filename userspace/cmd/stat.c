// SPDX-License-Identifier: GPL-2.0-only
/* thv stat: a VM's counters, and its exit ledger, once or at intervals. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cmd/commands.h"
#include "lib/control.h"
#include "lib/counters.h"
#include "lib/device.h"
#include "lib/error.h"
#include "lib/json.h"
#include "lib/ledger.h"

struct stat_values {
	const char *vm, *histogram;
	u32 interval, count;
	bool json;
};

#define FIELD(member)	.field = offsetof(struct stat_values, member)

static const struct option_row options[] = {
	{ "VM", NULL, "the VM: its number", option_text, FIELD(vm), .positional = true,
	  .required = true },
	{ "interval", "SECONDS", "keep the exit ledger, and print what comes in each interval",
	  option_number, FIELD(interval), .minimum = 1, .maximum = 86400 },
	{ "count", "N", "end after so many intervals; without it, when the VM ends",
	  option_number, FIELD(count), .minimum = 1, .maximum = 1000000000 },
	{ "histogram", "REASON", "draw the times of exits of this reason, or of all",
	  option_text, FIELD(histogram) },
	{ "json", NULL, "print JSON, one line an interval", option_flag, FIELD(json) },
	{ 0 }
};

static const char details[] =
	"The ledger tells for each exit reason how many exits there were and what each took until the "
	"guest ran again: in the kernel, and in the launcher. It is kept only while somebody wants it: "
	"this command with --interval, or thv run --stats. Without --interval it is shown as far as "
	"it has been kept.\n\n"
	"Times are the clock's: interrupts and other tasks of the host are in them. A vCPU that sleeps "
	"(HLT, a paused VM) is asleep, and that is no exit's time. p50 and p99 are read off "
	"histograms whose buckets double in width, so they are right to within their bucket.\n\n"
	"Example: thv stat 1 --interval 1 --histogram \"EPT violation\"";

static const struct option_status statuses[] = {
	{ 0, "done" },
	{ STATUS_ERROR, "there is no such VM, or it cannot be looked at" },
	{ 0, NULL }
};

/* What is known of the VM at one time */
struct look {
	struct thv_vm_stats stats;
	struct ledger ledger;
	double time;
};

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

static int take(int vm, struct look *look)
{
	look->time = now();
	if (vm_stats(vm, &look->stats) < 0)
		return -1;
	return ledger_read(vm, &look->ledger);
}

static u32 known_counters(const struct thv_vm_stats *stats)
{
	return stats->counters < THV_STATS ? stats->counters : THV_STATS;
}

/* What has come since @before (NULL: since the beginning) */
static void since(struct look *look, const struct look *before)
{
	u32 i;

	if (!before)
		return;
	for (i = 0; i < known_counters(&look->stats); i++)
		look->stats.counter[i] -= before->stats.counter[i];
	ledger_since(&look->ledger, &before->ledger);
	look->time -= before->time;
}

static void print_counters(const struct thv_vm_stats *stats, double seconds)
{
	u32 i;

	printf("%12s  counter\n", seconds > 0 ? "per second" : "count");
	for (i = 0; i < known_counters(stats); i++)
		if (stats->counter[i])
			printf("%12.0f  %s: %s\n",
			       stats->counter[i] / (seconds > 0 ? seconds : 1), counters[i].name,
			       counters[i].meaning);
}

static void print_text(const struct look *look, int reason, bool histogram, double seconds)
{
	printf("VM %u (%s), %u vCPU%s", look->stats.id, look->stats.name, look->stats.vcpus,
	       look->stats.vcpus == 1 ? "" : "s");
	if (seconds > 0)
		printf(", %.1f s", seconds);
	putchar('\n');
	if (!histogram)
		print_counters(&look->stats, seconds);
	if (!ledger_exits(&look->ledger)) {
		if (seconds <= 0)
			printf("No exit ledger has been kept; --interval keeps one.\n");
		return;
	}
	putchar('\n');
	if (histogram)
		ledger_histograms(stdout, &look->ledger, reason);
	else
		ledger_table(stdout, &look->ledger, seconds);
}

static void print_json(const struct look *look, double seconds)
{
	struct json json = { .file = stdout };
	u32 i;

	json_open(&json, NULL, '{');
	json_number(&json, "id", look->stats.id);
	json_text(&json, "name", look->stats.name);
	json_number(&json, "vcpus", look->stats.vcpus);
	if (seconds > 0)
		json_number(&json, "interval_ms", seconds * 1000);
	json_open(&json, "counters", '{');
	for (i = 0; i < known_counters(&look->stats); i++)
		json_number(&json, counters[i].name, look->stats.counter[i]);
	json_close(&json, '}');
	ledger_json(&json, "ledger", &look->ledger);
	json_close(&json, '}');
	putchar('\n');
}

static void print(const struct stat_values *values, const struct look *look, int reason,
		  double seconds)
{
	if (values->json)
		print_json(look, seconds);
	else
		print_text(look, reason, values->histogram, seconds);
	fflush(stdout);
}

static int fail(int status)
{
	fprintf(stderr, "thv stat: %s\n", error_text());
	return status;
}

/* A VM that ends while it is watched is no error: there is nothing more to tell. */
static int watch(int vm, const struct stat_values *values, int reason)
{
	static struct look before, look, difference;
	u32 i;

	if (ledger_keep(vm) < 0 || take(vm, &before))
		return fail(STATUS_ERROR);
	for (i = 0; !values->count || i < values->count; i++) {
		sleep(values->interval);
		if (take(vm, &look))
			return 0;
		difference = look;
		since(&difference, &before);
		print(values, &difference, reason, difference.time);
		if (!values->json)
			putchar('\n');
		before = look;
	}
	return 0;
}

static int once(int vm, const struct stat_values *values, int reason)
{
	static struct look look;

	if (take(vm, &look))
		return fail(STATUS_ERROR);
	print(values, &look, reason, 0);
	return 0;
}

static int run(void *opaque)
{
	const struct stat_values *values = opaque;
	int vm, status, reason = -1;

	if (values->count && !values->interval) {
		error_set("--count counts intervals; give --interval, too");
		return fail(STATUS_USAGE);
	}
	if (values->histogram && strcmp(values->histogram, "all")) {
		reason = ledger_find(values->histogram);
		if (reason < 0)
			return fail(STATUS_USAGE);
	}
	vm = control_open(values->vm);
	if (vm < 0)
		return fail(STATUS_ERROR);
	status = values->interval ? watch(vm, values, reason) : once(vm, values, reason);
	close(vm);
	return status;
}

const struct command cmd_stat = {
	.name = "stat",
	.summary = "a VM's counters, and what its exits cost",
	.details = details,
	.options = options,
	.statuses = statuses,
	.values_size = sizeof(struct stat_values),
	.run = run,
};
