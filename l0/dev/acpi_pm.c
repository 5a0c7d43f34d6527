/* acpi_pm.c - ACPI fixed hardware, see acpi_pm.h */
#include "l0/dev/acpi_pm.h"

#include <errno.h>
#include <stdlib.h>

#include "l0/arch/ports.h"
#include "l0/base/bits.h"

#define ACPI_PM_BYTES 16u

#define STS_TIMER 0x0001 /* the timer's top bit changed */
#define STS_GLOBAL 0x0020
#define STS_BUTTON 0x0100
#define STS_ALL (STS_TIMER | STS_GLOBAL | STS_BUTTON | 0xc600)
#define EN_ALL (STS_TIMER | STS_GLOBAL | STS_BUTTON | 0x0600)

#define CNT_SCI_EN 0x0001
#define CNT_SLP_TYP_SHIFT 10
#define CNT_SLP_TYP 0x1c00
#define CNT_SLP_EN 0x2000
#define CNT_KEPT 0x1c03

#define TIMER_HALF (1ull << 31) /* ticks between changes of bit 31 */

struct acpi_pm {
	struct device dev;
	u16 status, enable, control;
	u16 gpe_status, gpe_enable;
	struct timer overflow; /* armed while the timer's event is enabled */
	u64 seen_half;	       /* changes of the top bit that have been reported */
	u64 due_ns;
};

static const struct clock pm_clock = {.tsc_hz = ACPI_PM_HZ};

static u64 ticks(struct acpi_pm *p)
{
	return clock_tsc(&pm_clock, bus_now(p->dev.bus));
}

/* Bring TMR_STS up to date, set the line, arm the next overflow. */
static void update(struct acpi_pm *p)
{
	u64 half = ticks(p) / TIMER_HALF;

	if (half != p->seen_half)
		p->status |= STS_TIMER;
	p->seen_half = half;
	irq_set(&p->dev.bus->irq, GSI_ACPI, INTR_SOURCE_DEVICE,
		(p->status & p->enable) || (p->gpe_status & p->gpe_enable), p->due_ns);
	bus_timer_arm(p->dev.bus, &p->overflow,
		      p->enable & STS_TIMER ? clock_ns_of_tsc(&pm_clock, (half + 1) * TIMER_HALF)
					    : TIMER_NEVER);
}

static void overflowed(void *arg, u64 deadline_ns)
{
	struct acpi_pm *p = arg;

	p->due_ns = deadline_ns;
	update(p);
}

void acpi_pm_power_button(struct acpi_pm *p)
{
	bus_lock(p->dev.bus);
	p->due_ns = bus_now(p->dev.bus);
	p->status |= STS_BUTTON;
	update(p);
	bus_unlock(p->dev.bus);
}

static void write_control(struct acpi_pm *p, u16 value)
{
	struct machine_bus *bus = p->dev.bus;

	p->control = (value & CNT_KEPT) | CNT_SCI_EN;
	if ((value & CNT_SLP_EN) && (value & CNT_SLP_TYP) >> CNT_SLP_TYP_SHIFT == ACPI_SLP_TYP_S5)
		bus->ops->reset(bus->machine, BUS_POWER_OFF);
}

static u64 block_value(struct acpi_pm *p, u32 off)
{
	switch (off / 4) {
	case ACPI_PM_EVENT / 4: return p->status | (u32)p->enable << 16;
	case ACPI_PM_CONTROL / 4: return p->control;
	case ACPI_PM_TIMER / 4: return ticks(p) & 0xffffffff;
	default: return 0;
	}
}

static u32 acpi_pm_read(void *dev, u16 port, unsigned int size)
{
	struct acpi_pm *p = dev;
	u32 off = port - PORT_ACPI_PM;

	bus_lock(p->dev.bus);
	update(p);
	u64 value = block_value(p, off) >> (8 * (off & 3));

	bus_unlock(p->dev.bus);
	return size == 4 ? (u32)value : (u32)value & ((1u << (8 * size)) - 1);
}

