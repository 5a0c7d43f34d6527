/* Multiboot entry, tables and exception stubs of the 32-bit test guests; see kit.h. */
	.section .multiboot, "a"
	.align	4
	.long	0x1badb002, 0, -0x1badb002

	.text
	.code32
	.globl	_start
_start:
	cld
	mov	$stack_top, %esp
	lgdt	gdtr
	ljmp	$0x08, $1f
1:	mov	$0x10, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	%eax, %fs
	mov	%eax, %gs
	/* TSS descriptor: base = tss */
	mov	$tss, %eax
	mov	%ax, gdt + 0x38 + 2
	shr	$16, %eax
	mov	%al, gdt + 0x38 + 4
	mov	%ah, gdt + 0x38 + 7
	movl	$stack0_top, tss + 4
	movl	$0x10, tss + 8
	movw	$0x68, tss + 102	/* no I/O bitmap */
	mov	$0x38, %eax
	ltr	%ax
	/* IDT: 64 stubs of 16 bytes */
	xor	%ecx, %ecx
	mov	$stubs, %eax
2:	mov	%eax, %edx
	and	$0xffff, %edx
	or	$0x080000, %edx
	mov	%edx, idt(, %ecx, 8)
	mov	%eax, %edx
	and	$0xffff0000, %edx
	or	$0x8e00, %edx
	mov	%edx, idt + 4(, %ecx, 8)
	add	$16, %eax
	inc	%ecx
	cmp	$64, %ecx
	jb	2b
	movb	$0xee, idt + 0x30 * 8 + 5	/* the way back from level 3 */
	movb	$0xee, idt + 3 * 8 + 5
	lidt	idtr
	call	main
	call	finish

/* int at_level3(void (*fn)(void)) */
	.globl	at_level3
at_level3:
	push	%ebx
	push	%esi
	push	%edi
	push	%ebp
	movl	$-1, trap
	mov	20(%esp), %edx
	mov	%esp, kernel_sp
	push	$0x23
	push	$ustack_top - 4
	pushf
	push	$0x1b
	push	$user_entry
	mov	$0x23, %eax
	mov	%eax, %ds
	mov	%eax, %es
	iret
user_entry:
	call	*%edx
	int	$0x30
	.globl	leave_level3
leave_level3:
	mov	$0x10, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	kernel_sp, %esp
	pop	%ebp
	pop	%edi
	pop	%esi
	pop	%ebx
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
	pusha
	mov	%ds, %ebx
	mov	$0x10, %eax
	mov	%eax, %ds
	mov	%eax, %es
	push	%esp
	call	on_exception
	add	$4, %esp
	mov	%ebx, %ds
	mov	%ebx, %es
	popa
	add	$8, %esp
	iret

	.data
	.align	16
	.globl	gdt, idt, tss, kernel_sp
gdt:	.quad	0
	.quad	0x00cf9b000000ffff	/* 08 code */
	.quad	0x00cf93000000ffff	/* 10 data */
	.quad	0x00cffb000000ffff	/* 18 user code */
	.quad	0x00cff3000000ffff	/* 20 user data */
	.quad	0x00009b000000ffff	/* 28 16-bit code */
	.quad	0x000093000000ffff	/* 30 16-bit data */
	.quad	0x0000890000000067	/* 38 TSS */
	.fill	32 - 8, 8, 0
gdtr:	.word	32 * 8 - 1
	.long	gdt
idtr:	.word	256 * 8 - 1
	.long	idt
	.bss
	.align	16
idt:	.skip	4096
tss:	.skip	104 + 40
kernel_sp: .skip 16
	.skip	8192
stack_top:
	.skip	8192
stack0_top:
	.skip	4096
ustack_top:
	.section .note.GNU-stack, "", @progbits
