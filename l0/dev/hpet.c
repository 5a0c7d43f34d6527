/*
 * hpet.c - high precision event timer, see hpet.h
 *
 * The counter is the machine's time in units of 10 ns plus an offset; it stands still while the
 * overall enable is 0. Each comparator has a timer armed for its next match.
 */
#include "l0/dev/hpet.h"

#include <errno.h>
#include <stdlib.h>

#include "l0/base/bits.h"

#define COMPARATORS 3u
#define HPET_BYTES 0x400u

#define OFF_CAPABILITIES 0x000u
#define OFF_CONFIG 0x010u
#define OFF_STATUS 0x020u
#define OFF_COUNTER 0x0f0u
#define OFF_COMPARATORS 0x100u /* 0x20 bytes each: configuration, value, message route */

#define FEMTOSECONDS (HPET_PERIOD_NS * 1000000ull)
#define CAPABILITIES \
	(0x8086a001ull | ((COMPARATORS - 1) << 8) | \
	 FEMTOSECONDS << 32) /* 64-bit, legacy capable \
									 */

#define CONFIG_ENABLE 0x1u
#define CONFIG_LEGACY 0x2u

#define T_LEVEL BIT(1)
#define T_ENABLE BIT(2)
#define T_PERIODIC BIT(3)
#define T_PERIODIC_CAP BIT(4)
#define T_64BIT_CAP BIT(5)
#define T_SET_VALUE BIT(6)
#define T_32BIT BIT(8)
#define T_ROUTE_SHIFT 9
#define T_WRITABLE \
	(T_LEVEL | T_ENABLE | T_PERIODIC | T_SET_VALUE | T_32BIT | 0x1full << T_ROUTE_SHIFT)
/* I/O APIC inputs that a comparator may be routed to: those without an ISA device. */
#define ROUTES 0x00f00000ull
#define T_CAPABILITIES (ROUTES << 32 | T_PERIODIC_CAP | T_64BIT_CAP)

struct comparator {
	struct hpet *hpet;
	u32 index;
	u64 config;
	u64 value;  /* the next match */
	u64 period; /* what was written last */
	struct timer timer;
};

struct hpet {
	struct device dev;
	u64 config, status;
	u64 stopped_at; /* the counter while it stands */
	u64 offset;	/* counter - time while it runs */
	struct comparator cmp[COMPARATORS];
};

static u64 counter(struct hpet *h)
{
	if (!(h->config & CONFIG_ENABLE))
		return h->stopped_at;
	return bus_now(h->dev.bus) / HPET_PERIOD_NS + h->offset;
}

static u32 line_of(const struct comparator *c)
{
	if ((c->hpet->config & CONFIG_LEGACY) && c->index < 2)
		return c->index == 0 ? GSI_PIT : GSI_RTC;
	return (u32)(c->config >> T_ROUTE_SHIFT) & 31;
}

static bool is_legacy(const struct comparator *c)
{
	return (c->hpet->config & CONFIG_LEGACY) && c->index < 2;
}

static void set_line(struct comparator *c, bool level, u64 due_ns)
{
	irq_set(&c->hpet->dev.bus->irq, line_of(c), INTR_SOURCE_HPET, level, due_ns);
}

/* Its line low, nothing owed: before it changes. */
static void quiet(struct comparator *c)
{
	set_line(c, false, 0);
	irq_owe_nothing(&c->hpet->dev.bus->irq, line_of(c));
}

/* Arm for the next match after now; a 32-bit comparator matches at every wrap of the low half. */
static void arm(struct comparator *c)
{
	struct hpet *h = c->hpet;
	u64 deadline = TIMER_NEVER, now = counter(h);
	u64 left = c->value - now;

	if (c->config & T_32BIT)
		left &= mask_low(32);
	/* equal now: already matched, the next time is a whole turn away */
	if (!left)
		left = c->config & T_32BIT ? BIT(32) : ~0ull;
	if ((h->config & CONFIG_ENABLE) && left < (~0ull >> 8))
		deadline = (bus_now(h->dev.bus) / HPET_PERIOD_NS + left) * HPET_PERIOD_NS;
	bus_timer_arm(h->dev.bus, &c->timer, deadline);
}

