/* piix.c - see piix.h */
#include "l0/dev/piix.h"

#include <errno.h>
#include <stdlib.h>

#include "l0/dev/pci.h"

#define VENDOR 0x8086
#define DEVICE 0x7000
#define CLASS_BRIDGE 0x06
#define SUBCLASS_ISA 0x01

#define PIRQRC 0x60u
#define PIRQ_COUNT 4u
#define PIRQ_OFF 0x80
#define PIRQ_LINE 0x0f
#define ISA_LINES 16u
/* Lines 3, 5, 6, 7, 10 and 11: what a PIIX3 can route to and no device of this machine drives. */
#define ROUTABLE 0x0ce8u

struct piix {
	struct device dev;
	struct pci_function pci;
	u32 pirqs;  /* a bit for each that is high */
	u32 driven; /* a bit for each ISA line that is held high */
};

static void update(struct piix *x, u64 due_ns)
{
	u32 lines = 0;

	for (u32 i = 0; i < PIRQ_COUNT; i++) {
		u8 route = x->pci.config[PIRQRC + i];

		if ((x->pirqs >> i & 1) && !(route & PIRQ_OFF))
			lines |= 1u << (route & PIRQ_LINE) & ROUTABLE;
	}
	for (u32 i = 0; i < ISA_LINES; i++)
		if ((lines ^ x->driven) >> i & 1)
			irq_set(&x->dev.bus->irq, i, INTR_SOURCE_DEVICE, lines >> i & 1, due_ns);
	x->driven = lines;
}

static void pin_changed(void *arg, u32 pin, bool level, u64 due_ns)
{
	struct piix *x = arg;
	u32 bit = 1u << (pin + PIRQ_COUNT - 1) % PIRQ_COUNT;

	x->pirqs = level ? x->pirqs | bit : x->pirqs & ~bit;
	update(x, due_ns);
}

static void config_written(struct pci_function *f, u32 off, unsigned int size)
{
	update(container_of(f, struct piix, pci), bus_now(f->bus));
}

static void piix_reset(struct device *d)
{
	struct piix *x = container_of(d, struct piix, dev);

	for (u32 i = 0; i < PIRQ_COUNT; i++)
		x->pci.config[PIRQRC + i] = PIRQ_OFF;
	update(x, 0);
}

static void piix_destroy(struct device *d)
{
	free(container_of(d, struct piix, dev));
}

static const struct device_class piix_class = {
	.name = "piix",
	.reset = piix_reset,
	.destroy = piix_destroy,
};

int piix_create(struct machine_bus *bus)
{
	struct piix *x = calloc(1, sizeof(*x));

	if (!x)
		return -ENOMEM;
	bus_add_device(bus, &x->dev, &piix_class);
	x->pci.name = "ISA bridge";
	pci_put16(&x->pci, PCI_VENDOR, VENDOR);
	pci_put16(&x->pci, PCI_DEVICE, DEVICE);
	x->pci.config[PCI_CLASS + 1] = SUBCLASS_ISA;
	x->pci.config[PCI_CLASS + 2] = CLASS_BRIDGE;
	for (u32 i = 0; i < PIRQ_COUNT; i++)
		x->pci.writable[PIRQRC + i] = PIRQ_OFF | PIRQ_LINE;
	x->pci.config_written = config_written;
	piix_reset(&x->dev);
	int err = pci_add(bus->pci, &x->pci);

	if (!err)
		pci_set_router(bus->pci, pin_changed, x);
	return err;
}
