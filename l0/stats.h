/*
 * stats.h - what --stats prints at the end of a run: the counters of every module, by machine
 *
 * A module joins with one line in stats.c and an X_each_counter() (l0/base/counter.h). Called by
 * host.c when the workers have ended, before the machine goes.
 */
#ifndef L0_STATS_H
#define L0_STATS_H

#include <stdio.h>

struct machine;

/* Print the counters of @m, one a line: machine module.name value text. Those at 0 too. */
void stats_print(struct machine *m, FILE *out);

/* The same for each worker, of policies that keep such counters. */
struct sched;
void stats_print_workers(struct sched *s, FILE *out);

#endif
