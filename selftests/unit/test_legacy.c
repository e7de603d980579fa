// SPDX-License-Identifier: GPL-2.0-only
// sources: userspace/device/pic.c userspace/device/pit.c userspace/device/i8042.c userspace/device/keyboard.c userspace/device/cmos.c userspace/vmm/state.c userspace/vmm/bus.c userspace/vmm/events.c userspace/lib/error.c
/*
 * What --legacy adds: the 8259s as their data sheet has them, the 8254's modes against a clock that
 * the test moves, the keyboard controller, and the clock's interrupts; and that each comes
 * back from its state as it was.
 */
#include <stdlib.h>
#include <string.h>

#include "boot/boot.h"
#include "device/cmos.h"
#include "device/i8042.h"
#include "device/pic.h"
#include "device/pit.h"
#include "lib/error.h"
#include "tap.h"
#include "vmm/channel.h"
#include "vmm/machine.h"
#include "vmm/state.h"
#include "vmm/vcpu.h"

/* ---- the machine around them ------------------------------------------------ */

static u32 pins, edges;		/* levels, and how often one has risen */

void irq_set(struct machine *machine, u32 pin, bool level)
{
	edges += level && !(pins & 1u << pin);
	pins = level ? pins | 1u << pin : pins & ~(1u << pin);
}

static int ended = -1;

void machine_end(struct machine *machine, int status, const char *reason, ...)
{
	ended = status;
}

int machine_at_end(struct machine *machine, void (*finish)(void *opaque), void *opaque)
{
	return 0;
}

struct channel *channel_open(const char *kind, const char *label, struct events *events,
			     const struct channel_user *user, void *opaque)
{
	return NULL;
}

void channel_close(struct channel *channel)
{
}

void channel_resume(struct channel *channel)
{
}

void vcpu_intr(struct vcpu *vcpu, bool level)
{
}

/* ---- 8259 --------------------------------------------------------------------- */

static struct pic pic;
static bool intr;

static void wire(void *opaque, bool level)
{
	intr = level;
}

static void out(u16 port, u8 value)
{
	if (port >= 0x4d0)
		pic_access_elcr(&pic, port - 0x4d0, 1, true, value);
	else
		(port < 0xa0 ? pic_access : pic_access_second)(&pic, port & 1, 1, true, value);
}

static u8 in(u16 port)
{
	if (port >= 0x4d0)
		return pic_access_elcr(&pic, port - 0x4d0, 1, false, 0);
	return (port < 0xa0 ? pic_access : pic_access_second)(&pic, port & 1, 1, false, 0);
}

/* As BIOSes and Linux set them up: vectors from 0x20 and 0x28 on, all inputs open */
static void pic_start(u8 icw4)
{
	pic_init(&pic, wire, NULL);
	intr = false;
	out(0x20, 0x11);
	out(0x21, 0x20);
	out(0x21, 0x04);
	out(0x21, icw4);
	out(0xa0, 0x11);
	out(0xa1, 0x28);
	out(0xa1, 0x02);
	out(0xa1, 0x01);
	out(0x21, 0);
	out(0xa1, 0);
}

static void edge(u32 irq)
{
	pic_set(&pic, irq, true);
	pic_set(&pic, irq, false);
}

static void test_pic_basics(void)
{
	pic_init(&pic, wire, NULL);
	pic_set(&pic, 3, true);
	tap_ok(!intr, "before it is set up, nothing gets through");
	pic_start(1);
	tap_ok(in(0x21) == 0 && in(0xa1) == 0, "masks can be read");
	out(0x21, 0xa5);
	tap_is(in(0x21), 0xa5, "... and written");
	out(0x21, 0);
	pic_set(&pic, 3, true);
	tap_ok(intr, "a rising edge raises INTR");
	tap_is(pic_acknowledge(&pic), 0x23, "the acknowledge gives its vector");
	tap_ok(!intr, "and takes INTR down");
	pic_set(&pic, 3, false);
	pic_set(&pic, 3, true);
	tap_ok(!intr, "the same one waits for the end of the first");
	out(0x20, 0x20);
	tap_ok(intr && pic_acknowledge(&pic) == 0x23, "and then comes");
	out(0x20, 0x20);
	pic_set(&pic, 3, false);
	pic_set(&pic, 5, true);
	pic_set(&pic, 5, false);
	tap_ok(!intr, "an input that falls before the acknowledge is gone");
	tap_is(pic_acknowledge(&pic), 0x27, "whoever acknowledges nothing gets vector 7's");
	out(0x20, 0x0b);
	tap_is(in(0x20), 0, "and nothing is in service");
}