/* @value replaces @size bytes at byte @at of @reg; the whole of it is returned. */
static u16 merge(u16 reg, u32 at, u32 value, unsigned int size)
{
	u32 mask = (size >= 2 ? 0xffffu : 0xffu) << (8 * at);

	return (u16)((reg & ~mask) | ((value << (8 * at)) & mask));
}

static void acpi_pm_write(void *dev, u16 port, u32 value, unsigned int size)
{
	struct acpi_pm *p = dev;
	u32 off = port - PORT_ACPI_PM;

	bus_lock(p->dev.bus);
	update(p);
	if (off < 2)
		p->status &= (u16) ~(merge(0, off, value, size) & STS_ALL);
	if (off < 2 && size == 4)
		p->enable = (value >> 16) & EN_ALL;
	else if (off == 2 || off == 3)
		p->enable = merge(p->enable, off - 2, value, size) & EN_ALL;
	else if (off == ACPI_PM_CONTROL || off == ACPI_PM_CONTROL + 1)
		write_control(p, merge(p->control, off - ACPI_PM_CONTROL, value, size));
	update(p);
	bus_unlock(p->dev.bus);
}

static u32 gpe_read(void *dev, u16 port, unsigned int size)
{
	struct acpi_pm *p = dev;

	bus_lock(p->dev.bus);
	u32 value = (p->gpe_status | (u32)p->gpe_enable << 16) >> (8 * (port & 3));

	bus_unlock(p->dev.bus);
	return size == 4 ? value : value & ((1u << (8 * size)) - 1);
}

static void gpe_write(void *dev, u16 port, u32 value, unsigned int size)
{
	struct acpi_pm *p = dev;

	bus_lock(p->dev.bus);
	for (u32 off = port & 3; size && off < ACPI_GPE_BYTES; off++, size--, value >>= 8) {
		if (off < 2)
			p->gpe_status &= (u16)~merge(0, off, value, 1);
		else
			p->gpe_enable = merge(p->gpe_enable, off - 2, value, 1);
	}
	update(p);
	bus_unlock(p->dev.bus);
}

static const struct port_ops gpe_port_ops = {
	.read = gpe_read,
	.write = gpe_write,
};

int acpi_pm_add_gpe(struct acpi_pm *p)
{
	return mem_add_ports(p->dev.bus->mem, "acpi-gpe", PORT_ACPI_PM + ACPI_PM_GPE,
			     ACPI_GPE_BYTES, &gpe_port_ops, p);
}

void acpi_pm_raise_gpe(struct acpi_pm *p, u32 n)
{
	p->due_ns = bus_now(p->dev.bus);
	p->gpe_status |= (u16)BIT(n);
	update(p);
}

static void acpi_pm_reset(struct device *d)
{
	struct acpi_pm *p = container_of(d, struct acpi_pm, dev);

	p->status = p->enable = p->gpe_status = p->gpe_enable = 0;
	p->control = CNT_SCI_EN;
	p->seen_half = ticks(p) / TIMER_HALF;
	update(p);
}

static void acpi_pm_destroy(struct device *d)
{
	struct acpi_pm *p = container_of(d, struct acpi_pm, dev);

	timer_cancel(&d->bus->timers, &p->overflow);
	free(p);
}

static const struct device_class acpi_pm_class = {
	.name = "acpi-pm",
	.reset = acpi_pm_reset,
	.destroy = acpi_pm_destroy,
};

static const struct port_ops acpi_pm_port_ops = {
	.read = acpi_pm_read,
	.write = acpi_pm_write,
};

struct acpi_pm *acpi_pm_create(struct machine_bus *bus, int *err)
{
	struct acpi_pm *p = calloc(1, sizeof(*p));

	if (!p) {
		*err = -ENOMEM;
		return NULL;
	}
	timer_init(&p->overflow, overflowed, p);
	bus_add_device(bus, &p->dev, &acpi_pm_class);
	*err = mem_add_ports(bus->mem, "acpi-pm", PORT_ACPI_PM, ACPI_PM_BYTES, &acpi_pm_port_ops,
			     p);
	if (*err)
		return NULL;
	acpi_pm_reset(&p->dev);
	bus->acpi_pm = p;
	return p;
}
