/* Events anew; see flt_events.h. */
#include <stdio.h>
#include "trace/bt2/flt_events.h"

/* Before the payload of every event, as in the recording. */
static const struct {
	const char *name;
	u32 bits;
} common[] = {{"vtime_ns", 64}, {"seq", 64}, {"worker", 16}, {"vcpu_id", 32}, {"level", 8}};

static bool append(bt_field_class *to, const char *name, bt_field_class *member)
{
	bool ok = member && bt_field_class_structure_append_member(to, name, member) ==
				    BT_FIELD_CLASS_STRUCTURE_APPEND_MEMBER_STATUS_OK;

	bt_field_class_put_ref(member);
	return ok;
}

static u32 bits_of(enum event_type type)
{
	switch (type) {
	case EVENT_TYPE_hex32:
	case EVENT_TYPE_dec32:
	case EVENT_TYPE_enum: return 32;
	case EVENT_TYPE_dec16: return 16;
	case EVENT_TYPE_flag: return 8;
	default: return 64;
	}
}

/* Values of an enumeration have no bound of their own: those that have a name are few. */
static bool add_mappings(bt_field_class *fc, const struct event_enum *e)
{
	for (u64 number = 0; number < 4096; number++) {
		const char *text = event_enum_text(e, number);
		bt_integer_range_set_unsigned *range;
		bool ok;

		if (!text)
			continue;
		range = bt_integer_range_set_unsigned_create();
		ok = range &&
		     bt_integer_range_set_unsigned_add_range(range, number, number) ==
			     BT_INTEGER_RANGE_SET_ADD_RANGE_STATUS_OK &&
		     bt_field_class_enumeration_unsigned_add_mapping(fc, text, range) ==
			     BT_FIELD_CLASS_ENUMERATION_ADD_MAPPING_STATUS_OK;
		bt_integer_range_set_unsigned_put_ref(range);
		if (!ok)
			return false;
	}
	return true;
}

static bt_field_class *field_class(bt_trace_class *tc, const struct event_field *f)
{
	bt_field_class *fc;

	if (f->type == EVENT_TYPE_text)
		return bt_field_class_string_create(tc);
	if (f->type == EVENT_TYPE_sdec)
		return bt_field_class_integer_signed_create(tc);
	fc = f->type == EVENT_TYPE_enum ? bt_field_class_enumeration_unsigned_create(tc)
					: bt_field_class_integer_unsigned_create(tc);
	if (!fc)
		return NULL;
	bt_field_class_integer_set_field_value_range(fc, bits_of(f->type));
	if (f->type == EVENT_TYPE_hex || f->type == EVENT_TYPE_addr || f->type == EVENT_TYPE_hex32)
		bt_field_class_integer_set_preferred_display_base(
			fc, BT_FIELD_CLASS_INTEGER_PREFERRED_DISPLAY_BASE_HEXADECIMAL);
	if (f->type == EVENT_TYPE_enum && !add_mappings(fc, f->enumeration)) {
		bt_field_class_put_ref(fc);
		return NULL;
	}
	return fc;
}

static bool make_payload(bt_trace_class *tc, bt_field_class *payload, const struct event_info *info)
{
	for (u32 i = 0; i < ARRAY_SIZE(common); i++) {
		bt_field_class *fc = bt_field_class_integer_unsigned_create(tc);

		if (fc)
			bt_field_class_integer_set_field_value_range(fc, common[i].bits);
		if (!append(payload, common[i].name, fc))
			return false;
	}
	for (u32 i = 0; i < info->nfields; i++)
		if (!append(payload, info->fields[i].name, field_class(tc, &info->fields[i])))
			return false;
	return true;
}

bool flt_events_init(struct flt_events *e, bt_trace_class *tc, bt_stream_class *sc)
{
	for (u32 k = 0; k < TRANSITION_COUNT; k++) {
		bt_event_class *class = bt_event_class_create(sc);
		bt_field_class *payload = bt_field_class_structure_create(tc);
		char name[64];
		bool ok;

		snprintf(name, sizeof(name), "nestor:%s", event_infos[k].name);
		ok = class && payload && make_payload(tc, payload, &event_infos[k]) &&
		     bt_event_class_set_name(class, name) == BT_EVENT_CLASS_SET_NAME_STATUS_OK &&
		     bt_event_class_set_payload_field_class(class, payload) ==
			     BT_EVENT_CLASS_SET_FIELD_CLASS_STATUS_OK;

		bt_field_class_put_ref(payload);
		e->class[k] = class;
		if (!ok)
			return false;
	}
	return true;
}

void flt_events_fini(struct flt_events *e)
{
	for (u32 k = 0; k < TRANSITION_COUNT; k++)
		bt_event_class_put_ref(e->class[k]);
}

/* Values wider than their field (a future version's) are cut, as in the recording. */
static bool set_field(bt_field *field, const struct event_field *f, const u64 *words)
{
	char text[EVENT_NAME_BYTES];
	u32 bits = bits_of(f->type);
	u64 v = bits < 64 ? *words & ((1ull << bits) - 1) : *words;

	if (f->type == EVENT_TYPE_text)
		return bt_field_string_set_value(field, event_text_get(words, text)) ==
		       BT_FIELD_STRING_SET_VALUE_STATUS_OK;
	if (f->type == EVENT_TYPE_sdec)
		bt_field_integer_signed_set_value(field, (s64)*words);
	else
		bt_field_integer_unsigned_set_value(field, v);
	return true;
}

bt_message *flt_events_message(const struct flt_events *e, bt_self_message_iterator *self,
			       const bt_stream *stream, const struct transition *t)
{
	const u64 head[ARRAY_SIZE(common)] = {t->vtime_ns, t->seq, t->worker, t->vcpu_id, t->level};
	bt_message *msg = bt_message_event_create_with_default_clock_snapshot(
		self, e->class[t->kind], stream, t -> vtime_ns);
	const struct event_info *info = &event_infos[t->kind];
	const u64 *words = t->p;
	bt_field *payload;

	if (!msg)
		return NULL;
	payload = bt_event_borrow_payload_field(bt_message_event_borrow_event(msg));
	for (u32 i = 0; i < ARRAY_SIZE(common); i++)
		bt_field_integer_unsigned_set_value(
			bt_field_structure_borrow_member_field_by_index(payload, i), head[i]);
	for (u32 i = 0; i < info->nfields; i++) {
		if (!set_field(bt_field_structure_borrow_member_field_by_index(
				       payload, ARRAY_SIZE(common) + i),
			       &info->fields[i], words)) {
			bt_message_put_ref(msg);
			return NULL;
		}
		words += event_type_words(info->fields[i].type);
	}
	return msg;
}
