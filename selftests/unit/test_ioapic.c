// SPDX-License-Identifier: GPL-2.0-only
// sources: userspace/device/ioapic.c userspace/vmm/bus.c userspace/vmm/state.c userspace/lib/error.c
/* The IOAPIC: what reaches the local APICs for which redirection entry, and when. */
#include <string.h>

#include "device/ioapic.h"
#include "lib/device.h"
#include "tap.h"
#include "vmm/machine.h"

#define PIN	5

static struct ioapic ioapic;

/* The module, as seen from here: the last message, how many, and does one arrive? */
static u64 sent_address;
static u32 sent_data, sent;
static int reached = 1;

int vm_signal_msi(int vm, u64 address, u32 data)
{
	(void)vm;
	sent_address = address;
	sent_data = data;
	sent++;
	return reached;
}

int machine_at_end(struct machine *machine, void (*finish)(void *opaque), void *opaque)
{
	(void)machine;
	(void)finish;
	(void)opaque;
	return 0;
}

/* As a guest would: select, then access */
static u32 get(u32 reg)
{
	ioapic_access(&ioapic, 0x00, 4, true, reg);
	return ioapic_access(&ioapic, 0x10, 4, false, 0);
}

static void put(u32 reg, u32 value)
{
	ioapic_access(&ioapic, 0x00, 4, true, reg);
	ioapic_access(&ioapic, 0x10, 4, true, value);
}

static void put_rte(u32 pin, u64 rte)
{
	put(0x11 + 2 * pin, rte >> 32);
	put(0x10 + 2 * pin, rte);
}

static u64 get_rte(u32 pin)
{
	return get(0x10 + 2 * pin) | (u64)get(0x11 + 2 * pin) << 32;
}

/* Messages since the last call */
static u32 new_messages(void)
{
	u32 count = sent;

	sent = 0;
	return count;
}

static void start(void)
{
	ioapic_init(&ioapic, -1);
	reached = 1;
	sent = 0;
}

static void test_registers(void)
{
	u32 pin;

	start();
	tap_is(get(1), 0x00170020, "version 0x20, 24 pins");
	put(0, ~0u);
	tap_is(get(0), 0x0f000000, "of the id, four bits can be written");
	for (pin = 0; pin < IOAPIC_PINS; pin++)
		tap_check(get_rte(pin) == 1 << 16, "pin %u", pin);
	tap_ok(tap_held(), "after reset every pin is masked");
	for (pin = 0; pin < IOAPIC_PINS; pin++) {
		put_rte(pin, ~0ULL);
		tap_check(get_rte(pin) == 0xff0000000001afff, "pin %u %llx", pin, get_rte(pin));
	}
	tap_ok(tap_held(), "reserved and read-only bits of an entry cannot be written");
	put(0x10 + 2 * IOAPIC_PINS, ~0u);
	put(0xff, ~0u);
	tap_is(get(0x10 + 2 * IOAPIC_PINS) | get(0xff), 0, "there is nothing behind the last pin");
	tap_is(ioapic_access(&ioapic, 0x20, 4, false, 0), 0, "nor elsewhere in the page");
	tap_is(new_messages(), 0, "none of that sends anything");
}

static void test_messages(void)
{
	start();
	put_rte(PIN, 0x51);
	ioapic_set(&ioapic, PIN, true);
	tap_is(sent_address, 0xfee00000, "physical destination 0");
	tap_is(sent_data, 0x4051, "fixed, edge: the vector, asserted");
	ioapic_set(&ioapic, PIN, false);
	put_rte(PIN, 0x3ULL << 56 | 1 << 11 | 1 << 8 | 0x61);
	ioapic_set(&ioapic, PIN, true);
	tap_is(sent_address, 0xfee0300c, "logical destination 3, lowest priority: redirectable");
	tap_is(sent_data, 0x4161, "its mode is in the data, too");
	ioapic_set(&ioapic, PIN, false);
	put_rte(PIN, 0xffULL << 56 | 4 << 8);
	ioapic_set(&ioapic, PIN, true);
	tap_ok(sent_address == 0xfeeff000 && sent_data == 0x4400, "an NMI to all");
}

