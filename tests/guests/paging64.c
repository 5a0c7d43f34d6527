/* 4-level paging: error codes, NX, SMEP, SMAP, global pages, PCID, page sizes, accessed and dirty.
 */
#include "l0/arch/msr.h"
#include "tests/guests/kit.h"

extern u64 pml4[], pdpt[], pd[];
static u64 pt[512] __attribute__((aligned(4096)));
static u64 pml4_b[512] __attribute__((aligned(4096)));
static u64 pdpt_b[512] __attribute__((aligned(4096)));
static u64 pd_b[512] __attribute__((aligned(4096)));
static u64 pt_b[512] __attribute__((aligned(4096)));
static u8 page_a[4096] __attribute__((aligned(4096)));
static u8 page_b[4096] __attribute__((aligned(4096)));

#define VA 0x20000000ull
#define NX (1ull << 63)
#define GLOBAL 0x100
#define READ() TRY_REGS("movb (%%rdi), %%al", 0, 0, 0, "D"(VA))
#define WRITE() TRY_REGS("movb $0x5a, (%%rdi)", 0, 0, 0, "D"(VA))

static void user_read(void)
{
	__asm__ volatile("movb (%0), %%al" : : "r"(VA) : "eax");
}
static void user_write(void)
{
	__asm__ volatile("movb $1, (%0)" : : "r"(VA) : "memory");
}

/* Call VA, where a RET lies; a fault of the fetch has RIP = VA, so the stack is put right here. */
static int call_va(void)
{
	trap.vector = -1;
	__asm__ volatile("mov %%rsp, %%rbx; movq $1f, recover_ip; call *%0\n1: mov %%rbx, %%rsp"
			 :
			 : "r"(VA)
			 : "rbx", "memory", "cc", "rax");
	recover_ip = 0;
	return trap.vector;
}

static void set(u64 e)
{
	pt[0] = e;
	invlpg((void *)VA);
}

static void permissions(void)
{
	put("permissions\n");
	set(0);
	CHECK_EQ(READ(), VECTOR_PF);
	CHECK_EQ(trap.error, 0);
	CHECK_EQ(trap.cr2, VA);
	CHECK_EQ(at_level3(user_write), VECTOR_PF);
	CHECK_EQ(trap.error, PFERR_U | PFERR_W);
	set((ulong)page_a | 1);
	CHECK_EQ(READ(), -1);
	CHECK_EQ(pt[0] & 0x60, 0x20);
	CHECK_EQ(at_level3(user_read), VECTOR_PF);
	CHECK_EQ(trap.error, PFERR_P | PFERR_U);
	WRITE_CR(0, READ_CR(0) | CR0_WP);
	CHECK_EQ(WRITE(), VECTOR_PF);
	CHECK_EQ(trap.error, PFERR_P | PFERR_W);
	WRITE_CR(0, READ_CR(0) & ~(ulong)CR0_WP);
	CHECK_EQ(WRITE(), -1);
	CHECK_EQ(pt[0] & 0x60, 0x60);
	set((ulong)page_a | 7 | 1ull << 51);
	CHECK_EQ(READ(), VECTOR_PF);
	CHECK_EQ(trap.error, PFERR_P | PFERR_RSVD);
	/* the upper levels count too */
	set((ulong)page_a | 7);
	pd[VA >> 21] = (ulong)pt | 1; /* supervisor, read-only */
	invlpg((void *)VA);
	CHECK_EQ(at_level3(user_read), VECTOR_PF);
	CHECK_EQ(trap.error, PFERR_P | PFERR_U);
	pd[VA >> 21] = (ulong)pt | 7;
	invlpg((void *)VA);
	CHECK_EQ(at_level3(user_write), -1);
}

static void execute(void)
{
	put("NX, SMEP, SMAP\n");
	page_a[0] = 0xc3; /* ret */
	set((ulong)page_a | 3);
	CHECK_EQ(call_va(), -1);
	set((ulong)page_a | 3 | NX);
	CHECK_EQ(call_va(), VECTOR_PF);
	CHECK_EQ(trap.error, PFERR_P | PFERR_I);
	CHECK_EQ(trap.cr2, VA);
}

