/*
 * virtio_console.h - a console on virtio (hvc0 of Linux): one port, no resizing
 *
 * Output goes to a chardev; input is put into the driver's buffers as far as there are any, as the
 * 16550 takes it as far as its FIFO goes.
 * Source: Virtual I/O Device (VIRTIO) Version 1.1, section 5.3 "Console Device".
 */
#ifndef L0_DEV_VIRTIO_CONSOLE_H
#define L0_DEV_VIRTIO_CONSOLE_H

#include "l0/dev/bus.h"
#include "l0/dev/chardev.h"

struct virtio_console;

/* @out: borrowed, may be NULL. Return: the console, owned by @bus; NULL with *@err. */
struct virtio_console *virtio_console_create(struct machine_bus *bus, struct chardev *out,
					     int *err) __must_check;

/* Characters from the terminal or a script. Return: how many were taken. Takes the bus lock. */
size_t virtio_console_input(struct virtio_console *k, const void *bytes, size_t n);

#endif
