/* ide.c - registers, interrupts and life of the IDE controller, see ide.h */
#include "l0/dev/ide.h"

#include <errno.h>
#include <stdlib.h>

#include "l0/base/mem_ops.h"
#include "l0/dev/ide_priv.h"

#define REG_DATA 0u
#define REG_ERROR 1u /* features when written */
#define REG_COUNT 2u
#define REG_LOW 3u
#define REG_MID 4u
#define REG_HIGH 5u
#define REG_DEVICE 6u
#define REG_STATUS 7u /* command when written */

#define CONTROL_NIEN 0x02
#define CONTROL_SRST 0x04
#define CONTROL_HOB 0x80
#define DIAGNOSTIC_PASSED 0x01
#define NOBODY 0xff /* a channel without drives: its lines float high */

#define VENDOR 0x8086
#define DEVICE 0x7010 /* PIIX3 IDE */
#define CONFIG_TIMING 0x40u
#define TIMING_ENABLE 0x80 /* decode this channel's ports */

static bool is_empty(const struct ide_channel *c)
{
	return !c->drive[0].disk && !c->drive[1].disk;
}

/* ---- what the executors of commands use ------------------------------------------------------ */

static void set_line(struct ide_channel *c, bool level)
{
	struct machine_bus *bus = c->ide->dev.bus;

	c->irq = level;
	irq_set(&bus->irq, c->gsi, INTR_SOURCE_DEVICE, level && !(c->control & CONTROL_NIEN),
		bus_now(bus));
}

void ide_interrupt(struct ide_channel *c)
{
	set_line(c, true);
}

void ide_done(struct ide_channel *c)
{
	struct ide_drive *d = ide_selected(c);

	c->phase = IDE_IDLE;
	d->error = 0;
	d->status = STATUS_DRDY | STATUS_DSC;
	ide_interrupt(c);
}

void ide_fail(struct ide_channel *c, u8 error)
{
	struct ide_drive *d = ide_selected(c);

	c->phase = IDE_IDLE;
	d->error = error;
	d->status = STATUS_DRDY | STATUS_ERR;
	ide_interrupt(c);
}

void ide_data_in(struct ide_channel *c, u32 pos, u32 bytes)
{
	c->phase = IDE_IN;
	c->pos = pos;
	c->end = pos + bytes;
	ide_selected(c)->status = STATUS_DRDY | STATUS_DSC | STATUS_DRQ;
	ide_interrupt(c);
}

void ide_data_out(struct ide_channel *c, u32 bytes, bool interrupt)
{
	c->phase = IDE_OUT;
	c->pos = 0;
	c->end = bytes;
	ide_selected(c)->status = STATUS_DRDY | STATUS_DSC | STATUS_DRQ;
	if (interrupt)
		ide_interrupt(c);
}

void ide_report(struct ide_channel *c, int err)
{
	struct ide_drive *d = ide_selected(c);

	if (!d->said)
		bus_report(c->ide->dev.bus, d->name,
			   err == -ENOSPC
				   ? "the host's disk is full"
				   : "the host cannot do an access; the guest gets an I/O error");
	d->said = true;
}

void ide_signature(struct ide_drive *d)
{
	d->count[0] = d->low[0] = 1;
	d->mid[0] = d->is_cd ? 0x14 : 0;
	d->high[0] = d->is_cd ? 0xeb : 0;
	d->device = 0;
	d->error = DIAGNOSTIC_PASSED;
	/* a packet device is not ready until it has got a command of its own kind */
	d->status = d->is_cd ? 0 : STATUS_DRDY | STATUS_DSC;
}

/* ---- commands -------------------------------------------------------------------------------- */

static void reset_channel(struct ide_channel *c)
{
	timer_cancel(&c->ide->dev.bus->timers, &c->timer);
	c->phase = IDE_IDLE;
	c->selected = 0;
	for (u32 i = 0; i < IDE_DRIVES; i++)
		if (c->drive[i].disk)
			ide_signature(&c->drive[i]);
	set_line(c, false);
}

static void executed(void *arg, u64 deadline_ns)
{
	struct ide_channel *c = arg;
	struct ide_drive *d = ide_selected(c);

	(void)deadline_ns;
	if (c->packet_done) {
		atapi_command(c);
	} else if (c->command == ATA_DIAGNOSTIC) {
		reset_channel(c);
		ide_interrupt(c);
	} else if (!d->is_cd) {
		ata_command(c);
	} else if (c->command == ATA_IDENTIFY_PACKET) {
		atapi_identify(c);
	} else if (c->command == ATA_PACKET && !(d->features[0] & 1)) {
		/* the guest is to send the packet; no interrupt says so */
		c->phase = IDE_COMMAND;
		c->pos = 0;
		c->end = IDE_PACKET_BYTES;
		d->count[0] = IREASON_COMMAND;
		d->status = STATUS_DRDY | STATUS_DRQ;
	} else {
		if (c->command == ATA_IDENTIFY)
			ide_signature(d); /* by this, systems find out that it is a packet device */
		if (c->command == ATA_SET_FEATURES)
			ide_done(c);
		else
			ide_fail(c, ERROR_ABRT);
	}
}

