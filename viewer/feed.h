/*
 * feed.h - a thread that reads a trace, and the queue between it and the viewer
 *
 * What source_live.c and source_saved.c share. The thread decodes events into a bounded queue and
 * waits when it is full, so nothing is dropped here; feed_pump() takes them out on the viewer's
 * thread.
 */
#ifndef VIEWER_FEED_H
#define VIEWER_FEED_H

#include <pthread.h>

#include "viewer/source.h"

#define FEED_QUEUE_EVENTS 16384u
#define FEED_BATCH 256u
#define FEED_MAX_WORKERS 1024u

struct feed {
	const struct source_reader *reader;
	const char *address;
	bool retries; /* a connection that breaks is tried again */

	/* the thread's own */
	struct source_sink sink;
	u64 taken; /* events so far */
	u32 nbatch;
	struct transition batch[FEED_BATCH];
	u64 last_ns[FEED_MAX_WORKERS];

	pthread_t thread;
	bool has_thread;
	pthread_mutex_t lock;
	pthread_cond_t changed; /* room in the queue, stop, or the outcome of the first open */
	/* under lock */
	void *handle; /* of the reader, for interrupt() */
	bool stop, run_ended;
	bool tried, opened; /* the first open is over; it went well */
	char first_why[SOURCE_WHY_BYTES];
	struct source_status status;
	u64 lost; /* not yet told to the model */
	u32 head, count;
	struct transition *queue;
};

/* Return: 0 or -errno, with the reason in @why. @reader, @address and @retries are set. */
int feed_start(struct feed *f, char *why) __must_check;
u32 feed_pump(struct feed *f, struct model *m, u32 max);
void feed_status(struct feed *f, struct source_status *st);
void feed_run_ended(struct feed *f);

/* Stop the thread. Return: false when it does not come back (then @f must stay where it is). */
bool feed_stop(struct feed *f);

#endif
