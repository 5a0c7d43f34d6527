/* The plugin's sinks; see sink.h. */
#include <stdlib.h>
#include <string.h>
#include "trace/bt2/sink.h"

/* --- parameters: the same for all sinks --- */
static bool read_param(struct sink *s, const char *key, const bt_value *value, char *why, size_t why_bytes)
{
	if (!strcmp(key, "format") && bt_value_is_string(value)) {
		const char *format = bt_value_string_get(value);

		s->as_json = !strcmp(format, "json");
		if (s->as_json || !strcmp(format, "text"))
			return true;
		snprintf(why, why_bytes, "format=%s is not known; use text or json", format);
		return false;
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
	snprintf(why, why_bytes, "parameter %s is not known or of the wrong type (format, min-ns)", key);
	return false;
}

struct read_params {
	struct sink *sink;
	char *why;
	size_t why_bytes;
	bool ok;
};

static bt_value_map_foreach_entry_const_func_status read_entry(const char *key, const bt_value *value,
							       void *arg)
{
	struct read_params *r = arg;

	r->ok = read_param(r->sink, key, value, r->why, r->why_bytes);
	return r->ok ? BT_VALUE_MAP_FOREACH_ENTRY_CONST_FUNC_STATUS_OK
		     : BT_VALUE_MAP_FOREACH_ENTRY_CONST_FUNC_STATUS_INTERRUPT;
}

struct sink *sink_create(const struct sink_class *class, const bt_value *params, char *why, size_t why_bytes)
{
	struct sink *s = calloc(1, sizeof(*s));
	struct read_params r = {s, why, why_bytes, true};

	snprintf(why, why_bytes, "out of memory");
	if (!s)
		return NULL;
	s->class = class;
	s->decoder = bt_decoder_create();
	s->model = model_create(NULL);
	if (!s->decoder || !s->model) {
		sink_destroy(s);
		return NULL;
	}
	bt_decoder_for_model(s->decoder);
	bt_value_map_foreach_entry_const(params, read_entry, &r);
	if (!r.ok) {
		sink_destroy(s);
		return NULL;
	}
	if (class->begin)
		class->begin(s);
	return s;
}

void sink_destroy(struct sink *s)
{
	if (!s)
		return;
	bt_message_iterator_put_ref(s->iterator);
	bt_decoder_destroy(s->decoder);
	model_destroy(s->model);
	free(s);
}

void sink_message(struct sink *s, const bt_message *msg)
{
	struct transition t;
	u64 lost;

	if (bt_message_get_type(msg) == BT_MESSAGE_TYPE_EVENT) {
		if (bt_decode(s->decoder, bt_message_event_borrow_event_const(msg), &t))
			model_feed(s->model, &t);
		else
			s->foreign++;
		return;
	}
	lost = bt_decode_discarded(msg);
	if (lost)
		model_note_lost(s->model, lost);
}

/* --- the sinks that print a part of the report --- */
static void print_parts(struct sink *s, u32 parts)
{
	const struct report_info info = {.foreign = s->foreign, .parts = parts};

	if (s->as_json)
		report_print_json(stdout, s->model, &info);
	else
		report_print_text(stdout, s->model, &info);
	fflush(stdout);
}

static void end_summary(struct sink *s) { print_parts(s, REPORT_ALL); }
static void end_exits(struct sink *s) { print_parts(s, REPORT_EXITS); }
static void end_switches(struct sink *s) { print_parts(s, REPORT_VMS | REPORT_SWITCHES); }
static void end_deadlines(struct sink *s) { print_parts(s, REPORT_DEADLINES); }

const struct sink_class sink_summary = {.end = end_summary};
const struct sink_class sink_exits = {.end = end_exits};
const struct sink_class sink_switches = {.end = end_switches};
const struct sink_class sink_deadlines = {.end = end_deadlines};

/* --- the schedule, stretch by stretch --- */
static void print_stretch(void *arg, const struct model_stretch *st)
{
	struct sink *s = arg;
	u32 who = st->level > 1 ? st->inner : st->vcpu;
	char name[96];

	if (st->end_ns - st->start_ns < s->min_ns)
		return;
	model_vcpu_name(s->model, st->level ? who : EVENT_NO_ID, name, sizeof(name));
	if (s->as_json)
		printf("{\"start_ns\":%llu,\"end_ns\":%llu,\"worker\":%u,\"level\":%u,\"vcpu\":%u,\"name\":\"%s\"}\n",
		       (unsigned long long)st->start_ns, (unsigned long long)st->end_ns, st->worker,
		       st->level, who, name);
	else
		printf("%llu.%09llu %12llu ns  worker %u  level %u  %s\n",
		       (unsigned long long)(st->start_ns / NS_PER_SEC),
		       (unsigned long long)(st->start_ns % NS_PER_SEC),
		       (unsigned long long)(st->end_ns - st->start_ns), st->worker, st->level, name);
}

static void begin_schedule(struct sink *s)
{
	model_on_stretch(s->model, print_stretch, s);
}

static void end_schedule(struct sink *s)
{
	fflush(stdout);
}

const struct sink_class sink_schedule = {.begin = begin_schedule, .end = end_schedule};
