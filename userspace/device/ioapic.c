// SPDX-License-Identifier: GPL-2.0-only
/*
 * The IOAPIC (Intel 82093AA, with the EOI register of version 0x20): 24 pins,
 * each with a redirection entry that says which message its interrupt becomes.
 * The module's local APICs take it from there.
 *
 * An edge-triggered pin sends when it rises, and a masked one forgets the edge. A
 * level-triggered pin sends when it is raised, sets remote IRR, and sends again at
 * the EOI if it is still raised.
 */
#include "device/ioapic.h"

#include <stdlib.h>

#include "lib/device.h"
#include "lib/error.h"
#include "vmm/machine.h"
#include "vmm/state.h"

/* Offsets in its page, and indirect registers */
#define IOREGSEL		0x00
#define IOWIN			0x10
#define IOEOI			0x40
#define REG_ID			0x00
#define REG_VERSION		0x01
#define REG_ARBITRATION		0x02
#define REG_REDIRECTION		0x10
#define VERSION			(0x20 | (IOAPIC_PINS - 1) << 16)
#define ID_BITS			0x0f000000

/* A redirection entry */
#define RTE_VECTOR		0xffULL
#define RTE_MODE_SHIFT		8
#define RTE_MODE		(7ULL << RTE_MODE_SHIFT)
#define RTE_LOGICAL		(1ULL << 11)
#define RTE_STATUS		(1ULL << 12)	/* read-only; a message never waits here */
#define RTE_REMOTE_IRR		(1ULL << 14)	/* read-only */
#define RTE_LEVEL		(1ULL << 15)
#define RTE_MASKED		(1ULL << 16)
#define RTE_WRITABLE		0xff0000000001afffULL
#define RTE_DESTINATION_SHIFT	56

/* The message (SDM 11.11) */
#define MSI_ADDRESS		0xfee00000ULL
#define MSI_LOGICAL		(1ULL << 2)
#define MSI_REDIRECT		(1ULL << 3)
#define MSI_ASSERT		(1U << 14)
#define MSI_LEVEL		(1U << 15)
#define MODE_LOWEST		1

/* How many vCPUs it reached; nothing better can be done about none, or an error */
static int send(struct ioapic *ioapic, u64 rte)
{
	u32 mode = (rte & RTE_MODE) >> RTE_MODE_SHIFT;
	u64 address = MSI_ADDRESS | (rte >> RTE_DESTINATION_SHIFT) << 12;
	u32 data = (rte & (RTE_VECTOR | RTE_MODE)) | MSI_ASSERT;

	if (rte & RTE_LOGICAL)
		address |= MSI_LOGICAL;
	if (mode == MODE_LOWEST)
		address |= MSI_REDIRECT;
	if (rte & RTE_LEVEL)
		data |= MSI_LEVEL;
	return vm_signal_msi(ioapic->vm, address, data);
}

/* Level-triggered: send if it is due. With the lock held. */
static void service(struct ioapic *ioapic, u32 pin)
{
	u64 *rte = &ioapic->redirection[pin];

	if (!(ioapic->level & 1u << pin) || *rte & (RTE_MASKED | RTE_REMOTE_IRR))
		return;
	if (send(ioapic, *rte) > 0)
		*rte |= RTE_REMOTE_IRR;
}

void ioapic_set(struct ioapic *ioapic, u32 pin, bool level)
{
	u32 bit = 1u << pin;
	bool rises;

	pthread_mutex_lock(&ioapic->lock);
	rises = level && !(ioapic->level & bit);
	ioapic->level = level ? ioapic->level | bit : ioapic->level & ~bit;
	if (ioapic->redirection[pin] & RTE_LEVEL)
		service(ioapic, pin);
	else if (rises && !(ioapic->redirection[pin] & RTE_MASKED))
		send(ioapic, ioapic->redirection[pin]);
	pthread_mutex_unlock(&ioapic->lock);
}

static void end_of_interrupt(struct ioapic *ioapic, u8 vector)
{
	u64 *rte;
	u32 pin;

	for (pin = 0; pin < IOAPIC_PINS; pin++) {
		rte = &ioapic->redirection[pin];
		if (!(*rte & RTE_REMOTE_IRR) || (*rte & RTE_VECTOR) != vector)
			continue;
		*rte &= ~RTE_REMOTE_IRR;
		service(ioapic, pin);
	}
}

void ioapic_eoi(struct ioapic *ioapic, u8 vector)
{
	pthread_mutex_lock(&ioapic->lock);
	end_of_interrupt(ioapic, vector);
	pthread_mutex_unlock(&ioapic->lock);
}

/* ---- registers ---------------------------------------------------------- */

