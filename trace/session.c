/* The sessions of a run, the provider object and its watchdog; see session.h. */
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "trace/flight.h"
#include "trace/provider.h"
#include "trace/session.h"
#include "trace/session_priv.h"

#define PROVIDER_FILE "libnestor-provider.so"
#define ENABLE_TIMEOUT_MS 5000
#define TICK_MS 250
#define STALL_TICKS 16	 /* so long without progress, the consumer is taken for dead */
#define STALL_PROGRESS 8 /* events a tick; while all of them time out it is less */
#define MAX_OUTLETS 257u /* one a worker; more share the last */

/* Progress of one worker's drain, for the watchdog. Written by the worker, read by the watchdog. */
struct outlet {
	u64 done;
	u64 dropped;
	bool busy;
	/* watchdog only */
	u64 seen_done;
	u32 stalled;
} __aligned_to(64);

struct trace_session {
	struct trace_daemon daemon;
	struct trace_relay relay;
	struct trace_lttng record, live;
	struct trace_flight flight;
	const struct trace_provider *provider;
	struct outlet outlets[MAX_OUTLETS];
	char url[512];
	trace_say_fn say;
	void *say_arg;
	bool dead;	      /* atomic: stop handing over; set by the watchdog */
	bool wants_summaries; /* atomic; updated by the watchdog */
	/* watchdog thread */
	pthread_t watchdog;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool has_watchdog, ending; /* ending: under lock */
};

static void say(struct trace_session *s, const char *fmt, ...) __printf_like(2, 3);
static void say(struct trace_session *s, const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (s->say)
		s->say(s->say_arg, line);
	else
		fprintf(stderr, "nestor: %s\n", line);
}

/* --- the provider object --- */

static bool try_path(char *buf, size_t bytes, const char *dir, const char *rest)
{
	snprintf(buf, bytes, "%s/%s", dir, rest);
	return access(buf, R_OK) == 0;
}

