// SPDX-License-Identifier: GPL-2.0-only
/* Linear memory: a page is translated, then read. */
#include "lib/guest.h"

#include "lib/control.h"

int guest_read_page(int vm, u32 vcpu, u64 gla, void *data, u32 length, const char **reason)
{
	static const char *const reasons[] = {
		[THV_TRANSLATE_GUEST_FAULT] = "not mapped by the guest",
		[THV_TRANSLATE_NO_SLOT] = "no memory: a device's, or nobody's",
		[THV_TRANSLATE_HOST_FAULT] = "the launcher's own memory there is not accessible",
		[THV_TRANSLATE_NON_CANONICAL] = "not canonical: no address",
	};
	struct thv_translate translate = { .gla = gla, .access = THV_ACCESS_READ };
	u32 in_page = PAGE_BYTES - gla % PAGE_BYTES;
	int count;

	if (control_translate(vm, vcpu, &translate) < 0)
		return -1;
	*reason = translate.result < ARRAY_SIZE(reasons) ? reasons[translate.result] :
		  "not to be translated";
	if (*reason)
		return 0;
	count = control_read_memory(vm, translate.gpa, data, length < in_page ? length : in_page);
	if (!count)
		*reason = "no memory: a device's, or nobody's";
	return count;
}
