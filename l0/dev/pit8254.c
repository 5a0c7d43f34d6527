/*
 * pit8254.c - 8254 interval timer, see pit8254.h
 *
 * Time is counted in ticks of the input clock since the machine's start. A channel remembers the
 * tick at which its counting element was loaded; count and output follow from how many ticks have
 * passed, so nothing happens between two looks. Channel 0 keeps one timer armed for its next
 * rising edge.
 */
#include "l0/dev/pit8254.h"

#include <errno.h>
#include <stdlib.h>

#include "l0/arch/ports.h"

#define CHANNELS 3u
#define REFRESH_TOGGLE_NS 15085u /* half a period of channel 1 on a PC */
#define SYSTEM_B_WRITABLE 0x0f
#define SYSTEM_B_REFRESH 0x10

#define CONTROL_BCD 0x01
#define READBACK_NO_COUNT 0x20
#define READBACK_NO_STATUS 0x10
#define STATUS_OUT 0x80
#define STATUS_NULL 0x40

enum rw { RW_LATCH, RW_LSB, RW_MSB, RW_WORD };

struct channel {
	u8 mode; /* 0-5 */
	u8 rw;	 /* enum rw */
	bool bcd;
	bool gate;
	bool loaded;	/* a count was written since the control word */
	bool triggered; /* modes 1, 5: the gate rose since then */
	bool write_msb; /* RW_WORD: the next byte written (read) is the second */
	bool read_msb;
	u8 lsb; /* first byte of a word being written */

	u16 reload;	/* the count as written */
	u64 start_tick; /* when the counting element was loaded with it */
	u64 frozen;	/* gate low in modes 0, 4: ticks counted so far */
	bool has_next;	/* modes 2, 3: a new count takes effect at next_tick */
	u16 next_reload;
	u64 next_tick;

	u8 latched_bytes; /* bytes of the latched count still to be read */
	u16 latch;
	bool has_status;
	u8 status;
};

struct pit {
	struct device dev;
	struct channel ch[CHANNELS];
	u8 port61;	   /* the writable bits */
	struct timer edge; /* channel 0's next rising edge */
	u64 edge_tick;
};

/* Conversions between nanoseconds and ticks: as for a time-stamp counter of this frequency. */
static const struct clock tick_clock = {.tsc_hz = PIT_HZ};

static u64 tick_of_ns(u64 ns)
{
	return clock_tsc(&tick_clock, ns);
}

static u64 ns_of_tick(u64 tick)
{
	return clock_ns_of_tsc(&tick_clock, tick);
}

static u64 now_tick(struct pit *p)
{
	return tick_of_ns(bus_now(p->dev.bus));
}

/* ---- counting -------------------------------------------------------------------------------- */

static u32 bcd_to_binary(u16 v)
{
	return (v >> 12) * 1000u + (v >> 8 & 15) * 100u + (v >> 4 & 15) * 10u + (v & 15);
}

static u16 binary_to_bcd(u32 v)
{
	return (u16)(v / 1000 % 10 << 12 | v / 100 % 10 << 8 | v / 10 % 10 << 4 | v % 10);
}

static u32 modulus(const struct channel *c)
{
	return c->bcd ? 10000 : 65536;
}

/* The number of ticks that @raw stands for: 0 is the largest. */
static u64 period_of(const struct channel *c, u16 raw)
{
	u32 n = c->bcd ? bcd_to_binary(raw) : raw;

	return n ? n : modulus(c);
}

static bool is_periodic(const struct channel *c)
{
	return c->mode == 2 || c->mode == 3;
}

static bool is_triggered_by_gate(const struct channel *c)
{
	return c->mode == 1 || c->mode == 5;
}

static bool is_counting(const struct channel *c)
{
	return c->loaded && (!is_triggered_by_gate(c) || c->triggered);
}

