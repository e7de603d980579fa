// SPDX-License-Identifier: GPL-2.0-only
// sources: userspace/virtio/queue.c userspace/virtio/transport.c userspace/virtio/virtio.c userspace/device/pci.c userspace/device/msix.c userspace/vmm/bus.c userspace/vmm/memory.c userspace/vmm/events.c userspace/vmm/state.c userspace/vmm/thread.c userspace/lib/error.c
/*
 * virtio over PCI, by a device that gives back what it gets: how a driver finds it, agrees
 * with it, is interrupted; resets; and what becomes of a driver that writes nonsense into
 * its rings.
 */
#include "driver.h"

/* ---- the device: writes what it reads, and counts ---------------------------- */

struct echo_config {
	u32 value;
	u32 writable;
	u8 odd;
} __attribute__((packed));

struct echo {
	struct virtio_device virtio;
	struct echo_config config;
	u32 starts, stops, notified, written;
	bool holds;			/* keep chains until the device is stopped */
	u16 held[VIRTQUEUE_SIZE];
	u32 held_count;
};

static struct echo echo;

static int echo_start(struct virtio_device *device)
{
	(void)device;
	echo.starts++;
	return 0;
}

static void echo_stop(struct virtio_device *device)
{
	u32 i;

	echo.stops++;
	for (i = 0; i < echo.held_count; i++)
		virtqueue_push(&device->queue[0], echo.held[i], 0);
	echo.held_count = 0;
	virtqueue_publish(&device->queue[0]);
}

static void echo_chain(struct virtqueue *queue, struct virtqueue_chain *chain)
{
	u8 bytes[4096];
	size_t length = chain_get(chain, 0, bytes, sizeof(bytes));

	virtqueue_push(queue, chain->head, chain_put(chain, 0, bytes, length));
}

static void echo_notify(struct virtio_device *device, u32 index)
{
	static struct virtqueue_chain chain;
	struct virtqueue *queue = &device->queue[index];

	echo.notified++;
	while (virtqueue_pop(queue, &chain)) {
		if (echo.holds)
			echo.held[echo.held_count++] = chain.head;
		else
			echo_chain(queue, &chain);
	}
	virtqueue_publish(queue);
}

static void echo_written(struct virtio_device *device)
{
	(void)device;
	echo.written++;
}

static int echo_save(struct virtio_device *device, const char *name, struct state *state)
{
	(void)device;
	state_begin(state, name, 1);
	state_put(state, "written", echo.written);
	return state_end(state);
}

static int echo_restore(struct virtio_device *device, const char *name, const struct state *state)
{
	struct state_record record;
	u64 written;

	(void)device;
	if (state_find(state, name, 1, &record) || state_get(&record, "written", 0, &written))
		return -1;
	echo.written = written;
	return state_done(&record);
}

static const struct virtio_kind echo_kind = {
	.name = "echo", .id = 42, .class = 0xff0000, .config_size = sizeof(struct echo_config),
	.writable = { offsetof(struct echo_config, writable), 4 }, .queue_size = 64,
	.start = echo_start, .stop = echo_stop, .notify = echo_notify, .written = echo_written,
	.save = echo_save, .restore = echo_restore,
};

#define ECHO_FEATURE	5
#define EVENT_IDX	(1ULL << VIRTIO_RING_F_EVENT_IDX)
#define INDIRECT	(1ULL << VIRTIO_RING_F_INDIRECT_DESC)

static const struct machine_config config;
static struct driver driver;

static void make_machine(void)
{
	driver_machine(&config);
	memset(&echo, 0, sizeof(echo));
	echo.virtio.kind = &echo_kind;
	strcpy(echo.virtio.name, "echo 0");
	echo.virtio.features = 1ULL << ECHO_FEATURE;
	echo.virtio.queues = 2;
	echo.virtio.config = &echo.config;
	echo.config = (struct echo_config){ 0x11223344, 7, 0x99 };
	if (virtio_create(&echo.virtio, &driver_vm)) {
		printf("# %s\n", error_text());
		exit(99);
	}
	driver_begin();
	driver_find(&driver, 1);
}

/* ---- finding and agreeing ------------------------------------------------------ */

