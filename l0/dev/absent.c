/* absent.c - see absent.h */
#include "l0/dev/absent.h"

#include <stddef.h>

#include "l0/base/bits.h"

static u32 absent_read(void *dev, u16 port, unsigned int size)
{
	return ~0u;
}

static void absent_write(void *dev, u16 port, u32 value, unsigned int size)
{
}

static const struct port_ops absent_ops = {
	.read = absent_read,
	.write = absent_write,
	.widths = 1 | 2,
};

int absent_create(struct machine_bus *bus)
{
	static const struct {
		u16 first, count;
	} ranges[] = {
		{0x000, 16},			     /* 8237 DMA controllers */
		{0x0c0, 32}, {0x1ce, 3},	     /* display interface of Bochs */
		{0x278, 3},  {0x378, 3},	     /* parallel ports */
		{0x2e8, 8},  {0x2f8, 8}, {0x3e8, 8}, /* serial ports 4, 2 and 3 */
		{0x3f0, 6},  {0x3f7, 1},	     /* floppy disk controller */
		{0x402, 1}, /* debug port of SeaBIOS: present where it reads 0xe9 */
	};
	int err = 0;

	for (size_t i = 0; i < ARRAY_SIZE(ranges) && !err; i++)
		err = mem_add_ports(bus->mem, "absent", ranges[i].first, ranges[i].count,
				    &absent_ops, NULL);
	return err;
}
