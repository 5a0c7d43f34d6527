/*
 * absent.h - ports of PC devices that this machine does not have, and that firmware looks for
 *
 * Reads give all ones and writes do nothing, as on a PC without the device; but the user is not
 * told, since every start of firmware probes or sets up these. Only machines with firmware have it:
 * what a kernel that was started directly touches is reported.
 */
#ifndef L0_DEV_ABSENT_H
#define L0_DEV_ABSENT_H

#include "l0/dev/bus.h"

/* Return: 0, -EEXIST, -ENOMEM. */
int absent_create(struct machine_bus *bus) __must_check;

#endif
