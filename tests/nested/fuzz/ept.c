/*
 * EPT tables that nobody would make: entries that point outside RAM, at devices, at the tables
 * themselves, with reserved bits. Unless told otherwise the L2 gets nothing of L1's memory to write
 * to by them, so that L1 can go on to judge.
 */
#include "tests/nested/fuzz/fuzz.h"

#define SMALL_PAGES 512 /* the first 2 MiB of the sandbox, in small pages */
#define ADDRESS_BITS 0x000ffffffffff000ull
#define BARS 0xd0000000ull /* where this program puts the memory of PCI devices */
#define BAR_STRIDE 0x10000ull
#define BARS_EACH 6u

static u64 *table[4]; /* by level, the top one first */
static u8 *room;

static void make_good(void)
{
	for (u32 i = 0; i < 4; i++)
		memset(table[i], 0, PAGE_SIZE);
	for (u32 i = 0; i < 3; i++)
		table[i][0] = (u64)table[i + 1] | EPT_ENTRY_RWX;
	for (u64 i = 0; i < SMALL_PAGES; i++)
		table[3][i] = ((u64)room + i * PAGE_SIZE) | EPT_ENTRY_WB | EPT_ENTRY_RWX;
	table[2][1] = ((u64)room + PAGE_SIZE_2M) | EPT_ENTRY_WB | EPT_ENTRY_RWX | EPT_ENTRY_LARGE;
}

/* Functions 1 to 4 of bus 0, if they are there: memory BARs in a row, decoded. */
static void place_bars(void)
{
	for (u32 slot = 1; slot <= 4; slot++) {
		u32 at = 0x80000000u | slot << 11;

		for (u32 i = 0; i < BARS_EACH; i++) {
			port_out32(0xcf8, at | (0x10 + 4 * i));
			port_out32(0xcfc, (u32)(BARS + BAR_STRIDE * ((slot - 1) * BARS_EACH + i)));
		}
		port_out32(0xcf8, at | 4);
		port_out32(0xcfc, 6); /* memory space, bus master */
	}
}

u64 *fuzz_ept_make(u8 *sandbox)
{
	room = sandbox;
	for (u32 i = 0; i < 4; i++)
		table[i] = page_alloc(1, PAGE_SIZE);
	make_good();
	place_bars();
	return table[0];
}

/* No RAM, nor any device, there. */
static u64 beyond_ram(void)
{
	return (1ull << (33 + below(12)) | (rnd() & 0xffffff000)) & ADDRESS_BITS;
}

u64 fuzz_device(void)
{
	static const u64 at[] = {0xa0000,    0xb8000,	 0xfec00000, 0xfed00000,
				 0xfee00000, 0xfffff000, 0xe0008000};
	u64 bar = BARS + BAR_STRIDE * below(4 * BARS_EACH);

	return below(3) ? at[below(ARRAY_SIZE(at))] : bar + PAGE_SIZE * below(4);
}

static u64 spoilt(u64 entry, bool leaf, bool ad, bool any)
{
	u64 bit;

	switch (below(5)) {
	case 0: return beyond_ram() | EPT_ENTRY_RWX | (leaf ? EPT_ENTRY_WB : 0);
	case 1: return fuzz_device() | EPT_ENTRY_RWX | (leaf ? EPT_ENTRY_WB : 0);
	case 2: return (u64)table[below(4)] | EPT_ENTRY_RWX | (leaf ? EPT_ENTRY_WB : 0);
	case 3: return entry ^ below(0x1000); /* rights, type, size, ignored bits */
	}
	bit = 1ull << below(64);
	if ((bit & ADDRESS_BITS) && ad && !leaf && !any)
		bit = 1ull << 63;
	return entry ^ bit;
}

void fuzz_ept_spoil(bool ad, bool any)
{
	make_good();
	for (u64 n = below(6); n; n--) {
		u32 level = (u32)below(4);
		/* in the last table mostly where code and tables are */
		u64 index = below(level < 3 ? 4 : below(2) ? SMALL_PAGES : 32);
		u64 old = table[level][index], e;

		e = spoilt(old, level == 3 || (old & EPT_ENTRY_LARGE), ad, any);
		if (!any && (e & ADDRESS_BITS) != (old & ADDRESS_BITS))
			e &= ~EPT_ENTRY_WRITE;
		if (!any && level < 3 && (e & EPT_ENTRY_LARGE))
			e &= ~EPT_ENTRY_WRITE; /* what was a table is a page now */
		table[level][index] = e;
	}
}
