/*
 * hpet.h - high precision event timer: a 64-bit counter at 100 MHz and three comparators
 *
 * At 0xfed00000. One-shot and periodic comparators, 32- and 64-bit, edge and level lines, legacy
 * replacement routing (comparators 0 and 1 take the PIT's and the clock's lines). No message
 * interrupts.
 * Source: IA-PC HPET Specification 1.0a.
 */
#ifndef L0_DEV_HPET_H
#define L0_DEV_HPET_H

#include "l0/dev/bus.h"

#define HPET_BASE_DEFAULT 0xfed00000ull
#define HPET_PERIOD_NS 10u

/* Return: 0, -EEXIST, -ENOMEM. */
int hpet_create(struct machine_bus *bus) __must_check;

#endif