static u32 read_register(const struct ioapic *ioapic)
{
	u32 index = ioapic->selected - REG_REDIRECTION;

	if (index < 2 * IOAPIC_PINS)
		return ioapic->redirection[index / 2] >> (index & 1 ? 32 : 0);
	if (ioapic->selected == REG_VERSION)
		return VERSION;
	if (ioapic->selected == REG_ID || ioapic->selected == REG_ARBITRATION)
		return ioapic->id;
	return 0;
}

/*
 * Turning a pin to edge forgets its remote IRR: that is how kernels get rid of one
 * whose EOI was lost (Linux: __eoi_ioapic_pin()).
 */
static void write_redirection(struct ioapic *ioapic, u32 index, u32 value)
{
	u64 *rte = &ioapic->redirection[index / 2];
	u32 shift = index & 1 ? 32 : 0;
	u64 writable = RTE_WRITABLE & (u64)~0U << shift;

	*rte = (*rte & ~writable) | ((u64)value << shift & writable);
	if (!(*rte & RTE_LEVEL))
		*rte &= ~RTE_REMOTE_IRR;
	else
		service(ioapic, index / 2);
}

static void write_register(struct ioapic *ioapic, u32 value)
{
	u32 index = ioapic->selected - REG_REDIRECTION;

	if (index < 2 * IOAPIC_PINS)
		write_redirection(ioapic, index, value);
	else if (ioapic->selected == REG_ID)
		ioapic->id = value & ID_BITS;
}

static u64 read_page(const struct ioapic *ioapic, u64 offset)
{
	if (offset == IOREGSEL)
		return ioapic->selected;
	return offset == IOWIN ? read_register(ioapic) : 0;
}

static void write_page(struct ioapic *ioapic, u64 offset, u32 value)
{
	if (offset == IOREGSEL)
		ioapic->selected = value & 0xff;
	else if (offset == IOWIN)
		write_register(ioapic, value);
	else if (offset == IOEOI)
		end_of_interrupt(ioapic, value);
}

u64 ioapic_access(void *device, u64 offset, u32 length, bool write, u64 value)
{
	struct ioapic *ioapic = device;
	u64 result = 0;

	(void)length;
	pthread_mutex_lock(&ioapic->lock);
	if (write)
		write_page(ioapic, offset, value);
	else
		result = read_page(ioapic, offset);
	pthread_mutex_unlock(&ioapic->lock);
	return result;
}

/* ---- the state ---------------------------------------------------------- */

static const struct state_field fields[] = {
	STATE(struct ioapic, selected, .maximum = 0xff),
	STATE(struct ioapic, id, .maximum = ID_BITS),
	STATE_BYTES(struct ioapic, redirection),
	STATE(struct ioapic, level, .maximum = (1 << IOAPIC_PINS) - 1),
	{ 0 }
};

int ioapic_save(void *opaque, const char *name, struct state *state)
{
	struct ioapic *ioapic = opaque;
	int result;

	pthread_mutex_lock(&ioapic->lock);
	result = state_save_table(state, name, fields, ioapic);
	pthread_mutex_unlock(&ioapic->lock);
	return result;
}

/* Nothing is sent: what was has arrived, in the state of an APIC */
int ioapic_restore(void *opaque, const char *name, const struct state *state)
{
	struct ioapic *ioapic = opaque;
	u32 pin;

	if (state_restore_table(state, name, fields, ioapic))
		return -1;
	for (pin = 0; pin < IOAPIC_PINS; pin++) {
		ioapic->redirection[pin] &= RTE_WRITABLE | RTE_REMOTE_IRR;
		if (!(ioapic->redirection[pin] & RTE_LEVEL))
			ioapic->redirection[pin] &= ~RTE_REMOTE_IRR;
	}
	return 0;
}

/* ---- the device --------------------------------------------------------- */

void ioapic_init(struct ioapic *ioapic, int vm)
{
	u32 pin;

	*ioapic = (struct ioapic){ .lock = PTHREAD_MUTEX_INITIALIZER, .vm = vm };
	for (pin = 0; pin < IOAPIC_PINS; pin++)
		ioapic->redirection[pin] = RTE_MASKED;
}

static int create(struct machine *machine)
{
	struct ioapic *ioapic = malloc(sizeof(*ioapic));

	if (!ioapic || machine_at_end(machine, free, ioapic))
		return error_set("out of memory");
	ioapic_init(ioapic, machine->vm);
	machine->ioapic = ioapic;
	if (bus_claim_mmio(&machine->bus, IOAPIC_ADDRESS, PAGE_BYTES, 4, ioapic_access, ioapic))
		return -1;
	return state_add(machine, "ioapic", ioapic_save, ioapic_restore, ioapic);
}

DEVICE(ioapic, create);
