/*
 * report_diff: two models side by side, for nestor diff
 *
 * Entities are matched by name (machines, child VMs), exits by level and reason. Prints to a
 * stream and nothing else.
 */
#ifndef TRACE_BT2_REPORT_DIFF_H
#define TRACE_BT2_REPORT_DIFF_H

#include <stdio.h>
#include "trace/model/model.h"

struct report_diff {
	const struct model *model[2];
	const char *source[2];
	bool as_json;
	bool shows_equal; /* rows without a difference, too */
	bool with_host;	  /* times of the host, which differ from run to run */
};

/* Return: rows that differ; -1: no memory. */
int report_diff_print(FILE *out, const struct report_diff *d);

#endif
