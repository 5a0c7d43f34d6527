/*
 * i8042.h - keyboard controller (ports 0x60, 0x64) with a keyboard and a mouse that nobody touches
 *
 * Self tests, configuration byte, output port (A20, reset), and a keyboard that answers its
 * commands: enough for firmware and kernels to find it, switch A20 and reset the machine. No mouse:
 * its port answers commands by time-out. Source: Intel 8042 data sheet; IBM PC/AT Technical
 * Reference.
 */
#ifndef L0_DEV_I8042_H
#define L0_DEV_I8042_H

#include "l0/dev/bus.h"

/* Return: 0, -EEXIST, -ENOMEM. */
int i8042_create(struct machine_bus *bus) __must_check;

#endif
