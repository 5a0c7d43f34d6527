/*
 * explain_trace: the failed VM entries, failed VMX instructions and misuse of VMX in a recorded
 * trace, in words on standard output. For nestor explain TRACE.
 */
#ifndef L0_CMD_EXPLAIN_TRACE_H
#define L0_CMD_EXPLAIN_TRACE_H

#include "l0/cmd/cmd.h"
#include "trace/model/names.h"

struct explain_trace {
	const struct cmd *cmd;
	const char *source;
	bool shows_all;	    /* what is repeated, too */
	struct names names; /* --symbols; freed by explain_trace() */
};

/* Return: exit status: 0, EXIT_CODE_GUEST when anything was found, or that of an error. */
int explain_trace(struct explain_trace *x);

#endif
