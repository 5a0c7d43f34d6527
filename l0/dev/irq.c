/* irq.c - see irq.h */
#include "l0/dev/irq.h"

#include <errno.h>

int irq_add_sink(struct irq_router *r, const struct irq_line *sink)
{
	if (r->nsinks == IRQ_MAX_SINKS)
		return -ENOSPC;
	r->sink[r->nsinks++] = *sink;
	return 0;
}

void irq_set(struct irq_router *r, u32 gsi, u32 source, bool level, u64 due_ns)
{
	if (gsi >= IRQ_GSI_COUNT)
		return;
	u32 before = r->drivers[gsi], after = before & ~(1u << (source & 31));

	if (level)
		after |= 1u << (source & 31);
	r->drivers[gsi] = after;
	if (!before == !after)
		return;
	for (u32 i = 0; i < r->nsinks; i++)
		r->sink[i].set(r->sink[i].arg, gsi, after != 0, source, due_ns);
}
