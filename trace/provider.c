/* The LTTng provider as a shared object of its own; see provider.h and provider_tp.h. */
#define LTTNG_UST_TRACEPOINT_CREATE_PROBES
#define LTTNG_UST_TRACEPOINT_DEFINE
#include "trace/provider_tp.h"
#include "trace/provider.h"

extern const struct trace_provider trace_provider;

static u32 provider_emit(const struct transition *t, u32 count, const bool *stop, u64 *done)
{
	u32 i;

	for (i = 0; i < count; i++, t++) {
		if (__atomic_load_n(stop, __ATOMIC_RELAXED))
			break;
		switch (t->kind) {
#define EVENT(name, ...) \
	case TRANSITION_##name: \
		if (lttng_ust_tracepoint_enabled(nestor, name)) { \
			struct pack_##name k = pack_##name(t); \
			lttng_ust_do_tracepoint(nestor, name, &k); \
		} \
		break;
#include "l0/arch/events.def"
#undef EVENT
		}
		__atomic_store_n(done, *done + 1, __ATOMIC_RELAXED);
	}
	return i;
}

static u64 provider_enabled(void)
{
	u64 kinds = 0;

#define EVENT(name, ...) \
	if (lttng_ust_tracepoint_enabled(nestor, name)) \
		kinds |= (u64)1 << TRANSITION_##name;
#include "l0/arch/events.def"
#undef EVENT
	return kinds;
}

const struct trace_provider trace_provider = {
	.abi = TRACE_PROVIDER_ABI,
	.emit = provider_emit,
	.enabled = provider_enabled,
};
