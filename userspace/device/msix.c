// SPDX-License-Identifier: GPL-2.0-only
/*
 * MSI-X (PCI 3.0, 6.8.2): a table of messages, of which each may be masked, and a bit for each
 * message that was to be sent while it was masked; both in one page that is a BAR.
 *
 * A message that may be sent has an eventfd that the module delivers it for (THV_IRQFD), so a
 * device's thread sends with one write(); where the module does not take it (there are only so
 * many, or the guest wrote no MSI's address) THV_SIGNAL_MSI is tried each time. Binding is done
 * by the vCPU that writes the table, never by the device's thread.
 *
 * msix->lock is taken inside the bus's lock, and nothing is taken inside of it.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "device/pci.h"
#include "lib/device.h"
#include "lib/error.h"
#include "vmm/machine.h"
#include "vmm/state.h"

#define TABLE_SIZE	4096
#define PENDING		2048		/* where in the page the pending bits are */
#define ENTRY		16
#define MASKED		PCI_MSIX_ENTRY_CTRL_MASKBIT

_Static_assert(PCI_MSIX_VECTORS * ENTRY <= PENDING, "the table ends before the pending bits");

static bool is_pending(const struct pci_msix *msix, u32 vector)
{
	return msix->pending[vector / 64] >> vector % 64 & 1;
}

static void set_pending(struct pci_msix *msix, u32 vector, bool pending)
{
	u64 bit = 1ULL << vector % 64;

	if (pending)
		msix->pending[vector / 64] |= bit;
	else
		msix->pending[vector / 64] &= ~bit;
}

static bool may_send(const struct pci_msix *msix, const struct pci_vector *vector)
{
	return (msix->control & (PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL)) ==
	       PCI_MSIX_FLAGS_ENABLE && !(vector->control & MASKED);
}

static void send(struct pci_function *function, struct pci_vector *vector)
{
	if (vector->bound)
		eventfd_write(vector->fd, 1);
	else
		vm_signal_msi(function->machine->vm, vector->address, vector->data);
}

static void bind(struct pci_function *function, struct pci_vector *vector, bool on)
{
	int result;

	if (vector->bound == on)
		return;
	result = vm_irqfd(function->machine->vm, vector->fd, vector->address, vector->data, on);
	vector->bound = on && !result;
}

/* After the table or the control word has changed */
static void update(struct pci_function *function, u32 index)
{
	struct pci_vector *vector = &function->msix.vector[index];
	bool sends = may_send(&function->msix, vector);

	bind(function, vector, sends);
	if (!sends || !is_pending(&function->msix, index))
		return;
	set_pending(&function->msix, index, false);
	send(function, vector);
}

void pci_msix_control(struct pci_function *function, u16 control)
{
	struct pci_msix *msix = &function->msix;
	u32 index;

	pthread_mutex_lock(&msix->lock);
	msix->control = control;
	for (index = 0; index < msix->vectors; index++)
		update(function, index);
	pthread_mutex_unlock(&msix->lock);
}

bool pci_msix_enabled(struct pci_function *function)
{
	struct pci_msix *msix = &function->msix;
	bool enabled;

	if (!msix->vectors)
		return false;
	pthread_mutex_lock(&msix->lock);
	enabled = msix->control & PCI_MSIX_FLAGS_ENABLE;
	pthread_mutex_unlock(&msix->lock);
	return enabled;
}

void pci_msix_signal(struct pci_function *function, u32 index)
{
	struct pci_msix *msix = &function->msix;

	if (index >= msix->vectors)
		return;
	pthread_mutex_lock(&msix->lock);
	if (may_send(msix, &msix->vector[index]))
		send(function, &msix->vector[index]);
	else if (msix->control & PCI_MSIX_FLAGS_ENABLE)
		set_pending(msix, index, true);
	pthread_mutex_unlock(&msix->lock);
}

/* ---- the page ---------------------------------------------------------------- */

/* The four words of a table's entry (6.8.2.6 to 6.8.2.9) */
static u32 read_entry(const struct pci_vector *vector, u32 word)
{
	switch (word) {
	case 0:
		return vector->address;
	case 1:
		return vector->address >> 32;
	case 2:
		return vector->data;
	default:
		return vector->control;
	}
}

static void write_entry(struct pci_vector *vector, u32 word, u32 value)
{
	switch (word) {
	case 0:
		vector->address = (vector->address & ~0xffffffffULL) | (value & ~3u);
		break;
	case 1:
		vector->address = (u32)vector->address | (u64)value << 32;
		break;
	case 2:
		vector->data = value;
		break;
	default:
		vector->control = value & MASKED;
		break;
	}
}

