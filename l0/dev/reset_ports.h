/*
 * reset_ports.h - system control port A (0x92) and the POST port (0x80)
 *
 * 0x92: bit 1 opens the A20 gate, bit 0 rising resets the processors (INIT#). 0x80 and the scratch
 * ports beside it are written for the delay and keep their value. (The reset register at 0xcf9 lies
 * among the ports of the PCI host bridge: pci.h.)
 * Source: IBM PS/2 Technical Reference, system control port A.
 */
#ifndef L0_DEV_RESET_PORTS_H
#define L0_DEV_RESET_PORTS_H

#include "l0/dev/bus.h"

/* Return: 0, -EEXIST, -ENOMEM. */
int reset_ports_create(struct machine_bus *bus) __must_check;

#endif
