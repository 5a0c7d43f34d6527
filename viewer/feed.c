/* The reading thread and its queue; see feed.h. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "viewer/feed.h"

#define SLEEP_LEAST_MS 1u
#define SLEEP_MOST_MS 10u
#define WAITING_AFTER_MS 2000u /* with nothing coming; state is repeated every second or so */
#define RETRY_MS 500u
#define OPEN_MS 2000u /* a peer that does not answer by then is shown as connecting */
#define STOP_MS 1500  /* a thread in a broken connection is not waited for any longer */

/* --- the thread's side --- */

static void set_state(struct feed *f, enum source_state state, const char *why)
{
	pthread_mutex_lock(&f->lock);
	f->status.state = state;
	snprintf(f->status.why, sizeof(f->status.why), "%s", why);
	pthread_mutex_unlock(&f->lock);
}

static bool should_stop(struct feed *f)
{
	bool stop;

	pthread_mutex_lock(&f->lock);
	stop = f->stop;
	pthread_mutex_unlock(&f->lock);
	return stop;
}

static struct timespec after_ms(clockid_t clock, u32 ms)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	ts.tv_nsec += ms % 1000 * 1000000l;
	ts.tv_sec += ms / 1000 + ts.tv_nsec / 1000000000l;
	ts.tv_nsec %= 1000000000l;
	return ts;
}

/* Wait until it is time to stop, at most @ms. */
static void nap(struct feed *f, u32 ms)
{
	struct timespec until = after_ms(CLOCK_MONOTONIC, ms);

	pthread_mutex_lock(&f->lock);
	while (!f->stop && pthread_cond_timedwait(&f->changed, &f->lock, &until) == 0)
		;
	pthread_mutex_unlock(&f->lock);
}

/* Hand the batch over; waits for room. */
static void push_batch(struct feed *f)
{
	if (!f->nbatch)
		return;
	pthread_mutex_lock(&f->lock);
	while (!f->stop && f->count + f->nbatch > FEED_QUEUE_EVENTS)
		pthread_cond_wait(&f->changed, &f->lock);
	for (u32 i = 0; !f->stop && i < f->nbatch; i++) {
		f->queue[(f->head + f->count) % FEED_QUEUE_EVENTS] = f->batch[i];
		f->count++;
	}
	pthread_mutex_unlock(&f->lock);
	f->nbatch = 0;
}

static void take_event(void *arg, const struct transition *t)
{
	struct feed *f = arg;
	u64 *last;

	f->batch[f->nbatch] = *t;
	last = &f->last_ns[t->worker % FEED_MAX_WORKERS];
	if (t->vtime_ns < *last) {
		pthread_mutex_lock(&f->lock);
		f->status.late++;
		pthread_mutex_unlock(&f->lock);
	}
	*last = MAX(*last, t->vtime_ns);
	f->taken++;
	if (++f->nbatch == FEED_BATCH)
		push_batch(f);
}

static void take_loss(void *arg, u64 count)
{
	struct feed *f = arg;

	pthread_mutex_lock(&f->lock);
	f->lost += count;
	pthread_mutex_unlock(&f->lock);
}

/* How the first attempt went. @why: NULL, or why not. */
static void publish_outcome(struct feed *f, const char *why)
{
	pthread_mutex_lock(&f->lock);
	if (!f->tried) {
		f->tried = true;
		f->opened = !why;
		snprintf(f->first_why, sizeof(f->first_why), "%s", why ? why : "");
		pthread_cond_broadcast(&f->changed);
	}
	pthread_mutex_unlock(&f->lock);
}

/* Read until the end or an error. */
static enum source_step read_on(struct feed *f, void *handle)
{
	u32 sleep_ms = SLEEP_LEAST_MS, idle_ms = 0;
	bool reading = false;

	while (!should_stop(f)) {
		u64 before = f->taken;
		enum source_step step = f->reader->step(handle);

		if (f->taken != before) {
			sleep_ms = SLEEP_LEAST_MS;
			idle_ms = 0;
			if (!reading)
				set_state(f, SOURCE_READING, "");
			reading = true;
		}
		if (step == SOURCE_STEP_ERROR)
			return step;
		publish_outcome(f, NULL);
		if (step == SOURCE_STEP_END)
			return step;
		if (step == SOURCE_STEP_MORE)
			continue;
		push_batch(f);
		nap(f, sleep_ms);
		idle_ms += sleep_ms;
		sleep_ms = MIN(sleep_ms + 1, SLEEP_MOST_MS);
		if (reading && idle_ms > WAITING_AFTER_MS) {
			set_state(f, SOURCE_WAITING, "");
			reading = false;
		}
	}
	return SOURCE_STEP_END;
}

static void publish_handle(struct feed *f, void *handle)
{
	pthread_mutex_lock(&f->lock);
	f->handle = handle;
	if (handle && f->stop)
		f->reader->interrupt(handle);
	pthread_mutex_unlock(&f->lock);
}

/* One connection from begin to end. */
static enum source_step read_once(struct feed *f, char *why)
{
	void *handle = f->reader->open(f->address, &f->sink, why, SOURCE_WHY_BYTES);
	enum source_step step = SOURCE_STEP_ERROR;

