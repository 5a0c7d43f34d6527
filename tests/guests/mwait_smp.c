/*
 * MONITOR and MWAIT: two processors hand a word to and fro, each waiting for the other's store;
 * then an interrupt ends a wait, also a masked one when MWAIT says so. For --cpus 2; run by
 * tests/e2e/mwait_test.sh, which looks at how long the processors were idle.
 */
#include "tests/guests/kit.h"
#include "tests/guests/x2apic.h"

#define TURNS 500u
#define AP_CODE 0x8000ul
#define SHARED 0x10000ul
#define WORD (*(volatile u32 *)(SHARED + 0x1000))
#define MSR_X2APIC_LVT_TIMER 0x832u
#define MSR_X2APIC_TIMER_COUNT 0x838u
#define MSR_X2APIC_TIMER_DIVIDE 0x83eu

extern const u8 ap_start[], ap_end[];
static volatile u32 ticks;

/* The other: waits for an odd value, makes it even; real mode has MWAIT too. */
__asm__(".pushsection .text\n"
	".code16\n"
	".global ap_start, ap_end\n"
	"ap_start:\n"
	"	cli\n"
	"	mov $0x1100, %ax\n"
	"	mov %ax, %ds\n"
	"1:	xor %eax, %eax\n"
	"	xor %ecx, %ecx\n"
	"	xor %edx, %edx\n"
	"	.byte 0x0f, 0x01, 0xc8\n"
	"	testl $1, (0)\n"
	"	jnz 2f\n"
	"	xor %eax, %eax\n"
	"	.byte 0x0f, 0x01, 0xc9\n"
	"	jmp 1b\n"
	"2:	mov $20000, %ebx\n" /* let the first go to sleep */
	"3:	dec %ebx\n"
	"	jnz 3b\n"
	"	incl (0)\n"
	"	jmp 1b\n"
	"ap_end:\n"
	".code64\n"
	"tick_entry:\n"
	"	push %rax\n push %rcx\n push %rdx\n"
	"	incl ticks\n"
	"	mov $0x80b, %ecx\n xor %eax, %eax\n xor %edx, %edx\n wrmsr\n"
	"	pop %rdx\n pop %rcx\n pop %rax\n"
	"	iretq\n"
	".popsection\n");
void tick_entry(void);

static void monitor(volatile void *p)
{
	__asm__ volatile("monitor" : : "a"(p), "c"(0), "d"(0) : "memory");
}
static void mwait(u32 ext)
{
	__asm__ volatile("mwait" : : "a"(0), "c"(ext) : "memory");
}
static u64 rdtsc(void)
{
	u32 lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return lo | (u64)hi << 32;
}
static void timer(u32 count)
{
	wrmsr(MSR_X2APIC_LVT_TIMER, 0x51);
	wrmsr(MSR_X2APIC_TIMER_DIVIDE, 0xb);
	wrmsr(MSR_X2APIC_TIMER_COUNT, count);
}

static void by_store(void)
{
	u32 waits = 0;

	put("stores\n");
	for (const u8 *p = ap_start; p < ap_end; p++)
		*(volatile u8 *)(AP_CODE + (ulong)(p - ap_start)) = *p;
	wrmsr(MSR_X2APIC_ICR, ICR_INIT_OTHERS);
	wrmsr(MSR_X2APIC_ICR, ICR_SIPI_OTHERS | AP_CODE >> 12);
	for (u32 i = 0; i < TURNS; i++) {
		WORD = 2 * i + 1;
		for (;;) {
			monitor(&WORD);
			if (!(WORD & 1))
				break;
			mwait(0);
			waits++;
		}
		CHECK_EQ(WORD, 2 * i + 2);
	}
	CHECK(waits > 0);
	put("waits 0x");
	put_hex(waits);
	put("\n");
}

static void by_interrupt(void)
{
	u64 began;

	put("interrupts\n");
	set_gate(0x51, tick_entry, 0);
	/* one that is taken */
	began = rdtsc();
	__asm__ volatile("sti");
	timer(2000000);
	while (!ticks) {
		monitor(&WORD);
		if (!ticks)
			mwait(0);
	}
	__asm__ volatile("cli");
	CHECK(rdtsc() - began >= 1000000);
	/* one that stays pending */
	began = rdtsc();
	timer(2000000);
	monitor(&WORD);
	mwait(1);
	while (!(rdmsr(0x822) & 1u << 17)) { /* a wait may end early: IRR says */
		monitor(&WORD);
		mwait(1);
	}
	CHECK_EQ(ticks, 1);
	CHECK(rdtsc() - began >= 1000000);
	__asm__ volatile("sti; nop; cli");
	CHECK_EQ(ticks, 2);
}

int main(void)
{
	wrmsr(MSR_IA32_APIC_BASE, rdmsr(MSR_IA32_APIC_BASE) | APIC_BASE_X2APIC);
	wrmsr(0x80f, 0x1ff);
	by_store();
	by_interrupt();
	finish();
}
