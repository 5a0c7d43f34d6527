#include "l1-child/vmm/ept.h"

#include "l1-child/vmm/page.h"
#include "l1-child/vmm/vmx_defs.h"

#define EPT_ADDRESS 0x000ffffffffff000ull

/* The entry for gpa in the table of this level (4 = root), with the tables above it made. */
static u64 *entry_at(struct ept *e, u64 gpa, unsigned int level)
{
	u64 *table = e->root;

	for (unsigned int l = 4;; l--) {
		u64 *entry = &table[gpa >> (12 + 9 * (l - 1)) & 511];

		if (l == level)
			return entry;
		if (!*entry)
			*entry = (u64)page_alloc(1, PAGE_SIZE) | EPT_ENTRY_RWX;
		table = (u64 *)(*entry & EPT_ADDRESS);
	}
}

void ept_init(struct ept *e, enum ept_kind kind, u8 *window, u64 bytes)
{
	u64 gpa;

	*e = (struct ept){page_alloc(1, PAGE_SIZE), window, bytes, 0};
	if (kind == EPT_2M)
		for (gpa = 0; gpa < bytes; gpa += PAGE_SIZE_2M)
			*entry_at(e, gpa, 2) = ((u64)window + gpa) | EPT_ENTRY_RWX | EPT_ENTRY_WB |
					       EPT_ENTRY_LARGE;
	else if (kind == EPT_4K)
		for (gpa = 0; gpa < bytes; gpa += PAGE_SIZE)
			*entry_at(e, gpa, 1) = ((u64)window + gpa) | EPT_ENTRY_RWX | EPT_ENTRY_WB;
}

bool ept_fill(struct ept *e, u64 gpa)
{
	u64 *entry;

	gpa &= PAGE_MASK;
	if (gpa >= e->window_bytes)
		return false;
	entry = entry_at(e, gpa, 2);
	if (*entry & EPT_ENTRY_LARGE)
		return false;
	entry = entry_at(e, gpa, 1);
	if (*entry)
		return false;
	*entry = ((u64)e->window + gpa) | EPT_ENTRY_RWX | EPT_ENTRY_WB;
	e->filled++;
	return true;
}

u64 ept_pointer(const struct ept *e)
{
	return (u64)e->root | EPTP_WALK_4 | EPTP_TYPE_WB;
}
