/*
 * testdev.h - the test device that bare-metal test images for PC emulators expect
 *
 * Ports 0xe0-0xe3 and 0xe8 keep what is written; a write to 0xe4 asks for a flush of translations,
 * which there is nothing to do for; a write to 0x2000 + n drives global system interrupt n to the
 * value's level; 64 KiB at 0xff000000 are memory that only device accesses reach.
 * Source: kvm-unit-tests, x86/README.
 */
#ifndef L0_DEV_TESTDEV_H
#define L0_DEV_TESTDEV_H

#include "l0/dev/bus.h"

#define TESTDEV_MEMORY 0xff000000ull

/* Return: 0, -EEXIST, -ENOMEM. */
int testdev_create(struct machine_bus *bus) __must_check;

#endif
