/*
 * board.h - the devices of the machine that nobody else needs to name, in one call
 *
 * Reset ports, keyboard controller, real-time clock, HPET, ACPI fixed hardware, PCI host
 * bridge, test device.
 * Called once while a machine is built, after the interrupt controllers.
 */
#ifndef L0_DEV_BOARD_H
#define L0_DEV_BOARD_H

#include "l0/dev/bus.h"

/**
 * board_create - create them on the bus, which owns them
 * @epoch: date at machine time 0, in seconds since 1970-01-01 UTC (RTC_EPOCH_VIRTUAL)
 * Return: 0, -EEXIST, -ENOMEM; what was created stays on the bus.
 */
int board_create(struct machine_bus *bus, u64 epoch) __must_check;

#endif