/* A new count of a periodic mode takes over at the end of the period in which it was written. */
static void catch_up(struct channel *c, u64 tick)
{
	if (c->has_next && tick >= c->next_tick) {
		c->reload = c->next_reload;
		c->start_tick = c->next_tick;
		c->has_next = false;
	}
}

/* Ticks since the load. */
static u64 elapsed(const struct channel *c, u64 tick)
{
	if (!c->gate && (c->mode == 0 || c->mode == 4))
		return c->frozen;
	return tick > c->start_tick ? tick - c->start_tick : 0;
}

static bool output(const struct channel *c, u64 tick)
{
	u64 d = elapsed(c, tick), n = period_of(c, c->reload);

	if (!is_counting(c))
		return c->mode != 0;
	switch (c->mode) {
	case 0:
	case 1: return d >= n;
	case 2: return !c->gate || d % n != n - 1;
	case 3: return !c->gate || d % n < (n + 1) / 2;
	default: return d != n;
	}
}

static u16 counter(const struct channel *c, u64 tick)
{
	u64 d = elapsed(c, tick), n = period_of(c, c->reload);
	u32 m = modulus(c), v;

	if (!is_counting(c))
		return c->reload;
	if (c->mode == 2)
		v = (u32)(n - d % n);
	else if (c->mode == 3) /* counts down by two, twice a period */
		v = (u32)((n & ~1ull) - 2 * (d % n % ((n + 1) / 2)));
	else
		v = (u32)((n + m - d % m) % m);
	v %= m;
	return c->bcd ? binary_to_bcd(v) : (u16)v;
}

/* ---- channel 0's line ------------------------------------------------------------------------ */

/* Tick of the first rising edge after @tick, or ~0. */
static u64 next_edge(const struct channel *c, u64 tick)
{
	u64 n = period_of(c, c->reload), d = elapsed(c, tick), at;

	if (!is_counting(c) || !c->gate)
		return ~0ull;
	switch (c->mode) {
	case 0:
	case 1: at = c->start_tick + n; return at > tick ? at : ~0ull;
	case 2:
	case 3:
		at = c->start_tick + (tick < c->start_tick ? n : (d / n + 1) * n);
		return c->has_next && c->next_tick > tick ? MIN(at, c->next_tick) : at;
	default: at = c->start_tick + n + 1; return at > tick ? at : ~0ull;
	}
}

static void arm_edge(struct pit *p, u64 tick)
{
	p->edge_tick = next_edge(&p->ch[0], tick);
	bus_timer_arm(p->dev.bus, &p->edge,
		      p->edge_tick == ~0ull ? TIMER_NEVER : ns_of_tick(p->edge_tick));
}

static void set_line(struct pit *p, bool level, u64 due_ns)
{
	irq_set(&p->dev.bus->irq, GSI_PIT, INTR_SOURCE_PIT, level, due_ns);
}

/* The programming of channel 0 changed: its line and its next edge. */
static void channel0_changed(struct pit *p, u64 tick)
{
	irq_owe_nothing(&p->dev.bus->irq, GSI_PIT);
	set_line(p, output(&p->ch[0], tick), bus_now(p->dev.bus));
	arm_edge(p, tick);
}

static void edge_expired(void *arg, u64 deadline_ns)
{
	struct pit *p = arg;
	struct channel *c = &p->ch[0];
	u64 tick = MAX(now_tick(p), p->edge_tick), period = period_of(c, c->reload);

	catch_up(c, p->edge_tick);
	/* the output was low for a moment before it rises */
	set_line(p, false, deadline_ns);
	set_line(p, true, deadline_ns);
	if (is_periodic(c) && ns_of_tick(period) >= IRQ_OWED_PERIOD_NS)
		irq_owe(&p->dev.bus->irq, GSI_PIT, INTR_SOURCE_PIT, (tick - p->edge_tick) / period);
	catch_up(c, tick);
	arm_edge(p, tick);
}

/* ---- registers ------------------------------------------------------------------------------- */

