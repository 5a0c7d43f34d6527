/*
 * Two processors wait for each other in loops of PAUSEs, a thousand times; for --cpus 2. On one
 * worker each wait would last until the other's slice ends (10 s in all), did not L0 see that a
 * processor waits.
 */
#include "tests/guests/kit.h"
#include "tests/guests/x2apic.h"

#define AP_PAGE 0x8ul /* the start-up vector: it begins at 0x8000 */
#define TURNS 1000
#define LIMIT_TICKS 1000000000ull /* a second */

static volatile u16 *const turn = (volatile u16 *)0x7000; /* 1: the other's, 2: ours */

/* Real mode: wait for 1, answer 2, for ever. */
static const u8 ap_code[] = {
	0x31, 0xc0,			    /* xor ax, ax */
	0x8e, 0xd8,			    /* mov ds, ax */
	0xf3, 0x90,			    /* 1: pause */
	0x83, 0x3e, 0x00, 0x70, 0x01,	    /* cmp word [0x7000], 1 */
	0x75, 0xf7,			    /* jne 1b */
	0xc7, 0x06, 0x00, 0x70, 0x02, 0x00, /* mov word [0x7000], 2 */
	0xeb, 0xef,			    /* jmp 1b */
};

static u64 rdtsc(void)
{
	u32 lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (u64)hi << 32 | lo;
}

static void wr(u32 msr, u64 v)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "a"((u32)v), "d"((u32)(v >> 32)) : "memory");
}

static u64 rd(u32 msr)
{
	u32 lo, hi;

	__asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
	return (u64)hi << 32 | lo;
}

int main(void)
{
	volatile u8 *to = (volatile u8 *)(AP_PAGE << 12);
	u64 start;

	for (u32 i = 0; i < sizeof(ap_code); i++)
		to[i] = ap_code[i];
	*turn = 0;
	wr(MSR_IA32_APIC_BASE, rd(MSR_IA32_APIC_BASE) | APIC_BASE_X2APIC);
	wr(MSR_X2APIC_ICR, ICR_INIT_OTHERS);
	wr(MSR_X2APIC_ICR, ICR_SIPI_OTHERS | AP_PAGE);
	start = rdtsc();
	for (u32 i = 0; i < TURNS; i++) {
		*turn = 1;
		while (*turn != 2)
			__asm__ volatile("pause");
	}
	CHECK(rdtsc() - start < LIMIT_TICKS);
	finish();
}
