// SPDX-License-Identifier: GPL-2.0-only
/*
 * fw_cfg (QEMU's docs/specs/fw_cfg.rst): what firmware is told about its machine, read by a selector and
 * a data port, or by DMA, which is so much faster that old firmware has learned it. It is only
 * read: nothing that the guest writes is kept but the selector and the place in an item.
 */
#include "device/fwcfg.h"

#include <endian.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "lib/error.h"
#include "vmm/machine.h"
#include "vmm/state.h"

#define DMA_PORT	(FWCFG_PORT + 4)
#define KEY_BITS	0xbfff		/* the other one is for writing. From 0x8000 on: of this architecture */
#define ID		3		/* there are the ports, and there is DMA */
#define DMA_SIGNATURE	0x51454d5520434647ULL	/* "QEMU CFG" */

/* A request, big-endian, wherever the guest has it */
struct dma_request {
	u32 control, length;
	u64 address;
};

#define DMA_ERROR	0x01
#define DMA_READ	0x02
#define DMA_SKIP	0x04
#define DMA_SELECT	0x08
#define DMA_WRITE	0x10

struct fwcfg {
	pthread_mutex_t lock;		/* guards all below */
	const struct fwcfg_items *items;
	const struct memory *memory;
	u8 *directory;
	u32 directory_size;
	u16 key;
	u32 at;				/* the next byte of the selected item */
	u32 dma_high;			/* upper half of a request's address */
};

/* ---- reading ----------------------------------------------------------------- */

static const u8 *selected(const struct fwcfg *fwcfg, u32 *size)
{
	static const char signature[] = "QEMU";
	static const u32 id = ID;
	const struct fwcfg_item *item = fwcfg->items->item;
	u32 i;

	for (i = 0; i < fwcfg->items->count; i++, item++)
		if (item->key == fwcfg->key) {
			*size = item->size;
			return item->data;
		}
	*size = 4;
	if (fwcfg->key == FWCFG_SIGNATURE)
		return (const u8 *)signature;
	if (fwcfg->key == FWCFG_ID)
		return (const u8 *)&id;
	*size = fwcfg->key == FWCFG_DIRECTORY ? fwcfg->directory_size : 0;
	return fwcfg->directory;
}

static void select_item(struct fwcfg *fwcfg, u16 key)
{
	fwcfg->key = key & KEY_BITS;
	fwcfg->at = 0;
}

/* After the end there are zeros. @to NULL: skip. */
static void read_item(struct fwcfg *fwcfg, u8 *to, u32 length)
{
	u32 size, left;
	const u8 *data = selected(fwcfg, &size);

	left = fwcfg->at < size ? size - fwcfg->at : 0;
	if (left > length)
		left = length;
	if (to && left)
		memcpy(to, data + fwcfg->at, left);
	if (to)
		memset(to + left, 0, length - left);
	fwcfg->at += left;
}

static u64 access_selector(void *device, u64 offset, u32 length, bool write, u64 value)
{
	struct fwcfg *fwcfg = device;

	if (!write || offset || length != 2)
		return 0;
	pthread_mutex_lock(&fwcfg->lock);
	select_item(fwcfg, value);
	pthread_mutex_unlock(&fwcfg->lock);
	return 0;
}

static u64 read_data(struct fwcfg *fwcfg)
{
	u8 byte;

	pthread_mutex_lock(&fwcfg->lock);
	read_item(fwcfg, &byte, 1);
	pthread_mutex_unlock(&fwcfg->lock);
	return byte;
}

/* The two ports overlap: a word is written at the first, a byte is read at the second */
static u64 access_ports(void *device, u64 offset, u32 length, bool write, u64 value)
{
	if (offset == 1 && length == 1 && !write)
		return read_data(device);
	return access_selector(device, offset, length, write, value);
}

/* ---- DMA ---------------------------------------------------------------------- */

/* What is asked for; false: it cannot be done */
static bool carry_out(struct fwcfg *fwcfg, u32 control, u32 length, u64 address)
{
	u8 *to = NULL;

	if (control & DMA_SELECT)
		select_item(fwcfg, control >> 16);
	if (control & DMA_READ) {
		to = memory_at(fwcfg->memory, address, length);
		if (!to)
			return false;
	} else if (control & DMA_WRITE) {
		return false;
	} else if (!(control & DMA_SKIP)) {
		return true;
	}
	read_item(fwcfg, to, length);
	return true;
}

