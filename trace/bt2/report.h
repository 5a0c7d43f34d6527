/*
 * report: the story that a model tells, as text or JSON
 *
 * Used by nestor report and by the plugin's sinks. Prints to a stream and nothing else; the numbers
 * are the model's. The parts can be printed alone.
 */
#ifndef TRACE_BT2_REPORT_H
#define TRACE_BT2_REPORT_H

#include <stdio.h>
#include "trace/model/model.h"
#include "trace/model/names.h"

enum report_part {
	REPORT_HEAD = 1,      /* length, events, losses */
	REPORT_LEVELS = 2,    /* time by level */
	REPORT_VMS = 4,	      /* time by VM, child VM and process */
	REPORT_EXITS = 8,     /* exits by reason */
	REPORT_SWITCHES = 16, /* of workers, VMMs and guests */
	REPORT_DEADLINES = 32,
	REPORT_FAILURES = 64, /* VM entries and VMX instructions that failed */
	REPORT_TREE = 128,    /* what one exit costs in others */
	REPORT_VTLB = 256,    /* the virtual TLB's counters */
	REPORT_PLACES = 512,  /* where exits come from; the model must drill down */
	REPORT_INTRS = 1024,  /* events delivered; the model must drill down */
	REPORT_ALL = 511,
};

struct report_info {
	const char *source;	   /* name of the trace, or NULL */
	u64 foreign;		   /* events of other providers that were left out */
	u32 parts;		   /* REPORT_*; 0: all */
	const struct names *names; /* of guest addresses; NULL: none */
};

/* @m has been settled (model_settle()). */
void report_print_text(FILE *out, const struct model *m, const struct report_info *info);

/* One JSON object; times are integers in nanoseconds. */
void report_print_json(FILE *out, const struct model *m, const struct report_info *info);

#endif
