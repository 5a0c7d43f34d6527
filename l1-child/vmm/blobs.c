#include "l1-child/vmm/blobs.h"

#include "l1-child/lib/str.h"

/* blob_data.S: ends with an entry without a name */
extern const struct blob blob_table[];

const struct blob *blob_find(const char *kind, u32 bits)
{
	for (const struct blob *b = blob_table; b->kind; b++)
		if (!strcmp(b->kind, kind) && b->bits == bits)
			return b;
	return NULL;
}
