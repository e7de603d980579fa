/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The PCI bus: what a device that is a PCI function needs. It fills in a struct pci_function,
 * with pci_capability() and pci_bar() and pci_msix(), and then pci_add()s it. From then on the
 * guest finds it, moves its BARs and turns it on and off; what a BAR does is a bus_access (vmm/bus.h)
 * of the device's, called on any vCPU's thread with no lock held.
 *
 * BARs are memory, within the window below 4 GiB that ACPI's _CRS tells the guest of
 * (boot/dsdt.asl). A BAR that the guest puts elsewhere answers nowhere.
 *
 * INTx: every function has INTA#, wired to IOAPIC pin 16 + slot % 8 (dsdt.asl, _PRT), level-triggered.
 */
#ifndef THV_DEVICE_PCI_H
#define THV_DEVICE_PCI_H

#include <linux/pci_regs.h>
#include <pthread.h>

#include "lib/types.h"
#include "vmm/bus.h"

#define PCI_WINDOW		0xd0000000ULL
#define PCI_WINDOW_END		0xfec00000ULL
#define PCI_SLOTS		32		/* 0 is the host bridge */
#define PCI_BARS		6
#define PCI_MSIX_VECTORS	128		/* a function may have: its table is half a page */
#define PCI_CONFIG		256

struct machine;
struct pci;
struct pci_function;
struct state;
struct state_record;

struct pci_bar {
	u32 size;		/* 0: there is none, or it is the upper half of a 64-bit one */
	bool wide;		/* 64-bit: the next one is its upper half */
	bus_access *access;
	void *opaque;
	u64 address;		/* where it answers now; 0: nowhere */
};

struct pci_vector {
	u64 address;		/* as the guest wrote them */
	u32 data, control;
	int fd;			/* eventfd */
	bool bound;		/* the module delivers what is signalled there */
};

struct pci_msix {
	pthread_mutex_t lock;	/* guards all below */
	u32 vectors;		/* 0: no MSI-X */
	u32 capability;		/* where in config space */
	u16 control;		/* as the guest wrote it there: PCI_MSIX_FLAGS_* */
	struct pci_vector *vector;
	u64 pending[PCI_MSIX_VECTORS / 64];
};

/* A stretch of config space that does more than remember */
typedef u32 pci_config_hook(struct pci_function *function, u32 offset, u32 length, bool write,
			    u32 value);

struct pci_function {
	/* Filled in before pci_add() */
	u16 vendor, device, subsystem_vendor, subsystem;
	u8 revision;
	u32 class;
	/* The guest has moved a BAR, or turned it on or off: called with a lock held; may be NULL */
	void (*moved)(struct pci_function *function, u32 bar);
	pci_config_hook *hook;		/* for [hook_start, hook_start + hook_size); no lock held */
	u32 hook_start, hook_size;

	/* The bus's own */
	struct machine *machine;
	struct pci *bus;
	u32 slot;
	u8 config[PCI_CONFIG];
	u8 writable[PCI_CONFIG];	/* which bits the guest may change */
	u32 capabilities;		/* end of those placed so far; 0: none yet */
	struct pci_bar bar[PCI_BARS];
	struct pci_msix msix;
	bool intx;			/* the device wants an interrupt: under the bus's irq_lock */
	bool intx_off;			/* ... but the guest wants none of this kind: likewise */
};

/* A capability of @size bytes, header included: returns where it is in config space; 0: no room */
u32 pci_capability(struct pci_function *function, u8 id, u32 size);

/* Memory of @size, a power of two from 4 KiB; a @wide one takes two BARs */
void pci_bar(struct pci_function *function, u32 bar, u32 size, bool wide, bus_access *access,
	     void *opaque);

/* An MSI-X capability, its table and its pending bits in a @bar of their own. 0, or -1 */
int pci_msix(struct pci_function *function, u32 bar, u32 vectors);

/* On the bus of @machine, in the next free slot. 0, or -1 with the error text. */
int pci_add(struct pci_function *function, struct machine *machine);

/* Interrupts; any thread. With MSI-X on, INTx is silent, and the other way round. */
bool pci_msix_enabled(struct pci_function *function);
void pci_msix_signal(struct pci_function *function, u32 vector);
void pci_intx(struct pci_function *function, bool level);

/* msix.c's, for pci.c: the guest has written the control word; interrupts again after a restore */
void pci_msix_control(struct pci_function *function, u16 control);
void pci_msix_destroy(struct pci_function *function);
void pci_msix_save(struct pci_function *function, struct state *state);
int pci_msix_restore(struct pci_function *function, struct state_record *record);

/* The function's config space, BARs and MSI-X: a record of that name */
int pci_save(struct pci_function *function, const char *name, struct state *state);
int pci_restore(struct pci_function *function, const char *name, const struct state *state);

#endif
