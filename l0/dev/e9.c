/* e9.c - see e9.h */
#include "l0/dev/e9.h"

#include <errno.h>
#include <stdlib.h>

#include "l0/arch/ports.h"
#include "l0/dev/chardev.h"

struct e9 {
	struct device dev;
	struct chardev *out;
};

static u32 e9_read(void *dev, u16 port, unsigned int size)
{
	return size == 1 ? PORT_DEBUG_CONSOLE : ~0u;
}

static void e9_write(void *dev, u16 port, u32 value, unsigned int size)
{
	struct e9 *x = dev;
	u8 c = (u8)value;

	bus_lock(x->dev.bus);
	chardev_write(x->out, &c, 1);
	bus_unlock(x->dev.bus);
}

static void e9_reset(struct device *d)
{
}

static void e9_destroy(struct device *d)
{
	free(container_of(d, struct e9, dev));
}

static const struct device_class e9_class = {
	.name = "e9",
	.reset = e9_reset,
	.destroy = e9_destroy,
};

static const struct port_ops e9_port_ops = {
	.read = e9_read,
	.write = e9_write,
};

int e9_create(struct machine_bus *bus, struct chardev *out)
{
	struct e9 *x = calloc(1, sizeof(*x));

	if (!x)
		return -ENOMEM;
	x->out = out;
	bus_add_device(bus, &x->dev, &e9_class);
	return mem_add_ports(bus->mem, "e9", PORT_DEBUG_CONSOLE, 1, &e9_port_ops, x);
}