static void test_pic_priority(void)
{
	pic_start(1);
	pic_set(&pic, 4, true);
	pic_set(&pic, 1, true);
	tap_is(pic_acknowledge(&pic), 0x21, "of two, the lower number goes first");
	tap_ok(!intr, "it keeps out the other");
	pic_set(&pic, 0, true);
	tap_ok(intr && pic_acknowledge(&pic) == 0x20, "but not one above");
	out(0x20, 0x0b);
	tap_is(in(0x20), 0x03, "both are in service");
	out(0x20, 0x20);
	tap_is(in(0x20), 0x02, "an end of interrupt is for the highest");
	out(0x20, 0x61);
	tap_ok(in(0x20) == 0 && intr, "or for the one that it names");
	out(0x20, 0x0a);
	tap_is(in(0x20) & 0x13, 0x10, "the request register shows what is left");
	tap_is(pic_acknowledge(&pic), 0x24, "... the one that had waited");
	out(0x20, 0xe4);
	pic_set(&pic, 4, false);
	pic_set(&pic, 4, true);
	pic_set(&pic, 5, true);
	tap_is(pic_acknowledge(&pic), 0x25, "after a rotating end the one served is last");
	out(0x20, 0x20);
	out(0x20, 0xc7);
	tap_is(pic_acknowledge(&pic), 0x24, "and priorities can be set");
}

static void test_pic_cascade(void)
{
	pic_start(1);
	pic_set(&pic, 12, true);
	tap_ok(intr && pic_acknowledge(&pic) == 0x2c, "the second controller's come through the first");
	pic_set(&pic, 9, true);
	tap_ok(!intr, "in full nesting the first keeps out the second's");
	out(0xa0, 0x20);
	out(0x20, 0x20);
	tap_ok(intr && pic_acknowledge(&pic) == 0x29, "until both have had their end");
	pic_set(&pic, 9, false);
	tap_is(pic_acknowledge(&pic), 0x27, "nothing is left");
	pic_start(0x11);
	pic_set(&pic, 12, true);
	pic_acknowledge(&pic);
	pic_set(&pic, 9, true);
	tap_ok(intr && pic_acknowledge(&pic) == 0x29, "with special nesting it may interrupt itself");
	pic_start(1);
	pic_set(&pic, 8, true);
	pic_set(&pic, 15, true);
	pic_acknowledge(&pic);
	out(0xa0, 0x20);
	out(0x20, 0x20);
	tap_ok(intr && pic_acknowledge(&pic) == 0x2f, "two at the second come one after the other");
}

static void test_pic_modes(void)
{
	pic_start(1);
	out(0x21, 1 << 3);
	pic_set(&pic, 3, true);
	tap_ok(!intr, "a masked input waits");
	out(0x21, 0);
	tap_ok(intr, "and comes when it is no longer masked");
	pic_acknowledge(&pic);
	out(0x21, 1 << 3);
	pic_set(&pic, 6, true);
	tap_ok(!intr, "what is in service keeps out others, masked or not");
	out(0x20, 0x68);
	tap_ok(intr && pic_acknowledge(&pic) == 0x26, "but not in special mask mode");
	pic_start(3);
	pic_set(&pic, 3, true);
	pic_acknowledge(&pic);
	edge(3);
	pic_set(&pic, 3, true);
	tap_ok(intr && pic_acknowledge(&pic) == 0x23, "automatic EOI wants none");
	pic_start(1);
	pic_set(&pic, 5, true);
	out(0x20, 0x0c);
	tap_is(in(0x20), 0x85, "a poll tells and acknowledges");
	tap_ok(!intr && (out(0x20, 0x0c), in(0x20)) == 0, "... nothing, if nothing is there");
	pic_start(1);
	out(0x4d1, 0xff);
	out(0x4d0, 0xff);
	tap_ok(in(0x4d0) == 0xf8 && in(0x4d1) == 0xde, "clock, keyboard, cascade, RTC and FPU stay edges");
	pic_set(&pic, 10, true);
	pic_acknowledge(&pic);
	out(0xa0, 0x20);
	out(0x20, 0x20);
	tap_ok(intr, "a level that stays comes again");
	pic_set(&pic, 10, false);
	tap_ok(!intr, "until it goes");
}

