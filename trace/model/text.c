/* One event as a line; see text.h. */
#include <stdio.h>
#include <string.h>
#include "trace/model/text.h"

static int field_text(const struct event_field *f, const u64 *words, char *buf, size_t bytes)
{
	char text[EVENT_NAME_BYTES];
	const char *name;

	switch (f->type) {
	case EVENT_TYPE_hex:
	case EVENT_TYPE_addr:
	case EVENT_TYPE_hex32:
		return snprintf(buf, bytes, " %s=%#llx", f->name, (unsigned long long)*words);
	case EVENT_TYPE_text:
		return snprintf(buf, bytes, " %s=\"%s\"", f->name, event_text_get(words, text));
	case EVENT_TYPE_sdec: return snprintf(buf, bytes, " %s=%lld", f->name, (long long)*words);
	case EVENT_TYPE_enum:
		name = event_enum_text(f->enumeration, *words);
		if (name)
			return snprintf(buf, bytes, " %s=%s", f->name, name);
		return snprintf(buf, bytes, " %s=%llu", f->name, (unsigned long long)*words);
	default:
		if (*words == EVENT_NO_ID)
			return snprintf(buf, bytes, " %s=-", f->name);
		return snprintf(buf, bytes, " %s=%llu", f->name, (unsigned long long)*words);
	}
}

const char *transition_fields_text(const struct transition *t, bool host, char *buf)
{
	const struct event_info *info = &event_infos[t->kind];
	const u64 *words = t->p;
	size_t at = 0;

	buf[0] = 0;
	for (u32 i = 0; i < info->nfields && at < TRANSITION_TEXT_BYTES; i++) {
		const struct event_field *f = &info->fields[i];

		if (host || strncmp(f->name, "host_", 5))
			at += (size_t)field_text(f, words, buf + at, TRANSITION_TEXT_BYTES - at);
		words += event_type_words(f->type);
	}
	return buf;
}

const char *transition_text(const struct transition *t, bool host, char *buf)
{
	char fields[TRANSITION_TEXT_BYTES], who[32] = "-";

	if (t->vcpu_id != EVENT_NO_ID)
		snprintf(who, sizeof(who), "L%u/%#x", t->level, t->vcpu_id);
	snprintf(buf, TRANSITION_TEXT_BYTES, "%llu.%09llu %u:%llu %s %s%s",
		 (unsigned long long)(t->vtime_ns / NS_PER_SEC),
		 (unsigned long long)(t->vtime_ns % NS_PER_SEC), t->worker,
		 (unsigned long long)t->seq, who, event_infos[t->kind].name,
		 transition_fields_text(t, host, fields));
	return buf;
}
