/*
 * daemon: LTTng's daemons as the program needs them, and the private folder where it keeps track
 *
 * A session daemon that runs already is used. Otherwise one is started: for an ordinary user with a
 * private LTTNG_HOME, for root (where LTTng ignores that) the system-wide one. What nestor started
 * it ends when no session is left, so that several runs share it and somebody else's session keeps
 * it. Whatever a crashed run left (sessions, folders, an idle daemon) the next one removes.
 *
 * Called by trace/session.c and by commands, at the start and the end, on one thread. Changes the
 * environment (LTTNG_HOME). Blocks for up to some seconds.
 */
#ifndef TRACE_DAEMON_H
#define TRACE_DAEMON_H

#include <sys/types.h>
#include "l0/base/types.h"

#define TRACE_PATH_BYTES 512

/* Messages for people, one line without newline; NULL in configurations: stderr. */
typedef void (*trace_say_fn)(void *arg, const char *line);

struct trace_daemon {
	char dir[TRACE_PATH_BYTES];	/* private runtime folder of the user */
	char run_dir[TRACE_PATH_BYTES]; /* of this run, in it */
	char run_name[64];		/* "nestor-PID-STARTTIME": prefix of this run's sessions */
	pid_t sessiond;			/* 0: unknown */
	bool started_now;
};

/**
 * trace_daemon_acquire - find or start the session daemon, clean up after crashed runs
 * @may_start: start one when none runs
 * Return: 0; -ENOENT: none runs and lttng-sessiond is not installed (or @may_start is false);
 *         -ETIME: it does not answer; another -errno for the folder. @why says it in words.
 */
int trace_daemon_acquire(struct trace_daemon *d, bool may_start, char *why,
			 size_t why_bytes) __must_check;

/* Remove this run's folder; end the session daemon if a nestor started it and no session is left.
 */
void trace_daemon_release(struct trace_daemon *d);

/* Is the session daemon still there? Cheap: a signal-0 test of its process. */
bool trace_daemon_is_alive(const struct trace_daemon *d);

/* A relay daemon of our own, a child that dies with this process. */
struct trace_relay {
	pid_t pid;
	u16 control_port, data_port, live_port; /* on the loopback address */
	char dir[TRACE_PATH_BYTES + 16];
};

/**
 * trace_relay_start - start lttng-relayd on free loopback ports
 * Return: 0; -ENOENT: not installed; -ETIME: it does not come up; another -errno.
 */
int trace_relay_start(struct trace_relay *r, const struct trace_daemon *d) __must_check;

/**
 * trace_relay_wait_metadata - wait until a session's description of its events is whole
 * @r: relay of a session that was started
 *
 * LTTng sends it in pieces, events before the class of stream that they belong to; a reader that
 * connects between two of them fails. After some seconds it is given up silently.
 */
void trace_relay_wait_metadata(const struct trace_relay *r);

void trace_relay_stop(struct trace_relay *r);

/* Let this run be found by trace_daemon_each_run(). */
void trace_daemon_publish(const struct trace_daemon *d);

/* Running processes that have published themselves: calls @each with each one's id. Return: how
 * many. */
int trace_daemon_each_run(const struct trace_daemon *d, void (*each)(void *arg, pid_t pid),
			  void *arg);

#endif
