/*
 * session_priv.h - what session.c and watch.c share: one LTTng session with its channel
 *
 * Thin layer over liblttng-ctl; main thread only.
 */
#ifndef TRACE_SESSION_PRIV_H
#define TRACE_SESSION_PRIV_H

#include <lttng/lttng.h>
#include "trace/daemon.h"
#include "trace/transition.h"

#define TRACE_CHANNEL_NAME "events"
#define TRACE_LIVE_TIMER_US 20000u /* a viewer is this far behind at most */

struct trace_lttng {
	char name[128];
	struct lttng_handle *handle;
	bool is_live;
	u64 flight_bytes;
};

struct trace_buffers {
	u64 subbuf_bytes, nsubbufs; /* a CPU */
	bool is_cut;		    /* smaller than wanted, for want of shared memory */
};

/* Buffers of one session: as large as may be useful, at most a quarter of free shared memory. */
struct trace_buffers trace_buffers_choose(bool live);

/* What a session is to be. */
struct trace_lttng_spec {
	const char *name;
	const char *output; /* folder of a local session; NULL: live, over @relay */
	const struct trace_relay *relay;
	pid_t pid;	  /* whose events it takes */
	u64 kinds_not;	  /* kinds that it leaves out */
	u64 flight_bytes; /* not 0: keep the newest events in so much memory, and write them to
			     @output only when trace_lttng_snapshot() says so */
};

/**
 * trace_lttng_create - create, set up and start a session
 * Return: 0 or -errno; @why in words.
 */
int trace_lttng_create(struct trace_lttng *l, const struct trace_lttng_spec *spec, char *why,
		       size_t why_bytes) __must_check;

/* Write what a session with flight_bytes keeps. Return: 0 or -EIO; @why in words. Any thread, one
 * at a time. Cost: some ms. */
int trace_lttng_snapshot(const struct trace_lttng *l, char *why, size_t why_bytes) __must_check;

/* The daemons: as they should be; not able to finish a recording; not there. */
enum trace_health { TRACE_HEALTHY, TRACE_SICK, TRACE_GONE };

/* Stop, count what was discarded, destroy, as far as @health allows. Return: events discarded. */
u64 trace_lttng_destroy(struct trace_lttng *l, enum trace_health health);

/* Live URL of @l over @relay. */
void trace_lttng_url(const struct trace_lttng *l, const struct trace_relay *relay, char *buf,
		     size_t bytes);

#endif
