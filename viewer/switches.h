/*
 * switches: which process each virtual processor ran, over time
 *
 * The newest process switches of the trace; fed with each event. For the schedule's lanes of
 * processes. Cost: some ns an event; a look at all that are kept for each lane that is drawn.
 */
#ifndef VIEWER_SWITCHES_H
#define VIEWER_SWITCHES_H

#include "l0/arch/events.h"

#define SWITCHES_KEPT (1u << 17)

struct switches {
	struct process_switch {
		u64 at_ns;
		u32 vcpu, process;
	} * item; /* ring; NULL: none yet, or no memory */
	u64 count;
};

void switches_add(struct switches *s, const struct transition *t);
void switches_fini(struct switches *s);

/* A walk along one processor's switches, in ascending time. */
struct switches_walk {
	const struct switches *switches;
	u64 next; /* number of the one to look at */
	u32 vcpu, process;
};

void switches_begin(struct switches_walk *w, const struct switches *s, u32 vcpu);

/* The process at @at_ns (EVENT_NO_ID: not known), not before that of the last call; *@until_ns:
 * when the next one begins, ~0: none is known. */
u32 switches_at(struct switches_walk *w, u64 at_ns, u64 *until_ns);

#endif
