/*
 * 16-bit protected mode: code, stack and gates of 16 bits, prefixes for 32, offsets that wrap, and
 * the way in and out by far calls.
 */
#include "tests/guests/kit.h"

#define SEL_CODE_AT (SEL_FREE)	    /* 16-bit code with base 0x8000 */
#define SEL_STACK_AT (SEL_FREE + 8) /* 16-bit stack with base 0x9000, 4 KiB */
#define SEL_GATE16 (SEL_FREE + 16)  /* call gate, 16 bits */
#define SEL_SMALL (SEL_FREE + 24)   /* code with a limit of 0x7f */

extern const u8 code16[], code16_gate[], code16_int[], code16_end[];
static volatile u32 result[16];

__asm__(".code16\n"
	".globl code16\ncode16:\n" /* far called from 32-bit code: a 32-bit frame */
	"	mov %ss, %bp\n"
	"	mov %esp, %ebx\n"
	"	mov $0x58, %ax; mov %ax, %ss; mov $0x0ff0, %esp\n"
	"	mov $0x10, %ax; mov %ax, %ds; mov $result, %edi\n"
	"	pushw $0x1234\n"
	"	mov %sp, %ax; movzwl %ax, %eax; mov %eax, (%edi)\n"
	"	pushl $0x12345678\n"
	"	mov %sp, %ax; movzwl %ax, %eax; mov %eax, 4(%edi)\n"
	"	popl %eax; mov %eax, 8(%edi)\n"
	"	popw %ax\n"
	"	lcall $0x60, $0\n"				  /* the 16-bit gate */
	"	int $0x35\n"					  /* a 16-bit interrupt gate */
	"	mov $0xffff, %bx; mov $3, %ax; lea 4(%bx), %cx\n" /* wraps to 3 */
	"	movzwl %cx, %ecx; mov %ecx, 20(%edi)\n"
	"	mov %esp, %edx\n"
	"	mov %bp, %ss; mov 60(%edi), %esp\n"
	"	lretl\n"
	".globl code16_gate\ncode16_gate:\n"
	"	mov %sp, %ax; movzwl %ax, %eax; mov %eax, 12(%edi)\n"
	"	lret\n"
	".globl code16_int\ncode16_int:\n"
	"	mov %sp, %ax; movzwl %ax, %eax; mov %eax, 16(%edi)\n"
	"	iret\n"
	".globl code16_end\ncode16_end:\n"
	".code32\n");

extern void enter16(void);
__asm__(".globl enter16\nenter16:\n"
	"	pusha\n"
	"	lea -8(%esp), %eax\n" /* where the far call's frame will be */
	"	mov %eax, result + 60\n"
	"	lcall $0x50, $0\n"
	"	mov $0x10, %eax; mov %eax, %ds; mov %eax, %es\n"
	"	popa\n"
	"	ret\n");

static u64 gate(u16 sel, u32 off, u32 type)
{
	return (off & 0xffff) | (u64)sel << 16 | (u64)(0x80 | type) << 40 | (u64)(off >> 16) << 48;
}

int main(void)
{
	u32 gate_ip = (u32)(code16_gate - code16), int_ip = (u32)(code16_int - code16);

	for (u32 i = 0; code16 + i < code16_end; i++)
		((volatile u8 *)0x8000)[i] = code16[i];
	gdt[SEL_CODE_AT / 8] = descriptor(0x8000, 0xffff, 0x009b);
	gdt[SEL_STACK_AT / 8] = descriptor(0x9000, 0xfff, 0x0093);
	gdt[SEL_GATE16 / 8] = gate(SEL_CODE_AT, gate_ip, 4);
	gdt[SEL_SMALL / 8] = descriptor(0x8000, 0x7f, 0x009b);
	idt[0x35] = gate(SEL_CODE_AT, int_ip, 6);

	put("16-bit code\n");
	enter16();
	CHECK_EQ(result[0], 0x0fee);
	CHECK_EQ(result[1], 0x0fea);
	CHECK_EQ(result[2], 0x12345678);
	CHECK_EQ(result[3], 0x0fec); /* CS:IP of 16 bits */
	CHECK_EQ(result[4], 0x0fea); /* FLAGS too */
	CHECK_EQ(result[5], 3);

	put("limits\n");
	CHECK_EQ(TRY("ljmp $0x68, $0x80"), VECTOR_GP);
	CHECK_EQ(trap.error, 0);
	return 0;
}
