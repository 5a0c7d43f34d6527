/* pci_host.c - PCI bus and host bridge, see pci.h */
#include <errno.h>
#include <stdlib.h>

#include "l0/arch/ports.h"
#include "l0/base/bits.h"
#include "l0/base/log.h"
#include "l0/dev/pci.h"

#define PORT_PCI_ADDRESS 0xcf8u
#define PORT_PCI_DATA 0xcfcu
#define ADDRESS_ENABLE 0x80000000u
#define ADDRESS_KEPT 0x80fffffcu
#define PCI_FIRST_CAPABILITY 0x40u /* what a function's own hooks see */

#define RESET_SYSTEM 0x02
#define RESET_CPU 0x04
#define RESET_FULL 0x08
#define RESET_KEPT 0x0a /* bit 2 reads 0: the reset is over before anybody can look */

/* Undecoded BARs wait here, far beyond any address that a guest can form. */
#define PARKED_BASE (1ull << 60)
#define PARKED_STRIDE (1ull << 32)

/* Intel 440FX host bridge: what kernels expect in slot 0. */
#define HOST_VENDOR 0x8086
#define HOST_DEVICE 0x1237
#define HOST_CLASS 0x06
/* By these firmware knows that fw_cfg is there (SeaBIOS, "QEMU detection"). */
#define HOST_SUBSYSTEM_VENDOR 0x1af4
#define HOST_SUBSYSTEM 0x1100
/* Attributes of 0xc0000-0xfffff. All of it is RAM, with the firmware's copy in it, and stays so. */
#define PAM_FIRST 0x59u
#define PAM_COUNT 7u
#define PAM_ALL_RAM 0x33

struct pci_host {
	struct device dev;
	u32 address;
	u8 reset;
	struct pci_function bridge;
	struct pci_function *slot[PCI_SLOTS];
	u32 nslots;
	pci_router_fn router; /* NULL: none */
	void *router_arg;
	u32 pins[PCI_GSI_COUNT]; /* slots that hold each interrupt high */
};

/* ---- BARs ------------------------------------------------------------------------------------ */

static u64 parked(const struct pci_function *f, u32 i)
{
	return PARKED_BASE + (f->slot * PCI_BARS + i) * PARKED_STRIDE;
}

static u32 bar_value(const struct pci_function *f, u32 i)
{
	u32 off = PCI_BAR0 + 4 * i;

	return (u32)pci_get16(f, off) | (u32)pci_get16(f, off + 2) << 16;
}

/* Bring the region of a BAR to where its register and the command register say. */
static void update_bar(struct pci_function *f, u32 i)
{
	struct machine_bus *bus = f->bus;
	struct pci_bar *bar = &f->bar[i];
	u64 gpa = bar_value(f, i) & ~15u;

	if (!bar->bytes)
		return;
	/* all ones while software sizes it: no address */
	if (!(f->config[PCI_COMMAND] & PCI_COMMAND_MEMORY) || !gpa || gpa + bar->bytes > 4 * GIB)
		gpa = parked(f, i);
	if (gpa == bar->gpa)
		return;
	if (mem_move_mmio(bus->mem, bar->dev, bar->gpa, gpa)) {
		log_once(LOG_DEV, "%s: BAR %u at 0x%llx lies on something else", f->name, i,
			 (unsigned long long)gpa);
		gpa = parked(f, i);
		if (gpa == bar->gpa || mem_move_mmio(bus->mem, bar->dev, bar->gpa, gpa))
			return;
	}
	bar->gpa = gpa;
	if (bus->ops->memory_changed)
		bus->ops->memory_changed(bus->machine);
}

/* ---- interrupts ------------------------------------------------------------------------------ */

static void update_pin(struct pci_function *f, u64 due_ns)
{
	struct pci_host *h = f->host;
	u32 pin = f->slot % PCI_GSI_COUNT;
	bool level = f->intx && !(pci_get16(f, PCI_COMMAND) & PCI_COMMAND_INTX_OFF);

	if (level)
		h->pins[pin] |= 1u << f->slot;
	else
		h->pins[pin] &= ~(1u << f->slot);
	irq_set(&h->dev.bus->irq, PCI_GSI_FIRST + pin, INTR_SOURCE_DEVICE, h->pins[pin] != 0,
		due_ns);
	if (h->router)
		h->router(h->router_arg, pin, h->pins[pin] != 0, due_ns);
}

void pci_set_router(struct pci_host *h, pci_router_fn fn, void *arg)
{
	h->router = fn;
	h->router_arg = arg;
}

void pci_set_intx(struct pci_function *f, bool level, u64 due_ns)
{
	f->intx = level;
	if (level)
		f->config[PCI_STATUS] |= PCI_STATUS_INTX;
	else
		f->config[PCI_STATUS] &= (u8)~PCI_STATUS_INTX;
	update_pin(f, due_ns);
}