/* Whatever is written and raised, the wire agrees with what an acknowledge gives */
static void test_pic_noise(void)
{
	static const u16 ports[] = { 0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1 };
	u32 i, before;

	srandom(1);
	pic_start(1);
	for (i = 0; i < 200000; i++) {
		if (random() % 3)
			pic_set(&pic, random() % 16, random() % 2);
		else if (random() % 2)
			out(ports[random() % 6], random());
		else
			in(ports[random() % 6]);
		before = intr;
		if (random() % 4 == 0) {
			bool spurious = (pic_acknowledge(&pic) & 7) == 7 && !(pic.chip[0].isr | pic.chip[1].isr);

			tap_check(before || spurious || pic.chip[0].isr | pic.chip[1].isr, "round %u", i);
		}
		tap_check(intr == pic.intr, "round %u: the wire", i);
	}
	tap_ok(tap_held(), "200000 accesses and edges without sense: nothing breaks");
}

/* ---- states --------------------------------------------------------------------- */

typedef int saver(void *opaque, const char *name, struct state *state);
typedef int restorer(void *opaque, const char *name, const struct state *state);

/* Save @from, restore it to @to, save that: the same. Then with each byte damaged: refused, or taken. */
static bool same_after(saver *save, restorer *restore, void *from, void *to)
{
	struct state one, two;
	bool same;
	size_t i;

	state_init(&one);
	state_init(&two);
	if (save(from, "device", &one) || restore(to, "device", &one) || save(to, "device", &two)) {
		printf("# %s\n", error_text());
		return false;
	}
	same = one.size == two.size && !memcmp(one.data, two.data, one.size);
	for (i = 8; i < one.size; i++) {
		one.data[i] ^= 0xff;
		if (!state_check(&one))
			restore(to, "device", &one);
		one.data[i] ^= 0xff;
	}
	state_free(&one);
	state_free(&two);
	return same;
}

static void test_pic_state(void)
{
	struct pic other;

	pic_start(1);
	pic_set(&pic, 12, true);
	pic_acknowledge(&pic);
	pic_set(&pic, 1, true);
	out(0x21, 0x10);
	out(0xa0, 0x0b);
	out(0xa0, 0x11);
	pic_init(&other, wire, NULL);
	intr = false;
	tap_ok(same_after(pic_save, pic_restore, &pic, &other), "8259s: what is saved comes back");
	pic_init(&other, wire, NULL);
	tap_ok(same_after(pic_save, pic_restore, &pic, &other) && pic.intr, "INTR with it");
}

/* ---- 8254 ----------------------------------------------------------------------- */

static struct pit pit;
static u64 time_ns, first_edge, edge_period;

static u64 pit_now(void)
{
	return time_ns;
}

static void note_edges(struct pit *of, u64 first, u64 period)
{
	first_edge = first;
	edge_period = period;
}

static void ticks(u64 count)
{
	time_ns += (count * 1000000000ull + PIT_HZ - 1) / PIT_HZ;
}

static void pit_out(u32 port, u8 value)
{
	pit_access(&pit, port, 1, true, value);
}

static u8 pit_in(u32 port)
{
	return pit_access(&pit, port, 1, false, 0);
}

