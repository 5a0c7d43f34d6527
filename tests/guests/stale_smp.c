/*
 * Shootdowns of two processors: done in time, not needed, and forgotten; a frame that is used for
 * something else while the other processor still has it. For --cpus 2, --detect-stale and
 * --tlb=adversarial (tests/e2e/stale_test.sh). Says which value the other processor read; whatever
 * the virtual TLB keeps, it passes.
 */
#include "tests/guests/smp64.h"
#include "tests/guests/stale.h"

#define VA 0x20000000ul
#define OLD 'o'
#define NEW 'n'

extern u64 pd[], pml4[];
u64 pt[512] __attribute__((aligned(4096)));
u64 other_root[512] __attribute__((aligned(4096)));
u8 frame_old[8][4096] __attribute__((aligned(4096)));
u8 frame_new[4096] __attribute__((aligned(4096)));
static volatile u32 seen;

static u8 *at(u32 i)
{
	return (u8 *)(VA + i * 4096ul);
}
static u64 entry(const u8 *frame)
{
	return (ulong)frame | 3;
}

static void other_reads_0(void)
{
	seen = *(volatile u8 *)at(0);
}
static void other_reads_1(void)
{
	seen = *(volatile u8 *)at(1);
}
static void other_reads_2(void)
{
	seen = READ_AT(use_unreached, at(2));
}
static void other_reads_3(void)
{
	seen = READ_AT(use_moved, at(3));
}
static void other_reads_4(void)
{
	seen = READ_AT(use_rewritten, at(4));
}
static void other_invlpg_0(void)
{
	invlpg(at(0));
}
static void other_invlpg_3(void)
{
	invlpg(at(3));
	invlpg(at(4));
}
static void other_flushes(void)
{
	WRITE_CR(3, READ_CR(3));
}

/* The other processor uses the page while the interrupt is on its way, and then no more. */
static void in_time(void)
{
	put("in time\n");
	on_other(other_reads_0);
	CHECK_EQ(seen, OLD);
	pt[0] = entry(frame_new);
	on_other(other_reads_0);
	CHECK(seen == OLD || seen == NEW);
	invlpg(at(0));
	on_other(other_invlpg_0);
	on_other(other_reads_0);
	CHECK_EQ(seen, NEW);
	spend_time();
}

/* It does not use the page until it loads CR3. */
static void lazily(void)
{
	put("lazily\n");
	on_other(other_reads_1);
	CHECK_EQ(seen, OLD);
	pt[1] = entry(frame_new);
	invlpg(at(1));
	CHECK_EQ(*(volatile u8 *)at(1), NEW);
	spend_time();
	on_other(other_flushes);
	on_other(other_reads_1);
	CHECK_EQ(seen, NEW);
	spend_time();
}

static void not_at_all(void)
{
	put("not at all\n");
	on_other(other_reads_2);
	CHECK_EQ(seen, OLD);
	CHANGE_AT(change_unreached, &pt[2], entry(frame_new));
	invlpg(at(2));
	CHECK_EQ(*(volatile u8 *)at(2), NEW);
	on_other(other_reads_2);
	SAY(put, "the other reads", seen);
	spend_time();
	on_other(other_reads_0);
	on_other(other_flushes);
}

/* The frame becomes another page's and is used there. */
static void frame_moved(void)
{
	put("frame moved\n");
	on_other(other_reads_3);
	CHANGE_AT(change_moved, &pt[3], entry(frame_new));
	invlpg(at(3));
	on_other(other_reads_3);
	SAY(put, "the other reads", seen);
	pt[16] = entry(frame_old[3]);
	WRITE_AT(reuse_moved, at(16), 'x');
	on_other(other_invlpg_3);
}

/* The frame is written in another address space. */
static void frame_rewritten(void)
{
	ulong root = READ_CR(3);

	put("frame rewritten\n");
	on_other(other_reads_4);
	CHANGE_AT(change_rewritten, &pt[4], entry(frame_new));
	invlpg(at(4));
	on_other(other_reads_4);
	SAY(put, "the other reads", seen);
	for (u32 i = 0; i < 512; i++)
		other_root[i] = pml4[i];
	WRITE_CR(3, other_root);
	WRITE_AT(reuse_rewritten, frame_old[4], 'x');
	WRITE_CR(3, root);
	on_other(other_invlpg_3);
}

int main(void)
{
	for (u32 i = 0; i < 8; i++) {
		frame_old[i][0] = OLD;
		pt[i] = entry(frame_old[i]);
	}
	frame_new[0] = NEW;
	pd[VA >> 21] = (ulong)pt | 3;
	WRITE_CR(3, READ_CR(3));
	start_other();
	in_time();
	lazily();
	not_at_all();
	frame_moved();
	frame_rewritten();
	return 0;
}
