/*
 * marks: what happened at a point in time, for the schedule's line of marks
 *
 * The newest missed deadlines, failures and interrupts of the trace; fed with each event. Pure but
 * for memory. Cost: some ns an event; a look at all that are kept for each picture.
 */
#ifndef VIEWER_MARKS_H
#define VIEWER_MARKS_H

#include "l0/arch/events.h"

#define MARKS_KEPT (1u << 16) /* of each sort: interrupts, and all others */

/* In ascending weight: of several in a column the weightiest shows. */
enum mark_kind { MARK_NONE, MARK_INTERRUPT, MARK_INFERRED, MARK_MISSED, MARK_FAILED };

struct mark {
	u64 at_ns;
	u32 vcpu, child; /* child VM that it is about, EVENT_NO_ID: the vCPU's */
	enum mark_kind kind;
};

struct marks {
	struct mark_ring {
		struct mark *item; /* NULL: none yet, or no memory */
		u64 count;
	} interrupts, others;
};

void marks_add(struct marks *m, const struct transition *t);
void marks_fini(struct marks *m);

/**
 * marks_columns - the weightiest mark of each column
 * @takes: is the mark wanted? NULL: all are
 * @out: room for @ncols
 */
void marks_columns(const struct marks *m, u64 from_ns, u64 col_ns, u32 ncols,
		   bool (*takes)(void *arg, const struct mark *mark), void *arg,
		   enum mark_kind *out);

#endif
