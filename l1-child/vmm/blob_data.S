/*
 * The guests' flat images and the table of them (struct blob). BLOB_DIR is where the build puts them,
 * relative to the include path of the assembler.
 */
	.macro	blob kind, bits
	.section .rodata
	.balign	16
1:	.incbin	"guest-\kind-\bits\().bin"
2:
3:	.asciz	"\kind"
	.section .rodata.blobs, "a"
	.quad	3b, \bits, 1b, 2b - 1b
	.endm

	.section .rodata.blobs, "a"
	.balign	8
	.globl	blob_table
blob_table:
	blob	rt, 64
	blob	rt, 32
	blob	batch, 64
	blob	batch, 32
	blob	idle, 64
	blob	idle, 32
	blob	spin, 64
	blob	spin, 32
	blob	crash, 64
	blob	crash, 32
	blob	procs, 64
	blob	mixed, 64
	blob	cache, 64
	blob	cpuid, 64
	blob	vmcall, 64
	blob	work, 64
	.section .rodata.blobs, "a"
	.quad	0, 0, 0, 0

	.section .note.GNU-stack, "", @progbits
