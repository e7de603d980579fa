// SPDX-License-Identifier: GPL-2.0-only
/*
 * The PCI host bridge: configuration space by mechanism #1 (PCI 3.0, 3.2.2.3.2), with
 * nobody on the bus but the bridge itself. A function that is not there reads as
 * all ones.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "lib/error.h"
#include "vmm/machine.h"

#define CONFIG_ADDRESS	0xcf8
#define CONFIG_DATA	0xcfc
#define ADDRESS_ENABLE	(1u << 31)
#define ADDRESS_BITS	0x80fffffc

struct pci {
	pthread_mutex_t lock;
	u32 address;
};

/*
 * The bridge: Intel's, because Linux trusts mechanism #1 when it finds such a one,
 * but of a number no real chipset has and so no driver works around the faults of
 * (8086:0d57, as Cloud Hypervisor has it). There is nothing in it to write.
 */
static const u8 bridge[256] = {
	0x86, 0x80, 0x57, 0x0d,		/* vendor, device */
	0x00, 0x00, 0x00, 0x00,		/* command, status */
	0x02, 0x00, 0x00, 0x06,		/* revision; class: host bridge */
};

/* Bus, device and function of the address; only 0:0.0 is there */
static const u8 *selected(u32 address)
{
	return (address & ~0xffu) == ADDRESS_ENABLE ? bridge : NULL;
}

static u64 access_address(void *device, u64 offset, u32 length, bool write, u64 value)
{
	struct pci *pci = device;
	u32 result;

	(void)offset;
	if (length != 4)	/* only whole; 0xcf9 is another register's (reset.c) */
		return ~0ULL;
	pthread_mutex_lock(&pci->lock);
	if (write)
		pci->address = value & ADDRESS_BITS;
	result = pci->address;
	pthread_mutex_unlock(&pci->lock);
	return result;
}

static u64 access_data(void *device, u64 offset, u32 length, bool write, u64 value)
{
	struct pci *pci = device;
	u64 result = ~0ULL;
	const u8 *config;
	u32 address;

	(void)value;
	pthread_mutex_lock(&pci->lock);
	address = pci->address;
	pthread_mutex_unlock(&pci->lock);
	config = selected(address);
	if (!write && config && offset + length <= 4)
		memcpy(&result, config + (address & 0xfc) + offset, length);
	return result;
}

static int create(struct machine *machine)
{
	struct pci *pci = calloc(1, sizeof(*pci));

	if (!pci || machine_at_end(machine, free, pci))
		return error_set("out of memory");
	pthread_mutex_init(&pci->lock, NULL);
	if (bus_claim_ports(&machine->bus, CONFIG_ADDRESS, 1, 4, access_address, pci))
		return -1;
	return bus_claim_ports(&machine->bus, CONFIG_DATA, 4, 4, access_data, pci);
}

DEVICE(pci, create);
