/*
 * reset_ports.h - system control port A (0x92), the reset register (0xcf9), the POST port (0x80)
 *
 * 0x92: bit 1 opens the A20 gate, bit 0 rising resets the processors (INIT#). 0xcf9: bit 2 rising
 * resets, the whole machine when bit 1 (or bit 3) is set, else the processors. 0x80 and the scratch
 * ports beside it are written for the delay and keep their value.
 * Source: Intel 82371SB (PIIX3) data sheet, "Reset Control Register"; IBM PS/2 port 92h.
 */
#ifndef L0_DEV_RESET_PORTS_H
#define L0_DEV_RESET_PORTS_H

#include "l0/dev/bus.h"

/* Return: 0, -EEXIST, -ENOMEM. */
int reset_ports_create(struct machine_bus *bus) __must_check;

#endif