static void test_edge(void)
{
	start();
	put_rte(PIN, 0x51);
	ioapic_set(&ioapic, PIN, true);
	ioapic_set(&ioapic, PIN, true);
	tap_is(new_messages(), 1, "an edge sends once, however often the pin is raised");
	ioapic_set(&ioapic, PIN, false);
	tap_is(new_messages(), 0, "falling sends nothing");
	ioapic_set(&ioapic, PIN, true);
	tap_is(new_messages(), 1, "the next edge sends again, without any EOI");
	ioapic_eoi(&ioapic, 0x51);
	tap_is(new_messages(), 0, "an EOI does nothing for it");
	put_rte(PIN, 1 << 16 | 0x51);
	ioapic_set(&ioapic, PIN, false);
	ioapic_set(&ioapic, PIN, true);
	put_rte(PIN, 0x51);
	tap_is(new_messages(), 0, "an edge on a masked pin is forgotten");
}

static void test_level(void)
{
	start();
	put_rte(PIN, 1 << 15 | 0x51);
	ioapic_set(&ioapic, PIN, true);
	tap_is(new_messages(), 1, "a level sends when it is raised");
	tap_is(sent_data, 0xc051, "as level-triggered");
	tap_ok(get_rte(PIN) & 1 << 14, "remote IRR is set");
	ioapic_set(&ioapic, PIN, true);
	tap_is(new_messages(), 0, "nothing more until the EOI");
	ioapic_eoi(&ioapic, 0x52);
	tap_is(new_messages(), 0, "another vector's EOI is not meant");
	ioapic_eoi(&ioapic, 0x51);
	tap_is(new_messages(), 1, "at the EOI a pin still raised sends again");
	ioapic_set(&ioapic, PIN, false);
	ioapic_eoi(&ioapic, 0x51);
	tap_ok(!new_messages() && !(get_rte(PIN) & 1 << 14), "a lowered one has its peace");
	ioapic_set(&ioapic, PIN, true);
	ioapic_access(&ioapic, 0x40, 4, true, 0x51);
	tap_is(new_messages(), 2, "the EOI register does the same");
}

static void test_level_masked(void)
{
	start();
	put_rte(PIN, 1 << 16 | 1 << 15 | 0x51);
	ioapic_set(&ioapic, PIN, true);
	tap_is(new_messages(), 0, "a masked level sends nothing");
	put_rte(PIN, 1 << 15 | 0x51);
	tap_is(new_messages(), 1, "but when it is unmasked");
	put(0x10 + 2 * PIN, 1 << 16 | 0x51);
	tap_ok(!(get_rte(PIN) & 1 << 14), "turned to edge, it forgets remote IRR");
	put(0x10 + 2 * PIN, 1 << 15 | 0x51);
	tap_is(new_messages(), 1, "turned back, it sends again");
	ioapic_eoi(&ioapic, 0x51);
	new_messages();
	reached = 0;
	ioapic_eoi(&ioapic, 0x51);
	tap_ok(new_messages() == 1 && !(get_rte(PIN) & 1 << 14),
	       "a message that reaches nobody sets no remote IRR: no EOI would come");
}

static void test_shared_vector(void)
{
	start();
	put_rte(1, 1 << 15 | 0x51);
	put_rte(2, 1 << 15 | 0x51);
	ioapic_set(&ioapic, 1, true);
	ioapic_set(&ioapic, 2, true);
	new_messages();
	ioapic_eoi(&ioapic, 0x51);
	tap_is(new_messages(), 2, "two pins with one vector both see its EOI");
}

int main(void)
{
	test_registers();
	test_messages();
	test_edge();
	test_level();
	test_level_masked();
	test_shared_vector();
	return tap_done();
}
