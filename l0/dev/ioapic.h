/*
 * ioapic.h - the I/O APIC: interrupt lines to messages for local APICs
 *
 * 24 inputs at 0xfec00000, version 0x20 (with the EOI register). Inputs are the global system
 * interrupts; the PIT is at input 2 as on PCs. Edge and level triggering, polarity taken as given
 * by the line's driver, remote IRR, masking. Source: Intel 82093AA data sheet; SDM 3A "Local APIC"
 * for the EOI broadcast.
 */
#ifndef L0_DEV_IOAPIC_H
#define L0_DEV_IOAPIC_H

#include "l0/dev/bus.h"

#define IOAPIC_BASE_DEFAULT 0xfec00000ull

struct ioapic;

/* Return: the I/O APIC, owned by the bus (also bus->ioapic); NULL with *@err = -EEXIST or -ENOMEM.
 */
struct ioapic *ioapic_create(struct machine_bus *bus, int *err) __must_check;

/* A level-triggered interrupt with this vector ended at a local APIC. Lock held. */
void ioapic_eoi(struct ioapic *io, u8 vector);

#endif
