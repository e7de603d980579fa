// SPDX-License-Identifier: GPL-2.0-only
/*
 * Each allocation and each copy from user space fails once while the module is loaded and unloaded:
 * see failing.c. Whether it is loaded is the same before and after.
 */
#include <stdlib.h>
#include <sys/syscall.h>
#include "kselftest_harness.h"
#include "lib/fail_nth.h"
#include "lib/vm.h"

#define DEEP	10000		/* loading or unloading comes to fewer places that can fail */

#define MODULE	"/root/thv.ko"		/* THV_TEST_MODULE names another */

FIXTURE(module)
{
	int fd;
};

FIXTURE_SETUP(module)
{
	const char *path = getenv("THV_TEST_MODULE") ?: MODULE;

	self->fd = open(path, O_RDONLY | O_CLOEXEC);
	REQUIRE(self->fd >= 0, "there is no %s, and THV_TEST_MODULE names no other", path);
	fail_nth_open();
}

FIXTURE_TEARDOWN(module)
{
	close(fail_nth_fd);
	close(self->fd);
}

static int load_with(FIXTURE_DATA(module) *self, const char *parameters)
{
	return syscall(SYS_finit_module, self->fd, parameters, 0) ? -errno : 0;
}

static int load(FIXTURE_DATA(module) *self)
{
	return load_with(self, "");
}

static int unload(void)
{
	return syscall(SYS_delete_module, "thv", O_NONBLOCK) ? -errno : 0;
}

static bool device_there(void)
{
	return !access("/dev/thv", F_OK);
}

static int load_failing(FIXTURE_DATA(module) *self, unsigned int nth, unsigned int *left)
{
	int result;

	fail_nth_arm(nth);
	result = load(self);
	*left = fail_nth_disarm();
	return result;
}

/* What the kernel has logged since @log was opened or read, as far as one record: does it have @text? */
static bool log_says(int log, const char *text)
{
	char record[1024];
	bool found = false;
	ssize_t size;

	while ((size = read(log, record, sizeof(record) - 1)) > 0) {
		record[size] = 0;
		found |= !!strstr(record, text);
	}
	return found;
}

/* Is it the module itself that meets the n-th place? (The first after it that is not got over.) */
static bool is_ours(FIXTURE_DATA(module) *self, unsigned int nth)
{
	int log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	unsigned int left;
	bool ours;
	int result;

	lseek(log, 0, SEEK_END);
	do {
		result = load_failing(self, nth++, &left);
		if (!result)
			must(unload());
	} while (!result && !left);
	ours = !result || log_says(log, "thv: not loaded");
	close(log);
	return ours;
}

/*
 * Most of what there is to fail is the kernel's own and comes before the module's part. Memory for
 * the module and its tracepoints come first: of those the kernel itself gives a warning, so they are
 * left alone. How many they are a parameter tells that cannot be read: it is looked at after them. Then
 * comes sysfs; where that ends is found by halving.
 */
static unsigned int first_place(FIXTURE_DATA(module) *self)
{
	unsigned int low, high, middle, left;

	fail_nth_arm(DEEP);
	if (load_with(self, "guard_us=?") != -EINVAL)
		fail("guard_us=? is taken for a number");
	low = DEEP - fail_nth_disarm() + 1;
	must(load_failing(self, DEEP, &left));
	must(unload());
	for (high = DEEP - left; low < high; ) {
		middle = (low + high) / 2;
		if (is_ours(self, middle))
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

TEST_F_TIMEOUT(module, loading_is_refused_whole_or_done, 1500)
{
	unsigned int nth, first, left, refused = 0;
	int result;

	ASSERT_EQ(0, unload());
	nth = first = first_place(self);
	do {
		ASSERT_GT(DEEP, nth);
		result = load_failing(self, nth, &left);
		EXPECT_EQ(!result, device_there()) TH_LOG("place %u", nth);
		if (result < 0) {
			ASSERT_TRUE(!left && fail_nth_is_want(result))
				TH_LOG("place %u: %s", nth, strerror(-result));
			refused++;
		} else {
			ASSERT_EQ(0, unload()) TH_LOG("place %u", nth);
		}
		nth++;
	} while (!left);
	TH_LOG("places %u to %u, %u refused", first, nth - 2, refused);
	EXPECT_LT(0, refused);
	ASSERT_EQ(0, load(self));
}

/* Once the kernel has been told which module (its name is copied), the module cannot say no */
TEST_F_TIMEOUT(module, unloading_is_done_whatever_fails, 600)
{
	unsigned int nth, refused = 0;
	bool failed = true;
	int result;

	if (!device_there())
		ASSERT_EQ(0, load(self));
	for (nth = 1; failed; nth++) {
		ASSERT_GT(DEEP, nth);
		fail_nth_arm(nth);
		result = unload();
		failed = !fail_nth_disarm();
		refused += result == -EFAULT;
		ASSERT_TRUE(!result || (failed && result == -EFAULT)) TH_LOG("place %u: %s", nth, strerror(-result));
		EXPECT_EQ(!!result, device_there());
		if (!result)
			ASSERT_EQ(0, load(self)) TH_LOG("place %u", nth);
	}
	TH_LOG("%u places, %u refused", nth - 2, refused);
	EXPECT_GE(1, refused);
	EXPECT_LT(2 + refused, nth);
}

FAIL_NTH_MAIN
