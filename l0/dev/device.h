/*
 * device.h - what every device of a machine has: a class and a place on the machine's list
 *
 * A device is a heap object that starts with struct device; its file has one const struct
 * device_class and a NOUN_create() that registers ports, MMIO and interrupt lines with the bus.
 * Devices are created while the machine is built and destroyed with it. Device code runs in
 * mid-instruction on whichever worker runs the VP: it is built without vector registers, never
 * blocks but on the bus lock, and never trusts what a guest wrote.
 */
#ifndef L0_DEV_DEVICE_H
#define L0_DEV_DEVICE_H

#include "l0/base/list.h"

struct device;
struct machine_bus;

struct device_class {
	const char *name;
	/* Power-up or reset-line state; bus lock held. Interrupt lines that it drives go low. */
	void (*reset)(struct device *d);
	/* Frees the device. Nothing of the machine runs any more. */
	void (*destroy)(struct device *d);
};

struct device {
	const struct device_class *cls;
	struct machine_bus *bus;
	struct list_node link; /* machine_bus.devices, in order of creation */
};

#endif
