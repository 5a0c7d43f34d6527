/*
 * session: the LTTng sessions of a run, from before its first event to after its last
 *
 * trace_session_start() finds or starts the session daemon, makes a lossless local session (record)
 * and, if wanted, a second one for live viewers (decisions, and summaries in place of what comes
 * once an exit), then loads the provider object and waits until LTTng has switched its tracepoints
 * on. Rings hand their events to trace_session_drain(). If the daemon dies, one line says so, and
 * the run goes on without a trace.
 *
 * Called by the machine's set-up and tear-down on the main thread, before machines take memory and
 * after workers have stopped. trace_session_drain() runs on workers. Uses libc freely: never called
 * with a guest's vector state in the registers (a ring sees to that).
 * Cost: about 50 ms with a daemon that runs, 300 ms without; about 100 ns an event.
 */
#ifndef TRACE_SESSION_H
#define TRACE_SESSION_H

#include "trace/daemon.h"
#include "trace/transition.h"

struct trace_session;

/* The flight recorder: keep the newest events, write them when something happens. */
struct trace_flight_config {
	u64 bytes; /* memory for what is kept; 0: record everything instead */
	u64 kinds; /* kinds that @wants is asked about, BIT(TRANSITION_…) */
	/* Is this what is waited for? NULL: the end of the run is. Any worker's thread. */
	bool (*wants)(void *arg, const struct transition *t);
	void *wants_arg;
};

struct trace_session_config {
	const char *output; /* folder of the recording, must exist; NULL: no recording */
	struct trace_flight_config flight;
	bool live;	      /* also a live session, for a viewer */
	const char *provider; /* libnestor-provider.so; NULL: looked for beside the program */
	trace_say_fn say;     /* messages; NULL: stderr, after "nestor: " */
	void *say_arg;
};

/* What a session had to say in the end. */
struct trace_session_result {
	u64 emitted;   /* events handed to LTTng */
	u64 dropped;   /* not handed over, since the daemon was gone */
	u64 discarded; /* LTTng had no room for them in the recording */
	u64 discarded_live;
	bool died; /* the daemon went away in mid-run */
};

/**
 * trace_session_start - make the sessions and load the provider
 * @out: the session; NULL when the function fails
 * Return: 0, or -errno; the reason has been said in one line, and the run can go on untraced.
 */
int trace_session_start(const struct trace_session_config *cfg,
			struct trace_session **out) __must_check;

/* A trace_drain_fn; @session is the struct trace_session. Each batch is of one worker. */
void trace_session_drain(void *session, const struct transition *t, u32 count);

/* Does a live viewer want *_summary events now? Changes during the run. Any thread; a load. */
bool trace_session_wants_summaries(const struct trace_session *s);

/* The same as the atomic flag itself, for trace_summary_feed(). Lives as long as the session. */
bool *trace_session_summary_flag(struct trace_session *s);

/* Address for a live viewer, or NULL: net://127.0.0.1:PORT/host/HOST/SESSION */
const char *trace_session_live_url(const struct trace_session *s);

/**
 * trace_session_stop - end the sessions in order and, with the last user, the daemon
 * @s: NULL is fine; freed. Workers have stopped and their rings are drained.
 * @result: may be NULL. Losses have been said in one line.
 */
void trace_session_stop(struct trace_session *s, struct trace_session_result *result);

/* --- watching another run (nestor view) --- */

struct trace_watch; /* a live session that shows another process */

/**
 * trace_watch_start - live session for the nestor of process @pid; 0: the only one that runs
 * Return: 0; -ENOENT: none runs, or is being recorded; -EEXIST: several run, name one; -errno.
 *         @why says it in words.
 */
int trace_watch_start(pid_t pid, struct trace_watch **out, char *why,
		      size_t why_bytes) __must_check;
const char *trace_watch_url(const struct trace_watch *w);
void trace_watch_stop(struct trace_watch *w);

#endif
