/*
 * The babeltrace2 plugin "nestor": a filter and sinks that stock babeltrace2 loads, like
 *   babeltrace2 --plugin-path=build/rel TRACE --component=sink.nestor.summary
 * Each class is a struct sink_class (sink.c); here are babeltrace2's methods around it.
 */
#include "trace/bt2/flt_levels.h"
#include "trace/bt2/sink.h"

static bt_component_class_initialize_method_status
initialize(bt_self_component_sink *self, const bt_value *params, const struct sink_class *class)
{
	bt_self_component *component = bt_self_component_sink_as_self_component(self);
	char why[256];
	struct sink *s = sink_create(class, params, why, sizeof(why));

	if (!s) {
		bt_current_thread_error_append_cause_from_component(component, __FILE__, __LINE__,
								    "%s", why);
		return BT_COMPONENT_CLASS_INITIALIZE_METHOD_STATUS_ERROR;
	}
	if (bt_self_component_sink_add_input_port(self, "in", NULL, NULL) !=
	    BT_SELF_COMPONENT_ADD_PORT_STATUS_OK) {
		sink_destroy(s);
		return BT_COMPONENT_CLASS_INITIALIZE_METHOD_STATUS_ERROR;
	}
	bt_self_component_set_data(component, s);
	return BT_COMPONENT_CLASS_INITIALIZE_METHOD_STATUS_OK;
}

static struct sink *sink_of(bt_self_component_sink *self)
{
	return bt_self_component_get_data(bt_self_component_sink_as_self_component(self));
}

static void finalize(bt_self_component_sink *self)
{
	sink_destroy(sink_of(self));
}

static bt_component_class_sink_graph_is_configured_method_status
configured(bt_self_component_sink *self)
{
	struct sink *s = sink_of(self);

	if (bt_message_iterator_create_from_sink_component(
		    self, bt_self_component_sink_borrow_input_port_by_index(self, 0),
		    &s->iterator) != BT_MESSAGE_ITERATOR_CREATE_FROM_SINK_COMPONENT_STATUS_OK)
		return BT_COMPONENT_CLASS_SINK_GRAPH_IS_CONFIGURED_METHOD_STATUS_ERROR;
	return BT_COMPONENT_CLASS_SINK_GRAPH_IS_CONFIGURED_METHOD_STATUS_OK;
}

static bt_component_class_sink_consume_method_status consume(bt_self_component_sink *self)
{
	struct sink *s = sink_of(self);
	bt_message_array_const messages;
	uint64_t count;

	switch (bt_message_iterator_next(s->iterator, &messages, &count)) {
	case BT_MESSAGE_ITERATOR_NEXT_STATUS_OK: break;
	case BT_MESSAGE_ITERATOR_NEXT_STATUS_END:
		sink_end(s);
		return BT_COMPONENT_CLASS_SINK_CONSUME_METHOD_STATUS_END;
	case BT_MESSAGE_ITERATOR_NEXT_STATUS_AGAIN:
		return BT_COMPONENT_CLASS_SINK_CONSUME_METHOD_STATUS_AGAIN;
	case BT_MESSAGE_ITERATOR_NEXT_STATUS_MEMORY_ERROR:
		return BT_COMPONENT_CLASS_SINK_CONSUME_METHOD_STATUS_MEMORY_ERROR;
	default: return BT_COMPONENT_CLASS_SINK_CONSUME_METHOD_STATUS_ERROR;
	}
	for (uint64_t i = 0; i < count; i++) {
		s->failed |= !sink_message(s, messages[i]);
		bt_message_put_ref(messages[i]);
	}
	return s->failed ? BT_COMPONENT_CLASS_SINK_CONSUME_METHOD_STATUS_MEMORY_ERROR
			 : BT_COMPONENT_CLASS_SINK_CONSUME_METHOD_STATUS_OK;
}

BT_PLUGIN_MODULE();
BT_PLUGIN(nestor);
BT_PLUGIN_DESCRIPTION("Who ran when and at which level, in traces of nestor");
BT_PLUGIN_LICENSE("MIT");

#define SINK(name, description) \
	static bt_component_class_initialize_method_status initialize_##name( \
		bt_self_component_sink *self, bt_self_component_sink_configuration *cfg, \
		const bt_value *params, void *data) \
	{ \
		return initialize(self, params, &sink_##name); \
	} \
	BT_PLUGIN_SINK_COMPONENT_CLASS(name, consume); \
	BT_PLUGIN_SINK_COMPONENT_CLASS_INITIALIZE_METHOD(name, initialize_##name); \
	BT_PLUGIN_SINK_COMPONENT_CLASS_FINALIZE_METHOD(name, finalize); \
	BT_PLUGIN_SINK_COMPONENT_CLASS_GRAPH_IS_CONFIGURED_METHOD(name, configured); \
	BT_PLUGIN_SINK_COMPONENT_CLASS_DESCRIPTION(name, description);

SINK(summary, "The whole report; format=\"json\" for programs")
SINK(exits, "Exits by level and reason: count, reflected, kept, cost")
SINK(schedule,
     "A line for each stretch of time that a worker spent with one VM at one level; min-ns=N "
     "leaves out shorter ones")
SINK(switches, "Time by VM and the number of switches at each level")
SINK(deadlines, "The guests' own counts of missed deadlines")
SINK(events,
     "Architectural events, a line each, in the order of virtual time, without what depends on the "
     "host: equal for equal runs; all=yes adds the engine's events")
SINK(vtlb, "The virtual TLB's counters")
SINK(failures, "VM entries and VMX instructions that failed")

BT_PLUGIN_FILTER_COMPONENT_CLASS(levels, levels_iterator_next);
BT_PLUGIN_FILTER_COMPONENT_CLASS_INITIALIZE_METHOD(levels, levels_initialize);
BT_PLUGIN_FILTER_COMPONENT_CLASS_FINALIZE_METHOD(levels, levels_finalize);
BT_PLUGIN_FILTER_COMPONENT_CLASS_MESSAGE_ITERATOR_CLASS_INITIALIZE_METHOD(
	levels, levels_iterator_initialize);
BT_PLUGIN_FILTER_COMPONENT_CLASS_MESSAGE_ITERATOR_CLASS_FINALIZE_METHOD(levels,
									levels_iterator_finalize);
BT_PLUGIN_FILTER_COMPONENT_CLASS_DESCRIPTION(
	levels,
	"level_begin and level_end events: who ran when and at which level, a stream for each "
	"worker, in virtual time");
