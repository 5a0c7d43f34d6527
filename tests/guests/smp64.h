/*
 * smp64.h - a second processor for 64-bit test guests: from its start-up interrupt to a C function
 * with the first one's tables. Included by one file of a program; x2APIC afterwards. The order
 * mailbox runs functions on it, one at a time.
 */
#ifndef TESTS_GUESTS_SMP64_H
#define TESTS_GUESTS_SMP64_H

#include "tests/guests/kit.h"
#include "tests/guests/x2apic.h"

#define AP_PAGE 0x8ul /* the start-up vector: it begins at 0x8000 */
#define AP_ARGS 0x8f00ul

/* What the trampoline takes from AP_ARGS. */
struct ap_args {
	u16 gdt_limit;
	u64 gdt_base;
	u8 pad[6];
	u64 cr3, cr4;
} __attribute__((packed));

static u8 ap_stack[4096] __attribute__((aligned(16), used));
static void (*volatile ap_order)(void);
static volatile u32 ap_ready;

void ap_main(void);

/* Real mode to 64-bit mode with this program's tables. */
__asm__(".pushsection .text\n"
	".globl ap_begin, ap_end\n"
	".code16\n"
	"ap_begin:	xor %ax, %ax\n"
	"	mov %ax, %ds\n"
	"	lgdtl 0x8f00\n"
	"	mov 0x8f10, %eax\n"
	"	mov %eax, %cr3\n"
	"	mov 0x8f18, %eax\n"
	"	mov %eax, %cr4\n"
	"	mov $0xc0000080, %ecx\n"
	"	rdmsr\n"
	"	or $0x901, %eax\n"
	"	wrmsr\n"
	"	mov $0x80000021, %eax\n"
	"	mov %eax, %cr0\n"
	"	ljmpl $0x08, $ap_long\n"
	"ap_end:\n"
	".code64\n"
	"ap_long:	mov $0x10, %eax\n"
	"	mov %eax, %ds\n"
	"	mov %eax, %es\n"
	"	mov %eax, %ss\n"
	"	mov $ap_stack + 4096, %rsp\n"
	"	call ap_main\n"
	".popsection\n");
extern const u8 ap_begin[], ap_end[];

void ap_main(void)
{
	ap_ready = 1;
	for (;;) {
		while (!ap_order)
			__asm__ volatile("pause");
		ap_order();
		ap_order = NULL;
	}
}

/* Run @fn on the other processor, to its end. */
static void on_other(void (*fn)(void))
{
	ap_order = fn;
	while (ap_order)
		__asm__ volatile("pause");
}

static void start_other(void)
{
	struct ap_args *args = (struct ap_args *)AP_ARGS;
	volatile u8 *to = (volatile u8 *)(AP_PAGE << 12);

	for (u64 i = 0; i < (u64)(ap_end - ap_begin); i++)
		to[i] = ap_begin[i];
	__asm__ volatile("sgdt %0" : "=m"(*args));
	args->cr3 = READ_CR(3);
	args->cr4 = READ_CR(4);
	wrmsr(MSR_IA32_APIC_BASE, rdmsr(MSR_IA32_APIC_BASE) | APIC_BASE_X2APIC);
	wrmsr(MSR_X2APIC_ICR, ICR_INIT_OTHERS);
	wrmsr(MSR_X2APIC_ICR, ICR_SIPI_OTHERS | AP_PAGE);
	while (!ap_ready)
		__asm__ volatile("pause");
}

#endif
