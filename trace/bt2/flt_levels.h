/*
 * flt_levels: filter.nestor.levels, from transitions to intervals
 *
 * Takes nestor's events (from the muxer: several streams are one input) and emits level_begin and
 * level_end events, a stream for each worker, with the machines' virtual time as their clock; with
 * events=yes nestor's own events, too, in the same order and time, for tools that go by the clock.
 * Other messages are dropped. Several traces at once: each has its own streams. Memory: what the
 * merger holds back (merge.h) and one batch of messages.
 */
#ifndef TRACE_BT2_FLT_LEVELS_H
#define TRACE_BT2_FLT_LEVELS_H

#include <babeltrace2/babeltrace.h>

bt_component_class_initialize_method_status
levels_initialize(bt_self_component_filter *self, bt_self_component_filter_configuration *cfg,
		  const bt_value *params, void *data);
void levels_finalize(bt_self_component_filter *self);

bt_message_iterator_class_initialize_method_status
levels_iterator_initialize(bt_self_message_iterator *self,
			   bt_self_message_iterator_configuration *cfg,
			   bt_self_component_port_output *port);
void levels_iterator_finalize(bt_self_message_iterator *self);
bt_message_iterator_class_next_method_status levels_iterator_next(bt_self_message_iterator *self,
								  bt_message_array_const messages,
								  uint64_t capacity,
								  uint64_t *count);

#endif
