// SPDX-License-Identifier: GPL-2.0-only
/* Rows of interrupts that come from elsewhere: from another vCPU, or from another thread of the host. Two CPUs. */
#include "bench.h"

static double ipi(struct guest *guest, u64 function)
{
	struct thread target = { .guest = guest, .vcpu = vcpu_create(guest->vm, 1), .id = 1, .function = function };
	double ticks;

	vcpu_call(target.vcpu, guest_prepare_apic, 0, 0);
	thread_start(&target);
	ticks = middle(sample(guest, guest_ipi, INTERRUPTS, PAUSE), INTERRUPTS);
	thread_stop(&target);
	vcpu_close(target.vcpu);
	return ticks;
}

static void send_msi(void *vm)
{
	vm_msi(vm, 0);
}

static double msi(struct guest *guest, u64 function)
{
	return from_outside(guest, function, send_msi, guest->vm);
}

const struct row processors[] = {
	{ "ipi_running", "IPI to a vCPU that runs, to its handler", ipi, guest_spin },
	{ "ipi_halted", "IPI to a vCPU that is halted, to its handler", ipi, guest_halt },
	{ "msi_running", "interrupt from another thread to the handler", msi, guest_spin },
	{ "msi_halted", "... of a vCPU that is halted", msi, guest_halt },
	{}
};
