/*
 * The smallest child: says hello on its serial port and ends the machine with status 1. Multiboot 1,
 * entered in 32-bit protected mode without paging. No VMX, no stack.
 */
#include "l0/arch/ports.h"

#define MULTIBOOT_MAGIC		0x1badb002
#define MULTIBOOT_FLAGS		0

	.section .multiboot, "a"
	.align	4
	.long	MULTIBOOT_MAGIC
	.long	MULTIBOOT_FLAGS
	.long	-(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)

	.section .rodata
message:
	.asciz	"hello from L1\n"

	.text
	.code32
	.globl	_start
_start:
	cld
	mov	$message, %esi
1:	lodsb
	test	%al, %al
	jz	3f
	mov	%al, %bl
	mov	$(PORT_COM1 + UART_LSR), %dx
2:	inb	%dx, %al
	test	$UART_LSR_THRE, %al
	jz	2b
	mov	$(PORT_COM1 + UART_DATA), %dx
	mov	%bl, %al
	outb	%al, %dx
	jmp	1b
3:	xor	%eax, %eax
	outl	%eax, $PORT_DEBUG_EXIT
4:	cli
	hlt
	jmp	4b

	.section .note.GNU-stack, "", @progbits
