/*
 * lanes.h - stretches of time laid out in columns of cells
 *
 * Pure: no curses, no model. Called by the schedule view at each redraw and by unit tests.
 * Cost: some ns a span.
 */
#ifndef VIEWER_LANES_H
#define VIEWER_LANES_H

#include "l0/base/types.h"

#define LANE_NOBODY 0xffffffffu /* nobody ran */

/* In [start_ns, end_ns) @who ran for @ran_ns, spread evenly; for the rest nobody did. */
struct lane_span {
	u64 start_ns, end_ns, ran_ns;
	u32 who;
};

#define LANE_PARTS 4u

/* One column. Parts are in the order of appearance, nobody being one of them. */
struct lane_cell {
	struct lane_part {
		u32 who;
		u64 ns;
	} part[LANE_PARTS];
	u64 known_ns; /* time that spans cover; less than a column at the ends of what is known */
	u32 nparts;
	u32 spans; /* that touch the column */
};

/**
 * lanes_layout - how @ncols columns of @col_ns each, the first from @from_ns on, are filled
 * @spans: in ascending order of time, not overlapping
 * @cells: room for @ncols; all are set
 *
 * When more than LANE_PARTS share a column, the smallest gives way, its time to the part before it.
 */
void lanes_layout(const struct lane_span *spans, u32 n, u64 from_ns, u64 col_ns,
		  struct lane_cell *cells, u32 ncols);

/* What to draw for a cell: @left up to @eighths of the column, then @right. Nothing is known of it:
 * 0 eighths and both nobody; one alone: 8 eighths. */
struct lane_picture {
	u32 left, right;
	u32 eighths;
	bool is_known;
};
struct lane_picture lanes_picture(const struct lane_cell *cell);

/* The one that ran most in the cell, or LANE_NOBODY when nobody did for more than @nobody_percent.
 */
u32 lanes_main(const struct lane_cell *cell, u32 nobody_percent);

#endif