static void test_find(void)
{
	make_machine();
	tap_is(config_read(0, 0, 4), 0x0d578086, "in slot 0 is the host bridge");
	tap_ok(driver_find(&driver, 1), "in slot 1 a virtio device, with its capabilities");
	tap_is(config_read(1, PCI_DEVICE_ID, 2), 0x1040 + 42, "by its modern number");
	tap_ok(config_read(1, PCI_REVISION_ID, 1) == 1 && config_read(1, PCI_CLASS_DEVICE - 1, 3) == 0xff0000,
	       "its revision and class");
	tap_ok(!driver_find(&driver, 2) && config_read(2, 0, 4) == ~0u, "in slot 2 nothing");
	driver_find(&driver, 1);
	tap_is(driver.queues, 2, "it tells its queues");
	tap_is(driver_offered(&driver), 1ULL << ECHO_FEATURE | DRIVER_MODERN | EVENT_IDX | INDIRECT,
	       "and its features");
	mmio_write(COMMON_REG(&driver, device_feature_select), 2);
	tap_is(mmio_read(COMMON_REG(&driver, device_feature)), 0, "of which there are 64");
	driver_end();
}

static void test_agree(void)
{
	make_machine();
	tap_ok(!driver_agree(&driver, 1ULL << ECHO_FEATURE), "without VERSION_1 there is no agreement");
	tap_ok(!driver_agree(&driver, DRIVER_MODERN | 1ULL << 7), "nor with a feature not on offer");
	driver_add_status(&driver, VIRTIO_CONFIG_S_DRIVER_OK);
	tap_ok(!(driver_status(&driver) & VIRTIO_CONFIG_S_DRIVER_OK) && !echo.starts,
	       "and without agreement the device does not start");
	tap_ok(driver_agree(&driver, DRIVER_MODERN | 1ULL << ECHO_FEATURE), "else there is");
	mmio_write(COMMON_REG(&driver, guest_feature_select), 0);
	mmio_write(COMMON_REG(&driver, guest_feature), 0);
	tap_is(mmio_read(COMMON_REG(&driver, guest_feature)), 1 << ECHO_FEATURE,
	       "which cannot be changed afterwards");
	driver_add_status(&driver, VIRTIO_CONFIG_S_DRIVER_OK);
	tap_ok(echo.starts == 1 && virtio_has(&echo.virtio, ECHO_FEATURE), "the device starts with them");
	mmio_write(COMMON_REG(&driver, device_status), VIRTIO_CONFIG_S_ACKNOWLEDGE);
	tap_is(driver_status(&driver), 15, "bits of the status are only added");
	mmio_write(COMMON_REG(&driver, device_status), 0);
	tap_ok(driver_status(&driver) == 0 && echo.stops == 1, "but a reset takes all, and stops the device");
	driver_end();
}

static void test_registers(void)
{
	u32 offset;

	make_machine();
	mmio_write(COMMON_REG(&driver, queue_select), 1);
	tap_is(mmio_read(COMMON_REG(&driver, queue_size)), 64, "a queue tells how large it may be");
	mmio_write(COMMON_REG(&driver, queue_msix_vector), 3);
	tap_is(mmio_read(COMMON_REG(&driver, queue_msix_vector)), 0xffff, "a vector that is not there does not stick");
	mmio_write(COMMON_REG(&driver, queue_select), 2);
	tap_is(mmio_read(COMMON_REG(&driver, queue_size)), 0, "a queue that is not there has size 0");
	mmio_write(COMMON_REG(&driver, queue_enable), 1);
	for (offset = 0; offset < 0x4000; offset += 2) {
		mmio_write(driver.registers + offset, 8, ~0ULL);
		mmio_write(driver.registers + offset, 1, 0xff);
		mmio_read(driver.registers + offset, 8);
	}
	tap_ok(true, "all registers take any write");
	driver_agree(&driver, DRIVER_MODERN);
	tap_is(driver_status(&driver), 11, "and work afterwards");
	driver_end();
}

static void test_config(void)
{
	u32 value = 0xabcdef01;

	make_machine();
	driver_start(&driver, 0);
	tap_is(mmio_read(driver.own, 4), 0x11223344, "the device's configuration is read");
	tap_ok(mmio_read(driver.own + 8, 1) == 0x99 && mmio_read(driver.own + 8, 4) == 0x99 &&
	       mmio_read(driver.own + 9, 4) == 0, "to its end, and zeros behind");
	mmio_write(driver.own, 4, 0);
	mmio_write(driver.own + 6, 4, 0);
	tap_ok(mmio_read(driver.own, 4) == 0x11223344 && mmio_read(driver.own + 4, 4) == 7,
	       "a write where none is allowed, or partly, does nothing");
	mmio_write(driver.own + 4, 4, 0x55);
	tap_ok(mmio_read(driver.own + 4, 4) == 0x55 && driver_wait(echo.written),
	       "where one is, the device is told");
	value = mmio_read(COMMON_REG(&driver, config_generation));
	driver_interrupts(0);
	virtio_config_set(&echo.virtio, 0, "abcd", 4);
	tap_ok(mmio_read(driver.own, 4) == 0x64636261 &&
	       mmio_read(COMMON_REG(&driver, config_generation)) != value &&
	       driver_interrupts(0) == 1, "the device changes it: a new generation, an interrupt");
	driver_end();
}

