/*
 * pic8259.c - 8259A pair, see pic8259.h
 *
 * The slave's output is not a line with edges here: the master's request bit 2 is recomputed from
 * the slave's state, so no request is lost between two acknowledge cycles.
 */
#include "l0/dev/pic8259.h"

#include <errno.h>
#include <stdlib.h>

#include "l0/arch/ports.h"
#include "l0/dev/lapic.h"

#define CASCADE 2u
#define NO_IRQ 8u /* also the priority of "nothing" */

#define ICW1_INIT 0x10
#define ICW1_SINGLE 0x02
#define ICW1_ICW4 0x01
#define ICW4_AUTO_EOI 0x02
#define ICW4_NESTED 0x10
#define OCW3 0x08
#define OCW3_POLL 0x04
#define OCW3_READ_MASK 0x03
#define OCW3_READ_IRR 0x02
#define OCW3_READ_ISR 0x03
#define OCW3_SMM_MASK 0x60
#define OCW3_SMM_OFF 0x40
#define OCW3_SMM_ON 0x60

enum init_state { INIT_DONE, INIT_ICW2, INIT_ICW3, INIT_ICW4 };

struct chip {
	u8 irr, isr, imr;
	u8 lines;  /* levels of the inputs */
	u8 elcr;   /* 1: level triggered */
	u8 base;   /* vector of input 0 */
	u8 lowest; /* input after which the highest priority begins: 7 unless rotated */
	bool auto_eoi, rotate_on_auto_eoi, special_mask, fully_nested, read_isr, poll;
	bool single, wants_icw4;
	enum init_state init;
	u64 due_ns[8];
};

struct pic {
	struct device dev;
	struct chip chip[2]; /* master, slave */
	bool intr;
};

/* Rank of the most urgent input in @mask: 0 highest, NO_IRQ when there is none. */
static u32 rank_of(const struct chip *c, u8 mask)
{
	for (u32 rank = 0; rank < 8; rank++)
		if (mask & (1u << ((c->lowest + 1u + rank) & 7)))
			return rank;
	return NO_IRQ;
}

static u32 input_of_rank(const struct chip *c, u32 rank)
{
	return (c->lowest + 1u + rank) & 7;
}

/* The input to be served next, or NO_IRQ. */
static u32 next_irq(const struct pic *p, const struct chip *c)
{
	u32 rank = rank_of(c, c->irr & (u8)~c->imr);
	u8 in_service = c->isr;

	if (rank == NO_IRQ)
		return NO_IRQ;
	if (c->special_mask)
		in_service &= (u8)~c->imr;
	/* the slave may interrupt itself: the master does not count what it has in service */
	if (c->fully_nested && c == &p->chip[0])
		in_service &= (u8) ~(1u << CASCADE);
	return rank < rank_of(c, in_service) ? input_of_rank(c, rank) : NO_IRQ;
}

static void update(struct pic *p)
{
	struct chip *m = &p->chip[0], *s = &p->chip[1];
	u32 irq = next_irq(p, s);

	if (irq != NO_IRQ) {
		m->irr |= 1u << CASCADE;
		m->due_ns[CASCADE] = s->due_ns[irq];
	} else {
		m->irr &= (u8) ~(1u << CASCADE);
	}
	bool intr = next_irq(p, m) != NO_IRQ;

	if (intr == p->intr)
		return;
	p->intr = intr;
	struct machine_bus *bus = p->dev.bus;

	if (bus->lapic[0])
		lapic_set_lint0(bus->lapic[0], intr);
	else
		bus->ops->set_intr(bus->machine, 0, intr);
}

static void set_input(struct pic *p, u32 gsi, bool level, u32 source, u64 due_ns)
{
	struct chip *c = &p->chip[gsi >> 3];
	u8 bit = (u8)(1u << (gsi & 7));
	bool rises = level && !(c->lines & bit);

	if (level)
		c->lines |= bit;
	else
		c->lines &= (u8)~bit;
	if (!level)
		c->irr &= (u8) ~(bit & c->elcr);
	else if (rises || (c->elcr & bit))
		c->irr |= bit;
	if (rises) {
		c->due_ns[gsi & 7] = due_ns;
		if (!(c->imr & bit))
			bus_intr_due(p->dev.bus, 0, source, c->base + (gsi & 7), due_ns);
	}
}

