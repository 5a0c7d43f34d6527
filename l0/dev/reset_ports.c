/* reset_ports.c - see reset_ports.h */
#include "l0/dev/reset_ports.h"

#include <errno.h>
#include <stdlib.h>

#include "l0/arch/ports.h"

#define SYSTEM_A_RESET 0x01
#define SYSTEM_A_A20 0x02

#define POST_PORTS 16u /* 0x80-0x8f: POST code and DMA page registers, here plain latches */

struct reset_ports {
	struct device dev;
	u8 system_a;
	u8 latch[POST_PORTS];
};

static void write_system_a(struct reset_ports *r, u8 value)
{
	struct machine_bus *bus = r->dev.bus;
	u8 old = r->system_a;

	r->system_a = value & (SYSTEM_A_A20 | SYSTEM_A_RESET);
	if ((value ^ old) & SYSTEM_A_A20 && bus->ops->set_a20)
		bus->ops->set_a20(bus->machine, value & SYSTEM_A_A20);
	if ((value & ~old) & SYSTEM_A_RESET)
		bus->ops->reset(bus->machine, BUS_RESET_INIT);
}

static u32 reset_ports_read(void *dev, u16 port, unsigned int size)
{
	struct reset_ports *r = dev;
	u32 value = 0;

	bus_lock(r->dev.bus);
	for (unsigned int i = 0; i < size; i++) {
		u32 at = (u32)port + i;
		u8 byte = 0xff;

		if (at == PORT_SYSTEM_A)
			byte = r->system_a;
		else if (at - PORT_POST < POST_PORTS)
			byte = r->latch[at - PORT_POST];
		value |= (u32)byte << (8 * i);
	}
	bus_unlock(r->dev.bus);
	return value;
}

static void reset_ports_write(void *dev, u16 port, u32 value, unsigned int size)
{
	struct reset_ports *r = dev;

	bus_lock(r->dev.bus);
	for (unsigned int i = 0; i < size; i++) {
		u32 at = (u32)port + i;
		u8 byte = (u8)(value >> (8 * i));

		if (at == PORT_SYSTEM_A)
			write_system_a(r, byte);
		else if (at - PORT_POST < POST_PORTS)
			r->latch[at - PORT_POST] = byte;
	}
	bus_unlock(r->dev.bus);
}

static void reset_ports_reset(struct device *d)
{
	struct reset_ports *r = container_of(d, struct reset_ports, dev);

	r->system_a = SYSTEM_A_A20; /* as firmware leaves it */
}

static void reset_ports_destroy(struct device *d)
{
	free(container_of(d, struct reset_ports, dev));
}

static const struct device_class reset_ports_class = {
	.name = "reset-ports",
	.reset = reset_ports_reset,
	.destroy = reset_ports_destroy,
};

static const struct port_ops reset_port_ops = {
	.read = reset_ports_read,
	.write = reset_ports_write,
};

int reset_ports_create(struct machine_bus *bus)
{
	struct reset_ports *r = calloc(1, sizeof(*r));
	int err;

	if (!r)
		return -ENOMEM;
	bus_add_device(bus, &r->dev, &reset_ports_class);
	reset_ports_reset(&r->dev);
	err = mem_add_ports(bus->mem, "system-a", PORT_SYSTEM_A, 1, &reset_port_ops, r);
	if (!err)
		err = mem_add_ports(bus->mem, "post", PORT_POST, POST_PORTS, &reset_port_ops, r);
	return err;
}
