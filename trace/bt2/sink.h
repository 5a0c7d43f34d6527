/*
 * sink: what the plugin's sink components have in common
 *
 * Each takes one input, decodes its events, feeds a model for each trace in it and prints at the
 * end, or as it goes. A component class is one struct sink_class; plugin.c makes babeltrace2's
 * methods of it.
 */
#ifndef TRACE_BT2_SINK_H
#define TRACE_BT2_SINK_H

#include <babeltrace2/babeltrace.h>
#include "trace/bt2/decode.h"
#include "trace/bt2/report.h"
#include "trace/model/merge.h"
#include "trace/model/model.h"

#define SINK_TRACES 64

struct sink_trace;

struct sink_class {
	/* Before a trace's first event; may ask the model for stretches. May be NULL. Return:
	 * false: no memory. */
	bool (*begin)(struct sink_trace *t);
	/* Each event, after the model has had it; the event has all its fields. May be NULL. */
	void (*event)(struct sink_trace *t, const struct transition *e);
	/* After the last event; the model is settled. */
	void (*end)(struct sink_trace *t);
};

/* One of the input's traces: its entities' numbers are its own, so it has a model of its own. */
struct sink_trace {
	struct sink *sink;
	const bt_trace *trace;
	u32 number;	 /* 0: the first */
	char label[128]; /* name of the trace and its host */
	struct model *model;
	struct merge *merge; /* sink.nestor.events */
};

struct sink {
	const struct sink_class *class;
	struct bt_decoder *decoder;
	struct sink_trace *traces[SINK_TRACES];
	u32 ntraces;
	bt_message_iterator *iterator;
	u64 foreign;
	bool failed; /* no memory, or too many traces */
	/* parameters */
	bool as_json; /* format="json" */
	bool all;     /* all=yes */
	u64 min_ns;   /* min-ns=N */
};

extern const struct sink_class sink_summary, sink_exits, sink_schedule, sink_switches,
	sink_deadlines, sink_events, sink_vtlb, sink_failures;

/* Make a sink with @params; NULL: @why says what is wrong with them, or memory is short. */
struct sink *sink_create(const struct sink_class *class, const bt_value *params, char *why,
			 size_t why_bytes);
void sink_destroy(struct sink *s);

/* Take in one message (not its reference). Return: false: no memory. */
bool sink_message(struct sink *s, const bt_message *msg);

/* No more will come: settle the models and print. */
void sink_end(struct sink *s);

#endif