static void load_count(struct channel *c, u16 raw, u64 tick)
{
	if (is_periodic(c) && c->loaded && c->gate) {
		u64 n = period_of(c, c->reload), d = elapsed(c, tick);

		c->has_next = true;
		c->next_reload = raw;
		c->next_tick = c->start_tick + (d / n + 1) * n;
		return;
	}
	c->reload = raw;
	c->loaded = true;
	c->has_next = false;
	if (is_triggered_by_gate(c))
		return;		  /* counts from the next trigger; a count under way goes on */
	c->start_tick = tick + 1; /* loaded by the next clock pulse */
	c->frozen = 0;
}

static void write_count(struct channel *c, u8 value, u64 tick)
{
	catch_up(c, tick);
	switch (c->rw) {
	case RW_LSB: load_count(c, value, tick); break;
	case RW_MSB: load_count(c, (u16)(value << 8), tick); break;
	default:
		if (!c->write_msb) {
			c->lsb = value;
			if (c->mode == 0)
				c->loaded = false; /* the first byte stops the counting */
		} else {
			load_count(c, (u16)(value << 8 | c->lsb), tick);
		}
		c->write_msb = !c->write_msb;
	}
}

static void latch_count(struct channel *c, u64 tick)
{
	if (c->latched_bytes)
		return;
	catch_up(c, tick);
	c->latch = counter(c, tick);
	c->latched_bytes = c->rw == RW_WORD ? 2 : 1;
}

static void latch_status(struct channel *c, u64 tick)
{
	if (c->has_status)
		return;
	catch_up(c, tick);
	bool null_count =
		!c->loaded || c->has_next || (!is_triggered_by_gate(c) && tick < c->start_tick);

	c->has_status = true;
	c->status = (u8)((output(c, tick) ? STATUS_OUT : 0) | (null_count ? STATUS_NULL : 0) |
			 c->rw << 4 | c->mode << 1 | (c->bcd ? 1 : 0));
}

static u8 read_channel(struct channel *c, u64 tick)
{
	if (c->has_status) {
		c->has_status = false;
		return c->status;
	}
	catch_up(c, tick);
	u16 v = c->latched_bytes ? c->latch : counter(c, tick);

	if (c->latched_bytes)
		c->latched_bytes--;
	switch (c->rw) {
	case RW_LSB: return (u8)v;
	case RW_MSB: return (u8)(v >> 8);
	default: c->read_msb = !c->read_msb; return c->read_msb ? (u8)v : (u8)(v >> 8);
	}
}

static void write_control(struct pit *p, u8 value, u64 tick)
{
	u32 index = value >> 6;

	if (index == 3) { /* read-back */
		for (u32 i = 0; i < CHANNELS; i++) {
			if (!(value & (2u << i)))
				continue;
			if (!(value & READBACK_NO_COUNT))
				latch_count(&p->ch[i], tick);
			if (!(value & READBACK_NO_STATUS))
				latch_status(&p->ch[i], tick);
		}
		return;
	}
	struct channel *c = &p->ch[index];

	if ((value >> 4 & 3) == RW_LATCH) {
		latch_count(c, tick);
		return;
	}
	u8 mode = value >> 1 & 7;

	*c = (struct channel){
		.mode = mode > 5 ? mode - 4 : mode,
		.rw = value >> 4 & 3,
		.bcd = value & CONTROL_BCD,
		.gate = c->gate,
		.reload = c->reload,
	};
	if (index == 0)
		channel0_changed(p, tick);
}

static void set_gate(struct channel *c, bool gate, u64 tick)
{
	if (gate == c->gate)
		return;
	catch_up(c, tick);
	if (!gate)
		c->frozen = elapsed(c, tick);
	c->gate = gate;
	if (!gate)
		return;
	if (c->mode == 0 || c->mode == 4) {
		c->start_tick = tick - MIN(c->frozen, tick);
	} else { /* a trigger: reload */
		c->start_tick = tick + 1;
		c->triggered = true;
		if (c->has_next)
			c->reload = c->next_reload;
		c->has_next = false;
	}
}

