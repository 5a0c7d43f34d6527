/*
 * rows.h - the table's rows and numbers, without a screen
 *
 * Machines, below each its child VMs as a tree, below these their processes and threads, with what
 * they did in an interval of virtual time. Pure; called by the table view and by unit tests. Cost:
 * some us a vCPU.
 */
#ifndef VIEWER_ROWS_H
#define VIEWER_ROWS_H

#include "trace/model/model.h"
#include "viewer/cast.h"

/* Which order siblings are in. */
enum table_sort {
	SORT_NUMBER, /* as they were made */
	SORT_CPU,
	SORT_EXITS,
	SORT_SWITCHES,
	SORT_MISSED,
	SORT_NAME,
	SORT_COUNT
};

enum row_kind { ROW_VM, ROW_CHILD, ROW_PROCESS, ROW_THREAD };

struct table_row {
	enum row_kind kind;
	u32 member; /* in the cast: itself, or the owner of a process */
	u32 depth;  /* of the tree, 0 for machines */
	u32 level;
	char name[2 * EVENT_NAME_BYTES];
	const char *state; /* now; "" when it has none */
	/* of a machine everything inside counts */
	u64 ran_ns;
	bool has_counts; /* the rest is known: not of processes */
	/* of its own vCPUs, without its guests' */
	struct model_counters own;
	/* since the begin, of its own vCPUs, of machines: */
	u64 ready_ns; /* ready, waiting for a worker */
	u64 wake_runs, wake_ns, wake_max_ns, spins;
	const struct model_reserve *reserve; /* the newest of its vCPUs', or NULL */
	bool is_folded, has_inside;	     /* what is below is hidden; there is something */
};

/* @from_ns, @to_ns: the interval; both 0: since the begin. */
struct rows_config {
	u64 from_ns, to_ns;
	bool processes;
	enum table_sort sort;
	bool reverses;
	const bool *folds;  /* by cast member; NULL: none */
	const char *filter; /* only rows whose name has it, and what they are in; NULL: all */
};

/**
 * rows_collect - fill in the rows in display order
 * @out: room for @max
 * Return: how many were written.
 */
u32 rows_collect(const struct model *m, const struct cast *c, const struct rows_config *cfg,
		 struct table_row *out, u32 max);

/* Events a second, or share in percent, of something counted in an interval of @ns. */
double rows_rate(u64 count, u64 ns);
double rows_percent(u64 part, u64 whole);

#endif
