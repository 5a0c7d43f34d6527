/*
 * Invalidations remembered, done late, not needed, and forgotten: for --detect-stale and
 * --tlb=adversarial (tests/e2e/stale_test.sh). Passes whatever the virtual TLB keeps: a processor
 * may use a stale translation or not.
 */
#include "tests/guests/kit.h"
#include "tests/guests/stale.h"

#define VA 0x20000000ul
#define OLD 'o'
#define NEW 'n'
#define NO_FLUSH (1ul << 63)
#define ENTRY_A_D 0x60ul
#define ENTRY_G 0x100ul

extern u64 pd[];
u64 pt[512] __attribute__((aligned(4096)));
u64 pt2[512] __attribute__((aligned(4096)));
u64 pt3[512] __attribute__((aligned(4096)));
u8 frame_old[4096] __attribute__((aligned(4096)));
u8 frame_new[4096] __attribute__((aligned(4096)));

static u8 *at(u32 i)
{
	return (u8 *)(VA + i * 4096ul);
}
static u32 read(u32 i)
{
	return *(volatile u8 *)at(i);
}
static u64 entry(const u8 *frame)
{
	return (ulong)frame | 3;
}
static void set(u32 i, u64 value)
{
	*(volatile u64 *)&pt[i] = value;
}

static void remembered(void)
{
	put("remembered\n");
	CHECK_EQ(read(0), OLD);
	set(0, entry(frame_new));
	invlpg(at(0));
	CHECK_EQ(read(0), NEW);
	put("late\n");
	CHECK_EQ(read(1), OLD);
	set(1, entry(frame_new));
	CHECK(read(1) == OLD || read(1) == NEW);
	invlpg(at(1));
	CHECK_EQ(read(1), NEW);
}

/* What needs none. */
static void relaxed(void)
{
	put("relaxed\n");
	CHECK_EQ(read(2), OLD);
	set(2, entry(frame_old) & ~2ul);
	WRITE_CR(3, READ_CR(3));
	CHECK_EQ(read(2), OLD);
	set(2, entry(frame_old) | 4);
	*at(2) = OLD;
	set(2, entry(frame_old) | 4 | ENTRY_A_D);
	CHECK_EQ(read(2), OLD);
	set(2, entry(frame_old) | 4); /* A and D are the processor's to set again, or not */
	*at(2) = OLD;
	put("not present\n");
	CHECK_EQ(TRY_A("movb (%%rax), %%cl", at(20)), 14);
	set(20, entry(frame_new));
	CHECK_EQ(read(20), NEW);
	spend_time();
}

static void forgotten_page(void)
{
	put("forgotten\n");
	CHECK_EQ(read(3), OLD);
	CHANGE_AT(change_page, &pt[3], entry(frame_new));
	SAY(put, "it reads", READ_AT(use_page, at(3)));
	spend_time();
	invlpg(at(3));
	CHECK_EQ(read(3), NEW);
}

/* An entry of the page directory, with another table behind it. */
static void forgotten_table(void)
{
	u8 *p = (u8 *)VA + 0x200000;

	pt2[0] = entry(frame_old);
	pt3[0] = entry(frame_new);
	pd[(VA >> 21) + 1] = (ulong)pt2 | 3;
	WRITE_CR(3, READ_CR(3));
	CHECK_EQ(*(volatile u8 *)p, OLD);
	CHANGE_AT(change_table, &pd[(VA >> 21) + 1], (ulong)pt3 | 3);
	SAY(put, "it reads", READ_AT(use_table, p));
	spend_time();
	WRITE_CR(3, READ_CR(3));
	CHECK_EQ(*(volatile u8 *)p, NEW);
}

/* MOV CR3 leaves global pages. */
static void forgotten_global(void)
{
	WRITE_CR(4, READ_CR(4) | CR4_PGE);
	set(4, entry(frame_old) | ENTRY_G);
	CHECK_EQ(read(4), OLD);
	CHANGE_AT(change_global, &pt[4], entry(frame_new) | ENTRY_G);
	WRITE_CR(3, READ_CR(3));
	SAY(put, "it reads", READ_AT(use_global, at(4)));
	spend_time();
	invlpg(at(4));
	CHECK_EQ(read(4), NEW);
}

/* INVLPG leaves other PCIDs what they have. */
static void forgotten_pcid(void)
{
	ulong root = READ_CR(3) & ~0xffful;

	WRITE_CR(4, READ_CR(4) | CR4_PCIDE);
	WRITE_CR(3, root | 1);
	CHECK_EQ(read(5), OLD);
	WRITE_CR(3, root | 2);
	CHANGE_AT(change_pcid, &pt[5], entry(frame_new));
	invlpg(at(5));
	CHECK_EQ(read(5), NEW);
	WRITE_CR(3, root | 1 | NO_FLUSH);
	SAY(put, "it reads", READ_AT(use_pcid, at(5)));
	spend_time();
	WRITE_CR(3, root | 1);
	CHECK_EQ(read(5), NEW);
}

int main(void)
{
	frame_old[0] = OLD;
	frame_new[0] = NEW;
	for (u32 i = 0; i < 8; i++)
		set(i, entry(frame_old));
	pd[VA >> 21] = (ulong)pt | 3;
	WRITE_CR(3, READ_CR(3));
	remembered();
	relaxed();
	forgotten_page();
	forgotten_table();
	forgotten_global();
	forgotten_pcid();
	return 0;
}
