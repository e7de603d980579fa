// SPDX-License-Identifier: GPL-2.0-only
/* Routing of port and MMIO accesses; see bus.h for who may call what when. */
#include "vmm/bus.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/error.h"

#define PORTS	65536

int bus_create(struct bus *bus, bool trace)
{
	memset(bus, 0, sizeof(*bus));
	bus->ports = calloc(1, PORTS);
	if (trace)
		bus->traced = calloc(1, PORTS);
	if (!bus->ports || (trace && !bus->traced))
		return error_set("out of memory");
	return 0;
}

void bus_destroy(struct bus *bus)
{
	free(bus->ports);
	free(bus->traced);
}

static int add(struct bus_range *ranges, u32 *count, struct bus_range range)
{
	if (*count == BUS_RANGES)
		return error_set("the bus has no room for another device");
	ranges[(*count)++] = range;
	return 0;
}

int bus_claim_ports(struct bus *bus, u16 start, u32 count, u32 width, bus_access *access,
		    void *device)
{
	u32 port;

	if (start + count > PORTS)
		return error_set("ports %#x to %#x do not exist", start, start + count - 1);
	for (port = start; port < start + count; port++)
		if (bus->ports[port])
			return error_set("port %#x is wanted by two devices", port);
	if (add(bus->port_range, &bus->port_ranges,
		(struct bus_range){ start, count, width, access, device }))
		return -1;
	memset(bus->ports + start, bus->port_ranges, count);
	return 0;
}

int bus_claim_mmio(struct bus *bus, u64 start, u64 size, u32 width, bus_access *access,
		   void *device)
{
	const struct bus_range *other;
	u32 i;

	for (i = 0; i < bus->mmio_ranges; i++) {
		other = &bus->mmio_range[i];
		if (start < other->start + other->size && other->start < start + size)
			return error_set("address %#llx is wanted by two devices", start);
	}
	return add(bus->mmio_range, &bus->mmio_ranges,
		   (struct bus_range){ start, size, width, access, device });
}

/* x86 is little-endian, and so are we: the low bytes come first */
static void serve(const struct bus_range *range, u64 address, void *data, u32 length, bool write)
{
	u64 value = 0;

	if (write)
		memcpy(&value, data, length);
	value = range->access(range->device, address - range->start, length, write, value);
	if (!write)
		memcpy(data, &value, length);
}

static void unclaimed(struct bus *bus, void *data, u32 length, bool write)
{
	bus->unclaimed++;
	if (!write)
		memset(data, 0xff, length);
}

static void unclaimed_port(struct bus *bus, u16 port, void *data, u32 length, bool write)
{
	unclaimed(bus, data, length, write);
	if (!bus->traced || bus->traced[port])
		return;
	bus->traced[port] = 1;
	fprintf(stderr, "thv: port %#06x, %u bytes: no device answers a %s (told once)\r\n", port,
		length, write ? "write" : "read");
}

void bus_port(struct bus *bus, u16 port, void *data, u32 length, bool write)
{
	const struct bus_range *range;
	u32 i;

	if (!bus->ports[port]) {
		unclaimed_port(bus, port, data, length, write);
		return;
	}
	range = &bus->port_range[bus->ports[port] - 1];
	if (length <= range->width) {
		serve(range, port, data, length, write);
		return;
	}
	/* As the ISA bus does it; the bytes may belong to different devices */
	for (i = 0; i < length; i++)
		bus_port(bus, port + i, (u8 *)data + i, 1, write);
}

static const struct bus_range *find_mmio(struct bus *bus, u64 address, u32 length)
{
	const struct bus_range *range = bus->mmio_range;

	for (; range < bus->mmio_range + bus->mmio_ranges; range++)
		if (address >= range->start && address - range->start < range->size &&
		    length <= range->size - (address - range->start))
			return range;
	return NULL;
}

void bus_mmio(struct bus *bus, u64 address, void *data, u32 length, bool write)
{
	const struct bus_range *range = find_mmio(bus, address, length);
	u32 i;

	if (range && length <= range->width && !(length & (length - 1))) {
		serve(range, address, data, length, write);
	} else if (range) {
		for (i = 0; i < length; i++)
			serve(range, address + i, (u8 *)data + i, 1, write);
	} else {
		unclaimed(bus, data, length, write);
		if (bus->traced)
			fprintf(stderr, "thv: address %#llx, %u bytes: no device answers a %s\r\n",
				address, length, write ? "write" : "read");
	}
}
