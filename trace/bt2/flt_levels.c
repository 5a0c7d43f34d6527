/* The filter that makes intervals; see flt_levels.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "trace/bt2/decode.h"
#include "trace/bt2/flt_events.h"
#include "trace/bt2/flt_levels.h"
#include "trace/model/merge.h"
#include "trace/model/model.h"

#define MAX_TRACES 64
#define MAX_WORKERS 1024u
#define NAME_BYTES 96

/* What the component makes once. */
struct levels {
	bt_trace_class *trace_class;
	bt_stream_class *stream_class;
	bt_event_class *begin_class, *end_class;
	bool with_events; /* events=yes: nestor's own, too */
	struct flt_events events;
};

struct levels_iterator;

/* One input trace and what is made of it. */
struct levels_trace {
	struct levels_iterator *it;
	const bt_trace *in;
	bt_trace *out;
	struct model *model;
	struct merge *merge;
	bt_stream *streams[MAX_WORKERS];
};

struct levels_iterator {
	bt_self_message_iterator *self;
	const struct levels *levels;
	bt_message_iterator *upstream;
	struct bt_decoder *decoder;
	struct levels_trace *traces[MAX_TRACES];
	u32 ntraces;
	const bt_message **queue; /* made, not yet taken: [head, tail) */
	size_t head, tail, room;
	bool is_over, failed;
};

/* --- the classes of what is emitted --- */
static bool add_member(bt_field_class *to, const char *name, bt_field_class *member)
{
	bool ok = member && bt_field_class_structure_append_member(to, name, member) ==
				    BT_FIELD_CLASS_STRUCTURE_APPEND_MEMBER_STATUS_OK;

	bt_field_class_put_ref(member);
	return ok;
}

static bt_event_class *make_event_class(struct levels *l, const char *name)
{
	bt_event_class *class = bt_event_class_create(l->stream_class);
	bt_field_class *payload = bt_field_class_structure_create(l->trace_class);
	bt_trace_class *tc = l->trace_class;
	bool ok = class && payload &&
		  bt_event_class_set_name(class, name) == BT_EVENT_CLASS_SET_NAME_STATUS_OK &&
		  add_member(payload, "worker", bt_field_class_integer_unsigned_create(tc)) &&
		  add_member(payload, "level", bt_field_class_integer_unsigned_create(tc)) &&
		  add_member(payload, "vcpu_id", bt_field_class_integer_unsigned_create(tc)) &&
		  add_member(payload, "name", bt_field_class_string_create(tc)) &&
		  add_member(payload, "start_ns", bt_field_class_integer_unsigned_create(tc)) &&
		  bt_event_class_set_payload_field_class(class, payload) ==
			  BT_EVENT_CLASS_SET_FIELD_CLASS_STATUS_OK;

	bt_field_class_put_ref(payload);
	if (!ok) {
		bt_event_class_put_ref(class);
		return NULL;
	}
	return class;
}

static bool make_classes(struct levels *l, bt_self_component *self)
{
	bt_clock_class *clock = bt_clock_class_create(self);
	bool ok;

	l->trace_class = bt_trace_class_create(self);
	l->stream_class = l->trace_class ? bt_stream_class_create(l->trace_class) : NULL;
	ok = clock && l->stream_class &&
	     bt_clock_class_set_name(clock, "virtual") == BT_CLOCK_CLASS_SET_NAME_STATUS_OK &&
	     bt_stream_class_set_default_clock_class(l->stream_class, clock) ==
		     BT_STREAM_CLASS_SET_DEFAULT_CLOCK_CLASS_STATUS_OK &&
	     bt_stream_class_set_name(l->stream_class, "worker") ==
		     BT_STREAM_CLASS_SET_NAME_STATUS_OK;
	if (l->stream_class)
		bt_stream_class_set_assigns_automatic_stream_id(l->stream_class, BT_FALSE);
	if (clock) /* virtual time is no time of day */
		bt_clock_class_set_origin_is_unix_epoch(clock, BT_FALSE);
	bt_clock_class_put_ref(clock);
	if (!ok)
		return false;
	l->begin_class = make_event_class(l, "nestor:level_begin");
	l->end_class = make_event_class(l, "nestor:level_end");
	if (l->with_events && !flt_events_init(&l->events, l->trace_class, l->stream_class))
		return false;
	return l->begin_class && l->end_class;
}

