// SPDX-License-Identifier: GPL-2.0-only
/*
 * The PCI bus (PCI Local Bus Specification 3.0): configuration space by mechanism #1
 * (3.2.2.3.2), memory BARs in a window, INTx. One bus, 32 slots, one function each; in slot 0 the host
 * bridge. A function that is not there reads as all ones. MSI-X is in msix.c.
 *
 * Locks, in this order: lock, for the address register, all configuration space and where
 * BARs are; irq_lock, for INTx. Neither is held while a function's BAR is accessed, because
 * that may take long (a reset waits for the device's thread) and may raise INTx.
 */
#include "device/pci.h"

#include <stdlib.h>
#include <string.h>

#include "lib/error.h"
#include "vmm/machine.h"
#include "vmm/state.h"

#define CONFIG_ADDRESS	0xcf8
#define CONFIG_DATA	0xcfc
#define ADDRESS_ENABLE	(1u << 31)
#define ADDRESS_BITS	0x80fffffc

#define BRIDGE_CLASS	0x060000
#define PINS		8	/* of the IOAPIC, for INTx: dsdt.asl, _PRT */
#define FIRST_PIN	16

struct pci {
	pthread_mutex_t lock;
	u32 address;
	struct pci_function *function[PCI_SLOTS];
	u32 slots;			/* taken */
	u64 next_bar;			/* where in the window the next one goes */

	pthread_mutex_t irq_lock;
	u32 raised[PINS];		/* a bit for each slot that raises this pin */

	/*
	 * The bridge: Intel's, because Linux trusts mechanism #1 when it finds such a one,
	 * but of a number no real chipset has and so no driver works around the faults of
	 * (8086:0d57, as Cloud Hypervisor has it). There is nothing in it to write.
	 */
	struct pci_function bridge;
};

static u32 get(const u8 *config, u32 offset, u32 length)
{
	u32 value = 0;

	memcpy(&value, config + offset, length);
	return value;
}

static void put(u8 *config, u32 offset, u32 value, u32 length)
{
	memcpy(config + offset, &value, length);
}

/* ---- INTx ----------------------------------------------------------------- */

/* With irq_lock held */
static void update_intx(struct pci_function *function)
{
	u32 pin = function->slot % PINS, bit = 1u << function->slot;
	u32 *raised = &function->bus->raised[pin], before = *raised;

	if (function->intx && !function->intx_off)
		*raised |= bit;
	else
		*raised &= ~bit;
	if (!before != !*raised)
		irq_set(function->machine, FIRST_PIN + pin, *raised);
}

void pci_intx(struct pci_function *function, bool level)
{
	pthread_mutex_lock(&function->bus->irq_lock);
	function->intx = level;
	update_intx(function);
	pthread_mutex_unlock(&function->bus->irq_lock);
}

/* After the command register or MSI-X has changed; with lock held */
static void allow_intx(struct pci_function *function)
{
	bool off = get(function->config, PCI_COMMAND, 2) & PCI_COMMAND_INTX_DISABLE ||
		   pci_msix_enabled(function);

	pthread_mutex_lock(&function->bus->irq_lock);
	function->intx_off = off;
	update_intx(function);
	pthread_mutex_unlock(&function->bus->irq_lock);
}

/* ---- BARs ----------------------------------------------------------------- */

void pci_bar(struct pci_function *function, u32 bar, u32 size, bool wide, bus_access *access,
	     void *opaque)
{
	u32 offset = PCI_BASE_ADDRESS_0 + 4 * bar;

	function->bar[bar] = (struct pci_bar){ size, wide, access, opaque, 0 };
	put(function->config, offset, wide ? PCI_BASE_ADDRESS_MEM_TYPE_64 : 0, 4);
	put(function->writable, offset, -size, 4);
	if (wide)
		put(function->writable, offset + 4, ~0u, 4);
}

