/* Counters over time in a fixed number of buckets that widen as the trace grows. */
#include <stdlib.h>
#include <string.h>
#include "trace/model/model_priv.h"

#define FIRST_WIDTH_NS (10 * NS_PER_MS)

static void counters_add(struct model_counters *to, const struct model_counters *from)
{
	to->ran_ns += from->ran_ns;
	to->exits += from->exits;
	to->reflected += from->reflected;
	to->switches += from->switches;
	to->halts += from->halts;
	to->misses += from->misses;
}

/* Twice the width: pairs become one. */
static void widen(struct model_history *h)
{
	for (u32 i = 0; i < MODEL_HISTORY_BUCKETS / 2; i++) {
		struct model_counters sum = h->bucket[2 * i];

		counters_add(&sum, &h->bucket[2 * i + 1]);
		h->bucket[i] = sum;
	}
	memset(&h->bucket[MODEL_HISTORY_BUCKETS / 2], 0,
	       sizeof(h->bucket[0]) * (MODEL_HISTORY_BUCKETS / 2));
	h->width_ns *= 2;
}

struct model_counters *model_history_at(struct model *m, struct model_vcpu *v, u64 now)
{
	struct vcpu_priv *p = model_vcpu_priv(m, v);

	if (unlikely(!p->history)) {
		p->history = calloc(1, sizeof(*p->history));
		if (!p->history)
			return NULL;
		p->history->width_ns = FIRST_WIDTH_NS;
		v->history = p->history;
	}
	while (unlikely(now / p->history->width_ns >= MODEL_HISTORY_BUCKETS))
		widen(p->history);
	return &p->history->bucket[now / p->history->width_ns];
}

void model_history_ran(struct model *m, struct model_vcpu *v, u64 now, u64 ran_ns)
{
	struct model_history *h;
	u64 start = now - ran_ns;

	if (!ran_ns || !model_history_at(m, v, now - 1))
		return;
	h = model_vcpu_priv(m, v)->history;
	while (start < now) {
		u64 i = start / h->width_ns;
		u64 end = MIN((i + 1) * h->width_ns, now);

		h->bucket[i].ran_ns += end - start;
		start = end;
	}
}

/* @n scaled by part / whole, rounded down. */
static u64 share(u64 n, u64 part, u64 whole)
{
	return (u64)((u128)n * part / whole);
}

struct model_counters model_window(const struct model_vcpu *v, u64 from_ns, u64 to_ns)
{
	const struct model_history *h = v->history;
	struct model_counters sum = {0};

	if (!h)
		return sum;
	for (u64 i = from_ns / h->width_ns; i < MODEL_HISTORY_BUCKETS && i * h->width_ns < to_ns;
	     i++) {
		const struct model_counters *b = &h->bucket[i];
		u64 lo = MAX(from_ns, i * h->width_ns), hi = MIN(to_ns, (i + 1) * h->width_ns);
		struct model_counters part = {
			.ran_ns = share(b->ran_ns, hi - lo, h->width_ns),
			.exits = share(b->exits, hi - lo, h->width_ns),
			.reflected = share(b->reflected, hi - lo, h->width_ns),
			.switches = share(b->switches, hi - lo, h->width_ns),
			.halts = share(b->halts, hi - lo, h->width_ns),
			.misses = share(b->misses, hi - lo, h->width_ns),
		};

		counters_add(&sum, &part);
	}
	return sum;
}
