/* Protection keys, and PKRU as a component of XSAVE images in every format; XSAVES and XRSTORS. */
#include "l0/arch/msr.h"
#include "tests/guests/kit.h"

extern u64 pd[];
static u64 pt[512] __attribute__((aligned(4096)));
static u8 page[4096] __attribute__((aligned(4096)));
static u8 area[4096] __attribute__((aligned(64)));

#define VA 0x20000000ull
#define KEY 5u
#define AD 1u
#define WD 2u
#define READ() TRY_REGS("movb (%%rdi), %%al", 0, 0, 0, "D"(VA))
#define WRITE() TRY_REGS("movb $0xc3, (%%rdi)", 0, 0, 0, "D"(VA))
#define XCR0_ALL 0x207u

struct regs {
	u32 a, b, c, d;
};

static struct regs cpuid(u32 leaf, u32 sub)
{
	struct regs r;

	__asm__ volatile("cpuid"
			 : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d)
			 : "a"(leaf), "c"(sub));
	return r;
}
static void wrpkru(u32 v)
{
	__asm__ volatile("wrpkru" : : "a"(v), "c"(0), "d"(0) : "memory");
}
static u32 rdpkru(void)
{
	u32 a, d;

	__asm__ volatile("rdpkru" : "=a"(a), "=d"(d) : "c"(0));
	return a;
}
static void key(u32 rights)
{
	wrpkru(rights << 2 * KEY);
}
static void user_read(void)
{
	__asm__ volatile("movb (%0), %%al" : : "r"(VA) : "eax");
}
static void user_write(void)
{
	__asm__ volatile("movb $0xc3, (%0)" : : "r"(VA) : "memory");
}
static void user_call(void)
{
	__asm__ volatile("call *%0" : : "r"(VA) : "memory");
}

static void set(u64 e)
{
	pt[0] = e;
	invlpg((void *)VA);
}

static void instructions(void)
{
	put("RDPKRU, WRPKRU\n");
	CHECK_EQ(TRY("rdpkru"), VECTOR_UD);
	CHECK_EQ(TRY("wrpkru"), VECTOR_UD);
	CHECK(!(cpuid(7, 0).c & 1u << 4));
	WRITE_CR(4, READ_CR(4) | CR4_PKE);
	CHECK(cpuid(7, 0).c & 1u << 4);
	CHECK_EQ(TRY_AC("rdpkru", 0, 1), VECTOR_GP);
	CHECK_EQ(TRY_AC("wrpkru", 0, 1), VECTOR_GP);
	CHECK_EQ(TRY_REGS("wrpkru", 0, 0, 1), VECTOR_GP);
	wrpkru(0x12345678 & ~3u);
	CHECK_EQ(rdpkru(), 0x12345678 & ~3u);
	wrpkru(0);
}

static void rights(void)
{
	put("rights\n");
	pd[VA >> 21] = (ulong)pt | 7;
	set((ulong)page | 7 | (u64)KEY << 59);
	CHECK_EQ(WRITE(), -1);
	key(AD);
	CHECK_EQ(READ(), VECTOR_PF);
	CHECK_EQ(trap.error, PFERR_P | PFERR_PK);
	CHECK_EQ(trap.cr2, VA);
	CHECK_EQ(at_level3(user_read), VECTOR_PF);
	CHECK_EQ(trap.error, PFERR_P | PFERR_U | PFERR_PK);
	CHECK_EQ(at_level3(user_write), VECTOR_PF);
	CHECK_EQ(trap.error, PFERR_P | PFERR_U | PFERR_W | PFERR_PK);
	CHECK_EQ(at_level3(user_call), -1); /* no key stops a fetch */
	key(WD);
	CHECK_EQ(READ(), -1);
	CHECK_EQ(at_level3(user_read), -1);
	CHECK_EQ(at_level3(user_write), VECTOR_PF);
	CHECK_EQ(trap.error, PFERR_P | PFERR_U | PFERR_W | PFERR_PK);
	WRITE_CR(0, READ_CR(0) & ~(ulong)CR0_WP);
	CHECK_EQ(WRITE(), -1); /* the supervisor's stores obey WD by CR0.WP */
	WRITE_CR(0, READ_CR(0) | CR0_WP);
	CHECK_EQ(WRITE(), VECTOR_PF);
	CHECK_EQ(trap.error, PFERR_P | PFERR_W | PFERR_PK);
	key(0);
	CHECK_EQ(WRITE(), -1);
	/* both reasons at once; a page that is not present has no key */
	set((ulong)page | 5 | (u64)KEY << 59);
	key(WD);
	CHECK_EQ(WRITE(), VECTOR_PF);
	CHECK_EQ(trap.error, PFERR_P | PFERR_W | PFERR_PK);
	set(0);
	key(AD);
	CHECK_EQ(READ(), VECTOR_PF);
	CHECK_EQ(trap.error, 0);
	/* supervisor pages have none either */
	set((ulong)page | 3 | (u64)KEY << 59);
	CHECK_EQ(WRITE(), -1);
	set((ulong)page | 7 | (u64)KEY << 59);
	WRITE_CR(4, READ_CR(4) & ~(ulong)CR4_PKE);
	CHECK_EQ(WRITE(), -1);
	WRITE_CR(4, READ_CR(4) | CR4_PKE);
	CHECK_EQ(READ(), VECTOR_PF);
	key(0);
}

