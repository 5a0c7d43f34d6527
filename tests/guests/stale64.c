/*
 * Invalidations remembered, done late, and forgotten: for --detect-stale (tests/e2e/stale_test.sh).
 * Passes whatever the virtual TLB keeps: a processor may use a stale translation or not.
 */
#include "tests/guests/kit.h"

extern u64 pd[];
static u64 pt[512] __attribute__((aligned(4096)));
static u8 page_a[4096] __attribute__((aligned(4096)));
static u8 page_b[4096] __attribute__((aligned(4096)));
extern u8 forgotten_read[];

#define VA 0x20000000ul
#define LONG 20000000u /* iterations: more than 10 ms of guest time */

static u8 *at(u32 i)
{
	return (u8 *)(VA + i * 4096ul);
}

static u32 read(u32 i)
{
	return *(volatile u8 *)at(i);
}

static void remap(u32 i, const u8 *page)
{
	*(volatile u64 *)&pt[i] = (ulong)page | 3;
}

static void spend_time(void)
{
	for (volatile u32 i = 0; i < LONG / 4; i++)
		;
}

int main(void)
{
	page_a[0] = 'a';
	page_b[0] = 'b';
	for (u32 i = 0; i < 4; i++)
		remap(i, page_a);
	pd[VA >> 21] = (ulong)pt | 3;
	WRITE_CR(3, READ_CR(3));
	put("remembered\n");
	CHECK_EQ(read(0), 'a');
	remap(0, page_b);
	invlpg(at(0));
	CHECK_EQ(read(0), 'b');
	put("late\n");
	CHECK_EQ(read(1), 'a');
	remap(1, page_b);
	CHECK(read(1) == 'a' || read(1) == 'b');
	invlpg(at(1));
	CHECK_EQ(read(1), 'b');
	put("relaxed\n");
	CHECK_EQ(read(2), 'a');
	pt[2] = (ulong)page_a | 1;
	WRITE_CR(3, READ_CR(3));
	CHECK_EQ(read(2), 'a');
	pt[2] = (ulong)page_a | 7;
	CHECK_EQ(read(2), 'a');
	put("forgotten\n");
	CHECK_EQ(read(3), 'a');
	remap(3, page_b);
	__asm__ volatile("forgotten_read: movb (%0), %%al" : : "r"(at(3)) : "eax", "memory");
	put("rip ");
	put_hex((ulong)forgotten_read);
	put("\n");
	spend_time();
	invlpg(at(3));
	CHECK_EQ(read(3), 'b');
	return 0;
}
