/*
 * provider_pack.h - an event as its bytes lie in the trace: common fields, then the payload,
 * without gaps
 *
 * Only for provider.c: one write of the whole instead of one LTTng call a field halves the cost of
 * an event. provider_tp.h describes the same fields in the same order to LTTng.
 */
#ifndef TRACE_PROVIDER_PACK_H
#define TRACE_PROVIDER_PACK_H

#include "l0/arch/events.h"

typedef u64 pack_hex, pack_addr, pack_dec;
typedef u32 pack_hex32, pack_dec32;
typedef u16 pack_dec16, pack_enum;
typedef s64 pack_sdec;
typedef u8 pack_flag;
typedef struct event_text pack_text;

#define F(type, field, doc) pack_##type field;
#define E(enumeration, field, doc) pack_enum field;
#define S(field, doc) pack_text field;
#define EVENT(name, sort, detail, doc, ...) \
	struct pack_##name { \
		u64 vtime_ns, seq; \
		u16 worker; \
		u32 vcpu_id; \
		u8 level; \
		__VA_ARGS__ \
	} __packed;
#include "l0/arch/events.def"
#undef EVENT
#undef F
#undef E
#undef S

#define F(type, field, doc) .field = (pack_##type)e->field,
#define E(enumeration, field, doc) .field = (pack_enum)e->field,
#define S(field, doc) .field = e->field,
#define EVENT(name, sort, detail, doc, ...) \
	static inline struct pack_##name pack_##name(const struct transition *t) \
	{ \
		const struct ev_##name *e = transition_payload(t, name); \
\
		return (struct pack_##name){.vtime_ns = t->vtime_ns, \
					    .seq = t->seq, \
					    .worker = t->worker, \
					    .vcpu_id = t->vcpu_id, \
					    .level = t->level, \
					    __VA_ARGS__}; \
	}
#include "l0/arch/events.def"
#undef EVENT
#undef F
#undef E
#undef S

#endif
