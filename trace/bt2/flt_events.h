/*
 * flt_events: nestor's own events anew, for a filter that stamps them with virtual time
 *
 * Classes are made from events.def, so names, types and enumerations are those of the recording.
 * Used by flt_levels.c.
 */
#ifndef TRACE_BT2_FLT_EVENTS_H
#define TRACE_BT2_FLT_EVENTS_H

#include <babeltrace2/babeltrace.h>
#include "l0/arch/events.h"

struct flt_events {
	bt_event_class *class[TRANSITION_COUNT];
};

/* Return: false: no memory; flt_events_fini() is called in any case. */
bool flt_events_init(struct flt_events *e, bt_trace_class *tc, bt_stream_class *sc) __must_check;
void flt_events_fini(struct flt_events *e);

/* A message of @t's class in @stream at its virtual time, or NULL. */
bt_message *flt_events_message(const struct flt_events *e, bt_self_message_iterator *self,
			       const bt_stream *stream, const struct transition *t);

#endif