/* ---- configuration space --------------------------------------------------------------------- */

/* @address: bus, slot, function and offset as in port 0xcf8. */
static struct pci_function *addressed(const struct pci_host *h, u32 address)
{
	/* bus 0, function 0 */
	if (!(address & ADDRESS_ENABLE) || (address >> 16 & 0xff) || (address >> 8 & 7))
		return NULL;
	return h->slot[address >> 11 & 31];
}

static void write_config_byte(struct pci_function *f, u32 off, u8 value)
{
	u8 mask = f->writable[off];

	f->config[off] = (f->config[off] & (u8)~mask) | (value & mask);
}

static void config_written(struct pci_function *f, u32 off, unsigned int size)
{
	u32 dword = off & ~3u;

	if (dword == PCI_COMMAND) {
		for (u32 i = 0; i < PCI_BARS; i++)
			update_bar(f, i);
		update_pin(f, bus_now(f->bus));
	} else if (dword >= PCI_BAR0 && dword < PCI_BAR0 + 4 * PCI_BARS) {
		update_bar(f, (dword - PCI_BAR0) / 4);
	} else if (dword >= PCI_FIRST_CAPABILITY && f->config_written) {
		f->config_written(f, off, size);
	}
}

/* [@off, @off + @size) lies in one dword. */
static u32 read_config(struct pci_function *f, u32 off, unsigned int size)
{
	u32 value = 0;

	if (!f)
		return ~0u;
	if (off >= PCI_FIRST_CAPABILITY && f->config_read)
		f->config_read(f, off, size);
	for (u32 i = 0; i < size; i++)
		value |= (u32)f->config[off + i] << (8 * i);
	return value;
}

static void write_config(struct pci_function *f, u32 off, u32 value, unsigned int size)
{
	if (!f)
		return;
	for (u32 i = 0; i < size; i++)
		write_config_byte(f, off + i, (u8)(value >> (8 * i)));
	config_written(f, off, size);
}

static u32 read_data(struct pci_host *h, u32 at, unsigned int size)
{
	return read_config(addressed(h, h->address), (h->address & 0xfc) + at, MIN(size, 4 - at));
}

static void write_data(struct pci_host *h, u32 at, u32 value, unsigned int size)
{
	write_config(addressed(h, h->address), (h->address & 0xfc) + at, value, MIN(size, 4 - at));
}

/*
 * ECAM: offset bits 19:15 slot, 14:12 function, 11:0 register. Nothing answers beyond the first 256
 * bytes, nor to accesses that are not aligned (which the standard leaves open).
 */
static struct pci_function *ecam_addressed(const struct pci_host *h, u64 offset, unsigned int size)
{
	return offset & (0xf00 | (size - 1))
		       ? NULL
		       : addressed(h, ADDRESS_ENABLE | (u32)(offset >> 12) << 8);
}

static u64 ecam_read(void *dev, u64 offset, unsigned int size)
{
	struct pci_host *h = dev;
	struct pci_function *f = ecam_addressed(h, offset, size);
	u64 value;

	bus_lock(h->dev.bus);
	value = read_config(f, offset & 0xff, MIN(size, 4u));
	if (size == 8)
		value |= (u64)read_config(f, (offset & 0xff) + 4, 4) << 32;
	bus_unlock(h->dev.bus);
	return value;
}

static void ecam_write(void *dev, u64 offset, u64 value, unsigned int size)
{
	struct pci_host *h = dev;
	struct pci_function *f = ecam_addressed(h, offset, size);

	bus_lock(h->dev.bus);
	write_config(f, offset & 0xff, (u32)value, MIN(size, 4u));
	if (size == 8)
		write_config(f, (offset & 0xff) + 4, (u32)(value >> 32), 4);
	bus_unlock(h->dev.bus);
}

static void write_reset(struct pci_host *h, u8 value)
{
	struct machine_bus *bus = h->dev.bus;

	h->reset = value & RESET_KEPT;
	if (value & RESET_CPU)
		bus->ops->reset(bus->machine, value & (RESET_SYSTEM | RESET_FULL) ? BUS_RESET_HARD
										  : BUS_RESET_INIT);
}

static u32 pci_port_read(void *dev, u16 port, unsigned int size)
{
	struct pci_host *h = dev;
	u32 value = ~0u;

	bus_lock(h->dev.bus);
	if (port >= PORT_PCI_DATA)
		value = read_data(h, port - PORT_PCI_DATA, size);
	else if (port == PORT_PCI_ADDRESS && size == 4)
		value = h->address;
	else if (port == PORT_RESET && size == 1)
		value = h->reset;
	bus_unlock(h->dev.bus);
	return value;
}

