/* The plugin's sinks; see sink.h. */
#include <stdlib.h>
#include <string.h>
#include "trace/bt2/sink.h"
#include "trace/model/text.h"

/* --- parameters: the same for all sinks --- */
static bool read_param(struct sink *s, const char *key, const bt_value *value, char *why,
		       size_t why_bytes)
{
	if (!strcmp(key, "format") && bt_value_is_string(value)) {
		const char *format = bt_value_string_get(value);

		s->as_json = !strcmp(format, "json");
		if (s->as_json || !strcmp(format, "text"))
			return true;
		snprintf(why, why_bytes, "format=%s is not known; use text or json", format);
		return false;
	}
	if (!strcmp(key, "all") && bt_value_is_bool(value)) {
		s->all = bt_value_bool_get(value);
		return true;
	}
	if (!strcmp(key, "min-ns") && bt_value_is_unsigned_integer(value)) {
		s->min_ns = bt_value_integer_unsigned_get(value);
		return true;
	}
	if (!strcmp(key, "min-ns") && bt_value_is_signed_integer(value) &&
	    bt_value_integer_signed_get(value) >= 0) {
		s->min_ns = (u64)bt_value_integer_signed_get(value);
		return true;
	}
	snprintf(why, why_bytes,
		 "parameter %s is not known or of the wrong type (format, min-ns, all)", key);
	return false;
}

struct read_params {
	struct sink *sink;
	char *why;
	size_t why_bytes;
	bool ok;
};

static bt_value_map_foreach_entry_const_func_status read_entry(const char *key,
							       const bt_value *value, void *arg)
{
	struct read_params *r = arg;

	r->ok = read_param(r->sink, key, value, r->why, r->why_bytes);
	return r->ok ? BT_VALUE_MAP_FOREACH_ENTRY_CONST_FUNC_STATUS_OK
		     : BT_VALUE_MAP_FOREACH_ENTRY_CONST_FUNC_STATUS_INTERRUPT;
}

struct sink *sink_create(const struct sink_class *class, const bt_value *params, char *why,
			 size_t why_bytes)
{
	struct sink *s = calloc(1, sizeof(*s));
	struct read_params r = {s, why, why_bytes, true};

	snprintf(why, why_bytes, "out of memory");
	if (!s)
		return NULL;
	s->class = class;
	s->decoder = bt_decoder_create();
	if (!s->decoder) {
		sink_destroy(s);
		return NULL;
	}
	if (!class->event)
		bt_decoder_for_model(s->decoder);
	bt_value_map_foreach_entry_const(params, read_entry, &r);
	if (!r.ok) {
		sink_destroy(s);
		return NULL;
	}
	return s;
}

static void trace_destroy(struct sink_trace *t)
{
	bt_trace_put_ref(t->trace);
	model_destroy(t->model);
	merge_destroy(t->merge);
	free(t);
}

void sink_destroy(struct sink *s)
{
	if (!s)
		return;
	bt_message_iterator_put_ref(s->iterator);
	bt_decoder_destroy(s->decoder);
	for (u32 i = 0; i < s->ntraces; i++)
		trace_destroy(s->traces[i]);
	free(s);
}

/* --- the traces of the input --- */
static void set_label(struct sink_trace *t)
{
	const bt_value *host =
		bt_trace_borrow_environment_entry_value_by_name_const(t->trace, "hostname");
	const char *name = bt_trace_get_name(t->trace);

	snprintf(t->label, sizeof(t->label), "%s%s%s", name ? name : "trace",
		 host && bt_value_is_string(host) ? " on " : "",
		 host && bt_value_is_string(host) ? bt_value_string_get(host) : "");
}

static struct sink_trace *trace_create(struct sink *s, const bt_trace *trace)
{
	struct sink_trace *t = s->ntraces < SINK_TRACES ? calloc(1, sizeof(*t)) : NULL;

	if (!t)
		return NULL;
	t->sink = s;
	t->number = s->ntraces;
	t->trace = trace;
	bt_trace_get_ref(trace);
	set_label(t);
	t->model = model_create(NULL);
	if (!t->model || (s->class->begin && !s->class->begin(t))) {
		trace_destroy(t);
		return NULL;
	}
	s->traces[s->ntraces++] = t;
	return t;
}

static struct sink_trace *trace_of(struct sink *s, const bt_stream *stream)
{
	const bt_trace *trace = bt_stream_borrow_trace_const(stream);

	for (u32 i = 0; i < s->ntraces; i++)
		if (s->traces[i]->trace == trace)
			return s->traces[i];
	return trace_create(s, trace);
}

static bool take_event(struct sink *s, const bt_event *event)
{
	struct sink_trace *t;
	struct transition e;

	if (!bt_decode(s->decoder, event, &e)) {
		s->foreign++;
		return true;
	}
	t = trace_of(s, bt_event_borrow_stream_const(event));
	if (!t)
		return false;
	model_feed(t->model, &e);
	if (s->class->event)
		s->class->event(t, &e);
	return true;
}

