/*
 * The LTTng-UST provider "nestor", one tracepoint a kind, generated from events.def. LTTng's
 * machinery reads this file several times, and only provider.c includes it.
 *
 * A tracepoint takes the packed record by pointer, since an event may have more fields than a
 * tracepoint may have arguments. The common fields come first and are the same for all.
 */
#undef LTTNG_UST_TRACEPOINT_PROVIDER
#define LTTNG_UST_TRACEPOINT_PROVIDER nestor

#undef LTTNG_UST_TRACEPOINT_INCLUDE
#define LTTNG_UST_TRACEPOINT_INCLUDE "trace/provider_tp.h"

#if !defined(TRACE_PROVIDER_TP_H) || defined(LTTNG_UST_TRACEPOINT_HEADER_MULTI_READ)
#define TRACE_PROVIDER_TP_H

#include <lttng/tracepoint.h>
#include "trace/provider_pack.h"
#include "provider_enums.h" /* made by trace/gen/gen_events.c */

/* Enumerations, from lists of lttng_ust_field_enum_value(text, number). */
PROVIDER_ENUMS

#if defined(LTTNG_UST__TP_IP_PARAM) && !defined(LTTNG_UST_RING_BUFFER_NATURAL_ALIGN)
/*
 * The reading that makes the probe functions (the macro above is LTTng's, defined for that one):
 * the fields are written all at once, as the bytes that they are. Were the macro not there, the
 * fields would be written one by one: the same trace, at twice the cost.
 */
#define F(type, field, doc)
#define E(enumeration, field, doc)
#define S(field, doc)
#define COMMON lttng_ust_field_array(uint8_t, whole, k, sizeof(*k))
#else
#define F_hex(field) lttng_ust_field_integer_hex(uint64_t, field, k->field)
#define F_addr(field) F_hex(field)
#define F_hex32(field) lttng_ust_field_integer_hex(uint32_t, field, k->field)
#define F_dec(field) lttng_ust_field_integer(uint64_t, field, k->field)
#define F_dec32(field) lttng_ust_field_integer(uint32_t, field, k->field)
#define F_dec16(field) lttng_ust_field_integer(uint16_t, field, k->field)
#define F_sdec(field) lttng_ust_field_integer(int64_t, field, k->field)
#define F_flag(field) lttng_ust_field_integer(uint8_t, field, k->field)
#define F(type, field, doc) F_##type(field)
#define E(enumeration, field, doc) \
	lttng_ust_field_enum(nestor, enumeration, uint16_t, field, k->field)
#define S(field, doc) lttng_ust_field_array_text(char, field, k->field.w, EVENT_NAME_BYTES)
/* clang-format off */
#define COMMON \
	lttng_ust_field_integer(uint64_t, vtime_ns, k->vtime_ns) \
	lttng_ust_field_integer(uint64_t, seq, k->seq) \
	lttng_ust_field_integer(uint16_t, worker, k->worker) \
	lttng_ust_field_integer(uint32_t, vcpu_id, k->vcpu_id) \
	lttng_ust_field_integer(uint8_t, level, k->level)
/* clang-format on */
#endif

#define EVENT(name, sort, detail, doc, ...) \
	LTTNG_UST_TRACEPOINT_EVENT(nestor, name, LTTNG_UST_TP_ARGS(const struct pack_##name *, k), \
				   LTTNG_UST_TP_FIELDS(COMMON __VA_ARGS__))
#include "l0/arch/events.def"
#undef EVENT
#undef COMMON
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