/* ---- serving -------------------------------------------------------------------- */

#define IN	0x200000		/* guest-physical: what is sent, and where it comes back */
#define OUT	0x210000

static const struct segment simple[] = { { IN, 8, false }, { OUT, 8, true } };

/* So many chains, seven at a time; were all of them served? */
static bool serve(u32 index, u32 count)
{
	struct driver_queue *queue = &driver.queue[index];
	u32 done, i;

	for (done = 0; done < count; done += 7) {
		for (i = 0; i < 7; i++)
			ring_put(&driver, index, simple, 2);
		ring_bell(&driver, index);
		if (!driver_wait(__atomic_load_n(&ring_used(&driver, index)->idx, __ATOMIC_ACQUIRE) ==
				 queue->next_avail))
			return false;
		queue->seen = queue->next_avail;
	}
	return true;
}

static void test_serve(void)
{
	static const struct segment cut[] = {
		{ IN, 3, false }, { IN + 100, 5, false }, { OUT, 1, true }, { OUT + 50, 100, true },
	};

	make_machine();
	driver_start(&driver, 0);
	memcpy(guest(IN), "abcdefgh", 8);
	memcpy(guest(IN + 100), "VWXYZ", 5);
	tap_is(ring_wait(&driver, 0, ring_add(&driver, 0, simple, 2)), 8, "a chain is served");
	tap_ok(!memcmp(guest(OUT), "abcdefgh", 8), "with what was to be read");
	tap_ok(driver_wait(driver_interrupts(1) == 1), "and an interrupt on its queue's vector");
	tap_is(ring_wait(&driver, 0, ring_add(&driver, 0, cut, 4)), 8, "however it is cut");
	tap_ok(*(char *)guest(OUT) == 'a' && !memcmp(guest(OUT + 50), "bcVWXYZ", 7), "in its order");
	tap_ok(serve(1, 70000), "70,000 of them: the indices wrap");
	tap_is(ring_used(&driver, 1)->idx, (u16)70000, "and count each once");
	driver_interrupts(2);
	ring_avail(&driver, 1)->flags = VRING_AVAIL_F_NO_INTERRUPT;
	serve(1, 7);
	usleep(2000);
	tap_is(driver_interrupts(2), 0, "a driver that wants no interrupt gets none");
	driver_end();
}

/* The driver says from which used index on it wants to know; the device, of which chain */
static void test_event_index(void)
{
	struct vring_avail *avail;
	u16 *avail_event;

	make_machine();
	driver_start(&driver, EVENT_IDX);
	avail = ring_avail(&driver, 0);
	avail_event = (u16 *)&ring_used(&driver, 0)->ring[DRIVER_RING];
	avail->ring[DRIVER_RING] = 20;
	tap_ok(serve(0, 7), "chains are served with the event index");
	tap_ok(driver_wait(*avail_event == 7), "the device wants to be told of the eighth");
	usleep(2000);
	tap_is(driver_interrupts(1), 0, "below the driver's index there is no interrupt");
	serve(0, 14);
	tap_ok(driver_wait(driver_interrupts(1)), "when it is passed, there is one");
	tap_ok(serve(0, 70000), "70,000 more: the indices wrap");
	driver_end();
}

static void test_indirect(void)
{
	struct vring_desc table[3] = { { IN + 2, 2, VRING_DESC_F_NEXT, 2 }, { 0 },
				       { OUT, 100, VRING_DESC_F_WRITE, 0 } };

	make_machine();
	driver_start(&driver, INDIRECT);
	memcpy(guest(IN), "abcdefgh", 8);
	memcpy(guest(0x300004), table, sizeof(table));	/* at no particular alignment */
	*ring_desc(&driver, 0, 3) = (struct vring_desc){ IN, 1, VRING_DESC_F_NEXT, 5 };
	*ring_desc(&driver, 0, 5) = (struct vring_desc){ 0x300004, 48, VRING_DESC_F_INDIRECT, 0 };
	ring_offer(&driver, 0, 3);
	ring_bell(&driver, 0);
	tap_ok(ring_wait(&driver, 0, 3) == 3 && !memcmp(guest(OUT), "acd", 3),
	       "a descriptor, then a table of them, is one chain");
	driver_end();
}