static u32 count_of(u32 channel)
{
	u32 low;

	pit_out(3, channel << 6);
	low = pit_in(channel);
	return low | pit_in(channel) << 8;
}

static void set_mode(u32 channel, u32 mode, u32 count)
{
	pit_out(3, channel << 6 | 0x30 | mode << 1);
	pit_out(channel, count);
	pit_out(channel, count >> 8);
}

static void pit_start(void)
{
	time_ns = 1000000000ull;
	pit_init(&pit, pit_now, note_edges);
}

static void test_pit_counting(void)
{
	pit_start();
	set_mode(0, 2, 1000);
	tap_is(count_of(0), 1000, "a counter begins with its count");
	ticks(10);
	tap_is(count_of(0), 990, "and counts down");
	ticks(990);
	tap_is(count_of(0), 1000, "mode 2 begins again");
	set_mode(0, 3, 1000);
	ticks(10);
	tap_is(count_of(0), 980, "mode 3 counts by two");
	set_mode(0, 0, 100);
	ticks(101);
	tap_is(count_of(0), 0xffff, "mode 0 goes on below zero");
	set_mode(0, 2, 0);
	ticks(1);
	tap_is(count_of(0), 0xffff, "count 0 is 65536");
	pit_out(3, 0x00);
	ticks(100);
	tap_ok(pit_in(0) == 0xff && pit_in(0) == 0xff, "what is latched stays until it is read");
	pit_out(3, 0x10 | 2 << 1);
	pit_out(0, 200);
	ticks(5);
	tap_is(pit_in(0), 195, "one byte can be enough");
	pit_out(3, 0x35);
	pit_out(0, 0x00);
	pit_out(0, 0x10);
	ticks(1);
	tap_is(count_of(0), 0x0999, "decimal counters count decimally");
}

static void test_pit_interrupts(void)
{
	pit_start();
	set_mode(0, 2, 11932);
	tap_ok(first_edge > time_ns + 9999000 && first_edge < time_ns + 10001000 && edge_period == first_edge - time_ns,
	       "mode 2 ticks at 100 Hz: %llu ns", edge_period);
	set_mode(0, 3, 0);
	tap_ok(edge_period > 54920000 && edge_period < 54930000, "count 0 is the BIOS's 18.2 Hz: %llu ns", edge_period);
	set_mode(0, 0, 1193);
	tap_ok(!edge_period && first_edge > time_ns + 999000 && first_edge < time_ns + 1001000, "mode 0 comes once");
	set_mode(0, 4, 1193);
	tap_ok(!edge_period && first_edge > time_ns + 1000000, "mode 4, one tick later");
	set_mode(0, 1, 100);
	tap_ok(!first_edge, "mode 1 waits for a gate that channel 0 has not");
	set_mode(0, 2, 1);
	tap_ok(edge_period >= 100000, "a guest that wants a million a second is not given them");
	pit_out(3, 0x34);
	tap_ok(!first_edge, "a mode that is set stops the clock until there is a count");
}

static void test_pit_speaker(void)
{
	pit_start();
	set_mode(2, 0, 1000);
	tap_ok(!pit_output(&pit, 2), "in mode 0 the output is low at first");
	ticks(2000);
	tap_ok(!pit_output(&pit, 2), "without its gate nothing counts");
	pit_gate(&pit, true);
	ticks(600);
	pit_gate(&pit, false);
	ticks(600);
	tap_ok(!pit_output(&pit, 2) && count_of(2) == 400, "a gate that falls holds it");
	pit_gate(&pit, true);
	ticks(399);
	tap_ok(!pit_output(&pit, 2), "and lets it go on");
	ticks(2);
	tap_ok(pit_output(&pit, 2), "until it is through");
	set_mode(2, 3, 100);
	tap_ok(pit_output(&pit, 2), "a square wave is high first");
	ticks(51);
	tap_ok(!pit_output(&pit, 2), "then low");
	ticks(50);
	tap_ok(pit_output(&pit, 2), "then high");
	pit_gate(&pit, false);
	set_mode(2, 1, 100);
	tap_ok(pit_output(&pit, 2), "a one-shot is high before");
	pit_gate(&pit, true);
	tap_ok(!pit_output(&pit, 2), "low once triggered");
	ticks(101);
	tap_ok(pit_output(&pit, 2), "and high in the end");
	pit_out(3, 0xe8);
	tap_is(pit_in(2) & 0xcf, 0x82, "read back tells output and mode");
	set_mode(2, 2, 100);
	ticks(99);
	tap_ok(!pit_output(&pit, 2), "mode 2 is low for the last tick");
}

