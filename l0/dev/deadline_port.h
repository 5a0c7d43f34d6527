/*
 * deadline_port.h - PORT_DEADLINE: a guest reports one of its own counts
 *
 * A 32-bit write is handed to the machine for the trace (machine_bus_ops.guest_deadline); nothing
 * that schedules sees it. Other widths are ignored, reads give all ones. Layout: l0/arch/ports.h.
 */
#ifndef L0_DEV_DEADLINE_PORT_H
#define L0_DEV_DEADLINE_PORT_H

#include "l0/dev/bus.h"

/* Return: 0, -EEXIST, -ENOMEM. */
int deadline_port_create(struct machine_bus *bus) __must_check;

#endif