static void levels_destroy(struct levels *l)
{
	bt_event_class_put_ref(l->begin_class);
	bt_event_class_put_ref(l->end_class);
	flt_events_fini(&l->events);
	bt_stream_class_put_ref(l->stream_class);
	bt_trace_class_put_ref(l->trace_class);
	free(l);
}

/* events=yes is all there is. */
static bool read_params(struct levels *l, const bt_value *params)
{
	const bt_value *events = bt_value_map_borrow_entry_value_const(params, "events");

	if (bt_value_map_get_size(params) > (events ? 1 : 0) ||
	    (events && !bt_value_is_bool(events)))
		return false;
	l->with_events = events && bt_value_bool_get(events);
	return true;
}

bt_component_class_initialize_method_status
levels_initialize(bt_self_component_filter *self, bt_self_component_filter_configuration *cfg,
		  const bt_value *params, void *data)
{
	bt_self_component *component = bt_self_component_filter_as_self_component(self);
	struct levels *l = calloc(1, sizeof(*l));

	(void)cfg, (void)data;
	if (l && !read_params(l, params)) {
		bt_current_thread_error_append_cause_from_component(
			component, __FILE__, __LINE__, "the one parameter is events=yes");
		levels_destroy(l);
		return BT_COMPONENT_CLASS_INITIALIZE_METHOD_STATUS_ERROR;
	}
	if (!l || !make_classes(l, component) ||
	    bt_self_component_filter_add_input_port(self, "in", NULL, NULL) !=
		    BT_SELF_COMPONENT_ADD_PORT_STATUS_OK ||
	    bt_self_component_filter_add_output_port(self, "out", NULL, NULL) !=
		    BT_SELF_COMPONENT_ADD_PORT_STATUS_OK) {
		if (l)
			levels_destroy(l);
		return BT_COMPONENT_CLASS_INITIALIZE_METHOD_STATUS_MEMORY_ERROR;
	}
	bt_self_component_set_data(component, l);
	return BT_COMPONENT_CLASS_INITIALIZE_METHOD_STATUS_OK;
}

void levels_finalize(bt_self_component_filter *self)
{
	levels_destroy(
		bt_self_component_get_data(bt_self_component_filter_as_self_component(self)));
}

/* --- messages out --- */
static void queue_message(struct levels_iterator *it, const bt_message *msg)
{
	const bt_message **grown;

	if (!msg) {
		it->failed = true;
		return;
	}
	if (it->tail == it->room && it->head) {
		memmove(it->queue, it->queue + it->head,
			(it->tail - it->head) * sizeof(*it->queue));
		it->tail -= it->head;
		it->head = 0;
	}
	if (it->tail == it->room) {
		grown = realloc(it->queue, (it->room ? it->room * 2 : 256) * sizeof(*grown));
		if (!grown) {
			bt_message_put_ref(msg);
			it->failed = true;
			return;
		}
		it->queue = grown;
		it->room = it->room ? it->room * 2 : 256;
	}
	it->queue[it->tail++] = msg;
}

static bt_stream *stream_of(struct levels_trace *t, u32 worker)
{
	char name[32];

	if (worker >= MAX_WORKERS)
		return NULL;
	if (t->streams[worker])
		return t->streams[worker];
	t->streams[worker] = bt_stream_create_with_id(t->it->levels->stream_class, t->out, worker);
	if (!t->streams[worker]) {
		t->it->failed = true;
		return NULL;
	}
	snprintf(name, sizeof(name), "worker %u", worker);
	if (bt_stream_set_name(t->streams[worker], name) != BT_STREAM_SET_NAME_STATUS_OK)
		t->it->failed = true;
	queue_message(t->it, bt_message_stream_beginning_create(t->it->self, t->streams[worker]));
	return t->streams[worker];
}

