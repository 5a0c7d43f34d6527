/*
 * The L2 and the L3 of vmxdeep.elf: blobs that start at guest-physical L2_CODE and L3_CODE in memory of
 * their own. The L2 turns VMX on and runs the L3 for ever; its VMM (main.c) emulates what it executes,
 * by convention with RDX = field and RAX = value.
 */
#include "tests/nested/deep/deep.h"
#include "l1-child/vmm/vmx_defs.h"

	.macro	put field, value
	mov	$\field, %edx
	mov	$\value, %eax
	vmwrite	%rax, %rdx
	.endm

	.section .rodata
	.globl	l2_blob, l2_blob_end, l3_blob, l3_blob_end

l2_blob:
	vmxon	L2_REGION
	vmclear	L2_REGION
	vmptrld	L2_REGION
	put	VMCS_HOST_RIP, L2_CODE + (1f - l2_blob)
	put	VMCS_GUEST_CR3, L3_TABLES
	put	VMCS_GUEST_RSP, L3_STACK
	put	VMCS_EPT_POINTER, L3_EPT
	put	VMCS_GUEST_RIP, L3_CODE
	vmlaunch
1:	incq	L2_COUNT		/* here its L3's exits go */
	mov	L2_BAD_AT, %rax
	cmp	%rax, L2_COUNT
	jne	2f
	mov	$VMCS_GUEST_RIP, %edx	/* a VM entry that must fail */
	mov	$0x4000, %eax
	shl	$48, %rax
	vmwrite	%rax, %rdx
2:	vmresume
	ud2
	.quad	L2_MAGIC
l2_blob_end:

l3_blob:
1:	mov	L3_CELL, %rax
	inc	%rax
	mov	%rax, L3_CELL
	vmcall
	jmp	1b
	.quad	L3_MAGIC
l3_blob_end:

	.section .note.GNU-stack, "", @progbits
