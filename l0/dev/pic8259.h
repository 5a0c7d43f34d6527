/*
 * pic8259.h - the pair of 8259A interrupt controllers of a PC, with the ELCR
 *
 * Master at 0x20, slave at 0xa0 on the master's input 2, edge or level by input (ELCR, ports 0x4d0
 * and 0x4d1; the LTIM bit of ICW1 is ignored as chip sets do). All of rotation, special mask,
 * special fully nested mode, automatic EOI, poll and spurious interrupts. Its output is LINT0 of
 * the first VP's local APIC (or that VP's INTR pin when it has none).
 * An edge stays requested until it is acknowledged, also when its line falls again (the chip would
 * answer with a spurious interrupt): a short pulse is never lost.
 * Source: Intel 8259A data sheet; PIIX3 data sheet for the ELCR.
 */
#ifndef L0_DEV_PIC8259_H
#define L0_DEV_PIC8259_H

#include "l0/dev/bus.h"

struct pic;

/* Return: the pair, owned by the bus (also bus->pic); NULL with *@err = -EEXIST or -ENOMEM. */
struct pic *pic_create(struct machine_bus *bus, int *err) __must_check;

/* Is the output to the processor high? Lock held. */
bool pic_has_interrupt(const struct pic *p);

/**
 * pic_ack - the processor's interrupt acknowledge cycle; lock held
 * @due_ns: set to when the interrupt was due; may be NULL
 * Return: the vector; with nothing pending, that of a spurious interrupt.
 */
u8 pic_ack(struct pic *p, u64 *due_ns);

#endif
