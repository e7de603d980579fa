// SPDX-License-Identifier: GPL-2.0-only
/*
 * A guest that has four times as much memory as its memory cgroup lets it keep: it finishes, what it
 * wrote comes back from swap, nobody is killed, and the pages that it uses all the time stay. Those
 * the host can only know from what the notifier answers when it asks for the age of a page
 * (module/paging/notifier.c): the launcher itself never touches them, so that its own page table
 * says nothing.
 *
 * In the emulator it is 32 MiB in 8 MiB. THV_TEST_RECLAIM_MB=512 makes it 512 MiB in 128 MiB; on the
 * host kernel that watches it is 16 MiB in 4 MiB.
 */
#include <stdlib.h>
#include "kselftest_harness.h"
#include "lib/host.h"
#include "lib/tracing.h"
#include "guests/host.h"

GUEST(host);

#define GPA		(1ULL << 24)
#define SMALLEST	16	/* MiB: with less, the cgroup has no room for the launcher beside */
#define PARTS		16	/* the guest's memory: hot and idle are a part each, the rest is a stream */
#define CHUNKS		8	/* of a part; after each of the stream's, the hot ones are used */

FIXTURE(reclaim) {
	struct vm *vm;
	struct vcpu *vcpu;
	u8 *mem;
	size_t size;
	u64 part;	/* pages */
};

FIXTURE_VARIANT(reclaim) {
	bool shared;
};

FIXTURE_VARIANT_ADD(reclaim, anonymous) {
	.shared = false,
};

/* As the launcher has it: a memfd */
FIXTURE_VARIANT_ADD(reclaim, file) {
	.shared = true,
};

FIXTURE_SETUP(reclaim)
{
	const char *text = getenv("THV_TEST_RECLAIM_MB");

	self->size = (size_t)(text && atoi(text) >= SMALLEST ? atoi(text) : 32) << 20;
	self->part = self->size / PAGE / PARTS;
	REQUIRE(host_swap(), "the host can have no swap");
	REQUIRE(tracing_possible(), "tracefs is not to be had");
	/* Before Linux 6.6 an instance has its thousands of files at once, which count as the cgroup's memory */
	tracing_begin();
	if (!host_enter_cgroup(self->size / 4)) {
		tracing_end();
		SKIP(_exit(255), "there is no memory controller");
	}
	self->vm = vm_create(host);
	self->vcpu = self->vm->vcpu;
	self->mem = variant->shared ?
		    host_map_at(NULL, self->size, PROT_READ | PROT_WRITE, MAP_SHARED,
				host_memfd(self->size), 0) : host_map(self->size);
	madvise(self->mem, self->size, MADV_NOHUGEPAGE);
	ASSERT_EQ(0, vm_set_memory(self->vm, 1, 0, GPA, self->size, self->mem));
}

FIXTURE_TEARDOWN(reclaim)
{
	vm_close(self->vm);
	munmap(self->mem, self->size);
	host_leave_cgroup();
	tracing_end();
}

/* Pages of the hot part that had to be brought back, all in all */
static u64 use_hot(FIXTURE_DATA(reclaim) *self)
{
	u64 there = host_resident(self->mem, self->part * PAGE);

	guest_call(self->vcpu, guest_host_touch, GPA, PAGE, self->part);
	return self->part - there;
}

struct outcome {
	u64 wrong, refaults, uses;
};

/* The stream goes by once, and in between the hot pages are used, over and over */
static struct outcome stream(FIXTURE_DATA(reclaim) *self, bool fill)
{
	u64 first = 2 * self->part, pages = self->size / PAGE - first, chunk = self->part / CHUNKS, at;
	struct outcome outcome = {};

	for (at = 0; at < pages; at += chunk) {
		u64 gpa = GPA + (first + at) * PAGE;

		if (fill)
			guest_call(self->vcpu, guest_host_fill, gpa, PAGE, chunk, at);
		else
			outcome.wrong += guest_call(self->vcpu, guest_host_check, gpa, PAGE, chunk, at);
		outcome.refaults += use_hot(self);
		outcome.uses += self->part;
	}
	return outcome;
}

