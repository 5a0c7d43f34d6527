/* Tables about events, from events.def; see events.h. */
#include "l0/arch/events.h"

/* --- enumerations --- */
#define ENUM(name, doc, ...) static const struct event_enum_value values_##name[] = {__VA_ARGS__};
#define V(constant, number, text) {number, text},
#include "l0/arch/event_enums.def"
#undef ENUM
#undef V

static const struct event_enum_value values_exit_reason[] = {
#define EXIT_REASON(number, name, ...) {number, #name},
#include "l0/arch/exit_reasons.def"
#undef EXIT_REASON
};

static const struct event_enum_value values_vmx_error[] = {
	{0, "VMfailInvalid"},
#define VMX_ERROR(number, name) {number, #name},
#include "l0/arch/vmx_errors.def"
#undef VMX_ERROR
};

enum {
	CHECK_NUMBER_NONE,
#define ENTRY_CHECK(name, ...) CHECK_NUMBER_##name,
#include "l0/arch/entry_checks.def"
#undef ENTRY_CHECK
};

static const struct event_enum_value values_entry_check[] = {
	{CHECK_NUMBER_NONE, "none"},
#define ENTRY_CHECK(name, ...) {CHECK_NUMBER_##name, #name},
#include "l0/arch/entry_checks.def"
#undef ENTRY_CHECK
};

#define ENUM(name, doc, ...) \
	static const struct event_enum enum_##name = {#name, doc, values_##name, \
						      ARRAY_SIZE(values_##name)};
#include "l0/arch/event_enums.def"
ENUM(exit_reason, "basic exit reasons")
ENUM(vmx_error, "VM-instruction errors")
ENUM(entry_check, "checks on a VM entry")
#undef ENUM

#define ENUM(name, doc, ...) &enum_##name,
const struct event_enum *const event_enums[] = {
#include "l0/arch/event_enums.def"
	&enum_exit_reason,
	&enum_vmx_error,
	&enum_entry_check,
};
#undef ENUM
const u32 event_enum_count = ARRAY_SIZE(event_enums);

/* --- fields --- */
#define F(type, field, doc) {#field, doc, EVENT_TYPE_##type, NULL},
#define E(enumeration, field, doc) {#field, doc, EVENT_TYPE_enum, &enum_##enumeration},
#define S(field, doc) {#field, doc, EVENT_TYPE_text, NULL},
#define EVENT(name, sort, detail, doc, ...) \
	static const struct event_field fields_##name[] = {__VA_ARGS__};
#include "l0/arch/events.def"
#undef EVENT
#undef F
#undef E
#undef S

#define EVENT(ename, sort, detail, doc, ...) \
	[TRANSITION_##ename] = {#ename, \
				doc, \
				fields_##ename, \
				ARRAY_SIZE(fields_##ename), \
				sizeof(struct ev_##ename) / sizeof(u64), \
				EVENT_SORT_##sort, \
				EVENT_DETAIL_##detail},
const struct event_info event_infos[TRANSITION_COUNT] = {
#include "l0/arch/events.def"
};
#undef EVENT

const struct vtlb_counter_info vtlb_counter_infos[VTLB_COUNTERS] = {
#define VP(name, member, text)
#define T(name, text) {#name, text, false},
#define LEVEL(name, text) {#name, text, true},
#include "l0/arch/vtlb_counters.def"
#undef VP
#undef T
};

/* --- masks --- */
#define KIND_IF(name, cond) ((u64)(cond) << TRANSITION_##name)
#define EVENT(name, sort, detail, ...) \
	| KIND_IF(name, EVENT_DETAIL_##detail == EVENT_DETAIL_DECISION)
const u64 event_mask_decision = 0
#include "l0/arch/events.def"
	;
#undef EVENT
#define EVENT(name, sort, detail, ...) | KIND_IF(name, EVENT_DETAIL_##detail == EVENT_DETAIL_EXIT)
const u64 event_mask_exit = 0
#include "l0/arch/events.def"
	;
#undef EVENT
#define EVENT(name, sort, detail, ...) \
	| KIND_IF(name, EVENT_DETAIL_##detail == EVENT_DETAIL_SUMMARY)
const u64 event_mask_summary = 0
#include "l0/arch/events.def"
	;
#undef EVENT
#define EVENT(name, sort, detail, ...) | KIND_IF(name, EVENT_SORT_##sort == EVENT_SORT_ARCH)
const u64 event_mask_arch = 0
#include "l0/arch/events.def"
	;
#undef EVENT

/* --- look-ups --- */
const char *event_enum_text(const struct event_enum *e, u64 number)
{
	u32 lo = 0, hi = e->count;

	while (lo < hi) {
		u32 mid = (lo + hi) / 2;

		if (e->values[mid].number == number)
			return e->values[mid].text;
		if (e->values[mid].number < number)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

const char *event_exit_reason_text(u64 reason)
{
	const char *text = event_enum_text(&enum_exit_reason, reason & 0xffff);

	return text ? text : "unknown";
}

static bool text_equal(const char *a, const char *b)
{
	for (; *a && *a == *b; a++, b++)
		;
	return *a == *b;
}

u32 event_kind_by_name(const char *name)
{
	for (u32 k = 0; k < TRANSITION_COUNT; k++)
		if (text_equal(event_infos[k].name, name))
			return k;
	return TRANSITION_COUNT;
}

struct event_text event_text(const char *s)
{
	struct event_text t = {{0}};

	for (u32 i = 0; s[i] && i < EVENT_NAME_BYTES - 1; i++)
		t.w[i / 8] |= (u64)(u8)s[i] << (i % 8 * 8);
	return t;
}

const char *event_text_get(const u64 *words, char *buf)
{
	for (u32 i = 0; i < EVENT_NAME_BYTES; i++)
		buf[i] = (char)(words[i / 8] >> (i % 8 * 8));
	buf[EVENT_NAME_BYTES - 1] = 0;
	return buf;
}
