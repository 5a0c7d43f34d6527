/*
 * Budget X of one real-time entity (mechanism B2): the CPU time that its whole child uses from the
 * claimed arrival to the entity's HLT. A controller in velocity form: X goes up to a longer job at
 * once, and down by a quarter of the way to the longest of the latest 8, so that a need in steps (a
 * child that schedules by turns) is covered without swings and slack is given back within 20 jobs.
 * Anti-windup: X never leaves [BUDGET_MIN_NS, limit], and an unfinished job teaches only when
 * its reservation was delivered and used up. Before the first job ends
 * a trial's provisional rating stands for it (realtime.h).
 * Pure, fixed point. Cost: some 10 ns a job (the median, up to 16 moves, is kept sorted).
 */
#ifndef L0_SCHED_BUDGET_H
#define L0_SCHED_BUDGET_H

#include "l0/base/types.h"

#define BUDGET_KEPT 16u
#define BUDGET_MIN_NS (10 * NS_PER_US)

struct budget {
	u64 x_ns; /* 0: nothing known */
	u64 recent[BUDGET_KEPT], sorted[BUDGET_KEPT];
	u32 n, at;
	/* for those who look: the newest job that taught, and by how much X changed */
	u64 job_ns;
	s64 correction_ns;
};

/* A job took @c_ns; @limit_ns: what X may be at most. */
void budget_finished(struct budget *b, u64 c_ns, u64 limit_ns);

/* A job used up a delivered reservation and more, @used_ns so far, and is still open. */
void budget_unfinished(struct budget *b, u64 used_ns, u64 limit_ns);

/* Median of the latest finished jobs, 0 without any. */
u64 budget_median_ns(const struct budget *b);

/* What to reserve at ease: X, at least the median and a tenth, and a little for the entry and exit
 * of the child ... */
u64 budget_wanted_ns(const struct budget *b);
/* ... and at least, when processors are scarce. */
u64 budget_squeezed_ns(const struct budget *b);

#endif
