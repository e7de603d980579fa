// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the machine has and cannot be found by asking: the PCI host bridge and its
 * windows, the first serial port, the clock; and how to power off. Interrupts are
 * GSIs: IOAPIC pins. (There is no PIC, so IRQNoFlags would name something that does
 * not exist.)
 */
DefinitionBlock ("dsdt.aml", "DSDT", 2, "THV", "THVDSDT", 1)
{
    Scope (\_SB)
    {
        Device (PCI0)
        {
            Name (_HID, EisaId ("PNP0A03"))
            Name (_UID, 0)
            Name (_BBN, 0)
            Name (_SEG, 0)
            Name (_CRS, ResourceTemplate ()
            {
                WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode,
                    0, 0, 0, 0, 1)
                IO (Decode16, 0x0CF8, 0x0CF8, 1, 8)
                WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,
                    0, 0x1000, 0xFFFF, 0, 0xF000)
                DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed,
                    NonCacheable, ReadWrite,
                    0, 0xD0000000, 0xFEBFFFFF, 0, 0x2EC00000)
            })
        }

        Device (COM1)
        {
            Name (_HID, EisaId ("PNP0501"))
            Name (_UID, 1)
            Name (_STA, 0x0F)
            Name (_CRS, ResourceTemplate ()
            {
                IO (Decode16, 0x03F8, 0x03F8, 1, 8)
                Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive) { 4 }
            })
        }

        Device (RTC0)
        {
            Name (_HID, EisaId ("PNP0B00"))
            Name (_CRS, ResourceTemplate ()
            {
                IO (Decode16, 0x0070, 0x0070, 1, 2)
            })
        }
    }

    // SLP_TYP 5 in the sleep control register: ACPI_S5 in boot.h
    Name (\_S5, Package () { 5, 5, 0, 0 })
}
