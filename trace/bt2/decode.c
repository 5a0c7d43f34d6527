/* babeltrace2 event → struct transition; see decode.h. */
#include <stdlib.h>
#include <string.h>
#include "l0/base/hash.h"
#include "trace/bt2/decode.h"

#define PROVIDER_PREFIX "nestor:"
#define MAX_STEPS 24
#define COMMON_FIELDS 5

enum getter { GET_UNSIGNED, GET_UNSIGNED64, GET_SIGNED, GET_BOOL, GET_TEXT };

/* Read member @member of the payload into @out at @offset, @bytes wide (GET_TEXT: the whole field).
 */
struct step {
	u8 member, getter, offset, bytes;
};

/* What is known of one event class. */
struct known_class {
	const bt_event_class *class;
	u32 kind; /* TRANSITION_COUNT: not ours */
	u32 nsteps;
	bool is_complete; /* the steps fill the whole record */
	struct step steps[MAX_STEPS];
};

struct bt_decoder {
	struct known_class *classes;
	u32 count, room;
	u32 *hash; /* index + 1 */
	u32 hash_size;
	const struct known_class *last;
	const char *const *skip; /* fields left 0, NULL-terminated */
};

struct bt_decoder *bt_decoder_create(void)
{
	struct bt_decoder *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->hash_size = 256;
	d->hash = calloc(d->hash_size, sizeof(*d->hash));
	if (!d->hash) {
		free(d);
		return NULL;
	}
	return d;
}

void bt_decoder_destroy(struct bt_decoder *d)
{
	if (!d)
		return;
	for (u32 i = 0; i < d->count; i++)
		bt_event_class_put_ref(d->classes[i].class);
	free(d->classes);
	free(d->hash);
	free(d);
}

/* --- learning a class --- */
struct target {
	const char *name;
	u8 offset, bytes;
};
#define TARGET(field) \
	{ \
#field, offsetof(struct transition, field), \
			sizeof(((struct transition *)0)->field) \
	}
static const struct target common_targets[COMMON_FIELDS] = {
	TARGET(vtime_ns), TARGET(seq), TARGET(worker), TARGET(vcpu_id), TARGET(level),
};

static bool find_target(u32 kind, const char *name, struct target *out)
{
	const struct event_info *info = &event_infos[kind];
	u32 word = 0;

	for (u32 i = 0; i < COMMON_FIELDS; i++) {
		if (!strcmp(common_targets[i].name, name)) {
			*out = common_targets[i];
			return true;
		}
	}
	for (u32 i = 0; i < info->nfields; i++) {
		u32 words = event_type_words(info->fields[i].type);

		if (!strcmp(info->fields[i].name, name)) {
			*out = (struct target){
				name, (u8)(offsetof(struct transition, p) + word * sizeof(u64)),
				(u8)(words * sizeof(u64))};
			return true;
		}
		word += words;
	}
	return false;
}

static bool choose_getter(const bt_field_class *fc, u8 *getter)
{
	switch (bt_field_class_get_type(fc)) {
	case BT_FIELD_CLASS_TYPE_UNSIGNED_INTEGER:
	case BT_FIELD_CLASS_TYPE_UNSIGNED_ENUMERATION: *getter = GET_UNSIGNED; return true;
	case BT_FIELD_CLASS_TYPE_SIGNED_INTEGER:
	case BT_FIELD_CLASS_TYPE_SIGNED_ENUMERATION: *getter = GET_SIGNED; return true;
	case BT_FIELD_CLASS_TYPE_BOOL: *getter = GET_BOOL; return true;
	case BT_FIELD_CLASS_TYPE_STRING: *getter = GET_TEXT; return true;
	default: return false;
	}
}

static bool is_skipped(const struct bt_decoder *d, const char *name)
{
	for (const char *const *skip = d->skip; skip && *skip; skip++)
		if (!strcmp(*skip, name))
			return true;
	return false;
}

static void learn_fields(const struct bt_decoder *d, struct known_class *k)
{
	const bt_field_class *payload = bt_event_class_borrow_payload_field_class_const(k->class);
	u64 members;

	if (!payload)
		return;
	members = bt_field_class_structure_get_member_count(payload);
	for (u64 i = 0; i < members && i < 256 && k->nsteps < MAX_STEPS; i++) {
		const bt_field_class_structure_member *member =
			bt_field_class_structure_borrow_member_by_index_const(payload, i);
		struct step step = {.member = (u8)i};
		const char *name = bt_field_class_structure_member_get_name(member);
		struct target target;

		if (is_skipped(d, name) || !find_target(k->kind, name, &target) ||
		    !choose_getter(bt_field_class_structure_member_borrow_field_class_const(member),
				   &step.getter))
			continue;
		/* text goes to text and numbers to numbers, whatever a foreign trace may say */
		if ((step.getter == GET_TEXT) != (target.bytes == EVENT_NAME_BYTES))
			continue;
		step.offset = target.offset;
		step.bytes = target.bytes;
		if (step.getter == GET_UNSIGNED && step.bytes == sizeof(u64))
			step.getter = GET_UNSIGNED64;
		k->steps[k->nsteps++] = step;
	}
	k->is_complete = k->nsteps == COMMON_FIELDS + (u32)event_infos[k->kind].nfields;
}

