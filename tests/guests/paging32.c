/* 32-bit and PAE paging: page-fault error codes, accessed and dirty bits, large pages, WP, INVLPG.
 */
#include "tests/guests/kit.h"

static u32 pd[1024] __attribute__((aligned(4096)));
static u32 pt[1024] __attribute__((aligned(4096)));
static u64 pdpt[4] __attribute__((aligned(4096)));
static u64 pd64[512] __attribute__((aligned(4096)));
static u64 pt64[512] __attribute__((aligned(4096)));
static u8 page_a[4096] __attribute__((aligned(4096)));
static u8 page_b[4096] __attribute__((aligned(4096)));

#define VA 0x800000u /* mapped by the small page table: 8 MiB.. */
#define READ() TRY_REGS("movb %c[x], %%al", 0, 0, 0, [x] "i"(VA))
#define WRITE() TRY_REGS("movb $0x5a, %c[x]", 0, 0, 0, [x] "i"(VA))

static void user_read(void)
{
	__asm__ volatile("movb %c0, %%al" : : "i"(VA) : "eax");
}
static void user_write(void)
{
	__asm__ volatile("movb $1, %c0" : : "i"(VA) : "memory");
}

static void faults(u32 *pte)
{
	u32 base = (u32)page_a;

	*pte = 0;
	invlpg((void *)VA);
	CHECK_EQ(READ(), VECTOR_PF);
	CHECK_EQ(trap.error, 0);
	CHECK_EQ(trap.cr2, VA);
	CHECK_EQ(WRITE(), VECTOR_PF);
	CHECK_EQ(trap.error, PFERR_W);
	*pte = base | 1;
	invlpg((void *)VA);
	CHECK_EQ(READ(), -1);
	CHECK_EQ(*pte & 0x60, 0x20); /* accessed, not dirty */
	CHECK_EQ(WRITE(), -1);	     /* CR0.WP clear: a supervisor may */
	CHECK_EQ(*pte & 0x60, 0x60);
	CHECK_EQ(page_a[0], 0x5a);
	WRITE_CR(0, READ_CR(0) | CR0_WP);
	CHECK_EQ(WRITE(), VECTOR_PF);
	CHECK_EQ(trap.error, PFERR_P | PFERR_W);
	CHECK_EQ(at_level3(user_read), VECTOR_PF);
	CHECK_EQ(trap.error, PFERR_P | PFERR_U);
	*pte = base | 5;
	invlpg((void *)VA);
	CHECK_EQ(at_level3(user_read), -1);
	CHECK_EQ(at_level3(user_write), VECTOR_PF);
	CHECK_EQ(trap.error, PFERR_P | PFERR_W | PFERR_U);
	*pte = base | 7;
	invlpg((void *)VA);
	CHECK_EQ(at_level3(user_write), -1);
	CHECK_EQ(page_a[0], 1);
	WRITE_CR(0, READ_CR(0) & ~(ulong)CR0_WP);
	/* a new translation counts after INVLPG, and after a CR3 load */
	page_a[0] = 0xaa;
	page_b[0] = 0xbb;
	CHECK_EQ(*(volatile u8 *)VA, 0xaa);
	*pte = (u32)page_b | 7;
	invlpg((void *)VA);
	CHECK_EQ(*(volatile u8 *)VA, 0xbb);
	*pte = base | 7;
	WRITE_CR(3, READ_CR(3));
	CHECK_EQ(*(volatile u8 *)VA, 0xaa);
}

int main(void)
{
	put("32-bit paging\n");
	for (u32 i = 0; i < 1024; i++)
		pd[i] = i << 22 | 0x87;
	pd[VA >> 22] = (u32)pt | 7;
	WRITE_CR(4, READ_CR(4) | CR4_PSE);
	WRITE_CR(3, (ulong)pd);
	WRITE_CR(0, READ_CR(0) | CR0_PG);
	faults(&pt[0]);
	CHECK(pd[0] & 0x60); /* the large page of this code: accessed and dirty */
	WRITE_CR(0, READ_CR(0) & ~(ulong)CR0_PG);

	put("PAE paging\n");
	for (u32 i = 0; i < 512; i++)
		pd64[i] = (u64)i << 21 | 0x87;
	pd64[VA >> 21] = (ulong)pt64 | 7;
	pdpt[0] = (ulong)pd64 | 1;
	WRITE_CR(4, READ_CR(4) | CR4_PAE);
	WRITE_CR(3, (ulong)pdpt);
	WRITE_CR(0, READ_CR(0) | CR0_PG);
	faults((u32 *)&pt64[0]);
	pt64[0] = (ulong)page_a | 7 | 1ull << 52; /* reserved */
	invlpg((void *)VA);
	CHECK_EQ(READ(), VECTOR_PF);
	CHECK_EQ(trap.error, PFERR_P | PFERR_RSVD);
	/* PDPTEs are loaded by MOV CR3: a bad one is #GP, a changed one does not count before */
	pdpt[3] = 2 | 1;
	CHECK_EQ(TRY_A("mov %%eax, %%cr3", pdpt), VECTOR_GP);
	pdpt[3] = 0;
	CHECK_EQ(TRY_A("mov %%eax, %%cr3", pdpt), -1);
	return 0;
}
