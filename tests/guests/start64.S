/*
 * Multiboot entry of the 64-bit test guests: identity map of 1 GiB by 2 MiB user pages, IA-32e mode,
 * tables and exception stubs; see kit.h.
 */
	.section .multiboot, "a"
	.align	4
	.long	0x1badb002, 0, -0x1badb002

	.text
	.code32
	.globl	_start
_start:
	cld
	mov	$stack_top, %esp
	mov	$pdpt + 7, %eax
	mov	%eax, pml4
	mov	$pd + 7, %eax
	mov	%eax, pdpt
	xor	%ecx, %ecx
	mov	$0x87, %eax
1:	mov	%eax, pd(, %ecx, 8)
	add	$0x200000, %eax
	inc	%ecx
	cmp	$512, %ecx
	jb	1b
	mov	$pml4, %eax
	mov	%eax, %cr3
	mov	$0x20, %eax
	mov	%eax, %cr4
	mov	$0xc0000080, %ecx
	rdmsr
	or	$0x901, %eax		/* SCE, LME, NXE */
	wrmsr
	mov	%cr0, %eax
	or	$0x80000000, %eax
	mov	%eax, %cr0
	lgdt	gdtr
	ljmp	$0x08, $2f
	.code64
2:	mov	$0x10, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	xor	%eax, %eax
	mov	%eax, %fs
	mov	%eax, %gs
	lgdt	gdtr64
	mov	$tss, %eax
	mov	%ax, gdt + 0x38 + 2
	shr	$16, %eax
	mov	%al, gdt + 0x38 + 4
	mov	%ah, gdt + 0x38 + 7
	movq	$stack0_top, tss + 4
	movq	$ist1_top, tss + 36
	movw	$0x68, tss + 102
	mov	$0x38, %eax
	ltr	%ax
	xor	%ecx, %ecx
	mov	$stubs, %eax
3:	mov	%ecx, %edx
	shl	$4, %edx
	mov	%ax, idt(%rdx)
	movw	$0x08, idt + 2(%rdx)
	movw	$0x8e00, idt + 4(%rdx)
	mov	%eax, %ebx
	shr	$16, %ebx
	mov	%bx, idt + 6(%rdx)
	add	$16, %eax
	inc	%ecx
	cmp	$64, %ecx
	jb	3b
	movb	$0xee, idt + 0x30 * 16 + 5
	movb	$0xee, idt + 3 * 16 + 5
	lidt	idtr
	call	main
	call	finish

/* int at_level3(void (*fn)(void)) */
	.globl	at_level3
at_level3:
	push	%rbx
	push	%rbp
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	movl	$-1, trap
	mov	%rsp, kernel_sp
	push	$0x23
	push	$ustack_top
	pushf
	push	$0x1b
	push	$user_entry
	iretq
user_entry:
	call	*%rdi
	int	$0x30
	.globl	leave_level3
leave_level3:
	mov	kernel_sp, %rsp
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
	mov	trap, %eax
	cmp	$0x30, %eax
	jne	1f
	mov	$-1, %eax
	mov	%eax, trap
1:	ret

	.align	16
stubs:
	.set	vec, 0
	.rept	64
	.align	16
	.if	!(vec == 8 || (vec >= 10 && vec <= 14) || vec == 17 || vec == 21)
	push	$0
	.endif
	push	$vec
	jmp	common
	.set	vec, vec + 1
	.endr

common:
	push	%rax
	push	%rbx
	push	%rcx
	push	%rdx
	push	%rsi
	push	%rdi
	push	%rbp
	push	%r8
	push	%r9
	push	%r10
	push	%r11
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	cld
	mov	%rsp, %rdi
	mov	%rsp, %rbp
	and	$-16, %rsp
	call	on_exception
	mov	%rbp, %rsp
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%r11
	pop	%r10
	pop	%r9
	pop	%r8
	pop	%rbp
	pop	%rdi
	pop	%rsi
	pop	%rdx
	pop	%rcx
	pop	%rbx
	pop	%rax
	add	$16, %rsp
	iretq

	.data
	.align	16
	.globl	gdt, idt, tss, pml4, pdpt, pd, ist1_top
gdt:	.quad	0
	.quad	0x00af9b000000ffff	/* 08 code */
	.quad	0x00cf93000000ffff	/* 10 data */
	.quad	0x00affb000000ffff	/* 18 user code */
	.quad	0x00cff3000000ffff	/* 20 user data */
	.quad	0x00009b000000ffff	/* 28 16-bit code */
	.quad	0x000093000000ffff	/* 30 16-bit data */
	.quad	0x0000890000000067	/* 38 TSS */
	.quad	0
	.quad	0x00cffb000000ffff	/* 48 32-bit user code */
	.fill	32 - 10, 8, 0
gdtr:	.word	32 * 8 - 1
	.long	gdt
gdtr64:	.word	32 * 8 - 1
	.quad	gdt
idtr:	.word	256 * 16 - 1
	.quad	idt
	.bss
	.align	4096
pml4:	.skip	4096
pdpt:	.skip	4096
pd:	.skip	4096
idt:	.skip	4096
tss:	.skip	104 + 24
kernel_sp: .skip 16
	.skip	8192
stack_top:
	.skip	8192
stack0_top:
	.skip	8192
ist1_top:
	.skip	4096
ustack_top:
	.section .note.GNU-stack, "", @progbits
