/* 5-level paging: the way into it, addresses of 57 bits, the fifth table's rights, canonical
 * checks. */
#include "l0/arch/msr.h"
#include "tests/guests/kit.h"

extern u64 pml4[];
static u64 pml5[512] __attribute__((aligned(4096)));
static u64 own_pml4[512] __attribute__((aligned(4096)));
static u64 pdpt[512] __attribute__((aligned(4096)));
static u64 pd[512] __attribute__((aligned(4096)));
static u64 pt[512] __attribute__((aligned(4096)));
static u8 page[4096] __attribute__((aligned(4096)));

#define SLOT 0x155u
#define VA (0xfeull << 56 | (u64)SLOT << 48 | 0x1000) /* bit 56 is set: sign-extended */
#define LOW_VA (1ull << 55 | 0x1000)
#define CANONICAL57 0xffaaaaaaaaaaa000ull
#define CANONICAL_NONE 0xaaaaaaaaaaaaa000ull
#define READ(va) TRY_REGS("movb (%%rdi), %%al", 0, 0, 0, "D"(va))

/* Paging off, CR3 and CR4 as given, paging on: through 32-bit code of level 0 (SEL_FREE). */
__asm__(".pushsection .text\n"
	"switch_paging:\n"
	"	push %rbx\n"
	"	mov %cr0, %rax\n"
	"	mov %rax, %rbx\n"
	"	btr $31, %rax\n"
	"	pushq $0x50\n"
	"	pushq $1f\n"
	"	lretq\n"
	".code32\n"
	"1:	mov %eax, %cr0\n"
	"	mov %edi, %cr3\n"
	"	mov %esi, %cr4\n"
	"	mov %ebx, %cr0\n"
	"	ljmp $0x08, $2f\n"
	".code64\n"
	"2:	pop %rbx\n"
	"	ret\n"
	".popsection\n");
void switch_paging(ulong cr3, ulong cr4);

static bool has_la57(void)
{
	u32 a, b, c, d;

	__asm__ volatile("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(7), "c"(0));
	return c & 1u << 16;
}
static u32 linear_bits(void)
{
	u32 a, b, c, d;

	__asm__ volatile("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(0x80000008));
	return a >> 8 & 0xff;
}
static int write_base(u64 v)
{
	return TRY_REGS("wrmsr", (u32)v, MSR_IA32_FS_BASE, v >> 32);
}
static void user_read(void)
{
	__asm__ volatile("movb (%0), %%al" : : "r"(VA) : "eax");
}

static void four_levels(void)
{
	put("4 levels\n");
	CHECK_EQ(READ_CR(4) & CR4_LA57, 0);
	CHECK_EQ(TRY_A("mov %%rax, %%cr4", READ_CR(4) | CR4_LA57), VECTOR_GP);
	CHECK_EQ(READ(VA), VECTOR_GP);
	/* registers take what the processor could use */
	CHECK_EQ(write_base(CANONICAL57), -1);
	CHECK_EQ(write_base(CANONICAL_NONE), VECTOR_GP);
	CHECK_EQ(TRY("movb %%fs:0, %%al"), VECTOR_GP);
	CHECK_EQ(write_base(0), -1);
}

static void five_levels(void)
{
	put("5 levels\n");
	CHECK_EQ(READ_CR(4) & CR4_LA57, CR4_LA57);
	CHECK_EQ(TRY_A("mov %%rax, %%cr4", READ_CR(4) & ~(ulong)CR4_LA57), VECTOR_GP);
	page[0] = 0x5a;
	page[1] = 0xc3;
	CHECK_EQ(*(volatile u8 *)VA, 0x5a);
	CHECK_EQ(pml5[SLOT] & 0x20, 0x20);
	CHECK_EQ(READ(LOW_VA), VECTOR_PF);
	CHECK_EQ(trap.cr2, LOW_VA);
	CHECK_EQ(trap.error, 0);
	CHECK_EQ(READ(CANONICAL_NONE), VECTOR_GP);
	CHECK_EQ(READ(VA ^ 1ull << 57), VECTOR_GP);
	/* a different address in each of the upper tables' places */
	CHECK_EQ(READ(VA ^ 1ull << 48), VECTOR_PF);
	CHECK_EQ(READ(VA ^ 1ull << 39), VECTOR_PF);
	CHECK_EQ(READ(VA ^ 1ull << 30), VECTOR_PF);
	((void (*)(void))(VA + 1))();
	pml5[SLOT] &= ~4ull;
	invlpg((void *)VA);
	CHECK_EQ(READ(VA), -1);
	CHECK_EQ(at_level3(user_read), VECTOR_PF);
	CHECK_EQ(trap.error, PFERR_P | PFERR_U);
	pml5[SLOT] |= 4 | 0x80; /* there are no pages of this size */
	invlpg((void *)VA);
	CHECK_EQ(READ(VA), VECTOR_PF);
	CHECK_EQ(trap.error, PFERR_P | PFERR_RSVD);
	pml5[SLOT] &= ~0x80ull;
	CHECK_EQ(at_level3(user_read), -1);
	CHECK_EQ(write_base(VA), -1);
	CHECK_EQ(TRY("movb %%fs:0, %%al"), -1);
	CHECK_EQ(write_base(0), -1);
}

int main(void)
{
	ulong cr3 = READ_CR(3), cr4 = READ_CR(4);

	if (!has_la57()) {
		CHECK_EQ(linear_bits(), 48);
		CHECK_EQ(TRY_A("mov %%rax, %%cr4", cr4 | CR4_LA57), VECTOR_GP);
		CHECK_EQ(write_base(CANONICAL57), VECTOR_GP);
		finish();
	}
	CHECK_EQ(linear_bits(), 57);
	four_levels();
	gdt[SEL_FREE / 8] = descriptor(0, 0xfffff, 0xc09b);
	pml5[0] = (ulong)pml4 | 7;
	pml5[SLOT] = (ulong)own_pml4 | 7;
	own_pml4[0] = (ulong)pdpt | 7;
	pdpt[0] = (ulong)pd | 7;
	pd[0] = (ulong)pt | 7;
	pt[1] = (ulong)page | 7;
	switch_paging((ulong)pml5, cr4 | CR4_LA57);
	five_levels();
	switch_paging(cr3, cr4);
	four_levels();
	finish();
}
