/*
 * A guest of several processors (--cpus N) that all work below one ticket lock, as a kernel's do: take a
 * ticket, wait in PAUSEs until it is served, 20 us of work at 10 ns an instruction, unlock, 20 us of work of
 * one's own. A processor that its host takes away with the lock, or next in the queue, stops all others.
 * Every 64th time the number of locked sections goes to the deadline port as work done.
 *
 * Multiboot 1, 32-bit protected mode without paging. The others are started by INIT and SIPI to all.
 */
#include "l0/arch/ports.h"

#define START 0x8000
#define LOOPS 1000 /* two instructions each */
#define REPORT_MASK 63

#define MSR_APIC_BASE 0x1b
#define APIC_BASE_X2APIC 0x400
#define MSR_X2APIC_ICR 0x830
#define ICR_INIT_OTHERS 0xc4500
#define ICR_SIPI_OTHERS (0xc4600 | START >> 12)

	.section .multiboot, "a"
	.balign	4
	.long	0x1badb002, 0, -0x1badb002

	.text
	.code32
	.globl	_start
_start:
	cli
	cld
	lgdt	gdtr
	ljmp	$8, $1f
1:	mov	$16, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	$start_others, %esi
	mov	$START, %edi
	mov	$start_others_end - start_others, %ecx
	rep movsb
	mov	$MSR_APIC_BASE, %ecx
	rdmsr
	or	$APIC_BASE_X2APIC, %eax
	wrmsr
	xor	%edx, %edx
	mov	$MSR_X2APIC_ICR, %ecx
	mov	$ICR_INIT_OTHERS, %eax
	wrmsr
	mov	$ICR_SIPI_OTHERS, %eax
	wrmsr

	/* all of them */
work:
	mov	$1, %eax
	lock xadd %eax, next_ticket
2:	cmp	%eax, served
	je	3f
	pause
	jmp	2b
3:	mov	$LOOPS, %ecx
4:	dec	%ecx
	jnz	4b
	mov	sections, %eax
	inc	%eax
	mov	%eax, sections
	test	$REPORT_MASK, %eax
	jnz	5f
	shl	$DEADLINE_COUNT_SHIFT, %eax
	or	$DEADLINE_KIND_WORK, %eax
	mov	$PORT_DEADLINE, %edx
	out	%eax, %dx
5:	lock incl served
	mov	$LOOPS, %ecx
6:	dec	%ecx
	jnz	6b
	jmp	work

	/* real mode, at START */
	.code16
start_others:
	cli
	xor	%ax, %ax
	mov	%ax, %ds
	lgdtl	START + start_gdtr - start_others
	mov	%cr0, %eax
	or	$1, %eax
	mov	%eax, %cr0
	ljmpl	$8, $others
	.balign	4
start_gdtr:
	.word	gdt_end - gdt - 1
	.long	gdt
start_others_end:
	.code32
others:
	mov	$16, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	jmp	work

	.data
	.balign	64
next_ticket:
	.long	0
	.balign	64
served:	.long	0
	.balign	64
sections:
	.long	0
	.balign	8
gdt:	.quad	0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdt_end:
gdtr:	.word	gdt_end - gdt - 1
	.long	gdt

	.section .note.GNU-stack, "", @progbits
