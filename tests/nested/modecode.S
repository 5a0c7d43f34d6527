/*
 * Code of L2s in the modes that C does not speak. Each is copied to MODE_CODE, below 64 KiB, by
 * modes.c; addresses inside are computed from there.
 */
#define MODE_CODE	0x8000
#define AT(label)	(label - mode_code + MODE_CODE)

	.section .text
	.balign	16
	.globl	mode_code, mode_code_end
mode_code:

	/* Real mode, entered with CS base 0: a segment load, an interrupt through the IVT, IRET. */
	.globl	mode_real
	.code16
mode_real:
	mov	$0x0900, %ax
	mov	%ax, %ds
	mov	%ax, %ss
	mov	$0x800, %sp
	movw	$0x1234, 0x10
	mov	0x10, %cx
	int	$0x21
	mov	$2, %eax
	vmcall
	hlt
	.globl	mode_int21
mode_int21:
	mov	$1, %eax
	vmcall
	iret

	/* From real mode by itself to protected mode, PAE paging, long mode. */
	.globl	mode_boot
mode_boot:
	cli
	xor	%ax, %ax
	mov	%ax, %ds
	lgdtl	AT(gdt_pointer)
	mov	%cr0, %eax
	or	$1, %eax
	mov	%eax, %cr0
	ljmpl	$0x08, $AT(boot32)
	.code32
boot32:
	mov	$0x10, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	$1, %eax
	vmcall
	mov	%cr4, %eax
	or	$0x20, %eax
	mov	%eax, %cr4
	mov	%ebx, %cr3		/* 4-level tables, given in EBX */
	mov	$0xc0000080, %ecx
	rdmsr
	or	$0x100, %eax
	wrmsr
	mov	%cr0, %eax
	or	$0x80000000, %eax
	mov	%eax, %cr0
	mov	$2, %eax		/* compatibility mode now */
	vmcall
	ljmpl	$0x18, $AT(boot64)
	.code64
boot64:
	mov	$0x1122334455667788, %rcx
	mov	$3, %eax
	vmcall
	hlt

	.balign	8
gdt:	.quad	0
	.quad	0x00cf9b000000ffff	/* 08: 32-bit code */
	.quad	0x00cf93000000ffff	/* 10: data */
	.quad	0x00af9b000000ffff	/* 18: 64-bit code */
gdt_pointer:
	.word	4 * 8 - 1
	.long	AT(gdt)

	/* Virtual-8086 mode: a load, then an instruction that it may not use. */
	.globl	mode_v86
	.code16
mode_v86:
	mov	$0x1234, %bx
	mov	%bx, %ds
	mov	$5, %ecx
	hlt

	/* 32-bit protected mode: task switch by JMP, CALL, INT, as the test sets up. */
	.globl	mode_jmp_task, mode_int_task, mode_calls
	.code32
mode_jmp_task:
	ljmp	$0x28, $0
mode_int_task:
	int	$0x30
mode_calls:
	mov	$9, %eax
	vmcall
	jmp	mode_calls

	.code64
mode_code_end:

	.section .note.GNU-stack, "", @progbits
