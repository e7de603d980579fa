/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A driver for virtio devices under test: it finds the function on the PCI bus, places its BARs,
 * agrees on features, sets up MSI-X and rings, and puts chains into them, all by way of the
 * ports and addresses that a guest would use. The module is played here, too.
 *
 *	static struct driver driver;
 *
 *	driver_machine(&config);		a machine, to create() devices in
 *	driver_devices();			those among the test's sources
 *	driver_begin();				their threads run
 *	driver_find(&driver, 1);		the function in slot 1
 *		... or driver_make(&driver, &config) for these four
 *	driver_start(&driver, features);	up to DRIVER_OK, each queue with 16 entries
 *	head = ring_add(&driver, 0, segments, n);
 *	written = ring_wait(&driver, 0, head);
 *	driver_end();				everything is taken apart
 *
 * To be included once, by the test, which names these among its sources:
 * userspace/virtio/{queue,transport,virtio}.c userspace/device/{pci,msix}.c
 * userspace/vmm/{bus,memory,events,state,thread}.c userspace/lib/error.c
 */
#ifndef THV_UNIT_DRIVER_H
#define THV_UNIT_DRIVER_H

#include <linux/virtio_pci.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "lib/device.h"
#include "lib/error.h"
#include "tap.h"
#include "virtio/queue.h"
#include "virtio/virtio.h"
#include "vmm/machine.h"
#include "vmm/state.h"

#define DRIVER_MEMORY	(8ull << 20)
#ifndef DRIVER_RING
#define DRIVER_RING	16		/* entries of each queue */
#endif
#define DRIVER_QUEUES	8
#define DRIVER_FDS	1024
#define DRIVER_WAIT_MS	10000		/* for what must come */

#define unused_here	__attribute__((unused))

static struct machine driver_vm;

/* ---- the rest of the launcher, and the module -------------------------------- */

static u32 msi_sent[PCI_MSIX_VECTORS];		/* by their data: by vm_signal_msi() */
static struct { bool bound; u64 address; u32 data; } driver_irqfd[DRIVER_FDS];
static struct { bool bound; u64 address; } driver_bell[DRIVER_FDS];
static u32 driver_pins;				/* IOAPIC pins that are raised */
static bool driver_refuses;			/* the module takes no more eventfds */

int vm_signal_msi(int vm, u64 address, u32 data)
{
	(void)vm;
	(void)address;
	msi_sent[data % PCI_MSIX_VECTORS]++;
	return 1;
}

int vm_irqfd(int vm, int fd, u64 address, u32 data, bool on)
{
	(void)vm;
	if (driver_refuses && on)
		return -1;
	tap_check(fd >= 0 && fd < DRIVER_FDS && driver_irqfd[fd].bound != on, "irqfd %d, %d", fd, on);
	tap_check(on || (driver_irqfd[fd].address == address && driver_irqfd[fd].data == data),
		  "irqfd %d is let go with another message", fd);
	driver_irqfd[fd].bound = on;
	driver_irqfd[fd].address = address;
	driver_irqfd[fd].data = data;
	return 0;
}

int vm_doorbell(int vm, int fd, u64 address, bool on)
{
	(void)vm;
	if (driver_refuses && on)
		return -1;
	tap_check(driver_bell[fd].bound != on && (on || driver_bell[fd].address == address),
		  "doorbell %d, %d", fd, on);
	driver_bell[fd].bound = on;
	driver_bell[fd].address = address;
	return 0;
}

int vm_set_memory(int vm, const struct thv_memory *memory)
{
	(void)vm;
	(void)memory;
	return 0;
}

void irq_set(struct machine *machine, u32 pin, bool level)
{
	u32 bit = 1u << pin;

	(void)machine;
	if (level)
		__atomic_fetch_or(&driver_pins, bit, __ATOMIC_SEQ_CST);
	else
		__atomic_fetch_and(&driver_pins, ~bit, __ATOMIC_SEQ_CST);
}

/* Without a sandbox: sanitizers make calls that it forbids; test_run.c has it */
int sandbox_enter(enum thread_kind kind, const char *name)
{
	return 0;
}

int sandbox_keep_network(struct sandbox_plan *plan)
{
	return 0;
}

void machine_end(struct machine *machine, int status, const char *reason, ...)
{
	tap_ok(false, "the machine has ended: %d", status);
}

int machine_at_end(struct machine *machine, void (*finish)(void *opaque), void *opaque)
{
	struct machine_finish *entry = malloc(sizeof(*entry));

	*entry = (struct machine_finish){ machine->finishes, finish, opaque };
	machine->finishes = entry;
	return 0;
}

