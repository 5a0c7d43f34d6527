/*
 * merge: events of several workers into the one order of a trace, (vtime_ns, worker, seq)
 *
 * Workers write in batches, so a reader gets them out of step, though each worker's own in order.
 * Used where the order matters: comparing runs, printing. Events wait until a sixteenth of the
 * limit is there and every worker that has been seen has one waiting, or until the limit is
 * reached; then the earliest goes on. Pure; bounded memory; one user at a time. Cost: a heap step
 * an event.
 */
#ifndef TRACE_MODEL_MERGE_H
#define TRACE_MODEL_MERGE_H

#include "l0/arch/events.h"

struct merge;

typedef void (*merge_fn)(void *arg, const struct transition *t);

/**
 * merge_create - an empty merger
 * @limit: events held back at most; 0: about a million
 * @out: gets the events in order
 */
struct merge *merge_create(u32 limit, merge_fn out, void *arg) __must_check;
void merge_destroy(struct merge *m);

/* Take in one event; may hand out some. When memory is short, hands out early. */
void merge_feed(struct merge *m, const struct transition *t);

/* No more will come: hand out everything. */
void merge_flush(struct merge *m);

/* Events handed out before an earlier one had come, because of the limit. */
u64 merge_late(const struct merge *m);

#endif
