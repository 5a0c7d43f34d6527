/*
 * u64 roundtrip_run(u64 n): enter the L2 of the current VMCS and take n exits with the least that a
 * VMM can do: step over the instruction and resume. The last exit is not resumed.
 * Return: 0, or what RFLAGS said of a failed entry (never 0: bit 1 is set).
 *
 * roundtrip_exited is the VMCS's host RIP; the stack pointer at the entry is its host RSP. The L2
 * uses no registers that matter, so none are switched.
 */
#include "l1-child/lib/work.inc"
#include "l1-child/vmm/vmx_defs.h"

	.text
	.globl	roundtrip_run
	.type	roundtrip_run, @function
roundtrip_run:
	push	%rbx
	push	%rbp
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	mov	%rdi, left
	mov	$VMCS_HOST_RSP, %eax
	vmwrite	%rsp, %rax
	jbe	failed
	vmlaunch
	jmp	failed

	.globl	roundtrip_exited
	.balign	16
roundtrip_exited:
	mov	$VMCS_VM_EXIT_INSTRUCTION_LEN, %eax
	vmread	%rax, %rdx
	mov	$VMCS_GUEST_RIP, %eax
	vmread	%rax, %rcx
	add	%rdx, %rcx
	vmwrite	%rcx, %rax
	decq	left
	jz	1f
	vmresume
failed:	pushfq
	pop	%rax
	jmp	2f
1:	xor	%eax, %eax
2:	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
	ret
	.size	roundtrip_run, . - roundtrip_run

/* void roundtrip_work(u64 n, void *memory): the turns of the L2 that works, in L1; 16 KiB. */
	.globl	roundtrip_work
	.type	roundtrip_work, @function
roundtrip_work:
	work
	dec	%rdi
	jnz	roundtrip_work
	ret
	.size	roundtrip_work, . - roundtrip_work

	.bss
	.balign	8
left:	.skip	8

	.section .note.GNU-stack, "", @progbits
