/*
 * u32 l2_enter(struct l2 *g): the way into an L2 and back. The VMCS's host RSP is the end of g->regs
 * and never changes, so that an exit pushes the L2's registers straight into their place; the VMM's
 * own stack pointer waits in saved_rsp.
 *
 * An NMI while the exit path still stands on g->regs uses a stack of its own (IST).
 */
#include "l1-child/vmm/vmx_defs.h"

#define REGS_RAX	0
#define REGS_RCX	8
#define REGS_RDX	16
#define REGS_RBX	24
#define REGS_RBP	40
#define REGS_RSI	48
#define REGS_RDI	56
#define REGS_R8		64
#define REGS_R9		72
#define REGS_R10	80
#define REGS_R11	88
#define REGS_R12	96
#define REGS_R13	104
#define REGS_R14	112
#define REGS_R15	120
#define L2_LAUNCHED	136

	.text
	.globl	l2_enter
	.type	l2_enter, @function
l2_enter:
	push	%rbx
	push	%rbp
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	push	%rdi
	mov	%rsp, saved_rsp
	cmpq	$0, L2_LAUNCHED(%rdi)
	mov	REGS_RAX(%rdi), %rax
	mov	REGS_RCX(%rdi), %rcx
	mov	REGS_RDX(%rdi), %rdx
	mov	REGS_RBX(%rdi), %rbx
	mov	REGS_RBP(%rdi), %rbp
	mov	REGS_RSI(%rdi), %rsi
	mov	REGS_R8(%rdi), %r8
	mov	REGS_R9(%rdi), %r9
	mov	REGS_R10(%rdi), %r10
	mov	REGS_R11(%rdi), %r11
	mov	REGS_R12(%rdi), %r12
	mov	REGS_R13(%rdi), %r13
	mov	REGS_R14(%rdi), %r14
	mov	REGS_R15(%rdi), %r15
	mov	REGS_RDI(%rdi), %rdi
	je	1f
	vmresume
	jmp	2f
1:	vmlaunch
2:	pushfq				/* the entry failed: RSP is still the VMM's */
	pop	%rsi
	mov	(%rsp), %rdi
	sub	$8, %rsp
	call	l2_entry_failed

	.globl	l2_exited
	.balign	16
l2_exited:
	push	%r15
	push	%r14
	push	%r13
	push	%r12
	push	%r11
	push	%r10
	push	%r9
	push	%r8
	push	%rdi
	push	%rsi
	push	%rbp
	push	%rax			/* the unused place of RSP */
	push	%rbx
	push	%rdx
	push	%rcx
	push	%rax
	mov	saved_rsp, %rsp
	pop	%rdi
	movq	$1, L2_LAUNCHED(%rdi)
	mov	$VMCS_VM_EXIT_REASON, %ecx
	vmread	%rcx, %rax
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
	ret
	.size	l2_enter, . - l2_enter

	.bss
	.align	8
saved_rsp:
	.skip	8

	.section .note.GNU-stack, "", @progbits
