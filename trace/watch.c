/* A live session that shows another nestor process; see session.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "trace/session.h"
#include "trace/session_priv.h"

struct trace_watch {
	struct trace_daemon daemon;
	struct trace_relay relay;
	struct trace_lttng live;
	char url[512];
};

struct found_runs {
	pid_t wanted, found;
	int n;
};

static void found_run(void *arg, pid_t pid)
{
	struct found_runs *f = arg;

	if (f->wanted && pid != f->wanted)
		return;
	f->found = pid;
	f->n++;
}

static int choose_run(const struct trace_daemon *d, pid_t pid, pid_t *found, char *why,
		      size_t why_bytes)
{
	struct found_runs f = {.wanted = pid};

	trace_daemon_each_run(d, found_run, &f);
	*found = f.found;
	if (f.n == 1)
		return 0;
	if (f.n > 1)
		snprintf(why, why_bytes, "%d runs are being recorded; name one by its process id",
			 f.n);
	else if (pid)
		snprintf(why, why_bytes, "process %d is no recorded run of nestor", (int)pid);
	else
		snprintf(why, why_bytes,
			 "nothing runs that is being recorded; start it with nestor record");
	return f.n > 1 ? -EEXIST : -ENOENT;
}

static int watch_start(struct trace_watch *w, pid_t pid, char *why, size_t why_bytes)
{
	char name[sizeof(w->daemon.run_name) + 8];
	struct trace_lttng_spec spec = {
		.name = name, .relay = &w->relay, .kinds_not = event_mask_exit};
	int err = choose_run(&w->daemon, pid, &pid, why, why_bytes);

	if (err)
		return err;
	err = trace_relay_start(&w->relay, &w->daemon);
	if (err) {
		snprintf(why, why_bytes, "lttng-relayd %s",
			 err == -ENOENT ? "is not installed (package lttng-tools)"
					: strerror(-err));
		return err;
	}
	snprintf(name, sizeof(name), "%s-live", w->daemon.run_name);
	spec.pid = pid;
	err = trace_lttng_create(&w->live, &spec, why, why_bytes);
	if (err)
		return err;
	trace_relay_wait_metadata(&w->relay);
	trace_lttng_url(&w->live, &w->relay, w->url, sizeof(w->url));
	return 0;
}

int trace_watch_start(pid_t pid, struct trace_watch **out, char *why, size_t why_bytes)
{
	struct trace_watch *w = calloc(1, sizeof(*w));
	int err;

	*out = NULL;
	if (!w) {
		snprintf(why, why_bytes, "out of memory");
		return -ENOMEM;
	}
	err = trace_daemon_acquire(&w->daemon, false, why, why_bytes);
	if (err) {
		if (err == -ENOENT)
			snprintf(
				why, why_bytes,
				"nothing runs that is being recorded; start it with nestor record");
		free(w);
		return err;
	}
	err = watch_start(w, pid, why, why_bytes);
	if (err) {
		trace_watch_stop(w);
		return err;
	}
	*out = w;
	return 0;
}

const char *trace_watch_url(const struct trace_watch *w)
{
	return w->url;
}

void trace_watch_stop(struct trace_watch *w)
{
	if (!w)
		return;
	trace_lttng_destroy(&w->live,
			    trace_daemon_is_alive(&w->daemon) ? TRACE_HEALTHY : TRACE_GONE);
	trace_relay_stop(&w->relay);
	trace_daemon_release(&w->daemon);
	free(w);
}
