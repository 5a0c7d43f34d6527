/* Entries of the kernel with processes, its context switch, and the processes' program. */
#include "l1-child/guests/kit_vectors.h"
#include "l1-child/guests/procs.h"
#include "l1-child/lib/frame.inc"

	.text
	/* SYSCALL: the frame of a trap, built by hand on the process's kernel stack. */
	.globl	procs_syscall_entry
procs_syscall_entry:
	mov	%rsp, user_sp
	mov	procs_kernel_stack, %rsp
	push	$(KIT_SEL_UDATA | KIT_SEL_RPL3)
	pushq	user_sp
	push	%r11			/* flags */
	push	$(KIT_SEL_UCODE | KIT_SEL_RPL3)
	push	%rcx			/* return address */
	push	$0
	push	$VECTOR_SYSTEM
	push_registers
	mov	%rsp, %rdi
	cld
	call	procs_system_call
	pop_registers
	add	$16, %rsp
	pop	%rcx
	add	$8, %rsp
	pop	%r11
	pop	%rsp
	sysretq

	/* INT 0x80: the processor switched to the kernel stack. */
	.globl	procs_int80_entry
procs_int80_entry:
	push	$0
	push	$VECTOR_SYSTEM
	push_registers
	mov	%rsp, %rdi
	cld
	call	procs_system_call
	jmp	kit_trap_return

	/* void procs_switch(u64 *save_sp, u64 next_sp): to another process's kernel stack */
	.globl	procs_switch
procs_switch:
	push	%rbx
	push	%rbp
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	mov	%rsp, (%rdi)
	mov	%rsi, %rsp
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
	ret

	/*
	 * The program, mapped at USER_TEXT. EDI = its number. Touches one page more in each round, up
	 * to USER_PAGES; checks that a value written to its stack page survives (its array may not:
	 * taken frames come back zeroed); yields every eight pages; exits at the end.
	 */
	.section .user, "ax"
	.globl	procs_user_start
procs_user_start:
	mov	$USER_DATA, %r12
	mov	%edi, %r13d
	mov	$1, %r14d		/* pages in this round */
round:	xor	%ebx, %ebx		/* page */
page:	mov	%rbx, %rax
	shl	$12, %rax
	add	%r12, %rax
	push	%r13			/* through the stack, for its own faults */
	addq	%r13, 8(%rax, %r13, 8)
	incq	(%rax)
	pop	%rdx
	cmp	%rdx, %r13
	jne	bad_stack
	mov	$5000, %ecx		/* some computing */
1:	imul	$1664525, %edx, %edx
	add	$1013904223, %edx
	loop	1b
	inc	%ebx
	test	$7, %bl
	jnz	2f
	mov	$SYS_YIELD, %eax
	syscall
2:	cmp	%r14d, %ebx
	jb	page
	inc	%r14d
	cmp	$USER_PAGES, %r14d
	jbe	round
	xor	%edi, %edi
	mov	$SYS_EXIT, %eax
	int	$VECTOR_SYSTEM
bad_stack:
	mov	$1, %edi
	mov	$SYS_EXIT, %eax
	int	$VECTOR_SYSTEM
	ud2

	.bss
	.balign	8
	.globl	procs_kernel_stack
procs_kernel_stack:
	.skip	8
user_sp:
	.skip	8

	.section .note.GNU-stack, "", @progbits
