// SPDX-License-Identifier: GPL-2.0-only
/* What fw_cfg is to tell, collected before there is a machine: see device/fwcfg.h. */
#include <string.h>

#include "device/fwcfg.h"
#include "lib/error.h"

static struct fwcfg_item *new_item(struct fwcfg_items *items, u16 key)
{
	struct fwcfg_item *item = &items->item[items->count];

	if (items->count == FWCFG_ITEMS) {
		error_set("fw_cfg: has more to tell than %u items", FWCFG_ITEMS);
		return NULL;
	}
	items->count++;
	item->key = key;
	return item;
}

int fwcfg_add(struct fwcfg_items *items, u16 key, const void *data, u32 size)
{
	struct fwcfg_item *item = new_item(items, key);

	if (!item)
		return -1;
	item->data = data;
	item->size = size;
	return 0;
}

int fwcfg_add_number(struct fwcfg_items *items, u16 key, u64 number, u32 bytes)
{
	struct fwcfg_item *item = new_item(items, key);

	if (!item)
		return -1;
	item->number = number;
	item->data = &item->number;
	item->size = bytes;
	return 0;
}

/* The name of the item that comes next */
static int take_name(struct fwcfg_items *items, const char *name)
{
	u32 i;

	if (strlen(name) >= FWCFG_NAME)
		return error_set("fw_cfg: the name '%s' is longer than %u characters", name, FWCFG_NAME - 1);
	for (i = 0; i < items->count; i++)
		if (!strcmp(items->item[i].name, name))
			return error_set("fw_cfg: there are two of '%s'; leave one out", name);
	if (items->count == FWCFG_ITEMS)
		return error_set("fw_cfg: has more to tell than %u items", FWCFG_ITEMS);
	strcpy(items->item[items->count].name, name);
	return 0;
}

int fwcfg_add_file(struct fwcfg_items *items, const char *name, const void *data, u32 size)
{
	if (take_name(items, name))
		return -1;
	return fwcfg_add(items, FWCFG_FILES + items->files++, data, size);
}

int fwcfg_add_file_number(struct fwcfg_items *items, const char *name, u64 number)
{
	if (take_name(items, name))
		return -1;
	return fwcfg_add_number(items, FWCFG_FILES + items->files++, number, sizeof(number));
}
