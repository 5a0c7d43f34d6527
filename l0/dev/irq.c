/* irq.c - see irq.h */
#include "l0/dev/irq.h"

#include <errno.h>

#include "l0/base/bits.h"

int irq_add_sink(struct irq_router *r, const struct irq_line *sink)
{
	if (r->nsinks == IRQ_MAX_SINKS)
		return -ENOSPC;
	r->sink[r->nsinks++] = *sink;
	return 0;
}

static void tell_sinks(struct irq_router *r, u32 gsi, bool level, u32 source, u64 due_ns)
{
	for (u32 i = 0; i < r->nsinks; i++)
		r->sink[i].set(r->sink[i].arg, gsi, level, source, due_ns);
}

void irq_set(struct irq_router *r, u32 gsi, u32 source, bool level, u64 due_ns)
{
	if (gsi >= IRQ_GSI_COUNT)
		return;
	u32 before = r->drivers[gsi], after = before & ~(1u << (source & 31));

	if (level)
		after |= 1u << (source & 31);
	r->drivers[gsi] = after;
	if (!(before & ~r->muted) != !(after & ~r->muted))
		tell_sinks(r, gsi, after & ~r->muted, source, due_ns);
}

void irq_owe(struct irq_router *r, u32 gsi, u32 source, u64 edges)
{
	if (gsi >= IRQ_GSI_COUNT || !edges)
		return;
	r->owing |= 1u << gsi;
	r->owed[gsi].source = source;
	r->owed[gsi].edges = (u32)MIN(r->owed[gsi].edges + edges, IRQ_OWED_MAX);
}

void irq_owe_nothing(struct irq_router *r, u32 gsi)
{
	if (gsi >= IRQ_GSI_COUNT)
		return;
	r->owing &= ~(1u << gsi);
	r->owed[gsi].edges = 0;
}

void irq_taken_slow(struct irq_router *r, u64 now_ns)
{
	for (u32 gsi = 0; gsi < IRQ_GSI_COUNT; gsi++) {
		if (!(r->owing >> gsi & 1))
			continue;
		if (!--r->owed[gsi].edges)
			r->owing &= ~(1u << gsi);
		irq_set(r, gsi, r->owed[gsi].source, false, now_ns);
		irq_set(r, gsi, r->owed[gsi].source, true, now_ns);
	}
}

void irq_mute(struct irq_router *r, u32 sources, u64 now_ns)
{
	u32 before = r->muted;

	r->muted = sources;
	for (u32 gsi = 0; gsi < IRQ_GSI_COUNT; gsi++) {
		u32 d = r->drivers[gsi];

		if (!(d & ~before) != !(d & ~sources))
			tell_sinks(r, gsi, d & ~sources, INTR_SOURCE_DEVICE, now_ns);
	}
}
