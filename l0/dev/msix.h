/*
 * msix.h - MSI-X of a PCI function: its capability, vector table and pending bits
 *
 * A function that wants message-signalled interrupts embeds a struct msix, calls msix_init() before
 * pci_add(), routes accesses to the BAR that holds the table here, and asks msix_enabled() before
 * it falls back to its pin. A message to 0xfeexxxxx goes over the interrupt bus; one to any other
 * address is a write of four bytes to memory, as on hardware. All calls hold the bus lock. No
 * allocation.
 * Source: PCI Local Bus Specification 3.0, section 6.8.2; SDM 3A "Message Signalled Interrupts".
 */
#ifndef L0_DEV_MSIX_H
#define L0_DEV_MSIX_H

#include "l0/dev/pci.h"

#define MSIX_MAX_VECTORS 32u
#define MSIX_TABLE_BYTES (16u * MSIX_MAX_VECTORS)
#define MSIX_PBA_OFFSET 0x800u /* in the table's BAR */
#define MSIX_BAR_BYTES 0x1000u
#define MSIX_CAP_BYTES 12u
#define MSIX_NO_VECTOR 0xffffu

struct msix_vector {
	u64 address;
	u32 data, control;
};

struct msix {
	struct pci_function *f;
	u32 cap;      /* offset of the capability */
	u32 nvectors; /* 1..MSIX_MAX_VECTORS */
	u32 pending;  /* a bit a vector: raised while masked */
	u64 due_ns[MSIX_MAX_VECTORS];
	struct msix_vector vector[MSIX_MAX_VECTORS];
};

/**
 * msix_init - fill in the capability; the table lies at 0 and the pending bits at MSIX_PBA_OFFSET
 * of BAR @bar
 * @cap:  where in configuration space; the caller links the list of capabilities
 * @next: offset of the next capability, or 0
 */
void msix_init(struct msix *m, struct pci_function *f, u32 cap, u8 next, u32 bar, u32 nvectors);

/* The table's BAR. @size as in mmio_ops; accesses other than of 4 or 8 aligned bytes read ones. */
u64 msix_read(struct msix *m, u64 offset, unsigned int size);
void msix_write(struct msix *m, u64 offset, u64 value, unsigned int size);

/* Configuration space at the capability was written. */
void msix_config_written(struct msix *m);

bool msix_enabled(const struct msix *m);

/* Send vector @v's message, now or when it is unmasked; one that does not exist is ignored. */
void msix_raise(struct msix *m, u32 v, u64 due_ns);

void msix_reset(struct msix *m);

#endif
