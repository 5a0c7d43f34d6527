/*
 * Every processor of the machine is started by one INIT and SIPI to all others, and they count
 * together
 * by locked instructions on words of every kind: inside a line, over two lines, over two pages, and
 * in a device's memory. Each count is exact. For --cpus N; run by tests/e2e/smp_test.sh.
 */
#include "tests/guests/kit.h"
#include "tests/guests/x2apic.h"

#define TURNS 2000u

/* Low memory: the others' code at 0x8000, what they share from 0x10000. */
#define AP_CODE 0x8000ul
#define SHARED 0x10000ul
#define GO (*(volatile u32 *)(SHARED + 0x000))
#define STARTED (*(volatile u32 *)(SHARED + 0x100))
#define DONE (*(volatile u32 *)(SHARED + 0x200))
#define BITMAP ((volatile u64 *)(SHARED + 0x300)) /* by APIC ID */
#define PLAIN (SHARED + 0x400)
#define SPLIT_LINE (SHARED + 0x53e)
#define SPLIT_PAGE (SHARED + 0x1ffe)
#define WIDE (SHARED + 0x2ffc) /* 8 bytes over two pages, by CMPXCHG8B */
#define DEVICE 0xff000000ul

extern const u8 ap_start[], ap_end[];

__asm__(".pushsection .text\n"
	".code16\n"
	".global ap_start, ap_end\n"
	"ap_start:\n"
	"	cli\n"
	"	xor %ax, %ax\n"
	"	mov %ax, %ds\n"
	"	lgdtl 0x8000 + ap_gdtr - ap_start\n"
	"	mov %cr0, %eax\n"
	"	or $1, %eax\n"
	"	mov %eax, %cr0\n"
	"	ljmpl $8, $0x8000 + ap32 - ap_start\n"
	".code32\n"
	"ap32:\n"
	"	mov $16, %eax\n"
	"	mov %eax, %ds\n"
	"	mov %eax, %es\n"
	"	mov $1, %eax\n"
	"	cpuid\n"
	"	shr $24, %ebx\n"
	"	lock btsl %ebx, 0x10300\n"
	"	lock incl 0x10100\n"
	"1:	pause\n"
	"	cmpl $0, 0x10000\n"
	"	je 1b\n"
	"	mov 0x10000, %ebp\n"
	"2:	lock incl 0x10400\n"
	"	lock incl 0x1053e\n"
	"	lock incl 0x11ffe\n"
	"	mov $1, %eax\n"
	"	lock xaddl %eax, 0xff000000\n"
	"	mov 0x12ffc, %eax\n"
	"	mov 0x13000, %edx\n"
	"3:	mov %eax, %ebx\n"
	"	mov %edx, %ecx\n"
	"	add $1, %ebx\n"
	"	adc $0, %ecx\n"
	"	lock cmpxchg8b 0x12ffc\n"
	"	jne 3b\n"
	"	dec %ebp\n"
	"	jnz 2b\n"
	"	lock incl 0x10200\n"
	"4:	hlt\n"
	"	jmp 4b\n"
	"	.align 8\n"
	"ap_gdt:	.quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff\n"
	"ap_gdtr: .word 23\n"
	"	.long 0x8000 + ap_gdt - ap_start\n"
	"ap_end:\n"
	".code64\n"
	".popsection\n");

static void wr(u32 msr, u64 v)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "a"((u32)v), "d"((u32)(v >> 32)) : "memory");
}

/* The first processor counts too. */
static void count(void)
{
	for (u32 i = 0; i < TURNS; i++) {
		__asm__ volatile("lock incl %0" : "+m"(*(volatile u32 *)PLAIN));
		__asm__ volatile("lock incl %0" : "+m"(*(volatile u32 *)SPLIT_LINE));
		__asm__ volatile("lock incl %0" : "+m"(*(volatile u32 *)SPLIT_PAGE));
		__asm__ volatile("lock incl %0" : "+m"(*(volatile u32 *)DEVICE));
		__asm__ volatile("lock incq %0" : "+m"(*(volatile u64 *)WIDE));
	}
}

static void wait_for(volatile u32 *word, u32 value)
{
	while (*word != value)
		__asm__ volatile("pause");
}

/* The device lies in the fourth GiB, which the kit does not map. */
static void map_device(void)
{
	u64 cr3, *pml4, *pdpt;

	__asm__ volatile("mov %%cr3, %0" : "=r"(cr3));
	pml4 = (u64 *)cr3;
	pdpt = (u64 *)(pml4[0] & ~0xffful);
	pdpt[3] = 0xc0000083;
}

/* fw_cfg says how many processors there are. */
static u32 processors(void)
{
	u32 n;

	__asm__ volatile("outw %0, %1" : : "a"((u16)5), "d"((u16)0x510));
	n = inb(0x511);
	return n | (u32)inb(0x511) << 8;
}

int main(void)
{
	u32 n = processors();
	u64 ids = 0;

	for (ulong at = SHARED; at < SHARED + 0x4000; at += 8)
		*(volatile u64 *)at = 0;
	map_device();
	*(volatile u32 *)DEVICE = 0;
	for (u32 i = 0; ap_start + i < ap_end; i++)
		((volatile u8 *)AP_CODE)[i] = ap_start[i];
	wr(MSR_IA32_APIC_BASE, rdmsr(MSR_IA32_APIC_BASE) | 0x800 | APIC_BASE_X2APIC);
	if (n > 1) {
		wr(MSR_X2APIC_ICR, ICR_INIT_OTHERS);
		wr(MSR_X2APIC_ICR, ICR_SIPI_OTHERS | AP_CODE >> 12);
	}
	wait_for(&STARTED, n - 1);
	ids = BITMAP[0] | 1;
	CHECK(ids == (n == 64 ? ~0ull : (1ull << n) - 1));
	GO = TURNS;
	count();
	wait_for(&DONE, n - 1);
	CHECK_EQ(*(volatile u32 *)PLAIN, n * TURNS);
	CHECK_EQ(*(volatile u32 *)SPLIT_LINE, n * TURNS);
	CHECK_EQ(*(volatile u32 *)SPLIT_PAGE, n * TURNS);
	CHECK_EQ(*(volatile u32 *)DEVICE, n * TURNS);
	CHECK_EQ(*(volatile u64 *)WIDE, n * TURNS);
	finish();
}
