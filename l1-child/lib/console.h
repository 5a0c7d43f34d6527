/*
 * Console of a child VMM: the first serial port, polled. Also ends the machine. Not for guests:
 * those print by hypercall. Cost: a few port accesses for each character.
 */
#ifndef L1_CHILD_LIB_CONSOLE_H
#define L1_CHILD_LIB_CONSOLE_H

#include "l1-child/lib/types.h"

/* Sets the serial port to 8N1 at its fastest rate, no interrupts. */
void con_init(void);

/* Writes n bytes. */
void con_write(const char *s, size_t n);

/*
 * con_printf - formatted output
 * Knows %c %s %d %u %x (and l, ll: all 64-bit), field widths with - and 0, and %%.
 */
void con_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Ends the machine through the debug-exit port: status (code << 1) | 1. */
void con_exit(u8 code) __attribute__((noreturn));

/* con_die - one line of error on the console, then ends the machine with code 1. */
void con_die(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

#endif
