// SPDX-License-Identifier: GPL-2.0-only
/*
 * virtio over PCI (Virtual I/O Device 1.2, 4.1), the modern transport alone: what a driver
 * finds, reads and writes, and how it is interrupted.
 *
 * BAR 0 holds the registers, a page each: common, ISR, the device's own, and a doorbell for each
 * queue, so that the module can tell them apart by their addresses (THV_IOEVENTFD). Where it
 * does not listen (it has only so many), the vCPU's thread rings the bell. BAR 2 is MSI-X's.
 *
 * A write that asks for work of the device's thread (reset, DRIVER_OK) ends when that work is
 * done: a driver that sees a status of 0 may take back its memory.
 */
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>

#include "lib/device.h"
#include "lib/error.h"
#include "virtio/internal.h"
#include "vmm/machine.h"

#define VENDOR		0x1af4
#define FIRST_DEVICE	0x1040		/* plus VIRTIO_ID_* */
#define REGISTERS_BAR	0
#define MSIX_BAR	2

#define PAGE		0x1000u
#define COMMON		(0 * PAGE)
#define ISR		(1 * PAGE)
#define CONFIG		(2 * PAGE)
#define DOORBELLS	(3 * PAGE)
#define REGISTERS	(4 * PAGE)
#define DOORBELL	4		/* bytes from one to the next */

#define ISR_QUEUE	1
#define ISR_CONFIG	2

#define TRANSPORT	(1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_RING_F_INDIRECT_DESC | \
			 1ULL << VIRTIO_RING_F_EVENT_IDX)

u64 virtio_offers(const struct virtio_device *device)
{
	return device->features | TRANSPORT;
}

/* ---- interrupts ---------------------------------------------------------------- */

static void interrupt(struct virtio_device *device, u16 vector, u8 reason)
{
	if (pci_msix_enabled(&device->function)) {
		pci_msix_signal(&device->function, vector);	/* none: there is no such one */
		return;
	}
	pthread_mutex_lock(&device->lock);
	device->isr |= reason;
	pci_intx(&device->function, true);
	pthread_mutex_unlock(&device->lock);
}

void virtqueue_interrupt(struct virtqueue *queue)
{
	interrupt(queue->device, __atomic_load_n(&queue->vector, __ATOMIC_RELAXED), ISR_QUEUE);
}

static void config_interrupt(struct virtio_device *device)
{
	interrupt(device, __atomic_load_n(&device->config_vector, __ATOMIC_RELAXED), ISR_CONFIG);
}

/* Reading it takes it back (4.1.4.5) */
static u8 take_isr(struct virtio_device *device)
{
	u8 isr;

	pthread_mutex_lock(&device->lock);
	isr = device->isr;
	device->isr = 0;
	pci_intx(&device->function, false);
	pthread_mutex_unlock(&device->lock);
	return isr;
}

static u8 status_of(struct virtio_device *device)
{
	u8 status;

	pthread_mutex_lock(&device->lock);
	status = device->status;
	pthread_mutex_unlock(&device->lock);
	return status;
}

static void add_status(struct virtio_device *device, u8 bits)
{
	pthread_mutex_lock(&device->lock);
	device->status |= bits;
	pthread_mutex_unlock(&device->lock);
}

void virtio_needs_reset(struct virtio_device *device)
{
	add_status(device, VIRTIO_CONFIG_S_NEEDS_RESET);
	config_interrupt(device);
}

void virtio_config_set(struct virtio_device *device, u32 offset, const void *data, u32 length)
{
	pthread_mutex_lock(&device->lock);
	memcpy((u8 *)device->config + offset, data, length);
	device->generation++;
	pthread_mutex_unlock(&device->lock);
	if (status_of(device) & VIRTIO_CONFIG_S_DRIVER_OK)
		config_interrupt(device);
}

/* ---- common: what is written. With registers held. ------------------------------- */

static struct virtqueue *selected(struct virtio_device *device)
{
	return device->selected < device->queues ? &device->queue[device->selected] : NULL;
}

/* The selected queue, while the driver may still set it up */
static struct virtqueue *changeable(struct virtio_device *device)
{
	struct virtqueue *queue = selected(device);

	return queue && !queue->enabled && !(status_of(device) & VIRTIO_CONFIG_S_DRIVER_OK) ?
	       queue : NULL;
}

static void write_offered_select(struct virtio_device *device, u32 value)
{
	device->feature_select[0] = value;
}

static void write_wanted_select(struct virtio_device *device, u32 value)
{
	device->feature_select[1] = value;
}

static void write_wanted(struct virtio_device *device, u32 value)
{
	u32 shift = 32 * device->feature_select[1];

	if (device->feature_select[1] > 1 || status_of(device) & VIRTIO_CONFIG_S_FEATURES_OK)
		return;
	device->wanted = (device->wanted & ~(0xffffffffULL << shift)) | (u64)value << shift;
}