/* What the notifier answered to the host's questions for the age of pages */
struct answers {
	u64 asked, used;
};

static void watch_answers(FIXTURE_DATA(reclaim) *self)
{
	char filter[32];

	snprintf(filter, sizeof(filter), "vm == %u", self->vm->id);
	tracing_put("events/thv/thv_notifier/filter", filter);
	tracing_put("events/thv/thv_notifier/enable", "1");
}

static struct answers answers_about(const u8 *mem, u64 pages)
{
	struct answers answers = {};
	unsigned long long start;
	const char *line;

	for (line = tracing_lines(); (line = strstr(line, "what=age start=")); line++) {
		sscanf(line, "what=age start=%llx", &start);
		if (start < (uintptr_t)mem || start >= (uintptr_t)(mem + pages * PAGE))
			continue;
		answers.asked++;
		answers.used += !strncmp(strstr(line, "young="), "young=1", 7);
	}
	return answers;
}

/* Half an hour: the emulator may be asked for the full size */
TEST_F_TIMEOUT(reclaim, a_guest_larger_than_its_cgroup_finishes_and_keeps_what_it_uses, 1800)
{
	u64 idle = GPA + self->part * PAGE, begun = now_us(), kept;
	struct outcome filled, checked;
	struct answers hot, unused;

	/* The hot and the idle ones come into being alike; then only the hot ones are used */
	guest_call(self->vcpu, guest_host_fill, GPA, PAGE, 2 * self->part, 7);
	watch_answers(self);
	filled = stream(self, true);
	kept = host_resident(self->mem + self->part * PAGE, self->part * PAGE);
	checked = stream(self, false);
	hot = answers_about(self->mem, self->part);
	unused = answers_about(self->mem + self->part * PAGE, self->part);
	tracing_put("events/thv/enable", "0");
	fprintf(stderr, "# %zu MiB in %zu MiB: %llu ms; brought back of %llu uses of hot pages: %llu while filling, %llu while checking; of %llu idle pages %llu were left; swapped %lu MiB; faults %llu; the host asked %llu times for a hot page's age and heard \"used\" %llu times, of an idle one's %llu and %llu\n",
		self->size >> 20, self->size >> 22, (now_us() - begun) / 1000, filled.uses, filled.refaults,
		checked.refaults, self->part, kept, host_swapped(self->mem, self->size) >> 8,
		vm_counter(self->vm, THV_STAT_faults), hot.asked, hot.used, unused.asked, unused.used);

	EXPECT_EQ(0, checked.wrong) TH_LOG("what was written is not what came back");
	EXPECT_EQ(0, guest_call(self->vcpu, guest_host_check, GPA, PAGE, self->part, 7));
	EXPECT_EQ(0, guest_call(self->vcpu, guest_host_check, idle, PAGE, self->part, 7 + self->part));
	EXPECT_EQ(0, host_read_field(HOST_CGROUP "/memory.events", "oom_kill"));
	EXPECT_GT(self->part / 8, kept) TH_LOG("the host was short of nothing");
	/* Pages taken by chance would come back three and a half times each, a quarter of what there is room for */
	EXPECT_GT(self->part * 3, filled.refaults) TH_LOG("the working set was not kept");
	EXPECT_GT(self->part * 3, checked.refaults) TH_LOG("the working set was not kept");
	/*
	 * The host has means of its own, too (what comes back from swap soon after it went, it protects): so
	 * look at what it was told. Hot pages it asks for more than once between two uses, of idle ones seldom:
	 * they were used once, when they were filled. Nor need it ask at all, or what it asked be still in the
	 * buffer of the trace.
	 */
	EXPECT_LE(hot.asked / 8, hot.used) TH_LOG("the host was not told what is in use");
	EXPECT_GE(self->part, unused.used) TH_LOG("the host was told that idle pages are in use");
}

THV_TEST_MAIN
