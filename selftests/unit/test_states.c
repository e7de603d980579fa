// SPDX-License-Identifier: GPL-2.0-only
// sources: userspace/device/uart.c userspace/device/ioapic.c userspace/device/systemport.c userspace/device/acpipm.c userspace/vmm/channel.c userspace/vmm/tidy.c userspace/vmm/events.c userspace/vmm/terminal.c userspace/vmm/bus.c userspace/vmm/state.c userspace/lib/error.c userspace/lib/socket.c
/*
 * A machine's devices are used, saved, destroyed, made anew, restored, and are what they were: to a guest that
 * reads their registers, and to one who saves them again. Damaged states are refused, or do no harm.
 */
#include <stdlib.h>
#include <string.h>

#include "boot/boot.h"
#include "device/ioapic.h"
#include "device/pit.h"
#include "lib/error.h"
#include "tap.h"
#include "vmm/machine.h"
#include "vmm/state.h"

/* ---- the machine ----------------------------------------------------------- */

extern const struct device *const __start_thv_devices[], *const __stop_thv_devices[];

static const struct machine_config config = { .serial = { "null", "null" }, .legacy = true };
static struct machine machine;

int vm_signal_msi(int vm, u64 address, u32 data)
{
	return 1;
}

void irq_set(struct machine *of, u32 pin, bool level)
{
	ioapic_set(of->ioapic, pin, level);
}

void pit_gate(struct pit *pit, bool high)
{
}

bool pit_output(struct pit *pit, u32 channel)
{
	return true;
}

void machine_end(struct machine *of, int status, const char *reason, ...)
{
}

int machine_at_end(struct machine *of, void (*finish)(void *opaque), void *opaque)
{
	struct machine_finish *entry = malloc(sizeof(*entry));

	*entry = (struct machine_finish){ of->finishes, finish, opaque };
	of->finishes = entry;
	return 0;
}

static void create(void)
{
	const struct device *const *device;

	machine = (struct machine){ .config = &config };
	if (events_create(&machine.events) || bus_create(&machine.bus, false))
		exit(2);
	for (device = __start_thv_devices; device < __stop_thv_devices; device++) {
		if ((*device)->create(&machine)) {
			printf("Bail out! %s: %s\n", (*device)->name, error_text());
			exit(2);
		}
	}
}

static void destroy(void)
{
	struct machine_finish *entry;

	while (machine.finishes) {
		entry = machine.finishes;
		machine.finishes = entry->next;
		entry->finish(entry->opaque);
		free(entry);
	}
	state_remove_all(&machine);
	bus_destroy(&machine.bus);
	events_destroy(&machine.events);
}

/* ---- what a guest does with them ------------------------------------------- */

static const struct {
	u32 at;			/* a port, or an address */
	u32 length, value;
} written[] = {
	{ 0x3fb, 1, 0x83 }, { 0x3f8, 1, 0x01 }, { 0x3f9, 1, 0x02 }, { 0x3fb, 1, 0x1b },
	{ 0x3fa, 1, 0x81 }, { 0x3fc, 1, 0x0b }, { 0x3ff, 1, 0xa5 }, { 0x3f9, 1, 0x0b },
	{ 0x2ff, 1, 0x5a }, { 0x2fb, 1, 0x03 },
	{ 0x2fc, 1, 0x10 }, { 0x2f8, 1, 'x' },	/* to itself: a byte that is received */
	{ 0x61, 1, 0x03 },
	{ ACPI_PM1_EVENT + 2, 2, 0x0121 }, { ACPI_PM1_CONTROL, 2, 0x0402 },
	{ IOAPIC_ADDRESS, 4, 0x00 }, { IOAPIC_ADDRESS + 0x10, 4, 0x05000000 },
	{ IOAPIC_ADDRESS, 4, 0x1a }, { IOAPIC_ADDRESS + 0x10, 4, 0x0000a035 },
	{ IOAPIC_ADDRESS, 4, 0x1b }, { IOAPIC_ADDRESS + 0x10, 4, 0x03000000 },
};

