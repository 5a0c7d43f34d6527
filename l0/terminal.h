/*
 * The terminal of a run: standard input to a machine's first serial port. Raw mode only when
 * standard input is a terminal; then Ctrl-A x quits, Ctrl-A v shows the VGA text screen, Ctrl-A
 * Ctrl-A sends one Ctrl-A. Standard input at its end is fine. Polled by worker 0, at most once a
 * millisecond of host time.
 */
#ifndef L0_TERMINAL_H
#define L0_TERMINAL_H

#include "l0/base/types.h"

struct host;
struct machine;
struct terminal;

/* Return: the terminal; NULL when out of memory. @m: who gets the input; outlives it. */
struct terminal *terminal_open(struct host *h, struct machine *m);
void terminal_close(struct terminal *t); /* restores the terminal's mode; NULL is fine */

/* Only the mode; in a signal handler. */
void terminal_restore(const struct terminal *t);

/* Pass on what was typed. @host_ns: clock_host_ns() of a moment ago. */
void terminal_poll(struct terminal *t, u64 host_ns);

/* Can input still come? NULL: no. */
bool terminal_can_wake(const struct terminal *t);

/*
 * input_script_load - terminal input at machine times for @m
 * @path: lines "TIME TEXT" (TIME as 100ms; TEXT with \n \r \t \\ \xHH escapes); '#' comments
 * Return: 0; -errno or -EINVAL with one line in @err.
 */
int input_script_load(struct machine *m, const char *path, char *err,
		      size_t err_bytes) __must_check;

#endif