unused_here
static void driver_machine(const struct machine_config *config)
{
	driver_vm = (struct machine){ .config = config, .device = -1, .vm = -1 };
	memset(driver_irqfd, 0, sizeof(driver_irqfd));
	memset(driver_bell, 0, sizeof(driver_bell));
	driver_pins = 0;
	if (bus_create(&driver_vm.bus, false) || events_create(&driver_vm.events) ||
	    memory_create(&driver_vm.memory, DRIVER_MEMORY, "test", false))
		exit(99);
}

extern const struct device *const __start_thv_devices[], *const __stop_thv_devices[];

/* All devices among the test's sources; 0, or -1 with the error text */
unused_here
static int driver_devices(void)
{
	const struct device *const *device;

	for (device = __start_thv_devices; device < __stop_thv_devices; device++)
		if (((*device)->check && (*device)->check(driver_vm.config)) ||
		    (*device)->create(&driver_vm))
			return -1;
	return 0;
}

unused_here
static void driver_begin(void)
{
	if (threads_begin(&driver_vm))
		exit(99);
}

unused_here
static void driver_end(void)
{
	struct machine_finish *entry;

	while ((entry = driver_vm.finishes)) {
		driver_vm.finishes = entry->next;
		entry->finish(entry->opaque);
		free(entry);
	}
	state_remove_all(&driver_vm);
	memory_destroy(&driver_vm.memory);
	events_destroy(&driver_vm.events);
	bus_destroy(&driver_vm.bus);
}

/* ---- what the guest's processor does ------------------------------------------ */

static u64 mmio_read(u64 address, u32 length)
{
	u64 value = 0;

	bus_mmio(&driver_vm.bus, address, &value, length, false);
	return value;
}

static void mmio_write(u64 address, u32 length, u64 value)
{
	bus_mmio(&driver_vm.bus, address, &value, length, true);
}

static void config_address(u32 slot, u32 offset)
{
	u32 address = 1u << 31 | slot << 11 | (offset & 0xfc);

	bus_port(&driver_vm.bus, 0xcf8, &address, 4, true);
}

static u32 config_read(u32 slot, u32 offset, u32 length)
{
	u32 value = 0;

	config_address(slot, offset);
	bus_port(&driver_vm.bus, 0xcfc + offset % 4, &value, length, false);
	return value;
}

static void config_write(u32 slot, u32 offset, u32 length, u32 value)
{
	config_address(slot, offset);
	bus_port(&driver_vm.bus, 0xcfc + offset % 4, &value, length, true);
}

static void *guest(u64 gpa)
{
	return memory_at(&driver_vm.memory, gpa, 1);
}

/* ---- the driver ------------------------------------------------------------------ */

struct driver_queue {
	u64 desc, avail, used;		/* guest-physical */
	u64 bell;
	u16 size, next_desc, next_avail, seen;
};

struct driver {
	u32 slot;
	u64 registers, msix;		/* BARs */
	u64 common, isr, own, bells;	/* addresses in them */
	u32 bell_size;
	u32 queues;
	u64 features;
	u64 next_page;			/* of guest memory that nobody uses yet */
	struct driver_queue queue[DRIVER_QUEUES];
};

#define COMMON_REG(driver, field) \
	((driver)->common + offsetof(struct virtio_pci_common_cfg, field)), \
	sizeof(((struct virtio_pci_common_cfg *)0)->field)

static u64 driver_page(struct driver *driver, u64 size)
{
	u64 page = driver->next_page;

	driver->next_page += ALIGN_UP(size, PAGE_BYTES);
	return page;
}

unused_here
static u8 driver_status(struct driver *driver)
{
	return mmio_read(COMMON_REG(driver, device_status));
}

static void driver_add_status(struct driver *driver, u8 bits)
{
	mmio_write(COMMON_REG(driver, device_status),
		   mmio_read(COMMON_REG(driver, device_status)) | bits);
}

/* By the vendor capabilities: where the registers are */
static void driver_capability(struct driver *driver, u32 at)
{
	u8 type = config_read(driver->slot, at + offsetof(struct virtio_pci_cap, cfg_type), 1);
	u64 address = driver->registers + config_read(driver->slot, at + offsetof(struct virtio_pci_cap,
								 offset), 4);

	if (type == VIRTIO_PCI_CAP_COMMON_CFG)
		driver->common = address;
	if (type == VIRTIO_PCI_CAP_ISR_CFG)
		driver->isr = address;
	if (type == VIRTIO_PCI_CAP_DEVICE_CFG)
		driver->own = address;
	if (type == VIRTIO_PCI_CAP_NOTIFY_CFG) {
		driver->bells = address;
		driver->bell_size = config_read(driver->slot, at + sizeof(struct virtio_pci_cap), 4);
	}
}

