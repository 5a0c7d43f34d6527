/*
 * Weighted fair sharing by virtual runtime: time that an entity ran, divided by its weight. The one
 * that has run least goes first. Who wakes up starts at the time of the others, less one slice, so
 * that sleep is no credit to burn (start-time fairness). Used by the credit policy, and by qos for
 * everything beyond reservations.
 */
#ifndef L0_SCHED_FAIR_H
#define L0_SCHED_FAIR_H

#include "l0/sched/runq.h"

struct fair {
	struct runq queue;
	u64 vtime_ns; /* virtual runtime of the last one picked: never goes back */
	u64 slice_ns;
};

static inline u64 fair_weighted(const struct sched_vp *e, u64 ns)
{
	return ns * SCHED_WEIGHT_DEFAULT / e->weight;
}

static inline void fair_enqueue(struct fair *f, struct sched_vp *e, bool woken)
{
	u64 least = f->vtime_ns > f->slice_ns ? f->vtime_ns - f->slice_ns : 0;

	if (woken && e->vruntime_ns < least)
		e->vruntime_ns = least;
	runq_insert(&f->queue, e, e->vruntime_ns);
}

static inline void fair_charge(struct sched_vp *e, u64 ran_ns)
{
	e->vruntime_ns += fair_weighted(e, ran_ns);
}

/* In a shorter stretch (a wait, a tick) nothing was fetched that counts, and who comes first is in
 * a hurry. */
#define FAIR_WARM_NS (200 * NS_PER_US)
/* So many of those that are due first are looked at. */
#define FAIR_LOOK 7u

/*
 * Who goes to @worker? The first one, unless another that is due nearly as early loses less by
 * coming there: what is in the caches of the worker where it ran last. With one worker the first
 * one. NULL: nobody.
 */
static inline struct sched_vp *fair_first_for(const struct fair *f, const struct sched *s,
					      u32 worker, u64 now_ns)
{
	struct sched_vp *best = runq_first(&f->queue);
	u64 best_ns = ~0ull;

	if (s->workers == 1 || f->queue.n < 2)
		return best;
	for (u32 i = 0; i < MIN(f->queue.n, FAIR_LOOK); i++) {
		struct sched_vp *e = f->queue.heap[i];
		u64 cost_ns = 0;
		if (e->last_worker >= 0 && e->last_ran_ns >= FAIR_WARM_NS)
			cost_ns = topology_move_cost_ns(
				topology_distance(s->topology, (u32)e->last_worker, worker),
				now_ns > e->left_ns ? now_ns - e->left_ns : 0);
		/* under the virtual clock it may be on another worker up to then */
		cost_ns += e->ready_since_ns > now_ns ? e->ready_since_ns - now_ns : 0;
		u64 ns = e->vruntime_ns + fair_weighted(e, cost_ns);
		if (ns < best_ns) {
			best_ns = ns;
			best = e;
		}
	}
	return best;
}

/* The first one has been picked; @e may come from elsewhere, so vtime follows the fair class
 * only. */
static inline void fair_picked(struct fair *f, const struct sched_vp *e)
{
	f->vtime_ns = MAX(f->vtime_ns, e->vruntime_ns);
}

/* Is @e so far behind @running, which has run @ran_ns in this slice, that it takes over at once? */
static inline bool fair_preempts(const struct fair *f, const struct sched_vp *e,
				 const struct sched_vp *running, u64 ran_ns)
{
	return e->vruntime_ns + f->slice_ns / 2 <
	       running->vruntime_ns + fair_weighted(running, ran_ns);
}

#endif
