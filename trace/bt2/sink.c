/* The plugin's sinks; see sink.h. */
#include <stdlib.h>
#include <string.h>
#include "trace/bt2/sink.h"

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
	s->model = model_create(NULL);
	if (!s->decoder || !s->model) {
		sink_destroy(s);
		return NULL;
	}
	if (!class->event)
		bt_decoder_for_model(s->decoder);
	bt_value_map_foreach_entry_const(params, read_entry, &r);
	if (!r.ok || (class->begin && !class->begin(s))) {
		sink_destroy(s);
		return NULL;
	}
	return s;
}

void sink_destroy(struct sink *s)
{
	if (!s)
		return;
	bt_message_iterator_put_ref(s->iterator);
	bt_decoder_destroy(s->decoder);
	model_destroy(s->model);
	merge_destroy(s->merge);
	free(s);
}

static void take_event(struct sink *s, const struct transition *t)
{
	model_feed(s->model, t);
	if (s->class->event)
		s->class->event(s, t);
}

void sink_message(struct sink *s, const bt_message *msg)
{
	struct transition t;
	u64 lost;

	if (bt_message_get_type(msg) == BT_MESSAGE_TYPE_EVENT) {
		if (bt_decode(s->decoder, bt_message_event_borrow_event_const(msg), &t))
			take_event(s, &t);
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

static void end_summary(struct sink *s)
{
	print_parts(s, REPORT_ALL);
}
static void end_exits(struct sink *s)
{
	print_parts(s, REPORT_EXITS);
}
static void end_switches(struct sink *s)
{
	print_parts(s, REPORT_VMS | REPORT_SWITCHES);
}
static void end_deadlines(struct sink *s)
{
	print_parts(s, REPORT_DEADLINES);
}

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
		printf("{\"start_ns\":%llu,\"end_ns\":%llu,\"worker\":%u,\"level\":%u,\"vcpu\":%u,"
		       "\"name\":\"%s\"}\n",
		       (unsigned long long)st->start_ns, (unsigned long long)st->end_ns, st->worker,
		       st->level, who, name);
	else
		printf("%llu.%09llu %12llu ns  worker %u  level %u  %s\n",
		       (unsigned long long)(st->start_ns / NS_PER_SEC),
		       (unsigned long long)(st->start_ns % NS_PER_SEC),
		       (unsigned long long)(st->end_ns - st->start_ns), st->worker, st->level,
		       name);
}

static bool begin_schedule(struct sink *s)
{
	model_on_stretch(s->model, print_stretch, s);
	return true;
}

static void end_schedule(struct sink *s)
{
	fflush(stdout);
}

const struct sink_class sink_schedule = {.begin = begin_schedule, .end = end_schedule};

/* --- the events themselves, in the order of the trace and without what depends on the host --- */
static void print_field(const struct event_field *f, const u64 *words)
{
	char text[EVENT_NAME_BYTES];
	const char *name;

	switch (f->type) {
	case EVENT_TYPE_hex:
	case EVENT_TYPE_addr:
	case EVENT_TYPE_hex32: printf(" %s=%#llx", f->name, (unsigned long long)*words); break;
	case EVENT_TYPE_text: printf(" %s=\"%s\"", f->name, event_text_get(words, text)); break;
	case EVENT_TYPE_sdec: printf(" %s=%lld", f->name, (long long)*words); break;
	case EVENT_TYPE_enum:
		name = event_enum_text(f->enumeration, *words);
		if (name)
			printf(" %s=%s", f->name, name);
		else
			printf(" %s=%llu", f->name, (unsigned long long)*words);
		break;
	default:
		if (*words == EVENT_NO_ID)
			printf(" %s=-", f->name);
		else
			printf(" %s=%llu", f->name, (unsigned long long)*words);
	}
}

static void print_event(void *arg, const struct transition *t)
{
	const struct event_info *info = &event_infos[t->kind];
	const u64 *words = t->p;

	printf("%llu.%09llu %u:%llu ", (unsigned long long)(t->vtime_ns / NS_PER_SEC),
	       (unsigned long long)(t->vtime_ns % NS_PER_SEC), t->worker,
	       (unsigned long long)t->seq);
	if (t->vcpu_id == EVENT_NO_ID)
		printf("- %s", info->name);
	else
		printf("L%u/%#x %s", t->level, t->vcpu_id, info->name);
	for (u32 i = 0; i < info->nfields; i++) {
		if (strncmp(info->fields[i].name, "host_", 5))
			print_field(&info->fields[i], words);
		words += event_type_words(info->fields[i].type);
	}
	putchar('\n');
}

static bool begin_events(struct sink *s)
{
	s->merge = merge_create(0, print_event, s);
	return s->merge != NULL;
}

static void take_for_print(struct sink *s, const struct transition *t)
{
	if (s->all || event_infos[t->kind].sort == EVENT_SORT_ARCH)
		merge_feed(s->merge, t);
}

static void end_events(struct sink *s)
{
	merge_flush(s->merge);
	fflush(stdout);
}

const struct sink_class sink_events = {
	.begin = begin_events, .event = take_for_print, .end = end_events};
