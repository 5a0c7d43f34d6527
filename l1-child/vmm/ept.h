/*
 * Extended page tables of one L2: its memory, from guest-physical 0, in a window of the VMM's.
 * Never identity-mapped. Large pages, small pages, or nothing at first and small pages at each
 * violation.
 */
#ifndef L1_CHILD_VMM_EPT_H
#define L1_CHILD_VMM_EPT_H

#include "l1-child/lib/types.h"
#include "l1-child/vmm/config.h"

struct ept {
	u64 *root;
	u8 *window; /* where guest-physical 0 is */
	u64 window_bytes;
	u64 filled; /* pages mapped by violations */
};

/* Builds the tables over a window (2 MiB-aligned, length a multiple of 2 MiB). */
void ept_init(struct ept *e, enum ept_kind kind, u8 *window, u64 bytes);

/* ept_fill - map the 4 KiB page of a violation; false if it is outside the window or was mapped. */
bool ept_fill(struct ept *e, u64 gpa);

/* The EPT pointer for the VMCS. */
u64 ept_pointer(const struct ept *e);

#endif
