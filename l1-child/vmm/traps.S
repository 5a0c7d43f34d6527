/*
 * 256 entry points of 16 bytes, for vectors 0 to 255 in order. Each makes the same frame
 * (struct irq_frame) and calls irq_trap(frame).
 */
#include "l1-child/lib/frame.inc"

	.text
	.globl	irq_stubs
	.balign	16
irq_stubs:
	trap_stubs 256, common

common:
	trap_call irq_trap
	trap_return

	.section .note.GNU-stack, "", @progbits
