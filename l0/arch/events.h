/*
 * Events: kinds, payloads and the record that every transition travels in. Generated from
 * events.def and event_enums.def; shared by who emits (trace/transition.h), by the LTTng provider
 * and by the readers (trace/model, trace/bt2, viewer). Plain data, freestanding.
 *
 * The order of a whole trace is (vtime_ns, worker, seq).
 */
#ifndef L0_ARCH_EVENTS_H
#define L0_ARCH_EVENTS_H

#include "l0/arch/vmexit.h"
#include "l0/base/types.h"

#define EVENT_NO_ID 0xffffffffu	     /* no vCPU, child, process, … */
#define EVENT_ID_TRACKED 0x80000000u /* vCPU numbers of levels 2 and deeper begin here */
#define EVENT_NAME_BYTES 24	     /* text field, with its terminating zero */

/* Number of a machine's own processor. */
#define EVENT_VCPU_ID(machine, index) ((u32)(machine) << 16 | (u32)(index))

#define ENUM(name, doc, ...) enum name { __VA_ARGS__ };
#define V(constant, number, text) constant = number,
#include "l0/arch/event_enums.def"
#undef ENUM
#undef V

enum transition_kind {
#define EVENT(name, ...) TRANSITION_##name,
#include "l0/arch/events.def"
#undef EVENT
	TRANSITION_COUNT
};
BUILD_ASSERT(TRANSITION_COUNT <= 64); /* a mask of kinds is one u64 */

/* A text field: at most 23 bytes and zeros. */
struct event_text {
	u64 w[EVENT_NAME_BYTES / 8];
};

/* struct ev_NAME: the payload of one kind. */
#define F(type, field, doc) u64 field;
#define E(enumeration, field, doc) u64 field;
#define S(field, doc) struct event_text field;
#define EVENT(name, sort, detail, doc, ...) \
	struct ev_##name { \
		__VA_ARGS__ \
	};
#include "l0/arch/events.def"
#undef EVENT
#undef F
#undef E
#undef S

#define TRANSITION_WORDS 13

/* One event in memory. Only the words of its kind's payload are written. */
struct transition {
	u64 vtime_ns;
	u64 seq; /* by worker and sort */
	u32 vcpu_id;
	u16 worker;
	u8 level;
	u8 kind; /* enum transition_kind */
	u64 p[TRANSITION_WORDS];
};
BUILD_ASSERT_SIZE(struct transition, 128);
#define EVENT(name, ...) BUILD_ASSERT(sizeof(struct ev_##name) <= sizeof(u64) * TRANSITION_WORDS);
#include "l0/arch/events.def"
#undef EVENT

/* The payload of @t, whose kind is known: transition_payload(t, vm_exit)->guest_rip */
#define transition_payload(t, name) ((const struct ev_##name *)(const void *)(t)->p)

enum event_sort { EVENT_SORT_ARCH, EVENT_SORT_ENGINE, EVENT_SORT_COUNT };
enum event_detail { EVENT_DETAIL_DECISION, EVENT_DETAIL_EXIT, EVENT_DETAIL_SUMMARY };

enum event_type {
	EVENT_TYPE_hex,
	EVENT_TYPE_addr,
	EVENT_TYPE_hex32,
	EVENT_TYPE_dec,
	EVENT_TYPE_dec32,
	EVENT_TYPE_dec16,
	EVENT_TYPE_sdec,
	EVENT_TYPE_flag,
	EVENT_TYPE_enum,
	EVENT_TYPE_text,
};

/* An enumeration's values, in ascending order. */
struct event_enum_value {
	u32 number;
	const char *text;
};
struct event_enum {
	const char *name, *doc;
	const struct event_enum_value *values;
	u32 count;
};

struct event_field {
	const char *name, *doc;
	enum event_type type;
	const struct event_enum *enumeration; /* EVENT_TYPE_enum, else NULL */
};

struct event_info {
	const char *name, *doc;
	const struct event_field *fields;
	u16 nfields;
	u16 words; /* of transition.p that the payload takes */
	u8 sort, detail;
};

/* Words of transition.p that a field of @type takes. */
static inline u32 event_type_words(enum event_type type)
{
	return type == EVENT_TYPE_text ? EVENT_NAME_BYTES / 8 : 1;
}

/* By kind. */
extern const struct event_info event_infos[TRANSITION_COUNT];
/* Kinds by detail and by sort, one bit a kind. */
extern const u64 event_mask_decision, event_mask_exit, event_mask_summary, event_mask_arch;

extern const struct event_enum *const event_enums[];
extern const u32 event_enum_count;

/* Counters of the virtual TLB of a machine, the numbers of event tlb_machine. */
enum vtlb_counter {
#define VP(name, member, text)
#define T(name, text) VTLB_COUNTER_##name,
#include "l0/arch/vtlb_counters.def"
#undef VP
#undef T
	VTLB_COUNTERS
};
struct vtlb_counter_info {
	const char *name, *doc;
	bool is_level; /* what it is at present: it has no rate */
};
extern const struct vtlb_counter_info vtlb_counter_infos[VTLB_COUNTERS];

/* Name of value @number of @e, or NULL when it has none. */
const char *event_enum_text(const struct event_enum *e, u64 number);

/* Name of a basic exit reason (bits 15:0 count), or "unknown". */
const char *event_exit_reason_text(u64 reason);

/* Kind by name, or TRANSITION_COUNT. */
u32 event_kind_by_name(const char *name);

/* Pack @s, cut to 23 bytes. */
struct event_text event_text(const char *s);

/* Unpack to @buf of EVENT_NAME_BYTES; returns @buf, always terminated. */
const char *event_text_get(const u64 *words, char *buf);

#endif