static void line_changed(void *arg, u32 gsi, bool level, u32 source, u64 due_ns)
{
	struct pic *p = arg;

	if (gsi >= 16 || gsi == CASCADE)
		return;
	set_input(p, gsi, level, source, due_ns);
	update(p);
}

static void end_of_interrupt(struct chip *c, u32 irq, bool rotate)
{
	c->isr &= (u8) ~(1u << irq);
	if (rotate)
		c->lowest = (u8)irq;
}

/* One chip's part of an acknowledge cycle. */
static void acknowledge(struct chip *c, u32 irq)
{
	u8 bit = (u8)(1u << irq);

	c->isr |= bit;
	if (!(c->elcr & bit))
		c->irr &= (u8)~bit;
	if (c->auto_eoi)
		end_of_interrupt(c, irq, c->rotate_on_auto_eoi);
}

bool pic_has_interrupt(const struct pic *p)
{
	return p->intr;
}

u8 pic_ack(struct pic *p, u64 *due_ns)
{
	struct chip *c = &p->chip[0];
	u32 irq = next_irq(p, c);
	u64 due = irq == NO_IRQ ? 0 : c->due_ns[irq];

	if (irq == CASCADE) {
		u32 slave_irq = next_irq(p, &p->chip[1]);

		acknowledge(c, CASCADE);
		c = &p->chip[1];
		irq = slave_irq;
	}
	if (irq == NO_IRQ)
		irq = 7; /* spurious: no in-service bit */
	else
		acknowledge(c, irq);
	u8 vector = (u8)(c->base + irq);

	update(p);
	if (due_ns)
		*due_ns = due;
	return vector;
}

/* ---- registers ------------------------------------------------------------------------------- */

static void write_icw1(struct chip *c, u8 value)
{
	/* edge detection starts anew: what was latched is gone, level inputs remain */
	c->irr = c->lines & c->elcr;
	c->isr = c->imr = 0;
	c->lowest = 7;
	c->special_mask = c->read_isr = c->poll = false;
	c->auto_eoi = c->rotate_on_auto_eoi = c->fully_nested = false;
	c->single = value & ICW1_SINGLE;
	c->wants_icw4 = value & ICW1_ICW4;
	c->init = INIT_ICW2;
}

static void write_ocw2(struct chip *c, u8 value)
{
	u32 irq = value & 7;
	u8 in_service = c->special_mask ? c->isr & (u8)~c->imr : c->isr;

	switch (value >> 5) {
	case 0: /* rotate in automatic EOI mode: off, on */
	case 4: c->rotate_on_auto_eoi = value >> 7; break;
	case 1: /* non-specific EOI, with and without rotation */
	case 5:
		irq = rank_of(c, in_service);
		if (irq != NO_IRQ)
			end_of_interrupt(c, input_of_rank(c, irq), value >> 7);
		break;
	case 3: /* specific EOI */
	case 7: end_of_interrupt(c, irq, value >> 7); break;
	case 6: c->lowest = (u8)irq; break;
	}
}

static void write_ocw3(struct chip *c, u8 value)
{
	if ((value & OCW3_SMM_MASK) == OCW3_SMM_ON)
		c->special_mask = true;
	else if ((value & OCW3_SMM_MASK) == OCW3_SMM_OFF)
		c->special_mask = false;
	c->poll = value & OCW3_POLL;
	if ((value & OCW3_READ_MASK) == OCW3_READ_ISR)
		c->read_isr = true;
	else if ((value & OCW3_READ_MASK) == OCW3_READ_IRR)
		c->read_isr = false;
}

static void write_data(struct chip *c, u8 value)
{
	switch (c->init) {
	case INIT_DONE: c->imr = value; break;
	case INIT_ICW2:
		c->base = value & 0xf8;
		c->init = !c->single ? INIT_ICW3 : c->wants_icw4 ? INIT_ICW4 : INIT_DONE;
		break;
	case INIT_ICW3: /* the wiring is fixed */
		c->init = c->wants_icw4 ? INIT_ICW4 : INIT_DONE;
		break;
	case INIT_ICW4:
		c->auto_eoi = value & ICW4_AUTO_EOI;
		c->fully_nested = value & ICW4_NESTED;
		c->init = INIT_DONE;
		break;
	}
}

static void write_port(struct chip *c, bool data, u8 value)
{
	if (data)
		write_data(c, value);
	else if (value & ICW1_INIT)
		write_icw1(c, value);
	else if (value & OCW3)
		write_ocw3(c, value);
	else
		write_ocw2(c, value);
}