/* A loop that the translator gets: the rights change under it. */
static void hot(void)
{
	u32 faults = 0;

	for (u32 i = 0; i < 2000; i++) {
		key(i % 3);
		if (READ() != -1)
			faults += 1;
		if (WRITE() != -1)
			faults += 0x10000;
	}
	key(0);
	CHECK_EQ(faults, 667 + (u64)1333 * 0x10000);
}

#define SAVE(insn, mask) TRY_REGS(insn " (%%rdi)", mask, 0, 0, "D"(area))
static u64 header(u32 i)
{
	return *(u64 *)(area + 512 + 8 * i);
}
static void clear_area(void)
{
	for (u32 i = 0; i < sizeof(area); i++)
		area[i] = 0;
}

static void images(void)
{
	bool avx = cpuid(1, 0).c & 1u << 28;
	u64 xcr0 = XCR0_ALL & ~(avx ? 0u : 4u);
	u32 compact = 576 + (avx ? 256 : 0);
	struct regs r = cpuid(0xd, 9);

	put("images\n");
	CHECK_EQ(r.a, 8);
	CHECK_EQ(r.b, 2688);
	CHECK_EQ(TRY_REGS("xsetbv", XCR0_PKRU, 0, 0), VECTOR_GP);
	CHECK_EQ(TRY_REGS("xsetbv", xcr0, 0, 0), -1);
	CHECK_EQ(cpuid(0xd, 0).b, 2696);
	CHECK_EQ(cpuid(0xd, 1).b, compact + 8);
	wrpkru(0xabcd0000);
	clear_area();
	CHECK_EQ(SAVE("xsave64", ~0u), -1);
	CHECK_EQ(header(0) & XCR0_PKRU, XCR0_PKRU);
	CHECK_EQ(*(u64 *)(area + 2688), 0xabcd0000);
	wrpkru(0);
	CHECK_EQ(SAVE("xrstor64", XCR0_PKRU), -1);
	CHECK_EQ(rdpkru(), 0xabcd0000);
	clear_area();
	CHECK_EQ(SAVE("xsavec64", ~0u), -1);
	CHECK_EQ(header(1), 1ull << 63 | xcr0);
	CHECK_EQ(*(u64 *)(area + compact), 0xabcd0000);
	wrpkru(4);
	CHECK_EQ(SAVE("xrstor64", ~0u), -1);
	CHECK_EQ(rdpkru(), 0xabcd0000);
	clear_area();
	CHECK_EQ(SAVE("xsavec64", XCR0_PKRU), -1); /* alone: right behind the header */
	CHECK_EQ(*(u64 *)(area + 576), 0xabcd0000);
	/* in its initial state it is not in use, and is initialised by an image without it */
	wrpkru(0);
	CHECK_EQ(SAVE("xsavec64", ~0u), -1);
	CHECK_EQ(header(0) & XCR0_PKRU, 0);
	wrpkru(8);
	CHECK_EQ(SAVE("xrstor64", ~0u), -1);
	CHECK_EQ(rdpkru(), 0);
}

static void user_xsaves(void)
{
	__asm__ volatile("xsaves64 (%0)" : : "r"(area), "a"(~0u), "d"(0) : "memory");
}

static void supervisor(void)
{
	u32 a, d;

	put("XSAVES, XRSTORS, XGETBV 1\n");
	CHECK_EQ(cpuid(0xd, 1).a & 0xe, 0xe);
	CHECK_EQ(rdmsr(MSR_IA32_XSS), 0);
	wrmsr(MSR_IA32_XSS, 0);
	CHECK_EQ(TRY_REGS("wrmsr", 0x100, MSR_IA32_XSS, 0), VECTOR_GP);
	wrpkru(0x40);
	clear_area();
	CHECK_EQ(SAVE("xsaves64", ~0u), -1);
	CHECK_EQ(header(1) >> 63, 1);
	CHECK_EQ(header(0) & XCR0_PKRU, XCR0_PKRU);
	wrpkru(0);
	CHECK_EQ(SAVE("xrstors64", ~0u), -1);
	CHECK_EQ(rdpkru(), 0x40);
	__asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(1));
	CHECK_EQ(a & XCR0_PKRU, XCR0_PKRU);
	wrpkru(0);
	__asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(1));
	CHECK_EQ(a & XCR0_PKRU, 0);
	CHECK_EQ(TRY_AC("xgetbv", 0, 2), VECTOR_GP);
	clear_area();
	CHECK_EQ(SAVE("xrstors64", ~0u), VECTOR_GP); /* wants the compacted format */
	*(u64 *)(area + 520) = 1ull << 63 | 1u << 8;
	CHECK_EQ(SAVE("xrstors64", ~0u), VECTOR_GP);
	CHECK_EQ(at_level3(user_xsaves), VECTOR_GP);
}

int main(void)
{
	if (!(cpuid(7, 0).c & 1u << 3)) {
		CHECK_EQ(TRY_A("mov %%rax, %%cr4", READ_CR(4) | CR4_PKE), VECTOR_GP);
		finish();
	}
	instructions();
	rights();
	hot();
	WRITE_CR(4, READ_CR(4) | CR4_OSXSAVE | CR4_OSFXSR);
	images();
	if (cpuid(0xd, 1).a & 8)
		supervisor();
	finish();
}
