/*
 * The L2s of the round-trip benchmark: one exiting instruction in an endless loop, or work between
 * two of them. Position independent; LOOP_CPUID, LOOP_VMCALL or LOOP_WORK is given by the build.
 */
#include "l1-child/lib/work.inc"

	.text
1:
#ifdef LOOP_CPUID
	cpuid
#else
#ifdef LOOP_WORK
	mov	$0x200000, %esi
	work
#endif
	vmcall
#endif
	jmp	1b

	.section .note.GNU-stack, "", @progbits