/* A vector that is not there reads back as none, by which the driver knows (4.1.5.1.2.2) */
static u16 vector(const struct virtio_device *device, u32 value)
{
	return value <= device->queues ? value : VIRTIO_MSI_NO_VECTOR;
}

static void write_config_vector(struct virtio_device *device, u32 value)
{
	__atomic_store_n(&device->config_vector, vector(device, value), __ATOMIC_RELAXED);
}

static void write_queue_vector(struct virtio_device *device, u32 value)
{
	struct virtqueue *queue = selected(device);

	if (queue)
		__atomic_store_n(&queue->vector, vector(device, value), __ATOMIC_RELAXED);
}

static void write_select(struct virtio_device *device, u32 value)
{
	device->selected = value;
}

static void write_size(struct virtio_device *device, u32 value)
{
	struct virtqueue *queue = changeable(device);

	if (queue)
		queue->size = value;
}

static void write_enable(struct virtio_device *device, u32 value)
{
	struct virtqueue *queue = changeable(device);

	if (queue && value == 1)
		queue->enabled = true;
}

static void write_half(u64 *field, bool high, u32 value)
{
	*field = high ? (u32)*field | (u64)value << 32 : (*field & ~0xffffffffULL) | value;
}

static void write_address(struct virtio_device *device, size_t member, bool high, u32 value)
{
	struct virtqueue *queue = changeable(device);

	if (queue)
		write_half((u64 *)((u8 *)queue + member), high, value);
}

static void write_descriptors_low(struct virtio_device *device, u32 value)
{
	write_address(device, offsetof(struct virtqueue, descriptors), false, value);
}

static void write_descriptors_high(struct virtio_device *device, u32 value)
{
	write_address(device, offsetof(struct virtqueue, descriptors), true, value);
}

static void write_available_low(struct virtio_device *device, u32 value)
{
	write_address(device, offsetof(struct virtqueue, available), false, value);
}

static void write_available_high(struct virtio_device *device, u32 value)
{
	write_address(device, offsetof(struct virtqueue, available), true, value);
}

static void write_used_low(struct virtio_device *device, u32 value)
{
	write_address(device, offsetof(struct virtqueue, used), false, value);
}

static void write_used_high(struct virtio_device *device, u32 value)
{
	write_address(device, offsetof(struct virtqueue, used), true, value);
}

static void reset(struct virtio_device *device)
{
	virtio_call(device, virtio_reset, NULL);
	device->feature_select[0] = 0;
	device->feature_select[1] = 0;
	device->wanted = 0;
	device->selected = 0;
	write_config_vector(device, VIRTIO_MSI_NO_VECTOR);
	take_isr(device);
	pthread_mutex_lock(&device->lock);
	device->status = 0;
	pthread_mutex_unlock(&device->lock);
}

/* Features are agreed on if all of them are ours, and the first of all is among them */
static bool agree(struct virtio_device *device)
{
	if (device->wanted & ~virtio_offers(device) || !(device->wanted >> VIRTIO_F_VERSION_1 & 1))
		return false;
	device->agreed = device->wanted;
	return true;
}

/* Bits are added one after the other, as the driver gets on; only a reset takes them back */
static void write_status(struct virtio_device *device, u32 value)
{
	u8 before = status_of(device), fresh = value & ~before;

	if (!value) {
		reset(device);
		return;
	}
	if (fresh & VIRTIO_CONFIG_S_FEATURES_OK && !agree(device))
		fresh &= ~VIRTIO_CONFIG_S_FEATURES_OK;
	if (!((before | fresh) & VIRTIO_CONFIG_S_FEATURES_OK))
		fresh &= ~VIRTIO_CONFIG_S_DRIVER_OK;
	add_status(device, fresh & ~VIRTIO_CONFIG_S_NEEDS_RESET);
	if (fresh & VIRTIO_CONFIG_S_DRIVER_OK)
		virtio_call(device, virtio_start, NULL);
}

#define REGISTER(field, write) \
	{ offsetof(struct virtio_pci_common_cfg, field), \
	  sizeof(((struct virtio_pci_common_cfg *)0)->field), write }

static const struct {
	u32 offset, length;
	void (*write)(struct virtio_device *device, u32 value);
} registers[] = {
	REGISTER(device_feature_select, write_offered_select),
	REGISTER(guest_feature_select, write_wanted_select),
	REGISTER(guest_feature, write_wanted),
	REGISTER(msix_config, write_config_vector),
	REGISTER(device_status, write_status),
	REGISTER(queue_select, write_select),
	REGISTER(queue_size, write_size),
	REGISTER(queue_msix_vector, write_queue_vector),
	REGISTER(queue_enable, write_enable),
	REGISTER(queue_desc_lo, write_descriptors_low),
	REGISTER(queue_desc_hi, write_descriptors_high),
	REGISTER(queue_avail_lo, write_available_low),
	REGISTER(queue_avail_hi, write_available_high),
	REGISTER(queue_used_lo, write_used_low),
	REGISTER(queue_used_hi, write_used_high),
};

