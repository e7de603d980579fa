// SPDX-License-Identifier: GPL-2.0-only
/* Interrupt lines, to all the controllers that there are. */
#include "boot/boot.h"
#include "device/ioapic.h"
#include "device/pic.h"
#include "vmm/machine.h"

void irq_set(struct machine *machine, u32 pin, bool level)
{
	ioapic_set(machine->ioapic, pin, level);
	if (machine->pic && pin < PIC_IRQS)
		pic_set(machine->pic, pin == IRQ_PIT ? 0 : pin, level);
}

void irq_eoi(struct machine *machine, u8 vector)
{
	ioapic_eoi(machine->ioapic, vector);
}