static const bt_stream *stream_of_loss(const bt_message *msg)
{
	return bt_message_get_type(msg) == BT_MESSAGE_TYPE_DISCARDED_EVENTS
		       ? bt_message_discarded_events_borrow_stream_const(msg)
		       : bt_message_discarded_packets_borrow_stream_const(msg);
}

bool sink_message(struct sink *s, const bt_message *msg)
{
	struct sink_trace *t;
	u64 lost;

	if (bt_message_get_type(msg) == BT_MESSAGE_TYPE_EVENT)
		return take_event(s, bt_message_event_borrow_event_const(msg));
	lost = bt_decode_discarded(msg);
	if (!lost)
		return true;
	t = trace_of(s, stream_of_loss(msg));
	if (t)
		model_note_lost(t->model, lost);
	return t != NULL;
}

void sink_end(struct sink *s)
{
	for (u32 i = 0; i < s->ntraces; i++) {
		model_settle(s->traces[i]->model);
		s->class->end(s->traces[i]);
	}
	fflush(stdout);
}

/* Before a line that is printed as it comes: whose it is, when it is not the first trace's. */
static void print_number(const struct sink_trace *t)
{
	if (t->number && !t->sink->as_json)
		printf("[%u] ", t->number);
}

/* --- the sinks that print a part of the report --- */
static void print_parts(struct sink_trace *t, u32 parts)
{
	const struct sink *s = t->sink;
	const struct report_info info = {.source = s->ntraces > 1 ? t->label : NULL,
					 .foreign = t->number ? 0 : s->foreign,
					 .parts = parts};

	if (s->as_json) {
		report_print_json(stdout, t->model, &info);
		return;
	}
	if (s->ntraces > 1)
		printf("%s=== %s ===\n", t->number ? "\n" : "", t->label);
	report_print_text(stdout, t->model, &info);
}

#define PARTS_SINK(name, parts) \
	static void end_##name(struct sink_trace *t) \
	{ \
		print_parts(t, parts); \
	} \
	const struct sink_class sink_##name = {.end = end_##name};

PARTS_SINK(summary, REPORT_ALL)
PARTS_SINK(exits, REPORT_EXITS | REPORT_TREE)
PARTS_SINK(switches, REPORT_VMS | REPORT_SWITCHES)
PARTS_SINK(deadlines, REPORT_DEADLINES)
PARTS_SINK(vtlb, REPORT_VTLB)
PARTS_SINK(failures, REPORT_FAILURES)

/* --- the schedule, stretch by stretch --- */
static void print_stretch(void *arg, const struct model_stretch *st)
{
	struct sink_trace *t = arg;
	const struct sink *s = t->sink;
	u32 who = st->level > 1 ? st->inner : st->vcpu;
	char name[96];

	if (st->end_ns - st->start_ns < s->min_ns)
		return;
	model_vcpu_name(t->model, st->level ? who : EVENT_NO_ID, name, sizeof(name));
	print_number(t);
	if (s->as_json)
		printf("{\"trace\":%u,\"start_ns\":%llu,\"end_ns\":%llu,\"worker\":%u,"
		       "\"level\":%u,\"vcpu\":%u,\"name\":\"%s\"}\n",
		       t->number, (unsigned long long)st->start_ns, (unsigned long long)st->end_ns,
		       st->worker, st->level, who, name);
	else
		printf("%llu.%09llu %12llu ns  worker %u  level %u  %s\n",
		       (unsigned long long)(st->start_ns / NS_PER_SEC),
		       (unsigned long long)(st->start_ns % NS_PER_SEC),
		       (unsigned long long)(st->end_ns - st->start_ns), st->worker, st->level,
		       name);
}

static bool begin_schedule(struct sink_trace *t)
{
	model_on_stretch(t->model, print_stretch, t);
	return true;
}

static void end_schedule(struct sink_trace *t)
{
}

const struct sink_class sink_schedule = {.begin = begin_schedule, .end = end_schedule};

/* --- the events themselves, in the order of the trace and without what depends on the host --- */
static void print_event(void *arg, const struct transition *t)
{
	const struct sink_trace *from = arg;
	char line[TRANSITION_TEXT_BYTES];

	print_number(from);
	puts(transition_text(t, false, line));
}

static bool begin_events(struct sink_trace *t)
{
	t->merge = merge_create(0, print_event, t);
	return t->merge != NULL;
}

static void take_for_print(struct sink_trace *t, const struct transition *e)
{
	if (t->sink->all || event_infos[e->kind].sort == EVENT_SORT_ARCH)
		merge_feed(t->merge, e);
}

static void end_events(struct sink_trace *t)
{
	merge_flush(t->merge);
}

const struct sink_class sink_events = {
	.begin = begin_events, .event = take_for_print, .end = end_events};
