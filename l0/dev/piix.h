/*
 * piix.h - the PCI-to-ISA bridge of a PC's chipset (Intel PIIX3): where PCI interrupts go on the
 * ISA lines
 *
 * Firmware writes an ISA line into each of four routing registers; a PCI interrupt then drives that
 * line too, at the 8259s and the I/O APIC, besides its own input of the I/O APIC. Systems that use
 * the 8259s, or firmware's MP table, listen there; those that read the ACPI tables never look. Only
 * machines with firmware have it. Pin A of slot n is PIRQ (n - 1) mod 4, as firmware assumes for
 * this chipset.
 * Source: Intel 82371SB (PIIX3) data sheet, "PIRQRC".
 */
#ifndef L0_DEV_PIIX_H
#define L0_DEV_PIIX_H

#include "l0/dev/bus.h"

/* Return: 0, -ENOSPC, -ENOMEM. */
int piix_create(struct machine_bus *bus) __must_check;

#endif
