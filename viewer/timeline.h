/*
 * timeline.h - which stretch of time the screen shows, and where the cursor is
 *
 * A window of whole columns on virtual time. It follows the newest event, holds still, scrolls and
 * zooms around the cursor. Pure; called by the viewer's main loop and views, and by unit tests.
 */
#ifndef VIEWER_TIMELINE_H
#define VIEWER_TIMELINE_H

#include "l0/base/types.h"

struct timeline {
	u64 first_ns, last_ns; /* what there is */
	u64 from_ns;	       /* left edge, a multiple of col_ns */
	u64 col_ns;	       /* time a column, one of 1, 2, 5 × 10^n ns */
	u64 cursor_ns;
	u32 cols;
	bool follows; /* the right edge is the newest event, and so is the cursor */
	bool holds;   /* what is newer than hold_ns does not exist for the views */
	u64 hold_ns;
};

#define TIMELINE_MIN_COL_NS UINT64_C(100)
#define TIMELINE_MAX_COL_NS (60 * NS_PER_SEC)

void timeline_init(struct timeline *t, bool follows);

/* The trace has grown, or the screen has changed. */
void timeline_update(struct timeline *t, u64 first_ns, u64 last_ns, u32 cols);

/* The end of time for the views: of the trace, or where the user stopped it. */
u64 timeline_now(const struct timeline *t);
/* The right edge, exclusive. */
u64 timeline_to(const struct timeline *t);
/* Column of the cursor. */
u32 timeline_cursor_col(const struct timeline *t);

/* Cursor by @cols columns; scrolls at the edges. Moving back ends following. */
void timeline_move(struct timeline *t, s64 cols);
void timeline_begin(struct timeline *t);
/* To the end, and follow it. */
void timeline_end(struct timeline *t);
void timeline_hold(struct timeline *t, bool hold);
/* @in: less time a column. The cursor keeps its column where it can. */
void timeline_zoom(struct timeline *t, bool in);
/* Everything on the screen. */
void timeline_fit(struct timeline *t);

/**
 * timeline_tick - time between labels of an axis, at least @min_cols columns
 * Return: a multiple of col_ns.
 */
u64 timeline_tick(const struct timeline *t, u32 min_cols);

#define TIMELINE_TEXT_BYTES 32

/* @ns as seconds with as many digits as @step_ns needs, "3.412 s", into @buf; returns @buf. */
const char *timeline_text(u64 ns, u64 step_ns, char *buf);
/* A length with a unit of its own: "20 ms", "1.5 us"; returns @buf. */
const char *timeline_length(u64 ns, char *buf);

#endif
