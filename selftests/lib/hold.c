// SPDX-License-Identifier: GPL-2.0-only
/*
 * hold WHAT: keep hold of something of thv's (or of KVM's), say "ready", and wait to be killed. For
 * module_load.sh, which tries to unload the module meanwhile.
 */
#include <linux/kvm.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include "netlink.h"
#include "vm.h"

static const u8 spin[] = { 0xfb, 0xeb, 0xfe };	/* STI; JMP to itself */

static void hold_device(void)
{
	thv_device();
}

/* Only the VM: the device is closed */
static void hold_vm(void)
{
	vm_create_bare(0);
	close(thv_device());
}

static void hold_vcpu(void)
{
	struct vm *vm = vm_create_bare(0);

	vcpu_create(vm, 0);
	close(vm->fd);
	close(thv_device());
}

static void hold_page(void)
{
	struct vm *vm = vm_create_bare(0);
	struct vcpu *vcpu = vcpu_create(vm, 0);

	close(vcpu->fd);
	close(vm->fd);
	close(thv_device());
}

static void hold_control(void)
{
	struct vm *vm = vm_create_bare(0);
	struct thv_open_vm open = { .id = vm->id };

	must(thv_ioctl(thv_device(), THV_OPEN_VM, &open));
	close(vm->fd);
	close(thv_device());
}

/* The guest never asks for anything: to come back from it is an error */
static void *run(void *vcpu)
{
	int result = vcpu_run(vcpu);

	exit_print(vcpu);
	fail("the guest does not run any more: %d", result);
}

static void hold_run(void)
{
	struct vm *vm = __vm_create(spin, spin + sizeof(spin), NULL);
	pthread_t thread;

	guest_start(vm->vcpu, GUEST_CODE);
	pthread_create(&thread, NULL, run, vm->vcpu);
	usleep(20000);
}

/* A socket that listens holds nothing */
static void hold_listener(void)
{
	struct nl *nl = nl_open();

	must(nl_subscribe(nl, THV_GROUP_LIFECYCLE, 0, 0));
	must(nl_subscribe(nl, THV_GROUP_STATS, 0, THV_PERIOD_MIN));
	must(nl_join(nl));
	close(thv_device());
}

/* A KVM VM: VMX is on, or this fails */
static void hold_kvm(void)
{
	int fd = open("/dev/kvm", O_RDWR);

	if (fd < 0 || ioctl(fd, KVM_CREATE_VM, 0) < 0)
		fail("KVM: %s", strerror(errno));
}

static const struct {
	const char *what;
	void (*hold)(void);
} things[] = {
	{ "device", hold_device },
	{ "vm", hold_vm },
	{ "vcpu", hold_vcpu },
	{ "page", hold_page },
	{ "control", hold_control },
	{ "run", hold_run },
	{ "listener", hold_listener },
	{ "kvm", hold_kvm },
};

int main(int argc, char **argv)
{
	unsigned int i;

	for (i = 0; argc == 2 && i < sizeof(things) / sizeof(things[0]); i++) {
		if (strcmp(argv[1], things[i].what))
			continue;
		things[i].hold();
		puts("ready");
		fflush(stdout);
		pause();
	}
	fprintf(stderr, "usage: hold device|vm|vcpu|page|control|run|listener|kvm\n");
	return 1;
}
