/*
 * Entry of a guest and its trap stubs, for 64- and 32-bit guests. The VMM enters at kit_start with
 * EDI = shared page, flat segments, paging on, interrupts off, a stack.
 *
 * Stubs: VECTORS entry points of 16 bytes, for vectors 0 to VECTORS-1. Each leaves a struct
 * kit_frame and calls kit_trap(frame).
 */
#include "l1-child/guests/kit_vectors.h"

	.section .start, "ax"
	.globl	kit_start
kit_start:
#ifdef __x86_64__
	mov	%edi, %edi
	call	kit_main
#else
	push	%edi
	call	kit_main
#endif
1:	hlt
	jmp	1b

	.text
	.globl	kit_stubs
	.balign	16
kit_stubs:
	.set	vector, 0
	.rept	KIT_VECTORS
	.balign	16
	.if	!(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17)
	push	$0
	.endif
	push	$vector
	jmp	common
	.set	vector, vector + 1
	.endr

#ifdef __x86_64__
common:
	push	%rax
	push	%rcx
	push	%rdx
	push	%rbx
	push	%rbp
	push	%rsi
	push	%rdi
	push	%r8
	push	%r9
	push	%r10
	push	%r11
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	mov	%rsp, %rdi
	mov	%rsp, %rbp
	and	$-16, %rsp
	cld
	call	kit_trap
	mov	%rbp, %rsp
	.globl	kit_trap_return
kit_trap_return:
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%r11
	pop	%r10
	pop	%r9
	pop	%r8
	pop	%rdi
	pop	%rsi
	pop	%rbp
	pop	%rbx
	pop	%rdx
	pop	%rcx
	pop	%rax
	add	$16, %rsp
	iretq

	/* void kit_load_segments(void): CS, data segments and TR from the new GDT */
	.globl	kit_load_segments
kit_load_segments:
	push	$KIT_SEL_CODE
	push	$1f
	lretq
1:	mov	$KIT_SEL_DATA, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	$KIT_SEL_TSS, %eax
	ltr	%ax
	ret
#else
common:
	pushal
	push	%esp
	cld
	call	kit_trap
	add	$4, %esp
	popal
	add	$8, %esp
	iretl

	.globl	kit_load_segments
kit_load_segments:
	ljmp	$KIT_SEL_CODE, $1f
1:	mov	$KIT_SEL_DATA, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	ret
#endif

	.section .note.GNU-stack, "", @progbits
