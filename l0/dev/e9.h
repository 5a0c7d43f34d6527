/*
 * e9.h - the debug console at port 0xe9
 *
 * Every byte written is a character for the console; reads give 0xe9, by which a guest knows that
 * the port is there. No state, no interrupt.
 */
#ifndef L0_DEV_E9_H
#define L0_DEV_E9_H

#include "l0/dev/bus.h"

struct chardev;

/* @out: borrowed, may be NULL. Return: 0, -EEXIST, -ENOMEM. */
int e9_create(struct machine_bus *bus, struct chardev *out) __must_check;

#endif