static u8 read_port61(struct pit *p, u64 tick)
{
	u8 value = p->port61;

	catch_up(&p->ch[2], tick);
	if (bus_now(p->dev.bus) / REFRESH_TOGGLE_NS & 1)
		value |= SYSTEM_B_REFRESH;
	if (output(&p->ch[2], tick))
		value |= SYSTEM_B_OUT2;
	return value;
}

static u32 pit_port_read(void *dev, u16 port, unsigned int size)
{
	struct pit *p = dev;
	u32 value = 0;

	bus_lock(p->dev.bus);
	u64 tick = now_tick(p);

	for (unsigned int i = 0; i < size; i++) {
		u32 at = (u32)port + i;
		u8 byte = 0xff; /* the control word cannot be read */

		if (at - PORT_PIT_CH0 < CHANNELS)
			byte = read_channel(&p->ch[at - PORT_PIT_CH0], tick);
		else if (at == PORT_SYSTEM_B)
			byte = read_port61(p, tick);
		value |= (u32)byte << (8 * i);
	}
	bus_unlock(p->dev.bus);
	return value;
}

static void write_byte(struct pit *p, u32 port, u8 value, u64 tick)
{
	if (port - PORT_PIT_CH0 < CHANNELS) {
		write_count(&p->ch[port - PORT_PIT_CH0], value, tick);
		if (port == PORT_PIT_CH0)
			channel0_changed(p, tick);
	} else if (port == PORT_PIT_CMD) {
		write_control(p, value, tick);
	} else if (port == PORT_SYSTEM_B) {
		p->port61 = value & SYSTEM_B_WRITABLE;
		set_gate(&p->ch[2], value & SYSTEM_B_GATE2, tick);
	}
}

static void pit_port_write(void *dev, u16 port, u32 value, unsigned int size)
{
	struct pit *p = dev;

	bus_lock(p->dev.bus);
	u64 tick = now_tick(p);

	for (unsigned int i = 0; i < size; i++)
		write_byte(p, (u32)port + i, (u8)(value >> (8 * i)), tick);
	bus_unlock(p->dev.bus);
}

/* ---- life ------------------------------------------------------------------------------------ */

/* Nothing counts until it is programmed; the outputs are high as in mode 3. */
static void pit_reset(struct device *d)
{
	struct pit *p = container_of(d, struct pit, dev);

	for (u32 i = 0; i < CHANNELS; i++)
		p->ch[i] = (struct channel){.mode = 3, .rw = RW_WORD, .gate = i != 2};
	p->port61 = 0;
	p->edge_tick = ~0ull;
	irq_owe_nothing(&d->bus->irq, GSI_PIT);
	bus_timer_arm(d->bus, &p->edge, TIMER_NEVER);
	set_line(p, false, 0);
}

static void pit_destroy(struct device *d)
{
	struct pit *p = container_of(d, struct pit, dev);

	timer_cancel(&d->bus->timers, &p->edge);
	free(p);
}

static const struct device_class pit_class = {
	.name = "pit8254",
	.reset = pit_reset,
	.destroy = pit_destroy,
};

static const struct port_ops pit_port_ops = {
	.read = pit_port_read,
	.write = pit_port_write,
};

struct pit *pit_create(struct machine_bus *bus, int *err)
{
	struct pit *p = calloc(1, sizeof(*p));

	if (!p) {
		*err = -ENOMEM;
		return NULL;
	}
	timer_init(&p->edge, edge_expired, p);
	bus_add_device(bus, &p->dev, &pit_class);
	*err = mem_add_ports(bus->mem, "pit8254", PORT_PIT_CH0, 4, &pit_port_ops, p);
	if (!*err)
		*err = mem_add_ports(bus->mem, "system-b", PORT_SYSTEM_B, 1, &pit_port_ops, p);
	if (*err)
		return NULL;
	pit_reset(&p->dev);
	return p;
}
