/*
 * The child's own scheduler: one run queue in running order, its head runs. Which of three rules
 * decides where a woken L2 goes and who moves when a slice ends:
 *   prio        higher priority first; equal priorities in turn, but an L2 with a priority above 0
 *               runs until it halts
 *   wake-first  a woken L2 goes to the head at once, then round robin
 *   strict      a woken L2 goes to the tail: plain round robin
 * Runs with interrupts off; never enters an L2 itself.
 */
#ifndef L1_CHILD_VMM_SCHED_H
#define L1_CHILD_VMM_SCHED_H

#include "l1-child/vmm/config.h"
#include "l1-child/vmm/l2.h"

struct sched {
	enum sched_kind kind;
	unsigned int count;
	struct l2 *queue[MAX_GUESTS];
};

/* Makes an L2 runnable; no effect if it is already or has stopped. */
void sched_wake(struct sched *s, struct l2 *g);

/* Takes an L2 off the queue and gives it the state. */
void sched_remove(struct sched *s, struct l2 *g, enum l2_state state);

/* The head's slice is over, or it gave the rest of it away. */
void sched_slice_end(struct sched *s);

/* Will another one run when the slice of @g, the head, ends? */
bool sched_has_turns(const struct sched *s, const struct l2 *g);

/* Who runs now; NULL: nobody can. */
struct l2 *sched_pick(const struct sched *s);

#endif
