/*
 * Time in the child VMM: the time stamp counter and its rate, from CPUID leaves 15h or 16h, else
 * measured once against the 8254. Never sleeps, never interrupts.
 */
#ifndef L1_CHILD_VMM_CLOCK_H
#define L1_CHILD_VMM_CLOCK_H

#include "l1-child/lib/types.h"

/* Finds the rate of the time stamp counter. Call once before the rest. */
void clock_init(void);

/* Ticks a second. */
u64 clock_hz(void);

/* How the rate was found, for the banner. */
const char *clock_source(void);

u64 clock_ns_to_tsc(u64 ns);
u64 clock_tsc_to_ns(u64 tsc);

#endif