/* Reading these changes nothing */
static const struct {
	u32 at, length;
} read[] = {
	{ 0x3f9, 1 }, { 0x3fb, 1 }, { 0x3fc, 1 }, { 0x3fd, 1 }, { 0x3ff, 1 }, { 0x2fb, 1 }, { 0x2fc, 1 },
	{ 0x2fd, 1 }, { 0x2ff, 1 }, { ACPI_PM1_EVENT + 2, 2 }, { ACPI_PM1_CONTROL, 2 },
	{ IOAPIC_ADDRESS, 4 }, { IOAPIC_ADDRESS + 0x10, 4 },
};

static void guest_access(u32 at, u32 length, u32 *value, bool write)
{
	if (at < 0x10000)
		bus_port(&machine.bus, at, value, length, write);
	else
		bus_mmio(&machine.bus, at, value, length, write);
}

static void use(void)
{
	size_t i;
	u32 value;

	for (i = 0; i < ARRAY_SIZE(written); i++) {
		value = written[i].value;
		guest_access(written[i].at, written[i].length, &value, true);
	}
}

static void look(u32 *seen)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(read); i++) {
		seen[i] = 0;
		guest_access(read[i].at, read[i].length, &seen[i], false);
	}
}

static void save(struct state *state)
{
	state_init(state);
	tap_check(!state_save_devices(&machine, state), "%s", error_text());
}

/* ---- claims ----------------------------------------------------------------- */

static bool same(const struct state *a, const struct state *b)
{
	return a->size == b->size && !memcmp(a->data, b->data, a->size);
}

static void test_comes_back(void)
{
	u32 before[ARRAY_SIZE(read)], fresh[ARRAY_SIZE(read)], after[ARRAY_SIZE(read)];
	struct state used, unused, again;
	size_t i, differ = 0;

	create();
	use();
	look(before);
	save(&used);
	destroy();

	create();
	save(&unused);
	look(fresh);
	for (i = 0; i < ARRAY_SIZE(read); i++)
		differ += fresh[i] != before[i];
	tap_ok(!same(&used, &unused) && differ >= 8, "devices that were used are not as they were made");
	tap_ok(!state_restore_devices(&machine, &used), "they are restored");
	save(&again);
	look(after);
	for (i = 0; i < ARRAY_SIZE(read); i++)
		tap_check(before[i] == after[i], "register %#x: %#x, was %#x", read[i].at, after[i], before[i]);
	tap_ok(tap_held(), "a guest finds the same in each register");
	tap_ok(same(&used, &again), "saved again, the states are the same");
	destroy();
	state_free(&used);
	state_free(&unused);
	state_free(&again);
}

static void test_received_byte(void)
{
	struct state state;
	u32 value = 0;

	create();
	use();
	save(&state);
	destroy();
	create();
	tap_ok(!state_restore_devices(&machine, &state), "... into another machine");
	guest_access(0x2f8, 1, &value, false);
	tap_is(value, 'x', "a byte that was received and not read is read after");
	destroy();
	state_free(&state);
}

static void test_damage(void)
{
	struct state state;
	size_t i;

	create();
	use();
	save(&state);
	for (i = 0; i < state.size; i++) {
		state.data[i] ^= 0xff;
		if (!state_check(&state))
			state_restore_devices(&machine, &state);
		use();
		state.data[i] ^= 0xff;
	}
	tap_ok(tap_held(), "a state with a damaged byte is refused, or does no harm");
	state.size -= 5;
	tap_ok(state_check(&state) || state_restore_devices(&machine, &state), "half a state is refused");
	state.size += 5;
	tap_ok(!state_restore_devices(&machine, &state), "the whole one is taken after that");
	destroy();
	state_free(&state);
}

int main(void)
{
	test_comes_back();
	test_received_byte();
	test_damage();
	return tap_done();
}
