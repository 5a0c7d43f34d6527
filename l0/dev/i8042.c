/* i8042.c - keyboard controller, see i8042.h */
#include "l0/dev/i8042.h"

#include <errno.h>
#include <stdlib.h>

#include "l0/arch/ports.h"

#define STATUS_OUTPUT_FULL 0x01
#define STATUS_SYSTEM 0x04
#define STATUS_COMMAND 0x08
#define STATUS_UNLOCKED 0x10
#define STATUS_AUX_DATA 0x20

#define CONFIG_KBD_IRQ 0x01
#define CONFIG_AUX_IRQ 0x02
#define CONFIG_SYSTEM 0x04
#define CONFIG_KBD_OFF 0x10
#define CONFIG_AUX_OFF 0x20
#define CONFIG_TRANSLATE 0x40 /* scan codes to set 1; nobody types */

#define OUTPUT_PORT_NO_RESET 0x01
#define OUTPUT_PORT_A20 0x02
#define OUTPUT_PORT_REST 0xcc

#define QUEUE_BYTES 16u
#define FROM_AUX 0x100u

struct i8042 {
	struct device dev;
	u8 config, output_port;
	u8 pending;	 /* controller command that waits for its data byte, or 0 */
	u8 kbd_pending;	 /* keyboard command that waits for its argument, or 0 */
	u8 aux_pending;	 /* the same of the mouse */
	u8 last_written; /* 8: the last byte written was a command */
	u8 ram[32];
	u16 queue[QUEUE_BYTES]; /* bytes to read, oldest first, FROM_AUX marked */
	u32 queued;
	u8 last_data;
};

static void update_lines(struct i8042 *k)
{
	struct irq_router *irq = &k->dev.bus->irq;
	u64 now = bus_now(k->dev.bus);
	bool full = k->queued, aux = full && (k->queue[0] & FROM_AUX);

	irq_set(irq, GSI_KEYBOARD, INTR_SOURCE_DEVICE, full && !aux && (k->config & CONFIG_KBD_IRQ),
		now);
	irq_set(irq, GSI_MOUSE, INTR_SOURCE_DEVICE, aux && (k->config & CONFIG_AUX_IRQ), now);
}

static void put(struct i8042 *k, u16 byte)
{
	if (k->queued < QUEUE_BYTES)
		k->queue[k->queued++] = byte;
}

/* The line falls with the buffer, so that the next byte is an edge of its own. */
static void lower_lines(struct i8042 *k)
{
	struct irq_router *irq = &k->dev.bus->irq;
	u64 now = bus_now(k->dev.bus);

	irq_set(irq, GSI_KEYBOARD, INTR_SOURCE_DEVICE, false, now);
	irq_set(irq, GSI_MOUSE, INTR_SOURCE_DEVICE, false, now);
}

static u8 take(struct i8042 *k)
{
	if (k->queued) {
		k->last_data = (u8)k->queue[0];
		k->queued--;
		for (u32 i = 0; i < k->queued; i++)
			k->queue[i] = k->queue[i + 1];
	}
	return k->last_data;
}

static void set_output_port(struct i8042 *k, u8 value)
{
	struct machine_bus *bus = k->dev.bus;
	u8 old = k->output_port;

	k->output_port = value;
	if ((value ^ old) & OUTPUT_PORT_A20 && bus->ops->set_a20)
		bus->ops->set_a20(bus->machine, value & OUTPUT_PORT_A20);
	if (!(value & OUTPUT_PORT_NO_RESET))
		bus->ops->reset(bus->machine, BUS_RESET_HARD);
}

static void controller_command(struct i8042 *k, u8 cmd)
{
	k->pending = 0;
	switch (cmd) {
	case 0x20 ... 0x3f: put(k, cmd == 0x20 ? k->config : k->ram[cmd & 31]); break;
	case 0x60 ... 0x7f: /* their data byte follows */
	case 0xd1 ... 0xd4: k->pending = cmd; break;
	case 0xa7: k->config |= CONFIG_AUX_OFF; break;
	case 0xa8: k->config &= (u8)~CONFIG_AUX_OFF; break;
	case 0xa9: /* tests of the auxiliary port and the keyboard's: fine */
	case 0xab: put(k, 0x00); break;
	case 0xaa:
		k->config |= CONFIG_SYSTEM;
		put(k, 0x55);
		break;
	case 0xad: k->config |= CONFIG_KBD_OFF; break;
	case 0xae: k->config &= (u8)~CONFIG_KBD_OFF; break;
	case 0xc0: /* input port: keyboard not locked */ put(k, 0x80); break;
	case 0xd0: put(k, k->output_port); break;
	case 0xdd: /* A20 off, on: as many PCs have it */
	case 0xdf: set_output_port(k, (u8)((k->output_port & ~OUTPUT_PORT_A20) | (cmd & 2))); break;
	case 0xf0 ... 0xff: /* pulse output lines low: bit 0 is the processors' reset */
		if (!(cmd & 1))
			k->dev.bus->ops->reset(k->dev.bus->machine, BUS_RESET_HARD);
		break;
	}
}

