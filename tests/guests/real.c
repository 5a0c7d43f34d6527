/*
 * Real mode: a 16-bit program at 0x8000 runs with its own interrupt table and leaves results in
 * words from 0x600 on; the 32-bit part checks them.
 */
#include "tests/guests/kit.h"

extern const u8 rm_begin[], rm_end[];
void rm_run(void);

__asm__(".text\n.code32\n"
	".globl rm_run\nrm_run:\n"
	"	pusha\n"
	"	mov %esp, rm_esp\n"
	"	sidt rm_idt32\n"
	"	lidt rm_idt16\n"
	"	ljmp $0x28, $0x8000\n"
	"rm_back:\n"
	"	mov $0x10, %eax; mov %eax, %ds; mov %eax, %es; mov %eax, %ss; mov %eax, %fs; mov "
	"%eax, %gs\n"
	"	mov rm_esp, %esp\n"
	"	lidt rm_idt32\n"
	"	popa\n"
	"	ret\n"
	".data\n"
	"rm_esp: .long 0\n"
	"rm_idt32: .word 0; .long 0\n"
	"rm_idt16: .word 0x3ff; .long 0\n"
	/* the 16-bit program, linked for 0x8000 */
	".text\n.code16\n"
	".globl rm_begin\nrm_begin:\n"
	"	mov $0x30, %ax; mov %ax, %ds; mov %ax, %es; mov %ax, %ss; mov %ax, %fs; mov %ax, "
	"%gs\n"
	"	mov %cr0, %eax; and $~1, %al; mov %eax, %cr0\n"
	"	ljmp $0, $(1f - rm_begin + 0x8000)\n"
	"1:	xor %ax, %ax; mov %ax, %ds; mov %ax, %es; mov %ax, %ss; mov %ax, %fs; mov %ax, "
	"%gs\n"
	"	mov $0x7000, %sp; cld\n"
	/* vectors 0-31 and 0x40 → handlers of 8 bytes each */
	"	mov $(vecs - rm_begin + 0x8000), %ax; xor %bx, %bx; mov $65, %cx\n"
	"2:	mov %ax, (%bx); movw $0, 2(%bx); add $8, %ax; add $4, %bx; loop 2b\n"
	/* 600: INT n; 602: IF inside the handler; 604: flags restored */
	"	sti\n"
	"	stc\n"
	"	int $0x40\n"
	"	pushf; pop %ax; mov %ax, 0x604\n"
	"	cli\n"
	/* 606: divide error; 608: its pushed IP is the instruction's */
	"	xor %cx, %cx; mov $5, %ax; xor %dx, %dx\n"
	"3:	div %cx\n"
	"	mov 0x6f0, %ax; mov %ax, 0x606; mov 0x6f2, %ax; sub $(3b - rm_begin + 0x8000), "
	"%ax; mov %ax, 0x608\n"
	/* 60a: #UD */
	"	ud2\n"
	"	mov 0x6f0, %ax; mov %ax, 0x60a\n"
	/* 60c: a word at offset ffff is #GP; 60e: with the stack #SS */
	"	mov $0xffff, %bx\n"
	"	mov (%bx), %ax; nop; nop\n"
	"	mov 0x6f0, %ax; mov %ax, 0x60c\n"
	"	mov $0xffff, %bp; xor %si, %si\n"
	"	mov (%bp, %si), %ax; nop\n"
	"	mov 0x6f0, %ax; mov %ax, 0x60e\n"
	/* 610: BOUND; 612: INTO */
	"	movw $2, 0x6e0; movw $4, 0x6e2; mov $5, %ax\n"
	"	bound %ax, 0x6e0\n"
	"	mov 0x6f0, %ax; mov %ax, 0x610\n"
	"	mov $0x7fff, %ax; inc %ax\n"
	"	into\n"
	"	mov 0x6f0, %ax; mov %ax, 0x612\n"
	/* 614 …: decimal arithmetic */
	"	mov $0x0f, %ax; aaa; mov %ax, 0x614\n"
	"	mov $0x9c, %al; clc; daa; mov %al, 0x616\n"
	"	mov $63, %al; aam; mov %ax, 0x618\n"
	"	mov $0x0603, %ax; aad; mov %ax, 0x61a\n"
	"	mov $0x35, %al; sub $0x47, %al; das; mov %al, 0x61c\n"
	"	mov $0x0103, %ax; sub $5, %al; aas; mov %ax, 0x61e\n"
	/* 620: far call to 0900:x and back */
	"	movw $0x0620, %di\n"
	"	movb $0xcb, 0x9100; movw $0x0005, 0x90fd; movb $0xc7, 0x90fc\n"
	"	movl $0x000005c7, 0x9100; movw $0x4321, 0x9102; movb $0xcb, 0x9104\n" /* mov word
											 [di], 4321;
											 retf */
	"	lcall $0x0900, $0x0100\n"
	/* 622: string move with segments, backwards */
	"	mov $0x0062, %ax; mov %ax, %es\n" /* base 620 */
	"	movw $0xaa55, 0x6d0; movw $0x1234, 0x6d2\n"
	"	mov $0x6d2, %si; mov $4, %di; mov $2, %cx; std\n"
	"	rep movsw; cld\n"
	"	xor %ax, %ax; mov %ax, %es\n"
	/* 626: 32-bit operands and addresses */
	"	mov $0x12345678, %eax; mov $0x626, %ebx; mov %eax, (%ebx)\n"
	/* 62a: single step: vector 1 counts two instructions */
	"	movw $0, 0x6f4\n"
	"	pushf; pop %ax; or $0x100, %ax; push %ax; popf\n"
	"	nop\n"
	"	pushf; pop %ax; and $~0x100, %ax; push %ax; popf\n"
	"	nop\n"
	"	mov 0x6f4, %ax; mov %ax, 0x62a\n"
	/* 62c: PUSHA/POPA, ENTER/LEAVE keep SP */
	"	mov %sp, %bx; pusha; popa; enter $16, $1; leave; sub %sp, %bx; mov %bx, 0x62c\n"
	/* 62e: LES; 632: XLAT; 634: LOOP count */
	"	movw $0x1111, 0x6d4; movw $0x2222, 0x6d6; les 0x6d4, %dx; mov %dx, 0x62e; mov %es, "
	"0x630\n"
	"	xor %ax, %ax; mov %ax, %es\n"
	"	mov $0x6d4, %bx; mov $2, %al; xlat; mov %ax, 0x632\n"
	"	mov $7, %cx; xor %ax, %ax\n4:	inc %ax; loop 4b; mov %ax, 0x634\n"
	/* 636: LIDT moves the table: vector 0x40 of a copy at 0x1000 */
	"	xor %si, %si; mov $0x1000, %di; mov $512, %cx; rep movsw\n"
	"	movw $(5f - rm_begin + 0x8000), 0x1000 + 0x40 * 4\n"
	"	lidt (idt_moved - rm_begin + 0x8000)\n"
	"	int $0x40\n"
	"	lidt (idt_low - rm_begin + 0x8000)\n"
	"	jmp 6f\n"
	"5:	movw $0x7777, 0x636; iret\n"
	/* 638: SMSW, 63a: PE stays clear */
	"6:	smsw %ax; mov %ax, 0x638\n"
	/* 63c: stack wraps at 16 bits */
	"	mov %sp, %bx; xor %sp, %sp; push $0x1357; mov %sp, 0x63c; pop %ax; mov %bx, %sp; "
	"mov %ax, 0x63e\n"
	/* 640: IP wraps: a jump past ffff is truncated by a 16-bit operand */
	"	movb $1, 0x640\n"
	"	mov %cr0, %eax; or $1, %al; mov %eax, %cr0\n"
	"	ljmpl $0x08, $rm_back\n"
	"idt_moved: .word 0x3ff; .long 0x1000\n"
	"idt_low: .word 0x3ff; .long 0\n"
	/* handlers: push the vector, go to one */
	".align 8\nvecs:\n"
	".set v, 0\n.rept 65\n.align 8\n	push $v\n	jmp handler\n.set v, v + 1\n.endr\n"
	".align 8\n"
	"handler:\n" /* stack: vector IP CS FLAGS */
	"	push %bp; mov %sp, %bp; push %ax; push %bx\n"
	"	mov 2(%bp), %ax\n"
	"	cmp $1, %ax; jne 1f\n	incw 0x6f4; jmp 9f\n"
	"1:	cmp $0x40, %ax; jne 2f\n"
	"	incw 0x600; pushf; pop %bx; mov %bx, 0x602; jmp 9f\n"
	"2:	mov %ax, 0x6f0; mov 4(%bp), %bx; mov %bx, 0x6f2\n"
	"	cmp $4, %ax; je 9f\n"			       /* INTO is a trap */
	"	cmp $5, %ax; jne 3f\n	add $4, %bx; jmp 8f\n" /* BOUND ax, moffs: 4 bytes */
	"3:	add $2, %bx\n"
	"8:	mov %bx, 4(%bp)\n"
	"9:	pop %bx; pop %ax; pop %bp; add $2, %sp; iret\n"
	".globl rm_end\nrm_end:\n"
	".code32\n");

