/*
 * lapic.c - local APIC: registers, priorities, messages; see lapic.h
 *
 * Requests are accepted into IRR on any thread inside the bus lock; lapic_update() then compares
 * with the processor priority and tells the VP. Nothing is delivered from here: the engine asks
 * with lapic_ack() when the VP can take an interrupt.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "l0/base/bits.h"
#include "l0/base/log.h"
#include "l0/dev/ioapic.h"
#include "l0/dev/lapic_priv.h"
#include "l0/dev/pic8259.h"

#define LAPIC_BYTES 0x1000u
#define VERSION (0x14u | (LVT_COUNT - 1) << 16)
#define LOWEST_LEGAL_VECTOR 16u

#define ICR_LOGICAL 0x800u
#define ICR_ASSERT 0x4000u
#define ICR_LEVEL 0x8000u
#define ICR_SHORTHAND_SHIFT 18
#define ICR_WRITABLE 0x000ccfffu /* delivery status (bit 12) reads 0: sending takes no time */

enum shorthand { TO_DEST, TO_SELF, TO_ALL, TO_OTHERS };

/* ---- 256-bit registers ----------------------------------------------------------------------- */

static void vector_set(u64 *map, u32 v)
{
	map[v / 64] |= BIT(v % 64);
}

static void vector_clear(u64 *map, u32 v)
{
	map[v / 64] &= ~BIT(v % 64);
}

static bool vector_test(const u64 *map, u32 v)
{
	return map[v / 64] >> (v % 64) & 1;
}

static int vector_highest(const u64 *map)
{
	for (int i = 3; i >= 0; i--)
		if (map[i])
			return 64 * i + (int)bit_highest(map[i]);
	return -1;
}

static u32 vector_word(const u64 *map, u32 i)
{
	return (u32)(map[i / 2] >> (32 * (i & 1)));
}

/* ---- priority and the request to the processor ----------------------------------------------- */

static u32 ppr(const struct lapic *l)
{
	int isr = vector_highest(l->isr);
	u32 in_service = isr < 0 ? 0 : (u32)isr & 0xf0;

	return (l->tpr & 0xf0) >= in_service ? l->tpr : in_service;
}

/* Vector above the processor priority that waits, or -1. */
static int deliverable(const struct lapic *l)
{
	int irr = vector_highest(l->irr);

	return irr >= 0 && ((u32)irr & 0xf0) > (ppr(l) & 0xf0) ? irr : -1;
}

/*
 * Is the 8259's output let through? By LINT0 as ExtINT, or straight when the APIC is disabled by
 * IA32_APIC_BASE: the pin is then the processor's INTR.
 */
static bool extint(const struct lapic *l)
{
	u32 lint0 = l->lvt[LVT_LINT0];

	if (!l->lint[0])
		return false;
	if (!lapic_is_enabled(l))
		return l->vp == 0;
	return !(lint0 & LVT_MASKED) && (lint0 & LVT_DELIVERY) >> LVT_DELIVERY_SHIFT == APIC_EXTINT;
}

void lapic_update(struct lapic *l)
{
	bool intr = extint(l) || (lapic_is_enabled(l) && deliverable(l) >= 0);

	if (intr == l->intr)
		return;
	l->intr = intr;
	l->dev.bus->ops->set_intr(l->dev.bus->machine, l->vp, intr);
}

void lapic_accept(struct lapic *l, u8 vector, bool level, u32 source, u64 due_ns)
{
	if (vector < LOWEST_LEGAL_VECTOR) {
		lapic_error(l, ESR_RECEIVE_ILLEGAL_VECTOR);
		return;
	}
	if (!vector_test(l->irr, vector))
		l->due_ns[vector] = due_ns;
	vector_set(l->irr, vector);
	if (level)
		vector_set(l->tmr, vector);
	else
		vector_clear(l->tmr, vector);
	bus_intr_due(l->dev.bus, l->vp, source, vector, due_ns);
	lapic_update(l);
}