/* The guest's memory is the guest's: the request is read once, and only its control word is written */
static void dma(struct fwcfg *fwcfg, u64 gpa)
{
	void *place = memory_at(fwcfg->memory, gpa, sizeof(struct dma_request));
	struct dma_request request;
	u32 result;

	if (!place)
		return;
	memcpy(&request, place, sizeof(request));
	result = carry_out(fwcfg, be32toh(request.control), be32toh(request.length),
			   be64toh(request.address)) ? 0 : htobe32(DMA_ERROR);
	memcpy(place, &result, sizeof(result));
}

/* Big-endian, too; the write to the lower half begins it. Reads tell that there is DMA. */
static u64 access_dma(void *device, u64 offset, u32 length, bool write, u64 value)
{
	struct fwcfg *fwcfg = device;

	if (!write)
		return htobe64(DMA_SIGNATURE) >> 8 * offset;
	if (length != 4 || offset % 4)
		return 0;
	pthread_mutex_lock(&fwcfg->lock);
	if (offset) {
		dma(fwcfg, (u64)fwcfg->dma_high << 32 | be32toh(value));
		fwcfg->dma_high = 0;
	} else {
		fwcfg->dma_high = be32toh(value);
	}
	pthread_mutex_unlock(&fwcfg->lock);
	return 0;
}

/* ---- the directory ------------------------------------------------------------- */

struct directory_entry {		/* big-endian */
	u32 size;
	u16 key, reserved;
	char name[FWCFG_NAME];
};

static int make_directory(struct fwcfg *fwcfg)
{
	const struct fwcfg_item *item = fwcfg->items->item;
	struct directory_entry *entry;
	u32 i;

	fwcfg->directory_size = sizeof(u32) + fwcfg->items->files * sizeof(*entry);
	fwcfg->directory = calloc(1, fwcfg->directory_size);
	if (!fwcfg->directory)
		return error_set("out of memory");
	*(u32 *)fwcfg->directory = htobe32(fwcfg->items->files);
	entry = (struct directory_entry *)(fwcfg->directory + sizeof(u32));
	for (i = 0; i < fwcfg->items->count; i++, item++) {
		if (!item->name[0])
			continue;
		entry->size = htobe32(item->size);
		entry->key = htobe16(item->key);
		strcpy(entry->name, item->name);
		entry++;
	}
	return 0;
}

/* ---- the device ---------------------------------------------------------------- */

static const struct state_field fields[] = {
	STATE(struct fwcfg, key, .maximum = KEY_BITS),
	STATE(struct fwcfg, at),
	STATE(struct fwcfg, dma_high),
	{ 0 }
};

static int save(void *opaque, const char *name, struct state *state)
{
	return state_save_table(state, name, fields, opaque);
}

/* The items are the machine's: who restores has made it with the same ones */
static int restore(void *opaque, const char *name, const struct state *state)
{
	return state_restore_table(state, name, fields, opaque);
}

static void finish(void *opaque)
{
	struct fwcfg *fwcfg = opaque;

	free(fwcfg->directory);
	free(fwcfg);
}

static int create(struct machine *machine)
{
	struct fwcfg *fwcfg;

	if (!machine->config->fwcfg)
		return 0;
	fwcfg = calloc(1, sizeof(*fwcfg));
	if (!fwcfg || machine_at_end(machine, finish, fwcfg))
		return error_set("out of memory");
	pthread_mutex_init(&fwcfg->lock, NULL);
	fwcfg->items = machine->config->fwcfg;
	fwcfg->memory = &machine->memory;
	if (make_directory(fwcfg) ||
	    bus_claim_ports(&machine->bus, FWCFG_PORT, 2, 2, access_ports, fwcfg) ||
	    bus_claim_ports(&machine->bus, DMA_PORT, 8, 4, access_dma, fwcfg))
		return -1;
	return state_add(machine, "fwcfg", save, restore, fwcfg);
}

DEVICE(fwcfg, create);
