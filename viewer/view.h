/*
 * view.h - what a view is, and what all views share
 *
 * A view is one const struct: how it draws itself into some lines of the screen and which actions
 * are its own. Driven by viewer.c; views read the model and never change it.
 */
#ifndef VIEWER_VIEW_H
#define VIEWER_VIEW_H

#include "trace/model/model.h"
#include "viewer/cast.h"
#include "viewer/keys.h"
#include "viewer/screen.h"
#include "viewer/stretches.h"
#include "viewer/timeline.h"

/* What the numbers of the table are of. */
enum view_interval { INTERVAL_SECOND, INTERVAL_VISIBLE, INTERVAL_ALL, INTERVAL_COUNT };

struct view_state {
	const struct model *model;
	struct cast cast;
	struct timeline time;
	struct stretches stretches; /* empty for a live source, which does not tell them */
	u64 known_ns; /* from here on shares and exits are known: a live stream's first summary */
	/* schedule */
	u32 lane, top_lane; /* the selected one; the first on the screen */
	/* table */
	enum view_interval interval;
	bool hides_processes;
	u32 row, top_row;
};

struct view {
	const char *name;
	/* Draw into lines [row, row + rows). */
	void (*draw)(struct view_state *st, int row, int rows);
	/* Return: the action was this view's. */
	bool (*act)(struct view_state *st, enum key_action action);
};

extern const struct view view_schedule, view_table;

/* Columns of a schedule lane on this screen, for the timeline. */
u32 view_schedule_cols(void);

/* The table without a cursor, of the visible time, below something else. */
void view_table_below(struct view_state *st, int row, int rows);

#endif
