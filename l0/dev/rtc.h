/*
 * rtc.h - MC146818 real-time clock and CMOS memory (ports 0x70, 0x71)
 *
 * The date is an epoch plus the machine's time (and what the guest set); binary or BCD, 12 or 24
 * hours. Periodic, alarm and update-ended interrupts on line 8. CMOS cells tell firmware the memory
 * sizes. The NMI mask (bit 7 of port 0x70) is kept and has no effect.
 * Source: Motorola MC146818A data sheet.
 */
#ifndef L0_DEV_RTC_H
#define L0_DEV_RTC_H

#include "l0/dev/bus.h"

/* Date of machine time 0 under the virtual clock: 2024-01-01 00:00:00 UTC. */
#define RTC_EPOCH_VIRTUAL 1704067200ull

/**
 * rtc_create - the clock and its memory
 * @epoch: seconds since 1970-01-01 UTC at machine time 0
 * Return: 0, -EEXIST, -ENOMEM.
 */
int rtc_create(struct machine_bus *bus, u64 epoch) __must_check;

#endif
