/*
 * Address spaces of the processes. Page-table pages come from a ring, so that a new address space
 * rarely has the CR3 of the last one; frames are taken back in the order they were given.
 */
#include "l1-child/guests/procs.h"
#include "l1-child/lib/cpu.h"
#include "l1-child/lib/str.h"

#define PTE_P 0x1ull
#define PTE_W 0x2ull
#define PTE_U 0x4ull
#define PTE_ADDR 0x000ffffffffff000ull
#define MAX_TABLES 256
#define MAX_FRAMES 1024
#define NOBODY 0xffffffffu

struct frame {
	u64 va, cr3;
	u32 owner;
};

static u64 table_ring[MAX_TABLES];
static u32 table_get, table_put;
static struct frame frames[MAX_FRAMES];
static u64 frames_base;
static u32 frame_count, frame_hand, evictions;

void uvm_init(u64 start, u64 end, u32 count)
{
	u64 at = start;

	for (u32 i = 0; i < MAX_TABLES; i++, at += 4096)
		table_ring[table_put++ % MAX_TABLES] = at;
	frames_base = at;
	frame_count = count < MAX_FRAMES ? count : MAX_FRAMES;
	if (at + frame_count * 4096ull > end)
		frame_count = (u32)((end - at) / 4096);
	for (u32 i = 0; i < frame_count; i++)
		frames[i].owner = NOBODY;
}

static u64 table_alloc(void)
{
	u64 at;

	if (table_get == table_put) {
		kit_print("procs: out of page tables\n");
		kit_exit(2);
	}
	at = table_ring[table_get++ % MAX_TABLES];
	memset((void *)at, 0, 4096);
	return at;
}

static void table_free(u64 at)
{
	table_ring[table_put++ % MAX_TABLES] = at;
}

/* The last-level entry of a user address; its tables are made if make is set. NULL: no table. */
static u64 *pte_of(u64 cr3, u64 va, bool make)
{
	u64 *table = (u64 *)(cr3 & PTE_ADDR);

	for (u32 shift = 39;; shift -= 9) {
		u64 *entry = &table[va >> shift & 511];

		if (shift == 12)
			return entry;
		if (!(*entry & PTE_P)) {
			if (!make)
				return NULL;
			*entry = table_alloc() | PTE_P | PTE_W | PTE_U;
		}
		table = (u64 *)(*entry & PTE_ADDR);
	}
}

u64 uvm_create(u32 owner)
{
	u64 cr3 = table_alloc(), text = (u64)user_start, va = USER_TEXT;

	(void)owner;
	((u64 *)cr3)[0] = *(u64 *)GUEST_TABLES; /* the kernel: the VMM's first tables, supervisor */
	for (; text < (u64)user_end; text += 4096, va += 4096)
		*pte_of(cr3, va, true) = text | PTE_P | PTE_U;
	return cr3;
}

/* Frees the tables of the user half below this one. */
static void free_tables(u64 table, u32 level)
{
	u64 *entry = (u64 *)table;

	for (u32 i = level == 4 ? 1 : 0; level > 1 && i < 512; i++)
		if (entry[i] & PTE_P)
			free_tables(entry[i] & PTE_ADDR, level - 1);
	table_free(table);
}

void uvm_destroy(u64 cr3, u32 owner)
{
	for (u32 i = 0; i < frame_count; i++)
		if (frames[i].owner == owner)
			frames[i].owner = NOBODY;
	free_tables(cr3 & PTE_ADDR, 4);
}

static void evict(struct frame *f)
{
	u64 *pte = pte_of(f->cr3, f->va, false);

	*pte = 0;
	if ((cpu_read_cr3() & PTE_ADDR) == f->cr3)
		__asm__ volatile("invlpg (%0)" : : "r"(f->va) : "memory");
	/* another address space: loading its CR3 flushes what is cached of it */
	evictions++;
}

bool uvm_fault(u64 cr3, u32 owner, u64 va)
{
	struct frame *f = frames;
	u64 at;

	va &= ~4095ull;
	if (!(va >= USER_DATA && va < USER_DATA + USER_PAGES * 4096ull) &&
	    !(va >= USER_STACK_TOP - USER_STACK_PAGES * 4096ull && va < USER_STACK_TOP))
		return false;
	for (u32 i = 0; i < frame_count; i++) {
		f = &frames[frame_hand++ % frame_count];
		/* Stacks stay: their content matters. */
		if (f->owner == NOBODY || f->va < USER_STACK_TOP - USER_STACK_PAGES * 4096ull)
			break;
	}
	if (f->owner != NOBODY)
		evict(f);
	at = frames_base + (u64)(f - frames) * 4096;
	memset((void *)at, 0, 4096);
	*f = (struct frame){va, cr3 & PTE_ADDR, owner};
	*pte_of(cr3, va, true) = at | PTE_P | PTE_W | PTE_U;
	return true;
}

u32 uvm_evictions(void)
{
	return evictions;
}
