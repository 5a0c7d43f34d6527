/*
 * Is an entity of a child (a guest vCPU, or the child's processor itself) real-time? (mechanism B3)
 * It is when its claimed arrivals are periodic and most of the work that they start ends in HLT
 * before the next one. A starved real-time entity never gets that far: after a few unfinished jobs
 * in a row it deserves a trial, a reservation for TRIAL_PERIODS periods; after a trial without a
 * finished job comes a pause that doubles each time. Pure. Cost: a few ns.
 */
#ifndef L0_SCHED_REALTIME_H
#define L0_SCHED_REALTIME_H

#include "l0/base/types.h"

#define TRIAL_PERIODS 12u

struct realtime {
	u16 finished; /* latest 16 jobs, the newest in bit 0: 1 = ended in HLT in time */
	u16 n;	      /* jobs known, at most 16 */
	bool is_rt;
	u16 trial; /* periods that a trial still lasts */
	u16 pause; /* periods until the next trial may begin */
	u16 next_pause;
	u64 trial_ns; /* budget of the trial */
};

/* A job ended in HLT (@in_time: before the next arrival), or the next arrival found it open. */
void realtime_job(struct realtime *r, bool in_time);

/**
 * realtime_trial - one more period of a candidate that is not (yet) real-time
 * @used_ns: child CPU of its unfinished job
 * @y_ns:    its period, known
 * Return: a trial runs: *@budget_ns is what it reserves.
 */
bool realtime_trial(struct realtime *r, u64 used_ns, u64 y_ns, u64 *budget_ns);

/* Capacity became free: the next trial may begin now. */
void realtime_retry(struct realtime *r);

#endif
