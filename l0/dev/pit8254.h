/*
 * pit8254.h - the 8254 interval timer of a PC and the system control port 0x61
 *
 * Three channels at 1193182 Hz in all six modes, binary and BCD, with latch and read-back commands.
 * Channel 0 drives line 0 through the machine's timer queue; the others are computed when they are
 * read, so they cost nothing while they run. Channel 2 has its gate and output at port 0x61.
 * Source: Intel 82C54 data sheet.
 */
#ifndef L0_DEV_PIT8254_H
#define L0_DEV_PIT8254_H

#include "l0/dev/bus.h"

struct pit;

/* Return: the timer, owned by the bus; NULL with *@err = -EEXIST or -ENOMEM. */
struct pit *pit_create(struct machine_bus *bus, int *err) __must_check;

#endif