static void pci_port_write(void *dev, u16 port, u32 value, unsigned int size)
{
	struct pci_host *h = dev;

	bus_lock(h->dev.bus);
	if (port >= PORT_PCI_DATA)
		write_data(h, port - PORT_PCI_DATA, value, size);
	else if (port == PORT_PCI_ADDRESS && size == 4)
		h->address = value & ADDRESS_KEPT;
	else if (port == PORT_RESET && size == 1)
		write_reset(h, (u8)value);
	bus_unlock(h->dev.bus);
}

/* ---- functions ------------------------------------------------------------------------------- */

static void fill_writable(struct pci_function *f)
{
	f->writable[PCI_COMMAND] |= 0x46;     /* memory, master, parity */
	f->writable[PCI_COMMAND + 1] |= 0x05; /* SERR#, interrupt disable */
	f->writable[0x0c] = 0xff;	      /* cache line size */
	f->writable[PCI_INTERRUPT_LINE] = 0xff;
	for (u32 i = 0; i < PCI_BARS; i++) {
		u32 mask = f->bar[i].bytes ? ~(f->bar[i].bytes - 1) : 0;

		for (u32 b = 0; b < 4; b++)
			f->writable[PCI_BAR0 + 4 * i + b] = (u8)(mask >> (8 * b));
	}
}

int pci_add(struct pci_host *h, struct pci_function *f)
{
	if (h->nslots == PCI_SLOTS)
		return -ENOSPC;
	f->host = h;
	f->bus = h->dev.bus;
	f->slot = h->nslots;
	fill_writable(f);
	for (u32 i = 0; i < PCI_BARS; i++) {
		if (!f->bar[i].bytes)
			continue;
		f->bar[i].gpa = parked(f, i);
		int err = mem_add_mmio(h->dev.bus->mem, f->name, f->bar[i].gpa, f->bar[i].bytes,
				       f->bar[i].ops, f->bar[i].dev);

		if (err)
			return err;
	}
	h->slot[h->nslots++] = f;
	return 0;
}

void pci_function_reset(struct pci_function *f)
{
	pci_put16(f, PCI_COMMAND, 0);
	for (u32 i = 0; i < PCI_BARS; i++) {
		pci_put16(f, PCI_BAR0 + 4 * i, 0);
		pci_put16(f, PCI_BAR0 + 4 * i + 2, 0);
		update_bar(f, i);
	}
	pci_set_intx(f, false, 0);
}

/* ---- life ------------------------------------------------------------------------------------ */

static void pci_host_reset(struct device *d)
{
	struct pci_host *h = container_of(d, struct pci_host, dev);

	h->address = 0;
	h->reset = 0;
	for (u32 i = 0; i < h->nslots; i++)
		pci_function_reset(h->slot[i]);
}

static void pci_host_destroy(struct device *d)
{
	free(container_of(d, struct pci_host, dev));
}

static const struct device_class pci_host_class = {
	.name = "pci-host",
	.reset = pci_host_reset,
	.destroy = pci_host_destroy,
};

static const struct port_ops pci_port_ops = {
	.read = pci_port_read,
	.write = pci_port_write,
};

static const struct mmio_ops ecam_ops = {
	.read = ecam_read,
	.write = ecam_write,
};

struct pci_host *pci_host_create(struct machine_bus *bus, int *err)
{
	struct pci_host *h = calloc(1, sizeof(*h));

	if (!h) {
		*err = -ENOMEM;
		return NULL;
	}
	bus_add_device(bus, &h->dev, &pci_host_class);
	h->bridge.name = "host bridge";
	pci_put16(&h->bridge, PCI_VENDOR, HOST_VENDOR);
	pci_put16(&h->bridge, PCI_DEVICE, HOST_DEVICE);
	h->bridge.config[PCI_CLASS + 2] = HOST_CLASS;
	pci_put16(&h->bridge, PCI_SUBSYSTEM_VENDOR, HOST_SUBSYSTEM_VENDOR);
	pci_put16(&h->bridge, PCI_SUBSYSTEM, HOST_SUBSYSTEM);
	for (u32 i = 0; i < PAM_COUNT; i++) {
		h->bridge.config[PAM_FIRST + i] = i ? PAM_ALL_RAM : PAM_ALL_RAM & 0xf0;
		h->bridge.writable[PAM_FIRST + i] = i ? 0x33 : 0x30;
	}
	*err = pci_add(h, &h->bridge);
	if (!*err)
		*err = mem_add_ports(bus->mem, "pci", PORT_PCI_ADDRESS, 8, &pci_port_ops, h);
	if (!*err)
		*err = mem_add_mmio(bus->mem, "ecam", PCI_ECAM, PCI_ECAM_BYTES, &ecam_ops, h);
	bus->pci = h;
	return *err ? NULL : h;
}
