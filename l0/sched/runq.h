/*
 * A queue of runnable entities in order of a key: a binary heap, first come first out among equal
 * keys. Policies keep one for each class (fair: virtual runtime; reserved: deadline). An entity is
 * on at most one queue; sched_vp.runq_at is its place there.
 * The caller holds the scheduler's lock. Only runq_reserve() allocates.
 * Cost: O(log n), about 100 ns with 1,000 entities.
 */
#ifndef L0_SCHED_RUNQ_H
#define L0_SCHED_RUNQ_H

#include "l0/sched/sched.h"

struct runq {
	struct sched_vp **heap;
	u32 n, room;
	u64 seq; /* of the next one to come in */
};

/* Room for @n entities. Return: 0 or -ENOMEM. */
int runq_reserve(struct runq *q, u32 n) __must_check;
void runq_fini(struct runq *q);

/* @e, on no queue, comes in with @key. */
void runq_insert(struct runq *q, struct sched_vp *e, u64 key);

/* Take @e, which is on @q, off it. */
void runq_remove(struct runq *q, struct sched_vp *e);

/* The one with the smallest key, or NULL. */
static inline struct sched_vp *runq_first(const struct runq *q)
{
	return q->n ? q->heap[0] : NULL;
}

#endif
