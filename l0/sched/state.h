/*
 * State of a simulated processor as far as a switch would lose it (mechanism B6): what the engine
 * counts while a virtual processor runs (misses of the soft TLB and of the translation cache,
 * flushes), and profiles of it, by virtual processor and by worker, recent and since the start.
 * Used by the policy qos+state; read by statistics. Pure. Cost: a few ns for each slice.
 */
#ifndef L0_SCHED_STATE_H
#define L0_SCHED_STATE_H

#include "l0/base/types.h"

/* Counters of one virtual processor, in its engine; written by the worker that runs it, and read
 * there. */
struct state_probe {
	const u64 *tlb_misses, *code_misses, *flushes; /* NULL: not counted */
};

struct state_count {
	u64 tlb, code, flushes;
};

struct state_profile {
	/* since the start */
	u64 ran_ns, slices;
	struct state_count count;
	/* slices that went on because the state was warm, and by how much */
	u64 n_extended, extended_ns;
	/* that ended early because it was cold, and how much was left */
	u64 n_early, early_ns;
	/* recent: halved every STATE_RECENT_NS of CPU time */
	u64 recent_ns, recent_misses;
};
#define STATE_RECENT_NS (100 * NS_PER_MS)

struct state_count state_read(const struct state_probe *p);
/* Misses of both kinds from @a to @b. */
u64 state_misses(const struct state_count *a, const struct state_count *b);

/* A slice of @ran_ns, in which counters went from @a to @b. */
void state_profile_add(struct state_profile *p, u64 ran_ns, const struct state_count *a,
		       const struct state_count *b);

/* Misses in a millisecond of CPU time, of late; 0 before anything ran. */
u64 state_recent_per_ms(const struct state_profile *p);

#endif
