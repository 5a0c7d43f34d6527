/*
 * Trap frames, for assembler: the general registers below what the processor pushed, RAX first, and
 * the entry points that bring a vector there. struct irq_frame and struct kit_frame are this layout.
 */
#ifndef L1_CHILD_LIB_FRAME_ASM_H
#define L1_CHILD_LIB_FRAME_ASM_H

	.macro	push_registers
	.irp	reg, rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15
	push	%\reg
	.endr
	.endm

	.macro	pop_registers
	.irp	reg, r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax
	pop	%\reg
	.endr
	.endm

	/* @count entry points of 16 bytes, for vectors 0 up: error code or 0, vector, then \common. */
	.macro	trap_stubs count, common
	.set	vector, 0
	.rept	\count
	.balign	16
	.if	!(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21)
	push	$0
	.endif
	push	$vector
	jmp	\common
	.set	vector, vector + 1
	.endr
	.endm

	/* Calls \handler(frame) on an aligned stack. */
	.macro	trap_call handler
	push_registers
	mov	%rsp, %rdi
	mov	%rsp, %rbp
	and	$-16, %rsp
	cld
	call	\handler
	mov	%rbp, %rsp
	.endm

	.macro	trap_return
	pop_registers
	add	$16, %rsp
	iretq
	.endm

#endif
