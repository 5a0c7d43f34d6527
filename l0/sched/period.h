/*
 * Period Y of one real-time candidate, from the due times of the interrupts that it claimed
 * (mechanism B1). The arrivals are matched to a grid: an anchor and a period, corrected by a
 * phase-locked loop (phase by a quarter of each error). The window within which an arrival counts
 * as on
 * the grid follows the jitter: about twice its bound. Missing arrivals leave holes in the grid
 * only.
 *
 * Without a grid, or with one that no longer fits, the gaps between the latest arrivals decide: the
 * smallest gap that all others are multiples of, else the greatest common divisor within tolerance.
 * Pure: no I/O, no allocation, fixed point. Cost: some 10 ns an arrival, a relock about 200 ns.
 */
#ifndef L0_SCHED_PERIOD_H
#define L0_SCHED_PERIOD_H

#include "l0/base/types.h"

#define PERIOD_HISTORY 8u
/* Anything faster or slower is no real-time guest but a flood, or noise. */
#define PERIOD_MIN_NS (500 * NS_PER_US)
#define PERIOD_MAX_NS (2 * NS_PER_SEC)
#define PERIOD_SURE 100u

struct period {
	u64 y_ns;      /* 0: none known */
	u64 y_frac;    /* of 1/256 ns, beside y_ns */
	u64 anchor_ns; /* latest point of the grid that an arrival was matched to */
	u64 jitter_ns; /* bound of the errors seen, slowly forgotten */
	u64 last_ns;   /* latest arrival */
	u64 history[PERIOD_HISTORY];
	u32 n_history;
	u32 confidence;	 /* 0 .. PERIOD_SURE */
	u32 lost;	 /* points of the grid without an arrival, since the lock */
	bool by_divisor; /* no gap is the period: their common divisor is (several sources) */
	u8 off_mask;	 /* latest 8 arrivals: 1 = off the grid */
	u8 holes;	 /* arrivals in a row that came more than one period after the one before */
};

enum period_match {
	PERIOD_UNKNOWN, /* no grid */
	PERIOD_ON_GRID,
	PERIOD_OFF_GRID, /* an extra interrupt, or too early or late */
	PERIOD_LOCKED,	 /* this arrival made a (new) grid */
};

/* An arrival due at @due_ns, claimed by the candidate. Times that go back are ignored. */
enum period_match period_arrival(struct period *p, u64 due_ns);

/* Would an arrival at @due_ns be one on the grid? */
bool period_expects(const struct period *p, u64 due_ns);

/* Half width of the window in which an arrival is on the grid. */
u64 period_window_ns(const struct period *p);

/* The point of the grid next to @ns. */
u64 period_grid_point(const struct period *p, u64 ns);

/* More than 4.5 periods without an arrival: the source has stopped, or nobody could claim. */
bool period_is_silent(const struct period *p, u64 now_ns);

/* Forget everything. */
void period_drop(struct period *p);

#endif