void lapic_error(struct lapic *l, u32 bits)
{
	bool is_new = bits & ~l->esr_pending;
	u32 lvt = l->lvt[LVT_ERROR];

	l->esr_pending |= bits;
	/* an error entry with an illegal vector of its own only records that */
	if (is_new && !(lvt & LVT_MASKED) && (lvt & LVT_VECTOR) >= LOWEST_LEGAL_VECTOR)
		lapic_accept(l, (u8)lvt, false, INTR_SOURCE_DEVICE, bus_now(l->dev.bus));
	else if (is_new && !(lvt & LVT_MASKED))
		l->esr_pending |= ESR_RECEIVE_ILLEGAL_VECTOR;
}

static int ack(struct lapic *l)
{
	if (extint(l) && l->dev.bus->pic)
		return pic_ack(l->dev.bus->pic, &l->acked_due_ns);
	int vector = lapic_is_enabled(l) ? deliverable(l) : -1;

	if (vector < 0)
		return -1;
	vector_clear(l->irr, (u32)vector);
	vector_set(l->isr, (u32)vector);
	l->acked_due_ns = l->due_ns[vector];
	return vector;
}

int lapic_ack(struct lapic *l)
{
	bus_lock(l->dev.bus);
	int vector = ack(l);

	if (unlikely(l->dev.bus->irq.owing))
		irq_taken_slow(&l->dev.bus->irq, bus_now(l->dev.bus));
	lapic_update(l);
	bus_unlock(l->dev.bus);
	return vector;
}

u64 lapic_acked_due_ns(const struct lapic *l)
{
	return l->acked_due_ns;
}

static void end_of_interrupt(struct lapic *l)
{
	int vector = vector_highest(l->isr);

	if (vector < 0)
		return;
	vector_clear(l->isr, (u32)vector);
	if (vector_test(l->tmr, (u32)vector) && l->dev.bus->ioapic)
		ioapic_eoi(l->dev.bus->ioapic, (u8)vector);
	lapic_update(l);
}

void lapic_eoi(struct lapic *l)
{
	bus_lock(l->dev.bus);
	end_of_interrupt(l);
	bus_unlock(l->dev.bus);
}

void lapic_set_tpr(struct lapic *l, u8 tpr)
{
	bus_lock(l->dev.bus);
	l->tpr = tpr;
	lapic_update(l);
	bus_unlock(l->dev.bus);
}

u8 lapic_get_tpr(struct lapic *l)
{
	return l->tpr; /* only the VP's own thread writes it */
}

/* ---- local sources --------------------------------------------------------------------------- */

static void lint_rises(struct lapic *l, enum lvt_index which)
{
	u32 lvt = l->lvt[which];

	if (!lapic_is_enabled(l) || (lvt & LVT_MASKED))
		return;
	if ((lvt & LVT_DELIVERY) >> LVT_DELIVERY_SHIFT == APIC_FIXED)
		lapic_accept(l, (u8)lvt, false, INTR_SOURCE_DEVICE, bus_now(l->dev.bus));
	else if ((lvt & LVT_DELIVERY) >> LVT_DELIVERY_SHIFT == APIC_NMI)
		l->dev.bus->ops->set_nmi(l->dev.bus->machine, l->vp);
}

void lapic_set_lint0(struct lapic *l, bool level)
{
	bool rises = level && !l->lint[0];

	l->lint[0] = level;
	if (rises)
		lint_rises(l, LVT_LINT0);
	lapic_update(l);
}

void lapic_set_lint1(struct lapic *l, bool level)
{
	bool rises = level && !l->lint[1];

	l->lint[1] = level;
	if (rises)
		lint_rises(l, LVT_LINT1);
}

void lapic_pmi(struct lapic *l)
{
	bus_lock(l->dev.bus);
	lint_rises(l, LVT_PERF);
	/* SDM 3A "Local Vector Table": software takes it away again */
	l->lvt[LVT_PERF] |= LVT_MASKED;
	lapic_update(l);
	bus_unlock(l->dev.bus);
}

/* ---- messages -------------------------------------------------------------------------------- */

static bool matches_logical(const struct lapic *l, u32 dest)
{
	u32 ldr = l->ldr >> 24;

	if (lapic_is_x2apic(l))
		return dest >> 16 == l->ldr >> 16 && (dest & l->ldr & 0xffff);
	if (l->dfr >> 28 == 0xf) /* flat model */
		return dest & ldr & 0xff;
	return (dest >> 4 == ldr >> 4 || dest >> 4 == 0xf) && (dest & ldr & 0xf);
}