static void matched(void *arg, u64 deadline_ns)
{
	struct comparator *c = arg;
	struct hpet *h = c->hpet;
	u64 missed = 0;

	if ((c->config & T_PERIODIC) && c->period) {
		u64 width = c->config & T_32BIT ? mask_low(32) : ~0ull;
		u64 behind = (counter(h) - c->value) & width;

		/* none when the timer came early, which makes it less than nothing */
		missed = behind > width / 2 ? 0 : behind / c->period;
		c->value = (c->value + (missed + 1) * c->period) & width;
	}
	if (c->config & T_LEVEL) {
		h->status |= BIT(c->index);
		if (c->config & T_ENABLE)
			set_line(c, true, deadline_ns);
	} else if (c->config & T_ENABLE) {
		set_line(c, false, deadline_ns);
		set_line(c, true, deadline_ns);
		if (c->period * HPET_PERIOD_NS >= IRQ_OWED_PERIOD_NS)
			irq_owe(&h->dev.bus->irq, line_of(c), INTR_SOURCE_HPET, missed);
	}
	arm(c);
}

/* A level-triggered comparator that matched drives its line, wherever it is routed now. */
static void restore_level(struct comparator *c)
{
	if ((c->config & T_LEVEL) && (c->config & T_ENABLE) && (c->hpet->status & BIT(c->index)))
		set_line(c, true, bus_now(c->hpet->dev.bus));
}

/* With legacy routing the PIT and the clock lose their lines to comparators 0 and 1. */
static void mute_legacy(struct hpet *h)
{
	u32 sources = h->config & CONFIG_LEGACY ? BIT(INTR_SOURCE_PIT) | BIT(INTR_SOURCE_RTC) : 0;

	irq_mute(&h->dev.bus->irq, sources, bus_now(h->dev.bus));
}

static void write_config(struct hpet *h, u64 value)
{
	u64 now = counter(h);

	for (u32 i = 0; i < COMPARATORS; i++)
		quiet(&h->cmp[i]);
	h->stopped_at = now;
	h->config = value & (CONFIG_ENABLE | CONFIG_LEGACY);
	h->offset = now - bus_now(h->dev.bus) / HPET_PERIOD_NS;
	mute_legacy(h);
	for (u32 i = 0; i < COMPARATORS; i++) {
		restore_level(&h->cmp[i]);
		arm(&h->cmp[i]);
	}
}

static void write_comparator_config(struct comparator *c, u64 value)
{
	quiet(c);
	c->config = (value & T_WRITABLE) | T_CAPABILITIES;
	if (c->config & T_32BIT) {
		c->value &= mask_low(32);
		c->period &= mask_low(32);
	}
	if (!is_legacy(c) && !(ROUTES >> (c->config >> T_ROUTE_SHIFT & 31) & 1))
		c->config &= ~(0x1full << T_ROUTE_SHIFT); /* refused: software reads back 0 */
	restore_level(c);
	arm(c);
}

static void write_comparator_value(struct comparator *c, u64 value)
{
	if (c->config & T_32BIT)
		value &= mask_low(32);
	if (!(c->config & T_PERIODIC) || (c->config & T_SET_VALUE))
		c->value = value;
	else
		c->period = value;
	/* in periodic mode without a set before, one write gives both */
	if ((c->config & T_PERIODIC) && (c->config & T_SET_VALUE))
		c->period = c->period ? c->period : value;
	c->config &= ~T_SET_VALUE;
	arm(c);
}

