/*
 * source.h - where the viewer's events come from
 *
 * A live session, a saved trace, or (in tests) a made-up run. Each is one ops struct. Made by
 * l0/cmd/view.c, driven by the viewer's main loop: open, pump again and again, close. A source may
 * work in a thread of its own, but it feeds the model only within pump().
 */
#ifndef VIEWER_SOURCE_H
#define VIEWER_SOURCE_H

#include "trace/model/model.h"

enum source_state {
	SOURCE_CONNECTING, /* nothing has come yet */
	SOURCE_READING,
	SOURCE_WAITING,	 /* live: nothing comes at the moment */
	SOURCE_RETRYING, /* live: the connection broke; it is tried again */
	SOURCE_ENDED,	 /* no more will come */
	SOURCE_FAILED,	 /* as above, because of an error */
};

#define SOURCE_WHY_BYTES 512

struct source_status {
	enum source_state state;
	char why[SOURCE_WHY_BYTES]; /* of SOURCE_RETRYING and SOURCE_FAILED; else empty */
	u64 late;		    /* events that came after later ones of the same worker */
};

struct source;

struct source_ops {
	/* Begin. Return: 0 or -errno, with the reason in @why (SOURCE_WHY_BYTES). */
	int (*open)(struct source *s, char *why);
	/* Feed @m with at most @max events of those that are there; never waits. Return: how many.
	 */
	u32 (*pump)(struct source *s, struct model *m, u32 max);
	void (*status)(struct source *s, struct source_status *st);
	/* The traced run is over: do not try to reach it again. May be NULL. */
	void (*run_ended)(struct source *s);
	/* Stop and free. */
	void (*close)(struct source *s);
};

struct source {
	const struct source_ops *ops;
	const char *title; /* what the title bar calls it */
	bool is_live;
};

/* --- sources that read a trace --- */

/* Where a reader delivers, on the source's thread. */
struct source_sink {
	void (*event)(void *arg, const struct transition *t);
	void (*lost)(void *arg, u64 n);
	void *arg;
};

enum source_step {
	SOURCE_STEP_MORE, /* call again */
	SOURCE_STEP_WAIT, /* nothing now: wait some ms, call again */
	SOURCE_STEP_END,
	SOURCE_STEP_ERROR,
};

/* How traces are read; trace/bt2/reader.h, given by the command. All but interrupt() are called on
 * the source's thread. */
struct source_reader {
	/* @sink lives as long as the reader. Return: its handle; NULL: @why says it. */
	void *(*open)(const char *address, const struct source_sink *sink, char *why,
		      size_t why_bytes);
	enum source_step (*step)(void *reader);
	const char *(*why)(void *reader); /* after SOURCE_STEP_ERROR */
	void (*interrupt)(void *reader);  /* have step() come back soon; any thread */
	void (*close)(void *reader);
};

/**
 * source_saved_create - the traces below a folder
 * @path: lives as long as the source
 * Return: the source, or NULL when memory is short.
 */
struct source *source_saved_create(const char *path,
				   const struct source_reader *reader) __must_check;

/* A live session, net://HOST:PORT/host/NAME/SESSION; it may break off and come back. */
struct source *source_live_create(const char *url, const struct source_reader *reader) __must_check;

#endif
