/*
 * debugexit.h - a guest ends its machine: ports 0xf4 and 0x501
 *
 * A write of v, of any width, ends the machine with status (v << 1) | 1, as in other emulators.
 * Reads give 0. No state.
 */
#ifndef L0_DEV_DEBUGEXIT_H
#define L0_DEV_DEBUGEXIT_H

#include "l0/dev/bus.h"

/* Both ports on the bus. Return: 0, -EEXIST, -ENOMEM. */
int debugexit_create(struct machine_bus *bus) __must_check;

#endif
