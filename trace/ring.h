/*
 * ring: a worker's events on their way to the trace. One producer, the worker; the same thread
 * drains it, so there is nothing to synchronise: in batches when a fill mark is reached, before the
 * worker blocks, and at the end. Lossless: a push to a full ring drains first.
 *
 * The records stay readable after the drain until they are overwritten, for dumps of the last
 * events. Built without vector registers; the drain keeps the vector state over what the callback
 * does. Cost: a push copies the record's used words; a drain adds two XSAVE-class instructions a
 * batch.
 */
#ifndef TRACE_RING_H
#define TRACE_RING_H

#include "trace/transition.h"

/* Takes @count records in the order of their making; runs with the vector registers free to use. */
typedef void (*trace_drain_fn)(void *arg, const struct transition *t, u32 count);

struct trace_ring {
	struct transition *slots;
	u64 head;     /* records pushed so far */
	u64 tail;     /* records drained so far */
	u32 capacity; /* a power of two */
	u32 fill_mark;
	trace_drain_fn drain;
	void *drain_arg;
	bool draining;
};

/**
 * trace_ring_init - memory for @capacity records, in an anonymous mapping
 * @capacity: a power of two, at least 64
 * @drain: NULL: records are only kept for dumps
 * Return: 0, -EINVAL, -ENOMEM.
 */
int trace_ring_init(struct trace_ring *ring, u32 capacity, trace_drain_fn drain,
		    void *arg) __must_check;

/* Drain what is left and give the memory back. */
void trace_ring_fini(struct trace_ring *ring);

/* Append a copy of @t. Owner thread only. */
void trace_ring_push(struct trace_ring *ring, const struct transition *t);

/* A sink's feed function that pushes to worker->ring, if it has one; @arg is not used. */
void trace_ring_feed(void *arg, struct trace_worker *worker, const struct transition *t);

/* Hand everything to the drain. Owner thread only, or any thread once the owner has stopped. */
void trace_ring_drain(struct trace_ring *ring);

/* Records not drained yet. */
static inline u64 trace_ring_pending(const struct trace_ring *ring)
{
	return ring->head - ring->tail;
}

/**
 * trace_ring_last - copy the newest records that a filter accepts, oldest first
 * @out:  room for @max
 * @vcpu: only records of this vCPU; EVENT_NO_ID: all
 * Return: how many. For dumps: the owner is stopped or is the caller.
 */
u32 trace_ring_last(const struct trace_ring *ring, struct transition *out, u32 max, u32 vcpu);

#endif