/* Beside the program, in the build folder below it, or where it would be installed. */
static bool find_provider(char *buf, size_t bytes)
{
	char exe[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	char *slash;

	if (n <= 0)
		return false;
	exe[n] = 0;
	slash = strrchr(exe, '/');
	if (!slash)
		return false;
	*slash = 0;
	return try_path(buf, bytes, exe, PROVIDER_FILE) ||
	       try_path(buf, bytes, exe, "build/rel/" PROVIDER_FILE) ||
	       try_path(buf, bytes, exe, "../../" PROVIDER_FILE) ||
	       try_path(buf, bytes, exe, "../lib/nestor/" PROVIDER_FILE);
}

static int load_provider(struct trace_session *s, const char *path)
{
	char found[PATH_MAX + 64];
	void *object;

	if (!path && !find_provider(found, sizeof(found))) {
		say(s, "no trace: %s is not beside the program; run make", PROVIDER_FILE);
		return -ENOENT;
	}
	/* LTTng reads this in its constructor; without it a full buffer drops events */
	setenv("LTTNG_UST_ALLOW_BLOCKING", "1", 1);
	object = dlopen(path ? path : found, RTLD_NOW | RTLD_LOCAL);
	if (!object) {
		say(s, "no trace: %s", dlerror());
		return -ENOENT;
	}
	s->provider = dlsym(object, TRACE_PROVIDER_SYMBOL);
	if (!s->provider || s->provider->abi != TRACE_PROVIDER_ABI) {
		say(s, "no trace: %s is of another build; run make", path ? path : found);
		s->provider = NULL;
		return -EINVAL;
	}
	return 0;
}

/* A burst right after the start would be lost before LTTng has switched the tracepoints on. */
static int wait_enabled(struct trace_session *s, u64 kinds)
{
	struct timespec ms = {0, 1000000};

	for (int waited = 0; (s->provider->enabled() & kinds) != kinds; waited++) {
		if (waited == ENABLE_TIMEOUT_MS) {
			say(s, "no trace: LTTng does not switch the events on");
			return -ETIME;
		}
		nanosleep(&ms, NULL);
	}
	return 0;
}

/* --- the watchdog: notices a daemon that is gone, or that takes nothing any more --- */

static bool outlet_is_stalled(struct outlet *o)
{
	u64 done = __atomic_load_n(&o->done, __ATOMIC_RELAXED);
	bool busy = __atomic_load_n(&o->busy, __ATOMIC_RELAXED);

	if (!busy || done - o->seen_done > STALL_PROGRESS)
		o->stalled = 0;
	else
		o->stalled++;
	o->seen_done = done;
	return o->stalled >= STALL_TICKS;
}

static void watchdog_tick(struct trace_session *s)
{
	u64 enabled = s->provider->enabled();

	__atomic_store_n(&s->wants_summaries, (enabled & event_mask_summary) != 0,
			 __ATOMIC_RELAXED);
	if (s->dead)
		return;
	if (!trace_daemon_is_alive(&s->daemon)) {
		__atomic_store_n(&s->dead, true, __ATOMIC_RELAXED);
		say(s, "LTTng's session daemon is gone; the run goes on without a trace");
		return;
	}
	for (u32 i = 0; i < MAX_OUTLETS; i++) {
		if (!outlet_is_stalled(&s->outlets[i]))
			continue;
		__atomic_store_n(&s->dead, true, __ATOMIC_RELAXED);
		say(s, "LTTng takes no more events (its consumer is gone or the disk is full); the "
		       "run "
		       "goes on without a trace");
		return;
	}
}

static void *watchdog_main(void *arg)
{
	struct trace_session *s = arg;
	struct timespec until;

	pthread_mutex_lock(&s->lock);
	clock_gettime(CLOCK_MONOTONIC, &until);
	while (!s->ending) {
		until.tv_nsec += TICK_MS * 1000000l;
		if (until.tv_nsec >= 1000000000l) {
			until.tv_sec++;
			until.tv_nsec -= 1000000000l;
		}
		while (!s->ending && pthread_cond_timedwait(&s->wake, &s->lock, &until) == 0)
			;
		if (!s->ending)
			watchdog_tick(s);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

static void watchdog_start(struct trace_session *s)
{
	pthread_condattr_t attr;
	sigset_t all, old;

	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->wake, &attr);
	pthread_condattr_destroy(&attr);
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	s->has_watchdog = pthread_create(&s->watchdog, NULL, watchdog_main, s) == 0;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static void watchdog_stop(struct trace_session *s)
{
	if (!s->has_watchdog)
		return;
	pthread_mutex_lock(&s->lock);
	s->ending = true;
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->watchdog, NULL);
	pthread_cond_destroy(&s->wake);
	pthread_mutex_destroy(&s->lock);
	s->has_watchdog = false;
}

/* --- start and end --- */

static void say_of_flight(void *arg, const char *line)
{
	say(arg, "flight recorder: %s", line);
}

static void emit_for_flight(void *arg, const struct transition *t, u32 count)
{
	struct trace_session *s = arg;
	u64 done = 0;

	s->provider->emit(t, count, &s->dead, &done);
}

static void start_flight(struct trace_session *s, const struct trace_flight_config *cfg)
{
	s->flight.record = &s->record;
	s->flight.cfg = *cfg;
	s->flight.say = say_of_flight;
	s->flight.say_arg = s;
	s->flight.emit = emit_for_flight;
	pthread_mutex_init(&s->flight.lock, NULL);
}

static int start_record(struct trace_session *s, const char *output,
			const struct trace_flight_config *flight)
{
	char path[PATH_MAX], name[sizeof(s->daemon.run_name) + 8], why[512];
	struct trace_buffers b = trace_buffers_choose(false);
	const struct trace_lttng_spec spec = {.name = name,
					      .output = path,
					      .pid = getpid(),
					      .kinds_not = event_mask_summary,
					      .flight_bytes = flight->bytes};
	int err;

	if (!realpath(output, path)) {
		err = -errno;
		say(s, "no trace: output folder %s: %s", output, strerror(errno));
		return err;
	}
	if (b.is_cut && !flight->bytes)
		say(s,
		    "little shared memory: trace buffers are cut to %llu KiB a CPU; events may be "
		    "lost",
		    (unsigned long long)(b.subbuf_bytes * b.nsubbufs / KIB));
	snprintf(name, sizeof(name), "%s-record", s->daemon.run_name);
	err = trace_lttng_create(&s->record, &spec, why, sizeof(why));
	if (err)
		say(s, "no trace: %s", why);
	else if (flight->bytes)
		start_flight(s, flight);
	return err;
}

/* A live view that fails leaves the recording as it is. */
static void start_live(struct trace_session *s)
{
	char name[sizeof(s->daemon.run_name) + 8], why[512];
	const struct trace_lttng_spec spec = {
		.name = name, .relay = &s->relay, .pid = getpid(), .kinds_not = event_mask_exit};
	int err = trace_relay_start(&s->relay, &s->daemon);

	if (err) {
		say(s, "no live view: lttng-relayd %s",
		    err == -ENOENT ? "is not installed (package lttng-tools)" : strerror(-err));
		return;
	}
	snprintf(name, sizeof(name), "%s-live", s->daemon.run_name);
	err = trace_lttng_create(&s->live, &spec, why, sizeof(why));
	if (err) {
		say(s, "no live view: %s", why);
		trace_relay_stop(&s->relay);
		return;
	}
	trace_lttng_url(&s->live, &s->relay, s->url, sizeof(s->url));
}

static int start_sessions(struct trace_session *s, const struct trace_session_config *cfg)
{
	u64 kinds = 0;
	int err;

	if (cfg->output) {
		err = start_record(s, cfg->output, &cfg->flight);
		if (err)
			return err;
		kinds |= TRACE_ALL_KINDS & ~event_mask_summary;
	}
	if (cfg->live) {
		start_live(s);
		if (s->live.name[0])
			kinds |= TRACE_ALL_KINDS & ~event_mask_exit;
		else if (!cfg->output)
			return -EIO;
	}
	err = load_provider(s, cfg->provider);
	if (err)
		return err;
	err = wait_enabled(s, kinds);
	if (!err && s->live.name[0])
		trace_relay_wait_metadata(&s->relay);
	return err;
}

int trace_session_start(const struct trace_session_config *cfg, struct trace_session **out)
{
	struct trace_session *s;
	char why[512];
	int err;

	*out = NULL;
	if (posix_memalign((void **)&s, 64, sizeof(*s)))
		return -ENOMEM;
	memset(s, 0, sizeof(*s));
	s->say = cfg->say;
	s->say_arg = cfg->say_arg;
	err = trace_daemon_acquire(&s->daemon, true, why, sizeof(why));
	if (err) {
		say(s, "no trace: %s", why);
		free(s);
		return err;
	}
	err = start_sessions(s, cfg);
	if (err) {
		trace_session_stop(s, NULL);
		return err;
	}
	s->wants_summaries = s->live.name[0] != 0;
	watchdog_start(s);
	trace_daemon_publish(&s->daemon);
	*out = s;
	return 0;
}

/* Return: how many were handed over. */
static u32 emit(struct trace_session *s, struct outlet *o, const struct transition *t, u32 count)
{
	u32 sent;

	if (__atomic_load_n(&s->dead, __ATOMIC_RELAXED))
		return 0;
	__atomic_store_n(&o->busy, true, __ATOMIC_RELAXED);
	sent = s->provider->emit(t, count, &s->dead, &o->done);
	__atomic_store_n(&o->busy, false, __ATOMIC_RELAXED);
	return sent;
}

/* What happened is to be in the snapshot that is taken after it: the buffers hold little more. */
#define FLIGHT_STRETCH 256u

void trace_session_drain(void *session, const struct transition *t, u32 count)
{
	struct trace_session *s = session;
	struct outlet *o;

	if (!count)
		return;
	o = &s->outlets[MIN((u32)t->worker, MAX_OUTLETS - 1)];
	if (likely(!s->flight.cfg.bytes)) {
		o->dropped += count - emit(s, o, t, count);
		return;
	}
	for (u32 n; count; t += n, count -= n) {
		n = MIN(count, FLIGHT_STRETCH);
		u32 sent = emit(s, o, t, n);

		trace_flight_look(&s->flight, t, sent);
		o->dropped += n - sent;
	}
}

bool trace_session_wants_summaries(const struct trace_session *s)
{
	return __atomic_load_n(&s->wants_summaries, __ATOMIC_RELAXED);
}

bool *trace_session_summary_flag(struct trace_session *s)
{
	return &s->wants_summaries;
}

const char *trace_session_live_url(const struct trace_session *s)
{
	return s->url[0] ? s->url : NULL;
}

static void say_losses(struct trace_session *s, const struct trace_session_result *r)
{
	if (r->discarded)
		say(s, "the trace lacks %llu events: LTTng's buffers were full",
		    (unsigned long long)r->discarded);
	if (r->dropped)
		say(s, "the trace lacks the last %llu events: its daemon was gone",
		    (unsigned long long)r->dropped);
}

void trace_session_stop(struct trace_session *s, struct trace_session_result *result)
{
	struct trace_session_result r = {0};
	enum trace_health health;

	if (!s)
		return;
	watchdog_stop(s);
	for (u32 i = 0; i < MAX_OUTLETS; i++) {
		r.emitted += s->outlets[i].done;
		r.dropped += s->outlets[i].dropped;
	}
	r.died = s->dead;
	health = !trace_daemon_is_alive(&s->daemon) ? TRACE_GONE
		 : s->dead			    ? TRACE_SICK
						    : TRACE_HEALTHY;
	if (s->flight.cfg.bytes && health == TRACE_HEALTHY)
		trace_flight_end(&s->flight);
	r.discarded_live = trace_lttng_destroy(&s->live, health);
	r.discarded = trace_lttng_destroy(&s->record, health);
	trace_relay_stop(&s->relay);
	trace_daemon_release(&s->daemon);
	say_losses(s, &r);
	if (result)
		*result = r;
	free(s);
}
