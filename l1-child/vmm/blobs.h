/* The guests' images, linked into the VMM (blob_data.S). */
#ifndef L1_CHILD_VMM_BLOBS_H
#define L1_CHILD_VMM_BLOBS_H

#include "l1-child/lib/types.h"

struct blob {
	const char *kind;
	u64 bits;
	const u8 *start;
	u64 bytes;
};

/* blob_find - the image of a kind of guest, 64- or 32-bit; NULL: none. */
const struct blob *blob_find(const char *kind, u32 bits);

#endif