static void test_intx(void)
{
	make_machine();
	driver_agree(&driver, DRIVER_MODERN);
	driver_queue(&driver, 0, 8);
	driver_add_status(&driver, VIRTIO_CONFIG_S_DRIVER_OK);
	ring_wait(&driver, 0, ring_add(&driver, 0, simple, 2));
	tap_ok(driver_wait(driver_pins == 1 << 17), "without MSI-X, slot 1 raises IOAPIC pin 17");
	tap_is(config_read(1, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT, PCI_STATUS_INTERRUPT, "its status tells");
	config_write(1, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_INTX_DISABLE);
	tap_is(driver_pins, 0, "not if INTx is disabled");
	config_write(1, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	tap_is(driver_pins, 1 << 17, "when it is enabled again, it is raised again");
	tap_is(mmio_read(driver.isr, 1), 1, "the ISR register says: a queue");
	tap_ok(driver_pins == 0 && mmio_read(driver.isr, 1) == 0, "reading it lowers the pin");
	virtio_config_set(&echo.virtio, 0, "x", 1);
	tap_ok(driver_pins == 1 << 17 && mmio_read(driver.isr, 1) == 2, "a new configuration raises it, too");
	virtio_config_set(&echo.virtio, 0, "y", 1);
	driver_msix(&driver);
	tap_is(driver_pins, 0, "with MSI-X the pin is silent");
	driver_end();
}

/* ---- the bus ------------------------------------------------------------------------ */

static void test_bars(void)
{
	u64 old;

	make_machine();
	old = driver.registers;
	tap_ok(driver_bell[echo.virtio.queue[1].doorbell].bound &&
	       driver_bell[echo.virtio.queue[1].doorbell].address == old + 0x3004,
	       "the module listens at each queue's doorbell");
	config_write(1, PCI_BASE_ADDRESS_0, 4, ~0u);
	config_write(1, PCI_BASE_ADDRESS_1, 4, ~0u);
	tap_ok(config_read(1, PCI_BASE_ADDRESS_0, 4) == 0xffffc004 &&
	       config_read(1, PCI_BASE_ADDRESS_1, 4) == ~0u, "BAR 0 is of 64 bits and 16 KiB");
	tap_ok(!driver_bell[echo.virtio.queue[1].doorbell].bound && mmio_read(old + 18, 2) == 0xffff,
	       "while it is sized it is nowhere");
	config_write(1, PCI_BASE_ADDRESS_1, 4, 0);
	config_write(1, PCI_BASE_ADDRESS_0, 4, 0xe0000000);
	tap_is(mmio_read(0xe0000000 + 18, 2), 2, "it can be moved");
	tap_is(driver_bell[echo.virtio.queue[1].doorbell].address, 0xe0003004, "and the doorbells with it");
	config_write(1, PCI_COMMAND, 2, 0);
	tap_ok(mmio_read(0xe0000000 + 18, 2) == 0xffff && !driver_bell[echo.virtio.queue[1].doorbell].bound,
	       "and switched off");
	config_write(1, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	config_write(1, PCI_BASE_ADDRESS_1, 4, 1);
	tap_is(mmio_read(0x1e0000000 + 18, 2), 0xffff, "outside of the window it does not answer");
	config_write(1, PCI_BASE_ADDRESS_1, 4, 0);
	config_write(1, PCI_BASE_ADDRESS_0, 4, 0xfebffff0);
	tap_is(mmio_read(0xfebfc000 + 18, 2), 2, "to the window's very end it does");
	config_write(1, PCI_BASE_ADDRESS_2, 4, ~0u);
	tap_is(config_read(1, PCI_BASE_ADDRESS_2, 4), 0xfffff000, "BAR 2 is of 32 bits and a page");
	tap_is(config_read(1, PCI_BASE_ADDRESS_3, 4), 0, "there is no BAR 3");
	driver_end();
}

static void test_msix(void)
{
	make_machine();
	driver_start(&driver, 0);
	mmio_write(driver.msix + 16 + 12, 4, 1);
	ring_wait(&driver, 0, ring_add(&driver, 0, simple, 2));
	tap_ok(driver_wait(mmio_read(driver.msix + 2048, 8) == 2), "a masked interrupt is pending");
	tap_is(driver_interrupts(1), 0, "and is not sent");
	mmio_write(driver.msix + 16 + 12, 4, 0);
	tap_ok(driver_interrupts(1) == 1 && !mmio_read(driver.msix + 2048, 4),
	       "when it is unmasked, it is sent, once");
	mmio_write(driver.msix + 16 + 8, 4, 5);
	ring_wait(&driver, 0, ring_add(&driver, 0, simple, 2));
	tap_ok(driver_wait(driver_interrupts(5) == 1), "a changed message is the one that is sent");
	driver_refuses = true;
	mmio_write(driver.msix + 16 + 8, 4, 6);
	ring_wait(&driver, 0, ring_add(&driver, 0, simple, 2));
	tap_ok(driver_wait(msi_sent[6] == 1), "without an eventfd for it, it is sent directly");
	driver_refuses = false;
	mmio_write(driver.msix + 16 + 8, 2, 9);
	mmio_write(driver.msix + 16 + 9, 4, 9);
	tap_is(mmio_read(driver.msix + 16 + 8, 4), 6, "the table takes only whole words");
	mmio_write(driver.msix + 3 * 16, 4, 9);
	tap_is(mmio_read(driver.msix + 3 * 16, 4), 0, "and ends after its last entry");
	driver_end();
}

/* All at once by the capability's control word */
static void test_msix_function(void)
{
	u32 at;

	make_machine();
	driver_start(&driver, 0);
	for (at = config_read(1, PCI_CAPABILITY_LIST, 1); config_read(1, at, 1) != PCI_CAP_ID_MSIX;)
		at = config_read(1, at + 1, 1);
	tap_is(config_read(1, at + 2, 2) & PCI_MSIX_FLAGS_QSIZE, 2, "a vector for each queue, and one more");
	config_write(1, at + 2, 2, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	ring_wait(&driver, 0, ring_add(&driver, 0, simple, 2));
	tap_ok(driver_wait(mmio_read(driver.msix + 2048, 8) == 2) && !driver_interrupts(1),
	       "the function's mask holds all back");
	config_write(1, at + 2, 2, PCI_MSIX_FLAGS_ENABLE);
	tap_is(driver_interrupts(1), 1, "and lets them go");
	config_write(1, at + 2, 2, 0);
	ring_wait(&driver, 0, ring_add(&driver, 0, simple, 2));
	tap_ok(driver_wait(driver_pins), "when MSI-X is off, INTx comes instead");
	driver_end();
}

/* The registers by way of configuration space, as firmware does it */
static void test_window(void)
{
	u32 at = 0, next;

	make_machine();
	for (next = config_read(1, PCI_CAPABILITY_LIST, 1); next; next = config_read(1, next + 1, 1))
		if (config_read(1, next, 1) == PCI_CAP_ID_VNDR &&
		    config_read(1, next + 3, 1) == VIRTIO_PCI_CAP_PCI_CFG)
			at = next;
	tap_ok(at, "there is a window in configuration space");
	config_write(1, PCI_COMMAND, 2, 0);
	config_write(1, at + 4, 1, 0);
	config_write(1, at + 8, 4, 18);
	config_write(1, at + 12, 4, 2);
	tap_is(config_read(1, at + 16, 2), 2, "through which registers are read");
	config_write(1, at + 8, 4, 20);
	config_write(1, at + 12, 4, 1);
	config_write(1, at + 16, 1, 1);
	tap_is(config_read(1, at + 16, 1), 1, "and written, BARs or not");
	config_write(1, at + 8, 4, 0x4000 - 1);
	config_write(1, at + 12, 4, 4);
	tap_is(config_read(1, at + 16, 4), ~0u, "but nothing else");
	config_write(1, at + 8, 4, 0xfffffffc);
	tap_is(config_read(1, at + 16, 4), ~0u, "wherever it is");
	config_write(1, at + 4, 1, 2);
	config_write(1, at + 8, 4, 0);
	tap_is(config_read(1, at + 16, 4), ~0u, "and no other BAR");
	driver_end();
}

/* ---- drivers that break the rules ------------------------------------------------------ */

#define LOW	0x400000		/* end of the first of two slots, the other is at 4 GiB */

static void offer_head(void)
{
	ring_offer(&driver, 0, 0);
}

static void desc0(u64 address, u32 length, u16 flags, u16 next)
{
	*ring_desc(&driver, 0, 0) = (struct vring_desc){ address, length, flags, next };
	offer_head();
}

static void self_loop(void)
{
	desc0(IN, 8, VRING_DESC_F_NEXT, 0);
}

static void long_loop(void)
{
	*ring_desc(&driver, 0, 1) = (struct vring_desc){ IN, 8, VRING_DESC_F_NEXT, 0 };
	desc0(IN, 8, VRING_DESC_F_NEXT, 1);
}

static void next_outside(void)
{
	desc0(IN, 8, VRING_DESC_F_NEXT, DRIVER_RING);
}

static void head_outside(void)
{
	ring_offer(&driver, 0, 0xffff);
}

static void no_length(void)
{
	desc0(IN, 0, 0, 0);
}

static void huge_length(void)
{
	desc0(IN, 0xffffffff, 0, 0);
}

static void outside(void)
{
	desc0(DRIVER_MEMORY, 1, 0, 0);
}

static void over_the_end(void)
{
	desc0(DRIVER_MEMORY - 4, 8, 0, 0);
}

/* Memory goes on in our address space there, but not in the guest's: test_broken() sees to that */
static void across_slots(void)
{
	desc0(LOW - 4, 8, 0, 0);
}

static void in_the_hole(void)
{
	desc0(LOW, 8, VRING_DESC_F_WRITE, 0);
}

static void wrapping(void)
{
	desc0(~0ULL - 3, 8, VRING_DESC_F_WRITE, 0);
}

static void device_registers(void)
{
	desc0(driver.registers, 8, VRING_DESC_F_WRITE, 0);
}

static void read_after_write(void)
{
	*ring_desc(&driver, 0, 1) = (struct vring_desc){ IN, 8, 0, 0 };
	desc0(OUT, 8, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 1);
}

static void index_jump(void)
{
	ring_avail(&driver, 0)->idx += DRIVER_RING + 1;
}

static void index_back(void)
{
	ring_avail(&driver, 0)->idx--;
}

static void in_indirect(struct vring_desc inner, u32 length)
{
	*(struct vring_desc *)guest(0x300000) = inner;
	desc0(0x300000, length, VRING_DESC_F_INDIRECT, 0);
}

static void indirect_twice(void)
{
	in_indirect((struct vring_desc){ 0x300000, 16, VRING_DESC_F_INDIRECT, 0 }, 16);
}

static void indirect_loop(void)
{
	in_indirect((struct vring_desc){ IN, 1, VRING_DESC_F_NEXT, 0 }, 32);
}

static void indirect_next(void)
{
	in_indirect((struct vring_desc){ IN, 1, VRING_DESC_F_NEXT, 2 }, 32);
}

static void indirect_empty(void)
{
	in_indirect((struct vring_desc){ IN, 1, 0, 0 }, 0);
}

static void indirect_odd(void)
{
	in_indirect((struct vring_desc){ IN, 1, 0, 0 }, 24);
}

static void indirect_huge(void)
{
	in_indirect((struct vring_desc){ IN, 1, 0, 0 }, 16 * (VIRTQUEUE_SIZE + 1));
}

static void indirect_outside(void)
{
	desc0(DRIVER_MEMORY - 16, 32, VRING_DESC_F_INDIRECT, 0);
}

static void indirect_and_next(void)
{
	desc0(0x300000, 16, VRING_DESC_F_INDIRECT | VRING_DESC_F_NEXT, 1);
}

static const struct {
	const char *claim;
	void (*spoil)(void);
} spoilt[] = {
	{ "a descriptor that is its own successor", self_loop },
	{ "a chain in a circle", long_loop },
	{ "a successor outside of the table", next_outside },
	{ "a head outside of the table", head_outside },
	{ "a descriptor of no length", no_length },
	{ "a descriptor of 4 GiB", huge_length },
	{ "a descriptor outside of memory", outside },
	{ "a descriptor over the end of memory", over_the_end },
	{ "a descriptor across two slots of memory", across_slots },
	{ "a descriptor in the hole below 4 GiB", in_the_hole },
	{ "a descriptor whose end wraps", wrapping },
	{ "a descriptor in the device's own registers", device_registers },
	{ "something to read after something to write", read_after_write },
	{ "an index that jumps", index_jump },
	{ "an index that goes back", index_back },
	{ "an indirect table in an indirect table", indirect_twice },
	{ "a circle in an indirect table", indirect_loop },
	{ "a successor outside of an indirect table", indirect_next },
	{ "an indirect table of no length", indirect_empty },
	{ "an indirect table of one and a half", indirect_odd },
	{ "an indirect table that is too long", indirect_huge },
	{ "an indirect table that leaves memory", indirect_outside },
	{ "an indirect table that has a successor", indirect_and_next },
};

static void test_broken(void)
{
	u32 i;

	make_machine();
	driver_vm.memory.low = LOW;
	for (i = 0; i < ARRAY_SIZE(spoilt); i++) {
		driver.next_page = 1 << 20;
		driver_start(&driver, INDIRECT);
		driver_interrupts(0);
		spoilt[i].spoil();
		ring_bell(&driver, 0);
		tap_ok(driver_needs_reset(&driver) && driver_wait(driver_interrupts(0) == 1),
		       "%s: the device needs a reset, and interrupts to say so", spoilt[i].claim);
		tap_check(ring_used(&driver, 0)->idx == 0, "%s is not used", spoilt[i].claim);
		mmio_write(COMMON_REG(&driver, device_status), 0);
		tap_check(driver_status(&driver) == 0, "%s", spoilt[i].claim);
	}
	tap_ok(tap_held(), "nothing of it is used, and a reset helps");
	driver_start(&driver, 0);
	tap_ok(serve(0, 100), "after all of that, an honest driver is served");
	memcpy(guest(IN), "4GiBdata", 8);
	ring_add(&driver, 0, (struct segment[]){ { IN, 8, false }, { SIZE_4G, 8, true } }, 2);
	tap_ok(driver_wait(!memcmp(guest(SIZE_4G), "4GiBdata", 8)), "above 4 GiB, too");
	driver_end();
}

/* Where a queue may not be, or not of that size; found out when the driver is ready */
static void test_bad_rings(void)
{
	static const struct { const char *claim; u64 desc, avail, used; u16 size; } bad[] = {
		{ "a descriptor table that is misaligned", 0x100008, 0x101000, 0x102000, 16 },
		{ "an available ring that is misaligned", 0x100000, 0x101001, 0x102000, 16 },
		{ "a used ring that is misaligned", 0x100000, 0x101000, 0x102002, 16 },
		{ "a descriptor table outside of memory", DRIVER_MEMORY, 0x101000, 0x102000, 16 },
		{ "an available ring over the end of memory", 0x100000, DRIVER_MEMORY - 8, 0x102000, 16 },
		{ "a used ring at the end of the address space", 0x100000, 0x101000, ~0ULL - 7, 16 },
		{ "a queue of 0", 0x100000, 0x101000, 0x102000, 0 },
		{ "a queue of 12", 0x100000, 0x101000, 0x102000, 12 },
		{ "a queue of more than there can be", 0x100000, 0x101000, 0x102000, 128 },
	};
	u64 rings;
	u32 i;

	make_machine();
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		driver_agree(&driver, DRIVER_MODERN);
		mmio_write(COMMON_REG(&driver, queue_select), 0);
		rings = driver.common + offsetof(struct virtio_pci_common_cfg, queue_desc_lo);
		mmio_write(rings, 8, bad[i].desc);
		mmio_write(rings + 8, 8, bad[i].avail);
		mmio_write(rings + 16, 8, bad[i].used);
		mmio_write(COMMON_REG(&driver, queue_size), bad[i].size);
		mmio_write(COMMON_REG(&driver, queue_enable), 1);
		driver_add_status(&driver, VIRTIO_CONFIG_S_DRIVER_OK);
		tap_ok(driver_status(&driver) & VIRTIO_CONFIG_S_NEEDS_RESET && !echo.starts,
		       "%s: the device needs a reset", bad[i].claim);
	}
	driver_end();
}

/* Rings that are moved while they are used; more chains than the ring has; a reset meanwhile */
static void test_moved_rings(void)
{
	u64 rings;

	make_machine();
	driver_start(&driver, 0);
	rings = driver.common + offsetof(struct virtio_pci_common_cfg, queue_desc_lo);
	mmio_write(COMMON_REG(&driver, queue_select), 0);
	mmio_write(rings, 8, DRIVER_MEMORY);
	mmio_write(rings + 8, 8, ~0ULL);
	mmio_write(rings + 16, 8, 1);
	mmio_write(COMMON_REG(&driver, queue_size), 3);
	mmio_write(COMMON_REG(&driver, queue_enable), 0);
	tap_ok(mmio_read(rings, 8) == driver.queue[0].desc &&
	       mmio_read(COMMON_REG(&driver, queue_size)) == DRIVER_RING, "rings in use cannot be moved");
	tap_ok(serve(0, 70), "and are served where they are");
	driver_end();
}

static void test_reset_in_flight(void)
{
	u32 i;

	make_machine();
	echo.holds = true;
	driver_start(&driver, 0);
	for (i = 0; i < 5; i++)
		ring_add(&driver, 0, simple, 2);
	tap_ok(driver_wait(__atomic_load_n(&echo.held_count, __ATOMIC_SEQ_CST) == 5), "chains are in flight");
	mmio_write(COMMON_REG(&driver, device_status), 0);
	tap_ok(echo.held_count == 0 && echo.stops == 1 && driver_status(&driver) == 0,
	       "when the reset is done, the device holds none of them");
	memset(guest(1 << 20), 0xff, 1 << 20);
	ring_bell(&driver, 0);
	usleep(2000);
	tap_ok(*(u8 *)guest(1 << 20) == 0xff && !(driver_status(&driver) & VIRTIO_CONFIG_S_NEEDS_RESET),
	       "and does not look at the rings any more");
	echo.holds = false;
	driver.next_page = 1 << 20;
	driver_start(&driver, 0);
	tap_ok(serve(0, 70), "it starts anew");
	driver_end();
}

static void test_too_many(void)
{
	u32 i;

	make_machine();
	echo.holds = true;
	driver_start(&driver, 0);
	for (i = 0; i < DRIVER_RING; i++) {
		*ring_desc(&driver, 0, 0) = (struct vring_desc){ IN, 8, 0, 0 };
		ring_offer(&driver, 0, 0);
		ring_bell(&driver, 0);
	}
	tap_ok(driver_wait(__atomic_load_n(&echo.held_count, __ATOMIC_SEQ_CST) == DRIVER_RING),
	       "the same chain, offered as often as the ring has entries, is taken so often");
	ring_offer(&driver, 0, 0);
	ring_bell(&driver, 0);
	tap_ok(driver_needs_reset(&driver), "but not once more");
	driver_end();
}

/* ---- saved, destroyed, restored ------------------------------------------------------------ */

static void save_text(struct state *state, char **text)
{
	size_t size;
	FILE *file = open_memstream(text, &size);

	state_init(state);
	if (state_save_devices(&driver_vm, state))
		printf("# %s\n", error_text());
	state_print(state, file);
	fclose(file);
}

static void test_restore(void)
{
	struct state state, again;
	char *before, *after;
	u8 *memory = malloc(DRIVER_MEMORY);

	make_machine();
	driver_start(&driver, EVENT_IDX);
	serve(0, 21);
	mmio_write(driver.own + 4, 4, 0x77);
	mmio_write(driver.msix + 2 * 16 + 12, 4, 1);
	ring_wait(&driver, 1, ring_add(&driver, 1, simple, 2));
	driver_wait(mmio_read(driver.msix + 2048, 8) == 4);
	driver_wait(echo.written);
	save_text(&state, &before);
	tap_ok(serve(0, 7), "after being saved, a device goes on");
	free(before);
	state_free(&state);
	save_text(&state, &before);
	memcpy(memory, guest(0), DRIVER_MEMORY);
	driver_end();
	driver_machine(&config);
	driver_end();
	{
		struct driver kept = driver;

		make_machine();
		driver = kept;
	}
	memcpy(guest(0), memory, DRIVER_MEMORY);
	tap_ok(!state_restore_devices(&driver_vm, &state), "another machine takes the state");
	save_text(&again, &after);
	tap_ok(!strcmp(before, after), "and saves the same");
	tap_is(mmio_read(driver.own + 4, 4), 0x77, "its configuration is there");
	tap_is(mmio_read(driver.msix + 2048, 8), 4, "and the pending interrupt");
	mmio_write(driver.msix + 2 * 16 + 12, 4, 0);
	tap_is(driver_interrupts(2), 1, "which comes when it may");
	tap_ok(serve(0, 70) && serve(1, 7), "and the driver goes on where it was");
	driver_end();
	free(before);
	free(after);
	free(memory);
	state_free(&state);
	state_free(&again);
}

static void test_restore_refused(void)
{
	struct state state;
	char *text;

	make_machine();
	driver_start(&driver, 0);
	save_text(&state, &text);
	driver_end();
	driver_machine(&config);
	echo.virtio = (struct virtio_device){ .kind = &echo_kind, .name = "echo 0", .queues = 1,
					      .config = &echo.config };
	virtio_create(&echo.virtio, &driver_vm);
	tap_ok(state_restore_devices(&driver_vm, &state), "a device with other queues refuses: %s", error_text());
	driver_end();
	driver_machine(&config);
	tap_ok(state_restore_devices(&driver_vm, &state) && strstr(error_text(), "no"),
	       "a machine without it refuses: %s", error_text());
	driver_end();
	free(text);
	state_free(&state);
}

int main(void)
{
	test_find();
	test_agree();
	test_registers();
	test_config();
	test_serve();
	test_event_index();
	test_indirect();
	test_intx();
	test_bars();
	test_msix();
	test_msix_function();
	test_window();
	test_broken();
	test_bad_rings();
	test_moved_rings();
	test_reset_in_flight();
	test_too_many();
	test_restore();
	test_restore_refused();
	tap_ok(tap_held(), "the module was asked for nothing odd");
	return tap_done();
}
