/*
 * The LTTng-UST provider "nestor", one tracepoint a kind, generated from events.def. LTTng's machinery
 * reads this file several times, and only provider.c includes it.
 *
 * A tracepoint takes the record and its payload by pointer, since an event may have more fields than
 * a tracepoint may have arguments. The common fields come first and are the same for all.
 */
#undef LTTNG_UST_TRACEPOINT_PROVIDER
#define LTTNG_UST_TRACEPOINT_PROVIDER nestor

#undef LTTNG_UST_TRACEPOINT_INCLUDE
#define LTTNG_UST_TRACEPOINT_INCLUDE "trace/provider_tp.h"

#if !defined(TRACE_PROVIDER_TP_H) || defined(LTTNG_UST_TRACEPOINT_HEADER_MULTI_READ)
#define TRACE_PROVIDER_TP_H

#include <lttng/tracepoint.h>
#include "l0/arch/events.h"
#include "provider_enums.h" /* made by trace/gen/gen_events.c */

/* Enumerations, from lists of lttng_ust_field_enum_value(text, number). */
PROVIDER_ENUMS

#define F_hex(field) lttng_ust_field_integer_hex(uint64_t, field, e->field)
#define F_addr(field) F_hex(field)
#define F_hex32(field) lttng_ust_field_integer_hex(uint32_t, field, (uint32_t)e->field)
#define F_dec(field) lttng_ust_field_integer(uint64_t, field, e->field)
#define F_dec32(field) lttng_ust_field_integer(uint32_t, field, (uint32_t)e->field)
#define F_dec16(field) lttng_ust_field_integer(uint16_t, field, (uint16_t)e->field)
#define F_sdec(field) lttng_ust_field_integer(int64_t, field, (int64_t)e->field)
#define F_flag(field) lttng_ust_field_integer(uint8_t, field, (uint8_t)e->field)
#define F(type, field, doc) F_##type(field)
#define E(enumeration, field, doc) \
	lttng_ust_field_enum(nestor, enumeration, uint16_t, field, (uint16_t)e->field)
#define S(field, doc) lttng_ust_field_string(field, (const char *)e->field.w)

#define EVENT(name, sort, detail, doc, ...) \
	LTTNG_UST_TRACEPOINT_EVENT( \
		nestor, name, LTTNG_UST_TP_ARGS(const struct transition *, t, const struct ev_##name *, e), \
		LTTNG_UST_TP_FIELDS(lttng_ust_field_integer(uint64_t, vtime_ns, t->vtime_ns) \
				    lttng_ust_field_integer(uint64_t, seq, t->seq) \
				    lttng_ust_field_integer(uint16_t, worker, t->worker) \
				    lttng_ust_field_integer(uint32_t, vcpu_id, t->vcpu_id) \
				    lttng_ust_field_integer(uint8_t, level, t->level) __VA_ARGS__))
#include "l0/arch/events.def"
#undef EVENT
#undef F
#undef E
#undef S
#undef F_hex
#undef F_addr
#undef F_hex32
#undef F_dec
#undef F_dec32
#undef F_dec16
#undef F_sdec
#undef F_flag

#endif

#include <lttng/tracepoint-event.h>