/* The function in a slot, BARs where the launcher put them, switched on. False: none, or no virtio */
unused_here
static bool driver_find(struct driver *driver, u32 slot)
{
	u32 at;

	*driver = (struct driver){ .slot = slot, .next_page = 1 << 20 };
	if (config_read(slot, PCI_VENDOR_ID, 2) != 0x1af4)
		return false;
	driver->registers = config_read(slot, PCI_BASE_ADDRESS_0, 4) & ~15u;
	driver->msix = config_read(slot, PCI_BASE_ADDRESS_2, 4) & ~15u;
	for (at = config_read(slot, PCI_CAPABILITY_LIST, 1); at; at = config_read(slot, at + 1, 1))
		if (config_read(slot, at, 1) == PCI_CAP_ID_VNDR)
			driver_capability(driver, at);
	config_write(slot, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	driver->queues = mmio_read(COMMON_REG(driver, num_queues));
	return driver->common && driver->isr && driver->bells;
}

/* A machine with one virtio device, that runs and has been found */
unused_here
static void driver_make(struct driver *driver, const struct machine_config *config)
{
	driver_machine(config);
	if (driver_devices()) {
		printf("# %s\n", error_text());
		exit(99);
	}
	driver_begin();
	driver_find(driver, 1);
}

/* Vector i + 1 for queue i, 0 for changes of configuration; the data of each is its number */
unused_here
static void driver_msix(struct driver *driver)
{
	u32 vector, at = config_read(driver->slot, PCI_CAPABILITY_LIST, 1);

	while (config_read(driver->slot, at, 1) != PCI_CAP_ID_MSIX)
		at = config_read(driver->slot, at + 1, 1);
	config_write(driver->slot, at + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	for (vector = 0; vector <= driver->queues; vector++) {
		mmio_write(driver->msix + 16 * vector, 8, 0xfee00000);
		mmio_write(driver->msix + 16 * vector + 8, 4, vector);
		mmio_write(driver->msix + 16 * vector + 12, 4, 0);
	}
	mmio_write(COMMON_REG(driver, msix_config), 0);
}

unused_here
static u64 driver_offered(struct driver *driver)
{
	u64 low, high;

	mmio_write(COMMON_REG(driver, device_feature_select), 0);
	low = mmio_read(COMMON_REG(driver, device_feature));
	mmio_write(COMMON_REG(driver, device_feature_select), 1);
	high = mmio_read(COMMON_REG(driver, device_feature));
	return high << 32 | low;
}

/* Reset; features; does the device agree? */
unused_here
static bool driver_agree(struct driver *driver, u64 features)
{
	mmio_write(COMMON_REG(driver, device_status), 0);
	driver_add_status(driver, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	driver_add_status(driver, VIRTIO_CONFIG_S_DRIVER);
	mmio_write(COMMON_REG(driver, guest_feature_select), 0);
	mmio_write(COMMON_REG(driver, guest_feature), (u32)features);
	mmio_write(COMMON_REG(driver, guest_feature_select), 1);
	mmio_write(COMMON_REG(driver, guest_feature), features >> 32);
	driver_add_status(driver, VIRTIO_CONFIG_S_FEATURES_OK);
	driver->features = features;
	return driver_status(driver) & VIRTIO_CONFIG_S_FEATURES_OK;
}

unused_here
static void driver_queue(struct driver *driver, u32 index, u16 size)
{
	struct driver_queue *queue = &driver->queue[index];

	mmio_write(COMMON_REG(driver, queue_select), index);
	*queue = (struct driver_queue){ .size = size };
	queue->desc = driver_page(driver, 16 * size);
	queue->avail = driver_page(driver, 6 + 2 * size);
	queue->used = driver_page(driver, 6 + 8 * size);
	memset(guest(queue->desc), 0, queue->used + PAGE_BYTES - queue->desc);
	queue->bell = driver->bells +
		      driver->bell_size * mmio_read(COMMON_REG(driver, queue_notify_off));
	mmio_write(COMMON_REG(driver, queue_size), size);
	mmio_write(COMMON_REG(driver, queue_desc_lo), (u32)queue->desc);
	mmio_write(COMMON_REG(driver, queue_desc_hi), queue->desc >> 32);
	mmio_write(driver->common + offsetof(struct virtio_pci_common_cfg, queue_avail_lo), 8,
		   queue->avail);
	mmio_write(driver->common + offsetof(struct virtio_pci_common_cfg, queue_used_lo), 8,
		   queue->used);
	mmio_write(COMMON_REG(driver, queue_msix_vector), index + 1);
	mmio_write(COMMON_REG(driver, queue_enable), 1);
}

#define DRIVER_MODERN	(1ULL << VIRTIO_F_VERSION_1)

/* All of it; @features without DRIVER_MODERN */
unused_here
static bool driver_start(struct driver *driver, u64 features)
{
	u32 index;

	if (!driver_agree(driver, features | DRIVER_MODERN))
		return false;
	driver_msix(driver);
	for (index = 0; index < driver->queues && index < DRIVER_QUEUES; index++)
		driver_queue(driver, index, DRIVER_RING);
	driver_add_status(driver, VIRTIO_CONFIG_S_DRIVER_OK);
	return driver_status(driver) & VIRTIO_CONFIG_S_DRIVER_OK;
}

/* Interrupts by MSI-X since the last call: what has come to the vector's eventfd, or without one */
unused_here
static u32 driver_interrupts(u32 vector)
{
	u32 total = __atomic_exchange_n(&msi_sent[vector], 0, __ATOMIC_SEQ_CST);
	eventfd_t count;
	int fd;

	for (fd = 0; fd < DRIVER_FDS; fd++)
		if (driver_irqfd[fd].bound && driver_irqfd[fd].data == vector && !eventfd_read(fd, &count))
			total += count;
	return total;
}

/* ---- rings ------------------------------------------------------------------------ */

struct segment {
	u64 gpa;
	u32 length;
	bool write;
};

unused_here
static struct vring_desc *ring_desc(struct driver *driver, u32 index, u32 number)
{
	return (struct vring_desc *)guest(driver->queue[index].desc) + number;
}

unused_here
static struct vring_avail *ring_avail(struct driver *driver, u32 index)
{
	return guest(driver->queue[index].avail);
}

unused_here
static struct vring_used *ring_used(struct driver *driver, u32 index)
{
	return guest(driver->queue[index].used);
}

/* Make a chain available whose descriptors are there; no bell is rung */
unused_here
static void ring_offer(struct driver *driver, u32 index, u16 head)
{
	struct driver_queue *queue = &driver->queue[index];
	struct vring_avail *avail = ring_avail(driver, index);

	avail->ring[queue->next_avail % queue->size] = head;
	__atomic_store_n(&avail->idx, ++queue->next_avail, __ATOMIC_RELEASE);
}

unused_here
static void ring_bell(struct driver *driver, u32 index)
{
	mmio_write(driver->queue[index].bell, 2, index);
}

/* A chain of segments, in the next descriptors of the table, which is taken in turns; its head */
unused_here
static u16 ring_put(struct driver *driver, u32 index, const struct segment *segments, u32 count)
{
	struct driver_queue *queue = &driver->queue[index];
	u16 head = queue->next_desc, at = head;
	u32 i;

	for (i = 0; i < count; i++) {
		u16 next = (at + 1) % queue->size;

		*ring_desc(driver, index, at) = (struct vring_desc){
			.addr = segments[i].gpa,
			.len = segments[i].length,
			.flags = (segments[i].write ? VRING_DESC_F_WRITE : 0) |
				 (i + 1 < count ? VRING_DESC_F_NEXT : 0),
			.next = next,
		};
		at = next;
	}
	queue->next_desc = at;
	ring_offer(driver, index, head);
	return head;
}

unused_here
static u16 ring_add(struct driver *driver, u32 index, const struct segment *segments, u32 count)
{
	u16 head = ring_put(driver, index, segments, count);

	ring_bell(driver, index);
	return head;
}

static u64 now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000ull + now.tv_nsec / 1000000;
}

/* Wait until something is true; was it, in time? */
#define driver_wait(condition) ({						\
	u64 end_ = now_ms() + DRIVER_WAIT_MS;					\
	bool true_;								\
	while (!(true_ = (condition)) && now_ms() < end_)			\
		usleep(200);							\
	true_; })

/* The next used element; false: none came */
unused_here
static bool ring_next(struct driver *driver, u32 index, struct vring_used_elem *element)
{
	struct driver_queue *queue = &driver->queue[index];
	struct vring_used *used = ring_used(driver, index);

	if (!driver_wait(__atomic_load_n(&used->idx, __ATOMIC_ACQUIRE) != queue->seen))
		return false;
	*element = (struct vring_used_elem){ used->ring[queue->seen % queue->size].id,
					     used->ring[queue->seen % queue->size].len };
	queue->seen++;
	return true;
}

/* Wait for the chain to be used, as the next one: how many bytes were written; -1: no, or another */
unused_here
static long ring_wait(struct driver *driver, u32 index, u16 head)
{
	struct vring_used_elem element;

	return ring_next(driver, index, &element) && element.id == head ? (long)element.len : -1;
}

/* Has the device given up on us, and told so? */
unused_here
static bool driver_needs_reset(struct driver *driver)
{
	return driver_wait(driver_status(driver) & VIRTIO_CONFIG_S_NEEDS_RESET);
}

#endif
