// SPDX-License-Identifier: GPL-2.0-only
/* Control descriptors: finding the VM that a person means, and what can be asked of it. */
#include "lib/control.h"

#include <errno.h>
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