static void start(struct ide_channel *c, bool is_packet)
{
	struct machine_bus *bus = c->ide->dev.bus;

	c->phase = IDE_IDLE;
	c->packet_done = is_packet;
	ide_selected(c)->status = STATUS_BSY;
	bus_timer_arm(bus, &c->timer, bus_now(bus) + IDE_LATENCY_NS);
}

static void write_command(struct ide_channel *c, u8 command)
{
	struct ide_drive *d = ide_selected(c);

	if (command == ATA_DEVICE_RESET && d->disk && d->is_cd) {
		timer_cancel(&c->ide->dev.bus->timers, &c->timer);
		c->phase = IDE_IDLE;
		ide_signature(d);
		return;
	}
	/* the diagnostic goes to both drives, so an absent one does not lose it */
	if (command == ATA_DIAGNOSTIC && !d->disk)
		d = &c->drive[c->selected = 0];
	if (!d->disk || d->status & STATUS_BSY)
		return;
	set_line(c, false);
	c->command = command;
	start(c, false);
}

/* ---- registers ------------------------------------------------------------------------------- */

/* Another drive: a transfer of the one before is given up. */
static void select_drive(struct ide_channel *c, u8 selected)
{
	if (selected == c->selected)
		return;
	if (c->phase != IDE_IDLE)
		ide_selected(c)->status &= (u8)~STATUS_DRQ;
	c->phase = IDE_IDLE;
	c->selected = selected;
}

/* Host writes reach both drives. */
static void write_register(struct ide_channel *c, u32 reg, u8 value)
{
	if (reg == REG_STATUS) {
		write_command(c, value);
		return;
	}
	if (ide_selected(c)->status & STATUS_BSY)
		return;
	for (u32 i = 0; i < IDE_DRIVES; i++) {
		struct ide_drive *d = &c->drive[i];
		u8 *const pair[] = {NULL, d->features, d->count, d->low, d->mid, d->high};

		if (reg == REG_DEVICE) {
			d->device = value;
			continue;
		}
		pair[reg][1] = pair[reg][0];
		pair[reg][0] = value;
	}
	c->control &= (u8)~CONTROL_HOB;
	if (reg == REG_DEVICE)
		select_drive(c, (value & DEVICE_SELECT) != 0);
}

/* An absent drive is answered for by the other: zeros. */
static u8 read_register(struct ide_channel *c, u32 reg)
{
	struct ide_drive *d = ide_selected(c);
	u32 hob = (c->control & CONTROL_HOB) != 0;

	if (is_empty(c))
		return NOBODY;
	if (!d->disk)
		return reg == REG_DEVICE ? d->device : 0;
	switch (reg) {
	case REG_ERROR: return d->error;
	case REG_COUNT: return d->count[hob];
	case REG_LOW: return d->low[hob];
	case REG_MID: return d->mid[hob];
	case REG_HIGH: return d->high[hob];
	case REG_DEVICE: return d->device | 0xa0;
	default: return d->status;
	}
}

static void write_control(struct ide_channel *c, u8 value)
{
	u8 old = c->control;

	c->control = value & (CONTROL_NIEN | CONTROL_SRST | CONTROL_HOB);
	if (value & CONTROL_SRST) {
		reset_channel(c);
		for (u32 i = 0; i < IDE_DRIVES; i++)
			c->drive[i].status = c->drive[i].disk ? STATUS_BSY : 0;
	} else if (old & CONTROL_SRST) {
		reset_channel(c);
	} else {
		set_line(c, c->irq);
	}
}

/* The block in transfer is complete. */
static void block_over(struct ide_channel *c)
{
	if (c->phase == IDE_COMMAND)
		start(c, true);
	else if (ide_selected(c)->is_cd)
		atapi_next(c);
	else
		ata_next(c);
}

static u32 read_data(struct ide_channel *c, unsigned int size)
{
	u32 value = 0;

	if (c->phase != IDE_IN)
		return is_empty(c) ? ~0u : 0;
	nm_copy(&value, c->buffer + c->pos, MIN(size, c->end - c->pos));
	c->pos += MIN(size, c->end - c->pos);
	if (c->pos == c->end)
		block_over(c);
	return value;
}

static void write_data(struct ide_channel *c, u32 value, unsigned int size)
{
	u8 *to = c->phase == IDE_COMMAND ? c->packet : c->buffer;

	if (c->phase != IDE_OUT && c->phase != IDE_COMMAND)
		return;
	nm_copy(to + c->pos, &value, MIN(size, c->end - c->pos));
	c->pos += MIN(size, c->end - c->pos);
	if (c->pos == c->end)
		block_over(c);
}