static u32 read_word(const struct pci_msix *msix, u32 offset)
{
	if (offset / ENTRY < msix->vectors)
		return read_entry(&msix->vector[offset / ENTRY], offset % ENTRY / 4);
	if (offset >= PENDING && offset < PENDING + sizeof(msix->pending))
		return msix->pending[(offset - PENDING) / 8] >> (offset & 4 ? 32 : 0);
	return 0;
}

/* A bound message is let go first: that needs the message that it was bound with */
static void write_word(struct pci_function *function, u32 offset, u32 value)
{
	struct pci_msix *msix = &function->msix;
	u32 index = offset / ENTRY, word = offset % ENTRY / 4;

	if (index >= msix->vectors || read_entry(&msix->vector[index], word) == value)
		return;
	bind(function, &msix->vector[index], false);
	write_entry(&msix->vector[index], word, value);
	update(function, index);
}

/* Words or pairs of them, aligned (6.8.2); what else a guest tries does nothing */
static u64 access_page(void *device, u64 offset, u32 length, bool write, u64 value)
{
	struct pci_function *function = device;
	struct pci_msix *msix = &function->msix;
	u64 result = 0;
	u32 done;

	if (length < 4 || offset % 4)
		return 0;
	pthread_mutex_lock(&msix->lock);
	for (done = 0; done < length; done += 4) {
		if (write)
			write_word(function, offset + done, value >> 8 * done);
		else
			result |= (u64)read_word(msix, offset + done) << 8 * done;
	}
	pthread_mutex_unlock(&msix->lock);
	return result;
}

/* ---- life -------------------------------------------------------------------- */

int pci_msix(struct pci_function *function, u32 bar, u32 vectors)
{
	struct pci_msix *msix = &function->msix;
	u32 at = pci_capability(function, PCI_CAP_ID_MSIX, PCI_CAP_MSIX_SIZEOF), index;
	u32 words[2] = { bar, PENDING | bar };
	u16 control = vectors - 1, writable = PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL;

	msix->vector = calloc(vectors, sizeof(*msix->vector));
	if (!at || !msix->vector || vectors > PCI_MSIX_VECTORS)
		return error_set("no room for MSI-X with %u messages", vectors);
	pthread_mutex_init(&msix->lock, NULL);
	msix->vectors = vectors;
	msix->capability = at;
	msix->control = control;
	for (index = 0; index < vectors; index++) {
		msix->vector[index].control = MASKED;
		msix->vector[index].fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (msix->vector[index].fd < 0)
			return error_errno("an eventfd for each interrupt");
	}
	memcpy(function->config + at + PCI_MSIX_FLAGS, &control, 2);
	memcpy(function->writable + at + PCI_MSIX_FLAGS, &writable, 2);
	memcpy(function->config + at + PCI_MSIX_TABLE, words, sizeof(words));
	pci_bar(function, bar, TABLE_SIZE, false, access_page, function);
	return 0;
}

void pci_msix_destroy(struct pci_function *function)
{
	struct pci_msix *msix = &function->msix;
	u32 index;

	for (index = 0; index < msix->vectors; index++) {
		bind(function, &msix->vector[index], false);
		if (msix->vector[index].fd > 0)
			close(msix->vector[index].fd);
	}
	free(msix->vector);
	msix->vector = NULL;
	msix->vectors = 0;
}

/* ---- saved and restored: the page as the guest sees it ------------------------ */

void pci_msix_save(struct pci_function *function, struct state *state)
{
	struct pci_msix *msix = &function->msix;
	u32 table[PCI_MSIX_VECTORS * 4], words = msix->vectors * 4, word;

	if (!msix->vectors)
		return;
	pthread_mutex_lock(&msix->lock);
	for (word = 0; word < words; word++)
		table[word] = read_word(msix, 4 * word);
	state_put_bytes(state, "msix_table", table, 4 * words);
	state_put_bytes(state, "msix_pending", msix->pending, sizeof(msix->pending));
	pthread_mutex_unlock(&msix->lock);
}

int pci_msix_restore(struct pci_function *function, struct state_record *record)
{
	struct pci_msix *msix = &function->msix;
	u32 words = msix->vectors * 4, word;
	const void *table, *pending;
	size_t table_size, pending_size;

	if (!msix->vectors)
		return 0;
	if (state_get_bytes(record, "msix_table", 4 * words, &table, &table_size) ||
	    state_get_bytes(record, "msix_pending", sizeof(msix->pending), &pending, &pending_size))
		return -1;
	if (table_size != 4 * words || pending_size != sizeof(msix->pending))
		return error_set("the state of '%s' has another number of interrupts", record->what);
	pthread_mutex_lock(&msix->lock);
	for (word = 0; word < words; word++) {
		u32 value;

		memcpy(&value, (const u8 *)table + 4 * word, 4);
		write_word(function, 4 * word, value);
	}
	memcpy(msix->pending, pending, sizeof(msix->pending));
	pthread_mutex_unlock(&msix->lock);
	return 0;
}