/* Where the guest has put it; 0: nowhere, because it is switched off or not in the window */
static u64 bar_address(const struct pci_function *function, u32 bar)
{
	u32 offset = PCI_BASE_ADDRESS_0 + 4 * bar, size = function->bar[bar].size;
	u64 address = get(function->config, offset, 4) & PCI_BASE_ADDRESS_MEM_MASK;

	if (function->bar[bar].wide)
		address |= (u64)get(function->config, offset + 4, 4) << 32;
	if (!(get(function->config, PCI_COMMAND, 2) & PCI_COMMAND_MEMORY) || !size ||
	    address < PCI_WINDOW || address > PCI_WINDOW_END - size)
		return 0;
	return address;
}

static void update_bars(struct pci_function *function)
{
	u64 address;
	u32 bar;

	for (bar = 0; bar < PCI_BARS; bar++) {
		address = bar_address(function, bar);
		if (address == function->bar[bar].address)
			continue;
		function->bar[bar].address = address;
		if (function->moved)
			function->moved(function, bar);
	}
}

/* As firmware would have left them: each has an address, none is switched on */
static int place_bars(struct pci_function *function)
{
	struct pci *pci = function->bus;
	u32 bar, size;

	for (bar = 0; bar < PCI_BARS; bar++) {
		size = function->bar[bar].size;
		if (!size)
			continue;
		pci->next_bar = ALIGN_UP(pci->next_bar, size);
		if (pci->next_bar > PCI_WINDOW_END - size)
			return error_set("the PCI window has no room for another device; leave some out");
		put(function->config, PCI_BASE_ADDRESS_0 + 4 * bar, pci->next_bar |
		    get(function->config, PCI_BASE_ADDRESS_0 + 4 * bar, 4), 4);
		pci->next_bar += size;
	}
	return 0;
}

/* Whose BAR holds the whole of an access; NULL: nobody's. With lock held. */
static const struct pci_bar *find_bar(const struct pci *pci, u64 address, u32 length)
{
	const struct pci_bar *bar;
	u32 slot, i;

	for (slot = 0; slot < pci->slots; slot++) {
		bar = pci->function[slot]->bar;
		for (i = 0; i < PCI_BARS; i++, bar++)
			if (bar->address && address >= bar->address &&
			    address - bar->address + length <= bar->size)
				return bar;
	}
	return NULL;
}

static u64 access_window(void *device, u64 offset, u32 length, bool write, u64 value)
{
	u64 address = PCI_WINDOW + offset;
	struct pci_bar bar = { 0 };
	const struct pci_bar *found;
	struct pci *pci = device;

	pthread_mutex_lock(&pci->lock);
	found = find_bar(pci, address, length);
	if (found)
		bar = *found;
	pthread_mutex_unlock(&pci->lock);
	return found ? bar.access(bar.opaque, address - bar.address, length, write, value) : ~0ULL;
}

/* ---- configuration space --------------------------------------------------- */

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

/* Bus 0, function 0, and what slot there is */
static struct pci_function *selected(const struct pci *pci)
{
	u32 slot = pci->address >> 11 & 31;

	return (pci->address & 0xffff0700) == ADDRESS_ENABLE && slot < pci->slots ?
	       pci->function[slot] : NULL;
}

static bool touches(u32 offset, u32 length, u32 start, u32 size)
{
	return offset < start + size && start < offset + length;
}

static void write_config(struct pci_function *function, u32 offset, u32 length, u32 value)
{
	u32 msix = function->msix.capability;
	u8 *byte;

	for (byte = function->config + offset; byte < function->config + offset + length; byte++) {
		u8 writable = function->writable[byte - function->config];

		*byte = (*byte & ~writable) | (value & writable);
		value >>= 8;
	}
	if (msix && touches(offset, length, msix + PCI_MSIX_FLAGS, 2)) {
		pci_msix_control(function, get(function->config, msix + PCI_MSIX_FLAGS, 2));
		allow_intx(function);
	}
	if (touches(offset, length, PCI_COMMAND, 2))
		allow_intx(function);
	if (touches(offset, length, PCI_COMMAND, 2) ||
	    touches(offset, length, PCI_BASE_ADDRESS_0, 4 * PCI_BARS))
		update_bars(function);
}

