/*
 * uart16550.h - serial port: a 16550A with its FIFOs, at eight I/O ports
 *
 * Transmission takes no time: a character goes to the chardev at once, THR is empty again and, if
 * enabled, the THRE interrupt is pending. Reception has the 16-byte FIFO with trigger levels and
 * the time-out interrupt, and behind it a backlog that the worker fills. OUT2 gates the interrupt
 * as on a PC.
 * Source: National Semiconductor PC16550D data sheet.
 */
#ifndef L0_DEV_UART16550_H
#define L0_DEV_UART16550_H

#include "l0/dev/bus.h"

struct chardev;
struct uart;

/**
 * uart_create - a serial port on the bus
 * @base: first of its eight ports (PORT_COM1 …); @gsi: its line
 * @out: where output goes; borrowed, may be NULL
 * Return: the device, owned by the bus; NULL with *@err = -EEXIST or -ENOMEM.
 */
struct uart *uart_create(struct machine_bus *bus, u16 base, u32 gsi, struct chardev *out,
			 int *err) __must_check;

/**
 * uart_input - characters from the terminal or a script, by the machine's worker
 * Takes the bus lock.
 * Return: how many of @n were taken; the rest finds no room now (see uart_input_room()).
 */
size_t uart_input(struct uart *u, const void *bytes, size_t n);

/* How many characters uart_input() would take. Takes the bus lock. */
size_t uart_input_room(struct uart *u);

#endif
