/*
 * picture: who ran when, collected for the exports that draw it (SVG, HTML, Perfetto)
 *
 * Fed by the model's stretches and by the events. Keeps every stretch up to a limit, and in any
 * case lanes of a fixed number of columns with the time that each party had in them, which widen
 * as the trace grows: memory is bounded whatever its length, and nothing is dropped without
 * has_all saying so. One user at a time; no I/O.
 */
#ifndef TRACE_BT2_PICTURE_H
#define TRACE_BT2_PICTURE_H

#include "trace/model/model.h"

#define PICTURE_COLUMNS 2048u
#define PICTURE_PARTIES 4u
#define PICTURE_LANES 512u
#define PICTURE_STRETCHES 400000u
#define PICTURE_MARKS 20000u

/* Time in a column, the largest parties first come; the rest is in `other`. */
struct picture_cell {
	u32 who[PICTURE_PARTIES]; /* vCPU; EVENT_NO_ID: free */
	u64 ns[PICTURE_PARTIES];
	u64 other_ns;
};

/* Level 0 is the worker's scheduling: which level-1 processor it had, at whatever level it ran. */
struct picture_lane {
	u32 worker, level;
	struct picture_cell *cells; /* PICTURE_COLUMNS */
};

/* Something at a point in time. */
enum picture_mark_kind {
	MARK_MISS,
	MARK_INFERRED_MISS,
	MARK_ENTRY_FAILURE,
	MARK_INSN_FAILURE,
	MARK_RESERVE,
	MARK_STOP
};
struct picture_mark {
	u64 at_ns;
	u32 worker, who;
	u32 kind;
	u64 value; /* of the event: misses so far, check, error, reason, cause */
};

struct picture {
	u64 from_ns, to_ns; /* only this window */
	u64 origin_ns;	    /* begin of column 0 */
	u64 width_ns;	    /* of a column */
	u64 end_ns;	    /* newest */
	u32 nlanes, nstretches, room, nmarks;
	bool has_all; /* `stretches` is complete */
	bool has_all_marks;
	struct picture_lane lanes[PICTURE_LANES]; /* in the order of (worker, level) after _end() */
	struct model_stretch *stretches;
	struct picture_mark *marks;
	u64 overflow; /* stretches whose lane did not fit */
};

/* @from_ns, @to_ns: the window; ~0 as its end: open. NULL: no memory. */
struct picture *picture_create(u64 from_ns, u64 to_ns) __must_check;
void picture_destroy(struct picture *p);

void picture_stretch(struct picture *p, const struct model_stretch *s);
void picture_event(struct picture *p, const struct transition *t);

/* After the last one: lanes in order. */
void picture_end(struct picture *p);

/* Who a stretch is of: the guest's vCPU or the level-1 processor; EVENT_NO_ID: idle. */
static inline u32 picture_who(const struct model_stretch *s)
{
	return s->level > 1 ? s->inner : s->level ? s->vcpu : EVENT_NO_ID;
}

/* Mark kind for people. */
const char *picture_mark_text(u32 kind);

#endif