static void test_pit_state(void)
{
	struct pit other;
	u64 wanted;

	pit_start();
	set_mode(0, 2, 5000);
	set_mode(2, 0, 1000);
	pit_gate(&pit, true);
	pit_out(0, 0x12);
	pit_out(3, 0x80);
	ticks(700);
	wanted = first_edge;
	pit_init(&other, pit_now, note_edges);
	tap_ok(same_after(pit_save, pit_restore, &pit, &other), "8254: what is saved comes back");
	pit_init(&other, pit_now, note_edges);
	time_ns += 5000000000ull;	/* the VM slept in between; its counters did not count */
	{
		struct state state;

		state_init(&state);
		time_ns -= 5000000000ull;
		pit_save(&pit, "device", &state);
		time_ns += 5000000000ull;
		pit_restore(&other, "device", &state);
		state_free(&state);
	}
	tap_is(first_edge, wanted + 5000000000ull, "its next tick is as far off as it was");
	pit = other;
	tap_is(count_of(0), 4300, "and the counter where it was");
}

/* ---- 8042 ------------------------------------------------------------------------ */

static struct i8042 i8042;

static void command(u8 value)
{
	i8042_command(&i8042, 0, 1, true, value);
}

static void data(u8 value)
{
	i8042_data(&i8042, 0, 1, true, value);
}

static u8 status(void)
{
	return i8042_command(&i8042, 0, 1, false, 0);
}

/* 0x100: there is nothing */
static u32 answer(void)
{
	return status() & 1 ? i8042_data(&i8042, 0, 1, false, 0) : 0x100;
}

static void test_controller(void)
{
	i8042_init(&i8042, NULL, irq_set);
	tap_is(answer(), 0x100, "nothing is there to be read");
	command(0xaa);
	tap_is(answer(), 0x55, "the self test passes");
	command(0xab);
	tap_is(answer(), 0, "so does that of the keyboard's lines");
	command(0xa9);
	tap_ok(answer() != 0, "and there is no mouse");
	command(0x60);
	tap_ok(status() & 8, "a parameter is awaited");
	data(0x41);
	command(0x20);
	tap_is(answer(), 0x41, "the command byte is kept");
	command(0xd0);
	tap_is(answer() & 3, 3, "no reset, and A20 open");
	command(0xd1);
	data(0x02);
	tap_is(ended, END_RESET, "the output port's bit 0 resets");
	ended = -1;
	command(0xfe);
	tap_is(ended, END_RESET, "and so does the pulse that everybody uses");
	ended = -1;
	command(0xff);
	tap_is(ended, -1, "a pulse of no line is none");
	command(0xd2);
	data(0x77);
	tap_is(answer(), 0x77, "bytes can be put as if from the keyboard");
}

