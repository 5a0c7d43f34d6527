/*
 * CPU pressure and parking (mechanism B9). Pressure is the part of its runnable time that a
 * machine's processors spend in the run queue, over windows of 100 ms, smoothed. A machine of
 * several processors under
 * pressure gets fewer places in the queue: processors are parked by consolidation, that is two and
 * more of them share one place and take turns on it, with their weights together. So a machine that
 * has one CPU's worth of share does not try to run on four, and who waits for a sibling (a lock, an
 * answer to an interrupt) gives the place to that sibling at once. When pressure is gone, or a
 * worker idle, they are unparked. Nobody is stopped: a parked processor runs, takes interrupts and
 * keeps its share.
 *
 * Where a guest can be asked (CPU hot-plug), it is asked to do without a processor instead, and
 * gets it back
 * later: then its own scheduler knows. One that refuses or does not answer within 2 s shares
 * places meanwhile, and is asked again after 5 s, 10 s and so on: it may have been starting.
 *
 * Private to sched.c; everything here runs under the scheduler's lock. For policies that share by
 * weight.
 * Cost: a list operation more for a wake-up or slice end of a parked processor; a walk over all
 * processors ten times a second.
 */
#ifndef L0_SCHED_PARK_H
#define L0_SCHED_PARK_H

#include "l0/sched/sched.h"

/* @e became runnable: to the policy's queue, or behind the sibling whose place it shares. */
void park_enqueue(struct sched *s, struct sched_vp *e, u64 now_ns, bool woken, bool preempted);

/* @e left its worker and is still runnable: as above, but its siblings on the same place have a
 * turn first. */
void park_requeue(struct sched *s, struct sched_vp *e, u64 now_ns, bool preempted);

/* @e has blocked, or is on its way out of the scheduler: its place is the next sibling's. */
void park_blocked(struct sched *s, struct sched_vp *e, u64 now_ns);

/* @e comes into the scheduler, or goes for good (blocked by now, or PARKED). */
void park_add(struct sched *s, struct sched_vp *e);
void park_remove(struct sched *s, struct sched_vp *e);

/* Nobody in the queue: somebody who shares a place gets one of its own. Return: whether there was
 * one. */
bool park_release(struct sched *s, u64 now_ns);

/* See sched_set_out(), sched_refused(). */
void park_set_out(struct sched *s, struct sched_vp *e, bool out);
void park_refused(struct sched *s, struct sched_vp *e);

/* Measures pressure, parks and unparks, when it is time. */
void park_refresh(struct sched *s, u64 now_ns);

#endif