static u32 ide_read(void *dev, u16 port, unsigned int size)
{
	struct ide_channel *c = dev;
	struct machine_bus *bus = c->ide->dev.bus;
	u32 reg = port - c->base, value;

	bus_lock(bus);
	if (port == c->control_port) {
		value = read_register(c, REG_STATUS);
	} else if (reg == REG_DATA) {
		value = read_data(c, size);
	} else {
		value = read_register(c, reg);
		if (reg == REG_STATUS && c->irq)
			set_line(c, false);
	}
	bus_unlock(bus);
	return value;
}

static void ide_write(void *dev, u16 port, u32 value, unsigned int size)
{
	struct ide_channel *c = dev;
	struct machine_bus *bus = c->ide->dev.bus;
	u32 reg = port - c->base;

	bus_lock(bus);
	if (port == c->control_port)
		write_control(c, (u8)value);
	else if (reg == REG_DATA)
		write_data(c, value, size);
	else
		write_register(c, reg, (u8)value);
	bus_unlock(bus);
}

/* ---- life ------------------------------------------------------------------------------------ */

static void ide_reset(struct device *dev)
{
	struct ide *ide = container_of(dev, struct ide, dev);

	for (u32 i = 0; i < IDE_CHANNELS; i++) {
		struct ide_channel *c = &ide->channel[i];

		c->control = 0;
		for (u32 k = 0; k < IDE_DRIVES; k++) {
			c->drive[k].multiple = 0;
			c->drive[k].heads = 16;
			c->drive[k].sectors = 63;
		}
		reset_channel(c);
		ide->pci.config[CONFIG_TIMING + 2 * i + 1] = TIMING_ENABLE;
	}
}

static void ide_destroy(struct device *dev)
{
	struct ide *ide = container_of(dev, struct ide, dev);

	for (u32 i = 0; i < IDE_CHANNELS; i++) {
		timer_cancel(&dev->bus->timers, &ide->channel[i].timer);
		for (u32 k = 0; k < IDE_DRIVES; k++)
			disk_close(ide->channel[i].drive[k].disk);
	}
	free(ide);
}

static const struct device_class ide_class = {
	.name = "ide",
	.reset = ide_reset,
	.destroy = ide_destroy,
};

static const struct port_ops data_ops = {.read = ide_read, .write = ide_write, .widths = 2 | 4};
static const struct port_ops register_ops = {.read = ide_read, .write = ide_write, .widths = 1};

static int add_channel(struct ide *ide, u32 i, u16 base, u16 control_port, u32 gsi)
{
	struct ide_channel *c = &ide->channel[i];
	struct mem *mem = ide->dev.bus->mem;

	c->ide = ide;
	c->base = base;
	c->control_port = control_port;
	c->gsi = gsi;
	timer_init(&c->timer, executed, c);
	int err = mem_add_ports(mem, "ide", base, 1, &data_ops, c);

	if (!err)
		err = mem_add_ports(mem, "ide", base + 1, 7, &register_ops, c);
	return err ? err : mem_add_ports(mem, "ide", control_port, 1, &register_ops, c);
}

static int add_function(struct ide *ide)
{
	struct pci_function *f = &ide->pci;

	f->name = "ide";
	pci_put16(f, PCI_VENDOR, VENDOR);
	pci_put16(f, PCI_DEVICE, DEVICE);
	/* mass storage, IDE; both channels in compatibility mode */
	f->config[PCI_CLASS + 1] = 0x01;
	f->config[PCI_CLASS + 2] = 0x01;
	f->writable[PCI_COMMAND] = 0x01; /* I/O space: always decoded */
	for (u32 i = 0; i < 4; i++)
		f->writable[CONFIG_TIMING + i] = 0xff;
	return pci_add(ide->dev.bus->pci, f);
}

struct ide *ide_create(struct machine_bus *bus, int *err)
{
	struct ide *ide = calloc(1, sizeof(*ide));

	*err = -ENOMEM;
	if (!ide)
		return NULL;
	bus_add_device(bus, &ide->dev, &ide_class);
	*err = add_channel(ide, 0, 0x1f0, 0x3f6, 14);
	if (!*err)
		*err = add_channel(ide, 1, 0x170, 0x376, 15);
	if (!*err)
		*err = add_function(ide);
	if (*err)
		return NULL;
	ide_reset(&ide->dev);
	return ide;
}

void ide_attach(struct ide *ide, u32 unit, struct disk *disk, bool is_cd, const char *name)
{
	struct ide_drive *d = &ide->channel[unit / IDE_DRIVES].drive[unit % IDE_DRIVES];

	d->disk = disk;
	d->is_cd = is_cd;
	d->blocks = disk_sectors(disk) / (is_cd ? IDE_CD_BLOCK / DISK_SECTOR : 1);
	for (u32 i = 0; name[i] && i < IDE_NAME_BYTES - 1; i++)
		d->name[i] = name[i];
	ide_signature(d);
}
