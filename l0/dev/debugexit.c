/* debugexit.c - see debugexit.h */
#include "l0/dev/debugexit.h"

#include <errno.h>
#include <stdlib.h>

#include "l0/arch/ports.h"

#define PORT_DEBUG_EXIT_2 0x501

struct debugexit {
	struct device dev;
};

static u32 debugexit_read(void *dev, u16 port, unsigned int size)
{
	return 0;
}

static void debugexit_write(void *dev, u16 port, u32 value, unsigned int size)
{
	struct machine_bus *bus = ((struct debugexit *)dev)->dev.bus;

	bus_lock(bus);
	bus->ops->debug_exit(bus->machine, value);
	bus_unlock(bus);
}

static void debugexit_reset(struct device *d)
{
}

static void debugexit_destroy(struct device *d)
{
	free(container_of(d, struct debugexit, dev));
}

static const struct device_class debugexit_class = {
	.name = "debugexit",
	.reset = debugexit_reset,
	.destroy = debugexit_destroy,
};

static const struct port_ops debugexit_port_ops = {
	.read = debugexit_read,
	.write = debugexit_write,
};

int debugexit_create(struct machine_bus *bus)
{
	struct debugexit *x = calloc(1, sizeof(*x));

	if (!x)
		return -ENOMEM;
	bus_add_device(bus, &x->dev, &debugexit_class);
	int err = mem_add_ports(bus->mem, "debugexit", PORT_DEBUG_EXIT, 4, &debugexit_port_ops, x);

	return err ? err
		   : mem_add_ports(bus->mem, "debugexit", PORT_DEBUG_EXIT_2, 1, &debugexit_port_ops,
				   x);
}