/* The keyboard's own commands: acknowledge, and what some of them answer. */
static void keyboard_command(struct i8042 *k, u8 byte)
{
	if (k->kbd_pending) { /* argument of LED, scan-code set or rate */
		put(k, 0xfa);
		if (k->kbd_pending == 0xf0 && byte == 0)
			put(k, 0x02);
		k->kbd_pending = 0;
		return;
	}
	switch (byte) {
	case 0xee: /* echo */ put(k, 0xee); return;
	case 0xed:
	case 0xf0:
	case 0xf3: k->kbd_pending = byte; break;
	}
	put(k, 0xfa);
	if (byte == 0xf2) {
		put(k, 0xab);
		put(k, 0x83);
	} else if (byte == 0xff) {
		put(k, 0xaa);
	}
}

/* A PS/2 mouse that nobody moves. */
static void mouse_command(struct i8042 *k, u8 byte)
{
	bool argument = k->aux_pending;

	put(k, 0xfa | FROM_AUX);
	k->aux_pending = 0;
	if (argument)
		return;
	switch (byte) {
	case 0xe8: /* resolution, sample rate: an argument follows */
	case 0xf3: k->aux_pending = byte; break;
	case 0xe9: /* status: stream mode off, 1:1, resolution 4/mm, 100 samples */
		put(k, 0x00 | FROM_AUX);
		put(k, 0x02 | FROM_AUX);
		put(k, 0x64 | FROM_AUX);
		break;
	case 0xeb: /* a packet: nothing happened */
		put(k, 0x08 | FROM_AUX);
		put(k, 0x00 | FROM_AUX);
		put(k, 0x00 | FROM_AUX);
		break;
	case 0xff:
		put(k, 0xaa | FROM_AUX);
		put(k, 0x00 | FROM_AUX);
		break;
	case 0xf2: put(k, 0x00 | FROM_AUX); break;
	}
}

static void data_write(struct i8042 *k, u8 byte)
{
	u8 cmd = k->pending;

	k->pending = 0;
	switch (cmd) {
	case 0x60: k->config = byte; break;
	case 0x61 ... 0x7f: k->ram[cmd & 31] = byte; break;
	case 0xd1: set_output_port(k, byte); break;
	case 0xd2: put(k, byte); break;
	case 0xd3: put(k, byte | FROM_AUX); break;
	case 0xd4: mouse_command(k, byte); break;
	default: k->config &= (u8)~CONFIG_KBD_OFF; keyboard_command(k, byte);
	}
}

static u8 status(const struct i8042 *k)
{
	u8 s = STATUS_UNLOCKED | k->last_written;

	if (k->queued)
		s |= STATUS_OUTPUT_FULL | (k->queue[0] & FROM_AUX ? STATUS_AUX_DATA : 0);
	if (k->config & CONFIG_SYSTEM)
		s |= STATUS_SYSTEM;
	return s;
}

static u32 i8042_read(void *dev, u16 port, unsigned int size)
{
	struct i8042 *k = dev;

	bus_lock(k->dev.bus);
	u8 value = port == PORT_KBD_DATA ? take(k) : status(k);

	if (port == PORT_KBD_DATA)
		lower_lines(k);
	update_lines(k);
	bus_unlock(k->dev.bus);
	return size == 1 ? value : value | (~0u << 8);
}

static void i8042_write(void *dev, u16 port, u32 value, unsigned int size)
{
	struct i8042 *k = dev;

	bus_lock(k->dev.bus);
	if (port == PORT_KBD_CMD) {
		k->last_written = STATUS_COMMAND;
		controller_command(k, (u8)value);
	} else {
		k->last_written = 0;
		data_write(k, (u8)value);
	}
	update_lines(k);
	bus_unlock(k->dev.bus);
}

static void i8042_reset(struct device *d)
{
	struct i8042 *k = container_of(d, struct i8042, dev);

	k->config = CONFIG_SYSTEM | CONFIG_AUX_OFF | CONFIG_TRANSLATE;
	k->output_port = OUTPUT_PORT_REST | OUTPUT_PORT_A20 | OUTPUT_PORT_NO_RESET;
	k->pending = k->kbd_pending = k->aux_pending = k->last_written = k->last_data = 0;
	k->queued = 0;
	update_lines(k);
}

static void i8042_destroy(struct device *d)
{
	free(container_of(d, struct i8042, dev));
}

static const struct device_class i8042_class = {
	.name = "i8042",
	.reset = i8042_reset,
	.destroy = i8042_destroy,
};

static const struct port_ops i8042_port_ops = {
	.read = i8042_read,
	.write = i8042_write,
};

int i8042_create(struct machine_bus *bus)
{
	struct i8042 *k = calloc(1, sizeof(*k));
	int err;

	if (!k)
		return -ENOMEM;
	bus_add_device(bus, &k->dev, &i8042_class);
	err = mem_add_ports(bus->mem, "i8042", PORT_KBD_DATA, 1, &i8042_port_ops, k);
	if (!err)
		err = mem_add_ports(bus->mem, "i8042", PORT_KBD_CMD, 1, &i8042_port_ops, k);
	if (!err)
		i8042_reset(&k->dev);
	return err;
}
