/*
 * view.h - what a view is, and what all views share
 *
 * A view is one const struct: how it draws itself into some lines of the screen and which actions
 * are its own. Driven by viewer.c; views read the model and never change it.
 */
#ifndef VIEWER_VIEW_H
#define VIEWER_VIEW_H

#include "trace/model/model.h"
#include "trace/model/names.h"
#include "viewer/cast.h"
#include "viewer/keys.h"
#include "viewer/list.h"
#include "viewer/log.h"
#include "viewer/marks.h"
#include "viewer/rows.h"
#include "viewer/screen.h"
#include "viewer/stretches.h"
#include "viewer/switches.h"
#include "viewer/timeline.h"

/* What the numbers of the table are of. */
enum view_interval { INTERVAL_SECOND, INTERVAL_VISIBLE, INTERVAL_ALL, INTERVAL_COUNT };

#define VIEW_TEXT_BYTES 96

/* What the schedule has lanes for. */
enum lanes_mode { LANES_WORKERS, LANES_TREE, LANES_CHILDREN, LANES_MODES };

enum exits_mode { EXITS_REASONS, EXITS_TREE, EXITS_PLACES, EXITS_MODES };

struct view_state {
	const struct model *model;
	const struct names *names; /* or NULL */
	struct cast cast;
	struct timeline time;
	struct stretches stretches; /* empty for a live source, which does not tell them */
	u64 known_ns; /* from here on shares and exits are known: a live stream's first summary */
	/* schedule */
	u32 lane, top_lane; /* the selected one; the first on the screen */
	enum lanes_mode lanes;
	bool shows_processes; /* lanes of processes, below those of machines and child VMs */
	struct marks marks;
	struct switches switches;
	/* table */
	enum view_interval interval;
	bool hides_processes, shows_waits; /* the second set of columns */
	enum table_sort sort;
	bool reverses;
	u32 row, top_row;
	bool folds[CAST_MAX]; /* by cast member */
	/* the lists */
	struct list exits, vtlb, intrs, infer, log_list, failures;
	enum exits_mode exits_mode;
	u32 place_level, place_reason; /* of EXITS_PLACES */
	struct event_log log;
	bool is_busy; /* set while drawing: there is more to show, draw again */
	/* what the user typed; empty: nothing */
	char search[VIEW_TEXT_BYTES], filter[VIEW_TEXT_BYTES];
};

struct view {
	const char *name;
	/* Draw into lines [row, row + rows). */
	void (*draw)(struct view_state *st, int row, int rows);
	/* Return: the action was this view's. */
	bool (*act)(struct view_state *st, enum key_action action);
	/* A click at line @below its first, @col. May be NULL. */
	void (*click)(struct view_state *st, int below, int col);
	/* Select what st->search is in, @step on or back. Return: found. NULL: cannot search. */
	bool (*search)(struct view_state *st, int step);
	/* What st->filter does here; NULL: nothing. */
	const char *filters;
};

extern const struct view view_schedule, view_table, view_exits, view_vtlb, view_intrs, view_infer,
	view_log, view_failures;

/* Columns of a schedule lane on this screen, for the timeline. */
u32 view_schedule_cols(void);

/* The table without a cursor, of the visible time, below something else. */
void view_table_below(struct view_state *st, int row, int rows);

#endif