static void test_keyboard(void)
{
	u32 i;

	i8042_init(&i8042, NULL, irq_set);
	pins = edges = 0;
	command(0x60);
	data(0x41);
	data(0xff);
	tap_ok(answer() == 0xfa && answer() == 0xaa, "a keyboard that is reset says that it is well");
	tap_ok(edges == 2 && !(pins & 2), "each byte is an interrupt of its own");
	data(0xf2);
	tap_ok(answer() == 0xfa && answer() == 0xab && answer() == 0x41, "it is an MF II one");
	data(0xed);
	tap_is(answer(), 0xfa, "lamps: acknowledged");
	data(0x07);
	tap_is(answer(), 0xfa, "... and which");
	data(0xf0);
	answer();
	data(0);
	tap_ok(answer() == 0xfa && answer() == 0x41, "scan code set 2, translated");
	data(0xee);
	tap_is(answer(), 0xee, "echo");
	data(0x17);
	tap_is(answer(), 0xfe, "what it does not know it wants again");
	i8042_type(&i8042, 'a');
	tap_ok(answer() == 0x1e && answer() == 0x9e && answer() == 0x100, "a key goes down and up");
	i8042_type(&i8042, 'A');
	tap_ok(answer() == 0x2a && answer() == 0x1e && answer() == 0x9e && answer() == 0xaa, "Shift goes with it");
	i8042_type(&i8042, 3);
	tap_ok(answer() == 0x1d && answer() == 0x2e && answer() == 0xae && answer() == 0x9d, "or Ctrl");
	i8042_type(&i8042, '\n');
	tap_ok(answer() == 0x1c && answer() == 0x9c, "a new line is Enter");
	i8042_type(&i8042, '1');
	i8042_type(&i8042, ' ');
	i8042_type(&i8042, '/');
	i8042_type(&i8042, '\\');
	tap_ok(answer() == 0x02 && answer() == 0x82 && answer() == 0x39 && answer() == 0xb9 && answer() == 0x35 &&
	       answer() == 0xb5 && answer() == 0x2b && answer() == 0xab, "the keys are where they are");
	command(0xad);
	i8042_type(&i8042, 'x');
	tap_is(answer(), 0x100, "a keyboard that is switched off is not heard");
	command(0xae);
	tap_is(answer(), 0x2d, "until it is on again");
	for (i = 0; i < 1000; i++)
		i8042_type(&i8042, 'Q');
	tap_ok(i8042.keyboard.count <= KEYBOARD_QUEUE, "and who types ahead is not heard for ever");
}

static void test_keyboard_state(void)
{
	struct i8042 other;

	i8042_init(&i8042, NULL, irq_set);
	i8042_type(&i8042, 'h');
	data(0xed);
	command(0xd1);
	i8042_init(&other, NULL, irq_set);
	tap_ok(same_after(i8042_save, i8042_restore, &i8042, &other), "8042: what is saved comes back");
}

static void test_keyboard_noise(void)
{
	u32 i;

	i8042_init(&i8042, NULL, irq_set);
	for (i = 0; i < 200000; i++) {
		if (random() % 4 == 0)
			command(random());
		else if (random() % 3 == 0)
			i8042_type(&i8042, random());
		else if (random() % 2)
			data(random());
		else
			answer();
		tap_check(i8042.keyboard.count <= KEYBOARD_QUEUE && i8042.keyboard.scan_set >= 1 && i8042.keyboard.scan_set <= 3, "%u", i);
	}
	tap_ok(tap_held(), "200000 accesses without sense: it stays what it is");
}

/* ---- RTC --------------------------------------------------------------------------- */

static struct cmos cmos;
static struct timespec wall;
static u64 timer_ns[2];

static void wall_now(struct timespec *now)
{
	*now = wall;
}

static void note_timer(struct cmos *of, bool periodic, u64 ns)
{
	timer_ns[periodic] = ns;
}

static u8 cell(u8 index)
{
	cmos_access(&cmos, 0, 1, true, index);
	return cmos_access(&cmos, 1, 1, false, 0);
}

static void set_cell(u8 index, u8 value)
{
	cmos_access(&cmos, 0, 1, true, index);
	cmos_access(&cmos, 1, 1, true, value);
}

static void clock_start(struct cmos *of)
{
	cmos_init(of, wall_now);
	of->irq = irq_set;
	of->timer = note_timer;
	of->interrupts = true;
}