static u32 read_config(struct pci_function *function, u32 offset, u32 length)
{
	u8 *status = &function->config[PCI_STATUS];

	pthread_mutex_lock(&function->bus->irq_lock);
	*status &= ~PCI_STATUS_INTERRUPT;
	if (function->intx)
		*status |= PCI_STATUS_INTERRUPT;
	pthread_mutex_unlock(&function->bus->irq_lock);
	return get(function->config, offset, length);
}

static u64 access_data(void *device, u64 offset, u32 length, bool write, u64 value)
{
	struct pci_function *function;
	struct pci *pci = device;
	u64 result = ~0ULL;
	bool hooked;

	if (offset + length > 4)
		return ~0ULL;
	pthread_mutex_lock(&pci->lock);
	function = selected(pci);
	offset += pci->address & 0xfc;
	hooked = function && function->hook &&
		 touches(offset, length, function->hook_start, function->hook_size);
	if (function && !hooked && write)
		write_config(function, offset, length, value);
	else if (function && !hooked)
		result = read_config(function, offset, length);
	pthread_mutex_unlock(&pci->lock);
	return hooked ? function->hook(function, offset, length, write, value) : result;
}

u32 pci_capability(struct pci_function *function, u8 id, u32 size)
{
	u32 at = function->capabilities ? function->capabilities : PCI_STD_HEADER_SIZEOF;
	u32 link = PCI_CAPABILITY_LIST;

	if (at + size > PCI_CONFIG)
		return 0;
	while (function->config[link])
		link = function->config[link] + PCI_CAP_LIST_NEXT;
	function->config[link] = at;
	function->config[at] = id;
	function->config[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
	function->capabilities = ALIGN_UP(at + size, 4u);
	return at;
}

/* ---- building --------------------------------------------------------------- */

/* What every function has in its header (6.1) */
static void fill_header(struct pci_function *function)
{
	u8 *config = function->config;

	put(config, PCI_VENDOR_ID, function->vendor, 2);
	put(config, PCI_DEVICE_ID, function->device, 2);
	put(config, PCI_CLASS_REVISION, function->class << 8 | function->revision, 4);
	put(config, PCI_SUBSYSTEM_VENDOR_ID, function->subsystem_vendor, 2);
	put(config, PCI_SUBSYSTEM_ID, function->subsystem, 2);
	if (!function->slot)
		return;
	put(config, PCI_INTERRUPT_PIN, 1, 1);
	put(config, PCI_INTERRUPT_LINE, FIRST_PIN + function->slot % PINS, 1);
	put(function->writable, PCI_INTERRUPT_LINE, 0xff, 1);
	put(function->writable, PCI_CACHE_LINE_SIZE, 0xff, 1);
	put(function->writable, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER |
	    PCI_COMMAND_INTX_DISABLE, 2);
}

static void place(struct pci *pci, struct pci_function *function, struct machine *machine)
{
	function->machine = machine;
	function->bus = pci;
	function->slot = pci->slots;
	fill_header(function);
	pci->function[pci->slots++] = function;
}

static int save_bus(void *opaque, const char *name, struct state *state)
{
	struct pci *pci = opaque;

	state_begin(state, name, 1);
	pthread_mutex_lock(&pci->lock);
	state_put(state, "address", pci->address);
	pthread_mutex_unlock(&pci->lock);
	return state_end(state);
}

static int restore_bus(void *opaque, const char *name, const struct state *state)
{
	struct pci *pci = opaque;
	struct state_record record;
	u64 address;

	if (state_find(state, name, 1, &record) ||
	    state_get(&record, "address", ADDRESS_BITS, &address) || state_done(&record))
		return -1;
	pci->address = address & ADDRESS_BITS;
	return 0;
}

static int make_bus(struct machine *machine)
{
	struct pci *pci = calloc(1, sizeof(*pci));

	if (!pci || machine_at_end(machine, free, pci))
		return error_set("out of memory");
	pthread_mutex_init(&pci->lock, NULL);
	pthread_mutex_init(&pci->irq_lock, NULL);
	pci->next_bar = PCI_WINDOW;
	pci->bridge.vendor = 0x8086;
	pci->bridge.device = 0x0d57;
	pci->bridge.revision = 2;
	pci->bridge.class = BRIDGE_CLASS;
	/* Of "QEMU", by which SeaBIOS knows that there is fw_cfg, and that BARs are not yet placed */
	pci->bridge.subsystem_vendor = 0x1af4;
	pci->bridge.subsystem = 0x1100;
	place(pci, &pci->bridge, machine);
	machine->pci = pci;
	if (bus_claim_ports(&machine->bus, CONFIG_ADDRESS, 1, 4, access_address, pci) ||
	    bus_claim_ports(&machine->bus, CONFIG_DATA, 4, 4, access_data, pci) ||
	    bus_claim_mmio(&machine->bus, PCI_WINDOW, PCI_WINDOW_END - PCI_WINDOW, 8,
			   access_window, pci))
		return -1;
	return state_add(machine, "pci", save_bus, restore_bus, pci);
}

/* Whoever needs the bus first makes it, so devices may be made in any order */
static int create(struct machine *machine)
{
	return machine->pci ? 0 : make_bus(machine);
}

static void destroy_msix(void *opaque)
{
	pci_msix_destroy(opaque);
}

int pci_add(struct pci_function *function, struct machine *machine)
{
	if (machine_at_end(machine, destroy_msix, function) || create(machine))
		return -1;
	if (machine->pci->slots == PCI_SLOTS)
		return error_set("there are PCI slots for %u devices; leave some out", PCI_SLOTS - 1);
	place(machine->pci, function, machine);
	return place_bars(function);
}

/* ---- saved and restored ------------------------------------------------------ */

int pci_save(struct pci_function *function, const char *name, struct state *state)
{
	state_begin(state, name, 1);
	pthread_mutex_lock(&function->bus->lock);
	state_put(state, "slot", function->slot);
	state_put_bytes(state, "config", function->config, PCI_CONFIG);
	state_put(state, "intx", function->intx);
	pci_msix_save(function, state);
	pthread_mutex_unlock(&function->bus->lock);
	return state_end(state);
}

/* What the guest cannot change must be the same in both: else these are different devices */
static int check_config(const struct pci_function *function, const u8 *saved, const char *name)
{
	u32 at;

	for (at = 0; at < PCI_CONFIG; at++)
		if ((saved[at] ^ function->config[at]) & ~function->writable[at] && at != PCI_STATUS)
			return error_set("the state of '%s' is of another device (byte %#x of PCI configuration space): give the machine the same options",
					 name, at);
	return 0;
}

int pci_restore(struct pci_function *function, const char *name, const struct state *state)
{
	struct state_record record;
	const void *config;
	u64 slot, intx;
	size_t size;

	if (state_find(state, name, 1, &record) ||
	    state_get(&record, "slot", PCI_SLOTS - 1, &slot) ||
	    state_get_bytes(&record, "config", PCI_CONFIG, &config, &size) ||
	    state_get(&record, "intx", 1, &intx))
		return -1;
	if (slot != function->slot || size != PCI_CONFIG)
		return error_set("the state of '%s' is of another slot (%llu, here %u): give the machine the same options",
				 name, slot, function->slot);
	if (check_config(function, config, name) || pci_msix_restore(function, &record) ||
	    state_done(&record))
		return -1;
	pthread_mutex_lock(&function->bus->lock);
	memcpy(function->config, config, PCI_CONFIG);
	if (function->msix.capability)
		pci_msix_control(function, get(function->config, function->msix.capability +
					       PCI_MSIX_FLAGS, 2));
	update_bars(function);
	allow_intx(function);
	pthread_mutex_unlock(&function->bus->lock);
	pci_intx(function, intx);
	return 0;
}

DEVICE(pci, create);
