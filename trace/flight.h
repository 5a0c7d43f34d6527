/*
 * flight: the flight recorder - when to write down what a session keeps
 *
 * Looks at the events that workers hand to the trace; after one that is wanted it has LTTng write
 * the session's buffers, which hold the newest events, as a trace of its own below the output
 * folder. The worker waits for that (some ms of host time), so that the event and what came before
 * it are there. Since state is repeated only every second or so, it keeps the newest state of each
 * entity and emits that before it writes, so that a snapshot knows names. Called by session.c; any
 * worker. Cost: a test of one word for events of other kinds.
 */
#ifndef TRACE_FLIGHT_H
#define TRACE_FLIGHT_H

#include <pthread.h>
#include "trace/session.h"
#include "trace/session_priv.h"

#define TRACE_FLIGHT_SNAPSHOTS 16u /* in a run */
#define TRACE_FLIGHT_STATES 1024u  /* entities whose state is kept; more: the first ones */

struct trace_flight {
	const struct trace_lttng *record;
	struct trace_flight_config cfg;
	void (*say)(void *arg, const char *line);
	void *say_arg;
	/* hand events to LTTng; of session.c */
	void (*emit)(void *arg, const struct transition *t, u32 count);
	pthread_mutex_t lock;
	/* under lock */
	u32 taken;
	u32 nstates;
	struct transition states[TRACE_FLIGHT_STATES];
	/* --- */
	u64 last_ns;  /* atomic: time of the newest event */
	bool is_over; /* atomic: no more snapshots */
};

/* Look at events that LTTng has; the caller is the worker that made them. */
void trace_flight_look(struct trace_flight *f, const struct transition *t, u32 count);

/* The run is over: without a condition its end is what is waited for. */
void trace_flight_end(struct trace_flight *f);

#endif