	if (!handle) {
		publish_outcome(f, why);
		return step;
	}
	publish_handle(f, handle);
	step = read_on(f, handle);
	push_batch(f);
	if (step == SOURCE_STEP_ERROR) {
		snprintf(why, SOURCE_WHY_BYTES, "%s", f->reader->why(handle));
		publish_outcome(f, why);
	}
	publish_handle(f, NULL);
	f->reader->close(handle);
	return step;
}

static bool may_retry(struct feed *f)
{
	bool may;

	pthread_mutex_lock(&f->lock);
	may = f->retries && !f->run_ended && !f->stop;
	pthread_mutex_unlock(&f->lock);
	return may;
}

static void *feed_main(void *arg)
{
	char why[SOURCE_WHY_BYTES] = "";
	struct feed *f = arg;

	for (;;) {
		enum source_step step = read_once(f, why);

		if (!may_retry(f)) {
			bool failed = step == SOURCE_STEP_ERROR && !f->retries;

			set_state(f, failed ? SOURCE_FAILED : SOURCE_ENDED, failed ? why : "");
			return NULL;
		}
		set_state(f, SOURCE_RETRYING,
			  step == SOURCE_STEP_ERROR ? why : "the session has ended");
		nap(f, RETRY_MS);
	}
}

/* --- the viewer's side --- */

static int start_thread(struct feed *f, char *why)
{
	sigset_t all, old;
	int err;

	/* signals are for the main thread */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	err = pthread_create(&f->thread, NULL, feed_main, f);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	f->has_thread = !err;
	if (err)
		snprintf(why, SOURCE_WHY_BYTES, "no thread for reading: %s", strerror(err));
	return -err;
}

int feed_start(struct feed *f, char *why)
{
	pthread_condattr_t attr;
	struct timespec until;
	int err;

	f->sink = (struct source_sink){take_event, take_loss, f};
	f->queue = malloc(sizeof(*f->queue) * FEED_QUEUE_EVENTS);
	if (!f->queue) {
		snprintf(why, SOURCE_WHY_BYTES, "out of memory");
		return -ENOMEM;
	}
	pthread_mutex_init(&f->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&f->changed, &attr);
	pthread_condattr_destroy(&attr);
	err = start_thread(f, why);
	if (err)
		return err;
	/* what cannot be opened at all is said before the screen is taken */
	pthread_mutex_lock(&f->lock);
	until = after_ms(CLOCK_MONOTONIC, OPEN_MS);
	while (!f->tried && !pthread_cond_timedwait(&f->changed, &f->lock, &until))
		;
	if (f->tried && !f->opened) {
		f->stop = true;
		snprintf(why, SOURCE_WHY_BYTES, "%s", f->first_why);
		err = -EIO;
	}
	pthread_mutex_unlock(&f->lock);
	return err;
}

/* Take out up to @max events at most; they are copied, so that the thread need not wait. */
static u32 take_out(struct feed *f, struct transition *out, u32 max)
{
	u32 n;

	pthread_mutex_lock(&f->lock);
	n = MIN(f->count, max);
	for (u32 i = 0; i < n; i++)
		out[i] = f->queue[(f->head + i) % FEED_QUEUE_EVENTS];
	f->head = (f->head + n) % FEED_QUEUE_EVENTS;
	f->count -= n;
	if (n)
		pthread_cond_signal(&f->changed);
	pthread_mutex_unlock(&f->lock);
	return n;
}

static void tell_losses(struct feed *f, struct model *m)
{
	u64 lost;

	pthread_mutex_lock(&f->lock);
	lost = f->lost;
	f->lost = 0;
	pthread_mutex_unlock(&f->lock);
	if (lost)
		model_note_lost(m, lost);
}

u32 feed_pump(struct feed *f, struct model *m, u32 max)
{
	struct transition some[FEED_BATCH]; /* 32 KiB */
	u32 done = 0, n;

	while (done < max && (n = take_out(f, some, MIN(max - done, FEED_BATCH)))) {
		for (u32 i = 0; i < n; i++)
			model_feed(m, &some[i]);
		done += n;
	}
	tell_losses(f, m);
	return done;
}

void feed_status(struct feed *f, struct source_status *st)
{
	pthread_mutex_lock(&f->lock);
	*st = f->status;
	if (f->count && st->state > SOURCE_READING)
		st->state = SOURCE_READING;
	pthread_mutex_unlock(&f->lock);
}

void feed_run_ended(struct feed *f)
{
	pthread_mutex_lock(&f->lock);
	f->run_ended = true;
	pthread_mutex_unlock(&f->lock);
}

bool feed_stop(struct feed *f)
{
	struct timespec until;

	if (f->has_thread) {
		pthread_mutex_lock(&f->lock);
		f->stop = true;
		if (f->handle)
			f->reader->interrupt(f->handle);
		pthread_cond_broadcast(&f->changed);
		pthread_mutex_unlock(&f->lock);
		until = after_ms(CLOCK_REALTIME, STOP_MS);
		if (pthread_timedjoin_np(f->thread, NULL, &until)) {
			pthread_detach(f->thread);
			return false;
		}
		pthread_cond_destroy(&f->changed);
		pthread_mutex_destroy(&f->lock);
	}
	free(f->queue);
	return true;
}
