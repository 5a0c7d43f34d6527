/*
 * pci.h - the PCI bus: configuration mechanism 1, the host bridge, functions with memory BARs
 *
 * One bus, number 0, up to 32 slots of one function each; slot 0 is the host bridge. Ports
 * 0xcf8-0xcff, among them the reset register at 0xcf9; ECAM for the same space. A device that sits
 * on the bus embeds a struct pci_function, fills in its identity and BARs, and calls pci_add(); the
 * bus answers its configuration space and moves its MMIO regions as BARs and the command register
 * are written. Interrupt pin A of slot n is global system interrupt 16 + n mod 4, level triggered.
 * Source: PCI Local Bus Specification 3.0; Intel 440FX data sheet for the reset register.
 */
#ifndef L0_DEV_PCI_H
#define L0_DEV_PCI_H

#include "l0/dev/bus.h"

#define PCI_SLOTS 32u
#define PCI_BARS 6u
#define PCI_CONFIG_BYTES 256u
#define PCI_GSI_FIRST 16u
#define PCI_GSI_COUNT 4u
/* Where software may put memory BARs; what the DSDT says. */
#define PCI_MEMORY_START 0xc0000000ull
#define PCI_MEMORY_END 0xfec00000ull /* but for the ECAM */
/* Configuration space of bus 0 by memory (PCI Express ECAM), as the MCFG table says. */
#define PCI_ECAM 0xe0000000ull
#define PCI_ECAM_BYTES 0x100000ull

/* Offsets in configuration space. */
#define PCI_VENDOR 0x00u
#define PCI_DEVICE 0x02u
#define PCI_COMMAND 0x04u
#define PCI_STATUS 0x06u
#define PCI_REVISION 0x08u
#define PCI_CLASS 0x09u
#define PCI_HEADER_TYPE 0x0eu
#define PCI_BAR0 0x10u
#define PCI_SUBSYSTEM_VENDOR 0x2cu
#define PCI_SUBSYSTEM 0x2eu
#define PCI_CAPABILITIES 0x34u
#define PCI_INTERRUPT_LINE 0x3cu
#define PCI_INTERRUPT_PIN 0x3du

#define PCI_COMMAND_MEMORY 0x0002u
#define PCI_COMMAND_MASTER 0x0004u
#define PCI_COMMAND_INTX_OFF 0x0400u
#define PCI_STATUS_INTX 0x0008u
#define PCI_STATUS_CAPABILITIES 0x0010u

struct pci_host;

struct pci_bar {
	u32 bytes; /* a power of two, at least 16; 0: there is none */
	const struct mmio_ops *ops;
	void *dev; /* what the ops get */
	u64 gpa;   /* where its region is now; outside all addresses while it is not decoded */
};

struct pci_function {
	/* filled in by the device before pci_add() */
	const char *name;
	u8 config[PCI_CONFIG_BYTES];
	u8 writable[PCI_CONFIG_BYTES]; /* bits that software may change; pci_add() adds the usual
					  ones */
	struct pci_bar bar[PCI_BARS];  /* 32-bit memory BARs */
	/* NULL, or: the dword at @off, 40h or above, is about to be read; was written. Lock
	 * held. */
	void (*config_read)(struct pci_function *f, u32 off, unsigned int size);
	void (*config_written)(struct pci_function *f, u32 off, unsigned int size);
	/* the bus's own */
	struct machine_bus *bus;
	struct pci_host *host;
	u32 slot;
	bool intx; /* what the device wants on its pin */
};

/* Return: the host bridge with an empty bus, owned by @bus; NULL with *@err = -EEXIST or -ENOMEM.
 */
struct pci_host *pci_host_create(struct machine_bus *bus, int *err);

/* Put @f, which lives as long as the bus, into the next free slot. Return: 0, -ENOSPC, -ENOMEM. */
int pci_add(struct pci_host *h, struct pci_function *f) __must_check;

/*
 * Who else hears of interrupt pins: @pin (slot mod 4) is now @level, one call for each change or
 * more. One at most; @arg lives as long as the bus. Called with the lock held.
 */
typedef void (*pci_router_fn)(void *arg, u32 pin, bool level, u64 due_ns);
void pci_set_router(struct pci_host *h, pci_router_fn fn, void *arg);

/* Drive the function's interrupt pin. Lock held. */
void pci_set_intx(struct pci_function *f, bool level, u64 due_ns);

/* A function's reset: command register, BARs and pin; for the device's own reset. Lock held. */
void pci_function_reset(struct pci_function *f);

static inline void pci_put16(struct pci_function *f, u32 off, u16 value)
{
	f->config[off] = (u8)value;
	f->config[off + 1] = (u8)(value >> 8);
}

static inline u16 pci_get16(const struct pci_function *f, u32 off)
{
	return (u16)(f->config[off] | f->config[off + 1] << 8);
}

#endif
