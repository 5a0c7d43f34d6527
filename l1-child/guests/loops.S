/*
 * The L2s of the round-trip benchmark: one exiting instruction in an endless loop. Position
 * independent; LOOP_CPUID or LOOP_VMCALL is given by the build.
 */
	.text
1:
#ifdef LOOP_CPUID
	cpuid
#else
	vmcall
#endif
	jmp	1b

	.section .note.GNU-stack, "", @progbits
