/* testdev.c - see testdev.h */
#include "l0/dev/testdev.h"

#include <errno.h>
#include <stdlib.h>

#include "l0/base/mem_ops.h"

#define PORT_LATCH 0xe0u
#define PORT_FLUSH 0xe4u
#define PORT_LATCH_BYTE 0xe8u
#define PORT_LINES 0x2000u
#define MEMORY_BYTES 65536u

struct testdev {
	struct device dev;
	u32 latch;
	u8 latch_byte;
	u8 memory[MEMORY_BYTES];
};

static u32 testdev_read(void *dev, u16 port, unsigned int size)
{
	const struct testdev *t = dev;

	if (port - PORT_LATCH < 4)
		return t->latch >> (8 * (port - PORT_LATCH));
	return port == PORT_LATCH_BYTE ? t->latch_byte : ~0u;
}

static void testdev_write(void *dev, u16 port, u32 value, unsigned int size)
{
	struct testdev *t = dev;
	struct machine_bus *bus = t->dev.bus;

	bus_lock(bus);
	if (port - PORT_LATCH < 4) {
		u32 shift = 8 * (port - PORT_LATCH), mask = size == 4 ? ~0u : (1u << 8 * size) - 1;

		t->latch = (t->latch & ~(mask << shift)) | (value & mask) << shift;
	} else if (port == PORT_LATCH_BYTE) {
		t->latch_byte = (u8)value;
	} else if (port >= PORT_LINES) {
		irq_set(&bus->irq, port - PORT_LINES, INTR_SOURCE_VMM, value != 0, bus_now(bus));
	}
	bus_unlock(bus);
}

/* Accesses that are wholly inside: the memory map passes no others. */
static u64 memory_read(void *dev, u64 offset, unsigned int size)
{
	u64 value = 0;

	nm_copy(&value, ((struct testdev *)dev)->memory + offset, size);
	return value;
}

static void memory_write(void *dev, u64 offset, u64 value, unsigned int size)
{
	nm_copy(((struct testdev *)dev)->memory + offset, &value, size);
}

static void testdev_reset(struct device *d)
{
	struct testdev *t = container_of(d, struct testdev, dev);

	for (u32 gsi = 0; gsi < IRQ_GSI_COUNT; gsi++)
		irq_set(&d->bus->irq, gsi, INTR_SOURCE_VMM, false, 0);
	t->latch = t->latch_byte = 0;
}

static void testdev_destroy(struct device *d)
{
	free(container_of(d, struct testdev, dev));
}

static const struct device_class testdev_class = {
	.name = "testdev",
	.reset = testdev_reset,
	.destroy = testdev_destroy,
};

static const struct port_ops testdev_port_ops = {
	.read = testdev_read,
	.write = testdev_write,
};

static const struct mmio_ops testdev_mmio_ops = {
	.read = memory_read,
	.write = memory_write,
};

int testdev_create(struct machine_bus *bus)
{
	static const struct {
		u16 first, count;
	} ranges[] = {{PORT_LATCH, 5}, {PORT_LATCH_BYTE, 1}, {PORT_LINES, IRQ_GSI_COUNT}};
	struct testdev *t = calloc(1, sizeof(*t));
	int err = 0;

	if (!t)
		return -ENOMEM;
	bus_add_device(bus, &t->dev, &testdev_class);
	for (size_t i = 0; i < ARRAY_SIZE(ranges) && !err; i++)
		err = mem_add_ports(bus->mem, "testdev", ranges[i].first, ranges[i].count,
				    &testdev_port_ops, t);
	if (!err)
		err = mem_add_mmio(bus->mem, "testdev", TESTDEV_MEMORY, MEMORY_BYTES,
				   &testdev_mmio_ops, t);
	return err;
}