static void write_common(struct virtio_device *device, u32 offset, u32 length, u32 value)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(registers); i++)
		if (registers[i].offset == offset && registers[i].length == length)
			registers[i].write(device, value);
}

/* ---- common: what is read --------------------------------------------------------- */

static void show_queue(const struct virtqueue *queue, struct virtio_pci_common_cfg *common)
{
	common->queue_size = queue->size;
	common->queue_msix_vector = queue->vector;
	common->queue_enable = queue->enabled;
	common->queue_notify_off = queue->index;
	common->queue_desc_lo = queue->descriptors;
	common->queue_desc_hi = queue->descriptors >> 32;
	common->queue_avail_lo = queue->available;
	common->queue_avail_hi = queue->available >> 32;
	common->queue_used_lo = queue->used;
	common->queue_used_hi = queue->used >> 32;
}

/* No read has an effect, so all is put together for each and the wanted part cut out */
static u32 read_common(struct virtio_device *device, u32 offset, u32 length)
{
	const u32 *select = device->feature_select;
	struct virtio_pci_common_cfg common = {
		.device_feature_select = select[0],
		.device_feature = select[0] < 2 ? virtio_offers(device) >> 32 * select[0] : 0,
		.guest_feature_select = select[1],
		.guest_feature = select[1] < 2 ? device->wanted >> 32 * select[1] : 0,
		.msix_config = device->config_vector,
		.num_queues = device->queues,
		.queue_select = device->selected,
	};
	const struct virtqueue *queue = selected(device);
	u32 value = 0;

	if (offset + length > sizeof(common))
		return 0;
	pthread_mutex_lock(&device->lock);
	common.device_status = device->status;
	common.config_generation = device->generation;
	pthread_mutex_unlock(&device->lock);
	if (queue)
		show_queue(queue, &common);
	memcpy(&value, (u8 *)&common + offset, length);
	return value;
}

/* ---- the device's own config space -------------------------------------------------- */

static u32 read_own(struct virtio_device *device, u32 offset, u32 length)
{
	u32 size = device->kind->config_size, value = 0;

	if (offset >= size)
		return 0;
	pthread_mutex_lock(&device->lock);
	memcpy(&value, (u8 *)device->config + offset, length < size - offset ? length : size - offset);
	pthread_mutex_unlock(&device->lock);
	return value;
}

static void write_own(struct virtio_device *device, u32 offset, u32 length, u32 value)
{
	u32 start = device->kind->writable.offset, size = device->kind->writable.size;

	if (offset < start || offset + length > start + size)
		return;
	pthread_mutex_lock(&device->lock);
	memcpy((u8 *)device->config + offset, &value, length);
	pthread_mutex_unlock(&device->lock);
	eventfd_write(device->written_source.fd, 1);
}

/* ---- the BAR ------------------------------------------------------------------------ */

static void ring(struct virtio_device *device, u32 offset)
{
	u32 index = offset / DOORBELL;

	if (index < device->queues && !(offset % DOORBELL))
		eventfd_write(device->queue[index].doorbell, 1);
}

static u32 read_register(struct virtio_device *device, u32 offset, u32 length)
{
	switch (offset & ~(PAGE - 1)) {
	case COMMON:
		return read_common(device, offset, length);
	case ISR:
		return offset == ISR ? take_isr(device) : 0;
	case CONFIG:
		return read_own(device, offset - CONFIG, length);
	default:
		return 0;
	}
}

static void write_register(struct virtio_device *device, u32 offset, u32 length, u32 value)
{
	switch (offset & ~(PAGE - 1)) {
	case COMMON:
		write_common(device, offset, length, value);
		break;
	case CONFIG:
		write_own(device, offset - CONFIG, length, value);
		break;
	}
}

static u64 access_word(struct virtio_device *device, u32 offset, u32 length, bool write, u32 value)
{
	u32 result = 0;

	if (offset >= DOORBELLS) {		/* needs no lock, and must not wait for a reset */
		if (write)
			ring(device, offset - DOORBELLS);
		return 0;
	}
	pthread_mutex_lock(&device->registers);
	if (write)
		write_register(device, offset, length, value);
	else
		result = read_register(device, offset, length);
	pthread_mutex_unlock(&device->registers);
	return result;
}