/* They are about user pages; this program's own are, so all become supervisor pages meanwhile. */
static void smep_smap(void)
{
	ulong cr4 = READ_CR(4);

	for (u32 i = 0; i < 512; i++)
		if (i != VA >> 21)
			pd[i] &= ~4ull;
	WRITE_CR(3, READ_CR(3));
	set((ulong)page_a | 7);
	if (TRY_A("mov %%rax, %%cr4", cr4 | CR4_SMEP) == -1) {
		CHECK_EQ(call_va(), VECTOR_PF);
		CHECK_EQ(trap.error, PFERR_P | PFERR_I);
		CHECK_EQ(READ(), -1);
		WRITE_CR(4, cr4);
		CHECK_EQ(call_va(), -1);
	}
	if (TRY_A("mov %%rax, %%cr4", cr4 | CR4_SMAP) == -1) {
		CHECK_EQ(READ(), VECTOR_PF);
		CHECK_EQ(trap.error, PFERR_P);
		__asm__ volatile("stac");
		CHECK_EQ(READ(), -1);
		__asm__ volatile("clac");
		CHECK_EQ(WRITE(), VECTOR_PF);
		WRITE_CR(4, cr4);
	}
	for (u32 i = 0; i < 512; i++)
		pd[i] |= 4;
	WRITE_CR(3, READ_CR(3));
}

static void staleness(void)
{
	ulong cr4 = READ_CR(4), cr3 = READ_CR(3);

	put("flushes\n");
	page_a[0] = 0xaa;
	page_b[0] = 0xbb;
	set((ulong)page_a | 7);
	CHECK_EQ(*(volatile u8 *)VA, 0xaa);
	set((ulong)page_b | 7);
	CHECK_EQ(*(volatile u8 *)VA, 0xbb);
	pt[0] = (ulong)page_a | 7;
	WRITE_CR(3, cr3);
	CHECK_EQ(*(volatile u8 *)VA, 0xaa);
	pt[0] = (ulong)page_b | 7;
	WRITE_CR(4, cr4 ^ CR4_PGE);
	WRITE_CR(4, cr4);
	CHECK_EQ(*(volatile u8 *)VA, 0xbb);
	/* another address space */
	for (u32 i = 0; i < 512; i++) {
		pml4_b[i] = pml4[i];
		pdpt_b[i] = pdpt[i];
		pd_b[i] = pd[i];
	}
	pml4_b[0] = (ulong)pdpt_b | 7;
	pdpt_b[0] = (ulong)pd_b | 7;
	pd_b[VA >> 21] = (ulong)pt_b | 7;
	pt_b[0] = (ulong)page_a | 7;
	for (u32 i = 0; i < 100; i++) {
		WRITE_CR(3, (ulong)pml4_b);
		CHECK_EQ(*(volatile u8 *)VA, 0xaa);
		WRITE_CR(3, cr3);
		CHECK_EQ(*(volatile u8 *)VA, 0xbb);
	}
	/* PCIDs: tagged, and bit 63 keeps what is there */
	if (TRY_A("mov %%rax, %%cr4", cr4 | CR4_PCIDE) == -1) {
		for (u32 i = 0; i < 20; i++) {
			WRITE_CR(3, (ulong)pml4_b | 2 | (i ? CR3_NO_FLUSH : 0));
			CHECK_EQ(*(volatile u8 *)VA, 0xaa);
			WRITE_CR(3, cr3 | 1 | (i ? CR3_NO_FLUSH : 0));
			CHECK_EQ(*(volatile u8 *)VA, 0xbb);
		}
		WRITE_CR(3, cr3);
		WRITE_CR(4, cr4);
	}
}

int main(void)
{
	pd[VA >> 21] = (ulong)pt | 7;
	permissions();
	execute();
	smep_smap();
	staleness();
	return 0;
}
