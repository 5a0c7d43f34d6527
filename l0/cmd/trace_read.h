/*
 * trace_read: a recorded trace into a model, with progress on a terminal
 *
 * What nestor report and nestor diff have in common. Reads to the end of the trace; errors are
 * printed in one line.
 */
#ifndef L0_CMD_TRACE_READ_H
#define L0_CMD_TRACE_READ_H

#include "l0/cmd/cmd.h"
#include "trace/model/model.h"

struct trace_read {
	const struct cmd *cmd;
	const char *source;
	struct model *model; /* the caller's */
	bool wants_all_fields;
	/* Each event, after the model has had it. May be NULL. */
	void (*event)(void *arg, const struct transition *t);
	void *arg;
	u64 foreign; /* out: events of other programs */
};

/**
 * trace_read - read all of @r->source; the model is settled then
 * Return: 0; an exit status when the trace cannot be read or is empty. When it ends in an error
 * after some events, the model has these, the line is printed and the status is that error's.
 */
int trace_read(struct trace_read *r);

#endif