static u64 read_register(struct hpet *h, u32 off)
{
	u32 i = (off - OFF_COMPARATORS) / 0x20;

	switch (off) {
	case OFF_CAPABILITIES: return CAPABILITIES;
	case OFF_CONFIG: return h->config;
	case OFF_STATUS: return h->status;
	case OFF_COUNTER: return counter(h);
	}
	if (off < OFF_COMPARATORS || i >= COMPARATORS)
		return 0;
	switch (off & 0x1f) {
	case 0x00: return h->cmp[i].config;
	case 0x08: return h->cmp[i].value;
	default: return 0;
	}
}

static void write_status(struct hpet *h, u64 value)
{
	for (u32 i = 0; i < COMPARATORS; i++) {
		if (!(value & h->status & BIT(i)))
			continue;
		h->status &= ~BIT(i);
		set_line(&h->cmp[i], false, 0);
	}
}

static void write_register(struct hpet *h, u32 off, u64 value)
{
	u32 i = (off - OFF_COMPARATORS) / 0x20;

	switch (off) {
	case OFF_CONFIG: write_config(h, value); return;
	case OFF_STATUS: write_status(h, value); return;
	case OFF_COUNTER: /* software writes it only while it stands */
		if (!(h->config & CONFIG_ENABLE))
			h->stopped_at = value;
		return;
	}
	if (off < OFF_COMPARATORS || i >= COMPARATORS)
		return;
	if ((off & 0x1f) == 0x00)
		write_comparator_config(&h->cmp[i], value);
	else if ((off & 0x1f) == 0x08)
		write_comparator_value(&h->cmp[i], value);
}

static u64 hpet_read(void *dev, u64 offset, unsigned int size)
{
	struct hpet *h = dev;

	if (size < 4 || (offset & (size - 1)))
		return 0;
	bus_lock(h->dev.bus);
	u64 value = read_register(h, (u32)offset & ~7u) >> (8 * (offset & 7));

	bus_unlock(h->dev.bus);
	return value & mask_low(8 * size);
}

static void hpet_write(void *dev, u64 offset, u64 value, unsigned int size)
{
	struct hpet *h = dev;
	u32 off = (u32)offset & ~7u;

	if (size < 4 || (offset & (size - 1)))
		return;
	bus_lock(h->dev.bus);
	if (size == 4) {
		u64 old = off == OFF_STATUS ? 0 : read_register(h, off);

		value = offset & 4 ? (old & mask_low(32)) | value << 32
				   : (old & ~mask_low(32)) | (value & mask_low(32));
	}
	write_register(h, off, value);
	bus_unlock(h->dev.bus);
}

static void hpet_reset(struct device *d)
{
	struct hpet *h = container_of(d, struct hpet, dev);

	for (u32 i = 0; i < COMPARATORS; i++) {
		struct comparator *c = &h->cmp[i];

		set_line(c, false, 0);
		c->config = T_CAPABILITIES;
		c->value = ~0ull;
		c->period = 0;
		bus_timer_arm(d->bus, &c->timer, TIMER_NEVER);
	}
	h->config = h->status = h->stopped_at = h->offset = 0;
	mute_legacy(h);
}

static void hpet_destroy(struct device *d)
{
	struct hpet *h = container_of(d, struct hpet, dev);

	for (u32 i = 0; i < COMPARATORS; i++)
		timer_cancel(&d->bus->timers, &h->cmp[i].timer);
	free(h);
}

static const struct device_class hpet_class = {
	.name = "hpet",
	.reset = hpet_reset,
	.destroy = hpet_destroy,
};

static const struct mmio_ops hpet_mmio_ops = {
	.read = hpet_read,
	.write = hpet_write,
};

int hpet_create(struct machine_bus *bus)
{
	struct hpet *h = calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	for (u32 i = 0; i < COMPARATORS; i++) {
		h->cmp[i].hpet = h;
		h->cmp[i].index = i;
		timer_init(&h->cmp[i].timer, matched, &h->cmp[i]);
	}
	bus_add_device(bus, &h->dev, &hpet_class);
	hpet_reset(&h->dev);
	return mem_add_mmio(bus->mem, "hpet", HPET_BASE_DEFAULT, HPET_BYTES, &hpet_mmio_ops, h);
}
