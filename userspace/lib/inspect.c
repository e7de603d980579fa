// SPDX-License-Identifier: GPL-2.0-only
/* The ioctls that look into a VM, and the sentences for their errors. */
#include "lib/inspect.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/device.h"
#include "lib/error.h"

#define AT_ONCE		(1ULL << 20)	/* bytes, of THV_READ_MEMORY */
#define MANY_FIELDS	512

static const struct device_sentence sentences[] = {
	{ ENOENT, "the VM has no such vCPU; they are numbered from 0" },
	{ ESRCH, "the launcher has ended, and the guest's memory with it" },
	{ EIO, "the VM has ended (or is dead: then the kernel log says why)" },
	{ 0 }
};

static int call(int vm, unsigned long request, void *argument, const char *what)
{
	return device_call(vm, request, argument, what, sentences);
}

int inspect_nmi(int vm, u32 vcpu)
{
	struct thv_vcpu_select select = { .vcpu = vcpu };

	return call(vm, THV_SEND_NMI, &select, "sending an NMI");
}

int inspect_state(int vm, u32 vcpu, enum thv_state_id component, void *data, u32 size)
{
	struct thv_inspect_state state = {
		.vcpu = vcpu, .component = component, .size = size, .data = (unsigned long)data,
	};

	return call(vm, THV_INSPECT_STATE, &state, "looking at a vCPU");
}

int inspect_msr(int vm, u32 vcpu, u32 index, u64 *value)
{
	struct thv_msr msr = { .index = index };
	int result = inspect_state(vm, vcpu, THV_STATE_MSRS, &msr, sizeof(msr));

	*value = msr.value;
	return result;
}

int inspect_translate(int vm, u32 vcpu, struct thv_translate *translate)
{
	struct thv_inspect_translate inspect = { .vcpu = vcpu, .translate = *translate };
	int result = call(vm, THV_INSPECT_TRANSLATE, &inspect, "following an address");

	*translate = inspect.translate;
	return result;
}

int inspect_memory(int vm, u64 gpa, void *data, u64 size)
{
	struct thv_read_memory read = { .gpa = gpa, .size = size, .data = (unsigned long)data };
	int result = call(vm, THV_READ_MEMORY, &read, "reading guest memory");

	return result < 0 && errno == ENXIO ? 0 : result;
}

int inspect_fields(int vm, u32 vcpu, struct thv_field **fields)
{
	struct thv_get_fields get = { .vcpu = vcpu, .count = MANY_FIELDS };

	*fields = calloc(MANY_FIELDS, sizeof(**fields));
	if (!*fields)
		return error_set("out of memory");
	get.data = (unsigned long)*fields;
	if (call(vm, THV_GET_FIELDS, &get, "reading the VMCS") < 0) {
		free(*fields);
		return -1;
	}
	return get.count;
}

/* ---- memory ------------------------------------------------------------- */

u64 inspect_physical(int vm, u64 gpa, void *data, u64 size)
{
	u64 done = 0, part;
	int got;

	while (done < size) {
		part = size - done < AT_ONCE ? size - done : AT_ONCE;
		got = inspect_memory(vm, gpa + done, (u8 *)data + done, part);
		if (got < 0)
			return done;
		done += got;
		if ((u64)got == part)
			continue;
		error_set("guest-physical %#llx is not memory", gpa + done);
		break;
	}
	return done;
}

static const char *const why_not[] = {
	[THV_TRANSLATE_GUEST_FAULT] = "the guest's tables do not map it",
	[THV_TRANSLATE_NO_SLOT] = "it maps to what is not memory",
	[THV_TRANSLATE_HOST_FAULT] = "the launcher's memory behind it is not accessible",
	[THV_TRANSLATE_NON_CANONICAL] = "not a canonical address",
};

u64 inspect_linear(int vm, u32 vcpu, u64 gla, void *data, u64 size)
{
	struct thv_translate translate;
	u64 done, part, at;

	for (done = 0; done < size; done += part) {
		at = gla + done;
		part = PAGE_BYTES - at % PAGE_BYTES;
		part = part < size - done ? part : size - done;
		translate = (struct thv_translate){ .gla = at, .access = THV_ACCESS_READ };
		if (inspect_translate(vm, vcpu, &translate) < 0)
			return done;
		if (translate.result < ARRAY_SIZE(why_not) && why_not[translate.result]) {
			error_set("guest-linear %#llx: %s; `thv walk` shows where it ends", at,
				  why_not[translate.result]);
			return done;
		}
		if (inspect_physical(vm, translate.gpa, (u8 *)data + done, part) != part)
			return done;
	}
	return done;
}