static bool matches(const struct lapic *l, const struct apic_message *msg, bool broadcast)
{
	if (!lapic_is_enabled(l))
		return false;
	if (broadcast)
		return true;
	return msg->logical ? matches_logical(l, msg->dest) : msg->dest == l->id;
}

static void deliver(struct lapic *l, const struct apic_message *msg)
{
	const struct machine_bus_ops *ops = l->dev.bus->ops;
	void *machine = l->dev.bus->machine;

	switch (msg->delivery) {
	case APIC_FIXED:
	case APIC_LOWEST:
		if (l->svr & SVR_ENABLED)
			lapic_accept(l, msg->vector, msg->level, msg->source, msg->due_ns);
		break;
	case APIC_NMI:
		bus_intr_due(l->dev.bus, l->vp, INTR_SOURCE_NMI, 2, msg->due_ns);
		ops->set_nmi(machine, l->vp);
		break;
	case APIC_INIT: ops->send_init(machine, l->vp); break;
	case APIC_STARTUP: ops->send_sipi(machine, l->vp, msg->vector); break;
	case APIC_EXTINT: /* only the 8259 answers acknowledge cycles, by LINT0 */
	default:	  /* no system-management mode */
		log_once(LOG_DEV, "not supported: interrupt messages of delivery mode %u",
			 msg->delivery);
		break;
	}
}

/* Everybody, in xAPIC (8 bits) and x2APIC destinations. */
static bool is_broadcast(const struct apic_message *msg)
{
	return msg->dest == 0xffffffff || (!msg->logical && msg->dest == 0xff);
}

u32 apic_bus_send(struct machine_bus *bus, const struct apic_message *msg)
{
	struct lapic *lowest = NULL;
	bool broadcast = is_broadcast(msg);
	u32 accepted = 0;

	for (u32 i = 0; i < bus->nvps; i++) {
		struct lapic *l = bus->lapic[i];

		if (!l || !matches(l, msg, broadcast))
			continue;
		if (msg->delivery == APIC_LOWEST) {
			if ((l->svr & SVR_ENABLED) && (!lowest || ppr(l) < ppr(lowest)))
				lowest = l;
			continue;
		}
		deliver(l, msg);
		accepted++;
	}
	if (lowest) {
		deliver(lowest, msg);
		accepted++;
	}
	return accepted;
}

void lapic_send_icr(struct lapic *l, u32 icr, u32 dest)
{
	struct machine_bus *bus = l->dev.bus;
	struct apic_message msg = {
		.dest = dest,
		.logical = icr & ICR_LOGICAL,
		.delivery = icr >> 8 & 7,
		.vector = (u8)icr,
		.source = INTR_SOURCE_IPI,
		.due_ns = bus_now(bus),
	};

	/* INIT level de-assert only synchronised arbitration IDs on old processors */
	if (msg.delivery == APIC_INIT && (icr & ICR_LEVEL) && !(icr & ICR_ASSERT))
		return;
	if (msg.delivery <= APIC_LOWEST && msg.vector < LOWEST_LEGAL_VECTOR) {
		lapic_error(l, ESR_SEND_ILLEGAL_VECTOR);
		return;
	}
	switch ((enum shorthand)(icr >> ICR_SHORTHAND_SHIFT & 3)) {
	case TO_DEST: apic_bus_send(bus, &msg); break;
	case TO_SELF: /* fixed only */
		if (msg.delivery == APIC_FIXED)
			deliver(l, &msg);
		break;
	case TO_ALL:
		msg.dest = 0xffffffff;
		apic_bus_send(bus, &msg);
		break;
	case TO_OTHERS:
		for (u32 i = 0; i < bus->nvps; i++)
			if (bus->lapic[i] && bus->lapic[i] != l && lapic_is_enabled(bus->lapic[i]))
				deliver(bus->lapic[i], &msg);
		break;
	}
}

/* ---- registers ------------------------------------------------------------------------------- */