#define WORD(at) (*(volatile u16 *)(at))

static void check_results(void)
{
	CHECK_EQ(WORD(0x600), 1);
	CHECK(!(WORD(0x602) & RFLAGS_IF));
	CHECK_EQ(WORD(0x604) & (RFLAGS_IF | RFLAGS_CF), RFLAGS_IF | RFLAGS_CF);
	CHECK_EQ(WORD(0x606), VECTOR_DE);
	CHECK_EQ(WORD(0x608), 0);
	CHECK_EQ(WORD(0x60a), VECTOR_UD);
	CHECK_EQ(WORD(0x60c), VECTOR_GP);
	CHECK_EQ(WORD(0x60e), VECTOR_SS);
	CHECK_EQ(WORD(0x610), VECTOR_BR);
	CHECK_EQ(WORD(0x612), VECTOR_OF);
	CHECK_EQ(WORD(0x614), 0x0105);
	CHECK_EQ(WORD(0x616) & 0xff, 0x02);
	CHECK_EQ(WORD(0x618), 0x0603);
	CHECK_EQ(WORD(0x61a), 63);
	CHECK_EQ(WORD(0x61c) & 0xff, 0x88);
	CHECK_EQ(WORD(0x61e), 0x0008);
	CHECK_EQ(WORD(0x620), 0x4321);
	CHECK_EQ(WORD(0x622), 0xaa55);
	CHECK_EQ(WORD(0x624), 0x1234);
	CHECK_EQ(*(volatile u32 *)0x626, 0x12345678);
	CHECK_EQ(WORD(0x62a), 6);
	CHECK_EQ(WORD(0x62c), 0);
	CHECK_EQ(WORD(0x62e), 0x1111);
	CHECK_EQ(WORD(0x630), 0x2222);
	CHECK_EQ(WORD(0x632), 0x22);
	CHECK_EQ(WORD(0x634), 7);
	CHECK_EQ(WORD(0x636), 0x7777);
	CHECK(!(WORD(0x638) & CR0_PE));
	CHECK_EQ(WORD(0x63c), 0xfffe);
	CHECK_EQ(WORD(0x63e), 0x1357);
	CHECK_EQ(WORD(0x640) & 0xff, 1);
}

int main(void)
{
	for (u32 i = 0; rm_begin + i < rm_end; i++)
		((volatile u8 *)0x8000)[i] = rm_begin[i];
	put("real mode\n");
	for (u32 run = 0; run < 2; run++) {
		for (u32 at = 0x600; at < 0x700; at++)
			*(volatile u8 *)at = 0;
		rm_run();
		check_results();
	}
	return 0;
}