static void test_rtc(void)
{
	wall = (struct timespec){ 1700000000, 0 };	/* 2023-11-14 22:13:20 UTC */
	pins = 0;
	clock_start(&cmos);
	tap_ok(cell(0) == 0x20 && cell(2) == 0x13 && cell(4) == 0x22 && cell(7) == 0x14 && cell(8) == 0x11 &&
	       cell(9) == 0x23 && cell(0x32) == 0x20, "it tells the time in BCD");
	set_cell(0x0b, 0x06);
	tap_ok(cell(4) == 22 && cell(9) == 23, "and in binary");
	tap_is(cell(0x0c), 0, "nothing has come about");
	wall.tv_sec++;
	tap_is(cell(0x0c) & 0x90, 0x10, "an update is seen, without an interrupt");
	tap_is(cell(0x0c) & 0x10, 0, "once");
	tap_ok(!timer_ns[0] && !timer_ns[1], "no timer of the host's runs meanwhile");
	set_cell(0x0b, 0x12);
	tap_is(timer_ns[0], 1000000000, "with the update's interrupt one does, each second");
	wall.tv_sec++;
	cmos_expired(&cmos);
	tap_ok(pins & 1 << IRQ_RTC, "and raises IRQ 8");
	tap_is(cell(0x0c) & 0x90, 0x90, "register C says why");
	tap_ok(!(pins & 1 << IRQ_RTC), "and takes it down");
	set_cell(0x05, 0x22);
	set_cell(0x03, 0x13);
	set_cell(0x01, 0x30);
	set_cell(0x0b, 0x22);
	for (; wall.tv_sec % 60 != 29; wall.tv_sec++)
		cmos_expired(&cmos);
	tap_ok(!(pins & 1 << IRQ_RTC), "an alarm waits for its time");
	wall.tv_sec++;
	cmos_expired(&cmos);
	tap_ok(pins & 1 << IRQ_RTC && (cell(0x0c) & 0xa0) == 0xa0, "and then comes");
	set_cell(0x05, 0xff);
	set_cell(0x03, 0xc0);
	set_cell(0x01, 0xc0);
	wall.tv_sec++;
	cmos_expired(&cmos);
	tap_is(cell(0x0c) & 0xa0, 0xa0, "one that does not care comes each second");
	set_cell(0x0b, 0x42);
	tap_is(timer_ns[1], 976562, "the periodic one, 1024 Hz");
	set_cell(0x0a, 0x2f);
	tap_is(timer_ns[1], 500000000, "or 2 Hz");
	set_cell(0x0a, 0x20);
	tap_is(timer_ns[1], 0, "or none");
	set_cell(0x0a, 0x26);
	cell(0x0c);
	wall.tv_nsec += 977000;
	cmos_expired(&cmos);
	tap_ok(pins & 1 << IRQ_RTC && (cell(0x0c) & 0xc0) == 0xc0, "it raises IRQ 8, too");
	wall.tv_nsec = 999900000;
	tap_is(cell(0x0a) & 0x80, 0x80, "an update shows before it comes");
}

static void test_rtc_state(void)
{
	struct cmos other;

	clock_start(&cmos);
	set_cell(0x40, 0x5a);
	set_cell(0x0b, 0x62);
	set_cell(0x01, 0x33);
	clock_start(&other);
	timer_ns[0] = timer_ns[1] = 0;
	tap_ok(same_after(cmos_save, cmos_restore, &cmos, &other), "RTC: what is saved comes back");
	clock_start(&other);
	same_after(cmos_save, cmos_restore, &cmos, &other);
	tap_ok(cmos.cell[0x40] == 0x5a && timer_ns[0] && timer_ns[1], "its timers run again");
	clock_start(&cmos);
	cmos.interrupts = false;
	set_cell(0x0b, 0x72);
	tap_is(cell(0x0b), 0x02, "without --legacy no interrupt can be enabled");
}

int main(void)
{
	test_pic_basics();
	test_pic_priority();
	test_pic_cascade();
	test_pic_modes();
	test_pic_noise();
	test_pic_state();
	test_pit_counting();
	test_pit_interrupts();
	test_pit_speaker();
	test_pit_state();
	test_controller();
	test_keyboard();
	test_keyboard_state();
	test_keyboard_noise();
	test_rtc();
	test_rtc_state();
	return tap_done();
}