/* The registers of 64 bits are pairs of 32 (4.1.3.1) */
static u64 access_registers(void *opaque, u64 offset, u32 length, bool write, u64 value)
{
	u64 low;

	if (length <= 4)
		return access_word(opaque, offset, length, write, value);
	low = access_word(opaque, offset, 4, write, value);
	return low | access_word(opaque, offset + 4, 4, write, value >> 32) << 32;
}

/* Have the module listen where the doorbells are now. With the bus's lock held. */
static void moved(struct pci_function *function, u32 bar)
{
	struct virtio_device *device = container_of(function, struct virtio_device, function);
	u64 base = function->bar[bar].address;
	struct virtqueue *queue;
	u32 index;

	if (bar != REGISTERS_BAR)
		return;
	for (index = 0; index < device->queues; index++) {
		queue = &device->queue[index];
		if (queue->doorbell_address)
			vm_doorbell(device->machine->vm, queue->doorbell, queue->doorbell_address, false);
		queue->doorbell_address = base ? base + DOORBELLS + DOORBELL * index : 0;
		if (base && vm_doorbell(device->machine->vm, queue->doorbell,
					queue->doorbell_address, true))
			queue->doorbell_address = 0;
	}
}

/* ---- capabilities -------------------------------------------------------------------- */

static u32 capability(struct pci_function *function, u8 type, u32 offset, u32 length, u32 size)
{
	u32 at = pci_capability(function, PCI_CAP_ID_VNDR, size);
	struct virtio_pci_cap *cap = (struct virtio_pci_cap *)(function->config + at);

	cap->cap_len = size;
	cap->cfg_type = type;
	cap->bar = REGISTERS_BAR;
	cap->offset = offset;
	cap->length = length;
	return at;
}

/*
 * The window to the registers through configuration space, for firmware (4.1.4.9): what
 * bar, offset and length say, read or written by way of pci_cfg_data.
 */
static u32 access_data(struct pci_function *function, u32 at, u32 length, bool write, u32 value)
{
	struct virtio_device *device = container_of(function, struct virtio_device, function);
	struct virtio_pci_cfg_cap cap;

	memcpy(&cap, function->config + function->hook_start - sizeof(cap.cap), sizeof(cap));
	if (at != function->hook_start || length != cap.cap.length || cap.cap.bar != REGISTERS_BAR ||
	    (length & (length - 1)) || cap.cap.offset % length || cap.cap.offset > REGISTERS - length)
		return write ? 0 : ~0u;
	return access_word(device, cap.cap.offset, length, write, value);
}

static void add_window(struct pci_function *function)
{
	u32 at = capability(function, VIRTIO_PCI_CAP_PCI_CFG, 0, 0, sizeof(struct virtio_pci_cfg_cap));
	u32 data = at + offsetof(struct virtio_pci_cfg_cap, pci_cfg_data);

	function->writable[at + offsetof(struct virtio_pci_cap, bar)] = 0xff;
	memset(function->writable + at + offsetof(struct virtio_pci_cap, offset), 0xff, 8);
	function->hook = access_data;
	function->hook_start = data;
	function->hook_size = 4;
}

static void add_capabilities(struct virtio_device *device)
{
	struct pci_function *function = &device->function;
	u32 notify;

	capability(function, VIRTIO_PCI_CAP_COMMON_CFG, COMMON, sizeof(struct virtio_pci_common_cfg),
		   sizeof(struct virtio_pci_cap));
	notify = capability(function, VIRTIO_PCI_CAP_NOTIFY_CFG, DOORBELLS, DOORBELL * device->queues,
			    sizeof(struct virtio_pci_notify_cap));
	((struct virtio_pci_notify_cap *)(function->config + notify))->notify_off_multiplier = DOORBELL;
	capability(function, VIRTIO_PCI_CAP_ISR_CFG, ISR, 1, sizeof(struct virtio_pci_cap));
	if (device->kind->config_size)
		capability(function, VIRTIO_PCI_CAP_DEVICE_CFG, CONFIG, device->kind->config_size,
			   sizeof(struct virtio_pci_cap));
	add_window(function);
}

int virtio_pci_add(struct virtio_device *device)
{
	struct pci_function *function = &device->function;

	function->vendor = VENDOR;
	function->subsystem_vendor = VENDOR;
	function->device = FIRST_DEVICE + device->kind->id;
	function->subsystem = FIRST_DEVICE + device->kind->id;
	function->revision = 1;
	function->class = device->kind->class;
	function->moved = moved;
	device->config_vector = VIRTIO_MSI_NO_VECTOR;
	pci_bar(function, REGISTERS_BAR, REGISTERS, true, access_registers, device);
	if (pci_msix(function, MSIX_BAR, device->queues + 1))
		return -1;
	add_capabilities(device);
	return pci_add(function, device->machine);
}
