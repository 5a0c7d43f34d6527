/*
 * irq.h - interrupt lines: from a device's pin to the interrupt controllers
 *
 * A line is numbered as a global system interrupt (gsi): 0-15 are the ISA lines, more belong to the
 * I/O APIC alone. Every controller that sees a line registers as a sink; a device drives the line
 * and says when the event behind it was due. All calls hold the bus lock. No allocation.
 */
#ifndef L0_DEV_IRQ_H
#define L0_DEV_IRQ_H

#include "l0/arch/events.h"

#define IRQ_GSI_COUNT 24u
#define IRQ_MAX_SINKS 4u

/* Lines of the PC's devices. */
#define GSI_PIT 0u
#define GSI_KEYBOARD 1u
#define GSI_COM2 3u
#define GSI_COM1 4u
#define GSI_RTC 8u
#define GSI_ACPI 9u
#define GSI_MOUSE 12u

/* One controller that lines lead to. */
struct irq_line {
	/* The level of line @gsi changed. For a rising edge: @source is behind it, due at @due_ns.
	 */
	void (*set)(void *arg, u32 gsi, bool level, u32 source, u64 due_ns);
	void *arg;
};

struct irq_router {
	struct irq_line sink[IRQ_MAX_SINKS];
	u32 nsinks;
	/* Wire-or: the sources that hold each line high, a bit for each INTR_SOURCE_*. */
	u32 drivers[IRQ_GSI_COUNT];
	u32 muted; /* sources that are disconnected at present (HPET legacy routing) */
	u32 owing; /* lines with edges to be raised again, see irq_owe() */
	struct {
		u32 edges, source;
	} owed[IRQ_GSI_COUNT];
};

/* Return: 0, -ENOSPC. */
int irq_add_sink(struct irq_router *r, const struct irq_line *sink) __must_check;

/**
 * irq_set - drive a line
 * @gsi: below IRQ_GSI_COUNT; others are ignored
 * @source: INTR_SOURCE_*; also tells the devices on a shared line apart
 * @due_ns: machine time at which the event was due, for a rising edge
 */
void irq_set(struct irq_router *r, u32 gsi, u32 source, bool level, u64 due_ns);

#define IRQ_OWED_MAX 1000u
#define IRQ_OWED_PERIOD_NS \
	100000u /* a faster source gets no second chance: it would leave no time */

/**
 * irq_owe - edges of a line that passed before anybody could see the one before them
 *
 * When the host's scheduler holds the worker, several ticks of a timer are one request at the
 * controller, and a guest that counts them loses time, or takes the timer for broken. So they are
 * raised one by one, each when a processor has taken an interrupt (irq_taken()), as KVM does for
 * its 8254.
 * @edges: how many more; at most IRQ_OWED_MAX are remembered
 */
void irq_owe(struct irq_router *r, u32 gsi, u32 source, u64 edges);
/* The source was programmed anew, or is routed elsewhere. */
void irq_owe_nothing(struct irq_router *r, u32 gsi);
/* A processor has taken an interrupt: raise one edge of each line that is owed some. */
void irq_taken_slow(struct irq_router *r, u64 now_ns);

/**
 * irq_mute - disconnect some sources from every line, and connect those not named
 * @sources: a bit for each INTR_SOURCE_*; what they drive is remembered
 */
void irq_mute(struct irq_router *r, u32 sources, u64 now_ns);

#endif