static void learn(const struct bt_decoder *d, struct known_class *k, const bt_event_class *class)
{
	const char *name = bt_event_class_get_name(class);

	memset(k, 0, sizeof(*k));
	k->class = class;
	bt_event_class_get_ref(class);
	k->kind = TRANSITION_COUNT;
	if (name && !strncmp(name, PROVIDER_PREFIX, strlen(PROVIDER_PREFIX)))
		k->kind = event_kind_by_name(name + strlen(PROVIDER_PREFIX));
	if (k->kind < TRANSITION_COUNT)
		learn_fields(d, k);
}

static void rehash(struct bt_decoder *d)
{
	memset(d->hash, 0, d->hash_size * sizeof(*d->hash));
	for (u32 i = 0; i < d->count; i++) {
		u32 at = (u32)hash_u64((u64)(uintptr_t)d->classes[i].class) & (d->hash_size - 1);

		while (d->hash[at])
			at = (at + 1) & (d->hash_size - 1);
		d->hash[at] = i + 1;
	}
}

static const struct known_class *add_class(struct bt_decoder *d, const bt_event_class *class)
{
	if (d->count == d->room) {
		u32 room = d->room ? d->room * 2 : 64;
		struct known_class *classes = realloc(d->classes, room * sizeof(*classes));

		if (!classes)
			return NULL;
		d->classes = classes;
		d->room = room;
	}
	if (d->count * 2 >= d->hash_size) {
		u32 *hash = calloc(d->hash_size * 2, sizeof(*hash));

		if (!hash)
			return NULL;
		free(d->hash);
		d->hash = hash;
		d->hash_size *= 2;
	}
	learn(d, &d->classes[d->count++], class);
	rehash(d);
	return &d->classes[d->count - 1];
}

static const struct known_class *class_of(struct bt_decoder *d, const bt_event *event)
{
	const bt_event_class *class = bt_event_borrow_class_const(event);
	u32 at;

	if (d->last && d->last->class == class)
		return d->last;
	at = (u32)hash_u64((u64)(uintptr_t) class) & (d->hash_size - 1);
	for (; d->hash[at]; at = (at + 1) & (d->hash_size - 1))
		if (d->classes[d->hash[at] - 1].class == class)
			return d->last = &d->classes[d->hash[at] - 1];
	return d->last = add_class(d, class);
}

/* --- reading --- */
static void store_text(struct transition *out, const struct step *s, const bt_field *field)
{
	char *to = (char *)out + s->offset;
	size_t n = (size_t)MIN(bt_field_string_get_length(field), (u64)EVENT_NAME_BYTES - 1);

	memset(to, 0, EVENT_NAME_BYTES);
	memcpy(to, bt_field_string_get_value(field), n);
}

static u64 read_number(const struct step *s, const bt_field *field)
{
	switch (s->getter) {
	case GET_UNSIGNED: return bt_field_integer_unsigned_get_value(field);
	case GET_SIGNED: return (u64)bt_field_integer_signed_get_value(field);
	default: return bt_field_bool_get_value(field);
	}
}

/* The low bytes of @v, on a little-endian host. */
static void store_number(void *to, u64 v, u32 bytes)
{
	switch (bytes) {
	case 8: memcpy(to, &v, 8); break;
	case 4: memcpy(to, &v, 4); break;
	case 2: memcpy(to, &v, 2); break;
	default: memcpy(to, &v, 1); break;
	}
}

static void read_step(struct transition *out, const struct step *s, const bt_field *f)
{
	char *to = (char *)out + s->offset;
	u64 v;

	if (likely(s->getter == GET_UNSIGNED64)) {
		v = bt_field_integer_unsigned_get_value(f);
		memcpy(to, &v, sizeof(v));
	} else if (s->getter == GET_TEXT) {
		store_text(out, s, f);
	} else {
		store_number(to, read_number(s, f), s->bytes);
	}
}

bool bt_decode(struct bt_decoder *d, const bt_event *event, struct transition *out)
{
	const struct known_class *k = class_of(d, event);
	const bt_field *payload;

	if (!k || k->kind == TRANSITION_COUNT)
		return false;
	payload = bt_event_borrow_payload_field_const(event);
	if (!k->is_complete)
		memset(out, 0, sizeof(*out));
	out->kind = (u8)k->kind;
	for (u32 i = 0; i < k->nsteps; i++)
		read_step(out, &k->steps[i],
			  bt_field_structure_borrow_member_field_by_index_const(
				  payload, k->steps[i].member));
	return true;
}

void bt_decoder_skip(struct bt_decoder *d, const char *const *names)
{
	d->skip = names;
}

/* What model_feed() has no use for, in the events that are many. */
static const char *const model_has_no_use[] = {"guest_rip", "isa",    "info1",	"info2",
					       "intr_info", "due_ns", "vector", NULL};

void bt_decoder_for_model(struct bt_decoder *d)
{
	d->skip = model_has_no_use;
}

u64 bt_decode_discarded(const bt_message *msg)
{
	u64 n = 0;

	switch (bt_message_get_type(msg)) {
	case BT_MESSAGE_TYPE_DISCARDED_EVENTS:
		if (bt_message_discarded_events_get_count(msg, &n) !=
		    BT_PROPERTY_AVAILABILITY_AVAILABLE)
			n = 1;
		return n;
	case BT_MESSAGE_TYPE_DISCARDED_PACKETS: return 1;
	default: return 0;
	}
}