u32 lapic_read_register(struct lapic *l, u32 reg)
{
	switch (reg) {
	case REG_ID: return lapic_is_x2apic(l) ? l->id : l->id << 24;
	case REG_VERSION: return VERSION;
	case REG_TPR: return l->tpr;
	case REG_PPR: return ppr(l);
	case REG_APR:
	case REG_RRD:
	case REG_EOI: return 0;
	case REG_LDR: return l->ldr;
	case REG_DFR: return l->dfr;
	case REG_SVR: return l->svr;
	case REG_ISR ... REG_ISR + 7: return vector_word(l->isr, reg - REG_ISR);
	case REG_TMR ... REG_TMR + 7: return vector_word(l->tmr, reg - REG_TMR);
	case REG_IRR ... REG_IRR + 7: return vector_word(l->irr, reg - REG_IRR);
	case REG_ESR: return l->esr;
	case REG_ICR: return l->icr;
	case REG_ICR2: return l->icr2;
	case REG_LVT_TIMER ... REG_LVT_ERROR: return l->lvt[reg - REG_LVT_TIMER];
	case REG_TIMER_INITIAL: return l->timer_initial;
	case REG_TIMER_CURRENT: return lapic_timer_current(l);
	case REG_TIMER_DIVIDE: return l->timer_divide;
	default: lapic_error(l, ESR_ILLEGAL_REGISTER); return 0;
	}
}

static void write_lvt(struct lapic *l, u32 reg, u32 value)
{
	static const u32 writable[LVT_COUNT] = {
		[LVT_TIMER] = LVT_VECTOR | LVT_MASKED | LVT_TIMER_MODE,
		[LVT_THERMAL] = LVT_VECTOR | LVT_DELIVERY | LVT_MASKED,
		[LVT_PERF] = LVT_VECTOR | LVT_DELIVERY | LVT_MASKED,
		[LVT_LINT0] = LVT_VECTOR | LVT_DELIVERY | LVT_MASKED | 0xa000u,
		[LVT_LINT1] = LVT_VECTOR | LVT_DELIVERY | LVT_MASKED | 0xa000u,
		[LVT_ERROR] = LVT_VECTOR | LVT_MASKED,
	};
	u32 i = reg - REG_LVT_TIMER;

	value &= writable[i];
	if (!(l->svr & SVR_ENABLED))
		value |= LVT_MASKED;
	if (i == LVT_TIMER)
		lapic_timer_set_lvt(l, value);
	l->lvt[i] = value;
	if (i == LVT_LINT0)
		lapic_update(l);
}

static void write_svr(struct lapic *l, u32 value)
{
	l->svr = value & 0x1ff;
	if (l->svr & SVR_ENABLED)
		return;
	for (u32 i = 0; i < LVT_COUNT; i++)
		l->lvt[i] |= LVT_MASKED;
	lapic_update(l);
}

void lapic_write_register(struct lapic *l, u32 reg, u32 value)
{
	switch (reg) {
	case REG_ID: l->id = value >> 24; break;
	case REG_TPR:
		l->tpr = (u8)value;
		lapic_update(l);
		break;
	case REG_EOI: end_of_interrupt(l); break;
	case REG_LDR: l->ldr = value & 0xff000000; break;
	case REG_DFR: l->dfr = value | 0x0fffffff; break;
	case REG_SVR: write_svr(l, value); break;
	case REG_ESR:
		l->esr = l->esr_pending;
		l->esr_pending = 0;
		break;
	case REG_ICR:
		l->icr = value & ICR_WRITABLE;
		lapic_send_icr(l, l->icr, l->icr2 >> 24);
		break;
	case REG_ICR2: l->icr2 = value & 0xff000000; break;
	case REG_LVT_TIMER ... REG_LVT_ERROR: write_lvt(l, reg, value); break;
	case REG_TIMER_INITIAL: lapic_timer_set_initial(l, value); break;
	case REG_TIMER_DIVIDE: lapic_timer_set_divide(l, value & 0xb); break;
	case REG_VERSION: /* read-only registers */
	case REG_PPR:
	case REG_APR:
	case REG_RRD:
	case REG_ISR ... REG_IRR + 7:
	case REG_TIMER_CURRENT: break;
	default: lapic_error(l, ESR_ILLEGAL_REGISTER);
	}
}

/* ---- MMIO ------------------------------------------------------------------------------------ */

/* The APIC of the VP whose access this is; NULL when that VP has no xAPIC page now. */
static struct lapic *current_lapic(struct machine_bus *bus)
{
	struct lapic *l = bus->lapic[bus->ops->current_vp(bus->machine) % BUS_MAX_VPS];

