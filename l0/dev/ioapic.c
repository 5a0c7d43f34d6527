/*
 * ioapic.c - I/O APIC, see ioapic.h
 *
 * A level-triggered input whose message was accepted waits (remote IRR) until the EOI comes back,
 * then is looked at again. A message that no local APIC accepts leaves remote IRR clear, so the
 * interrupt is retried when its entry is written.
 */
#include "l0/dev/ioapic.h"

#include <errno.h>
#include <stdlib.h>

#include "l0/base/bits.h"
#include "l0/dev/lapic.h"

#define INPUTS IRQ_GSI_COUNT
#define VERSION_VALUE (0x20u | (INPUTS - 1) << 16)
#define IOAPIC_BYTES 0x1000u

#define OFF_INDEX 0x00
#define OFF_DATA 0x10
#define OFF_EOI 0x40

#define REG_ID 0x00u
#define REG_VERSION 0x01u
#define REG_ARBITRATION 0x02u
#define REG_TABLE 0x10u

#define ENTRY_LOGICAL BIT(11)
#define ENTRY_REMOTE_IRR BIT(14)
#define ENTRY_LEVEL BIT(15)
#define ENTRY_MASKED BIT(16)
#define ENTRY_DEST_SHIFT 56
#define ENTRY_READ_ONLY (BIT(12) | ENTRY_REMOTE_IRR)
#define ENTRY_WRITABLE 0xff0000000001afffull

struct ioapic {
	struct device dev;
	u8 index;
	u32 id;
	u64 entry[INPUTS];
	u32 lines; /* levels of the inputs */
	u64 due_ns[INPUTS];
	u32 source[INPUTS];
};

static void send(struct ioapic *io, u32 input)
{
	u64 e = io->entry[input];
	struct apic_message msg = {
		.dest = (u32)(e >> ENTRY_DEST_SHIFT),
		.logical = e & ENTRY_LOGICAL,
		.delivery = e >> 8 & 7,
		.vector = (u8)e,
		.level = e & ENTRY_LEVEL,
		.source = io->source[input],
		.due_ns = io->due_ns[input],
	};

	if (apic_bus_send(io->dev.bus, &msg) && msg.level)
		io->entry[input] |= ENTRY_REMOTE_IRR;
}

/* A level-triggered input that asks and is not being served. */
static void evaluate_level(struct ioapic *io, u32 input)
{
	u64 e = io->entry[input];

	if ((io->lines & BIT(input)) && (e & ENTRY_LEVEL) &&
	    !(e & (ENTRY_MASKED | ENTRY_REMOTE_IRR)))
		send(io, input);
}

static void line_changed(void *arg, u32 gsi, bool level, u32 source, u64 due_ns)
{
	struct ioapic *io = arg;
	u32 input = gsi == GSI_PIT ? 2 : gsi; /* as the firmware tables' override says */

	if (input >= INPUTS || gsi == 2)
		return;
	if (!level) {
		io->lines &= ~(u32)BIT(input);
		return;
	}
	io->lines |= (u32)BIT(input);
	io->due_ns[input] = due_ns;
	io->source[input] = source;
	if (io->entry[input] & ENTRY_LEVEL)
		evaluate_level(io, input);
	else if (!(io->entry[input] & ENTRY_MASKED))
		send(io, input);
}

void ioapic_eoi(struct ioapic *io, u8 vector)
{
	for (u32 i = 0; i < INPUTS; i++) {
		if ((u8)io->entry[i] != vector || !(io->entry[i] & ENTRY_REMOTE_IRR))
			continue;
		io->entry[i] &= ~ENTRY_REMOTE_IRR;
		evaluate_level(io, i);
	}
}

static u32 read_register(const struct ioapic *io)
{
	u32 reg = io->index;

	if (reg == REG_ID || reg == REG_ARBITRATION)
		return io->id << 24;
	if (reg == REG_VERSION)
		return VERSION_VALUE;
	if (reg - REG_TABLE < 2 * INPUTS)
		return (u32)(io->entry[(reg - REG_TABLE) / 2] >> (reg & 1 ? 32 : 0));
	return 0;
}

static void write_register(struct ioapic *io, u32 value)
{
	u32 reg = io->index, input = (reg - REG_TABLE) / 2;

	if (reg == REG_ID)
		io->id = value >> 24 & 0xf;
	if (reg - REG_TABLE >= 2 * INPUTS)
		return;
	u64 e = io->entry[input];
	u64 v = reg & 1 ? (e & mask_low(32)) | (u64)value << 32 : (e & ~mask_low(32)) | value;

	e = (v & ENTRY_WRITABLE) | (e & ENTRY_READ_ONLY);
	if (!(e & ENTRY_LEVEL))
		e &= ~ENTRY_REMOTE_IRR; /* the documented way to clear it */
	io->entry[input] = e;
	evaluate_level(io, input);
}

static u64 ioapic_read(void *dev, u64 offset, unsigned int size)
{
	struct ioapic *io = dev;
	u64 value = 0;

	bus_lock(io->dev.bus);
	if (offset == OFF_INDEX)
		value = io->index;
	else if (offset == OFF_DATA)
		value = read_register(io);
	bus_unlock(io->dev.bus);
	return value & mask_low(8 * size);
}

static void ioapic_write(void *dev, u64 offset, u64 value, unsigned int size)
{
	struct ioapic *io = dev;

	bus_lock(io->dev.bus);
	if (offset == OFF_INDEX)
		io->index = (u8)value;
	else if (offset == OFF_DATA && size == 4)
		write_register(io, (u32)value);
	else if (offset == OFF_EOI)
		ioapic_eoi(io, (u8)value);
	bus_unlock(io->dev.bus);
}

static void ioapic_reset(struct device *d)
{
	struct ioapic *io = container_of(d, struct ioapic, dev);

	io->index = 0;
	io->id = 0;
	for (u32 i = 0; i < INPUTS; i++)
		io->entry[i] = ENTRY_MASKED;
}

static void ioapic_destroy(struct device *d)
{
	d->bus->ioapic = NULL;
	free(container_of(d, struct ioapic, dev));
}

static const struct device_class ioapic_class = {
	.name = "ioapic",
	.reset = ioapic_reset,
	.destroy = ioapic_destroy,
};

static const struct mmio_ops ioapic_mmio_ops = {
	.read = ioapic_read,
	.write = ioapic_write,
};

struct ioapic *ioapic_create(struct machine_bus *bus, int *err)
{
	struct ioapic *io = calloc(1, sizeof(*io));

	if (!io) {
		*err = -ENOMEM;
		return NULL;
	}
	bus_add_device(bus, &io->dev, &ioapic_class);
	*err = mem_add_mmio(bus->mem, "ioapic", IOAPIC_BASE_DEFAULT, IOAPIC_BYTES, &ioapic_mmio_ops,
			    io);
	if (!*err)
		*err = irq_add_sink(&bus->irq, &(struct irq_line){.set = line_changed, .arg = io});
	if (*err)
		return NULL;
	bus->ioapic = io;
	ioapic_reset(&io->dev);
	return io;
}
