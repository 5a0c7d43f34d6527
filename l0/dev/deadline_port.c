/* deadline_port.c - see deadline_port.h */
#include "l0/dev/deadline_port.h"

#include <errno.h>
#include <stdlib.h>

#include "l0/arch/ports.h"

struct deadline_port {
	struct device dev;
};

static u32 deadline_read(void *dev, u16 port, unsigned int size)
{
	return ~0u;
}

static void deadline_write(void *dev, u16 port, u32 value, unsigned int size)
{
	struct machine_bus *bus = ((struct deadline_port *)dev)->dev.bus;

	if (port != PORT_DEADLINE || size != 4)
		return;
	bus_lock(bus);
	bus->ops->guest_deadline(bus->machine, value);
	bus_unlock(bus);
}

static void deadline_reset(struct device *d)
{
}

static void deadline_destroy(struct device *d)
{
	free(container_of(d, struct deadline_port, dev));
}

static const struct device_class deadline_class = {
	.name = "deadline",
	.reset = deadline_reset,
	.destroy = deadline_destroy,
};

static const struct port_ops deadline_port_ops = {
	.read = deadline_read,
	.write = deadline_write,
};

int deadline_port_create(struct machine_bus *bus)
{
	struct deadline_port *x = calloc(1, sizeof(*x));

	if (!x)
		return -ENOMEM;
	bus_add_device(bus, &x->dev, &deadline_class);
	return mem_add_ports(bus->mem, "deadline", PORT_DEADLINE, 4, &deadline_port_ops, x);
}
