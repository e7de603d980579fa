// SPDX-License-Identifier: GPL-2.0-only
// sources: module/paging/flush_ledger.c
/*
 * The flush ledger: it says nothing to what is right, and notices each flush that is left out.
 */
#include <stdlib.h>
#include <string.h>
#include <linux/kernel.h>
#include "paging/flush_ledger.h"
#include "tap.h"

#define TAGS	4
#define CPUS	2

static struct thv_flush_vm vm;
static struct thv_flush_vcpu vcpu[2];

static void start(void)
{
	thv_flush_vm_init(&vm);
	thv_flush_vcpu_init(&vcpu[0]);
	thv_flush_vcpu_init(&vcpu[1]);
}

static void flush(int which, int cpu)
{
	thv_flush_done(&vcpu[which], cpu, thv_flush_begin(&vm));
}

static bool enter(int which, int cpu)
{
	return thv_flush_enter(&vm, &vcpu[which], cpu);
}

/* ---- what the tables lose ---- */

static void test_first_entry(void)
{
	start();
	tap_ok(!enter(0, 0), "a vCPU that was never flushed must not go in");
	start();
	flush(0, 0);
	tap_ok(enter(0, 0), "... and may once it was");
	thv_flush_exit(&vcpu[0]);
	tap_ok(!enter(0, 1), "on another CPU that flush is none");
	thv_flush_exit(&vcpu[0]);
	flush(0, 1);
	tap_ok(enter(0, 1), "... another one is needed");
	thv_flush_exit(&vcpu[0]);
	tap_ok(!enter(0, 0), "back on the first CPU, too");
}

/* Zap, ask for a flush, wait until nobody is inside, let go: as the module does it */
static void test_zap(void)
{
	start();
	flush(0, 0);
	tap_ok(enter(0, 0), "the guest runs");
	thv_flush_removed(&vm);
	tap_ok(thv_flush_may_hold(&vm, &vcpu[0]), "a page is taken out: who is inside may hold it");
	thv_flush_exit(&vcpu[0]);
	tap_ok(!thv_flush_may_hold(&vm, &vcpu[0]), "... and does not use it any more outside");
	thv_flush_released(&vm);
	tap_ok(!enter(0, 0), "the page is let go: without a flush nobody goes in");
	thv_flush_exit(&vcpu[0]);
	flush(0, 0);
	tap_ok(enter(0, 0), "... and with one does");
	tap_ok(!thv_flush_may_hold(&vm, &vcpu[0]), "... and holds nothing that is out");
}

static void test_flush_left_out(void)
{
	start();
	flush(0, 0);
	flush(1, 1);
	enter(0, 0);
	enter(1, 1);
	thv_flush_removed(&vm);
	thv_flush_exit(&vcpu[0]);
	flush(0, 0);
	enter(0, 0);
	tap_ok(!thv_flush_may_hold(&vm, &vcpu[0]), "of two vCPUs one has flushed");
	tap_ok(thv_flush_may_hold(&vm, &vcpu[1]), "... and the other, not asked, is found out");
}

static void test_flush_too_early(void)
{
	u64 number;

	start();
	number = thv_flush_begin(&vm);
	thv_flush_removed(&vm);
	thv_flush_done(&vcpu[0], 0, number);
	thv_flush_released(&vm);
	tap_ok(!enter(0, 0), "a flush that began before the page was out does not cover it");
}

/* ---- tags ---- */

static struct thv_flush_tags tags = { .tags = TAGS, .cpus = CPUS };

static void start_tags(void)
{
	free(tags.owner);
	free(tags.held);
	tags.owner = calloc(TAGS, sizeof(u32));
	tags.held = calloc(TAGS * CPUS, sizeof(u32));
}

static void test_tags(void)
{
	u32 first, second;

	start_tags();
	first = thv_flush_tag_taken(&tags, TAGS);
	tap_ok(first, "a tag is taken");
	tap_ok(thv_flush_tag_enter(&tags, 1, TAGS, first), "its first owner needs no flush");
	tap_ok(thv_flush_tag_enter(&tags, 0, TAGS, first), "... on no CPU");
	tap_ok(!thv_flush_tag_taken(&tags, TAGS), "it cannot be taken twice");
	tap_ok(thv_flush_tag_given_back(&tags, TAGS, first), "it is given back");
	second = thv_flush_tag_taken(&tags, TAGS);
	tap_ok(second && second != first, "... and is another's");
	thv_flush_tag_forgotten(&tags, 0, TAGS);
	tap_ok(thv_flush_tag_enter(&tags, 0, TAGS, second), "where it was flushed that one goes in");
	tap_ok(!thv_flush_tag_enter(&tags, 1, TAGS, second), "... where it was not it must not");
	tap_ok(!thv_flush_tag_enter(&tags, 0, TAGS, first), "the old owner has no business there");
	tap_ok(!thv_flush_tag_given_back(&tags, TAGS, first), "... and cannot give it back");
}

static void test_all_tags(void)
{
	u32 owner[TAGS], i;

	start_tags();
	for (i = 0; i < TAGS; i++) {
		owner[i] = thv_flush_tag_taken(&tags, i + 1);
		thv_flush_tag_enter(&tags, 0, i + 1, owner[i]);
		thv_flush_tag_enter(&tags, 1, i + 1, owner[i]);
		thv_flush_tag_given_back(&tags, i + 1, owner[i]);
		owner[i] = thv_flush_tag_taken(&tags, i + 1);
	}
	thv_flush_tags_forgotten(&tags, 0);
	for (i = 0; i < TAGS; i++) {
		tap_check(thv_flush_tag_enter(&tags, 0, i + 1, owner[i]), "tag %u on CPU 0", i + 1);
		tap_check(!thv_flush_tag_enter(&tags, 1, i + 1, owner[i]), "tag %u on CPU 1", i + 1);
	}
	tap_ok(tap_held(), "a CPU that has forgotten all tags may be used by all, another by none");
}

int main(void)
{
	test_first_entry();
	test_zap();
	test_flush_left_out();
	test_flush_too_early();
	test_tags();
	test_all_tags();
	free(tags.owner);
	free(tags.held);
	return tap_done();
}
