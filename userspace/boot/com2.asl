// SPDX-License-Identifier: GPL-2.0-only
/* The second serial port: a table of its own, given only to a machine that has it. */
DefinitionBlock ("com2.aml", "SSDT", 2, "THV", "THVCOM2", 1)
{
    Scope (\_SB)
    {
        Device (COM2)
        {
            Name (_HID, EisaId ("PNP0501"))
            Name (_UID, 2)
            Name (_STA, 0x0F)
            Name (_CRS, ResourceTemplate ()
            {
                IO (Decode16, 0x02F8, 0x02F8, 1, 8)
                Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive) { 3 }
            })
        }
    }
}
