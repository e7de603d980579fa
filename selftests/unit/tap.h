/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a native test needs: claims, counted and printed in the Test Anything
 * Protocol, the kernel's own format for test results.
 *
 *	int main(void)
 *	{
 *		tap_ok(1 + 1 == 2, "one and one is two");
 *		tap_is(f(3), 9, "f squares %d", 3);
 *		return tap_done();
 *	}
 *
 * A claim that is not met is told with its place, and the program goes on; its
 * exit status is 1 in the end. A claim in a loop of thousands: tap_check() keeps
 * silent while it holds, and one tap_ok(tap_held(), ...) after the loop reports
 * for all.
 */
#ifndef _TAP_H
#define _TAP_H

#include <stdarg.h>
#include <stdio.h>

static struct {
	unsigned int run, failed, skipped;
	unsigned int broken;	/* tap_check() since the last tap_held() */
} tap;

#define TAP_SHOWN	10	/* broken claims told per tap_held(): the rest says no more */

__attribute__((format(printf, 4, 5), unused))
static int tap_report(int held, const char *file, int line, const char *claim, ...)
{
	va_list arguments;

	printf("%sok %u - ", held ? "" : "not ", ++tap.run);
	va_start(arguments, claim);
	vprintf(claim, arguments);
	va_end(arguments);
	printf("\n");
	if (!held) {
		tap.failed++;
		printf("# failed at %s:%d\n", file, line);
	}
	fflush(stdout);
	return held;
}

__attribute__((format(printf, 4, 5), unused))
static int tap_broken(int held, const char *file, int line, const char *detail, ...)
{
	va_list arguments;

	if (held || tap.broken++ >= TAP_SHOWN)
		return held;
	printf("# %s:%d: ", file, line);
	va_start(arguments, detail);
	vprintf(detail, arguments);
	va_end(arguments);
	printf("\n");
	return 0;
}

/* Did every tap_check() since the last call hold? */
__attribute__((unused))
static int tap_held(void)
{
	unsigned int broken = tap.broken;

	tap.broken = 0;
	if (broken > TAP_SHOWN)
		printf("# ... and %u more\n", broken - TAP_SHOWN);
	return broken == 0;
}

/* Call instead of a claim that cannot be tried here; the reason is for people */
__attribute__((format(printf, 1, 2), unused))
static void tap_skip(const char *reason, ...)
{
	va_list arguments;

	printf("ok %u # SKIP ", ++tap.run);
	va_start(arguments, reason);
	vprintf(reason, arguments);
	va_end(arguments);
	printf("\n");
	tap.skipped++;
}

/* The plan comes last, when the number is known; main() returns this */
__attribute__((unused))
static int tap_done(void)
{
	printf("1..%u\n", tap.run);
	return tap.failed || !tap.run;
}

/* tap_ok(condition, claim, ...): the claim is a printf format; gives the condition */
#define tap_ok(condition, ...)	tap_report(!!(condition), __FILE__, __LINE__, __VA_ARGS__)

/* tap_check(condition, detail, ...): silent while it holds */
#define tap_check(condition, ...) tap_broken(!!(condition), __FILE__, __LINE__, __VA_ARGS__)

/* tap_is(got, expected, claim, ...): equal as 64-bit integers */
#define tap_is(got, expected, ...) ({					\
	unsigned long long __got = (unsigned long long)(got);		\
	unsigned long long __expected = (unsigned long long)(expected);	\
	int __same = tap_ok(__got == __expected, __VA_ARGS__);		\
	if (!__same)							\
		printf("# got %llu (%#llx), expected %llu (%#llx)\n",	\
		       __got, __got, __expected, __expected);		\
	__same; })

#endif
