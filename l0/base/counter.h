/*
 * counter.h - how a module shows its counters: it hands each of them to a function of the caller
 *
 * A module keeps its counters in a table (.def) and has one X_each_counter(); l0/stats.c lists the
 * modules and prints for `nestor run --stats`. Called when the machine stands still.
 */
#ifndef L0_BASE_COUNTER_H
#define L0_BASE_COUNTER_H

#include "l0/base/types.h"

/* @name: a word; @what: a phrase for people. Both live as long as the program. */
typedef void counter_fn(void *arg, const char *module, const char *name, u64 value,
			const char *what);

#endif