static void emit(struct levels_trace *t, const bt_event_class *class, const struct model_stretch *s,
		 u64 at_ns)
{
	bt_stream *stream = s->level ? stream_of(t, s->worker) : NULL;
	u32 who = s->level > 1 ? s->inner : s->vcpu;
	char name[NAME_BYTES];
	bt_message *msg;
	bt_field *payload;

	if (!stream)
		return; /* idle is the time in which no level runs */
	msg = bt_message_event_create_with_default_clock_snapshot(t->it->self, class, stream,
								  at_ns);
	if (!msg) {
		t->it->failed = true;
		return;
	}
	payload = bt_event_borrow_payload_field(bt_message_event_borrow_event(msg));
#define MEMBER(i) bt_field_structure_borrow_member_field_by_index(payload, i)
	bt_field_integer_unsigned_set_value(MEMBER(0), s->worker);
	bt_field_integer_unsigned_set_value(MEMBER(1), s->level);
	bt_field_integer_unsigned_set_value(MEMBER(2), who);
	if (bt_field_string_set_value(MEMBER(3),
				      model_vcpu_name(t->model, who, name, sizeof(name))) !=
	    BT_FIELD_STRING_SET_VALUE_STATUS_OK)
		t->it->failed = true;
	bt_field_integer_unsigned_set_value(MEMBER(4), s->start_ns);
#undef MEMBER
	queue_message(t->it, msg);
}

static void on_begin(void *arg, const struct model_stretch *s)
{
	struct levels_trace *t = arg;

	emit(t, t->it->levels->begin_class, s, s->start_ns);
}

static void on_end(void *arg, const struct model_stretch *s)
{
	struct levels_trace *t = arg;

	emit(t, t->it->levels->end_class, s, s->end_ns);
}

/* An event: what it ends and begins, then itself. */
static void take_in_order(void *arg, const struct transition *e)
{
	struct levels_trace *t = arg;
	bt_stream *stream;

	model_feed(t->model, e);
	if (!t->it->levels->with_events)
		return;
	stream = stream_of(t, e->worker);
	if (stream)
		queue_message(t->it,
			      flt_events_message(&t->it->levels->events, t->it->self, stream, e));
}

/* --- input traces --- */
static void trace_destroy(struct levels_trace *t)
{
	for (u32 i = 0; i < MAX_WORKERS; i++)
		bt_stream_put_ref(t->streams[i]);
	merge_destroy(t->merge);
	model_destroy(t->model);
	bt_trace_put_ref(t->out);
	bt_trace_put_ref(t->in);
	free(t);
}

static struct levels_trace *trace_create(struct levels_iterator *it, const bt_trace *in)
{
	struct levels_trace *t = it->ntraces < MAX_TRACES ? calloc(1, sizeof(*t)) : NULL;
	const char *name = bt_trace_get_name(in);

	if (!t)
		return NULL;
	t->it = it;
	t->in = in;
	bt_trace_get_ref(in);
	t->out = bt_trace_create(it->levels->trace_class);
	t->model = model_create(NULL);
	t->merge = t->model ? merge_create(0, take_in_order, t) : NULL;
	if (!t->out || !t->merge ||
	    (name && bt_trace_set_name(t->out, name) != BT_TRACE_SET_NAME_STATUS_OK)) {
		trace_destroy(t);
		return NULL;
	}
	model_on_begin(t->model, on_begin, t);
	model_on_stretch(t->model, on_end, t);
	it->traces[it->ntraces++] = t;
	return t;
}

static struct levels_trace *trace_of(struct levels_iterator *it, const bt_event *event)
{
	const bt_trace *in = bt_stream_borrow_trace_const(bt_event_borrow_stream_const(event));

	for (u32 i = 0; i < it->ntraces; i++)
		if (it->traces[i]->in == in)
			return it->traces[i];
	return trace_create(it, in);
}

static void take_message(struct levels_iterator *it, const bt_message *msg)
{
	struct levels_trace *t;
	struct transition e;
	const bt_event *event;

	if (bt_message_get_type(msg) != BT_MESSAGE_TYPE_EVENT)
		return;
	event = bt_message_event_borrow_event_const(msg);
	if (!bt_decode(it->decoder, event, &e))
		return;
	t = trace_of(it, event);
	if (t)
		merge_feed(t->merge, &e);
	else
		it->failed = true;
}

static void end_all(struct levels_iterator *it)
{
	it->is_over = true;
	for (u32 i = 0; i < it->ntraces; i++) {
		struct levels_trace *t = it->traces[i];

		merge_flush(t->merge);
		model_settle(t->model);
		for (u32 w = 0; w < MAX_WORKERS; w++)
			if (t->streams[w])
				queue_message(
					it, bt_message_stream_end_create(it->self, t->streams[w]));
	}
}

