/*
 * Both ways into a child VMM, joined in 64-bit mode on the image's own page tables, GDT and stack.
 *
 * entry32  multiboot 1: 32-bit protected mode, paging off, EAX = 0x2BADB002, EBX = information
 *          structure.
 * entry64  plain ELF64: 64-bit mode, the loader's identity map of the first 4 GiB, RDI = the same
 *          information structure, RSI = 0x2BADB002, RSP undefined.
 *
 * Ends in child_main(information, magic), which does not return. .bss is zero: the loader did it.
 */
#define PTE_P		0x1
#define PTE_W		0x2
#define PTE_PWT		0x8
#define PTE_PCD		0x10
#define PTE_PS		0x80
#define CR4_PAE		(1 << 5)
#define CR0_PG_WP	((1 << 31) | (1 << 16))
#define MSR_EFER	0xc0000080
#define EFER_LME	(1 << 8)

#define SEL_CODE	0x08
#define SEL_DATA	0x10

/*
 * Identity map of 4 GiB in 2 MiB pages; the top GiB (local APIC) uncached. \a and \d are A and D as
 * wide as an address of the mode. Clobbers them and ECX.
 */
	.macro	build_tables a, d
	movl	$boot_pdpt + PTE_P + PTE_W, boot_pml4
	mov	$boot_pd + PTE_P + PTE_W, %eax
	mov	$boot_pdpt, %edx
	mov	$4, %ecx
1:	mov	\a, (\d)
	add	$0x1000, \a
	add	$8, \d
	loop	1b
	mov	$PTE_P + PTE_W + PTE_PS, %eax
	mov	$boot_pd, %edx
	mov	$2048, %ecx
2:	cmp	$512, %ecx
	jne	3f
	or	$PTE_PWT + PTE_PCD, \a
3:	mov	\a, (\d)
	add	$0x200000, \a
	add	$8, \d
	loop	2b
	.endm

	.text
	.code32
	.globl	entry32
entry32:
	cli
	cld
	mov	%eax, %esi
	mov	%ebx, %edi
	mov	$boot_stack_top, %esp
	build_tables %eax, %edx
	mov	%cr4, %eax
	or	$CR4_PAE, %eax
	mov	%eax, %cr4
	mov	$boot_pml4, %eax
	mov	%eax, %cr3
	mov	$MSR_EFER, %ecx
	rdmsr
	or	$EFER_LME, %eax
	wrmsr
	mov	%cr0, %eax
	or	$CR0_PG_WP, %eax
	mov	%eax, %cr0
	lgdt	boot_gdt_pointer
	ljmp	$SEL_CODE, $join64

	.code64
	.globl	entry64
entry64:
	cli
	cld
	mov	$boot_stack_top, %esp
	build_tables %rax, %rdx
	mov	$boot_pml4, %eax
	mov	%rax, %cr3
	lgdt	boot_gdt_pointer
	push	$SEL_CODE
	push	$join64
	lretq

join64:
	mov	$SEL_DATA, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	xor	%eax, %eax
	mov	%eax, %fs
	mov	%eax, %gs
	mov	$boot_stack_top, %esp
	mov	%edi, %edi		/* the upper halves are undefined after 32-bit mode */
	mov	%esi, %esi
	xor	%ebp, %ebp
	call	child_main
1:	cli
	hlt
	jmp	1b

	.section .rodata
	.align	8
boot_gdt:
	.quad	0
	.quad	0x00af9b000000ffff	/* 64-bit code */
	.quad	0x00cf93000000ffff	/* flat data */
boot_gdt_end:
boot_gdt_pointer:
	.word	boot_gdt_end - boot_gdt - 1
	.quad	boot_gdt

	.bss
	.align	4096
boot_pml4:
	.skip	4096
boot_pdpt:
	.skip	4096
boot_pd:
	.skip	4 * 4096
	.skip	32768
	.globl	boot_stack_top
boot_stack_top:

	.section .note.GNU-stack, "", @progbits