static u8 read_port(struct pic *p, struct chip *c, bool data)
{
	if (c->poll) {
		u32 irq = next_irq(p, c);

		c->poll = false;
		if (irq == NO_IRQ)
			return 0;
		acknowledge(c, irq);
		return (u8)(0x80 | irq);
	}
	if (data)
		return c->imr;
	return c->read_isr ? c->isr : c->irr;
}

static void write_elcr(struct pic *p, u32 index, u8 value)
{
	/* timer, keyboard, cascade, clock and coprocessor are always edge triggered */
	static const u8 writable[2] = {0xf8, 0xde};
	struct chip *c = &p->chip[index];

	c->elcr = value & writable[index];
	c->irr |= c->lines & c->elcr;
}

static u32 pic_port_read(void *dev, u16 port, unsigned int size)
{
	struct pic *p = dev;
	u32 value = 0;

	bus_lock(p->dev.bus);
	for (unsigned int i = 0; i < size; i++) {
		u32 at = (u32)port + i;
		u8 byte = 0xff;

		if (at == PORT_PIC1_ELCR || at == PORT_PIC2_ELCR)
			byte = p->chip[at - PORT_PIC1_ELCR].elcr;
		else if (at == PORT_PIC1_CMD || at == PORT_PIC1_DATA)
			byte = read_port(p, &p->chip[0], at == PORT_PIC1_DATA);
		else if (at == PORT_PIC2_CMD || at == PORT_PIC2_DATA)
			byte = read_port(p, &p->chip[1], at == PORT_PIC2_DATA);
		value |= (u32)byte << (8 * i);
	}
	update(p);
	bus_unlock(p->dev.bus);
	return value;
}

static void pic_port_write(void *dev, u16 port, u32 value, unsigned int size)
{
	struct pic *p = dev;

	bus_lock(p->dev.bus);
	for (unsigned int i = 0; i < size; i++) {
		u32 at = (u32)port + i;
		u8 byte = (u8)(value >> (8 * i));

		if (at == PORT_PIC1_ELCR || at == PORT_PIC2_ELCR)
			write_elcr(p, at - PORT_PIC1_ELCR, byte);
		else if (at == PORT_PIC1_CMD || at == PORT_PIC1_DATA)
			write_port(&p->chip[0], at == PORT_PIC1_DATA, byte);
		else if (at == PORT_PIC2_CMD || at == PORT_PIC2_DATA)
			write_port(&p->chip[1], at == PORT_PIC2_DATA, byte);
	}
	update(p);
	bus_unlock(p->dev.bus);
}

/* ---- life ------------------------------------------------------------------------------------ */

/* As after power-up, but with the vectors that firmware sets: 8 and 0x70. Nothing is masked;
 * nothing asks either until the guest programs a device. */
static void pic_reset(struct device *d)
{
	struct pic *p = container_of(d, struct pic, dev);
	static const u8 bases[2] = {0x08, 0x70};

	for (u32 i = 0; i < 2; i++) {
		u8 lines = p->chip[i].lines;

		p->chip[i] = (struct chip){.lowest = 7, .base = bases[i], .lines = lines};
	}
	update(p);
}

static void pic_destroy(struct device *d)
{
	d->bus->pic = NULL;
	free(container_of(d, struct pic, dev));
}

static const struct device_class pic_class = {
	.name = "pic8259",
	.reset = pic_reset,
	.destroy = pic_destroy,
};

static const struct port_ops pic_port_ops = {
	.read = pic_port_read,
	.write = pic_port_write,
};

static int register_all(struct machine_bus *bus, struct pic *p)
{
	static const u16 first[] = {PORT_PIC1_CMD, PORT_PIC2_CMD, PORT_PIC1_ELCR};

	for (size_t i = 0; i < ARRAY_SIZE(first); i++) {
		int err = mem_add_ports(bus->mem, "pic8259", first[i], 2, &pic_port_ops, p);

		if (err)
			return err;
	}
	return irq_add_sink(&bus->irq, &(struct irq_line){.set = line_changed, .arg = p});
}

struct pic *pic_create(struct machine_bus *bus, int *err)
{
	struct pic *p = calloc(1, sizeof(*p));

	if (!p) {
		*err = -ENOMEM;
		return NULL;
	}
	bus_add_device(bus, &p->dev, &pic_class);
	*err = register_all(bus, p);
	if (*err)
		return NULL;
	bus->pic = p;
	pic_reset(&p->dev);
	return p;
}
