/*
 * sink: what the plugin's sink components have in common
 *
 * Each takes one input, decodes its events, feeds a model of its own and prints at the end, or as
 * it goes. A component class is one struct sink_class; plugin.c makes babeltrace2's methods of it.
 */
#ifndef TRACE_BT2_SINK_H
#define TRACE_BT2_SINK_H

#include <babeltrace2/babeltrace.h>
#include "trace/bt2/decode.h"
#include "trace/bt2/report.h"
#include "trace/model/merge.h"
#include "trace/model/model.h"

struct sink;

struct sink_class {
	/* Before the first event; may ask the model for stretches. May be NULL. Return: false: no
	 * memory. */
	bool (*begin)(struct sink *s);
	/* Each event, after the model has had it; the event has all its fields. May be NULL. */
	void (*event)(struct sink *s, const struct transition *t);
	/* After the last event; the model is settled. */
	void (*end)(struct sink *s);
};

struct sink {
	const struct sink_class *class;
	struct bt_decoder *decoder;
	struct model *model;
	bt_message_iterator *iterator;
	u64 foreign;
	struct merge *merge; /* sink.nestor.events */
	/* parameters */
	bool as_json; /* format="json" */
	bool all;     /* all=yes */
	u64 min_ns;   /* min-ns=N */
};

extern const struct sink_class sink_summary, sink_exits, sink_schedule, sink_switches,
	sink_deadlines, sink_events;

/* Make a sink with @params; NULL: @why says what is wrong with them, or memory is short. */
struct sink *sink_create(const struct sink_class *class, const bt_value *params, char *why,
			 size_t why_bytes);
void sink_destroy(struct sink *s);

/* Take in one message (not its reference). */
void sink_message(struct sink *s, const bt_message *msg);

#endif