	return l && lapic_is_enabled(l) && !lapic_is_x2apic(l) ? l : NULL;
}

/* Registers are 32 bits on 16-byte boundaries; narrower reads inside them give their part. */
static u64 lapic_mmio_read(void *dev, u64 offset, unsigned int size)
{
	struct machine_bus *bus = ((struct lapic *)dev)->dev.bus;
	u64 value = mask_low(8 * size);

	bus_lock(bus);
	struct lapic *l = current_lapic(bus);

	if (l && (offset & 15) < 4)
		value &=
			(u64)lapic_read_register(l, (u32)(offset >> 4) % 256) >> (8 * (offset & 3));
	else if (l)
		value = 0;
	bus_unlock(bus);
	return value;
}

static void lapic_mmio_write(void *dev, u64 offset, u64 value, unsigned int size)
{
	struct machine_bus *bus = ((struct lapic *)dev)->dev.bus;

	if (size != 4 || (offset & 15))
		return;
	bus_lock(bus);
	struct lapic *l = current_lapic(bus);

	if (l)
		lapic_write_register(l, (u32)(offset >> 4), (u32)value);
	bus_unlock(bus);
}

static const struct mmio_ops lapic_mmio_ops = {
	.read = lapic_mmio_read,
	.write = lapic_mmio_write,
};

/* ---- life ------------------------------------------------------------------------------------ */

void lapic_reset_registers(struct lapic *l)
{
	lapic_timer_stop(l);
	l->tpr = 0;
	l->ldr = lapic_is_x2apic(l) ? (l->id >> 4) << 16 | 1u << (l->id & 15) : 0;
	l->dfr = ~0u;
	l->svr = 0xff;
	for (u32 i = 0; i < 4; i++)
		l->isr[i] = l->tmr[i] = l->irr[i] = 0;
	l->esr = l->esr_pending = 0;
	l->icr = l->icr2 = 0;
	l->timer_initial = l->timer_divide = 0;
	for (u32 i = 0; i < LVT_COUNT; i++)
		l->lvt[i] = LVT_MASKED;
	/* virtual wire mode, as firmware leaves the boot processor */
	if (l->vp == 0)
		l->lvt[LVT_LINT0] = APIC_EXTINT << LVT_DELIVERY_SHIFT;
	lapic_update(l);
}

void lapic_init(struct lapic *l)
{
	bus_lock(l->dev.bus);
	lapic_reset_registers(l);
	bus_unlock(l->dev.bus);
}

static void lapic_reset(struct device *d)
{
	struct lapic *l = container_of(d, struct lapic, dev);

	l->base = LAPIC_BASE_DEFAULT | APIC_BASE_ENABLE | (l->vp == 0 ? APIC_BASE_BSP : 0);
	l->id = l->vp;
	lapic_reset_registers(l);
}

void lapic_set_present(struct lapic *l, bool present)
{
	l->is_absent = !present;
	lapic_reset(&l->dev);
}

static void lapic_destroy(struct device *d)
{
	struct lapic *l = container_of(d, struct lapic, dev);

	timer_cancel(&d->bus->timers, &l->timer);
	d->bus->lapic[l->vp] = NULL;
	free(l);
}

static const struct device_class lapic_class = {
	.name = "lapic",
	.reset = lapic_reset,
	.destroy = lapic_destroy,
};

struct lapic *lapic_create(struct machine_bus *bus, u32 id, int *err)
{
	struct lapic *l;

	*err = -EINVAL;
	if (id >= bus->nvps || bus->lapic[id])
		return NULL;
	l = calloc(1, sizeof(*l));
	*err = l ? 0 : -ENOMEM;
	if (!l)
		return NULL;
	/* one region for all: the access finds its VP's APIC */
	if (id == 0)
		*err = mem_add_mmio(bus->mem, "lapic", LAPIC_BASE_DEFAULT, LAPIC_BYTES,
				    &lapic_mmio_ops, l);
	if (*err) {
		free(l);
		return NULL;
	}
	l->vp = id;
	timer_init(&l->timer, lapic_timer_fire, l);
	bus_add_device(bus, &l->dev, &lapic_class);
	bus->lapic[id] = l;
	if (id == 0 && bus->pic)
		l->lint[0] = pic_has_interrupt(bus->pic);
	lapic_reset(&l->dev);
	return l;
}
