/*
 * Entry of a guest and its trap stubs, for 64- and 32-bit guests. The VMM enters at kit_start with
 * EDI = shared page, flat segments, paging on, interrupts off, a stack.
 *
 * Stubs: VECTORS entry points of 16 bytes, for vectors 0 to VECTORS-1. Each leaves a struct
 * kit_frame and calls kit_trap(frame).
 */
#include "l1-child/guests/kit_vectors.h"
#include "l1-child/lib/frame.inc"

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
	trap_stubs KIT_VECTORS, common

#ifdef __x86_64__
common:
	trap_call kit_trap
	.globl	kit_trap_return
kit_trap_return:
	trap_return

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
