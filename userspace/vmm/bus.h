/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Routing: which device answers a port or an address that is not memory.
 * Devices claim their ranges while the machine is built; after that nothing
 * changes, so lookups need no lock. What nobody claims reads as all ones and
 * swallows writes, as on a PC, and is counted.
 */
#ifndef THV_VMM_BUS_H
#define THV_VMM_BUS_H

#include "lib/types.h"

#define BUS_RANGES	48

/*
 * What a device does about an access: offset is within its range, length 1, 2, 4
 * or 8, but no more than the range's width. A read returns the value; bits beyond
 * length are cut off by the bus. Called on any vCPU's thread: lock what you own.
 */
typedef u64 bus_access(void *device, u64 offset, u32 length, bool write, u64 value);

struct bus_range {
	u64 start, size;
	u32 width;		/* widest access the device takes whole; wider ones come in bytes */
	bus_access *access;
	void *device;
};

struct bus {
	u8 *ports;		/* for each port 1 + the number of its range, or 0 */
	struct bus_range port_range[BUS_RANGES], mmio_range[BUS_RANGES];
	u32 port_ranges, mmio_ranges;
	u64 unclaimed;		/* accesses; racing vCPUs may lose a count */
	u8 *traced;		/* NULL: no trace; else whether a port was told already */
};

int bus_create(struct bus *bus, bool trace);
void bus_destroy(struct bus *bus);

/* Claim; 0, or -1 with the error text when it is taken. Ports are within 64 Ki. */
int bus_claim_ports(struct bus *bus, u16 start, u32 count, u32 width, bus_access *access,
		    void *device);
int bus_claim_mmio(struct bus *bus, u64 start, u64 size, u32 width, bus_access *access,
		   void *device);

/* One access of 1 to 8 bytes at data, little-endian; odd lengths come in bytes */
void bus_port(struct bus *bus, u16 port, void *data, u32 length, bool write);
void bus_mmio(struct bus *bus, u64 address, void *data, u32 length, bool write);

#endif
