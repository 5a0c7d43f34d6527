/*
 * timer.h - the timer queue of one machine: deadlines in machine time, fired in order
 *
 * An intrusive pairing heap: nodes are the callers' struct timer, so nothing here allocates or
 * fails. Equal deadlines fire in the order in which they were armed, which keeps runs equal.
 * Callbacks may arm and cancel any timer of the queue, their own included. One thread at a time:
 * the machine's device lock covers a queue that several workers reach.
 * Cost: arm and next deadline O(1), cancel and expiry O(log n) amortised.
 */
#ifndef L0_TIME_TIMER_H
#define L0_TIME_TIMER_H

#include "l0/base/types.h"

/* A deadline that never comes; timer_queue_next() of an empty queue. */
#define TIMER_NEVER (~0ull)

struct timer {
	u64 deadline_ns; /* when it is, or was last, armed for */
	void (*fn)(void *arg, u64 deadline_ns);
	void *arg;
	/* private to timer.c */
	u64 order;
	struct timer *child, *next;
	struct timer *prev; /* previous sibling, or the parent of a first child; NULL: the root */
	bool armed;
};

struct timer_queue {
	struct timer *root;
	u64 next_order;
};

void timer_queue_init(struct timer_queue *q);

/* Prepare @t, not armed. @fn gets @arg and the deadline at which it was due. */
void timer_init(struct timer *t, void (*fn)(void *arg, u64 deadline_ns), void *arg);

/**
 * timer_arm - fire @t at @deadline_ns; a timer that is already armed moves
 * @deadline_ns: machine time; the past fires at the next timer_queue_expire(); TIMER_NEVER cancels
 */
void timer_arm(struct timer_queue *q, struct timer *t, u64 deadline_ns);

/* Take @t out; no effect when it is not armed. */
void timer_cancel(struct timer_queue *q, struct timer *t);

static inline bool timer_is_armed(const struct timer *t)
{
	return t->armed;
}

/* Deadline of the first timer, TIMER_NEVER when none is armed. */
static inline u64 timer_queue_next(const struct timer_queue *q)
{
	return q->root ? q->root->deadline_ns : TIMER_NEVER;
}

/**
 * timer_queue_expire - fire every timer due at or before @now_ns, in deadline order
 * A timer that a callback arms for a time up to @now_ns fires in the same call, but no more than
 * @limit timers fire: a guest that arms a timer for the past again and again cannot hold the
 * worker. Return: how many fired.
 */
u32 timer_queue_expire(struct timer_queue *q, u64 now_ns, u32 limit);

#endif