/* --- the iterator --- */
bt_message_iterator_class_initialize_method_status
levels_iterator_initialize(bt_self_message_iterator *self,
			   bt_self_message_iterator_configuration *cfg,
			   bt_self_component_port_output *port)
{
	bt_self_component *component = bt_self_message_iterator_borrow_component(self);
	bt_self_component_filter *filter = (bt_self_component_filter *)component;
	struct levels_iterator *it = calloc(1, sizeof(*it));

	(void)cfg, (void)port;
	if (!it)
		return BT_MESSAGE_ITERATOR_CLASS_INITIALIZE_METHOD_STATUS_MEMORY_ERROR;
	it->self = self;
	it->levels = bt_self_component_get_data(component);
	it->decoder = bt_decoder_create();
	if (!it->decoder ||
	    bt_message_iterator_create_from_message_iterator(
		    self, bt_self_component_filter_borrow_input_port_by_name(filter, "in"),
		    &it->upstream) != BT_MESSAGE_ITERATOR_CREATE_FROM_MESSAGE_ITERATOR_STATUS_OK) {
		bt_decoder_destroy(it->decoder);
		free(it);
		return BT_MESSAGE_ITERATOR_CLASS_INITIALIZE_METHOD_STATUS_ERROR;
	}
	if (!it->levels->with_events)
		bt_decoder_for_model(it->decoder);
	bt_self_message_iterator_set_data(self, it);
	return BT_MESSAGE_ITERATOR_CLASS_INITIALIZE_METHOD_STATUS_OK;
}

void levels_iterator_finalize(bt_self_message_iterator *self)
{
	struct levels_iterator *it = bt_self_message_iterator_get_data(self);

	while (it->head < it->tail)
		bt_message_put_ref(it->queue[it->head++]);
	free(it->queue);
	for (u32 i = 0; i < it->ntraces; i++)
		trace_destroy(it->traces[i]);
	bt_message_iterator_put_ref(it->upstream);
	bt_decoder_destroy(it->decoder);
	free(it);
}

/* One batch from upstream. Return: OK, also when nothing came of it; else what to return. */
static bt_message_iterator_class_next_method_status read_batch(struct levels_iterator *it)
{
	bt_message_array_const messages;
	uint64_t count;

	switch (bt_message_iterator_next(it->upstream, &messages, &count)) {
	case BT_MESSAGE_ITERATOR_NEXT_STATUS_OK: break;
	case BT_MESSAGE_ITERATOR_NEXT_STATUS_END:
		end_all(it);
		count = 0;
		break;
	case BT_MESSAGE_ITERATOR_NEXT_STATUS_AGAIN:
		return BT_MESSAGE_ITERATOR_CLASS_NEXT_METHOD_STATUS_AGAIN;
	case BT_MESSAGE_ITERATOR_NEXT_STATUS_MEMORY_ERROR:
		return BT_MESSAGE_ITERATOR_CLASS_NEXT_METHOD_STATUS_MEMORY_ERROR;
	default: return BT_MESSAGE_ITERATOR_CLASS_NEXT_METHOD_STATUS_ERROR;
	}
	for (uint64_t i = 0; i < count; i++) {
		take_message(it, messages[i]);
		bt_message_put_ref(messages[i]);
	}
	return it->failed ? BT_MESSAGE_ITERATOR_CLASS_NEXT_METHOD_STATUS_MEMORY_ERROR
			  : BT_MESSAGE_ITERATOR_CLASS_NEXT_METHOD_STATUS_OK;
}

bt_message_iterator_class_next_method_status levels_iterator_next(bt_self_message_iterator *self,
								  bt_message_array_const messages,
								  uint64_t capacity,
								  uint64_t *count)
{
	struct levels_iterator *it = bt_self_message_iterator_get_data(self);
	bt_message_iterator_class_next_method_status status;

	/* OK with no messages is not allowed */
	while (it->head == it->tail) {
		if (it->is_over)
			return BT_MESSAGE_ITERATOR_CLASS_NEXT_METHOD_STATUS_END;
		status = read_batch(it);
		if (status != BT_MESSAGE_ITERATOR_CLASS_NEXT_METHOD_STATUS_OK)
			return status;
	}
	for (*count = 0; *count < capacity && it->head < it->tail; ++*count)
		messages[*count] = it->queue[it->head++];
	return BT_MESSAGE_ITERATOR_CLASS_NEXT_METHOD_STATUS_OK;
}
