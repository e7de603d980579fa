// SPDX-License-Identifier: GPL-2.0-only
/* Control descriptors: finding the VM that a person means, and what can be asked of it. */
#include "lib/control.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/device.h"
#include "lib/netlink.h"

static int find_id(const char *vm, u32 *id)
{
	struct netlink *netlink = netlink_open();
	int result;

	if (!netlink)
		return -1;
	result = netlink_find(netlink, vm, id);
	netlink_close(netlink);
	return result;
}

int control_open(const char *vm)
{
	static const struct device_sentence sentences[] = {
		{ ENOENT, "there is no such VM; `thv list` shows those there are" },
		{ EPERM, "not permitted: it is another user's VM; ask its owner, or use root" },
		{ EMFILE, "no file descriptor left; raise `ulimit -n`" },
		{ ENFILE, "the system has no file left; end something, or raise fs.file-max" },
		{ 0 }
	};
	struct thv_open_vm open = { 0 };
	int device, fd;

	if (find_id(vm, &open.id))
		return -1;
	device = device_open();
	if (device < 0)
		return -1;
	fd = device_call(device, THV_OPEN_VM, &open, vm, sentences);
	close(device);
	return fd;
}

int control_set_state(int vm, enum thv_vm_state state)
{
	static const struct device_sentence sentences[] = {
		{ EBUSY, "it has been stopped for good already" },
		{ 0 }
	};
	struct thv_control control = { .state = state };

	return device_call(vm, THV_CONTROL, &control, "changing the VM's state", sentences);
}

/* ---- looking into a VM that runs ---------------------------------------- */

static const struct device_sentence vcpu_sentences[] = {
	{ ENOENT, "the VM has no such vCPU; they are numbered from 0, and `thv list` tells how many there are" },
	{ EIO, "the VM is gone: it was killed, or its launcher has ended" },
	{ ENOTTY, "the module is older than this thv; install both from one build" },
	{ EPERM, "not permitted: it is another user's VM; ask its owner, or use root" },
	{ 0 }
};

static int call_vcpu(int vm, unsigned long request, void *argument, u32 vcpu, const char *what)
{
	char text[64];

	snprintf(text, sizeof(text), "vCPU %u: %s", vcpu, what);
	return device_call(vm, request, argument, text, vcpu_sentences);
}

int control_send_nmi(int vm, u32 vcpu)
{
	struct thv_vcpu_select select = { .vcpu = vcpu };

	return call_vcpu(vm, THV_SEND_NMI, &select, vcpu, "sending an NMI");
}

int control_get(int vm, u32 vcpu, enum thv_state_id component, void *data, u32 size)
{
	struct thv_inspect_state state = { .vcpu = vcpu, .component = component, .size = size,
					   .data = (unsigned long)data };

	return call_vcpu(vm, THV_INSPECT_STATE, &state, vcpu, device_component_name(component));
}

int control_translate(int vm, u32 vcpu, struct thv_translate *translate)
{
	struct thv_inspect_translate inspect = { .vcpu = vcpu, .translate = *translate };

	if (call_vcpu(vm, THV_INSPECT_TRANSLATE, &inspect, vcpu, "following an address") < 0)
		return -1;
	*translate = inspect.translate;
	return 0;
}

int control_read_memory(int vm, u64 gpa, void *data, u64 size)
{
	static const struct device_sentence sentences[] = {
		{ ENXIO, "the guest has no memory there" },
		{ EINVAL, "the range ends beyond the last address there is, or is longer than 1M" },
		{ EIO, "the VM is gone: it was killed, or its launcher has ended" },
		{ ENOTTY, "the module is older than this thv; install both from one build" },
		{ 0 }
	};
	struct thv_read_memory read = { .gpa = gpa, .size = size, .data = (unsigned long)data };
	int result = device_call(vm, THV_READ_MEMORY, &read, "reading the guest's memory",
				 sentences);

	return result < 0 && errno == ENXIO ? 0 : result;
}

int control_get_fields(int vm, u32 vcpu, struct thv_field *fields, u32 count)
{
	struct thv_get_fields get = { .vcpu = vcpu, .count = count,
				      .data = (unsigned long)fields };

	if (call_vcpu(vm, THV_GET_FIELDS, &get, vcpu, "reading the VMCS") < 0)
		return -1;
	return get.count;
}

int control_explain(int vm, u32 vcpu, char *text, u64 size)
{
	struct thv_explain explain = { .vcpu = vcpu, .text = (unsigned long)text, .size = size };

	if (call_vcpu(vm, THV_EXPLAIN, &explain, vcpu, "asking for the rules of entry") < 0)
		return -1;
	return explain.count;
}
