// SPDX-License-Identifier: GPL-2.0-only
// sources: userspace/device/virtio_rng.c userspace/lib/options.c userspace/virtio/queue.c userspace/virtio/transport.c userspace/virtio/virtio.c userspace/device/pci.c userspace/device/msix.c userspace/vmm/bus.c userspace/vmm/memory.c userspace/vmm/events.c userspace/vmm/state.c userspace/vmm/thread.c userspace/lib/error.c
/* The entropy device, as a guest's driver finds it. */
#include "driver.h"

#define BUFFER	0x500000

static struct machine_config config = { .rng = true };
static struct driver driver;

static void start(void)
{
	driver_machine(&config);
	if (driver_devices())
		exit(99);
	driver_begin();
}

static long fill(u32 length)
{
	struct segment segment = { BUFFER, length, true };

	memset(guest(BUFFER), 0, length);
	return ring_wait(&driver, 0, ring_add(&driver, 0, &segment, 1));
}

/* Bytes of the buffer that are not zero */
static u32 filled(u32 length)
{
	u32 count = 0, i;

	for (i = 0; i < length; i++)
		count += *(u8 *)guest(BUFFER + i) != 0;
	return count;
}

static void test_random(void)
{
	static const struct segment cut[] = { { BUFFER, 16, true }, { BUFFER + 100, 16, true } };
	u8 before[64];

	start();
	tap_ok(driver_find(&driver, 1) && config_read(1, PCI_DEVICE_ID, 2) == 0x1044 && driver.queues == 1,
	       "there is an entropy device");
	driver_start(&driver, 0);
	tap_ok(fill(64) == 64 && filled(64) > 32, "it fills what it gets");
	memcpy(before, guest(BUFFER), 64);
	tap_ok(fill(64) == 64 && memcmp(before, guest(BUFFER), 64), "otherwise each time");
	memset(guest(BUFFER), 0, 256);
	tap_is(ring_wait(&driver, 0, ring_add(&driver, 0, cut, 2)), 32, "however it is cut");
	tap_ok(filled(16) && !memcmp(guest(BUFFER + 16), (u8 [84]){ 0 }, 84), "and nothing beside it");
	tap_is(fill(1 << 20), 65536, "of a megabyte it fills as much as it likes");
	tap_is(ring_wait(&driver, 0, ring_add(&driver, 0, (struct segment[]){ { BUFFER, 8, false } }, 1)), 0,
	       "of nothing, nothing");
	driver_end();
}

static void test_restore(void)
{
	struct state state, again;
	struct driver kept;
	u8 *memory = malloc(DRIVER_MEMORY);

	start();
	driver_find(&driver, 1);
	driver_start(&driver, 0);
	fill(64);
	state_init(&state);
	tap_is(state_save_devices(&driver_vm, &state), 0, "it is saved");
	memcpy(memory, guest(0), DRIVER_MEMORY);
	kept = driver;
	driver_end();
	start();
	memcpy(guest(0), memory, DRIVER_MEMORY);
	driver = kept;
	tap_is(state_restore_devices(&driver_vm, &state), 0, "and restored");
	state_init(&again);
	state_save_devices(&driver_vm, &again);
	tap_ok(state.size == again.size && !memcmp(state.data, again.data, state.size), "as what it was");
	tap_ok(fill(64) == 64 && filled(64) > 32, "and goes on");
	driver_end();
	state_free(&state);
	state_free(&again);
	free(memory);
}

static void test_none(void)
{
	config.rng = false;
	start();
	tap_ok(!driver_find(&driver, 1), "without --rng there is none");
	driver_end();
}

int main(void)
{
	test_random();
	test_restore();
	test_none();
	tap_ok(tap_held(), "the module was asked for nothing odd");
	return tap_done();
}
