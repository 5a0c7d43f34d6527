/*
 * reader: a trace (a folder, or a live session) as a stream of struct transition
 *
 * Builds the babeltrace2 graph in the process: source.ctf.fs for the trace found under a folder,
 * with a muxer for its streams, or source.ctf.lttng-live for a URL. Used by nestor report and by
 * the viewer's sources, which run it in a thread of their own: a live step can stall for 100 ms.
 * Order: as recorded; of one worker, by time; of several, a batch may come late.
 */
#ifndef TRACE_BT2_READER_H
#define TRACE_BT2_READER_H

#include "l0/arch/events.h"

struct bt_reader;

struct bt_reader_ops {
	void (*event)(void *arg, const struct transition *t);
	/* The trace says that events were discarded here; @n at least 1. May be NULL. */
	void (*lost)(void *arg, u64 n);
};

enum bt_reader_status {
	BT_READER_MORE, /* events were delivered; call again */
	BT_READER_WAIT, /* live: nothing now; wait some ms, call again */
	BT_READER_END,
	BT_READER_ERROR, /* bt_reader_why() says why; the reader can only be closed */
};

/**
 * bt_reader_open - open a trace
 * @source: a folder that contains a trace at any depth, or net://HOST[:PORT]/host/HOSTNAME/SESSION
 * @ops: kept by reference
 * Return: the reader; NULL: @why says it in one line.
 */
struct bt_reader *bt_reader_open(const char *source, const struct bt_reader_ops *ops, void *arg,
				 char *why, size_t why_bytes) __must_check;
void bt_reader_close(struct bt_reader *r);

/**
 * bt_reader_find - the traces at or below a folder, in the order of their names
 * Return: how many (@paths[i] is the caller's to free, and @paths); 0: @why says it in one line.
 *
 * Entities are numbered in each trace by itself: a reader of several at once gives one stream in
 * which they cannot be told apart, so open them one by one.
 */
u32 bt_reader_find(const char *folder, char ***paths, char *why, size_t why_bytes);

/* Read only what model_feed() looks at: faster. Before the first step. */
void bt_reader_for_model(struct bt_reader *r);

/* Deliver some events (a message batch). */
enum bt_reader_status bt_reader_step(struct bt_reader *r);

/* After BT_READER_ERROR: what happened, one line. */
const char *bt_reader_why(const struct bt_reader *r);

/* Have another thread's bt_reader_step() come back soon with BT_READER_END. Any thread. */
void bt_reader_interrupt(struct bt_reader *r);

/* Is @source a URL of a live session? */
bool bt_reader_is_live(const char *source);

/* Events of other providers seen so far. */
u64 bt_reader_foreign(const struct bt_reader *r);

#endif
